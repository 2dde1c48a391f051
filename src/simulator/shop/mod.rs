//! A small believable shop: what the demo records, and a story that happens to it.
//!
//! Three teams with three habits: Argo CD keeps `shop`, Helm keeps `payments`, and `data` is applied
//! by hand. An operator makes databases. Names and numbers come from the seed.

mod cluster;
mod data;
mod desired;
mod story;
mod workload;

use serde_json::{Map, Value, json};

use super::{Simulator, WriteError, Writer};

pub use desired::{Manifest, desired, next};
pub use story::{Chapter, story};
use workload::Workload;

/// Who brings a team's objects into the cluster, and what they leave in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deployer {
    Argo,
    Helm,
    Kubectl,
}

impl Deployer {
    fn manager(self) -> Writer {
        Writer::update(match self {
            Self::Argo => "argocd-controller",
            Self::Helm => "helm",
            Self::Kubectl => "kubectl-client-side-apply",
        })
    }

    /// Writes `object` as this deployer does: with its tracking metadata.
    fn deploy(self, simulator: &Simulator, mut object: Value) -> Result<u64, WriteError> {
        let group = object["apiVersion"].as_str().unwrap_or_default();
        let group = group.split_once('/').map_or("", |(group, _)| group);
        let kind = object["kind"].as_str().unwrap_or_default();
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let annotations: Vec<(&str, String)> = match self {
            // <https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/>
            Self::Argo => vec![(
                "argocd.argoproj.io/tracking-id",
                format!("shop:{group}/{kind}:{namespace}/{name}"),
            )],
            Self::Helm => vec![
                ("meta.helm.sh/release-name", "payments".to_owned()),
                ("meta.helm.sh/release-namespace", "payments".to_owned()),
            ],
            // <https://kubernetes.io/docs/concepts/overview/working-with-objects/object-management/>
            Self::Kubectl => vec![(
                "kubectl.kubernetes.io/last-applied-configuration",
                format!("{object}\n"),
            )],
        };
        let metadata = &mut object["metadata"];
        for (key, value) in annotations {
            metadata["annotations"][key] = value.into();
        }
        if self == Self::Helm {
            metadata["labels"]["app.kubernetes.io/managed-by"] = "Helm".into();
        }
        simulator.apply(self.manager(), object)
    }
}

/// What the seed decided about the shop; the same for the objects and for the story.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    workloads: Vec<Workload>,
    /// Custom resources that the operator turns into databases: namespace, name, instances.
    databases: Vec<(&'static str, String, u64)>,
    host: String,
}

impl Plan {
    fn new(seed: u64) -> Self {
        // Apart from the simulator's own randomness, which started from the same seed.
        let mut random = fastrand::Rng::with_seed(seed ^ 0x5348_4f50);
        let mut extra = [
            "search",
            "reviews",
            "recommendations",
            "wishlist",
            "newsletter",
        ];
        random.shuffle(&mut extra);
        let mut back_office = ["fraud-check", "invoices", "payouts", "refunds"];
        random.shuffle(&mut back_office);
        let front = ["web", "catalog", "cart"]
            .into_iter()
            .chain(extra[..2].iter().copied());
        let back = ["checkout", "ledger", back_office[0]];
        let mut workload = |namespace, deployer, name| Workload {
            namespace,
            deployer,
            name,
            replicas: random.u64(2..=4),
            version: format!(
                "{}.{}.{}",
                random.u8(1..=4),
                random.u8(0..=19),
                random.u8(0..=9)
            ),
            port: 8_000 + random.u64(0..=99),
        };
        let mut workloads: Vec<Workload> = front
            .map(|name| workload("shop", Deployer::Argo, name))
            .collect();
        workloads.extend(back.map(|name| workload("payments", Deployer::Helm, name)));
        let town = ["harbour", "lighthouse", "pebble", "driftwood", "lagoon"];
        Self {
            seed,
            workloads,
            databases: vec![
                ("data", "orders".to_owned(), random.u64(2..=3)),
                ("data", "stock".to_owned(), random.u64(1..=3)),
            ],
            host: format!("{}.example.com", town[random.usize(..town.len())]),
        }
    }

    fn workload(&self, name: &str) -> &Workload {
        self.workloads
            .iter()
            .find(|workload| workload.name == name)
            .unwrap_or(&self.workloads[0])
    }
}

/// Fills an empty cluster with the shop, drawn from the simulator's seed.
pub fn build(simulator: &Simulator) -> Result<(), WriteError> {
    let plan = Plan::new(simulator.seed());
    cluster::build(simulator)?;
    for namespace in ["shop", "payments", "data"] {
        cluster::namespace(simulator, namespace)?;
    }
    data::install_operator(simulator)?;
    for (namespace, name, instances) in &plan.databases {
        data::order_database(simulator, namespace, name, *instances)?;
    }
    for workload in &plan.workloads {
        workload.deploy(simulator)?;
    }
    around_the_workloads(simulator, &plan)
}

/// What belongs to a team rather than to one workload.
fn around_the_workloads(simulator: &Simulator, plan: &Plan) -> Result<(), WriteError> {
    let web = plan.workload("web");
    let catalog = plan.workload("catalog");
    let checkout = plan.workload("checkout");
    let shop = [
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta("shop", "shop"),
            "spec": {
                "ingressClassName": "public",
                "rules": [{"host": plan.host, "http": {"paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "web", "port": {"number": web.port}}},
                }]}}],
                "tls": [{"hosts": [plan.host], "secretName": "shop-tls"}],
            },
        }),
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": meta("shop", "catalog"),
            "spec": {
                "minReplicas": catalog.replicas, "maxReplicas": catalog.replicas * 4,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"},
                "metrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70},
                }}],
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("shop", "feature-flags"),
            "data": {"flags.yaml": "express-delivery: off\nnew-basket: on\nreviews: yes\n"},
        }),
        network_policy("shop", "default-deny", &json!({})),
    ];
    for object in shop {
        Deployer::Argo.deploy(simulator, object)?;
    }
    let rng = &mut fastrand::Rng::with_seed(plan.seed ^ 0x0041_5049);
    let payments = [
        provider_key(&letters(rng, 24)),
        network_policy("payments", "default-deny", &json!({})),
        network_policy(
            "payments",
            "allow-shop-to-checkout",
            &json!([{
                "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}],
                "ports": [{"port": checkout.port, "protocol": "TCP"}],
            }]),
        ),
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": meta("payments", "checkout"),
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "checkout"}}},
        }),
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("payments", "settlement"),
            "spec": {
                "schedule": format!("{} {} * * *", rng.u8(..60), rng.u8(1..6)),
                "concurrencyPolicy": "Forbid", "suspend": false,
                "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "OnFailure",
                    "containers": [{
                        "name": "settlement", "args": ["--since", "24h"],
                        "image": format!("registry.example.com/payments/settlement:{}", checkout.version),
                    }],
                }}}},
            },
        }),
    ];
    for object in payments {
        Deployer::Helm.deploy(simulator, object)?;
    }
    // Helm's memory of its release: a Secret that no mirror wants.
    simulator.apply(
        "Helm",
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
            "metadata": {
                "namespace": "payments", "name": "sh.helm.release.v1.payments.v3",
                "labels": {"name": "payments", "owner": "helm", "status": "deployed", "version": "3"},
            },
            "data": {"release": base64(&letters(rng, 400))},
        }),
    )?;
    // A leaf of TLS that cert-manager renews.
    simulator.apply(
        "cert-manager-certificates-issuing",
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": meta("shop", "shop-tls"),
            "data": {"tls.crt": base64(&letters(rng, 300)), "tls.key": base64(&letters(rng, 300))},
        }),
    )?;
    Ok(())
}

/// The Secret that `payments` talks to its provider with.
fn provider_key(key: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": meta("payments", "provider-api"),
        "data": {"api-key": base64(key), "endpoint": base64("https://provider.example.net/v2")},
    })
}

fn network_policy(namespace: &str, name: &str, ingress: &Value) -> Value {
    let mut spec = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    if ingress.is_array() {
        spec["podSelector"] = json!({"matchLabels": {"app": "checkout"}});
        spec["ingress"] = ingress.clone();
    }
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": meta(namespace, name), "spec": spec,
    })
}

fn meta(namespace: &str, name: &str) -> Value {
    json!({"namespace": namespace, "name": name})
}

/// `metadata.ownerReferences` that name one controller.
fn owned_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }])
}

/// Adds fields to `metadata`.
fn with_metadata(mut object: Value, more: Value) -> Value {
    if let (Some(metadata), Value::Object(more)) = (
        object.get_mut("metadata").and_then(Value::as_object_mut),
        more,
    ) {
        let more: Map<String, Value> = more;
        metadata.extend(more);
    }
    object
}

fn letters(random: &mut fastrand::Rng, count: usize) -> String {
    std::iter::repeat_with(|| random.alphanumeric())
        .take(count)
        .collect()
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}
