//! Differences that somebody accepted, or that a deployer is told to ignore.
//!
//! One form for all of them: Argo CD's `ignoreDifferences`, Flux's `ignore`, opt-outs of single
//! objects, and the `accept` file. Pure.

mod template;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::filter::{AcceptClass, AcceptFile, AcceptMatch, AcceptRule, FieldPath};
use crate::object::Step;

use super::compare::Difference;
use super::desired::Identity;
use super::report::{FieldClass, ObjectClass};

pub use template::template;

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
    /// That it is desired and not live.
    Missing,
    /// These places and what lies in them.
    Paths(Vec<Place>),
    /// What these field managers own.
    Managers(Vec<String>),
    /// Every difference of these classes.
    Classes(Vec<FieldClass>),
}

/// What a rule that names no class is about.
const EVERY_FIELD_CLASS: [FieldClass; 6] = [
    FieldClass::Changed,
    FieldClass::Removed,
    FieldClass::Added,
    FieldClass::PendingRemoval,
    FieldClass::Pending,
    FieldClass::Dropped,
];

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
    /// Further conditions on the object; none where `None`.
    pub matcher: Option<AcceptMatch>,
    /// With [`Ignored::Paths`]: differences of these classes alone; any where empty.
    pub classes: Vec<FieldClass>,
}

/// A difference as rules see it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// Where, and how.
    pub difference: &'a Difference,
    /// What its owners made of it.
    pub class: FieldClass,
    /// The object that [`Difference::desired_at`] counts in.
    pub desired: &'a Value,
    /// The object that [`Difference::live_at`] counts in.
    pub live: &'a Value,
}

/// The rules of a file, in its order; one that is about fields and whole objects alike becomes
/// several of one name.
pub fn ignores(file: AcceptFile) -> Vec<Ignore> {
    file.rules.into_iter().flat_map(ignores_of).collect()
}

fn ignores_of(rule: AcceptRule) -> Vec<Ignore> {
    let mut fields = Vec::new();
    let mut what = Vec::new();
    for class in &rule.classes {
        match class {
            AcceptClass::Changed => fields.push(FieldClass::Changed),
            AcceptClass::Removed => fields.push(FieldClass::Removed),
            AcceptClass::Added => fields.push(FieldClass::Added),
            AcceptClass::PendingRemoval => fields.push(FieldClass::PendingRemoval),
            AcceptClass::Pending => fields.push(FieldClass::Pending),
            AcceptClass::Dropped => fields.push(FieldClass::Dropped),
            AcceptClass::Missing => what.push(Ignored::Missing),
            AcceptClass::Extra => what.push(Ignored::Extra),
        }
    }
    if !rule.paths.is_empty() {
        let places = rule.paths.into_iter().map(Place::Path);
        what.push(Ignored::Paths(places.collect()));
    } else if !fields.is_empty() {
        what.push(Ignored::Classes(fields.clone()));
    } else if what.is_empty() {
        // Not `Object`: an object that is in sync is in sync, and what is hidden can be listed.
        what = vec![
            Ignored::Missing,
            Ignored::Extra,
            Ignored::Classes(EVERY_FIELD_CLASS.to_vec()),
        ];
    }
    let accepted = Accepted {
        reason: rule.reason,
        owner: rule.owner,
        until: rule.expires,
        matcher: Some(rule.matches),
        classes: fields,
    };
    let one = |what| Ignore {
        name: rule.name.clone(),
        what,
        accepted: Some(accepted.clone()),
        ..Ignore::default()
    };
    what.into_iter().map(one).collect()
}

/// Whether a rule is about an object. `object` is the live one, or the desired one where live has
/// none.
pub fn fits(rule: &Ignore, identity: &Identity, object: Option<&Value>) -> bool {
    let namespace = identity.namespace.as_deref();
    let matcher = rule.accepted.as_ref().and_then(|one| one.matcher.as_ref());
    glob_fits(rule.group.as_deref(), &identity.group)
        && glob_fits(rule.kind.as_deref(), &identity.kind)
        && glob_fits(rule.namespace.as_deref(), namespace.unwrap_or_default())
        && glob_fits(rule.object_name.as_deref(), &identity.name)
        && matcher.is_none_or(|matcher| {
            let Identity {
                group, kind, name, ..
            } = identity;
            matcher.fits(group, kind, namespace, name, object)
        })
}

/// A pattern that is no glob fits nothing: what is not surely ignored is shown.
fn glob_fits(pattern: Option<&str>, text: &str) -> bool {
    let Some(pattern) = pattern else { return true };
    if pattern == "*" || pattern == text && !pattern.contains(['[', '\\', '{']) {
        return true;
    }
    // Nearly all patterns are plain names: compiling a glob costs microseconds.
    pattern.contains(['*', '?', '[', '{', '\\'])
        && globset::Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

/// Whether a rule that fits an object hides that it is of a class; of [`ObjectClass::Modified`]:
/// whatever differs in it.
pub fn hides_object(rule: &Ignore, class: ObjectClass) -> bool {
    match rule.what {
        Ignored::Object => true,
        Ignored::Extra => class == ObjectClass::Extra,
        Ignored::Missing => class == ObjectClass::Missing,
        Ignored::Paths(_) | Ignored::Managers(_) | Ignored::Classes(_) => false,
    }
}

/// Whether a rule that fits an object hides one of its differences. `is_owner` says whether a
/// manager owns the difference's place.
pub fn hides_field(rule: &Ignore, seen: Seen<'_>, is_owner: impl Fn(&str) -> bool) -> bool {
    match &rule.what {
        Ignored::Object => true,
        Ignored::Extra | Ignored::Missing => false,
        Ignored::Classes(classes) => classes.contains(&seen.class),
        Ignored::Managers(managers) => managers.iter().any(|manager| is_owner(manager)),
        Ignored::Paths(places) => {
            let accepted = rule.accepted.as_ref();
            let classes = accepted.map_or(&[][..], |one| &one.classes);
            (classes.is_empty() || classes.contains(&seen.class))
                && places
                    .iter()
                    .any(|place| names(place, seen.difference, seen.desired, seen.live))
        }
    }
}

/// Whether a place is a difference's, or around it.
pub fn names(place: &Place, difference: &Difference, desired: &Value, live: &Value) -> bool {
    match place {
        Place::Path(path) => difference.is_covered_by(path, desired, live),
        Place::Pointer(steps) => {
            points_to(steps, &difference.live_at) || points_to(steps, &difference.desired_at)
        }
    }
}

/// Whether a pointer names a place or what it lies in. A pointer does not say whether a number is a
/// position or a map's key.
fn points_to(pointer: &[Step], at: &[Step]) -> bool {
    let same = |(step, other): (&Step, &Step)| match (step, other) {
        (Step::Index(index), Step::Key(key)) => index.to_string() == **key,
        (step, other) => step == other,
    };
    pointer.len() <= at.len() && pointer.iter().zip(at).all(same)
}

/// A rule as reports name it: `accepted: on call, until 2026-12-31 [web replicas]`.
pub fn shown(rule: &Ignore) -> String {
    let Some(accepted) = &rule.accepted else {
        return rule.name.clone();
    };
    let mut text = format!("accepted: {}", accepted.reason);
    if let Some(until) = &accepted.until {
        text = format!("{text}, until {until}");
    }
    if let Some(owner) = &accepted.owner {
        text = format!("{text}, by {owner}");
    }
    format!("{text} [{}]", rule.name)
}

/// Whether a rule hides nothing any more. `today` is a date, `2026-12-31`, or begins with one.
pub fn is_expired(rule: &Ignore, today: &str) -> bool {
    let until = rule.accepted.as_ref().and_then(|one| one.until.as_deref());
    // Dates of four-digit years are in the order of their texts.
    until.is_some_and(|until| until < today.get(..10).unwrap_or(today))
}

/// Takes away the rules that have expired, and says so of each.
pub fn without_expired(rules: Vec<Ignore>, today: &str) -> (Vec<Ignore>, Vec<String>) {
    let (expired, good): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|rule| is_expired(rule, today));
    let mut warnings: Vec<String> = expired
        .iter()
        .map(|rule| {
            let until = rule.accepted.as_ref().and_then(|one| one.until.as_deref());
            let until = until.unwrap_or_default();
            let name = &rule.name;
            format!("accept rule '{name}' expired on {until}: it hides nothing; renew or remove it")
        })
        .collect();
    warnings.dedup();
    (good, warnings)
}

/// Says of each accepted rule that is not among `hits` (rules as [`shown`]) that it hid nothing.
pub fn never_matched<'a>(rules: &[Ignore], hits: impl Fn(&str) -> bool + 'a) -> Vec<String> {
    let mut warnings = Vec::new();
    let accepted = rules.iter().filter(|rule| rule.accepted.is_some());
    for rule in accepted {
        if !hits(&shown(rule)) {
            let name = &rule.name;
            warnings.push(format!(
                "accept rule '{name}' matched nothing: the drift is gone, or the rule is wrong"
            ));
        }
    }
    warnings.dedup();
    warnings
}
