//! What every cluster has, and what this one's administrators added.

use serde_json::{Value, json};

use super::meta;
use crate::simulator::{Simulator, WriteError};

/// Objects that belong to no team.
pub(super) fn build(simulator: &Simulator) -> Result<(), WriteError> {
    for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        in_each_namespace(simulator, namespace)?;
    }
    let by_the_server = [
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "default", "name": "kubernetes",
                "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.96.0.1", "sessionAffinity": "None",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            },
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"namespace": "default", "name": "kubernetes",
                "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.10"]}],
            "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
        }),
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": meta("kube-system", "kube-controller-manager"),
            "spec": {"holderIdentity": "control-1", "leaseDurationSeconds": 15},
        }),
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": "system-cluster-critical"}, "value": 2_000_000_000,
            "preemptionPolicy": "PreemptLowerPriority",
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:discovery",
                "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
                "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
            "rules": [{"nonResourceURLs": ["/api", "/apis", "/version"], "verbs": ["get"]}],
        }),
    ];
    for object in by_the_server {
        simulator.apply("kube-apiserver", object)?;
    }
    for object in by_administrators() {
        simulator.apply("kubectl-create", object)?;
    }
    Ok(())
}

fn by_administrators() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    vec![
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("kube-system", "coredns"),
            "data": {"Corefile": ".:53 {\n    errors\n    health\n    kubernetes cluster.local\n    cache 30\n}\n"},
        }),
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "fast",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "disk.example.com", "reclaimPolicy": "Delete",
            "allowVolumeExpansion": true, "volumeBindingMode": "WaitForFirstConsumer",
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": {"name": "public"}, "spec": {"controller": "example.com/ingress"},
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": {"name": "shop:viewer"},
            "rules": [{
                "apiGroups": ["", "apps"], "resources": ["pods", "services", "deployments"],
                "verbs": ["get", "list", "watch"],
            }],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding",
            "metadata": {"name": "shop:viewer"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "shop:viewer"},
            "subjects": [{"apiGroup": rbac, "kind": "Group", "name": "shop-team"}],
        }),
    ]
}

/// A namespace, with what the controllers put into each, and the right to deploy to it.
pub(super) fn namespace(simulator: &Simulator, name: &str) -> Result<(), WriteError> {
    let rbac = "rbac.authorization.k8s.io";
    simulator.apply(
        "kubectl-create",
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {
                "team": name, "pod-security.kubernetes.io/enforce": "baseline",
            }},
        }),
    )?;
    in_each_namespace(simulator, name)?;
    for object in [
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": meta(name, "deployer"),
            "rules": [{"apiGroups": ["", "apps", "networking.k8s.io"], "resources": ["*"], "verbs": ["*"]}],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
            "metadata": meta(name, "deployer"),
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "deployer"},
            "subjects": [{"apiGroup": rbac, "kind": "Group", "name": format!("{name}-team")}],
        }),
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta(name, "team"),
            "spec": {"hard": {"pods": "60", "requests.memory": "64Gi"}},
        }),
    ] {
        simulator.apply("kubectl-create", object)?;
    }
    Ok(())
}

fn in_each_namespace(simulator: &Simulator, name: &str) -> Result<(), WriteError> {
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name, "default")}),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": name, "name": "kube-root-ca.crt", "annotations": {
                "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver",
            }},
            "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"},
        }),
    ] {
        simulator.apply("kube-controller-manager", object)?;
    }
    Ok(())
}
