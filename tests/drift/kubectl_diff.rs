//! What `kubectl diff` says of the same states, and why it says something else.
//!
//! It asks the server what an apply would change. What somebody added is not changed by an apply,
//! so that it is silent there; the classes of disagreement are counted, and there is no other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::bed::Bed;
use crate::matrix::Mutation;
use crate::oracle::{Class, Finding, Identity};
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::{Failure, Result};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A call is about hundreds of objects.
const DEADLINE: Duration = Duration::from_secs(300);

/// So many objects that one refusal costs little, and the start of kubectl too.
const AT_ONCE: usize = 48;

/// Which of its two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Flavour {
    Client,
    Server,
}

/// What drift says of an object.
#[derive(Clone, Copy)]
pub(crate) struct Verdict<'a> {
    pub(crate) id: &'a Identity,
    pub(crate) expected: &'a [Finding],
    /// How the object came to be as it is.
    pub(crate) how: &'a str,
}

impl<'a> Verdict<'a> {
    pub(crate) fn of(mutation: &'a Mutation) -> Self {
        Self {
            id: &mutation.id,
            expected: &mutation.expected,
            how: &mutation.how,
        }
    }
}

/// How often the verdicts agreed, and why they did not.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<(Flavour, &'static str), usize>,
}

impl Tally {
    /// Asks kubectl about the objects in both ways, and explains each disagreement; what nothing
    /// explains is returned.
    pub(crate) fn compare(
        &mut self,
        bed: &Bed<'_>,
        verdicts: &[Verdict<'_>],
    ) -> Result<Vec<String>> {
        let asked: Vec<Asked> = verdicts.iter().map(|ours| Asked::new(bed, ours)).collect();
        let plane = bed.plane;
        let (client, server) = std::thread::scope(|scope| {
            let client = scope.spawn(|| Said::of(plane, Flavour::Client, &asked));
            let server = Said::of(plane, Flavour::Server, &asked);
            (client.join(), server)
        });
        let client = client.map_err(|_| Failure::new("a thread failed"))??;
        let mut unexplained = self.explain_all(Flavour::Client, verdicts, &client);
        unexplained.extend(self.explain_all(Flavour::Server, verdicts, &server?));
        Ok(unexplained)
    }

    fn explain_all(
        &mut self,
        flavour: Flavour,
        verdicts: &[Verdict<'_>],
        said: &Said,
    ) -> Vec<String> {
        let mut unexplained = Vec::new();
        for ours in verdicts {
            let name = file_name(ours.id);
            let refused = said.refused.get(&name);
            let lines = said.differing.get(&name);
            let differs = lines.is_some();
            let class = match refused {
                Some(_) if !ours.expected.is_empty() => Some("the server refuses to say"),
                _ => explain(flavour, ours, differs),
            };
            if let Some(class) = class {
                *self.counts.entry((flavour, class)).or_default() += 1;
                continue;
            }
            let verdict = match (refused, differs) {
                (Some(error), _) => error,
                (None, true) => "has a difference",
                (None, false) => "is silent",
            };
            unexplained.push(format!(
                "kubectl diff ({flavour:?}) of {} {}: {verdict}: {}\n  expected {:?}\n  {lines:?}",
                ours.id.kind, ours.id.name, ours.how, ours.expected
            ));
        }
        unexplained
    }

    pub(crate) fn print(&self) -> String {
        let lines = self
            .counts
            .iter()
            .map(|((flavour, class), count)| format!("  {flavour:?}: {count} {class}"));
        let lines: Vec<String> = lines.collect();
        format!(
            "kubectl diff, by class of (dis)agreement:\n{}",
            lines.join("\n")
        )
    }
}

/// The class of a verdict; `None` where nothing explains it.
fn explain(flavour: Flavour, ours: &Verdict<'_>, differs: bool) -> Option<&'static str> {
    let has = |class: Class| ours.expected.iter().any(|found| found.class == class);
    let alarm = has(Class::Changed) || has(Class::Removed);
    let in_paths = |word: &str| ours.expected.iter().all(|found| found.path.contains(word));
    let client = flavour == Flavour::Client;
    let custom = ours.id.group.contains('.') && !ours.id.group.ends_with(".k8s.io");
    match (alarm, differs) {
        (true, true) => Some("both see a changed or removed field"),
        (false, false) if ours.expected.is_empty() => Some("both see nothing"),
        (false, false) => Some("kubectl misses what somebody added"),
        // It patches custom resources by JSON merge patch, which knows no elements.
        (false, true) if client && custom && in_paths("[") => {
            Some("kubectl takes a custom resource's list as one value")
        }
        // Who applies one key of an atomic map applies all of it.
        (false, true) if in_paths("elector.") => Some("an apply replaces an atomic map whole"),
        // https://github.com/kubernetes/kubernetes/issues/39188
        (true, false) if client && in_paths("protocol=") => {
            Some("kubectl tells ports apart by their number alone")
        }
        (true, false) | (false, true) => None,
    }
}

/// As kubectl names the files that it compares: `apps.v1.Deployment.shop.web`.
fn file_name(id: &Identity) -> String {
    let mut parts = vec![id.version.as_str(), &id.kind];
    if !id.group.is_empty() {
        parts.insert(0, &id.group);
    }
    parts.push(id.namespace.as_deref().unwrap_or_default());
    parts.push(&id.name);
    parts.join(".")
}

/// What kubectl said.
#[derive(Default)]
struct Said {
    /// Objects that an apply would change.
    differing: BTreeMap<String, Vec<String>>,
    /// Objects of which the server refuses the dry run, and its words.
    refused: BTreeMap<String, String>,
}

/// An object that kubectl is asked about.
struct Asked {
    file_name: String,
    manifest: String,
}

impl Asked {
    fn new(bed: &Bed<'_>, ours: &Verdict<'_>) -> Self {
        let manifest = bed.desired_of(ours.id).map(Value::to_string);
        Self {
            file_name: file_name(ours.id),
            manifest: manifest.unwrap_or_default(),
        }
    }
}

impl Said {
    fn of(plane: &ControlPlane, flavour: Flavour, asked: &[Asked]) -> Result<Self> {
        let mut said = Self::default();
        for some in asked.chunks(AT_ONCE) {
            said.ask(plane, flavour, some)?;
        }
        Ok(said)
    }

    /// Asks about all at once, and by halves where that fails: one refusal ends the whole call.
    fn ask(&mut self, plane: &ControlPlane, flavour: Flavour, batch: &[Asked]) -> Result<()> {
        let manifests = batch.iter().map(|one| one.manifest.as_str());
        let text = manifests.collect::<Vec<_>>().join("\n---\n");
        let mut kubectl = plane
            .kubectl_as(ADMIN)?
            .env("KUBECTL_EXTERNAL_DIFF", "diff -r -N -U1")
            .args(["diff", "-f", "-"])
            .deadline(DEADLINE);
        if flavour == Flavour::Server {
            kubectl = kubectl.args(["--server-side", "--force-conflicts"]);
        }
        let finished = kubectl.stdin(text).run()?;
        match (finished.code, batch) {
            (Some(0 | 1), _) => self.differing.extend(differing(&finished.stdout)),
            (_, [one]) => {
                let name = one.file_name.clone();
                self.refused.insert(name, finished.stderr);
            }
            _ => {
                let (one, other) = batch.split_at(batch.len() / 2);
                self.ask(plane, flavour, one)?;
                self.ask(plane, flavour, other)?;
            }
        }
        Ok(())
    }
}

/// The files of a unified diff that differ in more than the server's counter.
fn differing(diff: &str) -> BTreeMap<String, Vec<String>> {
    let mut differing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut file = String::new();
    for line in diff.lines() {
        if let Some(path) = line.strip_prefix("+++ ") {
            let path = path.split('\t').next().unwrap_or_default();
            path.rsplit('/')
                .next()
                .unwrap_or_default()
                .clone_into(&mut file);
        } else if line.starts_with(['+', '-']) && !line.starts_with("---") {
            let word = line[1..].trim_start();
            // Server-side apply writes last-applied anew, without the empty annotations of
            // client-side apply; and the server counts generations.
            let counter = ["generation:", "{\"apiVersion\":", LAST_APPLIED];
            if !counter.iter().any(|head| word.starts_with(head)) {
                differing
                    .entry(file.clone())
                    .or_default()
                    .push(line.to_owned());
            }
        }
    }
    differing
}
