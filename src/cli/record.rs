//! `strandline record`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use super::drift::{DriftMetrics, Watch};
use super::facts::{self, Gatherer};
use super::output::{Output, Style};
use super::progress::SyncProgress;
use super::push::{Pusher, names};
use super::session::{Resume, Session};
use super::{Exit, Failure};
use crate::cluster::Cluster;
use crate::config::{RecordArgs, RecordSettings};
use crate::filter::{RuleName, Rules};
use crate::mirror::SnapshotOptions;
use crate::record::{
    Beside, Facts, Maintain, Metrics, ReadPlan, Recording, Report, Summary, Touched, Until,
    record_beside,
};
use crate::remote::maintenance;
use crate::telemetry::clock::unix_seconds;
use crate::telemetry::{encode, registry};

/// How long one round of putting packs together may take.
const MAINTENANCE_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs until SIGINT or SIGTERM; the first closes the batch and pushes once, the second ends at
/// once.
pub(super) async fn run(args: &RecordArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = RecordSettings::for_record(args)?;
    let (stop, stopped) = watch::channel(false);
    let summary = tokio::select! {
        summary = run_recording(&settings, Until::Stopped, output, stopped) => summary?,
        () = second_signal(stop) => return Err("stopped before the batch was closed".into()),
    };
    if summary.lost > 0 {
        return Err(format!("{} changes could not be committed", summary.lost).into());
    }
    summary.check_push()?;
    Ok(Exit::Fine)
}

/// What a run came to.
pub(super) struct Outcome {
    pub(super) recorded: Summary,
    /// Why the remote does not have the newest commit, if it has not.
    pub(super) push_failed: Option<String>,
}

impl Outcome {
    /// Fails where the remote lacks what the mirror has.
    pub(super) fn check_push(&self) -> Result<(), Failure> {
        match &self.push_failed {
            None => Ok(()),
            Some(reason) => Err(format!(
                "everything is committed, but not on the remote: {reason}; the next run pushes it"
            )
            .into()),
        }
    }
}

impl std::ops::Deref for Outcome {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.recorded
    }
}

/// Records into the mirror and pushes beside it.
pub(super) async fn run_recording(
    settings: &RecordSettings,
    until: Until,
    output: &Output,
    stopped: watch::Receiver<bool>,
) -> Result<Outcome, Failure> {
    if settings.dry_run {
        let recorded = Box::pin(super::dry_run::run(settings, output, stopped)).await?;
        return Ok(Outcome {
            recorded,
            push_failed: None,
        });
    }
    let resume = match until {
        Until::Stopped => Resume::Cursor,
        Until::Synced => Resume::Nothing,
    };
    let Session {
        cluster,
        mirror,
        remote,
        theirs,
        identity,
        plan,
        options,
        selection,
    } = Box::pin(Session::start(settings, resume)).await?;
    let (drift, beside) = start_drift(settings, &cluster, mirror.reference(), &plan)?.unzip();
    let (heads, newest) = watch::channel(mirror.heads()?);
    let (finish, finished) = watch::channel(false);
    let repository = settings.repository.path.clone();
    let pusher = remote.map(|remote| {
        let pusher = Pusher {
            remote,
            repository: repository.clone(),
            interval: settings
                .remote
                .as_ref()
                .map_or(Duration::ZERO, |r| r.push_interval),
            names: names(settings),
            theirs,
        };
        tokio::spawn(pusher.run(newest, finished))
    });
    let recorded_metrics = Metrics::default();
    let gatherer = Gatherer::new(cluster.clone(), plan.rules.clone(), selection);
    let (gathered, facts) = watch::channel(Facts::default());
    let gathering = tokio::spawn(facts::keep(gatherer, gathered));
    let recording = Recording {
        plan,
        options,
        identity,
        cluster_name: cluster.name().to_owned(),
        clock: unix_seconds,
        until,
        dry_run: false,
        maintain: Some(maintenance_of(repository)),
        metrics: recorded_metrics.clone(),
        facts,
    };
    let (reports, inbox) = mpsc::channel(64);
    let shown = tokio::spawn(show(inbox, output.clone()));
    let unmatched = tokio::spawn(warn_of_unmatched(recording.plan.rules.clone()));
    let recorded = Box::pin(record_beside(
        cluster.clone(),
        mirror,
        recording,
        reports,
        heads,
        stopped,
        beside.unwrap_or_default(),
    ))
    .await;
    let drift_metrics = match drift {
        None => None,
        Some(drift) => Some(drift.end().await),
    };
    unmatched.abort();
    gathering.abort();
    finish.send_replace(true);
    let push_failed = match pusher {
        Some(pusher) => pusher.await?.err(),
        None => None,
    };
    // Ends when the recording has dropped its side.
    let _ = shown.await;
    let recorded = recorded?;
    log_costs(
        &cluster,
        &recorded,
        &recorded_metrics,
        drift_metrics.as_ref(),
    );
    Ok(Outcome {
        recorded,
        push_failed,
    })
}

/// What a recording did and what that cost, in its last lines.
fn log_costs(
    cluster: &Cluster,
    recorded: &Summary,
    recorder: &Metrics,
    drift: Option<&DriftMetrics>,
) {
    let metrics = cluster.metrics();
    info!(
        commits = recorded.commits,
        files = recorded.files,
        relists = metrics.relists.get(),
        expired_events = metrics.expired_events.get(),
        expired_statuses = metrics.expired_statuses.get(),
        list_requests = metrics.list_requests.get(),
        watch_requests = metrics.watch_requests.get(),
        objects = metrics.objects.get(),
        "stopped"
    );
    let mut registry = registry();
    metrics.register(&mut registry);
    recorder.register(&mut registry);
    if let Some(metrics) = drift {
        metrics.register(&mut registry);
    }
    debug!(metrics = encode(&registry), "what reading the cluster cost");
}

/// Drift that is kept up to date beside a recording.
struct Drift {
    touched: Touched,
    thread: std::thread::JoinHandle<()>,
    metrics: DriftMetrics,
}

impl Drift {
    /// Ends it when nothing is recorded any more; returns what it counted.
    async fn end(self) -> DriftMetrics {
        self.touched.close();
        let thread = self.thread;
        // One that panicked has said so.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        self.metrics
    }
}

/// Starts it, where it is asked for; nothing is recorded yet.
fn start_drift(
    settings: &RecordSettings,
    cluster: &Cluster,
    reference: String,
    plan: &ReadPlan,
) -> Result<Option<(Drift, Beside)>, Failure> {
    let Some(asked) = &settings.drift else {
        return Ok(None);
    };
    let touched = Touched::default();
    let metrics = DriftMetrics::default();
    let (writes, inbox) = mpsc::channel(1);
    let read = SnapshotOptions {
        path: settings.repository.path.clone(),
        reference,
        prefix: settings.prefix.clone(),
    };
    let watch = Watch::new(
        asked,
        cluster.clone(),
        read,
        plan.digest_key.clone(),
        touched.clone(),
        writes,
        metrics.clone(),
    )?;
    let beside = Beside {
        touched: Some(touched.clone()),
        writes: Some(inbox),
    };
    let thread = watch.spawn()?;
    let drift = Drift {
        touched,
        thread,
        metrics,
    };
    Ok(Some((drift, beside)))
}

/// How long an object may take to appear that has a path which a rule names.
const UNMATCHED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Names, after a day, the paths of the user's rules that no object had: a slip of a key, most
/// likely.
async fn warn_of_unmatched(rules: Arc<Rules>) {
    let day = tokio::time::sleep(UNMATCHED_AFTER);
    for (rule, path) in unmatched_after(day, &rules).await {
        warn!(%rule, path, "a path of a rule is in no object that was seen in a day");
    }
}

async fn unmatched_after(day: impl Future<Output = ()>, rules: &Rules) -> Vec<(RuleName, String)> {
    day.await;
    rules.unmatched()
}

/// Puts the repository's packs together, by the git program.
pub(super) fn maintenance_of(repository: PathBuf) -> Maintain {
    Box::new(move || {
        let repository = repository.clone();
        Box::pin(async move {
            maintenance(&repository, MAINTENANCE_TIMEOUT)
                .await
                .map_err(|failure| super::output::chain(&failure))
        })
    })
}

/// Shows how far a recording is, and nothing else.
pub(super) async fn show_progress(mut inbox: mpsc::Receiver<Report>, output: Output) {
    let mut progress = SyncProgress::start(&output);
    while let Some(report) = inbox.recv().await {
        match report {
            Report::Progress {
                delivered,
                feeds,
                waiting,
            } => progress.update(delivered, feeds, waiting),
            Report::Synced { .. } => progress.finish(),
            Report::Committed { .. } | Report::WouldCommit { .. } => {}
        }
    }
}

/// Shows what a recording reports.
pub(super) async fn show(mut inbox: mpsc::Receiver<Report>, output: Output) {
    let mut progress = SyncProgress::start(&output);
    while let Some(report) = inbox.recv().await {
        match report {
            Report::Progress {
                delivered,
                feeds,
                waiting,
            } => {
                progress.update(delivered, feeds, waiting);
            }
            Report::Committed {
                commit_id,
                subject,
                objects,
            } => {
                let id = commit_id.to_string();
                let short = output.styled(Style::Warning, &id[..10]);
                output.line(&format!("{short} {subject}"));
                output.json(&json!({ "commit": id, "subject": subject, "objects": objects }));
            }
            Report::WouldCommit { subject, changes } => {
                output.line(&format!("would commit: {subject}"));
                let list: Vec<_> = changes
                    .iter()
                    .map(|(act, path)| json!({ "action": act, "path": **path }))
                    .collect();
                for (act, path) in &changes {
                    output.line(&format!("  {act} {path}"));
                }
                output.json(&json!({ "wouldCommit": subject, "changes": list }));
            }
            Report::Synced { .. } => progress.finish(),
        }
    }
}

/// Stops the recording at the first signal; returns at the second.
async fn second_signal(stop: watch::Sender<bool>) {
    signal().await;
    warn!("stopping: the batch is closed and pushed once; a second signal ends at once");
    stop.send_replace(true);
    signal().await;
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        let _ = interrupted.await;
        return;
    };
    tokio::select! {
        _ = interrupted => {}
        _ = terminated.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;
    use crate::filter::{Selection, UserFile};

    #[test]
    fn paths_in_vain_are_named_when_the_day_is_over_and_not_before() {
        let file = UserFile {
            name: "mine.yaml".to_owned(),
            text: "rules:\n- {name: typo, reason: r, prune: [spec.replcas]}\n".to_owned(),
        };
        let rules = Rules::assemble(&Selection {
            files: vec![file],
            ..Selection::default()
        });
        let rules = rules.unwrap();
        let (end, day) = oneshot::channel();
        let mut named = Box::pin(unmatched_after(day.map(|_| ()), &rules));
        assert!(named.as_mut().now_or_never().is_none());
        end.send(()).unwrap();
        let named = named.now_or_never().unwrap();
        assert_eq!(named[0].1, "spec.replcas");
    }
}
