//! What goes with what: hints where the server's refusals name no place.

use serde_json::{Value, json};

use super::path::{Key, Path, field};
use super::values::COMPANION;

/// Leaves that another makes no sense without and that no refusal of the server names, with the
/// value that it takes to be so.
pub fn companions(
    kind: &str,
    path: &[Key],
    number: usize,
    has: impl Fn(&[Key]) -> bool,
) -> Vec<(Path, Option<Value>)> {
    let at = |name: &str| path.iter().position(|key| *key == field(name));
    let within = |names: &[&str]| names.iter().find_map(|name| at(name));
    let plain = |names: &[&str]| -> Path { names.iter().map(|name| field(name)).collect() };
    let pod = |list: &str, index: usize, rest: &[&str]| -> Option<(Path, Option<Value>)> {
        let at = within(&["containers", "initContainers", "ephemeralContainers"])?;
        let list = [field(list), Key::Index(index)];
        Some(([&path[..at], &list, &plain(rest)].concat(), None))
    };
    let mut found = Vec::new();
    if within(&["volumeMounts", "fileKeyRef"]).is_some() {
        found.extend(pod("volumes", COMPANION, &["emptyDir", "medium"]));
    }
    if at("volumeDevices").is_some() {
        let claim = ["persistentVolumeClaim", "claimName"];
        found.extend(pod("volumes", COMPANION + 1, &claim));
    }
    if at("claims").is_some() {
        found.extend(pod("resourceClaims", COMPANION, &["resourceClaimName"]));
    }
    let probes = [
        "lifecycle",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
    ];
    if let (Some(at), true) = (at("initContainers"), within(&probes).is_some()) {
        // Only those that go on running have a life.
        let restart = [&path[..at + 2], &plain(&["restartPolicy"])].concat();
        found.push((restart, Some(json!("Always"))));
    }
    if let Some(at) = within(&["dataSource", "dataSourceRef"]) {
        let group = [&path[..=at], &plain(&["apiGroup"])].concat();
        found.push((group, None));
    }
    let sibling = |at: usize, rest: &[&str]| [&path[..at], &plain(rest)].concat();
    if let Some(at) = within(&["matchLabelKeys", "mismatchLabelKeys"]) {
        found.push((sibling(at, &["labelSelector", "matchLabels", "app"]), None));
    }
    if let Some(at) = at("volumeClaimTemplates") {
        // The server mounts each as a volume of this name before it looks at it.
        found.push((sibling(at + 2, &["metadata", "name"]), None));
    }
    let indexed = ["maxFailedIndexes", "backoffLimitPerIndex", "successPolicy"];
    if let Some(at) = within(&indexed) {
        found.push((sibling(at, &["completionMode"]), Some(json!("Indexed"))));
        found.push((sibling(at, &["completions"]), None));
        found.push((sibling(at, &["parallelism"]), None));
        if indexed
            .iter()
            .all(|name| path[at] != field(name) || *name == "maxFailedIndexes")
        {
            found.push((sibling(at, &["backoffLimitPerIndex"]), None));
        }
    }
    if let Some(at) = at("envFrom") {
        if within(&["configMapRef", "secretRef"]).is_none() {
            found.push((sibling(at + 2, &["configMapRef", "name"]), None));
        }
    }
    if let (Some(api), Some(at)) = (at("downwardAPI"), at("items")) {
        let resource = sibling(at + 2, &["resourceFieldRef"]);
        if at > api && within(&["fieldRef"]).is_none() && !has(&resource) {
            found.push((sibling(at + 2, &["fieldRef", "fieldPath"]), None));
        }
        if within(&["resourceFieldRef"]).is_some() {
            found.push((
                sibling(at + 2, &["resourceFieldRef", "containerName"]),
                None,
            ));
        }
    }
    if let (Some(at), Some(Key::Field(last))) = (at("tolerations"), path.last()) {
        if last == "value" {
            found.push((sibling(at + 2, &["key"]), None));
            found.push((sibling(at + 2, &["operator"]), Some(json!("Equal"))));
        }
    }
    if let (Some(at), Some(Key::Field(last))) = (at("subjects"), path.last()) {
        if last == "apiGroup" {
            found.push((sibling(at + 2, &["kind"]), Some(json!("User"))));
        }
    }
    if let (Some(at), Some(_)) = (within(&["config", "constraints"]), at("requests")) {
        let request = [&path[..at], &[field("requests"), Key::Index(0)]].concat();
        found.push(([&request[..], &[field("name")]].concat(), None));
        let class = plain(&["exactly", "deviceClassName"]);
        found.push(([&request[..], &class[..]].concat(), None));
    }
    let starts = |names: &[&str]| path.starts_with(&plain(names));
    match kind {
        "Job" if starts(&["spec", "selector"]) => {
            found.push((plain(&["spec", "manualSelector"]), Some(json!(true))));
            found.push((
                plain(&["spec", "template", "metadata", "labels", "app"]),
                None,
            ));
            found.push((plain(&["spec", "selector", "matchLabels", "app"]), None));
        }
        "CustomResourceDefinition" => {
            if let Some(at) = at("openAPIV3Schema") {
                found.push((sibling(at + 1, &["type"]), Some(json!("object"))));
            }
            if let (Some(at), Some(Key::Field(last))) = (at("properties"), path.get(7)) {
                let kind = schema_type(last);
                if path.len() > at + 2 && !kind.is_empty() {
                    found.push((sibling(at + 2, &["type"]), Some(json!(kind))));
                }
                if last == "x-kubernetes-list-map-keys" {
                    let list = sibling(at + 2, &["x-kubernetes-list-type"]);
                    found.push((list, Some(json!("map"))));
                }
                if last == "x-kubernetes-embedded-resource" {
                    let preserve = sibling(at + 2, &["x-kubernetes-preserve-unknown-fields"]);
                    found.push((preserve, Some(json!(true))));
                }
                if last == "default" {
                    found.push((sibling(at + 2, &["type"]), Some(json!("string"))));
                }
                if kind == "array" {
                    let items = json!({
                        "type": "object", "required": ["strand"],
                        "properties": { "strand": { "type": "string" } },
                    });
                    found.push((sibling(at + 2, &["items"]), Some(items)));
                }
            }
            if let (Some(at), Some(last)) = (at("x-kubernetes-validations"), path.last()) {
                if *last == field("fieldPath") {
                    found.push((sibling(at, &["properties", "strand"]), None));
                    found.push((sibling(at, &["properties", "strand", "type"]), None));
                }
                if *last == field("optionalOldSelf") {
                    let rule = json!("!oldSelf.hasValue() || true");
                    found.push((sibling(at + 2, &["rule"]), Some(rule)));
                }
            }
            if let Some(at) = at("selectableFields") {
                let schema = ["schema", "openAPIV3Schema", "properties", "strand", "type"];
                found.push((sibling(at, &schema), Some(json!("string"))));
            }
            if starts(&["spec", "conversion"]) {
                let strategy = plain(&["spec", "conversion", "strategy"]);
                found.push((strategy, Some(json!("Webhook"))));
                let versions = ["spec", "conversion", "webhook", "conversionReviewVersions"];
                found.push(([plain(&versions), vec![Key::Index(0)]].concat(), None));
            }
        }
        "APIService" if starts(&["spec", "insecureSkipTLSVerify"]) => {
            found.push((plain(&["spec", "service", "name"]), None));
            found.push((plain(&["spec", "service", "namespace"]), None));
        }
        "PersistentVolume" if starts(&["spec", "volumeAttributesClassName"]) => {
            found.push((plain(&["spec", "csi", "driver"]), None));
        }
        "Service" if starts(&["spec", "clusterIPs"]) => {
            let ip = json!(super::values::service_ip(number));
            found.push((plain(&["spec", "clusterIP"]), Some(ip)));
        }
        "Service" if starts(&["spec", "healthCheckNodePort"]) => {
            found.push((plain(&["spec", "type"]), Some(json!("LoadBalancer"))));
            found.push((
                plain(&["spec", "externalTrafficPolicy"]),
                Some(json!("Local")),
            ));
        }
        _ => {}
    }
    found.retain(|(companion, _)| companion != path);
    found
}

/// Of which type a schema must be for one of its fields to say anything.
fn schema_type(field: &str) -> &'static str {
    match field {
        "maxLength" | "minLength" | "pattern" | "format" => "string",
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
