//! Helm's stored releases, made as Helm makes them.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::super::StoredRelease;
use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

/// The Secret that Helm makes of a release.
fn secret(namespace: &str, name: &str, version: u64, status: &str, packed: &[u8]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {
            "name": format!("sh.helm.release.v1.{name}.v{version}"), "namespace": namespace,
            "labels": {"name": name, "owner": "helm", "status": status, "version": version.to_string()},
        },
        "data": {"release": STANDARD.encode(STANDARD.encode(packed))},
    })
}

pub(super) fn stored(
    namespace: &str,
    name: &str,
    version: u64,
    status: &str,
    release_namespace: &str,
    manifest: &str,
) -> StoredRelease {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n";
    let release = json!({
        "name": name, "namespace": release_namespace, "version": version, "manifest": manifest,
        "info": {"status": status}, "config": {"password": "hunter2"},
        "hooks": [{"name": "t", "kind": "Pod", "manifest": "apiVersion: v1\nkind: Pod\nmetadata: {name: t}\n"}],
        "chart": {"files": [{"name": "crds/a.yaml", "data": STANDARD.encode(crd)}, {"name": "README.md"}]},
    });
    let object = secret(
        namespace,
        name,
        version,
        status,
        &gzip(release.to_string().as_bytes()),
    );
    StoredRelease::of(&object).expect("a release")
}

fn manifest(name: &str) -> String {
    format!(
        "---\n# Source: web/t.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n"
    )
}

fn find(yaml: &str, releases: &[StoredRelease]) -> Auto {
    super::super::find(&live(yaml), &Releases::Known(releases))
}

#[test]
fn the_newest_deployed_revision_is_desired() {
    let releases = [
        stored("shop", "web", 9, "deployed", "shop", &manifest("a")),
        stored("shop", "web", 10, "deployed", "shop", &manifest("b")),
        stored("shop", "web", 11, "failed", "shop", &manifest("c")),
        stored("shop", "gone", 1, "uninstalled", "shop", &manifest("d")),
    ];
    let auto = find("", &releases);
    let found = only(&auto);
    assert_eq!(
        (found.name.as_str(), found.kind),
        ("helm:shop/web", "helm-release")
    );
    assert_eq!(found.namespace.as_deref(), Some("shop"));
    assert_eq!(found.owned, [identity("apps/Deployment/shop/b")]);
    let [Fetch::Manifest(rendered)] = &found.fetches[..] else {
        panic!("{found:?}");
    };
    assert_eq!(*rendered.0, manifest("b"));
    assert_eq!(
        shown(&auto.ignores),
        [
            "Helm release shop/web, revision 10, hook: /Pod/shop/t Extra",
            "Helm release shop/web, revision 10, crds/: \
             apiextensions.k8s.io/CustomResourceDefinition/(any)/a.b Extra",
        ]
    );
}

/// No chart holds its release's namespace, so nobody declares it.
#[test]
fn a_namespace_that_helm_made_for_its_release_is_not_extra() {
    let namespaces = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\nmanager: helm\n\
                      ---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other}\nmanager: helm\n";
    let release = stored("shop", "web", 1, "deployed", "shop", "");
    let of_shop = |auto: &Auto| {
        let rules = shown(&auto.ignores).into_iter();
        rules
            .filter(|rule| rule.starts_with("Helm, --create-namespace"))
            .collect::<Vec<_>>()
    };
    let expected = ["Helm, --create-namespace shop: /Namespace/(any)/shop Extra"];
    assert_eq!(
        of_shop(&find(namespaces, std::slice::from_ref(&release))),
        expected
    );
    let by_hand = namespaces.replace("manager: helm", "manager: kubectl-create");
    assert!(of_shop(&find(&by_hand, &[release])).is_empty());
    let mirror = super::super::find(
        &live(&format!("{namespaces}---{INSTALLED}")),
        &Releases::NotRecorded,
    );
    assert_eq!(of_shop(&mirror), expected);
    // What hooks made names no release, and is no surprise either; nor is what is left of others.
    let owned = &only(&mirror).owned;
    assert_eq!(
        *owned,
        [identity("/Service/shop/web"), identity("/Namespace//other")]
    );
}

#[test]
fn without_a_deployed_revision_its_objects_are_unknown() {
    let releases = [stored("shop", "web", 1, "failed", "shop", &manifest("a"))];
    let auto = find("", &releases);
    let [Fetch::Unknown(reason)] = &only(&auto).fetches[..] else {
        panic!("{:?}", auto.found);
    };
    assert_eq!(
        reason,
        "Helm release shop/web, revision 1 is 'failed', and no revision is deployed"
    );
    assert_eq!(only(&auto).owned, [identity("apps/Deployment/shop/a")]);
}

#[test]
fn broken_releases_are_unknown_and_show_nothing() {
    let bomb = gzip(&vec![b' '; (32 << 20) + 2]);
    let cut = {
        let mut whole = gzip(b"{\"manifest\": \"hunter2\"}");
        whole.truncate(12);
        whole
    };
    for (packed, reason) in [
        (
            gzip(b"{\"manifest\": 5, \"x\": \"hunter2\"}"),
            "not the JSON of a release",
        ),
        (b"hunter2".to_vec(), "not the JSON of a release"),
        (cut, "not gzip"),
        (bomb, "more than 32 MiB"),
    ] {
        let object = secret("shop", "web", 1, "deployed", &packed);
        let release = StoredRelease::of(&object).expect("its form is right");
        let yaml = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n  \
                    labels: {app.kubernetes.io/managed-by: Helm}\n  annotations:\n    \
                    meta.helm.sh/release-name: web\n    meta.helm.sh/release-namespace: shop\n";
        let auto = find(yaml, &[release]);
        let [Fetch::Unknown(text)] = &only(&auto).fetches[..] else {
            panic!("{:?}", auto.found);
        };
        assert!(text.ends_with(reason), "{text}");
        assert!(!format!("{auto:?}").contains("hunter2"));
        assert_eq!(only(&auto).owned, [identity("/Service/shop/web")]);
    }
    let mut object = secret("shop", "web", 1, "deployed", b"x");
    object["data"]["release"] = "%%%".into();
    assert!(StoredRelease::of(&object).is_none());
}

#[test]
fn only_helms_own_storage_is_read() {
    let mut object = secret("shop", "web", 1, "deployed", &gzip(b"{}"));
    assert!(StoredRelease::of(&object).is_some());
    object["type"] = "Opaque".into();
    assert!(StoredRelease::of(&object).is_none());
    // The ConfigMap driver has one base64 less.
    object["kind"] = "ConfigMap".into();
    object["data"]["release"] = STANDARD.encode(gzip(b"{}")).into();
    let release = StoredRelease::of(&object).expect("a release");
    assert_eq!(only(&find("", &[release])).name, "helm:shop/web");
    object["metadata"]["labels"]["owner"] = "me".into();
    assert!(StoredRelease::of(&object).is_none());
}

#[test]
fn nothing_of_a_release_is_shown() {
    let release = stored("shop", "web", 1, "deployed", "shop", "hunter2: x");
    let debug = format!("{release:?}");
    assert!(
        debug.contains("web") && !debug.contains("packed"),
        "{debug}"
    );
    let auto = find("", &[release]);
    assert!(!format!("{auto:?}").contains("hunter2"));
}

/// An Application that took over a release leaves the Secrets where they are.
#[test]
fn a_release_whose_objects_another_source_owns_is_not_one() {
    let yaml = "apiVersion: argoproj.io/v1alpha1\nkind: Application\n\
                metadata: {name: shop, namespace: argocd}\n\
                spec: {destination: {name: in-cluster}, source: {repoURL: r, path: p}}\n\
                reported: {resources: [[apps, Deployment, shop, a]]}\n";
    let mut releases = vec![stored("shop", "web", 1, "deployed", "shop", &manifest("a"))];
    let auto = find(yaml, &releases);
    assert_eq!(only(&auto).name, "argocd:argocd/shop");
    let said = auto
        .warnings
        .iter()
        .any(|line| line.starts_with("Helm release shop/web is not"));
    assert!(said, "{:?}", auto.warnings);
    // One object of its own, and it is a source.
    let more = manifest("a") + &manifest("b");
    releases[0] = stored("shop", "web", 1, "deployed", "shop", &more);
    assert_eq!(find(yaml, &releases).found.len(), 2);
}

const INSTALLED: &str = "
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  labels: {app.kubernetes.io/managed-by: Helm}
  annotations: {meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: shop}
---
apiVersion: v1
kind: Service
metadata:
  name: rendered
  namespace: shop
  labels: {app.kubernetes.io/managed-by: Helm}
";

#[test]
fn from_a_mirror_one_source_says_that_releases_are_not_recorded() {
    let auto = super::super::find(&live(INSTALLED), &Releases::NotRecorded);
    let found = only(&auto);
    assert_eq!(found.owned, [identity("/Service/shop/web")]);
    let [Fetch::Unknown(reason)] = &found.fetches[..] else {
        panic!("{found:?}");
    };
    assert!(
        reason.starts_with("Helm releases are not recorded"),
        "{reason}"
    );
    assert!(reason.ends_with("(shop/web)"), "{reason}");
    // What a release of Flux's brought besides is Helm's, too.
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
               metadata: {name: a.b}\nmanager: helm-controller\n";
    let auto = super::super::find(&live(crd), &Releases::NotRecorded);
    let definition = identity("apiextensions.k8s.io/CustomResourceDefinition//a.b");
    assert_eq!(only(&auto).owned, [definition]);
    // Where nothing was installed with Helm, nothing is missing.
    let none = INSTALLED.split("---").nth(1).expect("two documents");
    assert!(
        super::super::find(&live(none), &Releases::NotRecorded)
            .found
            .is_empty()
    );
}
