//! age: who may read a file, and the data key that they share.
//!
//! The one file of this room that is not pure: `age` draws ephemeral keys and nonces from the
//! operating system.

use std::io::{Read as _, Write as _};
use std::str::FromStr as _;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::x25519;
use age::{Decryptor, Encryptor};
use zeroize::Zeroizing;

use super::SopsError;
use super::cipher::KEY_LENGTH;

/// Longest encrypted data key that is looked at, in bytes: 230 for X25519, some thousand for
/// post-quantum keys.
const LONGEST_WRAPPED: usize = 64 << 10;

/// Whom files are encrypted for: X25519 recipients of age, each once, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Takes recipients of the form `age1…`. Repeated ones count once.
    ///
    /// <https://age-encryption.org/v1>, "The X25519 recipient type".
    pub fn parse(texts: &[String]) -> Result<Self, SopsError> {
        let mut recipients = Vec::new();
        for (text, position) in texts.iter().zip(1..) {
            let text = text.trim();
            let recipient = x25519::Recipient::from_str(text).map_err(|_| {
                // Whatever follows the name of a secret key is not printed.
                if text.to_ascii_uppercase().contains("SECRET") {
                    SopsError::RecipientIsSecret { position }
                } else {
                    let text = text.to_owned();
                    SopsError::Recipient { position, text }
                }
            })?;
            if !recipients.contains(&recipient) {
                recipients.push(recipient);
            }
        }
        if recipients.is_empty() {
            return Err(SopsError::NoRecipients);
        }
        Ok(Self(recipients))
    }

    /// Their names (`age1…`), which are public, in an order that does not depend on the one given.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// Encrypts the data key for each recipient: its name, and an armored age file.
    pub(super) fn wrap(
        &self,
        key: &Zeroizing<[u8; KEY_LENGTH]>,
    ) -> Result<Vec<(String, String)>, SopsError> {
        self.0
            .iter()
            .map(|recipient| {
                let wrapped =
                    wrap(recipient, key).ok_or(SopsError::Encrypt("age refuses the recipient"))?;
                Ok((recipient.to_string(), wrapped))
            })
            .collect()
    }
}

fn wrap(recipient: &x25519::Recipient, key: &Zeroizing<[u8; KEY_LENGTH]>) -> Option<String> {
    let recipients = std::iter::once(recipient as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).ok()?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).ok()?;
    let mut writer = encryptor.wrap_output(armor).ok()?;
    writer.write_all(&**key).ok()?;
    let armored = writer.finish().ok()?.finish().ok()?;
    String::from_utf8(armored).ok()
}

/// The secret keys that files are opened with. Has neither `Debug` nor `Display`.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Takes the text of an identity file of age: a key `AGE-SECRET-KEY-1…` on each line, or a
    /// comment, or nothing.
    ///
    /// Errors name lines and show none.
    pub fn parse(text: &str) -> Result<Self, SopsError> {
        let mut identities = Vec::new();
        for (text, line) in text.lines().zip(1..) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let identity =
                x25519::Identity::from_str(text).map_err(|_| SopsError::Identity { line })?;
            identities.push(identity);
        }
        if identities.is_empty() {
            return Err(SopsError::NoIdentities);
        }
        Ok(Self(identities))
    }

    /// Decrypts the data key from the first of `wrapped` that is for one of these identities.
    pub(super) fn unwrap(
        &self,
        wrapped: &[&str],
    ) -> Result<Zeroizing<[u8; KEY_LENGTH]>, SopsError> {
        let recipients = wrapped.len();
        let key = wrapped.iter().find_map(|wrapped| self.unwrap_one(wrapped));
        let key = key.ok_or(SopsError::NoMatch { recipients })?;
        let key = <[u8; KEY_LENGTH]>::try_from(key.as_slice());
        key.map(Zeroizing::new).map_err(|_| SopsError::Metadata {
            field: "age",
            problem: "the data key is not 32 bytes long",
        })
    }

    fn unwrap_one(&self, wrapped: &str) -> Option<Zeroizing<Vec<u8>>> {
        if wrapped.len() > LONGEST_WRAPPED {
            return None;
        }
        let decryptor = Decryptor::new_buffered(ArmoredReader::new(wrapped.as_bytes())).ok()?;
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        let reader = decryptor.decrypt(identities).ok()?;
        // Room for all that can come, so that no copy is left behind by growing.
        let mut key = Zeroizing::new(Vec::with_capacity(2 * KEY_LENGTH));
        let most = u64::try_from(KEY_LENGTH + 1).ok()?;
        reader.take(most).read_to_end(&mut key).ok()?;
        Some(key)
    }
}
