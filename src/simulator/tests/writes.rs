//! What mutations do to objects, types and `managedFields`.

use serde_json::json;

use super::*;
use crate::simulator::{WriteError, Writer};

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "default", "name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web", "image": "nginx:1",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "env": [{"name": "A", "value": "b"}],
                }]},
            },
        },
    })
}

/// The sequence that was played to a kube-apiserver 1.36.3: server-side apply, `kubectl scale`,
/// `kubectl set image`, `kubectl edit`. Times aside, this is what it answered.
#[tokio::test]
async fn managed_fields_are_those_of_the_real_server() {
    let simulator = started().await;
    simulator
        .apply(Writer::apply("kubectl"), deployment())
        .unwrap();
    let key = simulator
        .key("deployments.apps", Some("default"), "web")
        .unwrap();
    let scale = Writer::update("kubectl").through("scale");
    simulator
        .update(&key, scale, |object| object["spec"]["replicas"] = 5.into())
        .unwrap();
    for (manager, image) in [("kubectl-set", "nginx:2"), ("kubectl-edit", "nginx:3")] {
        simulator
            .update(&key, manager, |object| {
                object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
            })
            .unwrap();
    }
    let object = simulator.get(&key).unwrap();
    assert_eq!(object["metadata"]["generation"], 4);
    let mut managed = object["metadata"]["managedFields"].clone();
    let entries = managed.as_array_mut().unwrap();
    let times: Vec<bool> = entries
        .iter_mut()
        .map(|entry| entry.as_object_mut().unwrap().remove("time").is_some())
        .collect();
    assert_eq!(
        times,
        [true, false, true],
        "an entry of subresource scale has no time"
    );
    assert_eq!(
        managed,
        json!([
            {
                "manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {
                        "f:selector": {},
                        "f:template": {
                            "f:metadata": {"f:labels": {"f:app": {}}},
                            "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                                ".": {},
                                "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}},
                                "f:name": {},
                                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                                    // The manifest of the recording left the default protocol out.
                                    ".": {}, "f:containerPort": {}, "f:protocol": {},
                                }},
                            }}},
                        },
                    },
                },
            },
            {
                "manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
                "subresource": "scale",
            },
            {
                "manager": "kubectl-edit", "operation": "Update", "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"web\"}": {"f:image": {}},
                }}}}},
            },
        ])
    );
}

#[tokio::test]
async fn allocated_values_belong_to_nobody_and_stay() {
    let simulator = started().await;
    let service = |kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "default", "name": "s", "labels": {"app": "s"}},
            "spec": {
                "type": kind, "selector": {"app": "s"}, "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
                "ports": [{"name": "80-80", "port": 80, "protocol": "TCP", "targetPort": 80}],
            },
        })
    };
    simulator
        .apply("kubectl-create", service("NodePort"))
        .unwrap();
    let key = simulator.key("services", Some("default"), "s").unwrap();
    let first = simulator.get(&key).unwrap();
    assert!(
        first["spec"]["clusterIP"]
            .as_str()
            .unwrap()
            .starts_with("10.96.")
    );
    assert!(first["spec"]["ports"][0]["nodePort"].is_u64());
    assert_eq!(
        first["metadata"]["managedFields"][0]["fieldsV1"],
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:internalTrafficPolicy": {},
                "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {
                    ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {},
                }},
                "f:selector": {}, "f:sessionAffinity": {}, "f:type": {},
            },
        })
    );
    let version = simulator
        .apply("kubectl-create", service("NodePort"))
        .unwrap();
    assert_eq!(
        simulator.get(&key).unwrap(),
        first,
        "the same again changes nothing"
    );
    assert_eq!(
        version.to_string(),
        first["metadata"]["resourceVersion"].as_str().unwrap()
    );
    let mut changed = service("NodePort");
    changed["spec"]["selector"]["app"] = "t".into();
    simulator.apply("kubectl-edit", changed).unwrap();
    let second = simulator.get(&key).unwrap();
    assert_eq!(second["spec"]["clusterIP"], first["spec"]["clusterIP"]);
    assert_eq!(second["spec"]["ports"], first["spec"]["ports"]);
    assert!(second["metadata"].get("generation").is_none());
}

#[tokio::test]
async fn status_and_intent_are_written_apart() {
    let simulator = started().await;
    let mut object = deployment();
    object["status"] = json!({"replicas": 9});
    simulator.apply("kubectl-create", object).unwrap();
    let key = simulator
        .key("deployments.apps", Some("default"), "web")
        .unwrap();
    assert!(simulator.get(&key).unwrap().get("status").is_none());
    simulator
        .update_status(&key, "kube-controller-manager", |object| {
            object["status"]["replicas"] = 2.into();
            object["spec"]["replicas"] = 99.into();
        })
        .unwrap();
    let after = simulator.get(&key).unwrap();
    assert_eq!(after["status"], json!({"replicas": 2}));
    assert_eq!(after["spec"]["replicas"], 2);
    assert_eq!(after["metadata"]["generation"], 1);
    let entry = &after["metadata"]["managedFields"][1];
    assert_eq!(entry["subresource"], "status");
    assert_eq!(entry["fieldsV1"], json!({"f:status": {"f:replicas": {}}}));
    simulator
        .update(&key, "kubectl-edit", |object| {
            object["status"]["replicas"] = 7.into();
        })
        .unwrap();
    assert_eq!(
        simulator.get(&key).unwrap(),
        after,
        "an ordinary write leaves status alone"
    );
}

#[tokio::test]
async fn a_definition_serves_a_type_and_takes_it_along() {
    let simulator = started().await;
    let path = "/apis/test.example.com/v1/widgets";
    assert_eq!(get(&simulator, path).await.code, 404);
    simulator.apply("test", widgets(&["v1"])).unwrap();
    let key = simulator
        .key(
            "customresourcedefinitions.apiextensions.k8s.io",
            None,
            "widgets.test.example.com",
        )
        .unwrap();
    let definition = simulator.get(&key).unwrap();
    assert_eq!(definition["status"]["conditions"][1]["type"], "Established");
    assert_eq!(definition["status"]["acceptedNames"]["kind"], "Widget");
    simulator.apply("test", widget("one")).unwrap();
    let now = simulator.resource_version();
    let watched = format!("{path}?watch=1&resourceVersion={now}");
    let mut watch = get(&simulator, &watched).await;
    simulator.delete(&key).unwrap();
    assert_eq!(watch.brief().await.0, "DELETED");
    assert!(
        watch.event().await.is_none(),
        "the watch ends with its type"
    );
    assert_eq!(
        get(&simulator, path).await.bytes().await.unwrap(),
        b"404 page not found\n"
    );
    assert!(matches!(
        simulator.apply("test", widget("two")),
        Err(WriteError::NoSuchType { .. })
    ));

    simulator.apply("test", widgets(&["v1"])).unwrap();
    simulator.apply("test", widget("two")).unwrap();
    assert_eq!(names(&get_json(&simulator, path).await), ["two"]);
    let mut old = get(&simulator, &watched).await;
    assert_eq!(old.event().await.unwrap().unwrap()["object"]["code"], 410);
}

#[tokio::test]
async fn a_namespace_takes_its_objects_along() {
    let simulator = started().await;
    simulator
        .apply(
            "test",
            json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"},
            }),
        )
        .unwrap();
    let mut object = config_map("a", "1");
    object["metadata"]["namespace"] = "doomed".into();
    simulator.apply("test", object).unwrap();
    simulator.apply("test", config_map("kept", "1")).unwrap();
    let now = simulator.resource_version();
    let mut namespaces = get(
        &simulator,
        &format!("/api/v1/namespaces?watch=1&resourceVersion={now}"),
    )
    .await;
    let mut maps = get(
        &simulator,
        &format!("/api/v1/configmaps?watch=1&resourceVersion={now}"),
    )
    .await;
    simulator
        .delete(&simulator.key("namespaces", None, "doomed").unwrap())
        .unwrap();
    let first = namespaces.event().await.unwrap().unwrap();
    assert_eq!(first["type"], "MODIFIED");
    assert_eq!(first["object"]["status"]["phase"], "Terminating");
    assert!(first["object"]["metadata"]["deletionTimestamp"].is_string());
    let inside = maps.brief().await;
    assert_eq!((inside.0.as_str(), inside.1.as_str()), ("DELETED", "a"));
    let last = namespaces.brief().await;
    assert_eq!((last.0.as_str(), last.1.as_str()), ("DELETED", "doomed"));
    assert!(last.2.parse::<u64>().unwrap() > inside.2.parse::<u64>().unwrap());
    let kept = get_json(&simulator, "/api/v1/configmaps").await;
    assert_eq!(names(&kept), ["kept"]);
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner() {
    let simulator = started().await;
    simulator.apply("test", config_map("owner", "1")).unwrap();
    let key = simulator
        .key("configmaps", Some("default"), "owner")
        .unwrap();
    let uid = simulator.get(&key).unwrap()["metadata"]["uid"].clone();
    for (name, owners) in [
        ("child", vec![&uid]),
        ("shared", vec![&uid, &json!("other")]),
    ] {
        let mut object = config_map(name, "1");
        object["metadata"]["ownerReferences"] = owners
            .iter()
            .map(|uid| {
                json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid,
                })
            })
            .collect();
        simulator.apply("test", object).unwrap();
    }
    simulator.delete(&key).unwrap();
    assert_eq!(
        names(&get_json(&simulator, "/api/v1/configmaps").await),
        ["shared"]
    );
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let simulator = started().await;
    let mut nowhere = config_map("a", "1");
    nowhere["metadata"]["namespace"] = "nowhere".into();
    let error = simulator.apply("test", nowhere).unwrap_err();
    assert_eq!(
        error.to_string(),
        "namespace 'nowhere' of configmaps does not exist"
    );
    assert!(matches!(
        simulator.apply("test", Value::Null),
        Err(WriteError::NoSuchType { .. })
    ));
    let error = simulator.apply("test", config_map("", "1")).unwrap_err();
    assert!(matches!(error, WriteError::NoIdentity { .. }));
    let key = simulator
        .key("configmaps", Some("default"), "missing")
        .unwrap();
    assert!(matches!(
        simulator.delete(&key),
        Err(WriteError::NoSuchObject { .. })
    ));
    let error = simulator.update(&key, "test", |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "default/ConfigMap missing does not exist"
    );
    assert!(simulator.key("nothings.example.com", None, "x").is_err());
}
