//! The command line, as given.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, Resettable};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use super::drift::{DesiredArgs, DriftArgs};
use super::explain::{CanonicalizeArgs, ExplainArgs};
use super::rules::RuleArgs;
use super::settings::{ListModeChoice, Switch};

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  drift found
  2  usage, configuration or run-time error
  3  incomplete: something could not be evaluated";

const EXAMPLES: &str = "\
Examples:
  strandline demo                                  see it work, without a cluster
  strandline snapshot                              record the current context once
  strandline record --remote git@example.com:ops/cluster.git
                                                   record it from now on, and push";

/// Writes what a Kubernetes cluster really is into Git.
#[derive(Debug, Parser)]
#[command(name = "strandline", version, max_term_width = 100, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options that every command has.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl Cli {
    /// Parses this process's arguments and environment, where an empty variable is as good as
    /// none: a manifest or compose file cannot always leave it out.
    pub fn parse_process() -> Result<Self, clap::Error> {
        fn skip_empty(command: clap::Command) -> clap::Command {
            command
                .mut_args(|arg| {
                    let empty = arg
                        .get_env()
                        .and_then(std::env::var_os)
                        .is_some_and(|value| value.is_empty());
                    if empty {
                        arg.env(Resettable::Reset)
                    } else {
                        arg
                    }
                })
                .mut_subcommands(skip_empty)
        }
        let mut command = skip_empty(Self::command());
        Self::from_arg_matches(&command.try_get_matches_from_mut(std::env::args_os())?)
            .and_then(Self::check_format)
            .map_err(|error| error.format(&mut command))
    }

    /// Every command has text and JSON; reports alone have more.
    fn check_format(self) -> Result<Self, clap::Error> {
        let is_common = matches!(self.output.output, OutputFormat::Text | OutputFormat::Json);
        if is_common || matches!(self.command, Command::Drift(_)) {
            return Ok(self);
        }
        Err(clap::Error::raw(
            clap::error::ErrorKind::ArgumentConflict,
            "this format is of reports: only `strandline drift` has it",
        ))
    }
}

/// One file per subcommand in `cli/`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record the cluster into a Git repository until stopped.
    Record(Box<RecordArgs>),
    /// Record the cluster once: one complete sync, one commit, one push.
    Snapshot(Box<SnapshotArgs>),
    /// Check configuration, cluster, rights, remote and git; change nothing.
    Check(Box<CheckArgs>),
    /// Put back what a mirror holds: print manifests, or --apply them to a cluster.
    Restore(Box<RestoreArgs>),
    /// Show what is live and not desired, and the reverse, and which program wrote it.
    Drift(Box<DriftArgs>),
    /// Show why an object's file is what it is, what is dropped in a cluster, or all rules.
    Explain(Box<ExplainArgs>),
    /// Print what the mirror would hold of objects in YAML or JSON; asks no cluster.
    Canonicalize(Box<CanonicalizeArgs>),
    /// Show what it does, with a simulated cluster: needs no Kubernetes.
    Demo(DemoArgs),
    /// Print the completion script of a shell.
    #[command(after_help = "Example:\n  source <(strandline completions bash)")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// How to talk to the person or program that started us.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// What standard output holds.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "STRANDLINE_OUTPUT"
    )]
    pub output: OutputFormat,
    /// What the log on standard error looks like.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "STRANDLINE_LOG_FORMAT"
    )]
    pub log_format: LogFormat,
    /// Colour: on a terminal that wants it, always, or never. `NO_COLOR` is honoured.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "STRANDLINE_COLOR"
    )]
    pub color: ColorChoice,
    /// Log more; twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "STRANDLINE_VERBOSE")]
    pub verbose: u8,
    /// Log warnings and errors only, and show no progress.
    #[arg(short, long, global = true, env = "STRANDLINE_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}

/// Format of standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document, or one per line where a command goes on.
    Json,
    /// For a pull request's comment; `drift` alone.
    Markdown,
    /// SARIF 2.1.0, for code scanning; `drift` alone.
    Sarif,
    /// The XML of test reports in CI systems; `drift` alone.
    Junit,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// Which cluster is talked to.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// This kubeconfig, and no other.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_KUBECONFIG",
        help_heading = "Cluster"
    )]
    pub kubeconfig: Option<PathBuf>,
    /// This context of the kubeconfig.
    #[arg(
        long,
        value_name = "NAME",
        env = "STRANDLINE_CONTEXT",
        help_heading = "Cluster"
    )]
    pub context: Option<String>,
}

/// Where the cluster is, and where its mirror goes.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// Read further settings from this YAML file.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Option<PathBuf>,

    /// The bare Git repository of the mirror, created if absent [default: ./strandline.git#main].
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
    /// File with the key of the Secrets' digests [default: strandline.key in the repository].
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_DIGEST_KEY_FILE",
        help_heading = "Mirror"
    )]
    pub digest_key_file: Option<PathBuf>,
    /// Identifies the cluster where the uid of namespace kube-system cannot be read.
    #[arg(
        long,
        value_name = "ID",
        env = "STRANDLINE_CLUSTER_ID",
        help_heading = "Mirror"
    )]
    pub cluster_id: Option<String>,
    /// Take over a branch that holds files but no .strandline.yaml; foreign files are left alone.
    #[arg(long, env = "STRANDLINE_ADOPT", value_parser = FalseyValueParser::new(), help_heading = "Mirror")]
    pub adopt: bool,
    /// Name of the commits' author [default: Strandline].
    #[arg(
        long,
        value_name = "NAME",
        env = "STRANDLINE_AUTHOR_NAME",
        help_heading = "Mirror"
    )]
    pub author_name: Option<String>,
    /// Address of the commits' author.
    #[arg(
        long,
        help = "Address of the commits' author [default: strandline@localhost]",
        value_name = "ADDRESS",
        env = "STRANDLINE_AUTHOR_EMAIL",
        help_heading = "Mirror"
    )]
    pub author_email: Option<String>,

    /// Push the branch to this remote: https, ssh or a path.
    #[arg(
        long,
        value_name = "URL",
        env = "STRANDLINE_REMOTE",
        help_heading = "Remote"
    )]
    pub remote: Option<String>,
    /// Option for the remote's receiving side, such as ci.skip; may be repeated.
    #[arg(
        long = "push-option",
        value_name = "OPTION",
        env = "STRANDLINE_PUSH_OPTION",
        value_delimiter = ',',
        help_heading = "Remote"
    )]
    pub push_options: Vec<String>,
    /// File with the token or password for an https remote; read at every push.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_TOKEN_FILE",
        help_heading = "Remote"
    )]
    pub token_file: Option<PathBuf>,
    /// Git credential helper to ask, as in credential.helper.
    #[arg(
        long,
        value_name = "NAME",
        env = "STRANDLINE_CREDENTIAL_HELPER",
        conflicts_with = "token_file",
        help_heading = "Remote"
    )]
    pub credential_helper: Option<String>,
    /// How long one fetch or push may take [default: 2m].
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_REMOTE_TIMEOUT", value_parser = duration, help_heading = "Remote")]
    pub remote_timeout: Option<Duration>,

    /// Where on the remote the refs of the sidecar go; below refs/heads/ where it takes branches
    /// alone.
    #[arg(
        long,
        help = "Where on the remote the refs of the sidecar go [default: refs/strandline]",
        value_name = "PREFIX",
        env = "STRANDLINE_SIDECAR_REFS",
        help_heading = "Remote"
    )]
    pub sidecar_refs: Option<String>,

    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Read this namespace only, with rights in it alone; may be repeated.
    #[arg(
        short,
        long = "namespace",
        value_name = "NS",
        env = "STRANDLINE_NAMESPACE",
        value_delimiter = ',',
        help_heading = "Cluster"
    )]
    pub namespaces: Vec<String>,
    /// How complete lists are read [default: pages].
    #[arg(
        long,
        value_enum,
        env = "STRANDLINE_LIST_MODE",
        help_heading = "Cluster"
    )]
    pub list_mode: Option<ListModeChoice>,
    /// A type from which nothing has come for this long is unknown [default: 60s].
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_SYNC_TIMEOUT", value_parser = duration, help_heading = "Cluster")]
    pub sync_timeout: Option<Duration>,

    /// What is left out.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Flags of `record`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  strandline record --context prod --repository /var/lib/strandline/prod.git
  strandline record --remote https://git.example.com/ops/prod.git --token-file /run/secrets/token
  strandline record -n shop -n payments --cluster-id prod --dry-run
  strandline record --drift --desired shop=../git@main:apps/shop")]
pub struct RecordArgs {
    /// Where from and where to.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Commit when no change has come for this long [default: 2s].
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_QUIET_PERIOD", value_parser = duration, help_heading = "Batches")]
    pub quiet_period: Option<Duration>,
    /// Commit when the oldest change is this old, whatever still comes [default: 15s].
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_MAX_AGE", value_parser = duration, help_heading = "Batches")]
    pub max_age: Option<Duration>,
    /// Commit when this many objects wait [default: 10000].
    #[arg(long, value_name = "N", env = "STRANDLINE_MAX_BATCH", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Batches")]
    pub max_batch: Option<u32>,
    /// Push at most once in this time [default: 10s].
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_PUSH_INTERVAL", value_parser = duration, help_heading = "Remote")]
    pub push_interval: Option<Duration>,
    /// Sample objects that keep changing, instead of committing each change [default: on].
    #[arg(long, value_enum, env = "STRANDLINE_DAMPING", help_heading = "Batches")]
    pub damping: Option<Switch>,
    /// Compare what is live with what is desired, whenever either changes; the report goes to
    /// refs/strandline/drift.
    #[arg(long, env = "STRANDLINE_DRIFT", value_parser = FalseyValueParser::new(), help_heading = "Drift")]
    pub drift: bool,
    /// Read what is desired again after this long [default: 5m].
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_DRIFT_INTERVAL", value_parser = duration, help_heading = "Drift")]
    pub drift_interval: Option<Duration>,
    /// What is desired, and by whom it is deployed.
    #[command(flatten)]
    pub wanted: DesiredArgs,
    /// List what would be written, and write nothing.
    #[arg(long, env = "STRANDLINE_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
}

/// Flags of `snapshot`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  strandline snapshot --context prod
  strandline snapshot --remote git@git.example.com:ops/prod.git -o json
  strandline snapshot --dry-run

Exits 0 when everything was read, 3 when something is unknown, 2 when a commit or push failed.")]
pub struct SnapshotArgs {
    /// Where from and where to.
    #[command(flatten)]
    pub source: SourceArgs,
    /// List what would be written, and write nothing.
    #[arg(long, env = "STRANDLINE_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
}

/// Flags of `check`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Example:
  strandline check --context prod --remote git@git.example.com:ops/prod.git")]
pub struct CheckArgs {
    /// Where from and where to.
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Flags of `restore`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  strandline restore --at HEAD~2 deployment/web -n shop
                                        print one manifest as it was two commits ago
  strandline restore -n shop | kubectl create -f -
                                        create what a namespace held
  strandline restore --at 2026-11-17T09:00Z -n shop --apply --context prod
                                        show a plan, ask, create what is absent
  strandline restore --repository https://git.example.com/ops/prod.git --apply --context dr --yes

Nothing live is ever deleted; what is live and differs is left, unless --update.
Exits 0 when all is done, 3 when something that was asked for could not be restored (failed,
needs a value that the mirror does not hold, is not served, fields that never change), 2 on errors.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct RestoreArgs {
    /// Restore these objects only: deployment/web, deploy/web, deployments.apps/web.
    #[arg(value_name = "KIND/NAME")]
    pub objects: Vec<String>,

    /// The mirror: a bare repository, or the URL of one [default: ./strandline.git#main].
    #[arg(
        long,
        value_name = "REPO[#BRANCH]",
        env = "STRANDLINE_REPOSITORY",
        help_heading = "Mirror"
    )]
    pub repository: Option<String>,
    /// Directory in the repository below which the cluster's files lie.
    #[arg(
        long,
        value_name = "P",
        env = "STRANDLINE_PREFIX",
        help_heading = "Mirror"
    )]
    pub prefix: Option<String>,
    /// Restore from this revision (HEAD~2, a commit, a tag) or time (2026-11-17T09:00Z, UTC).
    #[arg(
        long,
        value_name = "REV|TIME",
        env = "STRANDLINE_AT",
        help_heading = "Mirror"
    )]
    pub at: Option<String>,
    /// File with age identities that open sealed Secrets; may be repeated.
    #[arg(
        long = "identity",
        value_name = "FILE",
        env = "STRANDLINE_IDENTITY",
        value_delimiter = ',',
        help_heading = "Mirror"
    )]
    pub identities: Vec<PathBuf>,
    /// File with the token or password for an https URL.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_TOKEN_FILE",
        help_heading = "Mirror"
    )]
    pub token_file: Option<PathBuf>,
    /// Git credential helper to ask, as in credential.helper.
    #[arg(
        long,
        value_name = "NAME",
        env = "STRANDLINE_CREDENTIAL_HELPER",
        conflicts_with = "token_file",
        help_heading = "Mirror"
    )]
    pub credential_helper: Option<String>,

    /// Restore this namespace only, with what is in it; may be repeated.
    #[arg(
        short,
        long = "namespace",
        value_name = "NS",
        env = "STRANDLINE_NAMESPACE",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub namespaces: Vec<String>,
    /// Restore objects with these labels only.
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        env = "STRANDLINE_SELECTOR",
        help_heading = "Selection"
    )]
    pub selector: Option<String>,
    /// Restore Jobs too: they run at once, also those that had run.
    #[arg(long, env = "STRANDLINE_INCLUDE_JOBS", value_parser = FalseyValueParser::new(), help_heading = "Selection")]
    pub include_jobs: bool,
    /// Restore what a controller owns too, which would make it again by itself.
    #[arg(long, env = "STRANDLINE_INCLUDE_OWNED", value_parser = FalseyValueParser::new(), help_heading = "Selection")]
    pub include_owned: bool,
    /// Restore what Argo CD, Flux or Helm deploy too.
    #[arg(long, env = "STRANDLINE_INCLUDE_MANAGED", value_parser = FalseyValueParser::new(), help_heading = "Selection")]
    pub include_managed: bool,

    /// Write to a cluster instead of printing manifests; shows a plan and asks first.
    #[arg(long, help_heading = "Cluster")]
    pub apply: bool,
    /// Do not ask.
    #[arg(long, requires = "apply", help_heading = "Cluster")]
    pub yes: bool,
    /// Let the API server check everything, and write nothing.
    #[arg(
        long,
        value_enum,
        value_name = "WHERE",
        requires = "apply",
        env = "STRANDLINE_RESTORE_DRY_RUN",
        help_heading = "Cluster"
    )]
    pub dry_run: Option<DryRunChoice>,
    /// Change what is live and differs, by server-side apply.
    #[arg(long, env = "STRANDLINE_UPDATE", value_parser = FalseyValueParser::new(), help_heading = "Cluster")]
    pub update: bool,
    /// How long to wait for a CRD to be Established, and for a conversion webhook [default: 1m].
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_WAIT", value_parser = duration, help_heading = "Cluster")]
    pub wait: Option<Duration>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Who checks a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRunChoice {
    /// The API server, admission and webhooks included.
    Server,
}

/// Flags of `demo`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:
  strandline demo && git -C strandline-demo.git log --stat")]
pub struct DemoArgs {
    /// Where to put the demo's repository; one that an earlier demo made is replaced.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "./strandline-demo.git",
        env = "STRANDLINE_DEMO_REPOSITORY"
    )]
    pub repository: PathBuf,
    /// Another seed tells another story.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        env = "STRANDLINE_DEMO_SEED"
    )]
    pub seed: u64,
}

/// `500ms`, `2s`, `1m 30s`, `1h`; as `jiff` reads durations.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    super::settings::parse_duration(text)
}
