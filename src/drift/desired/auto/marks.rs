//! What live objects say of who deployed them, where that one cannot be asked: an Argo CD that runs
//! in another cluster, an Application or `Kustomization` in a namespace that is not read.
//!
//! Such objects are desired somewhere: they are unknown, not extra.

use std::collections::{BTreeMap, BTreeSet};

use super::{Auto, Edits, Fetch, Found, Live, LiveObject, annotation, label, listed};
use crate::drift::desired::Identity;
use crate::drift::live::Coverage;

/// <https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>
const TRACKING: &str = "argocd.argoproj.io/tracking-id";

/// Reads who an object says that it was deployed by: a namespace, if that is known, and a name.
type Mark = fn(&Identity, &LiveObject) -> Option<(Option<String>, String)>;

/// A kind of objects that deploy others.
struct Deployer {
    /// Name of the source that stands for those that cannot be asked, and its kind.
    tool: &'static str,
    group: &'static str,
    kind: &'static str,
    /// What they are called.
    shown: &'static str,
    /// What is written in every object that says it.
    key: &'static str,
    of: Mark,
}

const DEPLOYERS: [Deployer; 3] = [
    Deployer {
        tool: "argocd",
        group: "argoproj.io",
        kind: "Application",
        shown: "Argo CD Applications",
        key: TRACKING,
        of: |identity, object| {
            let (namespace, name) = tracked(identity, object)?;
            Some((namespace.map(str::to_owned), name.to_owned()))
        },
    },
    Deployer {
        tool: "flux",
        group: "kustomize.toolkit.fluxcd.io",
        kind: "Kustomization",
        shown: "Flux Kustomizations",
        key: "kustomize.toolkit.fluxcd.io/name",
        of: |_, object| labelled(object, "kustomize.toolkit.fluxcd.io"),
    },
    Deployer {
        tool: "flux-helm",
        group: "helm.toolkit.fluxcd.io",
        kind: "HelmRelease",
        shown: "Flux HelmReleases",
        key: "helm.toolkit.fluxcd.io/name",
        of: |_, object| labelled(object, "helm.toolkit.fluxcd.io"),
    },
];

fn labelled(object: &LiveObject, group: &str) -> Option<(Option<String>, String)> {
    let name = label(object, &format!("{group}/name"));
    let namespace = label(object, &format!("{group}/namespace"));
    (!name.is_empty()).then(|| (Some(namespace.to_owned()), name.to_owned()))
}

/// The Application that tracks an object: its namespace, where it lies in another one than its
/// Argo CD, and its name. `<name>:<group>/<kind>:<namespace>/<name>`, which may be copied from
/// another object: it counts only if it names this one.
pub(super) fn tracked<'o>(
    identity: &Identity,
    object: &'o LiveObject,
) -> Option<(Option<&'o str>, &'o str)> {
    let mut parts = annotation(object, TRACKING).splitn(3, ':');
    let (application, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (group, kind) = kind.split_once('/')?;
    let (namespace, name) = name.split_once('/')?;
    let is_it = group == &*identity.group
        && kind == &*identity.kind
        && name == &*identity.name
        // That of a cluster-scoped object is the Application's destination.
        && identity.namespace.as_deref().is_none_or(|own| own == namespace);
    if !is_it || application.is_empty() {
        return None;
    }
    // https://argo-cd.readthedocs.io/en/stable/operator-manual/app-any-namespace/
    Some(match application.split_once('_') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, application),
    })
}

/// Finds what is deployed by somebody who cannot be asked; one source for each kind of these.
pub(super) fn find(live: &Live, auto: &mut Auto) {
    for deployer in &DEPLOYERS {
        let Some(why) = unread(live, deployer) else {
            continue;
        };
        let here: BTreeSet<(&str, &str)> = super::of_kind(live, deployer.group, deployer.kind)
            .map(|(identity, _)| (identity.namespace.as_deref().unwrap_or(""), &*identity.name))
            .collect();
        let is_here = |namespace: Option<&str>, name: &str| match namespace {
            Some(namespace) => here.contains(&(namespace, name)),
            None => here.iter().any(|(_, own)| *own == name),
        };
        let taken: BTreeSet<&Identity> = auto.found.iter().flat_map(|found| &found.owned).collect();
        let mut by_name: BTreeMap<String, Vec<Identity>> = BTreeMap::new();
        let marked = live
            .objects
            .iter()
            .filter(|(_, object)| object.value.mentions(deployer.key));
        for (identity, object) in marked {
            if let Some((namespace, name)) = (deployer.of)(identity, &object.opened())
                && !is_here(namespace.as_deref(), &name)
                && !taken.contains(identity)
            {
                let name = namespace.map_or_else(|| name.clone(), |of| format!("{of}/{name}"));
                by_name.entry(name).or_default().push(identity.clone());
            }
        }
        if by_name.is_empty() {
            continue;
        }
        auto.found.push(Found {
            name: deployer.tool.to_owned(),
            kind: deployer.tool.trim_end_matches("-helm"),
            location: deployer.shown.to_owned(),
            fetches: vec![Fetch::Unknown(format!(
                "{} deploy here that cannot be asked, because {why} ({})",
                deployer.shown,
                listed(by_name.keys().map(String::as_str))
            ))],
            namespace: None,
            edits: Edits::default(),
            ignores: Vec::new(),
            owned: by_name.into_values().flatten().collect(),
            bounded: true,
            deployers: Vec::new(),
            object: None,
        });
    }
}

/// Why not all deployers of a kind are among the live objects, if so.
fn unread(live: &Live, deployer: &Deployer) -> Option<String> {
    let kind = (deployer.group.into(), deployer.kind.into());
    match live.kinds.get(&kind).map(|kind| &kind.coverage) {
        None => Some(format!(
            "this cluster serves no {}: compare with their manifests by --desired",
            deployer.kind
        )),
        Some(Coverage::Unknown(why)) => Some(why.to_string()),
        Some(Coverage::Dropped(rule)) => Some(format!("rule {rule} drops them")),
        Some(Coverage::Complete) if live.namespaces.is_empty() => None,
        Some(Coverage::Complete) => Some("their namespaces are not read".to_owned()),
    }
}
