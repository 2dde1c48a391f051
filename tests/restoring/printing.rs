//! Without a cluster: manifests on standard output, and mistakes.

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::mirror::Mirror;
use crate::support::plane::ControlPlane;
use crate::support::program::{Finished, Program};
use crate::support::suite::Outcome;
use crate::support::{Context as _, Result};

fn print(mirror: &Mirror, args: &[&str]) -> Result<Finished> {
    Program::strandline(mirror.home())
        .arg("restore")
        .env("STRANDLINE_REPOSITORY", "mirror.git")
        .args(args)
        .run()
}

fn set_up(plane: &ControlPlane) -> Result<Mirror> {
    plane
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "paper"}}))?;
    let config = |value: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": value},
            "metadata": {"name": "note", "namespace": "paper", "labels": {"app": "paper"}}})
    };
    plane.apply(
        &json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "pa55word"},
        "metadata": {"name": "token", "namespace": "paper"}}),
    )?;
    plane.apply(&json!({"apiVersion": "v1", "kind": "Service", "metadata":
        {"name": "web", "namespace": "paper"}, "spec": {"ports": [{"port": 80}]}}))?;
    let mirror = Mirror::new(plane)?;
    for value in ["first", "second", "third"] {
        plane.apply(&config(value))?;
        let _ = mirror.snapshot(&[])?.expect_code(0)?;
    }
    Ok(mirror)
}

pub(crate) fn a_selection_is_printed_as_it_was(plane: &ControlPlane) -> Outcome {
    let mirror = set_up(plane)?;
    let id = mirror.git(&["rev-parse", "main~1"])?;
    let id = id.trim();
    mirror.git(&["tag", "-a", "-m", "x", "release", id])?;
    let seconds = mirror.git(&["log", "-1", "--format=%ct", id])?;
    let time = mirror.git(&[
        "log",
        "-1",
        "--date=format:%Y-%m-%dT%H:%M:%SZ",
        "--format=%cd",
        id,
    ])?;
    let newest = mirror.git(&["log", "-1", "--format=%ct", "main"])?;
    // Commits of one second cannot be told apart by a time.
    let by_time = if seconds == newest { "third" } else { "second" };
    for (at, expected) in [
        ("HEAD", "third"),
        ("main", "third"),
        ("HEAD~1", "second"),
        ("HEAD^^", "first"),
        (id, "second"),
        (&id[..8], "second"),
        ("release", "second"),
        ("release~1", "first"),
        (time.trim(), by_time),
    ] {
        for name in [
            "configmap/note",
            "cm/note",
            "configmaps/note",
            "ConfigMap/note",
        ] {
            let done = print(&mirror, &["--at", at, "-n", "paper", name])?.expect_code(0)?;
            let file = format!(
                "---\n{}",
                mirror.file("namespaces/paper/configmaps/note.yaml")?
            );
            assert_eq!(done.stdout, file.replace("third", expected), "{at} {name}");
        }
    }
    let all = print(&mirror, &["-n", "paper", "-o", "json"])?.expect_code(3)?;
    let list: Value = serde_json::from_str(&all.stdout).context("a List")?;
    let kinds: Vec<&str> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["Namespace", "ConfigMap", "Service"]);
    assert!(all.stderr.contains("paper/Secret token"), "{}", all.stderr);
    let labelled = print(&mirror, &["-l", "app in (paper)"])?.expect_code(0)?;
    assert_eq!(
        labelled.stdout.matches("---\n").count(),
        1,
        "{}",
        labelled.stdout
    );

    // What is printed is what an API server takes.
    plane
        .kubectl(["delete", "--wait", "namespace", "paper"])?
        .success()?;
    plane
        .kubectl_as(crate::support::plane::ADMIN)?
        .args(["create", "-f", "-"])
        .stdin(print(&mirror, &["-n", "paper"])?.stdout)
        .run()?
        .success()?;

    // From a URL: the same.
    let url = format!("file://{}", mirror.repository().display());
    let done = Program::strandline(mirror.home())
        .args([
            "restore",
            "--repository",
            &url,
            "--at",
            "HEAD~1",
            "cm/note",
            "-n",
            "paper",
        ])
        .run()?
        .expect_code(0)?;
    assert!(done.stdout.contains("a: second"), "{}", done.stdout);
    Ok(Completion::Completed)
}

pub(crate) fn a_redacted_secret_cannot_be_applied(plane: &ControlPlane) -> Outcome {
    let mirror = set_up(plane)?;
    let file = mirror.file("namespaces/paper/secrets/token.yaml")?;
    assert!(file.contains("hmac:"), "{file}");
    for command in ["create", "apply"] {
        let kubectl = plane.kubectl_as(crate::support::plane::ADMIN)?;
        let refused = kubectl
            .args([command, "--dry-run=server", "-f", "-"])
            .stdin(file.replace("name: token", "name: other"))
            .run()?;
        assert_ne!(refused.code, Some(0), "{command}: {}", refused.stdout);
        assert!(
            refused.stderr.contains("illegal base64"),
            "{}",
            refused.stderr
        );
    }
    let done = print(&mirror, &["-n", "paper", "secret/token"])?.expect_code(3)?;
    assert_eq!(done.stdout, "");
    assert!(
        done.stderr
            .contains("needs its value from whoever holds it"),
        "{}",
        done.stderr
    );
    Ok(Completion::Completed)
}

pub(crate) fn mistakes_are_told(plane: &ControlPlane) -> Outcome {
    let mirror = set_up(plane)?;
    let kubeconfig = plane.kubeconfig(crate::support::plane::ADMIN)?;
    let kubeconfig = kubeconfig.display().to_string();
    let mistakes: [(&[&str], &str); 11] = [
        (&["note"], "KIND/NAME"),
        (&["cm/absent"], "is not in the mirror at this revision"),
        (&["serviceaccount/default"], "give one with -n"),
        (&["--at", "HEAD~999"], "history does not go back that far"),
        (&["--at", "nothing"], "no branch, tag or commit"),
        (
            &["--at", "1999-01-01"],
            "every commit of the branch is younger",
        ),
        (
            &["--prefix", "elsewhere"],
            "holds no mirror below elsewhere",
        ),
        (&["-l", "a in"], "label selector"),
        (
            &["--repository", "absent.git"],
            "there is no repository at absent.git",
        ),
        (&["--identity", "absent"], "identity file absent"),
        (
            &[
                "--apply",
                "--kubeconfig",
                &kubeconfig,
                "cm/note",
                "-n",
                "paper",
                "--update",
            ],
            "there is no terminal to ask on",
        ),
    ];
    plane
        .kubectl(["delete", "configmap", "note", "-n", "paper"])?
        .success()?;
    for (args, expected) in mistakes {
        let done = print(&mirror, args)?.expect_code(2)?;
        assert!(done.stderr.contains(expected), "{args:?}: {}", done.stderr);
    }
    let note = plane.kubectl(["get", "configmap", "note", "-n", "paper"])?;
    assert_ne!(note.code, Some(0), "written without a yes");
    Ok(Completion::Completed)
}
