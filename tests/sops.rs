//! Files of the room `sops` against the real `sops` program.
//!
//! Needs Go, once, to build `tests/sops`.

use std::path::{Path, PathBuf};
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

/// What seals and opens, of ours and of theirs, with one fresh key pair.
struct Bed {
    programs: PathBuf,
    home: TempDir,
    recipient: String,
    key_file: String,
}

const DIGEST: &str = "hmac:0123456789abcdef0123456789abcdef";
const TIME: &str = "2024-05-06T07:08:09Z";

fn main() -> ExitCode {
    let tests: [(&str, fn(&Bed) -> Result<()>); 1] = [("sops_decrypts_ours", sops_decrypts_ours)];
    let mut args = Arguments::from_args();
    args.test_threads = Some(2);
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::ignorable_test(name, move || -> Outcome {
            match Bed::new() {
                Ok(bed) => {
                    test(&bed)?;
                    Ok(Completion::Completed)
                }
                Err(Unavailable::Missing(reason)) => skipped(name, &reason),
                Err(Unavailable::Broken(failure)) => Err(failure.into()),
            }
        })
    });
    libtest_mimic::run(&args, trials.collect()).exit_code()
}

impl Bed {
    fn new() -> Result<Self, Unavailable> {
        let programs = assets::sops()?;
        let home = tempfile::tempdir().context("cannot make a folder")?;
        let key_file = Program::new(programs.join("age-keygen")).run()?.success()?;
        let recipient = Program::new(programs.join("age-keygen"))
            .arg("-y")
            .stdin(key_file.clone())
            .run()?
            .success()?;
        Ok(Self {
            programs,
            home,
            recipient: recipient.trim().to_owned(),
            key_file,
        })
    }

    /// `sops` with this key pair's identity, no configuration, and this folder.
    fn sops(&self) -> Program {
        let home = self.home.path();
        Program::new(self.programs.join("sops"))
            .dir(home)
            .env("HOME", home)
            .env("SOPS_AGE_KEY", &self.key_file)
            .arg("--disable-version-check")
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).context(path.display())?;
        Ok(path)
    }

    fn seal(&self, value: &Value) -> Result<Vec<u8>> {
        let recipients = Recipients::parse(std::slice::from_ref(&self.recipient));
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|error| Failure::new(error))?;
        seal(
            value,
            DIGEST,
            &recipients.context("recipients")?,
            TIME,
            random,
        )
        .context("cannot seal")
    }

    fn open(&self, file: &[u8]) -> Result<Value> {
        let identities = Identities::parse(&self.key_file).context("identities")?;
        open(file, &identities).context("cannot open")
    }

    fn decrypt(&self, path: &Path) -> Result<String> {
        self.sops().arg("-d").arg(path).run()?.success()
    }
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop", "annotations": {"data": "x", "when": "2024-01-01"}},
        "immutable": true,
        "data": {"a": "aGFsbG8=", "empty": "", "z": "eg==", "null": null},
        "stringData": {"text": "1.0", "n": 5, "f": 1.5, "b": false, "list": ["a", {"c": "d"}]},
        "type": "Opaque",
    })
}

fn sops_decrypts_ours(bed: &Bed) -> Result<()> {
    let sealed = bed.seal(&secret())?;
    println!("{}", String::from_utf8_lossy(&sealed));
    let path = bed.write("ours.yaml", &sealed)?;
    let plain = bed.decrypt(&path)?;
    println!("{plain}");
    let value = canonical::read(plain.as_bytes()).context("theirs")?;
    assert_eq!(value, secret());
    assert_eq!(bed.open(&sealed)?, secret());
    assert!(is_sealed(&sealed) && digest_of(&sealed) == Some(DIGEST));
    Ok(())
}
