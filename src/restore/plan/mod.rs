//! The plan: what becomes of each recorded object, and in which order.
//!
//! ```text
//! files of a revision ─┐
//! live objects' facts ─┼─▶ Plan::new ──▶ [Item { stage, class }] ──▶ run
//! discovery, options  ─┘
//! ```
//!
//! Pure: no I/O, no clock.

mod compare;
mod facts;
mod order;
mod render;
mod select;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Discovered;
use crate::filter::ScaleTarget;

pub use compare::Difference;
pub(super) use compare::compare;
pub use facts::{Definition, Facts, Managed, Owner, Recorded};
pub use order::Stage;
use order::is_root;
pub use render::{Fill, render};
pub(super) use render::{link, references};
pub use select::{Selection, SelectionError, TypeNames, Wanted};

/// What the user allows.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Options {
    /// Changes objects that are live and differ.
    pub update: bool,
    /// Creates Jobs, which run at once.
    pub include_jobs: bool,
    /// Creates what a controller owns.
    pub include_owned: bool,
    /// Creates what Argo CD, Flux or Helm deploy.
    pub include_managed: bool,
}

/// The files that a plan is made of.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What is meant.
    pub selected: Vec<Recorded>,
    /// What the selected may need: Namespaces, CRDs and autoscalers that are not meant themselves.
    pub context: Vec<Recorded>,
    /// Whether the selected were asked for one by one.
    pub named: bool,
}

/// An owner, found by whom a reference names: group, kind, namespace, name.
pub type OwnerKey = (Box<str>, Box<str>, Option<Box<str>>, Box<str>);

/// What is live in the target cluster.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// What is served; `None` where no cluster is asked: then everything counts as served and
    /// nothing as live.
    pub discovered: Option<Discovered>,
    /// Live namespaces, and whether they are being deleted.
    pub namespaces: BTreeMap<Box<str>, bool>,
    /// Live objects of the selection, by their path in the mirror.
    pub live: BTreeMap<String, Live>,
    /// The uids of live owners.
    pub owners: BTreeMap<OwnerKey, String>,
}

/// A live object.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its `metadata.uid`.
    pub uid: String,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// How it differs from its file.
    pub difference: Difference,
    /// Owners that its file names and it does not.
    pub missing_owners: Vec<Owner>,
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is created.
    Create,
    /// A `default` `ServiceAccount`, which the controller made: what the file says is added.
    Merge,
    /// It is live and differs, and is changed to what the file says.
    Update {
        /// Fields that differ.
        fields: Vec<String>,
    },
    /// It is live and equal.
    Same,
    /// It is live and differs, and is left as it is.
    Differs {
        /// Fields that differ.
        fields: Vec<String>,
    },
    /// Rule `system-made`: the cluster makes it itself.
    SystemMade {
        /// How we know.
        why: &'static str,
    },
    /// A deployer keeps it.
    ManagedElsewhere(Managed),
    /// A controller owns it and makes it again.
    Owned {
        /// The controller.
        owner: Owner,
    },
    /// A Job, which would run at once.
    JobSkipped,
    /// The file has not all values.
    NeedsValue {
        /// What is missing and who has it.
        from: String,
    },
    /// The target does not serve its type in the file's version.
    Unserved {
        /// Versions that it serves.
        served: Vec<String>,
    },
    /// Something in the target stands in its way.
    Blocked {
        /// What, and what to do.
        reason: String,
    },
}

impl Class {
    /// What JSON and summaries call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Merge => "merge",
            Self::Update { .. } => "update",
            Self::Same => "same",
            Self::Differs { .. } => "differs",
            Self::SystemMade { .. } => "system-made",
            Self::ManagedElsewhere(_) => "managed-elsewhere",
            Self::Owned { .. } => "owned",
            Self::JobSkipped => "job-skipped",
            Self::NeedsValue { .. } => "needs-value",
            Self::Unserved { .. } => "unserved",
            Self::Blocked { .. } => "blocked",
        }
    }

    /// Whether something is written.
    pub fn acts(&self) -> bool {
        matches!(self, Self::Create | Self::Merge | Self::Update { .. })
    }

    /// Whether the object cannot be restored although nobody asked to leave it out.
    pub fn is_lacking(&self) -> bool {
        matches!(
            self,
            Self::NeedsValue { .. } | Self::Unserved { .. } | Self::Blocked { .. }
        )
    }

    /// Why it is so, for people; empty where the name says it all.
    pub fn reason(&self) -> String {
        match self {
            Self::Create | Self::Merge | Self::Same => String::new(),
            Self::Update { fields } => format!("changes {}", fields.join(", ")),
            Self::Differs { fields } => {
                format!("{} differ; --update changes it", fields.join(", "))
            }
            Self::SystemMade { why } => (*why).to_owned(),
            Self::ManagedElsewhere(Managed { tool, by }) => {
                format!("{tool} keeps it ({by}): let it deploy it again, or --include-managed")
            }
            Self::Owned { owner } => format!("{owner} makes it again; --include-owned creates it"),
            Self::JobSkipped => "would run at once; --include-jobs creates it".to_owned(),
            Self::NeedsValue { from } => from.clone(),
            Self::Unserved { served } if served.is_empty() => {
                "the target does not serve its type, and its CRD is not in this revision".to_owned()
            }
            Self::Unserved { served } => {
                format!("the target serves its type only as {}", served.join(", "))
            }
            Self::Blocked { reason } => reason.clone(),
        }
    }
}

/// One object of the plan.
#[derive(Clone, Debug)]
pub struct Item {
    /// The file.
    pub recorded: Recorded,
    /// When it is its turn.
    pub stage: Stage,
    /// Its turn within the stage.
    pub rank: u8,
    /// What becomes of it.
    pub class: Class,
    /// It was not asked for, but others need it.
    pub implied: bool,
    /// What people should know of it.
    pub notes: Vec<String>,
    /// Replicas that it is created with.
    pub replicas: Option<i64>,
    /// It is created or changed with its tool's switch off.
    pub suspend: bool,
    /// It is live, and lacks owner references whose owners are there.
    pub relink: bool,
    /// Namespace and name of the Service of its type's conversion webhook.
    pub converted_by: Option<(String, String)>,
}

/// What becomes of everything.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// By stage, rank, and path.
    pub items: Vec<Item>,
    /// The selected were asked for one by one.
    pub named: bool,
}

impl Plan {
    /// Decides.
    pub fn new(files: &Files, target: &Target, options: Options) -> Self {
        let planner = Planner::new(files, target, options);
        let mut items: Vec<Item> = files
            .selected
            .iter()
            .map(|recorded| planner.item(recorded, false))
            .collect();
        for recorded in planner.implied(&items) {
            items.push(planner.item(recorded, true));
        }
        for item in &mut items {
            planner.note_owners(item);
        }
        items.sort_by_cached_key(|item| (item.stage, item.rank, item.recorded.key.path()));
        Self {
            items,
            named: files.named,
        }
    }

    /// How many objects there are of each class.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for item in &self.items {
            *counts.entry(item.class.name()).or_insert(0) += 1;
        }
        counts
    }

    /// Whether an object that was asked for is not restored.
    pub fn is_lacking(&self) -> bool {
        self.items.iter().any(|item| self.lacks(item))
    }

    /// Whether this one is asked for and not restored.
    pub fn lacks(&self, item: &Item) -> bool {
        let left = !item.class.acts() && !matches!(item.class, Class::Same);
        item.class.is_lacking() || (self.named && !item.implied && left)
    }

    /// Whether there is anything to write.
    pub fn acts(&self) -> bool {
        self.items
            .iter()
            .any(|item| item.class.acts() || item.relink)
    }
}

struct Planner<'a> {
    files: &'a Files,
    target: &'a Target,
    options: Options,
    definitions: BTreeMap<(&'a str, &'a str), &'a Definition>,
    scaled: BTreeMap<&'a ScaleTarget, i64>,
    /// Namespaces that the files hold.
    namespaces: BTreeSet<&'a str>,
    /// Everything in the selection, as an owner.
    selected: BTreeSet<OwnerKey>,
}

impl<'a> Planner<'a> {
    fn new(files: &'a Files, target: &'a Target, options: Options) -> Self {
        let all = || files.selected.iter().chain(&files.context);
        Self {
            files,
            target,
            options,
            definitions: all()
                .filter_map(|recorded| recorded.facts.definition.as_ref())
                .map(|definition| ((&*definition.group, &*definition.resource), definition))
                .collect(),
            scaled: all()
                .filter_map(|recorded| recorded.facts.scales.as_ref())
                .map(|(target, least)| (target, *least))
                .collect(),
            namespaces: all()
                .filter(|recorded| &*recorded.key.api_type.resource == "namespaces")
                .map(|recorded| &*recorded.key.name)
                .collect(),
            selected: files.selected.iter().map(owner_key_of).collect(),
        }
    }

    fn item(&self, recorded: &Recorded, implied: bool) -> Item {
        let key = &recorded.key;
        let group_and_resource = (&*key.api_type.group, &*key.api_type.resource);
        let definition = self.definitions.get(&group_and_resource);
        let custom = definition.is_some() || order::is_foreign_group(&key.api_type.group);
        let converted_by = definition.and_then(|definition| definition.converted_by.clone());
        let (stage, rank) = order::place(key, &recorded.facts, custom, converted_by.is_some());
        let live = self.target.live.get(&key.path());
        let skip = self.skip(recorded);
        let class = self.classify(recorded, live, skip.clone(), implied);
        let mut notes = Vec::new();
        if let Some(Difference::None { unread, suspended }) = live.map(|live| &live.difference) {
            if *unread {
                notes.push("its digested values were not compared".to_owned());
            }
            if *suspended {
                notes.push("it is suspended".to_owned());
            }
        }
        let suspend = is_root(key) && class.acts();
        if suspend {
            notes.push(match group_and_resource.1 {
                "applicationsets" => {
                    "has no switch: it begins to write as soon as it is there".to_owned()
                }
                "applications" => "created suspended: remove its annotation argocd.argoproj.io/skip-reconcile to go on".to_owned(),
                _ => "created suspended: set its spec.suspend to false to go on".to_owned(),
            });
        }
        let replicas = self.replicas(recorded).filter(|_| class == Class::Create);
        if let Some(replicas) = replicas {
            notes.push(format!(
                "created with {replicas} replicas, the least of its autoscaler"
            ));
        }
        let relink = class == Class::Same
            && skip.is_none()
            && live.is_some_and(|live| {
                live.missing_owners.iter().any(|owner| {
                    self.is_live_owner(owner, key.namespace.as_deref())
                        || self.is_selected_owner(owner, key.namespace.as_deref())
                })
            });
        Item {
            recorded: recorded.clone(),
            stage,
            rank,
            class,
            implied,
            notes,
            replicas,
            suspend,
            relink,
            converted_by,
        }
    }

    /// Why the object is left out whatever the target has; `None` where it is not.
    fn skip(&self, recorded: &Recorded) -> Option<Class> {
        let facts = &recorded.facts;
        let api_type = &recorded.key.api_type;
        if (&*api_type.group, &*api_type.resource) == ("batch", "jobs")
            && !self.options.include_jobs
        {
            return Some(Class::JobSkipped);
        }
        if let Some(managed) = &facts.managed_by
            && !self.options.include_managed
        {
            return Some(Class::ManagedElsewhere(managed.clone()));
        }
        if let Some(owner) = facts.controller()
            && !self.options.include_owned
        {
            return Some(Class::Owned {
                owner: owner.clone(),
            });
        }
        facts
            .needs_value
            .as_ref()
            .map(|from| Class::NeedsValue { from: from.clone() })
    }

    fn classify(
        &self,
        recorded: &Recorded,
        live: Option<&Live>,
        skip: Option<Class>,
        implied: bool,
    ) -> Class {
        if let Some(why) = recorded.facts.system_made {
            return Class::SystemMade { why };
        }
        if live.is_some_and(|live| live.terminating) {
            return Class::Blocked {
                reason: "it is being deleted: wait until it is gone, then run restore again"
                    .to_owned(),
            };
        }
        if live.is_some_and(|live| matches!(live.difference, Difference::None { .. })) {
            return Class::Same;
        }
        if let Some(class) = skip.filter(|_| !implied) {
            return class;
        }
        if let Some(class) = self.obstacle(recorded) {
            return class;
        }
        let Some(live) = live else {
            return Class::Create;
        };
        let fields = match &live.difference {
            Difference::Fields(fields) => fields.clone(),
            Difference::None { .. } => Vec::new(),
        };
        let api_type = &recorded.key.api_type;
        let is_default_account = (&*api_type.group, &*api_type.resource) == ("", "serviceaccounts")
            && &*recorded.key.name == "default";
        if is_default_account {
            Class::Merge
        } else if self.options.update {
            Class::Update { fields }
        } else {
            Class::Differs { fields }
        }
    }

    /// What in the target keeps the object from being written.
    fn obstacle(&self, recorded: &Recorded) -> Option<Class> {
        let discovered = self.target.discovered.as_ref()?;
        let api_type = &recorded.key.api_type;
        let blocked = |reason: String| Some(Class::Blocked { reason });
        let mut served: Vec<String> = discovered
            .versions(&api_type.group, &api_type.resource)
            .iter()
            .map(ToString::to_string)
            .collect();
        if served.is_empty()
            && let Some(definition) = self
                .definitions
                .get(&(&*api_type.group, &*api_type.resource))
        {
            served.clone_from(&definition.versions);
        }
        if !served.iter().any(|version| **version == *api_type.version) {
            if served.is_empty() && !discovered.is_fresh(&api_type.group) {
                return blocked(format!(
                    "the server of group {} does not answer: its APIService tells why",
                    api_type.group
                ));
            }
            return Some(Class::Unserved { served });
        }
        let namespace = recorded.key.namespace.as_deref()?;
        match self.target.namespaces.get(namespace) {
            Some(true) => blocked(format!(
                "namespace {namespace} is being deleted: wait until it is gone, then run restore again"
            )),
            None if !self.namespaces.contains(namespace) => blocked(format!(
                "namespace {namespace} is neither live nor in this revision: create it first"
            )),
            _ => None,
        }
    }

    /// Namespaces and CRDs that the items need and nobody asked for.
    fn implied(&self, items: &[Item]) -> Vec<&'a Recorded> {
        let Some(discovered) = &self.target.discovered else {
            return Vec::new();
        };
        let mut namespaces = BTreeSet::new();
        let mut types = BTreeSet::new();
        for item in items.iter().filter(|item| item.class.acts()) {
            let key = &item.recorded.key;
            if let Some(namespace) = &key.namespace
                && !self.target.namespaces.contains_key(namespace)
            {
                namespaces.insert(namespace.clone());
            }
            let api_type = &key.api_type;
            if !discovered.serves(api_type) {
                types.insert((api_type.group.to_string(), api_type.resource.to_string()));
            }
        }
        self.files
            .context
            .iter()
            .filter(|recorded| {
                let is_namespace = &*recorded.key.api_type.resource == "namespaces";
                (is_namespace && namespaces.contains(&recorded.key.name))
                    || recorded
                        .facts
                        .definition
                        .as_ref()
                        .is_some_and(|d| types.contains(&(d.group.clone(), d.resource.clone())))
            })
            .collect()
    }

    /// The replicas of a workload that an autoscaler scales and whose file has none.
    fn replicas(&self, recorded: &Recorded) -> Option<i64> {
        if recorded.facts.has_replicas != Some(false) {
            return None;
        }
        let key = &recorded.key;
        let target = ScaleTarget {
            group: key.api_type.group.clone(),
            kind: key.api_type.kind.clone(),
            namespace: key.namespace.clone()?,
            name: key.name.clone(),
        };
        self.scaled.get(&target).copied()
    }

    fn is_live_owner(&self, owner: &Owner, namespace: Option<&str>) -> bool {
        owner_keys(owner, namespace)
            .iter()
            .any(|key| self.target.owners.contains_key(key))
    }

    fn is_selected_owner(&self, owner: &Owner, namespace: Option<&str>) -> bool {
        owner_keys(owner, namespace)
            .iter()
            .any(|key| self.selected.contains(key))
    }

    /// Says which owner references are left out.
    fn note_owners(&self, item: &mut Item) {
        if !item.class.acts() {
            return;
        }
        let namespace = item.recorded.key.namespace.as_deref();
        for owner in &item.recorded.facts.owners {
            let known =
                self.is_live_owner(owner, namespace) || self.is_selected_owner(owner, namespace);
            if self.target.discovered.is_none() {
                item.notes.push(format!(
                    "without its owner reference to {owner}: only a live owner has a uid"
                ));
            } else if !known {
                item.notes.push(format!(
                    "without its owner reference to {owner}, which is neither live nor restored"
                ));
            }
        }
    }
}

/// The keys that an owner reference of an object can mean: in the object's namespace, or of the
/// cluster. <https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/>
pub(super) fn owner_keys(owner: &Owner, namespace: Option<&str>) -> Vec<OwnerKey> {
    let key = |namespace: Option<Box<str>>| {
        (
            owner.group.clone(),
            owner.kind.clone(),
            namespace,
            owner.name.clone(),
        )
    };
    let mut keys = vec![key(None)];
    if let Some(namespace) = namespace {
        keys.insert(0, key(Some(namespace.into())));
    }
    keys
}

/// The key under which an object is found as an owner.
pub(super) fn owner_key_of(recorded: &Recorded) -> OwnerKey {
    let key = &recorded.key;
    (
        key.api_type.group.clone(),
        key.api_type.kind.clone(),
        key.namespace.clone(),
        key.name.clone(),
    )
}
