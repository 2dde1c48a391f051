//! `--dry-run`: what would be written; no repository is made, and no commit.

use tokio::sync::{mpsc, watch};

use super::output::Output;
use super::rules::Ruling;
use super::{Failure, session};
use crate::config::RecordSettings;
use crate::mirror::{
    Attachment, BlobId, Commit, Committed, Head, Heads, Index, Mirror, MirrorError, SidecarBlobs,
    SidecarState, Store,
};
use crate::record::{Facts, Metrics, Recording, Summary, Until, record};
use crate::telemetry::clock::unix_seconds;

/// Compares the cluster with what the repository holds, or with nothing where there is none.
pub(super) async fn run(
    settings: &RecordSettings,
    output: &Output,
    stopped: watch::Receiver<bool>,
) -> Result<Summary, Failure> {
    let ruling = Ruling::read(&settings.rules)?;
    let (cluster, cluster_id) = session::connect(settings).await?;
    let store = DryStore(Mirror::open_read_only(session::mirror_options(settings))?);
    let (plan, identity) = session::dry_plan(settings, &store, cluster_id, ruling)?;
    let recording = Recording {
        plan,
        options: session::recorder_options(settings),
        identity,
        cluster_name: cluster.name().to_owned(),
        clock: unix_seconds,
        until: Until::Synced,
        dry_run: true,
        maintain: None,
        metrics: Metrics::default(),
        facts: watch::channel(Facts::default()).1,
    };
    let (reports, inbox) = mpsc::channel(64);
    let shown = tokio::spawn(super::record::show(inbox, output.clone()));
    let (heads, _) = watch::channel(Heads::default());
    let summary = record(cluster, store, recording, reports, heads, stopped).await;
    // Ends when the recording has dropped its side.
    let _ = shown.await;
    Ok(summary?)
}

/// Reads a mirror, if there is one, and takes nothing.
pub(super) struct DryStore(Option<Mirror>);

impl Store for DryStore {
    fn head(&self) -> Option<Head> {
        self.0.as_ref().and_then(Store::head)
    }

    fn index(&self) -> Result<Index, MirrorError> {
        self.0
            .as_ref()
            .map_or_else(|| Ok(Index::new()), Store::index)
    }

    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.0
            .as_ref()
            .map_or(Ok(None), |mirror| mirror.read_file(path))
    }

    fn sidecar(
        &self,
        each: &mut dyn FnMut(&str, SidecarBlobs),
    ) -> Result<SidecarState, MirrorError> {
        self.0.as_ref().map_or_else(
            || Ok(SidecarState::default()),
            |mirror| mirror.sidecar(each),
        )
    }

    fn read_blob(&self, id: BlobId) -> Result<Option<Vec<u8>>, MirrorError> {
        self.0
            .as_ref()
            .map_or(Ok(None), |mirror| mirror.read_blob(id))
    }

    fn stage_blob(&mut self, _: BlobId, _: &[u8]) -> Result<(), MirrorError> {
        Ok(())
    }

    fn commit(&mut self, _: &Commit) -> Result<Option<Committed>, MirrorError> {
        Ok(None)
    }

    fn attach(&mut self, _: &Attachment) -> Result<(), MirrorError> {
        Ok(())
    }
}
