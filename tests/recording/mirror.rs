//! A mirror under test: the repository, the remote, and the program that writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::child::Child;
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::program::{Finished, Program};
use crate::support::{Context as _, Failure, Result, wait_for};

/// 32 bytes that every mirror of a test shares, so that digests can be compared.
pub(crate) const KEY: [u8; 32] = *b"a key for tests, 32 bytes long..";

/// A folder with a mirror in it, and perhaps its remote.
pub(crate) struct Mirror {
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Mirror {
    pub(crate) fn new(plane: &ControlPlane) -> Result<Self> {
        Self::of(plane, ADMIN)
    }

    pub(crate) fn of(plane: &ControlPlane, user: &str) -> Result<Self> {
        let home = tempfile::tempdir().context("a temporary folder")?;
        std::fs::write(home.path().join("key"), KEY).context("the digest key")?;
        Ok(Self {
            home,
            kubeconfig: plane.kubeconfig(user)?,
        })
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.home.path().join("mirror.git")
    }

    pub(crate) fn remote(&self) -> PathBuf {
        self.home.path().join("remote.git")
    }

    /// Makes an empty bare repository to push to.
    pub(crate) fn with_remote(self) -> Result<Self> {
        let remote = self.remote();
        Program::git(self.home())
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(&remote)
            .run()?
            .success()?;
        Ok(self)
    }

    pub(crate) fn command(&self, command: &str) -> Program {
        Program::strandline(self.home())
            .arg(command)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--repository", "mirror.git", "--digest-key-file", "key"])
            .deadline(Duration::from_secs(120))
    }

    pub(crate) fn snapshot(&self, args: &[&str]) -> Result<Finished> {
        self.command("snapshot").args(args).run()
    }

    /// Starts `record` and waits for its first sync.
    pub(crate) fn record(&self, args: &[&str]) -> Result<Recorder> {
        let child = self
            .command("record")
            .args(["--log-format", "json", "-v"])
            .args(args)
            .spawn("record", self.home())?;
        let mut recorder = Recorder { child };
        recorder.wait_for_log("the first sync is settled")?;
        Ok(recorder)
    }

    pub(crate) fn git(&self, args: &[&str]) -> Result<String> {
        git(&self.repository(), args)
    }

    pub(crate) fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "main"])
            .map(|text| text.trim().to_owned())
    }

    pub(crate) fn tree(&self) -> Result<String> {
        self.git(&["rev-parse", "main^{tree}"])
            .map(|text| text.trim().to_owned())
    }

    pub(crate) fn commits(&self) -> Result<usize> {
        self.git(&["rev-list", "--count", "main"])?
            .trim()
            .parse()
            .context("a count")
    }

    pub(crate) fn file(&self, path: &str) -> Result<String> {
        self.git(&["show", &format!("main:{path}")])
    }

    pub(crate) fn has(&self, path: &str) -> Result<bool> {
        Ok(!self
            .git(&["ls-tree", "-r", "--name-only", "main", "--", path])?
            .is_empty())
    }

    /// The id of every object in the repository's database, whatever refers to it, but for the
    /// proof of life, which every run writes anew.
    pub(crate) fn objects(&self) -> Result<BTreeSet<String>> {
        let all = [
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname)",
        ];
        let alive = self.git(&["rev-parse", "refs/strandline/alive"])?;
        let ids = self.git(&all)?;
        Ok(ids
            .lines()
            .filter(|id| *id != alive.trim())
            .map(str::to_owned)
            .collect())
    }

    /// Every file of HEAD, by path.
    pub(crate) fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let archive = self.home().join("tree");
        if archive.exists() {
            std::fs::remove_dir_all(&archive).context("the last checkout")?;
        }
        std::fs::create_dir(&archive).context("a folder for a checkout")?;
        let work_tree = format!("--work-tree={}", archive.display());
        self.git(&[&work_tree, "checkout", "--force", "main", "--", "."])?;
        std::fs::remove_file(self.repository().join("index")).context("the checkout's index")?;
        let mut files = BTreeMap::new();
        collect(&archive, &archive, &mut files)?;
        Ok(files)
    }

    pub(crate) fn fsck(&self) -> Result<()> {
        fsck(&self.repository())
    }
}

pub(crate) fn fsck(repository: &Path) -> Result<()> {
    let options = ["fsck", "--strict", "--full", "--no-dangling"];
    Program::git(repository)
        .args(options)
        .deadline(Duration::from_secs(120))
        .run()?
        .success()?;
    Ok(())
}

pub(crate) fn git(repository: &Path, args: &[&str]) -> Result<String> {
    Program::git(repository)
        .arg(format!("--git-dir={}", repository.display()))
        .args(args)
        .run()?
        .success()
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(folder).context(folder.display())? {
        let path = entry.context(folder.display())?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            let name = path
                .strip_prefix(root)
                .context("a path")?
                .display()
                .to_string();
            files.insert(name, std::fs::read(&path).context(path.display())?);
        }
    }
    Ok(())
}

/// A running `strandline record`.
pub(crate) struct Recorder {
    child: Child,
}

impl Recorder {
    /// The log lines so far.
    pub(crate) fn log(&self) -> Result<Vec<Value>> {
        let text = self.child.stderr()?;
        // The last line may be half-written.
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    pub(crate) fn wait_for_log(&mut self, message: &str) -> Result<Value> {
        let found = wait_for(message, Duration::from_secs(90), || {
            if let Some(code) = self.child.try_wait()? {
                let tail = self.child.log_tail(20);
                return Err(Failure::new(format!("record ended with {code}: {tail}")));
            }
            Ok(self
                .log()?
                .into_iter()
                .find(|line| line["fields"]["message"] == message))
        });
        found.map_err(|error| Failure::new(format!("{error}\n{}", self.child.log_tail(20))))
    }

    /// Stops it as systemd and Kubernetes do, and returns its last words.
    pub(crate) fn stop(mut self) -> Result<Value> {
        let code = self.child.stop("TERM", Duration::from_secs(60))?;
        if code != 0 {
            let tail = self.child.log_tail(20);
            return Err(Failure::new(format!("record ended with {code}: {tail}")));
        }
        let lines = self.log()?;
        let stopped = lines
            .into_iter()
            .find(|line| line["fields"]["message"] == "stopped");
        stopped
            .map(|line| line["fields"].clone())
            .ok_or_else(|| Failure::new("no last words"))
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.stop("KILL", Duration::from_secs(10)).map(drop)
    }
}

/// Waits until `holds`; returns how long that took.
pub(crate) fn until(
    what: &str,
    since: Instant,
    most: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    wait_for(what, most, || {
        holds().map(|holds| holds.then(|| since.elapsed()))
    })
}
