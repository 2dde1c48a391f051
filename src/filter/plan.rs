//! From the rules to what one type needs.

use std::sync::Arc;

use super::apply::{Gate, Large, Redaction, Sorting, TypeRules};
use super::condition::Condition;
use super::matching::Asked;
use super::prune::{ALWAYS, Act, Leaf, Tree};
use super::redact::Treatment;
use super::rules::{Rule, RuleName, SecretMode, Target};
use crate::object::ApiType;

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

/// Compiles `rules`, in their order of precedence, for `api_type`.
pub(super) fn compile<'r>(
    rules: impl Iterator<Item = &'r Arc<Rule>>,
    api_type: &ApiType,
) -> TypePlan {
    let mut gates: Vec<Gate> = Vec::new();
    let mut build = Builder::default();
    for (at, rule) in rules.enumerate() {
        let Some(condition) = Condition::new(rule, api_type) else {
            continue;
        };
        if rule.drop || rule.keeps_object() {
            gates.push(Gate(condition.clone()));
        }
        if !rule.drop {
            build.add(rule, at, condition);
        }
    }
    // A type whose every object is dropped, and saved by no later rule.
    let last_keep = gates.iter().rposition(|gate| !gate.drops());
    let final_drops = last_keep.map_or(0, |at| at + 1);
    if let Some(gate) = gates[final_drops..]
        .iter()
        .find(|gate| gate.0.always_holds())
    {
        return TypePlan::Dropped {
            rule: gate.0.rule().clone(),
        };
    }
    let (label_selector, field_selector) = asked_of_server(&gates);
    build.redactions.reverse();
    TypePlan::Watched(Box::new(TypeRules {
        label_selector,
        field_selector,
        gates,
        conditions: build.conditions,
        tree: build.tree,
        sortings: build.sortings,
        redactions: build.redactions,
        large: build.large,
    }))
}

/// What the server shall leave out: no more than what is dropped, whatever rules may save.
fn asked_of_server(gates: &[Gate]) -> (Option<String>, Option<String>) {
    let last_keep = gates.iter().rposition(|gate| !gate.drops());
    let (before, after) = gates.split_at(last_keep.map_or(0, |at| at + 1));
    let mut asked: Vec<Asked> = after
        .iter()
        .flat_map(|gate| gate.0.all_but_fitting())
        .collect();
    // Where one rule saves a few of a type that is dropped whole, these few can be asked for.
    if let [drops @ .., keep] = before
        && drops.iter().all(Gate::drops)
        && drops.iter().any(|gate| gate.0.always_holds())
    {
        asked.extend(keep.0.only_fitting().unwrap_or_default());
    }
    let (mut labels, mut fields) = (Vec::new(), Vec::new());
    for one in asked {
        match one {
            Asked::Label(requirement) => labels.push(requirement),
            Asked::Field(requirement) => fields.push(requirement),
        }
    }
    let joined =
        |requirements: Vec<String>| (!requirements.is_empty()).then(|| requirements.join(","));
    (joined(labels), joined(fields))
}

#[derive(Default)]
struct Builder {
    conditions: Vec<Condition>,
    tree: Tree,
    sortings: Vec<Sorting>,
    redactions: Vec<Redaction>,
    large: Vec<Large>,
}

impl Builder {
    fn add(&mut self, rule: &Arc<Rule>, at: usize, condition: Condition) {
        if rule.targets().next().is_none() {
            return;
        }
        let slot = (!condition.always_holds()).then(|| {
            self.conditions.push(condition);
            self.conditions.len() - 1
        });
        self.add_prunes(rule, at, slot);
        for list in 0..rule.sort.len() {
            self.sortings.push(Sorting {
                rule: Arc::clone(rule),
                list,
                slot,
            });
        }
        for field in &rule.redact {
            self.redactions.push(Redaction {
                rule: rule.name.clone(),
                target: field.path.clone(),
                encoding: field.encoding,
                mode: field.mode.unwrap_or(SecretMode::Digest),
                slot,
            });
        }
        if let Some(large) = &rule.digest_large {
            for target in &large.paths {
                self.large.push(Large {
                    rule: rule.name.clone(),
                    target: target.clone(),
                    treatment: Treatment::Large {
                        above: large.above,
                        text: large.text,
                    },
                    slot,
                });
            }
        }
    }

    fn add_prunes(&mut self, rule: &Arc<Rule>, at: usize, slot: Option<usize>) {
        // No set has as many rules as that.
        let order = u32::try_from(at + 1).unwrap_or(ALWAYS - 1);
        let mut add = |target: &Target, order, act| {
            self.tree.add(Leaf {
                rule: Arc::clone(rule),
                order,
                slot,
                target: target.clone(),
                act,
            });
        };
        for target in &rule.prune {
            add(target, order, Act::Prune);
        }
        for target in &rule.prune_always {
            add(target, ALWAYS, Act::Prune);
        }
        for field in &rule.prune_unless_asked_for {
            let keep = field.keep.clone().into();
            add(&field.path, order, Act::PruneUnlessAskedFor { keep });
        }
        for (field, injected) in rule.prune_unless_written_with.iter().enumerate() {
            let rule = Arc::clone(rule);
            let act = Act::PruneUnlessWrittenWith { rule, field };
            add(&injected.path, order, act);
        }
        for target in &rule.prune_while_autoscaled {
            add(target, order, Act::PruneWhileAutoscaled);
        }
        if let Some(written_by) = &rule.prune_written_by {
            let managers: Arc<[String]> = written_by.managers.clone().into();
            for target in &written_by.paths {
                let managers = Arc::clone(&managers);
                add(target, order, Act::PruneWrittenBy { managers });
            }
        }
        for target in rule.keep.paths() {
            add(target, order, Act::Keep);
        }
    }
}
