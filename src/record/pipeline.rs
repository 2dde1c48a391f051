//! The work on one object, beside its reflector: filter, canonical form, blob id.
//!
//! A parsed object takes ten times its size in memory, so it ends here; what goes on is bytes.

use std::sync::Arc;

use crate::canonical;
use crate::filter::{Autoscaled, Context, DigestKey, TypeRules, Verdict, scale_target};
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
        let replicas = replicas.and_then(serde_json::Value::as_i64);
        let content = match self.rules.apply(&mut object, &key, &known) {
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
            replicas,
            scales,
        })
    }
}
