//! Runner scale sets of GitHub Actions: fifty runners come and go, and the mirror stays quiet.
//!
//! The test plays the controller, under the names of its managers, with the objects that it makes:
//! <https://github.com/actions/actions-runner-controller/tree/master/controllers/actions.github.com>.

use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::mirror::Mirror;
use crate::report;
use crate::support::plane::{ADMIN, ControlPlane, Options};
use crate::support::program::Program;
use crate::support::suite::{Outcome, skipped};
use crate::support::{
    Context as _, Failure, Result, Unavailable, folder, wait_for, wait_for_success,
};

const GROUP: &str = "actions.github.com";
const VERSION: &str = "actions.github.com/v1alpha1";
const RUNNERS: &str = "arc-runners";
const SYSTEMS: &str = "arc-systems";
const SET: &str = "build-4x7k2";
const LISTENER: &str = "build-754b578d-listener";
/// Numbers of runners, one after the other.
const SCALE: &[usize] = &[5, 20, 50, 35, 10, 0];
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn a_scale_set_makes_no_commit(plane: &ControlPlane) -> Outcome {
    let crds = match folder("STRANDLINE_CRDS_DIR") {
        Ok(crds) => crds.join("actions-runner-controller"),
        Err(Unavailable::Missing(reason)) => {
            return skipped("a_scale_set_makes_no_commit", &reason);
        }
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let mirror = Mirror::new(plane)?;
    let mut controller = Controller::start(plane, crds)?;
    let recorder = mirror.record(&[])?;
    let before = mirror.commits()?;
    for &runners in SCALE {
        controller.scale(runners)?;
    }
    // What is made last is recorded after everything before it.
    plane
        .kubectl(["-n", RUNNERS, "create", "configmap", "afterwards"])?
        .success()?;
    let path = format!("namespaces/{RUNNERS}/configmaps/afterwards.yaml");
    wait_for(&path, PATIENCE, || Ok(mirror.has(&path)?.then_some(())))?;
    recorder.stop()?;
    report(&format!(
        "0 → 50 → 0 runners: {} objects made, {} status updates, {} objects deleted",
        controller.made, controller.updates, controller.deleted
    ));
    let log = mirror.git(&["log", "--format=%s%n%b", "main"])?;
    assert_eq!(mirror.commits()? - before, 1, "{log}");
    nothing_of_runners(&mirror)?;
    restored_without_runners(&mirror)?;
    Ok(Completion::Completed)
}

/// Puts the mirror into an empty control plane, all that can be: no runner comes along.
fn restored_without_runners(mirror: &Mirror) -> Result<()> {
    let options = Options {
        controller_manager: true,
        ..Options::default()
    };
    let target = ControlPlane::start(&options)
        .map_err(|error| Failure::new(format!("a second control plane: {error:?}")))?;
    let include = ["--include-owned", "--include-managed", "--include-jobs"];
    let ended = Program::strandline(mirror.home())
        .args(["restore", "--repository", "mirror.git", "--apply", "--yes"])
        .args(include)
        .arg("--kubeconfig")
        .arg(target.kubeconfig(ADMIN)?)
        .deadline(Duration::from_secs(300))
        .run()?;
    // 3: Secrets that are digests need their values from elsewhere.
    if !matches!(ended.code, Some(0 | 3)) {
        return Err(Failure::new(format!("{:?}: {}", ended.code, ended.stderr)));
    }
    let get = |what: &str| -> Result<Vec<String>> {
        let list = target.kubectl_json(&["get", what, "--all-namespaces"])?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let name = |item: &Value| item["metadata"]["name"].as_str().unwrap_or("").to_owned();
        Ok(items.iter().map(name).collect())
    };
    assert_eq!(get("autoscalingrunnersets")?, ["build"]);
    let made = "ephemeralrunnersets,ephemeralrunners,autoscalinglisteners,pods";
    assert_eq!(get(made)?, [""; 0]);
    let parts = get("secrets,serviceaccounts,roles,rolebindings")?;
    let parts: Vec<_> = parts
        .iter()
        .filter(|name| name.starts_with(SET) || *name == LISTENER)
        .collect();
    assert!(parts.is_empty(), "{parts:?}");
    Ok(())
}

/// The scale set and its credential are in the mirror, and nothing that the controller made.
fn nothing_of_runners(mirror: &Mirror) -> Result<()> {
    let files = mirror.git(&["ls-tree", "-r", "--name-only", "main"])?;
    let lies = |path: &str| files.lines().any(|file| file == path);
    for path in [
        format!("namespaces/{RUNNERS}/autoscalingrunnersets.{GROUP}/build.yaml"),
        format!("namespaces/{RUNNERS}/secrets/github-app.yaml"),
    ] {
        if !lies(&path) {
            return Err(Failure::new(format!("{path} is not in the mirror")));
        }
    }
    let made: Vec<_> = files
        .lines()
        .filter(|file| {
            let is = |word: &str| file.contains(word);
            // The CRDs themselves are no runners.
            !is("customresourcedefinitions")
                && (is(SET) || is(LISTENER) || is("ephemeralrunner") || is("autoscalinglistener"))
        })
        .collect();
    if made.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("made by the controller: {made:?}")))
    }
}

/// Plays the controller and its listener.
struct Controller<'a> {
    plane: &'a ControlPlane,
    set: Value,
    live: Vec<String>,
    patches: usize,
    made: usize,
    updates: usize,
    deleted: usize,
}

impl<'a> Controller<'a> {
    /// Makes the scale set as its chart does, and what the controller makes at once.
    fn start(plane: &'a ControlPlane, crds: PathBuf) -> Result<Self> {
        let apply = plane.kubectl_as(ADMIN)?;
        apply
            .args(["apply", "--server-side", "-f"])
            .arg(crds)
            .run()?
            .success()?;
        plane
            .kubectl(["wait", "--for=condition=Established", "crd", "--all"])?
            .success()?;
        for namespace in [RUNNERS, SYSTEMS] {
            plane
                .kubectl(["create", "namespace", namespace])?
                .success()?;
        }
        let mut controller = Self {
            plane,
            set: Value::Null,
            live: Vec::new(),
            patches: 0,
            made: 0,
            updates: 0,
            deleted: 0,
        };
        let github = json!({ "githubConfigUrl": "https://github.com/example/shop", "githubConfigSecret": "github-app" });
        let mut spec = github.clone();
        spec["maxRunners"] = 50.into();
        spec["template"] =
            json!({ "spec": { "containers": [{ "name": "runner", "image": "runner:1" }] } });
        let scale_set = wait_for_success("an AutoscalingRunnerSet", PATIENCE, || {
            controller.make(
                "helm",
                &json!({
                    "apiVersion": VERSION, "kind": "AutoscalingRunnerSet",
                    "metadata": {
                        "name": "build", "namespace": RUNNERS,
                        "labels": { "app.kubernetes.io/managed-by": "Helm" }
                    },
                    "spec": spec
                }),
            )
        })?;
        controller.make(
            "kubectl-create",
            &json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": { "name": "github-app", "namespace": RUNNERS },
                "stringData": { "github_token": "example" }
            }),
        )?;
        controller.set = controller.make(
            "manager",
            &json!({
                "apiVersion": VERSION, "kind": "EphemeralRunnerSet",
                "metadata": {
                    "name": SET, "namespace": RUNNERS, "ownerReferences": [owner(&scale_set)]
                },
                "spec": { "replicas": 0, "patchID": 0, "ephemeralRunnerSpec": runner_spec() }
            }),
        )?;
        controller.listener()?;
        Ok(controller)
    }

    /// The listener lies in another namespace than its scale set, so nothing there owns it.
    fn listener(&mut self) -> Result<()> {
        let listener = self.make(
            "manager",
            &json!({
                "apiVersion": VERSION, "kind": "AutoscalingListener",
                "metadata": { "name": LISTENER, "namespace": SYSTEMS },
                "spec": {
                    "autoscalingRunnerSetName": "build", "autoscalingRunnerSetNamespace": RUNNERS,
                    "ephemeralRunnerSetName": SET, "runnerScaleSetId": 13, "maxRunners": 50
                }
            }),
        )?;
        let owned = json!({
            "name": LISTENER, "namespace": SYSTEMS, "ownerReferences": [owner(&listener)]
        });
        let labelled = json!({
            "name": LISTENER, "namespace": RUNNERS, "labels": { "auto-scaling-listener-name": LISTENER }
        });
        let rbac = "rbac.authorization.k8s.io";
        for object in [
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": owned }),
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": owned, "stringData": { "config.json": "{}" } }),
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": owned,
                "spec": { "serviceAccountName": LISTENER, "containers": [{ "name": "listener", "image": "listener:1" }] }
            }),
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": labelled,
                "rules": [{ "apiGroups": [GROUP], "resources": ["ephemeralrunnersets"], "verbs": ["patch"] }]
            }),
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": labelled,
                "roleRef": { "apiGroup": rbac, "kind": "Role", "name": LISTENER },
                "subjects": [{ "kind": "ServiceAccount", "name": LISTENER, "namespace": SYSTEMS }]
            }),
        ] {
            self.make("manager", &object)?;
        }
        Ok(())
    }

    /// Brings the set to a number of runners: the listener patches it, the controller follows.
    fn scale(&mut self, runners: usize) -> Result<()> {
        self.patches += 1;
        let patch = json!({ "spec": { "replicas": runners, "patchID": self.patches } });
        self.patch(
            "ghalistener",
            "ephemeralrunnerset",
            &[SET.to_owned()],
            &patch,
            &[],
        )?;
        if runners > self.live.len() {
            self.start_runners(runners - self.live.len())?;
        } else {
            self.end_runners(self.live.len() - runners)?;
        }
        let status =
            json!({ "status": { "currentReplicas": runners, "runningEphemeralRunners": runners } });
        self.status("ephemeralrunnerset", &[SET.to_owned()], &status)?;
        let status =
            json!({ "status": { "currentRunners": runners, "runningEphemeralRunners": runners } });
        self.status("autoscalingrunnerset", &["build".to_owned()], &status)
    }

    fn start_runners(&mut self, count: usize) -> Result<()> {
        let names: Vec<_> = (0..count)
            .map(|at| format!("{SET}-runner-{}-{at}", self.patches))
            .collect();
        let runners: Vec<_> = names
            .iter()
            .map(|name| {
                json!({
                    "apiVersion": VERSION, "kind": "EphemeralRunner",
                    "metadata": {
                        "name": name, "namespace": RUNNERS, "ownerReferences": [owner(&self.set)],
                        "finalizers": ["ephemeralrunner.actions.github.com/finalizer"]
                    },
                    "spec": runner_spec()
                })
            })
            .collect();
        let runners = self.make("manager", &list(&runners))?;
        let runners = runners["items"].as_array().cloned().unwrap_or_default();
        let parts: Vec<_> = runners
            .iter()
            .flat_map(|runner| {
                let metadata = json!({
                    "name": runner["metadata"]["name"], "namespace": RUNNERS,
                    "ownerReferences": [owner(runner)]
                });
                [
                    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": { "jitToken": "example", "runnerId": "881" } }),
                    json!({
                        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                        "spec": { "containers": [{ "name": "runner", "image": "runner:1" }] }
                    }),
                ]
            })
            .collect();
        self.make("manager", &list(&parts))?;
        for phase in ["Pending", "Running"] {
            let status = json!({ "status": { "phase": phase, "runnerId": 881, "ready": phase == "Running" } });
            self.status("ephemeralrunner", &names, &status)?;
        }
        self.live.extend(names);
        Ok(())
    }

    /// Their jobs are done: the controller deletes the runners, and what they own is collected.
    fn end_runners(&mut self, count: usize) -> Result<()> {
        let ended: Vec<_> = self.live.drain(..count).collect();
        let status = json!({ "status": { "phase": "Succeeded", "ready": false } });
        self.status("ephemeralrunner", &ended, &status)?;
        self.kubectl(["delete", "ephemeralrunner", "--wait=false"], &ended)?;
        let patch = json!({ "metadata": { "finalizers": null } });
        self.patch("manager", "ephemeralrunner", &ended, &patch, &[])?;
        let live = self.live.len();
        self.deleted += 3 * count;
        // The listener's Secret and Pod lie elsewhere; the credential stays.
        wait_for("the collection of what runners own", PATIENCE, || {
            let left = self.plane.kubectl_json(&[
                "-n",
                RUNNERS,
                "get",
                "ephemeralrunners,pods,secrets",
            ])?;
            let left = left["items"].as_array().map_or(0, Vec::len);
            Ok((left == 3 * live + 1).then_some(()))
        })
    }

    /// Creates an object, or a list of them; returns what the server made of it.
    fn make(&mut self, manager: &str, manifest: &Value) -> Result<Value> {
        let made = self
            .plane
            .kubectl_as(ADMIN)?
            .args([
                "create",
                "-f",
                "-",
                "-o",
                "json",
                "--field-manager",
                manager,
            ])
            .stdin(manifest.to_string())
            .run()?
            .success()?;
        self.made += manifest["items"].as_array().map_or(1, Vec::len);
        // Of a list, kubectl prints one document per object or a List, by version.
        let mut documents = serde_json::Deserializer::from_str(&made)
            .into_iter::<Value>()
            .collect::<std::result::Result<Vec<_>, _>>()
            .context("what kubectl made")?;
        if manifest["items"].is_null() || documents.len() == 1 && documents[0]["items"].is_array() {
            return documents.pop().ok_or_else(|| Failure::new("nothing made"));
        }
        Ok(list(&documents))
    }

    fn status(&mut self, kind: &str, names: &[String], patch: &Value) -> Result<()> {
        self.updates += names.len();
        self.patch("manager", kind, names, patch, &["--subresource=status"])
    }

    fn patch(
        &self,
        manager: &str,
        kind: &str,
        names: &[String],
        patch: &Value,
        args: &[&str],
    ) -> Result<()> {
        let (manager, patch) = (format!("--field-manager={manager}"), patch.to_string());
        let patch = ["patch", kind, "--type=merge", &manager, "-p", &patch];
        self.kubectl(patch.iter().chain(args).copied(), names)
    }

    fn kubectl<'b>(&self, args: impl IntoIterator<Item = &'b str>, names: &[String]) -> Result<()> {
        let kubectl = self.plane.kubectl_as(ADMIN)?.args(["-n", RUNNERS]);
        kubectl.args(args).args(names).run()?.success()?;
        Ok(())
    }
}

fn runner_spec() -> Value {
    json!({
        "githubConfigUrl": "https://github.com/example/shop", "githubConfigSecret": "github-app",
        "runnerScaleSetId": 13,
        "spec": { "containers": [{ "name": "runner", "image": "runner:1" }] }
    })
}

fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true
    })
}

fn list(items: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}
