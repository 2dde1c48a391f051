//! Every commit, and what caused it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mirror::{Mirror, until};
use crate::player::{KUBECTL, Player};
use crate::support::Result;

/// How long a change may take until it is committed, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// Path of the object that only [`Ledger::quiet`] changes.
pub(crate) const MARKER: &str = "/api/v1/namespaces/shop/configmaps/marker";
const MARKER_FILE: &str = "namespaces/shop/configmaps/marker.yaml";

/// The commits so far.
pub(crate) struct Ledger<'m> {
    mirror: &'m Mirror,
    last: String,
    lines: Vec<(String, String)>,
    markers: u32,
    /// Commits, and files in them, that nobody asked for.
    pub(crate) problems: Vec<String>,
    pub(crate) slowest: Duration,
}

struct Commit {
    id: String,
    subject: String,
    files: BTreeSet<String>,
}

impl<'m> Ledger<'m> {
    /// Begins with the commits that are there.
    pub(crate) fn new(mirror: &'m Mirror) -> Result<Self> {
        let subjects = mirror.git(&["log", "--reverse", "--format=%s", "main"])?;
        let first = |line: &str| (line.to_owned(), "the first sync".to_owned());
        Ok(Self {
            mirror,
            last: mirror.head()?,
            lines: subjects.lines().map(first).collect(),
            markers: 0,
            problems: Vec::new(),
            slowest: Duration::ZERO,
        })
    }

    fn since_last(&self) -> Result<Vec<Commit>> {
        let range = format!("{}..main", self.last);
        let log = self
            .mirror
            .git(&["log", "--reverse", "--format=%H %s", &range])?;
        let commit = |line: &str| {
            let (id, subject) = line.split_once(' ').unwrap_or((line, ""));
            let options = ["diff-tree", "-r", "--no-commit-id", "--name-only", id];
            Ok(Commit {
                id: id.to_owned(),
                subject: subject.to_owned(),
                files: self
                    .mirror
                    .git(&options)?
                    .lines()
                    .map(ToOwned::to_owned)
                    .collect(),
            })
        };
        log.lines().map(commit).collect()
    }

    /// Waits for the one commit that `cause` makes, which changes these files and no others.
    pub(crate) fn caused(&mut self, cause: &str, files: &[&str]) -> Result<()> {
        let wanted: BTreeSet<String> = files.iter().map(|&file| file.to_owned()).collect();
        let mut commits = Vec::new();
        let took = until(cause, Instant::now(), PATIENCE, || {
            commits = self.since_last()?;
            let changed: BTreeSet<_> = commits.iter().flat_map(|c| c.files.clone()).collect();
            Ok(wanted.is_subset(&changed))
        });
        match took {
            Ok(took) => self.slowest = self.slowest.max(took),
            Err(error) => self.problems.push(format!("no commit: {error}")),
        }
        if commits.len() != 1 || commits[0].files != wanted {
            let mut text = format!("{cause}: one commit of {wanted:?} expected, found:");
            for commit in &commits {
                let _ = write!(text, "\n  {}", commit.subject);
                let surplus = commit.files.difference(&wanted);
                for file in surplus {
                    let diff = ["show", "--format=%b", "-U0", &commit.id, "--", file];
                    let diff = self.mirror.git(&diff)?;
                    let _ = write!(text, "\n    {file}\n{diff}");
                }
            }
            self.problems.push(text);
        }
        for commit in commits {
            self.last = commit.id;
            let file = format!("{} | {cause}", commit.subject);
            report(&file);
            self.lines.push((commit.subject, cause.to_owned()));
        }
        Ok(())
    }

    /// Changes the marker by hand: its commit is the only one since the last, although `noise`
    /// went on.
    pub(crate) fn quiet(&mut self, player: &Player, noise: &str) -> Result<()> {
        self.markers += 1;
        let patch = json!({ "data": { "seen": self.markers.to_string() } });
        let written: Value = player.merge(KUBECTL, MARKER, &patch)?;
        assert_eq!(written["data"]["seen"], self.markers.to_string());
        self.caused(
            &format!("kubectl patch of the marker after {noise}"),
            &[MARKER_FILE],
        )
    }

    /// The commits there are, which must be those listed.
    pub(crate) fn close(mut self) -> Result<Vec<String>> {
        for commit in self.since_last()? {
            self.problems
                .push(format!("a commit at the end: {}", commit.subject));
        }
        let commits = self.mirror.commits()?;
        if commits != self.lines.len() {
            let listed = self.lines.len();
            self.problems
                .push(format!("{commits} commits, {listed} listed"));
        }
        Ok(self.problems)
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

#[expect(clippy::print_stdout, reason = "the list that the issue asks for")]
pub(crate) fn report(line: &str) {
    println!("quiet: {line}");
}
