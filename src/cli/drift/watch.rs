//! `record --drift`: drift kept up to date beside a recording, from the mirror that it writes.

mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::super::Failure;
use super::super::output::chain;
use super::metrics::DriftMetrics;
use super::sources::{self, DesiredSide};
use super::{Run, Seen, mirror};
use crate::cluster::Cluster;
use crate::config::RecordDrift;
use crate::drift::defaults::Tables;
use crate::drift::desired::{Identity, Manifest, Source, SourceKind};
use crate::drift::evaluate::{Evaluator, Question, Standing, fingerprint, transitions};
use crate::drift::live::{CoverageFacts, LiveObject, RecordedFile};
use crate::drift::report::{self, Report, SCHEMA, json, markdown};
use crate::filter::DigestKey;
use crate::mirror::{At, SIDECAR_REFS, Sidecar, SidecarRefs, Snapshot, SnapshotOptions};
use crate::owners::Deployers;
use crate::record::{COVERAGE, News, SideWrite, Touched};
use crate::telemetry::clock;
use table::{Table, Touch, is_definition};

/// Something could not be read: the next attempt, unless something changes before.
const RETRY: Duration = Duration::from_secs(15);
/// Transitions of one evaluation that are logged one by one.
const MOST_LOGGED: usize = 50;

/// Everything that it needs; see [`Watch::spawn`].
pub(in crate::cli) struct Watch {
    run: Run,
    interval: Duration,
    cluster: Cluster,
    mirror: SnapshotOptions,
    touched: Touched,
    writes: mpsc::Sender<SideWrite>,
    metrics: DriftMetrics,
    /// The set of drift that the mirror's newest report tells.
    written: Option<[u8; 32]>,
    /// Why the last attempt to read something failed.
    trouble: Option<String>,
    /// Problems of sources that were warned of.
    warned: BTreeSet<String>,
}

/// Both sides of one whole evaluation.
struct World {
    seen: Seen,
    desired: DesiredSide,
    deployers: Deployers,
    tables: Tables,
    coverage: CoverageFacts,
}

/// Why a whole evaluation has served its time.
enum Next {
    /// Evaluate everything again.
    Again,
    /// The recording has ended.
    Ended,
}

/// What ends a wait.
enum Turn {
    /// Something was recorded; `None` where nothing will be any more.
    News(Option<News>),
    /// The desired side is to be read again.
    Again,
}

impl Watch {
    /// Checks what is asked, before anything is recorded.
    pub(in crate::cli) fn new(
        asked: &RecordDrift,
        cluster: Cluster,
        mirror: SnapshotOptions,
        digest_key: std::sync::Arc<DigestKey>,
        touched: Touched,
        writes: mpsc::Sender<SideWrite>,
        metrics: DriftMetrics,
    ) -> Result<Self, Failure> {
        let settings = asked.settings.clone();
        Ok(Self {
            run: Run {
                sources: Source::parse_all(&settings.desired)?,
                selector: None,
                digest_key: Some(digest_key),
                settings,
            },
            interval: asked.interval,
            cluster,
            mirror,
            touched,
            writes,
            metrics,
            written: None,
            trouble: None,
            warned: BTreeSet::new(),
        })
    }

    /// Starts on a thread of its own: evaluating takes seconds in large clusters, and must not hold
    /// up whoever reads the cluster. Ends when nothing more will be touched.
    pub(in crate::cli) fn spawn(mut self) -> std::io::Result<JoinHandle<()>> {
        let handle = Handle::current();
        let thread = std::thread::Builder::new().name("drift".to_owned());
        thread.spawn(move || {
            let touched = self.touched.clone();
            handle.block_on(async {
                tokio::select! {
                    () = touched.closed() => {}
                    () = self.work() => {}
                }
            });
        })
    }

    async fn work(&mut self) {
        if self.touched.next().await.is_none() {
            return;
        }
        let mut standing = self.recorded();
        let mut attempts = 0;
        loop {
            match self.world().await {
                Ok(world) => {
                    attempts = 0;
                    self.trouble = None;
                    let (next, now) = self.watch(world, &standing).await;
                    standing = now;
                    if matches!(next, Next::Ended) {
                        return;
                    }
                }
                Err(failure) => {
                    attempts += 1;
                    let reason = chain(&*failure);
                    if attempts == 1 {
                        // Facts that are not gathered yet come soon after the first commit.
                        debug!(reason, "drift cannot be evaluated yet");
                    } else {
                        self.unreadable(reason, None).await;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        news = self.touched.next() => if news.is_none() { return },
                    }
                }
            }
        }
    }

    /// What the mirror's newest report tells, so that a restart repeats neither report nor log.
    fn recorded(&mut self) -> Standing {
        let options = SnapshotOptions {
            reference: self.reference(),
            ..self.mirror.clone()
        };
        let newest = Snapshot::open(options, &At::Revision("HEAD".to_owned()));
        let Ok(Some(bytes)) = newest.and_then(|newest| newest.read_file("report.json")) else {
            return Standing::default();
        };
        match serde_json::from_slice::<Report>(&bytes) {
            Ok(report) => {
                self.written = Some(fingerprint(&report));
                Standing::recorded(report)
            }
            Err(error) => {
                warn!(%error, "the newest drift report cannot be read: it is written anew");
                Standing::default()
            }
        }
    }

    fn reference(&self) -> String {
        SidecarRefs::new(SIDECAR_REFS, &self.mirror.reference).drift()
    }

    /// Reads both sides.
    async fn world(&self) -> Result<World, Failure> {
        let opened = mirror::Opened {
            options: self.mirror.clone(),
            shown: self.cluster.name().to_owned(),
            _fetched: None,
        };
        let mut live = mirror::read(&opened, &self.run.settings, clock::now())?.live;
        "cluster".clone_into(&mut live.info.kind);
        let seen = Seen {
            live,
            stale: None,
            cluster: Some(self.cluster.clone()),
        };
        let desired = sources::read(&self.run, &seen).await?;
        self.metrics.desired_read.set(clock::unix_seconds());
        Ok(World {
            tables: self.run.tables(&seen.live),
            deployers: self.run.deployers()?,
            coverage: self.coverage()?,
            seen,
            desired,
        })
    }

    fn coverage(&self) -> Result<CoverageFacts, Failure> {
        let sidecar = Sidecar::open(&self.mirror, SIDECAR_REFS)?;
        let files = sidecar.map(|sidecar| sidecar.facts()).transpose()?;
        let file = files.and_then(|mut files| files.remove(COVERAGE));
        file.map_or_else(
            || Ok(CoverageFacts::default()),
            |bytes| Ok(serde_json::from_slice(&bytes)?),
        )
    }

    /// Evaluates everything once, then what is touched, until everything has to be looked at again.
    async fn watch(&mut self, world: World, before: &Standing) -> (Next, Standing) {
        let World {
            mut seen,
            desired,
            deployers,
            tables,
            coverage,
        } = world;
        let objects = std::mem::take(&mut seen.live.objects);
        seen.live.objects = definitions(&objects);
        let digest_key = self.run.digest_key.clone();
        let namespaces = self.run.settings.namespaces.clone();
        let question = Question {
            live: &seen.live,
            desired: &desired.sources,
            ignores: &desired.ignores,
            deployers: &deployers,
            digest_key: digest_key.as_deref(),
            tables: &tables,
            namespaces: &namespaces,
            selector: None,
            stale: None,
            show_in_sync: false,
        };
        let started = clock::instant();
        let evaluator = Evaluator::new(question);
        let mut table = Table::of(&evaluator, objects);
        self.evaluated(table.judged, started);
        self.log(before, &table.standing);
        self.warn(&desired);
        let mut commit = seen.live.info.commit.clone();
        self.publish(report_of(
            &table.standing,
            &question,
            &desired,
            commit.as_deref(),
        ))
        .await;
        let mark = mark_of(&desired);
        let mut again = tokio::time::interval(self.interval);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once.
        again.tick().await;
        let report = |table: &Table, commit: &Option<String>| {
            report_of(&table.standing, &question, &desired, commit.as_deref())
        };
        loop {
            let turn = tokio::select! {
                news = self.touched.next() => Turn::News(news),
                _ = again.tick() => Turn::Again,
            };
            let news = match turn {
                Turn::News(Some(news)) => news,
                Turn::News(None) => return (Next::Ended, table.standing),
                Turn::Again => {
                    match self.desired_mark(&seen).await {
                        Ok(now) if now != mark => return (Next::Again, table.standing),
                        Ok(_) if self.trouble.take().is_some() => {
                            self.publish(report(&table, &commit)).await;
                        }
                        Ok(_) => {}
                        Err(failure) => {
                            let last = report(&table, &commit);
                            self.unreadable(chain(&*failure), Some(last)).await;
                        }
                    }
                    continue;
                }
            };
            if news.everything || self.is_other_cluster(&news, &coverage) {
                return (Next::Again, table.standing);
            }
            let files = match self.read(&news) {
                Ok(files) => files,
                Err(failure) => {
                    debug!(error = chain(&*failure), "the mirror is read as a whole");
                    return (Next::Again, table.standing);
                }
            };
            commit = Some(files.commit.clone());
            let started = clock::instant();
            match table.touch(&evaluator, files.objects, self.takes_auto()) {
                Touch::Whole => return (Next::Again, table.standing),
                Touch::Judged {
                    lines,
                    judged,
                    news,
                } => {
                    self.evaluated(judged, started);
                    for line in lines {
                        info!("{line}");
                    }
                    if news {
                        self.publish(report(&table, &commit)).await;
                    }
                }
            }
        }
    }

    fn evaluated(&self, judged: u64, started: Instant) {
        self.metrics.evaluations.inc();
        self.metrics.judged.inc_by(judged);
        let duration = started.elapsed();
        self.metrics.duration.set(duration.as_secs_f64());
        debug!(judged, ?duration, "drift was evaluated");
    }

    fn takes_auto(&self) -> bool {
        let sources = &self.run.sources;
        sources.iter().any(|source| source.kind == SourceKind::Auto)
    }

    /// Whether the cluster serves, or the recorder sees, something else than before.
    fn is_other_cluster(&self, news: &News, before: &CoverageFacts) -> bool {
        let facts = &news.facts;
        facts.iter().any(|name| name != COVERAGE)
            || facts.contains(COVERAGE)
                && self.coverage().is_ok_and(|now| {
                    now.unknown != before.unknown || now.namespaces != before.namespaces
                })
    }

    /// The newest state of what was touched.
    fn read(&self, news: &News) -> Result<Files, Failure> {
        let sidecar = Sidecar::open(&self.mirror, SIDECAR_REFS)?.ok_or("there is no sidecar")?;
        let commit = sidecar.mirror_commit_id().to_string();
        let snapshot = Snapshot::open(self.mirror.clone(), &At::Revision(commit.clone()))?;
        let mut objects = Vec::with_capacity(news.paths.len());
        for path in &news.paths {
            let path: Box<str> = (&**path).into();
            let file = match snapshot.read_file(&path)? {
                None => None,
                Some(bytes) => Some(RecordedFile {
                    bytes,
                    owners: sidecar.owners(&path)?.map(Into::into),
                    times: sidecar.times(&path)?.map(Into::into),
                    path: path.clone(),
                }),
            };
            objects.push((path, file));
        }
        Ok(Files { commit, objects })
    }

    /// What the desired side is now.
    async fn desired_mark(&self, seen: &Seen) -> Result<[u8; 32], Failure> {
        let mark = if self.takes_auto() {
            // The objects that say where the desired side is are read again too.
            mark_of(&self.world().await?.desired)
        } else {
            mark_of(&sources::read(&self.run, seen).await?)
        };
        self.metrics.desired_read.set(clock::unix_seconds());
        Ok(mark)
    }

    /// Logs what has become of objects since the evaluation before.
    fn log(&self, before: &Standing, now: &Standing) {
        let mut lines = Vec::new();
        let all: BTreeSet<&Identity> = before
            .drifted()
            .chain(now.drifted())
            .map(|(i, _)| i)
            .collect();
        for identity in all {
            lines.extend(transitions(before.get(identity), now.get(identity)));
        }
        for line in lines.iter().take(MOST_LOGGED) {
            info!("{line}");
        }
        if lines.len() > MOST_LOGGED {
            let more = lines.len() - MOST_LOGGED;
            info!(
                "{more} more differences: the report in {} has them",
                self.reference()
            );
        }
    }

    /// Warns of sources that cannot be read, once as long as the reason stays.
    fn warn(&mut self, desired: &DesiredSide) {
        let sources = desired.sources.iter();
        let problems = sources.flat_map(|source| {
            let problems = source.problems.iter();
            problems.map(|problem| format!("{}: {}", source.name, problem.reason))
        });
        let now: BTreeSet<String> = problems.collect();
        for reason in now.difference(&self.warned) {
            warn!(reason, "what is desired is not wholly known");
        }
        self.warned = now;
    }

    /// Nothing new can be said: the report says so instead of repeating what was found before.
    async fn unreadable(&mut self, reason: String, last: Option<Report>) {
        if self.trouble.as_ref() == Some(&reason) {
            return;
        }
        warn!(reason, "drift cannot be evaluated");
        self.trouble = Some(reason);
        let report = last.unwrap_or_else(|| Report {
            schema: SCHEMA.to_owned(),
            ..Report::default()
        });
        self.publish(report).await;
    }

    /// Counts, and writes the report where the set of drift is another.
    async fn publish(&mut self, mut report: Report) {
        if let Some(reason) = &self.trouble {
            report.summary.unknown += 1;
            report.incomplete.push(reason.clone());
        }
        self.metrics.tell(&report);
        let set = fingerprint(&report);
        if self.written == Some(set) {
            return;
        }
        let options = report::Options::default();
        let (done, written) = oneshot::channel();
        let write = SideWrite {
            reference: self.reference(),
            files: vec![
                ("report.json".to_owned(), json::render(&report).into_bytes()),
                (
                    "report.md".to_owned(),
                    markdown::render(&report, &options).into_bytes(),
                ),
            ],
            message: message(&report),
            done,
        };
        // Nobody takes it, or cannot write it: it is written with the next change.
        if self.writes.send(write).await.is_ok() && written.await == Ok(true) {
            self.written = Some(set);
        }
    }
}

/// Files of one commit; `None` where there is none any more.
struct Files {
    commit: String,
    objects: Vec<(Box<str>, Option<RecordedFile>)>,
}

/// What an evaluation looks at beside the object that it judges; the others are judged and go.
fn definitions(objects: &BTreeMap<Identity, LiveObject>) -> BTreeMap<Identity, LiveObject> {
    let definitions = objects
        .iter()
        .filter(|(identity, _)| is_definition(identity));
    definitions
        .map(|(identity, object)| (identity.clone(), object.clone()))
        .collect()
}

/// The report as `strandline drift` would make it.
fn report_of(
    standing: &Standing,
    question: &Question<'_>,
    desired: &DesiredSide,
    commit: Option<&str>,
) -> Report {
    let mut report = standing.report(question);
    report.as_of = Some(clock::now().to_string());
    report.live.commit = commit.map(str::to_owned);
    desired.warn(&mut report);
    report
}

/// What makes one desired side another.
fn mark_of(desired: &DesiredSide) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    for source in &desired.sources {
        let said = (
            (
                &source.name,
                source.kind,
                &source.location,
                &source.namespace,
            ),
            (&source.revision, &source.head_revision),
            (&source.problems, &source.owned, &source.set_aside),
            (&source.ignores, &source.deployers, source.head.is_some()),
        );
        add(format!("{said:?}").as_bytes());
        for manifest in source.manifests.iter().chain(source.head.iter().flatten()) {
            let Manifest {
                file,
                line,
                keys_only,
                keys_unknown,
                ..
            } = manifest;
            add(format!("{file}:{line}:{keys_only:?}:{keys_unknown}").as_bytes());
            add(manifest.json());
        }
    }
    add(format!("{:?}", desired.ignores).as_bytes());
    hash.finalize().into()
}

/// The message of a report's commit.
fn message(report: &Report) -> String {
    let summary = &report.summary;
    let counts = [
        (summary.modified, "modified"),
        (summary.missing, "missing"),
        (summary.extra, "extra"),
        (summary.pending, "pending"),
        (summary.unknown, "unknown"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let as_of = report.as_of.as_deref().unwrap_or("an unknown time");
    if counts.is_empty() {
        return format!("No drift\n\nAs of {as_of}.\n");
    }
    format!("Drift: {}\n\nAs of {as_of}.\n", counts.join(", "))
}
