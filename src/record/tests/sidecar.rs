//! What the sidecar gets, and when.

use super::*;
use crate::mirror::SidecarBlobs;
use crate::record::sidecar::SidecarIndex;
use crate::record::stage::SidecarFile;

fn side(owners: &str, times: &str) -> SidecarFile {
    SidecarFile {
        owners: owners.into(),
        times: times.into(),
    }
}

fn owned(key: ObjectKey, text: &str, owners: &str, times: &str) -> Staged {
    Staged {
        sidecar: Some(side(owners, times)),
        ..staged(key, text)
    }
}

fn blobs(owners: &str, times: &str) -> SidecarBlobs {
    SidecarBlobs {
        owners: BlobId::of(owners.as_bytes()),
        times: (!times.is_empty()).then(|| BlobId::of(times.as_bytes())),
    }
}

impl Rig {
    fn own(&mut self, name: &str, text: &str, owners: &str, times: &str) {
        let object = owned(map(name), text, owners, times);
        self.step(Input::Staged(CONFIG_MAPS, object));
    }

    /// What the batches wrote of the sidecar, by the object's path.
    fn sidecar(&self) -> BTreeMap<Arc<str>, SidecarBlobs> {
        let mut sidecar = BTreeMap::new();
        for change in self.batches.iter().flat_map(|batch| batch.sidecar.iter()) {
            match change.blobs {
                Some(blobs) => sidecar.insert(change.path.clone(), blobs),
                None => sidecar.remove(&change.path),
            };
        }
        sidecar
    }

    fn of(&self, name: &str) -> Option<SidecarBlobs> {
        self.sidecar().get(&*map(name).path()).copied()
    }

    /// How many changes of files and of the sidecar each batch had.
    fn sizes(&self) -> Vec<(usize, usize)> {
        let size = |batch: &Batch| (batch.changes.len(), batch.sidecar.len());
        self.batches.iter().map(size).collect()
    }
}

/// A rig whose first sync recorded one object with its owners.
fn one() -> Rig {
    let mut rig = Rig::synced(&[]);
    rig.own("a", "1", "o1", "t1");
    rig.pass(3);
    assert_eq!(rig.sizes(), [(1, 1)]);
    assert_eq!(rig.of("a"), Some(blobs("o1", "t1")));
    rig
}

#[test]
fn a_heartbeat_that_only_moves_a_time_writes_nothing() {
    let mut rig = one();
    for n in 0..1_000 {
        rig.own("a", "1", "o1", &format!("t{n}"));
        rig.pass(1);
    }
    rig.list(CONFIG_MAPS, &[(map("a"), "1")]);
    rig.pass(60);
    assert_eq!(rig.batches.len(), 1);
    assert_eq!(rig.recorder.waiting(), 0);
    assert_eq!(rig.recorder.cursor().len(), 3, "and keeps its cursor");
}

#[test]
fn owners_that_change_alone_are_no_change_of_a_file() {
    let mut rig = one();
    rig.own("a", "1", "o2", "");
    assert!(rig.recorder.cursor().is_empty(), "HEAD does not hold it");
    rig.pass(3);
    assert_eq!(rig.sizes(), [(1, 1), (0, 1)]);
    assert_eq!(rig.of("a"), Some(blobs("o2", "")));
    // Taken back before the commit: nothing.
    rig.own("a", "1", "o3", "t3");
    rig.own("a", "1", "o2", "t4");
    rig.pass(60);
    assert_eq!(rig.batches.len(), 2);
}

#[test]
fn times_go_with_the_file_that_they_are_of() {
    let mut rig = one();
    rig.own("a", "2", "o1", "t2");
    // Seen once more with a later heartbeat: what was staged stays.
    rig.own("a", "2", "o1", "t3");
    rig.pass(3);
    assert_eq!(rig.of("a"), Some(blobs("o1", "t2")));
    // The file is taken back, and so are its times.
    rig.own("a", "3", "o3", "t4");
    rig.own("a", "2", "o1", "t5");
    rig.pass(60);
    assert_eq!(rig.sizes(), [(1, 1), (1, 1)]);
}

#[test]
fn what_is_deleted_is_gone_from_the_sidecar_in_the_same_batch() {
    let mut rig = one();
    rig.step(Input::Deleted(CONFIG_MAPS, map("a")));
    rig.pass(3);
    assert_eq!(rig.sizes(), [(1, 1), (1, 1)]);
    assert!(rig.sidecar().is_empty());
    // Never in HEAD: in no batch.
    rig.own("b", "1", "o1", "");
    rig.step(Input::Deleted(CONFIG_MAPS, map("b")));
    rig.pass(60);
    assert_eq!(rig.batches.len(), 2);
}

#[test]
fn what_waits_for_its_namespace_keeps_its_owners_as_long() {
    let mut rig = one();
    let shop = key(NAMESPACES, None, "shop");
    let mut going = staged(shop.clone(), "1");
    going.terminating = true;
    rig.step(Input::Staged(NAMESPACES, going));
    rig.pass(3);
    rig.step(Input::Deleted(CONFIG_MAPS, map("a")));
    rig.pass(5);
    assert_eq!(rig.of("a"), Some(blobs("o1", "t1")));
    rig.step(Input::Deleted(NAMESPACES, shop));
    rig.pass(3);
    assert_eq!(rig.of("a"), None);
    assert!(rig.files().is_empty());
}

#[test]
fn owners_wait_with_a_damped_file_and_flapping_ones_by_themselves() {
    for file_too in [true, false] {
        let mut rig = one();
        let text = |n: u64| {
            if file_too {
                n.to_string()
            } else {
                "1".to_owned()
            }
        };
        for n in 2..=13 {
            rig.own("a", &text(n), &format!("o{n}"), "t");
            rig.pass(3);
        }
        assert_eq!(rig.batches.len(), 13, "twelve edits are not damped");
        rig.own("a", &text(14), "o14", "t");
        rig.pass(30);
        assert_eq!(rig.batches.len(), 13, "file too: {file_too}");
        assert_eq!(rig.damped.len(), 1);
        assert_eq!(rig.of("a"), Some(blobs("o13", "t")));
        rig.pass(600);
        assert_eq!(rig.batches.len(), 14);
        assert_eq!(rig.of("a"), Some(blobs("o14", "t")));
    }
}

#[test]
fn a_failed_commit_keeps_what_it_held_and_reads_again_what_was_spilled() {
    let mut rig = one();
    let fail = |rig: &mut Rig| {
        rig.now += Duration::from_secs(3);
        let mut effects = rig.recorder.step(rig.now, Input::Tick);
        let Some(Effect::Commit(batch)) = effects.pop() else {
            panic!("{effects:?}")
        };
        rig.recorder
            .step(rig.now, Input::CommitFailed(batch.changes))
    };
    rig.own("a", "1", "o2", "t2");
    assert_eq!(fail(&mut rig).len(), 0);
    rig.pass(10);
    assert_eq!(rig.of("a"), Some(blobs("o2", "t2")));

    let big = "x".repeat(5 << 20);
    let effects = rig.recorder.step(
        rig.now,
        Input::Staged(CONFIG_MAPS, owned(map("a"), "1", &big, "t3")),
    );
    assert!(matches!(&effects[..], [Effect::Spill(blobs)] if blobs.len() == 2));
    let relisted = fail(&mut rig);
    assert_eq!(relisted.len(), 3, "every type is read again: {relisted:?}");
    rig.own("a", "1", &big, "t3");
    rig.pass(10);
    assert_eq!(rig.of("a"), Some(blobs(&big, "t3")));
}

#[test]
fn a_sidecar_that_was_not_written_beside_its_branch_follows() {
    let mut rig = one();
    rig.own("a", "2", "o2", "t2");
    rig.now += Duration::from_secs(3);
    let effects = rig.recorder.step(rig.now, Input::Tick);
    assert!(matches!(&effects[..], [Effect::Commit(_)]));
    rig.step(Input::OutOfStep);
    rig.step(Input::Committed);
    assert_eq!(
        rig.recorder.blobs(&map("a").path())[0],
        Some(BlobId::of(b"2"))
    );
    rig.pass(3);
    assert_eq!(rig.sizes(), [(1, 1), (0, 1)]);
    assert_eq!(rig.of("a"), Some(blobs("o2", "t2")));
}

#[test]
fn a_sidecar_of_another_commit_heals_by_the_first_list() {
    let mut index = Index::default();
    for name in ["a", "b"] {
        index.insert(&map(name).path(), BlobId::of(b"1"));
    }
    let mut known = SidecarIndex::default();
    known.set(&map("a").path(), Some(blobs("o1", "t1")));
    known.set(&map("gone").path(), Some(blobs("o1", "t1")));
    let orphans: Vec<Box<str>> = vec![map("gone").path().into()];
    for in_step in [true, false] {
        let mut rig = Rig::with(index.clone(), true, HashMap::new());
        let recorder = Recorder::new(
            RecorderOptions {
                window: WindowOptions::default(),
                sync_timeout: Duration::from_secs(60),
                damping: true,
            },
            index.clone(),
            HashMap::new(),
        );
        let mut known_now = SidecarIndex::default();
        for name in ["a", "gone"] {
            let path = map(name).path();
            known_now.set(&path, known.get(&path));
        }
        rig.recorder = recorder.with_sidecar(known_now, &orphans, in_step);
        rig.step(Input::Served(served()));
        rig.step(Input::Restarted(CONFIG_MAPS, 1));
        rig.own("a", "1", "o1", "t9");
        rig.own("b", "1", "o2", "");
        rig.step(Input::Complete(CONFIG_MAPS, "1".to_owned()));
        rig.list(NAMESPACES, &[]);
        rig.list(DEFINITIONS, &[]);
        assert_eq!(
            rig.sizes(),
            [(0, 2)],
            "b's owners come, and the orphan goes"
        );
        assert_eq!(rig.of("b"), Some(blobs("o2", "")));
        assert!(rig.synced);
    }
    // Nothing differs, but it belongs to another commit: it has to say so.
    let mut rig = Rig::with(Index::default(), true, HashMap::new());
    rig.recorder = std::mem::replace(
        &mut rig.recorder,
        Recorder::new(
            RecorderOptions {
                window: WindowOptions::default(),
                sync_timeout: Duration::from_secs(60),
                damping: true,
            },
            Index::default(),
            HashMap::new(),
        ),
    )
    .with_sidecar(SidecarIndex::default(), &[], false);
    rig.step(Input::Served(served()));
    for feed in [CONFIG_MAPS, NAMESPACES, DEFINITIONS] {
        rig.list(feed, &[]);
    }
    assert_eq!(rig.sizes(), [(0, 0)]);
    rig.step(Input::FactsChanged);
    rig.pass(3);
    assert_eq!(
        rig.sizes(),
        [(0, 0), (0, 0)],
        "facts are written by themselves"
    );
    rig.pass(600);
    assert_eq!(rig.batches.len(), 2);
}
