//! The sidecar: what drift needs of the mirror and its YAML leaves out.
//!
//! A chain of commits of its own beside the branch, each of which names the commit of the mirror
//! that it belongs to in the trailer `Strandline-Mirror-Commit`. Its tree, below the mirror's
//! prefix: `owners/<path, .json for .yaml>`, `times/<the same>` where there are any, and
//! `facts/<name>`. Beside it lies the proof of life ([`Alive`]), an object that is replaced.

mod alive;
mod names;
mod read;
mod walk;
mod write;

pub use alive::{Alive, AliveForm};
pub use names::{SIDECAR_REFS, SidecarRefs};
pub use read::Sidecar;
pub(super) use walk::SidecarHead;
pub(super) use write::NextSidecar;
pub use write::{SidecarBlobs, SidecarChanges, SidecarState};
