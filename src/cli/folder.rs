//! Repositories of others, fetched for one run.

use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Failure;
use crate::config::Credentials as Configured;
use crate::remote::{Credentials, Depth, Remote, RemoteOptions, git_version, init};

/// A repository that cannot be fetched. Each says what to do.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("a folder for the repository cannot be made: {0}")]
    Temporary(std::io::Error),
    #[error("no random bytes for a folder's name: {0}")]
    Random(getrandom::Error),
    #[error("branch {branch} is not in {url}")]
    NoBranch { url: String, branch: String },
}

/// A folder that nobody else can look into, gone when this is dropped.
pub(super) struct TemporaryFolder {
    pub(super) path: PathBuf,
}

impl TemporaryFolder {
    fn make(below: &Path) -> Result<Self, FetchError> {
        let random = getrandom::u64().map_err(FetchError::Random)?;
        let path = below.join(format!("strandline-{random:016x}"));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(&path).map_err(FetchError::Temporary)?;
        Ok(Self { path })
    }

    /// Where a fetched repository lies in it.
    pub(super) fn repository(&self) -> PathBuf {
        self.path.join("mirror.git")
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What stays behind lies where the system cleans up.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What to fetch.
pub(super) struct Fetch<'a> {
    pub(super) url: &'a str,
    /// Without `refs/heads/`.
    pub(super) branch: &'a str,
    /// Further refs, which the remote may lack.
    pub(super) refs: Vec<String>,
    pub(super) credentials: &'a Configured,
    pub(super) depth: Depth,
}

/// Fetches the branch of a URL, and what goes with it, into a repository of its own, where they
/// have the names that they have there.
pub(super) async fn fetch(wanted: Fetch<'_>, below: &Path) -> Result<TemporaryFolder, Failure> {
    git_version().await?;
    let folder = TemporaryFolder::make(below)?;
    let path = folder.repository();
    init(&path).await?;
    let mut options = RemoteOptions::new(wanted.url, wanted.branch);
    options.credentials = match wanted.credentials {
        Configured::Ambient => Credentials::None,
        Configured::TokenFile(path) => Credentials::TokenFile(path.clone()),
        Configured::Token(token) => Credentials::Token(Zeroizing::new(token.expose().to_owned())),
        Configured::Helper(name) => Credentials::Helper(name.clone()),
    };
    let remote = Remote::new(options)?;
    let branch = remote.reference().to_owned();
    let refs: Vec<_> = std::iter::once(branch.clone())
        .chain(wanted.refs)
        .map(|name| (name.clone(), name))
        .collect();
    let fetched = remote.fetch_refs(&path, &refs, wanted.depth).await?;
    if !fetched.contains_key(&branch) {
        return Err(FetchError::NoBranch {
            branch: wanted.branch.to_owned(),
            url: wanted.url.to_owned(),
        }
        .into());
    }
    Ok(folder)
}
