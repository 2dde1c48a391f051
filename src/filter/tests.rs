//! The rules' plans, their paths, digests and properties.

use std::sync::Arc;

use crate::object::ApiType;

/// Types that are dropped whole, as `resource.group`.
pub(super) const DROPPED_WHOLE: [&str; 19] = [
    "pods",
    "events",
    "componentstatuses",
    "replicasets.apps",
    "controllerrevisions.apps",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "leasecandidates.coordination.k8s.io",
    "ipaddresses.networking.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "resourceslices.resource.k8s.io",
    "certificatesigningrequests.certificates.k8s.io",
    "nodes.metrics.k8s.io",
    "pods.metrics.k8s.io",
    "anything.custom.metrics.k8s.io",
    "anything.external.metrics.k8s.io",
    "anything.more.metrics.k8s.io",
];

/// A namespaced type from `resource.group`.
pub(super) fn type_named(name: &str) -> Arc<ApiType> {
    let (resource, group) = name.split_once('.').unwrap_or((name, ""));
    Arc::new(ApiType {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        kind: "Thing".into(),
        namespaced: true,
    })
}
