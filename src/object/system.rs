//! What every cluster has without being asked.

use serde_json::Value;

use super::ObjectKey;

/// Why the control plane makes the object itself; `None` where it does not. `object` may be live or
/// recorded.
pub fn system_made(key: &ObjectKey, object: &Value) -> Option<&'static str> {
    let metadata = object.get("metadata");
    let labels = metadata.and_then(|metadata| metadata.get("labels"));
    let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
    let namespace = key.namespace.as_deref();
    let name = &*key.name;
    match (&*key.api_type.group, &*key.api_type.resource) {
        // https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
        ("rbac.authorization.k8s.io", _) => (text(labels, "kubernetes.io/bootstrapping")
            == Some("rbac-defaults"))
        .then_some("bootstrap RBAC of the API server"),
        ("apiregistration.k8s.io", "apiservices") => {
            let automanaged = labels.is_some_and(|labels| {
                labels
                    .get("kube-aggregator.kubernetes.io/automanaged")
                    .is_some()
            });
            let local = object.pointer("/spec/service").is_none_or(Value::is_null);
            (automanaged || local).then_some("registered by the API server for its own groups")
        }
        // https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#maintenance-of-the-mandatory-and-suggested-configuration-objects
        ("flowcontrol.apiserver.k8s.io", _) => {
            (text(annotations, "apf.kubernetes.io/autoupdate-spec") == Some("true"))
                .then_some("kept by the API server's flow control")
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            matches!(name, "system-node-critical" | "system-cluster-critical")
                .then_some("a class that the API server makes")
        }
        ("networking.k8s.io", "servicecidrs") => {
            (name == "kubernetes").then_some("made of the API server's flags")
        }
        ("", "services") => (namespace == Some("default") && name == "kubernetes")
            .then_some("the API server's own Service"),
        ("", "nodes") => Some("Nodes register themselves"),
        ("", "configmaps") => (namespace == Some("kube-system")
            && matches!(
                name,
                "extension-apiserver-authentication"
                    | "kube-apiserver-legacy-service-account-token-tracking"
            ))
        .then_some("written by the API server"),
        ("", "serviceaccounts") if name == "default" => {
            is_bare(object).then_some("an unchanged `default` ServiceAccount")
        }
        _ => None,
    }
}

/// Whether an object says no more than who it is.
fn is_bare(object: &Value) -> bool {
    let only = |value: Option<&Value>, known: &[&str]| {
        value
            .and_then(Value::as_object)
            .is_some_and(|map| map.keys().all(|field| known.contains(&&**field)))
    };
    only(Some(object), &["apiVersion", "kind", "metadata"])
        && only(object.get("metadata"), &["name", "namespace"])
}

fn text<'a>(map: Option<&'a Value>, name: &str) -> Option<&'a str> {
    map?.get(name)?.as_str()
}
