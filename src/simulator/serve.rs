//! The HTTP side: connections, routes, and what a fault does to an answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::query::{Options, ResourcePath};
use super::status::{self, Refused};
use super::{Failure, Shared, Verb, discovery, list, schemas, watch};

/// The connection is to break here; never seen by anybody but hyper, which then closes it.
#[derive(Debug, thiserror::Error)]
#[error("the simulator cut the connection")]
pub(super) struct Broken;

type Body = UnsyncBoxBody<Bytes, Broken>;
type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Broken>> + Send>>;

/// A successful answer to a request for objects.
pub(super) enum Answer {
    Json(Bytes),
    Stream(Pieces),
}

impl Answer {
    pub(super) fn json(body: Bytes) -> Self {
        Self::Json(body)
    }

    pub(super) fn stream(
        pieces: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static,
    ) -> Self {
        Self::Stream(Box::pin(pieces))
    }

    fn into_response(self) -> Response<Body> {
        let body = match self {
            Self::Json(bytes) => full(bytes),
            Self::Stream(pieces) => StreamBody::new(pieces.then(flushed)).boxed_unsync(),
        };
        response(StatusCode::OK, "application/json", body)
    }
}

/// Lets hyper write what it has before it learns that the stream breaks.
async fn flushed(piece: Result<Bytes, Broken>) -> Result<Frame<Bytes>, Broken> {
    if piece.is_err() {
        tokio::task::yield_now().await;
    }
    piece.map(Frame::data)
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn response(code: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

impl From<Refused> for Response<Body> {
    fn from(refused: Refused) -> Self {
        let content_type = if refused.json {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        let mut response = response(refused.code, content_type, full(refused.body));
        if let Some(seconds) = refused.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Serves until the task is aborted; its connections end with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: they come back as connections end.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let mut network = shared.network.subscribe();
        if *network.borrow_and_update() % 2 == 1 {
            continue;
        }
        // Watches are many small writes.
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| handle(shared.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // How a connection ends concerns its client alone.
            tokio::select! {
                _ = connection => {}
                _ = network.changed() => {}
            }
        });
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    if let Some(path) = ResourcePath::parse(path) {
        let options = match Options::parse(query) {
            Ok(options) => options,
            Err(refused) => return Ok(refused.into()),
        };
        return resource(&shared, request.method(), &path, options).await;
    }
    let verb = if matches!(path, "/api" | "/apis") {
        Verb::Discovery
    } else {
        Verb::Other
    };
    let nth = shared.store().count_request(String::new(), verb);
    match shared.faults.take("", verb, nth) {
        Some(Failure::Refuse(refusal)) => {
            let nowhere = ResourcePath::default();
            return Ok(list::refuse(refusal, &nowhere, &Options::default()).into());
        }
        Some(failure) => interfere(failure).await?,
        None => {}
    }
    Ok(match path {
        "/api" | "/apis" => discovery_response(&shared, &request, path == "/api"),
        "/version" => version(),
        "/livez" | "/readyz" | "/healthz" => {
            response(StatusCode::OK, "text/plain; charset=utf-8", full("ok"))
        }
        _ => schemas::body(path).map_or_else(
            || status::no_such_path().into(),
            |body| response(StatusCode::OK, "application/json", full(body)),
        ),
    })
}

/// The part of a failure that comes before an answer.
async fn interfere(failure: Failure) -> Result<(), Broken> {
    match failure {
        Failure::Hangup => Err(Broken),
        Failure::NoAnswer => std::future::pending().await,
        Failure::Delay(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn resource(
    shared: &Arc<Shared>,
    method: &Method,
    path: &ResourcePath<'_>,
    options: Options,
) -> Result<Response<Body>, Broken> {
    let verb = options.verb(path);
    let name = path.resource_and_group();
    let nth = shared.store().count_request(name.clone(), verb);
    if shared.faults.is_stale(path.group) {
        return Ok(status::no_backend().into());
    }
    let failure = shared.faults.take(&name, verb, nth);
    if let Some(failure) = failure {
        interfere(failure).await?;
        if let Failure::Refuse(refusal) = failure {
            return Ok(list::refuse(refusal, path, &options).into());
        }
    }
    let answer = answer(shared, method, path, &options, failure);
    Ok(answer.map_or_else(Into::into, Answer::into_response))
}

fn answer(
    shared: &Arc<Shared>,
    method: &Method,
    path: &ResourcePath<'_>,
    options: &Options,
    failure: Option<Failure>,
) -> Result<Answer, Refused> {
    let store = shared.store();
    let document = &store.served(path)?.document;
    if *method != Method::GET {
        return Err(status::method_not_allowed());
    }
    match (options.watch, path.name) {
        (true, None) if document.can_watch() => {
            drop(store);
            watch::watch(shared, path, options, failure)
        }
        (false, None) if document.can_list() => list::list(&store, path, options, failure),
        (false, Some(name)) if document.can_list() => list::get(&store, path, name),
        _ => Err(status::method_not_allowed()),
    }
}

fn version() -> Response<Body> {
    let version = json!({
        "major": "1", "minor": "36",
        "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "",
        "platform": "strandline/simulator",
    });
    response(
        StatusCode::OK,
        "application/json",
        full(version.to_string()),
    )
}

fn discovery_response(shared: &Shared, request: &Request<Incoming>, core: bool) -> Response<Body> {
    let accept = request.headers().get(http::header::ACCEPT);
    let aggregated = accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("v=v2;as=APIGroupDiscoveryList"));
    if !aggregated {
        return status::not_acceptable().into();
    }
    let stale = shared.faults.stale();
    let document = discovery::document(&shared.store(), core, &stale);
    let etag = discovery::etag(&document);
    let known = request.headers().get(IF_NONE_MATCH);
    let unchanged = known.is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if unchanged {
        let mut response = Response::new(
            Empty::new()
                .map_err(|never: Infallible| match never {})
                .boxed_unsync(),
        );
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        response(
            StatusCode::OK,
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            full(document),
        )
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    response
}
