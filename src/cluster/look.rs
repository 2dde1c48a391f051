//! Looking once, for a person: one object, or how many there are.

use http::header::ACCEPT;
use serde::Deserialize;

use super::api::{Answer, ApiError, Failure, collect};
use super::client::Cluster;
use super::reflector::{Scope, path};
use crate::object::{ApiType, RawObject};

/// Metadata only: what is counted may be large.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches>
const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default)]
    items: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    go_on: Option<String>,
    #[serde(default)]
    remaining_item_count: Option<u64>,
}

impl Cluster {
    /// Reads one object; `None` where there is none of this name. `scope` is its namespace.
    pub async fn object(
        &self,
        api_type: &ApiType,
        scope: &Scope,
        name: &str,
    ) -> Result<Option<RawObject>, ApiError> {
        let url = format!("{}/{}", path(api_type, scope), escaped(name));
        let body = match self.get_bytes(&url).await {
            Ok(body) => body,
            Err(error) if error.failure == Failure::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let parsed = RawObject::parse(&body, api_type);
        parsed.map(Some).map_err(|error| garbled(url, &error))
    }

    /// Counts the objects of a type: one request, whatever their number, where the server says how
    /// many remain (`metadata.remainingItemCount`); else a page of 500 at a time.
    ///
    /// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/list-meta/>
    pub async fn count(&self, api_type: &ApiType, scope: &Scope) -> Result<u64, ApiError> {
        let base = path(api_type, scope);
        let mut count = 0;
        let mut query = "limit=1".to_owned();
        loop {
            let url = format!("{base}?{query}");
            let body = match self.get(&url, &[(ACCEPT, METADATA_ONLY)]).await? {
                Answer::Success(response) => collect(&url, response).await?,
                Answer::NotModified => return Ok(count),
            };
            let list: Counted =
                serde_json::from_slice(&body).map_err(|error| garbled(base.clone(), &error))?;
            count += list.items.map_or(0, |items| items.len() as u64);
            let Some(go_on) = list.metadata.go_on.filter(|token| !token.is_empty()) else {
                return Ok(count);
            };
            if let Some(remaining) = list.metadata.remaining_item_count {
                return Ok(count + remaining);
            }
            query = form_urlencoded::Serializer::new("limit=500&".to_owned())
                .append_pair("continue", &go_on)
                .finish();
        }
    }
}

fn garbled(path: String, error: &dyn std::fmt::Display) -> ApiError {
    ApiError {
        method: "GET",
        path,
        failure: Failure::Garbled,
        reason: error.to_string(),
    }
}

/// A name as a part of a path. Names hold few characters; of roles they may hold any but `/`.
fn escaped(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}
