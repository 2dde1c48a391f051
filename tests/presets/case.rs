//! The case files: objects as they are in life.
//!
//! `cases/PRESET.yaml` is a stream of documents. The first may say what the others need:
//!
//! ```yaml
//! crds: [argo-cd]    # folders of STRANDLINE_CRDS_DIR whose CRDs are applied first
//! acid: [a.yaml]     # files of STRANDLINE_ACID_DIR whose CRDs are applied too
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
use crate::support::{Context as _, Failure, Result, Unavailable, folder, wait_for_success};

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
    acid: Vec<String>,
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

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
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
    pub(crate) fn prepare(&self, plane: &ControlPlane) -> Result<(), Unavailable> {
        let Preparation { crds, acid, setup } = &self.preparation;
        let mut paths = Vec::new();
        for name in crds {
            paths.extend(manifests(&folder("STRANDLINE_CRDS_DIR")?.join(name))?);
        }
        for name in acid {
            paths.push(folder("STRANDLINE_ACID_DIR")?.join(name));
        }
        let mut definitions = Vec::new();
        for path in &paths {
            let text = std::fs::read(path).context(path.display())?;
            let documents = canonical::read_all(&text).context(path.display())?;
            let values = documents.into_iter().map(|document| document.value);
            definitions.extend(values.filter(|v| v["kind"] == "CustomResourceDefinition"));
        }
        if definitions.is_empty() && !paths.is_empty() {
            return Err(Failure::new(format!("no CRD in {paths:?}")).into());
        }
        for definition in &mut definitions {
            // No conversion webhook runs; the API server itself would ask it for ever.
            definition["spec"]["conversion"] = json!({ "strategy": "None" });
        }
        definitions.extend(setup.iter().cloned());
        let namespaces: BTreeSet<&str> = self
            .cases
            .iter()
            .filter_map(|case| case.object["metadata"]["namespace"].as_str())
            .collect();
        definitions.extend(namespaces.into_iter().map(
            |name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
        ));
        plane.apply(&list(&definitions))?;
        // kubectl gives up on a CRD that has no conditions yet.
        let wait = ["wait", "crd", "--all", "--for=condition=Established"];
        let new_types = definitions
            .iter()
            .any(|object| object["kind"] == "CustomResourceDefinition");
        if new_types {
            wait_for_success("the CRDs", SETTLE, || plane.kubectl(wait)?.success())?;
        }
        Ok(())
    }

    /// Writes every object under its managers and reads all back.
    pub(crate) fn write(&self, plane: &ControlPlane) -> Result<Vec<Object>> {
        let mut writers: BTreeMap<(Operation, &str), Vec<&Case>> = BTreeMap::new();
        for case in &self.cases {
            let writer = (case.operation, &*case.manager);
            writers.entry(writer).or_default().push(case);
        }
        for ((operation, manager), cases) in writers {
            create(plane, operation, manager, &cases)?;
        }
        for case in &self.cases {
            case.change(plane).context(&case.description)?;
        }
        let objects: Vec<Value> = self.cases.iter().map(Case::object).collect();
        let get = plane
            .kubectl_as(ADMIN)?
            .args(["get", "--show-managed-fields", "-o", "json", "-f", "-"])
            .stdin(list(&objects).to_string());
        let lives: Value =
            serde_json::from_str(&get.run()?.success()?).context("kubectl's JSON")?;
        let lives = match lives["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![lives],
        };
        let mut types = Types::default();
        let mut written = Vec::new();
        for (case, live) in self.cases.iter().zip(lives) {
            let text = |field: &str| live["metadata"][field].as_str();
            let key = ObjectKey {
                api_type: types.of(plane, &live).context(&case.description)?,
                namespace: text("namespace").map(Into::into),
                name: text("name").unwrap_or_default().into(),
            };
            let name = &case.object["metadata"]["name"];
            if live["metadata"]["name"] != *name || live["kind"] != case.object["kind"] {
                return Err(Failure::new(format!("read {key} for {name}")));
            }
            let case = case.clone();
            written.push(Object { case, live, key });
        }
        if written.len() == self.cases.len() {
            Ok(written)
        } else {
            Err(Failure::new("kubectl read fewer objects than there are"))
        }
    }
}

fn list(items: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// Creates what one manager creates: by one call, and where that fails one by one.
fn create(
    plane: &ControlPlane,
    operation: Operation,
    manager: &str,
    cases: &[&Case],
) -> Result<()> {
    let kubectl = |objects: &[Value]| -> Result<Program> {
        let kubectl = plane.kubectl_as(ADMIN)?;
        let kubectl = match operation {
            Operation::Update => kubectl.arg("create"),
            Operation::Apply => kubectl.args(["apply", "--server-side", "--force-conflicts"]),
        };
        let by = format!("--field-manager={manager}");
        Ok(kubectl
            .args([&by, "-f", "-"])
            .stdin(list(objects).to_string()))
    };
    let objects: Vec<Value> = cases.iter().map(|case| case.object()).collect();
    if kubectl(&objects)?.run()?.code == Some(0) {
        return Ok(());
    }
    for case in cases {
        let create = kubectl(&[case.object()])?;
        let done = wait_for_success("its creation", SETTLE, || {
            let done = create.run()?;
            let said = &done.stderr;
            if said.contains("(AlreadyExists)") {
                // The first call made it.
                return Ok(Ok(()));
            }
            // What is invalid stays so; a type that has only just come does not.
            if said.contains("is invalid") || said.contains("strict decoding") {
                return Ok(Err(Failure::new(said)));
            }
            done.success().map(|_| Ok(()))
        });
        done.and_then(|done| done).context(&case.description)?;
    }
    Ok(())
}

impl Case {
    /// The object with the uids of its owners.
    fn object(&self) -> Value {
        let mut object = self.object.clone();
        let owners = object["metadata"]["ownerReferences"].as_array_mut();
        for owner in owners.into_iter().flatten() {
            owner["uid"] = "00000000-0000-4000-8000-000000000000".into();
        }
        object
    }

    /// Writes its status, and what others change of it.
    fn change(&self, plane: &ControlPlane) -> Result<()> {
        let patch = |manager: &str, patch: &Value, subresource: &[&str]| -> Result<()> {
            let kubectl = plane.kubectl_as(ADMIN)?;
            let patch = format!("--patch={patch}");
            let by = format!("--field-manager={manager}");
            let kubectl = kubectl.args(["patch", "--type=merge", &patch, &by, "-f", "-"]);
            let kubectl = kubectl.args(subresource).stdin(self.object().to_string());
            kubectl.run()?.success().map(drop)
        };
        if let Some(status) = &self.status {
            let status = json!({ "status": status });
            patch(&self.manager, &status, &["--subresource=status"])?;
        }
        for afterwards in &self.afterwards {
            patch(&afterwards.manager, &afterwards.patch, &[])?;
        }
        Ok(())
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
