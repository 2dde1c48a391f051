//! What a deployer's own object reports of what it deployed.

use serde_json::{Map, Value, json};

/// Revisions and inventories out of the status of an Argo CD `Application` or of Flux's kinds, and
/// nothing that changes without them; `None` for every other object, and where nothing is reported.
///
/// <https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml>,
/// <https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomization-status>,
/// <https://fluxcd.io/flux/components/source/gitrepositories/#artifact>,
/// <https://fluxcd.io/flux/components/helm/helmreleases/#helmrelease-status>.
pub fn reported(group: &str, kind: &str, live: &Value) -> Option<Value> {
    let status = live.get("status")?;
    let reported = match (group, kind) {
        ("argoproj.io", "Application") => argo(status),
        ("kustomize.toolkit.fluxcd.io", "Kustomization") => {
            let mut out = some(status, &["lastAppliedRevision", "lastAttemptedRevision"]);
            inventory(status, &mut out);
            out
        }
        (
            "source.toolkit.fluxcd.io",
            "GitRepository" | "OCIRepository" | "Bucket" | "HelmChart" | "HelmRepository",
        ) => {
            let artifact = some(&status["artifact"], &["revision", "url", "digest"]);
            nested("artifact", artifact)
        }
        ("helm.toolkit.fluxcd.io", "HelmRelease") => {
            let newest = some(
                &status["history"][0],
                &[
                    "name",
                    "namespace",
                    "version",
                    "chartName",
                    "chartVersion",
                    "digest",
                ],
            );
            let mut out = Map::new();
            if !newest.is_empty() {
                out.insert("history".to_owned(), json!([newest]));
            }
            inventory(status, &mut out);
            out
        }
        _ => return None,
    };
    (!reported.is_empty()).then_some(Value::Object(reported))
}

fn argo(status: &Value) -> Map<String, Value> {
    let mut out = some(status, &["sourceType", "sourceTypes"]);
    let sync = some(&status["sync"], &["status", "revision", "revisions"]);
    out.extend(nested("sync", sync));
    let newest = status["history"].as_array().and_then(|all| all.last());
    if let Some(newest) = newest {
        let mut kept = some(newest, &["revision", "revisions"]);
        if newest["source"].is_object() {
            kept.insert("source".to_owned(), source(&newest["source"]));
        }
        if let Some(sources) = newest["sources"].as_array() {
            let sources = sources.iter().map(source).collect();
            kept.insert("sources".to_owned(), Value::Array(sources));
        }
        let newest = kept;
        if !newest.is_empty() {
            out.insert("history".to_owned(), json!([newest]));
        }
    }
    if let Some(resources) = status["resources"].as_array() {
        let text = |resource: &Value, field: &str| {
            let text = resource[field].as_str().unwrap_or_default();
            text.to_owned()
        };
        let mut all: Vec<[String; 4]> = resources
            .iter()
            .map(|one| ["group", "kind", "namespace", "name"].map(|field| text(one, field)))
            .collect();
        all.sort_unstable();
        all.dedup();
        out.insert("resources".to_owned(), json!(all));
    }
    out
}

/// Where a source is. Not its Helm values and parameters: rules may hide them in the object's spec.
fn source(of: &Value) -> Value {
    let mut kept = some(of, &["path", "chart", "targetRevision", "ref", "name"]);
    if let Some(url) = of["repoURL"].as_str() {
        kept.insert("repoURL".to_owned(), without_login(url).into());
    }
    Value::Object(kept)
}

fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn inventory(status: &Value, out: &mut Map<String, Value>) {
    if let Some(entries) = status["inventory"]["entries"].as_array() {
        let ids = entries.iter().filter_map(|entry| entry["id"].as_str());
        let mut ids: Vec<&str> = ids.collect();
        ids.sort_unstable();
        out.insert("inventory".to_owned(), json!(ids));
    }
}

/// These fields, as far as they hold something.
fn some(of: &Value, fields: &[&str]) -> Map<String, Value> {
    let field = |name: &&str| {
        let value = of.get(*name)?;
        (!value.is_null()).then(|| ((*name).to_owned(), value.clone()))
    };
    fields.iter().filter_map(field).collect()
}

fn nested(name: &str, fields: Map<String, Value>) -> Map<String, Value> {
    let filled = (!fields.is_empty()).then(|| (name.to_owned(), Value::Object(fields)));
    filled.into_iter().collect()
}
