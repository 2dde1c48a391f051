//! The rule files: their shape, and what they say.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::matching::Match;
use super::path::FieldPath;
use super::plan::{self, TypePlan};
use super::redact::Encoding;
use crate::object::ApiType;

const CORE: &str = include_str!("../../filters/core.yaml");

/// A rule's name, as trailers, logs and `explain` show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub struct RuleName(Arc<str>);

impl RuleName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for RuleName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user is told of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleInfo<'a> {
    /// Its name.
    pub name: &'a RuleName,
    /// Why it is.
    pub reason: &'a str,
    /// The page that says so.
    pub see: &'a str,
}

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not a file of rules.
    #[error("failed to read the rules")]
    Read(#[source] serde_yaml::Error),
    /// Two rules of one name.
    #[error("two rules are named '{rule}'")]
    Duplicate {
        /// Their name.
        rule: RuleName,
    },
    /// A rule without an action, or one that drops and does more.
    #[error("rule '{rule}' needs actions, and 'drop' stands alone")]
    Actions {
        /// Its name.
        rule: RuleName,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rules: Vec<Rule>,
}

/// One rule as its file has it. `filters/core.yaml` begins with a description of the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) name: RuleName,
    pub(super) reason: String,
    /// Where Kubernetes says so.
    pub(super) see: String,
    #[serde(default, rename = "match")]
    pub(super) matches: Match,
    #[serde(default)]
    pub(super) not: Vec<Match>,
    #[serde(default)]
    pub(super) drop: bool,
    #[serde(default)]
    pub(super) prune: Vec<FieldPath>,
    #[serde(default)]
    pub(super) prune_unless_asked_for: Vec<AllocatedField>,
    #[serde(default)]
    pub(super) prune_while_autoscaled: Vec<FieldPath>,
    #[serde(default)]
    pub(super) prune_written_by: Option<WrittenBy>,
    #[serde(default)]
    pub(super) redact: Vec<RedactedField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllocatedField {
    pub(super) path: FieldPath,
    /// Values that no allocator gives.
    #[serde(default)]
    pub(super) keep: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenBy {
    pub(super) managers: Vec<String>,
    pub(super) paths: Vec<FieldPath>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedactedField {
    pub(super) path: FieldPath,
    #[serde(default)]
    pub(super) encoding: Encoding,
}

impl Rule {
    fn is_sound(&self) -> bool {
        let changes = !self.prune.is_empty()
            || !self.prune_unless_asked_for.is_empty()
            || !self.prune_while_autoscaled.is_empty()
            || self.prune_written_by.is_some()
            || !self.redact.is_empty();
        self.drop != changes
    }
}

/// A set of rules, ready to be compiled per type.
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    fingerprint: String,
}

impl Rules {
    /// The rules that every mirror follows, embedded from `filters/core.yaml`.
    ///
    /// # Panics
    ///
    /// Never: a test reads them.
    pub fn core() -> Self {
        Self::parse(CORE).expect("the embedded rules are read by a test")
    }

    /// Reads a file of rules.
    pub fn parse(yaml: &str) -> Result<Self, RulesError> {
        let file: RuleFile = serde_yaml::from_str(yaml).map_err(RulesError::Read)?;
        for (at, rule) in file.rules.iter().enumerate() {
            if file.rules[..at].iter().any(|other| other.name == rule.name) {
                return Err(RulesError::Duplicate {
                    rule: rule.name.clone(),
                });
            }
            if !rule.is_sound() {
                return Err(RulesError::Actions {
                    rule: rule.name.clone(),
                });
            }
        }
        let mut fingerprint = String::new();
        for byte in &Sha256::digest(yaml.as_bytes())[..8] {
            // Writing to a String cannot fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        Ok(Self {
            rules: file.rules.into_iter().map(Arc::new).collect(),
            fingerprint,
        })
    }

    /// Compiles the rules for one type. Ask once per type, not per object.
    pub fn plan(&self, api_type: &ApiType) -> TypePlan {
        plan::compile(&self.rules, api_type)
    }

    /// The rule that drops a group whole, whatever its resources are called.
    ///
    /// For groups whose discovery fails: such a group is dropped, not *unknown*.
    pub fn drops_group(&self, group: &str) -> Option<&RuleName> {
        self.rules
            .iter()
            .find(|rule| rule.drop && rule.not.is_empty() && rule.matches.fits_group(group))
            .map(|rule| &rule.name)
    }

    /// All rules, in order.
    pub fn iter(&self) -> impl Iterator<Item = RuleInfo<'_>> {
        self.rules.iter().map(|rule| RuleInfo {
            name: &rule.name,
            reason: &rule.reason,
            see: &rule.see,
        })
    }

    /// The paths that are removed from every object of a type.
    #[cfg(test)]
    pub(super) fn pruned_paths(&self, api_type: &ApiType) -> Vec<&FieldPath> {
        self.rules
            .iter()
            .filter(|rule| rule.matches.fits_type(api_type) && rule.matches.type_decides())
            .flat_map(|rule| &rule.prune)
            .collect()
    }

    /// 16 hex digits of the SHA-256 of the rules' text.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
