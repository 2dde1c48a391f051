//! Label selectors: parsed, matched, and negated for the server.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// A label selector in the form that `kubectl -l` takes; all its requirements must hold.
///
/// Without `<` and `>`, which no rule needs:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LabelSelector(pub(super) Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    key: String,
    /// `None`: any value, the label must only be there.
    values: Option<Vec<String>>,
    /// `notin`, `!=` and `!key`: an object without the label fits too.
    negated: bool,
}

/// Text that is not a label selector.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("label selector '{selector}': expected {expected} at '{at}'")]
pub struct SelectorError {
    selector: String,
    at: String,
    expected: &'static str,
}

impl TryFrom<String> for LabelSelector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        let mut rest = text.as_str();
        loop {
            match Requirement::parse(rest) {
                Ok((requirement, after)) => {
                    requirements.push(requirement);
                    match after.trim_start().strip_prefix(',') {
                        Some(next) => rest = next,
                        None if after.trim().is_empty() => return Ok(Self(requirements)),
                        None => return Err(error(&text, after, "',' or the end")),
                    }
                }
                Err((at, expected)) => return Err(error(&text, at, expected)),
            }
        }
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
    /// Reads a selector; the error says what is expected where.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Self::try_from(text.to_owned())
    }

    /// Whether the labels of an object (its `metadata.labels`) fit.
    pub fn matches(&self, labels: Option<&Value>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

type At<'a, T> = Result<(T, &'a str), (&'a str, &'static str)>;

impl Requirement {
    fn parse(text: &str) -> At<'_, Self> {
        let text = text.trim_start();
        if let Some(rest) = text.strip_prefix('!') {
            let (key, rest) = word(rest)?;
            return Ok((Self::new(key, None, true), rest));
        }
        let (key, rest) = word(text)?;
        let after = rest.trim_start();
        for (operator, negated) in [("==", false), ("!=", true), ("=", false)] {
            if let Some(rest) = after.strip_prefix(operator) {
                // An empty value is a value.
                let (value, rest) = word(rest).unwrap_or(("", rest));
                return Ok((Self::new(key, Some(vec![value]), negated), rest));
            }
        }
        for (operator, negated) in [("in", false), ("notin", true)] {
            let list = after.strip_prefix(operator).map(str::trim_start);
            if let Some(list) = list.and_then(|list| list.strip_prefix('(')) {
                let (values, rest) = list.split_once(')').ok_or((list, "')'"))?;
                let values = values.split(',').map(str::trim).collect();
                return Ok((Self::new(key, Some(values), negated), rest));
            }
        }
        Ok((Self::new(key, None, false), rest))
    }

    fn new(key: &str, values: Option<Vec<&str>>, negated: bool) -> Self {
        Self {
            key: key.to_owned(),
            values: values.map(|values| values.into_iter().map(str::to_owned).collect()),
            negated,
        }
    }

    fn matches(&self, labels: Option<&Value>) -> bool {
        let label = labels
            .and_then(|labels| labels.get(&self.key))
            .and_then(Value::as_str);
        let fits = match (label, &self.values) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(label), Some(values)) => values.iter().any(|value| value == label),
        };
        fits != self.negated
    }

    /// The requirement that holds where this one does not.
    #[must_use]
    pub(super) fn negate(&self) -> Self {
        Self {
            negated: !self.negated,
            ..self.clone()
        }
    }
}

/// A label's key or value at the beginning of `text`.
fn word(text: &str) -> At<'_, &str> {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')))
        .unwrap_or(text.len());
    if end == 0 {
        return Err((text, "a label"));
    }
    Ok(text.split_at(end))
}

/// As the API server reads it.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.values {
            None if self.negated => write!(f, "!{}", self.key),
            None => f.write_str(&self.key),
            Some(values) => {
                let operator = if self.negated { "notin" } else { "in" };
                write!(f, "{} {operator} ({})", self.key, values.join(", "))
            }
        }
    }
}
