//! What managedFields and last-applied say of a live object, at the places of the object itself.
//!
//! One streaming pass over each text, beside the object: what the object does not have is skipped
//! without being built. No value is kept: elements of lists are positions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::elements::{Elements, names_index};

/// More writers than any server keeps (ten of `Update`, and one of `Apply` for each that applies).
pub(super) const MOST_WRITERS: usize = 127;
/// Stands for every writer beyond [`MOST_WRITERS`].
pub(super) const OVERFLOW: u128 = 1 << MOST_WRITERS;
/// Above this many children they are found by a table.
const FEW: u32 = 16;

/// The head of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head<'a> {
    pub(super) manager: Cow<'a, str>,
    pub(super) operation: Cow<'a, str>,
    pub(super) subresource: Cow<'a, str>,
    pub(super) api_version: Cow<'a, str>,
    pub(super) time: Cow<'a, str>,
}

impl Head<'_> {
    fn same_writer(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && self.api_version == other.api_version
    }
}

/// One step of a claimed path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Field(Cow<'a, str>),
    /// A position in the live list.
    Index(usize),
}

/// One claimed place.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    key: Key<'a>,
    next: u32,
    first: u32,
    children: u32,
    /// Entries that have the place itself.
    pub(super) own: u128,
    /// Those of them that say nothing of what lies in it.
    pub(super) whole: u128,
    /// Some entry names a place within.
    pub(super) claimed_below: bool,
    /// Last-applied has it.
    pub(super) applied: bool,
}

/// How the entries tell the elements of a list apart.
#[derive(Clone, Debug)]
enum ListKeys {
    Fields(Vec<Box<str>>),
    Values,
}

/// The claims on one live object.
pub(super) struct Claims<'a> {
    all: Vec<Claim<'a>>,
    wide: HashMap<(u32, Key<'a>), u32>,
    lists: HashMap<u32, ListKeys>,
    /// By bit.
    pub(super) heads: Vec<Head<'a>>,
    /// An entry of another API version, or one that cannot be read, has places that the live
    /// object has not.
    pub(super) unknown: bool,
    pub(super) has_last_applied: bool,
}

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

impl<'a> Claims<'a> {
    /// Reads both texts. `skip_status` leaves out what is below `status`.
    pub(super) fn read(
        managed_fields: Option<&'a RawValue>,
        last_applied: Option<&'a str>,
        live: &Value,
        skip_status: bool,
    ) -> Self {
        let mut claims = Self {
            all: Vec::with_capacity(64),
            wide: HashMap::new(),
            lists: HashMap::new(),
            heads: Vec::new(),
            unknown: false,
            has_last_applied: last_applied.is_some(),
        };
        claims.push(Key::Index(0));
        if let Some(raw) = managed_fields {
            claims.read_entries(raw, live, skip_status);
        }
        if let Some(text) = last_applied {
            claims.read_applied(text, live);
        }
        claims
    }

    fn read_entries(&mut self, raw: &'a RawValue, live: &Value, skip_status: bool) {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let read = deserializer.deserialize_seq(Entries {
            claims: &mut *self,
            live,
            skip_status,
        });
        // Who wrote what is then not known; that nobody did is not known either.
        self.unknown |= read.is_err();
        self.join_equal_writers();
    }

    /// Gives entries of one writer (old servers kept one for each time) one bit.
    fn join_equal_writers(&mut self) {
        let count = self.heads.len();
        let mut to: Vec<usize> = (0..count).collect();
        let mut any = false;
        for (at, first) in to.iter_mut().enumerate().skip(1) {
            if let Some(same) = (0..at).find(|&b| self.heads[b].same_writer(&self.heads[at])) {
                *first = same;
                any = true;
                let time = self.heads[at].time.clone();
                if time > self.heads[same].time {
                    self.heads[same].time = time;
                }
            }
        }
        if !any {
            return;
        }
        let join = |bits: u128| {
            let kept = bits & OVERFLOW;
            (0..count).fold(kept, |all, bit| {
                all | (u128::from(bits >> bit & 1 == 1) << to[bit])
            })
        };
        for claim in &mut self.all {
            claim.own = join(claim.own);
            claim.whole = join(claim.whole);
        }
    }

    fn push(&mut self, key: Key<'a>) -> u32 {
        let at = u32::try_from(self.all.len()).unwrap_or(NONE);
        self.all.push(Claim {
            key,
            next: NONE,
            first: NONE,
            children: 0,
            own: 0,
            whole: 0,
            claimed_below: false,
            applied: false,
        });
        at
    }

    pub(super) fn claim(&self, at: u32) -> &Claim<'a> {
        &self.all[at as usize]
    }

    /// The claim on a child of a place.
    pub(super) fn child(&self, of: u32, key: &Key<'_>) -> Option<u32> {
        let parent = self.claim(of);
        if parent.children > FEW {
            return self.wide.get(&(of, key.clone())).copied();
        }
        let mut at = parent.first;
        while at != NONE {
            let claim = self.claim(at);
            if claim.key == *key {
                return Some(at);
            }
            at = claim.next;
        }
        None
    }

    /// The same, made where there is none.
    fn child_or_new(&mut self, of: u32, key: Key<'a>) -> u32 {
        if let Some(at) = self.child(of, &key) {
            return at;
        }
        let at = self.push(key.clone());
        self.all[at as usize].next = self.claim(of).first;
        let parent = &mut self.all[of as usize];
        parent.first = at;
        parent.children += 1;
        let children = parent.children;
        if children > FEW + 1 {
            self.wide.insert((of, key), at);
        } else if children > FEW {
            let mut child = at;
            while child != NONE {
                let claim = self.claim(child);
                let (key, next) = (claim.key.clone(), claim.next);
                self.wide.insert((of, key), child);
                child = next;
            }
        }
        at
    }

    /// Who has the place, or anything in it.
    pub(super) fn all_below(&self, at: u32) -> u128 {
        let claim = self.claim(at);
        let mut all = claim.own;
        let mut child = claim.first;
        while child != NONE {
            all |= self.all_below(child);
            child = self.claim(child).next;
        }
        all
    }

    fn read_applied(&mut self, text: &'a str, live: &Value) {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        // What was read up to an error stays.
        let _ = Applied {
            claims: self,
            at: ROOT,
            live,
        }
        .deserialize(&mut deserializer);
    }
}

/// A string of JSON, copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// `metadata.managedFields`.
struct Entries<'c, 'a, 'v> {
    claims: &'c mut Claims<'a>,
    live: &'v Value,
    skip_status: bool,
}

impl<'a> Visitor<'a> for Entries<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("managedFields")
    }

    fn visit_seq<A: serde::de::SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(Entry {
                claims: &mut *self.claims,
                live: self.live,
                skip_status: self.skip_status,
            })?
            .is_some()
        {}
        Ok(())
    }
}

/// One entry of managedFields.
struct Entry<'c, 'a, 'v> {
    claims: &'c mut Claims<'a>,
    live: &'v Value,
    skip_status: bool,
}

impl<'a> DeserializeSeed<'a> for Entry<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Entry<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of managedFields")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let bit = 1u128 << self.claims.heads.len().min(MOST_WRITERS);
        let mut head = Head::default();
        let mut unresolved = false;
        while let Some(Text(key)) = map.next_key()? {
            let text = match &*key {
                "fieldsV1" => {
                    map.next_value_seed(Fields {
                        claims: &mut *self.claims,
                        at: ROOT,
                        live: self.live,
                        bit,
                        skip_status: self.skip_status,
                        unresolved: &mut unresolved,
                    })?;
                    continue;
                }
                "manager" => &mut head.manager,
                "operation" => &mut head.operation,
                "subresource" => &mut head.subresource,
                "apiVersion" => &mut head.api_version,
                "time" => &mut head.time,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *text = map
                .next_value::<Option<Text<'a>>>()?
                .map_or(Cow::Borrowed(""), |text| text.0);
        }
        let version = self.live.get("apiVersion").and_then(Value::as_str);
        self.claims.unknown |= unresolved && version != Some(&*head.api_version);
        if self.claims.heads.len() < MOST_WRITERS {
            self.claims.heads.push(head);
        } else {
            // Their places are known to be somebody's.
            self.claims.unknown = true;
        }
        Ok(())
    }
}

/// One node of a `FieldsV1`.
struct Fields<'c, 'a, 'v> {
    claims: &'c mut Claims<'a>,
    at: u32,
    live: &'v Value,
    bit: u128,
    skip_status: bool,
    unresolved: &'c mut bool,
}

impl<'a> DeserializeSeed<'a> for Fields<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Fields<'_, 'a, '_> {
    fn below<'s, 'v>(&'s mut self, key: Key<'a>, live: &'v Value) -> Fields<'s, 'a, 'v> {
        let at = self.claims.child_or_new(self.at, key);
        self.claims.all[self.at as usize].claimed_below = true;
        Fields {
            claims: &mut *self.claims,
            at,
            live,
            bit: self.bit,
            skip_status: false,
            unresolved: &mut *self.unresolved,
        }
    }

    fn field<A: MapAccess<'a>>(&mut self, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error> {
        if self.skip_status && name == "status" {
            map.next_value::<IgnoredAny>()?;
            return Ok(());
        }
        let Some(live) = self.live.as_object().and_then(|live| live.get(&*name)) else {
            *self.unresolved = true;
            map.next_value::<IgnoredAny>()?;
            return Ok(());
        };
        map.next_value_seed(self.below(Key::Field(name), live))
    }

    fn elements<A: MapAccess<'a>>(
        &mut self,
        live: &[Value],
        found: &[usize],
        map: &mut A,
    ) -> Result<(), A::Error> {
        match found {
            [] => {
                *self.unresolved = true;
                map.next_value::<IgnoredAny>()?;
            }
            [one] => map.next_value_seed(self.below(Key::Index(*one), &live[*one]))?,
            // Duplicate keys are legal in what was not applied by the server.
            several => {
                let raw = map.next_value::<&'a RawValue>()?;
                for &index in several {
                    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
                    self.below(Key::Index(index), &live[index])
                        .deserialize(&mut deserializer)
                        .map_err(A::Error::custom)?;
                }
            }
        }
        Ok(())
    }

    /// How the list's elements are told apart, for last-applied.
    fn note_list(&mut self, kind: &str, rest: &str) {
        if !self.claims.has_last_applied || self.claims.lists.contains_key(&self.at) {
            return;
        }
        let keys = match kind {
            "k" => {
                let Ok(Value::Object(keys)) = serde_json::from_str(rest) else {
                    return;
                };
                ListKeys::Fields(keys.keys().map(|key| key.as_str().into()).collect())
            }
            "v" => ListKeys::Values,
            _ => return,
        };
        self.claims.lists.insert(self.at, keys);
    }
}

impl<'a> Visitor<'a> for Fields<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of fields")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (mut itself, mut below) = (false, false);
        let live = self.live;
        let mut elements = None;
        while let Some(Text(key)) = map.next_key()? {
            if key == "." {
                itself = true;
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            below = true;
            match (key.split_once(':'), live) {
                (Some(("f", _)), _) => {
                    let name = match key {
                        Cow::Borrowed(key) => Cow::Borrowed(&key[2..]),
                        Cow::Owned(key) => Cow::Owned(key[2..].to_owned()),
                    };
                    self.field(name, &mut map)?;
                }
                (Some((kind @ ("k" | "v" | "i"), rest)), Value::Array(list)) => {
                    self.note_list(kind, rest);
                    let elements = elements.get_or_insert_with(|| Elements::of(list));
                    let found = elements.find(kind, rest);
                    self.elements(list, &found, &mut map)?;
                }
                _ => {
                    *self.unresolved = true;
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // An entry without any field has none, not all.
        if self.at == ROOT {
            return Ok(());
        }
        let claim = &mut self.claims.all[self.at as usize];
        if itself || !below {
            claim.own |= self.bit;
        }
        if !below && !itself {
            claim.whole |= self.bit;
        }
        Ok(())
    }
}

/// One value of last-applied.
struct Applied<'c, 'a, 'v> {
    claims: &'c mut Claims<'a>,
    at: u32,
    live: &'v Value,
}

impl<'a> Applied<'_, 'a, '_> {
    fn below<'s, 'v>(&'s mut self, key: Key<'a>, live: &'v Value) -> Applied<'s, 'a, 'v> {
        let at = self.claims.child_or_new(self.at, key);
        Applied {
            claims: &mut *self.claims,
            at,
            live,
        }
    }

    fn mark(&mut self) {
        self.claims.all[self.at as usize].applied = true;
    }
}

impl<'a> DeserializeSeed<'a> for Applied<'_, 'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Applied<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    /// Null was not asked for.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, _: i64) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, _: u64) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, _: f64) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_str<E: Error>(mut self, _: &str) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.mark();
        let live = self.live;
        let is_secret =
            self.at == ROOT && live.get("kind").and_then(Value::as_str) == Some("Secret");
        while let Some(Text(mut key)) = map.next_key()? {
            if is_secret && key == "stringData" {
                // The server writes it to `data`.
                key = Cow::Borrowed("data");
            }
            match live.as_object().and_then(|live| live.get(&*key)) {
                Some(live) => map.next_value_seed(self.below(Key::Field(key), live))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.mark();
        let Value::Array(live) = self.live else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let mut applied: Vec<&'a RawValue> = Vec::new();
        while let Some(element) = list.next_element()? {
            applied.push(element);
        }
        let at = match self.claims.lists.get(&self.at) {
            Some(ListKeys::Fields(keys)) => {
                let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
                Elements::of(live).place(&applied, &keys)
            }
            Some(ListKeys::Values) => Elements::of(live).place_values(&applied),
            None if names_index(live) => Elements::of(live).place(&applied, &["name"]),
            None => (0..applied.len())
                .map(|at| (at < live.len()).then_some(at))
                .collect(),
        };
        for (raw, at) in applied.into_iter().zip(at) {
            if let Some(at) = at {
                let mut deserializer = serde_json::Deserializer::from_str(raw.get());
                self.below(Key::Index(at), &live[at])
                    .deserialize(&mut deserializer)
                    .map_err(A::Error::custom)?;
            }
        }
        Ok(())
    }
}
