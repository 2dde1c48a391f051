//! What the sidecar adds to the CPU of a first sync of a real API server: the same recorder with it
//! and without it, each in a process of its own, whose CPU the kernel counts.
//!
//! The objects are published manifests, applied by client, by server and by `create` in turn, and
//! generated ones, of which every other one is as `kubectl apply` makes it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use strandline::cluster::{Cluster, ConnectOptions, ReflectorOptions};
use strandline::filter::{DigestKey, Rules};
use strandline::mirror::Heads;
use strandline::record::{
    Facts, Identity, Metrics, ReadPlan, RecorderOptions, Recording, Until, WindowOptions, record,
};
use tokio::sync::{mpsc, watch};

use crate::support::acid::{Acid, How};
use crate::support::plane::{ADMIN, ControlPlane, Options};
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, Unavailable};
use crate::sync::{OBJECTS, client, fill};
use crate::{Report, folder, median, open_mirror, runtime, subfolder};

/// The argument by which this program is its own recorder: `record KUBECONFIG FOLDER with|without`
/// prints what it took.
pub(crate) const RECORD: &str = "record";

const MIRROR: &str = "mirror.git";
const WARM_UP: usize = 1;
const PAIRS: usize = 9;
/// With the sidecar beside without it.
const MOST: f64 = 1.15;
/// Of the kernel's accounts, on every Linux that Rust knows:
/// <https://man7.org/linux/man-pages/man7/time.7.html> (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn run(report: &mut Report) -> Result<(), Unavailable> {
    let acid = Acid::open()?;
    let plane = ControlPlane::start(&Options::default())?;
    acid.apply(&plane, How::Mixed)?;
    let kubeconfig = plane.kubeconfig(ADMIN)?;
    runtime()?.block_on(async { fill(&client(&kubeconfig).await?, &adorn).await })?;
    let folder = folder()?;
    let mut number = 0;
    let mut sync = |with: &str| {
        number += 1;
        let home = subfolder(folder.path(), &number.to_string())?;
        let cost = recorder(&kubeconfig, &home, with)?;
        std::fs::remove_dir_all(&home).context(home.display())?;
        Ok::<_, Failure>(cost)
    };
    for _ in 0..WARM_UP {
        sync("without")?;
        sync("with")?;
    }
    let (mut bare, mut whole, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // In turns, as the server's caches and the machine's clock change.
        let (without, with) = if pair % 2 == 0 {
            let without = sync("without")?;
            (without, sync("with")?)
        } else {
            let with = sync("with")?;
            (sync("without")?, with)
        };
        ratios.push(with / without);
        bare.push(without);
        whole.push(with);
    }
    let ratio = median(&mut ratios);
    report.figure(
        ratio <= MOST,
        &format!(
            "owners: {ratio:.3} of the CPU with the sidecar (at most {MOST}) in a first sync of {OBJECTS} generated objects and {} published ones: {:.1} µs each beside {:.1} µs",
            acid.objects().count(),
            median(&mut whole),
            median(&mut bare),
        ),
    );
    Ok(())
}

/// Makes every other object as `kubectl apply` does.
fn adorn(index: usize, object: &mut Value) -> &'static str {
    if index.is_multiple_of(2) {
        return "?fieldManager=kubectl-create";
    }
    let applied = format!("{object}\n");
    let annotations = &mut object["metadata"]["annotations"];
    annotations[strandline::owners::LAST_APPLIED] = applied.into();
    "?fieldManager=kubectl-client-side-apply"
}

/// Microseconds of CPU for each object that it recorded.
fn recorder(kubeconfig: &Path, home: &Path, with: &str) -> Result<f64> {
    let program = std::env::current_exe().context("this program's own path")?;
    let ended = Program::new(program)
        .arg(RECORD)
        .arg(kubeconfig)
        .arg(home)
        .arg(with)
        .run()?
        .expect_code(0)?;
    ended.stdout.trim().parse().context("a recorder's answer")
}

/// The recorder's process.
pub(crate) fn record_once(args: &[String]) -> Result<()> {
    let [kubeconfig, home, with] = args else {
        return Err(Failure::new("record takes KUBECONFIG FOLDER with|without"));
    };
    let files = runtime()?.block_on(synced(kubeconfig, Path::new(home), with == "with"))?;
    let cpu = cpu()?;
    let mut known = 0;
    let mirror = open_mirror(&Path::new(home).join(MIRROR))?;
    mirror
        .sidecar_state(&mut |_, _| known += 1)
        .context("the sidecar")?;
    let expected = if with == "with" { files } else { 0 };
    if files < OBJECTS || known != expected {
        return Err(Failure::new(format_args!(
            "it recorded {files} files, and owners of {known}"
        )));
    }
    println!("{}", cpu * 1e6 / files as f64);
    Ok(())
}

async fn synced(kubeconfig: &str, home: &Path, owners: bool) -> Result<usize> {
    let options = ConnectOptions {
        kubeconfig: Some(kubeconfig.into()),
        ..ConnectOptions::default()
    };
    let cluster = Cluster::connect(&options).await.context("the cluster")?;
    let key = DigestKey::from_bytes(b"a key that only a benchmark uses").context("a key")?;
    let recording = Recording {
        identity: Identity {
            cluster_id: "bench".to_owned(),
            key_fingerprint: key.fingerprint(),
            digested: false,
        },
        plan: ReadPlan {
            rules: Arc::new(Rules::core()),
            recipients: None,
            digest_key: Arc::new(key),
            owners,
            namespaces: Vec::new(),
            reflector: ReflectorOptions::default(),
            cursor: HashMap::new(),
            cursor_valid_for: String::new(),
            seed: 1,
        },
        options: RecorderOptions {
            window: WindowOptions::default(),
            sync_timeout: Duration::from_secs(60),
            damping: true,
        },
        cluster_name: "bench".to_owned(),
        clock: || 1_700_000_000,
        until: Until::Synced,
        dry_run: false,
        maintain: None,
        metrics: Metrics::default(),
        facts: watch::channel(Facts::default()).1,
    };
    let (_stop, stopped) = watch::channel(false);
    let (reports, mut inbox) = mpsc::channel(64);
    tokio::spawn(async move { while inbox.recv().await.is_some() {} });
    let (heads, _) = watch::channel(Heads::default());
    let mirror = open_mirror(&home.join(MIRROR))?;
    let summary = record(cluster, mirror, recording, reports, heads, stopped).await;
    Ok(summary.context("record")?.files)
}

/// Seconds of CPU that this process took, in and out of the kernel:
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
fn cpu() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    // The program's name, in brackets, may have spaces.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    let [user, system] = ticks[..] else {
        return Err(Failure::new("/proc/self/stat tells no times"));
    };
    Ok((user + system) / TICKS_PER_SECOND)
}
