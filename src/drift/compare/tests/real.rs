//! Real manifests against themselves, as a server would hand them back.

use std::path::Path;

use serde_json::{Value, json};

use crate::canonical;
use crate::drift::compare::properties::shuffled;
use crate::drift::compare::{Difference, Sides, compare};
use crate::drift::defaults::Tables;
use crate::drift::schema::{Kind, Node, Schemas, from_crd};

/// The objects of every manifest below the folder that a variable names; none where it is not set.
fn objects(variable: &str) -> Vec<Value> {
    let mut found = Vec::new();
    if let Some(folder) = std::env::var_os(variable) {
        read(Path::new(&folder), &mut found);
    } else {
        let required = std::env::var_os("STRANDLINE_REQUIRE_BEDS");
        assert!(
            required.is_none_or(|value| value != "1"),
            "{variable} is not set"
        );
    }
    found
}

fn read(folder: &Path, found: &mut Vec<Value>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, found);
        } else if path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
        {
            let text = std::fs::read(&path).expect("it was listed");
            let documents = canonical::read_all(&text).expect("it is YAML");
            let values = documents.into_iter().map(|document| document.value);
            found.extend(values.filter(|value| value["kind"].is_string()));
        }
    }
}

fn node<'s>(schemas: &'s Schemas, object: &Value) -> Option<Node<'s>> {
    let version = object["apiVersion"].as_str()?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    schemas.kind(group, version, object["kind"].as_str()?)
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

/// Writes scalars as somebody else would: whole numbers as floats, quantities in thousandths.
fn respelled(value: &mut Value, node: Option<Node<'_>>, count: &mut usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                respelled(value, node.and_then(|node| node.field(key)), count);
            }
        }
        Value::Array(list) => {
            for value in list {
                respelled(value, node.and_then(Node::items), count);
            }
        }
        _ => {
            let quantity = node.is_some_and(|node| node.value_kind() == Kind::Quantity);
            let plain = value.as_str().and_then(|text| text.parse::<i32>().ok());
            let other = match (value.as_i64(), plain) {
                (Some(number), _) if quantity => json!(format!("{number}000m")),
                (_, Some(number)) if quantity => json!(format!("{number}000m")),
                (Some(number), _) if number.unsigned_abs() < 1 << 50 => {
                    json!(number.to_string().parse::<f64>().expect("a number"))
                }
                _ => return,
            };
            *value = other;
            *count += 1;
        }
    }
}

/// Changes the first text below `spec`, `data` or the like.
fn planted(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter_mut()
            .filter(|(key, _)| {
                !["apiVersion", "kind", "metadata", "status"].contains(&key.as_str())
            })
            .any(|(_, value)| planted(value)),
        Value::Array(list) => list.iter_mut().any(planted),
        Value::String(text) => {
            text.push_str("-planted");
            true
        }
        _ => false,
    }
}

#[test]
fn real_manifests_agree_with_themselves() {
    let mut objects = objects("STRANDLINE_ACID_DIR");
    if objects.is_empty() {
        println!("SKIPPED: STRANDLINE_ACID_DIR is not set or empty");
        return;
    }
    let crds = self::objects("STRANDLINE_CRDS_DIR");
    let mut schemas = Schemas::default();
    for crd in objects.iter().chain(&crds) {
        if crd["kind"] == "CustomResourceDefinition" {
            schemas.extend(from_crd(crd));
        }
    }
    // Manifests come by the dozen in lists.
    let lists = objects
        .iter_mut()
        .filter(|object| object["items"].is_array());
    let items: Vec<Value> = lists
        .flat_map(|list| list["items"].as_array().cloned().unwrap_or_default())
        .collect();
    objects.retain(|object| !object["items"].is_array());
    objects.extend(items);
    let (mut known, mut respelled_scalars, mut plants) = (0, 0, 0);
    for object in &objects {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let schema = node(&schemas, object);
        known += usize::from(schema.is_some());
        let mut text = Vec::new();
        canonical::emit(object, &mut text);
        let live = canonical::read(&text).expect("what we wrote");
        assert_eq!(differences(object, &live, schema), [], "{name}");
        let mut live = Tables::of(36).defaulted(&live, schema);
        respelled(&mut live, schema, &mut respelled_scalars);
        for by in 1..3 {
            shuffled(&mut live, schema, by);
            assert_eq!(differences(object, &live, schema), [], "{name}");
        }
        if planted(&mut live) {
            plants += 1;
            let found = differences(object, &live, schema);
            assert!(matches!(found.len(), 1 | 2), "{name}: {found:?}");
        }
    }
    println!(
        "{} objects, {known} with a schema, {respelled_scalars} scalars spelled otherwise, {plants} planted changes",
        objects.len()
    );
    assert!(objects.len() > 100 && known > 10 && plants > 100);
    assert!(respelled_scalars > 500, "{respelled_scalars}");
}
