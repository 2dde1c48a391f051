//! The reader of data: any bytes are a value or an error, and a value survives the emitter.

use serde_json::Value;
use strandline::canonical::{ReadError, emit, read, read_all};

use crate::{SMOKE, sentence};

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "\n", "\n", "\n", "\n  ", "\n  ", "\n    ", "\n\t", " ", "  ", "- ", "- ", "-", "a: ", "b: ",
    "key:", "? ", ": ", ":", "---\n", "...\n", "--- ", "# c\n", " #", "|\n", "|-\n", "|+\n", "|2\n",
    ">\n", ">-\n", "\"", "\"", "'", "'", "\\", "\\x41", "\\ud83d", "\\ude00", "\\u0000", "{", "}",
    "[", "]", ",", "&x ", "*x", "*y", "<<: ", "!!str ", "!!int ", "!!binary ", "!t ", "%YAML 1.1\n",
    "yes", "0644", "0o7", "1:30", "1_000", ".inf", "-.5", "1e400", "1.0", "-0", "~", "null", "true",
    "18446744073709551616", "2024-01-01", "YWJj", "x", "\u{85}", "\u{2028}", "\u{feff}", "\0", "\r",
    "\r\n", "é", "😀", "{\"a\": [1, {}]}", "a: &x {b: 1}\n", "c: *x\n", "<<: *x\n", "=",
];

/// Text that no error may repeat: it stands for a Secret's value.
const SECRET: &str = "Sw0rdf1sh";

/// Most words of one sentence.
const LONGEST: usize = 16;

/// The law.
fn holds(text: &[u8]) {
    if let Err(error) = read_all(text) {
        stands_in(&error, text);
    }
    match read(text) {
        Ok(value) => survives(&value),
        Err(error) => stands_in(&error, text),
    }
    for at in [text.len() / 3, text.len()] {
        let secret = [&text[..at], SECRET.as_bytes(), &text[at..]].concat();
        if let Err(error) = read(&secret) {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}

fn survives(value: &Value) {
    let mut text = Vec::new();
    emit(value, &mut text);
    assert_eq!(text.last(), Some(&b'\n'));
    let again = read(&text).expect("what is emitted is read");
    assert_eq!(&again, value);
    let mut twice = Vec::new();
    emit(&again, &mut twice);
    assert_eq!(twice, text, "one form");
}

fn stands_in(error: &ReadError, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    // YAML 1.1 has more characters that end a line, and a missing part is missed behind the end.
    let ends = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    assert!((1..=text.matches(ends).count() + 2).contains(&error.line));
    assert!((1..=text.chars().count() + 2).contains(&error.column));
}

#[test]
fn bytes() {
    bolero::check!()
        .with_iterations(SMOKE)
        .for_each(|input: &[u8]| holds(input));
}

#[test]
fn words() {
    bolero::check!()
        .with_generator(sentence(WORDS, LONGEST))
        .with_iterations(SMOKE)
        .for_each(|text: &String| holds(text.as_bytes()));
}
