//! Programs with a clean environment and a deadline, their output kept.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::child::Child;
use super::{Context as _, Failure, Result, wait_for};

/// What a program inherits from the machine; the rest of the environment is cleared, so that no
/// setting of the person who runs the tests reaches them.
const INHERITED: [&str; 3] = ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"];

/// A program to be run.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    dir: Option<PathBuf>,
    stdin: Vec<u8>,
    deadline: Duration,
}

impl Program {
    /// A program with an environment of `PATH` and `TMPDIR` only and a deadline of a minute.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        Self {
            path: path.into(),
            args: Vec::new(),
            env: inherited.collect(),
            dir: None,
            stdin: Vec::new(),
            deadline: Duration::from_secs(60),
        }
    }

    /// The `strandline` binary of this build, with `home` as its home and working folder.
    pub fn strandline(home: &Path) -> Self {
        Self::new(env!("CARGO_BIN_EXE_strandline"))
            .env("HOME", home)
            .dir(home)
    }

    /// `git` in `dir`, with no configuration but the repository's own, a fixed identity and a
    /// fixed date, so that commit ids can be reproduced.
    ///
    /// <https://git-scm.com/docs/git#_environment_variables>
    pub fn git(dir: &Path) -> Self {
        let mut git = Self::new("git").dir(dir).env("HOME", dir);
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_AUTHOR_NAME", "Test"),
            ("GIT_AUTHOR_EMAIL", "test@example.invalid"),
            ("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z"),
            ("GIT_COMMITTER_NAME", "Test"),
            ("GIT_COMMITTER_EMAIL", "test@example.invalid"),
            ("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z"),
            ("LC_ALL", "C"),
        ] {
            git = git.env(name, value);
        }
        git
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Passes on every variable of the test process: for `go`, whose caches and proxy are the
    /// machine's business.
    pub fn inherit_env(mut self) -> Self {
        self.env.extend(std::env::vars_os());
        self
    }

    /// Sets the working folder.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets what the program reads from its standard input, which is empty otherwise.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets how long [`Program::run`] waits before it kills the program and fails.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the program to its end, whatever its exit code.
    ///
    /// Output goes through files: a program that fills a pipe nobody reads would hang.
    pub fn run(&self) -> Result<Finished> {
        let what = self.to_string();
        let file = || tempfile::tempfile().context("cannot make a temporary file");
        let (mut stdin, mut stdout, mut stderr) = (file()?, file()?, file()?);
        stdin.write_all(&self.stdin).context(&what)?;
        stdin.rewind().context(&what)?;
        let start = Instant::now();
        let mut child = self
            .command()
            .stdin(stdin)
            .stdout(stdout.try_clone().context(&what)?)
            .stderr(stderr.try_clone().context(&what)?)
            .spawn()
            .context(format_args!("cannot start `{what}`"))?;
        let status = wait_for(&what, self.deadline, || child.try_wait().context(&what));
        let took = start.elapsed();
        if status.is_err() {
            child.kill().context(&what)?;
            child.wait().context(&what)?;
        }
        let (stdout, stderr) = (text(&mut stdout)?, text(&mut stderr)?);
        match status {
            Ok(status) => Ok(Finished {
                what,
                code: status.code(),
                stdout,
                stderr,
                took,
            }),
            Err(error) => Err(Failure(format!(
                "{error}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
            ))),
        }
    }

    /// Starts the program and leaves it running; its output goes to `NAME.out` and `NAME.err` in
    /// `logs`. It ends with the returned value, or with the test process, however that ends.
    pub fn spawn(&self, name: &str, logs: &Path) -> Result<Child> {
        let mut keeper = Command::new("/bin/sh");
        self.settle(&mut keeper);
        Child::start(name, keeper, &self.path, &self.args, logs)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.args);
        self.settle(&mut command);
        command
    }

    fn settle(&self, command: &mut Command) {
        command.env_clear().envs(&self.env).stdin(Stdio::null());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        write!(f, "{}", name.display())?;
        for arg in &self.args {
            write!(f, " {}", arg.display())?;
        }
        Ok(())
    }
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().context("cannot read captured output")?;
    file.read_to_end(&mut bytes)
        .context("cannot read captured output")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A program that has ended.
#[must_use = "look at the exit code, by `success` if nothing else"]
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub what: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Wall time.
    pub took: Duration,
}

impl Finished {
    /// Returns standard output if the exit code is 0, else a failure with both streams.
    pub fn success(self) -> Result<String> {
        Ok(self.expect_code(0)?.stdout)
    }

    /// Returns itself if the exit code is `code`, else a failure with both streams.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code == Some(code) {
            return Ok(self);
        }
        let Self {
            what,
            stdout,
            stderr,
            ..
        } = &self;
        let was = self
            .code
            .map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        Err(Failure(format!(
            "`{what}` ended with {was} instead of {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )))
    }
}
