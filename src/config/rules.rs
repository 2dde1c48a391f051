//! Settings of everything that filters.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::file::ConfigFile;
use super::settings::ConfigError;

/// Which rules decide on what a file holds.
#[derive(Args, Clone, Debug, Default)]
pub struct RuleArgs {
    /// Rules of your own: a YAML file, or a folder of *.yaml; may be repeated, the later wins.
    #[arg(
        long = "filter",
        value_name = "FILE",
        env = "STRANDLINE_FILTER",
        value_delimiter = ',',
        help_heading = "Rules"
    )]
    pub filters: Vec<PathBuf>,
    /// Switch this preset on; may be repeated. `strandline explain --rules` lists them.
    #[arg(
        long = "preset",
        value_name = "NAME",
        env = "STRANDLINE_PRESET",
        value_delimiter = ',',
        help_heading = "Rules"
    )]
    pub presets: Vec<String>,
    /// Switch this preset off; may be repeated.
    #[arg(
        long = "no-preset",
        value_name = "NAME",
        env = "STRANDLINE_NO_PRESET",
        value_delimiter = ',',
        help_heading = "Rules"
    )]
    pub no_presets: Vec<String>,
    /// How values of Secrets are written [default: digest].
    #[arg(long, value_enum, env = "STRANDLINE_SECRETS", help_heading = "Rules")]
    pub secrets: Option<SecretsChoice>,
    /// Encrypt for this age recipient (age1…); may be repeated, needed where anything is sealed.
    #[arg(
        long = "sops-recipient",
        value_name = "AGE1…",
        env = "STRANDLINE_SOPS_RECIPIENT",
        value_delimiter = ',',
        help_heading = "Rules"
    )]
    pub sops_recipients: Vec<String>,
    /// Write values of Secrets into Git as they are. With --secrets: only those that a rule of
    /// your own says `mode: plain` of.
    #[arg(long, help_heading = "Rules")]
    pub write_secret_values_in_plaintext: bool,
}

/// How values of Secrets are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SecretsChoice {
    /// A keyed digest: a change shows, the value does not.
    Digest,
    /// A fixed text: not even a change shows.
    Omit,
    /// Encrypted, in files that the sops program decrypts.
    Sops,
}

/// How values of Secrets are written, what no name but one flag's asks for included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretValues {
    /// As chosen.
    As(SecretsChoice),
    /// As they are.
    Plaintext,
}

/// Which rules decide, validated as far as can be without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSettings {
    /// The user's files and folders; the later wins.
    pub filters: Vec<PathBuf>,
    /// Presets switched on or off; the later wins.
    pub presets: Vec<(String, bool)>,
    /// How values of Secrets are written.
    pub secrets: SecretValues,
    /// Whether a rule may say `mode: plain`.
    pub allow_plaintext: bool,
    /// Whom sealed files are encrypted for.
    pub recipients: Vec<String>,
}

impl RuleSettings {
    /// A list of flags stands for the file's whole list, but for presets: what a flag says of one
    /// stands for what the file says of it.
    pub(super) fn new(args: &RuleArgs, file: &ConfigFile) -> Result<Self, ConfigError> {
        let secrets = args.secrets.or(file.secrets);
        let plaintext = args.write_secret_values_in_plaintext;
        let recipients = or_file(&args.sops_recipients, &file.sops_recipients);
        if secrets == Some(SecretsChoice::Sops) && recipients.is_empty() {
            return Err(ConfigError::Value {
                setting: "secrets",
                value: "sops".to_owned(),
                reason: "nobody could read them: name at least one --sops-recipient age1…"
                    .to_owned(),
            });
        }
        let mut presets = switches(&file.presets, &file.no_presets)?;
        presets.extend(switches(&args.presets, &args.no_presets)?);
        Ok(Self {
            filters: or_file(&args.filters, &file.filters),
            presets,
            secrets: match secrets {
                None if plaintext => SecretValues::Plaintext,
                chosen => SecretValues::As(chosen.unwrap_or(SecretsChoice::Digest)),
            },
            allow_plaintext: plaintext,
            recipients,
        })
    }
}

fn or_file<T: Clone>(args: &[T], file: &[T]) -> Vec<T> {
    if args.is_empty() { file } else { args }.to_vec()
}

fn switches(on: &[String], off: &[String]) -> Result<Vec<(String, bool)>, ConfigError> {
    if let Some(both) = on.iter().find(|name| off.contains(name)) {
        return Err(ConfigError::Value {
            setting: "noPresets",
            value: both.clone(),
            reason: "the preset is switched on and off in one place".to_owned(),
        });
    }
    let on = on.iter().map(|name| (name.clone(), true));
    let off = off.iter().map(|name| (name.clone(), false));
    Ok(on.chain(off).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &RuleArgs, file: &str) -> Result<RuleSettings, ConfigError> {
        RuleSettings::new(args, &serde_yaml::from_str(file).unwrap())
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn flags_win_over_the_file_preset_by_preset() {
        let file = "filters: [a.yaml]\npresets: [flux]\nnoPresets: [helm]\nsecrets: omit\n";
        let args = RuleArgs {
            no_presets: texts(&["flux"]),
            ..RuleArgs::default()
        };
        let found = settings(&args, file).unwrap();
        assert_eq!(found.filters, [PathBuf::from("a.yaml")]);
        assert_eq!(found.secrets, SecretValues::As(SecretsChoice::Omit));
        let last = |name: &str| found.presets.iter().rfind(|(n, _)| n == name).unwrap().1;
        assert!(!last("flux") && !last("helm"));
        let args = RuleArgs {
            filters: vec![PathBuf::from("b.yaml")],
            presets: texts(&["helm"]),
            secrets: Some(SecretsChoice::Digest),
            ..RuleArgs::default()
        };
        let found = settings(&args, file).unwrap();
        assert_eq!(found.filters, [PathBuf::from("b.yaml")]);
        assert_eq!(found.secrets, SecretValues::As(SecretsChoice::Digest));
        assert!(found.presets.iter().rfind(|(n, _)| n == "helm").unwrap().1);
    }

    #[test]
    fn plaintext_is_one_flag_and_nothing_else() {
        let plain = RuleArgs {
            write_secret_values_in_plaintext: true,
            ..RuleArgs::default()
        };
        assert_eq!(
            settings(&plain, "{}").unwrap().secrets,
            SecretValues::Plaintext
        );
        // A mode that was chosen is not overruled: rules alone may say plain then.
        let found = settings(&plain, "secrets: omit\n").unwrap();
        assert_eq!(found.secrets, SecretValues::As(SecretsChoice::Omit));
        assert!(found.allow_plaintext);
        assert!(
            !settings(&RuleArgs::default(), "{}")
                .unwrap()
                .allow_plaintext
        );
        let file: Result<ConfigFile, _> = serde_yaml::from_str("secrets: plain\n");
        assert!(file.is_err(), "no file may say it");
    }

    #[test]
    fn sops_needs_a_recipient_and_a_preset_one_position() {
        let error = settings(&RuleArgs::default(), "secrets: sops\n").unwrap_err();
        assert!(error.to_string().contains("--sops-recipient"), "{error}");
        let both = "presets: [helm]\nnoPresets: [helm]\n";
        let error = settings(&RuleArgs::default(), both).unwrap_err();
        assert!(error.to_string().contains("on and off"), "{error}");
    }
}
