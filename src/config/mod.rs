//! Flags, environment and file → validated [`RecordSettings`].
//!
//! Precedence: default < file < environment < flag. The only room that reads environment
//! variables, kube's own handling of proxies and credential plugins aside.

mod args;
mod drift;
mod explain;
mod file;
mod restore;
mod rules;
mod settings;

pub use args::{
    CheckArgs, Cli, ClusterArgs, ColorChoice, Command, DemoArgs, DryRunChoice, LogFormat,
    OutputArgs, OutputFormat, RecordArgs, RestoreArgs, SnapshotArgs, SourceArgs,
};
pub use drift::{DesiredArgs, DriftArgs, DriftSettings, FailOn, LiveSide, RecordDrift};
pub use explain::{CanonicalizeArgs, ExplainArgs, ExplainSettings, Explained};
pub use restore::{Place, RestoreAt, RestoreSettings};
pub use rules::{RuleArgs, RuleSettings, SecretValues, SecretsChoice};
pub use settings::{
    Author, ConfigError, Credentials, ListModeChoice, RecordSettings, RemoteSettings, Repository,
    Switch, wants_no_color,
};
