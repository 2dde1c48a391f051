//! Defaults that depend on what else is live.

use serde_json::Value;

use super::{Difference, Relation};
use crate::drift::defaults::Tables;
use crate::drift::schema::Node;
use crate::object::Step;

/// Marks what only live has and the server would set beside all else that is live: somebody adds
/// `sessionAffinity: ClientIP` to a Service, and `sessionAffinityConfig` comes along, which is no
/// default of the Service that is desired.
///
/// `may_be` says of which places that is asked, such as those that nobody owns. They are taken out
/// together, elements of lists aside: the server adds none.
pub(in crate::drift) fn mark_implied(
    differences: &mut [Difference],
    live: &Value,
    schema: Option<Node<'_>>,
    tables: Tables,
    may_be: impl Fn(&Difference) -> bool,
) {
    let mut asked: Vec<_> = differences
        .iter_mut()
        .filter(|one| one.relation == Relation::LiveOnly && !one.is_default)
        .filter(|one| matches!(one.live_at.last(), Some(Step::Key(_))) && may_be(one))
        .collect();
    if asked.is_empty() {
        return;
    }
    let mut without = live.clone();
    for difference in &asked {
        take_out(&mut without, &difference.live_at);
    }
    let defaulted = tables.defaulted(&without, schema);
    for difference in &mut asked {
        let set = at(&defaulted, &difference.live_at);
        difference.is_default = set.is_some() && set == difference.live.as_ref();
    }
}

/// Takes out a field, and the objects around it that are empty then.
fn take_out(value: &mut Value, place: &[Step]) {
    match (place, value) {
        ([Step::Key(key)], Value::Object(fields)) => {
            fields.remove(&**key);
        }
        ([Step::Key(key), rest @ ..], Value::Object(fields)) => {
            let Some(below) = fields.get_mut(&**key) else {
                return;
            };
            take_out(below, rest);
            if below.as_object().is_some_and(serde_json::Map::is_empty) {
                fields.remove(&**key);
            }
        }
        ([Step::Index(index), rest @ ..], Value::Array(list)) => {
            if let Some(below) = list.get_mut(*index) {
                take_out(below, rest);
            }
        }
        _ => {}
    }
}

fn at<'v>(value: &'v Value, place: &[Step]) -> Option<&'v Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_object()?.get(&**key),
        Step::Index(index) => value.as_array()?.get(*index),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Sides, compare};
    use super::*;
    use crate::drift::schema::from_openapi;

    #[test]
    fn what_comes_along_with_an_addition_is_a_default() {
        let reference =
            |name: &str| json!({"$ref": format!("#/components/schemas/io.k8s.api.core.v1.{name}")});
        let kind = json!({"group": "", "version": "v1", "kind": "Service"});
        let paths = json!({"/api/v1/services": {"get": {
            "x-kubernetes-action": "list", "x-kubernetes-group-version-kind": kind}}});
        let document = json!({"paths": paths, "components": {"schemas": {
            "io.k8s.api.core.v1.Service": {
                "x-kubernetes-group-version-kind": [kind],
                "properties": {"spec": reference("ServiceSpec"), "metadata": {"$ref":
                    "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}}},
            "io.k8s.api.core.v1.ServiceSpec": {"properties": {
                "type": {"type": "string"}, "sessionAffinity": {"type": "string"},
                "internalTrafficPolicy": {"type": "string"}, "ipFamilyPolicy": {"type": "string"},
                "sessionAffinityConfig": reference("SessionAffinityConfig")}},
            "io.k8s.api.core.v1.SessionAffinityConfig": {
                "properties": {"clientIP": reference("ClientIPConfig")}},
            "io.k8s.api.core.v1.ClientIPConfig": {
                "properties": {"timeoutSeconds": {"type": "integer"}}},
        }}});
        let schemas = from_openapi(document.to_string().as_bytes()).unwrap();
        let node = schemas.kind("", "v1", "Service");
        assert!(node.is_some());
        let tables = Tables::of(36);
        let desired = json!({"spec": {"type": "ClusterIP"}});
        let implied = |affinity: &str, seconds: u64, may_be: fn(&Difference) -> bool| {
            let mut live = tables.defaulted(&desired, node);
            live["spec"]["sessionAffinity"] = affinity.into();
            live["spec"]["sessionAffinityConfig"] =
                json!({"clientIP": {"timeoutSeconds": seconds}});
            let mut found = compare(Sides {
                desired: &desired,
                live: &live,
                schema: node,
                tables: &tables,
            });
            mark_implied(&mut found, &live, node, tables, may_be);
            let implied = found.iter().filter(|one| one.is_default);
            let implied = implied.map(|one| one.path.to_string()).collect::<Vec<_>>();
            (found.len(), implied)
        };
        let comes_along: fn(&Difference) -> bool = |one| one.path.to_string().contains("Config");
        let timeout = "spec.sessionAffinityConfig.clientIP.timeoutSeconds".to_owned();
        assert_eq!(implied("ClientIP", 10_800, comes_along), (2, vec![timeout]));
        assert_eq!(implied("ClientIP", 10_801, comes_along), (2, vec![]));
        assert_eq!(implied("Other", 10_800, comes_along), (2, vec![]));
        // Without either, nothing says that the other was set.
        assert_eq!(implied("ClientIP", 10_800, |_| true), (2, vec![]));
        assert_eq!(implied("ClientIP", 10_800, |_| false), (2, vec![]));
    }
}
