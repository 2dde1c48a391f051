//! Labels and annotations by which deployers know what is theirs.

use serde_json::Value;

/// What is in the keys that are kept:
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/annotations-and-labels/>,
/// <https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources>,
/// <https://helm.sh/docs/topics/chart_best_practices/labels/>,
/// <https://github.com/helm/helm/pull/7649>.
const KEPT: [&str; 4] = [
    "argocd.argoproj.io/",
    "toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "app.kubernetes.io/managed-by",
];

type Pairs = Box<[(Box<str>, Box<str>)]>;

/// What an object says of its deployers: held beside it, so that nobody parses 20,000 objects to
/// find those of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    labels: Pairs,
    annotations: Pairs,
}

impl Notes {
    /// Takes them from an object.
    pub fn of(object: &Value) -> Self {
        let metadata = object.get("metadata");
        let pairs = |name: &str| -> Pairs {
            let map = metadata.and_then(|metadata| metadata.get(name)?.as_object());
            let kept = |key: &str| KEPT.iter().any(|part| key.contains(part));
            map.into_iter()
                .flatten()
                .filter(|(key, _)| kept(key))
                .filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())))
                .collect()
        };
        Self {
            labels: pairs("labels"),
            annotations: pairs("annotations"),
        }
    }

    /// The text of a label of a deployer; empty where there is none.
    pub fn label(&self, key: &str) -> &str {
        find(&self.labels, key)
    }

    /// The text of an annotation of a deployer; empty where there is none.
    pub fn annotation(&self, key: &str) -> &str {
        find(&self.annotations, key)
    }
}

fn find<'p>(pairs: &'p Pairs, key: &str) -> &'p str {
    let mut pairs = pairs.iter();
    pairs
        .find(|(name, _)| &**name == key)
        .map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_deployers_write_is_kept_and_nothing_else() {
        let tracking = "argocd.argoproj.io/tracking-id";
        let object = json!({"metadata": {
            "labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "team": "a"},
            "annotations": {tracking: "a:b", "meta.helm.sh/release-name": 5, "x": "y"},
        }});
        let notes = Notes::of(&object);
        assert_eq!(notes.label("kustomize.toolkit.fluxcd.io/name"), "apps");
        assert_eq!(notes.annotation(tracking), "a:b");
        for key in ["team", "x", "meta.helm.sh/release-name", ""] {
            assert_eq!((notes.label(key), notes.annotation(key)), ("", ""));
        }
        assert_eq!(notes.labels.len() + notes.annotations.len(), 2);
        assert_eq!(Notes::of(&json!({"metadata": null})), Notes::default());
    }
}
