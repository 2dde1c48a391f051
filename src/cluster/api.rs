//! One request to the API server, and what its failure means.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;

use super::client::{Cluster, Kind};

/// What a failed request or an ERROR event means. Decided once, here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 410 in either form: the resourceVersion or the `continue` token is too old.
    Expired,
    /// 403.
    Forbidden,
    /// 401.
    Unauthorized,
    /// 404.
    NotFound,
    /// 405.
    NotListable,
    /// 400 or 422: the server does not know what we asked for.
    Unsupported,
    /// 429.
    Throttled {
        /// What the server asked us to wait.
        retry_after: Option<Duration>,
    },
    /// Any other status of 400 or more.
    Server {
        /// What the server asked us to wait.
        retry_after: Option<Duration>,
    },
    /// No answer: refused, cut, timed out.
    Transport,
    /// An answer that is not what the API promises.
    Garbled,
}

impl Failure {
    /// Maps a status code, of a response or of a `Status` object in an ERROR event.
    ///
    /// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>
    pub fn from_code(code: u16, retry_after: Option<Duration>) -> Self {
        match code {
            400 | 422 => Self::Unsupported,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::NotListable,
            410 => Self::Expired,
            429 => Self::Throttled { retry_after },
            _ => Self::Server { retry_after },
        }
    }
}

/// A request that failed: which one, how, and in one sentence why.
///
/// The text never holds an object, a token or the output of a credential plugin.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} failed: {reason}")]
pub struct ApiError {
    /// HTTP method.
    pub method: &'static str,
    /// Path without its query.
    pub path: String,
    /// What it means.
    pub failure: Failure,
    /// Why, for people.
    pub reason: String,
}

/// The parts of `metav1.Status` that we read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatusBody {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) details: StatusDetails,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StatusDetails {
    pub(super) retry_after_seconds: u64,
}

/// The longest excerpt of a server's message that reaches a log or a person.
const LONGEST_REASON: usize = 300;
/// Error bodies are read no further.
const LONGEST_ERROR_BODY: usize = 64 << 10;
/// A response's head, or the next part of a body, must come within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `send` returns: the response where it was a success, with what a conditional GET needs.
pub(super) enum Answer {
    Success(Response<Body>),
    NotModified,
}

impl Cluster {
    /// Sends a GET of `path_and_query`.
    pub(super) async fn get(
        &self,
        path_and_query: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Result<Answer, ApiError> {
        self.send(Kind::Short, path_and_query, headers).await
    }

    /// Sends a GET of `path_and_query` whose answer goes on, on a connection of its own.
    pub(super) async fn watch(
        &self,
        path_and_query: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Result<Answer, ApiError> {
        self.send(Kind::Watch, path_and_query, headers).await
    }

    async fn send(
        &self,
        kind: Kind,
        path_and_query: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Result<Answer, ApiError> {
        let path = path_and_query
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        let error = |failure, reason: String| ApiError {
            method: "GET",
            path: path.clone(),
            failure,
            reason,
        };
        let mut request = Request::get(path_and_query);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request
            .body(Body::empty())
            .map_err(|e| error(Failure::Garbled, format!("not a valid request: {e}")))?;
        let response = tokio::time::timeout(PATIENCE, self.client_for(kind).send(request))
            .await
            .map_err(|_| error(Failure::Transport, "no answer within 60 s".to_owned()))?
            .map_err(|e| error(Failure::Transport, describe(&e)))?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Answer::NotModified);
        }
        if response.status().is_success() {
            return Ok(Answer::Success(response));
        }
        let code = response.status();
        let header_seconds = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        let body = read_at_most(response, LONGEST_ERROR_BODY).await;
        let status: StatusBody = serde_json::from_slice(&body).unwrap_or_default();
        let seconds = header_seconds
            .or_else(|| Some(status.details.retry_after_seconds).filter(|seconds| *seconds > 0));
        let reason = match (status.message.as_str(), status.reason.as_str()) {
            ("", "") => code.to_string(),
            ("", reason) => format!("{code} ({reason})"),
            (message, _) => format!("{} {}", code.as_u16(), excerpt(message)),
        };
        Err(error(
            Failure::from_code(code.as_u16(), seconds.map(Duration::from_secs)),
            reason,
        ))
    }

    /// Reads a whole body.
    pub(super) async fn get_bytes(&self, path_and_query: &str) -> Result<Bytes, ApiError> {
        match self.get(path_and_query, &[]).await? {
            Answer::Success(response) => collect(path_and_query, response).await,
            Answer::NotModified => Ok(Bytes::new()),
        }
    }
}

/// Reads a body to its end; no part of it may take longer than a minute.
pub(super) async fn collect(path: &str, response: Response<Body>) -> Result<Bytes, ApiError> {
    let error = |reason: String| ApiError {
        method: "GET",
        path: path.split('?').next().unwrap_or_default().to_owned(),
        failure: Failure::Transport,
        reason,
    };
    let mut body = response.into_body();
    let mut bytes = bytes::BytesMut::new();
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame())
            .await
            .map_err(|_| error("the answer stopped for 60 s".to_owned()))?;
        let Some(frame) = frame else {
            return Ok(bytes.freeze());
        };
        let frame = frame.map_err(|e| error(describe(&e)))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
}

async fn read_at_most(response: Response<Body>, most: usize) -> Vec<u8> {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(PATIENCE, body.frame()).await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > most {
            break;
        }
    }
    bytes
}

/// One line of at most [`LONGEST_REASON`] characters, control characters escaped.
pub(super) fn excerpt(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(LONGEST_REASON) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Says why a request did not reach the server, in words.
///
/// kube's own text of a failed credential plugin holds the plugin's whole output, so that variant
/// is named and not quoted.
pub(super) fn describe(error: &kube::Error) -> String {
    use std::error::Error as _;
    let mut cause: &dyn std::error::Error = error;
    let mut text = String::new();
    loop {
        if let Some(auth) = cause.downcast_ref::<kube::client::AuthError>() {
            return describe_auth(auth);
        }
        if let Some(kube::Error::Auth(auth)) = cause.downcast_ref::<kube::Error>() {
            return describe_auth(auth);
        }
        match cause.source() {
            Some(next) => cause = next,
            None => break,
        }
    }
    let mut next: Option<&dyn std::error::Error> = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&line);
        }
        next = cause.source();
    }
    if text.is_empty() {
        excerpt(&error.to_string())
    } else {
        excerpt(&text)
    }
}

fn describe_auth(error: &kube::client::AuthError) -> String {
    use kube::client::AuthError;
    match error {
        AuthError::AuthExecStart(source) => {
            format!("the credential plugin of the kubeconfig could not be started: {source}")
        }
        AuthError::AuthExecRun { cmd, out } => {
            format!(
                "the credential plugin '{}' failed with {}",
                excerpt(cmd),
                out.status
            )
        }
        AuthError::ReadTokenFile(source, path) => {
            format!("the token file {} cannot be read: {source}", path.display())
        }
        _ => "the credentials of the kubeconfig could not be used".to_owned(),
    }
}
