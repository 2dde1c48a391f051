//! The work on one object, beside its reflector: filter, canonical form, blob id.
//!
//! A parsed object takes ten times its size in memory, so it ends here; what goes on is bytes.

use std::sync::Arc;

use crate::canonical;
use crate::filter::{Autoscaled, Context, DigestKey, TypeRules, Verdict};
use crate::mirror::BlobId;
use crate::object::{ApiType, ParseError, RawObject};

use super::stage::{Content, Staged};

/// Everything that the objects of one type need.
#[derive(Clone)]
pub struct Pipeline {
    api_type: Arc<ApiType>,
    rules: Arc<TypeRules>,
    digest_key: Arc<DigestKey>,
}

impl Pipeline {
    /// Prepares the work on the objects of `api_type`.
    pub fn new(api_type: Arc<ApiType>, rules: Arc<TypeRules>, digest_key: Arc<DigestKey>) -> Self {
        Self {
            api_type,
            rules,
            digest_key,
        }
    }

    /// Turns an object as the server sent it into what its file shall be.
    pub fn stage(&self, mut object: RawObject) -> Result<Staged, ParseError> {
        let key = object.key(&self.api_type)?;
        let path = key.path().into();
        let terminating = object.metadata_text("deletionTimestamp").is_some();
        let context = Context {
            digest_key: &self.digest_key,
            autoscaled: &Autoscaled::default(),
        };
        let content = match self.rules.apply(&mut object, &key, &context) {
            Verdict::Drop { rule } => Content::LeftOut {
                rule: rule.as_str().into(),
            },
            // Nothing encrypts here yet: a value in plaintext must not go on.
            Verdict::Keep { seal: true, .. } => Content::LeftOut {
                rule: "secret-values".into(),
            },
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
        })
    }
}
