//! The recorder's decisions: a state machine without clock, randomness or I/O.
//!
//! It alone owns the index path → blob id. `step` takes what happened and when (as a [`Duration`]
//! since the start), and returns what to do; the driver (`driver.rs`) does it. Between
//! [`Effect::Commit`] and its [`Input::Committed`] or [`Input::CommitFailed`] no other input may
//! come.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::stage::{Action, Change, Content, Outcome, Removal, Stage, Staged, Who};
use super::window::{Window, WindowOptions};
use crate::cluster::{Cause, Scope};
use crate::mirror::{BlobId, Index};
use crate::object::{ApiType, MirrorPath, ObjectKey, escape_component};

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
    /// A list starts over.
    Restarted(FeedId),
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
    /// The batch is durable.
    Committed,
    /// The batch could not be written; its changes come back.
    CommitFailed(Vec<Change>),
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
    pub changes: Vec<Change>,
    /// Directories of which nothing is known, and why.
    pub unknown: BTreeMap<String, &'static str>,
    /// A keyed digest stands in some file of this run.
    pub digested: bool,
}

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
}

/// Files of a batch go into the pack when they exceed this, so that memory holds no first sync.
const SPILL_BYTES: usize = 4 << 20;
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
}

impl Recorder {
    /// Starts from HEAD's index. Time zero is now.
    pub(super) fn new(options: RecorderOptions, index: Index) -> Self {
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
        }
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
            .filter_map(|state| Some((&state.feed, state.resource_version.as_deref()?)))
            .collect()
    }

    /// When [`Input::Tick`] is due; `None` where only events can bring anything new.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.served.is_none() {
            return (!self.overdue).then_some(self.options.sync_timeout);
        }
        if !self.synced {
            let pending = self
                .feeds
                .values()
                .filter(|state| state.status == Status::Pending);
            return pending
                .map(|state| state.heard + self.options.sync_timeout)
                .min();
        }
        let closes = self.window.closes(self.stage.ready());
        [closes, self.window.hold_ends()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes one input and returns what to do about it, in order.
    pub(super) fn step(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let flush = matches!(input, Input::Flush);
        match input {
            Input::Served(served) => self.served(now, served),
            Input::Restarted(id) => {
                if let Some(state) = self.heard(id, now) {
                    // Also ends a list that was left unfinished: what it saw proves nothing.
                    state.listing = Some(HashSet::new());
                }
            }
            Input::Staged(id, staged) => self.staged(now, id, staged, &mut effects),
            Input::Deleted(id, key) => self.deleted(now, id, &key),
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
                }
            }
            Input::Tick => {
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
        self.close(now, flush, &mut effects);
        effects
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
        let outcome = match content {
            Content::File {
                blob_id,
                bytes,
                digested,
            } => {
                self.digested |= digested;
                self.stage
                    .put(&self.index, key, &path, blob_id, bytes, managed_fields)
            }
            Content::LeftOut { rule } => self.stage.remove(
                &self.index,
                &path,
                Who::Object(key),
                Removal::Rule(rule),
                false,
            ),
        };
        self.note(now, outcome);
        if self.stage.bytes() > SPILL_BYTES {
            effects.push(Effect::Spill(self.stage.spill()));
        }
    }

    fn deleted(&mut self, now: Duration, id: FeedId, key: &ObjectKey) {
        let Some(state) = self.heard(id, now) else {
            return;
        };
        let path = key.path();
        if let Some(seen) = &mut state.listing {
            seen.remove(&*path);
        }
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
        if held && outcome == Outcome::Staged {
            self.window.held(now);
        } else {
            self.note(now, outcome);
        }
        if &*key.api_type.resource == "namespaces" && key.api_type.group.is_empty() {
            self.terminating.remove(&key.name);
            self.stage.release(Some(&key.name));
            if self.stage.held() == 0 {
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
        let outcome = self.stage.remove(&self.index, path, who, removal, false);
        self.note(now, outcome);
    }

    fn note(&mut self, now: Duration, outcome: Outcome) {
        match outcome {
            Outcome::Staged => self.window.changed(now),
            Outcome::Reverted if self.stage.ready() == 0 => self.window.emptied(),
            Outcome::Reverted | Outcome::Nothing => {}
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
        for state in self.feeds.values_mut() {
            if state.status == Status::Pending && state.heard + self.options.sync_timeout <= now {
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
            && self
                .feeds
                .values()
                .all(|state| state.status != Status::Pending);
        let due = self.synced
            && self
                .window
                .closes(self.stage.ready())
                .is_some_and(|closes| closes <= now);
        // A flush before the first sync is settled would record half a cluster.
        let flush = flush && self.synced;
        if flush {
            self.stage.release(None);
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
                effects.push(Effect::Commit(Batch {
                    first_sync,
                    initial: self.index.is_empty(),
                    changes,
                    unknown,
                    digested,
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
