//! Without the `sops` program; `tests/sops.rs` has it.

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    Identities, Recipients, SopsError, digest_of, holds_secrets, is_sealed, open, seal, tree,
};
use crate::canonical::strategy::{self, NASTY};
use crate::canonical::{self};

/// The key of age's own tests, so public that it protects nothing.
const KEY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const OTHER_KEY: &str =
    "AGE-SECRET-KEY-17DWSYRPJAPP745QVE2F3KZ6G4T9WP8D8N4ZZXYAL5KH8QAXCY3YSNSMAT2";
const OTHER_RECIPIENT: &str = "age1z2sttwr7dj6jcu8l9f68xajw2jdr6cl6smqmagzrq0nlavrd8dnsw2gdk6";
const DIGEST: &str = "hmac:0123456789abcdef0123456789abcdef";
const TIME: &str = "2024-05-06T07:08:09Z";

fn recipients(texts: &[&str]) -> Result<Recipients, SopsError> {
    Recipients::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn sealed_with(value: &Value, random: [u8; 32]) -> Result<Vec<u8>, SopsError> {
    let recipients = recipients(&[RECIPIENT])?;
    seal(value, DIGEST, &recipients, TIME, Zeroizing::new(random))
}

fn sealed(value: &Value) -> Vec<u8> {
    sealed_with(value, [7; 32]).unwrap()
}

fn opened(file: &[u8]) -> Result<Value, SopsError> {
    open(file, &Identities::parse(KEY)?)
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1",
        "data": { "password": "aHVudGVyMg==", "user": "YWRtaW4=", "empty": "" },
        "immutable": true,
        "kind": "Secret",
        "metadata": { "name": "db", "annotations": { "data": "covered too", "note": "plain" } },
        "stringData": { "n": 5, "f": -0.25, "yes": true, "no": false, "null": null,
                        "list": ["a", { "deep": "b" }, [], {}] },
        "type": "Opaque",
    })
}

/// A Secret of any content: keys and values that YAML stumbles over, numbers, collections.
fn any_secret() -> impl Strategy<Value = Value> {
    let key = || {
        prop_oneof![
            "[-._a-zA-Z0-9]{1,20}",
            select(NASTY).prop_map(str::to_owned)
        ]
    };
    let value = || {
        prop_oneof![
            4 => strategy::text().prop_map(Value::from),
            1 => strategy::number(),
            1 => any::<bool>().prop_map(Value::from),
            1 => Just(Value::Null),
            1 => proptest::collection::vec(strategy::text(), 0..3).prop_map(Value::from),
            1 => btree_map(key(), strategy::text(), 0..3)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k, v.into())).collect())),
        ]
    };
    let map = || {
        btree_map(key(), value(), 0..6)
            .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>()))
    };
    (map(), map(), map(), map()).prop_map(|(data, string_data, annotations, spec)| {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "data": data, "stringData": string_data,
            "metadata": { "name": "s", "annotations": annotations },
            "spec": spec,
        })
    })
}

fn has_number_over_i64(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_u64() && number.as_i64().is_none(),
        Value::Array(items) => items.iter().any(has_number_over_i64),
        Value::Object(map) => map.values().any(has_number_over_i64),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_was_sealed_is_opened(value in any_secret(), random: [u8; 32]) {
        match sealed_with(&value, random) {
            Ok(file) => {
                prop_assert_eq!(digest_of(&file), Some(DIGEST));
                prop_assert!(is_sealed(&file));
                prop_assert!(!has_number_over_i64(&value));
                prop_assert_eq!(opened(&file).unwrap(), value);
            }
            Err(error) => {
                prop_assert!(matches!(error, SopsError::Number { .. }), "{error}");
                prop_assert!(has_number_over_i64(&value));
            }
        }
    }

    #[test]
    fn no_eight_bytes_of_a_value_are_in_the_file(
        text in "[!-~]{8,60}", lines in "[!-~]{8,20}\n[!-~]{8,20}\n", random: [u8; 32]
    ) {
        let value = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
            "data": { "a": text }, "stringData": { "b": [lines], "c": { "d": text } },
        });
        let file = sealed_with(&value, random).unwrap();
        for window in text.as_bytes().windows(8).chain(lines.as_bytes().windows(8)) {
            // Those that are there whatever the value is.
            let is_ours = memchr::memmem::find(&sealed(&json!({})), window).is_some();
            prop_assert!(is_ours || memchr::memmem::find(&file, window).is_none());
        }
    }

    #[test]
    fn hostile_text_is_an_error(
        at in 0usize..3000, length in 0usize..40, bytes in proptest::collection::vec(any::<u8>(), 0..40)
    ) {
        let mut file = sealed(&secret());
        let at = at.min(file.len());
        let end = (at + length).min(file.len());
        file.splice(at..end, bytes);
        // Whatever comes of it: no panic, and no other values than those sealed.
        if let Ok(value) = opened(&file) {
            for key in ["data", "stringData"] {
                let values = |value: &Value| {
                    value[key].as_object().map(|map| map.values().cloned().collect::<Vec<_>>())
                };
                prop_assert_eq!(values(&value), values(&secret()));
            }
        }
    }

    #[test]
    fn garbage_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(opened(&bytes).is_err());
    }
}

/// Every bit that changes another letter, in each encrypted text and each open value.
#[test]
fn a_flipped_byte_is_noticed() {
    let file = sealed(&secret());
    let text = std::str::from_utf8(&file).unwrap();
    let mut flipped = 0;
    let mut offset = 0;
    let metadata = text.find("\nsops:").unwrap();
    let metadata = metadata..text.find("\nstringData:").unwrap();
    for line in text.split_inclusive('\n') {
        let value_at = line.find("ENC[").or_else(|| {
            // Open values; of the metadata the MAC alone is looked after by the format.
            let open = !metadata.contains(&offset) && !line.starts_with('#');
            line.find(": ").filter(|_| open).map(|at| at + 2)
        });
        let end = offset + line.trim_end_matches(['\n', '"']).len();
        for at in value_at.map_or(0..0, |at| offset + at..end) {
            for bit in [0, 1, 5, 7] {
                let mut bytes = file.clone();
                bytes[at] ^= 1 << bit;
                // `True` is `true`, and is not encrypted.
                let is_same = !line.contains("ENC[") && opened(&bytes) == Ok(secret());
                assert!(
                    is_same || opened(&bytes).is_err(),
                    "bit {bit} of byte {at}: {line}"
                );
                flipped += 1;
            }
        }
        offset += line.len();
    }
    assert!(flipped > 4000, "{flipped}");
}

#[test]
fn a_file_that_is_cut_off_is_an_error() {
    let file = sealed(&secret());
    for length in 0..file.len() - 1 {
        assert!(opened(&file[..length]).is_err(), "{length}");
    }
    // The last line's end adds nothing.
    assert_eq!(opened(&file[..file.len() - 1]).unwrap(), secret());
}

#[test]
fn deep_and_large_files_are_errors() {
    let head = String::from_utf8(sealed(&secret())).unwrap();
    let deep = format!("{head}x: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(matches!(opened(deep.as_bytes()), Err(SopsError::Read(_))));
    let many = format!("{head}x: {}\n", "[".repeat(100_000));
    assert!(opened(many.as_bytes()).is_err());
    let large = vec![b'#'; super::file::LONGEST_FILE + 1];
    assert_eq!(opened(&large), Err(SopsError::TooLong));
    let key = "k".repeat(tree::LONGEST_PATH);
    let mut long = canonical::read(head.as_bytes()).unwrap();
    long[&key] = "x".into();
    let mut file = Vec::new();
    canonical::emit(&long, &mut file);
    assert!(matches!(opened(&file), Err(SopsError::LongPath { .. })));
    let mut value = secret();
    value["data"] = json!({ key: "x" });
    assert!(matches!(
        sealed_with(&value, [0; 32]),
        Err(SopsError::LongPath { .. })
    ));
}

/// What is sealed can be read back, up to the depth where reading ends.
#[test]
fn the_deepest_value_that_is_sealed_is_opened() {
    let nested = |depth: usize| {
        (0..depth).fold(json!("x"), |inner, at| {
            if at % 2 == 0 {
                json!([inner])
            } else {
                json!({ "k": inner })
            }
        })
    };
    let value = |depth| json!({ "data": { "d": nested(depth) } });
    let deepest = (1..200).take_while(|depth| sealed_with(&value(*depth), [0; 32]).is_ok());
    let deepest = deepest.last().unwrap();
    assert_eq!(deepest, tree::DEEPEST - 2);
    assert_eq!(opened(&sealed(&value(deepest))).unwrap(), value(deepest));
    assert_eq!(
        sealed_with(&value(deepest + 1), [0; 32]),
        Err(SopsError::TooDeep)
    );
}

#[test]
fn anchors_and_merge_keys_are_errors() {
    let head = String::from_utf8(sealed(&secret())).unwrap();
    for more in ["x: &a {b: c}\ny: *a\n", "x: &a {b: c}\ny: {<<: *a}\n"] {
        let file = format!("{head}{more}");
        assert!(
            matches!(opened(file.as_bytes()), Err(SopsError::Read(_))),
            "{more}"
        );
    }
}

#[test]
fn another_identity_cannot_open() {
    let file = sealed(&secret());
    let other = Identities::parse(OTHER_KEY).unwrap();
    assert_eq!(
        open(&file, &other),
        Err(SopsError::NoMatch { recipients: 1 })
    );
    let both = Identities::parse(&format!("# mine\n{OTHER_KEY}\r\n\n  {KEY}\n")).unwrap();
    assert_eq!(open(&file, &both).unwrap(), secret());
}

#[test]
fn each_recipient_can_open() {
    let recipients = recipients(&[RECIPIENT, OTHER_RECIPIENT, RECIPIENT]).unwrap();
    let file = seal(
        &secret(),
        DIGEST,
        &recipients,
        TIME,
        Zeroizing::new([3; 32]),
    )
    .unwrap();
    let metadata = &canonical::read(&file).unwrap()["sops"];
    assert_eq!(metadata["age"].as_array().unwrap().len(), 2);
    assert_eq!(metadata["age"][1]["recipient"], OTHER_RECIPIENT);
    for key in [KEY, OTHER_KEY] {
        let identity = Identities::parse(key).unwrap();
        assert_eq!(open(&file, &identity).unwrap(), secret());
    }
}

/// Everything but the wrapping comes from the bytes given, and all of it changes with them.
#[test]
fn randomness_is_what_was_given() {
    let ours = |file: &[u8]| {
        let mut value = canonical::read(file).unwrap();
        value["sops"]["age"][0]["enc"].take();
        value
    };
    let (one, again) = (sealed(&secret()), sealed(&secret()));
    assert_eq!(ours(&one), ours(&again));
    assert_ne!(one, again, "age draws its own");
    let other = ours(&sealed_with(&secret(), [8; 32]).unwrap());
    assert_ne!(ours(&one)["data"]["password"], other["data"]["password"]);
    let text = String::from_utf8(one).unwrap();
    let mut ivs: Vec<&str> = text.split(",iv:").skip(1).map(|rest| &rest[..44]).collect();
    let count = ivs.len();
    ivs.sort_unstable();
    ivs.dedup();
    assert_eq!(ivs.len(), count, "no IV comes twice");
    assert_eq!(count, 10, "nine values and the MAC");
}

#[test]
fn what_cannot_be_sealed_is_named() {
    let recipients = recipients(&[RECIPIENT]).unwrap();
    let seal = |value: &Value, digest, time| {
        seal(value, digest, &recipients, time, Zeroizing::new([0; 32])).unwrap_err()
    };
    for digest in [
        "",
        "hmac:",
        "hmac:0123",
        "sha:0123456789abcdef0123456789abcdef",
        "hmac:0123456789ABCDEF0123456789abcdef",
        "hmac:0123456789abcdef0123456789abcdef\n",
    ] {
        assert_eq!(seal(&secret(), digest, TIME), SopsError::Digest, "{digest}");
    }
    for time in [
        "",
        "now",
        "2024-05-06",
        "2024-05-06T07:08:09",
        "2024-05-06T07:08:09+00:00",
        "2024-05-06T07:08:09.5Z",
        "2024-05-06 07:08:09Z",
        "2024-13-06T07:08:09Z",
    ] {
        assert_eq!(seal(&secret(), DIGEST, time), SopsError::Time, "{time}");
    }
    assert_eq!(seal(&json!([]), DIGEST, TIME), SopsError::NoMapping);
    assert_eq!(
        seal(&json!({ "sops": {} }), DIGEST, TIME),
        SopsError::Occupied
    );
    let number = json!({ "data": { "k": [u64::MAX] } });
    let error = seal(&number, DIGEST, TIME);
    assert_eq!(
        error,
        SopsError::Number {
            path: "data:k".to_owned()
        }
    );
    assert!(!error.to_string().contains("18446744073709551615"));
}

#[test]
fn recipients_are_named_by_position_and_secret_keys_not_shown() {
    assert_eq!(recipients(&[]), Err(SopsError::NoRecipients));
    let ssh = "ssh-ed25519 AAAA";
    let error = recipients(&[RECIPIENT, ssh]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "recipient 2 is no age recipient of the form age1…: \"ssh-ed25519 AAAA\" (ssh keys, plugins and post-quantum keys are not supported)"
    );
    for key in [KEY.to_owned(), KEY.to_lowercase(), format!("{KEY} ")] {
        let error = recipients(&[&key]).unwrap_err();
        assert_eq!(error, SopsError::RecipientIsSecret { position: 1 });
        let shown = format!("{error} {error:?}").to_uppercase();
        assert!(!shown.contains("GQ9778"), "{shown}");
    }
}

#[test]
fn identities_are_named_by_line_and_not_shown() {
    let parse = |text: &str| Identities::parse(text).err();
    assert_eq!(parse("# only a comment\n\n"), Some(SopsError::NoIdentities));
    for bad in [
        RECIPIENT,
        &KEY[..40],
        "AGE-SECRET-KEY-PQ-1XXXX",
        "-----BEGIN AGE ENCRYPTED FILE-----",
    ] {
        let error = parse(&format!("# created: now\n{KEY}\n{bad}\n")).unwrap();
        assert_eq!(error, SopsError::Identity { line: 3 });
        assert!(!format!("{error} {error:?}").contains(&bad[8..]));
    }
}

#[test]
fn other_files_of_sops_are_refused_by_name() {
    let file = sealed(&secret());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = canonical::read(&file).unwrap();
        change(&mut value["sops"]);
        let mut out = Vec::new();
        canonical::emit(&value, &mut out);
        opened(&out)
    };
    let field = |result: Result<Value, SopsError>| match result {
        Err(SopsError::Metadata { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(with(&|_| {}).unwrap(), secret());
    assert_eq!(
        field(with(&|sops| sops["encrypted_regex"] = ".*".into())),
        "encrypted_regex"
    );
    assert_eq!(
        field(with(&|sops| sops["unencrypted_suffix"] = "_x".into())),
        "encrypted_regex"
    );
    assert_eq!(field(with(&|sops| sops["age"] = json!([]))), "age");
    assert_eq!(
        field(with(
            &|sops| sops["age"] = json!([{ "recipient": RECIPIENT }])
        )),
        "age"
    );
    assert_eq!(field(with(&|sops| sops["mac"] = Value::Null)), "mac");
    assert_eq!(
        field(with(
            &|sops| sops["mac"] = "ENC[AES256_GCM,data:,iv:,tag:,type:str]".into()
        )),
        "mac"
    );
    // Authenticated with the MAC.
    assert_eq!(
        field(with(
            &|sops| sops["lastmodified"] = "2024-05-06T07:08:10Z".into()
        )),
        "mac"
    );
    // Another prefix of the hash.
    assert_eq!(
        with(&|sops| sops["mac_only_encrypted"] = true.into()),
        Err(SopsError::Mac)
    );
    // Null and empty are how older versions wrote "not set".
    assert_eq!(
        with(&|sops| {
            sops["pgp"] = Value::Null;
            sops["unencrypted_suffix"] = "".into();
        })
        .unwrap(),
        secret()
    );
    assert_eq!(
        opened(b"apiVersion: v1\nkind: Secret\n"),
        Err(SopsError::NotSealed)
    );
    assert_eq!(opened(b"- sops\n"), Err(SopsError::NotSealed));
}

#[test]
fn values_that_were_moved_or_taken_out_are_noticed() {
    let file = sealed(&secret());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = canonical::read(&file).unwrap();
        change(&mut value);
        let mut out = Vec::new();
        canonical::emit(&value, &mut out);
        opened(&out).unwrap_err()
    };
    let moved = with(&|value| value["data"]["password"] = value["data"]["user"].clone());
    assert_eq!(
        moved.to_string(),
        "data:password: damaged, or moved here from another path"
    );
    assert!(matches!(
        with(&|value| value["data"]["password"] = "plain".into()),
        SopsError::Value { .. }
    ));
    assert!(matches!(
        with(&|value| value["data"]["password"] = 5.into()),
        SopsError::Value { .. }
    ));
    for change in [
        &(|value: &mut Value| value["data"]["password"] = "".into()) as &dyn Fn(&mut Value),
        &|value| value["data"]["password"] = Value::Null,
        &|value| drop(value["data"].as_object_mut().unwrap().remove("password")),
        &|value| value["metadata"]["name"] = "other".into(),
        &|value| value["immutable"] = false.into(),
    ] {
        assert_eq!(with(change), SopsError::Mac);
    }
}

#[test]
fn the_comment_is_found_on_the_first_line_alone() {
    let found = |text: &str| digest_of(text.as_bytes()).map(str::to_owned);
    assert_eq!(
        found(&format!("# strandline: {DIGEST}\nkind: Secret\n")).as_deref(),
        Some(DIGEST)
    );
    assert_eq!(
        found(&format!("# strandline: {DIGEST}")).as_deref(),
        Some(DIGEST)
    );
    for other in [
        String::new(),
        "# strandline: ".to_owned(),
        format!("# strandline: {DIGEST}0\n"),
        format!("# strandline: {}\n", &DIGEST[..30]),
        format!("#strandline: {DIGEST}\n"),
        format!("kind: x\n# strandline: {DIGEST}\n"),
        "# strandline: hmac:0123456789abcdef0123456789abcdeé\n".to_owned(),
    ] {
        assert_eq!(found(&other), None, "{other}");
    }
    assert_eq!(digest_of(&[0xff; 100]), None);
}

#[test]
fn an_object_with_a_field_sops_is_not_taken_for_a_sealed_file() {
    assert!(is_sealed(&sealed(&secret())));
    assert!(!is_sealed(
        b"apiVersion: isindir.github.com/v1alpha3\nkind: SopsSecret\nsops:\n  mac: x\n"
    ));
    assert!(!is_sealed(
        format!("# strandline: {DIGEST}\nkind: Secret\nx: |\n  a\n  sops:\n").as_bytes()
    ));
}

#[test]
fn only_objects_with_values_hold_secrets() {
    assert!(holds_secrets(&secret()));
    assert!(holds_secrets(&json!({ "stringData": { "a": "" } })));
    for none in [
        json!({}),
        json!({ "data": {} }),
        json!({ "data": null, "stringData": {} }),
        json!([]),
    ] {
        assert!(!holds_secrets(&none), "{none}");
    }
}
