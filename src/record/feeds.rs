//! What is known of each (type, scope). Pure.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::events::Feed;
use crate::filter::is_autoscaler;

/// One (type, scope).
#[derive(Debug)]
pub(super) struct FeedState {
    pub(super) feed: Feed,
    pub(super) directory: Box<str>,
    pub(super) status: Status,
    pub(super) heard: Duration,
    /// Paths seen since the last restart; `None` while no list is open.
    pub(super) listing: Option<HashSet<Arc<str>>>,
    /// A complete list would have removed many files: the next one decides.
    pub(super) suspicious: bool,
    pub(super) resource_version: Option<String>,
    /// The generation of autoscaled workloads that the open list began with, the last complete
    /// one began with, and that its files have to be of.
    pub(super) listing_by: u64,
    pub(super) listed_by: u64,
    pub(super) wants: u64,
}

impl FeedState {
    pub(super) fn is_autoscaler(&self) -> bool {
        is_autoscaler(&self.feed.api_type.group, &self.feed.api_type.resource)
    }

    /// Whether its files were written with the autoscalers as they are.
    pub(super) fn is_current(&self) -> bool {
        self.listed_by >= self.wants
    }

    /// Whether a first sync without it would be half a cluster.
    pub(super) fn is_pending(&self) -> bool {
        match self.status {
            Status::Pending => true,
            Status::Live => !self.is_current(),
            Status::Unknown(_) => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing complete has come yet.
    Pending,
    /// In step with the cluster.
    Live,
    /// Nothing is known, for this reason.
    Unknown(&'static str),
}
