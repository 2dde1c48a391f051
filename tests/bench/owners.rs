//! What the sidecar adds to the CPU of a first sync: the same objects read, filtered, staged and
//! committed with it and without it, on one thread.
//!
//! The objects are a real API server's, with the `managedFields` that it wrote: published manifests
//! applied by client, by server and by `create` in turn, and generated workloads by both. Each is
//! there a few times under other names and times, as in a cluster where teams run the same things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use strandline::canonical;
use strandline::cluster::WatchEvent;
use strandline::filter::{Autoscaled, Context, DigestKey, Rules, TypePlan, TypeRules, Verdict};
use strandline::mirror::{
    Author, BlobId, Commit, Mirror, MirrorOptions, SidecarBlobs, SidecarChanges, Store as _,
};
use strandline::object::{ApiType, Prefix};
use strandline::record::{Content, Pipeline};
use strandline::simulator::load::Load;
use strandline::simulator::{Simulator, SimulatorOptions};

use crate::support::acid::{Acid, How};
use crate::support::plane::{ControlPlane, Options};
use crate::support::{Context as _, Failure, Result, Unavailable};
use crate::sync::as_asked;
use crate::{Report, folder, median, runtime, subfolder};

/// Generated objects that are applied in either way, over the load's types that a real server takes.
const GENERATED: usize = 120;
const TYPES: usize = 6;
/// How often each object is there.
const COPIES: usize = 5;
const WARM_UP: usize = 1;
const PAIRS: usize = 7;
/// With the sidecar beside without it.
const MOST: f64 = 1.15;

/// A line of a watch, and what the recorder keeps for its type.
struct Event {
    line: Vec<u8>,
    api_type: Arc<ApiType>,
    rules: Arc<TypeRules>,
    pipeline: Pipeline,
}

/// Nanoseconds of CPU.
#[derive(Clone, Copy)]
struct Cost {
    /// From the line to the ids of its blobs.
    pipeline: u64,
    /// Packing and committing.
    mirror: u64,
}

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    let key = DigestKey::from_bytes(b"a key that only a benchmark uses").context("a key")?;
    let key = Arc::new(key);
    let events = events(&key)?;
    let folder = folder()?;
    let mut number = 0;
    let mut sync = |with: bool| {
        number += 1;
        let home = subfolder(folder.path(), &number.to_string())?;
        let mirror = MirrorOptions {
            path: home.join("mirror.git"),
            branch: "main".to_owned(),
            prefix: Prefix::new("").context("the prefix")?,
            author: Author {
                name: "Bench".to_owned(),
                email: "bench@example.invalid".to_owned(),
            },
        };
        let mirror = Mirror::open(mirror).context("the mirror")?;
        let cost = first_sync(&events, &key, mirror, with)?;
        std::fs::remove_dir_all(&home).context(home.display())?;
        Ok::<_, Failure>(cost)
    };
    for _ in 0..WARM_UP {
        sync(false)?;
        sync(true)?;
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        // Whoever comes second finds the other's heap, so they take turns.
        let (bare, whole) = if pair % 2 == 0 {
            let bare = sync(false)?;
            (bare, sync(true)?)
        } else {
            let whole = sync(true)?;
            (sync(false)?, whole)
        };
        let total = |cost: Cost| (cost.pipeline + cost.mirror) as f64;
        ratios.push(total(whole) / total(bare));
        without.push(bare);
        with.push(whole);
    }
    let ratio = median(&mut ratios);
    let each = |costs: &[Cost], part: fn(&Cost) -> u64| {
        let mut times: Vec<u64> = costs.iter().map(part).collect();
        median(&mut times) as f64 / events.len() as f64 / 1e3
    };
    let parts = |costs: &[Cost]| (each(costs, |c| c.pipeline), each(costs, |c| c.mirror));
    let ((pipeline, mirror), (pipeline_with, mirror_with)) = (parts(&without), parts(&with));
    report.figure(
        ratio <= MOST,
        &format!(
            "owners: {ratio:.3} of the CPU with the sidecar (at most {MOST}) in a first sync of {} objects: {:.1} µs each beside {:.1} µs; pipeline {pipeline_with:.1} beside {pipeline:.1}, mirror {mirror_with:.1} beside {mirror:.1}",
            events.len(),
            pipeline_with + mirror_with,
            pipeline + mirror,
        ),
    );
    Ok(())
}

/// Nanoseconds that this thread was on a CPU:
/// <https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat>.
fn cpu() -> Result<u64> {
    // A thread that gives way has its account brought up to date.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("schedstat")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().context("schedstat")
}

fn first_sync(
    events: &[Event],
    key: &Arc<DigestKey>,
    mut mirror: Mirror,
    with: bool,
) -> Result<Cost> {
    let nobody = Autoscaled::default();
    let context = Context {
        digest_key: key,
        autoscaled: &nobody,
    };
    let (mut changes, mut sidecar) = (Vec::new(), Vec::new());
    let mut cost = Cost {
        pipeline: 0,
        mirror: 0,
    };
    // As the recorder does: files wait, and go into the pack some at a time.
    for some in events.chunks(500) {
        let mut blobs = Vec::new();
        let start = cpu()?;
        for event in some {
            let mut read = WatchEvent::read(&event.line, &event.api_type).context("an event")?;
            if !with {
                let object_key = read.object.key(&event.api_type).context("an object")?;
                let path = object_key.path();
                let verdict = event.rules.apply(&mut read.object, &object_key, &context);
                if let Verdict::Keep { .. } = verdict {
                    let mut bytes = Vec::with_capacity(2 << 10);
                    canonical::emit(&read.object.value, &mut bytes);
                    let id = BlobId::of(&bytes);
                    blobs.push((id, bytes));
                    changes.push((path, Some(id)));
                }
                continue;
            }
            let staged = event.pipeline.stage(read.object, &nobody);
            let staged = staged.context("an object")?;
            let (Content::File { blob_id, bytes, .. }, Some(file)) =
                (staged.content, staged.sidecar)
            else {
                continue;
            };
            blobs.push((blob_id, bytes));
            changes.push((staged.path.to_string(), Some(blob_id)));
            let owners = BlobId::of(&file.owners);
            let times = (!file.times.is_empty()).then(|| BlobId::of(&file.times));
            blobs.push((owners, file.owners));
            blobs.extend(times.map(|id| (id, file.times)));
            sidecar.push((staged.path, Some(SidecarBlobs { owners, times })));
        }
        let read = cpu()?;
        cost.pipeline += read - start;
        for (id, bytes) in blobs {
            mirror.stage_blob(id, &bytes).context("a blob")?;
        }
        cost.mirror += cpu()? - read;
    }
    if changes.is_empty() {
        return Err(Failure::new("nothing was recorded"));
    }
    let start = cpu()?;
    let commit = Commit {
        changes,
        sidecar: with.then(|| SidecarChanges {
            objects: sidecar,
            ..SidecarChanges::default()
        }),
        ..Commit::default()
    };
    mirror.commit(&commit).context("a commit")?;
    cost.mirror += cpu()? - start;
    Ok(cost)
}

fn events(key: &Arc<DigestKey>) -> Result<Vec<Event>, Unavailable> {
    let acid = Acid::open()?;
    let plane = ControlPlane::start(&Options {
        controller_manager: true,
        ..Options::default()
    })?;
    acid.apply(&plane, How::Mixed)?;
    generate(&plane)?;
    let mut objects = Vec::new();
    for (list, api_type) in types(&plane)? {
        let Some(items) = plane.raw(&list)?.get_mut("items").map(Value::take) else {
            continue;
        };
        let items = items.as_array().cloned().unwrap_or_default();
        objects.extend(items.into_iter().map(|item| (api_type.clone(), item)));
    }
    drop(plane);
    // A busy cluster has no two neighbours alike.
    fastrand::Rng::with_seed(1).shuffle(&mut objects);
    Ok(copies(&objects, key))
}

/// Generated workloads, half of them by a client's apply.
fn generate(plane: &ControlPlane) -> Result<()> {
    let load = Load {
        objects: 2 * GENERATED,
        types: TYPES,
    };
    let runtime = runtime()?;
    let simulator = runtime
        .block_on(Simulator::start(SimulatorOptions::default()))
        .context("the simulator")?;
    load.fill(&simulator).context("the load")?;
    let mut namespaces = BTreeSet::new();
    let mut lists = [Vec::new(), Vec::new()];
    for index in 0..2 * GENERATED {
        let key = load.key(&simulator, index).context("a key")?;
        let object = simulator.get(&key);
        let object = object.ok_or_else(|| Failure::new("the load lacks an object"))?;
        namespaces.extend(object["metadata"]["namespace"].as_str().map(str::to_owned));
        lists[index / GENERATED].push(as_asked(object));
    }
    let list = |items: Value| json!({"apiVersion": "v1", "kind": "List", "items": items});
    let namespaces = namespaces
        .iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    plane.apply(&list(namespaces.collect()))?;
    let [by_server, by_client] = lists;
    plane.apply(&list(by_server.into()))?;
    let manifest = list(by_client.into()).to_string();
    let kubectl = plane.kubectl_as(crate::support::plane::ADMIN)?;
    let kubectl = kubectl.args(["apply", "-f", "-"]).stdin(manifest);
    kubectl.run()?.success().map(drop)
}

/// Every type that can be listed, by the path of its list.
fn types(plane: &ControlPlane) -> Result<Vec<(String, Arc<ApiType>)>> {
    let mut versions = vec![("/api/v1".to_owned(), "v1".to_owned())];
    for group in plane.raw("/apis")?["groups"]
        .as_array()
        .into_iter()
        .flatten()
    {
        if let Some(version) = group["preferredVersion"]["groupVersion"].as_str() {
            versions.push((format!("/apis/{version}"), version.to_owned()));
        }
    }
    let mut types = Vec::new();
    for (path, version) in versions {
        // An API service without a backend is listed too.
        let Ok(resources) = plane.raw(&path) else {
            continue;
        };
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        for resource in resources["resources"].as_array().into_iter().flatten() {
            let name = resource["name"].as_str().unwrap_or_default();
            let verbs = resource["verbs"].as_array();
            if name.contains('/') || !verbs.is_some_and(|verbs| verbs.contains(&json!("watch"))) {
                continue;
            }
            let api_type = ApiType {
                group: group.into(),
                version: version.into(),
                resource: name.into(),
                kind: resource["kind"].as_str().unwrap_or_default().into(),
                namespaced: resource["namespaced"] == true,
            };
            types.push((format!("{path}/{name}"), Arc::new(api_type)));
        }
    }
    Ok(types)
}

fn copies(objects: &[(Arc<ApiType>, Value)], key: &Arc<DigestKey>) -> Vec<Event> {
    let rules = Rules::core();
    let mut known: BTreeMap<Arc<ApiType>, (Arc<TypeRules>, Pipeline)> = BTreeMap::new();
    let mut events = Vec::new();
    for copy in 0..COPIES {
        for (api_type, object) in objects {
            if !known.contains_key(api_type) {
                let TypePlan::Watched(of_type) = rules.plan(api_type) else {
                    continue;
                };
                let of_type: Arc<TypeRules> = Arc::from(of_type);
                let pipeline = Pipeline::new(api_type.clone(), of_type.clone(), key.clone());
                known.insert(api_type.clone(), (of_type, pipeline));
            }
            let (rules, pipeline) = &known[api_type];
            let mut object = object.clone();
            let metadata = &mut object["metadata"];
            let name = format!("{}-{copy}", metadata["name"].as_str().unwrap_or_default());
            metadata["name"] = name.into();
            let entries = metadata["managedFields"].as_array_mut();
            for (at, entry) in entries.into_iter().flatten().enumerate() {
                if entry.get("time").is_some() {
                    let minute = (events.len() / 60) % 60;
                    let second = (events.len() + at) % 60;
                    entry["time"] = format!("2026-01-0{copy}T01:{minute:02}:{second:02}Z").into();
                }
            }
            let line = json!({"type": "ADDED", "object": object}).to_string();
            events.push(Event {
                line: line.into_bytes(),
                api_type: api_type.clone(),
                rules: rules.clone(),
                pipeline: pipeline.clone(),
            });
        }
    }
    events
}
