//! What happens in a living cluster is in the mirror soon, and nothing else is.

use std::time::{Duration, Instant};

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::mirror::{Mirror, fsck, git, until};
use crate::support::plane::ControlPlane;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Failure, Result, wait_for_success};

/// The issue's bounds.
const COMMITTED: Duration = Duration::from_secs(5);
const PUSHED: Duration = Duration::from_secs(6);
/// Rounds of a patch, a create, a delete and a new CRD with its first object.
const ROUNDS: u32 = 20;
/// How long a test waits before it calls a bound broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn crd(plural: &str, kind: &str, group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group,
            "names": { "plural": plural, "kind": kind },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true
                } }
            }]
        }
    })
}

fn config_map(namespace: &str, name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace },
        "data": { "value": value }
    })
}

/// A client that is quick enough for hundreds of writes.
pub(crate) struct Writer {
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
}

impl Writer {
    pub(crate) fn new(plane: &ControlPlane) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a runtime")?;
        let path = plane.kubeconfig(crate::support::plane::ADMIN)?;
        let client = runtime.block_on(async {
            let kubeconfig = kube::config::Kubeconfig::read_from(path).context("kubeconfig")?;
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .context("kubeconfig")?;
            kube::Client::try_from(config).context("client")
        })?;
        Ok(Self { client, runtime })
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let content_type = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(
                body.map(ToString::to_string)
                    .unwrap_or_default()
                    .into_bytes(),
            )
            .context(path)?;
        self.runtime
            .block_on(self.client.request(request))
            .context(format!("{method} {path}"))
    }
}

fn namespace(plane: &ControlPlane, name: &str) -> Result<()> {
    plane.kubectl(["create", "namespace", name])?.success()?;
    Ok(())
}

pub(crate) fn changes_are_committed_and_pushed_in_time(plane: &ControlPlane) -> Outcome {
    namespace(plane, "timely")?;
    plane.apply(&config_map("timely", "patched", "0"))?;
    let mirror = Mirror::new(plane)?.with_remote()?;
    let remote = mirror.remote();
    let recorder = mirror.record(&["--remote", "remote.git", "--push-interval", "1s"])?;

    let mut worst = [Duration::ZERO; 2];
    let mut check = |since: Instant, path: &str, wanted: Option<&str>| -> Result<()> {
        let holds = |repository: &std::path::Path| {
            let found = git(repository, &["show", &format!("main:{path}")]).ok();
            Ok(match (&found, wanted) {
                (Some(text), Some(wanted)) => text.contains(wanted),
                (None, None) => true,
                _ => false,
            })
        };
        let committed = until(path, since, PATIENCE, || holds(&mirror.repository()))?;
        let pushed = until(path, since, PATIENCE, || holds(&remote))?;
        worst = [worst[0].max(committed), worst[1].max(pushed)];
        Ok(())
    };
    plane.apply(&config_map("timely", "made-0", "x"))?;
    let path_of = |round: u32| format!("namespaces/timely/configmaps/made-{round}.yaml");
    check(Instant::now(), &path_of(0), Some("value: x"))?;
    for round in 0..ROUNDS {
        let value = format!("round-{round}");
        let patched = Instant::now();
        plane.apply(&config_map("timely", "patched", &value))?;
        let made = Instant::now();
        plane.apply(&config_map("timely", &format!("made-{}", round + 1), "x"))?;
        let gone = Instant::now();
        plane
            .kubectl([
                "-n",
                "timely",
                "delete",
                "configmap",
                &format!("made-{round}"),
            ])?
            .success()?;
        let plural = format!("tides{round}");
        plane.apply(&crd(&plural, &format!("Tide{round}"), "timely.example.com"))?;
        let object = json!({
            "apiVersion": "timely.example.com/v1", "kind": format!("Tide{round}"),
            "metadata": { "name": "first", "namespace": "timely" }, "spec": { "high": true }
        });
        wait_for_success("a first object", PATIENCE, || plane.apply(&object))?;
        let first = Instant::now();
        check(
            patched,
            "namespaces/timely/configmaps/patched.yaml",
            Some(&value),
        )?;
        check(made, &path_of(round + 1), Some("value: x"))?;
        check(gone, &path_of(round), None)?;
        let path = format!("namespaces/timely/{plural}.timely.example.com/first.yaml");
        check(first, &path, Some("high: true"))?;
    }
    recorder.stop()?;
    mirror.fsck()?;
    fsck(&remote)?;
    report(&format!(
        "worst of {ROUNDS} rounds: committed after {:.2} s, on the remote after {:.2} s",
        worst[0].as_secs_f64(),
        worst[1].as_secs_f64()
    ));
    assert!(worst[0] <= COMMITTED, "committed after {:?}", worst[0]);
    assert!(worst[1] <= PUSHED, "pushed after {:?}", worst[1]);
    Ok(Completion::Completed)
}

pub(crate) fn status_updates_are_quiet(plane: &ControlPlane) -> Outcome {
    namespace(plane, "busy")?;
    plane.apply(&crd("pumps", "Pump", "busy.example.com"))?;
    let pump = json!({
        "apiVersion": "busy.example.com/v1", "kind": "Pump",
        "metadata": { "name": "p", "namespace": "busy" }, "spec": { "on": true }
    });
    wait_for_success("a first Pump", PATIENCE, || plane.apply(&pump))?;
    plane.apply(&config_map("busy", "edited", "0"))?;
    let mirror = Mirror::new(plane)?;
    let recorder = mirror.record(&[])?;
    let before = mirror.commits()?;

    let writer = Writer::new(plane)?;
    let path = "/apis/busy.example.com/v1/namespaces/busy/pumps/p";
    let file = "namespaces/busy/pumps.busy.example.com/p.yaml";
    let edits = [
        (
            path,
            json!({ "metadata": { "labels": { "edited": "label" } } }),
            file,
            "edited: label",
        ),
        (
            path,
            json!({ "metadata": { "annotations": { "edited": "annotation" } } }),
            file,
            "edited: annotation",
        ),
        (
            path,
            json!({ "metadata": { "finalizers": ["busy.example.com/drain"] } }),
            file,
            "- busy.example.com/drain",
        ),
        (
            "/api/v1/namespaces/busy/configmaps/edited",
            json!({ "data": { "value": "edited" } }),
            "namespaces/busy/configmaps/edited.yaml",
            "value: edited",
        ),
    ];
    let mut worst = Duration::ZERO;
    let mut beats = 0;
    for (path_of_edit, edit, file, wanted) in &edits {
        for _ in 0..60 {
            beats += 1;
            beat(&writer, path, beats)?;
        }
        writer.send("PATCH", path_of_edit, Some(edit))?;
        let since = Instant::now();
        let took = until(wanted, since, PATIENCE, || {
            // The storm goes on while we wait.
            beats += 1;
            beat(&writer, path, beats)?;
            Ok(mirror.file(file)?.contains(wanted))
        })?;
        worst = worst.max(took);
    }
    while beats < 500 {
        beats += 1;
        beat(&writer, path, beats)?;
    }
    // A change that comes after the storm is committed after everything the storm could cause.
    plane.apply(&config_map("busy", "last", "x"))?;
    until("the last change", Instant::now(), PATIENCE, || {
        mirror.has("namespaces/busy/configmaps/last.yaml")
    })?;
    let commits = mirror.commits()? - before;
    writer.send(
        "PATCH",
        path,
        Some(&json!({ "metadata": { "finalizers": null } })),
    )?;
    recorder.stop()?;
    report(&format!(
        "{beats} status updates, {commits} commits for 5 changes, the slowest after {:.2} s",
        worst.as_secs_f64()
    ));
    assert!(beats >= 500, "{beats} status updates");
    assert_eq!(
        commits,
        5,
        "{}",
        mirror.git(&["log", "--format=%s%n%b", "main"])?
    );
    assert!(
        worst <= COMMITTED,
        "a change among status updates took {worst:?}"
    );
    Ok(Completion::Completed)
}

fn beat(writer: &Writer, path: &str, n: u32) -> Result<()> {
    let status = json!({ "status": { "beats": n } });
    writer
        .send("PATCH", &format!("{path}/status"), Some(&status))
        .map(drop)
}

pub(crate) fn a_deleted_namespace_is_one_commit(plane: &ControlPlane) -> Outcome {
    namespace(plane, "doomed")?;
    for n in 0..5 {
        plane.apply(&config_map("doomed", &format!("m{n}"), "x"))?;
    }
    plane
        .kubectl([
            "-n",
            "doomed",
            "create",
            "deployment",
            "web",
            "--image=web:1",
        ])?
        .success()?;
    crate::fidelity::settle(plane)?;
    let mirror = Mirror::new(plane)?;
    let recorder = mirror.record(&[])?;
    let before = mirror.commits()?;
    let files = mirror.git(&[
        "ls-tree",
        "-r",
        "--name-only",
        "main",
        "--",
        "namespaces/doomed",
    ])?;
    let objects = files.lines().count();
    assert!(objects >= 6, "{files}");

    plane
        .kubectl(["delete", "namespace", "doomed", "--timeout=60s"])?
        .success()?;
    until("the namespace to go", Instant::now(), PATIENCE, || {
        Ok(!mirror.has("cluster/namespaces/doomed.yaml")?)
    })?;
    recorder.stop()?;
    let log = mirror.git(&[
        "log",
        "--format=%s",
        &format!("-{}", mirror.commits()? - before),
        "main",
    ])?;
    assert_eq!(
        log.trim(),
        format!("delete Namespace doomed with {objects} objects")
    );
    assert!(!mirror.has("namespaces/doomed")?);
    Ok(Completion::Completed)
}

pub(crate) fn a_deleted_crd_takes_its_files_along(plane: &ControlPlane) -> Outcome {
    plane.apply(&crd("wrecks", "Wreck", "sunk.example.com"))?;
    for n in 0..3 {
        let wreck = json!({
            "apiVersion": "sunk.example.com/v1", "kind": "Wreck",
            "metadata": { "name": format!("w{n}"), "namespace": "default" }
        });
        wait_for_success("a Wreck", PATIENCE, || plane.apply(&wreck))?;
    }
    let mirror = Mirror::new(plane)?;
    let recorder = mirror.record(&[])?;
    assert!(mirror.has("namespaces/default/wrecks.sunk.example.com/w2.yaml")?);
    plane
        .kubectl(["delete", "crd", "wrecks.sunk.example.com"])?
        .success()?;
    let definition =
        "cluster/customresourcedefinitions.apiextensions.k8s.io/wrecks.sunk.example.com.yaml";
    let since = Instant::now();
    until("the CRD to go", since, PATIENCE, || {
        Ok(!mirror.has(definition)?)
    })?;
    until("its files to go", since, PATIENCE, || {
        Ok(!mirror.has("namespaces/default/wrecks.sunk.example.com")?)
    })?;
    recorder.stop()?;
    Ok(Completion::Completed)
}

pub(crate) fn three_thousand_commits(plane: &ControlPlane) -> Outcome {
    const COMMITS: usize = 3_000;
    namespace(plane, "steady")?;
    plane.apply(&config_map("steady", "counter", "start"))?;
    let mirror = Mirror::new(plane)?;
    let recorder = mirror.record(&[
        // Each change is to be a commit, however often an object changes.
        "--damping",
        "off",
        "--max-batch",
        "1",
        "--quiet-period",
        "1h",
        "--max-age",
        "2h",
    ])?;
    let before = mirror.commits()?;
    let writer = Writer::new(plane)?;
    let since = Instant::now();
    for n in 0..COMMITS {
        let change = json!({ "data": { "value": format!("n{n}") } });
        writer.send(
            "PATCH",
            "/api/v1/namespaces/steady/configmaps/counter",
            Some(&change),
        )?;
    }
    let last = format!("value: n{}", COMMITS - 1);
    until(
        "the last commit",
        Instant::now(),
        Duration::from_secs(300),
        || {
            Ok(mirror
                .file("namespaces/steady/configmaps/counter.yaml")?
                .contains(&last))
        },
    )?;
    let took = since.elapsed();
    let log = recorder.log()?;
    let errors: Vec<_> = log.iter().filter(|line| line["level"] == "ERROR").collect();
    assert!(errors.is_empty(), "{errors:?}");
    recorder.stop()?;
    let commits = mirror.commits()? - before;
    let packs = std::fs::read_dir(mirror.repository().join("objects/pack"))
        .context("the packs")?
        .filter_map(std::result::Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "pack"))
        .count();
    mirror.fsck()?;
    report(&format!(
        "{commits} commits in {:.1} s, {packs} packs at the end",
        took.as_secs_f64()
    ));
    if commits < COMMITS {
        return Err(Failure::new(format!("{commits} commits for {COMMITS} changes")).into());
    }
    assert!(packs <= 250, "{packs} packs");
    Ok(Completion::Completed)
}

#[expect(clippy::print_stdout, reason = "the figures of the issue")]
pub(crate) fn report(figure: &str) {
    println!("measured: {figure}");
}
