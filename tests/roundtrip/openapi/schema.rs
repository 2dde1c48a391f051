//! The server's `OpenAPI` documents as trees of what can be set.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::path::{Key, Step};
use crate::support::{Failure, Result};

/// A type below itself is taken as one leaf, but once as the value of this field.
/// `JSONSchemaProps`, the only recursive type of a built-in kind, is so a schema whose properties
/// are schemas whose parts are leaves.
const RECURSIVE_FIELD: &str = "properties";

const REF: &str = "#/components/schemas/";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// What only the server writes, in templates as well.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>
pub const SERVER_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// One place of an object.
#[derive(Clone, Debug)]
pub struct Node {
    /// The last part of the schema's name; empty for what has none.
    pub type_name: String,
    /// The field's description and the type's.
    pub description: String,
    pub shape: Shape,
}

#[derive(Clone, Debug)]
pub enum Shape {
    /// Fields, and those that the schema requires.
    Object(BTreeMap<String, Node>, BTreeSet<String>),
    List(Box<Node>),
    Map(Box<Node>),
    Leaf(Leaf),
}

/// What a leaf takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    Boolean,
    Integer,
    Number,
    Text(Vec<Value>),
    Bytes,
    Time,
    Quantity,
    IntOrString,
    /// Any JSON.
    Any,
}

/// The schemas of one group-version.
pub struct Document {
    schemas: serde_json::Map<String, Value>,
}

impl Document {
    pub fn new(mut json: Value) -> Result<Self> {
        match json["components"]["schemas"].take() {
            Value::Object(schemas) => Ok(Self { schemas }),
            _ => Err(Failure::new("an OpenAPI document has no schemas")),
        }
    }

    /// The tree of a kind: what lies below its root, less `status`, `apiVersion` and `kind`.
    pub fn kind(&self, group: &str, version: &str, kind: &str, namespaced: bool) -> Result<Node> {
        let is_kind = |schema: &Value| {
            schema["x-kubernetes-group-version-kind"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|gvk| {
                    gvk["group"] == group && gvk["version"] == version && gvk["kind"] == kind
                })
        };
        let (name, schema) = self
            .schemas
            .iter()
            .find(|(_, schema)| is_kind(schema))
            .ok_or_else(|| Failure::new(format_args!("no schema of {group}/{version} {kind}")))?;
        let mut root = self.node(schema, name, &mut Vec::new());
        if let Shape::Object(fields, _) = &mut root.shape {
            for field in ["apiVersion", "kind", "status"] {
                fields.remove(field);
            }
            if let Some(metadata) = fields.get_mut("metadata")
                && let (Shape::Object(fields, _), false) = (&mut metadata.shape, namespaced)
            {
                fields.remove("namespace");
            }
        }
        Ok(root)
    }

    fn node(&self, schema: &Value, name: &str, above: &mut Vec<String>) -> Node {
        let target = schema["$ref"]
            .as_str()
            .or_else(|| schema["allOf"][0]["$ref"].as_str())
            .and_then(|target| target.strip_prefix(REF));
        let description = schema["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if let Some(target) = target {
            let times = above.iter().filter(|name| *name == target).count();
            let once_more = above.last().is_some_and(|last| last == RECURSIVE_FIELD);
            if times > usize::from(once_more) {
                return Node {
                    type_name: short(target),
                    description,
                    shape: Shape::Leaf(Leaf::Any),
                };
            }
            above.push(target.to_owned());
            let mut node = self.node(&self.schemas[target], target, above);
            above.pop();
            node.description = format!("{description} {}", node.description);
            return node;
        }
        let shape = if let Some(properties) = schema["properties"].as_object() {
            self.object(schema, properties, name, above)
        } else if schema["type"] == "array" {
            Shape::List(Box::new(self.node(&schema["items"], "", above)))
        } else if schema["additionalProperties"].is_object() {
            Shape::Map(Box::new(self.node(
                &schema["additionalProperties"],
                "",
                above,
            )))
        } else {
            Shape::Leaf(leaf(schema, name))
        };
        Node {
            type_name: short(name),
            description,
            shape,
        }
    }

    fn object(
        &self,
        schema: &Value,
        properties: &serde_json::Map<String, Value>,
        name: &str,
        above: &mut Vec<String>,
    ) -> Shape {
        // An object within an object, such as the template of a claim: it has the same head.
        let embedded = properties.contains_key("metadata") && properties.contains_key("status");
        let left_out = |field: &str| {
            (name == OBJECT_META && SERVER_METADATA.contains(&field))
                || (embedded && ["apiVersion", "kind", "status"].contains(&field))
        };
        let mut fields = BTreeMap::new();
        for (field, schema) in properties {
            if !left_out(field) {
                above.push(field.clone());
                fields.insert(field.clone(), self.node(schema, "", above));
                above.pop();
            }
        }
        let required = schema["required"].as_array();
        let required = required.into_iter().flatten().filter_map(Value::as_str);
        let required = required
            .filter(|field| fields.contains_key(*field))
            .map(str::to_owned)
            .collect();
        Shape::Object(fields, required)
    }
}

fn short(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

fn leaf(schema: &Value, name: &str) -> Leaf {
    let choices = schema["enum"].as_array().cloned().unwrap_or_default();
    match (schema["type"].as_str(), schema["format"].as_str()) {
        // Definitions of custom resources say it by a word of their own:
        // https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#intorstring
        _ if schema["x-kubernetes-int-or-string"] == true => {
            let pattern = schema["pattern"].as_str().unwrap_or_default();
            if pattern.contains("KMGTPE") {
                Leaf::Quantity
            } else {
                Leaf::IntOrString
            }
        }
        (_, Some("int-or-string")) => Leaf::IntOrString,
        _ if name.ends_with("resource.Quantity") => Leaf::Quantity,
        (Some("boolean"), _) => Leaf::Boolean,
        (Some("integer"), _) => Leaf::Integer,
        (Some("number"), _) => Leaf::Number,
        (Some("string"), Some("byte")) => Leaf::Bytes,
        (Some("string"), Some("date-time")) => Leaf::Time,
        (Some("string"), _) => Leaf::Text(choices),
        _ => Leaf::Any,
    }
}

impl Node {
    /// The place at a path of an object, if the schema has it.
    pub fn at(&self, path: &[Key]) -> Option<&Node> {
        path.iter()
            .try_fold(self, |node, key| match (&node.shape, key) {
                (Shape::Object(fields, _), Key::Field(name)) => fields.get(name),
                (Shape::Map(value), Key::Field(_)) => Some(&**value),
                (Shape::List(element), Key::Index(_)) => Some(&**element),
                _ => None,
            })
    }

    /// The path's shape: which leaf of the kind it is.
    pub fn steps(&self, path: &[Key]) -> Vec<Step> {
        let mut node = Some(self);
        let mut steps = Vec::new();
        for (at, key) in path.iter().enumerate() {
            steps.push(match (node.map(|node| &node.shape), key) {
                (Some(Shape::Map(_)), _) => Step::Entry,
                (_, Key::Index(_)) => Step::Element,
                (_, Key::Field(name)) => Step::Field(name.clone()),
            });
            node = self.at(&path[..=at]);
        }
        steps
    }

    /// Every leaf, in the order of the schema's field names.
    pub fn leaves(&self) -> Vec<(Vec<Step>, &Node)> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect<'a>(&'a self, path: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, &'a Node)>) {
        let mut below = |step: Step, node: &'a Node, found: &mut Vec<_>| {
            path.push(step);
            node.collect(path, found);
            path.pop();
        };
        match &self.shape {
            Shape::Object(fields, _) => {
                for (name, node) in fields {
                    below(Step::Field(name.clone()), node, found);
                }
            }
            Shape::List(element) => below(Step::Element, element, found),
            Shape::Map(value) => below(Step::Entry, value, found),
            Shape::Leaf(_) => found.push((path.clone(), self)),
        }
    }

    /// The descriptions from the root down to a path, the deepest first.
    pub fn descriptions(&self, path: &[Key]) -> Vec<&str> {
        let all = (1..=path.len()).rev();
        all.filter_map(|length| Some(self.at(&path[..length])?.description.as_str()))
            .collect()
    }
}
