//! Beside a recording: somebody who looks at what became durable, and writes chains of his own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

/// More paths than this are everything: they are not worth being told apart.
const MOST_PATHS: usize = 20_000;

/// What became durable since somebody last looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Look at everything: the first sync is settled, or there is too much to name.
    pub everything: bool,
    /// Paths below the prefix whose file, or whose owners and times, were written or removed.
    pub paths: BTreeSet<Arc<str>>,
    /// Names below `facts/` that were written or removed.
    pub facts: BTreeSet<String>,
}

impl News {
    fn is_empty(&self) -> bool {
        !self.everything && self.paths.is_empty() && self.facts.is_empty()
    }

    fn add(&mut self, paths: impl Iterator<Item = Arc<str>>, facts: impl Iterator<Item = String>) {
        self.facts.extend(facts);
        if !self.everything {
            self.paths.extend(paths);
        }
        if self.paths.len() > MOST_PATHS {
            self.paths.clear();
            self.everything = true;
        }
    }
}

#[derive(Debug, Default)]
struct State {
    news: News,
    /// What changes before the first sync is settled is not worth a look.
    open: bool,
    closed: bool,
}

/// Gathers [`News`] until somebody takes them; never makes the recorder wait. Clones share it.
#[derive(Clone, Debug)]
pub struct Touched(Arc<(Mutex<State>, watch::Sender<()>)>);

impl Default for Touched {
    fn default() -> Self {
        Self(Arc::new((Mutex::default(), watch::channel(()).0)))
    }
}

impl Touched {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Nothing that holds it can panic half way.
        act(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for news, and takes them; `None` when there will be no more.
    pub async fn next(&self) -> Option<News> {
        let take = |state: &mut State| {
            if state.closed {
                return Some(None);
            }
            let news = std::mem::take(&mut state.news);
            (!news.is_empty()).then_some(Some(news))
        };
        self.wait(take).await
    }

    /// Waits until there will be no more news.
    pub async fn closed(&self) {
        self.wait(|state| state.closed.then_some(())).await;
    }

    /// Waits until `look` finds something.
    async fn wait<T>(&self, look: impl Fn(&mut State) -> Option<T>) -> T {
        // Before the look: what comes after it wakes us.
        let mut changes = self.0.1.subscribe();
        loop {
            if let Some(found) = self.with(&look) {
                return found;
            }
            // The sender is ours too.
            let _ = changes.changed().await;
        }
    }

    fn wake(&self) {
        self.0.1.send_replace(());
    }

    /// Says that nothing follows.
    pub fn close(&self) {
        self.with(|state| state.closed = true);
        self.wake();
    }

    pub(super) fn synced(&self) {
        self.with(|state| {
            state.open = true;
            state.news.everything = true;
        });
        self.wake();
    }

    pub(super) fn add(
        &self,
        paths: impl Iterator<Item = Arc<str>>,
        facts: impl Iterator<Item = String>,
    ) {
        self.with(|state| {
            if state.open {
                state.news.add(paths, facts);
            }
        });
        self.wake();
    }
}

/// The next commit of a chain of its own; the mirror's own thread writes it.
#[derive(Debug)]
pub struct SideWrite {
    /// The chain's ref.
    pub reference: String,
    /// All files of the tree, by their paths below the prefix.
    pub files: Vec<(String, Vec<u8>)>,
    /// The commit's message.
    pub message: String,
    /// Gets whether it is durable.
    pub done: oneshot::Sender<bool>,
}

/// Who goes along with a recording.
#[derive(Debug, Default)]
pub struct Beside {
    /// Gets what becomes durable.
    pub touched: Option<Touched>,
    /// Asks for writes.
    pub writes: Option<mpsc::Receiver<SideWrite>>,
}

impl Beside {
    /// The next write that is asked for; never ends while nobody asks.
    pub(super) async fn next_write(&mut self) -> SideWrite {
        if let Some(writes) = &mut self.writes {
            if let Some(write) = writes.recv().await {
                return write;
            }
            self.writes = None;
        }
        std::future::pending().await
    }

    /// A write that was asked for already.
    pub(super) fn waiting(&mut self) -> Option<SideWrite> {
        self.writes.as_mut()?.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn add(touched: &Touched, paths: &[&str]) {
        let paths = paths.iter().map(|path| Arc::<str>::from(*path));
        touched.add(paths, std::iter::empty());
    }

    #[test]
    fn news_are_gathered_from_the_first_sync_on_and_taken_once() {
        let touched = Touched::default();
        add(&touched, &["a"]);
        assert!(touched.next().now_or_never().is_none(), "before the sync");
        touched.synced();
        let first = touched.next().now_or_never().unwrap().unwrap();
        assert!(first.everything && first.paths.is_empty());
        add(&touched, &["b", "a"]);
        add(&touched, &["b"]);
        let second = touched.next().now_or_never().unwrap().unwrap();
        assert_eq!(second.paths, ["a".into(), "b".into()].into());
        assert!(!second.everything);
        assert!(touched.next().now_or_never().is_none());
        touched.close();
        assert_eq!(touched.next().now_or_never(), Some(None));
        assert_eq!(touched.closed().now_or_never(), Some(()));
    }

    #[test]
    fn too_many_paths_are_everything() {
        let touched = Touched::default();
        touched.synced();
        touched.next().now_or_never().unwrap().unwrap();
        let paths = (0..=MOST_PATHS).map(|n| Arc::<str>::from(n.to_string()));
        touched.add(paths, std::iter::empty());
        add(&touched, &["x"]);
        let news = touched.next().now_or_never().unwrap().unwrap();
        assert!(news.everything && news.paths.is_empty());
    }
}
