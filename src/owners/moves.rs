//! Where the elements of a live object's lists are in its recorded form.
//!
//! The filter removes elements and puts lists in order. Whoever runs it knows what moved where
//! ([`Moves::removed`], [`Moves::sorted`]); from the two objects alone it can mostly be told
//! ([`Moves::between`]).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::Step;

/// What moved in one object; nothing, as a rule. Places are those of the live object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    below: BTreeMap<Step, Moves>,
    /// Live positions that are not recorded, ascending.
    removed: Vec<usize>,
    /// Live position of each recorded one; `None`: as they were, without what was removed.
    order: Option<Vec<usize>>,
}

impl Moves {
    /// Takes note that an element was removed. `path` is of the live object.
    pub fn removed(&mut self, path: &[Step]) {
        if let Some((Step::Index(index), list)) = path.split_last() {
            let moves = self.make(list);
            if let Err(at) = moves.removed.binary_search(index) {
                moves.removed.insert(at, *index);
            }
        }
    }

    /// Takes note that a list was put in order. `path` is as the object is before that, `order` the
    /// position before of each element after.
    pub fn sorted(&mut self, path: &[Step], order: &[usize]) {
        let live = self.live_path(path);
        self.order_at(&live, order);
    }

    /// The same; `path` is of the live object.
    pub(super) fn order_at(&mut self, path: &[Step], order: &[usize]) {
        let moves = self.make(path);
        let order = order.iter().map(|&at| moves.live(at)).collect();
        moves.order = Some(order);
    }

    fn make(&mut self, path: &[Step]) -> &mut Self {
        let mut at = self;
        for step in path {
            at = at.below.entry(step.clone()).or_default();
        }
        at
    }

    /// Nothing moved.
    pub fn is_empty(&self) -> bool {
        self.below.is_empty() && self.removed.is_empty() && self.order.is_none()
    }

    /// The live position of the recorded one, for a list.
    pub(super) fn live(&self, recorded: usize) -> usize {
        if let Some(order) = &self.order {
            return order.get(recorded).copied().unwrap_or(usize::MAX);
        }
        let mut at = recorded;
        for &removed in &self.removed {
            if removed > at {
                break;
            }
            at += 1;
        }
        at
    }

    /// What moved below a child, which is named as in the live object.
    pub(super) fn child(&self, step: &Step) -> Option<&Self> {
        if self.below.is_empty() {
            return None;
        }
        self.below.get(step)
    }

    fn live_path(&self, recorded: &[Step]) -> Vec<Step> {
        let mut at = Some(self);
        let live = |step: &Step| {
            let step = match (step, at) {
                (Step::Index(index), Some(moves)) => Step::Index(moves.live(*index)),
                _ => step.clone(),
            };
            at = at.and_then(|moves| moves.below.get(&step));
            step
        };
        recorded.iter().map(live).collect()
    }

    /// A live place in the recorded object. An element that is not recorded has a position behind
    /// those that are: they are counted in `recorded`.
    pub fn recorded_path(&self, live: &[Step], recorded: &Value) -> Vec<Step> {
        let (mut at, mut value) = (Some(self), Some(recorded));
        let mut path = Vec::with_capacity(live.len());
        for step in live {
            let step_there = match (step, at) {
                (Step::Index(index), Some(moves)) => {
                    let length = value.and_then(Value::as_array).map_or(0, Vec::len);
                    Step::Index(moves.recorded(*index, length))
                }
                _ => step.clone(),
            };
            value = value.and_then(|value| match &step_there {
                Step::Key(key) => value.get(&**key),
                Step::Index(index) => value.get(index),
            });
            at = at.and_then(|moves| moves.below.get(step));
            path.push(step_there);
        }
        path
    }

    fn recorded(&self, live: usize, length: usize) -> usize {
        match self.removed.binary_search(&live) {
            Ok(nth) => length + nth,
            Err(before) => match &self.order {
                Some(order) => order
                    .iter()
                    .position(|&at| at == live)
                    .unwrap_or(live - before),
                None => live - before,
            },
        }
    }

    /// Tells from two objects what moved.
    ///
    /// An element is found by what of it is the same: equal scalars, a redacted text for any
    /// value, and only fields that the live element has. Of several that fit the first that is left.
    pub fn between(live: &Value, recorded: &Value) -> Self {
        let mut moves = Self::default();
        moves.align(live, recorded);
        moves
    }

    fn align(&mut self, live: &Value, recorded: &Value) {
        match (live, recorded) {
            (Value::Object(live), Value::Object(recorded)) => {
                for (key, recorded) in recorded {
                    if let Some(live) = live.get(key) {
                        self.align_child(Step::Key(key.as_str().into()), live, recorded);
                    }
                }
            }
            (Value::Array(live), Value::Array(recorded)) => {
                if live.len() != recorded.len()
                    || !live.iter().zip(recorded).all(|(l, r)| is_filtered(r, l))
                {
                    self.align_list(live, recorded);
                }
                for (at, recorded) in recorded.iter().enumerate() {
                    let at = self.live(at);
                    if let Some(live) = live.get(at) {
                        self.align_child(Step::Index(at), live, recorded);
                    }
                }
            }
            _ => {}
        }
    }

    fn align_child(&mut self, step: Step, live: &Value, recorded: &Value) {
        if matches!(recorded, Value::Object(_) | Value::Array(_)) {
            let mut below = Self::default();
            below.align(live, recorded);
            if !below.is_empty() {
                self.below.insert(step, below);
            }
        }
    }

    fn align_list(&mut self, live: &[Value], recorded: &[Value]) {
        let mut taken = vec![false; live.len()];
        let mut next = 0;
        let mut order = Vec::with_capacity(recorded.len());
        for element in recorded {
            let later = next..live.len();
            let found = later
                .chain(0..next)
                .find(|&at| !taken[at] && is_filtered(element, &live[at]));
            if let Some(at) = found {
                taken[at] = true;
                next = at + 1;
            }
            order.push(found.unwrap_or(usize::MAX));
        }
        self.removed = (0..live.len()).filter(|&at| !taken[at]).collect();
        if !order.is_sorted() {
            self.order = Some(order);
        }
    }
}

/// Whether `recorded` can be what the filter makes of `live`.
fn is_filtered(recorded: &Value, live: &Value) -> bool {
    match (recorded, live) {
        (Value::Object(recorded), Value::Object(live)) => recorded.iter().all(|(key, recorded)| {
            live.get(key)
                .is_some_and(|live| is_filtered(recorded, live))
        }),
        (Value::Array(recorded), Value::Array(live)) => {
            recorded.len() <= live.len()
                && recorded
                    .iter()
                    .all(|recorded| live.iter().any(|live| is_filtered(recorded, live)))
        }
        (Value::String(text), _) if text.starts_with("hmac:") => true,
        _ => recorded == live,
    }
}
