//! A client that writes under the user agents of others.
//!
//! Where a request names no field manager, the server takes what stands before the first `/` of
//! the user agent: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>.

use serde_json::{Value, json};

use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::{Context as _, Failure, Result};

/// User agents as these programs send them.
pub(crate) const KUBELET: &str = "kubelet/v1.36.3 (linux/amd64) kubernetes/0000000";
pub(crate) const HPA_CONTROLLER: &str = "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/0000000/system:serviceaccount:kube-system:horizontal-pod-autoscaler";
pub(crate) const ROOT_CA_PUBLISHER: &str = "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/0000000/system:serviceaccount:kube-system:root-ca-cert-publisher";
pub(crate) const SCHEDULER: &str =
    "kube-scheduler/v1.36.3 (linux/amd64) kubernetes/0000000/leader-election";
pub(crate) const CLOUD: &str = "cloud-controller-manager/v1.36.3 (linux/amd64) kubernetes/0000000";
pub(crate) const CLUSTER_AUTOSCALER: &str =
    "cluster-autoscaler/v1.36.0 (linux/amd64) kubernetes/0000000";
pub(crate) const CA_INJECTOR: &str =
    "cert-manager-cainjector/v1.18.2 (linux/amd64) cert-manager/0000000";
pub(crate) const CERTIFICATES: &str =
    "cert-manager-certificates-issuing/v1.18.2 (linux/amd64) cert-manager/0000000";
pub(crate) const ISTIOD: &str = "pilot-discovery/v0.0.0 (linux/amd64) kubernetes/$Format";
pub(crate) const INGRESS: &str = "nginx-ingress-controller/v1.13.0 (linux/amd64) ingress-nginx/0";
pub(crate) const OPERATOR: &str = "manager/v0.0.0 (linux/amd64) kubernetes/$Format";
pub(crate) const KUBECTL: &str = "kubectl/v1.36.3 (linux/amd64) kubernetes/0000000";

/// Attempts of a read-modify-write that meets another writer.
const ATTEMPTS: u32 = 50;

/// The client. One thread at a time.
pub(crate) struct Player {
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
}

impl Player {
    pub(crate) fn new(plane: &ControlPlane) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a runtime")?;
        let path = plane.kubeconfig(ADMIN)?;
        let client = runtime.block_on(async {
            let kubeconfig = kube::config::Kubeconfig::read_from(path).context("kubeconfig")?;
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .context("kubeconfig")?;
            kube::Client::try_from(config).context("client")
        })?;
        Ok(Self { client, runtime })
    }

    fn send(
        &self,
        agent: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .header("user-agent", agent)
            .body(body.into_bytes())
            .context(path)?;
        self.runtime
            .block_on(self.client.request(request))
            .context(format!("{method} {path}"))
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.send(KUBECTL, "GET", path, "application/json", None)
    }

    pub(crate) fn create(&self, agent: &str, path: &str, object: &Value) -> Result<Value> {
        self.send(agent, "POST", path, "application/json", Some(object))
    }

    pub(crate) fn delete(&self, agent: &str, path: &str) -> Result<()> {
        self.send(agent, "DELETE", path, "application/json", None)
            .map(drop)
    }

    /// A JSON merge patch (RFC 7386).
    pub(crate) fn merge(&self, agent: &str, path: &str, patch: &Value) -> Result<Value> {
        let kind = "application/merge-patch+json";
        self.send(agent, "PATCH", path, kind, Some(patch))
    }

    /// A strategic merge patch, which knows lists by their keys.
    pub(crate) fn strategic(&self, agent: &str, path: &str, patch: &Value) -> Result<Value> {
        let kind = "application/strategic-merge-patch+json";
        self.send(agent, "PATCH", path, kind, Some(patch))
    }

    /// A server-side apply that takes over what others own, as `GitOps` tools do.
    pub(crate) fn apply(
        &self,
        agent: &str,
        manager: &str,
        path: &str,
        object: &Value,
    ) -> Result<Value> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        let kind = "application/apply-patch+yaml";
        self.send(agent, "PATCH", &path, kind, Some(object))
    }

    /// Reads, changes and writes, again where somebody else wrote meanwhile, as clients do.
    pub(crate) fn edit(
        &self,
        agent: &str,
        path: &str,
        change: impl Fn(&mut Value),
    ) -> Result<Value> {
        let mut last = Failure::new("never tried");
        for _ in 0..ATTEMPTS {
            let mut object = self.get(path)?;
            change(&mut object);
            match self.send(agent, "PUT", path, "application/json", Some(&object)) {
                Err(error) if error.to_string().contains("has been modified") => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    /// Scales as an autoscaler does, and returns the workload.
    pub(crate) fn scale(&self, path: &str, replicas: u64) -> Result<Value> {
        let body = json!({ "spec": { "replicas": replicas } });
        self.merge(HPA_CONTROLLER, &format!("{path}/scale"), &body)?;
        self.get(path)
    }
}
