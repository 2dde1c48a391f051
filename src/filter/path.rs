//! Field paths as Kubernetes writes them, and their parser.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Names one field, or all fields of one shape, of an object.
///
/// ```text
/// spec.template.spec.containers[name=istio-proxy]   the element of a list with this key
/// metadata.annotations["a.b/c"]                     a map key that is no plain name
/// spec.ports[*].nodePort                            every element of a list, every value of a map
/// metadata.finalizers[=example.com/hold]            the element of a set with this value
/// spec.ports[port=80,protocol="TCP"]                several keys; quotes as in JSON
/// ```
///
/// There is no `[0]`: after a removal the same position names another element, so a rule with one
/// would not be idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Box<[Segment]>);

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A field by its plain name: letters, digits, `_`, `-` and `$`.
    Field(Box<str>),
    /// A map key, written in brackets and quotes.
    Key(Box<str>),
    /// `[*]`: every element of a list or every value of a map.
    Any,
    /// `[name=web]`: elements of a list whose fields have these values.
    Where(Box<[(Box<str>, Box<str>)]>),
    /// `[=value]`: elements of a list that are this value.
    Item(Box<str>),
}

/// Text that is not a field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field path '{path}', column {column}: expected {expected}")]
pub struct FieldPathError {
    /// The text.
    pub path: String,
    /// 1-based column, in characters, of what does not fit.
    pub column: usize,
    /// What would fit there.
    pub expected: &'static str,
}

/// More steps than any object's depth that a server reads with ease; paths are walked by recursion.
const MOST_STEPS: usize = 64;
/// How much of a text that is no path an error repeats, in characters.
const SHOWN: usize = 120;

const TOO_DEEP: &str = "the end: a path has at most 64 steps";
const NAME: &str = "a field name";
const AFTER: &str = "'.', '[' or the end";
const IN_BRACKETS: &str = "'*', a quoted key, 'key=value' or '=value'";
const VALUE: &str = "a value, quoted where it is more than letters, digits and '_-./:$'";
const QUOTED: &str = "a JSON string";
const CLOSE: &str = "',' or ']'";

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$')
}

fn is_value_byte(byte: u8) -> bool {
    is_name_byte(byte) || matches!(byte, b'.' | b'/' | b':')
}

impl Segment {
    /// The step to a field or map key, spelled as [`FieldPath::parse`] reads it back: plain where the
    /// name allows it.
    pub fn of_key(name: &str) -> Self {
        if !name.is_empty() && name.bytes().all(is_name_byte) {
            Self::Field(name.into())
        } else {
            Self::Key(name.into())
        }
    }
}

impl FieldPath {
    /// Reads a field path.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        let mut parser = Parser { text, at: 0 };
        match parser.path() {
            Ok(segments) => Ok(Self(segments.into())),
            Err(expected) => Err(FieldPathError {
                path: shown(text),
                column: text[..parser.at].chars().count() + 1,
                expected,
            }),
        }
    }

    /// The path of these steps, from the object's root; `None` where there are none.
    pub fn from_segments(segments: Vec<Segment>) -> Option<Self> {
        (!segments.is_empty()).then(|| Self(segments.into()))
    }

    /// The steps, from the object's root; never empty.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The error is raised within a visitor, so that it has the text's own location.
impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = FieldPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field path")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<FieldPath, E> {
                FieldPath::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl std::str::FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        Self::parse(text)
    }
}

/// The one spelling that [`FieldPath::parse`] reads back as the same path.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            if at > 0 && matches!(segment, Segment::Field(_)) {
                f.write_str(".")?;
            }
            segment.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Key(key) => write!(f, "[{}]", Quoted(key)),
            Self::Any => f.write_str("[*]"),
            Self::Item(value) => write!(f, "[={}]", Bare(value, is_value_byte)),
            Self::Where(keys) => {
                for (at, (key, value)) in keys.iter().enumerate() {
                    let before = if at == 0 { '[' } else { ',' };
                    write!(f, "{before}{key}={}", Bare(value, is_value_byte))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Text as a JSON string.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::Value::from(self.0).to_string())
    }
}

/// Text as it is where all its bytes are plain, otherwise as a JSON string.
struct Bare<'a>(&'a str, fn(u8) -> bool);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && self.0.bytes().all(self.1) {
            f.write_str(self.0)
        } else {
            Quoted(self.0).fmt(f)
        }
    }
}

/// Reads from left to right; on an error `at` is where it stands.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn path(&mut self) -> Result<Vec<Segment>, &'static str> {
        let mut segments = Vec::new();
        if self.peek() != Some(b'[') {
            segments.push(Segment::Field(self.bytes_while(is_name_byte, NAME)?.into()));
        }
        loop {
            if segments.len() > MOST_STEPS {
                return Err(TOO_DEEP);
            }
            match self.peek() {
                None => return Ok(segments),
                Some(b'.') => {
                    self.at += 1;
                    segments.push(Segment::Field(self.bytes_while(is_name_byte, NAME)?.into()));
                }
                Some(b'[') => {
                    self.at += 1;
                    segments.push(self.brackets()?);
                }
                Some(_) => return Err(AFTER),
            }
        }
    }

    fn brackets(&mut self) -> Result<Segment, &'static str> {
        let segment = match self.peek() {
            Some(b'*') => {
                self.at += 1;
                Segment::Any
            }
            Some(b'"') => Segment::Key(self.quoted()?),
            Some(b'=') => {
                self.at += 1;
                Segment::Item(self.value()?)
            }
            Some(byte) if is_name_byte(byte) => {
                let mut keys = Vec::new();
                loop {
                    let key = self.bytes_while(is_name_byte, NAME)?;
                    self.expect(b'=', "'='")?;
                    keys.push((key.into(), self.value()?));
                    if self.peek() != Some(b',') {
                        break Segment::Where(keys.into());
                    }
                    self.at += 1;
                }
            }
            _ => return Err(IN_BRACKETS),
        };
        let close = if matches!(segment, Segment::Where(_)) {
            CLOSE
        } else {
            "']'"
        };
        self.expect(b']', close)?;
        Ok(segment)
    }

    fn value(&mut self) -> Result<Box<str>, &'static str> {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        self.bytes_while(is_value_byte, VALUE).map(Into::into)
    }

    fn quoted(&mut self) -> Result<Box<str>, &'static str> {
        let rest = &self.text[self.at..];
        let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        match strings.next() {
            Some(Ok(text)) => {
                self.at += strings.byte_offset();
                Ok(text.into())
            }
            _ => Err(QUOTED),
        }
    }

    fn bytes_while(
        &mut self,
        fits: fn(u8) -> bool,
        expected: &'static str,
    ) -> Result<&'a str, &'static str> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|&byte| fits(byte)).count();
        if length == 0 {
            return Err(expected);
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), &'static str> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(expected)
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
