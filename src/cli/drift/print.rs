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
