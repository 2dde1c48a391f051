//! Requests that keep their connection: thousands of them, a few milliseconds each.
//!
//! kubectl would take 40 ms for its start alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use ::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::plane::{ADMIN, ControlPlane};
use super::{Context as _, Failure, Result};

/// Of a body in JSON.
pub const JSON: &str = "application/json";
/// Asks for discovery in its aggregated form:
/// <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery>.
pub const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A connection to the API server, as [`ADMIN`].
pub struct Api {
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
    requests: AtomicUsize,
}

/// What the server said.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
}

impl Api {
    pub fn connect(plane: &ControlPlane) -> Result<Self> {
        // Fails where a provider is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a runtime")?;
        let path = plane.kubeconfig(ADMIN)?;
        let kubeconfig = kube::config::Kubeconfig::read_from(&path).context(path.display())?;
        let client = runtime.block_on(async {
            let options = kube::config::KubeConfigOptions::default();
            let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .context("the plane's kubeconfig")?;
            config.default_retry = false;
            kube::Client::try_from(config).context("a client")
        })?;
        Ok(Self {
            runtime,
            client,
            requests: AtomicUsize::new(0),
        })
    }

    /// How many requests have been sent.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends a request, as kubectl would; returns the status and the body of the answer.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>)> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT, accept)
            .header(CONTENT_TYPE, content_type)
            .header(USER_AGENT, "kubectl/v1.36.3")
            .body(kube::client::Body::from(body))
            .context(path)?;
        self.runtime.block_on(async {
            let response = self.client.send(request).await.context(path)?;
            let code = response.status().as_u16();
            let body = response.into_body().collect().await.context(path)?;
            Ok((code, body.to_bytes().to_vec()))
        })
    }

    /// Gets a path; a status other than 200 is a failure.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.get_as(path, JSON)
    }

    /// Gets a discovery document in its aggregated form.
    pub fn discovery(&self, path: &str) -> Result<Value> {
        self.get_as(path, DISCOVERY)
    }

    fn get_as(&self, path: &str, accept: &str) -> Result<Value> {
        let (code, body) = self.send(Method::GET, path, accept, JSON, Vec::new())?;
        if code != 200 {
            return Err(Failure::new(format_args!("GET {path}: {code}")));
        }
        serde_json::from_slice(&body).context(path)
    }

    /// Gets a path as text: `/metrics`.
    pub fn text(&self, path: &str) -> Result<String> {
        let (code, body) = self.send(Method::GET, path, "*/*", JSON, Vec::new())?;
        match code {
            200 => String::from_utf8(body).context(path),
            code => Err(Failure::new(format_args!("GET {path}: {code}"))),
        }
    }

    /// Creates an object in the collection at `path`, or only asks whether it could be.
    ///
    /// Unknown fields are an error, so that a path that the server would not keep is never sent
    /// unseen: <https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation>.
    pub fn create(&self, path: &str, object: &Value, dry_run: bool) -> Result<Answer> {
        let mut uri = format!("{path}?fieldValidation=Strict&fieldManager=strandline-test");
        if dry_run {
            uri.push_str("&dryRun=All");
        }
        let body = serde_json::to_vec(object).context(path)?;
        let (code, body) = match self.send(Method::POST, &uri, JSON, JSON, body) {
            Ok((code, body)) => (code, serde_json::from_slice(&body).unwrap_or_default()),
            // A handler that panics cuts the connection: that object, and no other, is refused.
            Err(failure) => (0, serde_json::json!({ "message": failure.to_string() })),
        };
        Ok(Answer { code, body })
    }
}
