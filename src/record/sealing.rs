//! Files that are encrypted: each once, as long as its plaintext is the same.
//!
//! Every encryption of the same plaintext is another file. So the digest of the plaintext, which
//! stands in the file's first line, says whether a file of HEAD or of the stage is the one that is
//! wanted. What is remembered here counts only while HEAD or the stage holds the blob: after a
//! commit that failed nothing points to a blob that was lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tracing::warn;
use zeroize::Zeroizing;

use super::stage::{Content, Plaintext};
use crate::canonical;
use crate::mirror::BlobId;
use crate::sops::{Recipients, SopsError, digest_of, is_sealed, seal, wipe};

/// What is known of an object's encrypted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Find {
    /// This blob is it.
    Known(BlobId),
    /// HEAD's file may be it: it has to be read.
    Read(BlobId),
    /// There is none: it has to be encrypted.
    New,
}

/// Why one file could not be encrypted. Holds no value.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The plaintext is not what we write.
    #[error("it is not read back: {0}")]
    Read(#[from] canonical::ReadError),
    /// The object cannot be one of sops' files.
    #[error(transparent)]
    Sops(#[from] SopsError),
    /// The system gives none.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// Before the year −9999, or after 9999.
    #[error("the clock is out of range")]
    Clock,
    /// Nobody could read the file.
    #[error("nobody to encrypt for: name at least one --sops-recipient age1…")]
    NoRecipients,
}

/// What the encrypted files of HEAD and of the stage were made of, as far as it was asked.
pub(super) struct SealedFiles {
    recipients: Option<Arc<Recipients>>,
    /// By path: the digest of the plaintext, and the file. HEAD's and the stage's, at most.
    files: HashMap<Arc<str>, Vec<(Box<str>, BlobId)>>,
    /// Files that could not be encrypted, each said once.
    refused: HashSet<Arc<str>>,
}

impl SealedFiles {
    pub(super) fn new(recipients: Option<Arc<Recipients>>) -> Self {
        Self {
            recipients,
            files: HashMap::new(),
            refused: HashSet::new(),
        }
    }

    /// Looks for the file of a plaintext; `head` is HEAD's at the path, `next` what will follow.
    pub(super) fn find(
        &self,
        path: &str,
        digest: &str,
        head: Option<BlobId>,
        next: Option<BlobId>,
    ) -> Find {
        let known = self.files.get(path).map_or(&[][..], Vec::as_slice);
        let counts = |blob_id: BlobId| Some(blob_id) == head || Some(blob_id) == next;
        let same = known
            .iter()
            .find(|(of, blob_id)| **of == *digest && counts(*blob_id));
        if let Some((_, blob_id)) = same {
            return Find::Known(*blob_id);
        }
        match head {
            Some(head) if known.iter().all(|(_, blob_id)| *blob_id != head) => Find::Read(head),
            _ => Find::New,
        }
    }

    /// Takes note of a file of HEAD; returns it where it was made of `digest`.
    ///
    /// A file that somebody decrypted, and that kept its first line, is none of ours.
    pub(super) fn learn(
        &mut self,
        path: &Arc<str>,
        digest: &str,
        blob_id: BlobId,
        file: &[u8],
    ) -> Option<BlobId> {
        let of = digest_of(file).filter(|_| is_sealed(file))?;
        let files = self.files.entry(path.clone()).or_default();
        files.push((of.into(), blob_id));
        (of == digest).then_some(blob_id)
    }

    /// Encrypts a file, and forgets all of its path but what is in `keep`.
    ///
    /// `seconds` is the time since 1970, UTC.
    pub(super) fn seal(
        &mut self,
        path: &Arc<str>,
        plaintext: &Plaintext,
        digest: &str,
        seconds: i64,
        keep: [Option<BlobId>; 2],
    ) -> Content {
        match encrypt(self.recipients.as_deref(), plaintext, digest, seconds) {
            Ok(bytes) => {
                let blob_id = BlobId::of(&bytes);
                let files = self.files.entry(path.clone()).or_default();
                files.retain(|(_, blob_id)| keep.contains(&Some(*blob_id)));
                files.push((digest.into(), blob_id));
                self.refused.remove(path);
                Content::File {
                    blob_id,
                    bytes,
                    digested: true,
                }
            }
            Err(error) => {
                if self.refused.insert(path.clone()) {
                    warn!(
                        %path, %error,
                        "an object cannot be encrypted, its file stays as it is: a rule may leave it out"
                    );
                }
                Content::Unsealable
            }
        }
    }

    /// Forgets a path that has no file any more.
    pub(super) fn forget(&mut self, path: &str) {
        self.files.remove(path);
        self.refused.remove(path);
    }
}

/// Encrypts a file. `digest` goes into its first line, `seconds` (since 1970, UTC) says when.
pub fn encrypt(
    recipients: Option<&Recipients>,
    plaintext: &Plaintext,
    digest: &str,
    seconds: i64,
) -> Result<Vec<u8>, SealError> {
    let recipients = recipients.ok_or(SealError::NoRecipients)?;
    let time = jiff::Timestamp::from_second(seconds).map_err(|_| SealError::Clock)?;
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(SealError::Random)?;
    let mut value = canonical::read(&plaintext.0)?;
    let file = seal(&value, digest, recipients, &time.to_string(), random);
    wipe(&mut value);
    Ok(file?)
}

/// Prepares two versions of an encrypted file to be compared for a commit message.
///
/// Each encryption writes every value and all of `sops` anew, and what they were cannot be seen:
/// of `data` and `stringData` a message says no more than that they were written.
pub(super) fn make_comparable(before: &mut Value, after: &mut Value) {
    for (value, version) in [(before, 1), (after, 2)] {
        let Value::Object(map) = value else { continue };
        map.remove("sops");
        for name in ["data", "stringData"] {
            if let Some(covered) = map.get_mut(name) {
                *covered = json!(version);
            }
        }
    }
}
