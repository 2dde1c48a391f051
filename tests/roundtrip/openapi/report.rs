//! What a kind's objects cover, and what the server had against the rest.

use std::fmt::Write as _;
use std::time::Duration;

use super::path::{Key, Step};
use super::search::{Search, State, shown};

/// One kind's figures.
#[derive(Debug)]
pub struct Coverage {
    /// `apps/v1 Deployment`.
    pub kind: String,
    pub leaves: usize,
    pub covered: usize,
    pub objects: usize,
    /// Leaves that the server accepts and does not keep, with the feature gate where it is known.
    pub dropped: Vec<(String, String)>,
    /// Leaves that the server forbids at their place whatever they hold, in its words.
    pub forbidden: Vec<(String, String)>,
    /// Leaves that it refused otherwise.
    pub refused: Vec<(String, String)>,
    pub requests: usize,
    pub took: Duration,
}

impl Coverage {
    pub fn of(search: &Search<'_>, metrics: &str) -> Self {
        let mut coverage = Self {
            kind: format!(
                "{} {}",
                search.place.api_type.api_version(),
                search.place.kind()
            ),
            leaves: search.leaves.len(),
            covered: 0,
            objects: search.accepted.len(),
            dropped: Vec::new(),
            forbidden: Vec::new(),
            refused: Vec::new(),
            requests: 0,
            took: Duration::ZERO,
        };
        for leaf in &search.leaves {
            let name = shown(leaf);
            let refusal = leaf.refusal.clone().unwrap_or_default();
            let is_final = refusal.is_final() && leaf.steps.starts_with(&refusal.at);
            match leaf.state {
                State::Covered => coverage.covered += 1,
                State::Dropped => {
                    let path: Vec<Key> = leaf.steps.iter().map(example).collect();
                    let descriptions = search.root.descriptions(&path);
                    let gate = descriptions
                        .iter()
                        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()))
                        .find(|word| is_off(word, metrics));
                    let gate = gate.or_else(|| known_gate(&name).filter(|g| is_off(g, metrics)));
                    let why = match gate {
                        Some(gate) => format!("feature gate {gate} is off"),
                        None => explained(search.place.kind(), &name).to_owned(),
                    };
                    coverage.dropped.push((name, why));
                }
                State::Open if is_final => {
                    coverage.forbidden.push((name, refusal.message));
                }
                State::Open => {
                    let why = format!("{}: {}", refusal.reason, refusal.message);
                    coverage.refused.push((name, why));
                }
            }
        }
        coverage
    }

    /// Leaves that the server takes and keeps from anybody.
    pub fn settable(&self) -> usize {
        self.leaves - self.dropped.len() - self.forbidden.len()
    }

    /// Percent of the settable leaves.
    pub fn percent(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let share = self.covered as f64 / self.settable().max(1) as f64;
        share * 100.0
    }
}

/// The gate of a field whose description does not name it.
fn known_gate(leaf: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 3] = [
        ("rollingUpdate.maxUnavailable", "MaxUnavailableStatefulSet"),
        ("lifecycle.stopSignal", "ContainerStopSignals"),
        ("schedulingGroup", "GenericWorkload"),
    ];
    let known = KNOWN.iter().find(|(part, _)| leaf.contains(part));
    known.map(|(_, gate)| *gate)
}

/// Why the server drops a field whose description names no gate. Words for the reader; nothing is
/// left out because of it.
fn explained(kind: &str, leaf: &str) -> &'static str {
    const KNOWN: [(&str, &str, &str); 4] = [
        (
            "EndpointSlice",
            "deprecatedTopology",
            "kept for objects of v1beta1 alone",
        ),
        (
            "Node",
            "spec.configSource",
            "feature gate DynamicKubeletConfig is gone since 1.26",
        ),
        (
            "Secret",
            "stringData",
            "write-only: the server puts it into data",
        ),
        (
            "ServiceAccount",
            "secrets[]",
            "the server keeps the name alone",
        ),
    ];
    KNOWN
        .iter()
        .find(|(of, part, _)| *of == kind && leaf.contains(part))
        .map_or("reason not known", |(_, _, why)| why)
}

fn example(step: &Step) -> Key {
    match step {
        Step::Field(name) => Key::Field(name.clone()),
        Step::Element => Key::Index(0),
        Step::Entry => Key::Field("x".to_owned()),
    }
}

/// Whether a word is the name of a feature gate of this server that is off.
/// <https://kubernetes.io/docs/reference/instrumentation/metrics/> (`kubernetes_feature_enabled`)
fn is_off(word: &str, metrics: &str) -> bool {
    let start = format!("kubernetes_feature_enabled{{name=\"{word}\",");
    metrics
        .lines()
        .any(|line| line.starts_with(&start) && line.ends_with(" 0"))
}

/// A table of all kinds, then what is not covered.
pub fn table(coverage: &[Coverage]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<58} {:>6} {:>8} {:>7} {:>6} {:>5} {:>9} {:>7} {:>7} {:>8} {:>6}",
        "kind",
        "leaves",
        "settable",
        "covered",
        "%",
        "gated",
        "forbidden",
        "refused",
        "objects",
        "requests",
        "s"
    );
    for kind in coverage {
        let _ = writeln!(
            text,
            "{:<58} {:>6} {:>8} {:>7} {:>6.1} {:>5} {:>9} {:>7} {:>7} {:>8} {:>6.1}",
            kind.kind,
            kind.leaves,
            kind.settable(),
            kind.covered,
            kind.percent(),
            kind.dropped.len(),
            kind.forbidden.len(),
            kind.refused.len(),
            kind.objects,
            kind.requests,
            kind.took.as_secs_f64()
        );
    }
    for kind in coverage {
        for (what, leaves) in [
            ("gated", &kind.dropped),
            ("forbidden", &kind.forbidden),
            ("refused", &kind.refused),
        ] {
            // Leaves that the server refuses in the same words are one line.
            let mut lines: Vec<(String, &String, usize)> = Vec::new();
            for (leaf, why) in leaves {
                let why: String = why.chars().take(200).collect::<String>().replace('\n', " ");
                match lines.iter_mut().find(|line| line.0 == why) {
                    Some(line) => line.2 += 1,
                    None => lines.push((why, leaf, 1)),
                }
            }
            for (why, leaf, count) in lines {
                let more = match count {
                    1 => String::new(),
                    count => format!(" (and {} more)", count - 1),
                };
                let _ = writeln!(text, "{} {what} {leaf}{more}: {why}", kind.kind);
            }
        }
    }
    text
}
