//! Tests of the bed itself: what the suites that stand on it may rely on.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::Completion;
use serde_json::{Value, json};

mod support;

use support::acid::{Acid, How};
use support::plane::{ADMIN, ControlPlane, Options};
use support::program::Program;
use support::suite::{Outcome, run, skipped};
use support::{Failure, Unavailable, wait_for, wait_for_success};

/// Set for a process that stands for a test binary that dies without a word.
const ORPHAN_MAKER: &str = "STRANDLINE_TEST_ORPHAN_MAKER";

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(ORPHAN_MAKER) {
        make_orphan(Path::new(&folder));
    }
    let options = Options {
        controller_manager: true,
        ..Options::default()
    };
    run(
        options,
        &[
            (
                "nothing_outlives_a_test_that_dies",
                nothing_outlives_a_test_that_dies,
            ),
            ("version_can_be_parsed", version_can_be_parsed),
            ("limited_users_hold_no_rights", limited_users_hold_no_rights),
            ("custom_resources_are_served", custom_resources_are_served),
            ("namespaces_end", namespaces_end),
            (
                "api_server_restarts_with_its_state",
                api_server_restarts_with_its_state,
            ),
            (
                "old_resource_versions_are_gone",
                old_resource_versions_are_gone,
            ),
            ("paused_api_server_goes_on", paused_api_server_goes_on),
            ("refused_manifests_are_named", refused_manifests_are_named),
            ("acid_sets_apply", acid_sets_apply),
        ],
    )
}

/// Starts a program that would run for an hour, says its pid and dies with nothing cleaned up.
fn make_orphan(folder: &Path) -> ! {
    let child = Program::new("sleep").arg("3600").spawn("sleep", folder);
    let pid = child.expect("sleep starts").pid();
    std::fs::write(folder.join("pid"), pid.to_string()).expect("the folder is there");
    std::process::abort()
}

fn nothing_outlives_a_test_that_dies(_: &ControlPlane) -> Outcome {
    let folder = tempfile::tempdir()?;
    let died = Program::new(std::env::current_exe()?)
        .env(ORPHAN_MAKER, folder.path())
        .dir(folder.path())
        .run()?;
    assert_eq!(died.code, None, "a signal ends it: {died:?}");
    let pid = std::fs::read_to_string(folder.path().join("pid"))?;
    let probe = Program::new("sh").args(["-c", "kill -s 0 \"$0\"", &pid]);
    wait_for("the end of the orphan", Duration::from_secs(10), || {
        Ok((probe.run()?.code != Some(0)).then_some(()))
    })?;
    Ok(Completion::Completed)
}

fn version_can_be_parsed(plane: &ControlPlane) -> Outcome {
    let version = plane.raw("/version")?;
    let minor = version["minor"].as_str().unwrap_or_default();
    let number: Result<u32, _> = minor.trim_end_matches('+').parse();
    assert!(
        number.is_ok(),
        "clients cannot parse the version: {version}"
    );
    Ok(Completion::Completed)
}

fn limited_users_hold_no_rights(plane: &ControlPlane) -> Outcome {
    let list = plane
        .kubectl_as("limited")?
        .args(["get", "configmaps", "-A"])
        .run()?;
    assert_eq!(list.code, Some(1), "stdout: {}", list.stdout);
    assert!(list.stderr.contains("Forbidden"), "stderr: {}", list.stderr);
    Ok(Completion::Completed)
}

fn crd(plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.bed.example.com") },
        "spec": {
            "group": "bed.example.com",
            "names": { "plural": plural, "kind": kind },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true
                } }
            }]
        }
    })
}

fn custom_resources_are_served(plane: &ControlPlane) -> Outcome {
    plane.apply(&crd("anchors", "Anchor"))?;
    plane.apply(&json!({
        "apiVersion": "bed.example.com/v1",
        "kind": "Anchor",
        "metadata": { "name": "first", "namespace": "default" },
        "spec": { "depth": 3 }
    }))?;
    let anchor = plane.kubectl_json(&["get", "anchors.bed.example.com", "first"])?;
    assert_eq!(anchor["spec"]["depth"], 3);
    Ok(Completion::Completed)
}

/// The controller manager acts: without it a namespace stays Terminating for ever.
fn namespaces_end(plane: &ControlPlane) -> Outcome {
    plane
        .kubectl(["create", "namespace", "fleeting"])?
        .success()?;
    plane
        .kubectl(["-n", "fleeting", "create", "configmap", "inside"])?
        .success()?;
    plane
        .kubectl(["delete", "namespace", "fleeting", "--timeout=60s"])?
        .success()?;
    let gone = plane.kubectl(["get", "namespace", "fleeting"])?;
    assert!(gone.stderr.contains("NotFound"), "{}", gone.stderr);
    Ok(Completion::Completed)
}

fn api_server_restarts_with_its_state(plane: &ControlPlane) -> Outcome {
    plane
        .kubectl(["create", "configmap", "kept", "--from-literal=a=b"])?
        .success()?;
    let server = plane.server();
    plane.stop_api_server()?;
    let down = plane.kubectl(["get", "configmap", "kept"])?;
    assert_ne!(down.code, Some(0), "a stopped API server answered");
    plane.start_api_server()?;
    assert_eq!(server, plane.server());
    let kept = plane.kubectl_json(&["get", "configmap", "kept"])?;
    assert_eq!(kept["data"]["a"], "b");
    plane.kill_api_server()?;
    plane.start_api_server()?;
    plane.kubectl(["get", "configmap", "kept"])?.success()?;
    Ok(Completion::Completed)
}

/// Both forms of 410 that clients must survive: an ERROR event in a watch, and the HTTP status of
/// a page whose snapshot is gone.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>
fn old_resource_versions_are_gone(plane: &ControlPlane) -> Outcome {
    let old = plane.resource_version()?;
    let page = plane.raw("/api/v1/namespaces?limit=1")?;
    let next = page["metadata"]["continue"].as_str();
    let next = next.ok_or("a list of one page cannot expire")?.to_owned();
    for value in ["1", "2", "3"] {
        plane
            .kubectl([
                "annotate",
                "namespace",
                "default",
                "--overwrite",
                &format!("bed={value}"),
            ])?
            .success()?;
    }
    plane.stop_api_server()?;
    plane.compact()?;
    plane.start_api_server()?;

    let path = format!("/api/v1/namespaces?watch=1&timeoutSeconds=5&resourceVersion={old}");
    let watch = plane.kubectl(["get", "--raw", &path])?;
    let event: Value = serde_json::from_str(watch.stdout.lines().next().unwrap_or_default())
        .map_err(|error| Failure::new(format!("{error}: {watch:?}")))?;
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );

    let path = format!("/api/v1/namespaces?limit=1&continue={next}");
    let page = plane.kubectl(["get", "--raw", &path])?;
    assert!(
        page.stderr.contains("(Expired)") || page.stderr.contains("(Gone)"),
        "{page:?}"
    );
    Ok(Completion::Completed)
}

fn paused_api_server_goes_on(plane: &ControlPlane) -> Outcome {
    plane.pause_api_server()?;
    let kubectl = plane.kubectl_as(ADMIN)?;
    let hung = kubectl
        .clone()
        .args(["get", "--raw", "/version", "--request-timeout=300ms"])
        .run()?;
    plane.resume_api_server()?;
    assert_ne!(hung.code, Some(0), "a paused API server answered");
    wait_for_success(
        "the answer of a resumed API server",
        Duration::from_secs(30),
        || {
            kubectl
                .clone()
                .args(["get", "--raw", "/version"])
                .run()?
                .success()
                .map(drop)
        },
    )?;
    Ok(Completion::Completed)
}

/// A set nobody has seen before: comments, a typed List, a namespace that is only mentioned, a
/// definition after its object, and an object that the API server does not want.
const UNTIDY: &str = r#"
# Nothing but a comment.
---
apiVersion: bed.example.com/v1
kind: Buoy
metadata: {name: early, namespace: mentioned}
--- # the List
apiVersion: v1
kind: ConfigMapList
items:
- metadata: {name: one, namespace: mentioned}
  data: {text: "a\n---\nb"}
- metadata: {name: two, namespace: mentioned}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: Not_A_Name, namespace: mentioned}
"#;

fn refused_manifests_are_named(plane: &ControlPlane) -> Outcome {
    for (how, suffix) in [
        (How::ClientSide, "a"),
        (How::ServerSide, "b"),
        (How::Create, "c"),
    ] {
        let folder = tempfile::tempdir()?;
        let namespace = format!("mentioned-{suffix}");
        let group = format!("{suffix}.example.com");
        let untidy = UNTIDY
            .replace("mentioned", &namespace)
            .replace("bed.example.com", &group);
        let crd = crd("buoys", "Buoy")
            .to_string()
            .replace("bed.example.com", &group);
        std::fs::write(folder.path().join("a.yaml"), untidy)?;
        std::fs::write(folder.path().join("z.json"), crd)?;
        let applied = Acid::read(folder.path())?.apply(plane, how)?;
        let refused: Vec<&str> = applied
            .refused
            .iter()
            .map(|(o, _)| o.name.as_str())
            .collect();
        assert_eq!(refused, ["Not_A_Name"], "{how:?}: {:?}", applied.refused);
        assert_eq!(applied.objects.len(), 4, "{how:?}: {:?}", applied.objects);
        let buoy = format!("buoys.{group}/early");
        let all = [
            "-n",
            &namespace,
            "get",
            "configmap/one",
            "configmap/two",
            &buoy,
        ];
        plane.kubectl(all)?.success()?;
    }
    Ok(Completion::Completed)
}

#[expect(
    clippy::print_stdout,
    reason = "how long the sets take is worth a line"
)]
fn acid_sets_apply(plane: &ControlPlane) -> Outcome {
    let acid = match Acid::open() {
        Ok(acid) => acid,
        Err(Unavailable::Missing(reason)) => return skipped("acid_sets_apply", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let applied = acid.apply(plane, How::Mixed)?;
    assert!(
        applied.refused.is_empty(),
        "refused: {:#?}",
        applied.refused
    );
    assert_eq!(applied.objects.len(), acid.objects().count());
    // Every one of them is really there, by kubectl's own account.
    let get = plane
        .kubectl_as(ADMIN)?
        .args(["get", "-o", "name", "-f", "-"]);
    let names = get.stdin(acid.manifest()).run()?.success()?;
    assert_eq!(names.lines().count(), applied.objects.len());
    println!(
        "acid: {} objects in {:.1} s",
        applied.objects.len(),
        applied.took.as_secs_f64()
    );
    Ok(Completion::Completed)
}
