//! Which writers deploy: theirs are the fields that the desired state asked for.

use std::sync::Arc;

use super::managers::{Managers, Role};
use super::shape::{FieldWriter, Shape};

/// Deployers as (manager, operation, subresource).
#[derive(Clone, Debug, Default)]
pub struct Deployers {
    /// Managers named by the user, any operation, no subresource.
    pub extra: Vec<String>,
    /// The table of managers; `None` for the embedded one.
    pub managers: Option<Arc<Managers>>,
}

impl Deployers {
    /// Whether the writer deploys on every object that it writes.
    pub fn has(&self, writer: &FieldWriter) -> bool {
        self.named(writer) || self.managers().role(writer) == Role::Deployer
    }

    /// Who the writers of one object are, by their index in [`Shape::writers`]; never
    /// [`Role::Client`].
    ///
    /// `kubectl apply`, `create` and our own restore deploy what nobody else deploys. On an object
    /// that a deployer wrote they are a person's. One that the user names deploys as the known ones
    /// do; a tool of people that he names (`kubectl-patch`) says nothing of kubectl's other verbs.
    pub fn of_object(&self, shape: &Shape) -> Vec<Role> {
        let managers = self.managers();
        let roles: Vec<Role> = shape.writers.iter().map(|w| managers.role(w)).collect();
        let deployed = shape.writers.iter().zip(&roles).any(|(writer, role)| {
            let of_people = matches!(role, Role::Human | Role::Client);
            *role == Role::Deployer || self.named(writer) && !of_people
        });
        let role = |(writer, role): (&FieldWriter, Role)| match role {
            _ if self.named(writer) => Role::Deployer,
            Role::Client if deployed => Role::Human,
            Role::Client => Role::Deployer,
            other => other,
        };
        shape.writers.iter().zip(roles).map(role).collect()
    }

    fn named(&self, writer: &FieldWriter) -> bool {
        writer.subresource.is_empty() && self.extra.iter().any(|name| **name == *writer.manager)
    }

    fn managers(&self) -> &Managers {
        self.managers.as_deref().unwrap_or(Managers::embedded())
    }
}
