//! Lists whose order means nothing, put into one.

use std::cmp::Ordering;

use serde_json::Value;

use super::observe::{Action, Observer};
use super::path::Segment;
use super::rules::{RuleName, SortedList};

/// Sorts the lists that a path names.
pub(super) fn sort<O: Observer>(
    list: &SortedList,
    rule: &RuleName,
    object: &mut Value,
    observer: &mut O,
) {
    let mut sorter = Sorter {
        list,
        rule,
        observer,
    };
    sorter.walk(list.path.path.segments(), object);
}

struct Sorter<'a, O> {
    list: &'a SortedList,
    rule: &'a RuleName,
    observer: &'a mut O,
}

impl<O: Observer> Sorter<'_, O> {
    fn walk(&mut self, segments: &[Segment], value: &mut Value) {
        let Some((segment, rest)) = segments.split_first() else {
            return self.sort(value);
        };
        match (segment, value) {
            (Segment::Field(name) | Segment::Key(name), Value::Object(map)) => {
                if let Some(below) = map.get_mut(&**name) {
                    self.observer.enter_key(name);
                    self.walk(rest, below);
                    self.observer.leave();
                }
            }
            (Segment::Any, Value::Object(map)) => {
                for (name, below) in map {
                    self.observer.enter_key(name);
                    self.walk(rest, below);
                    self.observer.leave();
                }
            }
            (_, Value::Array(list)) => {
                for (index, element) in list.iter_mut().enumerate() {
                    if segment.selects(element) {
                        self.observer.enter_index(index);
                        self.walk(rest, element);
                        self.observer.leave();
                    }
                }
            }
            _ => {}
        }
    }

    fn sort(&mut self, value: &mut Value) {
        let Value::Array(elements) = value else {
            return;
        };
        self.list.path.see();
        let by = &self.list.by;
        let order = |a: &Value, b: &Value| {
            let by_fields = by
                .iter()
                .map(|field| compare(&a[field.as_str()], &b[field.as_str()]))
                .find(|order| order.is_ne());
            // The whole element decides between equal ones, so that the result never depends on
            // the order before.
            by_fields.unwrap_or_else(|| compare(a, b))
        };
        if !elements.is_sorted_by(|a, b| order(a, b).is_le()) {
            let mut places: Vec<usize> = (0..elements.len()).collect();
            places.sort_by(|&a, &b| order(&elements[a], &elements[b]));
            let taken = places.iter().map(|&at| elements[at].take()).collect();
            *elements = taken;
            self.observer.sorted(&places);
            self.observer.hit(self.rule, Action::Sorted);
        }
    }
}

/// A total order of values that does not depend on the order of a map's keys.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let first = a.iter().zip(b).map(|(a, b)| compare(a, b));
            first
                .into_iter()
                .find(|order| order.is_ne())
                .unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let sorted = |map: &serde_json::Map<String, Value>| {
                let mut keys: Vec<String> = map.keys().cloned().collect();
                keys.sort_unstable();
                keys
            };
            let (a_keys, b_keys) = (sorted(a), sorted(b));
            a_keys.cmp(&b_keys).then_with(|| {
                a_keys
                    .iter()
                    .map(|key| compare(&a[key.as_str()], &b[key.as_str()]))
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            })
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_numbers(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    let whole = |number: &serde_json::Number| {
        number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a
            .as_f64()
            .unwrap_or_default()
            .total_cmp(&b.as_f64().unwrap_or_default())
            // 1 and 1.0 are two values.
            .then_with(|| a.to_string().cmp(&b.to_string())),
    }
}
