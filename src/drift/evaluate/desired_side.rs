//! The desired object as the filter leaves it: what the live side cannot show is not asked of it.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::desired::{Identity, Manifest};
use super::Evaluator;
use crate::filter::{Autoscaled, Context, DigestKey, Verdict};
use crate::object::{RawObject, Step};
use crate::owners::{Mask, MaskKind};

/// The manager that stands for the desired state: it asked for all that a manifest says.
const DESIRED: &str = "strandline-desired";

/// A manifest after the filter.
pub(super) struct Filtered {
    pub(super) value: Value,
    /// What the filter did to it.
    pub(super) masks: Vec<Mask>,
    /// It did not look at it, so that nobody knows what of it may be seen.
    pub(super) blind: bool,
}

impl Filtered {
    /// With the values of `manifest` that the filter has hidden: to tell whether they differ, and
    /// not to be shown. Digests would differ by where in a list they stand, and fixed texts never.
    pub(super) fn revealed(&self, manifest: &Value) -> Value {
        let mut value = self.value.clone();
        let hidden = self
            .masks
            .iter()
            .filter(|mask| mask.kind == MaskKind::Redacted);
        let hidden: Vec<&[Step]> = hidden.map(|mask| &*mask.path).collect();
        // Where the filter has moved elements of lists, their places are not the manifest's.
        if is_aligned(manifest, &value, &hidden, false) {
            for path in hidden {
                let shown = path.iter().try_fold(manifest, step);
                let place = path.iter().try_fold(&mut value, step_mut);
                if let (Some(shown), Some(place)) = (shown, place) {
                    place.clone_from(shown);
                }
            }
        }
        value
    }
}

fn step<'v>(value: &'v Value, step: &Step) -> Option<&'v Value> {
    match step {
        Step::Key(key) => value.get(&**key),
        Step::Index(index) => value.get(index),
    }
}

fn step_mut<'v>(value: &'v mut Value, step: &Step) -> Option<&'v mut Value> {
    match step {
        Step::Key(key) => value.get_mut(&**key),
        Step::Index(index) => value.get_mut(index),
    }
}

/// Whether places of the second value that lead to what is hidden are the same in the first.
fn is_aligned(manifest: &Value, filtered: &Value, hidden: &[&[Step]], in_list: bool) -> bool {
    if hidden.iter().any(|path| path.is_empty()) {
        return true;
    }
    let below = |at: &Step| -> Vec<&[Step]> {
        let below = hidden.iter().filter_map(|path| path.split_first());
        below
            .filter(|(first, _)| *first == at)
            .map(|(_, rest)| rest)
            .collect()
    };
    match (manifest, filtered) {
        (Value::Object(manifest), Value::Object(filtered)) => {
            filtered.iter().all(|(name, filtered)| {
                let hidden = below(&Step::Key(name.as_str().into()));
                // What an element holds tells which one it is.
                (hidden.is_empty() && !in_list)
                    || manifest
                        .get(name)
                        .is_some_and(|manifest| is_aligned(manifest, filtered, &hidden, in_list))
            })
        }
        (Value::Array(manifest), Value::Array(filtered)) => {
            let pairs = manifest.iter().zip(filtered).enumerate();
            manifest.len() == filtered.len()
                && pairs.into_iter().all(|(at, (manifest, filtered))| {
                    is_aligned(manifest, filtered, &below(&Step::Index(at)), true)
                })
        }
        (manifest, filtered) => manifest == filtered,
    }
}

impl Evaluator<'_> {
    /// The rule that leaves the whole object out of the mirror, as far as its manifest tells.
    pub(super) fn drops(&self, identity: &Identity, manifest: &Manifest) -> Option<String> {
        self.filtered(identity, &manifest.value())?.err()
    }

    /// The manifest after the filter; the rule's name where it drops the object, and `None` where
    /// the kind is not known.
    pub(super) fn filtered(
        &self,
        identity: &Identity,
        manifest: &Value,
    ) -> Option<Result<Filtered, String>> {
        let (known, key) = self.key(identity)?;
        let rules = known.rules.as_ref()?;
        let mut value = manifest.clone();
        place_in(&mut value, identity);
        let managed_fields = owns_all(&value);
        let mut object = RawObject {
            value,
            managed_fields,
        };
        let spare;
        let digest_key = if let Some(key) = self.question.digest_key {
            key
        } else {
            // Its digests equal none of the live side; places with digests are not compared.
            spare = DigestKey::from_bytes(&[0; 32]).ok()?;
            &spare
        };
        let context = Context {
            digest_key,
            autoscaled: &Autoscaled::default(),
        };
        let (verdict, masks) = rules.apply_masked(&mut object, &key, &context);
        Some(match verdict {
            Verdict::Drop { rule } => Err(rule.to_string()),
            Verdict::Keep { .. } => Ok(Filtered {
                value: object.value,
                masks,
                blind: false,
            }),
        })
    }
}

/// Gives a manifest the namespace that it goes to.
fn place_in(value: &mut Value, identity: &Identity) {
    let Some(Value::Object(metadata)) = value.get_mut("metadata") else {
        return;
    };
    match &identity.namespace {
        Some(namespace) => {
            metadata.insert("namespace".to_owned(), Value::from(&**namespace));
        }
        None => {
            metadata.remove("namespace");
        }
    }
}

/// `managedFields` by which one manager owns every field: what a manifest says was asked for.
fn owns_all(value: &Value) -> Option<Box<RawValue>> {
    let fields: Map<String, Value> = value
        .as_object()?
        .keys()
        .map(|field| (format!("f:{field}"), Value::Object(Map::new())))
        .collect();
    let entry = serde_json::json!([{
        "manager": DESIRED, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields,
    }]);
    RawValue::from_string(entry.to_string()).ok()
}
