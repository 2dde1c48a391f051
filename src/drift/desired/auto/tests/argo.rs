//! Argo CD's objects, with the field names of its CRDs.

use super::super::{ChartPlace, GitPath};
use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn application(spec: &str, reported: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\n\
         metadata: {{name: shop, namespace: argocd}}\nspec:\n  \
         destination: {{server: https://kubernetes.default.svc, namespace: shop}}\n  \
         project: default\n{spec}\nreported: {reported}\n"
    )
}

const CONFIG: &str = r#"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm, namespace: argocd}
data:
  url: https://argocd.example.com
  resource.exclusions: |
    - apiGroups: ["cilium.io"]
      kinds: [CiliumIdentity]
      clusters: ["*"]
    - apiGroups: ["other"]
      kinds: ["*"]
      clusters: ["https://elsewhere"]
  resource.compareoptions: |
    ignoreAggregatedRoles: true
  resource.customizations.ignoreDifferences.admissionregistration.k8s.io_MutatingWebhookConfiguration: |
    jqPathExpressions:
    - '.webhooks[]?.clientConfig.caBundle'
  resource.customizations.ignoreDifferences.all: |
    managedFieldsManagers: [kube-controller-manager]
    jsonPointers: [/spec/replicas]
  resource.customizations.health.apps_Deployment: |
    hs = {}
  resource.customizations: |
    apps/Deployment:
      ignoreDifferences: |
        jsonPointers: [/metadata/annotations/a.b~1c]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all}
aggregationRule: {clusterRoleSelectors: []}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: plain}
rules: []
"#;

#[test]
fn a_directory_at_what_was_last_synced() {
    let yaml = application(
        "  source: {repoURL: 'https://git.example.com/shop.git', path: ./deploy/, targetRevision: main, \
         directory: {recurse: true, exclude: 'test/*'}}",
        &format!(
            "{{sync: {{status: OutOfSync, revision: aaaa}}, history: [{{revision: {COMMIT}}}], \
             sourceTypes: [Directory], resources: [[apps, Deployment, shop, web], ['', Namespace, '', shop]]}}"
        ),
    );
    let auto = find(&yaml);
    let found = only(&auto);
    assert_eq!(found.name, "argocd:argocd/shop");
    assert_eq!(found.kind, "argocd");
    assert_eq!(found.location, "https://git.example.com/shop.git:deploy");
    assert_eq!(found.namespace.as_deref(), Some("shop"));
    assert_eq!(
        found.object,
        Some(identity("argoproj.io/Application/argocd/shop"))
    );
    let owned = [
        identity("/Namespace//shop"),
        identity("apps/Deployment/shop/web"),
    ];
    assert_eq!(found.owned, owned);
    let git = GitPath {
        url: "https://git.example.com/shop.git".into(),
        revision: Some(COMMIT.into()),
        head: Some("main".into()),
        path: "deploy".into(),
    };
    let layout = Layout::Argo {
        recurse: true,
        include: None,
        exclude: Some("test/*".into()),
        detect: false,
    };
    assert_eq!(found.fetches, [Fetch::Git(git, layout)]);
    assert_eq!(
        auto.warnings.len(),
        1,
        "that argocd-cm is not there: {:?}",
        auto.warnings
    );
}

/// The revision that Argo CD compared last is live where it found no difference, and only there.
#[test]
fn what_is_live_is_what_was_synced() {
    for (reported, expected) in [
        (
            "{sync: {status: Synced, revision: bbb}, history: [{revision: aaa}]}",
            Some("bbb"),
        ),
        (
            "{sync: {status: OutOfSync, revision: bbb}, history: [{revision: aaa}]}",
            Some("aaa"),
        ),
        ("{sync: {status: Unknown}}", None),
        ("null", None),
    ] {
        let yaml = application("  source: {repoURL: r, path: p}", reported);
        let auto = find(&yaml);
        let [Fetch::Git(git, Layout::Argo { detect, .. })] = &only(&auto).fetches[..] else {
            panic!("{:?}", auto.found);
        };
        assert_eq!(git.revision.as_deref(), expected, "{reported}");
        assert_eq!(git.head.as_deref(), Some("HEAD"));
        assert!(*detect, "nothing says what it is");
    }
}

#[test]
fn a_pinned_source_has_no_head() {
    let auto = find(&application(
        &format!("  source: {{repoURL: r, path: p, targetRevision: {COMMIT}}}"),
        "null",
    ));
    let [Fetch::Git(git, _)] = &only(&auto).fetches[..] else {
        panic!("{:?}", auto.found);
    };
    assert_eq!((git.revision.as_deref(), &git.head), (Some(COMMIT), &None));
}

#[test]
fn several_sources_and_values_of_another() {
    let auto = find(&application(
        "  sources:\n  \
         - {repoURL: 'https://u:p@charts.example.com', chart: redis, targetRevision: 1.2.3, \
            helm: {releaseName: cache, valueFiles: [$values/redis.yaml]}}\n  \
         - {repoURL: 'https://git.example.com/values', ref: values, targetRevision: main}\n  \
         - {repoURL: 'https://git.example.com/k', path: overlays/prod, kustomize: {version: v5}}\n  \
         - {repoURL: 'https://git.example.com/k', path: overlays/prod, kustomize: {images: [a=b]}}\n  \
         - {repoURL: r, path: p, plugin: {}}\n  \
         - {repoURL: r, path: ../p}\n  \
         - {repoURL: r, path: p, directory: {jsonnet: {libs: [vendor]}}}",
        "{sync: {status: Synced, revisions: ['1.2.3', v, k]}, sourceTypes: [Helm, '', Kustomize]}",
    ));
    let found = only(&auto);
    let [helm, kustomize, rest @ ..] = &found.fetches[..] else {
        panic!("{found:?}");
    };
    let Fetch::Helm(chart) = helm else {
        panic!("{helm:?}");
    };
    assert_eq!(
        (chart.release.as_str(), chart.namespace.as_str()),
        ("cache", "shop")
    );
    assert_eq!(
        chart.place,
        ChartPlace::Repository {
            url: "https://charts.example.com".into(),
            chart: "redis".into(),
            version: "1.2.3".into()
        }
    );
    let [(name, values)] = &chart.values_from[..] else {
        panic!("{chart:?}");
    };
    assert_eq!(
        (name.as_str(), values.revision.as_deref()),
        ("values", Some("v"))
    );
    assert!(
        matches!(kustomize, Fetch::Kustomize(git) if git.revision.as_deref() == Some("k")),
        "{kustomize:?}"
    );
    let reasons: Vec<&str> = rest
        .iter()
        .map(|fetch| match fetch {
            Fetch::Unknown(reason) => reason.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    for (reason, word) in reasons
        .iter()
        .zip(["images", "plugin", "leads out", "Jsonnet"])
    {
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(reasons.len(), 4);
    assert!(!format!("{auto:?}").contains("u:p@"));
}

#[test]
fn a_hydrated_branch_is_plain_yaml() {
    let auto = find(&application(
        "  sourceHydrator:\n    drySource: {repoURL: r, path: dry, targetRevision: main}\n    \
         syncSource: {targetBranch: env/prod, path: out}",
        "{sync: {status: Synced, revision: abc}, sourceTypes: [Directory]}",
    ));
    let [Fetch::Git(git, Layout::Argo { detect: false, .. })] = &only(&auto).fetches[..] else {
        panic!("{:?}", auto.found);
    };
    assert_eq!(
        (
            &*git.url,
            &*git.path,
            git.revision.as_deref(),
            git.head.as_deref()
        ),
        ("r", "out", Some("abc"), Some("env/prod"))
    );
}

#[test]
fn applications_of_other_clusters_are_counted() {
    let spec = "  source: {repoURL: r, path: p}";
    let here = application(spec, "null");
    for (destination, is_here) in [
        ("{server: https://kubernetes.default.svc}", true),
        ("{server: https://kubernetes.default.svc/}", true),
        ("{name: in-cluster}", true),
        ("{name: prod}", false),
        ("{server: https://10.0.0.1}", false),
        ("{}", false),
    ] {
        let old = "{server: https://kubernetes.default.svc, namespace: shop}";
        let auto = find(&here.replace(old, destination));
        assert_eq!(auto.found.len(), usize::from(is_here), "{destination}");
        let said = auto
            .warnings
            .iter()
            .any(|line| line.contains("1 Applications deploy to other"));
        assert_eq!(said, !is_here, "{:?}", auto.warnings);
    }
}

#[test]
fn its_ignore_rules_are_read() {
    let auto = find(&application(
        "  source: {repoURL: r, path: p}\n  ignoreDifferences:\n  \
         - {group: apps, kind: Deployment, name: 'web*', namespace: shop, jsonPointers: [/spec/replicas, spec]}\n  \
         - {group: '*', kind: '*', managedFieldsManagers: [vpa]}\n  \
         - {kind: ConfigMap, jqPathExpressions: ['.data[\"a b\"]', '.data | keys']}",
        "null",
    ));
    let whose = "Argo CD Application argocd/shop, ignoreDifferences";
    assert_eq!(
        shown(&only(&auto).ignores),
        [
            // A name is no glob for Argo CD.
            format!("{whose}[0]: apps/Deployment/shop/web[*] spec.replicas"),
            format!("{whose}[1]: */*/(any)/(any) Managers([\"vpa\"])"),
            format!("{whose}[2]: /ConfigMap/(any)/(any) data[\"a b\"]"),
        ]
    );
    for rule in [
        "[0]: JSON pointer 'spec' is not honoured",
        "[2]: jq expression '.data | keys' is not honoured",
    ] {
        let said = auto.warnings.iter().any(|line| line.contains(rule));
        assert!(said, "{rule}: {:?}", auto.warnings);
    }
}

#[test]
fn its_system_wide_rules_are_read() {
    let yaml = application("  source: {repoURL: r, path: p}", "null") + CONFIG;
    let auto = find(&yaml);
    let of = |key: &str| format!("Argo CD ConfigMap argocd/argocd-cm, resource.{key}");
    assert_eq!(
        shown(&only(&auto).ignores),
        [
            of(
                "compareoptions.ignoreAggregatedRoles: rbac.authorization.k8s.io/ClusterRole/(any)/all rules"
            ),
            of(
                "customizations, apps/Deployment: apps/Deployment/(any)/(any) metadata.annotations[\"a.b/c\"]"
            ),
            of(
                "customizations.ignoreDifferences.admissionregistration.k8s.io_MutatingWebhookConfiguration: \
                admissionregistration.k8s.io/MutatingWebhookConfiguration/(any)/(any) webhooks[*].clientConfig.caBundle"
            ),
            of("customizations.ignoreDifferences.all: */*/(any)/(any) spec.replicas"),
            of(
                "customizations.ignoreDifferences.all: */*/(any)/(any) Managers([\"kube-controller-manager\"])"
            ),
        ]
    );
    assert_eq!(
        shown(&auto.ignores),
        [
            "Argo CD, always excluded: events.k8s.io/*/(any)/(any) Extra".to_owned(),
            "Argo CD, always excluded: metrics.k8s.io/*/(any)/(any) Extra".to_owned(),
            of("exclusions[0]: cilium.io/CiliumIdentity/(any)/(any) Extra"),
        ]
    );
    assert_eq!(auto.warnings, Vec::<String>::new());
}

#[test]
fn broken_settings_are_said_without_their_text() {
    let yaml = application("  source: {repoURL: r, path: p}", "null")
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm, namespace: argocd}\n\
           data:\n  resource.exclusions: '- {hunter2'\n  resource.inclusions: |\n    \
           - apiGroups: [apps]\n      kinds: [\"*\"]\n";
    let auto = find(&yaml);
    let [warning] = &auto.warnings[..] else {
        panic!("{:?}", auto.warnings);
    };
    assert!(
        warning.contains("resource.exclusions: not honoured"),
        "{warning}"
    );
    assert!(!warning.contains("hunter2"));
    // Only what the inclusions leave out.
    let rules = shown(&auto.ignores);
    let named =
        "Argo CD ConfigMap argocd/argocd-cm, resource.inclusions: /ConfigMap/(any)/(any) Extra";
    assert!(rules.iter().any(|rule| rule == named), "{rules:?}");
}

#[test]
fn what_argo_makes_or_is_told_to_leave_is_not_extra() {
    let yaml = application(
        "  source: {repoURL: r, path: p}\n  syncPolicy: {syncOptions: [CreateNamespace=true]}",
        "null",
    ) + CONFIG
        + "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: shop\n  \
           annotations: {argocd.argoproj.io/compare-options: 'ServerSideDiff=true, IgnoreExtraneous'}\n";
    let rules = shown(&find(&yaml).ignores);
    for rule in [
        "Argo CD Application argocd/shop, syncOptions CreateNamespace: /Namespace/(any)/shop Extra",
        "annotation argocd.argoproj.io/compare-options: IgnoreExtraneous: /Secret/shop/s Extra",
    ] {
        assert!(rules.iter().any(|other| other == rule), "{rules:?}");
    }
}
