//! Strandline writes what a Kubernetes cluster really is into Git.
//!
//! # The flow
//!
//! ```text
//!  API server ──list/watch──▶ cluster ──RawObject──▶ filter ──Value──▶ canonical ──YAML──▶ record ──Batch──▶ mirror ──ref──▶ remote
//!                                                                                                  │ (read only)
//!  files, Git refs, charts, Argo/Flux/Helm ──▶ drift::desired ──▶ drift::evaluate ◀── drift::live ◀┘ or cluster
//!                                                                      └──▶ drift::report
//! ```
//!
//! One way only: a room never calls back to the one that feeds it. `tests/layers.rs` holds the
//! table of who may use whom.
//!
//! # Rooms
//!
//! - [`object`]: keys, paths in the mirror, raw objects. Pure.
//! - [`owners`]: who wrote what, from `managedFields`. Pure.
//! - [`filter`]: what of an object goes into its file: field paths, rules, redaction. Pure.
//! - [`canonical`]: JSON value → YAML bytes, YAML bytes → JSON value. Pure.
//! - [`sops`]: files that the `sops` program reads, encrypted for age. Pure, but for the wrapping of
//!   the data key.
//! - [`cluster`]: client, discovery, one reflector per (type, scope). The only one that knows `kube`.
//! - [`record`]: the recorder: stages changes, decides when a batch closes, drives the mirror.
//! - [`mirror`]: the Git store. The only one that knows `gix`.
//! - [`restore`]: what to put back from a revision of the mirror, in which order, and doing it.
//! - [`drift`]: what is live that the desired state does not know, and the reverse.
//! - [`process`]: the only one that starts child processes.
//! - [`remote`]: fetch, push and maintenance by the `git` program.
//! - [`simulator`]: a small in-process API server for the demo and the tests.
//! - [`config`]: flags, environment and file → validated settings.
//! - [`telemetry`]: logs and metrics.
//! - [`cli`]: one file per subcommand; the only one that prints, and the one that wires the others.
pub mod canonical;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod drift;
pub mod filter;
pub mod mirror;
pub mod object;
pub mod owners;
pub mod process;
pub mod record;
pub mod remote;
pub mod restore;
pub mod simulator;
pub mod sops;
pub mod telemetry;
