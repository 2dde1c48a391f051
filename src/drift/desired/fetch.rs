//! From a source to what it desires.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::files::{self, CHART, File, KUSTOMIZATIONS};
use super::git::{GitAccess, GitError, Revision};
use super::read::Read;
use super::render::{self, Cluster, RenderError};
use super::source::{GitPlace, HelmOptions, Source, SourceKind, Tree};
use super::{Desired, Problem};

/// What reading sources needs to know.
///
/// Rendering runs what the files say. What users name with `kustomize:` or `helm:` on their own
/// disk is rendered; what comes from Git, and a folder that merely turns out to be a kustomization
/// or a chart, only with [`RenderContext::render`] or the source's own `?render=true`.
#[derive(Clone, Debug)]
pub struct RenderContext {
    /// The namespace of manifests that name none, where their source does not say it.
    pub default_namespace: Option<Box<str>>,
    /// What standard input held, where a source is `-`.
    pub stdin: Option<Arc<[u8]>>,
    /// Render everything that needs it: `--render`.
    pub render: bool,
    /// The cluster's version, for charts: `1.36.0`.
    pub kube_version: Option<String>,
    /// What the cluster serves, for charts: `apps/v1`, `apps/v1/Deployment`.
    pub api_versions: Vec<String>,
    /// How other machines' repositories are reached.
    pub git: GitAccess,
    /// The limit of each program that is run.
    pub timeout: Duration,
}

impl Default for RenderContext {
    fn default() -> Self {
        Self {
            default_namespace: None,
            stdin: None,
            render: false,
            kube_version: None,
            api_versions: Vec::new(),
            git: GitAccess::default(),
            timeout: Duration::from_secs(300),
        }
    }
}

/// Why a source gives nothing.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Git(#[from] GitError),
    #[error("{0}")]
    Render(#[from] RenderError),
    #[error("cannot make a temporary folder: {0}")]
    Scratch(#[from] std::io::Error),
    #[error("{0}")]
    NotRendered(String),
}

/// How something is rendered.
#[derive(Clone, Copy)]
enum Renderer<'s> {
    Kustomize,
    Helm(&'s HelmOptions),
}

/// Reads what a source desires. What cannot be read is a problem of the result; the rest is there
/// all the same. A source without any object is a problem, too: its path is probably wrong.
pub async fn read_source(source: &Source, context: &RenderContext) -> Desired {
    let namespace = source.namespace.clone();
    let mut desired = Desired {
        name: source.name.clone(),
        kind: source.kind.name(),
        location: source.kind.to_string(),
        namespace: namespace.or_else(|| context.default_namespace.clone()),
        ..Desired::default()
    };
    if let Err(error) = fetch(source, context, &mut desired).await {
        add_problem(&mut desired, error.to_string());
    }
    if desired.manifests.is_empty() && desired.problems.is_empty() {
        let reason = "no Kubernetes object in it: is the path right?";
        add_problem(&mut desired, reason.to_owned());
    }
    desired
}

async fn fetch(
    source: &Source,
    context: &RenderContext,
    desired: &mut Desired,
) -> Result<(), FetchError> {
    let asked = source.render.unwrap_or(context.render);
    match &source.kind {
        SourceKind::Path(path) => {
            let names = KUSTOMIZATIONS.iter().chain([&CHART]);
            let found = names.copied().find(|name| path.join(name).is_file());
            match found {
                None => on_disk(desired, path).await,
                Some(found) if asked => {
                    let renderer = renderer_of(found);
                    return rendered(desired, renderer, path, context).await;
                }
                Some(found) => {
                    let way = way_of(found);
                    let path = path.display();
                    return Err(FetchError::NotRendered(format!(
                        "holds {found} and is not rendered: name it {way}:{path}, or path:{path} \
                         to read its files as they are"
                    )));
                }
            }
        }
        SourceKind::Plain(path) => on_disk(desired, path).await,
        SourceKind::Git(place) => return from_git(desired, place, asked, context).await,
        SourceKind::Kustomize(tree) => {
            return tree_rendered(desired, source, tree, Renderer::Kustomize, context).await;
        }
        SourceKind::Helm { chart, options } => {
            return tree_rendered(desired, source, chart, Renderer::Helm(options), context).await;
        }
        SourceKind::Stdin => match context.stdin.clone() {
            Some(text) => {
                let name = Arc::from("stdin");
                let text = text.to_vec();
                parse(desired, vec![File { name, text }]).await;
            }
            None => add_problem(desired, "standard input was not read".to_owned()),
        },
        SourceKind::Auto => {
            let reason = "auto is found in the live side, not read like other sources";
            add_problem(desired, reason.to_owned());
        }
    }
    Ok(())
}

fn way_of(found: &str) -> &'static str {
    if found == CHART { "helm" } else { "kustomize" }
}

fn renderer_of(found: &str) -> Renderer<'static> {
    const PLAIN: &HelmOptions = &HelmOptions {
        release: None,
        values: Vec::new(),
    };
    if found == CHART {
        Renderer::Helm(PLAIN)
    } else {
        Renderer::Kustomize
    }
}

async fn from_git(
    desired: &mut Desired,
    place: &GitPlace,
    asked: bool,
    context: &RenderContext,
) -> Result<(), FetchError> {
    let revision = Revision::open(place, &context.git, context.timeout).await?;
    desired.revision = Some(revision.commit.clone());
    let names = revision.names(&place.path).await?;
    let special = KUSTOMIZATIONS.iter().chain([&CHART]);
    let found = special
        .copied()
        .find(|name| names.iter().any(|n| n == name));
    match found {
        None => {
            let files = revision.manifests(&place.path).await?;
            parse(desired, files).await;
            Ok(())
        }
        Some(found) if asked => {
            checked_out(desired, &revision, place, renderer_of(found), context).await
        }
        Some(found) => Err(FetchError::NotRendered(format!(
            "holds {found}, and what comes from Git is not rendered unless asked for: give \
             --render if you trust the repository, or name a folder of plain manifests"
        ))),
    }
}

async fn tree_rendered(
    desired: &mut Desired,
    source: &Source,
    tree: &Tree,
    renderer: Renderer<'_>,
    context: &RenderContext,
) -> Result<(), FetchError> {
    match tree {
        Tree::Folder(_) if source.render == Some(false) => Err(FetchError::NotRendered(
            "it says ?render=false, and nothing else can be done with it".to_owned(),
        )),
        Tree::Folder(path) => rendered(desired, renderer, path, context).await,
        Tree::Git(place) => {
            if !source.render.unwrap_or(context.render) {
                return Err(FetchError::NotRendered(
                    "what comes from Git is not rendered unless asked for: give --render if you \
                     trust the repository"
                        .to_owned(),
                ));
            }
            let revision = Revision::open(place, &context.git, context.timeout).await?;
            desired.revision = Some(revision.commit.clone());
            checked_out(desired, &revision, place, renderer, context).await
        }
    }
}

/// Renders a folder of a revision, from a copy of all of it: bases lie beside their overlays.
async fn checked_out(
    desired: &mut Desired,
    revision: &Revision,
    place: &GitPlace,
    renderer: Renderer<'_>,
    context: &RenderContext,
) -> Result<(), FetchError> {
    let scratch = tempfile::Builder::new().prefix("strandline-").tempdir()?;
    revision.write_to(scratch.path()).await?;
    let folder = scratch.path().join(&place.path);
    rendered(desired, renderer, &folder, context).await
}

async fn rendered(
    desired: &mut Desired,
    renderer: Renderer<'_>,
    folder: &Path,
    context: &RenderContext,
) -> Result<(), FetchError> {
    let file = match renderer {
        Renderer::Kustomize => {
            desired.kind = "kustomize";
            render::kustomize(folder, context.timeout).await?
        }
        Renderer::Helm(options) => {
            desired.kind = "helm";
            let cluster = Cluster {
                kube_version: context.kube_version.as_deref(),
                api_versions: &context.api_versions,
            };
            let namespace = desired.namespace.as_deref();
            render::helm(folder, options, namespace, &cluster, context.timeout).await?
        }
    };
    parse(desired, vec![file]).await;
    Ok(())
}

async fn parse(desired: &mut Desired, files: Vec<File>) {
    let read = blocking(move || files::parse(&files)).await;
    take(desired, read);
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
