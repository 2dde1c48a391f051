//! Whether a workload is on its way somewhere.

use serde_json::Value;

/// Whether what a workload runs is not yet what its spec says, as `kubectl rollout status` judges
/// `Deployment`s, `DaemonSet`s and `StatefulSet`s, with their `status`
/// (<https://github.com/kubernetes/kubectl/blob/v0.36.3/pkg/polymorphichelpers/rollout_status.go>).
/// What it refuses to judge is not rolling out: every other kind, workloads that somebody updates
/// by hand (`OnDelete`), and a `Deployment` that gave up.
pub fn is_rolling_out(object: &Value) -> bool {
    let kind = object.get("kind").and_then(Value::as_str);
    match kind.unwrap_or_default() {
        "Deployment" => deployment(object),
        "DaemonSet" => is_rolling_update(object) && daemon_set(object),
        "StatefulSet" => is_rolling_update(object) && stateful_set(object),
        _ => false,
    }
}

fn deployment(object: &Value) -> bool {
    if is_unobserved(object) {
        return true;
    }
    let updated = status(object, "updatedReplicas");
    !has_given_up(object)
        && (spec(object, "/spec/replicas").is_some_and(|wanted| updated < wanted)
            || status(object, "replicas") > updated
            || status(object, "availableReplicas") < updated)
}

fn daemon_set(object: &Value) -> bool {
    let wanted = status(object, "desiredNumberScheduled");
    is_unobserved(object)
        || status(object, "updatedNumberScheduled") < wanted
        || status(object, "numberAvailable") < wanted
}

fn stateful_set(object: &Value) -> bool {
    if status(object, "observedGeneration") == 0 || is_unobserved(object) {
        return true;
    }
    let wanted = spec(object, "/spec/replicas");
    if wanted.is_some_and(|wanted| status(object, "readyReplicas") < wanted) {
        return true;
    }
    let rolling = "/spec/updateStrategy/rollingUpdate";
    if object.pointer(rolling).is_some_and(|it| !it.is_null()) {
        // The Pods below the partition keep the revision before.
        let partition = spec(object, &format!("{rolling}/partition"));
        return wanted.zip(partition).is_some_and(|(wanted, partition)| {
            status(object, "updatedReplicas") < wanted.saturating_sub(partition)
        });
    }
    object.pointer("/status/updateRevision") != object.pointer("/status/currentRevision")
}

/// Whether its controller has yet to look at the newest spec.
fn is_unobserved(object: &Value) -> bool {
    let generation = spec(object, "/metadata/generation").unwrap_or_default();
    generation > status(object, "observedGeneration")
}

fn is_rolling_update(object: &Value) -> bool {
    let strategy = object.pointer("/spec/updateStrategy/type");
    strategy.and_then(Value::as_str) == Some("RollingUpdate")
}

fn has_given_up(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions");
    let mut conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    conditions.any(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Progressing") && text("reason") == Some("ProgressDeadlineExceeded")
    })
}

fn spec(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// A number that is left out where it is 0.
fn status(object: &Value, field: &str) -> i64 {
    let status = object.get("status").and_then(|status| status.get(field));
    status.and_then(Value::as_i64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "for json!")]
    fn of(kind: &str, spec: Value, status: Value) -> bool {
        is_rolling_out(
            &json!({"kind": kind, "metadata": {"generation": 4}, "spec": spec,
            "status": status}),
        )
    }

    #[test]
    fn deployments_roll_until_all_pods_are_new_and_available() {
        let web = |observed: i64, replicas: i64, updated: i64, available: i64| {
            of(
                "Deployment",
                json!({"replicas": 3}),
                json!({"observedGeneration": observed, "replicas": replicas,
                    "updatedReplicas": updated, "availableReplicas": available}),
            )
        };
        assert!(!web(4, 3, 3, 3));
        assert!(!web(5, 3, 3, 3));
        assert!(web(3, 3, 3, 3), "the newest spec was not observed");
        assert!(web(4, 3, 2, 2), "not all are updated");
        assert!(web(4, 4, 3, 3), "an old one is left");
        assert!(web(4, 3, 3, 2), "not all are available");
        let none = json!({"observedGeneration": 4});
        assert!(!of("Deployment", json!({"replicas": 0}), none.clone()));
        assert!(of("Deployment", json!({"replicas": 1}), none));
        let given_up = json!({"observedGeneration": 4, "replicas": 3, "updatedReplicas": 1,
            "conditions": [{"type": "Available"},
                {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]});
        assert!(!of("Deployment", json!({"replicas": 3}), given_up));
        assert!(of("Deployment", json!({}), Value::Null));
    }

    #[test]
    fn daemon_sets_roll_until_each_node_has_a_new_pod() {
        let agent = |strategy: &str, updated: i64, available: i64| {
            of(
                "DaemonSet",
                json!({"updateStrategy": {"type": strategy}}),
                json!({"observedGeneration": 4, "desiredNumberScheduled": 2,
                    "updatedNumberScheduled": updated, "numberAvailable": available}),
            )
        };
        assert!(!agent("RollingUpdate", 2, 2));
        assert!(agent("RollingUpdate", 1, 2));
        assert!(agent("RollingUpdate", 2, 1));
        assert!(!agent("OnDelete", 0, 0));
    }

    #[test]
    fn stateful_sets_roll_until_all_above_the_partition_are_new() {
        let database = |strategy: Value, ready: i64, updated: i64| {
            of(
                "StatefulSet",
                json!({"replicas": 3, "updateStrategy": strategy}),
                json!({"observedGeneration": 4, "readyReplicas": ready,
                    "updatedReplicas": updated, "currentRevision": "a",
                    "updateRevision": if updated == 3 { "a" } else { "b" }}),
            )
        };
        let rolling = |partition: i64| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
        assert!(!database(rolling(0), 3, 3));
        assert!(database(rolling(0), 2, 3), "not all are ready");
        assert!(database(rolling(0), 3, 2), "not all are updated");
        assert!(!database(rolling(1), 3, 2), "those above the partition are");
        let plain = json!({"type": "RollingUpdate"});
        assert!(!database(plain.clone(), 3, 3));
        assert!(database(plain, 3, 2), "of another revision");
        assert!(!database(json!({"type": "OnDelete"}), 0, 0));
        let unseen = json!({"updateStrategy": {"type": "RollingUpdate"}});
        assert!(of("StatefulSet", unseen, Value::Null));
    }

    #[test]
    fn nothing_else_rolls_whatever_it_holds() {
        assert!(!of("Job", json!({"replicas": 3}), Value::Null));
        for hostile in [
            json!(null),
            json!([]),
            json!({"kind": 3}),
            json!({"kind": "DaemonSet", "spec": [], "status": "x"}),
        ] {
            assert!(!is_rolling_out(&hostile), "{hostile}");
        }
        let extreme = json!({"replicas": i64::MIN, "updateStrategy": {"type": "RollingUpdate",
            "rollingUpdate": {"partition": i64::MAX}}});
        let seen = json!({"observedGeneration": 4});
        assert!(!of("StatefulSet", extreme, seen));
    }
}
