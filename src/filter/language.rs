//! What the rule language says: conditions, actions, precedence, assembly, explanations.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::golden::{api_type, cases, core, digest_key, run};
use super::tests::type_named;
use super::*;
use crate::object::RawObject;

const WIDGETS: &str = "widgets.example.com";

/// Rules named `a`, `b`… of these bodies in YAML's flow form.
fn rules(bodies: &[&str]) -> String {
    let mut text = "rules:\n".to_owned();
    for (name, body) in ('a'..).zip(bodies) {
        let _ = writeln!(text, "  - {{name: {name}, reason: r, {body}}}");
    }
    text
}

fn assembled(user: &str) -> Rules {
    Rules::assemble(&with_file(user)).unwrap_or_else(|error| panic!("{error}"))
}

fn with_file(text: &str) -> Selection {
    Selection {
        files: vec![UserFile {
            name: "own.yaml".to_owned(),
            text: text.to_owned(),
        }],
        ..Selection::default()
    }
}

fn refused(selection: &Selection) -> String {
    match Rules::assemble(selection) {
        Ok(_) => panic!("the rules were taken"),
        Err(error) => error.to_string(),
    }
}

/// What becomes of an object of a type.
fn become_of(rules: &Rules, object: &Value, name: &str) -> Value {
    run(rules, object, &type_named(name), &mut BTreeSet::new())
}

fn widget(spec: &Value) -> Value {
    json!({"metadata": {"name": "w", "namespace": "shop"}, "spec": spec})
}

fn watched(rules: &Rules, name: &str) -> TypeRules {
    match rules.plan(&type_named(name)) {
        TypePlan::Watched(rules) => *rules,
        TypePlan::Dropped { rule } => panic!("{name} is dropped by {rule}"),
    }
}

fn secret(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "s", "namespace": "shop"}, "data": data})
}

fn apply(rules: &Rules, object: &Value) -> (Value, Verdict) {
    let api_type = api_type(object);
    let TypePlan::Watched(rules) = rules.plan(&api_type) else {
        panic!("{api_type} is dropped")
    };
    let mut raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
    let key = raw.key(&api_type).unwrap();
    let context = Context {
        digest_key: &digest_key(),
        autoscaled: &Autoscaled::default(),
    };
    let verdict = rules.apply(&mut raw, &key, &context);
    (raw.value, verdict)
}

fn explain(rules: &Rules, object: &Value) -> Explanation {
    let api_type = api_type(object);
    let TypePlan::Watched(rules) = rules.plan(&api_type) else {
        panic!("{api_type} is dropped")
    };
    let raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
    let key = raw.key(&api_type).unwrap();
    let context = Context {
        digest_key: &digest_key(),
        autoscaled: &Autoscaled::default(),
    };
    rules.explain(&raw, &key, &context)
}

// --- conditions ----------------------------------------------------------------------------------

#[test]
fn each_condition_and_its_negation_is_heard() {
    let object = json!({
        "metadata": {
            "name": "w", "namespace": "shop", "labels": {"tier": "7"},
            "annotations": {"example.com/managed": "yes-sir", "plain": ""},
            "ownerReferences": [{"apiVersion": "actions.github.com/v1alpha1", "kind": "Runner"},
                {"apiVersion": "v1", "kind": "Node", "controller": true}],
            "managedFields": [{"manager": "robot", "operation": "Update",
                "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {"replicas": 3, "on": true, "list": [1, 2]},
    });
    for (condition, fits) in [
        ("annotations: {example.com/managed: null}", true),
        ("annotations: {'example.com/*': 'yes-*'}", true),
        ("annotations: {'example.com/*': 'no-*'}", false),
        ("annotations: {plain: ''}", true),
        ("annotations: {plain: null, absent: null}", false),
        (
            "ownedBy: [{apiGroup: actions.github.com, kind: Runner}]",
            true,
        ),
        ("ownedBy: [{apiGroup: '*.github.com', kind: '*'}]", true),
        (
            "ownedBy: [{kind: Absent}, {apiGroup: '', kind: Node}]",
            true,
        ),
        ("ownedBy: [{apiGroup: '', kind: Runner}]", false),
        ("ownedByController: true", true),
        ("labels: 'tier > 6, tier < 8'", true),
        ("labels: tier > 7", false),
        ("managedBy: [robot]", true),
        ("managedBy: [human]", false),
        ("names: ['w*'], namespaces: [shop]", true),
        ("when: 'object.spec.replicas == 3'", true),
        (
            "when: 'object.spec.replicas > 3 || object.spec.list.exists(x, x == 2)'",
            true,
        ),
        ("when: \"object.metadata.name.startsWith('w')\"", true),
        ("when: \"object.metadata.name.matches('^x')\"", false),
        ("when: 'has(object.spec.absent)'", false),
        ("names: [x], when: 'object.spec.absent'", false),
    ] {
        let dropped = |body: &str| {
            let rules = Rules::parse(&rules(&[body])).unwrap_or_else(|error| panic!("{error}"));
            become_of(&rules, &object, WIDGETS)["droppedBy"] == "a"
        };
        let whole = "match: {apiGroups: [example.com]";
        assert_eq!(
            dropped(&format!("{whole}, {condition}}}, drop: true")),
            fits,
            "{condition}"
        );
        assert_eq!(
            dropped(&format!("{whole}}}, not: [{{{condition}}}], drop: true")),
            // A `when` that fails keeps its hands off, also in a `not`; cheap conditions win.
            !fits,
            "not {condition}"
        );
    }
}

#[test]
fn an_expression_that_fails_drops_and_prunes_nothing_and_is_counted() {
    for when in ["object.spec.absent == 1", "object.spec.x", "'text'", "1"] {
        let text = rules(&[
            &format!("match: {{when: \"{when}\"}}, drop: true"),
            &format!("match: {{when: \"{when}\"}}, prune: [spec.x]"),
            &format!("not: [{{when: \"{when}\"}}], drop: true"),
            &format!("match: {{when: \"{when}\"}}, redact: [{{path: spec.token}}]"),
            "match: {apiGroups: [example.com]}, drop: true",
            &format!("match: {{when: \"{when}\"}}, keep: true"),
        ]);
        let rules = assembled(&text);
        let result = become_of(&rules, &widget(&json!({"x": 1, "token": "t"})), WIDGETS);
        assert_eq!(result["spec"]["x"], 1, "{when}: {result}");
        let token = result["spec"]["token"].as_str().unwrap();
        assert!(is_redacted(token), "{when}: {token}");
        let undecided = rules.undecided();
        let names: Vec<_> = undecided.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "f"], "{when}");
        assert!(undecided.iter().all(|(_, objects)| *objects == 1));
    }
}

#[test]
fn an_expression_sees_which_keys_a_secret_has_and_not_their_values() {
    let object = secret(&json!({"token": "aHVudGVyMg=="}));
    for (when, fits) in [
        ("has(object.data.token)", true),
        ("object.data.token == ''", true),
        ("object.data.token.startsWith('aHV')", false),
        ("object.type == 'Opaque'", true),
    ] {
        let rules = assembled(&rules(&[&format!(
            "match: {{apiGroups: [''], resources: [secrets], when: \"{when}\"}}, drop: true"
        )]));
        let dropped = become_of(&rules, &object, "secrets")["droppedBy"] == "a";
        assert_eq!(dropped, fits, "{when}");
    }
}

#[test]
fn an_expression_that_cannot_be_or_costs_too_much_is_refused() {
    let deep = "(".repeat(1000) + "1" + &")".repeat(1000);
    let long = format!("object.a == '{}'", "x".repeat(2048));
    let three = "object.a.all(x, object.b.all(y, object.c.all(z, true)))";
    for (when, part) in [
        ("object.", "expected a CEL expression"),
        ("objct.spec.x == 1", "unknown variable 'objct'"),
        ("object.a.exists(x, y == 1)", "unknown variable 'y'"),
        (deep.as_str(), "expected a CEL expression"),
        (long.as_str(), "at most 2048 bytes"),
        (three, "at most 2 loops"),
    ] {
        let error = refused(&with_file(&rules(&[&format!(
            "match: {{when: \"{when}\"}}, drop: true"
        )])));
        assert!(error.contains(part), "{error}");
    }
    let two = "object.a.all(x, object.b.all(y, x == y)) && object.c.all(z, z == 1)";
    assembled(&rules(&[&format!(
        "match: {{when: \"{two}\"}}, drop: true"
    )]));
}

// --- precedence ----------------------------------------------------------------------------------

#[test]
fn the_last_rule_that_fits_says_whether_an_object_is_recorded() {
    let drop = "match: {names: [w]}, drop: true";
    let keep = "match: {namespaces: [shop]}, keep: true";
    for (bodies, dropped) in [
        (vec![drop], Some("a")),
        (vec![drop, keep], None),
        (vec![keep, drop], Some("b")),
        (vec![drop, keep, drop], Some("c")),
        (vec![drop, keep, drop, keep], None),
        // Of several in a row the first is named.
        (vec![drop, drop], Some("a")),
    ] {
        let rules = assembled(&rules(&bodies));
        let result = become_of(&rules, &widget(&json!({})), WIDGETS);
        let by = result.get("droppedBy").and_then(Value::as_str);
        assert_eq!(by, dropped, "{bodies:?}");
    }
    // The user's word comes after what is built in.
    let rules = assembled(&rules(&["match: {resources: [pods]}, keep: true"]));
    let result = become_of(&rules, &widget(&json!({"a": 1})), "pods");
    assert_eq!(result["spec"]["a"], 1);
}

#[test]
fn a_kept_part_of_a_pruned_field_stays() {
    let object = json!({
        "metadata": {"name": "w", "namespace": "shop", "annotations": {"a": "1", "b": "2"}},
        "spec": {"list": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}, "phase": "A"},
    });
    let filtered = |bodies: &[&str]| become_of(&assembled(&rules(bodies)), &object, WIDGETS);
    assert_eq!(
        filtered(&["keep: [status.loadBalancer.ingress]"])["status"],
        json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}})
    );
    assert_eq!(
        filtered(&["keep: ['status.loadBalancer.ingress[*].ip']"])["status"],
        json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}})
    );
    let both = ["keep: [status]", "prune: [status.phase]"];
    assert_eq!(filtered(&both)["status"].as_object().unwrap().len(), 1);
    let absent = ["keep: [status.absent]"];
    assert_eq!(filtered(&absent).get("status"), None);
    let through_lists = ["prune: [spec.list]", "keep: ['spec.list[name=y]']"];
    assert_eq!(
        filtered(&through_lists)["spec"],
        json!({"list": [{"name": "y", "v": 2}]})
    );
    let only = [
        "prune: [metadata.annotations]",
        "keep: [metadata.annotations.b]",
    ];
    assert_eq!(
        filtered(&only)["metadata"]["annotations"],
        json!({"b": "2"})
    );
    let reversed = [
        "keep: [metadata.annotations.b]",
        "prune: [metadata.annotations]",
    ];
    assert_eq!(filtered(&reversed)["metadata"].get("annotations"), None);
}

#[test]
fn a_keep_brings_back_no_secret() {
    let mut object = secret(&json!({"token": "aHVudGVyMmh1bnRlcjI="}));
    object["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "aHVudGVyMmh1bnRlcjI="});
    for body in [
        "keep: [data, metadata]",
        "keep: ['data[*]', 'metadata.annotations[*]']",
        "keep: [data.token, 'metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]']",
        "keep: true, prune: [metadata.labels]",
    ] {
        let rules = assembled(&rules(&[body]));
        let (value, _) = apply(&rules, &object);
        assert!(!value.to_string().contains("aHVudGVy"), "{body}: {value}");
        let shown = explain(&rules, &object);
        assert!(!shown.original.to_string().contains("aHVudGVy"), "{body}");
        assert!(!shown.result.to_string().contains("aHVudGVy"), "{body}");
    }
}

/// A rule of the model: order is the position, `true` keeps.
fn model_rules() -> impl Strategy<Value = Vec<(bool, Vec<&'static str>)>> {
    let step = proptest::sample::select(vec![".a", ".b", ".c", "[*]"]);
    let path = proptest::collection::vec(step, 1..4);
    proptest::collection::vec((any::<bool>(), path), 0..6)
}

/// Trees of maps and lists below `spec`, without empty ones: pruning leaves none either.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = (0..9).prop_map(Value::from);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let key = proptest::sample::select(vec!["a", "b", "c"]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(Value::Array),
            proptest::collection::btree_map(key, inner, 1..4)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

/// The naive model: for each scalar, go through the rules; the last whose path is a beginning of
/// the scalar's decides. Returns the scalars that stay.
fn model(rules: &[(bool, Vec<&str>)], value: &Value, at: &mut Vec<String>, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                at.push(format!(".{key}"));
                model(rules, below, at, out);
                at.pop();
            }
        }
        Value::Array(list) => {
            for below in list {
                at.push("[]".to_owned());
                model(rules, below, at, out);
                at.pop();
            }
        }
        scalar => {
            let covers = |path: &[&str]| {
                path.len() <= at.len()
                    && path
                        .iter()
                        .zip(at.iter())
                        .all(|(step, key)| *step == "[*]" || *step == key.as_str())
            };
            let last = rules.iter().rev().find(|(_, path)| covers(path));
            if last.is_none_or(|(keep, _)| *keep) {
                out.push(format!("{}={scalar}", at.concat()));
            }
        }
    }
}

proptest! {
    #[test]
    fn pruning_and_keeping_is_what_the_naive_model_says(said in model_rules(), spec in tree()) {
        let bodies: Vec<String> = said
            .iter()
            .map(|(keep, path)| {
                let action = if *keep { "keep" } else { "prune" };
                format!("{action}: ['spec{}']", path.concat())
            })
            .collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let rules = Rules::parse(&rules(&bodies)).unwrap();
        let result = become_of(&rules, &widget(&spec), WIDGETS);
        let mut expected = Vec::new();
        model(&said, &spec, &mut Vec::new(), &mut expected);
        let mut actual = Vec::new();
        if let Some(left) = result.get("spec") {
            model(&[], left, &mut Vec::new(), &mut actual);
        }
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn dropping_and_keeping_is_what_the_naive_model_says(
        said in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..7),
    ) {
        let body = |&(keep, fits, whole): &(bool, bool, bool)| {
            let action = if keep { "keep" } else { "drop" };
            let matches = match (fits, whole) {
                (true, true) => "apiGroups: [example.com]",
                (true, false) => "names: [w]",
                (false, true) => "apiGroups: [absent]",
                (false, false) => "names: [absent]",
            };
            format!("match: {{{matches}}}, {action}: true")
        };
        let bodies: Vec<String> = said.iter().map(body).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let set = Rules::parse(&rules(&bodies)).unwrap();
        let result = become_of(&set, &widget(&json!({"a": 1})), WIDGETS);
        let last = said.iter().rev().find(|(_, fits, _)| *fits);
        let dropped = last.is_some_and(|(keep, _, _)| !keep);
        prop_assert_eq!(result.get("droppedBy").is_some(), dropped);
        // What the server is asked to leave out is dropped, never saved by a later rule.
        if let TypePlan::Watched(plan) = set.plan(&type_named(WIDGETS)) {
            let asked = plan.field_selector.unwrap_or_default();
            let sends = asked.split(',').all(|one| match one.split_once('=') {
                Some(("metadata.name!", name)) => name != "w",
                Some(("metadata.name", name)) => name == "w",
                _ => one.is_empty(),
            });
            prop_assert!(sends || dropped, "{} for {:?}", asked, said);
        }
    }
}

#[test]
fn the_server_is_not_asked_to_leave_out_what_a_rule_may_save() {
    let asked = |bodies: &[&str]| {
        let plan = watched(&Rules::parse(&rules(bodies)).unwrap(), WIDGETS);
        plan.label_selector.or(plan.field_selector)
    };
    let drop = "match: {names: [x]}, drop: true";
    assert_eq!(asked(&[drop]).unwrap(), "metadata.name!=x");
    assert_eq!(asked(&[drop, "match: {labels: k}, keep: true"]), None);
    let late = ["match: {labels: k}, keep: true", drop];
    assert_eq!(asked(&late).unwrap(), "metadata.name!=x");
    // A rule for other types changes nothing.
    let other = [drop, "match: {resources: [gadgets]}, keep: true"];
    assert_eq!(asked(&other).unwrap(), "metadata.name!=x");
    for (body, expected) in [
        (
            "not: [{namespaces: [prod]}], drop: true",
            "metadata.namespace=prod",
        ),
        ("not: [{names: [x]}], drop: true", "metadata.name=x"),
        ("not: [{labels: 'a,b in (c)'}], drop: true", "a,b in (c)"),
    ] {
        assert_eq!(asked(&[body]).unwrap(), expected);
    }
    for body in [
        "not: [{namespaces: [prod, test]}], drop: true",
        "not: [{namespaces: [prod]}, {names: [x]}], drop: true",
        "match: {labels: 'a > 1'}, drop: true",
        "not: [{namespaces: ['prod-*']}], drop: true",
    ] {
        assert_eq!(asked(&[body]), None, "{body}");
    }
    let saved = [
        "match: {apiGroups: [example.com]}, drop: true",
        "match: {namespaces: [prod]}, keep: true",
    ];
    assert_eq!(asked(&saved).unwrap(), "metadata.namespace=prod");
    let twice = [saved[0], saved[1], "match: {names: [x]}, keep: true"];
    assert_eq!(asked(&twice), None);
}

#[test]
fn a_group_of_which_a_rule_saves_something_is_not_dropped_whole() {
    let drop = "match: {apiGroups: [example.com]}, drop: true";
    let keep = "match: {apiGroups: ['*.com'], resources: [widgets]}, keep: true";
    for (bodies, dropped) in [
        (vec![drop], true),
        (vec![drop, keep], false),
        (vec![keep, drop], true),
    ] {
        let rules = Rules::parse(&rules(&bodies)).unwrap();
        assert_eq!(rules.drops_group("example.com").is_some(), dropped);
    }
}

// --- actions -------------------------------------------------------------------------------------

#[test]
fn the_mode_of_the_later_rule_says_how_a_value_is_written() {
    let object = secret(&json!({"ca.crt": "Q0E=", "token": "aHVudGVyMg=="}));
    let with = |mode, allow_plaintext, body: &str| {
        let mut selection = with_file(&rules(&[body]));
        selection.secrets = mode;
        selection.allow_plaintext = allow_plaintext;
        apply(&Rules::assemble(&selection).unwrap(), &object)
    };
    let nothing = "prune: [none]";
    let keep = |digested, seal| Verdict::Keep { digested, seal };

    let (value, verdict) = with(SecretMode::Omit, false, nothing);
    assert_eq!(verdict, keep(0, false));
    assert_eq!(
        value["data"],
        json!({"ca.crt": "hmac:omitted", "token": "hmac:omitted"})
    );
    let (value, verdict) = with(SecretMode::Sops, false, nothing);
    assert_eq!(verdict, keep(0, true));
    assert_eq!(value["data"], object["data"]);
    let (value, verdict) = with(SecretMode::Plain, true, nothing);
    assert_eq!(verdict, keep(0, false));
    assert_eq!(value["data"], object["data"]);

    let crt = "match: {resources: [secrets]}, redact: [{path: 'data[\"ca.crt\"]', mode: plain}]";
    let (value, verdict) = with(SecretMode::Digest, true, crt);
    assert_eq!(verdict, keep(1, false));
    assert_eq!(value["data"]["ca.crt"], "Q0E=");
    assert!(is_redacted(value["data"]["token"].as_str().unwrap()));
    let token = "match: {resources: [secrets]}, redact: [{path: data.token, mode: omit}]";
    let (value, verdict) = with(SecretMode::Sops, false, token);
    assert_eq!(verdict, keep(0, true));
    assert_eq!(
        value["data"],
        json!({"ca.crt": "Q0E=", "token": "hmac:omitted"})
    );

    let empty = json!({"apiVersion": "v1", "kind": "Secret", "data": null,
        "metadata": {"name": "s", "namespace": "shop"}});
    let sops = Selection {
        secrets: SecretMode::Sops,
        ..Selection::default()
    };
    let (_, verdict) = apply(&Rules::assemble(&sops).unwrap(), &empty);
    assert_eq!(verdict, keep(0, false));
}

#[test]
fn every_replacement_is_no_base64_and_stays_as_it_is() {
    let key = digest_key();
    let large = "A".repeat(70_000);
    let text = rules(&[
        "match: {resources: [widgets]}, redact: [{path: spec.a}, {path: spec.b, mode: omit}]",
        "match: {resources: [widgets]}, digestLarge: {paths: [spec.c]}",
    ]);
    let rules = assembled(&text);
    let object = widget(&json!({"a": "aHVudGVyMg==", "b": 5, "c": large}));
    let once = become_of(&rules, &object, WIDGETS);
    for (_, value) in once["spec"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        assert!(is_redacted(value) && value.contains(':'), "{value}");
    }
    assert!(
        once["spec"]["c"]
            .as_str()
            .unwrap()
            .ends_with(" (70000 bytes)")
    );
    assert_eq!(become_of(&rules, &once, WIDGETS), once);
    let whole = key.document("a.yaml", b"text");
    assert!(is_redacted(&whole));
    assert_ne!(whole, key.document("b.yaml", b"text"));
    assert_ne!(whole, key.document("a.yaml", b"texts"));
    for text in ["hmac:", "hmac:0123", "hmac:omitted ", "omitted"] {
        assert!(!is_redacted(text), "{text}");
    }
}

#[test]
fn large_values_become_digests_if_they_look_packed() {
    let on = Selection {
        presets: vec![("large-values".to_owned(), true)],
        ..Selection::default()
    };
    let rules = Rules::assemble(&on).unwrap();
    let packed = "QUJD".repeat(20_000);
    let lines = "QUJDQUJD\n".repeat(9_000);
    let prose = "a line of text\n".repeat(9_000);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "shop"},
        "binaryData": {"big": packed, "small": "QUJD"},
        "data": {"lines": lines, "prose": prose, "control": "\u{1}".to_owned() + &prose}});
    let (value, verdict) = apply(&rules, &object);
    assert_eq!(
        verdict,
        Verdict::Keep {
            digested: 3,
            seal: false
        }
    );
    assert_eq!(value["data"]["prose"], prose);
    assert_eq!(value["binaryData"]["small"], "QUJD");
    for digest in [
        &value["binaryData"]["big"],
        &value["data"]["lines"],
        &value["data"]["control"],
    ] {
        assert!(is_redacted(digest.as_str().unwrap()));
    }
    // Off by default.
    assert_eq!(apply(&assembled("rules: []"), &object).0, object);
    let any = self::rules(&["digestLarge: {paths: ['data[*]'], above: 9, text: any}"]);
    let (value, _) = apply(&assembled(&any), &object);
    assert!(is_redacted(value["data"]["prose"].as_str().unwrap()));
}

#[test]
fn a_list_that_is_a_set_is_put_in_order() {
    let rules = assembled(&rules(&[
        "match: {resources: [widgets]}, sort: [{path: spec.set}, {path: 'spec.items[*].by', by: [kind, name]}]",
    ]));
    let sorted = |set: Value, by: Value| {
        let object = widget(&json!({"set": set, "items": [{"by": by}]}));
        become_of(&rules, &object, WIDGETS)["spec"].clone()
    };
    let ones =
        json!([{"kind": "b", "x": 1}, {"name": "z", "kind": "a"}, {"name": "y", "kind": "a"}]);
    let others =
        json!([{"kind": "a", "name": "y"}, {"x": 1, "kind": "b"}, {"kind": "a", "name": "z"}]);
    let expected = json!({"set": [null, 1, 1.5, 2, "a", "b", [1], {"a": 1}],
        "items": [{"by": [{"kind": "a", "name": "y"}, {"kind": "a", "name": "z"}, {"kind": "b", "x": 1}]}]});
    let set = json!(["b", 2, {"a": 1}, null, "a", 1.5, [1], 1]);
    assert_eq!(sorted(set.clone(), ones), expected);
    let mut reversed = set.as_array().unwrap().clone();
    reversed.reverse();
    assert_eq!(sorted(json!(reversed), others), expected);
}

// --- assembly ------------------------------------------------------------------------------------

#[test]
fn a_broken_file_says_where_in_which_rule_and_what_was_expected() {
    let file = |rest: &str| {
        format!(
            "rules:\n  - name: good\n    reason: r\n    drop: true\n    match: {{names: [x]}}\n  - name: bad\n    reason: r\n    {rest}\n"
        )
    };
    for (rest, at, parts) in [
        (
            "prune: [spec.a, 'spec.']",
            "own.yaml:8:21: rule 'bad': ",
            &["column 6: expected a field name"][..],
        ),
        (
            "dorp: true",
            "own.yaml:8:5: rule 'bad': ",
            &["dorp", "did you mean 'drop'?"],
        ),
        (
            "match: {resuorces: [a]}",
            "own.yaml:8:13: rule 'bad': ",
            &["did you mean 'resources'?"],
        ),
        (
            "match: {names: ['[']}",
            "own.yaml:8:21: rule 'bad': ",
            &["["],
        ),
        (
            "match: {labels: 'a in b'}",
            "own.yaml:8:21: rule 'bad': ",
            &["expected"],
        ),
        (
            "match: {labels: '-a'}",
            "own.yaml:8:21: rule 'bad': ",
            &["a label's key"],
        ),
        (
            "match: {when: 'object..x'}",
            "own.yaml:8:19: rule 'bad': ",
            &["CEL"],
        ),
        (
            "redact: [{path: a, mode: plian}]",
            "own.yaml:8:30: rule 'bad': ",
            &["did you mean 'plain'?"],
        ),
        (
            "redact: [{path: a, mode: plain}]",
            "own.yaml:6:5: rule 'bad': ",
            &["allowed by its flag"],
        ),
        (
            "redact: [{path: data.a, mode: sops}]",
            "own.yaml:6:5: rule 'bad': ",
            &["expected 'data[*]'", "'data.a'"],
        ),
        (
            "drop: true\n    keep: true",
            "own.yaml:6:5: rule 'bad': ",
            &["'drop' stands alone"],
        ),
        (
            "keep: false",
            "own.yaml:6:5: rule 'bad': ",
            &["expected actions"],
        ),
        (
            "keep: 7",
            "own.yaml:8:11: rule 'bad': ",
            &["true or a list of field paths"],
        ),
        ("  x: [", "own.yaml:", &["mapping"]),
    ] {
        let error = refused(&with_file(&file(rest)));
        assert!(error.starts_with(at), "{rest}: {error}");
        for part in parts {
            assert!(error.contains(part), "{rest}: {error}");
        }
    }
    for (text, expected) in [
        (
            "rulez: []",
            "own.yaml:1:1: unknown field `rulez`, expected `rules`; did you mean 'rules'?",
        ),
        (
            "preset: {}\nrules: []",
            "own.yaml:1:1: unknown field `preset`, expected `rules`",
        ),
        (
            "rules: []\nrules: []",
            "own.yaml:1:1: 'rules' stands here twice",
        ),
    ] {
        assert_eq!(refused(&with_file(text)), expected);
    }
    let huge = "#".repeat((1 << 20) + 1);
    assert!(refused(&with_file(&huge)).contains("at most 1048576 bytes"));
}

#[test]
fn a_rule_replaces_its_namesake_but_for_those_that_keep_values_out_of_git() {
    let text = "rules: [{name: pods, reason: mine, match: {names: [never]}, drop: true}]";
    let rules = assembled(text);
    let pods: Vec<_> = rules.iter().filter(|r| r.name.as_str() == "pods").collect();
    assert_eq!((pods.len(), pods[0].reason), (1, "mine"));
    assert_eq!(
        become_of(&rules, &widget(&json!({"a": 1})), "pods")["spec"]["a"],
        1
    );
    // Between two files the later one wins.
    let mut selection = with_file(text);
    selection.files.push(UserFile {
        name: "later.yaml".to_owned(),
        text: text.replace("mine", "later"),
    });
    let rules = Rules::assemble(&selection).unwrap();
    let name = RuleName::from("pods".to_owned());
    assert_eq!(rules.get(&name).unwrap().reason, "later");
    for name in ["secret-values", "applied-copies"] {
        let error = refused(&with_file(&text.replace("pods", name)));
        assert!(error.contains("keeps values out of Git"), "{error}");
    }
}

#[test]
fn plaintext_needs_its_own_word() {
    let selection = Selection {
        secrets: SecretMode::Plain,
        ..Selection::default()
    };
    assert!(refused(&selection).contains("mode 'plain'"));
}

#[test]
fn presets_are_read_switched_and_suggested() {
    let names: BTreeSet<_> = presets().iter().map(|preset| &preset.name).collect();
    assert_eq!(names.len(), presets().len(), "two presets of one name");
    let all = Selection {
        presets: presets().iter().map(|p| (p.name.clone(), true)).collect(),
        ..Selection::default()
    };
    let rules = Rules::assemble(&all).unwrap();
    let mut seen = BTreeSet::new();
    for rule in rules.iter() {
        assert!(seen.insert(rule.name), "two rules are named {}", rule.name);
        assert!(!rule.reason.is_empty(), "{}", rule.name);
        assert!(rule.see.starts_with("https://"), "{}", rule.name);
    }
    let mut count = core().iter().count();
    for preset in presets() {
        assert!(!preset.title.is_empty());
        let bare = preset.text.split_once("\nrules:").unwrap().1;
        count += Rules::parse(&format!("rules:{bare}"))
            .unwrap()
            .iter()
            .count();
    }
    assert_eq!(count, seen.len(), "a rule replaced another");

    let switched = |on: &[bool]| {
        let selection = Selection {
            presets: on
                .iter()
                .map(|&on| ("large-values".to_owned(), on))
                .collect(),
            ..Selection::default()
        };
        let rules = Rules::assemble(&selection).unwrap();
        rules
            .iter()
            .any(|rule| rule.name.as_str() == "large-values")
    };
    assert!(!switched(&[]) && switched(&[true]) && !switched(&[true, false]));

    for (name, message) in [
        (
            "large-value",
            "no preset is named 'large-value', did you mean 'large-values'?",
        ),
        ("entirely-else", "no preset is named 'entirely-else'"),
    ] {
        let selection = Selection {
            presets: vec![(name.to_owned(), false)],
            ..Selection::default()
        };
        assert_eq!(refused(&selection), message);
    }
}

#[test]
fn the_fingerprint_is_another_for_every_switch() {
    let base = Selection::default();
    let mut prints = BTreeSet::new();
    let mut all = vec![
        base.clone(),
        with_file("rules: []"),
        with_file("rules: [] "),
    ];
    for secrets in [SecretMode::Omit, SecretMode::Sops] {
        all.push(Selection {
            secrets,
            ..base.clone()
        });
    }
    all.push(Selection {
        allow_plaintext: true,
        ..base.clone()
    });
    all.push(Selection {
        presets: vec![("large-values".to_owned(), true)],
        ..base.clone()
    });
    for selection in &all {
        prints.insert(Rules::assemble(selection).unwrap().fingerprint().to_owned());
    }
    assert_eq!(prints.len(), all.len());
    let again = Rules::assemble(&base).unwrap();
    assert!(prints.contains(again.fingerprint()));
}

#[test]
fn paths_that_nothing_has_are_named_for_the_users_rules_alone() {
    let rules = assembled(&rules(&[
        "prune: [spec.a, spec.typo], keep: ['status.x[*]']",
        "redact: [{path: spec.token}], sort: [{path: spec.set}]",
        "match: {names: [other]}, prune: [spec.b]",
    ]));
    let unmatched = || {
        let named = rules.unmatched();
        let text = |(rule, path): &(RuleName, String)| format!("{rule} {path}");
        named.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(unmatched().len(), 6);
    let object = json!({"metadata": {"name": "w", "namespace": "shop"}, "status": {"x": [1]},
        "spec": {"a": 1, "b": 2, "token": "t", "set": [1]}});
    become_of(&rules, &object, WIDGETS);
    assert_eq!(unmatched(), ["a spec.typo", "c spec.b"]);
}

// --- explanations --------------------------------------------------------------------------------

fn key(keys: &[&str]) -> Vec<Step> {
    keys.iter().map(|key| Step::Key((*key).into())).collect()
}

#[test]
fn an_explanation_names_place_action_and_rule() {
    let rules = assembled(&rules(&[
        "keep: [status.kept]",
        "prune: ['spec.list[name=x]', spec.deep.only]",
        "sort: [{path: spec.set}]",
        "match: {resources: [configmaps]}, redact: [{path: 'spec.list[name=z]'}]",
    ]));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "shop", "uid": "1"},
        "spec": {"list": [{"name": "x"}, {"name": "z", "v": "hunter2hunter2"}], "set": [2, 1],
            "deep": {"only": 1}},
        "status": {"kept": 1, "gone": 2}});
    let explanation = explain(&rules, &object);
    let at = |path: Vec<Step>, action, rule: &str| Hit {
        path,
        action,
        rule: RuleName::from(rule.to_owned()),
    };
    let mut in_list = key(&["spec", "list"]);
    in_list.push(Step::Index(0));
    let mut redacted = key(&["spec", "list"]);
    redacted.push(Step::Index(1));
    assert_eq!(
        explanation.hits,
        [
            at(key(&["metadata", "uid"]), Action::Pruned, "server-metadata"),
            at(key(&["spec", "deep"]), Action::Emptied, "b"),
            at(key(&["spec", "deep", "only"]), Action::Pruned, "b"),
            at(in_list, Action::Pruned, "b"),
            at(redacted, Action::Digested, "d"),
            at(key(&["spec", "set"]), Action::Sorted, "c"),
            at(key(&["status", "gone"]), Action::Pruned, "status"),
            at(key(&["status", "kept"]), Action::Kept, "a"),
        ]
    );
    assert_eq!(explanation.original["spec"]["list"][1], "(hidden)");
    assert_eq!(explanation.original["metadata"]["uid"], "1");
    assert_eq!(explanation.result, apply(&rules, &object).0);
    assert_eq!(explanation.dropped_by, None);

    let rules = assembled(&self::rules(&[
        "match: {names: [c]}, drop: true",
        "match: {labels: '!x'}, keep: true",
    ]));
    let explanation = explain(&rules, &object);
    assert_eq!(explanation.kept_by.unwrap().as_str(), "b");
    let dropped = explain(
        &assembled(&self::rules(&["match: {names: [c]}, drop: true"])),
        &object,
    );
    assert_eq!(dropped.dropped_by.unwrap().as_str(), "a");
}

#[test]
fn no_explanation_shows_a_secret_in_whatever_mode_and_whatever_else_removes_it() {
    let mut object = secret(&json!({"a": "aHVudGVyMmh1bnRlcjI=", "b": "aHVudGVyMmh1bnRlcjI="}));
    object["stringData"] = json!({"c": "hunter2hunter2"});
    object["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "hunter2hunter2",
        "kapp.k14s.io/original": "aHVudGVyMmh1bnRlcjI="});
    for secrets in [SecretMode::Digest, SecretMode::Omit, SecretMode::Sops] {
        for body in [
            "prune: [none]",
            "prune: [data.a, metadata.annotations]",
            "prune: [data, metadata]",
            "match: {names: [s]}, drop: true",
            "match: {when: 'object.absent'}, redact: [{path: data.a, mode: omit}]",
        ] {
            let mut selection = with_file(&rules(&[body]));
            selection.secrets = secrets;
            let shown = explain(&Rules::assemble(&selection).unwrap(), &object);
            for value in [&shown.original, &shown.result] {
                let text = value.to_string();
                let leaks = text.contains("hunter2") || text.contains("aHVudGVy");
                assert!(!leaks, "{secrets:?}, {body}: {text}");
            }
        }
    }
}

#[test]
fn an_explanation_of_every_case_is_what_is_recorded() {
    for (case, object) in cases() {
        let api_type = api_type(&object);
        let TypePlan::Watched(type_rules) = core().plan(&api_type) else {
            continue;
        };
        let raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
        let key = raw.key(&api_type).unwrap();
        let context = Context {
            digest_key: &digest_key(),
            autoscaled: &Autoscaled::default(),
        };
        let explanation = type_rules.explain(&raw, &key, &context);
        let mut applied = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
        match type_rules.apply(&mut applied, &key, &context) {
            Verdict::Drop { rule } => assert_eq!(explanation.dropped_by, Some(rule)),
            Verdict::Keep { .. } => {
                assert_eq!(explanation.result, applied.value, "{}", case.display());
                let changed = explanation.original != explanation.result;
                assert_eq!(changed, !explanation.hits.is_empty(), "{}", case.display());
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_file_of_rules_or_an_error(text in "[ -~\n]{0,80}") {
        if let Err(error) = Rules::parse(&text) {
            prop_assert!(error.to_string().starts_with("the rules"));
        }
    }

    /// Lines of a real rule, one of them changed.
    #[test]
    fn a_rule_with_one_line_broken_is_read_or_refused_in_its_place(
        line in 0usize..12, text in "[ -~]{0,30}",
    ) {
        let mut lines = vec!["rules:", "  - name: a", "    reason: r", "    match:",
            "      names: ['x*']", "      labels: a in (b)", "      annotations: {k: null}",
            "      when: object.spec.x == 1", "    prune:", "      - spec.a", "      - spec.b",
            "    keep: [spec.c]"];
        lines[line] = &text;
        if let Err(RulesError::File { line, .. }) = Rules::parse(&lines.join("\n")) {
            prop_assert!(line <= 13);
        }
    }
}

#[test]
fn a_path_of_a_thousand_steps_is_refused() {
    let deep = format!("a{}", ".a".repeat(1000));
    let error = FieldPath::parse(&deep).unwrap_err();
    assert!(error.expected.contains("at most 64 steps"));
    assert!(error.path.chars().count() < 130);
    assert!(FieldPath::parse(&format!("a{}", ".a".repeat(63))).is_ok());
}
