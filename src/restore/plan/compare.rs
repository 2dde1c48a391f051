//! A file's object against the live one, both filtered.

use std::fmt::Write as _;

use serde_json::Value;

use super::facts::{Owner, is_token};
use super::render::{references, suspend};
use crate::filter::is_redacted;
use crate::object::ObjectKey;

/// How a live object relates to its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is what the file says.
    None {
        /// The file holds digests, whose values could not be compared.
        unread: bool,
        /// It is what the file says, but suspended.
        suspended: bool,
    },
    /// Some fields differ.
    Fields(Vec<String>),
}

/// Fields that are named of an object that differs.
const MOST_FIELDS: usize = 5;

/// Holds `file` against `live`, which went through the filter.
///
/// Owner references count by whom they name: those of the file that are missing live come second.
/// `autoscaled`: replicas do not count.
pub(in crate::restore) fn compare(
    key: &ObjectKey,
    mut file: Value,
    mut live: Value,
    autoscaled: bool,
) -> (Difference, Vec<Owner>) {
    let expected = take_owners(&mut file);
    let found = take_owners(&mut live);
    let missing = expected
        .iter()
        .filter(|owner| !found.iter().any(|other| other.is_same(owner)))
        .cloned()
        .collect();
    for object in [&mut file, &mut live] {
        if autoscaled && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("replicas");
        }
        if is_token(key, object)
            && let Some(map) = object.as_object_mut()
        {
            map.remove("data");
        }
    }
    let unread = mask_digests(&mut file, &mut live);
    let none = |suspended| Difference::None { unread, suspended };
    if file == live {
        return (none(false), missing);
    }
    let mut suspended = file.clone();
    if suspend(key, &mut suspended) && suspended == live {
        return (none(true), missing);
    }
    let mut fields = Vec::new();
    differing(&file, &live, &mut String::new(), &mut fields);
    (Difference::Fields(fields), missing)
}

fn take_owners(object: &mut Value) -> Vec<Owner> {
    let owners = references(object)
        .into_iter()
        .map(|(owner, _)| owner)
        .collect();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("ownerReferences");
    }
    owners
}

/// Blanks every digest of the file and what stands there live; returns whether there was one.
fn mask_digests(file: &mut Value, live: &mut Value) -> bool {
    match (file, live) {
        (Value::String(text), live) if is_redacted(text) => {
            text.clear();
            *live = Value::String(String::new());
            true
        }
        (Value::Object(file), Value::Object(live)) => {
            let mut any = false;
            for (field, value) in file {
                if let Some(live) = live.get_mut(field) {
                    any |= mask_digests(value, live);
                }
            }
            any
        }
        (Value::Array(file), Value::Array(live)) => {
            let mut any = false;
            for (file, live) in file.iter_mut().zip(live) {
                any |= mask_digests(file, live);
            }
            any
        }
        _ => false,
    }
}

/// Names the first fields that differ, without their values.
fn differing(file: &Value, live: &Value, place: &mut String, fields: &mut Vec<String>) {
    if fields.len() >= MOST_FIELDS || file == live {
        return;
    }
    let length = place.len();
    match (file, live) {
        (Value::Object(file), Value::Object(live)) => {
            let keys: std::collections::BTreeSet<&String> =
                file.keys().chain(live.keys()).collect();
            for field in keys {
                if field.contains(['.', '/']) {
                    // Writing to a String cannot fail.
                    let _ = write!(place, "[\"{field}\"]");
                } else {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.push_str(field);
                }
                let none = Value::Null;
                let (file, live) = (file.get(field), live.get(field));
                differing(file.unwrap_or(&none), live.unwrap_or(&none), place, fields);
                place.truncate(length);
            }
        }
        (Value::Array(file), Value::Array(live)) if file.len() == live.len() => {
            for (at, (file, live)) in file.iter().zip(live).enumerate() {
                let _ = write!(place, "[{at}]");
                differing(file, live, place, fields);
                place.truncate(length);
            }
        }
        _ => fields.push(place.clone()),
    }
}
