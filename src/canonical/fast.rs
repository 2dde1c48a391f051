//! A reader for the YAML that programs write: block style, one line per scalar, literal blocks.
//!
//! It gives up (`None`) at anything else: errors, duplicate keys, anchors, tags, folded texts, flow
//! collections that hold something. The reader for all of YAML (`load`) then says what the text is,
//! or what is wrong with it and where. Where this one does not give up, both read the same: that is
//! all that the tests below ask.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::read::{Document, Spot};
use super::scalar::{self, Scalar};

/// Deepest nesting that is read here; `load` knows what is too deep.
const DEEPEST: usize = 64;
/// Longest key, in bytes as written; `load` knows what is too long for a key on one line.
const LONGEST_KEY: usize = 1000;

/// Reads every document of a YAML stream; `None` where that is not certain.
pub(super) fn documents(text: &str) -> Option<Vec<Document>> {
    if !is_ordinary(text) {
        return None;
    }
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        column: None,
        items: Vec::new(),
    };
    let mut documents = Vec::new();
    reader.advance()?;
    loop {
        if reader.column.is_none() && reader.at < text.len() {
            reader.at += MARKER.len();
            reader.end_line()?;
        }
        // An empty document, or one that is indented.
        if reader.column != Some(0) {
            return None;
        }
        let line = reader.line;
        let value = reader.block(0, 0, false)?;
        let items = std::mem::take(&mut reader.items);
        documents.push(Document { value, line, items });
        if reader.column.is_some() {
            return None;
        }
        if reader.at == text.len() {
            return Some(documents);
        }
    }
}

const MARKER: &[u8] = b"---";

/// Whether the text has no character that some version of YAML ends a line at, drops or refuses.
fn is_ordinary(text: &str) -> bool {
    let control = |byte: &u8| matches!(byte, 0..=8 | 11..=31 | 127);
    if text.as_bytes().iter().any(control) {
        return false;
    }
    text.is_ascii()
        || !text.chars().any(|char| {
            matches!(
                char,
                '\u{80}'..='\u{a0}'
                    | '\u{2028}'
                    | '\u{2029}'
                    | '\u{feff}'
                    | '\u{fff0}'..='\u{ffff}'
                    | '\u{10ffff}'
            )
        })
}

/// Why a plain text ends.
#[derive(PartialEq, Eq)]
enum Stop {
    /// At its line's end, or at a comment.
    Line,
    /// At a colon: it is a key.
    Colon,
}

struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// 1-based line of `at`.
    line: usize,
    /// 0-based column of the first character of the line that was advanced to; `None` at the end of
    /// a document.
    column: Option<usize>,
    /// Where the elements of the root's `items` stand.
    items: Vec<Spot>,
}

impl Reader<'_> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn is_blank(&self, at: usize) -> bool {
        matches!(self.bytes.get(at), None | Some(b' ' | b'\n'))
    }

    fn skip_spaces(&mut self) {
        while self.byte() == Some(b' ') {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.bytes[self.at..];
        if let Some(length) = memchr::memchr(b'\n', rest) {
            self.at += length + 1;
            self.line += 1;
        } else {
            self.at = self.bytes.len();
        }
    }

    /// Goes on from the start of a line to the next one with more than a comment.
    fn advance(&mut self) -> Option<()> {
        loop {
            let start = self.at;
            self.skip_spaces();
            match self.byte() {
                None => {
                    self.column = None;
                    return Some(());
                }
                Some(b'\n' | b'#') => self.skip_line(),
                Some(b'\t') => return None,
                Some(_) => break self.stand(self.at - start),
            }
        }
    }

    fn stand(&mut self, column: usize) -> Option<()> {
        self.column = Some(column);
        if column == 0 && self.is_blank(self.at + MARKER.len()) {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(b"...") {
                return None;
            }
            if rest.starts_with(MARKER) {
                self.column = None;
            }
        }
        Some(())
    }

    /// Ends a line that has nothing more but a comment, and advances.
    fn end_line(&mut self) -> Option<()> {
        let before = self.at;
        self.skip_spaces();
        match self.byte() {
            None | Some(b'\n') => {}
            Some(b'#') if self.at > before || self.bytes.get(before - 1) == Some(&b' ') => {}
            Some(_) => return None,
        }
        self.skip_line();
        self.advance()
    }

    fn is_dash(&self) -> bool {
        self.byte() == Some(b'-') && self.is_blank(self.at + 1)
    }

    /// Reads the collection that starts here, at this column.
    fn block(&mut self, column: usize, depth: usize, items: bool) -> Option<Value> {
        if self.is_dash() {
            self.list(column, depth, items)
        } else {
            self.map(column, depth)
        }
    }

    fn map(&mut self, column: usize, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        let mut map = Map::new();
        loop {
            if self.is_dash() {
                return None;
            }
            let key = self.key()?;
            let items = depth == 0 && key == "items";
            self.skip_spaces();
            let value = match self.byte() {
                None | Some(b'\n' | b'#') => {
                    self.end_line()?;
                    match self.column {
                        Some(next) if next > column => self.block(next, depth + 1, items)?,
                        // The dashes of a list may stand below their key.
                        Some(next) if next == column && self.is_dash() => {
                            self.list(column, depth + 1, items)?
                        }
                        _ => Value::Null,
                    }
                }
                Some(_) => self.scalar(column)?,
            };
            if map.insert(key, value).is_some() {
                return None;
            }
            match self.column.map(|next| next.cmp(&column)) {
                None | Some(Ordering::Less) => return Some(Value::Object(map)),
                Some(Ordering::Equal) => {}
                Some(Ordering::Greater) => return None,
            }
        }
    }

    fn list(&mut self, column: usize, depth: usize, items: bool) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        let mut list = Vec::new();
        loop {
            let dash = self.at;
            self.at += 1;
            self.skip_spaces();
            let value = match self.byte() {
                None | Some(b'\n' | b'#') => {
                    self.end_line()?;
                    match self.column {
                        Some(next) if next > column => {
                            self.note(items, next);
                            self.block(next, depth + 1, false)?
                        }
                        _ if items => return None,
                        _ => Value::Null,
                    }
                }
                // Only `load` knows where a block begins.
                Some(b'|') if items => return None,
                Some(_) => {
                    let inner = column + self.at - dash;
                    self.note(items, inner);
                    if self.is_dash() || self.is_key()? {
                        self.block(inner, depth + 1, false)?
                    } else {
                        self.scalar(column)?
                    }
                }
            };
            list.push(value);
            match self.column.map(|next| next.cmp(&column)) {
                Some(Ordering::Equal) if self.is_dash() => {}
                Some(Ordering::Greater) => return None,
                _ => return Some(Value::Array(list)),
            }
        }
    }

    fn note(&mut self, items: bool, column: usize) {
        if items {
            self.items.push(Spot {
                line: self.line,
                column: column + 1,
            });
        }
    }

    /// Whether a key stands here.
    fn is_key(&mut self) -> Option<bool> {
        let start = self.at;
        let is_key = match self.byte()? {
            b'"' | b'\'' => {
                self.quoted()?;
                self.byte() == Some(b':')
            }
            b'|' | b'[' | b'{' => false,
            _ => self.plain()?.1 == Stop::Colon,
        };
        self.at = start;
        Some(is_key)
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Option<String> {
        let start = self.at;
        let key = if matches!(self.byte()?, b'"' | b'\'') {
            self.quoted()?
        } else {
            let (text, stop) = self.plain()?;
            // `<<` merges.
            if stop != Stop::Colon || text == "<<" {
                return None;
            }
            match scalar::resolve(text) {
                Scalar::Text => text.to_owned(),
                Scalar::Bool(truth) => scalar::key(truth.into())?,
                Scalar::Number(number) => scalar::key(number.into())?,
                Scalar::Null | Scalar::NotFinite(_) => return None,
            }
        };
        let is_key = self.byte() == Some(b':') && self.is_blank(self.at + 1);
        if !is_key || self.at - start > LONGEST_KEY {
            return None;
        }
        self.at += 1;
        Some(key)
    }

    /// Reads a scalar or an empty collection whose parent stands at `column`, and its line's end.
    fn scalar(&mut self, column: usize) -> Option<Value> {
        let value = match self.byte()? {
            b'"' | b'\'' => Value::String(self.quoted()?),
            b'|' => return self.literal(column),
            b'[' | b'{' => {
                let value = match self.bytes.get(self.at..self.at + 2)? {
                    b"[]" => Value::Array(Vec::new()),
                    b"{}" => Value::Object(Map::new()),
                    _ => return None,
                };
                self.at += 2;
                value
            }
            _ => {
                let (text, stop) = self.plain()?;
                if stop == Stop::Colon {
                    return None;
                }
                match scalar::resolve(text) {
                    Scalar::Null => Value::Null,
                    Scalar::Bool(truth) => truth.into(),
                    Scalar::Number(number) => number.into(),
                    Scalar::NotFinite(_) => return None,
                    Scalar::Text => text.into(),
                }
            }
        };
        self.end_line()?;
        Some(value)
    }

    /// Reads a text without quotes, to the end of its line at most.
    fn plain(&mut self) -> Option<(&str, Stop)> {
        let start = self.at;
        match self.byte()? {
            b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\''
            | b'"' | b'%' | b'@' | b'`' | b'?' | b':' => return None,
            b'-' if self.is_blank(start + 1) => return None,
            _ => {}
        }
        let (mut end, mut stop) = (self.bytes.len(), Stop::Line);
        for (at, &byte) in self.bytes.iter().enumerate().skip(start) {
            match byte {
                b'\n' => {}
                b'#' if self.bytes[at - 1] == b' ' => {}
                b':' if self.is_blank(at + 1) => stop = Stop::Colon,
                b'\t' => return None,
                _ => continue,
            }
            end = at;
            break;
        }
        let text = &self.text[start..end];
        let trimmed = text.trim_end_matches(' ');
        if stop == Stop::Colon && trimmed.len() < text.len() {
            return None;
        }
        self.at = start + trimmed.len();
        Some((trimmed, stop))
    }

    /// Reads a quoted text of one line.
    fn quoted(&mut self) -> Option<String> {
        let double = self.byte()? == b'"';
        self.at += 1;
        let mut out = String::new();
        let mut start = self.at;
        loop {
            let at = self.at;
            match *self.bytes.get(at)? {
                b'"' if double => break,
                b'\\' if double => {
                    out.push_str(&self.text[start..at]);
                    self.at += 1;
                    out.push(self.escape()?);
                    start = self.at;
                }
                b'\'' if !double => {
                    if self.bytes.get(at + 1) != Some(&b'\'') {
                        break;
                    }
                    out.push_str(&self.text[start..=at]);
                    self.at += 2;
                    start = self.at;
                }
                b'\n' | b'\t' => return None,
                _ => self.at += 1,
            }
        }
        let rest = &self.text[start..self.at];
        self.at += 1;
        if out.is_empty() {
            return Some(rest.to_owned());
        }
        out.push_str(rest);
        Some(out)
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Option<char> {
        let letter = self.byte()?;
        self.at += 1;
        let digits = match letter {
            b'n' => return Some('\n'),
            b't' => return Some('\t'),
            b'r' => return Some('\r'),
            b'"' | b'\\' | b'/' => return Some(letter.into()),
            b'x' => 2,
            b'u' => 4,
            _ => return None,
        };
        let digits = self.bytes.get(self.at..self.at + digits)?;
        let mut code = 0;
        for &digit in digits {
            code = code * 16 + char::from(digit).to_digit(16)?;
        }
        self.at += digits.len();
        char::from_u32(code)
    }

    /// Reads a literal block whose parent stands at `column`, and advances.
    fn literal(&mut self, column: usize) -> Option<Value> {
        self.at += 1;
        let chomp = self.byte()?;
        if matches!(chomp, b'-' | b'+') {
            self.at += 1;
        }
        if self.byte()? != b'\n' {
            return None;
        }
        self.at += 1;
        self.line += 1;
        let start = self.at;
        self.skip_spaces();
        let indent = self.at - start;
        // A first line that is empty, or begins with a tab, makes the indentation a matter of taste.
        if indent <= column || matches!(self.byte()?, b'\n' | b'\t') {
            return None;
        }
        let mut out = String::new();
        // Line feeds that only count if a line follows them.
        let mut breaks = 0;
        self.at = start;
        while self.at < self.bytes.len() {
            let start = self.at;
            while self.at - start < indent && self.byte() == Some(b' ') {
                self.at += 1;
            }
            let from = self.at;
            match self.byte() {
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                    breaks += 1;
                    continue;
                }
                Some(b'\t') if from - start < indent => return None,
                Some(_) if from - start == indent => {}
                // Spaces at the text's end, without a line feed.
                None => return None,
                Some(_) => {
                    self.at = start;
                    break;
                }
            }
            // A text without a last line feed is none of our business.
            let length = memchr::memchr(b'\n', &self.bytes[from..])?;
            out.extend(std::iter::repeat_n('\n', breaks));
            out.push_str(&self.text[from..from + length]);
            breaks = 1;
            self.at = from + length + 1;
            self.line += 1;
        }
        let kept = match chomp {
            b'-' => 0,
            b'+' => breaks,
            _ => 1,
        };
        out.extend(std::iter::repeat_n('\n', kept));
        self.advance()?;
        Some(Value::String(out))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use proptest::test_runner::Config;

    use super::super::{load, strategy};
    use super::*;

    /// Reads a text on both ways; returns whether this reader took it.
    fn agree(text: &str) -> bool {
        let Some(fast) = documents(text) else {
            return false;
        };
        // As text: 0.0 equals -0.0, and must not here.
        let slow = format!("{:?}", load::documents(text));
        assert_eq!(format!("Ok({fast:?})"), slow, "{text:?}");
        true
    }

    fn emitted(value: &Value) -> String {
        super::super::tests::text_of(value)
    }

    /// What manifests are made of, and what tears them.
    #[rustfmt::skip]
    const WORDS: &[&str] = &[
        "\n", "\n", "\n", "\n  ", "\n  ", "\n    ", "\n ", "\n\t", " ", "  ", "- ", "- ", "-", "a: ",
        "b: ", "c:", "items:\n", "items: ", "key:", ": ", ":", "---\n", "...\n", "--- ", "---", "# c\n",
        " # c", " #", "#", "|\n", "|-\n", "|+\n", "|2\n", ">\n", "\"", "\"", "'", "'", "''", "\\",
        "\\x41", "\\u00e9", "\\n", "{", "}", "{}", "[]", "[", ",", "&x ", "*x", "<<: ", "!!str ", "?",
        "? ", "yes", "0644", "1_000", ".inf", "-.5", "1.0", "-0.0", "~", "null", "true", "x", "é", "😀",
        "\u{85}", "\u{2028}", "\u{feff}", "\u{3000}", "\u{7f}", "\r\n", "\t", "%", "@", "`", "=", "a #b",
        "a:b", "a: b\n", "- a: b\n", "- x\n", "  - y\n", "a:\n- b\n", "\n\n", "  \n",
    ];

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(1024) })]

        #[test]
        fn words_are_read_alike(words in vec(select(WORDS), 1..14)) {
            agree(&words.concat());
        }

        #[test]
        fn what_is_emitted_is_read_alike(value in strategy::value(), more in strategy::object()) {
            agree(&emitted(&value));
            agree(&format!("---\n{}---\n{}", emitted(&more), emitted(&value)));
            agree(&emitted(&serde_json::json!({"kind": "List", "items": [more, value]})));
        }

        /// Lines that are moved, cut, doubled or have something in their middle.
        #[test]
        fn what_is_mangled_is_read_alike(
            objects in vec(strategy::object(), 1..3),
            edits in vec((any::<Index>(), 0usize..6, select(WORDS)), 1..4),
        ) {
            let items = serde_json::json!({"items": objects});
            let mut text = emitted(&items);
            for (at, kind, word) in edits {
                let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
                if lines.is_empty() {
                    break;
                }
                let line = at.index(lines.len());
                match kind {
                    0 => lines[line].insert(0, ' '),
                    1 => lines[line] = lines[line].trim_start().to_owned(),
                    2 => drop(lines.remove(line)),
                    3 => lines.insert(line, lines[line].clone()),
                    4 => lines.insert(line, format!("{word}\n")),
                    _ => {
                        let middle = at.index(lines[line].len().max(1));
                        let middle = (0..=middle).rev().find(|at| lines[line].is_char_boundary(*at));
                        lines[line].insert_str(middle.unwrap_or(0), word);
                    }
                }
                text = lines.concat();
                agree(&text);
            }
        }
    }

    #[test]
    fn what_programs_write_is_taken() {
        for text in [
            "a: 1\n",
            "a: 1",
            "# c\n---\n# d\na: b # c\nc: 'it''s'\nd: \"x\\ty\"\n\n---\ne:\n- f: g\n  h:\n    - i\n    -\n      j: k\n- - l\n  - m\n-\n",
            "a: |\n  x\n   y\n\n  z\nb: |-\n  \u{e9}\n    \n\nc: |+\n  x\n\n\n# end\n",
            "items:\n# c\n- a: 1\n- []\n- x\n-\n  b: {}\nkind: List\n",
            "1: a\nyes: b\n'<<': c\n\"d e\": -1\n0644: ~\n1.5: .5\nempty:\n",
            "a: http://b:80/c#d?e=f, g [h] {i} -- j 'k' \"l\"\n",
        ] {
            assert!(agree(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_certain_is_left_alone() {
        for text in [
            "",
            "# c\n",
            "---\n",
            "a",
            "a: 1\na: 2\n",
            "a: &x 1\n",
            "a: *x\n",
            "a: !!str 1\n",
            "a: >\n  x\n",
            "a: [b]\n",
            "a: {b: c}\n",
            "a: b\n  c\n",
            "a: b: c\n",
            "a: \"b\n  c\"\n",
            "<<: {}\n",
            "? a\n",
            "a: b\n---\n",
            "%YAML 1.1\n---\na: b\n",
            "a: b\n...\n",
            "a: .inf\n",
            "~: b\n",
            " a: b\n",
            "a:\tb\n",
            "a: b\r\n",
            "\u{feff}a: b\n",
            "a: |2\n  b\n",
            "a: |\n\n  b\n",
            "a: |\n  b",
            "items:\n- |\n  b\n",
        ] {
            assert!(documents(text).is_none(), "{text:?}");
        }
        let deep = "- ".repeat(5_000);
        assert!(documents(&deep).is_none());
        assert!(documents(&format!("{}: b\n", "k".repeat(1_025))).is_none());
    }

    fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                yaml_files(&path, found);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                found.push(path);
            }
        }
    }

    /// Real manifests and CRDs, whole, and each document by itself.
    #[test]
    fn real_files_are_read_alike() {
        let mut files = Vec::new();
        for variable in ["STRANDLINE_ACID_DIR", "STRANDLINE_CRDS_DIR"] {
            if let Some(folder) = std::env::var_os(variable) {
                yaml_files(Path::new(&folder), &mut files);
            } else {
                assert!(
                    std::env::var_os("STRANDLINE_REQUIRE_BEDS").is_none_or(|value| value != "1"),
                    "STRANDLINE_REQUIRE_BEDS=1 and no {variable}"
                );
                println!("SKIPPED canonical::real_files_are_read_alike: no {variable}");
            }
        }
        let (mut taken, mut all) = (0, 0);
        for path in &files {
            let text = std::fs::read_to_string(path).unwrap();
            agree(&text);
            for part in text.split("\n---\n") {
                all += 1;
                taken += usize::from(agree(part));
                // As the mirror has it: all of it is this reader's.
                for document in load::documents(part).unwrap() {
                    let text = emitted(&document.value);
                    assert!(
                        agree(&text) || document.value.is_null(),
                        "{}",
                        path.display()
                    );
                }
            }
        }
        println!("{taken} of {all} documents of {} files", files.len());
        assert!(files.is_empty() || taken * 2 > all);
    }
}
