//! Which element of a live list a key of a field set, or an element of last-applied, means.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Lists up to this length are searched; longer ones get a table.
const SHORT: usize = 32;

/// The fields that a table is by, and the positions by their hash.
type Table = (Vec<String>, HashMap<u64, Vec<usize>>);

/// The elements of one live list.
pub(super) struct Elements<'v> {
    list: &'v [Value],
    /// Positions by the hash of the key fields' values, or of the whole value.
    table: Option<Table>,
}

impl<'v> Elements<'v> {
    pub(super) const fn of(list: &'v [Value]) -> Self {
        Self { list, table: None }
    }

    /// The positions that `k:<rest>`, `v:<rest>` or `i:<rest>` means.
    pub(super) fn find(&mut self, kind: &str, rest: &str) -> Vec<usize> {
        match kind {
            "k" => match serde_json::from_str::<Map<String, Value>>(rest) {
                Ok(keys) => self.with_keys(&keys),
                Err(_) => Vec::new(),
            },
            "v" => match serde_json::from_str::<Value>(rest) {
                Ok(value) => self.with_value(&value),
                Err(_) => Vec::new(),
            },
            _ => {
                let index = rest.parse().ok().filter(|&at| at < self.list.len());
                index.into_iter().collect()
            }
        }
    }

    fn with_keys(&mut self, keys: &Map<String, Value>) -> Vec<usize> {
        let fits = |element: &Value| {
            !keys.is_empty() && keys.iter().all(|(name, value)| has(element, name, value))
        };
        if self.list.len() <= SHORT {
            return positions(self.list, fits);
        }
        let names: Vec<String> = keys.keys().cloned().collect();
        self.index(names);
        let hash = hash_fields(keys.iter().map(|(_, value)| Some(value)));
        self.looked_up(hash, fits)
    }

    fn with_value(&mut self, value: &Value) -> Vec<usize> {
        if self.list.len() <= SHORT {
            return positions(self.list, |element| equal(element, value));
        }
        self.index(Vec::new());
        let hash = hash_fields(std::iter::once(Some(value)));
        self.looked_up(hash, |element| equal(element, value))
    }

    fn looked_up(&self, hash: u64, fits: impl Fn(&Value) -> bool) -> Vec<usize> {
        let found = self.table.as_ref().and_then(|(_, table)| table.get(&hash));
        let mut found = found.cloned().unwrap_or_default();
        found.retain(|&at| fits(&self.list[at]));
        found
    }

    /// Makes the table by these fields; by the whole value where there are none.
    fn index(&mut self, names: Vec<String>) {
        if self.table.as_ref().is_some_and(|(of, _)| *of == names) {
            return;
        }
        let mut table: HashMap<u64, Vec<usize>> = HashMap::with_capacity(self.list.len());
        for (at, element) in self.list.iter().enumerate() {
            let hash = if names.is_empty() {
                hash_fields(std::iter::once(Some(element)))
            } else {
                hash_fields(names.iter().map(|name| field(element, name)))
            };
            table.entry(hash).or_default().push(at);
        }
        self.table = Some((names, table));
    }

    /// For each element of last-applied its position in the live list, by its key fields; of equal
    /// ones in order.
    pub(super) fn place(&mut self, applied: &[&RawValue], keys: &[&str]) -> Vec<Option<usize>> {
        let mut taken = vec![false; self.list.len()];
        let place = |raw: &&RawValue| {
            let mut picked = Pick(keys)
                .deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
                .ok()?;
            if keys.contains(&"protocol") && !picked.contains_key("protocol") {
                picked.insert("protocol".to_owned(), TCP.clone());
            }
            if picked.len() < keys.len() {
                return None;
            }
            let found = self.with_keys(&picked);
            let at = found.into_iter().find(|&at| !taken[at])?;
            taken[at] = true;
            Some(at)
        };
        applied.iter().map(place).collect()
    }

    /// The same for a set.
    pub(super) fn place_values(&mut self, applied: &[&RawValue]) -> Vec<Option<usize>> {
        let mut taken = vec![false; self.list.len()];
        let place = |raw: &&RawValue| {
            let value: Value = serde_json::from_str(raw.get()).ok()?;
            let found = self.with_value(&value);
            let at = found.into_iter().find(|&at| !taken[at])?;
            taken[at] = true;
            Some(at)
        };
        applied.iter().map(place).collect()
    }
}

/// Reads these fields of a JSON object, and builds nothing else of it.
struct Pick<'k>(&'k [&'k str]);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if self.0.contains(&&*key) {
                picked.insert(key.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}

fn positions(list: &[Value], fits: impl Fn(&Value) -> bool) -> Vec<usize> {
    let all = list.iter().enumerate();
    all.filter(|(_, element)| fits(element))
        .map(|(at, _)| at)
        .collect()
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

fn has(element: &Value, name: &str, value: &Value) -> bool {
    field(element, name).is_some_and(|found| equal(found, value))
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
