//! What of an object goes into its file.
//!
//! The rules are data: `filters/core.yaml`, the presets beside it, and the user's files.
//! [`Rules::assemble`] makes one set of them. [`Rules::plan`] compiles it for one type: whether it
//! is watched at all, what the server is asked to leave out, and [`TypeRules`], which takes away
//! from each object what is not intent and replaces Secret values by keyed digests.
//!
//! ```text
//! rules ──plan(type)──▶ Dropped | Watched(selectors, TypeRules) ──apply(object)──▶ Keep | Drop
//! ```
//!
//! Pure: no I/O, no clock, no randomness.

mod apply;
mod assemble;
mod autoscale;
mod condition;
mod digest;
mod explain;
mod masks;
mod matching;
mod observe;
mod path;
mod plan;
mod presets;
mod prune;
mod redact;
mod rules;
mod selector;
mod sort;
mod when;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod language;
#[cfg(test)]
mod owned;
#[cfg(test)]
mod sets;
#[cfg(test)]
mod tests;

pub use apply::{Context, TypeRules, Verdict};
pub use assemble::{RuleInfo, RuleLayer, Rules, RulesError, Selection, UserFile};
pub use autoscale::{Autoscaled, ScaleTarget, is_autoscaler, scale_target};
pub use digest::{DigestKey, DigestKeyError, is_redacted};
pub use explain::Explanation;
pub use observe::{Action, Hit};
pub use path::{FieldPath, FieldPathError, Segment};
pub use plan::TypePlan;
pub use presets::{Preset, presets};
pub use rules::{RuleName, SecretMode};
pub use selector::{LabelSelector, SelectorError};
