//! From settings to the rules that every command follows.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use super::Failure;
use crate::config::{RuleSettings, SecretValues, SecretsChoice};
use crate::filter::{RuleName, Rules, SecretMode, Selection, UserFile};
use crate::sops::{Recipients, SopsError};

/// Bytes of a file that are read: more than any file of rules may have.
const LONGEST: u64 = 4 << 20;

/// Rules that cannot be read, or that lack what they need.
#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error("filter {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("filter {} is a folder without *.yaml", path.display())]
    Empty { path: PathBuf },
    #[error("sopsRecipients: {0}")]
    Recipients(SopsError),
    #[error(
        "rule '{rule}' encrypts values (mode: sops): name at least one --sops-recipient age1…, or nobody could read them"
    )]
    NobodyReads { rule: RuleName },
}

/// The rules, and whom files are encrypted for where one of them says so.
pub(super) struct Ruling {
    pub(super) rules: Arc<Rules>,
    /// What they were put together from.
    pub(super) selection: Selection,
    pub(super) recipients: Option<Arc<Recipients>>,
}

impl Ruling {
    /// Reads the user's files and puts everything together; the one place that does.
    pub(super) fn read(settings: &RuleSettings) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for path in &settings.filters {
            let before = files.len();
            read(path, &mut files).map_err(|source| FilterError::Read {
                path: path.clone(),
                source,
            })?;
            if files.len() == before {
                return Err(FilterError::Empty { path: path.clone() }.into());
            }
        }
        let selection = Selection {
            files,
            presets: settings.presets.clone(),
            secrets: match settings.secrets {
                SecretValues::Plaintext => SecretMode::Plain,
                SecretValues::As(SecretsChoice::Digest) => SecretMode::Digest,
                SecretValues::As(SecretsChoice::Omit) => SecretMode::Omit,
                SecretValues::As(SecretsChoice::Sops) => SecretMode::Sops,
            },
            allow_plaintext: settings.allow_plaintext,
        };
        let rules = Rules::assemble(&selection)?;
        let recipients = if settings.recipients.is_empty() {
            None
        } else {
            let recipients = Recipients::parse(&settings.recipients);
            Some(Arc::new(recipients.map_err(FilterError::Recipients)?))
        };
        match (rules.seals(), &recipients) {
            (Some(rule), None) => {
                let rule = rule.clone();
                return Err(FilterError::NobodyReads { rule }.into());
            }
            (None, Some(_)) => warn!(
                "recipients are given, but nothing is encrypted: --secrets sops encrypts Secrets"
            ),
            _ => {}
        }
        Ok(Self {
            rules: Arc::new(rules),
            selection,
            recipients,
        })
    }
}

impl Ruling {
    /// Why a rule is; empty where no rule has this name.
    pub(super) fn reason(&self, rule: &RuleName) -> &str {
        self.rules.get(rule).map_or("", |rule| rule.reason)
    }
}

/// Reads a file, or the `*.yaml` of a folder in the order of their names.
fn read(path: &Path, files: &mut Vec<UserFile>) -> io::Result<()> {
    if !path.is_dir() {
        return read_file(path, files);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let found = entry?.path();
        let is_yaml = found.extension().is_some_and(|end| end == "yaml");
        // A mounted ConfigMap has its files behind links, beside hidden folders.
        let is_hidden = found
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden && found.is_file() {
            names.push(found);
        }
    }
    names.sort_unstable();
    names.iter().try_for_each(|name| read_file(name, files))
}

fn read_file(path: &Path, files: &mut Vec<UserFile>) -> io::Result<()> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(LONGEST)
        .read_to_string(&mut text)?;
    files.push(UserFile {
        name: path.display().to_string(),
        text,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(filters: &[&Path]) -> RuleSettings {
        RuleSettings {
            filters: filters.iter().map(|path| (*path).to_owned()).collect(),
            presets: Vec::new(),
            secrets: SecretValues::As(SecretsChoice::Digest),
            allow_plaintext: false,
            recipients: Vec::new(),
        }
    }

    fn names(ruling: &Ruling) -> Vec<String> {
        let rules = ruling.rules.iter();
        rules.map(|rule| rule.name.to_string()).collect()
    }

    fn rule(name: &str) -> String {
        format!("rules:\n- {{name: {name}, reason: r, prune: [spec.{name}]}}\n")
    }

    #[test]
    fn a_folder_is_its_yaml_files_in_the_order_of_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a"] {
            fs::write(dir.path().join(format!("{name}.yaml")), rule(name)).unwrap();
        }
        fs::write(dir.path().join(".hidden.yaml"), "broken").unwrap();
        fs::write(dir.path().join("README"), "no rules").unwrap();
        let ruling = Ruling::read(&settings(&[dir.path()])).unwrap();
        assert!(names(&ruling).ends_with(&["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = |path: &Path| match Ruling::read(&settings(&[path])) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("was read"),
        };
        assert!(error(dir.path()).contains("without *.yaml"));
        let missing = dir.path().join("gone.yaml");
        assert!(error(&missing).contains("gone.yaml cannot be read"));
        let broken = dir.path().join("broken.yaml");
        fs::write(&broken, "rules:\n- name: x\n  reason: r\n  dorp: true\n").unwrap();
        let text = error(&broken);
        assert!(text.contains("broken.yaml:4:3: rule 'x'"), "{text}");
        assert!(text.contains("did you mean 'drop'"), "{text}");
        let seals = dir.path().join("seals.yaml");
        let text = "rules:\n- name: mine\n  reason: r\n  match: {resources: [configmaps]}\n  redact: [{path: 'data[*]', mode: sops}]\n";
        fs::write(&seals, text).unwrap();
        let text = error(&seals);
        assert!(text.contains("rule 'mine' encrypts"), "{text}");
    }
}
