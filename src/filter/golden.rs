//! Real objects of a 1.36 control plane through the core rules, each case as a list and as a
//! watch sends it.
//!
//! `golden/<case>/input.json` is the object as `get` returned it, `expected.json` what is left or
//! `{"droppedBy": rule, "whole": whether by its type}`. `STRANDLINE_UPDATE_GOLDEN=1` rewrites the
//! latter.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::*;
use crate::object::{ApiType, RawObject};

/// Kinds of the cases: resource and whether namespaced.
const KINDS: [(&str, &str, bool); 27] = [
    ("APIService", "apiservices", false),
    ("Certificate", "certificates", true),
    ("ClusterRole", "clusterroles", false),
    ("ConfigMap", "configmaps", true),
    ("CronJob", "cronjobs", true),
    (
        "CustomResourceDefinition",
        "customresourcedefinitions",
        false,
    ),
    ("DaemonSet", "daemonsets", true),
    ("Deployment", "deployments", true),
    ("EndpointSlice", "endpointslices", true),
    ("Endpoints", "endpoints", true),
    ("HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("Job", "jobs", true),
    ("Lease", "leases", true),
    ("Event", "events", true),
    ("Namespace", "namespaces", false),
    ("Node", "nodes", false),
    ("PersistentVolume", "persistentvolumes", false),
    ("PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("Pod", "pods", true),
    ("PodDisruptionBudget", "poddisruptionbudgets", true),
    ("ReplicaSet", "replicasets", true),
    ("Role", "roles", true),
    ("Secret", "secrets", true),
    ("Service", "services", true),
    ("ServiceAccount", "serviceaccounts", true),
    ("StatefulSet", "statefulsets", true),
    (
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
];

pub(super) fn api_type(object: &Value) -> Arc<ApiType> {
    let api_version = object["apiVersion"].as_str().unwrap();
    let kind = object["kind"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let &(_, resource, namespaced) = KINDS.iter().find(|(known, _, _)| *known == kind).unwrap();
    Arc::new(ApiType {
        group: group.into(),
        version: version.into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced,
    })
}

pub(super) fn digest_key() -> DigestKey {
    DigestKey::from_bytes(b"the key of all golden files").unwrap()
}

/// The built-in rules, read once.
pub(super) fn core() -> &'static Rules {
    static CORE: LazyLock<Rules> = LazyLock::new(Rules::core);
    &CORE
}

/// What the cases' autoscalers scale.
fn autoscaled() -> &'static Autoscaled {
    static AUTOSCALED: LazyLock<Autoscaled> = LazyLock::new(read_autoscaled);
    &AUTOSCALED
}

fn read_autoscaled() -> Autoscaled {
    cases()
        .iter()
        .filter_map(|(_, object)| {
            let api_type = api_type(object);
            let raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
            scale_target(&raw.key(&api_type).unwrap(), object)
        })
        .collect()
}

/// What becomes of `object`, with the names of the rules that took part.
pub(super) fn run(
    rules: &Rules,
    object: &Value,
    api_type: &Arc<ApiType>,
    hits: &mut BTreeSet<RuleName>,
) -> Value {
    let dropped = |rule: RuleName, whole: bool| json!({"droppedBy": rule.as_str(), "whole": whole});
    let type_rules = match rules.plan(api_type) {
        TypePlan::Dropped { rule } => {
            hits.insert(rule.clone());
            return dropped(rule, true);
        }
        TypePlan::Watched(type_rules) => type_rules,
    };
    let mut raw = RawObject::parse(object.to_string().as_bytes(), api_type).unwrap();
    let key = raw.key(api_type).unwrap();
    let context = Context {
        digest_key: &digest_key(),
        autoscaled: autoscaled(),
    };
    let verdict = type_rules.apply_observed(&mut raw, &key, &context, &mut |rule| {
        hits.insert(rule.clone());
    });
    match verdict {
        Verdict::Keep { .. } => raw.value,
        Verdict::Drop { rule } => {
            hits.insert(rule.clone());
            dropped(rule, false)
        }
    }
}

pub(super) fn cases() -> Vec<(PathBuf, Value)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/filter/golden"));
    let mut folders: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
        .into_iter()
        .map(|case| {
            let input = fs::read(case.join("input.json")).unwrap();
            (case, serde_json::from_slice(&input).unwrap())
        })
        .collect()
}

#[test]
fn cases_give_what_is_expected_as_list_items_and_as_events() {
    let update = std::env::var_os("STRANDLINE_UPDATE_GOLDEN").is_some();
    let rules = core();
    let mut wrong = Vec::new();
    for (case, watched) in cases() {
        let api_type = api_type(&watched);
        let mut listed = watched.clone();
        listed.as_object_mut().unwrap().remove("apiVersion");
        listed.as_object_mut().unwrap().remove("kind");
        let result = run(rules, &watched, &api_type, &mut BTreeSet::new());
        assert_eq!(
            run(rules, &listed, &api_type, &mut BTreeSet::new()),
            result,
            "{} differs between list and watch",
            case.display()
        );
        let expected = case.join("expected.json");
        if update {
            let text = serde_json::to_string_pretty(&result).unwrap() + "\n";
            fs::write(&expected, text).unwrap();
            continue;
        }
        let expected: Value = serde_json::from_slice(&fs::read(&expected).unwrap()).unwrap();
        if result != expected {
            wrong.push(format!(
                "{}\n  expected {expected}\n  got      {result}",
                case.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_rule_is_dead() {
    let rules = core();
    let mut hits = BTreeSet::new();
    for (_, object) in cases() {
        run(rules, &object, &api_type(&object), &mut hits);
    }
    for api_type in super::tests::DROPPED_WHOLE.map(super::tests::type_named) {
        if let TypePlan::Dropped { rule } = rules.plan(&api_type) {
            hits.insert(rule);
        }
    }
    let dead: Vec<_> = rules
        .iter()
        .filter(|rule| !hits.contains(rule.name))
        .map(|rule| rule.name)
        .collect();
    assert!(dead.is_empty(), "rules that no case hits: {dead:?}");
}
