//! A cluster that Argo CD, Flux and Helm deploy to: what their controllers would have written.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::server::GitServer;
use super::support::plane::{ADMIN, ControlPlane};
use super::support::program::Program;
use super::support::{Context as _, Result, Unavailable, assets, folder, wait_for_success};

/// Holds `get`, `list` and `watch`, and nothing else.
pub const READER: &str = "recorder";
/// Holds the same in one namespace alone.
pub const NAMESPACED: &str = "limited";

const ARGO: &str = "argocd-controller";
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
/// How long a busy machine may take.
pub const SOON: Duration = Duration::from_secs(180);
const IN_CLUSTER: &str = "https://kubernetes.default.svc";
const CRDS: [&str; 3] = [
    "argo-cd/application-crd.yaml",
    "flux-kustomize-controller/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    "flux-source-controller/source.toolkit.fluxcd.io_gitrepositories.yaml",
];

/// What the scene's repository is like, and the folder that is gone with it.
pub struct Scene {
    home: tempfile::TempDir,
    /// The commit that is live.
    pub applied: String,
    /// The newest one.
    pub head: String,
}

/// Manifests, and the folder of the repository that they lie in.
struct Part {
    folder: &'static str,
    objects: Vec<Value>,
}

impl Scene {
    /// Fills a fresh control plane.
    pub fn set(plane: &ControlPlane) -> Result<Self, Unavailable> {
        let crds = folder("STRANDLINE_CRDS_DIR")?;
        let helms = assets::helms()?;
        let home = tempfile::tempdir().context("a folder for the scene")?;
        let fleet = home.path().join("fleet");
        std::fs::create_dir(&fleet).context(fleet.display())?;
        let url = GitServer::start(home.path())?.url("fleet/.git");
        let parts = [platform(&url), shop(), flux_system(&url), workers()];
        let git = |args: &[&str]| Program::git(&fleet).args(args).run()?.success();
        git(&["init", "--quiet", "--initial-branch=main"])?;
        for part in &parts {
            part.write(&fleet)?;
        }
        let below = fleet.join("platform/crds");
        std::fs::create_dir(&below).context(below.display())?;
        for (at, crd) in CRDS.iter().enumerate() {
            let copy = below.join(format!("{at}.yaml"));
            std::fs::copy(crds.join(crd), copy).context(crd)?;
        }
        git(&["add", "."])?;
        git(&["commit", "--quiet", "-m", "one"])?;
        let applied = git(&["rev-parse", "HEAD"])?.trim().to_owned();
        // What nobody has applied yet.
        let next = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "shop"}, "data": {"k": "new"}});
        write(&fleet.join("shop/settings.yaml"), &next)?;
        git(&["commit", "--quiet", "-a", "-m", "two"])?;
        let head = git(&["rev-parse", "HEAD"])?.trim().to_owned();

        let definitions = plane.kubectl_as(ADMIN)?.args(["apply", "--server-side"]);
        let definitions = definitions
            .args(["--field-manager", ARGO, "-f"])
            .arg(&below);
        definitions.run()?.success()?;
        let [platform, shop, flux_system, workers] = parts;
        // Of the namespace of a release, which Helm makes.
        let is_late = |object: &Value| object["kind"] == "RoleBinding";
        let (late, early) = platform.objects.into_iter().partition::<Vec<_>, _>(is_late);
        apply(plane, ARGO, early, |object| track(object, "platform"))?;
        apply(plane, ARGO, shop.objects, |object| track(object, "shop"))?;
        for (part, name) in [(flux_system, "flux-system"), (workers, "workers")] {
            apply(plane, "kustomize-controller", part.objects, |object| {
                own(object, name);
            })?;
        }
        let scene = Self {
            home,
            applied,
            head,
        };
        scene.report_status(plane)?;
        for (at, helm) in helms.iter().enumerate() {
            scene.install(plane, helm, &format!("release{}", at + 3))?;
        }
        apply(plane, ARGO, late, |object| track(object, "platform"))?;
        Ok(scene)
    }

    /// Changes something of each source by hand, and something that its rules allow.
    pub fn drift(plane: &ControlPlane) -> Result<()> {
        let patch = r#"{"data": {"k": "edited"}}"#;
        for args in [
            "set image -n shop deployment/web web=web:2 proxy=proxy:2",
            "scale -n shop deployment/web --replicas 5",
            "label -n shop configmap/settings tuned=yes --field-manager tuner",
            "label namespace/shop team=a",
            "create configmap stray -n shop",
            "annotate -n workers deployment/worker note=a",
            "delete -n workers configmap/gone",
            "scale -n release3 deployment/release3-web --replicas 5",
            "annotate -n release4 deployment/release4-web note=a",
            "set image -n release4 deployment/release4-web web=web:2",
        ] {
            plane.kubectl(args.split(' '))?.success()?;
        }
        for (args, patch) in [
            (
                "service/web -n shop",
                r#"{"spec": {"selector": {"tier": "a"}}}"#,
            ),
            ("configmap/queue -n workers", patch),
            ("configmap/left -n workers", patch),
            ("configmap/merged -n workers", r#"{"data": {"more": "a"}}"#),
        ] {
            let args = args.split(' ');
            let kubectl = plane.kubectl_as(ADMIN)?.arg("patch").args(args);
            kubectl.args(["-p", patch]).run()?.success()?;
        }
        Ok(())
    }

    /// A folder that is gone with the scene.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// What the controllers say that they did, of each the first object.
    fn report_status(&self, plane: &ControlPlane) -> Result<()> {
        let web = json!({"group": "apps", "version": "v1", "kind": "Deployment",
            "namespace": "shop", "name": "web"});
        let namespace = json!({"version": "v1", "kind": "Namespace", "name": "shop"});
        for (name, resource) in [("platform", namespace), ("shop", web)] {
            let status = json!({
                "sync": {"status": "OutOfSync", "revision": self.head, "comparedTo": {
                    "destination": {"server": IN_CLUSTER}, "source": {"repoURL": "x"}}},
                "history": [{"id": 0, "deployedAt": "2026-01-01T00:00:00Z", "revision": self.applied}],
                "sourceType": "Directory",
                "resources": [resource],
            });
            // Argo CD's Application has no status subresource.
            patch_status(
                plane,
                &["applications.argoproj.io", name, "-n", "argocd"],
                &status,
            )?;
        }
        let revision = |commit: &str| format!("main@sha1:{commit}");
        let artifact = json!({"artifact": {"revision": revision(&self.head), "path": "p",
            "url": "http://x/p", "digest": format!("sha256:{}", "0".repeat(64)),
            "lastUpdateTime": "2026-01-01T00:00:00Z"}});
        let repository = ["gitrepositories", "fleet", "-n", "flux-system"];
        let status = ["--subresource=status"];
        patch_status(plane, &[&repository[..], &status].concat(), &artifact)?;
        for (name, id) in [
            (
                "flux-system",
                "flux-system_fleet_source.toolkit.fluxcd.io_GitRepository",
            ),
            ("workers", "workers_queue__ConfigMap"),
        ] {
            let done = json!({"lastAppliedRevision": revision(&self.applied),
                "inventory": {"entries": [{"id": id, "v": "v1"}]}});
            let kustomization = ["kustomizations", name, "-n", "flux-system"];
            patch_status(plane, &[&kustomization[..], &status].concat(), &done)?;
        }
        Ok(())
    }

    /// Installs and upgrades a release.
    fn install(&self, plane: &ControlPlane, helm: &Path, name: &str) -> Result<()> {
        let chart = self.home().join("chart");
        for (file, text) in CHART {
            let path = chart.join(file);
            std::fs::create_dir_all(path.parent().unwrap_or(&chart)).context(file)?;
            std::fs::write(path, text).context(file)?;
        }
        let kubeconfig = plane.kubeconfig(ADMIN)?;
        for args in [
            &["install", name, "./chart", "--create-namespace"][..],
            &["upgrade", name, "./chart", "--set", "replicas=2"],
        ] {
            Program::new(helm)
                .dir(self.home())
                .env("HOME", self.home())
                .env("KUBECONFIG", &kubeconfig)
                .deadline(SOON)
                .args(args)
                .args(["--namespace", name])
                .run()?
                .success()?;
        }
        Ok(())
    }
}

/// The objects of Argo CD's Application of Applications.
fn platform(url: &str) -> Part {
    let application = |name: &str, namespace: &str, more: Value| {
        let mut application = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {"project": "default",
                "destination": {"server": IN_CLUSTER, "namespace": namespace},
                "source": {"repoURL": url, "path": name, "targetRevision": "main",
                    "directory": {"recurse": true}}},
        });
        if let (Some(spec), Value::Object(more)) = (application["spec"].as_object_mut(), more) {
            spec.extend(more);
        }
        application
    };
    let rights =
        json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]);
    let rbac = |kind: &str, name: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
    let with = |mut object: Value, fields: Value| {
        if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
            object.extend(fields);
        }
        object
    };
    let bind = |kind: &str, user: &str| {
        json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "reader"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})
    };
    let mut objects: Vec<Value> = ["argocd", "shop", "flux-system", "workers"]
        .iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .collect();
    objects.extend([
        with(rbac("ClusterRole", "reader"), json!({"rules": rights})),
        with(
            rbac("ClusterRoleBinding", "reader"),
            bind("ClusterRole", READER),
        ),
        with(
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "reader", "namespace": "release4"}}),
            bind("ClusterRole", NAMESPACED),
        ),
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "argocd-cm", "namespace": "argocd"},
            "data": {"resource.customizations.ignoreDifferences.all":
                "managedFieldsManagers:\n- tuner\n"}}),
        application("platform", "argocd", json!({})),
        application(
            "shop",
            "shop",
            json!({"ignoreDifferences": [
                {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"],
                 "jqPathExpressions":
                    [".spec.template.spec.containers[] | select(.name == \"proxy\") | .image"]},
                {"group": "", "kind": "Service", "managedFieldsManagers": ["kubectl-patch"]},
            ]}),
        ),
    ]);
    Part {
        folder: "platform",
        objects,
    }
}

/// What the Application `shop` deploys. Its files name no namespace.
fn shop() -> Part {
    let web = deployment("web", &["web", "proxy"]);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    Part {
        folder: "shop",
        objects: vec![web, service, config("settings", None)],
    }
}

/// What the Kustomization `flux-system` deploys: itself.
fn flux_system(url: &str) -> Part {
    let kustomization = |name: &str, path: &str, ignore: Value| {
        let mut spec = json!({"interval": "10m", "prune": true, "path": path,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"}});
        if let (Some(spec), Value::Object(ignore)) = (spec.as_object_mut(), ignore) {
            spec.extend(ignore);
        }
        json!({"apiVersion": format!("{KUSTOMIZE}/v1"), "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "flux-system"}, "spec": spec})
    };
    let workers = json!({"targetNamespace": "workers", "ignore": [
        {"paths": ["/data/k"], "target": {"kind": "ConfigMap", "name": "que.*"}}]});
    let repository = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "fleet", "namespace": "flux-system"},
        "spec": {"interval": "1m", "url": url, "ref": {"branch": "main"}}});
    Part {
        folder: "flux-system",
        objects: vec![
            repository,
            kustomization("flux-system", "./flux-system", json!({})),
            kustomization("workers", "./workers", workers),
        ],
    }
}

/// What the Kustomization `workers` deploys, into its target namespace.
fn workers() -> Part {
    let marked = |name: &str, key: &str, value: &str| {
        let key = format!("{KUSTOMIZE}/{key}");
        config(name, Some(json!({key: value})))
    };
    Part {
        folder: "workers",
        objects: vec![
            deployment("worker", &["worker"]),
            config("queue", None),
            config("gone", None),
            marked("left", "reconcile", "disabled"),
            marked("merged", "ssa", "Merge"),
        ],
    }
}

fn config(name: &str, annotations: Option<Value>) -> Value {
    let mut config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"k": "v"}});
    if let Some(annotations) = annotations {
        config["metadata"]["annotations"] = annotations;
    }
    config
}

fn deployment(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|name| json!({"name": name, "image": format!("{name}:1")}))
        .collect();
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}}})
}

impl Part {
    fn write(&self, repository: &Path) -> Result<()> {
        for object in &self.objects {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            // The one that the second commit changes.
            let name = match (kind, name) {
                (_, Some("settings")) => "settings.yaml".to_owned(),
                (kind, name) => format!(
                    "{}-{}.yaml",
                    kind.unwrap_or_default(),
                    name.unwrap_or_default()
                ),
            };
            let folder = repository.join(self.folder);
            std::fs::create_dir_all(&folder).context(folder.display())?;
            write(&folder.join(name), object)?;
        }
        Ok(())
    }
}

/// JSON is YAML.
fn write(path: &Path, object: &Value) -> Result<()> {
    std::fs::write(path, object.to_string()).context(path.display())
}

/// Applies objects as their deployer does, which writes into each what makes it its own.
fn apply(
    plane: &ControlPlane,
    manager: &str,
    mut objects: Vec<Value>,
    mark: impl Fn(&mut Value),
) -> Result<()> {
    for object in &mut objects {
        mark(object);
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let kubectl = plane.kubectl_as(ADMIN)?;
    // Validating asks for the schemas of everything that is served.
    let apply = kubectl.args([
        "apply",
        "--server-side",
        "--validate=false",
        "--field-manager",
    ]);
    let apply = apply.args([manager, "-f", "-"]);
    let apply = apply.stdin(list.to_string());
    // A CRD's type answers 404 or 429 for moments after it is Established.
    wait_for_success("kubectl apply", SOON, || apply.run()?.success().map(drop))
}

fn namespaced(object: &mut Value, namespace: &str) {
    let kind = object["kind"].as_str().unwrap_or_default();
    if !matches!(kind, "Namespace" | "ClusterRole" | "ClusterRoleBinding") {
        let own = &mut object["metadata"]["namespace"];
        if own.is_null() {
            *own = namespace.into();
        }
    }
}

/// <https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>
fn track(object: &mut Value, application: &str) {
    namespaced(object, application);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let id = format!(
        "{application}:{group}/{}:{}/{}",
        text(&object["kind"]),
        text(&object["metadata"]["namespace"]),
        text(&object["metadata"]["name"])
    );
    object["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = id.into();
}

/// The labels of an object that kustomize-controller applied.
fn own(object: &mut Value, kustomization: &str) {
    namespaced(object, kustomization);
    let labels = &mut object["metadata"]["labels"];
    labels[format!("{KUSTOMIZE}/name")] = kustomization.into();
    labels[format!("{KUSTOMIZE}/namespace")] = "flux-system".into();
}

fn patch_status(plane: &ControlPlane, whom: &[&str], status: &Value) -> Result<()> {
    let patch = json!({"status": status}).to_string();
    let kubectl = plane.kubectl_as(ADMIN)?.arg("patch").args(whom);
    let patch = kubectl.args(["--type=merge", "-p", &patch]);
    wait_for_success("the status", SOON, || patch.run()?.success().map(drop))
}

const CHART: [(&str, &str); 6] = [
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
