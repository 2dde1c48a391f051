//! The heads of managedFields' entries: manager, operation, subresource, time.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::BEFORE_FIRST_APPLY;

/// The control plane's own managers. In the second in which an object is made they write beside
/// its author, and a time in managedFields has no finer unit.
const CONTROL_PLANE: [&str; 4] = [
    "cloud-controller-manager",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
];

/// The subresource whose writers say nothing about the recorded file.
const STATUS: &str = "status";

/// One writer of an object, as an entry of `metadata.managedFields` names it.
///
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System>.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Writer<'a> {
    /// Time of this writer's last change, RFC 3339 in UTC with second precision; empty where the
    /// server knows none.
    #[serde(borrow, default, deserialize_with = "text")]
    pub time: Cow<'a, str>,
    /// The field manager, for example `kubectl-client-side-apply`.
    #[serde(borrow, default, deserialize_with = "text")]
    pub manager: Cow<'a, str>,
    /// `Apply` or `Update`.
    #[serde(borrow, default, deserialize_with = "text")]
    pub operation: Cow<'a, str>,
    /// The subresource that it wrote through, for example `scale`; empty for the object itself.
    #[serde(borrow, default, deserialize_with = "text")]
    pub subresource: Cow<'a, str>,
}

/// Reads a string or null without copying where the JSON holds no escape.
fn text<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'a, str>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Option::<Text<'a>>::deserialize(deserializer)?.map_or(Cow::Borrowed(""), |text| text.0))
}

impl Writer<'_> {
    /// The same writer, borrowing nothing.
    pub fn into_owned(self) -> Writer<'static> {
        Writer {
            time: Cow::Owned(self.time.into_owned()),
            manager: Cow::Owned(self.manager.into_owned()),
            operation: Cow::Owned(self.operation.into_owned()),
            subresource: Cow::Owned(self.subresource.into_owned()),
        }
    }

    fn rank(&self) -> (&str, bool, &str, &str, &str) {
        // Times are all of one form (`2006-01-02T15:04:05Z`), so text order is time order.
        (
            &self.time,
            !CONTROL_PLANE.contains(&&*self.manager),
            &self.manager,
            &self.operation,
            &self.subresource,
        )
    }
}

/// The writers of everything but status, in the server's order.
///
/// `before-first-apply` is none: the server invents it at the first server-side apply.
///
/// `managed_fields` is [`RawObject::managed_fields`](crate::object::RawObject). The field sets
/// are skipped, not built. Text of another shape has no writers: attribution is never worth an
/// error.
pub fn writers(managed_fields: &RawValue) -> Vec<Writer<'_>> {
    let mut all: Vec<Writer<'_>> = serde_json::from_str(managed_fields.get()).unwrap_or_default();
    all.retain(|writer| writer.subresource != STATUS && writer.manager != BEFORE_FIRST_APPLY);
    all
}

/// The newest writer of anything but status; `None` where the object names none.
///
/// Within one second an author comes before the control plane's own controllers; what is still
/// equal is decided by name, so that the answer does not depend on the order of the entries.
pub fn last_writer(managed_fields: &RawValue) -> Option<Writer<'_>> {
    writers(managed_fields)
        .into_iter()
        .max_by(|a, b| a.rank().cmp(&b.rank()))
}
