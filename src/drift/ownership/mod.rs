//! Who owns what only live has, and what that makes of it.

mod known;

#[cfg(test)]
mod tests;

use super::compare::{Difference, Relation};
use super::report::{FieldClass, Severity};
use crate::owners::{Deployers, Role, Shape};

/// What the owners of a place say of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The field's class; `None` where it is no finding at all, for example a known default.
    pub class: Option<FieldClass>,
    /// How bad it is.
    pub severity: Severity,
    /// Index of the writer in [`Shape::writers`]; `None` where Kubernetes does not record one.
    pub writer: Option<usize>,
    /// What hides it (class `Ignored`) or what is known beyond the class: `writer unknown`,
    /// `unowned: admission webhook, or ownership reset`, the trusted controller's name.
    pub rule: Option<String>,
}

/// What of the object as a whole decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectFacts<'a> {
    /// API group; `None` where it is not known.
    pub group: Option<&'a str>,
    /// Kind; `None` where it is not known.
    pub kind: Option<&'a str>,
}

/// Nobody is recorded as the writer, but somebody is.
pub const WRITER_UNKNOWN: &str = "writer unknown";
/// Admission plugins and webhooks write after ownership is computed
/// (<https://github.com/kubernetes/kubernetes/issues/87672>), and one patch of managedFields resets
/// it all
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields>).
pub const UNOWNED: &str = "unowned: admission webhook, or ownership reset";
/// Somebody ran `kubectl rollout restart`.
pub const RESTARTED: &str = "restarted";

/// Where `kubectl rollout restart` writes:
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-k8s-io-restart-at>.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Who a place's owners are taken together, the one with the last word last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Trusted,
    Unknown,
    Other,
    DeployerUpdate,
    DeployerApply,
    Human,
}

impl Judgement {
    fn new(class: FieldClass, severity: Severity, writer: Option<usize>) -> Self {
        Self {
            class: Some(class),
            severity,
            writer,
            rule: None,
        }
    }

    fn nothing(writer: Option<usize>) -> Self {
        Self {
            class: None,
            severity: Severity::Info,
            writer,
            rule: None,
        }
    }

    fn because(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }
}

/// Judges a difference by the owners of its place in the live object.
pub fn judge(difference: &Difference, shape: &Shape, deployers: &Deployers) -> Judgement {
    judge_in(ObjectFacts::default(), difference, shape, deployers)
}

/// As [`judge`], knowing what object it is: what is known of one kind alone is not taken for
/// another's.
pub fn judge_in(
    object: ObjectFacts<'_>,
    difference: &Difference,
    shape: &Shape,
    deployers: &Deployers,
) -> Judgement {
    let class = match difference.relation {
        // Kubernetes keeps no record of who removed something.
        Relation::DesiredOnly => {
            return Judgement::new(FieldClass::Removed, Severity::Warning, None);
        }
        Relation::Unknown => return Judgement::new(FieldClass::Dropped, Severity::Warning, None),
        Relation::Changed => Some(FieldClass::Changed),
        Relation::LiveOnly => None,
    };
    let owners = shape.owners(&difference.live_at);
    let roles = deployers.of_object(shape);
    let rank = |&at: &usize| {
        let writer = shape.writers.get(at)?;
        Some(match roles.get(at)? {
            Role::Human | Role::Client => Rank::Human,
            Role::Deployer if &*writer.operation == "Apply" => Rank::DeployerApply,
            Role::Deployer => Rank::DeployerUpdate,
            Role::Other => Rank::Other,
            Role::Unknown => Rank::Unknown,
            Role::Controller => Rank::Trusted,
        })
    };
    let ranked = owners
        .writers
        .iter()
        .filter_map(|at| Some((rank(at)?, *at)));
    // Of two of one rank the first by name.
    let highest = ranked.max_by_key(|&(rank, at)| (rank, std::cmp::Reverse(at)));
    let named = highest.filter(|(rank, _)| *rank != Rank::Unknown);
    let writer = named.map(|(_, at)| at);
    if let Some(class) = class {
        return Judgement::new(class, Severity::Warning, writer);
    }
    let rank = highest.map(|(rank, _)| rank);
    if known::is_known(
        object,
        difference,
        rank == Some(Rank::Human),
        rank.is_none(),
    ) {
        return Judgement::nothing(writer);
    }
    let added = |severity| Judgement::new(FieldClass::Added, severity, writer);
    match rank {
        Some(Rank::Human) if is_restart(difference) => added(Severity::Info).because(RESTARTED),
        Some(Rank::Human) => added(Severity::Warning),
        Some(Rank::DeployerApply) => {
            Judgement::new(FieldClass::PendingRemoval, Severity::Info, writer)
        }
        Some(Rank::DeployerUpdate) if owners.in_last_applied => {
            Judgement::new(FieldClass::PendingRemoval, Severity::Info, writer)
        }
        // An entry of `Update` owns what was defaulted when it was written as well.
        Some(Rank::DeployerUpdate) => Judgement::nothing(writer),
        Some(Rank::Other) => added(Severity::Info),
        Some(Rank::Unknown) => added(Severity::Info).because(WRITER_UNKNOWN),
        Some(Rank::Trusted) => {
            let name = writer.and_then(|at| shape.writers.get(at));
            let name = name.map_or("", |writer| &*writer.manager);
            let rule = format!("written by trusted controller {name}");
            Judgement::new(FieldClass::Ignored, Severity::Info, writer).because(rule)
        }
        None if difference.is_default && !owners.unknown => Judgement::nothing(writer),
        None if owners.unknown => added(Severity::Info).because(WRITER_UNKNOWN),
        None => added(Severity::Info).because(UNOWNED),
    }
}

fn is_restart(difference: &Difference) -> bool {
    use crate::filter::Segment;
    matches!(
        difference.path.segments().last(),
        Some(Segment::Key(name) | Segment::Field(name)) if **name == *RESTARTED_AT
    )
}
