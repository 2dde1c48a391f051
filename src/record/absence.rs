//! What is gone: what a complete list did not show, and types that are not served any more. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::events::{Effect, FeedId};
use super::feeds::Status;
use super::recorder::Recorder;
use super::stage::{Removal, Who};
use crate::cluster::Scope;
use crate::mirror::Index;
use crate::object::{MirrorPath, escape_component};

/// Deletions inferred from one list need a second one above this count …
const FEW_DELETIONS: usize = 20;
/// … when they are more than one in this many files of the mirror.
const LARGE_SHARE: usize = 4;

/// Where CRDs lie.
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Where `APIService`s lie, those of built-in and custom types aside.
const API_SERVICES: &str = "apiservices.apiregistration.k8s.io";

impl Recorder {
    /// Removes the files of types that a rule leaves out, and of types that are certainly gone.
    ///
    /// A type is gone when fresh discovery does not serve it and neither a CRD of a complete list
    /// nor an `APIService` promises it: discovery alone may be incomplete while a server starts.
    pub(super) fn conclude(&mut self, now: Duration) {
        let Some(served) = &self.served else { return };
        let definitions_known = served.whole_cluster
            && self
                .feeds
                .values()
                .any(|state| &*state.directory == DEFINITIONS && state.status == Status::Live);
        let mut gone = Vec::new();
        for directory in directories(&self.index) {
            if let Some(rule) = served.left_out.get(directory) {
                gone.push((directory.to_owned(), Removal::Rule(rule.clone())));
            } else if definitions_known
                && !served.directories.contains(directory)
                && !is_unknown(&served.stale_groups, directory)
                && !self.is_promised(directory)
            {
                gone.push((directory.to_owned(), Removal::TypeGone));
            }
        }
        for (directory, removal) in gone {
            for path in paths(&self.index, &directory, None) {
                self.remove_path(now, &path, &directory, removal.clone());
            }
        }
    }

    fn is_promised(&self, directory: &str) -> bool {
        let exists = |path: &str| self.stage.blob_id(&self.index, path).is_some();
        if exists(&format!("cluster/{DEFINITIONS}/{directory}.yaml")) {
            return true;
        }
        let Some((_, group)) = directory.split_once('.') else {
            return false;
        };
        paths(&self.index, API_SERVICES, None).iter().any(|path| {
            exists(path)
                && MirrorPath::parse(path).is_some_and(|parts| {
                    parts.stem.split_once('.').is_some_and(|(_, g)| g == group)
                })
        })
    }

    pub(super) fn complete(
        &mut self,
        now: Duration,
        id: FeedId,
        resource_version: String,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.feeds.get_mut(&id) else {
            return;
        };
        state.heard = now;
        let Some(seen) = state.listing.take() else {
            return;
        };
        let namespace = match &state.feed.scope {
            Scope::Cluster => None,
            Scope::Namespace(namespace) => Some(escape_component(namespace, "")),
        };
        let directory = state.directory.clone();
        let mut missing = paths(&self.index, &directory, namespace.as_deref());
        missing.retain(|path| !seen.contains(path.as_str()));
        let many = missing.len() > FEW_DELETIONS && missing.len() * LARGE_SHARE > self.index.len();
        if many && !state.suspicious {
            state.suspicious = true;
            // A cursor from here would never see what is missing.
            state.resource_version = None;
            effects.push(Effect::DeletionsWithheld {
                feed: id,
                count: missing.len(),
            });
            effects.push(Effect::Relist(id));
            return;
        }
        state.suspicious = false;
        state.listed_by = state.listing_by;
        state.resource_version = Some(resource_version);
        state.status = Status::Live;
        let kind = state.feed.api_type.kind.clone();
        // Staged by an earlier event, gone by the time of the list: never in HEAD, but staged.
        let mut unseen = self.stage.puts(&directory, namespace.as_deref());
        unseen.retain(|path| !seen.contains(path.as_str()));
        for path in missing.iter().chain(&unseen) {
            self.remove_path(now, path, &kind, Removal::NotListed);
        }
        if &*directory == DEFINITIONS {
            self.conclude(now);
        }
    }

    fn remove_path(&mut self, now: Duration, path: &str, kind: &str, removal: Removal) {
        let Some(parts) = MirrorPath::parse(path) else {
            return;
        };
        let who = Who::Path {
            kind: kind.into(),
            namespace: parts.namespace_name().map(Into::into),
            name: parts.name().unwrap_or_else(|| parts.stem.to_owned()).into(),
        };
        self.scales(now, &path.into(), None);
        let outcome = self.take_out(path, who, removal, false);
        self.note(now, outcome);
    }
}

/// The directories that hold files, each once.
fn directories(index: &Index) -> Vec<&str> {
    let mut directories: Vec<_> = index.iter().map(|entry| entry.directory).collect();
    directories.dedup();
    directories
}

/// The paths of one directory, in one namespace (escaped) or in all.
fn paths(index: &Index, directory: &str, namespace: Option<&str>) -> Vec<String> {
    match namespace {
        None => index.of_type(directory).map(|entry| entry.path()).collect(),
        Some(_) => index
            .of_type_in(directory, namespace)
            .map(|entry| entry.path())
            .collect(),
    }
}

/// Whether `directory` belongs to a group of which nothing is known.
fn is_unknown(groups: &BTreeSet<Box<str>>, directory: &str) -> bool {
    directory
        .split_once('.')
        .is_some_and(|(_, group)| groups.contains(group))
}
