//! The shape of an object's ownership: who wrote which recorded leaf, without any value.
//!
//! One blob per recorded object in the sidecar (`refs/strandline/owners`). Elements of lists are
//! positions in the recorded file, so that no key or set element, which are values, is in it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use serde_json::value::RawValue;

use super::claims::{Claims, Key, MOST_WRITERS, OVERFLOW};
use super::managers::{Role, role};
use super::moves::Moves;
use super::reported::reported;
use crate::object::Step;

/// The annotation in which `kubectl apply` keeps what it applied:
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-last-applied-configuration>.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Deeper than this a shape does not tell places apart: a reader of JSON takes 128 levels, and a
/// level of an object may take two.
pub(super) const DEEPEST: usize = 48;

/// Who wrote a field, by what means.
///
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldWriter {
    /// The name that the writing program gave itself.
    pub manager: Box<str>,
    /// `Apply` or `Update`.
    pub operation: Box<str>,
    /// `scale`, `status`, …; empty for the object itself.
    pub subresource: Box<str>,
    /// The version that the field set is of.
    pub api_version: Box<str>,
}

/// Why a place of the live object is not in its file, or not as it is live.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mask {
    /// Where; positions count in the recorded file, as far as its lists are there. An element that
    /// is not in its list has a position behind those that are.
    pub path: Vec<Step>,
    /// What was done.
    pub kind: MaskKind,
    /// By which rule.
    pub rule: Box<str>,
}

/// What a mask does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaskKind {
    /// Removed.
    Pruned,
    /// Removed, because the server allocated it.
    Allocated,
    /// A keyed digest, a fixed text, or encrypted.
    Redacted,
}

/// Who has a place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// Indexes into [`Shape::writers`], ascending.
    pub writers: Vec<usize>,
    /// Last-applied has it.
    pub in_last_applied: bool,
}

/// The owners of a place of the recorded object and of what lies in it. Numbers are indexes into
/// [`Shape::marks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The same of all.
    All(usize),
    /// Of an object or map, by key.
    Map(BTreeMap<Box<str>, Owners>),
    /// Of a list's elements, by position.
    List(Vec<Owners>),
    /// Of an element of a list, the element itself aside.
    Element(usize, Box<Owners>),
}

/// Who wrote which leaf of one recorded object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Every writer that reaches a recorded leaf.
    pub writers: Vec<FieldWriter>,
    /// What is not in the file as it is live.
    pub masks: Vec<Mask>,
    /// The object carries a `deletionTimestamp`.
    pub terminating: bool,
    /// The object has a last-applied annotation.
    pub has_last_applied: bool,
    /// What a deployer's own object reports in its status (an Argo CD `Application`, Flux's kinds):
    /// revisions and inventories, and nothing else of it.
    pub reported: Option<Value>,
    /// Sets of writers that own a place together.
    pub marks: Vec<Mark>,
    /// Who owns what; `None` where nobody owns anything.
    pub owners: Option<Owners>,
    /// Some of managedFields cannot be read against the object as it is: what no other entry names
    /// has a writer that is not known.
    pub unreadable: bool,
}

/// When each writer of a [`Shape`] last wrote, by its index there; RFC 3339. Kept apart from the
/// shape, and for people and writers that are not trusted controllers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(pub Vec<Option<Box<str>>>);

/// The owners of a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceOwners {
    /// Indexes into [`Shape::writers`].
    pub writers: Vec<usize>,
    /// Whether last-applied has the place.
    pub in_last_applied: bool,
    /// No entry names it, but an entry of another API version could not be read: the writer is
    /// unknown, which is not the same as unowned.
    pub unknown: bool,
}

impl Shape {
    /// Makes the shape of a live object.
    ///
    /// `managed_fields` and `last_applied` (the annotation's text) are as the server sent them,
    /// `live` the object before the filter and `recorded` after it (before encryption).
    ///
    /// Where the elements of the lists went is told from the two objects. Whoever filters knows
    /// better: [`TypeRules::apply_with_owners`](crate::filter::TypeRules::apply_with_owners).
    pub fn of(
        managed_fields: Option<&RawValue>,
        last_applied: Option<&str>,
        live: &Value,
        recorded: &Value,
        masks: Vec<Mask>,
    ) -> (Self, Times) {
        let reading = Reading::of(managed_fields, last_applied, live, false);
        let moves = Moves::between(live, recorded);
        reading.shape(recorded, &moves, masks)
    }

    /// The owners of a place of the recorded object, or of the nearest place around it that has
    /// any.
    ///
    /// An element of a list is owned by those who own the element itself (`.` in `FieldsV1`), every
    /// other object or list by those who own anything in it.
    pub fn owners(&self, path: &[Step]) -> PlaceOwners {
        let mut at = self.owners.as_ref();
        let mut steps = path.iter();
        loop {
            at = match at {
                Some(Owners::Map(children)) => match steps.next() {
                    Some(Step::Key(key)) => children.get(key),
                    Some(Step::Index(_)) => None,
                    None => break,
                },
                Some(Owners::List(elements)) => match steps.next() {
                    Some(Step::Index(index)) => elements.get(*index),
                    Some(Step::Key(_)) => None,
                    None => break,
                },
                Some(Owners::Element(_, below)) if steps.len() > 0 => Some(below),
                _ => break,
            };
        }
        let mut found = PlaceOwners::default();
        if let Some(owners) = at {
            self.collect(owners, &mut found);
        }
        found.writers.sort_unstable();
        found.writers.dedup();
        found.unknown = found.writers.is_empty() && self.unreadable;
        found
    }

    fn collect(&self, owners: &Owners, into: &mut PlaceOwners) {
        match owners {
            Owners::All(mark) | Owners::Element(mark, _) => {
                if let Some(mark) = self.marks.get(*mark) {
                    into.writers.extend(&mark.writers);
                    into.in_last_applied |= mark.in_last_applied;
                }
            }
            Owners::Map(children) => children.values().for_each(|one| self.collect(one, into)),
            Owners::List(elements) => elements.iter().for_each(|one| self.collect(one, into)),
        }
    }
}

/// What managedFields and last-applied say of a live object, read while it is still whole.
pub struct Reading<'a> {
    claims: Claims<'a>,
    terminating: bool,
    reported: Option<Value>,
}

impl<'a> Reading<'a> {
    /// Reads both texts against the live object. `without_status`: nothing below `status` is
    /// recorded.
    pub fn of(
        managed_fields: Option<&'a RawValue>,
        last_applied: Option<&'a str>,
        live: &Value,
        without_status: bool,
    ) -> Self {
        let text = |value: &Value, field: &str| {
            let text = value.get(field).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let api_version = live.get("apiVersion").and_then(Value::as_str);
        let group = api_version.and_then(|text| text.split_once('/'));
        let deletion = live
            .get("metadata")
            .map(|metadata| text(metadata, "deletionTimestamp"));
        Self {
            claims: Claims::read(managed_fields, last_applied, live, without_status),
            terminating: deletion.is_some_and(|time| !time.is_empty()),
            reported: group.and_then(|(group, _)| {
                let kind = live.get("kind").and_then(Value::as_str)?;
                reported(group, kind, live)
            }),
        }
    }

    /// The shape of what is recorded of the object, `moves` being what the filter did to its lists.
    pub fn shape(self, recorded: &Value, moves: &Moves, mut masks: Vec<Mask>) -> (Shape, Times) {
        masks.sort_unstable();
        masks.dedup();
        let mut walk = Walk {
            claims: &self.claims,
            marks: Vec::new(),
            numbers: HashMap::new(),
        };
        let owners = walk.node(recorded, Some(0), 0, Some(moves), 0, false);
        let marks = walk.marks;
        let used = marks.iter().fold(0, |all, (bits, _)| all | bits);
        let heads = &self.claims.heads;
        let mut writers: Vec<(FieldWriter, usize)> = (0..heads.len())
            .filter(|bit| used >> bit & 1 == 1)
            .map(|bit| {
                let head = &heads[bit];
                let writer = FieldWriter {
                    manager: (*head.manager).into(),
                    operation: (*head.operation).into(),
                    subresource: (*head.subresource).into(),
                    api_version: (*head.api_version).into(),
                };
                (writer, bit)
            })
            .collect();
        writers.sort_unstable();
        let numbers: Vec<usize> = writers.iter().map(|(_, bit)| *bit).collect();
        let marks: Vec<Mark> = marks
            .into_iter()
            .map(|(bits, in_last_applied)| Mark {
                writers: (0..numbers.len())
                    .filter(|&at| bits >> numbers[at] & 1 == 1)
                    .collect(),
                in_last_applied,
            })
            .collect();
        let times = writers
            .iter()
            .map(|(writer, bit)| {
                let time = &heads[*bit].time;
                let shown = matches!(
                    role(writer),
                    Role::Human | Role::Client | Role::Other | Role::Unknown
                );
                (shown && !time.is_empty()).then(|| (**time).into())
            })
            .collect();
        let nobody = marks == [Mark::default()];
        let shape = Shape {
            writers: writers.into_iter().map(|(writer, _)| writer).collect(),
            masks,
            terminating: self.terminating,
            has_last_applied: self.claims.has_last_applied,
            reported: self.reported,
            marks: if nobody { Vec::new() } else { marks },
            owners: if nobody { None } else { Some(owners) },
            unreadable: self.claims.unknown,
        };
        (shape, Times(times))
    }
}

/// One walk over a recorded object.
struct Walk<'c, 'a> {
    claims: &'c Claims<'a>,
    marks: Vec<(u128, bool)>,
    numbers: HashMap<(u128, bool), usize>,
}

impl Walk<'_, '_> {
    fn mark(&mut self, bits: u128, applied: bool) -> usize {
        let mark = (bits & !OVERFLOW, applied);
        // Few, and mostly the same as before.
        if let Some(at) = self.marks.iter().rev().take(4).position(|one| *one == mark) {
            return self.marks.len() - 1 - at;
        }
        *self.numbers.entry(mark).or_insert_with(|| {
            self.marks.push(mark);
            self.marks.len() - 1
        })
    }

    fn node(
        &mut self,
        recorded: &Value,
        claim: Option<u32>,
        inherited: u128,
        moves: Option<&Moves>,
        depth: usize,
        is_element: bool,
    ) -> Owners {
        let claims = self.claims;
        let there = claim.map(|at| claims.claim(at));
        let (own, applied) = there.map_or((0, false), |claim| (claim.own, claim.applied));
        let inherited = match there {
            Some(claim) if claim.whole != 0 && !claim.claimed_below => claim.whole,
            Some(claim) if claim.claimed_below => 0,
            _ => inherited,
        };
        let owners = match recorded {
            Value::Object(map) if !map.is_empty() => {
                if depth >= DEEPEST {
                    return self.all(claim, inherited, applied);
                }
                let mut children = Vec::with_capacity(map.len());
                for (name, value) in map {
                    let below = claim.and_then(|at| claims.child(at, &Key::Field(name.into())));
                    let moves = moves
                        .filter(|moves| !moves.is_empty())
                        .and_then(|moves| moves.child(&Step::Key(name.as_str().into())));
                    let node = self.node(value, below, inherited, moves, depth + 1, false);
                    children.push((name, node));
                }
                match same(children.iter().map(|(_, node)| node)) {
                    Some(mark) => Owners::All(mark),
                    None => Owners::Map(
                        children
                            .into_iter()
                            .map(|(name, node)| (name.as_str().into(), node))
                            .collect(),
                    ),
                }
            }
            Value::Array(list) if !list.is_empty() => {
                if depth >= DEEPEST {
                    return self.all(claim, inherited, applied);
                }
                let mut elements = Vec::with_capacity(list.len());
                for (at, value) in list.iter().enumerate() {
                    let live = moves.map_or(at, |moves| moves.live(at));
                    let below = claim.and_then(|at| claims.child(at, &Key::Index(live)));
                    let moves = moves
                        .filter(|moves| !moves.is_empty())
                        .and_then(|moves| moves.child(&Step::Index(live)));
                    elements.push(self.node(value, below, inherited, moves, depth + 1, true));
                }
                match same(elements.iter()) {
                    Some(mark) => Owners::All(mark),
                    None => Owners::List(elements),
                }
            }
            Value::String(_) if own == 0 && there.is_some_and(|claim| claim.claimed_below) => {
                // A text in the place of what was redacted whole.
                return self.all(claim, inherited, applied);
            }
            _ => {
                let bits = if own == 0 { inherited } else { own };
                return Owners::All(self.mark(bits, applied));
            }
        };
        if !is_element || own == 0 {
            return owners;
        }
        let itself = self.mark(own, applied);
        if owners == Owners::All(itself) {
            return owners;
        }
        Owners::Element(itself, Box::new(owners))
    }

    fn all(&mut self, claim: Option<u32>, inherited: u128, applied: bool) -> Owners {
        let below = claim.map_or(0, |at| self.claims.all_below(at));
        let bits = if below == 0 { inherited } else { below };
        Owners::All(self.mark(bits, applied))
    }
}

/// The one mark of all nodes.
fn same<'o>(mut nodes: impl Iterator<Item = &'o Owners>) -> Option<usize> {
    let Some(Owners::All(first)) = nodes.next() else {
        return None;
    };
    nodes
        .all(|node| *node == Owners::All(*first))
        .then_some(*first)
}

const _: () = assert!(MOST_WRITERS < 128);
