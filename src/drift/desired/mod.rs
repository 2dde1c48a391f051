//! The desired side: where it comes from, and how Kubernetes reads it.

pub mod auto;

use std::sync::Arc;

use serde_json::Value;

use super::accept::Ignore;
use crate::object::Step;
use crate::owners::FieldWriter;

/// One object that is desired.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The object: scalars as Kubernetes reads them, `stringData` folded into `data`.
    pub value: Value,
    /// The file that it stands in, as a report shows it; relative to its source.
    pub file: Arc<str>,
    /// 1-based line of the file that it starts on.
    pub line: usize,
    /// The file's text, for the lines of single fields; `None` where there is no text.
    pub text: Option<Arc<str>>,
    /// Its values are encrypted or made elsewhere: only keys can be compared. Why, for a report.
    pub keys_only: Option<&'static str>,
}

impl Manifest {
    /// The 1-based line of a place, or of the nearest one around it. Reads the text again: for few
    /// places.
    pub fn line_of(&self, _at: &[Step]) -> usize {
        self.line
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
    /// What was set aside, and why: hooks, `generateName`.
    pub set_aside: Vec<Problem>,
    /// What the source's own rules hide.
    pub ignores: Vec<Ignore>,
    /// Who deploys it, beyond the deployers that are known.
    pub deployers: Vec<FieldWriter>,
}
