//! The ways in which people and programs change an object, as the requests that kubectl sends.

use serde_json::{Map, Value, json};

use super::places::{Action, At, Place, applied, get};
use crate::api::{APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH};
use crate::oracle::schema::{List, Node};

/// A field manager that is nobody's: neither a human's nor a known deployer's.
pub(crate) const OTHER_MANAGER: &str = "team-pipeline";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verb {
    Edit,
    PatchStrategic,
    PatchMerge,
    PatchJson,
    Label,
    Annotate,
    Set,
    Scale,
    Apply,
}

pub(crate) const VERBS: [Verb; 9] = [
    Verb::Edit,
    Verb::PatchStrategic,
    Verb::PatchMerge,
    Verb::PatchJson,
    Verb::Label,
    Verb::Annotate,
    Verb::Set,
    Verb::Scale,
    Verb::Apply,
];

/// A request that changes an object.
pub(crate) struct Request {
    pub(crate) subresource: &'static str,
    pub(crate) manager: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Value,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Edit => "edit",
            Verb::PatchStrategic => "patch",
            Verb::PatchMerge => "patch-merge",
            Verb::PatchJson => "patch-json",
            Verb::Label => "label",
            Verb::Annotate => "annotate",
            Verb::Set => "set",
            Verb::Scale => "scale",
            Verb::Apply => "apply-ssa",
        }
    }

    /// Whether the verb can do this to an object with these subresources.
    pub(crate) fn fits(self, node: Node<'_>, place: &Place, subresources: &[String]) -> bool {
        let keys: Vec<&str> = place
            .at
            .iter()
            .filter_map(|at| match at {
                At::Key(key) => Some(key.as_str()),
                At::Index(_) => None,
            })
            .collect();
        match self {
            Verb::Edit | Verb::PatchMerge | Verb::PatchJson => true,
            Verb::PatchStrategic => !node.custom,
            Verb::Label => matches!(keys[..], ["metadata", "labels", _]),
            Verb::Annotate => matches!(keys[..], ["metadata", "annotations", _]),
            Verb::Set => {
                let what = keys.iter().rev().take(4).copied().collect::<Vec<_>>();
                let within = |name: &str| what.contains(&name) && keys.contains(&"containers");
                (within("image") && keys.last() == Some(&"image") && place.action == Action::Change)
                    || within("env")
                    || (within("resources") && keys.len() > 5)
                    || (keys.last() == Some(&"serviceAccountName")
                        && place.action != Action::Delete)
                    || (keys[..] == ["subjects"] && place.action == Action::Change)
                    || (node_is_service(&keys) && place.action != Action::Delete)
            }
            Verb::Scale => {
                keys[..] == ["spec", "replicas"]
                    && place.action != Action::Delete
                    && subresources.iter().any(|name| name == "scale")
            }
            Verb::Apply => place.action != Action::Delete,
        }
    }

    /// The request that makes `place` of `before`; the schema says how lists are merged.
    pub(crate) fn request(self, node: Node<'_>, before: &Value, place: &Place) -> Request {
        let after = applied(before, place);
        let strategic = |node: Node<'_>| {
            if node.custom {
                (MERGE_PATCH, merge_patch(before, &after))
            } else {
                let body = strategic_patch(node, before, &after, place, 0);
                (STRATEGIC_PATCH, body)
            }
        };
        let (subresource, manager) = match self {
            Verb::Edit => ("", "kubectl-edit"),
            Verb::PatchStrategic | Verb::PatchMerge | Verb::PatchJson => ("", "kubectl-patch"),
            Verb::Label => ("", "kubectl-label"),
            Verb::Annotate => ("", "kubectl-annotate"),
            Verb::Set => ("", "kubectl-set"),
            Verb::Scale => ("scale", "kubectl"),
            Verb::Apply => ("", OTHER_MANAGER),
        };
        let (content_type, body) = match self {
            Verb::Edit | Verb::PatchStrategic | Verb::Set => strategic(node),
            Verb::PatchMerge | Verb::Label | Verb::Annotate => {
                (MERGE_PATCH, merge_patch(before, &after))
            }
            Verb::PatchJson => (JSON_PATCH, json_patch(place)),
            Verb::Scale => {
                let body = json!({"spec": {"replicas": get(&after, &place.at)}});
                (MERGE_PATCH, body)
            }
            Verb::Apply => (APPLY, apply_body(node, before, &after, place)),
        };
        Request {
            subresource,
            manager,
            content_type,
            body,
        }
    }
}

fn node_is_service(keys: &[&str]) -> bool {
    matches!(keys, ["spec", "selector", _])
}

/// What turns one into the other: <https://www.rfc-editor.org/rfc/rfc7386>.
pub(crate) fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return after.clone();
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(was) if was == value => {}
            Some(was) => {
                patch.insert(key.clone(), merge_patch(was, value));
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch.into()
}

/// <https://www.rfc-editor.org/rfc/rfc6902>
fn json_patch(place: &Place) -> Value {
    let pointer: String = place
        .at
        .iter()
        .map(|at| match at {
            At::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            At::Index(index) => format!("/{index}"),
        })
        .collect();
    let op = match place.action {
        Action::Change => "replace",
        Action::Delete => "remove",
        Action::Add => "add",
    };
    json!([{"op": op, "path": pointer, "value": place.value}])
}

/// <https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md>
fn strategic_patch(
    node: Node<'_>,
    before: &Value,
    after: &Value,
    place: &Place,
    depth: usize,
) -> Value {
    let Some(step) = place.at.get(depth) else {
        return place.value.clone().unwrap_or_default();
    };
    match step {
        At::Key(key) => {
            let none = Value::Null;
            let old = before.get(key).unwrap_or(&none);
            let new = after.get(key).unwrap_or(&none);
            let field = node.field(key);
            if let (Some(At::Index(_)), false) = (place.at.get(depth + 1), merges(field)) {
                return json!({ key: new });
            }
            if let (Some(At::Index(at)), true, Action::Delete, None) = (
                place.at.get(depth + 1),
                place.element && depth + 2 == place.at.len(),
                place.action,
                merge_key(field),
            ) {
                let list = format!("$deleteFromPrimitiveList/{key}");
                return json!({ list: [old[at]] });
            }
            json!({ key: strategic_patch(field, old, new, place, depth + 1) })
        }
        At::Index(at) => {
            let last = depth + 1 == place.at.len();
            let Some(key) = merge_key(node) else {
                return json!([place.value]);
            };
            if last && place.action == Action::Delete {
                return json!([{"$patch": "delete", key: before[at][key]}]);
            }
            if last {
                return json!([place.value]);
            }
            let mut patch =
                strategic_patch(node.items(), &before[at], &after[at], place, depth + 1);
            if patch.get(key).is_none() {
                patch[key] = before[at][key].clone();
            }
            json!([patch])
        }
    }
}

fn merges(node: Node<'_>) -> bool {
    let strategy = node
        .says("x-kubernetes-patch-strategy")
        .and_then(Value::as_str);
    strategy.is_some_and(|strategy| strategy.split(',').any(|word| word == "merge"))
}

fn merge_key(node: Node<'_>) -> Option<&str> {
    node.says("x-kubernetes-patch-merge-key")
        .and_then(Value::as_str)
}

/// The least that a server-side apply must say to set the place: it alone, the keys on the way to
/// it, and atomic values whole.
fn apply_body(node: Node<'_>, before: &Value, after: &Value, place: &Place) -> Value {
    let mut body = apply_part(node, after, place, 0);
    body["apiVersion"] = before["apiVersion"].clone();
    body["kind"] = before["kind"].clone();
    for field in ["name", "namespace"] {
        if let Some(value) = before["metadata"].get(field) {
            body["metadata"][field] = value.clone();
        }
    }
    body
}

fn apply_part(node: Node<'_>, after: &Value, place: &Place, depth: usize) -> Value {
    let atomic = node
        .says("x-kubernetes-map-type")
        .is_some_and(|kind| kind == "atomic");
    let Some(step) = place.at.get(depth).filter(|_| !atomic) else {
        return after.clone();
    };
    match step {
        At::Key(key) => {
            let none = Value::Null;
            let value = after.get(key).unwrap_or(&none);
            json!({ key: apply_part(node.field(key), value, place, depth + 1) })
        }
        At::Index(at) => match node.list() {
            List::Atomic => after.clone(),
            List::Set => json!([after[at]]),
            List::Map(keys) => {
                let mut part = apply_part(node.items(), &after[at], place, depth + 1);
                for key in keys {
                    if let Some(value) = after[at].get(&key) {
                        part[key] = value.clone();
                    }
                }
                json!([part])
            }
        },
    }
}
