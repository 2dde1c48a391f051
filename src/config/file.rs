//! The configuration file: the same settings as the flags, in camel case.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::drift::FailOn;
use super::rules::SecretsChoice;
use super::settings::{ConfigError, ListModeChoice, Switch};

/// What a file may hold. Unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct ConfigFile {
    pub(super) repository: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) digest_key_file: Option<PathBuf>,
    pub(super) cluster_id: Option<String>,
    pub(super) author_name: Option<String>,
    pub(super) author_email: Option<String>,
    pub(super) remote: Option<String>,
    pub(super) push_options: Vec<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) credential_helper: Option<String>,
    pub(super) remote_timeout: Option<String>,
    pub(super) push_interval: Option<String>,
    pub(super) sidecar_refs: Option<String>,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
    pub(super) namespaces: Vec<String>,
    pub(super) list_mode: Option<ListModeChoice>,
    pub(super) sync_timeout: Option<String>,
    pub(super) quiet_period: Option<String>,
    pub(super) max_age: Option<String>,
    pub(super) max_batch: Option<u32>,
    pub(super) damping: Option<Switch>,
    pub(super) filters: Vec<PathBuf>,
    pub(super) presets: Vec<String>,
    pub(super) no_presets: Vec<String>,
    pub(super) secrets: Option<SecretsChoice>,
    pub(super) sops_recipients: Vec<String>,
    pub(super) drift: bool,
    pub(super) drift_interval: Option<String>,
    pub(super) desired: Vec<String>,
    pub(super) stale_after: Option<String>,
    pub(super) deployers: Vec<String>,
    pub(super) managers: Option<PathBuf>,
    pub(super) accept: Vec<PathBuf>,
    pub(super) fail_on: Vec<FailOn>,
}

/// Reads a file; none is an empty one.
pub(super) fn read(path: Option<&Path>) -> Result<ConfigFile, ConfigError> {
    let Some(path) = path else {
        return Ok(ConfigFile::default());
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::ReadFile {
        path: path.to_owned(),
        source,
    })?;
    if text.trim().is_empty() {
        return Ok(ConfigFile::default());
    }
    serde_yaml::from_str(&text).map_err(|error| ConfigError::ParseFile {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
