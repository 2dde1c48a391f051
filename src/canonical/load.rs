//! Events of the YAML parser into values.
//!
//! A state machine with a stack of its own, so that neither nesting nor aliases can exhaust the
//! thread's. Every event comes with its position.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};

use super::read::{Document, ReadError, Reason, Spot};
use super::scalar::{self, Scalar};

/// Deepest nesting, as `serde_json` reads it back:
/// <https://docs.rs/serde_json/latest/serde_json/struct.Deserializer.html#method.disable_recursion_limit>.
const DEEPEST: usize = 127;
/// What the anchors and aliases of one document may copy: nodes, and bytes of text.
const MOST_COPIED: Size = Size {
    nodes: 100_000,
    bytes: 16 << 20,
    depth: 0,
};

/// Reads every document of a YAML stream.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, ReadError> {
    let mut documents = Vec::new();
    let mut loader = Loader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        if let Some(document) = loader.on_event(event, span)? {
            documents.push(document);
        }
    }
    Ok(documents)
}

pub(super) fn syntax(error: &ScanError) -> ReadError {
    // The one message of the scanner that quotes the text.
    let info = error.info();
    let info = info.split(": `").next().unwrap_or(info);
    fail(*error.marker(), Reason::Syntax(info.to_owned()))
}

pub(super) fn fail(at: Marker, reason: Reason) -> ReadError {
    ReadError {
        line: at.line(),
        column: at.col() + 1,
        reason,
    }
}

/// A collection that is not complete.
enum Frame {
    List(Vec<Value>),
    Map(MapFrame),
}

#[derive(Default)]
struct MapFrame {
    map: Map<String, Value>,
    /// The key whose value comes next; `None` where a key comes next.
    key: Option<Key>,
    /// Keys that only a merge has set: the mapping's own may still come.
    merged: BTreeSet<String>,
}

enum Key {
    Text(String),
    /// `<<`: <https://yaml.org/type/merge.html>.
    Merge,
}

/// How large a value is.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    fn of(value: &Value) -> Self {
        let mut size = Self {
            nodes: 1,
            ..Self::default()
        };
        match value {
            Value::String(text) => size.bytes = text.len(),
            Value::Array(items) => {
                size.depth = 1;
                for item in items {
                    size.add_child(Self::of(item));
                }
            }
            Value::Object(map) => {
                size.depth = 1;
                for (key, value) in map {
                    size.bytes += key.len();
                    size.add_child(Self::of(value));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        size
    }

    fn add_child(&mut self, child: Self) {
        self.nodes += child.nodes;
        self.bytes += child.bytes;
        self.depth = self.depth.max(child.depth + 1);
    }
}

/// Where one document stands.
#[derive(Default)]
struct Loader {
    /// The collections around the next node, with their anchors (0: none) and starts.
    stack: Vec<(Frame, usize, Marker)>,
    anchors: HashMap<usize, (Value, Size)>,
    copied: Size,
    /// The complete document, and where it starts.
    root: Option<(Value, Marker)>,
    /// Where the elements of the root's `items` stand.
    items: Vec<Spot>,
}

impl Loader {
    /// Takes one event; returns the document that it completes.
    fn on_event(&mut self, event: Event<'_>, span: Span) -> Result<Option<Document>, ReadError> {
        let at = span.start;
        match event {
            Event::DocumentStart(_) => *self = Self::default(),
            Event::DocumentEnd => {
                let items = std::mem::take(&mut self.items);
                return Ok(self.root.take().map(|(value, start)| Document {
                    value,
                    line: start.line(),
                    items,
                }));
            }
            Event::SequenceStart(anchor, _) => self.open(Frame::List(Vec::new()), anchor, at)?,
            Event::MappingStart(anchor, _) => {
                self.open(Frame::Map(MapFrame::default()), anchor, at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text.into_owned(), style, anchor, tag.as_deref(), at)?;
            }
            Event::Alias(anchor) => self.alias(anchor, at)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
        Ok(None)
    }

    fn open(&mut self, frame: Frame, anchor: usize, at: Marker) -> Result<(), ReadError> {
        if self.wants_key() {
            return Err(fail(at, Reason::Key));
        }
        if self.stack.len() == DEEPEST {
            return Err(fail(at, Reason::TooDeep));
        }
        self.stack.push((frame, anchor, at));
        Ok(())
    }

    fn close(&mut self) -> Result<(), ReadError> {
        let Some((frame, anchor, at)) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame {
            Frame::List(items) => Value::Array(items),
            Frame::Map(frame) => Value::Object(frame.map),
        };
        self.node(value, anchor, at)
    }

    fn alias(&mut self, anchor: usize, at: Marker) -> Result<(), ReadError> {
        let Some((value, size)) = self.anchors.get(&anchor) else {
            return Err(fail(at, Reason::Alias));
        };
        let (value, size) = (value, *size);
        if self.stack.len() + size.depth > DEEPEST {
            return Err(fail(at, Reason::TooDeep));
        }
        spend(&mut self.copied, size, at)?;
        let value = value.clone();
        self.node(value, 0, at)
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Marker,
    ) -> Result<(), ReadError> {
        let tag = TagKind::of(tag, style);
        if self.wants_key()
            && text == "<<"
            && matches!(tag, TagKind::Plain | TagKind::Merge)
            && let Some((Frame::Map(frame), ..)) = self.stack.last_mut()
        {
            frame.key = Some(Key::Merge);
            return Ok(());
        }
        let value = match resolve(text, tag) {
            Ok(value) => value,
            // A key has a spelling where a value has none.
            Err(Unfit::NotFinite(spelling)) if self.wants_key() => spelling.into(),
            Err(Unfit::NotFinite(_)) => return Err(fail(at, Reason::NotFinite)),
            Err(Unfit::Tag) => return Err(fail(at, Reason::Tag)),
        };
        self.node(value, anchor, at)
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some((Frame::Map(frame), ..)) if frame.key.is_none())
    }

    /// Whether the next node is an element of the root's `items`.
    fn is_item(&self) -> bool {
        let [(Frame::Map(root), ..), (Frame::List(_), ..)] = self.stack.as_slice() else {
            return false;
        };
        matches!(&root.key, Some(Key::Text(key)) if key == "items")
    }

    /// Puts a complete node where it belongs.
    fn node(&mut self, value: Value, anchor: usize, at: Marker) -> Result<(), ReadError> {
        if anchor != 0 {
            let size = Size::of(&value);
            spend(&mut self.copied, size, at)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        if self.is_item() {
            self.items.push(Spot {
                line: at.line(),
                column: at.col() + 1,
            });
        }
        match self.stack.last_mut() {
            None => self.root = Some((value, at)),
            Some((Frame::List(items), ..)) => items.push(value),
            Some((Frame::Map(frame), ..)) => {
                frame.node(value).map_err(|reason| fail(at, reason))?;
            }
        }
        Ok(())
    }
}

fn spend(copied: &mut Size, size: Size, at: Marker) -> Result<(), ReadError> {
    copied.nodes += size.nodes;
    copied.bytes += size.bytes;
    if copied.nodes > MOST_COPIED.nodes || copied.bytes > MOST_COPIED.bytes {
        return Err(fail(at, Reason::TooManyAliases));
    }
    Ok(())
}

impl MapFrame {
    fn node(&mut self, value: Value) -> Result<(), Reason> {
        match self.key.take() {
            None => {
                let key = scalar::key(value).ok_or(Reason::Key)?;
                if self.map.contains_key(&key) && !self.merged.contains(&key) {
                    return Err(Reason::DuplicateKey);
                }
                self.key = Some(Key::Text(key));
            }
            Some(Key::Text(key)) => {
                self.merged.remove(&key);
                self.map.insert(key, value);
            }
            Some(Key::Merge) => match value {
                Value::Object(map) => self.merge(map),
                Value::Array(items) => {
                    // The first one's keys count, so it comes last.
                    for item in items.into_iter().rev() {
                        match item {
                            Value::Object(map) => self.merge(map),
                            _ => return Err(Reason::Merge),
                        }
                    }
                }
                _ => return Err(Reason::Merge),
            },
        }
        Ok(())
    }

    /// Takes over the entries of `map`, in the way of kubectl: what stands before `<<` gives way,
    /// what follows it wins.
    fn merge(&mut self, map: Map<String, Value>) {
        for (key, value) in map {
            if self.map.insert(key.clone(), value).is_none() {
                self.merged.insert(key);
            }
        }
    }
}

/// What a scalar's tag and style ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TagKind {
    /// Resolved by its text.
    Plain,
    /// Text, whatever it looks like.
    Text,
    Null,
    Bool,
    Int,
    Float,
    Binary,
    Merge,
}

impl TagKind {
    fn of(tag: Option<&Tag>, style: ScalarStyle) -> Self {
        match tag {
            None if style == ScalarStyle::Plain => Self::Plain,
            Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
                "null" => Self::Null,
                "bool" => Self::Bool,
                "int" => Self::Int,
                "float" => Self::Float,
                "binary" => Self::Binary,
                "merge" => Self::Merge,
                _ => Self::Text,
            },
            _ => Self::Text,
        }
    }
}

/// The text of a key; `<<` unquoted is not one.
pub(super) fn key(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Result<String, Reason> {
    let tag = TagKind::of(tag, style);
    if text == "<<" && matches!(tag, TagKind::Plain | TagKind::Merge) {
        return Err(Reason::Merge);
    }
    match resolve(text, tag) {
        Ok(value) => scalar::key(value).ok_or(Reason::Key),
        Err(Unfit::NotFinite(spelling)) => Ok(spelling.to_owned()),
        Err(Unfit::Tag) => Err(Reason::Tag),
    }
}

/// A scalar that is no JSON value.
enum Unfit {
    NotFinite(&'static str),
    Tag,
}

fn resolve(text: String, tag: TagKind) -> Result<Value, Unfit> {
    if matches!(tag, TagKind::Text | TagKind::Merge) {
        return Ok(Value::String(text));
    }
    if tag == TagKind::Binary {
        let base64: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        return base64::engine::general_purpose::STANDARD
            .decode(base64)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Value::String)
            .ok_or(Unfit::Tag);
    }
    match (scalar::resolve(&text), tag) {
        (Scalar::Null, TagKind::Plain | TagKind::Null) => Ok(Value::Null),
        (Scalar::Bool(truth), TagKind::Plain | TagKind::Bool) => Ok(truth.into()),
        (Scalar::Number(number), TagKind::Plain) => Ok(number.into()),
        (Scalar::Number(number), TagKind::Int) if !number.is_f64() => Ok(number.into()),
        (Scalar::Number(number), TagKind::Float) => {
            Ok(number.as_f64().map_or(Value::Null, Value::from))
        }
        (Scalar::NotFinite(spelling), TagKind::Plain | TagKind::Float) => {
            Err(Unfit::NotFinite(spelling))
        }
        (Scalar::Text, TagKind::Plain) => Ok(Value::String(text)),
        _ => Err(Unfit::Tag),
    }
}
