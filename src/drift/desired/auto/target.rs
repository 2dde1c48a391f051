//! Flux's ignore rules: JSON pointers, and which objects they are about.
//!
//! <https://fluxcd.io/flux/components/kustomize/kustomizations/#ignore>,
//! <https://fluxcd.io/flux/components/helm/helmreleases/#ignore-rules>

use regex::Regex;
use serde_json::Value;

use super::settings::not_honoured;
use super::{Live, LiveObject, at, ignore_object, jq, list, text};
use crate::drift::accept::{Ignore, Ignored};
use crate::drift::desired::Identity;
use crate::filter::LabelSelector;

/// The longest pattern that is compiled; the regex crate bounds what it costs to run.
const LONGEST_PATTERN: usize = 1024;

/// Reads the rules at `rules`. Those about all objects stay one rule; those with a target become
/// one rule per live object that fits, because a target is more than globs.
pub(super) fn read(
    whose: &str,
    rules: &[Value],
    live: &Live,
    owns: &dyn Fn(&Identity, &LiveObject) -> bool,
    ignores: &mut Vec<Ignore>,
    warnings: &mut Vec<String>,
) {
    for (position, rule) in rules.iter().enumerate() {
        let name = format!("{whose}[{position}]");
        let mut places = Vec::new();
        for text in list(rule, &["paths"]).iter().filter_map(Value::as_str) {
            match jq::pointer(text) {
                Ok(place) => places.push(place),
                // An empty pointer is the whole object: nothing of it is compared.
                Err(_) if text.is_empty() => places.clear(),
                Err(error) => warnings.push(not_honoured(&name, "JSON pointer", text, error)),
            }
        }
        let whole = list(rule, &["paths"]).iter().any(|path| path == "");
        let what = match (whole, places) {
            (true, _) => Ignored::Object,
            (false, places) if places.is_empty() => continue,
            (false, places) => Ignored::Paths(places),
        };
        let Some(target) = at(rule, &["target"]) else {
            ignores.push(Ignore {
                name,
                what,
                ..Ignore::default()
            });
            continue;
        };
        match Target::read(target) {
            Ok(target) => {
                for (identity, object) in &live.objects {
                    if target.matches(identity, object) && owns(identity, object) {
                        ignores.push(ignore_object(name.clone(), identity, what.clone()));
                    }
                }
            }
            Err(why) => warnings.push(format!("{name}: not honoured: {why}")),
        }
    }
}

/// Kustomize's selector: every part that is given must match, regular expressions the whole text.
/// <https://github.com/kubernetes-sigs/kustomize/blob/master/api/types/selector.go>
struct Target {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    namespace: Option<Regex>,
    name: Option<Regex>,
    labels: Option<LabelSelector>,
    annotations: Option<LabelSelector>,
}

impl Target {
    fn read(target: &Value) -> Result<Self, String> {
        let regex = |key: &str| -> Result<Option<Regex>, String> {
            let pattern = text(target, &[key]);
            if pattern.is_empty() {
                return Ok(None);
            }
            if pattern.len() > LONGEST_PATTERN {
                return Err(format!(
                    "target.{key} is longer than {LONGEST_PATTERN} bytes"
                ));
            }
            Regex::new(&format!("^(?:{pattern})$"))
                .map(Some)
                .map_err(|_| format!("target.{key} is no regular expression that is known here"))
        };
        let selector = |key: &str| -> Result<Option<LabelSelector>, String> {
            let selector = text(target, &[key]);
            if selector.is_empty() {
                return Ok(None);
            }
            LabelSelector::parse(selector)
                .map(Some)
                .map_err(|error| format!("target.{key}: {error}"))
        };
        Ok(Self {
            group: regex("group")?,
            version: regex("version")?,
            kind: regex("kind")?,
            namespace: regex("namespace")?,
            name: regex("name")?,
            labels: selector("labelSelector")?,
            annotations: selector("annotationSelector")?,
        })
    }

    fn matches(&self, identity: &Identity, object: &LiveObject) -> bool {
        let fits = |regex: &Option<Regex>, text: &str| {
            regex.as_ref().is_none_or(|regex| regex.is_match(text))
        };
        let selects = |selector: &Option<LabelSelector>, key: &str| {
            let pairs = at(&object.value, &["metadata", key]);
            selector
                .as_ref()
                .is_none_or(|selector| selector.matches(pairs))
        };
        fits(&self.group, &identity.group)
            && fits(&self.version, &object.version)
            && fits(&self.kind, &identity.kind)
            && fits(
                &self.namespace,
                identity.namespace.as_deref().unwrap_or_default(),
            )
            && fits(&self.name, &identity.name)
            && selects(&self.labels, "labels")
            && selects(&self.annotations, "annotations")
    }
}
