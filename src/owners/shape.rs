//! The shape of an object's ownership: who wrote which recorded leaf, without any value.
//!
//! One blob per recorded object in the sidecar (`refs/strandline/owners`). Elements of lists are
//! positions in the recorded file, so that no key or set element, which are values, is in it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use serde_json::value::RawValue;

use super::claims::{Claim, Claims, Head, Place, Places, Step as At};
use super::codec::{Out, encode_times};
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

/// A shape and its times as the sidecar keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// [`Shape::encode`].
    pub owners: Vec<u8>,
    /// [`Times::encode`]; empty where nobody's time is kept.
    pub times: Vec<u8>,
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
        let api_version = live.get("apiVersion").and_then(Value::as_str);
        let group = api_version.and_then(|text| text.split_once('/'));
        let metadata = live.get("metadata");
        let deletion = metadata.and_then(|metadata| metadata.get("deletionTimestamp")?.as_str());
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
    pub fn shape(self, recorded: &Value, moves: &Moves, masks: Vec<Mask>) -> (Shape, Times) {
        let Encoded { owners, times } = self.encode(recorded, moves, masks);
        let shape = Shape::decode(&owners).unwrap_or_default();
        let nobody = || Times(vec![None; shape.writers.len()]);
        let times = Times::decode(&times).unwrap_or_else(nobody);
        (shape, times)
    }

    /// The same as [`Shape::encode`] and [`Times::encode`] write it, without building it first. No
    /// byte of times where there is none.
    pub fn encode(self, recorded: &Value, moves: &Moves, mut masks: Vec<Mask>) -> Encoded {
        masks.sort_unstable();
        masks.dedup();
        let claims = &self.claims;
        let mut out = Out::new();
        out.begin(claims.has_last_applied, &masks);
        let (marks, used) = Walk::over(claims, recorded, moves, &mut out);
        let heads = &claims.heads;
        let mut writers: Vec<usize> = (0..heads.len())
            .filter(|bit| used >> bit & 1 == 1)
            .collect();
        let identity = |&bit: &usize| {
            let Head {
                manager,
                operation,
                subresource,
                api_version,
                ..
            } = &heads[bit];
            [manager, operation, subresource, api_version].map(|text| &**text)
        };
        writers.sort_unstable_by_key(identity);
        out.reported(self.reported.as_ref());
        if !marks.is_empty() {
            out.marks(marks.iter().map(|(bits, in_last_applied)| {
                let numbers = writers.iter().enumerate();
                let has =
                    move |(number, bit): (usize, &usize)| (bits >> bit & 1 == 1).then_some(number);
                (*in_last_applied, numbers.filter_map(has))
            }));
        }
        out.flags(self.terminating, claims.unknown);
        if !writers.is_empty() {
            out.writers(writers.iter().map(identity));
        }
        let times = writers.iter().map(|&bit| {
            let head = &heads[bit];
            let shown = matches!(
                role(&head.manager, &head.operation, &head.subresource),
                Role::Human | Role::Client | Role::Other | Role::Unknown
            );
            (shown && !head.time.is_empty()).then_some(&*head.time)
        });
        Encoded {
            owners: out.end(),
            times: encode_times(times),
        }
    }
}

/// Up to so many marks are looked through.
const FEW: usize = 12;

/// One walk over a recorded object, which writes down the owners of its places.
struct Walk<'c, 'a> {
    claims: &'c Claims<'a>,
    places: Places,
    marks: Vec<(u128, bool)>,
    /// Of the marks, once they are many.
    numbers: HashMap<(u128, bool), usize>,
    out: &'c mut Out,
}

impl<'c, 'a> Walk<'c, 'a> {
    /// Writes the owners, unless nobody owns anything. Returns the marks, and the bits of all writers
    /// in them.
    fn over(
        claims: &'c Claims<'a>,
        recorded: &Value,
        moves: &Moves,
        out: &'c mut Out,
    ) -> (Vec<(u128, bool)>, u128) {
        let before = out.len();
        out.field("o");
        let mut walk = Walk {
            claims,
            places: Places::of(claims),
            marks: Vec::with_capacity(8),
            numbers: HashMap::new(),
            out,
        };
        let root = walk.places.root(claims);
        let moves = Some(moves).filter(|moves| !moves.is_empty());
        walk.node(recorded, root, 0, moves, 0, false);
        if walk.marks == [(0, false)] {
            walk.out.truncate(before);
            return (Vec::new(), 0);
        }
        let used = walk.marks.iter().fold(0, |all, (bits, _)| all | bits);
        (walk.marks, used)
    }

    fn mark(&mut self, bits: u128, applied: bool) -> usize {
        let mark = (bits, applied);
        // Few, and mostly one of the last.
        if let Some(at) = self
            .marks
            .iter()
            .rev()
            .take(FEW)
            .position(|one| *one == mark)
        {
            return self.marks.len() - 1 - at;
        }
        if self.marks.len() < FEW {
            self.marks.push(mark);
            return self.marks.len() - 1;
        }
        if self.numbers.is_empty() {
            let numbers = self.marks.iter().enumerate();
            self.numbers = numbers.map(|(at, mark)| (*mark, at)).collect();
        }
        *self.numbers.entry(mark).or_insert_with(|| {
            self.marks.push(mark);
            self.marks.len() - 1
        })
    }

    /// Writes down a place; returns the mark of all that is in it, where it is one.
    fn node(
        &mut self,
        recorded: &Value,
        place: Place,
        inherited: u128,
        moves: Option<&Moves>,
        depth: usize,
        is_element: bool,
    ) -> Option<usize> {
        let claim = self.places.claim(self.claims, place);
        let inherited = match claim {
            Claim {
                claimed_below: true,
                ..
            } => 0,
            Claim { whole: 0, .. } => inherited,
            Claim { whole, .. } => whole,
        };
        let holds_more = match recorded {
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            // A text in the place of what was redacted whole.
            Value::String(_) if claim.own == 0 && claim.claimed_below => {
                return Some(self.all(place, inherited, claim.applied));
            }
            _ => false,
        };
        if !holds_more {
            let bits = if claim.own == 0 { inherited } else { claim.own };
            return Some(self.leaf(bits, claim.applied));
        }
        let named_below = claim.claimed_below || claim.applied;
        if !named_below && (!is_element || claim.own == 0) {
            return Some(self.leaf(inherited, false));
        }
        if depth >= DEEPEST {
            return Some(self.all(place, inherited, claim.applied));
        }
        let start = self.out.len();
        let itself = (is_element && claim.own != 0).then(|| self.mark(claim.own, claim.applied));
        if let Some(itself) = itself {
            self.out.begin_element(itself);
        }
        let below = self.out.len();
        let same = match recorded {
            Value::Object(map) => self.map(map, place, inherited, moves, depth),
            Value::Array(list) => self.list(list, place, inherited, moves, depth),
            _ => None,
        };
        let Some(mark) = same else {
            if itself.is_some() {
                self.out.byte(b']');
            }
            return None;
        };
        if itself.is_some_and(|itself| itself != mark) {
            self.out.truncate(below);
            self.out.number(mark);
            self.out.byte(b']');
            return None;
        }
        self.out.truncate(start);
        self.out.number(mark);
        Some(mark)
    }

    /// Writes down an object's fields; returns the one mark of all.
    fn map(
        &mut self,
        map: &serde_json::Map<String, Value>,
        place: Place,
        inherited: u128,
        moves: Option<&Moves>,
        depth: usize,
    ) -> Option<usize> {
        let mut same = Same::Nothing;
        self.out.byte(b'{');
        for (name, value) in map {
            if !same.is_first() {
                self.out.byte(b',');
            }
            self.out.text(name);
            self.out.byte(b':');
            let moves = moves.and_then(|moves| moves.child(&Step::Key(name.as_str().into())));
            let child = self.places.child(self.claims, place, At::Field(name));
            same.add(self.node(value, child, inherited, moves, depth + 1, false));
            self.places.leave(child);
        }
        self.out.byte(b'}');
        same.mark()
    }

    /// Writes down a list's elements; returns the one mark of all.
    fn list(
        &mut self,
        list: &[Value],
        place: Place,
        inherited: u128,
        moves: Option<&Moves>,
        depth: usize,
    ) -> Option<usize> {
        let mut same = Same::Nothing;
        self.out.byte(b'[');
        for (at, value) in list.iter().enumerate() {
            if at > 0 {
                self.out.byte(b',');
            }
            let live = moves.map_or(at, |moves| moves.live(at));
            let moves = moves.and_then(|moves| moves.child(&Step::Index(live)));
            let child = self.places.child(self.claims, place, At::Index(live));
            same.add(self.node(value, child, inherited, moves, depth + 1, true));
            self.places.leave(child);
        }
        self.out.byte(b']');
        same.mark()
    }

    fn leaf(&mut self, bits: u128, applied: bool) -> usize {
        let mark = self.mark(bits, applied);
        self.out.number(mark);
        mark
    }

    fn all(&mut self, place: Place, inherited: u128, applied: bool) -> usize {
        let below = self.places.all_below(self.claims, place);
        let bits = if below == 0 { inherited } else { below };
        self.leaf(bits, applied)
    }
}

/// Whether children have one mark.
#[derive(Clone, Copy)]
enum Same {
    Nothing,
    All(usize),
    Not,
}

impl Same {
    fn is_first(self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn add(&mut self, mark: Option<usize>) {
        *self = match (*self, mark) {
            (Self::Nothing, Some(mark)) => Self::All(mark),
            (Self::All(all), Some(mark)) if all == mark => Self::All(all),
            _ => Self::Not,
        };
    }

    fn mark(self) -> Option<usize> {
        match self {
            Self::All(mark) => Some(mark),
            _ => None,
        }
    }
}
