//! The report of a comparison, and its renderings. Pure.
//!
//! A rendering is a function of the report and [`Options`]. What a cluster or a repository says is
//! hostile: every rendering makes it harmless for where it is shown. Values of a field that is
//! [`secret`](FieldReport::secret) are in none of them, whatever the field holds.

mod escape;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod sarif;
mod tell;
pub mod text;
mod values;

pub(super) use escape::visible;
pub(super) use tell::{attribution, difference};

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the report's JSON form; its schema is `report.schema.json` beside this file.
pub const SCHEMA: &str = "strandline.dev/drift/v1";

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectClass {
    /// Desired and live agree.
    InSync,
    /// They differ.
    Modified,
    /// Desired, and not live.
    Missing,
    /// Live, and known to no source; no controller owns it.
    Extra,
    /// Git is ahead of what was last applied.
    Pending,
    /// Every difference is ignored by a rule.
    Ignored,
    /// It could not be evaluated.
    Unknown,
}

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FieldClass {
    /// Both sides have a value, and they differ.
    Changed,
    /// Desired, and not live.
    Removed,
    /// Live, not desired, and not the deployer's.
    Added,
    /// Live, not desired any more, and still the deployer's.
    PendingRemoval,
    /// Changed in Git since it was last applied.
    Pending,
    /// Desired, but not in the server's schema: the server drops it.
    Dropped,
    /// A rule hides it.
    Ignored,
}

/// How bad a difference is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    #[default]
    Warning,
    /// Wrong.
    Error,
}

/// A whole report; its JSON form is stable. Objects are in the order of source, namespace, kind,
/// name; fields in the order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The live side.
    pub live: LiveInfo,
    /// When the live side was as it is here, RFC 3339 UTC; `None` where nobody knows.
    pub as_of: Option<String>,
    /// The desired side.
    pub sources: Vec<SourceInfo>,
    /// Counts.
    pub summary: Summary,
    /// Every object that is not in sync; those that are, too, where that is asked for.
    pub objects: Vec<ObjectReport>,
    /// What makes the report incomplete: exit code 3.
    pub incomplete: Vec<String>,
    /// What should be looked at: accept rules that expired or never matched.
    pub warnings: Vec<String>,
    /// What each rule hid, in the order of names.
    pub ignored_by: Vec<IgnoredBy>,
}

/// The live side of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveInfo {
    /// `cluster` or `mirror`.
    pub kind: String,
    /// The context's name, or the repository and branch.
    pub name: String,
    /// The mirror's commit.
    pub commit: Option<String>,
    /// The server's version, `v1.36.3`.
    pub server_version: Option<String>,
    /// Of which minor version the tables of defaults are, `1.36`.
    pub defaults: Option<String>,
}

/// One desired source of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceInfo {
    /// Its name.
    pub name: String,
    /// `directory`, `git`, `kustomize`, `helm`, `file`, `stdin`, `argocd`, `flux`, `helm-release`.
    pub kind: String,
    /// Where.
    pub location: String,
    /// The revision that was compared.
    pub revision: Option<String>,
    /// The revision that will be applied next, where it is another.
    pub head_revision: Option<String>,
    /// Objects that it declares.
    pub objects: usize,
    /// Hooks and the like.
    pub set_aside: usize,
}

/// Counts of objects by class, and of fields that could not be compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Objects.
    pub in_sync: usize,
    /// Objects.
    pub modified: usize,
    /// Objects.
    pub missing: usize,
    /// Objects.
    pub extra: usize,
    /// Objects.
    pub pending: usize,
    /// Objects of which every difference is ignored.
    pub ignored: usize,
    /// Objects that could not be evaluated, and sources' problems that name none.
    pub unknown: usize,
    /// Values of Secrets that only a digest key could compare.
    pub not_compared: usize,
    /// How much of what is live some source knows.
    pub coverage: CoverageCount,
}

/// "412 of 430 live objects are known to Git".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageCount {
    /// Live objects that a source declares.
    pub known: usize,
    /// Live objects that some source could declare.
    pub live: usize,
    /// `known` of `live`, 0 to 100, with one decimal; 100 where nothing is live.
    pub percent: f64,
}

/// One object of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// API group; empty for the core group.
    pub group: String,
    /// The desired version; the live one where only live has the object.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// What became of it.
    pub class: ObjectClass,
    /// The source that declares it.
    pub source: Option<String>,
    /// The file of the source; of what only live has, its path in the mirror.
    pub file: Option<String>,
    /// 1-based line that it starts on.
    pub line: Option<usize>,
    /// Its differences.
    pub fields: Vec<FieldReport>,
    /// Why it is of its class, where the fields do not say it.
    pub reason: Option<String>,
    /// `terminating`, `rolling out`, `damped`.
    pub marks: Vec<String>,
}

/// One field of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldReport {
    /// In the syntax of the filters' field paths.
    pub path: String,
    /// What became of it.
    pub class: FieldClass,
    /// How bad that is.
    pub severity: Severity,
    /// The desired value; absent where there is none, or `secret`.
    pub desired: Option<Value>,
    /// The live value; absent where there is none, or `secret`.
    pub live: Option<Value>,
    /// The values are not to be shown: neither they, nor digests, nor lengths.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// The field manager that owns it: a program's name, not a person's. `None` where Kubernetes
    /// records none.
    pub manager: Option<String>,
    /// `Apply` or `Update`.
    pub operation: Option<String>,
    /// For example `scale`.
    pub subresource: Option<String>,
    /// When that manager last wrote the object, RFC 3339.
    pub time: Option<String>,
    /// The rule that hides it, or what else is known of its writer.
    pub rule: Option<String>,
    /// 1-based line in the object's file.
    pub line: Option<usize>,
}

/// Which side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is desired.
    Desired,
    /// What is live.
    Live,
}

impl FieldReport {
    /// A value that may be shown; `None` where there is none, or it is secret.
    pub fn value(&self, side: Side) -> Option<&Value> {
        let value = match side {
            Side::Desired => self.desired.as_ref(),
            Side::Live => self.live.as_ref(),
        };
        value.filter(|_| !self.secret)
    }
}

/// What a rendering shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// With terminal colours; text alone.
    pub color: bool,
    /// Columns that a line should not exceed; text alone.
    pub width: usize,
    /// What rules hide is listed, not just counted.
    pub show_ignored: bool,
}

impl Default for Options {
    /// For a pipe.
    fn default() -> Self {
        Self {
            color: false,
            width: 120,
            show_ignored: false,
        }
    }
}

/// How much one rule hid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IgnoredBy {
    /// Its name.
    pub rule: String,
    /// Fields that it hid.
    pub fields: usize,
    /// Objects that it hid whole.
    pub objects: usize,
}
