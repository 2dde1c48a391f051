//! The demo's last act: what Git asks for, against what live became.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::output::Output;
use super::super::{Failure, drift, session};
use super::{DemoError, heading};
use crate::canonical;
use crate::config::{Credentials, DriftArgs, DriftSettings, LiveSide, Place};
use crate::drift::desired::{GitPlace, Source, SourceKind};
use crate::drift::report::{json, text};
use crate::process::Program;
use crate::simulator::{Simulator, shop};

/// What was applied last, and what is applied next.
const APPLIED: &str = "applied";
const BRANCH: &str = "main";
/// Where the teams' manifests lie in the repository.
const MANIFESTS: &str = "manifests";
/// Before each line of the report.
const INDENT: &str = "  ";
/// Drift that the teams accepted.
const ACCEPT: &str = "accept.yaml";
const ACCEPTED: &str = "\
accept:
- name: on-call-scales
  reason: on call may scale the shop by hand
  owner: team-shop
  match: {apiGroups: [apps], kinds: [Deployment], namespaces: [shop]}
  paths: [spec.replicas]
- name: certificates
  reason: cert-manager issues and renews them
  match: {kinds: [Secret], type: [kubernetes.io/tls]}
  classes: [Extra]
";

/// The Git repository with what the shop's teams ask for.
pub(super) struct DesiredFolder {
    path: PathBuf,
}

impl DesiredFolder {
    /// Where it lies: beside the mirror, `strandline-demo-desired` for `strandline-demo.git`.
    pub(super) fn beside(mirror: &Path) -> PathBuf {
        let stem = mirror.file_stem().unwrap_or_default().to_string_lossy();
        mirror.with_file_name(format!("{stem}-desired"))
    }

    /// Fills a repository with the shop's manifests; its newest commit is not applied yet.
    pub(super) async fn make(path: PathBuf, simulator: &Simulator) -> Result<Self, Failure> {
        let folder = Self { path };
        folder.write(super::MARK, b"")?;
        folder.git(&["init", "-q", "-b", BRANCH]).await?;
        // The mark is the demo's, not the teams'.
        folder.write(".git/info/exclude", super::MARK.as_bytes())?;
        let manifests = shop::desired(simulator);
        for manifest in &manifests {
            folder.manifest(manifest)?;
        }
        folder.write(ACCEPT, ACCEPTED.as_bytes())?;
        folder.commit("The shop, as it is applied").await?;
        folder.git(&["tag", APPLIED]).await?;
        for manifest in manifests.iter().filter_map(shop::next) {
            folder.manifest(&manifest)?;
        }
        folder.commit("web: log less").await?;
        Ok(folder)
    }

    fn manifest(&self, manifest: &shop::Manifest) -> Result<(), DemoError> {
        let mut text = Vec::new();
        canonical::emit(&manifest.object, &mut text);
        self.write(&format!("{MANIFESTS}/{}", manifest.path), &text)
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), DemoError> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|source| DemoError::Files {
            act: "written",
            path,
            source,
        })
    }

    async fn commit(&self, message: &str) -> Result<(), Failure> {
        self.git(&["add", "-A"]).await?;
        self.git(&["commit", "-q", "-m", message]).await
    }

    /// Runs `git` in the repository, without the configuration of the user or the system. The
    /// same commits have the same ids in every run.
    async fn git(&self, args: &[&str]) -> Result<(), Failure> {
        const WHO: [(&str, &str); 6] = [
            ("GIT_AUTHOR_NAME", "The shop's teams"),
            ("GIT_AUTHOR_EMAIL", "teams@localhost"),
            ("GIT_AUTHOR_DATE", "2026-03-02T08:00:00Z"),
            ("GIT_COMMITTER_NAME", "The shop's teams"),
            ("GIT_COMMITTER_EMAIL", "teams@localhost"),
            ("GIT_COMMITTER_DATE", "2026-03-02T08:00:00Z"),
        ];
        let mut program = Program::new("git")
            .current_dir(&self.path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(args);
        for (name, value) in WHO {
            program = program.env(name, value);
        }
        let ended = program.run().await?;
        if ended.success() {
            return Ok(());
        }
        let path = self.path.display();
        Err(format!(
            "git {} failed in {path}: {}",
            args.join(" "),
            ended.stderr.trim()
        )
        .into())
    }

    /// A source of the desired side: the manifests at a revision.
    fn source(&self, reference: &str) -> Source {
        Source {
            name: "shop".to_owned(),
            kind: SourceKind::Git(GitPlace {
                repository: self.path.display().to_string(),
                reference: reference.to_owned(),
                path: MANIFESTS.to_owned(),
            }),
            namespace: None,
            render: None,
        }
    }

    /// Compares the mirror with it, and shows what differs.
    pub(super) async fn compare(&self, mirror: &Path, output: &Output) -> Result<(), Failure> {
        heading(
            output,
            "And what of all that does Git not know? The mirror against the teams' repository",
        );
        let mut settings = DriftSettings::new(&DriftArgs::default())?;
        settings.live = LiveSide::Mirror {
            place: Place::Path(mirror.to_owned()),
            branch: BRANCH.to_owned(),
            credentials: Credentials::Ambient,
        };
        settings.digest_key_file = Some(mirror.join(session::KEY_FILE));
        settings.accept = vec![self.path.join(ACCEPT)];
        let report =
            drift::ahead(settings, self.source(APPLIED), self.source(BRANCH), output).await?;
        let mut options = output.report_options(true);
        options.width = options.width.saturating_sub(INDENT.len());
        for line in text::render(&report, &options).lines() {
            output.line(format!("{INDENT}{line}").trim_end());
        }
        let parsed: Value = serde_json::from_str(&json::render(&report))?;
        output.json(&serde_json::json!({ "drift": parsed }));
        Ok(())
    }

    /// The command that says the same again.
    pub(super) fn again(&self, mirror: &str) -> String {
        let path = self.path.display().to_string();
        let path = path.strip_prefix("./").unwrap_or(&path);
        format!(
            "strandline drift --mirror {mirror} --desired shop={path}@{APPLIED}:{MANIFESTS} \\\n      \
             --accept {path}/{ACCEPT} --digest-key-file {mirror}/{}",
            session::KEY_FILE
        )
    }
}
