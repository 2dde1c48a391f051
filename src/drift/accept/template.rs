//! An accept file for what a report found.

use std::fmt::Write as _;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::super::report::{
    FieldClass, FieldReport, ObjectClass, ObjectReport, Report, attribution, visible,
};
use crate::filter::FieldPath;

/// How long the rules hold, unless somebody says otherwise.
const DAYS: i64 = 30;

/// The accept file that would hide all that a report found, in the report's order.
///
/// It holds no values. Reasons are to be written by hand, and each rule ends 30 days after `today`.
/// What is pending or unknown is no drift, and not in it.
pub fn template(report: &Report, today: Date) -> String {
    let until = today.checked_add(DAYS.days()).unwrap_or(today);
    let mut out = String::from(
        "# Drift that is accepted. Write down why, and remove what is not to stay:\n\
         # an expired rule hides nothing.\n",
    );
    let mut rules = String::new();
    for object in &report.objects {
        match object.class {
            ObjectClass::Missing => rule(&mut rules, object, until, &What::Class("Missing")),
            ObjectClass::Extra => rule(&mut rules, object, until, &What::Class("Extra")),
            ObjectClass::Modified => {
                let is_drift = |field: &&FieldReport| {
                    !matches!(
                        field.class,
                        FieldClass::Ignored | FieldClass::Pending | FieldClass::PendingRemoval
                    )
                };
                let fields: Vec<_> = object.fields.iter().filter(is_drift).collect();
                rule(&mut rules, object, until, &What::Fields(&fields));
            }
            ObjectClass::InSync
            | ObjectClass::Pending
            | ObjectClass::Ignored
            | ObjectClass::Unknown => {}
        }
    }
    if rules.is_empty() {
        out.push_str("accept: []\n");
    } else {
        out.push_str("accept:\n");
        out.push_str(&rules);
    }
    out
}

enum What<'a> {
    Class(&'static str),
    Fields(&'a [&'a FieldReport]),
}

fn rule(out: &mut String, object: &ObjectReport, until: Date, what: &What<'_>) {
    // Names are globs in a rule; globset leaves backslashes alone.
    let exact = |text: &str| {
        let parts: Vec<String> = text.split('\\').map(globset::escape).collect();
        quoted(&parts.join("\\\\"))
    };
    let mut paths = String::new();
    if let What::Fields(fields) = what {
        let mut last = None;
        for field in *fields {
            // What stands for its object, or for a place without a name, is no path of a rule.
            if FieldPath::parse(&field.path).is_err() || last == Some(&field.path) {
                continue;
            }
            last = Some(&field.path);
            let (path, by) = (quoted(&field.path), attribution(field));
            let _ = writeln!(paths, "      - {path} # {by}");
        }
        if paths.is_empty() {
            return;
        }
    }
    let _ = write!(
        out,
        "  - reason: TODO\n    expires: {until}\n    match:\n      apiGroups: [{}]\n      kinds: [{}]\n",
        exact(&object.group),
        exact(&object.kind)
    );
    if let Some(namespace) = &object.namespace {
        let _ = writeln!(out, "      namespaces: [{}]", exact(namespace));
    }
    let _ = writeln!(out, "      names: [{}]", exact(&object.name));
    match what {
        What::Class(class) => {
            let _ = writeln!(out, "    classes: [{class}]");
        }
        What::Fields(_) => {
            let _ = write!(out, "    paths:\n{paths}");
        }
    }
}

/// A double-quoted scalar: <https://yaml.org/spec/1.2.2/#731-double-quoted-style>.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if visible(c.encode_utf8(&mut [0; 4])).len() > c.len_utf8() => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
