//! A recorder beside the test, and waiting until it has committed what the test did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::bed::READER;
use crate::product::KEY;
use crate::support::child::Child;
use crate::support::plane::ControlPlane;
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, wait_for};

/// Where shapes of ownership lie.
pub(crate) const OWNERS: &str = "refs/strandline/owners";
/// Where the recorder says that it lives.
pub(crate) const ALIVE: &str = "refs/strandline/alive";

/// How long the recorder may take from an event to its commit on a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// A tree's files: path → blob.
pub(crate) type Tree = BTreeMap<String, String>;

/// A running `strandline record` that commits every change at once.
pub(crate) struct Recording {
    home: tempfile::TempDir,
    child: Child,
}

impl Recording {
    /// Starts it, under the rights of [`READER`], and waits for its first sync.
    pub(crate) fn start(plane: &ControlPlane) -> Result<Self> {
        let home = tempfile::tempdir().context("a folder for the mirror")?;
        let key = home.path().join("key");
        std::fs::write(&key, KEY).context(key.display())?;
        let child = Program::strandline(home.path())
            .arg("record")
            .arg("--kubeconfig")
            .arg(plane.kubeconfig(READER)?)
            .args(["--repository", "mirror.git", "--digest-key-file", "key"])
            .args(["--quiet-period", "100ms", "--max-age", "2s"])
            .args(["--damping", "off", "--log-format", "json", "-v"])
            .spawn("record", home.path())?;
        let mut recording = Self { home, child };
        wait_for("the first sync", Duration::from_secs(180), || {
            recording.alive()?;
            let log = recording.child.stderr()?;
            Ok(log.contains("the first sync is settled").then_some(()))
        })?;
        // They are gathered beside it, and may come later on a busy machine.
        wait_for("the facts", SOON, || {
            recording.alive()?;
            let sidecar = recording.tree(OWNERS)?;
            Ok(sidecar.contains_key("facts/cluster.json").then_some(()))
        })?;
        Ok(recording)
    }

    /// Fails where the recorder has ended.
    fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(code) => {
                let tail = self.child.log_tail(20);
                Err(Failure::new(format!("record ended with {code}: {tail}")))
            }
        }
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.home.path().join("mirror.git")
    }

    /// Ends it as systemd does.
    pub(crate) fn stop(mut self) -> Result<Stopped> {
        let code = self.child.stop("TERM", Duration::from_secs(60))?;
        if code != 0 {
            let tail = self.child.log_tail(20);
            return Err(Failure::new(format!("record ended with {code}: {tail}")));
        }
        Ok(Stopped { home: self.home })
    }

    /// The files of a ref's tree; none where there is no such ref.
    pub(crate) fn tree(&self, reference: &str) -> Result<Tree> {
        tree(&self.repository(), reference)
    }

    /// How many commits a ref has.
    pub(crate) fn commits(&self, reference: &str) -> Result<usize> {
        let text = git(&self.repository(), &["rev-list", "--count", reference])?;
        text.trim().parse().context(reference)
    }

    /// The newest commit of the mirror.
    pub(crate) fn tip(&self) -> Result<String> {
        let text = git(&self.repository(), &["rev-parse", "main"])?;
        Ok(text.trim().to_owned())
    }

    /// Waits until a commit after `last` has another file at the path than `blob`, which `is` what is
    /// waited for; that commit.
    pub(crate) fn commit_of(
        &mut self,
        path: &str,
        blob: Option<&String>,
        last: &str,
        is: &dyn Fn(&Value) -> bool,
    ) -> Result<String> {
        let repository = self.repository();
        let done = wait_for("the commit of a change", SOON, || {
            self.alive()?;
            let tip = self.tip()?;
            if tip == last {
                return Ok(None);
            }
            let name = format!("{tip}:{path}");
            let found = git(&repository, &["rev-parse", "--verify", "--quiet", &name]).ok();
            let found = found.map(|found| found.trim().to_owned());
            if found.as_ref() == blob {
                return Ok(None);
            }
            let file = match found {
                None => Value::Null,
                Some(blob) => {
                    let text = git(&repository, &["cat-file", "blob", &blob])?;
                    serde_yaml::from_str(&text).context(path)?
                }
            };
            Ok(is(&file).then_some(tip))
        });
        done.map_err(|error| Failure::new(format!("{error}: {path}\n{}", self.child.log_tail(5))))
    }

    /// Waits until the files of these paths are as `hold` wants them, and what it is.
    pub(crate) fn wait(
        &mut self,
        what: &str,
        paths: &[String],
        holds: impl Fn(&str, Option<&String>) -> bool,
    ) -> Result<Tree> {
        let mut missing = Vec::new();
        let done = wait_for(what, SOON, || {
            self.alive()?;
            let tree = self.tree("main")?;
            missing = paths
                .iter()
                .filter(|path| !holds(path, tree.get(*path)))
                .cloned()
                .collect();
            Ok(missing.is_empty().then_some(tree))
        });
        done.map_err(|error| {
            Failure::new(format!("{error}: {missing:?}\n{}", self.child.log_tail(5)))
        })
    }

    /// What the paths of two trees differ in.
    pub(crate) fn differing(one: &Tree, other: &Tree) -> BTreeSet<String> {
        let paths = one.keys().chain(other.keys());
        paths
            .filter(|path| one.get(*path) != other.get(*path))
            .cloned()
            .collect()
    }
}

/// What a recorder left behind.
pub(crate) struct Stopped {
    home: tempfile::TempDir,
}

impl Stopped {
    pub(crate) fn repository(&self) -> PathBuf {
        self.home.path().join("mirror.git")
    }

    /// Writes the proof of life anew.
    pub(crate) fn set_alive(&self, time: &str) -> Result<()> {
        let repository = self.repository();
        let commit = git(&repository, &["rev-parse", "main"])?;
        let alive = serde_json::json!({"time": time, "commit": commit.trim()});
        let written = Program::git(&repository)
            .args(["hash-object", "-w", "--stdin"])
            .stdin(alive.to_string())
            .run()?
            .success()?;
        git(&repository, &["update-ref", ALIVE, written.trim()]).map(drop)
    }

    /// The proof of life.
    pub(crate) fn alive(&self) -> Result<Value> {
        let text = git(&self.repository(), &["cat-file", "blob", ALIVE])?;
        serde_json::from_str(&text).context(ALIVE)
    }
}

pub(crate) fn git(repository: &Path, args: &[&str]) -> Result<String> {
    Program::git(repository)
        .arg(format!("--git-dir={}", repository.display()))
        .args(args)
        .run()?
        .success()
}

fn tree(repository: &Path, reference: &str) -> Result<Tree> {
    let known = Program::git(repository)
        .arg(format!("--git-dir={}", repository.display()))
        .args(["rev-parse", "--verify", "--quiet", reference])
        .run()?;
    if known.code != Some(0) {
        return Ok(Tree::new());
    }
    let text = git(repository, &["ls-tree", "-r", "-z", reference])?;
    let lines = text.split('\0').filter_map(|line| {
        let (head, path) = line.split_once('\t')?;
        Some((path.to_owned(), head.split(' ').nth(2)?.to_owned()))
    });
    Ok(lines.collect())
}
