//! Each rule of the oracle once, on hand-made objects.
#![expect(
    clippy::needless_pass_by_value,
    reason = "objects are written where they are used"
)]

use serde_json::{Value, json};

use crate::oracle::owners::Owners;
use crate::oracle::schema::Schemas;
use crate::oracle::{Class, Finding, States, expected};

/// A built-in kind with a list of each type, and a custom resource of the same.
fn schemas() -> Schemas {
    let container = json!({"properties": {
        "name": {"type": "string"}, "image": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
        "ports": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"allOf": [{"$ref": "#/components/schemas/Port"}], "default": {}}},
    }});
    let spec = json!({"properties": {
        "replicas": {"type": "integer"}, "paused": {"type": "boolean"},
        "selector": {"type": "object", "x-kubernetes-map-type": "atomic",
            "additionalProperties": {"type": "string"}},
        "extra": {"properties": {"a": {"type": "string"}}},
        "containers": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"$ref": "#/components/schemas/Container"}},
        "initContainers": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"$ref": "#/components/schemas/Container"}},
    }});
    let metadata = json!({"properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    }});
    let document = json!({"components": {"schemas": {
        "Port": {"properties": {"port": {"type": "integer"},
            "protocol": {"type": "string", "default": "TCP"}, "nodePort": {"type": "integer"}}},
        "Container": container,
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": metadata,
        "Thing": {"x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Thing"}],
            "properties": {
                "metadata": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
                "spec": spec}},
    }}});
    let mut schemas = Schemas::default();
    schemas.add_document("", "v1", &document);
    schemas.add_definition(
        &json!({"spec": {"group": "example.com", "names": {"kind": "Own"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"properties": {
            "spec": {"properties": {"count": {"type": "integer"}, "mode": {"type": "string", "default": "a"}, "list": {"type": "array"},
                "tags": {"type": "array", "x-kubernetes-list-type": "set"},
                "things": {"type": "object", "additionalProperties": {"type": "string"}}}}}}}}]}}),
    );
    schemas
}

struct Case {
    kind: (&'static str, &'static str),
    entries: Vec<Value>,
    last_applied: Option<Value>,
    asked: Option<Value>,
}

fn entry(manager: &str, operation: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": operation, "fieldsV1": fields})
}

fn of(entries: Vec<Value>) -> Case {
    Case {
        kind: ("", "Thing"),
        entries,
        last_applied: None,
        asked: None,
    }
}

impl Case {
    fn findings(&self, desired: Value, before: Value, after: Value) -> Vec<Finding> {
        let mut stored = json!({"metadata": {"managedFields": self.entries}});
        if let Some(last_applied) = &self.last_applied {
            stored["metadata"]["annotations"] = json!({
                "kubectl.kubernetes.io/last-applied-configuration": last_applied.to_string()});
        }
        let owners = Owners::of(&stored, &[]);
        let schemas = schemas();
        let states = States {
            desired: &desired,
            before: &before,
            after: &after,
            asked: self.asked.as_ref().unwrap_or(&Value::Null),
            owners: &owners,
        };
        expected(schemas.kind(self.kind.0, "v1", self.kind.1), states)
    }

    /// As `PATH CLASS MANAGER`, with `!` for a warning.
    fn words(&self, desired: Value, before: Value, after: Value) -> Vec<String> {
        let findings = self.findings(desired, before, after);
        findings.iter().map(word).collect()
    }
}

fn word(finding: &Finding) -> String {
    let writer = finding.writer.as_ref();
    let manager = writer.map_or("null", |writer| writer.manager.as_str());
    let mark = if finding.warning { "!" } else { "" };
    format!("{} {:?}{mark} {manager}", finding.path, finding.class)
}

fn spec(spec: Value) -> Value {
    json!({"spec": spec})
}

#[test]
fn what_did_not_change_is_fine_whatever_desired_says() {
    let case = of(vec![]);
    let live = spec(json!({"replicas": 1, "containers": [{"name": "a", "image": "x"}]}));
    assert!(case.words(spec(json!({})), live.clone(), live).is_empty());
}

#[test]
fn a_changed_leaf_has_its_owner_of_now() {
    let case = of(vec![
        entry(
            "kubectl-create",
            "Update",
            json!({"f:spec": {"f:paused": {}}}),
        ),
        entry(
            "kubectl-edit",
            "Update",
            json!({"f:spec": {"f:replicas": {}}}),
        ),
    ]);
    let found = case.words(
        spec(json!({"replicas": 3})),
        spec(json!({"replicas": 3})),
        spec(json!({"replicas": 5})),
    );
    assert_eq!(found, ["spec.replicas Changed! kubectl-edit"]);
}

#[test]
fn the_highest_owner_counts() {
    let fields = json!({"f:spec": {"f:replicas": {}}});
    let order = [
        ("kubectl-edit", "Update"),
        ("kubectl", "Apply"),
        ("kubectl-create", "Update"),
        ("team", "Apply"),
        ("kube-controller-manager", "Update"),
    ];
    for (at, (manager, _)) in order.iter().enumerate() {
        let owners = order[at..].iter().rev();
        let case = of(owners
            .map(|(manager, operation)| entry(manager, operation, fields.clone()))
            .collect());
        let found = case.words(
            spec(json!({"replicas": 3})),
            spec(json!({"replicas": 3})),
            spec(json!({"replicas": 5})),
        );
        assert_eq!(found, [format!("spec.replicas Changed! {manager}")]);
    }
}

#[test]
fn what_only_live_has_is_what_its_owner_makes_of_it() {
    let words = |manager: &str, operation: &str, last_applied: Option<Value>| {
        let mut case = of(vec![entry(
            manager,
            operation,
            json!({"f:metadata": {"f:labels": {"f:a.b/c": {}}}}),
        )]);
        case.last_applied = last_applied;
        case.words(
            json!({"metadata": {}}),
            json!({"metadata": {}}),
            json!({"metadata": {"labels": {"a.b/c": "x"}}}),
        )
    };
    let path = "metadata.labels[\"a.b/c\"]";
    for (manager, operation, class) in [
        ("kubectl-label", "Update", "Added!"),
        ("kubectl", "Update", "Added!"),
        ("kubectl", "Apply", "PendingRemoval"),
        ("helm", "Update", ""),
        ("argocd-controller", "Apply", "PendingRemoval"),
        ("team", "Apply", "Added"),
        ("kube-controller-manager", "Update", "Ignored"),
    ] {
        let found = words(manager, operation, None);
        if class.is_empty() {
            assert!(found.is_empty(), "{manager}: {found:?}");
        } else {
            assert_eq!(found, [format!("{path} {class} {manager}")]);
        }
    }
    let applied = json!({"metadata": {"labels": {"a.b/c": "x"}}});
    let found = words("kubectl-client-side-apply", "Update", Some(applied));
    assert_eq!(
        found,
        [format!("{path} PendingRemoval kubectl-client-side-apply")]
    );
    assert!(words("kubectl-client-side-apply", "Update", None).is_empty());
}

#[test]
fn kubectl_is_a_human_where_a_tool_deploys() {
    let label = json!({"f:metadata": {"f:labels": {"f:a": {}}}});
    let case = of(vec![
        entry("argocd-controller", "Apply", json!({"f:spec": {}})),
        entry("kubectl-client-side-apply", "Update", label),
    ]);
    let found = case.words(
        json!({}),
        json!({}),
        json!({"metadata": {"labels": {"a": "1"}}}),
    );
    assert_eq!(
        found,
        ["metadata.labels.a Added! kubectl-client-side-apply"]
    );
}

#[test]
fn what_nobody_owns_was_set_by_the_server() {
    let found = of(vec![]).words(
        spec(json!({})),
        spec(json!({})),
        spec(json!({"paused": true})),
    );
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_nobody_owns_and_somebody_asked_for_is_an_addition_of_unknown_hand() {
    let mut case = of(vec![]);
    case.asked = Some(json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "x"}}));
    let found = case.words(json!({}), json!({}), json!({"data": {"a": "eA=="}}));
    assert_eq!(found, ["data.a Added null"]);
}

#[test]
fn what_nobody_owns_and_the_server_would_have_set_is_nothing() {
    let own = |mode: &str| json!({"spec": {"count": 1, "mode": mode}});
    for (mode, words) in [
        ("a", vec!["spec.count Added null"]),
        ("b", vec!["spec.count Added null", "spec.mode Added null"]),
    ] {
        let mut case = of(vec![]);
        case.kind = ("example.com", "Own");
        case.asked = Some(own(mode));
        assert_eq!(case.words(json!({}), json!({}), own(mode)), words);
    }
}

#[test]
fn null_is_absence_in_built_in_types() {
    let live = |containers: Value| spec(json!({"containers": containers}));
    let element = json!([{"name": "a"}]);
    let found = of(vec![]).words(live(element.clone()), live(element), live(Value::Null));
    assert_eq!(found, ["spec.containers[name=a] Removed! null"]);
}

#[test]
fn a_removed_leaf_has_no_manager_and_a_removed_default_is_nothing() {
    let case = of(vec![entry("kubectl-edit", "Update", json!({"f:spec": {}}))]);
    let found = case.words(
        spec(json!({"replicas": 3, "extra": {"a": "1"}, "selector": {"b": "c"}})),
        spec(json!({"replicas": 3, "paused": true, "extra": {"a": "1"}, "selector": {"b": "c"}})),
        spec(json!({})),
    );
    assert_eq!(
        found,
        [
            "spec.extra.a Removed! null",
            "spec.replicas Removed! null",
            "spec.selector.b Removed! null"
        ]
    );
}

#[test]
fn elements_are_found_by_their_keys_with_defaults() {
    let ports = |ports: Value| spec(json!({"containers": [{"name": "a", "ports": ports}]}));
    let owned = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:ports": {
        "k:{\"port\":80,\"protocol\":\"UDP\"}": {".": {}, "f:port": {}, "f:protocol": {}},
        "k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:nodePort": {}}}}}}});
    let case = of(vec![entry("kubectl-patch", "Update", owned)]);
    let found = case.words(
        ports(json!([{"port": 80}])),
        ports(json!([{"port": 80, "protocol": "TCP"}])),
        ports(json!([{"port": 80, "protocol": "UDP"}, {"port": 80, "protocol": "TCP", "nodePort": 3}])),
    );
    let base = "spec.containers[name=a].ports";
    assert_eq!(
        found,
        [
            format!("{base}[port=80,protocol=TCP].nodePort Added! kubectl-patch"),
            format!("{base}[port=80,protocol=UDP] Added! kubectl-patch"),
        ]
    );
    let found = case.words(
        ports(json!([{"port": 80}])),
        ports(json!([{"port": 80, "protocol": "TCP"}])),
        ports(json!([{"port": 80, "protocol": "UDP"}])),
    );
    assert_eq!(
        found,
        [
            format!("{base}[port=80,protocol=TCP] Removed! null"),
            format!("{base}[port=80,protocol=UDP] Added! kubectl-patch"),
        ]
    );
}

#[test]
fn an_atomic_list_is_one_place_and_a_set_one_for_each_value() {
    let owned = json!({"f:metadata": {"f:finalizers": {"v:\"x/z\"": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:args": {}}}}});
    let case = of(vec![entry("kubectl-edit", "Update", owned)]);
    let object = |finalizers: Value, args: Value| {
        json!({"metadata": {"finalizers": finalizers},
            "spec": {"containers": [{"name": "a", "args": args}]}})
    };
    let found = case.words(
        object(json!(["x/y"]), json!(["1", "2"])),
        object(json!(["x/y"]), json!(["1", "2"])),
        object(json!(["x/z w", "x/z"]), json!(["2"])),
    );
    // Nobody owns `x/z w`.
    assert_eq!(
        found,
        [
            "metadata.finalizers[=x/y] Removed! null",
            "metadata.finalizers[=x/z] Added! kubectl-edit",
            "spec.containers[name=a].args Changed! kubectl-edit",
        ]
    );
}

#[test]
fn order_counts_for_init_containers_alone() {
    let case = of(vec![entry(
        "kubectl-edit",
        "Update",
        json!({"f:spec": {"f:initContainers": {
        "k:{\"name\":\"a\"}": {"f:image": {}}}}}),
    )]);
    let object = |list: &str, names: [&str; 2]| {
        let elements = names.map(|name| json!({"name": name}));
        spec(json!({list: elements}))
    };
    let turned = |list: &str| {
        let (one, other) = (object(list, ["a", "b"]), object(list, ["b", "a"]));
        case.words(one.clone(), one, other)
    };
    assert!(turned("containers").is_empty());
    assert_eq!(
        turned("initContainers"),
        ["spec.initContainers Changed! kubectl-edit"]
    );
}

#[test]
fn zero_is_absence_where_go_leaves_it_out_and_a_value_in_custom_resources() {
    let edit = entry(
        "kubectl-edit",
        "Update",
        json!({"f:spec": {"f:paused": {}, "f:count": {}}}),
    );
    let case = of(vec![edit.clone()]);
    let desired = spec(json!({"paused": false, "selector": {}, "containers": null}));
    assert!(
        case.words(
            desired.clone(),
            spec(json!({"paused": true})),
            spec(json!({}))
        )
        .is_empty()
    );
    // Only a pointer's zero is stored.
    let stored = spec(json!({"paused": false}));
    let found = case.words(desired.clone(), stored, spec(json!({})));
    assert_eq!(found, ["spec.paused Removed! null"]);
    let found = case.words(desired, spec(json!({})), spec(json!({"paused": true})));
    assert_eq!(found, ["spec.paused Changed! kubectl-edit"]);

    let mut custom = of(vec![edit]);
    custom.kind = ("example.com", "Own");
    let desired = spec(json!({"count": 0, "list": [], "tags": [], "things": {}}));
    let found = custom.words(desired.clone(), desired, spec(json!({})));
    assert_eq!(
        found,
        [
            "spec.count Removed! null",
            "spec.list Removed! null",
            "spec.tags Removed! null",
            "spec.things Removed! null"
        ]
    );
}

#[test]
fn an_empty_object_is_a_leaf() {
    let case = of(vec![entry(
        "kubectl-edit",
        "Update",
        json!({"f:spec": {"f:extra": {}}}),
    )]);
    let found = case.words(spec(json!({})), spec(json!({})), spec(json!({"extra": {}})));
    assert_eq!(found, ["spec.extra Added! kubectl-edit"]);
    let found = case.words(
        spec(json!({"extra": {}})),
        spec(json!({"extra": {}})),
        spec(json!({})),
    );
    assert_eq!(found, ["spec.extra Removed! null"]);
}

#[test]
fn an_empty_list_of_a_custom_resource_is_a_leaf() {
    let with = |name: &str| spec(json!({"count": 1, name: []}));
    let without = spec(json!({"count": 1}));
    for (kind, name, expected) in [
        (("", "Thing"), "containers", &[][..]),
        (
            ("example.com", "Own"),
            "tags",
            &["spec.tags Added! kubectl-edit"],
        ),
    ] {
        let fields = json!({"f:spec": {format!("f:{name}"): {}}});
        let mut case = of(vec![entry("kubectl-edit", "Update", fields)]);
        case.kind = kind;
        let found = case.words(without.clone(), without.clone(), with(name));
        assert_eq!(found, expected, "{kind:?}");
    }
}

#[test]
fn owners_of_an_atomic_place_own_what_lies_in_it_and_a_dot_does_not() {
    let case = of(vec![
        entry(
            "kubectl-edit",
            "Update",
            json!({"f:spec": {"f:selector": {}}}),
        ),
        entry(
            "kubectl-create",
            "Update",
            json!({"f:metadata": {"f:labels": {".": {}}}}),
        ),
    ]);
    let found = case.words(
        json!({}),
        json!({"metadata": {"labels": {}}}),
        json!({"metadata": {"labels": {"a": "1"}}, "spec": {"selector": {"b": "c"}}}),
    );
    assert_eq!(found, ["spec.selector.b Added! kubectl-edit"]);
}

#[test]
fn a_secret_s_texts_are_its_data() {
    let case = of(vec![entry(
        "kubectl-edit",
        "Update",
        json!({"f:data": {"f:a": {}}}),
    )]);
    let desired = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "x", "b": "y"}});
    let stored = |a: &str| json!({"data": {"a": a, "b": "eQ=="}});
    let found = case.findings(desired, stored("eA=="), stored("eg=="));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].path.as_str(), found[0].class),
        ("data.a", Class::Changed)
    );
}
