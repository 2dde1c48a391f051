//! The differences of two objects, as the server's schema tells fields apart.
//!
//! Pure. In go what is desired, the same with defaults, and what is live (all after the filter); out
//! come [`Difference`]s, the smallest places that differ: a scalar, an empty object, an atomic list,
//! or an element of a map-like list or set that only one side has.
//!
//! ```text
//! desired ──defaults──▶ defaulted ─┐
//! desired ─────────────────────────┼─ walk (lists, scalars, absent) ──▶ Differences
//! live ────────────────────────────┘
//! ```

mod absent;
mod duration;
mod implied;
mod lists;
mod metadata;
mod places;
mod scalars;
mod walk;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::defaults::Tables;
use super::schema::Node;
use crate::filter::FieldPath;
use crate::object::Step;

pub(super) use implied::mark_implied;
pub use places::{covers, covers_path, path_of};

/// The two sides.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The object as its manifest has it, without what the filter takes away.
    pub desired: &'a Value,
    /// The live object, without what the filter takes away.
    pub live: &'a Value,
    /// The type of both; `None` where no schema is known: then every list is atomic.
    pub schema: Option<Node<'a>>,
    /// What the server adds.
    pub tables: &'a Tables,
}

/// How a place differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Both sides have a value, and they differ.
    Changed,
    /// Only desired has it.
    DesiredOnly,
    /// Only live has it, and it is no default. Its owners decide what that means.
    LiveOnly,
    /// Desired has a field that the schema does not know: the server drops it.
    Unknown,
}

/// One place that differs.
#[derive(Clone, PartialEq)]
pub struct Difference {
    /// Where, with list elements by their keys.
    pub path: FieldPath,
    /// How.
    pub relation: Relation,
    /// The desired value; the default that the server would set is none.
    pub desired: Option<Value>,
    /// The live value.
    pub live: Option<Value>,
    /// The place in the desired object, or the nearest one around it that is there.
    pub desired_at: Vec<Step>,
    /// The place in the live object, or the nearest one around it that is there.
    pub live_at: Vec<Step>,
    /// Only live has it, and the server would have set that very value: it lies in something that
    /// desired has not, or comes along with it, so that no default of desired's is there to say so.
    pub is_default: bool,
}

/// Place and relation alone: the values may be a Secret's, and debug output ends in logs.
impl std::fmt::Debug for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Difference({:?} {})", self.relation, self.path)
    }
}

/// Compares two objects of one kind; in the order of paths.
///
/// What is never compared: `apiVersion`, `kind`, `status`, the metadata that the server writes, and
/// `ownerReferences` that only live has. Something that is no object has no fields, and differs in
/// none.
pub fn compare(sides: Sides<'_>) -> Vec<Difference> {
    // By far the most common case, and much cheaper than defaults.
    if sides.desired == sides.live {
        return Vec::new();
    }
    let defaulted = sides.tables.defaulted(sides.desired, sides.schema);
    let mut walker = walk::Walker::new(*sides.tables);
    walker.object(sides.desired, &defaulted, sides.live, sides.schema);
    walker.finish()
}
