//! Watches without faults.

use serde_json::json;

use super::*;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const STREAMED: &str = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
                        &resourceVersionMatch=NotOlderThan";

#[tokio::test]
async fn a_watch_goes_on_from_its_resource_version() {
    let simulator = started().await;
    let first = simulator.apply("test", config_map("a", "1")).unwrap();
    let second = simulator.apply("test", config_map("a", "2")).unwrap();
    let path = format!("{MAPS}?watch=1&resourceVersion={first}");
    let mut watch = get(&simulator, &path).await;
    let event = watch.event().await.unwrap().unwrap();
    assert_eq!(event["type"], "MODIFIED");
    assert_eq!(event["object"]["kind"], "ConfigMap");
    assert_eq!(event["object"]["apiVersion"], "v1");
    assert_eq!(
        event["object"]["metadata"]["resourceVersion"],
        second.to_string()
    );
    // What happens elsewhere is not seen.
    let mut elsewhere = config_map("z", "1");
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    simulator.apply("test", elsewhere).unwrap();
    let third = simulator.apply("test", config_map("b", "1")).unwrap();
    assert_eq!(
        watch.brief().await,
        ("ADDED".into(), "b".into(), third.to_string())
    );
    let key = simulator.key("configmaps", Some("default"), "a").unwrap();
    let last = simulator.delete(&key).unwrap();
    assert_eq!(
        watch.brief().await,
        ("DELETED".into(), "a".into(), last.to_string())
    );
    drop(watch);
    until_watches(&simulator, "configmaps", 0).await;
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_marked_bookmark() {
    let simulator = started().await;
    simulator.apply("test", config_map("a", "1")).unwrap();
    simulator.apply("test", config_map("b", "1")).unwrap();
    let now = simulator.resource_version().to_string();
    let mut watch = get(&simulator, &format!("{MAPS}?{STREAMED}&timeoutSeconds=1")).await;
    assert_eq!(watch.brief().await.1, "a");
    assert_eq!(watch.brief().await.1, "b");
    assert_eq!(
        watch.event().await.unwrap().unwrap(),
        json!({"type": "BOOKMARK", "object": {
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {
                "resourceVersion": now, "annotations": {"k8s.io/initial-events-end": "true"},
            },
        }})
    );
    let changed = simulator.apply("test", config_map("a", "2")).unwrap();
    assert_eq!(
        watch.brief().await,
        ("MODIFIED".into(), "a".into(), changed.to_string())
    );
    assert!(
        watch.event().await.is_none(),
        "timeoutSeconds ends the stream cleanly"
    );
}

#[tokio::test]
async fn options_that_exclude_each_other_are_refused() {
    let simulator = started().await;
    for bad in [
        "watch=1&sendInitialEvents=true",
        "watch=1&resourceVersionMatch=NotOlderThan",
        "sendInitialEvents=true",
    ] {
        let reply = get(&simulator, &format!("{MAPS}?{bad}")).await;
        assert_eq!(reply.code, 422, "{bad}");
        assert_eq!(reply.json().await["reason"], "Invalid", "{bad}");
    }
    // As seen on 1.36, and unlike a list, which says 400.
    assert_eq!(
        get(&simulator, &format!("{MAPS}?watch=1&resourceVersion=abc"))
            .await
            .code,
        500
    );
}

#[tokio::test]
async fn bookmarks_come_to_those_who_ask() {
    let options = SimulatorOptions {
        bookmark_interval: Duration::from_millis(5),
        ..SimulatorOptions::default()
    };
    let simulator = Simulator::start(options).await.unwrap();
    let now = simulator.resource_version();
    let path = format!("{MAPS}?watch=1&resourceVersion={now}");
    let mut quiet = get(&simulator, &path).await;
    let mut watch = get(&simulator, &format!("{path}&allowWatchBookmarks=true")).await;
    assert_eq!(
        watch.brief().await,
        ("BOOKMARK".into(), String::new(), now.to_string())
    );
    let later = simulator
        .apply(
            "test",
            json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"},
            }),
        )
        .unwrap();
    // Also when other types alone have moved on.
    while watch.brief().await.2 != later.to_string() {}
    simulator.apply("test", config_map("a", "1")).unwrap();
    assert_eq!(quiet.brief().await.0, "ADDED");
}

#[tokio::test]
async fn a_selected_watch_sees_objects_enter_and_leave() {
    let simulator = started().await;
    let labelled = |value: &str| {
        let mut object = config_map("a", "1");
        object["metadata"]["labels"] = json!({"x": value});
        object
    };
    let now = simulator.apply("test", labelled("no")).unwrap();
    let path = format!("{MAPS}?watch=1&resourceVersion={now}&labelSelector=x%3Dyes");
    let mut watch = get(&simulator, &path).await;
    let entered = simulator.apply("test", labelled("yes")).unwrap();
    assert_eq!(
        watch.brief().await,
        ("ADDED".into(), "a".into(), entered.to_string())
    );
    let left = simulator.apply("test", labelled("no")).unwrap();
    let event = watch.event().await.unwrap().unwrap();
    assert_eq!(event["type"], "DELETED");
    // Its old state at the new version, as seen on 1.36.
    assert_eq!(event["object"]["metadata"]["labels"], json!({"x": "yes"}));
    assert_eq!(
        event["object"]["metadata"]["resourceVersion"],
        left.to_string()
    );
}

#[tokio::test]
async fn a_resource_version_from_before_the_history_is_gone() {
    let simulator = started().await;
    let old = simulator.apply("test", config_map("a", "1")).unwrap();
    let now = simulator.apply("test", config_map("a", "2")).unwrap();
    simulator.compact();
    let mut watch = get(&simulator, &format!("{MAPS}?watch=1&resourceVersion={old}")).await;
    assert_eq!(watch.code, 200);
    assert_eq!(
        watch.event().await.unwrap().unwrap(),
        json!({"type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("too old resource version: {old} ({now})"),
            "reason": "Expired", "code": 410,
        }})
    );
    assert!(watch.event().await.is_none());
}

#[tokio::test]
async fn a_large_list_and_a_large_backlog_arrive_whole() {
    let simulator = started().await;
    let start = simulator.resource_version();
    let load = crate::simulator::load::Load {
        objects: 600,
        types: 1,
    };
    load.fill(&simulator).unwrap();
    let list = get_json(&simulator, "/api/v1/configmaps").await;
    assert_eq!(names(&list).len(), 600);
    let mut watch = get(
        &simulator,
        &format!("/api/v1/configmaps?watch=1&resourceVersion={start}"),
    )
    .await;
    for index in 0..600 {
        assert_eq!(watch.brief().await.1, format!("object-{index:07}"));
    }
}
