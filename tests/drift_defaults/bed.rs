//! What the server serves: schemas, and where objects go.

use std::collections::BTreeMap;

use serde_json::Value;
use strandline::drift::defaults::Tables;
use strandline::drift::schema::{Node, Schemas, from_crd, from_openapi};

use crate::judge::{Judge, without_server_made};
use crate::support::http::Api;
use crate::support::plane::ControlPlane;
use crate::support::{Context as _, Failure, Result};

/// The minor version of the control plane.
const MINOR: u32 = 36;

pub(crate) struct Bed {
    pub(crate) api: Api,
    pub(crate) schemas: Schemas,
    pub(crate) tables: Tables,
    /// `apiVersion kind` to plural and whether it is namespaced.
    resources: BTreeMap<String, (String, bool)>,
    pub(crate) documents: usize,
    pub(crate) read: usize,
}

impl Bed {
    pub(crate) fn new(plane: &ControlPlane) -> Result<Self> {
        let api = Api::connect(plane)?;
        let mut bed = Self {
            api,
            schemas: Schemas::default(),
            tables: Tables::of(MINOR),
            resources: BTreeMap::new(),
            documents: 0,
            read: 0,
        };
        let index = bed.api.get("/openapi/v3")?;
        for path in index["paths"].as_object().into_iter().flatten() {
            let parts = path.0.split('/').count();
            if path.0 != "api/v1" && (parts != 3 || !path.0.starts_with("apis/")) {
                continue;
            }
            let document = bed.api.get(&format!("/openapi/v3/{}", path.0))?.to_string();
            bed.documents += 1;
            bed.read += document.len();
            let schemas = from_openapi(document.as_bytes());
            bed.schemas.extend(schemas.context(path.0)?);
        }
        bed.discover()?;
        Ok(bed)
    }

    /// Reads what is served by now.
    pub(crate) fn discover(&mut self) -> Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for path in ["/api", "/apis"] {
            let document = self.api.discovery(path)?;
            for group in document["items"].as_array().into_iter().flatten() {
                let name = text(&group["metadata"]["name"]);
                for version in group["versions"].as_array().into_iter().flatten() {
                    let version_name = text(&version["version"]);
                    let api_version = if name.is_empty() {
                        version_name
                    } else {
                        format!("{name}/{version_name}")
                    };
                    for resource in version["resources"].as_array().into_iter().flatten() {
                        let kind = text(&resource["responseKind"]["kind"]);
                        let plural = text(&resource["resource"]);
                        let namespaced = resource["scope"] == "Namespaced";
                        self.resources
                            .insert(format!("{api_version} {kind}"), (plural, namespaced));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the schemas of a CRD, in place of what `/openapi/v3` may say by now.
    pub(crate) fn learn(&mut self, crd: &Value) {
        self.schemas.extend(from_crd(crd));
    }

    pub(crate) fn node(&self, object: &Value) -> Option<Node<'_>> {
        let version = object["apiVersion"].as_str()?;
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        self.schemas.kind(group, version, object["kind"].as_str()?)
    }

    /// The collection that an object goes to.
    pub(crate) fn collection(&self, object: &Value) -> Result<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = text(&object["apiVersion"]);
        let key = format!("{version} {}", text(&object["kind"]));
        let (plural, namespaced) = self
            .resources
            .get(&key)
            .ok_or_else(|| Failure::new(format_args!("{key} is not served")))?;
        let root = if version.contains('/') { "apis" } else { "api" };
        Ok(if *namespaced {
            let namespace = object["metadata"]["namespace"]
                .as_str()
                .unwrap_or("default");
            format!("/{root}/{version}/namespaces/{namespace}/{plural}")
        } else {
            format!("/{root}/{version}/{plural}")
        })
    }

    /// How what is live differs from what was expected of `desired`, and how many leaves agree.
    ///
    /// `without` takes out of both what is not looked at.
    pub(crate) fn judge(
        &self,
        desired: &Value,
        live: &Value,
        without: impl Fn(&mut Value),
    ) -> Judge {
        let node = self.node(desired);
        let mut expected = self.tables.defaulted(desired, node);
        let mut live = live.clone();
        for side in [&mut expected, &mut live] {
            without_server_made(side);
            without(side);
        }
        let mut judge = Judge::new(self.tables);
        judge.compare(&expected, &live, node, "");
        judge
    }
}
