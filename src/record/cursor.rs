//! Where each watch can go on from after a restart.
//!
//! Lies under `refs/strandline/cursor`, names the tree that it belongs to, and counts only while
//! that tree is HEAD's and the rules are the same. It stays local.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::recorder::Feed;
use crate::cluster::Scope;
use crate::object::ApiType;

/// The ref that holds it.
pub const CURSOR_REF: &str = "refs/strandline/cursor";

#[derive(Deserialize, Serialize)]
struct File {
    rules: String,
    watches: Vec<Watch>,
}

#[derive(Deserialize, Serialize)]
struct Watch {
    group: Box<str>,
    version: Box<str>,
    resource: Box<str>,
    kind: Box<str>,
    namespaced: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<Box<str>>,
    #[serde(rename = "resourceVersion")]
    resource_version: String,
}

/// Returns the file; `None` where there is nothing to go on from.
pub(super) fn write(cursor: &[(&Feed, &str)], rules: &str) -> Option<Vec<u8>> {
    if cursor.is_empty() {
        return None;
    }
    let mut watches: Vec<_> = cursor
        .iter()
        .map(|(feed, resource_version)| {
            let ApiType {
                group,
                version,
                resource,
                kind,
                namespaced,
            } = (*feed.api_type).clone();
            let namespace = match &feed.scope {
                Scope::Cluster => None,
                Scope::Namespace(namespace) => Some(namespace.clone()),
            };
            Watch {
                group,
                version,
                resource,
                kind,
                namespaced,
                namespace,
                resource_version: (*resource_version).to_owned(),
            }
        })
        .collect();
    watches.sort_by(|a, b| {
        (&a.group, &a.resource, &a.namespace).cmp(&(&b.group, &b.resource, &b.namespace))
    });
    serde_json::to_vec(&File {
        rules: rules.to_owned(),
        watches,
    })
    .ok()
}

/// Reads the file; empty where it is none, or was written under other rules.
pub fn read(file: &[u8], rules: &str) -> HashMap<(ApiType, Scope), String> {
    let Ok(file) = serde_json::from_slice::<File>(file) else {
        return HashMap::new();
    };
    if file.rules != rules {
        return HashMap::new();
    }
    file.watches
        .into_iter()
        .map(|watch| {
            let Watch {
                group,
                version,
                resource,
                kind,
                namespaced,
                namespace,
                resource_version,
            } = watch;
            let scope = namespace.map_or(Scope::Cluster, Scope::Namespace);
            (
                (
                    ApiType {
                        group,
                        version,
                        resource,
                        kind,
                        namespaced,
                    },
                    scope,
                ),
                resource_version,
            )
        })
        .collect()
}
