//! The sidecar changes when an owner does, and not when a status does; and it holds no value.

use std::time::Duration;

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::api::{Api, MERGE_PATCH};
use crate::bed;
use crate::matrix;
use crate::oracle::Identity;
use crate::recording::{OWNERS, Recording, Tree};
use crate::search::Search;
use crate::support::plane::ControlPlane;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Failure, Result, wait_for, wait_for_success};
use crate::values::Values;

/// The numbers.
const HEARTBEATS: usize = 1000;
const STATUS_UPDATES: usize = 100;

/// A built-in kind with a status, the least that the server takes of it, and a status that differs
/// by a number.
struct Kind {
    api_version: &'static str,
    name: &'static str,
    spec: fn() -> Value,
    status: fn(usize) -> Value,
}

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "beat"}},
        "spec": {"containers": [{"name": "a", "image": "registry.example/a:1"}],
            "restartPolicy": "Always"}})
}

fn job() -> Value {
    let mut template = template();
    template["spec"]["restartPolicy"] = "Never".into();
    json!({"suspend": true, "template": template})
}

fn condition(number: usize) -> Value {
    json!({"conditions": [{"type": "Beat", "status": "True", "reason": "Beat",
        "message": format!("beat {number}"), "lastTransitionTime": "2024-01-01T00:00:00Z"}]})
}

fn selector() -> Value {
    json!({"matchLabels": {"app": "beat"}})
}

const KINDS: [Kind; 15] = [
    Kind {
        api_version: "apps/v1",
        name: "Deployment",
        spec: || json!({"selector": selector(), "template": template()}),
        status: |number| json!({"observedGeneration": number}),
    },
    Kind {
        api_version: "apps/v1",
        name: "DaemonSet",
        spec: || json!({"selector": selector(), "template": template()}),
        status: |number| json!({"observedGeneration": number}),
    },
    Kind {
        api_version: "apps/v1",
        name: "StatefulSet",
        spec: || json!({"serviceName": "a", "selector": selector(), "template": template()}),
        status: |number| json!({"observedGeneration": number}),
    },
    Kind {
        api_version: "batch/v1",
        name: "CronJob",
        spec: || json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job()}}),
        status: |number| json!({"lastScheduleTime": time(number)}),
    },
    Kind {
        api_version: "batch/v1",
        name: "Job",
        spec: job,
        status: |number| {
            json!({"conditions": [{"type": "Suspended", "status": "True",
            "message": format!("beat {number}")}]})
        },
    },
    Kind {
        api_version: "v1",
        name: "ReplicationController",
        spec: || json!({"selector": {"app": "beat"}, "template": template()}),
        status: |number| json!({"replicas": 0, "observedGeneration": number}),
    },
    Kind {
        api_version: "v1",
        name: "Service",
        spec: || json!({"type": "LoadBalancer", "ports": [{"port": 80}]}),
        status: |number| json!({"loadBalancer": {"ingress": [{"ip": address(number)}]}}),
    },
    Kind {
        api_version: "v1",
        name: "ResourceQuota",
        spec: || json!({"hard": {"configmaps": "1000"}}),
        status: |number| json!({"used": {"configmaps": number.to_string()}}),
    },
    Kind {
        api_version: "v1",
        name: "PersistentVolumeClaim",
        spec: || {
            json!({"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}})
        },
        status: condition,
    },
    Kind {
        api_version: "v1",
        name: "PersistentVolume",
        spec: || {
            json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/beat"}})
        },
        status: |number| json!({"message": format!("beat {number}")}),
    },
    Kind {
        api_version: "v1",
        name: "Node",
        spec: || json!({}),
        status: |number| {
            json!({"conditions": [{"type": "Ready", "status": "True",
            "lastHeartbeatTime": time(number), "message": format!("beat {number}")}]})
        },
    },
    Kind {
        api_version: "policy/v1",
        name: "PodDisruptionBudget",
        spec: || json!({"minAvailable": 1, "selector": selector()}),
        status: |number| {
            json!({"observedGeneration": number, "currentHealthy": 0,
            "desiredHealthy": 1, "expectedPods": number, "disruptionsAllowed": 0})
        },
    },
    Kind {
        api_version: "networking.k8s.io/v1",
        name: "Ingress",
        spec: || json!({"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}),
        status: |number| json!({"loadBalancer": {"ingress": [{"ip": address(number)}]}}),
    },
    Kind {
        api_version: "autoscaling/v2",
        name: "HorizontalPodAutoscaler",
        spec: || {
            json!({"maxReplicas": 3,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}})
        },
        status: |number| json!({"currentReplicas": number, "desiredReplicas": 1}),
    },
    Kind {
        api_version: "v1",
        name: "Namespace",
        spec: || json!({}),
        status: condition,
    },
];

fn time(number: usize) -> String {
    format!("2024-01-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60)
}

fn address(number: usize) -> String {
    format!("192.0.2.{}", number % 250 + 1)
}

/// Two objects of each kind: one that beats, and one whose label says that all beats were seen,
/// because events of one type come in order.
fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> (Identity, Value) {
    let mut object = json!({"apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    if ["Namespace", "Node", "PersistentVolume"].contains(&kind) {
        object["metadata"]
            .as_object_mut()
            .map(|m| m.remove("namespace"));
    }
    (Identity::of(&object), object)
}

pub(crate) fn heartbeats_change_nothing(plane: &ControlPlane) -> Outcome {
    let home = tempfile::tempdir().context("a folder")?;
    bed::give_rights(plane, home.path())?;
    plane.apply(&operators_type())?;
    let mut api = Api::connect(plane)?;
    let beat = |name: &str| {
        object(
            "drift.example.com/v1",
            "Beat",
            name,
            &json!({"every": "1s"}),
        )
    };
    wait_for("the operator's type", Duration::from_secs(60), || {
        api.discover()?;
        Ok(api.resource(&beat("beat").0).is_ok().then_some(()))
    })?;

    let mut pairs = Vec::new();
    let kinds = KINDS.iter().map(|kind| {
        let of = |name: &str| object(kind.api_version, kind.name, name, &(kind.spec)());
        (of("beat"), of("mark"))
    });
    for (one, mark) in kinds.chain([(beat("beat"), beat("mark"))]) {
        for (id, object) in [&one, &mark] {
            wait_for_success(&format!("{id:?}"), Duration::from_secs(30), || {
                api.create(id, "kubectl-create", object)?.success("create")
            })?;
        }
        pairs.push((one.0, mark.0));
    }
    let mut recording = Recording::start(plane)?;
    // The operator's own entry is there before, as after its first day.
    beat_all(&api, &pairs, 1)?;
    let marked = mark_all(&api, &pairs, "before")?;
    let (branch, owners) = settled(&mut recording, &marked, &Tree::new())?;
    let commits = recording.commits("main")?;

    beat_all(&api, &pairs, 2)?;
    let marked = mark_all(&api, &pairs, "after")?;
    let (branch_now, owners_now) = settled(&mut recording, &marked, &branch)?;

    let is_mark = |path: &String| path.contains("/mark.");
    let beats = |one: &Tree, other: &Tree| -> Vec<String> {
        let differing = Recording::differing(one, other);
        differing
            .into_iter()
            .filter(|path| !is_mark(path))
            .collect()
    };
    let (in_branch, in_owners) = (beats(&branch, &branch_now), beats(&owners, &owners_now));
    if !in_branch.is_empty() || !in_owners.is_empty() {
        let text = format!("heartbeats changed {in_branch:?} and, in the sidecar, {in_owners:?}");
        return Err(Failure::new(text).into());
    }
    if owners.is_empty() {
        return Err("there is no sidecar".into());
    }
    let more = recording.commits("main")? - commits;
    if more > marked.len() {
        return Err(format!("{more} commits for {} marks", marked.len()).into());
    }
    crate::report(&format!(
        "{HEARTBEATS} heartbeats, {STATUS_UPDATES} status updates of {} kinds: {more} commits, all \
         of marks; sidecar of {} files",
        KINDS.len(),
        owners.len()
    ));
    Ok(Completion::Completed)
}

/// An operator that has no status subresource: its status is part of the object.
fn operators_type() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "beats.drift.example.com"},
        "spec": {
            "group": "drift.example.com", "scope": "Namespaced",
            "names": {"plural": "beats", "singular": "beat", "kind": "Beat", "listKind": "BeatList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object",
                    "properties": {"spec": open, "status": open}}}}]
        }
    })
}

/// All heartbeats of a round; each round's statuses differ from the other's.
fn beat_all(api: &Api, pairs: &[(Identity, Identity)], round: usize) -> Result<()> {
    for (kind, (id, _)) in KINDS.iter().zip(pairs) {
        for number in 0..STATUS_UPDATES {
            let status = (kind.status)(number + round * STATUS_UPDATES);
            let body = json!({"status": status});
            let answer = api.change(id, "status", "operator", MERGE_PATCH, &body)?;
            let _ = answer.success(&format!("a status of {id:?}"))?;
        }
    }
    if let Some((id, _)) = pairs.last() {
        for number in 0..HEARTBEATS {
            let at = number + round * HEARTBEATS;
            let body = json!({"status": {"at": at, "phase": format!("beat {at}")}});
            let answer = api.change(id, "", "operator", MERGE_PATCH, &body)?;
            let _ = answer.success("a heartbeat")?;
        }
    }
    Ok(())
}

/// Labels the second object of each kind; their paths in the mirror.
fn mark_all(api: &Api, pairs: &[(Identity, Identity)], word: &str) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for (_, id) in pairs {
        let body = json!({"metadata": {"labels": {"mark": word}}});
        let answer = api.change(id, "", "kubectl-label", MERGE_PATCH, &body)?;
        let _ = answer.success(&format!("a mark of {id:?}"))?;
        let plural = &api.resource(id)?.plural;
        let folder = match id.group.as_str() {
            "" => plural.clone(),
            group => format!("{plural}.{group}"),
        };
        paths.push(match &id.namespace {
            Some(namespace) => format!("namespaces/{namespace}/{folder}/{}.yaml", id.name),
            None => format!("cluster/{folder}/{}.yaml", id.name),
        });
    }
    Ok(paths)
}

/// Branch and sidecar when every mark is committed.
fn settled(recording: &mut Recording, marks: &[String], before: &Tree) -> Result<(Tree, Tree)> {
    let marked = |path: &str, blob: Option<&String>| blob.is_some() && blob != before.get(path);
    let branch = recording.wait("the marks", marks, marked)?;
    Ok((branch, recording.tree(OWNERS)?))
}

/// Values of Secrets are searched for in every object of the repository, the sidecar's too.
pub(crate) fn it_holds_no_secret(plane: &ControlPlane) -> Outcome {
    const SECRETS: usize = 40;
    let home = tempfile::tempdir().context("a folder")?;
    bed::give_rights(plane, home.path())?;
    let values = Values::random(matrix::seed(), 2 * SECRETS);
    // By every way that leaves values in `managedFields` or annotations: keys of maps and elements
    // of sets hold what `f:`, `k:` and `v:` spell out.
    let secret = |at: usize| {
        json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("s-{at}"), "namespace": "default"},
            "data": {"a": values.base64(2 * at), "b": values.base64(2 * at + 1)}})
    };
    let list = |from: usize, to: usize| {
        let items: Vec<Value> = (from..to).map(secret).collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    };
    for (args, from, to) in [
        (["apply", "-f", "-"].as_slice(), 0, SECRETS / 2),
        (&["apply", "--server-side", "-f", "-"], SECRETS / 2, SECRETS),
    ] {
        let kubectl = plane.kubectl_as(crate::support::plane::ADMIN)?.args(args);
        let _ = kubectl.stdin(list(from, to).to_string()).run()?.success()?;
    }
    let mut recording = Recording::start(plane)?;
    let api = Api::connect(plane)?;
    let first = recording.tree("main")?;
    // Changed by a human too, so that there are times and new shapes.
    let mut paths = Vec::new();
    for at in 0..SECRETS / 4 {
        let id = Identity::of(&secret(at));
        let body = json!({"data": {"a": values.base64(2 * at + 1)}});
        let answer = api.change(&id, "", "kubectl-edit", MERGE_PATCH, &body)?;
        let _ = answer.success("a change of a Secret")?;
        paths.push(format!("namespaces/default/secrets/s-{at}.yaml"));
    }
    let changed = |path: &str, blob: Option<&String>| blob != first.get(path);
    let _tree = recording.wait("the changed Secrets", &paths, changed)?;
    let owners = recording.tree(OWNERS)?;
    let of_secrets = owners.keys().filter(|path| path.contains("/secrets/s-"));
    if of_secrets.count() == 0 {
        return Err("no Secret's owners are in the sidecar: nothing was searched".into());
    }
    let repository = recording.repository();
    let _stopped = recording.stop()?;
    let mut search = Search::new(&values);
    search.objects(&repository)?;
    search.nothing_found()?;
    crate::report(&format!(
        "{} bytes searched for {} values",
        search.searched,
        2 * SECRETS
    ));
    Ok(Completion::Completed)
}
