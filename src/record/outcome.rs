//! What a recording tells, and how it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::mirror::{CommitId, MirrorError};

/// What a recording tells those who watch it.
#[derive(Clone, Debug)]
pub enum Report {
    /// (type, scope) pairs that delivered, all of them, and objects that wait for the commit.
    Progress {
        /// Pairs that delivered or are unknown.
        delivered: usize,
        /// All pairs.
        feeds: usize,
        /// Changes that wait.
        waiting: usize,
    },
    /// A commit is durable.
    Committed {
        /// Its id.
        commit_id: CommitId,
        /// The first line of its message.
        subject: String,
        /// How many paths it changes.
        objects: usize,
    },
    /// What a commit would hold; only in a dry run.
    WouldCommit {
        /// The first line of the message that it would have.
        subject: String,
        /// `create`, `change` or `delete`, and the path below the prefix.
        changes: Vec<(&'static str, Arc<str>)>,
    },
    /// The first sync is settled.
    Synced {
        /// Files in the mirror.
        files: usize,
        /// Types of which nothing is known, and why.
        unknown: BTreeMap<String, &'static str>,
    },
}

/// How a recording ended.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Commits that it made.
    pub commits: u64,
    /// Files in the mirror at the end.
    pub files: usize,
    /// Whether the first sync was settled.
    pub synced: bool,
    /// Types of which nothing was known at the end, and why.
    pub unknown: BTreeMap<String, &'static str>,
    /// Changes that could not be committed any more.
    pub lost: usize,
}

/// A recording that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The mirror refused a write for good.
    #[error("the mirror cannot be written")]
    Mirror(#[source] MirrorError),
    /// Nobody said what is served, for as long as a type may be silent.
    #[error(
        "the API server did not say what it serves within {0:?}; the warnings before this line say why"
    )]
    Discovery(Duration),
    /// The index of HEAD could not be read.
    #[error("the mirror cannot be read")]
    Index(#[source] MirrorError),
}
