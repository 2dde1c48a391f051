//! The emitter.
//!
//! - Keys in the order of their bytes; two spaces per level; a list's dashes stand under the first
//!   letter of its key, as in `kubectl get -o yaml`.
//! - A string is plain only where no reader of any YAML version takes it for something else; a
//!   literal block where it has lines and a block can hold it without loss; single-quoted where
//!   double quotes would need a backslash and single ones need none; else double-quoted.
//! - Nothing is folded: one line of a value is one line of a diff.
//!
//! The plain rule is narrower than kubectl's on purpose. It holds for the resolvers of YAML 1.1
//! (<https://yaml.org/type/>), which read `1:30`, `0b1`, `1_000` and `=` as something else, of
//! YAML 1.2 (<https://yaml.org/spec/1.2.2/#103-core-schema>), which reads `0o7`, and of Go's
//! decoders, which read `y` as true.

use serde_json::{Map, Number, Value};

/// Longest plain scalar, in bytes.
const LONGEST_PLAIN: usize = 256;
/// Longest key that is written as `key:`, in bytes as written. A reader looks no further than 1,024
/// characters for the colon (<https://yaml.org/spec/1.2.2/#742-flow-mappings>).
const LONGEST_SIMPLE_KEY: usize = 1000;

/// Appends `value` to `out` as one YAML document, without `---`, ending in a newline.
///
/// The bytes are a function of the value alone. [`read()`](super::read()) gives the value back.
pub fn emit(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) if !map.is_empty() => emit_map(map, 0, out),
        Value::Array(items) if !items.is_empty() => emit_list(items, 0, out),
        scalar => {
            emit_scalar(scalar, 2, out);
            out.push(b'\n');
        }
    }
}

/// Writes the entries at `indent`; the first starts where `out` ends.
fn emit_map(map: &Map<String, Value>, indent: usize, out: &mut Vec<u8>) {
    let mut first = true;
    for (key, value) in map {
        if !first {
            push_indent(indent, out);
        }
        first = false;
        emit_key(key, indent, out);
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push(b'\n');
                push_indent(indent + 2, out);
                emit_map(map, indent + 2, out);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push(b'\n');
                push_indent(indent, out);
                emit_list(items, indent, out);
            }
            scalar => {
                out.push(b' ');
                emit_scalar(scalar, indent + 2, out);
                out.push(b'\n');
            }
        }
    }
}

/// Writes the items with their dashes at `indent`; the first starts where `out` ends.
fn emit_list(items: &[Value], indent: usize, out: &mut Vec<u8>) {
    let mut first = true;
    for item in items {
        if !first {
            push_indent(indent, out);
        }
        first = false;
        out.extend_from_slice(b"- ");
        match item {
            Value::Object(map) if !map.is_empty() => emit_map(map, indent + 2, out),
            Value::Array(items) if !items.is_empty() => emit_list(items, indent + 2, out),
            scalar => {
                emit_scalar(scalar, indent + 2, out);
                out.push(b'\n');
            }
        }
    }
}

/// Writes `key:`; a key too long for that as `? key`, with the colon on a line of its own.
fn emit_key(key: &str, indent: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let traits = traits_of(key);
    if is_plain(key.as_bytes(), traits) {
        out.extend_from_slice(key.as_bytes());
    } else {
        emit_quoted(key, traits, out);
        if out.len() - start > LONGEST_SIMPLE_KEY {
            out.splice(start..start, *b"? ");
            out.push(b'\n');
            push_indent(indent, out);
        }
    }
    out.push(b':');
}

/// Writes a scalar or an empty collection, without a newline after it. `indent` is that of a block's
/// lines.
fn emit_scalar(value: &Value, indent: usize, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => emit_number(number, out),
        Value::String(text) => emit_string(text, indent, out),
        Value::Array(_) => out.extend_from_slice(b"[]"),
        Value::Object(_) => out.extend_from_slice(b"{}"),
    }
}

/// Writes a number as JSON does, but a float with a dot and a signed exponent: `1.0e+21`. YAML 1.1
/// asks for both (<https://yaml.org/type/float.html>); without them `1e21` is a string.
fn emit_number(number: &Number, out: &mut Vec<u8>) {
    let start = out.len();
    serde_json::to_writer(&mut *out, number).expect("a number has a text, and a Vec takes it");
    if !number.is_f64() {
        return;
    }
    let Some(exponent) = out[start..].iter().position(|&byte| byte == b'e') else {
        return;
    };
    let exponent = start + exponent;
    if !matches!(out[exponent + 1], b'-' | b'+') {
        out.insert(exponent + 1, b'+');
    }
    if !out[start..exponent].contains(&b'.') {
        out.splice(exponent..exponent, *b".0");
    }
}

fn emit_string(text: &str, indent: usize, out: &mut Vec<u8>) {
    let traits = traits_of(text);
    if is_plain(text.as_bytes(), traits) {
        out.extend_from_slice(text.as_bytes());
    } else if traits & BREAK != 0 && fits_block(text, traits) {
        emit_block(text.as_bytes(), indent, out);
    } else {
        emit_quoted(text, traits, out);
    }
}

// What the bytes of a string are. `traits_of` unites those of all its bytes.
/// A line feed.
const BREAK: u8 = 1;
/// A tab.
const TAB: u8 = 1 << 1;
/// Another control character, or DEL: escaped wherever it stands.
const CONTROL: u8 = 1 << 2;
/// Part of a character beyond ASCII.
const WIDE: u8 = 1 << 3;
/// `"` or `\`: needs a backslash between double quotes.
const ESCAPED: u8 = 1 << 4;
/// Space, `:` or `#`: whether it may stand in a plain scalar depends on its neighbours.
const CONTEXT: u8 = 1 << 5;
/// In no number and no time of any resolver, so that a string with it is neither. The letters of
/// `0x`, `0o`, `0b`, hexadecimal digits, `e`, `inf`, `nan`, `infinity`, `p`, `T` and `Z` are not
/// among them.
const NO_NUMBER: u8 = 1 << 6;
/// An apostrophe.
const APOSTROPHE: u8 = 1 << 7;

static TRAITS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 255")]
        let traits = match byte as u8 {
            b'\n' => BREAK,
            b'\t' => TAB,
            0..0x20 | 0x7f => CONTROL,
            0x80.. => WIDE,
            b'"' | b'\\' => ESCAPED,
            b' ' | b':' | b'#' => CONTEXT,
            b'\'' => APOSTROPHE,
            byte => match byte.to_ascii_lowercase() {
                b'g' | b'h' | b'j'..=b'm' | b'q'..=b's' | b'u'..=b'w' | b'%' | b'/' => NO_NUMBER,
                _ => 0,
            },
        };
        table[byte] = traits;
        byte += 1;
    }
    table
};

#[inline]
fn traits_of(text: &str) -> u8 {
    text.bytes()
        .fold(0, |traits, byte| traits | TRAITS[usize::from(byte)])
}

/// Whether a string of these bytes stands for itself without quotes.
#[inline]
fn is_plain(text: &[u8], traits: u8) -> bool {
    let Some((&first, rest)) = text.split_first() else {
        return false;
    };
    if traits & (BREAK | TAB | CONTROL | WIDE) != 0 || text.len() > LONGEST_PLAIN {
        return false;
    }
    let starts_well = match first {
        b'e' | b'E' => !rest
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'_' | b'+' | b'-' | b'.')),
        b'a'..=b'z' | b'A'..=b'Z' => !is_reserved(text),
        b'/' | b'_' | b'$' | b'(' => true,
        b'0'..=b'9' => traits & NO_NUMBER != 0,
        // `...` ends a document.
        b'.' => traits & NO_NUMBER != 0 && !rest.starts_with(b".."),
        // `- ` starts an item, `---` a document. A command line's option is neither, and no number
        // unless `-inf` or `-nan`.
        b'-' => match rest.first() {
            None | Some(b' ') => false,
            Some(b'-') => rest.get(1).is_some_and(u8::is_ascii_alphabetic),
            Some(letter) if letter.is_ascii_alphabetic() => {
                !matches!(letter, b'i' | b'I' | b'n' | b'N') || traits & NO_NUMBER != 0
            }
            Some(_) => traits & NO_NUMBER != 0,
        },
        _ => false,
    };
    starts_well && (traits & CONTEXT == 0 || context_is_plain(text))
}

/// Words that some resolver takes for a boolean, a null or a number, in any case.
fn is_reserved(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 11] = [
        b"y", b"n", b"no", b"on", b"yes", b"off", b"nan", b"inf", b"true", b"null", b"false",
    ];
    text.len() <= 5 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether every space, colon and hash is inside a word or between two: no space at the end or
/// beside another, no colon before a space or at the end, no hash after a space.
fn context_is_plain(text: &[u8]) -> bool {
    let pairs = text
        .windows(2)
        .all(|pair| !matches!(pair, [b' ', b' ' | b'#'] | [b':', b' ']));
    pairs && !matches!(text.last(), Some(b' ' | b':'))
}

/// Whether a literal block holds `text` without loss and without an indentation indicator.
fn fits_block(text: &str, traits: u8) -> bool {
    let bytes = text.as_bytes();
    traits & CONTROL == 0
        && !matches!(bytes.first(), Some(b'\n' | b' ' | b'\t'))
        && !matches!(bytes.last(), Some(b' ' | b'\t'))
        && !bytes
            .windows(2)
            .any(|pair| matches!(pair, [b' ' | b'\t', b'\n']))
        && (traits & WIDE == 0 || !text.chars().any(is_escaped))
}

/// Characters beyond ASCII that some reader takes for a line's end, drops, or refuses:
/// <https://yaml.org/spec/1.2.2/#51-character-set>, and what YAML 1.1 and JavaScript break lines at
/// or count as space.
fn is_escaped(char: char) -> bool {
    matches!(
        char,
        '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}

fn emit_block(text: &[u8], indent: usize, out: &mut Vec<u8>) {
    let kept = text.strip_suffix(b"\n");
    // The caller ends the last line.
    let body = match kept {
        None => {
            out.extend_from_slice(b"|-");
            text
        }
        Some(body) if body.ends_with(b"\n") => {
            out.extend_from_slice(b"|+");
            body
        }
        Some(body) => {
            out.push(b'|');
            body
        }
    };
    for line in body.split(|&byte| byte == b'\n') {
        out.push(b'\n');
        if !line.is_empty() {
            push_indent(indent, out);
            out.extend_from_slice(line);
        }
    }
}

fn emit_quoted(text: &str, traits: u8, out: &mut Vec<u8>) {
    if traits & (BREAK | TAB | CONTROL | WIDE | APOSTROPHE) == 0 && traits & ESCAPED != 0 {
        out.push(b'\'');
        out.extend_from_slice(text.as_bytes());
        out.push(b'\'');
        return;
    }
    out.push(b'"');
    if traits & WIDE == 0 {
        escape_ascii(text.as_bytes(), out);
    } else {
        let mut start = 0;
        for (at, char) in text.char_indices().filter(|&(_, char)| is_escaped(char)) {
            escape_ascii(&text.as_bytes()[start..at], out);
            push_escape(u32::from(char), out);
            start = at + char.len_utf8();
        }
        escape_ascii(&text.as_bytes()[start..], out);
    }
    out.push(b'"');
}

/// Copies `text`, its ASCII escaped for double quotes.
fn escape_ascii(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|&byte| TRAITS[usize::from(byte)] & (BREAK | TAB | CONTROL | ESCAPED) != 0)
    {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => push_escape(byte.into(), out),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Writes `\xNN` or `\uNNNN`; no character beyond those is escaped.
fn push_escape(code: u32, out: &mut Vec<u8>) {
    let (letter, digits) = if code < 0x100 { (b'x', 2) } else { (b'u', 4) };
    out.extend_from_slice(&[b'\\', letter]);
    for place in (0..digits).rev() {
        let nibble = (code >> (4 * place)) & 0xf;
        out.push(b"0123456789abcdef"[nibble as usize]);
    }
}

#[inline]
fn push_indent(width: usize, out: &mut Vec<u8>) {
    const SPACES: [u8; 64] = [b' '; 64];
    let mut left = width;
    while left > SPACES.len() {
        out.extend_from_slice(&SPACES);
        left -= SPACES.len();
    }
    out.extend_from_slice(&SPACES[..left]);
}
