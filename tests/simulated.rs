//! The recorder on the simulator, whose faults the real control plane will not produce on demand.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strandline::canonical;
use strandline::cluster::{Cluster, ListMode, Metrics, ReflectorOptions};
use strandline::filter::{DigestKey, Rules};
use strandline::mirror::{
    Author, BlobId, Heads, Mirror, MirrorOptions, SIDECAR_REFS, Sidecar, SnapshotOptions,
};
use strandline::object::Prefix;
use strandline::record::{
    Facts, Identity, Metrics as RecorderMetrics, ReadPlan, RecorderOptions, Recording, Summary,
    Until, WindowOptions, record,
};
use strandline::simulator::{
    Failure as Fails, Fault, Refusal, Simulator, SimulatorOptions, Storm, Verb,
};
use tokio::sync::{mpsc, watch};

mod support;

use support::expectation::expected_files;
use support::program::Program;
use support::{Context as _, Failure, Result};

const KEY: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(60);

/// A recorder on a simulator, in this process.
struct Rig {
    simulator: Simulator,
    home: tempfile::TempDir,
    cluster: Cluster,
    recorder: Option<Running>,
    mode: ListMode,
    damping: bool,
    counts: RecorderMetrics,
}

struct Running {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<Summary>>,
}

impl Rig {
    async fn new(seed: u64, mode: ListMode) -> Result<Self> {
        let options = SimulatorOptions {
            seed,
            bookmark_interval: Duration::from_millis(200),
            ..SimulatorOptions::default()
        };
        let simulator = Simulator::start(options).await.context("the simulator")?;
        let cluster =
            Cluster::without_credentials(&simulator.url(), "simulated").context("a client")?;
        let home = tempfile::tempdir().context("a temporary folder")?;
        Ok(Self {
            simulator,
            home,
            cluster,
            recorder: None,
            mode,
            damping: true,
            counts: RecorderMetrics::default(),
        })
    }

    fn repository(&self) -> std::path::PathBuf {
        self.home.path().join("mirror.git")
    }

    fn start(&mut self) -> Result<()> {
        let mirror = Mirror::open(MirrorOptions {
            path: self.repository(),
            branch: "main".to_owned(),
            prefix: Prefix::default(),
            author: Author {
                name: "Test".to_owned(),
                email: "test@example.invalid".to_owned(),
            },
        })
        .context("the mirror")?;
        let key = DigestKey::from_bytes(&KEY).context("the key")?;
        let recording = Recording {
            identity: Identity {
                cluster_id: "simulated".to_owned(),
                key_fingerprint: key.fingerprint(),
                digested: false,
            },
            plan: ReadPlan {
                recipients: None,
                rules: Arc::new(Rules::core()),
                digest_key: Arc::new(key),
                owners: true,
                namespaces: Vec::new(),
                reflector: ReflectorOptions {
                    list_mode: self.mode,
                    watch_list_silence: Duration::from_millis(500),
                    ..ReflectorOptions::default()
                },
                cursor: HashMap::new(),
                cursor_valid_for: String::new(),
                seed: self.simulator.seed(),
            },
            options: RecorderOptions {
                window: WindowOptions {
                    quiet_period: Duration::from_millis(40),
                    max_age: Duration::from_millis(300),
                    max_batch: 1_000,
                },
                sync_timeout: Duration::from_secs(2),
                damping: self.damping,
            },
            cluster_name: "simulated".to_owned(),
            clock: || 1_700_000_000,
            until: Until::Stopped,
            dry_run: false,
            maintain: None,
            metrics: self.counts.clone(),
            facts: watch::channel(Facts::default()).1,
        };
        let (stop, stopped) = watch::channel(false);
        let (reports, mut inbox) = mpsc::channel(64);
        tokio::spawn(async move { while inbox.recv().await.is_some() {} });
        let (heads, _) = watch::channel(Heads::default());
        let cluster = self.cluster.clone();
        let task = tokio::spawn(async move {
            record(cluster, mirror, recording, reports, heads, stopped)
                .await
                .context("record")
        });
        self.recorder = Some(Running { stop, task });
        Ok(())
    }

    async fn stop(&mut self) -> Result<Summary> {
        let running = self
            .recorder
            .take()
            .ok_or_else(|| Failure::new("nothing runs"))?;
        running.stop.send_replace(true);
        running.task.await.context("the recorder")?
    }

    fn metrics(&self) -> &Metrics {
        self.cluster.metrics()
    }

    /// Every file that there should be, by path, as Git names its content.
    fn expected(&self) -> BTreeMap<String, String> {
        let as_git_names_it = |object: &Value| {
            let mut bytes = Vec::new();
            canonical::emit(object, &mut bytes);
            BlobId::of(&bytes).to_string()
        };
        expected_files(self.simulator.objects(), &KEY)
            .into_iter()
            .map(|(path, object)| (path, as_git_names_it(&object)))
            .collect()
    }

    async fn converge(&self, what: &str) -> Result<()> {
        let since = Instant::now();
        loop {
            let (found, expected) = (files(&self.repository()), self.expected());
            if found == expected {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                let differ: Vec<_> = expected
                    .keys()
                    .chain(found.keys())
                    .filter(|path| expected.get(*path) != found.get(*path))
                    .take(10)
                    .collect();
                return Err(Failure::new(format!("{what}: no convergence: {differ:?}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn put(&self, name: &str, value: u64) -> Result<()> {
        self.simulator
            .apply("test", config_map(name, &value.to_string()))
            .map(drop)
            .context("a write")
    }

    fn delete(&self, name: &str) -> Result<()> {
        let key = self
            .simulator
            .key("configmaps", Some("default"), name)
            .context("a key")?;
        self.simulator.delete(&key).map(drop).context("a deletion")
    }
}

fn config_map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default" }, "data": { "value": value }
    })
}

/// The blobs of HEAD, by path; none while there is no commit.
fn files(repository: &Path) -> BTreeMap<String, String> {
    let listed = Program::git(repository)
        .args(["ls-tree", "-r", "main"])
        .run();
    let text = listed
        .and_then(support::program::Finished::success)
        .unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (head, path) = line.split_once('\t')?;
            (path != ".strandline.yaml").then(|| {
                (
                    path.to_owned(),
                    head.rsplit(' ').next().unwrap_or_default().to_owned(),
                )
            })
        })
        .collect()
}

fn git(repository: &Path, args: &[&str]) -> Result<String> {
    Program::git(repository).args(args).run()?.success()
}

fn commits(repository: &Path) -> Result<usize> {
    Ok(git(repository, &["rev-list", "main"])?.lines().count())
}

fn fsck(repository: &Path) -> Result<()> {
    let ended = Program::git(repository)
        .args(["fsck", "--strict"])
        .run()?
        .expect_code(0)?;
    assert_eq!(ended.stderr, "", "fsck");
    Ok(())
}

/// Must show 5: the form of 410 that the real server does not send on demand, and the other one.
#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_410_are_counted_and_lose_nothing() -> Result<()> {
    let mut rig = Rig::new(1, ListMode::Pages).await?;
    for n in 0..20 {
        rig.put(&format!("m{n}"), 0)?;
    }
    rig.start()?;
    rig.converge("the first sync").await?;

    for (failure, name) in [
        (Fails::GoneEvent, "event"),
        (Fails::Refuse(Refusal::Gone), "status"),
    ] {
        let fault = Fault::new(failure).resource("configmaps").verb(Verb::Watch);
        rig.simulator.faults().push(fault);
        // Cut, so that the watch is opened again; deletions happen where nobody looks.
        rig.simulator.interrupt(
            Some("configmaps"),
            strandline::simulator::Interruption::CutMidLine,
        );
        rig.delete(if name == "event" { "m0" } else { "m1" })?;
        rig.put("m2", 1)?;
        rig.converge(name).await?;
    }
    assert_eq!(
        rig.metrics().expired_events.get(),
        1,
        "410 as an ERROR event"
    );
    assert_eq!(
        rig.metrics().expired_statuses.get(),
        1,
        "410 as an HTTP status"
    );
    rig.stop().await?;
    fsck(&rig.repository())
}

/// A server that knows no `WatchList`, one that never sends its end, one that is silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_watch_list_is_read_in_pages() -> Result<()> {
    for failure in [
        Fails::Refuse(Refusal::BadRequest),
        Fails::Refuse(Refusal::Unprocessable),
        Fails::NoEndBookmark,
        Fails::Silence,
    ] {
        let mut rig = Rig::new(2, ListMode::WatchList).await?;
        rig.put("m", 0)?;
        rig.simulator
            .faults()
            .push(Fault::new(failure).verb(Verb::WatchList).always());
        rig.start()?;
        rig.converge(&format!("{failure:?}")).await?;
        assert!(rig.metrics().watch_list_fallbacks.get() > 0, "{failure:?}");
        rig.stop().await?;
    }
    Ok(())
}

/// What is refused stays as it is, and comes when it is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_type_is_a_blind_spot_and_keeps_its_files() -> Result<()> {
    let mut rig = Rig::new(3, ListMode::Pages).await?;
    rig.put("kept", 0)?;
    rig.start()?;
    rig.converge("the first sync").await?;
    rig.stop().await?;

    let forbidden = Fault::new(Fails::Refuse(Refusal::Forbidden)).resource("configmaps");
    rig.simulator.faults().push(forbidden.always());
    rig.delete("kept")?;
    rig.start()?;
    rig.simulator
        .apply(
            "test",
            json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "seen" }
            }),
        )
        .context("a namespace")?;
    let since = Instant::now();
    while !files(&rig.repository()).contains_key("cluster/namespaces/seen.yaml") {
        assert!(since.elapsed() < PATIENCE, "other types go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let path = "namespaces/default/configmaps/kept.yaml";
    assert!(
        files(&rig.repository()).contains_key(path),
        "a refusal deletes nothing"
    );
    assert_eq!(rig.metrics().blind_spots.get(), 1);
    let summary = rig.stop().await?;
    assert_eq!(summary.unknown.get("configmaps"), Some(&"forbidden"));

    rig.simulator.faults().clear();
    rig.start()?;
    rig.converge("the right is granted").await?;
    rig.stop().await?;
    Ok(())
}

/// Faults of every kind, drawn from a seed, while objects come, change and go.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_the_mirror_converges() -> Result<()> {
    for seed in 1..=4 {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mode = if seed % 2 == 0 {
            ListMode::Pages
        } else {
            ListMode::WatchList
        };
        let mut rig = Rig::new(seed, mode).await?;
        let storm = Storm {
            seed,
            per_mille: 150,
            failures: vec![
                Fails::Refuse(Refusal::Gone),
                Fails::Refuse(Refusal::Internal),
                Fails::Refuse(Refusal::Unavailable),
                Fails::Refuse(Refusal::TooManyRequests(Duration::from_millis(300))),
                Fails::Hangup,
                Fails::GoneEvent,
                Fails::Cut {
                    after: 2,
                    mid_line: true,
                },
                Fails::Cut {
                    after: 0,
                    mid_line: false,
                },
                Fails::Duplicates,
                Fails::HollowBookmarks,
                Fails::PageLimit(3),
            ],
        };
        rig.simulator.faults().storm(Some(storm));
        rig.start()?;
        let mut names: Vec<String> = Vec::new();
        for step in 0..150_u64 {
            match random.u8(0..10) {
                0..=3 => {
                    let name = format!("m{step}");
                    rig.put(&name, step)?;
                    names.push(name);
                }
                4..=6 if !names.is_empty() => {
                    rig.put(&names[random.usize(0..names.len())], step)?;
                }
                7 | 8 if !names.is_empty() => {
                    rig.delete(&names.swap_remove(random.usize(0..names.len())))?;
                }
                9 => {
                    use strandline::simulator::Interruption as How;
                    let how = [How::End, How::CutMidLine, How::GoneEvent, How::Duplicate];
                    rig.simulator
                        .interrupt(None, how[random.usize(0..how.len())]);
                }
                _ => rig.simulator.compact(),
            }
            if step == 75 {
                rig.stop().await?;
                rig.start()?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        rig.simulator.faults().storm(None);
        rig.converge(&format!("seed {seed}")).await?;
        rig.stop().await?;
        fsck(&rig.repository())?;
    }
    Ok(())
}

/// However late the autoscalers come, a first sync is one commit, and their workloads' replicas
/// are in none.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_commit_waits_for_the_autoscalers() -> Result<()> {
    let mut trees = Vec::new();
    for (mode, late) in [
        (ListMode::Pages, false),
        (ListMode::Pages, true),
        (ListMode::WatchList, true),
    ] {
        let mut rig = Rig::new(5, mode).await?;
        let labels = json!({ "app": "web" });
        let objects = [
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": "web", "namespace": "default" },
                "spec": {
                    "replicas": 3, "selector": { "matchLabels": labels },
                    "template": { "metadata": { "labels": labels }, "spec": { "containers": [] } }
                }
            }),
            json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": { "name": "web", "namespace": "default" },
                "spec": { "maxReplicas": 9, "scaleTargetRef": {
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": "web"
                } }
            }),
        ];
        for object in objects {
            rig.simulator.apply("test", object).context("an object")?;
        }
        if late {
            let busy = Refusal::TooManyRequests(Duration::from_millis(700));
            let fault = Fault::new(Fails::Refuse(busy)).resource("horizontalpodautoscalers");
            rig.simulator.faults().push(fault);
        }
        rig.start()?;
        rig.converge("the first sync").await?;
        rig.stop().await?;
        let repository = rig.repository();
        assert_eq!(commits(&repository)?, 1, "{mode:?}, late: {late}");
        let file = "main:namespaces/default/deployments.apps/web.yaml";
        let file = git(&repository, &["show", file])?;
        assert!(!file.contains("replicas"), "{file}");
        trees.push(git(&repository, &["rev-parse", "main^{tree}"])?);
    }
    assert!(trees.iter().all(|tree| *tree == trees[0]), "{trees:?}");
    Ok(())
}

/// A lock that keeps changing: its thirteenth change waits, and the end of the run commits it.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_keeps_changing_is_sampled_and_nothing_is_lost() -> Result<()> {
    for damping in [true, false] {
        let mut rig = Rig::new(6, ListMode::Pages).await?;
        rig.damping = damping;
        rig.put("lock", 0)?;
        rig.start()?;
        rig.converge("the first sync").await?;
        for n in 1..=12 {
            rig.put("lock", n)?;
            rig.converge("twelve edits are not damped").await?;
        }
        let repository = rig.repository();
        assert_eq!(commits(&repository)?, 13);
        rig.put("lock", 13)?;
        let lock = "namespaces/default/configmaps/lock.yaml";
        if damping {
            // Another object's commit holds what was ready when it was made.
            rig.put("other", 1)?;
            let other = "namespaces/default/configmaps/other.yaml";
            let since = Instant::now();
            while !files(&repository).contains_key(other) {
                assert!(since.elapsed() < PATIENCE, "others do not wait");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert_ne!(files(&repository).get(lock), rig.expected().get(lock));
            assert_eq!(rig.counts.damped_objects.get(), 1);
            assert_eq!(commits(&repository)?, 14);
        } else {
            rig.converge("without damping").await?;
            assert_eq!(rig.counts.damped_objects.get(), 0);
        }
        rig.stop().await?;
        assert_eq!(files(&repository), rig.expected());
        let message = git(&repository, &["log", "-1", "--format=%B"])?;
        let trailer = format!("Strandline-Damped: {lock} 1 change since 20");
        assert_eq!(message.contains(&trailer), damping, "{message}");
    }
    Ok(())
}

/// The sidecar stands beside the branch, comes back where it was lost, and a run that finds nothing
/// new adds nothing but a proof of life.
#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_is_in_step_and_comes_back() -> Result<()> {
    let mut rig = Rig::new(7, ListMode::Pages).await?;
    rig.put("one", 1)?;
    rig.start()?;
    rig.converge("the first sync").await?;
    rig.stop().await?;
    let repository = rig.repository();
    let options = SnapshotOptions {
        path: repository.clone(),
        reference: "refs/heads/main".to_owned(),
        prefix: Prefix::default(),
    };
    let open = || {
        Sidecar::open(&options, SIDECAR_REFS)
            .context("the sidecar")?
            .ok_or_else(|| Failure::new("there is no sidecar"))
    };
    let head = git(&repository, &["rev-parse", "main"])?;
    let in_step = |sidecar: &Sidecar| sidecar.mirror_commit_id().to_string() == head.trim_end();
    let first = open()?;
    assert!(in_step(&first));
    let facts = first.facts().context("the facts")?;
    let coverage: Value = serde_json::from_slice(&facts["coverage.json"]).context("coverage")?;
    assert_eq!(coverage["unknown"], json!({}));
    assert_eq!(coverage["secrets"], "digest");
    let alive = Sidecar::alive(&options, SIDECAR_REFS).context("alive")?;
    let alive = alive.ok_or_else(|| Failure::new("no proof of life"))?;
    assert_eq!(alive.commit_id.to_string(), head.trim_end());
    assert_eq!(alive.time, "2023-11-14T22:13:20Z");
    let chain = || git(&repository, &["rev-list", "refs/strandline/owners"]);
    // A restart that finds one thing new: one commit of each chain, and no other.
    rig.start()?;
    rig.put("two", 1)?;
    rig.converge("a restart").await?;
    rig.stop().await?;
    assert_eq!(commits(&repository)?, 2);
    assert_eq!(chain()?.lines().count(), 2);
    let head = git(&repository, &["rev-parse", "main"])?;
    let in_step = |sidecar: &Sidecar| sidecar.mirror_commit_id().to_string() == head.trim_end();
    assert!(in_step(&open()?));

    // Lost, as after an older version: it is there again, and the branch stays.
    git(&repository, &["update-ref", "-d", "refs/strandline/owners"])?;
    rig.start()?;
    let since = Instant::now();
    while chain().is_err() {
        assert!(since.elapsed() < PATIENCE, "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.stop().await?;
    assert!(in_step(&open()?));
    assert_eq!(git(&repository, &["rev-parse", "main"])?, head);

    // What is not seen is said, in a commit of the sidecar alone.
    let refused = Fault::new(Fails::Refuse(Refusal::Forbidden)).resource("configmaps");
    rig.simulator.faults().push(refused);
    rig.start()?;
    let since = Instant::now();
    let unknown = loop {
        let facts = open()?.facts().context("the facts")?;
        let coverage: Value =
            serde_json::from_slice(&facts["coverage.json"]).context("coverage")?;
        if coverage["unknown"] != json!({}) {
            break coverage["unknown"].clone();
        }
        assert!(since.elapsed() < PATIENCE, "nobody says so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(unknown, json!({ "configmaps": "forbidden" }));
    rig.stop().await?;
    assert_eq!(git(&repository, &["rev-parse", "main"])?, head);
    fsck(&repository)
}
