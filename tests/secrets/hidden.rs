//! The values are in the cluster, and nowhere else.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Completion;
use strandline::canonical;
use strandline::sops::is_sealed;

use crate::mirror::{Mirror, Recorder};
use crate::modes::{Bed, Mode};
use crate::report;
use crate::scene::{IN_SECRETS, NAMESPACE, SECRETS, Scene, VALUES, recorded};
use crate::search::Search;
use crate::support::plane::ControlPlane;
use crate::support::program::Program;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Failure, Result};
use crate::told;

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

/// Recorded, changed, listed again by another process, explained and restored.
pub(crate) fn no_value_is_seen(bed: &Bed<'_>) -> Result<()> {
    let (plane, mode) = (bed.plane, bed.mode.name());
    let scene = Scene::of(plane)?;
    let mirror = bed.mirror()?;
    let args = bed.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut search = Search::new(&scene.values);
    let recorder = mirror.record(&[&args, ALL_LOGS].concat())?;
    let before = mirror.commits()?;
    scene.change(plane)?;
    let mark = format!("changed-{mode}");
    Scene::mark(plane, &mark)?;
    recorded(&mirror, &mark)?;
    assert!(mirror.commits()? > before);
    recorder.stop()?;
    for words in [
        &["snapshot", "--log-format", "json"][..],
        &["snapshot", "--dry-run"],
        &["snapshot", "--output", "json"],
        &["check"],
    ] {
        let (command, words) = words.split_first().expect("a command");
        let program = mirror.command(command).args(&args).args(ALL_LOGS);
        search.output(&program.args(words).run()?.expect_code(0)?);
    }
    // The repository, the logs of `record`, and whatever else lies in the home folder; the key of
    // the digests is the test's own.
    search.objects(&mirror.repository())?;
    search.files(mirror.home(), &["key"])?;
    if bed.mode != Mode::Plain {
        told::by_explain(bed, &mirror, &mut search)?;
        told::by_canonicalize(bed, &mirror, &mut search)?;
        told::by_restore(bed, &mirror, &mut search)?;
    }
    if bed.mode == Mode::Sops {
        let files = decrypted_by_sops(bed, &mirror)?;
        report(&format!(
            "sops: the program decrypts {files} files to what is live"
        ));
    }
    let secrets = secrets_of(&mirror)?;
    report(&format!(
        "{mode}: {secrets} Secrets, {} values found in {} KiB",
        search.values_found(),
        search.searched >> 10
    ));
    // Back to the first values for the next mode.
    scene.reset(plane)?;
    assert!(secrets >= SECRETS, "{secrets} Secrets are recorded");
    if bed.mode == Mode::Plain {
        assert!(
            search.values_found() >= IN_SECRETS,
            "{} values",
            search.values_found()
        );
        return Ok(());
    }
    search.nothing_found()
}

/// Compares every sealed file, as `sops -d` reads it, with the live object; returns how many.
fn decrypted_by_sops(bed: &Bed<'_>, mirror: &Mirror) -> Result<usize> {
    let live = bed
        .plane
        .kubectl_json(&["get", "secrets", "--all-namespaces"])?;
    let live = live["items"].as_array().cloned().unwrap_or_default();
    let mut files = 0;
    for (path, bytes) in mirror.files()? {
        if !is_sealed(&bytes) {
            continue;
        }
        files += 1;
        let file = mirror.home().join("sealed.yaml");
        std::fs::write(&file, &bytes).context(&path)?;
        let sops = bed.decrypt(&file).ok_or_else(|| Failure::new("no sops"))?;
        let plain = canonical::read(sops.run()?.success()?.as_bytes()).context(&path)?;
        let lives = live.iter().find(|object| {
            let is = |field: &str| object["metadata"][field] == plain["metadata"][field];
            is("namespace") && is("name")
        });
        let lives = lives.ok_or_else(|| Failure::new(format!("{path}: not live")))?;
        if lives["data"] != plain["data"] {
            return Err(Failure::new(format!("{path}: not what is live")));
        }
    }
    assert!(files >= SECRETS, "{files} sealed files");
    Ok(files)
}

/// Killed at several moments of its first sync, and when the first pack is being written.
pub(crate) fn no_value_is_seen_after_a_kill(bed: &Bed<'_>) -> Result<()> {
    let scene = Scene::of(bed.plane)?;
    let args = bed.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let whole = bed.mirror()?;
    let start = Instant::now();
    whole.record(&args)?.kill()?;
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
        let mirror = bed.mirror()?;
        let mut child = mirror
            .command("record")
            .args(&args)
            .args(ALL_LOGS)
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
        search.output(&mirror.snapshot(&args)?.expect_code(0)?);
        search.objects(&mirror.repository())?;
        search.files(mirror.home(), &["key"])?;
        search.nothing_found()?;
        mirror.fsck()?;
        assert!(secrets_of(&mirror)? >= SECRETS);
    }
    report(&format!(
        "{}: 5 kills within {:.1} s, {left} with a repository, {before_a_commit} before its first commit",
        bed.mode.name(),
        took.as_secs_f64()
    ));
    assert!(before_a_commit > 0, "no kill came in the middle of a sync");
    Ok(())
}

/// A resync writes nothing, with a cursor and, after a kill, without.
pub(crate) fn restarts_write_no_object(bed: &Bed<'_>) -> Result<()> {
    Scene::of(bed.plane)?;
    let mode = bed.mode.name();
    let args = bed.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mirror = bed.mirror()?;
    record(&mirror, &args)?.stop()?;
    let (head, objects) = (mirror.head()?, mirror.objects()?);
    record(&mirror, &args)?.stop()?;
    let with_cursor = mirror.objects()?.difference(&objects).count();
    record(&mirror, &args)?.kill()?;
    mirror.git(&["update-ref", "-d", "refs/strandline/cursor"])?;
    let objects = mirror.objects()?;
    // A snapshot reads everything and leaves no cursor.
    let _ = mirror.snapshot(&args)?.expect_code(0)?;
    let without = mirror.objects()?.difference(&objects).count();
    assert_eq!(mirror.head()?, head, "{mode}");
    report(&format!(
        "{mode}: {with_cursor} new objects after a restart with a cursor, {without} after one without"
    ));
    // A cursor is a blob, a tree and a commit, written anew where a version in it is another.
    assert!(with_cursor <= 3, "{mode}: {with_cursor} new objects");
    assert_eq!(without, 0, "{mode}");
    let contents = mirror.git(&["cat-file", "--batch-all-objects", "--batch"])?;
    let files = contents.matches("\nkind: Secret\n").count();
    assert_eq!(files, all_secrets(&mirror)?, "{mode}: a Secret twice");
    Ok(())
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
