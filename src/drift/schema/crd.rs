//! A `CustomResourceDefinition` → schemas of its versions
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use serde_json::Value;

use super::raw::{OBJECT_META, Place, Raw, object_meta, resource_fields};
use super::{Kind, Schemas, Type};

/// The schemas of every version of a CRD, as recorded or as live.
///
/// A version without a schema, or with one that is none, is left out: nothing is known of it.
pub fn from_crd(crd: &Value) -> Schemas {
    let mut schemas = Schemas::default();
    let spec = &crd["spec"];
    let (Some(group), Some(kind)) = (spec["group"].as_str(), spec["names"]["kind"].as_str()) else {
        return schemas;
    };
    let place = Place {
        named: &BTreeMap::new(),
        open: spec["preserveUnknownFields"].as_bool() == Some(true),
        custom: true,
    };
    for version in spec["versions"].as_array().into_iter().flatten() {
        let Some(name) = version["name"].as_str() else {
            continue;
        };
        let Ok(raw) = Raw::deserialize(&version["schema"]["openAPIV3Schema"]) else {
            continue;
        };
        let root = root(&raw, &place);
        let key = format!("{group}/{name}/{kind}").into();
        schemas.kinds.insert(key, root);
    }
    if !schemas.kinds.is_empty() {
        schemas.types.insert(OBJECT_META.into(), object_meta());
    }
    schemas
}

/// What the server makes of the schema at the top: it adds `apiVersion`, `kind` and `metadata`
/// itself, whatever is said of them.
fn root(raw: &Raw, place: &Place<'_>) -> Type {
    let mut root = raw.convert(place, &mut BTreeSet::new(), 0);
    root.kind = Kind::Object;
    resource_fields(&mut root.fields);
    if let Some(status) = root.fields.get_mut("status") {
        *status = Type::default();
    }
    root
}
