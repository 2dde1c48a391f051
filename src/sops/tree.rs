//! Paths of leaves, and the MAC over them.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroize as _;

use super::SopsError;
use super::cipher;

/// The key of the metadata, at the top level.
pub(super) const METADATA: &str = "sops";
/// The rule under which files are sealed, and the one under which they are opened.
pub(super) const ENCRYPTED_REGEX: &str = "^(data|stringData)$";
/// Longest sum of the keys to a leaf, with a byte for each, that is sealed or opened. It is hashed
/// with every leaf below; no key of a Secret is longer than 253 bytes.
pub(super) const LONGEST_PATH: usize = 4096;
/// Deepest nesting, as files are read back.
pub(super) const DEEPEST: usize = 127;
/// What the hash begins with where it covers the encrypted leaves only: `sops` (`sops.go`,
/// `MACOnlyEncryptedInitialization`) takes the SHA-256 of its own name.
const MAC_ONLY_ENCRYPTED: &[u8] = b"sops";

/// The keys on the way to a leaf, each with a colon behind it: the additional data of its
/// encryption. Lists add nothing.
#[derive(Default)]
pub(super) struct Path {
    text: String,
    /// Length before each key, and whether the key asks for encryption.
    keys: Vec<(usize, bool)>,
}

impl Path {
    pub(super) fn push(&mut self, key: &str) -> Result<(), SopsError> {
        if self.text.len() + key.len() + 1 > LONGEST_PATH {
            let mut path = self.shown();
            path.extend(key.chars().take(32));
            return Err(SopsError::LongPath { path });
        }
        let covers = matches!(key, "data" | "stringData");
        self.keys.push((self.text.len(), covers));
        self.text.push_str(key);
        self.text.push(':');
        Ok(())
    }

    pub(super) fn pop(&mut self) {
        if let Some((length, _)) = self.keys.pop() {
            self.text.truncate(length);
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether leaves here are encrypted: any key of the path says so.
    pub(super) fn is_covered(&self) -> bool {
        self.keys.iter().any(|(_, covers)| *covers)
    }

    /// The path for a message.
    pub(super) fn shown(&self) -> String {
        self.text.trim_end_matches(':').to_owned()
    }
}

/// The hash of a document's leaves.
pub(super) struct Mac {
    hash: Sha512,
    only_encrypted: bool,
}

impl Mac {
    pub(super) fn new(only_encrypted: bool) -> Self {
        let mut hash = Sha512::new();
        if only_encrypted {
            hash.update(sha2::Sha256::digest(MAC_ONLY_ENCRYPTED));
        }
        Self {
            hash,
            only_encrypted,
        }
    }

    /// Takes the next leaf, in plaintext.
    pub(super) fn update(&mut self, leaf: &Value, path: &Path) -> Result<(), SopsError> {
        if self.only_encrypted && !path.is_covered() {
            return Ok(());
        }
        let form = cipher::form(leaf)
            .map_err(|cipher::NoForm| SopsError::Number { path: path.shown() })?;
        if let Some(form) = form {
            self.hash.update(&*form.text);
        }
        Ok(())
    }

    /// The MAC: 128 upper-case hex digits.
    pub(super) fn finish(self) -> String {
        self.hash
            .finalize()
            .iter()
            .fold(String::new(), |mut out, byte| {
                // Writing to a String cannot fail.
                let _ = write!(out, "{byte:02X}");
                out
            })
    }
}

/// Overwrites every text of a value.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
