//! Requests that keep their connection: a mutation and its reset take milliseconds, not the start
//! of kubectl.

use std::collections::BTreeMap;

use ::http::Method;
use serde_json::Value;

use crate::oracle::Identity;
use crate::support::http;
pub(crate) use crate::support::http::JSON;
use crate::support::plane::ControlPlane;
use crate::support::{Failure, Result};

/// How a body changes an object: <https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>.
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// A connection to the API server, as the administrator.
pub(crate) struct Api {
    http: http::Api,
    resources: BTreeMap<(String, String, String), Resource>,
}

/// Where the objects of a kind are.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// Plural name.
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    pub(crate) subresources: Vec<String>,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The object, or a failure with what the server said.
    pub(crate) fn success(self, what: &str) -> Result<Value> {
        if self.is_success() {
            return Ok(self.body);
        }
        let message = self.body["message"].as_str().unwrap_or_default();
        let text = format!("{what}: {} {message}", self.code);
        Err(Failure::new(text))
    }
}

impl Api {
    pub(crate) fn connect(plane: &ControlPlane) -> Result<Self> {
        let mut api = Self {
            http: http::Api::connect(plane)?,
            resources: BTreeMap::new(),
        };
        api.discover()?;
        Ok(api)
    }

    /// Asks again what is served.
    pub(crate) fn discover(&mut self) -> Result<()> {
        self.resources.clear();
        for path in ["/api", "/apis"] {
            let document = self.request(Method::GET, path, http::DISCOVERY, JSON, Vec::new())?;
            for group in list(&document.success(path)?["items"]) {
                let name = text(&group["metadata"]["name"]);
                for version in list(&group["versions"]) {
                    for resource in list(&version["resources"]) {
                        let kind = &resource["responseKind"];
                        let key = (name.clone(), text(&version["version"]), text(&kind["kind"]));
                        let subresources = list(&resource["subresources"]);
                        let resource = Resource {
                            plural: text(&resource["resource"]),
                            namespaced: resource["scope"] == "Namespaced",
                            subresources: subresources
                                .map(|subresource| text(&subresource["subresource"]))
                                .collect(),
                        };
                        self.resources.insert(key, resource);
                    }
                }
            }
        }
        Ok(())
    }

    /// What is served under (group, version, kind).
    pub(crate) fn resource(&self, id: &Identity) -> Result<&Resource> {
        let key = (id.group.clone(), id.version.clone(), id.kind.clone());
        let found = self.resources.get(&key);
        found.ok_or_else(|| Failure::new(format!("{key:?} is not served")))
    }

    /// Every group and version that is served.
    pub(crate) fn versions(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self.resources.keys().collect();
        all.dedup_by_key(|(group, version, _)| (group.clone(), version.clone()));
        all.into_iter()
            .map(|(group, version, _)| (group.clone(), version.clone()))
            .collect()
    }

    /// Every kind that is served in several versions: group, kind, versions.
    pub(crate) fn kinds_of_several_versions(&self) -> Vec<(String, String, Vec<String>)> {
        let mut kinds: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for (group, version, kind) in self.resources.keys() {
            let versions = kinds.entry((group.clone(), kind.clone())).or_default();
            versions.push(version.clone());
        }
        let several = kinds.into_iter().filter(|(_, versions)| versions.len() > 1);
        several
            .map(|((group, kind), versions)| (group, kind, versions))
            .collect()
    }

    /// Where an object is.
    pub(crate) fn path(&self, id: &Identity) -> Result<String> {
        let resource = self.resource(id)?;
        Ok(format!("{}/{}", collection(id, resource), id.name))
    }

    /// Gets an object; `None` where there is none.
    pub(crate) fn get(&self, id: &Identity) -> Result<Option<Value>> {
        let path = self.path(id)?;
        let answer = self.request(Method::GET, &path, JSON, JSON, Vec::new())?;
        match answer.code {
            404 => Ok(None),
            _ => answer.success(&path).map(Some),
        }
    }

    /// Gets any path; a status other than 200 is a failure.
    pub(crate) fn raw(&self, path: &str) -> Result<Value> {
        let answer = self.request(Method::GET, path, JSON, JSON, Vec::new())?;
        answer.success(path)
    }

    /// Changes an object (`PATCH`; `PUT` for [`JSON`]) under the name of a field manager.
    pub(crate) fn change(
        &self,
        id: &Identity,
        subresource: &str,
        manager: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Answer> {
        let mut path = self.path(id)?;
        if !subresource.is_empty() {
            path = format!("{path}/{subresource}");
        }
        path = format!("{path}?fieldManager={manager}");
        if content_type == APPLY {
            path.push_str("&force=true");
        }
        let method = if content_type == JSON {
            Method::PUT
        } else {
            Method::PATCH
        };
        let body = body.to_string().into_bytes();
        self.request(method, &path, JSON, content_type, body)
    }

    /// Creates an object.
    pub(crate) fn create(&self, id: &Identity, manager: &str, object: &Value) -> Result<Answer> {
        let path = collection(id, self.resource(id)?);
        let path = format!("{path}?fieldManager={manager}");
        let body = object.to_string().into_bytes();
        self.request(Method::POST, &path, JSON, JSON, body)
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, id: &Identity) -> Result<Answer> {
        self.request(Method::DELETE, &self.path(id)?, JSON, JSON, Vec::new())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let (code, body) = self.http.send(method, path, accept, content_type, body)?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { code, body })
    }
}

/// The path of the objects beside which this one lies.
fn collection(id: &Identity, resource: &Resource) -> String {
    let head = if id.group.is_empty() {
        format!("/api/{}", id.version)
    } else {
        format!("/apis/{}/{}", id.group, id.version)
    };
    match (&id.namespace, resource.namespaced) {
        (Some(namespace), true) => format!("{head}/namespaces/{namespace}/{}", resource.plural),
        _ => format!("{head}/{}", resource.plural),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
