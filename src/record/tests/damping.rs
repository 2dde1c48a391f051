//! Objects that keep changing: sampled, never lost.

use proptest::prelude::*;
use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::record::damping::MAX_STALENESS;
use crate::record::message::commit_message;

/// A lock that has just been damped, and its thirteenth state waits.
fn damped() -> Rig {
    let mut rig = Rig::synced(&[(map("lock"), "0"), (map("calm"), "0")]);
    for n in 1..=13 {
        rig.put(map("lock"), &n.to_string());
        rig.pass(3);
    }
    assert_eq!(rig.damped, [(map("lock").path().into(), true)]);
    assert_eq!(rig.batches.len(), 12);
    rig
}

fn blob_of(rig: &Rig, name: &str) -> Option<BlobId> {
    rig.files().get(&*map(name).path()).copied()
}

fn by(manager: &str, time: &str) -> Option<Box<RawValue>> {
    let entries = json!([{"manager": manager, "operation": "Update", "time": time,
        "fieldsV1": {"f:data": {}}}]);
    RawValue::from_string(entries.to_string()).ok()
}

#[test]
fn a_damped_object_is_sampled_and_the_sample_says_so() {
    let mut rig = damped();
    for n in 14..=250 {
        rig.put(map("lock"), &n.to_string());
        rig.pass(3);
    }
    assert_eq!(rig.batches.len(), 13, "twelve minutes hold one sample");
    let sample = &rig.batches[12];
    let text = commit_message(sample, &BTreeMap::new(), "u", "prod", 1_000_000);
    let (path, since) = (map("lock").path(), "1970-01-12T13:47:16Z");
    let changes = sample.damped[0].changes;
    assert!((195..=200).contains(&changes), "{changes}");
    let trailer = format!("Strandline-Damped: {path} {changes} changes since {since}\n");
    assert!(text.ends_with(&trailer), "{text}");
    let (objects, skipped) = rig.recorder.damped();
    assert_eq!((objects, skipped), (1, changes - 1));

    rig.put(map("calm"), "1");
    rig.pass(3);
    assert_eq!(rig.paths()[13], ["+calm"], "others do not wait");
    assert!(rig.batches[13].damped.is_empty());

    rig.pass(3 * 3600);
    assert_eq!(blob_of(&rig, "lock"), Some(BlobId::of(b"250")));
    assert_eq!(rig.damped.last().unwrap(), &(path.into(), false));
    assert_eq!(rig.recorder.damped().0, 0);
    assert_eq!(rig.recorder.deadline(), None, "nothing is kept of it");
}

#[test]
fn the_end_of_a_run_commits_what_waits() {
    let mut rig = damped();
    rig.step(Input::Flush);
    assert_eq!(rig.paths()[12], ["+lock"]);
    assert_eq!(blob_of(&rig, "lock"), Some(BlobId::of(b"13")));
    assert_eq!(rig.batches[12].damped.len(), 1);
}

#[test]
fn a_deletion_does_not_wait_but_a_recreation_does() {
    let mut rig = damped();
    rig.step(Input::Deleted(CONFIG_MAPS, map("lock")));
    rig.pass(3);
    assert_eq!(rig.paths()[12], ["-lock"]);
    rig.put(map("lock"), "14");
    rig.pass(3);
    assert_eq!(rig.batches.len(), 13);
    rig.step(Input::Deleted(CONFIG_MAPS, map("lock")));
    rig.put(map("lock"), "15");
    rig.pass(600);
    assert_eq!(rig.paths()[13], ["+lock"]);
    assert_eq!(blob_of(&rig, "lock"), Some(BlobId::of(b"15")));
}

#[test]
fn a_person_s_change_does_not_wait() {
    let mut rig = damped();
    let put = |rig: &mut Rig, text: &str, managed_fields| {
        let staged = Staged {
            managed_fields,
            ..staged(map("lock"), text)
        };
        rig.step(Input::Staged(CONFIG_MAPS, staged));
        rig.pass(3);
    };
    put(&mut rig, "14", by("kubectl-edit", "1"));
    assert_eq!(rig.batches.len(), 13);
    assert_eq!(blob_of(&rig, "lock"), Some(BlobId::of(b"14")));
    put(&mut rig, "15", by("kubectl-edit", "1"));
    assert_eq!(rig.batches.len(), 13, "a machine's waits");
    put(&mut rig, "16", by("kubectl-edit", "2"));
    assert_eq!(blob_of(&rig, "lock"), Some(BlobId::of(b"16")));
    // A machine's change on top of a person's does not make that wait.
    rig.step(Input::Staged(
        CONFIG_MAPS,
        Staged {
            managed_fields: by("kubectl-edit", "3"),
            ..staged(map("lock"), "17")
        },
    ));
    put(&mut rig, "18", by("kubectl-edit", "3"));
    assert_eq!(blob_of(&rig, "lock"), Some(BlobId::of(b"18")));
}

#[test]
fn what_flaps_within_a_window_makes_no_commit_but_counts() {
    let mut rig = Rig::synced(&[(map("a"), "1")]);
    for _ in 0..6 {
        rig.put(map("a"), "2");
        rig.put(map("a"), "1");
        rig.pass(5);
    }
    assert!(rig.batches.is_empty() && rig.damped.is_empty());
    rig.put(map("a"), "2");
    assert_eq!(rig.damped.len(), 1);
}

#[test]
fn roles_are_not_damped_and_a_restart_forgets() {
    let mut rig = Rig::synced(&[]);
    for n in 0..40 {
        rig.put(key(NAMESPACES, None, "shop"), &n.to_string());
        rig.pass(3);
    }
    assert_eq!((rig.batches.len(), &*rig.damped), (40, &[][..]));

    let flushed = damped();
    let mut rig = Rig::synced(&[(map("lock"), "13")]);
    rig.put(map("lock"), "14");
    rig.pass(3);
    assert_eq!(rig.batches.len(), 1);
    drop(flushed);
}

#[test]
fn five_thousand_flapping_objects_make_few_commits_and_are_forgotten() {
    let names: Vec<_> = (0..5_000).map(|n| map(&format!("m{n}"))).collect();
    let mut rig = Rig::synced(&[]);
    let mut state = 0;
    let mut storm = |rig: &mut Rig, minutes: u64| {
        for _ in 0..minutes * 2 {
            state += 1;
            for name in &names {
                rig.put(name.clone(), &state.to_string());
            }
            rig.pass(30);
        }
    };
    storm(&mut rig, 10);
    let before = rig.batches.len();
    assert!(before <= 15, "{before}");
    storm(&mut rig, 30);
    let samples = rig.batches.len() - before;
    assert!((2..=4).contains(&samples), "{samples} in half an hour");
    assert_eq!(rig.recorder.damped().0, 5_000);
    rig.pass(4 * 3600);
    assert_eq!(
        (rig.recorder.damped().0, rig.recorder.deadline()),
        (0, None)
    );
    assert_eq!(rig.files().len(), 5_000);
}

#[test]
fn a_failed_commit_loses_no_damped_file_that_went_into_its_pack() {
    let mut rig = damped();
    let big = "x".repeat(65 << 20);
    let effects = rig.recorder.step(
        rig.now,
        Input::Staged(CONFIG_MAPS, staged(map("lock"), &big)),
    );
    assert!(matches!(&effects[..], [Effect::Spill(blobs)] if blobs.len() == 1));
    rig.recorder.step(
        rig.now,
        Input::Staged(CONFIG_MAPS, staged(map("calm"), "1")),
    );
    rig.now += Duration::from_secs(3);
    let mut effects = rig.recorder.step(rig.now, Input::Tick);
    let Some(Effect::Commit(batch)) = effects.pop() else {
        panic!("{effects:?}")
    };
    let effects = rig
        .recorder
        .step(rig.now, Input::CommitFailed(batch.changes));
    assert_eq!(effects.len(), 3, "every type is read again: {effects:?}");
    rig.put(map("lock"), &big);
    rig.pass(700);
    assert_eq!(blob_of(&rig, "lock"), Some(BlobId::of(big.as_bytes())));
}

/// One write: the pause before it in seconds, the object, its new state (none: it is deleted).
type Write = (u64, u8, Option<u8>);

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let pause = prop_oneof![6 => 0..4_u64, 2 => 0..60_u64, 1 => 0..900_u64];
    let state = prop_oneof![8 => (0..4_u8).prop_map(Some), 1 => Just(None)];
    proptest::collection::vec((pause, 0..3_u8, state), 1..200)
}

proptest! {
    #[test]
    fn no_file_is_older_than_ten_minutes_and_none_is_wrong_in_the_end(writes in writes()) {
        let mut trees = Vec::new();
        for damping in [true, false] {
            let mut rig = Rig::synced_and(&[], damping);
            // What is live now, and since when HEAD lacks it.
            let mut live: BTreeMap<Arc<str>, BlobId> = BTreeMap::new();
            let mut stale: BTreeMap<Arc<str>, Duration> = BTreeMap::new();
            for (pause, object, state) in writes.iter().copied().chain([(4_000, 9, Some(0))]) {
                let end = rig.now + Duration::from_secs(pause);
                loop {
                    let at = rig.recorder.deadline().filter(|at| *at <= end);
                    rig.now = at.map_or(end, |at| at.max(rig.now));
                    if at.is_some() {
                        rig.step(Input::Tick);
                    }
                    let head = rig.files();
                    stale.retain(|path, _| head.get(path) != live.get(path));
                    for (path, since) in &stale {
                        let age = rig.now.saturating_sub(*since);
                        prop_assert!(age <= MAX_STALENESS, "{path} at {:?}", rig.now);
                    }
                    if at.is_none() {
                        break;
                    }
                }
                let name = map(&format!("m{object}"));
                let path: Arc<str> = name.path().into();
                if let Some(state) = state {
                    live.insert(path.clone(), BlobId::of(state.to_string().as_bytes()));
                    rig.put(name, &state.to_string());
                } else {
                    live.remove(&path);
                    rig.step(Input::Deleted(CONFIG_MAPS, name));
                }
                if rig.files().get(&path) == live.get(&path) {
                    stale.remove(&path);
                } else {
                    stale.entry(path).or_insert(rig.now);
                }
            }
            rig.step(Input::Flush);
            prop_assert_eq!(&rig.files(), &live);
            trees.push(rig.files());
        }
        prop_assert_eq!(&trees[0], &trees[1]);
    }
}
