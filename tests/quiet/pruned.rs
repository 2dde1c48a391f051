//! The reverse: what the rules remove is nothing that a person asked for.
//!
//! The acid sets are applied by kubectl, so whatever stands in them is a person's by
//! managedFields. Each leaf that goes must have no such owner, or `filters/core.yaml` must name
//! its path with a reason. Rules that decide by the owners themselves are no excuse.
//!
//! managedFields and the paths of `filters/core.yaml` are read here by a few lines of their own.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::Completion;
use serde::Deserialize as _;
use serde_json::Value;
use strandline::filter::{
    Action, Autoscaled, Context as Known, DigestKey, Rules, Selection, TypePlan, scale_target,
};
use strandline::object::{ApiType, RawObject, Step};
use strandline::owners::is_interactive;

use crate::ledger::report;
use crate::player::Player;
use crate::support::acid::{Acid, How};
use crate::support::plane::{ControlPlane, Options};
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Result, Unavailable};

const CORE: &str = include_str!("../../filters/core.yaml");

pub(crate) fn client_side(_: &ControlPlane) -> Outcome {
    nothing_of_people(How::ClientSide)
}

pub(crate) fn server_side(_: &ControlPlane) -> Outcome {
    nothing_of_people(How::ServerSide)
}

pub(crate) fn created(_: &ControlPlane) -> Outcome {
    nothing_of_people(How::Create)
}

fn nothing_of_people(how: How) -> Outcome {
    let acid = match Acid::open() {
        Ok(acid) => acid,
        Err(Unavailable::Missing(reason)) => return skipped("what rules prune", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    // A cluster of its own: what one way has made, another could not make again.
    let options = Options {
        controller_manager: true,
        ..Options::default()
    };
    let plane = match ControlPlane::start(&options) {
        Ok(plane) => plane,
        Err(Unavailable::Missing(reason)) => return skipped("what rules prune", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let applied = acid.apply(&plane, how)?;
    assert!(applied.refused.is_empty(), "{:?}", applied.refused);

    let mut audit = Audit::new()?;
    audit.cluster(&Player::new(&plane)?)?;
    for ((rule, path), count) in &audit.excused {
        report(&format!(
            "{how:?}: {count} × {path}, asked for by a person and removed by {rule}"
        ));
    }
    for (rule, count) in &audit.dropped {
        report(&format!(
            "{how:?}: {count} objects that a person wrote are dropped by {rule}"
        ));
    }
    report(&format!(
        "{how:?}: {} objects, {} leaves removed, {} of them a person's and named in core.yaml",
        audit.objects,
        audit.pruned,
        audit.excused.values().sum::<usize>()
    ));
    // Not vacuous: the sets are there, and kubectl's own copy is one that goes by name.
    assert!(audit.objects > applied.objects.len(), "{}", audit.objects);
    assert!(audit.pruned > 1_000, "{} leaves", audit.pruned);
    assert_eq!(
        audit
            .excused
            .keys()
            .any(|(rule, _)| rule == "applied-copies"),
        how == How::ClientSide
    );
    assert!(
        audit.problems.is_empty(),
        "{}",
        audit.problems.into_iter().collect::<Vec<_>>().join("\n")
    );
    Ok(Completion::Completed)
}

struct Audit {
    rules: Rules,
    key: DigestKey,
    /// Paths that the built-in rules remove whoever wrote them, by rule, with a reason.
    named: BTreeMap<String, Vec<Vec<String>>>,
    /// Built-in rules with a reason that drop objects.
    drops: BTreeSet<String>,
    objects: usize,
    pruned: usize,
    excused: BTreeMap<(String, String), usize>,
    dropped: BTreeMap<String, usize>,
    problems: BTreeSet<String>,
}

impl Audit {
    fn new() -> Result<Self> {
        let core = serde_yaml::Deserializer::from_str(CORE);
        let core = Value::deserialize(core).context("filters/core.yaml")?;
        let (mut named, mut drops) = (BTreeMap::new(), BTreeSet::new());
        for rule in core["rules"].as_array().into_iter().flatten() {
            let name = rule["name"].as_str().unwrap_or_default().to_owned();
            if rule["reason"].as_str().is_none_or(str::is_empty) {
                continue;
            }
            if rule["drop"] == true {
                drops.insert(name.clone());
            }
            let lists = ["prune", "pruneAlways", "pruneWhileAutoscaled"];
            let paths = lists
                .iter()
                .flat_map(|list| rule[list].as_array().into_iter().flatten())
                .filter_map(Value::as_str)
                .map(tokens)
                .collect();
            named.insert(name, paths);
        }
        Ok(Self {
            rules: Rules::assemble(&Selection::default()).context("the rules")?,
            key: DigestKey::from_bytes(&crate::mirror::KEY).context("the digest key")?,
            named,
            drops,
            objects: 0,
            pruned: 0,
            excused: BTreeMap::new(),
            dropped: BTreeMap::new(),
            problems: BTreeSet::new(),
        })
    }

    /// Every object of every type that can be listed.
    fn cluster(&mut self, player: &Player) -> Result<()> {
        let mut lists = Vec::new();
        for api_type in types(player)? {
            let root = if api_type.group.is_empty() {
                "api"
            } else {
                "apis"
            };
            let path = format!("/{root}/{}/{}", api_type.api_version(), api_type.resource);
            let list = player.get(&path)?;
            let items = list["items"].as_array().cloned().unwrap_or_default();
            lists.push((std::sync::Arc::new(api_type), items));
        }
        let mut autoscaled = Vec::new();
        for (api_type, items) in &lists {
            for item in items {
                let object = parse(item, api_type)?;
                let key = object.key(api_type).context("a key")?;
                autoscaled.extend(scale_target(&key, &object.value));
            }
        }
        let autoscaled = autoscaled.into_iter().collect();
        for (api_type, items) in lists {
            for item in items {
                self.object(&item, &api_type, &autoscaled)?;
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        live: &Value,
        api_type: &std::sync::Arc<ApiType>,
        autoscaled: &Autoscaled,
    ) -> Result<()> {
        self.objects += 1;
        let rules = match self.rules.plan(api_type) {
            TypePlan::Dropped { rule } => {
                self.drop(live, rule.as_str());
                return Ok(());
            }
            TypePlan::Watched(rules) => rules,
        };
        let object = parse(live, api_type)?;
        let key = object.key(api_type).context("a key")?;
        let known = Known {
            digest_key: &self.key,
            autoscaled,
        };
        let explanation = rules.explain(&object, &key, &known);
        if let Some(rule) = explanation.dropped_by {
            self.drop(live, rule.as_str());
            return Ok(());
        }
        let mut removed = 0;
        for hit in &explanation.hits {
            if hit.action != Action::Pruned {
                continue;
            }
            let mut leaves = Vec::new();
            let place = at(&object.value, &hit.path);
            let place = place.ok_or_else(|| missing(&hit.path))?;
            leaves_below(place, &mut hit.path.clone(), &mut leaves);
            removed += leaves
                .iter()
                .filter(|leaf| holds(&object.value, leaf))
                .count();
            self.pruned += leaves.len();
            for leaf in leaves {
                self.leaf(live, &key.to_string(), &leaf, hit.rule.as_str());
            }
        }
        // Nothing goes of which `explain` says nothing. A `spec` that is emptied stays as `{}`.
        let count = |value: &Value| {
            let mut leaves = Vec::new();
            leaves_below(value, &mut Vec::new(), &mut leaves);
            leaves.iter().filter(|leaf| holds(value, leaf)).count()
        };
        let gone = count(&object.value) - count(&explanation.result);
        if gone != removed {
            self.problems.insert(format!(
                "{key}: {gone} leaves are gone, {removed} explained"
            ));
        }
        Ok(())
    }

    fn leaf(&mut self, live: &Value, object: &str, leaf: &[Step], rule: &str) {
        let owners = people(live, leaf);
        if owners.is_empty() {
            return;
        }
        let named = self.named.get(rule).is_some_and(|paths| {
            let steps: Vec<String> = leaf.iter().map(step).collect();
            paths.iter().any(|path| fits(path, &steps))
        });
        let path = text(leaf);
        if named {
            let key = (rule.to_owned(), path);
            *self.excused.entry(key).or_default() += 1;
        } else {
            self.problems.insert(format!(
                "{object}: {rule} removes {path}, written by {owners:?}"
            ));
        }
    }

    /// Objects that a person wrote are dropped by a built-in rule with a reason, or not at all.
    fn drop(&mut self, live: &Value, rule: &str) {
        let entries = live["metadata"]["managedFields"].as_array();
        let by_person = entries.into_iter().flatten().any(|entry| {
            entry["manager"].as_str().is_some_and(is_interactive) && entry["subresource"].is_null()
        });
        if !by_person {
            return;
        }
        *self.dropped.entry(rule.to_owned()).or_default() += 1;
        if !self.drops.contains(rule) {
            let name = &live["metadata"]["name"];
            self.problems
                .insert(format!("{name}: a person's, dropped by {rule}"));
        }
    }
}

fn missing(path: &[Step]) -> crate::support::Failure {
    crate::support::Failure::new(format!("explain names {}, which is not there", text(path)))
}

fn parse(live: &Value, api_type: &ApiType) -> Result<RawObject> {
    RawObject::parse(live.to_string().as_bytes(), api_type).context(api_type)
}

/// The types that can be listed, each in one version.
fn types(player: &Player) -> Result<Vec<ApiType>> {
    let mut versions = vec![(String::new(), "v1".to_owned(), "/api/v1".to_owned())];
    // Groups of servers of their own: the acid sets bring one, and nobody runs it.
    let services = player.get("/apis/apiregistration.k8s.io/v1/apiservices")?;
    let aggregated: BTreeSet<&str> = services["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|service| service["spec"]["service"].is_object())
        .filter_map(|service| service["spec"]["group"].as_str())
        .collect();
    for group in player.get("/apis")?["groups"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = group["name"].as_str().unwrap_or_default();
        if aggregated.contains(name) {
            continue;
        }
        // The preferred one comes first.
        for version in group["versions"].as_array().into_iter().flatten() {
            let version = version["version"].as_str().unwrap_or_default();
            let path = format!("/apis/{name}/{version}");
            versions.push((name.to_owned(), version.to_owned(), path));
        }
    }
    let (mut seen, mut types) = (BTreeSet::new(), Vec::new());
    for (group, version, path) in versions {
        let found = player.get(&path)?;
        for one in found["resources"].as_array().into_iter().flatten() {
            let resource = one["name"].as_str().unwrap_or_default();
            let verbs = one["verbs"].as_array().cloned().unwrap_or_default();
            let listed = verbs.iter().any(|verb| verb == "list");
            if listed && seen.insert((group.clone(), resource.to_owned())) {
                types.push(ApiType {
                    group: group.as_str().into(),
                    version: version.as_str().into(),
                    resource: resource.into(),
                    kind: one["kind"].as_str().unwrap_or_default().into(),
                    namespaced: one["namespaced"] == true,
                });
            }
        }
    }
    Ok(types)
}

fn at<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(&**key),
        Step::Index(index) => value.get(index),
    })
}

/// Everything that holds nothing else, an empty list or map included.
fn leaves_below(value: &Value, path: &mut Vec<Step>, leaves: &mut Vec<Vec<Step>>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, child) in map {
                path.push(Step::Key(key.as_str().into()));
                leaves_below(child, path, leaves);
                path.pop();
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, child) in list.iter().enumerate() {
                path.push(Step::Index(index));
                leaves_below(child, path, leaves);
                path.pop();
            }
        }
        _ => leaves.push(path.clone()),
    }
}

/// Whether a leaf is more than an empty list or map.
fn holds(value: &Value, leaf: &[Step]) -> bool {
    at(value, leaf).is_some_and(|value| !value.is_object() && !value.is_array())
}

/// The people in whose field sets a leaf is.
fn people(live: &Value, leaf: &[Step]) -> BTreeSet<String> {
    let entries = live["metadata"]["managedFields"].as_array();
    entries
        .into_iter()
        .flatten()
        .filter(|entry| owns(&entry["fieldsV1"], live, leaf))
        .filter_map(|entry| entry["manager"].as_str())
        .filter(|manager| is_interactive(manager))
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether a field set holds a leaf: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>.
fn owns(set: &Value, value: &Value, leaf: &[Step]) -> bool {
    let Some(fields) = set.as_object() else {
        return false;
    };
    let Some((first, rest)) = leaf.split_first() else {
        return true;
    };
    // A set without members is all of what it stands for, of a list or map that is atomic.
    if fields.is_empty() {
        return true;
    }
    match first {
        Step::Key(key) => fields
            .get(&format!("f:{key}"))
            .is_some_and(|below| owns(below, &value[&**key], rest)),
        Step::Index(index) => {
            let element = &value[*index];
            fields.iter().any(|(member, below)| {
                let here = match member.split_once(':') {
                    Some(("k", keys)) => serde_json::from_str::<Value>(keys)
                        .ok()
                        .and_then(|keys| keys.as_object().cloned())
                        .is_some_and(|keys| keys.iter().all(|(key, value)| element[key] == *value)),
                    Some(("v", text)) => {
                        serde_json::from_str::<Value>(text).is_ok_and(|value| value == *element)
                    }
                    Some(("i", text)) => text.parse() == Ok(*index),
                    _ => false,
                };
                here && owns(below, element, rest)
            })
        }
    }
}

fn step(step: &Step) -> String {
    match step {
        Step::Key(key) => key.to_string(),
        Step::Index(_) => "[]".to_owned(),
    }
}

fn text(path: &[Step]) -> String {
    path.iter().map(step).collect::<Vec<_>>().join("/")
}

/// A field path in steps; whatever selects elements of a list is one step `[]`.
fn tokens(path: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let (key, after) = quoted.split_once("\"]").unwrap_or((quoted, ""));
            tokens.push(key.to_owned());
            rest = after;
        } else if let Some(selector) = rest.strip_prefix('[') {
            tokens.push("[]".to_owned());
            rest = selector.split_once(']').map_or("", |(_, after)| after);
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
    }
    tokens
}

/// Whether a named path is the leaf's, or that of something it lies in.
fn fits(path: &[String], leaf: &[String]) -> bool {
    path.len() <= leaf.len()
        && path
            .iter()
            .zip(leaf)
            .all(|(wanted, is)| wanted == is || wanted == "[]")
}
