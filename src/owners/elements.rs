//! Which element of a live list a key of a field set, or an element of last-applied, means.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::tape::{At, Tape};

/// Lists up to this length are searched; longer ones get a table.
const SHORT: usize = 32;
/// Lists up to this length are searched without looking them through before.
const SHORTEST: usize = 4;

/// The key of an element: its fields with their values.
pub(super) struct Keys<'k>(pub(super) Vec<(Cow<'k, str>, Value)>);

impl<'k> Keys<'k> {
    /// Reads the text behind `k:`.
    pub(super) fn of(text: &'k str) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let keys = reader.deserialize_map(KeysVisitor).ok()?;
        reader.end().ok()?;
        Some(keys).filter(|keys| !keys.0.is_empty())
    }
}

/// Of `k:{"name":"value"}`, as it stands in JSON, the name and the value where both are plain: most
/// keys are so.
pub(super) fn plain_key(escaped: &str) -> Option<(&str, &str)> {
    let inner = escaped.strip_prefix(r#"k:{\""#)?.strip_suffix(r#"\"}"#)?;
    let (name, value) = inner.split_once(r#"\":\""#)?;
    let plain = |text: &str| !text.bytes().any(|byte| byte == b'\\' || byte < 0x20);
    (plain(name) && plain(value)).then_some((name, value))
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key of an element")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::with_capacity(2);
        while let Some(Name(name)) = map.next_key()? {
            keys.push((name, map.next_value()?));
        }
        Ok(Keys(keys))
    }
}

/// A string of JSON, copied only where it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The elements of one live list.
pub(super) struct Elements<'v> {
    list: &'v [Value],
    /// The fields that the list was last looked through by; none for the whole value.
    names: Vec<String>,
    /// Of each element these fields, of a short list.
    columns: Vec<Option<&'v Value>>,
    /// Positions by the hash of the fields' values, or of the whole value, of a long one.
    table: Option<HashMap<u64, Vec<usize>>>,
}

impl<'v> Elements<'v> {
    pub(super) const fn of(list: &'v [Value]) -> Self {
        Self {
            list,
            names: Vec::new(),
            columns: Vec::new(),
            table: None,
        }
    }

    /// The positions that `k:<rest>`, `v:<rest>` or `i:<rest>` means, behind those in `found`.
    pub(super) fn find(&mut self, kind: u8, rest: &str, found: &mut Vec<usize>) {
        match kind {
            b'k' => {
                if let Some(keys) = Keys::of(rest) {
                    self.with_keys(&keys, found);
                }
            }
            b'v' => {
                if let Ok(value) = serde_json::from_str::<Value>(rest) {
                    self.with_value(&value, found);
                }
            }
            _ => found.extend(
                rest.parse::<usize>()
                    .ok()
                    .filter(|&at| at < self.list.len()),
            ),
        }
    }

    /// The positions of the elements of which one field is this text, behind those in `found`.
    pub(super) fn with_text(&mut self, name: &str, text: &str, found: &mut Vec<usize>) {
        let is = |value: Option<&Value>| matches!(value, Some(Value::String(own)) if own == text);
        if self.list.len() > SHORT {
            let keys = Keys(vec![(Cow::Borrowed(name), Value::from(text))]);
            return self.with_keys(&keys, found);
        }
        if self.list.len() <= SHORTEST {
            let all = self.list.iter().enumerate();
            let fits = all.filter(|(_, element)| is(field(element, name)));
            return found.extend(fits.map(|(at, _)| at));
        }
        if !matches!(&self.names[..], [known] if known == name) {
            self.names.clear();
            self.names.push(name.to_owned());
            self.look_through();
        }
        let all = self.columns.iter().enumerate();
        found.extend(all.filter(|(_, value)| is(**value)).map(|(at, _)| at));
    }

    /// Takes the fields of these names from every element.
    fn look_through(&mut self) {
        self.columns.clear();
        for element in self.list {
            let fields = self.names.iter().map(|name| field(element, name));
            self.columns.extend(fields);
        }
    }

    fn with_keys(&mut self, keys: &Keys<'_>, found: &mut Vec<usize>) {
        let keys = &keys.0;
        let known = self.names.iter().map(String::as_str);
        let is_new = !known.eq(keys.iter().map(|(name, _)| &**name));
        if is_new {
            self.names.clear();
            let names = keys.iter().map(|(name, _)| name.clone().into_owned());
            self.names.extend(names);
        }
        if self.list.len() <= SHORT {
            if is_new {
                self.look_through();
            }
            for (at, fields) in self.columns.chunks(keys.len()).enumerate() {
                let mut pairs = fields.iter().zip(keys);
                if pairs.all(|(field, (_, key))| field.is_some_and(|field| equal(field, key))) {
                    found.push(at);
                }
            }
            return;
        }
        if is_new || self.table.is_none() {
            let names = &self.names;
            let hash = |element: &Value| hash_fields(names.iter().map(|name| field(element, name)));
            self.table = Some(table(self.list, hash));
        }
        let hash = hash_fields(keys.iter().map(|(_, value)| Some(value)));
        let fits = |element: &Value| {
            let mut keys = keys.iter();
            keys.all(|(name, value)| field(element, name).is_some_and(|f| equal(f, value)))
        };
        self.looked_up(hash, fits, found);
    }

    fn with_value(&mut self, value: &Value, found: &mut Vec<usize>) {
        if self.list.len() <= SHORT {
            let all = self.list.iter().enumerate();
            let fits = all.filter(|(_, element)| equal(element, value));
            found.extend(fits.map(|(at, _)| at));
            return;
        }
        if !self.names.is_empty() || self.table.is_none() {
            self.names.clear();
            let hash = |element: &Value| hash_fields(std::iter::once(Some(element)));
            self.table = Some(table(self.list, hash));
        }
        let hash = hash_fields(std::iter::once(Some(value)));
        self.looked_up(hash, |element| equal(element, value), found);
    }

    fn looked_up(&self, hash: u64, fits: impl Fn(&Value) -> bool, found: &mut Vec<usize>) {
        let same = self.table.as_ref().and_then(|table| table.get(&hash));
        let same = same.into_iter().flatten().copied();
        found.extend(same.filter(|&at| fits(&self.list[at])));
    }

    /// For each of these elements of last-applied its position in the live list, by its key fields;
    /// of equal ones in order.
    pub(super) fn place(
        &mut self,
        tape: &Tape<'_>,
        applied: impl Iterator<Item = At>,
        keys: &[&str],
    ) -> Vec<Option<usize>> {
        // Of duplicate keys the last counts.
        let value_of = |at, key: &str| {
            let mut value = None;
            for (name, field) in tape.entries(at) {
                if tape.string(name).is_some_and(|name| name == key) {
                    value = Some(field);
                }
            }
            value
        };
        let picked = |at| {
            let mut picked = Vec::with_capacity(keys.len());
            for key in keys {
                let value = match value_of(at, key) {
                    Some(at) => serde_json::from_str(tape.raw(at)).ok()?,
                    None if *key == "protocol" => TCP.clone(),
                    None => return None,
                };
                picked.push((Cow::Borrowed(*key), value));
            }
            (!picked.is_empty()).then_some(Keys(picked))
        };
        self.placed(applied, |all, at, found| {
            if let [key] = keys
                && let Some(value) = value_of(at, key)
                && let Some(text) = tape.string(value)
            {
                all.with_text(key, &text, found);
            } else if let Some(keys) = picked(at) {
                all.with_keys(&keys, found);
            }
        })
    }

    /// The same for a set.
    pub(super) fn place_values(
        &mut self,
        tape: &Tape<'_>,
        applied: impl Iterator<Item = At>,
    ) -> Vec<Option<usize>> {
        self.placed(applied, |all, at, found| {
            if let Ok(value) = serde_json::from_str(tape.raw(at)) {
                all.with_value(&value, found);
            }
        })
    }

    fn placed(
        &mut self,
        applied: impl Iterator<Item = At>,
        find: impl Fn(&mut Self, At, &mut Vec<usize>),
    ) -> Vec<Option<usize>> {
        let mut taken = vec![false; self.list.len()];
        let mut found = Vec::new();
        let place = |at| {
            found.clear();
            find(self, at, &mut found);
            let at = found.iter().copied().find(|&at| !taken[at])?;
            taken[at] = true;
            Some(at)
        };
        applied.map(place).collect()
    }
}

fn table(list: &[Value], hash: impl Fn(&Value) -> u64) -> HashMap<u64, Vec<usize>> {
    let mut table: HashMap<u64, Vec<usize>> = HashMap::with_capacity(list.len());
    for (at, element) in list.iter().enumerate() {
        table.entry(hash(element)).or_default().push(at);
    }
    table
}

/// Whether every element has a name.
pub(super) fn names_index(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|element| element["name"].is_string())
}

static TCP: LazyLock<Value> = LazyLock::new(|| Value::from("TCP"));

/// A key field's value, defaults included: the only key of built-in types that is defaulted is
/// `protocol`
/// (<https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/#ServiceSpec>).
fn field<'v>(element: &'v Value, name: &str) -> Option<&'v Value> {
    element
        .get(name)
        .or_else(|| (name == "protocol" && element.is_object()).then(|| &*TCP))
}

/// Whether two values are one: 1 and 1.0 are, as structured-merge-diff sees them.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.is_f64() != b.is_f64() && a.as_f64() == b.as_f64())
        }
        _ => a == b,
    }
}

fn hash_fields<'v>(values: impl Iterator<Item = Option<&'v Value>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in values {
        match value {
            // Equal numbers of two kinds need equal hashes.
            Some(Value::Number(number)) => number
                .as_f64()
                .unwrap_or_default()
                .to_bits()
                .hash(&mut hasher),
            Some(other) => other.hash(&mut hasher),
            None => 0u8.hash(&mut hasher),
        }
    }
    hasher.finish()
}
