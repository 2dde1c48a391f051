//! Flags and settings of `drift`.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::args::{ClusterArgs, RecordArgs, duration};
use super::file::{self, ConfigFile};
use super::restore::{Place, mirror_place};
use super::rules::{RuleArgs, RuleSettings};
use super::settings::{
    ConfigError, Credentials, RecordSettings, check_namespace, credentials, in_file,
    is_branch_name, kubeconfig_search,
};
use crate::object::Prefix;

/// Where the sidecar's refs lie, unless configured.
const SIDECAR_REFS: &str = "refs/strandline";

/// What fails by default: everything that somebody should look at.
const FAIL_ON: [FailOn; 6] = [
    FailOn::Changed,
    FailOn::Removed,
    FailOn::Added,
    FailOn::Dropped,
    FailOn::Missing,
    FailOn::Extra,
];

/// What is desired, and by whom it is deployed: flags of `drift` and of `record --drift`.
#[derive(Args, Clone, Debug, Default)]
pub struct DesiredArgs {
    /// What is desired: a folder, a file, - for standard input, REPO@REF:PATH, or auto; may be
    /// repeated; the variable has one per line [default: auto].
    #[arg(
        long,
        value_name = "[NAME=]SOURCE",
        env = "STRANDLINE_DESIRED",
        value_delimiter = '\n',
        help_heading = "Desired"
    )]
    pub desired: Vec<String>,
    /// The namespace of manifests that name none.
    #[arg(
        long,
        value_name = "NS",
        env = "STRANDLINE_DEFAULT_NAMESPACE",
        help_heading = "Desired"
    )]
    pub default_namespace: Option<String>,
    /// Let kustomize and helm render sources that are not this machine's own files too: that runs
    /// what they say.
    #[arg(long, env = "STRANDLINE_RENDER", value_parser = FalseyValueParser::new(), help_heading = "Desired")]
    pub render: bool,
    /// A field manager that deploys what is desired, beside those that are known; may be repeated.
    #[arg(
        long = "deployer",
        value_name = "MANAGER",
        env = "STRANDLINE_DEPLOYER",
        value_delimiter = ',',
        help_heading = "Rules"
    )]
    pub deployers: Vec<String>,
    /// More deployers, trusted controllers and tools of people: a YAML file.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_MANAGERS",
        help_heading = "Rules"
    )]
    pub managers: Option<PathBuf>,
    /// Drift that is accepted: a YAML file; may be repeated. An accept.yaml beside the desired
    /// files is read too.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_ACCEPT",
        value_delimiter = ',',
        help_heading = "Rules"
    )]
    pub accept: Vec<PathBuf>,
}

/// Flags of `drift`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Examples:
  strandline drift                                what Argo CD, Flux and Helm in the cluster ask for
  strandline drift --desired ./manifests -n shop  a folder against one namespace
  strandline drift --desired shop=../git@main:apps/shop --desired ./platform
                                                  a branch of a repository, and a folder
  strandline drift --mirror https://git.example.com/ops/prod.git --stale-after 15m -o markdown
                                                  in CI, without credentials of the cluster
  strandline drift --desired ./manifests --accept-template > accept.yaml
                                                  accept what there is; then write down why

A manager is the name of a program, not of a person.
Exits 0 without drift, 1 where something of --fail-on was found, 2 on errors, 3 when something
could not be evaluated, whatever else was found: an incomplete report is never \"no drift\", and
its drift may not be all.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct DriftArgs {
    /// Read further settings from this YAML file.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_CONFIG",
        help_heading = "Configuration"
    )]
    pub config: Option<PathBuf>,

    /// What is desired, and by whom it is deployed.
    #[command(flatten)]
    pub wanted: DesiredArgs,

    /// Compare with this mirror instead of a cluster: a bare repository, or the URL of one.
    #[arg(
        long,
        value_name = "REPO[#BRANCH]",
        env = "STRANDLINE_MIRROR",
        conflicts_with_all = ["kubeconfig", "context"],
        help_heading = "Mirror"
    )]
    pub mirror: Option<String>,
    /// Directory in the repository below which the cluster's files lie.
    #[arg(
        long,
        value_name = "P",
        env = "STRANDLINE_PREFIX",
        help_heading = "Mirror"
    )]
    pub prefix: Option<String>,
    /// A mirror whose recorder has not been heard of for this long is unknown: exit 3.
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_STALE_AFTER", value_parser = duration, help_heading = "Mirror")]
    pub stale_after: Option<Duration>,
    /// Where the recorder's other refs lie, where a forge takes none of its own
    /// [default: refs/strandline].
    #[arg(
        long,
        value_name = "REFS",
        env = "STRANDLINE_SIDECAR_REFS",
        help_heading = "Mirror"
    )]
    pub sidecar_refs: Option<String>,
    /// File with the key of the Secrets' digests: compares their values too.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_DIGEST_KEY_FILE",
        help_heading = "Mirror"
    )]
    pub digest_key_file: Option<PathBuf>,
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

    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Look again at what drifted after this long, and report what still does: rollouts settle.
    #[arg(long, value_name = "DURATION", env = "STRANDLINE_SETTLE", value_parser = duration, help_heading = "Cluster")]
    pub settle: Option<Duration>,

    /// Compare this namespace only; may be repeated.
    #[arg(
        short,
        long = "namespace",
        value_name = "NS",
        env = "STRANDLINE_NAMESPACE",
        value_delimiter = ',',
        conflicts_with = "all_namespaces",
        help_heading = "Selection"
    )]
    pub namespaces: Vec<String>,
    /// Compare the whole cluster, as without -n; says so against a configuration file.
    #[arg(short = 'A', long, env = "STRANDLINE_ALL_NAMESPACES", value_parser = FalseyValueParser::new(), help_heading = "Selection")]
    pub all_namespaces: bool,
    /// Compare objects with these labels only.
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        env = "STRANDLINE_SELECTOR",
        help_heading = "Selection"
    )]
    pub selector: Option<String>,

    /// Use the built-in defaults of this version of Kubernetes [default: the server's].
    #[arg(
        long = "defaults",
        value_name = "1.MINOR",
        env = "STRANDLINE_DEFAULTS",
        value_parser = minor,
        help_heading = "Rules"
    )]
    pub defaults: Option<u32>,
    /// What is left out.
    #[command(flatten)]
    pub rules: RuleArgs,

    /// Exit 1 for these [default: changed,removed,added,dropped,missing,extra].
    #[arg(
        long,
        value_enum,
        value_name = "CLASS",
        env = "STRANDLINE_FAIL_ON",
        value_delimiter = ',',
        help_heading = "Report"
    )]
    pub fail_on: Vec<FailOn>,
    /// Write the report to this file.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRANDLINE_OUTPUT_FILE",
        help_heading = "Report"
    )]
    pub output_file: Option<PathBuf>,
    /// List what rules hide, each with its rule.
    #[arg(long, env = "STRANDLINE_SHOW_IGNORED", value_parser = FalseyValueParser::new(), help_heading = "Report")]
    pub show_ignored: bool,
    /// List objects that are in sync too.
    #[arg(long, env = "STRANDLINE_SHOW_IN_SYNC", value_parser = FalseyValueParser::new(), help_heading = "Report")]
    pub show_in_sync: bool,
    /// Print an accept file for all that was found, instead of the report.
    #[arg(long, env = "STRANDLINE_ACCEPT_TEMPLATE", value_parser = FalseyValueParser::new(), help_heading = "Report")]
    pub accept_template: bool,
}

/// What makes the command exit with 1. What could not be evaluated is none of these: it always
/// exits with 3.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FailOn {
    /// A field that both sides have, with other values.
    Changed,
    /// A desired field that is not live.
    Removed,
    /// A live field that nobody desires, not the deployer's.
    Added,
    /// A desired field that the server's schema does not know.
    Dropped,
    /// A live field that Git no longer has and the deployer still owns.
    PendingRemoval,
    /// A change in Git that is not applied yet.
    Pending,
    /// A desired object that is not live.
    Missing,
    /// A live object that no source knows.
    Extra,
    /// Nothing: drift is reported and exits 0.
    None,
}

/// The live side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveSide {
    /// A cluster.
    Cluster {
        /// `--kubeconfig`.
        kubeconfig: Option<PathBuf>,
        /// The files of `KUBECONFIG`, or `~/.kube/config`.
        search: Vec<PathBuf>,
        /// `--context`.
        context: Option<String>,
    },
    /// A mirror alone.
    Mirror {
        /// Where it is.
        place: Place,
        /// Its branch, without `refs/heads/`.
        branch: String,
        /// Who a URL's server is told we are.
        credentials: Credentials,
    },
}

/// Everything that `drift` needs, validated.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct DriftSettings {
    /// `[NAME=]SOURCE`s as given; `auto` where none is.
    pub desired: Vec<String>,
    /// The namespace of manifests that name none.
    pub default_namespace: Option<String>,
    /// Whether untrusted sources may be rendered.
    pub render: bool,
    /// The live side.
    pub live: LiveSide,
    /// Below which the mirror's files lie.
    pub prefix: Prefix,
    /// When a mirror is too old to be believed; never where `None`.
    pub stale_after: Option<Duration>,
    /// Below which the sidecar's refs lie: `refs/strandline`, without a slash at the end.
    pub sidecar_refs: String,
    /// The digest key's file.
    pub digest_key_file: Option<PathBuf>,
    /// How long to wait before drift counts; not at all where `None`.
    pub settle: Option<Duration>,
    /// Namespaces, sorted; the whole cluster where empty.
    pub namespaces: Vec<String>,
    /// Label selector, as given.
    pub selector: Option<String>,
    /// Managers that deploy, beside the known ones.
    pub deployers: Vec<String>,
    /// A file with more managers.
    pub managers: Option<PathBuf>,
    /// Files of accept rules.
    pub accept: Vec<PathBuf>,
    /// Minor version of the tables of defaults; the server's where `None`.
    pub defaults: Option<u32>,
    /// Which rules decide on what is compared.
    pub rules: RuleSettings,
    /// What exits with 1, sorted; nothing where empty.
    pub fail_on: Vec<FailOn>,
    /// Where the report goes; standard output where `None`.
    pub output_file: Option<PathBuf>,
    /// `--show-ignored`.
    pub show_ignored: bool,
    /// `--show-in-sync`.
    pub show_in_sync: bool,
    /// `--accept-template`.
    pub accept_template: bool,
    /// Where a repository may be put for a while.
    pub temporary: PathBuf,
}

impl DriftSettings {
    /// Reads the configuration file, where one is named, and validates.
    pub fn new(args: &DriftArgs) -> Result<Self, ConfigError> {
        let file = file::read(args.config.as_deref())?;
        Self::from_file(args, &file)
    }

    fn from_file(args: &DriftArgs, file: &ConfigFile) -> Result<Self, ConfigError> {
        let namespaces = if args.all_namespaces {
            Vec::new()
        } else {
            or_file(&args.namespaces, &file.namespaces)
        };
        let mut desired = or_file(&args.wanted.desired, &file.desired);
        desired.retain(|source| !source.trim().is_empty());
        if desired.is_empty() {
            desired.push("auto".to_owned());
        }
        if let Some(namespace) = &args.wanted.default_namespace {
            check_namespace(namespace)?;
        }
        let prefix = args.prefix.as_ref().or(file.prefix.as_ref());
        let stale_after = in_file("staleAfter", file.stale_after.as_ref())?;
        Ok(Self {
            desired,
            default_namespace: args.wanted.default_namespace.clone(),
            render: args.wanted.render,
            live: live_side(args, file)?,
            prefix: Prefix::new(prefix.map_or("", String::as_str)).map_err(ConfigError::Prefix)?,
            stale_after: args.stale_after.or(stale_after),
            sidecar_refs: sidecar_refs(args.sidecar_refs.as_ref().or(file.sidecar_refs.as_ref()))?,
            digest_key_file: args
                .digest_key_file
                .clone()
                .or_else(|| file.digest_key_file.clone()),
            settle: args.settle,
            namespaces: sorted_namespaces(namespaces)?,
            selector: args.selector.clone(),
            deployers: deployers(or_file(&args.wanted.deployers, &file.deployers))?,
            managers: args
                .wanted
                .managers
                .clone()
                .or_else(|| file.managers.clone()),
            accept: or_file(&args.wanted.accept, &file.accept),
            defaults: args.defaults,
            rules: RuleSettings::new(&args.rules, file)?,
            fail_on: fail_on(or_file(&args.fail_on, &file.fail_on))?,
            output_file: args.output_file.clone(),
            show_ignored: args.show_ignored,
            show_in_sync: args.show_in_sync,
            accept_template: args.accept_template,
            temporary: env::temp_dir(),
        })
    }
}

/// What `record --drift` compares.
#[derive(Clone, Debug)]
pub struct RecordDrift {
    /// As `drift` would compare the mirror alone; its live side is not read.
    pub settings: DriftSettings,
    /// So often the desired side is read again.
    pub interval: Duration,
}

/// So often the desired side is read again, unless configured.
const INTERVAL: Duration = Duration::from_secs(300);

impl RecordDrift {
    /// `None` where nothing is to be compared.
    pub(super) fn new(
        args: &RecordArgs,
        file: &ConfigFile,
        recorded: &RecordSettings,
    ) -> Result<Option<Box<Self>>, ConfigError> {
        if !args.drift && !file.drift {
            if let Some(desired) = args.wanted.desired.first() {
                return Err(ConfigError::Value {
                    setting: "desired",
                    value: desired.clone(),
                    reason: "nothing is compared without --drift".to_owned(),
                });
            }
            return Ok(None);
        }
        let given = DriftArgs {
            wanted: args.wanted.clone(),
            ..DriftArgs::default()
        };
        let settings = DriftSettings {
            prefix: recorded.prefix.clone(),
            sidecar_refs: SIDECAR_REFS.to_owned(),
            namespaces: recorded.namespaces.clone(),
            rules: recorded.rules.clone(),
            stale_after: None,
            digest_key_file: None,
            ..DriftSettings::from_file(&given, file)?
        };
        let is_stdin = |source: &&String| *source == "-" || source.ends_with("=-");
        if let Some(source) = settings.desired.iter().find(is_stdin) {
            return Err(ConfigError::Value {
                setting: "desired",
                value: source.clone(),
                reason: "standard input can be read once only; name a file".to_owned(),
            });
        }
        let interval = in_file("driftInterval", file.drift_interval.as_ref())?;
        let interval = args.drift_interval.or(interval).unwrap_or(INTERVAL);
        if interval.is_zero() {
            return Err(ConfigError::Value {
                setting: "driftInterval",
                value: "0s".to_owned(),
                reason: "the desired side cannot be read without a pause".to_owned(),
            });
        }
        Ok(Some(Box::new(Self { settings, interval })))
    }
}

fn or_file<T: Clone>(args: &[T], file: &[T]) -> Vec<T> {
    if args.is_empty() { file } else { args }.to_vec()
}

/// A mirror that a flag names wins over a cluster that the file names.
fn live_side(args: &DriftArgs, file: &ConfigFile) -> Result<LiveSide, ConfigError> {
    let Some(mirror) = &args.mirror else {
        return Ok(LiveSide::Cluster {
            kubeconfig: args
                .cluster
                .kubeconfig
                .clone()
                .or_else(|| file.kubeconfig.clone()),
            search: kubeconfig_search(),
            context: args
                .cluster
                .context
                .clone()
                .or_else(|| file.context.clone()),
        });
    };
    let given = args.token_file.is_some() || args.credential_helper.is_some();
    let token_file = file.token_file.clone().filter(|_| !given);
    let helper = file.credential_helper.clone().filter(|_| !given);
    let (place, branch) = mirror_place("mirror", mirror)?;
    Ok(LiveSide::Mirror {
        place,
        branch,
        credentials: credentials(
            args.token_file.clone().or(token_file),
            args.credential_helper.clone().or(helper),
        ),
    })
}

fn sorted_namespaces(mut namespaces: Vec<String>) -> Result<Vec<String>, ConfigError> {
    namespaces.sort();
    namespaces.dedup();
    for namespace in &namespaces {
        check_namespace(namespace)?;
    }
    Ok(namespaces)
}

/// Below `refs/`, and what can be part of a ref's name.
fn sidecar_refs(given: Option<&String>) -> Result<String, ConfigError> {
    let Some(given) = given else {
        return Ok(SIDECAR_REFS.to_owned());
    };
    let refs = given.trim_end_matches('/');
    if refs.strip_prefix("refs/").is_some_and(is_branch_name) {
        return Ok(refs.to_owned());
    }
    Err(ConfigError::Value {
        setting: "sidecarRefs",
        value: given.clone(),
        reason: "not the beginning of refs' names, such as refs/heads/strandline".to_owned(),
    })
}

/// The server takes managers of 128 printable characters:
/// <https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/apis/meta/v1/validation/validation.go>.
fn deployers(names: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let wrong = |name: &&String| {
        let length = name.chars().count();
        length == 0 || length > 128 || name.chars().any(char::is_control)
    };
    if let Some(name) = names.iter().find(wrong) {
        return Err(ConfigError::Value {
            setting: "deployers",
            value: name.clone(),
            reason: "a field manager's name has 1 to 128 printable characters".to_owned(),
        });
    }
    Ok(names)
}

fn fail_on(mut given: Vec<FailOn>) -> Result<Vec<FailOn>, ConfigError> {
    if given.is_empty() {
        return Ok(FAIL_ON.to_vec());
    }
    given.sort_unstable();
    given.dedup();
    if given.contains(&FailOn::None) {
        if given.len() > 1 {
            return Err(ConfigError::Value {
                setting: "failOn",
                value: "none".to_owned(),
                reason: "it stands alone".to_owned(),
            });
        }
        given.clear();
    }
    Ok(given)
}

/// `1.36`, or `v1.36.3`.
fn minor(text: &str) -> Result<u32, String> {
    let version = text.strip_prefix('v').unwrap_or(text);
    let minor = version.strip_prefix("1.").and_then(|rest| {
        let (minor, patch) = rest.split_once('.').unwrap_or((rest, "0"));
        patch.parse::<u32>().ok()?;
        minor.parse().ok()
    });
    minor.ok_or_else(|| "not a version of Kubernetes such as 1.36".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::args::{Cli, Command};
    use super::*;
    use clap::Parser as _;

    fn parse(args: &[&str]) -> Result<DriftArgs, clap::Error> {
        let args = ["strandline", "drift"].iter().chain(args);
        let Command::Drift(args) = Cli::try_parse_from(args)?.command else {
            panic!("drift")
        };
        Ok(*args)
    }

    fn settings(args: &[&str]) -> Result<DriftSettings, ConfigError> {
        DriftSettings::new(&parse(args).unwrap())
    }

    #[test]
    fn without_flags_it_is_auto_and_the_whole_cluster() {
        let found = settings(&[]).unwrap();
        assert_eq!(found.desired, ["auto"]);
        assert!(found.namespaces.is_empty());
        assert!(matches!(found.live, LiveSide::Cluster { .. }));
        assert_eq!(found.sidecar_refs, "refs/strandline");
        assert_eq!(found.fail_on, FAIL_ON);
        assert_eq!((found.stale_after, found.defaults), (None, None));
    }

    #[test]
    fn a_mirror_stands_for_a_cluster_and_not_beside_one() {
        let found = settings(&["--mirror", "/a/m.git#prod", "--stale-after", "15m"]).unwrap();
        let LiveSide::Mirror { place, branch, .. } = found.live else {
            panic!("a mirror")
        };
        assert_eq!((place, &*branch), (Place::Path("/a/m.git".into()), "prod"));
        assert_eq!(found.stale_after, Some(Duration::from_secs(900)));
        for cluster in [["--kubeconfig", "k"], ["--context", "c"]] {
            let args = [&["--mirror", "m"][..], &cluster].concat();
            let error = parse(&args).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict);
        }
        assert!(parse(&["-n", "a", "-A"]).is_err());
        let error = settings(&["--mirror", "https://me:hunter2@git.example.com/x"]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_flag_beats_the_file_and_a_mirror_the_file_s_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.yaml");
        let text = "kubeconfig: k\nnamespaces: [b, a]\ndesired: [x=./x]\nfailOn: [missing]\n\
                    deployers: [robot]\naccept: [a.yaml]\nstaleAfter: 5m\n";
        std::fs::write(&path, text).unwrap();
        let config = ["--config", path.to_str().unwrap()];
        let with = |more: &[&str]| settings(&[&config[..], more].concat()).unwrap();
        let found = with(&[]);
        assert_eq!(
            (&found.desired[0][..], &found.namespaces[0][..]),
            ("x=./x", "a")
        );
        assert_eq!(found.fail_on, [FailOn::Missing]);
        assert_eq!(found.deployers, ["robot"]);
        assert_eq!(found.accept, [PathBuf::from("a.yaml")]);
        assert_eq!(found.stale_after, Some(Duration::from_secs(300)));
        let found = with(&[
            "-A",
            "--desired",
            "./y",
            "--fail-on",
            "extra,added",
            "--mirror",
            "m",
        ]);
        assert!(found.namespaces.is_empty());
        assert_eq!(found.desired, ["./y"]);
        assert_eq!(found.fail_on, [FailOn::Added, FailOn::Extra]);
        assert!(matches!(found.live, LiveSide::Mirror { .. }));
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        for (args, expected) in [
            (
                &["--sidecar-refs", "heads/x"][..],
                "sidecarRefs cannot be 'heads/x'",
            ),
            (&["--sidecar-refs", "refs/a..b"], "sidecarRefs cannot be"),
            (&["--deployer", "a\u{1b}b"], "printable"),
            (&["--fail-on", "none,extra"], "stands alone"),
            (&["-n", "No"], "namespaces cannot be 'No'"),
            (
                &["--default-namespace", "a b"],
                "not the name of a namespace",
            ),
            (&["--mirror", "#main"], "mirror cannot be"),
        ] {
            let error = settings(args).unwrap_err().to_string();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
        for args in [
            ["--defaults", "2.1"],
            ["--defaults", "1.x"],
            ["--fail-on", "unknown"],
        ] {
            assert!(parse(&args).is_err(), "{args:?}");
        }
        assert_eq!(
            settings(&["--defaults", "v1.35.2"]).unwrap().defaults,
            Some(35)
        );
        assert_eq!(
            settings(&["--defaults", "1.35"]).unwrap().defaults,
            Some(35)
        );
        assert!(settings(&["--fail-on", "none"]).unwrap().fail_on.is_empty());
        let refs = settings(&["--sidecar-refs", "refs/heads/strandline/"]).unwrap();
        assert_eq!(refs.sidecar_refs, "refs/heads/strandline");
    }

    #[test]
    fn sources_with_commas_stay_whole() {
        let found = settings(&["--desired", "a=helm:c?values=x,y", "--desired", "-"]).unwrap();
        assert_eq!(found.desired, ["a=helm:c?values=x,y", "-"]);
    }

    fn recorded(args: &[&str]) -> Result<RecordSettings, ConfigError> {
        let args = ["strandline", "record"].iter().chain(args);
        let Command::Record(args) = Cli::try_parse_from(args).unwrap().command else {
            panic!("record")
        };
        RecordSettings::for_record(&args)
    }

    #[test]
    fn record_compares_only_when_asked_to() {
        assert!(recorded(&[]).unwrap().drift.is_none());
        let error = recorded(&["--desired", "x"]).unwrap_err().to_string();
        assert!(error.contains("--drift"), "{error}");
        let found = recorded(&["--drift", "-n", "shop"]).unwrap().drift.unwrap();
        assert_eq!(found.settings.desired, ["auto"]);
        assert_eq!(found.settings.namespaces, ["shop"]);
        assert_eq!(found.interval, INTERVAL);
        let found = recorded(&["--drift", "--desired", "a=x", "--drift-interval", "1m"]);
        let found = found.unwrap().drift.unwrap();
        assert_eq!(found.interval, Duration::from_secs(60));
        assert_eq!(found.settings.desired, ["a=x"]);
        for wrong in [&["--desired", "a=-"], &["--drift-interval", "0s"]] {
            assert!(
                recorded(&[&["--drift"], &wrong[..]].concat()).is_err(),
                "{wrong:?}"
            );
        }
    }
}
