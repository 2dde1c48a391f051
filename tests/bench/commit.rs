//! One commit in a large mirror, durable: deflate, trees, pack, index, refs and every fsync.
//!
//! The floor is the disk's: what an fsync of a small file beside it takes at the same time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use strandline::mirror::{BlobId, Commit, Mirror, Store as _};

use crate::support::{Context as _, Failure, Result, Unavailable};
use crate::{Report, folder, median, milliseconds, open_mirror, timed};

const NAMESPACES: usize = 100;
const TYPES: usize = 20;
const PER_TYPE: usize = 50;
const FILES: usize = NAMESPACES * TYPES * PER_TYPE;
const FILE_BYTES: usize = 1_600;
/// Files that a commit changes, and how many milliseconds it may take on top of [`FSYNCS`].
const COMMITS: [(usize, f64); 3] = [(1, 3.0), (100, 30.0), (1_000, 140.0)];
/// Pack, index, directory, refs: so many times the median fsync are the disk's share.
const FSYNCS: f64 = 6.0;
const ROUNDS: usize = 7;
/// With each round, so that disk and commit see the same neighbours.
const FSYNCS_PER_ROUND: usize = 3;

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    let folder = folder()?;
    let path = folder.path().join("mirror.git");
    let mut mirror = open_mirror(&path)?;
    let (filled, ()) = timed(|| commit(&mut mirror, &files(FILES, 0)))?;
    Report::note(&format!(
        "commit: the first one, of {FILES} files of {FILE_BYTES} bytes, took {:.1} s",
        filled.as_secs_f64()
    ));
    let mut round = 0;
    for (changed, most) in COMMITS {
        let (mut times, mut fsyncs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            round += 1;
            let files = files(changed, round);
            for _ in 0..FSYNCS_PER_ROUND {
                fsyncs.push(fsync(&path)?);
            }
            times.push(timed(|| commit(&mut mirror, &files))?.0);
        }
        let (time, fsync) = (
            milliseconds(median(&mut times)),
            milliseconds(median(&mut fsyncs)),
        );
        let limit = most + FSYNCS * fsync;
        report.figure(
            time <= limit,
            &format!(
                "commit: {time:.1} ms for {changed} of {FILES} files (at most {most} ms + {FSYNCS} × {fsync:.2} ms of fsync = {limit:.1} ms)"
            ),
        );
    }
    Ok(())
}

/// What the recorder does with a batch: every blob staged, then the commit.
fn commit(mirror: &mut Mirror, files: &[(String, BlobId, Vec<u8>)]) -> Result<()> {
    let mut changes = Vec::with_capacity(files.len());
    for (path, blob_id, bytes) in files {
        mirror.stage_blob(*blob_id, bytes).context("a blob")?;
        changes.push((path.as_str().into(), Some(*blob_id)));
    }
    let commit = Commit {
        changes,
        message: format!("{} objects", files.len()),
        ..Commit::default()
    };
    let committed = mirror.commit(&commit).context("a commit")?;
    committed
        .map(drop)
        .ok_or_else(|| Failure::new("the commit changed nothing"))
}

/// That many of the mirror's files, evenly spread over it, as they are in that round.
fn files(count: usize, round: usize) -> Vec<(String, BlobId, Vec<u8>)> {
    (0..count)
        .map(|number| {
            let at = number * (FILES / count);
            let namespace = at / (TYPES * PER_TYPE);
            let (kind, name) = (at / PER_TYPE % TYPES, at % PER_TYPE);
            let path = format!(
                "namespaces/team-{namespace:03}/kind{kind:02}s.example.com/app-{name:03}.yaml"
            );
            let bytes = file(at, round);
            (path, BlobId::of(&bytes), bytes)
        })
        .collect()
}

/// A file that deflates about as well as a canonical one.
fn file(at: usize, round: usize) -> Vec<u8> {
    let mut text = format!(
        "apiVersion: example.com/v1\nkind: Kind\nmetadata:\n  name: app-{at}\n  labels:\n    round: \"{round}\"\nspec:\n  settings:\n"
    );
    let mut random = fastrand::Rng::with_seed(at as u64);
    let mut line = 0;
    while text.len() < FILE_BYTES {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  - name: setting-{line:02}\n    value: value-{:08x}",
            random.u32(..)
        );
        line += 1;
    }
    text.truncate(FILE_BYTES - 1);
    text.push('\n');
    text.into_bytes()
}

/// How long a small new file takes to get to disk.
fn fsync(folder: &Path) -> Result<Duration> {
    let path = folder.join("fsync");
    let mut file = File::create(&path).context(path.display())?;
    file.write_all(&[b'x'; 512]).context(path.display())?;
    let (time, ()) = timed(|| file.sync_all().context(path.display()))?;
    std::fs::remove_file(&path).context(path.display())?;
    Ok(time)
}
