//! A few objects of a custom resource, from its published definition: a thin sample, and not all
//! that can be set.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strandline::object::ApiType;

use super::http::Api;
use super::safe::Place;
use super::schema::{Document, Node};
use super::search::Search;
use crate::support::Result;

/// The type that a `CustomResourceDefinition` defines, at the version that is stored. `None` where
/// that is not served, or where reading another version asks a webhook that does not run.
pub fn defined(definition: &Value) -> Option<ApiType> {
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array()?;
    if spec["conversion"]["strategy"] == "Webhook" && versions.len() > 1 {
        return None;
    }
    let stored = versions
        .iter()
        .find(|version| version["storage"] == true && version["served"] == true)?;
    let text = |value: &Value| Some(value.as_str()?.into());
    Some(ApiType {
        group: text(&spec["group"])?,
        version: text(&stored["name"])?,
        resource: text(&spec["names"]["plural"])?,
        kind: text(&spec["names"]["kind"])?,
        namespaced: spec["scope"] == "Namespaced",
    })
}

/// What of the type's objects can be set. Of `metadata` only what people write.
fn root(definition: &Value, api_type: &ApiType) -> Result<Node> {
    let versions = definition["spec"]["versions"].as_array();
    let of_version = |version: &&Value| version["name"] == *api_type.version;
    let mut schema = versions
        .and_then(|versions| versions.iter().find(of_version))
        .map(|version| version["schema"]["openAPIV3Schema"].clone())
        .unwrap_or_default();
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    schema["properties"]["metadata"] = json!({ "type": "object", "properties": {
        "name": { "type": "string" }, "namespace": { "type": "string" },
        "labels": texts, "annotations": texts,
    }});
    schema["x-kubernetes-group-version-kind"] = json!([{
        "group": *api_type.group, "version": *api_type.version, "kind": *api_type.kind,
    }]);
    let document = Document::new(json!({ "components": { "schemas": { "root": schema } } }))?;
    let (group, version) = (&api_type.group, &api_type.version);
    document.kind(group, version, &api_type.kind, api_type.namespaced)
}

/// The objects that set most of what can be set, of those that so many requests find: at most
/// `most`, the fullest first. None where the server takes none.
pub fn few(
    api: &Api,
    definition: &Value,
    api_type: &ApiType,
    requests: usize,
    most: usize,
) -> Result<Vec<Value>> {
    let place = Place {
        api_type: api_type.clone(),
        certificate: String::new(),
        owners: BTreeMap::new(),
    };
    let mut search = Search::new(api, &place, root(definition, api_type)?);
    run(&mut search, requests)?;
    let mut accepted = search.accepted;
    accepted.sort_by_key(|accepted| std::cmp::Reverse(accepted.draft.slots.len()));
    accepted.truncate(most);
    Ok(accepted.into_iter().map(|taken| taken.object).collect())
}

/// Covers as much as so many requests find: the least object first, then everything at once.
fn run(search: &mut Search<'_>, requests: usize) -> Result<()> {
    search.budget = search.api.requests() + requests;
    let least = search.base();
    let all = search.open();
    let done = search
        .settle(least, false)
        .and_then(|_settled| search.cover(&all));
    match done {
        Err(failure) if search.api.requests() < search.budget => Err(failure),
        _ => Ok(()),
    }
}
