//! The desired side: where it comes from, and how Kubernetes reads it.
//!
//! In goes a [`Source`], out comes a [`Desired`]: what could not be read is a [`Problem`] in it, and
//! the rest is there all the same.

pub mod auto;

mod fetch;
mod files;
mod git;
mod packed;
mod read;
mod render;
mod secrets;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use packed::Packed;
use serde_json::Value;

use super::accept::Ignore;
use crate::canonical;
use crate::object::Step;
use crate::owners::FieldWriter;

pub use fetch::{RenderContext, read_source};
pub use git::{GitAccess, GitError, Revision};
pub use read::{Read, read};
pub use render::RenderError;
pub use secrets::is_encrypted;
pub use source::{GitPlace, HelmOptions, Source, SourceError, SourceKind, Tree};

/// One object that is desired.
#[derive(Clone)]
pub struct Manifest {
    content: Packed,
    api_version: Box<str>,
    identity: Option<Identity>,
    /// The file that it stands in, as a report shows it; relative to its source.
    pub file: Arc<str>,
    /// 1-based line of the file that it starts on.
    pub line: usize,
    /// The text that it stands in, of the file or a part of it, for the lines of single fields;
    /// `None` where there is no text.
    pub text: Option<Arc<str>>,
    /// 1-based line of the file that `text` begins on.
    pub first_line: usize,
    /// Where in the text's first document it stands, if it is an element of a List.
    pub within: Vec<Step>,
    /// Its values are encrypted or made elsewhere: only keys can be compared. Why, for a report.
    pub keys_only: Option<&'static str>,
    /// With `keys_only`: there are more keys than it has, and which ones is not known.
    pub keys_unknown: bool,
}

impl Manifest {
    /// A manifest without text: every place in it is on the line that it starts on.
    pub fn new(value: &Value, file: Arc<str>, line: usize) -> Self {
        let api_version = value.get("apiVersion").and_then(Value::as_str);
        Self {
            content: Packed::new(value),
            api_version: api_version.unwrap_or_default().into(),
            identity: Identity::of(value),
            file,
            line,
            text: None,
            first_line: 1,
            within: Vec::new(),
            keys_only: None,
            keys_unknown: false,
        }
    }

    /// The object: scalars as Kubernetes reads them, `stringData` folded into `data`. It is parsed
    /// anew where nobody holds it.
    pub fn value(&self) -> Arc<Value> {
        self.content.value()
    }

    /// The same as JSON.
    pub fn json(&self) -> &[u8] {
        self.content.json()
    }

    /// Changes the object; it stays at its place.
    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value = Arc::unwrap_or_clone(self.value());
        change(&mut value);
        let new = Self::new(&value, self.file.clone(), self.line);
        self.content = new.content;
        self.api_version = new.api_version;
        self.identity = new.identity;
    }

    /// Which object it is, as written; `None` without a name.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// API group (empty for the core group) and version, as written.
    pub fn group_version(&self) -> (&str, &str) {
        let version = &*self.api_version;
        version.split_once('/').unwrap_or(("", version))
    }

    /// Whether it stands for a Secret that a controller makes of another object.
    pub fn is_derived(&self) -> bool {
        self.keys_only.is_some_and(|why| why != secrets::SOPS)
    }

    /// The 1-based line of a place, or of the nearest one around it. Reads the text again: of many
    /// places of one object, ask [`Manifest::lines`].
    pub fn line_of(&self, at: &[Step]) -> usize {
        self.lines().of(at)
    }

    /// The lines of its places.
    pub fn lines(&self) -> ManifestLines<'_> {
        ManifestLines {
            manifest: self,
            places: self.text.as_deref().map(canonical::Places::read),
        }
    }
}

/// The lines of a manifest's places: the text is read once.
pub struct ManifestLines<'m> {
    manifest: &'m Manifest,
    places: Option<canonical::Places<'m>>,
}

impl ManifestLines<'_> {
    /// The 1-based line of a place, or of the nearest one around it.
    pub fn of(&self, at: &[Step]) -> usize {
        let manifest = self.manifest;
        let within = manifest.within.len();
        let line_of = |at: &[Step]| {
            let mut steps = manifest.within.clone();
            steps.extend_from_slice(at);
            let found = self.places.as_ref()?.line_of(&steps);
            found.filter(|found| found.steps >= within)
        };
        let mut found = line_of(at);
        // What was folded into a Secret's `data` may stand in its `stringData`, which wins.
        if let [Step::Key(first), rest @ ..] = at
            && &**first == "data"
            && manifest
                .identity()
                .is_some_and(|identity| &*identity.kind == "Secret")
        {
            let folded = [&[Step::Key("stringData".into())], rest].concat();
            let other = line_of(&folded).filter(|found| found.steps > within + 1);
            found = other.or(found);
        }
        found.map_or(manifest.line, |found| manifest.first_line + found.line - 1)
    }
}

/// Without what the object holds: it may be a Secret.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("object", &self.identity())
            .field("file", &self.file)
            .field("line", &self.line)
            .field("keys_only", &self.keys_only)
            .finish_non_exhaustive()
    }
}

/// Why something could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to its source.
    pub file: Option<Arc<str>>,
    /// 1-based.
    pub line: Option<usize>,
    /// What failed, and what to do. Holds no value of a file.
    pub reason: String,
    /// The object, where it is known: `(group, kind, namespace, name)`.
    pub object: Option<Identity>,
}

/// Which object, whatever its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// API group; empty for the core group.
    pub group: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Namespace; `None` for objects of cluster-scoped types.
    pub namespace: Option<Box<str>>,
    /// Name.
    pub name: Box<str>,
}

impl Identity {
    /// Which object a value is, as it says itself; `None` without a kind or name.
    pub fn of(value: &Value) -> Option<Self> {
        let text = |place: Option<&Value>| {
            let text = place.and_then(Value::as_str).unwrap_or_default();
            (!text.is_empty()).then(|| Box::<str>::from(text))
        };
        let metadata = value.get("metadata");
        let of_metadata = |name: &str| text(metadata.and_then(|metadata| metadata.get(name)));
        let version = value.get("apiVersion").and_then(Value::as_str)?;
        Some(Self {
            group: version
                .split_once('/')
                .map_or("", |(group, _)| group)
                .into(),
            kind: text(value.get("kind"))?,
            namespace: of_metadata("namespace"),
            name: of_metadata("name")?,
        })
    }
}

/// What one source desires.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// Its name, unique in a report.
    pub name: String,
    /// What it is: `directory`, `git`, `kustomize`, `helm`, `file`, `stdin`, `argocd`, `flux`,
    /// `helm-release`.
    pub kind: &'static str,
    /// Where, without credentials.
    pub location: String,
    /// The revision that `manifests` are of.
    pub revision: Option<String>,
    /// The namespace of manifests that name none.
    pub namespace: Option<Box<str>>,
    /// The objects, as they were last applied where that is known.
    pub manifests: Vec<Manifest>,
    /// The objects as they will be applied next, where that is known to be another revision.
    pub head: Option<Vec<Manifest>>,
    /// The revision that `head` is of.
    pub head_revision: Option<String>,
    /// What could not be read or rendered.
    pub problems: Vec<Problem>,
    /// Objects that the source is known to own although their manifests could not be read: they are
    /// `Unknown`, not `Extra`.
    pub owned: Vec<Identity>,
    /// Whether `owned` names all that is live of what could not be read: nothing else that is live
    /// can be declared there.
    pub bounded: bool,
    /// What was set aside, and why: hooks, `generateName`.
    pub set_aside: Vec<Problem>,
    /// What the source's own rules hide.
    pub ignores: Vec<Ignore>,
    /// Who deploys it, beyond the deployers that are known.
    pub deployers: Vec<FieldWriter>,
}
