//! What an object is called, where its file lies in the mirror, and its raw form.
//!
//! Pure: no I/O, no clock. Every other room may use these types.

mod key;
mod path;
mod raw;

pub use key::{ApiType, ObjectKey};
pub use path::{MirrorPath, PREFIX_RULES, Prefix, PrefixError, escape_component};
pub use raw::{ParseError, RawObject};
