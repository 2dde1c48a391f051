//! The live side: the cluster, or a mirror alone.
//!
//! Both come as recorded files with their sidecar files and the cluster's facts, so that what is
//! said of a mirror is what would be said of its cluster. Pure: somebody else reads them.

mod assemble;
mod facts;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::desired::Identity;
use super::report::LiveInfo;
use super::schema::Schemas;
use crate::filter::Rules;
use crate::object::ApiType;
use crate::owners::{Shape, Times};

pub use assemble::{
    AssembleError, FileReader, ReadFile, RecordedFile, assemble, assemble_read, object_of,
};
pub use facts::{ClusterFacts, CoverageFacts, Facts, FactsError, KindFact};
pub use value::LiveValue;

/// One live object, after the filter.
#[derive(Clone, Debug)]
pub struct LiveObject {
    /// The version that it was read at.
    pub version: Box<str>,
    /// What its file has.
    pub value: LiveValue,
    /// Who owns what of it.
    pub shape: Arc<Shape>,
    /// When its writers wrote.
    pub times: Arc<Times>,
    /// Its path in the mirror, below the prefix.
    pub path: Box<str>,
}

impl LiveObject {
    /// The same object, whose parsed content is forgotten with what this returns.
    #[must_use]
    pub fn opened(&self) -> Self {
        Self {
            value: self.value.opened(),
            ..self.clone()
        }
    }
}

/// A kind that the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    /// API group.
    pub group: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Plural resource name.
    pub resource: Box<str>,
    /// Versions, the one that is read first.
    pub versions: Vec<Box<str>>,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// Whether its objects are on the live side.
    pub coverage: Coverage,
}

impl ServedKind {
    /// The type in one of its versions.
    pub fn api_type(&self, version: &str) -> ApiType {
        ApiType {
            group: self.group.clone(),
            version: version.into(),
            resource: self.resource.clone(),
            kind: self.kind.clone(),
            namespaced: self.namespaced,
        }
    }
}

/// Whether a type's objects are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All of them that the rules keep.
    Complete,
    /// None: this rule drops the type.
    Dropped(Box<str>),
    /// Nothing is known, for this reason.
    Unknown(Box<str>),
}

/// Everything that is live.
pub struct Live {
    /// What the report says of it.
    pub info: LiveInfo,
    /// When it was so, RFC 3339 UTC; `None` where nobody knows.
    pub as_of: Option<String>,
    /// The objects.
    pub objects: BTreeMap<Identity, LiveObject>,
    /// Objects that are desired in another version than `objects` has, as the server gave them in
    /// it; where it did not, why.
    pub other_versions: BTreeMap<Identity, BTreeMap<Box<str>, Result<LiveObject, String>>>,
    /// What is served, by group and kind.
    pub kinds: BTreeMap<(Box<str>, Box<str>), ServedKind>,
    /// The types' schemas.
    pub schemas: Schemas,
    /// The server's minor version; `None` where it is not known.
    pub minor: Option<u32>,
    /// The rules that the live side went through.
    pub rules: Arc<Rules>,
    /// Namespaces that are read; all where there are none.
    pub namespaces: Vec<String>,
    /// Paths of objects that change too often to be recorded each time: what is here is a sample.
    pub damped: BTreeSet<Box<str>>,
    /// What is not known beyond types: each makes the report incomplete.
    pub blind_spots: Vec<String>,
    /// What should be looked at.
    pub warnings: Vec<String>,
    /// The fingerprint of the key that digests of the live side are made with; `None` where it is
    /// not told.
    pub key_fingerprint: Option<String>,
}

impl Live {
    /// A live side without an object, recorded by these rules, of which everything is known.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            info: LiveInfo::default(),
            as_of: None,
            objects: BTreeMap::new(),
            other_versions: BTreeMap::new(),
            kinds: BTreeMap::new(),
            schemas: Schemas::default(),
            minor: None,
            rules,
            namespaces: Vec::new(),
            damped: BTreeSet::new(),
            blind_spots: Vec::new(),
            warnings: Vec::new(),
            key_fingerprint: None,
        }
    }
}
