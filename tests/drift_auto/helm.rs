//! Releases that `helm` made.

use std::path::Path;

use libtest_mimic::Completion;
use strandline::drift::accept::Ignored;
use strandline::drift::desired::auto::{Fetch, Releases, StoredRelease, find};

use super::live;
use super::support::plane::{ADMIN, ControlPlane};
use super::support::program::Program;
use super::support::suite::{Outcome, skipped};
use super::support::{Context as _, Failure, Result, Unavailable, assets};

const FILES: [(&str, &str); 6] = [
    ("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
    ("values.yaml", "replicas: 1\npassword: hunter2\n"),
    (
        "crds/crd.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
         metadata: {name: carts.shop.example.com}\nspec:\n  group: shop.example.com\n  \
         names: {kind: Cart, plural: carts}\n  scope: Namespaced\n  versions:\n  \
         - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}\n",
    ),
    (
        "templates/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}-web}\nspec:\n  \
         replicas: {{ .Values.replicas }}\n  selector: {matchLabels: {a: b}}\n  template:\n    \
         metadata: {labels: {a: b}}\n    spec: {containers: [{name: web, image: web}]}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
         metadata: {name: {{ .Release.Name }}-role}\nrules: []\n",
    ),
    (
        "templates/secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}-secret}\n\
         stringData: {password: {{ .Values.password }}}\n",
    ),
    (
        "templates/hook.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-hook\n  \
         annotations: {helm.sh/hook: pre-install}\n",
    ),
];

pub fn releases_are_read(plane: &ControlPlane) -> Outcome {
    match assets::helms() {
        Ok(helms) => {
            for (at, helm) in helms.iter().enumerate() {
                one(plane, helm, &format!("shop{}", at + 3))?;
            }
            Ok(Completion::Completed)
        }
        Err(Unavailable::Missing(reason)) => skipped("helm_3_and_4_releases_are_read", &reason),
        Err(Unavailable::Broken(failure)) => Err(failure.into()),
    }
}

fn one(plane: &ControlPlane, helm: &Path, name: &str) -> Result<()> {
    let scratch = tempfile::tempdir().context("a folder")?;
    let chart = scratch.path().join("chart");
    for (file, text) in FILES {
        let path = chart.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(&chart)).context(file)?;
        std::fs::write(path, text).context(file)?;
    }
    let kubeconfig = plane.kubeconfig(ADMIN)?;
    let helm = |args: &[&str]| {
        let program = Program::new(helm)
            .dir(scratch.path())
            .env("HOME", scratch.path())
            .env("KUBECONFIG", &kubeconfig)
            .args(args);
        program.run()?.success()
    };
    let namespace = ["--namespace", name];
    helm(
        &[
            &["install", name, "./chart", "--create-namespace"],
            &namespace[..],
        ]
        .concat(),
    )?;
    helm(
        &[
            &["upgrade", name, "./chart", "--set", "replicas=2"],
            &namespace[..],
        ]
        .concat(),
    )?;

    let secrets = plane.kubectl_json(&["get", "secrets", "-n", name])?;
    let items = secrets["items"].as_array().into_iter().flatten();
    let releases: Vec<StoredRelease> = items.filter_map(StoredRelease::of).collect();
    let mut revisions: Vec<(u64, &str)> = releases
        .iter()
        .map(|release| (release.version, release.status.as_str()))
        .collect();
    revisions.sort_unstable();
    same(
        "its revisions",
        &revisions,
        &vec![(1, "superseded"), (2, "deployed")],
    )?;

    let types = [
        "deployments",
        "configmaps",
        "secrets",
        "/clusterroles",
        "/customresourcedefinitions",
    ];
    let live = live::read(plane, &types)?;
    let auto = find(&live, &Releases::Known(&releases));
    let [found] = &auto.found[..] else {
        return Err(Failure::new(format!("{name}: {:?}", auto.found)));
    };
    same("its name", &found.name, &format!("helm:{name}/{name}"))?;
    let [Fetch::Manifest(rendered)] = &found.fetches[..] else {
        return Err(Failure::new(format!("{name}: {:?}", found.fetches)));
    };
    let manifest = helm(&[&["get", "manifest", name], &namespace[..]].concat())?;
    same("its manifest", &rendered.0.trim_end(), &manifest.trim_end())?;
    // What it owns is live, under the very identities; what it brought besides is named.
    let mut owned: Vec<String> = Vec::new();
    for object in &found.owned {
        if !live.objects.contains_key(object) {
            return Err(Failure::new(format!("{object:?} is not live")));
        }
        owned.push(object.name.to_string());
    }
    owned.sort();
    let expected = ["role", "secret", "web"].map(|part| format!("{name}-{part}"));
    same("what it owns", &owned, &expected.to_vec())?;
    let mut besides: Vec<(String, String)> = Vec::new();
    for rule in &auto.ignores {
        if rule.what == Ignored::Extra && rule.name.starts_with("Helm release") {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            besides.push((text(&rule.kind), text(&rule.object_name)));
        }
    }
    let named = |kind: &str, name: String| (kind.to_owned(), name);
    let expected = vec![
        named("ConfigMap", format!("{name}-hook")),
        named(
            "CustomResourceDefinition",
            "carts.shop.example.com".to_owned(),
        ),
    ];
    same("what it brought besides", &besides, &expected)?;
    let debug = format!("{auto:?} {releases:?}");
    if debug.contains("hunter2") {
        return Err(Failure::new("a value of the release is shown"));
    }

    // From a mirror, which has no releases: the objects name theirs.
    let auto = find(&live, &Releases::NotRecorded);
    let own = auto.found.iter().flat_map(|found| &found.owned);
    let own = own.filter(|object| object.name.starts_with(name));
    let mut own: Vec<String> = own.map(|object| object.name.to_string()).collect();
    own.sort();
    same("what is known from a mirror", &own, &owned)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, left: &T, right: &T) -> Result<()> {
    if left == right {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{what}: {left:?} instead of {right:?}"
    )))
}
