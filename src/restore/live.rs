//! What is live in the target, as far as a plan needs to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::plan::{
    Difference, Files, Live, Owner, OwnerKey, Recorded, Target, compare, owner_key_of, owner_keys,
};
use super::source::Source;
use super::{Access, RestoreError, Writer};
use crate::cluster::Discovered;
use crate::filter::{
    Autoscaled, Context, DigestKey, Rules, ScaleTarget, Selection, TypePlan, Verdict,
    is_autoscaler, scale_target,
};
use crate::object::{ApiType, ObjectKey, RawObject};

/// Lists that run at a time.
const CONCURRENT: usize = 4;
/// Objects of one type and namespace up to which each is asked for by itself.
const FEW: usize = 4;
/// Namespaces up to which each is listed by itself.
const FEW_NAMESPACES: usize = 4;

/// What the server writes into every object.
const SERVER_METADATA: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];

/// Holds live objects against files, by the rules that recording follows.
pub struct Comparer {
    rules: Rules,
    /// For the filter alone: what it makes with it is blanked before anything is compared.
    digest_key: DigestKey,
    autoscaled: Autoscaled,
}

impl Comparer {
    fn new(autoscaled: Autoscaled) -> Option<Self> {
        Some(Self {
            rules: Rules::assemble(&Selection::default()).ok()?,
            digest_key: DigestKey::from_bytes(&[0; 32]).ok()?,
            autoscaled,
        })
    }

    /// How a live object differs from its file, and which of the file's owners it lacks.
    pub fn compare(
        &self,
        key: &ObjectKey,
        file: Value,
        live: RawObject,
    ) -> (Difference, Vec<Owner>) {
        let live = self.filtered(key, live);
        compare(key, file, live, self.autoscaled.contains(key))
    }

    /// The live object as its file would read, its Secret values aside: those stay as they are.
    fn filtered(&self, key: &ObjectKey, mut live: RawObject) -> Value {
        let TypePlan::Watched(rules) = self.rules.plan(&key.api_type) else {
            return stripped(live.value);
        };
        let context = Context {
            digest_key: &self.digest_key,
            autoscaled: &self.autoscaled,
        };
        let whole = live.value.clone();
        match rules.apply(&mut live, key, &context) {
            // The mirror's rules kept it, ours would not.
            Verdict::Drop { .. } => stripped(whole),
            Verdict::Keep { digested, .. } => {
                if digested > 0
                    && let (Value::Object(mut whole), Value::Object(live)) =
                        (whole, &mut live.value)
                    && let Some(data) = whole.remove("data")
                {
                    live.insert("data".to_owned(), data);
                }
                live.value
            }
        }
    }
}

/// An object without what the server writes into each.
fn stripped(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in SERVER_METADATA {
                metadata.remove(field);
            }
        }
    }
    object
}

/// One request for live objects.
enum Ask<'a> {
    One(&'a Recorded),
    List(Arc<ApiType>, Option<Box<str>>),
}

/// Looks at the target: what it serves, and what of the files is live there.
pub async fn look(
    access: &Access,
    source: &Source,
    files: &Files,
) -> Result<(Target, Comparer), RestoreError> {
    let writer = &access.0;
    let discovered = writer.discover().await?;
    let scaled = files
        .selected
        .iter()
        .chain(&files.context)
        .filter_map(|recorded| recorded.facts.scales.as_ref())
        .map(|(target, _)| target.clone());
    let autoscaled = scaled
        .chain(live_scale_targets(writer, &discovered).await?)
        .collect();
    let comparer = Comparer::new(autoscaled).ok_or_else(|| RestoreError::Look {
        object: "nothing".to_owned(),
        refusal: super::Refusal::Conflict,
    })?;
    let mut target = Target {
        namespaces: live_namespaces(writer).await?,
        ..Target::default()
    };
    // What is implied may be live as well.
    let wanted: BTreeMap<String, &Recorded> = files
        .selected
        .iter()
        .chain(&files.context)
        .map(|recorded| (recorded.key.path(), recorded))
        .collect();
    let answers: Vec<Vec<(String, Live)>> = stream::iter(asks(files, &discovered))
        .map(|ask| answer(writer, source, &comparer, &wanted, ask))
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await?;
    target.live = answers.into_iter().flatten().collect();
    target.owners = owners(writer, files, &target, &discovered).await?;
    target.discovered = Some(discovered);
    Ok((target, comparer))
}

/// The fewest requests that tell of every file whether it is live.
fn asks<'a>(files: &'a Files, discovered: &Discovered) -> Vec<Ask<'a>> {
    let mut types: BTreeMap<&Arc<ApiType>, Vec<&Recorded>> = BTreeMap::new();
    for recorded in files.selected.iter().chain(&files.context) {
        if discovered.serves(&recorded.key.api_type) {
            types
                .entry(&recorded.key.api_type)
                .or_default()
                .push(recorded);
        }
    }
    let mut asks = Vec::new();
    for (api_type, recorded) in types {
        let served = discovered.versions(&api_type.group, &api_type.resource);
        if !served.contains(&api_type.version) {
            continue;
        }
        let namespaces: BTreeSet<Option<Box<str>>> =
            recorded.iter().map(|r| r.key.namespace.clone()).collect();
        if recorded.len() <= FEW {
            asks.extend(recorded.into_iter().map(Ask::One));
        } else if namespaces.len() <= FEW_NAMESPACES {
            let list = |namespace| Ask::List(Arc::clone(api_type), namespace);
            asks.extend(namespaces.into_iter().map(list));
        } else {
            asks.push(Ask::List(Arc::clone(api_type), None));
        }
    }
    asks
}

async fn answer(
    writer: &Writer,
    source: &Source,
    comparer: &Comparer,
    wanted: &BTreeMap<String, &Recorded>,
    ask: Ask<'_>,
) -> Result<Vec<(String, Live)>, RestoreError> {
    let mut found = Vec::new();
    let mut broken = None;
    match ask {
        Ask::One(recorded) => {
            let key = &recorded.key;
            let object = writer
                .get(key)
                .await
                .map_err(|refusal| RestoreError::Look {
                    object: key.to_string(),
                    refusal,
                })?;
            if let Some(object) = object {
                found.push((key.path(), live(source, comparer, recorded, object)?));
            }
        }
        Ask::List(api_type, namespace) => {
            let mut each = |object: RawObject| {
                let Ok(key) = object.key(&api_type) else {
                    return;
                };
                let path = key.path();
                let Some(recorded) = wanted.get(&path) else {
                    return;
                };
                match live(source, comparer, recorded, object) {
                    Ok(live) => found.push((path, live)),
                    Err(error) => broken = Some(error),
                }
            };
            writer
                .list(&api_type, namespace.as_deref(), &mut each)
                .await?;
        }
    }
    match broken {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

fn live(
    source: &Source,
    comparer: &Comparer,
    recorded: &Recorded,
    object: RawObject,
) -> Result<Live, RestoreError> {
    let uid = object.metadata_text("uid").unwrap_or_default().to_owned();
    let terminating = object.metadata_text("deletionTimestamp").is_some();
    let file = source.object(recorded)?;
    let (difference, missing_owners) = comparer.compare(&recorded.key, file, object);
    Ok(Live {
        uid,
        terminating,
        difference,
        missing_owners,
    })
}

async fn live_namespaces(writer: &Writer) -> Result<BTreeMap<Box<str>, bool>, RestoreError> {
    let mut namespaces = BTreeMap::new();
    let api_type = ApiType {
        group: "".into(),
        version: "v1".into(),
        resource: "namespaces".into(),
        kind: "Namespace".into(),
        namespaced: false,
    };
    let mut each = |object: RawObject| {
        if let Some(name) = object.metadata_text("name") {
            let terminating = object.metadata_text("deletionTimestamp").is_some();
            namespaces.insert(name.into(), terminating);
        }
    };
    writer.list(&api_type, None, &mut each).await?;
    Ok(namespaces)
}

async fn live_scale_targets(
    writer: &Writer,
    discovered: &Discovered,
) -> Result<Vec<ScaleTarget>, RestoreError> {
    let mut targets = Vec::new();
    for served in discovered.types.values() {
        let api_type = &served.api_type;
        if !is_autoscaler(&api_type.group, &api_type.resource) {
            continue;
        }
        let mut each = |object: RawObject| {
            if let Ok(key) = object.key(api_type) {
                targets.extend(scale_target(&key, &object.value));
            }
        };
        writer.list(api_type, None, &mut each).await?;
    }
    Ok(targets)
}

/// The uids of owners that are live, in the mirror or not.
async fn owners(
    writer: &Writer,
    files: &Files,
    target: &Target,
    discovered: &Discovered,
) -> Result<BTreeMap<OwnerKey, String>, RestoreError> {
    let mut owners: BTreeMap<OwnerKey, String> = files
        .selected
        .iter()
        .chain(&files.context)
        .filter_map(|recorded| {
            let live = target.live.get(&recorded.key.path())?;
            (!live.terminating).then(|| (owner_key_of(recorded), live.uid.clone()))
        })
        .collect();
    let mut unknown = BTreeSet::new();
    for recorded in &files.selected {
        let namespace = recorded.key.namespace.as_deref();
        for owner in &recorded.facts.owners {
            if !owner_keys(owner, namespace)
                .iter()
                .any(|key| owners.contains_key(key))
            {
                unknown.insert((owner.clone(), namespace));
            }
        }
    }
    for (owner, namespace) in unknown {
        let served = discovered.types.values().find(|served| {
            (&served.api_type.group, &served.api_type.kind) == (&owner.group, &owner.kind)
        });
        let Some(api_type) = served.map(|served| &served.api_type) else {
            continue;
        };
        if api_type.namespaced && namespace.is_none() {
            continue;
        }
        let key = ObjectKey {
            api_type: Arc::clone(api_type),
            namespace: namespace.filter(|_| api_type.namespaced).map(Into::into),
            name: owner.name.clone(),
        };
        let object = writer
            .get(&key)
            .await
            .map_err(|refusal| RestoreError::Look {
                object: key.to_string(),
                refusal,
            })?;
        let Some(object) = object else { continue };
        // The children of an owner that is being deleted go with it.
        if object.metadata_text("deletionTimestamp").is_none()
            && let Some(uid) = object.metadata_text("uid")
        {
            let key = (owner.group, owner.kind, key.namespace, owner.name);
            owners.insert(key, uid.to_owned());
        }
    }
    Ok(owners)
}
