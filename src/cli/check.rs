//! `strandline check`: one line each, and a verdict.

use std::fmt::Display;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::output::{Output, Style};
use super::rules::Ruling;
use super::session::{StartError, connect_options, mirror_path_verdict};
use super::{Exit, Failure};
use crate::cluster::{Cluster, Scope};
use crate::config::{CheckArgs, RecordSettings};
use crate::filter::{Rules, TypePlan};
use crate::remote::git_version;

/// How many types are asked about at a time.
const CONCURRENT: usize = 8;

/// What one line says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Warning,
    Bad,
}

struct Checks<'a> {
    output: &'a Output,
    lines: Vec<Value>,
    worst: Verdict,
}

impl Checks<'_> {
    fn line(&mut self, verdict: Verdict, subject: impl Display, text: &str) {
        let (mark, style) = match verdict {
            Verdict::Good => ("ok  ", Style::Good),
            Verdict::Warning => ("warn", Style::Warning),
            Verdict::Bad => ("FAIL", Style::Bad),
        };
        self.output.line(&format!(
            "{} {subject}: {text}",
            self.output.styled(style, mark)
        ));
        self.lines.push(json!({
            "check": subject.to_string(),
            "verdict": mark.trim().to_lowercase(),
            "text": text,
        }));
        self.worst = match (self.worst, verdict) {
            (Verdict::Bad, _) | (_, Verdict::Bad) => Verdict::Bad,
            (Verdict::Warning, _) | (_, Verdict::Warning) => Verdict::Warning,
            _ => Verdict::Good,
        };
    }

    fn result<T, E: Display>(
        &mut self,
        subject: &str,
        result: Result<T, E>,
        text: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.line(Verdict::Good, subject, &text(&value));
                Some(value)
            }
            Err(error) => {
                self.line(Verdict::Bad, subject, &error.to_string());
                None
            }
        }
    }
}

/// Reads configuration, cluster, rights and remote; writes nothing anywhere.
pub(super) async fn run(args: &CheckArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = RecordSettings::for_check(args)?;
    let mut checks = Checks {
        output,
        lines: Vec::new(),
        worst: Verdict::Good,
    };
    checks.line(Verdict::Good, "configuration", "valid");
    checks.result("git", git_version().await, |version| {
        format!("version {version}")
    });
    checks.result("repository", mirror_path_verdict(&settings), Clone::clone);
    check_remote(&settings, &mut checks).await;
    let said = |ruling: &Ruling| format!("{} rules", ruling.rules.iter().count());
    if let Some(ruling) = checks.result("rules", Ruling::read(&settings.rules), said) {
        check_cluster(&settings, &ruling.rules, &mut checks).await;
    }
    let (verdict, exit) = match checks.worst {
        Verdict::Good => ("ready to record", Exit::Fine),
        Verdict::Warning => (
            "ready to record, but not everything can be read",
            Exit::Incomplete,
        ),
        Verdict::Bad => ("not ready: see the lines marked FAIL", Exit::Error),
    };
    output.json(&json!({ "checks": checks.lines, "verdict": verdict }));
    output.line(&output.styled(Style::Bold, verdict));
    Ok(exit)
}

async fn check_remote(settings: &RecordSettings, checks: &mut Checks<'_>) {
    match super::push::remote(settings).await {
        Ok(None) => checks.line(Verdict::Good, "remote", "none configured"),
        Err(error) => checks.line(Verdict::Bad, "remote", &super::output::chain(&*error)),
        Ok(Some(remote)) => match remote.head().await {
            Ok(Some(head)) => {
                checks.line(
                    Verdict::Good,
                    "remote",
                    &format!("{} is at {head}", remote.reference()),
                );
            }
            Ok(None) => {
                let text = format!("reachable, {} will be created", remote.reference());
                checks.line(Verdict::Good, "remote", &text);
            }
            Err(error) => checks.line(Verdict::Bad, "remote", &super::output::chain(&error)),
        },
    }
}

async fn check_cluster(settings: &RecordSettings, rules: &Rules, checks: &mut Checks<'_>) {
    let cluster = Cluster::connect(&connect_options(settings)).await;
    let Some(cluster) = checks.result("kubeconfig", cluster, |c| format!("context {}", c.name()))
    else {
        return;
    };
    let version = cluster.version().await;
    let answer =
        |v: &crate::cluster::ServerVersion| format!("{} is {}", cluster.server(), v.git_version);
    if checks.result("cluster", version, answer).is_none() {
        return;
    }
    match (cluster.identity().await, &settings.cluster_id) {
        (_, Some(id)) => checks.line(Verdict::Good, "identity", &format!("{id}, as given")),
        (Ok(Some(id)), None) => checks.line(Verdict::Good, "identity", &id),
        (Ok(None), None) => {
            checks.line(
                Verdict::Bad,
                "identity",
                &StartError::NoClusterId.to_string(),
            );
        }
        (Err(error), None) => checks.line(Verdict::Bad, "identity", &error.to_string()),
    }
    let found = match cluster.discover(None).await {
        Ok(found) => found,
        Err(error) => {
            checks.line(Verdict::Bad, "discovery", &super::output::chain(&error));
            return;
        }
    };
    for group in &found.stale_groups {
        if rules.drops_group(group).is_none() {
            let text = "its server does not answer; its files will stay as they are";
            checks.line(Verdict::Warning, format!("group {group}"), text);
        }
    }
    let mut asked = Vec::new();
    let mut left_out = 0;
    for served in found.types.values() {
        let api_type = &served.api_type;
        match rules.plan(api_type) {
            TypePlan::Dropped { .. } => left_out += 1,
            TypePlan::Watched(_) if !served.watch => {
                checks.line(
                    Verdict::Good,
                    api_type,
                    "cannot be watched, is not recorded",
                );
            }
            TypePlan::Watched(_) if settings.namespaces.is_empty() => {
                asked.push((api_type.clone(), Scope::Cluster));
            }
            TypePlan::Watched(_) if api_type.namespaced => asked.extend(
                settings
                    .namespaces
                    .iter()
                    .map(|ns| (api_type.clone(), Scope::Namespace(ns.as_str().into()))),
            ),
            TypePlan::Watched(_) => {}
        }
    }
    let mut answers: Vec<_> = stream::iter(asked)
        .map(|(api_type, scope)| {
            let cluster = cluster.clone();
            async move {
                let rights = cluster.rights(&api_type, &scope).await;
                (api_type, scope, rights)
            }
        })
        .buffered(CONCURRENT)
        .collect()
        .await;
    answers
        .sort_by(|a, b| (&a.0.group, &a.0.resource, &a.1).cmp(&(&b.0.group, &b.0.resource, &b.1)));
    for (api_type, scope, rights) in answers {
        let subject = match scope {
            Scope::Cluster => api_type.to_string(),
            Scope::Namespace(namespace) => format!("{api_type} in {namespace}"),
        };
        match rights {
            Ok(None) => checks.line(Verdict::Good, subject, "may be listed and watched"),
            Ok(Some(missing)) => checks.line(Verdict::Warning, subject, &missing),
            Err(error) => checks.line(Verdict::Warning, subject, &error.to_string()),
        }
    }
    checks.line(
        Verdict::Good,
        "left out",
        &format!("{left_out} types by the rules of the README"),
    );
}
