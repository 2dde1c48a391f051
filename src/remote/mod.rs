//! The remote repository: what it has, what it gets, by the `git` program.
//!
//! In go a repository's directory and commit ids, out come a remote's head, a fetched commit or
//! what became of a [`Push`]. Nothing is forced: a push says which commit it expects on the remote
//! (or none), that commit is an ancestor of what is pushed, and the server compares once more
//! (`--force-with-lease`). Credentials travel in one variable of one child's environment.

mod git;
mod porcelain;
#[cfg(test)]
mod tests;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::process::{Output, ProcessError, Program, one_line};
pub use git::{OLDEST_GIT, git_version, init, is_ancestor, last_message, maintenance};
use porcelain::Verdict;
use url::Scheme;
pub use url::UrlError;

/// Where [`Remote::fetch`] puts what it fetched, out of sight of everybody else.
pub const FETCHED: &str = "refs/strandline/fetched";
/// The longest reason that an outcome or error carries, in characters.
const REASON: usize = 300;

/// The id of a commit or blob, in 40 hexadecimal digits: what `git` takes and prints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Oid(String);

impl FromStr for Oid {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self, RemoteError> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits && text.len() == 40 {
            Ok(Self(text.to_owned()))
        } else {
            Err(RemoteError::Unexpected {
                act: "read an object id",
                reason: one_line(text, 60),
            })
        }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How `git` proves to the remote who it is.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Not at all; or by SSH with what the agent or the given key has.
    #[default]
    None,
    /// A token (or password) over HTTPS, read from this file at each use, so that it may rotate.
    TokenFile(PathBuf),
    /// A token (or password) over HTTPS.
    Token(Zeroizing<String>),
    /// A credential helper, as in `credential.helper`:
    /// <https://git-scm.com/docs/gitcredentials>.
    Helper(String),
}

/// Without the token.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
            Self::Token(_) => f.write_str("Token(***)"),
            Self::Helper(name) => f.debug_tuple("Helper").field(name).finish(),
        }
    }
}

/// What [`Remote::new`] needs to know.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// `https://…`, `ssh://…`, `user@host:path`, `file://…` or a local path. `http://…` to this
    /// machine alone, see [`RemoteOptions::allow_http`].
    pub url: String,
    /// The branch on the remote, without `refs/heads/`.
    pub branch: String,
    /// Who we are.
    pub credentials: Credentials,
    /// `--push-option`s, such as `ci.skip`.
    pub push_options: Vec<String>,
    /// The limit of each command that talks to the remote.
    pub timeout: Duration,
    /// Allows `http://` to other machines, where anybody on the way can read the token.
    pub allow_http: bool,
    /// A proxy for HTTP(S), as in `http.proxy`.
    pub proxy: Option<String>,
    /// Certificates to trust instead of the system's, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// The private key for SSH, instead of what the agent and the user's configuration offer.
    pub ssh_key: Option<PathBuf>,
    /// The `known_hosts` file for SSH, instead of the user's. Host keys are always checked.
    pub known_hosts: Option<PathBuf>,
}

impl RemoteOptions {
    /// A remote without credentials, with a limit of one minute.
    pub fn new(url: impl Into<String>, branch: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            branch: branch.into(),
            credentials: Credentials::None,
            push_options: Vec::new(),
            timeout: Duration::from_secs(60),
            allow_http: false,
            proxy: None,
            ca_file: None,
            ssh_key: None,
            known_hosts: None,
        }
    }
}

/// Why the remote could not be asked or written to. Reasons are one line, without credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The URL is not one that we use.
    #[error("cannot use the remote's URL")]
    Url(#[from] UrlError),
    /// The branch, or a further ref, has a name that Git does not take.
    #[error("'{}' cannot be the name of a branch or ref", name.escape_debug())]
    RefName {
        /// The name.
        name: String,
    },
    /// The file of the token cannot be read.
    #[error("cannot read the token in {}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// `git` is too old.
    #[error("git {found} is too old: strandline needs {OLDEST_GIT} or newer")]
    GitTooOld {
        /// Its version.
        found: String,
    },
    /// The remote does not know us, or does not let us.
    #[error("the remote refuses us: {reason}; check the credentials and their rights")]
    Auth {
        /// What it says.
        reason: String,
    },
    /// The remote does not answer, or is no repository.
    #[error("the remote cannot be reached: {reason}")]
    Unreachable {
        /// What `git` says.
        reason: String,
    },
    /// `git` could not be run to its end.
    #[error("cannot run git")]
    Process(#[from] ProcessError),
    /// `git` failed at something local, or said what we do not understand.
    #[error("git could not {act}: {reason}")]
    Unexpected {
        /// What it was asked to do.
        act: &'static str,
        /// What it says.
        reason: String,
    },
}

impl RemoteError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Process(ProcessError::TimedOut { .. } | ProcessError::Follow { .. })
        )
    }
}

/// How much history [`Remote::fetch`] brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The newest commit alone, with its files: for an empty repository. In one with history of
    /// its own it would cut that history off.
    Newest,
    /// All commits that are missing.
    Missing,
}

/// A further ref that goes with the branch, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraRef {
    /// Its full name, here and on the remote.
    pub name: String,
    /// The object to push.
    pub object: Oid,
    /// What the remote has there; `None` expects the ref to be absent.
    pub expected: Option<Oid>,
}

/// What became of a push. Reasons are one line, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Push {
    /// The remote has the commit now.
    Pushed,
    /// The remote had the commit already.
    UpToDate,
    /// What was expected on the remote is no ancestor of the commit: nothing was sent.
    Diverged {
        /// The two commits.
        reason: String,
    },
    /// The remote has something else than expected: somebody pushed, rewound or deleted the branch.
    StaleLease {
        /// What `git` says.
        reason: String,
    },
    /// The remote refused: a hook, a protected branch, a quota.
    Rejected {
        /// What it says.
        reason: String,
    },
    /// The remote does not know us, or does not let us.
    Auth {
        /// What it says.
        reason: String,
    },
    /// The remote does not answer, or is no repository.
    Unreachable {
        /// What `git` says.
        reason: String,
    },
    /// No end within the limit. The remote may have the commit nevertheless.
    TimedOut {
        /// The limit.
        reason: String,
    },
}

/// A branch of a remote repository.
#[derive(Clone, Debug)]
pub struct Remote {
    options: RemoteOptions,
    scheme: Scheme,
    reference: String,
}

impl Remote {
    /// Checks URL and branch; talks to nobody.
    pub fn new(options: RemoteOptions) -> Result<Self, RemoteError> {
        let scheme = url::check(&options.url, options.allow_http)?;
        let reference = format!("refs/heads/{}", options.branch);
        check_ref(&reference)?;
        Ok(Self {
            options,
            scheme,
            reference,
        })
    }

    /// The branch's full name.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// What the remote's branch names; `None` where it has no such branch.
    pub async fn head(&self) -> Result<Option<Oid>, RemoteError> {
        self.read_ref(&self.reference).await
    }

    /// What a ref of the remote names.
    pub async fn read_ref(&self, name: &str) -> Result<Option<Oid>, RemoteError> {
        check_ref(name)?;
        let command = self.command(None)?;
        let output = command
            .args(["ls-remote", "--quiet", "--", &self.options.url, name])
            .run()
            .await?;
        if !output.success() {
            return Err(talk_failed(&output));
        }
        // The pattern also matches `x/refs/heads/main`; the name must be equal.
        let stdout = String::from_utf8_lossy(&output.stdout);
        stdout
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, found)| *found == name)
            .map(|(id, _)| id.parse())
            .transpose()
    }

    /// What refs of the remote name, by their full names; those that it has not are left out.
    ///
    /// # Errors
    ///
    /// Where the remote cannot be asked.
    pub async fn read_refs(&self, names: &[String]) -> Result<BTreeMap<String, Oid>, RemoteError> {
        for name in names {
            check_ref(name)?;
        }
        let command = self.command(None)?;
        let output = command
            .args(["ls-remote", "--quiet", "--", &self.options.url])
            .args(names)
            .run()
            .await?;
        if !output.success() {
            return Err(talk_failed(&output));
        }
        let mut found = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // A pattern also matches the end of a longer name; the whole name must be equal.
            if let Some((id, name)) = line.split_once('\t')
                && names.iter().any(|wanted| wanted == name)
            {
                found.insert(name.to_owned(), id.parse()?);
            }
        }
        Ok(found)
    }

    /// Fetches refs of the remote (first) into refs of `repository` (second), whatever those name;
    /// returns what was fetched, by the remote's names. Refs that the remote has not are left out.
    /// What was fetched is on disk.
    ///
    /// # Errors
    ///
    /// Where the remote cannot be asked, or `repository` is none.
    pub async fn fetch_refs(
        &self,
        repository: &Path,
        refs: &[(String, String)],
        depth: Depth,
    ) -> Result<BTreeMap<String, Oid>, RemoteError> {
        let names: Vec<String> = refs.iter().map(|(theirs, _)| theirs.clone()).collect();
        let there = self.read_refs(&names).await?;
        let mut refspecs = Vec::with_capacity(refs.len());
        for (theirs, ours) in refs {
            check_ref(ours)?;
            if there.contains_key(theirs) {
                refspecs.push(format!("+{theirs}:{ours}"));
            }
        }
        if refspecs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut command = self.command(Some(repository))?.args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
        ]);
        if depth == Depth::Newest {
            command = command.arg("--depth=1");
        }
        let output = command
            .args(["--", &self.options.url])
            .args(refspecs)
            .run()
            .await?;
        if !output.success() {
            return Err(talk_failed(&output));
        }
        // They may have moved since they were asked for.
        let mut fetched = BTreeMap::new();
        for (theirs, ours) in refs.iter().filter(|(theirs, _)| there.contains_key(theirs)) {
            fetched.insert(theirs.clone(), git::resolve(repository, ours).await?);
        }
        Ok(fetched)
    }

    /// Pushes one ref alone, that need not be a descendant of what the remote has there; the remote
    /// must have what is expected.
    ///
    /// # Errors
    ///
    /// Where `git` cannot be run.
    pub async fn push_alone(
        &self,
        repository: &Path,
        reference: &ExtraRef,
    ) -> Result<Push, RemoteError> {
        let ExtraRef {
            name,
            object,
            expected,
        } = reference;
        check_ref(name)?;
        let result = self
            .command(Some(repository))?
            .args(["push", "--porcelain", "--no-verify"])
            .arg(lease(name, expected.as_ref()))
            .args(["--", &self.options.url])
            // No plus sign: it would defeat the lease. One that fits permits what it asks for.
            .arg(format!("{object}:{name}"))
            .run()
            .await;
        done(result)
    }

    /// Fetches the branch into [`FETCHED`] of `repository`; returns its commit, or `None` where the
    /// remote has no such branch. What was fetched is on disk.
    pub async fn fetch(&self, repository: &Path, depth: Depth) -> Result<Option<Oid>, RemoteError> {
        if self.head().await?.is_none() {
            return Ok(None);
        }
        let mut command = self.command(Some(repository))?.args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
        ]);
        if depth == Depth::Newest {
            command = command.arg("--depth=1");
        }
        let refspec = format!("+{}:{FETCHED}", self.reference);
        let output = command
            .args(["--", &self.options.url, &refspec])
            .run()
            .await?;
        if !output.success() {
            return Err(talk_failed(&output));
        }
        git::resolve(repository, FETCHED).await.map(Some)
    }

    /// Pushes `commit` of `repository` to the branch, if the remote has `expected` there (`None`:
    /// no such branch) and `expected` is an ancestor of `commit`. `extra` refs go in the same
    /// transaction of the server; each is a descendant of what is expected there, too.
    ///
    /// The ancestor is checked here because a lease that matches would permit a rewind.
    pub async fn push(
        &self,
        repository: &Path,
        commit: &Oid,
        expected: Option<&Oid>,
        extra: &[ExtraRef],
    ) -> Result<Push, RemoteError> {
        if let Some(expected) = expected
            && !is_ancestor(repository, expected, commit).await?
        {
            return Ok(Push::Diverged {
                reason: format!("the remote's {expected} is no ancestor of {commit}"),
            });
        }
        for ExtraRef {
            name,
            object,
            expected,
        } in extra
        {
            if let Some(expected) = expected
                && !is_ancestor(repository, expected, object).await?
            {
                let reason = format!("the remote's {expected} ({name}) is no ancestor of {object}");
                return Ok(Push::Diverged { reason });
            }
        }
        let mut command =
            self.command(Some(repository))?
                .args(["push", "--porcelain", "--no-verify"]);
        if !extra.is_empty() {
            // Not every host can, and one ref does not need it.
            command = command.arg("--atomic");
        }
        for option in &self.options.push_options {
            command = command.arg(format!("--push-option={option}"));
        }
        let mut refspecs = vec![format!("{commit}:{}", self.reference)];
        command = command.arg(lease(&self.reference, expected));
        for ExtraRef {
            name,
            object,
            expected,
        } in extra
        {
            check_ref(name)?;
            command = command.arg(lease(name, expected.as_ref()));
            refspecs.push(format!("{object}:{name}"));
        }
        let result = command
            .args(["--", &self.options.url])
            .args(refspecs)
            .run()
            .await;
        done(result)
    }

    /// A `git` that may talk to this remote, over its own protocol and no other.
    fn command(&self, repository: Option<&Path>) -> Result<Program, RemoteError> {
        git::Git::new(repository)
            .protocol(self.scheme.protocol())
            .timeout(self.options.timeout)
            .transport(&self.options)
            .map(git::Git::program)
    }
}

/// `--force-with-lease` with what the remote must have; nothing after the colon means no such ref.
fn lease(name: &str, expected: Option<&Oid>) -> String {
    let expected = expected.map_or("", |oid| &oid.0);
    format!("--force-with-lease={name}:{expected}")
}

fn check_ref(name: &str) -> Result<(), RemoteError> {
    if url::is_ref_name(name) {
        Ok(())
    } else {
        Err(RemoteError::RefName {
            name: name.to_owned(),
        })
    }
}

/// How a push ended.
fn done(result: Result<Output, ProcessError>) -> Result<Push, RemoteError> {
    match result {
        Ok(output) => Ok(outcome(&output)),
        Err(ProcessError::TimedOut { timeout, .. }) => Ok(Push::TimedOut {
            reason: format!("no end within {}s", timeout.as_secs_f32()),
        }),
        Err(other) => Err(other.into()),
    }
}

/// What a push's output means.
fn outcome(output: &Output) -> Push {
    let stdout = String::from_utf8_lossy(&output.stdout);
    match porcelain::verdict(&stdout) {
        Some(Verdict::Stale(summary)) => Push::StaleLease {
            reason: one_line(&summary, REASON),
        },
        Some(Verdict::Rejected(summary)) => Push::Rejected {
            // A hook's own words come first: they tell more than "declined".
            reason: one_line(
                &format!("{} {summary}", porcelain::said_by_remote(&output.stderr)),
                REASON,
            ),
        },
        Some(Verdict::Pushed) if output.success() => Push::Pushed,
        Some(Verdict::UpToDate) if output.success() => Push::UpToDate,
        _ => match talk_failed(output) {
            RemoteError::Auth { reason } => Push::Auth { reason },
            other => Push::Unreachable {
                reason: match other {
                    RemoteError::Unreachable { reason } => reason,
                    other => other.to_string(),
                },
            },
        },
    }
}

/// Why `git` could not talk to the remote, by its words: it has one exit code for everything.
fn talk_failed(output: &Output) -> RemoteError {
    const AUTH: [&str; 10] = [
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "terminal prompts disabled",
        "Permission denied (",
        "Host key verification failed",
        "returned error: 401",
        "returned error: 403",
        "not allowed to push",
        "Write access to repository not granted",
    ];
    let text = &output.stderr;
    let reason = if text.trim().is_empty() {
        "git gave no reason".to_owned()
    } else {
        one_line(text, REASON)
    };
    if AUTH.iter().any(|words| text.contains(words)) {
        RemoteError::Auth { reason }
    } else {
        RemoteError::Unreachable { reason }
    }
}
