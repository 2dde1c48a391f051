//! Writing: create, server-side apply and a merge patch, each with what its refusal means. For
//! `restore/` alone.
//!
//! Bodies go through `client.send`: kube's `request*` write them into the log. What a server says
//! of an object it refuses may quote the object, so reasons are put together from the parts of its
//! `Status` that hold no values.

use std::fmt::Write as _;
use std::time::Duration;

use http::{Method, Request, header};
use kube::client::Body;
use serde::Deserialize;

use super::api::{ApiError, Failure, collect, describe, excerpt};
use super::client::{Cluster, Kind};
use super::discovery::Discovered;
use super::reflector::{self, Scope};
use crate::object::{ApiType, ObjectKey, RawObject};

/// Under this name `managedFields` shows what a restore wrote.
pub const FIELD_MANAGER: &str = "kubectl-strandline-restore";

/// A response must begin within this time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pauses between attempts at a request that may succeed later.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(4),
];
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Objects per page of a list.
const PAGE: usize = 250;
/// Parts of a refusal that are told.
const MOST_CAUSES: usize = 3;

/// Whether a write is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Write,
    /// The server checks it and keeps nothing: `dryRun=All`.
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>
    DryRun,
}

/// Why the server did not do it. No text holds a value of the object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 409 at a create: an object of this name is there.
    #[error("it is there already")]
    AlreadyExists,
    /// 422 because of fields that never change.
    #[error("fields that never change differ: {reason}")]
    Immutable {
        /// Which fields.
        reason: String,
    },
    /// 400 or 422: the server cannot take the object as it is.
    #[error("the server refuses it as invalid: {reason}")]
    Invalid {
        /// Which fields, and what kind of mistake.
        reason: String,
    },
    /// 401 or 403: rights, a quota, an admission plug-in or webhook.
    #[error("the server forbids it: {reason}")]
    Forbidden {
        /// Who says so.
        reason: String,
    },
    /// 403 because the namespace is being deleted.
    #[error("its namespace is being deleted: wait until it is gone, then run restore again")]
    NamespaceTerminating,
    /// 404: the namespace is not there.
    #[error("its namespace is not there")]
    NoNamespace,
    /// 404: the type is not served, or not yet.
    #[error("its type is not served")]
    NoType,
    /// 404: the object is not there.
    #[error("it is not there")]
    NotFound,
    /// 409: somebody else changed the object at the same time.
    #[error("somebody else changed it at the same time")]
    Conflict,
    /// 429, 5xx, no answer: may succeed later.
    #[error("the server cannot do it now: {reason}")]
    Unavailable {
        /// What it says.
        reason: String,
        /// What it asked us to wait.
        after: Option<Duration>,
    },
}

/// `metav1.Status`: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    reason: String,
    message: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    kind: String,
    causes: Vec<Cause>,
    retry_after_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
    field: String,
}

/// The one writer of a cluster.
#[derive(Clone)]
pub struct Writer {
    cluster: Cluster,
    mode: Mode,
}

struct Call<'a> {
    method: Method,
    path: String,
    content_type: &'static str,
    body: &'a [u8],
}

impl Writer {
    /// A writer with the credentials that `cluster` was connected with.
    pub fn new(cluster: &Cluster, mode: Mode) -> Self {
        Self {
            cluster: cluster.clone(),
            mode,
        }
    }

    /// The object as it is now; `None` where it, its namespace or its type is not there.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<RawObject>, Refusal> {
        let call = Call {
            method: Method::GET,
            path: object_path(key),
            content_type: "",
            body: &[],
        };
        match self.patiently(&call).await {
            Ok(body) => RawObject::parse(&body, &key.api_type)
                .map(Some)
                .map_err(|_| garbled()),
            Err(Refusal::NotFound | Refusal::NoType | Refusal::NoNamespace) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Creates the object; returns it as the server keeps it. `body` is JSON.
    pub async fn create(&self, key: &ObjectKey, body: &[u8]) -> Result<RawObject, Refusal> {
        let path = format!("{}?{}", collection_path(key), self.query("Strict"));
        self.write(Method::POST, key, path, "application/json", body)
            .await
    }

    /// Sends the whole object by server-side apply, taking over fields that others own.
    ///
    /// <https://kubernetes.io/docs/reference/using-api/server-side-apply/>
    pub async fn apply(&self, key: &ObjectKey, body: &[u8]) -> Result<RawObject, Refusal> {
        let path = format!("{}?force=true&{}", object_path(key), self.query("Strict"));
        // JSON is YAML.
        self.write(
            Method::PATCH,
            key,
            path,
            "application/apply-patch+yaml",
            body,
        )
        .await
    }

    /// Sends a JSON merge patch.
    pub async fn merge(&self, key: &ObjectKey, body: &[u8]) -> Result<RawObject, Refusal> {
        let path = format!("{}?{}", object_path(key), self.query("Strict"));
        self.write(
            Method::PATCH,
            key,
            path,
            "application/merge-patch+json",
            body,
        )
        .await
    }

    /// Hands on every live object of a type, in one namespace or in all, a page at a time; nothing
    /// where the type is not served. An object may come twice where the list took too long.
    pub async fn list(
        &self,
        api_type: &ApiType,
        namespace: Option<&str>,
        each: &mut (dyn FnMut(RawObject) + Send),
    ) -> Result<(), ApiError> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            metadata: ListMeta,
            items: Option<Vec<RawObject>>,
        }
        #[derive(Default, Deserialize)]
        struct ListMeta {
            #[serde(rename = "continue", default)]
            next: String,
        }
        let scope = match namespace {
            Some(namespace) => Scope::Namespace(namespace.into()),
            None => Scope::Cluster,
        };
        let base = reflector::path(api_type, &scope);
        let mut next = String::new();
        loop {
            let mut path = format!("{base}?limit={PAGE}");
            if !next.is_empty() {
                let token: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                let _ = write!(path, "&continue={token}");
            }
            let body = match self.list_page(&path).await {
                Ok(body) => body,
                Err(error) if error.failure == Failure::NotFound => return Ok(()),
                Err(error) if error.failure == Failure::Expired && !next.is_empty() => {
                    next.clear();
                    continue;
                }
                Err(error) => return Err(error),
            };
            let page: List = serde_json::from_slice(&body).map_err(|_| ApiError {
                method: "GET",
                path: base.clone(),
                failure: Failure::Garbled,
                reason: "the answer is not a list".to_owned(),
            })?;
            for mut object in page.items.unwrap_or_default() {
                object.stamp(api_type);
                each(object);
            }
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(());
            }
        }
    }

    async fn list_page(&self, path: &str) -> Result<bytes::Bytes, ApiError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.cluster.get_bytes(path).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let after = match error.failure {
                Failure::Throttled { retry_after } | Failure::Server { retry_after } => retry_after,
                Failure::Transport => None,
                _ => return Err(error),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause_of(pause, after)).await,
                None => return Err(error),
            }
        }
    }

    /// The cluster that is written to.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether writes are kept.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What is served.
    pub async fn discover(&self) -> Result<Discovered, super::DiscoveryError> {
        self.cluster.discover(None).await
    }

    fn query(&self, validation: &str) -> String {
        let dry = match self.mode {
            Mode::Write => "",
            Mode::DryRun => "&dryRun=All",
        };
        // A field that the server does not know would be lost without a word.
        format!("fieldManager={FIELD_MANAGER}&fieldValidation={validation}{dry}")
    }

    async fn write(
        &self,
        method: Method,
        key: &ObjectKey,
        path: String,
        content_type: &'static str,
        body: &[u8],
    ) -> Result<RawObject, Refusal> {
        let call = Call {
            method,
            path,
            content_type,
            body,
        };
        let answer = self.patiently(&call).await?;
        RawObject::parse(&answer, &key.api_type).map_err(|_| garbled())
    }

    /// Repeats what may succeed later.
    async fn patiently(&self, call: &Call<'_>) -> Result<bytes::Bytes, Refusal> {
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.once(call).await {
                Err(Refusal::Unavailable { reason, after }) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause_of(pause, after)).await,
                    None => return Err(Refusal::Unavailable { reason, after }),
                },
                answer => return answer,
            }
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<bytes::Bytes, Refusal> {
        let away = |reason: String| Refusal::Unavailable {
            reason,
            after: None,
        };
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path);
        if !call.content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, call.content_type);
        }
        let request =
            request
                .body(Body::from(call.body.to_vec()))
                .map_err(|_| Refusal::Invalid {
                    reason: "its name cannot stand in a URL".to_owned(),
                })?;
        let client = self.cluster.client_for(Kind::Short);
        let response = tokio::time::timeout(PATIENCE, client.send(request))
            .await
            .map_err(|_| away("no answer within 60 s".to_owned()))?
            .map_err(|error| away(describe(&error)))?;
        let code = response.status();
        let seconds = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        let body = collect(&call.path, response)
            .await
            .map_err(|error| away(error.reason))?;
        if code.is_success() {
            return Ok(body);
        }
        let status: Status = serde_json::from_slice(&body).unwrap_or_default();
        Err(refusal(code.as_u16(), &status, seconds, &call.method))
    }
}

fn pause_of(pause: Duration, after: Option<Duration>) -> Duration {
    after.map_or(pause, |after| after.clamp(pause, LONGEST_PAUSE))
}

fn garbled() -> Refusal {
    Refusal::Unavailable {
        reason: "the answer is not an object".to_owned(),
        after: None,
    }
}

/// What a status means.
fn refusal(code: u16, status: &Status, seconds: Option<u64>, method: &Method) -> Refusal {
    let after = seconds
        .or(Some(status.details.retry_after_seconds).filter(|seconds| *seconds > 0))
        .map(Duration::from_secs);
    match code {
        400 => Refusal::Invalid {
            reason: bad_request(status),
        },
        401 => Refusal::Forbidden {
            reason: "it does not accept these credentials".to_owned(),
        },
        403 if is_terminating(status) => Refusal::NamespaceTerminating,
        403 => Refusal::Forbidden {
            reason: forbidden(&status.message),
        },
        404 if status.details.kind == "namespaces" && method != Method::GET => Refusal::NoNamespace,
        404 if status.details.kind.is_empty()
            || status
                .message
                .contains("could not find the requested resource") =>
        {
            Refusal::NoType
        }
        404 => Refusal::NotFound,
        409 if status.reason == "AlreadyExists" => Refusal::AlreadyExists,
        409 => Refusal::Conflict,
        413 | 405 | 406 | 415 => Refusal::Invalid {
            reason: format!("{code} {}", status.reason),
        },
        422 if status.details.causes.iter().any(never_changes) => Refusal::Immutable {
            reason: causes(&status.details.causes, never_changes),
        },
        422 => Refusal::Invalid {
            reason: causes(&status.details.causes, |_| true),
        },
        _ => Refusal::Unavailable {
            reason: unavailable(code, status),
            after,
        },
    }
}

fn is_terminating(status: &Status) -> bool {
    status
        .details
        .causes
        .iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
        || status.message.contains("because it is being terminated")
}

/// What API servers end their message with where a field cannot change after the create: the
/// validation of each built-in type has words of its own
/// (<https://github.com/kubernetes/kubernetes/tree/master/pkg/apis>).
const NEVER_CHANGES: [&str; 6] = [
    "field is immutable",
    "is immutable after creation",
    "is immutable",
    "may not change once set",
    "cannot change roleRef",
    "may not be changed",
];

fn never_changes(cause: &Cause) -> bool {
    let text = &cause.message;
    NEVER_CHANGES.iter().any(|words| text.contains(words))
        // `updates to statefulset spec for fields other than … are forbidden`
        || (text.contains("updates to ") && text.contains("forbidden"))
}

/// Fields and kinds of mistake. Of messages only those are quoted that hold no value:
/// <https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/util/validation/field/errors.go>.
fn causes(causes: &[Cause], wanted: impl Fn(&Cause) -> bool) -> String {
    let mut text = String::new();
    let mut more = 0;
    for cause in causes.iter().filter(|cause| wanted(cause)) {
        if text.matches("; ").count() + 1 >= MOST_CAUSES && !text.is_empty() {
            more += 1;
            continue;
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        let what = match cause.reason.as_str() {
            // `Forbidden: …` and `Required value: …` name the rule alone.
            "FieldValueForbidden" | "FieldValueRequired" => excerpt(&cause.message),
            "FieldValueNotFound" => "names what is not there".to_owned(),
            "FieldValueDuplicate" => "is there twice".to_owned(),
            "FieldValueNotSupported" => "is not one of the values that the server knows".to_owned(),
            "FieldValueTooLong" | "FieldValueTooMany" => "is too long".to_owned(),
            "FieldValueTypeInvalid" => "has another type".to_owned(),
            _ => known_ending(&cause.message).to_owned(),
        };
        let _ = write!(text, "{} {what}", excerpt(&cause.field));
    }
    if more > 0 {
        let _ = write!(text, "; and {more} more");
    }
    if text.is_empty() {
        text.push_str("it does not say which field");
    }
    text
}

/// The end of `Invalid value: <value>: <why>`, where we know it to be one.
fn known_ending(message: &str) -> &'static str {
    const ENDINGS: [(&str, &str); 8] = [
        ("field is immutable", "is immutable"),
        ("may not change once set", "may not change once set"),
        ("cannot change roleRef", "may not change"),
        ("provided port is already allocated", "is allocated already"),
        ("provided IP is already allocated", "is allocated already"),
        ("not in the valid range", "is not in the cluster's range"),
        (
            "The range of valid ports is",
            "is not in the cluster's range",
        ),
        ("The range of valid IPs is", "is not in the cluster's range"),
    ];
    ENDINGS
        .iter()
        .find(|(words, _)| message.contains(words))
        .map_or("is not valid", |(_, text)| text)
}

fn bad_request(status: &Status) -> String {
    let message = &status.message;
    // `strict decoding error: unknown field "spec.foo", unknown field "spec.bar"`
    if let Some((_, fields)) = message.split_once("strict decoding error: ") {
        return excerpt(fields);
    }
    if message.contains("cannot be handled as a ") {
        return "a value has another type than the server's schema has; \
                `kubectl create --dry-run=server` of its file tells more"
            .to_owned();
    }
    "the server cannot read it; `kubectl create --dry-run=server` of its file tells more".to_owned()
}

/// Up to where others have their say: a webhook's or policy's own text may quote the object.
fn forbidden(message: &str) -> String {
    for end in ["denied the request", "denied request", "currently held"] {
        if let Some(at) = message.find(end) {
            return excerpt(&message[..at + end.len()]);
        }
    }
    excerpt(message)
}

fn unavailable(code: u16, status: &Status) -> String {
    // A webhook that cannot be reached is named, and quotes nothing of the object.
    let told = ["failed calling webhook", "conversion webhook for"]
        .iter()
        .any(|words| status.message.contains(words))
        || matches!(code, 429 | 503 | 504);
    match (told, status.message.as_str(), status.reason.as_str()) {
        (true, message, _) if !message.is_empty() => format!("{code} {}", excerpt(message)),
        (_, _, "") => code.to_string(),
        (_, _, reason) => format!("{code} ({reason})"),
    }
}

/// The path of the collection that an object is created in.
fn collection_path(key: &ObjectKey) -> String {
    let scope = match &key.namespace {
        Some(namespace) => Scope::Namespace(segment(namespace).into()),
        None => Scope::Cluster,
    };
    reflector::path(&key.api_type, &scope)
}

fn object_path(key: &ObjectKey) -> String {
    format!("{}/{}", collection_path(key), segment(&key.name))
}

/// A name as one segment of a path: <https://www.rfc-editor.org/rfc/rfc3986#section-3.3>.
fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                out.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(code: u16, body: &Value) -> Refusal {
        let status: Status = serde_json::from_value(body.clone()).unwrap();
        refusal(code, &status, None, &Method::POST)
    }

    #[test]
    fn a_refusal_never_quotes_a_value() {
        const SECRET: &str = "hunter2";
        let cases = [
            (
                422,
                json!({"message": "x is invalid: hunter2", "details": {"causes": [
                {"reason": "FieldValueInvalid", "field": "spec.password", "message": "Invalid value: \"hunter2\": must be longer"}]}}),
            ),
            (
                422,
                json!({"details": {"causes": [
                {"reason": "FieldValueInvalid", "field": "spec.x", "message": "Invalid value: \"hunter2\": field is immutable"}]}}),
            ),
            (
                422,
                json!({"details": {"causes": [
                {"reason": "FieldValueNotSupported", "field": "spec.x", "message": "Unsupported value: \"hunter2\": supported values: \"a\""}]}}),
            ),
            (
                400,
                json!({"message": "Secret in version \"v1\" cannot be handled as a Secret: hunter2"}),
            ),
            (400, json!({"message": "hunter2"})),
            (
                403,
                json!({"message": "admission webhook \"w.example.com\" denied the request: hunter2"}),
            ),
            (
                403,
                json!({"message": "deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: hunter2"}),
            ),
            (
                500,
                json!({"reason": "InternalError", "message": "hunter2"}),
            ),
        ];
        for (code, body) in cases {
            let text = of(code, &body).to_string();
            assert!(!text.contains(SECRET), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_it_means() {
        let cause = |reason: &str, message: &str| json!({"details": {"kind": "things", "causes": [{"reason": reason, "field": "spec.a", "message": message}]}});
        let immutable = [
            cause("FieldValueInvalid", "Invalid value: 1: field is immutable"),
            cause(
                "FieldValueForbidden",
                "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
            ),
            cause(
                "FieldValueForbidden",
                "Forbidden: spec is immutable after creation except resources.requests",
            ),
            cause(
                "FieldValueInvalid",
                "Invalid value: []string{\"10.0.0.1\"}: may not change once set",
            ),
        ];
        for body in immutable {
            assert!(
                matches!(of(422, &body), Refusal::Immutable { .. }),
                "{body}"
            );
        }
        assert_eq!(
            of(
                422,
                &cause(
                    "FieldValueInvalid",
                    "Invalid value: 30000: provided port is already allocated"
                )
            )
            .to_string(),
            "the server refuses it as invalid: spec.a is allocated already"
        );
        assert_eq!(
            of(409, &json!({"reason": "AlreadyExists"})),
            Refusal::AlreadyExists
        );
        assert_eq!(of(409, &json!({"reason": "Conflict"})), Refusal::Conflict);
        assert_eq!(
            of(404, &json!({"details": {"kind": "namespaces"}})),
            Refusal::NoNamespace
        );
        assert_eq!(of(404, &json!({})), Refusal::NoType);
        let ending = json!({"details": {"causes": [{"reason": "NamespaceTerminating"}]}});
        assert_eq!(of(403, &ending), Refusal::NamespaceTerminating);
        let busy =
            json!({"message": "storage is (re)initializing", "details": {"retryAfterSeconds": 1}});
        assert!(matches!(
            of(429, &busy),
            Refusal::Unavailable { after: Some(_), .. }
        ));
    }

    #[test]
    fn names_stand_in_a_path() {
        assert_eq!(segment("system:node"), "system:node");
        assert_eq!(segment("a b/ü"), "a%20b%2F%C3%BC");
    }
}
