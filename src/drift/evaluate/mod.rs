//! From two sides to one report. Pure.
//!
//! An [`Evaluator`] is made once for the desired side and judges objects one by one, so that a
//! recorder can judge again what a change touched, and nothing else.

mod autoscaler;
mod desired_side;
mod extra;
mod fields;
mod nulls;
mod rollout;
mod standing;
mod tally;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::accept::Ignore;
use super::defaults::Tables;
use super::desired::{Desired, Identity, Manifest, Problem};
use super::live::{Coverage, Live, LiveObject, ServedKind};
use super::report::{FieldClass, FieldReport, ObjectClass, ObjectReport, Report};
use crate::filter::{DigestKey, LabelSelector, TypePlan, TypeRules};
use crate::object::{ApiType, ObjectKey};
use crate::owners::Deployers;

use std::sync::Arc;

use serde_json::Value;

pub use rollout::is_rolling_out;
pub use standing::{Standing, fingerprint, transitions};
pub use tally::Tally;
pub use versions::{OtherVersion, SAME_FORM};

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The live side, without its objects.
    pub live: &'a Live,
    /// The desired side.
    pub desired: &'a [Desired],
    /// Rules of the user that hide differences.
    pub ignores: &'a [Ignore],
    /// Who deploys.
    pub deployers: &'a Deployers,
    /// The key that the live side's digests are made with; without it values of Secrets are not
    /// compared.
    pub digest_key: Option<&'a DigestKey>,
    /// What the server adds.
    pub tables: &'a Tables,
    /// These namespaces alone; all, and what lies in none, where it is empty.
    pub namespaces: &'a [String],
    /// Objects with these labels alone, on whichever side.
    pub selector: Option<&'a LabelSelector>,
    /// Why the live side is too old to say anything of now.
    pub stale: Option<&'a str>,
    /// Objects that are in sync are listed too.
    pub show_in_sync: bool,
}

/// Where a manifest is: its source, and its place there.
type Place = (usize, usize);

/// What became of one object, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its part of the report.
    pub report: ObjectReport,
    /// Differences that rules hide: the rule's name.
    pub ignored_by: Vec<String>,
    /// Values of a Secret that were not compared.
    pub not_compared: usize,
    /// It is live, and some source could declare it.
    pub declarable: bool,
    /// A source declares it, and it is live.
    pub known: bool,
}

/// Judges objects against one desired side.
pub struct Evaluator<'a> {
    question: Question<'a>,
    /// Where each object is declared.
    declared: BTreeMap<Identity, Vec<Place>>,
    /// What will be applied next, where that is another revision.
    heads: BTreeMap<Identity, Place>,
    /// Objects of which no more is known than that a source owns them.
    owned: BTreeMap<Identity, usize>,
    /// Objects that could not be read, and why.
    broken: BTreeMap<Identity, (usize, &'a Problem)>,
    /// Why a live object that no source declares may be declared all the same.
    unread: Option<String>,
    types: HashMap<(Box<str>, Box<str>), Known>,
    /// Who deploys each source.
    deployers: Vec<Deployers>,
}

/// A kind, ready to be compared.
struct Known {
    api_type: Arc<ApiType>,
    rules: Option<Box<TypeRules>>,
}

impl<'a> Evaluator<'a> {
    /// Takes in the desired side.
    pub fn new(question: Question<'a>) -> Self {
        let mut evaluator = Self {
            question,
            declared: BTreeMap::new(),
            heads: BTreeMap::new(),
            owned: BTreeMap::new(),
            broken: BTreeMap::new(),
            unread: None,
            types: HashMap::new(),
            deployers: question
                .desired
                .iter()
                .map(|d| deployers(question, d))
                .collect(),
        };
        for kind in question.live.kinds.values() {
            evaluator.learn(kind);
        }
        for (source, desired) in question.desired.iter().enumerate() {
            for (at, manifest) in desired.manifests.iter().enumerate() {
                if let Some(identity) = evaluator.identity(desired, manifest) {
                    let places = evaluator.declared.entry(identity).or_default();
                    places.push((source, at));
                }
            }
            for (at, manifest) in desired.head.iter().flatten().enumerate() {
                if let Some(identity) = evaluator.identity(desired, manifest) {
                    evaluator.heads.insert(identity, (source, at));
                }
            }
            for problem in &desired.problems {
                if let Some(object) = &problem.object {
                    evaluator.broken.insert(object.clone(), (source, problem));
                } else if !desired.bounded && evaluator.unread.is_none() {
                    evaluator.unread = Some(format!(
                        "it may be declared in {}, of which not all could be read",
                        desired.name
                    ));
                }
            }
            let owned = desired.owned.iter().cloned();
            evaluator
                .owned
                .extend(owned.map(|identity| (identity, source)));
        }
        evaluator
    }

    fn learn(&mut self, kind: &ServedKind) {
        let Some(version) = kind.versions.first() else {
            return;
        };
        let api_type = Arc::new(kind.api_type(version));
        let rules = match self.question.live.rules.plan(&api_type) {
            TypePlan::Watched(rules) => Some(rules),
            TypePlan::Dropped { .. } => None,
        };
        let name = (kind.group.clone(), kind.kind.clone());
        self.types.insert(name, Known { api_type, rules });
    }

    /// Which object a manifest is: a namespaced one without a namespace lies in its source's, a
    /// cluster-scoped one in none.
    fn identity(&self, desired: &Desired, manifest: &Manifest) -> Option<Identity> {
        let mut identity = manifest.identity()?.clone();
        let named = identity.namespace.take();
        let kind = (identity.group.clone(), identity.kind.clone());
        let served = self.question.live.kinds.get(&kind);
        let namespaced = served.map_or(named.is_some(), |kind| kind.namespaced);
        if namespaced {
            let of_source = || desired.namespace.as_deref().unwrap_or("default").into();
            identity.namespace = Some(named.unwrap_or_else(of_source));
        }
        Some(identity)
    }

    /// Every object that some source declares or owns.
    pub fn declared(&self) -> BTreeSet<&Identity> {
        let owned = self.owned.keys().chain(self.broken.keys());
        self.declared
            .keys()
            .chain(self.heads.keys())
            .chain(owned)
            .collect()
    }

    /// Everything that is live or declared.
    pub fn subjects(&self) -> Vec<(&Identity, Option<&'a LiveObject>)> {
        let live = &self.question.live.objects;
        let declared = self.declared().into_iter();
        let not_live = declared.filter(|identity| !live.contains_key(*identity));
        live.iter()
            .map(|(identity, object)| (identity, Some(object)))
            .chain(not_live.map(|identity| (identity, None)))
            .collect()
    }

    /// Judges one object as [`judge`](Self::judge) does, and keeps nothing of it parsed.
    pub fn judge_opened(&self, identity: &Identity, live: Option<&LiveObject>) -> Option<Judged> {
        let opened = live.map(LiveObject::opened);
        self.judge(identity, opened.as_ref())
    }

    /// Judges one object; `None` where it is out of the question: in another namespace, without
    /// the labels, or live and nobody's business.
    pub fn judge(&self, identity: &Identity, live: Option<&LiveObject>) -> Option<Judged> {
        if !self.is_asked(identity, live) {
            return None;
        }
        let places = self.declared.get(identity).map_or(&[][..], Vec::as_slice);
        // Parsed once, whoever looks at it.
        let _held: Vec<_> = places
            .iter()
            .map(|place| self.manifest(*place).value())
            .collect();
        let judged = match places {
            [] => self.undeclared(identity, live)?,
            [place] => self.declared_once(identity, *place, live),
            [first, rest @ ..] => {
                let value = |place: &Place| self.manifest(*place).value();
                let same = |place: &&Place| place.0 == first.0 && value(place) == value(first);
                if rest.iter().all(|place| same(&place)) {
                    self.declared_once(identity, *first, live)
                } else {
                    let names: Vec<_> =
                        places.iter().map(|place| self.place_name(*place)).collect();
                    let reason = format!("declared twice: {}", names.join(", "));
                    self.unknown(identity, Some(*first), live, reason)
                }
            }
        };
        Some(match self.question.stale {
            // A silent recorder's mirror says nothing of now, neither good nor bad.
            Some(stale) => Judged {
                report: ObjectReport {
                    class: ObjectClass::Unknown,
                    fields: Vec::new(),
                    reason: Some(stale.to_owned()),
                    ..judged.report
                },
                ignored_by: Vec::new(),
                ..judged
            },
            None => judged,
        })
    }

    fn manifest(&self, (source, at): Place) -> &'a Manifest {
        &self.question.desired[source].manifests[at]
    }

    fn place_name(&self, place: Place) -> String {
        let manifest = self.manifest(place);
        let source = &self.question.desired[place.0].name;
        format!("{source} ({}:{})", manifest.file, manifest.line)
    }

    fn is_asked(&self, identity: &Identity, live: Option<&LiveObject>) -> bool {
        let namespaces = [self.question.namespaces, &self.question.live.namespaces];
        let inside = namespaces.iter().all(|asked| {
            asked.is_empty()
                || identity
                    .namespace
                    .as_deref()
                    .is_some_and(|namespace| asked.iter().any(|one| one == namespace))
        });
        let labelled = self.question.selector.is_none_or(|selector| {
            let matches = |object: &Value| selector.matches(object.pointer("/metadata/labels"));
            let mut places = self.declared.get(identity).into_iter().flatten();
            live.is_some_and(|live| matches(&live.value))
                || places.any(|place| matches(&self.manifest(*place).value()))
        });
        inside && labelled
    }

    fn undeclared(&self, identity: &Identity, live: Option<&LiveObject>) -> Option<Judged> {
        if let Some((source, problem)) = self.broken.get(identity) {
            let mut judged = self.unknown(identity, None, live, problem.reason.clone());
            judged.report.source = Some(self.question.desired[*source].name.clone());
            judged.report.file = problem.file.as_deref().map(str::to_owned);
            judged.report.line = problem.line;
            return Some(judged);
        }
        if let Some(place) = self.heads.get(identity) {
            return Some(self.only_in_head(identity, *place, live));
        }
        let live = live?;
        if let Some(source) = self.owned.get(identity) {
            let desired = &self.question.desired[*source];
            let why = desired.problems.first().map_or_else(
                || "its manifest is not known".to_owned(),
                |problem| problem.reason.clone(),
            );
            let mut judged = self.unknown(identity, None, Some(live), why);
            judged.report.source = Some(desired.name.clone());
            judged.known = true;
            return Some(judged);
        }
        self.extra(identity, live)
    }

    fn declared_once(
        &self,
        identity: &Identity,
        place: Place,
        live: Option<&LiveObject>,
    ) -> Judged {
        if let Some(reason) = self.unreadable(identity) {
            return self.unknown(identity, Some(place), live, reason);
        }
        match live {
            None => self.not_live(identity, place),
            Some(live) => self.compared(identity, place, live),
        }
    }

    /// Why nothing can be said of objects of the kind.
    fn unreadable(&self, identity: &Identity) -> Option<String> {
        let name = (identity.group.clone(), identity.kind.clone());
        match self.question.live.kinds.get(&name) {
            Some(kind) => match &kind.coverage {
                Coverage::Complete => None,
                Coverage::Dropped(rule) => Some(format!("not recorded (rule {rule})")),
                Coverage::Unknown(why) => Some(format!("its type could not be read: {why}")),
            },
            None if self.is_defined(identity) => None,
            None => Some(format!(
                "the server does not serve kind {} of {}",
                identity.kind,
                if identity.group.is_empty() {
                    "the core group"
                } else {
                    &identity.group
                }
            )),
        }
    }

    /// Whether some source declares the CRD of a kind that is not served.
    fn is_defined(&self, identity: &Identity) -> bool {
        self.question
            .desired
            .iter()
            .flat_map(|desired| &desired.manifests)
            .any(|manifest| {
                let kind = manifest.identity().map(|identity| &*identity.kind);
                if kind != Some("CustomResourceDefinition") {
                    return false;
                }
                let definition = manifest.value();
                let spec = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str);
                spec("/spec/group") == Some(&identity.group)
                    && spec("/spec/names/kind") == Some(&identity.kind)
            })
    }

    fn not_live(&self, identity: &Identity, place: Place) -> Judged {
        let manifest = self.manifest(place);
        if let Some(rule) = self.drops(identity, manifest) {
            let reason = format!("not recorded (rule {rule})");
            return self.unknown(identity, Some(place), None, reason);
        }
        let mut report = self.report_of(identity, Some(place), None, ObjectClass::Missing);
        let mut ignored_by = Vec::new();
        if let Some(rule) = self.ignored_whole(
            identity,
            place.0,
            Some(&manifest.value()),
            ObjectClass::Missing,
        ) {
            report.class = ObjectClass::Ignored;
            report.reason = Some(format!("missing; {rule}"));
            ignored_by.push(rule);
        }
        Judged {
            report,
            ignored_by,
            not_compared: 0,
            declarable: false,
            known: false,
        }
    }

    fn unknown(
        &self,
        identity: &Identity,
        place: Option<Place>,
        live: Option<&LiveObject>,
        reason: String,
    ) -> Judged {
        let mut report = self.report_of(identity, place, live, ObjectClass::Unknown);
        report.reason = Some(reason);
        Judged {
            report,
            ignored_by: Vec::new(),
            not_compared: 0,
            declarable: live.is_some(),
            known: place.is_some() && live.is_some(),
        }
    }

    fn report_of(
        &self,
        identity: &Identity,
        place: Option<Place>,
        live: Option<&LiveObject>,
        class: ObjectClass,
    ) -> ObjectReport {
        let manifest = place.map(|place| self.manifest(place));
        let version = match (manifest, live) {
            (Some(manifest), _) => manifest.group_version().1.to_owned(),
            (None, Some(live)) => live.version.to_string(),
            (None, None) => String::new(),
        };
        let mut marks = Vec::new();
        if live.is_some_and(|live| live.shape.terminating) {
            marks.push("terminating".to_owned());
        }
        if live.is_some_and(|live| self.question.live.damped.contains(&live.path)) {
            marks.push("damped".to_owned());
        }
        ObjectReport {
            group: identity.group.to_string(),
            version,
            kind: identity.kind.to_string(),
            namespace: identity.namespace.as_deref().map(str::to_owned),
            name: identity.name.to_string(),
            class,
            source: place.map(|(source, _)| self.question.desired[source].name.clone()),
            file: match (manifest, live) {
                (Some(manifest), _) => Some(manifest.file.to_string()),
                (None, live) => live.map(|live| live.path.to_string()),
            },
            line: manifest.map(|manifest| manifest.line),
            fields: Vec::new(),
            reason: None,
            marks,
        }
    }

    fn key(&self, identity: &Identity) -> Option<(&Known, ObjectKey)> {
        let name = (identity.group.clone(), identity.kind.clone());
        let known = self.types.get(&name)?;
        let key = ObjectKey {
            api_type: known.api_type.clone(),
            namespace: identity.namespace.clone(),
            name: identity.name.clone(),
        };
        Some((known, key))
    }
}

/// The whole report of a live side with its objects.
pub fn evaluate(question: Question<'_>) -> Report {
    let evaluator = Evaluator::new(question);
    let mut tally = Tally::new(&question);
    for (identity, live) in evaluator.subjects() {
        if let Some(judged) = evaluator.judge_opened(identity, live) {
            tally.add(judged);
        }
    }
    tally.finish()
}

/// Who deploys a source: who always does, and who it says.
fn deployers(question: Question<'_>, desired: &Desired) -> Deployers {
    let mut all = question.deployers.clone();
    let own = desired
        .deployers
        .iter()
        .map(|writer| writer.manager.to_string());
    all.extra.extend(own);
    all
}

/// The class of an object with these fields.
fn class_of(fields: &[FieldReport]) -> ObjectClass {
    let any = |classes: &[FieldClass]| fields.iter().any(|field| classes.contains(&field.class));
    if any(&[
        FieldClass::Changed,
        FieldClass::Removed,
        FieldClass::Added,
        FieldClass::Dropped,
    ]) {
        ObjectClass::Modified
    } else if any(&[FieldClass::Pending, FieldClass::PendingRemoval]) {
        ObjectClass::Pending
    } else if fields.is_empty() {
        ObjectClass::InSync
    } else {
        ObjectClass::Ignored
    }
}
