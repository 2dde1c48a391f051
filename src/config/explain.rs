//! Flags and settings of `explain` and `canonicalize`.

use std::path::PathBuf;

use clap::Args;

use super::args::{ClusterArgs, SourceArgs};
use super::file;
use super::rules::RuleArgs;
use super::settings::{ConfigError, RecordSettings};

/// Flags of `explain`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  strandline explain deployment/web -n shop       each line that is removed or changed, and why
  kubectl get secret db -o yaml | strandline explain -f -
  strandline explain --dropped                    what is not recorded, by rule, with counts
  strandline explain --rules                      every rule and preset, and whether it is on

Values that a rule keeps out of Git are masked. In a file nobody knows who wrote which field, nor
which workloads an autoscaler scales: what is kept because it was asked for shows as removed.
Exits 3 when --dropped could not read everything.")]
pub struct ExplainArgs {
    /// Explain this live object: deployment/web, deployments.apps/web.
    #[arg(value_name = "KIND/NAME", required_unless_present_any = ["file", "dropped", "rules_only"], conflicts_with_all = ["file", "dropped", "rules_only"])]
    pub object: Option<String>,
    /// Explain the objects of this file, or of standard input (-), without a cluster.
    #[arg(short, long, value_name = "FILE|-", conflicts_with_all = ["dropped", "rules_only"])]
    pub file: Option<PathBuf>,
    /// List what is not recorded in the whole cluster, by rule, and paths of rules that are in no
    /// object.
    #[arg(long, conflicts_with = "rules_only")]
    pub dropped: bool,
    /// List all rules and presets, each with its reason.
    #[arg(long = "rules")]
    pub rules_only: bool,

    /// Read further settings from this YAML file.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Option<PathBuf>,
    /// The mirror, for what the last commit of the object says [default: ./strandline.git#main].
    #[arg(
        long,
        value_name = "PATH[#BRANCH]",
        env = "STRANDLINE_REPOSITORY",
        help_heading = "Mirror"
    )]
    pub repository: Option<String>,
    /// Directory in the repository below which this cluster's files lie.
    #[arg(
        long,
        value_name = "P",
        env = "STRANDLINE_PREFIX",
        help_heading = "Mirror"
    )]
    pub prefix: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The object's namespace; with --dropped, look at this namespace only.
    #[arg(
        short,
        long = "namespace",
        value_name = "NS",
        env = "STRANDLINE_NAMESPACE",
        value_delimiter = ',',
        help_heading = "Cluster"
    )]
    pub namespaces: Vec<String>,
    /// What is left out.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Flags of `canonicalize`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  kubectl get deployment web -o yaml | strandline canonicalize
  strandline canonicalize -f manifests.yaml --digest-key-file /var/lib/strandline/prod.git/strandline.key

Without --digest-key-file digests are zeros: a key of its own would give other digests each time.")]
pub struct CanonicalizeArgs {
    /// Read this file instead of standard input (-).
    #[arg(short, long, value_name = "FILE|-")]
    pub file: Option<PathBuf>,
    /// Read further settings from this YAML file.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Option<PathBuf>,
    /// File with the key of the Secrets' digests [default: strandline.key in the repository].
    #[arg(
        long,
        help = "File with the key of the Secrets' digests; without it digests are zeros",
        value_name = "FILE",
        env = "STRANDLINE_DIGEST_KEY_FILE",
        help_heading = "Mirror"
    )]
    pub digest_key_file: Option<PathBuf>,
    /// What is left out.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// What `explain` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    /// A live object: its type as a person names it, and its name.
    Live {
        /// Kind, resource or short name, perhaps with its group.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The objects of a file; of standard input where it is `-`.
    File(PathBuf),
    /// What is dropped in the whole cluster.
    Dropped,
    /// The rules themselves.
    Rules,
}

/// Settings of `explain`.
#[derive(Clone, Debug)]
pub struct ExplainSettings {
    /// What is asked for.
    pub explained: Explained,
    /// Where the cluster and its mirror are, and the rules.
    pub source: RecordSettings,
}

impl ExplainSettings {
    /// Validates the flags.
    pub fn new(args: &ExplainArgs) -> Result<Self, ConfigError> {
        let explained = match (&args.object, &args.file) {
            (Some(object), _) => {
                let (kind, name) = object
                    .split_once('/')
                    .filter(|(kind, name)| !kind.is_empty() && !name.is_empty())
                    .ok_or_else(|| ConfigError::Value {
                        setting: "object",
                        value: object.clone(),
                        reason: "expected KIND/NAME, such as deployment/web".to_owned(),
                    })?;
                Explained::Live {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                }
            }
            (None, Some(file)) => Explained::File(file.clone()),
            (None, None) if args.dropped => Explained::Dropped,
            (None, None) => Explained::Rules,
        };
        let source = SourceArgs {
            config: args.config.clone(),
            repository: args.repository.clone(),
            prefix: args.prefix.clone(),
            cluster: args.cluster.clone(),
            namespaces: args.namespaces.clone(),
            rules: args.rules.clone(),
            ..SourceArgs::default()
        };
        Ok(Self {
            explained,
            source: settings(&source)?,
        })
    }
}

impl RecordSettings {
    /// Settings of `canonicalize`.
    pub fn for_canonicalize(args: &CanonicalizeArgs) -> Result<Self, ConfigError> {
        settings(&SourceArgs {
            config: args.config.clone(),
            digest_key_file: args.digest_key_file.clone(),
            rules: args.rules.clone(),
            ..SourceArgs::default()
        })
    }
}

fn settings(source: &SourceArgs) -> Result<RecordSettings, ConfigError> {
    let file = file::read(source.config.as_deref())?;
    RecordSettings::new(source, &file, None)
}
