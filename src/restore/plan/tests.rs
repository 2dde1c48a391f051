use std::sync::Arc;

use serde_json::{Value, json};

use super::order::place;
use super::*;
use crate::mirror::BlobId;
use crate::object::{ApiType, ObjectKey};

/// `group/version/resource/Kind`, the core group being empty.
fn key(api: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    let parts: Vec<&str> = api.split('/').collect();
    ObjectKey {
        api_type: Arc::new(ApiType {
            group: parts[0].into(),
            version: parts[1].into(),
            resource: parts[2].into(),
            kind: parts[3].into(),
            namespaced: namespace.is_some(),
        }),
        namespace: namespace.map(Into::into),
        name: name.into(),
    }
}

fn recorded(api: &str, namespace: Option<&str>, name: &str, object: &Value) -> Recorded {
    let key = key(api, namespace, name);
    Recorded {
        facts: Facts::of(&key, object),
        blob_id: BlobId::NONE,
        key,
    }
}

fn plan(files: &[Recorded], options: Options) -> Vec<Class> {
    let files = Files {
        selected: files.to_vec(),
        ..Files::default()
    };
    let plan = Plan::new(&files, &Target::default(), options);
    plan.items.into_iter().map(|item| item.class).collect()
}

const ALL: Options = Options {
    update: true,
    include_jobs: true,
    include_owned: true,
    include_managed: true,
};

#[test]
fn nothing_comes_before_what_it_needs() {
    let ns = Some("shop");
    let order = [
        key("/v1/namespaces/Namespace", None, "shop"),
        key(
            "apiextensions.k8s.io/v1/customresourcedefinitions/CustomResourceDefinition",
            None,
            "a",
        ),
        key("storage.k8s.io/v1/storageclasses/StorageClass", None, "a"),
        key("/v1/serviceaccounts/ServiceAccount", ns, "a"),
        key(
            "rbac.authorization.k8s.io/v1/clusterroles/ClusterRole",
            None,
            "a",
        ),
        key(
            "rbac.authorization.k8s.io/v1/rolebindings/RoleBinding",
            ns,
            "a",
        ),
        key("/v1/secrets/Secret", ns, "a"),
        key("/v1/persistentvolumes/PersistentVolume", None, "a"),
        key("/v1/persistentvolumeclaims/PersistentVolumeClaim", ns, "a"),
        key("/v1/services/Service", ns, "a"),
        key("networking.k8s.io/v1/ingresses/Ingress", ns, "a"),
        key("cert-manager.io/v1/issuers/Issuer", ns, "a"),
        key("apps/v1/deployments/Deployment", ns, "a"),
        key(
            "autoscaling/v2/horizontalpodautoscalers/HorizontalPodAutoscaler",
            ns,
            "a",
        ),
        key(
            "apiregistration.k8s.io/v1/apiservices/APIService",
            None,
            "a",
        ),
        key(
            "admissionregistration.k8s.io/v1/validatingwebhookconfigurations/ValidatingWebhookConfiguration",
            None,
            "a",
        ),
        key(
            "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/ValidatingAdmissionPolicyBinding",
            None,
            "a",
        ),
        key("/v1/resourcequotas/ResourceQuota", ns, "a"),
        key(
            "kustomize.toolkit.fluxcd.io/v1/kustomizations/Kustomization",
            ns,
            "a",
        ),
    ];
    let places: Vec<_> = order
        .iter()
        .map(|key| {
            let custom = order::is_foreign_group(&key.api_type.group);
            place(key, &Facts::default(), custom, false)
        })
        .collect();
    for (at, pair) in places.windows(2).enumerate() {
        assert!(pair[0] < pair[1], "{} before {}", order[at], order[at + 1]);
    }
    let issuer = key("cert-manager.io/v1/issuers/Issuer", ns, "a");
    let converted = place(&issuer, &Facts::default(), true, true).0;
    assert!(Stage::Workloads < converted && converted < Stage::Gates);
    let fixed = Facts {
        asks_for_address: true,
        ..Facts::default()
    };
    let service = key("/v1/services/Service", ns, "a");
    assert!(
        place(&service, &fixed, false, false) < place(&service, &Facts::default(), false, false)
    );
    assert_eq!(Stage::ALL.len(), 14);
    assert!(Stage::ALL.is_sorted());
}

#[test]
fn what_the_system_makes_is_never_restored() {
    let role = "rbac.authorization.k8s.io/v1/clusterroles/ClusterRole";
    let bootstrap =
        json!({"metadata": {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}});
    let bare = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "shop"}});
    let mut changed = bare.clone();
    changed["imagePullSecrets"] = json!([{"name": "x"}]);
    let account = "/v1/serviceaccounts/ServiceAccount";
    let service = "apiregistration.k8s.io/v1/apiservices/APIService";
    let flow = "flowcontrol.apiserver.k8s.io/v1/flowschemas/FlowSchema";
    let auto = json!({"metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}}});
    let aggregated = json!({"spec": {"service": {"name": "x"}}});
    let class = "scheduling.k8s.io/v1/priorityclasses/PriorityClass";
    let none = json!({});
    let cases = [
        (recorded(role, None, "admin", &bootstrap), true),
        (recorded(role, None, "mine", &none), false),
        (recorded(account, Some("shop"), "default", &bare), true),
        (recorded(account, Some("shop"), "default", &changed), false),
        (recorded(service, None, "v1.", &none), true),
        (
            recorded(service, None, "v1beta1.metrics.k8s.io", &aggregated),
            false,
        ),
        (recorded(flow, None, "system-nodes", &auto), true),
        (recorded(flow, None, "mine", &none), false),
        (recorded(class, None, "system-node-critical", &none), true),
        (recorded(class, None, "high", &none), false),
        (
            recorded("/v1/services/Service", Some("default"), "kubernetes", &none),
            true,
        ),
        (
            recorded("/v1/services/Service", Some("shop"), "kubernetes", &none),
            false,
        ),
        (recorded("/v1/nodes/Node", None, "a", &none), true),
    ];
    for (file, system_made) in cases {
        let class = &plan(std::slice::from_ref(&file), ALL)[0];
        let expected = if system_made { "system-made" } else { "create" };
        assert_eq!(class.name(), expected, "{}", file.key);
    }
}

#[test]
fn what_others_make_needs_a_word() {
    let owned = json!({"metadata": {"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true}]}});
    let helm = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "shop"}}});
    let not_helm = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}});
    let flux = json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}});
    let argo = json!({"metadata": {"annotations":
        {"argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/web"}}});
    let config = "/v1/configmaps/ConfigMap";
    let job = "batch/v1/jobs/Job";
    let none = json!({});
    let cases = [
        (config, &owned, "owned"),
        (config, &helm, "managed-elsewhere"),
        (config, &not_helm, "create"),
        (config, &flux, "managed-elsewhere"),
        (config, &argo, "managed-elsewhere"),
        (job, &none, "job-skipped"),
    ];
    for (api, object, expected) in cases {
        let file = recorded(api, Some("shop"), "a", object);
        let file = std::slice::from_ref(&file);
        assert_eq!(
            plan(file, Options::default())[0].name(),
            expected,
            "{object}"
        );
        assert_eq!(plan(file, ALL)[0].name(), "create", "{object}");
    }
}

#[test]
fn a_digest_anywhere_needs_its_value() {
    let digest = "hmac:0123456789abcdef0123456789abcdef";
    let secret = "/v1/secrets/Secret";
    let cases = [
        (
            secret,
            json!({"data": {"a": digest}}),
            Some("data.a is a digest; needs its value from whoever holds it"),
        ),
        (
            "/v1/configmaps/ConfigMap",
            json!({"data": {"a": format!("{digest} (70000 bytes)")}}),
            Some("data.a"),
        ),
        (
            "example.com/v1/things/Thing",
            json!({"spec": {"list": ["x", digest]}}),
            Some("spec.list[1]"),
        ),
        (
            secret,
            json!({"data": {"a": digest}, "metadata": {"annotations":
            {"cert-manager.io/certificate-name": "web"}}}),
            Some("Certificate web"),
        ),
        (
            secret,
            json!({"data": {"a": digest}, "metadata": {"ownerReferences":
            [{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "db"}]}}),
            Some("ExternalSecret db"),
        ),
        (
            secret,
            json!({"type": "kubernetes.io/service-account-token", "data": {"token": digest}}),
            None,
        ),
        (secret, json!({"data": {"a": "aG1hYzo="}}), None),
        (secret, json!({"data": {"a": "hmac:short"}}), None),
        (
            secret,
            json!({"data": {"a": "hmac:0123456789abcdef0123456789abcdef0"}}),
            None,
        ),
    ];
    for (api, object, expected) in cases {
        let file = recorded(api, Some("shop"), "a", &object);
        let class = &plan(&[file], ALL)[0];
        match expected {
            None => assert_eq!(*class, Class::Create, "{object}"),
            Some(text) => {
                assert_eq!(class.name(), "needs-value", "{object}");
                assert!(class.reason().contains(text), "{}", class.reason());
            }
        }
    }
}

#[test]
fn a_live_object_is_the_same_or_left_or_updated() {
    let config = key("/v1/configmaps/ConfigMap", Some("shop"), "a");
    let file = json!({"data": {"a": "1", "b.c/d": "2"}});
    let live = |live: Value| Live {
        uid: "u".to_owned(),
        terminating: false,
        difference: compare(&config, file.clone(), live, false).0,
        missing_owners: Vec::new(),
    };
    let options = |update| Options {
        update,
        ..Options::default()
    };
    let class = |live: Live, update| {
        let files = Files {
            selected: vec![recorded(
                "/v1/configmaps/ConfigMap",
                Some("shop"),
                "a",
                &file,
            )],
            ..Files::default()
        };
        let mut target = Target::default();
        target.live.insert(config.path(), live);
        Plan::new(&files, &target, options(update)).items[0]
            .class
            .clone()
    };
    let fields = vec!["data.a".to_owned(), "data[\"b.c/d\"]".to_owned()];
    assert_eq!(class(live(file.clone()), true), Class::Same);
    let other = || live(json!({"data": {"a": "2"}}));
    assert_eq!(
        class(other(), false),
        Class::Differs {
            fields: fields.clone()
        }
    );
    assert_eq!(class(other(), true), Class::Update { fields });
    let dying = Live {
        terminating: true,
        ..live(file.clone())
    };
    assert_eq!(class(dying, true).name(), "blocked");
}

#[test]
fn comparison_sees_what_counts() {
    let digest = "hmac:0123456789abcdef0123456789abcdef";
    let secret = key("/v1/secrets/Secret", Some("shop"), "a");
    let (difference, _) = compare(
        &secret,
        json!({"data": {"a": digest}}),
        json!({"data": {"a": "cGE1NQ=="}}),
        false,
    );
    assert_eq!(
        difference,
        Difference::None {
            unread: true,
            suspended: false
        }
    );
    let (difference, _) = compare(
        &secret,
        json!({"data": {"a": digest}}),
        json!({"data": {"a": "cGE1NQ==", "b": "eA=="}}),
        false,
    );
    assert_eq!(difference, Difference::Fields(vec!["data.b".to_owned()]));

    let web = key("apps/v1/deployments/Deployment", Some("shop"), "web");
    let replicas = |n: i64| json!({"spec": {"replicas": n}});
    let changed = compare(&web, replicas(1), replicas(2), false).0;
    assert_eq!(
        changed,
        Difference::Fields(vec!["spec.replicas".to_owned()])
    );
    let scaled = compare(&web, json!({"spec": {}}), replicas(2), true).0;
    assert!(matches!(scaled, Difference::None { .. }));

    let roots = [
        (
            "kustomize.toolkit.fluxcd.io/v1/kustomizations/Kustomization",
            true,
        ),
        ("argoproj.io/v1alpha1/applications/Application", true),
        ("argoproj.io/v1alpha1/applicationsets/ApplicationSet", false),
    ];
    for (api, has_switch) in roots {
        let key = key(api, Some("shop"), "a");
        let file = json!({"metadata": {"name": "a"}, "spec": {"x": 1}});
        let mut live = file.clone();
        assert_eq!(render::suspend(&key, &mut live), has_switch, "{api}");
        let difference = compare(&key, file, live, false).0;
        assert_eq!(
            difference,
            Difference::None {
                unread: false,
                suspended: has_switch
            }
        );
    }

    let owner = |name: &str, uid: bool| {
        let mut owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name});
        if uid {
            owner["uid"] = json!("u");
        }
        owner
    };
    let with = |owners: Vec<Value>| json!({"metadata": {"ownerReferences": owners}});
    let config = key("/v1/configmaps/ConfigMap", Some("shop"), "a");
    let (difference, missing) = compare(
        &config,
        with(vec![owner("x", false), owner("y", false)]),
        with(vec![owner("x", true)]),
        false,
    );
    assert!(matches!(difference, Difference::None { .. }));
    let missing: Vec<&str> = missing.iter().map(|owner| &*owner.name).collect();
    assert_eq!(missing, ["y"]);
}

#[test]
fn a_file_is_sent_without_what_only_the_old_cluster_meant() {
    let volume = key("/v1/persistentvolumes/PersistentVolume", None, "a");
    let mut object = json!({
        "metadata": {"name": "a", "finalizers": ["foregroundDeletion", "example.com/mine"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n"}]},
        "spec": {"claimRef": {"name": "c", "namespace": "shop", "uid": "u", "resourceVersion": "1"}}
    });
    render(&volume, &mut object, &Fill::default());
    assert_eq!(
        object,
        json!({
            "metadata": {"name": "a", "finalizers": ["example.com/mine"]},
            "spec": {"claimRef": {"name": "c", "namespace": "shop"}}
        })
    );
    let reference = json!({"apiVersion": "v1", "kind": "Node", "name": "n",
        "controller": true, "blockOwnerDeletion": true});
    let owners = [link(&reference, "new")];
    let fill = Fill {
        owners: &owners,
        replicas: Some(2),
        suspend: false,
    };
    let mut object = json!({"metadata": {"name": "a"}, "spec": {}});
    render(&volume, &mut object, &fill);
    let mut expected = reference;
    expected["uid"] = json!("new");
    assert_eq!(object["metadata"]["ownerReferences"], json!([expected]));
    assert_eq!(object["spec"]["replicas"], 2);
}

#[test]
fn a_workload_starts_with_the_least_of_its_autoscaler() {
    let hpa = "autoscaling/v2/horizontalpodautoscalers/HorizontalPodAutoscaler";
    let keda = "keda.sh/v1alpha1/scaledobjects/ScaledObject";
    let target = |kind: &str, least: Option<(&str, i64)>| {
        let mut spec =
            json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": "web"}});
        if let Some((field, least)) = least {
            spec[field] = json!(least);
        }
        json!({"spec": spec})
    };
    let cases = [
        (
            hpa,
            target("Deployment", Some(("minReplicas", 3))),
            json!({"spec": {}}),
            Some(3),
        ),
        (
            hpa,
            target("Deployment", None),
            json!({"spec": {}}),
            Some(1),
        ),
        (hpa, target("StatefulSet", None), json!({"spec": {}}), None),
        (
            hpa,
            target("Deployment", None),
            json!({"spec": {"replicas": 4}}),
            None,
        ),
        (
            keda,
            target("Deployment", None),
            json!({"spec": {}}),
            Some(0),
        ),
        (
            keda,
            target("Deployment", Some(("minReplicaCount", 2))),
            json!({"spec": {}}),
            Some(2),
        ),
    ];
    for (api, autoscaler, web, expected) in cases {
        let files = Files {
            selected: vec![recorded(
                "apps/v1/deployments/Deployment",
                Some("shop"),
                "web",
                &web,
            )],
            context: vec![recorded(api, Some("shop"), "web", &autoscaler)],
            named: false,
        };
        let plan = Plan::new(&files, &Target::default(), Options::default());
        assert_eq!(plan.items[0].replicas, expected, "{autoscaler} {web}");
    }
}

#[test]
fn the_target_stands_in_the_way() {
    let none = json!({});
    let file = |api: &str| recorded(api, Some("shop"), "a", &none);
    let class = |recorded: Recorded, namespaces: &[(&str, bool)]| {
        let files = Files {
            selected: vec![recorded],
            ..Files::default()
        };
        let target = Target {
            discovered: Some(Discovered::default()),
            namespaces: namespaces
                .iter()
                .map(|(name, dying)| ((*name).into(), *dying))
                .collect(),
            ..Target::default()
        };
        Plan::new(&files, &target, Options::default()).items[0]
            .class
            .clone()
    };
    let unserved = class(file("example.com/v1/things/Thing"), &[("shop", false)]);
    assert_eq!(unserved, Class::Unserved { served: Vec::new() });
    assert!(unserved.is_lacking());
}

#[test]
fn names_of_the_command_line() {
    let deployments = TypeNames {
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
        kind: "Deployment".to_owned(),
        aliases: Vec::new(),
    };
    let selects = |text: &str, name: &str| {
        let selection = Selection {
            names: vec![Wanted::parse(text).unwrap()],
            ..Selection::default()
        };
        selection.may_hold(&deployments, Some("shop"), name)
    };
    for text in [
        "deploy/web",
        "deployment/web",
        "Deployment/web",
        "deployments/web",
        "deployments.apps/web",
        "deployment.apps/web",
    ] {
        assert!(selects(text, "web"), "{text}");
        assert!(!selects(text, "api"), "{text}");
    }
    for text in ["sts/web", "deployments.extensions/web", "deploymen/web"] {
        assert!(!selects(text, "web"), "{text}");
    }
    for text in ["web", "/web", "deploy/", "a/b/c"] {
        assert!(Wanted::parse(text).is_err(), "{text}");
    }
}
