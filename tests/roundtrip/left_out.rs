//! What the server fills in where a field is left out, held against `drift::defaults` for every
//! field of every recorded kind. Here, because the objects are the generated ones, which take
//! minutes to find.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bed::Bed;
use crate::generation;
use crate::support::expectation::remove;
use crate::support::plane::ControlPlane;
use crate::support::suite::Outcome;
use crate::total::Total;

/// What the server drops or replaces in generated objects, which set every field there is: no
/// default, so another part of the comparison tells of it.
const DROPPED: [(&str, &[&str], &str); 17] = [
    ("Secret", &["stringData"], "goes into data"),
    ("Secret", &["data"], "takes stringData"),
    ("ServiceAccount", &["secrets"], "keep the name alone"),
    (
        "Service",
        &["spec", "sessionAffinityConfig"],
        "dropped without affinity",
    ),
    (
        "PersistentVolumeClaim",
        &["spec", "dataSource"],
        "incomplete",
    ),
    (
        "PersistentVolumeClaim",
        &["spec", "dataSourceRef"],
        "alpha: of another namespace",
    ),
    ("Node", &["spec", "configSource"], "was removed"),
    (
        "Node",
        &["spec", "podCIDRs"],
        "podCIDR wins where they differ",
    ),
    (
        "CSIDriver",
        &["spec", "preventPodSchedulingIfMissing"],
        "alpha",
    ),
    (
        "StatefulSet",
        &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"],
        "beta, off",
    ),
    (
        "EndpointSlice",
        &["endpoints", "*", "deprecatedTopology"],
        "of v1beta1",
    ),
    (
        "Node",
        &["spec", "taints"],
        "not ready as long as it is new",
    ),
    ("@", &["schedulingGroup"], "alpha"),
    (
        "@",
        &["containers", "*", "lifecycle", "stopSignal"],
        "alpha",
    ),
    (
        "@",
        &["initContainers", "*", "lifecycle", "stopSignal"],
        "alpha",
    ),
    (
        "@",
        &[
            "volumes",
            "*",
            "projected",
            "sources",
            "*",
            "clusterTrustBundle",
        ],
        "beta, off",
    ),
    (
        "@",
        &[
            "volumes",
            "*",
            "projected",
            "sources",
            "*",
            "podCertificate",
        ],
        "beta, off",
    ),
];

/// Where kinds have the spec of a Pod, which `@` stands for.
const POD_SPECS: [&[&str]; 3] = [
    &["template", "spec"],
    &["spec", "template", "spec"],
    &["spec", "jobTemplate", "spec", "template", "spec"],
];

fn without_dropped(object: &mut Value) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    for (of, path, _) in DROPPED {
        if of == "@" {
            for spec in POD_SPECS {
                remove(object, &[spec, path].concat());
            }
        } else if of == kind {
            remove(object, path);
        }
    }
}

/// How often a place is tried again where the server refused an object without it.
const TRIES: u32 = 3;

/// Objects of every recorded kind with every settable leaf, and each of them again without one of
/// its parts, or with a zero in its place: once for each place of a kind, Pod templates in one.
#[expect(clippy::print_stdout, reason = "the figures")]
pub(crate) fn every_field_left_out(plane: &ControlPlane) -> Outcome {
    let generation = generation(plane)?;
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
