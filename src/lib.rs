//! Strandline writes what a Kubernetes cluster really is into Git.
//!
//! # The flow
//!
//! ```text
//!  API server ──list/watch──▶ cluster ──RawObject──▶ filter ──Value──▶ canonical ──YAML──▶ record ──Batch──▶ mirror ──ref──▶ remote
//! ```
//!
//! One way only: a room never calls back to the one that feeds it. `tests/layers.rs` holds the
//! table of who may use whom.
//!
//! # Rooms
//!
//! - [`mirror`]: the Git store, blocking. The only room that knows `gix`.
//! - [`object`]: keys, paths in the mirror, raw objects. Pure.
//! - [`process`]: the only room that starts a child process.
//! - [`remote`]: fetch, push and maintenance by the `git` program.
pub mod mirror;
pub mod object;
pub mod process;
pub mod remote;
