//! Manifests that another program renders: `kustomize`, `helm`.
//!
//! A renderer runs what its input says (remote bases, plugins, functions): never without being
//! asked for. Its environment is ours of [`crate::process`], with a home of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::files::File;
use super::source::HelmOptions;
use crate::process::{Output, ProcessError, Program, one_line};

/// The longest rendered text, in bytes.
const LONGEST: usize = 256 << 20;
/// The longest reason that an error carries, in characters.
const REASON: usize = 500;

/// Why something could not be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// No program that could do it.
    #[error(
        "{wanted}: not on the PATH; install it, or render by yourself and give the output with -"
    )]
    NoRenderer {
        /// What was looked for.
        wanted: &'static str,
    },
    /// The program could not be followed.
    #[error("{0}")]
    Process(ProcessError),
    /// The program failed.
    #[error("{program} failed: {reason}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it said, on one line and without passwords.
        reason: String,
    },
    /// A folder for it could not be made.
    #[error("cannot make a temporary folder: {0}")]
    Scratch(#[from] std::io::Error),
}

/// What charts may ask of the cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster<'a> {
    pub(super) kube_version: Option<&'a str>,
    pub(super) api_versions: &'a [String],
}

/// Runs `kustomize build FOLDER`, or `kubectl kustomize FOLDER` where there is no `kustomize`.
///
/// <https://kubectl.docs.kubernetes.io/references/kustomize/cmd/build/>
pub(super) async fn kustomize(folder: &Path, timeout: Duration) -> Result<File, RenderError> {
    let home = home()?;
    // A path that begins with `-` would be an option.
    let folder = absolute(folder)?;
    let build = |program: &str, command: &str| {
        program_in(program, &home, timeout)
            .arg(command)
            .arg(&folder)
    };
    let (program, result) = match build("kustomize", "build").run().await {
        Err(ProcessError::Start { .. }) => ("kubectl", build("kubectl", "kustomize").run().await),
        result => ("kustomize", result),
    };
    let wanted = "neither `kustomize` nor `kubectl`";
    text(program, wanted, &folder, result)
}

/// Runs `helm template RELEASE CHART`. Hooks are rendered too, and set aside when they are read.
///
/// <https://helm.sh/docs/helm/helm_template/>
pub(super) async fn helm(
    chart: &Path,
    options: &HelmOptions,
    namespace: Option<&str>,
    cluster: &Cluster<'_>,
    timeout: Duration,
) -> Result<File, RenderError> {
    let home = home()?;
    let chart = absolute(chart)?;
    let folder_name = chart.file_name().map(|name| name.to_string_lossy());
    let release = options.release.clone().or(folder_name.map(Into::into));
    let mut program = program_in("helm", &home, timeout)
        .arg("template")
        .arg(release.unwrap_or_else(|| "release".to_owned()))
        .arg(&chart)
        .arg("--include-crds")
        .arg("--skip-tests");
    if let Some(namespace) = namespace {
        program = program.arg("--namespace").arg(namespace);
    }
    for file in &options.values {
        program = program.arg("--values").arg(absolute(file)?);
    }
    if let Some(version) = cluster.kube_version {
        program = program.arg("--kube-version").arg(version);
    }
    // In portions: one argument has a limit, and charts ask for few.
    for versions in cluster.api_versions.chunks(200) {
        program = program.arg("--api-versions").arg(versions.join(","));
    }
    let result = program.run().await;
    text("helm", "`helm`", &chart, result)
}

/// A home without anybody's plugins, repositories and credentials.
fn home() -> Result<tempfile::TempDir, RenderError> {
    Ok(tempfile::Builder::new().prefix("strandline-").tempdir()?)
}

fn program_in(program: &str, home: &tempfile::TempDir, timeout: Duration) -> Program {
    Program::new(program)
        .env("HOME", home.path())
        .env("KUBECONFIG", "/dev/null")
        .timeout(timeout)
        .output_cap(LONGEST)
}

fn absolute(path: &Path) -> Result<PathBuf, RenderError> {
    Ok(path.canonicalize().or_else(|_| std::path::absolute(path))?)
}

fn text(
    program: &'static str,
    wanted: &'static str,
    folder: &Path,
    result: Result<Output, ProcessError>,
) -> Result<File, RenderError> {
    let output = result.map_err(|error| match error {
        ProcessError::Start { .. } => RenderError::NoRenderer { wanted },
        error => RenderError::Process(error),
    })?;
    if !output.success() {
        return Err(RenderError::Failed {
            program,
            reason: one_line(&output.stderr, REASON),
        });
    }
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    let name: Arc<str> = format!("rendered: {}", name.to_string_lossy()).into();
    Ok(File {
        name,
        text: output.stdout,
    })
}
