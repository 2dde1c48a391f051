//! The sidecar beside the branch: written, read back, crashed.

use std::sync::Arc;

use super::*;

const WEB: &str = "namespaces/shop/deployments.apps/web.yaml";
const NODE: &str = "cluster/nodes/a.yaml";

fn blobs(mirror: &mut Mirror, owners: &str, times: Option<&str>) -> SidecarBlobs {
    let mut put = |text: &str| {
        let id = BlobId::of(text.as_bytes());
        mirror.stage_blob(id, text.as_bytes()).unwrap();
        id
    };
    SidecarBlobs {
        owners: put(owners),
        times: times.map(put),
    }
}

/// An object's path, and its owners and times; none removes it.
type Object<'a> = (&'a str, Option<(&'a str, Option<&'a str>)>);

/// A change of the sidecar: path, owners, times; and facts.
fn changes(
    mirror: &mut Mirror,
    objects: &[Object<'_>],
    facts: &[(&str, Option<&str>)],
) -> SidecarChanges {
    SidecarChanges {
        objects: objects
            .iter()
            .map(|(path, texts)| {
                let blobs = texts.map(|(owners, times)| blobs(mirror, owners, times));
                (Arc::from(*path), blobs)
            })
            .collect(),
        facts: facts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.map(Into::into)))
            .collect(),
        message: "owners".to_owned(),
    }
}

fn both(
    mirror: &mut Mirror,
    files: &[(&str, Option<&str>)],
    sidecar: SidecarChanges,
) -> Option<Committed> {
    stage(mirror, files).unwrap();
    let commit = Commit {
        sidecar: Some(sidecar),
        ..commit(files)
    };
    mirror.commit(&commit).unwrap()
}

fn reader(path: &Path) -> SnapshotOptions {
    SnapshotOptions {
        path: path.to_owned(),
        reference: "refs/heads/main".to_owned(),
        prefix: Prefix::default(),
    }
}

fn newest(path: &Path) -> Sidecar {
    Sidecar::open(&reader(path), SIDECAR_REFS)
        .unwrap()
        .expect("a sidecar")
}

fn all(sidecar: &Sidecar) -> Vec<(String, String, Option<String>)> {
    let mut all = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    sidecar
        .for_each(|path, owners, times| {
            all.push((path.to_owned(), text(owners), times.map(text)));
        })
        .unwrap();
    all
}

fn two_objects(mirror: &mut Mirror) -> Committed {
    let sidecar = changes(
        mirror,
        &[
            (WEB, Some(("{\"o\":1}", Some("[1]")))),
            (NODE, Some(("{\"o\":1}", None))),
        ],
        &[("coverage.json", Some("{}"))],
    );
    let files = [(WEB, Some("web\n")), (NODE, Some("node\n"))];
    both(mirror, &files, sidecar).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    assert!(
        Sidecar::open(&reader(&path), SIDECAR_REFS)
            .unwrap()
            .is_none()
    );
    let committed = two_objects(&mut mirror);
    assert!(committed.branch_moved && committed.in_step);

    let sidecar = newest(&path);
    assert_eq!(sidecar.mirror_commit_id(), committed.commit_id);
    assert_eq!(sidecar.owners(WEB).unwrap().unwrap(), b"{\"o\":1}");
    assert_eq!(sidecar.times(WEB).unwrap().unwrap(), b"[1]");
    assert_eq!(sidecar.times(NODE).unwrap(), None);
    assert_eq!(sidecar.owners("cluster/nodes/b.yaml").unwrap(), None);
    let facts = sidecar.facts().unwrap();
    assert_eq!(facts.len(), 1);
    assert_eq!(facts["coverage.json"], b"{}");
    let shape = "{\"o\":1}".to_owned();
    assert_eq!(
        all(&sidecar),
        [
            (NODE.to_owned(), shape.clone(), None),
            (WEB.to_owned(), shape, Some("[1]".to_owned())),
        ]
    );
    let listed = git(
        &path,
        &["ls-tree", "-r", "--name-only", "refs/strandline/owners"],
    );
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        [
            "facts/coverage.json",
            "owners/cluster/nodes/a.json",
            "owners/namespaces/shop/deployments.apps/web.json",
            "times/namespaces/shop/deployments.apps/web.json",
        ]
    );
    let message = git(
        &path,
        &["log", "-1", "--format=%B", "refs/strandline/owners"],
    );
    let trailers = format!(
        "Strandline-Mirror-Commit: {}\nStrandline-Format: 1",
        committed.commit_id
    );
    assert!(message.ends_with(&trailers), "{message}");

    // What the recorder loads is the same.
    let mut known = Vec::new();
    let state = mirror
        .sidecar_state(&mut |path, blobs| known.push((path.to_owned(), blobs)))
        .unwrap();
    assert!(state.in_step);
    assert_eq!(state.facts["coverage.json"], BlobId::of(b"{}"));
    assert_eq!(known[1].1.times, Some(BlobId::of(b"[1]")));
    assert_eq!(known[0].1.times, None);
    fsck(&path);
}

#[test]
fn the_sidecar_moves_alone_with_the_branch_and_never_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    let first = two_objects(&mut mirror);
    let first_side = newest(&path).commit_id();
    let before = everything(&path);

    // The same again: nothing at all.
    let sidecar = changes(
        &mut mirror,
        &[(WEB, Some(("{\"o\":1}", Some("[1]"))))],
        &[("coverage.json", Some("{}"))],
    );
    assert_eq!(both(&mut mirror, &[(WEB, Some("web\n"))], sidecar), None);
    assert_eq!(everything(&path), before);

    // The shape alone: HEAD stays.
    let sidecar = changes(&mut mirror, &[(WEB, Some(("{\"o\":2}", None)))], &[]);
    let alone = both(&mut mirror, &[], sidecar).unwrap();
    assert!(!alone.branch_moved && alone.in_step);
    assert_eq!(alone.commit_id, first.commit_id);
    let second = newest(&path);
    assert_eq!(second.mirror_commit_id(), first.commit_id);
    assert_eq!(second.times(WEB).unwrap(), None);
    assert_eq!(second.owners(NODE).unwrap().unwrap(), b"{\"o\":1}");
    assert_eq!(git(&path, &["rev-list", "--count", "main"]), "1");

    // A file alone: the sidecar says that it belongs to the new HEAD.
    let none = SidecarChanges::default();
    let third = both(&mut mirror, &[(NODE, Some("node 2\n"))], none).unwrap();
    assert!(third.branch_moved && third.in_step);
    assert_eq!(newest(&path).mirror_commit_id(), third.commit_id);

    // What is removed is gone from every part.
    let sidecar = changes(
        &mut mirror,
        &[(NODE, None), (WEB, None)],
        &[("coverage.json", None)],
    );
    let gone = both(&mut mirror, &[(NODE, None), (WEB, None)], sidecar).unwrap();
    assert_eq!(git(&path, &["ls-tree", "-r", "refs/strandline/owners"]), "");
    assert_eq!(newest(&path).mirror_commit_id(), gone.commit_id);

    // One chain, and every commit of the mirror is found along it.
    let side = |id| Sidecar::of(&reader(&path), SIDECAR_REFS, id).unwrap();
    assert_eq!(
        side(third.commit_id).unwrap().mirror_commit_id(),
        third.commit_id
    );
    let of_first = side(first.commit_id).unwrap();
    assert_eq!(
        of_first.commit_id(),
        second.commit_id(),
        "the newest of two"
    );
    assert!(side(CommitId([1; 20])).is_none());
    let chain = git(&path, &["rev-list", "refs/strandline/owners"]);
    assert_eq!(chain.lines().count(), 4);
    assert_eq!(chain.lines().last().unwrap(), first_side.to_string());
    fsck(&path);
}

#[test]
fn nothing_is_written_while_there_is_no_head() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    let sidecar = changes(&mut mirror, &[], &[("a.json", Some("1"))]);
    assert_eq!(both(&mut mirror, &[], sidecar), None);
    assert_eq!(mirror.beat("2026-01-01T00:00:00Z", 0).unwrap(), None);
    assert!(mirror.heads().unwrap() == Heads::default());
}

#[test]
fn bad_names_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut mirror = open(&directory.path().join("m.git"));
    two_objects(&mut mirror);
    for name in ["../x", "a b", "a/b/c/d/e", ".git/x", ""] {
        let sidecar = changes(&mut mirror, &[], &[(name, Some("1"))]);
        let commit = Commit {
            sidecar: Some(sidecar),
            ..Commit::default()
        };
        let error = mirror.commit(&commit).unwrap_err();
        assert!(
            matches!(error, MirrorError::BadPath { .. }),
            "{name}: {error}"
        );
    }
    let sidecar = SidecarChanges {
        objects: vec![(
            WEB.into(),
            Some(SidecarBlobs {
                owners: BlobId::of(b"never staged"),
                times: None,
            }),
        )],
        ..SidecarChanges::default()
    };
    let commit = Commit {
        sidecar: Some(sidecar),
        ..Commit::default()
    };
    let error = mirror.commit(&commit).unwrap_err();
    assert_eq!(error.disposition(), Disposition::Restage, "{error}");
}

#[test]
fn each_branch_and_prefix_has_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let other = || MirrorOptions {
        branch: "prod/eu".to_owned(),
        prefix: Prefix::new("clusters/eu").unwrap(),
        ..options(&path)
    };
    let mut main = open(&path);
    two_objects(&mut main);
    drop(main);
    let mut mirror = Mirror::open(other()).unwrap();
    let sidecar = changes(
        &mut mirror,
        &[(WEB, Some(("{\"o\":9}", Some("[9]"))))],
        &[("f.json", Some("9"))],
    );
    both(&mut mirror, &[(WEB, Some("web\n"))], sidecar).unwrap();
    let sidecar = changes(&mut mirror, &[(NODE, Some(("{\"o\":8}", None)))], &[]);
    both(&mut mirror, &[(NODE, Some("node\n"))], sidecar).unwrap();
    let listed = git(
        &path,
        &[
            "ls-tree",
            "-r",
            "--name-only",
            "refs/strandline/branches/prod/eu/owners",
        ],
    );
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        [
            "clusters/eu/facts/f.json",
            "clusters/eu/owners/cluster/nodes/a.json",
            "clusters/eu/owners/namespaces/shop/deployments.apps/web.json",
            "clusters/eu/times/namespaces/shop/deployments.apps/web.json",
        ]
    );
    let options = SnapshotOptions {
        reference: "refs/heads/prod/eu".to_owned(),
        prefix: Prefix::new("clusters/eu").unwrap(),
        ..reader(&path)
    };
    let sidecar = Sidecar::open(&options, SIDECAR_REFS).unwrap().unwrap();
    assert_eq!(sidecar.owners(WEB).unwrap().unwrap(), b"{\"o\":9}");
    assert_eq!(all(&sidecar).len(), 2);
    assert_eq!(newest(&path).owners(WEB).unwrap().unwrap(), b"{\"o\":1}");
    // A prefix of which there is nothing falls back to the usual one.
    let elsewhere = Sidecar::open(&reader(&path), "refs/heads/strandline").unwrap();
    assert!(elsewhere.is_some());
    fsck(&path);
}

#[test]
fn the_proof_of_life_grows_nothing() {
    for form in [AliveForm::Blob, AliveForm::Commit] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.git");
        let mut mirror = open(&path);
        mirror.set_alive_form(form);
        let head = two_objects(&mut mirror).commit_id;
        mirror.beat("2026-01-01T00:00:00Z", 0).unwrap().unwrap();
        let before = everything(&path);
        for beat in 1..=1_000 {
            let time = format!("2026-01-02T00:{:02}:{:02}Z", beat / 60, beat % 60);
            let id = mirror.beat(&time, beat).unwrap().unwrap();
            assert_eq!(mirror.heads().unwrap().alive, Some(id));
        }
        let after = everything(&path);
        assert_eq!(before.len(), after.len(), "{form:?}");
        let size = |files: &[(std::path::PathBuf, u64)]| files.iter().map(|f| f.1).sum::<u64>();
        assert!(size(&after) < size(&before) + 64);
        let alive = Sidecar::alive(&reader(&path), SIDECAR_REFS)
            .unwrap()
            .unwrap();
        assert_eq!(alive.time, "2026-01-02T00:16:40Z");
        assert_eq!(alive.commit_id, head);
        let kind = git(&path, &["cat-file", "-t", "refs/strandline/alive"]);
        let expected = if form == AliveForm::Blob {
            "blob"
        } else {
            "commit"
        };
        assert_eq!(kind, expected);
        fsck(&path);
    }
}

#[test]
fn a_chain_of_reports_stands_beside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    let drift = SidecarRefs::new(SIDECAR_REFS, "main").drift();
    let file = |text: &str| vec![("report.json".to_owned(), text.as_bytes().to_vec())];
    let first = mirror.write_side(&drift, &file("1"), "drift", 10).unwrap();
    assert_eq!(
        mirror.write_side(&drift, &file("1"), "drift", 20).unwrap(),
        first
    );
    let second = mirror.write_side(&drift, &file("2"), "drift", 5).unwrap();
    assert_ne!(first, second);
    assert_eq!(mirror.heads().unwrap().drift, Some(second));
    assert_eq!(git(&path, &["rev-list", "--count", &drift]), "2");
    assert_eq!(git(&path, &["show", &format!("{drift}:report.json")]), "2");
    for name in ["refs/heads/main", "refs/strandline/owners"] {
        let refused = mirror.write_side(name, &file("1"), "drift", 0);
        assert!(
            matches!(refused, Err(MirrorError::RefName { .. })),
            "{name}"
        );
    }
    fsck(&path);
}

#[test]
fn a_chain_that_was_moved_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.git");
    let mut mirror = open(&path);
    two_objects(&mut mirror);
    git(&path, &["update-ref", "refs/strandline/owners", "main"]);
    let sidecar = changes(&mut mirror, &[(WEB, Some(("{\"o\":2}", None)))], &[]);
    let commit = Commit {
        sidecar: Some(sidecar),
        ..commit(&[])
    };
    let error = mirror.commit(&commit).unwrap_err();
    assert_eq!(error.disposition(), Disposition::Reload, "{error}");
    // What the ref names now belongs to nothing, and the chain goes on from it.
    mirror.reload().unwrap();
    assert!(!mirror.sidecar_in_step());
    let committed = mirror.commit(&commit).unwrap().unwrap();
    assert!(committed.in_step && !committed.branch_moved);
    assert_eq!(newest(&path).owners(WEB).unwrap().unwrap(), b"{\"o\":2}");
    fsck(&path);
}
