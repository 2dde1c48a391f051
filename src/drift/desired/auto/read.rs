//! From what a cluster names to what it desires: the one part of `auto` that reads.
//!
//! Files come from whoever can read a Git repository, handed in as a function; which of them are
//! manifests is decided here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::repositories::{NOT_REMOTE, is_remote};
use super::{Fetch, Found, GitPath, Identity, Layout, Rendered};
use crate::drift::desired::fetch::read_source;
use crate::drift::desired::files::{self, CHART, File, KUSTOMIZATIONS};
use crate::drift::desired::read::Read;
use crate::drift::desired::{
    Desired, GitPlace, Manifest, Problem, RenderContext, Source, SourceKind, Tree as SourceTree,
};

/// Argo CD leaves out a file that holds this:
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/directory/#skipping-file-rendering>.
const SKIPPED: &[u8] = b"+argocd:skip-file-rendering";

/// The files of a folder at a revision.
#[derive(Debug, Default)]
pub struct Tree {
    /// The commit, in full hex.
    pub commit: String,
    /// Every file that may matter, by its path below the folder, in the order of paths: all
    /// `*.yaml`, `*.yml`, `*.json` and `*.jsonnet`, whatever is named in [`MARKERS`], hidden ones
    /// too. Of markers and of `*.jsonnet` the name is enough.
    pub files: Vec<(Arc<str>, Vec<u8>)>,
}

/// Files whose mere presence says what a folder is.
pub const MARKERS: [&str; 5] = [
    KUSTOMIZATIONS[0],
    KUSTOMIZATIONS[1],
    KUSTOMIZATIONS[2],
    CHART,
    ".sourceignore",
];

/// What reading needs to know.
pub struct Reading<'a> {
    /// Given where what the cluster names may be rendered.
    pub render: Option<&'a RenderContext>,
    /// Whether the objects of a group and kind lie in namespaces; `None` where it is not served.
    pub namespaced: &'a (dyn Fn(&str, &str) -> Option<bool> + Sync),
}

/// Reads what a found source desires. `tree` reads a folder of a repository at a commit, branch or
/// tag; its error is a sentence for people, without credentials.
///
/// What cannot be read is a problem of the result, and the objects that the source is known to own
/// are named, so that none of them looks extra.
pub async fn read<T>(found: Found, reading: &Reading<'_>, tree: T) -> Desired
where
    T: AsyncFn(&GitPath, &str) -> Result<Tree, String>,
{
    let mut desired = Desired {
        name: found.name,
        kind: found.kind,
        location: found.location,
        namespace: found.namespace,
        ignores: found.ignores,
        deployers: found.deployers,
        bounded: found.bounded,
        ..Desired::default()
    };
    let mut revisions = Vec::new();
    let mut heads = Vec::new();
    let mut head = Vec::new();
    let mut ahead = false;
    for fetch in found.fetches {
        let (at, applied, next) = match fetch {
            Fetch::Unknown(reason) => {
                desired.problems.push(problem(reason));
                continue;
            }
            Fetch::Manifest(rendered) => {
                let read = manifest(&rendered);
                head.extend(read.manifests.iter().cloned());
                take(&mut desired, read);
                continue;
            }
            Fetch::Helm(_) => {
                let reason = "Argo CD renders a Helm chart, which is not followed here; give what \
                              'argocd app manifests' prints as a source";
                desired.problems.push(problem(reason.to_owned()));
                continue;
            }
            Fetch::Git(at, layout) => {
                let (applied, next) = both(&at, async |reference: &str| {
                    let tree = tree(&at, reference).await?;
                    let commit = tree.commit.clone();
                    match select(&layout, tree) {
                        Selected::Files(files) => Ok((commit, files::parse(&files))),
                        Selected::Kustomization => rendered(&at, reference, reading.render).await,
                        Selected::Unknown(reason) => Err(reason),
                    }
                })
                .await;
                (at, applied, next)
            }
            Fetch::Kustomize(at) => {
                let (applied, next) = both(&at, async |reference: &str| {
                    rendered(&at, reference, reading.render).await
                })
                .await;
                (at, applied, next)
            }
        };
        match applied {
            Ok((commit, read)) => {
                match next {
                    Some(Ok((commit, next))) => {
                        ahead = true;
                        heads.push(commit);
                        head.extend(next.manifests);
                        desired.problems.extend(next.problems);
                    }
                    Some(Err(reason)) => {
                        let name = at.head.as_deref().unwrap_or_default();
                        let reason =
                            format!("what is applied next, {name}, is not known: {reason}");
                        desired.problems.push(problem(reason));
                    }
                    None => {
                        heads.push(commit.clone());
                        head.extend(read.manifests.iter().cloned());
                    }
                }
                revisions.push(commit);
                take(&mut desired, read);
            }
            Err(reason) => desired.problems.push(problem(reason)),
        }
    }
    let of = |commits: Vec<String>| (!commits.is_empty()).then(|| commits.join(", "));
    desired.revision = of(revisions);
    found
        .edits
        .apply(&mut desired.manifests, reading.namespaced);
    if ahead {
        found.edits.apply(&mut head, reading.namespaced);
        desired.head = Some(head);
        desired.head_revision = of(heads);
    }
    if !desired.problems.is_empty() {
        desired.owned = unread(found.owned, &desired, reading);
    }
    desired
}

/// Reads what Helm rendered.
fn manifest(rendered: &Rendered) -> Read {
    let mut read = files::parse(&[File {
        name: "manifest".into(),
        text: rendered.0.as_bytes().to_vec(),
    }]);
    for manifest in &mut read.manifests {
        // Its text would outlive what is overwritten when dropped.
        manifest.text = None;
    }
    read
}

/// Reads a place at what was last applied and, where that is another commit, at what is applied
/// next. Where nothing was applied yet, what is next is all there is.
async fn both<R>(
    at: &GitPath,
    read: R,
) -> (
    Result<(String, Read), String>,
    Option<Result<(String, Read), String>>,
)
where
    R: AsyncFn(&str) -> Result<(String, Read), String>,
{
    // A range of versions is no name in Git.
    let head = at.head.as_deref().filter(|name| is_reference(name));
    let (Some(first), second) = (match &at.revision {
        Some(revision) => (Some(revision.as_str()), head),
        None => (head, None),
    }) else {
        let reason = "no revision is known: it was never applied, and follows no branch or tag";
        return (Err(reason.to_owned()), None);
    };
    let applied = read(first).await;
    let next = match (&applied, second) {
        (Ok((commit, _)), Some(head)) => match read(head).await {
            Ok((other, _)) if other == *commit => None,
            next => Some(next),
        },
        _ => None,
    };
    (applied, next)
}

/// <https://git-scm.com/docs/git-check-ref-format>, as far as it matters here.
fn is_reference(name: &str) -> bool {
    let refused = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\<>=,|".contains(c);
    !name.is_empty() && !name.starts_with('-') && !name.contains("..") && !name.contains(refused)
}

/// Builds a kustomization, if that is allowed.
async fn rendered(
    at: &GitPath,
    reference: &str,
    render: Option<&RenderContext>,
) -> Result<(String, Read), String> {
    let Some(context) = render else {
        let reason =
            "it is a kustomization, and rendering what a cluster names is off: give --render";
        return Err(reason.to_owned());
    };
    if !is_remote(&at.url) {
        return Err(NOT_REMOTE.to_owned());
    }
    let source = Source {
        name: String::new(),
        kind: SourceKind::Kustomize(SourceTree::Git(GitPlace {
            repository: at.url.clone(),
            reference: reference.to_owned(),
            path: at.path.clone(),
        })),
        namespace: None,
        render: Some(true),
    };
    let desired = read_source(&source, context).await;
    let commit = desired.revision.unwrap_or_else(|| reference.to_owned());
    let read = Read {
        manifests: desired.manifests,
        problems: desired.problems,
        set_aside: desired.set_aside,
        skipped: 0,
    };
    Ok((commit, read))
}

/// What a folder turns out to be.
#[derive(Debug)]
pub(super) enum Selected {
    /// Manifests.
    Files(Vec<File>),
    /// To be rendered by kustomize.
    Kustomization,
    /// Nothing that can be read, for this reason.
    Unknown(String),
}

/// Which files the tool applies.
pub(super) fn select(layout: &Layout, tree: Tree) -> Selected {
    let has = |name: &str| tree.files.iter().any(|(file, _)| **file == *name);
    let files = match layout {
        Layout::Argo { detect: true, .. } if has(CHART) => {
            let reason = "the folder is a Helm chart, which Argo CD renders, and that is not \
                          followed here";
            return Selected::Unknown(reason.to_owned());
        }
        Layout::Argo { detect: true, .. } | Layout::Flux
            if KUSTOMIZATIONS.iter().any(|name| has(name)) =>
        {
            return Selected::Kustomization;
        }
        Layout::Argo {
            recurse,
            include,
            exclude,
            ..
        } => {
            let chosen = match Globs::new(include.as_deref(), exclude.as_deref()) {
                Ok(globs) => globs,
                Err(reason) => return Selected::Unknown(reason),
            };
            let fits = |name: &str| {
                (*recurse || !name.contains('/'))
                    && has_extension(name, &["yaml", "yml", "json", "jsonnet"])
                    && chosen.take(name)
            };
            let fitting = tree.files.into_iter().filter(|(name, _)| fits(name));
            fitting.collect::<Vec<_>>()
        }
        Layout::Flux => {
            let inner = |(name, _): &(Arc<str>, Vec<u8>)| {
                let (_, last) = name.rsplit_once('/').unwrap_or(("", name));
                (KUSTOMIZATIONS.contains(&last) || last == ".sourceignore").then(|| name.clone())
            };
            if let Some(name) = tree.files.iter().find_map(inner) {
                return Selected::Unknown(format!(
                    "{name} changes which files Flux applies, and that is not followed here"
                ));
            }
            // source-controller leaves out what is hidden, kustomize-controller all but YAML:
            // https://fluxcd.io/flux/components/source/gitrepositories/#default-exclusions.
            let fits = |name: &str| {
                has_extension(name, &["yaml", "yml"])
                    && !name.split('/').any(|part| part.starts_with('.'))
            };
            let fitting = tree.files.into_iter().filter(|(name, _)| fits(name));
            fitting.collect()
        }
    };
    if files
        .iter()
        .any(|(name, _)| has_extension(name, &["jsonnet"]))
    {
        return Selected::Unknown("it holds Jsonnet, which is not evaluated".to_owned());
    }
    let is_argos = matches!(layout, Layout::Argo { .. });
    let files = files
        .into_iter()
        .filter(|(_, text)| !(is_argos && memchr::memmem::find(text, SKIPPED).is_some()))
        .map(|(name, text)| File { name, text });
    Selected::Files(files.collect())
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extensions.contains(&extension))
}

/// `directory.include` and `directory.exclude`, which match paths below the folder, `*` also `/`.
struct Globs {
    include: Option<globset::GlobMatcher>,
    exclude: Option<globset::GlobMatcher>,
}

impl Globs {
    fn new(include: Option<&str>, exclude: Option<&str>) -> Result<Self, String> {
        let glob = |text: Option<&str>, name: &str| {
            let glob = text.map(globset::Glob::new).transpose();
            glob.map(|glob| glob.map(|glob| glob.compile_matcher()))
                .map_err(|_| format!("directory.{name} is no glob that is known here"))
        };
        Ok(Self {
            include: glob(include, "include")?,
            exclude: glob(exclude, "exclude")?,
        })
    }

    fn take(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|glob| glob.is_match(name))
            && !self
                .exclude
                .as_ref()
                .is_some_and(|glob| glob.is_match(name))
    }
}

/// What is owned and in no manifest that was read.
fn unread(owned: Vec<Identity>, desired: &Desired, reading: &Reading<'_>) -> Vec<Identity> {
    let identity = |manifest: &Manifest| {
        let mut identity = manifest.identity()?.clone();
        if (reading.namespaced)(&identity.group, &identity.kind) == Some(false) {
            identity.namespace = None;
        } else if identity.namespace.is_none() {
            identity.namespace.clone_from(&desired.namespace);
        }
        Some(identity)
    };
    let read: BTreeSet<Identity> = desired.manifests.iter().filter_map(identity).collect();
    owned
        .into_iter()
        .filter(|object| !read.contains(object))
        .collect()
}

fn take(desired: &mut Desired, read: Read) {
    desired.manifests.extend(read.manifests);
    desired.problems.extend(read.problems);
    desired.set_aside.extend(read.set_aside);
}

fn problem(reason: String) -> Problem {
    Problem {
        file: None,
        line: None,
        reason,
        object: None,
    }
}
