//! A manifest in the form in which its object is live: another version, or without the nulls that
//! client-side apply does not send.

use serde_json::{Map, Value, json};

/// What older servers kept of version 2 in annotations of version 1
/// (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/autoscaling/annotations.go>).
const AUTOSCALING_NOTES: &str = "autoscaling.alpha.kubernetes.io/";

/// The manifest in version `live` of its kind, where the conversion is known; `None` where it is
/// not, or is not needed.
///
/// The one built-in kind that servers have in two versions by default is the
/// `HorizontalPodAutoscaler`
/// (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/autoscaling/v1/conversion.go>).
pub(super) fn converted(manifest: &Value, live: &str) -> Option<Value> {
    let text = |field: &str| manifest.get(field).and_then(Value::as_str);
    let known = text("kind") == Some("HorizontalPodAutoscaler")
        && text("apiVersion") == Some("autoscaling/v1")
        && live == "v2";
    known.then(|| autoscaler(manifest)).flatten()
}

fn autoscaler(manifest: &Value) -> Option<Value> {
    let notes = manifest
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    // They hold metrics and behaviour, in forms of their own.
    if notes.is_some_and(|all| all.keys().any(|key| key.starts_with(AUTOSCALING_NOTES))) {
        return None;
    }
    let mut manifest = manifest.clone();
    manifest["apiVersion"] = "autoscaling/v2".into();
    if let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) {
        let target = spec.remove("targetCPUUtilizationPercentage");
        if let Some(target) = target.filter(|target| !target.is_null()) {
            let target = json!({"type": "Utilization", "averageUtilization": target});
            let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
            spec.insert("metrics".to_owned(), json!([metric]));
        }
    }
    Some(manifest)
}

/// Takes away fields that are null and that live lacks: `kubectl apply` removes them before it
/// creates an object, and by a merge patch later
/// (`pruneNullsFromMap` in
/// <https://github.com/kubernetes/kubectl/blob/v0.36.3/pkg/cmd/apply/apply.go>). Elements of lists stay.
pub(super) fn without_pruned_nulls(desired: &mut Value, live: Option<&Value>) {
    match desired {
        Value::Object(fields) => prune(fields, live),
        Value::Array(elements) => {
            for (at, element) in elements.iter_mut().enumerate() {
                without_pruned_nulls(element, live.and_then(|live| live.get(at)));
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
        without_pruned_nulls(value, live);
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autoscaler(version: &str, spec: &Value) -> Value {
        json!({"apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn an_autoscaler_of_version_1_is_compared_in_version_2() {
        let old = json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50});
        let new = json!({"maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]});
        let found = converted(&autoscaler("v1", &old), "v2");
        assert_eq!(found, Some(autoscaler("v2", &new)));
        let none = json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": null});
        let found = converted(&autoscaler("v1", &none), "v2");
        assert_eq!(found, Some(autoscaler("v2", &json!({"maxReplicas": 3}))));
    }

    #[test]
    fn what_cannot_be_converted_is_not() {
        let mut noted = autoscaler("v1", &json!({}));
        noted["metadata"]["annotations"] =
            json!({"autoscaling.alpha.kubernetes.io/behavior": "{}"});
        assert_eq!(converted(&noted, "v2"), None);
        assert_eq!(converted(&autoscaler("v2", &json!({})), "v1"), None);
        assert_eq!(converted(&autoscaler("v1", &json!({})), "v1"), None);
        let other = json!({"apiVersion": "autoscaling/v1", "kind": "Scale"});
        assert_eq!(converted(&other, "v2"), None);
    }

    #[test]
    fn nulls_that_were_never_sent_are_not_asked_of_live() {
        let mut desired = json!({
            "gone": null, "kept": null, "set": null, "map": {"gone": null, "a": 1},
            "list": [null, {"gone": null, "kept": null}, {"gone": null}],
        });
        let live = json!({"kept": null, "set": 5, "map": {"a": 1}, "list": [null, {"kept": null}]});
        without_pruned_nulls(&mut desired, Some(&live));
        let expected = json!({"kept": null, "set": null, "map": {"a": 1},
            "list": [null, {"kept": null}, {}]});
        assert_eq!(desired, expected);
    }
}
