//! What goes with what: hints where the server's refusals name no place.

use serde_json::{Value, json};

use super::path::{Key, Path, field};
use super::values::{COMPANION, service_ip};

/// A leaf that is put in beside another, with the value that it takes to be of use there.
pub type Companion = (Path, Option<Value>);

/// Leaves that the one at `path` makes no sense without and that no refusal of the server names.
/// `has` tells whether the object has something at a place already.
pub fn companions(
    kind: &str,
    path: &[Key],
    number: usize,
    has: impl Fn(&[Key]) -> bool,
) -> Vec<Companion> {
    let leaf = Leaf(path);
    let mut found = leaf.of_containers();
    found.extend(leaf.of_volumes(has));
    found.extend(leaf.of_pods());
    found.extend(leaf.of_workloads());
    found.extend(leaf.of_others());
    found.extend(match kind {
        "CustomResourceDefinition" => leaf.of_definitions(),
        _ => leaf.of_kind(kind, number),
    });
    found.retain(|(companion, _)| companion != path);
    found
}

fn plain(names: &[&str]) -> Path {
    names.iter().map(|name| field(name)).collect()
}

struct Leaf<'a>(&'a [Key]);

impl Leaf<'_> {
    /// Where a field of this name is on the way.
    fn at(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|key| *key == field(name))
    }

    fn within(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.at(name))
    }

    fn starts(&self, names: &[&str]) -> bool {
        self.0.starts_with(&plain(names))
    }

    fn is(&self, name: &str) -> bool {
        self.0.last() == Some(&field(name))
    }

    /// The place of these fields below the first `length` steps.
    fn beside(&self, length: usize, names: &[&str]) -> Path {
        [&self.0[..length], &plain(names)].concat()
    }

    /// What containers refer to in their pod.
    fn of_containers(&self) -> Vec<Companion> {
        let Some(at) = self.within(&["containers", "initContainers", "ephemeralContainers"]) else {
            return Vec::new();
        };
        let pod = |list: &str, index: usize, rest: &[&str]| {
            let list = [field(list), Key::Index(index)];
            ([&self.0[..at], &list, &plain(rest)].concat(), None)
        };
        let mut found = Vec::new();
        if self.within(&["volumeMounts", "fileKeyRef"]).is_some() {
            found.push(pod("volumes", COMPANION, &["emptyDir", "medium"]));
        }
        if self.at("volumeDevices").is_some() {
            let claim = ["persistentVolumeClaim", "claimName"];
            found.push(pod("volumes", COMPANION + 1, &claim));
        }
        if self.at("claims").is_some() {
            found.push(pod("resourceClaims", COMPANION, &["resourceClaimName"]));
        }
        let living = [
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ];
        if let (Some(at), Some(_)) = (self.at("initContainers"), self.within(&living)) {
            // Only those that go on running have a life.
            let restart = self.beside(at + 2, &["restartPolicy"]);
            found.push((restart, Some(json!("Always"))));
        }
        if let (Some(at), None) = (
            self.at("envFrom"),
            self.within(&["configMapRef", "secretRef"]),
        ) {
            found.push((self.beside(at + 2, &["configMapRef", "name"]), None));
        }
        found
    }

    fn of_volumes(&self, has: impl Fn(&[Key]) -> bool) -> Vec<Companion> {
        let mut found = Vec::new();
        if let (Some(api), Some(at)) = (self.at("downwardAPI"), self.at("items")) {
            let resource = self.beside(at + 2, &["resourceFieldRef"]);
            if at > api && self.at("fieldRef").is_none() && !has(&resource) {
                found.push((self.beside(at + 2, &["fieldRef", "fieldPath"]), None));
            }
            if self.at("resourceFieldRef").is_some() {
                let container = ["resourceFieldRef", "containerName"];
                found.push((self.beside(at + 2, &container), None));
            }
        }
        if let Some(at) = self.within(&["dataSource", "dataSourceRef"]) {
            found.push((self.beside(at + 1, &["apiGroup"]), None));
        }
        if let Some(at) = self.at("volumeClaimTemplates") {
            // The server mounts each as a volume of this name before it looks at it.
            found.push((self.beside(at + 2, &["metadata", "name"]), None));
        }
        found
    }

    fn of_pods(&self) -> Vec<Companion> {
        let mut found = Vec::new();
        if let Some(at) = self.within(&["matchLabelKeys", "mismatchLabelKeys"]) {
            let label = self.beside(at, &["labelSelector", "matchLabels", "app"]);
            found.push((label, None));
        }
        if let (Some(at), true) = (self.at("tolerations"), self.is("value")) {
            found.push((self.beside(at + 2, &["key"]), None));
            let operator = self.beside(at + 2, &["operator"]);
            found.push((operator, Some(json!("Equal"))));
        }
        found
    }

    fn of_workloads(&self) -> Vec<Companion> {
        let mut found = Vec::new();
        let indexed = ["maxFailedIndexes", "backoffLimitPerIndex", "successPolicy"];
        if let Some(at) = self.within(&indexed) {
            let mode = self.beside(at, &["completionMode"]);
            found.push((mode, Some(json!("Indexed"))));
            found.push((self.beside(at, &["completions"]), None));
            found.push((self.beside(at, &["parallelism"]), None));
            if self.0[at] == field("maxFailedIndexes") {
                found.push((self.beside(at, &["backoffLimitPerIndex"]), None));
            }
        }
        found
    }

    fn of_others(&self) -> Vec<Companion> {
        let mut found = Vec::new();
        if let (Some(at), true) = (self.at("subjects"), self.is("apiGroup")) {
            found.push((self.beside(at + 2, &["kind"]), Some(json!("User"))));
        }
        if let (Some(at), Some(_)) = (self.within(&["config", "constraints"]), self.at("requests"))
        {
            let request = [&self.0[..at], &[field("requests"), Key::Index(0)]].concat();
            let below = |names: &[&str]| [&request[..], &plain(names)].concat();
            found.push((below(&["name"]), None));
            found.push((below(&["exactly", "deviceClassName"]), None));
        }
        found
    }

    fn of_kind(&self, kind: &str, number: usize) -> Vec<Companion> {
        let always = |names: &[&str]| (plain(names), None);
        let with = |names: &[&str], value: Value| (plain(names), Some(value));
        match kind {
            "APIService" if self.starts(&["spec", "insecureSkipTLSVerify"]) => vec![
                always(&["spec", "service", "name"]),
                always(&["spec", "service", "namespace"]),
            ],
            "PersistentVolume" if self.starts(&["spec", "volumeAttributesClassName"]) => {
                vec![always(&["spec", "csi", "driver"])]
            }
            "Job" if self.starts(&["spec", "selector"]) => vec![
                with(&["spec", "manualSelector"], json!(true)),
                always(&["spec", "template", "metadata", "labels", "app"]),
                always(&["spec", "selector", "matchLabels", "app"]),
            ],
            "Service" if self.starts(&["spec", "clusterIPs"]) => {
                vec![with(&["spec", "clusterIP"], json!(service_ip(number)))]
            }
            "Service" if self.starts(&["spec", "healthCheckNodePort"]) => vec![
                with(&["spec", "type"], json!("LoadBalancer")),
                with(&["spec", "externalTrafficPolicy"], json!("Local")),
            ],
            _ => Vec::new(),
        }
    }

    fn of_definitions(&self) -> Vec<Companion> {
        let mut found = Vec::new();
        if let Some(at) = self.at("openAPIV3Schema") {
            found.push((self.beside(at + 1, &["type"]), Some(json!("object"))));
        }
        if let Some(at) = self.at("properties").filter(|at| self.0.len() > at + 2) {
            found.extend(self.of_property(at + 2));
        }
        if let Some(at) = self.at("x-kubernetes-validations") {
            if self.is("fieldPath") {
                found.push((self.beside(at, &["properties", "strand"]), None));
                found.push((self.beside(at, &["properties", "strand", "type"]), None));
            }
            if self.is("optionalOldSelf") {
                let rule = json!("!oldSelf.hasValue() || true");
                found.push((self.beside(at + 2, &["rule"]), Some(rule)));
            }
        }
        if let Some(at) = self.at("selectableFields") {
            let schema = ["schema", "openAPIV3Schema", "properties", "strand", "type"];
            found.push((self.beside(at, &schema), Some(json!("string"))));
        }
        if self.starts(&["spec", "conversion"]) {
            let strategy = plain(&["spec", "conversion", "strategy"]);
            found.push((strategy, Some(json!("Webhook"))));
            let versions = ["spec", "conversion", "webhook", "conversionReviewVersions"];
            found.push(([plain(&versions), vec![Key::Index(0)]].concat(), None));
        }
        found
    }

    /// What a field of a property's schema, `length` steps down, goes with.
    fn of_property(&self, length: usize) -> Vec<Companion> {
        let Some(Key::Field(name)) = self.0.get(length) else {
            return Vec::new();
        };
        let with = |name: &str, value: Value| (self.beside(length, &[name]), Some(value));
        let mut found = Vec::new();
        let kind = schema_type(name);
        if !kind.is_empty() {
            found.push(with("type", json!(kind)));
        }
        match name.as_str() {
            "x-kubernetes-list-map-keys" => {
                found.push(with("x-kubernetes-list-type", json!("map")));
            }
            "x-kubernetes-embedded-resource" => {
                found.push(with("x-kubernetes-preserve-unknown-fields", json!(true)));
            }
            _ => {}
        }
        if kind == "array" {
            let items = json!({
                "type": "object", "required": ["strand"],
                "properties": { "strand": { "type": "string" } },
            });
            found.push(with("items", items));
        }
        found
    }
}

/// Of which type a schema must be for one of its fields to say anything.
fn schema_type(field: &str) -> &'static str {
    match field {
        "default" | "format" | "maxLength" | "minLength" | "pattern" => "string",
        "maximum" | "minimum" | "multipleOf" | "exclusiveMaximum" | "exclusiveMinimum" => "integer",
        "maxItems"
        | "minItems"
        | "items"
        | "x-kubernetes-list-type"
        | "x-kubernetes-list-map-keys" => "array",
        "maxProperties"
        | "minProperties"
        | "properties"
        | "additionalProperties"
        | "required"
        | "x-kubernetes-map-type"
        | "x-kubernetes-embedded-resource"
        | "x-kubernetes-preserve-unknown-fields" => "object",
        _ => "",
    }
}

/// Where in the object a cause's field is: some checks run on a form of another shape.
pub fn place(kind: &str, path: Path, message: &str) -> Path {
    const MOVED: [(&str, &[&str], &[&str]); 7] = [
        (
            "CustomResourceDefinition",
            &["spec", "selectableFields"],
            &["spec", "versions", "0", "selectableFields"],
        ),
        ("Node", &["metadata", "taints"], &["spec", "taints"]),
        (
            "CustomResourceDefinition",
            &["spec", "conversion", "conversionReviewVersions"],
            &["spec", "conversion", "webhook", "conversionReviewVersions"],
        ),
        (
            "CustomResourceDefinition",
            &["spec", "conversion", "webhookClientConfig"],
            &["spec", "conversion", "webhook", "clientConfig"],
        ),
        // What all versions have in common: <https://github.com/kubernetes/apiextensions-apiserver/blob/v0.36.3/pkg/apis/apiextensions/v1/conversion.go>
        (
            "CustomResourceDefinition",
            &["spec", "validation"],
            &["spec", "versions", "0", "schema"],
        ),
        (
            "CustomResourceDefinition",
            &["spec", "subresources"],
            &["spec", "versions", "0", "subresources"],
        ),
        (
            "CustomResourceDefinition",
            &["spec", "additionalPrinterColumns"],
            &["spec", "versions", "0", "additionalPrinterColumns"],
        ),
    ];
    let key = |name: &&str| name.parse().map_or_else(|_| field(name), Key::Index);
    let moved = MOVED.iter().find(|(of, from, _)| {
        *of == kind && path.starts_with(&from.iter().map(key).collect::<Path>())
    });
    let mut place = match moved {
        Some((_, from, to)) => to
            .iter()
            .map(key)
            .chain(path[from.len()..].to_vec())
            .collect(),
        None => path,
    };
    if message.contains("'schema' is not supported") {
        place.push(field("$schema"));
    }
    place
}
