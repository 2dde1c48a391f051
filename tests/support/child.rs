//! A long-running child process that cannot outlive the test process.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use super::{Context as _, Failure, Result, wait_for};

/// Runs a program beside a watcher that reads signal names from a pipe of the test process. The
/// kernel closes that pipe however the test process ends, SIGKILL included, and the watcher then
/// kills the program: nothing that a test starts is worth a clean end once the test is over.
///
/// The watcher goes when the program does, and its pid is not reaped before (`wait` follows in the
/// keeper), so no signal can hit a stranger's process.
const KEEPER: &str = r#"
exec 3<&0
out=$1 err=$2
shift 2
"$@" </dev/null >>"$out" 2>>"$err" 3<&- &
child=$!
echo "$child"
(
    while read -r signal; do kill -s "$signal" "$child"; done
    kill -s KILL "$child"
) <&3 >/dev/null 2>&1 &
watcher=$!
exec 3<&- </dev/null >/dev/null 2>&1
wait "$child"
status=$?
kill -s KILL "$watcher"
exit "$status"
"#;

/// A running program.
#[derive(Debug)]
pub struct Child {
    name: String,
    keeper: std::process::Child,
    signals: Option<ChildStdin>,
    pid: u32,
    out: PathBuf,
    err: PathBuf,
}

impl Child {
    pub(super) fn start(
        name: &str,
        mut keeper: Command,
        program: &Path,
        args: &[OsString],
        logs: &Path,
    ) -> Result<Self> {
        let out = logs.join(format!("{name}.out"));
        let err = logs.join(format!("{name}.err"));
        keeper
            .args(["-c", KEEPER, name])
            .args([&out, &err])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut keeper = keeper
            .spawn()
            .context(format_args!("cannot start {name}"))?;
        let signals = keeper.stdin.take();
        let stdout = keeper.stdout.take().expect("the keeper's stdout is piped");
        let mut pid = String::new();
        BufReader::new(stdout)
            .read_line(&mut pid)
            .context(format_args!("cannot read the pid of {name}"))?;
        let pid = pid
            .trim()
            .parse()
            .context(format_args!("the keeper of {name} gave no pid"))?;
        Ok(Self {
            name: name.to_owned(),
            keeper,
            signals,
            pid,
            out,
            err,
        })
    }

    /// The program's process id (not that of the shell that keeps it).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by its name: `TERM`, `INT`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&mut self, signal: &str) -> Result<()> {
        let what = format!("cannot send {signal} to {}", self.name);
        let pipe = self.signals.as_mut().ok_or_else(|| Failure::new(&what))?;
        writeln!(pipe, "{signal}").context(what)
    }

    /// Returns the exit code if the program has ended; 128 + number if a signal ended it.
    pub fn try_wait(&mut self) -> Result<Option<i32>> {
        let status = self.keeper.try_wait().context(&self.name)?;
        Ok(status.map(|status| status.code().unwrap_or(-1)))
    }

    /// Waits for the program's own end and returns its exit code as [`Child::try_wait`] does.
    pub fn wait(&mut self, deadline: Duration) -> Result<i32> {
        let what = format!("the end of {}", self.name);
        wait_for(&what, deadline, || self.try_wait())
            .map_err(|error| Failure(format!("{error}\n{}", self.log_tail(40))))
    }

    /// Ends the program by `signal` and waits until it is gone; one that has ended is fine.
    pub fn stop(&mut self, signal: &str, deadline: Duration) -> Result<i32> {
        if let Some(code) = self.try_wait()? {
            return Ok(code);
        }
        // The program may end between the two calls: then nobody reads the pipe any more.
        let sent = self.signal(signal);
        self.wait(deadline).or_else(|error| sent.and(Err(error)))
    }

    /// What the program has written to standard output so far.
    pub fn stdout(&self) -> Result<String> {
        read(&self.out)
    }

    /// What the program has written to standard error so far.
    pub fn stderr(&self) -> Result<String> {
        read(&self.err)
    }

    /// The last lines of standard error, headed by the program's name, for a failure's text.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.stderr().unwrap_or_else(|error| error.to_string());
        let all: Vec<&str> = text.lines().collect();
        let tail = all[all.len().saturating_sub(lines)..].join("\n");
        format!("--- {} (last {lines} lines)\n{tail}", self.name)
    }
}

fn read(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        // The keeper opens it a moment after it has told the pid.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).context(path.display()),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The watcher kills the program when the pipe closes.
        drop(self.signals.take());
        let _status = self.keeper.wait();
    }
}
