//! A scripted half hour of ordinary life, without its pauses.
//!
//! Three parts: each kind of noise by itself, so that a commit names its culprit; then people and
//! tools at work while all kinds go on together; at last rollouts. After each part a change of a
//! marker: whatever came before it is in a commit by then, or in none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Completion;
use serde_json::{Value, json};

use crate::cluster::{self, APPS, SHOP, WEBS, autoscaler, config_map, deployed, release};
use crate::ledger::{Ledger, report};
use crate::mirror::Mirror;
use crate::noise::{self, KINDS, Stage, Tally, goes_on_beside_others, kubelets, rolled_out};
use crate::player::Player;
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::suite::Outcome;
use crate::support::{Failure, Result, wait_for};

/// Events of each kind by itself: an odd number, so that what is put and taken away by turns is
/// not as before when it is looked at.
const EVENTS: u32 = 21;
/// Rollouts of each workload.
const ROLLOUTS: u32 = 5;
const FOLLOWS: Duration = Duration::from_secs(60);

pub(crate) fn ordinary_life_is_quiet(plane: &ControlPlane) -> Outcome {
    let stage = Stage::new(plane)?;
    cluster::build(plane, &stage.player)?;
    // Clients of their own: one serves one thread.
    let (kubelet, beside) = (Player::new(plane)?, stage.of_thread(Player::new(plane)?));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let until = &ended;
        let kubelets = scope.spawn(move || run_nodes(&kubelet, until));
        let done = life(plane, &stage, beside);
        ended.store(true, Ordering::Release);
        let nodes = kubelets
            .join()
            .map_err(|_| Failure::new("the kubelets panicked"))?;
        // Whatever failed because of the nodes, they say why.
        nodes.and(done)
    })?;
    Ok(Completion::Completed)
}

fn run_nodes(player: &Player, ended: &AtomicBool) -> Result<()> {
    for round in 0.. {
        if ended.load(Ordering::Acquire) {
            break;
        }
        kubelets(player, round)?;
        // A pace, for the sake of the machine's other tests; nobody counts on it.
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn life(plane: &ControlPlane, stage: &Stage, beside: Stage) -> Result<()> {
    let player = &stage.player;
    rolled_out(player)?;
    let mirror = Mirror::new(plane)?;
    // Rules must do it: an object that is damped is quiet whatever they say.
    let recorder = mirror.record(&["--damping", "off"])?;
    let start = Instant::now();
    let mut ledger = Ledger::new(&mirror)?;
    let mut tally = Tally::default();

    for (kind, noise) in KINDS.iter().enumerate() {
        for _ in 0..EVENTS {
            tally.play(stage, kind)?;
        }
        let what = format!("{EVENTS} × {}", noise.name);
        ledger.quiet(player, &what)?;
    }

    let ended = AtomicBool::new(false);
    let together = std::thread::scope(|scope| {
        let until = &ended;
        let others = scope.spawn(move || go_on(&beside, tally, until));
        let done = people(plane, &mut ledger)
            .and_then(|()| administrators(plane, player, &mut ledger))
            .and_then(|()| tools(player, &mut ledger))
            .and_then(|()| rollouts(plane, player, &mut ledger));
        ended.store(true, Ordering::Release);
        let tally = others
            .join()
            .map_err(|_| Failure::new("the noise panicked"))?;
        done.and(tally)
    })?;
    rolled_out(player)?;
    ledger.quiet(player, "everything")?;

    for (noise, count) in KINDS.iter().zip(together.counts) {
        report(&format!("{count} × {}", noise.name));
        assert!(count >= EVENTS, "{} {}", count, noise.name);
    }
    // The recorder has seen all of it: another one that starts now writes the same tree.
    let other = Mirror::new(plane)?;
    let _ = other.snapshot(&[])?.expect_code(0)?;
    assert_eq!(
        other.tree()?,
        mirror.tree()?,
        "the recorder missed something"
    );
    recorder.stop()?;
    let (commits, slowest) = (ledger.len(), ledger.slowest);
    let problems = ledger.close()?;
    report(&format!(
        "{commits} commits, {} events of machines, the slowest commit after {:.1} s, {:.0} s in all",
        together.counts.iter().sum::<u32>(),
        slowest.as_secs_f64(),
        start.elapsed().as_secs_f64()
    ));
    mirror.fsck()?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(problems.join("\n\n")))
    }
}

/// All kinds in turn, until they are ended.
fn go_on(stage: &Stage, mut tally: Tally, ended: &AtomicBool) -> Result<Tally> {
    let kinds: Vec<usize> = (0..KINDS.len())
        .filter(|&kind| goes_on_beside_others(kind))
        .collect();
    for &kind in kinds.iter().cycle() {
        if ended.load(Ordering::Acquire) {
            break;
        }
        tally.play(stage, kind)?;
    }
    Ok(tally)
}

fn file(kind: &str, name: &str) -> String {
    format!("namespaces/shop/{kind}/{name}.yaml")
}

fn deployment_file(name: &str) -> String {
    file("deployments.apps", name)
}

/// `kubectl`, as people use it.
fn kubectl(plane: &ControlPlane, args: &[&str], stdin: Option<&Value>) -> Result<()> {
    let kubectl = plane.kubectl_as(ADMIN)?.args(["-n", "shop"]).args(args);
    let kubectl = match stdin {
        Some(manifest) => kubectl.stdin(manifest.to_string()),
        None => kubectl,
    };
    // What an editor would do.
    let kubectl = kubectl.env("KUBE_EDITOR", "sed -i s/before/after/");
    kubectl.run()?.success().map(drop)
}

fn people(plane: &ControlPlane, ledger: &mut Ledger<'_>) -> Result<()> {
    let mut act = |args: &[&str], stdin: Option<&Value>, files: &[&str]| -> Result<()> {
        kubectl(plane, args, stdin)?;
        ledger.caused(&format!("kubectl {}", args.join(" ")), files)
    };
    let web = WEBS.map(deployment_file);
    let note = |name: &str| file("configmaps", name);
    act(
        &["apply", "-f", "-"],
        Some(&config_map("applied", "1")),
        &[&note("applied")],
    )?;
    act(
        &["apply", "-f", "-"],
        Some(&config_map("applied", "2")),
        &[&note("applied")],
    )?;
    act(
        &["apply", "--server-side", "-f", "-"],
        Some(&config_map("server-side", "1")),
        &[&note("server-side")],
    )?;
    act(&["edit", "configmap", "edited"], None, &[&note("edited")])?;
    act(
        &["scale", "deployment", "web-4", "--replicas=3"],
        None,
        &[&web[3]],
    )?;
    act(
        &["label", "deployment", "web-1", "tier=front"],
        None,
        &[&web[0]],
    )?;
    act(
        &["annotate", "service", "steady", "example.com/owner=shop"],
        None,
        &[&file("services", "steady")],
    )?;
    act(
        &["rollout", "restart", "deployment", "web-2"],
        None,
        &[&web[1]],
    )?;
    act(
        &["set", "env", "deployment", "web-3", "COLOUR=blue"],
        None,
        &[&web[2]],
    )?;
    act(
        &["rollout", "undo", "deployment", "web-3"],
        None,
        &[&web[2]],
    )?;
    act(
        &["expose", "deployment", "web-3", "--port=80"],
        None,
        &[&file("services", "web-3")],
    )?;
    act(
        &["create", "job", "once", "--image=job:1"],
        None,
        &[&file("jobs.batch", "once")],
    )?;
    act(
        &[
            "create",
            "secret",
            "generic",
            "password",
            "--from-literal=a=b",
        ],
        None,
        &[&file("secrets", "password")],
    )?;
    act(&["delete", "configmap", "doomed"], None, &[&note("doomed")])
}

fn administrators(plane: &ControlPlane, player: &Player, ledger: &mut Ledger<'_>) -> Result<()> {
    let mut act = |args: &[&str], stdin: Option<&Value>, files: &[&str]| -> Result<()> {
        kubectl(plane, args, stdin)?;
        ledger.caused(&format!("kubectl {}", args.join(" ")), files)
    };
    // The controller of nodes follows with a taint.
    let node = "cluster/nodes/node-2.yaml";
    act(&["cordon", "node-2"], None, &[node])?;
    act(&["uncordon", "node-2"], None, &[node])?;
    act(
        &["taint", "node", "node-3", "dedicated=gpu:NoSchedule"],
        None,
        &["cluster/nodes/node-3.yaml"],
    )?;
    // The service account comes with the namespace.
    act(
        &["create", "namespace", "annex"],
        None,
        &[
            "cluster/namespaces/annex.yaml",
            "namespaces/annex/serviceaccounts/default.yaml",
        ],
    )?;
    act(
        &["delete", "namespace", "annex"],
        None,
        &[
            "cluster/namespaces/annex.yaml",
            "namespaces/annex/serviceaccounts/default.yaml",
        ],
    )?;

    // The real autoscaler takes a step: more replicas than before are the least now.
    let autoscalers = "horizontalpodautoscalers.autoscaling";
    act(
        &["apply", "-f", "-"],
        Some(&autoscaler("lifted", 4)),
        &[&file(autoscalers, "lifted")],
    )?;
    wait_for("the real autoscaler", FOLLOWS, || {
        let lifted = player.get(&format!("{APPS}/lifted"))?;
        Ok((lifted["spec"]["replicas"] == 4).then_some(()))
    })?;
    // Somebody who scales by hand what an autoscaler scales is no more heard than the autoscaler.
    kubectl(
        plane,
        &["scale", "deployment", "lifted", "--replicas=6"],
        None,
    )?;
    ledger.quiet(player, "steps of the real autoscaler")?;
    // Its replicas go with the autoscaler's coming.
    kubectl(plane, &["apply", "-f", "-"], Some(&autoscaler("later", 2)))?;
    ledger.caused(
        "kubectl apply of an autoscaler",
        &[&file(autoscalers, "later"), &deployment_file("later")],
    )
}

fn tools(player: &Player, ledger: &mut Ledger<'_>) -> Result<()> {
    for (tool, manager) in [
        ("argo", "argocd-controller"),
        ("flux", "kustomize-controller"),
    ] {
        let path = format!("{APPS}/{tool}-app");
        for image in ["app:2", "app:3"] {
            player.apply(manager, manager, &path, &deployed(tool, image))?;
            let cause = format!("{manager} applies {image}");
            ledger.caused(&cause, &[&deployment_file(&format!("{tool}-app"))])?;
        }
    }
    // Argo CD without ServerSideApply updates.
    let path = format!("{APPS}/argo-app?fieldManager=argocd-controller");
    let patch = json!({ "spec": { "minReadySeconds": 0, "progressDeadlineSeconds": 300 } });
    player.strategic("argocd-controller", &path, &patch)?;
    ledger.caused("argocd-controller patches", &[&deployment_file("argo-app")])?;

    let helm = "Helm/3.18.0";
    for version in 2..4 {
        player.create(helm, &format!("{SHOP}/secrets"), &release(version))?;
        let image = json!({ "spec": { "template": { "spec": { "containers": [{
            "name": "web", "image": format!("app:{version}")
        }]}}}});
        let path = format!("{APPS}/helm-app?fieldManager=helm");
        player.strategic(helm, &path, &image)?;
        let values = json!({ "data": { "value": version.to_string() } });
        let path = format!("{SHOP}/configmaps/helm-values?fieldManager=helm");
        player.merge(helm, &path, &values)?;
        ledger.caused(
            &format!("helm upgrade to revision {version}"),
            &[
                &file("configmaps", "helm-values"),
                &deployment_file("helm-app"),
            ],
        )?;
    }
    Ok(())
}

/// Each is one commit, whatever the controllers make of it: `ReplicaSet`s, Pods, status, a revision.
fn rollouts(plane: &ControlPlane, player: &Player, ledger: &mut Ledger<'_>) -> Result<()> {
    for round in 0..ROLLOUTS {
        for name in WEBS {
            let image = format!("web=web:{}", round + 2);
            let target = format!("deployment/{name}");
            kubectl(plane, &["set", "image", &target, &image], None)?;
            let cause = format!("kubectl set image {target} {image}");
            ledger.caused(&cause, &[&deployment_file(name)])?;
        }
        noise::rolled_out(player)?;
    }
    let sets = player.get("/apis/apps/v1/namespaces/shop/replicasets")?;
    let sets = sets["items"].as_array().map_or(0, Vec::len);
    let rollouts = ROLLOUTS as usize * WEBS.len();
    report(&format!(
        "{rollouts} rollouts by hand, {sets} ReplicaSets in the end"
    ));
    assert!(rollouts >= 20 && sets > rollouts, "{sets} ReplicaSets");
    Ok(())
}
