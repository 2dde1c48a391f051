//! The table of field managers: who is behind a name in `managedFields`. Its look-up; the data is
//! `filters/managers.json`.
//!
//! Where a client names no manager, the server takes what stands before the first `/` of its user
//! agent (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers>).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::shape::FieldWriter;

/// Who is behind a field manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// A person, at a tool.
    Human,
    /// Deploys, wherever it writes.
    Deployer,
    /// `kubectl apply` and the like: deploys where no [`Role::Deployer`] does, and is otherwise a
    /// person at a terminal.
    Client,
    /// A controller whose writing is part of how a cluster works.
    Controller,
    /// A name that the server invents where it does not know.
    Unknown,
    /// Any other: an operator, a script.
    #[serde(skip)]
    Other,
}

/// What an entry of managedFields is of:
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Operation {
    /// A server-side apply.
    Apply,
    /// Any other write.
    Update,
}

impl Operation {
    /// As managedFields spells it.
    const fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One line of the table. The first that fits counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagerRow {
    /// Its name; with a `*` at its end, every name that begins so.
    #[serde(deserialize_with = "pattern")]
    pub manager: String,
    /// Any where there is none.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// The subresource, the empty text for the object itself; any where there is none.
    #[serde(default)]
    pub subresource: Option<String>,
    /// Who is behind it.
    pub role: Role,
    /// Anything that a reader should know.
    #[serde(default)]
    pub note: String,
    /// The page or source that says so.
    pub see: String,
}

/// A name, or the beginning of one: what would never fit is refused.
fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let begins = name.strip_suffix('*').unwrap_or(&name);
    if begins.is_empty() || begins.contains('*') {
        return Err(D::Error::custom(
            "a manager is a name, or the beginning of one and a * at its end",
        ));
    }
    Ok(name)
}

/// A file of the table, embedded or a user's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagersFile {
    /// Its lines.
    pub managers: Vec<ManagerRow>,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Managers {
    rows: Vec<ManagerRow>,
    exact: HashMap<String, Vec<usize>>,
    prefixes: Vec<usize>,
}

static EMBEDDED: LazyLock<Managers> = LazyLock::new(|| {
    let file: ManagersFile = serde_json::from_str(include_str!("../../filters/managers.json"))
        .expect("the embedded table is read by a test");
    Managers::of(file.managers)
});

impl Managers {
    /// The table that comes with Strandline.
    ///
    /// # Panics
    ///
    /// Never: a test reads it.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// The embedded table, with these lines before its own.
    #[must_use]
    pub fn extended_by(file: ManagersFile) -> Self {
        let mut rows = file.managers;
        rows.extend(Self::embedded().rows.iter().cloned());
        Self::of(rows)
    }

    fn of(rows: Vec<ManagerRow>) -> Self {
        let mut table = Self {
            rows: Vec::new(),
            exact: HashMap::new(),
            prefixes: Vec::new(),
        };
        for (at, row) in rows.iter().enumerate() {
            if row.manager.ends_with('*') {
                table.prefixes.push(at);
            } else {
                let same = table.exact.entry(row.manager.clone()).or_default();
                same.push(at);
            }
        }
        table.rows = rows;
        table
    }

    /// The lines, in their order.
    pub fn rows(&self) -> &[ManagerRow] {
        &self.rows
    }

    /// The first line with this name for which `wanted` holds.
    fn find(&self, manager: &str, wanted: impl Fn(&ManagerRow) -> bool) -> Option<&ManagerRow> {
        let exact = self.exact.get(manager).into_iter().flatten();
        let exact = exact.copied().find(|&at| wanted(&self.rows[at]));
        let begins = |at: &usize| {
            let row = &self.rows[*at];
            let prefix = row.manager.strip_suffix('*');
            prefix.is_some_and(|prefix| manager.starts_with(prefix)) && wanted(row)
        };
        let prefix = self.prefixes.iter().copied().find(begins);
        let at = match (exact, prefix) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        Some(&self.rows[at])
    }

    /// Who is behind a writer.
    pub fn role(&self, writer: &FieldWriter) -> Role {
        self.role_of(&writer.manager, &writer.operation, &writer.subresource)
    }

    fn role_of(&self, manager: &str, operation: &str, subresource: &str) -> Role {
        let fits = |row: &ManagerRow| {
            row.operation
                .is_none_or(|wanted| wanted.name() == operation)
                && row
                    .subresource
                    .as_deref()
                    .is_none_or(|wanted| wanted == subresource)
        };
        self.find(manager, fits).map_or(Role::Other, |row| row.role)
    }
}

/// Who is behind a writer, by the embedded table.
pub(super) fn role(manager: &str, operation: &str, subresource: &str) -> Role {
    Managers::embedded().role_of(manager, operation, subresource)
}

/// Our own `restore --apply`: it begins with `kubectl` so that Flux takes its fields over, and is
/// nobody's edit.
const OUR_RESTORE: &str = "kubectl-strandline-restore";

/// Whether a person stands behind this field manager. `kubectl` in a pipeline cannot be told from
/// `kubectl` in a terminal, and counts.
pub fn is_interactive(manager: &str) -> bool {
    let row = Managers::embedded().find(manager, |_| true);
    manager != OUR_RESTORE && row.is_some_and(|row| matches!(row.role, Role::Human | Role::Client))
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
            "dashboard",
            "dashboard-api:1.12.0",
            "flux",
            "flux-client-side-apply",
        ] {
            assert!(is_interactive(person), "{person}");
        }
        for machine in [
            "kubectl-strandline-restore",
            "argocd-controller",
            "kustomize-controller",
            "helm",
            "k3s",
            "kube-controller-manager",
            "manager",
            "ocm-agent",
            "",
        ] {
            assert!(!is_interactive(machine), "{machine}");
        }
    }

    #[test]
    fn every_line_says_where_it_is_from_and_can_fit() {
        let rows = Managers::embedded().rows();
        for (at, row) in rows.iter().enumerate() {
            assert!(row.see.starts_with("https://"), "{row:?}");
            // No line hides a later one.
            let name = row.manager.replace('*', "x");
            for operation in row
                .operation
                .map_or(vec!["Apply", "Update"], |o| vec![o.name()])
            {
                let subresource = row.subresource.as_deref().unwrap_or("scale");
                let first = Managers::embedded().find(&name, |row| {
                    row.operation.is_none_or(|o| o.name() == operation)
                        && row.subresource.as_deref().is_none_or(|s| s == subresource)
                });
                let first = first.unwrap();
                let before = rows.iter().position(|one| std::ptr::eq(one, first));
                assert_eq!(before, Some(at), "{row:?}: {first:?}");
            }
        }
    }

    /// Names as their programs write them, found in their sources or in managedFields that somebody
    /// showed; each line of the table says where.
    #[test]
    fn names_as_they_are_written_have_their_role() {
        for (manager, operation, subresource, expected) in [
            ("argocd-controller", "Apply", "", Role::Deployer),
            ("argocd-controller", "Update", "", Role::Deployer),
            (
                "argocd-application-controller",
                "Update",
                "",
                Role::Deployer,
            ),
            (
                "argocd-applicationset-controller",
                "Update",
                "",
                Role::Deployer,
            ),
            ("argocd-server", "Update", "", Role::Human),
            ("kustomize-controller", "Apply", "", Role::Deployer),
            ("helm-controller", "Update", "", Role::Deployer),
            ("flux-operator", "Apply", "", Role::Deployer),
            // flux install, and flux suspend.
            ("flux", "Apply", "", Role::Deployer),
            ("flux", "Update", "", Role::Human),
            ("flux-client-side-apply", "Update", "", Role::Human),
            ("helm", "Update", "", Role::Deployer),
            ("helm", "Apply", "", Role::Deployer),
            (
                "terraform-provider-helm_v2.13.0_x5",
                "Update",
                "",
                Role::Deployer,
            ),
            ("Terraform", "Apply", "", Role::Deployer),
            ("HashiCorp", "Update", "", Role::Deployer),
            ("agentk", "Apply", "", Role::Deployer),
            ("fleetagent", "Update", "", Role::Deployer),
            ("kapp", "Update", "", Role::Deployer),
            ("kapp-server-side-apply", "Apply", "", Role::Deployer),
            ("pulumi-kubernetes", "Update", "", Role::Deployer),
            ("pulumi-kubernetes-31df3088", "Apply", "", Role::Deployer),
            ("kluctl", "Apply", "", Role::Deployer),
            ("zarf", "Apply", "", Role::Deployer),
            ("kubectl", "Apply", "", Role::Client),
            ("kubectl", "Update", "", Role::Human),
            ("kubectl", "Update", "scale", Role::Human),
            ("kubectl-client-side-apply", "Update", "", Role::Client),
            ("kubectl-client-side-apply", "Apply", "", Role::Human),
            ("kubectl-create", "Update", "", Role::Client),
            ("kubectl-create", "Update", "scale", Role::Human),
            ("kubectl-label", "Update", "", Role::Human),
            ("node-fetch", "Update", "scale", Role::Human),
            ("Headlamp 0.30.0 (linux", "Update", "", Role::Human),
            ("dashboard-api:1.12.0", "Update", "", Role::Human),
            // Azure's program is not named as its image is.
            ("cloud-controller-manager", "Update", "", Role::Controller),
            ("cloud-node-manager", "Update", "", Role::Controller),
            ("azure-cloud-controller-manager", "Update", "", Role::Other),
            (
                "aws-cloud-controller-manager",
                "Update",
                "",
                Role::Controller,
            ),
            ("cert-manager-cainjector", "Update", "", Role::Controller),
            (
                "clusterrole-aggregation-controller",
                "Apply",
                "",
                Role::Controller,
            ),
            (
                "kube-controller-manager",
                "Update",
                "scale",
                Role::Controller,
            ),
            ("k3s", "Update", "scale", Role::Controller),
            ("kubelite", "Update", "", Role::Controller),
            ("ancient-changes", "Update", "", Role::Unknown),
            ("before-first-apply", "Update", "", Role::Unknown),
            // Names of many, and names that nobody was seen to write.
            ("Go-http-client", "Update", "", Role::Other),
            ("okhttp", "Update", "", Role::Other),
            ("unknown", "Update", "", Role::Other),
            ("gitlab-agent", "Apply", "", Role::Other),
            ("fleet-agent", "Update", "", Role::Other),
            ("harness-delegate", "Update", "", Role::Other),
            ("lfk-demo-ticker", "Update", "", Role::Other),
            ("helmfile", "Update", "", Role::Other),
            ("", "Update", "", Role::Other),
        ] {
            let found = role(manager, operation, subresource);
            assert_eq!(found, expected, "{manager} {operation} {subresource}");
        }
    }

    #[test]
    fn a_line_that_could_never_fit_is_refused() {
        let read = |row: Value| {
            let file = json!({ "managers": [row] });
            serde_json::from_value::<ManagersFile>(file).map_err(|error| error.to_string())
        };
        let row = |manager: &str| json!({"manager": manager, "role": "deployer", "see": "us"});
        for manager in ["", "*", "a*b", "a**"] {
            let error = read(row(manager)).unwrap_err();
            assert!(error.contains("the beginning of one"), "{manager}: {error}");
        }
        let mut apply = row("shop-*");
        apply["operation"] = "apply".into();
        let error = read(apply.clone()).unwrap_err();
        assert!(error.contains("`Apply` or `Update`"), "{error}");
        apply["operation"] = "Apply".into();
        let table = Managers::extended_by(read(apply).unwrap());
        let writer = |operation: &str| FieldWriter {
            manager: "shop-pipeline".into(),
            operation: operation.into(),
            subresource: "".into(),
            api_version: "v1".into(),
        };
        assert_eq!(table.role(&writer("Apply")), Role::Deployer);
        assert_eq!(table.role(&writer("Update")), Role::Other);
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
