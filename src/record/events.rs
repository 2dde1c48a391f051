//! What the recorder hears, and what it asks for. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::autoscale::Generation;
use super::damping::Sample;
use super::sidecar::SidecarBatch;
use super::stage::{Changes, Staged};
use crate::cluster::{Cause, Scope};
use crate::mirror::BlobId;
use crate::object::{ApiType, ObjectKey};

/// Names one reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FeedId(pub u32);

/// One (type, scope) that is read.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// Which reflector feeds it.
    pub id: FeedId,
    /// Its type.
    pub api_type: Arc<ApiType>,
    /// Its part of the cluster.
    pub scope: Scope,
    /// What becomes of its objects depends on autoscalers: it starts when those are known.
    pub scalable: bool,
}

/// What is served now, as far as it concerns the mirror.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    /// Everything that is read.
    pub feeds: Vec<Feed>,
    /// Directories of types that a rule leaves out whole, with the rule's name.
    pub left_out: BTreeMap<String, Arc<str>>,
    /// Directories that are served, read or not.
    pub directories: BTreeSet<String>,
    /// Escaped `.<group>` suffixes of directories of which nothing is known.
    pub unknown_groups: BTreeSet<Box<str>>,
    /// Groups of which some version's server is away, read ones included: that discovery does not
    /// serve one of their types proves nothing.
    pub stale_groups: BTreeSet<Box<str>>,
    /// The whole cluster is read: a directory that is not served may be taken for gone, once the
    /// list of CRDs is complete.
    pub whole_cluster: bool,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Input {
    /// Discovery has spoken.
    Served(Served),
    /// A list starts over; its objects are filtered by this generation of autoscaled workloads, or
    /// by a later one.
    Restarted(FeedId, u64),
    /// An object as it is now.
    Staged(FeedId, Staged),
    /// An object was deleted.
    Deleted(FeedId, ObjectKey),
    /// A list is complete.
    Complete(FeedId, String),
    /// Nothing older is outstanding.
    Progress(FeedId, String),
    /// Nothing is known for now.
    Unknown(FeedId, Cause),
    /// What was unknown for a while goes on.
    Recovered(FeedId),
    /// Time passed.
    Tick,
    /// What the sidecar says of the cluster as a whole has changed.
    FactsChanged,
    /// The batch is durable, but for its share of the sidecar. [`Input::Committed`] follows.
    OutOfStep,
    /// The batch is durable.
    Committed,
    /// The batch could not be written; its changes come back.
    CommitFailed(Changes),
    /// Close the batch, whatever its age.
    Flush,
}

/// What to do.
#[derive(Debug)]
pub(super) enum Effect {
    /// Write these files into the open pack; they are part of the next batch.
    Spill(Vec<(BlobId, Vec<u8>)>),
    /// Make a commit.
    Commit(Batch),
    /// Read this (type, scope) again.
    Relist(FeedId),
    /// Filter by this from now on. The first one lets the feeds start that wait for it.
    Autoscaled(Generation),
    /// An object keeps changing and is damped from now on, or is not any more.
    Damped {
        /// Its path below the prefix.
        path: Arc<str>,
        /// Whether it is.
        damped: bool,
    },
    /// The first sync is settled, and committed if there was anything to commit.
    Synced,
    /// Nobody has said what is served for as long as a type may be silent. Said once.
    DiscoveryOverdue,
    /// So many deletions wait for a second list.
    DeletionsWithheld {
        /// Whose list it was.
        feed: FeedId,
        /// How many.
        count: usize,
    },
}

/// What one commit holds.
#[derive(Debug)]
pub(super) struct Batch {
    /// It is the first one of this run, and holds all that changed while nobody looked.
    pub first_sync: bool,
    /// The mirror was empty before it.
    pub initial: bool,
    /// The changes in the order of their paths.
    pub changes: Changes,
    /// The changes of the sidecar in the order of their paths. With no change of a file they, and
    /// its facts, are a commit of the sidecar alone.
    pub sidecar: Arc<SidecarBatch>,
    /// Directories of which nothing is known, and why.
    pub unknown: BTreeMap<String, &'static str>,
    /// A keyed digest stands in some file of this run.
    pub digested: bool,
    /// Damped objects that it holds, in the order of their paths.
    pub damped: Vec<Sample>,
}
