//! What the shop's teams have in Git: their manifests, as they brought them into the cluster.

use serde_json::{Value, json};

use super::meta;
use crate::simulator::Simulator;
use crate::simulator::ownership::SERVER_METADATA;

/// Managers of those who bring manifests.
const DEPLOYERS: [&str; 4] = [
    "argocd-controller",
    "helm",
    "kubectl-client-side-apply",
    "kubectl-create",
];

/// What the server fills in, and nobody writes into a manifest.
const ALLOCATED: [&str; 5] = [
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
];

/// One file of the desired folder.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `<namespace>/<kind>-<name>.yaml`; `cluster/…` for what lies in no namespace.
    pub path: String,
    /// The object.
    pub object: Value,
}

/// The manifests of the shop as it is now: what the teams and the administrators brought, without
/// what the server and the deployers added. Ask before the story begins.
///
/// Like every grown folder it has faults: a field with a typing error, and a Secret whose value is
/// a number, because somebody left out the quotes.
pub fn desired(simulator: &Simulator) -> Vec<Manifest> {
    let mut manifests: Vec<Manifest> = simulator
        .objects()
        .into_iter()
        .filter(|(_, object)| is_brought(object))
        .map(|(_, object)| manifest(cleaned(object)))
        .collect();
    for manifest in &mut manifests {
        if manifest.object["kind"] == "CronJob" {
            // Without its last letter.
            manifest.object["spec"]["startingDeadlineSecond"] = 300.into();
        }
    }
    manifests.push(manifest(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": meta("payments", "webhook-token"),
        "stringData": {"token": 20_260_302},
    })));
    manifests.sort_by(|a, b| a.path.cmp(&b.path));
    manifests
}

fn is_brought(object: &Value) -> bool {
    let writers = object["metadata"]["managedFields"].as_array();
    let mut writers = writers.into_iter().flatten();
    writers.any(|entry| {
        let manager = entry["manager"].as_str().unwrap_or_default();
        DEPLOYERS.contains(&manager)
    })
}

fn manifest(object: Value) -> Manifest {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let metadata = &object["metadata"];
    let folder = metadata["namespace"].as_str().unwrap_or("cluster");
    let name = text(&metadata["name"]).replace(':', "-");
    let path = format!("{folder}/{}-{name}.yaml", text(&object["kind"]));
    Manifest { path, object }
}

/// Without what is not the author's.
fn cleaned(object: Value) -> Value {
    let Value::Object(mut object) = object else {
        return object;
    };
    object.remove("status");
    let kind = object["kind"].clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for field in SERVER_METADATA {
            if !matches!(field, "name" | "namespace") {
                metadata.remove(field);
            }
        }
        for (field, added) in [
            (
                "annotations",
                &[
                    "argocd.argoproj.io/",
                    "meta.helm.sh/",
                    "kubectl.kubernetes.io/",
                    "deployment.kubernetes.io/",
                ][..],
            ),
            (
                "labels",
                &[
                    "app.kubernetes.io/managed-by",
                    "kubernetes.io/metadata.name",
                ][..],
            ),
        ] {
            let Some(Value::Object(map)) = metadata.get_mut(field) else {
                continue;
            };
            map.retain(|key, _| !added.iter().any(|prefix| key.starts_with(prefix)));
            if map.is_empty() {
                metadata.remove(field);
            }
        }
    }
    if kind == "Namespace" {
        object.remove("spec");
    }
    if let (true, Some(Value::Object(spec))) = (kind == "Service", object.get_mut("spec")) {
        for field in ALLOCATED {
            spec.remove(field);
        }
    }
    Value::Object(object)
}

/// A change that is in Git and not applied yet: `None` for the files that stay as they are.
pub fn next(manifest: &Manifest) -> Option<Manifest> {
    (manifest.path == "shop/configmap-web-config.yaml").then(|| {
        let mut next = manifest.clone();
        next.object["data"]["LOG_LEVEL"] = "warn".into();
        next
    })
}
