//! The rules of one type, applied to its objects. The hot path.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::autoscale::Autoscaled;
use super::condition::Condition;
use super::digest::DigestKey;
use super::matching::Fit;
use super::observe::{Names, Observer, Silent};
use super::prune::{Act, Pruner, Tree};
use super::redact::{Decided, Encoding, Redactor, Treatment};
use super::rules::{Rule, RuleName, SecretMode, SortedList, Target};
use super::sort;
use crate::object::{ObjectKey, RawObject};
use crate::owners::ManagedFields;

/// What the rules mean for one type.
pub struct TypeRules {
    /// For the server; leaves out only objects that [`TypeRules::apply`] drops as well, so a
    /// server that ignores it changes nothing but the cost.
    pub label_selector: Option<String>,
    /// As [`TypeRules::label_selector`], over fields.
    pub field_selector: Option<String>,
    /// Rules that drop or save objects, in order; the last that fits decides.
    pub(super) gates: Vec<Gate>,
    /// What the rules of the rest ask of an object, by slot.
    pub(super) conditions: Vec<Condition>,
    pub(super) tree: Tree,
    pub(super) sortings: Vec<Sorting>,
    /// The last rule first: it decides.
    pub(super) redactions: Vec<Redaction>,
    pub(super) large: Vec<Large>,
}

/// A rule that drops objects or saves them from rules before it.
pub(super) struct Gate(pub(super) Condition);

impl Gate {
    pub(super) fn drops(&self) -> bool {
        self.0.drops()
    }
}

pub(super) struct Sorting {
    pub(super) rule: Arc<Rule>,
    pub(super) list: usize,
    pub(super) slot: Option<usize>,
}

impl Sorting {
    pub(super) fn list(&self) -> &SortedList {
        &self.rule.sort[self.list]
    }
}

pub(super) struct Redaction {
    pub(super) rule: RuleName,
    pub(super) target: Target,
    pub(super) encoding: Encoding,
    pub(super) mode: SecretMode,
    pub(super) slot: Option<usize>,
}

pub(super) struct Large {
    pub(super) rule: RuleName,
    pub(super) target: Target,
    pub(super) treatment: Treatment,
    pub(super) slot: Option<usize>,
}

/// What becomes of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is recorded as it is now.
    Keep {
        /// How many of its values are digests.
        digested: usize,
        /// Whether its `data` or `stringData` holds values in plaintext that must be encrypted
        /// before the file is written anywhere.
        seal: bool,
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

/// Which rules decide on an object as a whole.
pub(super) struct Passage<'r> {
    pub(super) dropped_by: Option<&'r RuleName>,
    /// The rule that saved it from one before.
    pub(super) kept_by: Option<&'r RuleName>,
}

impl TypeRules {
    /// The names of the rules that have a word in what becomes of an object, each once.
    pub fn rules(&self) -> BTreeSet<&RuleName> {
        let mut names: BTreeSet<&RuleName> = BTreeSet::new();
        names.extend(self.gates.iter().map(|gate| gate.0.rule()));
        names.extend(self.conditions.iter().map(Condition::rule));
        names.extend(self.tree.rules());
        names.extend(self.sortings.iter().map(|sorting| &sorting.rule.name));
        names.extend(self.redactions.iter().map(|redaction| &redaction.rule));
        names.extend(self.large.iter().map(|large| &large.rule));
        names
    }

    /// Whether what becomes of an object depends on [`Context::autoscaled`].
    pub fn depends_on_autoscalers(&self) -> bool {
        self.tree
            .any(&|leaf| matches!(leaf.act, Act::PruneWhileAutoscaled))
    }

    /// Takes from `object` what does not belong into its file.
    ///
    /// `key` is the object's own, of the type that the rules were compiled for.
    pub fn apply(&self, object: &mut RawObject, key: &ObjectKey, context: &Context<'_>) -> Verdict {
        self.filter(object, key, context, &mut Silent)
    }

    /// As [`TypeRules::apply`]; tells `hit` the rule of each field that is removed, replaced or
    /// saved.
    pub fn apply_observed(
        &self,
        object: &mut RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
        hit: &mut dyn FnMut(&RuleName),
    ) -> Verdict {
        self.filter(object, key, context, &mut Names(hit))
    }

    pub(super) fn filter<O: Observer>(
        &self,
        object: &mut RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
        observer: &mut O,
    ) -> Verdict {
        if let Some(rule) = self.passage(object, key).dropped_by {
            return Verdict::Drop { rule: rule.clone() };
        }
        // Conditions see the object as the server sent it, so all are asked before any action.
        let holds = self.holding(object, key);
        let fields = object.managed_fields.as_deref();
        self.act(&mut object.value, fields, key, context, &holds, observer)
    }

    /// Does to an object that is kept what the rules say.
    pub(super) fn act<O: Observer>(
        &self,
        object: &mut Value,
        managed_fields: Option<&RawValue>,
        key: &ObjectKey,
        context: &Context<'_>,
        holds: &[Fit],
        observer: &mut O,
    ) -> Verdict {
        self.prune(object, managed_fields, key, context, holds, observer);
        self.sort(object, holds, observer);
        let (mut digested, mut sealed) = (0, 0);
        if !self.redactions.is_empty() || !self.large.is_empty() {
            (digested, sealed) = self.redact(object, key, context, holds, false, observer);
            digested += self.digest_large(object, key, context, holds, observer);
        }
        Verdict::Keep {
            digested,
            seal: sealed > 0,
        }
    }

    /// The last rule that drops or saves the object decides; of several drops in a row the first
    /// is named.
    pub(super) fn passage(&self, object: &RawObject, key: &ObjectKey) -> Passage<'_> {
        let mut passage = Passage {
            dropped_by: None,
            kept_by: None,
        };
        for Gate(condition) in &self.gates {
            // Only a change is worth asking for.
            if condition.drops() == passage.dropped_by.is_some() {
                continue;
            }
            let fit = condition.holds(object, key);
            if condition.drops() {
                if fit == Fit::Yes {
                    passage.dropped_by = Some(condition.rule());
                }
            } else if fit != Fit::No {
                // What cannot be decided is recorded rather than lost.
                passage.dropped_by = None;
                passage.kept_by = Some(condition.rule());
            }
        }
        passage
    }

    pub(super) fn holding(&self, object: &RawObject, key: &ObjectKey) -> Vec<Fit> {
        self.conditions
            .iter()
            .map(|condition| condition.holds(object, key))
            .collect()
    }

    pub(super) fn prune<O: Observer>(
        &self,
        object: &mut Value,
        managed_fields: Option<&RawValue>,
        key: &ObjectKey,
        context: &Context<'_>,
        holds: &[Fit],
        observer: &mut O,
    ) {
        // Without readable managedFields nobody is known to have asked for anything.
        let managed_fields = managed_fields
            .filter(|_| self.tree.asks_owners(holds))
            .and_then(|raw| ManagedFields::parse(raw).ok())
            .unwrap_or(ManagedFields::none());
        let mut pruner = Pruner {
            holds,
            autoscaled: context.autoscaled.contains(key),
            observer,
        };
        pruner.prune(&self.tree, object, &managed_fields.root());
    }

    pub(super) fn sort<O: Observer>(&self, object: &mut Value, holds: &[Fit], observer: &mut O) {
        for sorting in &self.sortings {
            if fits(holds, sorting.slot) == Fit::Yes {
                let list = sorting.list();
                sort::sort(list, &sorting.rule.name, object, observer);
            }
        }
    }

    /// Replaces what is secret, or hides it from a person; returns how many values are digests,
    /// and how many are left to encryption.
    pub(super) fn redact<O: Observer>(
        &self,
        object: &mut Value,
        key: &ObjectKey,
        context: &Context<'_>,
        holds: &[Fit],
        hide: bool,
        observer: &mut O,
    ) -> (usize, usize) {
        let (mut digested, mut sealed) = (0, 0);
        let several = self
            .redactions
            .windows(2)
            .any(|pair| pair[0].rule != pair[1].rule);
        let mut decided = several.then(Decided::default);
        let object_path = key.path();
        for redaction in &self.redactions {
            // What cannot be decided is redacted rather than shown; but not laid open.
            let wanted = match fits(holds, redaction.slot) {
                Fit::Yes => true,
                Fit::Unknown => redaction.mode != SecretMode::Plain,
                Fit::No => false,
            };
            if !wanted {
                continue;
            }
            let mut redactor = Redactor {
                key: context.digest_key,
                object_path: &object_path,
                rule: &redaction.rule,
                target: &redaction.target,
                encoding: redaction.encoding,
                treatment: if hide {
                    Treatment::Hidden(redaction.mode)
                } else {
                    Treatment::Secret(redaction.mode)
                },
                decided: decided.as_mut(),
                observer,
                place: String::new(),
                digested: 0,
                sealed: 0,
            };
            redactor.run(object);
            digested += redactor.digested;
            sealed += redactor.sealed;
        }
        (digested, sealed)
    }

    /// Returns how many values became digests for their size.
    pub(super) fn digest_large<O: Observer>(
        &self,
        object: &mut Value,
        key: &ObjectKey,
        context: &Context<'_>,
        holds: &[Fit],
        observer: &mut O,
    ) -> usize {
        let mut digested = 0;
        let object_path = key.path();
        for large in &self.large {
            if fits(holds, large.slot) != Fit::Yes {
                continue;
            }
            let mut redactor = Redactor {
                key: context.digest_key,
                object_path: &object_path,
                rule: &large.rule,
                target: &large.target,
                encoding: Encoding::None,
                treatment: large.treatment,
                decided: None,
                observer,
                place: String::new(),
                digested: 0,
                sealed: 0,
            };
            redactor.run(object);
            digested += redactor.digested;
        }
        digested
    }
}

/// Whether the condition in a slot holds.
pub(super) fn fits(holds: &[Fit], slot: Option<usize>) -> Fit {
    slot.map_or(Fit::Yes, |slot| {
        holds.get(slot).copied().unwrap_or(Fit::Unknown)
    })
}
