//! The sidecar of a large cluster: how large it is, how fast it is read, what a proof of life costs.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;

use strandline::mirror::{
    BlobId, Commit, Mirror, SIDECAR_REFS, Sidecar, SidecarBlobs, SidecarChanges, SnapshotOptions,
    Store as _,
};
use strandline::object::Prefix;

use crate::support::{Context as _, Failure, Result, Unavailable};
use crate::{Report, folder, milliseconds, open_mirror, timed};

const OBJECTS: usize = 100_000;
/// Kinds of objects, deployers and their habits: so many shapes are distinct.
const SHAPES: usize = 30;
const SHAPE_BYTES: usize = 1_500;
/// One object in so many was written by a person, at a time of its own.
const BY_PEOPLE: usize = 5;
/// In megabytes of 1,000,000 bytes.
const MOST: f64 = 30.0;
const READ: usize = 20_000;
/// In milliseconds.
const MOST_TO_READ: f64 = 300.0;
const BEATS: usize = 1_000;

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    for (objects, limited) in [(READ, false), (OBJECTS, true)] {
        let folder = folder()?;
        let path = folder.path().join("mirror.git");
        let mut mirror = open_mirror(&path)?;
        // A branch of one file: the pack of the commit after it is the sidecar's alone.
        let file = b"a: 1\n";
        mirror
            .stage_blob(BlobId::of(file), file)
            .context("a file")?;
        let first = Commit {
            changes: vec![("cluster/nodes/a.yaml".into(), Some(BlobId::of(file)))],
            ..Commit::default()
        };
        mirror.commit(&first).context("the first commit")?;
        let (took, committed) = timed(|| write(&mut mirror, objects))?;
        let reader = SnapshotOptions {
            path: path.clone(),
            reference: "refs/heads/main".to_owned(),
            prefix: Prefix::new("").context("the prefix")?,
        };
        if limited {
            let megabytes = committed as f64 / 1e6;
            report.figure(
                megabytes <= MOST,
                &format!(
                    "sidecar: {megabytes:.1} MB packed for {objects} objects of {SHAPES} shapes (at most {MOST} MB), written in {:.1} s",
                    took.as_secs_f64()
                ),
            );
            beats(report, &mut mirror, &path)?;
        } else {
            let (took, count) = timed(|| read(&reader))?;
            let took = milliseconds(took);
            report.figure(
                took <= MOST_TO_READ && count == objects,
                &format!(
                    "sidecar: {took:.0} ms to read {count} objects (at most {MOST_TO_READ} ms)"
                ),
            );
        }
    }
    Ok(())
}

fn write(mirror: &mut Mirror, objects: usize) -> Result<u64> {
    let mut changes = Vec::with_capacity(objects);
    let shapes: Vec<Vec<u8>> = (0..SHAPES).map(shape).collect();
    for at in 0..objects {
        let owners = &shapes[at % SHAPES];
        let owners_id = BlobId::of(owners);
        mirror.stage_blob(owners_id, owners).context("a shape")?;
        let times = (at % BY_PEOPLE == 0).then(|| {
            let second = at * 37;
            format!(
                r#"[null,"2026-03-{:02}T{:02}:{:02}:{:02}Z"]"#,
                1 + second / 86_400 % 28,
                second / 3_600 % 24,
                second / 60 % 60,
                second % 60
            )
        });
        let times = match times {
            None => None,
            Some(text) => {
                let id = BlobId::of(text.as_bytes());
                mirror.stage_blob(id, text.as_bytes()).context("times")?;
                Some(id)
            }
        };
        let (namespace, kind) = (at % 100, at / 100 % 20);
        let path: Arc<str> = format!(
            "namespaces/team-{namespace:03}/kind{kind:02}s.example.com/app-{at:06}-web.yaml"
        )
        .into();
        let blobs = SidecarBlobs {
            owners: owners_id,
            times,
        };
        changes.push((path, Some(blobs)));
    }
    let commit = Commit {
        sidecar: Some(SidecarChanges {
            objects: changes,
            ..SidecarChanges::default()
        }),
        ..Commit::default()
    };
    let committed = mirror.commit(&commit).context("the sidecar")?;
    committed
        .map(|committed| committed.bytes_written)
        .ok_or_else(|| Failure::new("the commit changed nothing"))
}

fn read(options: &SnapshotOptions) -> Result<usize> {
    let sidecar = Sidecar::open(options, SIDECAR_REFS)
        .context("the sidecar")?
        .ok_or_else(|| Failure::new("there is no sidecar"))?;
    let mut count = 0;
    let mut bytes = 0;
    sidecar
        .for_each(|_, owners, times| {
            count += 1;
            bytes += owners.len() + times.map_or(0, <[u8]>::len);
        })
        .context("the sidecar")?;
    if bytes < count * SHAPE_BYTES {
        return Err(Failure::new("it read less than was written"));
    }
    Ok(count)
}

/// What the repository grows by over three and a half days of proofs of life.
fn beats(report: &mut Report, mirror: &mut Mirror, path: &std::path::Path) -> Result<()> {
    mirror.beat("2026-01-01T00:00:00Z", 0).context("a beat")?;
    let before = kilobytes(path)?;
    let (took, ()) = timed(|| {
        for beat in 0..BEATS {
            let time = format!("2026-01-02T{:02}:{:02}:00Z", beat / 60, beat % 60);
            mirror.beat(&time, 0).context("a beat")?;
        }
        Ok(())
    })?;
    let grown = kilobytes(path)?.saturating_sub(before);
    report.figure(
        grown <= 16,
        &format!(
            "sidecar: {BEATS} proofs of life grow the repository by {grown} KB (at most 16 KB), {:.1} ms each",
            milliseconds(took) / BEATS as f64
        ),
    );
    Ok(())
}

/// What a folder takes on disk.
fn kilobytes(path: &std::path::Path) -> Result<u64> {
    let output = Command::new("du").arg("-sk").arg(path).output();
    let output = output.context("du")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split_whitespace().next().unwrap_or_default();
    number.parse().context("what du says")
}

/// A shape as a Deployment's is: a table of writers and a trie of leaves.
fn shape(number: usize) -> Vec<u8> {
    let mut text = format!(
        r#"{{"writers":[["deployer-{number}","Apply","","apps/v1"],["kubectl-edit","Update","","apps/v1"]],"leaves":{{"#
    );
    let mut random = fastrand::Rng::with_seed(number as u64);
    while text.len() < SHAPE_BYTES {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#""field{:03}":{{"{}":[0,1],"{:04x}":[0]}},"#,
            random.u16(..) % 500,
            random.u8(..) % 8,
            random.u16(..)
        );
    }
    text.push_str(r#""z":[0]}}"#);
    text.into_bytes()
}
