//! A test binary (`harness = false`) whose tests share one control plane.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::plane::{ControlPlane, Options};
use super::{Unavailable, skip};

/// What a test returns: [`Completion::Completed`], or ignored with a reason.
pub type Outcome = std::result::Result<Completion, Failed>;

/// A test that shares its control plane with the others of its binary.
pub type Test = fn(&ControlPlane) -> Outcome;

/// A test that holds what it is about.
pub type BoxedTest = Box<dyn FnOnce(&ControlPlane) -> Outcome + Send>;

/// Runs the tests one after the other, in this order, on one control plane, which starts with the
/// first test that is asked for and is gone when this returns.
///
/// One at a time, because a test may restart the API server.
pub fn run(options: Options, tests: &[(&str, Test)]) -> ExitCode {
    let tests = tests.iter().map(|&(name, test)| {
        let test: BoxedTest = Box::new(test);
        (name.to_owned(), test)
    });
    run_all(options, tests.collect())
}

/// As [`run`], for tests that are only known when the binary starts.
#[expect(clippy::print_stderr, reason = "the logs of a failed run")]
pub fn run_all(options: Options, tests: Vec<(String, BoxedTest)>) -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let bed = Arc::new(Bed {
        options,
        plane: OnceLock::new(),
    });
    let trials = tests.into_iter().map(|(name, test)| {
        let bed = Arc::clone(&bed);
        let label = name.clone();
        Trial::ignorable_test(name, move || match bed.plane() {
            Ok(plane) => test(plane),
            Err(Unavailable::Missing(reason)) => skipped(&label, reason),
            Err(Unavailable::Broken(failure)) => Err(failure.to_string().into()),
        })
    });
    let conclusion = libtest_mimic::run(&args, trials.collect());
    if let (true, Some(Ok(plane))) = (conclusion.has_failed(), bed.plane.get()) {
        eprintln!("{}", plane.log_tails());
    }
    // The trials are gone, and with this the last owner: it stops before the process ends.
    drop(bed);
    conclusion.exit_code()
}

/// Skips a test loudly, or fails it where beds are required.
pub fn skipped(what: &str, reason: &str) -> Outcome {
    skip(what, reason)?;
    Ok(Completion::ignored_with(reason))
}

struct Bed {
    options: Options,
    plane: OnceLock<Result<ControlPlane, Unavailable>>,
}

impl Bed {
    fn plane(&self) -> Result<&ControlPlane, &Unavailable> {
        let start = || ControlPlane::start(&self.options);
        self.plane.get_or_init(start).as_ref()
    }
}
