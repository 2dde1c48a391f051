use std::path::PathBuf;
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::api::{ApiError, Failure};
use super::metrics::Metrics;

/// Where the cluster is and as whom we come.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// `--kubeconfig`: one file, no merging.
    pub kubeconfig: Option<PathBuf>,
    /// The files of `KUBECONFIG`, or `~/.kube/config`; the first to set a value wins, missing ones
    /// are skipped: <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>.
    pub search_path: Vec<PathBuf>,
    /// `--context`; the kubeconfig's current one where absent.
    pub context: Option<String>,
}

/// A cluster that can be asked. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// For everything that ends soon. Its few connections serve one list after the other.
    client: kube::Client,
    /// For watches, each on a connection of its own for as long as it lasts. A connection that has
    /// read a list keeps a buffer of up to 400 KB, so no list's connection becomes a watch's.
    watch_client: kube::Client,
    /// What to call the cluster in logs: the context's name, or the server's address.
    name: Arc<str>,
    server: Arc<str>,
    /// Complete lists are the expensive requests: this many at a time.
    pub(super) list_permits: Arc<Semaphore>,
    pub(super) metrics: Metrics,
}

/// How long the answer to a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It ends by itself, soon.
    Short,
    /// It goes on for minutes.
    Watch,
}

/// How many complete lists run at a time.
const CONCURRENT_LISTS: usize = 4;
/// How long a connection may take to be made.
const CONNECT_SECONDS: u64 = 10;

/// Why there is no connection. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a service account.
    #[error(
        "no cluster to talk to: {searched}, and this is no pod (no KUBERNETES_SERVICE_HOST); \
         give --kubeconfig FILE or set KUBECONFIG"
    )]
    NoConfiguration {
        /// Which files were looked for.
        searched: String,
    },
    /// A kubeconfig that cannot be used.
    #[error("kubeconfig {files} cannot be used: {reason}")]
    Kubeconfig {
        /// The file or files.
        files: String,
        /// What is wrong.
        reason: String,
    },
    /// The context is in none of the files.
    #[error("context '{context}' is not in kubeconfig {files}; it has: {known}")]
    NoSuchContext {
        /// What was asked for.
        context: String,
        /// The file or files.
        files: String,
        /// The contexts that there are.
        known: String,
    },
    /// A context that names no cluster, or no context at all.
    #[error("kubeconfig {files} has no current context; give --context, one of: {known}")]
    NoCurrentContext {
        /// The file or files.
        files: String,
        /// The contexts that there are.
        known: String,
    },
    /// No TLS, no URL.
    #[error("a client for {server} cannot be built: {reason}")]
    Client {
        /// The server's address.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// The server does not answer, or does not let us in.
    #[error("the API server {server} cannot be used: {advice}")]
    Server {
        /// The server's address.
        server: String,
        /// What failed and what to do.
        advice: String,
        /// The request. Not a source: what it says is in the advice.
        request: Box<ApiError>,
    },
}

/// What `/version` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerVersion {
    /// For example `v1.36.3`.
    pub git_version: String,
    /// Digits, sometimes with a `+` behind.
    pub minor: String,
}

impl Cluster {
    /// Reads the configuration and builds a client; sends nothing yet.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let (config, name) = configuration(options).await?;
        let name = name.unwrap_or_else(|| config.cluster_url.to_string());
        Self::new(config, name)
    }

    fn new(mut config: kube::Config, name: String) -> Result<Self, ConnectError> {
        // Retrying is the reflector's: kube's own waits for up to 1,000 s inside one request.
        config.default_retry = false;
        config.connect_timeout = Some(std::time::Duration::from_secs(CONNECT_SECONDS));
        let server = config.cluster_url.to_string();
        let agent = concat!("strandline/", env!("CARGO_PKG_VERSION"));
        config.headers.push((
            http::header::USER_AGENT,
            http::HeaderValue::from_static(agent),
        ));
        let client = |config| {
            kube::Client::try_from(config).map_err(|error| ConnectError::Client {
                server: server.clone(),
                reason: super::api::describe(&error),
            })
        };
        let (client, watch_client) = (client(config.clone())?, client(config)?);
        Ok(Self {
            client,
            watch_client,
            name: name.into(),
            server: server.trim_end_matches('/').into(),
            list_permits: Arc::new(Semaphore::new(CONCURRENT_LISTS)),
            metrics: Metrics::default(),
        })
    }

    /// Talks to a server that asks for no credentials, such as the simulator.
    pub fn without_credentials(url: &str, name: &str) -> Result<Self, ConnectError> {
        let refused = |reason: String| ConnectError::Client {
            server: url.to_owned(),
            reason,
        };
        let uri = url.parse().map_err(|error| refused(format!("{error}")))?;
        Self::new(kube::Config::new(uri), name.to_owned())
    }

    pub(super) fn client_for(&self, request: Kind) -> &kube::Client {
        match request {
            Kind::Short => &self.client,
            Kind::Watch => &self.watch_client,
        }
    }

    /// The context's name, or the server's address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What reading this cluster cost so far.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Asks for the version: the first request, whose failure says whether we can go on at all.
    pub async fn version(&self) -> Result<ServerVersion, ConnectError> {
        let body = self
            .get_bytes("/version")
            .await
            .map_err(|source| self.refused(source))?;
        serde_json::from_slice(&body).map_err(|_| {
            self.refused(ApiError {
                method: "GET",
                path: "/version".to_owned(),
                failure: Failure::Garbled,
                reason: "the answer is not a version".to_owned(),
            })
        })
    }

    /// The uid of namespace `kube-system`, which identifies a cluster for as long as it lives;
    /// `None` where we may not read it.
    ///
    /// <https://github.com/kubernetes/kubernetes/issues/77487>
    pub async fn identity(&self) -> Result<Option<String>, ConnectError> {
        #[derive(Deserialize)]
        struct Namespace {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            uid: String,
        }
        match self.get_bytes("/api/v1/namespaces/kube-system").await {
            Ok(body) => Ok(serde_json::from_slice(&body)
                .ok()
                .map(|n: Namespace| n.metadata.uid)),
            Err(error) if matches!(error.failure, Failure::Forbidden | Failure::NotFound) => {
                Ok(None)
            }
            Err(source) => Err(self.refused(source)),
        }
    }

    /// Wraps a failed request with what to do about it.
    pub fn refused(&self, source: ApiError) -> ConnectError {
        let advice = match source.failure {
            Failure::Unauthorized => {
                "it does not accept these credentials; renew the token or certificate of the kubeconfig (`kubectl get --raw /version` tells when it works)".to_owned()
            }
            Failure::Forbidden => {
                "these credentials may not read it; bind the ClusterRole of the README to them"
                    .to_owned()
            }
            Failure::Transport => {
                format!("{}; check the address, the network and the certificate authority of the kubeconfig", source.reason)
            }
            Failure::NotFound => {
                "it answers, but not as a Kubernetes API server; check the address".to_owned()
            }
            _ => source.reason.clone(),
        };
        ConnectError::Server {
            server: self.server.to_string(),
            advice,
            request: Box::new(source),
        }
    }
}

/// Returns kube's configuration and the context's name.
async fn configuration(
    options: &ConnectOptions,
) -> Result<(kube::Config, Option<String>), ConnectError> {
    let Some((kubeconfig, files)) = kubeconfig(options)? else {
        let config = kube::Config::incluster().map_err(|_| ConnectError::NoConfiguration {
            searched: if options.search_path.is_empty() {
                "there is no kubeconfig".to_owned()
            } else {
                format!("there is no kubeconfig at {}", list(&options.search_path))
            },
        })?;
        return Ok((config, None));
    };
    let known = || {
        let names: Vec<_> = kubeconfig
            .contexts
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        if names.is_empty() {
            "no context".to_owned()
        } else {
            names.join(", ")
        }
    };
    let context = options.context.clone().or_else(|| {
        kubeconfig
            .current_context
            .clone()
            .filter(|context| !context.is_empty())
    });
    let Some(context) = context else {
        return Err(ConnectError::NoCurrentContext {
            files,
            known: known(),
        });
    };
    if !kubeconfig
        .contexts
        .iter()
        .any(|named| named.name == context)
    {
        return Err(ConnectError::NoSuchContext {
            context,
            files,
            known: known(),
        });
    }
    let selection = KubeConfigOptions {
        context: Some(context.clone()),
        ..KubeConfigOptions::default()
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &selection)
        .await
        .map_err(|error| ConnectError::Kubeconfig {
            files,
            reason: reason(&error),
        })?;
    Ok((config, Some(context)))
}

fn kubeconfig(options: &ConnectOptions) -> Result<Option<(Kubeconfig, String)>, ConnectError> {
    let read = |path: &PathBuf| {
        Kubeconfig::read_from(path).map_err(|error| ConnectError::Kubeconfig {
            files: path.display().to_string(),
            reason: reason(&error),
        })
    };
    if let Some(path) = &options.kubeconfig {
        return Ok(Some((read(path)?, path.display().to_string())));
    }
    let present: Vec<_> = options
        .search_path
        .iter()
        .filter(|path| path.exists())
        .cloned()
        .collect();
    if present.is_empty() {
        return Ok(None);
    }
    let mut merged = Kubeconfig::default();
    for path in &present {
        merged = merged
            .merge(read(path)?)
            .map_err(|error| ConnectError::Kubeconfig {
                files: path.display().to_string(),
                reason: reason(&error),
            })?;
    }
    Ok(Some((merged, list(&present))))
}

/// kube's text, but for the parser's, which quotes the file: it may hold a token.
fn reason(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(source, _) => source.to_string(),
        KubeconfigError::Parse(_) => "it is not valid YAML of a kubeconfig".to_owned(),
        other => super::api::excerpt(&other.to_string()),
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
