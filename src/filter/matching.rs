//! Which types and objects a rule is about.

use std::collections::BTreeMap;
use std::fmt;

use globset::{Glob, GlobMatcher, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;

use super::selector::LabelSelector;
use super::when::When;
use crate::object::{ApiType, ObjectKey, RawObject};
use crate::owners;

/// Conditions that must all hold; one that is absent always does.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Match {
    /// API groups; `""` is the core group.
    #[serde(default)]
    pub(super) api_groups: Option<Globs>,
    /// Plural resource names.
    #[serde(default)]
    pub(super) resources: Option<Globs>,
    /// Namespaces; an object of a cluster-scoped type lies in none and does not fit.
    #[serde(default)]
    pub(super) namespaces: Option<Globs>,
    /// `metadata.name`.
    #[serde(default)]
    pub(super) names: Option<Globs>,
    /// Selector over `metadata.labels`.
    #[serde(default)]
    pub(super) labels: Option<LabelSelector>,
    /// Globs of keys of `metadata.annotations`, each with a glob of its value or null for any.
    #[serde(default)]
    pub(super) annotations: Option<BTreeMap<Pattern, Option<Pattern>>>,
    /// `type` of a Secret; other types do not fit.
    #[serde(default, rename = "type")]
    pub(super) secret_types: Option<Vec<String>>,
    /// Whether one of `metadata.ownerReferences` is the controller's.
    #[serde(default)]
    pub(super) owned_by_controller: Option<bool>,
    /// Owners of which `metadata.ownerReferences` names one, controller or not.
    #[serde(default)]
    pub(super) owned_by: Option<Vec<Owner>>,
    /// Field managers of which one has written more than status.
    #[serde(default)]
    pub(super) managed_by: Option<Vec<String>>,
    /// An expression that must be true.
    #[serde(default)]
    pub(super) when: Option<When>,
}

/// Who owns: the group of `apiVersion`, any where it is left out, and the kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Owner {
    #[serde(default)]
    api_group: Option<Pattern>,
    kind: Pattern,
}

impl Owner {
    fn is(&self, reference: &Value) -> bool {
        let text = |field: &str| reference.get(field).and_then(Value::as_str);
        let version = text("apiVersion").unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        text("kind").is_some_and(|kind| self.kind.matches(kind))
            && self
                .api_group
                .as_ref()
                .is_none_or(|pattern| pattern.matches(group))
    }
}

/// One glob as <https://docs.rs/globset> reads it.
pub(super) struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, globset::Error> {
        Ok(Self {
            text: text.to_owned(),
            matcher: Glob::new(text)?.compile_matcher(),
        })
    }

    fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Pattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a glob")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Pattern, E> {
                Pattern::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Globs of which one must fit.
pub(super) struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Globs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of globs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Globs, A::Error> {
                let mut set = GlobSetBuilder::new();
                let mut patterns = Vec::new();
                while let Some(Pattern { text, matcher }) = list.next_element()? {
                    set.add(matcher.glob().clone());
                    patterns.push(text);
                }
                let set = set.build().map_err(A::Error::custom)?;
                Ok(Globs { patterns, set })
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl Globs {
    pub(super) fn matches(&self, text: &str) -> bool {
        self.set.is_match(text)
    }

    /// The names meant, where no pattern is more than a name that a field selector can hold.
    fn exact(&self) -> Option<&[String]> {
        plain_values(&self.patterns)
    }
}

/// Whether something fits. `Unknown` comes of a `when` that gives neither true nor false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    Unknown,
}

/// What a server can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Label(String),
    Field(String),
}

impl Match {
    /// Whether objects of this type can fit.
    pub(super) fn fits_type(&self, api_type: &ApiType) -> bool {
        let fits = |globs: &Option<Globs>, text: &str| {
            globs.as_ref().is_none_or(|globs| globs.matches(text))
        };
        fits(&self.api_groups, &api_type.group)
            && fits(&self.resources, &api_type.resource)
            && (self.secret_types.is_none() || is_secret(api_type))
            && (self.namespaces.is_none() || api_type.namespaced)
    }

    /// Whether every resource of this group fits, whatever it is called.
    pub(super) fn fits_group(&self, group: &str) -> bool {
        self.api_groups
            .as_ref()
            .is_some_and(|globs| globs.matches(group))
            && self.resources.is_none()
            && self.type_decides()
    }

    /// Whether some resource of this group may fit.
    pub(super) fn may_fit_group(&self, group: &str) -> bool {
        self.api_groups
            .as_ref()
            .is_none_or(|globs| globs.matches(group))
    }

    /// Whether a type that fits needs no look at its objects.
    pub(super) fn type_decides(&self) -> bool {
        self.object_conditions() == 0
    }

    fn object_conditions(&self) -> usize {
        [
            self.namespaces.is_some(),
            self.names.is_some(),
            self.labels.is_some(),
            self.annotations.is_some(),
            self.secret_types.is_some(),
            self.owned_by_controller.is_some(),
            self.owned_by.is_some(),
            self.managed_by.is_some(),
            self.when.is_some(),
        ]
        .into_iter()
        .filter(|&set| set)
        .count()
    }

    /// Whether an object of a type that fits does so too. What is cheap is asked first.
    pub(super) fn fits_object(&self, object: &RawObject, key: &ObjectKey) -> Fit {
        if !self.fits_cheaply(&object.value, key.namespace.as_deref(), &key.name) {
            return Fit::No;
        }
        if let Some(managers) = &self.managed_by {
            let wanted = |writer: &owners::Writer<'_>| {
                managers.iter().any(|manager| *manager == *writer.manager)
            };
            let written = object
                .managed_fields
                .as_ref()
                .is_some_and(|fields| owners::writers(fields).iter().any(wanted));
            if !written {
                return Fit::No;
            }
        }
        match self
            .when
            .as_ref()
            .map(|when| when.holds(&object.value, is_secret(&key.api_type)))
        {
            None | Some(Ok(true)) => Fit::Yes,
            Some(Ok(false)) => Fit::No,
            Some(Err(_)) => Fit::Unknown,
        }
    }

    /// The same for an object of which no more is known than what its file has, or nothing:
    /// conditions on what is not known do not hold, neither does a `when` that is undecided.
    pub(super) fn fits_value(
        &self,
        object: Option<&Value>,
        namespace: Option<&str>,
        name: &str,
        is_secret: bool,
    ) -> bool {
        let asks_names = usize::from(self.names.is_some()) + usize::from(self.namespaces.is_some());
        let Some(value) = object else {
            return self.object_conditions() == asks_names
                && self.fits_cheaply(&Value::Null, namespace, name);
        };
        let when = self.when.as_ref();
        self.managed_by.is_none()
            && self.fits_cheaply(value, namespace, name)
            && when.is_none_or(|when| when.holds(value, is_secret) == Ok(true))
    }

    fn fits_cheaply(&self, object: &Value, namespace: Option<&str>, name: &str) -> bool {
        let metadata = |field: &str| object.get("metadata")?.get(field);
        let owners = || {
            metadata("ownerReferences")
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice)
        };
        if let Some(names) = &self.names
            && !names.matches(name)
        {
            return false;
        }
        if let Some(namespaces) = &self.namespaces {
            match namespace {
                Some(namespace) if namespaces.matches(namespace) => {}
                _ => return false,
            }
        }
        // The managing controller's reference:
        // https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#ObjectMeta
        if let Some(owned) = self.owned_by_controller
            && owned
                != owners()
                    .iter()
                    .any(|owner| owner.get("controller") == Some(&Value::Bool(true)))
        {
            return false;
        }
        if let Some(wanted) = &self.owned_by
            && !owners()
                .iter()
                .any(|owner| wanted.iter().any(|wanted| wanted.is(owner)))
        {
            return false;
        }
        if let Some(labels) = &self.labels
            && !labels.matches(metadata("labels"))
        {
            return false;
        }
        if let Some(wanted) = &self.annotations {
            let Some(annotations) = metadata("annotations").and_then(Value::as_object) else {
                return false;
            };
            let has = |(key, value): (&Pattern, &Option<Pattern>)| {
                annotations.iter().any(|(name, text)| {
                    key.matches(name)
                        && value.as_ref().is_none_or(|value| {
                            text.as_str().is_some_and(|text| value.matches(text))
                        })
                })
            };
            if !wanted.iter().all(has) {
                return false;
            }
        }
        if let Some(types) = &self.secret_types {
            let actual = object.get("type").and_then(Value::as_str);
            if !types.iter().any(|wanted| Some(&**wanted) == actual) {
                return false;
            }
        }
        true
    }

    /// What to ask the server for, to get exactly the objects that do not fit; empty where no
    /// selector can say it.
    ///
    /// The server joins all of its requirements by AND
    /// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#chained-selectors>),
    /// so only the negation of a single condition can be asked for.
    pub(super) fn all_but_fitting(&self) -> Vec<Asked> {
        if self.object_conditions() != 1 {
            return Vec::new();
        }
        if let Some(labels) = &self.labels {
            return match &labels.0[..] {
                [one] => one
                    .negate()
                    .map(|negated| Asked::Label(negated.to_string()))
                    .into_iter()
                    .collect(),
                _ => Vec::new(),
            };
        }
        let Some((field, values)) = self.exact_field() else {
            return Vec::new();
        };
        values
            .iter()
            .map(|value| Asked::Field(format!("{field}!={value}")))
            .collect()
    }

    /// What to ask the server for, to get exactly the objects that fit; `None` where no selector
    /// can say it.
    pub(super) fn only_fitting(&self) -> Option<Vec<Asked>> {
        if self.object_conditions() != 1 {
            return None;
        }
        if let Some(labels) = &self.labels {
            let ask = |one: &super::selector::Requirement| Asked::Label(one.to_string());
            return Some(labels.0.iter().map(ask).collect());
        }
        match self.exact_field()? {
            (field, [value]) => Some(vec![Asked::Field(format!("{field}={value}"))]),
            _ => None,
        }
    }

    /// The field selector's field that the only condition is about, and its values.
    fn exact_field(&self) -> Option<(&'static str, &[String])> {
        if let Some(types) = &self.secret_types {
            return Some(("type", plain_values(types)?));
        }
        if let Some(names) = &self.names {
            return Some(("metadata.name", names.exact()?));
        }
        Some(("metadata.namespace", self.namespaces.as_ref()?.exact()?))
    }
}

/// The values, if a field selector can hold each of them as it is.
fn plain_values(values: &[String]) -> Option<&[String]> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '/');
    values
        .iter()
        .all(|value| !value.is_empty() && value.chars().all(plain))
        .then_some(values)
}

/// Whether values of the type's `data` are secret.
pub(super) fn is_secret(api_type: &ApiType) -> bool {
    (&*api_type.group, &*api_type.resource) == ("", "secrets")
}
