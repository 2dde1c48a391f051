//! What the server's types look like: just enough to compare two objects.
//!
//! Compact facts of `/openapi/v3` (<https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3>)
//! and of the schemas of `CustomResourceDefinition`s. They travel in the sidecar as JSON, so that a
//! mirror can be compared without its cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod crd;
mod openapi;
mod raw;
#[cfg(test)]
mod tests;

pub use crd::from_crd;
pub use openapi::from_openapi;

/// Why there is no schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// What the server sent for `/openapi/v3` cannot be read.
    #[error("not an OpenAPI v3 document; is the server behind a proxy that answers itself?")]
    NotOpenApi(#[source] serde_json::Error),
}

/// Named types and the kinds that they are the types of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schemas {
    /// Types that are referred to, by their name in `OpenAPI`: `io.k8s.api.core.v1.PodSpec`.
    pub types: BTreeMap<Box<str>, Type>,
    /// The type of each kind, by `group/version/kind` (`/v1/Service` in the core group).
    pub kinds: BTreeMap<Box<str>, Type>,
}

/// One type. What is not said is false or absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Type {
    /// The named type that this one is; a default, nullability and list type beside it are the
    /// field's own.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Box<str>>,
    /// What its values are.
    #[serde(rename = "k", skip_serializing_if = "Kind::is_any")]
    pub kind: Kind,
    /// Fields of an object.
    #[serde(rename = "f", skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Box<str>, Type>,
    /// The type of a map's values.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    pub values: Option<Box<Type>>,
    /// The type of a list's elements.
    #[serde(rename = "i", skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Type>>,
    /// How a list's elements are told apart (`x-kubernetes-list-type`).
    #[serde(rename = "l", skip_serializing_if = "ListType::is_atomic")]
    pub list: ListType,
    /// An object or map that is replaced as a whole (`x-kubernetes-map-type: atomic`).
    #[serde(rename = "a", skip_serializing_if = "std::ops::Not::not")]
    pub atomic: bool,
    /// The default that the schema publishes. Of built-in types hardly
    /// more than zero values are published.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "raw::null_too")]
    pub default: Option<Value>,
    /// Null is a value.
    #[serde(rename = "n", skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// Unknown fields are kept (`x-kubernetes-preserve-unknown-fields`).
    #[serde(rename = "o", skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

impl Type {
    /// Adds the names that it refers to, at any depth, to `names`.
    fn references(&self, names: &mut std::collections::BTreeSet<Box<str>>) {
        names.extend(self.reference.clone());
        let parts = self.values.iter().chain(&self.items).map(|part| &**part);
        for part in self.fields.values().chain(parts) {
            part.references(names);
        }
    }
}

/// What a type's values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Anything, compared exactly.
    #[default]
    Any,
    /// Named fields.
    Object,
    /// Any names, values of one type.
    Map,
    /// A list.
    List,
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// `500m`, `1Gi`, or a number.
    Quantity,
    /// `80` or `"80"`, which are two values.
    IntOrString,
    /// RFC 3339.
    Time,
    /// `1m30s`, as Go writes durations.
    Duration,
    /// Base64.
    Bytes,
}

impl Kind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// How the elements of a list are told apart:
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListType {
    /// Not at all: the list is one value.
    #[default]
    Atomic,
    /// By their value.
    Set,
    /// By the values of these fields.
    Map(Vec<Box<str>>),
}

impl ListType {
    fn is_atomic(&self) -> bool {
        *self == Self::Atomic
    }
}

/// A type at its place, references followed.
#[derive(Clone, Copy, Debug)]
pub struct Node<'s> {
    schemas: &'s Schemas,
    /// What the place itself says.
    outer: &'s Type,
    /// The type after its reference.
    inner: &'s Type,
    /// The named type that `inner` is, if any.
    name: Option<&'s str>,
}

impl Schemas {
    /// The type of a kind's objects; `None` where the server does not serve it, or published no
    /// schema.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Node<'_>> {
        let outer = self
            .kinds
            .get(format!("{group}/{version}/{kind}").as_str())?;
        Some(self.node(outer))
    }

    /// Takes over the types and kinds of `other`; what both have is `other`'s.
    pub fn extend(&mut self, other: Self) {
        self.types.extend(other.types);
        self.kinds.extend(other.kinds);
    }

    fn node<'s>(&'s self, outer: &'s Type) -> Node<'s> {
        let (mut inner, mut name) = (outer, None);
        // A chain of references is short; a circle of nothing but references is no schema.
        for _ in 0..8 {
            let Some(reference) = inner.reference.as_deref() else {
                break;
            };
            let Some(found) = self.types.get(reference) else {
                break;
            };
            (inner, name) = (found, Some(reference));
        }
        Node {
            schemas: self,
            outer,
            inner,
            name,
        }
    }
}

impl<'s> Node<'s> {
    /// What its values are.
    pub fn value_kind(self) -> Kind {
        self.inner.kind
    }

    /// The named type that it is: `io.k8s.api.core.v1.PodSpec`.
    pub fn type_name(self) -> Option<&'s str> {
        self.name
    }

    /// The type of a field of an object, or of the values of a map; `None` where the schema knows
    /// no such field.
    pub fn field(self, name: &str) -> Option<Self> {
        let field = self.inner.fields.get(name);
        field
            .or(self.inner.values.as_deref())
            .map(|field| self.schemas.node(field))
    }

    /// The names of its fields, those of a map aside.
    pub fn fields(self) -> impl Iterator<Item = (&'s str, Self)> {
        self.inner
            .fields
            .iter()
            .map(move |(name, field)| (&**name, self.schemas.node(field)))
    }

    /// The type of a list's elements.
    pub fn items(self) -> Option<Self> {
        self.inner
            .items
            .as_deref()
            .map(|items| self.schemas.node(items))
    }

    /// How a list's elements are told apart; what the place says goes before what its type says.
    pub fn list_type(self) -> &'s ListType {
        if self.outer.list.is_atomic() {
            &self.inner.list
        } else {
            &self.outer.list
        }
    }

    /// Whether it is replaced as a whole.
    pub fn is_atomic(self) -> bool {
        self.outer.atomic || self.inner.atomic
    }

    /// The default that is published for the place.
    pub fn default(self) -> Option<&'s Value> {
        self.outer.default.as_ref()
    }

    /// Whether null is a value here.
    pub fn is_nullable(self) -> bool {
        self.outer.nullable || self.inner.nullable
    }

    /// Whether fields that the schema does not name are kept.
    pub fn is_open(self) -> bool {
        self.outer.open || self.inner.open || self.inner.kind == Kind::Any
    }
}
