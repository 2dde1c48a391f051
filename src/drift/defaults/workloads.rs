//! Workloads: `apps`, `batch`, `autoscaling`, and the `ReplicationController`
//! (`pkg/apis/{apps,batch,autoscaling,core}/*/defaults.go` of
//! <https://github.com/kubernetes/kubernetes/tree/v1.36.3/pkg/apis>).

use serde_json::{Value, json};

use super::builtin::{Fields, copy_missing, is_zero, lacks, made, part, parts, put, text};

/// Retries of a Job that counts them by index: without limit (`math.MaxInt32`).
const ENDLESS: i32 = i32::MAX;

const ROLLING: &str = "RollingUpdate";

/// Defaults of a whole object that depend on what it does not say itself.
pub(super) fn before(name: &str, object: &mut Fields) {
    match name {
        "batch.v1.Job" => {
            labels_of_template(object);
            if let Some(spec) = part(object, "spec") {
                job(spec);
            }
        }
        // The old form of a target, which stands in an annotation where it is none of the CPU
        // (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/autoscaling/v1/conversion.go>).
        "autoscaling.v1.HorizontalPodAutoscaler" => {
            const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
            let annotations = object
                .get("metadata")
                .and_then(|all| all.get("annotations"));
            let elsewhere = annotations.is_some_and(|all| all.get(METRICS).is_some());
            if let Some(spec) = part(object, "spec").filter(|_| !elsewhere) {
                put(spec, "targetCPUUtilizationPercentage", || 80);
            }
        }
        "core.v1.ReplicationController" => {
            labels_of_template(object);
            let labels = template_labels(object);
            if let Some(labels) = labels
                && let Some(spec) = part(object, "spec")
                && spec.get("selector").is_none_or(is_zero)
            {
                spec.insert("selector".to_owned(), Value::Object(labels));
            }
        }
        _ => {}
    }
}

fn template_labels(object: &Fields) -> Option<Fields> {
    let labels = object
        .get("spec")?
        .get("template")?
        .get("metadata")?
        .get("labels")?;
    labels
        .as_object()
        .cloned()
        .filter(|labels| !labels.is_empty())
}

/// Without labels of its own it takes those of its template.
fn labels_of_template(object: &mut Fields) {
    if let Some(labels) = template_labels(object)
        && let Some(metadata) = made(object, "metadata")
        && metadata.get("labels").is_none_or(is_zero)
    {
        metadata.insert("labels".to_owned(), Value::Object(labels));
    }
}

fn job(spec: &mut Fields) {
    if lacks(spec, "completions") && lacks(spec, "parallelism") {
        put(spec, "completions", || 1);
    }
    let by_index = !lacks(spec, "backoffLimitPerIndex");
    put(spec, "backoffLimit", || if by_index { ENDLESS } else { 6 });
    let replaced = if lacks(spec, "podFailurePolicy") {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    put(spec, "podReplacementPolicy", || replaced);
}

/// Defaults of a type by its own fields.
pub(super) fn fill(name: &str, fields: &mut Fields) {
    match name {
        "apps.v1.DeploymentStrategy" | "apps.v1.DaemonSetUpdateStrategy"
            if matches!(text(fields, "type"), "" | ROLLING) =>
        {
            put(fields, "rollingUpdate", Fields::new);
        }
        // Unlike the other two, one that says its type keeps what it says.
        "apps.v1.StatefulSetUpdateStrategy" if text(fields, "type").is_empty() => {
            put(fields, "rollingUpdate", Fields::new);
        }
        "apps.v1.StatefulSetSpec" => claim_templates(fields),
        "autoscaling.v2.HorizontalPodAutoscalerSpec" => {
            put(fields, "metrics", || {
                let target = json!({"type": "Utilization", "averageUtilization": 80});
                json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}])
            });
        }
        "autoscaling.v2.HorizontalPodAutoscalerBehavior" => behavior(fields),
        _ => {}
    }
}

/// Claims in a `StatefulSet` are whole objects in what the server sends, with a status
/// (<https://github.com/kubernetes/kubernetes/issues/87583>).
fn claim_templates(spec: &mut Fields) {
    for claim in parts(spec, "volumeClaimTemplates") {
        put(claim, "apiVersion", || "v1");
        put(claim, "kind", || "PersistentVolumeClaim");
        if let Some(status) = made(claim, "status") {
            put(status, "phase", || "Pending");
        }
    }
}

/// Rules that are there at all are filled up; those that are not come from the table.
fn behavior(behavior: &mut Fields) {
    let policy =
        |kind: &str, value: u32| json!({"type": kind, "value": value, "periodSeconds": 15});
    let rules = [
        (
            "scaleDown",
            json!({"selectPolicy": "Max", "policies": [policy("Percent", 100)]}),
        ),
        (
            "scaleUp",
            json!({
                "stabilizationWindowSeconds": 0,
                "selectPolicy": "Max",
                "policies": [policy("Pods", 4), policy("Percent", 100)],
            }),
        ),
    ];
    for (field, rule) in rules {
        if let Some(said) = part(behavior, field)
            && let Value::Object(rule) = rule
        {
            said.retain(|_, value| !value.is_null());
            copy_missing(&rule, said);
        }
    }
}
