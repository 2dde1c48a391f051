//! Objects made by hand: every built-in kind as bare as the server takes it, and one for each
//! branch of the defaults that depend on other fields.

#![allow(
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "tables of objects, made of temporary values"
)]

use serde_json::{Value, json};

fn object(api_version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": { "name": name, "creationTimestamp": null },
    });
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    object
}

fn spec(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    object(api_version, kind, name, json!({ "spec": spec }))
}

/// The template of a Pod with these containers' worth of `spec`.
fn template(spec: Value) -> Value {
    let mut pod = json!({ "containers": [{ "name": "c", "image": "nginx" }] });
    if let (Value::Object(pod), Value::Object(spec)) = (&mut pod, spec) {
        pod.extend(spec);
    }
    json!({ "metadata": { "labels": { "a": "b" } }, "spec": pod })
}

fn workload(kind: &str, name: &str, more: Value) -> Value {
    let mut own = json!({
        "selector": { "matchLabels": { "a": "b" } },
        "template": template(json!({})),
    });
    if let (Value::Object(own), Value::Object(more)) = (&mut own, more) {
        own.extend(more);
    }
    spec("apps/v1", kind, name, own)
}

pub(crate) fn all() -> Vec<Value> {
    let mut all = pods();
    all.extend(workloads());
    all.extend(services());
    all.extend(policies());
    all.extend(storage());
    all.extend(extensions());
    all
}

fn pods() -> Vec<Value> {
    let probe = json!({ "httpGet": { "port": 80 } });
    let full = json!({
        "serviceAccountName": "default",
        "initContainers": [{
            "name": "i", "image": "a/b:latest", "restartPolicy": "Always",
            "startupProbe": { "grpc": { "port": 1 }, "periodSeconds": 0, "timeoutSeconds": 7 },
        }],
        "containers": [
            { "name": "a", "image": "nginx:latest", "livenessProbe": probe,
              "readinessProbe": { "tcpSocket": { "port": "http" }, "failureThreshold": 0 },
              "ports": [{ "containerPort": 80 }, { "containerPort": 53, "protocol": "UDP", "name": "" }],
              "env": [
                { "name": "E" }, { "name": "F", "value": "" },
                { "name": "N", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "R", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } },
                { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
              ],
              "lifecycle": { "preStop": { "httpGet": { "port": 1, "path": "" } } },
              "resources": { "limits": { "cpu": "0.0001", "memory": "1Gi" }, "requests": { "cpu": "50u" } },
              "securityContext": {}, "tty": false, "stdin": false, "command": [], "args": null,
            },
            { "name": "b", "image": "registry.example.org:5000/x/y" },
            { "name": "c", "image": "nginx:1.2", "imagePullPolicy": "" },
            { "name": "d", "image": "nginx@sha256:0123456789012345678901234567890123456789012345678901234567890123" },
        ],
        "volumes": [
            { "name": "none" },
            { "name": "empty", "emptyDir": {} },
            { "name": "null", "emptyDir": null },
            { "name": "secret", "secret": { "secretName": "s" } },
            { "name": "config", "configMap": { "name": "s", "optional": false } },
            { "name": "down", "downwardAPI": { "items": [{ "path": "p", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
            { "name": "projected", "projected": { "sources": [
                { "serviceAccountToken": { "path": "t" } },
                { "downwardAPI": { "items": [{ "path": "p", "resourceFieldRef": { "containerName": "a", "resource": "limits.cpu" } }] } },
            ] } },
            { "name": "host", "hostPath": { "path": "/x" } },
            { "name": "image", "image": { "reference": "a/b" } },
            { "name": "image-tag", "image": { "reference": "a/b:1" } },
            { "name": "claim", "ephemeral": { "volumeClaimTemplate": { "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } } } },
            { "name": "iscsi", "iscsi": { "targetPortal": "1.2.3.4", "iqn": "iqn.2015-02.example.com:test", "lun": 0 } },
            { "name": "rbd", "rbd": { "monitors": ["m"], "image": "i" } },
            { "name": "azure", "azureDisk": { "diskName": "d", "diskURI": "https://blob/u.vhd" } },
            { "name": "scale", "scaleIO": { "gateway": "g", "system": "s", "volumeName": "v", "secretRef": { "name": "s" } } },
        ],
        "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule" }],
        "affinity": {}, "hostNetwork": false, "nodeSelector": {},
    });
    vec![
        object(
            "v1",
            "PodTemplate",
            "full",
            json!({ "template": template(full.clone()) }),
        ),
        object(
            "v1",
            "PodTemplate",
            "host",
            json!({ "template": template(json!({
            "hostNetwork": true, "serviceAccount": "old",
            "containers": [{ "name": "a", "image": "a", "ports": [{ "containerPort": 80, "hostPort": 80 }] }],
        })) }),
        ),
        workload("Deployment", "full", json!({ "template": template(full) })),
        workload(
            "Deployment",
            "host",
            json!({ "template": template(json!({
            "hostNetwork": true,
            "containers": [{ "name": "a", "image": "a", "ports": [{ "containerPort": 80, "hostPort": 80 }] }],
        })) }),
        ),
    ]
}

fn workloads() -> Vec<Value> {
    let job = |name: &str, own: Value| {
        let mut all = json!({ "template": template(json!({ "restartPolicy": "Never" })) });
        if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
            all.extend(own);
        }
        spec("batch/v1", "Job", name, all)
    };
    let claim = json!([{
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    }]);
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
    let hpa = |version: &str, name: &str, own: Value| {
        let mut all = json!({ "scaleTargetRef": target, "maxReplicas": 3 });
        if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
            all.extend(own);
        }
        spec(version, "HorizontalPodAutoscaler", name, all)
    };
    let cron = json!({ "template": template(json!({ "restartPolicy": "Never" })) });
    vec![
        workload("Deployment", "bare", json!({})),
        workload(
            "Deployment",
            "zero",
            json!({ "replicas": 0, "minReadySeconds": 0, "paused": false }),
        ),
        workload(
            "Deployment",
            "recreate",
            json!({ "strategy": { "type": "Recreate" } }),
        ),
        workload(
            "Deployment",
            "surge",
            json!({ "strategy": { "rollingUpdate": { "maxSurge": 0 } } }),
        ),
        workload("Deployment", "empty", json!({ "strategy": {} })),
        workload("ReplicaSet", "bare", json!({})),
        workload("DaemonSet", "bare", json!({})),
        workload(
            "DaemonSet",
            "delete",
            json!({ "updateStrategy": { "type": "OnDelete" } }),
        ),
        workload(
            "DaemonSet",
            "rolling",
            json!({ "updateStrategy": { "type": "RollingUpdate" } }),
        ),
        workload("StatefulSet", "bare", json!({ "serviceName": "s" })),
        workload(
            "StatefulSet",
            "typed",
            json!({ "updateStrategy": { "type": "RollingUpdate" } }),
        ),
        workload(
            "StatefulSet",
            "delete",
            json!({ "updateStrategy": { "type": "OnDelete" } }),
        ),
        workload(
            "StatefulSet",
            "partition",
            json!({ "updateStrategy": { "rollingUpdate": { "partition": 2 } } }),
        ),
        workload(
            "StatefulSet",
            "unlisted",
            json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": {} } }),
        ),
        workload(
            "StatefulSet",
            "claims",
            json!({
                "volumeClaimTemplates": claim,
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete" },
            }),
        ),
        spec(
            "v1",
            "ReplicationController",
            "bare",
            json!({ "template": template(json!({})) }),
        ),
        object(
            "v1",
            "ReplicationController",
            "own",
            json!({
                "metadata": { "name": "own", "labels": { "own": "yes" } },
                "spec": { "selector": { "a": "b" }, "template": template(json!({})) },
            }),
        ),
        job("bare", json!({})),
        job("parallel", json!({ "parallelism": 3 })),
        job("completions", json!({ "completions": 3 })),
        job(
            "indexed",
            json!({ "completions": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1 }),
        ),
        job(
            "policy",
            json!({ "podFailurePolicy": { "rules": [
            { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] },
        ] } }),
        ),
        spec(
            "batch/v1",
            "CronJob",
            "bare",
            json!({ "schedule": "* * * * *", "jobTemplate": { "spec": cron } }),
        ),
        hpa("autoscaling/v2", "bare", json!({})),
        hpa(
            "autoscaling/v2",
            "up",
            json!({ "behavior": { "scaleUp": { "selectPolicy": "Min" } } }),
        ),
        hpa(
            "autoscaling/v2",
            "down",
            json!({ "behavior": { "scaleDown": { "stabilizationWindowSeconds": 60 } } }),
        ),
        hpa(
            "autoscaling/v2",
            "policies",
            json!({ "behavior": { "scaleUp": {
            "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 60 }] } } }),
        ),
        hpa("autoscaling/v2", "none", json!({ "behavior": {} })),
        hpa(
            "autoscaling/v2",
            "metrics",
            json!({ "metrics": [{ "type": "Pods", "pods": {
            "metric": { "name": "m" }, "target": { "type": "AverageValue", "averageValue": "1000m" } } }] }),
        ),
        hpa("autoscaling/v1", "old", json!({})),
        hpa(
            "autoscaling/v1",
            "old-target",
            json!({ "targetCPUUtilizationPercentage": 50 }),
        ),
        spec(
            "policy/v1",
            "PodDisruptionBudget",
            "bare",
            json!({
            "minAvailable": 1, "selector": { "matchLabels": { "a": "b" } } }),
        ),
    ]
}

fn services() -> Vec<Value> {
    let service = |name: &str, own: Value| {
        let mut all = json!({ "ports": [{ "port": 80 }], "selector": { "a": "b" } });
        if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
            all.extend(own);
        }
        spec("v1", "Service", name, all)
    };
    vec![
        service("bare", json!({})),
        service(
            "named",
            json!({ "ports": [
            { "name": "a", "port": 80, "targetPort": "http" },
            { "name": "b", "port": 53, "protocol": "UDP", "targetPort": 0 },
            { "name": "c", "port": 54, "targetPort": "" },
        ] }),
        ),
        service("node", json!({ "type": "NodePort" })),
        service("balancer", json!({ "type": "LoadBalancer" })),
        service(
            "balancer-no-ports",
            json!({ "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false }),
        ),
        service(
            "local",
            json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local" }),
        ),
        service("external-ips", json!({ "externalIPs": ["192.0.2.1"] })),
        service("no-external-ips", json!({ "externalIPs": [] })),
        service("sticky", json!({ "sessionAffinity": "ClientIP" })),
        service(
            "sticky-empty",
            json!({ "sessionAffinity": "ClientIP", "sessionAffinityConfig": { "clientIP": {} } }),
        ),
        service(
            "sticky-short",
            json!({ "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 5 } } }),
        ),
        service("headless", json!({ "clusterIP": "None" })),
        spec(
            "v1",
            "Service",
            "name",
            json!({ "type": "ExternalName", "externalName": "example.org" }),
        ),
        spec(
            "v1",
            "Service",
            "name-ports",
            json!({ "type": "ExternalName", "externalName": "example.org", "ports": [{ "port": 1 }] }),
        ),
        object(
            "v1",
            "Endpoints",
            "bare",
            json!({ "subsets": [{
            "addresses": [{ "ip": "192.0.2.1" }], "ports": [{ "port": 1 }] }] }),
        ),
        object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "bare",
            json!({
            "addressType": "IPv4", "endpoints": [{ "addresses": ["192.0.2.1"] }], "ports": [{ "port": 1 }] }),
        ),
        spec(
            "networking.k8s.io/v1",
            "Ingress",
            "bare",
            json!({ "rules": [{ "http": { "paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": "s", "port": { "number": 80 } } } }] } }] }),
        ),
        spec(
            "networking.k8s.io/v1",
            "IngressClass",
            "bare",
            json!({ "controller": "example.org/c" }),
        ),
        spec(
            "networking.k8s.io/v1",
            "IngressClass",
            "parameters",
            json!({
            "controller": "example.org/c", "parameters": { "kind": "K", "name": "n", "apiGroup": "example.org" } }),
        ),
    ]
}

fn policies() -> Vec<Value> {
    let network = |name: &str, own: Value| {
        let mut all = json!({ "podSelector": {} });
        if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
            all.extend(own);
        }
        spec("networking.k8s.io/v1", "NetworkPolicy", name, all)
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    let subjects = json!([
        { "kind": "User", "name": "u" },
        { "kind": "Group", "name": "g" },
        { "kind": "ServiceAccount", "name": "s", "namespace": "default" },
    ]);
    vec![
        network("bare", json!({})),
        network(
            "ingress",
            json!({ "ingress": [{ "ports": [{ "port": 80 }, { "port": "http", "protocol": "UDP" }] }] }),
        ),
        network("egress", json!({ "egress": [{}] })),
        network("no-egress", json!({ "egress": [] })),
        network(
            "both",
            json!({ "ingress": [{ "from": [{ "podSelector": {} }] }], "egress": [{}] }),
        ),
        object(
            rbac,
            "Role",
            "bare",
            json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] }),
        ),
        object(rbac, "Role", "empty", json!({ "rules": [] })),
        object(rbac, "Role", "none", json!({})),
        object(
            rbac,
            "ClusterRole",
            "aggregated",
            json!({
            "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "a": "b" } }] }, "rules": [] }),
        ),
        object(
            rbac,
            "RoleBinding",
            "bare",
            json!({ "roleRef": { "kind": "Role", "name": "r" }, "subjects": subjects }),
        ),
        object(
            rbac,
            "RoleBinding",
            "group",
            json!({ "roleRef": { "apiGroup": "", "kind": "Role", "name": "r" } }),
        ),
        object(
            rbac,
            "ClusterRoleBinding",
            "bare",
            json!({
            "roleRef": { "kind": "ClusterRole", "name": "r" }, "subjects": subjects }),
        ),
        spec(
            "v1",
            "LimitRange",
            "container",
            json!({ "limits": [
            { "type": "Container", "max": { "cpu": "2" }, "min": { "cpu": "0.1", "memory": "1Mi" } },
            { "type": "Pod", "max": { "cpu": "2" } },
        ] }),
        ),
        spec(
            "v1",
            "LimitRange",
            "defaults",
            json!({ "limits": [{
            "type": "Container", "default": { "cpu": "1" }, "max": { "memory": "1Gi" } }] }),
        ),
        spec(
            "v1",
            "LimitRange",
            "bare",
            json!({ "limits": [{ "type": "Container" }] }),
        ),
        spec(
            "v1",
            "ResourceQuota",
            "bare",
            json!({ "hard": { "pods": 4, "requests.cpu": "1000.0001" } }),
        ),
        object("v1", "Namespace", "fresh", json!({})),
        object(
            "v1",
            "Namespace",
            "labelled",
            json!({
            "metadata": { "name": "labelled", "labels": { "a": "b" } }, "spec": { "finalizers": ["example.org/f"] } }),
        ),
        object("v1", "ConfigMap", "bare", json!({})),
        object(
            "v1",
            "ConfigMap",
            "null",
            json!({ "data": { "a": null, "b": "" }, "binaryData": {} }),
        ),
        object("v1", "Secret", "bare", json!({})),
        object(
            "v1",
            "Secret",
            "null",
            json!({ "data": { "a": null, "b": "eA==" }, "type": "" }),
        ),
        object("v1", "ServiceAccount", "bare", json!({})),
        object(
            "scheduling.k8s.io/v1",
            "PriorityClass",
            "bare",
            json!({ "value": 7 }),
        ),
        object(
            "node.k8s.io/v1",
            "RuntimeClass",
            "bare",
            json!({ "handler": "h" }),
        ),
        spec(
            "flowcontrol.apiserver.k8s.io/v1",
            "FlowSchema",
            "bare",
            json!({ "priorityLevelConfiguration": { "name": "catch-all" } }),
        ),
        spec(
            "flowcontrol.apiserver.k8s.io/v1",
            "PriorityLevelConfiguration",
            "limited",
            json!({
            "type": "Limited", "limited": { "limitResponse": { "type": "Queue", "queuing": {} } } }),
        ),
        spec(
            "flowcontrol.apiserver.k8s.io/v1",
            "PriorityLevelConfiguration",
            "zero",
            json!({
            "type": "Limited", "limited": { "nominalConcurrencyShares": 0, "limitResponse": { "type": "Reject" } } }),
        ),
        spec("coordination.k8s.io/v1", "Lease", "bare", json!({})),
    ]
}

fn storage() -> Vec<Value> {
    let claim = |name: &str, own: Value| {
        let mut all = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
        if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
            all.extend(own);
        }
        spec("v1", "PersistentVolumeClaim", name, all)
    };
    let snapshot =
        json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s" });
    let volume = |name: &str, source: Value| {
        let mut all = json!({ "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"] });
        if let (Value::Object(all), Value::Object(source)) = (&mut all, source) {
            all.extend(source);
        }
        spec("v1", "PersistentVolume", name, all)
    };
    vec![
        claim("bare", json!({})),
        claim("source", json!({ "dataSource": snapshot })),
        claim("reference", json!({ "dataSourceRef": snapshot })),
        claim(
            "block",
            json!({ "volumeMode": "Block", "storageClassName": "" }),
        ),
        volume("host", json!({ "hostPath": { "path": "/x" } })),
        volume("rbd", json!({ "rbd": { "monitors": ["m"], "image": "i" } })),
        volume(
            "iscsi",
            json!({ "iscsi": { "targetPortal": "1.2.3.4", "iqn": "iqn.2015-02.example.com:test", "lun": 0 } }),
        ),
        object(
            "storage.k8s.io/v1",
            "StorageClass",
            "bare",
            json!({ "provisioner": "example.org/p" }),
        ),
        spec("storage.k8s.io/v1", "CSIDriver", "bare", json!({})),
        spec(
            "storage.k8s.io/v1",
            "CSIDriver",
            "modes",
            json!({ "volumeLifecycleModes": ["Ephemeral"], "attachRequired": false }),
        ),
        object(
            "storage.k8s.io/v1",
            "VolumeAttributesClass",
            "bare",
            json!({ "driverName": "d", "parameters": { "a": "b" } }),
        ),
    ]
}

fn extensions() -> Vec<Value> {
    let webhook = |kind: &str, name: &str, client: Value| {
        object(
            "admissionregistration.k8s.io/v1",
            kind,
            name,
            json!({ "webhooks": [{
            "name": "a.example.org", "clientConfig": client, "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
        }] }),
        )
    };
    let service = json!({ "service": { "name": "s", "namespace": "default" } });
    let url = json!({ "url": "https://example.org/" });
    let crd = |name: &str, names: Value, more: Value| {
        let mut all = json!({
            "group": "example.org", "scope": "Namespaced", "names": names,
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "nullable": false, "default": { "a": null }, "properties": {
                        "a": { "type": "string", "nullable": true }, "b": { "type": "integer", "minimum": 0 } } } } } },
            }],
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
        spec(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            name,
            all,
        )
    };
    let policy = json!({
        "matchConstraints": { "resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }] },
        "validations": [{ "expression": "true" }],
    });
    vec![
        webhook("ValidatingWebhookConfiguration", "service", service.clone()),
        webhook("ValidatingWebhookConfiguration", "url", url.clone()),
        webhook("MutatingWebhookConfiguration", "service", service),
        webhook("MutatingWebhookConfiguration", "url", url),
        spec(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            "bare",
            policy,
        ),
        spec(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding",
            "bare",
            json!({
            "policyName": "p", "validationActions": ["Deny"], "matchResources": {} }),
        ),
        crd(
            "things.example.org",
            json!({ "plural": "things", "kind": "Thing" }),
            json!({}),
        ),
        crd(
            "others.example.org",
            json!({ "plural": "others", "kind": "Other", "singular": "one", "listKind": "Others" }),
            json!({
                "conversion": { "strategy": "Webhook", "webhook": {
                    "conversionReviewVersions": ["v1"],
                    "clientConfig": { "service": { "name": "s", "namespace": "default" } } } },
                "preserveUnknownFields": false,
            }),
        ),
        spec(
            "apiregistration.k8s.io/v1",
            "APIService",
            "v1.example.net",
            json!({
            "group": "example.net", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
            "service": { "name": "s", "namespace": "default" }, "insecureSkipTLSVerify": true }),
        ),
        spec(
            "resource.k8s.io/v1",
            "ResourceClaim",
            "bare",
            json!({ "devices": { "requests": [
            { "name": "a", "exactly": { "deviceClassName": "c", "tolerations": [{ "key": "k" }] } },
            { "name": "b", "exactly": { "deviceClassName": "c", "allocationMode": "All" } },
            { "name": "d", "firstAvailable": [{ "name": "x", "deviceClassName": "c" }] },
        ] } }),
        ),
        spec("resource.k8s.io/v1", "DeviceClass", "bare", json!({})),
    ]
}
