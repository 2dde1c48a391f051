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
