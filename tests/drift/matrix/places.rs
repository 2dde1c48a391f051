//! Where an object can be changed, and to what: every leaf, every element, every absent field.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::oracle::schema::{List, Node};

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Key(String),
    Index(usize),
}

/// What is done at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Action {
    Change,
    Delete,
    Add,
}

/// A change of one place. `value` is what is there afterwards; of a deletion there is none.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) at: Vec<At>,
    pub(crate) action: Action,
    pub(crate) value: Option<Value>,
    /// An element that is inserted or removed, not the value of one that stays.
    pub(crate) element: bool,
}

/// What nobody changes, or what would end the object or tie it to another.
const METADATA_KEPT: [&str; 11] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "ownerReferences",
    "generateName",
    "selfLink",
    "deletionTimestamp",
];
const METADATA_ABSENT: [&str; 1] = ["deletionGracePeriodSeconds"];

/// Copies and counters that the recorder leaves out.
const ANNOTATIONS_KEPT: [&str; 3] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
];

/// Every place of a stored object.
pub(crate) fn places(node: Node<'_>, object: &Value, rng: &mut Rng) -> Vec<Place> {
    let mut walk = Walk {
        rng,
        at: Vec::new(),
        found: Vec::new(),
    };
    walk.object(node, object);
    walk.found
}

struct Walk<'r> {
    rng: &'r mut Rng,
    at: Vec<At>,
    found: Vec<Place>,
}

impl Walk<'_> {
    fn is_kept(&self, key: &str) -> bool {
        let above: Vec<&str> = self.at.iter().filter_map(key_of).collect();
        match above[..] {
            [] => ["apiVersion", "kind", "status"].contains(&key),
            ["metadata"] => METADATA_KEPT.contains(&key) || METADATA_ABSENT.contains(&key),
            ["metadata", "annotations"] => ANNOTATIONS_KEPT.contains(&key),
            _ => {
                METADATA_ABSENT.contains(&key)
                    || (above.ends_with(&["metadata"]) && key != "labels" && key != "annotations")
            }
        }
    }

    fn note(&mut self, action: Action, value: Option<Value>, element: bool) {
        self.found.push(Place {
            at: self.at.clone(),
            action,
            value,
            element,
        });
    }

    fn value(&mut self, node: Node<'_>, value: &Value) {
        match value {
            Value::Object(_) => self.object(node, value),
            Value::Array(items) => {
                self.note(Action::Delete, None, false);
                match node.list() {
                    List::Atomic => {
                        let changed = altered(node, value, self.rng);
                        self.note(Action::Change, Some(changed), false);
                    }
                    List::Set => self.set(node, items),
                    List::Map(keys) => self.map_list(node, items, &keys),
                }
            }
            _ => {
                let changed = other(node, value, &self.last_key(), self.rng);
                self.note(Action::Change, Some(changed), false);
                self.note(Action::Delete, None, false);
            }
        }
    }

    fn last_key(&self) -> String {
        let last = self.at.iter().rev().find_map(key_of);
        last.unwrap_or_default().to_owned()
    }

    fn object(&mut self, node: Node<'_>, object: &Value) {
        let Some(fields) = object.as_object() else {
            return;
        };
        for (key, value) in fields {
            if !self.is_kept(key) {
                self.at.push(At::Key(key.clone()));
                self.value(node.field(key), value);
                self.at.pop();
            }
        }
        let mut absent: Vec<String> = node.fields().into_iter().map(str::to_owned).collect();
        if node.is_map() {
            let number = self.rng.u32(..);
            let prefix = if self
                .at
                .iter()
                .any(|at| *at == At::Key("metadata".to_owned()))
            {
                "example.com/"
            } else {
                ""
            };
            absent = vec![format!("{prefix}planted-{number:x}")];
        }
        absent.retain(|key| !fields.contains_key(key) && !self.is_kept(key));
        for key in absent {
            let sample = sample(node.field(&key), &key, self.rng, 0);
            if let Some(sample) = sample {
                self.at.push(At::Key(key));
                self.note(Action::Add, Some(sample), false);
                self.at.pop();
            }
        }
    }

    fn set(&mut self, node: Node<'_>, items: &[Value]) {
        let new = sample(node.items(), &self.last_key(), self.rng, 0);
        for (at, _) in items.iter().enumerate() {
            self.at.push(At::Index(at));
            self.note(Action::Delete, None, true);
            self.at.pop();
        }
        if let Some(new) = new.filter(|new| !items.contains(new)) {
            self.at.push(At::Index(items.len()));
            self.note(Action::Add, Some(new), true);
            self.at.pop();
        }
    }

    fn map_list(&mut self, node: Node<'_>, items: &[Value], keys: &[String]) {
        for (at, item) in items.iter().enumerate() {
            self.at.push(At::Index(at));
            self.note(Action::Delete, None, true);
            self.object(node.items(), item);
            self.at.pop();
        }
        // Another element like the first, under another key.
        let new = items.first().cloned();
        let new = new.or_else(|| sample(node.items(), &self.last_key(), self.rng, 0));
        if let (Some(mut new), Some(key)) = (new, keys.first()) {
            let changed = other(node.items().field(key), &new[key], key, self.rng);
            new[key] = changed;
            self.at.push(At::Index(items.len()));
            self.note(Action::Add, Some(new), true);
            self.at.pop();
        }
    }
}

fn key_of(at: &At) -> Option<&str> {
    match at {
        At::Key(key) => Some(key),
        At::Index(_) => None,
    }
}

/// Another value of the same type.
fn other(node: Node<'_>, value: &Value, key: &str, rng: &mut Rng) -> Value {
    let number = rng.u16(1..1000);
    if let Some(choice) = choices(node).into_iter().find(|choice| *choice != value) {
        return choice.clone();
    }
    match value {
        Value::Bool(value) => (!value).into(),
        Value::Number(old) => match old.as_i64() {
            Some(old) => (old + i64::from(number % 7) + 1).into(),
            None => json!(old.as_f64().unwrap_or_default() + 0.5),
        },
        Value::String(text) => {
            if is_quantity(node) || looks_like_quantity(text, key) {
                return format!("{number}Mi").into();
            }
            if let Some(rest) = text.strip_suffix('%') {
                let percent: u16 = rest.parse().unwrap_or(10);
                return format!("{}%", percent % 90 + 1).into();
            }
            if says(node, "format", "byte") {
                use base64::Engine as _;
                let text = format!("planted {number}");
                return base64::engine::general_purpose::STANDARD
                    .encode(text)
                    .into();
            }
            if let Some(rest) = text.strip_suffix('s')
                && rest.parse::<u16>().is_ok()
            {
                return format!("{number}s").into();
            }
            format!("{text}{number}").into()
        }
        _ => format!("planted-{number}").into(),
    }
}

/// The list, differing in one scalar, or without its last element.
fn altered(node: Node<'_>, list: &Value, rng: &mut Rng) -> Value {
    let mut changed = list.clone();
    let mut leaves = Vec::new();
    scalars(node, list, &mut Vec::new(), &mut leaves);
    if !leaves.is_empty() && rng.u8(..4) > 0 {
        let (at, node) = &leaves[rng.usize(..leaves.len())];
        let key = at.iter().rev().find_map(key_of).unwrap_or_default();
        if let Some(place) = get_mut(&mut changed, at) {
            *place = other(*node, &place.clone(), key, rng);
        }
    } else if let Some(items) = changed.as_array_mut() {
        items.pop();
    }
    changed
}

fn scalars<'n>(
    node: Node<'n>,
    value: &Value,
    at: &mut Vec<At>,
    found: &mut Vec<(Vec<At>, Node<'n>)>,
) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                at.push(At::Key(key.clone()));
                scalars(node.field(key), value, at, found);
                at.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                at.push(At::Index(index));
                scalars(node.items(), item, at, found);
                at.pop();
            }
        }
        _ => found.push((at.clone(), node)),
    }
}

/// A value of the type, as small as it may be.
fn sample(node: Node<'_>, key: &str, rng: &mut Rng, depth: usize) -> Option<Value> {
    if depth > 5 {
        return None;
    }
    let number = rng.u16(1..1000);
    if let Some(choice) = choices(node).into_iter().next() {
        return Some(choice.clone());
    }
    if is_quantity(node) {
        return Some(format!("{number}Mi").into());
    }
    if node.is_map() {
        let value = sample(node.field("planted"), "planted", rng, depth + 1)?;
        return Some(json!({ "planted": value }));
    }
    let kind = node.says("type").and_then(Value::as_str);
    let fields = node.fields();
    if !fields.is_empty() {
        let required = node.says("required").and_then(Value::as_array);
        let required: Vec<&str> = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut wanted: Vec<&str> = fields
            .iter()
            .copied()
            .filter(|field| required.contains(field))
            .collect();
        if wanted.is_empty() {
            wanted.push(fields[rng.usize(..fields.len())]);
        }
        let mut object = Map::new();
        for field in wanted {
            object.insert(
                field.to_owned(),
                sample(node.field(field), field, rng, depth + 1)?,
            );
        }
        return Some(object.into());
    }
    match kind {
        Some("boolean") => Some(true.into()),
        Some("integer") => Some((number % 50 + 1).into()),
        Some("number") => Some(json!(1.5)),
        Some("array") => {
            let mut item = sample(node.items(), key, rng, depth + 1)?;
            // Without its keys an element has no place.
            if let List::Map(keys) = node.list() {
                for key in keys
                    .iter()
                    .filter(|key| item[*key].is_null())
                    .cloned()
                    .collect::<Vec<_>>()
                {
                    item[&key] = sample(node.items().field(&key), &key, rng, depth + 1)?;
                }
            }
            Some(json!([item]))
        }
        Some("string") if says(node, "format", "byte") => Some("cGxhbnRlZA==".into()),
        Some("string") if says(node, "format", "date-time") => Some("2030-01-02T03:04:05Z".into()),
        Some("string") if key.ends_with("imeout") || key.ends_with("nterval") => {
            Some(format!("{number}s").into())
        }
        Some("string") => Some(format!("planted-{number}").into()),
        None if says(node, "x-kubernetes-int-or-string", "true")
            || says(node, "format", "int-or-string") =>
        {
            Some((number % 50 + 1).into())
        }
        _ => None,
    }
}

fn choices(node: Node<'_>) -> Vec<&Value> {
    let choices = node.says("enum").and_then(Value::as_array);
    choices.into_iter().flatten().collect()
}

fn says(node: Node<'_>, word: &str, value: &str) -> bool {
    match node.says(word) {
        Some(Value::String(text)) => text == value,
        Some(Value::Bool(yes)) => *yes && value == "true",
        _ => false,
    }
}

fn is_quantity(node: Node<'_>) -> bool {
    let pattern = node.says("pattern").and_then(Value::as_str);
    pattern.is_some_and(|pattern| pattern.contains("KMGTPE"))
        || node
            .reference()
            .is_some_and(|name| name.ends_with(".Quantity"))
}

fn looks_like_quantity(text: &str, key: &str) -> bool {
    ["cpu", "memory", "storage"].contains(&key) && text.starts_with(|c: char| c.is_ascii_digit())
}

/// The value at a place.
pub(crate) fn get<'v>(value: &'v Value, at: &[At]) -> Option<&'v Value> {
    at.iter().try_fold(value, |value, at| match at {
        At::Key(key) => value.get(key),
        At::Index(index) => value.get(index),
    })
}

fn get_mut<'v>(value: &'v mut Value, at: &[At]) -> Option<&'v mut Value> {
    at.iter().try_fold(value, |value, at| match at {
        At::Key(key) => value.get_mut(key),
        At::Index(index) => value.get_mut(index),
    })
}

/// The object with the place changed.
pub(crate) fn applied(object: &Value, place: &Place) -> Value {
    let mut object = object.clone();
    let Some((last, above)) = place.at.split_last() else {
        return object;
    };
    let parent = get_mut(&mut object, above);
    match (parent, last, &place.value) {
        (Some(Value::Object(fields)), At::Key(key), Some(value)) => {
            fields.insert(key.clone(), value.clone());
        }
        (Some(Value::Object(fields)), At::Key(key), None) => {
            fields.remove(key);
        }
        (Some(Value::Array(items)), At::Index(index), value) => match (place.action, value) {
            (Action::Delete, _) if *index < items.len() => {
                items.remove(*index);
            }
            (Action::Add, Some(value)) => items.push(value.clone()),
            (Action::Change, Some(value)) if *index < items.len() => items[*index] = value.clone(),
            _ => {}
        },
        _ => {}
    }
    object
}
