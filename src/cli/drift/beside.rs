//! What `auto` reads of a cluster beside its live side: Helm's releases, which are never recorded,
//! and, where some namespaces alone are compared, who deploys to them from others.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::reading::each;
use crate::cluster::{Cluster, Scope, Selectors};
use crate::drift::desired::Identity;
use crate::drift::desired::auto::StoredRelease;
use crate::drift::live::{Coverage, Live, LiveObject, ServedKind};
use crate::object::ApiType;
use crate::owners::{Shape, Times, reported};

/// Kinds that say what is desired elsewhere.
const DEPLOYERS: [(&str, &str); 4] = [
    ("argoproj.io", "Application"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
    ("source.toolkit.fluxcd.io", "GitRepository"),
];

/// The settings of Argo CD:
/// <https://argo-cd.readthedocs.io/en/stable/operator-manual/argocd-cm-yaml/>.
const SETTINGS: &str = "metadata.name=argocd-cm";

/// The live side of some namespaces, with the objects of other ones that deploy to them. A kind
/// that may not be read everywhere becomes unknown, for whoever looks for deployers alone.
pub(super) async fn with_deployers(cluster: &Cluster, live: &Live) -> Live {
    let mut all = Live {
        objects: live.objects.clone(),
        kinds: live.kinds.clone(),
        ..Live::new(live.rules.clone())
    };
    for (group, kind) in DEPLOYERS {
        let name = (group.into(), kind.into());
        let Some(served) = all.kinds.get(&name).cloned() else {
            continue;
        };
        if let Err(reason) = add(cluster, &served, None, &mut all).await
            && let Some(served) = all.kinds.get_mut(&name)
        {
            served.coverage = Coverage::Unknown(reason.into());
        }
    }
    let settings = ("".into(), "ConfigMap".into());
    if let Some(served) = all.kinds.get(&settings).cloned() {
        // Without them the defaults are taken, and that is said.
        let _ = add(cluster, &served, Some(SETTINGS), &mut all).await;
    }
    all
}

/// Adds the objects of a kind of all namespaces.
async fn add(
    cluster: &Cluster,
    served: &ServedKind,
    field: Option<&str>,
    live: &mut Live,
) -> Result<(), String> {
    let version = served.versions.first().cloned().unwrap_or_default();
    let api_type = Arc::new(ApiType {
        group: served.group.clone(),
        version: version.clone(),
        resource: served.resource.clone(),
        kind: served.kind.clone(),
        namespaced: served.namespaced,
    });
    let selectors = Selectors {
        label: None,
        field: field.map(str::to_owned),
    };
    each(cluster, &api_type, &Scope::Cluster, selectors, |object| {
        let mut value = object.value;
        let Some(identity) = Identity::of(&value) else {
            return;
        };
        let shape = Shape {
            reported: reported(&served.group, &served.kind, &value),
            ..Shape::default()
        };
        if let Value::Object(fields) = &mut value {
            fields.remove("status");
        }
        // What is on the live side has gone through the rules.
        live.objects.entry(identity).or_insert_with(|| LiveObject {
            version: version.clone(),
            value: Arc::new(value).into(),
            shape: Arc::new(shape),
            times: Arc::new(Times::default()),
            path: "".into(),
        });
    })
    .await
}

/// The releases that Helm keeps in Secrets of these namespaces, or of all where none is named, and
/// of those in which Flux keeps the releases that it deploys to them. Where the latter cannot be
/// read, a warning says so.
pub(super) async fn releases(
    cluster: &Cluster,
    namespaces: &[String],
    live: &Live,
    warnings: &mut Vec<String>,
) -> Result<Vec<StoredRelease>, String> {
    let mut found = Vec::new();
    if namespaces.is_empty() {
        read_releases(cluster, &Scope::Cluster, &mut found).await?;
        return Ok(found);
    }
    for namespace in namespaces {
        let scope = Scope::Namespace(namespace.as_str().into());
        read_releases(cluster, &scope, &mut found).await?;
    }
    for storage in storages(namespaces, live) {
        let scope = Scope::Namespace(storage.into());
        if let Err(reason) = read_releases(cluster, &scope, &mut found).await {
            warnings.push(format!(
                "Helm releases that Flux keeps in namespace {storage} could not be read: {reason}"
            ));
        }
    }
    Ok(found)
}

/// The other namespaces in which Flux keeps the releases that it deploys to these:
/// <https://fluxcd.io/flux/components/helm/helmreleases/#storage-namespace>.
fn storages<'l>(namespaces: &[String], live: &'l Live) -> BTreeSet<&'l str> {
    let asked = |namespace: &str| namespaces.iter().any(|one| one == namespace);
    let releases = live.objects.iter().filter(|(identity, _)| {
        (&*identity.group, &*identity.kind) == ("helm.toolkit.fluxcd.io", "HelmRelease")
    });
    releases
        .filter_map(|(identity, object)| {
            let own = identity.namespace.as_deref()?;
            let named = |key: &str| {
                let name = object.value.get("spec")?.get(key)?.as_str()?;
                (!name.is_empty()).then_some(name)
            };
            let target = named("targetNamespace").unwrap_or(own);
            asked(target).then(|| named("storageNamespace").unwrap_or(own))
        })
        .filter(|storage| !asked(storage))
        .collect()
}

async fn read_releases(
    cluster: &Cluster,
    scope: &Scope,
    found: &mut Vec<StoredRelease>,
) -> Result<(), String> {
    let api_type = Arc::new(ApiType {
        group: "".into(),
        version: "v1".into(),
        resource: "secrets".into(),
        kind: "Secret".into(),
        namespaced: true,
    });
    let selectors = Selectors {
        label: None,
        field: Some("type=helm.sh/release.v1".to_owned()),
    };
    each(cluster, &api_type, scope, selectors, |object| {
        found.extend(StoredRelease::of(&object.value));
    })
    .await
}
