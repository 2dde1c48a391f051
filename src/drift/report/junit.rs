//! The report as `JUnit` XML: a suite per source, a case per object.
//!
//! The form that CI systems read: <https://github.com/testmoapp/junitxml>.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::escape::visible;
use super::tell;
use super::values::arrow;
use super::{ObjectClass, ObjectReport, Options, Report};

/// Columns of the values of one field.
const WIDEST_VALUES: usize = 400;
/// Fields of one object.
const MOST_FIELDS: usize = 1000;
/// The suite of what is in no source.
const NO_SOURCE: &str = "in no source";
/// The suite of what could not be evaluated and has no object.
const EVALUATION: &str = "evaluation";

/// Writes the report as XML in UTF-8.
///
/// Modified, missing and extra objects fail, unknown ones are errors, pending and ignored ones are
/// skipped; those in sync pass, where the report lists them. Ignored ones are listed where
/// [`Options::show_ignored`] says so.
pub fn render(report: &Report, options: &Options) -> String {
    let mut suites: BTreeMap<&str, Suite> = BTreeMap::new();
    for reason in &report.incomplete {
        let suite = suites.entry(EVALUATION).or_default();
        suite.add(EVALUATION, reason, Outcome::Error, reason, "");
    }
    for object in tell::listed(report, options) {
        let source = object.source.as_deref().unwrap_or(NO_SOURCE);
        let suite = suites.entry(source).or_default();
        let class_name = object.namespace.as_deref().unwrap_or("cluster");
        let name = format!("{} {}", tell::kind(object), object.name);
        let (message, text) = said(object, options);
        suite.add(
            class_name,
            &name,
            Outcome::of(object.class),
            &message,
            &text,
        );
    }
    let total = |count: fn(&Suite) -> usize| suites.values().map(count).sum::<usize>();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"strandline drift\" \
         tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
        total(|suite| suite.tests),
        total(|suite| suite.failures),
        total(|suite| suite.errors),
        total(|suite| suite.skipped),
    );
    for (name, suite) in &suites {
        let _ = write!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
            escape(name),
            suite.tests,
            suite.failures,
            suite.errors,
            suite.skipped
        );
        if let Some(time) = &report.as_of {
            let _ = write!(out, " timestamp=\"{}\"", escape(time));
        }
        let _ = write!(out, ">\n{}  </testsuite>\n", suite.cases);
    }
    out.push_str("</testsuites>\n");
    out
}

#[derive(Clone, Copy)]
enum Outcome {
    Pass,
    Failure,
    Error,
    Skipped,
}

impl Outcome {
    fn of(class: ObjectClass) -> Self {
        match class {
            ObjectClass::InSync => Self::Pass,
            ObjectClass::Modified | ObjectClass::Missing | ObjectClass::Extra => Self::Failure,
            ObjectClass::Unknown => Self::Error,
            ObjectClass::Pending | ObjectClass::Ignored => Self::Skipped,
        }
    }
}

#[derive(Default)]
struct Suite {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    cases: String,
}

impl Suite {
    fn add(&mut self, class: &str, name: &str, outcome: Outcome, message: &str, text: &str) {
        self.tests += 1;
        let element = match outcome {
            Outcome::Pass => "",
            Outcome::Failure => {
                self.failures += 1;
                "failure"
            }
            Outcome::Error => {
                self.errors += 1;
                "error"
            }
            Outcome::Skipped => {
                self.skipped += 1;
                "skipped"
            }
        };
        let (class, name) = (escape(class), escape(name));
        let _ = write!(
            self.cases,
            "    <testcase classname=\"{class}\" name=\"{name}\""
        );
        if element.is_empty() {
            self.cases.push_str("/>\n");
            return;
        }
        let _ = write!(
            self.cases,
            ">\n      <{element} message=\"{}\">{text}</{element}>\n    </testcase>\n",
            escape(message)
        );
    }
}

/// A message on one line, and escaped text of as many as it needs.
fn said(object: &ObjectReport, options: &Options) -> (String, String) {
    let fields = tell::listed_fields(object, options);
    let mut message = tell::object_class(object.class).to_owned();
    if !fields.is_empty() {
        let _ = write!(message, ": {} fields differ", fields.len());
    }
    if let Some(reason) = &object.reason {
        let _ = write!(message, ": {reason}");
    }
    let mut text = String::new();
    if let Some(place) = tell::place(object, None) {
        let _ = write!(text, "\n{}", escape(&place));
    }
    for field in fields.iter().take(MOST_FIELDS) {
        let (path, values) = (escape(&field.path), escape(&arrow(field, WIDEST_VALUES)));
        let _ = write!(
            text,
            "\n{path}: {values}  {}",
            escape(&tell::attribution(field))
        );
    }
    if fields.len() > MOST_FIELDS {
        let _ = write!(text, "\n… {} more fields", fields.len() - MOST_FIELDS);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    (message, text)
}

/// For attributes and text alike. What XML 1.0 cannot hold is spelled
/// (<https://www.w3.org/TR/xml/#charsets>).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}
