//! Sentences that several renderings share. Nothing here is escaped for mark-up; hidden characters
//! are spelled.

use super::escape::visible;
use super::values::arrow;
use super::{FieldClass, FieldReport, ObjectClass, ObjectReport, Options, Report};

/// What every report says once.
pub(super) const MANAGER_NOTE: &str = "A manager is the name of a program, not of a person.";

/// Columns of both values in a log.
const LOGGED: usize = 80;

/// Groups of built-in kinds, whose kinds everybody knows without.
const PLAIN_GROUPS: [&str; 5] = ["", "apps", "autoscaling", "batch", "policy"];

/// How an evaluation ended, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something could not be evaluated.
    Incomplete,
    /// Something differs.
    Drift,
    /// Nothing differs but what Git is ahead of.
    Pending,
    /// Nothing differs.
    InSync,
}

impl Verdict {
    pub(super) fn of(report: &Report) -> Self {
        let summary = &report.summary;
        if is_incomplete(report) {
            Self::Incomplete
        } else if summary.modified + summary.missing + summary.extra > 0 {
            Self::Drift
        } else if summary.pending > 0 {
            Self::Pending
        } else {
            Self::InSync
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Drift => "drift",
            Self::Pending | Self::InSync => "no drift",
        }
    }
}

/// Whether something could not be evaluated.
pub(super) fn is_incomplete(report: &Report) -> bool {
    report.summary.unknown > 0 || !report.incomplete.is_empty()
}

/// `3 modified, 1 missing; 40 in sync; 2 ignored`; what needs a look first, zeros left out.
pub(super) fn counts(report: &Report) -> String {
    let summary = &report.summary;
    let join = |parts: &[(usize, &str)]| {
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(n, what)| format!("{n} {what}")).collect();
        parts.join(", ")
    };
    let bad = join(&[
        (summary.modified, "modified"),
        (summary.missing, "missing"),
        (summary.extra, "extra"),
        (summary.unknown, "unknown"),
        (summary.pending, "pending"),
    ]);
    let good = format!("{} in sync", summary.in_sync);
    let ignored = join(&[(summary.ignored, "ignored")]);
    let parts = [bad, good, ignored];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

/// `as of 2026-11-21T09:00:00Z`.
pub(super) fn as_of(report: &Report) -> String {
    report.as_of.as_deref().map_or_else(
        || "as of an unknown time".to_owned(),
        |time| format!("as of {}", visible(time)),
    )
}

/// `mirror ./m.git#main at 0123456789ab (v1.36.3)`.
pub(super) fn live(report: &Report) -> String {
    let live = &report.live;
    let mut text = format!("{} {}", visible(&live.kind), visible(&live.name));
    if let Some(commit) = &live.commit {
        text.push_str(" at ");
        text.push_str(&revision(commit));
    }
    if let Some(version) = &live.server_version {
        text = format!("{text} ({})", visible(version));
    }
    if let Some(defaults) = &live.defaults {
        text = format!("{text}, defaults of {}", visible(defaults));
    }
    text
}

/// A commit's first 12 digits; anything else as it is.
pub(super) fn revision(text: &str) -> String {
    let is_id = text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    visible(if is_id { &text[..12] } else { text }).into_owned()
}

/// `412 of 430 live objects are known to Git (95.8 %)`.
pub(super) fn coverage(report: &Report) -> String {
    let coverage = &report.summary.coverage;
    format!(
        "{} of {} live objects are known to Git ({:.1} %)",
        coverage.known, coverage.live, coverage.percent
    )
}

/// What no digest key compared.
pub(super) fn not_compared(report: &Report) -> Option<String> {
    let count = report.summary.not_compared;
    (count > 0).then(|| {
        format!("{count} values of Secrets were not compared: --digest-key-file compares them")
    })
}

/// `Deployment`, or `Certificate.cert-manager.io` where the kind alone says too little.
pub(super) fn kind(object: &ObjectReport) -> String {
    let is_plain = PLAIN_GROUPS.contains(&&*object.group) || object.group.ends_with(".k8s.io");
    if is_plain {
        visible(&object.kind).into_owned()
    } else {
        format!("{}.{}", visible(&object.kind), visible(&object.group))
    }
}

/// `web.yaml:3`.
pub(super) fn place(object: &ObjectReport, line: Option<usize>) -> Option<String> {
    let file = visible(object.file.as_deref()?);
    Some(match line.or(object.line) {
        Some(line) => format!("{file}:{line}"),
        None => file.into_owned(),
    })
}

/// The class and who wrote it: `Changed by kubectl-edit (Update), last write 2026-11-21T09:00:00Z`.
pub(in crate::drift) fn attribution(field: &FieldReport) -> String {
    let mut text = field_class(field.class).to_owned();
    if field.class == FieldClass::Ignored
        && let Some(rule) = &field.rule
    {
        text = format!("{text} ({})", visible(rule));
    }
    if let Some(manager) = &field.manager {
        text = format!("{text} by {}", visible(manager));
        let subresource = field.subresource.as_deref().filter(|name| !name.is_empty());
        text = match (field.operation.as_deref(), subresource) {
            (Some(operation), Some(name)) => {
                format!("{text} ({} of {})", visible(operation), visible(name))
            }
            (Some(operation), None) => format!("{text} ({})", visible(operation)),
            (None, Some(name)) => format!("{text} (of {})", visible(name)),
            (None, None) => text,
        };
        if let Some(time) = &field.time {
            text = format!("{text}, last write {}", visible(time));
        }
    }
    if field.class != FieldClass::Ignored
        && let Some(rule) = &field.rule
    {
        text = format!("{text}: {}", visible(rule));
    }
    text
}

/// One difference in a line of a log: `spec.replicas Changed 3 → 5 by kubectl-edit`.
pub(in crate::drift) fn difference(field: &FieldReport) -> String {
    let values = if field.secret {
        "(secret)".to_owned()
    } else {
        arrow(field, LOGGED)
    };
    let class = field_class(field.class);
    let mut text = format!("{} {class} {values}", visible(&field.path));
    if let Some(manager) = &field.manager {
        text = format!("{text} by {}", visible(manager));
    }
    text
}

pub(super) fn field_class(class: FieldClass) -> &'static str {
    match class {
        FieldClass::Changed => "Changed",
        FieldClass::Removed => "Removed",
        FieldClass::Added => "Added",
        FieldClass::PendingRemoval => "Pending removal",
        FieldClass::Pending => "Pending",
        FieldClass::Dropped => "Dropped",
        FieldClass::Ignored => "Ignored",
    }
}

pub(super) fn object_class(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::InSync => "In sync",
        ObjectClass::Modified => "Modified",
        ObjectClass::Missing => "Missing",
        ObjectClass::Extra => "Extra",
        ObjectClass::Pending => "Pending",
        ObjectClass::Ignored => "Ignored",
        ObjectClass::Unknown => "Unknown",
    }
}

/// Objects that a rendering for people lists.
pub(super) fn listed<'a>(
    report: &'a Report,
    options: &Options,
) -> impl Iterator<Item = &'a ObjectReport> + use<'a> {
    let show_ignored = options.show_ignored;
    let objects = report.objects.iter();
    objects.filter(move |object| show_ignored || object.class != ObjectClass::Ignored)
}

/// Fields of an object that a rendering for people lists.
pub(super) fn listed_fields<'a>(
    object: &'a ObjectReport,
    options: &Options,
) -> Vec<&'a FieldReport> {
    let fields = object.fields.iter();
    fields
        .filter(|field| options.show_ignored || field.class != FieldClass::Ignored)
        .collect()
}
