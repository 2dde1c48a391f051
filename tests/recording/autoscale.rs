//! `spec.replicas` while an autoscaler targets a workload, and before and after.

use std::time::{Duration, Instant};

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::life::Writer;
use crate::mirror::{Mirror, until};
use crate::support::Result;
use crate::support::plane::ControlPlane;
use crate::support::suite::Outcome;

const PATIENCE: Duration = Duration::from_secs(30);
const WEB: &str = "namespaces/scaled/deployments.apps/web.yaml";
const AUTOSCALER: &str = "namespaces/scaled/horizontalpodautoscalers.autoscaling/web.yaml";

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "scaled" },
        "spec": {
            "replicas": 3, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "web:1" }] }
            }
        }
    })
}

fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web", "namespace": "scaled" },
        "spec": {
            "minReplicas": 1, "maxReplicas": 9,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 }
            }}]
        }
    })
}

/// The replicas in the mirror's file.
fn replicas(mirror: &Mirror) -> Result<Option<String>> {
    let file = mirror.file(WEB)?;
    let found = file.lines().find_map(|l| l.strip_prefix("  replicas: "));
    Ok(found.map(ToOwned::to_owned))
}

fn becomes(mirror: &Mirror, wanted: Option<&str>, autoscaled: bool) -> Result<()> {
    let what = format!("replicas {wanted:?}");
    until(&what, Instant::now(), PATIENCE, || {
        Ok(replicas(mirror)?.as_deref() == wanted && mirror.has(AUTOSCALER)? == autoscaled)
    })
    .map(drop)
}

/// Scales through the subresource, as an autoscaler does.
fn scale(writer: &Writer, replicas: u32) -> Result<()> {
    let path = "/apis/apps/v1/namespaces/scaled/deployments/web/scale";
    let body = json!({ "spec": { "replicas": replicas } });
    writer.send("PATCH", path, Some(&body)).map(drop)
}

/// Commits something else: whatever came before it is in that commit, or in none.
fn barrier(plane: &ControlPlane, mirror: &Mirror, name: &str) -> Result<()> {
    plane.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "scaled" }
    }))?;
    let path = format!("namespaces/scaled/configmaps/{name}.yaml");
    until(&path, Instant::now(), PATIENCE, || mirror.has(&path)).map(drop)
}

/// Commits that changed the workload's file.
fn changes(mirror: &Mirror) -> Result<usize> {
    let log = mirror.git(&["log", "--format=%H", "main", "--", WEB])?;
    Ok(log.lines().count())
}

pub(crate) fn replicas_belong_to_the_autoscaler(plane: &ControlPlane) -> Outcome {
    plane
        .kubectl(["create", "namespace", "scaled"])?
        .success()?;
    plane.apply(&deployment())?;
    let writer = Writer::new(plane)?;
    let mirror = Mirror::new(plane)?;
    let recorder = mirror.record(&[])?;
    assert_eq!(replicas(&mirror)?.as_deref(), Some("3"));

    // They go with the autoscaler's own commit, and steps of the autoscaler leave no trace.
    plane.apply(&autoscaler())?;
    becomes(&mirror, None, true)?;
    let last = mirror.git(&["log", "-1", "--format=%H", "main", "--", WEB])?;
    let with = mirror.git(&["log", "-1", "--format=%H", "main", "--", AUTOSCALER])?;
    assert_eq!(last, with, "one commit for both");
    let before = changes(&mirror)?;
    for replicas in 4..8 {
        scale(&writer, replicas)?;
        barrier(plane, &mirror, &format!("step-{replicas}"))?;
    }
    assert_eq!(changes(&mirror)?, before, "a step made a commit");

    // A restart goes on from the cursor, and knows the autoscaler from the mirror.
    recorder.stop()?;
    scale(&writer, 5)?;
    let recorder = mirror.record(&[])?;
    barrier(plane, &mirror, "restarted")?;
    scale(&writer, 6)?;
    barrier(plane, &mirror, "scaled-on")?;
    assert_eq!(changes(&mirror)?, before, "a restart forgot the autoscaler");

    // They come back as they are live.
    writer.send(
        "DELETE",
        "/apis/autoscaling/v2/namespaces/scaled/horizontalpodautoscalers/web",
        None,
    )?;
    becomes(&mirror, Some("6"), false)?;

    // What came while nobody recorded is noticed, too, though only its own watch says so.
    recorder.stop()?;
    plane.apply(&autoscaler())?;
    let recorder = mirror.record(&[])?;
    becomes(&mirror, None, true)?;
    recorder.stop()?;

    // Whoever comes later gets the same tree, in one commit, by either kind of list.
    for mode in ["pages", "watch-list"] {
        let other = Mirror::new(plane)?;
        let _ = other.snapshot(&["--list-mode", mode])?.expect_code(0)?;
        assert_eq!(other.commits()?, 1);
        assert_eq!(replicas(&other)?, None);
        let tree = |mirror: &Mirror| mirror.git(&["rev-parse", "main:namespaces/scaled"]);
        assert_eq!(tree(&other)?, tree(&mirror)?, "another tree by {mode}");
    }
    plane
        .kubectl(["delete", "namespace", "scaled", "--wait"])?
        .success()?;
    mirror.fsck()?;
    Ok(Completion::Completed)
}
