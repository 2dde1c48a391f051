use std::fmt;
use std::sync::Arc;

use super::path;

/// A type that the API server serves, at the version that we read it in.
///
/// In Kubernetes' terms a group-version-resource together with its kind and scope, as discovery
/// reports it: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris>.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiType {
    /// API group; empty for the core group.
    pub group: Box<str>,
    /// Version within the group, for example `v1`.
    pub version: Box<str>,
    /// Plural resource name in lower case, for example `deployments`.
    pub resource: Box<str>,
    /// Kind in upper camel case, for example `Deployment`.
    pub kind: Box<str>,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
}

impl ApiType {
    /// The `apiVersion` of this type's objects: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`; `services` for the core group. As `kubectl` accepts it.
    pub fn resource_and_group(&self) -> String {
        if self.group.is_empty() {
            self.resource.to_string()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    /// The name of this type's directories in the mirror.
    ///
    /// Escaped [`ApiType::resource_and_group`]; independent of the version, so that a change of
    /// the served version moves no file.
    pub fn directory(&self) -> String {
        path::escape_component(&self.resource_and_group(), "")
    }
}

impl fmt::Display for ApiType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource_and_group())
    }
}

/// The identity of one object: its type, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The type that it was read as.
    pub api_type: Arc<ApiType>,
    /// Its namespace; `None` for an object of a cluster-scoped type.
    pub namespace: Option<Box<str>>,
    /// `metadata.name`.
    pub name: Box<str>,
}

impl ObjectKey {
    /// The object's path below the mirror's prefix.
    ///
    /// A function of this key alone, all in lower case, and injective: see [`path`](super::MirrorPath).
    pub fn path(&self) -> String {
        path::object_path(&self.api_type, self.namespace.as_deref(), &self.name)
    }
}

/// `Deployment web`, with the namespace before it where there is one: `shop/Deployment web`.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{} {}", self.api_type.kind, self.name)
    }
}
