//! What happens to the shop, one chapter at a time.

use std::fmt;

use serde_json::json;

use super::workload::settle;
use super::{Plan, base64, data, letters, meta};
use crate::simulator::{Simulator, WriteError, Writer};

type Act = Box<dyn Fn(&Simulator) -> Result<(), WriteError> + Send + Sync>;

/// One thing that happens.
pub struct Chapter {
    /// What happens, in words: one sentence without a full stop.
    pub title: String,
    /// Whether a mirror has something to commit afterwards.
    pub leaves_trace: bool,
    act: Act,
}

impl Chapter {
    fn new(
        title: String,
        act: impl Fn(&Simulator) -> Result<(), WriteError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            title,
            leaves_trace: true,
            act: Box::new(act),
        }
    }

    /// Lets it happen, with all that the controllers do in consequence.
    pub fn play(&self, simulator: &Simulator) -> Result<(), WriteError> {
        (self.act)(simulator)
    }
}

impl fmt::Debug for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chapter")
            .field("title", &self.title)
            .field("leaves_trace", &self.leaves_trace)
            .finish_non_exhaustive()
    }
}

/// A short story about the shop of the same seed.
///
/// Always tells of a Deployment scaled by hand, a hotfixed image, a deleted `NetworkPolicy`, what
/// debugging left behind and a storm of status updates; the seed chooses who, how much and what
/// else.
pub fn story(seed: u64) -> Vec<Chapter> {
    let plan = Plan::new(seed);
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5354_4f52);
    let mut chapters = vec![
        scaled_by_hand(&plan, &mut random),
        hotfix(&plan, &mut random),
        deleted_policy(&mut random),
        status_storm(&plan),
    ];
    let more = match random.u8(..3) {
        0 => flipped_flag(&mut random),
        1 => new_database(&mut random),
        _ => rotated_key(&mut random),
    };
    let at = random.usize(1..=chapters.len());
    chapters.insert(at, more);
    let storm = chapters.iter().position(|chapter| !chapter.leaves_trace);
    chapters.insert(storm.unwrap_or(at), debugged());
    chapters
}

fn scaled_by_hand(plan: &Plan, random: &mut fastrand::Rng) -> Chapter {
    // Not `catalog`: its replicas belong to the autoscaler.
    let candidates: Vec<_> = plan
        .workloads
        .iter()
        .filter(|workload| workload.namespace == "shop" && workload.name != "catalog")
        .collect();
    let workload = candidates[random.usize(..candidates.len())].clone();
    let replicas = workload.replicas + random.u64(2..=5);
    let title = format!(
        "Sale! Somebody scales {} from {} to {replicas} replicas with kubectl",
        workload.name, workload.replicas
    );
    Chapter::new(title, move |simulator| {
        let key = simulator.key("deployments.apps", Some("shop"), workload.name)?;
        // As `kubectl scale` writes it.
        let writer = Writer::update("kubectl").through("scale");
        simulator.update(&key, writer, |object| {
            object["spec"]["replicas"] = replicas.into();
        })?;
        settle(simulator, "shop", workload.name)
    })
}

fn hotfix(plan: &Plan, random: &mut fastrand::Rng) -> Chapter {
    let candidates: Vec<_> = plan
        .workloads
        .iter()
        .filter(|workload| workload.namespace == "payments")
        .collect();
    let workload = candidates[random.usize(..candidates.len())].clone();
    let image = workload.image(&format!("{}-hotfix{}", workload.version, random.u8(1..=3)));
    let title = format!(
        "At night a hotfix goes straight to {}: kubectl set image",
        workload.name
    );
    Chapter::new(title, move |simulator| {
        let key = simulator.key("deployments.apps", Some("payments"), workload.name)?;
        simulator.update(&key, "kubectl-set", |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = image.as_str().into();
        })?;
        settle(simulator, "payments", workload.name)
    })
}

fn deleted_policy(random: &mut fastrand::Rng) -> Chapter {
    let (namespace, name) = [
        ("payments", "default-deny"),
        ("payments", "allow-shop-to-checkout"),
        ("shop", "default-deny"),
    ][random.usize(..3)];
    let title = format!("While debugging, someone deletes NetworkPolicy {name} in {namespace}");
    Chapter::new(title, move |simulator| {
        let key = simulator.key("networkpolicies.networking.k8s.io", Some(namespace), name)?;
        simulator.delete(&key)?;
        Ok(())
    })
}

/// What is changed, added, removed and left behind when somebody looks for a fault in place.
fn debugged() -> Chapter {
    // Not scaled by anybody but its autoscaler, and not the hotfixed one.
    const NAME: &str = "catalog";
    let title =
        format!("{NAME} is slow: somebody looks for the reason with kubectl edit, and goes home");
    Chapter::new(title, move |simulator| {
        let config = simulator.key("configmaps", Some("shop"), &format!("{NAME}-config"))?;
        simulator.update(&config, "kubectl-edit", |object| {
            object["data"]["LOG_LEVEL"] = "debug".into();
        })?;
        let key = simulator.key("deployments.apps", Some("shop"), NAME)?;
        simulator.update(&key, "kubectl-edit", |object| {
            let container = &mut object["spec"]["template"]["spec"]["containers"][0];
            if let Some(env) = container["env"].as_array_mut() {
                env.retain(|variable| variable["name"] != "REGION");
                env.push(json!({"name": "TRACE_SQL", "value": "1"}));
            }
        })?;
        let notes = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("shop", "catalog-debug"),
            "data": {"queries.sql": "EXPLAIN ANALYZE SELECT * FROM articles;\n"},
        });
        simulator.apply("kubectl-create", notes)?;
        settle(simulator, "shop", NAME)
    })
}

/// Heartbeats: every object has had the same intent all along.
fn status_storm(plan: &Plan) -> Chapter {
    const UPDATES: usize = 500;
    let workloads = plan.workloads.clone();
    Chapter {
        title: format!("Controllers report {UPDATES} changes of status; nobody asked for anything"),
        leaves_trace: false,
        act: Box::new(move |simulator| {
            for (round, workload) in (0..UPDATES).zip(workloads.iter().cycle()) {
                let namespace = Some(workload.namespace);
                let key = simulator.key("deployments.apps", namespace, workload.name)?;
                simulator.update_status(&key, "kube-controller-manager", |object| {
                    object["status"]["conditions"][0]["lastUpdateTime"] =
                        format!("beat {round}").into();
                })?;
            }
            Ok(())
        }),
    }
}

fn flipped_flag(random: &mut fastrand::Rng) -> Chapter {
    let flag = ["express-delivery", "gift-wrapping", "one-click-buy"][random.usize(..3)];
    let title = format!("A feature flag is turned on in place: {flag} (kubectl edit)");
    Chapter::new(title, move |simulator| {
        let key = simulator.key("configmaps", Some("shop"), "feature-flags")?;
        simulator.update(&key, "kubectl-edit", |object| {
            let flags = object["data"]["flags.yaml"].as_str().unwrap_or_default();
            let off = format!("{flag}: off\n");
            let changed = format!("{}{flag}: on\n", flags.replace(&off, ""));
            object["data"]["flags.yaml"] = changed.into();
        })?;
        Ok(())
    })
}

fn new_database(random: &mut fastrand::Rng) -> Chapter {
    let name = ["loyalty", "sessions", "returns"][random.usize(..3)];
    let instances = random.u64(1..=3);
    let title = format!("A team orders a database: {name}; the operator makes what belongs to it");
    Chapter::new(title, move |simulator| {
        data::order_database(simulator, "data", name, instances)
    })
}

fn rotated_key(random: &mut fastrand::Rng) -> Chapter {
    let key = letters(random, 24);
    let title = "The key of the payment provider is rotated in place (kubectl patch)".to_owned();
    Chapter::new(title, move |simulator| {
        let secret = simulator.key("secrets", Some("payments"), "provider-api")?;
        simulator.update(&secret, "kubectl-patch", |object| {
            object["data"]["api-key"] = base64(&key).into();
        })?;
        Ok(())
    })
}
