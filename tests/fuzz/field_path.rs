//! Field paths: what is read is written back, and an error stands inside the text.

use strandline::filter::FieldPath;

use crate::{SMOKE, sentence};

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "spec", "a", "0", "$x", ".spec", ".a", ".-", "._", "[*]", "[*]", "[name=web]", "[=x/y:z]",
    "[=\"\"]", "[=\",\"]", "[\"a.b/c\"]", "[\"\\u0041\\n\"]", "[\"\\ud83d\\ude00\"]", "[\"😀\"]",
    "[\"\"]", "[port=80,protocol=\"T\\\"P\"]", ".", "[", "]", "*", "=", "\"", "\\", "\\ud800", ",",
    " ", "\n", "\0", "é", "日", "\u{feff}", "'", "/", ":",
];

/// Most words of one sentence.
const LONGEST: usize = 8;

/// The law.
fn holds(text: &str) {
    match FieldPath::parse(text) {
        Ok(path) => {
            assert!(!path.segments().is_empty());
            let shown = path.to_string();
            let again = FieldPath::parse(&shown).expect("what is shown is a path");
            assert_eq!(again, path);
            assert_eq!(again.to_string(), shown, "one spelling");
        }
        Err(error) => {
            // One more than the text has: something is missing at its end.
            assert!((1..=text.chars().count() + 1).contains(&error.column));
            assert!(!error.expected.is_empty());
            let shown = error.to_string();
            assert!(!shown.contains(char::is_control), "{shown:?}");
        }
    }
}

#[test]
fn bytes() {
    bolero::check!()
        .with_iterations(SMOKE)
        .for_each(|input: &[u8]| holds(&String::from_utf8_lossy(input)));
}

#[test]
fn words() {
    bolero::check!()
        .with_generator(sentence(WORDS, LONGEST))
        .with_iterations(SMOKE)
        .for_each(|text: &String| holds(text));
}
