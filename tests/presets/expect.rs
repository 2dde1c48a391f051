//! What becomes of an object, and whether it did.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use strandline::canonical;

use crate::case::Object;
use crate::mirror::KEY;
use crate::support::expectation::{is_dropped, strip};
use crate::support::{Context as _, Failure, Result};

/// A case's `expect`.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Expect {
    pub(crate) fate: Fate,
    /// The rule by path.
    removed: BTreeMap<String, String>,
    redacted: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(crate) enum Fate {
    Dropped { by: String },
    Kept { by: String },
    Recorded,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    dropped_by: Option<String>,
    kept_by: Option<String>,
    #[serde(default)]
    removed: BTreeMap<String, String>,
    #[serde(default)]
    redacted: BTreeMap<String, String>,
}

impl TryFrom<Written> for Expect {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written {
            dropped_by,
            kept_by,
            removed,
            redacted,
        } = written;
        let fate = match (dropped_by, kept_by) {
            (Some(by), None) if removed.is_empty() && redacted.is_empty() => Fate::Dropped { by },
            (None, Some(by)) => Fate::Kept { by },
            (None, None) => Fate::Recorded,
            _ => return Err("what is dropped is not kept, and nothing is removed from it"),
        };
        Ok(Self {
            fate,
            removed,
            redacted,
        })
    }
}

impl Expect {
    /// Every rule that it names.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &str> {
        let fate = match &self.fate {
            Fate::Dropped { by } | Fate::Kept { by } => Some(by),
            Fate::Recorded => None,
        };
        fate.into_iter()
            .chain(self.removed.values())
            .chain(self.redacted.values())
            .map(String::as_str)
    }

    /// Whether the object is recorded as it is.
    pub(crate) fn is_untouched(&self) -> bool {
        self.rules().next().is_none()
    }
}

/// Holds an object against its file in the mirror.
pub(crate) fn compare(object: &Object, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let path = object.key.path();
    let expect = &object.case.expect;
    let file = files.get(&path);
    if matches!(expect.fate, Fate::Dropped { .. }) {
        return match file {
            Some(_) => Err(Failure::new(format!("{path} is in the mirror"))),
            None => Ok(()),
        };
    }
    let file = file.ok_or_else(|| Failure::new(format!("{path} is not in the mirror")))?;
    let mut file = canonical::read(file).context(&path)?;
    let resource = object.key.api_type.resource_and_group();
    let mut expected = object.live.clone();
    if matches!(expect.fate, Fate::Kept { .. }) && !is_dropped(&resource, &expected) {
        return Err(Failure::new("the core rules keep it anyway"));
    }
    strip(&resource, &mut expected, &KEY);
    for path in expect.removed.keys() {
        let before = expected.clone();
        remove(&mut expected, &steps(path)?);
        if expected == before {
            return Err(Failure::new(format!("the live object has no {path}")));
        }
    }
    for path in expect.redacted.keys() {
        let steps = steps(path)?;
        let missing = || Failure::new(format!("no {path}"));
        let plain = at(&mut expected, &steps).ok_or_else(missing)?.take();
        let digest = at(&mut file, &steps).ok_or_else(missing)?.take();
        let hex = digest.as_str().and_then(|text| text.strip_prefix("hmac:"));
        let sound = |hex: &str| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if digest == plain || !hex.is_some_and(sound) {
            return Err(Failure::new(format!("{path} is no digest")));
        }
    }
    if file == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{path} differs\n file:     {file}\n expected: {expected}"
    )))
}

/// A step of a path, as the rules write them.
#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    Every,
    /// `[name=x]`, or `[=x]` for a set's element.
    Where(String, String),
}

/// Reads `a.b["c/d"].e[*].f[name=x]`: a reader of the test's own, so that a fault in the
/// library's shows.
fn steps(path: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix("[\"") {
            let (key, after) = inner
                .split_once("\"]")
                .ok_or_else(|| Failure::new(format!("{path}: no end of a quoted key")))?;
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (inner, after) = inner
                .split_once(']')
                .ok_or_else(|| Failure::new(format!("{path}: no end of a selector")))?;
            steps.push(match inner.split_once('=') {
                Some((key, value)) => Step::Where(key.to_owned(), value.to_owned()),
                None if inner == "*" => Step::Every,
                None => return Err(Failure::new(format!("{path}: no such selector"))),
            });
            rest = after;
        } else {
            let rest_of_key = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest_of_key.find(['.', '[']).unwrap_or(rest_of_key.len());
            steps.push(Step::Key(rest_of_key[..end].to_owned()));
            rest = &rest_of_key[end..];
        }
    }
    Ok(steps)
}

impl Step {
    fn fits(&self, key: &str, value: &Value) -> bool {
        match self {
            Self::Key(wanted) => key == wanted,
            Self::Every => true,
            Self::Where(field, wanted) => {
                let held = if field.is_empty() {
                    value
                } else {
                    &value[field]
                };
                held.as_str() == Some(wanted)
            }
        }
    }
}

/// Removes what a path names, and a map or list that is empty without it.
fn remove(value: &mut Value, steps: &[Step]) {
    let Some((first, rest)) = steps.split_first() else {
        return;
    };
    // Whether the child goes: it is what is meant, or has just become empty.
    let goes = |child: &mut Value| {
        if rest.is_empty() {
            return true;
        }
        let was_empty = is_empty(child);
        remove(child, rest);
        !was_empty && is_empty(child)
    };
    match value {
        Value::Object(map) => map.retain(|key, child| !(first.fits(key, child) && goes(child))),
        Value::Array(list) => list.retain_mut(|child| !(first.fits("", child) && goes(child))),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// The first value that a path names.
fn at<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    let Some((first, rest)) = steps.split_first() else {
        return Some(value);
    };
    let child = match value {
        Value::Object(map) => map.iter_mut().find(|(key, v)| first.fits(key, v))?.1,
        Value::Array(list) => list.iter_mut().find(|v| first.fits("", v))?,
        _ => return None,
    };
    at(child, rest)
}
