//! The types that are served, and the aggregated discovery documents that name them.
//!
//! <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::store::{Store, TypeState};
use crate::object::ApiType;

/// The groups of kube-apiserver 1.36.3 as it announced them, without `autoscaling/v1`: we do not
/// convert between versions.
const RECORDED: &str = include_str!("recorded/discovery.json");

/// What the server knows about a type beside its objects.
#[derive(Clone, Debug)]
pub(super) struct TypeDocument {
    /// At the version that objects are written in.
    pub(super) api_type: Arc<ApiType>,
    /// Served versions in order of priority, `api_type`'s among them.
    pub(super) versions: Vec<Box<str>>,
    /// From a `CustomResourceDefinition`: its list items carry `apiVersion` and `kind`.
    pub(super) custom: bool,
    /// Kind of its lists.
    pub(super) list_kind: Box<str>,
    /// Its entry in discovery.
    entry: Value,
}

impl TypeDocument {
    fn has_verb(&self, verb: &str) -> bool {
        let verbs = self.entry["verbs"].as_array();
        verbs.is_some_and(|verbs| verbs.iter().any(|have| have == verb))
    }

    pub(super) fn can_list(&self) -> bool {
        self.has_verb("list")
    }

    pub(super) fn can_watch(&self) -> bool {
        self.has_verb("watch")
    }

    pub(super) fn has_subresource(&self, name: &str) -> bool {
        let subresources = self.entry["subresources"].as_array();
        subresources.is_some_and(|all| all.iter().any(|have| have["subresource"] == name))
    }

    /// Whether the server counts changes of intent in `metadata.generation`.
    pub(super) fn has_generation(&self) -> bool {
        match &*self.api_type.group {
            "" => matches!(&*self.api_type.resource, "pods" | "replicationcontrollers"),
            "autoscaling"
            | "coordination.k8s.io"
            | "discovery.k8s.io"
            | "events.k8s.io"
            | "rbac.authorization.k8s.io"
            | "storage.k8s.io" => false,
            _ => true,
        }
    }

    /// Reads the types out of a `CustomResourceDefinition`; `None` where it defines none.
    pub(super) fn from_definition(definition: &Value) -> Option<Self> {
        let spec = &definition["spec"];
        let names = &spec["names"];
        let group = spec["group"].as_str()?;
        let kind = names["kind"].as_str()?;
        let resource = names["plural"].as_str()?;
        let namespaced = spec["scope"] == "Namespaced";
        let all = spec["versions"].as_array()?;
        let mut versions: Vec<Box<str>> = all
            .iter()
            .filter(|version| version["served"] == true)
            .filter_map(|version| Some(version["name"].as_str()?.into()))
            .collect();
        versions.sort_by_key(|version| priority(version));
        let storage = all.iter().find(|version| version["storage"] == true)?;
        let singular = names["singular"]
            .as_str()
            .map_or_else(|| kind.to_lowercase(), str::to_owned);
        let response_kind = json!({"group": group, "version": "", "kind": kind});
        let mut entry = json!({
            "resource": resource,
            "responseKind": response_kind,
            "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": singular,
            "verbs": [
                "delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"
            ],
        });
        for (from, to) in [("shortNames", "shortNames"), ("categories", "categories")] {
            if let Some(list) = names.get(from) {
                entry[to] = list.clone();
            }
        }
        if storage["subresources"].get("status").is_some() {
            entry["subresources"] = json!([{
                "subresource": "status", "responseKind": response_kind,
                "verbs": ["get", "patch", "update"],
            }]);
        }
        Some(Self {
            api_type: Arc::new(ApiType {
                group: group.into(),
                version: versions.first()?.clone(),
                resource: resource.into(),
                kind: kind.into(),
                namespaced,
            }),
            versions,
            custom: true,
            list_kind: names["listKind"]
                .as_str()
                .map_or_else(|| format!("{kind}List"), str::to_owned)
                .into(),
            entry,
        })
    }

    /// The entry as one version of the group announces it.
    fn entry_at(&self, version: &str) -> Value {
        let mut entry = self.entry.clone();
        if self.custom {
            entry["responseKind"]["version"] = version.into();
            for subresource in entry["subresources"].as_array_mut().into_iter().flatten() {
                subresource["responseKind"]["version"] = version.into();
            }
            if entry["subresources"].is_null()
                && let Some(map) = entry.as_object_mut()
            {
                map.remove("subresources");
            }
        }
        entry
    }
}

/// Orders versions as the server does: stable before beta before alpha, higher numbers first.
/// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority>
fn priority(version: &str) -> (u8, std::cmp::Reverse<u64>, std::cmp::Reverse<u64>, Box<str>) {
    let number = |text: &str| text.parse::<u64>().ok();
    let parsed = version.strip_prefix('v').and_then(|rest| {
        for (rank, word) in [(1, "beta"), (2, "alpha")] {
            if let Some((major, minor)) = rest.split_once(word) {
                return Some((rank, number(major)?, number(minor)?));
            }
        }
        Some((0, number(rest)?, 0))
    });
    let (rank, major, minor) = parsed.unwrap_or((3, 0, 0));
    (
        rank,
        std::cmp::Reverse(major),
        std::cmp::Reverse(minor),
        version.into(),
    )
}

/// The types of a cluster without custom resources, in the order of discovery.
pub(super) fn built_in() -> Vec<TypeDocument> {
    let groups: Value = serde_json::from_str(RECORDED).expect("the recording is JSON");
    let mut types = Vec::new();
    for group in groups.as_array().into_iter().flatten() {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array().into_iter().flatten() {
            for entry in version["resources"].as_array().into_iter().flatten() {
                let text = |value: &Value| Box::<str>::from(value.as_str().unwrap_or_default());
                let kind = text(&entry["responseKind"]["kind"]);
                let version = text(&version["version"]);
                types.push(TypeDocument {
                    list_kind: format!("{kind}List").into(),
                    api_type: Arc::new(ApiType {
                        group: name.into(),
                        version: version.clone(),
                        resource: text(&entry["resource"]),
                        kind,
                        namespaced: entry["scope"] == "Namespaced",
                    }),
                    versions: vec![version],
                    custom: false,
                    entry: entry.clone(),
                });
            }
        }
    }
    types
}

/// The document of `/api` (`core`) or `/apis`; `stale` groups are announced without resources.
pub(super) fn document(store: &Store, core: bool, stale: &BTreeSet<String>) -> String {
    let items: Vec<Value> = store
        .groups
        .iter()
        .filter(|group| group.is_empty() == core)
        .filter_map(|group| group_document(store, group, stale.contains(&**group)))
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
    .to_string()
}

fn group_document(store: &Store, group: &str, stale: bool) -> Option<Value> {
    let types: Vec<&TypeState> = store
        .types
        .iter()
        .filter(|((of, _), state)| **of == *group && state.served)
        .map(|(_, state)| state)
        .collect();
    let mut versions = BTreeMap::new();
    for state in &types {
        for version in &state.document.versions {
            versions.insert(priority(version), version);
        }
    }
    if versions.is_empty() {
        return None;
    }
    let versions: Vec<Value> = versions
        .values()
        .map(|version| {
            if stale {
                return json!({"version": version, "freshness": "Stale"});
            }
            let resources: Vec<Value> = types
                .iter()
                .filter(|state| state.document.versions.contains(version))
                .map(|state| state.document.entry_at(version))
                .collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.is_empty() {
        json!({})
    } else {
        json!({"name": group})
    };
    Some(json!({"metadata": metadata, "versions": versions}))
}

/// A strong `ETag`, in the form that the server uses: a SHA-512 in upper-case hex, quoted.
pub(super) fn etag(document: &str) -> String {
    let mut tag = String::with_capacity(130);
    tag.push('"');
    for byte in Sha512::digest(document.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02X}");
    }
    tag.push('"');
    tag
}
