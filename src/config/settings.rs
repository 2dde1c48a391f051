//! Validated settings.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

use super::args::{CheckArgs, RecordArgs, SnapshotArgs, SourceArgs};
use super::drift::RecordDrift;
use super::file::{self, ConfigFile};
use super::rules::RuleSettings;
use crate::object::{Prefix, PrefixError};

/// A configuration that cannot be used. Each error names the setting and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file of `--config`.
    #[error("configuration file {} cannot be read: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not YAML, or not ours.
    #[error("configuration file {} is not valid: {reason}", path.display())]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A value that a setting cannot have.
    #[error("{setting} cannot be '{}': {reason}", value.escape_debug())]
    Value {
        /// The setting, as in the file.
        setting: &'static str,
        /// What it was given.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// A prefix that cannot be one.
    #[error("prefix: {0}")]
    Prefix(PrefixError),
    /// A token in the remote's URL.
    #[error(
        "the remote's URL holds a password; it would end up in logs and process lists: give it in a file with --token-file, or name a --credential-helper"
    )]
    PasswordInUrl,
}

/// A bare repository and a branch in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The repository's directory.
    pub path: PathBuf,
    /// The branch's name, without `refs/heads/`.
    pub branch: String,
}

/// Who the remote is told we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Whatever ssh and git find by themselves.
    Ambient,
    /// A file, read at every push.
    TokenFile(PathBuf),
    /// The value of `STRANDLINE_TOKEN`.
    Token(Token),
    /// A credential helper, by the name that git knows it by.
    Helper(String),
}

/// A secret from the environment. Has no text form.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where and how to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Its URL or path.
    pub url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Passed on to the receiving side.
    pub push_options: Vec<String>,
    /// The least time between two pushes.
    pub push_interval: Duration,
    /// How long one fetch or push may take.
    pub timeout: Duration,
    /// What the names of the sidecar's refs on it begin with.
    pub sidecar_refs: String,
}

/// Author and committer of our commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

/// How complete lists are read.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ListModeChoice {
    /// LIST in pages.
    Pages,
    /// WATCH with initial events; pages where the server cannot.
    WatchList,
}

/// On or off.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// On.
    #[default]
    On,
    /// Off.
    Off,
}

/// Everything that `record`, `snapshot` and `check` need, validated.
#[derive(Clone, Debug)]
pub struct RecordSettings {
    /// The mirror.
    pub repository: Repository,
    /// Below which its files lie.
    pub prefix: Prefix,
    /// The remote, where there is one.
    pub remote: Option<RemoteSettings>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// The files of `KUBECONFIG`, or `~/.kube/config`.
    pub kubeconfig_search: Vec<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// Namespaces; the whole cluster where empty.
    pub namespaces: Vec<String>,
    /// The digest key's file.
    pub digest_key_file: Option<PathBuf>,
    /// Stands in for the uid of `kube-system`.
    pub cluster_id: Option<String>,
    /// Take over a branch without `.strandline.yaml`.
    pub adopt: bool,
    /// Author of commits.
    pub author: Author,
    /// How complete lists are read.
    pub list_mode: ListModeChoice,
    /// When a silent type is unknown.
    pub sync_timeout: Duration,
    /// When a batch closes.
    pub quiet_period: Duration,
    /// … at the latest.
    pub max_age: Duration,
    /// … at this size.
    pub max_batch: usize,
    /// Whether objects that keep changing are sampled.
    pub damping: Switch,
    /// Which rules decide on what a file holds.
    pub rules: RuleSettings,
    /// Write nothing.
    pub dry_run: bool,
    /// What is compared beside it; nothing where `None`.
    pub drift: Option<Box<RecordDrift>>,
}

pub(super) const DEFAULT_REPOSITORY: &str = "./strandline.git#main";

impl RecordSettings {
    /// Settings of `record`.
    pub fn for_record(args: &RecordArgs) -> Result<Self, ConfigError> {
        let file = file::read(args.source.config.as_deref())?;
        let mut settings = Self::new(&args.source, &file, args.push_interval)?;
        settings.dry_run = args.dry_run;
        if let Some(damping) = args.damping {
            settings.damping = damping;
        }
        if let Some(quiet_period) = args.quiet_period.map_or_else(
            || in_file("quietPeriod", file.quiet_period.as_ref()),
            |d| Ok(Some(d)),
        )? {
            settings.quiet_period = quiet_period;
        }
        if let Some(max_age) = args
            .max_age
            .map_or_else(|| in_file("maxAge", file.max_age.as_ref()), |d| Ok(Some(d)))?
        {
            settings.max_age = max_age;
        }
        if let Some(max_batch) = args.max_batch.or(file.max_batch) {
            settings.max_batch = max_batch as usize;
        }
        if settings.max_batch == 0 {
            return Err(ConfigError::Value {
                setting: "maxBatch",
                value: "0".to_owned(),
                reason: "a batch holds at least one object".to_owned(),
            });
        }
        settings.drift = RecordDrift::new(args, &file, &settings)?;
        Ok(settings)
    }

    /// Settings of `snapshot`.
    pub fn for_snapshot(args: &SnapshotArgs) -> Result<Self, ConfigError> {
        Self::for_record(&RecordArgs {
            source: args.source.clone(),
            dry_run: args.dry_run,
            ..RecordArgs::default()
        })
    }

    /// Settings of `check`: all that `record` would read from the file, so that a mistake in any
    /// of it is found.
    pub fn for_check(args: &CheckArgs) -> Result<Self, ConfigError> {
        Self::for_record(&RecordArgs {
            source: args.source.clone(),
            ..RecordArgs::default()
        })
    }

    pub(super) fn new(
        args: &SourceArgs,
        file: &ConfigFile,
        push_interval: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        let repository = args.repository.as_ref().or(file.repository.as_ref());
        let prefix = args.prefix.as_ref().or(file.prefix.as_ref());
        let namespaces = if args.namespaces.is_empty() {
            &file.namespaces
        } else {
            &args.namespaces
        };
        let mut namespaces = namespaces.clone();
        namespaces.sort();
        namespaces.dedup();
        for namespace in &namespaces {
            check_namespace(namespace)?;
        }
        let sync_timeout = args.sync_timeout.map_or_else(
            || in_file("syncTimeout", file.sync_timeout.as_ref()),
            |d| Ok(Some(d)),
        )?;
        Ok(Self {
            repository: Repository::parse(repository.map_or(DEFAULT_REPOSITORY, String::as_str))?,
            prefix: Prefix::new(prefix.map_or("", String::as_str)).map_err(ConfigError::Prefix)?,
            remote: remote(args, file, push_interval)?,
            kubeconfig: args
                .cluster
                .kubeconfig
                .clone()
                .or_else(|| file.kubeconfig.clone()),
            kubeconfig_search: kubeconfig_search(),
            context: args
                .cluster
                .context
                .clone()
                .or_else(|| file.context.clone()),
            namespaces,
            digest_key_file: args
                .digest_key_file
                .clone()
                .or_else(|| file.digest_key_file.clone()),
            cluster_id: args.cluster_id.clone().or_else(|| file.cluster_id.clone()),
            adopt: args.adopt,
            author: Author {
                name: author_part(
                    "authorName",
                    args.author_name.as_ref().or(file.author_name.as_ref()),
                    "Strandline",
                )?,
                email: author_part(
                    "authorEmail",
                    args.author_email.as_ref().or(file.author_email.as_ref()),
                    "strandline@localhost",
                )?,
            },
            list_mode: args
                .list_mode
                .or(file.list_mode)
                .unwrap_or(ListModeChoice::Pages),
            sync_timeout: sync_timeout.unwrap_or(Duration::from_secs(60)),
            quiet_period: Duration::from_secs(2),
            max_age: Duration::from_secs(15),
            max_batch: 10_000,
            damping: file.damping.unwrap_or_default(),
            rules: RuleSettings::new(&args.rules, file)?,
            dry_run: false,
            drift: None,
        })
    }
}

impl Repository {
    /// Takes apart `PATH[#BRANCH]`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (path, branch) = text.rsplit_once('#').unwrap_or((text, "main"));
        let error = |reason: &str| ConfigError::Value {
            setting: "repository",
            value: text.to_owned(),
            reason: reason.to_owned(),
        };
        if path.is_empty() {
            return Err(error("give a path before the '#'"));
        }
        if !is_branch_name(branch) {
            return Err(error(
                "what follows the '#' is not a branch name (git check-ref-format)",
            ));
        }
        Ok(Self {
            path: PathBuf::from(path),
            branch: branch.to_owned(),
        })
    }
}

/// The rules of <https://git-scm.com/docs/git-check-ref-format>.
pub(super) fn is_branch_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c) || c == '\u{7f}';
    !name.is_empty()
        && name != "@"
        && name != "HEAD"
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && Path::new(part)
                    .extension()
                    .is_none_or(|extension| extension != "lock")
        })
}

/// A DNS label: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>.
pub(super) fn check_namespace(name: &str) -> Result<(), ConfigError> {
    let label = !name.is_empty()
        && name.len() <= 63
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if label {
        return Ok(());
    }
    Err(ConfigError::Value {
        setting: "namespaces",
        value: name.to_owned(),
        reason: "not the name of a namespace".to_owned(),
    })
}

fn author_part(
    setting: &'static str,
    given: Option<&String>,
    default: &str,
) -> Result<String, ConfigError> {
    let value = given.map_or(default, String::as_str);
    if value.trim().is_empty() || value.contains(['<', '>', '\n', '\0']) {
        return Err(ConfigError::Value {
            setting,
            value: value.to_owned(),
            reason: "Git allows neither '<', '>' nor a line break in it".to_owned(),
        });
    }
    Ok(value.trim().to_owned())
}

fn remote(
    args: &SourceArgs,
    file: &ConfigFile,
    push_interval: Option<Duration>,
) -> Result<Option<RemoteSettings>, ConfigError> {
    let Some(url) = args.remote.clone().or_else(|| file.remote.clone()) else {
        return Ok(None);
    };
    if url.starts_with('-') || url.trim().is_empty() {
        return Err(ConfigError::Value {
            setting: "remote",
            value: url,
            reason: "not a URL or path".to_owned(),
        });
    }
    check_url(&url)?;
    let given = args.token_file.is_some() || args.credential_helper.is_some();
    let token_file = args
        .token_file
        .clone()
        .or_else(|| file.token_file.clone().filter(|_| !given));
    let helper = args
        .credential_helper
        .clone()
        .or_else(|| file.credential_helper.clone().filter(|_| !given));
    let credentials = credentials(token_file, helper);
    let push_options = if args.push_options.is_empty() {
        &file.push_options
    } else {
        &args.push_options
    };
    let push_interval = push_interval.map_or_else(
        || in_file("pushInterval", file.push_interval.as_ref()),
        |d| Ok(Some(d)),
    )?;
    let timeout = args.remote_timeout.map_or_else(
        || in_file("remoteTimeout", file.remote_timeout.as_ref()),
        |d| Ok(Some(d)),
    )?;
    Ok(Some(RemoteSettings {
        url,
        credentials,
        push_options: push_options.clone(),
        push_interval: push_interval.unwrap_or(Duration::from_secs(10)),
        timeout: timeout.unwrap_or(Duration::from_secs(120)),
        sidecar_refs: sidecar_refs(args.sidecar_refs.as_ref().or(file.sidecar_refs.as_ref()))?,
    }))
}

/// Where the sidecar's refs go unless it is said.
const DEFAULT_SIDECAR_REFS: &str = "refs/strandline";

/// What the names of the sidecar's refs begin with.
pub(super) fn sidecar_refs(given: Option<&String>) -> Result<String, ConfigError> {
    let prefix = given.map_or(DEFAULT_SIDECAR_REFS, |text| text.trim_end_matches('/'));
    let rest = prefix.strip_prefix("refs/").unwrap_or_default();
    // `refs/heads` itself would take the names of the user's branches.
    if !is_branch_name(rest) || matches!(rest, "heads" | "tags" | "remotes" | "notes") {
        return Err(ConfigError::Value {
            setting: "sidecarRefs",
            value: prefix.to_owned(),
            reason: "not the beginning of refs' names, such as refs/heads/strandline".to_owned(),
        });
    }
    Ok(prefix.to_owned())
}

/// A password in a URL would end up in logs and process lists.
pub(super) fn check_url(url: &str) -> Result<(), ConfigError> {
    if let Some((_, rest)) = url.split_once("://")
        && let Some((user, _)) = rest.split('/').next().unwrap_or_default().rsplit_once('@')
        && user.contains(':')
    {
        return Err(ConfigError::PasswordInUrl);
    }
    Ok(())
}

/// Who the remote is told we are: a file before a helper before `STRANDLINE_TOKEN`.
pub(super) fn credentials(token_file: Option<PathBuf>, helper: Option<String>) -> Credentials {
    if let Some(path) = token_file {
        Credentials::TokenFile(path)
    } else if let Some(name) = helper {
        Credentials::Helper(name)
    } else if let Some(token) = env::var("STRANDLINE_TOKEN")
        .ok()
        .filter(|token| !token.is_empty())
    {
        Credentials::Token(Token(token))
    } else {
        Credentials::Ambient
    }
}

/// As kubectl looks for it:
/// <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>.
pub(super) fn kubeconfig_search() -> Vec<PathBuf> {
    if let Some(list) = env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
    }
    env::home_dir()
        .map(|home| home.join(".kube").join("config"))
        .into_iter()
        .collect()
}

/// Whether the environment asks for no colour: <https://no-color.org>, and terminals without it.
pub fn wants_no_color() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|value| value == "dumb")
}

pub(super) fn in_file(
    setting: &'static str,
    value: Option<&String>,
) -> Result<Option<Duration>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    parse_duration(value)
        .map(Some)
        .map_err(|reason| ConfigError::Value {
            setting,
            value: value.clone(),
            reason,
        })
}

/// Reads `500ms`, `2s`, `1m 30s`, `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "not a duration such as 500ms, 2s or 1m 30s".to_owned())?;
    Duration::try_from(duration).map_err(|_| "a duration cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn record(args: &[&str]) -> Result<RecordSettings, ConfigError> {
        let args = ["strandline", "record"].iter().chain(args);
        let cli = super::super::args::Cli::try_parse_from(args).unwrap();
        let super::super::args::Command::Record(args) = cli.command else {
            panic!("record")
        };
        RecordSettings::for_record(&args)
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yaml");
        std::fs::write(&path, "quietPeriod: 7s\nmaxAge: 1m\nnamespaces: [b, a]\n").unwrap();
        let path = path.to_str().unwrap();
        let settings = record(&["--config", path, "--quiet-period", "300ms"]).unwrap();
        assert_eq!(settings.quiet_period, Duration::from_millis(300));
        assert_eq!(settings.max_age, Duration::from_secs(60));
        assert_eq!(settings.max_batch, 10_000);
        assert_eq!(settings.namespaces, ["a", "b"]);
        assert_eq!(settings.damping, Switch::On);
        let off = dir.path().join("off.yaml");
        std::fs::write(&off, "damping: off\n").unwrap();
        let off = off.to_str().unwrap();
        assert_eq!(record(&["--config", off]).unwrap().damping, Switch::Off);
        let on = record(&["--config", off, "--damping", "on"]).unwrap();
        assert_eq!(on.damping, Switch::On);
    }

    #[test]
    fn mistakes_in_the_file_name_file_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yaml");
        for (text, expected) in [
            ("quietPeriode: 7s\n", "quietPeriode"),
            ("quietPeriod: soon\n", "quietPeriod cannot be 'soon'"),
            ("namespaces: [A]\n", "namespaces cannot be 'A'"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = record(&["--config", path.to_str().unwrap()])
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn check_finds_a_mistake_in_what_only_record_uses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yaml");
        std::fs::write(&path, "maxAge: soon\n").unwrap();
        let args = CheckArgs {
            source: SourceArgs {
                config: Some(path),
                ..SourceArgs::default()
            },
        };
        let error = RecordSettings::for_check(&args).unwrap_err().to_string();
        assert!(error.contains("maxAge cannot be 'soon'"), "{error}");
    }

    #[test]
    fn repositories_and_branches() {
        let repository = Repository::parse("/a/b.git#clusters/prod").unwrap();
        assert_eq!(repository.path, Path::new("/a/b.git"));
        assert_eq!(repository.branch, "clusters/prod");
        assert_eq!(Repository::parse("x.git").unwrap().branch, "main");
        for bad in [
            "#main", "x#", "x#a..b", "x#.a", "x#a.lock", "x#a b", "x#-a", "x#a/",
        ] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_shown() {
        let error = record(&["--remote", "https://me:hunter2@git.example.com/x"]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(record(&["--remote", "ssh://git@git.example.com:22/x"]).is_ok());
        assert!(record(&["--remote", "git@git.example.com:x"]).is_ok());
    }
}
