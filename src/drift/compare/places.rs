//! Places by position, and paths by keys.

use serde_json::Value;

use super::super::schema::{ListType, Node};
use super::{Difference, metadata};
use crate::filter::{FieldPath, Segment};
use crate::object::Step;

/// Whether a rule's path names the place `at` of `value`, or a place around it.
///
/// `value` is the object that `at`'s positions count in: `[k=v]` and `[=v]` look at its elements, so
/// a place that is not in it is covered by keys and `[*]` alone. `[*]` is every element of a list
/// and every value of a map.
pub fn covers(rule: &FieldPath, at: &[Step], value: &Value) -> bool {
    let mut value = Some(value);
    if rule.segments().len() > at.len() {
        return false;
    }
    for (segment, step) in rule.segments().iter().zip(at) {
        value = match step {
            Step::Key(key) => {
                if !is_key(segment, key) {
                    return false;
                }
                value.and_then(|value| value.as_object()?.get(&**key))
            }
            Step::Index(index) => {
                let element = value.and_then(|value| value.as_array()?.get(*index));
                let selected = match element {
                    Some(element) => segment.selects(element),
                    None => *segment == Segment::Any,
                };
                if !selected {
                    return false;
                }
                element
            }
        };
    }
    true
}

/// Whether a rule's path names the place of `path`, or a place around it, by the paths alone: an
/// element's keys are those that `path` says, defaulted ones among them.
pub fn covers_path(rule: &FieldPath, path: &FieldPath) -> bool {
    let (rule, path) = (rule.segments(), path.segments());
    rule.len() <= path.len()
        && rule.iter().zip(path).all(|(rule, step)| match step {
            Segment::Field(name) | Segment::Key(name) => is_key(rule, name),
            Segment::Where(keys) => match rule {
                Segment::Any => true,
                Segment::Where(asked) => asked.iter().all(|key| keys.contains(key)),
                _ => false,
            },
            Segment::Item(_) | Segment::Any => *rule == Segment::Any || rule == step,
        })
}

fn is_key(segment: &Segment, key: &str) -> bool {
    match segment {
        Segment::Field(name) | Segment::Key(name) => **name == *key,
        Segment::Any => true,
        Segment::Where(_) | Segment::Item(_) => false,
    }
}

impl Difference {
    /// Whether a rule's path names this place, or one around it, on either side.
    pub fn is_covered_by(&self, rule: &FieldPath, desired: &Value, live: &Value) -> bool {
        covers_path(rule, &self.path)
            || covers(rule, &self.live_at, live)
            || covers(rule, &self.desired_at, desired)
    }
}

/// The path of the place `at` of the object `value`, as differences spell it; `None` for the root.
///
/// Elements of a map-like list by their keys, of a set by their value. What has neither name nor
/// key, such as an element of an atomic list or of a list without a known type, ends the path at
/// its list.
pub fn path_of(value: &Value, schema: Option<Node<'_>>, at: &[Step]) -> Option<FieldPath> {
    let mut segments = Vec::with_capacity(at.len());
    let (mut value, mut node) = (Some(value), schema);
    for (depth, step) in at.iter().enumerate() {
        match step {
            Step::Key(key) => {
                segments.push(Segment::of_key(key));
                value = value.and_then(|value| value.as_object()?.get(&**key));
                node = match &**key {
                    "metadata" if depth == 0 => metadata::schema(),
                    key => node.and_then(|node| node.field(key)),
                };
            }
            Step::Index(index) => {
                value = value.and_then(|value| value.as_array()?.get(*index));
                let list = node.map(Node::list_type);
                node = node.and_then(Node::items);
                match (list, value) {
                    (Some(ListType::Map(keys)), Some(element)) => {
                        segments.push(element_of(keys, element, node));
                    }
                    (Some(ListType::Set), Some(element)) => segments.push(item_of(element)),
                    _ => break,
                }
            }
        }
    }
    FieldPath::from_segments(segments)
}

/// `[k=v,…]` of an element of a map-like list, in the order of the schema's keys; `[*]` where it has
/// none of them.
pub(super) fn element_of(keys: &[Box<str>], element: &Value, node: Option<Node<'_>>) -> Segment {
    let pairs: Box<[_]> = keys
        .iter()
        .filter_map(|key| Some((key.clone(), spelled(key_value(key, element, node)?))))
        .collect();
    if pairs.is_empty() {
        Segment::Any
    } else {
        Segment::Where(pairs)
    }
}

/// `[=v]` of an element of a set.
pub(super) fn item_of(element: &Value) -> Segment {
    Segment::Item(spelled(element))
}

/// What an element says of one of its keys, or its type's default.
pub(super) fn key_value<'a>(
    key: &str,
    element: &'a Value,
    node: Option<Node<'a>>,
) -> Option<&'a Value> {
    element
        .get(key)
        .filter(|value| !value.is_null())
        .or_else(|| node?.field(key)?.default())
}

fn spelled(value: &Value) -> Box<str> {
    match value {
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(text: &str) -> Vec<Step> {
        text.split('/')
            .map(|part| match part.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Key(part.into()),
            })
            .collect()
    }

    #[test]
    fn a_rule_covers_its_place_and_what_lies_in_it() {
        let object = json!({"spec": {
            "containers": [{"name": "a"}, {"name": "web", "env": [{"name": "X", "value": "1"}]}],
            "ports": [{"port": 80, "protocol": "TCP"}],
            "labels": {"a.b": "c"},
            "finalizers": ["x/y", "z"],
        }});
        for (rule, at, expected) in [
            ("spec", "spec/containers/1/name", true),
            ("spec.containers", "spec", false),
            ("spec.containers[name=web]", "spec/containers/1", true),
            ("spec.containers[name=web]", "spec/containers/1/env/0", true),
            ("spec.containers[name=web]", "spec/containers/0/env", false),
            ("spec.containers[*].image", "spec/containers/0/image", true),
            ("spec.containers[*].image", "spec/containers/0/name", false),
            ("spec.containers[*]", "spec/containers/7", true),
            ("spec.containers[name=web]", "spec/containers/7", false),
            ("spec.ports[port=80,protocol=TCP]", "spec/ports/0", true),
            ("spec.ports[port=81]", "spec/ports/0", false),
            ("spec.labels[\"a.b\"]", "spec/labels/a.b", true),
            ("spec.labels[*]", "spec/labels/other", true),
            ("spec[\"labels\"]", "spec/labels/other", true),
            ("spec.finalizers[=x/y]", "spec/finalizers/0", true),
            ("spec.finalizers[=x/y]", "spec/finalizers/1", false),
            ("spec.containers.name", "spec/containers/0", false),
            ("spec[name=web]", "spec/containers", false),
        ] {
            let path = FieldPath::parse(rule).unwrap();
            assert_eq!(covers(&path, &steps(at), &object), expected, "{rule} {at}");
        }
    }

    #[test]
    fn a_rule_covers_a_path_by_the_keys_that_the_path_says() {
        for (rule, path, expected) in [
            ("a.b", "a.b.c", true),
            ("a.b.c", "a.b", false),
            ("a[*]", "a.b", true),
            ("a[k=v]", "a[k=v,l=w].x", true),
            ("a[k=v,l=w]", "a[k=v].x", false),
            ("a[k=w]", "a[k=v]", false),
            ("a[*].x", "a[k=v].x", true),
            ("a[=v]", "a[=v]", true),
            ("a[=v]", "a[=w]", false),
            ("a[\"b\"]", "a.b", true),
        ] {
            let parse = |text| FieldPath::parse(text).unwrap();
            let found = covers_path(&parse(rule), &parse(path));
            assert_eq!(found, expected, "{rule} {path}");
        }
    }
}
