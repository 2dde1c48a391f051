//! What the recorder decides, event by event.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Cause, Scope};
use crate::filter::ScaleTarget;
use crate::mirror::{BlobId, Index};
use crate::object::{ApiType, ObjectKey};
use crate::record::autoscale::Generation;
use crate::record::events::{Batch, Effect, Feed, FeedId, Input, Served};
use crate::record::recorder::{Recorder, RecorderOptions};
use crate::record::stage::{Action, Content, Removal, Staged};
use crate::record::window::WindowOptions;

const CONFIG_MAPS: FeedId = FeedId(1);
const NAMESPACES: FeedId = FeedId(2);
const DEFINITIONS: FeedId = FeedId(3);

fn api_type(group: &str, resource: &str, kind: &str, namespaced: bool) -> Arc<ApiType> {
    Arc::new(ApiType {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced,
    })
}

fn feeds() -> Vec<Feed> {
    let types = [
        (CONFIG_MAPS, api_type("", "configmaps", "ConfigMap", true)),
        (NAMESPACES, api_type("", "namespaces", "Namespace", false)),
        (
            DEFINITIONS,
            api_type(
                "apiextensions.k8s.io",
                "customresourcedefinitions",
                "CustomResourceDefinition",
                false,
            ),
        ),
    ];
    types
        .map(|(id, api_type)| Feed {
            id,
            api_type,
            scope: Scope::Cluster,
            scalable: false,
        })
        .into()
}

fn served() -> Served {
    let feeds = feeds();
    Served {
        directories: feeds.iter().map(|feed| feed.api_type.directory()).collect(),
        feeds,
        whole_cluster: true,
        ..Served::default()
    }
}

fn key(feed: FeedId, namespace: Option<&str>, name: &str) -> ObjectKey {
    let feed = feeds().into_iter().find(|f| f.id == feed).unwrap();
    ObjectKey {
        api_type: feed.api_type,
        namespace: namespace.map(Into::into),
        name: name.into(),
    }
}

fn staged(key: ObjectKey, text: &str) -> Staged {
    Staged {
        path: key.path().into(),
        key,
        content: Content::File {
            blob_id: BlobId::of(text.as_bytes()),
            bytes: text.into(),
            digested: false,
        },
        terminating: false,
        managed_fields: None,
        replicas: None,
        scales: None,
        sidecar: None,
    }
}

mod autoscale;
mod damping;
mod sealing;
mod sidecar;

/// A recorder, its clock, and what it asked for.
struct Rig {
    recorder: Recorder,
    now: Duration,
    batches: Vec<Batch>,
    relists: Vec<FeedId>,
    withheld: usize,
    synced: bool,
    undiscovered: u32,
    damped: Vec<(Arc<str>, bool)>,
    /// The generations of autoscaled workloads, as the pipelines get them.
    started: Vec<Generation>,
    /// When the batches came.
    commits: Vec<Duration>,
}

impl Rig {
    fn new(index: Index) -> Self {
        let mut rig = Self::bare(index);
        rig.step(Input::Served(served()));
        rig
    }

    /// Before discovery has spoken.
    fn bare(index: Index) -> Self {
        Self::with(index, true, HashMap::new())
    }

    fn with(index: Index, damping: bool, autoscalers: HashMap<Arc<str>, ScaleTarget>) -> Self {
        let options = RecorderOptions {
            window: WindowOptions::default(),
            sync_timeout: Duration::from_secs(60),
            damping,
        };
        Self {
            recorder: Recorder::new(options, index, autoscalers),
            started: Vec::new(),
            commits: Vec::new(),
            now: Duration::ZERO,
            batches: Vec::new(),
            relists: Vec::new(),
            withheld: 0,
            synced: false,
            undiscovered: 0,
            damped: Vec::new(),
        }
    }

    /// A rig whose first sync found exactly what `index` holds.
    fn synced(files: &[(ObjectKey, &str)]) -> Self {
        Self::synced_and(files, true)
    }

    fn synced_and(files: &[(ObjectKey, &str)], damping: bool) -> Self {
        let mut index = Index::default();
        for (key, text) in files {
            index.insert(&key.path(), BlobId::of(text.as_bytes()));
        }
        let mut rig = Self::with(index, damping, HashMap::new());
        rig.step(Input::Served(served()));
        for feed in [CONFIG_MAPS, NAMESPACES, DEFINITIONS] {
            rig.step(Input::Restarted(feed, 1));
            let ours = feeds().into_iter().find(|f| f.id == feed).unwrap().api_type;
            for (key, text) in files.iter().filter(|(key, _)| key.api_type == ours) {
                rig.step(Input::Staged(feed, staged(key.clone(), text)));
            }
            rig.step(Input::Complete(feed, "1".to_owned()));
        }
        assert!(
            rig.synced && rig.batches.is_empty(),
            "nothing changed: {:?}",
            rig.batches
        );
        rig
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.recorder.step(self.now, input) {
                match effect {
                    Effect::Commit(batch) => {
                        self.batches.push(batch);
                        self.commits.push(self.now);
                        inputs.push(Input::Committed);
                    }
                    Effect::Relist(feed) => self.relists.push(feed),
                    Effect::DeletionsWithheld { count, .. } => self.withheld += count,
                    Effect::Synced => self.synced = true,
                    Effect::DiscoveryOverdue => self.undiscovered += 1,
                    Effect::Spill(_) => {}
                    Effect::Autoscaled(generation) => self.started.push(generation),
                    Effect::Damped { path, damped } => self.damped.push((path, damped)),
                }
            }
        }
    }

    fn put(&mut self, key: ObjectKey, text: &str) {
        let feed = if &*key.api_type.resource == "namespaces" {
            NAMESPACES
        } else {
            CONFIG_MAPS
        };
        self.step(Input::Staged(feed, staged(key, text)));
    }

    /// Lets time pass, ticking whenever the recorder wants it.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.recorder.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.step(Input::Tick);
        }
        self.now = end;
    }

    fn list(&mut self, feed: FeedId, objects: &[(ObjectKey, &str)]) {
        self.step(Input::Restarted(feed, 1));
        for (key, text) in objects {
            self.step(Input::Staged(feed, staged(key.clone(), text)));
        }
        self.step(Input::Complete(feed, "9".to_owned()));
    }

    /// The files that the batches made, by path.
    fn files(&self) -> BTreeMap<Arc<str>, BlobId> {
        let mut files = BTreeMap::new();
        for change in self.batches.iter().flat_map(|batch| &batch.changes) {
            match &change.action {
                Action::Put { blob_id, .. } => files.insert(change.path.clone(), *blob_id),
                Action::Remove(_) => files.remove(&change.path),
            };
        }
        files
    }

    fn paths(&self) -> Vec<Vec<String>> {
        self.batches
            .iter()
            .map(|batch| {
                batch
                    .changes
                    .iter()
                    .map(|change| match &change.action {
                        Action::Put { .. } => format!("+{}", change.name()),
                        Action::Remove(_) => format!("-{}", change.name()),
                    })
                    .collect()
            })
            .collect()
    }
}

fn map(name: &str) -> ObjectKey {
    key(CONFIG_MAPS, Some("shop"), name)
}

#[test]
fn the_first_sync_is_one_commit_when_everything_has_delivered() {
    let mut rig = Rig::new(Index::default());
    rig.list(CONFIG_MAPS, &[(map("a"), "1"), (map("b"), "1")]);
    rig.list(NAMESPACES, &[(key(NAMESPACES, None, "shop"), "1")]);
    rig.pass(50);
    assert!(rig.batches.is_empty(), "CRDs have not delivered");
    rig.list(DEFINITIONS, &[]);
    assert_eq!(rig.paths(), [["+shop", "+a", "+b"]]);
    assert!(rig.batches[0].first_sync && rig.synced);
}

#[test]
fn a_silent_type_is_unknown_after_the_timeout_and_keeps_its_files() {
    let mut index = Index::default();
    index.insert(&map("kept").path(), BlobId::of(b"1"));
    let mut rig = Rig::new(index);
    rig.list(NAMESPACES, &[(key(NAMESPACES, None, "shop"), "1")]);
    rig.list(DEFINITIONS, &[]);
    rig.pass(59);
    assert!(!rig.synced);
    rig.pass(2);
    assert_eq!(rig.paths(), [["+shop"]], "the unknown type's file stays");
    assert_eq!(
        rig.batches[0].unknown.keys().collect::<Vec<_>>(),
        ["configmaps"]
    );
    rig.list(CONFIG_MAPS, &[(map("late"), "1")]);
    rig.pass(3);
    assert_eq!(
        rig.paths()[1],
        ["-kept", "+late"],
        "it follows in a commit of its own"
    );
}

#[test]
fn discovery_that_never_comes_is_said_once() {
    let mut rig = Rig::bare(Index::default());
    rig.pass(59);
    assert_eq!(rig.undiscovered, 0);
    rig.pass(600);
    assert_eq!(rig.undiscovered, 1);
    assert!(!rig.synced);
}

#[test]
fn a_cursor_is_kept_of_what_is_settled_only() {
    let files: Vec<_> = (0..40).map(|n| (map(&format!("m{n}")), "1")).collect();
    let mut rig = Rig::synced(&files);
    let stands = |rig: &Rig| {
        let mut cursor: Vec<_> = rig
            .recorder
            .cursor()
            .iter()
            .map(|(feed, rv)| (feed.id, (*rv).to_owned()))
            .collect();
        cursor.sort();
        cursor
    };
    assert_eq!(stands(&rig).len(), 3);
    rig.put(map("m30"), "2");
    assert_eq!(stands(&rig), [], "HEAD does not hold what is staged");
    rig.pass(3);
    assert_eq!(stands(&rig).len(), 3);
    rig.list(CONFIG_MAPS, &files[..5]);
    rig.step(Input::Progress(CONFIG_MAPS, "99".to_owned()));
    let feeds: Vec<_> = stands(&rig).into_iter().map(|(id, _)| id).collect();
    assert_eq!(
        feeds,
        [NAMESPACES, DEFINITIONS],
        "withheld deletions would never come"
    );
}

#[test]
fn a_blind_spot_does_not_hold_up_the_first_sync() {
    let mut rig = Rig::new(Index::default());
    rig.list(NAMESPACES, &[]);
    rig.list(DEFINITIONS, &[]);
    rig.step(Input::Unknown(CONFIG_MAPS, Cause::Throttled));
    assert!(!rig.synced, "a throttled type gets its time");
    rig.step(Input::Unknown(CONFIG_MAPS, Cause::Forbidden));
    assert!(rig.synced);
    assert_eq!(rig.recorder.unknown().get("configmaps"), Some(&"forbidden"));
}

#[test]
fn what_equals_head_neither_opens_a_batch_nor_keeps_one_open() {
    let mut rig = Rig::synced(&[(map("a"), "1"), (map("b"), "1")]);
    rig.put(map("a"), "2");
    for _ in 0..20 {
        rig.pass(1);
        rig.put(map("b"), "1");
    }
    assert_eq!(
        rig.paths(),
        [["+a"]],
        "a storm of status updates delays nobody"
    );
}

#[test]
fn a_change_that_is_taken_back_leaves_no_commit() {
    let mut rig = Rig::synced(&[(map("a"), "1")]);
    rig.put(map("a"), "2");
    rig.put(map("a"), "1");
    rig.step(Input::Staged(CONFIG_MAPS, staged(map("new"), "1")));
    rig.step(Input::Deleted(CONFIG_MAPS, map("new")));
    rig.pass(60);
    assert!(rig.batches.is_empty(), "{:?}", rig.paths());
    assert_eq!(rig.recorder.waiting(), 0);
}

#[test]
fn the_last_writer_of_a_batch_wins_and_a_recreated_object_is_named() {
    let mut rig = Rig::synced(&[(map("a"), "1")]);
    rig.step(Input::Deleted(CONFIG_MAPS, map("a")));
    rig.put(map("a"), "2");
    rig.put(map("a"), "3");
    rig.pass(3);
    let change = &rig.batches[0].changes[0];
    assert!(change.recreated);
    let Action::Put { blob_id, .. } = change.action else {
        panic!("{change:?}")
    };
    assert_eq!(blob_id, BlobId::of(b"3"));
}

#[test]
fn an_aborted_list_deletes_nothing() {
    // kube-rs' consumers lose deletions or objects here: a restart before completion must forget.
    let mut rig = Rig::synced(&[(map("a"), "1"), (map("b"), "1")]);
    rig.step(Input::Restarted(CONFIG_MAPS, 1));
    rig.step(Input::Staged(CONFIG_MAPS, staged(map("a"), "1")));
    rig.step(Input::Unknown(CONFIG_MAPS, Cause::Unreachable));
    rig.pass(100);
    assert!(rig.batches.is_empty(), "{:?}", rig.paths());
    rig.list(CONFIG_MAPS, &[(map("b"), "1")]);
    rig.pass(3);
    assert_eq!(
        rig.paths(),
        [["-a"]],
        "what the aborted list saw proves nothing"
    );
}

#[test]
fn a_list_that_would_delete_a_large_share_needs_a_second_one() {
    let files: Vec<_> = (0..40).map(|n| (map(&format!("m{n}")), "1")).collect();
    let mut rig = Rig::synced(&files);
    rig.list(CONFIG_MAPS, &files[..5]);
    rig.pass(60);
    assert!(rig.batches.is_empty(), "{:?}", rig.paths());
    assert_eq!((rig.withheld, &*rig.relists), (35, &[CONFIG_MAPS][..]));
    rig.list(CONFIG_MAPS, &files[..10]);
    rig.pass(3);
    assert_eq!(rig.batches[0].changes.len(), 30, "the second list decides");
}

#[test]
fn deleted_events_never_wait_for_a_list() {
    let files: Vec<_> = (0..40).map(|n| (map(&format!("m{n}")), "1")).collect();
    let mut rig = Rig::synced(&files);
    for (key, _) in &files {
        rig.step(Input::Deleted(CONFIG_MAPS, key.clone()));
    }
    rig.pass(3);
    assert_eq!(rig.batches[0].changes.len(), 40);
}

#[test]
fn deletions_in_a_terminating_namespace_wait_for_it_but_not_for_ever() {
    let shop = key(NAMESPACES, None, "shop");
    let terminating = || Staged {
        terminating: true,
        ..staged(shop.clone(), "1")
    };
    let files = [
        (shop.clone(), "1"),
        (map("a"), "1"),
        (key(CONFIG_MAPS, Some("b"), "x"), "1"),
    ];
    let mut rig = Rig::synced(&files);
    rig.step(Input::Staged(NAMESPACES, terminating()));
    rig.step(Input::Deleted(CONFIG_MAPS, map("a")));
    rig.put(key(CONFIG_MAPS, Some("b"), "x"), "2");
    rig.pass(5);
    assert_eq!(rig.paths(), [["+x"]], "others do not wait");
    rig.step(Input::Deleted(NAMESPACES, shop.clone()));
    rig.pass(3);
    assert_eq!(
        rig.paths()[1],
        ["-shop", "-a"],
        "one commit for the whole namespace"
    );

    let mut rig = Rig::synced(&files);
    rig.step(Input::Staged(NAMESPACES, terminating()));
    rig.step(Input::Deleted(CONFIG_MAPS, map("a")));
    rig.pass(20);
    assert_eq!(
        rig.paths(),
        [["-a"]],
        "a namespace that never ends holds nothing longer"
    );
}

#[test]
fn a_type_that_is_gone_takes_its_files_along_only_when_that_is_certain() {
    let widget = "namespaces/shop/widgets.example.com/w.yaml";
    let definition = key(DEFINITIONS, None, "widgets.example.com");
    let start = |with_definition: bool| {
        let mut index = Index::default();
        index.insert(widget, BlobId::of(b"1"));
        let mut rig = Rig::new(index);
        rig.list(CONFIG_MAPS, &[]);
        rig.list(NAMESPACES, &[]);
        let crds = if with_definition {
            vec![(definition.clone(), "1")]
        } else {
            Vec::new()
        };
        (rig, crds)
    };

    let (mut rig, crds) = start(false);
    assert!(
        rig.batches.is_empty(),
        "nothing is concluded before the CRDs are listed"
    );
    rig.list(DEFINITIONS, &crds);
    assert_eq!(rig.paths(), [["-w"]]);
    assert!(matches!(
        rig.batches[0].changes[0].action,
        Action::Remove(Removal::TypeGone)
    ));

    let (mut rig, crds) = start(true);
    rig.list(DEFINITIONS, &crds);
    assert_eq!(
        rig.paths(),
        [["+widgets.example.com"]],
        "a CRD promises the type"
    );

    let (mut rig, crds) = start(false);
    let stale = BTreeSet::from(["example.com".into()]);
    rig.step(Input::Served(Served {
        unknown_groups: stale.clone(),
        stale_groups: stale.clone(),
        ..served()
    }));
    rig.list(DEFINITIONS, &crds);
    assert!(
        rig.batches.is_empty(),
        "the group's server is away: {:?}",
        rig.paths()
    );
    assert!(rig.recorder.unknown().contains_key("*.example.com"));

    // Other types of the group are read, so the group is not named; its files stay all the same.
    let (mut rig, crds) = start(false);
    rig.step(Input::Served(Served {
        stale_groups: stale,
        ..served()
    }));
    rig.list(DEFINITIONS, &crds);
    assert!(
        rig.batches.is_empty(),
        "half of the group is away: {:?}",
        rig.paths()
    );
}

#[test]
fn a_rule_that_newly_leaves_out_removes_files_and_says_so() {
    let mut rig = Rig::synced(&[(map("a"), "1")]);
    let content = Content::LeftOut {
        rule: "volatile".into(),
    };
    rig.step(Input::Staged(
        CONFIG_MAPS,
        Staged {
            content,
            ..staged(map("a"), "")
        },
    ));
    rig.pass(3);
    let Action::Remove(Removal::Rule(rule)) = &rig.batches[0].changes[0].action else {
        panic!("{:?}", rig.paths())
    };
    assert_eq!(&**rule, "volatile");
}

#[test]
fn a_failed_commit_keeps_its_batch_and_newer_changes_win() {
    let mut rig = Rig::synced(&[(map("a"), "1")]);
    rig.put(map("a"), "2");
    rig.now += Duration::from_secs(3);
    let mut effects = rig.recorder.step(rig.now, Input::Tick);
    let Some(Effect::Commit(batch)) = effects.pop() else {
        panic!("{effects:?}")
    };
    assert!(
        rig.recorder
            .step(rig.now, Input::CommitFailed(batch.changes))
            .is_empty()
    );
    rig.put(map("b"), "1");
    rig.put(map("a"), "3");
    rig.pass(10);
    assert_eq!(rig.paths(), [["+a", "+b"]]);
    let Action::Put { blob_id, .. } = rig.batches[0].changes[0].action else {
        panic!("put")
    };
    assert_eq!(blob_id, BlobId::of(b"3"));
}

#[test]
fn files_of_a_large_batch_are_spilled_and_read_again_when_their_pack_is_lost() {
    let mut rig = Rig::synced(&[]);
    let big = "x".repeat(3 << 20);
    rig.put(map("a"), &big);
    let effects = rig.recorder.step(
        rig.now,
        Input::Staged(CONFIG_MAPS, staged(map("b"), &format!("{big}y"))),
    );
    assert!(
        matches!(&effects[..], [Effect::Spill(blobs)] if blobs.len() == 2),
        "{effects:?}"
    );
    rig.now += Duration::from_secs(3);
    let mut effects = rig.recorder.step(rig.now, Input::Tick);
    let Some(Effect::Commit(batch)) = effects.pop() else {
        panic!("{effects:?}")
    };
    let effects = rig
        .recorder
        .step(rig.now, Input::CommitFailed(batch.changes));
    let relists = effects
        .iter()
        .filter(|e| matches!(e, Effect::Relist(_)))
        .count();
    assert_eq!(relists, 3, "every type is read again");
    rig.list(CONFIG_MAPS, &[(map("a"), &big)]);
    rig.pass(10);
    assert_eq!(rig.paths(), [["+a"]]);
}

#[test]
fn the_order_of_arrival_and_the_batching_do_not_change_what_is_written() {
    let seed = 7;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut script: Vec<(ObjectKey, String)> = Vec::new();
    for n in 0..200 {
        script.push((map(&format!("m{}", random.u8(0..30))), n.to_string()));
    }
    let mut finals = Vec::new();
    for pause in [0, 1, 7] {
        let mut rig = Rig::synced(&[]);
        for (at, (key, text)) in script.iter().enumerate() {
            if at % 5 == 4 {
                rig.step(Input::Deleted(CONFIG_MAPS, key.clone()));
            } else {
                rig.put(key.clone(), text);
            }
            rig.pass(pause);
        }
        rig.pass(60);
        finals.push(rig.files());
    }
    assert_eq!(finals[0], finals[1]);
    assert_eq!(finals[0], finals[2]);
}
