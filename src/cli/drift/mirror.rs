//! The live side from a mirror alone: no cluster is asked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::Failure;
use super::super::folder::TemporaryFolder;
use super::parallel;
use crate::config::DriftSettings;
use crate::drift::live::{Facts, Live, RecordedFile, assemble_read};
use crate::drift::report::LiveInfo;
use crate::mirror::{At, Sidecar, Snapshot, SnapshotOptions};

/// A mirror that cannot be compared. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum MirrorSideError {
    #[error(
        "{shown} has no sidecar ({refs}/owners): who owns which field is not known; record it \
         with this release, and fetch that ref too"
    )]
    NoSidecar { shown: String, refs: String },
    #[error(
        "the sidecar of {shown} does not belong to commit {commit}: branch and {refs}/owners are \
         out of step; fetch both, or let the recorder run once"
    )]
    OutOfStep {
        shown: String,
        commit: String,
        refs: String,
    },
}

/// A mirror on this machine, fetched or not.
pub(super) struct Opened {
    pub(super) options: SnapshotOptions,
    /// How reports call it.
    pub(super) shown: String,
    /// Goes when this does.
    pub(super) _fetched: Option<TemporaryFolder>,
}

impl Opened {
    /// The mirror of a branch (without `refs/heads/`) in a bare repository.
    pub(super) fn new(
        path: PathBuf,
        settings: &DriftSettings,
        branch: &str,
        shown: String,
    ) -> Self {
        Self {
            options: SnapshotOptions {
                path,
                reference: format!("refs/heads/{branch}"),
                prefix: settings.prefix.clone(),
            },
            shown,
            _fetched: None,
        }
    }
}

/// The live side, and when its recorder was last heard of.
pub(super) struct Read {
    pub(super) live: Live,
    /// Why it is too old to be believed.
    pub(super) stale: Option<String>,
}

/// Reads all that the mirror's newest commit has.
pub(super) fn read(
    opened: &Opened,
    settings: &DriftSettings,
    now: Timestamp,
) -> Result<Read, Failure> {
    let refs = &settings.sidecar_refs;
    let snapshot = Snapshot::open(opened.options.clone(), &At::Revision("HEAD".to_owned()))?;
    let head = snapshot.head();
    let Some(sidecar) = Sidecar::of(&opened.options, refs, head.commit_id)? else {
        let shown = opened.shown.clone();
        let refs = refs.clone();
        let none = Sidecar::open(&opened.options, &refs)?.is_none();
        let error = if none {
            MirrorSideError::NoSidecar { shown, refs }
        } else {
            let commit = head.commit_id.to_string();
            MirrorSideError::OutOfStep {
                shown,
                commit,
                refs,
            }
        };
        return Err(error.into());
    };
    let facts = Facts::read(&sidecar.facts()?)?;
    let mut shared: HashMap<Vec<u8>, Arc<[u8]>> = HashMap::new();
    let mut share = |bytes: &[u8]| -> Arc<[u8]> {
        if let Some(known) = shared.get(bytes) {
            return known.clone();
        }
        let new: Arc<[u8]> = bytes.into();
        shared.insert(bytes.to_vec(), new.clone());
        new
    };
    let mut sides = HashMap::new();
    sidecar.for_each(|path, owners, times| {
        sides.insert(
            Box::<str>::from(path),
            (share(owners), times.map(&mut share)),
        );
    })?;
    let mut files = Vec::new();
    for entry in snapshot.index()?.iter() {
        let path = entry.path();
        let side = sides.remove(path.as_str());
        let (owners, times) = side.map_or((None, None), |(owners, times)| (Some(owners), times));
        files.push(RecordedFile {
            bytes: snapshot.read_blob(entry.blob_id, &path)?,
            path: path.into(),
            owners,
            times,
        });
    }
    let alive = Sidecar::alive(&opened.options, refs)?;
    let as_of = alive.as_ref().map(|alive| alive.time.clone());
    let stale = settings
        .stale_after
        .and_then(|limit| stale(as_of.as_deref(), limit, now));
    let info = LiveInfo {
        kind: "mirror".to_owned(),
        name: opened.shown.clone(),
        commit: Some(head.commit_id.to_string()),
        ..LiveInfo::default()
    };
    let as_of = as_of.or_else(|| {
        Timestamp::from_second(head.committed_at)
            .ok()
            .map(|t| t.to_string())
    });
    Ok(Read {
        live: assemble_read(parallel::read(files), &facts, info, as_of)?,
        stale,
    })
}

/// Why a mirror is too old, if it is.
fn stale(heard: Option<&str>, limit: Duration, now: Timestamp) -> Option<String> {
    let Some(heard) = heard else {
        return Some(
            "nobody has said when this mirror's recorder was last alive: is one running?"
                .to_owned(),
        );
    };
    let Ok(time) = heard.parse::<Timestamp>() else {
        return Some("the mirror's proof of life holds no time".to_owned());
    };
    let age = now.duration_since(time);
    let limit = jiff::SignedDuration::try_from(limit).unwrap_or(jiff::SignedDuration::MAX);
    (age > limit).then(|| {
        let minutes = age.as_mins();
        format!(
            "the mirror's recorder was last heard of at {heard}, {minutes} min ago: what is live \
             now is not known"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_that_is_silent_for_too_long_is_told_with_its_last_sign() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let limit = Duration::from_secs(900);
        let said = |heard| stale(heard, limit, now);
        assert_eq!(said(Some("2026-11-21T11:45:00Z")), None);
        let text = said(Some("2026-11-21T11:00:00Z")).unwrap();
        assert!(text.contains("2026-11-21T11:00:00Z, 60 min ago"), "{text}");
        assert!(said(None).is_some());
        assert!(said(Some("yesterday")).is_some());
    }
}
