//! Child processes: one constructor, hardened, and nothing else that starts one.
//!
//! In goes a [`Program`], out comes its [`Output`] or a [`ProcessError`]. A child sees an
//! environment that starts empty, no standard input, a process group of its own that is ended
//! whole, a time limit and a limit of its output; whatever text of it leaves this room has passed
//! [`redact()`].

mod redact;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

pub use redact::{one_line, redact};

/// What a child inherits from our environment where it is set there. Everything else is given by
/// name, with [`Program::env`].
const INHERITED: [&str; 4] = ["HOME", "PATH", "SSH_AUTH_SOCK", "TMPDIR"];
const TIMEOUT: Duration = Duration::from_secs(60);
const OUTPUT_CAP: usize = 1024 * 1024;
/// How long a child has to clean up (`git` removes its lock files) between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// Why a child gave no output. None of these says anything about how it ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start '{program}': is it installed and on the PATH?")]
    Start {
        /// The program's name.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It did not end in time, and was ended with everything that it had started.
    #[error("'{program}' did not end within {}s", timeout.as_secs_f32())]
    TimedOut {
        /// The program's name.
        program: String,
        /// The limit.
        timeout: Duration,
    },
    /// It wrote more than it may, and was ended.
    #[error("'{program}' wrote more than {cap} bytes")]
    TooMuchOutput {
        /// The program's name.
        program: String,
        /// The limit in bytes.
        cap: usize,
    },
    /// Its output or its end could not be read.
    #[error("cannot follow '{program}'")]
    Follow {
        /// The program's name.
        program: String,
        /// What the system says.
        source: io::Error,
    },
}

/// How a child ended, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, as it came: not redacted, for a program reads it.
    pub stdout: Vec<u8>,
    /// Its standard error, redacted; what lies over the cap is cut off.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// A program that is to be run.
pub struct Program {
    command: Command,
    name: String,
    timeout: Duration,
    output_cap: usize,
    secrets: Vec<Zeroizing<String>>,
}

impl Program {
    /// A program by name, found on the `PATH`, or by path. Time limit 60 s, output limit 1 MiB.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .envs(inherited())
            // Messages are read by us, so they are in one language.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        Self {
            command,
            name: program.as_ref().to_string_lossy().into_owned(),
            timeout: TIMEOUT,
            output_cap: OUTPUT_CAP,
            secrets: Vec::new(),
        }
    }

    /// Adds an argument. Anybody on the machine can read arguments: never a secret.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets a variable to a secret, which is then hidden in all text that leaves.
    #[must_use]
    pub fn secret_env(mut self, name: impl AsRef<OsStr>, value: Zeroizing<String>) -> Self {
        self.command.env(name, value.as_str());
        self.secrets.push(value);
        self
    }

    /// Sets the directory that it starts in.
    #[must_use]
    pub fn current_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Sets the time limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the limit of standard output and of standard error, in bytes each.
    #[must_use]
    pub fn output_cap(mut self, bytes: usize) -> Self {
        self.output_cap = bytes;
        self
    }

    /// Runs it to its end. Dropping the future ends the whole process group at once.
    pub async fn run(mut self) -> Result<Output, ProcessError> {
        let start = |source| ProcessError::Start {
            program: self.name.clone(),
            source,
        };
        let child = self.command.spawn().map_err(start)?;
        let mut group = Group::new(child);
        let result = tokio::time::timeout(self.timeout, follow(&mut group, self.output_cap)).await;
        let follow_failed = |source| ProcessError::Follow {
            program: self.name.clone(),
            source,
        };
        match result {
            Ok(Ok(Some(ended))) => Ok(Output {
                code: ended.code,
                stdout: ended.stdout,
                stderr: redact(
                    &String::from_utf8_lossy(&ended.stderr),
                    self.secrets.iter().map(|secret| secret.as_str()),
                ),
            }),
            Ok(Ok(None)) => {
                group.end().await;
                Err(ProcessError::TooMuchOutput {
                    program: self.name.clone(),
                    cap: self.output_cap,
                })
            }
            Ok(Err(source)) => {
                group.end().await;
                Err(follow_failed(source))
            }
            Err(_) => {
                group.end().await;
                Err(ProcessError::TimedOut {
                    program: self.name.clone(),
                    timeout: self.timeout,
                })
            }
        }
    }
}

fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    INHERITED
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
}

struct Ended {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Reads both streams to their ends, then waits. `None` where standard output exceeds the cap.
async fn follow(group: &mut Group, cap: usize) -> io::Result<Option<Ended>> {
    let stdout = group.child.stdout.take();
    let stderr = group.child.stderr.take();
    let (out, err) = tokio::try_join!(
        async {
            let out = read(stdout, cap, true).await?;
            // An error ends the other stream's reading, too.
            if out.len() > cap {
                return Err(io::Error::from(io::ErrorKind::FileTooLarge));
            }
            Ok(out)
        },
        read(stderr, cap, false)
    )
    .map_or_else(
        |error| match error.kind() {
            io::ErrorKind::FileTooLarge => Ok((None, Vec::new())),
            _ => Err(error),
        },
        |(out, err)| Ok((Some(out), err)),
    )?;
    let Some(stdout) = out else {
        return Ok(None);
    };
    // Last: until its leader is waited for, the group's number cannot be given to others.
    let status = group.child.wait().await?;
    group.over = true;
    Ok(Some(Ended {
        code: status.code(),
        stdout,
        stderr: err,
    }))
}

/// Reads to the end; keeps `cap` bytes, or stops one byte after them.
async fn read(
    stream: Option<impl AsyncRead + Unpin>,
    cap: usize,
    stop: bool,
) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return Ok(kept);
    };
    let limit = cap as u64 + u64::from(stop);
    (&mut stream).take(limit).read_to_end(&mut kept).await?;
    if kept.len() <= cap {
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

/// A child and everything that it started, unless that left its process group.
struct Group {
    child: Child,
    pid: Option<Pid>,
    over: bool,
}

impl Group {
    fn new(child: Child) -> Self {
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Self {
            child,
            pid,
            over: false,
        }
    }

    /// Asks the group to end, and ends it.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        let left = tokio::time::timeout(GRACE, self.child.wait()).await;
        if left.is_err() {
            self.signal(Signal::KILL);
            let _ = self.child.wait().await;
        } else if self
            .pid
            .is_some_and(|pid| test_kill_process_group(pid).is_ok())
        {
            // The leader is gone and others are not, so the number still belongs to them.
            self.signal(Signal::KILL);
        }
        self.over = true;
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // It may be gone already, which is what we want.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            self.signal(Signal::KILL);
        }
    }
}
