//! Generated load: as many objects of as many types as a measurement wants, always the same ones.
//!
//! An object is about 2.5 KB of JSON, half of it `managedFields`, like the average of a real cluster.

use serde_json::{Value, json};

use super::{Simulator, WriteError};
use crate::object::ObjectKey;

/// How much there is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Number of objects, namespaces and CRDs apart.
    pub objects: usize,
    /// Number of types that they are spread over: first built-in ones, then custom resources.
    pub types: usize,
}

const GROUP: &str = "load.example.com";
/// Objects per namespace.
const PER_NAMESPACE: usize = 1_000;
const BUILT_IN: [(&str, &str, &str); 7] = [
    ("v1", "ConfigMap", "configmaps"),
    ("apps/v1", "Deployment", "deployments.apps"),
    ("v1", "Secret", "secrets"),
    ("v1", "Service", "services"),
    ("apps/v1", "StatefulSet", "statefulsets.apps"),
    ("apps/v1", "DaemonSet", "daemonsets.apps"),
    ("batch/v1", "CronJob", "cronjobs.batch"),
];
const MANAGER: &str = "load-deployer";

impl Load {
    /// Creates the namespaces, the CRDs and the objects.
    pub fn fill(&self, simulator: &Simulator) -> Result<(), WriteError> {
        for number in 0..self.objects.div_ceil(PER_NAMESPACE) {
            let name = namespace(number * PER_NAMESPACE);
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            });
            simulator.apply(MANAGER, object)?;
        }
        for number in BUILT_IN.len()..self.types {
            simulator.apply(MANAGER, definition(number))?;
        }
        for index in 0..self.objects {
            simulator.apply(MANAGER, self.object(index))?;
        }
        Ok(())
    }

    /// The key of the object of that number, counted from 0.
    pub fn key(&self, simulator: &Simulator, index: usize) -> Result<ObjectKey, WriteError> {
        let number = index % self.types;
        let resource = match BUILT_IN.get(number) {
            Some((_, _, resource)) => (*resource).to_owned(),
            None => format!("kind{number}s.{GROUP}"),
        };
        simulator.key(&resource, Some(&namespace(index)), &name(index))
    }

    /// Changes a label of `count` objects, evenly spread; another `round` gives another value.
    pub fn change(
        &self,
        simulator: &Simulator,
        count: usize,
        round: u64,
    ) -> Result<(), WriteError> {
        let count = count.min(self.objects);
        for number in 0..count {
            let key = self.key(simulator, number * self.objects / count)?;
            simulator.update(&key, "load-changer", |object| {
                object["metadata"]["labels"]["round"] = round.to_string().into();
            })?;
        }
        Ok(())
    }

    fn object(&self, index: usize) -> Value {
        let number = index % self.types;
        let (api_version, kind) = match BUILT_IN.get(number) {
            Some((api_version, kind, _)) => ((*api_version).to_owned(), (*kind).to_owned()),
            None => (format!("{GROUP}/v1"), format!("Kind{number}")),
        };
        let name = name(index);
        let mut object = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {
                "namespace": namespace(index), "name": name,
                "labels": {
                    "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "load",
                    "app.kubernetes.io/version": format!("1.{}.{}", index % 17, index % 5),
                },
                "annotations": {"example.com/owner": format!("team-{}", index % 23)},
            },
        });
        match &*kind {
            "ConfigMap" => object["data"] = data(index, 12, ""),
            // Base64 as it stands: letters and digits, their number divisible by four.
            "Secret" => object["data"] = data(index, 12, "c2VjcmV0"),
            "Service" => {
                object["spec"] = json!({
                    "type": "ClusterIP", "selector": {"app": name}, "sessionAffinity": "None",
                    "ports": (0..9).map(|port| json!({
                        "name": format!("port-{port}"), "port": 8_000 + port, "protocol": "TCP",
                        "targetPort": 9_000 + port,
                    })).collect::<Vec<_>>(),
                });
            }
            "CronJob" => {
                object["spec"] = json!({
                    "schedule": format!("{} * * * *", index % 60), "suspend": false,
                    "jobTemplate": {"spec": {"template": pod_template(&name, index)}},
                });
            }
            "Deployment" | "StatefulSet" | "DaemonSet" => {
                object["spec"] = json!({
                    "selector": {"matchLabels": {"app": name}},
                    "template": pod_template(&name, index),
                });
            }
            _ => {
                object["spec"] = json!({
                    "template": pod_template(&name, index), "enabled": index.is_multiple_of(2),
                    "interval": format!("{}s", 10 + index % 50),
                });
            }
        }
        object
    }
}

fn namespace(index: usize) -> String {
    format!("load-{:04}", index / PER_NAMESPACE)
}

fn name(index: usize) -> String {
    format!("object-{index:07}")
}

fn data(index: usize, keys: usize, value: &str) -> Value {
    (0..keys)
        .map(|key| {
            let text = format!("{value}{:08}{:08}{:08}", index, key, index * 31 + key);
            (format!("setting-{key:02}"), text.repeat(3).into())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn pod_template(name: &str, index: usize) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {
            "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
            "containers": [{
                "name": "main", "image": format!("registry.example.com/load/app:{index}"),
                "args": ["--serve", "--verbosity=2"],
                "env": (0..6).map(|number| json!({
                    "name": format!("SETTING_{number}"), "value": format!("value-{index}-{number}"),
                })).collect::<Vec<_>>(),
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"},
                },
                "volumeMounts": [{"name": "config", "mountPath": "/etc/app", "readOnly": true}],
            }],
            "volumes": [{"name": "config", "configMap": {"name": format!("{name}-config")}}],
        },
    })
}

fn definition(number: usize) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("kind{number}s.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "conversion": {"strategy": "None"},
            "names": {
                "kind": format!("Kind{number}"), "listKind": format!("Kind{number}List"),
                "plural": format!("kind{number}s"), "singular": format!("kind{number}"),
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}
