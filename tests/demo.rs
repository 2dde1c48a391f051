//! The demo tells the truth: its repository is the simulator's final state, object by object.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use strandline::simulator::{Simulator, SimulatorOptions, shop};

mod support;

use support::expectation::expected_files;
use support::program::Program;
use support::{Context as _, Result};

const LIMIT: Duration = Duration::from_secs(20);

/// Runs the demo in `home`; returns its standard output.
fn demo(home: &Path, seed: u64) -> Result<String> {
    let seed = seed.to_string();
    let ended = Program::strandline(home)
        .args(["demo", "--seed", &seed])
        .run()?
        .expect_code(0)?;
    assert!(ended.took < LIMIT, "the demo took {:?}", ended.took);
    Ok(ended.stdout)
}

fn git(home: &Path, args: &[&str]) -> Result<String> {
    Program::git(&home.join("strandline-demo.git"))
        .args(args)
        .run()?
        .success()
}

/// What every file should hold, from a simulator of our own to which the same story happened.
fn expected(seed: u64, key: &[u8]) -> Result<(BTreeMap<String, Value>, usize)> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let (objects, chapters) = runtime.block_on(async {
        let options = SimulatorOptions {
            seed,
            ..SimulatorOptions::default()
        };
        let simulator = Simulator::start(options).await.context("the simulator")?;
        shop::build(&simulator).context("the shop")?;
        let mut chapters = 0;
        for chapter in shop::story(seed) {
            chapter.play(&simulator).context(&chapter.title)?;
            chapters += usize::from(chapter.leaves_trace);
        }
        Ok((simulator.objects(), chapters))
    })?;
    Ok((expected_files(objects, key), chapters))
}

fn the_repository_is_the_simulators_final_state(seed: u64) -> Result<String> {
    let home = tempfile::tempdir().context("a temporary folder")?;
    let home = home.path();
    let stdout = demo(home, seed)?;
    let fsck = Program::git(&home.join("strandline-demo.git"))
        .args(["fsck", "--strict"])
        .run()?;
    let fsck = fsck.expect_code(0)?;
    assert_eq!(
        (&*fsck.stdout, &*fsck.stderr),
        ("", ""),
        "fsck has nothing to say"
    );

    let key = std::fs::read(home.join("strandline-demo.git/strandline.key")).context("the key")?;
    let (expected, chapters) = expected(seed, key.trim_ascii_end())?;
    let listed = git(home, &["ls-tree", "-r", "--name-only", "main"])?;
    let listed: Vec<_> = listed
        .lines()
        .filter(|path| *path != ".strandline.yaml")
        .collect();
    assert_eq!(listed, expected.keys().collect::<Vec<_>>());
    for (path, object) in &expected {
        let text = git(home, &["show", &format!("main:{path}")])?;
        // Not our own reader: another one agrees.
        let file: Value = serde_yaml::from_str(&text).context(path)?;
        assert_eq!(&file, object, "{path}");
    }

    let log = git(home, &["log", "--reverse", "--format=%s", "main"])?;
    let subjects: Vec<_> = log.lines().collect();
    assert_eq!(
        subjects.len(),
        1 + chapters,
        "one commit for the start and one a chapter: {log}"
    );
    for subject in &subjects {
        assert!(
            stdout.contains(subject),
            "the demo did not show '{subject}'"
        );
    }
    for chapter in shop::story(seed) {
        assert!(
            stdout.contains(&chapter.title),
            "'{}' was not told",
            chapter.title
        );
    }
    Ok(log)
}

#[test]
fn the_story_is_true_and_another_seed_tells_another() -> Result<()> {
    let one = the_repository_is_the_simulators_final_state(1)?;
    let other = the_repository_is_the_simulators_final_state(5)?;
    assert_ne!(one, other);
    Ok(())
}

/// The drift report that the demo ends with, as JSON.
fn drift_of(seed: u64) -> Result<Value> {
    let home = tempfile::tempdir().context("a temporary folder")?;
    let seed = seed.to_string();
    let told = Program::strandline(home.path())
        .args(["demo", "--seed", &seed, "-o", "json"])
        .run()?
        .expect_code(0)?
        .stdout;
    let mut reports = told.lines().filter_map(|line| {
        let mut event: Value = serde_json::from_str(line).expect("each line is JSON");
        event.get_mut("drift").map(Value::take)
    });
    let report = reports.next().expect("a report");
    assert_eq!(reports.next(), None);
    Ok(report)
}

/// What an object of a report became.
fn object<'r>(report: &'r Value, kind: &str, name: &str) -> &'r Value {
    let mut objects = report["objects"].as_array().expect("objects").iter();
    let found = objects.find(|object| object["kind"] == kind && object["name"] == name);
    found.expect("the object that was asked for is in the report")
}

/// The class, manager, operation and time of a field.
fn field<'r>(object: &'r Value, path: &str) -> [&'r Value; 4] {
    let mut fields = object["fields"].as_array().expect("fields").iter();
    let found = fields.find(|field| field["path"] == path);
    let field = found.expect("the field that was asked for is in its object");
    ["class", "manager", "operation", "time"].map(|part| &field[part])
}

#[test]
fn it_ends_with_each_class_of_drift() -> Result<()> {
    for seed in [1, 2, 3] {
        let report = drift_of(seed)?;
        let classes = |objects: &Value| {
            let objects = objects.as_array().into_iter().flatten();
            let classes = objects.map(|object| object["class"].as_str().expect("a class"));
            classes.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let of_objects = classes(&report["objects"]);
        let all = [
            "Extra", "Ignored", "Missing", "Modified", "Pending", "Unknown",
        ];
        assert!(
            of_objects.iter().eq(all.iter()),
            "seed {seed}: {of_objects:?}"
        );
        let objects = report["objects"].as_array().expect("objects");
        let of_fields: BTreeSet<String> = objects
            .iter()
            .flat_map(|one| classes(&one["fields"]))
            .collect();
        let all = [
            "Added", "Changed", "Dropped", "Ignored", "Pending", "Removed",
        ];
        assert!(
            of_fields.iter().eq(all.iter()),
            "seed {seed}: {of_fields:?}"
        );

        // What everybody but the story's people wrote is as it was asked for.
        let summary = &report["summary"];
        let of = |class: &str| summary[class].as_u64().expect("a count");
        assert!(of("inSync") > 45, "seed {seed}: {summary}");
        assert_eq!(
            (of("pending"), of("unknown"), of("missing")),
            (1, 1, 1),
            "seed {seed}"
        );
        assert_eq!(of("notCompared"), 0, "seed {seed}: the key is there");
        let pending = object(&report, "ConfigMap", "web-config");
        assert_eq!(pending["class"], "Pending");
        assert_eq!(field(pending, "data.LOG_LEVEL")[0], "Pending");
        assert_eq!(
            object(&report, "ConfigMap", "catalog-debug")["class"],
            "Extra"
        );
        assert_eq!(object(&report, "Secret", "shop-tls")["class"], "Ignored");
        let broken = object(&report, "Secret", "webhook-token");
        assert_eq!(broken["class"], "Unknown");
        let reason = broken["reason"].as_str().expect("a reason");
        assert!(reason.contains("put it in quotes"), "{reason}");
        let dropped = field(
            object(&report, "CronJob", "settlement"),
            "spec.startingDeadlineSecond",
        );
        assert_eq!(dropped[..2], [&json!("Dropped"), &Value::Null]);

        let config = field(
            object(&report, "ConfigMap", "catalog-config"),
            "data.LOG_LEVEL",
        );
        let kubectl_edit = json!("kubectl-edit");
        assert_eq!(
            config[..3],
            [&json!("Changed"), &kubectl_edit, &json!("Update")]
        );
        let catalog = object(&report, "Deployment", "catalog");
        let env = |name| format!("spec.template.spec.containers[name=catalog].env[name={name}]");
        let added = field(catalog, &env("TRACE_SQL"));
        assert_eq!(
            added[..3],
            [&json!("Added"), &kubectl_edit, &json!("Update")]
        );
        for time in [config[3], added[3]] {
            let time = time.as_str().expect("a time");
            assert!(time.starts_with("2026-03-02T"), "{time}");
        }
        // Nobody records who removed a field.
        let removed = field(catalog, &env("REGION"));
        assert_eq!(removed[..2], [&json!("Removed"), &Value::Null]);
    }
    Ok(())
}

#[test]
fn the_same_seed_drifts_alike() -> Result<()> {
    let [one, same, other] = [drift_of(4)?, drift_of(4)?, drift_of(6)?];
    assert_eq!(one["objects"], same["objects"]);
    assert_eq!(
        one["sources"], same["sources"],
        "the commits are the same, too"
    );
    assert_ne!(one["objects"], other["objects"]);
    Ok(())
}

#[test]
fn only_a_demos_repository_is_replaced() -> Result<()> {
    let home = tempfile::tempdir().context("a temporary folder")?;
    let home = home.path();
    demo(home, 1)?;
    demo(home, 2)?;
    std::fs::create_dir(home.join("mine.git")).context("a folder")?;
    std::fs::write(home.join("mine.git/HEAD"), "mine").context("a file")?;
    let refused = Program::strandline(home)
        .args(["demo", "--repository", "mine.git"])
        .run()?
        .expect_code(2)?;
    assert!(
        refused.stderr.contains("not a demo's repository"),
        "{}",
        refused.stderr
    );
    let kept = std::fs::read_to_string(home.join("mine.git/HEAD")).context("the file")?;
    assert_eq!(kept, "mine");
    // Neither is a folder that somebody has where the desired one would lie.
    std::fs::create_dir(home.join("other-desired")).context("a folder")?;
    let refused = Program::strandline(home)
        .args(["demo", "--repository", "other.git"])
        .run()?
        .expect_code(2)?;
    assert!(
        refused.stderr.contains("other-desired is not a demo's"),
        "{}",
        refused.stderr
    );
    assert!(!home.join("other.git").exists());
    Ok(())
}
