//! How lists tell their elements apart, read from what the server publishes.
//!
//! Built-in types from `/openapi/v3`, custom resources from their CRDs. Nothing but what an
//! oracle and a generator of mutations need.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

const REF: &str = "#/components/schemas/";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The published types.
#[derive(Default)]
pub(crate) struct Schemas {
    /// `components.schemas` of each document, by group and version.
    documents: BTreeMap<(String, String), Map<String, Value>>,
    /// The schema of each custom resource, by group, version and kind.
    custom: BTreeMap<(String, String, String), Value>,
}

/// A type at its place.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    types: Option<&'a Map<String, Value>>,
    /// What the place itself says.
    place: Option<&'a Value>,
    /// The same after its reference.
    target: Option<&'a Value>,
    /// The server keeps what is sent, zero values and empty maps too.
    pub(crate) custom: bool,
    /// `metadata` of a custom resource, which its CRD does not describe.
    metadata: Option<&'a Value>,
}

/// How a list tells its elements apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum List {
    Atomic,
    Set,
    Map(Vec<String>),
}

impl Schemas {
    /// Takes a document of `/openapi/v3`.
    pub(crate) fn add_document(&mut self, group: &str, version: &str, document: &Value) {
        if let Value::Object(schemas) = &document["components"]["schemas"] {
            let key = (group.to_owned(), version.to_owned());
            self.documents.insert(key, schemas.clone());
        }
    }

    /// Takes a `CustomResourceDefinition`.
    pub(crate) fn add_definition(&mut self, definition: &Value) {
        let spec = &definition["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for version in spec["versions"].as_array().into_iter().flatten() {
            let key = (
                text(&spec["group"]),
                text(&version["name"]),
                text(&spec["names"]["kind"]),
            );
            let schema = version["schema"]["openAPIV3Schema"].clone();
            self.custom.insert(key, schema);
        }
    }

    /// The type of a kind's objects; of an unknown kind, one that knows nothing.
    pub(crate) fn kind(&self, group: &str, version: &str, kind: &str) -> Node<'_> {
        let key = (group.to_owned(), version.to_owned(), kind.to_owned());
        if let Some(schema) = self.custom.get(&key) {
            let core = self.documents.get(&(String::new(), "v1".to_owned()));
            return Node {
                types: core,
                place: Some(schema),
                target: Some(schema),
                custom: true,
                metadata: core.and_then(|types| types.get(OBJECT_META)),
            };
        }
        let types = self.documents.get(&(key.0, key.1));
        let is_kind = |schema: &&Value| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.into_iter().flatten().any(|known| {
                known["group"] == group && known["version"] == version && known["kind"] == kind
            })
        };
        let schema = types.and_then(|types| types.values().find(is_kind));
        Node {
            types,
            place: schema,
            target: schema,
            custom: false,
            metadata: None,
        }
    }
}

impl<'a> Node<'a> {
    fn below(self, place: Option<&'a Value>) -> Self {
        let node = Node {
            place,
            target: place,
            metadata: None,
            ..self
        };
        let name = node.reference().and_then(|name| name.strip_prefix(REF));
        match name {
            Some(name) => Node {
                target: self.types.and_then(|types| types.get(name)),
                ..node
            },
            None => node,
        }
    }

    /// The type of a field, or of a map's values.
    pub(crate) fn field(self, name: &str) -> Self {
        if let (Some(metadata), "metadata") = (self.metadata, name) {
            let mut node = self.below(Some(metadata));
            // Metadata is a built-in type wherever it is.
            node.custom = false;
            return node;
        }
        let target = self.target;
        let field = target.and_then(|target| target["properties"].get(name));
        let values = || target.and_then(|target| target.get("additionalProperties"));
        self.below(field.or_else(values))
    }

    /// The type of a list's elements.
    pub(crate) fn items(self) -> Self {
        self.below(self.target.and_then(|target| target.get("items")))
    }

    /// How a list's elements are told apart.
    pub(crate) fn list(self) -> List {
        let kind = self.says("x-kubernetes-list-type").and_then(Value::as_str);
        let keys = self.says("x-kubernetes-list-map-keys");
        match kind {
            Some("set") => List::Set,
            Some("map") => {
                let keys = keys.and_then(Value::as_array).into_iter().flatten();
                let keys = keys.filter_map(|key| key.as_str().map(str::to_owned));
                List::Map(keys.collect())
            }
            _ => List::Atomic,
        }
    }

    /// What the place says, else what its type says.
    pub(crate) fn says(self, word: &str) -> Option<&'a Value> {
        let said = self.place.and_then(|place| place.get(word));
        said.or_else(|| self.target.and_then(|target| target.get(word)))
    }

    /// The name of the type that the place refers to.
    pub(crate) fn reference(self) -> Option<&'a str> {
        let place = self.place?;
        let direct = place["$ref"].as_str();
        direct.or_else(|| place["allOf"][0]["$ref"].as_str())
    }

    /// The default that is published.
    pub(crate) fn default(self) -> Option<&'a Value> {
        self.place.and_then(|place| place.get("default"))
    }

    /// Whether the schema says anything of the place.
    pub(crate) fn is_known(self) -> bool {
        self.target.is_some()
    }

    /// The names of its fields.
    pub(crate) fn fields(self) -> Vec<&'a str> {
        let fields = self
            .target
            .and_then(|target| target["properties"].as_object());
        let mut names: Vec<_> = fields
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        if self.metadata.is_some() && !names.contains(&"metadata") {
            names.push("metadata");
        }
        names
    }

    /// Whether it takes any key.
    pub(crate) fn is_map(self) -> bool {
        let target = self.target;
        target.is_some_and(|target| {
            target.get("additionalProperties").is_some() && target.get("properties").is_none()
        })
    }
}
