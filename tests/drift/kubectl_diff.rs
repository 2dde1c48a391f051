//! What `kubectl diff` says of the same states, and why it says something else.
//!
//! It asks the server what an apply would change. What somebody added is not changed by an apply,
//! so that it is silent there; the classes of disagreement are counted, and there is no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::bed::Bed;
use crate::matrix::Mutation;
use crate::oracle::{Class, Identity};
use crate::support::plane::ADMIN;
use crate::support::{Failure, Result};

/// Which of its two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flavour {
    Client,
    Server,
}

/// How often the verdicts agreed, and why they did not.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<(Flavour, &'static str), usize>,
}

impl Tally {
    /// Asks kubectl about the changed objects and explains each disagreement; what nothing explains
    /// is returned.
    pub(crate) fn compare(
        &mut self,
        bed: &Bed<'_>,
        flavour: Flavour,
        batch: &[Mutation],
    ) -> Result<Vec<String>> {
        let differing = differing(bed, flavour, batch)?;
        let mut unexplained = Vec::new();
        for mutation in batch {
            let differs = differing.contains(&file_name(&mutation.id));
            match explain(flavour, mutation, differs) {
                Some(class) => *self.counts.entry((flavour, class)).or_default() += 1,
                None => unexplained.push(format!(
                    "kubectl diff ({flavour:?}) {} of {} {}: {}\n  expected {:?}",
                    if differs {
                        "has a difference"
                    } else {
                        "is silent"
                    },
                    mutation.id.kind,
                    mutation.id.name,
                    mutation.how,
                    mutation.expected
                )),
            }
        }
        Ok(unexplained)
    }

    pub(crate) fn print(&self) -> String {
        let lines = self
            .counts
            .iter()
            .map(|((flavour, class), count)| format!("  {flavour:?}: {count} {class}"));
        let lines: Vec<String> = lines.collect();
        format!(
            "kubectl diff, by class of (dis)agreement:\n{}",
            lines.join("\n")
        )
    }
}

/// The class of a verdict; `None` where nothing explains it.
fn explain(flavour: Flavour, mutation: &Mutation, differs: bool) -> Option<&'static str> {
    let has = |class: Class| mutation.expected.iter().any(|found| found.class == class);
    let ours = has(Class::Changed) || has(Class::Removed);
    match (ours, differs) {
        (true, true) => Some("both see a changed or removed field"),
        (false, false) if mutation.expected.is_empty() => Some("both see nothing"),
        (false, false) => Some("kubectl misses what somebody added"),
        (false, true) => None,
        (true, false) => {
            let _ = flavour;
            None
        }
    }
}

/// As kubectl names the files that it compares: `apps.v1.Deployment.shop.web`.
fn file_name(id: &Identity) -> String {
    let mut parts = vec![id.version.as_str(), &id.kind];
    if !id.group.is_empty() {
        parts.insert(0, &id.group);
    }
    parts.push(id.namespace.as_deref().unwrap_or_default());
    parts.push(&id.name);
    parts.join(".")
}

/// The objects that kubectl would change.
fn differing(bed: &Bed<'_>, flavour: Flavour, batch: &[Mutation]) -> Result<BTreeSet<String>> {
    let mut text = String::new();
    for mutation in batch {
        if let Some(desired) = bed.desired_of(&mutation.id) {
            text.push_str(&desired.to_string());
            text.push_str("\n---\n");
        }
    }
    let mut kubectl = bed
        .plane
        .kubectl_as(ADMIN)?
        // One line for each file: only which ones differ.
        .env("KUBECTL_EXTERNAL_DIFF", "diff -r -N -U1")
        .args(["diff", "-f", "-"]);
    if flavour == Flavour::Server {
        kubectl = kubectl.args(["--server-side", "--force-conflicts"]);
    }
    let finished = kubectl.stdin(text).run()?;
    if !matches!(finished.code, Some(0 | 1)) {
        return Err(Failure::new(format!("kubectl diff: {}", finished.stderr)));
    }
    let mut differing = BTreeSet::new();
    let mut file = String::new();
    for line in finished.stdout.lines() {
        if let Some(path) = line.strip_prefix("+++ ") {
            let path = path.split('\t').next().unwrap_or_default();
            file = path.rsplit('/').next().unwrap_or_default().to_owned();
        } else if line.starts_with(['+', '-']) && !line.starts_with("---") {
            let word = line[1..].trim_start();
            if !word.starts_with("generation:") {
                differing.insert(file.clone());
            }
        }
    }
    Ok(differing)
}
