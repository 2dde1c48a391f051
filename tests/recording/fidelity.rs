//! What is written is what kubectl sees, less what `support::expectation` lists.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::mirror::{KEY, Mirror};
use crate::support::acid::{Acid, How};
use crate::support::expectation::{DROPPED_TYPES, is_dropped, remove, strip};
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Failure, Result, Unavailable};

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
            strip(&resource, &mut object, &KEY);
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
