use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use super::{BlobId, CommitId};

/// What a caller does about a [`MirrorError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Nothing is visible, and what was staged is still there: repeat the call as it was, later.
    Retry,
    /// Nothing is visible, and what was staged is gone: stage it again, then repeat.
    Restage,
    /// The branch was moved by somebody else: [`reload`](super::Mirror::reload), compare again.
    Reload,
    /// Only a person can help.
    Stop,
}

/// Why the mirror could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The repository's path is a file.
    #[error("{} is a file: name a directory for the repository", path.display())]
    IsAFile {
        /// The path that was given.
        path: PathBuf,
    },
    /// The repository's path is a directory with something else in it.
    #[error("{} holds files but is no Git repository: name an empty directory or one that does not exist", path.display())]
    NotARepository {
        /// The path that was given.
        path: PathBuf,
    },
    /// The repository has a working tree.
    #[error("{} is a repository with a working tree: name a bare one, or a directory that does not exist", path.display())]
    NotBare {
        /// The path that was given.
        path: PathBuf,
    },
    /// The repository does not name its objects by SHA-1.
    #[error("{} names its objects by another hash than SHA-1: name another repository", path.display())]
    ObjectFormat {
        /// The path that was given.
        path: PathBuf,
    },
    /// Another recorder has this repository open.
    #[error("{} is in use by another strandline: stop it, or name another repository", path.display())]
    InUse {
        /// The path that was given.
        path: PathBuf,
    },
    /// A name that Git does not take for a branch or ref.
    #[error("'{}' cannot be the name of a branch or ref", name.escape_debug())]
    RefName {
        /// The name.
        name: String,
    },
    /// An author that a commit cannot hold.
    #[error("'{}' cannot be the author of a commit: line breaks, '<' and '>' are not allowed, nor an empty name", text.escape_debug())]
    Author {
        /// The offending part.
        text: String,
    },
    /// The repository could not be opened.
    #[error("cannot open the repository {}", path.display())]
    Open {
        /// The path that was given.
        path: PathBuf,
        /// What gix says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A ref is there but cannot be read, or names no readable commit.
    #[error("cannot read {reference} of {}: restore it with 'git update-ref', or name an empty repository", path.display())]
    Head {
        /// The ref's full name.
        reference: String,
        /// The repository.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An object that HEAD needs is missing or damaged.
    #[error("cannot read object {id}{}: 'git fsck' tells more", path_note(path))]
    Object {
        /// The object's id.
        id: String,
        /// The path below the prefix that led to it; empty where none did.
        path: String,
        /// What gix says; `None` where the object is missing.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// A file could not be read or written: a full disk, missing rights, a read-only volume.
    #[error("cannot {act} {}", path.display())]
    Io {
        /// What was tried, for example `write`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system could not say that the pack is on disk, so nothing in it can be trusted.
    #[error("cannot bring {} to disk, so what was staged is given up", path.display())]
    PackLost {
        /// The pack.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Compare-and-swap lost: somebody else moved the branch.
    #[error(
        "{reference} was moved by somebody else: expected {}, found {}",
        or_absent(expected.as_ref()),
        or_absent(found.as_ref())
    )]
    Moved {
        /// The ref's full name.
        reference: String,
        /// What we knew.
        expected: Option<CommitId>,
        /// What is there now; `None` where it is gone or unreadable.
        found: Option<CommitId>,
    },
    /// A ref could not be locked or written.
    #[error("cannot update {reference}")]
    Reference {
        /// The ref's full name.
        reference: String,
        /// What gix says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A change names a blob that is neither staged nor in the repository.
    #[error("blob {id} of {path} was not staged")]
    NotStaged {
        /// The path below the prefix.
        path: String,
        /// The blob.
        id: BlobId,
    },
    /// Bytes were staged under an id that is not theirs.
    #[error("blob {id} was staged with other bytes")]
    WrongBytes {
        /// The id that was given.
        id: BlobId,
    },
    /// A path that Git or a file system cannot hold.
    #[error("'{}' cannot be a path in the mirror", path.escape_debug())]
    BadPath {
        /// The path below the prefix.
        path: String,
    },
    /// Something that is not ours lies where a file of ours, or its directory, has to be.
    #[error("{path} cannot be written: something else lies at {by}; remove it from the branch")]
    Occupied {
        /// The path below the prefix.
        path: String,
        /// The foreign entry, from the root of the tree.
        by: String,
    },
    /// There is no repository to read.
    #[error("there is no repository at {}: name the bare repository of a mirror", path.display())]
    Absent {
        /// The path that was given.
        path: PathBuf,
    },
    /// A revision or time that names no commit.
    #[error("'{}' names no commit of {}: {reason}; `git log` of the repository lists them", revision.escape_debug(), path.display())]
    NoSuchRevision {
        /// As it was given.
        revision: String,
        /// The repository.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A commit that is not a descendant of the branch's.
    #[error("{to} is no descendant of {from}")]
    NotADescendant {
        /// The branch's commit.
        from: CommitId,
        /// The commit that was asked for.
        to: CommitId,
    },
}

impl MirrorError {
    /// Whether, and how, the call can be repeated.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Disposition::Stop
                }
                _ => Disposition::Retry,
            },
            Self::Reference { .. } => Disposition::Retry,
            Self::PackLost { .. } | Self::NotStaged { .. } => Disposition::Restage,
            Self::Moved { .. } => Disposition::Reload,
            _ => Disposition::Stop,
        }
    }

    pub(super) fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            act,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn object(id: &impl ToString, path: &str, source: gix::Error) -> Self {
        Self::Object {
            id: id.to_string(),
            path: path.to_owned(),
            source: Some(Box::new(source)),
        }
    }

    pub(super) fn missing(id: &impl ToString, path: &str) -> Self {
        Self::Object {
            id: id.to_string(),
            path: path.to_owned(),
            source: None,
        }
    }
}

fn path_note(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" of {path}")
    }
}

fn or_absent(id: Option<&CommitId>) -> String {
    id.map_or_else(|| "none".to_owned(), CommitId::to_string)
}
