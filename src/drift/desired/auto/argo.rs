//! Argo CD: its Applications, each a source.
//!
//! The fields are those of `Application`, `argoproj.io/v1alpha1`:
//! <https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml>,
//! <https://github.com/argoproj/argo-cd/blob/master/pkg/apis/application/v1alpha1/types.go>.
//! `ApplicationSet`s and Applications of Applications need nothing: what they make is live.

use std::collections::BTreeSet;

use serde_json::Value;

use super::settings::{self, IN_CLUSTER, Settings};
use super::{
    Auto, Chart, ChartPlace, Edits, Fetch, Found, GitPath, Layout, Live, LiveObject, annotation,
    at, folder, ignore_object, is_given, list, marks, newest, of_kind, qualified, reported, text,
    without_user,
};
use crate::drift::accept::Ignored;
use crate::drift::desired::Identity;

const GROUP: &str = "argoproj.io";
const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";

/// Finds the Applications that deploy to this cluster.
pub(super) fn find(live: &Live, auto: &mut Auto) {
    let mut applications = of_kind(live, GROUP, "Application").peekable();
    if applications.peek().is_none() {
        return;
    }
    let configs =
        of_kind(live, "", "ConfigMap").filter(|(identity, _)| &*identity.name == settings::NAME);
    let mut settings: Vec<(Option<&str>, Settings)> = configs
        .map(|(identity, config)| {
            let settings = settings::read(identity, config, live);
            (identity.namespace.as_deref(), settings)
        })
        .collect();
    if settings.is_empty() {
        settings.push((None, settings::of_nobody()));
    }
    let mut elsewhere = 0_usize;
    for (identity, application) in applications {
        if is_here(&application.value) {
            source(identity, application, live, &settings, auto);
        } else {
            elsewhere += 1;
        }
    }
    if elsewhere > 0 {
        auto.warnings.push(format!(
            "Argo CD: {elsewhere} Applications deploy to other clusters and are no sources here"
        ));
    }
    for (_, settings) in settings {
        auto.ignores.extend(settings.unseen);
        auto.warnings.extend(settings.warnings);
    }
    // https://argo-cd.readthedocs.io/en/stable/user-guide/compare-options/#ignoring-resources-that-are-extraneous
    for (identity, object) in &live.objects {
        let mut options = annotation(object, COMPARE_OPTIONS).split(',');
        if options.any(|option| option.trim() == "IgnoreExtraneous") {
            auto.ignores.push(ignore_object(
                format!("annotation {COMPARE_OPTIONS}: IgnoreExtraneous"),
                identity,
                Ignored::Extra,
            ));
        }
    }
}

/// Whether an Application deploys to the cluster that it lies in.
fn is_here(application: &Value) -> bool {
    let destination = |key| text(application, &["spec", "destination", key]);
    match (destination("server"), destination("name")) {
        ("", name) => name == "in-cluster",
        (server, _) => server.trim_end_matches('/') == IN_CLUSTER,
    }
}

fn source(
    identity: &Identity,
    application: &LiveObject,
    live: &Live,
    settings: &[(Option<&str>, Settings)],
    auto: &mut Auto,
) {
    let Some(spec) = at(&application.value, &["spec"]) else {
        return;
    };
    let whose = format!("Argo CD Application {}", qualified(identity));
    let namespace = text(spec, &["destination", "namespace"]);
    let mut ignores = Vec::new();
    settings::of_application(&whose, spec, &mut ignores, &mut auto.warnings);
    let own = settings
        .iter()
        .filter(|(namespace, _)| *namespace == identity.namespace.as_deref());
    // An Application outside its Argo CD's namespace does not say whose it is.
    let system: Vec<&Settings> = match own.map(|(_, settings)| settings).collect::<Vec<_>>() {
        none if none.is_empty() => settings.iter().map(|(_, settings)| settings).collect(),
        own => own,
    };
    for settings in system {
        ignores.extend_from_slice(&settings.ignores);
    }
    let creates_namespace = list(spec, &["syncPolicy", "syncOptions"])
        .iter()
        .any(|option| option == "CreateNamespace=true");
    if creates_namespace && !namespace.is_empty() {
        // https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/#create-namespace
        auto.ignores.push(ignore_object(
            format!("{whose}, syncOptions CreateNamespace"),
            &Identity {
                kind: "Namespace".into(),
                name: namespace.into(),
                ..Identity::default()
            },
            Ignored::Extra,
        ));
    }
    let reported = reported(application);
    let fetches = fetches(identity, spec, reported);
    let mut owned: BTreeSet<Identity> = owned(reported).into_iter().collect();
    let bounded = !owned.is_empty();
    if bounded {
        let own = identity.namespace.as_deref();
        let tracked = live.objects.iter().filter(|(of, object)| {
            marks::tracked(of, object).is_some_and(|(namespace, name)| {
                name == &*identity.name && namespace.is_none_or(|of| Some(of) == own)
            })
        });
        owned.extend(tracked.map(|(of, _)| of.clone()));
    }
    auto.found.push(Found {
        name: format!("argocd:{}", qualified(identity)),
        kind: "argocd",
        location: location(spec, &fetches),
        fetches,
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        edits: Edits::default(),
        ignores,
        owned: owned.into_iter().collect(),
        bounded,
        deployers: Vec::new(),
        object: Some(identity.clone()),
    });
    if application_is_paused(application) {
        auto.warnings.push(format!(
            "{whose}: reconciliation is paused (annotation argocd.argoproj.io/skip-reconcile)"
        ));
    }
}

/// <https://argo-cd.readthedocs.io/en/stable/user-guide/skip_reconcile/>
fn application_is_paused(application: &LiveObject) -> bool {
    annotation(application, "argocd.argoproj.io/skip-reconcile") == "true"
}

/// `status.resources`, as `[[group, kind, namespace, name], …]`.
fn owned(reported: &Value) -> Vec<Identity> {
    let resources = list(reported, &["resources"]).iter();
    resources.filter_map(identity_of).collect()
}

fn identity_of(resource: &Value) -> Option<Identity> {
    let part = |at: usize| resource.get(at).and_then(Value::as_str).unwrap_or_default();
    let (kind, namespace, name) = (part(1), part(2), part(3));
    (!kind.is_empty() && !name.is_empty()).then(|| Identity {
        group: part(0).into(),
        kind: kind.into(),
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        name: name.into(),
    })
}

fn location(spec: &Value, fetches: &[Fetch]) -> String {
    let places = fetches.iter().filter_map(|fetch| match fetch {
        Fetch::Git(at, _) | Fetch::Kustomize(at) => Some(at.location()),
        Fetch::Helm(chart) => Some(match &chart.place {
            ChartPlace::Git(at) => at.location(),
            ChartPlace::Repository { url, chart, .. } => format!("{url}:{chart}"),
        }),
        Fetch::Manifest(_) | Fetch::Unknown(_) => None,
    });
    let places: Vec<String> = places.collect();
    if places.is_empty() {
        without_user(text(spec, &["source", "repoURL"]))
    } else {
        places.join(", ")
    }
}

/// An Application's sources: <https://argo-cd.readthedocs.io/en/stable/user-guide/multiple_sources/>.
fn fetches(identity: &Identity, spec: &Value, reported: &Value) -> Vec<Fetch> {
    let several = list(spec, &["sources"]);
    if several.is_empty() {
        let revision = revision(reported, None);
        if let Some(hydrator) = at(spec, &["sourceHydrator"]) {
            return vec![hydrated(hydrator, revision)];
        }
        return match at(spec, &["source"]) {
            Some(source) => {
                let kind = kind_of(source, reported, 0);
                vec![one(identity, spec, source, kind, revision, &[])]
            }
            None => vec![Fetch::Unknown("it names no source".to_owned())],
        };
    }
    let named: Vec<(String, GitPath)> = several
        .iter()
        .enumerate()
        .filter(|(_, source)| is_given(source, &["ref"]))
        .map(|(at, source)| {
            let name = text(source, &["ref"]).to_owned();
            (name, git(source, revision(reported, Some(at))))
        })
        .collect();
    let with_manifests = several.iter().enumerate().filter(|(_, source)| {
        // A source with a name alone holds values files for the others.
        !is_given(source, &["ref"]) || is_given(source, &["path"]) || is_given(source, &["chart"])
    });
    let fetches = with_manifests.map(|(at, source)| {
        let kind = kind_of(source, reported, at);
        let revision = revision(reported, Some(at));
        one(identity, spec, source, kind, revision, &named)
    });
    fetches.collect()
}

/// The revision that is live: the one that was compared where Argo CD found no difference,
/// otherwise the one that was last synced. Of the source at a position, where there are several.
fn revision(reported: &Value, position: Option<usize>) -> Option<String> {
    let of = |part: &Value| {
        let revision = match position {
            None => text(part, &["revision"]),
            Some(position) => list(part, &["revisions"])
                .get(position)
                .and_then(Value::as_str)
                .unwrap_or_default(),
        };
        (!revision.is_empty()).then(|| revision.to_owned())
    };
    let synced = text(reported, &["sync", "status"]) == "Synced";
    let compared = at(reported, &["sync"]).filter(|_| synced).and_then(of);
    compared.or_else(|| of(newest(reported)))
}

/// A source hydrator's result is plain YAML on a branch:
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/source-hydrator/>.
fn hydrated(hydrator: &Value, revision: Option<String>) -> Fetch {
    let own = text(hydrator, &["syncSource", "repoURL"]);
    let url = if own.is_empty() {
        text(hydrator, &["drySource", "repoURL"])
    } else {
        own
    };
    let branch = text(hydrator, &["syncSource", "targetBranch"]);
    let Some(path) = folder(text(hydrator, &["syncSource", "path"])) else {
        return Fetch::Unknown("its path leads out of the repository".to_owned());
    };
    let git = GitPath {
        url: url.to_owned(),
        revision,
        head: Some(branch.to_owned()).filter(|branch| !branch.is_empty()),
        path,
    };
    Fetch::Git(
        git,
        Layout::Argo {
            recurse: false,
            include: None,
            exclude: None,
            detect: false,
        },
    )
}

/// What a source is rendered with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    Kustomize,
    Helm,
    Plugin,
}

impl Kind {
    /// As `status.sourceType` has it.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Directory" => Self::Directory,
            "Kustomize" => Self::Kustomize,
            "Helm" => Self::Helm,
            "Plugin" => Self::Plugin,
            _ => return None,
        })
    }
}

/// What the source says, or what Argo CD found it to be; `None` where the files must say it.
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/tool_detection/>
fn kind_of(source: &Value, reported: &Value, position: usize) -> Option<Kind> {
    let explicit = [
        ("chart", Kind::Helm),
        ("plugin", Kind::Plugin),
        ("helm", Kind::Helm),
        ("kustomize", Kind::Kustomize),
        ("directory", Kind::Directory),
    ];
    let explicit = explicit
        .into_iter()
        .find(|(key, kind)| match kind {
            // `plugin: {}` asks for a plugin that finds itself.
            Kind::Plugin => at(source, &[key]).is_some(),
            _ => is_given(source, &[key]),
        })
        .map(|(_, kind)| kind);
    let types = list(reported, &["sourceTypes"]);
    let found = types.get(position).and_then(Value::as_str);
    explicit.or_else(|| Kind::named(found.unwrap_or(text(reported, &["sourceType"]))))
}

fn git(source: &Value, revision: Option<String>) -> GitPath {
    let target = match text(source, &["targetRevision"]) {
        "" => "HEAD",
        target => target,
    };
    let is_commit = target.len() == 40 && target.bytes().all(|byte| byte.is_ascii_hexdigit());
    GitPath {
        url: text(source, &["repoURL"]).to_owned(),
        revision: revision.or_else(|| is_commit.then(|| target.to_owned())),
        head: (!is_commit).then(|| target.to_owned()),
        path: folder(text(source, &["path"])).unwrap_or_default(),
    }
}

fn one(
    identity: &Identity,
    spec: &Value,
    source: &Value,
    kind: Option<Kind>,
    revision: Option<String>,
    named: &[(String, GitPath)],
) -> Fetch {
    if folder(text(source, &["path"])).is_none() {
        return Fetch::Unknown("its path leads out of the repository".to_owned());
    }
    if text(source, &["repoURL"]).starts_with("oci://") && kind != Some(Kind::Helm) {
        // https://argo-cd.readthedocs.io/en/stable/user-guide/oci/
        return Fetch::Unknown(format!(
            "OCI artifacts are not fetched; give what 'argocd app manifests {}' prints as a source",
            qualified(identity)
        ));
    }
    let git = git(source, revision);
    match kind {
        Some(Kind::Plugin) => Fetch::Unknown(
            "a config management plugin renders it, which runs in Argo CD alone".to_owned(),
        ),
        Some(Kind::Kustomize) => {
            let options = changes(source);
            if options.is_empty() {
                Fetch::Kustomize(git)
            } else {
                Fetch::Unknown(format!(
                    "the Application changes its kustomization by {}, which is not followed here; give \
                     what 'argocd app manifests {}' prints as a source",
                    options.join(", "),
                    qualified(identity)
                ))
            }
        }
        Some(Kind::Helm) => Fetch::Helm(Box::new(chart(identity, spec, source, git, named))),
        Some(Kind::Directory) if is_given(source, &["directory", "jsonnet"]) => {
            Fetch::Unknown("Jsonnet is not evaluated".to_owned())
        }
        Some(Kind::Directory) | None => {
            let glob = |key| {
                let text = text(source, &["directory", key]);
                (!text.is_empty()).then(|| text.to_owned())
            };
            let layout = Layout::Argo {
                recurse: is_given(source, &["directory", "recurse"]),
                include: glob("include"),
                exclude: glob("exclude"),
                detect: kind.is_none(),
            };
            Fetch::Git(git, layout)
        }
    }
}

/// What `spec.source.kustomize` changes; versions say only which program does it.
fn changes(source: &Value) -> Vec<&str> {
    let options = at(source, &["kustomize"]).and_then(Value::as_object);
    let options = options.into_iter().flatten().map(|(key, _)| key.as_str());
    options
        .filter(|key| !matches!(*key, "version" | "kubeVersion" | "apiVersions"))
        .filter(|key| is_given(source, &["kustomize", key]))
        .collect()
}

fn chart(
    identity: &Identity,
    spec: &Value,
    source: &Value,
    git: GitPath,
    named: &[(String, GitPath)],
) -> Chart {
    let or = |own: &str, default: &str| if own.is_empty() { default } else { own }.to_owned();
    let name = text(source, &["chart"]);
    Chart {
        place: if name.is_empty() {
            ChartPlace::Git(git)
        } else {
            ChartPlace::Repository {
                url: without_user(&git.url),
                chart: name.to_owned(),
                version: or(
                    git.revision.as_deref().unwrap_or_default(),
                    text(source, &["targetRevision"]),
                ),
            }
        },
        release: or(text(source, &["helm", "releaseName"]), &identity.name),
        namespace: or(
            text(source, &["helm", "namespace"]),
            text(spec, &["destination", "namespace"]),
        ),
        options: at(source, &["helm"]).cloned().unwrap_or(Value::Null),
        values_from: named.to_vec(),
    }
}
