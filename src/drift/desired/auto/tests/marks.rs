//! Objects whose deployers cannot be asked.

use super::*;

const TRACKED: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
  namespace: shop
  annotations: {argocd.argoproj.io/tracking-id: 'shop:/ConfigMap:shop/web'}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: copy
  namespace: shop
  annotations: {argocd.argoproj.io/tracking-id: 'shop:/ConfigMap:shop/web'}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: web
  annotations: {argocd.argoproj.io/tracking-id: 'team_shop:rbac.authorization.k8s.io/ClusterRole:shop/web'}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux}
";

const APPLICATION: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: other, namespace: argocd}
spec: {destination: {name: in-cluster}, source: {repoURL: r, path: p}}
";

fn sources(auto: &Auto) -> Vec<(&str, Vec<String>, bool)> {
    let sources = auto.found.iter().map(|found| {
        let owned = found.owned.iter();
        let owned = owned.map(|of| format!("{} {}", of.kind, of.name)).collect();
        (found.name.as_str(), owned, found.bounded)
    });
    sources.collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn what_another_clusters_argo_cd_and_flux_deploy_is_unknown() {
    let auto = find(TRACKED);
    assert_eq!(
        sources(&auto),
        [
            ("argocd", names(&["ConfigMap web", "ClusterRole web"]), true),
            ("flux", names(&["Service web"]), true)
        ]
    );
    let [Fetch::Unknown(reason)] = &auto.found[0].fetches[..] else {
        panic!("{:?}", auto.found);
    };
    assert!(
        reason.contains("this cluster serves no Application"),
        "{reason}"
    );
    assert!(reason.ends_with("(shop, team/shop)"), "{reason}");
}

/// What an Application that is gone left behind is in no source.
#[test]
fn where_all_applications_are_known_an_orphan_is_one() {
    let both = format!("{TRACKED}---{APPLICATION}");
    let auto = find(&both);
    assert_eq!(
        sources(&auto)[1..],
        [("flux", names(&["Service web"]), true)]
    );
    assert_eq!(auto.found[0].name, "argocd:argocd/other");
    // Not where one could lie in a namespace that is not read.
    let mut some = live(&both);
    some.namespaces = vec!["shop".to_owned()];
    let auto = super::super::find(&some, &Releases::Known(&[]));
    assert_eq!(auto.found[1].name, "argocd");
    // And of the one that is known, nothing is unknown.
    let mut some = live(&both.replace("name: other", "name: shop"));
    some.namespaces = vec!["shop".to_owned()];
    let auto = super::super::find(&some, &Releases::Known(&[]));
    assert_eq!(
        sources(&auto)[1],
        ("argocd", names(&["ClusterRole web"]), true)
    );
}

#[test]
fn an_unreadable_application_owns_what_its_status_and_its_marks_name() {
    let yaml = format!(
        "{TRACKED}---{}reported: {{resources: [['', Secret, shop, a]]}}\n",
        APPLICATION.replace("name: other", "name: shop")
    );
    let auto = find(&yaml);
    assert_eq!(
        sources(&auto)[0],
        (
            "argocd:argocd/shop",
            names(&["ConfigMap web", "Secret a"]),
            true
        )
    );
    // Without any it may own everything.
    let auto = find(APPLICATION);
    assert_eq!(sources(&auto), [("argocd:argocd/other", names(&[]), false)]);
}

#[test]
fn a_source_reaches_the_namespaces_of_what_it_owns() {
    let yaml = format!("{APPLICATION}reported: {{resources: [['', Secret, shop, a]]}}\n");
    let auto = find(&yaml);
    let reaches = |found: &Found, namespace: &str| found.reaches(&[namespace.to_owned()]);
    assert!(reaches(&auto.found[0], "shop"));
    assert!(!reaches(&auto.found[0], "other"));
    // What it owns is not known.
    assert!(reaches(&find(APPLICATION).found[0], "other"));
    let destination = yaml.replace("in-cluster", "in-cluster, namespace: other");
    assert!(reaches(&find(&destination).found[0], "other"));
}
