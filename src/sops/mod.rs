//! Files that the `sops` program reads and writes: values encrypted, keys readable.
//!
//! A [sealed](fn@seal) file is one canonical YAML document behind a comment:
//!
//! ```yaml
//! # strandline: hmac:0123456789abcdef0123456789abcdef
//! apiVersion: v1
//! data:
//!   password: ENC[AES256_GCM,data:…,iv:…,tag:…,type:str]
//! kind: Secret
//! metadata:
//!   name: db
//! sops:
//!   age:
//!   - enc: |
//!       -----BEGIN AGE ENCRYPTED FILE-----
//!       …
//!     recipient: age1…
//!   encrypted_regex: "^(data|stringData)$"
//!   lastmodified: "2024-01-01T00:00:00Z"
//!   mac: ENC[AES256_GCM,data:…,iv:…,tag:…,type:str]
//!   version: "3.13.3"
//! ```
//!
//! The comment is the keyed digest of the plaintext, computed by the caller. It tells whether what
//! is live is what the file holds, without any key of `sops`; nothing vouches for it, and
//! [`open`](fn@open) does not look at it. `sops` keeps comments, encrypts those inside encrypted mappings
//! only, and leaves all of them out of its MAC.
//!
//! # The format
//!
//! As `sops` 3.13.3 has it, from its sources (`sops.go`, `aes/cipher.go`, `stores/`):
//! <https://github.com/getsops/sops/tree/v3.13.3>.
//!
//! - A random data key of 32 bytes, encrypted by age for each recipient on its own.
//! - A leaf is encrypted if *any* key on its path is `data` or `stringData`, so an annotation of
//!   that name is as well. AES-256-GCM with an IV of 32 bytes; the additional data is the path's
//!   keys, each with a colon behind it, positions in lists left out.
//! - Text that is empty, and null, are never encrypted: whoever reads the file sees which values
//!   are empty.
//! - The MAC is the SHA-512, in upper-case hex, of all leaves in the order of the file, encrypted
//!   or not (under `mac_only_encrypted` those alone, behind a fixed prefix); of numbers and
//!   booleans their text in Go and Python; null adds nothing. It is encrypted like a value, its
//!   additional data being `lastmodified`. No key and no boundary between two leaves goes into it:
//!   text that is not encrypted can be moved from one leaf to the next unnoticed.
//!   Nor does a value's type: text of digits can be made a number.
//! - The length of each value can be read off the file.
//! - What `sops` prints in YAML is not always what it decrypted: text of several lines that begins
//!   with a tab comes out as null, the key `<<` unquoted (3.13.3). Live Secrets have neither, their
//!   values being base64, but an annotation may; `--output-type json` is right, and so is Flux.
//! - Whoever knows the recipients can write a new file: `sops` proves no author.
//!
//! Flux turns a file into JSON and decrypts that, without a look at the MAC:
//! <https://github.com/fluxcd/kustomize-controller/blob/main/internal/decryptor/decryptor.go>.
//!
//! # Randomness
//!
//! The data key and every IV derive from 32 bytes that the caller gives. The wrapping of the data
//! key does not: the `age` crate takes its ephemeral keys and nonces from the operating system and
//! offers no other source. So two sealings of the same value with the same bytes differ in
//! `sops.age[].enc` and in nothing else.

mod cipher;
mod error;
mod file;
mod keys;
mod open;
mod seal;
mod tree;

#[cfg(test)]
mod tests;

pub use error::SopsError;
pub use file::{digest_of, is_sealed};
pub use keys::{Identities, Recipients};
pub use open::open;
pub use seal::{holds_secrets, seal};
pub use tree::wipe;
