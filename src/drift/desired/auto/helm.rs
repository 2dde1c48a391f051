//! Helm's releases: what was rendered when they were installed or upgraded, taken from Helm's own
//! storage in the cluster.
//!
//! A release is a Secret of type `helm.sh/release.v1` (or a `ConfigMap` with label `owner: helm`),
//! whose `data.release` is base64 of gzip of JSON, in a Secret once more in base64:
//! <https://helm.sh/docs/topics/advanced/#storage-backends>,
//! <https://github.com/helm/helm/blob/main/pkg/storage/driver/util.go>. It holds every rendered
//! manifest, Secrets with it: nothing of it is shown, and the bytes are overwritten when dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::kustomize::identity_of;
use super::{
    Auto, Edits, Fetch, Found, Live, LiveObject, Rendered, annotation, ignore_object, label,
    listed, text,
};
use crate::canonical;
use crate::drift::accept::{Ignore, Ignored};
use crate::drift::desired::Identity;

/// The type of the Secrets.
const SECRET_TYPE: &str = "helm.sh/release.v1";
const DEPLOYED: &str = "deployed";
const UNINSTALLED: &str = "uninstalled";
/// Most that one release may unpack to. Kubernetes takes at most 1 MiB packed.
const LARGEST: u64 = 32 << 20;
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Why a stored release cannot be read. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Not base64 of anything.
    #[error("it is not base64")]
    Base64,
    /// Not gzip.
    #[error("it is not gzip")]
    Gzip,
    /// Larger than any release.
    #[error("it unpacks to more than {} MiB", LARGEST >> 20)]
    TooLarge,
    /// Not a release's JSON.
    #[error("it is not the JSON of a release")]
    Json,
}

/// One revision of a release, as Helm stores it.
#[derive(Clone)]
pub struct StoredRelease {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The release's name.
    pub name: String,
    /// The revision, from 1.
    pub version: u64,
    /// `deployed`, `superseded`, `failed`, `uninstalled`, `pending-upgrade`, …
    pub status: String,
    /// Base64 of gzip of JSON.
    packed: Zeroizing<String>,
}

impl fmt::Debug for StoredRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRelease")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("version", &self.version)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl StoredRelease {
    /// Reads a Secret or `ConfigMap` of Helm's storage, before any filter; `None` for any other
    /// object.
    pub fn of(object: &Value) -> Option<Self> {
        let label = |key: &str| text(object, &["metadata", "labels", key]);
        let release = text(object, &["data", "release"]);
        let packed = match text(object, &["kind"]) {
            "Secret" if text(object, &["type"]) == SECRET_TYPE => {
                let bytes = Zeroizing::new(STANDARD.decode(release).ok()?);
                Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned())
            }
            "ConfigMap" if label("owner") == "helm" => Zeroizing::new(release.to_owned()),
            _ => return None,
        };
        let named = !label("name").is_empty() && !packed.is_empty();
        named.then(|| Self {
            namespace: text(object, &["metadata", "namespace"]).to_owned(),
            name: label("name").to_owned(),
            version: label("version").parse().unwrap_or_default(),
            status: label("status").to_owned(),
            packed,
        })
    }

    /// Unpacks it.
    fn read(&self) -> Result<Release, ReleaseError> {
        let decoded = STANDARD.decode(self.packed.trim_end().as_bytes());
        let bytes = Zeroizing::new(decoded.map_err(|_| ReleaseError::Base64)?);
        // Releases of before compression are plain JSON.
        let json = if bytes.starts_with(&GZIP) {
            // A vector that grows leaves copies behind. gzip ends with the length: RFC 1952, 2.3.1.
            let length = bytes
                .last_chunk()
                .map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let length = u64::from(length).min(LARGEST) + 1;
            let mut json = Zeroizing::new(Vec::with_capacity(
                usize::try_from(length).unwrap_or_default(),
            ));
            GzDecoder::new(&bytes[..])
                .take(LARGEST + 1)
                .read_to_end(&mut json)
                .map_err(|_| ReleaseError::Gzip)?;
            json
        } else {
            bytes
        };
        if json.len() as u64 > LARGEST {
            return Err(ReleaseError::TooLarge);
        }
        serde_json::from_slice(&json).map_err(|_| ReleaseError::Json)
    }
}

/// What is known of Helm's releases.
#[derive(Clone, Copy, Debug)]
pub enum Releases<'a> {
    /// All of them, every revision or the deployed ones.
    Known(&'a [StoredRelease]),
    /// None: the live side is a mirror, which must not hold them.
    NotRecorded,
    /// None, because the cluster does not give them, for this reason.
    Unreadable(&'a str),
}

impl Releases<'_> {
    /// Why they are not known.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Known(_) => None,
            Self::NotRecorded => Some(
                "Helm releases are not recorded in a mirror, because they hold Secrets: compare with the cluster".to_owned(),
            ),
            Self::Unreadable(reason) => Some(format!("Helm releases could not be read: {reason}")),
        }
    }
}

/// The parts of a release that matter here.
#[derive(Deserialize)]
struct Release {
    #[serde(default)]
    manifest: Zeroizing<String>,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    hooks: Option<Vec<Hook>>,
    #[serde(default)]
    chart: Option<ChartFiles>,
}

#[derive(Deserialize)]
struct Hook {
    #[serde(default)]
    manifest: Zeroizing<String>,
}

#[derive(Deserialize)]
struct ChartFiles {
    #[serde(default)]
    files: Option<Vec<ChartFile>>,
}

#[derive(Deserialize)]
struct ChartFile {
    #[serde(default)]
    name: String,
    /// Base64.
    #[serde(default)]
    data: Option<Zeroizing<String>>,
}

/// What a release desires, and what it brought besides.
pub(super) struct Unpacked {
    pub(super) fetch: Fetch,
    /// What it brought that is not desired, and no surprise.
    pub(super) ignores: Vec<Ignore>,
    pub(super) owned: Vec<Identity>,
    pub(super) namespace: Option<String>,
}

impl Unpacked {
    fn unknown(reason: String) -> Self {
        Self {
            fetch: Fetch::Unknown(reason),
            ignores: Vec::new(),
            owned: Vec::new(),
            namespace: None,
        }
    }
}

/// The release of a Flux `HelmRelease`.
pub(super) fn of_flux(
    live: &Live,
    releases: &Releases<'_>,
    namespace: &str,
    name: &str,
) -> Unpacked {
    let known = match releases {
        Releases::Known(known) => known,
        other => return Unpacked::unknown(other.reason().unwrap_or_default()),
    };
    let revisions: Vec<&StoredRelease> = known
        .iter()
        .filter(|release| release.namespace == namespace && release.name == name)
        .collect();
    unpack(live, &revisions).unwrap_or_else(|| {
        Unpacked::unknown(format!(
            "Helm release {namespace}/{name} is not installed, or its Secrets cannot be read"
        ))
    })
}

/// Reads the revision that is live: the newest that is deployed. `None` where there is none and
/// none is on its way.
fn unpack(live: &Live, revisions: &[&StoredRelease]) -> Option<Unpacked> {
    let newest = |fits: &dyn Fn(&str) -> bool| {
        let fitting = revisions.iter().filter(|release| fits(&release.status));
        fitting.max_by_key(|release| release.version).copied()
    };
    let deployed = newest(&|status| status == DEPLOYED);
    let current = deployed.or_else(|| newest(&|status| status != UNINSTALLED))?;
    let shown = format!(
        "Helm release {}/{}, revision {}",
        current.namespace, current.name, current.version
    );
    let release = match current.read() {
        Ok(release) => release,
        Err(error) => {
            return Some(Unpacked::unknown(format!(
                "{shown} cannot be read: {error}"
            )));
        }
    };
    let namespace = if release.namespace.is_empty() {
        current.namespace.clone()
    } else {
        release.namespace
    };
    let hooks = release.hooks.unwrap_or_default();
    let hooks = hooks
        .iter()
        .flat_map(|hook| identities(live, &hook.manifest, &namespace));
    let hooks = hooks.map(|hook| {
        // https://helm.sh/docs/topics/charts_hooks/: Helm does not track what hooks make.
        ignore_object(format!("{shown}, hook"), &hook, Ignored::Extra)
    });
    let mut ignores: Vec<Ignore> = hooks.collect();
    let files = release
        .chart
        .and_then(|chart| chart.files)
        .unwrap_or_default();
    for file in files.iter().filter(|file| file.name.starts_with("crds/")) {
        let data = file
            .data
            .as_ref()
            .and_then(|data| STANDARD.decode(data.as_bytes()).ok());
        let text = data
            .and_then(|data| String::from_utf8(data).ok())
            .unwrap_or_default();
        for definition in identities(live, &text, &namespace) {
            // https://helm.sh/docs/chart_best_practices/custom_resource_definitions/: installed
            // once, never upgraded.
            ignores.push(ignore_object(
                format!("{shown}, crds/"),
                &definition,
                Ignored::Extra,
            ));
        }
    }
    ignores.extend(created_namespace(live, &namespace));
    let owned = identities(live, &release.manifest, &namespace).collect();
    let fetch = if deployed.is_some() {
        Fetch::Manifest(Rendered(release.manifest))
    } else {
        Fetch::Unknown(format!(
            "{shown} is '{}', and no revision is deployed",
            crate::process::one_line(&current.status, 40)
        ))
    };
    Some(Unpacked {
        fetch,
        ignores,
        owned,
        namespace: Some(namespace),
    })
}

/// The namespace of a release, if Helm made it (`--create-namespace`, or Flux's
/// `install.createNamespace`): no chart holds it, and no uninstallation removes it.
/// <https://helm.sh/docs/helm/helm_install/>
fn created_namespace(live: &Live, namespace: &str) -> Option<Ignore> {
    let identity = Identity {
        kind: "Namespace".into(),
        name: namespace.into(),
        ..Identity::default()
    };
    let made = wrote(live.objects.get(&identity)?);
    made.then(|| {
        let name = format!("Helm, --create-namespace {namespace}");
        ignore_object(name, &identity, Ignored::Extra)
    })
}

/// Whether Helm wrote something of an object, by its own program or as a part of Flux.
fn wrote(object: &LiveObject) -> bool {
    let mut writers = object.shape.writers.iter();
    writers.any(|writer| matches!(&*writer.manager, "helm" | "helm-controller"))
}

/// Which objects a rendered text declares; none where it cannot be read, which whoever compares it
/// says.
fn identities<'a>(
    live: &'a Live,
    text: &str,
    namespace: &'a str,
) -> impl Iterator<Item = Identity> + use<'a> {
    let documents = canonical::read_all(text.as_bytes()).unwrap_or_default();
    documents.into_iter().filter_map(move |document| {
        let mut identity = identity_of(&document.value, Some(namespace))?;
        let kind = (identity.group.clone(), identity.kind.clone());
        let in_cluster = live.kinds.get(&kind).is_some_and(|kind| !kind.namespaced);
        if in_cluster || &*identity.kind == "CustomResourceDefinition" {
            identity.namespace = None;
        }
        Some(identity)
    })
}

/// Whether an object's annotations say that this release installed it, as Helm 3.2 and later write
/// them.
pub(super) fn owns(object: &LiveObject, namespace: &str, name: &str) -> bool {
    release_of(object) == Some((namespace, name))
}

/// The release that installed an object: (namespace, name).
/// <https://helm.sh/docs/faq/changes_since_helm2/#improved-upgrade-strategy-3-way-strategic-merge-patches>
///
/// The label alone says nothing: charts write it, and what renders a chart without Helm has it.
fn release_of(object: &LiveObject) -> Option<(&str, &str)> {
    let name = annotation(object, "meta.helm.sh/release-name");
    let namespace = annotation(object, "meta.helm.sh/release-namespace");
    let labelled = label(object, "app.kubernetes.io/managed-by") == "Helm";
    (labelled && !name.is_empty()).then_some((namespace, name))
}

/// Finds Helm's releases, but for those that Flux owns.
pub(super) fn find(
    live: &Live,
    releases: &Releases<'_>,
    taken: &BTreeSet<(String, String)>,
    auto: &mut Auto,
) {
    let known = match releases {
        Releases::Known(known) => known,
        other => return not_known(live, &other.reason().unwrap_or_default(), auto),
    };
    let mut by_name: BTreeMap<(&str, &str), Vec<&StoredRelease>> = BTreeMap::new();
    for release in *known {
        let name = (release.namespace.as_str(), release.name.as_str());
        by_name.entry(name).or_default().push(release);
    }
    let others: BTreeSet<Identity> = auto
        .found
        .iter()
        .flat_map(|found| found.owned.iter().cloned())
        .collect();
    for ((namespace, name), revisions) in by_name {
        if taken.contains(&(namespace.to_owned(), name.to_owned())) {
            continue;
        }
        let Some(unpacked) = unpack(live, &revisions) else {
            continue;
        };
        let owned = &unpacked.owned;
        if !owned.is_empty() && owned.iter().all(|object| others.contains(object)) {
            // What was once installed with Helm and then handed over leaves its Secrets behind.
            auto.warnings.push(format!(
                "Helm release {namespace}/{name} is not taken as a source: all its objects belong to another one"
            ));
            continue;
        }
        let release_namespace = unpacked.namespace.unwrap_or_else(|| namespace.to_owned());
        let mut owned: BTreeSet<Identity> = unpacked.owned.into_iter().collect();
        if matches!(unpacked.fetch, Fetch::Unknown(_)) {
            owned.extend(owned_by(live, &release_namespace, name));
        }
        auto.ignores.extend(unpacked.ignores);
        auto.found.push(Found {
            name: format!("helm:{namespace}/{name}"),
            kind: "helm-release",
            location: format!("Helm release {namespace}/{name}"),
            fetches: vec![unpacked.fetch],
            namespace: Some(release_namespace.into()),
            edits: Edits::default(),
            ignores: Vec::new(),
            bounded: !owned.is_empty(),
            owned: owned.into_iter().collect(),
            deployers: Vec::new(),
            object: None,
        });
    }
}

fn owned_by<'a>(
    live: &'a Live,
    namespace: &'a str,
    name: &'a str,
) -> impl Iterator<Item = Identity> + 'a {
    let owned = live
        .objects
        .iter()
        .filter(move |(_, object)| owns(object, namespace, name));
    owned.map(|(identity, _)| identity.clone())
}

/// One source for all releases that objects name, none where no object names one.
fn not_known(live: &Live, reason: &str, auto: &mut Auto) {
    let others: BTreeSet<&Identity> = auto
        .found
        .iter()
        .flat_map(|found| found.owned.iter())
        .collect();
    let mut names = BTreeSet::new();
    let mut namespaces = BTreeSet::new();
    let (mut owned, mut besides) = (Vec::new(), Vec::new());
    for (identity, object) in &live.objects {
        let release = release_of(object);
        namespaces.extend(release.map(|(namespace, _)| namespace));
        if others.contains(identity) {
            continue;
        }
        if let Some((namespace, name)) = release {
            names.insert(format!("{namespace}/{name}"));
            owned.push(identity.clone());
        } else if wrote(object) {
            // What hooks make, and the definitions in `crds/`, do not name their release.
            besides.push(identity);
        }
    }
    let created = namespaces
        .iter()
        .filter_map(|of| created_namespace(live, of));
    auto.ignores.extend(created);
    let is_release = |of: &Identity| &*of.kind == "Namespace" && namespaces.contains(&*of.name);
    let besides = besides.into_iter().filter(|of| !is_release(of)).cloned();
    owned.extend(besides);
    if owned.is_empty() {
        return;
    }
    let shown = match names.len() {
        0 => String::new(),
        _ => format!(" ({})", listed(names.iter().map(String::as_str))),
    };
    auto.found.push(Found {
        name: "helm".to_owned(),
        kind: "helm-release",
        location: "Helm releases".to_owned(),
        fetches: vec![Fetch::Unknown(format!("{reason}{shown}"))],
        namespace: None,
        edits: Edits::default(),
        ignores: Vec::new(),
        owned,
        bounded: true,
        deployers: Vec::new(),
        object: None,
    });
}
