//! The work on one object, beside its reflector: filter, canonical form, blob id.
//!
//! A parsed object takes ten times its size in memory, so it ends here; what goes on is bytes.

use std::sync::Arc;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::canonical;
use crate::filter::{Autoscaled, Context, DigestKey, TypeRules, Verdict, scale_target};
use crate::mirror::BlobId;
use crate::object::{ApiType, ObjectKey, ParseError, RawObject};
use crate::sops::Recipients;

use super::stage::{Content, Plaintext, SidecarFile, Staged};

/// Everything that the objects of one type need.
#[derive(Clone)]
pub struct Pipeline {
    api_type: Arc<ApiType>,
    rules: Arc<TypeRules>,
    digest_key: Arc<DigestKey>,
    /// The names of those for whom files are encrypted, as they go into their digests.
    recipients: Option<Arc<str>>,
}

impl Pipeline {
    /// Prepares the work on the objects of `api_type`.
    pub fn new(api_type: Arc<ApiType>, rules: Arc<TypeRules>, digest_key: Arc<DigestKey>) -> Self {
        Self {
            api_type,
            rules,
            digest_key,
            recipients: None,
        }
    }

    /// Lets files be encrypted for these recipients.
    #[must_use]
    pub fn sealing_for(mut self, recipients: Option<&Recipients>) -> Self {
        self.recipients = recipients.map(|recipients| recipients.names().join(" ").into());
        self
    }

    /// Turns an object as the server sent it into what its file shall be, while these workloads
    /// are `autoscaled`.
    pub fn stage(
        &self,
        mut object: RawObject,
        autoscaled: &Autoscaled,
    ) -> Result<Staged, ParseError> {
        let key = object.key(&self.api_type)?;
        let path = key.path().into();
        let terminating = object.metadata_text("deletionTimestamp").is_some();
        let known = Context {
            digest_key: &self.digest_key,
            autoscaled,
        };
        // Both are asked of the object as it is live.
        let scales = scale_target(&key, &object.value);
        let replicas = object.value.pointer("/spec/replicas");
        let replicas = replicas.and_then(Value::as_i64);
        let (verdict, owned) = self.rules.apply_with_owners(&mut object, &key, &known);
        let content = match verdict {
            Verdict::Drop { rule } => Content::LeftOut {
                rule: rule.as_str().into(),
            },
            Verdict::Keep { seal: true, .. } => self.sealed(&key, &object.value),
            Verdict::Keep { digested, .. } => {
                let mut bytes = Vec::with_capacity(2 << 10);
                canonical::emit(&object.value, &mut bytes);
                Content::File {
                    blob_id: BlobId::of(&bytes),
                    bytes,
                    digested: digested > 0,
                }
            }
        };
        Ok(Staged {
            key,
            path,
            content,
            terminating,
            managed_fields: object.managed_fields,
            replicas,
            scales,
            sidecar: owned.map(|(shape, times)| SidecarFile {
                owners: shape.encode(),
                times: times.encode(),
            }),
        })
    }

    /// What is to be encrypted, and its digest. That covers the recipients too: others of them
    /// make another file.
    fn sealed(&self, key: &ObjectKey, value: &Value) -> Content {
        let Some(recipients) = &self.recipients else {
            // Refused at the start; a value in plaintext must not go on.
            return Content::Unsealable;
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 << 10));
        canonical::emit(value, &mut bytes);
        let length = bytes.len();
        // No canonical file holds a NUL byte.
        bytes.push(0);
        bytes.extend_from_slice(recipients.as_bytes());
        let digest = self.digest_key.document(&key.path(), &bytes).into();
        bytes.truncate(length);
        Content::Sealed {
            plaintext: Plaintext(bytes),
            digest,
        }
    }
}
