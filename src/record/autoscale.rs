//! Which workloads are scaled, as the recorder knows it. Pure.
//!
//! A file depends on it (`spec.replicas` goes while a workload is scaled), so the pipelines get
//! each set as a numbered generation, and a type whose workloads it changes for is listed again.
//! Generation 0 is what the files of HEAD say; their workloads were written by it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::events::Feed;
use crate::cluster::Scope;
use crate::filter::{Autoscaled, ScaleTarget};

/// Autoscalers that change together, as when a chart is installed, are one list of the workloads.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Workloads are listed for their autoscalers' sake no more often than this.
const PACE: Duration = Duration::from_secs(5);

/// The workloads that are scaled, for the pipelines.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    /// Later ones have greater numbers.
    pub(super) number: u64,
    /// The workloads.
    pub(super) autoscaled: Arc<Autoscaled>,
}

/// The recorded autoscalers.
#[derive(Debug)]
pub(super) struct Autoscalers {
    by_path: HashMap<Arc<str>, ScaleTarget>,
    /// How many autoscalers name each workload.
    targets: HashMap<ScaleTarget, usize>,
    number: u64,
    published: Option<Duration>,
    due: Option<Duration>,
}

impl Autoscalers {
    /// Starts from what the files of HEAD say, by path.
    pub(super) fn new(files: HashMap<Arc<str>, ScaleTarget>) -> Self {
        let mut targets = HashMap::new();
        for target in files.values() {
            *targets.entry(target.clone()).or_default() += 1;
        }
        Self {
            by_path: files,
            targets,
            number: 0,
            published: None,
            due: None,
        }
    }

    /// Whether the pipelines have a generation to go by.
    pub(super) fn is_known(&self) -> bool {
        self.number > 0
    }

    /// The number of the generation to come.
    pub(super) fn next(&self) -> u64 {
        self.number + 1
    }

    /// When the next generation is to be published.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Takes note that the autoscaler at `path` names `target`, or is gone; returns the workloads
    /// that are scaled from now on, or are not any more.
    pub(super) fn set(
        &mut self,
        now: Duration,
        path: &Arc<str>,
        target: Option<ScaleTarget>,
    ) -> Vec<ScaleTarget> {
        let before = match &target {
            Some(target) => self.by_path.insert(path.clone(), target.clone()),
            None => self.by_path.remove(path),
        };
        if before == target {
            return Vec::new();
        }
        let mut changed = Vec::new();
        if let Some(target) = target {
            let count = self.targets.entry(target.clone()).or_default();
            *count += 1;
            if *count == 1 {
                changed.push(target);
            }
        }
        if let Some(before) = before
            && let Some(count) = self.targets.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                self.targets.remove(&before);
                changed.push(before);
            }
        }
        if !changed.is_empty() && self.is_known() {
            let earliest = self.published.map_or(Duration::ZERO, |at| at + PACE);
            self.due.get_or_insert((now + DEBOUNCE).max(earliest));
        }
        changed
    }

    /// Hands out the next generation.
    pub(super) fn publish(&mut self, now: Duration) -> Generation {
        // The first one changes nothing that anybody has listed yet.
        self.published = self.is_known().then_some(now);
        self.number += 1;
        self.due = None;
        Generation {
            number: self.number,
            autoscaled: Arc::new(self.targets.keys().cloned().collect()),
        }
    }
}

/// Whether `feed` reads this workload.
pub(super) fn reads(feed: &Feed, target: &ScaleTarget) -> bool {
    feed.api_type.group == target.group
        && feed.api_type.kind == target.kind
        && match &feed.scope {
            Scope::Cluster => true,
            Scope::Namespace(namespace) => *namespace == target.namespace,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> ScaleTarget {
        ScaleTarget {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_workload_is_scaled_as_long_as_any_autoscaler_names_it() {
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let mut known = Autoscalers::new(HashMap::from([(one.clone(), target("web"))]));
        let _ = known.publish(Duration::ZERO);
        let at = Duration::from_secs(9);
        assert_eq!(known.set(at, &two, Some(target("web"))), []);
        assert_eq!(known.set(at, &one, None), []);
        assert_eq!(known.due(), None, "nothing to say");
        assert_eq!(known.set(at, &two, Some(target("api"))).len(), 2);
        assert_eq!(known.due(), Some(at + DEBOUNCE));
        assert_eq!(known.set(at, &two, None), [target("api")]);
        let Generation { number, autoscaled } = known.publish(at);
        assert_eq!((number, &*autoscaled), (2, &Autoscaled::default()));
    }

    #[test]
    fn generations_keep_a_pace() {
        let mut known = Autoscalers::new(HashMap::new());
        let _ = known.publish(Duration::ZERO);
        let second = Duration::from_secs(1);
        known.set(second, &"one".into(), Some(target("web")));
        assert_eq!(known.due(), Some(second + DEBOUNCE));
        let _ = known.publish(second + DEBOUNCE);
        known.set(second * 2, &"one".into(), None);
        assert_eq!(known.due(), Some(second + DEBOUNCE + PACE));
    }
}
