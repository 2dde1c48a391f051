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
//! - [`object`]: keys, paths in the mirror, raw objects. Pure.
//! - [`simulator`]: a small API server inside the process, for the demo, load and faults.
pub mod object;
pub mod simulator;
