//! What a leaf may hold: a list of guesses, by the field's name first, then by what its type and
//! Kubernetes' formats allow. The server decides; no guess is ever taken for valid.

use serde_json::{Value, json};

use super::path::Key;
use super::schema::{Leaf, Node};
use super::words::WORDS;

/// What the guesses depend on, beside the place itself.
pub struct Facts<'a> {
    /// Which object of the kind: names and numbers that must be unique begin with it.
    pub number: usize,
    /// A certificate in PEM, for bundles.
    pub certificate: &'a str,
    /// A live object of the same namespace (or of the cluster): kind, name and uid.
    pub owner: &'a Owner,
}

/// Who may be named as an owner without the garbage collector's objection.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
}

/// The element of `volumes` and `resourceClaims` that companions add; no other reaches as far.
pub const COMPANION: usize = 90;

/// The key of a map's one entry.
pub fn map_key(path: &[Key]) -> &'static str {
    match name_at(path, 0) {
        "matchLabels" | "labels" | "nodeSelector" | "podSelector" | "selector" => "app",
        "limits"
        | "requests"
        | "default"
        | "defaultRequest"
        | "max"
        | "min"
        | "maxLimitRequestRatio"
        | "overhead"
        | "podFixed" => {
            if name_above(path, "volumeClaimTemplate")
                || name_above(path, "volumeClaimTemplates")
                || path
                    .iter()
                    .all(|key| *key != Key::Field("containers".into()))
                    && path.first() == Some(&Key::Field("spec".into()))
                    && path.len() == 3
                    && matches!(name_at(path, 1), "resources")
            {
                "storage"
            } else {
                "cpu"
            }
        }
        "capacity" | "allocatable" => "storage",
        "hard" => "configmaps",
        "annotations" | "extra" => "example.com/strand",
        "data" | "stringData" | "binaryData" => "strand.txt",
        _ => "strand",
    }
}

/// The name of the field that holds the place `up` levels of fields above the end.
fn name_at(path: &[Key], up: usize) -> &str {
    let names = path.iter().rev().filter_map(|key| match key {
        Key::Field(name) => Some(name.as_str()),
        Key::Index(_) => None,
    });
    names.into_iter().nth(up).unwrap_or_default()
}

fn name_above(path: &[Key], name: &str) -> bool {
    path.iter()
        .any(|key| matches!(key, Key::Field(field) if field == name))
}

/// `s2-0-1`: the object's number and the indexes on the way.
pub fn unique(number: usize, path: &[Key]) -> String {
    let mut text = format!("s{number}");
    for key in path {
        if let Key::Index(index) = key {
            text.push('-');
            text.push_str(&index.to_string());
        }
    }
    text
}

fn counter(number: usize, path: &[Key]) -> usize {
    let indexes = path.iter().filter_map(|key| match key {
        Key::Index(index) => Some(*index),
        Key::Field(_) => None,
    });
    indexes.fold(number, |sum, index| sum * 7 + index) % 200
}

/// The guesses, the likeliest first; never empty.
pub fn candidates(node: &Node, path: &[Key], facts: &Facts<'_>) -> Vec<Value> {
    let Shape {
        leaf,
        field,
        parent,
        id,
        count,
    } = Shape::of(node, path, facts);
    match leaf {
        Leaf::Boolean => match (field, parent) {
            // A controller's objects are derived state, which is not recorded.
            ("controller", "ownerReferences") => vec![json!(false)],
            _ => vec![json!(true), json!(false)],
        },
        Leaf::Integer => integers(field, count),
        Leaf::Number => vec![json!(1.5), json!(2), json!(10)],
        Leaf::Time => vec![json!("2030-01-01T00:00:00Z")],
        Leaf::Quantity => quantities(field),
        Leaf::IntOrString => {
            let mut found = vec![json!("25%"), json!(1), json!(8080 + count), json!("http")];
            if field.to_lowercase().ends_with("port") {
                found.rotate_left(2);
            }
            found
        }
        Leaf::Bytes => bytes(field, facts),
        Leaf::Any => any(field, parent, node, &id),
        Leaf::Text(choices) => {
            let mut found = texts(field, parent, path, facts, &id, count);
            if choices.is_empty() {
                found.extend(formats(&id, count));
            } else {
                // Unions are told apart by such a field: each element tries another first.
                let turn = (count + facts.number) % choices.len();
                found.retain(|value| choices.contains(value));
                found.extend(choices[turn..].iter().chain(&choices[..turn]).cloned());
            }
            let mut unlike: Vec<Value> = Vec::new();
            for value in found {
                if !unlike.contains(&value) {
                    unlike.push(value);
                }
            }
            unlike
        }
    }
}

struct Shape<'a> {
    leaf: &'a Leaf,
    field: &'a str,
    parent: &'a str,
    id: String,
    count: usize,
}

impl<'a> Shape<'a> {
    fn of(node: &'a Node, path: &'a [Key], facts: &Facts<'_>) -> Self {
        let leaf = match &node.shape {
            super::schema::Shape::Leaf(leaf) => leaf,
            // Never asked for: candidates are for leaves.
            _ => &Leaf::Any,
        };
        Self {
            leaf,
            field: name_at(path, 0),
            parent: name_at(path, 1),
            id: unique(facts.number, path),
            count: counter(facts.number, path),
        }
    }
}

fn integers(field: &str, count: usize) -> Vec<Value> {
    let first = match field {
        "hostPort" => 2000 + count,
        "nodePort" => 30000 + count,
        "healthCheckNodePort" => 30500 + count,
        "weight" | "replicas" | "parallelism" | "completions" => 2,
        "successThreshold" => 1,
        "mode" | "defaultMode" => 0o440,
        "port" | "containerPort" | "targetPort" | "runAsUser" | "runAsGroup" | "fsGroup"
        | "supplementalGroups" => 1000 + count,
        "groupPriorityMinimum" | "matchingPrecedence" => 5000 + count,
        "versionPriority" => 15,
        "expirationSeconds" => 3600,
        "maxExpirationSeconds" => 86_400,
        "timeoutSeconds" | "periodSeconds" => 7,
        _ => 3,
    };
    [
        first,
        1,
        2,
        0,
        10,
        100,
        600,
        3600,
        8080,
        1000,
        30_000 + count,
        1_000_000,
    ]
    .into_iter()
    .map(|value| json!(value))
    .collect()
}

fn quantities(field: &str) -> Vec<Value> {
    let first = match field {
        "sizeLimit" | "storage" => "1Gi",
        "divisor" => "1",
        _ => "2",
    };
    [first, "2", "1", "1Gi", "100m", "0"]
        .map(|value| json!(value))
        .to_vec()
}

fn base64(text: &str) -> Value {
    use base64::Engine as _;
    json!(base64::engine::general_purpose::STANDARD.encode(text))
}

fn bytes(field: &str, facts: &Facts<'_>) -> Vec<Value> {
    let plain = base64("what the strand holds");
    match field {
        "caBundle" | "request" => vec![base64(facts.certificate), plain],
        _ => vec![plain, base64(facts.certificate)],
    }
}

fn any(field: &str, parent: &str, node: &Node, id: &str) -> Vec<Value> {
    let object = json!({ "apiVersion": "strand.example.com/v1", "kind": "Strand", "a": id });
    match (field, parent) {
        ("not" | "items" | "properties" | "allOf" | "anyOf" | "oneOf", _) => {
            vec![
                json!({ "type": "string" }),
                json!({ "minLength": 1 }),
                json!({}),
            ]
        }
        ("status", "subresources") => vec![json!({})],
        ("additionalProperties", _) => vec![json!({ "type": "string" }), json!(true)],
        ("additionalItems", _) => vec![json!(true), json!({ "type": "string" })],
        ("dependencies", _) => vec![json!(["strand"]), json!({ "type": "string" })],
        ("default" | "enum" | "example", _) => {
            let whole = json!({ "apiVersion": "example.com/v1", "kind": "Strand" });
            vec![
                json!("strand"),
                whole,
                json!({}),
                json!({ "a": 1 }),
                json!(1),
                json!(true),
            ]
        }
        _ if node.type_name == "JSONSchemaProps" => {
            vec![
                json!({ "type": "string" }),
                json!({ "minLength": 1 }),
                json!({}),
            ]
        }
        _ => vec![
            object,
            json!({ "a": 1 }),
            json!({}),
            json!("strand"),
            json!(1),
            json!(true),
        ],
    }
}

/// Guesses by the field's name.
fn texts(
    field: &str,
    parent: &str,
    path: &[Key],
    facts: &Facts<'_>,
    id: &str,
    count: usize,
) -> Vec<Value> {
    let of = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
    let owner = facts.owner;
    if name_above(path, "ownerReferences") && !name_above(path, "template") {
        match field {
            "apiVersion" => return of(&[&owner.api_version]),
            "kind" => return of(&[&owner.kind]),
            "name" => return of(&[&owner.name]),
            "uid" => return of(&[&owner.uid]),
            _ => {}
        }
    }
    if matches!(parent, "labels" | "matchLabels" | "nodeSelector")
        || matches!(parent, "selector" | "podSelector")
    {
        return of(&["strand"]);
    }
    let known = WORDS.iter().find(|(fields, parents, _)| {
        fields.contains(&field) && (parents.is_empty() || parents.contains(&parent))
    });
    if let Some((_, _, words)) = known {
        return of(words);
    }
    let element = |index: usize| unique(facts.number, &[Key::Index(index)]);
    match (field, parent) {
        // What a companion adds (see `companions`).
        ("name", "volumeDevices") => of(&[&element(COMPANION + 1)]),
        ("name", "volumeMounts" | "claims") => of(&[&element(COMPANION), &element(COMPANION + 1)]),
        ("volumeName", "fileKeyRef") => of(&[&element(COMPANION)]),
        ("requests", "config" | "constraints") | ("containerName", "onExitCodes") => {
            of(&[&element(0)])
        }
        ("name", "volumes" | "resourceClaims") => {
            let last = path.iter().rev().find_map(|key| match key {
                Key::Index(index) => Some(*index),
                Key::Field(_) => None,
            });
            of(&[&element(last.unwrap_or(0))])
        }
        ("generateName", _) => of(&[&format!("{id}-")]),
        ("name", "initContainers") => of(&[&format!("i{id}")]),
        ("name", "ephemeralContainers") => of(&[&format!("e{id}")]),
        ("mismatchLabelKeys", _) => of(&[&format!("{id}-x")]),
        ("name", "webhooks") => of(&[&format!("{id}.strand.example.com")]),
        ("name", _) => of(&[id]),
        ("mountPath" | "devicePath", _) => of(&[&format!("/{id}")]),
        ("path" | "hostPath" | "key" | "subPath", _) => of(&[id, &format!("/{id}"), "strand"]),
        ("cidrs" | "podCIDR" | "podCIDRs", _) => of(&[
            &format!("10.{}.{count}.0/24", 100 + facts.number % 100),
            "2001:db8::/64",
        ]),
        ("ip" | "addresses" | "externalIPs" | "nameservers", _) => of(&[
            &format!("192.0.2.{}", 10 + count),
            "2001:db8::1",
            "strand.example.com",
        ]),
        ("clusterIP" | "clusterIPs", _) => of(&[&service_ip(facts.number), "None"]),
        ("trustBundle", _) => of(&[facts.certificate]),
        _ => Vec::new(),
    }
}

/// Guesses by Kubernetes' formats, from the narrowest name to the oddest.
fn formats(id: &str, count: usize) -> Vec<Value> {
    [
        id.to_owned(),
        "strand.example.com".to_owned(),
        "example.com/strand".to_owned(),
        format!("/{id}"),
        format!("STRAND_{}", id.replace('-', "_")),
        format!("192.0.2.{}", 10 + count),
        "192.0.2.0/24".to_owned(),
        "https://strand.example.com/x".to_owned(),
        "true".to_owned(),
        "1".to_owned(),
        "1Gi".to_owned(),
        "app".to_owned(),
        "*".to_owned(),
        "v1".to_owned(),
        "string".to_owned(),
        "Strand".to_owned(),
        "metadata.name".to_owned(),
        "kubernetes.io/hostname".to_owned(),
    ]
    .map(Value::String)
    .to_vec()
}

/// An address of the plane's range for Services that nobody else takes.
pub fn service_ip(number: usize) -> String {
    format!("10.96.77.{}", 1 + number % 250)
}

/// Which of several choices a place begins with.
pub fn turn(path: &[Key], number: usize) -> usize {
    counter(number, path)
}
