use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use super::*;

const WEB: &str = "namespaces/shop/deployments.apps/web.yaml";
const NODE: &str = "cluster/nodes/a.yaml";

/// The id of the tree that Git itself makes of these files.
fn tree_by_git(repository: &Path, files: &BTreeMap<String, String>) -> String {
    let index = repository.join("scratch-index");
    let _ = fs::remove_file(&index);
    let run = |args: &[&str], input: &str| {
        let mut child = git_command(repository)
            .env("GIT_INDEX_FILE", &index)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    };
    let mut lines = String::new();
    for (path, text) in files {
        let id = BlobId::of(text.as_bytes());
        writeln!(lines, "100644 {id}\t{path}").unwrap();
    }
    run(&["update-index", "--add", "--index-info"], &lines);
    let tree = run(&["write-tree", "--missing-ok"], "");
    let _ = fs::remove_file(&index);
    tree
}

#[test]
fn a_commit_is_what_git_would_have_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    assert_eq!(mirror.head(), None);
    assert!(mirror.index().unwrap().is_empty());

    let first = write(&mut mirror, &[(WEB, Some("one\n")), (NODE, Some("node\n"))]).unwrap();
    // Two blobs, five trees and the root, one commit.
    assert_eq!(first.objects_written, 2 + 6 + 1);
    let mut second = commit(&[(WEB, None)]);
    second.message = "two\n\nwith a body\0 and a trailer\n\n\n".to_owned();
    // Clocks go back; commits do not.
    second.seconds = 5;
    second.files = vec![(IDENTITY_FILE.to_owned(), b"formatVersion: 1\n".to_vec())];
    let second = mirror.commit(&second).unwrap().unwrap();

    assert_eq!(
        git(&path, &["rev-parse", "HEAD"]),
        second.commit_id.to_string()
    );
    assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(
        git(&path, &["cat-file", "commit", "HEAD"]),
        format!(
            "tree {}\nparent {}\nauthor strandline <strandline@example.org> 1700000000 +0000\n\
             committer strandline <strandline@example.org> 1700000000 +0000\n\n\
             two\n\nwith a body\u{fffd} and a trailer",
            second.tree_id, first.commit_id
        )
    );
    assert_eq!(
        git(&path, &["ls-tree", "-r", "--name-only", "HEAD"]),
        format!("{IDENTITY_FILE}\n{NODE}")
    );
    assert_eq!(
        mirror.read_file(NODE).unwrap().as_deref(),
        Some(&b"node\n"[..])
    );
    assert_eq!(mirror.read_file(WEB).unwrap(), None);
    assert_eq!(mirror.read_file("cluster/nodes").unwrap(), None);
    assert_eq!(
        mirror.read_blob(BlobId::of(b"one\n")).unwrap().as_deref(),
        Some(&b"one\n"[..])
    );
    assert_eq!(mirror.read_blob(BlobId::of(b"never")).unwrap(), None);
    assert_eq!(mirror.head().unwrap().commit_id, second.commit_id);
    fsck(&path);
}

/// Random changes in random batches, foreign files among them: after each commit the tree is the
/// one that Git makes of the same files, and the index is the one that a fresh start loads.
#[test]
fn trees_are_gits_whatever_the_changes() {
    for seed in 0..6 {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.git");
        let mut foreign = BTreeMap::new();
        for name in ["README.md", "cluster.txt", "clusterx/a", "namespaces/note"] {
            foreign.insert(name.to_owned(), format!("{name}\n"));
        }
        drop(open(&path));
        for text in foreign.values() {
            let mut child = git_command(&path)
                .args(["hash-object", "-w", "--stdin"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(text.as_bytes()).unwrap();
            drop(stdin);
            assert!(child.wait().unwrap().success());
        }
        let tree = tree_by_git(&path, &foreign);
        let start = git(&path, &["commit-tree", "-m", "by hand", &tree]);
        git(&path, &["update-ref", "refs/heads/main", &start]);

        let mut mirror = open(&path);
        let mut index = mirror.index().unwrap();
        assert_eq!(index.foreign(), foreign.len());
        let mut files = foreign.clone();
        let mut commits = 1;
        for _ in 0..12 {
            let mut changes = Vec::new();
            for _ in 0..random.usize(..25) {
                let name = ["a", "b", "a-b", "a.b", "a0", "b%3ac"];
                let name = |random: &mut fastrand::Rng| name[random.usize(..name.len())];
                let file = if random.bool() {
                    format!("cluster/{}/{}.yaml", name(&mut random), name(&mut random))
                } else {
                    format!(
                        "namespaces/{}/{}/{}.yaml",
                        name(&mut random),
                        name(&mut random),
                        name(&mut random)
                    )
                };
                let text = (random.u8(..3) > 0).then(|| format!("{}\n", random.u8(..)));
                changes.push((file, text));
            }
            let borrowed: Vec<_> = changes
                .iter()
                .map(|(path, text)| (path.as_str(), text.as_deref()))
                .collect();
            let before = files.clone();
            for (path, text) in &changes {
                if let Some(text) = text {
                    files.insert(path.clone(), text.clone());
                    index.insert(path, BlobId::of(text.as_bytes()));
                } else {
                    files.remove(path);
                    index.remove(path);
                }
            }
            let committed = write(&mut mirror, &borrowed);
            assert_eq!(committed.is_some(), before != files);
            commits += u32::from(committed.is_some());
            let head = mirror.head().unwrap();
            assert_eq!(head.tree_id.to_string(), tree_by_git(&path, &files));
            assert_eq!(mirror.index().unwrap(), index);
        }
        drop(mirror);
        assert_eq!(open(&path).index().unwrap(), index);
        assert_eq!(
            git(&path, &["rev-list", "--count", "main"]),
            commits.to_string()
        );
        fsck(&path);
    }
}

#[test]
fn a_commit_that_changes_nothing_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    write(&mut mirror, &[(WEB, Some("one\n"))]).unwrap();
    let before = everything(&path);
    assert_eq!(write(&mut mirror, &[(WEB, Some("one\n"))]), None);
    assert_eq!(write(&mut mirror, &[]), None);
    assert_eq!(write(&mut mirror, &[(NODE, None)]), None);
    // Staged, then not needed: given up with the commit that changes nothing.
    mirror.stage_blob(BlobId::of(b"new"), b"new").unwrap();
    assert_ne!(everything(&path), before);
    assert_eq!(
        mirror.commit(&commit(&[(WEB, Some("one\n"))])).unwrap(),
        None
    );
    assert_eq!(everything(&path), before);
    drop(mirror);
    // The same, from a fresh start.
    let mut mirror = open(&path);
    assert_eq!(write(&mut mirror, &[(WEB, Some("one\n"))]), None);
    assert_eq!(everything(&path), before);
    fsck(&path);
}

#[test]
fn nothing_is_committed_that_was_not_staged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    let error = mirror.commit(&commit(&[(WEB, Some("x"))])).unwrap_err();
    assert!(matches!(error, MirrorError::NotStaged { .. }), "{error}");
    assert_eq!(error.disposition(), Disposition::Restage);
    let error = mirror.stage_blob(BlobId::of(b"a"), b"b").unwrap_err();
    assert!(matches!(error, MirrorError::WrongBytes { .. }), "{error}");
    for bad in [
        "README.md",
        "cluster/nodes/../a.yaml",
        "cluster/Nodes/a.yaml",
    ] {
        let error = mirror.commit(&commit(&[(bad, None)])).unwrap_err();
        assert!(matches!(error, MirrorError::BadPath { .. }), "{error}");
    }
    for bad in ["", "..", ".git", "a//b", ".gitmodules", "/a", "A"] {
        let mut commit = commit(&[]);
        commit.files.push((bad.to_owned(), Vec::new()));
        let error = mirror.commit(&commit).unwrap_err();
        assert!(matches!(error, MirrorError::BadPath { .. }), "{error}");
    }
    assert_eq!(mirror.head(), None);
}

#[test]
fn foreign_entries_are_neither_replaced_nor_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    drop(open(&path));
    // A file where our directory belongs, and a directory where our file belongs.
    let files = BTreeMap::from([
        ("live/cluster".to_owned(), String::new()),
        (format!("live/{WEB}/inner"), String::new()),
        ("top".to_owned(), String::new()),
    ]);
    let tree = tree_by_git(&path, &files);
    git(&path, &["hash-object", "-w", "/dev/null"]);
    let start = git(&path, &["commit-tree", "-m", "by hand", &tree]);
    git(&path, &["update-ref", "refs/heads/main", &start]);
    let mut options = options(&path);
    options.prefix = Prefix::new("live").unwrap();
    let mut mirror = Mirror::open(options).unwrap();
    assert_eq!(mirror.index().unwrap().foreign(), 2);
    for (file, by) in [(WEB, format!("live/{WEB}")), (NODE, "live/cluster".into())] {
        stage(&mut mirror, &[(file, Some("x"))]).unwrap();
        match mirror.commit(&commit(&[(file, Some("x"))])) {
            Err(MirrorError::Occupied { by: found, .. }) => assert_eq!(found, by),
            other => panic!("{other:?}"),
        }
        assert_eq!(mirror.commit(&commit(&[(file, None)])).unwrap(), None);
    }
    let other = "namespaces/shop/services/web.yaml";
    write(&mut mirror, &[(other, Some("y"))]).unwrap();
    assert_eq!(mirror.read_file(other).unwrap().as_deref(), Some(&b"y"[..]));
    let mut names: Vec<_> = files.keys().cloned().collect();
    names.push(format!("live/{other}"));
    names.sort();
    let listed = git(&path, &["ls-tree", "-r", "--name-only", "HEAD"]);
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    fsck(&path);
}

/// An executable or a link at a path of ours counts as changed, and becomes a plain file.
#[test]
fn modes_are_mended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    write(&mut mirror, &[(NODE, Some("n\n")), (WEB, Some("w\n"))]).unwrap();
    let index = path.join("scratch");
    let blob = BlobId::of(b"n\n").to_string();
    for mode in ["100755", "120000"] {
        let run = |args: &[&str]| {
            let output = git_command(&path)
                .env("GIT_INDEX_FILE", &index)
                .args(args)
                .output()
                .unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout)
                .unwrap()
                .trim_end()
                .to_owned()
        };
        run(&["read-tree", "HEAD"]);
        run(&["update-index", "--cacheinfo", mode, &blob, NODE]);
        let tree = run(&["write-tree"]);
        let bad = git(&path, &["commit-tree", "-p", "HEAD", "-m", "mode", &tree]);
        git(&path, &["update-ref", "refs/heads/main", &bad]);
        let clean = mirror.head().unwrap().tree_id;
        mirror.reload().unwrap();
        assert_eq!(mirror.index().unwrap().get(NODE), Some(BlobId::NONE));
        assert!(write(&mut mirror, &[(NODE, Some("n\n"))]).is_some());
        assert_eq!(mirror.head().unwrap().tree_id, clean);
    }
    fsck(&path);
}

#[test]
fn paths_that_are_no_mirror_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "x").unwrap();
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/notes.txt"), "x").unwrap();
    fs::create_dir(at("empty")).unwrap();
    git(
        &at("work/.git"),
        &["init", "-q", at("work").to_str().unwrap()],
    );
    let refused = |path: &Path| Mirror::open(options(path)).err().unwrap();
    assert!(matches!(refused(&at("file")), MirrorError::IsAFile { .. }));
    assert!(matches!(
        refused(&at("full")),
        MirrorError::NotARepository { .. }
    ));
    assert!(matches!(refused(&at("work")), MirrorError::NotBare { .. }));
    assert!(matches!(
        refused(&at("work/.git")),
        MirrorError::NotBare { .. }
    ));
    // Nothing half-written: not even a lock.
    assert_eq!(everything(&at("full")).len(), 1);
    assert!(!at("work/.git/strandline.lock").exists());

    drop(open(&at("empty")));
    drop(open(&at("made/with/parents.git")));
    fsck(&at("made/with/parents.git"));

    // HEAD names a commit that is not there, or nothing at all.
    let broken = at("broken.git");
    write(&mut open(&broken), &[(NODE, Some("n"))]).unwrap();
    for content in ["1234567890123456789012345678901234567890\n", "", "junk\n"] {
        fs::write(broken.join("refs/heads/main"), content).unwrap();
        let error = refused(&broken);
        assert!(matches!(error, MirrorError::Head { .. }), "{error:?}");
    }
    for bad in ["", "-x", "a..b", "a b", "HEAD", "x.lock"] {
        let mut options = options(&at("name.git"));
        options.branch = bad.to_owned();
        let error = Mirror::open(options).err().unwrap();
        assert!(matches!(error, MirrorError::RefName { .. }), "{bad}");
    }
    for (name, email) in [("", ""), ("a<b", ""), ("a", "b\nc"), ("a", "b>")] {
        let mut options = options(&at("author.git"));
        options.author = Author {
            name: name.into(),
            email: email.into(),
        };
        let error = Mirror::open(options).err().unwrap();
        assert!(matches!(error, MirrorError::Author { .. }), "{error}");
    }
    assert!(!at("name.git").exists() && !at("author.git").exists());
}

#[test]
fn two_recorders_exclude_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let first = open(&path);
    let error = Mirror::open(options(&path)).err().unwrap();
    assert!(matches!(error, MirrorError::InUse { .. }), "{error}");
    drop(first);
    open(&path);
}

#[test]
fn who_loses_the_race_for_the_branch_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    write(&mut mirror, &[(NODE, Some("1"))]).unwrap();
    let ours = mirror.head().unwrap().commit_id;
    let make = |tree: &str| git(&path, &["commit-tree", "-m", "theirs", tree]);
    let theirs = make(&mirror.head().unwrap().tree_id.to_string());

    // Between our comparison and our lock.
    let other = (path.clone(), theirs.clone());
    mirror.on_step(Box::new(move |step| {
        if step == Step::Lock {
            git(&other.0, &["update-ref", "refs/heads/main", &other.1]);
        }
        Ok(())
    }));
    stage(&mut mirror, &[(WEB, Some("w"))]).unwrap();
    let error = mirror.commit(&commit(&[(WEB, Some("w"))])).unwrap_err();
    assert_eq!(error.disposition(), Disposition::Reload);
    match error {
        MirrorError::Moved {
            expected, found, ..
        } => {
            assert_eq!(expected, Some(ours));
            assert_eq!(found, Some(theirs.parse().unwrap()));
        }
        other => panic!("{other}"),
    }
    assert_eq!(git(&path, &["rev-parse", "main"]), theirs);

    // After a reload it goes on from there. The blob lies in the repository already.
    mirror.on_step(Box::new(|_| Ok(())));
    mirror.reload().unwrap();
    mirror
        .commit(&commit(&[(WEB, Some("w"))]))
        .unwrap()
        .unwrap();
    assert_eq!(git(&path, &["rev-parse", "main^"]), theirs);

    // The branch deleted, and one created where none was expected.
    git(&path, &["update-ref", "-d", "refs/heads/main"]);
    let lost = mirror.commit(&commit(&[(WEB, None)])).unwrap_err();
    assert!(
        matches!(lost, MirrorError::Moved { found: None, .. }),
        "{lost}"
    );
    assert_eq!(mirror.reload().unwrap(), None);
    git(&path, &["update-ref", "refs/heads/main", &theirs]);
    let lost = mirror.commit(&commit(&[(WEB, Some("w"))])).unwrap_err();
    assert!(
        matches!(lost, MirrorError::Moved { expected: None, .. }),
        "{lost}"
    );

    // A `git` that holds the lock: no waiting for ever, and nothing is lost.
    mirror.reload().unwrap();
    let lock = path.join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let held = mirror.commit(&commit(&[(WEB, Some("w"))])).unwrap_err();
    assert_eq!(held.disposition(), Disposition::Retry, "{held}");
    fs::remove_file(&lock).unwrap();
    mirror
        .commit(&commit(&[(WEB, Some("w"))]))
        .unwrap()
        .unwrap();
    fsck(&path);
}

#[test]
fn attachments_name_their_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    let name = "refs/strandline/cursor";
    assert_eq!(mirror.attached(name).unwrap(), None);
    let attachment = |body: &str| Attachment {
        name: name.to_owned(),
        body: body.into(),
    };
    stage(&mut mirror, &[(NODE, Some("1"))]).unwrap();
    let mut first = commit(&[(NODE, Some("1"))]);
    first.attachments = vec![attachment("nodes 17\n")];
    let first = mirror.commit(&first).unwrap().unwrap();
    let attached = mirror.attached(name).unwrap().unwrap();
    assert_eq!(attached.commit_id, first.commit_id);
    assert_eq!(attached.body, b"nodes 17\n");
    assert_eq!(
        git(&path, &["cat-file", "blob", name]),
        format!("commit {}\nnodes 17", first.commit_id)
    );

    write(&mut mirror, &[(NODE, Some("2"))]).unwrap();
    let stale = mirror.attached(name).unwrap().unwrap();
    assert_ne!(stale.commit_id, mirror.head().unwrap().commit_id);
    let commits = git(&path, &["rev-list", "--count", "main"]);
    mirror.attach(&attachment("nodes 18\n")).unwrap();
    mirror.attach(&attachment("nodes 18\n")).unwrap();
    let attached = mirror.attached(name).unwrap().unwrap();
    assert_eq!(attached.commit_id, mirror.head().unwrap().commit_id);
    assert_eq!(attached.body, b"nodes 18\n");
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), commits);
    fsck(&path);
}

#[test]
fn attachments_stay_among_our_refs() {
    let directory = tempfile::tempdir().unwrap();
    let mut mirror = open(&directory.path().join("m.git"));
    write(&mut mirror, &[(NODE, Some("1"))]).unwrap();
    for name in [
        "refs/heads/main",
        "refs/strandline/a/b",
        "refs/strandline/",
        "cursor",
        "",
    ] {
        let attachment = Attachment {
            name: name.to_owned(),
            body: Vec::new(),
        };
        let mut with = commit(&[(NODE, None)]);
        with.attachments.push(attachment.clone());
        for error in [
            mirror.attach(&attachment).unwrap_err(),
            mirror.commit(&with).unwrap_err(),
        ] {
            assert!(
                matches!(error, MirrorError::RefName { .. }),
                "{name}: {error}"
            );
        }
    }
}

/// An empty disk: the newest commit is fetched alone, by `git` and behind an open mirror's back,
/// and the history goes on from it.
#[test]
fn a_shallow_start_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (old, path) = (
        directory.path().join("old.git"),
        directory.path().join("m.git"),
    );
    let mut before = open(&old);
    write(&mut before, &[(NODE, Some("1")), (WEB, Some("w"))]).unwrap();
    let tip = write(&mut before, &[(NODE, Some("2"))]).unwrap();

    let mut mirror = open(&path);
    let url = format!("file://{}", old.display());
    let refspec = "+refs/heads/main:refs/strandline/fetched";
    git(&path, &["fetch", "-q", "--depth=1", &url, refspec]);
    mirror.fast_forward(tip.commit_id).unwrap();
    assert_eq!(mirror.index().unwrap(), before.index().unwrap());
    let files = everything(&path);
    assert_eq!(
        write(&mut mirror, &[(NODE, Some("2")), (WEB, Some("w"))]),
        None
    );
    assert_eq!(everything(&path), files);
    let next = write(&mut mirror, &[(NODE, Some("3"))]).unwrap();
    // A blob, two trees and the root, a commit: nothing that was fetched is written again.
    assert_eq!(next.objects_written, 1 + 3 + 1);
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), "2");
    fsck(&path);
}

#[test]
fn only_descendants_are_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    write(&mut mirror, &[(NODE, Some("1"))]).unwrap();
    let first = mirror.head().unwrap();
    let tree = first.tree_id.to_string();
    let child = git(&path, &["commit-tree", "-p", "main", "-m", "c", &tree]);
    let stranger = git(&path, &["commit-tree", "-m", "s", &tree]);
    let error = mirror.fast_forward(stranger.parse().unwrap()).unwrap_err();
    assert!(
        matches!(error, MirrorError::NotADescendant { .. }),
        "{error}"
    );
    mirror.fast_forward(child.parse().unwrap()).unwrap();
    assert_eq!(git(&path, &["rev-parse", "main"]), child);
    let error = mirror.fast_forward(first.commit_id).unwrap_err();
    assert!(
        matches!(error, MirrorError::NotADescendant { .. }),
        "{error}"
    );
    let missing = "1234567890123456789012345678901234567890".parse().unwrap();
    assert!(mirror.fast_forward(missing).is_err());
    // An unborn branch takes anything that can be read.
    drop(mirror);
    let mut options = options(&path);
    options.branch = "other/one".to_owned();
    let mut other = Mirror::open(options).unwrap();
    other.fast_forward(stranger.parse().unwrap()).unwrap();
    write(&mut other, &[(NODE, Some("2"))]).unwrap();
    assert_eq!(
        git(&path, &["symbolic-ref", "HEAD"]),
        "refs/heads/other/one"
    );
    fsck(&path);
}

/// Whoever repacks, with deltas and all, while the mirror is open: it goes on reading and writing.
#[test]
fn repacking_by_others_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    let text = |n: usize| format!("{}{n}\n", "the same line again\n".repeat(60));
    for round in 0..40 {
        let texts: Vec<_> = (0..5).map(|n| text(round * 5 + n)).collect();
        let names: Vec<_> = (0..5).map(|n| format!("cluster/things/{n}.yaml")).collect();
        let changes: Vec<_> = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| (name.as_str(), Some(text.as_str())))
            .collect();
        write(&mut mirror, &changes).unwrap();
        match round % 8 {
            2 => drop(git(&path, &["repack", "--geometric=2", "-d", "-q"])),
            4 => drop(git(&path, &["repack", "-adfq"])),
            6 => drop(git(&path, &["gc", "-q", "--prune=now"])),
            7 => drop(git(&path, &["pack-refs", "--all"])),
            _ => {}
        }
        for (name, text) in names.iter().zip(&texts) {
            assert_eq!(
                mirror.read_file(name).unwrap().as_deref(),
                Some(text.as_bytes())
            );
        }
    }
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), "40");
    fsck(&path);
}

/// Packs vanish in the middle of a commit: it finds their objects where they are now.
#[test]
fn packs_may_be_put_together_during_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    write(
        &mut mirror,
        &[("cluster/things/first.yaml", Some("number: 0\n"))],
    )
    .unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let repacker = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                git(&path, &["repack", "--geometric=2", "-d", "-q"]);
                rounds += 1;
            }
            rounds
        });
        for n in 0..600 {
            let name = format!("namespaces/n{}/things/t{}.yaml", n % 7, n % 100);
            write(&mut mirror, &[(&name, Some(&format!("number: {n}\n")))]).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(
            repacker.join().unwrap() > 5,
            "packs were put together meanwhile"
        );
    });
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), "601");
    fsck(&path);
}

/// No lookup fails and the packs stay few, however long a recorder runs.
///
/// 18,000 times fsync: in memory where the machine has such a folder, for nothing fails here.
#[test]
fn three_thousand_commits_in_a_row() {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    };
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    let mut most = 0;
    for n in 0..3000 {
        let name = format!("namespaces/n{}/things/t{}.yaml", n % 7, n % 100);
        let text = format!("number: {n}\n");
        write(&mut mirror, &[(&name, Some(&text))]).unwrap();
        assert_eq!(
            mirror.read_file(&name).unwrap().as_deref(),
            Some(text.as_bytes())
        );
        most = most.max(mirror.packs_since_maintenance());
        if mirror.packs_since_maintenance() >= 100 {
            git(&path, &["repack", "--geometric=2", "-d", "-q"]);
            mirror.maintained().unwrap();
            assert!(mirror.packs_since_maintenance() < 30);
        }
    }
    assert!(most <= 100);
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), "3000");
    fsck(&path);
}

/// Offsets beyond two gibibytes go into a table of their own; Git reads them back.
#[test]
fn long_offsets_are_read_by_git() {
    let offsets = [12, (1 << 31) - 1, 1 << 31, 1 << 40];
    let bytes = pack::index_of_offsets(&offsets);
    let mut child = std::process::Command::new("git")
        .arg("show-index")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let listed: Vec<u64> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(listed, offsets);
}
