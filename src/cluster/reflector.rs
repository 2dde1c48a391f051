//! The driver of one reflector: performs the machine's effects, delivers typed events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use form_urlencoded::Serializer;
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::api::{Answer, ApiError, Failure, StatusBody, collect};
use super::client::Cluster;
use super::machine::{Cause, Effect, Input, ListMode, Machine};
use super::wire::{EventType, Lines, LinesEnd, Page, WatchEvent};
use crate::object::{ApiType, ParseError, RawObject};

/// The part of a cluster that one reflector reads of its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The cluster: all namespaces, or a cluster-scoped type.
    Cluster,
    /// One namespace.
    Namespace(Box<str>),
}

/// What the server leaves out before it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors {
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>
    pub label: Option<String>,
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/>
    pub field: Option<String>,
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct ReflectorOptions {
    /// How complete lists are read.
    pub list_mode: ListMode,
    /// How long the server keeps a watch open. The read idles out 5 s later.
    pub watch_timeout: Duration,
    /// How long a `WatchList` may be silent before pages are tried.
    pub watch_list_silence: Duration,
}

impl Default for ReflectorOptions {
    fn default() -> Self {
        Self {
            list_mode: ListMode::Pages,
            watch_timeout: Duration::from_secs(290),
            watch_list_silence: Duration::from_secs(10),
        }
    }
}

/// What a reflector says of its (type, scope).
#[derive(Debug)]
pub enum Event {
    /// A list starts. What an unfinished one before it delivered is true, but not complete.
    Restarted,
    /// An object as it is now.
    Applied(RawObject),
    /// An object as it was when it was deleted.
    Deleted(RawObject),
    /// Everything that there is has been delivered since [`Event::Restarted`].
    Complete {
        /// Where the watch goes on from.
        resource_version: String,
    },
    /// Nothing older than this is outstanding.
    Progress {
        /// Where a watch could go on from.
        resource_version: String,
    },
    /// Nothing is known for now: files stay.
    Unknown {
        /// What kind of ignorance it is.
        cause: Cause,
        /// The server's words.
        reason: String,
    },
    /// An interrupted watch goes on, and nothing was lost.
    Recovered,
    /// The server denies the type: discovery should be asked again.
    Rediscover,
}

/// Asks a reflector for a second, complete list.
#[derive(Clone, Debug)]
pub struct RelistHandle(Arc<Notify>);

impl RelistHandle {
    /// Has no effect while a list is on its way.
    pub fn relist(&self) {
        self.0.notify_one();
    }
}

/// Reads one (type, scope) for as long as it is asked for the next event.
///
/// Dropping it closes its connection.
pub struct Reflector {
    cluster: Cluster,
    api_type: Arc<ApiType>,
    scope: Scope,
    base: String,
    selectors: Selectors,
    options: ReflectorOptions,
    machine: Machine,
    effects: VecDeque<Effect>,
    page: Option<Page>,
    stream: Option<Stream>,
    permit: Option<OwnedSemaphorePermit>,
    relist: Arc<Notify>,
    /// The words of the failure that the machine is about to report.
    reason: String,
    random: fastrand::Rng,
}

struct Stream {
    lines: Lines,
    opened: Instant,
    /// When the last initial event of a `WatchList` came. Bookmarks do not count: a server that
    /// never sends the end bookmark may go on sending others.
    fed: Instant,
}

impl Reflector {
    /// Prepares a reflector; nothing is sent before [`Reflector::next`] is called.
    ///
    /// `cursor` is the resourceVersion that an earlier run got to; without one the first thing is
    /// a complete list. `seed` feeds the jitter of its pauses.
    pub fn new(
        cluster: Cluster,
        api_type: Arc<ApiType>,
        scope: Scope,
        selectors: Selectors,
        options: ReflectorOptions,
        cursor: Option<String>,
        seed: u64,
    ) -> Self {
        let (machine, effects) = Machine::start(options.list_mode, cursor);
        let base = path(&api_type, &scope);
        Self {
            cluster,
            api_type,
            scope,
            base,
            selectors,
            options,
            machine,
            effects: effects.into(),
            page: None,
            stream: None,
            permit: None,
            relist: Arc::default(),
            reason: String::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// What it reads.
    pub fn api_type(&self) -> &Arc<ApiType> {
        &self.api_type
    }

    /// Where it reads.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// A handle by which somebody else can ask for another list.
    pub fn relist_handle(&self) -> RelistHandle {
        RelistHandle(self.relist.clone())
    }

    /// Waits for the next event. Not cancel-safe: drop the reflector rather than this future.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.next_item() {
                return event;
            }
            if let Some(effect) = self.effects.pop_front() {
                if let Some(event) = self.perform(effect).await {
                    return event;
                }
                continue;
            }
            if let Some(event) = self.read_stream().await {
                return event;
            }
        }
    }

    fn feed(&mut self, input: Input) {
        self.effects.extend(self.machine.step(input));
    }

    /// Takes the next item of an open page; the page itself is fed when its last one is gone.
    fn next_item(&mut self) -> Option<Event> {
        let page = self.page.as_mut()?;
        if let Some(item) = page.next_item() {
            return match RawObject::parse(&item, &self.api_type).and_then(|o| self.checked(o)) {
                Ok(object) => Some(Event::Applied(object)),
                Err(error) => {
                    // A list with an item that cannot be read is not complete.
                    self.page = None;
                    self.garbled(&error);
                    None
                }
            };
        }
        let page = self.page.take()?;
        self.feed(Input::Page {
            bytes: page.len(),
            continue_token: page.continue_token,
            resource_version: page.resource_version,
        });
        None
    }

    fn checked(&self, object: RawObject) -> Result<RawObject, ParseError> {
        object.key(&self.api_type)?;
        self.cluster.metrics.objects.inc();
        Ok(object)
    }

    async fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::AcquirePermit => {
                // The semaphore is never closed; without a permit the wait simply has no end.
                self.permit = self.cluster.list_permits.clone().acquire_owned().await.ok();
                self.feed(Input::Permit);
            }
            Effect::ReleasePermit => self.permit = None,
            Effect::Close => {
                self.stream = None;
                self.page = None;
            }
            Effect::ListPage {
                limit,
                continue_token,
            } => {
                self.list_page(limit, continue_token).await;
            }
            Effect::OpenWatchList => {
                let silence = self.options.watch_list_silence;
                let opened = tokio::time::timeout(silence, self.open(None)).await;
                match opened {
                    Ok(opened) => self.opened(opened),
                    Err(_) => self.silent(),
                }
            }
            Effect::OpenWatch { resource_version } => {
                let opened = self.open(Some(&resource_version)).await;
                self.opened(opened);
            }
            Effect::Wait { base } => {
                // Half as much again at most, so that many reflectors do not return as one.
                let jitter = base.mul_f64(self.random.f64() / 2.0);
                tokio::time::sleep(base + jitter).await;
                self.feed(Input::Elapsed);
            }
            Effect::Restarted => {
                self.cluster.metrics.relists.inc();
                return Some(Event::Restarted);
            }
            Effect::Complete { resource_version } => {
                return Some(Event::Complete { resource_version });
            }
            Effect::Progress { resource_version } => {
                return Some(Event::Progress { resource_version });
            }
            Effect::Unknown(cause) => {
                let reason = std::mem::take(&mut self.reason);
                return Some(Event::Unknown { cause, reason });
            }
            Effect::Recovered => return Some(Event::Recovered),
            Effect::Rediscover => return Some(Event::Rediscover),
        }
        None
    }

    async fn list_page(&mut self, limit: u32, continue_token: Option<String>) {
        self.cluster.metrics.list_requests.inc();
        let url = self.url(|query| {
            query.append_pair("limit", &limit.to_string());
            if let Some(token) = &continue_token {
                query.append_pair("continue", token);
            }
        });
        let cluster = self.cluster.clone();
        match fetch(&cluster, &url).await {
            Ok(page) => self.page = Some(page),
            Err(error) => self.failed(error),
        }
    }

    /// Opens a watch from `resource_version`, or a `WatchList` without one.
    async fn open(&mut self, resource_version: Option<&str>) -> Result<Stream, ApiError> {
        self.cluster.metrics.watch_requests.inc();
        // Spread over a quarter, so that a server does not see all of them return at once.
        let seconds = self.options.watch_timeout.as_secs().max(1);
        let seconds = seconds - self.random.u64(0..=seconds / 4);
        let url = self.url(|query| {
            query.append_pair("watch", "true");
            query.append_pair("allowWatchBookmarks", "true");
            query.append_pair("timeoutSeconds", &seconds.to_string());
            if let Some(resource_version) = resource_version {
                query.append_pair("resourceVersion", resource_version);
            } else {
                query.append_pair("sendInitialEvents", "true");
                query.append_pair("resourceVersionMatch", "NotOlderThan");
            }
        });
        // One gzip member per event, as servers from 1.37 on write it, is beyond the client's
        // decoder: https://github.com/tower-rs/tower-http/issues/737.
        let headers = [(http::header::ACCEPT_ENCODING, "identity")];
        let cluster = self.cluster.clone();
        match cluster.watch(&url, &headers).await? {
            Answer::Success(response) => Ok(Stream {
                lines: Lines::new(response.into_body()),
                opened: Instant::now(),
                fed: Instant::now(),
            }),
            Answer::NotModified => Err(garbled(&url, "304 to a watch".to_owned())),
        }
    }

    fn opened(&mut self, opened: Result<Stream, ApiError>) {
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                self.feed(Input::Opened);
            }
            Err(error) => self.failed(error),
        }
    }

    fn url(&self, add: impl FnOnce(&mut Serializer<'_, String>)) -> String {
        let mut query = Serializer::new(String::new());
        if let Some(label) = &self.selectors.label {
            query.append_pair("labelSelector", label);
        }
        if let Some(field) = &self.selectors.field {
            query.append_pair("fieldSelector", field);
        }
        add(&mut query);
        format!("{}?{}", self.base, query.finish())
    }

    async fn read_stream(&mut self) -> Option<Event> {
        let Some(stream) = &mut self.stream else {
            // No effect and no stream: the machine waits for a relist only.
            self.relist.notified().await;
            self.feed(Input::Relist);
            return None;
        };
        let deadline = if self.machine.is_streaming_list() {
            stream.fed + self.options.watch_list_silence
        } else {
            Instant::now() + self.options.watch_timeout + Duration::from_secs(5)
        };
        let line = tokio::select! {
            line = tokio::time::timeout_at(deadline, stream.lines.next()) => line,
            () = self.relist.notified() => {
                self.feed(Input::Relist);
                return None;
            }
        };
        match line {
            Ok(Ok(line)) => self.line(&line),
            Ok(Err(LinesEnd::Ended)) => {
                let lasted = stream.opened.elapsed();
                self.feed(Input::Ended { lasted });
                None
            }
            Ok(Err(LinesEnd::Broken(reason))) => {
                self.fail(Failure::Transport, reason);
                None
            }
            Ok(Err(LinesEnd::TooLong)) => {
                self.fail(Failure::Garbled, "an event longer than 64 MiB".to_owned());
                None
            }
            Err(_) if self.machine.is_streaming_list() => {
                self.silent();
                None
            }
            Err(_) => {
                self.fail(
                    Failure::Transport,
                    "the watch was silent beyond its time-out".to_owned(),
                );
                None
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Option<Event> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let WatchEvent { kind, object } = match WatchEvent::read(line, &self.api_type) {
            Ok(event) => event,
            Err(error) => {
                self.garbled(&error);
                return None;
            }
        };
        let resource_version = object
            .metadata_text("resourceVersion")
            .unwrap_or_default()
            .to_owned();
        if let (EventType::Added, Some(stream)) = (kind, &mut self.stream) {
            stream.fed = Instant::now();
        }
        match kind {
            EventType::Added | EventType::Modified | EventType::Deleted => {
                self.cluster.metrics.objects.inc();
                self.feed(Input::Object { resource_version });
                Some(if kind == EventType::Deleted {
                    Event::Deleted(object)
                } else {
                    Event::Applied(object)
                })
            }
            EventType::Bookmark => {
                let ends_list = object
                    .value
                    .pointer("/metadata/annotations/k8s.io~1initial-events-end")
                    .and_then(Value::as_str)
                    == Some("true");
                self.feed(if ends_list {
                    Input::InitialEventsEnd { resource_version }
                } else {
                    Input::Bookmark { resource_version }
                });
                None
            }
            EventType::Error => {
                let status: StatusBody = serde_json::from_value(object.value).unwrap_or_default();
                let seconds = Some(status.details.retry_after_seconds).filter(|s| *s > 0);
                let failure = Failure::from_code(status.code, seconds.map(Duration::from_secs));
                if failure == Failure::Expired {
                    self.cluster.metrics.expired_events.inc();
                }
                self.fail(failure, super::api::excerpt(&status.message));
                None
            }
        }
    }

    fn silent(&mut self) {
        debug!(api_type = %self.api_type, "no sign of life from a WatchList, reading pages");
        self.cluster.metrics.watch_list_fallbacks.inc();
        self.feed(Input::Silent);
    }

    fn garbled(&mut self, error: &ParseError) {
        warn!(api_type = %self.api_type, %error, "the API server sent what is not an object");
        self.fail(Failure::Garbled, error.to_string());
    }

    fn failed(&mut self, error: ApiError) {
        if error.failure == Failure::Expired {
            self.cluster.metrics.expired_statuses.inc();
        }
        if self.machine.is_streaming_list()
            && matches!(error.failure, Failure::Unsupported | Failure::NotListable)
        {
            self.cluster.metrics.watch_list_fallbacks.inc();
        }
        self.fail(error.failure, error.reason);
    }

    fn fail(&mut self, failure: Failure, reason: String) {
        debug!(api_type = %self.api_type, ?failure, %reason, "a read failed");
        self.cluster.metrics.failures.inc();
        self.reason = reason;
        self.feed(Input::Failed(failure));
    }
}

async fn fetch(cluster: &Cluster, url: &str) -> Result<Page, ApiError> {
    let body = match cluster.get(url, &[]).await? {
        Answer::Success(response) => collect(url, response).await?,
        Answer::NotModified => return Err(garbled(url, "304 to a list".to_owned())),
    };
    let page = Page::parse(body).map_err(|error| {
        garbled(
            url,
            format!(
                "not a list (line {}, column {})",
                error.line(),
                error.column()
            ),
        )
    })?;
    if page.resource_version.is_empty() {
        return Err(garbled(url, "a list without a resourceVersion".to_owned()));
    }
    Ok(page)
}

fn garbled(url: &str, reason: String) -> ApiError {
    ApiError {
        method: "GET",
        path: url.split('?').next().unwrap_or_default().to_owned(),
        failure: Failure::Garbled,
        reason,
    }
}

/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>
pub(super) fn path(api_type: &ApiType, scope: &Scope) -> String {
    let root = if api_type.group.is_empty() {
        format!("/api/{}", api_type.version)
    } else {
        format!("/apis/{}/{}", api_type.group, api_type.version)
    };
    match scope {
        Scope::Cluster => format!("{root}/{}", api_type.resource),
        Scope::Namespace(namespace) => {
            format!("{root}/namespaces/{namespace}/{}", api_type.resource)
        }
    }
}
