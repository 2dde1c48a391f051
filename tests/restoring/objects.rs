//! Single objects on a live cluster: left, changed, linked, skipped.

use std::time::Duration;

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::mirror::Mirror;
use crate::round_trip::{names, restore, result};
use crate::support::plane::ControlPlane;
use crate::support::program::Program;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Failure, Result, wait_for};

fn namespace(plane: &ControlPlane, name: &str) -> Result<()> {
    plane.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    wait_for(
        "the default ServiceAccount",
        Duration::from_secs(30),
        || {
            let made = plane.kubectl(["get", "serviceaccount", "default", "-n", name])?;
            Ok((made.code == Some(0)).then_some(()))
        },
    )
}

fn config_map(namespace: &str, name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace}, "data": {"a": value}})
}

fn deployment(namespace: &str, name: &str, label: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": label}},
            "template": {"metadata": {"labels": {"app": label}},
                "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]}}}})
}

fn delete(plane: &ControlPlane, args: &[&str]) -> Result<()> {
    plane
        .kubectl(["delete", "--wait"].iter().chain(args))?
        .success()
        .map(drop)
}

pub(crate) fn what_is_live_is_left_unless_asked(plane: &ControlPlane) -> Outcome {
    namespace(plane, "left")?;
    plane.apply(&config_map("left", "changed", "recorded"))?;
    plane.apply(&config_map("left", "gone", "recorded"))?;
    plane.apply(&deployment("left", "web", "one"))?;
    plane.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "left", "labels": {"mine": "yes"}}}))?;
    let mirror = Mirror::new(plane)?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    plane.apply(&config_map("left", "changed", "live"))?;
    plane.apply(&config_map("left", "extra", "live"))?;
    delete(plane, &["configmap/gone", "deployment/web", "-n", "left"])?;
    plane.apply(&deployment("left", "web", "two"))?;
    plane
        .kubectl(["label", "serviceaccount/default", "mine-", "-n", "left"])?
        .success()?;

    let args = ["--apply", "--yes", "-n", "left"];
    let plain = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(names(&plain, "result", "created"), ["ConfigMap left/gone"]);
    assert_eq!(
        names(&plain, "result", "left"),
        ["ConfigMap left/changed", "Deployment left/web"]
    );
    assert_eq!(
        names(&plain, "class", "merge"),
        ["ServiceAccount left/default"]
    );
    assert_eq!(value(plane, "left", "changed")?, "live");
    assert_eq!(value(plane, "left", "gone")?, "recorded");
    assert_eq!(
        value(plane, "left", "extra")?,
        "live",
        "nothing live is deleted"
    );
    let account = plane.kubectl_json(&["get", "serviceaccount/default", "-n", "left"])?;
    assert_eq!(account["metadata"]["labels"]["mine"], "yes");
    let created = plane.kubectl_json(&[
        "get",
        "configmap/gone",
        "-n",
        "left",
        "--show-managed-fields",
    ])?;
    assert_eq!(
        created["metadata"]["managedFields"][0]["manager"],
        "kubectl-strandline-restore"
    );

    let args = ["--apply", "--yes", "-n", "left", "--update"];
    let update = result(&restore(&mirror, plane, &args)?.run()?.expect_code(3)?)?;
    assert_eq!(
        names(&update, "result", "updated"),
        ["ConfigMap left/changed"]
    );
    assert_eq!(
        names(&update, "result", "needs-replace"),
        ["Deployment left/web"]
    );
    assert_eq!(value(plane, "left", "changed")?, "recorded");
    let web = plane.kubectl_json(&["get", "deployment/web", "-n", "left"])?;
    assert_eq!(web["spec"]["selector"]["matchLabels"]["app"], "two");
    Ok(Completion::Completed)
}

fn value(plane: &ControlPlane, namespace: &str, name: &str) -> Result<String> {
    let object = plane.kubectl_json(&["get", "configmap", name, "-n", namespace])?;
    Ok(object["data"]["a"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn owners_are_linked_by_their_live_uid(plane: &ControlPlane) -> Outcome {
    namespace(plane, "owned")?;
    // An owner of a later stage than its child, one of the same, and one that is in no mirror.
    plane.apply(&deployment("owned", "late", "late"))?;
    plane.apply(&config_map("owned", "early", "x"))?;
    let uid = |kind: &str, name: &str| -> Result<String> {
        let owner = plane.kubectl_json(&["get", kind, name, "-n", "owned"])?;
        Ok(owner["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    let reference = |api: &str, kind: &str, name: &str, uid: &str, controller: bool| {
        json!({"apiVersion": api, "kind": kind, "name": name, "uid": uid,
            "controller": controller, "blockOwnerDeletion": controller})
    };
    let late = uid("deployment", "late")?;
    let early = uid("configmap", "early")?;
    let mut child = config_map("owned", "child", "x");
    child["metadata"]["ownerReferences"] = json!([
        reference("apps/v1", "Deployment", "late", &late, true),
        reference("v1", "ConfigMap", "early", &early, false),
    ]);
    plane.apply(&child)?;
    let mirror = Mirror::new(plane)?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    let recorded = mirror.file("namespaces/owned/configmaps/child.yaml")?;
    assert!(
        recorded.contains("kind: Deployment") && !recorded.contains("uid:"),
        "{recorded}"
    );
    delete(plane, &["namespace", "owned"])?;

    let args = ["--apply", "--yes", "-n", "owned"];
    let without = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(names(&without, "class", "owned"), ["ConfigMap owned/child"]);
    // Without its owner: the reference is left out, and that is said.
    delete(plane, &["deployment", "late", "-n", "owned"])?;
    let args = [
        "--apply",
        "--yes",
        "-n",
        "owned",
        "--include-owned",
        "configmap/child",
    ];
    let alone = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    let child = &alone["objects"][0];
    assert_eq!(child["result"], "created", "{alone}");
    assert!(
        child["notes"]
            .to_string()
            .contains("without its owner reference to Deployment late")
    );
    let live = plane.kubectl_json(&["get", "configmap/child", "-n", "owned"])?;
    let references = live["metadata"]["ownerReferences"].as_array();
    assert_eq!(references.map(Vec::len), Some(1), "{live}");

    let args = ["--apply", "--yes", "-n", "owned", "--include-owned"];
    let linked = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(
        names(&linked, "result", "created"),
        ["Deployment owned/late"]
    );
    assert_eq!(
        names(&linked, "result", "linked"),
        ["ConfigMap owned/child"]
    );
    let again = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(names(&again, "result", "linked"), [""; 0]);
    let live = plane.kubectl_json(&["get", "configmap/child", "-n", "owned"])?;
    let uids: Vec<&str> = live["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reference| reference["uid"].as_str())
        .collect();
    let (late, early) = (uid("deployment", "late")?, uid("configmap", "early")?);
    assert!(uids.contains(&&*late) && uids.contains(&&*early), "{live}");
    assert!(
        live["metadata"]["ownerReferences"]
            .to_string()
            .contains("\"controller\":true")
    );
    // Garbage collection has looked at it when it has collected the child of a dead owner.
    let mut bait = config_map("owned", "bait", "x");
    bait["metadata"]["ownerReferences"] = json!([reference(
        "v1",
        "ConfigMap",
        "early",
        "00000000-0000-0000-0000-000000000000",
        false
    )]);
    plane.apply(&bait)?;
    wait_for("garbage collection", Duration::from_secs(90), || {
        let bait = plane.kubectl(["get", "configmap/bait", "-n", "owned"])?;
        Ok((bait.code != Some(0)).then_some(()))
    })?;
    plane
        .kubectl(["get", "configmap/child", "-n", "owned"])?
        .success()?;
    Ok(Completion::Completed)
}

/// Commits another content of a file.
fn commit_file(mirror: &Mirror, path: &str, text: &str) -> Result<()> {
    let repository = mirror.repository();
    let git = |args: &[&str]| {
        Program::git(&repository)
            .arg(format!("--git-dir={}", repository.display()))
            .args(args)
    };
    let blob = git(&["hash-object", "-w", "--stdin"])
        .stdin(text)
        .run()?
        .success()?;
    mirror.git(&["read-tree", "main"])?;
    let entry = format!("100644,{},{path}", blob.trim());
    mirror.git(&["update-index", "--add", "--cacheinfo", &entry])?;
    let tree = mirror.git(&["write-tree"])?;
    let commit = mirror.git(&["commit-tree", "-p", "main", "-m", "edited", tree.trim()])?;
    mirror.git(&["update-ref", "refs/heads/main", commit.trim()])?;
    std::fs::remove_file(repository.join("index")).context("the index")
}

pub(crate) fn what_others_make_is_left_to_them(plane: &ControlPlane) -> Outcome {
    namespace(plane, "others")?;
    let marked = |name: &str, labels: Value, annotations: Value| {
        let mut object = config_map("others", name, "x");
        object["metadata"]["labels"] = labels;
        object["metadata"]["annotations"] = annotations;
        object
    };
    let helm =
        json!({"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "others"});
    for object in [
        marked(
            "helm",
            json!({"app.kubernetes.io/managed-by": "Helm"}),
            helm,
        ),
        marked(
            "flux",
            json!({"kustomize.toolkit.fluxcd.io/name": "apps"}),
            json!({}),
        ),
        marked(
            "argo",
            json!({}),
            json!({"argocd.argoproj.io/tracking-id": "web:/ConfigMap:others/argo"}),
        ),
        config_map("others", "plain", "x"),
    ] {
        plane.apply(&object)?;
    }
    let pod = json!({"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "example.com/c:1"}]}});
    plane.apply(&json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "once", "namespace": "others"}, "spec": {"template": pod}}))?;
    // Scaled by an autoscaler: its file has no replicas.
    let mut web = deployment("others", "web", "web");
    web["spec"]["replicas"] = json!(5);
    plane.apply(&web)?;
    plane.apply(
        &json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "others"},
        "spec": {"minReplicas": 3, "maxReplicas": 7,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]}}),
    )?;
    let mirror = Mirror::new(plane)?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    let path = "namespaces/others/deployments.apps/web.yaml";
    let file = mirror.file(path)?;
    // As the rule `autoscaled-replicas` writes it, whether the recorder knew the autoscaler or not.
    commit_file(&mirror, path, &file.replace("  replicas: 5\n", ""))?;
    delete(plane, &["namespace", "others"])?;

    let args = ["--apply", "--yes", "-n", "others"];
    let some = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(
        names(&some, "class", "managed-elsewhere"),
        [
            "ConfigMap others/argo",
            "ConfigMap others/flux",
            "ConfigMap others/helm"
        ]
    );
    assert_eq!(names(&some, "class", "job-skipped"), ["Job others/once"]);
    assert_eq!(
        names(&some, "class", "system-made"),
        ["ServiceAccount others/default"]
    );
    let live = plane.kubectl_json(&["get", "deployment/web", "-n", "others"])?;
    assert_eq!(live["spec"]["replicas"], 3);

    let named = ["--apply", "--yes", "-n", "others", "configmap/flux"];
    let named = result(&restore(&mirror, plane, &named)?.run()?.expect_code(3)?)?;
    assert!(named.to_string().contains("Kustomization apps"), "{named}");

    let args = [
        "--apply",
        "--yes",
        "-n",
        "others",
        "--include-managed",
        "--include-jobs",
    ];
    let all = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(names(&all, "result", "created").len(), 4, "{all}");
    Ok(Completion::Completed)
}

pub(crate) fn custom_resources_wait_for_their_webhook(plane: &ControlPlane) -> Outcome {
    let crd = |plural: &str, kind: &str, conversion: Value| {
        let version = |name: &str, storage: bool| {
            json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
        };
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.restore.example.com")},
            "spec": {"group": "restore.example.com", "scope": "Cluster",
                "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind,
                    "shortNames": [format!("x{plural}")]},
                "versions": [version("v1", true), version("v1beta1", false)],
                "conversion": conversion}})
    };
    let webhook = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "default", "name": "nobody", "path": "/"}}}});
    plane.apply(&crd("boats", "Boat", json!({"strategy": "None"})))?;
    plane.apply(&crd("hulls", "Hull", json!({"strategy": "None"})))?;
    for (kind, name) in [("Boat", "tug"), ("Hull", "steel")] {
        plane.apply(
            &json!({"apiVersion": "restore.example.com/v1", "kind": kind,
            "metadata": {"name": name}, "spec": {"a": 1}}),
        )?;
    }
    plane.apply(&crd("hulls", "Hull", webhook))?;
    let mirror = Mirror::new(plane)?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    delete(
        plane,
        &[
            "crd",
            "boats.restore.example.com",
            "hulls.restore.example.com",
        ],
    )?;

    // The CRD comes along, and its objects wait until it is Established.
    let args = ["--apply", "--yes", "boat/tug"];
    let boat = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(
        names(&boat, "result", "created"),
        [
            "CustomResourceDefinition /boats.restore.example.com",
            "Boat /tug"
        ]
    );
    // Nobody serves the webhook: after the wait it goes on, by the version that is stored.
    let args = [
        "--apply",
        "--yes",
        "xhulls.restore.example.com/steel",
        "--wait",
        "3s",
    ];
    let start = std::time::Instant::now();
    let hull = result(&restore(&mirror, plane, &args)?.run()?)?;
    assert!(start.elapsed() > Duration::from_secs(3), "it did not wait");
    let steel = hull["objects"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|object| object["name"] == "steel")
        .ok_or_else(|| Failure::new("no Hull in the result"))?;
    assert_eq!(steel["stage"], "converted-resources");
    assert!(
        steel["result"] == "created"
            || steel["reason"]
                .as_str()
                .is_some_and(|r| r.contains("Service default/nobody")),
        "{hull}"
    );
    delete(
        plane,
        &[
            "crd",
            "boats.restore.example.com",
            "hulls.restore.example.com",
        ],
    )?;
    Ok(Completion::Completed)
}

pub(crate) fn a_dry_run_writes_nothing(plane: &ControlPlane) -> Outcome {
    namespace(plane, "dry")?;
    namespace(plane, "drier")?;
    for namespace in ["dry", "drier"] {
        plane.apply(&config_map(namespace, "a", "recorded"))?;
        plane.apply(&config_map(namespace, "b", "recorded"))?;
    }
    let mirror = Mirror::new(plane)?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    delete(plane, &["namespace", "dry"])?;
    delete(plane, &["configmap", "a", "-n", "drier"])?;
    plane.apply(&config_map("drier", "b", "live"))?;
    let before = plane.resource_version()?;
    let args = [
        "--apply",
        "--dry-run=server",
        "--update",
        "-n",
        "dry",
        "-n",
        "drier",
    ];
    let dry = result(&restore(&mirror, plane, &args)?.run()?.expect_code(0)?)?;
    assert_eq!(
        names(&dry, "result", "checked"),
        ["Namespace /dry", "ConfigMap drier/a", "ConfigMap drier/b"]
    );
    assert_eq!(
        names(&dry, "result", "not-checkable"),
        ["ConfigMap dry/a", "ConfigMap dry/b"]
    );
    assert_eq!(value(plane, "drier", "b")?, "live");
    let missing = plane.kubectl(["get", "namespace", "dry"])?;
    assert_ne!(missing.code, Some(0));
    drop(before);
    Ok(Completion::Completed)
}
