//! What is known of every object, kept up to date one object at a time.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use super::super::desired::Identity;
use super::super::report::{
    FieldClass, FieldReport, ObjectClass, ObjectReport, Report, difference, visible,
};
use super::tally::name_of;
use super::{Judged, Question, Tally};

/// Fields of one object whose transitions are told one by one.
const MOST_FIELDS: usize = 20;

/// An object in sync: what the counts need of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Quiet {
    not_compared: usize,
    declarable: bool,
    known: bool,
}

/// The verdicts of all objects that were judged. Those in sync take little memory.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    judged: BTreeMap<Identity, Judged>,
    quiet: HashMap<Identity, Quiet>,
}

impl Standing {
    /// The verdicts that an earlier report tells, to say what is new since.
    pub fn recorded(report: Report) -> Self {
        let judged = report.objects.into_iter().map(|report| {
            let identity = Identity {
                group: report.group.as_str().into(),
                kind: report.kind.as_str().into(),
                namespace: report.namespace.as_deref().map(Into::into),
                name: report.name.as_str().into(),
            };
            let judged = Judged {
                report,
                ignored_by: Vec::new(),
                not_compared: 0,
                declarable: false,
                known: false,
            };
            (identity, judged)
        });
        Self {
            judged: judged.collect(),
            quiet: HashMap::new(),
        }
    }

    /// Takes in the verdict on one object; `None` where there is none any more. Returns whether
    /// anything of what a report tells is new.
    pub fn put(&mut self, identity: Identity, judged: Option<Judged>) -> bool {
        let before = self.judged.remove(&identity);
        let quiet = self.quiet.remove(&identity);
        let Some(judged) = judged else {
            return before.is_some() || quiet.is_some();
        };
        let is_quiet = judged.report.class == ObjectClass::InSync && judged.ignored_by.is_empty();
        if is_quiet {
            let now = Quiet {
                not_compared: judged.not_compared,
                declarable: judged.declarable,
                known: judged.known,
            };
            self.quiet.insert(identity, now);
            return quiet != Some(now);
        }
        let news = before.as_ref() != Some(&judged);
        self.judged.insert(identity, judged);
        news
    }

    /// What is told of an object that is not in sync.
    pub fn get(&self, identity: &Identity) -> Option<&ObjectReport> {
        self.judged.get(identity).map(|judged| &judged.report)
    }

    /// Every object that is not in sync.
    pub fn drifted(&self) -> impl Iterator<Item = (&Identity, &ObjectReport)> {
        let all = self.judged.iter();
        all.map(|(identity, judged)| (identity, &judged.report))
    }

    /// The whole report, as [`evaluate`](super::evaluate) would make it.
    pub fn report(&self, question: &Question<'_>) -> Report {
        let mut tally = Tally::new(question);
        for quiet in self.quiet.values() {
            tally.in_sync(quiet.not_compared, quiet.declarable, quiet.known);
        }
        for judged in self.judged.values() {
            tally.add(judged.clone());
        }
        tally.finish()
    }
}

/// What a log says of an object whose verdict was another; nothing where it was the same. Values of
/// Secrets are never in it.
pub fn transitions(before: Option<&ObjectReport>, after: Option<&ObjectReport>) -> Vec<String> {
    let class = |report: Option<&ObjectReport>| report.map(|report| report.class);
    let (was, is) = (class(before), class(after));
    let Some(named) = after.or(before) else {
        return Vec::new();
    };
    let name = name_of(named);
    let name = visible(&name);
    if matches!(is, None | Some(ObjectClass::InSync)) {
        return match was {
            None | Some(ObjectClass::InSync) => Vec::new(),
            Some(ObjectClass::Extra) => vec![format!("{name}: no longer Extra")],
            Some(_) => vec![format!("{name}: InSync again")],
        };
    }
    let mut lines = Vec::new();
    let told = |report: Option<&ObjectReport>| -> BTreeMap<String, FieldReport> {
        let fields = report.into_iter().flat_map(|report| &report.fields);
        let fields = fields.filter(|field| field.class != FieldClass::Ignored);
        fields
            .map(|field| (field.path.clone(), stripped_field(field)))
            .collect()
    };
    let (old, new) = (told(before), told(after));
    let reason = |report: Option<&ObjectReport>| report.and_then(|report| report.reason.clone());
    if was != is && new.is_empty() || reason(before) != reason(after) {
        let why = reason(after).map_or(String::new(), |why| format!(" ({})", visible(&why)));
        lines.push(format!("{name}: {:?}{why}", named.class));
    }
    let fresh = new
        .iter()
        .filter(|(path, field)| old.get(*path) != Some(field));
    for (_, field) in fresh {
        lines.push(format!("{name}: {}", difference(field)));
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        lines.push(format!("{name}: {} as desired again", visible(path)));
    }
    if lines.len() > MOST_FIELDS {
        let more = lines.len() - MOST_FIELDS;
        lines.truncate(MOST_FIELDS);
        lines.push(format!("{name}: {more} more differences"));
    }
    lines
}

/// What makes one set of drift another: objects, their classes and fields, and what could not be
/// evaluated. Not when something was written or looked at, not where in a file it stands, and no
/// value of a Secret.
pub fn fingerprint(report: &Report) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    for object in report
        .objects
        .iter()
        .filter(|o| o.class != ObjectClass::InSync)
    {
        let stripped = ObjectReport {
            file: None,
            line: None,
            marks: Vec::new(),
            fields: object.fields.iter().map(stripped_field).collect(),
            ..object.clone()
        };
        // Only maps with keys that are no text could fail, and no report has one.
        add(&serde_json::to_vec(&stripped).unwrap_or_default());
    }
    for reason in &report.incomplete {
        add(reason.as_bytes());
    }
    hash.finalize().into()
}

fn stripped_field(field: &FieldReport) -> FieldReport {
    let shown = |value: &Option<serde_json::Value>| value.clone().filter(|_| !field.secret);
    FieldReport {
        desired: shown(&field.desired),
        live: shown(&field.live),
        time: None,
        line: None,
        ..field.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::report::Severity;
    use super::*;

    fn field(path: &str, desired: Value, live: Value) -> FieldReport {
        FieldReport {
            path: path.to_owned(),
            class: FieldClass::Changed,
            severity: Severity::Warning,
            desired: Some(desired),
            live: Some(live),
            secret: false,
            manager: Some("kubectl-edit".to_owned()),
            operation: Some("Update".to_owned()),
            subresource: None,
            time: Some("2026-11-21T09:00:00Z".to_owned()),
            rule: None,
            line: Some(3),
        }
    }

    fn web(class: ObjectClass, fields: Vec<FieldReport>) -> ObjectReport {
        ObjectReport {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "web".to_owned(),
            class,
            source: Some("shop".to_owned()),
            file: Some("web.yaml".to_owned()),
            line: Some(1),
            fields,
            reason: None,
            marks: Vec::new(),
        }
    }

    fn modified(live: Value) -> ObjectReport {
        let replicas = field("spec.replicas", json!(3), live);
        web(ObjectClass::Modified, vec![replicas])
    }

    fn report(objects: Vec<ObjectReport>) -> Report {
        Report {
            objects,
            ..Report::default()
        }
    }

    #[test]
    fn transitions_say_what_is_new_and_what_is_over() {
        let five = modified(json!(5));
        let line = "shop/Deployment web: spec.replicas Changed 3 → 5 by kubectl-edit";
        assert_eq!(transitions(None, Some(&five)), [line]);
        assert_eq!(transitions(Some(&five), Some(&five)), [""; 0]);
        let mut later = five.clone();
        later.fields[0].time = None;
        later.fields[0].line = Some(9);
        assert_eq!(transitions(Some(&five), Some(&later)), [""; 0]);
        let six = modified(json!(6));
        let line = "shop/Deployment web: spec.replicas Changed 3 → 6 by kubectl-edit";
        assert_eq!(transitions(Some(&five), Some(&six)), [line]);
        let again = "shop/Deployment web: InSync again";
        assert_eq!(transitions(Some(&five), None), [again]);
        let mut two = five.clone();
        two.fields
            .push(field("spec.paused", json!(false), json!(true)));
        let line = "shop/Deployment web: spec.paused as desired again";
        assert_eq!(transitions(Some(&two), Some(&five)), [line]);
        let missing = web(ObjectClass::Missing, Vec::new());
        let line = "shop/Deployment web: Missing";
        let told = transitions(Some(&five), Some(&missing));
        assert!(told.contains(&line.to_owned()), "{told:?}");
        let mut hostile = web(ObjectClass::Unknown, Vec::new());
        hostile.reason = Some("a\u{1b}[31m\nb".to_owned());
        assert_eq!(
            transitions(None, Some(&hostile)),
            [r"shop/Deployment web: Unknown (a\u{1b}[31m\nb)"]
        );
    }

    #[test]
    fn values_of_secrets_are_in_no_line_and_make_no_other_set() {
        let secret = |live: &str| {
            let mut object = modified(json!(live));
            object.fields[0].secret = true;
            object
        };
        let told = transitions(None, Some(&secret("hunter2"))).join("");
        assert!(
            told.contains("(secret)") && !told.contains("hunter2"),
            "{told}"
        );
        let set = |live| fingerprint(&report(vec![secret(live)]));
        assert_eq!(set("hunter2"), set("hunter3"));
    }

    #[test]
    fn a_set_of_drift_is_another_by_what_drifts_and_not_by_when() {
        let five = report(vec![modified(json!(5))]);
        let mut same = five.clone();
        same.as_of = Some("2026-11-21T10:00:00Z".to_owned());
        same.live.commit = Some("abc".to_owned());
        same.summary.in_sync = 7;
        let object = &mut same.objects[0];
        object.line = Some(40);
        object.marks.push("terminating".to_owned());
        object.fields[0].time = None;
        object.fields[0].line = None;
        assert_eq!(fingerprint(&five), fingerprint(&same));

        let mut others = vec![report(Vec::new()), report(vec![modified(json!(6))])];
        let mut by_another = five.clone();
        by_another.objects[0].fields[0].manager = Some("kubectl".to_owned());
        let mut incomplete = five.clone();
        incomplete.incomplete.push("shop cannot be read".to_owned());
        others.extend([by_another, incomplete]);
        others.push(report(vec![web(ObjectClass::Missing, Vec::new())]));
        for other in others {
            assert_ne!(fingerprint(&five), fingerprint(&other), "{other:?}");
        }
        // As the mirror has it.
        let text = super::super::super::report::json::render(&five);
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(fingerprint(&read), fingerprint(&five));
    }
}
