//! What counts as absent: null, and the zero values that the server leaves out.

use serde_json::Value;

use super::super::defaults::Tables;
use super::super::schema::{Kind, Node};
use super::metadata;

/// The type of a place.
#[derive(Clone, Copy)]
pub(super) enum Type<'s> {
    /// It is known.
    Known(Node<'s>),
    /// The place lies where unknown fields are kept as they are.
    Open,
    /// No schema is known.
    Unknown,
}

/// What the schema says of a place.
#[derive(Clone, Copy)]
pub(super) struct Facts<'s> {
    /// Its type.
    pub(super) kind: Type<'s>,
    /// Whether it is part of a built-in type, whose values the server reads and writes anew; a
    /// custom resource keeps what was sent.
    pub(super) built_in: bool,
    /// The built-in type that it is a field of, and its name there.
    pub(super) field: Option<(&'s str, &'s str)>,
}

/// A field of an object.
pub(super) enum Child<'s> {
    /// The schema knows it, or keeps what it does not know.
    Is(Facts<'s>),
    /// The server drops it.
    Dropped,
}

impl<'s> Facts<'s> {
    /// The facts of an object's root; of any place where no schema is known.
    pub(super) fn root(node: Option<Node<'s>>) -> Self {
        match node {
            Some(node) => Self::of(node, false, None),
            None => Self {
                kind: Type::Unknown,
                built_in: false,
                field: None,
            },
        }
    }

    fn of(node: Node<'s>, inherited: bool, field: Option<(&'s str, &'s str)>) -> Self {
        Self {
            kind: Type::Known(node),
            built_in: node.type_name().map_or(inherited, is_built_in),
            field,
        }
    }

    /// The type, where it is known.
    pub(super) fn node(self) -> Option<Node<'s>> {
        match self.kind {
            Type::Known(node) => Some(node),
            Type::Open | Type::Unknown => None,
        }
    }

    /// What its values are.
    pub(super) fn value_kind(self) -> Kind {
        self.node().map_or(Kind::Any, Node::value_kind)
    }

    /// The facts of a field of an object or of a map's value.
    pub(super) fn child(self, name: &'s str) -> Child<'s> {
        let Type::Known(node) = self.kind else {
            return Child::Is(Self {
                field: None,
                ..self
            });
        };
        let kind = node.value_kind();
        if let Some(child) = node.field(name) {
            let owner = node.type_name().filter(|_| self.built_in);
            let field = owner
                .filter(|_| kind == Kind::Object)
                .map(|owner| (owner, name));
            return Child::Is(Self::of(child, self.built_in, field));
        }
        let kind = match kind {
            _ if node.is_open() => Type::Open,
            // Templates have all of an object's metadata, of which the schema says the part that matters.
            Kind::Object if metadata::is_field_of(node, name) => Type::Unknown,
            Kind::Object => return Child::Dropped,
            Kind::Map => Type::Open,
            // An object where the schema has a scalar: the server refuses it.
            _ => Type::Unknown,
        };
        Child::Is(Self {
            kind,
            built_in: false,
            field: None,
        })
    }

    /// The facts of a list's elements.
    pub(super) fn items(self) -> Self {
        match self.node().map(Node::items) {
            Some(Some(items)) => Self::of(items, self.built_in, None),
            Some(None) => Self {
                kind: Type::Open,
                built_in: false,
                field: None,
            },
            None => Self {
                field: None,
                ..self
            },
        }
    }

    /// What the server sets where nothing is said, as far as it depends on nothing else.
    pub(super) fn default(self, tables: Tables) -> Option<&'s Value> {
        let of_table = self
            .field
            .and_then(|(owner, name)| tables.default(owner, name));
        of_table.or_else(|| self.node().and_then(Node::default))
    }

    /// Whether null is a value, and not the same as nothing: nullable fields of custom resources,
    /// and whatever no schema describes
    /// (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting-and-nullable>).
    pub(super) fn keeps_null(self) -> bool {
        match self.kind {
            Type::Known(node) => {
                node.value_kind() == Kind::Any || (!self.built_in && node.is_nullable())
            }
            Type::Open => true,
            Type::Unknown => false,
        }
    }

    /// Whether `value` is the same as nothing: null, or a zero that the server leaves out.
    ///
    /// Only built-in types leave anything out: an empty list or map always, other zeros where the
    /// table says so or the schema publishes that very zero as default. An empty struct is a value
    /// (`emptyDir: {}`), unless it is published so.
    pub(super) fn is_nothing(self, value: &Value, tables: Tables) -> bool {
        let zero = match value {
            Value::Null => return !self.keeps_null(),
            Value::Bool(value) => !value,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
        };
        let Some(node) = self.node().filter(|_| zero && self.built_in) else {
            return false;
        };
        let Some((owner, name)) = self.field else {
            return false;
        };
        match node.value_kind() {
            Kind::List | Kind::Map if value.is_array() || value.is_object() => true,
            Kind::Object if value.is_object() => node.default() == Some(value),
            _ => tables.omits_zero(owner, name) || node.default() == Some(value),
        }
    }
}

/// Whether an `OpenAPI` name is of a type that is compiled into the server. Types of custom resources
/// are named after their group, and nothing below them has a name.
fn is_built_in(type_name: &str) -> bool {
    [
        "io.k8s.api.",
        "io.k8s.apimachinery.",
        "io.k8s.apiextensions-apiserver.",
        "io.k8s.kube-aggregator.",
    ]
    .iter()
    .any(|prefix| type_name.starts_with(prefix))
}
