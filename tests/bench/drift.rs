//! `strandline drift` of a large mirror against as many desired files: how long, how much memory,
//! and what it costs to judge one object again.
//!
//! The schemas are a real server's, so this needs the control plane's binaries.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use strandline::canonical;
use strandline::drift::defaults::Tables;
use strandline::drift::desired::{self, Desired};
use strandline::drift::evaluate::{Evaluator, Question};
use strandline::drift::live::{ClusterFacts, Facts, KindFact, RecordedFile, assemble};
use strandline::drift::report::LiveInfo;
use strandline::drift::schema::{Schemas, from_openapi};
use strandline::filter::{Autoscaled, DigestKey, Rules, Selection, TypePlan};
use strandline::mirror::{BlobId, Commit, SidecarBlobs, SidecarChanges, Store as _};
use strandline::object::{ApiType, RawObject};
use strandline::owners::Deployers;
use strandline::record::{Content, Pipeline};
use strandline::simulator::load::Load;
use strandline::simulator::{Simulator, SimulatorOptions};

use crate::support::plane::{ControlPlane, Options};
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, Unavailable};
use crate::{Report, folder, median, memory, milliseconds, open_mirror, runtime, subfolder};

const OBJECTS: usize = 20_000;
/// All that the load has of built-in ones.
const TYPES: usize = 7;
/// Where their schemas are.
const DOCUMENTS: [&str; 3] = ["api/v1", "apis/apps/v1", "apis/batch/v1"];
/// In seconds.
const MOST_TIME: f64 = 2.0;
/// In megabytes of 1,000,000 bytes.
const MOST_MEMORY: f64 = 300.0;
/// In milliseconds, of one object.
const MOST_AGAIN: f64 = 5.0;
const RUNS: usize = 5;
/// One object in so many differs from what is desired.
const DRIFTED: usize = 1_000;

/// Both sides of one object.
struct Object {
    path: Arc<str>,
    bytes: Vec<u8>,
    owners: Vec<u8>,
    times: Option<Vec<u8>>,
    desired: Vec<u8>,
}

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    let schemas = schemas()?;
    let rules = Rules::assemble(&Selection::default()).expect("embedded rules");
    let (objects, types) = objects(&rules)?;
    let facts = facts(&rules, schemas, &types)?;
    let folder = folder()?;
    let mirror = folder.path().join("mirror.git");
    write_mirror(&mirror, &objects, &facts)?;
    let desired = subfolder(folder.path(), "desired")?;
    let mut bytes = 0;
    for object in &objects {
        let path = desired.join(&*object.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).context(parent.display())?;
        }
        bytes += object.desired.len();
        std::fs::write(&path, &object.desired).context(path.display())?;
    }
    let (mut times, mut peaks) = (Vec::new(), Vec::new());
    for number in 0..RUNS {
        let home = subfolder(folder.path(), &format!("home-{number}"))?;
        let start = Instant::now();
        let mut child = Program::strandline(&home)
            .args(["drift", "-o", "json", "--mirror"])
            .arg(&mirror)
            .args(["--desired", &format!("load={}", desired.display())])
            .spawn(&format!("drift-{number}"), folder.path())?;
        let (code, peak, took) = memory::watch(&mut child, start)?;
        check(code, &child.stdout()?, &child.log_tail(20))?;
        times.push(took.as_secs_f64());
        peaks.push(peak);
    }
    let (time, peak) = (median(&mut times), median(&mut peaks));
    report.figure(
        time < MOST_TIME,
        &format!(
            "drift: {time:.2} s for {OBJECTS} recorded against {OBJECTS} desired objects of {:.1} MB (under {MOST_TIME} s)",
            bytes as f64 / 1e6
        ),
    );
    report.figure(
        peak < MOST_MEMORY,
        &format!("drift: {peak:.0} MB at most (under {MOST_MEMORY} MB)"),
    );
    again(report, objects, &facts)?;
    Ok(())
}

/// Makes sure that everything was compared, and that what drifted was found, and nothing else.
fn check(code: i32, stdout: &str, log: &str) -> Result<()> {
    let parsed: Value = serde_json::from_str(stdout).context(format_args!("{code}: {log}"))?;
    let summary = &parsed["summary"];
    let drifted = OBJECTS / DRIFTED;
    if code != 1 || summary["modified"] != drifted || summary["inSync"] != OBJECTS - drifted {
        return Err(Failure::new(format_args!(
            "it ended with {code}: {summary}"
        )));
    }
    Ok(())
}

/// The types of the load, as a server publishes them.
fn schemas() -> Result<Schemas, Unavailable> {
    let plane = ControlPlane::start(&Options::default())?;
    let mut schemas = Schemas::default();
    for document in DOCUMENTS {
        let value = plane.raw(&format!("/openapi/v3/{document}"))?;
        let types = from_openapi(value.to_string().as_bytes()).context(document)?;
        schemas.extend(types);
    }
    Ok(schemas)
}

fn objects(rules: &Rules) -> Result<(Vec<Object>, Vec<Arc<ApiType>>)> {
    let load = Load {
        objects: OBJECTS,
        types: TYPES,
    };
    let runtime = runtime()?;
    let simulator = runtime
        .block_on(Simulator::start(SimulatorOptions::default()))
        .context("the simulator")?;
    load.fill(&simulator).context("the load")?;
    let digest_key = DigestKey::from_bytes(b"a key that only a benchmark uses").context("a key")?;
    let digest_key = Arc::new(digest_key);
    let mut pipelines: BTreeMap<Arc<ApiType>, Pipeline> = BTreeMap::new();
    let mut objects = Vec::with_capacity(OBJECTS);
    for index in 0..OBJECTS {
        let key = load.key(&simulator, index).context("a key")?;
        let mut object = simulator
            .get(&key)
            .ok_or_else(|| Failure::new("the load lacks an object"))?;
        let api_type = key.api_type;
        if !pipelines.contains_key(&api_type) {
            let TypePlan::Watched(type_rules) = rules.plan(&api_type) else {
                return Err(Failure::new("the load holds a type that is not recorded"));
            };
            let key = Arc::clone(&digest_key);
            let pipeline = Pipeline::new(api_type.clone(), Arc::from(type_rules), key);
            pipelines.insert(api_type.clone(), pipeline);
        }
        let raw =
            RawObject::parse(object.to_string().as_bytes(), &api_type).context("an object")?;
        let staged = pipelines[&api_type]
            .stage(raw, &Autoscaled::default())
            .context("an object")?;
        let (Content::File { bytes, .. }, Some(side)) = (staged.content, staged.sidecar) else {
            return Err(Failure::new("an object of the load is not recorded"));
        };
        if index % DRIFTED == 0 {
            object["metadata"]["annotations"]["example.com/owner"] = "nobody".into();
        }
        objects.push(Object {
            path: staged.path,
            bytes,
            owners: side.owners,
            times: (!side.times.is_empty()).then_some(side.times),
            desired: manifest(object),
        });
    }
    Ok((objects, pipelines.into_keys().collect()))
}

/// What somebody would have applied.
fn manifest(mut object: Value) -> Vec<u8> {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if object["kind"] == "Service"
        && let Some(spec) = object["spec"].as_object_mut()
    {
        // The server allocated them: nobody asks for them.
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(field);
        }
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "managedFields",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
        ] {
            metadata.remove(field);
        }
    }
    let mut text = Vec::new();
    canonical::emit(&object, &mut text);
    text
}

fn facts(
    rules: &Rules,
    schemas: Schemas,
    types: &[Arc<ApiType>],
) -> Result<BTreeMap<String, Vec<u8>>> {
    let kind = |api_type: &Arc<ApiType>| KindFact {
        group: api_type.group.clone(),
        kind: api_type.kind.clone(),
        resource: api_type.resource.clone(),
        versions: vec![api_type.version.clone()],
        namespaced: api_type.namespaced,
    };
    let cluster = ClusterFacts {
        server_version: "v1.36.0".to_owned(),
        kinds: types.iter().map(kind).collect(),
        ..ClusterFacts::default()
    };
    let schemas = BTreeMap::from([("all".to_owned(), schemas)]);
    let fingerprint = rules.fingerprint();
    let mut files = Facts::write(&cluster, &Selection::default(), fingerprint, &schemas)
        .context("the facts")?;
    files.insert("coverage.json".to_owned(), b"{}".to_vec());
    Ok(files)
}

fn write_mirror(path: &Path, objects: &[Object], facts: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    let mut mirror = open_mirror(path)?;
    let mut commit = Commit::default();
    let mut side = SidecarChanges {
        facts: facts
            .iter()
            .map(|(name, bytes)| (name.clone(), Some(bytes.clone())))
            .collect(),
        ..SidecarChanges::default()
    };
    for object in objects {
        let mut stage = |bytes: &[u8]| {
            let id = BlobId::of(bytes);
            mirror.stage_blob(id, bytes).context("a blob").map(|()| id)
        };
        let file = stage(&object.bytes)?;
        let owners = stage(&object.owners)?;
        let times = object.times.as_deref().map(&mut stage).transpose()?;
        commit.changes.push((object.path.clone(), Some(file)));
        let blobs = SidecarBlobs { owners, times };
        side.objects.push((object.path.clone(), Some(blobs)));
    }
    commit.sidecar = Some(side);
    mirror.commit(&commit).context("the commit")?;
    Ok(())
}

/// What the recorder does when one object has changed.
fn again(
    report: &mut Report,
    objects: Vec<Object>,
    facts: &BTreeMap<String, Vec<u8>>,
) -> Result<()> {
    let mut files = Vec::with_capacity(objects.len());
    let mut read = desired::Read::default();
    for object in objects {
        let name: Arc<str> = object.path.clone();
        read.extend(desired::read(&name, &object.desired));
        files.push(RecordedFile {
            path: (&*object.path).into(),
            bytes: object.bytes,
            owners: Some(object.owners.into()),
            times: object.times.map(Into::into),
        });
    }
    let facts = Facts::read(facts).context("the facts")?;
    let live = assemble(files, &facts, LiveInfo::default(), None).context("the live side")?;
    let desired = [Desired {
        name: "load".to_owned(),
        manifests: read.manifests,
        ..Desired::default()
    }];
    let tables = Tables::of(36);
    let deployers = Deployers::default();
    let evaluator = Evaluator::new(Question {
        live: &live,
        desired: &desired,
        ignores: &[],
        deployers: &deployers,
        digest_key: None,
        tables: &tables,
        namespaces: &[],
        selector: None,
        stale: None,
        show_in_sync: false,
    });
    let mut times = Vec::new();
    for (identity, object) in evaluator.subjects().into_iter().step_by(19) {
        let start = Instant::now();
        black_box(evaluator.judge_opened(identity, object));
        times.push(milliseconds(start.elapsed()));
    }
    let time = median(&mut times);
    report.figure(
        time < MOST_AGAIN,
        &format!("drift: {time:.3} ms to judge one object again (under {MOST_AGAIN} ms)"),
    );
    Ok(())
}
