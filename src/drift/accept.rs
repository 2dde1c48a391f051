//! Differences that somebody accepted, or that a deployer is told to ignore.
//!
//! One form for all of them: Argo CD's `ignoreDifferences`, Flux's `ignore`, opt-outs of single
//! objects, and the `accept` file. Pure.

use crate::filter::FieldPath;
use crate::object::Step;

use super::report::FieldClass;

/// Which differences a rule hides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ignore {
    /// Whose rule it is, as reports show it: `Argo CD Application argocd/shop, ignoreDifferences[1]`.
    pub name: String,
    /// Group of the objects; `None` for any. A glob.
    pub group: Option<String>,
    /// Kind of the objects; `None` for any. A glob.
    pub kind: Option<String>,
    /// Namespace of the objects; `None` for any. A glob.
    pub namespace: Option<String>,
    /// Name of the objects; `None` for any. A glob.
    pub object_name: Option<String>,
    /// What of the objects.
    pub what: Ignored,
    /// Why, and until when, where somebody accepted it: shown in brackets after `accepted`.
    pub accepted: Option<Accepted>,
}

/// What of an object is hidden.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Ignored {
    /// All of it, whatever its class.
    #[default]
    Object,
    /// That it is live and not desired.
    Extra,
    /// These places and what lies in them.
    Paths(Vec<Place>),
    /// What these field managers own.
    Managers(Vec<String>),
    /// Every difference of these classes.
    Classes(Vec<FieldClass>),
}

/// A place that a rule names.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// By keys.
    Path(FieldPath),
    /// By a JSON pointer (RFC 6901), whose list positions are those of the live object, or of the
    /// desired one where live has none.
    Pointer(Vec<Step>),
}

/// Who accepted a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The last day, `2026-12-31`.
    pub until: Option<String>,
}
