//! What machines write all day, one event at a time, each under the user agent that writes it.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::cluster::{APPS, LEADERS, LEASES, NODES, SHOP, certificate, deployed};
use crate::player::{
    CA_INJECTOR, CERTIFICATES, CLOUD, CLUSTER_AUTOSCALER, HPA_CONTROLLER, INGRESS, ISTIOD, KUBELET,
    OPERATOR, Player, ROOT_CA_PUBLISHER, SCHEDULER,
};
use crate::support::plane::ControlPlane;
use crate::support::program::Program;
use crate::support::{Context as _, Failure, Result, wait_for};

/// How long a real controller may take to follow.
const FOLLOWS: Duration = Duration::from_secs(60);

/// What the events need.
pub(crate) struct Stage {
    pub(crate) player: Player,
    /// A certificate authority in PEM.
    authority: String,
    /// A signing request in PEM.
    request: String,
}

impl Stage {
    pub(crate) fn new(plane: &ControlPlane) -> Result<Self> {
        let authority = std::fs::read_to_string(plane.certificate_authority());
        let request = Program::new("openssl")
            .args(["req", "-new", "-newkey", "rsa:2048", "-nodes"])
            .args(["-keyout", "/dev/null"])
            .args(["-subj", "/O=system:nodes/CN=system:node:node-1"])
            .run()?
            .success()?;
        Ok(Self {
            player: Player::new(plane)?,
            authority: authority.context("the API server's certificate")?,
            request,
        })
    }

    /// The same with a client of its own, for another thread.
    pub(crate) fn of_thread(&self, player: Player) -> Self {
        Self {
            player,
            authority: self.authority.clone(),
            request: self.request.clone(),
        }
    }

    /// Another CA bundle each time: text around the certificates is no part of them.
    fn bundle(&self, n: u32) -> String {
        encoded(&format!("rotation {n}\n{}", self.authority))
    }
}

fn encoded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A time of its own for each event.
fn time(n: u32) -> String {
    format!(
        "2026-01-01T{:02}:{:02}:{:02}Z",
        n / 3600 % 24,
        n / 60 % 60,
        n % 60
    )
}

/// One kind of noise.
pub(crate) struct Noise {
    pub(crate) name: &'static str,
    /// The entry of managedFields that its writes leave.
    manager: &'static str,
    subresource: &'static str,
    /// Whether an event changes the object; a reconciliation without a difference does not.
    changes: bool,
    /// Plays event number `n`, from 1, and returns the object as it is then.
    event: fn(&Stage, n: u32) -> Result<Value>,
}

const fn noise(
    name: &'static str,
    manager: &'static str,
    subresource: &'static str,
    event: fn(&Stage, u32) -> Result<Value>,
) -> Noise {
    Noise {
        name,
        manager,
        subresource,
        changes: true,
        event,
    }
}

const fn idle(
    name: &'static str,
    manager: &'static str,
    event: fn(&Stage, u32) -> Result<Value>,
) -> Noise {
    Noise {
        name,
        manager,
        subresource: "",
        changes: false,
        event,
    }
}

const CONTROLLERS: &str = "kube-controller-manager";
const AUTOSCALER: &str = "cluster-autoscaler";
const CLOUDS: &str = "cloud-controller-manager";
const INJECTOR: &str = "cert-manager-cainjector";

pub(crate) const KINDS: [Noise; 25] = [
    noise("node heartbeats", "kubelet", "status", node_status),
    noise("node leases", "kubelet", "", |s, n| {
        renew(s, KUBELET, &format!("{LEASES}/{}", node(n)), n)
    }),
    noise("leader leases", "kube-scheduler", "", |s, n| {
        renew(s, SCHEDULER, &format!("{LEADERS}/kube-scheduler"), n)
    }),
    noise("leader locks", "nginx-ingress-controller", "", leader_lock),
    noise("Pod status", "kubelet", "status", pod_status),
    noise("readiness and EndpointSlices", CONTROLLERS, "", readiness),
    noise("HPA steps", CONTROLLERS, "scale", autoscaler_step),
    noise("HPA status", CONTROLLERS, "status", autoscaler_status),
    noise("cainjector, webhook", INJECTOR, "", |s, n| {
        inject(
            s,
            CA_INJECTOR,
            "validatingwebhookconfigurations/annotated",
            n,
        )
    }),
    noise("istiod, webhook", "pilot-discovery", "", |s, n| {
        inject(s, ISTIOD, "mutatingwebhookconfigurations/istio-like", n)
    }),
    noise("cainjector, conversion", INJECTOR, "", conversion_bundle),
    noise(
        "rotated certificates",
        "cert-manager-certificates-issuing",
        "",
        |s, n| {
            let path = format!("{SHOP}/secrets/web-tls");
            let manager = "cert-manager-certificates-issuing";
            s.player
                .apply(CERTIFICATES, manager, &path, &certificate(n))
        },
    ),
    noise("signing requests", "kubelet", "", signing_request),
    noise("root certificate", CONTROLLERS, "", |s, n| {
        let path = format!("{SHOP}/configmaps/kube-root-ca.crt");
        let data = json!({ "data": { "ca.crt": format!("rotation {n}") } });
        s.player.merge(ROOT_CA_PUBLISHER, &path, &data)
    }),
    noise("load balancer status", CLOUDS, "status", balancer_status),
    noise(
        "load balancer finalizers",
        CLOUDS,
        "status",
        balancer_finalizer,
    ),
    noise("nodes by their cloud", CLOUDS, "", node_facts),
    noise("node taints by their cloud", CLOUDS, "", |s, n| {
        toggle_taint(s, CLOUD, "node.cloudprovider.kubernetes.io/shutdown", n)
    }),
    noise("cluster-autoscaler status", AUTOSCALER, "", |s, n| {
        let path = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status";
        let patch = json!({
            "metadata": { "annotations": {
                "cluster-autoscaler.kubernetes.io/last-updated": time(n)
            }},
            "data": { "status": format!("probed at {}", time(n)) }
        });
        s.player.merge(CLUSTER_AUTOSCALER, path, &patch)
    }),
    noise("cluster-autoscaler taints", AUTOSCALER, "", |s, n| {
        let key = "DeletionCandidateOfClusterAutoscaler";
        toggle_taint(s, CLUSTER_AUTOSCALER, key, n)
    }),
    noise("events", "kubelet", "", event),
    noise("events of events.k8s.io", "kube-scheduler", "", new_event),
    noise("custom resource status", "manager", "status", |s, n| {
        let path = "/apis/quiet.example.com/v1/namespaces/shop/pumps/p/status";
        let status = json!({ "status": { "beats": n } });
        s.player.merge(OPERATOR, path, &status)
    }),
    idle("idle Argo CD", "argocd-controller", |s, _| {
        reapply(s, "argo", "argocd-controller")
    }),
    idle("idle Flux", "kustomize-controller", |s, _| {
        reapply(s, "flux", "kustomize-controller")
    }),
];

/// How often each kind was played, and the versions it made.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) counts: [u32; KINDS.len()],
    versions: BTreeSet<(usize, String)>,
}

impl Tally {
    /// Plays one event and makes sure that it was one: another version of the object, written by
    /// whom we play.
    pub(crate) fn play(&mut self, stage: &Stage, kind: usize) -> Result<()> {
        let noise = &KINDS[kind];
        self.counts[kind] += 1;
        let failed = |what: &str| Failure::new(format!("{}: {what}", noise.name));
        let object =
            (noise.event)(stage, self.counts[kind]).map_err(|error| failed(&error.to_string()))?;
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .ok_or_else(|| failed("an object without resourceVersion"))?;
        let new = self.versions.insert((kind, version.to_owned()));
        if noise.changes && !new {
            return Err(failed("an event changed nothing"));
        }
        if !noise.changes && self.counts[kind] > 1 && new {
            return Err(failed("a reconciliation changed something"));
        }
        let entries = object["metadata"]["managedFields"].as_array();
        let written = entries.into_iter().flatten().any(|entry| {
            entry["manager"] == noise.manager
                && entry["subresource"].as_str().unwrap_or_default() == noise.subresource
        });
        if written {
            Ok(())
        } else {
            Err(failed("its manager is not in managedFields"))
        }
    }
}

/// Whether a kind may go on while people and tools change what it is about.
pub(crate) fn goes_on_beside_others(kind: usize) -> bool {
    KINDS[kind].changes
}

fn node(n: u32) -> &'static str {
    NODES[n as usize % NODES.len()]
}

fn node_status(stage: &Stage, n: u32) -> Result<Value> {
    let path = format!("/api/v1/nodes/{}/status", node(n));
    let beat = json!({ "status": {
        "conditions": [
            { "type": "Ready", "status": "True", "reason": "KubeletReady",
              "lastHeartbeatTime": time(n), "lastTransitionTime": time(0) },
            { "type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory",
              "lastHeartbeatTime": time(n), "lastTransitionTime": time(0) }
        ],
        "capacity": { "cpu": "4", "memory": "16Gi", "pods": "110" },
        "nodeInfo": { "kubeletVersion": "v1.36.3" },
        "images": [{ "names": [format!("web:{n}")], "sizeBytes": n }]
    }});
    stage.player.strategic(KUBELET, &path, &beat)
}

fn renew(stage: &Stage, agent: &str, path: &str, n: u32) -> Result<Value> {
    let time = time(n).replace('Z', ".000000Z");
    let lease = json!({ "spec": { "renewTime": time } });
    stage.player.merge(agent, path, &lease)
}

/// Leader election as it was before Leases, and still is in old releases.
fn leader_lock(stage: &Stage, n: u32) -> Result<Value> {
    let path = format!("{SHOP}/configmaps/ingress-controller-leader");
    let record = json!({ "holderIdentity": "pod", "renewTime": time(n) }).to_string();
    let lock = json!({ "metadata": { "annotations": {
        "control-plane.alpha.kubernetes.io/leader": record
    }}});
    stage.player.merge(INGRESS, &path, &lock)
}

/// A Pod that no rollout replaces.
fn steady_pod(stage: &Stage, n: usize) -> Result<Value> {
    let list = stage
        .player
        .get(&format!("{SHOP}/pods?labelSelector=app%3Dsteady"))?;
    let mut pods = list["items"].as_array().cloned().unwrap_or_default();
    pods.sort_by_key(|pod| pod["metadata"]["name"].to_string());
    if pods.len() == 2 {
        Ok(pods.swap_remove(n % 2))
    } else {
        Err(Failure::new(format!("{} Pods instead of 2", pods.len())))
    }
}

fn pod_path(pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    format!("{SHOP}/pods/{name}/status")
}

fn pod_status(stage: &Stage, n: u32) -> Result<Value> {
    let pod = steady_pod(stage, n as usize)?;
    let probed = json!({ "status": { "conditions": [{
        "type": "PodReadyToStartContainers", "status": "True", "lastProbeTime": time(n)
    }]}});
    stage.player.strategic(KUBELET, &pod_path(&pod), &probed)
}

fn readiness_of(ready: bool, address: &str) -> Value {
    let status = if ready { "True" } else { "False" };
    let condition =
        |kind: &str| json!({ "type": kind, "status": status, "lastTransitionTime": time(0) });
    json!({ "status": {
        "phase": "Running", "hostIP": "192.0.2.10", "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": [condition("Ready"), condition("ContainersReady")]
    }})
}

/// A probe fails or succeeds; the real controllers follow in the endpoints, the workload and its
/// disruption budget.
fn readiness(stage: &Stage, n: u32) -> Result<Value> {
    let ready = n.is_multiple_of(2);
    let pod = steady_pod(stage, 0)?;
    let address = pod["status"]["podIP"].as_str().unwrap_or_default();
    let status = readiness_of(ready, address);
    stage.player.strategic(KUBELET, &pod_path(&pod), &status)?;
    wait_for("the controllers", FOLLOWS, || {
        let slices = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
        let list = stage.player.get(&format!(
            "{slices}?labelSelector=kubernetes.io%2Fservice-name%3Dsteady"
        ))?;
        let Some(slice) = list["items"].get(0).cloned() else {
            return Ok(None);
        };
        let follows = slice["endpoints"].as_array().is_some_and(|all| {
            all.iter().any(|one| {
                one["targetRef"]["name"] == pod["metadata"]["name"]
                    && one["conditions"]["ready"] == ready
            })
        });
        let deployment = stage.player.get(&format!("{APPS}/steady"))?;
        let counted = deployment["status"]["readyReplicas"] == if ready { 2 } else { 1 };
        Ok((follows && counted).then_some(slice))
    })
}

fn autoscaler_step(stage: &Stage, n: u32) -> Result<Value> {
    let path = format!("{APPS}/scaled");
    let replicas = 4 + u64::from(n % 5);
    let object = stage.player.scale(&path, replicas)?;
    wait_for("the ReplicaSet", FOLLOWS, || {
        let now = stage.player.get(&path)?;
        Ok((now["status"]["replicas"] == replicas).then_some(()))
    })?;
    Ok(object)
}

fn autoscaler_status(stage: &Stage, n: u32) -> Result<Value> {
    let path = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/scaled/status";
    let status = json!({ "status": { "lastScaleTime": time(n) } });
    stage.player.merge(HPA_CONTROLLER, path, &status)
}

fn inject(stage: &Stage, agent: &str, name: &str, n: u32) -> Result<Value> {
    let path = format!("/apis/admissionregistration.k8s.io/v1/{name}");
    let patch = json!({ "webhooks": [{
        "name": "guard.example.com", "clientConfig": { "caBundle": stage.bundle(n) }
    }]});
    stage.player.strategic(agent, &path, &patch)
}

fn conversion_bundle(stage: &Stage, n: u32) -> Result<Value> {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pumps.quiet.example.com";
    let patch = json!({ "spec": { "conversion": { "webhook": { "clientConfig": {
        "caBundle": stage.bundle(n)
    }}}}});
    stage.player.merge(CA_INJECTOR, path, &patch)
}

fn signing_request(stage: &Stage, _: u32) -> Result<Value> {
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "generateName": "csr-" },
        "spec": {
            "request": encoded(&stage.request), "signerName": "kubernetes.io/kubelet-serving",
            "usages": ["digital signature", "server auth"]
        }
    });
    stage.player.create(KUBELET, path, &request)
}

fn balancer_status(stage: &Stage, n: u32) -> Result<Value> {
    let path = format!("{SHOP}/services/edge/status");
    let address = format!("198.51.100.{}", n % 250 + 1);
    let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": address }] } } });
    stage.player.strategic(CLOUD, &path, &status)
}

/// Put when a balancer is made and taken away when the Service needs none any more; through the
/// status, as clouds do it:
/// <https://github.com/kubernetes/cloud-provider/blob/master/service/helpers/helper.go>.
fn balancer_finalizer(stage: &Stage, n: u32) -> Result<Value> {
    let path = format!("{SHOP}/services/edge/status");
    let finalizers = if n.is_multiple_of(2) {
        json!(null)
    } else {
        json!(["service.kubernetes.io/load-balancer-cleanup"])
    };
    let gone = finalizers.is_null();
    let before = stage.player.get(&path)?;
    let patch = json!({ "metadata": { "finalizers": finalizers } });
    let mut object = stage.player.merge(CLOUD, &path, &patch)?;
    if gone {
        // An entry that owns nothing any more is no more: the one before tells who it was.
        object["metadata"]["managedFields"] = before["metadata"]["managedFields"].clone();
    }
    Ok(object)
}

/// What the cloud says of a machine that registered itself.
fn node_facts(stage: &Stage, n: u32) -> Result<Value> {
    let path = format!("/api/v1/nodes/{}", node(n));
    let zone = format!("zone-{n}");
    let kind = format!("m{n}.large");
    stage.player.edit(CLOUD, &path, |object| {
        object["spec"]["providerID"] = format!("cloud:///{}", node(n)).into();
        let labels = &mut object["metadata"]["labels"];
        labels["topology.kubernetes.io/region"] = "region-1".into();
        labels["topology.kubernetes.io/zone"] = zone.clone().into();
        labels["failure-domain.beta.kubernetes.io/zone"] = zone.clone().into();
        labels["node.kubernetes.io/instance-type"] = kind.clone().into();
        labels["beta.kubernetes.io/instance-type"] = kind.clone().into();
        let uninitialized = "node.cloudprovider.kubernetes.io/uninitialized";
        if let Some(taints) = object["spec"]["taints"].as_array_mut() {
            taints.retain(|taint| taint["key"] != uninitialized);
        }
    })
}

fn toggle_taint(stage: &Stage, agent: &str, key: &str, n: u32) -> Result<Value> {
    // The same node all the time, so that each event puts the taint or takes it away.
    let path = format!("/api/v1/nodes/{}", NODES[0]);
    stage.player.edit(agent, &path, |object| {
        let mut taints = object["spec"]["taints"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        taints.retain(|taint| taint["key"] != key);
        if !n.is_multiple_of(2) {
            let value = n.to_string();
            taints.push(json!({ "key": key, "value": value, "effect": "PreferNoSchedule" }));
        }
        object["spec"]["taints"] = taints.into();
    })
}

fn event(stage: &Stage, n: u32) -> Result<Value> {
    let object = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": format!("p.{n}"), "namespace": "shop" },
        "involvedObject": { "kind": "Pod", "name": "p", "namespace": "shop" },
        "reason": "Pulled", "message": "the image is there", "type": "Normal",
        "firstTimestamp": time(n), "lastTimestamp": time(n), "count": 1,
        "source": { "component": "kubelet" }
    });
    let path = format!("{SHOP}/events");
    stage.player.create(KUBELET, &path, &object)
}

fn new_event(stage: &Stage, n: u32) -> Result<Value> {
    let object = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": { "name": format!("s.{n}"), "namespace": "shop" },
        "regarding": { "kind": "Pod", "name": "p", "namespace": "shop" },
        "eventTime": time(n).replace('Z', ".000000Z"), "action": "Binding", "type": "Normal",
        "reason": "Scheduled", "reportingController": "default-scheduler",
        "reportingInstance": "default-scheduler-1"
    });
    let path = "/apis/events.k8s.io/v1/namespaces/shop/events";
    stage.player.create(SCHEDULER, path, &object)
}

fn reapply(stage: &Stage, tool: &str, manager: &str) -> Result<Value> {
    let path = format!("{APPS}/{tool}-app");
    let object = deployed(tool, "app:1");
    stage.player.apply(manager, manager, &path, &object)
}

/// One round of the scheduler and of all kubelets: Nodes are alive, Pods are bound and run, those
/// of Jobs are done, those that are deleted end.
pub(crate) fn kubelets(player: &Player, round: u32) -> Result<()> {
    for node in NODES {
        let path = format!("/api/v1/nodes/{node}/status");
        // Beside the noise, whose times are of another day.
        let beat = time(round).replace("-01T", "-02T");
        let status = json!({ "status": { "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": beat, "lastTransitionTime": time(0)
        }]}});
        player.strategic(KUBELET, &path, &status)?;
    }
    let list = player.get(&format!("{SHOP}/pods"))?;
    for pod in list["items"].as_array().into_iter().flatten() {
        let done = match pod_step(player, pod) {
            // Replaced or bound meanwhile.
            Err(error)
                if ["not found", "already assigned", "is being deleted"]
                    .iter()
                    .any(|passing| error.to_string().contains(passing)) =>
            {
                Ok(())
            }
            done => done,
        };
        done?;
    }
    Ok(())
}

fn pod_step(player: &Player, pod: &Value) -> Result<()> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    // Nodes and addresses need not be shared out fairly.
    let sum = name
        .bytes()
        .fold(7_u16, |sum, byte| sum.wrapping_mul(31) ^ u16::from(byte));
    let path = format!("{SHOP}/pods/{name}");
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return player.delete(KUBELET, &format!("{path}?gracePeriodSeconds=0"));
    }
    if pod["spec"]["nodeName"].is_null() {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": NODES[usize::from(sum) % 3] }
        });
        return player
            .create(SCHEDULER, &format!("{path}/binding"), &binding)
            .map(drop);
    }
    if pod["status"]["phase"] != "Pending" {
        return Ok(());
    }
    let status = if pod["metadata"]["labels"]["job-name"].is_string() {
        json!({ "status": { "phase": "Succeeded" } })
    } else {
        readiness_of(true, &format!("10.1.{}.{}", sum >> 8, sum & 0xff))
    };
    player.strategic(KUBELET, &pod_path(pod), &status).map(drop)
}

/// Waits until every Deployment is as its spec says and its controller has seen that; `scaled` and
/// `steady` aside, which noise keeps busy.
pub(crate) fn rolled_out(player: &Player) -> Result<()> {
    wait_for("the rollouts", Duration::from_secs(120), || {
        let list = player.get(APPS)?;
        let done = list["items"].as_array().into_iter().flatten().all(|one| {
            let (spec, status) = (&one["spec"], &one["status"]);
            let busy = ["scaled", "steady"].map(Value::from);
            busy.contains(&one["metadata"]["name"]) && status["replicas"].is_u64()
                || (status["observedGeneration"] == one["metadata"]["generation"]
                    && status["updatedReplicas"] == spec["replicas"]
                    && status["availableReplicas"] == spec["replicas"]
                    && status["replicas"] == spec["replicas"])
        });
        Ok(done.then_some(()))
    })
}
