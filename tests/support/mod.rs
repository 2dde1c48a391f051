//! What the test crates share: a real control plane, the acid sets, programs with a clean
//! environment and a deadline, and a harness that starts a bed once and stops it for sure.
//!
//! A test that needs a bed that is not there is skipped with a loud line on stderr; with
//! `STRANDLINE_REQUIRE_BEDS=1` (the gate sets it) a skip is a failure.
//!
//! | variable | is |
//! |---|---|
//! | `KUBEBUILDER_ASSETS` | a folder with `etcd`, `kube-apiserver`, `kubectl` and perhaps `kube-controller-manager`; without it they are built from `tests/control-plane` (`sops` is always built, from `tests/sops`) |
//! | `XDG_CACHE_HOME` | where a build is kept, in `strandline/`; default `~/.cache` |
//! | `STRANDLINE_ACID_DIR` | the folder of manifests that [`acid`] applies |
//! | `STRANDLINE_CRDS_DIR` | the folder of published CRDs |
//! | `STRANDLINE_REQUIRE_BEDS` | `1`: a missing bed fails |
#![allow(
    dead_code,
    unreachable_pub,
    reason = "compiled into several test crates, none of which uses everything"
)]

pub mod acid;
pub mod assets;
pub mod child;
pub mod expectation;
pub mod http;
pub mod plane;
pub mod program;
pub mod suite;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Why a helper could not do what it was asked for: one text, made for the reader of a test log.
#[derive(Clone)]
pub struct Failure(String);

impl Failure {
    /// Makes a failure of what it says.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same text: `#[test]` functions that return `Err` print it by `Debug`.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// What helpers return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Adds what was tried to an error of any kind.
pub trait Context<T> {
    /// Turns the error into a [`Failure`] that begins with `what`.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}

/// A bed that is not there, or could not be had.
#[derive(Clone, Debug)]
pub enum Unavailable {
    /// The machine lacks it: the test is skipped, unless beds are required.
    Missing(String),
    /// It should be there and is broken: the test fails.
    Broken(Failure),
}

impl From<Failure> for Unavailable {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

/// Returns whether a missing bed is a failure.
pub fn beds_required() -> bool {
    std::env::var_os("STRANDLINE_REQUIRE_BEDS").is_some_and(|value| value == "1")
}

/// Says on stderr, so that nobody takes a skipped test for a passed one, that `what` was skipped.
///
/// Under `STRANDLINE_REQUIRE_BEDS=1` this is a failure.
#[expect(clippy::print_stderr, reason = "the one loud line of a skipped test")]
pub fn skip(what: &str, reason: &str) -> Result<()> {
    if beds_required() {
        return Err(Failure(format!(
            "{what} needs a bed that is missing, and STRANDLINE_REQUIRE_BEDS=1: {reason}"
        )));
    }
    eprintln!("SKIPPED {what}: {reason}");
    Ok(())
}

/// Returns the folder that an environment variable names, if it is set and not empty.
///
/// A relative path counts from the package's folder, in which cargo starts tests.
pub fn folder(variable: &str) -> Result<PathBuf, Unavailable> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Err(Unavailable::Missing(format!("{variable} is not set")));
    };
    let path = PathBuf::from(value);
    if path.is_dir() {
        Ok(path)
    } else {
        Err(Failure(format!(
            "{variable} names {}, which is no folder",
            path.display()
        ))
        .into())
    }
}

/// Asks `poll` again until it gives a value or `deadline` has passed.
///
/// `poll` gives `Ok(None)` while the condition does not hold, with an error ending the wait at
/// once. For an answer that is an error now and may be fine later, see [`wait_for_success`].
pub fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut poll: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = poll()? {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            return Err(Failure(format!("{what}: not within {deadline:?}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks `poll` again until it succeeds; after `deadline` its last error is the failure's text.
pub fn wait_for_success<T>(
    what: &str,
    deadline: Duration,
    mut poll: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut last = None;
    wait_for(what, deadline, || match poll() {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            last = Some(error);
            Ok(None)
        }
    })
    .map_err(|error| match last.take() {
        Some(last) => Failure(format!("{error}; last: {last}")),
        None => error,
    })
}
