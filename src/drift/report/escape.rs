//! Text of a cluster, made harmless for where it is shown.
//!
//! Names and values are whatever somebody wrote into a cluster or a repository: terminal escapes,
//! bidirectional controls, mark-up.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character would not be seen as what it is: controls, direction overrides
/// (<https://trojansource.codes>), zero-width and tag characters, separators that break lines.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
        // Noncharacters, which XML cannot hold: https://www.unicode.org/faq/private_use.html
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

/// The beginning of a text, at most `most` bytes of whole characters.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// On one line: what is hidden is spelled as Rust and JSON do, `\n`, `\u{1b}`.
pub(in crate::drift) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hidden(c) => {
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// JSON, indented, with a line break at its end. Hidden characters, which stand in strings alone,
/// are escaped there: what reads JSON reads the same, and a terminal shows them.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    // Only maps with keys that are no text could fail, and no report has one.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if !c.is_ascii() && is_hidden(c) || c == '\u{7f}' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_spelled_and_the_rest_is_left() {
        assert_eq!(visible("größe 中文 🙂"), "größe 中文 🙂");
        assert_eq!(visible("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(
            visible("x\u{202e}y\u{200b}\u{feff}"),
            "x\\u{202e}y\\u{200b}\\u{feff}"
        );
        assert_eq!(visible("\u{9b}2J"), "\\u{9b}2J", "C1 controls too");
    }

    #[test]
    fn json_is_the_same_and_shows_what_is_hidden() {
        let value = serde_json::json!({"a\u{9b}": ["\u{e0041}\u{202e}", "ü\n\u{7f}"]});
        let text = json(&value);
        assert!(!text.replace('\n', "").contains(is_hidden), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, value);
    }
}
