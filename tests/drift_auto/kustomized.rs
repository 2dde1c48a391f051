//! What `auto` takes for granted of kustomize, from `kubectl kustomize`.

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::Completion;
use serde_json::Value;
use strandline::canonical;

use super::support::plane::ControlPlane;
use super::support::suite::Outcome;
use super::support::{Context as _, Failure, Result};

/// What the unit tests of `auto` compare with.
const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/drift/desired/auto/tests/kustomized"
);

pub fn a_target_namespace_is_kustomizes(plane: &ControlPlane) -> Outcome {
    let made = plane.kubectl(["kustomize", FOLDER])?.success()?;
    let path = Path::new(FOLDER).join("after.yaml");
    let expected = std::fs::read_to_string(&path).context(path.display())?;
    let (made, expected) = (objects(&made)?, objects(&expected)?);
    if made != expected || made.is_empty() {
        let text = format!("{made:#?} instead of {expected:#?}");
        return Err(Failure::new(text).into());
    }
    Ok(Completion::Completed)
}

fn objects(yaml: &str) -> Result<BTreeMap<String, Value>> {
    let documents = canonical::read_all(yaml.as_bytes()).context("YAML")?;
    let named = documents.into_iter().map(|document| {
        let object = document.value;
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        (name, object)
    });
    Ok(named.collect())
}
