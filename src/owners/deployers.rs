//! Which writers deploy: theirs are the fields that the desired state asked for.

use super::shape::FieldWriter;

/// Deployers as (manager, operation, subresource).
#[derive(Clone, Debug, Default)]
pub struct Deployers {
    /// Managers named by the user, any operation, no subresource.
    pub extra: Vec<String>,
}

impl Deployers {
    /// Whether the writer deploys.
    pub fn has(&self, _writer: &FieldWriter) -> bool {
        false
    }
}
