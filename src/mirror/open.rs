use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::odb::store::init::Slots;

use super::pack::{TEMPORARY, sync_directory};
use super::refs::branch_ref;
use super::store::Mirror;
use super::{MirrorError, refs};
use crate::object::Prefix;

/// Held for as long as the mirror is open; a killed process lets go of it.
const LOCK: &str = "strandline.lock";
/// What may lie in a directory where creating the repository was cut short. `strandline.key` is
/// the recorder's, `lost+found` a fresh volume's.
const OURS: [&str; 7] = [
    LOCK,
    "strandline.key",
    "HEAD.new",
    "objects",
    "refs",
    "config",
    "lost+found",
];
/// gix fixes the number of packs and indexes that it can know at open. We repack every 100.
const SLOTS: u16 = 2048;
/// No transaction of refs takes longer; a lock that is older belongs to nobody.
const STALE_LOCK: Duration = Duration::from_secs(600);
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// Who is written into commits, as author and as committer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// For example `strandline`.
    pub name: String,
    /// For example `strandline@example.org`; may be empty.
    pub email: String,
}

/// What [`Mirror::open`] needs to know.
#[derive(Clone, Debug)]
pub struct MirrorOptions {
    /// The bare repository; created if absent.
    pub path: PathBuf,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The directory of the tree that this mirror owns.
    pub prefix: Prefix,
    /// Author and committer of every commit.
    pub author: Author,
}

impl Mirror {
    /// Opens the repository for writing, and creates it if absent.
    ///
    /// Takes the repository's lock, cleans up what a crash of ours left behind, and points HEAD at
    /// the branch. The branch itself is left as it is.
    pub fn open(options: MirrorOptions) -> Result<Self, MirrorError> {
        let branch = branch_ref(&options.branch)?;
        check_author(&options.author)?;
        let path = &options.path;
        match look(path)? {
            Found::Nothing => {
                fs::create_dir_all(path).map_err(MirrorError::io("create", path))?;
            }
            Found::Cut => {}
            // Refused before anything is written into it.
            Found::Repository => drop(open_bare(path)?),
        }
        let (lock, intent) = take_lock(path)?;
        // Looked at again: another process may have created it before we had the lock.
        if look(path)? != Found::Repository {
            create(path, branch.as_bstr().as_ref())?;
        }
        clean(path, branch.as_bstr().as_ref(), &intent)?;
        let repo = open_bare(path)?;
        refs::point_head_at(&repo, &branch)?;
        Self::new(options, branch, repo, Some(lock))
    }

    /// Opens the repository for reading, if there is one; takes no lock and changes nothing.
    pub fn open_read_only(options: MirrorOptions) -> Result<Option<Self>, MirrorError> {
        let branch = branch_ref(&options.branch)?;
        if look(&options.path)? != Found::Repository {
            return Ok(None);
        }
        let repo = open_bare(&options.path)?;
        Self::new(options, branch, repo, None).map(Some)
    }
}

/// Opens a repository that must be there.
pub(super) fn open_existing(path: &Path) -> Result<gix::Repository, MirrorError> {
    if look(path)? == Found::Repository {
        return open_bare(path);
    }
    Err(MirrorError::Absent {
        path: path.to_owned(),
    })
}

/// Opens what is there, without anybody's configuration but its own.
pub(super) fn open_bare(path: &Path) -> Result<gix::Repository, MirrorError> {
    let repo = gix::open::Options::isolated()
        .open_path_as_is(true)
        .with(gix::sec::Trust::Full)
        .object_store_slots(Slots::Given(SLOTS))
        // Delta bases are cached in a bounded map; objects are not cached at all.
        .config_overrides(["core.deltaBaseCacheLimit=8m"])
        .open(path)
        .map_err(|source| MirrorError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        })?
        .to_thread_local();
    if !repo.is_bare() {
        return Err(MirrorError::NotBare {
            path: path.to_owned(),
        });
    }
    if repo.object_hash() != gix::hash::Kind::Sha1 {
        return Err(MirrorError::ObjectFormat {
            path: path.to_owned(),
        });
    }
    Ok(repo)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Cut,
    Repository,
}

/// What lies at `path`.
fn look(path: &Path) -> Result<Found, MirrorError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(MirrorError::IsAFile {
                path: path.to_owned(),
            });
        }
        Err(error) => return Err(MirrorError::io("read", path)(error)),
    };
    if path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir() {
        return Ok(Found::Repository);
    }
    if path.join(".git").exists() {
        return Err(MirrorError::NotBare {
            path: path.to_owned(),
        });
    }
    for entry in entries {
        let name = entry.map_err(MirrorError::io("read", path))?.file_name();
        if !OURS.iter().any(|ours| name == *ours) {
            return Err(MirrorError::NotARepository {
                path: path.to_owned(),
            });
        }
    }
    Ok(Found::Cut)
}

/// Creates a bare repository. HEAD comes last, by a rename: without it, what is there counts as
/// cut short and is created again.
fn create(path: &Path, branch: &[u8]) -> Result<(), MirrorError> {
    for directory in ["objects/pack", "objects/info", "refs/heads", "refs/tags"] {
        let directory = path.join(directory);
        fs::create_dir_all(&directory).map_err(MirrorError::io("create", &directory))?;
    }
    write_synced(&path.join("config"), CONFIG.as_bytes())?;
    let temporary = path.join("HEAD.new");
    write_synced(&temporary, &[b"ref: ", branch, b"\n"].concat())?;
    for directory in ["objects", "refs", "."] {
        sync_directory(&path.join(directory))?;
    }
    fs::rename(&temporary, path.join("HEAD")).map_err(MirrorError::io("rename", &temporary))?;
    sync_directory(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), MirrorError> {
    fs::write(path, bytes).map_err(MirrorError::io("write", path))?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(MirrorError::io("sync", path))
}

/// The repository's lock, held until it is dropped.
pub(super) struct Lock(File);

impl Lock {
    /// Replaces what the file says.
    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        self.0.write_all_at(text.as_bytes(), 0)?;
        self.0.set_len(text.len() as u64)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just being started holds a copy of the file until
        // it is the program that it shall be. There is nothing to do about a failure.
        let _ = self.0.unlock();
    }
}

/// Takes the repository's lock; returns it with what its last holder noted before it touched refs.
fn take_lock(path: &Path) -> Result<(Lock, String), MirrorError> {
    let lock = path.join(LOCK);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock)
        .map_err(MirrorError::io("open", &lock))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(MirrorError::InUse {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(MirrorError::io("lock", &lock)(error)),
    }
    let mut intent = String::new();
    file.read_to_string(&mut intent)
        .map_err(MirrorError::io("read", &lock))?;
    Ok((Lock(file), intent))
}

/// Removes what a crash of ours left: packs under construction, and locks of refs.
///
/// Nobody else writes `refs/strandline/`. A lock of the branch is ours if it holds `intent`, the
/// commit whose refs were about to be written, or nothing yet; any other may belong to a `git`
/// that is at work, unless it is far too old for that.
fn clean(path: &Path, branch: &[u8], intent: &str) -> Result<(), MirrorError> {
    let packs = path.join("objects/pack");
    for entry in fs::read_dir(&packs).map_err(MirrorError::io("read", &packs))? {
        let entry = entry.map_err(MirrorError::io("read", &packs))?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(TEMPORARY.as_bytes())
        {
            let leftover = entry.path();
            fs::remove_file(&leftover).map_err(MirrorError::io("remove", &leftover))?;
        }
    }
    let mut locks = vec![
        path.join("HEAD.lock"),
        path.join(format!("{}.lock", String::from_utf8_lossy(branch))),
    ];
    let own = path.join(refs::OWN);
    find_locks(&own, &mut locks);
    for lock in locks {
        let Ok(content) = fs::read(&lock) else {
            continue;
        };
        let names_it = |id: &str| content.trim_ascii_end() == id.as_bytes();
        let noted = !intent.is_empty()
            && (content.is_empty() || intent.split_ascii_whitespace().any(names_it));
        let ours = noted || lock.starts_with(&own);
        let stale = super::clock::age(&lock).is_some_and(|age| age > STALE_LOCK);
        if ours || stale {
            fs::remove_file(&lock).map_err(MirrorError::io("remove", &lock))?;
        }
    }
    Ok(())
}

/// Adds the locks of the refs in a directory and below.
fn find_locks(directory: &Path, locks: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_locks(&path, locks);
        } else if path.extension().is_some_and(|found| found == "lock") {
            locks.push(path);
        }
    }
}

/// A line of a commit's header is `author <name> <<email>> <seconds> <zone>`; `git fsck` wants it so.
fn check_author(author: &Author) -> Result<(), MirrorError> {
    let bad = |text: &str| text.contains(['<', '>', '\n', '\r', '\0']);
    if author.name.trim().is_empty() || bad(&author.name) {
        return Err(MirrorError::Author {
            text: author.name.clone(),
        });
    }
    if bad(&author.email) || author.email.contains(char::is_whitespace) {
        return Err(MirrorError::Author {
            text: author.email.clone(),
        });
    }
    Ok(())
}
