//! Autoscalers: known before their workloads are read, and followed as they come and go.

use super::*;

const AUTOSCALERS: FeedId = FeedId(4);
const DEPLOYMENTS: FeedId = FeedId(5);
const STATEFUL_SETS: FeedId = FeedId(6);

fn autoscaler_type() -> Arc<ApiType> {
    api_type(
        "autoscaling",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        true,
    )
}

fn types() -> Vec<Feed> {
    let feed = |id, api_type, scalable| Feed {
        id,
        api_type,
        scope: Scope::Cluster,
        scalable,
    };
    vec![
        feed(AUTOSCALERS, autoscaler_type(), false),
        feed(
            DEPLOYMENTS,
            api_type("apps", "deployments", "Deployment", true),
            true,
        ),
        feed(
            STATEFUL_SETS,
            api_type("apps", "statefulsets", "StatefulSet", true),
            true,
        ),
    ]
}

fn target(name: &str) -> ScaleTarget {
    ScaleTarget {
        group: "apps".into(),
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: name.into(),
    }
}

fn autoscaler(name: &str) -> ObjectKey {
    ObjectKey {
        api_type: autoscaler_type(),
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

fn names(workload: &str, by: &str) -> Input {
    let staged = Staged {
        scales: Some(target(workload)),
        sidecar: None,
        ..staged(autoscaler(by), workload)
    };
    Input::Staged(AUTOSCALERS, staged)
}

fn served() -> Served {
    let feeds = types();
    Served {
        directories: feeds.iter().map(|feed| feed.api_type.directory()).collect(),
        feeds,
        ..Served::default()
    }
}

fn complete(rig: &mut Rig, feed: FeedId, generation: u64) {
    rig.step(Input::Restarted(feed, generation));
    rig.step(Input::Complete(feed, "1".to_owned()));
}

/// Starts with these files of HEAD: autoscaler and workload.
fn rig(files: &[(&str, &str)]) -> Rig {
    let mut index = Index::default();
    let mut seed = HashMap::new();
    for (by, workload) in files {
        let path = autoscaler(by).path();
        index.insert(&path, BlobId::of(workload.as_bytes()));
        seed.insert(path.into(), target(workload));
    }
    let mut rig = Rig::with(index, true, seed);
    rig.step(Input::Served(served()));
    rig
}

fn says(rig: &Rig, at: usize) -> Vec<bool> {
    let feed = &types()[1].api_type;
    ["web", "api"]
        .map(|name| {
            rig.started[at].autoscaled.contains(&ObjectKey {
                api_type: feed.clone(),
                namespace: Some("shop".into()),
                name: name.into(),
            })
        })
        .into()
}

fn cursor(rig: &Rig) -> Vec<FeedId> {
    let mut ids: Vec<_> = rig.recorder.cursor().iter().map(|(f, _)| f.id).collect();
    ids.sort();
    ids
}

#[test]
fn workloads_are_read_when_every_autoscaler_is_known() {
    let mut rig = rig(&[]);
    assert!(rig.started.is_empty());
    rig.step(Input::Restarted(AUTOSCALERS, 0));
    rig.step(names("web", "one"));
    // Workloads wait for as long as it takes; their own time begins then.
    rig.pass(59);
    rig.step(Input::Complete(AUTOSCALERS, "1".to_owned()));
    assert_eq!(says(&rig, 0), [true, false]);
    rig.pass(59);
    assert!(!rig.synced);
    complete(&mut rig, DEPLOYMENTS, 1);
    complete(&mut rig, STATEFUL_SETS, 1);
    assert!(rig.synced && rig.recorder.unknown().is_empty());
    assert_eq!((rig.batches.len(), rig.started.len()), (1, 1));
    assert!(rig.relists.is_empty(), "{:?}", rig.relists);
}

#[test]
fn autoscalers_that_cannot_be_read_hold_nobody_up_and_stay_as_the_mirror_has_them() {
    let mut rig = rig(&[("one", "web")]);
    rig.step(Input::Unknown(AUTOSCALERS, Cause::Throttled));
    assert!(rig.started.is_empty(), "it may pass in a moment");
    rig.pass(61);
    assert_eq!(says(&rig, 0), [true, false]);
    complete(&mut rig, DEPLOYMENTS, 1);
    rig.pass(58);
    assert!(!rig.synced, "the others' time began when they were let go");
    rig.pass(2);
    assert!(rig.synced);
}

#[test]
fn a_change_lists_its_workloads_type_again_and_no_other() {
    let mut rig = rig(&[]);
    complete(&mut rig, AUTOSCALERS, 0);
    complete(&mut rig, DEPLOYMENTS, 1);
    complete(&mut rig, STATEFUL_SETS, 1);
    rig.step(names("web", "one"));
    rig.step(names("api", "two"));
    assert_eq!(rig.started.len(), 1, "they may be more");
    assert!(cursor(&rig).is_empty());
    rig.pass(3);
    assert_eq!(says(&rig, 1), [true, true]);
    assert_eq!(rig.relists, [DEPLOYMENTS], "once for both");
    assert_eq!(rig.batches.len(), 1);
    assert_eq!(
        cursor(&rig),
        [AUTOSCALERS, STATEFUL_SETS],
        "a cursor from here would never see what is to be written anew"
    );
    // A list that began before does not count.
    complete(&mut rig, DEPLOYMENTS, 1);
    assert_eq!(cursor(&rig), [AUTOSCALERS, STATEFUL_SETS]);
    complete(&mut rig, DEPLOYMENTS, 2);
    assert_eq!(cursor(&rig).len(), 3);

    rig.step(names("web", "three"));
    rig.step(Input::Deleted(AUTOSCALERS, autoscaler("one")));
    rig.pass(20);
    assert_eq!(rig.started.len(), 2, "another one names it still");
    // A complete list without it, and a rule that leaves it out, are ends as well.
    rig.step(Input::Restarted(AUTOSCALERS, 2));
    rig.step(names("api", "two"));
    rig.step(Input::Complete(AUTOSCALERS, "2".to_owned()));
    rig.pass(20);
    assert_eq!(says(&rig, 2), [false, true]);
    let content = Content::LeftOut {
        rule: "mine".into(),
    };
    let left_out = Staged {
        content,
        ..staged(autoscaler("two"), "")
    };
    rig.step(Input::Staged(AUTOSCALERS, left_out));
    rig.pass(20);
    assert_eq!(says(&rig, 3), [false, false]);
    assert_eq!(rig.relists.len(), 3);
}

#[test]
fn a_start_from_a_cursor_knows_them_and_notices_what_changed_meanwhile() {
    let mut same = rig(&[("one", "web")]);
    for feed in [AUTOSCALERS, DEPLOYMENTS, STATEFUL_SETS] {
        same.step(Input::Recovered(feed));
    }
    assert_eq!(says(&same, 0), [true, false]);
    assert!(same.synced && same.relists.is_empty());

    // Its own cursor was too old, those of the workloads are not.
    let mut other = rig(&[("one", "web")]);
    complete(&mut other, AUTOSCALERS, 0);
    assert_eq!(says(&other, 0), [false, false]);
    other.step(Input::Recovered(STATEFUL_SETS));
    other.step(Input::Recovered(DEPLOYMENTS));
    assert_eq!(other.relists, [DEPLOYMENTS]);
    assert!(!other.synced, "the first commit waits for it");
    complete(&mut other, DEPLOYMENTS, 1);
    assert!(other.synced);
}

#[test]
fn a_change_during_the_first_sync_is_part_of_the_first_commit() {
    let mut rig = rig(&[]);
    complete(&mut rig, AUTOSCALERS, 0);
    complete(&mut rig, DEPLOYMENTS, 1);
    rig.step(names("web", "one"));
    complete(&mut rig, STATEFUL_SETS, 1);
    assert!(!rig.synced);
    rig.pass(1);
    assert_eq!(rig.relists, [DEPLOYMENTS]);
    complete(&mut rig, DEPLOYMENTS, 2);
    assert!(rig.synced);
    assert_eq!(rig.batches.len(), 1);
}

#[test]
fn an_autoscaler_type_that_is_gone_takes_its_workloads_along() {
    let mut rig = rig(&[("one", "web")]);
    rig.step(Input::Recovered(AUTOSCALERS));
    let mut served = served();
    served.feeds.remove(0);
    served.directories.remove(&autoscaler_type().directory());
    served.whole_cluster = true;
    served.feeds.push(feeds().remove(2));
    rig.step(Input::Served(served));
    complete(&mut rig, DEFINITIONS, 0);
    rig.pass(1);
    assert_eq!(says(&rig, rig.started.len() - 1), [false, false]);
}
