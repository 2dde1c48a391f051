//! The case files: objects as they are in life.
//!
//! `cases/PRESET.yaml` is a stream of documents. The first may say what the others need:
//!
//! ```yaml
//! crds: [argo-cd]    # folders of STRANDLINE_CRDS_DIR whose CRDs are applied first
//! setup: [{…}]       # objects to apply first: stand-in CRDs
//! ```
//!
//! Each other document is a case:
//!
//! ```yaml
//! description: one line
//! manager: argocd-application-controller   # the field manager that writes it in life
//! operation: Update   # as create, the default; or Apply, server-side
//! object: {apiVersion: …}
//! status: {…}         # written through the status subresource under the same manager
//! afterwards:         # merge patches by others, in this order
//!   - manager: rollouts-controller
//!     patch: {spec: {…}}
//! expect: {droppedBy: RULE}
//! # expect: {keptBy: RULE}             dropped without that rule
//! # expect: {removed: {PATH: RULE}}    paths as in the rules; nothing else may differ
//! # expect: {redacted: {PATH: RULE}}   the value is a digest
//! # expect: {}                         recorded as it is
//! ```
//!
//! Namespaces are made, and the uids of owners filled in: there is no controller manager, so
//! nobody collects an object whose owner does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use strandline::canonical;
use strandline::object::{ApiType, ObjectKey};

use crate::expect::Expect;
use crate::support::acid::manifests;
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, wait_for_success};

/// How long a new type may answer 404 or 429.
const SETTLE: Duration = Duration::from_secs(60);

/// All cases of a preset.
pub(crate) struct CaseFile {
    preparation: Preparation,
    pub(crate) cases: Vec<Case>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preparation {
    #[serde(default)]
    crds: Vec<String>,
    #[serde(default)]
    setup: Vec<Value>,
}

/// One object, who writes it, and what becomes of it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) description: String,
    manager: String,
    #[serde(default)]
    operation: Operation,
    object: Value,
    status: Option<Value>,
    #[serde(default)]
    afterwards: Vec<Afterwards>,
    pub(crate) expect: Expect,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum Operation {
    Apply,
    #[default]
    Update,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Afterwards {
    manager: String,
    patch: Value,
}

/// A case's object as the API server returns it, managed fields included.
pub(crate) struct Object {
    pub(crate) case: Case,
    pub(crate) live: Value,
    pub(crate) key: ObjectKey,
}

impl CaseFile {
    /// The presets that have a file of cases.
    pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
        let files = manifests(folder)?;
        let names = files.iter().filter_map(|path| path.file_stem());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    /// Reads the cases of a preset.
    pub(crate) fn read(folder: &Path, preset: &str) -> Result<Self> {
        let path = folder.join(format!("{preset}.yaml"));
        let what = format!("cases/{preset}.yaml");
        let text = std::fs::read(&path).context(&what)?;
        let documents = canonical::read_all(&text).context(&what)?;
        let mut file = Self {
            preparation: Preparation::default(),
            cases: Vec::new(),
        };
        for (at, document) in documents.into_iter().enumerate() {
            let place = format!("{what}, line {}", document.line);
            let value = document.value;
            if at == 0 && value.get("expect").is_none() {
                file.preparation = serde_json::from_value(value).context(place)?;
            } else {
                file.cases
                    .push(serde_json::from_value(value).context(place)?);
            }
        }
        Ok(file)
    }

    /// Applies CRDs, waits until they are Established, and makes what else the cases lie in.
    pub(crate) fn prepare(&self, plane: &ControlPlane, crds: &Path) -> Result<()> {
        let mut definitions = Vec::new();
        for folder in &self.preparation.crds {
            for path in manifests(&crds.join(folder))? {
                let text = std::fs::read(&path).context(path.display())?;
                let documents = canonical::read_all(&text).context(path.display())?;
                let values = documents.into_iter().map(|document| document.value);
                definitions.extend(values.filter(|v| v["kind"] == "CustomResourceDefinition"));
            }
        }
        if definitions.is_empty() && !self.preparation.crds.is_empty() {
            return Err(Failure::new(format!(
                "no CRD in {:?}",
                self.preparation.crds
            )));
        }
        for definition in &mut definitions {
            // No conversion webhook runs; the API server itself would ask it for ever.
            definition["spec"]["conversion"] = json!({ "strategy": "None" });
        }
        definitions.extend(self.preparation.setup.iter().cloned());
        let namespaces: BTreeSet<&str> = self
            .cases
            .iter()
            .filter_map(|case| case.object["metadata"]["namespace"].as_str())
            .collect();
        definitions.extend(namespaces.into_iter().map(
            |name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
        ));
        plane.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": definitions }))?;
        let wait = ["wait", "crd", "--all", "--for=condition=Established"];
        if definitions
            .iter()
            .any(|object| object["kind"] == "CustomResourceDefinition")
        {
            plane.kubectl(wait)?.success()?;
        }
        Ok(())
    }

    /// Writes every object under its managers and reads it back.
    pub(crate) fn write(&self, plane: &ControlPlane) -> Result<Vec<Object>> {
        let mut types = Types::default();
        self.cases
            .iter()
            .map(|case| {
                let (live, api_type) = case.write(plane, &mut types).context(&case.description)?;
                let text = |field: &str| live["metadata"][field].as_str();
                let key = ObjectKey {
                    api_type,
                    namespace: text("namespace").map(Into::into),
                    name: text("name").unwrap_or_default().into(),
                };
                Ok(Object {
                    case: case.clone(),
                    live,
                    key,
                })
            })
            .collect()
    }
}

impl Case {
    fn write(&self, plane: &ControlPlane, types: &mut Types) -> Result<(Value, Arc<ApiType>)> {
        let mut object = self.object.clone();
        for owner in object["metadata"]["ownerReferences"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            if owner.get("uid").is_none() {
                owner["uid"] = "00000000-0000-4000-8000-000000000000".into();
            }
        }
        let kubectl = |args: &[&str]| -> Result<Program> {
            let kubectl = plane.kubectl_as(ADMIN)?.args(args);
            Ok(kubectl.args(["-f", "-"]).stdin(object.to_string()))
        };
        let by = |manager: &str| format!("--field-manager={manager}");
        let create = match self.operation {
            Operation::Update => kubectl(&["create", &by(&self.manager)])?,
            Operation::Apply => kubectl(&[
                "apply",
                "--server-side",
                "--force-conflicts",
                &by(&self.manager),
            ])?,
        };
        wait_for_success("its creation", SETTLE, || {
            let done = create.run()?;
            // What is invalid stays so; a type that has only just come does not.
            if done.stderr.contains("is invalid") || done.stderr.contains("strict decoding") {
                return Ok(Err(Failure::new(done.stderr)));
            }
            done.success().map(Ok)
        })??;
        if let Some(status) = &self.status {
            let patch = format!("--patch={}", json!({ "status": status }));
            let by = by(&self.manager);
            kubectl(&["patch", "--type=merge", "--subresource=status", &patch, &by])?
                .run()?
                .success()?;
        }
        for afterwards in &self.afterwards {
            let patch = format!("--patch={}", afterwards.patch);
            kubectl(&["patch", "--type=merge", &patch, &by(&afterwards.manager)])?
                .run()?
                .success()?;
        }
        let get = kubectl(&["get", "--show-managed-fields", "-o", "json"])?;
        let live = get.run()?.success()?;
        let mut live: Value = serde_json::from_str(&live).context("kubectl's JSON")?;
        // One object read from a stream comes as a List of one.
        if live["kind"] == "List" {
            live = live["items"][0].take();
        }
        let api_type = types.of(plane, &live)?;
        Ok((live, api_type))
    }
}

/// What the API server says of its types, asked once per version.
#[derive(Default)]
struct Types(BTreeMap<String, Value>);

impl Types {
    fn of(&mut self, plane: &ControlPlane, object: &Value) -> Result<Arc<ApiType>> {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        if !self.0.contains_key(&api_version) {
            let root = if api_version.contains('/') {
                "apis"
            } else {
                "api"
            };
            let list = plane.raw(&format!("/{root}/{api_version}"))?;
            self.0.insert(api_version.clone(), list);
        }
        let resources = self.0[&api_version]["resources"].as_array();
        let resource = resources.into_iter().flatten().find(|resource| {
            let name = resource["name"].as_str().unwrap_or_default();
            resource["kind"] == kind.as_str() && !name.contains('/')
        });
        let resource =
            resource.ok_or_else(|| Failure::new(format!("{api_version} has no {kind}")))?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        Ok(Arc::new(ApiType {
            group: group.into(),
            version: version.into(),
            resource: resource["name"].as_str().unwrap_or_default().into(),
            kind: kind.into(),
            namespaced: resource["namespaced"] == true,
        }))
    }
}
