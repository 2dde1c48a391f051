//! Watches: one stream per request, fed from the log of its type.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>,
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Duration, Instant, sleep_until};

use super::query::{Match, Options, ResourcePath};
use super::selector::Selector;
use super::serve::{Answer, Broken};
use super::status::{self, Refused};
use super::store::{Entry, Stored, TypeId, TypeState};
use super::{Failure, Interruption, Shared, list};

/// Events are handed to the connection in pieces of about this size.
const CHUNK: usize = 64 * 1024;
/// The real server sends a last bookmark that long before a watch times out.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// Where a stream stands.
#[derive(Debug)]
enum State {
    /// Sends what was there when the watch began, from this index on; then the end bookmark, if
    /// it was asked for.
    Initial(usize),
    /// Sends what happens.
    Following,
    /// Sends nothing, and does not end.
    Stalled,
    /// The connection breaks next.
    Breaking,
    /// The stream ends next.
    Ending,
}

struct Watch {
    shared: Arc<Shared>,
    id: TypeId,
    /// `"kind":…,"apiVersion":…,`
    type_meta: String,
    namespace: Option<Box<str>>,
    selector: Selector,
    bookmarks: bool,
    end_bookmark: bool,
    failure: Option<Failure>,
    state: State,
    initial: Vec<Arc<Stored>>,
    /// resourceVersion of the end bookmark.
    version: u64,
    /// Index in the type's log of the next entry to look at.
    position: usize,
    /// Interruptions before this index concern earlier watches.
    opened_at: usize,
    wake: tokio::sync::watch::Receiver<u64>,
    next_bookmark: Instant,
    deadline: Instant,
    /// Complete events so far, and the last of them.
    sent: usize,
    last: Vec<u8>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.store().count_watch(&self.id, -1);
    }
}

/// Answers a watch.
pub(super) fn watch(
    shared: &Arc<Shared>,
    path: &ResourcePath<'_>,
    options: &Options,
    failure: Option<Failure>,
) -> Result<Answer, Refused> {
    let mut store = shared.store();
    let now = store.version();
    let state = store.served(path)?;
    let document = &state.document;
    let selector = Selector::parse(
        &options.labels,
        &options.fields,
        &document.api_type,
        document.custom,
    )
    .map_err(|message| status::bad_request(&message))?;
    let start = start_of(state, options)?;
    let opened_at = state.log.len();
    let (initial, position) = match start {
        Start::Now => {
            let everything = |stored: &Stored| selector.matches(stored);
            let page = state.page(now, path.namespace, None, usize::MAX, everything);
            (page.objects, opened_at)
        }
        Start::After(version) => (Vec::new(), state.after(version)),
        Start::TooOld(version) => {
            let gone = status::gone_from_watch(version, state.floor);
            return Ok(Answer::stream(stream::iter([Ok(error_event(&gone))])));
        }
    };
    let api_type = &document.api_type;
    let id = (api_type.group.clone(), api_type.resource.clone());
    let begin = Instant::now();
    let asked_for_end = options.send_initial_events == Some(true) && options.bookmarks;
    let watch = Watch {
        shared: shared.clone(),
        type_meta: list::type_meta(state, path),
        namespace: path.namespace.map(Into::into),
        selector,
        bookmarks: options.bookmarks,
        end_bookmark: asked_for_end && failure != Some(Failure::NoEndBookmark),
        failure,
        state: match failure {
            Some(Failure::Silence) => State::Stalled,
            Some(Failure::Cut {
                after: 0,
                mid_line: false,
            }) => State::Breaking,
            _ => State::Initial(0),
        },
        initial,
        version: now,
        position,
        opened_at,
        wake: state.wake.subscribe(),
        next_bookmark: begin,
        deadline: begin + options.timeout.unwrap_or(shared.options.watch_timeout),
        sent: 0,
        last: Vec::new(),
        id: id.clone(),
    };
    store.count_watch(&id, 1);
    drop(store);
    if failure == Some(Failure::GoneEvent) {
        let asked = options.resource_version.parse().unwrap_or(now);
        let gone = error_event(&status::gone_from_watch(asked, now));
        return Ok(Answer::stream(stream::iter([Ok(gone)])));
    }
    let mut watch = watch;
    watch.plan_bookmark();
    Ok(Answer::stream(stream::unfold(watch, |mut watch| async {
        let piece = watch.next().await?;
        Some((piece, watch))
    })))
}

/// Where a watch begins.
enum Start {
    /// With everything that is there.
    Now,
    /// With what came after a resourceVersion.
    After(u64),
    /// Nowhere: 410.
    TooOld(u64),
}

fn start_of(state: &TypeState, options: &Options) -> Result<Start, Refused> {
    match (options.send_initial_events, options.version_match) {
        (Some(_), Some(Match::NotOlderThan)) | (None, None) => {}
        (Some(_), _) => {
            return Err(status::invalid_options(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        (None, Some(_)) => {
            return Err(status::invalid_options(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
    }
    let asked = &options.resource_version;
    let from_version = !asked.is_empty() && asked != "0";
    let version = if from_version {
        asked
            .parse()
            .map_err(|_| status::watch_from_nonsense(asked))?
    } else {
        0
    };
    let everything = match options.send_initial_events {
        Some(wanted) => wanted,
        None => !from_version,
    };
    Ok(if everything {
        Start::Now
    } else if !from_version {
        // sendInitialEvents=false without a resourceVersion: from now on.
        Start::After(u64::MAX)
    } else if version < state.floor {
        Start::TooOld(version)
    } else {
        Start::After(version)
    })
}

fn error_event(refused: &Refused) -> Bytes {
    let mut line = br#"{"type":"ERROR","object":"#.to_vec();
    line.extend_from_slice(&refused.body);
    line.extend_from_slice(b"}\n");
    line.into()
}

impl Watch {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            match self.state {
                State::Stalled => std::future::pending().await,
                State::Breaking => return Some(Err(Broken)),
                State::Ending => return None,
                State::Initial(from) => {
                    let piece = self.initial_events(from);
                    if !piece.is_empty() {
                        return Some(Ok(piece.into()));
                    }
                }
                State::Following => {
                    self.wake.mark_unchanged();
                    let piece = self.new_events();
                    if !piece.is_empty() {
                        return Some(Ok(piece.into()));
                    }
                    if matches!(self.state, State::Following) {
                        self.wait().await;
                    }
                }
            }
        }
    }

    /// Waits for an event, the time of a bookmark or the end.
    async fn wait(&mut self) {
        let deadline = self.deadline;
        let next_bookmark = self.next_bookmark;
        tokio::select! {
            changed = self.wake.changed() => {
                // The sender lives in the store, which lives as long as we do.
                if changed.is_err() {
                    self.state = State::Ending;
                }
            }
            () = sleep_until(deadline) => self.state = State::Ending,
            () = sleep_until(next_bookmark), if self.bookmarks => {}
        }
    }

    fn initial_events(&mut self, from: usize) -> Vec<u8> {
        let mut piece = Vec::new();
        let initial = std::mem::take(&mut self.initial);
        let mut at = from;
        while piece.len() < CHUNK && matches!(self.state, State::Initial(_)) {
            let Some(object) = initial.get(at) else {
                self.state = State::Following;
                if self.end_bookmark {
                    let marked = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
                    let line = self.bookmark(self.version, marked);
                    self.emit(&mut piece, line);
                }
                return piece;
            };
            at += 1;
            self.state = State::Initial(at);
            let line = self.event("ADDED", object);
            self.emit(&mut piece, line);
        }
        self.initial = initial;
        piece
    }

    fn new_events(&mut self) -> Vec<u8> {
        let mut piece = Vec::new();
        let shared = self.shared.clone();
        let store = shared.store();
        let Some(state) = store.types.get(&self.id) else {
            self.state = State::Ending;
            return piece;
        };
        while piece.len() < CHUNK && matches!(self.state, State::Following) {
            let Some(entry) = state.log.get(self.position) else {
                break;
            };
            self.position += 1;
            match entry {
                Entry::Change {
                    before,
                    after,
                    tombstone,
                    ..
                } => {
                    let line =
                        self.change(before.as_deref(), after.as_deref(), tombstone.as_deref());
                    if let Some(line) = line {
                        self.emit(&mut piece, line);
                    }
                }
                Entry::Interrupt { how, .. } if self.position > self.opened_at => {
                    self.interrupt(*how, &mut piece, store.version());
                }
                Entry::Interrupt { .. } => {}
            }
        }
        let caught_up = self.position == state.log.len();
        if caught_up
            && self.bookmarks
            && matches!(self.state, State::Following)
            && Instant::now() >= self.next_bookmark
        {
            self.plan_bookmark();
            let line = self.bookmark(store.version(), "");
            self.emit(&mut piece, line);
        }
        piece
    }

    /// The event that a change is to this watch: with a selector, an object can enter and leave.
    fn change(
        &self,
        before: Option<&Stored>,
        after: Option<&Stored>,
        tombstone: Option<&Stored>,
    ) -> Option<Vec<u8>> {
        let before = before.filter(|object| self.sees(object));
        match (before, after.filter(|object| self.sees(object))) {
            (None, None) => None,
            (None, Some(now)) => Some(self.event("ADDED", now)),
            (Some(_), Some(now)) => Some(self.event("MODIFIED", now)),
            // It was deleted, or left: then the event carries its old state at the new version.
            (Some(old), None) => Some(match (tombstone, after) {
                (Some(tombstone), _) => self.event("DELETED", tombstone),
                (None, Some(now)) => self.event("DELETED", &old.at_version(now.version)),
                (None, None) => self.event("DELETED", old),
            }),
        }
    }

    fn sees(&self, object: &Stored) -> bool {
        let here = self.namespace.is_none() || self.namespace == object.namespace;
        here && self.selector.matches(object)
    }

    fn interrupt(&mut self, how: Interruption, piece: &mut Vec<u8>, version: u64) {
        match how {
            Interruption::End => self.state = State::Ending,
            Interruption::CutMidLine => {
                piece.extend_from_slice(br#"{"type":"MODIFIED","object":{"#);
                piece.extend_from_slice(self.type_meta.as_bytes());
                self.state = State::Breaking;
            }
            Interruption::GoneEvent => {
                piece.extend_from_slice(&error_event(&status::gone_from_watch(
                    self.version,
                    version,
                )));
                self.state = State::Ending;
            }
            Interruption::Stall => self.state = State::Stalled,
            Interruption::Bookmark if self.bookmarks => {
                let line = self.bookmark(version, "");
                self.emit(piece, line);
            }
            Interruption::Bookmark => {}
            Interruption::Duplicate => piece.extend_from_slice(&self.last),
        }
    }

    fn plan_bookmark(&mut self) {
        let now = Instant::now();
        let regular = now + self.shared.options.bookmark_interval;
        let last = self.deadline.checked_sub(LAST_BOOKMARK);
        self.next_bookmark = match last {
            Some(last) if last > now => regular.min(last),
            _ => regular,
        };
    }

    fn event(&self, kind: &str, object: &Stored) -> Vec<u8> {
        let mut line =
            Vec::with_capacity(object.body.len() + self.type_meta.len() + kind.len() + 32);
        for part in [r#"{"type":""#, kind, r#"","object":{"#, &self.type_meta] {
            line.extend_from_slice(part.as_bytes());
        }
        line.extend_from_slice(&object.body);
        line.extend_from_slice(b"}\n");
        line
    }

    fn bookmark(&self, version: u64, more: &str) -> Vec<u8> {
        let version = if self.failure == Some(Failure::HollowBookmarks) {
            String::new()
        } else {
            version.to_string()
        };
        format!(
            "{{\"type\":\"BOOKMARK\",\"object\":{{{}\"metadata\":{{\"resourceVersion\":\"{version}\"{more}}}}}}}\n",
            self.type_meta
        )
        .into_bytes()
    }

    /// Sends one line, or what a fault makes of it.
    fn emit(&mut self, piece: &mut Vec<u8>, line: Vec<u8>) {
        if let Some(Failure::Cut { after, mid_line }) = self.failure
            && self.sent >= after
        {
            if mid_line {
                piece.extend_from_slice(&line[..line.len() / 2]);
            }
            self.state = State::Breaking;
            return;
        }
        piece.extend_from_slice(&line);
        if self.failure == Some(Failure::Duplicates) {
            piece.extend_from_slice(&line);
        }
        self.sent += 1;
        self.last = line;
        if self.failure
            == Some(Failure::Cut {
                after: self.sent,
                mid_line: false,
            })
        {
            self.state = State::Breaking;
        }
    }
}
