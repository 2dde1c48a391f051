//! JSON value → canonical YAML bytes, and the one reader for data: YAML bytes → JSON value.
//!
//! Pure: no I/O, no clock. What [`emit()`] writes is the mirror's file format: the same value gives
//! the same bytes, and kubectl, YAML 1.1 and YAML 1.2 readers all read the same value back. A
//! change of a single byte here rewrites every file of every user.

mod emit;
mod fast;
mod lines;
mod load;
mod order;
mod read;
mod scalar;

#[cfg(test)]
mod differential;
#[cfg(test)]
pub(crate) mod strategy;
#[cfg(test)]
mod tests;

pub use emit::emit;
pub use lines::{Line, Places};
pub use order::key_order;
pub use read::{Document, ReadError, Reason, Spot, read, read_all};
