//! No blind spot: what drift says after each of 500 changes is what the oracle expects.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use libtest_mimic::Completion;

use crate::bed::Bed;
use crate::custom;
use crate::kubectl_diff::{Tally, Verdict};
use crate::matrix::table::Exceptions;
use crate::matrix::{self, Matrix, Mutation, reset};
use crate::oracle::{Class, Finding, Identity};
use crate::product::{self, Report, Reported, unversioned};
use crate::quiet;
use crate::recording::Recording;
use crate::support::acid::How;
use crate::support::plane::ControlPlane;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Failure, Result, Unavailable};

/// Tables of defaults by which a mirror is judged: the server's, and another version's.
const MINORS: [u32; 2] = [36, 35];

/// From the cluster and, beside it, from the mirror that a recorder writes meanwhile: after every
/// change, which has a commit of its own, and of all that a batch changed.
pub(crate) fn every_change_is_found(plane: &ControlPlane) -> Outcome {
    let mut watch = Stopwatch::default();
    let mut rng = Rng::with_seed(matrix::seed());
    let with_custom =
        |home: &Path| custom::publish(plane, home, &mut rng, matrix::is_large()).map(Some);
    let bed = match Bed::with(plane, How::Mixed, with_custom) {
        Ok(bed) => bed,
        Err(Unavailable::Missing(reason)) => return skipped("every_change_is_found", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    plane.start_controller_manager()?;
    bed.settle()?;
    watch.lap("the bed");
    let objects: usize = bed.sets.iter().map(|set| set.desired.len()).sum();
    quiet::in_sync(&product::live(&bed, &[])?, objects, "before any change")?;
    watch.lap("drift before any change");
    let mut recording = Recording::start(plane)?;
    let first = recording.tree("main")?;
    watch.lap("the first sync");
    let mut exceptions = Exceptions::read()?;
    let mut matrix = Matrix::new(&bed, rng);
    let (mut wrong, mut told) = (Vec::new(), 0);
    let mut verdicts = Tally::default();
    let mut commits = 0;
    loop {
        let base = recording.tip()?;
        let mut last = base.clone();
        let batch = matrix.batch(&bed, |id, is| {
            let path = path(&bed, id)?;
            last = recording.commit_of(&path, first.get(&path), &last, is)?;
            Ok(last.clone())
        })?;
        watch.lap("changes, each with its commit");
        if batch.is_empty() {
            break;
        }
        let mut misses = Vec::new();
        let repository = recording.repository();
        for (mode, report) in [
            ("live", product::live(&bed, &[])?),
            ("mirror", product::mirror(&bed, &repository, &[])?),
            (
                "mirror, 1.35",
                product::mirror(&bed, &repository, &["--defaults", "1.35"])?,
            ),
        ] {
            let found = compare(&batch, &report).into_iter();
            misses.extend(found.map(|(mutation, text)| (mutation, format!("{mode}: {text}"))));
        }
        watch.lap("drift over each batch");
        misses.extend(at_each_commit(&bed, &repository, &base, &batch)?);
        commits += batch.len();
        watch.lap("drift at each commit");
        for (mutation, text) in misses {
            if mutation.is_none_or(|mutation| !exceptions.excuses(&mutation.cell)) {
                wrong.push(text);
            }
        }
        let said: Vec<_> = batch.iter().map(Verdict::of).collect();
        wrong.extend(verdicts.compare(&bed, &said)?);
        watch.lap("kubectl diff");
        reset(&bed, &batch)?;
        let paths = batch.iter().map(|mutation| path(&bed, &mutation.id));
        let paths = paths.collect::<Result<Vec<_>>>()?;
        let as_before = |path: &str, blob: Option<&String>| blob == first.get(path);
        let _tree = recording.wait("the commit of a reset", &paths, as_before)?;
        watch.lap("resets");
        let changes = matrix.table.effective();
        crate::report(&format!("{changes} changes, {} wrong", wrong.len()));
        // A run of thousands says early what it finds.
        for text in &wrong[told..] {
            crate::report(text);
        }
        told = wrong.len();
    }
    crate::report(&matrix.table.print());
    crate::report(&verdicts.print());
    crate::report(&format!(
        "{commits} commits judged from the mirror alone, by the tables of {MINORS:?}"
    ));
    crate::report(&watch.print());
    if !wrong.is_empty() {
        let text = format!("{} not as expected: see above", wrong.len());
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

/// Where the time goes.
pub(crate) struct Stopwatch {
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }
}

impl Stopwatch {
    /// What was done since the last lap is called so.
    pub(crate) fn lap(&mut self, name: &'static str) {
        let took = self.last.elapsed();
        self.last = Instant::now();
        match self.laps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += took,
            None => self.laps.push((name, took)),
        }
    }

    pub(crate) fn print(&self) -> String {
        let laps = self.laps.iter();
        let laps: Vec<_> = laps
            .map(|(name, took)| format!("  {:7.1} s {name}", took.as_secs_f64()))
            .collect();
        format!("where the time went:\n{}", laps.join("\n"))
    }
}

/// What a mirror alone says wrongly at the commit of each change: of the object that was changed
/// last, or of another that the commit touches.
fn at_each_commit<'m>(
    bed: &Bed<'_>,
    repository: &Path,
    base: &str,
    batch: &'m [Mutation],
) -> Result<Vec<(Option<&'m Mutation>, String)>> {
    let commits = batch.iter().map(|mutation| mutation.commit.clone());
    let judged = product::at_commits(bed, repository, base, commits.collect(), &MINORS)?;
    if judged.len() != batch.len() {
        return Err(Failure::new("a commit was not judged"));
    }
    let mut wrong = Vec::new();
    let mut changed: BTreeMap<Identity, &Mutation> = BTreeMap::new();
    for (mutation, reports) in batch.iter().zip(judged) {
        let id = unversioned(&mutation.id);
        changed.insert(id.clone(), mutation);
        for (minor, report) in MINORS.iter().zip(reports) {
            let mode = format!("at its commit, 1.{minor}");
            if !report.objects.contains_key(&id) {
                wrong.push((Some(mutation), format!("{mode}: {id:?} was not touched")));
            }
            for (id, reported) in &report.objects {
                match changed.get(id) {
                    Some(earlier) => {
                        let as_expected = is_as_expected(&earlier.then, reported)
                            || is_as_expected(&earlier.expected, reported);
                        if !as_expected {
                            let text = difference(earlier, reported);
                            wrong.push((Some(*earlier), format!("{mode}: {text}")));
                        }
                    }
                    None if reported.class == "InSync" => {}
                    None => {
                        let text = format!("{mode}: {id:?} was not changed: {reported:?}");
                        wrong.push((None, text));
                    }
                }
            }
            for line in report.json["incomplete"].as_array().into_iter().flatten() {
                wrong.push((None, format!("{mode}: incomplete: {line}")));
            }
        }
    }
    Ok(wrong)
}

/// The file of an object in a mirror.
fn path(bed: &Bed<'_>, id: &Identity) -> Result<String> {
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
        if !is_as_expected(&mutation.expected, reported) {
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

fn is_as_expected(expected: &[Finding], reported: &Reported) -> bool {
    let class = object_class(expected);
    let is_class = reported.class == class || (class == "InSync" && reported.class.is_empty());
    reported.fields == expected && is_class
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
