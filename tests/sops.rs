//! Files of the room `sops` against the real `sops` program, which Flux has built in.
//!
//! Needs Go, once, to build `tests/sops`.

use std::path::PathBuf;
use std::process::ExitCode;

#[path = "support/mod.rs"]
mod support;

use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::{Value, json};
use strandline::canonical;
use strandline::sops::{Identities, Recipients, digest_of, is_sealed, open, seal};
use support::program::Program;
use support::suite::{Outcome, skipped};
use support::{Context as _, Failure, Result, Unavailable, assets};
use tempfile::TempDir;
use zeroize::Zeroizing;

const DIGEST: &str = "hmac:0123456789abcdef0123456789abcdef";
const TIME: &str = "2024-05-06T07:08:09Z";
const RULE: &str = "^(data|stringData)$";

type Test = fn(&Bed) -> Result<()>;

fn main() -> ExitCode {
    let tests: [(&str, Test); 11] = [
        (
            "sops_decrypts_every_kind_of_value",
            sops_decrypts_every_kind_of_value,
        ),
        ("sops_decrypts_random_secrets", sops_decrypts_random_secrets),
        ("a_flaw_of_sops_is_still_there", a_flaw_of_sops),
        ("flux_decrypts_ours", flux_decrypts_ours),
        ("each_recipient_decrypts", each_recipient_decrypts),
        ("the_comment_survives", the_comment_survives),
        ("ours_is_rewritten_by_sops", ours_is_rewritten_by_sops),
        ("theirs_is_opened", theirs_is_opened),
        (
            "theirs_with_a_mac_of_encrypted_values_is_opened",
            theirs_with_a_narrow_mac_is_opened,
        ),
        ("what_sops_refuses_is_refused", what_sops_refuses_is_refused),
        (
            "numbers_that_sops_refuses_are_not_sealed",
            numbers_that_sops_refuses_are_not_sealed,
        ),
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::ignorable_test(name, move || -> Outcome {
            match Bed::new() {
                Ok(bed) => test(&bed)
                    .map(|()| Completion::Completed)
                    .map_err(Into::into),
                Err(Unavailable::Missing(reason)) => skipped(name, &reason),
                Err(Unavailable::Broken(failure)) => Err(failure.into()),
            }
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// The programs, a folder, and a fresh key pair.
struct Bed {
    programs: PathBuf,
    folder: TempDir,
    key_file: String,
    recipient: String,
}

impl Bed {
    fn new() -> Result<Self, Unavailable> {
        let programs = assets::sops()?;
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let (key_file, recipient) = key_pair(&programs)?;
        Ok(Self {
            programs,
            folder,
            key_file,
            recipient,
        })
    }

    /// `sops` in this folder, with this key and without anybody's configuration.
    fn sops(&self) -> Program {
        let folder = self.folder.path();
        Program::new(self.programs.join("sops"))
            .dir(folder)
            .env("HOME", folder)
            .env("SOPS_AGE_KEY", &self.key_file)
            .arg("--disable-version-check")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        std::fs::write(self.folder.path().join(name), content).context(name)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        std::fs::read(self.folder.path().join(name)).context(name)
    }

    /// `sops -d` of a file.
    fn decrypt(&self, file: &[u8]) -> Result<String> {
        self.write("sealed.yaml", file)?;
        self.sops().args(["-d", "sealed.yaml"]).run()?.success()
    }

    /// `sops -e` of a file, with further flags.
    fn encrypt(&self, file: &str, flags: &[&str]) -> Result<Vec<u8>> {
        self.write("plain.yaml", file)?;
        let args = ["-e", "--age", &self.recipient, "--encrypted-regex", RULE];
        let sops = self.sops().args(args).args(flags).arg("plain.yaml");
        Ok(sops.run()?.success()?.into_bytes())
    }

    fn seal(&self, value: &Value) -> Result<Vec<u8>> {
        seal_for(value, std::slice::from_ref(&self.recipient))
    }

    fn open(&self, file: &[u8]) -> Result<Value> {
        let identities = Identities::parse(&self.key_file).context("identities")?;
        open(file, &identities).context("cannot open")
    }

    /// Seals a value; `sops` and we must both find it in the file.
    fn round_trip(&self, value: &Value) -> Result<()> {
        let sealed = self.seal(value)?;
        expect_eq("ours opened", &self.open(&sealed)?, value)?;
        let plain = self.decrypt(&sealed)?;
        if !is_spoilt(value) {
            expect_eq("sops -d of ours", &read(&plain)?, value)?;
        }
        let sops = self.sops().args(["-d", "--output-type", "json"]);
        let plain = sops.arg("sealed.yaml").run()?.success()?;
        expect_eq("sops -d of ours in JSON", &read(&plain)?, value)
    }
}

/// Whether `sops`, which decrypts this well, prints other YAML than it decrypted (3.13.3, go.yaml.in/yaml
/// 3): for text of several lines that begins with a tab it prints null, for the key `<<` a merge
/// key. `a_flaw_of_sops` watches over it.
fn is_spoilt(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with('\t') && text.contains('\n'),
        Value::Array(items) => items.iter().any(is_spoilt),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key == "<<" || is_spoilt(&key.as_str().into()) || is_spoilt(value)),
        _ => false,
    }
}

fn seal_for(value: &Value, recipients: &[String]) -> Result<Vec<u8>> {
    let recipients = Recipients::parse(recipients).context("recipients")?;
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).context("randomness")?;
    seal(value, DIGEST, &recipients, TIME, random).context("cannot seal")
}

/// The text of an identity file, and its recipient.
fn key_pair(programs: &std::path::Path) -> Result<(String, String)> {
    let keygen = || Program::new(programs.join("age-keygen"));
    let key_file = keygen().run()?.success()?;
    let recipient = keygen()
        .arg("-y")
        .stdin(key_file.clone())
        .run()?
        .success()?;
    Ok((key_file, recipient.trim().to_owned()))
}

fn read(text: &str) -> Result<Value> {
    canonical::read(text.as_bytes()).context("cannot read what sops wrote")
}

fn expect(what: &str, holds: bool) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(format_args!("not so: {what}")))
    }
}

fn expect_eq(what: &str, left: &Value, right: &Value) -> Result<()> {
    let text = format!("{what}:\n{left:#}\nis not\n{right:#}");
    if left == right {
        Ok(())
    } else {
        Err(Failure::new(text))
    }
}

fn secret(data: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "data": data,
        "kind": "Secret",
        "metadata": { "name": "db", "namespace": "shop" },
        "type": "Opaque",
    })
}

/// Texts that some reader or writer of YAML stumbles over.
const NASTY: [&str; 60] = [
    "",
    " ",
    "~",
    "-",
    "---",
    "...",
    "- a",
    "? a",
    ": a",
    "a: b",
    "a #b",
    "#c",
    "!a",
    "&a",
    "*a",
    "|",
    ">",
    "%a",
    "@a",
    "`a`",
    "'",
    "\"",
    "it's",
    "\\n",
    "{}",
    "[]",
    "<<",
    "=",
    "y",
    "yes",
    "No",
    "on",
    "TRUE",
    "null",
    "NaN",
    ".inf",
    "0",
    "007",
    "0o7",
    "0x1F",
    "1_000",
    "1.0",
    "1e3",
    "-0",
    "1:30",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "é\u{a0}日本語😀",
    "\u{85}\u{2028}\u{feff}",
    "\u{1}\u{7f}",
    "a\tb",
    "\tx",
    "x\n",
    "x\n\n",
    "\nx",
    " x\ny",
    "x \ny",
    "x\r\ny\r\n",
    "a\n  b\n c\n",
    "ENC[AES256_GCM,data:YQ==]",
];

fn sops_decrypts_every_kind_of_value(bed: &Bed) -> Result<()> {
    let numbered = |prefix: &str| -> Value {
        let entries = NASTY.iter().enumerate();
        let entries = entries.map(|(at, text)| (format!("{prefix}{at}"), Value::from(*text)));
        Value::Object(entries.collect())
    };
    let keys = NASTY.iter().filter(|key| **key != "<<");
    let keys = keys.map(|key| ((*key).to_owned(), "value".into()));
    let mut value = secret(&numbered("k"));
    value["stringData"] = Value::Object(keys.collect());
    value["metadata"]["annotations"] = numbered("a");
    // A key that the rule covers where nobody expects it, and ones that only look like it.
    value["metadata"]["labels"] =
        json!({ "data": "covered", "stringData": "too", "mydata": "open", "Data": "open" });
    value["immutable"] = true.into();
    value["extra"] = json!({
        "numbers": [0, -1, i64::MAX, i64::MIN, 0.5, -2.5e-7, 1.5e300],
        "more": [null, true, false, [], {}, [[["deep"]]], { "a:b": { "c": [{ "d": "e" }] } }],
    });
    value["stringData"]["collections"] = value["extra"].clone();
    value["data"]["long"] = "x".repeat(1 << 20).into();
    expect("compared in YAML as well", !is_spoilt(&value))?;
    bed.round_trip(&value)?;
    bed.round_trip(&json!({ "data": {} }))?;
    bed.round_trip(&json!({ "stringData": null, "data": { "only": "" } }))
}

/// Of its own doing: when this fails, the exception in `is_spoilt` can go.
fn a_flaw_of_sops(bed: &Bed) -> Result<()> {
    for (text, printed) in [("\tx\ny", Value::Null), ("x\n\ty", "x\n\ty".into())] {
        let value = secret(&json!({ "a": text }));
        bed.round_trip(&value)?;
        let plain = read(&bed.decrypt(&bed.seal(&value)?)?)?;
        expect_eq("printed in YAML", &plain["data"]["a"], &printed)?;
    }
    let merge = json!({ "data": { "<<": "x" } });
    bed.round_trip(&merge)?;
    let plain = bed.decrypt(&bed.seal(&merge)?)?;
    expect("a key printed as a merge key", read(&plain).is_err())
}

#[expect(clippy::print_stdout, reason = "the seed of a failed run")]
fn sops_decrypts_random_secrets(bed: &Bed) -> Result<()> {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = |length: usize| -> String {
        (0..random.usize(..length))
            .map(|_| match random.u8(..8) {
                0 => random.char(..),
                1 => '\n',
                2 => random
                    .choice("\"'\\:#-, \t|>&*{}[]%@`!?=~".chars().collect::<Vec<_>>())
                    .unwrap_or(' '),
                _ => random.alphanumeric(),
            })
            .collect()
    };
    for _ in 0..40 {
        let mut map = |length| -> Value {
            let entries = (0..5).map(|at| (format!("{at}{}", text(8)), text(length).into()));
            Value::Object(entries.collect())
        };
        let mut value = secret(&map(200));
        value["stringData"] = map(60);
        value["metadata"]["annotations"] = map(60);
        bed.round_trip(&value)
            .map_err(|failure| Failure::new(format_args!("seed {seed}: {failure}")))?;
    }
    Ok(())
}

/// Flux's kustomize-controller makes JSON of a file, with sorted keys, and decrypts that:
/// <https://github.com/fluxcd/kustomize-controller/blob/main/internal/decryptor/decryptor.go>
/// (`DecryptResource`).
fn flux_decrypts_ours(bed: &Bed) -> Result<()> {
    let value = secret(&json!({ "password": "aHVudGVyMg==", "empty": "", "a": "eg==" }));
    let sealed = canonical::read(&bed.seal(&value)?).context("our file")?;
    bed.write("sealed.json", sealed.to_string())?;
    let args = [
        "-d",
        "--input-type",
        "json",
        "--output-type",
        "json",
        "sealed.json",
    ];
    let plain = bed.sops().args(args).run()?.success()?;
    expect_eq("decrypted", &read(&plain)?, &value)
}

fn each_recipient_decrypts(bed: &Bed) -> Result<()> {
    let (_, stranger) = key_pair(&bed.programs)?;
    let value = secret(&json!({ "password": "aHVudGVyMg==" }));
    for recipients in [
        [stranger.clone(), bed.recipient.clone()],
        [bed.recipient.clone(), stranger.clone()],
    ] {
        let sealed = seal_for(&value, &recipients)?;
        expect_eq("decrypted", &read(&bed.decrypt(&sealed)?)?, &value)?;
        expect_eq("opened", &bed.open(&sealed)?, &value)?;
    }
    let sealed = seal_for(&value, &[stranger])?;
    expect(
        "a stranger's file stays shut",
        bed.decrypt(&sealed).is_err(),
    )?;
    expect("for us as well", bed.open(&sealed).is_err())
}

fn the_comment_survives(bed: &Bed) -> Result<()> {
    let sealed = bed.seal(&secret(&json!({ "password": "aHVudGVyMg==" })))?;
    let plain = bed.decrypt(&sealed)?;
    expect(
        "sops -d keeps it",
        digest_of(plain.as_bytes()) == Some(DIGEST),
    )?;
    expect(
        "and what is decrypted is not sealed",
        !is_sealed(plain.as_bytes()),
    )
}

fn ours_is_rewritten_by_sops(bed: &Bed) -> Result<()> {
    let mut value = secret(&json!({ "b": "Yg==", "c": "Yw==" }));
    bed.write("ours.yaml", bed.seal(&value)?)?;
    // A change, then a key that comes last in the file and first in ours.
    for (place, text) in [(r#"["data"]["c"]"#, "bmV3"), (r#"["data"]["a"]"#, "YQ==")] {
        let args = ["set", "ours.yaml", place, &format!("\"{text}\"")];
        bed.sops().args(args).run()?.success()?;
    }
    value["data"] = json!({ "a": "YQ==", "b": "Yg==", "c": "bmV3" });
    let rewritten = bed.read("ours.yaml")?;
    let text = String::from_utf8_lossy(&rewritten);
    let positions = ["b: ENC", "c: ENC", "a: ENC"].map(|key| text.find(key));
    expect(
        "sops appends new keys",
        positions.is_sorted() && positions[0].is_some(),
    )?;
    expect(
        "still ours",
        is_sealed(&rewritten) && digest_of(&rewritten) == Some(DIGEST),
    )?;
    expect_eq("set by sops", &bed.open(&rewritten)?, &value)?;
    // A new data key.
    bed.sops()
        .args(["rotate", "-i", "ours.yaml"])
        .run()?
        .success()?;
    let rotated = bed.read("ours.yaml")?;
    expect("rotated", rotated != rewritten)?;
    expect_eq("rotated by sops", &bed.open(&rotated)?, &value)?;
    // An editor that changes a line, and leaves the rest as sops shows it.
    let edit = bed
        .sops()
        .env("SOPS_EDITOR", "sed -i s/bmV3/ZWRpdA==/")
        .args(["edit", "ours.yaml"]);
    edit.run()?.success()?;
    value["data"]["c"] = "ZWRpdA==".into();
    let edited = bed.read("ours.yaml")?;
    expect("still ours", is_sealed(&edited))?;
    expect_eq("edited by sops", &bed.open(&edited)?, &value)
}

/// As people write them: another order, comments in and out of the encrypted part, all styles.
const BY_HAND: &str = r#"# the shop's database
kind: Secret
apiVersion: v1
metadata:
    name: db # inline
    creationTimestamp: null
    annotations:
        z: "yes"
        when: "2024-01-01T00:00:00Z"
        data: covered
        script: |
            #!/bin/sh
            echo 'a: b'
    labels: {b: x, a: w}
    ownerReferences:
        - controller: true
          name: owner
        # a comment in a list
        - name: second
immutable: false
type: Opaque
extra:
    numbers: [1, -2, 1.5, 1e21, 0.000001, 1.0, 0644, 0x10]
stringData:
    # a comment that is encrypted
    zebra: "quoted: \"yes\"\n"
    apple: plain text # and an inline one
    empty: ""
    nothing:
    folded: >-
        one
        two
    port: 5432
    ratio: 0.25
    on-off: true
    list:
        - a
        - c: d
    date: 2024-01-01
    # the last word
data:
    b: Yg==
    a: |
        YQ==
"#;

fn by_hand() -> Result<Value> {
    let mut value = read(BY_HAND)?;
    // YAML 1.1 has a type for dates, JSON has not: Go writes the time.
    value["stringData"]["date"] = "2024-01-01T00:00:00Z".into();
    Ok(value)
}

fn theirs_is_opened(bed: &Bed) -> Result<()> {
    let encrypted = bed.encrypt(BY_HAND, &[])?;
    let text = String::from_utf8_lossy(&encrypted);
    expect(
        "encrypted comments are among them",
        text.contains("type:comment]"),
    )?;
    expect("dates are among them", text.contains("type:time]"))?;
    expect("no file of ours", !is_sealed(&encrypted))?;
    let mut opened = bed.open(&encrypted)?;
    // sops writes the open float 1.0 as 1.
    expect_eq("1.0", &opened["extra"]["numbers"][5], &1.into())?;
    opened["extra"]["numbers"][5] = 1.0.into();
    expect_eq("theirs", &opened, &by_hand()?)
}

fn theirs_with_a_narrow_mac_is_opened(bed: &Bed) -> Result<()> {
    let encrypted = bed.encrypt(BY_HAND, &["--mac-only-encrypted"])?;
    let opened = bed.open(&encrypted)?;
    expect_eq("values", &opened["stringData"], &by_hand()?["stringData"])?;
    let other = String::from_utf8_lossy(&encrypted).replace("type: Opaque", "type: other");
    expect_eq(
        "what is open may change",
        &bed.open(other.as_bytes())?["type"],
        &"other".into(),
    )
}

/// We are no laxer than `sops`.
fn what_sops_refuses_is_refused(bed: &Bed) -> Result<()> {
    let value = secret(&json!({ "password": "aHVudGVyMg==", "user": "YWRtaW4=" }));
    let sealed = canonical::read(&bed.seal(&value)?).context("our file")?;
    let user = &sealed["data"]["user"];
    let changes = [
        ("nothing", "data", "user", user.clone()),
        ("a value moved", "data", "password", user.clone()),
        ("a value emptied", "data", "user", "".into()),
        ("a value null", "data", "user", Value::Null),
        ("a value in plain", "data", "user", "YWRtaW4=".into()),
        ("a value more", "data", "more", user.clone()),
        ("an open value changed", "metadata", "name", "other".into()),
        (
            "another time",
            "sops",
            "lastmodified",
            "2024-05-06T07:08:10Z".into(),
        ),
        ("no MAC", "sops", "mac", "".into()),
    ];
    for (what, section, key, changed) in changes {
        let mut value = sealed.clone();
        value[section][key] = changed;
        let mut file = Vec::new();
        canonical::emit(&value, &mut file);
        let (theirs, ours) = (bed.decrypt(&file).is_ok(), bed.open(&file).is_ok());
        let verdicts = format!("{what}: sops takes it: {theirs}; we: {ours}");
        expect(
            &verdicts,
            (theirs, ours) == (what == "nothing", what == "nothing"),
        )?;
    }
    Ok(())
}

fn numbers_that_sops_refuses_are_not_sealed(bed: &Bed) -> Result<()> {
    let text = format!("kind: Secret\nspec:\n  n: {}\ndata:\n  a: eg==\n", u64::MAX);
    expect("sops refuses it", bed.encrypt(&text, &[]).is_err())?;
    expect("so do we", bed.seal(&read(&text)?).is_err())
}
