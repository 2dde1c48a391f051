//! The API server: client, discovery, one reflector per (type, scope).
//!
//! The only room that knows `kube`. What leaves it are typed events ([`Event`]) with raw objects;
//! what an error means for the mirror is decided here once ([`Failure`]) and nowhere by text.
//!
//! Our own reflector stands in for `kube_runtime::watcher`, which cannot start from a
//! resourceVersion, repeats a cut stream without a pause, sticks on a 410 that comes as an HTTP
//! status, has no way back from a refused `WatchList` and hides bookmarks.

mod api;
pub mod apply;
mod client;
mod discovery;
mod look;
mod machine;
mod metrics;
mod openapi;
mod reflector;
mod rights;
mod wire;

pub use api::{ApiError, Failure};
pub use client::{Cluster, ConnectError, ConnectOptions, ServerVersion};
pub use discovery::{Discovered, DiscoveryError, ServedType};
pub use machine::{Cause, ListMode};
pub use metrics::Metrics;
pub use reflector::{Event, Reflector, ReflectorOptions, RelistHandle, Scope, Selectors};
pub use wire::{EventType, WatchEvent};
