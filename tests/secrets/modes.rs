//! How values can be written, and with which flags.

use std::path::{Path, PathBuf};

use crate::mirror::Mirror;
use crate::support::plane::ControlPlane;
use crate::support::program::Program;
use crate::support::suite::{Outcome, skipped};
use crate::support::{Context as _, Result, Unavailable, assets};

/// The user's rules, for values that lie in no Secret.
const RULES: &str = r#"rules:
- name: settings
  reason: passwords that an application wants in its ConfigMap
  match: {apiGroups: [""], resources: [configmaps], names: ["settings-*"]}
  redact:
  - path: data[*]
  - path: binaryData[*]
    encoding: base64
- name: engine-credentials
  reason: credentials of engines
  match: {apiGroups: [vault.example.com], resources: [engines]}
  redact:
  - path: spec.credentials[*]
"#;

/// How values of Secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Digest,
    Omit,
    Sops,
    Plain,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Omit => "omit",
            Self::Sops => "sops",
            Self::Plain => "plain",
        }
    }
}

/// A mode, ready to be recorded in.
pub(crate) struct Bed<'a> {
    pub(crate) plane: &'a ControlPlane,
    pub(crate) mode: Mode,
    age: Option<Age>,
    folder: tempfile::TempDir,
}

/// The real `sops`, and a key pair.
struct Age {
    programs: PathBuf,
    key_file: String,
    recipient: String,
}

/// Runs a test in a mode; without the bed that the mode needs it is skipped loudly.
pub(crate) fn with(
    plane: &ControlPlane,
    mode: Mode,
    test: impl FnOnce(&Bed<'_>) -> Result<()>,
) -> Outcome {
    match Bed::new(plane, mode) {
        Ok(bed) => {
            test(&bed)?;
            Ok(libtest_mimic::Completion::Completed)
        }
        Err(Unavailable::Missing(reason)) => skipped(mode.name(), &reason),
        Err(Unavailable::Broken(failure)) => Err(failure.into()),
    }
}

impl<'a> Bed<'a> {
    fn new(plane: &'a ControlPlane, mode: Mode) -> Result<Self, Unavailable> {
        let age = match mode {
            Mode::Sops => Some(Age::new()?),
            Mode::Digest | Mode::Omit | Mode::Plain => None,
        };
        let folder = tempfile::tempdir().context("a folder")?;
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).context(name);
        write("rules.yaml", RULES)?;
        if let Some(age) = &age {
            write("identity.txt", &age.key_file)?;
        }
        Ok(Self {
            plane,
            mode,
            age,
            folder,
        })
    }

    pub(crate) fn mirror(&self) -> Result<Mirror> {
        Mirror::new(self.plane)
    }

    /// The flags of whatever filters.
    pub(crate) fn args(&self) -> Vec<String> {
        let mut args = vec!["--filter".to_owned(), self.file("rules.yaml")];
        match (self.mode, &self.age) {
            (Mode::Digest, _) => {}
            (Mode::Plain, _) => args.push("--write-secret-values-in-plaintext".to_owned()),
            (mode, age) => {
                args.extend(["--secrets".to_owned(), mode.name().to_owned()]);
                if let Some(age) = age {
                    args.extend(["--sops-recipient".to_owned(), age.recipient.clone()]);
                }
            }
        }
        args
    }

    /// The flags that open what is sealed.
    pub(crate) fn identity(&self) -> Vec<String> {
        match self.age {
            Some(_) => vec!["--identity".to_owned(), self.file("identity.txt")],
            None => Vec::new(),
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `sops -d` of a file; `None` in the other modes.
    pub(crate) fn decrypt(&self, file: &Path) -> Option<Program> {
        let age = self.age.as_ref()?;
        let sops = Program::new(age.programs.join("sops"))
            .dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("SOPS_AGE_KEY", &age.key_file)
            .args(["--disable-version-check", "-d", "--output-type", "json"])
            .arg(file);
        Some(sops)
    }
}

impl Age {
    fn new() -> Result<Self, Unavailable> {
        let programs = assets::sops()?;
        let keygen = || Program::new(programs.join("age-keygen"));
        let key_file = keygen().run()?.success()?;
        let recipient = keygen().arg("-y").stdin(key_file.clone()).run()?;
        Ok(Self {
            recipient: recipient.success()?.trim().to_owned(),
            key_file,
            programs,
        })
    }
}
