//! The rules of one type, applied to its objects. The hot path.

use super::autoscale::Autoscaled;
use super::digest::DigestKey;
use super::path::FieldPath;
use super::plan::Condition;
use super::prune::{Anywhere, Tree};
use super::redact::{Encoding, Redactor};
use super::rules::RuleName;
use crate::object::{ObjectKey, RawObject};
use crate::owners::ManagedFields;

/// What the rules mean for one type.
pub struct TypeRules {
    /// For the server; leaves out only objects that [`TypeRules::apply`] drops as well, so a
    /// server that ignores it changes nothing but the cost.
    pub label_selector: Option<String>,
    /// As [`TypeRules::label_selector`], over fields.
    pub field_selector: Option<String>,
    pub(super) drops: Vec<Condition>,
    pub(super) always: Actions,
    pub(super) sometimes: Vec<(Condition, Actions)>,
}

/// What is taken from an object that stays.
#[derive(Default)]
pub(super) struct Actions {
    pub(super) prune: Tree,
    pub(super) prune_by_owner: Tree,
    /// While an autoscaler scales the object.
    pub(super) prune_while_autoscaled: Tree,
    pub(super) redact: Vec<Redaction>,
}

pub(super) struct Redaction {
    pub(super) rule: RuleName,
    pub(super) path: FieldPath,
    pub(super) encoding: Encoding,
}

/// What becomes of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is recorded as it is now.
    Keep {
        /// How many of its values are digests.
        digested: usize,
    },
    /// It is not recorded. What it holds now is unspecified and must not be written anywhere.
    Drop {
        /// The rule that says so.
        rule: RuleName,
    },
}

/// What the rules need to know beside the object itself (invariant 2 of the design).
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The key of the digests.
    pub digest_key: &'a DigestKey,
    /// The workloads whose replicas an autoscaler sets.
    pub autoscaled: &'a Autoscaled,
}

impl TypeRules {
    /// Whether what becomes of an object depends on [`Context::autoscaled`].
    pub fn depends_on_autoscalers(&self) -> bool {
        self.sometimes
            .iter()
            .map(|(_, actions)| actions)
            .chain([&self.always])
            .any(|actions| !actions.prune_while_autoscaled.is_empty())
    }

    /// Takes from `object` what does not belong into its file.
    ///
    /// `key` is the object's own, of the type that the rules were compiled for.
    pub fn apply(&self, object: &mut RawObject, key: &ObjectKey, context: &Context<'_>) -> Verdict {
        self.apply_observed(object, key, context, &mut |_| {})
    }

    /// As [`TypeRules::apply`]; tells `hit` the rule of each field that is removed or replaced.
    pub fn apply_observed(
        &self,
        object: &mut RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
        hit: &mut dyn FnMut(&RuleName),
    ) -> Verdict {
        for condition in &self.drops {
            if condition.holds(object, key) {
                return Verdict::Drop {
                    rule: condition.rule().clone(),
                };
            }
        }
        // Conditions see the object as the server sent it, so all are asked before any action.
        let fitting: Vec<&Actions> = self
            .sometimes
            .iter()
            .filter(|(condition, _)| condition.holds(object, key))
            .map(|(_, actions)| actions)
            .collect();
        let actions = || fitting.iter().copied().chain([&self.always]);
        if actions().any(|actions| !actions.prune_by_owner.is_empty()) {
            // Without readable managedFields nobody is known to have asked for anything.
            let managed_fields = object
                .managed_fields
                .as_deref()
                .and_then(|raw| ManagedFields::parse(raw).ok())
                .unwrap_or(ManagedFields::none());
            for actions in actions() {
                let root = managed_fields.root();
                actions.prune_by_owner.prune(&mut object.value, &root, hit);
            }
        }
        if actions().any(|actions| !actions.prune_while_autoscaled.is_empty())
            && context.autoscaled.contains(key)
        {
            for actions in actions() {
                let tree = &actions.prune_while_autoscaled;
                tree.prune(&mut object.value, &Anywhere, hit);
            }
        }
        for actions in actions() {
            actions.prune.prune(&mut object.value, &Anywhere, hit);
        }
        let mut digested = 0;
        if actions().any(|actions| !actions.redact.is_empty()) {
            let object_path = key.path();
            for redaction in actions().flat_map(|actions| &actions.redact) {
                let mut redactor = Redactor {
                    key: context.digest_key,
                    object_path: &object_path,
                    encoding: redaction.encoding,
                    place: String::new(),
                    digested: 0,
                };
                redactor.walk(redaction.path.segments(), &mut object.value);
                if redactor.digested > 0 {
                    hit(&redaction.rule);
                }
                digested += redactor.digested;
            }
        }
        Verdict::Keep { digested }
    }
}
