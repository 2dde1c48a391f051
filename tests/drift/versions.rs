//! What is desired in another version than it was recorded in, and what is on its way.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Completion;
use serde_json::{Value, json};
use strandline::drift::evaluate::SAME_FORM;

use crate::api::{Api, MERGE_PATCH};
use crate::bed::{self, READER};
use crate::oracle::Identity;
use crate::product::{KEY, Report, read};
use crate::recording::Recording;
use crate::support::plane::{ADMIN, ControlPlane, Options};
use crate::support::program::Program;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Failure, Result, wait_for};

/// One custom type that nobody converts, and one whose converter is away.
const TYPES: &str = r#"
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.versions.example.com}, spec: {
  group: versions.example.com, scope: Namespaced, names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}, conversion: {strategy: None}, versions: [
    {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}},
    {name: v1alpha1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}},
    {name: v0, served: false, storage: false, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}]}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gadgets.versions.example.com}, spec: {
  group: versions.example.com, scope: Namespaced, names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList},
  conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {url: "https://127.0.0.1:1/convert"}}}, versions: [
    {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}},
    {name: v1beta1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}]}}
"#;

/// What is desired; [`served`] makes of it what the server takes.
const OBJECTS: &str = r"
{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: same}, spec: {maxReplicas: 4, targetCPUUtilizationPercentage: 70, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}}}
---
{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: default}, spec: {maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: w}}}
---
{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: changed}, spec: {maxReplicas: 4, targetCPUUtilizationPercentage: 70, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: z}}}
---
{apiVersion: versions.example.com/v1alpha1, kind: Widget, metadata: {name: same}, spec: {size: 3}}
---
{apiVersion: versions.example.com/v1alpha1, kind: Widget, metadata: {name: changed}, spec: {size: 3}}
---
{apiVersion: versions.example.com/v0, kind: Widget, metadata: {name: unserved}, spec: {size: 3}}
---
{apiVersion: versions.example.com/v1beta1, kind: Gadget, metadata: {name: away}, spec: {size: 3}}
---
{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: old}, spec: {minAvailable: 1, selector: {matchLabels: {app: x}}}}
---
{apiVersion: resource.k8s.io/v1beta1, kind: DeviceClass, metadata: {name: devices}, spec: {selectors: [{cel: {expression: 'true'}}]}}
---
{apiVersion: resource.k8s.io/v1beta1, kind: ResourceClaimTemplate, metadata: {name: claims}, spec: {spec: {devices: {requests: [{name: one, deviceClassName: devices}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: rolling}, spec: {replicas: 1, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: 'a:1'}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: done}, spec: {replicas: 0, selector: {matchLabels: {app: b}}, template: {metadata: {labels: {app: b}}, spec: {containers: [{name: c, image: 'a:1'}]}}}}
";

/// In one namespace that the desired files do not name.
const NAMESPACE: &str = "default";

/// A server that serves every version that it knows.
pub(crate) fn all_versions() -> Options {
    Options {
        api_server_args: vec!["--runtime-config=api/all=true".to_owned()],
        ..Options::default()
    }
}

pub(crate) fn each_version_is_judged_in_itself(plane: &ControlPlane) -> Outcome {
    let home = tempfile::tempdir().context("a folder")?;
    let mut api = Api::connect(plane)?;
    same_forms(&api)?;
    bed::give_rights(plane, home.path())?;
    let desired = home.path().join("desired").join("shop");
    std::fs::create_dir_all(&desired).context("a folder")?;
    std::fs::write(desired.join("types.yaml"), TYPES).context("manifests")?;
    std::fs::write(desired.join("objects.yaml"), OBJECTS).context("manifests")?;
    apply(plane, TYPES)?;
    wait_for("the types", Duration::from_secs(60), || {
        api.discover()?;
        let all = ["Widget", "Gadget"].iter().all(|kind| {
            let id = id("versions.example.com/v1", kind, "x");
            api.resource(&id).is_ok()
        });
        Ok(all.then_some(()))
    })?;
    apply(plane, &served())?;

    let key = home.path().join("key");
    std::fs::write(&key, KEY).context("the key")?;
    let cluster = |home: &Path| -> Result<Report> {
        let program = drift(home)
            .arg("--kubeconfig")
            .arg(plane.kubeconfig(READER)?);
        read(program.run()?)
    };
    let seen = cluster(home.path())?;
    judged(
        &seen,
        "Unknown",
        &["Widget unserved", "Gadget away", "PodDisruptionBudget old"],
    )?;
    let names = ["same", "default", "changed"];
    for object in names.map(|name| format!("HorizontalPodAutoscaler {name}")) {
        judged(&seen, "InSync", &[&object])?;
    }
    let others = ["Widget same", "Widget changed", "DeviceClass devices"];
    judged(&seen, "InSync", &others)?;
    judged(&seen, "InSync", &["ResourceClaimTemplate claims"])?;
    judged(&seen, "InSync", &["Deployment rolling", "Deployment done"])?;

    change(&api)?;
    let seen = cluster(home.path())?;
    let stopped = Recording::start(plane)?.stop()?;
    let program = drift(home.path())
        .env("KUBECONFIG", "/nonexistent")
        .arg("--mirror")
        .arg(stopped.repository());
    let mirror = read(program.run()?)?;
    for report in [&seen, &mirror] {
        judged(
            report,
            "Modified",
            &["HorizontalPodAutoscaler changed", "Widget changed"],
        )?;
        let found = paths(report, "HorizontalPodAutoscaler changed")?;
        let expected = [
            r#"metadata.annotations["autoscaling.alpha.kubernetes.io/behavior"]"#,
            r#"metadata.annotations["autoscaling.alpha.kubernetes.io/metrics"]"#,
            "spec.targetCPUUtilizationPercentage",
        ];
        assert_eq!(found, expected);
        assert_eq!(paths(report, "Widget changed")?, ["spec.size"]);
        says(
            report,
            "Widget unserved",
            "version v0 of Widget is not served",
        )?;
        says(
            report,
            "PodDisruptionBudget old",
            "version v1beta1 of PodDisruptionBudget is not served",
        )?;
    }
    both(&seen, &mirror)
}

/// The cluster beside its mirror, which nobody can ask for another version or a status.
fn both(seen: &Report, mirror: &Report) -> Outcome {
    // What the server says of one is what is made of the other.
    for name in ["HorizontalPodAutoscaler changed", "Widget changed"] {
        assert_eq!(verdicts(seen, name)?, verdicts(mirror, name)?);
    }
    says(seen, "Gadget away", "cannot be read in version v1beta1")?;
    says(mirror, "Gadget away", "only the server converts")?;
    judged(seen, "InSync", &["ResourceClaimTemplate claims"])?;
    says(
        mirror,
        "ResourceClaimTemplate claims",
        "only the server converts",
    )?;
    let rest = [
        "HorizontalPodAutoscaler same",
        "HorizontalPodAutoscaler default",
    ];
    judged(mirror, "InSync", &rest)?;
    judged(mirror, "InSync", &["Widget same", "DeviceClass devices"])?;

    // Nobody rolls out Pods here, so that what asks for some is on its way for ever.
    let marks = |report: &Report, name: &str| whole(report, name).map(|o| o["marks"].clone());
    judged(seen, "Modified", &["Deployment rolling", "Deployment done"])?;
    assert_eq!(marks(seen, "Deployment rolling")?, json!(["rolling out"]));
    assert_eq!(marks(seen, "Deployment done")?, json!([]));
    assert_eq!(marks(mirror, "Deployment rolling")?, json!([]));
    Ok(Completion::Completed)
}

fn drift(home: &Path) -> Program {
    let source = |name: &str| format!("{name}={}", home.join("desired").join(name).display());
    Program::strandline(home)
        .args(["drift", "--desired", &source("shop")])
        .args(["--desired", &source("bed"), "-o", "json", "--show-in-sync"])
        .arg("--digest-key-file")
        .arg(home.join("key"))
        .deadline(Duration::from_secs(120))
}

/// The objects in versions that the server takes.
fn served() -> String {
    OBJECTS
        .replace("policy/v1beta1", "policy/v1")
        .replace("example.com/v1beta1", "example.com/v1")
        .replace("example.com/v0", "example.com/v1")
}

fn apply(plane: &ControlPlane, manifests: &str) -> Result<()> {
    let kubectl = plane.kubectl_as(ADMIN)?;
    let kubectl = kubectl.args(["apply", "--server-side", "-f", "-"]);
    kubectl.stdin(manifests).run()?.success().map(drop)
}

/// What somebody does by hand, in the versions that are recorded.
fn change(api: &Api) -> Result<()> {
    let patch = |id: &Identity, subresource: &str, body: &Value| -> Result<()> {
        let done = api.change(id, subresource, "kubectl-edit", MERGE_PATCH, body)?;
        done.success(&id.name).map(drop)
    };
    let metric = |name: &str, target: Value| json!({"type": "Resource", "resource": {"name": name, "target": target}});
    let autoscaler = id("autoscaling/v2", "HorizontalPodAutoscaler", "changed");
    let metrics = [
        metric(
            "cpu",
            json!({"type": "Utilization", "averageUtilization": 90}),
        ),
        metric(
            "memory",
            json!({"type": "AverageValue", "averageValue": "1Gi"}),
        ),
        json!({"type": "External", "external": {"metric": {"name": "a&b", "selector":
            {"matchExpressions": [{"key": "k", "operator": "Exists"}], "matchLabels": {"a": "b"}}},
            "target": {"type": "Value", "value": "3"}}}),
        json!({"type": "Pods", "pods": {"metric": {"name": "requests"},
            "target": {"type": "AverageValue", "averageValue": "100m"}}}),
        json!({"type": "Object", "object": {"metric": {"name": "hits"},
            "describedObject": {"kind": "Service", "name": "s", "apiVersion": "v1"},
            "target": {"type": "AverageValue", "averageValue": "2"}}}),
        json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
            "target": {"type": "Utilization", "averageUtilization": 50}}}),
    ];
    let behavior = json!({"scaleDown": {"stabilizationWindowSeconds": 60, "policies":
        [{"type": "Pods", "value": 1, "periodSeconds": 30}]}});
    let body = json!({"spec": {"metrics": metrics, "behavior": behavior}});
    patch(&autoscaler, "", &body)?;
    let widget = id("versions.example.com/v1", "Widget", "changed");
    patch(&widget, "", &json!({"spec": {"size": 5}}))?;
    for name in ["rolling", "done"] {
        let deployment = id("apps/v1", "Deployment", name);
        patch(&deployment, "", &json!({"spec": {"paused": true}}))?;
    }
    let done = id("apps/v1", "Deployment", "done");
    patch(
        &done,
        "status",
        &json!({"status": {"observedGeneration": 9}}),
    )
}

fn id(api_version: &str, kind: &str, name: &str) -> Identity {
    Identity::of(&json!({"apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE}}))
}

/// One object of a report, named by its kind and name.
fn whole<'r>(report: &'r Report, name: &str) -> Result<&'r Value> {
    let mut objects = report.json["objects"].as_array().into_iter().flatten();
    let found = objects.find(|object| {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        format!("{} {}", text("kind"), text("name")) == name
    });
    found.ok_or_else(|| Failure::new(format!("{name} is not in the report: {}", report.json)))
}

fn judged(report: &Report, class: &str, names: &[&str]) -> Result<()> {
    for name in names {
        let object = whole(report, name)?;
        assert_eq!(object["class"], class, "{object:#}");
    }
    Ok(())
}

fn says(report: &Report, name: &str, reason: &str) -> Result<()> {
    judged(report, "Unknown", &[name])?;
    let told = whole(report, name)?["reason"].as_str().unwrap_or_default();
    assert!(told.contains(reason), "{told}");
    Ok(())
}

fn paths(report: &Report, name: &str) -> Result<Vec<String>> {
    let fields = whole(report, name)?["fields"].as_array();
    let paths = fields.into_iter().flatten().map(|field| {
        let path = field["path"].as_str().unwrap_or_default();
        path.to_owned()
    });
    Ok(paths.collect())
}

/// What is said of each field of an object, but for the rule: of an entry in another version than
/// the object's the writer is not known, where it is told by a mirror's recorded one.
fn verdicts(report: &Report, name: &str) -> Result<Vec<Value>> {
    let fields = whole(report, name)?["fields"].as_array();
    let fields = fields.into_iter().flatten().cloned().map(|mut field| {
        field["rule"].take();
        field
    });
    Ok(fields.collect())
}

/// Holds the kinds of which versions are said to have the same form against what the server
/// publishes of them.
fn same_forms(api: &Api) -> Result<()> {
    let mut wrong = Vec::new();
    let served: BTreeMap<(String, String), Vec<String>> = api
        .kinds_of_several_versions()
        .into_iter()
        .map(|(group, kind, versions)| ((group, kind), versions))
        .collect();
    let mut compared = 0;
    for (group, kind, versions) in SAME_FORM {
        let served = served.get(&(group.to_owned(), kind.to_owned()));
        let versions = versions.iter().filter(|version| {
            served.is_some_and(|served| served.iter().any(|served| served == *version))
        });
        let forms = versions.map(|version| {
            let document = api.raw(&format!("/openapi/v3/apis/{group}/{version}"))?;
            form(&document, kind).ok_or_else(|| Failure::new(format!("{group} {version} {kind}")))
        });
        let forms = forms.collect::<Result<Vec<_>>>()?;
        compared += usize::from(forms.len() > 1);
        if forms.windows(2).any(|pair| pair[0] != pair[1]) {
            wrong.push(format!("{group} {kind}"));
        }
    }
    crate::report(&format!(
        "{compared} kinds of several versions have one form"
    ));
    assert_eq!(wrong, [""; 0], "other forms");
    assert!(
        compared > 8,
        "the server does not serve what it is held against"
    );
    Ok(())
}

/// The schema of a kind, names and descriptions aside.
fn form(document: &Value, kind: &str) -> Option<Value> {
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    let (_, schema) = schemas.iter().find(|(_, schema)| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        let mut kinds = kinds.into_iter().flatten();
        schema["properties"]["metadata"].is_object() && kinds.any(|one| one["kind"] == kind)
    })?;
    let mut properties = schema["properties"].as_object()?.clone();
    properties.retain(|name, _| name != "metadata" && name != "status");
    Some(inlined(&properties.into(), schemas, 0))
}

/// Without references, as deep as types other than the recursive ones go.
fn inlined(schema: &Value, schemas: &serde_json::Map<String, Value>, depth: usize) -> Value {
    if depth > 24 {
        return Value::Null;
    }
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get("$ref") {
                let name = name.rsplit('/').next().unwrap_or_default();
                return inlined(&schemas[name], schemas, depth + 1);
            }
            let members = map.iter().filter(|(name, value)| {
                !(*name == "description" && value.is_string())
                    && *name != "x-kubernetes-group-version-kind"
            });
            let members =
                members.map(|(name, value)| (name.clone(), inlined(value, schemas, depth + 1)));
            Value::Object(members.collect())
        }
        Value::Array(list) => {
            let list = list.iter().map(|value| inlined(value, schemas, depth + 1));
            list.collect()
        }
        other => other.clone(),
    }
}
