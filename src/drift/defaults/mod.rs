//! What the server adds to an object that does not say it.
//!
//! Built-in kinds by tables, one per minor version, made offline from that version's Go modules
//! (`tests/tables`) and checked in beside this file; what depends on other fields is code. Custom
//! resources by their CRDs' schemas.

mod builtin;
mod custom;
mod others;
mod pods;
mod services;
mod tables;
mod workloads;

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::schema::Node;
use tables::Facts;

/// The facts of one minor version that no schema publishes.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    facts: &'static Facts,
}

impl Tables {
    /// The tables of Kubernetes 1.`minor`; those of the nearest known version where there are
    /// none, which [`Tables::minor`] then tells.
    pub fn of(minor: u32) -> Self {
        Self {
            facts: tables::of(minor),
        }
    }

    /// The minor version that they are of.
    pub fn minor(&self) -> u32 {
        self.facts.minor()
    }

    /// Whether the server leaves a field out where its value is zero (`false`, `0`, `""`, an empty
    /// list or map): a Go field that is no pointer and has `omitempty`.
    ///
    /// `type_name` is the `OpenAPI` name of the type that the field belongs to.
    pub fn omits_zero(&self, type_name: &str, field: &str) -> bool {
        self.facts.omits_zero(type_name, field)
    }

    /// The default of a field of a built-in type that depends on no other field; the type is named
    /// as in `OpenAPI`.
    ///
    /// The schema publishes some of them, too ([`Node::default`]).
    pub fn default(&self, type_name: &str, field: &str) -> Option<&'static Value> {
        self.facts.default(type_name, field)
    }

    /// The object as the server would store it: pruned of nulls, with defaults filled in. Never
    /// changes what `object` says, a zero that means "the default" aside. `schema` is that of its
    /// kind; without one, nulls are pruned and nothing is added.
    pub fn defaulted(&self, object: &Value, schema: Option<Node<'_>>) -> Value {
        let mut object = object.clone();
        match schema {
            Some(node) if is_builtin(node) => builtin::fill(&mut object, node, self.facts),
            Some(node) => custom::fill(&mut object, node),
            None => without_nulls(&mut object),
        }
        object
    }
}

/// Whether a kind is compiled into the server, so that the tables speak of it; the types of custom
/// resources have no names, or their group's.
fn is_builtin(node: Node<'_>) -> bool {
    const OURS: [&str; 3] = [
        "io.k8s.api.",
        "io.k8s.apiextensions-apiserver.pkg.apis.",
        "io.k8s.kube-aggregator.pkg.apis.",
    ];
    let named = |name: &str| OURS.iter().any(|prefix| name.starts_with(prefix));
    node.type_name().is_some_and(named)
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
