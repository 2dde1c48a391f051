//! What Flux changes in plain manifests: `targetNamespace` and `commonMetadata`.
//!
//! In goes what the files say, out what is applied. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Identity, text};
use crate::drift::desired::Manifest;

/// Changes to all manifests of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The namespace of every object that lies in one, whatever its manifest says.
    pub namespace: Option<Box<str>>,
    /// Labels of every object; they win.
    pub labels: BTreeMap<String, String>,
    /// Annotations of every object; they win.
    pub annotations: BTreeMap<String, String>,
}

impl Edits {
    /// Changes the manifests. `namespaced` says of a group and kind whether its objects lie in
    /// namespaces; `None` where it is not served, which counts as yes, as kustomize has it.
    pub fn apply(
        &self,
        manifests: &mut [Manifest],
        namespaced: &dyn Fn(&str, &str) -> Option<bool>,
    ) {
        if let Some(namespace) = &self.namespace {
            move_to(namespace, manifests, namespaced);
        }
        for manifest in manifests {
            if self.labels.is_empty() && self.annotations.is_empty() {
                continue;
            }
            manifest.edit(|object| {
                merge(object, "labels", &self.labels);
                merge(object, "annotations", &self.annotations);
            });
        }
    }
}

fn merge(object: &mut Value, key: &str, pairs: &BTreeMap<String, String>) {
    if pairs.is_empty() {
        return;
    }
    let Some(map) = map_at(object, &["metadata", key]) else {
        return;
    };
    for (key, value) in pairs {
        map.insert(key.clone(), Value::from(value.as_str()));
    }
}

/// The map at a place, made where there is none; `None` where something else is there.
fn map_at<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut at = object;
    for key in path {
        let next = at.as_object_mut()?.entry(*key).or_insert(Value::Null);
        if next.is_null() {
            *next = json!({});
        }
        at = next;
    }
    at.as_object_mut()
}

/// Kustomize's namespace transformer, and the references that follow it:
/// <https://github.com/kubernetes-sigs/kustomize/blob/master/api/internal/builtins/NamespaceTransformer.go>,
/// <https://github.com/kubernetes-sigs/kustomize/blob/master/api/internal/konfig/builtinpluginconsts/namespace.go>.
fn move_to(
    namespace: &str,
    manifests: &mut [Manifest],
    namespaced: &dyn Fn(&str, &str) -> Option<bool>,
) {
    // What is referred to by name and moves: references to these move with them. With the namespace
    // that each is in before.
    let moved: BTreeSet<(String, String, String)> = manifests
        .iter()
        .filter_map(Manifest::identity)
        .filter(|identity| identity.group.is_empty())
        .map(|identity| {
            let namespace = identity.namespace.as_deref().unwrap_or("default");
            (
                identity.kind.to_string(),
                identity.name.to_string(),
                namespace.to_owned(),
            )
        })
        .filter(|(kind, _, _)| matches!(kind.as_str(), "ServiceAccount" | "Service"))
        .collect();
    let moves = |kind: &str, reference: &Value| {
        let (name, namespace) = (text(reference, &["name"]), text(reference, &["namespace"]));
        moved.iter().any(|(of, own, from)| {
            of == kind && own == name && (namespace.is_empty() || namespace == from)
        })
    };
    let set = |place: Option<&mut Value>, key: &str| {
        if let Some(Value::Object(map)) = place {
            map.insert(key.to_owned(), Value::from(namespace));
        }
    };
    let move_one = |object: &mut Value| {
        let group = group_of(object).to_owned();
        let kind = text(object, &["kind"]).to_owned();
        if group.is_empty() && kind == "Namespace" {
            set(object.get_mut("metadata"), "name");
            return;
        }
        if namespaced(&group, &kind) != Some(false) {
            set(object.get_mut("metadata"), "namespace");
        }
        match (group.as_str(), kind.as_str()) {
            ("apiregistration.k8s.io", "APIService") => {
                set(object.pointer_mut("/spec/service"), "namespace");
            }
            ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                let service = "/spec/conversion/webhook/clientConfig/service";
                set(object.pointer_mut(service), "namespace");
            }
            ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
                for subject in elements(object, "subjects") {
                    // Whatever its kind: kustomize looks at the name alone.
                    if text(subject, &["name"]) == "default" || moves("ServiceAccount", subject) {
                        set(Some(subject), "namespace");
                    }
                }
            }
            (
                "admissionregistration.k8s.io",
                "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
            ) => {
                for webhook in elements(object, "webhooks") {
                    let service = webhook.pointer_mut("/clientConfig/service");
                    if let Some(service) = service
                        && moves("Service", service)
                    {
                        set(Some(service), "namespace");
                    }
                }
            }
            _ => {}
        }
    };
    for manifest in manifests {
        manifest.edit(move_one);
    }
}

fn elements<'a>(object: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

/// The group of a manifest's `apiVersion`.
pub(super) fn group_of(object: &Value) -> &str {
    let version = text(object, &["apiVersion"]);
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Which object a manifest is; `namespace` for one that names none.
pub(super) fn identity_of(object: &Value, namespace: Option<&str>) -> Option<Identity> {
    let (kind, name) = (text(object, &["kind"]), text(object, &["metadata", "name"]));
    let own = text(object, &["metadata", "namespace"]);
    let namespace = if own.is_empty() { namespace } else { Some(own) };
    (!kind.is_empty() && !name.is_empty()).then(|| Identity {
        group: group_of(object).into(),
        kind: kind.into(),
        namespace: namespace.map(Into::into),
        name: name.into(),
    })
}
