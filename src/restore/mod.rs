//! Restore: what a revision of the mirror holds, put back into a cluster.
//!
//! ```text
//! Snapshot ──Source──▶ Files ─┐
//! live cluster ──look──▶ Target ─┴─▶ Plan ──run──▶ Outcomes
//! ```
//!
//! The plan is pure; [`run()`] alone writes, by `cluster::apply`. Nothing is kept between runs: what
//! is done is what is live, so a run that was killed is finished by the next one. Nothing live is
//! ever deleted.

mod live;
mod plan;
mod run;
mod source;

use crate::cluster::apply::{Mode, Refusal, Writer};
use crate::cluster::{ApiError, Cluster, DiscoveryError};
use crate::mirror::MirrorError;

pub use live::{Comparer, look};
pub use plan::{
    Class, Definition, Difference, Facts, Files, Fill, Item, Live, Managed, Options, Owner,
    OwnerKey, Plan, Recorded, Selection, SelectionError, Stage, Target, TypeNames, Wanted, render,
};
pub use run::{Outcome, RunOptions, run};
pub use source::{Loaded, Source, Unreadable};

/// The target cluster, with the credentials of this one command.
pub struct Access(Writer);

impl Access {
    /// To a cluster; `dry_run` lets the server check what is written, and keep nothing of it.
    pub fn new(cluster: &Cluster, dry_run: bool) -> Self {
        let mode = if dry_run { Mode::DryRun } else { Mode::Write };
        Self(Writer::new(cluster, mode))
    }
}

/// Why a restore cannot be planned. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The mirror cannot be read.
    #[error("failed to read the mirror")]
    Mirror(#[from] MirrorError),
    /// What was asked for is not there.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The target does not say what it serves.
    #[error("failed to ask the target cluster for its types")]
    Discovery(#[from] DiscoveryError),
    /// The target does not say what is live.
    #[error("failed to list what is live in the target cluster")]
    List(#[from] ApiError),
    /// The target refuses a look at an object.
    #[error("failed to read {object} of the target cluster: {refusal}")]
    Look {
        /// Which one.
        object: String,
        /// What it says.
        refusal: Refusal,
    },
    /// A file of the revision.
    #[error(transparent)]
    File(#[from] Unreadable),
}
