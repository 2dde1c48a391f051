//! Built-in kinds: the tables, the zero values that schemas publish, and the code beside them.

use serde_json::{Map, Value};

use super::tables::Facts;
use super::{others, pods, services, workloads};
use crate::drift::quantity;
use crate::drift::schema::{Kind, Node};

/// An object's fields.
pub(super) type Fields = Map<String, Value>;

pub(super) fn fill(object: &mut Value, node: Node<'_>, facts: &Facts) {
    // Before the types' own defaults: what the code finds empty must still be empty.
    if let (Value::Object(fields), Some(name)) = (&mut *object, node.type_name()) {
        workloads::before(short(name), fields);
    }
    descend(object, node, facts);
    let kind = kind_of(object);
    let Value::Object(fields) = object else {
        return;
    };
    for (path, default) in facts.places(&kind) {
        let (parents, field) = path.rsplit_once('.').unwrap_or(("", path));
        let mut parent = Some(&mut *fields);
        for step in parents.split('.').filter(|step| !step.is_empty()) {
            parent = parent.and_then(|parent| parent.get_mut(step)?.as_object_mut());
        }
        if let Some(parent) = parent {
            put(parent, field, || default.clone());
        }
    }
    if let Some(name) = node.type_name() {
        pods::after(short(name), fields);
        others::after(short(name), fields);
    }
}

/// The name of a type without what all have in common: `core.v1.PodSpec`.
fn short(name: &str) -> &str {
    name.strip_prefix("io.k8s.api.").unwrap_or(name)
}

/// `group/version/kind`, as the tables spell it.
fn kind_of(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let slash = if version.contains('/') { "" } else { "/" };
    let kind = object["kind"].as_str().unwrap_or_default();
    format!("{slash}{version}/{kind}")
}

fn descend(value: &mut Value, node: Node<'_>, facts: &Facts) {
    match value {
        Value::Object(fields) => match node.value_kind() {
            Kind::Object => object(fields, node, facts),
            Kind::Map => map(fields, node, facts),
            _ => {}
        },
        Value::Array(elements) => {
            if let Some(items) = node.items() {
                for element in elements {
                    // Go reads null as the zero value of what a list holds.
                    if element.is_null() {
                        match items.value_kind() {
                            Kind::Object => *element = Value::Object(Fields::new()),
                            Kind::Text => *element = Value::String(String::new()),
                            _ => {}
                        }
                    }
                    descend(element, items, facts);
                }
            }
        }
        _ => {}
    }
}

fn map(fields: &mut Fields, node: Node<'_>, facts: &Facts) {
    for (key, value) in fields {
        let Some(node) = node.field(key) else {
            continue;
        };
        match node.value_kind() {
            // Go reads null as the zero value of what a map holds.
            Kind::Text | Kind::Bytes if value.is_null() => *value = Value::String(String::new()),
            Kind::Quantity => quantity::round_up(value),
            _ => descend(value, node, facts),
        }
    }
}

fn object(fields: &mut Fields, node: Node<'_>, facts: &Facts) {
    fields.retain(|_, value| !value.is_null());
    let name = node.type_name().unwrap_or_default();
    pods::fill(short(name), fields);
    services::fill(short(name), fields);
    workloads::fill(short(name), fields);
    others::fill(short(name), fields);
    for (field, default) in facts.defaults(name) {
        let means_default = |value: &Value| is_zero(value) && facts.zero_means_default(name, field);
        if fields.get(field).is_none_or(means_default) {
            fields.insert(field.to_owned(), default.clone());
        }
    }
    for (field, of) in node.fields() {
        if let Some(default) = of.default()
            && !fields.contains_key(field)
            && !(is_zero(default) && facts.omits_zero(name, field))
        {
            fields.insert(field.to_owned(), default.clone());
        }
    }
    for (field, value) in fields {
        if let Some(node) = node.field(field) {
            descend(value, node, facts);
        }
    }
}

/// Go's zero values, as JSON has them.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

/// Whether a field is absent, null, or an empty text or list.
pub(super) fn lacks(fields: &Fields, field: &str) -> bool {
    fields.get(field).is_none_or(|value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    })
}

/// Sets a field that is [lacking](lacks).
pub(super) fn put<V: Into<Value>>(fields: &mut Fields, field: &str, value: impl FnOnce() -> V) {
    if lacks(fields, field) {
        fields.insert(field.to_owned(), value().into());
    }
}

/// The text of a field; empty where there is none.
pub(super) fn text<'f>(fields: &'f Fields, field: &str) -> &'f str {
    fields
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A field that holds fields.
pub(super) fn part<'f>(fields: &'f mut Fields, field: &str) -> Option<&'f mut Fields> {
    fields.get_mut(field)?.as_object_mut()
}

/// The elements of a list that hold fields.
pub(super) fn parts<'f>(
    fields: &'f mut Fields,
    field: &str,
) -> impl Iterator<Item = &'f mut Fields> {
    let list = fields.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// A field that holds fields, made where it is lacking; `None` where it is something else.
pub(super) fn made<'f>(fields: &'f mut Fields, field: &str) -> Option<&'f mut Fields> {
    put(fields, field, Fields::new);
    part(fields, field)
}

/// Copies the entries of a map that another lacks.
pub(super) fn copy_missing(from: &Fields, to: &mut Fields) {
    for (key, value) in from {
        to.entry(key.clone()).or_insert_with(|| value.clone());
    }
}
