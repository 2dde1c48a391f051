//! The mirror: a bare Git repository, written one commit at a time.
//!
//! In go blobs and [`Commit`]s, out come an [`Index`] of HEAD and [`CommitId`]s. The only room that
//! knows `gix`; everything blocks, so it lives on a thread of its own.
//!
//! A commit is one pack that we write ourselves (blobs as they are staged, then trees, then the
//! commit), brought to disk with its index before a ref names it: `gix` calls fsync nowhere, and
//! loose objects cost a file each. The steps and their order are [`Step`]; whichever of them
//! fails or is the last before a crash, HEAD is the old commit or the new one, and both can be
//! read.
//!
//! Trees and commits follow <https://git-scm.com/book/en/v2/Git-Internals-Git-Objects>, packs
//! <https://git-scm.com/docs/gitformat-pack>.

mod clock;
mod commit;
mod error;
mod hash;
mod history;
mod id;
mod index;
mod open;
mod pack;
mod read;
mod refs;
mod sidecar;
mod store;
#[cfg(test)]
mod tests;
mod trees;

pub use commit::{Attached, Attachment, Commit, Committed};
pub use error::{Disposition, MirrorError};
pub use history::{At, Snapshot, SnapshotOptions};
pub use id::{BlobId, CommitId, IdError, TreeId};
pub use index::{Index, IndexEntry};
pub use open::{Author, MirrorOptions};
pub use sidecar::{
    Alive, AliveForm, SIDECAR_REFS, Sidecar, SidecarBlobs, SidecarChanges, SidecarRefs,
    SidecarState,
};
pub use store::{Head, Heads, Mirror, Step, StepHook, Store};

/// The file that says whose mirror a prefix holds, below the prefix.
pub const IDENTITY_FILE: &str = ".strandline.yaml";
