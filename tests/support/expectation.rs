//! What a file should read for a live object.
//!
//! The lists are this file's own, from the design; nothing is imported from `filters/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use strandline::object::ApiType;

/// Types that are not recorded at all.
pub const DROPPED_TYPES: [&str; 20] = [
    "pods",
    "replicasets.apps",
    "controllerrevisions.apps",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "leasecandidates.coordination.k8s.io",
    "ipaddresses.networking.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "resourceslices.resource.k8s.io",
    "certificatesigningrequests.certificates.k8s.io",
    "componentstatuses",
    "bindings",
    "tokenreviews.authentication.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
    "localsubjectaccessreviews.authorization.k8s.io",
    "subjectaccessreviews.authorization.k8s.io",
    "selfsubjectaccessreviews.authorization.k8s.io",
];

/// Types whose objects stay although a controller owns them.
const KEPT_THOUGH_OWNED: [&str; 9] = [
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "serviceaccounts",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "scaledobjects.keda.sh",
    "applications.argoproj.io",
];

/// Fields that are in no file; below `annotations` and `labels` the last step is a whole key.
const STRIPPED: [&[&str]; 36] = [
    &["status"],
    &["metadata", "uid"],
    &["metadata", "resourceVersion"],
    &["metadata", "generation"],
    &["metadata", "creationTimestamp"],
    &["metadata", "managedFields"],
    &["metadata", "generateName"],
    &["metadata", "selfLink"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "deletionGracePeriodSeconds"],
    &["metadata", "ownerReferences", "*", "uid"],
    &[
        "metadata",
        "annotations",
        "kubectl.kubernetes.io/last-applied-configuration",
    ],
    &["metadata", "annotations", "kapp.k14s.io/original"],
    &["metadata", "annotations", "objectset.rio.cattle.io/applied"],
    &[
        "metadata",
        "annotations",
        "control-plane.alpha.kubernetes.io/leader",
    ],
    &[
        "metadata",
        "annotations",
        "deployment.kubernetes.io/revision",
    ],
    &[
        "metadata",
        "annotations",
        "deprecated.daemonset.template.generation",
    ],
    &[
        "metadata",
        "annotations",
        "kubernetes.io/service-account.uid",
    ],
    &["metadata", "annotations", "pv.kubernetes.io/bind-completed"],
    &[
        "metadata",
        "annotations",
        "pv.kubernetes.io/bound-by-controller",
    ],
    &[
        "metadata",
        "annotations",
        "volume.beta.kubernetes.io/storage-provisioner",
    ],
    &[
        "metadata",
        "annotations",
        "volume.kubernetes.io/storage-provisioner",
    ],
    &[
        "metadata",
        "annotations",
        "volume.kubernetes.io/selected-node",
    ],
    &[
        "metadata",
        "annotations",
        "autoscaling.alpha.kubernetes.io/conditions",
    ],
    &[
        "metadata",
        "annotations",
        "autoscaling.alpha.kubernetes.io/current-metrics",
    ],
    &["metadata", "labels", "controller-uid"],
    &["metadata", "labels", "batch.kubernetes.io/controller-uid"],
    &["spec", "selector", "matchLabels", "controller-uid"],
    &[
        "spec",
        "selector",
        "matchLabels",
        "batch.kubernetes.io/controller-uid",
    ],
    &["spec", "template", "metadata", "labels", "controller-uid"],
    &[
        "spec",
        "template",
        "metadata",
        "labels",
        "batch.kubernetes.io/controller-uid",
    ],
    &["spec", "template", "metadata", "creationTimestamp"],
    &["spec", "jobTemplate", "metadata", "creationTimestamp"],
    &[
        "spec",
        "jobTemplate",
        "spec",
        "template",
        "metadata",
        "creationTimestamp",
    ],
    &["spec", "claimRef", "uid"],
    &["spec", "claimRef", "resourceVersion"],
];

/// Fields of a Service that are only there where somebody asked for them.
const ALLOCATED: [&str; 5] = [
    "clusterIP",
    "clusterIPs",
    "healthCheckNodePort",
    "ipFamilies",
    "ipFamilyPolicy",
];

/// Every file that a mirror of these objects holds, by path below the prefix.
pub fn expected_files(objects: Vec<(Arc<ApiType>, Value)>, key: &[u8]) -> BTreeMap<String, Value> {
    let mut files = BTreeMap::new();
    let scaled: Vec<Value> = objects
        .iter()
        .filter_map(|(api_type, object)| scaled_workload(api_type, object))
        .collect();
    for (api_type, mut object) in objects {
        let resource = api_type.resource_and_group();
        let dropped = DROPPED_TYPES.contains(&&*resource) || resource.ends_with("metrics.k8s.io");
        if dropped || is_dropped(&resource, &object) {
            continue;
        }
        object["apiVersion"] = api_type.api_version().into();
        object["kind"] = (*api_type.kind).into();
        strip(&resource, &mut object, key);
        let group = &*api_type.group;
        let (kind, metadata) = (&object["kind"], &object["metadata"]);
        if scaled.contains(&json!([
            group,
            kind,
            metadata["namespace"],
            metadata["name"]
        ])) {
            remove(&mut object, &["spec", "replicas"]);
        }
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .replace(':', "%3a");
        let path = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("namespaces/{namespace}/{resource}/{name}.yaml"),
            None => format!("cluster/{resource}/{name}.yaml"),
        };
        files.insert(path, object);
    }
    files
}

/// Group, kind, namespace and name of the workload that an autoscaler scales.
fn scaled_workload(api_type: &ApiType, autoscaler: &Value) -> Option<Value> {
    let target = &autoscaler["spec"]["scaleTargetRef"];
    (&*api_type.resource == "horizontalpodautoscalers").then(|| {
        let version = target["apiVersion"].as_str().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let namespace = &autoscaler["metadata"]["namespace"];
        json!([group, target["kind"], namespace, target["name"]])
    })
}

/// Takes from a live object what is in no file, and replaces Secret values by their digests.
pub fn strip(resource: &str, object: &mut Value, key: &[u8]) {
    let text = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let (namespace, name) = (text("namespace"), text("name"));
    if resource == "services" {
        strip_allocated(object);
    }
    if resource == "namespaces" {
        // The server always sends a Namespace's spec, be it empty.
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("finalizers");
        }
    }
    if resource == "statefulsets.apps" {
        let claims = object["spec"]["volumeClaimTemplates"].as_array_mut();
        for claim in claims.into_iter().flatten() {
            remove(claim, &["status"]);
            remove(claim, &["metadata", "creationTimestamp"]);
        }
    }
    if resource == "persistentvolumeclaims" {
        strip_binding(object);
    }
    if resource == "clusterroles.rbac.authorization.k8s.io" {
        strip_gathered(object);
    }
    for path in STRIPPED {
        remove(object, path);
    }
    if resource == "secrets" {
        digest(object, &namespace, &name, key);
    }
}

/// Rules that the controller of aggregation gathered; they come again by themselves.
fn strip_gathered(object: &mut Value) {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut owners = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["fieldsV1"].get("f:rules").is_some());
    let gathered = !object["aggregationRule"].is_null()
        && owners.all(|entry| entry["manager"] == "clusterrole-aggregation-controller");
    if gathered {
        remove(object, &["rules"]);
    }
}

/// The volume that the controller chose; one that somebody asked for stays.
fn strip_binding(object: &mut Value) {
    let mut owners = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["fieldsV1"]["f:spec"].get("f:volumeName").is_some());
    let owned = owners.clone().next().is_some();
    if owned && owners.all(|entry| entry["manager"] == "kube-controller-manager") {
        remove(object, &["spec", "volumeName"]);
    }
}

/// Whether the design leaves the object out.
pub fn is_dropped(resource: &str, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let owned = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| owners.iter().any(|owner| owner["controller"] == true));
    let label = |name: &str| metadata["labels"][name].as_str().unwrap_or_default();
    if owned && !KEPT_THOUGH_OWNED.contains(&resource) {
        return true;
    }
    match resource {
        "configmaps" => metadata["name"] == "kube-root-ca.crt",
        "secrets" => object["type"] == "helm.sh/release.v1",
        "apiservices.apiregistration.k8s.io" => {
            !label("kube-aggregator.kubernetes.io/automanaged").is_empty()
        }
        "endpoints" => {
            label("endpoints.kubernetes.io/managed-by") == "endpoint-controller"
                || (metadata["namespace"] == "default" && metadata["name"] == "kubernetes")
        }
        "endpointslices.discovery.k8s.io" => {
            let manager = label("endpointslice.kubernetes.io/managed-by");
            manager == "endpointslice-controller.k8s.io"
                || manager == "endpointslicemirroring-controller.k8s.io"
                || (metadata["namespace"] == "default" && metadata["name"] == "kubernetes")
        }
        _ => false,
    }
}

/// Removes a field, and what is empty without it.
pub fn remove(value: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if *first == "*" {
        for element in value.as_array_mut().into_iter().flatten() {
            remove(element, rest);
        }
        return;
    }
    let Some(map) = value.as_object_mut() else {
        return;
    };
    let Some(child) = map.get_mut(*first) else {
        return;
    };
    if rest.is_empty() {
        map.remove(*first);
        return;
    }
    let was_empty = is_empty(child);
    remove(child, rest);
    if !was_empty && is_empty(child) {
        map.remove(*first);
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Leaves of a Service's allocated fields only what some manager wrote down as its own.
fn strip_allocated(object: &mut Value) {
    let fields: Vec<Value> = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] != "before-first-apply")
        .map(|entry| entry["fieldsV1"]["f:spec"].clone())
        .collect();
    for field in ALLOCATED {
        let asked_for = fields
            .iter()
            .any(|spec| spec.get(format!("f:{field}")).is_some());
        let headless = field == "clusterIP" && object["spec"]["clusterIP"] == "None";
        if !asked_for && !headless {
            remove(object, &["spec", field]);
        }
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let key = format!(
            "k:{}",
            json!({ "port": port["port"], "protocol": protocol })
        );
        let asked_for = fields
            .iter()
            .any(|spec| spec["f:ports"][&key].get("f:nodePort").is_some());
        if !asked_for {
            remove(port, &["nodePort"]);
        }
    }
}

/// Replaces each value by its digest, computed here from the design's words.
fn digest(object: &mut Value, namespace: &str, name: &str, key: &[u8]) {
    let path = format!("namespaces/{namespace}/secrets/{name}.yaml");
    for (field, value) in object
        .get_mut("data")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let plain = decode(value.as_str().unwrap_or_default());
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.update(path.as_bytes());
        mac.update(&[0]);
        mac.update(format!("data[{}]", json!(field)).as_bytes());
        mac.update(&[0]);
        mac.update(&plain);
        let mut hex = String::new();
        for byte in &mac.finalize().into_bytes()[..16] {
            write!(hex, "{byte:02x}").expect("a String takes everything");
        }
        *value = Value::String(format!("hmac:{hex}"));
    }
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_default()
}
