//! The trials.

use std::collections::BTreeMap;

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::cases;
use crate::judge::without_dropped;
use crate::openapi;
use crate::support::acid::{Acid, How};
use crate::support::plane::ControlPlane;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Unavailable};

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

#[derive(Default)]
struct Total {
    objects: usize,
    leaves: usize,
    refused: usize,
    /// Path without indexes to how often and one example.
    differences: BTreeMap<String, (usize, String)>,
}

impl Total {
    fn add(&mut self, bed: &Bed, desired: &Value, live: &Value, without: impl Fn(&mut Value)) {
        let judge = bed.judge(desired, live, without);
        self.objects += 1;
        self.leaves += judge.equal;
        for difference in judge.differences {
            let (path, _) = difference.split_once(": ").unwrap_or((&difference, ""));
            let path: String = path
                .split('[')
                .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
                .collect();
            let name = desired["metadata"]["name"].as_str().unwrap_or_default();
            let kind = desired["kind"].as_str().unwrap_or_default();
            let entry = self.differences.entry(format!("{kind}{path}")).or_default();
            entry.0 += 1;
            entry.1 = format!("{name}{difference}");
        }
    }

    #[expect(clippy::print_stdout, reason = "the figures")]
    fn outcome(self, what: &str) -> Outcome {
        println!(
            "{what}: {} objects, {} leaves equal, {} refused",
            self.objects, self.leaves, self.refused
        );
        for (path, (count, example)) in &self.differences {
            println!("  {count} × {path}: {example}");
        }
        assert!(self.leaves > 1_000, "{} leaves", self.leaves);
        if !self.differences.is_empty() {
            return Err(format!("{} differences", self.differences.len()).into());
        }
        Ok(Completion::Completed)
    }
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

/// How often a place is tried again where the server refused an object without it.
const TRIES: u32 = 3;

/// Objects of every recorded kind with every settable leaf, and each of them again without one of
/// its parts, or with a zero in its place: once for each place of a kind, Pod templates in one.
#[expect(clippy::print_stdout, reason = "the figures")]
pub(crate) fn every_field_left_out(plane: &ControlPlane) -> Outcome {
    let generation = openapi::sets(plane)?;
    println!(
        "{} objects generated in {:.1} s",
        generation.objects.len(),
        generation.took.as_secs_f64()
    );
    let bed = Bed::new(plane)?;
    let mut total = Total::default();
    let mut tried: BTreeMap<String, u32> = BTreeMap::new();
    for object in &generation.objects {
        if object.covers.is_empty() {
            continue;
        }
        let kind = &object.api_type.kind;
        let mut ask = |place: &str, desired: Value| -> crate::support::Result<()> {
            let times = tried.entry(format!("{kind}{place}")).or_default();
            if *times >= TRIES {
                return Ok(());
            }
            let answer = bed.api.create(&object.collection, &desired, true)?;
            if answer.code != 201 {
                *times += 1;
                total.refused += 1;
                return Ok(());
            }
            if !place.is_empty() {
                *times = TRIES;
            }
            total.add(&bed, &desired, &answer.body, without_dropped);
            Ok(())
        };
        ask("", object.manifest.clone())?;
        for pointer in pointers(&object.manifest) {
            let named = |step: &&str| step.parse::<usize>().is_err();
            let steps: Vec<&str> = pointer.split('/').filter(named).collect();
            let place = steps.join(".");
            if &**kind != "PodTemplate" && place.contains(".template.spec.") {
                continue;
            }
            let [without, zero] = thinned(&object.manifest, &pointer);
            ask(&format!("{place}-"), without)?;
            ask(&format!("{place}0"), zero)?;
        }
    }
    total.outcome("generated")
}

fn pointers(object: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    for (name, part) in object.as_object().into_iter().flatten() {
        if !["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()) {
            places(part, format!("/{name}"), &mut pointers);
        }
    }
    pointers
}

/// The object without one of its parts, and with a zero there.
fn thinned(object: &Value, pointer: &str) -> [Value; 2] {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    let key = key.replace("~1", "/").replace("~0", "~");
    let mut without = object.clone();
    let mut zero = object.clone();
    if let Some(Value::Object(fields)) = without.pointer_mut(parent) {
        fields.remove(&key);
    }
    if let Some(part) = zero.pointer_mut(pointer) {
        *part = match part {
            Value::String(_) => json!(""),
            Value::Number(_) => json!(0),
            Value::Bool(_) => json!(false),
            Value::Array(_) => json!([]),
            _ => json!(null),
        };
    }
    [without, zero]
}

fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, format!("{at}/{key}"), found);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                places(value, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
    found.push(at);
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
