//! What strandline costs, each figure beside its floor from the same run.
//!
//! ```text
//! cargo bench                                 all of it; exits 1 where a limit is missed
//! cargo bench -- --report-only                exits 0 all the same
//! cargo bench -- pipeline commit sidecar owners drift memory sync  some of it
//! ```
//!
//! A limit is relative to something that the same machine did a moment before (a bare parse, an
//! fsync, a bare read), or so generous that it speaks of the design and not of the machine.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of objects and bytes are far below 2^52"
)]

mod commit;
mod drift;
mod memory;
mod owners;
mod pipeline;
mod sidecar;
#[path = "../support/mod.rs"]
mod support;
mod sync;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use strandline::mirror::{Author, Mirror, MirrorOptions};
use strandline::object::Prefix;
use support::{Context as _, Failure, Result, Unavailable};

type Section = fn(&mut Report) -> Result<(), Unavailable>;

const SECTIONS: [(&str, Section); 7] = [
    ("pipeline", pipeline::run),
    ("commit", commit::run),
    ("sidecar", sidecar::run),
    ("owners", owners::run),
    ("drift", drift::run),
    ("memory", memory::run),
    ("sync", sync::run),
];

/// What was measured so far.
#[derive(Default)]
struct Report {
    missed: usize,
}

impl Report {
    /// Prints a figure and whether it keeps its limit.
    fn figure(&mut self, keeps: bool, text: &str) {
        self.missed += usize::from(!keeps);
        let verdict = if keeps { "PASS" } else { "over" };
        println!("{verdict}  {text}");
    }

    /// Prints what has no limit.
    fn note(text: &str) {
        println!("      {text}");
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            println!("failed: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether all limits are kept, or need not be.
fn run(args: &[String]) -> Result<bool> {
    if let [first, rest @ ..] = args
        && let Some(role) = match first.as_str() {
            memory::SERVE => Some(memory::serve as fn(&[String]) -> Result<()>),
            owners::RECORD => Some(owners::record_once as _),
            _ => None,
        }
    {
        return role(rest).map(|()| true);
    }
    let mut report_only = false;
    let mut wanted = Vec::new();
    for arg in args {
        match arg.as_str() {
            // What `cargo bench` adds.
            "--bench" => {}
            "--report-only" => report_only = true,
            name if SECTIONS.iter().any(|(known, _)| *known == name) => wanted.push(name),
            other => return Err(Failure::new(format_args!("nothing is called '{other}'"))),
        }
    }
    let mut report = Report::default();
    for (name, section) in SECTIONS {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        match section(&mut report) {
            Ok(()) => {}
            Err(Unavailable::Missing(reason)) => support::skip(name, &reason)?,
            Err(Unavailable::Broken(failure)) => {
                return Err(Failure::new(format_args!("{name}: {failure}")));
            }
        }
    }
    Ok(report.missed == 0 || report_only)
}

/// A mirror of branch `main`, made where there is none.
fn open_mirror(path: &Path) -> Result<Mirror> {
    Mirror::open(MirrorOptions {
        path: path.to_owned(),
        branch: "main".to_owned(),
        prefix: Prefix::new("").context("the prefix")?,
        author: Author {
            name: "Bench".to_owned(),
            email: "bench@example.invalid".to_owned(),
        },
    })
    .context("the mirror")
}

/// A folder on the disk that the build lies on: a temporary one may lie in memory, where fsync
/// costs nothing.
fn folder() -> Result<tempfile::TempDir> {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(parent).context(parent.display())?;
    tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(parent)
        .context("cannot make a folder")
}

/// The folder in it of that name, made.
fn subfolder(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir(&path).context(path.display())?;
    Ok(path)
}

/// Makes sure, from what `snapshot -o json` printed, that it recorded at least that many files:
/// its last line sums it up.
fn recorded(stdout: &str, objects: usize) -> Result<()> {
    let last = stdout.lines().last().unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_str(last).context("the summary")?;
    let files = summary["files"].as_u64().unwrap_or_default();
    if files < objects as u64 {
        return Err(Failure::new(format_args!("it recorded {files} files")));
    }
    Ok(())
}

/// The value in the middle; of an even number the higher one of two.
fn median<T: PartialOrd + Copy>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("no measurement is NaN"));
    values[values.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let value = work()?;
    Ok((start.elapsed(), value))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A runtime like the program's own.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")
}
