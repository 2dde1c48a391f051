//! Where in a text a place of its document stands.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};

use super::load;
use super::read::Reason;
use crate::object::Step;

/// How often nodes are looked at before the search gives up: merges of merges could make it visit
/// more places than there are atoms.
const MOST_VISITS: usize = 1_000_000;
/// How far merges of merges are followed: each is a call inside a call.
const MOST_MERGES: usize = 64;

/// Where a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// 1-based: the line of the key, or of a list's element.
    pub line: usize,
    /// How many of the steps were found; fewer than were asked for where the place is not in the
    /// text, and then the line is that of the nearest place around it.
    pub steps: usize,
}

/// The places of the first document of a YAML or JSON text.
///
/// Read once, asked often. What comes from an alias or a merge key stands where its anchor stands.
pub struct Places<'t>(Nodes<'t>);

impl<'t> Places<'t> {
    /// Reads until the first document ends, or as far as the text is good.
    pub fn read(text: &'t str) -> Self {
        Self(Nodes::read(text))
    }

    /// The line of a place; of a block of text in a list, the line that the text begins on. `None`
    /// where the text holds no document.
    pub fn line_of(&self, at: &[Step]) -> Option<Line> {
        let nodes = &self.0;
        let mut here = 0;
        let mut found = Line {
            line: nodes.list.first()?.line,
            steps: 0,
        };
        let mut effort = Effort {
            visits: MOST_VISITS,
            merges: MOST_MERGES,
        };
        for step in at {
            let Some((line, value)) = nodes.step(here, step, &mut effort) else {
                break;
            };
            found = Line {
                line,
                steps: found.steps + 1,
            };
            here = value;
        }
        Some(found)
    }
}

/// What is left of what a search may cost.
struct Effort {
    visits: usize,
    merges: usize,
}

/// The beginning or end of a node.
struct Node<'t> {
    event: Event<'t>,
    line: usize,
    /// The position after the node and all that lies in it.
    next: usize,
}

/// The nodes of one document, in the order of the text.
#[derive(Default)]
struct Nodes<'t> {
    list: Vec<Node<'t>>,
    /// Where the node with an anchor begins.
    anchors: HashMap<usize, usize>,
}

impl<'t> Nodes<'t> {
    /// Reads until the first document ends, or as far as the text is good.
    fn read(text: &'t str) -> Self {
        let mut nodes = Self::default();
        let mut open: Vec<usize> = Vec::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            let here = nodes.list.len();
            let (opens, anchor) = match &event {
                Event::MappingStart(anchor, _) | Event::SequenceStart(anchor, _) => (true, *anchor),
                Event::Scalar(_, _, anchor, _) => (false, *anchor),
                Event::Alias(_) => (false, 0),
                Event::MappingEnd | Event::SequenceEnd => {
                    nodes.push(event, span.start.line());
                    if let Some(start) = open.pop() {
                        nodes.list[start].next = here + 1;
                    }
                    if open.is_empty() {
                        break;
                    }
                    continue;
                }
                Event::DocumentEnd => break,
                _ => continue,
            };
            nodes.push(event, span.start.line());
            if anchor != 0 {
                nodes.anchors.insert(anchor, here);
            }
            if opens {
                open.push(here);
            }
        }
        let end = nodes.list.len();
        for start in open {
            nodes.list[start].next = end;
        }
        nodes
    }

    fn push(&mut self, event: Event<'t>, line: usize) {
        let next = self.list.len() + 1;
        self.list.push(Node { event, line, next });
    }

    /// The line of what lies one step into the node at `here`, and where its value begins.
    fn step(&self, here: usize, step: &Step, effort: &mut Effort) -> Option<(usize, usize)> {
        let here = self.target(here)?;
        match (&self.list[here].event, step) {
            (Event::SequenceStart(..), Step::Index(at)) => {
                let element = self.children(here).nth(*at)?;
                Some((self.list[element].line, element))
            }
            (Event::MappingStart(..), Step::Key(key)) => self.entry(here, key, effort),
            _ => None,
        }
    }

    /// The entry of a mapping: its own or a merged one, whichever comes last, as the reader has it.
    fn entry(&self, mapping: usize, wanted: &str, effort: &mut Effort) -> Option<(usize, usize)> {
        let mut found = None;
        let mut children = self.children(mapping);
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            effort.visits = effort.visits.checked_sub(1)?;
            match self.key(key) {
                Ok(name) if name == wanted => found = Some((self.list[key].line, value)),
                Err(Reason::Merge) => found = self.merged(value, wanted, effort).or(found),
                _ => {}
            }
        }
        found
    }

    /// An entry of what a merge key names: a mapping, or the first of a list that has it.
    fn merged(&self, value: usize, wanted: &str, effort: &mut Effort) -> Option<(usize, usize)> {
        let value = self.target(value)?;
        effort.visits = effort.visits.checked_sub(1)?;
        effort.merges = effort.merges.checked_sub(1)?;
        let found = match self.list[value].event {
            Event::MappingStart(..) => self.entry(value, wanted, effort),
            Event::SequenceStart(..) => self.children(value).find_map(|item| {
                let item = self.target(item)?;
                let is_map = matches!(self.list[item].event, Event::MappingStart(..));
                is_map.then(|| self.entry(item, wanted, effort)).flatten()
            }),
            _ => None,
        };
        effort.merges += 1;
        found
    }

    fn key(&self, key: usize) -> Result<String, Reason> {
        match self.target(key).map(|key| &self.list[key].event) {
            Some(Event::Scalar(text, style, _, tag)) => {
                load::key(text.clone().into_owned(), *style, tag.as_deref())
            }
            _ => Err(Reason::Key),
        }
    }

    /// The node itself, or the one that an alias stands for.
    fn target(&self, node: usize) -> Option<usize> {
        match self.list.get(node)?.event {
            Event::Alias(anchor) => self.anchors.get(&anchor).copied(),
            _ => Some(node),
        }
    }

    fn children(&self, parent: usize) -> impl Iterator<Item = usize> {
        let end = self.list[parent].next;
        let mut child = parent + 1;
        std::iter::from_fn(move || {
            let node = self.list.get(child).filter(|_| child < end)?;
            if matches!(node.event, Event::MappingEnd | Event::SequenceEnd) {
                return None;
            }
            let this = child;
            child = node.next;
            Some(this)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::Value;

    use super::*;
    use crate::canonical::{self, strategy};

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    /// The places of all leaves, with those of what lies around them.
    fn places(value: &Value) -> Vec<Vec<Step>> {
        let mut all = vec![Vec::new()];
        let children: Vec<(Step, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(name, value)| (key(name), value)).collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, value)| (Step::Index(at), value))
                .collect(),
            _ => Vec::new(),
        };
        for (step, child) in children {
            all.extend(
                places(child)
                    .into_iter()
                    .map(|rest| [vec![step.clone()], rest].concat()),
            );
        }
        all
    }

    proptest::proptest! {
        /// Every place of what the emitter writes is found, whatever its keys look like.
        #[test]
        fn every_place_is_found(value in strategy::value()) {
            let mut text = Vec::new();
            canonical::emit(&value, &mut text);
            let text = String::from_utf8(text).unwrap();
            let found = Places::read(&text);
            for place in places(&value) {
                let line = found.line_of(&place).unwrap();
                assert_eq!(line.steps, place.len(), "{place:?} in\n{text}");
            }
        }

        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            let _ = Places::read(&text).line_of(&[key("a"), Step::Index(0)]);
        }
    }

    #[test]
    fn merges_of_merges_end() {
        let mut text = "a0: &a0 {x: 1}\n".to_owned();
        for at in 1..200 {
            let before = at - 1;
            writeln!(text, "a{at}: &a{at} {{<<: [*a{before}, *a{before}]}}").unwrap();
        }
        text.push_str("last:\n  <<: *a199\n  own: 1\n");
        let found = Places::read(&text);
        let line = found.line_of(&[key("last"), key("absent")]).unwrap();
        assert_eq!((line.line, line.steps), (201, 1));
        assert_eq!(found.line_of(&[key("a1"), key("x")]).unwrap().line, 1);
        // An alias inside of its own anchor leads nowhere.
        let circle = "a: &a\n  <<: *a\n  b: *a\n";
        let deep = [vec![key("a")], vec![key("b"); 500]].concat();
        let line = Places::read(circle).line_of(&deep).unwrap();
        assert_eq!(line.line, 3);
    }

    #[test]
    fn nesting_does_not_exhaust_the_stack() {
        // The parser gives up on some of them; what matters is that the process lives.
        for text in [
            "[".repeat(200_000),
            "- ".repeat(5_000),
            "{a: ".repeat(200_000),
        ] {
            let found = Places::read(&text).line_of(&vec![Step::Index(0); 300_000]);
            assert!(found.is_none_or(|found| found.line == 1));
        }
    }
}
