//! What managedFields and last-applied say of a live object, at the places of the object itself.
//!
//! Each entry, and last-applied, becomes a tree of the places that it names and the object has; what
//! the object has not is stepped over. No value is kept: elements of lists are positions. Who has a
//! place is found by going down all trees at once ([`Places`]).

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::iter::Peekable;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::elements::{Elements, Keys, names_index, plain_key};
use super::tape::{At, Kind, Tape};

/// More writers than any server keeps (ten of `Update`, and one of `Apply` for each that applies).
/// Places that those behind them name have a writer that is not known.
pub(super) const MOST_WRITERS: usize = 128;
/// More places than entries name that fit into an object that a server takes; one with many
/// elements of one key may make them name more.
const MOST_PLACES: usize = 1 << 19;
/// In place of a writer's number: it is last-applied.
const APPLIED: u8 = u8::MAX;

/// The head of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head<'a> {
    pub(super) manager: Cow<'a, str>,
    pub(super) operation: Cow<'a, str>,
    pub(super) subresource: Cow<'a, str>,
    pub(super) api_version: Cow<'a, str>,
    pub(super) time: Cow<'a, str>,
}

impl Head<'_> {
    fn same_writer(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && self.api_version == other.api_version
    }
}

/// One step of a claimed path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Field(Cow<'a, str>),
    /// A position in the live list.
    Index(usize),
}

/// A step of the path of a place that is looked for.
#[derive(Clone, Copy)]
pub(super) enum Step<'k> {
    Field(&'k str),
    /// A position in the live list.
    Index(usize),
}

impl Step<'_> {
    fn is(self, key: &Key<'_>) -> bool {
        match (self, key) {
            (Step::Field(name), Key::Field(key)) => name == key,
            (Step::Index(index), Key::Index(key)) => index == *key,
            _ => false,
        }
    }

    fn is_behind(self, key: &Key<'_>) -> bool {
        match (self, key) {
            (Step::Field(name), Key::Field(key)) => **key < *name,
            (Step::Index(index), Key::Index(key)) => *key < index,
            _ => false,
        }
    }
}

/// A place that an entry or last-applied names, and that the live object has.
struct Node<'a> {
    key: Key<'a>,
    /// Its children: a range of [`Claims::children`], in the order of their keys.
    first: u32,
    end: u32,
    /// The place itself is named.
    own: bool,
    /// It is, and nothing in it.
    whole: bool,
    /// How the entry tells the elements of the list apart: an index into [`Claims::lists`].
    list: u32,
}

/// How the entries tell the elements of a list apart.
enum ListKeys {
    Fields(Vec<Box<str>>),
    Values,
}

/// The claims on one live object.
pub(super) struct Claims<'a> {
    nodes: Vec<Node<'a>>,
    children: Vec<u32>,
    lists: Vec<ListKeys>,
    /// The trees, each with its writer's number.
    roots: Vec<(u32, u8)>,
    /// By number.
    pub(super) heads: Vec<Head<'a>>,
    /// An entry of another API version, or one that cannot be read, has places that the live
    /// object has not.
    pub(super) unknown: bool,
    pub(super) has_last_applied: bool,
}

const NONE: u32 = u32::MAX;

thread_local! {
    /// Room for the places of the next object: each is read and let go, and allocations of this
    /// size cost as much as reading does.
    static ROOM: Cell<(Vec<Node<'static>>, Vec<u32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// No more room than this is kept.
const MOST_ROOM: usize = 1 << 13;

/// An empty vector's allocation for nodes of another text. Collecting in place keeps it; where that
/// should not be so, nothing but time is lost.
fn recycled<'b>(mut nodes: Vec<Node<'_>>) -> Vec<Node<'b>> {
    nodes.clear();
    nodes.into_iter().map_while(|_| None).collect()
}

fn number(count: usize) -> u32 {
    // A text of 4 GiB is not read, and names less.
    u32::try_from(count).unwrap_or(NONE)
}

impl<'a> Claims<'a> {
    /// Reads both texts. `skip_status` leaves out what is below `status`.
    pub(super) fn read(
        managed_fields: Option<&'a RawValue>,
        last_applied: Option<&'a str>,
        live: &Value,
        skip_status: bool,
    ) -> Self {
        let (nodes, mut children) = ROOM.take();
        children.clear();
        let mut claims = Self {
            nodes: recycled(nodes),
            children,
            lists: Vec::new(),
            roots: Vec::with_capacity(4),
            heads: Vec::with_capacity(4),
            unknown: false,
            has_last_applied: last_applied.is_some(),
        };
        if let Some(raw) = managed_fields {
            // Who wrote what is then not known; that nobody did is not known either.
            claims.unknown |= claims.read_entries(raw.get(), live, skip_status).is_none();
            claims.join_equal_writers();
        }
        // What is not JSON applied nothing.
        if let Some(tape) = last_applied.and_then(Tape::of) {
            claims.read_applied(&tape, live);
        }
        claims
    }

    /// Returns `None` where the entries cannot be read, or not all of them.
    fn read_entries(&mut self, text: &'a str, live: &Value, skip_status: bool) -> Option<()> {
        let tape = Tape::of(text)?;
        if tape.kind(At::ROOT) != Kind::Array {
            return None;
        }
        let version = live.get("apiVersion").and_then(Value::as_str);
        // Two tokens are one place, as a rule.
        let places = (tape.len() / 2).min(MOST_PLACES);
        self.nodes.reserve(places);
        self.children.reserve(places);
        let mut pending = Vec::with_capacity(32);
        let mut found = Vec::with_capacity(8);
        for entry in tape.elements(At::ROOT) {
            if tape.kind(entry) != Kind::Object || self.heads.len() == MOST_WRITERS {
                return None;
            }
            let mut head = Head::default();
            let mut fields = None;
            for (key, value) in tape.entries(entry) {
                let text = match &*tape.string(key)? {
                    "fieldsV1" => {
                        fields = Some(value);
                        continue;
                    }
                    "manager" => &mut head.manager,
                    "operation" => &mut head.operation,
                    "subresource" => &mut head.subresource,
                    "apiVersion" => &mut head.api_version,
                    "time" => &mut head.time,
                    _ => continue,
                };
                *text = match tape.kind(value) {
                    Kind::Null => Cow::Borrowed(""),
                    _ => tape.string(value)?,
                };
            }
            let mut reading = Fields {
                claims: &mut *self,
                tape: &tape,
                skip_status,
                unresolved: false,
                pending: &mut pending,
                found: &mut found,
            };
            let root = match fields {
                Some(fields) => reading.read(Key::Index(0), fields, live, true),
                None => None,
            };
            let (readable, unresolved) = (root.is_some() || fields.is_none(), reading.unresolved);
            pending.clear();
            found.clear();
            self.unknown |= !readable || (unresolved && version != Some(&*head.api_version));
            if let Some(root) = root {
                // An entry without any field has none, not all.
                let node = &mut self.nodes[root as usize];
                (node.own, node.whole) = (false, false);
                let bit = u8::try_from(self.heads.len()).unwrap_or_default();
                self.roots.push((root, bit));
            }
            self.heads.push(head);
        }
        Some(())
    }

    /// Gives entries of one writer (old servers kept one for each time) one number.
    fn join_equal_writers(&mut self) {
        for at in 1..self.heads.len() {
            let same = (0..at).find(|&b| self.heads[b].same_writer(&self.heads[at]));
            let Some(same) = same else { continue };
            let time = self.heads[at].time.clone();
            if time > self.heads[same].time {
                self.heads[same].time = time;
            }
            for (_, bit) in &mut self.roots {
                if usize::from(*bit) == at {
                    *bit = u8::try_from(same).unwrap_or_default();
                }
            }
        }
    }

    fn read_applied(&mut self, tape: &Tape<'a>, live: &Value) {
        let mut places = Places::of(self);
        let around = places.root(self);
        let mut reading = Applied {
            claims: self,
            tape,
            places: &mut places,
            pending: Vec::with_capacity(32),
        };
        if let Some(root) = reading.read(Key::Index(0), At::ROOT, live, around, true) {
            self.roots.push((root, APPLIED));
        }
    }

    /// Adds a node; its children are the last of `pending`, from `from` on.
    fn add(
        &mut self,
        key: Key<'a>,
        (own, whole): (bool, bool),
        list: u32,
        pending: &mut Vec<u32>,
        from: usize,
    ) -> u32 {
        let nodes = &self.nodes;
        let below = &mut pending[from..];
        let key_of = |child: &u32| &nodes[*child as usize].key;
        // A server sends fields in order, elements by their keys.
        if !below.is_sorted_by_key(key_of) {
            below.sort_by(|a, b| key_of(a).cmp(key_of(b)));
        }
        let first = number(self.children.len());
        self.children.extend_from_slice(below);
        pending.truncate(from);
        let at = number(self.nodes.len());
        self.nodes.push(Node {
            key,
            first,
            end: number(self.children.len()),
            own,
            whole,
            list,
        });
        at
    }

    fn note(&mut self, keys: ListKeys) -> u32 {
        self.lists.push(keys);
        number(self.lists.len() - 1)
    }

    fn children(&self, of: u32) -> &[u32] {
        let node = &self.nodes[of as usize];
        &self.children[node.first as usize..node.end as usize]
    }

    fn owns_below(&self, at: u32) -> bool {
        let below = || self.children(at).iter();
        self.nodes[at as usize].own || below().any(|&child| self.owns_below(child))
    }
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        if self.nodes.capacity() <= MOST_ROOM {
            let nodes = recycled(std::mem::take(&mut self.nodes));
            ROOM.set((nodes, std::mem::take(&mut self.children)));
        }
    }
}

/// Reads one entry's `FieldsV1`.
struct Fields<'c, 'a, 't> {
    claims: &'c mut Claims<'a>,
    tape: &'t Tape<'a>,
    skip_status: bool,
    /// It names what the live object has not.
    unresolved: bool,
    /// Children of places that are still being read.
    pending: &'c mut Vec<u32>,
    /// Elements that are still being read.
    found: &'c mut Vec<usize>,
}

impl<'a> Fields<'_, 'a, '_> {
    /// One place and what is below; `None` where it is no field set.
    fn read(&mut self, key: Key<'a>, at: At, live: &Value, is_root: bool) -> Option<u32> {
        let readable = matches!(self.tape.kind(at), Kind::Object | Kind::Null);
        if !readable || self.claims.nodes.len() >= MOST_PLACES {
            return None;
        }
        let from = self.pending.len();
        let (mut itself, mut below) = (false, false);
        let mut list = NONE;
        let mut elements = None;
        let mut live_fields = InOrder::of(live);
        let tape = self.tape;
        for (name, fields) in tape.entries(at) {
            if let Some((field, text)) = tape.escaped(name).and_then(plain_key)
                && let Value::Array(live) = live
            {
                below = true;
                if list == NONE && self.claims.has_last_applied {
                    list = self.claims.note(ListKeys::Fields(vec![field.into()]));
                }
                let from = self.found.len();
                let elements = elements.get_or_insert_with(|| Elements::of(live));
                elements.with_text(field, text, self.found);
                self.elements(from, fields, live)?;
                continue;
            }
            let name = tape.string(name)?;
            if name == "." {
                itself = true;
                continue;
            }
            below = true;
            match (name.as_bytes(), live) {
                ([b'f', b':', ..], Value::Object(_)) => {
                    let name = behind(name);
                    if is_root && self.skip_status && name == "status" {
                        continue;
                    }
                    match live_fields.get(&name) {
                        Some(live) => {
                            let child = self.read(Key::Field(name), fields, live, false)?;
                            self.pending.push(child);
                        }
                        None => self.unresolved = true,
                    }
                }
                ([kind @ (b'k' | b'v' | b'i'), b':', ..], Value::Array(live)) => {
                    let rest = &name[2..];
                    if list == NONE && self.claims.has_last_applied {
                        list = self.note_list(*kind, rest);
                    }
                    let from = self.found.len();
                    let elements = elements.get_or_insert_with(|| Elements::of(live));
                    elements.find(*kind, rest, self.found);
                    self.elements(from, fields, live)?;
                }
                _ => self.unresolved = true,
            }
        }
        let named = (itself || !below, !itself && !below);
        let pending = &mut *self.pending;
        Some(self.claims.add(key, named, list, pending, from))
    }

    /// The elements that were found, from `from` on. Duplicate keys are legal in what was not
    /// applied by the server.
    fn elements(&mut self, from: usize, fields: At, live: &[Value]) -> Option<()> {
        let end = self.found.len();
        self.unresolved |= from == end;
        for at in from..end {
            let index = self.found[at];
            let child = self.read(Key::Index(index), fields, &live[index], false)?;
            self.pending.push(child);
        }
        self.found.truncate(from);
        Some(())
    }

    /// How the list's elements are told apart, for last-applied.
    fn note_list(&mut self, kind: u8, rest: &str) -> u32 {
        let keys = match kind {
            b'k' => {
                let Some(keys) = Keys::of(rest) else {
                    return NONE;
                };
                ListKeys::Fields(keys.0.iter().map(|(name, _)| (**name).into()).collect())
            }
            b'v' => ListKeys::Values,
            _ => return NONE,
        };
        self.claims.note(keys)
    }
}

/// Finds the fields of an object that are asked for in their order without a search.
struct InOrder<'v> {
    map: Option<&'v Map<String, Value>>,
    rest: Option<Peekable<serde_json::map::Iter<'v>>>,
}

impl<'v> InOrder<'v> {
    fn of(value: &'v Value) -> Self {
        let map = value.as_object();
        Self {
            map,
            rest: map.map(|map| map.iter().peekable()),
        }
    }

    fn get(&mut self, name: &str) -> Option<&'v Value> {
        let rest = self.rest.as_mut()?;
        while let Some((key, value)) = rest.peek() {
            match key.as_str().cmp(name) {
                Ordering::Less => rest.next(),
                Ordering::Equal => return Some(value),
                Ordering::Greater => break,
            };
        }
        // Somebody keeps another order.
        self.map?.get(name)
    }
}

/// The name behind `f:`.
fn behind(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[2..]),
        Cow::Owned(mut name) => {
            name.drain(..2);
            Cow::Owned(name)
        }
    }
}

/// Reads last-applied.
struct Applied<'c, 'a, 't> {
    claims: &'c mut Claims<'a>,
    tape: &'t Tape<'a>,
    /// What the entries have there.
    places: &'c mut Places,
    pending: Vec<u32>,
}

impl<'a> Applied<'_, 'a, '_> {
    /// One value; `None` for null, which was not asked for.
    fn read(
        &mut self,
        key: Key<'a>,
        at: At,
        live: &Value,
        place: Place,
        is_root: bool,
    ) -> Option<u32> {
        let tape = self.tape;
        let from = self.pending.len();
        match (tape.kind(at), live) {
            (Kind::Null, _) => return None,
            (Kind::Object, Value::Object(fields)) => {
                let is_secret =
                    is_root && fields.get("kind").and_then(Value::as_str) == Some("Secret");
                let mut live_fields = InOrder::of(live);
                for (name, value) in tape.entries(at) {
                    let Some(mut name) = tape.string(name) else {
                        continue;
                    };
                    if is_secret && name == "stringData" {
                        // The server writes it to `data`.
                        name = Cow::Borrowed("data");
                    }
                    if let Some(live) = live_fields.get(&name) {
                        let below = self.places.child(self.claims, place, Step::Field(&name));
                        self.child(Key::Field(name), value, live, below);
                    }
                }
            }
            (Kind::Array, Value::Array(list)) => {
                let positions = self.positions(at, list, place);
                for (element, position) in tape.elements(at).zip(positions) {
                    if let Some(index) = position {
                        let below = self.places.child(self.claims, place, Step::Index(index));
                        self.child(Key::Index(index), element, &list[index], below);
                    }
                }
            }
            _ => {}
        }
        let pending = &mut self.pending;
        Some(self.claims.add(key, (false, false), NONE, pending, from))
    }

    fn child(&mut self, key: Key<'a>, at: At, live: &Value, place: Place) {
        let child = self.read(key, at, live, place, false);
        self.places.leave(place);
        self.pending.extend(child);
    }

    /// The live position of each element.
    fn positions(&self, at: At, live: &[Value], place: Place) -> Vec<Option<usize>> {
        let tape = self.tape;
        let mut elements = Elements::of(live);
        let keys = self.places.list(self.claims, place);
        match keys.and_then(|at| self.claims.lists.get(at as usize)) {
            Some(ListKeys::Fields(keys)) => {
                let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
                elements.place(tape, tape.elements(at), &keys)
            }
            Some(ListKeys::Values) => elements.place_values(tape, tape.elements(at)),
            None if names_index(live) => elements.place(tape, tape.elements(at), &["name"]),
            None => {
                let positions = (0..live.len()).map(Some);
                positions
                    .chain(std::iter::repeat(None))
                    .take(tape.elements(at).count())
                    .collect()
            }
        }
    }
}

/// A way down all trees at once: what each has at the places from the root to here.
pub(super) struct Places(Vec<Active>);

/// What the trees have at a place: a range of [`Places`].
#[derive(Clone, Copy)]
pub(super) struct Place {
    first: usize,
    end: usize,
}

#[derive(Clone, Copy)]
struct Active {
    node: u32,
    bit: u8,
    /// The child that is asked for next, most likely: objects are walked in order.
    next: u32,
}

/// Who has a place.
#[derive(Clone, Copy, Default)]
pub(super) struct Claim {
    /// Some tree has it.
    pub(super) any: bool,
    /// Entries that have the place itself.
    pub(super) own: u128,
    /// Those of them that say nothing of what lies in it.
    pub(super) whole: u128,
    /// Some entry names a place within.
    pub(super) claimed_below: bool,
    /// Last-applied has it.
    pub(super) applied: bool,
}

impl Places {
    /// Nowhere yet.
    pub(super) fn of(claims: &Claims<'_>) -> Self {
        Self(Vec::with_capacity(claims.roots.len() * 12))
    }

    /// The whole object.
    pub(super) fn root(&mut self, claims: &Claims<'_>) -> Place {
        self.0.clear();
        let roots = claims.roots.iter();
        self.0
            .extend(roots.map(|&(node, bit)| Active { node, bit, next: 0 }));
        Place {
            first: 0,
            end: self.0.len(),
        }
    }

    /// A child of a place; to be [left](Self::leave) before its siblings are asked for.
    pub(super) fn child(&mut self, claims: &Claims<'_>, of: Place, step: Step<'_>) -> Place {
        let first = self.0.len();
        for at in of.first..of.end {
            let active = self.0[at];
            let children = claims.children(active.node);
            let key = |child: u32| &claims.nodes[child as usize].key;
            let mut next = active.next as usize;
            if !children.get(next).is_some_and(|&child| step.is(key(child))) {
                next = children.partition_point(|&child| step.is_behind(key(child)));
            }
            // The same place may be named twice.
            while let Some(&child) = children.get(next).filter(|&&child| step.is(key(child))) {
                self.0.push(Active {
                    node: child,
                    bit: active.bit,
                    next: 0,
                });
                next += 1;
            }
            self.0[at].next = number(next);
        }
        Place {
            first,
            end: self.0.len(),
        }
    }

    /// Goes back to before [`Self::child`].
    pub(super) fn leave(&mut self, place: Place) {
        self.0.truncate(place.first);
    }

    pub(super) fn claim(&self, claims: &Claims<'_>, at: Place) -> Claim {
        let mut claim = Claim::default();
        for active in &self.0[at.first..at.end] {
            claim.any = true;
            if active.bit == APPLIED {
                claim.applied = true;
                continue;
            }
            let node = &claims.nodes[active.node as usize];
            let bit = 1 << active.bit;
            claim.own |= if node.own { bit } else { 0 };
            claim.whole |= if node.whole { bit } else { 0 };
            claim.claimed_below |= node.first < node.end;
        }
        claim
    }

    /// Who has the place, or anything in it.
    pub(super) fn all_below(&self, claims: &Claims<'_>, at: Place) -> u128 {
        self.0[at.first..at.end]
            .iter()
            .filter(|active| active.bit != APPLIED && claims.owns_below(active.node))
            .fold(0, |all, active| all | 1 << active.bit)
    }

    /// How the first entry that says so tells the elements of the list apart.
    fn list(&self, claims: &Claims<'_>, at: Place) -> Option<u32> {
        let lists = self.0[at.first..at.end].iter();
        let mut lists = lists.map(|active| claims.nodes[active.node as usize].list);
        lists.find(|&list| list != NONE)
    }
}

const _: () = assert!(MOST_WRITERS <= u128::BITS as usize && MOST_WRITERS <= APPLIED as usize);
