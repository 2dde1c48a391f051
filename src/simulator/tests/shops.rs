//! The shop, its story, and generated load: the same for the same seed.

use std::collections::BTreeSet;

use super::*;
use crate::simulator::{load::Load, shop};

async fn seeded(seed: u64) -> Simulator {
    let options = SimulatorOptions {
        seed,
        ..SimulatorOptions::default()
    };
    Simulator::start(options).await.unwrap()
}

/// Everything that clients could see, as text.
fn state(simulator: &Simulator) -> Vec<String> {
    simulator
        .objects()
        .iter()
        .map(|(_, object)| object.to_string())
        .collect()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_shop_and_story() {
    let mut states = Vec::new();
    let mut titles = Vec::new();
    for seed in [11, 11, 12] {
        let simulator = seeded(seed).await;
        shop::build(&simulator).unwrap();
        let before = state(&simulator);
        let story = shop::story(seed);
        for chapter in &story {
            chapter.play(&simulator).unwrap();
        }
        states.push((before, state(&simulator)));
        titles.push(
            story
                .into_iter()
                .map(|chapter| chapter.title)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(states[0], states[1]);
    assert_eq!(titles[0], titles[1]);
    assert_ne!(states[0].0, states[2].0);
    assert_ne!(titles[0], titles[2]);
}

/// What a mirror could hold of the cluster: intent and metadata of people's objects, no status.
fn intents(simulator: &Simulator) -> BTreeSet<String> {
    let mut intents = BTreeSet::new();
    for (api_type, mut object) in simulator.objects() {
        let map = object.as_object_mut().unwrap();
        map.remove("status");
        let metadata = map["metadata"].as_object_mut().unwrap();
        for volatile in ["resourceVersion", "managedFields", "generation"] {
            metadata.remove(volatile);
        }
        let derived = matches!(
            &*api_type.resource,
            "pods" | "replicasets" | "endpointslices"
        );
        if !derived {
            intents.insert(object.to_string());
        }
    }
    intents
}

#[tokio::test]
async fn chapters_do_what_their_titles_say_for_many_seeds() {
    for seed in 0..12 {
        let simulator = seeded(seed).await;
        shop::build(&simulator).unwrap();
        let story = shop::story(seed);
        assert_eq!(story.len(), 6, "seed {seed}");
        for chapter in story {
            let before = intents(&simulator);
            let version = simulator.resource_version();
            chapter.play(&simulator).unwrap();
            let changed = before != intents(&simulator);
            assert_eq!(
                changed, chapter.leaves_trace,
                "seed {seed}: {}",
                chapter.title
            );
            assert!(
                simulator.resource_version() > version,
                "seed {seed}: {}",
                chapter.title
            );
        }
    }
}

#[tokio::test]
async fn the_shop_holds_what_a_demo_needs() {
    let seed = 3;
    let simulator = seeded(seed).await;
    shop::build(&simulator).unwrap();
    let objects = simulator.objects();
    let count = |resource: &str| {
        objects
            .iter()
            .filter(|(api_type, _)| api_type.resource_and_group() == resource)
            .count()
    };
    for resource in [
        "configmaps",
        "secrets",
        "services",
        "serviceaccounts",
        "persistentvolumeclaims",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "pods",
        "cronjobs.batch",
        "ingresses.networking.k8s.io",
        "networkpolicies.networking.k8s.io",
        "horizontalpodautoscalers.autoscaling",
        "poddisruptionbudgets.policy",
        "roles.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "databases.data.example.com",
        "endpointslices.discovery.k8s.io",
        "leases.coordination.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
    ] {
        assert!(count(resource) > 0, "{resource}");
    }
    for (api_type, object) in &objects {
        let metadata = &object["metadata"];
        for field in ["uid", "creationTimestamp", "resourceVersion"] {
            assert!(
                metadata[field].is_string(),
                "{api_type} {}: {field}",
                metadata["name"]
            );
        }
        assert!(metadata["managedFields"].is_array());
        let owned = metadata["ownerReferences"].as_array().into_iter().flatten();
        for owner in owned {
            let lives = objects
                .iter()
                .any(|(_, other)| other["metadata"]["uid"] == owner["uid"]);
            assert!(lives, "{api_type} {} has an owner", metadata["name"]);
        }
    }
    let web = simulator
        .key("deployments.apps", Some("shop"), "web")
        .unwrap();
    let replicas = simulator.get(&web).unwrap()["spec"]["replicas"]
        .as_u64()
        .unwrap();
    let pods = get_json(
        &simulator,
        "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb",
    )
    .await;
    assert_eq!(names(&pods).len() as u64, replicas);
}

#[tokio::test]
async fn load_has_the_asked_size() {
    let simulator = started().await;
    let load = Load {
        objects: 240,
        types: 60,
    };
    load.fill(&simulator).unwrap();
    let loaded: Vec<_> = simulator
        .objects()
        .into_iter()
        .filter(|(_, object)| {
            object["metadata"]["name"]
                .as_str()
                .unwrap()
                .starts_with("object-")
        })
        .collect();
    assert_eq!(loaded.len(), 240);
    let types: BTreeSet<String> = loaded
        .iter()
        .map(|(api_type, _)| api_type.resource_and_group())
        .collect();
    assert_eq!(types.len(), 60);
    let bytes: usize = loaded
        .iter()
        .map(|(_, object)| object.to_string().len())
        .sum();
    let mean = bytes / loaded.len();
    assert!((2_200..2_800).contains(&mean), "mean size {mean}");
    let before = simulator.resource_version();
    load.change(&simulator, 10, 1).unwrap();
    assert_eq!(simulator.resource_version(), before + 10);
    load.change(&simulator, 10, 1).unwrap();
    assert_eq!(simulator.resource_version(), before + 10);
}

/// The whole way of a real client: discovery, list, watch.
#[tokio::test]
async fn kube_reads_the_shop() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = seeded(5).await;
    shop::build(&simulator).unwrap();
    let config = kube::config::Kubeconfig::from_yaml(&simulator.kubeconfig()).unwrap();
    let config =
        kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default())
            .await
            .unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let groups = client.list_api_groups_aggregated().await.unwrap();
    assert!(groups.items.iter().any(|group| {
        group
            .metadata
            .as_ref()
            .and_then(|meta| meta.name.as_deref())
            == Some("data.example.com")
    }));
    assert_eq!(
        client
            .list_core_api_versions_aggregated()
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    for api_type in simulator.types() {
        let path = if api_type.group.is_empty() {
            format!("/api/v1/{}?limit=3", api_type.resource)
        } else {
            format!(
                "/apis/{}/{}?limit=3",
                api_type.api_version(),
                api_type.resource
            )
        };
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let list: Value = client.request(request).await.unwrap();
        assert_eq!(list["kind"], format!("{}List", api_type.kind));
    }
}
