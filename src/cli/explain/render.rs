//! An object line by line, each with what the rules did to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::canonical;
use crate::filter::{Action, Hit, RuleName};
use crate::object::Step;

/// One line of an object, and what became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) fate: Fate,
    pub(super) text: String,
    /// The rules that begin to act here.
    pub(super) notes: Vec<(Action, RuleName)>,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Removed,
    Changed,
}

impl Fate {
    /// As in a diff.
    pub(super) fn mark(self) -> char {
        match self {
            Self::Stays => ' ',
            Self::Removed => '-',
            Self::Changed => '~',
        }
    }

    fn of(action: Action) -> Option<Self> {
        match action {
            Action::Pruned | Action::Emptied => Some(Self::Removed),
            Action::Digested | Action::Omitted | Action::Sealed | Action::Large => {
                Some(Self::Changed)
            }
            // A list's order changes, its lines do not; a place that is saved is as it was.
            Action::Sorted | Action::Kept => None,
        }
    }
}

/// What an action did, in words that a rule's name follows.
pub(super) fn verb(action: Action) -> &'static str {
    match action {
        Action::Pruned => "removed by",
        Action::Emptied => "removed, all in it is removed by",
        Action::Kept => "kept by",
        Action::Sorted => "put in order by",
        Action::Digested => "a keyed digest by",
        Action::Omitted => "left out by",
        Action::Sealed => "encrypted by",
        Action::Large => "a digest for its size by",
    }
}

/// Takes an object apart into the lines of its canonical YAML.
pub(super) fn lines(object: &Value, hits: &[Hit]) -> Vec<Line> {
    let mut by_place: BTreeMap<&[Step], Vec<&Hit>> = BTreeMap::new();
    for hit in hits {
        by_place.entry(&hit.path).or_default().push(hit);
    }
    let mut renderer = Renderer {
        by_place,
        at: Vec::new(),
        lines: Vec::new(),
    };
    match object {
        Value::Object(map) => renderer.map(map, "", "", Fate::Stays),
        other => renderer.leaf(other, "", Fate::Stays, Vec::new()),
    }
    renderer.lines
}

struct Renderer<'a> {
    by_place: BTreeMap<&'a [Step], Vec<&'a Hit>>,
    at: Vec<Step>,
    lines: Vec<Line>,
}

impl Renderer<'_> {
    /// What happens at the place: whether its lines go, and who says so.
    fn word(&self, fate: Fate) -> (Fate, Vec<(Action, RuleName)>) {
        let hits = self.by_place.get(&*self.at).map_or(&[][..], Vec::as_slice);
        let notes = hits.iter().map(|hit| (hit.action, hit.rule.clone()));
        let worst = hits.iter().filter_map(|hit| Fate::of(hit.action));
        let here = worst.fold(fate, |fate, new| match (fate, new) {
            (Fate::Removed, _) | (_, Fate::Removed) => Fate::Removed,
            (_, new) => new,
        });
        (here, notes.collect())
    }

    /// `first` stands before the first key, `rest` before the others: both are indentation, but
    /// for a list's dash.
    fn map(&mut self, map: &Map<String, Value>, first: &str, rest: &str, fate: Fate) {
        let mut keys: Vec<_> = map.keys().collect();
        keys.sort_unstable();
        let mut indent = first;
        for key in keys {
            self.at.push(Step::Key(key.as_str().into()));
            let (fate, notes) = self.word(fate);
            match &map[key] {
                Value::Object(below) if !below.is_empty() => {
                    self.key(key, indent, rest, fate, notes);
                    let deeper = format!("{rest}  ");
                    self.map(below, &deeper, &deeper, fate);
                }
                Value::Array(below) if !below.is_empty() => {
                    self.key(key, indent, rest, fate, notes);
                    self.list(below, rest, rest, fate);
                }
                leaf => {
                    let mut one = Map::new();
                    one.insert(key.clone(), leaf.clone());
                    self.block(&Value::Object(one), indent, rest, fate, notes);
                }
            }
            self.at.pop();
            indent = rest;
        }
    }

    fn list(&mut self, list: &[Value], first: &str, rest: &str, fate: Fate) {
        let mut indent = first;
        for (index, element) in list.iter().enumerate() {
            self.at.push(Step::Index(index));
            let (fate, notes) = self.word(fate);
            let (dash, deeper) = (format!("{indent}- "), format!("{rest}  "));
            let before = self.lines.len();
            match element {
                Value::Object(below) if !below.is_empty() => self.map(below, &dash, &deeper, fate),
                Value::Array(below) if !below.is_empty() => self.list(below, &dash, &deeper, fate),
                leaf => self.block(leaf, &dash, rest, fate, Vec::new()),
            }
            if let Some(line) = self.lines.get_mut(before) {
                line.notes.splice(..0, notes);
            }
            self.at.pop();
            indent = rest;
        }
    }

    fn leaf(&mut self, leaf: &Value, indent: &str, fate: Fate, notes: Vec<(Action, RuleName)>) {
        self.block(leaf, indent, indent, fate, notes);
    }

    fn block(
        &mut self,
        value: &Value,
        first: &str,
        rest: &str,
        fate: Fate,
        mut notes: Vec<(Action, RuleName)>,
    ) {
        let mut bytes = Vec::new();
        canonical::emit(value, &mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        for (at, line) in text.lines().enumerate() {
            let indent = if at == 0 { first } else { rest };
            // An empty line of a block has no indentation.
            let indent = if line.is_empty() { "" } else { indent };
            self.push(format!("{indent}{line}"), fate, std::mem::take(&mut notes));
        }
    }

    /// A key that is too long for one line takes two.
    fn key(
        &mut self,
        key: &str,
        first: &str,
        rest: &str,
        fate: Fate,
        mut notes: Vec<(Action, RuleName)>,
    ) {
        for (at, line) in key_line(key).lines().enumerate() {
            let indent = if at == 0 { first } else { rest };
            self.push(format!("{indent}{line}"), fate, std::mem::take(&mut notes));
        }
    }

    fn push(&mut self, text: String, fate: Fate, notes: Vec<(Action, RuleName)>) {
        self.lines.push(Line { fate, text, notes });
    }
}

/// `key:`, quoted where it must be.
fn key_line(key: &str) -> String {
    let mut one = Map::new();
    one.insert(key.to_owned(), Value::Object(Map::new()));
    let mut bytes = Vec::new();
    canonical::emit(&Value::Object(one), &mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    text.strip_suffix(" {}").unwrap_or(text).to_owned()
}

/// A place as field paths are written, with positions in lists.
pub(super) fn place(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => {
                // Writing to a String cannot fail.
                let _ = write!(text, "[{index}]");
            }
            Step::Key(key) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if !key.is_empty() && key.chars().all(plain) {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                } else {
                    let _ = write!(text, "[{}]", Value::from(&**key));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn hit(path: &[&str], action: Action, rule: &str) -> Hit {
        let step = |text: &&str| {
            text.parse()
                .map_or_else(|_| Step::Key((*text).into()), Step::Index)
        };
        Hit {
            path: path.iter().map(step).collect(),
            action,
            rule: RuleName::from(rule.to_owned()),
        }
    }

    #[test]
    fn each_line_has_its_fate_and_the_first_its_rule() {
        let object = json!({
            "data": {"a.b/c": "x", "text": "one\ntwo\n"},
            "list": [{"name": "a", "port": 1}, {"name": "b", "port": 2}, 3],
            "status": {"ready": true, "deep": {"x": []}},
        });
        let hits = [
            hit(&["data", "text"], Action::Digested, "secret"),
            hit(&["list"], Action::Sorted, "order"),
            hit(&["list", "1"], Action::Pruned, "second"),
            hit(&["status"], Action::Pruned, "status"),
        ];
        let shown: Vec<String> = lines(&object, &hits)
            .iter()
            .map(|line| {
                let notes: Vec<_> = line
                    .notes
                    .iter()
                    .map(|(a, r)| format!(" # {} {r}", verb(*a)))
                    .collect();
                format!("{} {}{}", line.fate.mark(), line.text, notes.concat())
            })
            .collect();
        assert_eq!(
            shown,
            [
                "  data:",
                "    a.b/c: x",
                "~   text: | # a keyed digest by secret",
                "~     one",
                "~     two",
                "  list: # put in order by order",
                "  - name: a",
                "    port: 1",
                "- - name: b # removed by second",
                "-   port: 2",
                "  - 3",
                "- status: # removed by status",
                "-   deep:",
                "-     x: []",
                "-   ready: true",
            ]
        );
        assert_eq!(place(&hits[2].path), "list[1]");
        assert_eq!(place(&[Step::Key("a.b/c".into())]), "[\"a.b/c\"]");
    }

    proptest! {
        #[test]
        fn the_lines_are_the_canonical_file(value in crate::canonical::strategy::value()) {
            let object = json!({ "a": value });
            let mut bytes = Vec::new();
            canonical::emit(&object, &mut bytes);
            let shown: Vec<String> = lines(&object, &[]).into_iter().map(|line| line.text).collect();
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(shown, text.lines().collect::<Vec<_>>());
        }
    }
}
