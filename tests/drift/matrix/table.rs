//! What became of each cell of the matrix, and the cells that are excepted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::places::Action;
use super::verbs::{VERBS, Verb};
use crate::support::{Context as _, Failure, Result};

/// Most of the cells that may be excepted: one in so many.
const EXCEPTED_ONE_IN: usize = 50;

/// Cells that may be other than expected, each with a reason.
const EXCEPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/drift/exceptions.txt");

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cell {
    pub(crate) kind: String,
    pub(crate) action: Action,
    pub(crate) verb: Verb,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.kind, self.action, self.verb.name())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    effective: usize,
    refused: usize,
    nothing: usize,
}

/// The matrix so far.
#[derive(Default)]
pub(crate) struct Table {
    cells: BTreeMap<Cell, Counts>,
    by_kubectl: usize,
    /// What the server refused, by the head of its words.
    reasons: BTreeMap<String, usize>,
}

impl Table {
    pub(crate) fn changed(&mut self, cell: &Cell, by_kubectl: bool) {
        self.cells.entry(cell.clone()).or_default().effective += 1;
        self.by_kubectl += usize::from(by_kubectl);
    }

    pub(crate) fn refused(&mut self, cell: &Cell, reason: &str) {
        self.cells.entry(cell.clone()).or_default().refused += 1;
        let head: String = reason.chars().take(12).collect();
        *self.reasons.entry(head).or_default() += 1;
    }

    pub(crate) fn nothing(&mut self, cell: &Cell) {
        self.cells.entry(cell.clone()).or_default().nothing += 1;
    }

    pub(crate) fn effective(&self) -> usize {
        self.cells.values().map(|counts| counts.effective).sum()
    }

    /// How many changes the real kubectl made.
    pub(crate) fn by_kubectl(&self) -> usize {
        self.by_kubectl
    }

    /// Cells that were tried.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Per kind and verb: effective, refused by the server, changed nothing.
    pub(crate) fn print(&self) -> String {
        let mut text = String::from("effective/refused/nothing by kind and verb\n");
        let _ = write!(text, "{:32}", "");
        for verb in VERBS {
            let _ = write!(text, "{:>13}", verb.name());
        }
        let mut kinds: Vec<&String> = self.cells.keys().map(|cell| &cell.kind).collect();
        kinds.dedup();
        for kind in kinds {
            let _ = write!(text, "\n{kind:32}");
            for verb in VERBS {
                let of = self
                    .cells
                    .iter()
                    .filter(|(cell, _)| cell.kind == *kind && cell.verb == verb);
                let mut sum = Counts::default();
                let mut any = false;
                for (_, counts) in of {
                    any = true;
                    sum.effective += counts.effective;
                    sum.refused += counts.refused;
                    sum.nothing += counts.nothing;
                }
                let shown = if any {
                    format!("{}/{}/{}", sum.effective, sum.refused, sum.nothing)
                } else {
                    "-".to_owned()
                };
                let _ = write!(text, "{shown:>13}");
            }
        }
        let sum = |of: fn(&Counts) -> usize| self.cells.values().map(of).sum::<usize>();
        let _ = write!(
            text,
            "\n{} cells, {} effective ({} by the program kubectl), {} refused, {} changed nothing",
            self.cells.len(),
            sum(|counts| counts.effective),
            self.by_kubectl,
            sum(|counts| counts.refused),
            sum(|counts| counts.nothing),
        );
        let _ = write!(text, "\nrefused: {:?}", self.reasons);
        text
    }
}

/// The exceptions file: `KIND ACTION VERB: reason` in each line.
pub(crate) struct Exceptions {
    cells: BTreeMap<String, bool>,
}

impl Exceptions {
    /// Reads the file that is checked in.
    pub(crate) fn read() -> Result<Self> {
        let text = std::fs::read_to_string(EXCEPTIONS).context(EXCEPTIONS)?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut cells = BTreeMap::new();
        for line in text.lines() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (cell, reason) = line.split_once(": ").unwrap_or((line, ""));
            if reason.trim().is_empty() || cells.insert(cell.to_owned(), false).is_some() {
                let text = format!("{EXCEPTIONS}: no reason, or twice: {line}");
                return Err(Failure::new(text));
            }
        }
        Ok(Self { cells })
    }

    /// Whether the cell is excepted; it counts as used from now on.
    pub(crate) fn excuses(&mut self, cell: &Cell) -> bool {
        let used = self.cells.get_mut(&cell.to_string());
        used.map(|used| *used = true).is_some()
    }

    /// Fails where there are too many, or some that nothing needed.
    pub(crate) fn hold(&self, cells: usize) -> Result<()> {
        let unused: Vec<_> = self
            .cells
            .iter()
            .filter(|(_, used)| !**used)
            .map(|(cell, _)| cell)
            .collect();
        if !unused.is_empty() {
            let text = format!("{EXCEPTIONS}: nothing needs {unused:?}");
            return Err(Failure::new(text));
        }
        if self.cells.len() > cells / EXCEPTED_ONE_IN {
            let text = format!("{EXCEPTIONS}: {} of {cells} cells", self.cells.len());
            return Err(Failure::new(text));
        }
        Ok(())
    }
}
