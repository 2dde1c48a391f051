//! Which fields differ between two versions of an object, and whose they are. Pure; never returns
//! a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::owners::{ManagedFields, Owned};

/// The fields that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Their paths in the syntax of the filters, in the order of the document.
    pub(crate) fields: Vec<String>,
    /// The managers that own them now. Nobody owns a field that is gone.
    pub(crate) managers: BTreeSet<String>,
}

/// Compares two versions of an object; `owners` are those of the later one.
///
/// A subtree that only one side has is one path. List elements are matched by `name` where every
/// element has a different one, else by position.
pub(crate) fn changed_fields(
    before: &Value,
    after: &Value,
    owners: &ManagedFields,
    most: usize,
) -> Changes {
    let mut comparison = Comparison {
        path: String::new(),
        most,
        changes: Changes::default(),
    };
    comparison.compare(before, after, &owners.root());
    comparison.changes
}

struct Comparison {
    path: String,
    most: usize,
    changes: Changes,
}

impl Comparison {
    fn found(&mut self, owned: &Owned<'_>) {
        if self.changes.fields.len() < self.most {
            self.changes.fields.push(self.path.clone());
            self.changes
                .managers
                .extend(owned.managers().map(ToOwned::to_owned));
        }
    }

    fn compare(&mut self, before: &Value, after: &Value, owned: &Owned<'_>) {
        if before == after || self.changes.fields.len() >= self.most {
            return;
        }
        match (before, after) {
            (Value::Object(old), Value::Object(new)) => {
                let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
                keys.sort_unstable();
                keys.dedup();
                for key in keys {
                    let length = self.path.len();
                    push_key(&mut self.path, key);
                    self.child(old.get(key), new.get(key), &owned.field(key));
                    self.path.truncate(length);
                }
            }
            (Value::Array(old), Value::Array(new)) => self.compare_lists(old, new, owned),
            _ => self.found(owned),
        }
    }

    fn child(&mut self, old: Option<&Value>, new: Option<&Value>, owned: &Owned<'_>) {
        match (old, new) {
            (Some(old), Some(new)) => self.compare(old, new, owned),
            (None, None) => {}
            (None, Some(_)) => self.found(owned),
            (Some(_), None) => self.found(&Owned::nobody()),
        }
    }

    fn compare_lists(&mut self, old: &[Value], new: &[Value], owned: &Owned<'_>) {
        let length = self.path.len();
        if let (Some(old), Some(new)) = (by_name(old), by_name(new)) {
            let before = self.changes.fields.len();
            let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                self.path.push_str("[name=");
                push_quoted_unless_plain(&mut self.path, name);
                self.path.push(']');
                let element = new
                    .get(name)
                    .map_or_else(Owned::nobody, |(at, element)| owned.element(*at, element));
                let (old, new) = (old.get(name).map(|e| e.1), new.get(name).map(|e| e.1));
                self.child(old, new, &element);
                self.path.truncate(length);
            }
            if self.changes.fields.len() == before {
                // The same elements in another order.
                self.found(owned);
            }
            return;
        }
        for at in 0..old.len().max(new.len()) {
            // Writing to a String cannot fail.
            let _ = write!(self.path, "[{at}]");
            let element = new
                .get(at)
                .map_or_else(Owned::nobody, |element| owned.element(at, element));
            self.child(old.get(at), new.get(at), &element);
            self.path.truncate(length);
        }
    }
}

fn by_name(list: &[Value]) -> Option<BTreeMap<&str, (usize, &Value)>> {
    let mut names = BTreeMap::new();
    for (at, element) in list.iter().enumerate() {
        let name = element.get("name")?.as_str()?;
        if names.insert(name, (at, element)).is_some() {
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
        changed_fields(before, after, &ManagedFields::none(), 50).fields
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
        let found = changed_fields(&json!({}), &after, &ManagedFields::none(), 2).fields;
        assert_eq!(found, ["[\"a\\u001b[31m\"]", "[\"b\\u202e\"]"]);
    }

    #[test]
    fn names_the_managers_that_own_what_changed() {
        // As a real server writes it: an entry of subresource scale has no time.
        let managed = r#"[
            {"manager": "kubectl", "operation": "Update", "subresource": "scale",
             "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kube-controller-manager", "time": "2026-01-02T00:00:00Z",
             "fieldsV1": {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}},
            {"manager": "argocd-controller", "time": "2026-01-01T00:00:00Z",
             "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"web\"}": {"f:image": {}}}}}}}}]"#;
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(managed).unwrap();
        let owners = ManagedFields::parse(&raw).unwrap();
        let object = |replicas: u8, image: &str| {
            json!({"spec": {"replicas": replicas, "template": {"spec": {"containers": [
                {"name": "web", "image": image}]}}}})
        };
        let changes = changed_fields(&object(1, "a"), &object(2, "a"), &owners, 9);
        assert_eq!(changes.managers, BTreeSet::from(["kubectl".to_owned()]));
        let changes = changed_fields(&object(1, "a"), &object(1, "b"), &owners, 9);
        assert_eq!(
            changes.managers,
            BTreeSet::from(["argocd-controller".to_owned()])
        );
        let gone = json!({"spec": {"replicas": 1}});
        let changes = changed_fields(&object(1, "a"), &gone, &owners, 9);
        assert_eq!(
            changes.managers,
            BTreeSet::new(),
            "nobody owns a field that is gone"
        );
    }
}
