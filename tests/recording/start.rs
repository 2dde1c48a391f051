//! The first minute: mistakes, `check`, few rights, an empty disk.

use libtest_mimic::Completion;
use serde_json::json;

use crate::mirror::{Mirror, git};
use crate::support::Context as _;
use crate::support::plane::ControlPlane;
use crate::support::program::Program;
use crate::support::suite::Outcome;

/// Each mistake ends with code 2 and one sentence that holds these words.
pub(crate) fn a_newcomer_is_told_what_is_wrong(plane: &ControlPlane) -> Outcome {
    let mirror = Mirror::new(plane)?;
    let home = mirror.home();
    let kubeconfig = plane.kubeconfig(crate::support::plane::ADMIN)?;
    let kubeconfig = kubeconfig.display().to_string();
    std::fs::write(home.join("a-file"), "x").context("a file")?;
    let text = std::fs::read_to_string(&kubeconfig).context("the kubeconfig")?;
    let token = plane.token(crate::support::plane::ADMIN)?;
    std::fs::write(home.join("expired"), text.replace(token, "expired-token")).context("a file")?;
    let server = plane.server();
    std::fs::write(
        home.join("nowhere"),
        text.replace(&server, "https://127.0.0.1:1"),
    )
    .context("a file")?;
    std::fs::write(home.join("broken"), "clusters: [token: s3cr3t-t0ken\n").context("a file")?;
    std::fs::create_dir(home.join("full")).context("a folder")?;
    std::fs::write(home.join("full/notes.txt"), "mine").context("a file")?;

    let run = |args: &[&str]| Program::strandline(home).arg("snapshot").args(args).run();
    let mistakes: [(&[&str], &[&str]); 12] = [
        (&[], &["--kubeconfig", "KUBECONFIG"]),
        (&["--kubeconfig", "absent"], &["absent", "No such file"]),
        (&["--kubeconfig", "broken"], &["broken", "not valid YAML"]),
        (
            &["--kubeconfig", "nowhere"],
            &["127.0.0.1:1", "check the address"],
        ),
        (
            &["--kubeconfig", "expired"],
            &["does not accept these credentials"],
        ),
        (
            &["--kubeconfig", &kubeconfig, "--context", "typo"],
            &["'typo'", "it has:"],
        ),
        (
            &["--kubeconfig", &kubeconfig, "--repository", "a-file"],
            &["a-file", "is a file"],
        ),
        (
            &["--kubeconfig", &kubeconfig, "--repository", "full"],
            &["full", "no Git repository"],
        ),
        (
            &["--kubeconfig", &kubeconfig, "--repository", "x#a..b"],
            &["not a branch name"],
        ),
        (
            &["--kubeconfig", &kubeconfig, "--remote", "absent.git"],
            &["absent.git"],
        ),
        (
            &["--kubeconfig", &kubeconfig, "--remote", "https://me:pw@h/x"],
            &["--token-file"],
        ),
        (
            &["--kubeconfig", &kubeconfig, "--digest-key-file", "no-key"],
            &["no-key", "read"],
        ),
    ];
    for (args, words) in mistakes {
        let ended = run(args)?.expect_code(2)?;
        for word in words {
            assert!(
                ended.stderr.contains(word),
                "{args:?}: no '{word}' in: {}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains("s3cr3t-t0ken"), "{}", ended.stderr);
        assert!(!ended.stderr.contains(token), "{args:?} shows the token");
    }
    Ok(Completion::Completed)
}

pub(crate) fn what_belongs_to_somebody_else_stays(plane: &ControlPlane) -> Outcome {
    let mirror = Mirror::new(plane)?;
    let home = mirror.home();
    plane
        .kubectl([
            "create",
            "secret",
            "generic",
            "digested",
            "--from-literal=a=b",
        ])?
        .success()?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    let head = mirror.head()?;
    let other = mirror
        .snapshot(&["--cluster-id", "another"])?
        .expect_code(2)?;
    assert!(
        other.stderr.contains("belongs to cluster"),
        "{}",
        other.stderr
    );
    std::fs::write(home.join("other-key"), [7; 32]).context("a key")?;
    std::fs::copy(home.join("other-key"), home.join("key")).context("a key")?;
    let other = mirror.snapshot(&[])?.expect_code(2)?;
    assert!(other.stderr.contains("another key"), "{}", other.stderr);
    assert_eq!(mirror.head()?, head, "a refused run moved the branch");

    // A branch that holds somebody's files.
    let foreign = Mirror::new(plane)?.with_remote()?;
    let tree = foreign.home().join("work");
    let clone = ["clone", "--quiet", "remote.git", "work"];
    Program::git(foreign.home()).args(clone).run()?.success()?;
    std::fs::write(tree.join("README.md"), "ours\n").context("a file")?;
    Program::git(&tree).args(["add", "."]).run()?.success()?;
    Program::git(&tree)
        .args(["commit", "--quiet", "-m", "ours"])
        .run()?
        .success()?;
    Program::git(&tree)
        .args(["push", "--quiet", "origin", "HEAD:main"])
        .run()?
        .success()?;
    let ended = foreign
        .snapshot(&["--remote", "remote.git"])?
        .expect_code(2)?;
    assert!(ended.stderr.contains("--adopt"), "{}", ended.stderr);
    let _ = foreign
        .snapshot(&["--remote", "remote.git", "--adopt"])?
        .expect_code(0)?;
    assert_eq!(
        foreign.file("README.md")?,
        "ours\n",
        "a foreign file is left alone"
    );
    assert_eq!(
        git(&foreign.remote(), &["rev-parse", "main"])?.trim(),
        foreign.head()?
    );

    // Two histories of one branch.
    std::fs::write(tree.join("README.md"), "theirs\n").context("a file")?;
    Program::git(&tree)
        .args(["commit", "--quiet", "-am", "theirs"])
        .run()?
        .success()?;
    Program::git(&tree)
        .args(["push", "--quiet", "--force", "origin", "HEAD:main"])
        .run()?
        .success()?;
    let ended = foreign
        .snapshot(&["--remote", "remote.git"])?
        .expect_code(2)?;
    assert!(
        ended.stderr.contains("went different ways"),
        "{}",
        ended.stderr
    );
    Ok(Completion::Completed)
}

pub(crate) fn check_says_what_works(plane: &ControlPlane) -> Outcome {
    let mirror = Mirror::new(plane)?.with_remote()?;
    let good = mirror
        .command("check")
        .args(["--remote", "remote.git"])
        .run()?
        .expect_code(0)?;
    for word in ["cluster", "git", "remote", "deployments.apps"] {
        assert!(
            good.stdout.contains(word),
            "no '{word}' in: {}",
            good.stdout
        );
    }
    assert!(!mirror.repository().exists(), "check made a repository");
    let limited = Mirror::of(plane, "limited")?;
    let bad = limited
        .command("check")
        .args(["--cluster-id", "x"])
        .run()?
        .expect_code(3)?;
    assert!(bad.stdout.contains("may not be listed"), "{}", bad.stdout);
    Ok(Completion::Completed)
}

pub(crate) fn namespaced_rights_are_enough(plane: &ControlPlane) -> Outcome {
    plane.kubectl(["create", "namespace", "mine"])?.success()?;
    plane
        .kubectl([
            "-n",
            "mine",
            "create",
            "configmap",
            "m",
            "--from-literal=a=b",
        ])?
        .success()?;
    for manifest in [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": "mirror", "namespace": "mine" },
            "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }]
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "mirror", "namespace": "mine" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "mirror" },
            "subjects": [{
                "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"
            }]
        }),
    ] {
        plane.apply(&manifest)?;
    }
    let mirror = Mirror::of(plane, "limited")?;
    let ended = mirror.snapshot(&["-n", "mine"])?.expect_code(2)?;
    assert!(ended.stderr.contains("--cluster-id"), "{}", ended.stderr);
    let _ = mirror
        .snapshot(&["-n", "mine", "--cluster-id", "mine-only"])?
        .expect_code(0)?;
    assert!(mirror.has("namespaces/mine/configmaps/m.yaml")?);
    let files = mirror.git(&["ls-tree", "-r", "--name-only", "main"])?;
    let elsewhere: Vec<_> = files
        .lines()
        .filter(|path| !path.starts_with("namespaces/mine/") && *path != ".strandline.yaml")
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    Ok(Completion::Completed)
}

pub(crate) fn an_empty_disk_goes_on_from_the_remote(plane: &ControlPlane) -> Outcome {
    let first = Mirror::new(plane)?.with_remote()?;
    let remote = first.remote();
    let _ = first
        .snapshot(&["--remote", "remote.git"])?
        .expect_code(0)?;
    let head = first.head()?;
    assert_eq!(git(&remote, &["rev-parse", "main"])?.trim(), head);

    let second = Mirror::new(plane)?;
    let url = remote.display().to_string();
    let _ = second.snapshot(&["--remote", &url])?.expect_code(0)?;
    assert_eq!(
        second.head()?,
        head,
        "nothing changed, so it stands where the remote stands"
    );
    plane
        .kubectl(["create", "configmap", "after-the-move"])?
        .success()?;
    let _ = second.snapshot(&["--remote", &url])?.expect_code(0)?;
    assert_eq!(git(&remote, &["rev-parse", "main"])?.trim(), second.head()?);
    assert_eq!(
        git(&remote, &["rev-parse", "main~1"])?.trim(),
        head,
        "one linear history"
    );

    // The first disk is behind now, and catches up.
    let _ = first
        .snapshot(&["--remote", "remote.git"])?
        .expect_code(0)?;
    assert_eq!(first.head()?, second.head()?);
    Ok(Completion::Completed)
}

pub(crate) fn a_remote_that_refuses_is_named(plane: &ControlPlane) -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    let mirror = Mirror::new(plane)?.with_remote()?;
    let hook = mirror.remote().join("hooks/pre-receive");
    std::fs::write(
        &hook,
        "#!/bin/sh\necho 'this branch is protected' >&2\nexit 1\n",
    )
    .context("a hook")?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).context("a hook")?;
    let ended = mirror
        .snapshot(&["--remote", "remote.git"])?
        .expect_code(2)?;
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: everything is committed"),
        "{}",
        ended.stderr
    );
    let head = mirror.head()?;
    mirror.fsck()?;

    std::fs::remove_file(&hook).context("the hook")?;
    let ended = mirror
        .snapshot(&["--remote", "remote.git"])?
        .expect_code(0)?;
    assert_eq!(mirror.head()?, head, "{}", ended.stdout);
    let pushed = git(&mirror.remote(), &["rev-parse", "main"])?;
    assert_eq!(
        pushed.trim(),
        head,
        "what an earlier run committed is pushed, also when nothing is new"
    );
    Ok(Completion::Completed)
}

pub(crate) fn a_dry_run_writes_nothing(plane: &ControlPlane) -> Outcome {
    let mirror = Mirror::new(plane)?;
    let ended = mirror.snapshot(&["--dry-run"])?.expect_code(0)?;
    assert!(ended.stdout.contains("would commit"), "{}", ended.stdout);
    assert!(!mirror.repository().exists(), "a dry run made a repository");
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    let (head, objects) = (mirror.head()?, mirror.objects()?);
    plane
        .kubectl(["create", "configmap", "only-planned"])?
        .success()?;
    let ended = mirror.snapshot(&["--dry-run"])?.expect_code(0)?;
    assert!(ended.stdout.contains("only-planned"), "{}", ended.stdout);
    assert_eq!((mirror.head()?, mirror.objects()?), (head, objects));
    Ok(Completion::Completed)
}
