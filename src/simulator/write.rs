//! Mutations: what the server does when an object is written or deleted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::discovery::TypeDocument;
use super::ownership::{self, Difference, SERVER_METADATA};
use super::store::{Entry, Store, Stored, place};
use super::{Interruption, WriteError, Writer};
use crate::object::{ApiType, ObjectKey};

const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

/// Fields that the server fills where nobody asked for a value, and keeps from then on. They appear
/// in no entry of `managedFields`.
const ALLOCATED_OF_SERVICES: [&str; 5] = [
    "clusterIP",
    "clusterIPs",
    "healthCheckNodePort",
    "ipFamilies",
    "ipFamilyPolicy",
];

impl Store {
    /// The namespaces that a new cluster has.
    pub(super) fn first_objects(&mut self) {
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            });
            self.apply(&Writer::update("kube-apiserver"), namespace)
                .expect("a namespace is a built-in type");
        }
    }

    /// The key that `object` names.
    fn key_of(&self, object: &Value) -> Result<ObjectKey, WriteError> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let kind = object["kind"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let api_type = self
            .types
            .iter()
            .find(|((of, _), state)| {
                **of == *group
                    && state.served
                    && &*state.document.api_type.kind == kind
                    && state
                        .document
                        .versions
                        .iter()
                        .any(|have| &**have == version)
                    && state.document.can_list()
            })
            .map(|(_, state)| state.document.api_type.clone())
            .ok_or_else(|| WriteError::NoSuchType {
                name: format!("{api_version} {kind}"),
            })?;
        let text = |field: &str| object["metadata"][field].as_str().filter(|t| !t.is_empty());
        let namespace = text("namespace");
        let name = text("name").filter(|_| namespace.is_some() == api_type.namespaced);
        let Some(name) = name else {
            return Err(WriteError::NoIdentity {
                what: api_type.to_string(),
            });
        };
        if let Some(namespace) = namespace
            && !self.types[&("".into(), "namespaces".into())]
                .objects
                .contains_key(namespace)
        {
            return Err(WriteError::NoSuchNamespace {
                namespace: namespace.to_owned(),
                what: api_type.to_string(),
            });
        }
        Ok(ObjectKey {
            namespace: namespace.map(Into::into),
            name: name.into(),
            api_type,
        })
    }

    pub(super) fn apply(&mut self, writer: &Writer, mut object: Value) -> Result<u64, WriteError> {
        let key = self.key_of(&object)?;
        let old = self.get(&key);
        let document = self.state(&key.api_type)?.document.clone();
        if document.has_subresource("status")
            && let Some(map) = object.as_object_mut()
        {
            map.remove("status");
            if let Some(status) = old.as_ref().and_then(|old| old.get("status")) {
                map.insert("status".to_owned(), status.clone());
            }
        }
        let is_definition = (&*key.api_type.group, &*key.api_type.resource) == DEFINITIONS;
        let defined = if is_definition {
            let defined = TypeDocument::from_definition(&object);
            Some(defined.ok_or_else(|| WriteError::NoDefinition {
                name: key.name.to_string(),
            })?)
        } else {
            None
        };
        let version = self.write(&key, writer, old.as_ref(), object)?;
        match defined {
            Some(defined) => self.establish(&key, defined),
            None => Ok(version),
        }
    }

    pub(super) fn update(
        &mut self,
        key: &ObjectKey,
        writer: &Writer,
        change: impl FnOnce(&mut Value),
    ) -> Result<u64, WriteError> {
        let mut object = self.existing(key)?;
        let status = object.get("status").cloned();
        change(&mut object);
        let keeps_status = self
            .state(&key.api_type)?
            .document
            .has_subresource("status");
        if let Some(status) = status.filter(|_| keeps_status) {
            object["status"] = status;
        }
        // Identity cannot be changed.
        object["apiVersion"] = key.api_type.api_version().into();
        object["kind"] = (&*key.api_type.kind).into();
        object["metadata"]["name"] = (&*key.name).into();
        self.apply(writer, object)
    }

    pub(super) fn update_status(
        &mut self,
        key: &ObjectKey,
        writer: &Writer,
        change: impl FnOnce(&mut Value),
    ) -> Result<u64, WriteError> {
        let old = self.existing(key)?;
        let mut changed = old.clone();
        change(&mut changed);
        let mut object = old.clone();
        if let Some(status) = changed.get_mut("status") {
            object["status"] = status.take();
        }
        self.write(key, writer, Some(&old), object)
    }

    fn existing(&self, key: &ObjectKey) -> Result<Value, WriteError> {
        self.get(key)
            .ok_or_else(|| WriteError::NoSuchObject { key: key.clone() })
    }

    /// Stores `object` in place of `old`, unless nothing differs.
    fn write(
        &mut self,
        key: &ObjectKey,
        writer: &Writer,
        old: Option<&Value>,
        mut object: Value,
    ) -> Result<u64, WriteError> {
        let document = self.state(&key.api_type)?.document.clone();
        default(key, &mut object);
        if let Some(old) = old {
            keep_allocated(key, old, &mut object);
        }
        let asked = Difference::between(old, &object);
        if let Some(old) = old
            && asked.is_empty()
        {
            return Ok(version_of(old));
        }
        self.allocate(key, &mut object);
        let metadata = &mut object["metadata"];
        for field in SERVER_METADATA {
            if !matches!(field, "name" | "namespace")
                && let Some(map) = metadata.as_object_mut()
            {
                map.remove(field);
                if let Some(value) = old.and_then(|old| old["metadata"].get(field)) {
                    map.insert(field.to_owned(), value.clone());
                }
            }
        }
        let time = self.tick();
        if old.is_none() {
            metadata["uid"] = self.new_uid().into();
            metadata["creationTimestamp"] = time.as_str().into();
        }
        if document.has_generation() {
            let generation = metadata["generation"].as_u64().unwrap_or(0);
            let bumped = old.is_none_or(|old| intent(old) != intent(&object));
            object["metadata"]["generation"] = (generation + u64::from(bumped)).into();
        }
        let metadata = &mut object["metadata"];
        let mut managed = match metadata["managedFields"].take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
        ownership::record(
            &mut managed,
            &asked,
            writer,
            &key.api_type.api_version(),
            &time,
        );
        metadata["managedFields"] = managed.into();
        let version = self.next_version();
        metadata["resourceVersion"] = version.to_string().into();
        self.put(&key.api_type, Arc::new(Stored::new(&object, version)));
        Ok(version)
    }

    /// Puts a new version in the place of the old one and tells the watches.
    fn put(&mut self, api_type: &ApiType, object: Arc<Stored>) {
        let id = (api_type.group.clone(), api_type.resource.clone());
        if let Some(state) = self.types.get_mut(&id) {
            let place = place(object.namespace.as_deref(), &object.name);
            let before = state.objects.insert(place, object.clone());
            state.push(Entry::Change {
                version: object.version,
                before,
                after: Some(object),
                tombstone: None,
            });
        }
    }

    /// Serves the type of a `CustomResourceDefinition` and says so in its status.
    fn establish(&mut self, key: &ObjectKey, defined: TypeDocument) -> Result<u64, WriteError> {
        let versions = json!([defined.api_type.version]);
        self.add_type(defined);
        let time = self.clock_text();
        self.update_status(
            key,
            &Writer::update("kube-apiserver").through("status"),
            |object| {
                if object["status"].is_null() {
                    let condition = |kind: &str, reason: &str, message: &str| {
                        json!({
                            "type": kind, "status": "True", "lastTransitionTime": time,
                            "reason": reason, "message": message,
                        })
                    };
                    object["status"] = json!({"conditions": [
                    condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                    condition(
                        "Established",
                        "InitialNamesAccepted",
                        "the initial names have been accepted",
                    ),
                ], "storedVersions": versions});
                }
                object["status"]["acceptedNames"] = object["spec"]["names"].clone();
            },
        )
    }

    pub(super) fn delete(&mut self, key: &ObjectKey) -> Result<u64, WriteError> {
        let object = self.existing(key)?;
        match (&*key.api_type.group, &*key.api_type.resource) {
            ("", "namespaces") => {
                self.mark_deleted(key, object, |object| {
                    object["status"]["phase"] = "Terminating".into();
                });
                self.remove_all(|_, stored| stored.namespace.as_deref() == Some(&*key.name));
            }
            DEFINITIONS => {
                let defined = TypeDocument::from_definition(&object).map(|found| found.api_type);
                self.mark_deleted(key, object, |_| {});
                if let Some(defined) = defined {
                    let id = (defined.group.clone(), defined.resource.clone());
                    self.remove_all(|api_type, _| {
                        (&api_type.group, &api_type.resource) == (&id.0, &id.1)
                    });
                    let version = self.version();
                    if let Some(state) = self.types.get_mut(&id) {
                        state.served = false;
                        state.push(Entry::Interrupt {
                            version,
                            how: Interruption::End,
                        });
                    }
                }
            }
            _ => {}
        }
        self.remove(key);
        Ok(self.version())
    }

    /// The write that a deletion begins with where finalizers hold the object.
    fn mark_deleted(&mut self, key: &ObjectKey, mut object: Value, more: impl FnOnce(&mut Value)) {
        let version = self.next_version();
        object["metadata"]["deletionTimestamp"] = self.tick().into();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        more(&mut object);
        self.put(&key.api_type, Arc::new(Stored::new(&object, version)));
    }

    fn remove_all(&mut self, doomed: impl Fn(&ApiType, &Stored) -> bool) {
        let keys: Vec<ObjectKey> = self
            .types
            .values()
            .flat_map(|state| {
                let api_type = &state.document.api_type;
                let doomed = &doomed;
                state
                    .objects
                    .values()
                    .filter(move |stored| doomed(api_type, stored))
                    .map(move |stored| ObjectKey {
                        api_type: api_type.clone(),
                        namespace: stored.namespace.clone(),
                        name: stored.name.clone(),
                    })
            })
            .collect();
        for key in keys {
            self.remove(&key);
        }
    }

    /// Takes one object out, then what nobody else owns of what it owned, as the garbage collector does.
    fn remove(&mut self, key: &ObjectKey) {
        let id = (key.api_type.group.clone(), key.api_type.resource.clone());
        let place = place(key.namespace.as_deref(), &key.name);
        let Some(before) = self
            .types
            .get_mut(&id)
            .and_then(|state| state.objects.remove(&place))
        else {
            return;
        };
        let version = self.next_version();
        let uid = before.uid.clone();
        if let Some(state) = self.types.get_mut(&id) {
            state.push(Entry::Change {
                version,
                tombstone: Some(Arc::new(before.at_version(version))),
                before: Some(before),
                after: None,
            });
        }
        self.remove_all(|_, stored| matches!(&*stored.owners, [only] if *only == uid));
    }

    /// Fills what only the server can choose.
    fn allocate(&mut self, key: &ObjectKey, object: &mut Value) {
        match (&*key.api_type.group, &*key.api_type.resource) {
            ("", "namespaces") => {
                if object["spec"]["finalizers"].is_null() {
                    object["spec"]["finalizers"] = json!(["kubernetes"]);
                }
                if object["status"]["phase"].is_null() {
                    object["status"]["phase"] = "Active".into();
                }
            }
            ("", "services") if object["spec"]["type"] != "ExternalName" => {
                let octets = (self.random().u8(..), self.random().u8(1..));
                let spec = &mut object["spec"];
                if spec["clusterIP"].as_str().is_none_or(str::is_empty) {
                    spec["clusterIP"] = format!("10.96.{}.{}", octets.0, octets.1).into();
                }
                if spec["clusterIPs"].is_null() {
                    spec["clusterIPs"] = json!([spec["clusterIP"]]);
                }
                if spec["ipFamilies"].is_null() {
                    spec["ipFamilies"] = json!(["IPv4"]);
                }
                if spec["ipFamilyPolicy"].is_null() {
                    spec["ipFamilyPolicy"] = "SingleStack".into();
                }
                let outside = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
                if outside {
                    let first = 30_000 + u16::from(octets.0) * 10;
                    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
                    for (port, number) in ports.into_iter().flatten().zip(first..) {
                        if port["nodePort"].is_null() {
                            port["nodePort"] = number.into();
                        }
                    }
                }
                if object["status"].is_null() {
                    object["status"] = json!({"loadBalancer": {}});
                }
            }
            _ => {}
        }
    }
}

/// Defaults that count as the writer's own.
fn default(key: &ObjectKey, object: &mut Value) {
    if (&*key.api_type.group, &*key.api_type.resource) == ("", "namespaces") {
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = (&*key.name).into();
    }
}

/// Carries what was allocated over to a version that does not mention it.
fn keep_allocated(key: &ObjectKey, old: &Value, object: &mut Value) {
    match (&*key.api_type.group, &*key.api_type.resource) {
        ("", "namespaces") if object["spec"]["finalizers"].is_null() => {
            object["spec"] = old["spec"].clone();
        }
        ("", "services") => {
            for field in ALLOCATED_OF_SERVICES {
                let had = old["spec"].get(field).filter(|value| !value.is_null());
                if let Some(value) = had
                    && object["spec"][field].is_null()
                {
                    object["spec"][field] = value.clone();
                }
            }
            let before = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
            let now = object
                .pointer_mut("/spec/ports")
                .and_then(Value::as_array_mut);
            for port in now
                .into_iter()
                .flatten()
                .filter(|port| port["nodePort"].is_null())
            {
                let same = before.iter().find(|old| {
                    (&old["port"], &old["protocol"]) == (&port["port"], &port["protocol"])
                });
                if let Some(number) = same.and_then(|old| old.get("nodePort")) {
                    port["nodePort"] = number.clone();
                }
            }
        }
        _ => {}
    }
}

/// What a change of makes a new generation: everything but metadata and status.
fn intent(object: &Value) -> Vec<(&String, &Value)> {
    object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, _)| {
            !matches!(
                field.as_str(),
                "apiVersion" | "kind" | "metadata" | "status"
            )
        })
        .collect()
}

fn version_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}
