use super::*;

fn at(path: &Path, at: &At) -> Result<Snapshot, MirrorError> {
    let options = SnapshotOptions {
        path: path.to_owned(),
        reference: "refs/heads/main".to_owned(),
        prefix: Prefix::default(),
    };
    Snapshot::open(options, at)
}

fn revision(path: &Path, text: &str) -> Result<String, MirrorError> {
    at(path, &At::Revision(text.to_owned())).map(|snapshot| snapshot.head().commit_id.to_string())
}

/// Commits 0 to 4 a minute apart, each with one file that says its number.
fn history(path: &Path) -> Vec<String> {
    let mut mirror = open(path);
    let mut ids = Vec::new();
    for number in 0..5_i64 {
        let text = number.to_string();
        let changes = [("cluster/things.example.org/a.yaml", Some(&*text))];
        stage(&mut mirror, &changes).unwrap();
        let commit = Commit {
            seconds: 1_700_000_000 + 60 * number,
            ..commit(&changes)
        };
        let committed = mirror.commit(&commit).unwrap().unwrap();
        ids.push(committed.commit_id.to_string());
    }
    ids
}

#[test]
fn revisions_are_those_of_git() {
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("r.git");
    history(path);
    git(path, &["tag", "light", "main~3"]);
    git(path, &["tag", "-a", "-m", "x", "heavy", "main~2"]);
    git(path, &["tag", "-a", "-m", "x", "nested", "heavy"]);
    git(path, &["branch", "other/branch", "main~1"]);
    let merge = git(
        path,
        &[
            "commit-tree",
            "-p",
            "main",
            "-p",
            "light",
            "-m",
            "merge",
            "main^{tree}",
        ],
    );
    git(path, &["update-ref", "refs/heads/merged", &merge]);
    git(path, &["pack-refs", "--all"]);
    let short = git(path, &["rev-parse", "--short=7", "main~1"]);
    let long = git(path, &["rev-parse", "main~1"]);
    for text in [
        "HEAD",
        "@",
        "main",
        "refs/heads/main",
        "heads/main",
        "HEAD~1",
        "HEAD~",
        "HEAD~~",
        "HEAD^",
        "HEAD^^",
        "HEAD^1~2",
        "HEAD~4",
        "HEAD^0",
        "light",
        "heavy",
        "nested",
        "heavy~1",
        "tags/light",
        "refs/tags/heavy",
        "other/branch",
        "merged^2",
        "merged^2~1",
        "merged^1",
        &short,
        &long,
        &long.to_uppercase(),
    ] {
        let oracle = git(
            path,
            &["rev-parse", "--verify", &format!("{text}^{{commit}}")],
        );
        assert_eq!(revision(path, text).unwrap(), oracle, "{text}");
    }
    let tree = git(path, &["rev-parse", "main^{tree}"]);
    for text in [
        "HEAD~5",
        "HEAD^2",
        "nothing",
        "main~x",
        "light@{1}",
        "abc",
        "",
        "-x",
        "refs/heads/none",
        "0000000",
        &tree,
        "../HEAD",
        "HEAD~99999999999999999999",
    ] {
        let error = revision(path, text).unwrap_err();
        assert!(
            matches!(error, MirrorError::NoSuchRevision { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_time_names_the_newest_commit_that_is_not_younger() {
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("r.git");
    let ids = history(path);
    for (seconds, expected) in [
        (1_700_000_000, 0),
        (1_700_000_059, 0),
        (1_700_000_060, 1),
        (1_700_000_239, 3),
        (1_900_000_000, 4),
    ] {
        let snapshot = at(path, &At::Time(seconds)).unwrap();
        assert_eq!(
            snapshot.head().commit_id.to_string(),
            ids[expected],
            "{seconds}"
        );
    }
    let error = at(path, &At::Time(1_699_999_999)).err().unwrap();
    assert!(
        error
            .to_string()
            .contains("every commit of the branch is younger"),
        "{error}"
    );
}

#[test]
fn a_snapshot_stays_as_it_is_beside_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = &dir.path().join("r.git");
    history(path);
    let mut writer = open(path);
    let file = "cluster/things.example.org/a.yaml";
    let before = everything(path);
    let snapshot = at(path, &At::Revision("HEAD".to_owned())).unwrap();
    assert_eq!(everything(path), before, "reading wrote something");
    write(&mut writer, &[(file, Some("later"))]).unwrap();
    git(path, &["repack", "-a", "-d", "-q"]);
    assert_eq!(snapshot.read_file(file).unwrap().unwrap(), b"4");
    let index = snapshot.index().unwrap();
    let blob_id = index.get(file).unwrap();
    assert_eq!(snapshot.read_blob(blob_id, file).unwrap(), b"4");
    assert_eq!((index.len(), index.foreign()), (1, 0));
    let absent = at(&dir.path().join("none.git"), &At::Time(0))
        .err()
        .unwrap();
    assert!(matches!(absent, MirrorError::Absent { .. }));
}
