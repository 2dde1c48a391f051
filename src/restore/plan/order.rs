//! In which order objects are created: nothing before what it needs, and last what could stand in
//! the way of others or begin to write by itself.

use super::facts::Facts;
use crate::object::ObjectKey;

/// One step of a restore. The next begins when all objects of this one have their result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Namespaces.
    Namespaces,
    /// `CustomResourceDefinitions`; ends when they are Established.
    Definitions,
    /// Classes and the like, which others name: priority, storage, ingress …
    Classes,
    /// Service accounts, roles, then bindings.
    Rbac,
    /// `ConfigMaps`, Secrets, policies without a webhook.
    Config,
    /// Volumes and claims.
    Storage,
    /// Services that ask for an address, the others, Endpoints, Ingresses.
    Services,
    /// Objects of CRDs.
    CustomResources,
    /// What runs Pods, and every built-in type that stands in no other stage.
    Workloads,
    /// What scales workloads.
    Autoscalers,
    /// Objects of CRDs with a conversion webhook, which one of the workloads serves.
    ConvertedResources,
    /// Owner references, by uids that are known now.
    Links,
    /// What the API server asks before later writes: webhooks, policies, quotas, aggregated groups.
    Gates,
    /// Roots of `GitOps` tools, suspended where the tool has a switch.
    Roots,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Namespaces,
        Self::Definitions,
        Self::Classes,
        Self::Rbac,
        Self::Config,
        Self::Storage,
        Self::Services,
        Self::CustomResources,
        Self::Workloads,
        Self::Autoscalers,
        Self::ConvertedResources,
        Self::Links,
        Self::Gates,
        Self::Roots,
    ];

    /// What people and JSON call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Definitions => "definitions",
            Self::Classes => "classes",
            Self::Rbac => "rbac",
            Self::Config => "config",
            Self::Storage => "storage",
            Self::Services => "services",
            Self::CustomResources => "custom-resources",
            Self::Workloads => "workloads",
            Self::Autoscalers => "autoscalers",
            Self::ConvertedResources => "converted-resources",
            Self::Links => "links",
            Self::Gates => "gates",
            Self::Roots => "roots",
        }
    }
}

/// The stage of an object, and its place in there: lower ranks are done before higher ones.
///
/// `custom` says whether a CRD defines its type; `converted` whether that has a webhook.
pub(super) fn place(key: &ObjectKey, facts: &Facts, custom: bool, converted: bool) -> (Stage, u8) {
    if is_root(key) {
        return (Stage::Roots, 0);
    }
    if converted {
        return (Stage::ConvertedResources, 0);
    }
    match (&*key.api_type.group, &*key.api_type.resource) {
        ("", "namespaces") => (Stage::Namespaces, 0),
        ("apiextensions.k8s.io", "customresourcedefinitions") => (Stage::Definitions, 0),
        ("admissionregistration.k8s.io", resource) => (
            Stage::Gates,
            if resource.ends_with("bindings") { 2 } else { 1 },
        ),
        // Before webhooks: they may be what a webhook is asked through.
        ("apiregistration.k8s.io", _) => (Stage::Gates, 0),
        ("", "resourcequotas") => (Stage::Gates, 3),
        // Secrets of a ServiceAccount's tokens need it, bindings need roles.
        ("rbac.authorization.k8s.io", resource) => (
            Stage::Rbac,
            if resource.ends_with("bindings") { 2 } else { 1 },
        ),
        ("", "serviceaccounts") => (Stage::Rbac, 0),
        ("", "configmaps" | "secrets" | "limitranges")
        | ("networking.k8s.io", "networkpolicies") => (Stage::Config, 0),
        ("", "persistentvolumes") => (Stage::Storage, 0),
        ("", "persistentvolumeclaims") => (Stage::Storage, 1),
        // Before somebody is given by chance what they ask for.
        ("", "services") if facts.asks_for_address => (Stage::Services, 0),
        ("", "services") => (Stage::Services, 1),
        ("", "endpoints")
        | ("discovery.k8s.io", "endpointslices")
        | ("networking.k8s.io", "ingresses") => (Stage::Services, 2),
        ("autoscaling", _) => (Stage::Autoscalers, 0),
        (_, resource) if is_class(&key.api_type.group, resource) => (Stage::Classes, 0),
        _ if custom => (Stage::CustomResources, 0),
        _ => (Stage::Workloads, 0),
    }
}

/// Types that others name and that need nothing themselves.
fn is_class(group: &str, resource: &str) -> bool {
    resource.ends_with("classes")
        || matches!(
            (group, resource),
            ("storage.k8s.io", "csidrivers")
                | ("networking.k8s.io", "servicecidrs")
                | ("flowcontrol.apiserver.k8s.io", _)
        )
}

/// Objects that begin to write others as soon as they are there.
pub(super) fn is_root(key: &ObjectKey) -> bool {
    matches!(
        (&*key.api_type.group, &*key.api_type.resource),
        ("argoproj.io", "applications" | "applicationsets")
            | ("kustomize.toolkit.fluxcd.io", "kustomizations")
            | ("helm.toolkit.fluxcd.io", "helmreleases")
    )
}

/// Whether a type belongs to no group of Kubernetes' own, so that a CRD or another server brings it.
///
/// Groups of `*.k8s.io` are Kubernetes' own, but also those of its subprojects' CRDs
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#api-kubernetes-io-approval>);
/// a group without a dot is built in.
pub(super) fn is_foreign_group(group: &str) -> bool {
    const BUILT_IN: [&str; 15] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
    ];
    const MORE: [&str; 4] = [
        "resource.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
        "metrics.k8s.io",
    ];
    group.contains('.') && !BUILT_IN.contains(&group) && !MORE.contains(&group)
}
