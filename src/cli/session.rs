//! What `record` and `snapshot` have in common: everything is checked before anything is written.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};
use zeroize::Zeroizing;

use super::Failure;
use crate::cluster::{Cluster, ConnectOptions, ListMode, ReflectorOptions};
use crate::config::{ListModeChoice, RecordSettings};
use crate::filter::{DigestKey, DigestKeyError, Rules};
use crate::mirror::{Author, Mirror, MirrorOptions};
use crate::record::{
    CURSOR_REF, IDENTITY_FILE, Identity, ReadPlan, RecorderOptions, WindowOptions, read_cursor,
};
use crate::remote::Remote;

/// The digest key's file in the repository; never fetched or pushed.
const KEY_FILE: &str = "strandline.key";

/// A start that cannot be made. Each error says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(
        "the uid of namespace kube-system cannot be read, and it is what identifies the cluster: grant get on it, or give --cluster-id"
    )]
    NoClusterId,
    #[error("the digest key {} cannot be {act}: {source}", path.display())]
    KeyFile { act: &'static str, path: PathBuf, source: io::Error },
    #[error("the digest key {} cannot be used: {source}; `head -c 32 /dev/urandom > FILE` makes one", path.display())]
    BadKey { path: PathBuf, source: DigestKeyError },
    #[error(
        "the digest key of this mirror (fingerprint {fingerprint}) is not here: put it back as {}, or give it with --digest-key-file; a new key would rewrite every Secret", path.display()
    )]
    LostKey { fingerprint: String, path: PathBuf },
    #[error("no random bytes for a digest key: {0}")]
    Random(getrandom::Error),
    #[error(
        "branch {branch} of {where_} holds files but no {IDENTITY_FILE}, so it is nobody's mirror: name another branch or --prefix, or take it over with --adopt (foreign files stay)"
    )]
    ForeignBranch { branch: String, where_: String },
    #[error(
        "branch {branch} went different ways here ({local}) and on the remote ({remote}): somebody else writes to one of them; find out who, then move the loser aside, for example with `git -C {} branch -m {branch} {branch}-old`", repository.display()
    )]
    Diverged { branch: String, local: String, remote: String, repository: PathBuf },
}

/// Everything that is needed to record.
pub(super) struct Session {
    pub(super) cluster: Cluster,
    pub(super) mirror: Mirror,
    pub(super) remote: Option<Remote>,
    pub(super) identity: Identity,
    pub(super) plan: ReadPlan,
    pub(super) options: RecorderOptions,
}

pub(super) fn connect_options(settings: &RecordSettings) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: settings.kubeconfig.clone(),
        search_path: settings.kubeconfig_search.clone(),
        context: settings.context.clone(),
    }
}

pub(super) async fn connect(settings: &RecordSettings) -> Result<(Cluster, String), Failure> {
    let cluster = Cluster::connect(&connect_options(settings)).await?;
    let version = cluster.version().await?;
    info!(cluster = cluster.name(), server = cluster.server(), version = version.git_version, "connected");
    let id = match (cluster.identity().await?, &settings.cluster_id) {
        (_, Some(id)) => id.clone(),
        (Some(id), None) => id,
        (None, None) => return Err(StartError::NoClusterId.into()),
    };
    Ok((cluster, id))
}

pub(super) fn reflector_options(settings: &RecordSettings) -> ReflectorOptions {
    ReflectorOptions {
        list_mode: match settings.list_mode {
            ListModeChoice::Pages => ListMode::Pages,
            ListModeChoice::WatchList => ListMode::WatchList,
        },
        ..ReflectorOptions::default()
    }
}

pub(super) fn recorder_options(settings: &RecordSettings) -> RecorderOptions {
    RecorderOptions {
        window: WindowOptions {
            quiet_period: settings.quiet_period,
            max_age: settings.max_age,
            max_batch: settings.max_batch,
        },
        sync_timeout: settings.sync_timeout,
    }
}

impl Session {
    /// Connects, opens the mirror, and brings it and its remote together.
    pub(super) async fn start(settings: &RecordSettings) -> Result<Self, Failure> {
        let (cluster, cluster_id) = connect(settings).await?;
        let remote = super::push::remote(settings).await?;
        let remote_head = match &remote {
            Some(remote) => remote.head().await?,
            None => None,
        };
        let path = &settings.repository.path;
        let mut mirror = Mirror::open(MirrorOptions {
            path: path.clone(),
            branch: settings.repository.branch.clone(),
            prefix: settings.prefix.clone(),
            author: Author {
                name: settings.author.name.clone(),
                email: settings.author.email.clone(),
            },
        })?;
        if let Some(remote) = &remote {
            super::push::meet(settings, &mut mirror, remote, remote_head).await?;
        }
        let rules = Arc::new(Rules::core());
        let (digest_key, identity) = identify(settings, &mut mirror, cluster_id)?;
        let cursor = mirror
            .attachment(CURSOR_REF)?
            .map(|file| read_cursor(&file, rules.fingerprint()))
            .unwrap_or_default();
        let plan = ReadPlan {
            rules,
            digest_key: Arc::new(digest_key),
            namespaces: settings.namespaces.clone(),
            reflector: reflector_options(settings),
            cursor,
            seed: fastrand::u64(..),
        };
        Ok(Self { cluster, mirror, remote, identity, plan, options: recorder_options(settings) })
    }
}

/// Holds the mirror's identity against the cluster's, and finds or makes the digest key.
fn identify(
    settings: &RecordSettings,
    mirror: &mut Mirror,
    cluster_id: String,
) -> Result<(DigestKey, Identity), Failure> {
    let file = mirror.read_file(IDENTITY_FILE)?;
    if file.is_none() && !settings.adopt && mirror.holds_files()? {
        return Err(StartError::ForeignBranch {
            branch: settings.repository.branch.clone(),
            where_: settings.repository.path.display().to_string(),
        }
        .into());
    }
    let needed = file.as_deref().map(Identity::needs_key).transpose()?.flatten();
    let key = digest_key(settings, needed)?;
    let mut identity =
        Identity { cluster_id, key_fingerprint: key.fingerprint(), digested: false };
    if let Some(file) = &file {
        identity.check(file)?;
    }
    Ok((key, identity))
}

/// Reads the digest key; makes one where the mirror holds no digest yet.
fn digest_key(settings: &RecordSettings, needed: Option<String>) -> Result<DigestKey, StartError> {
    let in_repository = settings.repository.path.join(KEY_FILE);
    let path = settings.digest_key_file.clone().unwrap_or_else(|| in_repository.clone());
    match fs::read(&path).map(Zeroizing::new) {
        Ok(bytes) => {
            if readable_by_others(&path) {
                warn!(file = %path.display(), "the digest key can be read by others: chmod 600 it");
            }
            DigestKey::from_bytes(&bytes).map_err(|source| StartError::BadKey { path, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && settings.digest_key_file.is_none() => {
            if let Some(fingerprint) = needed {
                return Err(StartError::LostKey { fingerprint, path });
            }
            let mut random = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *random).map_err(StartError::Random)?;
            let key = DigestKey::generate(&random);
            write_private(&path, key.expose())
                .map_err(|source| StartError::KeyFile { act: "written", path: path.clone(), source })?;
            info!(file = %path.display(), "made a digest key; keep a copy of it, digests cannot be compared without");
            Ok(key)
        }
        Err(source) => Err(StartError::KeyFile { act: "read", path, source }),
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}

/// Writes a file that nobody else can read, all of it or none.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let temporary = path.with_extension("key.new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// An empty plan for a dry run without a repository: nothing is read from it or written to it.
pub(super) fn dry_plan(settings: &RecordSettings) -> Result<ReadPlan, StartError> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(StartError::Random)?;
    Ok(ReadPlan {
        rules: Arc::new(Rules::core()),
        digest_key: Arc::new(DigestKey::generate(&random)),
        namespaces: settings.namespaces.clone(),
        reflector: reflector_options(settings),
        cursor: HashMap::new(),
        seed: fastrand::u64(..),
    })
}
