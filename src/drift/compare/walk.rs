//! The walk over desired, defaulted and live at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::defaults::Tables;
use super::super::schema::{Kind, Node};
use super::absent::{Child, Facts};
use super::places::{element_of, item_of};
use super::{Difference, Relation, metadata, scalars};
use crate::filter::{FieldPath, Segment};
use crate::object::Step;

/// Fields of an object's root that are not compared here.
const NOT_COMPARED: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// One step of the walk; paths are made of them only where something differs.
pub(super) struct Frame<'a> {
    pub(super) name: Name<'a>,
    /// The step on the desired side, where the place is there.
    pub(super) desired: At,
    /// The step on the live side, where the place is there.
    pub(super) live: At,
}

/// What a step is called.
#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    /// A field or map key.
    Key(&'a str),
    /// An element of a map-like list.
    Element {
        keys: &'a [Box<str>],
        element: &'a Value,
        node: Option<Node<'a>>,
    },
    /// An element of a set.
    Item(&'a Value),
}

/// Whether and where a step is on one side.
#[derive(Clone, Copy)]
pub(super) enum At {
    Absent,
    /// Under its key.
    Key,
    Index(usize),
}

impl At {
    pub(super) fn index(index: Option<usize>) -> Self {
        index.map_or(Self::Absent, Self::Index)
    }

    fn key(there: bool) -> Self {
        if there { Self::Key } else { Self::Absent }
    }

    fn step(self, name: Name<'_>) -> Option<Step> {
        match (self, name) {
            (Self::Index(index), _) => Some(Step::Index(index)),
            (Self::Key, Name::Key(key)) => Some(Step::Key(key.into())),
            (Self::Absent | Self::Key, _) => None,
        }
    }
}

/// What was found within an atomic list, of which only the whole is reported.
#[derive(Clone, Copy, Default)]
pub(super) struct Probe {
    /// Something that the schema does not know.
    pub(super) unknown: bool,
    /// Any other difference.
    pub(super) differs: bool,
}

/// Walks the three trees and keeps what differs.
pub(super) struct Walker<'a> {
    tables: Tables,
    frames: Vec<Frame<'a>>,
    found: Vec<Difference>,
    /// Within an atomic list.
    pub(super) probe: Option<Probe>,
    /// Counts everything that was found, reported or not.
    hits: usize,
    /// What the default of something that only live has, says of the field that comes next.
    would_be: Option<&'a Value>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(tables: Tables) -> Self {
        Self {
            tables,
            frames: Vec::new(),
            found: Vec::new(),
            probe: None,
            hits: 0,
            would_be: None,
        }
    }

    /// What differs, in the order of paths.
    pub(super) fn finish(mut self) -> Vec<Difference> {
        self.found.sort_by(|left, right| left.path.cmp(&right.path));
        self.found
    }

    /// Compares whole objects.
    pub(super) fn object(
        &mut self,
        desired: &'a Value,
        defaulted: &'a Value,
        live: &'a Value,
        schema: Option<Node<'a>>,
    ) {
        let (Some(desired), Some(live)) = (desired.as_object(), live.as_object()) else {
            return;
        };
        let defaulted = defaulted.as_object();
        let facts = Facts::root(schema);
        for (key, desired, live) in merged(Some(desired), Some(live)) {
            if !NOT_COMPARED.contains(&key) {
                let defaulted = defaulted.and_then(|map| map.get(key));
                self.field(key, facts, desired, defaulted, live);
            }
        }
        let of = |map: &'a Map<String, Value>| map.get("metadata").and_then(Value::as_object);
        self.metadata(of(desired), defaulted.and_then(of), of(live));
    }

    fn metadata(
        &mut self,
        desired: Option<&'a Map<String, Value>>,
        defaulted: Option<&'a Map<String, Value>>,
        live: Option<&'a Map<String, Value>>,
    ) {
        let facts = Facts::root(metadata::schema());
        self.frames.push(Frame {
            name: Name::Key("metadata"),
            desired: At::key(desired.is_some()),
            live: At::key(live.is_some()),
        });
        for (key, desired, live) in merged(desired, live) {
            if !metadata::NOT_COMPARED.contains(&key) {
                let defaulted = defaulted.and_then(|map| map.get(key));
                self.field(key, facts, desired, defaulted, live);
            }
        }
        let owners = desired.and_then(|map| map.get("ownerReferences"));
        if let Some(desired) = owners.and_then(Value::as_array) {
            let live = live.and_then(|map| map.get("ownerReferences")?.as_array());
            self.owners(desired, live);
        }
        self.frames.pop();
    }

    /// Owner references that are desired, by whom they name.
    fn owners(&mut self, desired: &'a [Value], live: Option<&'a Vec<Value>>) {
        if desired.is_empty() {
            return;
        }
        self.frames.push(Frame {
            name: Name::Key("ownerReferences"),
            desired: At::Key,
            live: At::key(live.is_some()),
        });
        let live = live.map_or(&[][..], Vec::as_slice);
        let mut unmatched: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, reference) in live.iter().enumerate().rev() {
            unmatched
                .entry(metadata::owner(reference))
                .or_default()
                .push(at);
        }
        for (at, reference) in desired.iter().enumerate() {
            let found = unmatched
                .get_mut(&metadata::owner(reference))
                .and_then(Vec::pop);
            self.frames.push(owner_frame(reference, Some(at), found));
            match found.map(|at| &live[at]) {
                None => self.emit(Relation::DesiredOnly, Some(reference), None),
                Some(live) => self.owner(reference, live),
            }
            self.frames.pop();
        }
        let mut left: Vec<usize> = unmatched.into_values().flatten().collect();
        left.sort_unstable();
        for at in left {
            self.frames.push(owner_frame(&live[at], None, Some(at)));
            self.emit(Relation::LiveOnly, None, Some(&live[at]));
            self.frames.pop();
        }
        self.frames.pop();
    }

    fn owner(&mut self, desired: &'a Value, live: &'a Value) {
        for field in metadata::OF_OWNER {
            // False means the same as nothing.
            let said =
                |reference: &'a Value| reference.get(field).filter(|v| v.as_bool() == Some(true));
            let (wanted, is) = (said(desired), said(live));
            if wanted.is_some() != is.is_some() {
                let (desired, live) = (desired.get(field), live.get(field));
                self.frames.push(Frame {
                    name: Name::Key(field),
                    desired: At::key(desired.is_some()),
                    live: At::key(live.is_some()),
                });
                let relation = match (desired, live) {
                    (Some(_), Some(_)) => Relation::Changed,
                    (Some(_), None) => Relation::DesiredOnly,
                    _ => Relation::LiveOnly,
                };
                self.emit(relation, desired, live);
                self.frames.pop();
            }
        }
    }

    /// Compares one field of an object, or one value of a map.
    fn field(
        &mut self,
        name: &'a str,
        parent: Facts<'a>,
        desired: Option<&'a Value>,
        defaulted: Option<&'a Value>,
        live: Option<&'a Value>,
    ) {
        let child = parent.child(name);
        self.frames.push(Frame {
            name: Name::Key(name),
            desired: At::key(desired.is_some()),
            live: At::key(live.is_some()),
        });
        match child {
            Child::Is(facts) => {
                if !is_zero_of_map(parent, facts, desired, live) {
                    self.value(facts, desired, defaulted, live);
                }
            }
            // What is live in spite of the schema was not dropped: the schema is out of date.
            Child::Dropped if live.is_some() => {
                self.value(Facts::root(None), desired, defaulted, live);
            }
            Child::Dropped => {
                if let Some(desired) = desired.filter(|value| !value.is_null()) {
                    self.emit(Relation::Unknown, Some(desired), None);
                }
            }
        }
        self.frames.pop();
    }

    /// Compares the values at one place.
    pub(super) fn value(
        &mut self,
        facts: Facts<'a>,
        desired: Option<&'a Value>,
        defaulted: Option<&'a Value>,
        live: Option<&'a Value>,
    ) {
        if self.probe.is_some_and(|probe| probe.differs) {
            return;
        }
        let keeps_null = facts.keeps_null();
        // A null that was replaced by a default is no value.
        let replaced = defaulted.is_some_and(|value| !value.is_null());
        let desired = desired.filter(|value| !value.is_null() || (keeps_null && !replaced));
        let live = live.filter(|value| !value.is_null() || keeps_null);
        match (desired, live) {
            (None, None) => {}
            (Some(desired), Some(live)) => {
                self.both(facts, desired, defaulted.unwrap_or(desired), live);
            }
            (Some(desired), None) => self.desired_only(facts, desired),
            (None, Some(live)) => self.live_only(facts, defaulted, live),
        }
    }

    fn both(
        &mut self,
        facts: Facts<'a>,
        desired: &'a Value,
        defaulted: &'a Value,
        live: &'a Value,
    ) {
        if desired == live {
            return;
        }
        match (desired, live) {
            (Value::Object(desired), Value::Object(live)) => {
                let defaulted = defaulted.as_object();
                for (key, desired, live) in merged(Some(desired), Some(live)) {
                    let defaulted = defaulted.and_then(|map| map.get(key));
                    self.field(key, facts, desired, defaulted, live);
                }
            }
            (Value::Array(_), Value::Array(_)) => {
                self.list(facts, Some(desired), Some(defaulted), Some(live));
            }
            _ => {
                let kind = facts.value_kind();
                let same = |desired| scalars::equal(kind, facts.built_in, desired, live);
                let nothing = |value| facts.is_nothing(value, self.tables);
                let equal = same(desired) || same(defaulted) || (nothing(desired) && nothing(live));
                if !equal {
                    self.emit(Relation::Changed, Some(desired), Some(live));
                }
            }
        }
    }

    /// Reports the leaves of a subtree that live lacks.
    fn desired_only(&mut self, facts: Facts<'a>, desired: &'a Value) {
        if facts.is_nothing(desired, self.tables) {
            return;
        }
        match desired {
            Value::Object(map) if !map.is_empty() => {
                let before = self.hits;
                for (key, value) in map {
                    self.field(key, facts, Some(value), None, None);
                }
                if self.hits == before && !self.is_empty_nothing(facts) {
                    self.emit(Relation::DesiredOnly, Some(desired), None);
                }
            }
            Value::Array(list) if !list.is_empty() => self.list(facts, Some(desired), None, None),
            _ => self.emit(Relation::DesiredOnly, Some(desired), None),
        }
    }

    /// Reports the leaves of a subtree that desired lacks, as far as they are no defaults of what
    /// desired has.
    fn live_only(&mut self, facts: Facts<'a>, defaulted: Option<&'a Value>, live: &'a Value) {
        let would_be = self.would_be.take();
        if defaulted == Some(live) || facts.is_nothing(live, self.tables) {
            return;
        }
        let would_be = would_be.or_else(|| facts.default(self.tables));
        let found = self.found.len();
        let default = defaulted.filter(|value| !value.is_null());
        match (default, live) {
            (Some(Value::Object(default)), Value::Object(live)) => {
                for (key, value) in live {
                    self.field(key, facts, None, default.get(key), Some(value));
                }
            }
            (_, Value::Object(map)) if !map.is_empty() => {
                let before = self.hits;
                for (key, value) in map {
                    self.would_be = would_be.and_then(|would_be| would_be.get(key));
                    self.field(key, facts, None, None, Some(value));
                }
                self.would_be = None;
                if self.hits == before && !self.is_empty_nothing(facts) {
                    self.emit(Relation::LiveOnly, None, Some(live));
                }
            }
            (_, Value::Array(list)) if !list.is_empty() => {
                self.list(facts, None, default, Some(live));
            }
            (Some(default), _)
                if scalars::equal(facts.value_kind(), facts.built_in, default, live) => {}
            _ => self.emit(Relation::LiveOnly, None, Some(live)),
        }
        let is = |value| scalars::equal(facts.value_kind(), facts.built_in, value, live);
        if self.found.len() > found && would_be.is_some_and(is) {
            for difference in &mut self.found[found..] {
                difference.is_default = true;
            }
        }
    }

    /// Whether an empty struct is the same as nothing here.
    fn is_empty_nothing(&self, facts: Facts<'a>) -> bool {
        facts.is_nothing(&Value::Object(Map::new()), self.tables)
    }

    pub(super) fn enter(&mut self, name: Name<'a>, desired: Option<usize>, live: Option<usize>) {
        self.frames.push(Frame {
            name,
            desired: At::index(desired),
            live: At::index(live),
        });
    }

    pub(super) fn leave(&mut self) {
        self.frames.pop();
    }

    /// The name of the field that the walk is at.
    pub(super) fn field_name(&self) -> Option<&'a str> {
        match self.frames.last()?.name {
            Name::Key(key) => Some(key),
            Name::Element { .. } | Name::Item(_) => None,
        }
    }

    /// Keeps a difference at the place where the walk is.
    pub(super) fn emit(
        &mut self,
        relation: Relation,
        desired: Option<&Value>,
        live: Option<&Value>,
    ) {
        self.hits += 1;
        if let Some(probe) = &mut self.probe {
            match relation {
                Relation::Unknown => probe.unknown = true,
                _ => probe.differs = true,
            }
            return;
        }
        let segments = self.frames.iter().map(|frame| match frame.name {
            Name::Key(key) => Segment::of_key(key),
            Name::Element {
                keys,
                element,
                node,
            } => element_of(keys, element, node),
            Name::Item(value) => item_of(value),
        });
        let Some(path) = FieldPath::from_segments(segments.collect()) else {
            return;
        };
        let steps = |side: fn(&Frame<'a>) -> At| {
            self.frames
                .iter()
                .map_while(|frame| side(frame).step(frame.name))
                .collect()
        };
        self.found.push(Difference {
            path,
            relation,
            desired: desired.cloned(),
            live: live.cloned(),
            desired_at: steps(|frame| frame.desired),
            live_at: steps(|frame| frame.live),
            is_default: false,
        });
    }
}

fn owner_frame(reference: &Value, desired: Option<usize>, live: Option<usize>) -> Frame<'_> {
    Frame {
        name: Name::Element {
            keys: &*metadata::OWNER_KEYS,
            element: reference,
            node: None,
        },
        desired: At::index(desired),
        live: At::index(live),
    }
}

/// A null among the values of a map of texts is read as an empty text, where the map is a Go map:
/// <https://github.com/argoproj/argo-cd/issues/943>.
fn is_zero_of_map(
    parent: Facts<'_>,
    facts: Facts<'_>,
    desired: Option<&Value>,
    live: Option<&Value>,
) -> bool {
    parent.value_kind() == Kind::Map
        && matches!(facts.value_kind(), Kind::Text | Kind::Bytes)
        && desired.is_some_and(Value::is_null)
        && live.and_then(Value::as_str) == Some("")
}

type Entry<'a> = (&'a str, Option<&'a Value>, Option<&'a Value>);

/// The keys of both maps in their order, each once, with both values.
fn merged<'a>(
    desired: Option<&'a Map<String, Value>>,
    live: Option<&'a Map<String, Value>>,
) -> impl Iterator<Item = Entry<'a>> {
    let mut desired = desired.into_iter().flatten().peekable();
    let mut live = live.into_iter().flatten().peekable();
    std::iter::from_fn(move || {
        let order = match (desired.peek(), live.peek()) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let wanted = if order.is_le() { desired.next() } else { None };
        let is = if order.is_ge() { live.next() } else { None };
        let key = wanted.or(is).map(|(key, _)| key.as_str())?;
        Some((key, wanted.map(|(_, v)| v), is.map(|(_, v)| v)))
    })
}
