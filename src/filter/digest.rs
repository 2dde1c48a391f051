//! Keyed digests: a change of a value shows, the value does not.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What every digest begins with. No base64 text holds a colon, so an API server refuses a Secret
/// that somebody applies by accident.
const PREFIX: &str = "hmac:";
/// What stands for a value that is left out. No base64 text either, and no digest.
pub(super) const OMITTED: &str = "hmac:omitted";
/// Bytes of the HMAC that are kept: 128 bits.
const KEPT: usize = 16;
/// What the fingerprint is the HMAC of. No digest's message equals it: those hold NUL bytes.
const FINGERPRINT: &[u8] = b"strandline digest key fingerprint v1";
/// The shortest key that is taken, in bytes. Digests of short values could be searched
/// for, had the key less entropy than they keep bits.
const SHORTEST_KEY: usize = 16;

/// The key of all digests of one mirror.
///
/// Has neither `Debug` nor `Display`, and is overwritten when dropped.
pub struct DigestKey(Zeroizing<Vec<u8>>);

/// Bytes that cannot be a digest key. Holds none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestKeyError {
    /// Fewer bytes than a key needs.
    #[error("a digest key needs at least 16 bytes, this one has {length}")]
    TooShort {
        /// How many there are.
        length: usize,
    },
}

impl DigestKey {
    /// Takes a key as it was stored: all of `bytes`, which are at least 16.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestKeyError> {
        if bytes.len() < SHORTEST_KEY {
            return Err(DigestKeyError::TooShort {
                length: bytes.len(),
            });
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// A new key from 32 bytes of the system's randomness.
    pub fn generate(random: &Zeroizing<[u8; 32]>) -> Self {
        Self(Zeroizing::new(random.to_vec()))
    }

    /// The bytes to store.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// 32 hex digits that tell two keys apart and from which neither can be computed.
    pub fn fingerprint(&self) -> String {
        self.hex(String::new(), &[FINGERPRINT])
    }

    /// The digest of a value at its place.
    ///
    /// `hmac:` and the first 32 hex digits of
    /// HMAC-SHA256(key, `object_path` ‖ 0 ‖ `field_path` ‖ 0 ‖ `value`). `object_path` is
    /// [`ObjectKey::path`](crate::object::ObjectKey::path). `field_path` is concrete: plain fields
    /// as they are, a map key that `[*]` stood for as a JSON string in brackets (`data["user"]`), a
    /// list's element as its position. Neither holds a NUL byte, so no two messages are equal.
    pub(super) fn digest(&self, object_path: &str, field_path: &str, value: &[u8]) -> String {
        self.hex(
            PREFIX.to_owned(),
            &[
                object_path.as_bytes(),
                b"\0",
                field_path.as_bytes(),
                b"\0",
                value,
            ],
        )
    }

    /// The digest of a whole file before it is encrypted.
    ///
    /// `hmac:` and the first 32 hex digits of
    /// HMAC-SHA256(key, 0 ‖ `document` ‖ 0 ‖ `object_path` ‖ 0 ‖ `bytes`). It begins with a NUL
    /// byte, as no object's path does: no digest of a value is the digest of a file.
    pub fn document(&self, object_path: &str, bytes: &[u8]) -> String {
        self.hex(
            PREFIX.to_owned(),
            &[b"\0document\0", object_path.as_bytes(), b"\0", bytes],
        )
    }

    fn hex(&self, mut out: String, message: &[&[u8]]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in message {
            mac.update(part);
        }
        for byte in &mac.finalize().into_bytes()[..KEPT] {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
        out
    }
}

/// Whether `text` stands for a value that the mirror does not hold: a digest, with or without the
/// length of a large value, or the text for an omitted one.
pub fn is_redacted(text: &str) -> bool {
    text == OMITTED || is_digest(text)
}

/// Whether `text` has the form of a digest.
pub(super) fn is_digest(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return false;
    };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let Some((hex, rest)) = rest.split_at_checked(2 * KEPT) else {
        return false;
    };
    let length = rest
        .strip_prefix(" (")
        .and_then(|rest| rest.strip_suffix(" bytes)"));
    hex.bytes().all(is_hex)
        && (rest.is_empty()
            || length.is_some_and(|length| {
                (1..=20).contains(&length.len()) && length.bytes().all(|b| b.is_ascii_digit())
            }))
}
