//! The cluster's state: types, objects as text that is ready to be sent, and a log per type.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::discovery::{self, TypeDocument};
use super::query::ResourcePath;
use super::status::{self, Refused};
use super::{Interruption, Requests, Verb, WriteError};
use crate::object::{ApiType, ObjectKey};

/// One version of one object.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) namespace: Option<Box<str>>,
    pub(super) name: Box<str>,
    pub(super) uid: Box<str>,
    pub(super) version: u64,
    pub(super) labels: BTreeMap<Box<str>, Box<str>>,
    /// uids of `metadata.ownerReferences`.
    pub(super) owners: Box<[Box<str>]>,
    /// The object as JSON without `apiVersion`, `kind` and the opening brace: the same bytes serve
    /// lists (built-in items carry neither), watches and every version of the type.
    pub(super) body: Bytes,
}

impl Stored {
    /// Takes the facts out of an object and turns it into text.
    pub(super) fn new(object: &Value, version: u64) -> Self {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().map(Box::<str>::from);
        let labels = metadata["labels"].as_object().into_iter().flatten();
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let parts: BTreeMap<&String, &Value> = object
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(field, _)| !matches!(field.as_str(), "apiVersion" | "kind"))
            .collect();
        let mut body = serde_json::to_vec(&parts).expect("maps with string keys are always JSON");
        body.remove(0);
        Self {
            namespace: text("namespace"),
            name: text("name").unwrap_or_default(),
            uid: text("uid").unwrap_or_default(),
            version,
            labels: labels
                .filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())))
                .collect(),
            owners: owners
                .filter_map(|owner| owner["uid"].as_str().map(Into::into))
                .collect(),
            body: body.into(),
        }
    }

    /// The object, without `apiVersion` and `kind`.
    pub(super) fn value(&self) -> Value {
        let mut text = Vec::with_capacity(self.body.len() + 1);
        text.push(b'{');
        text.extend_from_slice(&self.body);
        serde_json::from_slice(&text).expect("the body was written by Stored::new")
    }

    /// The same object under another resourceVersion, as DELETED events carry it.
    pub(super) fn at_version(&self, version: u64) -> Self {
        let mut object = self.value();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        Self::new(&object, version)
    }
}

/// Where an object stands among the others of its type: `namespace/name`, in etcd's order.
pub(super) fn place(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// What happened to objects of one type, or to the watches on it.
#[derive(Debug)]
pub(super) enum Entry {
    /// `after` replaces `before`; one of them may be missing, not both.
    Change {
        version: u64,
        before: Option<Arc<Stored>>,
        after: Option<Arc<Stored>>,
        /// What a DELETED event carries; only where `after` is missing.
        tombstone: Option<Arc<Stored>>,
    },
    /// Concerns the watches that are open when it is written, and no later ones.
    Interrupt { version: u64, how: Interruption },
}

impl Entry {
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Change { version, .. } | Self::Interrupt { version, .. } => *version,
        }
    }
}

/// The objects of one group and resource, whatever the version.
#[derive(Debug)]
pub(super) struct TypeState {
    pub(super) document: TypeDocument,
    /// `false` once its `CustomResourceDefinition` is gone; kept so that open watches can finish.
    pub(super) served: bool,
    pub(super) objects: BTreeMap<String, Arc<Stored>>,
    pub(super) log: Vec<Entry>,
    /// Nothing at or before this resourceVersion can be watched from.
    pub(super) floor: u64,
    /// The resourceVersion of the newest entry, to wake watches.
    pub(super) wake: tokio::sync::watch::Sender<u64>,
    pub(super) open_watches: usize,
}

impl TypeState {
    pub(super) fn new(document: TypeDocument, floor: u64) -> Self {
        Self {
            document,
            served: true,
            objects: BTreeMap::new(),
            log: Vec::new(),
            floor,
            wake: tokio::sync::watch::Sender::new(floor),
            open_watches: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.log.push(entry);
        self.wake.send_modify(|count| *count += 1);
    }

    /// Its objects with `apiVersion` and `kind`.
    pub(super) fn complete_objects(&self) -> impl Iterator<Item = Value> {
        let api_type = &self.document.api_type;
        let stored = self.objects.values();
        stored.map(move |stored| complete(api_type, stored))
    }

    /// Index of the first entry after `version`.
    pub(super) fn after(&self, version: u64) -> usize {
        self.log.partition_point(|entry| entry.version() <= version)
    }

    /// The objects after `start` (exclusive) as they were at `version`: at most `limit` of them that
    /// `keep` wants, and whether there are more.
    pub(super) fn page(
        &self,
        version: u64,
        namespace: Option<&str>,
        start: Option<&str>,
        limit: usize,
        keep: impl Fn(&Stored) -> bool,
    ) -> Page {
        // What has changed since, as it was before.
        let mut before: BTreeMap<String, Option<Arc<Stored>>> = BTreeMap::new();
        for entry in &self.log[self.after(version)..] {
            if let Entry::Change {
                before: old, after, ..
            } = entry
                && let Some(object) = old.as_ref().or(after.as_ref())
            {
                before
                    .entry(place(object.namespace.as_deref(), &object.name))
                    .or_insert_with(|| old.clone());
            }
        }
        let prefix = namespace
            .map(|namespace| format!("{namespace}/"))
            .unwrap_or_default();
        let from = match start {
            Some(start) if start >= prefix.as_str() => Bound::Excluded(start.to_owned()),
            _ => Bound::Included(prefix.clone()),
        };
        let range = (from, Bound::Unbounded);
        let now = self
            .objects
            .range(range.clone())
            .filter(|(place, _)| !before.contains_key(*place));
        let then = before
            .range(range)
            .filter_map(|(place, object)| Some((place, object.as_ref()?)));
        let mut page = Page::default();
        for (place, object) in merge(now, then) {
            if !place.starts_with(&prefix) {
                break;
            }
            if page.objects.len() < limit {
                if keep(object) {
                    page.last.clone_from(place);
                    page.objects.push(object.clone());
                }
            } else if keep(object) {
                page.remaining += 1;
            }
        }
        page
    }
}

/// Part of a list.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Arc<Stored>>,
    /// Place of the last object.
    pub(super) last: String,
    pub(super) remaining: usize,
}

type Placed<'a> = (&'a String, &'a Arc<Stored>);

/// Merges two sequences that are in order and have no place in common.
fn merge<'a>(
    one: impl Iterator<Item = Placed<'a>>,
    other: impl Iterator<Item = Placed<'a>>,
) -> impl Iterator<Item = Placed<'a>> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some((a, _)), Some((b, _))) if b < a => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}

/// Group and resource.
pub(super) type TypeId = (Box<str>, Box<str>);

/// Everything that the server knows. Lives behind one Mutex; no method waits.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) types: BTreeMap<TypeId, TypeState>,
    /// Groups in the order of discovery.
    pub(super) groups: Vec<Box<str>>,
    pub(super) requests: Requests,
    version: u64,
    clock: Timestamp,
    random: fastrand::Rng,
}

impl Store {
    /// The namespaces of a new cluster, and the built-in types.
    pub(super) fn new(seed: u64, start: Timestamp) -> Self {
        let mut store = Self {
            types: BTreeMap::new(),
            groups: Vec::new(),
            requests: Requests::new(),
            version: 0,
            clock: start,
            random: fastrand::Rng::with_seed(seed),
        };
        for document in discovery::built_in() {
            store.add_type(document);
        }
        store.first_objects();
        store
    }

    pub(super) fn add_type(&mut self, document: TypeDocument) {
        let api_type = &document.api_type;
        if !self.groups.contains(&api_type.group) {
            self.groups.push(api_type.group.clone());
        }
        let id = (api_type.group.clone(), api_type.resource.clone());
        let version = self.version;
        let state = self
            .types
            .entry(id)
            .or_insert_with(|| TypeState::new(document.clone(), version));
        if !state.served {
            state.served = true;
            state.floor = version;
        }
        state.document = document;
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Numbers the next write.
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Time of the next write; the clock stands still.
    pub(super) fn clock_text(&self) -> String {
        self.clock.to_string()
    }

    /// Time of the next write, RFC 3339 with whole seconds; the clock moves on by one.
    pub(super) fn tick(&mut self) -> String {
        let now = self.clock_text();
        self.advance(Duration::from_secs(1));
        now
    }

    pub(super) fn advance(&mut self, by: Duration) {
        let by = SignedDuration::from_secs(i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
        if let Ok(later) = self.clock.checked_add(by) {
            self.clock = later;
        }
    }

    /// A version 4 UUID from the seed.
    pub(super) fn new_uid(&mut self) -> String {
        let bits = (self.random.u128(..) & !(0xf000_c000 << 48)) | (0x4000_8000 << 48);
        let hex = format!("{bits:032x}");
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    pub(super) fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.random
    }

    /// Counts a watch's beginning (`1`) or end (`-1`).
    pub(super) fn count_watch(&mut self, id: &TypeId, by: isize) {
        if let Some(state) = self.types.get_mut(id) {
            state.open_watches = state.open_watches.saturating_add_signed(by);
        }
    }

    pub(super) fn open_watches(&self, resource: Option<&str>) -> usize {
        self.chosen(resource).map(|state| state.open_watches).sum()
    }

    fn chosen(&self, resource: Option<&str>) -> impl Iterator<Item = &TypeState> {
        self.types.values().filter(move |state| {
            resource.is_none_or(|name| state.document.api_type.resource_and_group() == name)
        })
    }

    pub(super) fn interrupt(&mut self, resource: Option<&str>, how: Interruption) {
        let version = self.version;
        for state in self.types.values_mut() {
            if resource.is_none_or(|name| state.document.api_type.resource_and_group() == name) {
                state.push(Entry::Interrupt { version, how });
            }
        }
    }

    pub(super) fn compact(&mut self) {
        for state in self.types.values_mut() {
            state.floor = self.version;
        }
    }

    pub(super) fn types(&self) -> Vec<Arc<ApiType>> {
        self.types
            .values()
            .filter(|state| state.served && state.document.can_list())
            .map(|state| state.document.api_type.clone())
            .collect()
    }

    pub(super) fn find_type(&self, resource: &str) -> Result<Arc<ApiType>, WriteError> {
        let (name, group) = resource.split_once('.').unwrap_or((resource, ""));
        self.types
            .get(&(group.into(), name.into()))
            .filter(|state| state.served)
            .map(|state| state.document.api_type.clone())
            .ok_or_else(|| WriteError::NoSuchType {
                name: resource.to_owned(),
            })
    }

    /// The state of a served type.
    pub(super) fn state(&self, api_type: &ApiType) -> Result<&TypeState, WriteError> {
        self.types
            .get(&(api_type.group.clone(), api_type.resource.clone()))
            .filter(|state| state.served)
            .ok_or_else(|| WriteError::NoSuchType {
                name: api_type.to_string(),
            })
    }

    /// The type that a request names.
    pub(super) fn served(&self, path: &ResourcePath<'_>) -> Result<&TypeState, Refused> {
        let of_group = |state: &&TypeState| {
            let document = &state.document;
            state.served
                && *document.api_type.group == *path.group
                && document.versions.iter().any(|have| **have == *path.version)
        };
        let id = (path.group.into(), path.resource.into());
        let Some(state) = self.types.get(&id).filter(of_group) else {
            return Err(if self.types.values().any(|state| of_group(&state)) {
                status::no_such_resource()
            } else {
                status::no_such_path()
            });
        };
        // A name without namespace below a namespaced type is no path either.
        let fits = if state.document.api_type.namespaced {
            path.name.is_none() || path.namespace.is_some()
        } else {
            path.namespace.is_none()
        };
        if fits {
            Ok(state)
        } else {
            Err(status::no_such_resource())
        }
    }

    /// Counts a request; returns how many like it came before.
    pub(super) fn count_request(&mut self, resource: String, verb: Verb) -> u64 {
        let count = self.requests.entry((resource, verb)).or_default();
        *count += 1;
        *count - 1
    }

    pub(super) fn stored(&self, key: &ObjectKey) -> Option<&Arc<Stored>> {
        self.state(&key.api_type)
            .ok()?
            .objects
            .get(&place(key.namespace.as_deref(), &key.name))
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<Value> {
        let state = self.state(&key.api_type).ok()?;
        Some(complete(&state.document.api_type, self.stored(key)?))
    }

    pub(super) fn objects(&self) -> Vec<(Arc<ApiType>, Value)> {
        let served = self.types.values().filter(|state| state.served);
        served
            .flat_map(|state| {
                let api_type = &state.document.api_type;
                state
                    .complete_objects()
                    .map(move |object| (api_type.clone(), object))
            })
            .collect()
    }
}

/// The object with `apiVersion` and `kind`.
fn complete(api_type: &ApiType, stored: &Stored) -> Value {
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_type.api_version().into());
    object.insert("kind".to_owned(), (&*api_type.kind).into());
    if let Value::Object(rest) = stored.value() {
        object.extend(rest);
    }
    object.into()
}
