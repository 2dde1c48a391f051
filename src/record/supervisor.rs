//! Which types are read: discovery's life cycle, and one feed per (type, scope).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use super::autoscale::Generation;
use super::events::{Feed, FeedId, Input, Served};
use super::pipeline::Pipeline;
use super::stage::Staged;
use crate::cluster::{
    Cause, Cluster, Discovered, Event, Reflector, ReflectorOptions, RelistHandle, Scope, Selectors,
};
use crate::filter::{DigestKey, Rules, TypePlan, TypeRules, is_autoscaler};
use crate::object::{ApiType, ParseError, RawObject};
use crate::sops::Recipients;

/// What is read, and how.
#[derive(Clone)]
pub struct ReadPlan {
    /// The rules that say what is left out.
    pub rules: Arc<Rules>,
    /// Whom files are encrypted for, where a rule leaves values to encryption.
    pub recipients: Option<Arc<Recipients>>,
    /// The key of the digests.
    pub digest_key: Arc<DigestKey>,
    /// Whether the sidecar is told whose the fields of each object are. A dry run shows files alone;
    /// a mirror that has a sidecar needs it, for what that says of a file that changes is wrong.
    pub owners: bool,
    /// These namespaces alone; the whole cluster where it is empty.
    pub namespaces: Vec<String>,
    /// How the reflectors read.
    pub reflector: ReflectorOptions,
    /// resourceVersions to resume from, by type and scope.
    pub cursor: HashMap<(ApiType, Scope), String>,
    /// What the next cursor will be valid for.
    pub cursor_valid_for: String,
    /// Seeds the jitter of pauses.
    pub seed: u64,
}

/// What a feed sends: an input, and the share of memory that it takes until it is handled.
pub(super) struct Envelope {
    pub(super) input: Input,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Bytes of files that may be on their way to the recorder.
const IN_FLIGHT_BYTES: usize = 16 << 20;
/// Messages that may be on their way, small ones included.
pub(super) const IN_FLIGHT_MESSAGES: usize = 1024;

/// Discovery is asked this often even where nothing hints at a change; mostly answered by a 304.
const REFRESH: Duration = Duration::from_secs(300);
/// Several CRDs that come together are one refresh.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// A CRD is served some time after it was created: ask again after these pauses.
const RETRIES: [Duration; 4] = [
    Duration::from_millis(700),
    Duration::from_millis(1500),
    Duration::from_secs(3),
    Duration::from_secs(6),
];
/// Discovery failed: the next attempt.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

pub(super) struct Supervisor {
    cluster: Cluster,
    plan: ReadPlan,
    sender: mpsc::Sender<Envelope>,
    memory: Arc<Semaphore>,
    rediscover: Arc<Notify>,
    autoscaled: watch::Receiver<Option<Generation>>,
    feeds: HashMap<(Arc<ApiType>, Scope), RunningFeed>,
    relist: Arc<std::sync::Mutex<HashMap<FeedId, RelistHandle>>>,
    next_id: u32,
}

struct RunningFeed {
    id: FeedId,
    scalable: bool,
    task: Option<AbortHandle>,
}

impl Drop for RunningFeed {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Lets the recorder ask a feed for another list.
#[derive(Clone, Default)]
pub(super) struct Relister(Arc<std::sync::Mutex<HashMap<FeedId, RelistHandle>>>);

impl Relister {
    pub(super) fn relist(&self, id: FeedId) {
        // A poisoned lock means that a feed task panicked while inserting; nothing is lost by
        // going on with what the map holds.
        let handles = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(handle) = handles.get(&id) {
            handle.relist();
        }
    }
}

impl Supervisor {
    pub(super) fn new(
        cluster: Cluster,
        plan: ReadPlan,
        sender: mpsc::Sender<Envelope>,
        relister: &Relister,
        autoscaled: watch::Receiver<Option<Generation>>,
    ) -> Self {
        Self {
            cluster,
            plan,
            sender,
            memory: Arc::new(Semaphore::new(IN_FLIGHT_BYTES)),
            rediscover: Arc::default(),
            autoscaled,
            feeds: HashMap::new(),
            relist: relister.0.clone(),
            next_id: 0,
        }
    }

    /// Runs until the recorder is gone. Dropping the future ends every feed.
    pub(super) async fn run(mut self) {
        let mut known: Option<Discovered> = None;
        let mut pauses: Vec<Duration> = Vec::new();
        loop {
            match self.cluster.discover(known.as_ref()).await {
                Ok(found) => {
                    if known.as_ref() != Some(&found) {
                        let (served, new) = self.apply(&found);
                        known = Some(found);
                        // The recorder has to know a feed before its first word.
                        if !send(&self.sender, &self.memory, Input::Served(served), 0).await {
                            return;
                        }
                        for (feed, rules) in new {
                            self.start(&feed, rules);
                        }
                        pauses.clear();
                    }
                }
                Err(error) => {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%error, reason, "discovery failed, nothing is concluded from it");
                    pauses = vec![AFTER_FAILURE];
                }
            }
            let pause = pauses.pop().unwrap_or(REFRESH);
            tokio::select! {
                () = self.rediscover.notified() => {
                    tokio::time::sleep(DEBOUNCE).await;
                    pauses = RETRIES.iter().rev().copied().collect();
                }
                () = tokio::time::sleep(pause) => {}
                () = self.sender.closed() => return,
            }
        }
    }

    /// Ends the feeds of what is not served any more; returns those that are to be started.
    fn apply(&mut self, found: &Discovered) -> (Served, Vec<(Feed, Arc<TypeRules>)>) {
        let mut served = Served {
            whole_cluster: self.plan.namespaces.is_empty(),
            unknown_groups: found.stale_groups.clone(),
            stale_groups: found.stale_groups.clone(),
            ..Served::default()
        };
        let mut wanted: BTreeMap<(Arc<ApiType>, Scope), Arc<TypeRules>> = BTreeMap::new();
        for one in found.types.values() {
            let api_type = &one.api_type;
            served.directories.insert(api_type.directory());
            let rules: Arc<TypeRules> = match self.plan.rules.plan(api_type) {
                TypePlan::Dropped { rule } => {
                    served
                        .left_out
                        .insert(api_type.directory(), rule.as_str().into());
                    continue;
                }
                TypePlan::Watched(rules) => Arc::from(rules),
            };
            if !one.watch {
                debug!(%api_type, "cannot be watched, is not read");
                continue;
            }
            for scope in self.scopes(api_type) {
                wanted.insert((api_type.clone(), scope), rules.clone());
            }
        }
        self.feeds.retain(|(api_type, scope), _| {
            wanted.contains_key(&(api_type.clone(), scope.clone()))
                // The group's server is away: its watch may live on, or comes back by itself.
                || (!found.is_fresh(&api_type.group) && !found.serves(api_type))
        });
        // What may not be known of a type that a stale group served before is its feed's to say.
        let running: BTreeSet<_> = self.feeds.keys().map(|(t, _)| t.group.clone()).collect();
        served.unknown_groups.retain(|group| {
            !running.contains(group) && self.plan.rules.drops_group(group).is_none()
        });
        let mut new = Vec::new();
        for ((api_type, scope), rules) in wanted {
            if self.feeds.contains_key(&(api_type.clone(), scope.clone())) {
                continue;
            }
            let id = FeedId(self.next_id);
            self.next_id += 1;
            let scalable = is_scalable(&api_type, &rules);
            let feed = RunningFeed {
                id,
                scalable,
                task: None,
            };
            self.feeds.insert((api_type.clone(), scope.clone()), feed);
            new.push((
                Feed {
                    id,
                    api_type,
                    scope,
                    scalable,
                },
                rules,
            ));
        }
        let mut handles = self
            .relist
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let ids: BTreeSet<_> = self.feeds.values().map(|feed| feed.id).collect();
        handles.retain(|id, _| ids.contains(id));
        drop(handles);
        served.feeds = self
            .feeds
            .iter()
            .map(|((api_type, scope), feed)| Feed {
                id: feed.id,
                api_type: api_type.clone(),
                scope: scope.clone(),
                scalable: feed.scalable,
            })
            .collect();
        info!(
            types = served.directories.len(),
            feeds = served.feeds.len(),
            "discovery is complete"
        );
        (served, new)
    }

    fn scopes(&self, api_type: &ApiType) -> Vec<Scope> {
        if self.plan.namespaces.is_empty() {
            return vec![Scope::Cluster];
        }
        if !api_type.namespaced {
            return Vec::new();
        }
        self.plan
            .namespaces
            .iter()
            .map(|ns| Scope::Namespace(ns.as_str().into()))
            .collect()
    }

    fn start(&mut self, feed: &Feed, rules: Arc<TypeRules>) {
        let Feed {
            id,
            api_type,
            scope,
            scalable,
        } = feed;
        let selectors = Selectors {
            label: rules.label_selector.clone(),
            field: rules.field_selector.clone(),
        };
        let cursor = self
            .plan
            .cursor
            .remove(&((**api_type).clone(), scope.clone()));
        let reflector = Reflector::new(
            self.cluster.clone(),
            api_type.clone(),
            scope.clone(),
            selectors,
            self.plan.reflector,
            cursor,
            self.plan.seed.wrapping_add(u64::from(id.0)),
        );
        self.relist
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(*id, reflector.relist_handle());
        let task = FeedTask {
            id: *id,
            pipeline: Pipeline::new(api_type.clone(), rules, self.plan.digest_key.clone())
                .sealing_for(self.plan.recipients.as_deref())
                .with_owners(self.plan.owners),
            sender: self.sender.clone(),
            memory: self.memory.clone(),
            rediscover: self.rediscover.clone(),
            autoscaled: self.autoscaled.clone(),
            scalable: *scalable,
            cluster: self.cluster.clone(),
            blind: None,
        };
        if let Some(running) = self.feeds.get_mut(&(api_type.clone(), scope.clone())) {
            running.task = Some(tokio::spawn(task.run(reflector)).abort_handle());
        }
    }
}

/// Whether the files of a type depend on who is scaled. A workload lies in its autoscaler's
/// namespace, and no autoscaler waits for another.
fn is_scalable(api_type: &ApiType, rules: &TypeRules) -> bool {
    api_type.namespaced
        && !is_autoscaler(&api_type.group, &api_type.resource)
        && rules.depends_on_autoscalers()
}

struct FeedTask {
    id: FeedId,
    pipeline: Pipeline,
    sender: mpsc::Sender<Envelope>,
    memory: Arc<Semaphore>,
    rediscover: Arc<Notify>,
    autoscaled: watch::Receiver<Option<Generation>>,
    scalable: bool,
    cluster: Cluster,
    /// What was last said of a failure, so that it is said once.
    blind: Option<Cause>,
}

impl Drop for FeedTask {
    fn drop(&mut self) {
        self.sees();
    }
}

impl FeedTask {
    async fn run(mut self, mut reflector: Reflector) {
        let defines_types = matches!(
            (
                &*reflector.api_type().group,
                &*reflector.api_type().resource
            ),
            ("apiextensions.k8s.io", "customresourcedefinitions")
                | ("apiregistration.k8s.io", "apiservices")
        );
        // Else a workload would be written with its replicas first, and without them a moment
        // later. Whoever is gone cannot say who is scaled either.
        if self.scalable && self.autoscaled.wait_for(Option::is_some).await.is_err() {
            return;
        }
        loop {
            let event = reflector.next().await;
            if defines_types && matches!(event, Event::Applied(_) | Event::Deleted(_)) {
                self.rediscover.notify_one();
            }
            let id = self.id;
            let input = match event {
                Event::Restarted => {
                    let generation = self.autoscaled.borrow().as_ref().map_or(0, |g| g.number);
                    Input::Restarted(id, generation)
                }
                Event::Applied(object) => match self.stage(object) {
                    Ok(staged) => Input::Staged(id, staged),
                    Err(error) => {
                        // The reflector checked it: cannot happen, and must not pass in silence.
                        warn!(api_type = %reflector.api_type(), %error, "an object was not recorded");
                        continue;
                    }
                },
                Event::Deleted(object) => match object.key(reflector.api_type()) {
                    Ok(key) => Input::Deleted(id, key),
                    Err(error) => {
                        warn!(api_type = %reflector.api_type(), %error, "a deletion was not recorded");
                        continue;
                    }
                },
                Event::Complete { resource_version } => {
                    self.sees();
                    Input::Complete(id, resource_version)
                }
                Event::Progress { resource_version } => Input::Progress(id, resource_version),
                Event::Unknown { cause, reason } => {
                    self.unknown(cause, &reason, &reflector);
                    Input::Unknown(id, cause)
                }
                Event::Recovered => {
                    self.sees();
                    Input::Recovered(id)
                }
                Event::Rediscover => {
                    self.rediscover.notify_one();
                    continue;
                }
            };
            let bytes = match &input {
                Input::Staged(_, staged) => staged.weight(),
                _ => 0,
            };
            if !send(&self.sender, &self.memory, input, bytes).await {
                return;
            }
        }
    }

    fn stage(&self, object: RawObject) -> Result<Staged, ParseError> {
        let generation = self.autoscaled.borrow().clone();
        let autoscaled = generation.map(|generation| generation.autoscaled);
        self.pipeline.stage(object, &autoscaled.unwrap_or_default())
    }

    fn sees(&mut self) {
        if self.blind.take().is_some_and(Cause::is_blind_spot) {
            self.cluster.metrics().blind_spots.dec();
        }
    }

    fn unknown(&mut self, cause: Cause, reason: &str, reflector: &Reflector) {
        if self.blind == Some(cause) {
            return;
        }
        self.sees();
        self.blind = Some(cause);
        let api_type = reflector.api_type();
        if cause.is_blind_spot() {
            self.cluster.metrics().blind_spots.inc();
            warn!(%api_type, cause = cause.as_str(), reason, "blind spot: its files stay as they are");
        } else {
            info!(%api_type, cause = cause.as_str(), reason, "nothing is known of a type for now");
        }
    }
}

async fn send(
    sender: &mpsc::Sender<Envelope>,
    memory: &Arc<Semaphore>,
    input: Input,
    bytes: usize,
) -> bool {
    let share = u32::try_from(bytes.min(IN_FLIGHT_BYTES)).unwrap_or(u32::MAX);
    let memory = if share == 0 {
        None
    } else {
        memory.clone().acquire_many_owned(share).await.ok()
    };
    sender
        .send(Envelope {
            input,
            _memory: memory,
        })
        .await
        .is_ok()
}
