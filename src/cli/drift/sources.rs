//! The desired side, from everywhere that it is asked for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Failure;
use super::{Run, Seen, beside};
use crate::canonical;
use crate::drift::accept::{self, Ignore};
use crate::drift::desired::auto::{self, Auto, Releases};
use crate::drift::desired::{Desired, RenderContext, SourceKind, read_source};
use crate::drift::live::Live;
use crate::drift::report::Report;
use crate::filter::AcceptFile;
use crate::owners::{Managers, ManagersFile};
use crate::telemetry::clock;

/// Bytes of standard input that are read: no more can be parsed.
const LONGEST: u64 = 64 << 20;

/// The accept file beside desired files.
const ACCEPT: &str = "accept.yaml";

/// What is desired, and what of it is not to be told.
pub(super) struct DesiredSide {
    pub(super) sources: Vec<Desired>,
    pub(super) ignores: Vec<Ignore>,
    pub(super) warnings: Vec<String>,
}

impl DesiredSide {
    /// Says in a report what should be looked at here.
    pub(super) fn warn(&self, report: &mut Report) {
        let hit = |rule: &str| report.ignored_by.iter().any(|by| by.rule == rule);
        let idle = accept::never_matched(&self.ignores, hit);
        report.warnings.extend(self.warnings.iter().cloned());
        report.warnings.extend(idle);
    }
}

/// Reads every source.
pub(super) async fn read(run: &Run, seen: &Seen) -> Result<DesiredSide, Failure> {
    let settings = &run.settings;
    let takes_stdin = run
        .sources
        .iter()
        .any(|source| source.kind == SourceKind::Stdin);
    let context = RenderContext {
        default_namespace: settings.default_namespace.as_deref().map(Into::into),
        stdin: if takes_stdin { Some(stdin()?) } else { None },
        render: settings.render,
        kube_version: seen.live.info.server_version.clone(),
        api_versions: api_versions(&seen.live),
        ..RenderContext::default()
    };
    let today = clock::now().to_string();
    let (ignores, warnings) = accept::without_expired(accepted(run)?, &today);
    let mut side = DesiredSide {
        sources: Vec::new(),
        ignores,
        warnings,
    };
    for source in &run.sources {
        if source.kind == SourceKind::Auto {
            add_auto(&mut side, run, seen, &context).await?;
        } else {
            side.sources.push(read_source(source, &context).await);
        }
    }
    Ok(side)
}

/// Adds the sources that the live side itself names.
async fn add_auto(
    side: &mut DesiredSide,
    run: &Run,
    seen: &Seen,
    context: &RenderContext,
) -> Result<(), Failure> {
    let asked = &run.settings.namespaces;
    let (all, stored, unreadable);
    let (live, releases) = match &seen.cluster {
        None => (&seen.live, Releases::NotRecorded),
        Some(cluster) => {
            let live = if asked.is_empty() {
                &seen.live
            } else {
                // Their deployers lie in other namespaces.
                all = beside::with_deployers(cluster, &seen.live).await;
                &all
            };
            match beside::releases(cluster, asked, live, &mut side.warnings).await {
                Ok(found) => {
                    stored = found;
                    (live, Releases::Known(&stored))
                }
                Err(reason) => {
                    unreadable = reason;
                    (live, Releases::Unreadable(&unreadable))
                }
            }
        }
    };
    let Auto {
        mut found,
        ignores,
        warnings,
    } = auto::find(live, &releases);
    side.ignores.extend(ignores);
    side.warnings.extend(warnings);
    if found.is_empty() && run.sources.len() == 1 {
        // Everything that is live would be extra.
        return Err(
            "neither Argo CD nor Flux nor Helm says here where the desired state is: name it with \
             --desired, a folder for example"
                .into(),
        );
    }
    if !asked.is_empty() {
        found.retain(|source| source.reaches(asked));
    }
    let read = auto::read_all(found, context, &seen.live).await;
    side.sources.extend(read);
    Ok(())
}

/// What charts are told the cluster serves: `apps/v1`, `apps/v1/Deployment`.
fn api_versions(live: &Live) -> Vec<String> {
    let mut versions = BTreeSet::new();
    for kind in live.kinds.values() {
        for version in &kind.versions {
            let group_version = match &*kind.group {
                "" => version.to_string(),
                group => format!("{group}/{version}"),
            };
            versions.insert(format!("{group_version}/{}", kind.kind));
            versions.insert(group_version);
        }
    }
    versions.into_iter().collect()
}

fn stdin() -> Result<Arc<[u8]>, Failure> {
    let mut text = Vec::new();
    io::stdin().lock().take(LONGEST).read_to_end(&mut text)?;
    Ok(text.into())
}

/// A file of settings that cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no table of managers: {reason}", path.display())]
    Managers { path: PathBuf, reason: String },
}

fn text_of(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The table of managers, with those of a file before its own.
pub(super) fn managers(path: Option<&Path>) -> Result<Option<Arc<Managers>>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let text = text_of(path)?;
    let wrong = |reason: String| FileError::Managers {
        path: path.to_owned(),
        reason,
    };
    let value = canonical::read(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let file: ManagersFile =
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(Arc::new(Managers::extended_by(file))))
}

/// What is accepted: by the files that are named, and by those beside the desired ones.
fn accepted(run: &Run) -> Result<Vec<Ignore>, Failure> {
    let mut paths = run.settings.accept.clone();
    for source in &run.sources {
        if let SourceKind::Path(folder) | SourceKind::Plain(folder) = &source.kind {
            let beside = folder.join(ACCEPT);
            if beside.is_file() && !paths.contains(&beside) {
                paths.push(beside);
            }
        }
    }
    let mut rules = Vec::new();
    for path in &paths {
        let text = text_of(path)?;
        let file = AcceptFile::parse(&path.display().to_string(), &text)?;
        rules.extend(accept::ignores(file));
    }
    Ok(rules)
}
