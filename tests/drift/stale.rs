//! A dead recorder's mirror must not read as "in sync".

use std::path::Path;

use libtest_mimic::Completion;
use serde_json::json;

use crate::api::{Api, MERGE_PATCH};
use crate::bed;
use crate::oracle::Identity;
use crate::product::KEY;
use crate::recording::Recording;
use crate::support::plane::ControlPlane;
use crate::support::program::{Finished, Program};
use crate::support::suite::Outcome;
use crate::support::{Context as _, Result};

pub(crate) fn a_dead_recorder(plane: &ControlPlane) -> Outcome {
    let home = tempfile::tempdir().context("a folder")?;
    bed::give_rights(plane, home.path())?;
    plane.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"}, "data": {"a": "1"}}))?;
    let desired = home.path().join("desired").join("shop");
    std::fs::create_dir_all(&desired).context("a folder")?;
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: '1'}\n";
    std::fs::write(desired.join("settings.yaml"), manifest).context("a manifest")?;
    let key = home.path().join("key");
    std::fs::write(&key, KEY).context("the key")?;

    let stopped = Recording::start(plane)?.stop()?;
    let path = stopped.repository();
    let url = format!("file://{}", path.display());
    let drift_of = |mirror: &Path, args: &[&str]| -> Result<Finished> {
        Program::strandline(home.path())
            .env("KUBECONFIG", "/nonexistent")
            .args(["drift", "--mirror"])
            .arg(mirror)
            .args(["--desired", &format!("shop={}", desired.display())])
            .args([
                "--desired",
                &format!("bed={}", home.path().join("desired/bed").display()),
            ])
            .args(args)
            .run()
    };
    let drift = |args: &[&str]| drift_of(&path, args);
    // The same mirror somewhere else: its sidecar comes along.
    let far = |args: &[&str]| drift_of(Path::new(&url), args);

    // Fresh: what the recorder itself left.
    let alive = stopped.alive()?;
    let time = alive["time"].as_str().unwrap_or_default().to_owned();
    let fresh = drift(&["--stale-after", "15m", "-o", "json"])?.expect_code(0)?;
    let report: serde_json::Value = serde_json::from_str(&fresh.stdout).context("the report")?;
    assert_eq!(report["asOf"], time.as_str(), "{report}");
    let fetched = far(&["--stale-after", "15m", "-o", "json"])?.expect_code(0)?;
    let mut fetched: serde_json::Value =
        serde_json::from_str(&fetched.stdout).context("the report")?;
    // All but where it comes from.
    assert!(
        fetched["live"]["name"].to_string().contains(&url),
        "{fetched}"
    );
    fetched["live"]["name"] = report["live"]["name"].clone();
    assert_eq!(fetched, report);

    // Killed an hour ago.
    let hour_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let since = hour_ago.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    stopped.set_alive(&since)?;
    let stale = drift(&["--stale-after", "15m"])?.expect_code(3)?;
    let said = format!("{}{}", stale.stdout, stale.stderr);
    assert!(said.contains(&since), "does not say since when: {said}");
    let fetched = far(&["--stale-after", "15m"])?.expect_code(3)?;
    let told = format!("{}{}", fetched.stdout, fetched.stderr);
    assert!(told.contains(&since), "does not say since when: {told}");
    let stale = drift(&["--stale-after", "15m", "-o", "json"])?.expect_code(3)?;
    let report: serde_json::Value = serde_json::from_str(&stale.stdout).context("the report")?;
    assert_eq!(report["asOf"], since.as_str(), "{report}");
    assert_ne!(report["summary"]["unknown"], 0, "{report}");
    assert_eq!(
        report["summary"]["inSync"], 0,
        "stale, and in sync: {report}"
    );
    assert!(
        report["incomplete"].to_string().contains(&since),
        "{report}"
    );
    // Who does not ask takes it as it is.
    let _ = drift(&["--stale-after", "2h"])?.expect_code(0)?;

    // A mirror that nobody says to be alive is no fresher.
    let _ = crate::recording::git(
        &stopped.repository(),
        &["update-ref", "-d", crate::recording::ALIVE],
    )?;
    let _ = drift(&["--stale-after", "15m"])?.expect_code(3)?;
    let _ = far(&["--stale-after", "15m"])?.expect_code(3)?;

    // The cluster went on meanwhile, and the mirror cannot know.
    let api = Api::connect(plane)?;
    let id = Identity::of(&json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"}}));
    let body = json!({"data": {"a": "2"}});
    let _ = api
        .change(&id, "", "kubectl-edit", MERGE_PATCH, &body)?
        .success("a change")?;
    let _ = drift(&["--stale-after", "15m"])?.expect_code(3)?;
    Ok(Completion::Completed)
}
