//! The bodies of errors: a `Status`, byte for byte as kube-apiserver 1.36 wrote them.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

/// An error that the server answers with: an HTTP status and its body.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) code: StatusCode,
    pub(super) body: Bytes,
    /// `false` for the plain text that the server writes where no API is registered.
    pub(super) json: bool,
    pub(super) retry_after: Option<u64>,
}

fn refused(code: StatusCode, message: &str, reason: Option<&str>, details: Value) -> Refused {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "code": code.as_u16(),
    });
    if let Some(reason) = reason {
        status["reason"] = reason.into();
    }
    if !details.is_null() {
        status["details"] = details;
    }
    Refused {
        code,
        body: status.to_string().into(),
        json: true,
        retry_after: None,
    }
}

fn retry(mut refused: Refused, seconds: u64) -> Refused {
    refused.retry_after = Some(seconds);
    refused
}

/// What a request asked for, for the messages that name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    pub(super) namespace: Option<&'a str>,
}

pub(super) fn no_such_path() -> Refused {
    Refused {
        code: StatusCode::NOT_FOUND,
        body: Bytes::from_static(b"404 page not found\n"),
        json: false,
        retry_after: None,
    }
}

/// What the aggregator answers for a group whose backend is down.
pub(super) fn no_backend() -> Refused {
    Refused {
        code: StatusCode::SERVICE_UNAVAILABLE,
        body: Bytes::from_static(b"service unavailable\n"),
        json: false,
        retry_after: None,
    }
}

pub(super) fn no_such_resource() -> Refused {
    refused(
        StatusCode::NOT_FOUND,
        "the server could not find the requested resource",
        Some("NotFound"),
        json!({}),
    )
}

pub(super) fn no_such_object(asked: Asked<'_>, name: &str) -> Refused {
    let (qualified, details) = described(asked, Some(name));
    refused(
        StatusCode::NOT_FOUND,
        &format!("{qualified} \"{name}\" not found"),
        Some("NotFound"),
        details,
    )
}

pub(super) fn method_not_allowed() -> Refused {
    refused(
        StatusCode::METHOD_NOT_ALLOWED,
        "the server does not allow this method on the requested resource",
        Some("MethodNotAllowed"),
        json!({}),
    )
}

pub(super) fn not_acceptable() -> Refused {
    refused(
        StatusCode::NOT_ACCEPTABLE,
        "only the following media types are accepted: \
         application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        Some("NotAcceptable"),
        Value::Null,
    )
}

pub(super) fn unauthorized() -> Refused {
    refused(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        Some("Unauthorized"),
        Value::Null,
    )
}

pub(super) fn forbidden(asked: Asked<'_>) -> Refused {
    let (qualified, details) = described(asked, None);
    let place = match asked.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    refused(
        StatusCode::FORBIDDEN,
        &format!(
            "{qualified} is forbidden: User \"limited\" cannot {} resource \"{}\" in API group \
             \"{}\" {place}",
            asked.verb, asked.resource, asked.group
        ),
        Some("Forbidden"),
        details,
    )
}

pub(super) fn bad_request(message: &str) -> Refused {
    refused(
        StatusCode::BAD_REQUEST,
        message,
        Some("BadRequest"),
        Value::Null,
    )
}

/// Options that a list or watch cannot have together.
pub(super) fn invalid_options(field: &str, message: &str) -> Refused {
    let detail = format!("Forbidden: {message}");
    refused(
        StatusCode::UNPROCESSABLE_ENTITY,
        &format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {detail}"),
        Some("Invalid"),
        json!({
            "group": "meta.k8s.io", "kind": "ListOptions",
            "causes": [{"reason": "FieldValueForbidden", "message": detail, "field": field}],
        }),
    )
}

/// A watch with a resourceVersion that is no number: the real server says 500 here, and 400 to a list.
pub(super) fn watch_from_nonsense(version: &str) -> Refused {
    refused(
        StatusCode::INTERNAL_SERVER_ERROR,
        &nonsense(version),
        None,
        Value::Null,
    )
}

pub(super) fn list_at_nonsense(version: &str) -> Refused {
    bad_request(&format!("invalid resource version: {}", nonsense(version)))
}

fn nonsense(version: &str) -> String {
    format!(
        "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: \
         invalid syntax"
    )
}

/// A list that asks for a resourceVersion which is still to come.
pub(super) fn too_large_version(asked: u64, current: u64) -> Refused {
    retry(
        refused(
            StatusCode::GATEWAY_TIMEOUT,
            &format!("Timeout: Too large resource version: {asked}, current: {current}"),
            Some("Timeout"),
            json!({
                "causes": [{
                    "reason": "ResourceVersionTooLarge",
                    "message": "Too large resource version",
                }],
                "retryAfterSeconds": 1,
            }),
        ),
        1,
    )
}

/// 410 for a watch's resourceVersion, as the watch cache words it: an ERROR event's object.
pub(super) fn gone_from_watch(asked: u64, oldest: u64) -> Refused {
    refused(
        StatusCode::GONE,
        &format!("too old resource version: {asked} ({oldest})"),
        Some("Expired"),
        Value::Null,
    )
}

/// 410 for a watch or list, as etcd's compaction makes it: an HTTP status.
pub(super) fn gone(what: &str) -> Refused {
    refused(
        StatusCode::GONE,
        &format!("The resourceVersion for the provided {what} is too old."),
        Some("Expired"),
        Value::Null,
    )
}

/// 410 for a `continue` token; it holds a token that goes on without consistency.
pub(super) fn gone_from_continue(inconsistent: &str) -> Refused {
    let mut refused = refused(
        StatusCode::GONE,
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted \
         between the time the first chunk was returned and now may show up in the list.",
        Some("Expired"),
        Value::Null,
    );
    if let Ok(mut status) = serde_json::from_slice::<Value>(&refused.body) {
        status["metadata"] = json!({"continue": inconsistent});
        refused.body = status.to_string().into();
    }
    refused
}

/// 429, in the words of a custom resource's storage that is not ready yet.
pub(super) fn too_many_requests(retry_after: Duration) -> Refused {
    let seconds = retry_after.as_secs();
    retry(
        refused(
            StatusCode::TOO_MANY_REQUESTS,
            "storage is (re)initializing",
            Some("TooManyRequests"),
            json!({"retryAfterSeconds": seconds}),
        ),
        seconds,
    )
}

pub(super) fn internal_error() -> Refused {
    let cause = "etcdserver: request timed out";
    refused(
        StatusCode::INTERNAL_SERVER_ERROR,
        &format!("Internal error occurred: {cause}"),
        Some("InternalError"),
        json!({"causes": [{"message": cause}]}),
    )
}

pub(super) fn unavailable() -> Refused {
    refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "apiserver is shutting down",
        Some("ServiceUnavailable"),
        Value::Null,
    )
}

fn described(asked: Asked<'_>, name: Option<&str>) -> (String, Value) {
    let mut details = serde_json::Map::new();
    if let Some(name) = name {
        details.insert("name".to_owned(), name.into());
    }
    if !asked.group.is_empty() {
        details.insert("group".to_owned(), asked.group.into());
    }
    details.insert("kind".to_owned(), asked.resource.into());
    let qualified = if asked.group.is_empty() {
        asked.resource.to_owned()
    } else {
        format!("{}.{}", asked.resource, asked.group)
    };
    (qualified, details.into())
}
