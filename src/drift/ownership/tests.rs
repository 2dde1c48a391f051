//! Every row of the table of owners, and who goes before whom.

use serde_json::{Value, json};

use super::known::KNOWN;
use super::*;
use crate::filter::FieldPath;
use crate::object::Step;

/// The shape of an object of which one label, `team`, has these owners: (manager, operation,
/// subresource, whether the entry names the label).
fn shape(owners: &[(&str, &str, &str)], last_applied: bool) -> Shape {
    shape_of("apps/v1", owners, last_applied)
}

fn shape_of(version: &str, owners: &[(&str, &str, &str)], last_applied: bool) -> Shape {
    let live = json!({"apiVersion": "apps/v1", "metadata": {"labels": {"team": "x"}}});
    let entries: Vec<Value> = owners
        .iter()
        .map(|(manager, operation, subresource)| {
            json!({"manager": manager, "operation": operation, "subresource": subresource,
                "apiVersion": version, "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}})
        })
        .collect();
    let raw = serde_json::value::RawValue::from_string(json!(entries).to_string()).unwrap();
    let applied = last_applied.then(|| live.to_string());
    Shape::of(Some(&raw), applied.as_deref(), &live, &live, vec![]).0
}

fn difference(relation: Relation, path: &str) -> Difference {
    Difference {
        path: FieldPath::parse(path).unwrap(),
        relation,
        desired: None,
        live: Some("x".into()),
        desired_at: vec![],
        live_at: ["metadata", "labels", "team"]
            .map(|key| Step::Key(key.into()))
            .to_vec(),
        is_default: false,
    }
}

fn added(shape: &Shape) -> Judgement {
    let difference = difference(Relation::LiveOnly, "metadata.labels.team");
    judge(&difference, shape, &Deployers::default())
}

#[test]
fn a_default_that_nobody_owns_is_no_addition() {
    let mut default = difference(Relation::LiveOnly, "metadata.labels.team");
    default.is_default = true;
    let judged = |shape: &Shape| judge(&default, shape, &Deployers::default()).class;
    assert_eq!(judged(&shape(&[], false)), None);
    let edited = shape(&[("kubectl-edit", "Update", "")], false);
    assert_eq!(judged(&edited), Some(FieldClass::Added));
    let unknown = Shape {
        unreadable: true,
        ..shape(&[], false)
    };
    assert_eq!(judged(&unknown), Some(FieldClass::Added));
}

/// Class, severity, manager and rule, in words.
fn words(judgement: &Judgement, shape: &Shape) -> String {
    let class = judgement.class.map(|class| format!("{class:?}"));
    let manager = judgement
        .writer
        .map_or("null", |at| &shape.writers[at].manager);
    let rule = judgement.rule.as_deref().unwrap_or("-");
    let severity = format!("{:?}", judgement.severity).to_lowercase();
    let class = class.unwrap_or_else(|| "nothing".to_owned());
    format!("{class} {severity} {manager} {rule}")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_kind_of_owner_has_its_verdict() {
    const A: &str = "Apply";
    const U: &str = "Update";
    type Row = (
        &'static [(&'static str, &'static str, &'static str)],
        bool,
        &'static str,
    );
    let rows: &[Row] = &[
        // People.
        (
            &[("kubectl-edit", U, "")],
            false,
            "Added warning kubectl-edit -",
        ),
        (
            &[("kubectl-edit", U, "")],
            true,
            "Added warning kubectl-edit -",
        ),
        (&[("kubectl", U, "scale")], false, "Added warning kubectl -"),
        (&[("kubectl", U, "")], false, "Added warning kubectl -"),
        (
            &[("argocd-server", U, "")],
            false,
            "Added warning argocd-server -",
        ),
        (&[("k9s", U, "")], false, "Added warning k9s -"),
        (
            &[("node-fetch", U, "")],
            false,
            "Added warning node-fetch -",
        ),
        (&[("Mozilla", U, "")], false, "Added warning Mozilla -"),
        // Deployers that apply.
        (
            &[("argocd-controller", A, "")],
            false,
            "PendingRemoval info argocd-controller -",
        ),
        (
            &[("kustomize-controller", A, "")],
            false,
            "PendingRemoval info kustomize-controller -",
        ),
        (
            &[("helm-controller", A, "")],
            false,
            "PendingRemoval info helm-controller -",
        ),
        (&[("helm", A, "")], false, "PendingRemoval info helm -"),
        (
            &[("kubectl", A, "")],
            false,
            "PendingRemoval info kubectl -",
        ),
        (
            &[("pulumi-kubernetes-1a2b", A, "")],
            false,
            "PendingRemoval info pulumi-kubernetes-1a2b -",
        ),
        (
            &[("Terraform", A, "")],
            false,
            "PendingRemoval info Terraform -",
        ),
        // Deployers that update.
        (
            &[("kubectl-client-side-apply", U, "")],
            true,
            "PendingRemoval info kubectl-client-side-apply -",
        ),
        (
            &[("argocd-controller", U, "")],
            true,
            "PendingRemoval info argocd-controller -",
        ),
        (
            &[("kubectl-client-side-apply", U, "")],
            false,
            "nothing info kubectl-client-side-apply -",
        ),
        (
            &[("kubectl-create", U, "")],
            false,
            "nothing info kubectl-create -",
        ),
        (&[("helm", U, "")], false, "nothing info helm -"),
        // Controllers.
        (
            &[("kube-controller-manager", U, "")],
            false,
            "Ignored info kube-controller-manager written by trusted controller kube-controller-manager",
        ),
        (
            &[("kube-controller-manager", U, "scale")],
            false,
            "Ignored info kube-controller-manager written by trusted controller kube-controller-manager",
        ),
        (
            &[("cert-manager-cainjector", U, "")],
            false,
            "Ignored info cert-manager-cainjector written by trusted controller cert-manager-cainjector",
        ),
        // Anybody else.
        (&[("my-operator", U, "")], false, "Added info my-operator -"),
        (&[("my-operator", A, "")], false, "Added info my-operator -"),
        (&[("keda", U, "scale")], false, "Added info keda -"),
        // Nobody knows.
        (
            &[("before-first-apply", U, "")],
            false,
            "Added info null writer unknown",
        ),
        (
            &[("ancient-changes", U, "")],
            true,
            "Added info null writer unknown",
        ),
        (
            &[],
            false,
            "Added info null unowned: admission webhook, or ownership reset",
        ),
        (
            &[],
            true,
            "Added info null unowned: admission webhook, or ownership reset",
        ),
        // Who goes before whom.
        (
            &[("argocd-controller", A, ""), ("kubectl-edit", U, "")],
            true,
            "Added warning kubectl-edit -",
        ),
        (
            &[("helm", U, ""), ("argocd-controller", A, "")],
            false,
            "PendingRemoval info argocd-controller -",
        ),
        (
            &[("aaa", U, ""), ("helm", U, "")],
            false,
            "nothing info helm -",
        ),
        (
            &[("kube-controller-manager", U, ""), ("zzz", U, "")],
            false,
            "Added info zzz -",
        ),
        (
            &[("before-first-apply", U, ""), ("helm", A, "")],
            false,
            "PendingRemoval info helm -",
        ),
        (
            &[("before-first-apply", U, ""), ("kubelet", U, "")],
            false,
            "Added info null writer unknown",
        ),
        (&[("b", U, ""), ("a", U, "")], false, "Added info a -"),
        // kubectl deploys only where nobody else does.
        (
            &[("kubectl-client-side-apply", U, ""), ("helm", U, "")],
            true,
            "Added warning kubectl-client-side-apply -",
        ),
        (
            &[("kubectl", A, ""), ("argocd-controller", A, "")],
            false,
            "Added warning kubectl -",
        ),
        (
            &[("kubectl-strandline-restore", A, "")],
            false,
            "PendingRemoval info kubectl-strandline-restore -",
        ),
        // What somebody does with the program of a deployer.
        (&[("flux", A, "")], false, "PendingRemoval info flux -"),
        (
            &[("kustomize-controller", A, ""), ("flux", U, "")],
            false,
            "Added warning flux -",
        ),
        (
            &[("flux-client-side-apply", U, "")],
            false,
            "Added warning flux-client-side-apply -",
        ),
        (
            &[("k3s", U, "scale")],
            false,
            "Ignored info k3s written by trusted controller k3s",
        ),
    ];
    for (owners, applied, expected) in rows {
        let shape = shape(owners, *applied);
        let judgement = added(&shape);
        assert_eq!(
            words(&judgement, &shape),
            *expected,
            "{owners:?}, in last-applied: {applied}"
        );
    }
}

#[test]
fn an_entry_of_another_version_that_cannot_be_read_is_not_unowned() {
    let live = json!({"apiVersion": "apps/v1", "metadata": {"labels": {"team": "x"}}});
    let entries = json!([{"manager": "m", "operation": "Update", "apiVersion": "apps/v1beta1",
        "fieldsV1": {"f:spec": {"f:gone": {}}}}]);
    let raw = serde_json::value::RawValue::from_string(entries.to_string()).unwrap();
    let shape = Shape::of(Some(&raw), None, &live, &live, vec![]).0;
    assert_eq!(
        words(&added(&shape), &shape),
        "Added info null writer unknown"
    );
    let shape = shape_of("apps/v1beta1", &[("kubectl-edit", "Update", "")], false);
    assert_eq!(
        words(&added(&shape), &shape),
        "Added warning kubectl-edit -"
    );
}

#[test]
fn what_is_not_an_addition_has_its_class_by_itself() {
    let shape = shape(
        &[("kubectl-edit", "Update", ""), ("helm", "Apply", "")],
        false,
    );
    for (relation, expected) in [
        (Relation::Changed, "Changed warning kubectl-edit -"),
        (Relation::DesiredOnly, "Removed warning null -"),
        (Relation::Unknown, "Dropped warning null -"),
    ] {
        let difference = difference(relation, "metadata.labels.team");
        let judgement = judge(&difference, &shape, &Deployers::default());
        assert_eq!(words(&judgement, &shape), expected);
    }
    let nobodys = super::tests::shape(&[("before-first-apply", "Update", "")], false);
    let difference = difference(Relation::Changed, "metadata.labels.team");
    let judgement = judge(&difference, &nobodys, &Deployers::default());
    assert_eq!(words(&judgement, &nobodys), "Changed warning null -");
}

#[test]
fn a_deployer_that_the_user_names_deploys() {
    let deployers = Deployers {
        extra: vec!["my-ci".to_owned(), "kubectl-patch".to_owned()],
        ..Deployers::default()
    };
    for (owner, expected) in [
        (("my-ci", "Apply", ""), "PendingRemoval info my-ci -"),
        (("my-ci", "Update", ""), "nothing info my-ci -"),
        (("my-ci", "Update", "scale"), "Added info my-ci -"),
        (
            ("kubectl-patch", "Update", ""),
            "nothing info kubectl-patch -",
        ),
    ] {
        let shape = shape(&[owner], false);
        let difference = difference(Relation::LiveOnly, "metadata.labels.team");
        let judgement = judge(&difference, &shape, &deployers);
        assert_eq!(words(&judgement, &shape), expected, "{owner:?}");
    }
}

#[test]
fn kubectl_is_a_hand_where_a_deployer_that_the_user_names_wrote() {
    let verdict = |named: &str, owners: &[(&str, &str, &str)]| {
        let deployers = Deployers {
            extra: vec![named.to_owned()],
            ..Deployers::default()
        };
        let shape = shape(owners, true);
        let difference = difference(Relation::LiveOnly, "metadata.labels.team");
        words(&judge(&difference, &shape, &deployers), &shape)
    };
    let applied = ("kubectl-client-side-apply", "Update", "");
    for (named, other, expected) in [
        ("my-ci", ("my-ci", "Apply", ""), "Added warning"),
        // It deploys nothing here.
        ("my-ci", ("my-ci", "Update", "scale"), "PendingRemoval info"),
        // A verb of kubectl that a pipeline uses too.
        (
            "kubectl-patch",
            ("kubectl-patch", "Update", ""),
            "PendingRemoval info",
        ),
        (
            "kubectl-create",
            ("kubectl-create", "Update", ""),
            "PendingRemoval info",
        ),
    ] {
        assert_eq!(
            verdict(named, &[applied, other]),
            format!("{expected} kubectl-client-side-apply -"),
            "{named}: {other:?}"
        );
    }
}

#[test]
fn a_restart_by_hand_is_said_so() {
    let path = r#"spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]"#;
    let difference = difference(Relation::LiveOnly, path);
    let shape = shape(&[("kubectl-rollout", "Update", "")], false);
    let judgement = judge(&difference, &shape, &Deployers::default());
    assert_eq!(
        words(&judgement, &shape),
        "Added info kubectl-rollout restarted"
    );
}

#[test]
fn known_places_are_no_finding_unless_a_person_wrote_them() {
    let service = ObjectFacts {
        group: Some(""),
        kind: Some("Service"),
    };
    let other = ObjectFacts {
        group: Some("serving.knative.dev"),
        kind: Some("Service"),
    };
    let unowned = shape(&[], false);
    let edited = shape(&[("kubectl-edit", "Update", "")], false);
    let verdict = |facts, path: &str, shape: &Shape| {
        let difference = difference(Relation::LiveOnly, path);
        let judgement = judge_in(facts, &difference, shape, &Deployers::default());
        judgement
            .class
            .map_or(String::new(), |class| format!("{class:?}"))
    };
    for (facts, path, shape, expected) in [
        (service, "spec.clusterIP", &unowned, ""),
        (service, "spec.clusterIP", &edited, "Added"),
        (other, "spec.clusterIP", &unowned, "Added"),
        (
            service,
            "spec.ports[port=80,protocol=TCP].nodePort",
            &unowned,
            "",
        ),
        (
            service,
            "spec.ports[port=80,protocol=TCP].name",
            &unowned,
            "Added",
        ),
        (
            other,
            r#"metadata.labels["kustomize.toolkit.fluxcd.io/name"]"#,
            &unowned,
            "",
        ),
        (
            other,
            r#"metadata.labels["kustomize.example.com/name"]"#,
            &unowned,
            "Added",
        ),
        (
            other,
            r#"metadata.labels["app.kubernetes.io/managed-by"]"#,
            &unowned,
            "",
        ),
        (
            other,
            r#"metadata.labels["app.kubernetes.io/managed-by"]"#,
            &edited,
            "Added",
        ),
        (
            other,
            r#"metadata.annotations["argocd.argoproj.io/tracking-id"]"#,
            &edited,
            "",
        ),
    ] {
        assert_eq!(verdict(facts, path, shape), expected, "{path}");
    }
    let claim = ObjectFacts {
        group: Some(""),
        kind: Some("PersistentVolumeClaim"),
    };
    let job = ObjectFacts {
        group: Some("batch"),
        kind: Some("Job"),
    };
    let label = r#"metadata.labels["job-name"]"#;
    assert_eq!(verdict(job, label, &unowned), "");
    assert_eq!(verdict(claim, label, &unowned), "Added");
    let finalizer = r#"metadata.finalizers[="kubernetes.io/pvc-protection"]"#;
    assert_eq!(verdict(claim, finalizer, &unowned), "");
    let finalizer = r#"metadata.finalizers[="finalizers.fluxcd.io"]"#;
    let flux = shape(&[("gotk-kustomize-controller", "Update", "")], false);
    assert_eq!(verdict(other, finalizer, &flux), "");
    assert_eq!(verdict(other, finalizer, &edited), "Added");
    assert_eq!(
        verdict(claim, r#"metadata.finalizers[="x/y"]"#, &unowned),
        "Added"
    );
}

#[test]
fn secrets_of_a_service_account_are_known_by_their_names() {
    let unowned = shape(&[], false);
    let verdict = |facts, path: &str, shape: &Shape| {
        let difference = difference(Relation::LiveOnly, path);
        let judgement = judge_in(facts, &difference, shape, &Deployers::default());
        let class = judgement.class;
        class.map_or(String::new(), |class| format!("{class:?}"))
    };
    let account = ObjectFacts {
        group: Some(""),
        kind: Some("ServiceAccount"),
    };
    let openshift = "openshift.io/image-registry-pull-secrets_service-account-controller";
    for (manager, expected) in [("team-pipeline", "Added"), (openshift, "Ignored")] {
        let by = shape(&[(manager, "Apply", "")], false);
        assert_eq!(verdict(account, "secrets[name=pull]", &by), expected);
    }
    // What the controllers of tokens and of OpenShift's registry put there has names of theirs.
    for (path, expected) in [
        ("secrets[name=web-token-x7k2p]", ""),
        ("secrets[name=web-dockercfg-x7k2p]", ""),
        ("imagePullSecrets[name=web-dockercfg-x7k2p]", ""),
        ("secrets[name=pull]", "Added"),
        ("secrets[name=web-token]", "Added"),
        ("imagePullSecrets[name=pull]", "Added"),
    ] {
        assert_eq!(verdict(account, path, &unowned), expected, "{path}");
    }
}

#[test]
fn every_known_place_is_a_path_and_has_a_source() {
    for known in KNOWN {
        FieldPath::parse(known.path).unwrap();
        assert!(known.see.starts_with("https://"), "{}", known.path);
    }
}
