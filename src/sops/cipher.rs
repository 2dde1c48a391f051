//! A leaf and its encrypted form: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::U32;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut as _, AesGcm, KeyInit as _, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a data key.
pub(super) const KEY_LENGTH: usize = 32;
/// Bytes of an IV; GCM usually has 12, `sops` took 32.
pub(super) const IV_LENGTH: usize = 32;

/// A document's data key, ready for use. Overwritten when dropped.
pub(super) struct Cipher(AesGcm<Aes256, U32>);

/// A leaf that `sops` has no form for: a number over 2⁶³−1.
pub(super) struct NoForm;

/// A leaf as `sops` encrypts and hashes it.
pub(super) struct Form {
    pub(super) text: Zeroizing<Vec<u8>>,
    /// The name of its type.
    pub(super) kind: &'static str,
}

/// Returns the form of a leaf; `None` for null and collections,
/// which it does neither with.
///
/// <https://github.com/getsops/sops/blob/v3.13.3/sops.go> (`ToBytes`): integers in decimal, floats
/// in full and without an exponent, booleans as Python writes them.
pub(super) fn form(leaf: &Value) -> Result<Option<Form>, NoForm> {
    let (text, kind) = match leaf {
        Value::String(text) => (text.clone(), "str"),
        Value::Bool(true) => ("True".to_owned(), "bool"),
        Value::Bool(false) => ("False".to_owned(), "bool"),
        Value::Number(number) => match (number.as_i64(), number.is_u64()) {
            (Some(integer), _) => (integer.to_string(), "int"),
            (None, true) => return Err(NoForm),
            (None, false) => (number.as_f64().ok_or(NoForm)?.to_string(), "float"),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => return Ok(None),
    };
    let text = Zeroizing::new(text.into_bytes());
    Ok(Some(Form { text, kind }))
}

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_LENGTH]) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// Encrypts the text of a leaf. Not for empty text, which `sops` leaves as it is.
    ///
    /// The same IV must never come twice with the same key.
    pub(super) fn encrypt(
        &self,
        mut text: Zeroizing<Vec<u8>>,
        kind: &str,
        iv: &[u8; IV_LENGTH],
        path: &str,
    ) -> Option<String> {
        let nonce: &Nonce<U32> = iv.into();
        let tag = self
            .0
            .encrypt_inout_detached(nonce, path.as_bytes(), text.as_mut_slice().into())
            .ok()?;
        let (data, iv, tag) = (
            STANDARD.encode(&*text),
            STANDARD.encode(iv),
            STANDARD.encode(tag),
        );
        Some(format!(
            "ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]"
        ))
    }

    /// Decrypts what [`Cipher::encrypt`], or `sops`, made of a leaf; says what is wrong otherwise.
    pub(super) fn decrypt(&self, text: &str, path: &str) -> Result<Value, &'static str> {
        let parts = Parts::of(text).ok_or("not encrypted in the form ENC[AES256_GCM,…]")?;
        let decode = |text| STANDARD.decode(text).map_err(|_| "broken base64");
        let (mut data, iv, tag) = (decode(parts.data)?, decode(parts.iv)?, decode(parts.tag)?);
        let nonce =
            Nonce::<U32>::try_from(iv.as_slice()).map_err(|_| "an IV that is not 32 bytes")?;
        let tag = Tag::try_from(tag.as_slice()).map_err(|_| "a tag that is not 16 bytes")?;
        self.0
            .decrypt_inout_detached(&nonce, path.as_bytes(), data.as_mut_slice().into(), &tag)
            .map_err(|_| "damaged, or moved here from another path")?;
        let text = String::from_utf8(data).map_err(|error| {
            error.into_bytes().zeroize();
            "not UTF-8"
        })?;
        // Text passes through untouched; the others are copied into the value.
        if parts.kind == "str" {
            return Ok(Value::String(text));
        }
        leaf(&Zeroizing::new(text), parts.kind)
    }
}

/// Reads a leaf that is not text back from its text.
fn leaf(text: &str, kind: &str) -> Result<Value, &'static str> {
    let wrong = "not of the type that it names";
    match kind {
        "int" => text.parse::<i64>().map(Value::from).map_err(|_| wrong),
        "float" => text
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or(wrong),
        "bool" => match text {
            "True" | "true" => Ok(Value::Bool(true)),
            "False" | "false" => Ok(Value::Bool(false)),
            _ => Err(wrong),
        },
        // Plain dates, which YAML 1.1 takes for times and JSON has no type for.
        "time" | "bytes" => Ok(Value::String(text.to_owned())),
        _ => Err("of a type that Kubernetes objects do not have"),
    }
}

/// What stands between the brackets.
struct Parts<'a> {
    data: &'a str,
    iv: &'a str,
    tag: &'a str,
    kind: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = text
            .strip_prefix("ENC[AES256_GCM,data:")?
            .strip_suffix(']')?;
        let (data, text) = text.split_once(",iv:")?;
        let (iv, text) = text.split_once(",tag:")?;
        let (tag, kind) = text.split_once(",type:")?;
        (!data.is_empty()).then_some(Self {
            data,
            iv,
            tag,
            kind,
        })
    }
}
