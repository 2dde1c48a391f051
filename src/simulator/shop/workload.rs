//! Deployments, and what the controllers of the cluster make of them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Deployer, meta, owned_by, with_metadata};
use crate::simulator::{Simulator, WriteError, Writer};

const CONTROLLER: &str = "kube-controller-manager";

/// One Deployment with what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) namespace: &'static str,
    pub(super) deployer: Deployer,
    pub(super) name: &'static str,
    pub(super) replicas: u64,
    pub(super) version: String,
    pub(super) port: u64,
}

impl Workload {
    pub(super) fn image(&self, version: &str) -> String {
        let Self {
            namespace, name, ..
        } = self;
        format!("registry.example.com/{namespace}/{name}:{version}")
    }

    /// Brings the workload into the cluster and lets the controllers react.
    pub(super) fn deploy(&self, simulator: &Simulator) -> Result<(), WriteError> {
        let Self {
            namespace,
            name,
            port,
            ..
        } = self;
        let labels = json!({"app": name, "app.kubernetes.io/part-of": namespace});
        let metadata = || json!({"namespace": namespace, "name": name, "labels": labels});
        let objects = [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata()}),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"namespace": namespace, "name": format!("{name}-config"), "labels": labels},
                "data": {
                    "LOG_LEVEL": "info",
                    "application.yaml": format!(
                        "server:\n  port: {port}\n  name: {name}\ntelemetry:\n  enabled: yes\n"
                    ),
                },
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata(),
                "spec": {
                    "type": "ClusterIP", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
                    "selector": {"app": name},
                    "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": "http"}],
                },
            }),
            self.deployment(),
        ];
        for object in objects {
            self.deployer.deploy(simulator, object)?;
        }
        self.endpoint_slice(simulator)?;
        settle(simulator, namespace, name)
    }

    fn deployment(&self) -> Value {
        let Self {
            namespace,
            name,
            port,
            replicas,
            version,
            ..
        } = self;
        let labels = json!({"app": name, "app.kubernetes.io/part-of": namespace});
        let probe = |path: &str| {
            json!({
                "httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, "failureThreshold": 3,
                "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
            })
        };
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {
                "replicas": replicas,
                "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
                "selector": {"matchLabels": {"app": name}},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
                },
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": name, "serviceAccount": name,
                        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
                        "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
                        "securityContext": {"runAsNonRoot": true},
                        "containers": [{
                            "name": name, "image": self.image(version),
                            "imagePullPolicy": "IfNotPresent",
                            "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
                            "env": [
                                {"name": "LOG_LEVEL", "valueFrom": {"configMapKeyRef": {
                                    "name": format!("{name}-config"), "key": "LOG_LEVEL",
                                }}},
                                {"name": "REGION", "value": "eu-1"},
                            ],
                            "resources": {
                                "requests": {"cpu": "100m", "memory": "128Mi"},
                                "limits": {"memory": "256Mi"},
                            },
                            "livenessProbe": probe("/livez"), "readinessProbe": probe("/readyz"),
                            "terminationMessagePath": "/dev/termination-log",
                            "terminationMessagePolicy": "File",
                        }],
                    },
                },
            },
        })
    }

    /// What the endpoint slice controller derives from the Service.
    fn endpoint_slice(&self, simulator: &Simulator) -> Result<(), WriteError> {
        let service = simulator.key("services", Some(self.namespace), self.name)?;
        let owner = simulator.get(&service).unwrap_or_default();
        let name = format!("{}-{}", self.name, suffix(&[self.namespace, self.name], 5));
        let object = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "namespace": self.namespace, "name": name, "ownerReferences": owned_by(&owner),
                "labels": {
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                    "kubernetes.io/service-name": self.name,
                },
            },
            "addressType": "IPv4", "endpoints": [],
            "ports": [{"name": "http", "port": self.port, "protocol": "TCP"}],
        });
        simulator.apply(CONTROLLER, object)?;
        Ok(())
    }
}

/// What the controllers and the kubelet do after a Deployment changed: a `ReplicaSet` per template,
/// as many Pods as asked for, and statuses.
pub(super) fn settle(simulator: &Simulator, namespace: &str, name: &str) -> Result<(), WriteError> {
    let key = simulator.key("deployments.apps", Some(namespace), name)?;
    let Some(deployment) = simulator.get(&key) else {
        return Err(WriteError::NoSuchObject { key });
    };
    let replicas = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let template = deployment["spec"]["template"].clone();
    let hash = suffix(&[namespace, name, &template.to_string()], 10);
    let current = format!("{name}-{hash}");

    // The other ReplicaSets of this Deployment go down to zero.
    let mut revisions = 0;
    for object in simulator.objects_of("replicasets.apps")? {
        let owner = &object["metadata"]["ownerReferences"][0]["uid"];
        if *owner != deployment["metadata"]["uid"] {
            continue;
        }
        revisions += 1;
        let other = object["metadata"]["name"].as_str().unwrap_or_default();
        if other != current {
            scale_replica_set(simulator, namespace, other, 0)?;
        }
    }
    let replica_set = simulator.key("replicasets.apps", Some(namespace), &current)?;
    if simulator.get(&replica_set).is_none() {
        revisions += 1;
        simulator.apply(
            CONTROLLER,
            new_replica_set(&deployment, &current, &hash, template),
        )?;
        let number: u64 = revisions;
        simulator.update(&key, CONTROLLER, |object| {
            object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                number.to_string().into();
        })?;
    }
    scale_replica_set(simulator, namespace, &current, replicas)?;
    let status = Writer::update(CONTROLLER);
    simulator.update_status(&key, status, |object| {
        object["status"] = json!({
            "observedGeneration": object["metadata"]["generation"],
            "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
            ],
        });
    })?;
    Ok(())
}

fn new_replica_set(deployment: &Value, name: &str, hash: &str, template: Value) -> Value {
    let mut template = template;
    template["metadata"]["labels"]["pod-template-hash"] = hash.into();
    let selector = json!({"matchLabels": template["metadata"]["labels"]});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "namespace": deployment["metadata"]["namespace"], "name": name,
            "labels": template["metadata"]["labels"],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    });
    with_metadata(object, json!({"ownerReferences": owned_by(deployment)}))
}

/// Makes or removes Pods until a `ReplicaSet` has as many as it should.
fn scale_replica_set(
    simulator: &Simulator,
    namespace: &str,
    name: &str,
    replicas: u64,
) -> Result<(), WriteError> {
    let key = simulator.key("replicasets.apps", Some(namespace), name)?;
    simulator.update(&key, CONTROLLER, |object| {
        object["spec"]["replicas"] = replicas.into();
    })?;
    let replica_set = simulator.get(&key).unwrap_or_default();
    // No Deployment of the shop is ever scaled beyond this.
    for index in 0..32_u64 {
        let pod_name = format!("{name}-{}", suffix(&[name, &index.to_string()], 5));
        let pod = simulator.key("pods", Some(namespace), &pod_name)?;
        match (simulator.get(&pod).is_some(), index < replicas) {
            (true, false) => {
                simulator.delete(&pod)?;
            }
            (false, true) => {
                simulator.apply(CONTROLLER, new_pod(&replica_set, &pod_name))?;
                simulator.update_status(&pod, "kubelet", |object| {
                    object["status"] = json!({
                        "phase": "Running", "qosClass": "Burstable",
                        "podIP": format!("10.244.{}.{}", index, 10 + pod_name.len()),
                        "conditions": [{"type": "Ready", "status": "True"}],
                    });
                })?;
            }
            _ => {}
        }
    }
    simulator.update_status(&key, CONTROLLER, |object| {
        object["status"] = json!({
            "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
            "observedGeneration": object["metadata"]["generation"],
        });
    })?;
    Ok(())
}

fn new_pod(replica_set: &Value, name: &str) -> Value {
    let template = &replica_set["spec"]["template"];
    let namespace = replica_set["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default();
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": meta(namespace, name),
        "spec": template["spec"],
    });
    let more = json!({
        "labels": template["metadata"]["labels"], "ownerReferences": owned_by(replica_set),
    });
    with_metadata(object, more)
}

/// A name's ending as Kubernetes makes them, from what it is derived from.
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.0/staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go>
pub(super) fn suffix(from: &[&str], length: usize) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = Sha256::new();
    for part in from {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(length)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}
