//! `record --drift`: transitions are logged, counted and written once each.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::life::Writer;
use crate::mirror::{Mirror, Recorder, fsck, git, until};
use crate::support::plane::ControlPlane;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Result};

/// Where the reports go.
const REPORTS: &str = "refs/strandline/drift";
/// How long a busy machine may take from an edit to the report.
const PATIENCE: Duration = Duration::from_secs(60);
/// Status updates that must change nothing.
const HEARTBEATS: u32 = 20;
/// A value that nobody may see: `hunter22` and its base64.
const SECRET: [&str; 2] = ["hunter22", "aHVudGVyMjI="];

const SHOP: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: drifting}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: example.invalid/web}
---
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: drifting}
stringData: {password: first}
";

fn settings(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings, namespace: drifting}}\ndata: {{a: '{value}'}}\n"
    )
}

fn commits(repository: &Path) -> Result<usize> {
    let Ok(text) = git(repository, &["rev-list", "--count", REPORTS]) else {
        return Ok(0);
    };
    text.trim().parse().context(REPORTS)
}

/// Waits for the report's next commit, and reads it.
fn next_report(mirror: &Mirror, nth: usize) -> Result<Value> {
    let repository = mirror.repository();
    let what = format!("report {nth}");
    until(&what, Instant::now(), PATIENCE, || {
        Ok(commits(&repository)? >= nth)
    })?;
    assert_eq!(commits(&repository)?, nth, "one commit for each change");
    let text = git(&repository, &["show", &format!("{REPORTS}:report.json")])?;
    serde_json::from_str(&text).context("the report")
}

fn classes(report: &Value) -> Vec<String> {
    let objects = report["objects"].as_array().into_iter().flatten();
    objects
        .map(|object| {
            let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("kind"), text("name"), text("class"))
        })
        .collect()
}

fn logged(recorder: &mut Recorder, line: &str) -> Result<()> {
    recorder.wait_for_log(line).map(drop)
}

#[expect(clippy::too_many_lines, reason = "one story")]
pub(crate) fn drift_is_told_beside_the_recording(plane: &ControlPlane) -> Outcome {
    let _ = plane
        .kubectl(["create", "namespace", "drifting"])?
        .success()?;
    let mirror = Mirror::new(plane)?;
    let desired = mirror.home().join("desired");
    std::fs::create_dir(&desired).context("a folder")?;
    let write = |name: &str, text: &str| std::fs::write(desired.join(name), text).context("a file");
    write("shop.yaml", SHOP)?;
    write("settings.yaml", &settings("1"))?;
    let folder = desired.display().to_string();
    let _ = plane.kubectl(["apply", "-f", &folder])?.success()?;
    let mut recorder = mirror.record(&[
        "-v",
        "-n",
        "drifting",
        "--drift",
        "--desired",
        "shop=desired",
        "--drift-interval",
        "1s",
        "--damping",
        "off",
        "--quiet-period",
        "100ms",
        "--max-age",
        "1s",
    ])?;
    let report = next_report(&mirror, 1)?;
    assert_eq!(classes(&report), [""; 0], "{report}");
    assert_eq!(report["summary"]["inSync"], 3, "{report}");
    assert_eq!(report["incomplete"], json!([]), "{report}");

    let patch = |kind: &str, name: &str, body: &str| -> Result<()> {
        let arguments = ["-n", "drifting", "patch", kind, name, "--type=merge"];
        let manager = ["--field-manager=kubectl-edit", "-p", body];
        plane
            .kubectl(arguments.iter().chain(&manager))?
            .success()
            .map(drop)
    };
    patch("deployment", "web", r#"{"spec":{"replicas":5}}"#)?;
    logged(
        &mut recorder,
        "drifting/Deployment web: spec.replicas Changed 3 → 5 by kubectl-edit",
    )?;
    let report = next_report(&mirror, 2)?;
    assert_eq!(classes(&report), ["Deployment web Modified"], "{report}");

    let writer = Writer::new(plane)?;
    let path = "/apis/apps/v1/namespaces/drifting/deployments/web/status";
    for beat in 0..HEARTBEATS {
        let condition = json!({"type": "Beating", "status": "True", "message": beat.to_string()});
        let body = json!({"status": {"conditions": [condition]}});
        let _ = writer.send("PATCH", path, Some(&body))?;
    }
    // Were a heartbeat a change, this would be a later report.
    patch("deployment", "web", r#"{"spec":{"replicas":3}}"#)?;
    logged(&mut recorder, "drifting/Deployment web: InSync again")?;
    let report = next_report(&mirror, 3)?;
    assert_eq!(classes(&report), [""; 0], "{report}");

    patch(
        "secret",
        "token",
        &format!(r#"{{"data":{{"password":"{}"}}}}"#, SECRET[1]),
    )?;
    logged(
        &mut recorder,
        "drifting/Secret token: data.password Changed (secret) by kubectl-edit",
    )?;
    let report = next_report(&mirror, 4)?;
    assert_eq!(classes(&report), ["Secret token Modified"], "{report}");

    write("settings.yaml", &settings("2"))?;
    logged(
        &mut recorder,
        r#"drifting/ConfigMap settings: data.a Changed "2" → "1" by kubectl-client-side-apply"#,
    )?;
    let both = ["ConfigMap settings Modified", "Secret token Modified"];
    assert_eq!(classes(&next_report(&mirror, 5)?), both);

    // Evaluated again, with the same drift on another line: the sixth report is the next change's.
    let log = mirror.home().join("record.err");
    let evaluated = || -> Result<usize> {
        let log = std::fs::read_to_string(&log).context(log.display())?;
        Ok(log.matches("drift was evaluated").count())
    };
    let before = evaluated()?;
    write("settings.yaml", &format!("# moved\n{}", settings("2")))?;
    until("a whole evaluation", Instant::now(), PATIENCE, || {
        Ok(evaluated()? > before)
    })?;

    let gone = ["-n", "drifting", "delete", "configmap", "settings"];
    let _ = plane.kubectl(gone)?.success()?;
    logged(&mut recorder, "drifting/ConfigMap settings: Missing")?;
    let both = ["ConfigMap settings Missing", "Secret token Modified"];
    assert_eq!(classes(&next_report(&mirror, 6)?), both);

    // What cannot be read is no reason to say that all is well.
    std::fs::rename(&desired, mirror.home().join("away")).context("a folder")?;
    logged(&mut recorder, "what is desired is not wholly known")?;
    let report = next_report(&mirror, 7)?;
    assert_ne!(report["summary"]["unknown"], 0, "{report}");
    assert_ne!(report["incomplete"], json!([]), "{report}");
    assert_eq!(report["summary"]["inSync"], 0, "{report}");

    let _ = recorder.stop()?;
    let log = std::fs::read_to_string(&log).context(log.display())?;
    assert_eq!(commits(&mirror.repository())?, 7, "nothing more");
    let warnings = log.matches("what is desired is not wholly known").count();
    assert_eq!(warnings, 1, "one warning for one reason:\n{log}");
    for metric in [
        r#"strandline_drift_objects{class=\"Unknown\"}"#,
        r#"strandline_drift_fields{class=\"Changed\"} 0"#,
        "strandline_drift_coverage_ratio",
        "strandline_drift_evaluations_total",
        "strandline_drift_desired_read_timestamp_seconds",
        "strandline_drift_evaluation_duration_seconds",
    ] {
        assert!(log.contains(metric), "{metric} is not in:\n{log}");
    }
    // An edit judges what it touched: one object, whatever else there is.
    assert!(log.contains(r#""judged":1,"#), "{log}");
    let reports = git(&mirror.repository(), &["log", "-p", REPORTS])?;
    for value in SECRET {
        assert!(!log.contains(value), "the log holds a Secret's value");
        assert!(!reports.contains(value), "a report holds a Secret's value");
    }
    fsck(&mirror.repository())?;
    Ok(Completion::Completed)
}
