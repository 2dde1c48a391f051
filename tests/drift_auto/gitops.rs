//! Applications and Kustomizations, with the status that their controllers write.

use libtest_mimic::Completion;
use serde_json::{Value, json};
use strandline::drift::accept::Ignored;
use strandline::drift::desired::auto::{Auto, Releases, find, read_all};
use strandline::drift::desired::{Desired, RenderContext};
use strandline::drift::live::Live;

use super::live;
use super::server::GitServer;
use super::support::plane::{ADMIN, ControlPlane};
use super::support::program::Program;
use super::support::suite::{Outcome, skipped};
use super::support::{Context as _, Failure, Result, Unavailable, folder, wait_for_success};

/// Two commits of a repository: the first is applied, the second is on the branch.
struct Repository {
    _folder: tempfile::TempDir,
    url: String,
    applied: String,
    head: String,
}

fn config(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: {value}}}\n")
}

impl Repository {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder")?;
        let work = folder.path().join("fleet");
        std::fs::create_dir_all(work.join("apps/deep")).context("folders")?;
        let git = |args: &[&str]| Program::git(&work).args(args).run()?.success();
        let write = |file: &str, text: String| std::fs::write(work.join(file), text).context(file);
        git(&["init", "--quiet", "--initial-branch=main"])?;
        write("apps/a.yaml", config("a", "old"))?;
        write("apps/deep/b.yaml", config("b", "old"))?;
        git(&["add", "."])?;
        git(&["commit", "--quiet", "-m", "one"])?;
        let applied = git(&["rev-parse", "HEAD"])?.trim().to_owned();
        write("apps/a.yaml", config("a", "new"))?;
        git(&["commit", "--quiet", "-a", "-m", "two"])?;
        let head = git(&["rev-parse", "HEAD"])?.trim().to_owned();
        let url = GitServer::start(folder.path())?.url("fleet/.git");
        Ok(Self {
            _folder: folder,
            url,
            applied,
            head,
        })
    }
}

/// Applies these CRDs; `None` where they are not on this machine.
fn crds(plane: &ControlPlane, files: &[&str]) -> Result<Option<String>> {
    let folder = match folder("STRANDLINE_CRDS_DIR") {
        Ok(folder) => folder,
        Err(Unavailable::Missing(reason)) => return Ok(Some(reason)),
        Err(Unavailable::Broken(failure)) => return Err(failure),
    };
    for file in files {
        let path = folder.join(file);
        let path = path.to_string_lossy();
        plane
            .kubectl(["apply", "--server-side", "-f", &*path])?
            .success()?;
    }
    Ok(None)
}

/// Creates an object and writes its status as a controller does.
fn create(plane: &ControlPlane, object: &Value, status: &Value) -> Result<()> {
    plane.apply(object)?;
    if status.is_null() {
        return Ok(());
    }
    let mut with = object.clone();
    with["status"] = status.clone();
    let resource = format!(
        "{}.{}",
        object["kind"].as_str().unwrap_or_default().to_lowercase(),
        object["apiVersion"]
            .as_str()
            .unwrap_or_default()
            .split('/')
            .next()
            .unwrap_or_default()
    );
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    // Argo CD's Application has no status subresource.
    let patch = json!({"status": status}).to_string();
    let arguments = [
        "patch",
        &resource,
        name,
        "-n",
        namespace,
        "--type=merge",
        "-p",
        &patch,
    ];
    let subresource: &[&str] = if resource.starts_with("application") {
        &[]
    } else {
        &["--subresource=status"]
    };
    let patch = plane.kubectl_as(ADMIN)?.args(arguments).args(subresource);
    wait_for_success("the status", std::time::Duration::from_secs(20), || {
        patch.run()?.success().map(drop)
    })
}

fn namespace(plane: &ControlPlane, name: &str) -> Result<()> {
    plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
}

fn desired(auto: Auto, live: &Live) -> Result<Vec<Desired>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    Ok(runtime.block_on(read_all(auto.found, &RenderContext::default(), live)))
}

fn check(holds: bool, what: &str, shown: &dyn std::fmt::Debug) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Failure::new(format!("{what}: {shown:?}")))
}

/// `name=value` of each `ConfigMap`.
fn values(manifests: &[strandline::drift::desired::Manifest]) -> Vec<String> {
    let value = |value: &Value| {
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        format!("{name}={}", value["data"]["k"].as_str().unwrap_or_default())
    };
    manifests
        .iter()
        .map(|manifest| value(&manifest.value()))
        .collect()
}

/// Both revisions of both files.
fn is_followed(desired: &Desired, repository: &Repository) -> Result<()> {
    check(desired.problems.is_empty(), "problems", &desired.problems)?;
    let applied = values(&desired.manifests);
    check(applied == ["a=old", "b=old"], "what is applied", &applied)?;
    let head = values(desired.head.as_deref().unwrap_or_default());
    check(head == ["a=new", "b=old"], "what is next", &head)?;
    let revisions = (
        desired.revision.as_deref(),
        desired.head_revision.as_deref(),
    );
    let expected = (Some(&*repository.applied), Some(&*repository.head));
    check(revisions == expected, "the revisions", &revisions)
}

pub fn argo(plane: &ControlPlane) -> Outcome {
    if let Some(reason) = crds(plane, &["argo-cd/application-crd.yaml"])? {
        return skipped("argo_cd_applications_are_followed", &reason);
    }
    let repository = Repository::new()?;
    namespace(plane, "argocd")?;
    plane.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {"resource.customizations.ignoreDifferences.all":
            "managedFieldsManagers:\n- kube-controller-manager\n"},
    }))?;
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
            "source": {"repoURL": repository.url, "path": "apps", "targetRevision": "main",
                "directory": {"recurse": true}},
            "ignoreDifferences": [{"group": "apps", "kind": "Deployment",
                "jqPathExpressions": [".spec.template.spec.containers[] | select(.name == \"x\") | .image"]}],
        },
    });
    let status = json!({
        "sync": {"status": "OutOfSync", "revision": repository.head, "comparedTo": {
            "destination": {"server": "https://kubernetes.default.svc"},
            "source": {"repoURL": repository.url}}},
        "history": [{"id": 0, "deployedAt": "2026-01-01T00:00:00Z", "revision": repository.applied}],
        "sourceType": "Directory",
        "resources": [{"kind": "ConfigMap", "namespace": "shop", "name": "a", "version": "v1"}],
    });
    create(plane, &application, &status)?;
    let live = live::read(plane, &["applications.argoproj.io", "configmaps"])?;
    let auto = find(&live, &Releases::NotRecorded);
    check(auto.found.len() == 1, "the sources", &auto.found)?;
    check(auto.warnings.is_empty(), "the warnings", &auto.warnings)?;
    let rules: Vec<&Ignored> = auto.found[0]
        .ignores
        .iter()
        .map(|rule| &rule.what)
        .collect();
    let both = matches!(rules[..], [Ignored::Paths(_), Ignored::Managers(_)]);
    check(both, "its rules and the system's", &rules)?;
    check(
        auto.found[0].owned.len() == 1,
        "what it owns",
        &auto.found[0].owned,
    )?;
    is_followed(&desired(auto, &live)?[0], &repository)?;
    Ok(Completion::Completed)
}

pub fn flux(plane: &ControlPlane) -> Outcome {
    let files = [
        "flux-kustomize-controller/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
        "flux-source-controller/source.toolkit.fluxcd.io_gitrepositories.yaml",
    ];
    if let Some(reason) = crds(plane, &files)? {
        return skipped("flux_kustomizations_are_followed", &reason);
    }
    let repository = Repository::new()?;
    namespace(plane, "flux-system")?;
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "fleet", "namespace": "flux-system"},
        "spec": {"interval": "1m", "url": repository.url, "ref": {"branch": "main"}},
    });
    let now = "2026-01-01T00:00:00Z";
    let artifact = json!({"artifact": {
        "revision": format!("main@sha1:{}", repository.head), "path": "p", "url": "http://x/p",
        "digest": format!("sha256:{}", "0".repeat(64)), "lastUpdateTime": now}});
    create(plane, &source, &artifact)?;
    let kustomization = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": "flux-system"},
        "spec": {
            "interval": "10m", "prune": true, "path": "./apps", "targetNamespace": "shop",
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            "ignore": [{"paths": ["/data/k"], "target": {"kind": "ConfigMap", "name": "mark.*"}}],
        },
    });
    let id = |name: &str| json!({"id": format!("shop_{name}__ConfigMap"), "v": "v1"});
    let status = json!({
        "lastAppliedRevision": format!("main@sha1:{}", repository.applied),
        "inventory": {"entries": [id("a"), id("b"), id("marked")]},
    });
    create(plane, &kustomization, &status)?;
    namespace(plane, "shop")?;
    plane.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "x"},
        "metadata": {"name": "marked", "namespace": "shop"},
    }))?;
    let types = [
        "kustomizations.kustomize.toolkit.fluxcd.io",
        "gitrepositories.source.toolkit.fluxcd.io",
        "configmaps",
    ];
    let live = live::read(plane, &types)?;
    let auto = find(&live, &Releases::NotRecorded);
    check(auto.found.len() == 1, "the sources", &auto.found)?;
    check(auto.warnings.is_empty(), "the warnings", &auto.warnings)?;
    check(
        auto.found[0].owned.len() == 3,
        "what it owns",
        &auto.found[0].owned,
    )?;
    let rules = &auto.found[0].ignores;
    let reaches = rules.len() == 1 && rules[0].object_name.as_deref() == Some("marked");
    check(reaches, "the rule's object", rules)?;
    let desired = desired(auto, &live)?;
    is_followed(&desired[0], &repository)?;
    for manifest in &desired[0].manifests {
        let namespace = &manifest.value()["metadata"]["namespace"];
        check(namespace == "shop", "the target namespace", namespace)?;
    }
    Ok(Completion::Completed)
}
