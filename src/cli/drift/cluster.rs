//! The live side from a cluster: recorded into memory by the same recorder, so that the verdicts
//! are those of its mirror.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::super::facts::Gatherer;
use super::super::output::Output;
use super::super::rules::Ruling;
use super::super::{Failure, session};
use super::parallel;
use super::store::MemoryStore;
use crate::cluster::{Cluster, ReflectorOptions};
use crate::config::DriftSettings;
use crate::drift::live::{CoverageFacts, Facts, Live, assemble_read};
use crate::drift::report::LiveInfo;
use crate::filter::DigestKey;
use crate::mirror::Heads;
use crate::record::{
    COVERAGE, Identity, Metrics, ReadPlan, RecorderOptions, Recording, Until, WindowOptions, record,
};
use crate::telemetry::clock;

/// A type from which nothing has come for this long is unknown.
const SYNC_TIMEOUT: Duration = Duration::from_secs(60);
/// Everything is one commit, into memory.
const MOST: usize = usize::MAX;

/// The key, or one that nobody else has: its digests equal none, and none are compared.
pub(super) fn key_or_made_up(key: Option<&Arc<DigestKey>>) -> Result<Arc<DigestKey>, Failure> {
    Ok(match key {
        Some(key) => key.clone(),
        None => Arc::new(session::make_up_key(Path::new("memory"))?.0),
    })
}

/// Reads all that is live.
pub(super) async fn read(
    cluster: &Cluster,
    settings: &DriftSettings,
    ruling: &Ruling,
    digest_key: Option<&Arc<DigestKey>>,
    output: &Output,
) -> Result<Live, Failure> {
    let digest_key = key_or_made_up(digest_key)?;
    let store = MemoryStore::default();
    let recording = Recording {
        identity: Identity {
            cluster_id: String::new(),
            key_fingerprint: digest_key.fingerprint(),
            digested: false,
        },
        plan: ReadPlan {
            rules: ruling.rules.clone(),
            recipients: None,
            digest_key,
            owners: true,
            namespaces: settings.namespaces.clone(),
            reflector: ReflectorOptions::default(),
            cursor: HashMap::new(),
            cursor_valid_for: String::new(),
            seed: fastrand::u64(..),
        },
        options: RecorderOptions {
            window: WindowOptions {
                quiet_period: Duration::ZERO,
                max_age: Duration::ZERO,
                max_batch: MOST,
            },
            sync_timeout: SYNC_TIMEOUT,
            damping: false,
        },
        cluster_name: cluster.name().to_owned(),
        clock: clock::unix_seconds,
        until: Until::Synced,
        dry_run: false,
        maintain: None,
        metrics: Metrics::default(),
        // They are gathered beside it.
        facts: watch::channel(crate::record::Facts::default()).1,
    };
    let (reports, inbox) = mpsc::channel(64);
    let shown = tokio::spawn(super::super::record::show_progress(inbox, output.clone()));
    let (heads, _) = watch::channel(Heads::default());
    let (_stop, stopped) = watch::channel(false);
    let mut gatherer = Gatherer::new(
        cluster.clone(),
        ruling.rules.clone(),
        ruling.selection.clone(),
    );
    let (summary, files) = tokio::join!(
        record(
            cluster.clone(),
            store.clone(),
            recording,
            reports,
            heads,
            stopped
        ),
        gatherer.gather(),
    );
    // Ends when the recording has dropped its side.
    let _ = shown.await;
    let (summary, files) = (summary?, files?);
    let mut files = (*files).clone();
    let coverage = CoverageFacts {
        unknown: summary
            .unknown
            .iter()
            .map(|(name, why)| (name.clone(), (*why).to_owned()))
            .collect(),
        damped: Vec::new(),
        namespaces: settings.namespaces.clone(),
        digest_key: String::new(),
    };
    files.insert(COVERAGE.to_owned(), serde_json::to_vec(&coverage)?);
    let facts = Facts::read(&files)?;
    let info = LiveInfo {
        kind: "cluster".to_owned(),
        name: cluster.name().to_owned(),
        ..LiveInfo::default()
    };
    let as_of = Some(clock::now().to_string());
    let recorded = store.take();
    let live = tokio::task::spawn_blocking(move || {
        assemble_read(parallel::read(recorded), &facts, info, as_of)
    });
    Ok(live.await??)
}
