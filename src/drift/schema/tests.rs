//! Small documents, published CRDs.

use serde_json::{Value, json};

use super::{Kind, ListType, Node, Schemas, from_crd, from_openapi};

const META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Shaped as the server's `/openapi/v3/apis/apps/v1`.
fn document() -> Value {
    let kind = |kind: &str| json!({"group": "apps", "version": "v1", "kind": kind});
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    json!({
        "openapi": "3.0.0",
        "paths": {
            "/apis/apps/v1/namespaces/{namespace}/things": {
                "get": {"x-kubernetes-action": "list", "x-kubernetes-group-version-kind": kind("Thing")},
                "parameters": [{"name": "pretty", "in": "query"}],
            },
            "/apis/apps/v1/namespaces/{namespace}/things/{name}/scale": {
                "get": {"x-kubernetes-action": "get", "x-kubernetes-group-version-kind": kind("Scale")},
            },
        },
        "components": {"schemas": {
            "io.k8s.api.apps.v1.Thing": {
                "type": "object",
                "description": "d".repeat(100),
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"allOf": [{"$ref": META}], "default": {}},
                    "spec": {"allOf": [reference("io.k8s.api.apps.v1.ThingSpec")], "default": {}},
                    "status": {"allOf": [reference("io.k8s.api.apps.v1.ThingStatus")], "default": {}},
                },
                "x-kubernetes-group-version-kind": [kind("Thing")],
            },
            "io.k8s.api.apps.v1.Scale": {
                "type": "object",
                "properties": {"metadata": {"$ref": META}, "spec": {"type": "object"}},
                "x-kubernetes-group-version-kind": [kind("Scale")],
            },
            "io.k8s.api.apps.v1.ThingStatus": {"type": "object", "properties": {"phase": {"type": "string"}}},
            "io.k8s.api.apps.v1.ThingSpec": {"type": "object", "properties": {
                "replicas": {"type": "integer", "format": "int32"},
                "limits": {
                    "type": "object",
                    "additionalProperties": reference("io.k8s.apimachinery.pkg.api.resource.Quantity"),
                },
                "surge": reference("io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
                "since": {"allOf": [reference("io.k8s.apimachinery.pkg.apis.meta.v1.Time")]},
                "every": reference("io.k8s.apimachinery.pkg.apis.meta.v1.Duration"),
                "raw": reference("io.k8s.apimachinery.pkg.runtime.RawExtension"),
                "data": {"type": "object", "additionalProperties": {"type": "string", "format": "byte"}},
                "ports": {
                    "type": "array",
                    "items": {"allOf": [reference("io.k8s.api.apps.v1.Port")], "default": {}},
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                },
                "modes": {"type": "array", "items": {"type": "string", "default": ""}, "x-kubernetes-list-type": "set"},
                "args": {"type": "array", "items": {"type": "string", "default": ""}},
                "selector": {"allOf": [reference("io.k8s.api.apps.v1.Selector")]},
                "inner": reference("io.k8s.api.apps.v1.ThingSpec"),
            }},
            "io.k8s.api.apps.v1.Selector": {
                "type": "object",
                "properties": {"matchLabels": {"type": "object", "additionalProperties": {"type": "string"}}},
                "x-kubernetes-map-type": "atomic",
            },
            "io.k8s.api.apps.v1.Port": {"type": "object", "properties": {
                "port": {"type": "integer", "default": 0},
                "protocol": {"type": "string", "default": "TCP"},
            }},
            "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
                "format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}],
            },
            "io.k8s.apimachinery.pkg.apis.meta.v1.Time": {"type": "string", "format": "date-time"},
            "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": {"type": "string"},
            "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object"},
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
                "type": "object", "properties": {"managedFields": {"type": "array"}},
            },
        }},
    })
}

fn of(document: &Value) -> Schemas {
    from_openapi(document.to_string().as_bytes()).expect("it is one")
}

fn at<'s>(node: Node<'s>, path: &[&str]) -> Node<'s> {
    path.iter().fold(node, |node, name| match *name {
        "[]" => node.items().expect("a list"),
        name => node.field(name).expect(name),
    })
}

#[test]
fn every_kind_of_value_is_told() {
    let schemas = of(&document());
    let thing = schemas.kind("apps", "v1", "Thing").expect("it is listed");
    assert_eq!(thing.type_name(), Some("io.k8s.api.apps.v1.Thing"));
    let spec = at(thing, &["spec"]);
    let told = |path: &[&str]| at(spec, path).value_kind();
    assert_eq!(told(&["replicas"]), Kind::Integer);
    assert_eq!(told(&["limits"]), Kind::Map);
    assert_eq!(told(&["limits", "cpu"]), Kind::Quantity);
    assert_eq!(told(&["surge"]), Kind::IntOrString);
    assert_eq!(told(&["since"]), Kind::Time);
    assert_eq!(told(&["every"]), Kind::Duration);
    assert_eq!(told(&["raw"]), Kind::Any);
    assert!(at(spec, &["raw"]).is_open());
    assert_eq!(told(&["data", "key"]), Kind::Bytes);
    assert_eq!(told(&["ports", "[]", "port"]), Kind::Integer);
    assert_eq!(
        at(spec, &["ports", "[]", "protocol"]).default(),
        Some(&json!("TCP"))
    );
    let keys = vec!["port".into(), "protocol".into()];
    assert_eq!(at(spec, &["ports"]).list_type(), &ListType::Map(keys));
    assert_eq!(at(spec, &["modes"]).list_type(), &ListType::Set);
    assert_eq!(at(spec, &["args"]).list_type(), &ListType::Atomic);
    assert!(at(spec, &["selector"]).is_atomic());
    assert!(!spec.is_atomic() && !spec.is_open());
    assert!(spec.field("replica").is_none(), "a typo is no field");
    let deep = ["inner", "inner", "inner", "replicas"];
    assert_eq!(told(&deep), Kind::Integer, "a type may hold itself");
}

#[test]
fn only_what_is_stored_is_kept() {
    let schemas = of(&document());
    let kinds: Vec<&str> = schemas.kinds.keys().map(|key| &**key).collect();
    assert_eq!(kinds, ["apps/v1/Thing"], "Scale is not listed");
    let names: Vec<&str> = schemas.types.keys().map(|name| &**name).collect();
    assert_eq!(
        names,
        [
            "io.k8s.api.apps.v1.Port",
            "io.k8s.api.apps.v1.Selector",
            "io.k8s.api.apps.v1.Thing",
            "io.k8s.api.apps.v1.ThingSpec",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        ],
        "neither ThingStatus nor what is shorter than its name"
    );
    let thing = schemas.kind("apps", "v1", "Thing").expect("it is there");
    assert!(at(thing, &["status"]).is_open());
    let metadata = at(thing, &["metadata"]);
    assert!(metadata.field("managedFields").is_none());
    assert_eq!(at(metadata, &["finalizers"]).list_type(), &ListType::Set);
    let uid = ListType::Map(vec!["uid".into()]);
    assert_eq!(at(metadata, &["ownerReferences"]).list_type(), &uid);
    assert_eq!(at(metadata, &["labels", "a"]).value_kind(), Kind::Text);
}

#[test]
fn what_is_no_document_is_said() {
    let error = from_openapi(b"<html>").expect_err("HTML");
    assert!(error.to_string().contains("OpenAPI"), "{error}");
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    from_openapi(nested.as_bytes()).expect_err("too deep");
    let empty = from_openapi(b"{}").expect("an aggregated server may serve nothing");
    assert_eq!(empty, Schemas::default());
}

#[test]
fn a_circle_of_references_ends() {
    let mut document = document();
    let types = &mut document["components"]["schemas"];
    types["io.k8s.api.apps.v1.ThingStatus"] = json!({"type": "object"});
    types["a"] = json!({"$ref": "#/components/schemas/b"});
    types["b"] = json!({"type": "array", "items": {"$ref": "#/components/schemas/a"}});
    types["io.k8s.api.apps.v1.ThingSpec"]["properties"]["circle"] =
        json!({"$ref": "#/components/schemas/a"});
    of(&document);
}

fn crd(schema: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": {
            "group": "example.org", "names": {"kind": "Thing", "plural": "things"}, "scope": "Namespaced",
            "versions": [
                {"name": "v1", "served": true, "schema": {"openAPIV3Schema": schema}},
                {"name": "v1alpha1", "served": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
                {"name": "broken", "schema": {"openAPIV3Schema": {"properties": 7}}},
            ],
        },
    })
}

#[test]
fn a_crd_tells_all_of_its_versions() {
    let spec = json!({"type": "object", "properties": {
        "cpu": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
            "x-kubernetes-int-or-string": true,
        },
        "port": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true},
        "mode": {"type": "string", "default": "fast"},
        "nothing": {"type": "string", "nullable": true, "default": null},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true},
        "closed": {"type": "object"},
        "users": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }});
    let schemas = from_crd(&crd(
        &json!({"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}),
    ));
    let kinds: Vec<&str> = schemas.kinds.keys().map(|key| &**key).collect();
    assert_eq!(
        kinds,
        ["example.org/v1/Thing", "example.org/v1alpha1/Thing"]
    );
    let thing = schemas
        .kind("example.org", "v1", "Thing")
        .expect("it is there");
    assert!(!thing.is_open(), "what it does not name is dropped");
    assert_eq!(
        at(thing, &["metadata", "labels", "a"]).value_kind(),
        Kind::Text
    );
    assert!(at(thing, &["status"]).is_open());
    let spec = at(thing, &["spec"]);
    assert_eq!(at(spec, &["cpu"]).value_kind(), Kind::Quantity);
    assert_eq!(at(spec, &["port"]).value_kind(), Kind::IntOrString);
    assert_eq!(at(spec, &["mode"]).default(), Some(&json!("fast")));
    let nothing = at(spec, &["nothing"]);
    assert_eq!(
        (nothing.default(), nothing.is_nullable()),
        (Some(&Value::Null), true)
    );
    let template = at(spec, &["template"]);
    assert!(template.is_open());
    assert_eq!(
        at(template, &["metadata", "finalizers"]).list_type(),
        &ListType::Set
    );
    assert!(!at(spec, &["closed"]).is_open());
    let name = ListType::Map(vec!["name".into()]);
    assert_eq!(at(spec, &["users"]).list_type(), &name);
    travels(&schemas);
}

#[test]
fn a_crd_that_prunes_nothing_is_open_everywhere() {
    let mut crd = crd(&json!({"type": "object", "properties": {"spec": {"type": "object"}}}));
    crd["spec"]["preserveUnknownFields"] = json!(true);
    let schemas = from_crd(&crd);
    let thing = schemas
        .kind("example.org", "v1", "Thing")
        .expect("it is there");
    assert!(thing.is_open() && at(thing, &["spec"]).is_open());
}

/// The sidecar's form is the same after a trip, byte for byte.
fn travels(schemas: &Schemas) {
    let json = serde_json::to_vec(schemas).expect("it is JSON");
    let back: Schemas = serde_json::from_slice(&json).expect("it reads back");
    assert_eq!(&back, schemas);
    assert_eq!(serde_json::to_vec(&back).expect("it is JSON"), json);
}

#[derive(Debug, Default)]
struct Counts {
    quantities: usize,
    map_lists: usize,
    sets: usize,
    open: usize,
    defaults: usize,
}

fn count(of: &super::Type, counts: &mut Counts) {
    counts.quantities += usize::from(of.kind == Kind::Quantity);
    counts.map_lists += usize::from(matches!(of.list, ListType::Map(_)));
    counts.sets += usize::from(of.list == ListType::Set);
    counts.open += usize::from(of.open);
    counts.defaults += usize::from(of.default.is_some());
    let parts = of.values.iter().chain(&of.items).map(|part| &**part);
    for part in of.fields.values().chain(parts) {
        count(part, counts);
    }
}

#[test]
fn published_crds_are_read() {
    let Some(folder) = std::env::var_os("STRANDLINE_CRDS_DIR") else {
        assert!(
            std::env::var_os("STRANDLINE_REQUIRE_BEDS").is_none_or(|value| value != "1"),
            "STRANDLINE_CRDS_DIR is not set"
        );
        println!("SKIPPED: STRANDLINE_CRDS_DIR is not set");
        return;
    };
    let (mut crds, mut versions, mut bytes) = (0, 0, 0);
    let mut counts = Counts::default();
    for folder in std::fs::read_dir(folder).expect("a folder").flatten() {
        let Ok(files) = std::fs::read_dir(folder.path()) else {
            continue;
        };
        for file in files.flatten() {
            let text = std::fs::read(file.path()).expect("it was listed");
            for document in crate::canonical::read_all(&text).expect("it is YAML") {
                let crd = document.value;
                if crd["kind"] != "CustomResourceDefinition" {
                    continue;
                }
                let schemas = from_crd(&crd);
                let published = crd["spec"]["versions"].as_array().expect("versions").len();
                assert_eq!(schemas.kinds.len(), published, "{}", file.path().display());
                travels(&schemas);
                crds += 1;
                versions += published;
                bytes += serde_json::to_vec(&schemas).expect("it is JSON").len();
                schemas.kinds.values().for_each(|of| count(of, &mut counts));
            }
        }
    }
    println!("{crds} CRDs, {versions} versions, {bytes} bytes, {counts:?}");
    assert!(crds > 150, "{crds} CRDs");
    assert!(
        counts.quantities > 100 && counts.map_lists > 100,
        "{counts:?}"
    );
    assert!(
        counts.sets > 50 && counts.open > 100 && counts.defaults > 500,
        "{counts:?}"
    );
}
