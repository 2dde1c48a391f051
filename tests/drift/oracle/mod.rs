//! What drift has to say after a change, worked out without the product's code.
//!
//! The product holds desired against live, and needs defaults, tables and normal forms for it. The
//! oracle needs none: it holds the stored object *before* a change, of which drift had nothing to
//! say, against the same object *after* it. What is equal in both is fine by definition; what is
//! not is judged by whether desired has it, and by `managedFields`.
#![allow(
    dead_code,
    reason = "compiled into two test crates, one of which holds the oracle's own tests"
)]

pub(crate) mod owners;
pub(crate) mod path;
pub(crate) mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use owners::{Owners, Role, Writer};
use path::{Path, Step};
use schema::{List, Node};

/// Which object, at which version.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl Identity {
    /// Of an object with `apiVersion`, `kind` and `metadata`.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api_version = text(&object["apiVersion"]);
        let (group, version) = match api_version.split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), api_version),
        };
        let metadata = &object["metadata"];
        Self {
            group,
            version,
            kind: text(&object["kind"]),
            namespace: metadata["namespace"].as_str().map(str::to_owned),
            name: text(&metadata["name"]),
        }
    }
}

/// What a field became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Changed,
    Removed,
    Added,
    PendingRemoval,
    Pending,
    Dropped,
    Ignored,
}

/// One field that drift has to report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) class: Class,
    /// Worth a warning, or only an information.
    pub(crate) warning: bool,
    pub(crate) writer: Option<Writer>,
}

/// The objects that the oracle is asked about: desired, and stored before and after a change.
///
/// `before` and `after` without what the recorder's filter takes away; `owners` of the object as it
/// is stored after the change.
#[derive(Clone, Copy)]
pub(crate) struct States<'a> {
    pub(crate) desired: &'a Value,
    pub(crate) before: &'a Value,
    pub(crate) after: &'a Value,
    /// The object as the change asked for it: what it does not name, the server set.
    pub(crate) asked: &'a Value,
    pub(crate) owners: &'a Owners,
}

/// What drift has to report, in the order of paths.
pub(crate) fn expected(node: Node<'_>, states: States<'_>) -> Vec<Finding> {
    let (desired, asked) = (folded(states.desired), folded(states.asked));
    let mut walk = Walk {
        owners: states.owners,
        asked: &asked,
        path: Path::default(),
        found: Vec::new(),
    };
    let sides = Sides {
        desired: Some(&desired),
        before: Some(states.before),
        after: Some(states.after),
    };
    walk.fields(node, sides);
    walk.found.sort();
    walk.found
}

/// `stringData` as the server stores it.
fn folded(desired: &Value) -> Value {
    use base64::Engine as _;
    let mut desired = desired.clone();
    if desired["kind"] == "Secret"
        && desired["apiVersion"] == "v1"
        && let Some(Value::Object(texts)) =
            desired.as_object_mut().and_then(|o| o.remove("stringData"))
    {
        if !desired["data"].is_object() {
            desired["data"] = Value::Object(Map::new());
        }
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            desired["data"][key] = text.into();
        }
    }
    desired
}

#[derive(Clone, Copy)]
struct Sides<'a> {
    desired: Option<&'a Value>,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
}

impl<'a> Sides<'a> {
    fn get(self, key: &str) -> Self {
        let of = |side: Option<&'a Value>| side.and_then(|side| side.get(key));
        Self {
            desired: of(self.desired),
            before: of(self.before),
            after: of(self.after),
        }
    }

    fn all(self) -> [Option<&'a Value>; 3] {
        [self.desired, self.before, self.after]
    }

    fn keys(self) -> BTreeSet<&'a String> {
        let maps = self
            .all()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object);
        maps.flat_map(Map::keys).collect()
    }
}

struct Walk<'a> {
    owners: &'a Owners,
    asked: &'a Value,
    path: Path,
    found: Vec<Finding>,
}

impl Walk<'_> {
    fn fields(&mut self, node: Node<'_>, sides: Sides<'_>) {
        for key in sides.keys() {
            let root = self.path.0.is_empty();
            if root && ["apiVersion", "kind", "status"].contains(&key.as_str()) {
                continue;
            }
            if self.is_metadata()
                && key == "ownerReferences"
                && sides
                    .desired
                    .is_none_or(|desired| desired.get(key).is_none())
            {
                continue;
            }
            self.path.0.push(Step::Key(key.clone()));
            self.place(node.field(key), sides.get(key));
            self.path.0.pop();
        }
    }

    fn is_metadata(&self) -> bool {
        matches!(&self.path.0[..], [Step::Key(key)] if key == "metadata")
    }

    fn place(&mut self, node: Node<'_>, mut sides: Sides<'_>) {
        if sides.before == sides.after {
            return;
        }
        let absent = |value: &&Value| {
            value.is_null() || (!node.custom && (is_empty_list(value) || is_empty_map(node, value)))
        };
        sides.desired = sides.desired.filter(|value| !absent(value));
        if !node.custom {
            // Some lists are sent as null when they are empty: rules of a role.
            sides.before = sides.before.filter(|value| !value.is_null());
            sides.after = sides.after.filter(|value| !value.is_null());
        }
        let all = sides.all();
        let mut present = all.iter().flatten();
        if present.clone().any(|value| value.is_object()) && present.clone().all(|v| v.is_object())
        {
            self.object(node, sides);
        } else if present.clone().any(|value| value.is_array())
            && present.all(|value| value.is_array())
        {
            self.list(node, sides);
        } else {
            self.leaf(node, sides);
        }
    }

    fn list(&mut self, node: Node<'_>, sides: Sides<'_>) {
        let empty = |side: Option<&Value>| side.is_some_and(is_empty_list);
        match (sides.desired, sides.after) {
            // An empty list is a leaf where a server keeps it.
            (None, Some(after)) if node.custom && empty(sides.after) && sides.before.is_none() => {
                self.live_only(node.default() == Some(after));
            }
            (Some(_), None) if empty(sides.desired) => self.removed(),
            _ => match node.list() {
                List::Atomic => self.leaf(node, sides),
                List::Set => self.elements(sides, node, |value| Step::Item(value.clone())),
                List::Map(keys) => {
                    let items = node.items();
                    self.elements(sides, node, |element| {
                        let value = |key: &String| {
                            let default = || items.field(key).default();
                            let value = element.get(key).or_else(default);
                            (key.clone(), value.cloned().unwrap_or_default())
                        };
                        Step::Where(keys.iter().map(value).collect())
                    });
                    self.order(sides);
                }
            },
        }
    }

    fn object(&mut self, node: Node<'_>, sides: Sides<'_>) {
        let empty = |side: Option<&Value>| side.is_some_and(is_empty_object);
        match (sides.desired, sides.after) {
            // An empty object is a leaf where nothing lies in it on any side.
            (None, Some(_)) if empty(sides.after) && sides.before.is_none() => {
                self.live_only(false);
            }
            (Some(_), None) if empty(sides.desired) => self.removed(),
            _ => self.fields(node, sides),
        }
    }

    fn leaf(&mut self, node: Node<'_>, sides: Sides<'_>) {
        match (sides.desired, sides.after) {
            (Some(desired), Some(after)) if equal(desired, after) => {}
            (Some(_), Some(_)) => self.changed(),
            // A zero that was stored is that of a pointer, which the server keeps:
            // `automountServiceAccountToken: false`.
            (Some(desired), None)
                if !node.custom && is_zero(desired) && !sides.before.is_some_and(is_zero) => {}
            (Some(_), None) => self.removed(),
            (None, Some(after)) => self.live_only(node.default() == Some(after)),
            (None, None) => {}
        }
    }

    /// Elements by what tells them apart; of equal ones, in order.
    fn elements(&mut self, sides: Sides<'_>, node: Node<'_>, step: impl Fn(&Value) -> Step) {
        let by_key = |side: Option<&'_ Value>| {
            let mut counts: Vec<(Step, usize)> = Vec::new();
            let mut found = Vec::new();
            for element in side.and_then(Value::as_array).into_iter().flatten() {
                let step = step(element);
                let seen = counts.iter().filter(|(known, _)| *known == step).count();
                counts.push((step.clone(), seen));
                found.push(((step, seen), element.clone()));
            }
            found
        };
        let [desired, before, after] = sides.all().map(by_key);
        let mut keys: Vec<&(Step, usize)> = Vec::new();
        for (key, _) in desired.iter().chain(&before).chain(&after) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        for key in keys {
            let of = |side: &[((Step, usize), Value)]| {
                side.iter()
                    .find(|(known, _)| known == key)
                    .map(|(_, element)| element.clone())
            };
            let (desired, before, after) = (of(&desired), of(&before), of(&after));
            if before == after {
                continue;
            }
            self.path.0.push(key.0.clone());
            match (&desired, &before, &after) {
                (Some(_), _, None) => self.removed(),
                // One difference, however much of it changed.
                (None, _, Some(_)) => self.live_only(false),
                (None, _, None) => {}
                (Some(_), _, Some(_)) => {
                    let sides = Sides {
                        desired: desired.as_ref(),
                        before: before.as_ref(),
                        after: after.as_ref(),
                    };
                    self.place(node.items(), sides);
                }
            }
            self.path.0.pop();
        }
    }

    /// The order of init containers is what they mean.
    fn order(&mut self, sides: Sides<'_>) {
        if !matches!(self.path.0.last(), Some(Step::Key(key)) if key == "initContainers") {
            return;
        }
        let names = |side: Option<&Value>| -> Vec<String> {
            let elements = side.and_then(Value::as_array).into_iter().flatten();
            elements
                .map(|element| element["name"].to_string())
                .collect()
        };
        let (desired, after) = (names(sides.desired), names(sides.after));
        let common = |these: &[String], those: &[String]| -> Vec<String> {
            these
                .iter()
                .filter(|name| those.contains(name))
                .cloned()
                .collect()
        };
        if common(&desired, &after) != common(&after, &desired) {
            self.changed();
        }
    }

    fn changed(&mut self) {
        let writer = self.owners.highest(&self.path.0).map(|(_, writer)| writer);
        self.find(Class::Changed, true, writer);
    }

    fn removed(&mut self) {
        self.find(Class::Removed, true, None);
    }

    /// What only live has is what its owners make of it; `is_default`: of the schema.
    fn live_only(&mut self, is_default: bool) {
        let Some((role, writer)) = self.owners.highest(&self.path.0) else {
            // No admission webhook runs: what nobody owns and nobody asked for, the server set. What
            // somebody asked for and the server would have set can then be told by nobody.
            if path::get(self.asked, &self.path.0).is_some() && !is_default {
                self.find(Class::Added, false, None);
            }
            return;
        };
        let (class, warning) = match role {
            Role::Human => (Class::Added, true),
            Role::DeployerApply => (Class::PendingRemoval, false),
            Role::DeployerUpdate if self.owners.in_last_applied(&self.path.0) => {
                (Class::PendingRemoval, false)
            }
            Role::DeployerUpdate => return,
            Role::Other => (Class::Added, false),
            Role::Trusted => (Class::Ignored, false),
        };
        self.find(class, warning, Some(writer));
    }

    fn find(&mut self, class: Class, warning: bool, writer: Option<Writer>) {
        self.found.push(Finding {
            path: self.path.to_string(),
            class,
            warning,
            writer,
        });
    }
}

fn is_empty_object(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn is_empty_map(node: Node<'_>, value: &Value) -> bool {
    node.is_map() && is_empty_object(value)
}

/// What a built-in type leaves out where its field is no pointer.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn equal(desired: &Value, after: &Value) -> bool {
    match (desired, after) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => desired == after,
    }
}

/// Findings by their object.
pub(crate) type Verdicts = BTreeMap<Identity, Vec<Finding>>;
