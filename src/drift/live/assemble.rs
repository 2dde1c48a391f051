//! Recorded files, their sidecar files and the cluster's facts into one live side.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::super::desired::Identity;
use super::super::report::LiveInfo;
use super::super::schema::from_crd;
use super::facts::{DEFINITION, is_definition, minor_of};
use super::{Coverage, Facts, KindFact, Live, LiveObject, LiveValue, ServedKind};
use crate::canonical;
use crate::filter::{Rules, RulesError, TypePlan};
use crate::object::ApiType;
use crate::owners::{Shape, Times};

/// One file of the mirror, and what the sidecar has of its object.
#[derive(Clone, Debug)]
pub struct RecordedFile {
    /// Its path below the prefix.
    pub path: Box<str>,
    /// Its canonical YAML.
    pub bytes: Vec<u8>,
    /// The ownership shape; `None` where the sidecar has none.
    pub owners: Option<Arc<[u8]>>,
    /// When its writers wrote.
    pub times: Option<Arc<[u8]>>,
}

/// A live side that cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The rules that the recorder named.
    #[error("the rules that the mirror was recorded by cannot be read")]
    Rules(#[from] RulesError),
}

/// Puts the live side together. What cannot be read of single files becomes a blind spot.
pub fn assemble(
    files: Vec<RecordedFile>,
    facts: &Facts,
    info: LiveInfo,
    as_of: Option<String>,
) -> Result<Live, AssembleError> {
    let mut reader = FileReader::default();
    let read = files.into_iter().map(|file| reader.read(file));
    assemble_read(read, facts, info, as_of)
}

/// Puts the live side together from files that are read already.
pub fn assemble_read(
    files: impl IntoIterator<Item = ReadFile>,
    facts: &Facts,
    info: LiveInfo,
    as_of: Option<String>,
) -> Result<Live, AssembleError> {
    let rules = Rules::assemble(&facts.selection)?;
    let mut warnings = Vec::new();
    if rules.fingerprint() != facts.rules_fingerprint {
        warnings.push(
            "the live side was recorded by rules of another version of this program: what they \
             leave out may differ"
                .to_owned(),
        );
    }
    let mut blind_spots: Vec<String> = Vec::new();
    let mut objects = BTreeMap::new();
    let mut schemas = facts.schemas.clone();
    for ReadFile { path, object } in files {
        match object {
            Ok((identity, object)) => {
                if &*identity.kind == DEFINITION {
                    schemas.extend(from_crd(&object.value));
                }
                objects.insert(identity, object);
            }
            Err(reason) => blind_spots.push(format!("{path}: {reason}")),
        }
    }
    let kinds = kinds(facts, &rules, &objects);
    for (group, why) in facts
        .coverage
        .unknown
        .iter()
        .filter(|(name, _)| name.starts_with('*'))
    {
        blind_spots.push(format!("{group}: {why}"));
    }
    Ok(Live {
        minor: minor_of(&facts.cluster.server_version),
        info: LiveInfo {
            server_version: Some(facts.cluster.server_version.clone()),
            ..info
        },
        as_of,
        objects,
        other_versions: BTreeMap::new(),
        kinds,
        schemas,
        rules: Arc::new(rules),
        namespaces: facts.coverage.namespaces.clone(),
        damped: facts
            .coverage
            .damped
            .iter()
            .map(|path| path.as_str().into())
            .collect(),
        blind_spots,
        warnings,
        key_fingerprint: Some(facts.coverage.digest_key.clone()).filter(|key| !key.is_empty()),
    })
}

/// A file that was read.
pub struct ReadFile {
    path: Box<str>,
    object: Result<(Identity, LiveObject), &'static str>,
}

/// Reads files. Most objects share their shape with others: each is read once, and held once.
#[derive(Default)]
pub struct FileReader {
    shapes: HashMap<Arc<[u8]>, Arc<Shape>>,
    no_times: Arc<Times>,
}

impl FileReader {
    /// Reads one file.
    pub fn read(&mut self, file: RecordedFile) -> ReadFile {
        ReadFile {
            path: file.path.clone(),
            object: self.object(file),
        }
    }

    fn shape(&mut self, owners: &Arc<[u8]>) -> Option<Arc<Shape>> {
        if let Some(shape) = self.shapes.get(owners) {
            return Some(shape.clone());
        }
        let shape = Arc::new(Shape::decode(owners)?);
        self.shapes.insert(owners.clone(), shape.clone());
        Some(shape)
    }

    fn object(&mut self, file: RecordedFile) -> Result<(Identity, LiveObject), &'static str> {
        let value = canonical::read(&file.bytes).map_err(|_| "it is no canonical YAML")?;
        let identity = identity_of(&value).ok_or("it holds no object")?;
        let owners = file.owners.ok_or("the sidecar has no owners of it")?;
        let shape = self
            .shape(&owners)
            .ok_or("its owners in the sidecar cannot be read")?;
        let times = match file.times.as_deref() {
            None => self.no_times.clone(),
            Some(bytes) => {
                Arc::new(Times::decode(bytes).ok_or("its times in the sidecar cannot be read")?)
            }
        };
        let version = value["apiVersion"].as_str().unwrap_or_default();
        let version = version.rsplit('/').next().unwrap_or_default().into();
        // Definitions are looked at again and again.
        let value = if is_definition(&value) {
            Arc::new(value).into()
        } else {
            LiveValue::of_file(&file.bytes)
        };
        let object = LiveObject {
            version,
            value,
            shape,
            times,
            path: file.path,
        };
        Ok((identity, object))
    }
}

/// Reads one file by itself; its error says why it cannot be read.
pub fn object_of(file: RecordedFile) -> Result<(Identity, LiveObject), &'static str> {
    FileReader::default().object(file)
}

fn identity_of(object: &Value) -> Option<Identity> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
    let metadata = object.get("metadata")?;
    Some(Identity {
        group: group.into(),
        kind: object.get("kind")?.as_str()?.into(),
        namespace: metadata
            .get("namespace")
            .and_then(Value::as_str)
            .map(Into::into),
        name: metadata.get("name")?.as_str()?.into(),
    })
}

fn kinds(
    facts: &Facts,
    rules: &Rules,
    objects: &BTreeMap<Identity, LiveObject>,
) -> BTreeMap<(Box<str>, Box<str>), ServedKind> {
    // Discovery may be behind the CRDs, and a CRD behind discovery: the server's word goes last.
    let definitions = objects
        .iter()
        .filter(|(identity, _)| &*identity.kind == DEFINITION);
    let defined = definitions.filter_map(|(_, object)| defined(&object.value));
    let mut kinds = BTreeMap::new();
    for fact in defined.chain(facts.cluster.kinds.iter().cloned()) {
        let Some(version) = fact.versions.first() else {
            continue;
        };
        let api_type = ApiType {
            group: fact.group.clone(),
            version: version.clone(),
            resource: fact.resource.clone(),
            kind: fact.kind.clone(),
            namespaced: fact.namespaced,
        };
        let coverage = if let TypePlan::Dropped { rule } = rules.plan(&api_type) {
            Coverage::Dropped(rule.as_str().into())
        } else if let Some(why) = facts.coverage.unknown.get(&api_type.resource_and_group()) {
            Coverage::Unknown(why.as_str().into())
        } else if facts.cluster.unknown_groups.contains(&fact.group) {
            Coverage::Unknown("its API server is away".into())
        } else {
            Coverage::Complete
        };
        let name = (fact.group.clone(), fact.kind.clone());
        let kind = ServedKind {
            group: fact.group,
            kind: fact.kind,
            resource: fact.resource,
            versions: fact.versions,
            namespaced: fact.namespaced,
            coverage,
        };
        kinds.insert(name, kind);
    }
    kinds
}

/// The kind that a `CustomResourceDefinition` defines.
fn defined(object: &Value) -> Option<KindFact> {
    if !is_definition(object) {
        return None;
    }
    let spec = object.get("spec")?;
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str);
    let versions = spec.get("versions")?.as_array()?;
    let served = versions
        .iter()
        .filter(|version| version.get("served") == Some(&Value::Bool(true)))
        .filter_map(|version| version.get("name")?.as_str());
    Some(KindFact {
        group: text("/group")?.into(),
        kind: text("/names/kind")?.into(),
        resource: text("/names/plural")?.into(),
        versions: served.map(Into::into).collect(),
        namespaced: text("/scope")? == "Namespaced",
    })
}
