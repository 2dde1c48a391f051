//! One object in two versions of its kind.

use super::super::super::live::ServedKind;
use super::super::autoscaler::v2_to_v1;
use super::*;

fn widgets(strategy: &str, served: &[&str]) -> Live {
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "names": {"kind": "Widget"},
            "conversion": {"strategy": strategy}}});
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "web", "namespace": "shop"}, "spec": {"size": 3}});
    let mut live = live(&[]);
    let kind = ServedKind {
        group: "example.com".into(),
        kind: "Widget".into(),
        resource: "widgets".into(),
        versions: served.iter().map(|version| (*version).into()).collect(),
        namespaced: true,
        coverage: Coverage::Complete,
    };
    live.kinds
        .insert(("example.com".into(), "Widget".into()), kind);
    for object in [definition, widget] {
        let identity = Identity::of(&object).unwrap();
        live.objects.insert(identity, at("v1", object));
    }
    live
}

fn at(version: &str, object: Value) -> LiveObject {
    LiveObject {
        version: version.into(),
        value: Arc::new(object).into(),
        shape: Arc::default(),
        times: Arc::default(),
        path: "".into(),
    }
}

fn desired_in(version: &str, size: i64) -> Desired {
    source(
        "git",
        &format!(
            "{{apiVersion: example.com/{version}, kind: Widget, metadata: {{name: web}}, spec: {{size: {size}}}}}"
        ),
    )
}

fn verdict(live: &Live, desired: Desired) -> (ObjectClass, String, Vec<String>) {
    let report = report(live, &[desired]);
    let object = report.objects.iter().find(|o| o.kind == "Widget").unwrap();
    let paths = object.fields.iter().map(|field| field.path.clone());
    let reason = object.reason.clone().unwrap_or_default();
    (object.class, reason, paths.collect())
}

fn asked_of_the_server(live: &Live, desired: Desired) -> Vec<String> {
    let (deployers, tables) = (Deployers::default(), Tables::of(36));
    let desired = [desired];
    let evaluator = Evaluator::new(Question {
        live,
        desired: &desired,
        ignores: &[],
        deployers: &deployers,
        digest_key: None,
        tables: &tables,
        namespaces: &[],
        selector: None,
        stale: None,
        show_in_sync: true,
    });
    let wanted = evaluator.other_versions().into_iter();
    let name = |other: OtherVersion| format!("{} {}", other.api_type.version, other.identity.name);
    wanted.map(name).collect()
}

#[test]
fn a_custom_resource_that_nobody_converts_differs_in_its_versions_name_alone() {
    let live = widgets("None", &["v1", "v1beta1"]);
    let same = verdict(&live, desired_in("v1beta1", 3));
    assert_eq!(same, (ObjectClass::InSync, String::new(), Vec::new()));
    let (class, _, paths) = verdict(&live, desired_in("v1beta1", 4));
    assert_eq!(class, ObjectClass::Modified);
    assert_eq!(paths, ["spec.size"]);
    assert_eq!(
        asked_of_the_server(&live, desired_in("v1beta1", 4)),
        [""; 0]
    );
}

#[test]
fn what_only_the_server_converts_is_unknown_until_it_is_asked() {
    let mut live = widgets("Webhook", &["v1", "v1beta1"]);
    let (class, reason, _) = verdict(&live, desired_in("v1beta1", 3));
    assert_eq!(class, ObjectClass::Unknown);
    assert!(reason.contains("only the server converts"), "{reason}");
    let asked = |version| asked_of_the_server(&live, desired_in(version, 3));
    assert_eq!(asked("v1beta1"), ["v1beta1 web"]);
    assert_eq!(asked("v1"), [""; 0], "it is recorded in it");
    assert_eq!(asked("v0"), [""; 0], "nobody serves it");

    let converted = json!({"apiVersion": "example.com/v1beta1", "kind": "Widget",
        "metadata": {"name": "web", "namespace": "shop"}, "spec": {"size": 3, "depth": 1}});
    let web = Identity::of(&converted).unwrap();
    let read = Ok(at("v1beta1", converted));
    let others = BTreeMap::from([(Box::from("v1beta1"), read)]);
    live.other_versions.insert(web.clone(), others);
    let (class, _, paths) = verdict(&live, desired_in("v1beta1", 3));
    assert_eq!(class, ObjectClass::Modified);
    assert_eq!(paths, ["spec.depth"]);
    let others = live.other_versions.get_mut(&web).unwrap();
    others.insert("v1beta1".into(), Err("the converter is away".into()));
    let (class, reason, _) = verdict(&live, desired_in("v1beta1", 3));
    assert_eq!(class, ObjectClass::Unknown);
    assert_eq!(reason, "the converter is away");
}

#[test]
fn a_version_that_is_not_served_is_named() {
    for strategy in ["None", "Webhook"] {
        let live = widgets(strategy, &["v1"]);
        let (class, reason, _) = verdict(&live, desired_in("v1beta1", 3));
        assert_eq!(class, ObjectClass::Unknown);
        assert!(reason.contains("version v1beta1 of Widget"), "{reason}");
        assert!(reason.contains("not served"), "{reason}");
    }
}

#[test]
fn built_in_versions_of_one_form_are_compared_as_they_are() {
    let class = json!({"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass",
        "metadata": {"name": "gpu"}, "spec": {"selectors": [{"cel": {"expression": "a"}}]}});
    let mut live = live(&[]);
    let kind = ServedKind {
        group: "resource.k8s.io".into(),
        kind: "DeviceClass".into(),
        resource: "deviceclasses".into(),
        versions: vec!["v1".into(), "v1beta1".into(), "v1alpha3".into()],
        namespaced: false,
        coverage: Coverage::Complete,
    };
    live.kinds
        .insert(("resource.k8s.io".into(), "DeviceClass".into()), kind);
    live.objects
        .insert(Identity::of(&class).unwrap(), at("v1", class.clone()));
    let desired = |version: &str, expression: &str| {
        let mut class = class.clone();
        class["apiVersion"] = format!("resource.k8s.io/{version}").into();
        class["spec"]["selectors"][0]["cel"]["expression"] = expression.into();
        source("git", &class.to_string())
    };
    let class = |version: &str, expression: &str| {
        only(&report(&live, &[desired(version, expression)])).class
    };
    assert_eq!(class("v1beta1", "a"), ObjectClass::InSync);
    assert_eq!(class("v1beta1", "b"), ObjectClass::Modified);
    assert_eq!(class("v1alpha3", "a"), ObjectClass::Unknown);
}

#[test]
fn an_autoscaler_of_v2_is_given_in_v1_as_the_server_gives_it() {
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 70}}});
    let of = |metrics: Value, behavior: Value| {
        let mut spec = json!({"maxReplicas": 4, "metrics": metrics});
        if !behavior.is_null() {
            spec["behavior"] = behavior;
        }
        v2_to_v1(&json!({"metadata": {"name": "web"}, "spec": spec}))
    };
    let plain = of(json!([cpu]), Value::Null).unwrap();
    assert_eq!(
        plain,
        json!({"metadata": {"name": "web"},
            "spec": {"maxReplicas": 4, "targetCPUUtilizationPercentage": 70}})
    );
    let memory = json!({"type": "Resource", "resource": {"name": "memory",
        "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
    let down =
        json!({"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}]}});
    let more = of(json!([memory, cpu]), down).unwrap();
    assert_eq!(more["spec"], plain["spec"]);
    let name = |last: &str| format!("autoscaling.alpha.kubernetes.io/{last}");
    assert_eq!(
        more["metadata"]["annotations"],
        json!({
            name("metrics"): r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]"#,
            name("behavior"): concat!(r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":null,"#,
                r#""SelectPolicy":null,"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":30}],"Tolerance":null}}"#),
        })
    );
    let value = json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "AverageValue", "averageValue": "1"}}});
    let first = of(json!([value, cpu]), Value::Null).unwrap();
    assert_eq!(
        first["spec"],
        json!({"maxReplicas": 4}),
        "the first CPU metric decides"
    );
    // What is not known is not guessed.
    for strange in [json!([{"type": "Moon"}]), json!("x"), json!([3])] {
        assert_eq!(of(strange, Value::Null), None);
    }
}
