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
use super::stage::{Action, Content, File, Hold, Outcome, Removal, Stage, Staged, Who};
use super::window::{Window, WindowOptions};
use crate::cluster::{Cause, Scope};
use crate::filter::{ScaleTarget, is_autoscaler};
use crate::mirror::{BlobId, Index};
use crate::object::{MirrorPath, ObjectKey, escape_component};
use crate::owners::interactive_mark;

#[derive(Debug)]
struct FeedState {
    feed: Feed,
    directory: Box<str>,
    status: Status,
    heard: Duration,
    /// Paths seen since the last restart; `None` while no list is open.
    listing: Option<HashSet<Arc<str>>>,
    /// A complete list would have removed many files: the next one decides.
    suspicious: bool,
    resource_version: Option<String>,
    /// The generation of autoscaled workloads that the open list began with, the last complete
    /// one began with, and that its files have to be of.
    listing_by: u64,
    listed_by: u64,
    wants: u64,
}

impl FeedState {
    fn is_autoscaler(&self) -> bool {
        is_autoscaler(&self.feed.api_type.group, &self.feed.api_type.resource)
    }

    /// Whether its files were written with the autoscalers as they are.
    fn is_current(&self) -> bool {
        self.listed_by >= self.wants
    }

    /// Whether a first sync without it would be half a cluster.
    fn is_pending(&self) -> bool {
        match self.status {
            Status::Pending => true,
            Status::Live => !self.is_current(),
            Status::Unknown(_) => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Nothing complete has come yet.
    Pending,
    /// In step with the cluster.
    Live,
    /// Nothing is known, for this reason.
    Unknown(&'static str),
}

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
/// Deletions inferred from one list need a second one above this count …
const FEW_DELETIONS: usize = 20;
/// … when they are more than one in this many files of the mirror.
const LARGE_SHARE: usize = 4;

/// Where CRDs lie.
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Where `APIService`s lie, those of built-in and custom types aside.
const API_SERVICES: &str = "apiservices.apiregistration.k8s.io";

/// The recorder's state.
#[derive(Debug)]
pub(super) struct Recorder {
    options: RecorderOptions,
    index: Index,
    stage: Stage,
    window: Window,
    feeds: BTreeMap<FeedId, FeedState>,
    served: Option<Served>,
    synced: bool,
    terminating: BTreeSet<Box<str>>,
    digested: bool,
    in_flight: Vec<(Arc<str>, Option<BlobId>)>,
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
            in_flight: Vec::new(),
            overdue: false,
            damping: Damping::new(options.damping, options.window.max_age),
            autoscalers: Autoscalers::new(autoscalers),
        }
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
        self.stage.len()
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
        if self.stage.len() > 0 {
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
            self.window.closes(self.stage.ready()),
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
            Input::Committed => {
                for (path, blob_id) in std::mem::take(&mut self.in_flight) {
                    self.damping.committed(&path);
                    match blob_id {
                        Some(blob_id) => self.index.insert(&path, blob_id),
                        None => self.index.remove(&path),
                    };
                }
                self.window.committed();
                if self.stage.ready() > 0 {
                    self.window.changed(now);
                }
            }
            Input::CommitFailed(changes) => {
                self.in_flight.clear();
                self.window.failed(now);
                if self.stage.restore(changes) {
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
            if self.stage.ready() > 0 {
                // The autoscaler and what it takes from its workload are one commit.
                self.window.changed(now);
            }
            let behind = self.feeds.iter().filter(|(_, state)| state.wants == number);
            effects.extend(behind.map(|(id, _)| Effect::Relist(*id)));
        }
    }

    /// Takes note of the workload that the autoscaler at `path` names, if any.
    fn scales(&mut self, now: Duration, path: &Arc<str>, target: Option<ScaleTarget>) {
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
            if self.stage.release_damped_at(&path) {
                self.window.changed(now);
            }
            let damped = false;
            effects.push(Effect::Damped { path, damped });
        }
        if self.damping.sample_is_due(now) {
            self.stage.release_damped();
            if self.stage.ready() > 0 {
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

    /// Removes the files of types that a rule leaves out, and of types that are certainly gone.
    ///
    /// A type is gone when fresh discovery does not serve it and neither a CRD of a complete list
    /// nor an `APIService` promises it: discovery alone may be incomplete while a server starts.
    fn conclude(&mut self, now: Duration) {
        let Some(served) = &self.served else { return };
        let definitions_known = served.whole_cluster
            && self
                .feeds
                .values()
                .any(|state| &*state.directory == DEFINITIONS && state.status == Status::Live);
        let mut gone = Vec::new();
        for directory in directories(&self.index) {
            if let Some(rule) = served.left_out.get(directory) {
                gone.push((directory.to_owned(), Removal::Rule(rule.clone())));
            } else if definitions_known
                && !served.directories.contains(directory)
                && !is_unknown(&served.stale_groups, directory)
                && !self.is_promised(directory)
            {
                gone.push((directory.to_owned(), Removal::TypeGone));
            }
        }
        for (directory, removal) in gone {
            for path in paths(&self.index, &directory, None) {
                self.remove_path(now, &path, &directory, removal.clone());
            }
        }
    }

    fn is_promised(&self, directory: &str) -> bool {
        let exists = |path: &str| self.stage.blob_id(&self.index, path).is_some();
        if exists(&format!("cluster/{DEFINITIONS}/{directory}.yaml")) {
            return true;
        }
        let Some((_, group)) = directory.split_once('.') else {
            return false;
        };
        paths(&self.index, API_SERVICES, None).iter().any(|path| {
            exists(path)
                && MirrorPath::parse(path).is_some_and(|parts| {
                    parts.stem.split_once('.').is_some_and(|(_, g)| g == group)
                })
        })
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
            sidecar: _,
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
                let damped = self.seen(now, &key, &path, Some(blob_id), mark, effects);
                let file = File {
                    blob_id,
                    bytes,
                    managed_fields,
                    damped,
                };
                self.stage.put(&self.index, key, &path, file)
            }
            Err(rule) => {
                self.scales(now, &path, None);
                let (who, removal) = (Who::Object(key), Removal::Rule(rule));
                self.stage.remove(&self.index, &path, who, removal, false)
            }
        };
        if outcome == Outcome::Held {
            self.damping.waits(now, &path);
        }
        self.note(now, outcome);
        if self.stage.bytes() > SPILL_BYTES {
            effects.push(Effect::Spill(self.stage.spill(false)));
        }
        if self.stage.damped_bytes() > SPILL_DAMPED_BYTES {
            effects.push(Effect::Spill(self.stage.spill(true)));
        }
    }

    /// Counts a change; returns whether it waits for the next sample.
    fn seen(
        &mut self,
        now: Duration,
        key: &ObjectKey,
        path: &Arc<str>,
        after: Option<BlobId>,
        mark: impl FnOnce() -> u64,
        effects: &mut Vec<Effect>,
    ) -> bool {
        // What a first sync finds happened while nobody looked, once.
        if !self.synced || !damping::may_be_damped(&key.api_type) {
            return false;
        }
        let before = self.stage.blob_id(&self.index, path);
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
        let outcome = self.stage.remove(
            &self.index,
            &path,
            Who::Object(key.clone()),
            Removal::Deleted,
            held,
        );
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
            if self.stage.ready() > 0 {
                self.window.changed(now);
            }
        }
    }

    fn complete(
        &mut self,
        now: Duration,
        id: FeedId,
        resource_version: String,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.feeds.get_mut(&id) else {
            return;
        };
        state.heard = now;
        let Some(seen) = state.listing.take() else {
            return;
        };
        let namespace = match &state.feed.scope {
            Scope::Cluster => None,
            Scope::Namespace(namespace) => Some(escape_component(namespace, "")),
        };
        let directory = state.directory.clone();
        let mut missing = paths(&self.index, &directory, namespace.as_deref());
        missing.retain(|path| !seen.contains(path.as_str()));
        let many = missing.len() > FEW_DELETIONS && missing.len() * LARGE_SHARE > self.index.len();
        if many && !state.suspicious {
            state.suspicious = true;
            // A cursor from here would never see what is missing.
            state.resource_version = None;
            effects.push(Effect::DeletionsWithheld {
                feed: id,
                count: missing.len(),
            });
            effects.push(Effect::Relist(id));
            return;
        }
        state.suspicious = false;
        state.listed_by = state.listing_by;
        state.resource_version = Some(resource_version);
        state.status = Status::Live;
        let kind = state.feed.api_type.kind.clone();
        // Staged by an earlier event, gone by the time of the list: never in HEAD, but staged.
        let unseen: Vec<String> = self
            .stage
            .puts()
            .filter(|path| !seen.contains(*path) && lies_in(path, &directory, namespace.as_deref()))
            .map(Into::into)
            .collect();
        for path in missing.iter().chain(&unseen) {
            self.remove_path(now, path, &kind, Removal::NotListed);
        }
        if &*directory == DEFINITIONS {
            self.conclude(now);
        }
    }

    fn remove_path(&mut self, now: Duration, path: &str, kind: &str, removal: Removal) {
        let Some(parts) = MirrorPath::parse(path) else {
            return;
        };
        let who = Who::Path {
            kind: kind.into(),
            namespace: parts.namespace_name().map(Into::into),
            name: parts.name().unwrap_or_else(|| parts.stem.to_owned()).into(),
        };
        self.scales(now, &path.into(), None);
        let outcome = self.stage.remove(&self.index, path, who, removal, false);
        self.note(now, outcome);
    }

    fn note(&mut self, now: Duration, outcome: Outcome) {
        match outcome {
            Outcome::Staged => self.window.changed(now),
            Outcome::Reverted | Outcome::Held if self.stage.ready() == 0 => self.window.emptied(),
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
        if !self.in_flight.is_empty() {
            return;
        }
        let settles = !self.synced
            && self.served.is_some()
            && self.feeds.values().all(|state| !state.is_pending());
        let due = self.synced
            && self
                .window
                .closes(self.stage.ready())
                .is_some_and(|closes| closes <= now);
        // A flush before the first sync is settled would record half a cluster.
        let flush = flush && self.synced;
        if flush {
            self.stage.release(None);
            self.stage.release_damped();
            self.window.none_held();
        }
        if settles || due || flush {
            let first_sync = settles;
            self.synced = true;
            if settles {
                self.stage.release(None);
            }
            let changes = self.stage.take();
            if changes.is_empty() {
                self.window.emptied();
            } else {
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

/// The directories that hold files, each once.
fn directories(index: &Index) -> Vec<&str> {
    let mut directories: Vec<_> = index.iter().map(|entry| entry.directory).collect();
    directories.dedup();
    directories
}

/// The paths of one directory, in one namespace (escaped) or in all.
fn paths(index: &Index, directory: &str, namespace: Option<&str>) -> Vec<String> {
    match namespace {
        None => index.of_type(directory).map(|entry| entry.path()).collect(),
        Some(_) => index
            .of_type_in(directory, namespace)
            .map(|entry| entry.path())
            .collect(),
    }
}

/// Whether `directory` belongs to a group of which nothing is known.
fn is_unknown(groups: &BTreeSet<Box<str>>, directory: &str) -> bool {
    directory
        .split_once('.')
        .is_some_and(|(_, group)| groups.contains(group))
}

fn lies_in(path: &str, directory: &str, namespace: Option<&str>) -> bool {
    MirrorPath::parse(path).is_some_and(|parts| {
        parts.directory == directory
            && namespace.is_none_or(|namespace| parts.namespace == Some(namespace))
    })
}
