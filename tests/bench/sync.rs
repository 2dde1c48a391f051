//! A first sync of a real API server.
//!
//! The floor is a bare paginated read of the same objects by the same client: what the server and
//! the wire take.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use strandline::object::ApiType;
use strandline::simulator::load::Load;
use strandline::simulator::{Simulator, SimulatorOptions};

use crate::support::plane::{ADMIN, ControlPlane, Options};
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, Unavailable};
use crate::{Report, folder, median, recorded, runtime, subfolder, timed};

pub(crate) const OBJECTS: usize = 10_000;
/// The load's built-in types but for the last, whose objects a real server refuses.
const TYPES: usize = 6;
const PAGE: usize = 500;
/// Writes at a time.
const WRITERS: usize = 32;
const ROUNDS: usize = 3;
/// Over the bare read.
const MOST: Duration = Duration::from_secs(2);
const MODES: [&str; 2] = ["pages", "watch-list"];

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    let plane = ControlPlane::start(&Options::default())?;
    let kubeconfig = plane.kubeconfig(ADMIN)?;
    let runtime = runtime()?;
    let (client, resources) = runtime.block_on(async {
        let client = client(&kubeconfig).await?;
        let resources = fill(&client, &|_, _| "").await?;
        Ok::<_, Failure>((client, resources))
    })?;
    let read = || {
        timed(|| {
            let read = runtime.block_on(bare_read(&client, &resources))?;
            if read < OBJECTS {
                return Err(Failure::new(format_args!(
                    "the bare read had {read} objects"
                )));
            }
            Ok(())
        })
    };
    let folder = folder()?;
    // The first of each warms the server's caches and is not counted.
    read()?;
    snapshot(&subfolder(folder.path(), "warm")?, &kubeconfig, None)?;
    let (mut floors, mut times) = (Vec::new(), Vec::new());
    let mut by_mode = MODES.map(|mode| (mode, Vec::new()));
    for round in 0..ROUNDS {
        floors.push(read()?.0);
        let home = subfolder(folder.path(), &format!("default-{round}"))?;
        times.push(snapshot(&home, &kubeconfig, None)?);
        for (mode, times) in &mut by_mode {
            let home = subfolder(folder.path(), &format!("{mode}-{round}"))?;
            times.push(snapshot(&home, &kubeconfig, Some(mode))?);
        }
    }
    let (floor, time) = (median(&mut floors), median(&mut times));
    let over = time.saturating_sub(floor);
    report.figure(
        over <= MOST,
        &format!(
            "sync: {:.2} s over a bare read (at most {} s) in a first sync of {OBJECTS} objects of a real API server: {:.2} s beside {:.2} s",
            over.as_secs_f64(),
            MOST.as_secs(),
            time.as_secs_f64(),
            floor.as_secs_f64(),
        ),
    );
    for (mode, times) in &mut by_mode {
        Report::note(&format!(
            "sync: {:.2} s with --list-mode {mode}",
            median(times).as_secs_f64()
        ));
    }
    Ok(())
}

fn snapshot(home: &Path, kubeconfig: &Path, mode: Option<&str>) -> Result<Duration> {
    let mut program = Program::strandline(home)
        .args(["snapshot", "--quiet", "-o", "json", "--kubeconfig"])
        .arg(kubeconfig);
    if let Some(mode) = mode {
        program = program.args(["--list-mode", mode]);
    }
    let ended = program.run()?.expect_code(0)?;
    recorded(&ended.stdout, OBJECTS)?;
    Ok(ended.took)
}

pub(crate) async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).context("the kubeconfig")?;
    let config = kube::Config::from_custom_kubeconfig(
        kubeconfig,
        &kube::config::KubeConfigOptions::default(),
    )
    .await
    .context("the kubeconfig")?;
    kube::Client::try_from(config).context("a client")
}

/// Writes the generated objects; returns the paths of their lists. Each is adorned before, which
/// says the query to write it with.
pub(crate) async fn fill(
    client: &kube::Client,
    adorn: &dyn Fn(usize, &mut Value) -> &'static str,
) -> Result<Vec<String>> {
    let load = Load {
        objects: OBJECTS,
        types: TYPES,
    };
    let simulator = Simulator::start(SimulatorOptions::default())
        .await
        .context("the simulator")?;
    load.fill(&simulator).context("the load")?;
    let mut objects: BTreeMap<Arc<ApiType>, Vec<(Value, &str)>> = BTreeMap::new();
    for index in 0..OBJECTS {
        let key = load.key(&simulator, index).context("a key")?;
        let object = simulator.get(&key);
        let object = object.ok_or_else(|| Failure::new("the load lacks an object"))?;
        let mut object = as_asked(object);
        let query = adorn(index, &mut object);
        let of_type = objects.entry(key.api_type).or_default();
        of_type.push((object, query));
    }
    let namespaces: std::collections::BTreeSet<String> = objects
        .values()
        .flatten()
        .filter_map(|(object, _)| Some(object["metadata"]["namespace"].as_str()?.to_owned()))
        .collect();
    for name in namespaces {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
        });
        create(client, "/api/v1/namespaces".to_owned(), &namespace).await?;
    }
    let mut lists = Vec::new();
    for (api_type, objects) in &objects {
        let root = if api_type.group.is_empty() {
            "api"
        } else {
            "apis"
        };
        let root = format!("/{root}/{}", api_type.api_version());
        stream::iter(objects)
            .map(|(object, query)| {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
                let path = format!("{root}/namespaces/{namespace}/{}{query}", api_type.resource);
                create(client, path, object)
            })
            .buffer_unordered(WRITERS)
            .try_collect::<Vec<()>>()
            .await?;
        lists.push(format!("{root}/{}", api_type.resource));
    }
    Ok(lists)
}

/// An object without what the simulator added to it.
fn as_asked(mut object: Value) -> Value {
    let metadata = &object["metadata"];
    let metadata: Value = ["namespace", "name", "labels", "annotations"]
        .into_iter()
        .map(|field| (field.to_owned(), metadata[field].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    object["metadata"] = metadata;
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|field, _| !field.starts_with("clusterIP"));
    }
    object
}

async fn create(client: &kube::Client, path: String, object: &Value) -> Result<()> {
    let request = Request::post(&path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(object.to_string().into_bytes())
        .context(&path)?;
    client
        .request_text(request)
        .await
        .map(drop)
        .context(format_args!("POST {path}"))
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    items: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    continue_token: String,
}

/// Reads every page of every list, one list beside the other; returns how many objects there were.
async fn bare_read(client: &kube::Client, lists: &[String]) -> Result<usize> {
    let counts: Vec<usize> = stream::iter(lists)
        .map(|list| bare_list(client, list))
        .buffer_unordered(lists.len())
        .try_collect()
        .await?;
    Ok(counts.iter().sum())
}

async fn bare_list(client: &kube::Client, list: &str) -> Result<usize> {
    let mut count = 0;
    let mut token = String::new();
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &PAGE.to_string());
        if !token.is_empty() {
            query.append_pair("continue", &token);
        }
        let path = format!("{list}?{}", query.finish());
        let request = Request::get(&path).body(Vec::new()).context(&path)?;
        let text = client.request_text(request).await.context(&path)?;
        let page: Page = serde_json::from_str(&text).context(list)?;
        count += page.items.len();
        token = page.metadata.continue_token;
        if token.is_empty() {
            return Ok(count);
        }
    }
}
