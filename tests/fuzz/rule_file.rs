//! Rule files: a file is a set of rules or an error, and rules that are read fit any type.

use std::sync::Arc;

use serde_json::json;
use strandline::filter::{Autoscaled, Context, DigestKey, Rules, RulesError, TypePlan};
use strandline::object::{ApiType, RawObject};

use crate::{SMOKE, sentence};

const HEADER: &str = "rules:\n- name: n\n  reason: r\n  see: s\n";

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "- name: a\n  reason: r\n  see: s\n  drop: true\n", "- name: b\n  reason: r\n  see: s\n  prune: [a]\n",
    "- name: c\n  reason: r\n  see: s\n", "  drop: true\n", "  drop: true\n", "  keep: true\n",
    "  prune: [a, spec.x, metadata]\n", "  prune:\n  - metadata.annotations[\"a.b/c\"]\n", "  prune: ['[*]']\n",
    "  prune: [spec.containers[name=x].name]\n", "  keep: [status.x]\n", "  keep: [spec.x]\n",
    "  redact:\n  - path: data[*]\n    encoding: base64\n", "  redact:\n  - path: spec.x\n",
    "  redact:\n  - path: metadata.name\n", "    mode: sops\n", "    mode: plain\n", "    mode: omit\n",
    "  pruneUnlessAskedFor:\n  - path: spec.x\n    keep: [None]\n",
    "  pruneWrittenBy:\n    managers: [m]\n    paths: [a.b, data.k]\n", "  pruneWhileAutoscaled: [spec.replicas]\n",
    "  match: {apiGroups: ['']}\n", "  match: {resources: ['*s', '{a,b}']}\n", "  match: {namespaces: [x]}\n",
    "  match: {names: ['?', '[!a]']}\n", "  match: {type: [Opaque]}\n", "  match: {ownedByController: true}\n",
    "  match: {managedBy: [m]}\n", "  match: {labels: 'a in (b, c), !d, e!=f'}\n",
    "  match: {annotations: {a/b: '*', c: null}}\n", "  match: {ownedBy: [{apiGroup: '*', kind: K}]}\n",
    "  match: {when: 'object.a == 1'}\n", "  match: {when: 'has(object.metadata.labels)'}\n",
    "  match: {when: 'object.x[0].y * 9223372036854775807 / 0'}\n",
    "  match: {when: '[1].map(x, x)[5] == object'}\n", "  match: {when: 'object.data'}\n",
    "  match: {names: ['[a']}\n", "  match: {when: '(((((('}\n", "  not: [{names: [n]}]\n",
    "  not: [{resources: ['*']}, {labels: '!a'}]\n", "  not: [{when: 'object.metadata.name == \"n\"'}]\n",
    "preset: {name: p, title: t, default: on}\n", "  prune: [a..b]\n", "  pruen: [a]\n", "\n", "  - ",
    ": ", "&x ", "*x\n", "null\n", "é", "\0", "\t", "|\n", "\"",
];

/// Most words of one sentence.
const LONGEST: usize = 6;

/// The law.
fn holds(text: &str) {
    let rules = match Rules::parse(text) {
        Ok(rules) => rules,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if let RulesError::File { line, column, .. } = error {
                // 0 where the reader knows none; one more than there are: something is missing.
                assert!(line <= text.lines().count() + 1, "line {line}");
                assert!(column <= text.chars().count() + 1, "column {column}");
            }
            return;
        }
    };
    let again = Rules::parse(text).expect("what is read once is read twice");
    assert_eq!(rules.fingerprint(), again.fingerprint());
    let mut names: Vec<_> = rules.iter().map(|rule| rule.name.clone()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "two rules of one name");

    let key = DigestKey::from_bytes(&[7; 32]).expect("a key");
    let autoscaled = Autoscaled::default();
    for (api_type, json) in odd_objects() {
        let TypePlan::Watched(type_rules) = rules.plan(&api_type) else {
            continue;
        };
        assert!(
            rules.drops_group(&api_type.group).is_none(),
            "a group that is dropped whole and has a type that is watched"
        );
        let context = Context {
            digest_key: &key,
            autoscaled: &autoscaled,
        };
        let apply = || {
            let mut object = RawObject::parse(json.as_bytes(), &api_type).expect("an object");
            let key = object.key(&api_type).expect("a key");
            let verdict = type_rules.apply(&mut object, &key, &context);
            (verdict, object.value)
        };
        let (first, second) = (apply(), apply());
        assert!(first == second, "two answers for one object");
    }
}

/// Types and objects as no documentation shows them.
fn odd_objects() -> Vec<(Arc<ApiType>, String)> {
    let api_type = |group: &str, resource: &str, namespaced| {
        Arc::new(ApiType {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            kind: "K".into(),
            namespaced,
        })
    };
    let named = |namespace: Option<&str>| match namespace {
        Some(namespace) => json!({ "name": "n", "namespace": namespace, "labels": 7 }),
        None => json!({ "name": "n", "annotations": { "a/b": null }, "ownerReferences": {} }),
    };
    [
        (api_type("", "secrets", true), json!({ "data": "no map", "metadata": named(Some("x")), "type": 1 })),
        (api_type("", "", false), json!({ "a": { "b": [] }, "metadata": named(None) })),
        (api_type("ü.example", "🐚", false), json!({ "spec": [[{ "x": null }]], "metadata": named(None), "status": "s" })),
        (
            api_type("apps", "deployments", true),
            json!({
                "metadata": { "name": "n", "namespace": "x", "managedFields": [{ "manager": "m", "fieldsV1": 3 }] },
                "spec": { "replicas": {}, "containers": [{ "name": "x" }, 1, null], "x": { "y": "z" } }
            }),
        ),
        (
            api_type("", "configmaps", true),
            json!({
                "data": { "": "", "k": "v" }, "binaryData": [1],
                "metadata": {
                    "name": "n", "namespace": "", "managedFields": [{
                        "manager": "m", "operation": "Update", "fieldsType": "FieldsV1",
                        "fieldsV1": { "f:data": { "f:k": {} }, "f:a": { "f:b": {} } }
                    }]
                }
            }),
        ),
    ]
    .into_iter()
    // An empty namespace is none, which does not fit a namespaced type.
    .map(|(api_type, mut object)| {
        if api_type.namespaced {
            object["metadata"]["namespace"] = "x".into();
        }
        (api_type, object.to_string())
    })
    .collect()
}

#[test]
fn bytes() {
    bolero::check!()
        .with_iterations(SMOKE / 4)
        .for_each(|input: &[u8]| holds(&String::from_utf8_lossy(input)));
}

/// Words behind a sound beginning, or nearly none would be rules.
#[test]
fn words() {
    bolero::check!()
        .with_generator(sentence(WORDS, LONGEST))
        .with_iterations(SMOKE / 4)
        .for_each(|text: &String| holds(&format!("{HEADER}{text}")));
}
