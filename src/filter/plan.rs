//! From the rules to what one type needs.

use std::sync::Arc;

use super::apply::{Actions, Redaction, TypeRules};
use super::matching::Excluded;
use super::prune::Leaf;
use super::rules::{Rule, RuleName};
use crate::object::{ApiType, ObjectKey, RawObject};

/// What becomes of a type's objects.
pub enum TypePlan {
    /// Not recorded, hence not watched, and never *unknown*.
    Dropped {
        /// The rule that says so.
        rule: RuleName,
    },
    /// Watched, each object by these rules.
    Watched(Box<TypeRules>),
}

/// The part of a rule's match that a type leaves open.
pub(super) struct Condition {
    rule: Arc<Rule>,
    /// Which of the rule's `not` can hold for objects of the type.
    not: Vec<usize>,
}

impl Condition {
    /// Returns `None` where the rule is not about the type at all.
    fn new(rule: &Arc<Rule>, api_type: &ApiType) -> Option<Self> {
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

    fn always_holds(&self) -> bool {
        self.not.is_empty() && self.rule.matches.type_decides()
    }

    pub(super) fn holds(&self, object: &RawObject, key: &ObjectKey) -> bool {
        self.rule.matches.fits_object(object, key)
            && !self
                .not
                .iter()
                .any(|&at| self.rule.not[at].fits_object(object, key))
    }

    pub(super) fn rule(&self) -> &RuleName {
        &self.rule.name
    }
}

/// Compiles `rules` for `api_type`.
pub(super) fn compile(rules: &[Arc<Rule>], api_type: &ApiType) -> TypePlan {
    let mut always = Actions::default();
    let mut sometimes = Vec::new();
    let mut drops = Vec::new();
    let mut labels = Vec::new();
    let mut fields = Vec::new();
    for rule in rules {
        let Some(condition) = Condition::new(rule, api_type) else {
            continue;
        };
        if !rule.drop {
            if condition.always_holds() {
                add(&mut always, rule);
            } else {
                let mut actions = Actions::default();
                add(&mut actions, rule);
                sometimes.push((condition, actions));
            }
            continue;
        }
        if condition.always_holds() {
            return TypePlan::Dropped {
                rule: rule.name.clone(),
            };
        }
        if condition.not.is_empty() {
            for excluded in rule.matches.excluded_by_server() {
                match excluded {
                    Excluded::Label(requirement) => labels.push(requirement),
                    Excluded::Field(requirement) => fields.push(requirement),
                }
            }
        }
        drops.push(condition);
    }
    let joined =
        |requirements: Vec<String>| (!requirements.is_empty()).then(|| requirements.join(","));
    TypePlan::Watched(Box::new(TypeRules {
        label_selector: joined(labels),
        field_selector: joined(fields),
        drops,
        always,
        sometimes,
    }))
}

fn add(actions: &mut Actions, rule: &Rule) {
    for path in &rule.prune {
        actions.prune.add(path, Leaf::always(&rule.name));
    }
    for field in &rule.prune_unless_asked_for {
        let leaf = Leaf::unless_asked_for(&rule.name, &field.keep);
        actions.prune_by_owner.add(&field.path, leaf);
    }
    for path in &rule.prune_while_autoscaled {
        let leaf = Leaf::always(&rule.name);
        actions.prune_while_autoscaled.add(path, leaf);
    }
    if let Some(written_by) = &rule.prune_written_by {
        for path in &written_by.paths {
            let leaf = Leaf::written_by(&rule.name, &written_by.managers);
            actions.prune_by_owner.add(path, leaf);
        }
    }
    for field in &rule.redact {
        actions.redact.push(Redaction {
            rule: rule.name.clone(),
            path: field.path.clone(),
            encoding: field.encoding,
        });
    }
}
