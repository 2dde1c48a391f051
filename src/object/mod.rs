//! What an object is called, where its file lies in the mirror, and its raw form.
//!
//! Pure: no I/O, no clock. Every other room may use these types.

mod key;
mod path;
mod raw;
mod short_names;
mod step;
mod system;

pub use key::{ApiType, ObjectKey};
pub use path::{
    IN_NAMESPACES, MirrorPath, PREFIX_RULES, Prefix, PrefixError, escape_component, folder,
};
pub use raw::{ParseError, RawObject};
pub use short_names::resource_of_short_name;
pub use step::Step;
pub use system::system_made;
