//! Valid objects of every recorded built-in kind, made from the server's own `OpenAPI`
//! documents.
//!
//! Nothing is picked by hand: a kind's *settable leaves* are the leaves of its schema below the
//! root, less `status`, `apiVersion`, `kind` and what only the server writes into `metadata`. Maps
//! count once, lists by their element. For each kind [`sets`] looks for objects that together set
//! as many of them as the server takes, asking it by dry runs ([`search`]). The tables of guesses
//! ([`values`]) and of harmless forms ([`safe`]) only help it to answer yes.
//!
//! There is no randomness: the order is the schema's, and names count up.
#![allow(unreachable_pub, reason = "a part of its own, as if it were a crate")]

pub mod companions;
pub mod draft;
pub mod path;
pub mod repair;
pub mod report;
pub mod safe;
pub mod schema;
pub mod search;
#[allow(dead_code, reason = "the drift suite's")]
pub mod thin;
pub mod values;
pub mod words;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strandline::filter::{Rules, TypePlan};
use strandline::object::ApiType;

pub use crate::support::http;

use self::draft::Slot;
use self::http::Api;
use self::path::{Path, field};
use self::report::Coverage;
use self::safe::{NAMESPACES, Place};
use self::schema::Document;
use self::search::Search;
use self::values::Owner;
use crate::support::plane::ControlPlane;
use crate::support::{Context as _, Failure, Result};

/// One object that the server takes.
#[derive(Clone, Debug)]
pub struct Generated {
    pub api_type: ApiType,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    pub name: String,
    /// As it is to be created.
    pub manifest: Value,
    /// The collection to create it in.
    pub collection: String,
    /// The leaves that no earlier object of the kind sets: as the schema has them, and here.
    pub covers: Vec<(String, Path)>,
}

impl Generated {
    /// The object's path in the API.
    pub fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }
}

/// Objects, and what they cover.
#[derive(Debug, Default)]
pub struct Generation {
    /// In an order in which they can be created.
    pub objects: Vec<Generated>,
    pub coverage: Vec<Coverage>,
    pub requests: usize,
    pub took: std::time::Duration,
}

/// Every type that is served with `create` and `list`, recorded, and no type of a CRD.
fn recorded_types(api: &Api) -> Result<Vec<ApiType>> {
    let rules = Rules::core();
    let mut types: Vec<ApiType> = Vec::new();
    for path in ["/api", "/apis"] {
        let document = api.discovery(path)?;
        for group in document["items"].as_array().into_iter().flatten() {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in group["versions"].as_array().into_iter().flatten() {
                for resource in version["resources"].as_array().into_iter().flatten() {
                    let verbs = resource["verbs"].as_array();
                    let can = |verb: &str| verbs.is_some_and(|verbs| verbs.contains(&json!(verb)));
                    let text = |value: &Value| value.as_str().unwrap_or_default().into();
                    let api_type = ApiType {
                        group: name.into(),
                        version: text(&version["version"]),
                        resource: text(&resource["resource"]),
                        kind: text(&resource["responseKind"]["kind"]),
                        namespaced: resource["scope"] == "Namespaced",
                    };
                    let known = types.iter().any(|known| {
                        known.group == api_type.group && known.resource == api_type.resource
                    });
                    let dropped = matches!(rules.plan(&api_type), TypePlan::Dropped { .. });
                    if can("create") && can("list") && !known && !dropped {
                        types.push(api_type);
                    }
                }
            }
        }
    }
    Ok(types)
}

/// Where a kind has the template of a pod.
fn template_of(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "PodTemplate" => Some(&["template"]),
        "DaemonSet" | "Deployment" | "Job" | "ReplicationController" | "StatefulSet" => {
            Some(&["spec", "template"])
        }
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

/// Generates sets of objects for a control plane, in which only their namespaces and owners are
/// made for real.
pub fn sets(plane: &ControlPlane) -> Result<Generation> {
    let start = std::time::Instant::now();
    let api = Api::connect(plane)?;
    let mut generation = Generation::default();
    let owners = prepare(&api, &mut generation)?;
    let certificate = std::fs::read_to_string(plane.certificate_authority());
    let certificate = first_certificate(&certificate.context("the plane's certificate")?);
    let gates = api.text("/metrics")?;
    let mut types = recorded_types(&api)?;
    // First, because what it finds out serves every kind that holds such a template.
    types.sort_by_key(|api_type| (&*api_type.kind != "PodTemplate", api_type.group.clone()));
    let mut documents: BTreeMap<String, Document> = BTreeMap::new();
    let mut seeds: Vec<(usize, Vec<(Path, Slot)>)> = Vec::new();
    for api_type in types {
        let began = std::time::Instant::now();
        let before = api.requests();
        let group_version = api_type.api_version();
        if !documents.contains_key(&group_version) {
            let root = if api_type.group.is_empty() {
                "api"
            } else {
                "apis"
            };
            let json = api.get(&format!("/openapi/v3/{root}/{group_version}"))?;
            documents.insert(group_version.clone(), Document::new(json)?);
        }
        let document = &documents[&group_version];
        let root = document.kind(
            &api_type.group,
            &api_type.version,
            &api_type.kind,
            api_type.namespaced,
        )?;
        let surroundings = Place {
            api_type: api_type.clone(),
            certificate: certificate.clone(),
            owners: owners.clone(),
        };
        let mut search = Search::new(&api, &surroundings, root);
        let template: Option<Path> = template_of(&api_type.kind)
            .map(|template| template.iter().map(|name| field(name)).collect());
        let grafted: Vec<_> = match &template {
            Some(template) => seeds.iter().map(|seed| graft(seed, template)).collect(),
            None => Vec::new(),
        };
        search.run(&grafted)?;
        search.adopt()?;
        if &*api_type.kind == "PodTemplate" {
            seeds = search
                .accepted
                .iter()
                .map(|accepted| (accepted.number, cut(accepted)))
                .collect();
        }
        let mut coverage = Coverage::of(&search, &gates);
        coverage.requests = api.requests() - before;
        coverage.took = began.elapsed();
        generation.coverage.push(coverage);
        for accepted in &search.accepted {
            let text = |name: &str| {
                accepted.object["metadata"][name]
                    .as_str()
                    .unwrap_or_default()
            };
            generation.objects.push(Generated {
                api_type: api_type.clone(),
                namespace: text("namespace").to_owned(),
                name: text("name").to_owned(),
                collection: surroundings.collection(&accepted.object),
                covers: accepted
                    .covers
                    .iter()
                    .map(|(leaf, path)| (search::shown(&search.leaves[*leaf]), path.clone()))
                    .collect(),
                manifest: accepted.object.clone(),
            });
        }
    }
    generation.requests = api.requests();
    generation.took = start.elapsed();
    Ok(generation)
}

/// Creates everything for real, on any control plane; what is there already stays as it is.
///
/// The uids of the owners, which differ from one control plane to the next, are put right.
/// Returns what the server refused, in its words.
pub fn create_all(plane: &ControlPlane, generation: &Generation) -> Result<Vec<String>> {
    let api = Api::connect(plane)?;
    let mut scratch = Generation::default();
    let owners = prepare(&api, &mut scratch)?;
    let mut refused = Vec::new();
    for object in &generation.objects {
        let mut manifest = object.manifest.clone();
        let owner = &owners[object.namespace.as_str()];
        for reference in manifest["metadata"]["ownerReferences"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            reference["uid"] = json!(owner.uid);
        }
        let answer = api.create(&object.collection, &manifest, false)?;
        // One that is there may be refused for what it takes itself, such as its address.
        if answer.code != 201 && api.get(&object.path()).is_err() {
            refused.push(format!("{}: {}", object.path(), answer.body["message"]));
        }
    }
    Ok(refused)
}

/// The template of an accepted `PodTemplate`, less the template's place.
fn cut(accepted: &search::Accepted) -> Vec<(Path, Slot)> {
    let slots = accepted.draft.slots.iter();
    slots
        .filter(|(path, _)| path.first() == Some(&field("template")))
        .map(|(path, slot)| {
            let slot = Slot {
                refused: 0,
                moves: 0,
                ..slot.clone()
            };
            (path[1..].to_vec(), slot)
        })
        .collect()
}

fn graft(seed: &(usize, Vec<(Path, Slot)>), template: &[path::Key]) -> (usize, Vec<(Path, Slot)>) {
    let (number, slots) = seed;
    let slots = slots
        .iter()
        .map(|(path, slot)| ([template, path.as_slice()].concat(), slot.clone()));
    (*number, slots.collect())
}

/// Makes the namespaces, and in each an object that others may name as their owner.
fn prepare(api: &Api, generation: &mut Generation) -> Result<BTreeMap<String, Owner>> {
    let mut owners = BTreeMap::new();
    for name in NAMESPACES {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name,
                // Which `adminAccess` of a ResourceClaim asks of its namespace.
                "labels": { "resource.kubernetes.io/admin-access": "true" },
            },
        });
        make(
            api,
            generation,
            &manifest,
            "namespaces",
            "/api/v1/namespaces",
        )?;
        let manifest = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "strand-owner", "namespace": name },
        });
        let collection = format!("/api/v1/namespaces/{name}/configmaps");
        let owner = make(api, generation, &manifest, "configmaps", &collection)?;
        owners.insert(name.to_owned(), owner);
    }
    let manifest = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "strand-owner" },
    });
    let collection = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let owner = make(api, generation, &manifest, "clusterroles", collection)?;
    owners.insert(String::new(), owner);
    Ok(owners)
}

fn make(
    api: &Api,
    generation: &mut Generation,
    manifest: &Value,
    resource: &str,
    collection: &str,
) -> Result<Owner> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut live = api.create(collection, manifest, false)?;
    let name = text(&manifest["metadata"]["name"]);
    if live.code == 409 {
        live.body = api.get(&format!("{collection}/{name}"))?;
    } else if live.code != 201 {
        return Err(Failure::new(format_args!(
            "POST {collection}: {}",
            live.body
        )));
    }
    let api_version = text(&manifest["apiVersion"]);
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let namespace = text(&manifest["metadata"]["namespace"]);
    generation.objects.push(Generated {
        api_type: ApiType {
            group: group.into(),
            version: version.into(),
            resource: resource.into(),
            kind: text(&manifest["kind"]).into(),
            namespaced: !namespace.is_empty(),
        },
        namespace,
        name: name.clone(),
        collection: collection.to_owned(),
        covers: Vec::new(),
        manifest: manifest.clone(),
    });
    Ok(Owner {
        api_version,
        kind: text(&manifest["kind"]),
        name,
        uid: text(&live.body["metadata"]["uid"]),
    })
}

fn first_certificate(pem: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----\n";
    let end = pem.find(END).map_or(pem.len(), |at| at + END.len());
    pem[..end].to_owned()
}
