//! Encrypted files: each once, whatever is listed again, taken back or lost.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{CONFIG_MAPS, Rig, map};
use crate::mirror::BlobId;
use crate::object::ObjectKey;
use crate::record::events::{Effect, Input};
use crate::record::sealing::{Find, SealedFiles, make_comparable};
use crate::record::stage::{Action, Change, Content, Plaintext, Staged};
use crate::sops::{Recipients, digest_of};

const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

fn files() -> SealedFiles {
    let recipients = Recipients::parse(&[RECIPIENT.to_owned()]).unwrap();
    SealedFiles::new(Some(Arc::new(recipients)))
}

fn digest(value: &str) -> String {
    let number = value
        .bytes()
        .fold(0, |sum, byte| sum << 8 | u128::from(byte));
    format!("hmac:{number:032x}")
}

fn plaintext(value: &str) -> Plaintext {
    Plaintext(Zeroizing::new(
        format!("data:\n  a: {value}\n").into_bytes(),
    ))
}

/// What the driver does with an object, for files of HEAD that were read before.
fn arrive(rig: &mut Rig, sealed: &mut SealedFiles, key: &ObjectKey, value: &str) -> bool {
    let path: Arc<str> = key.path().into();
    let [head, next] = rig.recorder.blobs(&path);
    let found = sealed.find(&path, &digest(value), head, next);
    let content = match found {
        Find::Known(blob_id) => Content::Known { blob_id },
        Find::New => sealed.seal(&path, &plaintext(value), &digest(value), 7, [head, next]),
        Find::Read(_) => panic!("HEAD's file is known"),
    };
    let staged = Staged {
        key: key.clone(),
        path,
        content,
        terminating: false,
        managed_fields: None,
        replicas: None,
        scales: None,
        sidecar: None,
    };
    rig.step(Input::Staged(CONFIG_MAPS, staged));
    found == Find::New
}

#[test]
fn what_is_listed_again_or_taken_back_is_not_encrypted_again() {
    let (mut rig, mut sealed, secret) = (Rig::synced(&[]), files(), map("secret"));
    assert!(arrive(&mut rig, &mut sealed, &secret, "one"));
    assert!(!arrive(&mut rig, &mut sealed, &secret, "one"), "it waits");
    rig.pass(60);
    assert_eq!(rig.batches.len(), 1);
    assert!(
        !arrive(&mut rig, &mut sealed, &secret, "one"),
        "HEAD has it"
    );
    assert!(arrive(&mut rig, &mut sealed, &secret, "two"));
    assert!(
        !arrive(&mut rig, &mut sealed, &secret, "one"),
        "HEAD has it"
    );
    rig.pass(60);
    assert_eq!(rig.batches.len(), 1, "it was taken back in time");
    // What was taken back is in no pack: nothing may point to it.
    assert!(arrive(&mut rig, &mut sealed, &secret, "two"));
    rig.pass(60);
    assert_eq!(rig.batches.len(), 2);
    let Action::Put { bytes, .. } = &rig.batches[1].changes[0].action else {
        panic!("a file")
    };
    let bytes = bytes.as_deref().expect("the bytes of a file that waits");
    assert_eq!(digest_of(bytes), Some(&*digest("two")));
    assert!(memchr::memmem::find(bytes, b"two").is_none());
}

#[test]
fn a_file_that_was_lost_with_its_pack_is_encrypted_again() {
    let (mut rig, mut sealed, secret) = (Rig::synced(&[]), files(), map("secret"));
    for spilled in [true, false] {
        let path: Arc<str> = secret.path().into();
        let content = sealed.seal(&path, &plaintext("one"), &digest("one"), 7, [None, None]);
        let Content::File { blob_id, bytes, .. } = content else {
            panic!("a file")
        };
        let change = Box::new(Change {
            path: path.clone(),
            object: crate::record::stage::Who::Object(secret.clone()),
            before: None,
            action: Action::Put {
                blob_id,
                bytes: (!spilled).then_some(bytes),
                spilled,
                managed_fields: None,
            },
            recreated: false,
        });
        let effects = rig
            .recorder
            .step(rig.now, Input::CommitFailed(vec![change]));
        let relisted = effects.iter().any(|e| matches!(e, Effect::Relist(_)));
        assert_eq!(relisted, spilled);
        assert_eq!(
            arrive(&mut rig, &mut sealed, &secret, "one"),
            spilled,
            "spilled: {spilled}"
        );
        rig.pass(60);
        let committed = rig.files();
        let Find::Known(blob_id) =
            sealed.find(&path, &digest("one"), committed.get(&path).copied(), None)
        else {
            panic!("what is committed is known")
        };
        assert_eq!(committed[&path], blob_id);
        rig.step(Input::Deleted(CONFIG_MAPS, secret.clone()));
        rig.pass(60);
        sealed.forget(&path);
    }
}

#[test]
fn files_of_head_are_read_once_and_only_ours_count() {
    let mut sealed = files();
    let path: Arc<str> = "namespaces/shop/secrets/a.yaml".into();
    let made = files().seal(&path, &plaintext("one"), &digest("one"), 7, [None, None]);
    let Content::File { blob_id, bytes, .. } = made else {
        panic!("a file")
    };
    let head = Some(blob_id);
    assert_eq!(
        sealed.find(&path, &digest("one"), head, head),
        Find::Read(blob_id)
    );
    // Somebody decrypted it in place: the first line is still there.
    let open = format!("# strandline: {}\ndata:\n  a: one\n", digest("one"));
    assert_eq!(
        sealed.learn(&path, &digest("one"), blob_id, open.as_bytes()),
        None
    );
    assert_eq!(sealed.learn(&path, &digest("two"), blob_id, &bytes), None);
    assert_eq!(
        sealed.find(&path, &digest("two"), head, head),
        Find::New,
        "not read again"
    );
    assert_eq!(
        sealed.find(&path, &digest("one"), head, head),
        Find::Known(blob_id)
    );
    let other = Some(BlobId::of(b"other"));
    assert_ne!(
        sealed.find(&path, &digest("one"), other, other),
        Find::Known(blob_id)
    );
}

#[test]
fn what_cannot_be_encrypted_changes_nothing() {
    let mut rig = Rig::synced(&[(map("secret"), "before")]);
    let path: Arc<str> = map("secret").path().into();
    let occupied = Plaintext(Zeroizing::new(b"data:\n  a: x\nsops: mine\n".to_vec()));
    let content = files().seal(&path, &occupied, &digest("x"), 7, [None, None]);
    assert!(matches!(content, Content::Unsealable));
    rig.step(Input::Restarted(CONFIG_MAPS, 1));
    let staged = Staged {
        content,
        ..super::staged(map("secret"), "")
    };
    rig.step(Input::Staged(CONFIG_MAPS, staged));
    rig.step(Input::Complete(CONFIG_MAPS, "9".to_owned()));
    rig.pass(60);
    assert!(rig.batches.is_empty(), "{:?}", rig.paths());
}

#[test]
fn neither_debug_output_nor_a_message_shows_a_value() {
    let shown = format!("{:?}", plaintext("hunter2"));
    assert_eq!(shown, "Plaintext(…)");
    let mut before = serde_json::json!({"data": {"a": "ENC[1]"}, "metadata": {"labels": {"x": "1"}}, "sops": {"mac": "1"}});
    let mut after = serde_json::json!({"data": {"a": "ENC[2]"}, "metadata": {"labels": {"x": "2"}}, "sops": {"mac": "2"}});
    make_comparable(&mut before, &mut after);
    let owners = crate::owners::ManagedFields::none();
    let changes = crate::record::changes::changed_fields(&before, &after, &owners, 9);
    assert_eq!(changes.fields, ["data", "metadata.labels.x"]);
}
