//! The rules' plans, their paths, digests and properties.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::golden::{api_type, cases, core, digest_key, run};
use super::selector::LabelSelector;
use super::*;
use crate::object::{ApiType, RawObject};

/// Types that are dropped whole, as `resource.group`.
pub(super) const DROPPED_WHOLE: [&str; 19] = [
    "pods",
    "events",
    "componentstatuses",
    "replicasets.apps",
    "controllerrevisions.apps",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "leasecandidates.coordination.k8s.io",
    "ipaddresses.networking.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "resourceslices.resource.k8s.io",
    "certificatesigningrequests.certificates.k8s.io",
    "nodes.metrics.k8s.io",
    "pods.metrics.k8s.io",
    "anything.custom.metrics.k8s.io",
    "anything.external.metrics.k8s.io",
    "anything.more.metrics.k8s.io",
];

/// A namespaced type from `resource.group`.
pub(super) fn type_named(name: &str) -> Arc<ApiType> {
    let (resource, group) = name.split_once('.').unwrap_or((name, ""));
    Arc::new(ApiType {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        kind: "Thing".into(),
        namespaced: true,
    })
}

fn watched(rules: &Rules, name: &str) -> TypeRules {
    match rules.plan(&type_named(name)) {
        TypePlan::Watched(rules) => *rules,
        TypePlan::Dropped { rule } => panic!("{name} is dropped by {rule}"),
    }
}

fn apply(object: &Value, key: &DigestKey) -> (Value, Verdict) {
    let rules = core();
    let api_type = api_type(object);
    let TypePlan::Watched(rules) = rules.plan(&api_type) else {
        panic!("{api_type} is dropped")
    };
    let mut raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
    let object_key = raw.key(&api_type).unwrap();
    let context = Context {
        digest_key: key,
        autoscaled: &Autoscaled::default(),
    };
    let verdict = rules.apply(&mut raw, &object_key, &context);
    (raw.value, verdict)
}

fn message(error: impl std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

// --- plans ---------------------------------------------------------------------------------------

#[test]
fn derived_types_are_dropped_whole_and_others_are_not() {
    let rules = core();
    for name in DROPPED_WHOLE {
        assert!(
            matches!(rules.plan(&type_named(name)), TypePlan::Dropped { .. }),
            "{name} is watched"
        );
    }
    for name in [
        "services",
        "pods.example.com",
        "events.example.com",
        "leases.example.com",
        "metrics.example.com",
        "anything.xmetrics.k8s.io",
        "cronjobs.batch",
        "nodes",
        "poddisruptionbudgets.policy",
        "statefulsets.apps",
        "runtimeclasses.node.k8s.io",
        "storageclasses.storage.k8s.io",
    ] {
        let rules = watched(rules, name);
        assert_eq!((rules.label_selector, rules.field_selector), (None, None));
    }
}

#[test]
fn a_group_is_dropped_whatever_its_resources_are() {
    let rules = core();
    for group in ["metrics.k8s.io", "custom.metrics.k8s.io"] {
        assert_eq!(rules.drops_group(group).unwrap().as_str(), "metrics");
    }
    for group in ["", "apps", "coordination.k8s.io", "certificates.k8s.io"] {
        assert_eq!(rules.drops_group(group), None);
    }
}

#[test]
fn the_server_is_asked_to_leave_out_what_one_selector_can() {
    let rules = core();
    for (name, labels, fields) in [
        (
            "endpoints",
            Some("endpoints.kubernetes.io/managed-by notin (endpoint-controller)"),
            None,
        ),
        (
            "endpointslices.discovery.k8s.io",
            Some(
                "endpointslice.kubernetes.io/managed-by notin \
                 (endpointslice-controller.k8s.io, endpointslicemirroring-controller.k8s.io)",
            ),
            None,
        ),
        (
            "apiservices.apiregistration.k8s.io",
            Some("!kube-aggregator.kubernetes.io/automanaged"),
            None,
        ),
        ("secrets", None, Some("type!=helm.sh/release.v1")),
        ("configmaps", None, Some("metadata.name!=kube-root-ca.crt")),
    ] {
        let rules = watched(rules, name);
        assert_eq!(rules.label_selector.as_deref(), labels, "{name}");
        assert_eq!(rules.field_selector.as_deref(), fields, "{name}");
    }
}

#[test]
fn a_rule_with_an_exception_or_two_conditions_asks_the_server_for_nothing() {
    for rest in [
        "match: {labels: a}, not: [{names: [x]}]",
        "match: {labels: 'a,b'}",
        "match: {labels: a, names: [x]}",
        "match: {names: ['x*']}",
        "match: {names: ['x,y']}",
        "match: {ownedByController: true}",
        "match: {managedBy: [a]}",
    ] {
        let yaml = format!("rules: [{{name: a, reason: r, see: s, {rest}, drop: true}}]");
        let rules = watched(&Rules::parse(&yaml).unwrap(), "widgets.example.com");
        let selectors = (rules.label_selector, rules.field_selector);
        assert_eq!(selectors, (None, None), "{rest}");
    }
    let yaml = "rules: [{name: a, reason: r, see: s, match: {namespaces: [a, b]}, drop: true},
        {name: b, reason: r, see: s, match: {names: [c]}, drop: true}]";
    let rules = watched(&Rules::parse(yaml).unwrap(), "widgets.example.com");
    assert_eq!(
        rules.field_selector.unwrap(),
        "metadata.namespace!=a,metadata.namespace!=b,metadata.name!=c"
    );
}

/// What a server that honours the selector never sends is what a rule drops, and nothing else.
#[test]
fn a_server_that_ignores_the_selectors_changes_nothing() {
    let rules = core();
    let mut left_out = 0;
    for (case, object) in cases() {
        let TypePlan::Watched(type_rules) = rules.plan(&api_type(&object)) else {
            continue;
        };
        let Some(selector) = type_rules.label_selector else {
            continue;
        };
        let selector = LabelSelector::try_from(selector).unwrap();
        if !selector.matches(object["metadata"].get("labels")) {
            left_out += 1;
            let result = run(rules, &object, &api_type(&object), &mut BTreeSet::new());
            assert!(result.get("droppedBy").is_some(), "{}", case.display());
        }
    }
    assert_eq!(left_out, 4);
}

#[test]
fn state_that_nobody_can_make_again_is_recorded_whoever_owns_it() {
    let rules = core();
    for (name, kept) in [
        ("secrets", true),
        ("configmaps", true),
        ("persistentvolumeclaims", true),
        ("serviceaccounts", true),
        ("roles.rbac.authorization.k8s.io", true),
        ("rolebindings.rbac.authorization.k8s.io", true),
        ("horizontalpodautoscalers.autoscaling", true),
        ("scaledobjects.keda.sh", true),
        ("applications.argoproj.io", true),
        ("jobs.batch", false),
        ("services", false),
        ("secrets.example.com", false),
        ("ephemeralrunners.actions.github.com", false),
    ] {
        let api_type = type_named(name);
        let mut object = json!({"metadata": {"name": "a", "namespace": "b", "ownerReferences": [
            {"kind": "A", "name": "a", "uid": "1"},
            {"kind": "B", "name": "b", "uid": "2", "controller": true},
        ]}});
        let result = run(rules, &object, &api_type, &mut BTreeSet::new());
        assert_eq!(result.get("droppedBy").is_none(), kept, "{name}");
        object["metadata"]["ownerReferences"][1]["controller"] = json!(false);
        let result = run(rules, &object, &api_type, &mut BTreeSet::new());
        assert!(result.get("droppedBy").is_none(), "{name}");
        assert_eq!(result["metadata"]["ownerReferences"][1]["name"], "b");
        assert_eq!(result["metadata"]["ownerReferences"][1].get("uid"), None);
    }
}

#[test]
fn a_status_of_any_shape_goes_from_any_type() {
    let rules = core();
    for status in [
        json!({"a": 1}),
        json!("text"),
        json!(null),
        json!([]),
        json!(7),
    ] {
        let object = json!({"metadata": {"name": "a", "namespace": "b"}, "status": status});
        for name in ["widgets.example.com", "services", "secrets"] {
            let result = run(rules, &object, &type_named(name), &mut BTreeSet::new());
            assert_eq!(result.get("status"), None);
        }
    }
}

#[test]
fn annotations_that_pruning_empties_are_gone_and_finalizers_stay() {
    let with = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "a", "namespace": "b", "finalizers": ["example.com/hold"],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }});
    let without = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "a", "namespace": "b", "finalizers": ["example.com/hold"],
    }});
    assert_eq!(apply(&with, &digest_key()).0, without);
    assert_eq!(apply(&without, &digest_key()).0, without);
}

// --- rule files ----------------------------------------------------------------------------------

#[test]
fn a_broken_rule_says_where_and_what() {
    let rule = |rest: &str| format!("rules:\n  - name: a\n    reason: r\n    see: s\n    {rest}\n");
    for (text, part) in [
        (rule("prune: ['spec.']"), "column 6: expected a field name"),
        (rule("dorp: true"), "dorp"),
        (rule("match: {resuorces: [a]}\n    drop: true"), "resuorces"),
        (rule("match: {names: ['[']}\n    drop: true"), "glob"),
        (
            rule("match: {labels: 'a in b'}\n    drop: true"),
            "expected",
        ),
        (
            rule("match: {}"),
            "the rules:2:5: rule 'a': expected actions",
        ),
        (rule("drop: true\n    prune: [a]"), "'drop' stands alone"),
        ("rules: [".to_owned(), "the rules:2:1: did not find"),
    ] {
        let Err(error) = Rules::parse(&text) else {
            panic!("was read: {text}")
        };
        let message = message(error);
        assert!(message.contains(part), "{message}");
    }
    let twice = rule("drop: true") + "  - {name: a, reason: r, see: s, drop: true}\n";
    let message = message(Rules::parse(&twice).err().unwrap());
    assert_eq!(
        message,
        "the rules:6:5: rule 'a': expected another name, two rules have this one"
    );
}

#[test]
fn every_core_rule_has_a_reason_and_a_page() {
    let rules = core();
    for rule in rules.iter() {
        assert!(!rule.reason.is_empty(), "{}", rule.name);
        assert!(rule.see.starts_with("https://"), "{}", rule.name);
    }
    assert_eq!(rules.fingerprint().len(), 16);
    assert_ne!(
        rules.fingerprint(),
        Rules::parse("rules: []").unwrap().fingerprint()
    );
}

#[test]
fn conditions_on_objects_hold_for_actions_too() {
    let rules = Rules::parse(
        "rules:
  - {name: a, reason: r, see: s, match: {namespaces: ['prod-*'], labels: 'tier in (a, b),!keep'},
     prune: ['spec.list[name=x]', metadata.labels]}
  - {name: b, reason: r, see: s, match: {names: [a]}, not: [{labels: keep}], redact: [{path: spec.text}]}",
    )
    .unwrap();
    let api_type = type_named("widgets.example.com");
    let filtered = |namespace: &str, labels: Value| {
        let object = json!({
            "metadata": {"name": "a", "namespace": namespace, "labels": labels},
            "spec": {"list": [{"name": "x"}, {"name": "y"}], "text": "t"},
        });
        let result = run(&rules, &object, &api_type, &mut BTreeSet::new());
        (
            result["spec"]["list"].as_array().unwrap().len() == 1,
            result["spec"]["text"] != "t",
        )
    };
    // Both see the labels, although one removes them.
    assert_eq!(filtered("prod-1", json!({"tier": "a"})), (true, true));
    assert_eq!(filtered("prod-1", json!({"tier": "c"})), (false, true));
    assert_eq!(filtered("test", json!({"tier": "a"})), (false, true));
    let keep = json!({"tier": "b", "keep": ""});
    assert_eq!(filtered("prod-1", keep), (false, false));
}

#[test]
fn label_selectors_are_read_and_negated_as_kubectl_does() {
    let labels = json!({"a": "1", "b.c/d": "x", "empty": ""});
    for (selector, fits) in [
        ("a", true),
        ("!a", false),
        ("z", false),
        ("!z", true),
        ("a=1", true),
        ("a==1", true),
        ("a!=1", false),
        ("z!=1", true),
        ("a in (2, 1)", true),
        ("a notin (2,1)", false),
        ("z notin (1)", true),
        ("z in (1)", false),
        ("empty=", true),
        (" b.c/d = x , a ", true),
        ("b.c/d=x,!a", false),
        ("in", false),
    ] {
        let read = LabelSelector::try_from(selector.to_owned()).unwrap();
        assert_eq!(read.matches(Some(&labels)), fits, "{selector}");
        if let [requirement] = &read.0[..] {
            let negated =
                LabelSelector::try_from(requirement.negate().unwrap().to_string()).unwrap();
            assert_eq!(negated.matches(Some(&labels)), !fits, "not {selector}");
        }
    }
    for wrong in ["", "a in", "a in (", "a b", ",", "a,", "=1"] {
        assert!(
            LabelSelector::try_from(wrong.to_owned()).is_err(),
            "'{wrong}' was read"
        );
    }
}

// --- field paths ---------------------------------------------------------------------------------

#[test]
fn field_paths_are_read_as_kubernetes_writes_them() {
    for text in [
        "status",
        "spec.template.spec.containers[name=istio-proxy]",
        "metadata.annotations[\"a.b/c\"]",
        "spec.ports[*].nodePort",
        "spec.ports[port=80,protocol=TCP].nodePort",
        "metadata.finalizers[=example.com/hold]",
        "a[key=\"with space\"][=\"\"][\"]\\\"\"].$ref",
        "[\"a.b\"].x-y_z",
    ] {
        assert_eq!(FieldPath::parse(text).unwrap().to_string(), text);
    }
    let same = FieldPath::parse("a[k=\"v\"]").unwrap();
    assert_eq!(same, FieldPath::parse("a[k=v]").unwrap());
}

#[test]
fn a_broken_field_path_says_at_which_column() {
    for (text, column, expected) in [
        ("", 1, "a field name"),
        (".spec", 1, "a field name"),
        ("a..b", 3, "a field name"),
        ("a.", 3, "a field name"),
        ("a b", 2, "'.', '[' or the end"),
        ("ä", 1, "a field name"),
        ("[\"ä\"]x", 6, "'.', '[' or the end"),
        ("a[", 3, "'*', a quoted key, 'key=value' or '=value'"),
        ("a[0]", 4, "'='"),
        ("a[*", 4, "']'"),
        ("a[k=v", 6, "',' or ']'"),
        (
            "a[k=]",
            5,
            "a value, quoted where it is more than letters, digits and '_-./:$'",
        ),
        ("a[\"b]", 3, "a JSON string"),
        ("a[=\"b]", 4, "a JSON string"),
    ] {
        let error = FieldPath::parse(text).unwrap_err();
        assert_eq!((error.column, error.expected), (column, expected), "{text}");
    }
    assert_eq!(
        FieldPath::parse("a.\u{1b}[1m").unwrap_err().to_string(),
        "field path 'a.\\u{1b}[1m', column 3: expected a field name"
    );
}

// --- digests -------------------------------------------------------------------------------------

fn secret(name: &str, key: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": "shop"}, "data": {key: value}})
}

/// Computed by Python's hmac.
#[test]
fn digests_are_what_another_implementation_computes() {
    let key = DigestKey::from_bytes(b"0123456789abcdef0123456789abcdef").unwrap();
    let digest = |value: &Value| {
        let (value, verdict) = apply(value, &key);
        assert_eq!(
            verdict,
            Verdict::Keep {
                digested: 1,
                seal: false
            }
        );
        let data = value["data"].as_object().unwrap();
        data.values().next().unwrap().as_str().unwrap().to_owned()
    };
    assert_eq!(
        digest(&secret("db", "password", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5")),
        "hmac:094bcca78c86882bbb491e0d1762d015"
    );
    assert_eq!(
        digest(&secret("db", "tls.key", "AP8B")),
        "hmac:00c814687779d243689906082a5ce936"
    );
    assert_eq!(key.fingerprint(), "fef986ecc51bd360f29be369069dd6a5");
}

#[test]
fn equal_values_in_two_places_or_under_two_keys_do_not_show_as_equal() {
    let other = DigestKey::from_bytes(b"another key of some length").unwrap();
    let value = "Y29ycmVjdA==";
    let mut digests = BTreeSet::new();
    for (object, key) in [
        (secret("a", "x", value), digest_key()),
        (secret("b", "x", value), digest_key()),
        (secret("a", "y", value), digest_key()),
        (secret("a", "x", value), other),
    ] {
        digests.insert(apply(&object, &key).0["data"].to_string().split_off(5));
    }
    assert_eq!(digests.len(), 4);
}

#[test]
fn a_key_is_checked_and_told_by_its_fingerprint() {
    let short = DigestKey::from_bytes(b"fifteen bytes..").err().unwrap();
    assert_eq!(short, DigestKeyError::TooShort { length: 15 });
    let random = zeroize::Zeroizing::new([7; 32]);
    let key = DigestKey::generate(&random);
    let again = DigestKey::from_bytes(key.expose()).unwrap();
    assert_eq!(key.fingerprint(), again.fingerprint());
    assert_ne!(key.fingerprint(), digest_key().fingerprint());
}

#[test]
fn a_value_of_another_shape_does_not_evade_redaction() {
    let object = |data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "a", "namespace": "b"}, "data": data})
    };
    for data in [
        json!("hunter2hunter2"),
        json!(["hunter2hunter2"]),
        json!({"a": {"b": "hunter2hunter2"}}),
        json!({"a": ["hunter2hunter2"]}),
        json!({"a": "hunter2hunter2"}),
        json!({"a": "hmac:hunter2hunter2"}),
    ] {
        let (value, verdict) = apply(&object(data.clone()), &digest_key());
        assert_eq!(
            verdict,
            Verdict::Keep {
                digested: 1,
                seal: false
            },
            "{data}"
        );
        assert!(!value.to_string().contains("hunter2"), "{value}");
    }
    // A text's digest is that of its bytes, another value's that of its JSON.
    assert_ne!(
        apply(&object(json!({"a": 1})), &digest_key()).0,
        apply(&object(json!({"a": null})), &digest_key()).0
    );
}

#[test]
fn a_secret_value_planted_in_copies_does_not_survive() {
    let mut object = secret("a", "x", "aHVudGVyMmh1bnRlcjI=");
    object["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration":
            "{\"data\":{\"x\":\"aHVudGVyMmh1bnRlcjI=\"},\"stringData\":{\"x\":\"hunter2hunter2\"}}",
        "kapp.k14s.io/original": "hunter2hunter2",
        "objectset.rio.cattle.io/applied": "aHVudGVyMmh1bnRlcjI=",
    });
    object["metadata"]["managedFields"] = json!([{"manager": "hunter2hunter2"}]);
    let text = apply(&object, &digest_key()).0.to_string();
    assert!(
        !text.contains("hunter2") && !text.contains("aHVudGVy"),
        "{text}"
    );
    assert!(!text.contains("annotations"), "{text}");
}

// --- properties ----------------------------------------------------------------------------------

/// Values whose keys and texts are mostly those that rules are about.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,20}".prop_map(Value::from),
        "[A-Za-z0-9+/]{16}".prop_map(Value::from),
        Just(json!("kubernetes")),
        Just(json!("None")),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let key = proptest::sample::select(vec![
            "annotations",
            "claimRef",
            "clusterIP",
            "clusterIPs",
            "control-plane.alpha.kubernetes.io/leader",
            "creationTimestamp",
            "finalizers",
            "jobTemplate",
            "kapp.k14s.io/original",
            "labels",
            "matchLabels",
            "metadata",
            "nodePort",
            "controller-uid",
            "other",
            "ports",
            "selector",
            "spec",
            "template",
            "uid",
            "volumeName",
        ]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((key, inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
                .prop_map(|map: Map<String, Value>| Value::Object(map)),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    let kinds = proptest::sample::select(vec![
        ("v1", "Service"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "ServiceAccount"),
        ("v1", "PersistentVolumeClaim"),
        ("batch/v1", "Job"),
        ("apps/v1", "Deployment"),
        ("example.com/v1", "Certificate"),
    ]);
    (kinds, [value(), value(), value(), value(), value()]).prop_map(
        |((api_version, kind), [metadata, spec, data, string_data, status])| {
            let mut metadata = metadata.as_object().cloned().unwrap_or_default();
            metadata.insert("name".into(), json!("a"));
            metadata.insert("namespace".into(), json!("b"));
            json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec,
                "data": data, "stringData": string_data, "status": status, "secrets": spec})
        },
    )
}

/// Whether something lies at the path.
fn holds(segments: &[Segment], value: &Value) -> bool {
    let Some((segment, rest)) = segments.split_first() else {
        return true;
    };
    match (segment, value) {
        (Segment::Field(name) | Segment::Key(name), Value::Object(map)) => {
            map.get(&**name).is_some_and(|below| holds(rest, below))
        }
        (Segment::Any, Value::Object(map)) => map.values().any(|below| holds(rest, below)),
        (_, Value::Array(list)) => list
            .iter()
            .any(|element| segment.selects(element) && holds(rest, element)),
        _ => false,
    }
}

/// All texts of 8 bytes and more below a value.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= 8 => out.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|element| texts(element, out)),
        Value::Object(map) => map.values().for_each(|below| texts(below, out)),
        _ => {}
    }
}

fn path() -> impl Strategy<Value = String> {
    let text = "[ -~\u{e4}\u{2028}\n]{0,8}";
    let quoted = text.prop_map(|text| Value::from(text).to_string());
    let name = "[a-zA-Z0-9_$-]{1,6}";
    let segment = prop_oneof![
        name.prop_map(|name| format!(".{name}")),
        quoted.clone().prop_map(|key| format!("[{key}]")),
        Just("[*]".to_owned()),
        quoted.clone().prop_map(|item| format!("[={item}]")),
        (name, quoted, name, "[a-z0-9./:_-]{1,6}")
            .prop_map(|(a, b, c, d)| format!("[{a}={b},{c}={d}]")),
    ];
    (name, proptest::collection::vec(segment, 0..5))
        .prop_map(|(first, rest)| first + &rest.concat())
}

proptest! {
    #[test]
    fn filtering_twice_is_filtering_once(object in object()) {
        let (once, verdict) = apply(&object, &digest_key());
        if let Verdict::Keep { .. } = verdict {
            // `stringData` is no base64, so its digests are values again; no server sends it.
            let mut once = once;
            once.as_object_mut().unwrap().remove("stringData");
            let (twice, _) = apply(&once, &digest_key());
            prop_assert_eq!(twice, once);
        }
    }

    #[test]
    fn no_pruned_path_survives(object in object()) {
        let rules = core();
        let (value, verdict) = apply(&object, &digest_key());
        if let Verdict::Keep { .. } = verdict {
            let pruned = rules.pruned_paths(&api_type(&object));
            prop_assert!(pruned.len() > 10);
            for path in pruned {
                prop_assert!(!holds(path.segments(), &value), "{} in {}", path, value);
            }
        }
    }

    #[test]
    fn no_text_of_a_secret_survives(mut object in object()) {
        object["kind"] = json!("Secret");
        object["apiVersion"] = json!("v1");
        let mut secrets = Vec::new();
        texts(&object["data"], &mut secrets);
        texts(&object["stringData"], &mut secrets);
        let (value, _) = apply(&object, &digest_key());
        let mut left = Vec::new();
        texts(&value["data"], &mut left);
        texts(&value["stringData"], &mut left);
        for secret in secrets {
            prop_assert!(!left.iter().any(|text| text.contains(&secret)), "{}", secret);
        }
    }

    #[test]
    fn field_paths_round_trip(text in path()) {
        let path = FieldPath::parse(&text).unwrap();
        let shown = path.to_string();
        prop_assert_eq!(&FieldPath::parse(&shown).unwrap(), &path);
        prop_assert_eq!(FieldPath::parse(&shown).unwrap().to_string(), shown);
    }

    #[test]
    fn any_text_is_a_field_path_or_an_error_within_it(text in "[a-c.*=,\"\\[\\]\\\\\u{e4} ]{0,12}") {
        match FieldPath::parse(&text) {
            Ok(path) => prop_assert_eq!(FieldPath::parse(&path.to_string()).unwrap(), path),
            Err(error) => prop_assert!(error.column <= text.chars().count() + 1),
        }
    }
}
