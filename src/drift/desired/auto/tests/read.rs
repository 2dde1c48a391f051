//! What found sources desire, from trees that stand here.

use std::cell::RefCell;

use zeroize::Zeroizing;

use super::super::kustomize::Edits;
use super::super::read::{Reading, Tree, read};
use super::super::{GitPath, Rendered};
use super::*;
use crate::drift::desired::{Desired, Manifest};

fn config(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn found(fetches: Vec<Fetch>) -> Found {
    Found {
        name: "a".into(),
        kind: "argocd",
        location: "l".into(),
        fetches,
        namespace: Some("shop".into()),
        edits: Edits::default(),
        ignores: Vec::new(),
        owned: vec![identity("/ConfigMap/shop/a"), identity("/ConfigMap/shop/z")],
        bounded: true,
        deployers: Vec::new(),
        object: None,
    }
}

fn git(revision: Option<&str>, head: Option<&str>) -> GitPath {
    GitPath {
        url: "u".into(),
        revision: revision.map(Into::into),
        head: head.map(Into::into),
        path: "p".into(),
    }
}

fn argo(recurse: bool, include: Option<&str>, exclude: Option<&str>, detect: bool) -> Layout {
    Layout::Argo {
        recurse,
        include: include.map(Into::into),
        exclude: exclude.map(Into::into),
        detect,
    }
}

/// Reads with trees by their reference; a name without one cannot be reached.
fn desired_of(found: Found, trees: &[(&str, &[(&str, &str)])]) -> (Desired, Vec<String>) {
    let asked = RefCell::new(Vec::new());
    let tree = async |_: &GitPath, reference: &str| {
        asked.borrow_mut().push(reference.to_owned());
        let tree = trees.iter().find(|(name, _)| *name == reference);
        let (name, files) = tree.ok_or_else(|| format!("there is no {reference}"))?;
        Ok(Tree {
            commit: name.trim_start_matches("heads/").to_owned(),
            files: files
                .iter()
                .map(|(name, text)| ((*name).into(), text.as_bytes().to_vec()))
                .collect(),
        })
    };
    let namespaced = |_: &str, kind: &str| Some(!CLUSTER_SCOPED.contains(&kind));
    let reading = Reading {
        render: None,
        namespaced: &namespaced,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let desired = runtime.block_on(read(found, &reading, tree));
    (desired, asked.into_inner())
}

fn names(desired: &[Manifest]) -> Vec<&str> {
    let identities = desired.iter().filter_map(Manifest::identity);
    identities.map(|identity| &*identity.name).collect()
}

#[test]
fn both_revisions_are_read_where_they_differ() {
    let (a, b) = (config("a"), config("b"));
    let layout = argo(false, None, None, false);
    let fetch = |head| vec![Fetch::Git(git(Some("old"), Some(head)), layout.clone())];
    let trees: [(&str, &[(&str, &str)]); 3] = [
        ("old", &[("a.yaml", &a)]),
        ("main", &[("a.yaml", &a), ("b.yaml", &b)]),
        ("heads/old", &[("a.yaml", &a)]),
    ];
    let (desired, _) = desired_of(found(fetch("main")), &trees);
    assert_eq!(names(&desired.manifests), ["a"]);
    assert_eq!(names(desired.head.as_deref().expect("a head")), ["a", "b"]);
    assert_eq!(
        (
            desired.revision.as_deref(),
            desired.head_revision.as_deref()
        ),
        (Some("old"), Some("main"))
    );
    assert!(desired.owned.is_empty(), "everything was read");
    assert_eq!(&*desired.manifests[0].file, "a.yaml");

    let (desired, _) = desired_of(found(fetch("heads/old")), &trees);
    assert!(desired.head.is_none(), "the same commit");

    // What is next cannot be read: said, and what is applied is compared all the same.
    let (desired, _) = desired_of(found(fetch("gone")), &trees);
    assert_eq!(names(&desired.manifests), ["a"]);
    assert_eq!(
        desired.problems[0].reason,
        "what is applied next, gone, is not known: there is no gone"
    );
    assert_eq!(desired.owned, [identity("/ConfigMap/shop/z")]);

    // A range of versions is nothing to ask Git for.
    let (desired, asked) = desired_of(found(fetch(">=1.0 <2")), &trees);
    assert!(desired.problems.is_empty(), "{:?}", desired.problems);
    assert_eq!(asked, ["old"]);
}

#[test]
fn nothing_that_fails_reads_as_in_sync() {
    let layout = argo(false, None, None, false);
    for (fetch, reason) in [
        (Fetch::Unknown("because".into()), "because"),
        (
            Fetch::Git(git(Some("gone"), Some("main")), layout.clone()),
            "there is no gone",
        ),
        (Fetch::Git(git(None, None), layout), "no revision is known"),
        (Fetch::Kustomize(git(Some("old"), None)), "--render"),
    ] {
        let (desired, _) = desired_of(found(vec![fetch]), &[("main", &[])]);
        let [problem] = &desired.problems[..] else {
            panic!("{:?}", desired.problems);
        };
        assert!(problem.reason.contains(reason), "{}", problem.reason);
        assert_eq!(desired.owned.len(), 2);
    }
}

#[test]
fn argo_takes_the_files_that_it_is_told_to() {
    let a = config("a");
    let skipped = format!("# +argocd:skip-file-rendering\n{a}");
    let tree: &[(&str, &str)] = &[
        ("a.yaml", &a),
        (
            "b.json",
            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\"}}",
        ),
        (
            "deep/c.yml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
        ),
        (
            "deep/test/d.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\n",
        ),
        ("notes.txt", "no manifest"),
        ("skipped.yaml", &skipped),
    ];
    for (layout, expected) in [
        (argo(false, None, None, true), "a b"),
        (argo(true, None, None, false), "a b c d"),
        (argo(true, None, Some("deep/test/*"), false), "a b c"),
        (argo(true, Some("{a.yaml,deep/*}"), None, false), "a c d"),
        (argo(false, Some("nothing"), None, false), ""),
    ] {
        let fetch = Fetch::Git(git(Some("old"), None), layout.clone());
        let (desired, _) = desired_of(found(vec![fetch]), &[("old", tree)]);
        assert_eq!(names(&desired.manifests).join(" "), expected, "{layout:?}");
        assert!(desired.problems.is_empty(), "{:?}", desired.problems);
    }
}

#[test]
fn what_must_be_rendered_is_said() {
    let a = config("a");
    for (layout, file, reason) in [
        (argo(false, None, None, true), "Chart.yaml", "Helm chart"),
        (
            argo(false, None, None, true),
            "kustomization.yml",
            "--render",
        ),
        (argo(false, None, None, false), "x.jsonnet", "Jsonnet"),
        (argo(false, Some("{"), None, false), "b.yaml", "no glob"),
        (Layout::Flux, "kustomization.yaml", "--render"),
        (
            Layout::Flux,
            "deep/Kustomization",
            "deep/Kustomization changes which files",
        ),
        (
            Layout::Flux,
            ".sourceignore",
            ".sourceignore changes which files",
        ),
    ] {
        let fetch = Fetch::Git(git(Some("old"), None), layout);
        let tree: &[(&str, &str)] = &[("a.yaml", &a), (file, "")];
        let (desired, _) = desired_of(found(vec![fetch]), &[("old", tree)]);
        let [problem] = &desired.problems[..] else {
            panic!("{file}: {:?}", desired.problems);
        };
        assert!(problem.reason.contains(reason), "{}", problem.reason);
        assert!(desired.manifests.is_empty());
    }
    // Argo CD is told that it is a plain folder.
    let fetch = Fetch::Git(git(Some("old"), None), argo(false, None, None, false));
    let tree: &[(&str, &str)] = &[("a.yaml", &a), ("Chart.yaml", "name: x")];
    let (desired, _) = desired_of(found(vec![fetch]), &[("old", tree)]);
    assert_eq!(names(&desired.manifests), ["a"]);
}

#[test]
fn flux_takes_all_yaml_below_and_nothing_hidden() {
    let tree: &[(&str, &str)] = &[
        (".github/w.yaml", "on: push"),
        ("a.yaml", &config("a")),
        ("b.json", "{}"),
        ("deep/c.yml", &config("c")),
    ];
    let fetch = Fetch::Git(git(Some("old"), None), Layout::Flux);
    let mut source = found(vec![fetch]);
    source.edits.namespace = Some("to".into());
    source.edits.labels.insert("team".into(), "x".into());
    let (desired, _) = desired_of(source, &[("old", tree)]);
    assert_eq!(names(&desired.manifests), ["a", "c"]);
    for manifest in &desired.manifests {
        let metadata = &manifest.value()["metadata"];
        assert_eq!(
            (&metadata["namespace"], &metadata["labels"]["team"]),
            (&"to".into(), &"x".into())
        );
    }
}

#[test]
fn a_release_is_what_was_rendered_and_keeps_no_copy() {
    let text = "---\n# Source: a\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {k: hunter2}\n";
    let fetch = Fetch::Manifest(Rendered(Zeroizing::new(text.to_owned())));
    let broken = Fetch::Manifest(Rendered(Zeroizing::new("a: [hunter2".to_owned())));
    let (desired, _) = desired_of(found(vec![fetch, broken]), &[]);
    assert_eq!(names(&desired.manifests), ["a"]);
    assert!(desired.manifests[0].text.is_none());
    assert_eq!(desired.problems.len(), 1);
    assert!(!format!("{desired:?}").contains("hunter2"), "{desired:?}");
}

#[test]
fn sources_of_one_application_are_one_desired_side() {
    let (a, b) = (config("a"), config("b"));
    let layout = argo(false, None, None, false);
    let one = Fetch::Git(git(Some("one"), Some("one")), layout.clone());
    let two = Fetch::Git(git(Some("two"), Some("main")), layout);
    let trees: [(&str, &[(&str, &str)]); 3] = [
        ("one", &[("a.yaml", &a)]),
        ("two", &[("b.yaml", &b)]),
        ("main", &[]),
    ];
    let (desired, _) = desired_of(found(vec![one, two]), &trees);
    assert_eq!(names(&desired.manifests), ["a", "b"]);
    assert_eq!(
        names(desired.head.as_deref().expect("a head")),
        ["a"],
        "b is pending removal"
    );
    assert_eq!(desired.revision.as_deref(), Some("one, two"));
    assert_eq!(desired.head_revision.as_deref(), Some("one, main"));
}
