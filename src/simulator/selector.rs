//! Label and field selectors.
//!
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>,
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/>

use super::store::Stored;
use crate::object::ApiType;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
}

/// What a list or watch asked to see.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<(String, Test)>,
    /// Field path, value, and whether it must be equal.
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// Parses both selectors; an error is the message of the server's 400.
    pub(super) fn parse(
        labels: &str,
        fields: &str,
        api_type: &ApiType,
        custom: bool,
    ) -> Result<Self, String> {
        let mut selector = Self::default();
        for requirement in split_requirements(labels) {
            selector.labels.push(label_requirement(requirement)?);
        }
        for requirement in fields.split(',').filter(|text| !text.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = requirement.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = requirement.split_once("==") {
                (path, value, true)
            } else if let Some((path, value)) = requirement.split_once('=') {
                (path, value, true)
            } else {
                return Err(format!(
                    "invalid selector: '{requirement}'; can't understand '{requirement}'"
                ));
            };
            if !known_field(api_type, path) {
                return Err(if custom {
                    format!("field label not supported: {path}")
                } else {
                    format!(
                        "\"{path}\" is not a known field selector: only \"metadata.name\", \
                         \"metadata.namespace\""
                    )
                });
            }
            selector
                .fields
                .push((path.to_owned(), value.to_owned(), equal));
        }
        Ok(selector)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Stored) -> bool {
        self.labels.iter().all(|(key, test)| {
            let value = object.labels.get(key.as_str());
            let among = |values: &[String]| {
                value.is_some_and(|value| values.iter().any(|other| **other == **value))
            };
            match test {
                Test::In(values) => among(values),
                // An object without the label matches too.
                Test::NotIn(values) => !among(values),
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
            }
        }) && self.fields.iter().all(|(path, wanted, equal)| {
            let same = match path.as_str() {
                "metadata.name" => *object.name == **wanted,
                "metadata.namespace" => object.namespace.as_deref().unwrap_or_default() == wanted,
                _ => {
                    let value = object.value();
                    let pointer = format!("/{}", path.replace('.', "/"));
                    match value.pointer(&pointer) {
                        Some(serde_json::Value::String(text)) => text == wanted,
                        Some(serde_json::Value::Bool(flag)) => {
                            wanted == if *flag { "true" } else { "false" }
                        }
                        Some(serde_json::Value::Number(number)) => number.to_string() == **wanted,
                        Some(_) => false,
                        None => wanted.is_empty(),
                    }
                }
            };
            same == *equal
        })
    }
}

/// The fields that the real server can select by, beside name and namespace.
fn known_field(api_type: &ApiType, path: &str) -> bool {
    let more: &[&str] = match (&*api_type.group, &*api_type.resource) {
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.name",
            "reason",
            "type",
        ],
        ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    matches!(path, "metadata.name" | "metadata.namespace") || more.contains(&path)
}

/// Splits at commas outside parentheses.
fn split_requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

fn label_requirement(text: &str) -> Result<(String, Test), String> {
    let values = |list: &str| -> Result<Vec<String>, String> {
        list.trim()
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .map(|inner| {
                inner
                    .split(',')
                    .map(|value| value.trim().to_owned())
                    .collect()
            })
            .ok_or_else(|| "unable to parse requirement: found '' expected: '('".to_owned())
    };
    let one = |key: &str, value: &str| (key.trim().to_owned(), vec![value.trim().to_owned()]);
    if let Some((key, list)) = text.split_once(" notin") {
        return Ok((key.trim().to_owned(), Test::NotIn(values(list)?)));
    }
    if let Some((key, list)) = text.split_once(" in") {
        return Ok((key.trim().to_owned(), Test::In(values(list)?)));
    }
    if let Some(key) = text.strip_prefix('!') {
        return Ok((key.trim().to_owned(), Test::Missing));
    }
    Ok(if let Some((label, value)) = text.split_once("!=") {
        let (label, values) = one(label, value);
        (label, Test::NotIn(values))
    } else if let Some((label, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        let (label, values) = one(label, value);
        (label, Test::In(values))
    } else {
        (text.to_owned(), Test::Exists)
    })
}
