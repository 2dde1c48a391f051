//! Everything recorded, restored into an empty control plane, and recorded there.
//!
//! Judged twice: by the two trees, and by what kubectl reads on both sides, so that a field which
//! we always drop cannot hide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Completion;
use serde_json::Value;

use crate::generation;
use crate::mirror::Mirror;
use crate::openapi::create_all;
use crate::support::acid::{Acid, How};
use crate::support::expectation::{DROPPED_TYPES, remove};
use crate::support::plane::{ADMIN, ControlPlane, Options};
use crate::support::program::Program;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Failure, Result, Unavailable, assets, wait_for};

/// Everything that a whole cluster needs.
const ALL: [&str; 5] = [
    "--apply",
    "--yes",
    "--include-jobs",
    "--include-owned",
    "--include-managed",
];

/// Why labels of Jobs differ.
const JOB_UID: &str = "the Job's uid in its cluster";

/// Objects that tell where the API server itself listens.
const SERVERS_OWN: [&str; 2] = ["endpoints", "endpointslices.discovery.k8s.io"];

/// What servers, and nobody else, write: another in every cluster.
///
/// Less than a mirror leaves out: what stands only in that list of ours shows as a difference.
const SERVER_MADE: [(&str, &[&str], &str); 20] = [
    ("*", &["status"], "what controllers observed"),
    ("*", &["metadata", "uid"], "drawn at creation"),
    ("*", &["metadata", "resourceVersion"], "the store's own"),
    ("*", &["metadata", "generation"], "counts writes"),
    ("*", &["metadata", "creationTimestamp"], "the clock's"),
    ("*", &["metadata", "managedFields"], "who wrote, and when"),
    (
        "*",
        &["metadata", "generateName"],
        "says how the name came about, which is there",
    ),
    (
        "*",
        &["metadata", "ownerReferences", "*", "uid"],
        "the owner's uid in its cluster",
    ),
    (
        "*",
        &[
            "metadata",
            "annotations",
            "kubectl.kubernetes.io/last-applied-configuration",
        ],
        "a copy that kubectl apply makes, with the values of Secrets",
    ),
    (
        "persistentvolumes",
        &["spec", "claimRef", "uid"],
        "the claim's uid in its cluster",
    ),
    (
        "persistentvolumes",
        &["spec", "claimRef", "resourceVersion"],
        "the claim's version in its cluster",
    ),
    ("services", &["spec", "clusterIP"], "allocated"),
    ("services", &["spec", "clusterIPs"], "allocated"),
    ("services", &["spec", "healthCheckNodePort"], "allocated"),
    ("services", &["spec", "ports", "*", "nodePort"], "allocated"),
    (
        "jobs.batch",
        &["metadata", "labels", "controller-uid"],
        JOB_UID,
    ),
    (
        "jobs.batch",
        &["metadata", "labels", "batch.kubernetes.io/controller-uid"],
        JOB_UID,
    ),
    (
        "jobs.batch",
        &[
            "spec",
            "selector",
            "matchLabels",
            "batch.kubernetes.io/controller-uid",
        ],
        JOB_UID,
    ),
    (
        "jobs.batch",
        &["spec", "template", "metadata", "labels", "controller-uid"],
        JOB_UID,
    ),
    (
        "jobs.batch",
        &[
            "spec",
            "template",
            "metadata",
            "labels",
            "batch.kubernetes.io/controller-uid",
        ],
        JOB_UID,
    ),
];

#[expect(clippy::print_stdout, reason = "what the issue wants printed")]
pub(crate) fn everything_makes_the_trip(plane: &ControlPlane) -> Outcome {
    let programs = match assets::sops() {
        Ok(programs) => programs,
        Err(Unavailable::Missing(reason)) => return skipped("everything_makes_the_trip", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let acid = match Acid::open() {
        Ok(acid) => acid,
        Err(Unavailable::Missing(reason)) => return skipped("everything_makes_the_trip", &reason),
        Err(Unavailable::Broken(failure)) => return Err(failure.into()),
    };
    let refused = create_all(plane, generation(plane)?)?;
    assert!(refused.is_empty(), "{refused:#?}");
    let applied = acid.apply(plane, How::Mixed)?;
    assert!(applied.refused.is_empty(), "{:?}", applied.refused);

    // One mirror with encrypted Secrets, to restore from, and one with digests beside it.
    let sealed = Mirror::new(plane)?;
    let recipient = key_pair(&programs, &sealed.home().join("identity"))?;
    let sops = ["--secrets", "sops", "--sops-recipient", &recipient];
    complete_snapshot(&sealed, &sops)?;
    let digested = Mirror::new(plane)?;
    complete_snapshot(&digested, &[])?;

    let other = ControlPlane::start(&Options::default())
        .map_err(|error| Failure::new(format!("{error:?}")))?;
    let stayed = restore(&sealed, &other)?;
    if !stayed.others.is_empty() {
        return Err(format!("{} objects did not make the trip", stayed.others.len()).into());
    }

    // 1. The trees.
    let there = Mirror::new(&other)?;
    complete_snapshot(&there, &[])?;
    let trees = differences(&digested.files()?, &there.files()?, &stayed.system);

    // 2. The Secrets, as the real sops reads them.
    let sealed_there = Mirror::new(&other)?;
    complete_snapshot(&sealed_there, &sops)?;
    let identity = sealed.home().join("identity");
    let here = decrypted(&programs, &identity, &sealed)?;
    let secrets = decrypted(&programs, &identity, &sealed_there)?;
    println!("{} Secrets decrypted by sops on each side", here.len());
    assert!(here.len() > 3, "{} Secrets", here.len());
    let wrong: Vec<_> = here
        .iter()
        .filter(|(path, value)| {
            !stayed.system.contains(path.as_str()) && secrets.get(*path) != Some(value)
        })
        .map(|(path, _)| path)
        .collect();

    // 3. What kubectl reads.
    let live = read_by_kubectl(plane)?;
    let live_there = read_by_kubectl(&other)?;
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for (key, object) in &live {
        let path = file_of(key);
        if stayed.system.contains(&path) {
            continue;
        }
        count += 1;
        match live_there.get(key) {
            None => fields.entry("missing".into()).or_default().push(path),
            Some(found) => {
                let mut at = String::new();
                differ(object, found, &mut at, &mut |field| {
                    fields
                        .entry(format!("{} {field}", key.0))
                        .or_default()
                        .push(path.clone());
                });
            }
        }
    }
    for (path, kind) in &trees {
        println!("tree: {path}: {kind}");
    }
    for (field, objects) in &fields {
        println!(
            "kubectl: {field} differs in {} ({})",
            objects.len(),
            objects[0]
        );
    }
    println!("{count} objects read by kubectl on both sides");
    println!("left out of kubectl's comparison:");
    for (resource, path, reason) in SERVER_MADE {
        println!("  {resource} {}: {reason}", path.join("."));
    }
    assert_eq!(
        (trees.len(), wrong, fields.len()),
        (0, Vec::<&String>::new(), 0),
        "differences in trees, Secrets and what kubectl reads"
    );
    Ok(Completion::Completed)
}

/// Restores everything; returns what stayed behind.
#[expect(clippy::print_stdout, reason = "what the issue wants printed")]
fn restore(mirror: &Mirror, plane: &ControlPlane) -> Result<StayedBehind> {
    let done = Program::strandline(mirror.home())
        .arg("restore")
        .args(["--repository", "mirror.git", "-o", "json"])
        .args(["--identity", "identity", "--kubeconfig"])
        .arg(plane.kubeconfig(ADMIN)?)
        .args(ALL)
        .env("STRANDLINE_WAIT", "25s")
        .deadline(Duration::from_secs(300))
        .run()?;
    let result: Value = serde_json::from_str(done.stdout.trim())
        .context(format_args!("no JSON: {}{}", done.stdout, done.stderr))?;
    let stayed = stayed_behind(&result);
    println!(
        "restore: exit code {:?}, {} created in {:.1} s; not restored, and why:",
        done.code,
        result["results"]["created"],
        done.took.as_secs_f64()
    );
    for (name, reason) in &stayed.others {
        println!("  {name}: {reason}");
    }
    println!("  and {} objects that are system-made", stayed.system.len());
    Ok(stayed)
}

/// Makes an age identity; returns its recipient.
fn key_pair(programs: &Path, file: &Path) -> Result<String> {
    let text = Program::new(programs.join("age-keygen")).run()?.success()?;
    std::fs::write(file, &text).context(file.display())?;
    text.lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .map(ToOwned::to_owned)
        .context_none("a public key")
}

trait OrFailure<T> {
    fn context_none(self, what: &str) -> Result<T>;
}

impl<T> OrFailure<T> for Option<T> {
    fn context_none(self, what: &str) -> Result<T> {
        self.ok_or_else(|| Failure::new(format_args!("no {what}")))
    }
}

/// A type whose CRD is young answers 429 for a while: it is unknown, and follows. So is the group
/// of a generated `APIService`, which never answers: exit code 3 is as complete as it gets.
fn complete_snapshot(mirror: &Mirror, args: &[&str]) -> Result<()> {
    let args = [args, &["--sync-timeout", "20s"]].concat();
    let mut last = None;
    wait_for("a snapshot that stays", Duration::from_secs(180), || {
        let done = mirror.snapshot(&args)?;
        if !matches!(done.code, Some(0 | 3)) {
            return Err(Failure::new(done.stderr));
        }
        let tree = mirror.tree()?;
        let same = last.replace(tree.clone()) == Some(tree);
        Ok((done.code == Some(0) || same).then_some(()))
    })
}

/// What a restore did not bring back.
struct StayedBehind {
    /// Paths of what every cluster makes by itself.
    system: BTreeSet<String>,
    /// Everything else, with the reason.
    others: BTreeMap<String, String>,
}

fn stayed_behind(result: &Value) -> StayedBehind {
    let mut stayed = StayedBehind {
        system: BTreeSet::new(),
        others: BTreeMap::new(),
    };
    for object in result["objects"].as_array().into_iter().flatten() {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        if object["class"] == "system-made" {
            stayed.system.insert(text("path").to_owned());
        } else if !matches!(
            text("result"),
            "created" | "updated" | "linked" | "unchanged"
        ) {
            let reason = format!("{} {}: {}", text("class"), text("result"), text("reason"));
            stayed.others.insert(text("path").to_owned(), reason);
        }
    }
    stayed
}

fn differences(
    expected: &BTreeMap<String, Vec<u8>>,
    found: &BTreeMap<String, Vec<u8>>,
    system: &BTreeSet<String>,
) -> Vec<(String, String)> {
    let paths: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let paths = paths
        .into_iter()
        .filter(|path| *path != ".strandline.yaml" && !system.contains(*path));
    let mut all = Vec::new();
    for path in paths {
        let kind = match (expected.get(path), found.get(path)) {
            (Some(_), None) => "missing".to_owned(),
            (None, Some(_)) => "surplus".to_owned(),
            (Some(a), Some(b)) if a != b => {
                let lines = |bytes| -> BTreeSet<String> {
                    let text = String::from_utf8_lossy(bytes);
                    text.lines().map(ToOwned::to_owned).collect()
                };
                let (a, b) = (lines(a), lines(b));
                format!(
                    "without {:?}, with {:?}",
                    a.difference(&b).take(3).collect::<Vec<_>>(),
                    b.difference(&a).take(3).collect::<Vec<_>>()
                )
            }
            _ => continue,
        };
        all.push((path.clone(), kind));
    }
    all
}

/// Every Secret's file as the real sops decrypts it.
fn decrypted(programs: &Path, identity: &Path, mirror: &Mirror) -> Result<BTreeMap<String, Value>> {
    let mut secrets = BTreeMap::new();
    for (path, bytes) in mirror.files()? {
        if !path.contains("/secrets/") || !bytes.starts_with(b"# strandline: ") {
            continue;
        }
        let text = Program::new(programs.join("sops"))
            .dir(mirror.home())
            .env("HOME", mirror.home())
            .env("SOPS_AGE_KEY_FILE", identity)
            .args(["--decrypt", "--input-type", "yaml", "--output-type", "json"])
            .arg("/dev/stdin")
            .stdin(bytes)
            .run()?
            .success()
            .context(&path)?;
        secrets.insert(path, serde_json::from_str(&text).context("sops' JSON")?);
    }
    Ok(secrets)
}

/// Resource, namespace, name.
type Key = (String, String, String);

fn read_by_kubectl(plane: &ControlPlane) -> Result<BTreeMap<Key, Value>> {
    // A group whose server is away makes kubectl complain, and list the rest.
    let resources = plane.kubectl(["api-resources", "--verbs=list,watch", "-o", "name"])?;
    let types = resources
        .stdout
        .lines()
        .filter(|name| !DROPPED_TYPES.contains(name));
    let mut live = BTreeMap::new();
    for resource in types {
        let list = plane.kubectl_json(&["get", resource, "-A"])?;
        for mut object in list["items"].as_array().cloned().unwrap_or_default() {
            let text = |field: &str| {
                let text = object["metadata"][field].as_str();
                text.unwrap_or_default().to_owned()
            };
            let key = (resource.to_owned(), text("namespace"), text("name"));
            if SERVERS_OWN.contains(&resource) && key.1 == "default" && key.2 == "kubernetes" {
                continue;
            }
            for (of, path, _) in SERVER_MADE {
                if of == "*" || of == resource {
                    remove(&mut object, path);
                }
            }
            live.insert(key, object);
        }
    }
    Ok(live)
}

/// The path of an object's file, for names without odd characters; percent-encoded otherwise.
fn file_of((resource, namespace, name): &Key) -> String {
    let name = name.replace(':', "%3a");
    if namespace.is_empty() {
        format!("cluster/{resource}/{name}.yaml")
    } else {
        format!("namespaces/{namespace}/{resource}/{name}.yaml")
    }
}

/// Tells `found` each field that differs; elements of lists by position, without it in the name.
fn differ(a: &Value, b: &Value, at: &mut String, found: &mut dyn FnMut(&str)) {
    if a == b {
        return;
    }
    let length = at.len();
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                at.push('.');
                at.push_str(key);
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differ(a, b, at, found),
                    _ => found(at),
                }
                at.truncate(length);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            at.push_str("[]");
            for (a, b) in a.iter().zip(b) {
                differ(a, b, at, found);
            }
            at.truncate(length);
        }
        _ => found(at),
    }
}
