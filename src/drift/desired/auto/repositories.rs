//! The repositories that a cluster names.
//!
//! A cluster is less trusted than whoever runs us: anybody who may create an `Application` or a
//! `GitRepository` names a URL. So no path of this machine is read, and a token goes to no host that
//! the user did not name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::read::{MARKERS, Reading, Tree, read};
use super::{Found, GitPath};
use crate::drift::desired::git::Revision;
use crate::drift::desired::{Desired, GitPlace, RenderContext};
use crate::drift::live::Live;

/// Why a repository on this machine is not read.
pub(super) const NOT_REMOTE: &str = "the cluster names a repository that is none of https or ssh, and nothing else is read at its \
     word";

/// Reads what found sources desire, each revision of each repository once.
///
/// What is rendered is so with [`RenderContext::render`] alone; without a
/// [`token_host`](crate::drift::desired::GitAccess::token_host) its token is not used.
pub async fn read_all(found: Vec<Found>, context: &RenderContext, live: &Live) -> Vec<Desired> {
    let repositories = Repositories::new(context);
    let namespaced = |group: &str, kind: &str| {
        let kind = live.kinds.get(&(group.into(), kind.into()));
        kind.map(|kind| kind.namespaced)
    };
    let reading = Reading {
        render: context.render.then_some(&repositories.context),
        namespaced: &namespaced,
    };
    let mut desired = Vec::new();
    for found in found {
        let tree = async |at: &GitPath, reference: &str| repositories.tree(at, reference).await;
        desired.push(read(found, &reading, tree).await);
    }
    desired
}

/// A revision of a repository, or why it cannot be had.
type Opened = Result<Arc<Revision>, String>;

/// Revisions that were opened.
struct Repositories {
    context: RenderContext,
    /// By URL and reference.
    open: Mutex<BTreeMap<(String, String), Opened>>,
}

impl Repositories {
    fn new(context: &RenderContext) -> Self {
        let mut context = context.clone();
        if context.git.token_host.is_none() {
            context.git.token = None;
        }
        Self {
            context,
            open: Mutex::default(),
        }
    }

    async fn tree(&self, at: &GitPath, reference: &str) -> Result<Tree, String> {
        if !is_remote(&at.url) {
            return Err(NOT_REMOTE.to_owned());
        }
        let revision = self.open(at, reference).await?;
        let files = revision.files(&at.path, matters).await;
        let files = files.map_err(|error| error.to_string())?;
        Ok(Tree {
            commit: revision.commit.clone(),
            files: files
                .into_iter()
                .map(|file| (file.name, file.text))
                .collect(),
        })
    }

    async fn open(&self, at: &GitPath, reference: &str) -> Opened {
        let key = (at.url.clone(), reference.to_owned());
        let mut open = self.open.lock().await;
        if let Some(opened) = open.get(&key) {
            return opened.clone();
        }
        let place = GitPlace {
            repository: at.url.clone(),
            reference: reference.to_owned(),
            path: String::new(),
        };
        let opened = Revision::open(&place, &self.context.git, self.context.timeout).await;
        let opened = opened.map(Arc::new).map_err(|error| error.to_string());
        open.insert(key, opened.clone());
        opened
    }
}

/// Whether a URL leads to another machine, or to a server on this one: neither a path nor `file:`.
/// The details are checked where it is fetched.
pub(super) fn is_remote(url: &str) -> bool {
    match url.split_once("://") {
        Some((scheme, _)) => matches!(scheme, "https" | "http" | "ssh"),
        None => url
            .split('/')
            .next()
            .is_some_and(|start| start.contains(':') && !url.starts_with(':')),
    }
}

/// Whether a file can be a manifest, or says what the folder is.
fn matters(name: &str) -> bool {
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let extension = last.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml" | "json" | "jsonnet")) || MARKERS.contains(&last)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::drift::desired::GitAccess;

    #[test]
    fn paths_of_this_machine_are_not_read_at_a_clusters_word() {
        for (url, expected) in [
            ("https://git.example.com/a", true),
            ("ssh://git@git.example.com/a", true),
            ("git@git.example.com:a/b.git", true),
            ("file:///srv/git/a", false),
            ("/srv/git/a", false),
            ("./a:b", false),
            ("../a", false),
            ("ext://sh", false),
            (":a", false),
            ("", false),
        ] {
            assert_eq!(is_remote(url), expected, "{url}");
        }
    }

    /// Whoever may create an Application names a host.
    #[test]
    fn a_token_goes_to_the_host_that_the_user_named_alone() {
        let with = |host: Option<&str>| {
            let git = GitAccess {
                token: Some(Zeroizing::new("hunter2".to_owned())),
                token_host: host.map(Into::into),
                ..GitAccess::default()
            };
            let context = RenderContext {
                git,
                ..RenderContext::default()
            };
            Repositories::new(&context).context.git.token.is_some()
        };
        assert!(with(Some("git.example.com")));
        assert!(!with(None));
    }

    #[test]
    fn what_is_no_manifest_is_not_fetched() {
        for (name, expected) in [
            ("a/b.yaml", true),
            ("a.jsonnet", true),
            ("a/.sourceignore", true),
            ("Chart.yaml", true),
            ("a/Kustomization", true),
            ("logo.png", false),
            ("yaml", false),
        ] {
            assert_eq!(matters(name), expected, "{name}");
        }
    }
}
