//! Where objects of a kind live, and what keeps them from breaking the server that they are in.

use serde_json::{Map, Value, json};

use super::values::{Facts, Owner};
use strandline::object::ApiType;

/// Namespaces for objects; those whose kind acts on its namespace have one of their own.
pub const NAMESPACES: [&str; 4] = ["strand-a", "strand-b", "strand-limits", "strand-quota"];

/// What all objects of a kind share.
pub struct Place {
    pub api_type: ApiType,
    pub certificate: String,
    /// By namespace; empty for the cluster.
    pub owners: std::collections::BTreeMap<String, Owner>,
}

impl Place {
    pub fn kind(&self) -> &str {
        &self.api_type.kind
    }

    pub fn namespace(&self, number: usize) -> &'static str {
        match (self.api_type.namespaced, self.kind()) {
            (false, _) => "",
            (_, "LimitRange") => "strand-limits",
            (_, "ResourceQuota") => "strand-quota",
            _ => NAMESPACES[number % 2],
        }
    }

    pub fn facts(&self, number: usize) -> Facts<'_> {
        static NOBODY: Owner = Owner {
            api_version: String::new(),
            kind: String::new(),
            name: String::new(),
            uid: String::new(),
        };
        Facts {
            number,
            certificate: &self.certificate,
            owner: self.owners.get(self.namespace(number)).unwrap_or(&NOBODY),
        }
    }

    /// The path of the collection that an object belongs to.
    pub fn collection(&self, object: &Value) -> String {
        let api = &self.api_type;
        let root = if api.group.is_empty() {
            format!("/api/{}", api.version)
        } else {
            format!("/apis/{}/{}", api.group, api.version)
        };
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", api.resource),
            None => format!("{root}/{}", api.resource),
        }
    }

    /// The path of all objects of the kind.
    pub fn all(&self) -> String {
        self.collection(&Value::Null)
    }

    /// An object of the server's own, as somebody would write it.
    pub fn bare(&self, live: &Value) -> Value {
        let mut object = live.clone();
        object["apiVersion"] = json!(self.api_type.api_version());
        object["kind"] = json!(self.kind());
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for field in super::schema::SERVER_METADATA {
                metadata.remove(field);
            }
        }
        object
    }

    /// The object as it is sent: with its head, and harmless.
    pub fn object(&self, fields: Map<String, Value>, number: usize) -> Value {
        let mut object = Value::Object(fields);
        object["apiVersion"] = json!(self.api_type.api_version());
        object["kind"] = json!(self.kind());
        let lower = self.kind().to_lowercase();
        object["metadata"]["name"] = json!(format!("strand-{lower}-{number}"));
        self.tame(&mut object, number);
        object
    }

    fn tame(&self, object: &mut Value, number: usize) {
        let never = json!({ "matchLabels": { "strand.example.com/never": "x" } });
        match self.kind() {
            "CustomResourceDefinition" => {
                let group = format!("s{number}.example.com");
                object["spec"]["group"] = json!(group);
                object["spec"]["names"]["plural"] = json!("strands");
                object["metadata"]["name"] = json!(format!("strands.{group}"));
            }
            "APIService" => {
                let group = format!("s{number}.away.example.com");
                object["spec"]["group"] = json!(group);
                object["spec"]["version"] = json!("v1");
                object["metadata"]["name"] = json!(format!("v1.{group}"));
            }
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
                    for selector in ["namespaceSelector", "objectSelector"] {
                        merge(&mut webhook[selector], &never);
                    }
                    each(&mut webhook["rules"], |rule| {
                        rule["apiGroups"] = json!(["never.example.com"]);
                    });
                }
            }
            "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => {
                let rules = &mut object["spec"]["matchConstraints"]["resourceRules"];
                each(rules, |rule| {
                    rule["apiGroups"] = json!(["never.example.com"]);
                });
            }
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
                for selector in ["namespaceSelector", "objectSelector"] {
                    merge(&mut object["spec"]["matchResources"][selector], &never);
                }
            }
            _ => {}
        }
    }
}

fn each(list: &mut Value, change: impl FnMut(&mut Value)) {
    list.as_array_mut().into_iter().flatten().for_each(change);
}

/// Sets fields of a map, and leaves its others.
fn merge(value: &mut Value, with: &Value) {
    match (value, with) {
        (Value::Object(value), Value::Object(with)) => {
            for (key, with) in with {
                merge(value.entry(key.clone()).or_insert(Value::Null), with);
            }
        }
        (value, with) => *value = with.clone(),
    }
}

/// Which child to give first to an object that wants any.
pub fn preferred(type_name: &str) -> &'static [&'static str] {
    match type_name {
        "Volume" => &["emptyDir"],
        "PersistentVolumeSpec" => &["hostPath"],
        _ => &[],
    }
}
