//! No blind spot: what drift says after each of 500 changes is what the oracle expects.

use std::collections::BTreeMap;
use std::time::Instant;

use libtest_mimic::Completion;

use crate::bed::Bed;
use crate::kubectl_diff::{Flavour, Tally};
use crate::matrix::table::Exceptions;
use crate::matrix::{Matrix, Mutation, reset};
use crate::oracle::{Class, Finding, Identity};
use crate::product::{self, Report, Reported, unversioned};
use crate::recording::{Recording, Tree};
use crate::support::acid::How;
use crate::support::plane::ControlPlane;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Failure, Result, Unavailable};

/// Which side the product looks at.
enum Side {
    Cluster,
    /// A mirror that a recorder writes meanwhile, and how its files were before any change.
    Mirror(Box<Recording>, Tree),
}

pub(crate) fn every_change_is_found(plane: &ControlPlane) -> Outcome {
    run(plane, "every_change_is_found", false)
}

pub(crate) fn every_change_is_found_in_the_mirror_alone(plane: &ControlPlane) -> Outcome {
    run(plane, "every_change_is_found_in_the_mirror_alone", true)
}

fn run(plane: &ControlPlane, name: &str, by_mirror: bool) -> Outcome {
    let start = Instant::now();
    let bed = match Bed::new(plane, How::Mixed) {
        Ok(bed) => bed,
        Err(Unavailable::Missing(reason)) => return skipped(name, &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    plane.start_controller_manager()?;
    bed.settle()?;
    let mut side = if by_mirror {
        let recording = Recording::start(plane)?;
        let tree = recording.tree("main")?;
        Side::Mirror(Box::new(recording), tree)
    } else {
        Side::Cluster
    };
    let mut exceptions = Exceptions::read()?;
    let mut matrix = Matrix::new(&bed);
    let mut wrong = Vec::new();
    let mut verdicts = Tally::default();
    loop {
        let batch = matrix.batch(&bed)?;
        if batch.is_empty() {
            break;
        }
        for (mode, report) in side.reports(&bed, &batch)? {
            for (mutation, text) in compare(&batch, &report) {
                if mutation.is_none_or(|mutation| !exceptions.excuses(&mutation.cell)) {
                    wrong.push(format!("{mode}: {text}"));
                }
            }
        }
        if !by_mirror {
            for flavour in [Flavour::Client, Flavour::Server] {
                wrong.extend(verdicts.compare(&bed, flavour, &batch)?);
            }
        }
        reset(&bed, &batch)?;
        side.wait_for_reset(&bed, &batch)?;
        let changes = matrix.table.effective();
        crate::report(&format!("{changes} changes after {:?}", start.elapsed()));
    }
    crate::report(&matrix.table.print());
    crate::report(&verdicts.print());
    if !wrong.is_empty() {
        let text = format!("{} not as expected:\n{}", wrong.len(), wrong.join("\n"));
        return Err(Failure::new(text).into());
    }
    // 50 of the 500.
    let by_kubectl = matrix.table.by_kubectl();
    if by_kubectl * 10 < matrix.table.effective() {
        return Err(format!("only {by_kubectl} changes by the program kubectl").into());
    }
    exceptions.hold(matrix.table.len())?;
    Ok(Completion::Completed)
}

impl Side {
    /// What the product says after a batch, in each of its modes.
    fn reports(
        &mut self,
        bed: &Bed<'_>,
        batch: &[Mutation],
    ) -> Result<Vec<(&'static str, Report)>> {
        let Side::Mirror(recording, first) = self else {
            return Ok(vec![("live", product::live(bed, &[])?)]);
        };
        let paths = paths(bed, batch)?;
        let changed = |path: &str, blob: Option<&String>| blob != first.get(path);
        let _tree = recording.wait("the commit of a batch", &paths, changed)?;
        let repository = recording.repository();
        let other = ["--defaults", "1.35"];
        Ok(vec![
            ("mirror", product::mirror(bed, &repository, &[])?),
            ("mirror, 1.35", product::mirror(bed, &repository, &other)?),
        ])
    }

    fn wait_for_reset(&mut self, bed: &Bed<'_>, batch: &[Mutation]) -> Result<()> {
        let Side::Mirror(recording, first) = self else {
            return Ok(());
        };
        let paths = paths(bed, batch)?;
        let as_before = |path: &str, blob: Option<&String>| blob == first.get(path);
        let _tree = recording.wait("the commit of a reset", &paths, as_before)?;
        Ok(())
    }
}

/// The files of the changed objects in a mirror.
fn paths(bed: &Bed<'_>, batch: &[Mutation]) -> Result<Vec<String>> {
    let path = |mutation: &Mutation| {
        let id = &mutation.id;
        let plural = &bed.api.resource(id)?.plural;
        let folder = match id.group.as_str() {
            "" => plural.clone(),
            group => format!("{plural}.{group}"),
        };
        let name = id.name.replace(':', "%3a");
        Ok(match &id.namespace {
            Some(namespace) => format!("namespaces/{namespace}/{folder}/{name}.yaml"),
            None => format!("cluster/{folder}/{name}.yaml"),
        })
    };
    batch.iter().map(path).collect()
}

/// What is not as expected, with the change that it comes from.
pub(crate) fn compare<'m>(
    batch: &'m [Mutation],
    report: &Report,
) -> Vec<(Option<&'m Mutation>, String)> {
    let mut wrong = Vec::new();
    let changed: BTreeMap<Identity, &Mutation> = batch
        .iter()
        .map(|mutation| (unversioned(&mutation.id), mutation))
        .collect();
    let nothing = Reported::default();
    for (id, mutation) in &changed {
        let reported = report.objects.get(id).unwrap_or(&nothing);
        let class = object_class(&mutation.expected);
        let is_class = reported.class == class || (class == "InSync" && reported.class.is_empty());
        if reported.fields != mutation.expected || !is_class {
            wrong.push((Some(*mutation), difference(mutation, reported)));
        }
    }
    for (id, reported) in &report.objects {
        if !changed.contains_key(id) && reported.class != "InSync" {
            wrong.push((None, format!("{id:?} was not changed: {reported:?}")));
        }
    }
    for line in report.json["incomplete"].as_array().into_iter().flatten() {
        wrong.push((None, format!("incomplete: {line}")));
    }
    wrong
}

/// What an object with these findings is.
fn object_class(findings: &[Finding]) -> &'static str {
    let all = |classes: &[Class]| findings.iter().all(|found| classes.contains(&found.class));
    if findings.is_empty() {
        "InSync"
    } else if all(&[Class::Ignored]) {
        "Ignored"
    } else if all(&[Class::Ignored, Class::Pending, Class::PendingRemoval]) {
        "Pending"
    } else {
        "Modified"
    }
}

fn difference(mutation: &Mutation, reported: &Reported) -> String {
    let Mutation {
        id, expected, how, ..
    } = mutation;
    format!(
        "{} {} in {:?}: {how}\n  expected {expected:?}\n  reported {} {:?} {}",
        id.kind, id.name, id.namespace, reported.class, reported.fields, reported.reason
    )
}
