//! Files that say which drift is accepted.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::assemble::{LARGEST_FILE, RulesError, located};
use super::matching::{Globs, Match, Owner, Pattern};
use super::path::FieldPath;
use super::selector::LabelSelector;
use super::when::When;

/// The rules of one file, in order.
///
/// ```yaml
/// accept:
/// - name: hpa-min                      # shown by reports; the file's and its number if left out
///   reason: on call may raise it       # required
///   owner: team-shop
///   expires: 2026-12-31                # the last day
///   match: {apiGroups: [apps], kinds: [Deployment], namespaces: [shop], names: ['web*']}
///   paths: [spec.replicas]             # all of the object if left out
///   classes: [Changed]                 # any if left out
/// ```
///
/// `match` is the filters' matching language over `apiGroups`, `kinds`, `namespaces`, `names`,
/// `labels`, `annotations`, `type`, `ownedByController`, `ownedBy` and `when`.
#[derive(Debug)]
pub struct AcceptFile {
    /// Its rules.
    pub rules: Vec<AcceptRule>,
}

/// One rule.
#[derive(Debug)]
pub struct AcceptRule {
    /// Its name, as reports show it.
    pub name: String,
    /// Why the drift is accepted.
    pub reason: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The last day that it is accepted, `2026-12-31`; for ever if `None`.
    pub expires: Option<String>,
    /// Which objects.
    pub matches: AcceptMatch,
    /// Which places of them; all if empty.
    pub paths: Vec<FieldPath>,
    /// Which differences; any if empty.
    pub classes: Vec<AcceptClass>,
}

/// What a rule can be about: fields and objects that differ, by the names of reports.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum AcceptClass {
    /// Fields.
    Changed,
    /// Fields.
    Removed,
    /// Fields.
    Added,
    /// Fields.
    PendingRemoval,
    /// Fields.
    Pending,
    /// Fields.
    Dropped,
    /// Objects.
    Missing,
    /// Objects.
    Extra,
}

/// Which objects an accept rule is about. Cheap to clone; equal to itself and its clones alone.
#[derive(Clone)]
pub struct AcceptMatch(Arc<Conditions>);

impl PartialEq for AcceptMatch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AcceptMatch {}

impl fmt::Debug for AcceptMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptMatch(…)")
    }
}

/// Compiled conditions.
struct Conditions {
    groups: Option<Globs>,
    kinds: Option<Globs>,
    rest: Match,
}

impl AcceptMatch {
    /// Whether an object fits. Where a `when` gives neither true nor false it does not: what is
    /// not surely accepted is shown.
    ///
    /// `object` is the object itself, `None` where there is none: then only conditions on its type
    /// and names can hold.
    pub fn fits(
        &self,
        group: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        object: Option<&Value>,
    ) -> bool {
        let Conditions {
            groups,
            kinds,
            rest,
        } = &*self.0;
        let fits = |globs: &Option<Globs>, text: &str| {
            globs.as_ref().is_none_or(|globs| globs.matches(text))
        };
        let is_secret = group.is_empty() && kind == "Secret";
        fits(groups, group)
            && fits(kinds, kind)
            && (rest.secret_types.is_none() || is_secret)
            && rest.fits_value(object, namespace, name, is_secret)
    }
}

impl AcceptFile {
    /// Reads a file; `name` is what errors call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, RulesError> {
        if text.len() > LARGEST_FILE {
            return Err(RulesError::File {
                file: name.escape_debug().to_string(),
                line: 0,
                column: 0,
                rule: None,
                problem: format!("expected a file of at most {LARGEST_FILE} bytes"),
            });
        }
        let file: RawFile =
            serde_yaml::from_str(text).map_err(|cause| located(name, text, "accept", &cause))?;
        let numbered = file.accept.into_iter().enumerate();
        let rules = numbered.map(|(at, checked)| {
            let rule = checked.0;
            AcceptRule {
                name: rule
                    .name
                    .unwrap_or_else(|| format!("{name} rule {}", at + 1)),
                reason: rule.reason,
                owner: rule.owner,
                expires: rule.expires,
                matches: rule.matches.unwrap_or_default().compiled(),
                paths: rule.paths,
                classes: rule.classes,
            }
        });
        Ok(Self {
            rules: rules.collect(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    accept: Vec<Checked>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    name: Option<String>,
    reason: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default, rename = "match")]
    matches: Option<RawMatch>,
    #[serde(default)]
    paths: Vec<FieldPath>,
    #[serde(default)]
    classes: Vec<AcceptClass>,
}

impl RawRule {
    fn problem(&self) -> Option<String> {
        if self.reason.trim().is_empty() {
            return Some("expected a reason: why is this drift accepted?".to_owned());
        }
        if self.matches.is_none() && self.paths.is_empty() && self.classes.is_empty() {
            let text = "expected 'match', 'paths' or 'classes': this would accept everything";
            return Some(text.to_owned());
        }
        if let Some(date) = &self.expires
            && (date.len() != 10 || date.parse::<jiff::civil::Date>().is_err())
        {
            return Some(format!(
                "expires: expected a date such as 2026-12-31, not '{}'",
                date.escape_debug()
            ));
        }
        let of_objects =
            |class: &AcceptClass| matches!(class, AcceptClass::Missing | AcceptClass::Extra);
        if !self.paths.is_empty() && self.classes.iter().any(of_objects) {
            let text = "paths: an object that is Missing or Extra has none; make it two rules";
            return Some(text.to_owned());
        }
        None
    }
}

/// A rule that was checked within its own place, so that an error has that place.
struct Checked(RawRule);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneRule;
        impl<'de> Visitor<'de> for OneRule {
            type Value = Checked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Checked, A::Error> {
                let rule = RawRule::deserialize(MapAccessDeserializer::new(map))?;
                match rule.problem() {
                    Some(problem) => Err(A::Error::custom(problem)),
                    None => Ok(Checked(rule)),
                }
            }
        }
        deserializer.deserialize_map(OneRule)
    }
}

/// As the file has it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawMatch {
    #[serde(default)]
    api_groups: Option<Globs>,
    #[serde(default)]
    kinds: Option<Globs>,
    #[serde(default)]
    namespaces: Option<Globs>,
    #[serde(default)]
    names: Option<Globs>,
    #[serde(default)]
    labels: Option<LabelSelector>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<Pattern, Option<Pattern>>>,
    #[serde(default, rename = "type")]
    secret_types: Option<Vec<String>>,
    #[serde(default)]
    owned_by_controller: Option<bool>,
    #[serde(default)]
    owned_by: Option<Vec<Owner>>,
    #[serde(default)]
    when: Option<When>,
}

impl RawMatch {
    fn compiled(self) -> AcceptMatch {
        AcceptMatch(Arc::new(Conditions {
            groups: self.api_groups,
            kinds: self.kinds,
            rest: Match {
                namespaces: self.namespaces,
                names: self.names,
                labels: self.labels,
                annotations: self.annotations,
                secret_types: self.secret_types,
                owned_by_controller: self.owned_by_controller,
                owned_by: self.owned_by,
                when: self.when,
                ..Match::default()
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(body: &str) -> AcceptRule {
        let text = format!("accept:\n- {{reason: r, {body}}}\n");
        let file = AcceptFile::parse("accept.yaml", &text);
        file.unwrap_or_else(|error| panic!("{error}"))
            .rules
            .remove(0)
    }

    #[test]
    fn each_condition_is_heard() {
        let object = json!({"metadata": {"labels": {"tier": "web"}, "annotations": {"a": "b"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "controller": true}]},
            "spec": {"replicas": 3}});
        for (condition, fits) in [
            ("apiGroups: [apps]", true),
            ("apiGroups: ['']", false),
            ("kinds: [Deployment]", true),
            ("kinds: ['Deploy*', Job]", true),
            ("kinds: [deployment]", false),
            ("namespaces: [shop]", true),
            ("namespaces: [prod]", false),
            ("names: ['w*']", true),
            ("names: [x]", false),
            ("labels: tier=web", true),
            ("labels: tier!=web", false),
            ("annotations: {a: null}", true),
            ("annotations: {a: c}", false),
            ("ownedByController: true", true),
            ("ownedBy: [{kind: Pod}]", false),
            ("type: [Opaque]", false),
            ("when: 'object.spec.replicas == 3'", true),
            ("when: 'object.spec.replicas > 3'", false),
            ("when: 'object.spec.absent > 3'", false),
            ("kinds: [Deployment], names: [x]", false),
        ] {
            let rule = rule(&format!("match: {{{condition}}}"));
            let found = rule
                .matches
                .fits("apps", "Deployment", Some("shop"), "web", Some(&object));
            assert_eq!(found, fits, "{condition}");
        }
        let without = |condition: &str| {
            rule(&format!("match: {{{condition}}}"))
                .matches
                .fits("", "Node", None, "n", None)
        };
        assert!(without("kinds: [Node]"));
        assert!(!without("namespaces: ['*']"), "it lies in none");
        assert!(!without("when: 'true'"), "no object, no answer");
        assert!(!without("ownedByController: false"), "nobody knows");
    }

    #[test]
    fn a_mistake_names_file_line_rule_and_field() {
        for (body, line, expected) in [
            (
                "- {reason: r, match: {kind: [x]}}",
                2,
                "unknown field `kind`",
            ),
            (
                "- {reason: r, match: {kind: [x]}}",
                2,
                "did you mean 'kinds'?",
            ),
            ("- reason: ''\n  paths: [spec]", 2, "expected a reason"),
            ("- {paths: [spec]}", 2, "missing field `reason`"),
            ("- {reason: r}", 2, "would accept everything"),
            (
                "- reason: r\n  paths:\n  - spec[0]",
                4,
                "field path 'spec[0]'",
            ),
            (
                "- {reason: r, paths: [spec], expires: soon}",
                2,
                "expires: expected a date",
            ),
            (
                "- {reason: r, paths: [spec], expires: 2026-02-30}",
                2,
                "not '2026-02-30'",
            ),
            (
                "- {reason: r, paths: [spec], classes: [Extra]}",
                2,
                "make it two rules",
            ),
            (
                "- {reason: r, classes: [Gone]}",
                2,
                "unknown variant `Gone`",
            ),
            (
                "- {reason: r, match: {when: 'x'}}",
                2,
                "unknown variable 'x'",
            ),
        ] {
            let text = format!("accept:\n{body}\n");
            let error = AcceptFile::parse("a/accept.yaml", &text)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!("a/accept.yaml:{line}:")),
                "{error}"
            );
            assert!(error.contains(expected), "{body}: {error}");
        }
        let named = "accept:\n- {reason: r, paths: [a]}\n- {name: mine, reason: r, path: [a]}\n";
        let error = AcceptFile::parse("a", named).unwrap_err().to_string();
        assert!(error.contains("rule 'mine'"), "{error}");
    }

    #[test]
    fn names_and_dates_are_as_written() {
        let text = "accept:\n- {reason: r, paths: [a], expires: 2026-12-31, owner: me}\n- {name: x, reason: r, classes: [Extra]}\n";
        let file = AcceptFile::parse("accept.yaml", text).unwrap();
        let names: Vec<&str> = file.rules.iter().map(|rule| &*rule.name).collect();
        assert_eq!(names, ["accept.yaml rule 1", "x"]);
        assert_eq!(file.rules[0].expires.as_deref(), Some("2026-12-31"));
        assert_eq!(file.rules[0].owner.as_deref(), Some("me"));
        assert_eq!(file.rules[1].classes, [AcceptClass::Extra]);
        assert_eq!(file.rules[0].matches, file.rules[0].matches.clone());
        assert_ne!(file.rules[0].matches, file.rules[1].matches);
    }
}
