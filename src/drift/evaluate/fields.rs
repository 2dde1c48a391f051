//! One object on both sides.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::accept::{self, Ignore, Ignored, Place as Named, Seen};
use super::super::compare::{Difference, Relation, Sides, compare, mark_implied};
use super::super::desired::{Identity, Manifest};
use super::super::live::LiveObject;
use super::super::ownership::{ObjectFacts, judge_in};
use super::super::report::{FieldClass, FieldReport, ObjectClass, Severity};
use super::desired_side::Filtered;
use super::{Evaluator, Judged, Place, class_of, nulls};
use crate::filter::{FieldPath, Segment};
use crate::object::Step;
use crate::owners::{Mask, MaskKind};

/// How the places of a Secret's values are seen.
struct SecretPlaces<'a> {
    desired: &'a [Mask],
    live: &'a [Mask],
    /// The filter has not looked at one side: nothing of it may be seen.
    blind: bool,
}

impl SecretPlaces<'_> {
    /// Whether a difference shows, or lies in, values that must not be seen.
    fn touches(&self, difference: &Difference) -> bool {
        let redacted = |masks: &[Mask], at: &[Step]| {
            masks.iter().any(|mask| {
                mask.kind == MaskKind::Redacted
                    && (mask.path.starts_with(at) || at.starts_with(&mask.path))
            })
        };
        let in_desired =
            difference.desired.is_some() && redacted(self.desired, &difference.desired_at);
        let in_live = difference.live.is_some() && redacted(self.live, &difference.live_at);
        in_desired || in_live
    }

    /// Whether a difference must not show its values.
    fn hides(&self, identity: &Identity, difference: &Difference) -> bool {
        let secret = (&*identity.group, &*identity.kind) == ("", "Secret");
        // Whatever the recorder does with them.
        self.blind || secret && is_data(difference) || self.touches(difference)
    }
}

impl Evaluator<'_> {
    pub(super) fn compared(&self, identity: &Identity, place: Place, live: &LiveObject) -> Judged {
        let manifest = self.manifest(place);
        let converted;
        let live = match self.at_version(identity, manifest, live) {
            Ok(None) => live,
            Ok(Some(other)) => {
                converted = other;
                &converted
            }
            Err(reason) => return self.unknown(identity, Some(place), Some(live), reason),
        };
        let mut filtered = self.comparable(identity, manifest);
        if live.shape.has_last_applied {
            nulls::without_pruned(&mut filtered.value, Some(&live.value));
        }
        let mut judged = Judged {
            report: self.report_of(identity, Some(place), Some(live), ObjectClass::InSync),
            ignored_by: Vec::new(),
            not_compared: 0,
            declarable: true,
            known: true,
        };
        if let Some(rule) =
            self.ignored_whole(identity, place.0, Some(&live.value), ObjectClass::Modified)
        {
            judged.report.class = ObjectClass::Ignored;
            judged.report.reason = Some(rule.clone());
            judged.ignored_by.push(rule);
            return judged;
        }
        let (desired, live_value);
        let (desired, live_value) = if manifest.keys_only.is_some() {
            desired = without_values(&filtered.value);
            live_value = without_values(&live.value);
            (&desired, &live_value)
        } else {
            (&filtered.value, &*live.value)
        };
        let schema = self.schema(identity, live);
        let mut differences = compare(Sides {
            desired,
            live: live_value,
            schema,
            tables: self.question.tables,
        });
        let is_unowned = |one: &Difference| live.shape.owners(&one.live_at).writers.is_empty();
        let tables = *self.question.tables;
        mark_implied(&mut differences, live_value, schema, tables, is_unowned);
        let secrets = SecretPlaces {
            desired: &filtered.masks,
            live: &live.shape.masks,
            blind: filtered.blind,
        };
        for difference in differences {
            // Whoever makes the Secret may put more keys into it than its maker's object tells.
            let more_keys = manifest.keys_unknown
                && difference.relation == Relation::LiveOnly
                && is_data(&difference);
            // A derived Secret has its keys from its maker, and all else is the maker's business.
            let derived =
                manifest.keys_only.is_some() && !is_data(&difference) && manifest.is_derived();
            if !more_keys && !derived {
                self.field(identity, place, live, &secrets, difference, &mut judged);
            }
        }
        if self.question.digest_key.is_none() || manifest.keys_only.is_some() {
            // Keys on both sides, whose values nobody can hold against each other.
            let both = redacted_places(&filtered.masks)
                .intersection(&redacted_places(&live.shape.masks))
                .count();
            judged.not_compared = both;
        }
        self.pending(identity, place, &mut judged);
        judged.report.class = class_of(&judged.report.fields);
        judged
    }

    /// A manifest as it is compared.
    fn comparable(&self, identity: &Identity, manifest: &Manifest) -> Filtered {
        match self.filtered(identity, &manifest.value()) {
            Some(Ok(filtered)) => filtered,
            // It is live and recorded: only the live object tells that its rule does not hold.
            Some(Err(_)) | None => Filtered {
                value: Arc::unwrap_or_clone(manifest.value()),
                masks: Vec::new(),
                blind: true,
            },
        }
    }

    fn schema<'s>(
        &'s self,
        identity: &Identity,
        live: &LiveObject,
    ) -> Option<super::super::schema::Node<'s>> {
        let schemas = &self.question.live.schemas;
        schemas.kind(&identity.group, &live.version, &identity.kind)
    }

    fn field(
        &self,
        identity: &Identity,
        place: Place,
        live: &LiveObject,
        secrets: &SecretPlaces<'_>,
        difference: Difference,
        judged: &mut Judged,
    ) {
        let manifest = self.manifest(place);
        let unequal =
            secrets.touches(&difference) || manifest.keys_only.is_some() && is_data(&difference);
        let secret = unequal || secrets.hides(identity, &difference);
        if unequal && difference.relation == Relation::Changed && self.question.digest_key.is_none()
        {
            return;
        }
        let about = ObjectFacts {
            group: Some(&identity.group),
            kind: Some(&identity.kind),
        };
        let judgement = judge_in(about, &difference, &live.shape, &self.deployers[place.0]);
        let Some(mut class) = judgement.class else {
            return;
        };
        let mut rule = judgement.rule.clone();
        let mut severity = judgement.severity;
        if let Some(mask) = masking(&live.shape.masks, &difference) {
            if mask.kind == MaskKind::Allocated {
                rule = Some("server-allocated now".to_owned());
            } else {
                class = FieldClass::Ignored;
                rule = Some(format!("not recorded (rule {})", mask.rule));
            }
        }
        if class != FieldClass::Ignored
            && let Some(ignore) = self.ignore_for(identity, place, live, &difference, class)
        {
            class = FieldClass::Ignored;
            rule = Some(ignore);
        }
        if class == FieldClass::Ignored {
            severity = Severity::Info;
            judged.ignored_by.extend(rule.clone());
        }
        let writer = judgement.writer.and_then(|at| live.shape.writers.get(at));
        let time = judgement
            .writer
            .and_then(|at| live.times.0.get(at))
            .and_then(|time| time.as_deref().map(str::to_owned));
        let shown = |value: Option<Value>| value.filter(|_| !secret);
        let line = match difference.relation {
            Relation::LiveOnly => None,
            _ => Some(manifest.line_of(&difference.desired_at)),
        };
        judged.report.fields.push(FieldReport {
            path: difference.path.to_string(),
            class,
            severity,
            desired: shown(difference.desired),
            live: shown(difference.live),
            secret,
            manager: writer.map(|writer| writer.manager.to_string()),
            operation: writer.map(|writer| writer.operation.to_string()),
            subresource: writer
                .map(|writer| writer.subresource.to_string())
                .filter(|subresource| !subresource.is_empty()),
            time,
            rule,
            line,
        });
    }

    /// The rule that hides the whole object.
    pub(super) fn ignored_whole(
        &self,
        identity: &Identity,
        source: usize,
        object: Option<&Value>,
        class: ObjectClass,
    ) -> Option<String> {
        let own = &self.question.desired[source].ignores;
        let rules = own.iter().chain(self.question.ignores);
        let mut fitting = rules.filter(|rule| accept::fits(rule, identity, object));
        let whole = fitting.find(|rule| accept::hides_object(rule, class))?;
        Some(accept::shown(whole))
    }

    fn ignore_for(
        &self,
        identity: &Identity,
        place: Place,
        live: &LiveObject,
        difference: &Difference,
        class: FieldClass,
    ) -> Option<String> {
        let own = &self.question.desired[place.0].ignores;
        let manifest = self.manifest(place);
        let desired = manifest.value();
        let rules = own.iter().chain(self.question.ignores);
        let mut fitting = rules.filter(|rule| accept::fits(rule, identity, Some(&live.value)));
        fitting
            .find(|rule| {
                let seen = Seen {
                    difference,
                    class,
                    desired: &desired,
                    live: &live.value,
                };
                if self.hides_inside(rule, identity, manifest, live, difference) {
                    return true;
                }
                accept::hides_field(rule, seen, |manager| {
                    let owners = live.shape.owners(&difference.live_at);
                    let mut writers = owners.writers.iter();
                    writers.any(|at| {
                        let writer = live.shape.writers.get(*at);
                        writer.is_some_and(|writer| &*writer.manager == manager)
                    })
                })
            })
            .map(accept::shown)
    }

    /// Whether a rule names places within an atomic list, and without them the list is the same.
    fn hides_inside(
        &self,
        rule: &Ignore,
        identity: &Identity,
        manifest: &Manifest,
        live: &LiveObject,
        difference: &Difference,
    ) -> bool {
        let Ignored::Paths(places) = &rule.what else {
            return false;
        };
        let is_list = |value: &Option<Value>| value.as_ref().is_some_and(Value::is_array);
        if difference.relation != Relation::Changed || !is_list(&difference.live) {
            return false;
        }
        let depth = difference.path.segments().len();
        let inside: Vec<&FieldPath> = places
            .iter()
            .filter_map(|place| match place {
                Named::Path(path) => Some(path),
                Named::Pointer(_) => None,
            })
            .filter(|path| path.segments().len() > depth)
            .collect();
        if inside.is_empty() {
            return false;
        }
        let mut desired = Arc::unwrap_or_clone(manifest.value());
        let mut without = (*live.value).clone();
        for path in inside {
            remove(&mut desired, path.segments());
            remove(&mut without, path.segments());
        }
        let left = compare(Sides {
            desired: &desired,
            live: &without,
            schema: self.schema(identity, live),
            tables: self.question.tables,
        });
        left.iter().all(|other| other.path != difference.path)
    }

    /// What Git has changed since the object was last applied.
    fn pending(&self, identity: &Identity, place: Place, judged: &mut Judged) {
        let Some(desired) = self
            .question
            .desired
            .get(place.0)
            .filter(|desired| desired.head.is_some())
        else {
            return;
        };
        let Some(head) = self.head(identity) else {
            judged.report.reason = Some(match &desired.head_revision {
                Some(revision) => format!("removed from Git at {revision}, still applied"),
                None => "removed from Git, still applied".to_owned(),
            });
            judged
                .report
                .fields
                .push(FieldReport::of_object(FieldClass::PendingRemoval));
            return;
        };
        let applied = self.manifest(place);
        let values = [head.value(), applied.value()];
        if values[0] == values[1] {
            return;
        }
        let [head_side, applied_side] = [head, applied].map(|of| self.comparable(identity, of));
        let schemas = &self.question.live.schemas;
        let (_, version) = head.group_version();
        let differences = compare(Sides {
            desired: &head_side.revealed(&values[0]),
            live: &applied_side.revealed(&values[1]),
            schema: schemas.kind(&identity.group, version, &identity.kind),
            tables: self.question.tables,
        });
        let secrets = SecretPlaces {
            desired: &head_side.masks,
            live: &applied_side.masks,
            blind: head_side.blind || applied_side.blind,
        };
        for difference in differences {
            let secret = secrets.hides(identity, &difference);
            judged.report.fields.push(FieldReport {
                path: difference.path.to_string(),
                class: FieldClass::Pending,
                severity: Severity::Info,
                line: Some(head.line_of(&difference.desired_at)),
                desired: difference.desired.filter(|_| !secret),
                live: difference.live.filter(|_| !secret),
                secret,
                rule: desired
                    .head_revision
                    .as_ref()
                    .map(|revision| format!("changed in Git at {revision}")),
                ..FieldReport::of_object(FieldClass::Pending)
            });
        }
    }

    fn head(&self, identity: &Identity) -> Option<&Manifest> {
        let (source, at) = *self.heads.get(identity)?;
        self.question.desired[source].head.as_ref()?.get(at)
    }

    pub(super) fn only_in_head(
        &self,
        identity: &Identity,
        (source, at): Place,
        live: Option<&LiveObject>,
    ) -> Judged {
        let desired = &self.question.desired[source];
        let manifest = desired.head.as_ref().and_then(|head| head.get(at));
        let mut report = self.report_of(identity, None, live, ObjectClass::Pending);
        report.source = Some(desired.name.clone());
        report.file = manifest.map(|manifest| manifest.file.to_string());
        report.line = manifest.map(|manifest| manifest.line);
        report.reason = Some(match &desired.head_revision {
            Some(revision) => format!("added to Git at {revision}, not applied yet"),
            None => "added to Git, not applied yet".to_owned(),
        });
        Judged {
            report,
            ignored_by: Vec::new(),
            not_compared: 0,
            declarable: live.is_some(),
            known: live.is_some(),
        }
    }
}

impl FieldReport {
    /// A field that stands for its whole object.
    fn of_object(class: FieldClass) -> Self {
        Self {
            path: "metadata.name".to_owned(),
            class,
            severity: Severity::Info,
            desired: None,
            live: None,
            secret: false,
            manager: None,
            operation: None,
            subresource: None,
            time: None,
            rule: None,
            line: None,
        }
    }
}

/// The mask of the live object that a desired place lies in.
fn masking<'m>(masks: &'m [Mask], difference: &Difference) -> Option<&'m Mask> {
    if difference.relation != Relation::DesiredOnly {
        return None;
    }
    let around = difference.live_at.len();
    masks.iter().find(|mask| {
        mask.kind != MaskKind::Redacted
            && mask.path.len() > around
            && mask.path[..around] == difference.live_at[..]
            && difference.desired_at.get(around..).is_some_and(|below| {
                let masked = &mask.path[around..];
                below.starts_with(masked)
            })
    })
}

fn redacted_places(masks: &[Mask]) -> BTreeSet<&[Step]> {
    masks
        .iter()
        .filter(|mask| mask.kind == MaskKind::Redacted)
        .map(|mask| &*mask.path)
        .collect()
}

/// Whether a difference is of a Secret's values.
fn is_data(difference: &Difference) -> bool {
    let at = if difference.desired.is_some() {
        &difference.desired_at
    } else {
        &difference.live_at
    };
    matches!(at.first(), Some(Step::Key(field)) if matches!(&**field, "data" | "stringData"))
}

/// Takes away what a path names.
fn remove(value: &mut Value, path: &[Segment]) {
    let Some((segment, rest)) = path.split_first() else {
        return;
    };
    match (segment, value) {
        (Segment::Field(name) | Segment::Key(name), Value::Object(map)) => {
            if rest.is_empty() {
                map.remove(&**name);
            } else if let Some(below) = map.get_mut(&**name) {
                remove(below, rest);
            }
        }
        (Segment::Any, Value::Object(map)) => {
            if rest.is_empty() {
                map.clear();
            }
            map.values_mut().for_each(|below| remove(below, rest));
        }
        (segment, Value::Array(list)) => {
            if rest.is_empty() {
                list.retain(|element| !segment.selects(element));
            }
            let named = list.iter_mut().filter(|element| segment.selects(element));
            named.for_each(|element| remove(element, rest));
        }
        _ => {}
    }
}

/// A Secret of which only keys are known.
fn without_values(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("sops");
        for field in ["data", "stringData"] {
            if let Some(Value::Object(values)) = map.get_mut(field) {
                values
                    .values_mut()
                    .for_each(|value| *value = Value::from(""));
            }
        }
    }
    object
}
