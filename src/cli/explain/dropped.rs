//! What is not recorded in the whole cluster, by rule, and what the user's rules name in vain.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use super::super::output::{Output, Style};
use super::super::reading::each;
use super::super::rules::Ruling;
use super::super::{Exit, Failure, session};
use super::Explainer;
use crate::cluster::{Cluster, Scope, Selectors, ServedType};
use crate::config::RecordSettings;
use crate::filter::{Autoscaled, Context, RuleName, TypePlan, Verdict};

/// How many types are read at a time.
const CONCURRENT: usize = 4;

/// What one type came to.
#[derive(Default)]
struct Tally {
    /// Objects that are dropped, by rule.
    dropped: Vec<(RuleName, u64)>,
    recorded: u64,
    /// Why it could not be read.
    unread: Option<String>,
}

/// Types that are dropped whole are counted by one small request each; all others are read once,
/// as a recorder would at its start, but without what the server is asked to leave out.
pub(super) async fn run(
    settings: &RecordSettings,
    ruling: &Ruling,
    output: &Output,
) -> Result<Exit, Failure> {
    let cluster = Cluster::connect(&session::connect_options(settings)).await?;
    let found = cluster.discover(None).await?;
    let explainer = Explainer::new(ruling)?;
    let explainer = &explainer;
    let cluster = &cluster;
    let mut tallies: Vec<(&ServedType, Tally)> = stream::iter(found.types.values())
        .map(|served| async move {
            let scopes = scopes(served, &settings.namespaces);
            (served, tally(cluster, served, &scopes, explainer).await)
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    tallies.sort_by(|a, b| a.0.api_type.cmp(&b.0.api_type));
    let mut by_rule: BTreeMap<&RuleName, Vec<(String, u64)>> = BTreeMap::new();
    let (mut recorded, mut unread) = (0, Vec::new());
    for (served, tally) in &tallies {
        recorded += tally.recorded;
        for (rule, count) in tally.dropped.iter().filter(|(_, count)| *count > 0) {
            let types = by_rule.entry(rule).or_default();
            types.push((served.api_type.to_string(), *count));
        }
        if let Some(why) = &tally.unread {
            unread.push((served.api_type.to_string(), why.clone()));
        }
    }
    for group in &found.stale_groups {
        if ruling.rules.drops_group(group).is_none() {
            unread.push((
                format!("*.{group}"),
                "its server does not answer".to_owned(),
            ));
        }
    }
    let mut list = Vec::new();
    for (rule, types) in &by_rule {
        let count: u64 = types.iter().map(|(_, count)| count).sum();
        let reason = ruling.reason(rule);
        let name = output.styled(Style::Bold, rule.as_str());
        output.line(&format!("{count:>8} {name}: {reason}"));
        for (api_type, count) in types {
            output.line(&format!("{count:>8}   {api_type}"));
        }
        let types: BTreeMap<_, _> = types.iter().cloned().collect();
        list.push(json!({
            "rule": rule.as_str(), "reason": reason, "count": count, "types": types,
        }));
    }
    output.line(&format!("{recorded:>8} recorded"));
    let unmatched = ruling.rules.unmatched();
    let mut in_vain = Vec::new();
    for (rule, path) in &unmatched {
        let mark = output.styled(Style::Warning, "in no object");
        output.line(&format!("{mark}: {path} of rule {rule}"));
        in_vain.push(json!({ "rule": rule.as_str(), "path": path }));
    }
    for (api_type, why) in &unread {
        let mark = output.styled(Style::Warning, "unknown");
        output.line(&format!("{mark} {api_type}: {why}"));
    }
    let unread_json: BTreeMap<_, _> = unread.iter().cloned().collect();
    output.json(&json!({
        "dropped": list, "recorded": recorded, "unmatched": in_vain, "unknown": unread_json,
    }));
    Ok(if unread.is_empty() {
        Exit::Fine
    } else {
        Exit::Incomplete
    })
}

fn scopes(served: &ServedType, namespaces: &[String]) -> Vec<Scope> {
    match (namespaces, served.api_type.namespaced) {
        ([], _) => vec![Scope::Cluster],
        (_, false) => Vec::new(),
        (some, true) => some
            .iter()
            .map(|namespace| Scope::Namespace(namespace.as_str().into()))
            .collect(),
    }
}

async fn tally(
    cluster: &Cluster,
    served: &ServedType,
    scopes: &[Scope],
    explainer: &Explainer<'_>,
) -> Tally {
    let api_type = &served.api_type;
    let mut tally = Tally::default();
    let rules = match explainer.ruling.rules.plan(api_type) {
        TypePlan::Dropped { rule } => {
            let mut all = 0;
            for scope in scopes {
                match cluster.count(api_type, scope).await {
                    Ok(count) => all += count,
                    // Nothing of it is recorded in any case: that it cannot be counted is no gap.
                    Err(error) => {
                        tracing::debug!(%api_type, %error, "a type that is dropped cannot be counted");
                    }
                }
            }
            tally.dropped.push((rule, all));
            return tally;
        }
        TypePlan::Watched(_) if !served.watch => return tally,
        TypePlan::Watched(rules) => rules,
    };
    let autoscaled = Autoscaled::default();
    let context = Context {
        digest_key: &explainer.key,
        autoscaled: &autoscaled,
    };
    let mut dropped: BTreeMap<RuleName, u64> = BTreeMap::new();
    for scope in scopes {
        let read = each(
            cluster,
            api_type,
            scope,
            Selectors::default(),
            |mut object| {
                let Ok(key) = object.key(api_type) else {
                    return;
                };
                match rules.apply(&mut object, &key, &context) {
                    Verdict::Drop { rule } => *dropped.entry(rule).or_default() += 1,
                    Verdict::Keep { .. } => tally.recorded += 1,
                }
            },
        );
        if let Err(why) = read.await {
            tally.unread = Some(why);
        }
    }
    tally.dropped = dropped.into_iter().collect();
    tally
}
