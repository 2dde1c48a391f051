//! The files of a revision.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::RestoreError;
use super::plan::{Facts, Files, Recorded, Selection, TypeNames};
use crate::canonical;
use crate::filter::is_autoscaler;
use crate::mirror::{BlobId, Snapshot};
use crate::object::{ApiType, MirrorPath, ObjectKey};
use crate::sops::{self, Identities};

/// A file that cannot be restored. Holds none of its values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} of the mirror cannot be restored: {reason}")]
pub struct Unreadable {
    /// Its path below the prefix.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a selection of a revision is.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What a plan is made of.
    pub files: Files,
    /// Files that cannot be restored.
    pub unreadable: Vec<Unreadable>,
}

/// A revision of the mirror, and the keys to what is sealed in it.
pub struct Source {
    /// Reads block, but for microseconds: a blob of a pack that is mapped into memory.
    snapshot: Mutex<Snapshot>,
    identities: Option<Identities>,
}

/// One type of the mirror: what it can be called, and its files.
struct Directory {
    names: TypeNames,
    files: Vec<File>,
}

struct File {
    path: String,
    blob_id: BlobId,
    namespace: Option<String>,
    name: Option<String>,
}

impl Source {
    /// `identities` open files that are sealed.
    pub fn new(snapshot: Snapshot, identities: Option<Identities>) -> Self {
        Self {
            snapshot: Mutex::new(snapshot),
            identities,
        }
    }

    /// Reads what is meant, and what that may need.
    pub fn load(&self, selection: &Selection) -> Result<Loaded, RestoreError> {
        let directories = self.directories(selection)?;
        let mut loaded = Loaded {
            files: Files {
                named: !selection.names.is_empty(),
                ..Files::default()
            },
            ..Loaded::default()
        };
        let mut called = Vec::new();
        for directory in &directories {
            let names = &directory.names;
            let is_context = is_autoscaler(&names.group, &names.resource)
                || matches!(
                    (&*names.group, &*names.resource),
                    ("", "namespaces") | ("apiextensions.k8s.io", "customresourcedefinitions")
                );
            for file in &directory.files {
                // A name too long for a path is known when the file is read.
                let may_be_meant = file
                    .name
                    .as_ref()
                    .is_none_or(|name| selection.may_hold(names, file.namespace.as_deref(), name));
                if !may_be_meant && !is_context {
                    continue;
                }
                let (recorded, object) = match self.recorded(file, names) {
                    Ok(read) => read,
                    Err(unreadable) => {
                        loaded.unreadable.push(unreadable);
                        continue;
                    }
                };
                let key = &recorded.key;
                let meant = selection.may_hold(names, key.namespace.as_deref(), &key.name)
                    && selection.fits(&object);
                if meant {
                    called.push((names, recorded.key.clone()));
                    loaded.files.selected.push(recorded);
                } else if is_context {
                    loaded.files.context.push(recorded);
                }
            }
        }
        selection.check(&called)?;
        Ok(loaded)
    }

    /// The object of a file.
    pub fn object(&self, recorded: &Recorded) -> Result<Value, Unreadable> {
        let path = recorded.key.path();
        let bytes = self.bytes(recorded.blob_id, &path)?;
        self.read(&bytes, &path)
    }

    fn snapshot(&self) -> std::sync::MutexGuard<'_, Snapshot> {
        // A reader holds nothing that a panic could leave half done.
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self, blob_id: BlobId, path: &str) -> Result<Vec<u8>, Unreadable> {
        let bytes = self.snapshot().read_blob(blob_id, path);
        bytes.map_err(|error| Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    fn read(&self, bytes: &[u8], path: &str) -> Result<Value, Unreadable> {
        let unreadable = |reason: String| Unreadable {
            path: path.to_owned(),
            reason,
        };
        if let Some(identities) = &self.identities
            && sops::is_sealed(bytes)
            && let Ok(object) = sops::open(bytes, identities)
        {
            return Ok(object);
        }
        canonical::read(bytes).map_err(|error| unreadable(error.to_string()))
    }

    /// The types of the revision with their files, and what each type is called.
    fn directories(&self, selection: &Selection) -> Result<Vec<Directory>, RestoreError> {
        let index = self.snapshot().index()?;
        let mut directories: BTreeMap<String, Directory> = BTreeMap::new();
        for entry in index.iter() {
            let path = entry.path();
            let Some(parsed) = MirrorPath::parse(&path) else {
                continue;
            };
            let Some((resource, group)) = parsed.resource_and_group() else {
                continue;
            };
            let file = File {
                blob_id: entry.blob_id,
                namespace: parsed.namespace_name(),
                name: parsed.name(),
                path: path.clone(),
            };
            directories
                .entry(entry.directory.to_owned())
                .or_insert_with(|| Directory {
                    names: TypeNames {
                        group,
                        resource,
                        ..TypeNames::default()
                    },
                    files: Vec::new(),
                })
                .files
                .push(file);
        }
        if !selection.names.is_empty() {
            self.name_types(&mut directories);
        }
        Ok(directories.into_values().collect())
    }

    /// Finds out kinds and short names, of a file of each type and of the CRDs.
    fn name_types(&self, directories: &mut BTreeMap<String, Directory>) {
        let mut names: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        let definitions = directories.get("customresourcedefinitions.apiextensions.k8s.io");
        for file in definitions
            .into_iter()
            .flat_map(|definitions| &definitions.files)
        {
            let object = self.bytes(file.blob_id, &file.path);
            let Some(object) = object.ok().and_then(|bytes| canonical::read(&bytes).ok()) else {
                continue;
            };
            let text = |place: &str| Some(object.pointer(place)?.as_str()?.to_owned());
            let aliases = object
                .pointer("/spec/names/shortNames")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .chain(text("/spec/names/singular"));
            if let (Some(group), Some(plural)) = (text("/spec/group"), text("/spec/names/plural")) {
                names.insert((group, plural), aliases.collect());
            }
        }
        for directory in directories.values_mut() {
            let of = (
                directory.names.group.clone(),
                directory.names.resource.clone(),
            );
            directory.names.aliases = names.remove(&of).unwrap_or_default();
            let first = directory.files.first();
            let bytes = first.and_then(|file| self.bytes(file.blob_id, &file.path).ok());
            let kind = bytes
                .and_then(|bytes| canonical::read(&bytes).ok())
                .and_then(|object| Some(object.get("kind")?.as_str()?.to_owned()));
            directory.names.kind = kind.unwrap_or_default();
        }
    }

    fn recorded(&self, file: &File, names: &TypeNames) -> Result<(Recorded, Value), Unreadable> {
        let unreadable = |reason: &str| Unreadable {
            path: file.path.clone(),
            reason: reason.to_owned(),
        };
        let bytes = self.bytes(file.blob_id, &file.path)?;
        let object = self.read(&bytes, &file.path)?;
        let key = key_of(
            &object,
            names,
            file.namespace.is_some() || file.path.starts_with("namespaces/"),
        )
        .ok_or_else(|| unreadable("it holds no object with apiVersion, kind and name"))?;
        if key.path() != file.path {
            return Err(unreadable("it holds another object than its path says"));
        }
        let mut facts = Facts::of(&key, &object);
        // What could be opened has no metadata of sops any more.
        if object.get("sops").is_some() && sops::is_sealed(&bytes) {
            let reason = match &self.identities {
                None => "sealed by SOPS: give --identity FILE".to_owned(),
                Some(identities) => match sops::open(&bytes, identities) {
                    Ok(_) => "it is sealed twice".to_owned(),
                    Err(error) => error.to_string(),
                },
            };
            facts.needs_value = Some(reason);
        }
        let recorded = Recorded {
            key,
            blob_id: file.blob_id,
            facts,
        };
        Ok((recorded, object))
    }
}

fn key_of(object: &Value, names: &TypeNames, namespaced: bool) -> Option<ObjectKey> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let version = api_version
        .split_once('/')
        .map_or(api_version, |(_, version)| version);
    let metadata = |field: &str| object.get("metadata")?.get(field)?.as_str();
    Some(ObjectKey {
        api_type: Arc::new(ApiType {
            group: (*names.group).into(),
            version: version.into(),
            resource: (*names.resource).into(),
            kind: object.get("kind")?.as_str()?.into(),
            namespaced,
        }),
        namespace: if namespaced {
            Some(metadata("namespace")?.into())
        } else {
            None
        },
        name: metadata("name")?.into(),
    })
}
