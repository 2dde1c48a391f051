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

mod claims;
mod codec;
mod deployers;
mod elements;
mod fields;
mod managers;
mod moves;
mod reported;
mod shape;
mod tape;
mod writer;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
mod tests;

pub use deployers::Deployers;
pub use fields::{ManagedFields, ManagedFieldsError, Owned};
pub use managers::{
    ManagerRow, Managers, ManagersFile, Operation, Role, interactive_mark, is_interactive,
};
pub use moves::Moves;
pub use reported::reported;
pub use shape::{
    Encoded, FieldWriter, LAST_APPLIED, Mark, Mask, MaskKind, Owners, PlaceOwners, Reading, Shape,
    Times,
};
pub use writer::{Writer, last_writer, writers};
