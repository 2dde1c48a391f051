//! What to change in an object that the server refuses, by what it says.

use serde_json::Value;

use super::draft::{Draft, Slot};
use super::path::{Key, Path, field};
use super::schema::Shape;
use super::search::{CROWD, Cause, Refusal, Search};
use super::values;

/// Elements that a leaf may try in one list: more than the members of any union.
const ELEMENTS: usize = 42;

impl Search<'_> {
    /// Changes the object as a cause suggests; `false` if nothing was changed.
    pub(super) fn fix(
        &mut self,
        draft: &mut Draft,
        cause: &Cause,
        place: (Path, Path),
        alone: bool,
    ) -> bool {
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
            let never = reason == "FieldValueForbidden" && rest.is_empty()
                || message.contains("must not be set");
            let hopeless = never && told.is_final() || (never || conflict(message)) && !alone;
            if !hopeless && slot.next() {
                return true;
            }
            if never {
                self.leaves[leaf].bans += 1;
            }
            return self.shed(draft, &path, if conflict(message) { ELEMENTS } else { 1 });
        }
        if let Some(culprit) = mentioned(draft, &path, message).filter(|_| !alone) {
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
                self.insert(draft, &place, true, slot.moves + 1);
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
    let words = [
        "exclusive",
        "simultaneously",
        " both ",
        " when ",
        "more than one",
        "at most one",
    ];
    words.iter().any(|words| message.contains(words))
}

/// `Unsupported value: "x": supported values: "a", "b"`.
fn supported(message: &str) -> Vec<Value> {
    let listed = ["must be one of ", "must be either "];
    if let Some((_, list)) = listed.iter().find_map(|words| message.split_once(words)) {
        let names = list
            .split(',')
            .map(|name| name.trim().trim_start_matches("or "));
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
    let (_, rest) = message
        .split_once("alue: ")
        .or_else(|| message.split_once("found: "))?;
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
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse::<i64>().ok()
    })?;
    Some(Value::from(number))
}

/// A leaf below a crowded place whose name the message holds.
fn mentioned(draft: &Draft, path: &[Key], message: &str) -> Option<Path> {
    let wanted = || draft.below(path).filter(|(_, slot)| slot.wanted);
    if wanted().count() <= CROWD {
        return None;
    }
    let words: Vec<&str> = message
        .split(|c: char| !c.is_ascii_alphanumeric())
        .collect();
    let named = |path: &Path| matches!(path.last(), Some(Key::Field(name)) if name.len() > 5 && words.contains(&name.as_str()));
    let mut found = wanted().filter(|(path, _)| named(path));
    found.next().map(|(path, _)| path.clone())
}
