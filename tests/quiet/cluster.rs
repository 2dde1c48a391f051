//! The cluster before anybody records: what people and `GitOps` tools made, and its machines.

use serde_json::{Value, json};

use crate::player::{CERTIFICATES, CLUSTER_AUTOSCALER, INGRESS, KUBELET, Player, SCHEDULER};
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::{Result, wait_for_success};

/// Everything lies in this namespace.
pub(crate) const SHOP: &str = "/api/v1/namespaces/shop";
pub(crate) const APPS: &str = "/apis/apps/v1/namespaces/shop/deployments";
pub(crate) const WEBS: [&str; 4] = ["web-1", "web-2", "web-3", "web-4"];
pub(crate) const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "shop", "labels": { "app": name } },
        "spec": {
            "replicas": replicas, "revisionHistoryLimit": 30,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "web", "image": "web:1" }] }
            }
        }
    })
}

pub(crate) fn config_map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "shop" }, "data": { "value": value }
    })
}

fn service(name: &str, app: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "shop" },
        "spec": { "type": kind, "selector": { "app": app }, "ports": [{ "port": 80 }] }
    })
}

pub(crate) fn autoscaler(name: &str, least: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "minReplicas": least, "maxReplicas": 9,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 }
            }}]
        }
    })
}

/// A webhook for objects that do not exist, so that nobody calls it.
fn webhook(kind: &str, name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": { "name": name, "annotations": annotations },
        "webhooks": [{
            "name": "guard.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "failurePolicy": "Ignore",
            "clientConfig": { "service": { "name": "guard", "namespace": "shop" } },
            "rules": [{ "apiGroups": ["nobody.example.com"], "apiVersions": ["*"],
                "operations": ["CREATE"], "resources": ["things"] }]
        }]
    })
}

/// A type with a status, whose other version a webhook would convert.
fn definition() -> Value {
    let schema = json!({ "openAPIV3Schema": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": true
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "pumps.quiet.example.com",
            "annotations": { "cert-manager.io/inject-ca-from": "shop/pumps" }
        },
        "spec": {
            "group": "quiet.example.com", "names": { "plural": "pumps", "kind": "Pump" },
            "scope": "Namespaced",
            "conversion": { "strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": { "service": { "name": "guard", "namespace": "shop" } }
            }},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": schema
            }]
        }
    })
}

/// What people applied.
fn manifests() -> Value {
    let mut items: Vec<Value> = WEBS.iter().map(|name| deployment(name, 2)).collect();
    items.extend([
        deployment("steady", 2),
        deployment("scaled", 4),
        deployment("lifted", 1),
        deployment("later", 2),
        service("steady", "steady", "ClusterIP"),
        service("edge", "web-1", "LoadBalancer"),
        autoscaler("scaled", 2),
        autoscaler("lifted", 1),
        config_map("marker", "x"),
        config_map("edited", "before"),
        config_map("doomed", "x"),
        // With the first digest the key's fingerprint comes into the mirror's own file.
        json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": { "token": "t" },
            "metadata": { "name": "first", "namespace": "shop" }
        }),
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": { "name": "steady", "namespace": "shop" },
            "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "steady" } } }
        }),
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": { "name": "all", "namespace": "shop" },
            "spec": { "hard": { "pods": "500" } }
        }),
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": { "name": "minutely", "namespace": "shop" },
            "spec": { "schedule": "* * * * *", "jobTemplate": { "spec": { "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "job", "image": "job:1" }]
            }}}}}
        }),
        webhook(
            "ValidatingWebhookConfiguration",
            "annotated",
            &json!({ "cert-manager.io/inject-ca-from": "shop/guard" }),
        ),
        webhook("MutatingWebhookConfiguration", "istio-like", &json!({})),
        definition(),
    ]);
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// As cert-manager writes the Secret of a Certificate.
pub(crate) fn certificate(n: u32) -> Value {
    use base64::Engine as _;
    let encoded =
        |text: &str| base64::engine::general_purpose::STANDARD.encode(format!("{text} {n}"));
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {
            "name": "web-tls", "namespace": "shop",
            "labels": { "controller.cert-manager.io/fao": "true" },
            "annotations": {
                "cert-manager.io/alt-names": "shop.example.com",
                "cert-manager.io/certificate-name": "web",
                "cert-manager.io/common-name": "shop.example.com",
                "cert-manager.io/ip-sans": "", "cert-manager.io/uri-sans": "",
                "cert-manager.io/issuer-kind": "Issuer", "cert-manager.io/issuer-name": "ca"
            }
        },
        "data": { "tls.crt": encoded("certificate"), "tls.key": encoded("key") }
    })
}

/// What Argo CD, Flux and Helm deploy; `image` is the one thing that changes.
pub(crate) fn deployed(tool: &str, image: &str) -> Value {
    let mut object = deployment(&format!("{tool}-app"), 1);
    object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    let metadata = &mut object["metadata"];
    match tool {
        "argo" => {
            metadata["annotations"] = json!({
                "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/argo-app"
            });
        }
        "flux" => {
            metadata["labels"]["kustomize.toolkit.fluxcd.io/name"] = "shop".into();
            metadata["labels"]["kustomize.toolkit.fluxcd.io/namespace"] = "flux-system".into();
        }
        _ => {
            metadata["labels"]["app.kubernetes.io/managed-by"] = "Helm".into();
            metadata["annotations"] = json!({
                "meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"
            });
        }
    }
    object
}

/// Builds all of it, and waits until the controllers have made Pods of the workloads.
pub(crate) fn build(plane: &ControlPlane, player: &Player) -> Result<()> {
    plane.kubectl(["create", "namespace", "shop"])?.success()?;
    wait_for_success(
        "the service account",
        std::time::Duration::from_secs(60),
        || player.get(&format!("{SHOP}/serviceaccounts/default")),
    )?;
    plane
        .kubectl_as(ADMIN)?
        .args(["apply", "-f", "-"])
        .stdin(manifests().to_string())
        .run()?
        .success()?;
    let pump = json!({
        "apiVersion": "quiet.example.com/v1", "kind": "Pump",
        "metadata": { "name": "p", "namespace": "shop" }, "spec": { "on": true }
    });
    // A fresh type answers 404 or 429 for moments.
    wait_for_success("a first Pump", std::time::Duration::from_secs(60), || {
        plane.apply(&pump)
    })?;

    for node in NODES {
        // As it registers itself where a cloud controller is to follow.
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": node, "labels": {
                "kubernetes.io/hostname": node, "kubernetes.io/os": "linux"
            }},
            "spec": { "taints": [{
                "key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true",
                "effect": "NoSchedule"
            }]}
        });
        player.create(KUBELET, "/api/v1/nodes", &object)?;
        player.create(KUBELET, LEASES, &lease(node))?;
    }
    // A person's, in the list that machines write whole.
    let taint = ["taint", "node", NODES[0], "dedicated=infra:NoSchedule"];
    plane.kubectl(taint)?.success()?;
    let leader = lease("kube-scheduler");
    player.create(SCHEDULER, LEADERS, &leader)?;
    let mut lock = config_map("ingress-controller-leader", "");
    lock["metadata"]["annotations"] = json!({ "control-plane.alpha.kubernetes.io/leader": "{}" });
    player.create(INGRESS, &format!("{SHOP}/configmaps"), &lock)?;
    player.create(
        CLUSTER_AUTOSCALER,
        "/api/v1/namespaces/kube-system/configmaps",
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "cluster-autoscaler-status",
                "annotations": { "cluster-autoscaler.kubernetes.io/last-updated": "never" }
            },
            "data": { "status": "none" }
        }),
    )?;
    let secret = format!("{SHOP}/secrets/web-tls");
    let manager = "cert-manager-certificates-issuing";
    player.apply(CERTIFICATES, manager, &secret, &certificate(0))?;
    for (tool, manager) in [
        ("argo", "argocd-controller"),
        ("flux", "kustomize-controller"),
    ] {
        let path = format!("{APPS}/{tool}-app");
        player.apply(manager, manager, &path, &deployed(tool, "app:1"))?;
    }
    let helm = "Helm/3.18.0";
    player.create(
        helm,
        &format!("{APPS}?fieldManager=helm"),
        &deployed("helm", "app:1"),
    )?;
    let path = format!("{SHOP}/configmaps?fieldManager=helm");
    player.create(helm, &path, &config_map("helm-values", "1"))?;
    player.create(helm, &format!("{SHOP}/secrets"), &release(1))?;
    Ok(())
}

pub(crate) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
pub(crate) const LEADERS: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

fn lease(name: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": name },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": 40 }
    })
}

/// Helm's memory of a release.
pub(crate) fn release(version: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {
            "name": format!("sh.helm.release.v1.shop.v{version}"),
            "labels": { "owner": "helm", "name": "shop", "status": "deployed" }
        },
        "stringData": { "release": format!("release {version}") }
    })
}
