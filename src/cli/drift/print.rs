//! From a report to what is printed, and to how the program ends.

use super::Exit;
use crate::config::{FailOn, OutputFormat};
use crate::drift::report::{
    FieldClass, ObjectClass, Options, Report, json, junit, markdown, sarif, text,
};

/// The report in a format.
pub(super) fn render(report: &Report, format: OutputFormat, options: &Options) -> String {
    match format {
        OutputFormat::Json => json::render(report),
        OutputFormat::Text => text::render(report, options),
        OutputFormat::Markdown => markdown::render(report, options),
        OutputFormat::Sarif => sarif::render(report, options),
        OutputFormat::Junit => junit::render(report, options),
    }
}

/// How the program ends.
///
/// What could not be evaluated wins: a report with unknown objects is [`Exit::Incomplete`] even
/// where drift was found, because its drift may not be all. Then what `--fail-on` names.
pub(super) fn exit_code(report: &Report, fail_on: &[FailOn]) -> Exit {
    if report.summary.unknown > 0 || !report.incomplete.is_empty() {
        return Exit::Incomplete;
    }
    let fails = |class: FailOn| fail_on.contains(&class);
    let of_object = |class: ObjectClass| match class {
        ObjectClass::Missing => fails(FailOn::Missing),
        ObjectClass::Extra => fails(FailOn::Extra),
        // A mistake elsewhere, and no reason to say that all is well.
        ObjectClass::Unknown => true,
        ObjectClass::Modified
        | ObjectClass::Pending
        | ObjectClass::Ignored
        | ObjectClass::InSync => false,
    };
    let of_field = |class: FieldClass| match class {
        FieldClass::Changed => fails(FailOn::Changed),
        FieldClass::Removed => fails(FailOn::Removed),
        FieldClass::Added => fails(FailOn::Added),
        FieldClass::PendingRemoval => fails(FailOn::PendingRemoval),
        FieldClass::Pending => fails(FailOn::Pending),
        FieldClass::Dropped => fails(FailOn::Dropped),
        FieldClass::Ignored => false,
    };
    let found = report.objects.iter().any(|object| {
        of_object(object.class) || object.fields.iter().any(|field| of_field(field.class))
    });
    if found { Exit::Drift } else { Exit::Fine }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::report::samples::{clean, field, full, object};
    use serde_json::json;

    const ALL: [FailOn; 8] = [
        FailOn::Changed,
        FailOn::Removed,
        FailOn::Added,
        FailOn::Dropped,
        FailOn::PendingRemoval,
        FailOn::Pending,
        FailOn::Missing,
        FailOn::Extra,
    ];

    #[test]
    fn what_could_not_be_evaluated_wins_over_drift() {
        assert_eq!(exit_code(&clean(), &ALL), Exit::Fine);
        assert_eq!(exit_code(&full(), &ALL), Exit::Incomplete);
        let mut unread = clean();
        unread.incomplete.push("a source".to_owned());
        assert_eq!(exit_code(&unread, &[]), Exit::Incomplete);
        let mut unknown = clean();
        unknown.summary.unknown = 1;
        assert_eq!(exit_code(&unknown, &[]), Exit::Incomplete);
    }

    #[test]
    fn drift_is_what_fail_on_names() {
        for (class, fail_on) in [
            (FieldClass::Changed, FailOn::Changed),
            (FieldClass::Removed, FailOn::Removed),
            (FieldClass::Added, FailOn::Added),
            (FieldClass::Dropped, FailOn::Dropped),
            (FieldClass::PendingRemoval, FailOn::PendingRemoval),
            (FieldClass::Pending, FailOn::Pending),
        ] {
            let mut report = clean();
            let mut web = object("Deployment", "web", ObjectClass::Modified);
            web.fields = vec![field("spec.x", class, json!(1), json!(2))];
            report.objects = vec![web];
            for one in ALL {
                let expected = if one == fail_on {
                    Exit::Drift
                } else {
                    Exit::Fine
                };
                assert_eq!(exit_code(&report, &[one]), expected, "{class:?} {one:?}");
            }
        }
        for (class, fail_on) in [
            (ObjectClass::Missing, FailOn::Missing),
            (ObjectClass::Extra, FailOn::Extra),
        ] {
            let mut report = clean();
            report.objects = vec![object("Job", "x", class)];
            assert_eq!(exit_code(&report, &[fail_on]), Exit::Drift);
            let others: Vec<FailOn> = ALL.into_iter().filter(|one| *one != fail_on).collect();
            assert_eq!(exit_code(&report, &others), Exit::Fine);
        }
        let mut ignored = clean();
        ignored.objects = vec![object("Job", "x", ObjectClass::Ignored)];
        assert_eq!(exit_code(&ignored, &ALL), Exit::Fine);
    }

    #[test]
    fn each_format_is_its_own() {
        for (format, begin) in [
            (OutputFormat::Text, "incomplete:"),
            (OutputFormat::Json, "{\n  \"schema\""),
            (OutputFormat::Markdown, "## Incomplete"),
            (OutputFormat::Sarif, "{\n  \"$schema\""),
            (OutputFormat::Junit, "<?xml"),
        ] {
            let page = render(&full(), format, &Options::default());
            assert!(page.starts_with(begin), "{page}");
        }
    }
}
