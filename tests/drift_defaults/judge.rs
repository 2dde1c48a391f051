//! Leaf by leaf: what was expected, what is live.

use serde_json::Value;
use strandline::drift::defaults::Tables;
use strandline::drift::schema::{Kind, Node};

use crate::support::expectation::remove;

/// What the server makes itself; of a kind, or of all.
const SERVER_MADE: [(&str, &[&str], &str); 24] = [
    ("*", &["status"], "what controllers observe"),
    ("*", &["metadata", "uid"], "drawn at creation"),
    ("*", &["metadata", "resourceVersion"], "the store's own"),
    ("*", &["metadata", "generation"], "counts writes"),
    ("*", &["metadata", "creationTimestamp"], "the clock's"),
    ("*", &["metadata", "managedFields"], "who wrote, and when"),
    ("*", &["metadata", "namespace"], "of the request's path"),
    (
        "*",
        &["metadata", "generateName"],
        "says how the name came about",
    ),
    (
        "DaemonSet",
        &[
            "metadata",
            "annotations",
            "deprecated.daemonset.template.generation",
        ],
        "counts changes of the template",
    ),
    ("Service", &["spec", "clusterIP"], "allocated"),
    ("Service", &["spec", "clusterIPs"], "allocated"),
    (
        "Service",
        &["spec", "ipFamilies"],
        "of the cluster's networks",
    ),
    ("Service", &["spec", "healthCheckNodePort"], "allocated"),
    ("Service", &["spec", "ports", "*", "nodePort"], "allocated"),
    ("Job", &["spec", "selector"], "holds the uid"),
    (
        "Job",
        &["spec", "template", "metadata"],
        "its labels hold the uid",
    ),
    (
        "Job",
        &["metadata", "labels"],
        "of the template, which holds the uid",
    ),
    (
        "CertificateSigningRequest",
        &["spec", "username"],
        "who asked",
    ),
    (
        "CertificateSigningRequest",
        &["spec", "groups"],
        "who asked",
    ),
    ("CertificateSigningRequest", &["spec", "uid"], "who asked"),
    ("CertificateSigningRequest", &["spec", "extra"], "who asked"),
    ("Pod", &["spec", "volumes"], "the token's has a random name"),
    (
        "Pod",
        &["spec", "containers", "*", "volumeMounts"],
        "the token's has a random name",
    ),
    (
        "Pod",
        &["spec", "initContainers", "*", "volumeMounts"],
        "the token's has a random name",
    ),
];

pub(crate) fn without_server_made(object: &mut Value) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    for (of, path, _) in SERVER_MADE {
        if of == "*" || of == kind {
            remove(object, path);
        }
    }
}

pub(crate) struct Judge {
    tables: Tables,
    /// Leaves that both sides have, equal.
    pub(crate) equal: usize,
    pub(crate) differences: Vec<String>,
}

impl Judge {
    pub(crate) fn new(tables: Tables) -> Self {
        Self {
            tables,
            equal: 0,
            differences: Vec::new(),
        }
    }

    pub(crate) fn compare(
        &mut self,
        expected: &Value,
        live: &Value,
        node: Option<Node<'_>>,
        at: &str,
    ) {
        match (expected, live) {
            (Value::Object(expected), Value::Object(live)) => {
                if expected.is_empty() && live.is_empty() {
                    self.equal += 1;
                }
                let name = node.and_then(Node::type_name).unwrap_or_default();
                for (key, value) in live {
                    let at = format!("{at}.{key}");
                    if is_zero(value) && self.tables.omits_zero(name, key) {
                        self.differences.push(format!("{at}: zero, and there"));
                    }
                    match expected.get(key) {
                        Some(expected) => {
                            let node = node.and_then(|node| node.field(key));
                            self.compare(expected, value, node, &at);
                        }
                        // A Go list without `omitempty` that is nil.
                        None if value.is_null() => {}
                        None => self.differences.push(format!("{at}: unexpected {value}")),
                    }
                }
                for (key, value) in expected {
                    // What was taken out of it by the lists above left it empty on one side.
                    let emptied = at.is_empty() && is_zero(value);
                    let omitted = emptied || is_zero(value) && self.tables.omits_zero(name, key);
                    if !live.contains_key(key) && !omitted {
                        self.differences
                            .push(format!("{at}.{key}: missing {value}"));
                    }
                }
            }
            (Value::Array(expected), Value::Array(live)) if expected.len() == live.len() => {
                if expected.is_empty() {
                    self.equal += 1;
                }
                let items = node.and_then(Node::items);
                for (index, (expected, live)) in expected.iter().zip(live).enumerate() {
                    self.compare(expected, live, items, &format!("{at}[{index}]"));
                }
            }
            _ => {
                let same = match node.map(Node::value_kind) {
                    Some(Kind::Quantity) => quantity(expected) == quantity(live),
                    _ => expected == live || is_null_list(expected, live),
                };
                if same {
                    self.equal += 1;
                } else {
                    self.differences
                        .push(format!("{at}: expected {expected}, live {live}"));
                }
            }
        }
    }
}

/// A Go list without `omitempty` that is nil is written as null.
fn is_null_list(expected: &Value, live: &Value) -> bool {
    live.is_null() && expected.as_array().is_some_and(Vec::is_empty)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}

/// In thousandths, rounded: enough for the quantities of manifests.
fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let end = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024f64,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent[1..].parse().ok()?),
    };
    Some((number * factor * 1e3).round())
}
