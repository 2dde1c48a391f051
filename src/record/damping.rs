//! Damping: an object that keeps changing is sampled, not suppressed. Pure.
//!
//! As routers damp routes that flap (<https://www.rfc-editor.org/rfc/rfc2439>): each change that
//! differs from the last one seen adds a penalty, which decays by half in [`HALF_LIFE`]. Above
//! [`ENTER`] the object's changes wait, and its newest state is committed at least once in
//! [`MAX_STALENESS`]; below [`LEAVE`] it is as any other again. Nothing is kept of objects that
//! have not changed lately.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::mirror::BlobId;
use crate::object::ApiType;

/// A penalty decays by half in this time.
pub(super) const HALF_LIFE: Duration = Duration::from_secs(600);
/// An object above this penalty is damped: a rollout of a dozen steps is not.
pub(super) const ENTER: f64 = 12.0;
/// A damped object below this penalty is not damped any more.
pub(super) const LEAVE: f64 = 3.0;
/// No penalty grows beyond: what has flapped for hours is free after four half-lives of rest.
const CEILING: f64 = 48.0;
/// Below this penalty an object is forgotten.
const FORGET: f64 = 0.5;
/// A change of a damped object waits no longer than this for its commit.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(600);
/// Objects whose penalty has decayed are looked for no more often than this.
const SWEEP: Duration = Duration::from_secs(1);

/// Whether objects of a type may be damped: not those that decide who may do what, nor those that
/// hold or promise others.
pub(super) fn may_be_damped(api_type: &ApiType) -> bool {
    !matches!(
        (&*api_type.group, &*api_type.resource),
        (
            "rbac.authorization.k8s.io"
                | "admissionregistration.k8s.io"
                | "policy.networking.k8s.io",
            _
        ) | ("apiextensions.k8s.io", "customresourcedefinitions")
            | ("", "namespaces" | "secrets")
    ) && !api_type.resource.ends_with("networkpolicies")
}

/// What one commit holds of an object that is damped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Path below the prefix.
    pub(super) path: Arc<str>,
    /// Changes that were seen since the last commit of it.
    pub(super) changes: u64,
    /// When the first of them was seen.
    pub(super) since: Duration,
}

#[derive(Debug)]
struct Track {
    /// The penalty at `at`.
    penalty: f64,
    at: Duration,
    /// What was last seen; `None` where the object was gone.
    last: Option<BlobId>,
    /// What people had written of it then.
    mark: u64,
    damped: bool,
    /// A change has waited since the last commit.
    sampled: bool,
    /// Changes since the last commit, and when the first of them was seen.
    changes: u64,
    since: Duration,
}

impl Track {
    fn penalty(&self, now: Duration) -> f64 {
        let halves = now.saturating_sub(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.penalty * (-halves).exp2()
    }

    /// When the penalty is down to `level`.
    fn decays_to(&self, level: f64) -> Duration {
        let halves = (self.penalty / level).log2().max(0.0);
        self.at + HALF_LIFE.mul_f64(halves)
    }

    /// The level at which something is to be done about it.
    fn level(&self) -> f64 {
        if self.damped { LEAVE } else { FORGET }
    }
}

/// What is to be done with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It waits for the next sample.
    pub(super) wait: bool,
    /// The object is damped from this change on.
    pub(super) entered: bool,
}

/// The penalties of the objects that changed lately.
#[derive(Debug)]
pub(super) struct Damping {
    on: bool,
    /// What a window may take is part of [`MAX_STALENESS`].
    patience: Duration,
    tracks: HashMap<Arc<str>, Track>,
    damped: usize,
    skipped: u64,
    /// No penalty is down to its level before this.
    sweep: Option<Duration>,
    /// When what waits is committed.
    sample: Option<Duration>,
}

impl Damping {
    /// A window takes `max_age` at most.
    pub(super) fn new(on: bool, max_age: Duration) -> Self {
        Self {
            on,
            patience: MAX_STALENESS.saturating_sub(max_age),
            tracks: HashMap::new(),
            damped: 0,
            skipped: 0,
            sweep: None,
            sample: None,
        }
    }

    /// Objects that are damped now.
    pub(super) fn damped(&self) -> usize {
        self.damped
    }

    /// Their paths, in order.
    pub(super) fn damped_paths(&self) -> Vec<Arc<str>> {
        let damped = self.tracks.iter().filter(|(_, track)| track.damped);
        let mut paths: Vec<_> = damped.map(|(path, _)| path.clone()).collect();
        paths.sort_unstable();
        paths
    }

    /// Changes that went into no commit of their own.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// When [`Damping::sweep`] is due, or what waits is to be committed.
    pub(super) fn deadline(&self) -> Option<Duration> {
        [self.sweep, self.sample].into_iter().flatten().min()
    }

    /// Takes note of an object as it is now: `before` is what HEAD or the stage holds of it,
    /// `after` what it is now; `None` where it is gone. `mark` is
    /// [`interactive_mark`](crate::owners::interactive_mark), asked for where it matters.
    pub(super) fn seen(
        &mut self,
        now: Duration,
        path: &Arc<str>,
        before: Option<BlobId>,
        after: Option<BlobId>,
        mark: impl FnOnce() -> u64,
    ) -> Verdict {
        let pass = Verdict {
            wait: false,
            entered: false,
        };
        if !self.on {
            return pass;
        }
        if !self.tracks.contains_key(path) {
            if before == after {
                return pass;
            }
            let track = Track {
                penalty: 0.0,
                at: now,
                last: before,
                mark: mark(),
                damped: false,
                sampled: false,
                changes: 0,
                since: now,
            };
            return self.count(now, path, track, after, None);
        }
        let Some(track) = self.tracks.remove(path) else {
            return pass;
        };
        // What was deleted is nobody's writing.
        let mark = after.map(|_| mark());
        self.count(now, path, track, after, mark)
    }

    fn count(
        &mut self,
        now: Duration,
        path: &Arc<str>,
        mut track: Track,
        after: Option<BlobId>,
        mark: Option<u64>,
    ) -> Verdict {
        let mut entered = false;
        if track.last != after {
            track.penalty = (track.penalty(now) + 1.0).min(CEILING);
            track.at = now;
            track.last = after;
            if track.changes == 0 {
                track.since = now;
            }
            track.changes += 1;
            if !track.damped && track.penalty > ENTER {
                track.damped = true;
                entered = true;
                self.damped += 1;
            }
            let due = track.decays_to(track.level());
            self.sweep = Some(self.sweep.map_or(due, |sweep| sweep.min(due)));
        }
        let by_a_person = mark.is_some_and(|mark| std::mem::replace(&mut track.mark, mark) != mark);
        let wait = track.damped && after.is_some() && !by_a_person;
        self.tracks.insert(path.clone(), track);
        Verdict { wait, entered }
    }

    /// A change waits: it is committed within [`MAX_STALENESS`], together with all others.
    pub(super) fn waits(&mut self, now: Duration, path: &str) {
        self.sample.get_or_insert(now + self.patience);
        if let Some(track) = self.tracks.get_mut(path) {
            track.sampled = true;
        }
    }

    /// Whether everything that waits is to be committed; says so once.
    pub(super) fn sample_is_due(&mut self, now: Duration) -> bool {
        self.sample.take_if(|at| *at <= now).is_some()
    }

    /// What a commit of `path` is to say of it.
    pub(super) fn sample(&self, path: &Arc<str>) -> Option<Sample> {
        let track = self.tracks.get(path).filter(|track| track.sampled)?;
        Some(Sample {
            path: path.clone(),
            changes: track.changes,
            since: track.since,
        })
    }

    /// A commit holds the newest state of `path`.
    pub(super) fn committed(&mut self, path: &str) {
        if let Some(track) = self.tracks.get_mut(path) {
            if track.sampled {
                self.skipped += track.changes.saturating_sub(1);
            }
            track.sampled = false;
            track.changes = 0;
        }
    }

    /// Forgets what has not changed for long; returns what is not damped any more.
    pub(super) fn sweep(&mut self, now: Duration) -> Vec<Arc<str>> {
        if self.sweep.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let mut left = Vec::new();
        let mut next: Option<Duration> = None;
        self.tracks.retain(|path, track| {
            if track.damped && track.decays_to(LEAVE) <= now {
                track.damped = false;
                left.push(path.clone());
            }
            // The commit of what waited still has to say so.
            let due = track.decays_to(track.level());
            let keep = due > now || track.sampled;
            if keep {
                let due = due.max(now + SWEEP);
                next = Some(next.map_or(due, |next| next.min(due)));
            }
            keep
        });
        self.damped -= left.len();
        self.sweep = next;
        left.sort_unstable();
        left
    }

    /// Objects of which something is kept.
    #[cfg(test)]
    pub(super) fn tracked(&self) -> usize {
        self.tracks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "namespaces/shop/configmaps/lock.yaml";

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn blob(n: u64) -> BlobId {
        BlobId::of(n.to_string().as_bytes())
    }

    /// `n` changes, `pause` seconds apart; returns the number of the one that enters.
    fn change(damping: &mut Damping, n: u64, pause: u64) -> Option<u64> {
        let path = PATH.into();
        (1..=n).find(|at| {
            let now = seconds(at * pause);
            let seen = damping.seen(now, &path, Some(blob(at - 1)), Some(blob(*at)), || 0);
            assert_eq!(seen.wait, seen.entered);
            seen.entered
        })
    }

    #[test]
    fn a_rollout_and_twelve_edits_in_a_row_are_not_damped() {
        assert_eq!(
            change(&mut Damping::new(true, Duration::ZERO), 5, 24),
            None,
            "a rollout"
        );
        assert_eq!(
            change(&mut Damping::new(true, Duration::ZERO), 12, 0),
            None,
            "edits"
        );
        assert_eq!(
            change(&mut Damping::new(true, Duration::ZERO), 500, 80),
            None,
            "slow"
        );
        assert_eq!(
            change(&mut Damping::new(true, Duration::ZERO), 99, 1),
            Some(13)
        );
        assert_eq!(
            change(&mut Damping::new(false, Duration::ZERO), 99, 1),
            None,
            "off"
        );
    }

    #[test]
    fn it_ends_below_three_and_is_forgotten_after() {
        let mut damping = Damping::new(true, Duration::ZERO);
        change(&mut damping, 13, 0);
        let at = |halves: f64| HALF_LIFE.mul_f64(halves);
        let leaves = at((13.0_f64 / LEAVE).log2());
        let due = damping.deadline().unwrap();
        assert!(due <= leaves, "{due:?}");
        assert!(damping.sweep(leaves.saturating_sub(seconds(1))).is_empty());
        assert_eq!(damping.damped(), 1);
        assert_eq!(damping.sweep(leaves + seconds(2)), [PATH.into()]);
        assert_eq!((damping.damped(), damping.tracked()), (0, 1));
        assert!(damping.sweep(leaves + at(3.0)).is_empty());
        assert_eq!((damping.tracked(), damping.deadline()), (0, None));
    }

    #[test]
    fn a_storm_of_hours_is_forgiven_after_four_half_lives() {
        let mut damping = Damping::new(true, Duration::ZERO);
        let path = PATH.into();
        for n in 0..10_000 {
            damping.seen(seconds(n), &path, None, Some(blob(n)), || 0);
        }
        assert_eq!(damping.sweep(seconds(10_000) + HALF_LIFE * 4), [path]);
    }

    #[test]
    fn what_people_write_does_not_wait_and_what_machines_write_after_does() {
        let mut damping = Damping::new(true, Duration::ZERO);
        change(&mut damping, 13, 1);
        let path = PATH.into();
        let mut wait = |n: u64, mark: u64| {
            let seen = damping.seen(seconds(20), &path, None, Some(blob(n)), || mark);
            seen.wait
        };
        assert!(wait(14, 0));
        assert!(!wait(15, 7), "a person");
        assert!(wait(16, 7), "a machine");
    }

    #[test]
    fn what_decides_who_may_do_what_is_never_damped() {
        let may = |group: &str, resource: &str| {
            may_be_damped(&ApiType {
                group: group.into(),
                version: "v1".into(),
                resource: resource.into(),
                kind: "X".into(),
                namespaced: true,
            })
        };
        for (group, resource) in [
            ("rbac.authorization.k8s.io", "clusterroles"),
            (
                "admissionregistration.k8s.io",
                "validatingwebhookconfigurations",
            ),
            (
                "admissionregistration.k8s.io",
                "validatingadmissionpolicies",
            ),
            ("networking.k8s.io", "networkpolicies"),
            ("cilium.io", "ciliumclusterwidenetworkpolicies"),
            ("crd.projectcalico.org", "globalnetworkpolicies"),
            ("policy.networking.k8s.io", "adminnetworkpolicies"),
            ("apiextensions.k8s.io", "customresourcedefinitions"),
            ("", "namespaces"),
            ("", "secrets"),
        ] {
            assert!(!may(group, resource), "{resource}");
        }
        for (group, resource) in [
            ("", "configmaps"),
            ("apps", "deployments"),
            ("x.io", "secrets"),
        ] {
            assert!(may(group, resource), "{resource}");
        }
    }
}
