//! The recorder: stages changes, decides when a batch closes, drives the mirror.
//!
//! ```text
//!  reflector ─▶ pipeline (filter, canonical, hash) ─┐ one task per (type, scope)
//!  reflector ─▶ pipeline ──────────────────────────┤
//!                                                  ▼ bounded in bytes
//!  discovery ─▶ supervisor ─────────────────▶ recorder (pure) ─▶ driver ─▶ mirror, on its own thread
//! ```
//!
//! `recorder` and what it decides with (`events`, `feeds`, `absence`, `stage`, `sidecar`, `window`,
//! `damping`, `autoscale`), and
//! `changes` and `message`, are pure: no clock, randomness or I/O.

mod absence;
mod autoscale;
mod beside;
mod changes;
mod cursor;
mod damping;
mod driver;
mod events;
mod facts;
mod feeds;
mod identity;
mod message;
mod metrics;
mod outcome;
mod owner;
mod pipeline;
mod recorder;
mod sealing;
mod seed;
mod sidecar;
mod stage;
mod supervisor;
#[cfg(test)]
mod tests;
mod window;
mod write;

pub use beside::{Beside, News, SideWrite, Touched};
pub use cursor::{CURSOR_REF, read as read_cursor, valid_for as cursor_valid_for};
pub use driver::{Maintain, Recording, StopSignal, Until, record, record_beside};
pub use facts::{COVERAGE, Facts};
pub use identity::{Identity, IdentityError};
pub use message::FORMAT_VERSION;
pub use metrics::Metrics;
pub use outcome::{RecordError, Report, Summary};
pub use pipeline::Pipeline;
pub use recorder::RecorderOptions;
pub use sealing::{SealError, encrypt};
pub use stage::{Content, Plaintext, SidecarFile, Staged};
pub use supervisor::ReadPlan;
pub use window::WindowOptions;
