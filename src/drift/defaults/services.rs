//! Services
//! (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/v1/defaults.go>).

use super::builtin::{Fields, is_zero, lacks, made, put, text};

/// How long a client stays with an endpoint, in seconds.
const AFFINITY: u32 = 10_800;

pub(super) fn fill(name: &str, fields: &mut Fields) {
    match name {
        "core.v1.ServicePort" => {
            if fields.get("targetPort").is_none_or(is_zero)
                && let Some(port) = fields.get("port").cloned()
            {
                fields.insert("targetPort".to_owned(), port);
            }
        }
        "core.v1.ServiceSpec" => spec(fields),
        _ => {}
    }
}

fn spec(spec: &mut Fields) {
    let kind = match text(spec, "type") {
        "" => "ClusterIP".to_owned(),
        kind => kind.to_owned(),
    };
    if text(spec, "sessionAffinity") == "ClientIP" {
        let timeout =
            made(spec, "sessionAffinityConfig").and_then(|config| made(config, "clientIP"));
        if let Some(timeout) = timeout {
            put(timeout, "timeoutSeconds", || AFFINITY);
        }
    }
    let outside = match &*kind {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !lacks(spec, "externalIPs"),
        _ => false,
    };
    if outside {
        put(spec, "externalTrafficPolicy", || "Cluster");
    }
    if kind == "LoadBalancer" {
        put(spec, "allocateLoadBalancerNodePorts", || true);
    }
    if kind != "ExternalName" {
        put(spec, "internalTrafficPolicy", || "Cluster");
        // A headless Service without selector may be of any families
        // (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/registry/core/service/storage/alloc.go>).
        let any = text(spec, "clusterIP") == "None" && spec.get("selector").is_none_or(is_zero);
        put(spec, "ipFamilyPolicy", || {
            if any {
                "RequireDualStack"
            } else {
                "SingleStack"
            }
        });
    }
}
