//! What servers, controllers and deployers are known to add to objects. Data, and its look-up.

use std::sync::LazyLock;

use super::ObjectFacts;
use crate::drift::compare::Difference;
use crate::filter::{FieldPath, Segment};

/// Whose writing makes a place a known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum If {
    /// Nobody's: admission writes after ownership is computed.
    Unowned,
    /// Anybody's but a person's.
    NotAPersons,
    /// Anybody's.
    Anybodys,
}

/// One place that is no finding where only live has it.
pub(super) struct Known {
    /// `group/Kind`; any where it is empty.
    pub(super) of: &'static str,
    /// Path; a `*` at the end of a key stands for any rest. What lies in it is known too.
    pub(super) path: &'static str,
    pub(super) when: If,
    /// Who writes it.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for the reader, and held by a test")
    )]
    pub(super) see: &'static str,
}

const fn known(of: &'static str, path: &'static str, when: If, see: &'static str) -> Known {
    Known {
        of,
        path,
        when,
        see,
    }
}

const ARGO: &str = "https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/";
const FLUX: &str =
    "https://fluxcd.io/flux/components/kustomize/kustomizations/#role-based-access-control";
const HELM: &str = "https://helm.sh/docs/chart_best_practices/labels/";
const SERVICE: &str =
    "https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/";
const WEBHOOKS: &str = "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook";

/// The table.
#[rustfmt::skip]
pub(super) const KNOWN: &[Known] = &[
    // Deployers' own notes.
    known("", r#"metadata.annotations["argocd.argoproj.io/tracking-id"]"#, If::Anybodys, ARGO),
    known("", r#"metadata.annotations["argocd.argoproj.io/installation-id"]"#, If::Anybodys, ARGO),
    known("", r#"metadata.labels["argocd.argoproj.io/instance"]"#, If::Anybodys, ARGO),
    known("", r#"metadata.labels["app.kubernetes.io/instance"]"#, If::NotAPersons, ARGO),
    known("", r#"metadata.labels["kustomize.toolkit.fluxcd.io/*"]"#, If::Anybodys, FLUX),
    known("", r#"metadata.annotations["kustomize.toolkit.fluxcd.io/*"]"#, If::NotAPersons, FLUX),
    known("", r#"metadata.labels["helm.toolkit.fluxcd.io/*"]"#, If::Anybodys, FLUX),
    // Flux's controllers, on objects of their own kinds, as gotk-kustomize-controller and the like.
    known("", r#"metadata.finalizers[="finalizers.fluxcd.io"]"#, If::NotAPersons, "https://github.com/fluxcd/kustomize-controller/blob/main/internal/controller/kustomization_controller.go"),
    known("", r#"metadata.labels["app.kubernetes.io/managed-by"]"#, If::NotAPersons, HELM),
    known("", r#"metadata.annotations["meta.helm.sh/*"]"#, If::Anybodys, "https://github.com/helm/helm/pull/7649"),
    known("", r#"metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#, If::Anybodys, "https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-last-applied-configuration"),
    known("", r#"metadata.annotations["kapp.k14s.io/*"]"#, If::Anybodys, "https://carvel.dev/kapp/docs/latest/apply/"),
    known("", r#"metadata.labels["kapp.k14s.io/*"]"#, If::Anybodys, "https://carvel.dev/kapp/docs/latest/apply/"),
    known("", r#"metadata.annotations["objectset.rio.cattle.io/*"]"#, If::Anybodys, "https://github.com/rancher/wrangler/blob/master/pkg/apply/apply.go"),
    known("", r#"metadata.labels["objectset.rio.cattle.io/*"]"#, If::Anybodys, "https://github.com/rancher/wrangler/blob/master/pkg/apply/apply.go"),
    known("", r#"metadata.annotations["config.k8s.io/owning-inventory"]"#, If::Anybodys, "https://github.com/kubernetes-sigs/cli-utils"),
    known("", r#"metadata.annotations["configsync.gke.io/*"]"#, If::Anybodys, "https://cloud.google.com/kubernetes-engine/docs/add-on/config-sync/reference/labels-and-annotations"),
    known("", r#"metadata.labels["configsync.gke.io/*"]"#, If::Anybodys, "https://cloud.google.com/kubernetes-engine/docs/add-on/config-sync/reference/labels-and-annotations"),
    // Allocated.
    known("/Service", "spec.clusterIP", If::Unowned, SERVICE),
    known("/Service", "spec.clusterIPs", If::Unowned, SERVICE),
    known("/Service", "spec.ipFamilies", If::Unowned, SERVICE),
    known("/Service", "spec.ipFamilyPolicy", If::Unowned, SERVICE),
    known("/Service", "spec.healthCheckNodePort", If::Unowned, SERVICE),
    known("/Service", "spec.ports[*].nodePort", If::Unowned, SERVICE),
    // In-tree admission and strategies of the API server.
    known("/PersistentVolumeClaim", r#"metadata.finalizers[="kubernetes.io/pvc-protection"]"#, If::Unowned, "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection"),
    known("/PersistentVolume", r#"metadata.finalizers[="kubernetes.io/pv-protection"]"#, If::Unowned, "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection"),
    known("/PersistentVolumeClaim", "spec.storageClassName", If::Unowned, "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#defaultstorageclass"),
    known("networking.k8s.io/Ingress", "spec.ingressClassName", If::Unowned, "https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#defaultingressclass"),
    known("/Namespace", r#"metadata.labels["kubernetes.io/metadata.name"]"#, If::Unowned, "https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name"),
    known("/Namespace", "spec.finalizers", If::Unowned, "https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/#NamespaceSpec"),
    known("/Namespace", r#"metadata.annotations["openshift.io/sa.scc.*"]"#, If::NotAPersons, "https://docs.redhat.com/en/documentation/openshift_container_platform/4.16/html/authentication_and_authorization/managing-pod-security-policies"),
    known("/PersistentVolumeClaim", "spec.volumeName", If::NotAPersons, "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding"),
    known("", r#"metadata.annotations["deployment.kubernetes.io/revision"]"#, If::NotAPersons, "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#checking-rollout-history-of-a-deployment"),
    known("/ServiceAccount", r#"secrets[name="*-token-*"]"#, If::Unowned, "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#token-controller"),
    known("/ServiceAccount", r#"secrets[name="*-dockercfg-*"]"#, If::Unowned, "https://docs.redhat.com/en/documentation/openshift_container_platform/4.16/html/images/managing-images#using-image-pull-secrets"),
    known("/ServiceAccount", r#"imagePullSecrets[name="*-dockercfg-*"]"#, If::Unowned, "https://docs.redhat.com/en/documentation/openshift_container_platform/4.16/html/images/managing-images#using-image-pull-secrets"),
    known("batch/Job", "spec.selector", If::Unowned, "https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector"),
    known("batch/Job", r#"spec.template.metadata.labels["batch.kubernetes.io/*"]"#, If::Unowned, "https://kubernetes.io/docs/reference/labels-annotations-taints/#batchkubernetesio-controller-uid"),
    known("batch/Job", r#"spec.template.metadata.labels["job-name"]"#, If::Unowned, "https://kubernetes.io/docs/reference/labels-annotations-taints/#job-name-deprecated"),
    known("batch/Job", r#"metadata.labels["batch.kubernetes.io/*"]"#, If::Unowned, "https://kubernetes.io/docs/reference/labels-annotations-taints/#batchkubernetesio-controller-uid"),
    // A Job without labels shares its template's map of them with it while the server adds to that.
    known("batch/Job", r#"metadata.labels["job-name"]"#, If::Unowned, "https://kubernetes.io/docs/reference/labels-annotations-taints/#job-name-deprecated"),
    // What controllers bring to webhooks that others wrote.
    known("admissionregistration.k8s.io/ValidatingWebhookConfiguration", "webhooks[*].clientConfig.caBundle", If::NotAPersons, WEBHOOKS),
    known("admissionregistration.k8s.io/MutatingWebhookConfiguration", "webhooks[*].clientConfig.caBundle", If::NotAPersons, WEBHOOKS),
    known("apiregistration.k8s.io/APIService", "spec.caBundle", If::NotAPersons, WEBHOOKS),
    known("apiextensions.k8s.io/CustomResourceDefinition", "spec.conversion.webhook.clientConfig.caBundle", If::NotAPersons, WEBHOOKS),
    known("admissionregistration.k8s.io/ValidatingWebhookConfiguration", "webhooks[*].failurePolicy", If::NotAPersons, "https://github.com/istio/istio/issues/44285"),
];

/// Whether somebody is known to bring the place to a live object that only live has.
pub(super) fn is_known(
    object: ObjectFacts<'_>,
    difference: &Difference,
    by_a_person: bool,
    unowned: bool,
) -> bool {
    static PATHS: LazyLock<Vec<Option<FieldPath>>> = LazyLock::new(|| {
        KNOWN
            .iter()
            .map(|known| FieldPath::parse(known.path).ok())
            .collect()
    });
    KNOWN.iter().zip(PATHS.iter()).any(|(known, path)| {
        let by = match known.when {
            If::Unowned => unowned,
            If::NotAPersons => !by_a_person,
            If::Anybodys => true,
        };
        by && is_of(known.of, object)
            && path
                .as_ref()
                .is_some_and(|path| lies_in(difference.path.segments(), path.segments()))
    })
}

fn is_of(of: &str, object: ObjectFacts<'_>) -> bool {
    let Some((group, kind)) = of.rsplit_once('/') else {
        return true;
    };
    object.group.is_none_or(|its| its == group) && object.kind.is_none_or(|its| its == kind)
}

fn lies_in(place: &[Segment], path: &[Segment]) -> bool {
    place.len() >= path.len() && path.iter().zip(place).all(|(a, b)| fits(a, b))
}

fn fits(pattern: &Segment, segment: &Segment) -> bool {
    match (pattern, segment) {
        (Segment::Any, Segment::Where(_) | Segment::Item(_) | Segment::Any) => true,
        (Segment::Field(a) | Segment::Key(a), Segment::Field(b) | Segment::Key(b)) => is_like(a, b),
        (Segment::Where(a), Segment::Where(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.all(|(a, b)| a.0 == b.0 && is_like(&a.1, &b.1))
        }
        _ => pattern == segment,
    }
}

/// Whether a text is what a pattern says, in which `*` is any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(prefix) else {
        return false;
    };
    rest.is_empty()
        || text
            .char_indices()
            .any(|(at, _)| is_like(rest, &text[at..]))
}
