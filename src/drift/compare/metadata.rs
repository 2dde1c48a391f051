//! `metadata`: what of it is compared, and how owners are told apart.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::super::schema::{Kind, ListType, Node, Schemas, Type};

/// Fields that the server writes, that are the object's identity, or that say nothing of intent:
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>.
pub(super) const NOT_COMPARED: [&str; 13] = [
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Fields of an owner reference that are compared; its uid is not known before there is one.
pub(super) const OF_OWNER: [&str; 2] = ["blockOwnerDeletion", "controller"];

/// The type of `metadata`, whatever the kind and whether its schema is known.
pub(super) fn schema() -> Option<Node<'static>> {
    SCHEMA.kind("", "v1", "ObjectMeta")
}

static SCHEMA: LazyLock<Schemas> = LazyLock::new(|| {
    let texts = || Type {
        kind: Kind::Map,
        values: Some(Box::new(Type {
            kind: Kind::Text,
            ..Type::default()
        })),
        ..Type::default()
    };
    let finalizers = Type {
        kind: Kind::List,
        list: ListType::Set,
        items: Some(Box::new(Type {
            kind: Kind::Text,
            ..Type::default()
        })),
        ..Type::default()
    };
    let owners = Type {
        kind: Kind::List,
        list: ListType::Map(OWNER_KEYS.to_vec()),
        ..Type::default()
    };
    let metadata = Type {
        kind: Kind::Object,
        fields: BTreeMap::from([
            ("annotations".into(), texts()),
            ("labels".into(), texts()),
            ("finalizers".into(), finalizers),
            ("ownerReferences".into(), owners),
        ]),
        ..Type::default()
    };
    Schemas {
        types: BTreeMap::from([(NAME.into(), metadata)]),
        kinds: BTreeMap::from([(
            KIND.into(),
            Type {
                reference: Some(NAME.into()),
                ..Type::default()
            },
        )]),
    }
});

const NAME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
/// As [`Schemas::kind`] finds it.
const KIND: &str = "/v1/ObjectMeta";

/// What names an owner in paths.
pub(super) static OWNER_KEYS: LazyLock<[Box<str>; 2]> =
    LazyLock::new(|| ["kind".into(), "name".into()]);

/// Group, kind and name of the owner that a reference names: the uid belongs to one cluster, and an
/// owner has several versions.
pub(super) fn owner(reference: &Value) -> (&str, &str, &str) {
    let text = |field: &str| {
        reference
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let version = text("apiVersion");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    (group, text("kind"), text("name"))
}
