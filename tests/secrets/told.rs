//! What the other commands say of objects that hold values.

use std::time::Duration;

use serde_json::{Value, json};

use crate::mirror::Mirror;
use crate::modes::{Bed, Mode};
use crate::scene::{NAMESPACE, kubectl};
use crate::search::Search;
use crate::support::plane::ADMIN;
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, wait_for_success};

const KINDS: &str = "secrets,configmaps,engines.vault.example.com";
/// One object of each kind, and the rule that is named for it.
const OBJECTS: &[(&str, &str)] = &[
    ("Secret/created-4", "secret-values"),
    ("Secret/applied-80", "secret-values"),
    ("ConfigMap/settings-104", "settings"),
    ("Engine/engine-128", "engine-credentials"),
    ("Engine/list", "engine-credentials"),
    ("Engine/text", "engine-credentials"),
];
const PATIENCE: Duration = Duration::from_secs(60);

/// Live objects, objects from files, and what is dropped.
pub(crate) fn by_explain(bed: &Bed<'_>, mirror: &Mirror, search: &mut Search<'_>) -> Result<()> {
    let kubeconfig = bed.plane.kubeconfig(ADMIN)?;
    let explain = |args: &[&str]| {
        let program = Program::strandline(mirror.home()).arg("explain");
        let program = program.args(bed.args()).args(args).deadline(PATIENCE * 2);
        if args.contains(&"-f") || args.contains(&"--rules") {
            return program.run()?.expect_code(0);
        }
        let program = program.args(["--repository", "mirror.git", "--kubeconfig"]);
        program.arg(&kubeconfig).run()?.expect_code(0)
    };
    for (object, rule) in OBJECTS {
        for output in ["text", "json"] {
            let told = explain(&[
                object, "-n", NAMESPACE, "--output", output, "-v", "-v", "-v",
            ])?;
            search.output(&told);
            if !told.stdout.contains(rule) {
                return Err(Failure::new(format!(
                    "{object}: no '{rule}' in {}",
                    told.stdout
                )));
            }
        }
        let file = mirror.home().join("live.json");
        let live = bed.plane.kubectl_json(&["-n", NAMESPACE, "get", object])?;
        std::fs::write(&file, live.to_string()).context("a file")?;
        let told = explain(&["-f", "live.json"])?;
        std::fs::remove_file(&file).context("a file")?;
        search.output(&told);
    }
    search.output(&explain(&["--dropped"])?);
    search.output(&explain(&["--rules"])?);
    Ok(())
}

/// Everything at once, and files that are broken in the middle of a value.
pub(crate) fn by_canonicalize(
    bed: &Bed<'_>,
    mirror: &Mirror,
    search: &mut Search<'_>,
) -> Result<()> {
    let canonicalize = |text: &str| {
        let program = Program::strandline(mirror.home()).arg("canonicalize");
        let program = program.args(["--digest-key-file", "key"]).args(bed.args());
        program.stdin(text).deadline(PATIENCE * 2).run()
    };
    let live = bed.plane.kubectl_json(&["-n", NAMESPACE, "get", KINDS])?;
    let items = live["items"].as_array().cloned().unwrap_or_default();
    let documents: Vec<_> = items.iter().map(|item| format!("---\n{item}\n")).collect();
    let told = canonicalize(&documents.concat())?.expect_code(0)?;
    assert!(
        told.stdout.contains("created-4"),
        "{} bytes",
        told.stdout.len()
    );
    search.output(&told);

    let value = search.values.text(2);
    let secret =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: x, namespace: {NAMESPACE}}}\n");
    for broken in [
        format!("{secret}stringData:\n  a: \"{value}\n"),
        format!("{secret}stringData:\n\ta: {value}\n"),
        format!("{secret}stringData:\n  {value}: 1\n  {value}: 2\n"),
        format!("{secret}stringData: [{value}\n"),
        format!("{secret}stringData:\n  a: *{value}\n"),
        format!("{secret}stringData:\n  a: !!int {value}\n"),
        format!("{{\"kind\": \"Secret\", \"stringData\": {{\"a\": \"{value}\""),
    ] {
        search.output(&canonicalize(&broken)?.expect_code(2)?);
    }
    // Sound, and of a shape that no server has: the rule must hold all the same.
    for odd in [
        format!("{secret}stringData: {value}\n"),
        format!("{secret}data: [{value}]\n"),
        format!("{secret}data:\n  a: {{b: {value}}}\n"),
    ] {
        search.output(&canonicalize(&odd)?);
    }
    Ok(())
}

/// Printed, planned, and refused by the server with an error that holds a value.
pub(crate) fn by_restore(bed: &Bed<'_>, mirror: &Mirror, search: &mut Search<'_>) -> Result<()> {
    let kubeconfig = bed.plane.kubeconfig(ADMIN)?.display().to_string();
    let restore = |args: &[&str]| {
        let program = Program::strandline(mirror.home());
        let program = program.args(["restore", "--repository", "mirror.git", "-v", "-v", "-v"]);
        program.args(args).deadline(PATIENCE * 2).run()
    };
    let apply = ["--apply", "--yes", "--kubeconfig", &kubeconfig];
    search.output(&restore(&["-n", NAMESPACE])?);
    search.output(&restore(
        &[&apply[..], &["-n", NAMESPACE, "--dry-run=server"]].concat(),
    )?);
    if bed.mode != Mode::Sops {
        return Ok(());
    }
    // What is sealed can be put back, and the server quotes it when it refuses.
    let name = "created-4";
    let before = bed
        .plane
        .kubectl_json(&["-n", NAMESPACE, "get", "secret", name])?;
    let (policy, binding) = refusal(name);
    kubectl(bed.plane, &["create"], &policy)?;
    kubectl(bed.plane, &["create"], &binding)?;
    let delete = ["-n", NAMESPACE, "delete", "secret", name];
    bed.plane.kubectl(delete)?.success()?;
    wait_for_success("the policy", PATIENCE, || {
        let create = bed.plane.kubectl_as(ADMIN)?;
        let create = create.args(["create", "--dry-run=server", "-f", "-"]);
        let refused = create.stdin(before.to_string()).run()?.expect_code(1)?;
        if search.values.find(refused.stderr.as_bytes()).is_empty() {
            return Err(Failure::new("the refusal quotes no value"));
        }
        Ok(())
    })?;
    let identity = bed.identity();
    let identity: Vec<&str> = identity.iter().map(String::as_str).collect();
    let object = format!("Secret/{name}");
    let put_back = [&apply[..], &identity, &["-n", NAMESPACE, &object]].concat();
    search.output(&restore(&put_back)?.expect_code(3)?);
    let drop_policy = [
        "delete",
        "validatingadmissionpolicies,validatingadmissionpolicybindings",
        "quoting",
    ];
    bed.plane.kubectl(drop_policy)?.success()?;
    wait_for_success("the Secret", PATIENCE, || {
        search.output(&restore(&put_back)?.expect_code(0)?);
        Ok(())
    })?;
    let after = bed
        .plane
        .kubectl_json(&["-n", NAMESPACE, "get", "secret", name])?;
    assert!(
        after["data"] == before["data"],
        "put back with other values"
    );
    // Everything that is live is the same: a plan that compares plaintexts.
    search.output(&restore(
        &[&apply[..], &identity, &["-n", NAMESPACE, "--update"]].concat(),
    )?);
    Ok(())
}

/// A policy that refuses one Secret and quotes it, and its binding.
fn refusal(name: &str) -> (Value, Value) {
    let group = "admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": group, "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": "quoting" },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]
            }] },
            "matchConditions": [{ "name": "one", "expression": format!("object.metadata.name == '{name}'") }],
            "validations": [{
                "expression": "false",
                "messageExpression": "'it holds ' + string(object.data['key-0'])"
            }]
        }
    });
    let binding = json!({
        "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": "quoting" },
        "spec": { "policyName": "quoting", "validationActions": ["Deny"] }
    });
    (policy, binding)
}
