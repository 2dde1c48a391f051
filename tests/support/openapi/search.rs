//! Finds objects of one kind that together set what can be set.
//!
//! Every leaf that is still to be covered is put into one object; what the server says of it moves
//! leaves on: to the next guess, to the next element of their list, to the next object. What no
//! company helps is tried alone, and the server's last word on it is kept.

use std::collections::HashMap;

use serde_json::Value;

use super::draft::{Draft, Slot, lookup};
use super::http::{Answer, Api};
use super::path::{Key, Path, Step, field, parse, show};
use super::safe::{self, Place};
use super::schema::{Leaf, Node, Shape};
use super::values::{self, Facts};
use crate::support::Result;

/// Requests for one object before it is given up.
const PATIENCE: usize = 90;
/// Elements that a leaf may try in one list: more than the members of any union.
const ELEMENTS: usize = 42;
/// A cause that speaks of more leaves than this says little of any.
const CROWD: usize = 60;
/// How many objects may be tried for one leaf alone.
const ALONE: usize = 3;

/// What is known of a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Covered,
    /// Accepted, and read back without it (or with another value).
    Dropped,
}

/// What the server said against a leaf.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    pub reason: String,
    pub message: String,
    /// The place that it named.
    pub at: Vec<Step>,
}

impl Refusal {
    /// Whether it forbids the place whatever stands there and beside it.
    pub fn is_final(&self) -> bool {
        let words = self.message.split_once("orbidden: ");
        let words = words.map_or(self.message.as_str(), |(_, words)| words);
        let conditions =
            ["when", "if", "unless", "mutual", "without", "more than", "both", "only", "other", "also"];
        let conditional = conditions.iter().any(|word| {
            let mut parts = words.split(|c: char| !c.is_ascii_alphanumeric() && c != ' ');
            parts.any(|part| format!(" {part} ").contains(&format!(" {word} ")))
        });
        let forbidden = self.reason == "FieldValueForbidden" || words.contains("must not be set");
        forbidden && !conditional
    }
}

#[derive(Clone, Debug)]
pub struct LeafState {
    pub steps: Vec<Step>,
    pub state: State,
    /// The last refusal.
    pub refusal: Option<Refusal>,
    /// How often it was forbidden for good in company.
    bans: usize,
    /// Values that it takes, as it said.
    choices: Vec<Value>,
    drops: usize,
}

/// One accepted object.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub draft: Draft,
    pub number: usize,
    pub object: Value,
    /// Which leaves it covered, with their places in the object.
    pub covers: Vec<(usize, Path)>,
}

/// The search for one kind.
pub struct Search<'a> {
    pub api: &'a Api,
    pub place: &'a Place,
    pub root: Node,
    pub leaves: Vec<LeafState>,
    pub accepted: Vec<Accepted>,
    index: HashMap<Vec<Step>, usize>,
    next: usize,
}

/// Why an object could not be had.
struct Stuck(Refusal);

impl<'a> Search<'a> {
    pub fn new(api: &'a Api, place: &'a Place, root: Node) -> Self {
        let leaves: Vec<LeafState> = root
            .leaves()
            .into_iter()
            .map(|(steps, node)| LeafState {
                steps,
                state: State::Open,
                refusal: None,
                bans: 0,
                choices: match &node.shape {
                    Shape::Leaf(Leaf::Text(choices)) => choices.clone(),
                    _ => Vec::new(),
                },
                drops: 0,
            })
            .collect();
        let index = leaves
            .iter()
            .enumerate()
            .map(|(at, leaf)| (leaf.steps.clone(), at))
            .collect();
        Self {
            api,
            place,
            root,
            leaves,
            accepted: Vec::new(),
            index,
            next: 0,
        }
    }

    fn open(&self) -> Vec<usize> {
        let open = |at: &usize| self.leaves[*at].state == State::Open;
        (0..self.leaves.len()).filter(open).collect()
    }

    /// Covers what can be covered. `seeds` are slots that another kind accepted, at their places
    /// in this one.
    pub fn run(&mut self, seeds: &[(usize, Vec<(Path, Slot)>)]) -> Result<()> {
        for (number, slots) in seeds {
            self.next = *number;
            let mut draft = self.base();
            for (path, slot) in slots {
                let leaf = self.index.get(&self.root.steps(path)).copied();
                if let Some(leaf) = leaf {
                    let slot = Slot { leaf, ..slot.clone() };
                    draft.slots.insert(path.clone(), slot);
                }
            }
            let _settled = self.settle(draft, false)?;
        }
        let mut idle = 0;
        while idle < 2 {
            let mut open = self.open();
            if open.is_empty() {
                return Ok(());
            }
            let before = open.len();
            open.retain(|leaf| self.leaves[*leaf].bans < 2);
            self.cover(&open)?;
            if self.open().len() == before {
                idle += 1;
            } else {
                idle = 0;
            }
        }
        let mut forbidden: Vec<Refusal> = Vec::new();
        for leaf in self.open() {
            let steps = &self.leaves[leaf].steps;
            if let Some(known) = forbidden.iter().find(|known| steps.starts_with(&known.at)) {
                self.leaves[leaf].refusal = Some(known.clone());
                continue;
            }
            for _ in 0..ALONE {
                self.cover(&[leaf])?;
                let leaf = &self.leaves[leaf];
                let refusal = leaf.refusal.clone().filter(Refusal::is_final);
                if leaf.state == State::Open && let Some(refusal) = refusal {
                    forbidden.push(refusal);
                    break;
                } else if leaf.state != State::Open {
                    break;
                }
            }
        }
        for leaf in &mut self.leaves {
            if leaf.state == State::Open && leaf.drops > 0 && leaf.refusal.is_none() {
                leaf.state = State::Dropped;
            }
        }
        Ok(())
    }

    /// Tries leaves in one object, and where the server gives no hint, in two.
    fn cover(&mut self, leaves: &[usize]) -> Result<()> {
        if leaves.is_empty() {
            return Ok(());
        }
        let mut draft = self.base();
        for leaf in leaves {
            let path = self.first_place(*leaf);
            self.insert(&mut draft, path, true, 0);
        }
        let alone = leaves.len() == 1;
        if alone {
            self.leaves[leaves[0]].refusal = None;
        }
        if let Err(Stuck(stuck)) = self.settle(draft, alone)? {
            if alone {
                self.leaves[leaves[0]].refusal.get_or_insert(stuck);
            } else {
                let (a, b) = leaves.split_at(leaves.len() / 2);
                self.cover(a)?;
                self.cover(b)?;
            }
        }
        Ok(())
    }

    /// What every object has.
    fn base(&mut self) -> Draft {
        let mut draft = Draft::default();
        let metadata = |name: &str| vec![field("metadata"), field(name)];
        self.insert(&mut draft, metadata("name"), false, 0);
        if self.root.at(&metadata("namespace")).is_some() {
            self.insert(&mut draft, metadata("namespace"), false, 0);
        }
        let Shape::Object(_, required) = &self.root.shape else {
            return draft;
        };
        for name in required.clone() {
            self.need(&mut draft, &[field(&name)], 0);
        }
        draft
    }

    fn first_place(&self, leaf: usize) -> Path {
        let mut path = Path::new();
        for step in &self.leaves[leaf].steps {
            let key = match step {
                Step::Field(name) => field(name),
                Step::Element => Key::Index(0),
                Step::Entry => field(values::map_key(&path)),
            };
            path.push(key);
        }
        path
    }

    fn facts(&self) -> Facts<'_> {
        self.place.facts(self.next)
    }

    /// Puts a leaf in, with what the schema requires beside it; `false` if it is no leaf or there.
    fn insert(&self, draft: &mut Draft, path: Path, wanted: bool, moves: usize) -> bool {
        if draft.slots.contains_key(&path) {
            return false;
        }
        let Some(leaf) = self.index.get(&self.root.steps(&path)).copied() else {
            return false;
        };
        let Some(node) = self.root.at(&path) else {
            return false;
        };
        let mut node = node.clone();
        if let (Shape::Leaf(Leaf::Text(choices)), false) =
            (&mut node.shape, self.leaves[leaf].choices.is_empty())
        {
            choices.clone_from(&self.leaves[leaf].choices);
        }
        let mut values = values::candidates(&node, &path, &self.facts());
        if path == [field("metadata"), field("namespace")] {
            values = vec![Value::from(self.place.namespace(self.next))];
        }
        let at = self.leaves[leaf].drops % values.len();
        let slot = Slot {
            leaf,
            values,
            at,
            refused: 0,
            wanted,
            moves,
            told: !self.leaves[leaf].choices.is_empty(),
            paired: false,
        };
        draft.slots.insert(path.clone(), slot);
        for length in 0..path.len() {
            self.beside(draft, &path[..length], &path[length]);
        }
        let companions =
            safe::companions(self.place.kind(), &path, self.next, |path| draft.has(path));
        for (companion, value) in companions {
            self.insert(draft, companion.clone(), false, 0);
            if let (Some(slot), Some(value)) = (draft.slots.get_mut(&companion), value) {
                slot.prefer(value);
            }
        }
        true
    }

    /// What must stand beside a child of an object: what the schema requires, and the field that
    /// tells which member of a union it is.
    fn beside(&self, draft: &mut Draft, object: &[Key], child: &Key) {
        let (Some(node), Key::Field(child)) = (self.root.at(object), child) else {
            return;
        };
        let Shape::Object(fields, required) = &node.shape else {
            return;
        };
        let below = |name: &str| [object, &[field(name)]].concat();
        for name in fields.keys().filter(|name| *name != child) {
            let path = below(name);
            let Some(leaf) = self.index.get(&self.root.steps(&path)) else {
                continue;
            };
            let child = child.to_lowercase();
            let choices = &self.leaves[*leaf].choices;
            let lower = |choice: &Value| choice.as_str().unwrap_or_default().to_lowercase();
            let named = choices.iter().find(|choice| child == lower(choice)).or_else(|| {
                let within = |choice: &String| choice.len() > 4 && child.contains(choice);
                choices.iter().find(|choice| within(&lower(choice)))
            });
            if let Some(named) = named {
                self.insert(draft, path.clone(), false, 0);
                if let Some(slot) = draft.slots.get_mut(&path).filter(|slot| !slot.paired) {
                    slot.prefer(named.clone());
                    slot.paired = true;
                }
            }
        }
        for name in required {
            if name != child && !draft.has(&below(name)) {
                self.need(draft, &below(name), 0);
            }
        }
    }

    /// Puts the least valid thing at a place.
    fn need(&self, draft: &mut Draft, path: &[Key], depth: usize) -> bool {
        let Some(node) = self.root.at(path).filter(|_| depth < 12) else {
            return false;
        };
        let below = |key: Key| [path, &[key]].concat();
        match &node.shape {
            Shape::Leaf(_) => self.insert(draft, path.to_vec(), false, 0),
            Shape::List(_) => {
                let next = draft.children(path).len();
                self.need(draft, &below(Key::Index(next)), depth + 1)
            }
            Shape::Map(_) => self.need(draft, &below(field(values::map_key(path))), depth + 1),
            Shape::Object(fields, required) => {
                let mut added = false;
                for name in required {
                    if !draft.has(&below(field(name))) {
                        added |= self.need(draft, &below(field(name)), depth + 1);
                    }
                }
                if added {
                    return true;
                }
                // The server wants one of them and does not say which.
                let absent: Vec<&String> = fields
                    .keys()
                    .filter(|name| !draft.has(&below(field(name))))
                    .collect();
                if absent.is_empty() {
                    return false;
                }
                let turn = draft.choices.entry(path.to_vec()).or_default();
                let preferred = safe::preferred(&node.type_name);
                let chosen = match preferred.get(*turn) {
                    Some(name) if absent.iter().any(|absent| absent == name) => name,
                    _ => absent[*turn % absent.len()].as_str(),
                };
                *turn += 1;
                if *turn > fields.len() {
                    return false;
                }
                self.need(draft, &below(field(chosen)), depth + 1)
            }
        }
    }

    /// Asks the server until it takes the object.
    fn settle(&mut self, mut draft: Draft, alone: bool) -> Result<Result<(), Stuck>> {
        let mut last = Refusal::default();
        let empty = draft.wanted() == 0;
        for _ in 0..PATIENCE {
            let object = self.place.object(draft.render(), self.next);
            let answer = self.api.create(&self.place.collection(&object), &object, true)?;
            if answer.code == 201 {
                self.take(draft, object, &answer.body);
                self.next += 1;
                return Ok(Ok(()));
            }
            let causes = causes(&answer);
            if std::env::var_os("ROUNDTRIP_TRACE").is_some() {
                eprintln!("{} #{} {} {}", self.place.kind(), self.next, answer.code, draft.wanted());
                for (reason, field, message) in causes.iter().take(400) {
                    eprintln!("    {reason} {field}: {}", message.chars().take(150).collect::<String>());
                }
                if causes.is_empty() {
                    eprintln!("    {}", answer.body["message"].as_str().unwrap_or_default().chars().take(300).collect::<String>());
                }
            }
            last = match causes.first() {
                Some((reason, field, message)) => Refusal {
                    reason: reason.clone(),
                    message: format!("{field}: {message}"),
                    at: Vec::new(),
                },
                None => {
                    let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
                    Refusal { reason: text("reason"), message: text("message"), at: Vec::new() }
                }
            };
            let mut progress = false;
            // First what names a place: what speaks of half the object may be answered by it.
            // Found before anything is changed, for what is taken out moves positions.
            let fields = causes.iter().map(|(_, field, message)| {
                safe::place(self.place.kind(), parse(field), message)
            });
            let places = draft.locate(&fields.collect::<Vec<_>>());
            for vague in [false, true] {
                for (cause, place) in causes.iter().zip(&places) {
                    let wanted = draft.below(&place.0).filter(|(_, slot)| slot.wanted).count();
                    if (wanted > CROWD) == vague && !(vague && progress) {
                        progress |= self.fix(&mut draft, cause, place.clone(), alone);
                    }
                }
            }
            if !progress {
                break;
            }
            if !empty && draft.wanted() == 0 {
                break;
            }
        }
        self.next += 1;
        Ok(Err(Stuck(last)))
    }

    /// Notes what the server kept of an object that it took.
    fn take(&mut self, draft: Draft, object: Value, kept: &Value) {
        let mut covers = Vec::new();
        for (path, slot) in &draft.slots {
            let dense = draft.dense(path);
            let leaf = &mut self.leaves[slot.leaf];
            let sent = lookup(&object, &dense);
            if sent.is_some() && lookup(kept, &dense) == sent {
                if leaf.state != State::Covered {
                    leaf.state = State::Covered;
                    covers.push((slot.leaf, dense));
                }
            } else if slot.wanted && !is_zero(slot.value()) {
                leaf.drops += 1;
                if leaf.drops >= 4 && leaf.state == State::Open {
                    leaf.state = State::Dropped;
                }
            }
        }
        if !covers.is_empty() {
            self.accepted.push(Accepted { draft, number: self.next, object, covers });
        }
    }

    /// Changes the object as a cause suggests; `false` if nothing was changed.
    fn fix(&mut self, draft: &mut Draft, cause: &Cause, place: (Path, Path), alone: bool) -> bool {
        let (reason, at, message) = (cause.0.as_str(), &cause.1, cause.2.as_str());
        let (mut path, mut rest) = place;
        let mut exact = true;
        let quoted = quoted(message);
        let known = rest.is_empty() || self.root.at(&[path.as_slice(), &rest].concat()).is_some();
        if !draft.slots.contains_key(&path)
            && let Some(culprit) = draft
                .named(rest.last().filter(|_| !known))
                .or_else(|| draft.holder(&path, quoted.as_ref()))
                .or_else(|| draft.holder(&[], quoted.as_ref()).filter(|_| !known))
        {
            exact = false;
            // Some checks leave out indexes, or name the object around the field.
            (path, rest) = (culprit, Path::new());
        }
        let full = [path.as_slice(), &rest].concat();
        let told = Refusal {
            reason: reason.to_owned(),
            message: format!("{at}: {message}"),
            at: self.root.steps(&full),
        };
        if reason != "FieldValueForbidden" && !rest.is_empty() && self.root.at(&full).is_some() {
            return self.need(draft, &full, 0);
        }
        if let Some(slot) = draft.slots.get_mut(&path) {
            let leaf = slot.leaf;
            if slot.wanted {
                self.leaves[leaf].refusal = Some(told.clone());
            }
            if !slot.told {
                let values = supported(message);
                if !values.is_empty() {
                    let turn = values::turn(&path, self.next) % values.len();
                    slot.values = [&values[turn..], &values[..turn]].concat();
                    (slot.at, slot.refused, slot.told) = (0, 0, true);
                    if exact {
                        self.leaves[leaf].choices = values;
                    }
                    return true;
                }
            }
            if let (false, Some(bound)) = (slot.told, bound(message, slot.value())) {
                slot.told = true;
                slot.values.push(bound);
                slot.at = slot.values.len() - 1;
                return true;
            }
            // Within a value of any JSON it is the guess that is forbidden.
            let never = reason == "FieldValueForbidden" && rest.is_empty() || message.contains("must not be set");
            let hopeless = never && told.is_final() || (never || conflict(message)) && !alone;
            if !hopeless && slot.next() {
                return true;
            }
            if never {
                self.leaves[leaf].bans += 1;
            }
            return self.shed(draft, &path, if conflict(message) { ELEMENTS } else { 1 });
        }
        if let Some(culprit) = self.mentioned(draft, &path, message).filter(|_| !alone) {
            return self.shed(draft, &culprit, ELEMENTS);
        }
        match reason {
            "FieldValueForbidden" if rest.is_empty() => {
                for (_, slot) in draft.below(&path).filter(|(_, slot)| slot.wanted) {
                    self.leaves[slot.leaf].refusal = Some(told.clone());
                    self.leaves[slot.leaf].bans += usize::from(told.is_final());
                }
                self.shed(draft, &path, if told.is_final() { 0 } else { ELEMENTS })
            }
            "FieldValueInvalid" if rest.is_empty() && message.contains(" when ") && !alone => {
                self.shed(draft, &path, ELEMENTS)
            }
            _ if message.contains("must specify") && self.need(draft, &path, 0) => true,
            "FieldValueRequired" => self.need(draft, &path, 0) || self.split(draft, &path, &told),
            _ => self.split(draft, &path, &told),
        }
    }

    /// A leaf below a crowded place whose name the message holds.
    fn mentioned(&self, draft: &Draft, path: &[Key], message: &str) -> Option<Path> {
        let wanted = || draft.below(path).filter(|(_, slot)| slot.wanted);
        if wanted().count() <= CROWD {
            return None;
        }
        let words: Vec<&str> = message.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let named = |path: &Path| {
            matches!(path.last(), Some(Key::Field(name)) if name.len() > 5 && words.contains(&name.as_str()))
        };
        let mut found = wanted().filter(|(path, _)| named(path));
        found.next().map(|(path, _)| path.clone())
    }

    /// Takes a place out; what was to be covered there goes on to the next element of its list.
    fn shed(&self, draft: &mut Draft, path: &[Key], elements: usize) -> bool {
        let out = draft.remove(path);
        if out.is_empty() {
            return false;
        }
        self.forward(draft, path, &out, elements);
        self.sweep(draft, path);
        true
    }

    /// The innermost list of objects around a place, as the position of its index.
    fn list_around(&self, path: &[Key]) -> Option<usize> {
        // A second version would have to hold what the first does, and not be stored.
        let versions = [field("spec"), field("versions")];
        let is_index = |at: &usize| matches!(path[*at], Key::Index(_)) && path[..*at] != versions;
        (0..path.len()).rev().filter(is_index).find(|at| {
            let element = self.root.at(&path[..=*at]);
            element.is_some_and(|node| !matches!(node.shape, Shape::Leaf(_)))
        })
    }

    fn forward(&self, draft: &mut Draft, path: &[Key], out: &[(Path, Slot)], elements: usize) {
        let Some(at) = self.list_around(path) else {
            return;
        };
        let Key::Index(index) = path[at] else {
            return;
        };
        for (place, slot) in out {
            if slot.wanted && slot.moves < elements && index < ELEMENTS {
                let mut place = place.clone();
                place[at] = Key::Index(index + 1);
                self.insert(draft, place, true, slot.moves + 1);
            }
        }
    }

    /// Takes out elements around a place that hold nothing to be covered any more.
    fn sweep(&self, draft: &mut Draft, path: &[Key]) {
        let Some(at) = self.list_around(path) else {
            return;
        };
        let element = &path[..=at];
        let last = draft.children(&path[..at]).len() < 2;
        if !last && !draft.below(element).any(|(_, slot)| slot.wanted) {
            draft.remove(element);
        }
    }

    /// Parts what does not go together below a place: the first child stays.
    fn split(&mut self, draft: &mut Draft, path: &[Key], told: &Refusal) -> bool {
        let wanted = |draft: &Draft, child: &Key| {
            let place = [path, std::slice::from_ref(child)].concat();
            draft.below(&place).any(|(_, slot)| slot.wanted)
        };
        if draft.slots.contains_key(path) {
            return match draft.slots.get_mut(path) {
                Some(slot) => {
                    if slot.wanted {
                        self.leaves[slot.leaf].refusal = Some(told.clone());
                    }
                    slot.next() || self.shed(draft, path, 1)
                }
                None => false,
            };
        }
        let children: Vec<Key> = draft
            .children(path)
            .into_iter()
            .filter(|child| wanted(draft, child))
            .collect();
        match children.as_slice() {
            [] => {
                // Only what was needed is there: another choice may do.
                draft.choices.contains_key(path) && {
                    draft.remove(path);
                    self.need(draft, path, 0)
                }
            }
            [only] => {
                let place = [path, std::slice::from_ref(only)].concat();
                self.split(draft, &place, told)
            }
            [_, others @ ..] => {
                for child in others {
                    let place = [path, std::slice::from_ref(child)].concat();
                    let out = draft.remove(&place);
                    self.forward(draft, path, &out, ELEMENTS);
                }
                true
            }
        }
    }
}

/// Whether a refusal is about what stands beside, rather than about the value.
fn conflict(message: &str) -> bool {
    let words = ["exclusive", "simultaneously", " both ", " when ", "more than one", "at most one"];
    words.iter().any(|words| message.contains(words))
}

/// Whether a value reads as if it had not been given.
fn is_zero(value: &Value) -> bool {
    [Value::from(""), Value::from(0), Value::from(false)].contains(value)
}

/// Reason, field, message.
type Cause = (String, String, String);

/// The causes of a 422, each once: reason, field, message.
fn causes(answer: &Answer) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for cause in answer.body["details"]["causes"].as_array().into_iter().flatten() {
        let text = |name: &str| cause[name].as_str().unwrap_or_default().to_owned();
        let cause = (text("reason"), text("field"), text("message"));
        if !found.iter().any(|known| known.1 == cause.1) {
            found.push(cause);
        }
    }
    // What strict decoding finds has no causes.
    let message = answer.body["message"].as_str().unwrap_or_default();
    for part in message.split("unknown field \"").skip(1) {
        let field = part.split('"').next().unwrap_or_default();
        found.push(("FieldValueInvalid".into(), field.into(), "unknown field".into()));
    }
    found
}

/// `Unsupported value: "x": supported values: "a", "b"`.
fn supported(message: &str) -> Vec<Value> {
    let listed = ["must be one of ", "must be either "];
    if let Some((_, list)) = listed.iter().find_map(|words| message.split_once(words)) {
        let names = list.split(',').map(|name| name.trim().trim_start_matches("or "));
        return names.map(Value::from).collect();
    }
    let Some((_, list)) = message.split_once("supported values: ") else {
        return Vec::new();
    };
    let quoted = list.split('"').skip(1).step_by(2);
    quoted.map(Value::from).collect()
}

/// `Invalid value: "x": must be …`, `Not found: "x"`: what the server objects to.
fn quoted(message: &str) -> Option<Value> {
    let (_, rest) = message.split_once("alue: ").or_else(|| message.split_once("found: "))?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter();
    let value: Value = values.next()?.ok()?;
    // A list of one, as lists of scalars are here.
    let value = match value {
        Value::Array(mut values) if values.len() == 1 => values.remove(0),
        value => value,
    };
    // Others stand in too many places.
    value.is_string().then_some(value)
}

/// `must be between 1 and 65535, inclusive`, `must be greater than or equal to 30`.
fn bound(message: &str, value: &Value) -> Option<Value> {
    value.as_i64()?;
    let words = [
        "greater than or equal to ",
        "less than or equal to ",
        "between ",
        "must be equal to ",
        "must be ",
    ];
    let number = words.iter().find_map(|words| {
        let (_, rest) = message.split_once(words)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<i64>().ok()
    })?;
    Some(Value::from(number))
}

/// The leaf as people write it.
pub fn shown(leaf: &LeafState) -> String {
    show(&leaf.steps)
}
