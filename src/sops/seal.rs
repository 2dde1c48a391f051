//! A value into a file.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::cipher::{self, Cipher, Form, IV_LENGTH, KEY_LENGTH};
use super::tree::{self, Mac, Path};
use super::{Recipients, SopsError, file};
use crate::canonical;

/// The version of `sops` whose format this is. `sops` asks for one, and rewrites it with its own.
const VERSION: &str = "3.13.3";

/// Whether an object has what is to be encrypted: `data` or `stringData`, not empty. Another
/// Secret is a plain file.
pub fn holds_secrets(value: &Value) -> bool {
    ["data", "stringData"]
        .iter()
        .any(|key| match value.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Object(map)) => !map.is_empty(),
            Some(_) => true,
        })
}

/// Makes a file that `sops` decrypts of an object with plaintext in `data` and `stringData`.
///
/// `digest` (`hmac:` and 32 hex digits, of the whole plaintext document) goes into the comment,
/// `lastmodified` (UTC, RFC 3339, whole seconds: `2024-01-01T00:00:00Z`) into the metadata.
/// `random` are 32 bytes of good randomness that have been used for nothing else: the data key and
/// the IVs derive from them, and the same bytes with two documents would give both away. The
/// wrapped data keys come out different each time all the same (see the room's "Randomness").
pub fn seal(
    value: &Value,
    digest: &str,
    recipients: &Recipients,
    lastmodified: &str,
    random: Zeroizing<[u8; 32]>,
) -> Result<Vec<u8>, SopsError> {
    if !file::is_digest(digest) {
        return Err(SopsError::Digest);
    }
    if !is_canonical_time(lastmodified) {
        return Err(SopsError::Time);
    }
    let Value::Object(object) = value else {
        return Err(SopsError::NoMapping);
    };
    if object.contains_key(tree::METADATA) {
        return Err(SopsError::Occupied);
    }
    let mut derive = Derivation::new(random);
    let key: Zeroizing<[u8; KEY_LENGTH]> = derive.next();
    let mut walk = Sealer {
        cipher: Cipher::new(&key),
        derive,
        path: Path::default(),
        mac: Mac::new(false),
        depth: 0,
    };
    let mut sealed = walk.map(object)?;
    let metadata = walk.metadata(recipients, &key, lastmodified)?;
    sealed.insert(tree::METADATA.to_owned(), metadata);
    let mut out = file::comment(digest).into_bytes();
    canonical::emit(&Value::Object(sealed), &mut out);
    Ok(out)
}

/// Whether `text` is a time as Go's `time.RFC3339` formats it in UTC: `sops` reads the time and
/// formats it again for the MAC.
fn is_canonical_time(text: &str) -> bool {
    let is_shaped = text.len() == "2024-01-01T00:00:00Z".len();
    is_shaped
        && text
            .parse::<jiff::Timestamp>()
            .is_ok_and(|time| time.to_string() == text)
}

/// Independent keys and IVs from one random seed: HMAC-SHA256(seed, counter).
struct Derivation {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl Derivation {
    fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        Self { seed, counter: 0 }
    }

    fn next(&mut self) -> Zeroizing<[u8; 32]> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&*self.seed).expect("HMAC takes a key of any length");
        mac.update(b"strandline sops v1\0");
        mac.update(&self.counter.to_be_bytes());
        self.counter += 1;
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

struct Sealer {
    cipher: Cipher,
    derive: Derivation,
    path: Path,
    mac: Mac,
    depth: usize,
}

impl Sealer {
    fn map(&mut self, map: &Map<String, Value>) -> Result<Map<String, Value>, SopsError> {
        map.iter()
            .map(|(key, value)| {
                self.path.push(key)?;
                let sealed = self.value(value)?;
                self.path.pop();
                Ok((key.clone(), sealed))
            })
            .collect()
    }

    fn value(&mut self, value: &Value) -> Result<Value, SopsError> {
        match value {
            Value::Object(_) | Value::Array(_) if self.depth + 2 > tree::DEEPEST => {
                Err(SopsError::TooDeep)
            }
            Value::Object(map) => {
                self.depth += 1;
                let sealed = self.map(map).map(Value::Object);
                self.depth -= 1;
                sealed
            }
            Value::Array(items) => {
                self.depth += 1;
                let sealed: Result<_, _> = items.iter().map(|item| self.value(item)).collect();
                self.depth -= 1;
                sealed.map(Value::Array)
            }
            leaf => {
                self.mac.update(leaf, &self.path)?;
                if self.path.is_covered() {
                    self.leaf(leaf)
                } else {
                    Ok(leaf.clone())
                }
            }
        }
    }

    fn leaf(&mut self, leaf: &Value) -> Result<Value, SopsError> {
        let form = cipher::form(leaf).map_err(|cipher::NoForm| SopsError::Number {
            path: self.path.shown(),
        })?;
        match form {
            Some(Form { text, kind }) if !text.is_empty() => {
                let iv: Zeroizing<[u8; IV_LENGTH]> = self.derive.next();
                encrypt(&self.cipher, text, kind, &iv, self.path.as_str())
            }
            _ => Ok(leaf.clone()),
        }
    }

    fn metadata(
        mut self,
        recipients: &Recipients,
        key: &Zeroizing<[u8; KEY_LENGTH]>,
        lastmodified: &str,
    ) -> Result<Value, SopsError> {
        let age: Vec<Value> = recipients
            .wrap(key)?
            .into_iter()
            .map(|(recipient, enc)| json!({ "recipient": recipient, "enc": enc }))
            .collect();
        let iv = self.derive.next();
        let mac = Zeroizing::new(self.mac.finish().into_bytes());
        let mac = encrypt(&self.cipher, mac, "str", &iv, lastmodified)?;
        Ok(json!({
            "age": age,
            "encrypted_regex": tree::ENCRYPTED_REGEX,
            "lastmodified": lastmodified,
            "mac": mac,
            "version": VERSION,
        }))
    }
}

fn encrypt(
    cipher: &Cipher,
    text: Zeroizing<Vec<u8>>,
    kind: &str,
    iv: &[u8; IV_LENGTH],
    path: &str,
) -> Result<Value, SopsError> {
    cipher
        .encrypt(text, kind, iv, path)
        .map(Value::String)
        .ok_or(SopsError::Encrypt("a value is too long for AES-GCM"))
}
