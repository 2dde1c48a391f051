//! Removal of fields: all paths of a type merged into one tree, walked once.

use serde_json::Value;

use super::path::{FieldPath, Segment};
use super::rules::RuleName;
use crate::owners::Owned;

/// Maps that a server sends even where they are empty, because their Go type is a struct. One that
/// we emptied stays, so that it equals one that never held anything.
const ALWAYS_SENT: &str = "metadata";

/// What is removed at and below one place.
#[derive(Default)]
pub(super) struct Tree {
    leaf: Option<Leaf>,
    fields: Vec<(Box<str>, Tree)>,
    /// Below every child (`[*]`) or those that the segment selects.
    elements: Vec<(Segment, Tree)>,
}

/// The end of a path: removed, if `when` holds.
#[derive(Clone)]
pub(super) struct Leaf {
    rule: RuleName,
    when: When,
}

#[derive(Clone)]
enum When {
    Always,
    /// Nobody asked for it, and it is none of these values.
    NotAskedFor {
        keep: Box<[String]>,
    },
    /// These managers, and nobody else, asked for it.
    OnlyBy {
        managers: Box<[String]>,
    },
}

impl Leaf {
    pub(super) fn always(rule: &RuleName) -> Self {
        Self {
            rule: rule.clone(),
            when: When::Always,
        }
    }

    pub(super) fn unless_asked_for(rule: &RuleName, keep: &[String]) -> Self {
        Self {
            rule: rule.clone(),
            when: When::NotAskedFor { keep: keep.into() },
        }
    }

    pub(super) fn written_by(rule: &RuleName, managers: &[String]) -> Self {
        Self {
            rule: rule.clone(),
            when: When::OnlyBy {
                managers: managers.into(),
            },
        }
    }
}

/// What is known of a place in the object beside its value.
pub(super) trait Place: Sized {
    fn field(&self, name: &str) -> Self;
    fn element(&self, index: usize, element: &Value) -> Self;
    fn removes(&self, leaf: &Leaf, value: &Value) -> bool;
}

/// A place of which nothing is known, for trees that remove always.
pub(super) struct Anywhere;

impl Place for Anywhere {
    fn field(&self, _: &str) -> Self {
        Self
    }

    fn element(&self, _: usize, _: &Value) -> Self {
        Self
    }

    fn removes(&self, leaf: &Leaf, _: &Value) -> bool {
        matches!(leaf.when, When::Always)
    }
}

impl Place for Owned<'_> {
    fn field(&self, name: &str) -> Self {
        Owned::field(self, name)
    }

    fn element(&self, index: usize, element: &Value) -> Self {
        Owned::element(self, index, element)
    }

    fn removes(&self, leaf: &Leaf, value: &Value) -> bool {
        match &leaf.when {
            When::Always => true,
            When::NotAskedFor { keep } => {
                !self.asked_for() && !keep.iter().any(|kept| value.as_str() == Some(kept))
            }
            When::OnlyBy { managers } => {
                self.asked_for()
                    && self
                        .managers()
                        .all(|manager| managers.iter().any(|trusted| trusted == manager))
            }
        }
    }
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.leaf.is_none() && self.fields.is_empty() && self.elements.is_empty()
    }

    /// Adds a path. Where two rules end at one place, the earlier is the one that is named.
    pub(super) fn add(&mut self, path: &FieldPath, leaf: Leaf) {
        let mut node = self;
        for segment in path.segments() {
            node = match segment {
                Segment::Field(name) | Segment::Key(name) => child(&mut node.fields, name),
                other => child(&mut node.elements, other),
            };
        }
        node.leaf.get_or_insert(leaf);
    }

    /// Removes from `value` what this tree names, and the lists and maps that this empties;
    /// returns whether `value` itself was emptied.
    pub(super) fn prune<P: Place>(
        &self,
        value: &mut Value,
        place: &P,
        hit: &mut dyn FnMut(&RuleName),
    ) -> bool {
        match value {
            Value::Object(map) => {
                let before = map.len();
                for (name, node) in &self.fields {
                    let Some(below) = map.get_mut(&**name) else {
                        continue;
                    };
                    if node.goes(name, below, &place.field(name), hit) {
                        map.remove(&**name);
                    }
                }
                for (segment, node) in &self.elements {
                    if *segment == Segment::Any {
                        map.retain(|name, below| !node.goes(name, below, &place.field(name), hit));
                    }
                }
                map.is_empty() && before > 0
            }
            Value::Array(list) if !self.elements.is_empty() => {
                let before = list.len();
                let mut index = 0;
                list.retain_mut(|element| {
                    let here = place.element(index, element);
                    index += 1;
                    for (segment, node) in &self.elements {
                        if segment.selects(element) {
                            if node.ends(element, &here, hit) {
                                return false;
                            }
                            // An emptied element stays: without it the others would move.
                            node.prune(element, &here, hit);
                        }
                    }
                    true
                });
                list.is_empty() && before > 0
            }
            _ => false,
        }
    }

    /// Prunes the value of a map's key; returns whether the key goes.
    fn goes<P: Place>(
        &self,
        name: &str,
        value: &mut Value,
        place: &P,
        hit: &mut dyn FnMut(&RuleName),
    ) -> bool {
        self.ends(value, place, hit) || (self.prune(value, place, hit) && name != ALWAYS_SENT)
    }

    fn ends<P: Place>(&self, value: &Value, place: &P, hit: &mut dyn FnMut(&RuleName)) -> bool {
        match &self.leaf {
            Some(leaf) if place.removes(leaf, value) => {
                hit(&leaf.rule);
                true
            }
            _ => false,
        }
    }
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
    pub(super) fn selects(&self, element: &Value) -> bool {
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
