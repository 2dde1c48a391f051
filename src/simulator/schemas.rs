//! The schemas that the server publishes, of the kinds that the shop is made of.
//!
//! <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::discovery;

/// What kube-apiserver 1.36.3 served at `/openapi/v3`: the paths that list a kind of the shop, and
/// the schemas that those kinds are made of, without descriptions and without what is in `status`.
const RECORDED: &str = include_str!("recorded/openapi.json");

/// Where the documents are listed, and below which they lie.
const INDEX: &str = "/openapi/v3";

/// The documents by the names of the index, `api/v1` or `apis/apps/v1`.
static DOCUMENTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let recorded: Value = serde_json::from_str(RECORDED).expect("the recording is JSON");
    let schemas = recorded["schemas"].as_object();
    let documents = recorded["documents"].as_object().into_iter().flatten();
    documents
        .map(|(name, document)| {
            let paths = &document["paths"];
            let text = json!({
                "openapi": "3.0.0",
                "info": {"title": "Kubernetes", "version": "v1.36.3"},
                "paths": paths,
                "components": {"schemas": schemas.map(|all| needed(paths, all))},
            });
            (name.clone(), text.to_string())
        })
        .collect()
});

/// The schemas of the kinds that `paths` list, and those that they refer to.
fn needed(paths: &Value, all: &Map<String, Value>) -> Map<String, Value> {
    const KIND: &str = "x-kubernetes-group-version-kind";
    let listed: Vec<&Value> = paths
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, path)| &path["get"][KIND])
        .collect();
    let is_listed = |schema: &Value| {
        let kinds = schema[KIND].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| listed.contains(&kind)))
    };
    let kinds = all.iter().filter(|(_, schema)| is_listed(schema));
    let mut wanted: BTreeSet<&str> = kinds.map(|(name, _)| name.as_str()).collect();
    let mut found = Map::new();
    while let Some(name) = wanted.pop_first() {
        if let Some(schema) = all.get(name).filter(|_| !found.contains_key(name)) {
            references(schema, &mut wanted);
            found.insert(name.to_owned(), schema.clone());
        }
    }
    found
}

/// The names that a schema refers to.
fn references<'a>(schema: &'a Value, into: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(map) => {
            let reference = map.get("$ref").and_then(Value::as_str);
            into.extend(reference.and_then(|path| path.rsplit('/').next()));
            map.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

/// The body for a path below `/openapi/v3`; `None` where there is none.
pub(super) fn body(path: &str) -> Option<String> {
    let name = path.strip_prefix(INDEX)?;
    if name.is_empty() {
        return Some(index());
    }
    DOCUMENTS.get(name.strip_prefix('/')?).cloned()
}

/// Every document, with an address that changes with it.
fn index() -> String {
    let paths: Map<String, Value> = DOCUMENTS
        .iter()
        .map(|(name, document)| {
            let hash = discovery::etag(document);
            let address = format!("{INDEX}/{name}?hash={}", hash.trim_matches('"'));
            (name.clone(), json!({"serverRelativeURL": address}))
        })
        .collect();
    json!({"paths": paths}).to_string()
}
