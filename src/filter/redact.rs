//! Replacement of values by their keyed digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::digest::{DigestKey, is_digest};
use super::path::{Quoted, Segment};

/// How a redacted string encodes its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Encoding {
    /// It does not.
    #[default]
    None,
    /// Standard base64, as the server sends `[]byte`; text that is none counts as it is.
    Base64,
}

/// Replaces by digests; `place` is the path walked so far.
pub(super) struct Redactor<'a> {
    pub(super) key: &'a DigestKey,
    pub(super) object_path: &'a str,
    pub(super) encoding: Encoding,
    pub(super) place: String,
    pub(super) digested: usize,
}

impl Redactor<'_> {
    /// Redacts what `segments` name below `value`.
    ///
    /// A value whose shape does not fit the rest of the path is redacted whole: a rule must not be
    /// evaded by a string where a map was expected. Null and absent fields hold nothing.
    pub(super) fn walk(&mut self, segments: &[Segment], value: &mut Value) {
        let Some((segment, rest)) = segments.split_first() else {
            return self.replace(value);
        };
        let length = self.place.len();
        match (segment, value) {
            (_, Value::Null) => {}
            (Segment::Field(name) | Segment::Key(name), Value::Object(map)) => {
                if let Some(below) = map.get_mut(&**name) {
                    let dot = if length > 0 && matches!(segment, Segment::Field(_)) {
                        "."
                    } else {
                        ""
                    };
                    // Writing to a String cannot fail.
                    let _ = write!(self.place, "{dot}{segment}");
                    self.walk(rest, below);
                }
            }
            (Segment::Any, Value::Object(map)) => {
                for (name, below) in map {
                    let _ = write!(self.place, "[{}]", Quoted(name));
                    self.walk(rest, below);
                    self.place.truncate(length);
                }
            }
            (Segment::Any | Segment::Where(_) | Segment::Item(_), Value::Array(list)) => {
                for (index, element) in list.iter_mut().enumerate() {
                    if segment.selects(element) {
                        let _ = write!(self.place, "[{index}]");
                        self.walk(rest, element);
                        self.place.truncate(length);
                    }
                }
            }
            (_, other) => self.replace(other),
        }
        self.place.truncate(length);
    }

    fn replace(&mut self, value: &mut Value) {
        self.digested += 1;
        let bytes = match &*value {
            Value::String(text) if self.encoding == Encoding::Base64 => {
                // A file of the mirror, not an answer of a server: no base64 looks like this.
                if is_digest(text) {
                    return;
                }
                STANDARD
                    .decode(text)
                    .unwrap_or_else(|_| text.clone().into_bytes())
            }
            Value::String(text) => text.clone().into_bytes(),
            // How a server sends `[]byte(nil)`.
            Value::Null => Vec::new(),
            other => other.to_string().into_bytes(),
        };
        let bytes = Zeroizing::new(bytes);
        let digest = self.key.digest(self.object_path, &self.place, &bytes);
        if let Value::String(text) = value {
            text.zeroize();
        }
        *value = Value::String(digest);
    }
}
