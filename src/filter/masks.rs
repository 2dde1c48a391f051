//! What the rules did to one object, as the sidecar keeps it: masks, and who owns what is left.

use std::mem;

use serde_json::Value;

use super::apply::{Context, TypeRules, Verdict};
use super::observe::{Action, Observer};
use super::rules::RuleName;
use crate::object::{ObjectKey, RawObject, Step};
use crate::owners::{Encoded, LAST_APPLIED, Mask, MaskKind, Moves, Reading, Shape, Times};

/// What is never recorded of any object, and known to every reader.
const UNIVERSAL: [&str; 9] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
];

/// Follows the walks of the filter over one object.
#[derive(Default)]
pub(super) struct Tracker {
    /// Where the walk is: ends of the keys in `keys`, or positions.
    at: Vec<At>,
    keys: String,
    moves: Moves,
    /// Of removed places, as in the live object.
    pruned: Vec<Mask>,
    /// Of replaced ones, as recorded.
    redacted: Vec<Mask>,
}

enum At {
    Key { start: usize },
    Index(usize),
}

impl Tracker {
    fn path(&self) -> Vec<Step> {
        let mut ends = self.at.iter().filter_map(|at| match at {
            At::Key { start } => Some(*start),
            At::Index(_) => None,
        });
        ends.next();
        let step = |at: &At| match at {
            At::Key { start } => {
                let end = ends.next().unwrap_or(self.keys.len());
                Step::Key(self.keys[*start..end].into())
            }
            At::Index(index) => Step::Index(*index),
        };
        self.at.iter().map(step).collect()
    }

    /// Whether every reader knows that the place is never recorded.
    fn is_universal(&self) -> bool {
        let key = |start: usize, end: Option<&At>| {
            let end = match end {
                Some(At::Key { start }) => *start,
                _ => self.keys.len(),
            };
            &self.keys[start..end]
        };
        match self.at.as_slice() {
            [At::Key { .. }] => self.keys == "status",
            [At::Key { start: 0 }, field @ At::Key { start }] => {
                key(0, Some(field)) == "metadata" && UNIVERSAL.contains(&key(*start, None))
            }
            [
                At::Key { start: 0 },
                field @ At::Key { .. },
                At::Key { start },
            ] => key(0, Some(field)) == "metadata" && key(*start, None) == LAST_APPLIED,
            _ => false,
        }
    }

    fn masks(self, recorded: &Value) -> (Moves, Vec<Mask>) {
        let Self {
            moves,
            pruned,
            redacted,
            ..
        } = self;
        let mut masks = redacted;
        for mut mask in pruned {
            if !moves.is_empty() {
                mask.path = moves.recorded_path(&mask.path, recorded);
            }
            masks.push(mask);
        }
        masks.sort_unstable();
        masks.dedup();
        (moves, masks)
    }
}

impl Observer for Tracker {
    fn enter_key(&mut self, key: &str) {
        self.at.push(At::Key {
            start: self.keys.len(),
        });
        self.keys.push_str(key);
    }

    fn enter_index(&mut self, index: usize) {
        self.at.push(At::Index(index));
    }

    fn leave(&mut self) {
        if let Some(At::Key { start }) = self.at.pop() {
            self.keys.truncate(start);
        }
    }

    fn hit(&mut self, rule: &RuleName, action: Action) {
        let redacts = match action {
            Action::Digested | Action::Omitted | Action::Sealed | Action::Large => true,
            Action::Pruned | Action::Kept | Action::Sorted | Action::Emptied => false,
        };
        if redacts {
            self.redacted.push(Mask {
                path: self.path(),
                kind: MaskKind::Redacted,
                rule: rule.as_str().into(),
            });
        }
    }

    fn pruned(&mut self, rule: &RuleName, allocated: bool) {
        if self.is_universal() {
            return;
        }
        let path = self.path();
        if let Some(Step::Index(_)) = path.last() {
            self.moves.removed(&path);
        }
        let kind = if allocated {
            MaskKind::Allocated
        } else {
            MaskKind::Pruned
        };
        self.pruned.push(Mask {
            path,
            kind,
            rule: rule.as_str().into(),
        });
    }

    fn sorted(&mut self, order: &[usize]) {
        let path = self.path();
        self.moves.sorted(&path, order);
    }
}

impl TypeRules {
    /// As [`TypeRules::apply`]; also tells what is not in the result as it was, and why. What no
    /// object's file has (`status`, the server's metadata, copies of the object) is not told.
    pub fn apply_masked(
        &self,
        object: &mut RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
    ) -> (Verdict, Vec<Mask>) {
        let mut tracker = Tracker::default();
        let verdict = self.filter(object, key, context, &mut tracker);
        (verdict, tracker.masks(&object.value).1)
    }

    /// As [`TypeRules::apply_masked`]; also tells who owns what of the result. `None` where the
    /// object is dropped.
    ///
    /// Cheaper and more exact than [`Shape::of`]: no copy of the object is needed, and what the
    /// rules move is seen, not guessed.
    pub fn apply_with_owners(
        &self,
        object: &mut RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
    ) -> (Verdict, Option<(Shape, Times)>) {
        self.owning(object, key, context, |reading, recorded, moves, masks| {
            reading.shape(recorded, moves, masks)
        })
    }

    /// As [`TypeRules::apply_with_owners`], as the sidecar has them
    /// ([`Reading::encode`]): they are not built first.
    pub fn apply_with_encoded_owners(
        &self,
        object: &mut RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
    ) -> (Verdict, Option<Encoded>) {
        self.owning(object, key, context, |reading, recorded, moves, masks| {
            reading.encode(recorded, moves, masks)
        })
    }

    /// Applies the rules, and makes something of who owns what of the result.
    fn owning<T>(
        &self,
        object: &mut RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
        make: impl FnOnce(Reading<'_>, &Value, &Moves, Vec<Mask>) -> T,
    ) -> (Verdict, Option<T>) {
        if let Some(rule) = self.passage(object, key).dropped_by {
            return (Verdict::Drop { rule: rule.clone() }, None);
        }
        let holds = self.holding(object, key);
        let last_applied = take_last_applied(&mut object.value);
        let managed_fields = object.managed_fields.take();
        let reading = Reading::of(
            managed_fields.as_deref(),
            last_applied.as_deref(),
            &object.value,
            self.tree.always_prunes_status(),
        );
        let mut tracker = Tracker::default();
        let fields = managed_fields.as_deref();
        let value = &mut object.value;
        let verdict = self.act(value, fields, key, context, &holds, &mut tracker);
        let (moves, masks) = tracker.masks(&object.value);
        let owned = make(reading, &object.value, &moves, masks);
        object.managed_fields = managed_fields;
        (verdict, Some(owned))
    }
}

/// Takes the annotation's text; an empty one stays for the rules to remove.
fn take_last_applied(object: &mut Value) -> Option<String> {
    match object
        .get_mut("metadata")?
        .get_mut("annotations")?
        .get_mut(LAST_APPLIED)?
    {
        Value::String(text) => Some(mem::take(text)),
        _ => None,
    }
}
