//! Who owns which field: `metadata.managedFields`, kept by a simple and honest model.
//!
//! The manager that changed a leaf owns it, and nobody else does; a leaf that is gone is owned by
//! nobody. The shapes are those of the real server: `f:` for fields, `k:` for items of lists that
//! have keys, `v:` for items of sets, and `.` for a map or item itself (entries of operation
//! `Update` only hold it for maps of strings, as seen on 1.36).
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>

use serde_json::{Map, Value, json};

use super::Writer;

/// Field names that hold a list with keys, and those keys, in order of preference: a list that has
/// another shape is atomic. From the `x-kubernetes-list-map-keys` of the built-in types.
const KEYED_LISTS: [(&str, &[&[&str]]); 12] = [
    ("conditions", &[&["type"]]),
    ("containers", &[&["name"]]),
    ("env", &[&["name"]]),
    ("ephemeralContainers", &[&["name"]]),
    ("imagePullSecrets", &[&["name"]]),
    ("initContainers", &[&["name"]]),
    ("ownerReferences", &[&["uid"]]),
    (
        "ports",
        &[&["containerPort", "protocol"], &["port", "protocol"]],
    ),
    (
        "topologySpreadConstraints",
        &[&["topologyKey", "whenUnsatisfiable"]],
    ),
    ("volumeDevices", &[&["devicePath"]]),
    ("volumeMounts", &[&["mountPath"]]),
    ("volumes", &[&["name"]]),
];

/// Maps of strings: the server notes their existence as `.` beside their entries.
const STRING_MAPS: [&str; 5] = ["annotations", "binaryData", "data", "labels", "stringData"];

/// Fields that are one leaf, whatever they hold (`x-kubernetes-map-type: atomic`).
const ATOMIC: [&str; 5] = [
    "nodeSelector",
    "podSelector",
    "resourceFieldRef",
    "scaleTargetRef",
    "selector",
];

/// Fields of `metadata` that the server itself writes.
pub(super) const SERVER_METADATA: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// Leaves that differ between two versions of an object, as paths of `FieldsV1` elements.
#[derive(Debug, Default)]
pub(super) struct Difference {
    changed: Vec<Vec<String>>,
    removed: Vec<Vec<String>>,
}

impl Difference {
    /// Compares two versions; `old` is `None` for a new object.
    ///
    /// What the server writes itself does not count.
    pub(super) fn between(old: Option<&Value>, new: &Value) -> Self {
        let mut difference = Self::default();
        difference.descend(
            old.map(owned_part).as_ref(),
            Some(&owned_part(new)),
            "",
            &mut Vec::new(),
        );
        difference
    }

    fn descend(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        field: &str,
        path: &mut Vec<String>,
    ) {
        if old == new {
            return;
        }
        let old_children = old.and_then(|value| children(field, value));
        let new_children = new.and_then(|value| children(field, value));
        if old_children.is_none() && old.is_some() && new.is_none_or(|_| new_children.is_some()) {
            self.removed.push(path.clone());
        }
        if let (Some(_), None) = (new, &new_children) {
            self.changed.push(path.clone());
        }
        let old_children = old_children.unwrap_or_default();
        let new_children = new_children.unwrap_or_default();
        for (element, name, value) in &new_children {
            let before = old_children.iter().find(|(other, ..)| other == element);
            path.push(element.clone());
            self.descend(before.map(|(.., value)| *value), Some(value), name, path);
            path.pop();
        }
        for (element, name, value) in &old_children {
            if !new_children.iter().any(|(other, ..)| other == element) {
                path.push(element.clone());
                self.descend(Some(value), None, name, path);
                path.pop();
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// The object without what only the server writes.
fn owned_part(object: &Value) -> Value {
    let mut part = Map::new();
    for (field, value) in object.as_object().into_iter().flatten() {
        match field.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let metadata: Map<String, Value> = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(field, _)| !SERVER_METADATA.contains(&field.as_str()))
                    .map(|(field, value)| (field.clone(), value.clone()))
                    .collect();
                if !metadata.is_empty() {
                    part.insert(field.clone(), metadata.into());
                }
            }
            _ => {
                part.insert(field.clone(), value.clone());
            }
        }
    }
    part.into()
}

/// The parts of a value that are owned one by one: element, field name, value. `None` for a leaf.
type Children<'a> = Vec<(String, &'a str, &'a Value)>;

const NOTHING: Value = Value::Null;

fn children<'a>(field: &str, value: &'a Value) -> Option<Children<'a>> {
    match value {
        Value::Object(map) if !map.is_empty() && !ATOMIC.contains(&field) => {
            let mut parts: Children<'a> = Vec::with_capacity(map.len() + 1);
            // "k" stands for an item of a list with keys.
            if field == "k" || STRING_MAPS.contains(&field) {
                parts.push((".".to_owned(), ".", &NOTHING));
            }
            parts.extend(
                map.iter()
                    .map(|(field, value)| (format!("f:{field}"), field.as_str(), value)),
            );
            Some(parts)
        }
        Value::Array(items) if !items.is_empty() && field == "finalizers" => Some(
            std::iter::once((".".to_owned(), ".", &NOTHING))
                .chain(items.iter().map(|item| (format!("v:{item}"), "v", item)))
                .collect(),
        ),
        Value::Array(items) if !items.is_empty() => {
            let (_, candidates) = KEYED_LISTS.iter().find(|(name, _)| *name == field)?;
            let keys = candidates
                .iter()
                .find(|keys| items.iter().all(|item| item.get(keys[0]).is_some()))?;
            Some(
                std::iter::once((".".to_owned(), ".", &NOTHING))
                    .chain(
                        items
                            .iter()
                            .map(|item| (key_element(keys, item), "k", item)),
                    )
                    .collect(),
            )
        }
        _ => None,
    }
}

fn key_element(keys: &[&str], item: &Value) -> String {
    let key: Map<String, Value> = keys
        .iter()
        .map(|name| {
            let value = item.get(*name).cloned().unwrap_or_else(|| json!("TCP"));
            ((*name).to_owned(), value)
        })
        .collect();
    format!("k:{}", Value::Object(key))
}

/// Brings `managed_fields` up to date with what `writer` changed; `time` is RFC 3339.
pub(super) fn record(
    managed_fields: &mut Vec<Value>,
    difference: &Difference,
    writer: &Writer,
    api_version: &str,
    time: &str,
) {
    let (changed, removed) = (&difference.changed, &difference.removed);
    for entry in managed_fields.iter_mut() {
        for path in removed.iter().chain(changed) {
            if let Some(fields) = entry.get_mut("fieldsV1") {
                remove(fields, path);
            }
        }
    }
    if !changed.is_empty() {
        let at = managed_fields
            .iter()
            .position(|entry| is_of(entry, writer))
            .unwrap_or_else(|| {
                managed_fields.push(new_entry(writer, api_version));
                managed_fields.len() - 1
            });
        let entry = &mut managed_fields[at];
        for path in changed {
            // Seen on 1.36: an Apply notes maps and lists by their entries alone, items by `.` too.
            let itself = matches!(path.as_slice(), [.., above, last]
                if last == "." && !above.starts_with("k:"));
            if !(itself && writer.is_apply()) {
                insert(&mut entry["fieldsV1"], path);
            }
        }
        // Seen on 1.36: entries of subresource `scale` carry no time.
        if writer.subresource_name() != Some("scale") {
            entry["time"] = time.into();
        }
    }
    managed_fields.retain(|entry| {
        entry
            .get("fieldsV1")
            .and_then(Value::as_object)
            .is_some_and(|fields| !fields.is_empty())
    });
}

fn new_entry(writer: &Writer, api_version: &str) -> Value {
    let mut entry = json!({
        "manager": writer.manager(),
        "operation": if writer.is_apply() { "Apply" } else { "Update" },
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    });
    if let Some(subresource) = writer.subresource_name() {
        entry["subresource"] = subresource.into();
    }
    entry
}

fn is_of(entry: &Value, writer: &Writer) -> bool {
    let operation = if writer.is_apply() { "Apply" } else { "Update" };
    entry["manager"] == writer.manager()
        && entry["operation"] == operation
        && entry.get("subresource").and_then(Value::as_str) == writer.subresource_name()
}

fn insert(fields: &mut Value, path: &[String]) {
    let mut at = fields;
    for element in path {
        let Value::Object(map) = at else { return };
        at = map.entry(element.clone()).or_insert_with(|| json!({}));
    }
}

/// Takes a leaf out, and every map above it that becomes empty.
fn remove(fields: &mut Value, path: &[String]) {
    let (Some((first, rest)), Value::Object(map)) = (path.split_first(), fields) else {
        return;
    };
    let Some(child) = map.get_mut(first) else {
        return;
    };
    if !rest.is_empty() {
        remove(child, rest);
    }
    if rest.is_empty() || child.as_object().is_some_and(Map::is_empty) {
        map.remove(first);
    }
}
