//! A custom resource, `Database`, and the operator that turns it into objects which it owns.

use serde_json::json;

use super::{Deployer, base64, letters, meta, owned_by, with_metadata};
use crate::simulator::{Simulator, WriteError};

const OPERATOR: &str = "database-operator";
const GROUP: &str = "data.example.com";

pub(super) fn install_operator(simulator: &Simulator) -> Result<(), WriteError> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("databases.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "conversion": {"strategy": "None"},
            "names": {
                "kind": "Database", "listKind": "DatabaseList", "plural": "databases",
                "singular": "database", "shortNames": ["db"], "categories": ["all"],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {
                        "spec": {
                            "type": "object", "required": ["engine", "instances"],
                            "properties": {
                                "engine": {"type": "string", "enum": ["postgres", "mysql"]},
                                "version": {"type": "string"},
                                "instances": {"type": "integer", "minimum": 1, "maximum": 7},
                                "storage": {"type": "string"},
                                "parameters": {
                                    "type": "object", "additionalProperties": {"type": "string"},
                                },
                            },
                        },
                        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                }},
            }],
        },
    });
    Deployer::Kubectl.deploy(simulator, definition)?;
    Ok(())
}

/// A team orders a database; the operator makes what belongs to it.
pub(super) fn order_database(
    simulator: &Simulator,
    namespace: &str,
    name: &str,
    instances: u64,
) -> Result<(), WriteError> {
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Database", "metadata": meta(namespace, name),
        "spec": {
            "engine": "postgres", "version": "17", "instances": instances, "storage": "20Gi",
            "parameters": {"max_connections": "200", "ssl": "on"},
        },
    });
    Deployer::Kubectl.deploy(simulator, object)?;
    let key = simulator.key(&format!("databases.{GROUP}"), Some(namespace), name)?;
    let owner = simulator.get(&key).unwrap_or_default();
    // The operator draws its passwords from what makes the database unique.
    let uid = owner["metadata"]["uid"].as_str().unwrap_or_default();
    let seed = uid
        .bytes()
        .fold(0_u64, |sum, byte| sum.rotate_left(7) ^ u64::from(byte));
    let password = letters(&mut fastrand::Rng::with_seed(seed), 32);
    let full = format!("{name}-db");
    let labels = json!({"app": full, "data.example.com/database": name});
    let parts = [
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": meta(namespace, &format!("{full}-credentials")),
            "data": {"username": base64(name), "password": base64(&password)},
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": meta(namespace, &format!("{full}-parameters")),
            "data": {"postgresql.conf": "max_connections = 200\nssl = on\n"},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta(namespace, &full),
            "spec": {
                "type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "None",
                "selector": {"app": full},
                "ports": [{"name": "sql", "port": 5432, "protocol": "TCP", "targetPort": 5432}],
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta(namespace, &full),
            "spec": {
                "replicas": instances, "serviceName": full, "podManagementPolicy": "OrderedReady",
                "selector": {"matchLabels": {"app": full}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{
                        "name": "postgres", "image": "registry.example.com/data/postgres:17.2",
                        "ports": [{"name": "sql", "containerPort": 5432, "protocol": "TCP"}],
                    }]},
                },
            },
        }),
    ];
    for object in parts {
        let more = json!({"labels": labels, "ownerReferences": owned_by(&owner)});
        simulator.apply(OPERATOR, with_metadata(object, more))?;
    }
    // Claims outlive their StatefulSet: nobody owns them.
    for index in 0..instances {
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"namespace": namespace, "name": format!("data-{full}-{index}"), "labels": labels},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeMode": "Filesystem",
                "resources": {"requests": {"storage": "20Gi"}},
            },
        });
        simulator.apply("kube-controller-manager", claim)?;
    }
    simulator.update_status(&key, OPERATOR, |object| {
        object["status"] = json!({
            "phase": "Ready", "readyInstances": instances,
            "endpoint": format!("{full}.{namespace}.svc:5432"),
        });
    })?;
    Ok(())
}
