//! Which workloads an autoscaler scales, so that their `replicas` are nobody's intent.

use std::collections::HashMap;

use serde_json::Value;

use crate::object::ObjectKey;

/// A workload that an autoscaler names.
///
/// By group and kind, without version: an autoscaler may name a workload by any version of its
/// type, <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScaleTarget {
    /// API group of the workload.
    pub group: Box<str>,
    /// Its kind.
    pub kind: Box<str>,
    /// Its namespace, which is its autoscaler's.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// The workloads that live autoscalers scale, by name: nothing is built to ask for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autoscaled(HashMap<Box<str>, Vec<ScaleTarget>>);

impl FromIterator<ScaleTarget> for Autoscaled {
    fn from_iter<I: IntoIterator<Item = ScaleTarget>>(targets: I) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<ScaleTarget>> = HashMap::new();
        for target in targets {
            by_name.entry(target.name.clone()).or_default().push(target);
        }
        // Two sets are equal whatever the order in which they were filled.
        for same_name in by_name.values_mut() {
            same_name.sort_unstable();
            same_name.dedup();
        }
        Self(by_name)
    }
}

impl Autoscaled {
    /// Whether an autoscaler scales this object.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        let Some(namespace) = &key.namespace else {
            return false;
        };
        self.0.get(&*key.name).is_some_and(|same_name| {
            same_name.iter().any(|target| {
                *target.group == *key.api_type.group
                    && *target.kind == *key.api_type.kind
                    && *target.namespace == **namespace
            })
        })
    }
}

/// Whether objects of this type scale others.
pub fn is_autoscaler(group: &str, resource: &str) -> bool {
    matches!(
        (group, resource),
        ("autoscaling", "horizontalpodautoscalers") | ("keda.sh", "scaledobjects")
    )
}

/// The workload that an autoscaler scales; `None` for every other object.
///
/// `object` is a live object or a file of the mirror. KEDA's own defaults apply
/// (<https://keda.sh/docs/latest/reference/scaledobject-spec/#scaletargetref>).
pub fn scale_target(key: &ObjectKey, object: &Value) -> Option<ScaleTarget> {
    if !is_autoscaler(&key.api_type.group, &key.api_type.resource) {
        return None;
    }
    let target = object.get("spec")?.get("scaleTargetRef")?;
    let text = |field: &str| target.get(field).and_then(Value::as_str);
    let (default_kind, default_version) = match &*key.api_type.group {
        "keda.sh" => (Some("Deployment"), "apps/v1"),
        _ => (None, ""),
    };
    let version = text("apiVersion").unwrap_or(default_version);
    Some(ScaleTarget {
        group: version
            .split_once('/')
            .map_or("", |(group, _)| group)
            .into(),
        kind: text("kind").or(default_kind)?.into(),
        namespace: (**key.namespace.as_ref()?).into(),
        name: text("name")?.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::object::ApiType;

    fn key(group: &str, kind: &str, resource: &str, name: &str) -> ObjectKey {
        ObjectKey {
            api_type: Arc::new(ApiType {
                group: group.into(),
                version: "v1".into(),
                resource: resource.into(),
                kind: kind.into(),
                namespaced: true,
            }),
            namespace: Some("shop".into()),
            name: name.into(),
        }
    }

    #[test]
    fn an_autoscaler_names_its_workload() {
        let hpa = key(
            "autoscaling",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "web",
        );
        let object = json!({"spec": {"scaleTargetRef":
            {"apiVersion": "apps/v1beta1", "kind": "Deployment", "name": "web"}}});
        let autoscaled: Autoscaled = scale_target(&hpa, &object).into_iter().collect();
        assert!(autoscaled.contains(&key("apps", "Deployment", "deployments", "web")));
        assert!(!autoscaled.contains(&key("apps", "Deployment", "deployments", "api")));
        assert!(!autoscaled.contains(&key("apps", "StatefulSet", "statefulsets", "web")));

        let keda = key("keda.sh", "ScaledObject", "scaledobjects", "web");
        let object = json!({"spec": {"scaleTargetRef": {"name": "web"}}});
        let autoscaled: Autoscaled = scale_target(&keda, &object).into_iter().collect();
        assert!(autoscaled.contains(&key("apps", "Deployment", "deployments", "web")));

        let other = key("apps", "Deployment", "deployments", "web");
        assert_eq!(scale_target(&other, &object), None);
    }
}
