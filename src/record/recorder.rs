//! The recorder's decisions: a state machine without clock, randomness or I/O.
//!
//! It alone owns the index path → blob id. `step` takes what happened and when (as a [`Duration`]
//! since the start), and returns what to do; the driver (`driver.rs`) does it. Between
//! [`Effect::Commit`] and its [`Input::Committed`] or [`Input::CommitFailed`] no other input may
//! come.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::autoscale::{self, Autoscalers};
use super::damping::{self, Damping};
use super::events::{Batch, Effect, Feed, FeedId, Input, Served};
use super::feeds::{FeedState, Status};
use super::sidecar::{Goes, SidecarBatch, SidecarIndex, SidecarStage};
use super::stage::{
    Action, Content, File, Hold, Outcome, Removal, SidecarFile, Stage, Staged, Who,
};
use super::window::{Window, WindowOptions};
use crate::cluster::Cause;
use crate::filter::{ScaleTarget, is_autoscaler};
use crate::mirror::{BlobId, Index};
use crate::object::ObjectKey;
use crate::owners::interactive_mark;

/// Options of the recorder's decisions.
#[derive(Clone, Copy, Debug)]
pub struct RecorderOptions {
    /// When a batch closes.
    pub window: WindowOptions,
    /// A type from which nothing has come for this long is unknown.
    pub sync_timeout: Duration,
    /// Objects that keep changing are sampled.
    pub damping: bool,
}

/// Files of a batch go into the pack when they exceed this, so that memory holds no first sync.
const SPILL_BYTES: usize = 4 << 20;
/// The same of damped files, of which all but the last one are in vain.
const SPILL_DAMPED_BYTES: usize = 64 << 20;
/// A commit that is being made.
#[derive(Clone, Copy, Debug)]
struct Committing {
    /// It writes the facts of the sidecar.
    facts: bool,
}

/// The recorder's state.
#[derive(Debug)]
pub(super) struct Recorder {
    options: RecorderOptions,
    pub(super) index: Index,
    pub(super) stage: Stage,
    window: Window,
    pub(super) feeds: BTreeMap<FeedId, FeedState>,
    pub(super) served: Option<Served>,
    synced: bool,
    terminating: BTreeSet<Box<str>>,
    digested: bool,
    sidecar_index: SidecarIndex,
    pub(super) sidecar: SidecarStage,
    /// A commit is being made.
    committing: Option<Committing>,
    in_flight: Vec<(Arc<str>, Option<BlobId>)>,
    sidecar_in_flight: Arc<SidecarBatch>,
    overdue: bool,
    damping: Damping,
    autoscalers: Autoscalers,
}

impl Recorder {
    /// Starts from HEAD's index, and from what its autoscalers name, by path. Time zero is now.
    pub(super) fn new(
        options: RecorderOptions,
        index: Index,
        autoscalers: HashMap<Arc<str>, ScaleTarget>,
    ) -> Self {
        Self {
            options,
            index,
            stage: Stage::default(),
            window: Window::new(options.window),
            feeds: BTreeMap::new(),
            served: None,
            synced: false,
            terminating: BTreeSet::new(),
            digested: false,
            sidecar_index: SidecarIndex::default(),
            sidecar: SidecarStage::default(),
            committing: None,
            in_flight: Vec::new(),
            sidecar_in_flight: Arc::default(),
            overdue: false,
            damping: Damping::new(options.damping, options.window.max_age),
            autoscalers: Autoscalers::new(autoscalers),
        }
    }

    /// Goes on from HEAD's sidecar. `in_step` says whether it belongs to HEAD; `orphans` are paths
    /// in it that HEAD has no file at.
    pub(super) fn with_sidecar(
        mut self,
        index: SidecarIndex,
        orphans: &[Box<str>],
        in_step: bool,
    ) -> Self {
        self.sidecar_index = index;
        for path in orphans {
            self.sidecar.remove(&self.sidecar_index, path, Goes::Alone);
        }
        self.sidecar.facts_changed = !in_step;
        self
    }

    /// Paths of the objects that are damped now, in their order.
    pub(super) fn damped_paths(&self) -> Vec<Arc<str>> {
        self.damping.damped_paths()
    }

    /// Objects that are damped now, and changes that went into no commit of their own.
    pub(super) fn damped(&self) -> (usize, u64) {
        (self.damping.damped(), self.damping.skipped())
    }

    /// The blobs that HEAD holds at a path, and that it will hold.
    pub(super) fn blobs(&self, path: &str) -> [Option<BlobId>; 2] {
        [self.index.get(path), self.stage.blob_id(&self.index, path)]
    }

    /// Files in the mirror.
    pub(super) fn files(&self) -> usize {
        self.index.len()
    }

    /// Changes that wait for a commit.
    pub(super) fn waiting(&self) -> usize {
        self.stage.len() + self.sidecar.alone()
    }

    /// Changes that wait for nothing but the window.
    fn ready(&self) -> usize {
        self.stage.ready() + self.sidecar.alone() + usize::from(self.sidecar.facts_changed)
    }

    /// Whether the first sync is settled.
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    /// (type, scope) pairs that delivered, and all of them.
    pub(super) fn sync_progress(&self) -> (usize, usize) {
        let done = self
            .feeds
            .values()
            .filter(|feed| feed.status != Status::Pending)
            .count();
        (done, self.feeds.len())
    }

    /// Directories and groups of which nothing is known, and why.
    pub(super) fn unknown(&self) -> BTreeMap<String, &'static str> {
        let mut unknown: BTreeMap<_, _> = self
            .feeds
            .values()
            .filter_map(|state| match state.status {
                Status::Unknown(cause) => Some((state.feed.api_type.to_string(), cause)),
                Status::Pending | Status::Live => None,
            })
            .collect();
        let groups = self.served.iter().flat_map(|served| &served.unknown_groups);
        unknown.extend(groups.map(|group| (format!("*.{group}"), "unreachable")));
        unknown
    }

    /// The resourceVersions to resume from, by type and scope: what is older is in HEAD or staged.
    ///
    /// Empty while anything is staged, because HEAD does not hold it yet.
    pub(super) fn cursor(&self) -> Vec<(&Feed, &str)> {
        if self.stage.len() > 0 || self.sidecar.len() > 0 || self.sidecar.facts_changed {
            return Vec::new();
        }
        self.feeds
            .values()
            .filter(|state| state.status == Status::Live && state.listing.is_none())
            // Files that were written with other autoscalers have to be looked at again.
            .filter(|state| state.is_current())
            .filter_map(|state| Some((&state.feed, state.resource_version.as_deref()?)))
            .collect()
    }

    /// When [`Input::Tick`] is due; `None` where only events can bring anything new.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.served.is_none() {
            return (!self.overdue).then_some(self.options.sync_timeout);
        }
        if !self.synced {
            let silent = self
                .feeds
                .values()
                .filter(|state| state.is_pending() && !self.waits(state))
                .map(|state| state.heard + self.options.sync_timeout)
                .min();
            return [silent, self.autoscalers.due()].into_iter().flatten().min();
        }
        [
            self.window.closes(self.ready()),
            self.window.hold_ends(),
            self.damping.deadline(),
            self.autoscalers.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether a feed has not started, because the autoscalers are not known yet.
    fn waits(&self, state: &FeedState) -> bool {
        state.feed.scalable && !self.autoscalers.is_known()
    }

    /// Takes one input and returns what to do about it, in order.
    pub(super) fn step(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let flush = matches!(input, Input::Flush);
        match input {
            Input::Served(served) => self.served(now, served),
            Input::Restarted(id, generation) => {
                if let Some(state) = self.heard(id, now) {
                    // Also ends a list that was left unfinished: what it saw proves nothing.
                    state.listing = Some(HashSet::new());
                    state.listing_by = generation;
                }
            }
            Input::Staged(id, staged) => self.staged(now, id, staged, &mut effects),
            Input::Deleted(id, key) => self.deleted(now, id, &key, &mut effects),
            Input::Complete(id, resource_version) => {
                self.complete(now, id, resource_version, &mut effects);
            }
            Input::Progress(id, resource_version) => {
                if let Some(state) = self.heard(id, now)
                    && !state.suspicious
                {
                    state.resource_version = Some(resource_version);
                }
            }
            Input::Unknown(id, cause) => self.unknown_feed(now, id, cause),
            Input::Recovered(id) => {
                if let Some(state) = self.heard(id, now) {
                    state.status = Status::Live;
                    // It went on from a cursor, and its files are of other autoscalers.
                    if !state.is_current() {
                        effects.push(Effect::Relist(id));
                    }
                }
            }
            Input::Tick => {
                self.damp(now, &mut effects);
                if self.window.hold_ends().is_some_and(|end| end <= now) {
                    self.stage.release(None);
                    self.window.none_held();
                    self.window
                        .changed(now.saturating_sub(self.window.max_age()));
                }
                self.expire(now);
                if self.served.is_none() && !self.overdue && now >= self.options.sync_timeout {
                    self.overdue = true;
                    effects.push(Effect::DiscoveryOverdue);
                }
            }
            Input::FactsChanged => {
                self.sidecar.facts_changed = true;
                self.window.changed(now);
            }
            Input::OutOfStep => {
                let changes = std::mem::take(&mut self.sidecar_in_flight);
                let stage = &self.stage;
                self.sidecar
                    .restore(Arc::unwrap_or_clone(changes), false, |path| stage.has(path));
                self.sidecar.facts_changed = true;
                self.window.changed(now);
            }
            Input::Committed => {
                self.committing = None;
                for (path, blob_id) in std::mem::take(&mut self.in_flight) {
                    self.damping.committed(&path);
                    match blob_id {
                        Some(blob_id) => self.index.insert(&path, blob_id),
                        None => self.index.remove(&path),
                    };
                }
                for change in self.sidecar_in_flight.iter() {
                    self.damping.committed(&change.path);
                    self.sidecar_index.set(&change.path, change.blobs);
                }
                self.sidecar_in_flight = Arc::default();
                self.window.committed();
                if self.ready() > 0 {
                    self.window.changed(now);
                }
            }
            Input::CommitFailed(changes) => {
                let committing = self.committing.take();
                self.in_flight.clear();
                self.sidecar.facts_changed |= committing.is_some_and(|one| one.facts);
                self.window.failed(now);
                let mut lost = self.stage.restore(changes);
                let changes = std::mem::take(&mut self.sidecar_in_flight);
                let stage = &self.stage;
                lost |= self
                    .sidecar
                    .restore(Arc::unwrap_or_clone(changes), true, |path| stage.has(path));
                if lost {
                    effects.extend(self.feeds.keys().map(|id| Effect::Relist(*id)));
                }
            }
            Input::Flush => {}
        }
        self.publish(now, &mut effects);
        self.close(now, flush, &mut effects);
        effects
    }

    /// Tells the pipelines which workloads are scaled: for the first time as soon as every
    /// autoscaler is known, or known to be unknown.
    fn publish(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if !self.autoscalers.is_known() {
            let known = self.served.is_some()
                && self
                    .feeds
                    .values()
                    .all(|state| !state.is_autoscaler() || state.status != Status::Pending);
            if known {
                effects.push(Effect::Autoscaled(self.autoscalers.publish(now)));
                // Their time to be silent in begins now.
                let waited = self.feeds.values_mut().filter(|state| state.feed.scalable);
                waited.for_each(|state| state.heard = now);
            }
        } else if self.autoscalers.due().is_some_and(|due| due <= now) {
            let generation = self.autoscalers.publish(now);
            let number = generation.number;
            effects.push(Effect::Autoscaled(generation));
            if self.ready() > 0 {
                // The autoscaler and what it takes from its workload are one commit.
                self.window.changed(now);
            }
            let behind = self.feeds.iter().filter(|(_, state)| state.wants == number);
            effects.extend(behind.map(|(id, _)| Effect::Relist(*id)));
        }
    }

    /// Takes note of the workload that the autoscaler at `path` names, if any.
    pub(super) fn scales(&mut self, now: Duration, path: &Arc<str>, target: Option<ScaleTarget>) {
        for target in self.autoscalers.set(now, path, target) {
            let wants = self.autoscalers.next();
            for state in self.feeds.values_mut() {
                if state.feed.scalable && autoscale::reads(&state.feed, &target) {
                    state.wants = wants;
                }
            }
        }
    }

    /// Lets go of damped changes when a sample is due, or when an object has calmed down.
    fn damp(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for path in self.damping.sweep(now) {
            let released = self.stage.release_damped_at(&path);
            if self.sidecar.release_damped_at(&path) || released {
                self.window.changed(now);
            }
            let damped = false;
            effects.push(Effect::Damped { path, damped });
        }
        if self.damping.sample_is_due(now) {
            self.stage.release_damped();
            self.sidecar.release_damped();
            if self.ready() > 0 {
                // At once, with all else: a deletion that is followed by another creation would
                // wait again.
                self.window
                    .changed(now.saturating_sub(self.window.max_age()));
            }
        }
    }

    fn heard(&mut self, id: FeedId, now: Duration) -> Option<&mut FeedState> {
        let state = self.feeds.get_mut(&id)?;
        state.heard = now;
        Some(state)
    }

    fn served(&mut self, now: Duration, served: Served) {
        let ids: HashSet<_> = served.feeds.iter().map(|feed| feed.id).collect();
        self.feeds.retain(|id, _| ids.contains(id));
        for feed in &served.feeds {
            self.feeds.entry(feed.id).or_insert_with(|| FeedState {
                feed: feed.clone(),
                directory: feed.api_type.directory().into(),
                status: Status::Pending,
                heard: now,
                listing: None,
                suspicious: false,
                resource_version: None,
                listing_by: 0,
                listed_by: 0,
                wants: 0,
            });
        }
        self.served = Some(served);
        self.conclude(now);
    }

    fn staged(&mut self, now: Duration, id: FeedId, staged: Staged, effects: &mut Vec<Effect>) {
        let Some(state) = self.heard(id, now) else {
            return;
        };
        let Staged {
            key,
            path,
            content,
            terminating,
            managed_fields,
            replicas,
            scales,
            sidecar,
        } = staged;
        if let Some(seen) = &mut state.listing {
            seen.insert(path.clone());
        }
        if &*key.api_type.resource == "namespaces" && key.api_type.group.is_empty() {
            if terminating {
                self.terminating.insert(key.name.clone());
            } else {
                self.terminating.remove(&key.name);
            }
        }
        let file = match content {
            Content::File {
                blob_id,
                bytes,
                digested,
            } => {
                self.digested |= digested;
                Ok((blob_id, Some(bytes)))
            }
            // Its digest stands in the file.
            Content::Known { blob_id } => {
                self.digested = true;
                Ok((blob_id, None))
            }
            Content::LeftOut { rule } => Err(rule),
            // What the object scales is unknown as well.
            Content::Sealed { .. } | Content::Unsealable => return,
        };
        let outcome = match file {
            Ok((blob_id, bytes)) => {
                if is_autoscaler(&key.api_type.group, &key.api_type.resource) {
                    self.scales(now, &path, scales);
                }
                let mark = || interactive_mark(managed_fields.as_deref(), replicas);
                let sidecar = sidecar.map(|file| (BlobId::of(&file.owners), file));
                let owners = sidecar.as_ref().map(|(owners, _)| *owners);
                let damped = self.seen(now, &key, &path, Some((blob_id, owners)), mark, effects);
                let file_changed = self.stage.blob_id(&self.index, &path) != Some(blob_id);
                let file = File {
                    blob_id,
                    bytes,
                    managed_fields,
                    damped,
                };
                let outcome = self.stage.put(&self.index, key, &path, file);
                if let Some(file) = sidecar {
                    self.stage_owners(now, &path, file, blob_id, file_changed, damped);
                }
                outcome
            }
            Err(rule) => {
                self.scales(now, &path, None);
                let (who, removal) = (Who::Object(key), Removal::Rule(rule));
                self.take_out(&path, who, removal, false)
            }
        };
        if outcome == Outcome::Held {
            self.damping.waits(now, &path);
        }
        self.note(now, outcome);
        if self.stage.bytes() + self.sidecar.bytes() > SPILL_BYTES {
            let mut blobs = self.stage.spill(false);
            blobs.extend(self.sidecar.spill());
            effects.push(Effect::Spill(blobs));
        }
        if self.stage.damped_bytes() > SPILL_DAMPED_BYTES {
            effects.push(Effect::Spill(self.stage.spill(true)));
        }
    }

    /// Stages what the sidecar shall hold of an object whose file is `blob_id`.
    fn stage_owners(
        &mut self,
        now: Duration,
        path: &Arc<str>,
        file: (BlobId, SidecarFile),
        blob_id: BlobId,
        file_changed: bool,
        damped: bool,
    ) {
        let staged = self.stage.has(path);
        if self.stage.blob_id(&self.index, path) != Some(blob_id) {
            // The file could not be staged: what it is made of is lost.
            return;
        }
        let goes = match (staged, damped) {
            (true, _) => Goes::WithFile,
            (false, true) => Goes::Damped,
            (false, false) => Goes::Alone,
        };
        let file_is = (self.index.get(path) == Some(blob_id), file_changed);
        if self
            .sidecar
            .put(&self.sidecar_index, path, file, file_is, goes)
        {
            if goes == Goes::Damped {
                self.damping.waits(now, path);
            } else {
                self.window.changed(now);
            }
        }
    }

    /// Stages the removal of a file, and of what belongs to it.
    pub(super) fn take_out(
        &mut self,
        path: &str,
        who: Who,
        removal: Removal,
        held: bool,
    ) -> Outcome {
        let outcome = self.stage.remove(&self.index, path, who, removal, held);
        let goes = if self.stage.has(path) {
            Goes::WithFile
        } else {
            Goes::Alone
        };
        self.sidecar.remove(&self.sidecar_index, path, goes);
        outcome
    }

    /// Counts a change; returns whether it waits for the next sample.
    fn seen(
        &mut self,
        now: Duration,
        key: &ObjectKey,
        path: &Arc<str>,
        after: Option<(BlobId, Option<BlobId>)>,
        mark: impl FnOnce() -> u64,
        effects: &mut Vec<Effect>,
    ) -> bool {
        // What a first sync finds happened while nobody looked, once.
        if !self.synced || !damping::may_be_damped(&key.api_type) {
            return false;
        }
        // Owners that flap are damped as a file that does.
        let owners = after.and_then(|(_, owners)| owners);
        let owners = owners.and_then(|_| self.sidecar.owners(&self.sidecar_index, path));
        let before = self.stage.blob_id(&self.index, path);
        let before = before.map(|file| together(file, owners));
        let after = after.map(|(file, owners)| together(file, owners));
        let seen = self.damping.seen(now, path, before, after, mark);
        if seen.entered {
            let (path, damped) = (path.clone(), true);
            effects.push(Effect::Damped { path, damped });
        }
        seen.wait
    }

    fn deleted(&mut self, now: Duration, id: FeedId, key: &ObjectKey, effects: &mut Vec<Effect>) {
        let Some(state) = self.heard(id, now) else {
            return;
        };
        let path: Arc<str> = key.path().into();
        if let Some(seen) = &mut state.listing {
            seen.remove(&*path);
        }
        self.scales(now, &path, None);
        self.seen(now, key, &path, None, || 0, effects);
        let held = self.synced
            && key
                .namespace
                .as_ref()
                .is_some_and(|namespace| self.terminating.contains(namespace));
        let outcome = self.take_out(&path, Who::Object(key.clone()), Removal::Deleted, held);
        if outcome == Outcome::Held {
            self.window.held(now);
        }
        self.note(now, outcome);
        if &*key.api_type.resource == "namespaces" && key.api_type.group.is_empty() {
            self.terminating.remove(&key.name);
            self.stage.release(Some(&key.name));
            if self.stage.held(Hold::Namespace) == 0 {
                self.window.none_held();
            }
            if self.ready() > 0 {
                self.window.changed(now);
            }
        }
    }

    pub(super) fn note(&mut self, now: Duration, outcome: Outcome) {
        match outcome {
            Outcome::Staged => self.window.changed(now),
            Outcome::Reverted | Outcome::Held if self.ready() == 0 => self.window.emptied(),
            Outcome::Reverted | Outcome::Held | Outcome::Nothing => {}
        }
    }

    fn unknown_feed(&mut self, now: Duration, id: FeedId, cause: Cause) {
        let synced = self.synced;
        let Some(state) = self.feeds.get_mut(&id) else {
            return;
        };
        // A refusal settles the first sync at once; what may pass in a moment gets its time.
        let settles = cause.is_blind_spot() || state.status != Status::Pending || synced;
        if settles {
            state.heard = now;
            state.status = Status::Unknown(cause.as_str());
        }
    }

    /// Turns types that have been silent for too long into unknown ones.
    fn expire(&mut self, now: Duration) {
        let known = self.autoscalers.is_known();
        for state in self.feeds.values_mut() {
            let waits = state.feed.scalable && !known;
            let pending = if self.synced {
                state.status == Status::Pending
            } else {
                state.is_pending() && !waits
            };
            if pending && state.heard + self.options.sync_timeout <= now {
                state.status = Status::Unknown("silent");
            }
        }
    }

    fn close(&mut self, now: Duration, flush: bool, effects: &mut Vec<Effect>) {
        if self.committing.is_some() {
            return;
        }
        let settles = !self.synced
            && self.served.is_some()
            && self.feeds.values().all(|state| !state.is_pending());
        let due = self.synced
            && self
                .window
                .closes(self.ready())
                .is_some_and(|closes| closes <= now);
        // A flush before the first sync is settled would record half a cluster.
        let flush = flush && self.synced;
        if flush {
            self.stage.release(None);
            self.stage.release_damped();
            self.sidecar.release_damped();
            self.window.none_held();
        }
        if settles || due || flush {
            let first_sync = settles;
            self.synced = true;
            if settles {
                self.stage.release(None);
            }
            let changes = self.stage.take();
            let sidecar = self.sidecar.take(|path| self.stage.has(path));
            let facts = std::mem::take(&mut self.sidecar.facts_changed);
            if changes.is_empty() && sidecar.is_empty() && !facts {
                self.window.emptied();
            } else {
                self.committing = Some(Committing { facts });
                self.sidecar_in_flight = Arc::new(sidecar);
                self.in_flight = changes
                    .iter()
                    .map(|change| match &change.action {
                        Action::Put { blob_id, .. } => (change.path.clone(), Some(*blob_id)),
                        Action::Remove(_) => (change.path.clone(), None),
                    })
                    .collect();
                let (unknown, digested) = (self.unknown(), self.digested);
                let damped = changes
                    .iter()
                    .filter_map(|change| self.damping.sample(&change.path))
                    .collect();
                effects.push(Effect::Commit(Batch {
                    first_sync,
                    initial: self.index.is_empty(),
                    changes,
                    sidecar: self.sidecar_in_flight.clone(),
                    unknown,
                    digested,
                    damped,
                }));
            }
            if first_sync {
                effects.push(Effect::Synced);
            }
        }
    }
}

/// What stands for a file with its owners.
fn together(file: BlobId, owners: Option<BlobId>) -> BlobId {
    match owners {
        Some(owners) => BlobId::of(&[file.0, owners.0].concat()),
        None => file,
    }
}
