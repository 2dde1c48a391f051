//! The same changes by the real kubectl: what it sends is its own business.

use serde_json::Value;

use super::places::{Action, At, Place, applied};
use super::verbs::{OTHER_MANAGER, Request, Verb};
use crate::api::{APPLY, JSON_PATCH, MERGE_PATCH};
use crate::bed::Bed;
use crate::oracle::Identity;
use crate::support::plane::ADMIN;
use crate::support::program::Finished;
use crate::support::{Context as _, Result};

/// Runs kubectl; `None` where it has no words for this change.
pub(crate) fn run(
    bed: &Bed<'_>,
    id: &Identity,
    verb: Verb,
    before: &Value,
    place: &Place,
    request: &Request,
) -> Result<Option<Finished>> {
    let resource = bed.api.resource(id)?;
    let kind = match id.group.as_str() {
        "" => resource.plural.clone(),
        group => format!("{}.{}.{group}", resource.plural, id.version),
    };
    let object = format!("{kind}/{}", id.name);
    let mut kubectl = bed.plane.kubectl_as(ADMIN)?;
    if let Some(namespace) = &id.namespace {
        kubectl = kubectl.args(["-n", namespace]);
    }
    let key = match place.at.last() {
        Some(At::Key(key)) => key.as_str(),
        _ => "",
    };
    let text = place
        .value
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default();
    let program = match verb {
        Verb::Edit => {
            let mut after = applied(before, place);
            let metadata = after["metadata"].as_object_mut();
            metadata.map(|metadata| metadata.remove("managedFields"));
            let file = bed.home().join("edited.json");
            std::fs::write(&file, after.to_string()).context(file.display())?;
            let editor = format!("cp {}", file.display());
            kubectl.env("KUBE_EDITOR", editor).args(["edit", &object])
        }
        Verb::PatchStrategic | Verb::PatchMerge | Verb::PatchJson => {
            let kind = match request.content_type {
                JSON_PATCH => "json",
                MERGE_PATCH => "merge",
                _ => "strategic",
            };
            let body = request.body.to_string();
            kubectl.args(["patch", &object, "--type", kind, "-p", &body])
        }
        Verb::Label | Verb::Annotate => {
            let word = if verb == Verb::Label {
                "label"
            } else {
                "annotate"
            };
            let change = match place.action {
                Action::Delete => format!("{key}-"),
                _ => format!("{key}={text}"),
            };
            kubectl.args([word, "--overwrite", &object, &change])
        }
        Verb::Scale => {
            let replicas = place
                .value
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default();
            kubectl.args(["scale", &object, &format!("--replicas={replicas}")])
        }
        Verb::Set if key == "image" => {
            let mut container = before;
            for at in &place.at[..place.at.len() - 1] {
                container = match at {
                    At::Key(key) => &container[key],
                    At::Index(index) => &container[index],
                };
            }
            let name = container["name"].as_str().unwrap_or_default();
            kubectl.args(["set", "image", &object, &format!("{name}={text}")])
        }
        Verb::Set if key == "serviceAccountName" => {
            kubectl.args(["set", "serviceaccount", &object, text])
        }
        Verb::Set => return Ok(None),
        Verb::Apply => {
            debug_assert_eq!(request.content_type, APPLY);
            let manager = format!("--field-manager={OTHER_MANAGER}");
            kubectl
                .args([
                    "apply",
                    "--server-side",
                    "--force-conflicts",
                    &manager,
                    "-f",
                    "-",
                ])
                .stdin(request.body.to_string())
        }
    };
    program.run().map(Some)
}
