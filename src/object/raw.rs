use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{ApiType, ObjectKey};

/// One object as the API server sent it, `managedFields` set aside unparsed.
///
/// `metadata.managedFields` is about half of an object's bytes and is read for few of them, so it
/// stays text until someone asks.
pub struct RawObject {
    /// The object without `metadata.managedFields`; `apiVersion` and `kind` always set.
    pub value: Value,
    /// `metadata.managedFields` as JSON text; `None` where the object has none.
    pub managed_fields: Option<Box<RawValue>>,
}

/// Kind and name alone: the rest may be a Secret, and debug output ends in logs.
impl fmt::Debug for RawObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self
            .value
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let name = self.metadata_text("name").unwrap_or_default();
        write!(f, "RawObject({kind} {name})")
    }
}

/// Bytes that are not one Kubernetes object. Never holds any of them: they may be a Secret.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not an object.
    #[error("not a JSON object (line {line}, column {column})")]
    Json {
        /// 1-based line of the first byte that does not fit.
        line: usize,
        /// 1-based column of that byte.
        column: usize,
    },
    /// `metadata.name` is missing or empty.
    #[error("an object without metadata.name")]
    NoName,
    /// An object of a namespaced type without a namespace, or the reverse.
    #[error("object '{name}' does not fit the scope of its type")]
    WrongScope {
        /// `metadata.name`.
        name: String,
    },
}

impl RawObject {
    /// Reads one object from JSON text and stamps `apiVersion` and `kind` from discovery.
    pub fn parse(json: &[u8], api_type: &ApiType) -> Result<Self, ParseError> {
        let mut object: Self = serde_json::from_slice(json).map_err(|error| ParseError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        object.stamp(api_type);
        Ok(object)
    }

    /// Sets `apiVersion` and `kind` from discovery.
    ///
    /// Items of a list of built-in types carry neither, events of a watch carry both
    /// (<https://github.com/kubernetes/kubernetes/issues/3030>); stamping makes them equal.
    pub fn stamp(&mut self, api_type: &ApiType) {
        if let Some(map) = self.value.as_object_mut() {
            map.insert(
                "apiVersion".to_owned(),
                Value::String(api_type.api_version()),
            );
            map.insert("kind".to_owned(), Value::String(api_type.kind.to_string()));
        }
    }

    /// `metadata.<field>` where it is a non-empty string.
    pub fn metadata_text(&self, field: &str) -> Option<&str> {
        self.value
            .get("metadata")?
            .get(field)?
            .as_str()
            .filter(|text| !text.is_empty())
    }

    /// The object's identity.
    pub fn key(&self, api_type: &std::sync::Arc<ApiType>) -> Result<ObjectKey, ParseError> {
        let name = self.metadata_text("name").ok_or(ParseError::NoName)?;
        let namespace = self.metadata_text("namespace");
        if namespace.is_some() != api_type.namespaced {
            return Err(ParseError::WrongScope {
                name: name.to_owned(),
            });
        }
        Ok(ObjectKey {
            api_type: api_type.clone(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        })
    }
}

/// Sets `metadata.managedFields` aside as text. Only `serde_json`'s own deserializers can: text is
/// theirs alone.
impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut managed_fields = None;
        let seed = ObjectSeed {
            managed_fields: &mut managed_fields,
            depth: 0,
        };
        let value = seed.deserialize(deserializer)?;
        Ok(Self {
            value,
            managed_fields,
        })
    }
}

/// Reads a map; at depth 0 descends into `metadata` once more, at depth 1 sets `managedFields` aside.
struct ObjectSeed<'a> {
    managed_fields: &'a mut Option<Box<RawValue>>,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if self.depth == 0 && key == "metadata" {
                let seed = ObjectSeed {
                    managed_fields: &mut *self.managed_fields,
                    depth: 1,
                };
                let metadata = access.next_value_seed(seed)?;
                map.insert(key, metadata);
            } else if self.depth == 1 && key == "managedFields" {
                *self.managed_fields = access
                    .next_value::<Option<Box<RawValue>>>()?
                    .filter(|raw| raw.get() != "null");
            } else {
                let value = access.next_value()?;
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = r#"{"metadata": {"name": "s", "namespace": "n", "unknownField": 1,
        "managedFields": [{"manager": "m"}]}, "data": {"password": "aHVudGVyMg=="}}"#;

    fn secret() -> ApiType {
        ApiType {
            group: "".into(),
            version: "v1".into(),
            resource: "secrets".into(),
            kind: "Secret".into(),
            namespaced: true,
        }
    }

    #[test]
    fn managed_fields_are_set_aside_and_everything_else_is_kept() {
        let object = RawObject::parse(SECRET.as_bytes(), &secret()).unwrap();
        let expected = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "data": {"password": "aHVudGVyMg=="},
            "metadata": {"name": "s", "namespace": "n", "unknownField": 1},
        });
        assert_eq!(object.value, expected);
        assert_eq!(
            object.managed_fields.unwrap().get(),
            r#"[{"manager": "m"}]"#
        );
    }

    #[test]
    fn neither_debug_output_nor_an_error_shows_a_value() {
        let object = RawObject::parse(SECRET.as_bytes(), &secret()).unwrap();
        assert_eq!(format!("{object:?}"), "RawObject(Secret s)");
        let broken = &SECRET[..SECRET.len() - 4];
        let error = RawObject::parse(broken.as_bytes(), &secret()).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("aHVudGVyMg"),
            "{error:?}"
        );
    }

    #[test]
    fn an_object_must_fit_the_scope_of_its_type() {
        let namespaced = std::sync::Arc::new(secret());
        let cluster = std::sync::Arc::new(ApiType {
            namespaced: false,
            ..secret()
        });
        let object = RawObject::parse(SECRET.as_bytes(), &namespaced).unwrap();
        assert_eq!(
            object.key(&namespaced).unwrap().path(),
            "namespaces/n/secrets/s.yaml"
        );
        assert!(matches!(
            object.key(&cluster),
            Err(ParseError::WrongScope { .. })
        ));
        let nameless = RawObject::parse(br#"{"metadata": {}}"#, &cluster).unwrap();
        assert!(matches!(nameless.key(&cluster), Err(ParseError::NoName)));
    }
}
