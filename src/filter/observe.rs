//! What `explain` and the tests see of the work on one object; nothing, and at no cost, on the hot
//! path.

use super::rules::RuleName;
use crate::object::Step;

/// What a rule did at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It removed what is there.
    Pruned,
    /// It removed all that was in this list or map, which goes with it.
    Emptied,
    /// It saved what another rule would have removed.
    Kept,
    /// It put the elements of this list in order.
    Sorted,
    /// It replaced the value by a keyed digest.
    Digested,
    /// It replaced the value by a fixed text.
    Omitted,
    /// It left the value to encryption.
    Sealed,
    /// It replaced the value by a keyed digest, because it is large.
    Large,
}

/// Is told where the walk stands and what it does there.
pub(super) trait Observer {
    fn enter_key(&mut self, _: &str) {}
    fn enter_index(&mut self, _: usize) {}
    fn leave(&mut self) {}
    fn hit(&mut self, _: &RuleName, _: Action) {}
    /// A hit that removes; the server had `allocated` what was there.
    fn pruned(&mut self, rule: &RuleName, _allocated: bool) {
        self.hit(rule, Action::Pruned);
    }
    /// The place held nothing but what went.
    fn emptied(&mut self) {}
    /// The list at the place was put in order; of each element the position before.
    fn sorted(&mut self, _: &[usize]) {}
}

/// Sees nothing.
pub(super) struct Silent;

impl Observer for Silent {}

/// Hears the names of rules that remove or replace something.
pub(super) struct Names<'a>(pub(super) &'a mut dyn FnMut(&RuleName));

impl Observer for Names<'_> {
    fn hit(&mut self, rule: &RuleName, _: Action) {
        (self.0)(rule);
    }
}

/// One thing that a rule did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Where, in the object as the server sent it.
    pub path: Vec<Step>,
    /// What.
    pub action: Action,
    /// Which rule.
    pub rule: RuleName,
}

/// Writes down what happens where.
#[derive(Default)]
pub(super) struct Notes {
    at: Vec<Step>,
    pub(super) hits: Vec<Hit>,
}

impl Observer for Notes {
    fn enter_key(&mut self, key: &str) {
        self.at.push(Step::Key(key.into()));
    }

    fn enter_index(&mut self, index: usize) {
        self.at.push(Step::Index(index));
    }

    fn leave(&mut self) {
        self.at.pop();
    }

    fn hit(&mut self, rule: &RuleName, action: Action) {
        self.hits.push(Hit {
            path: self.at.clone(),
            action,
            rule: rule.clone(),
        });
    }

    /// Names the rule that took the last of it.
    fn emptied(&mut self) {
        if let Some(last) = self.hits.last() {
            let rule = last.rule.clone();
            self.hit(&rule, Action::Emptied);
        }
    }
}
