//! Flux: its Kustomizations and Helm releases, each a source.
//!
//! <https://fluxcd.io/flux/components/kustomize/kustomizations/>,
//! <https://fluxcd.io/flux/components/source/gitrepositories/>,
//! <https://fluxcd.io/flux/components/helm/helmreleases/>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::helm::{self, Releases};
use super::{
    Auto, Edits, Fetch, Found, GitPath, Layout, Live, LiveObject, annotation, at, folder,
    ignore_object, is_given, label, list, newest, of_kind, qualified, reported, target, text,
};
use crate::drift::accept::{Ignore, Ignored, Place};
use crate::drift::desired::Identity;
use crate::drift::report::FieldClass;
use crate::filter::{FieldPath, Segment};

const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
const HELM: &str = "helm.toolkit.fluxcd.io";
const SOURCE: &str = "source.toolkit.fluxcd.io";

/// Finds what Flux deploys to this cluster. Returns the Helm releases that are its own, as
/// (namespace of their Secrets, name).
pub(super) fn find(
    live: &Live,
    releases: &Releases<'_>,
    auto: &mut Auto,
) -> BTreeSet<(String, String)> {
    let opted_out = opted_out(live);
    let mut elsewhere = 0_usize;
    for (identity, object) in of_kind(live, KUSTOMIZE, "Kustomization") {
        if is_given(&object.value, &["spec", "kubeConfig"]) {
            elsewhere += 1;
        } else {
            kustomization(identity, object, live, &opted_out, auto);
        }
    }
    let mut taken = BTreeSet::new();
    for (identity, object) in of_kind(live, HELM, "HelmRelease") {
        if is_given(&object.value, &["spec", "kubeConfig"]) {
            elsewhere += 1;
        } else {
            taken.insert(release(identity, object, live, releases, auto));
        }
    }
    if elsewhere > 0 {
        auto.warnings.push(format!(
            "Flux: {elsewhere} objects deploy to other clusters (spec.kubeConfig) and are no sources here"
        ));
    }
    taken
}

fn kustomization(
    identity: &Identity,
    object: &LiveObject,
    live: &Live,
    opted_out: &[OptOut<'_>],
    auto: &mut Auto,
) {
    let Some(spec) = at(&object.value, &["spec"]) else {
        return;
    };
    let whose = format!("Flux Kustomization {}", qualified(identity));
    let reported = reported(object);
    let owned = inventory(reported);
    let known: BTreeSet<&Identity> = owned.iter().collect();
    let owns = |object: &Identity, live: &LiveObject| {
        known.contains(object) || labelled(live, KUSTOMIZE, identity)
    };
    let mut ignores = Vec::new();
    let rules = list(spec, &["ignore"]);
    let name = format!("{whose}, ignore");
    target::read(&name, rules, live, &owns, &mut ignores, &mut auto.warnings);
    ignores.extend(
        opted_out
            .iter()
            .filter(|out| owns(out.identity, out.object) || !is_labelled(out.object, KUSTOMIZE))
            .map(OptOut::ignore),
    );
    ignores.extend(build_metadata(&whose, spec));
    let (location, fetch) = fetch(identity, spec, reported, live);
    let target_namespace = text(spec, &["targetNamespace"]);
    auto.found.push(Found {
        name: format!("flux:{}", qualified(identity)),
        kind: "flux",
        location,
        fetches: vec![fetch],
        // Kustomize has no default; what names no namespace is applied to `default`.
        namespace: Some("default".into()),
        edits: Edits {
            namespace: (!target_namespace.is_empty()).then(|| target_namespace.into()),
            labels: pairs(spec, "labels"),
            annotations: pairs(spec, "annotations"),
        },
        ignores,
        bounded: !owned.is_empty(),
        owned,
        deployers: Vec::new(),
        object: Some(identity.clone()),
    });
    if is_given(spec, &["suspend"]) {
        auto.warnings
            .push(format!("{whose} is suspended: drift is not corrected"));
    }
}

fn pairs(spec: &Value, key: &str) -> BTreeMap<String, String> {
    let pairs = at(spec, &["commonMetadata", key]).and_then(Value::as_object);
    let pairs = pairs.into_iter().flatten();
    let texts = pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    texts.collect()
}

/// The annotations that `spec.buildMetadata` makes kustomize write.
/// <https://fluxcd.io/flux/components/kustomize/kustomizations/#build-metadata>
fn build_metadata(whose: &str, spec: &Value) -> Option<Ignore> {
    if !is_given(spec, &["buildMetadata"]) {
        return None;
    }
    let written = [
        "config.kubernetes.io/origin",
        "alpha.config.kubernetes.io/transformations",
    ];
    let places = written.into_iter().filter_map(|annotation| {
        FieldPath::from_segments(vec![
            Segment::Field("metadata".into()),
            Segment::Field("annotations".into()),
            Segment::Key(annotation.into()),
        ])
    });
    Some(Ignore {
        name: format!("{whose}, buildMetadata"),
        what: Ignored::Paths(places.map(Place::Path).collect()),
        ..Ignore::default()
    })
}

/// Parts of a Kustomization that change manifests in ways that are not followed here.
const RENDERED: [&str; 6] = [
    "namePrefix",
    "nameSuffix",
    "patches",
    "images",
    "components",
    "postBuild",
];

fn fetch(identity: &Identity, spec: &Value, reported: &Value, live: &Live) -> (String, Fetch) {
    let reference = |key: &str| text(spec, &["sourceRef", key]);
    let kind = reference("kind");
    let namespace = match reference("namespace") {
        "" => identity.namespace.as_deref(),
        namespace => Some(namespace),
    };
    let name = reference("name");
    let shown = format!("{kind} {}/{name}", namespace.unwrap_or_default());
    let unknown = |reason: String| (shown.clone(), Fetch::Unknown(reason));
    if kind != "GitRepository" {
        return unknown(format!(
            "{shown}: OCI artifacts and buckets are not fetched; pull it (flux pull artifact) and \
             give the folder as a source"
        ));
    }
    let repository = Identity {
        group: SOURCE.into(),
        kind: kind.into(),
        namespace: namespace.map(Into::into),
        name: name.into(),
    };
    let Some(repository) = live.objects.get(&repository) else {
        return unknown(format!("{shown} is not among the live objects"));
    };
    let Some(path) = folder(text(spec, &["path"])) else {
        return unknown("its path leads out of the repository".to_owned());
    };
    let of_repository = |path: &[&str]| {
        let path = [&["spec"], path].concat();
        at(&repository.value, &path)
    };
    let url = of_repository(&["url"])
        .and_then(Value::as_str)
        .unwrap_or_default();
    let git = GitPath {
        url: url.to_owned(),
        revision: commit(text(reported, &["lastAppliedRevision"])),
        head: head(&repository.value, super::reported(repository)),
        path,
    };
    let location = git.location();
    let used: Vec<&str> = RENDERED
        .into_iter()
        .filter(|key| is_given(spec, &[key]))
        .collect();
    let of_source: Vec<&str> = ["include", "ignore"]
        .into_iter()
        .filter(|key| of_repository(&[key]).is_some_and(|value| is_given(value, &[])))
        .collect();
    let fetch = if !used.is_empty() {
        Fetch::Unknown(format!(
            "spec.{} of the Kustomization changes manifests, which is not followed here; give what \
             'flux build kustomization {}' prints as a source",
            used.join(", spec."),
            identity.name
        ))
    } else if !of_source.is_empty() {
        Fetch::Unknown(format!(
            "spec.{} of {shown} changes what the repository holds, which is not followed here; give a \
             folder of what is left as a source",
            of_source.join(", spec.")
        ))
    } else {
        Fetch::Git(git, Layout::Flux)
    };
    (location, fetch)
}

/// The commit of a revision: `main@sha1:<hash>`, `sha1:<hash>`, and `main/<hash>` of old.
/// <https://fluxcd.io/flux/components/source/gitrepositories/#artifact>
fn commit(revision: &str) -> Option<String> {
    let hash = revision.rsplit([':', '/']).next()?;
    let is_hash = matches!(hash.len(), 40 | 64) && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| hash.to_owned())
}

/// What is fetched next, in the order in which Flux asks:
/// <https://fluxcd.io/flux/components/source/gitrepositories/#reference>.
fn head(repository: &Value, reported: &Value) -> Option<String> {
    let of = |key: &str| {
        let text = text(repository, &["spec", "ref", key]);
        (!text.is_empty()).then(|| text.to_owned())
    };
    if of("commit").is_some() {
        return None;
    }
    if let Some(name) = of("name") {
        return Some(name);
    }
    if of("semver").is_some() {
        // Which tag that is, Flux says alone: `v1.2.3@sha1:…`.
        let revision = text(reported, &["artifact", "revision"]);
        return revision.split_once('@').map(|(tag, _)| tag.to_owned());
    }
    // https://fluxcd.io/flux/components/source/gitrepositories/#branch-example: `master` by default.
    of("tag")
        .or_else(|| of("branch"))
        .or_else(|| Some("master".to_owned()))
}

/// `status.inventory`: ids of the form `<namespace>_<name>_<group>_<kind>`, in whose name a colon
/// is written `__`, as cli-utils has it:
/// <https://github.com/fluxcd/cli-utils/blob/main/pkg/object/objmetadata.go>.
fn inventory(reported: &Value) -> Vec<Identity> {
    let ids = list(reported, &["inventory"]).iter();
    ids.filter_map(|id| parse_id(id.as_str()?)).collect()
}

fn parse_id(id: &str) -> Option<Identity> {
    let (namespace, rest) = id.split_once('_')?;
    let (rest, kind) = rest.rsplit_once('_')?;
    let (name, group) = rest.rsplit_once('_')?;
    let name = name.replace("__", ":");
    let fits = !kind.is_empty() && !name.is_empty() && !name.contains('_');
    fits.then(|| Identity {
        group: group.into(),
        kind: kind.into(),
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        name: name.into(),
    })
}

/// Whether an object's labels say that a `Kustomization` or `HelmRelease` applied it.
fn labelled(object: &LiveObject, group: &str, owner: &Identity) -> bool {
    label(object, &format!("{group}/name")) == &*owner.name
        && Some(label(object, &format!("{group}/namespace"))) == owner.namespace.as_deref()
}

fn is_labelled(object: &LiveObject, group: &str) -> bool {
    !label(object, &format!("{group}/name")).is_empty()
}

/// An object that asks Flux to leave it alone.
struct OptOut<'a> {
    identity: &'a Identity,
    object: &'a LiveObject,
    name: String,
    what: Ignored,
}

impl OptOut<'_> {
    fn ignore(&self) -> Ignore {
        ignore_object(self.name.clone(), self.identity, self.what.clone())
    }
}

/// Per-object opt-outs, in labels or annotations, in any case of letters:
/// <https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources>.
fn opted_out(live: &Live) -> Vec<OptOut<'_>> {
    let mut found = Vec::new();
    for (identity, object) in &live.objects {
        let says = |key: &str, value: &str| {
            let key = format!("{KUSTOMIZE}/{key}");
            annotation(object, &key).eq_ignore_ascii_case(value)
                || label(object, &key).eq_ignore_ascii_case(value)
        };
        let (key, value, what) = if says("reconcile", "disabled") {
            ("reconcile", "disabled", Ignored::Object)
        } else if says("ssa", "Ignore") {
            ("ssa", "Ignore", Ignored::Object)
        } else if says("ssa", "IfNotPresent") {
            ("ssa", "IfNotPresent", Ignored::Object)
        } else if says("ssa", "Merge") {
            // What others added stays.
            ("ssa", "Merge", Ignored::Classes(vec![FieldClass::Added]))
        } else {
            continue;
        };
        found.push(OptOut {
            identity,
            object,
            name: format!("{KUSTOMIZE}/{key}: {value}"),
            what,
        });
    }
    found
}

/// A `HelmRelease`: desired is what its newest Helm release holds, after post-rendering.
fn release(
    identity: &Identity,
    object: &LiveObject,
    live: &Live,
    releases: &Releases<'_>,
    auto: &mut Auto,
) -> (String, String) {
    let spec = at(&object.value, &["spec"]).unwrap_or(&Value::Null);
    let whose = format!("Flux HelmRelease {}", qualified(identity));
    let reported = reported(object);
    let own = identity.namespace.as_deref().unwrap_or_default();
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    let storage = or(text(spec, &["storageNamespace"]), own);
    let target_namespace = text(spec, &["targetNamespace"]);
    let installed = text(newest(reported), &["name"]);
    let name = match (installed, text(spec, &["releaseName"]), target_namespace) {
        // https://fluxcd.io/flux/components/helm/helmreleases/#release-name
        ("", "", "") => shortened(&identity.name),
        ("", "", target) => shortened(&format!("{target}-{}", identity.name)),
        ("", name, _) => shortened(name),
        (name, _, _) => name.to_owned(),
    };
    let mut owned: BTreeSet<Identity> = inventory(reported).into_iter().collect();
    let mut ignores = Vec::new();
    let mut left_alone = Vec::new();
    let namespace = or(target_namespace, own);
    for (identity_of, live) in &live.objects {
        if labelled(live, HELM, identity) || helm::owns(live, &namespace, &name) {
            owned.insert(identity_of.clone());
        } else if !owned.contains(identity_of) {
            continue;
        }
        let key = format!("{HELM}/driftDetection");
        if annotation(live, &key) == "disabled" || label(live, &key) == "disabled" {
            left_alone.push(ignore_object(
                format!("{key}: disabled"),
                identity_of,
                Ignored::Object,
            ));
        }
    }
    ignores.extend(left_alone);
    let rules = list(spec, &["driftDetection", "ignore"]);
    let rule = format!("{whose}, driftDetection.ignore");
    let owns = |identity: &Identity, _: &LiveObject| owned.contains(identity);
    target::read(&rule, rules, live, &owns, &mut ignores, &mut auto.warnings);
    let release = helm::of_flux(live, releases, &storage, &name);
    auto.ignores.extend(release.ignores);
    owned.extend(release.owned);
    auto.found.push(Found {
        name: format!("flux-helm:{}", qualified(identity)),
        kind: "flux",
        location: format!("Helm release {storage}/{name}"),
        fetches: vec![release.fetch],
        namespace: Some(namespace.into()),
        edits: Edits::default(),
        ignores,
        // Since Helm 3.2 its objects name their release.
        bounded: !owned.is_empty(),
        owned: owned.into_iter().collect(),
        deployers: Vec::new(),
        object: Some(identity.clone()),
    });
    if is_given(spec, &["suspend"]) {
        auto.warnings
            .push(format!("{whose} is suspended: drift is not corrected"));
    }
    (storage, name)
}

/// A release's name within Helm's 53 characters, as helm-controller shortens it:
/// <https://github.com/fluxcd/helm-controller/blob/main/internal/release/name.go>.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 53;
    const HASH: usize = 12;
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let digest = Sha256::digest(name.as_bytes());
    let mut hex = String::with_capacity(HASH);
    for byte in digest.iter().take(HASH / 2) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    let mut keep = LONGEST - HASH - 1;
    while !name.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}-{hex}", &name[..keep])
}
