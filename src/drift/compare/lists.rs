//! Lists, as the schema tells their elements apart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::schema::{Kind, ListType, Node};
use super::absent::Facts;
use super::places::key_value;
use super::walk::{Name, Probe, Walker};
use super::{Relation, scalars};

/// The one map-like list whose order means something: they run one after the other
/// (<https://kubernetes.io/docs/concepts/workloads/pods/init-containers/>).
const ORDERED: &str = "initContainers";

/// Elements that lack keys are matched by what they have up to this many on a side; a list with more
/// of them is no real one.
const MOST_PARTIAL: usize = 256;

/// Which element is which: positions in the desired list (defaulted) and in the live one.
type Pair = (Option<usize>, Option<usize>);

impl<'a> Walker<'a> {
    /// Compares two lists, or reports one that only one side has. At least one is a list.
    pub(super) fn list(
        &mut self,
        facts: Facts<'a>,
        desired: Option<&'a Value>,
        defaulted: Option<&'a Value>,
        live: Option<&'a Value>,
    ) {
        let elements = |side: Option<&'a Value>| side.and_then(Value::as_array).map(Vec::as_slice);
        let wanted = elements(desired);
        // What the server adds to a list stands at its end, so positions are those of desired.
        let full = elements(defaulted)
            .filter(|full| wanted.is_none_or(|wanted| full.len() >= wanted.len()))
            .or(wanted)
            .unwrap_or_default();
        let is = elements(live);
        let list_type = facts.node().map(Node::list_type);
        let (name, pairs): (Named<'a>, _) = match list_type {
            Some(ListType::Map(keys)) => {
                let node = facts.items().node();
                let pairs = by_keys(keys, node, full, is.unwrap_or_default());
                (Named::Keys(keys, node), pairs)
            }
            Some(ListType::Set) => {
                let kind = facts.items().value_kind();
                let text = |value: &Value| Some(scalars::normal(kind, value).into_owned());
                (Named::Item, by_text(full, is.unwrap_or_default(), text))
            }
            Some(ListType::Atomic) | None => {
                return self.atomic(facts, (desired, wanted), full, (live, is));
            }
        };
        let is = is.unwrap_or_default();
        for &(left, right) in &pairs {
            let default = left.and_then(|at| full.get(at));
            let wanted = left.and_then(|at| wanted?.get(at));
            let live = right.and_then(|at| is.get(at));
            let Some(element) = default.or(live) else {
                continue;
            };
            let name = match name {
                Named::Keys(keys, node) => Name::Element {
                    keys,
                    element,
                    node,
                },
                Named::Item => Name::Item(element),
            };
            self.enter(name, left.filter(|_| wanted.is_some()), right);
            match (wanted, live) {
                (Some(wanted), None) => self.emit(Relation::DesiredOnly, Some(wanted), None),
                (None, Some(live)) if default.is_none() => {
                    self.emit(Relation::LiveOnly, None, Some(live));
                }
                // Equal by value already.
                _ if list_type == Some(&ListType::Set) => {}
                _ => self.value(facts.items(), wanted, default, live),
            }
            self.leave();
        }
        if wanted.is_some() && self.field_name() == Some(ORDERED) && is_reordered(&pairs) {
            self.emit(Relation::Changed, desired, live);
        }
    }

    /// A list that is one value: its elements are compared in order, and one difference in it is a
    /// difference of the whole.
    fn atomic(
        &mut self,
        facts: Facts<'a>,
        (desired, wanted): (Option<&'a Value>, Option<&'a [Value]>),
        full: &'a [Value],
        (live, is): (Option<&'a Value>, Option<&'a [Value]>),
    ) {
        let probe = match is {
            None => {
                return self.emit(Relation::DesiredOnly, desired, None);
            }
            Some(is) => {
                let wanted = wanted.unwrap_or_default();
                let full = if full.len() == is.len() { full } else { wanted };
                self.probed(facts.items(), wanted, full, is)
            }
        };
        let relation = match desired {
            _ if !probe.differs && !probe.unknown => return,
            None => Relation::LiveOnly,
            Some(_) if probe.differs => Relation::Changed,
            Some(_) => Relation::Unknown,
        };
        self.emit(relation, desired, live);
    }

    fn probed(
        &mut self,
        items: Facts<'a>,
        wanted: &'a [Value],
        full: &'a [Value],
        live: &'a [Value],
    ) -> Probe {
        if full.len() != live.len() {
            return Probe {
                differs: true,
                unknown: false,
            };
        }
        let outer = self.probe.replace(Probe::default());
        for (at, (default, live)) in full.iter().zip(live).enumerate() {
            self.value(items, wanted.get(at), Some(default), Some(live));
        }
        std::mem::replace(&mut self.probe, outer).unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
enum Named<'a> {
    Keys(&'a [Box<str>], Option<Node<'a>>),
    Item,
}

/// Pairs the elements of a map-like list: by their keys, those with the same keys in order. The
/// elements that lack keys follow, by the keys that they have, then by position.
fn by_keys<'a>(
    keys: &[Box<str>],
    node: Option<Node<'a>>,
    full: &'a [Value],
    live: &'a [Value],
) -> Vec<Pair> {
    let same = |left: &'a Value, right: &'a Value| {
        keys.iter().all(|key| {
            let left = key_value(key, left, node);
            left.is_some() && left == key_value(key, right, node)
        })
    };
    // Nearly always nothing was added, taken away or moved.
    if full.len() == live.len() && full.iter().zip(live).all(|(left, right)| same(left, right)) {
        return (0..full.len()).map(|at| (Some(at), Some(at))).collect();
    }
    let kind = |key: &str| {
        node.and_then(|node| node.field(key))
            .map_or(Kind::Any, Node::value_kind)
    };
    let text = |element: &Value| {
        let mut text = String::new();
        for key in keys {
            text.push_str(&scalars::normal(kind(key), key_value(key, element, node)?));
            text.push('\0');
        }
        Some(text)
    };
    let pairs = by_text(full, live, text);
    let lacks = |element: &Value| text(element).is_none();
    let partial = Partial {
        full,
        live,
        left: full.iter().map(lacks).collect(),
        right: live.iter().map(lacks).collect(),
    };
    if !partial.left.contains(&true) && !partial.right.contains(&true) {
        return pairs;
    }
    let agree = |left: &Value, right: &Value| {
        let mut shared = 0;
        for key in keys {
            match (key_value(key, left, node), key_value(key, right, node)) {
                (Some(left), Some(right)) if left == right => shared += 1,
                (Some(_), Some(_)) => return false,
                _ => {}
            }
        }
        shared > 0
    };
    partial.pair(pairs, agree)
}

/// Elements of a map-like list of which some lack keys.
struct Partial<'a> {
    full: &'a [Value],
    live: &'a [Value],
    /// Which of `full` lack keys.
    left: Vec<bool>,
    /// Which of `live` lack keys.
    right: Vec<bool>,
}

impl Partial<'_> {
    /// Pairs what is still alone: by the keys that two elements share, then by position. One of the
    /// two lacks keys.
    fn pair(&self, pairs: Vec<Pair>, agree: impl Fn(&Value, &Value) -> bool) -> Vec<Pair> {
        let mut partner: Vec<Option<usize>> = vec![None; self.full.len()];
        let mut taken = vec![false; self.live.len()];
        for (left, right) in pairs {
            if let (Some(left), Some(right)) = (left, right) {
                partner[left] = Some(right);
                taken[right] = true;
            }
        }
        let alone = partner.iter().filter(|partner| partner.is_none()).count();
        let rest = taken.iter().filter(|taken| !**taken).count();
        if alone <= MOST_PARTIAL && rest <= MOST_PARTIAL {
            for (left, partner) in partner.iter_mut().enumerate() {
                if partner.is_some() {
                    continue;
                }
                let fits = |&right: &usize| {
                    !taken[right]
                        && (self.left[left] || self.right[right])
                        && agree(&self.full[left], &self.live[right])
                };
                *partner = (0..taken.len()).find(fits);
                if let Some(right) = *partner {
                    taken[right] = true;
                }
            }
        }
        let mut free = (0..taken.len()).filter(|right| !taken[*right]);
        for (left, partner) in partner.iter_mut().enumerate() {
            if partner.is_none() && self.left[left] {
                *partner = free.next();
            }
        }
        let rest: Vec<usize> = free.collect();
        let lacking = rest.iter().copied().filter(|right| self.right[*right]);
        let alone = partner.iter_mut().filter(|partner| partner.is_none());
        for (partner, right) in alone.zip(lacking) {
            *partner = Some(right);
        }
        let mut taken = vec![false; self.live.len()];
        for right in partner.iter().flatten() {
            taken[*right] = true;
        }
        let pairs = partner.iter().enumerate();
        let only_live = (0..taken.len()).filter(|right| !taken[*right]);
        pairs
            .map(|(left, right)| (Some(left), *right))
            .chain(only_live.map(|right| (None, Some(right))))
            .collect()
    }
}

/// Pairs elements of one text, in order; those without a text stay alone. In the order of the
/// desired list, then what only live has.
fn by_text(full: &[Value], live: &[Value], text: impl Fn(&Value) -> Option<String>) -> Vec<Pair> {
    let mut unmatched: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut matched = vec![false; live.len()];
    for (at, element) in live.iter().enumerate().rev() {
        if let Some(text) = text(element) {
            unmatched.entry(text).or_default().push(at);
        }
    }
    let mut pairs: Vec<Pair> = Vec::with_capacity(full.len().max(live.len()));
    for (at, element) in full.iter().enumerate() {
        let found = text(element).and_then(|text| unmatched.get_mut(&text)?.pop());
        if let Some(found) = found {
            matched[found] = true;
        }
        pairs.push((Some(at), found));
    }
    let alone = matched.iter().enumerate().filter(|(_, matched)| !**matched);
    pairs.extend(alone.map(|(at, _)| (None, Some(at))));
    pairs
}

/// Whether the elements that both sides have stand in another order.
fn is_reordered(pairs: &[Pair]) -> bool {
    let common = pairs.iter().filter_map(|&(left, right)| left.and(right));
    !common.is_sorted()
}
