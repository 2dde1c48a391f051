//! The reflector's decisions: a state machine without clock, randomness or I/O.
//!
//! ```text
//!             ┌────────────── 410, or a relist is asked for ──────────────┐
//!             ▼                                                           │
//!  Queued ─permit─▶ Listing (pages) ──last page──▶ Watching(rv) ──event──▶┘ (stays)
//!     │                 │  ▲                          ▲    │
//!     │                 ▼  │ refused, silent          │    └─ stream ends ─▶ Waiting ─▶ Watching(rv)
//!     └─permit─▶ Streaming (WatchList) ──end bookmark─┘
//!                       any failure ─▶ Waiting ─▶ Queued
//! ```
//!
//! The driver (`reflector.rs`) performs the effects and feeds back what came of them. The rules
//! follow <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>.

use std::time::Duration;

use super::api::Failure;

/// How a complete list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListMode {
    /// LIST in pages (`limit`, `continue`).
    Pages,
    /// WATCH with `sendInitialEvents`
    /// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>).
    WatchList,
}

/// Why nothing is known of a type: files of that type stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// 403: a blind spot until somebody grants the right.
    Forbidden,
    /// 404: the server does not serve it, or not any more. Discovery has the last word.
    NotServed,
    /// 405: it cannot be listed or watched.
    NotListable,
    /// 401: the credentials are not accepted.
    Unauthorized,
    /// 429: the server asks for patience, as it does for seconds after a type was created.
    Throttled,
    /// 5xx, a broken connection, or an answer that cannot be read.
    Unreachable,
}

impl Cause {
    /// One lower-case word for logs, trailers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::NotServed => "not-served",
            Self::NotListable => "not-listable",
            Self::Unauthorized => "unauthorized",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether waiting is not expected to help: a person has to change something.
    pub fn is_blind_spot(self) -> bool {
        matches!(self, Self::Forbidden | Self::NotListable)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Wants a list, and waits for one of the few permits.
    Queued,
    /// A page has been asked for; holds the permit.
    Listing,
    /// A `WatchList` runs and its end bookmark has not come; holds the permit.
    Streaming,
    /// A watch is open, or being opened.
    Watching { resource_version: String },
    /// Pauses before the next attempt.
    Waiting { then: Next },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    List,
    Watch { resource_version: String },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A list permit was granted.
    Permit,
    /// A watch was opened: the server answered, and nothing was refused.
    Opened,
    /// A page was read and its items delivered.
    Page {
        bytes: usize,
        continue_token: Option<String>,
        resource_version: String,
    },
    /// An object was delivered from an open stream.
    Object { resource_version: String },
    /// The bookmark that closes the initial events of a `WatchList`.
    InitialEventsEnd { resource_version: String },
    /// Any other bookmark.
    Bookmark { resource_version: String },
    /// A request was refused, a stream carried an ERROR event, or a connection broke.
    Failed(Failure),
    /// A stream ended without an error, `lasted` after it was opened.
    Ended { lasted: Duration },
    /// Nothing came from a `WatchList` for as long as we wait for its first sign of life.
    Silent,
    /// A pause is over.
    Elapsed,
    /// The recorder wants a second, complete list.
    Relist,
}

/// What to do next. The driver performs effects in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    AcquirePermit,
    ReleasePermit,
    ListPage {
        limit: u32,
        continue_token: Option<String>,
    },
    OpenWatchList,
    OpenWatch {
        resource_version: String,
    },
    /// Closes whatever stream is open.
    Close,
    /// Waits at least `base`; the driver adds jitter on top.
    Wait {
        base: Duration,
    },
    /// A list starts: what an earlier, unfinished one delivered does not make it complete.
    Restarted,
    /// Every object of the (type, scope) has been delivered since `Restarted`.
    Complete {
        resource_version: String,
    },
    /// Nothing older than this resourceVersion is outstanding.
    Progress {
        resource_version: String,
    },
    /// Nothing is known until the next `Restarted` or `Recovered`.
    Unknown(Cause),
    /// An interrupted watch goes on; nothing was lost.
    Recovered,
    /// The server denies that it serves the type: ask discovery.
    Rediscover,
}

/// The first page size; what `kubectl` uses.
const FIRST_LIMIT: u32 = 500;
const SMALLEST_LIMIT: u32 = 16;
/// A page above this size halves the next ones, so that memory stays bounded.
const LARGE_PAGE: usize = 4 << 20;
/// The shortest pause before anything is asked again.
const FLOOR: Duration = Duration::from_millis(200);
const CEILING: Duration = Duration::from_secs(30);
/// The pause of a blind spot: a person has to grant a right, no machine waits for it.
const BLIND: Duration = Duration::from_secs(120);
/// A stream that lived this long was healthy: its end starts a new count of failures.
const HEALTHY: Duration = Duration::from_secs(5);

/// One (type, scope) as the server lets us see it.
#[derive(Debug)]
pub(crate) struct Machine {
    phase: Phase,
    mode: ListMode,
    limit: u32,
    failures: u32,
    /// Whether the consumer was told that nothing is known.
    unknown: bool,
}

impl Machine {
    /// Starts with a list, or from `cursor` where an earlier run left one.
    pub(crate) fn start(mode: ListMode, cursor: Option<String>) -> (Self, Vec<Effect>) {
        let phase = match &cursor {
            Some(rv) => Phase::Watching {
                resource_version: rv.clone(),
            },
            None => Phase::Queued,
        };
        // Until a watch from the cursor is opened, nothing is known.
        let unknown = cursor.is_some();
        let effects = match cursor {
            Some(resource_version) => vec![Effect::OpenWatch { resource_version }],
            None => vec![Effect::AcquirePermit],
        };
        (
            Self {
                phase,
                mode,
                limit: FIRST_LIMIT,
                failures: 0,
                unknown,
            },
            effects,
        )
    }

    /// Whether an open stream still has to prove itself by its first event.
    pub(crate) fn is_streaming_list(&self) -> bool {
        self.phase == Phase::Streaming
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Permit => self.permit(),
            Input::Opened => self.recovered(),
            Input::Page {
                bytes,
                continue_token,
                resource_version,
            } => self.page(bytes, continue_token, resource_version),
            Input::Object { resource_version } => {
                self.failures = 0;
                let recovered = self.recovered();
                if let Phase::Watching {
                    resource_version: seen,
                } = &mut self.phase
                    && !resource_version.is_empty()
                {
                    *seen = resource_version;
                    return recovered;
                }
                Vec::new()
            }
            Input::InitialEventsEnd { resource_version } => {
                if self.phase != Phase::Streaming {
                    return self.bookmark(resource_version);
                }
                // Nothing to go on from: the list is complete, but the watch could not resume.
                if resource_version.is_empty() {
                    return self.fall_back_to_pages();
                }
                self.failures = 0;
                self.unknown = false;
                self.phase = Phase::Watching {
                    resource_version: resource_version.clone(),
                };
                vec![Effect::ReleasePermit, Effect::Complete { resource_version }]
            }
            Input::Bookmark { resource_version } => self.bookmark(resource_version),
            Input::Failed(failure) => self.failed(failure),
            Input::Ended { lasted } => self.ended(lasted),
            Input::Silent => self.fall_back_to_pages(),
            Input::Elapsed => self.elapsed(),
            Input::Relist => match self.phase {
                Phase::Watching { .. } => {
                    self.phase = Phase::Queued;
                    vec![Effect::Close, Effect::AcquirePermit]
                }
                // A list is on its way already.
                _ => Vec::new(),
            },
        }
    }

    fn permit(&mut self) -> Vec<Effect> {
        if self.phase != Phase::Queued {
            return vec![Effect::ReleasePermit];
        }
        match self.mode {
            ListMode::Pages => {
                self.phase = Phase::Listing;
                vec![
                    Effect::Restarted,
                    Effect::ListPage {
                        limit: self.limit,
                        continue_token: None,
                    },
                ]
            }
            ListMode::WatchList => {
                self.phase = Phase::Streaming;
                vec![Effect::Restarted, Effect::OpenWatchList]
            }
        }
    }

    fn page(
        &mut self,
        bytes: usize,
        next: Option<String>,
        resource_version: String,
    ) -> Vec<Effect> {
        if self.phase != Phase::Listing {
            return Vec::new();
        }
        self.failures = 0;
        if bytes > LARGE_PAGE {
            self.limit = (self.limit / 2).max(SMALLEST_LIMIT);
        }
        if next.is_some() {
            return vec![Effect::ListPage {
                limit: self.limit,
                continue_token: next,
            }];
        }
        self.unknown = false;
        self.phase = Phase::Watching {
            resource_version: resource_version.clone(),
        };
        vec![
            Effect::ReleasePermit,
            Effect::Complete {
                resource_version: resource_version.clone(),
            },
            Effect::OpenWatch { resource_version },
        ]
    }

    fn bookmark(&mut self, resource_version: String) -> Vec<Effect> {
        let Phase::Watching {
            resource_version: seen,
        } = &mut self.phase
        else {
            return Vec::new();
        };
        self.failures = 0;
        // Old servers send bookmarks without one: https://github.com/kubernetes/kubernetes/issues/122805.
        if resource_version.is_empty() {
            return self.recovered();
        }
        seen.clone_from(&resource_version);
        let recovered = self.recovered();
        if recovered.is_empty() {
            vec![Effect::Progress { resource_version }]
        } else {
            recovered
        }
    }

    fn recovered(&mut self) -> Vec<Effect> {
        if let (true, Phase::Watching { resource_version }) = (self.unknown, &self.phase) {
            self.unknown = false;
            let resource_version = resource_version.clone();
            return vec![Effect::Recovered, Effect::Progress { resource_version }];
        }
        Vec::new()
    }

    /// The resourceVersion to resume from, where the present phase has one.
    fn resume(&self) -> Next {
        match &self.phase {
            Phase::Watching { resource_version } => Next::Watch {
                resource_version: resource_version.clone(),
            },
            Phase::Waiting { then } => then.clone(),
            Phase::Queued | Phase::Listing | Phase::Streaming => Next::List,
        }
    }

    fn holds_permit(&self) -> bool {
        matches!(self.phase, Phase::Listing | Phase::Streaming)
    }

    fn failed(&mut self, failure: Failure) -> Vec<Effect> {
        let streaming = self.phase == Phase::Streaming;
        match failure {
            // Both forms of 410 end here. Where a watch is too old there is nothing to wait for;
            // where the list itself expired (a `continue` token), the floor keeps the pace.
            Failure::Expired => {
                let mut effects = self.leave();
                if matches!(self.phase, Phase::Watching { .. }) && self.failures == 0 {
                    self.failures = 1;
                    self.phase = Phase::Queued;
                    effects.push(Effect::AcquirePermit);
                } else {
                    effects.extend(self.wait(self.backoff(), Next::List));
                }
                effects
            }
            Failure::Unsupported | Failure::NotListable if streaming => self.fall_back_to_pages(),
            Failure::Forbidden => self.unknown(Cause::Forbidden, BLIND, Next::List),
            Failure::NotListable => self.unknown(Cause::NotListable, BLIND, Next::List),
            Failure::NotFound => {
                let pause = self.backoff();
                let mut effects = self.unknown(Cause::NotServed, pause, Next::List);
                effects.insert(0, Effect::Rediscover);
                effects
            }
            Failure::Unauthorized => {
                let (pause, next) = (self.backoff(), self.resume());
                self.unknown(Cause::Unauthorized, pause, next)
            }
            Failure::Throttled { retry_after } => {
                let pause = retry_after.unwrap_or_default().max(self.backoff());
                let next = self.resume();
                self.unknown(Cause::Throttled, pause, next)
            }
            Failure::Server { retry_after } => {
                let pause = retry_after.unwrap_or_default().max(self.backoff());
                let next = self.resume();
                self.unknown(Cause::Unreachable, pause, next)
            }
            Failure::Transport => {
                let (pause, next) = (self.backoff(), self.resume());
                self.unknown(Cause::Unreachable, pause, next)
            }
            // What was delivered before is not complete, and the resourceVersion may be wrong.
            Failure::Unsupported | Failure::Garbled => {
                let pause = self.backoff();
                self.unknown(Cause::Unreachable, pause, Next::List)
            }
        }
    }

    fn ended(&mut self, lasted: Duration) -> Vec<Effect> {
        // A WatchList that ended before its bookmark delivered nothing that counts as complete.
        if self.phase == Phase::Streaming {
            return self.fall_back_to_pages();
        }
        if lasted >= HEALTHY {
            self.failures = 0;
        }
        let (pause, next) = (self.backoff(), self.resume());
        let mut effects = self.leave();
        effects.extend(self.wait(pause, next));
        effects
    }

    /// Servers without `WatchList` (400, 422, 405), and aggregated ones that never send the
    /// bookmark, are read in pages from now on.
    fn fall_back_to_pages(&mut self) -> Vec<Effect> {
        if self.phase != Phase::Streaming {
            return Vec::new();
        }
        self.mode = ListMode::Pages;
        let mut effects = self.leave();
        effects.extend(self.wait(FLOOR, Next::List));
        effects
    }

    fn elapsed(&mut self) -> Vec<Effect> {
        match std::mem::replace(&mut self.phase, Phase::Queued) {
            Phase::Waiting {
                then: Next::Watch { resource_version },
            } => {
                self.phase = Phase::Watching {
                    resource_version: resource_version.clone(),
                };
                vec![Effect::OpenWatch { resource_version }]
            }
            Phase::Waiting { then: Next::List } => vec![Effect::AcquirePermit],
            other => {
                self.phase = other;
                Vec::new()
            }
        }
    }

    fn leave(&self) -> Vec<Effect> {
        if self.holds_permit() {
            vec![Effect::Close, Effect::ReleasePermit]
        } else {
            vec![Effect::Close]
        }
    }

    fn wait(&mut self, base: Duration, then: Next) -> Vec<Effect> {
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting { then };
        vec![Effect::Wait { base }]
    }

    fn unknown(&mut self, cause: Cause, pause: Duration, then: Next) -> Vec<Effect> {
        let mut effects = self.leave();
        self.unknown = true;
        effects.push(Effect::Unknown(cause));
        effects.extend(self.wait(pause, then));
        effects
    }

    fn backoff(&self) -> Duration {
        FLOOR
            .saturating_mul(1 << self.failures.min(10))
            .min(CEILING)
    }
}

#[cfg(test)]
mod tests;
