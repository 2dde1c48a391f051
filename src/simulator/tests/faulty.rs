//! Every fault, as a client meets it.

use super::*;
use crate::simulator::{Failure, Fault, Interruption, Refusal, Storm, Verb};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const STREAMED: &str = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true\
                        &resourceVersionMatch=NotOlderThan";

async fn with_maps() -> Simulator {
    let simulator = started().await;
    for name in ["a", "b", "c"] {
        simulator.apply("test", config_map(name, "1")).unwrap();
    }
    simulator
}

#[tokio::test]
async fn refusals_have_the_real_codes_and_reasons() {
    let simulator = with_maps().await;
    for (refusal, code, reason) in [
        (Refusal::Unauthorized, 401, "Unauthorized"),
        (Refusal::Forbidden, 403, "Forbidden"),
        (Refusal::NotFound, 404, "NotFound"),
        (Refusal::Gone, 410, "Expired"),
        (Refusal::Unprocessable, 422, "Invalid"),
        (Refusal::BadRequest, 400, "BadRequest"),
        (
            Refusal::TooManyRequests(Duration::from_secs(7)),
            429,
            "TooManyRequests",
        ),
        (Refusal::Internal, 500, "InternalError"),
        (Refusal::Unavailable, 503, "ServiceUnavailable"),
    ] {
        for path in [MAPS.to_owned(), format!("{MAPS}?watch=1&resourceVersion=1")] {
            simulator
                .faults()
                .push(Fault::new(Failure::Refuse(refusal)));
            let reply = get(&simulator, &path).await;
            assert_eq!(reply.code, code);
            if code == 429 {
                assert_eq!(reply.headers["retry-after"], "7");
            }
            let status = reply.json().await;
            assert_eq!(status["reason"], reason);
            assert_eq!(status["code"], code);
        }
    }
    assert_eq!(simulator.faults().fired(), 18);
    simulator
        .faults()
        .push(Fault::new(Failure::Refuse(Refusal::Forbidden)));
    assert_eq!(
        get_json(&simulator, MAPS).await["message"],
        "configmaps is forbidden: User \"limited\" cannot list resource \"configmaps\" in API \
         group \"\" in the namespace \"default\""
    );
    assert_eq!(get(&simulator, MAPS).await.code, 200);
}

#[tokio::test]
async fn a_fault_chooses_its_requests() {
    let simulator = with_maps().await;
    let refuse = || Fault::new(Failure::Refuse(Refusal::Internal));
    simulator
        .faults()
        .push(refuse().resource("configmaps").verb(Verb::Continue).skip(1));
    assert_eq!(get(&simulator, "/api/v1/secrets").await.code, 200);
    let first = get_json(&simulator, &format!("{MAPS}?limit=1")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let next = format!("{MAPS}?limit=1&continue={token}");
    assert_eq!(get(&simulator, &next).await.code, 200);
    assert_eq!(get(&simulator, &next).await.code, 500);
    assert_eq!(get(&simulator, &next).await.code, 200);

    simulator
        .faults()
        .push(Fault::new(Failure::Refuse(Refusal::Gone)).verb(Verb::Continue));
    let status = get_json(&simulator, &next).await;
    assert!(status["metadata"]["continue"].is_string());

    simulator.faults().push(refuse().verb(Verb::Discovery));
    assert_eq!(get(&simulator, "/apis").await.code, 500);
    let requests = simulator.requests();
    assert_eq!(requests[&("configmaps".to_owned(), Verb::Continue)], 4);
    assert_eq!(requests[&("configmaps".to_owned(), Verb::List)], 1);
    assert_eq!(requests[&("secrets".to_owned(), Verb::List)], 1);
}

#[tokio::test]
async fn connections_break() {
    let simulator = with_maps().await;
    simulator.faults().push(Fault::new(Failure::Hangup));
    assert!(ask(&simulator, MAPS, &[]).await.is_err());

    for mid_line in [false, true] {
        simulator
            .faults()
            .push(Fault::new(Failure::Cut { after: 2, mid_line }));
        let partial = get(&simulator, MAPS).await.bytes().await.unwrap_err();
        let text = String::from_utf8(partial).unwrap();
        assert!(text.contains("\"a\"") && text.contains("\"b\""));
        assert!(serde_json::from_str::<Value>(&text).is_err());

        simulator
            .faults()
            .push(Fault::new(Failure::Cut { after: 2, mid_line }));
        let mut watch = get(&simulator, &format!("{MAPS}?watch=1")).await;
        assert_eq!(watch.brief().await.1, "a");
        assert_eq!(watch.brief().await.1, "b");
        let rest = watch.event().await.unwrap().unwrap_err();
        assert_eq!(rest.is_empty(), !mid_line);
    }
}

#[tokio::test]
async fn watches_are_interrupted_while_they_run() {
    let simulator = with_maps().await;
    let now = simulator.resource_version();
    let path = format!("{MAPS}?watch=1&resourceVersion={now}&allowWatchBookmarks=true");
    for (how, index) in [
        (Interruption::End, 0),
        (Interruption::CutMidLine, 1),
        (Interruption::GoneEvent, 2),
        (Interruption::Bookmark, 3),
        (Interruption::Duplicate, 4),
        (Interruption::Stall, 5),
    ] {
        let start = simulator.resource_version();
        let path = path.replace(&format!("={now}"), &format!("={start}"));
        let mut watch = get(&simulator, &path).await;
        let name = format!("new-{index}");
        simulator.apply("test", config_map(&name, "1")).unwrap();
        let added = watch.brief().await;
        assert_eq!(
            added.1, name,
            "an earlier interruption does not reach a later watch"
        );
        simulator.interrupt(Some("configmaps"), how);
        match how {
            Interruption::End => assert!(watch.event().await.is_none()),
            Interruption::CutMidLine => {
                assert!(
                    watch
                        .event()
                        .await
                        .unwrap()
                        .unwrap_err()
                        .starts_with(b"{\"type\"")
                );
            }
            Interruption::GoneEvent => {
                assert_eq!(watch.event().await.unwrap().unwrap()["object"]["code"], 410);
                assert!(watch.event().await.is_none());
            }
            Interruption::Bookmark => assert_eq!(watch.brief().await.0, "BOOKMARK"),
            Interruption::Duplicate => assert_eq!(watch.brief().await, added),
            Interruption::Stall => {
                simulator.apply("test", config_map("unseen", "1")).unwrap();
                let mut other = get(&simulator, &path).await;
                assert_eq!(other.brief().await.1, name);
                assert_eq!(other.brief().await.1, "unseen");
                assert!(watch.buffer.is_empty());
                let more = tokio::time::timeout(Duration::from_millis(50), watch.body.frame());
                assert!(more.await.is_err(), "a stalled watch sends nothing");
            }
        }
    }
}

#[tokio::test]
async fn watches_misbehave() {
    let simulator = with_maps().await;
    let now = simulator.resource_version();
    let push = |failure| {
        simulator
            .faults()
            .push(Fault::new(failure).resource("configmaps"));
    };

    push(Failure::GoneEvent);
    let mut watch = get(&simulator, &format!("{MAPS}?watch=1&resourceVersion={now}")).await;
    assert_eq!(
        watch.event().await.unwrap().unwrap()["object"]["reason"],
        "Expired"
    );
    assert!(watch.event().await.is_none());

    push(Failure::NoEndBookmark);
    let mut watch = get(&simulator, &format!("{MAPS}?{STREAMED}&timeoutSeconds=1")).await;
    for name in ["a", "b", "c"] {
        assert_eq!(watch.brief().await.1, name);
    }
    assert!(watch.event().await.is_none());

    push(Failure::Duplicates);
    let mut watch = get(&simulator, &format!("{MAPS}?watch=1")).await;
    let first = watch.brief().await;
    assert_eq!(watch.brief().await, first);

    push(Failure::HollowBookmarks);
    let mut watch = get(&simulator, &format!("{MAPS}?{STREAMED}")).await;
    for _ in 0..3 {
        watch.brief().await;
    }
    assert_eq!(
        watch.brief().await,
        ("BOOKMARK".into(), String::new(), String::new())
    );

    push(Failure::Silence);
    let mut watch = get(&simulator, &format!("{MAPS}?{STREAMED}&timeoutSeconds=1")).await;
    let more = tokio::time::timeout(Duration::from_millis(1_200), watch.body.frame());
    assert!(more.await.is_err(), "silence has no end");
}

#[tokio::test]
async fn lists_misbehave() {
    let simulator = with_maps().await;
    let push = |failure| simulator.faults().push(Fault::new(failure));
    push(Failure::EmptyList);
    assert!(names(&get_json(&simulator, MAPS).await).is_empty());
    push(Failure::PageLimit(1));
    let page = get_json(&simulator, MAPS).await;
    assert_eq!(names(&page), ["a"]);
    assert!(page["metadata"]["continue"].is_string());
    push(Failure::Delay(Duration::from_millis(30)));
    let begin = std::time::Instant::now();
    assert_eq!(names(&get_json(&simulator, MAPS).await).len(), 3);
    assert!(begin.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn a_server_that_is_down_comes_back_at_the_same_place() {
    let simulator = with_maps().await;
    let now = simulator.resource_version();
    let path = format!("{MAPS}?watch=1&resourceVersion={now}");
    let mut watch = get(&simulator, &path).await;
    simulator.set_down(true);
    assert!(watch.event().await.unwrap().is_err());
    assert!(ask(&simulator, MAPS, &[]).await.is_err());
    simulator
        .apply("test", config_map("meanwhile", "1"))
        .unwrap();
    simulator.set_down(true);
    assert!(ask(&simulator, MAPS, &[]).await.is_err());
    simulator.set_down(false);
    assert_eq!(get(&simulator, &path).await.brief().await.1, "meanwhile");
    // A second `false` cuts connections, and lets new ones in.
    simulator.set_down(false);
    assert_eq!(get(&simulator, MAPS).await.code, 200);
}

#[tokio::test]
async fn a_storm_is_the_same_for_the_same_seed() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let simulator = with_maps().await;
        simulator.faults().storm(Some(Storm {
            seed,
            per_mille: 400,
            failures: vec![
                Failure::Refuse(Refusal::Internal),
                Failure::Refuse(Refusal::Unavailable),
            ],
        }));
        let mut codes = Vec::new();
        for _ in 0..40 {
            codes.push(get(&simulator, MAPS).await.code.as_u16());
        }
        assert!(codes.contains(&200) && codes.contains(&500) && codes.contains(&503));
        simulator.faults().clear();
        assert_eq!(get(&simulator, MAPS).await.code, 200);
        runs.push(codes);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
