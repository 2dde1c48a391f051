//! Label selectors: parsed, matched, and negated for the server.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;

/// A label selector in the form that `kubectl -l` takes; all its requirements must hold:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>,
/// and `key > 5` and `key < 5` as `labels.Parse` of apimachinery has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LabelSelector(pub(super) Vec<Requirement>);

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    key: String,
    test: Test,
    /// `notin`, `!=` and `!key`: an object without the label fits too.
    negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    In(Vec<String>),
    Above(i64),
    Below(i64),
}

/// Text that is not a label selector.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("label selector '{selector}': expected {expected} at '{at}'")]
pub(super) struct SelectorError {
    selector: String,
    at: String,
    expected: &'static str,
}

impl TryFrom<String> for LabelSelector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, SelectorError> {
        Self::parse(&text)
    }
}

impl<'de> Deserialize<'de> for LabelSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = LabelSelector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a label selector")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LabelSelector, E> {
                LabelSelector::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn error(selector: &str, at: &str, expected: &'static str) -> SelectorError {
    SelectorError {
        selector: selector.escape_debug().to_string(),
        at: at.escape_debug().to_string(),
        expected,
    }
}

impl LabelSelector {
    /// Reads a selector.
    pub(super) fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        let mut rest = text;
        loop {
            match Requirement::parse(rest) {
                Ok((requirement, after)) => {
                    requirements.push(requirement);
                    match after.trim_start().strip_prefix(',') {
                        Some(next) => rest = next,
                        None if after.trim().is_empty() => return Ok(Self(requirements)),
                        None => return Err(error(text, after, "',' or the end")),
                    }
                }
                Err((at, expected)) => return Err(error(text, at, expected)),
            }
        }
    }

    /// Whether the labels of an object fit.
    pub(super) fn matches(&self, labels: Option<&Value>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

type At<'a, T> = Result<(T, &'a str), (&'a str, &'static str)>;

impl Requirement {
    fn parse(text: &str) -> At<'_, Self> {
        let text = text.trim_start();
        if let Some(rest) = text.strip_prefix('!') {
            let (key, rest) = key(rest)?;
            return Ok((Self::new(key, Test::Exists, true), rest));
        }
        let (key, rest) = key(text)?;
        let after = rest.trim_start();
        for (operator, negated) in [("==", false), ("!=", true), ("=", false)] {
            if let Some(rest) = after.strip_prefix(operator) {
                let (value, rest) = value(rest)?;
                let equal = Test::In(vec![value.to_owned()]);
                return Ok((Self::new(key, equal, negated), rest));
            }
        }
        for (operator, test) in [('>', Test::Above as fn(i64) -> Test), ('<', Test::Below)] {
            if let Some(rest) = after.strip_prefix(operator) {
                let (number, end) = word(rest);
                let number = number.parse().map_err(|_| (rest, "a whole number"))?;
                return Ok((Self::new(key, test(number), false), end));
            }
        }
        for (operator, negated) in [("in", false), ("notin", true)] {
            let list = after.strip_prefix(operator).map(str::trim_start);
            if let Some(mut list) = list.and_then(|list| list.strip_prefix('(')) {
                let mut values = Vec::new();
                loop {
                    let (one, rest) = value(list)?;
                    values.push(one.to_owned());
                    let rest = rest.trim_start();
                    if let Some(rest) = rest.strip_prefix(')') {
                        return Ok((Self::new(key, Test::In(values), negated), rest));
                    }
                    list = rest.strip_prefix(',').ok_or((rest, "',' or ')'"))?;
                }
            }
        }
        Ok((Self::new(key, Test::Exists, false), rest))
    }

    fn new(key: &str, test: Test, negated: bool) -> Self {
        Self {
            key: key.to_owned(),
            test,
            negated,
        }
    }

    fn matches(&self, labels: Option<&Value>) -> bool {
        let label = labels
            .and_then(|labels| labels.get(&self.key))
            .and_then(Value::as_str);
        let fits = label.is_some_and(|label| match &self.test {
            Test::Exists => true,
            Test::In(values) => values.iter().any(|value| value == label),
            Test::Above(than) => label.parse::<i64>().is_ok_and(|number| number > *than),
            Test::Below(than) => label.parse::<i64>().is_ok_and(|number| number < *than),
        });
        fits != self.negated
    }

    /// The requirement that holds where this one does not; `>` and `<` have none, because an
    /// object without the label fits neither.
    pub(super) fn negate(&self) -> Option<Self> {
        match self.test {
            Test::Exists | Test::In(_) => Some(Self {
                negated: !self.negated,
                ..self.clone()
            }),
            Test::Above(_) | Test::Below(_) => None,
        }
    }
}

/// The letters of a label's key or value at the beginning of `text`.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A server refuses a selector with a label that cannot be, and the type would be *unknown*:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>.
fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains('/')
}

fn is_prefix(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn key(text: &str) -> At<'_, &str> {
    let (key, rest) = word(text);
    let sound = match key.rsplit_once('/') {
        Some((prefix, name)) => is_prefix(prefix) && is_name(name),
        None => is_name(key),
    };
    if sound {
        Ok((key, rest))
    } else {
        Err((text, "a label's key"))
    }
}

/// An empty value is a value.
fn value(text: &str) -> At<'_, &str> {
    let (value, rest) = word(text);
    if value.is_empty() || is_name(value) {
        Ok((value, rest))
    } else {
        Err((text, "a label's value"))
    }
}

/// As the API server reads it.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::Exists if self.negated => write!(f, "!{key}"),
            Test::Exists => f.write_str(key),
            Test::In(values) => {
                let operator = if self.negated { "notin" } else { "in" };
                write!(f, "{key} {operator} ({})", values.join(", "))
            }
            Test::Above(than) => write!(f, "{key} > {than}"),
            Test::Below(than) => write!(f, "{key} < {than}"),
        }
    }
}
