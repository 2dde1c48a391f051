//! Discovery, lists, single objects, and errors.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::simulator::{Verb, shop};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

async fn groups(simulator: &Simulator) -> Value {
    ask(simulator, "/apis", &[("accept", AGGREGATED)])
        .await
        .unwrap()
        .json()
        .await
}

#[tokio::test]
async fn discovery_is_aggregated_and_cached_by_etag() {
    let simulator = started().await;
    let core = ask(&simulator, "/api", &[("accept", AGGREGATED)])
        .await
        .unwrap()
        .json()
        .await;
    assert_eq!(core["kind"], "APIGroupDiscoveryList");
    assert_eq!(core["apiVersion"], "apidiscovery.k8s.io/v2");
    assert_eq!(core["items"][0]["metadata"], json!({}));
    let reply = ask(&simulator, "/apis", &[("accept", AGGREGATED)])
        .await
        .unwrap();
    let etag = reply.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(
        reply.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let groups = reply.json().await;
    let apps = &groups["items"].as_array().unwrap()[1];
    assert_eq!(apps["metadata"]["name"], "apps");
    assert_eq!(apps["versions"][0]["freshness"], "Current");
    let deployments = &apps["versions"][0]["resources"][2];
    assert_eq!(deployments["resource"], "deployments");
    assert_eq!(
        deployments["responseKind"],
        json!({"group": "", "version": "", "kind": "Deployment"})
    );

    let headers = [("accept", AGGREGATED), ("if-none-match", etag.as_str())];
    let again = ask(&simulator, "/apis", &headers).await.unwrap();
    assert_eq!(again.code, 304);
    assert!(again.bytes().await.unwrap().is_empty());
    simulator.apply("test", widgets(&["v1"])).unwrap();
    let changed = ask(&simulator, "/apis", &headers).await.unwrap();
    assert_eq!(changed.code, 200);
    assert_eq!(get(&simulator, "/apis").await.code, 406);
    assert_eq!(simulator.requests()[&(String::new(), Verb::Discovery)], 5);
}

#[tokio::test]
async fn discovery_orders_versions_and_announces_a_stale_group() {
    let simulator = started().await;
    simulator
        .apply("test", widgets(&["v1alpha1", "v1", "v2beta1", "v2"]))
        .unwrap();
    let group = groups(&simulator).await["items"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    let versions: Vec<&str> = group["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, ["v2", "v1", "v2beta1", "v1alpha1"]);
    assert_eq!(
        group["versions"][1]["resources"][0],
        json!({
            "resource": "widgets", "scope": "Namespaced", "singularResource": "widget",
            "responseKind": {"group": "test.example.com", "version": "v1", "kind": "Widget"},
            "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
            "shortNames": ["wg"],
            "subresources": [{
                "subresource": "status", "verbs": ["get", "patch", "update"],
                "responseKind": {"group": "test.example.com", "version": "v1", "kind": "Widget"},
            }],
        })
    );
    simulator.apply("test", widget("one")).unwrap();
    let list = get_json(&simulator, "/apis/test.example.com/v2beta1/widgets").await;
    assert_eq!(list["items"][0]["apiVersion"], "test.example.com/v2beta1");

    simulator.faults().set_stale("test.example.com", true);
    let stale = groups(&simulator).await["items"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        stale["versions"][0],
        json!({"version": "v2", "freshness": "Stale"})
    );
    let reply = get(&simulator, "/apis/test.example.com/v1/widgets").await;
    assert_eq!(reply.code, 503);
    assert_eq!(reply.bytes().await.unwrap(), b"service unavailable\n");
}

#[tokio::test]
async fn list_items_of_custom_resources_alone_carry_their_type() {
    let simulator = started().await;
    simulator.apply("test", widgets(&["v1"])).unwrap();
    simulator.apply("test", widget("one")).unwrap();
    simulator.apply("test", config_map("one", "a")).unwrap();
    let version = simulator.resource_version().to_string();

    let maps = get_json(&simulator, "/api/v1/namespaces/default/configmaps").await;
    assert_eq!(maps["kind"], "ConfigMapList");
    assert_eq!(maps["apiVersion"], "v1");
    assert_eq!(maps["metadata"], json!({"resourceVersion": version}));
    let item = maps["items"][0].as_object().unwrap();
    assert!(!item.contains_key("kind") && !item.contains_key("apiVersion"));

    let custom = get_json(&simulator, "/apis/test.example.com/v1/widgets").await;
    assert_eq!(custom["kind"], "WidgetList");
    assert_eq!(
        custom["metadata"],
        json!({"continue": "", "resourceVersion": version})
    );
    assert_eq!(custom["items"][0]["kind"], "Widget");

    let single = get_json(&simulator, "/api/v1/namespaces/default/configmaps/one").await;
    assert_eq!(single["kind"], "ConfigMap");
    assert_eq!(single["data"], json!({"key": "a"}));
    let empty = get_json(&simulator, "/api/v1/namespaces/nowhere/configmaps").await;
    assert_eq!(empty["items"], json!([]));
}

#[tokio::test]
async fn pages_show_one_moment_although_objects_change_between_them() {
    let simulator = started().await;
    for name in ["a", "b", "c", "d", "e"] {
        simulator.apply("test", config_map(name, "old")).unwrap();
    }
    let path = "/api/v1/namespaces/default/configmaps?limit=2";
    let first = get_json(&simulator, path).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let version = first["metadata"]["resourceVersion"].clone();

    simulator.apply("test", config_map("c", "new")).unwrap();
    simulator.apply("test", config_map("ca", "new")).unwrap();
    let gone = simulator.key("configmaps", Some("default"), "d").unwrap();
    simulator.delete(&gone).unwrap();

    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = get_json(&simulator, &format!("{path}&continue={token}")).await;
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["items"][0]["data"]["key"], "old");
    assert_eq!(second["metadata"]["resourceVersion"], version);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = get_json(&simulator, &format!("{path}&continue={token}")).await;
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"].get("continue").is_none());

    // History forgotten: 410, with a token that goes on without consistency.
    simulator.compact();
    simulator.apply("test", config_map("e", "newest")).unwrap();
    let reply = get(&simulator, &format!("{path}&continue={token}")).await;
    assert_eq!(reply.code, 410);
    let status = reply.json().await;
    assert_eq!(status["reason"], "Expired");
    let onward = status["metadata"]["continue"].as_str().unwrap();
    let rest = get_json(&simulator, &format!("{path}&continue={onward}")).await;
    assert_eq!(names(&rest), ["e"]);
    assert_eq!(rest["items"][0]["data"]["key"], "newest");
}

#[tokio::test]
async fn a_list_at_a_resource_version() {
    let simulator = started().await;
    let old = simulator.apply("test", config_map("a", "1")).unwrap();
    simulator.apply("test", config_map("a", "2")).unwrap();
    let path = "/api/v1/namespaces/default/configmaps";
    let exact = format!("{path}?resourceVersion={old}&resourceVersionMatch=Exact");
    assert_eq!(
        get_json(&simulator, &exact).await["items"][0]["data"]["key"],
        "1"
    );
    let fresh = format!("{path}?resourceVersion={old}");
    assert_eq!(
        get_json(&simulator, &fresh).await["items"][0]["data"]["key"],
        "2"
    );
    simulator.apply("test", config_map("b", "1")).unwrap();
    let cached = get_json(&simulator, &format!("{path}?resourceVersion=0&limit=1")).await;
    assert_eq!(
        names(&cached),
        ["a", "b"],
        "with resourceVersion=0 limit does not count"
    );
    simulator.compact();
    assert_eq!(get(&simulator, &exact).await.code, 410);
    let future = get(&simulator, &format!("{path}?resourceVersion=9999")).await;
    assert_eq!(
        (future.code.as_u16(), &future.headers["retry-after"]),
        (504, &"1".parse().unwrap())
    );
    assert_eq!(
        get(&simulator, &format!("{path}?resourceVersion=abc"))
            .await
            .code,
        400
    );
    assert_eq!(
        get(&simulator, &format!("{path}?limit=1&continue=abc"))
            .await
            .code,
        400
    );
}

#[tokio::test]
async fn selectors_choose_by_label_and_field() {
    let simulator = started().await;
    for (name, labels) in [
        ("a", json!({"tier": "front", "x": "1"})),
        ("b", json!({"tier": "back"})),
        ("c", json!({})),
    ] {
        let mut object = config_map(name, "v");
        object["metadata"]["labels"] = labels;
        simulator.apply("test", object).unwrap();
    }
    for (selector, wanted) in [
        ("labelSelector=tier%3Dfront", vec!["a"]),
        ("labelSelector=tier==back", vec!["b"]),
        ("labelSelector=tier!=front", vec!["b", "c"]),
        ("labelSelector=tier+in+(front,back)", vec!["a", "b"]),
        ("labelSelector=tier%20notin%20(front)", vec!["b", "c"]),
        ("labelSelector=tier,x", vec!["a"]),
        ("labelSelector=!tier", vec!["c"]),
        ("labelSelector=tier+in+(front,back),!x", vec!["b"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        (
            "fieldSelector=metadata.name!=b,metadata.namespace=default",
            vec!["a", "c"],
        ),
        ("fieldSelector=metadata.namespace!%3Ddefault", vec![]),
    ] {
        let list = get_json(&simulator, &format!("/api/v1/configmaps?{selector}")).await;
        assert_eq!(names(&list), wanted, "{selector}");
    }
    let paged = get_json(&simulator, "/api/v1/configmaps?limit=1&labelSelector=tier").await;
    assert_eq!(names(&paged), ["a"]);
    assert!(paged["metadata"].get("remainingItemCount").is_none());
    for bad in ["labelSelector=a%20in", "fieldSelector=data.key%3Dv"] {
        let reply = get(&simulator, &format!("/api/v1/configmaps?{bad}")).await;
        assert_eq!(reply.code, 400, "{bad}");
    }
    let secret = |name: &str, kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"namespace": "default", "name": name},
        })
    };
    simulator.apply("test", secret("plain", "Opaque")).unwrap();
    simulator
        .apply("test", secret("release", "helm.sh/release.v1"))
        .unwrap();
    let path = "/api/v1/secrets?fieldSelector=type!%3Dhelm.sh/release.v1";
    assert_eq!(names(&get_json(&simulator, path).await), ["plain"]);
}

#[tokio::test]
async fn errors_look_like_the_real_ones() {
    let simulator = started().await;
    let plain = get(&simulator, "/apis/nope/v1/things").await;
    assert_eq!(plain.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(plain.code, 404);
    assert_eq!(plain.bytes().await.unwrap(), b"404 page not found\n");
    let status = get_json(&simulator, "/apis/apps/v1/things").await;
    assert_eq!(
        status,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "the server could not find the requested resource", "reason": "NotFound",
            "details": {}, "code": 404,
        })
    );
    let status = get_json(
        &simulator,
        "/apis/apps/v1/namespaces/default/deployments/nope",
    )
    .await;
    assert_eq!(status["message"], "deployments.apps \"nope\" not found");
    assert_eq!(
        status["details"],
        json!({"name": "nope", "group": "apps", "kind": "deployments"})
    );
    assert_eq!(
        get(&simulator, "/apis/authentication.k8s.io/v1/tokenreviews")
            .await
            .code,
        405
    );
    assert_eq!(
        get(&simulator, "/api/v1/namespaces/default/nodes")
            .await
            .code,
        404
    );
    assert_eq!(
        get_json(&simulator, "/version").await["gitVersion"],
        "v1.36.3"
    );
    assert_eq!(
        get(&simulator, "/livez").await.bytes().await.unwrap(),
        b"ok"
    );
}

/// Every document is there under its address, lists what it should, and lacks no schema.
#[tokio::test]
async fn schemas_of_the_shops_kinds_are_published() {
    let simulator = started().await;
    shop::build(&simulator).unwrap();
    let index = get_json(&simulator, "/openapi/v3").await;
    let mut kinds = BTreeSet::new();
    for (name, entry) in index["paths"].as_object().unwrap() {
        let address = entry["serverRelativeURL"].as_str().unwrap();
        assert!(
            address.starts_with(&format!("/openapi/v3/{name}?hash=")),
            "{address}"
        );
        let document = get_json(&simulator, address).await;
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for part in document.to_string().split("#/components/schemas/").skip(1) {
            let (reference, _) = part.split_once('"').unwrap();
            assert!(schemas.contains_key(reference), "{name}: {reference}");
        }
        for path in document["paths"].as_object().unwrap().values() {
            let kind = &path["get"]["x-kubernetes-group-version-kind"];
            kinds.insert((kind["group"].to_string(), kind["kind"].to_string()));
        }
    }
    for manifest in shop::desired(&simulator) {
        let api_version = manifest.object["apiVersion"].as_str().unwrap();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let kind = (
            json!(group).to_string(),
            manifest.object["kind"].to_string(),
        );
        // Those of custom resources are in their definitions.
        assert!(
            group == "data.example.com" || kinds.contains(&kind),
            "{kind:?}"
        );
    }
    let unknown = get(&simulator, "/openapi/v3/apis/nothing.example.com/v1").await;
    assert_eq!(unknown.code, StatusCode::NOT_FOUND);
}
