//! `explain`, `canonicalize`, `check` and the settings of rules, as programs, on the simulator.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use strandline::simulator::{Simulator, SimulatorOptions};

mod support;

use support::program::Program;
use support::{Context as _, Failure, Result};

const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const OTHER: &str = "age1z2sttwr7dj6jcu8l9f68xajw2jdr6cl6smqmagzrq0nlavrd8dnsw2gdk6";
const SECRET: &str = "c3dvcmRmaXNoIQ==";
const PLAIN: &str = "swordfish!";
const FILE: &str = "namespaces/default/secrets/db.yaml";

struct Scene {
    simulator: Simulator,
    home: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Result<Self> {
        let simulator = Simulator::start(SimulatorOptions::default())
            .await
            .context("the simulator")?;
        let home = tempfile::tempdir().context("a folder")?;
        let scene = Self { simulator, home };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": scene.simulator.url()}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
        });
        scene.write("kubeconfig", &config.to_string())?;
        scene.secret(SECRET)?;
        scene.apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "default",
                "annotations": {"note": "mine"}},
            "data": {"color": "blue", "cache": "warm"},
        }))?;
        Ok(scene)
    }

    fn apply(&self, object: Value) -> Result<()> {
        let applied = self.simulator.apply("kubectl", object);
        applied.map(drop).context("a write")
    }

    fn secret(&self, value: &str) -> Result<()> {
        self.apply(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "db", "namespace": "default", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": format!("{{\"data\":\"{value}\"}}")}},
            "data": {"password": value},
        }))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.home.path().join(name), text).context(name)
    }

    fn strandline(&self, args: &[&str]) -> Program {
        Program::strandline(self.home.path())
            .env("STRANDLINE_KUBECONFIG", self.home.path().join("kubeconfig"))
            .args(args)
    }

    fn git(&self, args: &[&str]) -> Result<String> {
        let repository = self.home.path().join("strandline.git");
        Program::git(&repository).args(args).run()?.success()
    }

    fn snapshot(&self, args: &[&str]) -> Result<()> {
        let more = ["snapshot"].iter().chain(args).copied().collect::<Vec<_>>();
        self.strandline(&more).run()?.success().map(drop)
    }

    /// What the branch holds, each with its path. Its sidecar has times, which change with a file.
    fn objects(&self) -> Result<BTreeSet<String>> {
        let listed = self.git(&["rev-list", "--objects", "main"])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Every object of the repository, inflated.
    fn everything(&self) -> Result<String> {
        self.git(&["cat-file", "--batch-all-objects", "--batch"])
    }
}

fn some<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Failure::new(format!("there is no {what}")))
}

fn hides(what: &str, text: &str) {
    for value in [SECRET, PLAIN] {
        assert!(!text.contains(value), "{what} shows a value:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_secret_is_encrypted_once_per_change_and_set_of_recipients() -> Result<()> {
    let scene = Scene::new().await?;
    let sops = ["--secrets", "sops", "--sops-recipient", RECIPIENT];
    scene.snapshot(&sops)?;
    let file = scene.git(&["show", &format!("main:{FILE}")])?;
    assert!(file.starts_with("# strandline: hmac:"), "{file}");
    assert!(file.contains("ENC[AES256_GCM,"), "{file}");
    assert!(
        scene
            .git(&["show", "main:.strandline.yaml"])?
            .contains("fingerprint")
    );
    let first = scene.objects()?;
    scene.snapshot(&sops)?;
    assert_eq!(scene.objects()?, first, "a restart writes nothing");

    scene.secret("b3RoZXIgdmFsdWU=")?;
    scene.snapshot(&sops)?;
    let second = scene.objects()?;
    let blobs = |objects: &BTreeSet<String>| objects.iter().filter(|o| o.contains(".yaml")).count();
    assert_eq!(blobs(&second), blobs(&first) + 1, "one file changed");
    let message = scene.git(&["log", "-1", "--format=%B", "main"])?;
    assert!(
        message.contains("data") && !message.contains("sops"),
        "{message}"
    );

    let both = [&sops[..], &["--sops-recipient", OTHER]].concat();
    scene.snapshot(&both)?;
    let third = scene.objects()?;
    assert_eq!(
        blobs(&third),
        blobs(&second) + 1,
        "for whom it is, is part of it"
    );
    let swapped = [
        "--secrets",
        "sops",
        "--sops-recipient",
        OTHER,
        "--sops-recipient",
        RECIPIENT,
    ];
    scene.snapshot(&swapped)?;
    assert_eq!(scene.objects()?, third, "their order is not");
    hides("the repository", &scene.everything()?);

    // The digests cannot be compared without their key.
    let key = scene.home.path().join("strandline.git/strandline.key");
    std::fs::remove_file(key).context("the key")?;
    let lost = scene
        .strandline(&[&["snapshot"], &both[..]].concat())
        .run()?;
    assert!(lost.expect_code(2)?.stderr.contains("put it back"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_object_is_explained_line_by_line_without_its_values() -> Result<()> {
    let scene = Scene::new().await?;
    let text = scene
        .strandline(&["explain", "secret/db"])
        .run()?
        .success()?;
    hides("explain", &text);
    assert!(
        text.contains("recorded as namespaces/default/secrets/db.yaml"),
        "{text}"
    );
    let line = |what: &str| {
        let found = text.lines().find(|line| line.contains(what));
        found.ok_or_else(|| Failure::new(format!("no {what} in\n{text}")))
    };
    let password = line("password:")?;
    assert!(
        password.starts_with('~') && password.contains("a keyed digest by secret-values"),
        "{password}"
    );
    let copy = line("last-applied-configuration")?;
    assert!(
        copy.starts_with('-') && copy.contains("removed by applied-copies"),
        "{copy}"
    );
    let uid = line("uid:")?;
    assert!(
        uid.starts_with('-') && uid.contains("server-metadata"),
        "{uid}"
    );
    assert!(line("kind: Secret")?.starts_with("  "));
    assert!(!text.contains('\u{1b}'), "no colour but on a terminal");

    let text = scene
        .strandline(&["explain", "secrets/db", "-o", "json"])
        .run()?
        .success()?;
    hides("JSON", &text);
    let explained: Value = serde_json::from_str(&text).context("JSON")?;
    assert_eq!(explained["recorded"], true);
    let changes = some(explained["changes"].as_array(), "changes")?;
    assert!(
        changes
            .iter()
            .any(|c| c["path"] == "data.password" && c["rule"] == "secret-values")
    );

    let absent = scene
        .strandline(&["explain", "secret/nothing"])
        .run()?
        .expect_code(2)?;
    assert!(
        absent.stderr.contains("no Secret named 'nothing'"),
        "{}",
        absent.stderr
    );
    let unheard = scene
        .strandline(&["explain", "toy/x"])
        .run()?
        .expect_code(2)?;
    assert!(
        unheard.stderr.contains("called 'toy'"),
        "{}",
        unheard.stderr
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_is_counted_by_rule_and_paths_in_vain_are_named() -> Result<()> {
    let scene = Scene::new().await?;
    for n in 0..7 {
        scene.apply(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{n}"), "namespace": "default"}, "spec": {}}))?;
    }
    scene.write(
        "mine.yaml",
        "rules:\n- name: no-colors\n  reason: colors are decided elsewhere\n  match: {resources: [configmaps], names: [settings]}\n  drop: true\n- name: typo\n  reason: r\n  match: {resources: [secrets]}\n  prune: [metadata.annotation.x, metadata.name]\n",
    )?;
    let args = [
        "explain",
        "--dropped",
        "--filter",
        "mine.yaml",
        "-o",
        "json",
    ];
    let text = scene.strandline(&args).run()?.success()?;
    let found: Value = serde_json::from_str(&text).context("JSON")?;
    let count = |rule: &str| {
        let dropped = found["dropped"].as_array().into_iter().flatten();
        dropped
            .filter(|d| d["rule"] == rule)
            .map(|d| d["count"].clone())
            .next()
    };
    assert_eq!(count("pods"), Some(json!(7)), "{text}");
    assert_eq!(count("no-colors"), Some(json!(1)), "{text}");
    assert_eq!(
        found["unmatched"],
        json!([{"rule": "typo", "path": "metadata.annotation.x"}])
    );
    hides("--dropped", &text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_s_rule_takes_files_away_in_a_commit_that_says_so() -> Result<()> {
    let scene = Scene::new().await?;
    scene.snapshot(&[])?;
    scene.write(
        "mine.yaml",
        "rules:\n- name: no-maps\n  reason: r\n  match: {resources: [configmaps]}\n  drop: true\n",
    )?;
    scene.snapshot(&["--filter", "mine.yaml"])?;
    let files = scene.git(&["ls-tree", "-r", "--name-only", "main"])?;
    assert!(
        !files.contains("configmaps") && files.contains(FILE),
        "{files}"
    );
    let message = scene.git(&["log", "-1", "--format=%B", "main"])?;
    assert!(message.contains("no-maps"), "{message}");

    let checked = scene
        .strandline(&["check", "--filter", "mine.yaml", "-o", "json"])
        .run()?;
    let checked: Value = serde_json::from_str(&checked.stdout).context("JSON")?;
    let plan = some(checked["plan"].as_array(), "a plan")?;
    let of = |name: &str| plan.iter().find(|planned| planned["type"] == name).cloned();
    let maps = some(of("configmaps"), "configmaps")?;
    assert_eq!(
        (&maps["watched"], &maps["rule"]),
        (&json!(false), &json!("no-maps"))
    );
    let secrets = some(of("secrets"), "secrets")?;
    assert_eq!(secrets["watched"], json!(true));
    assert!(
        secrets["fieldSelector"]
            .as_str()
            .is_some_and(|s| s.contains("type!=")),
        "{secrets}"
    );
    assert!(
        secrets["rules"].as_u64().is_some_and(|rules| rules > 3),
        "{secrets}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn canonicalize_prints_what_is_recorded() -> Result<()> {
    let scene = Scene::new().await?;
    scene.snapshot(&[])?;
    let mut live = scene.simulator.objects().into_iter();
    let secret = live.find(|(t, o)| &*t.kind == "Secret" && o["metadata"]["name"] == "db");
    let (_, secret) = some(secret, "the Secret")?;
    let canonicalize = |args: &[&str], stdin: &str| {
        let args = [&["canonicalize"], args].concat();
        scene.strandline(&args).stdin(stdin).run()
    };
    let key = ["--digest-key-file", "strandline.git/strandline.key"];
    let printed = canonicalize(&key, &secret.to_string())?.success()?;
    let recorded = scene.git(&["show", &format!("main:{FILE}")])?;
    assert_eq!(printed, recorded);
    let again = canonicalize(&key, &printed)?.success()?;
    assert_eq!(again, recorded, "what is canonical stays");

    let without = canonicalize(&[], &secret.to_string())?;
    assert!(
        without
            .stdout
            .contains("hmac:00000000000000000000000000000000\n"),
        "{}",
        without.stdout
    );
    assert!(
        without.stderr.contains("digests are zeros"),
        "{}",
        without.stderr
    );
    let kept = canonicalize(&[], &recorded)?.success()?;
    assert_eq!(kept, recorded, "digests that were given stay");
    let sealed = ["--secrets", "sops", "--sops-recipient", RECIPIENT];
    let sealed = canonicalize(&sealed, &secret.to_string())?.success()?;
    assert!(sealed.contains("ENC[AES256_GCM"), "{sealed}");
    let zeros = "# strandline: hmac:00000000000000000000000000000000\n";
    assert!(sealed.starts_with(zeros), "{sealed}");
    hides("encrypted", &sealed);
    let plain =
        canonicalize(&["--write-secret-values-in-plaintext"], &secret.to_string())?.success()?;
    assert!(plain.contains(SECRET), "{plain}");

    let several = "kind: Pod\napiVersion: v1\nmetadata: {name: p}\n---\nkind: Namespace\napiVersion: v1\nmetadata: {name: shop, uid: x}\n";
    let printed = canonicalize(&[], several)?.success()?;
    assert!(
        printed.starts_with("# namespaces/default/pods/p.yaml: not recorded: pods: "),
        "{printed}"
    );
    assert!(
        printed.ends_with("---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n"),
        "{printed}"
    );
    let broken = canonicalize(&[], "a: 1\n")?.expect_code(2)?;
    assert!(
        broken
            .stderr
            .contains("standard input:1: no Kubernetes object"),
        "{}",
        broken.stderr
    );

    let text = scene
        .strandline(&["explain", "-f", "-"])
        .stdin(secret.to_string())
        .run()?
        .success()?;
    assert!(text.contains("a keyed digest by secret-values"), "{text}");
    hides("explain -f", &text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_rules_is_said_before_anything_is_written() -> Result<()> {
    let scene = Scene::new().await?;
    scene.write(
        "bad.yaml",
        "rules:\n- name: mine\n  reason: r\n  prune: [spec..x]\n",
    )?;
    let error = |args: &[&str]| -> Result<String> {
        Ok(scene.strandline(args).run()?.expect_code(2)?.stderr)
    };
    for command in ["snapshot", "record", "explain"] {
        let args = [command, "--filter", "bad.yaml"];
        let args = if command == "explain" {
            [&args[..], &["--rules"]].concat()
        } else {
            args.to_vec()
        };
        let text = error(&args)?;
        assert!(
            text.contains("bad.yaml:4:") && text.contains("rule 'mine'"),
            "{command}: {text}"
        );
    }
    assert!(error(&["snapshot", "--preset", "fluxx"])?.contains("did you mean 'flux'?"));
    assert!(error(&["snapshot", "--secrets", "sops"])?.contains("--sops-recipient"));
    assert!(error(&["snapshot", "--secrets", "plain"])?.contains("invalid value"));
    let checked = scene
        .strandline(&["check", "--filter", "bad.yaml"])
        .run()?
        .expect_code(2)?;
    assert!(
        checked.stdout.contains("FAIL rules: bad.yaml:4:"),
        "{}",
        checked.stdout
    );
    assert!(!Path::new(&scene.home.path().join("strandline.git")).exists());

    let rules = scene
        .strandline(&["explain", "--rules", "--no-preset", "flux"])
        .run()?
        .success()?;
    assert!(
        rules.contains("off flux:") && rules.contains("on  helm:"),
        "{rules}"
    );
    assert!(rules.contains("  secret-values: "), "{rules}");
    Ok(())
}
