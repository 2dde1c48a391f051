//! Small schemas; the real server judges the tables and the code in `tests/drift_defaults`.

use serde_json::{Value, json};

use super::Tables;
use crate::drift::schema::{Schemas, from_crd, from_openapi};

#[test]
fn each_minor_version_has_its_table() {
    for minor in [34, 35, 36] {
        let tables = Tables::of(minor);
        assert_eq!(tables.minor(), minor);
        assert!(tables.omits_zero("io.k8s.api.core.v1.PodSpec", "hostNetwork"));
        assert!(!tables.omits_zero("io.k8s.api.apps.v1.DeploymentSpec", "replicas"));
        let port = "io.k8s.api.core.v1.ServicePort";
        assert_eq!(tables.default(port, "protocol"), Some(&json!("TCP")));
        assert_eq!(tables.default(port, "targetPort"), None, "of the port");
    }
    assert_eq!(Tables::of(7).minor(), 34);
    assert_eq!(Tables::of(99).minor(), 36);
}

#[test]
fn versions_differ() {
    let spec = "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicySpec";
    assert_eq!(Tables::of(35).default(spec, "failurePolicy"), None);
    assert_eq!(
        Tables::of(36).default(spec, "failurePolicy"),
        Some(&json!("Fail"))
    );
}

fn crd(schema: &Value) -> Schemas {
    from_crd(&json!({"spec": {
        "group": "example.org", "names": {"kind": "Thing"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": schema},
        }}}],
    }}))
}

fn stored(schema: &Value, spec: &Value) -> Value {
    let schemas = crd(schema);
    let node = schemas.kind("example.org", "v1", "Thing");
    let thing = json!({"apiVersion": "example.org/v1", "kind": "Thing", "spec": spec});
    let before = thing.clone();
    let mut stored = Tables::of(36).defaulted(&thing, node);
    assert_eq!(thing, before);
    stored["spec"].take()
}

/// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting-and-nullable>
#[test]
fn nulls_of_custom_resources_are_defaults_values_or_nothing() {
    let schema = json!({"type": "object", "properties": {
        "foo": {"type": "string", "nullable": false, "default": "default"},
        "bar": {"type": "string", "nullable": true},
        "baz": {"type": "string"},
        "both": {"type": "string", "nullable": true, "default": "default"},
    }});
    let nulls = json!({"foo": null, "bar": null, "baz": null, "both": null});
    let stored = stored(&schema, &nulls);
    assert_eq!(stored, json!({"foo": "default", "bar": null, "both": null}));
}

#[test]
fn defaults_of_custom_resources_enter_what_exists() {
    let schema = json!({"type": "object", "properties": {
        "plain": {"type": "object", "properties": {"a": {"type": "integer", "default": 7}}},
        "made": {"type": "object", "default": {}, "properties": {"a": {"type": "integer", "default": 7}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer", "default": 7}}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer", "default": 7}}}},
        "names": {"type": "array", "items": {"type": "string", "default": "x"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    assert_eq!(stored(&schema, &json!({})), json!({"made": {"a": 7}}));
    let spec = json!({
        "plain": {}, "list": [{}, {"a": 1}], "map": {"k": {}}, "names": [null, "y"],
        "free": {"null": null, "deep": {"null": null}}, "unknown": 1,
    });
    let expected = json!({
        "plain": {"a": 7}, "made": {"a": 7}, "list": [{"a": 7}, {"a": 1}], "map": {"k": {"a": 7}},
        "names": ["x", "y"], "free": {"null": null, "deep": {"null": null}}, "unknown": 1,
    });
    assert_eq!(stored(&schema, &spec), expected);
    let explicit = json!({"made": {"a": 0}, "names": []});
    assert_eq!(stored(&schema, &explicit), explicit);
}

#[test]
fn without_a_schema_only_nulls_go() {
    let object = json!({"kind": "Thing", "spec": {"a": null, "b": [{"c": null}], "d": {}}});
    let stored = Tables::of(36).defaulted(&object, None);
    assert_eq!(
        stored,
        json!({"kind": "Thing", "spec": {"b": [{}], "d": {}}})
    );
}

#[test]
fn what_is_said_stays_unless_it_means_the_default() {
    let reference =
        |name: &str| json!({"$ref": format!("#/components/schemas/io.k8s.api.core.v1.{name}")});
    let kind = json!({"group": "", "version": "v1", "kind": "Service"});
    let document = json!({
        "paths": {"/api/v1/services": {"get": {
            "x-kubernetes-action": "list", "x-kubernetes-group-version-kind": kind}}},
        "components": {"schemas": {
            "io.k8s.api.core.v1.Service": {
                "properties": {
                    "metadata": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
                    "spec": reference("ServiceSpec"),
                },
                "x-kubernetes-group-version-kind": [kind],
            },
            "io.k8s.api.core.v1.ServiceSpec": {"properties": {
                "type": {"type": "string"},
                "ports": {"type": "array", "items": reference("ServicePort")},
                "loadBalancerSourceRanges": {"type": "array", "items": {"type": "string"}},
            }},
            "io.k8s.api.core.v1.ServicePort": {"properties": {
                "port": {"type": "integer", "default": 0},
                "name": {"type": "string"},
                "protocol": {"type": "string", "default": "TCP"},
                "targetPort": {"format": "int-or-string"},
            }},
        }},
    });
    let schemas = from_openapi(document.to_string().as_bytes()).expect("a document");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "labels": null},
        "spec": {"type": "", "sessionAffinity": "ClientIP", "loadBalancerSourceRanges": [null, "a"], "ports": [
            {"port": 80, "name": null}, {"port": 1, "targetPort": "http", "protocol": "UDP"}, "odd",
        ]},
    });
    let node = schemas.kind("", "v1", "Service");
    let stored = Tables::of(36).defaulted(&service, node);
    assert_eq!(
        stored["spec"],
        json!({
            "type": "ClusterIP", "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10_800}},
            "internalTrafficPolicy": "Cluster", "ipFamilyPolicy": "SingleStack",
            "loadBalancerSourceRanges": ["", "a"],
            "ports": [
                {"port": 80, "protocol": "TCP", "targetPort": 80},
                {"port": 1, "targetPort": "http", "protocol": "UDP"},
                "odd",
            ],
        })
    );
}
