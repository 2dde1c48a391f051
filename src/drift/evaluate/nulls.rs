//! A manifest without the nulls that client-side apply does not send.

use serde_json::{Map, Value};

/// Takes away fields that are null and that live lacks: `kubectl apply` removes them before it
/// creates an object, and by a merge patch later
/// (`pruneNullsFromMap` in
/// <https://github.com/kubernetes/kubectl/blob/v0.36.3/pkg/cmd/apply/apply.go>). Elements of lists stay.
pub(super) fn without_pruned(desired: &mut Value, live: Option<&Value>) {
    match desired {
        Value::Object(fields) => prune(fields, live),
        Value::Array(elements) => {
            for (at, element) in elements.iter_mut().enumerate() {
                without_pruned(element, live.and_then(|live| live.get(at)));
            }
        }
        _ => {}
    }
}

fn prune(fields: &mut Map<String, Value>, live: Option<&Value>) {
    fields.retain(|name, value| {
        let live = live.and_then(|live| live.get(name));
        if value.is_null() {
            return live.is_some();
        }
        without_pruned(value, live);
        true
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_that_were_never_sent_are_not_asked_of_live() {
        let mut desired = json!({
            "gone": null, "kept": null, "set": null, "map": {"gone": null, "a": 1},
            "list": [null, {"gone": null, "kept": null}, {"gone": null}],
        });
        let live = json!({"kept": null, "set": 5, "map": {"a": 1}, "list": [null, {"kept": null}]});
        without_pruned(&mut desired, Some(&live));
        let expected = json!({"kept": null, "set": null, "map": {"a": 1},
            "list": [null, {"kept": null}, {}]});
        assert_eq!(desired, expected);
    }
}
