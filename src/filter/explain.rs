//! Why an object's file is what it is: each thing that the rules did, and where.

use serde_json::Value;

use super::apply::{Context, TypeRules, fits};
use super::matching::Fit;
use super::observe::{Action, Hit, Notes, Silent};
use super::path::Segment;
use super::prune::ALWAYS;
use super::redact::HIDDEN;
use super::rules::RuleName;
use crate::object::{ObjectKey, RawObject, Step};

/// What the rules make of one object, to be shown to a person.
///
/// Holds no value that a rule redacts, in whatever mode but `plain`.
pub struct Explanation {
    /// The object as the server sent it, without `metadata.managedFields`; values that are
    /// redacted, and copies of the whole object, are a fixed text.
    pub original: Value,
    /// What its file would hold, were it not dropped; hidden as in `original` where it goes to
    /// encryption.
    pub result: Value,
    /// The rule that drops it.
    pub dropped_by: Option<RuleName>,
    /// The rule that saved it from one that drops.
    pub kept_by: Option<RuleName>,
    /// What was done at which place of `original`, in the order of places.
    pub hits: Vec<Hit>,
}

impl TypeRules {
    /// Tells what [`TypeRules::apply`] does with an object, without touching it.
    ///
    /// For one object at the request of a person: it costs several times the work.
    pub fn explain(
        &self,
        object: &RawObject,
        key: &ObjectKey,
        context: &Context<'_>,
    ) -> Explanation {
        let copy = || object.value.clone();
        let fields = object.managed_fields.as_deref();
        let passage = self.passage(object, key);
        let holds = self.holding(object, key);
        // Each kind of action by itself on the original, so that all places are the original's.
        let mut notes = Notes::default();
        self.prune(&mut copy(), fields, key, context, &holds, &mut notes);
        self.sort(&mut copy(), &holds, &mut notes);
        self.digest_large(&mut copy(), key, context, &holds, &mut notes);
        let mut original = copy();
        self.redact(&mut original, key, context, &holds, true, &mut notes);
        // Whatever else removes them: copies of the object hold what is hidden above.
        self.tree.each(&mut |leaf| {
            if leaf.order == ALWAYS && fits(&holds, leaf.slot) != Fit::No {
                hide(&mut original, leaf.target.path.segments());
            }
        });

        let mut result = copy();
        self.prune(&mut result, fields, key, context, &holds, &mut Silent);
        self.sort(&mut result, &holds, &mut Silent);
        let mut shown = result.clone();
        let (_, sealed) = self.redact(&mut result, key, context, &holds, false, &mut Silent);
        let result = if sealed > 0 {
            self.redact(&mut shown, key, context, &holds, true, &mut Silent);
            shown
        } else {
            self.digest_large(&mut result, key, context, &holds, &mut Silent);
            result
        };
        Explanation {
            original,
            result,
            dropped_by: passage.dropped_by.cloned(),
            kept_by: passage.kept_by.cloned(),
            hits: sorted(notes.hits),
        }
    }
}

/// By place, without what happens below a place that is removed whole.
fn sorted(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort();
    hits.dedup();
    let gone: Vec<Vec<Step>> = hits
        .iter()
        .filter(|hit| hit.action == Action::Pruned)
        .map(|hit| hit.path.clone())
        .collect();
    hits.retain(|hit| {
        !gone
            .iter()
            .any(|path| hit.path.len() > path.len() && hit.path.starts_with(path))
    });
    hits
}

/// Hides what a path names; where the shape does not fit the path, all of it.
fn hide(value: &mut Value, segments: &[Segment]) {
    let Some((segment, rest)) = segments.split_first() else {
        *value = Value::String(HIDDEN.to_owned());
        return;
    };
    match (segment, value) {
        (Segment::Field(name) | Segment::Key(name), Value::Object(map)) => {
            if let Some(below) = map.get_mut(&**name) {
                hide(below, rest);
            }
        }
        (Segment::Any, Value::Object(map)) => map.values_mut().for_each(|below| hide(below, rest)),
        (Segment::Any | Segment::Where(_) | Segment::Item(_), Value::Array(list)) => {
            for element in list.iter_mut().filter(|element| segment.selects(element)) {
                hide(element, rest);
            }
        }
        (_, other) => *other = Value::String(HIDDEN.to_owned()),
    }
}
