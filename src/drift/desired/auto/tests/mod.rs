//! Sources found in live sides made of text.

mod argo;
mod flux;
mod helm;
mod marks;
mod read;

use std::sync::Arc;

use serde_json::Value;

use super::{Auto, Fetch, Found, Layout, Releases};
use crate::canonical;
use crate::drift::accept::{Ignore, Ignored, Place};
use crate::drift::desired::Identity;
use crate::drift::live::{Coverage, Live, LiveObject, ServedKind};
use crate::filter::Rules;
use crate::owners::{FieldWriter, Shape, Times};

const CLUSTER_SCOPED: [&str; 6] = [
    "APIService",
    "Namespace",
    "ValidatingWebhookConfiguration",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
];

/// A live side of these objects; what stands at `reported` is what their shapes report, at `manager`
/// who wrote them.
fn live(yaml: &str) -> Live {
    let mut live = Live::new(Arc::new(Rules::core()));
    for document in canonical::read_all(yaml.as_bytes()).expect("the test's YAML") {
        let mut value = document.value;
        let reported = value
            .as_object_mut()
            .and_then(|object| object.remove("reported"));
        let manager = value
            .as_object_mut()
            .and_then(|object| object.remove("manager"));
        let writers = manager.as_ref().and_then(Value::as_str).map(writer);
        let text = |path: &str| value.pointer(path).and_then(Value::as_str);
        let api_version = text("/apiVersion").expect("an apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = text("/kind").expect("a kind");
        let identity = Identity {
            group: group.into(),
            kind: kind.into(),
            namespace: text("/metadata/namespace").map(Into::into),
            name: text("/metadata/name").expect("a name").into(),
        };
        let served = ServedKind {
            group: group.into(),
            kind: kind.into(),
            resource: format!("{}s", kind.to_lowercase()).into(),
            versions: vec![version.into()],
            namespaced: !CLUSTER_SCOPED.contains(&kind),
            coverage: Coverage::Complete,
        };
        let object = LiveObject {
            version: version.into(),
            value: Arc::new(value.clone()).into(),
            shape: Arc::new(Shape {
                reported,
                writers: writers.into_iter().collect(),
                ..Shape::default()
            }),
            times: Arc::new(Times::default()),
            path: "".into(),
        };
        live.kinds.insert((group.into(), kind.into()), served);
        live.objects.insert(identity, object);
    }
    live
}

fn writer(manager: &str) -> FieldWriter {
    FieldWriter {
        manager: manager.into(),
        operation: "Update".into(),
        subresource: "".into(),
        api_version: "v1".into(),
    }
}

/// What is found where Helm has no releases.
fn find(yaml: &str) -> Auto {
    super::find(&live(yaml), &Releases::Known(&[]))
}

/// The only source.
fn only(auto: &Auto) -> &Found {
    assert_eq!(auto.found.len(), 1, "{:?}", auto.found);
    &auto.found[0]
}

fn identity(text: &str) -> Identity {
    let mut parts = text.split('/');
    let mut part = || parts.next().expect("four parts");
    let (group, kind, namespace, name) = (part(), part(), part(), part());
    Identity {
        group: group.into(),
        kind: kind.into(),
        namespace: (!namespace.is_empty()).then(|| namespace.into()),
        name: name.into(),
    }
}

/// Rules as `name: group/kind/namespace/name what`.
fn shown(ignores: &[Ignore]) -> Vec<String> {
    let or = |text: &Option<String>| text.clone().unwrap_or("(any)".into());
    let lines = ignores.iter().map(|rule| {
        let what = match &rule.what {
            Ignored::Paths(places) => {
                let places = places.iter().map(|place| match place {
                    Place::Path(path) => path.to_string(),
                    Place::Pointer(steps) => format!("{steps:?}"),
                });
                places.collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        };
        let whom = [&rule.group, &rule.kind, &rule.namespace, &rule.object_name].map(or);
        format!("{}: {} {what}", rule.name, whom.join("/"))
    });
    lines.collect()
}

#[test]
fn an_empty_cluster_names_no_source() {
    let auto = find("");
    assert!(auto.found.is_empty() && auto.ignores.is_empty() && auto.warnings.is_empty());
}

#[test]
fn credentials_are_not_shown() {
    let git = super::GitPath {
        url: "https://user:hunter2@git.example.com/a/b".into(),
        ..super::GitPath::default()
    };
    assert_eq!(git.location(), "https://git.example.com/a/b");
    assert!(!format!("{:?}", Fetch::Git(git, Layout::Flux)).contains("hunter2"));
    assert_eq!(super::without_user("https://ghp_x@h/a@b"), "https://h/a@b");
    assert_eq!(super::without_user("git@h:a/b"), "git@h:a/b");
}
