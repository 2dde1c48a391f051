//! The sidecar's form of a [`Shape`] and its [`Times`]: canonical compact JSON.
//!
//! ```text
//! {"w": [[manager, operation, subresource, apiVersion], …],
//!  "s": [[writer, …] | [-1, writer, …], …],        marks; -1: last-applied has the place
//!  "o": owners,  a number: the mark of all below
//!                {key: owners}, [owners, …]: of a map, of a list
//!                ["e", mark, owners]: of an element of a list, the element itself aside
//!  "m": [[path, kind, rule], …], "t": true, "l": true, "u": true, "r": {…}}
//! ```
//!
//! What is empty or false is left out.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::{DEEPEST, FieldWriter, Mark, Mask, MaskKind, Owners, Shape, Times};
use crate::object::Step;

/// Begins an [`Owners::Element`].
const ELEMENT: &str = "e";

impl Times {
    /// Canonical JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// Reads what [`Times::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }
}

impl Shape {
    /// Canonical JSON: equal shapes are equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out::new();
        out.begin(self.has_last_applied, &self.masks);
        if let Some(owners) = &self.owners {
            out.field("o");
            out.owners(owners);
        }
        out.reported(self.reported.as_ref());
        if !self.marks.is_empty() {
            let mark = |mark: &'_ Mark| (mark.in_last_applied, mark.writers.clone().into_iter());
            out.marks(self.marks.iter().map(mark));
        }
        out.flags(self.terminating, self.unreadable);
        if !self.writers.is_empty() {
            out.writers(self.writers.iter().map(|writer| {
                let FieldWriter {
                    manager,
                    operation,
                    subresource,
                    api_version,
                } = writer;
                [manager, operation, subresource, api_version].map(|text| &**text)
            }));
        }
        out.end()
    }

    /// Reads what [`Shape::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let Value::Object(map) = serde_json::from_slice(bytes).ok()? else {
            return None;
        };
        let mut shape = Self::default();
        for (key, value) in map {
            match (key.as_str(), value) {
                ("w", Value::Array(writers)) => {
                    shape.writers = writers.iter().map(decode_writer).collect::<Option<_>>()?;
                }
                ("s", Value::Array(marks)) => {
                    shape.marks = marks.iter().map(decode_mark).collect::<Option<_>>()?;
                }
                ("o", owners) => shape.owners = Some(decode_owners(owners, 0)?),
                ("m", Value::Array(masks)) => {
                    shape.masks = masks.iter().map(decode_mask).collect::<Option<_>>()?;
                }
                ("t", Value::Bool(true)) => shape.terminating = true,
                ("l", Value::Bool(true)) => shape.has_last_applied = true,
                ("u", Value::Bool(true)) => shape.unreadable = true,
                ("r", reported @ Value::Object(_)) => shape.reported = Some(reported),
                _ => return None,
            }
        }
        let count = shape.writers.len();
        let writers_exist = shape
            .marks
            .iter()
            .all(|mark| mark.writers.is_sorted() && mark.writers.iter().all(|&w| w < count));
        let marks = shape.marks.len();
        let marks_exist = shape.owners.as_ref().is_none_or(|o| within(o, marks));
        (writers_exist && marks_exist).then_some(shape)
    }
}

fn within(owners: &Owners, marks: usize) -> bool {
    match owners {
        Owners::All(mark) => *mark < marks,
        Owners::Map(children) => children.values().all(|one| within(one, marks)),
        Owners::List(elements) => elements.iter().all(|one| within(one, marks)),
        Owners::Element(mark, below) => *mark < marks && within(below, marks),
    }
}

/// Times by writer, as [`Times::encode`] writes them; nothing where there are none.
pub(super) fn encode_times<'t>(times: impl Iterator<Item = Option<&'t str>>) -> Vec<u8> {
    let mut out = Out(Vec::new());
    let mut nothing = 0;
    for time in times {
        let Some(time) = time else {
            nothing += 1;
            continue;
        };
        for _ in 0..std::mem::take(&mut nothing) {
            out.next();
            out.raw("null");
        }
        out.next();
        out.text(time);
    }
    if out.0.is_empty() {
        return out.0;
    }
    for _ in 0..nothing {
        out.next();
        out.raw("null");
    }
    out.byte(b']');
    out.0
}

thread_local! {
    /// Room for the next shape.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// No more room than this is kept.
const MOST_ROOM: usize = 1 << 17;

/// Writes JSON without building it first: one shape for each object that is read.
pub(super) struct Out(Vec<u8>);

impl Out {
    pub(super) fn new() -> Self {
        let mut room = ROOM.take();
        room.clear();
        Self(room)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn truncate(&mut self, to: usize) {
        self.0.truncate(to);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Begins an array, or its next element.
    fn next(&mut self) {
        let byte = if self.0.is_empty() { b'[' } else { b',' };
        self.byte(byte);
    }

    /// Begins a shape.
    pub(super) fn begin(&mut self, has_last_applied: bool, masks: &[Mask]) {
        self.byte(b'{');
        if has_last_applied {
            self.field("l");
            self.raw("true");
        }
        if !masks.is_empty() {
            self.field("m");
            self.list(masks.iter(), Self::mask);
        }
    }

    pub(super) fn reported(&mut self, reported: Option<&Value>) {
        if let Some(reported) = reported {
            self.field("r");
            self.raw(&reported.to_string());
        }
    }

    /// Of each mark whether last-applied has the place, and its writers.
    pub(super) fn marks<W: Iterator<Item = usize>>(
        &mut self,
        marks: impl Iterator<Item = (bool, W)>,
    ) {
        self.field("s");
        self.list(marks, |out, (in_last_applied, writers)| {
            out.byte(b'[');
            let mut any = in_last_applied;
            if in_last_applied {
                out.raw("-1");
            }
            for writer in writers {
                if std::mem::replace(&mut any, true) {
                    out.byte(b',');
                }
                out.number(writer);
            }
            out.byte(b']');
        });
    }

    pub(super) fn flags(&mut self, terminating: bool, unreadable: bool) {
        for (key, holds) in [("t", terminating), ("u", unreadable)] {
            if holds {
                self.field(key);
                self.raw("true");
            }
        }
    }

    pub(super) fn writers<'t>(&mut self, writers: impl Iterator<Item = [&'t str; 4]>) {
        self.field("w");
        self.list(writers, |out, texts| {
            out.list(texts.into_iter(), Self::text);
        });
    }

    /// Ends a shape.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.byte(b'}');
        // As many bytes as there are: some thousands of shapes wait for their commit.
        let bytes = self.0.clone();
        if self.0.capacity() <= MOST_ROOM {
            ROOM.set(self.0);
        }
        bytes
    }

    /// Begins an element that others own than what is in it.
    pub(super) fn begin_element(&mut self, mark: usize) {
        self.raw("[\"e\",");
        self.number(mark);
        self.byte(b',');
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if text.bytes().all(plain) {
            self.byte(b'"');
            self.raw(text);
            self.byte(b'"');
        } else {
            self.raw(&Value::from(text).to_string());
        }
    }

    pub(super) fn number(&mut self, number: usize) {
        if let Ok(digit @ 0..=9) = u8::try_from(number) {
            self.byte(b'0' + digit);
        } else {
            self.raw(&number.to_string());
        }
    }

    /// A key of the outermost object.
    pub(super) fn field(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.byte(b',');
        }
        self.text(key);
        self.byte(b':');
    }

    fn list<T>(&mut self, of: impl Iterator<Item = T>, write: impl Fn(&mut Self, T)) {
        self.byte(b'[');
        for (at, one) in of.enumerate() {
            if at > 0 {
                self.byte(b',');
            }
            write(self, one);
        }
        self.byte(b']');
    }

    fn owners(&mut self, owners: &Owners) {
        match owners {
            Owners::All(mark) => self.number(*mark),
            Owners::Map(children) => {
                self.byte(b'{');
                for (at, (key, child)) in children.iter().enumerate() {
                    if at > 0 {
                        self.byte(b',');
                    }
                    self.text(key);
                    self.byte(b':');
                    self.owners(child);
                }
                self.byte(b'}');
            }
            Owners::List(elements) => self.list(elements.iter(), Self::owners),
            Owners::Element(mark, below) => {
                self.begin_element(*mark);
                self.owners(below);
                self.byte(b']');
            }
        }
    }

    fn mask(&mut self, mask: &Mask) {
        self.byte(b'[');
        self.list(mask.path.iter(), |out, step| match step {
            Step::Key(key) => out.text(key),
            Step::Index(index) => out.number(*index),
        });
        self.raw(match mask.kind {
            MaskKind::Pruned => ",\"p\",",
            MaskKind::Allocated => ",\"a\",",
            MaskKind::Redacted => ",\"r\",",
        });
        self.text(&mask.rule);
        self.byte(b']');
    }
}

fn decode_mark(value: &Value) -> Option<Mark> {
    let list = value.as_array()?;
    let in_last_applied = list.first().and_then(Value::as_i64) == Some(-1);
    Some(Mark {
        writers: list[usize::from(in_last_applied)..]
            .iter()
            .map(index)
            .collect::<Option<_>>()?,
        in_last_applied,
    })
}

fn decode_owners(value: Value, depth: usize) -> Option<Owners> {
    if depth > DEEPEST {
        return None;
    }
    Some(match value {
        Value::Number(_) => Owners::All(index(&value)?),
        Value::Object(map) if !map.is_empty() => {
            let child = |(key, child): (String, Value)| {
                Some((key.into_boxed_str(), decode_owners(child, depth + 1)?))
            };
            let children: Option<BTreeMap<_, _>> = map.into_iter().map(child).collect();
            Owners::Map(children?)
        }
        Value::Array(mut list) if list.first().and_then(Value::as_str) == Some(ELEMENT) => {
            let below = list.pop()?;
            let [_, mark] = list.as_slice() else {
                return None;
            };
            match decode_owners(below, depth)? {
                Owners::Element(..) => return None,
                below => Owners::Element(index(mark)?, Box::new(below)),
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let elements = list.into_iter();
            let elements: Option<Vec<_>> = elements.map(|o| decode_owners(o, depth + 1)).collect();
            Owners::List(elements?)
        }
        _ => return None,
    })
}

fn decode_mask(value: &Value) -> Option<Mask> {
    let [path, kind, rule] = value.as_array()?.as_slice() else {
        return None;
    };
    let step = |step: &Value| match step {
        Value::String(key) => Some(Step::Key(key.as_str().into())),
        other => index(other).map(Step::Index),
    };
    Some(Mask {
        path: path.as_array()?.iter().map(step).collect::<Option<_>>()?,
        kind: match kind.as_str()? {
            "p" => MaskKind::Pruned,
            "a" => MaskKind::Allocated,
            "r" => MaskKind::Redacted,
            _ => return None,
        },
        rule: rule.as_str()?.into(),
    })
}

fn decode_writer(value: &Value) -> Option<FieldWriter> {
    let [manager, operation, subresource, api_version] = value.as_array()?.as_slice() else {
        return None;
    };
    Some(FieldWriter {
        manager: manager.as_str()?.into(),
        operation: operation.as_str()?.into(),
        subresource: subresource.as_str()?.into(),
        api_version: api_version.as_str()?.into(),
    })
}

fn index(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}
