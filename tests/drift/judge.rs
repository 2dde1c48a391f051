//! What a mirror alone says at each of many commits, by the program's own functions.
//!
//! A run of `drift --mirror` for each of 500 commits would read the same facts and the same files
//! 500 times. The test starts itself once more instead: a process without a kubeconfig that reads
//! the mirror once, then at each commit what that commit changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strandline::drift::defaults::Tables;
use strandline::drift::desired::{Desired, Identity, RenderContext, Source, read_source};
use strandline::drift::evaluate::{Evaluator, Question, Tally};
use strandline::drift::live::{Facts, Live, RecordedFile, assemble, object_of};
use strandline::drift::report::{self, LiveInfo};
use strandline::filter::DigestKey;
use strandline::mirror::{At, BlobId, SIDECAR_REFS, Sidecar, Snapshot, SnapshotOptions};
use strandline::object::Prefix;
use strandline::owners::Deployers;

use crate::product::KEY;
use crate::support::{Context as _, Failure, Result};

/// Set where the test's program is to be a judge.
pub(crate) const ASKED: &str = "STRANDLINE_TEST_JUDGE";

/// What a judge reads from its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) repository: PathBuf,
    /// As of `--desired`.
    pub(crate) sources: Vec<String>,
    /// The commit before the first one.
    pub(crate) base: String,
    /// One report each, in this order.
    pub(crate) commits: Vec<String>,
    /// Minor versions whose tables of defaults are used, each for a report of its own.
    pub(crate) minors: Vec<u32>,
}

/// Judges, and writes a list of reports for each commit.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "its answer")]
pub(crate) fn main() -> ExitCode {
    match judge() {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn judge() -> Result<Value> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("the request")?;
    let request: Request = serde_json::from_str(&text).context("the request")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    let sources = Source::parse_all(&request.sources).context("the sources")?;
    let mut desired = Vec::new();
    for source in &sources {
        desired.push(runtime.block_on(read_source(source, &RenderContext::default())));
    }
    let start = Instant::now();
    let mut mirror = Mirror::open(&request)?;
    let opened = start.elapsed();
    let start = Instant::now();
    let mut reports = Vec::new();
    for commit in &request.commits {
        let touched = mirror.move_to(commit)?;
        let mut of_commit = Vec::new();
        for minor in &request.minors {
            let report = mirror.report(&desired, *minor, touched.as_ref())?;
            of_commit.push(serde_json::from_str::<Value>(&report).context("a report")?);
        }
        reports.push(of_commit);
    }
    Ok(json!({
        "reports": reports,
        "opened": opened.as_secs_f64(),
        "judged": start.elapsed().as_secs_f64(),
    }))
}

/// A file and what the sidecar has of it.
#[derive(Clone, PartialEq)]
struct Side {
    blob: BlobId,
    owners: Option<Arc<[u8]>>,
    times: Option<Arc<[u8]>>,
}

/// A mirror as one commit has it.
struct Mirror {
    options: SnapshotOptions,
    sides: BTreeMap<String, Side>,
    facts: BTreeMap<String, Vec<u8>>,
    live: Live,
    /// Identities by path.
    identities: BTreeMap<String, Identity>,
}

impl Mirror {
    fn open(request: &Request) -> Result<Self> {
        let options = SnapshotOptions {
            path: request.repository.clone(),
            reference: "refs/heads/main".to_owned(),
            prefix: Prefix::default(),
        };
        let (snapshot, sides, facts) = read(&options, &request.base)?;
        let live = whole(&snapshot, &sides, &facts)?;
        let identities = identities(&live);
        Ok(Self {
            options,
            sides,
            facts,
            live,
            identities,
        })
    }

    /// Goes on to another commit; returns the objects that it touches, `None` for all.
    fn move_to(&mut self, commit: &str) -> Result<Option<BTreeSet<Identity>>> {
        let (snapshot, sides, facts) = read(&self.options, commit)?;
        let paths: BTreeSet<&String> = self.sides.keys().chain(sides.keys()).collect();
        let changed: Vec<String> = paths
            .into_iter()
            .filter(|path| self.sides.get(*path) != sides.get(*path))
            .cloned()
            .collect();
        let definition = |path: &String| path.contains("/customresourcedefinitions.");
        if facts != self.facts || changed.iter().any(definition) {
            self.live = whole(&snapshot, &sides, &facts)?;
            self.identities = identities(&self.live);
            (self.sides, self.facts) = (sides, facts);
            return Ok(None);
        }
        let mut touched = BTreeSet::new();
        for path in changed {
            if let Some(gone) = self.identities.remove(&path) {
                self.live.objects.remove(&gone);
                touched.insert(gone);
            }
            if let Some(side) = sides.get(&path) {
                let file = recorded(&snapshot, &path, side)?;
                let (identity, object) =
                    object_of(file).map_err(|reason| Failure::new(format!("{path}: {reason}")))?;
                self.live.objects.insert(identity.clone(), object);
                self.identities.insert(path, identity.clone());
                touched.insert(identity);
            }
        }
        self.sides = sides;
        Ok(Some(touched))
    }

    /// What drift says of these objects, as its JSON.
    fn report(
        &self,
        desired: &[Desired],
        minor: u32,
        touched: Option<&BTreeSet<Identity>>,
    ) -> Result<String> {
        let key = DigestKey::from_bytes(&KEY).context("the digest key")?;
        let tables = Tables::of(minor);
        let deployers = Deployers {
            extra: Vec::new(),
            managers: None,
        };
        let question = Question {
            live: &self.live,
            desired,
            ignores: &[],
            deployers: &deployers,
            digest_key: Some(&key),
            tables: &tables,
            namespaces: &[],
            selector: None,
            stale: None,
            show_in_sync: true,
        };
        let evaluator = Evaluator::new(question);
        let mut tally = Tally::new(&question);
        for (identity, object) in evaluator.subjects() {
            if touched.is_none_or(|touched| touched.contains(identity))
                && let Some(judged) = evaluator.judge_opened(identity, object)
            {
                tally.add(judged);
            }
        }
        Ok(report::json::render(&tally.finish()))
    }
}

type Sides = BTreeMap<String, Side>;
type FactFiles = BTreeMap<String, Vec<u8>>;

/// What a commit and its sidecar hold.
fn read(options: &SnapshotOptions, commit: &str) -> Result<(Snapshot, Sides, FactFiles)> {
    let at = At::Revision(commit.to_owned());
    let snapshot = Snapshot::open(options.clone(), &at).context(commit)?;
    let sidecar = Sidecar::of(options, SIDECAR_REFS, snapshot.head().commit_id)
        .context(commit)?
        .ok_or_else(|| Failure::new(format!("{commit} has no sidecar")))?;
    let mut sides = Sides::new();
    for entry in snapshot.index().context(commit)?.iter() {
        let side = Side {
            blob: entry.blob_id,
            owners: None,
            times: None,
        };
        sides.insert(entry.path(), side);
    }
    sidecar
        .for_each(|path, owners, times| {
            if let Some(side) = sides.get_mut(path) {
                side.owners = Some(owners.into());
                side.times = times.map(Into::into);
            }
        })
        .context(commit)?;
    let facts = sidecar.facts().context(commit)?;
    Ok((snapshot, sides, facts))
}

fn recorded(snapshot: &Snapshot, path: &str, side: &Side) -> Result<RecordedFile> {
    Ok(RecordedFile {
        bytes: snapshot.read_blob(side.blob, path).context(path)?,
        path: path.into(),
        owners: side.owners.clone(),
        times: side.times.clone(),
    })
}

fn whole(snapshot: &Snapshot, sides: &Sides, facts: &FactFiles) -> Result<Live> {
    let files = sides
        .iter()
        .map(|(path, side)| recorded(snapshot, path, side))
        .collect::<Result<Vec<_>>>()?;
    let facts = Facts::read(facts).context("facts")?;
    assemble(files, &facts, LiveInfo::default(), None).context("the live side")
}

fn identities(live: &Live) -> BTreeMap<String, Identity> {
    let objects = live.objects.iter();
    objects
        .map(|(identity, object)| (object.path.to_string(), identity.clone()))
        .collect()
}
