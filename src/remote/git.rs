use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Credentials, Oid, REASON, RemoteError, RemoteOptions};
use crate::process::{Program, one_line};

/// The oldest `git` that has all we use: `repack --geometric`, `GIT_CONFIG_COUNT`,
/// `--no-write-fetch-head`.
pub const OLDEST_GIT: &str = "2.34";
/// The variable that carries the token to our credential helper.
const TOKEN: &str = "STRANDLINE_GIT_TOKEN";
/// A credential helper that answers with the token, if and when `git` asks.
const HELPER: &str =
    r#"!f() { test "$1" = get && printf 'password=%s\n' "$STRANDLINE_GIT_TOKEN"; }; f"#;
/// What hosts take as the user's name beside a token, where the URL names none.
const TOKEN_USER: &str = "x-access-token";

/// Settings of every `git` that we run, over those of the repository. Neither the system's nor the
/// user's configuration is read.
const SETTINGS: [(&str, &str); 18] = [
    // Nothing in the repository may run a program.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("protocol.ext.allow", "never"),
    // Empty: forgets the helpers that were set before.
    ("credential.helper", ""),
    // A redirect at a later request could carry the credentials elsewhere.
    ("http.followRedirects", "initial"),
    ("safe.bareRepository", "explicit"),
    ("fetch.fsckObjects", "true"),
    ("transfer.fsckObjects", "true"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("submodule.recurse", "false"),
    // Maintenance is ours.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // What we are told is there has to be there after a power failure: one pack, synced.
    ("core.fsync", "all"),
    ("fetch.unpackLimit", "1"),
];

/// A hardened `git`.
pub(super) struct Git {
    program: Program,
    settings: Vec<(String, String)>,
}

impl Git {
    pub(super) fn new(repository: Option<&Path>) -> Self {
        let mut program = Program::new("git")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_PROTOCOL_FROM_USER", "0")
            .env("GIT_ALLOW_PROTOCOL", "none");
        if let Some(repository) = repository {
            program = program.arg("--git-dir").arg(repository);
        }
        Self {
            program,
            settings: SETTINGS
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// Allows one protocol.
    pub(super) fn protocol(mut self, protocol: &str) -> Self {
        self.program = self.program.env("GIT_ALLOW_PROTOCOL", protocol);
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.program = self.program.timeout(timeout);
        self
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.push((name.to_owned(), value.into()));
    }

    /// Sets credentials, proxy, certificates and SSH.
    pub(super) fn transport(mut self, options: &RemoteOptions) -> Result<Self, RemoteError> {
        let token = match &options.credentials {
            Credentials::None => None,
            Credentials::Token(token) => Some(token.clone()),
            Credentials::TokenFile(path) => {
                // One small local file: not worth a thread.
                let text = std::fs::read_to_string(path)
                    .map(Zeroizing::new)
                    .map_err(|source| RemoteError::Token {
                        path: path.clone(),
                        source,
                    })?;
                Some(Zeroizing::new(text.trim().to_owned()))
            }
            Credentials::Helper(name) => {
                self.set("credential.helper", name);
                None
            }
        };
        if let Some(token) = token {
            self.set("credential.helper", HELPER);
            self.set("credential.username", TOKEN_USER);
            self.program = self.program.secret_env(TOKEN, token);
        }
        if let Some(proxy) = &options.proxy {
            self.set("http.proxy", proxy);
        }
        if let Some(file) = &options.ca_file {
            self.set("http.sslCAInfo", file.to_string_lossy());
        }
        self.program = self.program.env("GIT_SSH_COMMAND", ssh(options));
        Ok(self)
    }

    /// The program, its settings in the environment: there they are of no interest to `ps`.
    pub(super) fn program(self) -> Program {
        let mut program = self
            .program
            .env("GIT_CONFIG_COUNT", self.settings.len().to_string());
        for (at, (name, value)) in self.settings.iter().enumerate() {
            program = program
                .env(format!("GIT_CONFIG_KEY_{at}"), name)
                .env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        program
    }
}

/// Never asks, and always checks the host's key.
fn ssh(options: &RemoteOptions) -> String {
    let mut command =
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=15".to_owned();
    let quote = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    // Writing to a String cannot fail.
    if let Some(key) = &options.ssh_key {
        let _ = write!(command, " -i {} -o IdentitiesOnly=yes", quote(key));
    }
    if let Some(file) = &options.known_hosts {
        let _ = write!(command, " -o UserKnownHostsFile={}", quote(file));
    }
    command
}

/// The version of the `git` program; an error where it is absent or older than [`OLDEST_GIT`].
pub async fn git_version() -> Result<String, RemoteError> {
    let output = Git::new(None).program().arg("version").run().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .trim()
        .strip_prefix("git version ")
        .and_then(|rest| rest.split_whitespace().next())
        .filter(|_| output.success())
        .ok_or_else(|| RemoteError::Unexpected {
            act: "tell its version",
            reason: one_line(&text, REASON),
        })?;
    if number(version) < number(OLDEST_GIT) {
        return Err(RemoteError::GitTooOld {
            found: version.to_owned(),
        });
    }
    Ok(version.to_owned())
}

/// The first two numbers of a version; what is no number counts as 0.
pub(super) fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    )
}

/// Whether `ancestor` is `commit` or reachable from it. False also where the repository does not
/// have `ancestor`.
pub async fn is_ancestor(
    repository: &Path,
    ancestor: &Oid,
    commit: &Oid,
) -> Result<bool, RemoteError> {
    let output = Git::new(Some(repository))
        .program()
        .args(["merge-base", "--is-ancestor", &ancestor.0, &commit.0])
        .run()
        .await?;
    match output.code {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        Some(128) if output.stderr.contains(&format!("commit name {ancestor}")) => Ok(false),
        _ => Err(failed("compare two commits", &output.stderr)),
    }
}

/// The message of the last commit on a branch that changed the file at `path`; `None` where there
/// is no such branch or commit.
pub async fn last_message(
    repository: &Path,
    branch: &str,
    path: &str,
) -> Result<Option<String>, RemoteError> {
    let branch = format!("refs/heads/{branch}");
    let known = Git::new(Some(repository))
        .program()
        .args(["rev-parse", "--verify", "--quiet", &branch])
        .run()
        .await?;
    if !known.success() {
        return Ok(None);
    }
    let output = Git::new(Some(repository))
        .program()
        .args(["--literal-pathspecs", "log", "-1", "--format=%B", &branch])
        .args(["--", path])
        .run()
        .await?;
    if !output.success() {
        return Err(failed("look for the last commit of a file", &output.stderr));
    }
    let message = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((!message.is_empty()).then_some(message))
}

/// Makes an empty bare repository, for what [`Remote::fetch_refs`](super::Remote::fetch_refs)
/// brings.
///
/// # Errors
///
/// Where `git` cannot be run, or cannot write there.
pub async fn init(repository: &Path) -> Result<(), RemoteError> {
    let output = Git::new(None)
        .program()
        .args(["init", "--quiet", "--bare", "--object-format=sha1", "--"])
        .arg(repository)
        .run()
        .await?;
    if output.success() {
        Ok(())
    } else {
        Err(failed("make a repository", &output.stderr))
    }
}

/// What a ref of the repository names.
pub(super) async fn resolve(repository: &Path, name: &str) -> Result<Oid, RemoteError> {
    let output = Git::new(Some(repository))
        .program()
        .args(["rev-parse", "--verify", "--quiet", name])
        .run()
        .await?;
    if !output.success() {
        return Err(failed("find what it fetched", &output.stderr));
    }
    String::from_utf8_lossy(&output.stdout).trim().parse()
}

/// Puts packs together so that each is at least twice as large as the next: about a logarithm of
/// the history remains. Objects that nothing names stay. Safe beside a writer of new packs.
///
/// <https://git-scm.com/docs/git-repack#Documentation/git-repack.txt---geometricltfactorgt>
pub async fn maintenance(repository: &Path, timeout: Duration) -> Result<(), RemoteError> {
    let output = Git::new(Some(repository))
        .timeout(timeout)
        .program()
        .args(["repack", "--geometric=2", "-d", "-q"])
        .run()
        .await?;
    if output.success() {
        Ok(())
    } else {
        Err(failed("put packs together", &output.stderr))
    }
}

fn failed(act: &'static str, stderr: &str) -> RemoteError {
    RemoteError::Unexpected {
        act,
        reason: one_line(stderr, REASON),
    }
}
