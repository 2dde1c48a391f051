//! Random values, and the search for any piece of one.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;

/// Length of a piece, in bytes. Shorter ones occur by chance.
const PIECE: usize = 8;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// How a value was written where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    /// As the inside of a JSON string.
    Escaped,
    /// In base64, this many bytes into a longer text, modulo 3.
    Base64(u8),
}

/// Values, and every piece of each of their forms.
pub(crate) struct Values {
    values: Vec<Vec<u8>>,
    pieces: HashMap<[u8; PIECE], (usize, Form)>,
}

impl Values {
    /// `count` values: words, lines, punctuation and bytes, of 8 to some hundred bytes.
    pub(crate) fn random(seed: u64, count: usize) -> Self {
        let mut random = Rng::with_seed(seed);
        let values: Vec<_> = (0..count).map(|at| value(&mut random, at)).collect();
        let mut pieces = HashMap::new();
        for (at, value) in values.iter().enumerate() {
            for (form, text) in forms(value) {
                for piece in text.windows(PIECE) {
                    let piece = piece.try_into().expect("a window's length");
                    pieces.entry(piece).or_insert((at, form));
                }
            }
        }
        Self { values, pieces }
    }

    pub(crate) fn get(&self, at: usize) -> &[u8] {
        &self.values[at]
    }

    /// A value that is text; each second one is.
    pub(crate) fn text(&self, at: usize) -> &str {
        std::str::from_utf8(&self.values[at]).expect("not every value is text")
    }

    pub(crate) fn is_text(&self, at: usize) -> bool {
        std::str::from_utf8(&self.values[at]).is_ok()
    }

    pub(crate) fn base64(&self, at: usize) -> String {
        STANDARD.encode(&self.values[at])
    }

    /// Which values `bytes` hold a piece of, each with the form of the first piece.
    pub(crate) fn find(&self, bytes: &[u8]) -> HashMap<usize, Form> {
        let mut found = HashMap::new();
        for window in bytes.windows(PIECE) {
            if let Some(&(at, form)) = self.pieces.get(window) {
                found.entry(at).or_insert(form);
            }
        }
        found
    }

    /// How a value is found in `bytes` in each form; for the test of the search.
    pub(crate) fn forms_of(&self, at: usize) -> Vec<(Form, Vec<u8>)> {
        forms(&self.values[at])
    }
}

fn letters(random: &mut Rng, length: usize) -> Vec<u8> {
    (0..length)
        .map(|_| LETTERS[random.usize(..LETTERS.len())])
        .collect()
}

fn value(random: &mut Rng, at: usize) -> Vec<u8> {
    let length = random.usize(PIECE..80);
    match at % 8 {
        // The shortest that are searched for.
        0 => letters(random, PIECE),
        2 => letters(random, 300 + length),
        // Lines: a block in YAML, each at its indent.
        4 => {
            let lines: Vec<_> = (0..4).map(|_| letters(random, 20)).collect();
            let mut text = lines.join(&b'\n');
            text.push(b'\n');
            text
        }
        // What JSON and YAML escape, between words that they do not.
        6 => {
            let mut text = letters(random, 12);
            text.extend_from_slice("\"\\é: #\u{2028}'\t".as_bytes());
            text.extend(letters(random, 12));
            text
        }
        // Bytes that are no text, at each second place.
        _ => {
            let mut bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            bytes[random.usize(..length)] = 0xff;
            bytes
        }
    }
}

fn forms(value: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let mut forms = vec![(Form::Plain, value.to_vec())];
    if let Ok(text) = std::str::from_utf8(value) {
        let escaped = serde_json::Value::from(text).to_string();
        forms.push((Form::Escaped, escaped[1..escaped.len() - 1].into()));
    }
    for before in 0..3u8 {
        // Only the characters that the value alone decides.
        let whole = [&[0; 2][..usize::from(before)], value].concat();
        let text = STANDARD.encode(&whole);
        let first = usize::from(before) + usize::from(before > 0);
        let last = whole.len() * 8 / 6;
        forms.push((Form::Base64(before), text.as_bytes()[first..last].to_vec()));
    }
    forms
}
