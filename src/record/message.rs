//! The text of a commit. Pure.
//!
//! Subject in words, body with the objects and their changed fields, trailers for machines
//! (<https://git-scm.com/docs/git-interpret-trailers>). Names only, never values; whatever could
//! break a line or a terminal is escaped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::changes::is_format;
use super::events::Batch;
use super::stage::{Action, Change, Removal};

/// What a message says of one object beyond its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    /// Paths of the fields that changed; empty where nobody compared.
    pub(crate) fields: Vec<String>,
    /// Managers that wrote them, or the whole object last.
    pub(crate) managers: BTreeSet<String>,
}

/// Version of the canonical bytes; a change of it rewrites every file once.
pub const FORMAT_VERSION: u32 = 1;
/// Objects that a body lists.
pub(crate) const LISTED: usize = 200;
/// Fields that a body lists for one object, and a subject for its only one.
const FIELDS: usize = 12;
const SUBJECT_FIELDS: usize = 3;
/// Managers and unknown types that the trailers name.
const TRAILERS: usize = 20;
/// GitHub cuts subjects here: a longer one is cut by us, at a character.
const LONGEST_SUBJECT: usize = 120;

/// Returns the message of a commit of the sidecar, without trailers.
pub(crate) fn sidecar_message(objects: usize, facts: usize) -> String {
    let objects = match objects {
        0 => None,
        1 => Some("the owners of 1 object".to_owned()),
        n => Some(format!("the owners of {n} objects")),
    };
    let facts = (facts > 0).then(|| "facts of the cluster".to_owned());
    match (objects, facts) {
        (None, None) => "the mirror's newest commit".to_owned(),
        (objects, facts) => [objects, facts]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Returns the message of a batch.
///
/// `details` belongs to the batch's first changes, by position. `started` is the recorder's time
/// zero in seconds since 1970 UTC.
pub(crate) fn commit_message(
    batch: &Batch,
    details: &BTreeMap<usize, Details>,
    cluster_id: &str,
    cluster_name: &str,
    started: i64,
) -> String {
    let mut text = subject(batch, details, cluster_name);
    if text.chars().count() > LONGEST_SUBJECT {
        text = text.chars().take(LONGEST_SUBJECT - 1).collect();
        text.push('…');
    }
    text.push_str("\n\n");
    if batch.initial {
        by_type(&mut text, &batch.changes);
    } else {
        by_object(&mut text, &batch.changes, details);
    }
    text.push('\n');
    trailers(&mut text, batch, details, cluster_id);
    damped(&mut text, batch, started);
    text
}

fn subject(batch: &Batch, details: &BTreeMap<usize, Details>, cluster_name: &str) -> String {
    let changes = &batch.changes;
    if batch.initial {
        let kinds: BTreeSet<_> = changes.iter().map(|change| change.kind()).collect();
        let (objects, types) = (count(changes.len(), "object"), count(kinds.len(), "type"));
        return format!(
            "{}: first sync, {objects} of {types}",
            printable(cluster_name)
        );
    }
    if let [change] = changes.as_slice() {
        return only_object(change, details.get(&0));
    }
    if let Some(text) = namespace_or_definition(changes) {
        return text;
    }
    let mut text = match namespaces(changes).as_slice() {
        [Some(namespace)] => format!(
            "{}: {}",
            printable(namespace),
            count(changes.len(), "object")
        ),
        [None] => format!("cluster: {}", count(changes.len(), "object")),
        several => {
            let namespaces = several.iter().flatten().count();
            format!(
                "{} in {}",
                count(changes.len(), "object"),
                count(namespaces, "namespace")
            )
        }
    };
    let verbs: Vec<_> = tally(changes)
        .into_iter()
        .map(|(verb, n)| format!("{n} {verb}"))
        .collect();
    let _ = write!(text, " ({})", verbs.join(", "));
    if batch.first_sync {
        text.push_str(" while nobody recorded");
    }
    text
}

fn only_object(change: &Change, details: Option<&Details>) -> String {
    let mut text = String::new();
    if let Some(namespace) = change.namespace() {
        let _ = write!(text, "{}: ", printable(namespace));
    }
    let _ = write!(
        text,
        "{} {} {}",
        imperative(change),
        change.kind(),
        printable(change.name())
    );
    let fields = details
        .map(|details| details.fields.as_slice())
        .unwrap_or_default();
    if !fields.is_empty() {
        let mut shown: Vec<_> = fields.iter().map(|path| last_part(path)).collect();
        shown.dedup();
        let more = shown.len() > SUBJECT_FIELDS;
        shown.truncate(SUBJECT_FIELDS);
        let _ = write!(
            text,
            " ({}{})",
            shown.join(", "),
            if more { ", …" } else { "" }
        );
    }
    if let Action::Remove(removal) = &change.action
        && let Some(why) = reason(removal)
    {
        let _ = write!(text, " ({why})");
    }
    text
}

/// A namespace or a CRD that went and took everything along.
fn namespace_or_definition(changes: &[Box<Change>]) -> Option<String> {
    let removed = |change: &Change| matches!(change.action, Action::Remove(_));
    if !changes.iter().all(|change| removed(change)) {
        return None;
    }
    let (at, root) = changes.iter().enumerate().find(|(_, change)| {
        matches!(change.kind(), "Namespace" | "CustomResourceDefinition")
            && change.namespace().is_none()
    })?;
    let others = || {
        changes
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, c)| c)
    };
    let belongs = |change: &Change| match root.kind() {
        "Namespace" => change.namespace() == Some(root.name()),
        _ => crate::object::MirrorPath::parse(&change.path)
            .is_some_and(|parts| parts.directory == root.name()),
    };
    others().all(|change| belongs(change)).then(|| {
        format!(
            "delete {} {} with {}",
            root.kind(),
            printable(root.name()),
            count(changes.len() - 1, "object")
        )
    })
}

fn namespaces(changes: &[Box<Change>]) -> Vec<Option<&str>> {
    let set: BTreeSet<_> = changes.iter().map(|change| change.namespace()).collect();
    set.into_iter().collect()
}

fn tally(changes: &[Box<Change>]) -> Vec<(&'static str, usize)> {
    let verbs = ["created", "changed", "recreated", "deleted"];
    verbs
        .into_iter()
        .map(|verb| {
            (
                verb,
                changes.iter().filter(|change| past(change) == verb).count(),
            )
        })
        .filter(|(_, n)| *n > 0)
        .collect()
}

fn past(change: &Change) -> &'static str {
    match (&change.action, change.before) {
        (Action::Remove(_), _) => "deleted",
        _ if change.recreated => "recreated",
        (Action::Put { .. }, None) => "created",
        (Action::Put { .. }, Some(_)) => "changed",
    }
}

fn imperative(change: &Change) -> &'static str {
    match past(change) {
        "created" => "create",
        "changed" => "change",
        "recreated" => "recreate",
        _ if matches!(change.action, Action::Remove(Removal::Rule(_))) => "leave out",
        _ => "delete",
    }
}

fn reason(removal: &Removal) -> Option<String> {
    match removal {
        Removal::Deleted => None,
        Removal::NotListed => Some("not listed any more".to_owned()),
        Removal::TypeGone => Some("type not served any more".to_owned()),
        Removal::Rule(rule) => Some(format!("rule {rule}")),
    }
}

fn by_type(text: &mut String, changes: &[Box<Change>]) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for change in changes {
        *kinds.entry(change.kind()).or_default() += 1;
    }
    for (kind, n) in kinds {
        let _ = writeln!(text, "{n:>6} {kind}");
    }
}

fn by_object(text: &mut String, changes: &[Box<Change>], details: &BTreeMap<usize, Details>) {
    for (at, change) in changes.iter().enumerate().take(LISTED) {
        let sign = match &change.action {
            Action::Remove(_) => '-',
            Action::Put { .. } if change.before.is_none() => '+',
            Action::Put { .. } => '~',
        };
        let _ = write!(text, "{sign} ");
        if let Some(namespace) = change.namespace() {
            let _ = write!(text, "{}/", printable(namespace));
        }
        let _ = write!(text, "{} {}", change.kind(), printable(change.name()));
        if change.recreated {
            text.push_str(" (recreated)");
        }
        if let Some(Details { fields, .. }) = details.get(&at)
            && !fields.is_empty()
        {
            let _ = write!(text, ": {}", fields[..fields.len().min(FIELDS)].join(", "));
            if fields.len() > FIELDS {
                let _ = write!(text, " and {} more", fields.len() - FIELDS);
            }
        }
        if let Some(Details { managers, .. }) = details.get(&at)
            && !managers.is_empty()
        {
            let managers: Vec<_> = managers.iter().map(|manager| printable(manager)).collect();
            let _ = write!(text, " [{}]", managers.join(", "));
        }
        match &change.action {
            Action::Put { .. } => {}
            Action::Remove(removal) => {
                if let Some(why) = reason(removal) {
                    let _ = write!(text, " ({why})");
                }
            }
        }
        text.push('\n');
    }
    if changes.len() > LISTED {
        let _ = writeln!(text, "… and {} more", changes.len() - LISTED);
    }
}

fn trailers(
    text: &mut String,
    batch: &Batch,
    details: &BTreeMap<usize, Details>,
    cluster_id: &str,
) {
    let _ = writeln!(text, "Strandline-Cluster: {}", printable(cluster_id));
    let _ = writeln!(text, "Strandline-Format: {FORMAT_VERSION}");
    let managers: BTreeSet<_> = details
        .values()
        .flat_map(|details| &details.managers)
        .collect();
    for manager in managers.into_iter().take(TRAILERS) {
        let _ = writeln!(text, "K8s-Manager: {}", printable(manager));
    }
    for (directory, cause) in batch.unknown.iter().take(TRAILERS) {
        let _ = writeln!(
            text,
            "Strandline-Unknown: {} ({cause})",
            printable(directory)
        );
    }
    if batch.unknown.len() > TRAILERS {
        let _ = writeln!(
            text,
            "Strandline-Unknown: {} more",
            batch.unknown.len() - TRAILERS
        );
    }
}

/// Objects that are damped, and how much the commit leaves out of each.
fn damped(text: &mut String, batch: &Batch, started: i64) {
    for sample in batch.damped.iter().take(TRAILERS) {
        let since = i64::try_from(sample.since.as_secs())
            .ok()
            .and_then(|age| jiff::Timestamp::from_second(started.checked_add(age)?).ok())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let (path, changes) = (printable(&sample.path), sample.changes);
        let noun = if changes == 1 { "change" } else { "changes" };
        let _ = writeln!(
            text,
            "Strandline-Damped: {path} {changes} {noun} since {since}"
        );
    }
    if batch.damped.len() > TRAILERS {
        let _ = writeln!(
            text,
            "Strandline-Damped: {} more",
            batch.damped.len() - TRAILERS
        );
    }
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// The last part of a field path: what a person calls the field.
fn last_part(path: &str) -> &str {
    let mut depth = 0;
    let mut start = 0;
    let mut quoted = false;
    for (at, c) in path.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            '.' if !quoted && depth == 0 => start = at + 1,
            _ => {}
        }
    }
    &path[start..]
}

/// `text` on one line, without anything that a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_format(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::BlobId;
    use crate::record::stage::{Changes, Who};

    fn change(namespace: Option<&str>, kind: &str, name: &str, action: Action) -> Box<Change> {
        let directory = format!("{}s", kind.to_lowercase());
        let path = match namespace {
            Some(namespace) => format!("namespaces/{namespace}/{directory}/{name}.yaml"),
            None => format!("cluster/{directory}/{name}.yaml"),
        };
        let before = matches!(action, Action::Remove(_)).then(|| BlobId::of(b"old"));
        Box::new(Change {
            path: path.into(),
            object: Who::Path {
                kind: kind.into(),
                namespace: namespace.map(Into::into),
                name: name.into(),
            },
            before,
            action,
            recreated: false,
        })
    }

    fn put() -> Action {
        Action::Put {
            blob_id: BlobId::of(b"new"),
            bytes: None,
            spilled: false,
            managed_fields: None,
        }
    }

    fn written_by(manager: &str, fields: Vec<String>) -> BTreeMap<usize, Details> {
        let managers = BTreeSet::from([manager.to_owned()]);
        BTreeMap::from([(0, Details { fields, managers })])
    }

    fn gone() -> Action {
        Action::Remove(Removal::Deleted)
    }

    fn batch(changes: Changes) -> Batch {
        Batch {
            first_sync: false,
            initial: false,
            changes,
            sidecar: std::sync::Arc::default(),
            unknown: BTreeMap::new(),
            digested: false,
            damped: Vec::new(),
        }
    }

    #[test]
    fn one_object_is_named_with_its_fields_and_manager() {
        let mut web = change(Some("shop"), "Deployment", "web", put());
        web.before = Some(BlobId::of(b"old"));
        let fields = vec!["spec.template.spec.containers[name=web].image".to_owned()];
        let details = written_by("kubectl-edit", fields);
        let text = commit_message(&batch(vec![web]), &details, "uid-1", "prod", 0);
        assert_eq!(
            text,
            "shop: change Deployment web (image)\n\n\
             ~ shop/Deployment web: spec.template.spec.containers[name=web].image [kubectl-edit]\n\n\
             Strandline-Cluster: uid-1\nStrandline-Format: 1\nK8s-Manager: kubectl-edit\n"
        );
    }

    #[test]
    fn a_namespace_that_took_everything_along_is_one_sentence() {
        let changes = vec![
            change(None, "Namespace", "shop", gone()),
            change(Some("shop"), "Deployment", "web", gone()),
            change(Some("shop"), "Service", "web", gone()),
        ];
        let text = commit_message(&batch(changes), &BTreeMap::new(), "u", "prod", 0);
        assert!(
            text.starts_with("delete Namespace shop with 2 objects\n"),
            "{text}"
        );
        let changes = vec![
            change(None, "Namespace", "shop", gone()),
            change(Some("other"), "Service", "web", gone()),
        ];
        let text = commit_message(&batch(changes), &BTreeMap::new(), "u", "prod", 0);
        assert!(
            text.starts_with("2 objects in 1 namespace (2 deleted)\n"),
            "{text}"
        );
    }

    #[test]
    fn many_objects_are_counted_and_capped() {
        let changes: Vec<_> = (0..500)
            .map(|n| {
                change(
                    Some(if n % 2 == 0 { "a" } else { "b" }),
                    "Service",
                    &n.to_string(),
                    put(),
                )
            })
            .collect();
        let text = commit_message(&batch(changes), &BTreeMap::new(), "u", "prod", 0);
        assert!(
            text.starts_with("500 objects in 2 namespaces (500 created)\n"),
            "{text}"
        );
        assert!(text.contains("… and 300 more\n"));
    }

    #[test]
    fn names_cannot_break_lines_or_colour_a_terminal() {
        let hostile = "x\nSigned-off-by: me\u{1b}[31m\u{202e}";
        let text = commit_message(
            &batch(vec![change(None, "ClusterRole", hostile, put())]),
            &written_by("a\nb", Vec::new()),
            "u",
            "prod",
            0,
        );
        assert!(!text.contains("\nSigned-off-by"), "{text}");
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{202e}'),
            "{text}"
        );
        assert!(text.contains("K8s-Manager: a\\u{a}b"), "{text}");
    }

    #[test]
    fn the_last_part_of_a_path_is_what_people_call_the_field() {
        assert_eq!(
            last_part("metadata.annotations[\"a.b/c\"]"),
            "annotations[\"a.b/c\"]"
        );
        assert_eq!(last_part("spec.ports[name=a.b].port"), "port");
    }
}
