//! The demo tells the truth: its repository is the simulator's final state, object by object.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
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
    Ok(())
}
