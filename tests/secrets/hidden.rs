//! The values are in the cluster, and nowhere else.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Completion;

use crate::mirror::{Mirror, Recorder};
use crate::report;
use crate::scene::{NAMESPACE, Scene, VALUES, recorded};
use crate::search::Search;
use crate::support::plane::ControlPlane;
use crate::support::program::Program;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Failure, Result};

/// How values of Secrets are written, and whether one can then see them.
struct Mode {
    name: &'static str,
    args: &'static [&'static str],
    shows: bool,
}

const MODES: &[Mode] = &[Mode {
    name: "digest",
    args: &[],
    shows: false,
}];

/// Everything that is logged.
const ALL_LOGS: &[&str] = &["--verbose", "--verbose", "--verbose"];

/// The search is worth nothing if it cannot find: each form of a value in each place.
pub(crate) fn the_search_finds_what_is_there(plane: &ControlPlane) -> Outcome {
    let scene = Scene::of(plane)?;
    let values = &scene.values;
    for at in 0..VALUES {
        for (form, text) in values.forms_of(at) {
            let hay = [b"password: ", text.as_slice(), b"\n"].concat();
            assert!(
                values.find(&hay).contains_key(&at),
                "value {at} as {form:?}"
            );
        }
    }
    let home = tempfile::tempdir().context("a folder")?;
    let repository = home.path().join("r.git");
    let run = |program: Program| program.run()?.success();
    run(Program::git(home.path())
        .args(["init", "--quiet", "--bare"])
        .arg(&repository))?;
    let found = |what: &str| -> Result<usize> {
        let mut search = Search::new(values);
        search.objects(&repository).context(what)?;
        search.files(&repository, &[]).context(what)?;
        Ok(search.values_found())
    };
    assert_eq!(found("an empty repository")?, 0);
    // Nothing refers to it, and it lies in a loose object; then in half of a pack.
    let git = |args: &[&str]| Program::git(&repository).args(args);
    let blob =
        run(git(&["hash-object", "-w", "--stdin"]).stdin(format!("x: {}\n", values.base64(1))))?;
    assert_eq!(found("a loose object")?, 1);
    run(git(&["pack-objects", "--quiet", "objects/pack/pack"]).stdin(blob))?;
    run(git(&["prune-packed"]))?;
    assert_eq!(found("a pack")?, 1);
    let pack = repository.join("objects/pack");
    for entry in std::fs::read_dir(&pack).context("packs")? {
        let path = entry.context("packs")?.path();
        let bytes = std::fs::read(&path).context("a pack")?;
        std::fs::remove_file(&path).context("a pack")?;
        if path
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            // Less the trailer and the end of the only stream.
            let part = &bytes[..bytes.len() - 24];
            std::fs::write(pack.join("tmp_pack_x"), part).context("half of a pack")?;
        }
    }
    assert_eq!(found("half of a pack")?, 1);
    std::fs::remove_file(pack.join("tmp_pack_x")).context("half of a pack")?;
    assert_eq!(found("nothing again")?, 0);
    std::fs::write(repository.join(values.text(0)), "").context("a file")?;
    assert_eq!(found("a file's name")?, 1);
    std::fs::write(repository.join("x"), values.get(3)).context("a file")?;
    assert_eq!(found("a file")?, 2);
    Ok(Completion::Completed)
}

/// Recorded, changed, listed again by another process: in every mode.
pub(crate) fn no_value_is_seen(plane: &ControlPlane) -> Outcome {
    let scene = Scene::of(plane)?;
    for mode in MODES {
        let mirror = Mirror::new(plane)?;
        let mut search = Search::new(&scene.values);
        let recorder = mirror.record(&[mode.args, ALL_LOGS].concat())?;
        let before = mirror.commits()?;
        scene.change(plane)?;
        let mark = format!("changed-{}", mode.name);
        Scene::mark(plane, &mark)?;
        recorded(&mirror, &mark)?;
        assert!(mirror.commits()? > before);
        recorder.stop()?;
        for args in [
            &["snapshot", "--log-format", "json"][..],
            &["snapshot", "--dry-run"],
            &["snapshot", "--output", "json"],
            &["check"],
        ] {
            let (command, args) = args.split_first().expect("a command");
            let program = mirror.command(command).args(mode.args).args(ALL_LOGS);
            search.output(&program.args(args).run()?.expect_code(0)?);
        }
        // The repository, the logs of `record`, and whatever else lies in the home folder; the key
        // of the digests is the test's own.
        search.objects(&mirror.repository())?;
        search.files(mirror.home(), &["key"])?;
        let secrets = secrets_of(&mirror)?;
        report(&format!(
            "{}: {} Secrets, {} values found in {} KiB",
            mode.name,
            secrets,
            search.values_found(),
            search.searched >> 10
        ));
        assert!(secrets >= 30, "{secrets} Secrets are recorded");
        if mode.shows {
            // Less those that the server refused, which are nowhere.
            assert!(search.values_found() >= VALUES - 20);
        } else {
            search.nothing_found()?;
        }
        // Back to the first values for the next mode.
        scene.reset(plane)?;
    }
    Ok(Completion::Completed)
}

/// Killed at several moments of its first sync, and when the first pack is being written.
pub(crate) fn no_value_is_seen_after_a_kill(plane: &ControlPlane) -> Outcome {
    let scene = Scene::of(plane)?;
    for mode in MODES.iter().filter(|mode| !mode.shows) {
        let whole = Mirror::new(plane)?;
        let start = Instant::now();
        whole.record(mode.args)?.kill()?;
        let took = start.elapsed();
        let mut before_a_commit = 0;
        let mut left = 0;
        for moment in [
            Moment::FirstPack,
            Moment::After(took.mul_f64(0.3)),
            Moment::After(took.mul_f64(0.6)),
            Moment::After(took.mul_f64(0.8)),
            Moment::After(took.mul_f64(0.95)),
        ] {
            let mirror = Mirror::new(plane)?;
            let args = [mode.args, ALL_LOGS].concat();
            let mut child = mirror
                .command("record")
                .args(args)
                .spawn("record", mirror.home())?;
            moment.wait(&mirror.repository())?;
            child.stop("KILL", Duration::from_secs(10))?;
            let mut search = Search::new(&scene.values);
            if mirror.repository().join("HEAD").exists() {
                left += 1;
                search.objects(&mirror.repository())?;
                before_a_commit += usize::from(mirror.head().is_err());
            }
            search.files(mirror.home(), &["key"])?;
            search.nothing_found()?;
            // The next one goes on, and the mirror is whole.
            search.output(&mirror.snapshot(mode.args)?.expect_code(0)?);
            search.objects(&mirror.repository())?;
            search.files(mirror.home(), &["key"])?;
            search.nothing_found()?;
            mirror.fsck()?;
            assert!(secrets_of(&mirror)? >= 30);
        }
        report(&format!(
            "{}: 5 kills within {:.1} s, {left} with a repository, {before_a_commit} before its first commit",
            mode.name,
            took.as_secs_f64()
        ));
        assert!(before_a_commit > 0, "no kill came in the middle of a sync");
    }
    Ok(Completion::Completed)
}

/// A resync writes nothing, with a cursor and, after a kill, without.
pub(crate) fn restarts_write_no_object(plane: &ControlPlane) -> Outcome {
    Scene::of(plane)?;
    for mode in MODES {
        let mirror = Mirror::new(plane)?;
        record(&mirror, mode.args)?.stop()?;
        let (head, objects) = (mirror.head()?, mirror.objects()?);
        record(&mirror, mode.args)?.stop()?;
        let with_cursor = mirror.objects()? - objects;
        record(&mirror, mode.args)?.kill()?;
        mirror.git(&["update-ref", "-d", "refs/strandline/cursor"])?;
        let objects = mirror.objects()?;
        // A snapshot reads everything and leaves no cursor.
        let _ = mirror.snapshot(mode.args)?.expect_code(0)?;
        let without = mirror.objects()? - objects;
        assert_eq!(mirror.head()?, head, "{}", mode.name);
        report(&format!(
            "{}: {with_cursor} new objects after a restart with a cursor, {without} after one without",
            mode.name
        ));
        // A cursor is a blob, a tree and a commit, written anew where a version in it is another.
        assert!(with_cursor <= 3, "{}: {with_cursor} new objects", mode.name);
        assert_eq!(without, 0, "{}", mode.name);
        let contents = mirror.git(&["cat-file", "--batch-all-objects", "--batch"])?;
        let files = contents.matches("\nkind: Secret\n").count();
        assert_eq!(
            files,
            all_secrets(&mirror)?,
            "{}: a Secret twice",
            mode.name
        );
    }
    Ok(Completion::Completed)
}

/// Starts `record` with logs of its own, where an earlier one has left its logs.
fn record(mirror: &Mirror, args: &[&str]) -> Result<Recorder> {
    for name in ["record.out", "record.err"] {
        let path = mirror.home().join(name);
        if path.exists() {
            std::fs::remove_file(&path).context(name)?;
        }
    }
    mirror.record(args)
}

/// When to kill.
enum Moment {
    FirstPack,
    After(Duration),
}

impl Moment {
    fn wait(&self, repository: &Path) -> Result<()> {
        match self {
            Self::After(time) => {
                // The kill's moment is what is tested: any is right.
                std::thread::sleep(*time);
                Ok(())
            }
            Self::FirstPack => {
                let start = Instant::now();
                let pack = repository.join("objects/pack");
                while start.elapsed() < Duration::from_secs(60) {
                    if std::fs::read_dir(&pack).is_ok_and(|mut packs| packs.next().is_some()) {
                        return Ok(());
                    }
                    std::thread::yield_now();
                }
                Err(Failure::new("no pack within a minute"))
            }
        }
    }
}

fn all_secrets(mirror: &Mirror) -> Result<usize> {
    let files = mirror.git(&["ls-tree", "-r", "--name-only", "main"])?;
    Ok(files
        .lines()
        .filter(|path| path.contains("/secrets/"))
        .count())
}

fn secrets_of(mirror: &Mirror) -> Result<usize> {
    let folder = format!("namespaces/{NAMESPACE}/secrets");
    let files = mirror.git(&["ls-tree", "-r", "--name-only", "main", "--", &folder])?;
    Ok(files.lines().count())
}
