//! Folders, real Git repositories and real renderers.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::process::Program;

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Program::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgSign=false",
        ])
        .args(arguments)
        .run()
        .await
        .unwrap();
    assert!(output.success(), "{arguments:?}: {}", output.stderr);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn commit(folder: &Path) -> String {
    git(folder, &["add", "-A"]).await;
    git(folder, &["commit", "-qm", "x"]).await;
    git(folder, &["rev-parse", "HEAD"]).await
}

async fn read_from(text: &str) -> Desired {
    let context = RenderContext {
        timeout: Duration::from_secs(60),
        ..RenderContext::default()
    };
    read_source(&Source::parse(text).unwrap(), &context).await
}

/// `file: Kind/name` of each manifest.
fn files_of(desired: &Desired) -> Vec<String> {
    desired
        .manifests
        .iter()
        .map(|manifest| {
            let identity = manifest.identity().unwrap();
            format!("{}: {}", manifest.file, identity.name)
        })
        .collect()
}

fn reasons(desired: &Desired) -> String {
    let reasons = desired.problems.iter().map(|problem| {
        let file = problem.file.as_deref().unwrap_or_default();
        format!("{file}: {}", problem.reason)
    });
    reasons.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_folder_is_read_in_order_and_no_further_than_it_reaches() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret.yaml", &config_map("outside"));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (path, name) in [
        ("b.yml", "b"),
        ("a/deep/c.json.yaml", "c"),
        ("a/x.yaml", "x"),
        (".hidden/h.yaml", "h"),
        ("notes.txt", "t"),
    ] {
        write(root, path, &config_map(name));
    }
    write(
        root,
        "z.json",
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"z\"}}",
    );
    write(root, "a/kustomization.yaml", "resources: [x.yaml]\n");
    write(
        root,
        "charts/shop/Chart.yaml",
        "apiVersion: v2\nname: shop\n",
    );
    write(root, "charts/shop/templates/t.yaml", "{{ if }}");
    write(root, "bad.yaml", "a: [\n");
    write(root, "encoding.yaml", "x");
    std::fs::write(root.join("encoding.yaml"), b"a: \xff\xfe\n").unwrap();
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, root.join(name)).unwrap();
    link(&outside.path().join("secret.yaml"), "link.yaml");
    link(outside.path(), "links");
    link(root, "a/circle");
    link(Path::new("gone"), "gone.yaml");
    link(&root.join("a/x.yaml"), "inside.yaml");

    let desired = read_from(root.to_str().unwrap()).await;
    assert_eq!(
        files_of(&desired),
        [
            "a/deep/c.json.yaml: c",
            "a/x.yaml: x",
            "b.yml: b",
            "inside.yaml: x",
            "z.json: z"
        ]
    );
    assert_eq!(desired.kind, "directory");
    let reasons = reasons(&desired);
    assert_eq!(desired.problems.len(), 6, "{reasons}");
    for expected in [
        "bad.yaml: cannot be read: not YAML",
        "encoding.yaml: cannot be read: not UTF-8",
        "link.yaml: a link to outside",
        "links: a link to outside",
        "gone.yaml: cannot be read",
        "charts/shop: a Helm chart",
    ] {
        assert!(reasons.contains(expected), "{expected} in {reasons}");
    }

    let one = read_from(root.join("b.yml").to_str().unwrap()).await;
    assert_eq!(
        (files_of(&one), one.kind),
        (vec!["b.yml: b".to_owned()], "file")
    );
}

#[tokio::test]
async fn a_source_without_objects_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    assert!(reasons(&read_from(root).await).contains("no Kubernetes object"));
    let gone = read_from(&format!("{root}/gone")).await;
    assert!(
        reasons(&gone).contains("cannot be read"),
        "{}",
        reasons(&gone)
    );
    assert!(reasons(&read_from("-").await).contains("was not read"));
    assert!(reasons(&read_from("auto").await).contains("live side"));
}

#[tokio::test]
async fn standard_input_is_given_by_who_read_it() {
    let context = RenderContext {
        stdin: Some(config_map("a").into_bytes().into()),
        default_namespace: Some("shop".into()),
        ..RenderContext::default()
    };
    let desired = read_source(&Source::parse("-").unwrap(), &context).await;
    assert_eq!(files_of(&desired), ["stdin: a"]);
    assert_eq!(desired.namespace.as_deref(), Some("shop"));
    let own = read_source(&Source::parse("-?namespace=web").unwrap(), &context).await;
    assert_eq!(own.namespace.as_deref(), Some("web"));
}

#[tokio::test]
async fn many_documents_keep_their_order_whatever_thread_reads_them() {
    let text: String = (0..4_000)
        .map(|at| {
            format!(
                "{}data: {{x: {}}}\n---\n",
                config_map(&format!("c{at}")),
                "y".repeat(200)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let context = RenderContext {
        stdin: Some(text.into_bytes().into()),
        ..RenderContext::default()
    };
    let desired = read_source(&Source::parse("-").unwrap(), &context).await;
    assert_eq!(reasons(&desired), "");
    let lines: Vec<usize> = desired.manifests.iter().map(|m| m.line).collect();
    let expected: Vec<usize> = (0..4_000).map(|at| at * 6 + 1).collect();
    assert_eq!(lines, expected);
    let names = desired
        .manifests
        .iter()
        .map(|m| m.identity().unwrap().name.clone());
    assert!(
        names
            .enumerate()
            .all(|(at, name)| *name == *format!("c{at}"))
    );
}

#[tokio::test]
async fn a_revision_is_read_without_a_work_tree() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    git(root, &["init", "-q"]).await;
    write(root, "apps/web.yaml", &config_map("web"));
    write(root, "apps/same.yaml", &config_map("web"));
    write(root, "apps/deep/-x.yaml", &config_map("dash"));
    write(root, "apps/.hidden/h.yaml", &config_map("h"));
    write(root, "apps/empty.yaml", "");
    write(root, "-odd/a.yaml", &config_map("odd"));
    write(root, "other.yaml", &config_map("other"));
    // What would change bytes or run programs at a checkout.
    write(
        root,
        ".gitattributes",
        "*.yaml export-ignore filter=lfs text eol=crlf diff=evil\n",
    );
    git(root, &["config", "filter.lfs.smudge", "touch smudged"]).await;
    git(root, &["config", "diff.evil.textconv", "touch textconv"]).await;
    git(root, &["config", "core.fsmonitor", "touch fsmonitor"]).await;
    std::os::unix::fs::symlink("/etc/passwd", root.join("apps/link.yaml")).unwrap();
    git(root, &["config", "core.fsmonitor", "false"]).await;
    let first = commit(root).await;
    git(root, &["tag", "v1"]).await;
    write(root, "apps/web.yaml", &config_map("newer"));
    let second = commit(root).await;
    // The work tree is not looked at.
    write(root, "apps/web.yaml", "not committed: [");

    let repository = root.to_str().unwrap();
    let apps = ["deep/-x.yaml: dash", "same.yaml: web", "web.yaml: web"];
    let at = async |reference: &str| read_from(&format!("{repository}@{reference}")).await;
    for reference in [
        "v1:apps",
        "v1:apps/",
        &format!("{first}:apps"),
        &format!("{}:apps", &first[..9]),
    ] {
        let desired = at(reference).await;
        assert_eq!(reasons(&desired), "", "{reference}");
        assert_eq!(files_of(&desired), apps, "{reference}");
        assert_eq!(desired.revision.as_deref(), Some(&*first));
    }
    let newer = at("main:apps/web.yaml").await;
    assert_eq!(files_of(&newer), ["web.yaml: newer"]);
    assert_eq!(newer.revision.as_deref(), Some(&*second));
    assert_eq!(files_of(&at("HEAD:-odd").await), ["a.yaml: odd"]);
    assert_eq!(at("main").await.manifests.len(), 5);
    // From within the work tree, too.
    let inside = read_from(&format!("{repository}/apps@v1:apps")).await;
    assert_eq!(files_of(&inside), apps);
    for name in ["smudged", "textconv", "fsmonitor"] {
        assert!(!root.join(name).exists(), "{name}");
    }

    for (reference, expected) in [
        ("gone:apps", "no branch, tag or commit 'gone'"),
        ("main:gone", "no 'gone' at that revision"),
        ("main:app", "no 'app' at that revision"),
    ] {
        let desired = at(reference).await;
        assert_eq!(desired.manifests.len(), 0);
        assert!(
            reasons(&desired).contains(expected),
            "{}",
            reasons(&desired)
        );
    }
    let nowhere = read_from("/nonexistent/repo@main").await;
    assert!(
        reasons(&nowhere).contains("no Git repository"),
        "{}",
        reasons(&nowhere)
    );

    // As a bare repository, and by URL, where the revision alone is fetched.
    let bare = tempfile::tempdir().unwrap();
    let bare_path = bare.path().join("r.git");
    git(
        root,
        &["clone", "-q", "--bare", ".", bare_path.to_str().unwrap()],
    )
    .await;
    for place in [
        format!("{}", bare_path.display()),
        format!("file://{}", bare_path.display()),
    ] {
        for reference in ["v1", &first] {
            let desired = read_from(&format!("{place}@{reference}:apps")).await;
            assert_eq!(reasons(&desired), "", "{place}@{reference}");
            assert_eq!(files_of(&desired), apps);
            assert_eq!(desired.revision.as_deref(), Some(&*first));
        }
        let gone = read_from(&format!("{place}@gone:apps")).await;
        assert!(
            reasons(&gone).contains("no branch, tag or commit 'gone'"),
            "{}",
            reasons(&gone)
        );
    }
    let gone = read_from("file:///nonexistent/r.git@main").await;
    assert!(
        reasons(&gone).contains("git could not fetch"),
        "{}",
        reasons(&gone)
    );
}

#[tokio::test]
async fn urls_that_run_programs_or_hold_passwords_are_refused() {
    for (text, expected) in [
        ("ext::sh -c touch% x@main", "use https, ssh, file or a path"),
        ("git://host/r@main", "use https, ssh, file or a path"),
        ("https://bob:hunter2@host/r@main", "holds a password"),
        ("http://example.com/r@main", "use https or ssh"),
        ("ssh://-oProxyCommand=x/r@main", "names no host"),
        ("-oProxyCommand=x:r/r@main", ""),
    ] {
        let Ok(source) = Source::parse(text) else {
            continue;
        };
        let desired = read_source(&source, &RenderContext::default()).await;
        let reasons = reasons(&desired);
        assert!(reasons.contains(expected), "{text}: {reasons}");
        let shown = format!("{desired:?}{source:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

/// Whether a program is there; without it the test says that it did nothing, and fails where beds
/// are required.
async fn has(program: &str, argument: &str) -> bool {
    let there = Program::new(program).arg(argument).run().await.is_ok();
    if !there {
        assert!(
            std::env::var_os("STRANDLINE_REQUIRE_BEDS").is_none(),
            "{program} is missing"
        );
        eprintln!("SKIPPED: {program} is not on the PATH");
    }
    there
}

#[tokio::test]
async fn a_kustomization_is_rendered_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "base/kustomization.yaml", "resources: [a.yaml]\n");
    write(root, "base/a.yaml", &config_map("a"));
    write(
        root,
        "prod/kustomization.yaml",
        "resources: [../base]\nnamePrefix: prod-\n",
    );
    git(root, &["init", "-q"]).await;
    commit(root).await;
    let root = root.to_str().unwrap();

    for (text, expected) in [
        (
            format!("{root}/prod"),
            "holds kustomization.yaml and is not rendered",
        ),
        (format!("{root}@main:prod"), "not rendered unless asked for"),
        (
            format!("kustomize:{root}@main:prod"),
            "not rendered unless asked for",
        ),
        (
            format!("kustomize:{root}/prod?render=false"),
            "?render=false",
        ),
    ] {
        let desired = read_from(&text).await;
        assert_eq!(desired.manifests.len(), 0, "{text}");
        assert!(
            reasons(&desired).contains(expected),
            "{}",
            reasons(&desired)
        );
    }
    // As it lies there, if that is what is wanted.
    let plain = read_from(&format!("path:{root}/base")).await;
    assert_eq!(files_of(&plain), ["a.yaml: a"]);

    if !has("kubectl", "version").await {
        return;
    }
    for text in [
        format!("kustomize:{root}/prod"),
        format!("{root}/prod?render=true"),
        format!("{root}@main:prod?render=true"),
        format!("kustomize:{root}@main:prod?render=true"),
    ] {
        let desired = read_from(&text).await;
        assert_eq!(reasons(&desired), "", "{text}");
        assert_eq!(files_of(&desired), ["rendered: prod: prod-a"], "{text}");
        assert_eq!(desired.kind, "kustomize");
    }
    let broken = read_from(&format!("kustomize:{root}/gone")).await;
    assert!(reasons(&broken).contains("failed"), "{}", reasons(&broken));
}

#[tokio::test]
async fn a_chart_is_rendered_where_helm_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(
        root,
        "shop/Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    );
    write(
        root,
        "shop/templates/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-{{ .Values.x }}\n  namespace: {{ .Release.Namespace }}\n",
    );
    write(root, "v.yaml", "x: one\n");
    let root = root.to_str().unwrap();
    let plain = read_from(&format!("{root}/shop")).await;
    assert!(
        reasons(&plain).contains("name it helm:"),
        "{}",
        reasons(&plain)
    );

    let text = format!("helm:{root}/shop?release=web&values={root}/v.yaml&namespace=ns");
    let desired = read_from(&text).await;
    if Program::new("helm").arg("version").run().await.is_ok() {
        assert_eq!(reasons(&desired), "");
        assert_eq!(files_of(&desired), ["rendered: shop: web-one"]);
        let namespace = desired.manifests[0].identity().unwrap().namespace.clone();
        assert_eq!(namespace.as_deref(), Some("ns"));
    } else {
        assert_eq!(
            reasons(&desired),
            ": `helm`: not on the PATH; install it, or render by yourself and give the output with -"
        );
    }
}
