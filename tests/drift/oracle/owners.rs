//! Who owns a place, from `managedFields` as the server sent it.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System>:
//! `f:` a field, `k:` an element by its keys, `v:` an element by its value, `i:` by its position,
//! `.` the place itself.

use serde_json::Value;

use super::path::{Step, get};

/// The entries of one object.
pub(crate) struct Owners {
    entries: Vec<Entry>,
    last_applied: Option<Value>,
    /// One of the tools that deploy wrote it: then kubectl is a human.
    tool_deploys: bool,
    extra_deployers: Vec<String>,
}

struct Entry {
    writer: Writer,
    fields: Value,
}

/// Who wrote, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) operation: String,
    pub(crate) subresource: String,
}

/// What a writer is, the one that decides first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Human,
    DeployerApply,
    DeployerUpdate,
    Other,
    Trusted,
}

/// Tools whose managers deploy wherever they wrote. Enough for what the tests let write.
const TOOLS: [&str; 7] = [
    "argocd-controller",
    "argocd-application-controller",
    "kustomize-controller",
    "helm-controller",
    "helm",
    "kapp",
    "Terraform",
];

const TRUSTED: [&str; 4] = [
    "kube-controller-manager",
    "kube-scheduler",
    "clusterrole-aggregation-controller",
    "kube-apiserver",
];

impl Owners {
    /// Reads an object with its `managedFields` and annotations.
    pub(crate) fn of(object: &Value, extra_deployers: &[String]) -> Self {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries: Vec<Entry> = metadata["managedFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| Entry {
                writer: Writer {
                    manager: text(&entry["manager"]),
                    operation: text(&entry["operation"]),
                    subresource: text(&entry["subresource"]),
                },
                fields: entry["fieldsV1"].clone(),
            })
            .collect();
        let annotation =
            metadata["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str();
        let tool_deploys = entries
            .iter()
            .any(|entry| TOOLS.contains(&entry.writer.manager.as_str()));
        Self {
            entries,
            last_applied: annotation.and_then(|text| serde_json::from_str(text).ok()),
            tool_deploys,
            extra_deployers: extra_deployers.to_vec(),
        }
    }

    fn role(&self, writer: &Writer) -> Role {
        let manager = writer.manager.as_str();
        let main = writer.subresource.is_empty();
        let apply = writer.operation == "Apply";
        let kubectl_deploys = !self.tool_deploys
            && match manager {
                "kubectl" => apply,
                "kubectl-client-side-apply" | "kubectl-create" => !apply,
                "kubectl-strandline-restore" => true,
                _ => false,
            };
        let named = TOOLS.contains(&manager) || self.extra_deployers.iter().any(|m| m == manager);
        if main && (kubectl_deploys || named) {
            return if apply {
                Role::DeployerApply
            } else {
                Role::DeployerUpdate
            };
        }
        match manager {
            manager if manager.starts_with("kubectl") => Role::Human,
            manager if TRUSTED.contains(&manager) => Role::Trusted,
            _ => Role::Other,
        }
    }

    /// The owner that decides of a place, with its role.
    ///
    /// Those that name the place or something in it; where nobody does, those that own the nearest
    /// place around it as one value.
    pub(crate) fn highest(&self, path: &[Step]) -> Option<(Role, Writer)> {
        let at = |depth: usize| {
            self.entries.iter().filter(move |entry| {
                let found = lookup(&entry.fields, &path[..depth]);
                found.is_some_and(|fields| depth == path.len() || is_whole(fields))
            })
        };
        let depth = (1..=path.len())
            .rev()
            .find(|&depth| at(depth).next().is_some())?;
        at(depth)
            .map(|entry| (self.role(&entry.writer), entry.writer.clone()))
            .min()
    }

    /// Whether last-applied has the place.
    pub(crate) fn in_last_applied(&self, path: &[Step]) -> bool {
        let value = self.last_applied.as_ref();
        value.is_some_and(|value| get(value, path).is_some())
    }
}

/// An entry's set at a place: `{}` owns it as one value.
fn lookup<'a>(fields: &'a Value, path: &[Step]) -> Option<&'a Value> {
    let mut fields = fields;
    for step in path {
        fields = match step {
            Step::Key(key) => fields.get(format!("f:{key}"))?,
            Step::Item(item) => by_json(fields, "v:", item)?,
            Step::Where(keys) => {
                let keys = keys.iter().cloned().collect();
                by_json(fields, "k:", &Value::Object(keys))?
            }
        };
    }
    Some(fields)
}

fn by_json<'a>(fields: &'a Value, prefix: &str, wanted: &Value) -> Option<&'a Value> {
    let fields = fields.as_object()?;
    let found = fields.iter().find(|(name, _)| {
        let text = name.strip_prefix(prefix);
        text.and_then(|text| serde_json::from_str::<Value>(text).ok())
            .is_some_and(|value| value == *wanted)
    });
    found.map(|(_, fields)| fields)
}

fn is_whole(fields: &Value) -> bool {
    fields.as_object().is_some_and(serde_json::Map::is_empty)
}
