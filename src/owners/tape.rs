//! The tokens of a JSON text, found in one pass, so that what is not needed is stepped over.
//!
//! A tape borrows its text and builds no value. It takes a little more than JSON: what stands in
//! the place of a number or of a literal is not looked into.

use std::borrow::Cow;
use std::cell::Cell;

thread_local! {
    /// Room for the tokens of the next text: an allocation of this size for each would cost as much
    /// as reading does.
    static ROOM: Cell<Vec<Token>> = const { Cell::new(Vec::new()) };
}

/// No more room than this is kept.
const MOST_ROOM: usize = 1 << 14;

/// The tokens of one text.
pub(super) struct Tape<'a> {
    text: &'a str,
    tokens: Vec<Token>,
}

/// A value, or the key of an object.
#[derive(Clone, Copy)]
struct Token {
    kind: Kind,
    /// Bytes of the text; of a string what is between the quotes.
    start: u32,
    end: u32,
    /// The token behind the value; while an object or array is open, the one around it.
    next: u32,
}

/// Nothing is around the whole text's value.
const OUTSIDE: u32 = u32::MAX;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    /// A string that is as it stands.
    Text,
    /// A string with escapes.
    Escaped,
    Null,
    /// A number or a boolean.
    Scalar,
}

/// A place on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u32);

impl At {
    /// The whole text's value.
    pub(super) const ROOT: Self = Self(0);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
}

impl<'a> Tape<'a> {
    /// Reads a text; `None` where it is not one JSON value, or longer than 4 GiB.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        u32::try_from(text.len()).ok()?;
        let mut tokens = ROOM.take();
        tokens.clear();
        // A field set has one for six bytes.
        tokens.reserve(text.len() / 5 + 4);
        let mut reader = Reader {
            bytes: text.as_bytes(),
            at: 0,
            tokens,
            open: OUTSIDE,
        };
        let complete = reader.read();
        let tape = Self {
            text,
            tokens: reader.tokens,
        };
        complete.map(|()| tape)
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    fn token(&self, at: At) -> Token {
        self.tokens[at.0 as usize]
    }

    pub(super) fn kind(&self, at: At) -> Kind {
        self.token(at).kind
    }

    /// A string; `None` for every other value, and where an escape is no character.
    pub(super) fn string(&self, at: At) -> Option<Cow<'a, str>> {
        let Token {
            kind, start, end, ..
        } = self.token(at);
        let text = self.text.get(start as usize..end as usize)?;
        match kind {
            Kind::Text => Some(Cow::Borrowed(text)),
            Kind::Escaped => unescape(text).map(Cow::Owned),
            _ => None,
        }
    }

    /// What stands between the quotes of a string with escapes.
    pub(super) fn escaped(&self, at: At) -> Option<&'a str> {
        let Token {
            kind, start, end, ..
        } = self.token(at);
        let text = self.text.get(start as usize..end as usize)?;
        (kind == Kind::Escaped).then_some(text)
    }

    /// A value's text.
    pub(super) fn raw(&self, at: At) -> &'a str {
        let Token {
            kind, start, end, ..
        } = self.token(at);
        let quote = usize::from(matches!(kind, Kind::Text | Kind::Escaped));
        let range = (start as usize).saturating_sub(quote)..end as usize + quote;
        self.text.get(range).unwrap_or_default()
    }

    /// The keys of an object with their values; none of any other value.
    pub(super) fn entries(&self, at: At) -> impl Iterator<Item = (At, At)> {
        let token = self.token(at);
        let end = if token.kind == Kind::Object {
            token.next
        } else {
            at.0 + 1
        };
        let mut key = at.0 + 1;
        std::iter::from_fn(move || {
            let here = At(key);
            let value = At(key + 1);
            (key < end).then(|| {
                key = self.token(value).next;
                (here, value)
            })
        })
    }

    /// The elements of an array; none of any other value.
    pub(super) fn elements(&self, at: At) -> impl Iterator<Item = At> {
        let token = self.token(at);
        let end = if token.kind == Kind::Array {
            token.next
        } else {
            at.0 + 1
        };
        let mut element = at.0 + 1;
        std::iter::from_fn(move || {
            let here = At(element);
            (element < end).then(|| {
                element = self.token(here).next;
                here
            })
        })
    }
}

impl Drop for Tape<'_> {
    fn drop(&mut self) {
        if self.tokens.capacity() <= MOST_ROOM {
            ROOM.set(std::mem::take(&mut self.tokens));
        }
    }
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
    tokens: Vec<Token>,
    /// The innermost object or array whose end is to come.
    open: u32,
}

impl Reader<'_> {
    fn read(&mut self) -> Option<()> {
        let mut expected = Expected::Value;
        loop {
            let Some(byte) = self.next_byte() else {
                let complete = self.open == OUTSIDE && expected == Expected::CommaOrEnd;
                return complete.then_some(());
            };
            let value = matches!(expected, Expected::Value | Expected::ValueOrEnd);
            expected = match byte {
                b'"' if value => {
                    self.string()?;
                    Expected::CommaOrEnd
                }
                b'"' if matches!(expected, Expected::Key | Expected::KeyOrEnd) => {
                    self.string()?;
                    if self.next_byte()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    Expected::Value
                }
                b'{' if value => {
                    self.begin(Kind::Object);
                    Expected::KeyOrEnd
                }
                b'[' if value => {
                    self.begin(Kind::Array);
                    Expected::ValueOrEnd
                }
                b',' if expected == Expected::CommaOrEnd => {
                    self.at += 1;
                    match self.innermost()? {
                        Kind::Object => Expected::Key,
                        _ => Expected::Value,
                    }
                }
                b'}' if matches!(expected, Expected::KeyOrEnd | Expected::CommaOrEnd) => {
                    self.close(Kind::Object)?
                }
                b']' if matches!(expected, Expected::ValueOrEnd | Expected::CommaOrEnd) => {
                    self.close(Kind::Array)?
                }
                b'-' | b'0'..=b'9' | b'a'..=b'z' if value => {
                    self.scalar();
                    Expected::CommaOrEnd
                }
                _ => return None,
            };
        }
    }

    /// The next byte that is no space; stays before it.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn innermost(&self) -> Option<Kind> {
        self.tokens.get(self.open as usize).map(|open| open.kind)
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        // No text is longer than what these numbers hold.
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.tokens.push(Token {
            kind,
            start: number(start),
            end: number(end),
            next: number(self.tokens.len() + 1),
        });
    }

    fn begin(&mut self, kind: Kind) {
        let number = u32::try_from(self.tokens.len()).unwrap_or(OUTSIDE);
        self.push(kind, self.at, self.at);
        if let Some(token) = self.tokens.last_mut() {
            token.next = std::mem::replace(&mut self.open, number);
        }
        self.at += 1;
    }

    fn close(&mut self, kind: Kind) -> Option<Expected> {
        self.at += 1;
        let next = u32::try_from(self.tokens.len()).unwrap_or(u32::MAX);
        let end = u32::try_from(self.at).unwrap_or(u32::MAX);
        let open = self.tokens.get_mut(self.open as usize)?;
        self.open = std::mem::replace(&mut open.next, next);
        open.end = end;
        (open.kind == kind).then_some(Expected::CommaOrEnd)
    }

    fn string(&mut self) -> Option<()> {
        let start = self.at + 1;
        let mut kind = Kind::Text;
        let mut at = start;
        loop {
            match *self.bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    kind = Kind::Escaped;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.push(kind, start, at);
        self.at = at + 1;
        Some(())
    }

    fn scalar(&mut self) {
        let start = self.at;
        let within = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z');
        while self.bytes.get(self.at).is_some_and(within) {
            self.at += 1;
        }
        let kind = if &self.bytes[start..self.at] == b"null" {
            Kind::Null
        } else {
            Kind::Scalar
        };
        self.push(kind, start, self.at);
    }
}

/// What a string with escapes says; `None` where one of them is no character.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let escaped = after.as_bytes().first()?;
        if !matches!(escaped, b'"' | b'\\' | b'/') {
            // Rare where a field or an element is named.
            return serde_json::from_str(&format!("\"{text}\"")).ok();
        }
        out.push(char::from(*escaped));
        rest = &after[1..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    /// The value again, by the tape alone.
    fn build(tape: &Tape<'_>, at: At) -> Value {
        match tape.kind(at) {
            Kind::Object => {
                let entry = |(key, value)| {
                    let key: String = tape.string(key).unwrap().into_owned();
                    (key, build(tape, value))
                };
                Value::Object(tape.entries(at).map(entry).collect::<Map<_, _>>())
            }
            Kind::Array => tape.elements(at).map(|one| build(tape, one)).collect(),
            Kind::Text | Kind::Escaped => Value::from(&*tape.string(at).unwrap()),
            Kind::Null => Value::Null,
            Kind::Scalar => serde_json::from_str(tape.raw(at)).unwrap(),
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\"\\\\/a\n]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from);
            let map = prop::collection::btree_map("[a-c\"\\\\:é]{0,3}", inner, 0..6);
            let map = map.prop_map(|map| Value::Object(map.into_iter().collect()));
            prop_oneof![list, map]
        })
    }

    proptest! {
        #[test]
        fn a_tape_says_what_the_text_says(value in value(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let tape = Tape::of(&text).unwrap();
            prop_assert_eq!(build(&tape, At::ROOT), value);
            prop_assert_eq!(tape.raw(At::ROOT), &text);
        }

        #[test]
        fn what_a_parser_takes_a_tape_takes(text in "[\\[\\]{}:,\"\\\\ a1-]{0,12}") {
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert!(!parsed || Tape::of(&text).is_some());
        }
    }

    #[test]
    fn broken_texts_have_none_and_deep_ones_do() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "]",
            "}",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "[1 2]",
            "[}",
            "{]",
            "1 2",
            "\"",
            "\"\\",
            "\"a\\\"",
            "[]]",
            ",",
            "{\"a\",1}",
        ] {
            assert!(Tape::of(text).is_none(), "{text}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(Tape::of(&deep).unwrap().elements(At::ROOT).count(), 1);
        let tape = Tape::of(r#"["\ud800", "\ud83d\ude00"]"#).unwrap();
        let texts: Vec<_> = tape.elements(At::ROOT).map(|at| tape.string(at)).collect();
        assert_eq!(texts, [None, Some("😀".into())]);
    }
}
