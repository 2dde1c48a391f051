//! What holds for all objects: random ones of a schema that has every kind of list.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::super::defaults::Tables;
use super::super::schema::{Kind, ListType, Node, Schemas};
use super::tests::schemas;
use super::{Difference, Relation, Sides, compare, covers_path};
use crate::filter::{FieldPath, Segment};

/// The schema of custom resources, without defaults, so that both sides are alike.
fn custom() -> Schemas {
    let mut json = serde_json::to_value(schemas()).unwrap();
    without_defaults(&mut json);
    serde_json::from_value(json).unwrap()
}

fn without_defaults(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("d");
            map.values_mut().for_each(without_defaults);
        }
        Value::Array(list) => list.iter_mut().for_each(without_defaults),
        _ => {}
    }
}

fn differences(desired: &Value, live: &Value, schema: Option<Node<'_>>) -> Vec<Difference> {
    let tables = Tables::of(36);
    compare(Sides {
        desired,
        live,
        schema,
        tables: &tables,
    })
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]",
        "[a-z./ \"]{0,3}",
        "[0-9]{1,2}[mkK]?i?",
        "[0-9]{1,2}s"
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::from),
        (0..5_i64).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        (0..8_i32).prop_map(|n| json!(f64::from(n) / 2.0)),
    ]
}

/// Any JSON without nulls.
fn anything() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| prop::option::of(value.prop_map(move |value| (name, value))))
        .collect();
    fields
        .prop_map(|fields| {
            let there = fields.into_iter().flatten();
            Value::Object(
                there
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            )
        })
        .boxed()
}

fn texts() -> BoxedStrategy<Value> {
    word().prop_map(Value::from).boxed()
}

/// A valid custom resource: keys are there, and unique.
fn resource() -> impl Strategy<Value = Value> {
    let item = || {
        object(vec![
            ("a", texts()),
            ("size", scalar().boxed()),
            ("n", (0..3).prop_map(Value::from).boxed()),
        ])
    };
    let rules = prop::collection::btree_map(("[a-c]", "[x-z]"), prop::option::of(word()), 0..4)
        .prop_map(|rules| {
            let rule = |((name, zone), value): ((String, String), Option<String>)| match value {
                Some(value) => json!({"name": name, "zone": zone, "value": value}),
                None => json!({"name": name, "zone": zone}),
            };
            rules.into_iter().map(rule).collect::<Value>()
        });
    let map = || {
        prop::collection::btree_map(word(), word(), 0..3)
            .prop_map(|map| {
                map.into_iter()
                    .map(|(k, v)| (k, Value::from(v)))
                    .collect::<Map<_, _>>()
            })
            .prop_map(Value::Object)
            .boxed()
    };
    let set = || {
        prop::collection::btree_set(word(), 0..4)
            .prop_map(|set| set.into_iter().collect::<Value>())
            .boxed()
    };
    let spec = object(vec![
        ("text", texts()),
        ("texts", map()),
        ("port", scalar().boxed()),
        ("memory", scalar().boxed()),
        ("interval", texts()),
        ("ratio", scalar().boxed()),
        ("count", (0..3).prop_map(Value::from).boxed()),
        (
            "list",
            prop::collection::vec(item(), 0..3)
                .prop_map(Value::from)
                .boxed(),
        ),
        ("tags", set()),
        ("rules", rules.boxed()),
        (
            "struct",
            object(vec![("a", texts()), ("b", object(vec![("c", texts())]))]),
        ),
        (
            "open",
            object(vec![
                ("known", scalar().boxed()),
                ("new", anything().boxed()),
            ]),
        ),
        ("any", anything().boxed()),
    ]);
    let metadata = object(vec![
        ("annotations", map()),
        ("labels", map()),
        ("finalizers", set()),
    ]);
    (metadata, spec).prop_map(|(metadata, spec)| json!({"apiVersion": "example.com/v1", "kind": "Custom", "metadata": metadata, "spec": spec}))
}

/// Reverses and rotates what has no order.
pub(super) fn shuffled(value: &mut Value, node: Option<Node<'_>>, by: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let child = if key == "metadata" {
                    super::metadata::schema()
                } else {
                    node.and_then(|node| node.field(key))
                };
                shuffled(value, child, by);
            }
        }
        Value::Array(list) => {
            for value in &mut *list {
                shuffled(value, node.and_then(Node::items), by);
            }
            if !list.is_empty() && node.is_some_and(|node| *node.list_type() != ListType::Atomic) {
                let by = by % list.len();
                list.rotate_left(by);
                if by.is_multiple_of(2) {
                    list.reverse();
                }
            }
        }
        _ => {}
    }
}

/// Applies a difference to the desired object, by its path alone.
fn apply(object: &mut Value, difference: &Difference) {
    let mut place = object;
    let segments = difference.path.segments();
    let (last, around) = segments.split_last().unwrap();
    for (at, segment) in around.iter().enumerate() {
        let list = matches!(segments[at + 1], Segment::Where(_) | Segment::Item(_));
        place = match segment {
            Segment::Field(name) | Segment::Key(name) => {
                let map = place.as_object_mut().unwrap();
                let empty = if list { json!([]) } else { json!({}) };
                map.entry(name.to_string()).or_insert(empty)
            }
            other => place
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .find(|element| other.selects(element))
                .unwrap(),
        };
    }
    let live = difference.live.clone();
    match last {
        Segment::Field(name) | Segment::Key(name) => {
            let map = place.as_object_mut().unwrap();
            match live {
                Some(live) => map.insert(name.to_string(), live),
                None => map.remove(&**name),
            };
        }
        segment => {
            let list = place.as_array_mut().unwrap();
            if let Some(live) = live {
                list.push(live);
            } else {
                let at = list.iter().position(|element| segment.selects(element));
                list.remove(at.unwrap());
            }
        }
    }
}

/// Takes away objects and lists that hold nothing: where the last leaf of a struct went, a path does
/// not tell whether the struct went, too.
fn without_empties(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(without_empties);
            map.retain(|_, value| *value != json!({}) && *value != json!([]));
        }
        Value::Array(list) => list.iter_mut().for_each(without_empties),
        _ => {}
    }
}

/// Every place where something can be changed: leaves, by pointer.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                leaves(value, &format!("{at}/{index}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

/// The path of the place that a pointer names, as far as elements have names.
fn path_of_pointer(object: &Value, pointer: &str, schema: Option<Node<'_>>) -> Option<FieldPath> {
    let mut value = object;
    let mut steps = Vec::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let (step, child) = if let Value::Array(list) = value {
            let index: usize = part.parse().unwrap();
            (crate::object::Step::Index(index), &list[index])
        } else {
            (
                crate::object::Step::Key(part.as_str().into()),
                &value[&part],
            )
        };
        steps.push(step);
        value = child;
    }
    super::path_of(object, schema, &steps)
}

proptest! {
    #[test]
    fn what_is_equal_does_not_differ(object in resource(), by in 0_usize..5) {
        let schemas = custom();
        let node = schemas.kind("example.com", "v1", "Custom");
        prop_assert_eq!(differences(&object, &object, node), []);
        let mut live = object.clone();
        shuffled(&mut live, node, by);
        prop_assert_eq!(differences(&object, &live, node), []);
        let mut live = object.clone();
        // Not equal as JSON, so that the walk is taken.
        live["status"] = json!({"a": 1});
        prop_assert_eq!(differences(&object, &live, node), []);
        prop_assert_eq!(differences(&object, &live, None), []);
    }

    #[test]
    fn differences_turn_desired_into_live(desired in resource(), live in resource()) {
        let schemas = custom();
        let node = schemas.kind("example.com", "v1", "Custom");
        for schema in [node, None] {
            let found = differences(&desired, &live, schema);
            prop_assert!(found.is_sorted_by_key(|difference| difference.path.clone()));
            let mut patched = desired.clone();
            for difference in &found {
                let shape = (difference.desired.is_some(), difference.live.is_some());
                let expected = match difference.relation {
                    Relation::Changed => (true, true),
                    Relation::DesiredOnly | Relation::Unknown => (true, false),
                    Relation::LiveOnly => (false, true),
                };
                prop_assert_eq!(shape, expected);
                for (side, at, value) in [(&desired, &difference.desired_at, &difference.desired), (&live, &difference.live_at, &difference.live)] {
                    let there = at.iter().try_fold(side, |value, step| match step {
                        crate::object::Step::Key(key) => value.get(&**key),
                        crate::object::Step::Index(index) => value.get(index),
                    });
                    prop_assert!(there.is_some(), "{difference:?}");
                    if value.is_some() {
                        prop_assert_eq!(there, value.as_ref());
                    }
                }
                apply(&mut patched, difference);
            }
            let (mut patched, mut live) = (patched, live.clone());
            without_empties(&mut patched);
            without_empties(&mut live);
            prop_assert_eq!(differences(&patched, &live, schema), [], "{}", patched);
        }
    }

    #[test]
    fn the_other_way_round_is_the_mirror_image(desired in resource(), live in resource()) {
        let schemas = custom();
        let node = schemas.kind("example.com", "v1", "Custom");
        let there = differences(&desired, &live, node);
        let back: Vec<Difference> = differences(&live, &desired, node)
            .into_iter()
            .map(|difference| Difference {
                relation: match difference.relation {
                    Relation::DesiredOnly => Relation::LiveOnly,
                    Relation::LiveOnly => Relation::DesiredOnly,
                    other => other,
                },
                desired: difference.live,
                live: difference.desired,
                desired_at: difference.live_at,
                live_at: difference.desired_at,
                ..difference
            })
            .collect();
        prop_assert_eq!(there, back);
    }

    #[test]
    fn one_planted_change_is_found_at_its_place(object in resource(), at in any::<Index>(), how in 0..3) {
        let schemas = custom();
        let node = schemas.kind("example.com", "v1", "Custom");
        let mut all = Vec::new();
        for part in ["metadata", "spec"] {
            leaves(&object[part], &format!("/{part}"), &mut all);
        }
        let pointer = at.get(&all);
        // A root that is an empty object is no leaf.
        prop_assume!(pointer.matches('/').count() > 1);
        // Empty and absent labels are the same.
        let empty = matches!(object.pointer(pointer), Some(Value::Object(map)) if map.is_empty())
            || object.pointer(pointer) == Some(&json!([]));
        prop_assume!(!(how == 1 && empty && pointer.starts_with("/metadata/")));
        let mut live = object.clone();
        let (around, last) = pointer.rsplit_once('/').unwrap();
        if how == 0 {
            *live.pointer_mut(pointer).unwrap() = json!("planted");
        } else {
            let last = last.replace("~1", "/").replace("~0", "~");
            match live.pointer_mut(around).unwrap() {
                Value::Object(map) if how == 1 => { map.remove(&last); }
                Value::Object(map) => { map.insert("planted".to_owned(), json!({"a": 1})); }
                Value::Array(list) if how == 1 => { list.remove(last.parse().unwrap()); }
                Value::Array(list) => list.push(json!("planted")),
                _ => unreachable!("a leaf lies in an object or a list"),
            }
        }
        let found = differences(&object, &live, node);
        let place = path_of_pointer(&object, pointer, node).unwrap();
        let around = path_of_pointer(&object, around, node).unwrap();
        let at_the_place = |difference: &Difference| {
            covers_path(&difference.path, &place)
                || (how == 2 && covers_path(&around, &difference.path))
        };
        prop_assert!(found.iter().any(at_the_place), "{pointer} {found:?}");
        // Another key or set element makes two of one.
        prop_assert!(found.len() <= 2, "{pointer} {found:?}");
    }

    #[test]
    fn no_value_is_too_odd(desired in anything(), live in anything()) {
        let schemas = schemas();
        for (group, kind) in [("example.com", "Custom"), ("", "Pod")] {
            let node = schemas.kind(group, "v1", kind);
            prop_assert_eq!(node.map(Node::value_kind), Some(Kind::Object));
            for field in ["spec", "metadata"] {
                let of = |value: &Value| json!({field: value.clone()});
                let (desired, live) = (of(&desired), of(&live));
                let found = differences(&desired, &live, node);
                let _ = format!("{found:?}");
                prop_assert_eq!(differences(&live, &live.clone(), node), []);
            }
        }
    }
}
