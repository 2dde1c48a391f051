use std::path::PathBuf;

use super::*;

fn kind(text: &str) -> SourceKind {
    Source::parse(text).unwrap().kind
}

fn git(repository: &str, reference: &str, path: &str) -> GitPlace {
    GitPlace {
        repository: repository.to_owned(),
        reference: reference.to_owned(),
        path: path.to_owned(),
    }
}

#[test]
fn sources_are_told_by_their_form() {
    assert_eq!(kind("auto"), SourceKind::Auto);
    assert_eq!(kind("-"), SourceKind::Stdin);
    for path in ["deploy", "./a=b", "/srv/x.yaml", "../x", "what?now", "a:b"] {
        assert_eq!(kind(path), SourceKind::Path(path.into()), "{path}");
    }
    assert_eq!(kind("path:a@b"), SourceKind::Plain("a@b".into()));
    for (text, expected) in [
        ("./repo@main", git("./repo", "main", "")),
        (".@HEAD:", git(".", "HEAD", "")),
        (
            "repo.git@v1.2:apps/web/",
            git("repo.git", "v1.2", "apps/web"),
        ),
        (
            "./repo@main:apps/@scope",
            git("./repo", "main", "apps/@scope"),
        ),
        ("repo@feature/x:./a", git("repo", "feature/x", "a")),
        (
            "https://user@host/team/repo.git@main:apps",
            git("https://user@host/team/repo.git", "main", "apps"),
        ),
        (
            "ssh://git@host:22/r@main",
            git("ssh://git@host:22/r", "main", ""),
        ),
        (
            "file:///srv/r.git@main",
            git("file:///srv/r.git", "main", ""),
        ),
        (
            "git@github.com:team/repo.git@main:apps",
            git("git@github.com:team/repo.git", "main", "apps"),
        ),
        ("host:team/repo@main", git("host:team/repo", "main", "")),
        ("a/b@main:x@y:z", git("a/b", "main", "x@y:z")),
    ] {
        assert_eq!(kind(text), SourceKind::Git(expected), "{text}");
    }
    assert_eq!(
        kind("kustomize:overlays/prod"),
        SourceKind::Kustomize(Tree::Folder("overlays/prod".into()))
    );
    assert_eq!(
        kind("kustomize:.@main:overlays/prod"),
        SourceKind::Kustomize(Tree::Git(git(".", "main", "overlays/prod")))
    );
    assert_eq!(
        kind("helm:charts/shop?release=web&values=a.yaml&values=b=c.yaml"),
        SourceKind::Helm {
            chart: Tree::Folder("charts/shop".into()),
            options: HelmOptions {
                release: Some("web".to_owned()),
                values: vec![PathBuf::from("a.yaml"), PathBuf::from("b=c.yaml")],
            },
        }
    );
}

#[test]
fn names_namespaces_and_rendering_are_said_with_the_source() {
    let source = Source::parse("shop=./deploy?namespace=web&render=false").unwrap();
    assert_eq!(source.name, "shop");
    assert_eq!(source.namespace.as_deref(), Some("web"));
    assert_eq!(source.render, Some(false));
    assert_eq!(source.kind, SourceKind::Path("./deploy".into()));

    let names = |texts: &[&str]| -> Vec<String> {
        let sources = Source::parse_all(texts).unwrap();
        sources.into_iter().map(|source| source.name).collect()
    };
    assert_eq!(
        names(&[
            "a/deploy",
            "b.git@v1",
            "b@v2:apps/",
            "auto",
            "-",
            "helm:x/y"
        ]),
        ["deploy", "b@v1", "apps@v2", "auto", "stdin", "y"]
    );
    assert_eq!(names(&["a/deploy", "b/deploy"]), ["a/deploy", "b/deploy"]);
    assert_eq!(names(&["deploy=x", "b/deploy"]), ["deploy", "b/deploy"]);
    for twice in [["a", "a"], ["n=a", "n=b"], ["auto", "auto"]] {
        let error = Source::parse_all(&twice).unwrap_err();
        assert!(matches!(error, SourceError::Twice(_)), "{twice:?}");
    }
}

#[test]
fn what_cannot_be_a_source_says_what_is_expected() {
    for (text, expected) in [
        ("", "such as auto"),
        ("n=", "such as auto"),
        ("kustomize:", "such as auto"),
        ("d?namespace=Bad", "the name of a namespace"),
        ("d?values=x", "expected namespace or render"),
        ("-?render=true", "expected namespace,"),
        ("d?render=yes", "true or false"),
        ("r@", "cannot be a branch"),
        ("r@--upload-pack=x", "cannot be a branch"),
        ("r@a..b", "cannot be a branch"),
        ("r@HEAD@{1}", "cannot be a branch"),
        ("r@HEAD~1", "cannot be a branch"),
        ("@main", "no repository"),
        ("-r@main", "no repository"),
        ("r@main:../x", "no '..'"),
        ("r@main:/x", "no '..'"),
        ("r@main:a//b", "no '..'"),
    ] {
        let error = Source::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn passwords_of_urls_are_not_shown() {
    let source = Source::parse("https://bob:hunter2@host/r.git@main").unwrap();
    for shown in [format!("{source:?}"), source.kind.to_string(), source.name] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
