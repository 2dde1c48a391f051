//! Which fields differ between two versions of an object. Pure; never returns a value.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// The fields that differ, as paths in the syntax of the filters, in the order of the document.
///
/// A subtree that only one side has is one path. List elements are matched by `name` where every
/// element has a different one, else by position.
pub(crate) fn changed_fields(before: &Value, after: &Value, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    compare(before, after, &mut String::new(), most, &mut found);
    found
}

fn compare(before: &Value, after: &Value, path: &mut String, most: usize, found: &mut Vec<String>) {
    if before == after || found.len() >= most {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let length = path.len();
                push_key(path, key);
                child(old.get(key), new.get(key), path, most, found);
                path.truncate(length);
            }
        }
        (Value::Array(old), Value::Array(new)) => compare_lists(old, new, path, most, found),
        _ => found.push(path.clone()),
    }
}

fn child(
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut String,
    most: usize,
    found: &mut Vec<String>,
) {
    match (old, new) {
        (Some(old), Some(new)) => compare(old, new, path, most, found),
        (None, None) => {}
        _ if found.len() < most => found.push(path.clone()),
        _ => {}
    }
}

fn compare_lists(
    old: &[Value],
    new: &[Value],
    path: &mut String,
    most: usize,
    found: &mut Vec<String>,
) {
    let length = path.len();
    if let (Some(old), Some(new)) = (by_name(old), by_name(new)) {
        let before = found.len();
        let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            path.push_str("[name=");
            push_quoted_unless_plain(path, name);
            path.push(']');
            child(
                old.get(name).copied(),
                new.get(name).copied(),
                path,
                most,
                found,
            );
            path.truncate(length);
        }
        if found.len() == before {
            // The same elements in another order.
            found.push(path.clone());
        }
        return;
    }
    for at in 0..old.len().max(new.len()) {
        // Writing to a String cannot fail.
        let _ = write!(path, "[{at}]");
        child(old.get(at), new.get(at), path, most, found);
        path.truncate(length);
    }
}

fn by_name(list: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let mut names = BTreeMap::new();
    for element in list {
        let name = element.get("name")?.as_str()?;
        if names.insert(name, element).is_some() {
            return None;
        }
    }
    (!names.is_empty()).then_some(names)
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn push_key(path: &mut String, key: &str) {
    if is_plain(key) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        path.push('[');
        push_quoted(path, key);
        path.push(']');
    }
}

fn push_quoted_unless_plain(path: &mut String, text: &str) {
    if is_plain(text) {
        path.push_str(text);
    } else {
        push_quoted(path, text);
    }
}

/// Quotes as JSON does; control characters and what reorders text become escapes as well.
fn push_quoted(path: &mut String, text: &str) {
    path.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                path.push('\\');
                path.push(c);
            }
            c if c.is_control() || is_format(c) => {
                let _ = write!(path, "\\u{:04x}", u32::from(c));
            }
            c => path.push(c),
        }
    }
    path.push('"');
}

/// Characters that change how the text around them is shown:
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
pub(crate) fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(before: &Value, after: &Value) -> Vec<String> {
        changed_fields(before, after, 50)
    }

    #[test]
    fn names_each_field_once() {
        let before = json!({"spec": {"replicas": 3, "template": {"spec": {"containers": [
            {"name": "web", "image": "a:1"}, {"name": "proxy", "image": "p:1"}]}}},
            "metadata": {"annotations": {"a.b/c": "1"}}});
        let after = json!({"spec": {"replicas": 5, "template": {"spec": {"containers": [
            {"name": "proxy", "image": "p:1"}, {"name": "web", "image": "a:2"}]}}},
            "metadata": {"annotations": {"a.b/d": "1"}}, "data": {"x": {"y": 1}}});
        assert_eq!(
            paths(&before, &after),
            [
                "data",
                "metadata.annotations[\"a.b/c\"]",
                "metadata.annotations[\"a.b/d\"]",
                "spec.replicas",
                "spec.template.spec.containers[name=web].image",
            ]
        );
    }

    #[test]
    fn lists_without_names_go_by_position() {
        assert_eq!(
            paths(&json!({"a": [1, 2]}), &json!({"a": [1, 3, 4]})),
            ["a[1]", "a[2]"]
        );
        let one = json!({"a": [{"name": "x"}, {"name": "y"}]});
        let two = json!({"a": [{"name": "y"}, {"name": "x"}]});
        assert_eq!(
            paths(&one, &two),
            ["a"],
            "an order that changed is a change"
        );
    }

    #[test]
    fn stops_at_the_limit_and_never_shows_a_control_character() {
        let after = json!({"a\u{1b}[31m": 1, "b\u{202e}": 1, "c": 1});
        let found = changed_fields(&json!({}), &after, 2);
        assert_eq!(found, ["[\"a\\u001b[31m\"]", "[\"b\\u202e\"]"]);
    }
}
