//! One document of `/openapi/v3/apis/<group>/<version>` → schemas of the kinds that one can store.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::raw::{GroupVersionKind, OBJECT_META, Place, Raw, object_meta};
use super::{SchemaError, Schemas, Type};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    paths: BTreeMap<Box<str>, Path>,
    components: Components,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Components {
    schemas: BTreeMap<Box<str>, Raw>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Path {
    get: Option<Operation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Operation {
    #[serde(rename = "x-kubernetes-action")]
    action: Option<Box<str>>,
    #[serde(rename = "x-kubernetes-group-version-kind")]
    kind: Option<GroupVersionKind>,
}

/// The schemas of the kinds that a document lets one list, and of what they are made of.
///
/// `document` is the JSON that the API server serves for one group and version. Descriptions,
/// `status` and `managedFields` are left out.
pub fn from_openapi(document: &[u8]) -> Result<Schemas, SchemaError> {
    let document: Document = serde_json::from_slice(document).map_err(SchemaError::NotOpenApi)?;
    let listed: BTreeSet<GroupVersionKind> = document
        .paths
        .into_values()
        .filter_map(|path| path.get)
        .filter(|operation| operation.action.as_deref() == Some("list"))
        .filter_map(|operation| operation.kind)
        .collect();
    let named = document.components.schemas;
    let place = Place {
        named: &named,
        open: false,
        custom: false,
    };
    let mut schemas = Schemas::default();
    let mut wanted = BTreeSet::new();
    for (name, raw) in &named {
        let stored = raw.kinds.iter().filter(|kind| listed.contains(*kind));
        for kind in stored.filter(|_| raw.has_object_meta()) {
            let GroupVersionKind {
                group,
                version,
                kind,
            } = kind;
            let reference = Type {
                reference: Some(name.clone()),
                ..Type::default()
            };
            let key = format!("{group}/{version}/{kind}").into();
            schemas.kinds.insert(key, reference);
            wanted.insert(name.clone());
        }
    }
    while let Some(name) = wanted.pop_first() {
        if schemas.types.contains_key(&name) {
            continue;
        }
        let found = if &*name == OBJECT_META {
            object_meta()
        } else {
            named
                .get(&name)
                .map(|raw| whole(raw, &place, &mut wanted))
                .unwrap_or_default()
        };
        schemas.types.insert(name, found);
    }
    Ok(schemas)
}

/// A named type; `status` of one that is an object of its own is anything, as nobody compares it.
fn whole(raw: &Raw, place: &Place<'_>, wanted: &mut BTreeSet<Box<str>>) -> Type {
    let mut reached = BTreeSet::new();
    let mut found = raw.convert(place, &mut reached, 0);
    if raw.has_object_meta() && found.fields.contains_key("status") {
        found.fields.insert("status".into(), Type::default());
        reached = BTreeSet::new();
        found.references(&mut reached);
    }
    wanted.append(&mut reached);
    found
}
