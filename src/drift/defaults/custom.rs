//! Custom resources: the defaults of structural schemas
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting>).

use serde_json::Value;

use crate::drift::schema::Node;

/// Replaces nulls that stand for a default, fills in what is not there, and drops nulls that are no
/// values, as the server does before it stores.
pub(super) fn fill(value: &mut Value, node: Node<'_>) {
    match value {
        Value::Object(fields) => {
            for (name, of) in node.fields() {
                if let Some(default) = default(of)
                    && fields.get(name).is_none_or(|value| is_no_value(value, of))
                {
                    fields.insert(name.to_owned(), default.clone());
                }
            }
            fields.retain(|name, value| {
                let Some(of) = node.field(name) else {
                    return true;
                };
                if is_no_value(value, of) {
                    let Some(default) = default(of) else {
                        return false;
                    };
                    *value = default.clone();
                }
                fill(value, of);
                true
            });
        }
        Value::Array(elements) => {
            let Some(items) = node.items() else {
                return;
            };
            for element in elements {
                if let Some(default) = default(items)
                    && is_no_value(element, items)
                {
                    *element = default.clone();
                }
                fill(element, items);
            }
        }
        _ => {}
    }
}

/// The default; a null is none: it adds nothing.
fn default(node: Node<'_>) -> Option<&Value> {
    node.default().filter(|default| !default.is_null())
}

/// A null where null is no value.
fn is_no_value(value: &Value, node: Node<'_>) -> bool {
    value.is_null() && !node.is_nullable()
}
