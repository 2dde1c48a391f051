//! `strandline drift` without a word of what is desired.

use std::collections::BTreeSet;

use libtest_mimic::Completion;
use serde_json::{Value, json};

use super::scene::{NAMESPACED, READER, SOON, Scene};
use super::support::plane::ControlPlane;
use super::support::program::Program;
use super::support::suite::{Outcome, skipped};
use super::support::{Context as _, Failure, Result, Unavailable};

/// Before anybody changed something: what Git has not applied, and what rules allow.
const QUIET: [&str; 8] = [
    "ConfigMap release3/release3-hook: Ignored of -, in no source; Helm release release3/release3, revision 2, hook",
    "ConfigMap release4/release4-hook: Ignored of -, in no source; Helm release release4/release4, revision 2, hook",
    "ConfigMap shop/settings: Pending of argocd:argocd/shop",
    "ConfigMap shop/settings: data.k Pending, changed in Git at HEAD",
    "ConfigMap workers/left: Ignored of flux:flux-system/workers, kustomize.toolkit.fluxcd.io/reconcile: disabled",
    "CustomResourceDefinition -/carts.shop.example.com: Ignored of -, in no source; Helm release release3/release3, revision 2, crds/",
    "Namespace -/release3: Ignored of -, in no source; Helm, --create-namespace release3",
    "Namespace -/release4: Ignored of -, in no source; Helm, --create-namespace release4",
];

/// What [`Scene::drift`] adds to it.
const DRIFT: [&str; 22] = [
    "ConfigMap shop/settings: metadata.labels.tuned Ignored by tuner Update, Argo CD ConfigMap argocd/argocd-cm, resource.customizations.ignoreDifferences.all",
    "ConfigMap shop/stray: Extra of -",
    "ConfigMap workers/gone: Missing of flux:flux-system/workers",
    "ConfigMap workers/merged: Ignored of flux:flux-system/workers",
    "ConfigMap workers/merged: data.more Ignored by kubectl-patch Update, kustomize.toolkit.fluxcd.io/ssa: Merge",
    "ConfigMap workers/queue: Ignored of flux:flux-system/workers",
    "ConfigMap workers/queue: data.k Ignored by kubectl-patch Update, Flux Kustomization flux-system/workers, ignore[0]",
    "Deployment release3/release3-web: Modified of helm:release3/release3",
    "Deployment release3/release3-web: spec.replicas Changed by kubectl Update scale",
    "Deployment release4/release4-web: Modified of helm:release4/release4",
    "Deployment release4/release4-web: metadata.annotations.note Added by kubectl-annotate Update",
    "Deployment release4/release4-web: spec.template.spec.containers[name=web].image Changed by kubectl-set Update",
    "Deployment shop/web: Modified of argocd:argocd/shop",
    "Deployment shop/web: spec.replicas Ignored by kubectl Update scale, Argo CD Application argocd/shop, ignoreDifferences[0]",
    "Deployment shop/web: spec.template.spec.containers[name=proxy].image Ignored by kubectl-set Update, Argo CD Application argocd/shop, ignoreDifferences[0]",
    "Deployment shop/web: spec.template.spec.containers[name=web].image Changed by kubectl-set Update",
    "Deployment workers/worker: Modified of flux:flux-system/workers",
    "Deployment workers/worker: metadata.annotations.note Added by kubectl-annotate Update",
    "Namespace -/shop: Modified of argocd:argocd/platform",
    "Namespace -/shop: metadata.labels.team Added by kubectl-label Update",
    "Service shop/web: Ignored of argocd:argocd/shop",
    "Service shop/web: spec.selector.tier Ignored by kubectl-patch Update, Argo CD Application argocd/shop, ignoreDifferences[1]",
];

/// What a mirror knows of Helm.
const OF_HELM: [&str; 11] = [
    "ClusterRole -/release3-role: Unknown",
    "ClusterRole -/release4-role: Unknown",
    "ConfigMap release3/release3-hook: Unknown",
    "ConfigMap release4/release4-hook: Unknown",
    "CustomResourceDefinition -/carts.shop.example.com: Unknown",
    "Deployment release3/release3-web: Unknown",
    "Deployment release4/release4-web: Unknown",
    "Namespace -/release3: Ignored",
    "Namespace -/release4: Ignored",
    "Secret release3/release3-secret: Unknown",
    "Secret release4/release4-secret: Unknown",
];

const SOURCES: [&str; 4] = [
    "argocd argocd:argocd/platform",
    "argocd argocd:argocd/shop",
    "flux flux:flux-system/flux-system",
    "flux flux:flux-system/workers",
];

/// A report, as far as it matters here.
#[derive(Debug)]
struct Report {
    code: i32,
    json: Value,
    /// One for each object, and one for each of its fields.
    lines: BTreeSet<String>,
}

impl Report {
    /// Runs `drift`, with these arguments and JSON for the report.
    fn of(scene: &Scene, program: Program) -> Result<Self> {
        let finished = program.deadline(SOON).run()?;
        let Some(code @ (0 | 1 | 3)) = finished.code else {
            finished.success()?;
            return Err(Failure::new("no exit code"));
        };
        let said = format!("{}{}", finished.stdout, finished.stderr);
        // As it is, and in base64.
        if said.contains("hunter2") || said.contains("aHVudGVyM") {
            return Err(Failure::new("a value of a Secret is shown"));
        }
        let json: Value = serde_json::from_str(&finished.stdout).context(&finished.stderr)?;
        let mut lines = BTreeSet::new();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let or = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        for object in json["objects"].as_array().into_iter().flatten() {
            let name = format!(
                "{} {}/{}",
                text(&object["kind"]),
                or(&object["namespace"]),
                text(&object["name"])
            );
            let because = |value: &Value| value.as_str().map(|why| format!(", {why}"));
            let mut add = |line: String| {
                let line = line.replace(&scene.head, "HEAD");
                if lines.insert(line.clone()) {
                    return Ok(());
                }
                Err(Failure::new(format!("{line} is told twice")))
            };
            add(format!(
                "{name}: {} of {}{}",
                text(&object["class"]),
                or(&object["source"]),
                because(&object["reason"]).unwrap_or_default()
            ))?;
            for field in object["fields"].as_array().into_iter().flatten() {
                let parts = ["manager", "operation", "subresource"].map(|part| text(&field[part]));
                let by = parts.join(" ");
                let by = match by.trim() {
                    "" => String::new(),
                    by => format!(" by {by}"),
                };
                add(format!(
                    "{name}: {} {}{by}{}",
                    text(&field["path"]),
                    text(&field["class"]),
                    because(&field["rule"]).unwrap_or_default()
                ))?;
            }
        }
        Ok(Self { code, json, lines })
    }

    fn sources(&self) -> Vec<String> {
        let sources = self.json["sources"].as_array().into_iter().flatten();
        let part = |source: &Value, key: &str| source[key].as_str().unwrap_or_default().to_owned();
        sources
            .map(|source| format!("{} {}", part(source, "kind"), part(source, "name")))
            .collect()
    }

    /// Lines of the objects that are of Helm, or are not.
    fn helms(&self, are: bool) -> BTreeSet<String> {
        let is_helms = |line: &str| line.contains("release") || line.contains("carts.shop");
        let lines = self.lines.iter().filter(|line| is_helms(line) == are);
        lines.cloned().collect()
    }
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

/// As a user who may only read.
fn drift(plane: &ControlPlane, scene: &Scene, user: &str, args: &[&str]) -> Result<Report> {
    let program = Program::strandline(scene.home())
        .args(["drift", "-o", "json", "--kubeconfig"])
        .arg(plane.kubeconfig(user)?)
        .args(args);
    Report::of(scene, program)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, expected: &T) -> Result<()> {
    if is == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{what}: {is:#?} instead of {expected:#?}"
    )))
}

pub fn auto_needs_no_flag(plane: &ControlPlane) -> Outcome {
    let scene = match Scene::set(plane) {
        Ok(scene) => scene,
        Err(Unavailable::Missing(reason)) => return skipped("auto_needs_no_flag", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let helm = ["release3", "release4"].map(|name| format!("helm-release helm:{name}/{name}"));
    let all: Vec<String> = SOURCES.map(str::to_owned).into_iter().chain(helm).collect();

    let quiet = drift(plane, &scene, READER, &[])?;
    same("nothing changed", &quiet.lines, &set(&QUIET))?;
    same("its sources", &quiet.sources(), &all)?;
    same("its code", &quiet.code, &0)?;
    same("its warnings", &quiet.json["warnings"], &json!([]))?;
    for source in quiet.json["sources"].as_array().into_iter().flatten() {
        if source["kind"] != "helm-release" {
            let both = (&source["revision"], &source["headRevision"]);
            let expected = (&json!(scene.applied), &json!(scene.head));
            same("the revisions", &both, &expected)?;
        }
    }

    Scene::drift(plane)?;
    let found = drift(plane, &scene, READER, &[])?;
    let expected: BTreeSet<String> = set(&QUIET).into_iter().chain(set(&DRIFT)).collect();
    same("what changed", &found.lines, &expected)?;
    same("its sources", &found.sources(), &all)?;
    same("its code", &found.code, &1)?;
    // Each rule says how much it hid.
    for (rule, objects, fields) in [
        (
            "Argo CD Application argocd/shop, ignoreDifferences[0]",
            0,
            2,
        ),
        (
            "Argo CD Application argocd/shop, ignoreDifferences[1]",
            0,
            1,
        ),
        ("Flux Kustomization flux-system/workers, ignore[0]", 0, 1),
        ("kustomize.toolkit.fluxcd.io/reconcile: disabled", 1, 0),
        ("Helm, --create-namespace release3", 1, 0),
    ] {
        let counted = json!({"rule": rule, "objects": objects, "fields": fields});
        let by = found.json["ignoredBy"].as_array().into_iter().flatten();
        let hid = by.filter(|by| by["rule"] == rule).cloned().collect();
        same("what a rule hid", &hid, &vec![counted])?;
    }
    mirror(plane, &scene, &found)?;
    namespaces(plane, &scene, &found)?;
    Ok(Completion::Completed)
}

/// From the mirror alone: the same of Argo CD and Flux, and nothing is known of Helm.
fn mirror(plane: &ControlPlane, scene: &Scene, live: &Report) -> Result<()> {
    Program::strandline(scene.home())
        .args(["snapshot", "--repository", "mirror.git", "--kubeconfig"])
        .arg(plane.kubeconfig(READER)?)
        .deadline(SOON)
        .run()?
        .success()?;
    let program = Program::strandline(scene.home())
        .env("KUBECONFIG", "/nonexistent")
        .args(["drift", "-o", "json", "--mirror", "mirror.git"]);
    let report = Report::of(scene, program)?;
    same("from a mirror", &report.helms(false), &live.helms(false))?;
    let mut sources: Vec<String> = SOURCES.map(str::to_owned).into();
    sources.push("helm-release helm".to_owned());
    same("its sources", &report.sources(), &sources)?;
    let of_helm = report.helms(true);
    let classes = of_helm.iter().filter_map(|line| line.split(" of ").next());
    let classes: BTreeSet<String> = classes.map(str::to_owned).collect();
    same("Helm's in a mirror", &classes, &set(&OF_HELM))?;
    let said = of_helm.iter().filter(|line| line.contains("Unknown"));
    for line in said {
        if !line.contains("Helm releases are not recorded") {
            return Err(Failure::new(format!("{line} has another reason")));
        }
    }
    same("its code", &report.code, &3)
}

/// Of one namespace, the same as of all; what may not be read is unknown.
fn namespaces(plane: &ControlPlane, scene: &Scene, live: &Report) -> Result<()> {
    let inside = |namespace: &str| {
        let infix = format!(" {namespace}/");
        let lines = live.lines.iter().filter(|line| line.contains(&infix));
        lines.cloned().collect::<BTreeSet<String>>()
    };
    for (namespace, source) in [
        ("shop", "argocd argocd:argocd/shop"),
        ("workers", "flux flux:flux-system/workers"),
    ] {
        let report = drift(plane, scene, READER, &["-n", namespace])?;
        same(namespace, &report.lines, &inside(namespace))?;
        same("its sources", &report.sources(), &vec![source.to_owned()])?;
        same("its code", &report.code, &1)?;
    }
    // Whose rights end with the namespace.
    let report = drift(plane, scene, NAMESPACED, &["-n", "release4"])?;
    let (unknown, others): (BTreeSet<String>, BTreeSet<String>) = report
        .lines
        .into_iter()
        .partition(|line| line.contains("Unknown"));
    same("release4", &others, &inside("release4"))?;
    same("its code", &report.code, &3)?;
    let unknown: Vec<&String> = unknown.iter().collect();
    let [binding] = unknown[..] else {
        return Err(Failure::new(format!("{unknown:?}")));
    };
    let expected = "RoleBinding release4/reader: Unknown of argocd, Argo CD Applications deploy here \
                    that cannot be asked, because forbidden";
    if !(binding.starts_with(expected) && binding.ends_with("(platform)")) {
        return Err(Failure::new(binding));
    }
    Ok(())
}
