//! The presets on a real control plane: objects as controllers write them, under the controllers'
//! own manager names, held against what their files should read.
//!
//! One trial per `cases/PRESET.yaml`; [`case`] describes such a file. The CRDs come from the folder
//! of `STRANDLINE_CRDS_DIR`. Each trial reads the objects back, takes a snapshot with the presets
//! as they are shipped, and asks whether the outcome is another without each rule that a case names.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::Completion;

#[path = "../support/mod.rs"]
mod support;

mod case;
mod expect;
#[path = "../recording/mirror.rs"]
#[expect(dead_code, reason = "shared with the recording suite")]
mod mirror;
mod rules;

use case::{CaseFile, Object};
use expect::Fate;
use mirror::Mirror;
use rules::{Outcome, Shipped};
use support::plane::{ControlPlane, Options};
use support::suite::{self, BoxedTest, skipped};
use support::{Failure, Result, Unavailable};

fn main() -> ExitCode {
    let mut tests: Vec<(String, BoxedTest)> = Vec::new();
    for preset in rules::shipped().expect("filters/presets is read") {
        let name = format!("preset_{}", preset.name);
        tests.push((name, Box::new(move |plane| a_preset(plane, &preset))));
    }
    tests.push((
        "every_rule_of_every_preset_has_a_case".to_owned(),
        Box::new(|_| every_rule_has_a_case()),
    ));
    suite::run_all(Options::default(), tests)
}

/// Writes a preset's cases into the cluster, records it, and holds each file against its
/// expectation.
fn a_preset(plane: &ControlPlane, preset: &Shipped) -> suite::Outcome {
    let file = CaseFile::read(&cases(), &preset.name)?;
    match file.prepare(plane) {
        Ok(()) => {}
        Err(Unavailable::Missing(reason)) => return skipped(&preset.name, &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    }
    let written = file.write(plane)?;

    let mirror = Mirror::new(plane)?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    let files = mirror.files()?;
    let mut wrong: Vec<String> = Vec::new();
    let mut proven = BTreeSet::new();
    for object in &written {
        let held = expect::compare(object, &files);
        if let Err(failure) = held.and_then(|()| prove(preset, object, &mut proven)) {
            wrong.push(format!("{}: {failure}", object.case.description));
        }
    }
    let unproven: Vec<_> = preset.rules.difference(&proven).collect();
    if wrong.is_empty() && !unproven.is_empty() {
        wrong.push(format!("rules that change nothing here: {unproven:?}"));
    }
    if wrong.is_empty() {
        Ok(Completion::Completed)
    } else {
        Err(wrong.join("\n").into())
    }
}

/// Holds each rule that a case names against the same preset without it.
fn prove(preset: &Shipped, object: &Object, proven: &mut BTreeSet<String>) -> Result<()> {
    let with = rules::with(preset, object)?;
    for rule in object.case.expect.rules() {
        // One of another file is only named to show which is at work.
        if preset.rules.contains(rule) {
            if rules::without(preset, rule, object)? == with {
                return Err(Failure::new(format!("it reads the same without {rule}")));
            }
            proven.insert(rule.to_owned());
        }
    }
    match (&object.case.expect.fate, with) {
        (Fate::Dropped { by: expected }, Outcome::Dropped { by }) if by != *expected => {
            Err(Failure::new(format!("dropped by {by}, not {expected}")))
        }
        _ => Ok(()),
    }
}

/// The quick half of the same question, which needs no control plane.
fn every_rule_has_a_case() -> suite::Outcome {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for preset in rules::shipped()? {
        known.insert(preset.name.clone());
        let file = CaseFile::read(&cases(), &preset.name)?;
        let named: BTreeSet<&str> = file
            .cases
            .iter()
            .flat_map(|case| case.expect.rules())
            .collect();
        for rule in &preset.rules {
            if !named.contains(rule.as_str()) {
                wrong.push(format!("{}: no case names rule {rule}", preset.name));
            }
        }
        if !file.cases.iter().any(|case| case.expect.is_untouched()) {
            wrong.push(format!("{}: no case shows what stays", preset.name));
        }
    }
    for name in CaseFile::names(&cases())? {
        if !known.contains(&name) {
            wrong.push(format!("cases/{name}.yaml belongs to no preset"));
        }
    }
    if wrong.is_empty() {
        Ok(Completion::Completed)
    } else {
        Err(wrong.join("\n").into())
    }
}

fn cases() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/presets/cases"))
}
