//! What goes wrong, and when: a script of faults, a seeded storm of them, and groups without backend.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::Verb;

/// Which error a refused request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401.
    Unauthorized,
    /// 403, naming the resource and scope.
    Forbidden,
    /// 404, as for a type that is not served.
    NotFound,
    /// 410: for a watch or list as compaction makes it, for a `continue` token with another token.
    Gone,
    /// 422, as from a server that does not know `sendInitialEvents`.
    Unprocessable,
    /// 400, as from a server that does not know `sendInitialEvents`.
    BadRequest,
    /// 429 with `Retry-After` in whole seconds.
    TooManyRequests(Duration),
    /// 500.
    Internal,
    /// 503.
    Unavailable,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An HTTP error.
    Refuse(Refusal),
    /// The connection is closed before an answer.
    Hangup,
    /// No answer, and the connection stays open.
    NoAnswer,
    /// The answer comes that much later.
    Delay(Duration),
    /// A watch answers 200, then an ERROR event with code 410, then ends.
    GoneEvent,
    /// The answer's body breaks off after that many items or events.
    Cut {
        /// Complete items or events before the end.
        after: usize,
        /// Whether half of the next one is sent.
        mid_line: bool,
    },
    /// A watch sends nothing after its headers (and initial events): neither events, bookmarks nor its end.
    Silence,
    /// A watch that knows no `sendInitialEvents`: 200, an ordinary watch, no end bookmark.
    NoEndBookmark,
    /// Every event of a watch is sent twice.
    Duplicates,
    /// Bookmarks without a resourceVersion (<https://github.com/kubernetes/kubernetes/issues/122805>).
    HollowBookmarks,
    /// A list is empty, with a resourceVersion as if it were complete.
    EmptyList,
    /// A list's pages hold at most that many items, whatever `limit` says.
    PageLimit(usize),
}

/// What happens to the watches that are open now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The stream ends cleanly between two events.
    End,
    /// The connection breaks in the middle of a line.
    CutMidLine,
    /// An ERROR event with code 410, then the end.
    GoneEvent,
    /// Nothing more is sent, and the connection stays open.
    Stall,
    /// A bookmark is sent now, if the client asked for bookmarks.
    Bookmark,
    /// The last event is sent once more.
    Duplicate,
}

/// A fault: which requests, how many of them, and what happens to them.
#[derive(Clone, Debug)]
pub struct Fault {
    resource: Option<Box<str>>,
    verb: Option<Verb>,
    skip: u32,
    times: u32,
    failure: Failure,
}

impl Fault {
    /// Happens once, to the next request of any kind but discovery and [`Verb::Other`].
    pub fn new(failure: Failure) -> Self {
        Self {
            resource: None,
            verb: None,
            skip: 0,
            times: 1,
            failure,
        }
    }

    /// Only requests for `resource`, written as `deployments.apps`.
    #[must_use]
    pub fn resource(self, resource: &str) -> Self {
        Self {
            resource: Some(resource.into()),
            ..self
        }
    }

    /// Only requests of this kind.
    #[must_use]
    pub fn verb(self, verb: Verb) -> Self {
        Self {
            verb: Some(verb),
            ..self
        }
    }

    /// Lets that many matching requests pass first.
    #[must_use]
    pub fn skip(self, requests: u32) -> Self {
        Self {
            skip: requests,
            ..self
        }
    }

    /// Happens that many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Happens until [`Faults::clear`].
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    fn matches(&self, resource: &str, verb: Verb) -> bool {
        let by_default = !matches!(verb, Verb::Discovery | Verb::Other);
        self.verb.map_or(by_default, |only| only == verb)
            && self.resource.as_deref().is_none_or(|only| only == resource)
    }
}

/// Faults at random, from a seed.
///
/// Whether a request fails depends on the seed, its resource, its verb and how many like it came
/// before, and so not on how requests of different types interleave.
#[derive(Clone, Debug)]
pub struct Storm {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many of 1,000 requests fail.
    pub per_mille: u16,
    /// What may happen, each with the same probability.
    pub failures: Vec<Failure>,
}

#[derive(Debug, Default)]
struct Script {
    faults: Vec<Fault>,
    storm: Option<Storm>,
    stale: BTreeSet<String>,
    fired: u64,
}

/// The script of what goes wrong. Empty at first.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Script>);

impl Faults {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0
            .lock()
            .expect("no code that holds the script can panic")
    }

    /// Adds a fault. Of several that match a request, the one that was added first happens.
    pub fn push(&self, fault: Fault) {
        self.script().faults.push(fault);
    }

    /// Starts a storm, or ends it with `None`.
    pub fn storm(&self, storm: Option<Storm>) {
        self.script().storm = storm;
    }

    /// Takes a group's backend away (or gives it back): discovery says `freshness: Stale` without
    /// resources, and requests get 503.
    pub fn set_stale(&self, group: &str, stale: bool) {
        let mut script = self.script();
        if stale {
            script.stale.insert(group.to_owned());
        } else {
            script.stale.remove(group);
        }
    }

    /// Ends all faults.
    pub fn clear(&self) {
        let mut script = self.script();
        script.faults.clear();
        script.storm = None;
        script.stale.clear();
    }

    /// How many requests suffered a fault (not counting stale groups).
    pub fn fired(&self) -> u64 {
        self.script().fired
    }

    pub(super) fn stale(&self) -> BTreeSet<String> {
        self.script().stale.clone()
    }

    pub(super) fn is_stale(&self, group: &str) -> bool {
        self.script().stale.contains(group)
    }

    /// What happens to the `nth` request of this kind.
    pub(super) fn take(&self, resource: &str, verb: Verb, nth: u64) -> Option<Failure> {
        let mut script = self.script();
        let failure = script.take(resource, verb, nth);
        script.fired += u64::from(failure.is_some());
        failure
    }
}

impl Script {
    fn take(&mut self, resource: &str, verb: Verb, nth: u64) -> Option<Failure> {
        for fault in &mut self.faults {
            if fault.times == 0 || !fault.matches(resource, verb) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.times != u32::MAX {
                fault.times -= 1;
            }
            return Some(fault.failure);
        }
        let storm = self.storm.as_ref()?;
        if matches!(verb, Verb::Discovery | Verb::Other) {
            return None;
        }
        // DefaultHasher::new() has fixed keys: the same in every run of one toolchain.
        let mut hasher = DefaultHasher::new();
        (storm.seed, resource, verb, nth).hash(&mut hasher);
        let mut random = fastrand::Rng::with_seed(hasher.finish());
        if random.u16(..1_000) >= storm.per_mille {
            return None;
        }
        random.choice(&storm.failures).copied()
    }
}
