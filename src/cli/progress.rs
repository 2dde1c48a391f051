//! Progress displays: of a first sync, of a restore.

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;

/// A bar on a terminal, nothing elsewhere: the log says the rest.
pub(super) struct SyncProgress(Option<ProgressBar>);

impl SyncProgress {
    pub(super) fn start(output: &Output) -> Self {
        if !output.shows_progress() {
            return Self(None);
        }
        let bar = output.bars.add(ProgressBar::new(0));
        let style = ProgressStyle::with_template(
            "{spinner} first sync [{bar:30}] {pos}/{len} types, {msg}, {elapsed}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸ "));
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        Self(Some(bar))
    }

    pub(super) fn update(&self, delivered: usize, feeds: usize, waiting: usize) {
        if let Some(bar) = &self.0 {
            bar.set_length(feeds as u64);
            bar.set_position(delivered as u64);
            bar.set_message(format!("{waiting} objects"));
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for SyncProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A bar of the objects that a restore writes.
pub(super) struct RestoreProgress(Option<ProgressBar>);

impl RestoreProgress {
    pub(super) fn start(output: &Output, objects: usize) -> Self {
        if !output.shows_progress() {
            return Self(None);
        }
        let bar = output.bars.add(ProgressBar::new(objects as u64));
        let style = ProgressStyle::with_template(
            "{spinner} restore [{bar:30}] {pos}/{len} objects, {msg}, {elapsed}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸ "));
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        Self(Some(bar))
    }

    pub(super) fn step(&self, stage: &'static str) {
        if let Some(bar) = &self.0 {
            bar.set_message(stage);
            bar.inc(1);
        }
    }
}

impl Drop for RestoreProgress {
    fn drop(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}
