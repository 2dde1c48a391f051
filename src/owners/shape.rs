//! The shape of an object's ownership: who wrote which recorded leaf, without any value.
//!
//! One blob per recorded object in the sidecar (`refs/strandline/owners`). Elements of lists are
//! positions in the recorded file, so that no key or set element, which are values, is in it.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::object::Step;

/// Who wrote a field, by what means.
///
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldWriter {
    /// The name that the writing program gave itself.
    pub manager: Box<str>,
    /// `Apply` or `Update`.
    pub operation: Box<str>,
    /// `scale`, `status`, …; empty for the object itself.
    pub subresource: Box<str>,
    /// The version that the field set is of.
    pub api_version: Box<str>,
}

/// Why a place of the live object is not in its file, or not as it is live.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mask {
    /// Where; positions count in the recorded file, as far as its lists are there.
    pub path: Vec<Step>,
    /// What was done.
    pub kind: MaskKind,
    /// By which rule.
    pub rule: Box<str>,
}

/// What a mask does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaskKind {
    /// Removed.
    Pruned,
    /// Removed, because the server allocated it.
    Allocated,
    /// A keyed digest, a fixed text, or encrypted.
    Redacted,
}

/// Who wrote which leaf of one recorded object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Every writer that reaches a recorded leaf.
    pub writers: Vec<FieldWriter>,
    /// What is not in the file as it is live.
    pub masks: Vec<Mask>,
    /// The object carries a `deletionTimestamp`.
    pub terminating: bool,
    /// The object has a last-applied annotation.
    pub has_last_applied: bool,
    /// What a deployer's own object reports in its status (an Argo CD `Application`, Flux's kinds):
    /// revisions and inventories, and nothing else of it.
    pub reported: Option<Value>,
}

/// When each writer of a [`Shape`] last wrote, by its index there; RFC 3339. Kept apart from the
/// shape, and for people and writers that are not trusted controllers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(pub Vec<Option<Box<str>>>);

impl Times {
    /// Canonical JSON.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads what [`Times::encode`] wrote; `None` for anything else.
    pub fn decode(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

/// The owners of a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceOwners {
    /// Indexes into [`Shape::writers`].
    pub writers: Vec<usize>,
    /// Whether last-applied has the place.
    pub in_last_applied: bool,
    /// No entry names it, but an entry of another API version could not be read: the writer is
    /// unknown, which is not the same as unowned.
    pub unknown: bool,
}

impl Shape {
    /// Makes the shape of a live object.
    ///
    /// `managed_fields` and `last_applied` (the annotation's text) are as the server sent them,
    /// `live` the object before the filter and `recorded` after it (before encryption).
    pub fn of(
        _managed_fields: Option<&RawValue>,
        _last_applied: Option<&str>,
        _live: &Value,
        _recorded: &Value,
        _masks: Vec<Mask>,
    ) -> (Self, Times) {
        (Self::default(), Times::default())
    }

    /// The owners of a place of the recorded object, or of the nearest place around it that has
    /// any.
    pub fn owners(&self, _path: &[Step]) -> PlaceOwners {
        PlaceOwners::default()
    }

    /// Canonical JSON: equal shapes are equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads what [`Shape::encode`] wrote; `None` for anything else.
    pub fn decode(_bytes: &[u8]) -> Option<Self> {
        None
    }
}
