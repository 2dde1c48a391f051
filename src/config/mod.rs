//! Flags, environment and file → validated [`RecordSettings`].
//!
//! Precedence: default < file < environment < flag. The only room that reads environment
//! variables, kube's own handling of proxies and credential plugins aside.

mod args;
mod file;
mod rules;
mod settings;

pub use args::{
    CheckArgs, Cli, ColorChoice, Command, DemoArgs, LogFormat, OutputArgs, OutputFormat,
    RecordArgs, SnapshotArgs, SourceArgs,
};
pub use rules::{RuleArgs, RuleSettings, SecretValues, SecretsChoice};
pub use settings::{
    Author, ConfigError, Credentials, ListModeChoice, RecordSettings, RemoteSettings, Repository,
    Switch, wants_no_color,
};
