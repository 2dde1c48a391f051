//! A schema as `OpenAPI` writes it, and what it becomes.
//!
//! Descriptions, examples and validations are skipped while reading, so that a document of 2 MB
//! costs what is kept of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Kind, ListType, Type};

/// The type of `metadata`, which is the same everywhere.
pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The type of schemas in CRDs, which types of two forms stand for.
const JSON_SCHEMA: &str =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// How deep a schema may be nested without a reference. The server refuses requests that are
/// nested deeper than 10,000; published ones stay under 40.
const DEEPEST: u32 = 256;

/// What controller-gen writes for `resource.Quantity`
/// (<https://github.com/kubernetes-sigs/controller-tools/blob/v0.18.0/pkg/crd/known_types.go>).
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// One schema, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "as it is written")]
pub(super) struct Raw {
    #[serde(rename = "$ref")]
    reference: Option<Box<str>>,
    #[serde(rename = "type")]
    name: Option<Box<str>>,
    format: Option<Box<str>>,
    pattern: Option<Box<str>>,
    nullable: bool,
    #[serde(deserialize_with = "null_too")]
    default: Option<Value>,
    pub(super) properties: BTreeMap<Box<str>, Raw>,
    items: Option<Box<Raw>>,
    #[serde(rename = "additionalProperties")]
    values: Option<Values>,
    #[serde(rename = "allOf")]
    all_of: Vec<Raw>,
    #[serde(rename = "x-kubernetes-group-version-kind")]
    pub(super) kinds: Vec<GroupVersionKind>,
    #[serde(rename = "x-kubernetes-list-type")]
    list: Option<Box<str>>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    keys: Vec<Box<str>>,
    #[serde(rename = "x-kubernetes-map-type")]
    map: Option<Box<str>>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    int_or_string: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    open: bool,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    embedded: bool,
}

/// `additionalProperties`: whether there may be some, or what they are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    Allowed(bool),
    Of(Box<Raw>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub(super) struct GroupVersionKind {
    pub(super) group: Box<str>,
    pub(super) version: Box<str>,
    pub(super) kind: Box<str>,
}

/// `null` is a default too: of a nullable field.
pub(super) fn null_too<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Where a schema stands, and what it may refer to.
pub(super) struct Place<'a> {
    /// The named types of the document; none in a CRD.
    pub(super) named: &'a BTreeMap<Box<str>, Raw>,
    /// Nothing is pruned anywhere (`spec.preserveUnknownFields` of a CRD).
    pub(super) open: bool,
    /// Items and map values keep their defaults: those of custom resources replace nulls; those of
    /// built-in types are zero values that say nothing.
    pub(super) custom: bool,
}

impl Raw {
    /// Whether it is the schema of an object with metadata.
    pub(super) fn has_object_meta(&self) -> bool {
        let metadata = self.properties.get("metadata");
        metadata.and_then(Self::referred) == Some(OBJECT_META)
    }

    /// The name of the type that it refers to, itself or by an `allOf` that is there for a default
    /// beside the reference.
    fn referred(&self) -> Option<&str> {
        let reference = match (&self.reference, self.all_of.as_slice()) {
            (Some(reference), _) => Some(reference),
            (None, [only]) => only.reference.as_ref(),
            (None, _) => None,
        };
        reference.and_then(|path| path.rsplit('/').next())
    }

    /// What it is, with the named types that it refers to added to `wanted`.
    pub(super) fn convert(
        &self,
        place: &Place<'_>,
        wanted: &mut BTreeSet<Box<str>>,
        depth: u32,
    ) -> Type {
        if depth > DEEPEST {
            return Type::default();
        }
        let mut outer = self.own(place, wanted, depth);
        let Some(name) = self.referred() else {
            return outer;
        };
        match place.named.get(name) {
            // A type with fields is worth its name; others are shorter than their names.
            Some(named) if !named.properties.is_empty() => {
                wanted.insert(name.into());
                outer.kind = Kind::Any;
                outer.reference = Some(name.into());
            }
            // A schema in a CRD's schema; where it is a boolean, that is compared as it is.
            Some(_) if is_schema_or_else(name) => {
                wanted.insert(JSON_SCHEMA.into());
                outer.reference = Some(JSON_SCHEMA.into());
            }
            Some(named) => {
                let mut inner = named.convert(place, wanted, depth + 1);
                inner.kind = well_known(name).unwrap_or(inner.kind);
                inner.default = outer.default.or(inner.default);
                inner.nullable |= outer.nullable;
                inner.atomic |= outer.atomic;
                if outer.list != ListType::Atomic {
                    inner.list = outer.list;
                }
                return inner;
            }
            None => outer.kind = well_known(name).unwrap_or_default(),
        }
        outer
    }

    /// What it says itself, a reference aside.
    fn own(&self, place: &Place<'_>, wanted: &mut BTreeSet<Box<str>>, depth: u32) -> Type {
        let mut converted = |raw: &Self| raw.convert(place, wanted, depth + 1);
        let mut fields: BTreeMap<Box<str>, Type> = self
            .properties
            .iter()
            .map(|(name, field)| (name.clone(), converted(field)))
            .collect();
        let mut element = |raw: &Self| {
            let mut element = converted(raw);
            if !place.custom {
                element.default = None;
            }
            Box::new(element)
        };
        let items = self.items.as_deref().map(&mut element);
        let (values, any_values) = match &self.values {
            Some(Values::Of(raw)) => (Some(element(raw)), false),
            Some(Values::Allowed(allowed)) => (None, *allowed),
            None => (None, false),
        };
        if self.embedded {
            resource_fields(&mut fields);
        }
        let kind = self.kind(!fields.is_empty(), values.is_some(), place.custom);
        let structured = matches!(kind, Kind::Object | Kind::Any);
        Type {
            reference: None,
            kind,
            fields,
            values,
            items,
            list: self.list_type(),
            atomic: self.map.as_deref() == Some("atomic"),
            default: self.default.clone(),
            nullable: self.nullable,
            open: self.open || any_values || (place.open && structured),
        }
    }

    fn kind(&self, has_fields: bool, has_values: bool, custom: bool) -> Kind {
        let format = self.format.as_deref();
        if self.int_or_string || format == Some("int-or-string") {
            return match self.pattern.as_deref() {
                Some(QUANTITY) => Kind::Quantity,
                _ => Kind::IntOrString,
            };
        }
        match (self.name.as_deref(), format) {
            (Some("string"), Some("date-time")) => Kind::Time,
            (Some("string"), Some("byte")) => Kind::Bytes,
            (Some("string"), Some("duration")) => Kind::Duration,
            (Some("string"), _) => Kind::Text,
            (Some("integer"), _) => Kind::Integer,
            (Some("number"), _) => Kind::Number,
            (Some("boolean"), _) => Kind::Boolean,
            (Some("array"), _) => Kind::List,
            _ if has_fields => Kind::Object,
            _ if has_values => Kind::Map,
            // A structural schema prunes what it does not name; a built-in type without fields is JSON.
            (Some("object"), _) if custom => Kind::Object,
            _ => Kind::Any,
        }
    }

    fn list_type(&self) -> ListType {
        match self.list.as_deref() {
            Some("set") => ListType::Set,
            Some("map") if !self.keys.is_empty() => ListType::Map(self.keys.clone()),
            _ => ListType::Atomic,
        }
    }
}

/// `items` and `additionalProperties` of a CRD's schema: a list of schemas or a boolean instead are
/// not structural, or rare.
fn is_schema_or_else(name: &str) -> bool {
    let form = name.strip_prefix(JSON_SCHEMA);
    form.is_some_and(|form| matches!(form, "OrArray" | "OrBool"))
}

/// Named types whose values have a meaning that their schemas do not tell.
fn well_known(name: &str) -> Option<Kind> {
    match name {
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => Some(Kind::Quantity),
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => Some(Kind::IntOrString),
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
        | "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime" => Some(Kind::Time),
        "io.k8s.apimachinery.pkg.apis.meta.v1.Duration" => Some(Kind::Duration),
        _ => None,
    }
}

fn of(kind: Kind) -> Type {
    Type {
        kind,
        ..Type::default()
    }
}

/// What every object has, whatever its schema says.
pub(super) fn resource_fields(fields: &mut BTreeMap<Box<str>, Type>) {
    for name in ["apiVersion", "kind"] {
        fields.insert(name.into(), of(Kind::Text));
    }
    let metadata = Type {
        reference: Some(OBJECT_META.into()),
        ..Type::default()
    };
    fields.insert("metadata".into(), metadata);
}

/// `metadata`, as `apimachinery` has it, without `managedFields`
/// (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go>).
pub(super) fn object_meta() -> Type {
    let mut fields = BTreeMap::new();
    let mut add = |name: &str, field: Type| fields.insert(Box::from(name), field);
    for name in [
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "selfLink",
    ] {
        add(name, of(Kind::Text));
    }
    for name in ["generation", "deletionGracePeriodSeconds"] {
        add(name, of(Kind::Integer));
    }
    for name in ["creationTimestamp", "deletionTimestamp"] {
        add(name, of(Kind::Time));
    }
    for name in ["labels", "annotations"] {
        add(
            name,
            Type {
                values: Some(Box::new(of(Kind::Text))),
                ..of(Kind::Map)
            },
        );
    }
    add(
        "finalizers",
        Type {
            items: Some(Box::new(of(Kind::Text))),
            list: ListType::Set,
            ..of(Kind::List)
        },
    );
    let required = Type {
        default: Some("".into()),
        ..of(Kind::Text)
    };
    let texts = ["apiVersion", "kind", "name", "uid"].map(|name| (name, required.clone()));
    let flags = ["blockOwnerDeletion", "controller"].map(|name| (name, of(Kind::Boolean)));
    let owner = Type {
        fields: texts
            .into_iter()
            .chain(flags)
            .map(|(name, field)| (Box::from(name), field))
            .collect(),
        ..of(Kind::Object)
    };
    add(
        "ownerReferences",
        Type {
            items: Some(Box::new(owner)),
            list: ListType::Map(vec!["uid".into()]),
            ..of(Kind::List)
        },
    );
    Type {
        fields,
        ..of(Kind::Object)
    }
}
