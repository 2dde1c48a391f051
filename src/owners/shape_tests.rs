//! Shapes of objects as servers send them.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::object::Step;

pub(super) fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

pub(super) fn at(path: &str) -> Vec<Step> {
    let steps = path.split('/').filter(|step| !step.is_empty());
    steps
        .map(|step| match step.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Key(step.into()),
        })
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "shorter where it is called")]
fn entry(manager: &str, operation: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1",
        "time": "2026-01-02T03:04:05Z", "fieldsType": "FieldsV1", "fieldsV1": fields})
}

/// The names of a place's owners; `-` before them where last-applied has the place.
fn who(shape: &Shape, path: &str) -> String {
    let owners = shape.owners(&at(path));
    let names: Vec<&str> = owners
        .writers
        .iter()
        .map(|&writer| &*shape.writers[writer].manager)
        .collect();
    let applied = if owners.in_last_applied { "-" } else { "" };
    let unknown = if owners.unknown { "?" } else { "" };
    format!("{applied}{}{unknown}", names.join(" "))
}

fn deployment() -> (Value, Value, String) {
    let live = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web", "added": "x", "injected": "y"}},
        "spec": {"replicas": 3, "strategy": {"type": "RollingUpdate"}, "template": {"spec": {
            "nodeSelector": {"a": "b"},
            "containers": [
                {"name": "side", "image": "s:1", "imagePullPolicy": "Always"},
                {"name": "web", "image": "w:2", "args": ["a", "b"],
                 "ports": [{"containerPort": 53, "protocol": "UDP"},
                           {"containerPort": 53, "protocol": "TCP"}]}]}}},
        "status": {"replicas": 3}});
    let web = json!({".": {}, "f:name": {}, "f:args": {},
        "f:ports": {".": {},
            "k:{\"containerPort\":53,\"protocol\":\"TCP\"}":
                {".": {}, "f:containerPort": {}, "f:protocol": {}},
            "k:{\"containerPort\":53,\"protocol\":\"UDP\"}":
                {".": {}, "f:containerPort": {}, "f:protocol": {}}}});
    let fields = json!([
        entry("kubectl-client-side-apply", "Update", json!({
            "f:metadata": {"f:annotations": {".": {}}, "f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:strategy": {"f:type": {}}, "f:template": {"f:spec": {
                "f:nodeSelector": {}, "f:containers": {"k:{\"name\":\"web\"}": web}}}}})),
        entry("kubectl-edit", "Update", json!({
            "f:metadata": {"f:labels": {"f:added": {}}},
            "f:spec": {"f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"side\"}":
                    {".": {}, "f:name": {}, "f:image": {}, "f:imagePullPolicy": {}}}}}}})),
        entry("kubectl-set", "Update", json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"web\"}": {"f:image": {}}}}}}})),
        {"manager": "kubectl", "operation": "Update", "subresource": "scale",
         "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
         "apiVersion": "apps/v1", "time": "2026-01-02T03:04:06Z", "fieldsV1":
            {"f:metadata": {"f:annotations": {".": {}}}, "f:status": {"f:replicas": {}}}},
    ]);
    let applied = json!({"metadata": {"name": "web", "labels": {"app": "web"},
            "creationTimestamp": null},
        "spec": {"template": {"spec": {"nodeSelector": {"a": "b"}, "containers": [
            {"name": "web", "image": "w:1", "args": ["a", "b"], "ports": [{"containerPort": 53},
                {"containerPort": 53, "protocol": "UDP"}]}]}}}});
    (live, fields, applied.to_string())
}

#[test]
fn every_place_has_the_owners_that_managed_fields_names() {
    let (live, fields, applied) = deployment();
    let mut recorded = live.clone();
    recorded.as_object_mut().unwrap().remove("status");
    let (shape, times) = Shape::of(
        Some(&raw(&fields)),
        Some(&applied),
        &live,
        &recorded,
        vec![],
    );
    for (path, owners) in [
        ("metadata/name", "-"),
        ("metadata/labels/app", "-kubectl-client-side-apply"),
        ("metadata/labels/added", "kubectl-edit"),
        ("metadata/labels/injected", ""),
        ("spec/replicas", "kubectl"),
        ("spec/strategy/type", "kubectl-client-side-apply"),
        (
            "spec/template/spec/nodeSelector/a",
            "-kubectl-client-side-apply",
        ),
        ("spec/template/spec/containers/0", "kubectl-edit"),
        ("spec/template/spec/containers/0/image", "kubectl-edit"),
        (
            "spec/template/spec/containers/1",
            "-kubectl-client-side-apply",
        ),
        ("spec/template/spec/containers/1/image", "-kubectl-set"),
        (
            "spec/template/spec/containers/1/args",
            "-kubectl-client-side-apply",
        ),
        (
            "spec/template/spec/containers/1/args/1",
            "-kubectl-client-side-apply",
        ),
        (
            "spec/template/spec/containers/1/ports/0/protocol",
            "-kubectl-client-side-apply",
        ),
        (
            "spec/template/spec/containers/1/ports/1/protocol",
            "kubectl-client-side-apply",
        ),
        ("spec/template/spec/containers/7", ""),
        ("spec/nothing", ""),
    ] {
        assert_eq!(who(&shape, path), owners, "{path}");
    }
    let names: Vec<&str> = shape.writers.iter().map(|w| &*w.manager).collect();
    assert_eq!(
        names,
        [
            "kubectl",
            "kubectl-client-side-apply",
            "kubectl-edit",
            "kubectl-set"
        ],
        "the controller reaches no recorded leaf"
    );
    assert_eq!(times.0.len(), 4);
    assert_eq!(times.0[0], None, "an entry of scale has no time");
    assert_eq!(times.0[2].as_deref(), Some("2026-01-02T03:04:05Z"));
    assert!(times.0[1].is_some(), "kubectl may be a person");
    assert!(shape.has_last_applied && !shape.unreadable && !shape.terminating);
    assert_eq!(Shape::decode(&shape.encode()).as_ref(), Some(&shape));
    assert_eq!(Times::decode(&times.encode()), Some(times));
}

#[test]
fn an_entry_of_another_version_makes_unowned_places_unknown() {
    let live = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "spec": {"minReplicas": 1, "metrics": []}});
    let fields = json!([{"manager": "helm", "operation": "Update", "apiVersion": "autoscaling/v1",
        "fieldsV1": {"f:spec": {"f:minReplicas": {}, "f:targetCPUUtilizationPercentage": {}}}}]);
    let (shape, _) = Shape::of(Some(&raw(&fields)), None, &live, &live, vec![]);
    assert_eq!(who(&shape, "spec/minReplicas"), "helm");
    assert_eq!(who(&shape, "spec/metrics"), "?");
    // Of its own version what does not resolve is old, and means nothing.
    let fields = fields
        .to_string()
        .replace("autoscaling/v1", "autoscaling/v2");
    let fields: Value = serde_json::from_str(&fields).unwrap();
    let (shape, _) = Shape::of(Some(&raw(&fields)), None, &live, &live, vec![]);
    assert_eq!(who(&shape, "spec/metrics"), "");
    // What cannot be read at all is not "unowned" either.
    let (shape, _) = Shape::of(
        Some(&raw(&json!({"no": "list"}))),
        None,
        &live,
        &live,
        vec![],
    );
    assert_eq!(who(&shape, "spec/metrics"), "?");
}

#[test]
fn elements_are_found_where_the_filter_left_them() {
    let live = json!({"apiVersion": "v1", "metadata": {"finalizers": ["c", "kubernetes", "a"],
        "ownerReferences": [{"uid": "u1", "name": "x"}, {"uid": "u2", "name": "y"}]}});
    let recorded = json!({"apiVersion": "v1", "metadata": {"finalizers": ["a", "c"],
        "ownerReferences": [{"name": "x"}, {"name": "y"}]}});
    let fields = json!([
        {"manager": "one", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:metadata": {
            "f:finalizers": {".": {}, "v:\"a\"": {}},
            "f:ownerReferences": {".": {}, "k:{\"uid\":\"u2\"}": {}}}}},
        {"manager": "two", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:metadata": {
            "f:finalizers": {"v:\"c\"": {}, "v:\"kubernetes\"": {}},
            "f:ownerReferences": {".": {}, "k:{\"uid\":\"u1\"}": {}}}}}]);
    let (shape, _) = Shape::of(Some(&raw(&fields)), None, &live, &recorded, vec![]);
    assert_eq!(who(&shape, "metadata/finalizers/0"), "one");
    assert_eq!(who(&shape, "metadata/finalizers/1"), "two");
    assert_eq!(who(&shape, "metadata/ownerReferences/0/name"), "two");
    assert_eq!(who(&shape, "metadata/ownerReferences/1/name"), "one");
}

#[test]
fn a_shape_that_is_not_ours_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        r#"{"x": 1}"#,
        r#"{"o": 0}"#,
        r#"{"o": -1, "s": [[]]}"#,
        r#"{"s": [[0]]}"#,
        r#"{"w": [["a", "b", "c"]]}"#,
        r#"{"t": false}"#,
        r#"{"s": [[]], "o": ["e", 0]}"#,
        r#"{"s": [[]], "o": ["e", 0, ["e", 0, 0]]}"#,
        r#"{"s": [[]], "o": {}}"#,
        r#"{"m": [[[-1], "p", "r"]]}"#,
        r#"{"m": [[["a"], "x", "r"]]}"#,
    ] {
        assert_eq!(Shape::decode(text.as_bytes()), None, "{text}");
    }
    let deep = format!(
        r#"{{"s":[[]],"o":{}0{}}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert_eq!(Shape::decode(deep.as_bytes()), None);
    assert_eq!(Shape::decode(b"{}"), Some(Shape::default()));
}

#[test]
fn times_are_kept_of_people_and_strangers_alone() {
    let live = json!({"apiVersion": "apps/v1", "spec": {"replicas": 1}});
    for (manager, kept) in [
        ("kubectl-edit", true),
        ("kubectl-client-side-apply", true),
        ("my-operator", true),
        ("before-first-apply", true),
        ("argocd-controller", false),
        ("helm", false),
        ("kube-controller-manager", false),
    ] {
        let fields = json!([entry(
            manager,
            "Update",
            json!({"f:spec": {"f:replicas": {}}})
        )]);
        let (_, times) = Shape::of(Some(&raw(&fields)), None, &live, &live, vec![]);
        assert_eq!(
            times.0,
            [kept.then(|| "2026-01-02T03:04:05Z".into())],
            "{manager}"
        );
    }
}

#[test]
fn more_writers_than_a_server_keeps_are_nobodys_place_but_not_unowned() {
    let live = json!({"apiVersion": "apps/v1", "spec": {"replicas": 1, "paused": true}});
    let fields: Vec<Value> = (0..200)
        .map(|at| {
            let field = if at < 128 { "f:replicas" } else { "f:paused" };
            entry(&format!("m{at}"), "Apply", json!({"f:spec": {field: {}}}))
        })
        .collect();
    let (shape, _) = Shape::of(Some(&raw(&Value::from(fields))), None, &live, &live, vec![]);
    assert_eq!(shape.owners(&at("spec/replicas")).writers.len(), 128);
    assert_eq!(who(&shape, "spec/paused"), "?");
}

#[test]
fn who_has_an_element_alone_has_nothing_in_it() {
    let live = json!({"apiVersion": "apps/v1", "env": [{"name": "A", "value": "1"}]});
    let fields = json!({"f:env": {"k:{\"name\":\"A\"}": {".": {}}}});
    let entries = json!([entry("m", "Apply", fields)]);
    let (shape, _) = Shape::of(Some(&raw(&entries)), None, &live, &live, vec![]);
    let owners = ["env/0", "env/0/value"].map(|path| who(&shape, path));
    assert_eq!(owners, ["m", ""]);
}

#[test]
fn entries_that_name_more_than_memory_holds_are_given_up() {
    let same: Vec<Value> = vec![json!({"name": "a"}); 20_000];
    let live = json!({"apiVersion": "v1", "env": same, "x": 1});
    let fields: Vec<Value> = (0..128)
        .map(|at| {
            let fields = json!({"f:env": {"k:{\"name\":\"a\"}": {".": {}}}, "f:x": {}});
            entry(&format!("m{at}"), "Apply", fields)
        })
        .collect();
    let (shape, _) = Shape::of(Some(&raw(&Value::from(fields))), None, &live, &live, vec![]);
    let some = shape.owners(&at("x")).writers.len();
    assert!((1..40).contains(&some), "{some}");
    assert!(shape.unreadable);
}

#[test]
fn duplicate_keys_long_lists_and_deep_objects_are_taken_as_they_are() {
    let twice = json!({"apiVersion": "apps/v1", "env": [{"name": "A", "value": "1"},
        {"name": "A", "value": "2"}, {"name": "B"}]});
    let fields = json!([entry(
        "m",
        "Update",
        json!({"f:env": {"k:{\"name\":\"A\"}":
        {".": {}, "f:name": {}, "f:value": {}}}})
    )]);
    let (shape, _) = Shape::of(Some(&raw(&fields)), None, &twice, &twice, vec![]);
    assert_eq!(
        ["env/0", "env/1/value", "env/2"].map(|path| who(&shape, path)),
        ["m", "m", ""]
    );

    let many: Vec<Value> = (0..1000)
        .map(|at| json!({"name": format!("n{at}")}))
        .collect();
    let many = json!({"apiVersion": "apps/v1", "list": many});
    let keys = (0..1000).filter(|at| at % 3 == 0);
    let keys = keys.map(|at| (format!("k:{{\"name\":\"n{at}\"}}"), json!({})));
    let keys: serde_json::Map<String, Value> = keys.collect();
    let fields = json!([entry("m", "Update", json!({"f:list": keys}))]);
    let applied = json!({"list": [{"name": "n999"}, {"name": "n5"}]}).to_string();
    let (shape, _) = Shape::of(Some(&raw(&fields)), Some(&applied), &many, &many, vec![]);
    for (place, owner) in [
        ("list/0", "m"),
        ("list/1", ""),
        ("list/999", "-m"),
        ("list/5", "-"),
    ] {
        assert_eq!(who(&shape, place), owner, "{place}");
    }

    let deep = |text: &str, close: &str| format!("{}1{}", text.repeat(100), close.repeat(100));
    let live: Value = serde_json::from_str(&deep("{\"a\":", "}")).unwrap();
    let fields = deep("{\"f:a\":", "}").replace('1', "{}");
    let fields = format!(r#"[{{"manager":"m","operation":"Apply","fieldsV1":{fields}}}]"#);
    let fields = serde_json::value::RawValue::from_string(fields).unwrap();
    let (shape, _) = Shape::of(Some(&fields), None, &live, &live, vec![]);
    assert_eq!(Shape::decode(&shape.encode()).as_ref(), Some(&shape));
    assert_eq!(
        shape
            .owners(&vec![Step::Key("a".into()); 100])
            .writers
            .len(),
        1
    );
}
