//! Argo CD's ignore rules: of one Application, and of its `argocd-cm`.
//!
//! <https://argo-cd.readthedocs.io/en/stable/user-guide/diffing/>,
//! <https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#resource-exclusioninclusion>

use serde_json::Value;

use super::{Live, LiveObject, at, ignore_object, jq, list, of_kind, qualified, text};
use crate::canonical;
use crate::drift::accept::{Ignore, Ignored, Place};
use crate::drift::desired::Identity;
use crate::filter::{FieldPath, Segment};

/// The settings' name, which cannot be changed.
pub(super) const NAME: &str = "argocd-cm";

/// The server that Argo CD runs in, as its cluster list has it.
pub(super) const IN_CLUSTER: &str = "https://kubernetes.default.svc";

/// What one Argo CD is told to ignore.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Of every Application's objects.
    pub(super) ignores: Vec<Ignore>,
    /// Kinds that it does not see: whole objects that are nobody's.
    pub(super) unseen: Vec<Ignore>,
    /// What is not honoured.
    pub(super) warnings: Vec<String>,
}

/// Excluded by Argo CD's own code, whatever the settings.
/// <https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#resource-exclusioninclusion>
const ALWAYS_UNSEEN: [(&str, &[&str]); 2] = [("events.k8s.io", &["*"]), ("metrics.k8s.io", &["*"])];

/// What Argo CD 3 brings in its `argocd-cm`, for when that is not among the live objects.
/// <https://argo-cd.readthedocs.io/en/stable/operator-manual/upgrading/2.14-3.0/#default-resourceexclusions-configurations>
const UNSEEN_BY_DEFAULT: [(&str, &[&str]); 11] = [
    ("", &["Endpoints"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
    ("coordination.k8s.io", &["Lease"]),
    ("authentication.k8s.io", REVIEWS),
    ("authorization.k8s.io", REVIEWS),
    ("certificates.k8s.io", &["CertificateSigningRequest"]),
    ("cert-manager.io", &["CertificateRequest"]),
    (
        "cilium.io",
        &["CiliumIdentity", "CiliumEndpoint", "CiliumEndpointSlice"],
    ),
    ("kyverno.io", KYVERNO),
    ("reports.kyverno.io", KYVERNO),
    ("wgpolicyk8s.io", KYVERNO),
];
const REVIEWS: &[&str] = &[
    "SelfSubjectReview",
    "TokenReview",
    "LocalSubjectAccessReview",
    "SelfSubjectAccessReview",
    "SelfSubjectRulesReview",
    "SubjectAccessReview",
];
const KYVERNO: &[&str] = &[
    "PolicyReport",
    "ClusterPolicyReport",
    "EphemeralReport",
    "ClusterEphemeralReport",
    "AdmissionReport",
    "ClusterAdmissionReport",
    "BackgroundScanReport",
    "ClusterBackgroundScanReport",
    "UpdateRequest",
];

/// The settings of an Argo CD whose `argocd-cm` is not known.
pub(super) fn of_nobody() -> Settings {
    Settings {
        unseen: kinds(&ALWAYS_UNSEEN, "Argo CD, always excluded")
            .chain(kinds(&UNSEEN_BY_DEFAULT, "Argo CD 3, excluded by default"))
            .collect(),
        warnings: vec![format!(
            "Argo CD: no ConfigMap '{NAME}' among the live objects, so its system-wide ignore rules are not known, and the exclusions of Argo CD 3 are taken"
        )],
        ..Settings::default()
    }
}

fn kinds(table: &'static [(&str, &[&str])], name: &'static str) -> impl Iterator<Item = Ignore> {
    table.iter().flat_map(move |(group, kinds)| {
        kinds.iter().map(move |kind| Ignore {
            name: name.to_owned(),
            group: Some((*group).to_owned()),
            kind: Some((*kind).to_owned()),
            what: Ignored::Extra,
            ..Ignore::default()
        })
    })
}

/// The settings that an `argocd-cm` holds.
pub(super) fn read(identity: &Identity, config: &LiveObject, live: &Live) -> Settings {
    let mut settings = Settings {
        unseen: kinds(&ALWAYS_UNSEEN, "Argo CD, always excluded").collect(),
        ..Settings::default()
    };
    let whose = format!("Argo CD ConfigMap {}", qualified(identity));
    let Some(data) = at(&config.value, &["data"]).and_then(Value::as_object) else {
        return settings;
    };
    for (key, value) in data {
        let name = format!("{whose}, {key}");
        let is_ours = key.starts_with("resource.customizations")
            || matches!(
                key.as_str(),
                "resource.exclusions" | "resource.inclusions" | "resource.compareoptions"
            );
        let Some(value) = value
            .as_str()
            .filter(|value| is_ours && !value.trim().is_empty())
        else {
            continue;
        };
        // `Value` of the parsed text: the message names the place and holds no text of it.
        let value = match canonical::read(value.as_bytes()) {
            Ok(value) => value,
            Err(error) => {
                settings
                    .warnings
                    .push(format!("{name}: not honoured: {error}"));
                continue;
            }
        };
        match key.as_str() {
            "resource.exclusions" => settings.exclude(&name, &value),
            "resource.inclusions" => settings.include(&name, &value, live),
            "resource.compareoptions" => settings.compare(&name, &value, live),
            "resource.customizations" => settings.customize(&name, &value),
            _ => {
                if let Some(kind) = key.strip_prefix("resource.customizations.ignoreDifferences.") {
                    let (group, kind) = match kind.split_once('_') {
                        Some(kind) => kind,
                        None if kind == "all" => ("*", "*"),
                        None => ("", kind),
                    };
                    settings.ignore(&name, group, kind, &value);
                }
            }
        }
    }
    settings
}

impl Settings {
    /// `resource.exclusions`: kinds that no Application has.
    fn exclude(&mut self, name: &str, value: &Value) {
        for (at, rule) in value.as_array().into_iter().flatten().enumerate() {
            if !is_about_us(rule) {
                continue;
            }
            for group in texts(rule, "apiGroups") {
                for kind in texts(rule, "kinds") {
                    self.unseen.push(Ignore {
                        name: format!("{name}[{at}]"),
                        group: Some(group.to_owned()),
                        kind: Some(kind.to_owned()),
                        what: Ignored::Extra,
                        ..Ignore::default()
                    });
                }
            }
        }
    }

    /// `resource.inclusions`: all other kinds are not seen.
    fn include(&mut self, name: &str, value: &Value, live: &Live) {
        let rules: Vec<&Value> = value
            .as_array()
            .into_iter()
            .flatten()
            .filter(|rule| is_about_us(rule))
            .collect();
        if rules.is_empty() {
            return;
        }
        for (group, kind) in live.kinds.keys() {
            let is_seen = rules.iter().any(|rule| {
                let has = |key, text| texts(rule, key).any(|pattern| glob_matches(pattern, text));
                has("apiGroups", group) && has("kinds", kind)
            });
            if !is_seen {
                self.unseen.push(Ignore {
                    name: name.to_owned(),
                    group: Some(globset::escape(group)),
                    kind: Some(globset::escape(kind)),
                    what: Ignored::Extra,
                    ..Ignore::default()
                });
            }
        }
    }

    /// `resource.compareoptions`. Its `ignoreResourceStatusField` needs nothing: status is never
    /// compared.
    fn compare(&mut self, name: &str, value: &Value, live: &Live) {
        if at(value, &["ignoreAggregatedRoles"]) != Some(&Value::Bool(true)) {
            return;
        }
        let Some(rules) = FieldPath::from_segments(vec![Segment::Field("rules".into())]) else {
            return;
        };
        for (role, object) in of_kind(live, "rbac.authorization.k8s.io", "ClusterRole") {
            if at(&object.value, &["aggregationRule"]).is_some() {
                self.ignores.push(ignore_object(
                    format!("{name}.ignoreAggregatedRoles"),
                    role,
                    Ignored::Paths(vec![Place::Path(rules.clone())]),
                ));
            }
        }
    }

    /// `resource.customizations` of old: all kinds in one text, `ignoreDifferences` a text in it.
    fn customize(&mut self, name: &str, value: &Value) {
        for (kind, rule) in value.as_object().into_iter().flatten() {
            let text = text(rule, &["ignoreDifferences"]);
            if text.is_empty() {
                continue;
            }
            let name = format!("{name}, {kind}");
            let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
            match canonical::read(text.as_bytes()) {
                Ok(value) => self.ignore(&name, group, kind, &value),
                Err(error) => self.warnings.push(format!("{name}: not honoured: {error}")),
            }
        }
    }

    fn ignore(&mut self, name: &str, group: &str, kind: &str, value: &Value) {
        let whom = Ignore {
            name: name.to_owned(),
            group: Some(group.to_owned()),
            kind: Some(kind.to_owned()),
            ..Ignore::default()
        };
        differences(&whom, value, &mut self.ignores, &mut self.warnings);
    }
}

/// A rule without clusters is about all of them.
fn is_about_us(rule: &Value) -> bool {
    let mut clusters = texts(rule, "clusters").peekable();
    clusters.peek().is_none() || clusters.any(|pattern| glob_matches(pattern, IN_CLUSTER))
}

fn texts<'a>(rule: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    list(rule, &[key]).iter().filter_map(Value::as_str)
}

fn glob_matches(pattern: &str, text: &str) -> bool {
    globset::Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

/// `spec.ignoreDifferences` of an Application.
///
/// Group and kind are globs there, namespace and name are not, and a group that is left out is the
/// core group.
pub(super) fn of_application(
    whose: &str,
    spec: &Value,
    ignores: &mut Vec<Ignore>,
    warnings: &mut Vec<String>,
) {
    for (at, rule) in list(spec, &["ignoreDifferences"]).iter().enumerate() {
        let exact = |key: &str| {
            let text = text(rule, &[key]);
            (!text.is_empty()).then(|| globset::escape(text))
        };
        let whom = Ignore {
            name: format!("{whose}, ignoreDifferences[{at}]"),
            group: Some(text(rule, &["group"]).to_owned()),
            kind: Some(text(rule, &["kind"]).to_owned()),
            namespace: exact("namespace"),
            object_name: exact("name"),
            ..Ignore::default()
        };
        differences(&whom, rule, ignores, warnings);
    }
}

/// The three ways to say what is ignored: `jsonPointers`, `jqPathExpressions`,
/// `managedFieldsManagers`.
fn differences(whom: &Ignore, rule: &Value, ignores: &mut Vec<Ignore>, warnings: &mut Vec<String>) {
    let mut places = Vec::new();
    for text in texts(rule, "jsonPointers") {
        match jq::pointer(text) {
            Ok(place) => places.push(place),
            Err(error) => warnings.push(not_honoured(&whom.name, "JSON pointer", text, error)),
        }
    }
    for text in texts(rule, "jqPathExpressions") {
        match jq::places(text) {
            Ok(found) => places.extend(found),
            Err(error) => warnings.push(not_honoured(&whom.name, "jq expression", text, error)),
        }
    }
    let mut push = |what| {
        ignores.push(Ignore {
            what,
            ..whom.clone()
        });
    };
    if !places.is_empty() {
        push(Ignored::Paths(places));
    }
    let managers: Vec<String> = texts(rule, "managedFieldsManagers")
        .map(str::to_owned)
        .collect();
    if !managers.is_empty() {
        push(Ignored::Managers(managers));
    }
}

/// Says which rule is not honoured, and why.
pub(super) fn not_honoured(rule: &str, what: &str, text: &str, why: jq::Untranslated) -> String {
    let shown = crate::process::one_line(text, 120);
    format!("{rule}: {what} '{shown}' is not honoured: {why}")
}
