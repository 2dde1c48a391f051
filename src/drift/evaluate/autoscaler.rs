//! A `HorizontalPodAutoscaler` of `autoscaling/v2` in the form of `autoscaling/v1`, as the server
//! gives it who is asked for that version:
//! <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/autoscaling/v1/conversion.go>.

use serde_json::{Map, Value};

/// The target CPU utilisation is a field of its own; of what else v2 knows, v1 has no field, and
/// the server puts it into annotations as JSON.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The object in v1, with the `apiVersion` that it had; `None` where it is no autoscaler of v2.
pub(super) fn v2_to_v1(object: &Value) -> Option<Value> {
    let mut object = object.clone();
    let spec = object.get_mut("spec")?.as_object_mut()?;
    let metrics = match spec.remove("metrics") {
        Some(Value::Array(metrics)) => metrics,
        Some(_) => return None,
        None => Vec::new(),
    };
    let behavior = spec.remove("behavior");
    // The first CPU metric decides, whatever its target.
    let cpu = metrics.iter().find(|metric| is_cpu(metric));
    if let Some(target) = cpu.and_then(utilization) {
        spec.insert("targetCPUUtilizationPercentage".to_owned(), target.clone());
    }
    let others: Option<Vec<String>> = metrics
        .iter()
        .filter(|metric| !is_cpu(metric) || utilization(metric).is_none())
        .map(metric_of_v1)
        .collect();
    let others = others?;
    if !others.is_empty() {
        annotate(&mut object, METRICS, &format!("[{}]", others.join(",")))?;
    }
    if let Some(behavior) = behavior.filter(|behavior| !behavior.is_null()) {
        annotate(&mut object, BEHAVIOR, &behavior_of_v1(&behavior))?;
    }
    Some(object)
}

fn is_cpu(metric: &Value) -> bool {
    metric.get("type").and_then(Value::as_str) == Some("Resource")
        && metric.pointer("/resource/name").and_then(Value::as_str) == Some("cpu")
}

fn utilization(metric: &Value) -> Option<&Value> {
    metric.pointer("/resource/target/averageUtilization")
}

fn annotate(object: &mut Value, name: &str, text: &str) -> Option<()> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata
        .entry("annotations")
        .or_insert_with(|| Value::Object(Map::new()));
    // As Go writes them in JSON.
    let text = text
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    let annotations = annotations.as_object_mut()?;
    annotations.insert(name.to_owned(), text.into());
    Some(())
}

/// One JSON object in the order of its members, those aside that are not there.
fn written<const N: usize>(members: [(&str, Option<String>); N]) -> String {
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn at(value: &Value, pointer: &str) -> Option<String> {
    let found = value.pointer(pointer).filter(|found| !found.is_null());
    found.map(Value::to_string)
}

/// A member that is always written: text where there is none is empty.
fn text_at(value: &Value, pointer: &str) -> Option<String> {
    at(value, pointer).or_else(|| Some("\"\"".to_owned()))
}

/// As above, of a quantity.
fn quantity_at(value: &Value, pointer: &str) -> Option<String> {
    at(value, pointer).or_else(|| Some("\"0\"".to_owned()))
}

fn selector(value: &Value) -> Option<String> {
    let selector = value.pointer("/metric/selector")?;
    Some(written([
        ("matchLabels", at(selector, "/matchLabels")),
        ("matchExpressions", at(selector, "/matchExpressions")),
    ]))
}

/// A metric of v2 as the annotation of v1 has it; `None` for a type that is not known.
fn metric_of_v1(metric: &Value) -> Option<String> {
    let (name, form): (&str, fn(&Value) -> String) = match metric.get("type")?.as_str()? {
        "Object" => ("object", object_metric),
        "Pods" => ("pods", pods_metric),
        "Resource" => ("resource", resource_metric),
        "ContainerResource" => ("containerResource", container_metric),
        "External" => ("external", external_metric),
        _ => return None,
    };
    let source = metric.get(name)?;
    Some(written([
        ("type", at(metric, "/type")),
        (name, Some(form(source))),
    ]))
}

fn object_metric(source: &Value) -> String {
    let described = "/describedObject";
    let target = written([
        ("kind", text_at(source, &format!("{described}/kind"))),
        ("name", text_at(source, &format!("{described}/name"))),
        ("apiVersion", at(source, &format!("{described}/apiVersion"))),
    ]);
    written([
        ("target", Some(target)),
        ("metricName", text_at(source, "/metric/name")),
        ("targetValue", quantity_at(source, "/target/value")),
        ("selector", selector(source)),
        ("averageValue", at(source, "/target/averageValue")),
    ])
}

fn pods_metric(source: &Value) -> String {
    let average = quantity_at(source, "/target/averageValue");
    written([
        ("metricName", text_at(source, "/metric/name")),
        ("targetAverageValue", average),
        ("selector", selector(source)),
    ])
}

fn resource_metric(source: &Value) -> String {
    let utilization = at(source, "/target/averageUtilization");
    written([
        ("name", text_at(source, "/name")),
        ("targetAverageUtilization", utilization),
        ("targetAverageValue", at(source, "/target/averageValue")),
    ])
}

fn container_metric(source: &Value) -> String {
    let utilization = at(source, "/target/averageUtilization");
    written([
        ("name", text_at(source, "/name")),
        ("targetAverageUtilization", utilization),
        ("targetAverageValue", at(source, "/target/averageValue")),
        ("container", text_at(source, "/container")),
    ])
}

fn external_metric(source: &Value) -> String {
    written([
        ("metricName", text_at(source, "/metric/name")),
        ("metricSelector", selector(source)),
        ("targetValue", at(source, "/target/value")),
        ("targetAverageValue", at(source, "/target/averageValue")),
    ])
}

fn or_null(value: Option<String>) -> Option<String> {
    value.or_else(|| Some("null".to_owned()))
}

/// The server writes its internal form, whose members have the names that Go gives them, and are
/// all there.
fn behavior_of_v1(behavior: &Value) -> String {
    let rules = |name: &str| or_null(behavior.get(name).map(scaling_rules));
    written([
        ("ScaleUp", rules("scaleUp")),
        ("ScaleDown", rules("scaleDown")),
    ])
}

fn scaling_rules(rules: &Value) -> String {
    let policies = rules.get("policies").and_then(Value::as_array);
    let policies = policies.map(|policies| {
        let policies = policies.iter().map(|policy| {
            written([
                ("Type", text_at(policy, "/type")),
                ("Value", at(policy, "/value")),
                ("PeriodSeconds", at(policy, "/periodSeconds")),
            ])
        });
        format!("[{}]", policies.collect::<Vec<_>>().join(","))
    });
    let window = at(rules, "/stabilizationWindowSeconds");
    written([
        ("StabilizationWindowSeconds", or_null(window)),
        ("SelectPolicy", or_null(at(rules, "/selectPolicy"))),
        ("Policies", or_null(policies)),
        ("Tolerance", or_null(at(rules, "/tolerance"))),
    ])
}
