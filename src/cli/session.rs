//! What `record` and `snapshot` have in common: everything is checked before anything is written.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};
use zeroize::Zeroizing;

use super::Failure;
use super::push::{Theirs, names};
use super::rules::Ruling;
use crate::cluster::{Cluster, ConnectOptions, ListMode, ReflectorOptions};
use crate::config::{ListModeChoice, RecordSettings, Switch};
use crate::filter::{DigestKey, DigestKeyError, Selection};
use crate::mirror::{AliveForm, Author, IDENTITY_FILE, Mirror, MirrorOptions, Store};
use crate::record::{
    CURSOR_REF, Identity, ReadPlan, RecorderOptions, WindowOptions, cursor_valid_for, read_cursor,
};
use crate::remote::Remote;

/// The digest key's file in the repository; never fetched or pushed.
pub(super) const KEY_FILE: &str = "strandline.key";

/// A start that cannot be made. Each error says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(
        "the uid of namespace kube-system cannot be read, and it is what identifies the cluster: grant get on it, or give --cluster-id"
    )]
    NoClusterId,
    #[error("the digest key {} cannot be {act}: {source}", path.display())]
    KeyFile {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the digest key {} cannot be used: {source}; `openssl rand -hex 32 > FILE` makes one", path.display())]
    BadKey {
        path: PathBuf,
        source: DigestKeyError,
    },
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
    Diverged {
        branch: String,
        local: String,
        remote: String,
        repository: PathBuf,
    },
}

/// What a start goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// Watches go on where the last run left off.
    Cursor,
    /// Everything is listed: complete, whatever happened.
    Nothing,
}

/// Everything that is needed to record.
pub(super) struct Session {
    pub(super) cluster: Cluster,
    pub(super) mirror: Mirror,
    pub(super) remote: Option<Remote>,
    /// What the remote had at the start.
    pub(super) theirs: Theirs,
    pub(super) identity: Identity,
    pub(super) plan: ReadPlan,
    pub(super) options: RecorderOptions,
    /// What the rules were put together from.
    pub(super) selection: Selection,
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
    info!(
        cluster = cluster.name(),
        server = cluster.server(),
        version = version.git_version,
        "connected"
    );
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
        damping: settings.damping == Switch::On,
    }
}

impl Session {
    /// Connects, opens the mirror, and brings it and its remote together.
    pub(super) async fn start(settings: &RecordSettings, resume: Resume) -> Result<Self, Failure> {
        // Nothing is asked of anybody with half a set of rules.
        let Ruling {
            rules,
            selection,
            recipients,
        } = Ruling::read(&settings.rules)?;
        let (cluster, cluster_id) = connect(settings).await?;
        let remote = super::push::remote(settings).await?;
        let theirs = match &remote {
            Some(remote) => Theirs::read(remote, &names(settings)).await?,
            None => Theirs::default(),
        };
        let mut mirror = Mirror::open(mirror_options(settings))?;
        if let Some(remote) = &remote {
            super::push::meet(settings, &mut mirror, remote, &theirs).await?;
            let takes_branches_alone = names(settings).alive().starts_with("refs/heads/");
            if takes_branches_alone {
                mirror.set_alive_form(AliveForm::Commit);
            }
        }
        let (digest_key, identity) = identify(settings, &mirror, cluster_id, Missing::Make)?;
        let head = mirror.head().map(|head| head.commit_id);
        let valid_for = cursor_valid_for(&rules, recipients.as_deref(), &settings.prefix);
        let cursor = mirror
            .attached(CURSOR_REF)?
            .filter(|attached| resume == Resume::Cursor && Some(attached.commit_id) == head)
            // What the sidecar lacks only a list brings back.
            .filter(|_| mirror.sidecar_in_step())
            .map(|attached| read_cursor(&attached.body, &valid_for))
            .unwrap_or_default();
        let plan = ReadPlan {
            rules,
            recipients,
            digest_key: Arc::new(digest_key),
            owners: true,
            namespaces: settings.namespaces.clone(),
            reflector: reflector_options(settings),
            cursor,
            cursor_valid_for: valid_for,
            seed: fastrand::u64(..),
        };
        Ok(Self {
            cluster,
            mirror,
            remote,
            theirs,
            identity,
            plan,
            options: recorder_options(settings),
            selection,
        })
    }
}

pub(super) fn mirror_options(settings: &RecordSettings) -> MirrorOptions {
    MirrorOptions {
        path: settings.repository.path.clone(),
        branch: settings.repository.branch.clone(),
        prefix: settings.prefix.clone(),
        author: Author {
            name: settings.author.name.clone(),
            email: settings.author.email.clone(),
        },
    }
}

/// What to do where there is no digest key yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// Make one and keep it.
    Make,
    /// Make one up for this run.
    MakeUp,
}

/// Holds the mirror's identity against the cluster's, and finds or makes the digest key.
fn identify(
    settings: &RecordSettings,
    mirror: &impl Store,
    cluster_id: String,
    missing: Missing,
) -> Result<(DigestKey, Identity), Failure> {
    let file = mirror.read_file(IDENTITY_FILE)?;
    if file.is_none() && !settings.adopt && holds_files(mirror)? {
        return Err(StartError::ForeignBranch {
            branch: settings.repository.branch.clone(),
            where_: settings.repository.path.display().to_string(),
        }
        .into());
    }
    let needed = file
        .as_deref()
        .map(Identity::needs_key)
        .transpose()?
        .flatten();
    let key = digest_key(settings, needed, missing)?;
    let mut identity = Identity {
        cluster_id,
        key_fingerprint: key.fingerprint(),
        digested: false,
    };
    if let Some(file) = &file {
        identity.check(file)?;
    }
    Ok((key, identity))
}

fn holds_files(mirror: &impl Store) -> Result<bool, Failure> {
    let index = mirror.index()?;
    Ok(!index.is_empty() || index.foreign() > 0)
}

/// Reads the digest key; makes one where the mirror holds no digest yet.
fn digest_key(
    settings: &RecordSettings,
    needed: Option<String>,
    missing: Missing,
) -> Result<DigestKey, StartError> {
    let in_repository = settings.repository.path.join(KEY_FILE);
    let path = settings
        .digest_key_file
        .clone()
        .unwrap_or_else(|| in_repository.clone());
    match read_key(&path) {
        Err(StartError::KeyFile { source, .. })
            if source.kind() == io::ErrorKind::NotFound && settings.digest_key_file.is_none() =>
        {
            if let Some(fingerprint) = needed {
                return Err(StartError::LostKey { fingerprint, path });
            }
            if missing == Missing::MakeUp {
                return Ok(make_up_key(&path)?.0);
            }
            let key = new_key(&path)?;
            info!(
                file = %path.display(),
                "made a digest key; keep a copy of it, digests cannot be compared without"
            );
            Ok(key)
        }
        key => key,
    }
}

/// Reads a digest key that has to be there.
pub(super) fn read_key(path: &Path) -> Result<DigestKey, StartError> {
    let bytes = fs::read(path).map_err(|source| StartError::KeyFile {
        act: "read",
        path: path.to_owned(),
        source,
    })?;
    let bytes = Zeroizing::new(bytes);
    if readable_by_others(path) {
        warn!(file = %path.display(), "the digest key can be read by others: chmod 600 it");
    }
    // An editor's line break at the end is not part of the key.
    let key = bytes.trim_ascii_end();
    DigestKey::from_bytes(key).map_err(|source| StartError::BadKey {
        path: path.to_owned(),
        source,
    })
}

/// A new random key, and its text.
pub(super) fn make_up_key(path: &Path) -> Result<(DigestKey, Zeroizing<String>), StartError> {
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *random).map_err(StartError::Random)?;
    let mut hex = Zeroizing::new(String::with_capacity(65));
    for byte in random.iter() {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    let key = DigestKey::from_bytes(hex.as_bytes()).map_err(|source| StartError::BadKey {
        path: path.to_owned(),
        source,
    })?;
    hex.push('\n');
    Ok((key, hex))
}

/// Makes a digest key and keeps it in a file that nobody else can read.
pub(super) fn new_key(path: &Path) -> Result<DigestKey, StartError> {
    let (key, text) = make_up_key(path)?;
    write_private(path, text.as_bytes()).map_err(|source| StartError::KeyFile {
        act: "written",
        path: path.to_owned(),
        source,
    })?;
    Ok(key)
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

/// The plan of a dry run: the key is read where there is one, and made up where there is none.
pub(super) fn dry_plan(
    settings: &RecordSettings,
    store: &impl Store,
    cluster_id: String,
    ruling: Ruling,
) -> Result<(ReadPlan, Identity), Failure> {
    let (key, identity) = identify(settings, store, cluster_id, Missing::MakeUp)?;
    let plan = ReadPlan {
        rules: ruling.rules,
        recipients: ruling.recipients,
        digest_key: Arc::new(key),
        owners: false,
        namespaces: settings.namespaces.clone(),
        reflector: reflector_options(settings),
        cursor: HashMap::new(),
        cursor_valid_for: String::new(),
        seed: fastrand::u64(..),
    };
    Ok((plan, identity))
}

/// Says what the repository is, without making or locking it.
pub(super) fn mirror_path_verdict(settings: &RecordSettings) -> Result<String, Failure> {
    let path = &settings.repository.path;
    let shown = path.display();
    let branch = &settings.repository.branch;
    if !path.exists() {
        return Ok(format!("{shown} will be created, branch {branch}"));
    }
    if path.is_file() {
        return Err(format!("{shown} is a file: name a directory for the repository").into());
    }
    let bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
    let empty = fs::read_dir(path)?.next().is_none();
    match (bare, empty) {
        (true, _) => Ok(format!("{shown} is there, branch {branch}")),
        (false, true) => Ok(format!("{shown} is empty, a repository will be made in it")),
        (false, false) => Err(format!(
            "{shown} holds files but is no bare repository: name another directory"
        )
        .into()),
    }
}
