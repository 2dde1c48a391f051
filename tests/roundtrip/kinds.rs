//! Objects of every recorded kind: generated, created for real, read back, recorded.

use std::sync::Arc;

use libtest_mimic::Completion;
use serde_json::Value;
use strandline::object::ObjectKey;

use crate::generation;
use crate::mirror::Mirror;
use crate::openapi::draft::lookup;
use crate::openapi::{Generated, create_all, report};
use crate::support::http::Api;
use crate::support::plane::{ControlPlane, Options};
use crate::support::suite::Outcome;
use crate::support::{Context as _, Failure, Result, Unavailable};

/// Of the settable leaves of each kind, in percent.
const LEAST: f64 = 95.0;

/// Leaves that no file holds as they were given, by the rules of `filters/core.yaml`.
const LEFT_OUT: [&str; 5] = [
    "metadata.generateName",
    "metadata.ownerReferences[].uid",
    // Of a PersistentVolume: of whom, not of which incarnation.
    "spec.claimRef.resourceVersion",
    "spec.claimRef.uid",
    // Of a Secret; see `DIGESTED`.
    "data{}",
];

/// The one type whose `data` is replaced.
const DIGESTED: &str = "secrets";

#[expect(clippy::print_stdout, reason = "the table of the issue")]
pub(crate) fn every_kind_is_covered(plane: &ControlPlane) -> Outcome {
    let generation = generation(plane)?;
    println!("{}", report::table(&generation.coverage));
    println!(
        "{} objects of {} kinds by {} requests in {:.1} s",
        generation.objects.len(),
        generation.coverage.len(),
        generation.requests,
        generation.took.as_secs_f64()
    );
    let short: Vec<String> = generation
        .coverage
        .iter()
        .filter(|kind| kind.percent() < LEAST)
        .map(|kind| format!("{} {:.1} %", kind.kind, kind.percent()))
        .collect();
    if !short.is_empty() {
        return Err(format!("under {LEAST} %: {}", short.join(", ")).into());
    }

    let refused = create_all(plane, generation)?;
    if !refused.is_empty() {
        return Err(format!("refused when it came to it: {refused:#?}").into());
    }
    let api = Api::connect(plane)?;
    let mut lost = Vec::new();
    for object in &generation.objects {
        let live = api.get(&object.path())?;
        lost.extend(absent(object, &live));
    }
    if !lost.is_empty() {
        return Err(format!("not there when read back: {lost:#?}").into());
    }
    Ok(Completion::Completed)
}

/// The leaves that an object was made for and `other` lacks, or has otherwise.
fn absent(object: &Generated, other: &Value) -> Vec<String> {
    let differs = |path: &[_]| lookup(&object.manifest, path) != lookup(other, path);
    object
        .covers
        .iter()
        .filter(|(_, path)| differs(path))
        .map(|(leaf, _)| format!("{} {}: {leaf}", object.api_type, object.name))
        .collect()
}

#[expect(clippy::print_stdout, reason = "the figures of the issue")]
pub(crate) fn what_was_generated_is_recorded(plane: &ControlPlane) -> Outcome {
    let generation = generation(plane)?;
    let refused = create_all(plane, generation)?;
    assert!(refused.is_empty(), "{refused:#?}");
    let mirror = Mirror::new(plane)?;
    let snapshot = mirror.snapshot(&[])?;
    let files = mirror.files()?;
    let mut without = Vec::new();
    let mut lost = Vec::new();
    for object in &generation.objects {
        match files.get(&file_of(object)) {
            Some(bytes) => {
                let file = strandline::canonical::read(bytes).context("a file of the mirror")?;
                let digested = &*object.api_type.resource == DIGESTED;
                lost.extend(absent(object, &file).into_iter().filter(|lost| {
                    let may = |leaf: &&&str| lost.ends_with(&format!(": {leaf}"));
                    let left_out = LEFT_OUT.iter().find(may);
                    left_out.is_none_or(|leaf| *leaf == "data{}" && !digested)
                }));
            }
            None => without.push(file_of(object)),
        }
    }
    // The APIServices lead nowhere, so their groups are unknown: incomplete, but for these alone.
    if !matches!(snapshot.code, Some(0 | 3)) {
        return Err(format!("snapshot: {}", snapshot.stderr).into());
    }
    println!(
        "snapshot: exit code {:?}, {} files for {} generated objects in {:.1} s",
        snapshot.code,
        files.len(),
        generation.objects.len(),
        snapshot.took.as_secs_f64()
    );
    if !lost.is_empty() {
        return Err(format!("their files read otherwise: {lost:#?}").into());
    }
    if !without.is_empty() {
        return Err(format!("not recorded: {without:#?}").into());
    }
    Ok(Completion::Completed)
}

fn file_of(object: &Generated) -> String {
    let key = ObjectKey {
        api_type: Arc::new(object.api_type.clone()),
        namespace: (!object.namespace.is_empty()).then(|| object.namespace.as_str().into()),
        name: object.name.as_str().into(),
    };
    key.path()
}

/// With the controller manager on, everything is there after it has looked at everything.
pub(crate) fn controllers_let_it_live(plane: &ControlPlane) -> Outcome {
    let generation = generation(plane)?;
    let options = Options {
        controller_manager: true,
        ..Options::default()
    };
    let other = match ControlPlane::start(&options) {
        Ok(other) => other,
        Err(Unavailable::Missing(reason)) => {
            return crate::support::suite::skipped("controllers_let_it_live", &reason);
        }
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let refused = create_all(&other, generation)?;
    if !refused.is_empty() {
        return Err(format!("refused when it came to it: {refused:#?}").into());
    }
    settled(&other)?;
    let api = Api::connect(&other)?;
    let gone: Vec<String> = generation
        .objects
        .iter()
        .filter(|object| match api.get(&object.path()) {
            Ok(live) => live["metadata"].get("deletionTimestamp").is_some(),
            Err(_) => true,
        })
        .map(Generated::path)
        .collect();
    if !gone.is_empty() {
        return Err(format!("gone, or being deleted: {gone:#?}").into());
    }
    Ok(Completion::Completed)
}

/// Waits until a garbage collector that had something to delete would have: it deletes an object
/// whose owner never was, made after all the others.
fn settled(plane: &ControlPlane) -> Result<()> {
    plane.apply(&serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "orphan", "namespace": "strand-a",
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "ConfigMap", "name": "never-was",
                "uid": "0f1d3c1e-7c8a-4b5e-9d55-4d2a8b0c6f02",
            }],
        },
    }))?;
    let deadline = std::time::Duration::from_secs(90);
    crate::support::wait_for("the end of an orphan", deadline, || {
        let orphan = plane.kubectl(["get", "configmap", "orphan", "-n", "strand-a"])?;
        match orphan.code {
            Some(0) => Ok(None),
            _ if orphan.stderr.contains("NotFound") => Ok(Some(())),
            _ => Err(Failure::new(orphan.stderr)),
        }
    })
}
