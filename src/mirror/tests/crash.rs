//! Every step fails, is killed, or runs out of space. A child process (this test binary, with a
//! variable set) does the dying.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const CHILD: &str = "STRANDLINE_TEST_MIRROR_CHILD";
const STEPS: [Step; 7] = [
    Step::Stage,
    Step::Seal,
    Step::Index,
    Step::Publish,
    Step::Lock,
    Step::Move,
    Step::Sync,
];
const OLD: [(&str, Option<&str>); 2] = [
    ("cluster/nodes/a.yaml", Some("old\n")),
    ("cluster/nodes/b.yaml", Some("gone soon\n")),
];
const NEW: [(&str, Option<&str>); 3] = [
    ("cluster/nodes/a.yaml", Some("new\n")),
    ("cluster/nodes/b.yaml", None),
    ("namespaces/shop/services/web.yaml", Some("web\n")),
];
const CURSOR: &str = "refs/strandline/cursor";

fn new_commit() -> Commit {
    let mut commit = commit(&NEW);
    commit.attachments = vec![Attachment {
        name: CURSOR.to_owned(),
        body: b"1".to_vec(),
    }];
    let owners = SidecarBlobs {
        owners: BlobId::of(b"web\n"),
        times: Some(BlobId::of(b"new\n")),
    };
    commit.sidecar = Some(SidecarChanges {
        objects: vec![
            ("namespaces/shop/services/web.yaml".into(), Some(owners)),
            ("cluster/nodes/b.yaml".into(), None),
        ],
        facts: vec![("coverage.json".to_owned(), Some(b"{}".to_vec()))],
        message: "owners".to_owned(),
    });
    commit
}

/// The commit of the mirror that the newest commit of the sidecar belongs to.
fn side_of(path: &Path) -> Option<CommitId> {
    let options = SnapshotOptions {
        path: path.to_owned(),
        reference: "refs/heads/main".to_owned(),
        prefix: Prefix::default(),
    };
    let sidecar = Sidecar::open(&options, SIDECAR_REFS).unwrap()?;
    sidecar.for_each(|_, _, _| {}).unwrap();
    sidecar.facts().unwrap();
    Some(sidecar.mirror_commit_id())
}

/// Runs [`child`] in a process of its own.
fn run_child(task: &str, path: &Path, shell: &str) -> ExitStatus {
    Command::new("sh")
        .arg("-c")
        .arg(format!(r#"{shell} exec "$0" "$@""#))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "mirror::tests::crash::child", "--nocapture"])
        .env(CHILD, format!("{task} {}", path.display()))
        .status()
        .unwrap()
}

/// Does nothing, unless it is run by another test.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (task, path) = task.split_once(' ').unwrap();
    let mut mirror = open(Path::new(path));
    match task.strip_prefix("die-at-") {
        Some(step) => {
            let step = STEPS[step.parse::<usize>().unwrap()];
            mirror.on_step(Box::new(move |at| {
                if at == step {
                    // As SIGKILL: no destructor runs.
                    std::process::abort();
                }
                Ok(())
            }));
            stage(&mut mirror, &NEW).unwrap();
            mirror.commit(&new_commit()).unwrap();
            unreachable!("the step comes");
        }
        None => runs_out_of_space(&mut mirror),
    }
}

#[test]
fn a_crash_leaves_the_old_or_the_new_head() {
    let mut new_tree = None;
    for (at, step) in STEPS.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.git");
        let mut mirror = open(&path);
        write(&mut mirror, &OLD).unwrap();
        let old = mirror.head().unwrap();
        drop(mirror);

        let status = run_child(&format!("die-at-{at}"), &path, "ulimit -c 0;");
        assert!(!status.success());
        // A reader beside us, before anybody cleans up.
        git(&path, &["fsck", "--strict", "--no-dangling"]);
        git(&path, &["ls-tree", "-r", "HEAD"]);

        let mut mirror = open(&path);
        let head = mirror.head().unwrap();
        let moved = head.commit_id != old.commit_id;
        assert_eq!(moved, step > Step::Move, "{step:?}");
        // A cursor that does not name HEAD does not count; one that does is the new one.
        let cursor = mirror.attached(CURSOR).unwrap();
        assert_eq!(cursor.is_some(), moved);
        assert!(cursor.is_none_or(|cursor| cursor.commit_id == head.commit_id));
        // Both or neither: nothing ends between the two refs here.
        assert_eq!(side_of(&path), moved.then_some(head.commit_id), "{step:?}");
        assert_eq!(mirror.sidecar_in_step(), moved);
        let left: Vec<_> = everything(&path)
            .into_iter()
            .map(|(path, _)| path.to_string_lossy().into_owned())
            .filter(|name| name.contains("tmp_") || name.ends_with("/main.lock"))
            .collect();
        assert_eq!(left, [""; 0], "{step:?}");

        // A restart converges, to the same tree.
        stage(&mut mirror, &NEW).unwrap();
        let committed = mirror.commit(&new_commit()).unwrap();
        assert_eq!(committed.is_none(), moved);
        let tree = mirror.head().unwrap().tree_id;
        assert_eq!(*new_tree.get_or_insert(tree), tree);
        fsck(&path);
        assert_eq!(git(&path, &["rev-list", "--count", "main"]), "2");
        let chain = git(&path, &["rev-list", "--count", "refs/strandline/owners"]);
        assert_eq!((chain.as_str(), mirror.sidecar_in_step()), ("1", true));
    }
}

/// The branch is moved first: an end between the two refs leaves a sidecar that names another
/// commit, which is noticed, and mended without a commit of the branch.
#[test]
fn an_end_between_the_two_refs_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    write(&mut mirror, &OLD).unwrap();
    stage(&mut mirror, &NEW).unwrap();
    mirror.commit(&new_commit()).unwrap().unwrap();
    let owners = "refs/strandline/owners";
    let before = git(&path, &["rev-parse", owners]);
    let mut third = commit(&[("cluster/nodes/c.yaml", Some("c\n"))]);
    third.sidecar = Some(SidecarChanges::default());
    stage(&mut mirror, &[("", Some("c\n"))]).unwrap();
    mirror.commit(&third).unwrap().unwrap();
    assert!(mirror.sidecar_in_step());
    drop(mirror);
    git(&path, &["update-ref", owners, &before]);

    let mut mirror = open(&path);
    assert!(!mirror.sidecar_in_step());
    assert_ne!(side_of(&path), mirror.head().map(|head| head.commit_id));
    let mended = mirror.commit(&third).unwrap().unwrap();
    assert!(mended.in_step && !mended.branch_moved);
    assert_eq!(side_of(&path), Some(mended.commit_id));
    assert_eq!(mirror.commit(&third).unwrap(), None);
    fsck(&path);
}

#[test]
fn a_step_that_fails_can_be_repeated() {
    for step in STEPS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.git");
        let mut mirror = open(&path);
        write(&mut mirror, &OLD).unwrap();
        let old = mirror.head().unwrap();
        let failed = AtomicBool::new(false);
        mirror.on_step(Box::new(move |at| {
            if at == step && !failed.swap(true, Ordering::Relaxed) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Ok(())
        }));
        let attempt = |mirror: &mut Mirror| {
            stage(mirror, &NEW)?;
            mirror.commit(&new_commit())
        };
        let error = attempt(&mut mirror).unwrap_err();
        assert_eq!(error.disposition(), Disposition::Retry, "{step:?}: {error}");
        if step == Step::Sync {
            // Visible, but not known to be durable: repeating it makes it so.
            assert_ne!(mirror.head().unwrap(), old);
            assert_eq!(attempt(&mut mirror).unwrap(), None);
        } else {
            assert_eq!(mirror.head().unwrap(), old);
            let at = git(&path, &["rev-parse", "main"]);
            assert_eq!(at, old.commit_id.to_string());
            // Without staging again, except what never was.
            if step == Step::Stage {
                stage(&mut mirror, &NEW).unwrap();
            }
            mirror.commit(&new_commit()).unwrap().unwrap();
        }
        assert_eq!(git(&path, &["rev-list", "--count", "main"]), "2");
        assert!(mirror.sidecar_in_step());
        assert_eq!(side_of(&path), mirror.head().map(|head| head.commit_id));
        let read = |name| mirror.read_file(name).unwrap();
        for (name, text) in NEW {
            assert_eq!(read(name).as_deref(), text.map(str::as_bytes));
        }
        fsck(&path);
    }
}

/// The system refuses to write beyond a size, in the middle of a first sync.
fn runs_out_of_space(mirror: &mut Mirror) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |bytes| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        setrlimit(Resource::Fsize, limit).unwrap();
    };
    // What does not compress, so that the pack grows.
    let mut random = fastrand::Rng::with_seed(1);
    let blobs: Vec<Vec<u8>> = (0..300)
        .map(|_| {
            std::iter::repeat_with(|| random.u8(..))
                .take(4096)
                .collect()
        })
        .collect();
    let commit = Commit {
        changes: blobs
            .iter()
            .enumerate()
            .map(|(n, blob)| {
                let path = format!("cluster/things/{n}.yaml");
                (path.into(), Some(BlobId::of(blob)))
            })
            .collect(),
        message: "first sync".to_owned(),
        ..Commit::default()
    };
    limit(Some(600 * 1024));
    let mut failed = 0;
    for blob in &blobs {
        while let Err(error) = mirror.stage_blob(BlobId::of(blob), blob) {
            assert_eq!(error.disposition(), Disposition::Retry, "{error}");
            assert!(matches!(&error, MirrorError::Io { act: "write", .. }));
            failed += 1;
            if failed == 3 {
                limit(None);
            }
        }
    }
    assert_eq!(failed, 3);
    // The rest of the blobs still lies in memory.
    limit(Some(600 * 1024));
    let error = mirror.commit(&commit).unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry, "{error}");
    assert_eq!(mirror.head(), None);
    limit(None);
    mirror.commit(&commit).unwrap().unwrap();
    for (n, blob) in blobs.iter().enumerate() {
        let name = format!("cluster/things/{n}.yaml");
        assert_eq!(mirror.read_file(&name).unwrap().as_ref(), Some(blob));
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    // Ignored, the signal becomes an error of write(2).
    let status = run_child("space", &path, "trap '' XFSZ;");
    assert!(status.success());
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), "1");
    fsck(&path);
}

/// Locks that a crash left behind go; those of a `git` that is at work stay.
#[test]
fn only_our_own_leftovers_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    write(&mut open(&path), &OLD).unwrap();
    let lock = path.join("refs/heads/main.lock");
    let commit = "1234567890123456789012345678901234567890";
    // (what the lock holds, what the last holder noted, whether it goes)
    let cases = [
        (format!("{commit}\n"), commit, true),
        (String::new(), commit, true),
        (format!("{}\n", "a".repeat(40)), commit, false),
        (format!("{commit}\n"), "", false),
        (String::new(), "", false),
    ];
    for (content, intent, goes) in cases {
        std::fs::write(&lock, &content).unwrap();
        std::fs::write(path.join("strandline.lock"), intent).unwrap();
        drop(open(&path));
        assert_eq!(lock.exists(), !goes, "{content:?} {intent:?}");
    }
    // An attachment alone leaves no note, and nobody else has business there.
    let own = path.join("refs/strandline/cursor.lock");
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    std::fs::write(&own, "").unwrap();
    drop(open(&path));
    assert!(!own.exists());
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options()
        .write(true)
        .open(&lock)
        .unwrap()
        .set_modified(old)
        .unwrap();
    drop(open(&path));
    assert!(!lock.exists());
    // A creation that was cut short is done again.
    std::fs::remove_file(path.join("HEAD")).unwrap();
    std::fs::remove_file(path.join("config")).unwrap();
    assert!(open(&path).head().is_some());
}
