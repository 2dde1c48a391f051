//! The part of a rule's match that a type leaves open.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::matching::{Asked, Fit};
use super::rules::{Rule, RuleName};
use crate::object::{ApiType, ObjectKey, RawObject};

/// A rule that is about a type, and what is to be asked of the type's objects.
#[derive(Clone)]
pub(super) struct Condition {
    rule: Arc<Rule>,
    /// Which of the rule's `not` can hold for objects of the type.
    not: Vec<usize>,
}

impl Condition {
    /// Returns `None` where the rule is not about the type at all.
    pub(super) fn new(rule: &Arc<Rule>, api_type: &ApiType) -> Option<Self> {
        if !rule.matches.fits_type(api_type) {
            return None;
        }
        let mut not = Vec::new();
        for (at, exception) in rule.not.iter().enumerate() {
            if exception.fits_type(api_type) {
                if exception.type_decides() {
                    return None;
                }
                not.push(at);
            }
        }
        Some(Self {
            rule: Arc::clone(rule),
            not,
        })
    }

    pub(super) fn always_holds(&self) -> bool {
        self.not.is_empty() && self.rule.matches.type_decides()
    }

    /// Whether the rule is about this object.
    ///
    /// `Unknown` where that hangs on a `when` that gave neither true nor false; it is counted.
    pub(super) fn holds(&self, object: &RawObject, key: &ObjectKey) -> Fit {
        let mut fit = self.rule.matches.fits_object(object, key);
        if fit != Fit::No {
            for &at in &self.not {
                match self.rule.not[at].fits_object(object, key) {
                    Fit::Yes => return Fit::No,
                    Fit::Unknown => fit = Fit::Unknown,
                    Fit::No => {}
                }
            }
        }
        if fit == Fit::Unknown {
            self.rule.undecided.fetch_add(1, Ordering::Relaxed);
        }
        fit
    }

    pub(super) fn rule(&self) -> &RuleName {
        &self.rule.name
    }

    pub(super) fn drops(&self) -> bool {
        self.rule.drop
    }

    /// What to ask the server for, to get what the rule is not about; empty where no selector can
    /// say it.
    pub(super) fn all_but_fitting(&self) -> Vec<Asked> {
        match &self.not[..] {
            [] => self.rule.matches.all_but_fitting(),
            [one] if self.rule.matches.type_decides() => {
                self.rule.not[*one].only_fitting().unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// What to ask the server for, to get what the rule is about; `None` where no selector can
    /// say it.
    pub(super) fn only_fitting(&self) -> Option<Vec<Asked>> {
        match &self.not[..] {
            [] => self.rule.matches.only_fitting(),
            _ => None,
        }
    }
}
