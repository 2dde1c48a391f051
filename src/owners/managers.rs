//! The table of field managers: who is behind a name in `managedFields`. Data, and its look-up.
//!
//! Where a client names no manager, the server takes what stands before the first `/` of its user
//! agent (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>).
//!
//! Later: deployers and trusted controllers.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;
use serde_json::value::RawValue;

/// How an entry names managers.
#[derive(Clone, Copy, Debug)]
enum Name {
    /// This one.
    Is(&'static str),
    /// Every one that begins so.
    Begins(&'static str),
}

impl Name {
    fn fits(self, manager: &str) -> bool {
        match self {
            Self::Is(name) => manager == name,
            Self::Begins(name) => manager.starts_with(name),
        }
    }
}

/// Managers behind which a person stands, and where their names come from.
///
/// `kubectl` in a pipeline cannot be told from `kubectl` in a terminal, and counts. Tools whose
/// name is a controller's as well (`rancher`, `Go-http-client`, `unknown`) do not.
const INTERACTIVE: [(Name, &str); 10] = [
    (
        // kubectl itself, and `kubectl-edit`, `kubectl-patch`, `kubectl-client-side-apply`, …
        Name::Begins("kubectl"),
        "https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers",
    ),
    (
        // The OpenShift client, where it does not write as kubectl.
        Name::Is("oc"),
        "https://github.com/openshift/oc",
    ),
    (
        // Edits in Argo CD's UI; what it deploys is written by `argocd-controller`.
        Name::Is("argocd-server"),
        "https://argo-cd.readthedocs.io/en/stable/operator-manual/architecture/#api-server",
    ),
    (Name::Is("k9s"), "https://github.com/derailed/k9s"),
    (
        // Lens, by the HTTP library that it wrote with.
        Name::Is("node-fetch"),
        "https://github.com/lensapp/lens",
    ),
    (Name::Begins("Lens"), "https://github.com/lensapp/lens"),
    (
        // A browser, whose user agent a console hands on: OpenShift's, Rancher's, KubeSphere's.
        Name::Is("Mozilla"),
        "https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/User-Agent",
    ),
    (
        // `Headlamp <version> (<os>`.
        Name::Begins("Headlamp"),
        "https://github.com/kubernetes-sigs/headlamp",
    ),
    (
        // Kubernetes Dashboard.
        Name::Is("dashboard"),
        "https://github.com/kubernetes/dashboard",
    ),
    (
        // `lfk:<user>`.
        Name::Begins("lfk"),
        "https://github.com/janosmiko/lfk/pull/586",
    ),
];

/// Our own `restore --apply`: it begins with `kubectl` so that Flux takes its fields over, and is
/// nobody's edit.
const OUR_RESTORE: &str = "kubectl-strandline-restore";

/// Whether a person stands behind this field manager.
pub fn is_interactive(manager: &str) -> bool {
    manager != OUR_RESTORE && INTERACTIVE.iter().any(|(name, _)| name.fits(manager))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(default)]
    manager: Option<String>,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    subresource: Option<String>,
    #[serde(default)]
    time: Option<String>,
    #[serde(borrow, default)]
    fields_v1: Option<&'a RawValue>,
}

/// A mark of what people wrote of an object: it changes when one of them writes again.
///
/// `managed_fields` is [`RawObject::managed_fields`](crate::object::RawObject). `replicas` is the
/// object's `spec.replicas`: an entry of subresource `scale` has no time, so that a second
/// `kubectl scale` leaves no other trace in it. 0 where nobody wrote; text of another shape is
/// nobody's.
pub fn interactive_mark(managed_fields: Option<&RawValue>, replicas: Option<i64>) -> u64 {
    let Some(managed_fields) = managed_fields else {
        return 0;
    };
    let entries: Vec<Entry<'_>> = serde_json::from_str(managed_fields.get()).unwrap_or_default();
    let mark = |entry: &Entry<'_>| {
        // Without a seed: the same in every run.
        let mut hasher = DefaultHasher::new();
        let scale = entry.subresource.as_deref() == Some("scale");
        (&entry.manager, &entry.operation, &entry.subresource).hash(&mut hasher);
        (&entry.time, entry.fields_v1.map(RawValue::get)).hash(&mut hasher);
        replicas.filter(|_| scale).hash(&mut hasher);
        hasher.finish()
    };
    entries
        .iter()
        .filter(|entry| entry.manager.as_deref().is_some_and(is_interactive))
        // The order of entries says nothing.
        .fold(0, |sum, entry| sum ^ mark(entry))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn mark(entries: &Value, replicas: Option<i64>) -> u64 {
        let raw = RawValue::from_string(entries.to_string()).unwrap();
        interactive_mark(Some(&raw), replicas)
    }

    #[test]
    fn people_are_told_from_machines() {
        for person in [
            "kubectl",
            "kubectl-edit",
            "kubectl-client-side-apply",
            "argocd-server",
            "k9s",
            "node-fetch",
            "Mozilla",
            "Headlamp 0.30.0 (linux",
        ] {
            assert!(is_interactive(person), "{person}");
        }
        for machine in [
            "kubectl-strandline-restore",
            "argocd-controller",
            "kustomize-controller",
            "helm",
            "kube-controller-manager",
            "manager",
            "ocm-agent",
            "",
        ] {
            assert!(!is_interactive(machine), "{machine}");
        }
        for (_, source) in INTERACTIVE {
            assert!(source.starts_with("https://"), "{source}");
        }
    }

    #[test]
    fn the_mark_changes_with_what_people_write_and_with_nothing_else() {
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields});
        let person = entry("kubectl-edit", "1", json!({"f:data": {}}));
        let machine = entry("manager", "1", json!({"f:data": {"f:a": {}}}));
        let base = mark(&json!([person, machine]), Some(1));
        assert_ne!(base, 0);
        assert_eq!(base, mark(&json!([machine, person]), Some(1)), "the order");
        let later = entry("manager", "2", json!({}));
        assert_eq!(base, mark(&json!([person, later]), Some(2)), "a machine");
        for other in [
            entry("kubectl-edit", "2", json!({"f:data": {}})),
            entry("kubectl-edit", "1", json!({"f:data": {"f:a": {}}})),
            entry("kubectl-patch", "1", json!({"f:data": {}})),
        ] {
            assert_ne!(base, mark(&json!([other, machine]), Some(1)));
        }
        assert_eq!(mark(&json!([machine]), Some(1)), 0);
        assert_eq!(mark(&json!({"not": "entries"}), None), 0);
        assert_eq!(interactive_mark(None, Some(1)), 0);
    }

    #[test]
    fn a_second_scale_by_hand_shows_though_its_entry_has_no_time() {
        let entries = json!([{"manager": "kubectl", "operation": "Update",
            "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        assert_ne!(mark(&entries, Some(3)), mark(&entries, Some(4)));
    }
}
