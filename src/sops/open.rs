//! A file into its value.

use serde_json::{Map, Value};

use super::cipher::Cipher;
use super::tree::{self, Mac, Path};
use super::{Identities, SopsError, file};
use crate::canonical;

/// Rules of `sops` that choose what is encrypted, other than ours.
const OTHER_RULES: [&str; 5] = [
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

/// Decrypts a file that [`seal`](fn@super::seal) or the `sops` program wrote under
/// `encrypted_regex: ^(data|stringData)$` for one of these identities, and checks its MAC.
///
/// Returns the object, without the metadata. It holds the plaintext: overwrite what is not needed
/// any more. YAML only; files for key groups (Shamir) and for other keys than age's alone are
/// refused.
pub fn open(file: &[u8], identities: &Identities) -> Result<Value, SopsError> {
    if file.len() > file::LONGEST_FILE {
        return Err(SopsError::TooLong);
    }
    let Value::Object(mut object) = canonical::read(file)? else {
        return Err(SopsError::NotSealed);
    };
    let sealed = object.remove(tree::METADATA).ok_or(SopsError::NotSealed)?;
    let metadata = Metadata::read(&sealed)?;
    let key = identities.unwrap(&metadata.wrapped)?;
    let cipher = Cipher::new(&key);
    let expected = cipher.decrypt(metadata.mac, metadata.lastmodified);
    let expected = expected.map_err(|problem| SopsError::Metadata {
        field: "mac",
        problem,
    })?;
    let mut walk = Opener {
        cipher: &cipher,
        metadata_maps: maps_in(&sealed),
        mac: Mac::new(metadata.mac_only_encrypted),
        path: Path::default(),
        order: canonical::key_order(file)?.into_iter(),
    };
    let opened = walk.map(&mut object);
    let mut value = Value::Object(object);
    let checked = opened.and_then(|()| {
        if expected.as_str() == Some(&walk.mac.finish()) {
            Ok(())
        } else {
            Err(SopsError::Mac)
        }
    });
    match checked {
        Ok(()) => Ok(value),
        Err(error) => {
            tree::wipe(&mut value);
            Err(error)
        }
    }
}

/// What of the metadata counts.
struct Metadata<'a> {
    /// The data key, encrypted for each recipient.
    wrapped: Vec<&'a str>,
    lastmodified: &'a str,
    mac: &'a str,
    mac_only_encrypted: bool,
}

impl<'a> Metadata<'a> {
    fn read(metadata: &'a Value) -> Result<Self, SopsError> {
        let text = |field| {
            let text = metadata.get(field).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
                .ok_or(SopsError::Metadata {
                    field,
                    problem: "missing, or no text",
                })
        };
        let other_rule = OTHER_RULES
            .iter()
            .any(|rule| metadata.get(rule).is_some_and(|rule| !is_unset(rule)));
        if other_rule || text("encrypted_regex")? != tree::ENCRYPTED_REGEX {
            return Err(SopsError::Metadata {
                field: "encrypted_regex",
                problem: "encrypted under another rule than ^(data|stringData)$: decrypt it with `sops -d`",
            });
        }
        let recipients = metadata.get("age").and_then(Value::as_array);
        let wrapped: Option<Vec<&str>> = recipients
            .filter(|recipients| !recipients.is_empty())
            .and_then(|recipients| {
                let enc = |recipient: &'a Value| recipient.get("enc")?.as_str();
                recipients.iter().map(enc).collect()
            });
        Ok(Self {
            wrapped: wrapped.ok_or(SopsError::Metadata {
                field: "age",
                problem: "no recipients: only files for age, without key groups, can be opened here",
            })?,
            lastmodified: text("lastmodified")?,
            mac: text("mac")?,
            mac_only_encrypted: metadata.get("mac_only_encrypted") == Some(&Value::Bool(true)),
        })
    }
}

/// Older versions of `sops` write what is not set as null or nothing.
fn is_unset(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Counts the mappings of a value, itself among them.
fn maps_in(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(maps_in).sum::<usize>(),
        Value::Array(items) => items.iter().map(maps_in).sum(),
        _ => 0,
    }
}

struct Opener<'a> {
    cipher: &'a Cipher,
    /// How many mappings the metadata is made of.
    metadata_maps: usize,
    mac: Mac,
    path: Path,
    /// The keys of each mapping, in the order of the text.
    order: std::vec::IntoIter<Vec<String>>,
}

impl Opener<'_> {
    /// Goes through a mapping in the order of the text, which is that of the MAC; the metadata is
    /// passed by.
    fn map(&mut self, map: &mut Map<String, Value>) -> Result<(), SopsError> {
        // The text was read once as a value and once for its order: they cannot differ.
        let keys = self.order.next().ok_or(SopsError::Mac)?;
        for key in keys {
            match map.get_mut(&key) {
                Some(value) => {
                    self.path.push(&key)?;
                    self.value(value)?;
                    self.path.pop();
                }
                None if self.path.as_str().is_empty() && key == tree::METADATA => {
                    self.order.by_ref().take(self.metadata_maps).for_each(drop);
                }
                None => return Err(SopsError::Mac),
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value) -> Result<(), SopsError> {
        match value {
            Value::Object(map) => self.map(map),
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.value(item)),
            leaf => {
                if self.path.is_covered() {
                    self.leaf(leaf)?;
                }
                self.mac.update(leaf, &self.path)
            }
        }
    }

    fn leaf(&self, leaf: &mut Value) -> Result<(), SopsError> {
        let opened = match leaf {
            Value::Null => return Ok(()),
            Value::String(text) if text.is_empty() => return Ok(()),
            Value::String(text) => self.cipher.decrypt(text, self.path.as_str()),
            _ => Err("not encrypted"),
        };
        *leaf = opened.map_err(|problem| SopsError::Value {
            path: self.path.shown(),
            problem,
        })?;
        Ok(())
    }
}
