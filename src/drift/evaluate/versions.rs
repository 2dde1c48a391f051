//! One object in two versions of its kind.
//!
//! The live object is held against its manifest in the manifest's version: as the server gave it,
//! where somebody asked; else by a conversion that is known to be the server's.

use std::sync::Arc;

use serde_json::Value;

use super::super::desired::{Identity, Manifest};
use super::super::live::LiveObject;
use super::{Evaluator, autoscaler};
use crate::object::ApiType;

/// Built-in kinds of which Kubernetes 1.34 to 1.36 can serve several versions with the same fields,
/// so that they differ in the version's name alone: group, kind, versions. From the published
/// schemas of each (<https://github.com/kubernetes/kubernetes/tree/v1.36.3/api/openapi-spec/v3>); a
/// test holds it against a server.
pub const SAME_FORM: [(&str, &str, &[&str]); 10] = [
    (
        "certificates.k8s.io",
        "ClusterTrustBundle",
        &["v1beta1", "v1alpha1"],
    ),
    (
        "coordination.k8s.io",
        "LeaseCandidate",
        &["v1beta1", "v1alpha2"],
    ),
    ("networking.k8s.io", "IPAddress", &["v1", "v1beta1"]),
    ("networking.k8s.io", "ServiceCIDR", &["v1", "v1beta1"]),
    (DEVICES, "DeviceClass", &["v1", "v1beta2", "v1beta1"]),
    (DEVICES, "DeviceTaintRule", &["v1beta2", "v1alpha3"]),
    (DEVICES, "ResourceClaim", &["v1", "v1beta2"]),
    (DEVICES, "ResourceClaimTemplate", &["v1", "v1beta2"]),
    (DEVICES, "ResourceSlice", &["v1", "v1beta2"]),
    (
        "storage.k8s.io",
        "VolumeAttributesClass",
        &["v1", "v1beta1", "v1alpha1"],
    ),
];

const DEVICES: &str = "resource.k8s.io";

/// An object that is desired in another version than it was recorded in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherVersion {
    /// Which object.
    pub identity: Identity,
    /// Its type, in the version that is desired.
    pub api_type: Arc<ApiType>,
}

impl Evaluator<'_> {
    /// The objects that only the server can give in the version that is desired, each once.
    pub fn other_versions(&self) -> Vec<OtherVersion> {
        let mut wanted = Vec::new();
        for (identity, places) in &self.declared {
            let Some(live) = self.question.live.objects.get(identity) else {
                continue;
            };
            for place in places {
                let (_, version) = self.manifest(*place).group_version();
                let read = version == &*live.version
                    || !self.serves(identity, version)
                    || is_same_form(identity, version, &live.version)
                    || self.is_unconverted(identity);
                let name = (identity.group.clone(), identity.kind.clone());
                if let (false, Some(kind)) = (read, self.question.live.kinds.get(&name)) {
                    wanted.push(OtherVersion {
                        identity: identity.clone(),
                        api_type: Arc::new(kind.api_type(version)),
                    });
                }
            }
        }
        wanted.sort();
        wanted.dedup();
        wanted
    }

    /// The live object in its manifest's version, where that is another than it was recorded in;
    /// the error says why there is none.
    pub(super) fn at_version(
        &self,
        identity: &Identity,
        manifest: &Manifest,
        live: &LiveObject,
    ) -> Result<Option<LiveObject>, String> {
        let (_, wanted) = manifest.group_version();
        if wanted == &*live.version {
            return Ok(None);
        }
        if !self.serves(identity, wanted) {
            return Err(format!(
                "version {wanted} of {} is not served (any more); {} is",
                identity.kind, live.version
            ));
        }
        if is_same_form(identity, wanted, &live.version) {
            return Ok(None);
        }
        let others = self.question.live.other_versions.get(identity);
        if let Some(read) = others.and_then(|others| others.get(wanted)) {
            return read.clone().map(Some);
        }
        let converted = if self.is_unconverted(identity) {
            Some((*live.value).clone())
        } else {
            converted(identity, &live.version, wanted, &live.value)
        };
        let Some(mut value) = converted else {
            return Err(format!(
                "desired in version {wanted}, recorded in {}: only the server converts between \
                 them; ask the cluster, or declare it in {}",
                live.version, live.version
            ));
        };
        value["apiVersion"] = if identity.group.is_empty() {
            wanted.into()
        } else {
            format!("{}/{wanted}", identity.group).into()
        };
        Ok(Some(LiveObject {
            version: wanted.into(),
            value: Arc::new(value).into(),
            ..live.clone()
        }))
    }

    fn serves(&self, identity: &Identity, version: &str) -> bool {
        let name = (identity.group.clone(), identity.kind.clone());
        let served = self.question.live.kinds.get(&name);
        served.is_some_and(|kind| kind.versions.iter().any(|served| &**served == version))
    }

    /// Whether it is a custom resource that nobody converts: `strategy: None` changes the version's
    /// name and nothing else
    /// (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#specify-multiple-versions>).
    fn is_unconverted(&self, identity: &Identity) -> bool {
        let Some((known, _)) = self.key(identity) else {
            return false;
        };
        // The name of every definition is that of its resource and group.
        let definition = Identity {
            group: "apiextensions.k8s.io".into(),
            kind: "CustomResourceDefinition".into(),
            namespace: None,
            name: known.api_type.resource_and_group().into(),
        };
        let definition = self.question.live.objects.get(&definition);
        definition.is_some_and(|definition| {
            let strategy = definition.value.pointer("/spec/conversion/strategy");
            strategy.is_none_or(|strategy| strategy == "None")
        })
    }
}

fn is_same_form(identity: &Identity, one: &str, other: &str) -> bool {
    SAME_FORM.iter().any(|(group, kind, versions)| {
        (*group, *kind) == (&*identity.group, &*identity.kind)
            && versions.contains(&one)
            && versions.contains(&other)
    })
}

/// The conversions that are known; `None` for every other.
fn converted(identity: &Identity, from: &str, to: &str, object: &Value) -> Option<Value> {
    match (&*identity.group, &*identity.kind, from, to) {
        ("autoscaling", "HorizontalPodAutoscaler", "v2", "v1") => autoscaler::v2_to_v1(object),
        _ => None,
    }
}
