//! What is live and in no source.

use serde_json::Value;

use super::super::accept;
use super::super::desired::Identity;
use super::super::live::LiveObject;
use super::super::report::ObjectClass;
use super::{Evaluator, Judged};
use crate::object::system_made;
use crate::owners::Role;

/// Namespaces that every cluster has:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#initial-namespaces>.
const INITIAL_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

impl Evaluator<'_> {
    pub(super) fn extra(&self, identity: &Identity, live: &LiveObject) -> Option<Judged> {
        if self.is_made_by_the_cluster(identity, live) {
            return None;
        }
        let mut judged = Judged {
            report: self.report_of(identity, None, Some(live), ObjectClass::Extra),
            ignored_by: Vec::new(),
            not_compared: 0,
            declarable: true,
            known: false,
        };
        let sources = self
            .question
            .desired
            .iter()
            .flat_map(|desired| &desired.ignores);
        let mut rules = sources.chain(self.question.ignores);
        let hides = rules.find(|rule| {
            accept::hides_object(rule, ObjectClass::Extra)
                && accept::fits(rule, identity, Some(&live.value))
        });
        if let Some(rule) = hides {
            let name = accept::shown(rule);
            judged.report.class = ObjectClass::Ignored;
            judged.report.reason = Some(format!("in no source; {name}"));
            judged.ignored_by.push(name);
        } else if let Some(reason) = &self.unread {
            judged.report.class = ObjectClass::Unknown;
            judged.report.reason = Some(reason.clone());
        }
        Some(judged)
    }

    /// Whether nobody would declare it: derived, or there in every cluster.
    fn is_made_by_the_cluster(&self, identity: &Identity, live: &LiveObject) -> bool {
        if has_controller(&live.value) {
            return true;
        }
        let name = &*identity.name;
        if (&*identity.group, &*identity.kind) == ("", "Namespace") {
            return INITIAL_NAMESPACES.contains(&name);
        }
        let Some((_, key)) = self.key(identity) else {
            return false;
        };
        system_made(&key, &live.value).is_some() || self.only_trusted_writers(live)
    }

    /// Whether controllers of the control plane alone wrote it.
    fn only_trusted_writers(&self, live: &LiveObject) -> bool {
        let writers = &live.shape.writers;
        !writers.is_empty()
            && self
                .question
                .deployers
                .of_object(&live.shape)
                .iter()
                .all(|role| *role == Role::Controller)
    }
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/>
fn has_controller(object: &Value) -> bool {
    object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .is_some_and(|owners| {
            owners
                .iter()
                .any(|owner| owner.get("controller") == Some(&Value::Bool(true)))
        })
}
