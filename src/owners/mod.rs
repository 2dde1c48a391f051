//! Who wrote what: `metadata.managedFields` read back.
//!
//! [`is_interactive`] knows who is behind a manager's name.
//!
//! Two readings of the same text. [`last_writer`] and [`writers`] look at the entries' heads only
//! and are cheap enough for every event; [`ManagedFields`] builds the field sets too, for the few
//! types whose rules ask whether somebody wanted a field.
//!
//! Pure: no I/O, no clock. The format:
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>.

mod deployers;
mod fields;
mod managers;
mod shape;
mod writer;

#[cfg(test)]
mod tests;

pub use deployers::Deployers;
pub use fields::{ManagedFields, ManagedFieldsError, Owned};
pub use managers::{interactive_mark, is_interactive};
pub use shape::{FieldWriter, Mask, MaskKind, PlaceOwners, Shape, Times};
pub use writer::{Writer, last_writer, writers};
