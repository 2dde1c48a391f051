//! Places of an object, spelled as the filters' field paths are.
//!
//! Written from that syntax's description, not with its code.

use std::fmt;

use serde_json::Value;

/// One step from an object's root.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// A field or a map's key.
    Key(String),
    /// The element of a map-like list with these keys, in the schema's order.
    Where(Vec<(String, Value)>),
    /// The element of a set with this value.
    Item(Value),
}

/// A place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if is_name(key) && at == 0 => f.write_str(key)?,
                Step::Key(key) if is_name(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[{}]", Value::from(key.as_str()))?,
                Step::Item(value) => write!(f, "[={}]", bare(value))?,
                Step::Where(keys) => {
                    let keys: Vec<_> = keys
                        .iter()
                        .map(|(key, value)| format!("{key}={}", bare(value)))
                        .collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
            }
        }
        Ok(())
    }
}

/// The value at a place; of an element by its keys, a key that it leaves out counts as the same.
pub(crate) fn get<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Item(item) => value.as_array()?.iter().find(|found| *found == item),
        Step::Where(keys) => value.as_array()?.iter().find(|found| {
            keys.iter()
                .all(|(key, value)| found[key].is_null() || found[key] == *value)
        }),
    })
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-$".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

/// A value as it is where it is plain, else as a JSON string.
fn bare(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-$./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        Value::from(text).to_string()
    }
}
