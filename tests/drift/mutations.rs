//! No blind spot: what drift says after each of 500 changes is what the oracle expects.

use std::collections::BTreeMap;

use libtest_mimic::Completion;

use crate::bed::Bed;
use crate::kubectl_diff::{self, Flavour};
use crate::matrix::table::Exceptions;
use crate::matrix::{Matrix, Mutation, reset};
use crate::oracle::Identity;
use crate::product::{self, Report, Reported, unversioned};
use crate::support::acid::How;
use crate::support::plane::ControlPlane;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Failure, Unavailable};

pub(crate) fn every_change_is_found(plane: &ControlPlane) -> Outcome {
    let start = std::time::Instant::now();
    let bed = match Bed::new(plane, How::Mixed) {
        Ok(bed) => bed,
        Err(Unavailable::Missing(reason)) => return skipped("every_change_is_found", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    plane.start_controller_manager()?;
    bed.settle()?;
    let mut exceptions = Exceptions::read()?;
    let mut matrix = Matrix::new(&bed);
    let mut wrong = Vec::new();
    let mut verdicts = kubectl_diff::Tally::default();
    crate::report(&format!("the bed is ready after {:?}", start.elapsed()));
    loop {
        let batch = matrix.batch(&bed)?;
        if batch.is_empty() {
            break;
        }
        if product::is_there() {
            let report = product::live(&bed, &[])?;
            for (mutation, text) in compare(&batch, &report) {
                if mutation.is_none_or(|mutation| !exceptions.excuses(&mutation.cell)) {
                    wrong.push(text);
                }
            }
        }
        for flavour in [Flavour::Client, Flavour::Server] {
            wrong.extend(verdicts.compare(&bed, flavour, &batch)?);
        }
        reset(&bed, &batch)?;
        crate::report(&format!(
            "{} changes after {:?}",
            matrix.table.effective(),
            start.elapsed()
        ));
    }
    crate::report(&matrix.table.print());
    crate::report(&verdicts.print());
    if !wrong.is_empty() {
        let text = format!("{} not as expected:\n{}", wrong.len(), wrong.join("\n"));
        return Err(Failure::new(text).into());
    }
    if matrix.table.by_kubectl() < 50 {
        return Err("fewer than 50 changes by the program kubectl".into());
    }
    exceptions.hold(matrix.table.len())?;
    Ok(Completion::Completed)
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
        if reported.fields != mutation.expected {
            wrong.push((Some(*mutation), difference(mutation, reported)));
        }
    }
    for (id, reported) in &report.objects {
        if !changed.contains_key(id) && !["InSync", "Ignored"].contains(&reported.class.as_str()) {
            wrong.push((None, format!("{id:?} was not changed: {reported:?}")));
        }
    }
    for line in report.json["incomplete"].as_array().into_iter().flatten() {
        wrong.push((None, format!("incomplete: {line}")));
    }
    wrong
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
