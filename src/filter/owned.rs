//! Masks, and owners of what the filter left, of real and made-up objects.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::golden::{api_type, cases, core, digest_key};
use super::language::{WIDGETS, assembled, rules};
use super::tests::type_named;
use super::*;
use crate::object::{RawObject, Step};
use crate::owners::{Mask, MaskKind, Shape, Times};

/// The recorded object, its masks, and its shape as the filter's walk tells it; `None` where it is
/// dropped. Checks that a look at the two objects gives the same shape.
fn owned(
    rules: &TypeRules,
    object: &Value,
    of: &std::sync::Arc<crate::object::ApiType>,
    autoscaled: bool,
) -> Option<(Value, Vec<Mask>, Shape, Times)> {
    let text = object.to_string();
    let read = || RawObject::parse(text.as_bytes(), of).unwrap();
    let key = read().key(of).unwrap();
    let target = ScaleTarget {
        group: of.group.clone(),
        kind: of.kind.clone(),
        namespace: key.namespace.clone().unwrap_or_default(),
        name: key.name.clone(),
    };
    let autoscaled: Autoscaled = autoscaled.then_some(target).into_iter().collect();
    let digest_key = digest_key();
    let context = Context {
        digest_key: &digest_key,
        autoscaled: &autoscaled,
    };
    let (mut plain, mut masked, mut whole) = (read(), read(), read());
    let live = plain.value.clone();
    let verdict = rules.apply(&mut plain, &key, &context);
    let (second, masks) = rules.apply_masked(&mut masked, &key, &context);
    let (third, shape) = rules.apply_with_owners(&mut whole, &key, &context);
    assert_eq!(verdict, second);
    assert_eq!(verdict, third);
    if let Verdict::Drop { .. } = verdict {
        assert!(shape.is_none());
        return None;
    }
    assert_eq!(plain.value, masked.value);
    assert_eq!(plain.value, whole.value);
    assert_eq!(
        plain.managed_fields.as_ref().map(|raw| raw.get()),
        whole.managed_fields.as_ref().map(|raw| raw.get()),
        "they are read again later"
    );
    let (shape, times) = shape.unwrap();
    let applied = live.pointer("/metadata/annotations");
    let applied = applied.and_then(|all| all.get(crate::owners::LAST_APPLIED)?.as_str());
    let fields = plain.managed_fields.as_deref();
    let (seen, _) = Shape::of(fields, applied, &live, &plain.value, masks.clone());
    assert_eq!(seen, shape);
    Some((plain.value, masks, shape, times))
}

fn watched(rules: &Rules, of: &crate::object::ApiType) -> TypeRules {
    match rules.plan(of) {
        TypePlan::Watched(rules) => *rules,
        TypePlan::Dropped { rule } => panic!("dropped by {rule}"),
    }
}

/// `p spec/replicas autoscaled-replicas`, a line for each.
fn lines(masks: &[Mask]) -> String {
    let mut out = String::new();
    for mask in masks {
        out.push(match mask.kind {
            MaskKind::Pruned => 'p',
            MaskKind::Allocated => 'a',
            MaskKind::Redacted => 'r',
        });
        for step in &mask.path {
            let _ = match step {
                Step::Key(key) => write!(out, " {key}"),
                Step::Index(index) => write!(out, " {index}"),
            };
        }
        let _ = writeln!(out, ": {}", mask.rule);
    }
    out
}

#[test]
fn the_golden_objects_have_masks_and_shapes_and_no_status_in_them() {
    let mut seen = BTreeSet::new();
    for (_, object) in cases() {
        let of = api_type(&object);
        let TypePlan::Watched(rules) = core().plan(&of) else {
            continue;
        };
        let Some((recorded, masks, shape, _)) = owned(&rules, &object, &of, false) else {
            continue;
        };
        let status = Step::Key("status".into());
        for mask in &masks {
            assert_ne!(mask.path.first(), Some(&status), "known to everyone");
            let place = mask
                .path
                .iter()
                .try_fold(&recorded, |value, step| match step {
                    Step::Key(key) => value.get(&**key),
                    Step::Index(index) => value.get(index),
                });
            let is_there = place.is_some();
            assert_eq!(is_there, mask.kind == MaskKind::Redacted, "{mask:?}");
            seen.insert(mask.kind);
        }
        assert_eq!(Shape::decode(&shape.encode()), Some(shape));
    }
    assert_eq!(seen.len(), 3, "every kind of mask was met: {seen:?}");
}

#[test]
fn masks_name_what_was_taken_away_at_recorded_positions() {
    let own = rules(&[
        "match: {apiGroups: [example.com]}, prune: ['spec.list[name=x]', 'spec.list[*].gone', 'spec.set[=b]']",
        "match: {apiGroups: [example.com]}, sort: [{path: spec.list, by: [name]}]",
        "match: {apiGroups: [example.com]}, redact: [{path: 'spec.set[*]'}]",
    ]);
    let rules = assembled(&own);
    let of = type_named(WIDGETS);
    let object = json!({"metadata": {"name": "w", "namespace": "shop", "uid": "u",
            "managedFields": [
                {"manager": "one", "operation": "Update", "apiVersion": "example.com/v1", "fieldsV1":
                    {"f:spec": {"f:set": {"v:\"a\"": {}}, "f:list": {"k:{\"name\":\"z\"}": {}}}}},
                {"manager": "two", "operation": "Update", "apiVersion": "example.com/v1", "fieldsV1":
                    {"f:spec": {"f:set": {"v:\"c\"": {}, "v:\"b\"": {}},
                        "f:list": {"k:{\"name\":\"a\"}": {}, "k:{\"name\":\"x\"}": {}}}}}]},
        "spec": {"set": ["a", "b", "c"], "list": [{"name": "z", "gone": 1}, {"name": "x"},
            {"name": "m"}, {"name": "a", "gone": 2}]}, "status": {"beat": 1}});
    let (recorded, masks, shape, _) = owned(&watched(&rules, &of), &object, &of, false).unwrap();
    assert_eq!(
        recorded["spec"]["list"],
        json!([{"name": "a"}, {"name": "m"}, {"name": "z"}])
    );
    assert_eq!(
        lines(&masks),
        "p spec list 0 gone: a\np spec list 2 gone: a\np spec list 3: a\n\
         r spec set 0: c\nr spec set 1: c\np spec set 2: a\n"
    );
    let who = |list: &str, index: usize| {
        let path = [
            Step::Key("spec".into()),
            Step::Key(list.into()),
            Step::Index(index),
        ];
        let writers = shape.owners(&path).writers;
        let names = writers.iter().map(|&at| &*shape.writers[at].manager);
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!([0, 1, 2].map(|at| who("list", at)), ["two", "", "one"]);
    assert_eq!(
        [0, 1].map(|at| who("set", at)),
        ["one", "two"],
        "redacted, and found"
    );
    let text = String::from_utf8(shape.encode()).unwrap();
    assert!(!text.contains("\"b\"") && !text.contains("\"z\""), "{text}");
}

#[test]
fn what_an_autoscaler_sets_changes_no_shape() {
    let of = std::sync::Arc::new(crate::object::ApiType {
        group: "apps".into(),
        version: "v1".into(),
        resource: "deployments".into(),
        kind: "Deployment".into(),
        namespaced: true,
    });
    let rules = watched(core(), &of);
    let object = |replicas: u32, time: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web",
            "namespace": "shop", "annotations": {"deployment.kubernetes.io/revision": time},
            "managedFields": [
                {"manager": "helm", "operation": "Update", "apiVersion": "apps/v1",
                    "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                {"manager": "kube-controller-manager", "operation": "Update",
                    "subresource": "scale", "apiVersion": "apps/v1", "time": time,
                    "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "kube-controller-manager", "operation": "Update",
                    "subresource": "status", "apiVersion": "apps/v1", "time": time, "fieldsV1":
                        {"f:metadata": {"f:annotations": {".": {},
                            "f:deployment.kubernetes.io/revision": {}}},
                         "f:status": {"f:replicas": {}}}}]},
            "spec": {"replicas": replicas, "paused": false}, "status": {"replicas": replicas}})
    };
    let bytes = |object: &Value, autoscaled: bool| {
        let (_, _, shape, times) = owned(&rules, object, &of, autoscaled).unwrap();
        (shape.encode(), times.encode())
    };
    let before = bytes(&object(1, "2026-01-01T00:00:00Z"), true);
    assert_eq!(bytes(&object(7, "2026-01-02T00:00:00Z"), true), before);
    let text = String::from_utf8(before.0.clone()).unwrap();
    assert!(
        text.contains("autoscaled-replicas") && !text.contains("scale\""),
        "{text}"
    );
    // Without an autoscaler it is recorded, and has a writer.
    assert_ne!(bytes(&object(1, "2026-01-01T00:00:00Z"), false).0, before.0);
}
