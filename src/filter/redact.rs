//! Replacement of values: secret ones and large ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::digest::{DigestKey, OMITTED, is_digest, is_redacted};
use super::observe::{Action, Observer};
use super::path::{Quoted, Segment};
use super::rules::{LargeText, RuleName, SecretMode, Target};
use crate::object::Step;

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

/// What becomes of a value at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// As a rule says of its values.
    Secret(SecretMode),
    /// A digest, if it is a text longer than this many bytes, and of these.
    Large { above: usize, text: LargeText },
    /// A fixed text, in what is shown to a person.
    Hidden(SecretMode),
}

/// What stands for a value in what is shown to a person.
pub(super) const HIDDEN: &str = "(hidden)";

/// Places that a later rule has decided on, which the earlier ones leave alone.
#[derive(Default)]
pub(super) struct Decided {
    at: Vec<Step>,
    places: BTreeSet<Vec<Step>>,
}

/// What one object's values are replaced by; `place` is the path walked so far.
pub(super) struct Redactor<'a, O> {
    pub(super) key: &'a DigestKey,
    pub(super) object_path: &'a str,
    pub(super) rule: &'a RuleName,
    pub(super) target: &'a Target,
    pub(super) encoding: Encoding,
    pub(super) treatment: Treatment,
    /// `None` where no two rules speak of one object.
    pub(super) decided: Option<&'a mut Decided>,
    pub(super) observer: &'a mut O,
    pub(super) place: String,
    /// Values that are digests now.
    pub(super) digested: usize,
    /// Values that are left to encryption.
    pub(super) sealed: usize,
}

impl<O: Observer> Redactor<'_, O> {
    pub(super) fn run(&mut self, object: &mut Value) {
        let target = self.target;
        self.walk(target.path.segments(), object);
    }

    /// Redacts what `segments` name below `value`.
    ///
    /// A value whose shape does not fit the rest of the path is redacted whole: a rule must not be
    /// evaded by a string where a map was expected. Null and absent fields hold nothing.
    fn walk(&mut self, segments: &[Segment], value: &mut Value) {
        if let Some(decided) = &self.decided
            && decided.places.contains(&decided.at)
        {
            return;
        }
        let Some((segment, rest)) = segments.split_first() else {
            return self.end(value);
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
                    self.enter_key(name);
                    self.walk(rest, below);
                    self.leave();
                }
            }
            (Segment::Any, Value::Object(map)) => {
                for (name, below) in map {
                    let _ = write!(self.place, "[{}]", Quoted(name));
                    self.enter_key(name);
                    self.walk(rest, below);
                    self.leave();
                    self.place.truncate(length);
                }
            }
            (Segment::Any | Segment::Where(_) | Segment::Item(_), Value::Array(list)) => {
                for (index, element) in list.iter_mut().enumerate() {
                    if segment.selects(element) {
                        let _ = write!(self.place, "[{index}]");
                        self.observer.enter_index(index);
                        if let Some(decided) = &mut self.decided {
                            decided.at.push(Step::Index(index));
                        }
                        self.walk(rest, element);
                        self.leave();
                        self.place.truncate(length);
                    }
                }
            }
            (_, other) => self.end(other),
        }
        self.place.truncate(length);
    }

    fn enter_key(&mut self, key: &str) {
        self.observer.enter_key(key);
        if let Some(decided) = &mut self.decided {
            decided.at.push(Step::Key(key.into()));
        }
    }

    fn leave(&mut self) {
        self.observer.leave();
        if let Some(decided) = &mut self.decided {
            decided.at.pop();
        }
    }

    fn end(&mut self, value: &mut Value) {
        match self.treatment {
            Treatment::Large { above, text } => self.digest_large(value, above, text),
            Treatment::Secret(mode) | Treatment::Hidden(mode) => {
                self.target.see();
                if let Some(decided) = &mut self.decided {
                    let place = decided.at.clone();
                    decided.places.insert(place);
                }
                let action = match mode {
                    SecretMode::Plain => return,
                    SecretMode::Digest => Action::Digested,
                    SecretMode::Omit => Action::Omitted,
                    SecretMode::Sops => Action::Sealed,
                };
                self.observer.hit(self.rule, action);
                match self.treatment {
                    Treatment::Hidden(_) => replace(value, HIDDEN.to_owned()),
                    _ => self.treat(value, mode),
                }
            }
        }
    }

    fn treat(&mut self, value: &mut Value, mode: SecretMode) {
        if mode == SecretMode::Sops {
            self.sealed += 1;
            return;
        }
        // A file of the mirror, not an answer of a server. No base64 looks like this.
        if let Value::String(text) = &*value
            && is_redacted(text)
        {
            self.digested += usize::from(is_digest(text));
            return;
        }
        if mode == SecretMode::Omit {
            return replace(value, OMITTED.to_owned());
        }
        self.digested += 1;
        let bytes = match &*value {
            Value::String(text) if self.encoding == Encoding::Base64 => STANDARD
                .decode(text)
                .unwrap_or_else(|_| text.clone().into_bytes()),
            Value::String(text) => text.clone().into_bytes(),
            // How a server sends `[]byte(nil)`.
            Value::Null => Vec::new(),
            other => other.to_string().into_bytes(),
        };
        let bytes = Zeroizing::new(bytes);
        let digest = self.key.digest(self.object_path, &self.place, &bytes);
        replace(value, digest);
    }

    fn digest_large(&mut self, value: &mut Value, above: usize, which: LargeText) {
        let Value::String(text) = &*value else {
            return;
        };
        self.target.see();
        if text.len() <= above || (which == LargeText::Packed && !looks_packed(text)) {
            return;
        }
        self.digested += 1;
        let digest = self
            .key
            .digest(self.object_path, &self.place, text.as_bytes());
        let length = text.len();
        *value = Value::String(format!("{digest} ({length} bytes)"));
        self.observer.hit(self.rule, Action::Large);
    }
}

fn replace(value: &mut Value, by: String) {
    if let Value::String(text) = value {
        text.zeroize();
    }
    *value = Value::String(by);
}

/// Whether a text is base64, in lines or not, or holds what no text editor writes.
fn looks_packed(text: &str) -> bool {
    let base64 = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\r' | b'\n')
    };
    let control = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\r' | b'\n');
    text.bytes().all(base64) || text.bytes().any(control)
}
