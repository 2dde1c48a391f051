//! Secrets as they are desired: folded, encrypted, or made in the cluster from something else. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Identity;

/// Why only keys of an object can be compared.
pub(super) const SOPS: &str = "encrypted by SOPS";
const SEALED: &str = "made from a SealedSecret";
const EXTERNAL: &str = "made from an ExternalSecret";
/// How an encrypted value begins: <https://getsops.io/docs/#encryption-protocol>.
const ENCRYPTED: &str = "ENC[";

/// Whether an object is a core `Secret`.
pub(super) fn is_secret(identity: &Identity) -> bool {
    identity.group.is_empty() && &*identity.kind == "Secret"
}

/// Whether SOPS has written the object: <https://getsops.io/docs/#encryption-protocol>.
pub(super) fn is_sops(value: &Value) -> bool {
    let part = |name| value.get("sops").and_then(|sops| sops.get(name));
    part("mac").is_some() && part("version").is_some()
}

/// Whether SOPS has encrypted what tells which object it is.
pub(super) fn hides_identity(identity: &Identity) -> bool {
    [&identity.group, &identity.kind, &identity.name]
        .into_iter()
        .any(|text| text.starts_with(ENCRYPTED))
}

/// Whether a value is one that SOPS has encrypted: what it was is not known.
pub fn is_encrypted(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with(ENCRYPTED) && text.ends_with(']'))
}

/// Takes SOPS' own part out of an object.
pub(super) fn drop_sops(value: &mut Value) {
    if let Value::Object(map) = value {
        map.remove("sops");
    }
}

/// Folds a Secret's `stringData` into its `data`, as the server does; what both have is
/// `stringData`'s. A key without a value is one with an empty value.
///
/// Encrypted values stay as they are: what they were is not known.
/// <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/>
pub(super) fn fold(secret: &mut Value, encrypted: bool) -> Result<(), String> {
    let Value::Object(secret) = secret else {
        return Ok(());
    };
    if let Some(Value::Object(data)) = secret.get_mut("data") {
        for value in data.values_mut() {
            if value.is_null() {
                *value = "".into();
            }
        }
    }
    let plain = match secret.remove("stringData") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(plain)) => plain,
        Some(_) => return Err("`stringData` is no mapping: the server refuses it".to_owned()),
    };
    if plain.is_empty() {
        return Ok(());
    }
    let data = secret.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    let Value::Object(data) = data else {
        return Err("`data` is no mapping: the server refuses it".to_owned());
    };
    for (key, value) in plain {
        let value = match value {
            Value::Null => String::new(),
            Value::String(text) if encrypted && text.starts_with(ENCRYPTED) => text,
            Value::String(text) => STANDARD.encode(text),
            _ => {
                return Err(format!(
                    "`stringData` has something else than text at '{}': the server refuses it; put \
                     it in quotes",
                    key.escape_debug()
                ));
            }
        };
        data.insert(key, value.into());
    }
    Ok(())
}

/// A Secret that a controller makes from another object.
pub(super) struct Made {
    /// With its keys, and empty values.
    pub(super) secret: Value,
    /// What it is made from.
    pub(super) why: &'static str,
    /// Its keys are not known either.
    pub(super) keys_unknown: bool,
}

/// The Secret that an object asks a controller to make.
pub(super) fn made_from(value: &Value, identity: &Identity) -> Option<Made> {
    match (&*identity.group, &*identity.kind) {
        ("bitnami.com", "SealedSecret") => Some(sealed(value, identity)),
        ("external-secrets.io", "ExternalSecret") => external(value, identity),
        _ => None,
    }
}

/// Its Secret has its own name and namespace, whatever the template says:
/// <https://github.com/bitnami-labs/sealed-secrets/blob/main/pkg/apis/sealedsecrets/v1alpha1/sealedsecret_expansion.go> (`Unseal`).
fn sealed(value: &Value, identity: &Identity) -> Made {
    let spec = value.get("spec");
    let place = |name: &str| spec.and_then(|spec| spec.get(name));
    let template = place("template");
    let mut keys = Vec::new();
    keys.extend(keys_of(place("encryptedData")));
    keys.extend(keys_of(template.and_then(|template| template.get("data"))));
    Made {
        secret: secret(&identity.name, identity, &keys),
        why: SEALED,
        // `spec.data`, one text for all keys, is how it was before 2018.
        keys_unknown: place("data").is_some(),
    }
}

/// <https://external-secrets.io/latest/api/externalsecret/>,
/// <https://external-secrets.io/latest/guides/ownership-deletion-policy/>.
fn external(value: &Value, identity: &Identity) -> Option<Made> {
    let spec = value.get("spec")?;
    let target = spec.get("target");
    let of_target = |name: &str| target.and_then(|target| target.get(name));
    let policy = of_target("creationPolicy").and_then(Value::as_str);
    // `Merge` writes into a Secret that somebody else declares, `None` writes none.
    if !matches!(
        policy,
        None | Some("" | "Owner" | "Orphan" | "CreateOrMerge")
    ) {
        return None;
    }
    let name = of_target("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .unwrap_or(&identity.name);
    let template = of_target("template");
    let of_template = |name: &str| template.and_then(|template| template.get(name));
    let templated = keys_of(of_template("data"));
    let mut keys = Vec::new();
    // Without `Merge`, a template's keys are all.
    let merges = of_template("mergePolicy").and_then(Value::as_str) == Some("Merge");
    if templated.is_empty() || merges {
        let entries = spec.get("data").and_then(Value::as_array);
        keys.extend(
            entries
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.get("secretKey")?.as_str()),
        );
    }
    let replaced = !templated.is_empty() && !merges;
    keys.extend(templated);
    let many = |place: Option<&Value>| {
        place
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
    };
    Some(Made {
        secret: secret(name, identity, &keys),
        why: EXTERNAL,
        keys_unknown: many(of_template("templateFrom"))
            || (many(spec.get("dataFrom")) && !replaced)
            || policy == Some("CreateOrMerge"),
    })
}

fn keys_of(map: Option<&Value>) -> Vec<&str> {
    let map = map.and_then(Value::as_object);
    map.into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect()
}

fn secret(name: &str, beside: &Identity, keys: &[&str]) -> Value {
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = &beside.namespace {
        metadata["namespace"] = json!(namespace);
    }
    let data: Map<String, Value> = keys
        .iter()
        .map(|key| ((*key).to_owned(), "".into()))
        .collect();
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data })
}
