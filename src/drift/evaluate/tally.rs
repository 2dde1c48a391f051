//! Judged objects into one report.

use std::collections::BTreeMap;

use super::super::report::{
    IgnoredBy, ObjectClass, ObjectReport, Report, SCHEMA, SourceInfo, Summary,
};
use super::{Judged, Question};

/// Counts what was judged.
pub struct Tally {
    report: Report,
    ignored: BTreeMap<String, (usize, usize)>,
    /// Which objects are unknown, by the reason.
    unknown: BTreeMap<String, Vec<String>>,
    order: BTreeMap<String, usize>,
    show_in_sync: bool,
    stale: bool,
}

impl Tally {
    /// Starts with what is known of both sides.
    pub fn new(question: &Question<'_>) -> Self {
        let live = question.live;
        let mut report = Report {
            schema: SCHEMA.to_owned(),
            live: live.info.clone(),
            as_of: live.as_of.clone(),
            incomplete: live.blind_spots.clone(),
            warnings: live.warnings.clone(),
            ..Report::default()
        };
        report.live.defaults = Some(format!("1.{}", question.tables.minor()));
        match live.minor {
            Some(minor) if minor != question.tables.minor() => report.warnings.push(format!(
                "defaults are those of Kubernetes 1.{}, the server is 1.{minor}: this version has no table of its own",
                question.tables.minor()
            )),
            None => report.warnings.push(format!(
                "the server's version is not known: defaults are those of Kubernetes 1.{}",
                question.tables.minor()
            )),
            Some(_) => {}
        }
        report.incomplete.extend(question.stale.map(str::to_owned));
        let mut order = BTreeMap::new();
        for (at, desired) in question.desired.iter().enumerate() {
            order.insert(desired.name.clone(), at);
            report.sources.push(SourceInfo {
                name: desired.name.clone(),
                kind: desired.kind.to_owned(),
                location: desired.location.clone(),
                revision: desired.revision.clone(),
                head_revision: desired.head_revision.clone(),
                objects: desired.manifests.len(),
                set_aside: desired.set_aside.len(),
            });
            for problem in &desired.problems {
                if problem.object.is_some() {
                    // It is told with its object.
                    continue;
                }
                report.summary.unknown += 1;
                let place = match (&problem.file, problem.line) {
                    (Some(file), Some(line)) => format!("{file}:{line}: "),
                    (Some(file), None) => format!("{file}: "),
                    (None, _) => String::new(),
                };
                let name = &desired.name;
                report
                    .incomplete
                    .push(format!("{name}: {place}{}", problem.reason));
            }
        }
        Self {
            report,
            ignored: BTreeMap::new(),
            unknown: BTreeMap::new(),
            order,
            show_in_sync: question.show_in_sync,
            stale: question.stale.is_some(),
        }
    }

    /// Takes in one object.
    pub fn add(&mut self, judged: Judged) {
        let summary = &mut self.report.summary;
        *count_of(summary, judged.report.class) += 1;
        summary.not_compared += judged.not_compared;
        summary.coverage.live += usize::from(judged.declarable);
        summary.coverage.known += usize::from(judged.known);
        let whole = judged.report.fields.is_empty();
        for rule in judged.ignored_by {
            let (fields, objects) = self.ignored.entry(rule).or_default();
            *(if whole { objects } else { fields }) += 1;
        }
        // A reason that all of them share is said once.
        if judged.report.class == ObjectClass::Unknown && !self.stale {
            let reason = judged.report.reason.clone().unwrap_or_default();
            let names = self.unknown.entry(reason).or_default();
            names.push(name_of(&judged.report));
        }
        if judged.report.class != ObjectClass::InSync || self.show_in_sync {
            self.report.objects.push(judged.report);
        }
    }

    /// Counts an object in sync that is not listed.
    pub(super) fn in_sync(&mut self, not_compared: usize, declarable: bool, known: bool) {
        let summary = &mut self.report.summary;
        summary.in_sync += 1;
        summary.not_compared += not_compared;
        summary.coverage.live += usize::from(declarable);
        summary.coverage.known += usize::from(known);
    }

    /// The report.
    pub fn finish(mut self) -> Report {
        for (reason, names) in self.unknown {
            let lines = &mut self.report.incomplete;
            match &*names {
                [first, second, third, _, ..] => lines.push(format!(
                    "{} objects ({first}, {second}, {third}, …): {reason}",
                    names.len()
                )),
                few => lines.extend(few.iter().map(|name| format!("{name}: {reason}"))),
            }
        }
        let coverage = &mut self.report.summary.coverage;
        coverage.percent = percent(coverage.known, coverage.live);
        self.report.ignored_by = self
            .ignored
            .into_iter()
            .map(|(rule, (fields, objects))| IgnoredBy {
                rule,
                fields,
                objects,
            })
            .collect();
        let order = &self.order;
        let at = |object: &ObjectReport| {
            let source = object.source.as_ref().and_then(|name| order.get(name));
            source.copied().unwrap_or(usize::MAX)
        };
        self.report.objects.sort_by(|a, b| {
            let key = |object: &ObjectReport| {
                (
                    at(object),
                    object.namespace.clone(),
                    object.kind.clone(),
                    object.name.clone(),
                    object.group.clone(),
                )
            };
            key(a).cmp(&key(b))
        });
        for object in &mut self.report.objects {
            object.fields.sort_by(|a, b| a.path.cmp(&b.path));
        }
        self.report
    }
}

fn count_of(summary: &mut Summary, class: ObjectClass) -> &mut usize {
    match class {
        ObjectClass::InSync => &mut summary.in_sync,
        ObjectClass::Modified => &mut summary.modified,
        ObjectClass::Missing => &mut summary.missing,
        ObjectClass::Extra => &mut summary.extra,
        ObjectClass::Pending => &mut summary.pending,
        ObjectClass::Ignored => &mut summary.ignored,
        ObjectClass::Unknown => &mut summary.unknown,
    }
}

/// `shop/Deployment web`.
pub(super) fn name_of(object: &ObjectReport) -> String {
    match &object.namespace {
        Some(namespace) => format!("{namespace}/{} {}", object.kind, object.name),
        None => format!("{} {}", object.kind, object.name),
    }
}

/// With one decimal.
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 100.0;
    }
    let tenths = part.saturating_mul(1000) / whole;
    f64::from(u32::try_from(tenths).unwrap_or(1000)) / 10.0
}
