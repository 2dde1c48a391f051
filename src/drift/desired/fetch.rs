//! From a source to what it desires.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{self, CHART, File, KUSTOMIZATIONS};
use super::read::Read;
use super::source::{Source, SourceKind};
use super::{Desired, Problem};

/// What reading sources needs to know.
#[derive(Clone, Debug, Default)]
pub struct RenderContext {
    /// The namespace of manifests that name none, where their source does not say it.
    pub default_namespace: Option<Box<str>>,
    /// What standard input held, where a source is `-`.
    pub stdin: Option<Arc<[u8]>>,
}

/// Reads what a source desires. What cannot be read is a problem of the result; the rest is there
/// all the same. A source without any object is a problem, too: its path is probably wrong.
pub async fn read_source(source: &Source, context: &RenderContext) -> Desired {
    let mut desired = Desired {
        name: source.name.clone(),
        kind: source.kind.name(),
        location: source.kind.to_string(),
        namespace: source
            .namespace
            .clone()
            .or_else(|| context.default_namespace.clone()),
        ..Desired::default()
    };
    match &source.kind {
        SourceKind::Path(path) => {
            let holds = |name: &&str| path.join(name).is_file();
            if let Some(found) = KUSTOMIZATIONS
                .iter()
                .chain([&CHART])
                .copied()
                .find(|n| holds(n))
            {
                let prefix = if found == CHART { "helm" } else { "kustomize" };
                let path = path.display();
                let reason = format!(
                    "holds {found} and is not rendered: name it {prefix}:{path}, or path:{path} to \
                     read its files as they are"
                );
                add_problem(&mut desired, reason);
            } else {
                on_disk(&mut desired, path).await;
            }
        }
        SourceKind::Plain(path) => on_disk(&mut desired, path).await,
        SourceKind::Stdin => match context.stdin.clone() {
            Some(text) => {
                let name = Arc::from("stdin");
                let text = text.to_vec();
                let read = blocking(move || files::parse(&[File { name, text }])).await;
                take(&mut desired, read);
            }
            None => add_problem(&mut desired, "standard input was not read".to_owned()),
        },
        SourceKind::Auto => {
            let reason = "auto is found in the live side, not read like other sources";
            add_problem(&mut desired, reason.to_owned());
        }
        SourceKind::Git(_) | SourceKind::Kustomize(_) | SourceKind::Helm { .. } => {
            add_problem(&mut desired, "not read yet".to_owned());
        }
    }
    if desired.manifests.is_empty() && desired.problems.is_empty() {
        let reason = "no Kubernetes object in it: is the path right?";
        add_problem(&mut desired, reason.to_owned());
    }
    desired
}

async fn on_disk(desired: &mut Desired, path: &Path) {
    let path: PathBuf = path.to_owned();
    if path.is_file() {
        desired.kind = "file";
    }
    let read = blocking(move || {
        if path.is_dir() {
            files::folder(&path)
        } else {
            files::file(&path)
        }
    })
    .await;
    take(desired, read);
}

/// Runs what blocks on a thread for it.
async fn blocking(work: impl FnOnce() -> Read + Send + 'static) -> Read {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Read {
            problems: vec![Problem {
                file: None,
                line: None,
                reason: "reading failed within: please report this".to_owned(),
                object: None,
            }],
            ..Read::default()
        })
}

fn take(desired: &mut Desired, read: Read) {
    if read.skipped > 0 {
        tracing::debug!(
            source = desired.name,
            documents = read.skipped,
            "documents that are no Kubernetes objects are left out"
        );
    }
    desired.manifests.extend(read.manifests);
    desired.problems.extend(read.problems);
    desired.set_aside.extend(read.set_aside);
}

fn add_problem(desired: &mut Desired, reason: String) {
    desired.problems.push(Problem {
        file: None,
        line: None,
        reason,
        object: None,
    });
}
