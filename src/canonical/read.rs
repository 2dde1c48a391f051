//! Text into documents: JSON or YAML, one or many.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{fast, load};

/// Longest text that is read, in bytes. The API server takes 3 MiB in one request; bundles of
/// manifests are larger.
const LONGEST_TEXT: usize = 64 << 20;

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it holds.
    pub value: Value,
    /// 1-based line that its first node starts on.
    pub line: usize,
    /// Where the elements of its `items` stand, if that is a list: a Kubernetes List is read as many
    /// objects. Empty where an alias or merge key brings them.
    pub items: Vec<Spot>,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// Text that is not the data that was asked for. Holds none of it: it may be a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ReadError {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Bytes that are not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// More bytes than any manifest has.
    #[error("larger than {} MiB", LONGEST_TEXT >> 20)]
    TooLong,
    /// Not YAML. The text is the scanner's, and names no content.
    #[error("not YAML: {0}")]
    Syntax(String),
    /// No document where one is asked for.
    #[error("no document")]
    Empty,
    /// A second document where one is asked for.
    #[error("more than one document")]
    Several,
    /// The same key twice in one mapping; kubectl would keep either.
    #[error("duplicate key")]
    DuplicateKey,
    /// A key that JSON cannot hold: a collection, null, or a number over 2⁶³−1.
    #[error("a key that is neither text, number nor boolean")]
    Key,
    /// `.inf` or `.nan`, which JSON cannot hold.
    #[error("an infinite or undefined number")]
    NotFinite,
    /// A value that its tag forbids: `!!int` on a word, `!!binary` on what is not base64 of UTF-8.
    #[error("a value that does not fit its tag")]
    Tag,
    /// `<<` with something else than a mapping or a list of mappings.
    #[error("a merge key without a mapping")]
    Merge,
    /// An alias inside its own anchor, or one of another document.
    #[error("an alias to an anchor that is not complete in this document")]
    Alias,
    /// Nested deeper than JSON readers follow.
    #[error("nested too deeply")]
    TooDeep,
    /// Aliases that multiply the document beyond reason.
    #[error("aliases expand to too much")]
    TooManyAliases,
}

/// Reads exactly one document: YAML as Kubernetes reads it, or JSON.
///
/// Scalars resolve as in `sigs.k8s.io/yaml`, which kubectl and the API server read YAML with: YAML
/// 1.1, where `yes` is true and `0644` is 420; keys become strings. A float stays a float, however:
/// `1.0` is not 1. Unlike there, a duplicate key is an error.
pub fn read(text: &[u8]) -> Result<Value, ReadError> {
    let mut documents = documents(text)?.into_iter();
    let fail = |line, reason| ReadError {
        line,
        column: 1,
        reason,
    };
    let first = documents.next().ok_or(fail(1, Reason::Empty))?;
    match documents.next() {
        None => Ok(first.value),
        Some(second) => Err(fail(second.line, Reason::Several)),
    }
}

/// Reads every document of a stream, each as [`read()`] does. Documents that are empty or null are
/// left out, as kubectl does.
pub fn read_all(text: &[u8]) -> Result<Vec<Document>, ReadError> {
    let mut documents = documents(text)?;
    documents.retain(|document| !document.value.is_null());
    Ok(documents)
}

fn documents(text: &[u8]) -> Result<Vec<Document>, ReadError> {
    if text.len() > LONGEST_TEXT {
        return Err(ReadError {
            line: 1,
            column: 1,
            reason: Reason::TooLong,
        });
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let good = &text[..error.valid_up_to()];
        let line_start = good
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        ReadError {
            line: lines(good) + 1,
            column: String::from_utf8_lossy(&good[line_start..]).chars().count() + 1,
            reason: Reason::Encoding,
        }
    })?;
    if text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('{')
        && let Some(documents) = json_documents(text)
    {
        return Ok(documents);
    }
    match fast::documents(text) {
        Some(documents) => Ok(documents),
        None => load::documents(text),
    }
}

/// Counts line feeds.
fn lines(text: &[u8]) -> usize {
    text.split(|&byte| byte == b'\n').count() - 1
}

/// Reads a stream of JSON objects; `None` where it is not one. YAML holds nearly all of JSON, so the
/// YAML reader says what is wrong. What it lacks, and why this exists: surrogate pairs in escapes,
/// keys over 1,024 characters, objects without `---` between them.
fn json_documents(text: &str) -> Option<Vec<Document>> {
    let text = text.trim_start_matches('\u{feff}');
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    let mut documents = Vec::new();
    let (mut end, mut line) = (0, 1);
    while let Some(value) = stream.next() {
        let Strict(value) = value.ok()?;
        let space = text[end..].len() - text[end..].trim_start().len();
        line += lines(&text.as_bytes()[end..end + space]);
        let own = &text[end + space..stream.byte_offset()];
        let items = json_items(&value, own, line);
        documents.push(Document { value, line, items });
        line += lines(own.as_bytes());
        end = stream.byte_offset();
    }
    Some(documents)
}

/// Where the elements of `items` stand in the text of a JSON object that starts on `line`.
fn json_items(value: &Value, text: &str, line: usize) -> Vec<Spot> {
    #[derive(serde::Deserialize)]
    struct List<'t> {
        #[serde(borrow)]
        items: Vec<&'t RawValue>,
    }
    if !value.get("items").is_some_and(Value::is_array) {
        return Vec::new();
    }
    let Ok(list) = serde_json::from_str::<List<'_>>(text) else {
        return Vec::new();
    };
    let mut spots = Vec::with_capacity(list.items.len());
    let mut spot = Spot { line, column: 1 };
    let mut seen = 0;
    for item in list.items {
        // What is borrowed lies in the text.
        let at = item.get().as_ptr().addr() - text.as_ptr().addr();
        let between = &text[seen..at];
        let line_start = between.rfind('\n').map_or(0, |at| at + 1);
        if line_start > 0 {
            spot.line += lines(between.as_bytes());
            spot.column = 1;
        }
        spot.column += between[line_start..].chars().count();
        spots.push(spot);
        seen = at;
    }
    spots
}

/// A JSON value without duplicate keys.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(map))
    }
}
