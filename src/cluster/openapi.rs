//! The server's schemas: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3>.

use std::collections::BTreeMap;

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
