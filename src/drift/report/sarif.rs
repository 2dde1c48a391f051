//! The report as SARIF 2.1.0, for code scanning.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>, and what GitHub reads of it:
//! <https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support>.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::escape::{self, visible};
use super::tell;
use super::values::{arrow, cut};
use super::{
    FieldClass, FieldReport, ObjectClass, ObjectReport, Options, Report, Severity, SourceInfo,
};

/// Results of a run that GitHub takes; more would be refused as a whole.
const MOST_RESULTS: usize = 25_000;
/// Columns of the values of one field.
const WIDEST_VALUES: usize = 400;
/// Columns of a message.
const WIDEST_MESSAGE: usize = 2000;
/// The fingerprint's name; its version changes with what goes into it.
const FINGERPRINT: &str = "strandlineDrift/v1";

/// What a result can be about: id, short description, what to do.
const RULES: [(&str, &str, &str); 11] = [
    (
        "strandline/changed",
        "A live field has another value than the desired one",
        "Somebody or something changed the field after it was deployed. Deploy again, or take the \
         live value into Git.",
    ),
    (
        "strandline/removed",
        "A desired field is not live",
        "The field was removed after it was deployed, or never applied. Deploy again, or remove it \
         from Git. Kubernetes does not record who removes a field.",
    ),
    (
        "strandline/added",
        "A live field is not desired",
        "The field was added beside what is deployed; deploying again leaves it. Take it into Git, \
         or remove it from the cluster.",
    ),
    (
        "strandline/pending-removal",
        "A field is not desired any more and still live",
        "Git no longer has the field, and its deployer still owns it: the next deployment removes \
         it.",
    ),
    (
        "strandline/pending",
        "A change in Git is not deployed yet",
        "The branch is ahead of the revision that was last applied.",
    ),
    (
        "strandline/dropped",
        "A desired field is not in the server's schema",
        "The server drops the field when it is applied: a misspelt name, a wrong place, or another \
         version of the API.",
    ),
    (
        "strandline/ignored",
        "A difference that a rule hides",
        "A rule of the deployer, or an accepted difference.",
    ),
    (
        "strandline/missing",
        "A desired object is not live",
        "The object was deleted, or never deployed. Deploy again, or remove it from Git.",
    ),
    (
        "strandline/extra",
        "A live object is in no source",
        "Nobody's Git declares the object and no controller owns it. Take it into Git, or delete \
         it.",
    ),
    (
        "strandline/unknown",
        "An object could not be evaluated",
        "What the reason says stands in the way of a comparison; the report is incomplete.",
    ),
    (
        "strandline/in-sync",
        "An object is as it is desired",
        "Nothing is to be done.",
    ),
];

/// Writes the report as one SARIF log with one run.
///
/// A result per field that differs, and one per object that is missing, extra or unknown; what
/// rules hide is suppressed and listed where [`Options::show_ignored`] says so. Locations are those
/// of the desired files, of extra objects their path in the mirror.
pub fn render(report: &Report, options: &Options) -> String {
    let mut results = Vec::new();
    let mut left_out = 0;
    for object in tell::listed(report, options) {
        let mut add = |result: Value| {
            if results.len() < MOST_RESULTS {
                results.push(result);
            } else {
                left_out += 1;
            }
        };
        if let Some(rule) = rule_of_object(object.class) {
            add(of_object(object, rule, report));
        }
        for field in tell::listed_fields(object, options) {
            add(of_field(object, field, report));
        }
    }
    let mut notes: Vec<Value> = report
        .incomplete
        .iter()
        .map(|reason| notification("error", reason))
        .chain(
            report
                .warnings
                .iter()
                .map(|text| notification("warning", text)),
        )
        .collect();
    if left_out > 0 {
        let text = format!("{left_out} results were left out: a run has at most {MOST_RESULTS}");
        notes.push(notification("warning", &text));
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "strandline",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules(),
            }},
            // A category of its own: an upload replaces the results of its own category alone.
            "automationDetails": {"id": format!("strandline-drift/{}/", cut(&visible(&report.live.name), 200))},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": !tell::is_incomplete(report),
                "toolExecutionNotifications": notes,
            }],
            "results": results,
        }],
    });
    escape::json(&log)
}

fn rules() -> Vec<Value> {
    let rule = |(id, short, help): (&str, &str, &str)| {
        json!({
            "id": id,
            "name": camel(id),
            "shortDescription": {"text": short},
            "fullDescription": {"text": help},
            "help": {"text": format!("{help} {}", tell::MANAGER_NOTE)},
            "defaultConfiguration": {"level": "warning"},
            "properties": {"tags": ["kubernetes", "drift"]},
        })
    };
    RULES.into_iter().map(rule).collect()
}

/// `strandline/pending-removal` → `PendingRemoval`.
fn camel(id: &str) -> String {
    let name = id.rsplit('/').next().unwrap_or(id);
    name.split('-')
        .flat_map(|word| {
            let mut chars = word.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(chars)
        })
        .collect()
}

fn rule_of_object(class: ObjectClass) -> Option<&'static str> {
    match class {
        ObjectClass::Missing => Some("strandline/missing"),
        ObjectClass::Extra => Some("strandline/extra"),
        ObjectClass::Unknown => Some("strandline/unknown"),
        ObjectClass::InSync => Some("strandline/in-sync"),
        ObjectClass::Modified | ObjectClass::Pending | ObjectClass::Ignored => None,
    }
}

fn rule_of_field(class: FieldClass) -> &'static str {
    match class {
        FieldClass::Changed => "strandline/changed",
        FieldClass::Removed => "strandline/removed",
        FieldClass::Added => "strandline/added",
        FieldClass::PendingRemoval => "strandline/pending-removal",
        FieldClass::Pending => "strandline/pending",
        FieldClass::Dropped => "strandline/dropped",
        FieldClass::Ignored => "strandline/ignored",
    }
}

fn of_object(object: &ObjectReport, rule: &str, report: &Report) -> Value {
    let mut text = format!(
        "{}: {}",
        full_name(object),
        tell::object_class(object.class)
    );
    if let Some(reason) = &object.reason {
        let _ = write!(text, ": {}", visible(reason));
    }
    let is_fine = object.class == ObjectClass::InSync;
    let mut result = result(object, rule, &text, object.line, "", report);
    result["level"] = json!(if is_fine { "none" } else { "warning" });
    if is_fine {
        result["kind"] = json!("pass");
    }
    result
}

fn of_field(object: &ObjectReport, field: &FieldReport, report: &Report) -> Value {
    let text = format!(
        "{}: {}: {}. {}",
        full_name(object),
        visible(&field.path),
        arrow(field, WIDEST_VALUES),
        tell::attribution(field)
    );
    let rule = rule_of_field(field.class);
    let line = field.line.or(object.line);
    let mut result = result(object, rule, &text, line, &field.path, report);
    result["level"] = json!(match field.severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    });
    if field.class == FieldClass::Ignored {
        let rule = field.rule.as_deref().unwrap_or("a rule");
        result["suppressions"] =
            json!([{"kind": "external", "justification": message(rule)["text"]}]);
    }
    result
}

/// `shop/Deployment web`.
fn full_name(object: &ObjectReport) -> String {
    let name = format!("{} {}", tell::kind(object), visible(&object.name));
    match &object.namespace {
        Some(namespace) => format!("{}/{name}", visible(namespace)),
        None => name,
    }
}

fn result(
    object: &ObjectReport,
    rule: &str,
    text: &str,
    line: Option<usize>,
    path: &str,
    report: &Report,
) -> Value {
    let index = RULES.iter().position(|(id, ..)| *id == rule);
    let mut location = json!({
        "logicalLocations": [{
            "fullyQualifiedName": cut(&format!("{} {}", full_name(object), visible(path)), 1000).trim_end(),
            "kind": "object",
        }],
    });
    if let Some(uri) = uri(object, &report.sources) {
        location["physicalLocation"] = json!({
            "artifactLocation": {"uri": uri},
            "region": {"startLine": line.unwrap_or(1).max(1)},
        });
    }
    json!({
        "ruleId": rule,
        "ruleIndex": index,
        "message": message(text),
        "locations": [location],
        "partialFingerprints": {FINGERPRINT: fingerprint(object, rule, path)},
    })
}

/// In a message `[text](target)` is a link (§3.11.6): content makes none.
fn message(text: &str) -> Value {
    let text = cut(&visible(text), WIDEST_MESSAGE);
    json!({"text": text.replace("](", "] (")})
}

fn notification(level: &str, text: &str) -> Value {
    json!({"level": level, "message": message(text)})
}

/// The same for the same finding at any line, and at any value.
fn fingerprint(object: &ObjectReport, rule: &str, path: &str) -> String {
    let mut hash = Sha256::new();
    let source = object.source.as_deref().unwrap_or_default();
    let namespace = object.namespace.as_deref().unwrap_or_default();
    for part in [
        rule,
        source,
        &object.group,
        &object.kind,
        namespace,
        &object.name,
        path,
    ] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..16]
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The file's URI, relative to the working directory where its source lies below that: what GitHub
/// takes for the root of the repository.
fn uri(object: &ObjectReport, sources: &[SourceInfo]) -> Option<String> {
    let file = object.file.as_deref()?;
    let named = |source: &&SourceInfo| Some(&source.name) == object.source.as_ref();
    let folder = sources
        .iter()
        .find(named)
        .filter(|source| matches!(&*source.kind, "directory" | "kustomize" | "helm"))
        .map_or("", |source| &*source.location);
    let path = if folder.is_empty() || file.starts_with('/') {
        file.to_owned()
    } else {
        format!("{}/{file}", folder.trim_end_matches('/'))
    };
    let is_absolute = path.starts_with('/');
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let path: Vec<String> = parts.map(percent_encoded).collect();
    let path = path.join("/");
    Some(if is_absolute {
        format!("file:///{path}")
    } else {
        path
    })
}

/// <https://www.rfc-editor.org/rfc/rfc3986#section-3.3>; a colon too, which in a first segment would
/// end a scheme.
fn percent_encoded(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
