//! Drift: what is live that the desired state does not know, and the reverse.
//!
//! ```text
//!  desired::Source ──read──▶ Manifest ─┐
//!                                      ├─▶ evaluate (compare, defaults, ownership, accept) ──▶ report::Report ──▶ text, JSON, …
//!  live::Live (cluster or mirror) ─────┘
//! ```
//!
//! Both sides are compared after the filter. Whatever decides is pure: [`schema`], [`defaults`],
//! [`compare`], [`ownership`], [`accept`], [`evaluate`], [`report`]. Reading is in [`desired`] and
//! [`live`]. Nothing here writes.

pub mod accept;
pub mod compare;
pub mod defaults;
pub mod desired;
pub mod evaluate;
pub mod live;
pub mod ownership;
mod quantity;
pub mod report;
pub mod schema;
