use super::super::accept::{Ignore, Place};
use super::super::compare::{Difference, covers};
use super::super::desired::Identity;
use serde_json::Value;

pub(super) fn fits(rule: &Ignore, identity: &Identity, _object: Option<&Value>) -> bool {
    let glob = |pattern: &Option<String>, text: &str| {
        pattern
            .as_ref()
            .is_none_or(|p| globset::Glob::new(p).is_ok_and(|g| g.compile_matcher().is_match(text)))
    };
    glob(&rule.group, &identity.group)
        && glob(&rule.kind, &identity.kind)
        && glob(
            &rule.namespace,
            identity.namespace.as_deref().unwrap_or_default(),
        )
        && glob(&rule.object_name, &identity.name)
}
pub(super) fn shown(rule: &Ignore) -> String {
    rule.name.clone()
}
pub(super) fn names(place: &Place, difference: &Difference, desired: &Value, live: &Value) -> bool {
    match place {
        Place::Path(path) => {
            covers(path, &difference.live_at, live) || covers(path, &difference.desired_at, desired)
        }
        Place::Pointer(steps) => {
            difference.live_at.starts_with(steps) || difference.desired_at.starts_with(steps)
        }
    }
}
