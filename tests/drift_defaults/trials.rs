//! The trials.

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::cases;
use crate::support::acid::{Acid, How};
use crate::support::plane::ControlPlane;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Unavailable};
use crate::total::Total;

/// Of all built-in schemas together, as the sidecar has them, in bytes.
const LARGEST: usize = 400_000;

#[expect(clippy::print_stdout, reason = "the figures")]
pub(crate) fn schemas_are_small(plane: &ControlPlane) -> Outcome {
    let bed = Bed::new(plane)?;
    let json = serde_json::to_vec(&bed.schemas).context("schemas")?;
    println!(
        "{} documents, {} bytes → {} kinds, {} types, {} bytes",
        bed.documents,
        bed.read,
        bed.schemas.kinds.len(),
        bed.schemas.types.len(),
        json.len()
    );
    assert!(json.len() < LARGEST, "{} bytes", json.len());
    assert!(
        bed.schemas.kinds.len() > 60,
        "{:?}",
        bed.schemas.kinds.keys()
    );
    Ok(Completion::Completed)
}

pub(crate) fn each_branch_of_the_code(plane: &ControlPlane) -> Outcome {
    let bed = Bed::new(plane)?;
    let mut total = Total::default();
    let mut refused = Vec::new();
    for desired in cases::all() {
        let answer = bed.api.create(&bed.collection(&desired)?, &desired, true)?;
        if answer.code == 201 {
            total.add(&bed, &desired, &answer.body, |_| ());
        } else {
            refused.push(format!(
                "{}: {}",
                desired["metadata"]["name"], answer.body["message"]
            ));
        }
    }
    assert!(refused.is_empty(), "refused: {refused:#?}");
    total.outcome("by hand")
}

#[expect(clippy::print_stdout, reason = "the figures")]
pub(crate) fn acid_sets(plane: &ControlPlane) -> Outcome {
    let acid = match Acid::open() {
        Ok(acid) => acid,
        Err(Unavailable::Missing(reason)) => return skipped("acid_sets", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let applied = acid.apply(plane, How::Create)?;
    assert!(applied.refused.is_empty(), "{:?}", applied.refused);
    let mut bed = Bed::new(plane)?;
    let documents = strandline::canonical::read_all(acid.manifest().as_bytes());
    let mut objects = Vec::new();
    for document in documents.context("the acid sets")? {
        match document.value["items"].as_array() {
            Some(items) => objects.extend(items.iter().map(|item| typed(item, &document.value))),
            None => objects.push(document.value),
        }
    }
    objects.iter_mut().for_each(encode);
    objects
        .iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .for_each(|crd| bed.learn(crd));
    let start = std::time::Instant::now();
    for object in &objects {
        bed.tables.defaulted(object, bed.node(object));
    }
    println!(
        "{} objects defaulted in {} µs (not optimized)",
        objects.len(),
        start.elapsed().as_micros()
    );
    let mut total = Total::default();
    for desired in &objects {
        let name = desired["metadata"]["name"].as_str().unwrap_or_default();
        let live = bed
            .api
            .get(&format!("{}/{name}", bed.collection(desired)?))?;
        total.add(&bed, desired, &live, |_| ());
    }
    total.outcome("acid")
}

/// `stringData` is the same as `data`; whoever reads manifests knows that.
fn encode(object: &mut Value) {
    use base64::Engine as _;
    let texts = object["stringData"].as_object().cloned();
    for (key, text) in texts.into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        object["data"][key] = json!(base64::prelude::BASE64_STANDARD.encode(text));
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("stringData");
    }
}

/// An item of a typed List may leave out what its head says.
fn typed(item: &Value, list: &Value) -> Value {
    let mut item = item.clone();
    if item.get("kind").is_none() {
        item["apiVersion"] = list["apiVersion"].clone();
        let kind = list["kind"].as_str().unwrap_or_default();
        item["kind"] = json!(kind.trim_end_matches("List"));
    }
    item
}
