//! What can go wrong.

use crate::canonical::ReadError;

/// Why a file could not be sealed or opened. Holds no value and no key: paths are made of the keys
/// of mappings, and recipients are public.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SopsError {
    /// An empty list of recipients: nobody could read the file.
    #[error("no age recipient is given; name at least one (`age-keygen` prints it: age1…)")]
    NoRecipients,
    /// Something else than an X25519 recipient.
    #[error(
        "recipient {position} is no age recipient of the form age1…: {text:?} (ssh keys, plugins and post-quantum keys are not supported)"
    )]
    Recipient {
        /// Counted from 1.
        position: usize,
        /// As it was given.
        text: String,
    },
    /// A secret key where its public half belongs.
    #[error(
        "recipient {position} is a secret key; give its recipient (`age-keygen -y FILE` prints it) and consider the key exposed"
    )]
    RecipientIsSecret {
        /// Counted from 1.
        position: usize,
    },
    /// A line of an identity file that holds no X25519 identity.
    #[error(
        "line {line} of the age identities is neither a comment nor of the form AGE-SECRET-KEY-1… (ssh keys, plugins and encrypted files are not supported)"
    )]
    Identity {
        /// Counted from 1.
        line: usize,
    },
    /// An identity file without identities.
    #[error("the age identities hold no key")]
    NoIdentities,
    /// A digest that is not `hmac:` and 32 lower-case hex digits.
    #[error("the digest of the plaintext is not of the form hmac:<32 hex digits>")]
    Digest,
    /// A time that `sops` would write in another way, and so compute another MAC.
    #[error("the time of the last change is not of the form 2024-01-01T00:00:00Z")]
    Time,
    /// A document that is no mapping.
    #[error("the document is no mapping")]
    NoMapping,
    /// A document with a key of its own where the metadata goes.
    #[error("the object has a field `sops` of its own, where sops keeps its metadata")]
    Occupied,
    /// A number that Go's `int` cannot hold: `sops` refuses it.
    #[error("{path}: a number over 2⁶³−1, which sops cannot hold")]
    Number {
        /// The keys to it.
        path: String,
    },
    /// Keys whose sum is longer than any object's.
    #[error("{path}…: a path longer than {} bytes", super::tree::LONGEST_PATH)]
    LongPath {
        /// Its beginning.
        path: String,
    },
    /// Nested deeper than files are read back.
    #[error("nested too deeply")]
    TooDeep,
    /// The cryptography refused, without saying why.
    #[error("cannot encrypt: {0}")]
    Encrypt(&'static str),
    /// Larger than any object of Kubernetes can become.
    #[error("the file is larger than {} MiB", super::file::LONGEST_FILE >> 20)]
    TooLong,
    /// Not YAML.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No metadata: not a file of `sops`.
    #[error("the file has no sops metadata: it is not encrypted, or not whole")]
    NotSealed,
    /// Metadata that lacks what is needed, or has it in another form.
    #[error("sops.{field}: {problem}")]
    Metadata {
        /// Which part.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// Encrypted for others.
    #[error(
        "none of the given age identities is among the file's {recipients} recipients; add the right one"
    )]
    NoMatch {
        /// How many the file names.
        recipients: usize,
    },
    /// A value that should be encrypted and is not, or that was damaged or moved.
    #[error("{path}: {problem}")]
    Value {
        /// The keys to it.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The leaves are not those that were sealed.
    #[error("the MAC does not match: a part of the file was changed after it was encrypted")]
    Mac,
}
