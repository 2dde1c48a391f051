//! The tables that are checked in, read once.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// One table, as `tests/tables` prints it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Facts {
    minor: u32,
    /// Type to its fields that are left out where they are zero.
    omits: HashMap<Box<str>, Vec<Box<str>>>,
    /// Type to field to default.
    types: HashMap<Box<str>, BTreeMap<Box<str>, Value>>,
    /// `group/version/kind` to path to default, where it depends on the place.
    places: HashMap<Box<str>, BTreeMap<Box<str>, Value>>,
}

macro_rules! table {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Facts> = LazyLock::new(|| read(include_str!($file)));
    };
}
table!(MINOR_34, "1.34.json");
table!(MINOR_35, "1.35.json");
table!(MINOR_36, "1.36.json");

/// A table is ours and a test reads each; one that cannot be read would have no defaults.
fn read(table: &str) -> Facts {
    serde_json::from_str(table).unwrap_or_default()
}

pub(super) fn of(minor: u32) -> &'static Facts {
    match minor {
        0..=34 => &MINOR_34,
        35 => &MINOR_35,
        _ => &MINOR_36,
    }
}

impl Facts {
    pub(super) fn minor(&self) -> u32 {
        self.minor
    }

    pub(super) fn omits_zero(&self, type_name: &str, field: &str) -> bool {
        let fields = self.omits.get(type_name);
        fields.is_some_and(|fields| fields.binary_search_by(|one| (**one).cmp(field)).is_ok())
    }

    pub(super) fn default(&self, type_name: &str, field: &str) -> Option<&Value> {
        self.types.get(type_name)?.get(field)
    }

    /// The defaults of a type's fields.
    pub(super) fn defaults(&self, type_name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let fields = self.types.get(type_name).into_iter().flatten();
        fields.map(|(field, value)| (&**field, value))
    }

    /// Defaults of a kind at paths of fields, without lists.
    pub(super) fn places(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let places = self.places.get(kind).into_iter().flatten();
        places.map(|(path, value)| (&**path, value))
    }
}
