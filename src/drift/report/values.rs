//! Values as a line of text shows them: short, on one line, the difference in sight.

use std::borrow::Cow;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::escape::{beginning, visible};
use super::{FieldClass, FieldReport, Side};

/// What stands in for a value that is not shown.
const SECRET: &str = "(secret)";

/// Characters of what two long texts have in common that are shown before their difference.
const CONTEXT: usize = 12;

/// Bytes of a value that are looked at: more than any line shows.
const LOOKED_AT: usize = 4096;

/// How wide a text is on a terminal, in columns.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text, or its beginning and `…` where it is wider than `most` columns.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut used = 1;
    let mut out = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Text without quotes where nobody could take it for another value: `nginx:1.27`, but `"8080"`,
/// `"true"`, `""`.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:@+=,%*~$".contains(c);
    let is_word = text.starts_with(|c: char| c.is_alphabetic() || "/_.$".contains(c))
        && text.chars().all(plain)
        && !matches!(text, "true" | "false" | "null");
    if is_word {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// A value on one line, without hidden characters, not cut.
pub(super) fn inline(value: &Value) -> String {
    let text = match value {
        Value::String(text) => scalar(beginning(text, LOOKED_AT)),
        other => beginning(&other.to_string(), LOOKED_AT).to_owned(),
    };
    visible(&text).into_owned()
}

/// One side of a field as a line shows it, in at most `most` columns.
pub(super) fn side(field: &FieldReport, side: Side, most: usize) -> Option<String> {
    if field.secret {
        return Some(SECRET.to_owned());
    }
    field.value(side).map(|value| cut(&inline(value), most))
}

/// `3 → 5`, in the order of time, in about `most` columns. Where both are long, what they begin with alike is left out.
pub(super) fn arrow(field: &FieldReport, most: usize) -> String {
    if field.secret {
        return "changed (secret)".to_owned();
    }
    // What is live went away from what is desired; what is pending goes there.
    let order = if field.class == FieldClass::Pending {
        [Side::Live, Side::Desired]
    } else {
        [Side::Desired, Side::Live]
    };
    let sides = order.map(|side| field.value(side));
    let [from, to] = sides.map(|value| value.map_or("(absent)".to_owned(), inline));
    let each = (most.saturating_sub(3) / 2).max(8);
    if width(&from) + width(&to) + 3 <= most.max(19) {
        return format!("{from} → {to}");
    }
    let [from, to] = match sides {
        [Some(a), Some(b)] => without_common_start(&raw(a), &raw(b), each).unwrap_or([from, to]),
        _ => [from, to],
    };
    format!("{} → {}", cut(&from, each), cut(&to, each))
}

/// All of a value, as long as it is.
fn raw(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Both texts from a little before their difference on, where that is beyond `each` characters.
fn without_common_start(a: &str, b: &str, each: usize) -> Option<[String; 2]> {
    let alike = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    let common = alike.count();
    if common + 4 < each {
        return None;
    }
    let from = |text: &str| {
        let rest = text.chars().skip(common.saturating_sub(CONTEXT));
        let rest: String = rest.take(LOOKED_AT).collect();
        format!("…{}", visible(&rest))
    };
    Some([from(a), from(b)])
}

/// Lines of a text that are compared; more is told by their number alone.
const MOST_LINES_COMPARED: usize = 400;

/// A line of a difference of two texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiffLine {
    /// `+`, `-` or a space.
    pub(super) sign: char,
    /// The line, without hidden characters.
    pub(super) text: String,
}

/// The difference of two texts of several lines, one line around each change, at most `most`
/// lines; `None` where one line says it better.
///
/// The desired text is the old one: what is live is marked `+`.
pub(super) fn text_diff(field: &FieldReport, most: usize) -> Option<Vec<DiffLine>> {
    let (Some(Value::String(desired)), Some(Value::String(live))) =
        (field.value(Side::Desired), field.value(Side::Live))
    else {
        return None;
    };
    if !desired.trim_end().contains('\n') && !live.trim_end().contains('\n') {
        return None;
    }
    let say = |text: String| DiffLine { sign: ' ', text };
    let counts = [desired, live].map(|text| text.lines().count());
    if counts.iter().any(|count| *count > MOST_LINES_COMPARED) {
        return Some(vec![say(format!("({} → {} lines)", counts[0], counts[1]))]);
    }
    let diff = similar::TextDiff::from_lines(desired.as_str(), live.as_str());
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(1).iter().enumerate() {
        if at > 0 {
            lines.push(say("…".to_owned()));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                similar::ChangeTag::Delete => '-',
                similar::ChangeTag::Insert => '+',
                similar::ChangeTag::Equal => ' ',
            };
            let text = change.value();
            let line = text.strip_suffix('\n').unwrap_or(text);
            let mut text = visible(beginning(line, LOOKED_AT)).into_owned();
            if change.missing_newline() && desired.ends_with('\n') != live.ends_with('\n') {
                text.push_str(" (no line break at the end)");
            }
            lines.push(DiffLine { sign, text });
        }
    }
    if lines.len() > most {
        let left = lines.len() - most.saturating_sub(1);
        lines.truncate(most.saturating_sub(1));
        lines.push(say(format!("… {left} more lines")));
    }
    Some(lines)
}
