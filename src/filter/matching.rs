//! Which types and objects a rule is about.

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::selector::LabelSelector;
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
    /// `type` of a Secret; other types do not fit.
    #[serde(default, rename = "type")]
    pub(super) secret_types: Option<Vec<String>>,
    /// Whether one of `metadata.ownerReferences` is the controller's.
    #[serde(default)]
    pub(super) owned_by_controller: Option<bool>,
    /// Field managers of which one has written more than status.
    #[serde(default)]
    pub(super) managed_by: Option<Vec<String>>,
}

/// Globs as <https://docs.rs/globset> reads them, of which one must fit.
#[derive(Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
}

impl TryFrom<Vec<String>> for Globs {
    type Error = globset::Error;

    fn try_from(patterns: Vec<String>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            set.add(Glob::new(pattern)?);
        }
        Ok(Self {
            set: set.build()?,
            patterns,
        })
    }
}

impl Globs {
    pub(super) fn matches(&self, text: &str) -> bool {
        self.set.is_match(text)
    }

    /// The names meant, where no pattern is more than a name that a field selector can hold.
    fn exact(&self) -> Option<&[String]> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
        self.patterns
            .iter()
            .all(|pattern| pattern.chars().all(plain))
            .then_some(&self.patterns)
    }
}

/// What a server can be asked to leave out.
pub(super) enum Excluded {
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
            && (self.secret_types.is_none()
                || (&*api_type.group, &*api_type.resource) == ("", "secrets"))
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

    /// Whether a type that fits needs no look at its objects.
    pub(super) fn type_decides(&self) -> bool {
        self.object_conditions() == 0
    }

    fn object_conditions(&self) -> usize {
        [
            self.namespaces.is_some(),
            self.names.is_some(),
            self.labels.is_some(),
            self.secret_types.is_some(),
            self.owned_by_controller.is_some(),
            self.managed_by.is_some(),
        ]
        .into_iter()
        .filter(|&set| set)
        .count()
    }

    /// Whether an object of a type that fits does so too.
    pub(super) fn fits_object(&self, object: &RawObject, key: &ObjectKey) -> bool {
        let metadata = |field: &str| object.value.get("metadata")?.get(field);
        if let Some(owned) = self.owned_by_controller
            && owned != has_controller(metadata("ownerReferences"))
        {
            return false;
        }
        if let Some(labels) = &self.labels
            && !labels.matches(metadata("labels"))
        {
            return false;
        }
        if let Some(types) = &self.secret_types {
            let actual = object.value.get("type").and_then(Value::as_str);
            if !types.iter().any(|wanted| Some(&**wanted) == actual) {
                return false;
            }
        }
        if let Some(names) = &self.names
            && !names.matches(&key.name)
        {
            return false;
        }
        if let Some(namespaces) = &self.namespaces {
            match &key.namespace {
                Some(namespace) if namespaces.matches(namespace) => {}
                _ => return false,
            }
        }
        if let Some(managers) = &self.managed_by {
            let Some(managed_fields) = &object.managed_fields else {
                return false;
            };
            return owners::writers(managed_fields)
                .iter()
                .any(|writer| managers.iter().any(|manager| *manager == *writer.manager));
        }
        true
    }

    /// The selectors that leave exactly the objects that do not fit; empty where no selector can.
    ///
    /// The server joins all of its requirements by AND
    /// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#chained-selectors>),
    /// so only the negation of a single condition can be asked for.
    pub(super) fn excluded_by_server(&self) -> Vec<Excluded> {
        if self.object_conditions() != 1 {
            return Vec::new();
        }
        let fields = |field: &str, values: &[String]| {
            values
                .iter()
                .map(|value| Excluded::Field(format!("{field}!={value}")))
                .collect()
        };
        if let Some(labels) = &self.labels {
            if let [requirement] = &labels.0[..] {
                return vec![Excluded::Label(requirement.negate().to_string())];
            }
        } else if let Some(types) = &self.secret_types {
            return fields("type", types);
        } else if let Some(names) = self.names.as_ref().and_then(Globs::exact) {
            return fields("metadata.name", names);
        } else if let Some(names) = self.namespaces.as_ref().and_then(Globs::exact) {
            return fields("metadata.namespace", names);
        }
        Vec::new()
    }
}

/// Whether one owner reference is the managing controller's:
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#ObjectMeta>.
fn has_controller(owner_references: Option<&Value>) -> bool {
    owner_references
        .and_then(Value::as_array)
        .is_some_and(|owners| {
            owners
                .iter()
                .any(|owner| owner.get("controller") == Some(&Value::Bool(true)))
        })
}
