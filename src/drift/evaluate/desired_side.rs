//! The desired object as the filter leaves it: what the live side cannot show is not asked of it.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::desired::{Identity, Manifest};
use super::Evaluator;
use crate::filter::{Autoscaled, Context, DigestKey, Verdict};
use crate::object::RawObject;
use crate::owners::Mask;

/// The manager that stands for the desired state: it asked for all that a manifest says.
const DESIRED: &str = "strandline-desired";

/// A manifest after the filter.
pub(super) struct Filtered {
    pub(super) value: Value,
    /// What the filter did to it.
    pub(super) masks: Vec<Mask>,
}

impl Evaluator<'_> {
    /// The rule that leaves the whole object out of the mirror, as far as its manifest tells.
    pub(super) fn drops(&self, identity: &Identity, manifest: &Manifest) -> Option<String> {
        self.filtered(identity, &manifest.value)?.err()
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
