//! Where each watch can go on from after a restart.
//!
//! Lies under `refs/strandline/cursor`, names the commit that it belongs to, and counts only while
//! that commit is HEAD and what decides on files is the same ([`valid_for`]). It stays local.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::events::Feed;
use super::message::FORMAT_VERSION;
use crate::cluster::Scope;
use crate::filter::Rules;
use crate::object::{ApiType, Prefix};
use crate::sops::Recipients;

/// Version of what the sidecar holds of an object; with another one everything is looked at again.
const SIDECAR_FORMAT: u32 = 1;

/// The ref that holds it.
pub const CURSOR_REF: &str = "refs/strandline/cursor";

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    valid_for: String,
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

/// What a cursor is valid for: with other rules, another form of files or another place for them
/// everything has to be looked at again.
pub fn valid_for(rules: &Rules, recipients: Option<&Recipients>, prefix: &Prefix) -> String {
    // Others who may read a file make another file of it.
    let recipients = recipients.filter(|_| rules.seals().is_some());
    let recipients = recipients.map_or(String::new(), |recipients| {
        format!(", recipients {}", recipients.names().join(" "))
    });
    format!(
        "format {FORMAT_VERSION}, sidecar {SIDECAR_FORMAT}, rules {}{recipients}, prefix {}",
        rules.fingerprint(),
        prefix.as_str()
    )
}

/// Returns the file; `None` where there is nothing to go on from.
pub(super) fn write(cursor: &[(&Feed, &str)], valid_for: &str) -> Option<Vec<u8>> {
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
        valid_for: valid_for.to_owned(),
        watches,
    })
    .ok()
}

/// Reads the file; empty where it is none, or valid for something else.
pub fn read(file: &[u8], valid_for: &str) -> HashMap<(ApiType, Scope), String> {
    let Ok(file) = serde_json::from_slice::<File>(file) else {
        return HashMap::new();
    };
    if file.valid_for != valid_for {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::events::FeedId;

    #[test]
    fn reads_back_what_it_writes_where_it_is_valid() {
        let api_type = ApiType {
            group: "apps".into(),
            version: "v1".into(),
            resource: "deployments".into(),
            kind: "Deployment".into(),
            namespaced: true,
        };
        let feed = |scope| Feed {
            id: FeedId(1),
            api_type: Arc::new(api_type.clone()),
            scope,
            scalable: false,
        };
        let (all, shop) = (feed(Scope::Cluster), feed(Scope::Namespace("shop".into())));
        let here = valid_for(&Rules::core(), None, &Prefix::default());
        let file = write(&[(&all, "5"), (&shop, "7")], &here).unwrap();
        let read_back = read(&file, &here);
        assert_eq!(read_back[&(api_type.clone(), Scope::Cluster)], "5");
        assert_eq!(read_back[&(api_type, Scope::Namespace("shop".into()))], "7");
        let elsewhere = valid_for(&Rules::core(), None, &Prefix::new("prod").unwrap());
        assert!(
            read(&file, &elsewhere).is_empty(),
            "another prefix holds no files yet"
        );
        assert!(read(b"{", &here).is_empty());
        assert!(write(&[], &here).is_none());
    }
}
