//! No false alarm: what was applied, and nothing else, is in sync, however it was applied and
//! whatever the controllers made of it; and one planted change per object is found.

use fastrand::Rng;
use libtest_mimic::Completion;
use serde_json::json;

use crate::api::MERGE_PATCH;
use crate::bed::{BED_SOURCE, Bed};
use crate::kubectl_diff::{Tally, Verdict};
use crate::matrix::{self, Mutation};
use crate::mutations::{self, Stopwatch};
use crate::product::{self, Report};
use crate::reencode::{self, Done};
use crate::support::acid::How;
use crate::support::plane::ControlPlane;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Failure, Result, Unavailable};

pub(crate) fn client_side(plane: &ControlPlane) -> Outcome {
    nothing_to_say(plane, How::ClientSide)
}

pub(crate) fn server_side(plane: &ControlPlane) -> Outcome {
    nothing_to_say(plane, How::ServerSide)
}

pub(crate) fn created(plane: &ControlPlane) -> Outcome {
    nothing_to_say(plane, How::Create)
}

fn nothing_to_say(plane: &ControlPlane, how: How) -> Outcome {
    let mut watch = Stopwatch::default();
    let mut bed = match Bed::new(plane, how) {
        Ok(bed) => bed,
        Err(Unavailable::Missing(reason)) => return skipped("no false alarm", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    if how == How::ClientSide {
        say_what_went_server_side(&bed)?;
    }
    let objects: usize = bed.sets.iter().map(|set| set.desired.len()).sum();
    in_sync(&product::live(&bed, &[])?, objects, "without controllers")?;
    plane.start_controller_manager()?;
    bed.settle()?;
    watch.lap("the bed");
    in_sync(&product::live(&bed, &[])?, objects, "with controllers")?;
    watch.lap("drift with controllers");

    let mut kubectl = Tally::default();
    let untouched: Vec<_> = bed
        .desired()
        .map(|(id, _)| Verdict {
            id,
            expected: &[],
            how: "untouched",
        })
        .collect();
    let mut unexplained = kubectl.compare(&bed, &untouched)?;
    watch.lap("kubectl diff of what is untouched");

    let mut done = Done::default();
    let again = bed.home().join("again");
    let mut rng = Rng::with_seed(matrix::seed());
    for at in 0..bed.sets.len() {
        let set = &bed.sets[at];
        let folder = reencode::folder(set, &bed.schemas, &again, &mut rng, &mut done)?;
        bed.sets[at].folder = folder;
    }
    crate::report(&format!("{how:?}: written again: {done:?}"));
    let counts = [
        done.booleans,
        done.octals,
        done.quantities,
        done.lists,
        done.protocols,
        done.secrets,
    ];
    if counts.contains(&0) {
        return Err(format!("a way of writing again was not used: {done:?}").into());
    }
    in_sync(&product::live(&bed, &[])?, objects, "written again")?;

    watch.lap("written again");
    let planted = plant(&bed, &mut rng)?;
    watch.lap("planting");
    let report = product::live(&bed, &[])?;
    let wrong = mutations::compare(&planted, &report);
    if !wrong.is_empty() {
        let lines: Vec<_> = wrong.into_iter().map(|(_, text)| text).collect();
        let text = format!("{} planted changes:\n{}", lines.len(), lines.join("\n"));
        return Err(Failure::new(text).into());
    }
    crate::report(&format!(
        "{how:?}: {objects} objects in sync, {} planted",
        planted.len()
    ));
    let said: Vec<_> = planted.iter().map(Verdict::of).collect();
    unexplained.extend(kubectl.compare(&bed, &said)?);
    watch.lap("drift and kubectl diff of what is planted");
    crate::report(&kubectl.print());
    crate::report(&watch.print());
    if !unexplained.is_empty() {
        return Err(Failure::new(unexplained.join("\n")).into());
    }
    Ok(Completion::Completed)
}

/// Client-side apply cannot carry everything in an annotation.
fn say_what_went_server_side(bed: &Bed<'_>) -> Result<()> {
    let mut names = Vec::new();
    for (id, _) in bed.desired() {
        let stored = bed.stored(id)?;
        let annotations = &stored["metadata"]["annotations"];
        if annotations["kubectl.kubernetes.io/last-applied-configuration"].is_null() {
            names.push(format!("{} {}", id.kind, id.name));
        }
    }
    crate::report(&format!("server-side, being too large: {names:?}"));
    Ok(())
}

/// Zero findings, zero unknown, every object and nothing else known.
pub(crate) fn in_sync(report: &Report, objects: usize, when: &str) -> Result<()> {
    let counts = [
        "modified", "missing", "extra", "pending", "ignored", "unknown",
    ];
    let alarms: Vec<_> = counts
        .into_iter()
        .map(|name| (name, report.count(name)))
        .filter(|(_, count)| *count != 0)
        .collect();
    let in_sync = report.count("inSync");
    let coverage = &report.json["summary"]["coverage"];
    let covered = coverage["known"] == coverage["live"] && coverage["known"] == objects;
    let incomplete = report.json["incomplete"].as_array();
    let complete = incomplete.is_none_or(Vec::is_empty);
    let as_expected = alarms.is_empty()
        && report.code == 0
        && complete
        && covered
        && in_sync == u64::try_from(objects).unwrap_or(u64::MAX);
    if as_expected {
        return Ok(());
    }
    let shown: Vec<String> = report
        .objects
        .iter()
        .filter(|(_, reported)| reported.class != "InSync")
        .map(|(id, reported)| format!("{id:?}: {reported:?}"))
        .collect();
    Err(Failure::new(format!(
        "{when}: exit {}, {in_sync} of {objects} in sync, {alarms:?}, coverage {coverage}, \
         incomplete {incomplete:?}\n{}",
        report.code,
        shown.join("\n")
    )))
}

/// Changes every object once: a leaf that desired has where the server lets it, else an annotation.
fn plant(bed: &Bed<'_>, rng: &mut Rng) -> Result<Vec<Mutation>> {
    let mut planted = Vec::new();
    for set in bed.sets.iter().filter(|set| set.name != BED_SOURCE) {
        for id in set.desired.keys() {
            if let Some(mutation) = matrix::leaf_changed(bed, id, rng)? {
                planted.push(mutation);
                continue;
            }
            let before = bed.stored(id)?;
            let body = json!({"metadata": {"annotations": {"example.com/planted": "1"}}});
            let answer = bed
                .api
                .change(id, "", "kubectl-annotate", MERGE_PATCH, &body)?;
            let after = answer.success(&format!("{id:?}"))?;
            let asked = after.clone();
            planted.push(matrix::mutation(
                bed,
                id,
                before,
                asked,
                after,
                "annotate".to_owned(),
            )?);
        }
    }
    Ok(planted)
}
