//! The sidecar's form of a [`Shape`] and its [`Times`]: canonical compact JSON.
//!
//! ```text
//! {"w": [[manager, operation, subresource, apiVersion], …],
//!  "s": [[writer, …] | [-1, writer, …], …],        marks; -1: last-applied has the place
//!  "o": owners,  a number: the mark of all below
//!                {key: owners}, [owners, …]: of a map, of a list
//!                ["e", mark, owners]: of an element of a list, the element itself aside
//!  "m": [[path, kind, rule], …], "t": true, "l": true, "u": true, "r": {…}}
//! ```
//!
//! What is empty or false is left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shape::{DEEPEST, FieldWriter, Mark, Mask, MaskKind, Owners, Shape, Times};
use crate::object::Step;

const ELEMENT: &str = "e";

impl Times {
    /// Canonical JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// Reads what [`Times::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }
}

impl Shape {
    /// Canonical JSON: equal shapes are equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        if !self.writers.is_empty() {
            let writer = |w: &FieldWriter| {
                json!([&*w.manager, &*w.operation, &*w.subresource, &*w.api_version])
            };
            put("w", self.writers.iter().map(writer).collect());
        }
        if !self.marks.is_empty() {
            put("s", self.marks.iter().map(encode_mark).collect());
        }
        if let Some(owners) = &self.owners {
            put("o", encode_owners(owners));
        }
        if !self.masks.is_empty() {
            put("m", self.masks.iter().map(encode_mask).collect());
        }
        for (key, holds) in [
            ("t", self.terminating),
            ("l", self.has_last_applied),
            ("u", self.unreadable),
        ] {
            if holds {
                put(key, true.into());
            }
        }
        if let Some(reported) = &self.reported {
            put("r", reported.clone());
        }
        Value::Object(out).to_string().into_bytes()
    }

    /// Reads what [`Shape::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let Value::Object(map) = serde_json::from_slice(bytes).ok()? else {
            return None;
        };
        let mut shape = Self::default();
        for (key, value) in map {
            match (key.as_str(), value) {
                ("w", Value::Array(writers)) => {
                    shape.writers = writers.iter().map(decode_writer).collect::<Option<_>>()?;
                }
                ("s", Value::Array(marks)) => {
                    shape.marks = marks.iter().map(decode_mark).collect::<Option<_>>()?;
                }
                ("o", owners) => shape.owners = Some(decode_owners(owners, 0)?),
                ("m", Value::Array(masks)) => {
                    shape.masks = masks.iter().map(decode_mask).collect::<Option<_>>()?;
                }
                ("t", Value::Bool(true)) => shape.terminating = true,
                ("l", Value::Bool(true)) => shape.has_last_applied = true,
                ("u", Value::Bool(true)) => shape.unreadable = true,
                ("r", reported @ Value::Object(_)) => shape.reported = Some(reported),
                _ => return None,
            }
        }
        let count = shape.writers.len();
        let writers_exist = shape
            .marks
            .iter()
            .all(|mark| mark.writers.is_sorted() && mark.writers.iter().all(|&w| w < count));
        let marks = shape.marks.len();
        let marks_exist = shape.owners.as_ref().is_none_or(|o| within(o, marks));
        (writers_exist && marks_exist).then_some(shape)
    }
}

fn within(owners: &Owners, marks: usize) -> bool {
    match owners {
        Owners::All(mark) => *mark < marks,
        Owners::Map(children) => children.values().all(|one| within(one, marks)),
        Owners::List(elements) => elements.iter().all(|one| within(one, marks)),
        Owners::Element(mark, below) => *mark < marks && within(below, marks),
    }
}

fn encode_mark(mark: &Mark) -> Value {
    let applied = mark.in_last_applied.then(|| Value::from(-1));
    let writers = mark.writers.iter().map(|&writer| Value::from(writer));
    applied.into_iter().chain(writers).collect()
}

fn decode_mark(value: &Value) -> Option<Mark> {
    let list = value.as_array()?;
    let in_last_applied = list.first().and_then(Value::as_i64) == Some(-1);
    Some(Mark {
        writers: list[usize::from(in_last_applied)..]
            .iter()
            .map(index)
            .collect::<Option<_>>()?,
        in_last_applied,
    })
}

fn encode_owners(owners: &Owners) -> Value {
    match owners {
        Owners::All(mark) => (*mark).into(),
        Owners::Map(children) => {
            let child =
                |(key, child): (&Box<str>, &Owners)| (key.to_string(), encode_owners(child));
            Value::Object(children.iter().map(child).collect())
        }
        Owners::List(elements) => elements.iter().map(encode_owners).collect(),
        Owners::Element(mark, below) => json!([ELEMENT, mark, encode_owners(below)]),
    }
}

fn decode_owners(value: Value, depth: usize) -> Option<Owners> {
    if depth > DEEPEST {
        return None;
    }
    Some(match value {
        Value::Number(_) => Owners::All(index(&value)?),
        Value::Object(map) if !map.is_empty() => {
            let child = |(key, child): (String, Value)| {
                Some((key.into_boxed_str(), decode_owners(child, depth + 1)?))
            };
            let children: Option<BTreeMap<_, _>> = map.into_iter().map(child).collect();
            Owners::Map(children?)
        }
        Value::Array(mut list) if list.first().and_then(Value::as_str) == Some(ELEMENT) => {
            let below = list.pop()?;
            let [_, mark] = list.as_slice() else {
                return None;
            };
            match decode_owners(below, depth)? {
                Owners::Element(..) => return None,
                below => Owners::Element(index(mark)?, Box::new(below)),
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let elements = list.into_iter();
            let elements: Option<Vec<_>> = elements.map(|o| decode_owners(o, depth + 1)).collect();
            Owners::List(elements?)
        }
        _ => return None,
    })
}

fn encode_mask(mask: &Mask) -> Value {
    let step = |step: &Step| match step {
        Step::Key(key) => Value::from(&**key),
        Step::Index(index) => (*index).into(),
    };
    let path: Vec<Value> = mask.path.iter().map(step).collect();
    let kind = match mask.kind {
        MaskKind::Pruned => "p",
        MaskKind::Allocated => "a",
        MaskKind::Redacted => "r",
    };
    json!([path, kind, &*mask.rule])
}

fn decode_mask(value: &Value) -> Option<Mask> {
    let [path, kind, rule] = value.as_array()?.as_slice() else {
        return None;
    };
    let step = |step: &Value| match step {
        Value::String(key) => Some(Step::Key(key.as_str().into())),
        other => index(other).map(Step::Index),
    };
    Some(Mask {
        path: path.as_array()?.iter().map(step).collect::<Option<_>>()?,
        kind: match kind.as_str()? {
            "p" => MaskKind::Pruned,
            "a" => MaskKind::Allocated,
            "r" => MaskKind::Redacted,
            _ => return None,
        },
        rule: rule.as_str()?.into(),
    })
}

fn decode_writer(value: &Value) -> Option<FieldWriter> {
    let [manager, operation, subresource, api_version] = value.as_array()?.as_slice() else {
        return None;
    };
    Some(FieldWriter {
        manager: manager.as_str()?.into(),
        operation: operation.as_str()?.into(),
        subresource: subresource.as_str()?.into(),
        api_version: api_version.as_str()?.into(),
    })
}

fn index(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}
