//! What is written is what kubectl sees, less what is listed here.
//!
//! Both lists are this file's own, from the design; nothing is imported from `filters/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use libtest_mimic::Completion;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::mirror::{KEY, Mirror};
use crate::support::acid::{Acid, How};
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Failure, Result, Unavailable};

/// Types that are not recorded at all.
const DROPPED_TYPES: [&str; 20] = [
    "pods",
    "replicasets.apps",
    "controllerrevisions.apps",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "leasecandidates.coordination.k8s.io",
    "ipaddresses.networking.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "resourceslices.resource.k8s.io",
    "certificatesigningrequests.certificates.k8s.io",
    "componentstatuses",
    "bindings",
    "tokenreviews.authentication.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
    "localsubjectaccessreviews.authorization.k8s.io",
    "subjectaccessreviews.authorization.k8s.io",
    "selfsubjectaccessreviews.authorization.k8s.io",
];

/// Types whose objects stay although a controller owns them.
const KEPT_THOUGH_OWNED: [&str; 9] = [
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "serviceaccounts",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "scaledobjects.keda.sh",
    "applications.argoproj.io",
];

/// Fields that are in no file; below `annotations` and `labels` the last step is a whole key.
const STRIPPED: [&[&str]; 36] = [
    &["status"],
    &["metadata", "uid"],
    &["metadata", "resourceVersion"],
    &["metadata", "generation"],
    &["metadata", "creationTimestamp"],
    &["metadata", "managedFields"],
    &["metadata", "generateName"],
    &["metadata", "selfLink"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "deletionGracePeriodSeconds"],
    &["metadata", "ownerReferences", "*", "uid"],
    &[
        "metadata",
        "annotations",
        "kubectl.kubernetes.io/last-applied-configuration",
    ],
    &["metadata", "annotations", "kapp.k14s.io/original"],
    &["metadata", "annotations", "objectset.rio.cattle.io/applied"],
    &[
        "metadata",
        "annotations",
        "control-plane.alpha.kubernetes.io/leader",
    ],
    &[
        "metadata",
        "annotations",
        "deployment.kubernetes.io/revision",
    ],
    &[
        "metadata",
        "annotations",
        "deprecated.daemonset.template.generation",
    ],
    &[
        "metadata",
        "annotations",
        "kubernetes.io/service-account.uid",
    ],
    &["metadata", "annotations", "pv.kubernetes.io/bind-completed"],
    &[
        "metadata",
        "annotations",
        "pv.kubernetes.io/bound-by-controller",
    ],
    &[
        "metadata",
        "annotations",
        "volume.beta.kubernetes.io/storage-provisioner",
    ],
    &[
        "metadata",
        "annotations",
        "volume.kubernetes.io/storage-provisioner",
    ],
    &[
        "metadata",
        "annotations",
        "volume.kubernetes.io/selected-node",
    ],
    &[
        "metadata",
        "annotations",
        "autoscaling.alpha.kubernetes.io/conditions",
    ],
    &[
        "metadata",
        "annotations",
        "autoscaling.alpha.kubernetes.io/current-metrics",
    ],
    &["metadata", "labels", "controller-uid"],
    &["metadata", "labels", "batch.kubernetes.io/controller-uid"],
    &["spec", "selector", "matchLabels", "controller-uid"],
    &[
        "spec",
        "selector",
        "matchLabels",
        "batch.kubernetes.io/controller-uid",
    ],
    &["spec", "template", "metadata", "labels", "controller-uid"],
    &[
        "spec",
        "template",
        "metadata",
        "labels",
        "batch.kubernetes.io/controller-uid",
    ],
    &["spec", "template", "metadata", "creationTimestamp"],
    &["spec", "jobTemplate", "metadata", "creationTimestamp"],
    &[
        "spec",
        "jobTemplate",
        "spec",
        "template",
        "metadata",
        "creationTimestamp",
    ],
    &["spec", "claimRef", "uid"],
    &["spec", "claimRef", "resourceVersion"],
];

/// Fields of a Service that are only there where somebody asked for them.
const ALLOCATED: [&str; 5] = [
    "clusterIP",
    "clusterIPs",
    "healthCheckNodePort",
    "ipFamilies",
    "ipFamilyPolicy",
];

/// Every object that kubectl lists, as its file should read, by resource, namespace and name.
pub(crate) type Expected = BTreeMap<(String, String, String), Value>;

pub(crate) fn every_object_is_one_faithful_file(plane: &ControlPlane) -> Outcome {
    let acid = match Acid::open() {
        Ok(acid) => acid,
        Err(Unavailable::Missing(reason)) => {
            return skipped("every_object_is_one_faithful_file", &reason);
        }
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let applied = acid.apply(plane, How::Mixed)?;
    assert!(applied.refused.is_empty(), "{:?}", applied.refused);
    settle(plane)?;

    let mirror = Mirror::new(plane)?;
    let first = mirror.snapshot(&[])?.expect_code(0)?;
    let expected = expected(plane)?;
    let files = mirror.files()?;
    mirror.fsck()?;

    let objects_expected = expected.len();
    compare(plane, &mirror, &expected)?;
    assert_eq!(
        files.len(),
        objects_expected + 1,
        "one file each, and .strandline.yaml"
    );

    let objects = mirror.objects()?;
    let head = mirror.head()?;
    let second = mirror.snapshot(&[])?.expect_code(0)?;
    assert_eq!(
        mirror.head()?,
        head,
        "a second snapshot of the same cluster made a commit"
    );
    assert_eq!(
        mirror.objects()?,
        objects,
        "a second snapshot wrote Git objects"
    );

    for mode in ["pages", "watch-list"] {
        let other = Mirror::new(plane)?;
        let _ = other.snapshot(&["--list-mode", mode])?.expect_code(0)?;
        assert_eq!(other.tree()?, mirror.tree()?, "another tree by {mode}");
    }
    #[expect(clippy::print_stdout, reason = "the figures of the issue")]
    {
        println!(
            "fidelity: {} objects in {} files, first snapshot {:.2} s, second {:.2} s",
            expected.len(),
            files.len(),
            first.took.as_secs_f64(),
            second.took.as_secs_f64()
        );
    }
    Ok(Completion::Completed)
}

pub(crate) fn an_unknown_group_keeps_its_files(plane: &ControlPlane) -> Outcome {
    plane.apply(&crate::life::crd("floats", "Float", "away.example.com"))?;
    plane
        .kubectl([
            "wait",
            "--for=condition=Established",
            "crd/floats.away.example.com",
        ])?
        .success()?;
    crate::support::wait_for_success("a first Float", std::time::Duration::from_secs(20), || {
        plane.apply(&json!({
            "apiVersion": "away.example.com/v1", "kind": "Float",
            "metadata": { "name": "buoy", "namespace": "default" }, "spec": { "a": 1 }
        }))
    })?;
    let mirror = Mirror::new(plane)?;
    let _ = mirror.snapshot(&[])?.expect_code(0)?;
    let path = "namespaces/default/floats.away.example.com/buoy.yaml";
    assert!(mirror.has(path)?);

    plane
        .kubectl(["delete", "crd", "floats.away.example.com", "--wait"])?
        .success()?;
    let service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": { "name": "v1.away.example.com" },
        "spec": {
            "group": "away.example.com", "version": "v1", "groupPriorityMinimum": 100,
            "versionPriority": 100, "insecureSkipTLSVerify": true,
            "service": { "name": "nobody", "namespace": "default", "port": 443 }
        }
    });
    crate::support::wait_for_success("the APIService", std::time::Duration::from_secs(20), || {
        plane.apply(&service)?;
        let stale = plane.raw("/apis/apiregistration.k8s.io/v1/apiservices/v1.away.example.com")?;
        match stale["spec"]["service"]["name"].as_str() {
            Some("nobody") => Ok(()),
            _ => Err(Failure::new("not ours yet")),
        }
    })?;
    let unknown = mirror.snapshot(&[])?.expect_code(3)?;
    assert!(
        unknown.stdout.contains("away.example.com"),
        "{}",
        unknown.stdout
    );
    assert!(
        mirror.has(path)?,
        "a group whose server is away lost a file"
    );
    assert!(
        !mirror.has(
            "cluster/customresourcedefinitions.apiextensions.k8s.io/floats.away.example.com.yaml"
        )?,
        "the CRD itself was deleted, and that is known"
    );
    plane
        .kubectl(["delete", "apiservice", "v1.away.example.com"])?
        .success()?;
    crate::support::wait_for_success(
        "the end of the group",
        std::time::Duration::from_secs(40),
        || {
            let _ = mirror.snapshot(&[])?.expect_code(0)?;
            if mirror.has(path)? {
                Err(Failure::new("the file is still there"))
            } else {
                Ok(())
            }
        },
    )?;
    Ok(Completion::Completed)
}

/// Holds every file of the mirror, as kubectl reads it, against what it should be.
pub(crate) fn compare(plane: &ControlPlane, mirror: &Mirror, expected: &Expected) -> Result<()> {
    let found = read_by_kubectl(plane, mirror)?;
    let missing: Vec<_> = expected
        .keys()
        .filter(|key| !found.contains_key(key))
        .collect();
    let surplus: Vec<_> = found
        .keys()
        .filter(|key| !expected.contains_key(key))
        .collect();
    if !missing.is_empty() || !surplus.is_empty() {
        return Err(Failure::new(format!(
            "missing {missing:?}, surplus {surplus:?}"
        )));
    }
    for (key, object) in expected {
        let file = &found[key];
        if file != object {
            return Err(Failure::new(format!(
                "{key:?}\n file: {file}\n live: {object}"
            )));
        }
    }
    Ok(())
}

/// Waits until controllers have made of the sets what they make of them: no object's
/// resourceVersion changes between two looks, leases and events aside.
pub(crate) fn settle(plane: &ControlPlane) -> Result<()> {
    let mut last = String::new();
    crate::support::wait_for(
        "a cluster at rest",
        std::time::Duration::from_secs(60),
        || {
            std::thread::sleep(std::time::Duration::from_millis(700));
            let types = types(plane)?.join(",");
            let now = plane.kubectl([
            "get", &types, "-A", "-o",
            "jsonpath={range .items[*]}{.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}",
        ])?;
            let same = now.stdout == last;
            last = now.stdout;
            Ok(same.then_some(()))
        },
    )
}

/// The types that kubectl lists, by its own choice of version, less those that are dropped.
fn types(plane: &ControlPlane) -> Result<Vec<String>> {
    // A group whose server is away makes kubectl complain, and list the rest.
    let resources = plane.kubectl(["api-resources", "--verbs=list,watch", "-o", "name"])?;
    Ok(resources
        .stdout
        .lines()
        .filter(|name| !DROPPED_TYPES.contains(name) && !name.ends_with("metrics.k8s.io"))
        .map(ToOwned::to_owned)
        .collect())
}

pub(crate) fn expected(plane: &ControlPlane) -> Result<Expected> {
    let mut expected = Expected::new();
    for resource in types(plane)? {
        let list = plane.kubectl_json(&["get", &resource, "-A", "--show-managed-fields"])?;
        for mut object in list["items"].as_array().cloned().unwrap_or_default() {
            if is_dropped(&resource, &object) {
                continue;
            }
            let namespace = text(&object, "namespace");
            let name = text(&object, "name");
            if resource == "services" {
                strip_allocated(&mut object);
            }
            if resource == "namespaces" {
                remove(&mut object, &["spec", "finalizers"]);
            }
            if resource == "statefulsets.apps" {
                let claims = object["spec"]["volumeClaimTemplates"].as_array_mut();
                for claim in claims.into_iter().flatten() {
                    remove(claim, &["status"]);
                    remove(claim, &["metadata", "creationTimestamp"]);
                }
            }
            for path in STRIPPED {
                remove(&mut object, path);
            }
            if resource == "secrets" {
                if object["data"].is_null() {
                    // kubectl, which reads the file below, leaves out what is null.
                    remove(&mut object, &["data"]);
                }
                digest(&mut object, &namespace, &name);
            }
            expected.insert((resource.clone(), namespace, name), object);
        }
    }
    Ok(expected)
}

fn text(object: &Value, field: &str) -> String {
    object["metadata"][field]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn is_dropped(resource: &str, object: &Value) -> bool {
    let metadata = &object["metadata"];
    let owned = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| owners.iter().any(|owner| owner["controller"] == true));
    let label = |name: &str| metadata["labels"][name].as_str().unwrap_or_default();
    if owned && !KEPT_THOUGH_OWNED.contains(&resource) {
        return true;
    }
    match resource {
        "configmaps" => metadata["name"] == "kube-root-ca.crt",
        "secrets" => object["type"] == "helm.sh/release.v1",
        "apiservices.apiregistration.k8s.io" => {
            !label("kube-aggregator.kubernetes.io/automanaged").is_empty()
        }
        "endpoints" => {
            label("endpoints.kubernetes.io/managed-by") == "endpoint-controller"
                || (metadata["namespace"] == "default" && metadata["name"] == "kubernetes")
        }
        "endpointslices.discovery.k8s.io" => {
            let manager = label("endpointslice.kubernetes.io/managed-by");
            manager == "endpointslice-controller.k8s.io"
                || manager == "endpointslicemirroring-controller.k8s.io"
                || (metadata["namespace"] == "default" && metadata["name"] == "kubernetes")
        }
        _ => false,
    }
}

/// Removes a field, and what is empty without it.
fn remove(value: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if *first == "*" {
        for element in value.as_array_mut().into_iter().flatten() {
            remove(element, rest);
        }
        return;
    }
    let Some(map) = value.as_object_mut() else {
        return;
    };
    let Some(child) = map.get_mut(*first) else {
        return;
    };
    if rest.is_empty() {
        map.remove(*first);
        return;
    }
    let was_empty = is_empty(child);
    remove(child, rest);
    if !was_empty && is_empty(child) {
        map.remove(*first);
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Leaves of a Service's allocated fields only what some manager wrote down as its own.
fn strip_allocated(object: &mut Value) {
    let fields: Vec<Value> = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] != "before-first-apply")
        .map(|entry| entry["fieldsV1"]["f:spec"].clone())
        .collect();
    for field in ALLOCATED {
        let asked_for = fields
            .iter()
            .any(|spec| spec.get(format!("f:{field}")).is_some());
        let headless = field == "clusterIP" && object["spec"]["clusterIP"] == "None";
        if !asked_for && !headless {
            remove(object, &["spec", field]);
        }
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let key = format!(
            "k:{}",
            json!({ "port": port["port"], "protocol": protocol })
        );
        let asked_for = fields
            .iter()
            .any(|spec| spec["f:ports"][&key].get("f:nodePort").is_some());
        if !asked_for {
            remove(port, &["nodePort"]);
        }
    }
}

/// Replaces each value by its digest, computed here from the design's words.
fn digest(object: &mut Value, namespace: &str, name: &str) {
    let path = format!("namespaces/{namespace}/secrets/{name}.yaml");
    for (key, value) in object
        .get_mut("data")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let plain = decode(value.as_str().unwrap_or_default());
        let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("any length");
        mac.update(path.as_bytes());
        mac.update(&[0]);
        mac.update(format!("data[{}]", json!(key)).as_bytes());
        mac.update(&[0]);
        mac.update(&plain);
        let mut hex = String::new();
        for byte in &mac.finalize().into_bytes()[..16] {
            write!(hex, "{byte:02x}").expect("a String takes everything");
        }
        *value = Value::String(format!("hmac:{hex}"));
    }
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_default()
}

/// Every file of the mirror as kubectl reads it, by resource, namespace and name.
fn read_by_kubectl(plane: &ControlPlane, mirror: &Mirror) -> Result<Expected> {
    const MARK: &str = "strandline-test-mark";
    let mut kinds = BTreeMap::new();
    let mut text = String::new();
    for (path, bytes) in mirror.files()? {
        if path == ".strandline.yaml" {
            continue;
        }
        let parts: Vec<_> = path.split('/').collect();
        let directory = parts[parts.len() - 2].to_owned();
        let yaml = String::from_utf8(bytes).context(&path)?;
        let line = |key: &str| {
            let start = format!("{key}: ");
            yaml.lines()
                .find_map(|l| l.strip_prefix(&start))
                .unwrap_or_default()
                .to_owned()
        };
        kinds.insert((line("apiVersion"), line("kind")), directory);
        text.push_str("---\n");
        text.push_str(&yaml);
    }
    let marked = plane
        .kubectl_as(ADMIN)?
        .args([
            "label",
            "--local",
            "-f",
            "-",
            &format!("{MARK}=1"),
            "-o",
            "json",
        ])
        .stdin(text)
        .run()?
        .success()?;
    let mut found = Expected::new();
    let mut seen = BTreeSet::new();
    for object in serde_json::Deserializer::from_str(&marked).into_iter::<Value>() {
        let object = object.context("kubectl's JSON")?;
        let items = match object["items"].as_array() {
            Some(items) if object["kind"] == "List" => items.clone(),
            _ => vec![object],
        };
        for mut object in items {
            remove(&mut object, &["metadata", "labels", MARK]);
            let kind = (
                object["apiVersion"].as_str().unwrap_or_default().to_owned(),
                object["kind"].as_str().unwrap_or_default().to_owned(),
            );
            let resource = kinds
                .get(&kind)
                .cloned()
                .unwrap_or_else(|| format!("{kind:?}"));
            let key = (
                resource,
                text_of(&object, "namespace"),
                text_of(&object, "name"),
            );
            assert!(seen.insert(key.clone()), "{key:?} is in two files");
            found.insert(key, object);
        }
    }
    Ok(found)
}

fn text_of(object: &Value, field: &str) -> String {
    text(object, field)
}
