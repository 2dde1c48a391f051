//! Which of the recorded objects are meant.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::filter::LabelSelector;
use crate::object::{ObjectKey, resource_of_short_name};

/// What is asked for; everything where it is empty.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Objects in these namespaces, and the namespaces themselves.
    pub namespaces: Vec<String>,
    /// Objects with these labels.
    pub labels: Option<LabelSelector>,
    /// These objects.
    pub names: Vec<Wanted>,
}

/// One `KIND/NAME` of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Kind, resource or short name in lower case, without group.
    kind: String,
    /// What stands behind the first dot.
    group: Option<String>,
    /// The object's name.
    name: String,
}

/// A text that is no `KIND/NAME`, or names nothing that is recorded. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No slash, or nothing beside it.
    #[error("'{}' is no object: write KIND/NAME, such as deployment/web or deployments.apps/web", text.escape_debug())]
    Form {
        /// As it was given.
        text: String,
    },
    /// No file of this type and name.
    #[error(
        "'{text}' is not in the mirror at this revision{}; `git ls-tree -r` of the repository lists what is",
        place(namespaces)
    )]
    NotRecorded {
        /// As it was given.
        text: String,
        /// Where it was looked for.
        namespaces: Vec<String>,
    },
    /// Files in several namespaces.
    #[error("'{text}' is in the namespaces {}: give one with -n", namespaces.join(", "))]
    Ambiguous {
        /// As it was given.
        text: String,
        /// Where it is.
        namespaces: Vec<String>,
    },
}

fn place(namespaces: &[String]) -> String {
    if namespaces.is_empty() {
        String::new()
    } else {
        format!(" in {}", namespaces.join(", "))
    }
}

/// What a type can be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeNames {
    /// API group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Kind; empty where no file told it.
    pub kind: String,
    /// Singular and short names of a CRD.
    pub aliases: Vec<String>,
}

impl TypeNames {
    fn is_called(&self, wanted: &Wanted) -> bool {
        let name = &*wanted.kind;
        let short = resource_of_short_name(name) == Some(&*self.resource);
        let called = self.resource == name
            || self.kind.eq_ignore_ascii_case(name)
            || short
            || self.aliases.iter().any(|alias| alias == name);
        called
            && wanted
                .group
                .as_ref()
                .is_none_or(|group| *group == self.group)
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        if let Some(group) = &self.group {
            write!(f, ".{group}")?;
        }
        write!(f, "/{}", self.name)
    }
}

impl Wanted {
    /// Reads `KIND/NAME`; the kind may carry its group.
    pub fn parse(text: &str) -> Result<Self, SelectionError> {
        let form = || SelectionError::Form {
            text: text.to_owned(),
        };
        let (kind, name) = text.split_once('/').ok_or_else(form)?;
        let (kind, group) = match kind.split_once('.') {
            Some((kind, group)) => (kind, Some(group.to_lowercase())),
            None => (kind, None),
        };
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            return Err(form());
        }
        Ok(Self {
            kind: kind.to_lowercase(),
            group,
            name: name.to_owned(),
        })
    }
}

impl Selection {
    /// Whether everything is meant.
    pub fn is_everything(&self) -> bool {
        self.namespaces.is_empty() && self.labels.is_none() && self.names.is_empty()
    }

    /// Whether an object of this identity can be meant; what its labels say is yet to be seen.
    pub fn may_hold(&self, type_names: &TypeNames, namespace: Option<&str>, name: &str) -> bool {
        let named = self.names.is_empty()
            || self
                .names
                .iter()
                .any(|wanted| wanted.name == name && type_names.is_called(wanted));
        let is_namespace = (&*type_names.group, &*type_names.resource) == ("", "namespaces");
        let placed = self.namespaces.is_empty()
            || match namespace {
                Some(namespace) => self.namespaces.iter().any(|wanted| wanted == namespace),
                None if is_namespace => self.namespaces.iter().any(|wanted| wanted == name),
                // `-n shop clusterrole/view` asks for it by name.
                None => !self.names.is_empty(),
            };
        named && placed
    }

    /// Whether the object's labels fit.
    pub fn fits(&self, object: &Value) -> bool {
        self.labels.as_ref().is_none_or(|labels| {
            labels.matches(
                object
                    .get("metadata")
                    .and_then(|metadata| metadata.get("labels")),
            )
        })
    }

    /// Makes sure that each wanted name is there, and once only.
    pub fn check(&self, found: &[(&TypeNames, ObjectKey)]) -> Result<(), SelectionError> {
        for wanted in &self.names {
            let places: BTreeSet<Option<&str>> = found
                .iter()
                .filter(|(names, key)| *key.name == *wanted.name && names.is_called(wanted))
                .map(|(_, key)| key.namespace.as_deref())
                .collect();
            if places.is_empty() {
                return Err(SelectionError::NotRecorded {
                    text: wanted.to_string(),
                    namespaces: self.namespaces.clone(),
                });
            }
            if places.len() > 1 && self.namespaces.len() < 2 {
                return Err(SelectionError::Ambiguous {
                    text: wanted.to_string(),
                    namespaces: places.into_iter().flatten().map(str::to_owned).collect(),
                });
            }
        }
        Ok(())
    }
}
