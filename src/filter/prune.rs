//! Removal of fields: all paths of a type merged into one tree, walked once per object.
//!
//! Several rules may speak of one place: with `[*]`, through a list above, or through a `keep` in
//! the middle. So the walk carries the set of tree nodes that stand for the place, and the last
//! word on it so far.

use std::sync::Arc;

use serde_json::Value;

use super::matching::{Fit, Globs};
use super::observe::{Action, Observer};
use super::path::{FieldPath, Segment};
use super::rules::{Rule, RuleName, Target};
use crate::owners::Owned;

/// Maps that a server sends even where they are empty, because their Go type is a struct. One that
/// we emptied stays, so that it equals one that never held anything: `metadata` anywhere (of an
/// object, of a template), and an object's own `spec`.
const ALWAYS_SENT: &str = "metadata";
const ALWAYS_SENT_ON_TOP: &str = "spec";

/// What is removed at and below one place.
#[derive(Default)]
pub(super) struct Tree {
    leaves: Vec<Leaf>,
    fields: Vec<(Box<str>, Tree)>,
    /// Below every child (`[*]`) or those that the segment selects.
    elements: Vec<(Segment, Tree)>,
    /// Whether a leaf below, or here, depends on who wrote the field.
    asks_owners: bool,
    /// Whether a leaf below keeps.
    keeps_below: bool,
    /// Of the root: the conditions of all leaves that depend on who wrote the field.
    owner_slots: Vec<Option<usize>>,
}

/// The end of a path.
pub(super) struct Leaf {
    pub(super) rule: Arc<Rule>,
    /// The rule's place among all: the higher has the last word.
    pub(super) order: u32,
    /// The condition that must hold; `None` where the type decides.
    pub(super) slot: Option<usize>,
    pub(super) target: Target,
    pub(super) act: Act,
}

pub(super) enum Act {
    Keep,
    Prune,
    /// Unless somebody asked for it, or it is one of these values.
    PruneUnlessAskedFor {
        keep: Box<[String]>,
    },
    /// If these managers, and nobody else, asked for it.
    PruneWrittenBy {
        managers: Arc<[String]>,
    },
    /// If somebody asked for it who did not ask for its sibling, and is none of the authors.
    PruneUnlessWrittenWith {
        rule: Arc<Rule>,
        field: usize,
    },
    /// While an autoscaler names the object.
    PruneWhileAutoscaled,
}

/// The highest order: the last word whatever comes later.
pub(super) const ALWAYS: u32 = u32::MAX;

/// The last word on a place, so far. Orders begin with 1.
#[derive(Clone, Copy, Default)]
struct Word<'t> {
    keep: u32,
    prune: u32,
    by: Option<&'t RuleName>,
    /// What `by` removes was allocated.
    allocated: bool,
}

impl Word<'_> {
    fn removes(&self) -> bool {
        self.prune > self.keep
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stays,
    /// Stays, but we took away all that it held.
    Emptied,
    Goes,
}

impl Tree {
    /// Adds a path.
    pub(super) fn add(&mut self, leaf: Leaf) {
        let path: FieldPath = leaf.target.path.clone();
        let asks_owners = matches!(
            leaf.act,
            Act::PruneUnlessAskedFor { .. }
                | Act::PruneWrittenBy { .. }
                | Act::PruneUnlessWrittenWith { .. }
        );
        let keeps = matches!(leaf.act, Act::Keep);
        if asks_owners && !self.owner_slots.contains(&leaf.slot) {
            self.owner_slots.push(leaf.slot);
        }
        let mut node = self;
        node.asks_owners |= asks_owners;
        for segment in path.segments() {
            node.keeps_below |= keeps;
            node = match segment {
                Segment::Field(name) | Segment::Key(name) => child(&mut node.fields, name),
                other => child(&mut node.elements, other),
            };
            node.asks_owners |= asks_owners;
        }
        node.leaves.push(leaf);
    }

    /// Whether any path ends in or below this tree for which `wanted` holds.
    pub(super) fn any(&self, wanted: &impl Fn(&Leaf) -> bool) -> bool {
        self.leaves.iter().any(wanted)
            || self.fields.iter().any(|(_, tree)| tree.any(wanted))
            || self.elements.iter().any(|(_, tree)| tree.any(wanted))
    }

    /// The names of the rules of all leaves.
    pub(super) fn rules(&self) -> Vec<&RuleName> {
        let mut names: Vec<_> = self.leaves.iter().map(|leaf| &leaf.rule.name).collect();
        let below = self.fields.iter().map(|(_, tree)| tree);
        let below = below.chain(self.elements.iter().map(|(_, tree)| tree));
        names.extend(below.flat_map(Self::rules));
        names
    }

    /// Shows every leaf.
    pub(super) fn each(&self, see: &mut impl FnMut(&Leaf)) {
        self.leaves.iter().for_each(&mut *see);
        for (_, tree) in &self.fields {
            tree.each(see);
        }
        for (_, tree) in &self.elements {
            tree.each(see);
        }
    }

    /// Whether it must be known who wrote what, of the root.
    pub(super) fn asks_owners(&self, holds: &[Fit]) -> bool {
        self.owner_slots
            .iter()
            .any(|slot| slot.is_none_or(|slot| holds.get(slot) == Some(&Fit::Yes)))
    }

    /// Whether `status` is removed from every object of the type, and nothing of it kept.
    pub(super) fn always_prunes_status(&self) -> bool {
        let status = self.fields.iter().find(|(name, _)| **name == *"status");
        let always = |leaf: &Leaf| leaf.slot.is_none() && matches!(leaf.act, Act::Prune);
        let keeps = |leaf: &Leaf| matches!(leaf.act, Act::Keep);
        status.is_some_and(|(_, tree)| tree.leaves.iter().any(always) && !tree.any(&keeps))
            && !self.elements.iter().any(|(_, tree)| tree.any(&keeps))
    }

    fn ends_here(&self) -> bool {
        self.fields.is_empty() && self.elements.is_empty()
    }
}

/// One walk over one object.
pub(super) struct Pruner<'a, O> {
    /// Which conditions hold, by slot.
    pub(super) holds: &'a [Fit],
    pub(super) autoscaled: bool,
    pub(super) observer: &'a mut O,
}

impl<O: Observer> Pruner<'_, O> {
    /// Removes from `object` what `tree` names, and the lists and maps that this empties.
    pub(super) fn prune(&mut self, tree: &Tree, object: &mut Value, root: &Owned<'_>) {
        let nodes = [tree];
        self.below(&nodes, object, root, Word::default(), true);
    }

    fn visit<'t>(
        &mut self,
        nodes: &[&'t Tree],
        value: &mut Value,
        place: &Owned<'_>,
        parent: &Owned<'_>,
        before: Word<'t>,
    ) -> Outcome {
        let word = self.last_word(nodes, value, place, parent, before);
        if !word.removes() {
            if nodes.iter().all(|node| node.ends_here()) {
                return Outcome::Stays;
            }
            return if self.below(nodes, value, place, word, false) {
                Outcome::Emptied
            } else {
                Outcome::Stays
            };
        }
        let partly = nodes.iter().any(|node| node.keeps_below)
            && matches!(value, Value::Object(_) | Value::Array(_));
        if partly {
            self.below(nodes, value, place, word, false);
            let left = match value {
                Value::Object(map) => !map.is_empty(),
                Value::Array(list) => !list.is_empty(),
                _ => false,
            };
            if left {
                return Outcome::Stays;
            }
        }
        if let Some(rule) = word.by {
            self.observer.pruned(rule, word.allocated);
        }
        Outcome::Goes
    }

    /// What the rules that end here add to the last word.
    fn last_word<'t>(
        &mut self,
        nodes: &[&'t Tree],
        value: &Value,
        place: &Owned<'_>,
        parent: &Owned<'_>,
        before: Word<'t>,
    ) -> Word<'t> {
        let mut word = before;
        let mut kept_by = None;
        let mut wanted = before.removes();
        let leaves = || nodes.iter().flat_map(|node| &node.leaves);
        for leaf in leaves() {
            if matches!(leaf.act, Act::Keep) && self.is_active(leaf) {
                leaf.target.see();
                if leaf.order > word.keep {
                    word.keep = leaf.order;
                    kept_by = Some(&leaf.rule.name);
                }
            }
        }
        let mut first = u32::MAX;
        let mut by = None;
        let mut allocated = false;
        for leaf in leaves() {
            if matches!(leaf.act, Act::Keep) || !self.is_active(leaf) {
                continue;
            }
            leaf.target.see();
            if !self.prunes(leaf, value, place, parent) {
                continue;
            }
            wanted = true;
            word.prune = word.prune.max(leaf.order);
            // Of several rules that remove one place, the first is named.
            if leaf.order > word.keep && (by.is_none() || leaf.order < first) {
                first = leaf.order;
                by = Some(&leaf.rule.name);
                allocated = matches!(leaf.act, Act::PruneUnlessAskedFor { .. });
            }
        }
        if by.is_some() && !(before.removes() && word.removes()) {
            (word.by, word.allocated) = (by, allocated);
        }
        if wanted
            && !word.removes()
            && let Some(rule) = kept_by
        {
            self.observer.hit(rule, Action::Kept);
        }
        word
    }

    fn is_active(&self, leaf: &Leaf) -> bool {
        leaf.slot
            .is_none_or(|slot| self.holds.get(slot) == Some(&Fit::Yes))
    }

    fn prunes(&self, leaf: &Leaf, value: &Value, place: &Owned<'_>, parent: &Owned<'_>) -> bool {
        match &leaf.act {
            Act::Keep => false,
            Act::Prune => true,
            Act::PruneUnlessAskedFor { keep } => {
                !place.asked_for() && !keep.iter().any(|kept| value.as_str() == Some(kept))
            }
            Act::PruneWrittenBy { managers } => {
                place.asked_for()
                    && place
                        .managers()
                        .all(|manager| managers.iter().any(|trusted| trusted == manager))
            }
            Act::PruneUnlessWrittenWith { rule, field } => {
                let field = &rule.prune_unless_written_with[*field];
                is_injected(place, &parent.field(&field.sibling), field.authors.as_ref())
            }
            Act::PruneWhileAutoscaled => self.autoscaled,
        }
    }

    /// Walks the children; returns whether `value` was emptied.
    fn below<'t>(
        &mut self,
        nodes: &[&'t Tree],
        value: &mut Value,
        place: &Owned<'_>,
        word: Word<'t>,
        on_top: bool,
    ) -> bool {
        match value {
            Value::Object(map) => {
                let before = map.len();
                let everywhere = word.removes() || nodes.iter().any(|n| !n.elements.is_empty());
                if everywhere {
                    let mut next = Vec::new();
                    map.retain(|name, below| {
                        next.clear();
                        for node in nodes {
                            let named = node.fields.iter().filter(|(field, _)| **field == **name);
                            next.extend(named.map(|(_, tree)| tree));
                            let any = node.elements.iter().filter(|(s, _)| *s == Segment::Any);
                            next.extend(any.map(|(_, tree)| tree));
                        }
                        !self.key_goes(&next, name, below, place, word, on_top)
                    });
                } else if let [node] = nodes {
                    for (name, tree) in &node.fields {
                        if let Some(below) = map.get_mut(&**name)
                            && self.key_goes(&[tree], name, below, place, word, on_top)
                        {
                            map.remove(&**name);
                        }
                    }
                } else {
                    let mut next = Vec::new();
                    for (at, node) in nodes.iter().enumerate() {
                        for (name, _) in &node.fields {
                            let has = |node: &&Tree| node.fields.iter().any(|(n, _)| n == name);
                            if nodes[..at].iter().any(has) {
                                continue;
                            }
                            next.clear();
                            for node in nodes {
                                let named = node.fields.iter().filter(|(field, _)| field == name);
                                next.extend(named.map(|(_, tree)| tree));
                            }
                            if let Some(below) = map.get_mut(&**name)
                                && self.key_goes(&next, name, below, place, word, on_top)
                            {
                                map.remove(&**name);
                            }
                        }
                    }
                }
                map.is_empty() && before > 0
            }
            Value::Array(list)
                if word.removes() || nodes.iter().any(|node| !node.elements.is_empty()) =>
            {
                let before = list.len();
                let mut next = Vec::new();
                let mut index = 0;
                list.retain_mut(|element| {
                    next.clear();
                    for node in nodes {
                        let selected = node.elements.iter().filter(|(s, _)| s.selects(element));
                        next.extend(selected.map(|(_, tree)| tree));
                    }
                    let here = index;
                    index += 1;
                    if next.is_empty() && !word.removes() {
                        return true;
                    }
                    let below = if next.iter().any(|node| node.asks_owners) {
                        place.element(here, element)
                    } else {
                        Owned::nobody()
                    };
                    self.observer.enter_index(here);
                    let outcome = self.visit(&next, element, &below, place, word);
                    self.observer.leave();
                    // An emptied element stays: without it the others would move.
                    outcome != Outcome::Goes
                });
                list.is_empty() && before > 0
            }
            _ => false,
        }
    }

    /// Walks the value of a map's key; returns whether the key goes.
    fn key_goes<'t>(
        &mut self,
        nodes: &[&'t Tree],
        name: &str,
        value: &mut Value,
        place: &Owned<'_>,
        word: Word<'t>,
        on_top: bool,
    ) -> bool {
        if nodes.is_empty() && !word.removes() {
            return false;
        }
        let below = if nodes.iter().any(|node| node.asks_owners) {
            place.field(name)
        } else {
            Owned::nobody()
        };
        self.observer.enter_key(name);
        let goes = match self.visit(nodes, value, &below, place, word) {
            Outcome::Stays => false,
            Outcome::Goes => true,
            Outcome::Emptied => {
                let sent = name == ALWAYS_SENT || (on_top && name == ALWAYS_SENT_ON_TOP);
                if !sent {
                    self.observer.emptied();
                }
                !sent
            }
        };
        self.observer.leave();
        goes
    }
}

/// Whether managers wrote the place that did not write the field beside it, so that its value is
/// theirs to bring.
///
/// Not where nobody is known to have written either: it may be a person's. Not where one of the
/// authors wrote it.
fn is_injected(place: &Owned<'_>, sibling: &Owned<'_>, authors: Option<&Globs>) -> bool {
    place.asked_for()
        && sibling.asked_for()
        && place.managers().all(|manager| {
            authors.is_none_or(|authors| !authors.matches(manager))
                && sibling.managers().all(|other| other != manager)
        })
}

fn child<'a, K: PartialEq + Clone>(children: &'a mut Vec<(K, Tree)>, key: &K) -> &'a mut Tree {
    let at = children
        .iter()
        .position(|(other, _)| other == key)
        .unwrap_or_else(|| {
            children.push((key.clone(), Tree::default()));
            children.len() - 1
        });
    &mut children[at].1
}

impl Segment {
    /// Whether this segment means `element` of a list.
    pub fn selects(&self, element: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Item(value) => is_text(element, value),
            Self::Where(keys) => keys.iter().all(|(key, value)| {
                element
                    .get(&**key)
                    .is_some_and(|found| is_text(found, value))
            }),
            Self::Field(_) | Self::Key(_) => false,
        }
    }
}

/// Whether a scalar is written as `text` in a path.
fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Number(number) => number.to_string() == text,
        Value::Bool(value) => text == if *value { "true" } else { "false" },
        _ => false,
    }
}
