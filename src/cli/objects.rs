//! Objects from files: their types are guessed, no cluster is asked.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::canonical::{self, ReadError};
use crate::object::{ApiType, RawObject};

/// Bytes that are read: no more can be parsed.
const LONGEST: u64 = 64 << 20;

/// Objects that cannot be read. Holds no value of theirs.
#[derive(Debug, thiserror::Error)]
pub(super) enum ObjectsError {
    #[error("{name} cannot be read: {source}")]
    Read { name: String, source: io::Error },
    #[error("{name}: {source}")]
    Parse { name: String, source: ReadError },
    #[error("{name}:{line}: no Kubernetes object: {lacks}")]
    NoObject {
        name: String,
        line: usize,
        lacks: &'static str,
    },
    #[error("{name} holds no object")]
    Empty { name: String },
}

/// An object, and what its type must be.
pub(super) struct Guessed {
    pub(super) api_type: Arc<ApiType>,
    pub(super) object: RawObject,
}

/// Reads every object of a file, or of standard input (`-`); those of a `List` one by one.
pub(super) fn read(path: &Path) -> Result<Vec<Guessed>, ObjectsError> {
    let (name, text) = text_of(path);
    let text = text.map_err(|source| ObjectsError::Read {
        name: name.clone(),
        source,
    })?;
    parse(&name, &text)
}

fn text_of(path: &Path) -> (String, io::Result<Vec<u8>>) {
    let mut text = Vec::new();
    if path.as_os_str() == "-" {
        let read = io::stdin().lock().take(LONGEST).read_to_end(&mut text);
        return ("standard input".to_owned(), read.map(|_| text));
    }
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    (path.display().to_string(), read.map(|_| text))
}

fn parse(name: &str, text: &[u8]) -> Result<Vec<Guessed>, ObjectsError> {
    let documents = canonical::read_all(text).map_err(|source| ObjectsError::Parse {
        name: name.to_owned(),
        source,
    })?;
    let mut objects = Vec::new();
    for document in documents {
        for value in items(document.value) {
            let guessed = guess(value).map_err(|lacks| ObjectsError::NoObject {
                name: name.to_owned(),
                line: document.line,
                lacks,
            })?;
            objects.push(guessed);
        }
    }
    if objects.is_empty() {
        return Err(ObjectsError::Empty {
            name: name.to_owned(),
        });
    }
    Ok(objects)
}

/// The items of a `List`, as `kubectl get` prints several objects; else the object itself.
fn items(mut value: Value) -> Vec<Value> {
    let is_list = value["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items,
        Some(other) => {
            value["items"] = other;
            vec![value]
        }
        None => vec![value],
    }
}

fn guess(mut value: Value) -> Result<Guessed, &'static str> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let api_version = text("apiVersion").ok_or("expected apiVersion")?;
    let kind = text("kind").ok_or("expected kind")?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if group.contains('/') || version.is_empty() || version.contains('/') || kind.is_empty() {
        return Err("expected apiVersion such as v1 or apps/v1");
    }
    let metadata = value.get("metadata");
    let namespace = metadata.and_then(|metadata| metadata.get("namespace"));
    let named = namespace.is_some_and(|namespace| namespace.as_str() != Some(""));
    let api_type = ApiType {
        group: group.into(),
        version: version.into(),
        resource: plural(kind).into(),
        kind: kind.into(),
        namespaced: named || lies_in_a_namespace(group, kind),
    };
    if metadata
        .and_then(|metadata| metadata.get("name"))
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return Err("expected metadata.name");
    }
    if api_type.namespaced && !named {
        // As a kubectl whose context names none would.
        value["metadata"]["namespace"] = Value::from("default");
    }
    // Through text: managedFields are set aside there.
    let text = serde_json::to_vec(&value).map_err(|_| "expected JSON")?;
    let object = RawObject::parse(&text, &api_type).map_err(|_| "expected a mapping")?;
    Ok(Guessed {
        api_type: Arc::new(api_type),
        object,
    })
}

/// The resource of a kind, as Kubernetes itself guesses it, and as `kubebuilder` names new ones:
/// <https://github.com/kubernetes/apimachinery/blob/master/pkg/api/meta/restmapper.go>
/// (`UnsafeGuessKindToResource`), but for a `y` behind a vowel.
pub(super) fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    let before_y = lower
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match before_y {
        _ if lower == "endpoints" => lower,
        Some(stem) => format!("{stem}ies"),
        None if lower.ends_with(['s', 'x']) || lower.ends_with("ch") || lower.ends_with("sh") => {
            format!("{lower}es")
        }
        None => format!("{lower}s"),
    }
}

/// Groups of the API server itself that have namespaced kinds.
const BUILT_IN: [&str; 13] = [
    "",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "storage.k8s.io",
];

/// Kinds of these groups that lie in no namespace (`kubectl api-resources --namespaced=false`,
/// Kubernetes 1.36).
const CLUSTER_SCOPED: [&str; 18] = [
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "ComponentStatus",
    "DeviceClass",
    "DeviceTaintRule",
    "IPAddress",
    "IngressClass",
    "Namespace",
    "Node",
    "PersistentVolume",
    "ResourceSlice",
    "ServiceCIDR",
    "StorageClass",
    "VolumeAttachment",
];

/// Whether an object that names no namespace lies in one. Of other groups nothing is known.
fn lies_in_a_namespace(group: &str, kind: &str) -> bool {
    BUILT_IN.contains(&group)
        && !CLUSTER_SCOPED.contains(&kind)
        && !(group == "storage.k8s.io" && kind == "VolumeAttributesClass")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_resources() {
        for (kind, resource) in [
            ("Deployment", "deployments"),
            ("Ingress", "ingresses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Endpoints", "endpoints"),
            ("EndpointSlice", "endpointslices"),
            ("StorageClass", "storageclasses"),
            ("ServiceCIDR", "servicecidrs"),
            ("Gateway", "gateways"),
            ("ServiceEntry", "serviceentries"),
            ("CSIStorageCapacity", "csistoragecapacities"),
        ] {
            assert_eq!(plural(kind), resource);
        }
    }

    #[test]
    fn lists_are_taken_apart_and_scopes_are_guessed() {
        let text = b"kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: Node, metadata: {name: b}}\n---\n{apiVersion: x.example/v1, kind: Toy, metadata: {name: c, managedFields: []}}\n";
        let objects = parse("f", text).unwrap();
        let paths: Vec<_> = objects
            .iter()
            .map(|one| one.object.key(&one.api_type).unwrap().path())
            .collect();
        assert_eq!(
            paths,
            [
                "namespaces/default/configmaps/a.yaml",
                "cluster/nodes/b.yaml",
                "cluster/toys.x.example/c.yaml"
            ]
        );
        assert!(objects[2].object.managed_fields.is_some());
    }

    #[test]
    fn what_is_no_object_is_named_with_its_line() {
        for (text, expected) in [
            ("a: 1\n", "f:1: no Kubernetes object: expected apiVersion"),
            (
                "---\n---\n{apiVersion: v1, kind: Pod}\n",
                "expected metadata.name",
            ),
            (
                "apiVersion: a/b/c\nkind: X\n",
                "expected apiVersion such as",
            ),
            ("", "f holds no object"),
            ("a: [\n", "f: "),
            ("- 1\n", "expected apiVersion"),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: 3\n",
                "expected metadata.name",
            ),
        ] {
            let Err(error) = parse("f", text.as_bytes()) else {
                panic!("{text}")
            };
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }
}
