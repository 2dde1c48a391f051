//! `auto`: the desired sources that the cluster itself names.
//!
//! ```text
//!  live objects, what their status reports ─▶ argo, flux, helm ─▶ Auto { found, ignores, … } ─▶ read ─▶ Desired
//! ```
//!
//! [`find()`] is pure. What it cannot follow it says: a rule that is not honoured is a warning with
//! the rule's name, and a source that cannot be read names the objects that it owns, so that these
//! are unknown rather than extra.

mod argo;
mod flux;
mod helm;
mod jq;
mod kustomize;
mod marks;
mod read;
mod repositories;
mod settings;
mod target;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

use super::Identity;
use crate::drift::accept::{Ignore, Ignored};
use crate::drift::live::{Live, LiveObject};
use crate::owners::FieldWriter;

pub use helm::{ReleaseError, Releases, StoredRelease};
pub use kustomize::Edits;
pub use read::{MARKERS, Reading, Tree, read};
pub use repositories::read_all;

/// What the live side says of the desired one.
#[derive(Debug, Default)]
pub struct Auto {
    /// The sources, each name once.
    pub found: Vec<Found>,
    /// What tools hide whatever the source: kinds that Argo CD is told not to see, objects that are
    /// marked as nobody's, what Helm's hooks made. Beyond the sources' own.
    pub ignores: Vec<Ignore>,
    /// What a report must say and nothing can be done about: rules that are not honoured, sources
    /// of other clusters, suspended ones.
    pub warnings: Vec<String>,
}

/// One desired source that the cluster names.
#[derive(Debug)]
pub struct Found {
    /// Its name in a report, unique: `argocd:argocd/shop`.
    pub name: String,
    /// `argocd`, `flux` or `helm-release`.
    pub kind: &'static str,
    /// Where, without credentials.
    pub location: String,
    /// Where to get the manifests; more than one for an Application of several sources.
    pub fetches: Vec<Fetch>,
    /// The namespace of manifests that name none.
    pub namespace: Option<Box<str>>,
    /// What the deployer changes in the manifests.
    pub edits: Edits,
    /// What the source's own rules hide, of its objects.
    pub ignores: Vec<Ignore>,
    /// What the source is known to own. Matters for what could not be read.
    pub owned: Vec<Identity>,
    /// Whether `owned` is all that is live of it, as an inventory is.
    pub bounded: bool,
    /// Who deploys it, beyond the deployers that are known by name.
    pub deployers: Vec<FieldWriter>,
    /// The object that says all this: the `Application`, the `Kustomization`, the `HelmRelease`;
    /// `None` for a Helm release, whose Secret is no live object.
    pub object: Option<Identity>,
}

impl Found {
    /// Whether it may have something in one of these namespaces.
    pub fn reaches(&self, namespaces: &[String]) -> bool {
        let asked = |namespace: &str| namespaces.iter().any(|one| one == namespace);
        let mut own = self.owned.iter().map(|object| object.namespace.as_deref());
        !self.bounded
            || self.namespace.as_deref().is_some_and(asked)
            || self.edits.namespace.as_deref().is_some_and(asked)
            || own.any(|namespace| namespace.is_some_and(asked))
    }
}

/// Where manifests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Files of a Git repository.
    Git(GitPath, Layout),
    /// A kustomization in a Git repository, built as it stands. Rendering.
    Kustomize(GitPath),
    /// A chart in a Git repository, or in a chart repository. Rendering.
    Helm(Box<Chart>),
    /// Manifests as they were applied.
    Manifest(Rendered),
    /// They cannot be had, for this reason.
    Unknown(String),
}

/// A folder at two revisions.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GitPath {
    /// As the tool's object has it: it may hold credentials, and is not to be shown.
    pub url: String,
    /// The commit that was last applied, in full hex; `None` where none is known.
    pub revision: Option<String>,
    /// The branch, tag or `HEAD` that is applied next; `None` where the source is pinned.
    pub head: Option<String>,
    /// Folder within the repository, without slashes at its ends; empty for the root.
    pub path: String,
}

/// Shows the URL without its user.
impl fmt::Debug for GitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitPath")
            .field("url", &without_user(&self.url))
            .field("revision", &self.revision)
            .field("head", &self.head)
            .field("path", &self.path)
            .finish()
    }
}

impl GitPath {
    /// Where it is, for a report.
    fn location(&self) -> String {
        let url = without_user(&self.url);
        if self.path.is_empty() {
            url
        } else {
            format!("{url}:{}", self.path)
        }
    }
}

/// Which files of a folder are manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Argo CD's: `*.yaml`, `*.yml` and `*.json` of the folder.
    /// <https://argo-cd.readthedocs.io/en/stable/user-guide/directory/>
    Argo {
        /// Of its folders, too.
        recurse: bool,
        /// Glob of paths below the folder, perhaps `{a,b}`; all where there is none.
        include: Option<String>,
        /// Glob of paths that are left out.
        exclude: Option<String>,
        /// The tool looks for a chart or a kustomization first.
        detect: bool,
    },
    /// Flux's: a kustomization where there is one, otherwise every `*.yaml` and `*.yml` below the
    /// folder.
    /// <https://fluxcd.io/flux/components/kustomize/kustomizations/#generating-a-kustomizationyaml-file>
    Flux,
}

/// A Helm chart and what it is rendered with, as an Argo CD source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Where it lies.
    pub place: ChartPlace,
    /// `helm template`'s name.
    pub release: String,
    /// `helm template`'s namespace.
    pub namespace: String,
    /// The source's `helm` part, with the inline values.
    pub options: Value,
    /// The repositories that `$name/…` among the values files means.
    pub values_from: Vec<(String, GitPath)>,
}

/// Where a chart lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChartPlace {
    /// In a folder of a Git repository.
    Git(GitPath),
    /// In a chart repository.
    Repository {
        /// Its URL, without credentials.
        url: String,
        /// The chart's name.
        chart: String,
        /// Its version.
        version: String,
    },
}

/// Rendered manifests, which may hold Secrets: overwritten when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered(pub Zeroizing<String>);

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rendered(..)")
    }
}

/// Finds the desired sources that live objects name.
pub fn find(live: &Live, releases: &Releases<'_>) -> Auto {
    let mut auto = Auto::default();
    argo::find(live, &mut auto);
    let taken = flux::find(live, releases, &mut auto);
    marks::find(live, &mut auto);
    helm::find(live, releases, &taken, &mut auto);
    auto.warnings.sort();
    auto.warnings.dedup();
    auto
}

/// The live objects of one kind.
fn of_kind<'a>(
    live: &'a Live,
    group: &'a str,
    kind: &'a str,
) -> impl Iterator<Item = (&'a Identity, &'a LiveObject)> {
    let first = Identity {
        group: group.into(),
        kind: kind.into(),
        ..Identity::default()
    };
    live.objects
        .range(first..)
        .take_while(move |(identity, _)| &*identity.group == group && &*identity.kind == kind)
}

/// The text at a place; empty where there is none.
fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a place; empty where there is none.
fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The value at a place, if it is not null.
fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter()
        .try_fold(value, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

/// What a value holds: neither null nor an empty text, list or map.
fn is_given(value: &Value, path: &[&str]) -> bool {
    at(value, path).is_some_and(|value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(set) => *set,
        Value::Null | Value::Number(_) => true,
    })
}

/// The status parts of a live object that travel with it.
fn reported(object: &LiveObject) -> &Value {
    object.shape.reported.as_ref().unwrap_or(&Value::Null)
}

/// The newest entry of the history that a status reports.
fn newest(reported: &Value) -> &Value {
    list(reported, &["history"]).last().unwrap_or(&Value::Null)
}

/// The text of an annotation; empty where there is none.
fn annotation<'a>(object: &'a LiveObject, key: &str) -> &'a str {
    text(&object.value, &["metadata", "annotations", key])
}

/// The text of a label; empty where there is none.
fn label<'a>(object: &'a LiveObject, key: &str) -> &'a str {
    text(&object.value, &["metadata", "labels", key])
}

/// `namespace/name`, or the name alone.
fn qualified(identity: &Identity) -> String {
    match &identity.namespace {
        Some(namespace) => format!("{namespace}/{}", identity.name),
        None => identity.name.to_string(),
    }
}

/// A URL without the user, which may be a token, for people to read.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(user) => format!("{scheme}://{}", &rest[user + 1..]),
        None => url.to_owned(),
    }
}

/// A folder of a repository without `./`, `/` at its ends and empty parts; `None` where it leads
/// out of the repository.
fn folder(path: &str) -> Option<String> {
    let parts = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect::<Vec<_>>();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// The first few of many names.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let rest = names.len().saturating_sub(SHOWN);
    let mut shown: Vec<&str> = names.take(SHOWN).collect();
    let more = format!("{rest} more");
    if rest > 0 {
        shown.push(&more);
    }
    shown.join(", ")
}

/// A rule about exactly one object.
fn ignore_object(name: String, object: &Identity, what: Ignored) -> Ignore {
    let exact = |text: &str| Some(globset::escape(text));
    Ignore {
        name,
        group: exact(&object.group),
        kind: exact(&object.kind),
        namespace: object.namespace.as_deref().and_then(exact),
        object_name: exact(&object.name),
        what,
        accepted: None,
    }
}
