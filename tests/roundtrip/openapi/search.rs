//! Finds objects of one kind that together set what can be set.
//!
//! Every leaf that is still to be covered is put into one object; what the server says of it moves
//! leaves on: to the next guess, to the next element of their list, to the next object. What no
//! company helps is tried alone, and the server's last word on it is kept.

use std::collections::HashMap;

use serde_json::Value;

use super::companions;
use super::draft::{Draft, Slot, find, lookup};
use super::http::{Answer, Api};
use super::path::{Key, Path, Step, field, parse, show};
use super::safe::{self, Place};
use super::schema::{Leaf, Node, Shape};
use super::values::{self, Facts};
use crate::support::{Failure, Result};

/// Requests for one object before it is given up.
const PATIENCE: usize = 90;
/// Requests for one kind; none takes half as many while its refusals are understood.
const BUDGET: usize = 10_000;
/// A cause that speaks of more leaves than this says little of any.
pub(super) const CROWD: usize = 60;
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
        let conditions = [
            "when",
            "if",
            "unless",
            "mutual",
            "requires",
            "without",
            "more than",
            "both",
            "only",
            "other",
            "also",
        ];
        let conditional = conditions.iter().any(|word| {
            let mut parts = words.split(|c: char| !c.is_ascii_alphanumeric() && c != ' ');
            parts.any(|part| format!(" {part} ").contains(&format!(" {word} ")))
        });
        // Some checks say so by other reasons.
        let denials = [
            "must not be set",
            "cannot apply to",
            "is not supported",
            "cannot set to",
            "auto-generated",
        ];
        let denied = denials.iter().any(|denial| words.contains(denial));
        (self.reason == "FieldValueForbidden" || denied) && !conditional
    }
}

#[derive(Clone, Debug)]
pub struct LeafState {
    pub steps: Vec<Step>,
    pub state: State,
    /// The last refusal.
    pub refusal: Option<Refusal>,
    /// How often it was forbidden for good in company.
    pub(super) bans: usize,
    /// Values that it takes, as it said.
    pub(super) choices: Vec<Value>,
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
    pub(super) index: HashMap<Vec<Step>, usize>,
    pub(super) next: usize,
    /// Of all requests, where the kind's own end.
    pub(super) budget: usize,
}

/// Why an object could not be had.
pub(super) struct Stuck(Refusal);

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
            budget: api.requests() + BUDGET,
        }
    }

    pub(super) fn open(&self) -> Vec<usize> {
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
                    let slot = Slot {
                        leaf,
                        ..slot.clone()
                    };
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
                if leaf.state == State::Open
                    && let Some(refusal) = refusal
                {
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

    /// Looks for what is still open in the objects that the server makes itself: what only one of
    /// them may hold (`spec.exempt` of the priority level `exempt`) is had by no other way.
    pub fn adopt(&mut self) -> Result<()> {
        let open = self.open();
        if open.is_empty() {
            return Ok(());
        }
        let list = self.api.get(&self.place.all())?;
        for live in list["items"].as_array().into_iter().flatten() {
            let place = |leaf: &usize| {
                let is_open = self.leaves[*leaf].state == State::Open;
                let path = find(live, &self.leaves[*leaf].steps).filter(|_| is_open)?;
                Some((*leaf, path))
            };
            let covers: Vec<(usize, Path)> = open.iter().filter_map(place).collect();
            let ours = live["metadata"]["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("strand-"));
            if covers.is_empty() || ours {
                continue;
            }
            for (leaf, _) in &covers {
                self.leaves[*leaf].state = State::Covered;
            }
            self.accepted.push(Accepted {
                draft: Draft::default(),
                number: self.next,
                object: self.place.bare(live),
                covers,
            });
        }
        Ok(())
    }

    /// Tries leaves in one object, and where the server gives no hint, in two.
    pub(super) fn cover(&mut self, leaves: &[usize]) -> Result<()> {
        if leaves.is_empty() {
            return Ok(());
        }
        let mut draft = self.base();
        for leaf in leaves {
            let path = self.first_place(*leaf);
            self.insert(&mut draft, &path, true, 0);
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
    pub(super) fn base(&mut self) -> Draft {
        let mut draft = Draft::default();
        let metadata = |name: &str| vec![field("metadata"), field(name)];
        self.insert(&mut draft, &metadata("name"), false, 0);
        if self.root.at(&metadata("namespace")).is_some() {
            self.insert(&mut draft, &metadata("namespace"), false, 0);
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
    pub(super) fn insert(
        &self,
        draft: &mut Draft,
        path: &[Key],
        wanted: bool,
        moves: usize,
    ) -> bool {
        if draft.slots.contains_key(path) {
            return false;
        }
        let Some(leaf) = self.index.get(&self.root.steps(path)).copied() else {
            return false;
        };
        let Some(node) = self.root.at(path) else {
            return false;
        };
        let mut node = node.clone();
        if let (Shape::Leaf(Leaf::Text(choices)), false) =
            (&mut node.shape, self.leaves[leaf].choices.is_empty())
        {
            choices.clone_from(&self.leaves[leaf].choices);
        }
        let mut values = values::candidates(&node, path, &self.facts());
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
        draft.slots.insert(path.to_vec(), slot);
        for length in 0..path.len() {
            self.beside(draft, &path[..length], &path[length]);
        }
        let companions =
            companions::companions(self.place.kind(), path, self.next, |path| draft.has(path));
        for (companion, value) in companions {
            self.insert(draft, &companion, false, 0);
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
            let named = choices
                .iter()
                .find(|choice| child == lower(choice))
                .or_else(|| {
                    let within = |choice: &String| choice.len() > 4 && child.contains(choice);
                    choices.iter().find(|choice| within(&lower(choice)))
                });
            if let Some(named) = named {
                self.insert(draft, &path, false, 0);
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
    pub(super) fn need(&self, draft: &mut Draft, path: &[Key], depth: usize) -> bool {
        let Some(node) = self.root.at(path).filter(|_| depth < 12) else {
            return false;
        };
        let below = |key: Key| [path, &[key]].concat();
        match &node.shape {
            Shape::Leaf(_) => self.insert(draft, path, false, 0),
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
    pub(super) fn settle(&mut self, mut draft: Draft, alone: bool) -> Result<Result<(), Stuck>> {
        let mut last = Refusal::default();
        let empty = draft.wanted() == 0;
        for _ in 0..PATIENCE {
            let object = self.place.object(draft.render(), self.next);
            if self.api.requests() >= self.budget {
                return Err(Failure::new(format_args!(
                    "{}: {BUDGET} requests did not do; the last refusal: {}",
                    self.place.kind(),
                    last.message
                )));
            }
            let answer = self
                .api
                .create(&self.place.collection(&object), &object, true)?;
            if answer.code == 201 {
                self.take(draft, object, &answer.body);
                self.next += 1;
                return Ok(Ok(()));
            }
            let causes = causes(&answer);
            let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
            let (reason, message) = match causes.first() {
                Some((reason, field, message)) => (reason.clone(), format!("{field}: {message}")),
                None => (text("reason"), text("message")),
            };
            last = Refusal {
                reason,
                message,
                at: Vec::new(),
            };
            let mut progress = false;
            // First what names a place: what speaks of half the object may be answered by it.
            // Found before anything is changed, for what is taken out moves positions.
            let fields = causes.iter().map(|(_, field, message)| {
                companions::place(self.place.kind(), parse(field), message)
            });
            let places = draft.locate(&fields.collect::<Vec<_>>());
            for vague in [false, true] {
                for (cause, place) in causes.iter().zip(&places) {
                    let wanted = draft
                        .below(&place.0)
                        .filter(|(_, slot)| slot.wanted)
                        .count();
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
            self.accepted.push(Accepted {
                draft,
                number: self.next,
                object,
                covers,
            });
        }
    }
}

/// Reason, field, message.
pub type Cause = (String, String, String);

/// Whether a value reads as if it had not been given.
fn is_zero(value: &Value) -> bool {
    [Value::from(""), Value::from(0), Value::from(false)].contains(value)
}

/// The causes of a 422, each once: reason, field, message.
fn causes(answer: &Answer) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for cause in answer.body["details"]["causes"]
        .as_array()
        .into_iter()
        .flatten()
    {
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
        found.push((
            "FieldValueInvalid".into(),
            field.into(),
            "unknown field".into(),
        ));
    }
    found
}

/// The leaf as people write it.
pub fn shown(leaf: &LeafState) -> String {
    show(&leaf.steps)
}
