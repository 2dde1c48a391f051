//! The API server restarts under load, we are killed, and things are deleted meanwhile: the mirror
//! arrives at what the cluster is.

use std::time::{Duration, Instant};

use libtest_mimic::Completion;
use serde_json::json;

use crate::fidelity::{compare, expected, settle};
use crate::life::{Writer, report};
use crate::mirror::{Mirror, until};
use crate::support::plane::ControlPlane;
use crate::support::suite::Outcome;
use crate::support::{Result, wait_for_success};

const NAMESPACE: &str = "/api/v1/namespaces/outage/configmaps";
const PATIENCE: Duration = Duration::from_secs(90);

/// Creates, changes and deletes by a seeded plan; every third object goes again.
fn load(
    writer: &Writer,
    random: &mut fastrand::Rng,
    names: &mut Vec<String>,
    n: u32,
) -> Result<()> {
    for _ in 0..n {
        match random.u8(0..3) {
            0 if names.len() > 10 => {
                let name = names.swap_remove(random.usize(0..names.len()));
                writer.send("DELETE", &format!("{NAMESPACE}/{name}"), None)?;
            }
            1 if !names.is_empty() => {
                let name = &names[random.usize(0..names.len())];
                let change = json!({ "data": { "v": random.u32(..).to_string() } });
                writer.send("PATCH", &format!("{NAMESPACE}/{name}"), Some(&change))?;
            }
            _ => {
                let name = format!("m{:08x}", random.u32(..));
                let object = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": name }, "data": { "v": "0" }
                });
                writer.send("POST", NAMESPACE, Some(&object))?;
                names.push(name);
            }
        }
    }
    Ok(())
}

fn mark(writer: &Writer, mirror: &Mirror, name: &str) -> Result<Duration> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": {}
    });
    writer.send("POST", NAMESPACE, Some(&object))?;
    let path = format!("namespaces/outage/configmaps/{name}.yaml");
    until(name, Instant::now(), PATIENCE, || mirror.has(&path))
}

pub(crate) fn the_mirror_converges_after_an_outage(plane: &ControlPlane) -> Outcome {
    let seed = 20_261_121;
    report(&format!("seed {seed}"));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut names = Vec::new();
    plane
        .kubectl(["create", "namespace", "outage"])?
        .success()?;
    let writer = Writer::new(plane)?;
    load(&writer, &mut random, &mut names, 100)?;
    let mirror = Mirror::new(plane)?;
    let recorder = mirror.record(&[])?;

    // The server restarts under load, and has forgotten what we would resume from.
    load(&writer, &mut random, &mut names, 150)?;
    plane.kill_api_server()?;
    plane.start_api_server()?;
    let writer = wait_for_success("a new client", PATIENCE, || Writer::new(plane))?;
    load(&writer, &mut random, &mut names, 150)?;
    plane.stop_api_server()?;
    // No watch will ever tell of these: the server itself does not know that they were deleted.
    for name in names.drain(..5) {
        plane.delete_from_storage(&format!("configmaps/outage/{name}"))?;
    }
    plane.compact()?;
    plane.start_api_server()?;
    let writer = wait_for_success("a new client", PATIENCE, || Writer::new(plane))?;
    wait_for_success("load", PATIENCE, || {
        load(&writer, &mut random, &mut names, 50)
    })?;
    let back = mark(&writer, &mirror, "after-the-outage")?;
    compare_settled(plane, &mirror)?;

    // A killed recorder has no last words, so its log is asked.
    let expired = recorder
        .log()?
        .iter()
        .filter(|line| line["fields"]["failure"] == "Expired")
        .count();
    // We are killed, and things go on without us.
    recorder.kill()?;
    for name in names.drain(..names.len() / 2) {
        writer.send("DELETE", &format!("{NAMESPACE}/{name}"), None)?;
    }
    load(&writer, &mut random, &mut names, 50)?;
    plane.stop_api_server()?;
    plane.compact()?;
    plane.start_api_server()?;
    let recorder = mirror.record(&[])?;
    let writer = wait_for_success("a new client", PATIENCE, || Writer::new(plane))?;
    mark(&writer, &mirror, "after-the-kill")?;
    compare_settled(plane, &mirror)?;

    let words = recorder.stop()?;
    mirror.fsck()?;
    report(&format!(
        "back {:.2} s after the API server; {expired} watches met a 410 before the kill; after it \
         410 as event {}, as status {}, {} relists",
        back.as_secs_f64(),
        words["expired_events"],
        words["expired_statuses"],
        words["relists"]
    ));
    assert!(
        expired > 0,
        "no watch was too old: the outage did not do what it is for"
    );
    Ok(Completion::Completed)
}

/// Compares every object once cluster and mirror rest.
fn compare_settled(plane: &ControlPlane, mirror: &Mirror) -> Result<()> {
    settle(plane)?;
    wait_for_success("the mirror to equal the cluster", PATIENCE, || {
        compare(plane, mirror, &expected(plane)?)
    })
}
