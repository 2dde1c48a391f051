//! What of an object goes into its file.
//!
//! The rules are data (`filters/*.yaml`). [`Rules::plan`] compiles them for one type: whether it
//! is watched at all, what the server is asked to leave out, and [`TypeRules`], which takes away
//! from each object what is not intent and replaces Secret values by keyed digests.
//!
//! ```text
//! rules ──plan(type)──▶ Dropped | Watched(selectors, TypeRules) ──apply(object)──▶ Keep | Drop
//! ```
//!
//! Pure: no I/O, no clock, no randomness.

mod apply;
mod autoscale;
mod digest;
mod matching;
mod path;
mod plan;
mod prune;
mod redact;
mod rules;
mod selector;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

pub use apply::{Context, TypeRules, Verdict};
pub use autoscale::{Autoscaled, ScaleTarget, is_autoscaler, scale_target};
pub use digest::{DigestKey, DigestKeyError};
pub use path::{FieldPath, FieldPathError, Segment};
pub use plan::TypePlan;
pub use rules::{RuleInfo, RuleName, Rules, RulesError};
pub use selector::{LabelSelector, SelectorError};
