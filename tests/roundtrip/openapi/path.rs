//! Places in an object, and places in a kind.

use std::fmt::Write as _;

/// One step in an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A field, or a key of a map.
    Field(String),
    /// An element of a list.
    Index(usize),
}

/// A place in an object.
pub type Path = Vec<Key>;

/// One step in a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Field(String),
    /// Any element of a list.
    Element,
    /// Any value of a map.
    Entry,
}

/// `spec.containers[].env[].name`, `data{}`.
pub fn show(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => {
                let _ = write!(text, ".{name}");
            }
            Step::Element => text.push_str("[]"),
            Step::Entry => text.push_str("{}"),
        }
    }
    text
}

/// Reads the `field` of a cause: `spec.ports[0].name`, `metadata.labels[a.b/c]`.
///
/// <https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/util/validation/field/path.go>
pub fn parse(field: &str) -> Path {
    let mut path = Path::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (key, after) = inner.split_once(']').unwrap_or((inner, ""));
            path.push(match key.parse() {
                Ok(index) => Key::Index(index),
                Err(_) => Key::Field(key.trim_matches('"').to_owned()),
            });
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            path.push(Key::Field(rest[..end].to_owned()));
            rest = &rest[end..];
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
    }
    path
}

/// A step into a field.
pub fn field(name: &str) -> Key {
    Key::Field(name.to_owned())
}
