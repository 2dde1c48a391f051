//! `.strandline.yaml`: whose mirror this is.

use serde::Deserialize;

use super::message::FORMAT_VERSION;
use crate::mirror::IDENTITY_FILE;

/// Whose mirror this is, and with which key its digests were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The uid of namespace `kube-system`, or what `--cluster-id` says.
    pub cluster_id: String,
    /// The fingerprint of the digest key.
    pub key_fingerprint: String,
    /// Whether a digest stands in some file of the mirror.
    pub digested: bool,
}

/// The mirror belongs to something else. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not a file of ours.
    #[error("{IDENTITY_FILE} of the mirror cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a later release.
    #[error(
        "the mirror has format {found}, this release writes {FORMAT_VERSION}; use a release that knows format {found}"
    )]
    Format {
        /// The mirror's format.
        found: u32,
    },
    /// Another cluster's mirror.
    #[error(
        "the mirror belongs to cluster {found}, this is cluster {expected}; give each cluster a --repository, a branch or a --prefix of its own"
    )]
    OtherCluster {
        /// Whose it is.
        found: String,
        /// Who we are.
        expected: String,
    },
    /// Digests made with another key.
    #[error(
        "the digests in the mirror were made with another key (fingerprint {found}, this one has {expected}); give the old key with --digest-key-file, or start a new mirror: with another key every Secret would be written anew"
    )]
    OtherKey {
        /// Fingerprint of the key in use when the mirror was written.
        found: String,
        /// Fingerprint of the key at hand.
        expected: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    format_version: u32,
    cluster: ClusterPart,
    #[serde(default)]
    digest_key: Option<DigestKeyPart>,
}

#[derive(Deserialize)]
struct ClusterPart {
    id: String,
}

#[derive(Deserialize)]
struct DigestKeyPart {
    fingerprint: String,
}

impl Identity {
    /// The file's content. The key's fingerprint is in it as soon as one digest is in the mirror.
    pub fn file(&self, digested: bool) -> Vec<u8> {
        let mut value = serde_json::json!({
            "formatVersion": FORMAT_VERSION,
            "cluster": { "id": self.cluster_id },
        });
        if self.digested || digested {
            value["digestKey"] = serde_json::json!({ "fingerprint": self.key_fingerprint });
        }
        let mut bytes = Vec::new();
        crate::canonical::emit(&value, &mut bytes);
        bytes
    }

    /// Holds what a mirror says of itself against what we are.
    ///
    /// # Errors
    ///
    /// Where the mirror is another cluster's, of another format, or made with another key.
    pub fn check(&mut self, file: &[u8]) -> Result<(), IdentityError> {
        let found = parse(file)?;
        if found.format_version > FORMAT_VERSION {
            return Err(IdentityError::Format {
                found: found.format_version,
            });
        }
        if found.cluster.id != self.cluster_id {
            return Err(IdentityError::OtherCluster {
                found: super::message::printable(&found.cluster.id),
                expected: self.cluster_id.clone(),
            });
        }
        if let Some(DigestKeyPart { fingerprint }) = found.digest_key {
            if fingerprint != self.key_fingerprint {
                return Err(IdentityError::OtherKey {
                    found: super::message::printable(&fingerprint),
                    expected: self.key_fingerprint.clone(),
                });
            }
            self.digested = true;
        }
        Ok(())
    }

    /// Whose mirror a file says this is.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn cluster_of(file: &[u8]) -> Result<String, IdentityError> {
        Ok(super::message::printable(&parse(file)?.cluster.id))
    }

    /// Whether the mirror holds digests already: then a new key must not be made.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn needs_key(file: &[u8]) -> Result<Option<String>, IdentityError> {
        Ok(parse(file)?
            .digest_key
            .map(|key| super::message::printable(&key.fingerprint)))
    }
}

fn parse(file: &[u8]) -> Result<File, IdentityError> {
    let value = crate::canonical::read(file).map_err(|error| IdentityError::Unreadable {
        reason: error.to_string(),
    })?;
    serde_json::from_value(value).map_err(|error| IdentityError::Unreadable {
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            cluster_id: "uid-1".to_owned(),
            key_fingerprint: "aaaa".to_owned(),
            digested: false,
        }
    }

    #[test]
    fn reads_back_what_it_writes() {
        for digested in [false, true] {
            let file = identity().file(digested);
            let mut read = identity();
            read.check(&file).unwrap();
            assert_eq!(read.digested, digested);
            assert_eq!(
                read.file(false),
                file,
                "a mirror with digests keeps its fingerprint"
            );
        }
    }

    #[test]
    fn another_cluster_key_or_format_is_refused() {
        let file = identity().file(true);
        let mut other = Identity {
            cluster_id: "uid-2".to_owned(),
            ..identity()
        };
        assert!(matches!(
            other.check(&file),
            Err(IdentityError::OtherCluster { .. })
        ));
        let mut other = Identity {
            key_fingerprint: "bbbb".to_owned(),
            ..identity()
        };
        assert!(matches!(
            other.check(&file),
            Err(IdentityError::OtherKey { .. })
        ));
        let later = b"formatVersion: 2\ncluster:\n  id: uid-1\n";
        assert!(matches!(
            identity().check(later),
            Err(IdentityError::Format { found: 2 })
        ));
        assert!(matches!(
            identity().check(b"- a\n"),
            Err(IdentityError::Unreadable { .. })
        ));
    }
}
