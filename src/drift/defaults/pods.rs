//! Pods and what they are made of
//! (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/v1/defaults.go>).

use serde_json::{Value, json};

use super::builtin::{Fields, copy_missing, is_zero, lacks, made, part, parts, put, text};

/// How long a Pod stays on a node in trouble, in seconds: the admission plugin
/// `DefaultTolerationSeconds` (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/plugin/pkg/admission/defaulttolerationseconds/admission.go>).
const TOLERATED: u32 = 300;

/// Defaults of a type by its own fields.
pub(super) fn fill(name: &str, fields: &mut Fields) {
    match name {
        "core.v1.Container" | "core.v1.EphemeralContainer" => {
            let policy = pull_policy(text(fields, "image"));
            put(fields, "imagePullPolicy", || policy);
        }
        "core.v1.ImageVolumeSource" => {
            let policy = pull_policy(text(fields, "reference"));
            put(fields, "pullPolicy", || policy);
        }
        // Whatever is beside the name is a source.
        "core.v1.Volume" if fields.keys().all(|key| key == "name") => {
            fields.insert("emptyDir".to_owned(), json!({}));
        }
        "core.v1.PodSpec" => service_account(fields),
        _ => {}
    }
}

/// `serviceAccount` is an old name of `serviceAccountName`, which wins
/// (<https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/v1/conversion.go>).
fn service_account(spec: &mut Fields) {
    for (from, to) in [
        ("serviceAccount", "serviceAccountName"),
        ("serviceAccountName", "serviceAccount"),
    ] {
        let name = text(spec, from).to_owned();
        if !name.is_empty() {
            put(spec, to, || name);
        }
    }
}

/// `Always` for the tag `latest`, also where it is implied by neither tag nor digest; what is no
/// image name at all has no tag.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let latest = match (tag, digest) {
        (Some(tag), _) => tag == "latest",
        (None, Some(_)) => false,
        (None, None) => is_image_name(name),
    };
    if latest { "Always" } else { "IfNotPresent" }
}

/// Whether a text is a name in the grammar of image references, roughly: lower case but for the
/// registry (<https://github.com/distribution/reference/blob/v0.6.0/reference.go>).
fn is_image_name(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    let is_hex_id = name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
    !path.is_empty() && path.chars().all(allowed) && !is_hex_id
}

/// Defaults of Pods that Pod templates do not have, and what admission adds to every Pod.
pub(super) fn after(name: &str, object: &mut Fields) {
    if name != "core.v1.Pod" {
        return;
    }
    let Some(spec) = part(object, "spec") else {
        return;
    };
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        for container in parts(spec, list) {
            requests_are_limits(container);
            if host_network {
                host_ports(container);
            }
        }
    }
    put(spec, "serviceAccountName", || "default");
    service_account(spec);
    tolerations(spec);
    if lacks(spec, "priorityClassName") {
        put(spec, "priority", || 0);
        put(spec, "preemptionPolicy", || "PreemptLowerPriority");
    }
}

fn requests_are_limits(container: &mut Fields) {
    let Some(resources) = part(container, "resources") else {
        return;
    };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else {
        return;
    };
    if let Some(requests) = made(resources, "requests") {
        copy_missing(&limits, requests);
    }
}

fn host_ports(container: &mut Fields) {
    for port in parts(container, "ports") {
        if port.get("hostPort").is_none_or(is_zero)
            && let Some(own) = port.get("containerPort").cloned()
        {
            port.insert("hostPort".to_owned(), own);
        }
    }
}

fn tolerations(spec: &mut Fields) {
    const KEYS: [&str; 2] = [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ];
    put(spec, "tolerations", || json!([]));
    let Some(list) = spec.get_mut("tolerations").and_then(Value::as_array_mut) else {
        return;
    };
    let missing = KEYS.map(|key| {
        let tolerated = |toleration: &Value| {
            let of = toleration["key"].as_str().unwrap_or_default();
            let effect = toleration["effect"].as_str().unwrap_or_default();
            matches!(effect, "" | "NoExecute") && (of == key || of.is_empty())
        };
        (key, !list.iter().any(tolerated))
    });
    for (key, missing) in missing {
        if missing {
            list.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATED,
            }));
        }
    }
}

#[cfg(test)]
#[test]
fn the_tag_decides_when_an_image_is_pulled() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for image in [
        "nginx",
        "nginx:latest",
        "example.org:5000/a/b",
        "a/b:latest",
    ] {
        assert_eq!(pull_policy(image), "Always", "{image}");
    }
    let pinned = format!("nginx@{digest}");
    let both = format!("nginx:latest@{digest}");
    assert_eq!(pull_policy(&both), "Always");
    for image in ["nginx:1", "example.org:5000/a:1", &pinned, "", "UPPER/case"] {
        assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
    }
}
