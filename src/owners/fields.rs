//! `FieldsV1`: which fields each manager asked for.
//!
//! A set of fields is a JSON object whose keys name the children: `f:<name>` a field or map key,
//! `k:<json>` the list element with these key fields, `v:<json>` the element of a set with this
//! value, `i:<index>` an element by position, and `.` the parent itself
//! (<https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/fieldpath/serialize-pe.go>).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The manager that the server invents for objects that were written before it kept track. Its
/// entry lists every field that the object had, so it tells nothing:
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply>.
pub(super) const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// `metadata.managedFields` that is not a list of entries. Holds nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("managedFields is not a list of field sets (line {line}, column {column})")]
pub struct ManagedFieldsError {
    /// 1-based line within the text of managedFields.
    pub line: usize,
    /// 1-based column within that line.
    pub column: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    manager: Option<Box<str>>,
    #[serde(default)]
    fields_v1: Option<Map<String, Value>>,
}

/// The field sets of one object, by manager.
pub struct ManagedFields {
    entries: Vec<(Box<str>, Value)>,
}

impl ManagedFields {
    /// An object whose fields nobody asked for.
    pub const fn none() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Builds the field sets from the text of `metadata.managedFields`.
    ///
    /// Entries of `before-first-apply` are left out.
    pub fn parse(managed_fields: &RawValue) -> Result<Self, ManagedFieldsError> {
        let entries: Vec<Entry> =
            serde_json::from_str(managed_fields.get()).map_err(|error| ManagedFieldsError {
                line: error.line(),
                column: error.column(),
            })?;
        Ok(Self {
            entries: entries
                .into_iter()
                .filter_map(|entry| {
                    let manager = entry.manager.unwrap_or_default();
                    let fields = entry.fields_v1.filter(|fields| !fields.is_empty())?;
                    (&*manager != BEFORE_FIRST_APPLY).then_some((manager, Value::Object(fields)))
                })
                .collect(),
        })
    }

    /// Who asked for what, seen from the object's root.
    pub fn root(&self) -> Owned<'_> {
        Owned(
            self.entries
                .iter()
                .map(|(manager, fields)| (&**manager, fields))
                .collect(),
        )
    }
}

/// The field sets below one place of the object.
///
/// Walk from [`ManagedFields::root`] beside the object itself; list elements are found by their
/// own keys, so the element is needed, not only its position.
#[derive(Clone)]
pub struct Owned<'m>(Vec<(&'m str, &'m Value)>);

impl<'m> Owned<'m> {
    /// A place that nobody asked for.
    pub const fn nobody() -> Self {
        Self(Vec::new())
    }

    /// The field sets below a field or map key.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.descend(|fields| {
            fields
                .iter()
                .find(|(key, _)| key.strip_prefix("f:") == Some(name))
                .map(|(_, child)| child)
        })
    }

    /// The field sets below one element of a list.
    #[must_use]
    pub fn element(&self, index: usize, element: &Value) -> Self {
        self.descend(|fields| {
            fields
                .iter()
                .find(|(key, _)| names_element(key, index, element))
                .map(|(_, child)| child)
        })
    }

    /// Whether any manager asked for this place.
    pub fn asked_for(&self) -> bool {
        !self.0.is_empty()
    }

    /// The managers that asked for this place.
    pub fn managers(&self) -> impl Iterator<Item = &'m str> {
        self.0.iter().map(|&(manager, _)| manager)
    }

    fn descend(&self, find: impl Fn(&'m Map<String, Value>) -> Option<&'m Value>) -> Self {
        let below = |&(manager, node): &(&'m str, &'m Value)| {
            let fields = node.as_object()?;
            // A set without children owns the value whole (an atomic list or map, a leaf).
            if fields.is_empty() {
                return Some((manager, node));
            }
            find(fields).map(|child| (manager, child))
        };
        Self(self.0.iter().filter_map(below).collect())
    }
}

/// Whether a key of a field set names this element of a list.
fn names_element(key: &str, index: usize, element: &Value) -> bool {
    let Some((kind, rest)) = key.split_once(':') else {
        return false;
    };
    match kind {
        "k" => serde_json::from_str::<Map<String, Value>>(rest).is_ok_and(|keys| {
            keys.iter()
                .all(|(field, value)| element.get(field) == Some(value))
        }),
        "v" => serde_json::from_str::<Value>(rest).is_ok_and(|value| value == *element),
        "i" => rest.parse() == Ok(index),
        _ => false,
    }
}
