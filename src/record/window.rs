//! When a batch closes. Pure: time comes in as a [`Duration`] since the recorder started.

use std::time::Duration;

/// The limits of a batch.
#[derive(Clone, Copy, Debug)]
pub struct WindowOptions {
    /// A batch closes when no change has come for this long.
    pub quiet_period: Duration,
    /// It closes when its first change is this old, whatever still comes.
    pub max_age: Duration,
    /// It closes at this many objects.
    pub max_batch: usize,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            quiet_period: Duration::from_secs(2),
            max_age: Duration::from_secs(15),
            max_batch: 10_000,
        }
    }
}

/// The clock face of one batch.
#[derive(Debug)]
pub(crate) struct Window {
    options: WindowOptions,
    opened: Option<Duration>,
    last_change: Duration,
    /// When the first deletion began to wait for its namespace.
    held_since: Option<Duration>,
    /// Nothing closes before this: the last commit failed.
    not_before: Duration,
    failures: u32,
}

/// The longest pause between two attempts at a commit.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

impl Window {
    pub(crate) fn new(options: WindowOptions) -> Self {
        Self {
            options,
            opened: None,
            last_change: Duration::ZERO,
            held_since: None,
            not_before: Duration::ZERO,
            failures: 0,
        }
    }

    pub(crate) fn max_age(&self) -> Duration {
        self.options.max_age
    }

    /// A change that differs from HEAD was staged.
    pub(crate) fn changed(&mut self, now: Duration) {
        self.opened.get_or_insert(now);
        self.last_change = now;
    }

    /// A deletion was staged that waits for its namespace.
    pub(crate) fn held(&mut self, now: Duration) {
        self.held_since.get_or_insert(now);
    }

    /// Nothing is held any more.
    pub(crate) fn none_held(&mut self) {
        self.held_since = None;
    }

    /// Nothing is staged any more but what is held.
    pub(crate) fn emptied(&mut self) {
        self.opened = None;
    }

    /// The batch was committed.
    pub(crate) fn committed(&mut self) {
        self.opened = None;
        self.failures = 0;
        self.not_before = Duration::ZERO;
    }

    /// The commit failed; the batch stays open, and is tried again after a growing pause.
    pub(crate) fn failed(&mut self, now: Duration) {
        let pause = Duration::from_secs(1).saturating_mul(1 << self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + pause.min(LONGEST_RETRY);
        self.opened.get_or_insert(now);
    }

    /// When held deletions stop waiting.
    pub(crate) fn hold_ends(&self) -> Option<Duration> {
        self.held_since.map(|since| since + self.options.max_age)
    }

    /// When the batch closes if nothing else comes; `None` where none is open.
    pub(crate) fn closes(&self, objects: usize) -> Option<Duration> {
        let opened = self.opened?;
        let closes = if objects >= self.options.max_batch {
            Duration::ZERO
        } else {
            (self.last_change + self.options.quiet_period).min(opened + self.options.max_age)
        };
        Some(closes.max(self.not_before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn window() -> Window {
        Window::new(WindowOptions::default())
    }

    #[test]
    fn closes_after_the_quiet_period() {
        let mut window = window();
        assert_eq!(window.closes(0), None);
        window.changed(seconds(10));
        assert_eq!(window.closes(1), Some(seconds(12)));
        window.changed(seconds(11));
        assert_eq!(window.closes(2), Some(seconds(13)));
    }

    #[test]
    fn a_cluster_that_never_rests_is_committed_at_the_maximum_age() {
        let mut window = window();
        for at in 10..40 {
            window.changed(seconds(at));
        }
        assert_eq!(window.closes(30), Some(seconds(25)));
    }

    #[test]
    fn a_full_batch_closes_at_once() {
        let mut window = window();
        window.changed(seconds(10));
        assert_eq!(window.closes(10_000), Some(Duration::ZERO));
    }

    #[test]
    fn a_failed_commit_is_tried_again_with_growing_pauses() {
        let mut window = window();
        window.changed(seconds(10));
        let mut now = seconds(12);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            window.failed(now);
            let next = window.closes(1).unwrap();
            pauses.push(next.checked_sub(now).unwrap().as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        window.committed();
        assert_eq!(window.closes(0), None);
    }
}
