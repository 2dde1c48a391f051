//! From the bytes of a watch event to the blob id of its file, on one thread.
//!
//! The floor is a bare parse of the same bytes into a `serde_json::Value`: what any program pays
//! that looks into an object at all.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strandline::cluster::WatchEvent;
use strandline::filter::{Autoscaled, DigestKey, Rules, Selection, TypePlan, presets};
use strandline::object::ApiType;
use strandline::record::{Content, Pipeline};
use strandline::simulator::load::Load;
use strandline::simulator::{Simulator, SimulatorOptions};

use crate::support::{Context as _, Failure, Result, Unavailable};
use crate::{Report, median, runtime};

const OBJECTS: usize = 2_000;
const TYPES: usize = 10;
/// Passes over all objects that nobody times: a heap that has been used is what a recorder has
/// after its first minute, and a bare parse is quicker on one that has not.
const WARM_UP: usize = 4;
const PAIRS: usize = 15;
/// Share of the floor's rate that is the least.
const LEAST: f64 = 0.6;

/// A line of a watch, and what the recorder keeps for its type.
struct Event {
    line: Vec<u8>,
    api_type: Arc<ApiType>,
    pipeline: Pipeline,
}

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    let events = events()?;
    for _ in 0..WARM_UP {
        bare(&events)?;
        whole(&events)?;
    }
    let (mut floors, mut times, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // Whoever comes second finds the other's heap, so they take turns.
        let (floor, time) = if pair % 2 == 0 {
            let floor = bare(&events)?;
            (floor, whole(&events)?)
        } else {
            let time = whole(&events)?;
            (bare(&events)?, time)
        };
        floors.push(floor);
        times.push(time);
        shares.push(floor.as_secs_f64() / time.as_secs_f64());
    }
    let bytes: usize = events.iter().map(|event| event.line.len()).sum();
    let share = median(&mut shares);
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e6;
    let (floor, time) = (median(&mut floors), median(&mut times));
    report.figure(
        share >= LEAST,
        &format!(
            "pipeline: {share:.2} of the rate of a bare parse (at least {LEAST}): {:.0} MB/s, {:.0} objects/s beside {:.0} MB/s; {OBJECTS} objects of {} bytes, one thread",
            rate(time),
            OBJECTS as f64 / time.as_secs_f64(),
            rate(floor),
            bytes / OBJECTS,
        ),
    );
    Ok(())
}

fn bare(events: &[Event]) -> Result<Duration> {
    let start = Instant::now();
    for event in events {
        let value: Value = serde_json::from_slice(&event.line).context("a bare parse")?;
        black_box(value);
    }
    Ok(start.elapsed())
}

fn whole(events: &[Event]) -> Result<Duration> {
    let nobody = Autoscaled::default();
    let start = Instant::now();
    for event in events {
        let read = WatchEvent::read(&event.line, &event.api_type).context("a watch event")?;
        let staged = event
            .pipeline
            .stage(read.object, &nobody)
            .context("an object")?;
        if !matches!(black_box(staged).content, Content::File { .. }) {
            return Err(Failure::new("an object was left out, which is no work"));
        }
    }
    Ok(start.elapsed())
}

/// Generated objects of several types in the order of a busy cluster: no two neighbours alike.
fn events() -> Result<Vec<Event>> {
    let load = Load {
        objects: OBJECTS,
        types: TYPES,
    };
    let runtime = runtime()?;
    let simulator = runtime
        .block_on(Simulator::start(SimulatorOptions::default()))
        .context("the simulator")?;
    load.fill(&simulator).context("the load")?;
    // All presets on: they must not cost much.
    let selection = Selection {
        presets: presets().iter().map(|p| (p.name.clone(), true)).collect(),
        ..Selection::default()
    };
    let rules = Rules::assemble(&selection).expect("embedded rules");
    let digest_key = DigestKey::from_bytes(b"a key that only a benchmark uses").context("a key")?;
    let digest_key = Arc::new(digest_key);
    let mut pipelines: BTreeMap<Arc<ApiType>, Pipeline> = BTreeMap::new();
    let mut events = Vec::with_capacity(OBJECTS);
    for index in 0..OBJECTS {
        let key = load.key(&simulator, index).context("a key")?;
        let object = simulator.get(&key);
        let object = object.ok_or_else(|| Failure::new("the load lacks an object"))?;
        let api_type = key.api_type;
        if !pipelines.contains_key(&api_type) {
            let TypePlan::Watched(type_rules) = rules.plan(&api_type) else {
                return Err(Failure::new("the load holds a type that is not recorded"));
            };
            let pipeline = Pipeline::new(
                api_type.clone(),
                Arc::from(type_rules),
                Arc::clone(&digest_key),
            );
            pipelines.insert(api_type.clone(), pipeline);
        }
        let line = json!({ "type": "MODIFIED", "object": object }).to_string();
        events.push(Event {
            line: line.into_bytes(),
            pipeline: pipelines[&api_type].clone(),
            api_type,
        });
    }
    Ok(events)
}
