//! The same manifests in other words: what Kubernetes reads alike must be no drift.
//!
//! Other order of keys and ports, other spellings of booleans, numbers and quantities, `protocol`
//! left out or written out, `stringData` for `data`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde_json::{Map, Value};

use crate::bed::Set;
use crate::oracle::schema::{List, Node, Schemas};
use crate::support::{Context as _, Result};

/// How often each rewriting was done, so that a test sees that none was forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) booleans: usize,
    pub(crate) octals: usize,
    pub(crate) quantities: usize,
    pub(crate) lists: usize,
    pub(crate) protocols: usize,
    pub(crate) secrets: usize,
}

/// Writes a set again into a folder of its own, one file for each object.
pub(crate) fn folder(
    set: &Set,
    schemas: &Schemas,
    to: &Path,
    rng: &mut Rng,
    done: &mut Done,
) -> Result<PathBuf> {
    let folder = to.join(&set.name);
    std::fs::create_dir_all(&folder).context(folder.display())?;
    for (at, (id, object)) in set.desired.iter().enumerate() {
        let node = schemas.kind(&id.group, &id.version, &id.kind);
        let mut object = object.clone();
        if id.kind == "Secret" && id.group.is_empty() {
            turn_secret(&mut object, done);
        }
        let mut writer = Writer {
            text: String::new(),
            rng,
            done,
        };
        let object = writer.reordered(node, object);
        writer.block(node, &object, 0, "");
        let path = folder.join(format!("{at:03}.yaml"));
        std::fs::write(&path, &writer.text).context(path.display())?;
    }
    Ok(folder)
}

/// `data` where it was `stringData`, and the reverse where the bytes are text.
fn turn_secret(secret: &mut Value, done: &mut Done) {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let take = |fields: &mut Map<String, Value>, name: &str| match fields.remove(name) {
        Some(Value::Object(values)) => values,
        _ => Map::new(),
    };
    let (data, texts) = (take(fields, "data"), take(fields, "stringData"));
    let mut turned = (Map::new(), Map::new());
    for (key, value) in data {
        let bytes = engine.decode(value.as_str().unwrap_or_default());
        match bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => turned.1.insert(key, text.into()),
            None => turned.0.insert(key, value),
        };
        done.secrets += 1;
    }
    for (key, value) in texts {
        let text = engine.encode(value.as_str().unwrap_or_default());
        turned.0.insert(key, text.into());
        done.secrets += 1;
    }
    for (name, values) in [("data", turned.0), ("stringData", turned.1)] {
        if !values.is_empty() {
            fields.insert(name.to_owned(), values.into());
        }
    }
}

struct Writer<'a> {
    text: String,
    rng: &'a mut Rng,
    done: &'a mut Done,
}

impl Writer<'_> {
    /// Lists whose order says nothing, turned; `protocol: TCP` where it is the default.
    fn reordered(&mut self, node: Node<'_>, value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut fields: Map<String, Value> = fields
                    .into_iter()
                    .map(|(key, value)| {
                        let list = node.field(&key);
                        let mut value = self.reordered(list, value);
                        let free = key != "initContainers" && list.list() != List::Atomic;
                        if let (Value::Array(items), true) = (&mut value, free)
                            && items.len() > 1
                        {
                            items.reverse();
                            self.done.lists += 1;
                        }
                        (key, value)
                    })
                    .collect();
                let tcp = node.field("protocol").default().is_some_and(|d| d == "TCP")
                    || node
                        .reference()
                        .is_some_and(|name| name.ends_with("NetworkPolicyPort"));
                if tcp && !node.custom {
                    self.done.protocols += 1;
                    if fields.get("protocol").is_some_and(|known| known == "TCP") {
                        fields.remove("protocol");
                    } else if !fields.contains_key("protocol") {
                        fields.insert("protocol".to_owned(), "TCP".into());
                    }
                }
                fields.into()
            }
            Value::Array(items) => {
                let items = items
                    .into_iter()
                    .map(|item| self.reordered(node.items(), item));
                Value::Array(items.collect())
            }
            value => value,
        }
    }

    /// Keys and texts in double quotes, which YAML reads as JSON does; the rest plain.
    fn block(&mut self, node: Node<'_>, value: &Value, depth: usize, above: &str) {
        let pad = "  ".repeat(depth);
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let mut keys: Vec<&String> = fields.keys().collect();
                self.rng.shuffle(&mut keys);
                for key in keys {
                    let _ = write!(self.text, "{pad}{}:", Value::from(key.as_str()));
                    let name = if above == "limits" || above == "requests" {
                        above
                    } else {
                        key
                    };
                    self.nested(node.field(key), &fields[key], depth, name);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for item in items {
                    let _ = write!(self.text, "{pad}-");
                    self.nested(node.items(), item, depth, above);
                }
            }
            value => {
                let text = self.scalar(node, value, above);
                let _ = writeln!(self.text, "{pad}{text}");
            }
        }
    }

    fn nested(&mut self, node: Node<'_>, value: &Value, depth: usize, name: &str) {
        let is_block = match value {
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => false,
        };
        if is_block {
            self.text.push('\n');
            self.block(node, value, depth + 1, name);
        } else {
            let text = self.scalar(node, value, name);
            let _ = writeln!(self.text, " {text}");
        }
    }

    fn scalar(&mut self, node: Node<'_>, value: &Value, name: &str) -> String {
        let quantities = node
            .reference()
            .is_some_and(|name| name.ends_with(".Quantity"))
            || node
                .says("pattern")
                .and_then(Value::as_str)
                .is_some_and(|pattern| pattern.contains("KMGTPE"));
        match value {
            // YAML 1.1: https://yaml.org/type/bool.html
            Value::Bool(value) => {
                self.done.booleans += 1;
                let words = if *value {
                    ["yes", "on", "True", "TRUE"]
                } else {
                    ["no", "off", "False", "NO"]
                };
                words[self.rng.usize(..words.len())].to_owned()
            }
            Value::Number(number) => match number.as_u64().filter(|_| name.ends_with("ode")) {
                // https://yaml.org/type/int.html
                Some(mode) => {
                    self.done.octals += 1;
                    format!("0{mode:o}")
                }
                None => number.to_string(),
            },
            Value::String(text) if quantities => match requantified(text) {
                Some(other) => {
                    self.done.quantities += 1;
                    Value::from(other).to_string()
                }
                None => value.to_string(),
            },
            value => value.to_string(),
        }
    }
}

/// Another spelling of a quantity:
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
fn requantified(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "" => Some(format!("{number}000m")),
        "m" if number.is_multiple_of(1000) => Some((number / 1000).to_string()),
        "m" => Some(format!("0.{number:03}")).filter(|_| number < 1000),
        "Gi" => Some(format!("{}Mi", number * 1024)),
        "Mi" => Some(format!("{}Ki", number * 1024)),
        "G" => Some(format!("{number}000M")),
        _ => None,
    }
}
