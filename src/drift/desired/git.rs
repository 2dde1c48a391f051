//! Manifests at a revision of a Git repository, without a work tree, by the `git` program.
//!
//! A repository on this machine is read where it is; of any other one the revision alone is fetched
//! into a temporary repository. Nothing of a repository runs here: no hook, filter, attribute,
//! submodule or large-file storage.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::files::{self, File};
use super::source::GitPlace;
use crate::process::{Output, ProcessError, Program, one_line};

/// The variable that carries the token to our credential helper.
const TOKEN: &str = "STRANDLINE_GIT_TOKEN";
/// A credential helper that answers with the token, if and when `git` asks.
const HELPER: &str =
    r#"!f() { test "$1" = get && printf 'password=%s\n' "$STRANDLINE_GIT_TOKEN"; }; f"#;
/// What hosts take as the user's name beside a token, where the URL names none.
const TOKEN_USER: &str = "x-access-token";
/// Where the fetched revision is put.
const FETCHED: &str = "refs/strandline/desired";
/// The longest list of a tree's files, in bytes.
const LONGEST_LIST: usize = 128 << 20;
/// How much the files of one source may hold, in bytes.
const LARGEST_SOURCE: u64 = 1 << 30;
/// How many blobs one `git` is asked for: as many as its arguments may name.
const BLOBS_AT_ONCE: usize = 1_000;
/// How many bytes one `git` is asked for.
const BYTES_AT_ONCE: u64 = 64 << 20;
/// The longest reason that an error carries, in characters.
const REASON: usize = 300;

/// Settings of every `git` that we run, over those of the repository; see `remote`, which pushes.
const SETTINGS: [(&str, &str); 12] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("protocol.ext.allow", "never"),
    ("credential.helper", ""),
    ("http.followRedirects", "initial"),
    ("safe.bareRepository", "explicit"),
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("log.showSignature", "false"),
];

/// How other machines' repositories are reached.
#[derive(Clone, Default)]
pub struct GitAccess {
    /// A token (or password) over HTTPS.
    pub token: Option<Zeroizing<String>>,
    /// The host that the token is for; no other one gets it. Without it: the source's own host.
    pub token_host: Option<String>,
    /// A credential helper, as in `credential.helper`:
    /// <https://git-scm.com/docs/gitcredentials>.
    pub helper: Option<String>,
    /// A proxy for HTTP(S), as in `http.proxy`.
    pub proxy: Option<String>,
    /// Certificates to trust instead of the system's, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// The private key for SSH, instead of what the agent and the user's configuration offer.
    pub ssh_key: Option<PathBuf>,
    /// The `known_hosts` file for SSH, instead of the user's. Host keys are always checked.
    pub known_hosts: Option<PathBuf>,
}

/// Without the token.
impl fmt::Debug for GitAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitAccess")
            .field("token_host", &self.token_host)
            .field("helper", &self.helper)
            .field("ca_file", &self.ca_file)
            .field("ssh_key", &self.ssh_key)
            .finish_non_exhaustive()
    }
}

/// Why a revision could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// `git` could not be run.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// The URL is none that is used.
    #[error("{0}")]
    Url(&'static str),
    /// There is no repository.
    #[error(
        "'{}' is no Git repository on this machine; of another machine's, say the URL and a \
         revision, such as git@host:team/repo.git@main", .0.escape_debug()
    )]
    NoRepository(String),
    /// The repository does not know the revision.
    #[error("the repository has no branch, tag or commit '{}': fetch it first, or correct it", .0.escape_debug())]
    NoReference(String),
    /// The path is not there at that revision.
    #[error("there is no '{}' at that revision", .0.escape_debug())]
    NoPath(String),
    /// More than is read.
    #[error("more than {} MiB: name a smaller folder", LARGEST_SOURCE >> 20)]
    TooLarge,
    /// `git` failed.
    #[error("git could not {act}: {reason}")]
    Failed {
        /// What it was asked for.
        act: &'static str,
        /// What it said, on one line and without passwords.
        reason: String,
    },
    /// The temporary repository could not be made.
    #[error("cannot make a temporary folder: {0}")]
    Scratch(#[from] std::io::Error),
}

/// A file of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Below the source's path; the file's own name where that is a file.
    name: String,
    id: String,
    size: u64,
}

/// A revision of a repository, ready to be read. A fetched one is removed from the disk when this
/// is dropped.
pub struct Revision {
    directory: PathBuf,
    /// The commit's id.
    pub commit: String,
    /// Where the repository is, if it was fetched.
    _scratch: Option<tempfile::TempDir>,
    timeout: Duration,
}

impl Revision {
    /// Finds, or fetches, the revision of a place.
    pub async fn open(
        place: &GitPlace,
        access: &GitAccess,
        timeout: Duration,
    ) -> Result<Self, GitError> {
        match transport(&place.repository)? {
            None => Self::on_disk(place, timeout).await,
            Some(transport) => Self::fetch(place, &transport, access, timeout).await,
        }
    }

    async fn on_disk(place: &GitPlace, timeout: Duration) -> Result<Self, GitError> {
        let directory = git_directory(Path::new(&place.repository))
            .ok_or_else(|| GitError::NoRepository(place.repository.clone()))?;
        let mut revision = Self {
            directory,
            commit: String::new(),
            _scratch: None,
            timeout,
        };
        // A checkout of CI often has the branches of its remote alone.
        let names = [
            place.reference.clone(),
            format!("refs/remotes/origin/{}", place.reference),
        ];
        for name in names {
            if let Some(commit) = revision.resolve(&name).await? {
                revision.commit = commit;
                return Ok(revision);
            }
        }
        Err(GitError::NoReference(place.reference.clone()))
    }

    async fn fetch(
        place: &GitPlace,
        transport: &Transport,
        access: &GitAccess,
        timeout: Duration,
    ) -> Result<Self, GitError> {
        let scratch = tempfile::Builder::new().prefix("strandline-").tempdir()?;
        let directory = scratch.path().to_owned();
        let output = git(None, timeout)
            .args(["init", "--quiet", "--bare", "--template=", "--"])
            .arg(&directory)
            .run()
            .await?;
        succeeded("make a temporary repository", &output)?;
        let program = transport.git(&directory, access, timeout);
        let output = program
            .args(["fetch", "--quiet", "--depth=1", "--no-tags"])
            .args(["--no-write-fetch-head", "--end-of-options"])
            .arg(&place.repository)
            .arg(format!("+{}:{FETCHED}", place.reference))
            .run()
            .await?;
        if !output.success() && output.stderr.contains("couldn't find remote ref") {
            return Err(GitError::NoReference(place.reference.clone()));
        }
        succeeded("fetch the revision", &output)?;
        let mut revision = Self {
            directory,
            commit: String::new(),
            _scratch: Some(scratch),
            timeout,
        };
        revision.commit = revision
            .resolve(FETCHED)
            .await?
            .ok_or_else(|| GitError::NoReference(place.reference.clone()))?;
        Ok(revision)
    }

    async fn resolve(&self, name: &str) -> Result<Option<String>, GitError> {
        let output = git(Some(&self.directory), self.timeout)
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"))
            .run()
            .await?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let good = id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok((output.success() && good).then_some(id))
    }

    /// The manifests' files at a path of the revision, as a folder on disk is read: by their names,
    /// hidden ones aside. A path of a file is that file, whatever its name.
    pub(super) async fn manifests(&self, path: &str) -> Result<Vec<File>, GitError> {
        let mut entries = self.list(path).await?;
        if let [entry] = entries.as_slice()
            && entry.name.is_empty()
        {
            let name = path.rsplit('/').next().unwrap_or(path);
            let text = self.blobs(&entries).await?.pop().unwrap_or_default();
            return Ok(vec![File {
                name: name.into(),
                text,
            }]);
        }
        entries.retain(|entry| {
            let mut parts = entry.name.rsplit('/');
            parts.next().is_some_and(files::is_manifest)
                && !entry.name.split('/').any(|part| part.starts_with('.'))
        });
        let texts = self.blobs(&entries).await?;
        let files = entries.into_iter().zip(texts);
        Ok(files
            .map(|(entry, text)| File {
                name: entry.name.into(),
                text,
            })
            .collect())
    }

    /// The files below a folder of the revision whose names fit, hidden ones too.
    pub(super) async fn files(
        &self,
        path: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Vec<File>, GitError> {
        let mut entries = self.list(path).await?;
        entries.retain(|entry| fits(&entry.name));
        let texts = self.blobs(&entries).await?;
        let files = entries.into_iter().zip(texts).map(|(entry, text)| File {
            name: entry.name.into(),
            text,
        });
        Ok(files.collect())
    }

    /// The names of the files right in a folder of the revision.
    pub(super) async fn names(&self, path: &str) -> Result<Vec<String>, GitError> {
        let entries = self.list(path).await?;
        Ok(entries
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| !name.contains('/'))
            .collect())
    }

    /// Writes all files of the revision into a folder: for renderers, whose folders refer to each
    /// other. Links and submodules are left out, so that nothing leads out of it.
    pub(super) async fn write_to(&self, folder: &Path) -> Result<(), GitError> {
        let entries = self.list("").await?;
        for chunk in entries.chunks(BLOBS_AT_ONCE) {
            let texts = self.blobs(chunk).await?;
            for (entry, text) in chunk.iter().zip(texts) {
                let odd = |part: &str| matches!(part, "" | "." | "..") || part == ".git";
                if entry.name.split('/').any(odd) {
                    continue;
                }
                let path = folder.join(&entry.name);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::write(path, text)?;
            }
        }
        Ok(())
    }

    /// The regular files at a path, by name.
    async fn list(&self, path: &str) -> Result<Vec<Entry>, GitError> {
        let mut program = git(Some(&self.directory), self.timeout)
            .output_cap(LONGEST_LIST)
            .args(["ls-tree", "-r", "-z", "-l", "--full-tree", &self.commit]);
        if !path.is_empty() {
            program = program.arg("--").arg(path);
        }
        let output = program.run().await?;
        succeeded("list the files", &output)?;
        let mut entries = Vec::new();
        for line in output.stdout.split(|&byte| byte == 0) {
            if let Some(entry) = entry(line, path) {
                entries.push(entry);
            }
        }
        if entries.is_empty() && !path.is_empty() && output.stdout.is_empty() {
            return Err(GitError::NoPath(path.to_owned()));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The contents of files, in their order.
    ///
    /// `git show` of a blob's id prints its bytes and nothing else: it has no path, so no attribute
    /// applies. <https://git-scm.com/docs/git-show#_description>
    async fn blobs(&self, entries: &[Entry]) -> Result<Vec<Vec<u8>>, GitError> {
        let total: u64 = entries.iter().map(|entry| entry.size).sum();
        if total > LARGEST_SOURCE {
            return Err(GitError::TooLarge);
        }
        let wanted: BTreeMap<&str, u64> = entries
            .iter()
            .map(|entry| (&*entry.id, entry.size))
            .collect();
        let wanted: Vec<(&str, u64)> = wanted.into_iter().collect();
        let mut texts: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let end = rest.iter().take(BLOBS_AT_ONCE).position(|(_, size)| {
                bytes += size;
                bytes > BYTES_AT_ONCE
            });
            let end = end.map_or(rest.len().min(BLOBS_AT_ONCE), |end| end.max(1));
            let (share, after) = rest.split_at(end);
            rest = after;
            let bytes: u64 = share.iter().map(|(_, size)| size).sum();
            let bytes = usize::try_from(bytes).map_err(|_| GitError::TooLarge)?;
            let output = git(Some(&self.directory), self.timeout)
                .output_cap(bytes)
                .args(["show", "--no-textconv", "--no-color", "--end-of-options"])
                .args(share.iter().map(|(id, _)| id))
                .run()
                .await?;
            succeeded("read the files", &output)?;
            if output.stdout.len() != bytes {
                return Err(GitError::Failed {
                    act: "read the files",
                    reason: "another length than it listed".to_owned(),
                });
            }
            let mut text = output.stdout.as_slice();
            for (id, size) in share {
                // No more than `bytes`, which is a usize.
                let (own, after) = text.split_at(usize::try_from(*size).unwrap_or(text.len()));
                texts.insert(id, own.to_vec());
                text = after;
            }
        }
        Ok(entries
            .iter()
            .map(|entry| texts.get(&*entry.id).cloned().unwrap_or_default())
            .collect())
    }
}

/// Reads `MODE SP TYPE SP ID SP+ SIZE TAB PATH`: <https://git-scm.com/docs/git-ls-tree#_output_format>.
/// Names that are no UTF-8 are none of a manifest.
fn entry(line: &[u8], below: &str) -> Option<Entry> {
    let line = std::str::from_utf8(line).ok()?;
    let (facts, path) = line.split_once('\t')?;
    let mut facts = facts.split_ascii_whitespace();
    let (mode, kind, id, size) = (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
    // Neither links (120000) nor submodules (160000).
    if kind != "blob" || !mode.starts_with("100") {
        return None;
    }
    let name = if below.is_empty() {
        path
    } else {
        let name = path.strip_prefix(below)?;
        // Empty where the path is that of a file.
        if name.is_empty() {
            name
        } else {
            name.strip_prefix('/')?
        }
    };
    Some(Entry {
        name: name.to_owned(),
        id: id.to_owned(),
        size: size.parse().ok()?,
    })
}

/// The repository that a path is in: itself if it is bare, or the nearest `.git` around it.
fn git_directory(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    if path.join("HEAD").is_file() && path.join("objects").is_dir() {
        return Some(path);
    }
    path.ancestors()
        .map(|folder| folder.join(".git"))
        .find(|git| git.exists())
}

/// A hardened `git`, without access to any other repository.
fn git(directory: Option<&Path>, timeout: Duration) -> Program {
    configured(directory, timeout, &[]).env("GIT_ALLOW_PROTOCOL", "none")
}

fn configured(directory: Option<&Path>, timeout: Duration, more: &[(String, String)]) -> Program {
    let own = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = own.iter().chain(more);
    let mut program = Program::new("git")
        .timeout(timeout)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_PROTOCOL_FROM_USER", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_CONFIG_COUNT", (own.len() + more.len()).to_string());
    for (at, (name, value)) in settings.enumerate() {
        program = program
            .env(format!("GIT_CONFIG_KEY_{at}"), name)
            .env(format!("GIT_CONFIG_VALUE_{at}"), value);
    }
    program = program.arg("--no-pager");
    if let Some(directory) = directory {
        program = program.arg("--git-dir").arg(directory);
    }
    program
}

fn succeeded(act: &'static str, output: &Output) -> Result<(), GitError> {
    if output.success() {
        return Ok(());
    }
    Err(GitError::Failed {
        act,
        reason: one_line(&output.stderr, REASON),
    })
}

/// How a URL is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Transport {
    /// As in `GIT_ALLOW_PROTOCOL`.
    protocol: &'static str,
    /// `https://host:port`, where a token may go.
    origin: Option<String>,
}

/// Tells a URL from a path on this machine (`None`):
/// <https://git-scm.com/docs/git-fetch#_git_urls>.
fn transport(repository: &str) -> Result<Option<Transport>, GitError> {
    if repository.is_empty()
        || repository.starts_with('-')
        || repository.chars().any(char::is_control)
    {
        return Err(GitError::Url("that is no URL or path of a repository"));
    }
    let ssh = |host: &str, user: &str| {
        if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
            return Err(GitError::Url("the URL names no host"));
        }
        Ok(Some(Transport {
            protocol: "ssh",
            origin: None,
        }))
    };
    let Some((scheme, rest)) = repository.split_once("://") else {
        let start = repository.split('/').next().unwrap_or_default();
        return match start.split_once(':') {
            None => Ok(None),
            // `ext::sh -c …` runs a program.
            Some((_, path)) if path.starts_with(':') => {
                Err(GitError::Url("use https, ssh, file or a path"))
            }
            Some((host, _)) => {
                let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
                ssh(host, user)
            }
        };
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err(GitError::Url(
            "the URL holds a password: name a token file or a credential helper instead",
        ));
    }
    match scheme {
        "https" | "http" => {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            let here = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
            if scheme == "http" && !here {
                return Err(GitError::Url(
                    "http is readable and writable by everybody on the way: use https or ssh",
                ));
            }
            Ok(Some(Transport {
                protocol: if scheme == "http" { "http" } else { "https" },
                origin: Some(format!("{scheme}://{host}")),
            }))
        }
        "ssh" => ssh(host, user),
        "file" => Ok(Some(Transport {
            protocol: "file",
            origin: None,
        })),
        _ => Err(GitError::Url("use https, ssh, file or a path")),
    }
}

impl Transport {
    /// A `git` that may use this one protocol, with what it proves itself by. The token is for the
    /// source's own host alone, wherever that redirects to.
    fn git(&self, directory: &Path, access: &GitAccess, timeout: Duration) -> Program {
        let mut more = Vec::new();
        let mut set = |name: String, value: String| more.push((name, value));
        if let Some(helper) = &access.helper {
            set("credential.helper".to_owned(), helper.clone());
        }
        let mut token = None;
        if let (Some(secret), Some(origin)) = (&access.token, &self.origin) {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            if access.token_host.as_deref().is_none_or(|own| own == host) {
                set(format!("credential.{origin}.helper"), HELPER.to_owned());
                set(
                    format!("credential.{origin}.username"),
                    TOKEN_USER.to_owned(),
                );
                token = Some(secret.clone());
            }
        }
        if let Some(proxy) = &access.proxy {
            set("http.proxy".to_owned(), proxy.clone());
        }
        if let Some(file) = &access.ca_file {
            set(
                "http.sslCAInfo".to_owned(),
                file.to_string_lossy().into_owned(),
            );
        }
        let mut program = configured(Some(directory), timeout, &more)
            .env("GIT_ALLOW_PROTOCOL", self.protocol)
            .env("GIT_SSH_COMMAND", ssh_command(access));
        if let Some(token) = token {
            program = program.secret_env(TOKEN, token);
        }
        program
    }
}

/// Never asks, and always checks the host's key.
fn ssh_command(access: &GitAccess) -> String {
    let mut command =
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=15".to_owned();
    let quote = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
    if let Some(key) = &access.ssh_key {
        command.push_str(&format!(" -i {} -o IdentitiesOnly=yes", quote(key)));
    }
    if let Some(file) = &access.known_hosts {
        command.push_str(&format!(" -o UserKnownHostsFile={}", quote(file)));
    }
    command
}
