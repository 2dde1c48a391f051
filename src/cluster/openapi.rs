//! The server's schemas: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3>.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;

use super::Cluster;
use super::api::{ApiError, Failure};

/// Where the documents are listed.
const INDEX: &str = "/openapi/v3";

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    paths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "serverRelativeURL")]
    server_relative_url: String,
}

impl Cluster {
    /// The documents that the server publishes: `api/v1` and `apis/<group>/<version>`, each with
    /// its address. An address holds the document's hash and changes with it.
    pub async fn openapi_index(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let body = self.get_bytes(INDEX).await?;
        let index: Index = serde_json::from_slice(&body).map_err(|error| ApiError {
            method: "GET",
            path: INDEX.to_owned(),
            failure: Failure::Garbled,
            reason: error.to_string(),
        })?;
        let is_one = |name: &str| name == "api/v1" || name.starts_with("apis/");
        Ok(index
            .paths
            .into_iter()
            // A group's own document (`apis/apps`) has no types.
            .filter(|(name, entry)| {
                is_one(name)
                    && name.matches('/').count() == if name.starts_with("apis/") { 2 } else { 1 }
                    && entry.server_relative_url.starts_with(INDEX)
            })
            .map(|(name, entry)| (name, entry.server_relative_url))
            .collect())
    }

    /// One document, by the address that [`Cluster::openapi_index`] gives.
    pub async fn openapi(&self, address: &str) -> Result<Bytes, ApiError> {
        self.get_bytes(address).await
    }
}

/// Which API services the aggregator made by itself, for which types.
#[derive(Deserialize)]
struct ApiServices {
    #[serde(default)]
    items: Vec<ApiService>,
}

#[derive(Deserialize)]
struct ApiService {
    metadata: ApiServiceMetadata,
    spec: ApiServiceSpec,
}

#[derive(Deserialize)]
struct ApiServiceMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ApiServiceSpec {
    #[serde(default)]
    group: String,
    version: String,
}

impl Cluster {
    /// The groups and versions of which every type is a custom resource, as
    /// [`Cluster::openapi_index`] names them: their schemas are those of their CRDs.
    ///
    /// The aggregator labels `onstart` what the API server itself serves, and `true` what comes
    /// from CRDs:
    /// <https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kube-aggregator/pkg/controllers/autoregister/autoregister_controller.go>.
    pub async fn custom_groups(&self) -> Result<BTreeSet<String>, ApiError> {
        const PATH: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
        let body = self.get_bytes(PATH).await?;
        let services: ApiServices = serde_json::from_slice(&body).map_err(|error| ApiError {
            method: "GET",
            path: PATH.to_owned(),
            failure: Failure::Garbled,
            reason: error.to_string(),
        })?;
        Ok(services
            .items
            .into_iter()
            .filter(|service| {
                let label = "kube-aggregator.kubernetes.io/automanaged";
                service
                    .metadata
                    .labels
                    .get(label)
                    .is_some_and(|made| made == "true")
            })
            .map(|service| format!("apis/{}/{}", service.spec.group, service.spec.version))
            .collect())
    }
}
