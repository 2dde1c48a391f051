//! What the API server serves.
//!
//! Two requests, `/api` and `/apis`, in their aggregated form
//! (<https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery>), read
//! raw: kube's own reader hides `freshness: Stale`, which is the difference between "the group's
//! server is away" and "the group has no types".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use serde::Deserialize;

use super::api::{Answer, ApiError, Failure, collect};
use super::client::Cluster;
use crate::object::ApiType;

const ACCEPTED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Discovery failed: nothing is known, and nothing may be concluded.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// A request failed.
    #[error("the API server's list of types could not be read")]
    Request(#[source] ApiError),
    /// A server before 1.26.
    #[error(
        "{path} is not aggregated discovery; Kubernetes 1.27 or later is needed, \
         or 1.26 with the feature gate AggregatedDiscoveryEndpoint"
    )]
    NotAggregated {
        /// Which document.
        path: &'static str,
    },
}

/// One type that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedType {
    /// The type at the version that we read.
    pub api_type: Arc<ApiType>,
    /// It can be watched.
    pub watch: bool,
}

/// One consistent answer of discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Every type that can be read, by group and resource.
    pub types: BTreeMap<(Box<str>, Box<str>), ServedType>,
    /// Groups of which some version's server is away: what they serve is unknown.
    pub stale_groups: BTreeSet<Box<str>>,
    documents: [Option<Document>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Document {
    etag: Option<String>,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct GroupList {
    kind: String,
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Group {
    #[serde(default)]
    metadata: GroupMetadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
struct GroupMetadata {
    #[serde(default)]
    name: Box<str>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Version {
    #[serde(rename = "version")]
    name: Box<str>,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    freshness: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Resource {
    #[serde(rename = "resource")]
    name: Box<str>,
    #[serde(default)]
    response_kind: Option<ResponseKind>,
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct ResponseKind {
    kind: Box<str>,
}

impl Discovered {
    /// Whether the group's types can be told from this answer.
    pub fn is_fresh(&self, group: &str) -> bool {
        !self.stale_groups.contains(group)
    }

    /// Whether the type is served, in whatever version.
    pub fn serves(&self, api_type: &ApiType) -> bool {
        self.types
            .contains_key(&(api_type.group.clone(), api_type.resource.clone()))
    }
}

impl Discovered {
    /// Every version of the type that is served, the group's preferred one first.
    pub fn versions(&self, group: &str, resource: &str) -> Vec<Box<str>> {
        self.documents
            .iter()
            .flatten()
            .flat_map(|document| &document.groups)
            .filter(|known| &*known.metadata.name == group)
            .flat_map(|known| &known.versions)
            .filter(|version| version.resources.iter().any(|r| &*r.name == resource))
            .map(|version| version.name.clone())
            .collect()
    }
}

impl Cluster {
    /// Asks what is served; `previous` saves the server the work where nothing changed.
    pub async fn discover(
        &self,
        previous: Option<&Discovered>,
    ) -> Result<Discovered, DiscoveryError> {
        let mut documents = [None, None];
        for (at, path) in ["/api", "/apis"].into_iter().enumerate() {
            let known = previous.and_then(|discovered| discovered.documents[at].as_ref());
            documents[at] = Some(self.discovery_document(path, known).await?);
        }
        Ok(read(documents))
    }

    async fn discovery_document(
        &self,
        path: &'static str,
        known: Option<&Document>,
    ) -> Result<Document, DiscoveryError> {
        let mut headers = vec![(ACCEPT, ACCEPTED)];
        if let Some(etag) = known.and_then(|document| document.etag.as_deref()) {
            headers.push((IF_NONE_MATCH, etag));
        }
        let response = match self
            .get(path, &headers)
            .await
            .map_err(DiscoveryError::Request)?
        {
            Answer::Success(response) => response,
            Answer::NotModified => {
                return known.cloned().ok_or(DiscoveryError::NotAggregated { path });
            }
        };
        let etag = response
            .headers()
            .get(ETAG)
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned);
        let body = collect(path, response)
            .await
            .map_err(DiscoveryError::Request)?;
        let list: GroupList = serde_json::from_slice(&body).map_err(|error| {
            DiscoveryError::Request(ApiError {
                method: "GET",
                path: path.to_owned(),
                failure: Failure::Garbled,
                reason: format!("not a discovery document (line {})", error.line()),
            })
        })?;
        if list.kind != "APIGroupDiscoveryList" {
            return Err(DiscoveryError::NotAggregated { path });
        }
        Ok(Document {
            etag,
            groups: list.items,
        })
    }
}

/// Chooses, per resource, the group's first version that serves it.
///
/// Groups list their versions by preference; one group may serve `v1` of one resource and only
/// `v1alpha1` of another, as kubectl resolves it:
/// <https://kubernetes.io/docs/reference/using-api/#api-groups>.
fn read(documents: [Option<Document>; 2]) -> Discovered {
    let mut types = BTreeMap::new();
    let mut stale_groups = BTreeSet::new();
    for group in documents
        .iter()
        .flatten()
        .flat_map(|document| &document.groups)
    {
        for version in &group.versions {
            if version.freshness == "Stale" {
                stale_groups.insert(group.metadata.name.clone());
            }
            for resource in &version.resources {
                let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
                let Some(kind) = &resource.response_kind else {
                    continue;
                };
                if !can("list") {
                    continue;
                }
                let served = ServedType {
                    api_type: Arc::new(ApiType {
                        group: group.metadata.name.clone(),
                        version: version.name.clone(),
                        resource: resource.name.clone(),
                        kind: kind.kind.clone(),
                        namespaced: resource.scope == "Namespaced",
                    }),
                    watch: can("watch"),
                };
                types
                    .entry((group.metadata.name.clone(), resource.name.clone()))
                    .or_insert(served);
            }
        }
    }
    Discovered {
        types,
        stale_groups,
        documents,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovered(apis: &str) -> Discovered {
        let list: GroupList = serde_json::from_str(apis).unwrap();
        read([
            None,
            Some(Document {
                etag: None,
                groups: list.items,
            }),
        ])
    }

    #[test]
    fn each_resource_is_read_at_the_first_version_that_serves_it() {
        let found = discovered(
            r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"g.io"},"versions":[
              {"version":"v1","freshness":"Current","resources":[
                {"resource":"a","responseKind":{"group":"","kind":"A","version":""},"scope":"Namespaced","verbs":["list","watch"]}]},
              {"version":"v1alpha1","freshness":"Current","resources":[
                {"resource":"a","responseKind":{"kind":"A"},"scope":"Namespaced","verbs":["list","watch"]},
                {"resource":"b","responseKind":{"kind":"B"},"scope":"Cluster","verbs":["list"]},
                {"resource":"c","responseKind":{"kind":"C"},"scope":"Cluster","verbs":["create"]}]}]}]}"#,
        );
        let versions: Vec<_> = found
            .types
            .values()
            .map(|t| (&*t.api_type.resource, &*t.api_type.version, t.watch))
            .collect();
        assert_eq!(versions, [("a", "v1", true), ("b", "v1alpha1", false)]);
    }

    #[test]
    fn a_stale_version_makes_its_group_unknown() {
        let found = discovered(
            r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"away.io"},
              "versions":[{"version":"v1","freshness":"Stale","resources":[]}]}]}"#,
        );
        assert!(!found.is_fresh("away.io") && found.is_fresh("other.io"));
    }
}
