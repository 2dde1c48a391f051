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
use crate::owners::Encoded;
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
    owners: bool,
}

impl Pipeline {
    /// Prepares the work on the objects of `api_type`.
    pub fn new(api_type: Arc<ApiType>, rules: Arc<TypeRules>, digest_key: Arc<DigestKey>) -> Self {
        Self {
            api_type,
            rules,
            digest_key,
            recipients: None,
            owners: true,
        }
    }

    /// Lets files be encrypted for these recipients.
    #[must_use]
    pub fn sealing_for(mut self, recipients: Option<&Recipients>) -> Self {
        self.recipients = recipients.map(|recipients| recipients.names().join(" ").into());
        self
    }

    /// Leaves out what the sidecar holds of each object, or does not.
    #[must_use]
    pub fn with_owners(mut self, owners: bool) -> Self {
        self.owners = owners;
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
        let (verdict, owned) = if self.owners {
            self.rules
                .apply_with_encoded_owners(&mut object, &key, &known)
        } else {
            (self.rules.apply(&mut object, &key, &known), None)
        };
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
            sidecar: owned.map(|Encoded { owners, times }| SidecarFile { owners, times }),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::filter::{Rules, TypePlan};
    use crate::owners::Shape;

    fn stage(object: &Value) -> Staged {
        stage_with(object, true)
    }

    fn stage_with(object: &Value, owners: bool) -> Staged {
        let api_type = Arc::new(ApiType {
            group: "".into(),
            version: "v1".into(),
            resource: "secrets".into(),
            kind: "Secret".into(),
            namespaced: true,
        });
        let TypePlan::Watched(rules) = Rules::core().plan(&api_type) else {
            panic!("Secrets are recorded")
        };
        let key = Arc::new(DigestKey::from_bytes(b"a key of a test, long enough").unwrap());
        let raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
        let pipeline = Pipeline::new(api_type, Arc::from(rules), key).with_owners(owners);
        pipeline.stage(raw, &Autoscaled::default()).unwrap()
    }

    #[test]
    fn the_sidecar_knows_whose_a_secret_is_and_none_of_its_values() {
        let applied = r#"{"kind":"Secret","stringData":{"password":"hunter2hunter2"}}"#;
        let secret = |annotation: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s",
                "namespace": "shop", "annotations": {crate::owners::LAST_APPLIED: annotation},
                "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update",
                    "apiVersion": "v1", "time": "2026-01-02T03:04:05Z", "fieldsV1":
                        {"f:data": {".": {}, "f:password": {}}, "f:type": {}}}]},
                "data": {"password": "aHVudGVyMmh1bnRlcjI=", "other": "b3RoZXJvdGhlcg=="}})
        };
        let staged = stage(&secret(applied));
        let Content::File { bytes, .. } = &staged.content else {
            panic!("a file")
        };
        let sidecar = staged.sidecar.as_ref().unwrap();
        for bytes in [bytes, &sidecar.owners, &sidecar.times] {
            let text = String::from_utf8_lossy(bytes);
            for value in ["hunter2", "aHVudGVy", "b3RoZXJ", "hmac:x"] {
                assert!(!text.contains(value), "{value}");
            }
            assert!(!text.contains("last-applied"), "it goes as before");
        }
        assert!(!String::from_utf8_lossy(&sidecar.owners).contains("hmac:"));
        let shape = Shape::decode(&sidecar.owners).unwrap();
        let place = |key: &str| ["data", key].map(|key| crate::object::Step::Key(key.into()));
        let password = shape.owners(&place("password"));
        assert_eq!(
            (password.writers.len(), password.in_last_applied),
            (1, true)
        );
        let other = shape.owners(&place("other"));
        assert_eq!((other.writers.len(), other.in_last_applied), (0, false));
        assert_eq!(shape.masks.len(), 2, "{:?}", shape.masks);
        assert!(staged.managed_fields.is_some(), "messages need them");
        let alone = stage_with(&secret(applied), false);
        assert!(alone.sidecar.is_none() && alone.managed_fields.is_some());
        let Content::File { blob_id, .. } = alone.content else {
            panic!("a file")
        };
        assert_eq!(blob_id, BlobId::of(bytes), "the file is the same");
    }
}
