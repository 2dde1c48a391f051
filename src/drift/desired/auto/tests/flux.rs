//! Flux's objects, with the field names of its CRDs.

use std::collections::BTreeMap;

use super::super::kustomize::Edits;
use super::super::{GitPath, StoredRelease};
use super::*;
use crate::drift::desired::Manifest;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

const REPOSITORY: &str = "
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: fleet, namespace: flux-system}
spec: {interval: 1m, url: 'https://git.example.com/fleet', ref: {branch: main}}
reported: {artifact: {revision: 'main@sha1:ffff'}}
---
";

fn kustomization(spec: &str) -> String {
    format!(
        "{REPOSITORY}apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
         metadata: {{name: apps, namespace: flux-system}}\nspec:\n  interval: 10m\n  prune: true\n  \
         path: ./apps/prod\n  sourceRef: {{kind: GitRepository, name: fleet}}\n{spec}\n\
         reported:\n  lastAppliedRevision: main@sha1:{COMMIT}\n  \
         inventory: [shop_web_apps_Deployment, _system__admin_rbac.authorization.k8s.io_ClusterRole, broken]\n"
    )
}

fn deployment(name: &str, metadata: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\n\
         metadata: {{name: {name}, namespace: shop, {metadata}}}\n"
    )
}

#[test]
fn a_folder_at_what_was_last_applied() {
    let auto = find(&kustomization(
        "  targetNamespace: shop\n  commonMetadata: {labels: {team: a}, annotations: {b: c}}",
    ));
    let found = only(&auto);
    assert_eq!(
        (found.name.as_str(), found.kind),
        ("flux:flux-system/apps", "flux")
    );
    let git = GitPath {
        url: "https://git.example.com/fleet".into(),
        revision: Some(COMMIT.into()),
        head: Some("main".into()),
        path: "apps/prod".into(),
    };
    assert_eq!(found.location, "https://git.example.com/fleet:apps/prod");
    assert_eq!(found.fetches, [Fetch::Git(git, Layout::Flux)]);
    assert_eq!(
        found.owned,
        [
            identity("apps/Deployment/shop/web"),
            identity("rbac.authorization.k8s.io/ClusterRole//system:admin")
        ]
    );
    assert_eq!(found.edits.namespace.as_deref(), Some("shop"));
    assert_eq!(found.edits.labels["team"], "a");
    assert_eq!(found.edits.annotations["b"], "c");
    assert_eq!(auto.warnings, Vec::<String>::new());
}

#[test]
fn what_is_applied_next_is_what_the_repository_follows() {
    for (reference, expected) in [
        ("{branch: main}", Some("main")),
        ("{branch: main, commit: abc}", None),
        (
            "{branch: main, name: refs/pull/1/head}",
            Some("refs/pull/1/head"),
        ),
        ("{tag: v1}", Some("v1")),
        ("{branch: main, tag: v1}", Some("v1")),
        ("{tag: v1, semver: '>=1'}", Some("main")),
        ("{}", Some("master")),
    ] {
        let auto = find(&kustomization("").replace("{branch: main}", reference));
        let [Fetch::Git(git, _)] = &only(&auto).fetches[..] else {
            panic!("{:?}", auto.found);
        };
        assert_eq!(git.head.as_deref(), expected, "{reference}");
    }
}

#[test]
fn revisions_of_all_times_are_read() {
    for (revision, expected) in [
        (format!("main@sha1:{COMMIT}"), true),
        (format!("sha1:{COMMIT}"), true),
        (format!("refs/heads/main@sha1:{COMMIT}"), true),
        (format!("main/{COMMIT}"), true),
        ("main@sha1:abc".to_owned(), false),
        (String::new(), false),
    ] {
        let line = format!("main@sha1:{COMMIT}");
        let auto = find(&kustomization("").replace(&line, &revision));
        let [Fetch::Git(git, _)] = &only(&auto).fetches[..] else {
            panic!("{:?}", auto.found);
        };
        assert_eq!(git.revision.is_some(), expected, "{revision}");
    }
}

#[test]
fn what_is_not_followed_is_unknown_with_its_reason() {
    for (change, reason) in [
        ("  namePrefix: a-", "spec.namePrefix"),
        ("  patches: [{patch: x}]", "spec.patches"),
        (
            "  images: [{name: a}]\n  postBuild: {substitute: {a: b}}",
            "spec.images, spec.postBuild",
        ),
        ("  components: [a]", "spec.components"),
        ("  path: ../x", "leads out"),
        (
            "  sourceRef: {kind: OCIRepository, name: fleet}",
            "OCI artifacts",
        ),
        (
            "  sourceRef: {kind: GitRepository, name: other}",
            "not among the live objects",
        ),
    ] {
        let old = match change.trim_start().split(':').next() {
            Some("path") => "  path: ./apps/prod\n",
            Some("sourceRef") => "  sourceRef: {kind: GitRepository, name: fleet}\n",
            _ => "",
        };
        let auto = find(&kustomization(change).replacen(old, "", usize::from(!old.is_empty())));
        let [Fetch::Unknown(text)] = &only(&auto).fetches[..] else {
            panic!("{change}: {:?}", auto.found);
        };
        assert!(text.contains(reason), "{text}");
        assert_eq!(only(&auto).owned.len(), 2, "unknown, not extra");
    }
    let auto = find(&kustomization("").replace("ref:", "ignore: '/*'\n  ref:").replace(
        "spec: {interval: 1m, url: 'https://git.example.com/fleet', ignore: '/*'\n  ref: {branch: main}}",
        "spec: {url: u, ignore: '/*', ref: {branch: main}}",
    ));
    assert!(
        matches!(&only(&auto).fetches[..], [Fetch::Unknown(text)] if text.contains("spec.ignore of")),
        "{:?}",
        auto.found
    );
}

#[test]
fn other_clusters_and_suspended_ones_are_said() {
    let auto = find(&kustomization("  kubeConfig: {secretRef: {name: prod}}"));
    assert!(auto.found.is_empty());
    assert!(auto.warnings[0].contains("1 objects deploy to other clusters"));
    let auto = find(&kustomization("  suspend: true"));
    assert_eq!(auto.found.len(), 1);
    assert!(auto.warnings[0].contains("flux-system/apps is suspended"));
}

#[test]
fn ignore_rules_with_targets_reach_the_objects_that_fit() {
    let yaml = kustomization(
        "  ignore:\n  - {paths: [/spec/replicas, /spec/template/spec/containers/0/image]}\n  \
         - {paths: [/spec], target: {kind: Deploy.*, name: 'web|other', labelSelector: 'a in (b)'}}\n  \
         - {paths: [''], target: {kind: Deployment, annotationSelector: x=z}}\n  \
         - {paths: [/spec], target: {name: '('}}",
    ) + &deployment("web", "labels: {a: b}, annotations: {x: z}")
        // Fits, and is not Flux's.
        + &deployment("other", "labels: {a: b}")
        // The pattern must match the whole name.
        + &deployment(
            "web2",
            "labels: {a: b, kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}",
        );
    let auto = find(&yaml);
    let whose = "Flux Kustomization flux-system/apps, ignore";
    assert_eq!(
        shown(&only(&auto).ignores),
        [
            format!(
                "{whose}[0]: (any)/(any)/(any)/(any) spec.replicas [Key(\"spec\"), Key(\"template\"), \
                 Key(\"spec\"), Key(\"containers\"), Index(0), Key(\"image\")]"
            ),
            format!("{whose}[1]: apps/Deployment/shop/web spec"),
            format!("{whose}[2]: apps/Deployment/shop/web Object"),
        ]
    );
    let said = &auto.warnings[..];
    assert!(
        matches!(said, [line] if line.contains("ignore[3]: not honoured")),
        "{said:?}"
    );
}

#[test]
fn objects_opt_out() {
    let flux = |key: &str| format!("annotations: {{kustomize.toolkit.fluxcd.io/{key}}}");
    let yaml = kustomization("")
        + &deployment("web", &flux("reconcile: Disabled"))
        + &deployment("a", &flux("ssa: ignore"))
        + &deployment("b", &flux("ssa: IfNotPresent"))
        + &deployment("c", "labels: {kustomize.toolkit.fluxcd.io/ssa: Merge}")
        + &deployment("d", &flux("ssa: Override"))
        // Another Kustomization's.
        + &deployment(
            "e",
            "labels: {kustomize.toolkit.fluxcd.io/name: x, kustomize.toolkit.fluxcd.io/ssa: Ignore}",
        );
    let prefix = "kustomize.toolkit.fluxcd.io";
    assert_eq!(
        shown(&only(&find(&yaml)).ignores),
        [
            format!("{prefix}/ssa: Ignore: apps/Deployment/shop/a Object"),
            format!("{prefix}/ssa: IfNotPresent: apps/Deployment/shop/b Object"),
            format!("{prefix}/ssa: Merge: apps/Deployment/shop/c Classes([Added])"),
            format!("{prefix}/reconcile: disabled: apps/Deployment/shop/web Object"),
        ]
    );
}

const HELM_RELEASE: &str = "
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: flux-system}
spec:
  targetNamespace: shop
  storageNamespace: store
  driftDetection:
    mode: enabled
    ignore: [{paths: [/spec/replicas], target: {kind: Deployment}}]
";

#[test]
fn a_helm_release_takes_the_release_that_it_made() {
    let yaml = HELM_RELEASE.to_owned()
        + &deployment(
            "web",
            "labels: {helm.toolkit.fluxcd.io/name: web, helm.toolkit.fluxcd.io/namespace: flux-system}",
        )
        + &deployment("other", "");
    let release = super::helm::stored("store", "shop-web", 1, "deployed", "shop", "kind: A\n");
    let both = [
        release,
        super::helm::stored("shop", "own", 1, "deployed", "shop", ""),
    ];
    let auto = super::super::find(&live(&yaml), &Releases::Known(&both));
    let names: Vec<&str> = auto.found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(
        names,
        ["flux-helm:flux-system/web", "helm:shop/own"],
        "each once"
    );
    let found = &auto.found[0];
    assert!(
        matches!(&found.fetches[..], [Fetch::Manifest(_)]),
        "{found:?}"
    );
    assert_eq!(found.namespace.as_deref(), Some("shop"));
    assert_eq!(found.owned, [identity("apps/Deployment/shop/web")]);
    assert_eq!(
        shown(&found.ignores),
        [
            "Flux HelmRelease flux-system/web, driftDetection.ignore[0]: apps/Deployment/shop/web spec.replicas"
        ]
    );
}

#[test]
fn a_helm_release_without_its_release_is_unknown() {
    for (releases, reason) in [
        (Releases::Known(&[] as &[StoredRelease]), "is not installed"),
        (Releases::NotRecorded, "not recorded in a mirror"),
        (Releases::Unreadable("forbidden"), "forbidden"),
    ] {
        let auto = super::super::find(&live(HELM_RELEASE), &releases);
        let [Fetch::Unknown(text)] = &only(&auto).fetches[..] else {
            panic!("{:?}", auto.found);
        };
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn long_names_are_shortened_as_helm_controller_does() {
    let long = "a".repeat(60);
    let yaml = HELM_RELEASE.replace("name: web", &format!("name: {long}"));
    let auto = find(&yaml);
    let location = &only(&auto).location;
    // printf 'shop-aaa…' | sha256sum
    let name = location
        .strip_prefix("Helm release store/")
        .expect("a release");
    assert_eq!(name.len(), 53);
    assert!(
        name.starts_with(&format!("shop-{}-", "a".repeat(35))),
        "{name}"
    );
}

fn edited(edits: &Edits, yaml: &str) -> Vec<Value> {
    let documents = canonical::read_all(yaml.as_bytes()).expect("the test's YAML");
    let manifests = documents
        .into_iter()
        .map(|document| Manifest::new(&document.value, "f".into(), 1));
    let mut manifests: Vec<Manifest> = manifests.collect();
    edits.apply(&mut manifests, &|_, kind| {
        Some(!CLUSTER_SCOPED.contains(&kind))
    });
    manifests
        .into_iter()
        .map(|manifest| Value::clone(&manifest.value()))
        .collect()
}

/// What `kubectl kustomize` makes of the same manifests: `tests/drift_auto` runs it.
#[test]
fn a_target_namespace_moves_objects_and_what_refers_to_them() {
    let edits = Edits {
        namespace: Some("to".into()),
        labels: BTreeMap::from([("team".into(), "a".into())]),
        ..Edits::default()
    };
    let sorted = |mut objects: Vec<Value>| {
        objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
        objects
    };
    let before = sorted(edited(&edits, include_str!("kustomized/before.yaml")));
    let after = sorted(edited(
        &Edits::default(),
        include_str!("kustomized/after.yaml"),
    ));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
}
