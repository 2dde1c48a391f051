//! All acid sets: recorded, restored into an empty control plane, recorded there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libtest_mimic::Completion;
use serde_json::Value;

use crate::mirror::Mirror;
use crate::support::acid::{Acid, How};
use crate::support::plane::{ADMIN, ControlPlane, Options};
use crate::support::program::{Finished, Program};
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Failure, Result, Unavailable, wait_for};

/// How often the second restore is killed before it may end.
const KILLS: usize = 10;

/// Everything that a whole cluster needs.
const ALL: [&str; 5] = [
    "--apply",
    "--yes",
    "--include-jobs",
    "--include-owned",
    "--include-managed",
];

/// `strandline restore` of a mirror into a cluster.
pub(crate) fn restore(mirror: &Mirror, plane: &ControlPlane, args: &[&str]) -> Result<Program> {
    let wait = if args.contains(&"--wait") { "" } else { "25s" };
    Ok(Program::strandline(mirror.home())
        .arg("restore")
        .args(["--repository", "mirror.git", "-o", "json"])
        .env("STRANDLINE_WAIT", wait)
        .arg("--kubeconfig")
        .arg(plane.kubeconfig(ADMIN)?)
        .args(args)
        .deadline(Duration::from_secs(240)))
}

pub(crate) fn result(done: &Finished) -> Result<Value> {
    serde_json::from_str(done.stdout.trim())
        .context(format_args!("no JSON: {}{}", done.stdout, done.stderr))
}

/// The objects of one class or result, as `kind namespace/name`.
pub(crate) fn names(result: &Value, field: &str, value: &str) -> Vec<String> {
    let objects = result["objects"].as_array();
    objects
        .into_iter()
        .flatten()
        .filter(|object| object[field] == value)
        .map(|object| {
            let text = |field: &str| object[field].as_str().unwrap_or_default();
            format!("{} {}/{}", text("kind"), text("namespace"), text("name"))
        })
        .collect()
}

/// Every object that failed, with the reason.
fn failures(result: &Value) -> Vec<String> {
    let objects = result["objects"].as_array();
    objects
        .into_iter()
        .flatten()
        .filter(|object| object["result"] == "failed")
        .map(|object| {
            format!(
                "{} {}: {}",
                object["kind"], object["name"], object["reason"]
            )
        })
        .collect()
}

pub(crate) fn the_acid_sets_come_back(plane: &ControlPlane) -> Outcome {
    let acid = match Acid::open() {
        Ok(acid) => acid,
        Err(Unavailable::Missing(reason)) => return skipped("the_acid_sets_come_back", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let applied = acid.apply(plane, How::Mixed)?;
    assert!(applied.refused.is_empty(), "{:?}", applied.refused);
    settle(plane)?;
    let recorded = Mirror::new(plane)?;
    complete_snapshot(&recorded)?;
    let expected = recorded.files()?;

    let whole = empty_plane()?;
    let start = Instant::now();
    // Secrets with values need them from elsewhere: 3.
    let done = restore(&recorded, &whole, &ALL)?.run()?.expect_code(3)?;
    let took = start.elapsed();
    let first = result(&done)?;
    assert_eq!(failures(&first), [""; 0]);
    let created = first["results"]["created"].as_u64();
    assert!(created > Some(200), "{created:?} created");
    let lacking: Vec<String> = ["needs-value", "unserved", "blocked"]
        .iter()
        .flat_map(|class| names(&first, "class", class))
        .collect();
    assert!(
        !lacking.is_empty() && lacking.iter().all(|name| name.starts_with("Secret ")),
        "{lacking:?}"
    );
    settle(&whole)?;
    compare(&expected, &record(&whole)?, &first)?;

    let again = result(&restore(&recorded, &whole, &ALL)?.run()?.expect_code(3)?)?;
    for written in ["created", "updated", "linked", "failed", "left"] {
        assert_eq!(names(&again, "result", written), [""; 0]);
    }
    drop(whole);

    let killed = empty_plane()?;
    let seed = std::env::var("STRANDLINE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    #[expect(
        clippy::print_stdout,
        reason = "a seed is printed; so are the figures of the issue"
    )]
    {
        println!(
            "restoring: seed {seed}, {} objects in {:.2} s",
            first["results"]["created"],
            took.as_secs_f64()
        );
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut most = u64::try_from(took.as_millis())
        .unwrap_or(u64::MAX)
        .max(4000);
    let mut cut = Vec::new();
    // Most of a run is made of looking at what is there, so that later runs get further.
    for _ in 0..KILLS {
        let mut child = restore(&recorded, &killed, &ALL)?.spawn("restore", recorded.home())?;
        let after = Duration::from_millis(random.u64(most / 12..most / 3));
        let begin = Instant::now();
        let ended = wait_for(
            "the moment to kill",
            after + Duration::from_secs(60),
            || {
                if child.try_wait()?.is_some() {
                    return Ok(Some(true));
                }
                Ok((begin.elapsed() >= after).then_some(false))
            },
        )?;
        if ended {
            // The less there is left to do, the sooner a run is over: the next one is cut earlier.
            most = u64::try_from(begin.elapsed().as_millis())
                .unwrap_or(most)
                .clamp(600, most);
        } else {
            child.stop("KILL", Duration::from_secs(10))?;
        }
        let roles = killed.kubectl(["get", "clusterroles,crds,deployments", "-A", "-o", "name"])?;
        cut.push((after.as_millis(), !ended, roles.stdout.lines().count()));
    }
    let cuts = cut.iter().filter(|(_, killed, _)| *killed).count();
    assert!(cuts >= 5, "seed {seed}: too few runs were killed: {cut:?}");
    let last = result(&restore(&recorded, &killed, &ALL)?.run()?.expect_code(3)?)?;
    assert_eq!(failures(&last), [""; 0], "seed {seed}");
    settle(&killed)?;
    compare(&expected, &record(&killed)?, &first)
        .map_err(|error| Failure::new(format!("seed {seed}, killed at {cut:?}: {error}")))?;
    #[expect(clippy::print_stdout, reason = "where it was killed")]
    {
        println!("killed at (ms, killed, objects by then): {cut:?}");
    }
    Ok(Completion::Completed)
}

fn empty_plane() -> Result<ControlPlane> {
    let options = Options {
        controller_manager: true,
        ..Options::default()
    };
    ControlPlane::start(&options).map_err(|error| Failure::new(format!("{error:?}")))
}

fn record(plane: &ControlPlane) -> Result<BTreeMap<String, Vec<u8>>> {
    let mirror = Mirror::new(plane)?;
    complete_snapshot(&mirror)?;
    mirror.files()
}

/// A type whose CRD is young answers 429 for a while: it is unknown, and follows.
fn complete_snapshot(mirror: &Mirror) -> Result<()> {
    wait_for("a complete snapshot", Duration::from_secs(60), || {
        Ok((mirror.snapshot(&[])?.code == Some(0)).then_some(()))
    })
}

/// Holds two trees against each other, less the identity, what the system makes, and Secrets,
/// whose values are digests.
fn compare(
    expected: &BTreeMap<String, Vec<u8>>,
    found: &BTreeMap<String, Vec<u8>>,
    result: &Value,
) -> Result<()> {
    let objects = result["objects"].as_array();
    let system_made: Vec<&str> = objects
        .into_iter()
        .flatten()
        .filter(|object| object["class"] == "system-made")
        .filter_map(|object| object["path"].as_str())
        .collect();
    let counts = |path: &&String| {
        *path != ".strandline.yaml"
            && !path.contains("/secrets/")
            && !system_made.contains(&path.as_str())
    };
    let mut wrong = Vec::new();
    for path in expected.keys().filter(counts) {
        match found.get(path) {
            None => wrong.push(format!("{path} is missing")),
            Some(file) if *file != expected[path] => wrong.push(format!(
                "{path} differs:\n{}\n--- expected\n{}",
                String::from_utf8_lossy(file),
                String::from_utf8_lossy(&expected[path])
            )),
            Some(_) => {}
        }
    }
    let surplus = found
        .keys()
        .filter(counts)
        .filter(|path| !expected.contains_key(*path));
    wrong.extend(surplus.map(|path| format!("{path} is surplus")));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{} files: {}",
            wrong.len(),
            wrong.join("\n")
        )))
    }
}

/// Waits until controllers have made of the objects what they make of them.
pub(crate) fn settle(plane: &ControlPlane) -> Result<()> {
    const WATCHED: &str = "deployments,statefulsets,daemonsets,services,serviceaccounts,\
        clusterroles,persistentvolumeclaims,horizontalpodautoscalers,crds,configmaps,namespaces";
    let mut last = String::new();
    wait_for("a cluster at rest", Duration::from_secs(90), || {
        std::thread::sleep(Duration::from_millis(700));
        let now = plane.kubectl([
            "get",
            WATCHED,
            "-A",
            "-o",
            "jsonpath={range .items[*]}{.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}",
        ])?;
        let same = now.stdout == last;
        last = now.stdout;
        Ok(same.then_some(()))
    })
}
