//! Runs the recorder: feeds its decisions with events and time, and does what they say.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::autoscale::Generation;
use super::beside::{Beside, SideWrite};
use super::changes::{Changes, changed_fields};
use super::cursor::CURSOR_REF;
use super::events::{Batch, Effect, Input};
use super::facts::{Coverage, FactFiles, Facts};
use super::identity::Identity;
use super::message::{Details, LISTED, commit_message};
use super::metrics::Metrics;
use super::outcome::{RecordError, Report, Summary};
use super::owner::Owner;
use super::recorder::{Recorder, RecorderOptions};
use super::sealing::{self, Find, SealedFiles};
use super::seed::Seed;
use super::stage::{Action, Change, Content, DETAILED, LARGEST_DETAILED};
use super::supervisor::{IN_FLIGHT_MESSAGES, ReadPlan, Relister, Supervisor};
use super::write::write;
use crate::canonical;
use crate::cluster::Cluster;
use crate::mirror::{Attachment, BlobId, Committed, Disposition, Heads, MirrorError, Store};
use crate::owners::{self, ManagedFields};
use crate::sops::is_sealed;

/// Fields of one object that are looked for.
const MOST_FIELDS: usize = 64;

/// How long a recording goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it is told to stop.
    Stopped,
    /// Until the first sync is settled and durable.
    Synced,
}

/// Everything that a recording needs beyond the cluster and the mirror.
pub struct Recording {
    /// What is read, and how.
    pub plan: ReadPlan,
    /// When a batch closes.
    pub options: RecorderOptions,
    /// Whose mirror this is.
    pub identity: Identity,
    /// What to call the cluster in messages.
    pub cluster_name: String,
    /// Tells the time in seconds since 1970 UTC, for the dates of commits.
    pub clock: fn() -> i64,
    /// How long it goes on.
    pub until: Until,
    /// List what would be written, and write nothing.
    pub dry_run: bool,
    /// Puts packs together; asked for after every hundredth commit.
    pub maintain: Option<Maintain>,
    /// Counts what it does.
    pub metrics: Metrics,
    /// What the sidecar says of the cluster as a whole: files below `facts/`, by name. Empty until
    /// somebody has gathered them; then all of them. [`Until::Synced`] waits for them, for as long
    /// as a type may be silent or until the sender is gone, before its commit is final.
    pub facts: watch::Receiver<Facts>,
}

/// Puts the repository's packs together, beside a recorder that goes on writing.
pub type Maintain =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// gix fixes the number of packs that it can know when it opens a repository, so they are put
/// together long before that.
const PACKS: usize = 100;

/// So often a recorder says that it is alive.
const BEAT: Duration = Duration::from_secs(300);

/// Ends a recording: the batch is closed and committed first.
pub type StopSignal = watch::Receiver<bool>;

struct Driver<S> {
    recorder: Recorder,
    store: Owner<S>,
    recording: Recording,
    relister: Relister,
    /// Where the pipelines look up which workloads are scaled.
    autoscaled: watch::Sender<Option<Generation>>,
    reports: mpsc::Sender<Report>,
    heads: watch::Sender<Heads>,
    started: Instant,
    summary: Summary,
    fatal: Option<MirrorError>,
    maintenance: Option<JoinHandle<Result<(), String>>>,
    /// What the encrypted files were made of.
    sealed: SealedFiles,
    /// Damped changes that the metrics count already.
    skipped: u64,
    /// Discovery has failed for as long as a type may be silent.
    undiscovered: bool,
    facts: FactFiles,
    /// Somebody may still say something new.
    facts_open: bool,
    beside: Beside,
}

/// Records `cluster` into `store` until told to stop, or until the first sync is durable.
///
/// `heads` gets what our refs name whenever that has changed and is durable. The store is closed before this
/// returns.
pub async fn record<S: Store + Send + 'static>(
    cluster: Cluster,
    store: S,
    recording: Recording,
    reports: mpsc::Sender<Report>,
    heads: watch::Sender<Heads>,
    stop: StopSignal,
) -> Result<Summary, RecordError> {
    let alone = Beside::default();
    record_beside(cluster, store, recording, reports, heads, stop, alone).await
}

/// As [`record`], with somebody beside it.
pub async fn record_beside<S: Store + Send + 'static>(
    cluster: Cluster,
    store: S,
    recording: Recording,
    reports: mpsc::Sender<Report>,
    heads: watch::Sender<Heads>,
    mut stop: StopSignal,
    beside: Beside,
) -> Result<Summary, RecordError> {
    let store = Owner::spawn(store);
    let seed = store
        .call(|store| Seed::read(store))
        .await
        .map_err(RecordError::Index)?;
    let sealed = SealedFiles::new(recording.plan.recipients.clone());
    let (autoscaled, generations) = watch::channel(None);
    let (sender, mut inputs) = mpsc::channel(IN_FLIGHT_MESSAGES);
    let relister = Relister::default();
    let plan = recording.plan.clone();
    let supervisor = Supervisor::new(cluster, plan, sender, &relister, generations);
    let supervisor = tokio::spawn(supervisor.run());
    let mut driver = Driver {
        recorder: Recorder::new(recording.options, seed.index, seed.autoscalers).with_sidecar(
            seed.sidecar,
            &seed.orphans,
            seed.in_step,
        ),
        store,
        recording,
        relister,
        autoscaled,
        reports,
        heads,
        started: Instant::now(),
        summary: Summary::default(),
        fatal: None,
        maintenance: None,
        sealed,
        skipped: 0,
        undiscovered: false,
        facts: FactFiles::new(seed.facts),
        facts_open: true,
        beside,
    };
    if !driver.recording.facts.borrow().is_empty() {
        driver.recording.facts.mark_changed();
    }
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut progress = tokio::time::interval(Duration::from_millis(100));
    progress.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let deadline = driver.recorder.deadline().map(|at| driver.started + at);
        let tick = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            envelope = inputs.recv() => match envelope {
                Some(envelope) => driver.take(envelope.input).await,
                None => break,
            },
            () = tick => driver.step(Input::Tick).await,
            changed = driver.recording.facts.changed(), if driver.facts_open => {
                driver.facts_open = changed.is_ok();
                if driver.facts_open {
                    driver.step(Input::FactsChanged).await;
                }
            }
            // Nobody who has not seen the cluster yet says what it is like now.
            _ = beats.tick(), if driver.recorder.is_synced() => driver.beat().await,
            _ = progress.tick(), if !driver.recorder.is_synced() => driver.progress(),
            write = driver.beside.next_write() => driver.write_side(write).await,
            changed = stop.changed() => {
                // A sender that is gone cannot ask for anything else either.
                if changed.is_err() || *stop.borrow() {
                    break;
                }
            }
        }
        if driver.fatal.is_some()
            || (driver.recording.until == Until::Synced && driver.undiscovered)
            || (driver.recording.until == Until::Synced && driver.recorder.is_synced())
        {
            break;
        }
    }
    // Reading stops before the batch is closed, so that nothing can be staged behind it.
    supervisor.abort();
    inputs.close();
    while let Some(envelope) = inputs.recv().await {
        driver.take(envelope.input).await;
    }
    if driver.recording.until == Until::Synced && driver.recorder.is_synced() {
        driver.await_facts().await;
        driver.carry_out(Input::FactsChanged).await;
    }
    driver.step(Input::Flush).await;
    while let Some(write) = driver.beside.waiting() {
        driver.write_side(write).await;
    }
    driver.keep_cursor().await;
    driver.beat().await;
    driver.finish().await
}

impl<S: Store + Send + 'static> Driver<S> {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes what a feed sends. Encryption comes first: its result is what is compared with HEAD
    /// and what waits.
    async fn take(&mut self, mut input: Input) {
        if let Input::Staged(_, staged) = &mut input
            && let Content::Sealed { plaintext, digest } = &staged.content
        {
            let [head, next] = self.recorder.blobs(&staged.path);
            let known = match self.sealed.find(&staged.path, digest, head, next) {
                Find::Known(blob_id) => Some(blob_id),
                Find::New => None,
                // The first time since the start.
                Find::Read(blob_id) => {
                    match self.store.call(move |store| store.read_blob(blob_id)).await {
                        Ok(file) => {
                            let file = file.unwrap_or_default();
                            self.sealed.learn(&staged.path, digest, blob_id, &file)
                        }
                        Err(error) => {
                            let path = &staged.path;
                            warn!(%path, error = %chain(&error), "a file of HEAD cannot be read");
                            None
                        }
                    }
                }
            };
            staged.content = if let Some(blob_id) = known {
                Content::Known { blob_id }
            } else {
                let seconds = (self.recording.clock)();
                let keep = [head, next];
                self.sealed
                    .seal(&staged.path, plaintext, digest, seconds, keep)
            };
        }
        self.step(input).await;
    }

    async fn step(&mut self, input: Input) {
        let covers = matches!(
            input,
            Input::Served(_)
                | Input::Unknown(..)
                | Input::Recovered(_)
                | Input::Complete(..)
                | Input::Tick
        );
        if matches!(input, Input::Flush) && self.recorder.is_synced() {
            // What ends a recording has to hold the newest facts.
            self.cover().await;
        }
        self.carry_out(input).await;
        if covers && self.recorder.is_synced() {
            self.cover().await;
        }
        let (damped, skipped) = self.recorder.damped();
        let metrics = &self.recording.metrics;
        metrics
            .damped_objects
            .set(i64::try_from(damped).unwrap_or(i64::MAX));
        metrics
            .damped_changes
            .inc_by(skipped.saturating_sub(std::mem::replace(&mut self.skipped, skipped)));
    }

    /// Does what the recorder makes of an input.
    async fn carry_out(&mut self, input: Input) {
        let mut effects = self.recorder.step(self.now(), input);
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                next.extend(self.perform(effect).await);
            }
            effects = next;
        }
    }

    async fn perform(&mut self, effect: Effect) -> Vec<Effect> {
        match effect {
            Effect::Spill(blobs) => {
                if !self.recording.dry_run {
                    self.spill(blobs).await;
                }
            }
            Effect::Commit(batch) => return self.commit(batch).await,
            Effect::Relist(feed) => self.relister.relist(feed),
            Effect::Autoscaled(generation) => {
                self.autoscaled.send_replace(Some(generation));
            }
            Effect::Damped { path, damped: true } => warn!(
                %path,
                "an object keeps changing: its newest state is committed every 10 minutes; \
                 a rule may leave out what changes, --damping off commits every change"
            ),
            Effect::Damped {
                path,
                damped: false,
            } => info!(%path, "an object has calmed down, its changes are committed as they come"),
            Effect::Synced => {
                let unknown = self.recorder.unknown();
                let files = self.recorder.files();
                info!(files, unknown = unknown.len(), "the first sync is settled");
                for (api_type, cause) in &unknown {
                    warn!(%api_type, cause, "nothing is known of a type, its files stay as they are");
                }
                self.report(Report::Synced { files, unknown }).await;
                if let Some(touched) = &self.beside.touched {
                    touched.synced();
                }
            }
            Effect::DiscoveryOverdue => self.undiscovered = true,
            Effect::DeletionsWithheld { feed, count } => warn!(
                feed = feed.0,
                deletions = count,
                "a list would delete a large share of the mirror: waiting for a second one"
            ),
        }
        Vec::new()
    }

    async fn spill(&mut self, blobs: Vec<(BlobId, Vec<u8>)>) {
        let staged = self
            .store
            .call(move |store| {
                blobs
                    .iter()
                    .try_for_each(|(id, bytes)| store.stage_blob(*id, bytes))
            })
            .await;
        if let Err(error) = staged {
            // The commit that needs these blobs fails as well, and takes care of them.
            error!(error = %chain(&error), "a file could not be written into the open pack");
        }
    }

    async fn commit(&mut self, batch: Batch) -> Vec<Effect> {
        self.await_facts().await;
        let details = self.details(&batch).await;
        let seconds = (self.recording.clock)();
        let started = i64::try_from(self.now().as_secs()).map_or(seconds, |age| seconds - age);
        let message = commit_message(
            &batch,
            &details,
            &self.recording.identity.cluster_id,
            &self.recording.cluster_name,
            started,
        );
        let subject = message.lines().next().unwrap_or_default().to_owned();
        let objects = batch.changes.len();
        if self.recording.dry_run && batch.changes.is_empty() {
            return self.recorder.step(self.now(), Input::Committed);
        }
        if self.recording.dry_run {
            let act = |change: &Change| match (&change.action, change.before) {
                (Action::Remove(_), _) => "delete",
                (Action::Put { .. }, None) => "create",
                (Action::Put { .. }, Some(_)) => "change",
            };
            let changes = batch
                .changes
                .iter()
                .map(|change| (act(change), change.path.clone()));
            self.report(Report::WouldCommit {
                subject,
                changes: changes.collect(),
            })
            .await;
            return self.recorder.step(self.now(), Input::Committed);
        }
        let identity = self.recording.identity.file(batch.digested);
        self.facts.cover(self.coverage());
        let gathered = self.recording.facts.borrow_and_update().clone();
        let facts = self.facts.changes(&gathered);
        let (result, batch, facts) = self
            .store
            .call(move |store| {
                let result = write(store, &batch, message, identity, facts.clone(), seconds);
                (result, batch, facts)
            })
            .await;
        match result {
            Ok(committed) => {
                self.recording.identity.digested |= batch.digested;
                for change in &batch.changes {
                    if matches!(change.action, Action::Remove(_)) {
                        self.sealed.forget(&change.path);
                    }
                }
                self.maintain().await;
                let mut effects = Vec::new();
                if committed.is_some_and(|committed| !committed.in_step) {
                    warn!("the sidecar could not be written beside the branch: it follows");
                    effects = self.recorder.step(self.now(), Input::OutOfStep);
                } else if committed.is_some() {
                    self.facts.committed(&facts);
                }
                effects.extend(self.recorder.step(self.now(), Input::Committed));
                if committed.is_some() {
                    self.tell_heads().await;
                }
                if let Some(touched) = &self.beside.touched {
                    let files = batch.changes.iter().map(|change| change.path.clone());
                    let side = batch.sidecar.iter().map(|change| change.path.clone());
                    touched.add(files.chain(side), facts.into_iter().map(|(name, _)| name));
                }
                let moved = committed.filter(|committed| committed.branch_moved);
                if let Some(Committed { commit_id, .. }) = moved {
                    self.summary.commits += 1;
                    info!(%commit_id, objects, subject, "committed");
                    self.report(Report::Committed {
                        commit_id,
                        subject,
                        objects,
                    })
                    .await;
                }
                effects
            }
            Err(failure) => {
                error!(error = %chain(&failure), objects, "a commit failed, its changes are kept");
                if matches!(
                    failure.disposition(),
                    Disposition::Stop | Disposition::Reload
                ) || self.recording.until == Until::Synced
                {
                    self.fatal = Some(failure);
                }
                self.recorder
                    .step(self.now(), Input::CommitFailed(batch.changes))
            }
        }
    }

    /// Starts putting packs together when there are many, and takes note when that is done.
    async fn maintain(&mut self) {
        if self
            .maintenance
            .as_ref()
            .is_some_and(JoinHandle::is_finished)
            && let Some(done) = self.maintenance.take()
        {
            match done.await {
                Ok(Ok(())) => {
                    if let Err(failure) = self.store.call(Store::maintained).await {
                        warn!(error = %chain(&failure), "the packs cannot be counted");
                    }
                }
                Ok(Err(reason)) => warn!(%reason, "packs could not be put together"),
                Err(failure) => warn!(%failure, "packs could not be put together"),
            }
        }
        if self.maintenance.is_none()
            && let Some(maintain) = &self.recording.maintain
            && self
                .store
                .call(|store| store.packs_since_maintenance())
                .await
                >= PACKS
        {
            self.maintenance = Some(tokio::spawn(maintain()));
        }
    }

    /// Compares the first changed objects with what HEAD holds of them, and names who wrote.
    async fn details(&self, batch: &Batch) -> BTreeMap<usize, Details> {
        let mut details = BTreeMap::new();
        let mut compared = Vec::new();
        for (at, change) in batch.changes.iter().enumerate().take(LISTED) {
            let Action::Put {
                bytes,
                managed_fields,
                ..
            } = &change.action
            else {
                continue;
            };
            let managers = managed_fields.as_deref().and_then(owners::last_writer);
            let managers = managers
                .map(|writer| writer.manager.into_owned())
                .into_iter()
                .collect();
            details.insert(
                at,
                Details {
                    fields: Vec::new(),
                    managers,
                },
            );
            if let (Some(before), Some(bytes)) = (change.before, bytes)
                && bytes.len() <= LARGEST_DETAILED
                && compared.len() < DETAILED
            {
                // Without readable owners a message names the last writer.
                let owners = managed_fields.as_deref().map(ManagedFields::parse);
                let owners = owners.and_then(Result::ok).unwrap_or(ManagedFields::none());
                compared.push((at, before, bytes.clone(), owners));
            }
        }
        if compared.is_empty() {
            return details;
        }
        self.store
            .call(move |store| {
                for (at, before, after, owners) in compared {
                    // A message without fields is better than no commit.
                    let Ok(Some(before)) = store.read_blob(before) else {
                        continue;
                    };
                    let encrypted = is_sealed(&after);
                    let (Ok(mut before), Ok(mut after)) =
                        (canonical::read(&before), canonical::read(&after))
                    else {
                        continue;
                    };
                    if encrypted {
                        sealing::make_comparable(&mut before, &mut after);
                    }
                    let Changes { fields, managers } =
                        changed_fields(&before, &after, &owners, MOST_FIELDS);
                    let entry: &mut Details = details.entry(at).or_default();
                    entry.fields = fields;
                    if !managers.is_empty() {
                        entry.managers = managers;
                    }
                }
                details
            })
            .await
    }

    fn coverage(&self) -> Vec<u8> {
        let Recording { plan, identity, .. } = &self.recording;
        let secrets = format!("{:?}", plan.rules.secret_mode()).to_lowercase();
        Coverage {
            unknown: &self.recorder.unknown(),
            damped: &self.recorder.damped_paths(),
            namespaces: &plan.namespaces,
            rules: plan.rules.fingerprint(),
            secrets: &secrets,
            digest_key: &identity.key_fingerprint,
        }
        .encode()
    }

    /// Lets the sidecar say what is not seen, where that has changed.
    async fn cover(&mut self) {
        let coverage = self.coverage();
        if self.facts.cover(coverage) {
            self.carry_out(Input::FactsChanged).await;
        }
    }

    /// Waits until somebody has gathered what the sidecar says of the cluster as a whole: a
    /// recording of one sync has no later commit for it.
    async fn await_facts(&mut self) {
        if self.recording.until != Until::Synced || !self.facts_open || self.recording.dry_run {
            return;
        }
        let patience = self.recording.options.sync_timeout;
        let gathered = self.recording.facts.wait_for(|facts| !facts.is_empty());
        match tokio::time::timeout(patience, gathered).await {
            Ok(Ok(_)) => {}
            // Nobody gathers anything.
            Ok(Err(_)) => self.facts_open = false,
            Err(_) => {
                self.facts_open = false;
                warn!(
                    seconds = patience.as_secs(),
                    "what the cluster serves could not be gathered: drift cannot be told from this \
                     commit alone"
                );
            }
        }
    }

    /// Says that we are alive, and have seen the cluster.
    async fn beat(&mut self) {
        if self.recording.dry_run || self.fatal.is_some() || !self.recorder.is_synced() {
            return;
        }
        let seconds = (self.recording.clock)();
        let Ok(time) = jiff::Timestamp::from_second(seconds) else {
            return;
        };
        let time = time.to_string();
        match self
            .store
            .call(move |store| store.beat(&time, seconds))
            .await
        {
            Ok(()) => self.tell_heads().await,
            Err(failure) => {
                warn!(error = %chain(&failure), "the proof of life could not be written");
            }
        }
    }

    /// Writes what somebody beside us asks for.
    async fn write_side(&mut self, write: SideWrite) {
        let seconds = (self.recording.clock)();
        let SideWrite {
            reference,
            files,
            message,
            done,
        } = write;
        let written = self
            .store
            .call(move |store| store.write_side(&reference, &files, &message, seconds))
            .await;
        // Whoever asked may have gone.
        let _ = done.send(written.is_ok());
        match written {
            Ok(()) => self.tell_heads().await,
            Err(failure) => warn!(error = %chain(&failure), "a report could not be written"),
        }
    }

    /// Tells whoever pushes what our refs name.
    async fn tell_heads(&self) {
        match self.store.call(|store| store.heads()).await {
            Ok(heads) => {
                self.heads.send_replace(heads);
            }
            Err(failure) => warn!(error = %chain(&failure), "our refs cannot be read"),
        }
    }

    async fn report(&self, report: Report) {
        // Nobody has to watch.
        let _ = self.reports.send(report).await;
    }

    fn progress(&self) {
        let (delivered, feeds) = self.recorder.sync_progress();
        let waiting = self.recorder.waiting();
        let _ = self.reports.try_send(Report::Progress {
            delivered,
            feeds,
            waiting,
        });
    }

    /// Writes down where the watches stand, so that the next run goes on from there.
    ///
    /// At the end only: beside each commit it would be a blob per commit that nothing names any
    /// more after the next. A run that is killed lists again.
    async fn keep_cursor(&mut self) {
        if self.recording.dry_run || self.recording.until == Until::Synced || self.fatal.is_some() {
            return;
        }
        let cursor = self.recorder.cursor();
        let Some(body) = super::cursor::write(&cursor, &self.recording.plan.cursor_valid_for)
        else {
            return;
        };
        let attachment = Attachment {
            name: CURSOR_REF.to_owned(),
            body,
        };
        if let Err(failure) = self
            .store
            .call(move |store| store.attach(&attachment))
            .await
        {
            warn!(error = %chain(&failure), "the cursor is lost: the next start lists everything");
        }
    }

    async fn finish(self) -> Result<Summary, RecordError> {
        self.store.close().await;
        if let Some(failure) = self.fatal {
            return Err(RecordError::Mirror(failure));
        }
        if self.recording.until == Until::Synced && self.undiscovered {
            return Err(RecordError::Discovery(self.recording.options.sync_timeout));
        }
        Ok(Summary {
            files: self.recorder.files(),
            synced: self.recorder.is_synced(),
            unknown: self.recorder.unknown(),
            lost: if self.recorder.is_synced() {
                self.recorder.waiting()
            } else {
                0
            },
            ..self.summary
        })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
