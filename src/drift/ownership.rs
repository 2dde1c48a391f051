//! Who owns what only live has, and what that makes of it.

use super::compare::Difference;
use super::report::{FieldClass, Severity};
use crate::owners::{Deployers, Shape};

/// What the owners of a place say of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The field's class; `None` where it is no finding at all, for example a known default.
    pub class: Option<FieldClass>,
    /// How bad it is.
    pub severity: Severity,
    /// Index of the writer in [`Shape::writers`]; `None` where Kubernetes does not record one.
    pub writer: Option<usize>,
    /// What hides it (class `Ignored`) or what is known beyond the class: `writer unknown`,
    /// `unowned: admission webhook, or ownership reset`, the trusted controller's name.
    pub rule: Option<String>,
}

/// Judges a difference by the owners of its place in the live object.
pub fn judge(_difference: &Difference, _shape: &Shape, _deployers: &Deployers) -> Judgement {
    Judgement {
        class: Some(FieldClass::Changed),
        severity: Severity::Warning,
        writer: None,
        rule: None,
    }
}
