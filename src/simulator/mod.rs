//! A small Kubernetes API server inside the process: discovery, list and watch over plain HTTP.
//!
//! It serves the demo, the load generator and the tests that need faults which a real server does
//! not produce on demand. A client cannot tell it from kube-apiserver by what it reads: the
//! bodies were recorded from version 1.36 (`recorded/`, `status.rs`).
//!
//! ```text
//!  apply, update, delete ──▶ Store (one Mutex: types, objects, a log per type) ──▶ list, watch ──▶ HTTP
//!                                                            Faults ───────────────┘
//! ```
//!
//! One seed gives one cluster: uids, times and resourceVersions are the same in every run. Nothing
//! can be written over HTTP; mutations are methods of [`Simulator`].

mod discovery;
mod faults;
mod list;
pub mod load;
mod ownership;
mod query;
mod schemas;
mod selector;
mod serve;
pub mod shop;
mod status;
mod store;
mod watch;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::object::{ApiType, ObjectKey};

pub use faults::{Failure, Fault, Faults, Interruption, Refusal, Storm};
use store::Store;

/// How a simulator starts.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// What everything random is drawn from: uids, cluster IPs, the shop's names and numbers.
    pub seed: u64,
    /// Time of the first write; every write after it is one second later.
    pub start: Timestamp,
    /// How often an open watch gets a bookmark, if it asked for them. About a minute on a real server.
    pub bookmark_interval: Duration,
    /// How long a watch lasts that names no `timeoutSeconds`. Half an hour to an hour on a real server.
    pub watch_timeout: Duration,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            // 2026-03-02T09:00:00Z, a Monday morning.
            start: Timestamp::constant(1_772_442_000, 0),
            bookmark_interval: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(1_800),
        }
    }
}

/// A simulator that could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port on the loopback interface.
    #[error("failed to listen on the loopback interface")]
    Listen {
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A mutation that the simulator refuses. Names objects, never their values.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No served type has this resource name and group, or this `apiVersion` and `kind`.
    #[error("the simulator serves no type '{name}'")]
    NoSuchType {
        /// As it was asked for.
        name: String,
    },
    /// `metadata.name` is missing, or the namespace does not fit the type's scope.
    #[error("{what} has no name, or its namespace does not fit its scope")]
    NoIdentity {
        /// The type.
        what: String,
    },
    /// The object lies in a namespace that does not exist.
    #[error("namespace '{namespace}' of {what} does not exist")]
    NoSuchNamespace {
        /// The namespace.
        namespace: String,
        /// The type.
        what: String,
    },
    /// There is no such object.
    #[error("{key} does not exist")]
    NoSuchObject {
        /// The object.
        key: ObjectKey,
    },
    /// A `CustomResourceDefinition` without group, names or versions.
    #[error("CustomResourceDefinition {name} defines no type")]
    NoDefinition {
        /// Its name.
        name: String,
    },
}

/// Who writes, as `managedFields` names it.
///
/// A plain string is a manager with operation `Update` and no subresource.
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    manager: Box<str>,
    apply: bool,
    subresource: Option<Box<str>>,
}

impl Writer {
    /// A manager that creates, replaces or patches (operation `Update`).
    pub fn update(manager: &str) -> Self {
        Self {
            manager: manager.into(),
            apply: false,
            subresource: None,
        }
    }

    /// A manager that applies on the server's side (operation `Apply`).
    pub fn apply(manager: &str) -> Self {
        Self {
            apply: true,
            ..Self::update(manager)
        }
    }

    /// The same manager, writing through a subresource such as `scale`.
    #[must_use]
    pub fn through(self, subresource: &str) -> Self {
        Self {
            subresource: Some(subresource.into()),
            ..self
        }
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn is_apply(&self) -> bool {
        self.apply
    }

    fn subresource_name(&self) -> Option<&str> {
        self.subresource.as_deref()
    }
}

impl From<&str> for Writer {
    fn from(manager: &str) -> Self {
        Self::update(manager)
    }
}

/// What a request asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// `/api` and `/apis`; counted under the resource name `""`.
    Discovery,
    /// One object.
    Get,
    /// A list, or its first page.
    List,
    /// A further page of a list.
    Continue,
    /// A watch that starts at a resourceVersion (or without initial events asked for).
    Watch,
    /// A watch with `sendInitialEvents=true`.
    WatchList,
    /// Everything else: versions, health, unknown paths; counted under the resource name `""`.
    Other,
}

/// How often each resource (`deployments.apps`) was asked for, by verb.
pub type Requests = BTreeMap<(String, Verb), u64>;

/// A running server. Dropping it closes every connection.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// What the handlers of requests and the handle share.
#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    faults: Faults,
    options: SimulatorOptions,
    /// Counts up when the network is to be cut; odd while the server is to be unreachable.
    network: tokio::sync::watch::Sender<u64>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store
            .lock()
            .expect("no code that holds the store can panic half-way")
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Simulator {
    /// Starts an empty cluster (the namespaces that every cluster has, and no workloads) on a free
    /// port of the loopback interface. Needs a tokio runtime with I/O and time.
    pub async fn start(options: SimulatorOptions) -> Result<Self, StartError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(|source| StartError::Listen { source })?;
        let address = listener
            .local_addr()
            .map_err(|source| StartError::Listen { source })?;
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(options.seed, options.start)),
            faults: Faults::default(),
            network: tokio::sync::watch::Sender::new(0),
            options,
        });
        let server = tokio::spawn(serve::accept(listener, shared.clone()));
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig (YAML) whose current context, `simulator`, reaches this server.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: simulator\n\
             clusters:\n- name: simulator\n  cluster:\n    server: {}\n\
             contexts:\n- name: simulator\n  context:\n    cluster: simulator\n    user: simulator\n\
             users:\n- name: simulator\n  user: {{}}\n",
            self.url()
        )
    }

    /// The seed that it was started with.
    pub fn seed(&self) -> u64 {
        self.shared.options.seed
    }

    /// The script of what goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Requests since the start, refused ones included.
    pub fn requests(&self) -> Requests {
        self.shared.store().requests.clone()
    }

    /// Number of watches that are open on `resource` (`deployments.apps`), or on everything.
    pub fn open_watches(&self, resource: Option<&str>) -> usize {
        self.shared.store().open_watches(resource)
    }

    /// Does something to every watch that is open now on `resource` (`None`: all of them).
    pub fn interrupt(&self, resource: Option<&str>, how: Interruption) {
        self.shared.store().interrupt(resource, how);
    }

    /// Cuts every connection; while `down`, new ones are closed at once. The port stays the same.
    pub fn set_down(&self, down: bool) {
        self.shared.network.send_modify(|epoch| {
            *epoch += if (*epoch % 2 == 1) == down { 2 } else { 1 };
        });
    }

    /// Forgets history: a watch, an exact list or a `continue` token from before is answered by 410.
    pub fn compact(&self) {
        self.shared.store().compact();
    }

    /// Moves the clock that stamps objects.
    pub fn advance(&self, by: Duration) {
        self.shared.store().advance(by);
    }

    /// The resourceVersion of the last write.
    pub fn resource_version(&self) -> u64 {
        self.shared.store().version()
    }

    /// Every served type that can be listed, at its preferred version.
    pub fn types(&self) -> Vec<Arc<ApiType>> {
        self.shared.store().types()
    }

    /// The key of an object of `resource`, written as `deployments.apps`. It need not exist.
    pub fn key(
        &self,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<ObjectKey, WriteError> {
        let api_type = self.shared.store().find_type(resource)?;
        Ok(ObjectKey {
            api_type,
            namespace: namespace.map(Into::into),
            name: name.into(),
        })
    }

    /// One object as it is now, `managedFields` included.
    pub fn get(&self, key: &ObjectKey) -> Option<Value> {
        self.shared.store().get(key)
    }

    /// Every object of `resource` (`deployments.apps`) as it is now, by key.
    pub fn objects_of(&self, resource: &str) -> Result<Vec<Value>, WriteError> {
        let store = self.shared.store();
        let api_type = store.find_type(resource)?;
        Ok(store.state(&api_type)?.complete_objects().collect())
    }

    /// Every object as it is now, by type and key.
    pub fn objects(&self) -> Vec<(Arc<ApiType>, Value)> {
        self.shared.store().objects()
    }

    /// Creates `object`, or replaces what is there; returns its resourceVersion.
    ///
    /// A replacement, not a merge: fields that `object` lacks are removed, except `status` and
    /// what the server allocated. A `CustomResourceDefinition` is Established at once, and its
    /// type served. What changes nothing is no write: no event, the same resourceVersion.
    pub fn apply(&self, writer: impl Into<Writer>, object: Value) -> Result<u64, WriteError> {
        self.shared.store().apply(&writer.into(), object)
    }

    /// Changes an object, all but its status; returns its resourceVersion.
    pub fn update(
        &self,
        key: &ObjectKey,
        writer: impl Into<Writer>,
        change: impl FnOnce(&mut Value),
    ) -> Result<u64, WriteError> {
        self.shared.store().update(key, &writer.into(), change)
    }

    /// Changes an object's status and nothing else; returns its resourceVersion.
    pub fn update_status(
        &self,
        key: &ObjectKey,
        writer: impl Into<Writer>,
        change: impl FnOnce(&mut Value),
    ) -> Result<u64, WriteError> {
        self.shared
            .store()
            .update_status(key, &writer.into().through("status"), change)
    }

    /// Deletes an object and what it owns; a namespace with everything in it; a
    /// `CustomResourceDefinition` with its type and objects. Returns the last resourceVersion.
    pub fn delete(&self, key: &ObjectKey) -> Result<u64, WriteError> {
        self.shared.store().delete(key)
    }
}
