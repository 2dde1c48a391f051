//! Shapes of random objects under random field sets, against a model that is slow and plain.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::shape_tests::raw;
use super::*;
use crate::object::Step;

/// A generator of its own, so that one number makes a whole case.
struct Dice(u64);

impl Dice {
    /// <https://prng.di.unimi.it/splitmix64.c>
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Twelve letters that stand nowhere else.
    fn text(&mut self) -> String {
        let letter = |at: u64| char::from(b'a' + u8::try_from(at % 26).unwrap());
        (0..12).map(|_| letter(self.next())).collect()
    }

    fn value(&mut self, depth: u64) -> Value {
        let kinds = if depth == 0 { 1 } else { 6 };
        let count = 1 + self.below(4);
        match self.below(kinds) {
            0 => self.text().into(),
            1 => json!({}),
            2 => (0..count).map(|_| Value::from(self.text())).collect(),
            3 => (0..count)
                .map(|_| {
                    let mut element = self.map(depth - 1);
                    element.insert("id".to_owned(), self.text().into());
                    Value::Object(element)
                })
                .collect(),
            _ => Value::Object(self.map(depth - 1)),
        }
    }

    fn map(&mut self, depth: u64) -> Map<String, Value> {
        let count = 1 + self.below(4);
        (0..count)
            .map(|_| {
                let key = char::from(b'A' + u8::try_from(self.below(8)).unwrap());
                (key.to_string(), self.value(depth))
            })
            .collect()
    }

    /// A field set over some of a value.
    fn fields(&mut self, of: &Value) -> Value {
        if self.chance(15) {
            return json!({});
        }
        let mut out = Map::new();
        match of {
            Value::Object(map) => {
                for (key, value) in map {
                    if self.chance(50) {
                        out.insert(format!("f:{key}"), self.fields(value));
                    }
                }
            }
            Value::Array(list) => {
                for (index, element) in list.iter().enumerate() {
                    if self.chance(50) {
                        let key = match element.get("id") {
                            Some(id) => format!("k:{}", json!({"id": id})),
                            None if self.chance(50) => format!("v:{element}"),
                            None => format!("i:{index}"),
                        };
                        out.insert(key, self.fields(element));
                    }
                }
            }
            _ => return json!({}),
        }
        if !out.is_empty() && self.chance(40) {
            out.insert(".".to_owned(), json!({}));
        }
        if !out.is_empty() && self.chance(10) {
            out.insert("f:gone".to_owned(), json!({}));
        }
        Value::Object(out)
    }

    fn object(&mut self) -> Value {
        let mut object = self.map(4);
        object.insert("apiVersion".to_owned(), "v1".into());
        object.insert("status".to_owned(), self.value(2));
        Value::Object(object)
    }

    fn entries(&mut self, of: &Value) -> Vec<Value> {
        let count = self.below(5);
        (0..count)
            .map(|at| {
                // The root itself is nobody's.
                let mut fields = self.fields(of);
                if let Value::Object(fields) = &mut fields {
                    fields.remove(".");
                }
                json!({"manager": format!("manager-{at}"), "operation": "Update",
                    "apiVersion": "v1", "time": "2026-01-02T03:04:05Z", "fieldsV1": fields})
            })
            .collect()
    }
}

/// The owners of each place, the plain way: every member of every set, by its path.
#[derive(Default)]
struct Model {
    members: BTreeMap<Vec<Step>, BTreeSet<String>>,
    whole: BTreeMap<Vec<Step>, BTreeSet<String>>,
    named_below: BTreeSet<Vec<Step>>,
}

impl Model {
    fn of(entries: &[Value], live: &Value) -> Self {
        let mut model = Self::default();
        for entry in entries {
            let manager = entry["manager"].as_str().unwrap();
            model.add(manager, &entry["fieldsV1"], live, &[]);
        }
        model
    }

    fn add(&mut self, manager: &str, fields: &Value, live: &Value, at: &[Step]) {
        let fields = fields.as_object().unwrap();
        if !at.is_empty() && (fields.is_empty() || fields.contains_key(".")) {
            let owners = self.members.entry(at.to_vec()).or_default();
            owners.insert(manager.to_owned());
        }
        if !at.is_empty() && fields.is_empty() {
            let owners = self.whole.entry(at.to_vec()).or_default();
            owners.insert(manager.to_owned());
        }
        for (key, below) in fields.iter().filter(|(key, _)| *key != ".") {
            let (kind, rest) = key.split_once(':').unwrap();
            let step = if kind == "f" {
                Some(Step::Key(rest.into()))
            } else {
                let index =
                    live.as_array()
                        .unwrap()
                        .iter()
                        .position(|element| match kind {
                            "k" => {
                                let keys: Value = serde_json::from_str(rest).unwrap();
                                element["id"] == keys["id"]
                            }
                            "v" => serde_json::from_str::<Value>(rest)
                                .is_ok_and(|value| value == *element),
                            _ => false,
                        });
                let index = index.or_else(|| rest.parse().ok());
                index.map(Step::Index)
            };
            let child = match &step {
                Some(Step::Key(key)) => live.get(&**key),
                Some(Step::Index(index)) => live.get(index),
                None => None,
            };
            if let (Some(step), Some(child)) = (step, child) {
                self.named_below.insert(at.to_vec());
                let path = [at, &[step]].concat();
                self.add(manager, below, child, &path);
            }
        }
    }

    fn leaf(&self, at: &[Step]) -> BTreeSet<String> {
        if let Some(owners) = self.members.get(at) {
            return owners.clone();
        }
        for length in (0..at.len()).rev() {
            let around = &at[..length];
            // Fields of one's own: it is not one value.
            if self.named_below.contains(around) {
                break;
            }
            if let Some(owners) = self.whole.get(around) {
                return owners.clone();
            }
        }
        BTreeSet::new()
    }
}

fn leaves(value: &Value, at: &mut Vec<Step>, see: &mut impl FnMut(&[Step])) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                at.push(Step::Key(key.as_str().into()));
                leaves(value, at, see);
                at.pop();
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                at.push(Step::Index(index));
                leaves(value, at, see);
                at.pop();
            }
        }
        _ => see(at),
    }
}

fn names(shape: &Shape, at: &[Step]) -> BTreeSet<String> {
    let writers = shape.owners(at).writers;
    let name = |writer: usize| shape.writers[writer].manager.to_string();
    writers.into_iter().map(name).collect()
}

/// Takes elements away and turns lists around, and tells what moved.
fn disturb(dice: &mut Dice, value: &mut Value, at: &mut Vec<Step>, moves: &mut Moves) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                at.push(Step::Key(key.as_str().into()));
                disturb(dice, value, at, moves);
                at.pop();
            }
        }
        Value::Array(list) => {
            // Places in what moves are those of the live object, so the inner lists come first.
            for (index, value) in list.iter_mut().enumerate() {
                at.push(Step::Index(index));
                disturb(dice, value, at, moves);
                at.pop();
            }
            let mut index = 0;
            list.retain(|_| {
                let goes = dice.chance(25);
                if goes {
                    at.push(Step::Index(index));
                    moves.removed(at);
                    at.pop();
                }
                index += 1;
                !goes
            });
            if list.len() > 1 && dice.chance(40) {
                let order: Vec<usize> = (0..list.len()).rev().collect();
                list.reverse();
                moves.order_at(at, &order);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn every_leaf_has_the_owners_of_the_model(seed: u64) {
        let mut dice = Dice(seed);
        let live = dice.object();
        let entries = dice.entries(&live);
        let model = Model::of(&entries, &live);
        let fields = raw(&Value::from(entries));
        let mut recorded = live.clone();
        recorded.as_object_mut().unwrap().remove("status");
        let (shape, times) = Shape::of(Some(&fields), None, &live, &recorded, vec![]);
        let mut seen = BTreeSet::new();
        leaves(&recorded, &mut vec![], &mut |at| {
            let expected = model.leaf(at);
            assert_eq!(names(&shape, at), expected, "{at:?}");
            seen.extend(expected);
        });
        for (at, owners) in &model.members {
            let is_recorded = at[0] != Step::Key("status".into());
            if is_recorded && matches!(at.last(), Some(Step::Index(_))) {
                seen.extend(owners.clone());
            }
        }
        let writers = shape.writers.iter().map(|w| w.manager.to_string());
        prop_assert_eq!(writers.collect::<BTreeSet<_>>(), seen);
        prop_assert_eq!(times.0.len(), shape.writers.len());
        prop_assert_eq!(Shape::decode(&shape.encode()), Some(shape));
    }

    #[test]
    fn owners_follow_the_elements_that_move(seed: u64) {
        let mut dice = Dice(seed);
        let live = dice.object();
        let entries = dice.entries(&live);
        let model = Model::of(&entries, &live);
        let fields = raw(&Value::from(entries));
        let (mut recorded, mut moves) = (live.clone(), Moves::default());
        disturb(&mut dice, &mut recorded, &mut vec![], &mut moves);
        // Values are all different, so a leaf is known by its value wherever it is.
        let mut places = BTreeMap::new();
        leaves(&live, &mut vec![], &mut |at| {
            if let Some(text) = at_path(&live, at).as_str() {
                places.insert(text.to_owned(), at.to_vec());
            }
        });
        let seen = Shape::of(Some(&fields), None, &live, &recorded, vec![]).0;
        let told = Reading::of(Some(&fields), None, &live, false);
        let told = told.shape(&recorded, &moves, vec![]).0;
        leaves(&recorded, &mut vec![], &mut |at| {
            let Some(text) = at_path(&recorded, at).as_str() else {
                return;
            };
            let expected = model.leaf(&places[text]);
            assert_eq!(names(&told, at), expected, "told: {at:?}");
            assert_eq!(names(&seen, at), expected, "seen: {at:?}");
        });
    }

    #[test]
    fn no_value_is_in_the_bytes(seed: u64) {
        let mut dice = Dice(seed);
        let live = dice.object();
        let fields = raw(&Value::from(dice.entries(&live)));
        let applied = live.to_string();
        let (shape, times) = Shape::of(Some(&fields), Some(&applied), &live, &live, vec![]);
        let bytes = [shape.encode(), times.encode()].concat();
        let text = String::from_utf8(bytes).unwrap();
        leaves(&live, &mut vec![], &mut |at| {
            if let Some(value) = at_path(&live, at).as_str().filter(|value| value.len() == 12) {
                assert!(!text.contains(value), "{value} at {at:?}");
            }
        });
        if text.contains("[-1") {
            prop_assert!(shape.has_last_applied);
        }
    }

    #[test]
    fn heartbeats_change_nothing(seed: u64) {
        let mut dice = Dice(seed);
        let live = dice.object();
        let mut entries = dice.entries(&live);
        for entry in &mut entries {
            let fields = entry["fieldsV1"].as_object_mut().unwrap();
            fields.remove("f:status");
        }
        let mut recorded = live.clone();
        recorded.as_object_mut().unwrap().remove("status");
        let encode = |entries: &[Value], live: &Value, skip: bool| {
            let fields = raw(&Value::from(entries.to_vec()));
            let reading = Reading::of(Some(&fields), None, live, skip);
            reading.shape(&recorded, &Moves::default(), vec![]).0.encode()
        };
        let before = encode(&entries, &live, false);
        let mut beaten = live.clone();
        beaten["status"] = json!({"beat": dice.text()});
        for (subresource, version) in [("status", "v1"), ("", "v1"), ("", "v1beta1")] {
            let mut entries = entries.clone();
            entries.insert(0, json!({"manager": "operator", "operation": "Update",
                "apiVersion": version, "subresource": subresource, "time": dice.text(),
                "fieldsV1": {"f:metadata": {}, "f:status": {"f:beat": {}}}}));
            entries[0]["fieldsV1"].as_object_mut().unwrap().remove("f:metadata");
            prop_assert_eq!(&encode(&entries, &beaten, false), &before);
            prop_assert_eq!(&encode(&entries, &beaten, true), &before);
            // The order of entries says nothing.
            entries.reverse();
            prop_assert_eq!(&encode(&entries, &beaten, true), &before);
        }
    }

    #[test]
    fn any_bytes_are_a_shape_or_none(bytes: Vec<u8>) {
        let _ = Times::decode(&bytes);
        if let Some(shape) = Shape::decode(&bytes) {
            prop_assert_eq!(Shape::decode(&shape.encode()), Some(shape));
        }
    }
}

fn at_path<'v>(value: &'v Value, at: &[Step]) -> &'v Value {
    at.iter().fold(value, |value, step| match step {
        Step::Key(key) => &value[&**key],
        Step::Index(index) => &value[index],
    })
}
