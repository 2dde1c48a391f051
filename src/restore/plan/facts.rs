//! What a plan needs to know of a recorded object; the object itself is read again when its turn
//! comes.

use serde_json::Value;

use crate::filter::{ScaleTarget, is_redacted, scale_target};
use crate::mirror::BlobId;
use crate::object::{ObjectKey, system_made};

/// One file of the revision.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Whose file it is, of the type and version that the file says.
    pub key: ObjectKey,
    /// The file.
    pub blob_id: BlobId,
    /// What it says, in short.
    pub facts: Facts,
}

/// What of a file decides how it is restored. Holds no value but names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `metadata.ownerReferences`, in order.
    pub owners: Vec<Owner>,
    /// The deployer that keeps the object.
    pub managed_by: Option<Managed>,
    /// Why the system makes the object itself.
    pub system_made: Option<&'static str>,
    /// Why the file has not all values, and who has them.
    pub needs_value: Option<String>,
    /// The type that a `CustomResourceDefinition` defines.
    pub definition: Option<Definition>,
    /// What an autoscaler scales, and to how many replicas at least.
    pub scales: Option<(ScaleTarget, i64)>,
    /// Whether `spec` has replicas; `None` where there is no `spec`.
    pub has_replicas: Option<bool>,
    /// Whether a Service asks for an address or port that others could take.
    pub asks_for_address: bool,
}

/// An owner reference without its uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// API group of the owner.
    pub group: Box<str>,
    /// Its version, as the reference has it.
    pub version: Box<str>,
    /// Its kind.
    pub kind: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Whether it is the managing controller.
    pub controller: bool,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Who deploys an object, and under what name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// `Argo CD`, `Flux` or `Helm`.
    pub tool: &'static str,
    /// For example `Kustomization apps`.
    pub by: String,
}

/// What a CRD says of its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// API group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Versions that are served.
    pub versions: Vec<String>,
    /// Namespace and name of the Service of the conversion webhook.
    pub converted_by: Option<(String, String)>,
}

impl Facts {
    /// Reads them from a file's object.
    pub fn of(key: &ObjectKey, object: &Value) -> Self {
        let metadata = |field: &str| object.get("metadata").and_then(|m| m.get(field));
        let label = |name: &str| text(metadata("labels"), name);
        let annotation = |name: &str| text(metadata("annotations"), name);
        let owners: Vec<Owner> = metadata("ownerReferences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Owner::read)
            .collect();
        let spec = object.get("spec").and_then(Value::as_object);
        let mut facts = Self {
            managed_by: managed_by(&label, &annotation),
            system_made: system_made(key, object),
            scales: scale_target(key, object).map(|target| (target, least_replicas(key, object))),
            has_replicas: spec.map(|spec| spec.contains_key("replicas")),
            ..Self::default()
        };
        match (&*key.api_type.group, &*key.api_type.resource) {
            ("apiextensions.k8s.io", "customresourcedefinitions") => {
                facts.definition = Definition::read(object);
            }
            ("", "services") => facts.asks_for_address = asks_for_address(object),
            _ => {}
        }
        if !is_token(key, object)
            && let Some(place) = digested_place(object)
        {
            let from = value_holder(&owners, &annotation);
            facts.needs_value = Some(format!("{place} is a digest; needs its value from {from}"));
        }
        facts.owners = owners;
        facts
    }

    /// The managing controller.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }
}

impl Owner {
    /// Reads one owner reference, with or without a uid.
    pub fn read(reference: &Value) -> Option<Self> {
        let text = |field: &str| reference.get(field).and_then(Value::as_str);
        let api_version = text("apiVersion")?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Some(Self {
            group: group.into(),
            version: version.into(),
            kind: text("kind")?.into(),
            name: text("name")?.into(),
            controller: reference.get("controller") == Some(&Value::Bool(true)),
        })
    }

    /// Whether two references are to the same object: versions do not count.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.group, &self.kind, &self.name) == (&other.group, &other.kind, &other.name)
    }
}

impl Definition {
    /// Reads `spec` of a `CustomResourceDefinition`.
    ///
    /// <https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/>
    pub fn read(object: &Value) -> Option<Self> {
        let spec = object.get("spec")?;
        let service = spec.pointer("/conversion/webhook/clientConfig/service");
        let part = |field| service?.get(field)?.as_str().map(str::to_owned);
        Some(Self {
            group: spec.get("group")?.as_str()?.to_owned(),
            resource: spec.pointer("/names/plural")?.as_str()?.to_owned(),
            versions: spec
                .get("versions")?
                .as_array()?
                .iter()
                .filter(|version| version.get("served") == Some(&Value::Bool(true)))
                .filter_map(|version| version.get("name")?.as_str().map(str::to_owned))
                .collect(),
            converted_by: part("namespace").zip(part("name")),
        })
    }
}

fn text<'a>(map: Option<&'a Value>, name: &str) -> Option<&'a str> {
    map?.get(name)?.as_str()
}

/// Who tracks the object, by the marks that the deployers set:
/// Flux <https://fluxcd.io/flux/components/kustomize/kustomizations/#role-based-access-control>,
/// Argo CD <https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>,
/// Helm <https://helm.sh/docs/chart_best_practices/labels/>.
fn managed_by<'a>(
    label: &dyn Fn(&str) -> Option<&'a str>,
    annotation: &dyn Fn(&str) -> Option<&'a str>,
) -> Option<Managed> {
    let managed = |tool, kind: &str, name: &str| {
        Some(Managed {
            tool,
            by: format!("{kind} {name}"),
        })
    };
    if let Some(name) = label("helm.toolkit.fluxcd.io/name") {
        return managed("Flux", "HelmRelease", name);
    }
    if let Some(name) = label("kustomize.toolkit.fluxcd.io/name") {
        return managed("Flux", "Kustomization", name);
    }
    if let Some(id) = annotation("argocd.argoproj.io/tracking-id") {
        return managed("Argo CD", "Application", id.split(':').next().unwrap_or(id));
    }
    if let Some(name) = label("argocd.argoproj.io/instance") {
        return managed("Argo CD", "Application", name);
    }
    if let Some(name) = annotation("meta.helm.sh/release-name")
        && label("app.kubernetes.io/managed-by") == Some("Helm")
    {
        return managed("Helm", "release", name);
    }
    None
}

/// Whether a Secret's data is written by the token controller.
///
/// <https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets>
pub(super) fn is_token(key: &ObjectKey, object: &Value) -> bool {
    (&*key.api_type.group, &*key.api_type.resource) == ("", "secrets")
        && object.get("type").and_then(Value::as_str) == Some("kubernetes.io/service-account-token")
}

fn asks_for_address(object: &Value) -> bool {
    let spec = |field: &str| object.get("spec").and_then(|spec| spec.get(field));
    let address = spec("clusterIP").is_some_and(|address| address != "None")
        || spec("healthCheckNodePort").is_some();
    let ports = spec("ports").and_then(Value::as_array);
    address || ports.is_some_and(|ports| ports.iter().any(|port| port.get("nodePort").is_some()))
}

/// The least replicas that an autoscaler keeps. Defaults:
/// <https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/horizontal-pod-autoscaler-v2/>,
/// <https://keda.sh/docs/latest/reference/scaledobject-spec/#minreplicacount>.
fn least_replicas(key: &ObjectKey, object: &Value) -> i64 {
    let spec = |field: &str| object.get("spec")?.get(field)?.as_i64();
    match &*key.api_type.group {
        "keda.sh" => spec("minReplicaCount").unwrap_or(0),
        _ => spec("minReplicas").unwrap_or(1),
    }
}

/// The path of the first leaf that is a digest.
fn digested_place(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => is_redacted(text).then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| Some(format!("[{at}]{}", digested_place(item)?))),
        Value::Object(map) => map.iter().find_map(|(field, item)| {
            let below = digested_place(item)?;
            let dot = if below.is_empty() || below.starts_with('[') {
                ""
            } else {
                "."
            };
            Some(format!("{field}{dot}{below}"))
        }),
        _ => None,
    }
}

/// Who can give a value that the mirror has not.
fn value_holder<'a>(owners: &[Owner], annotation: &dyn Fn(&str) -> Option<&'a str>) -> String {
    if let Some(name) = annotation("cert-manager.io/certificate-name") {
        return format!("cert-manager, which makes it of Certificate {name}");
    }
    if let Some(owner) = owners
        .iter()
        .find(|owner| owner.controller)
        .or(owners.first())
    {
        return format!("{owner}, which owns it");
    }
    "whoever holds it".to_owned()
}
