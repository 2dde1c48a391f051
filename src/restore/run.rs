//! The execution of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::live::Comparer;
use super::plan::{
    Class, Difference, Fill, Item, OwnerKey, Plan, Stage, Target, link, owner_key_of, owner_keys,
    references, render,
};
use super::source::Source;
use super::{Access, Mode, Refusal, Writer};
use crate::object::{ApiType, ObjectKey, RawObject};

/// Objects of a stage that are written at a time.
const CONCURRENT: usize = 8;
/// How often a link is tried again after somebody else changed the object.
const LINK_ATTEMPTS: usize = 5;
/// Between the first looks at something that is waited for; CRDs are up to 1 MB to look at, so
/// the pauses grow.
const LOOK: Duration = Duration::from_millis(200);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// How a plan is run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// How long to wait for a CRD to be Established, and for an endpoint of a conversion webhook.
    pub wait: Duration,
    /// Whether objects that turn up meanwhile and differ are changed.
    pub update: bool,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was created.
    Created,
    /// It was changed; what still differs because the file does not have it.
    Updated {
        /// Fields.
        left: Vec<String>,
    },
    /// Its owner references were added.
    Linked,
    /// It is as the file says already.
    Unchanged,
    /// Its class says why nothing was done.
    Skipped,
    /// It is live and differs, and is left as it is.
    Left {
        /// Fields.
        fields: Vec<String>,
    },
    /// A field differs that never changes: somebody has to delete it first.
    NeedsReplace {
        /// Which fields.
        reason: String,
    },
    /// The server would take it (`--dry-run=server`).
    Checked,
    /// What it needs is not there yet (`--dry-run=server`).
    NotCheckable {
        /// What is missing.
        reason: String,
    },
    /// It could not be written.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// What JSON and summaries call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated { .. } => "updated",
            Self::Linked => "linked",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Left { .. } => "left",
            Self::NeedsReplace { .. } => "needs-replace",
            Self::Checked => "checked",
            Self::NotCheckable { .. } => "not-checkable",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether the object is not as it was asked for.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::NeedsReplace { .. } | Self::Failed { .. })
    }

    /// Why, for people; empty where the name says it all.
    pub fn reason(&self) -> String {
        match self {
            Self::Updated { left } if !left.is_empty() => {
                format!("others have set {} besides", left.join(", "))
            }
            Self::Left { fields } => format!("{} differ; --update changes it", fields.join(", ")),
            Self::NeedsReplace { reason } => {
                format!("{reason}; delete it yourself, then run restore again")
            }
            Self::NotCheckable { reason } | Self::Failed { reason } => reason.clone(),
            _ => String::new(),
        }
    }
}

struct Run<'a> {
    plan: &'a Plan,
    source: &'a Source,
    writer: &'a Writer,
    comparer: &'a Comparer,
    options: RunOptions,
    /// The uids of what is live, by whom an owner reference names.
    uids: Mutex<BTreeMap<OwnerKey, String>>,
    /// Conversion webhooks without an endpoint.
    unserved_webhooks: Mutex<BTreeSet<(String, String)>>,
}

/// Carries out a plan; returns what became of each item, in the plan's order. `done` is told of
/// each as it happens.
pub async fn run(
    plan: &Plan,
    target: &Target,
    source: &Source,
    access: &Access,
    comparer: &Comparer,
    options: RunOptions,
    done: &(dyn Fn(&Item, &Outcome) + Sync),
) -> Vec<Outcome> {
    let writer = &access.0;
    let run = Run {
        plan,
        source,
        writer,
        comparer,
        options,
        uids: Mutex::new(target.owners.clone()),
        unserved_webhooks: Mutex::default(),
    };
    let mut outcomes: Vec<Outcome> = plan.items.iter().map(standing).collect();
    for stage in Stage::ALL {
        if stage == Stage::Links {
            run.links(&mut outcomes, done).await;
            continue;
        }
        if stage == Stage::ConvertedResources {
            run.await_webhooks().await;
        }
        run.stage(stage, &mut outcomes, done).await;
        if stage == Stage::Definitions && writer.mode() == Mode::Write {
            run.await_definitions(&mut outcomes, done).await;
        }
    }
    // Of owners that came last.
    run.links(&mut outcomes, done).await;
    outcomes
}

/// What is known before anything is written.
fn standing(item: &Item) -> Outcome {
    match &item.class {
        Class::Same => Outcome::Unchanged,
        Class::Differs { fields } => Outcome::Left {
            fields: fields.clone(),
        },
        _ => Outcome::Skipped,
    }
}

impl Run<'_> {
    async fn stage(
        &self,
        stage: Stage,
        outcomes: &mut [Outcome],
        done: &(dyn Fn(&Item, &Outcome) + Sync),
    ) {
        let acting: Vec<(usize, &Item)> = self
            .plan
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.stage == stage && item.class.acts())
            .collect();
        for rank in acting.chunk_by(|(_, a), (_, b)| a.rank == b.rank) {
            let mut written = stream::iter(rank)
                .map(|(at, item)| async move { (*at, *item, self.write(item).await) })
                .buffer_unordered(CONCURRENT);
            while let Some((at, item, outcome)) = written.next().await {
                done(item, &outcome);
                outcomes[at] = outcome;
            }
        }
    }

    async fn write(&self, item: &Item) -> Outcome {
        let key = &item.recorded.key;
        let mut object = match self.source.object(&item.recorded) {
            Ok(object) => object,
            Err(error) => {
                return Outcome::Failed {
                    reason: error.reason,
                };
            }
        };
        let owners = self.known_links(&object, key.namespace.as_deref());
        let fill = Fill {
            owners: &owners,
            replicas: item.replicas,
            suspend: item.suspend,
        };
        render(key, &mut object, &fill);
        let body = object.to_string().into_bytes();
        if item.class != Class::Create {
            return self.apply(item, &body).await;
        }
        match self.create(key, &body).await {
            Ok(created) => {
                self.learn(item, &created);
                match self.writer.mode() {
                    Mode::Write => Outcome::Created,
                    Mode::DryRun => Outcome::Checked,
                }
            }
            Err(Refusal::AlreadyExists) => self.turned_up(item, &body).await,
            Err(refusal) => self.refused(item, refusal),
        }
    }

    /// Creates; a type whose CRD was just established is waited for.
    async fn create(&self, key: &ObjectKey, body: &[u8]) -> Result<RawObject, Refusal> {
        let patiently = async {
            loop {
                match self.writer.create(key, body).await {
                    Err(Refusal::NoType) if self.writer.mode() == Mode::Write => {
                        tokio::time::sleep(LOOK).await;
                    }
                    answer => return answer,
                }
            }
        };
        tokio::time::timeout(self.options.wait + LOOK, patiently)
            .await
            .unwrap_or(Err(Refusal::NoType))
    }

    /// Sends server-side apply.
    async fn apply(&self, item: &Item, body: &[u8]) -> Outcome {
        match self.writer.apply(&item.recorded.key, body).await {
            Ok(_) if self.writer.mode() == Mode::DryRun => Outcome::Checked,
            Ok(applied) => {
                self.learn(item, &applied);
                let left = self.still_differs(item, applied);
                Outcome::Updated { left }
            }
            Err(refusal) => self.refused(item, refusal),
        }
    }

    /// A create found the object there: an earlier attempt of ours, a controller, or somebody else.
    async fn turned_up(&self, item: &Item, body: &[u8]) -> Outcome {
        let key = &item.recorded.key;
        let found = match self.writer.get(key).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                return Outcome::Failed {
                    reason: "it was there for a moment and is gone: run restore again".to_owned(),
                };
            }
            Err(refusal) => return self.refused(item, refusal),
        };
        self.learn(item, &found);
        let fields = self.still_differs(item, found);
        let is_default_account = (&*key.api_type.group, &*key.api_type.resource)
            == ("", "serviceaccounts")
            && &*key.name == "default";
        if fields.is_empty() {
            Outcome::Created
        } else if self.options.update || is_default_account {
            self.apply(item, body).await
        } else {
            Outcome::Left { fields }
        }
    }

    fn still_differs(&self, item: &Item, live: RawObject) -> Vec<String> {
        let Ok(file) = self.source.object(&item.recorded) else {
            return Vec::new();
        };
        match self.comparer.compare(&item.recorded.key, file, live).0 {
            Difference::None { .. } => Vec::new(),
            Difference::Fields(fields) => fields,
        }
    }

    fn refused(&self, item: &Item, refusal: Refusal) -> Outcome {
        let dry = self.writer.mode() == Mode::DryRun;
        match refusal {
            Refusal::Immutable { reason } if item.class != Class::Create => {
                Outcome::NeedsReplace { reason }
            }
            Refusal::NoNamespace | Refusal::NoType if dry => Outcome::NotCheckable {
                reason: format!("not checkable yet: {refusal}"),
            },
            refusal => {
                let mut reason = refusal.to_string();
                if let Some(service) = &item.converted_by
                    && self.webhooks_away().contains(service)
                {
                    let (namespace, name) = service;
                    reason = format!(
                        "its conversion webhook has no ready endpoint (Service {namespace}/{name}); {reason}"
                    );
                }
                Outcome::Failed { reason }
            }
        }
    }

    fn learn(&self, item: &Item, live: &RawObject) {
        if self.writer.mode() == Mode::Write
            && let Some(uid) = live.metadata_text("uid")
        {
            self.uids()
                .insert(owner_key_of(&item.recorded), uid.to_owned());
        }
    }

    fn uids(&self) -> std::sync::MutexGuard<'_, BTreeMap<OwnerKey, String>> {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn webhooks_away(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
        self.unserved_webhooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The file's owner references whose owners are live, with their uids.
    fn known_links(&self, file: &Value, namespace: Option<&str>) -> Vec<Value> {
        let uids = self.uids();
        references(file)
            .into_iter()
            .filter_map(|(owner, reference)| {
                let keys = owner_keys(&owner, namespace);
                let uid = keys.iter().find_map(|key| uids.get(key))?;
                Some(link(&reference, uid))
            })
            .collect()
    }

    /// Adds the owner references that are missing and whose owners are live by now.
    async fn links(&self, outcomes: &mut [Outcome], done: &(dyn Fn(&Item, &Outcome) + Sync)) {
        if self.writer.mode() == Mode::DryRun {
            return;
        }
        for (at, item) in self.plan.items.iter().enumerate() {
            let written = matches!(
                outcomes[at],
                Outcome::Created | Outcome::Updated { .. } | Outcome::Linked
            );
            if item.recorded.facts.owners.is_empty() || !(item.relink || written) {
                continue;
            }
            match self.link(item).await {
                Ok(false) => {}
                Ok(true) => {
                    if outcomes[at] == Outcome::Unchanged {
                        outcomes[at] = Outcome::Linked;
                        done(item, &outcomes[at]);
                    }
                }
                Err(refusal) => {
                    outcomes[at] = Outcome::Failed {
                        reason: format!("its owner references could not be added: {refusal}"),
                    };
                    done(item, &outcomes[at]);
                }
            }
        }
    }

    /// Returns whether references were added.
    async fn link(&self, item: &Item) -> Result<bool, Refusal> {
        let key = &item.recorded.key;
        let Ok(file) = self.source.object(&item.recorded) else {
            return Ok(false);
        };
        for _ in 0..LINK_ATTEMPTS {
            let Some(live) = self.writer.get(key).await? else {
                return Ok(false);
            };
            let there = references(&live.value);
            let links = self.known_links(&file, key.namespace.as_deref());
            let missing: Vec<Value> = links
                .into_iter()
                .filter(|link| {
                    super::plan::Owner::read(link)
                        .is_some_and(|owner| !there.iter().any(|(other, _)| other.is_same(&owner)))
                })
                .collect();
            if missing.is_empty() {
                return Ok(false);
            }
            let all: Vec<Value> = there
                .into_iter()
                .map(|(_, reference)| reference)
                .chain(missing)
                .collect();
            // The version makes sure that nobody's reference is lost in between.
            let patch = json!({ "metadata": {
                "resourceVersion": live.metadata_text("resourceVersion"),
                "ownerReferences": all,
            }});
            match self.writer.merge(key, patch.to_string().as_bytes()).await {
                Ok(_) => return Ok(true),
                Err(Refusal::Conflict) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Conflict)
    }

    /// Waits until the CRDs are Established and their names accepted.
    ///
    /// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>
    async fn await_definitions(
        &self,
        outcomes: &mut [Outcome],
        done: &(dyn Fn(&Item, &Outcome) + Sync),
    ) {
        let written: Vec<(usize, &Item)> = self
            .plan
            .items
            .iter()
            .enumerate()
            .filter(|(at, item)| {
                item.recorded.facts.definition.is_some()
                    && matches!(
                        outcomes[*at],
                        Outcome::Created | Outcome::Updated { .. } | Outcome::Unchanged
                    )
            })
            .collect();
        let mut waited = stream::iter(written)
            .map(|(at, item)| async move {
                let established = self
                    .wait_for(|| self.is_established(&item.recorded.key))
                    .await;
                (at, item, established)
            })
            .buffer_unordered(CONCURRENT);
        while let Some((at, item, established)) = waited.next().await {
            if !established {
                outcomes[at] = Outcome::Failed {
                    reason: format!(
                        "it is there but was not Established within {} s: `kubectl describe` of it tells why",
                        self.options.wait.as_secs()
                    ),
                };
                done(item, &outcomes[at]);
            }
        }
    }

    async fn is_established(&self, key: &ObjectKey) -> bool {
        let Ok(Some(live)) = self.writer.get(key).await else {
            return false;
        };
        let conditions = live.value.pointer("/status/conditions");
        conditions
            .and_then(Value::as_array)
            .is_some_and(|conditions| {
                conditions.iter().any(|condition| {
                    condition.get("type") == Some(&json!("Established"))
                        && condition.get("status") == Some(&json!("True"))
                })
            })
    }

    /// Waits until each conversion webhook that is needed has a ready endpoint.
    async fn await_webhooks(&self) {
        if self.writer.mode() == Mode::DryRun {
            return;
        }
        let services: BTreeSet<&(String, String)> = self
            .plan
            .items
            .iter()
            .filter(|item| item.class.acts() && item.stage == Stage::ConvertedResources)
            .filter_map(|item| item.converted_by.as_ref())
            .collect();
        let mut waited = stream::iter(services)
            .map(|service| async move {
                let ready = self.wait_for(|| self.has_endpoint(service)).await;
                (service, ready)
            })
            .buffer_unordered(CONCURRENT);
        while let Some((service, ready)) = waited.next().await {
            if !ready {
                self.webhooks_away().insert(service.clone());
            }
        }
    }

    /// Whether a Service has a ready endpoint. A slice says of which Service it is by a label:
    /// <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ownership>.
    async fn has_endpoint(&self, (namespace, name): &(String, String)) -> bool {
        let api_type = ApiType {
            group: "discovery.k8s.io".into(),
            version: "v1".into(),
            resource: "endpointslices".into(),
            kind: "EndpointSlice".into(),
            namespaced: true,
        };
        let mut ready = false;
        let mut each = |slice: RawObject| {
            let label = slice
                .value
                .pointer("/metadata/labels/kubernetes.io~1service-name");
            let endpoints = slice.value.get("endpoints").and_then(Value::as_array);
            ready |= label == Some(&json!(name))
                && endpoints.into_iter().flatten().any(|endpoint| {
                    // Unknown counts as ready.
                    endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false))
                });
        };
        let listed = self
            .writer
            .list(&Arc::new(api_type), Some(namespace), &mut each)
            .await;
        listed.is_ok() && ready
    }

    /// Looks again and again, for as long as the options say; returns whether it came true.
    async fn wait_for<F: Future<Output = bool>>(&self, holds: impl Fn() -> F) -> bool {
        let patiently = async {
            let mut pause = LOOK;
            while !holds().await {
                tokio::time::sleep(pause).await;
                pause = LONGEST_LOOK.min(pause * 2);
            }
        };
        tokio::time::timeout(self.options.wait, patiently)
            .await
            .is_ok()
    }
}
