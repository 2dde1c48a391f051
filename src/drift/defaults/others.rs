//! All other kinds: policies, rights, limits, storage, namespaces, CRDs, device requests
//! (`pkg/apis/*/*/defaults.go` of <https://github.com/kubernetes/kubernetes/tree/v1.36.3>), and
//! what in-tree admission always adds.

use serde_json::{Value, json};

use super::builtin::{Fields, copy_missing, is_zero, lacks, made, part, put, text};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Defaults of a type by its own fields.
pub(super) fn fill(name: &str, fields: &mut Fields) {
    match name {
        "networking.v1.NetworkPolicySpec" => {
            let types: &[&str] = if lacks(fields, "egress") {
                &["Ingress"]
            } else {
                &["Ingress", "Egress"]
            };
            put(fields, "policyTypes", || types.to_vec());
        }
        "rbac.v1.Subject" if matches!(text(fields, "kind"), "User" | "Group") => {
            put(fields, "apiGroup", || RBAC);
        }
        "core.v1.LimitRangeItem" if text(fields, "type") == "Container" => limits(fields),
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames" => {
            let kind = text(fields, "kind").to_owned();
            put(fields, "singular", || kind.to_lowercase());
            if !kind.is_empty() {
                put(fields, "listKind", || format!("{kind}List"));
            }
        }
        "resource.v1.ExactDeviceRequest"
        | "resource.v1beta2.ExactDeviceRequest"
        | "resource.v1.DeviceSubRequest"
        | "resource.v1beta1.DeviceSubRequest"
        | "resource.v1beta2.DeviceSubRequest" => count(fields),
        // One with alternatives has neither.
        "resource.v1beta1.DeviceRequest" if !lacks(fields, "deviceClassName") => {
            put(fields, "allocationMode", || "ExactCount");
            count(fields);
        }
        _ => {}
    }
}

fn count(request: &mut Fields) {
    let exact = matches!(text(request, "allocationMode"), "" | "ExactCount");
    if exact && request.get("count").is_none_or(is_zero) {
        request.insert("count".to_owned(), json!(1));
    }
}

/// Defaults are the maxima; requests the defaults, then the minima.
fn limits(item: &mut Fields) {
    for (from, to) in [
        ("max", "default"),
        ("default", "defaultRequest"),
        ("min", "defaultRequest"),
    ] {
        let Some(Value::Object(from)) = item.get(from).cloned() else {
            continue;
        };
        if let Some(to) = made(item, to).filter(|_| !from.is_empty()) {
            copy_missing(&from, to);
        }
    }
    for field in ["default", "defaultRequest"] {
        if item.get(field).is_some_and(is_zero) {
            item.remove(field);
        }
    }
}

/// Defaults of whole objects.
pub(super) fn after(name: &str, object: &mut Fields) {
    match name {
        "core.v1.Namespace" => namespace(object),
        "core.v1.PersistentVolumeClaim" => {
            finalizer(object, "kubernetes.io/pvc-protection");
            if let Some(spec) = part(object, "spec") {
                data_source(spec);
            }
        }
        "core.v1.PersistentVolume" => finalizer(object, "kubernetes.io/pv-protection"),
        "storage.v1.VolumeAttributesClass" | "storage.v1beta1.VolumeAttributesClass" => {
            finalizer(object, "kubernetes.io/vac-protection");
        }
        _ => {}
    }
}

/// Its name as a label, and the finalizer that empties it
/// (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/registry/core/namespace/strategy.go>).
fn namespace(object: &mut Fields) {
    if let Some(metadata) = part(object, "metadata") {
        let name = text(metadata, "name").to_owned();
        if let Some(labels) = made(metadata, "labels").filter(|_| !name.is_empty()) {
            put(labels, "kubernetes.io/metadata.name", || name);
        }
    }
    if let Some(spec) = made(object, "spec") {
        append(spec, "finalizers", "kubernetes");
    }
}

/// What the admission plugin `StorageObjectInUseProtection` adds
/// (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection>).
fn finalizer(object: &mut Fields, name: &str) {
    if let Some(metadata) = part(object, "metadata") {
        append(metadata, "finalizers", name);
    }
}

fn append(fields: &mut Fields, list: &str, value: &str) {
    put(fields, list, || json!([]));
    if let Some(list) = fields.get_mut(list).and_then(Value::as_array_mut)
        && !list.iter().any(|one| one == value)
    {
        list.push(value.into());
    }
}

/// `dataSource` and `dataSourceRef` say the same, unless the latter is of another namespace
/// (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/api/persistentvolumeclaim/util.go>).
fn data_source(spec: &mut Fields) {
    for (from, to) in [
        ("dataSource", "dataSourceRef"),
        ("dataSourceRef", "dataSource"),
    ] {
        if let Some(Value::Object(mut source)) = spec.get(from).cloned()
            && !spec.contains_key(to)
            && lacks(&source, "namespace")
        {
            source.remove("namespace");
            spec.insert(to.to_owned(), Value::Object(source));
            return;
        }
    }
}
