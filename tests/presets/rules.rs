//! The presets as they are shipped, and what they make of an object with and without a rule.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use strandline::filter::{
    Autoscaled, Context, DigestKey, Rules, Selection, TypePlan, UserFile, Verdict,
};
use strandline::object::RawObject;

use crate::case::Object;
use crate::mirror::KEY;
use crate::support::acid::manifests;
use crate::support::{Context as _, Failure, Result};

/// Presets that are about no controller; `src/filter` has their tests.
const OTHERS: [&str; 1] = ["large-values"];

/// A file of `filters/presets`.
#[derive(Clone)]
pub(crate) struct Shipped {
    pub(crate) name: String,
    /// Names of its rules.
    pub(crate) rules: BTreeSet<String>,
    file: Value,
}

/// Every file of `filters/presets` that is about a controller: read from the folder, so that one
/// which the program does not embed shows.
pub(crate) fn shipped() -> Result<Vec<Shipped>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/filters/presets");
    let mut shipped = Vec::new();
    for path in manifests(Path::new(folder))? {
        let text = std::fs::read_to_string(&path).context(path.display())?;
        let file: Value = serde_yaml::from_str(&text).context(path.display())?;
        let name = file["preset"]["name"].as_str().unwrap_or_default();
        if path.file_stem().is_none_or(|stem| *stem != *name) {
            let text = format!("{} is named '{name}' inside", path.display());
            return Err(Failure::new(text));
        }
        if OTHERS.contains(&name) {
            continue;
        }
        let rules = file["rules"].as_array().into_iter().flatten();
        shipped.push(Shipped {
            name: name.to_owned(),
            rules: rules
                .filter_map(|rule| rule["name"].as_str().map(ToOwned::to_owned))
                .collect(),
            file,
        });
    }
    Ok(shipped)
}

/// What becomes of an object.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Dropped { by: String },
    Recorded(Value),
}

/// What the program makes of an object with its presets as they are, `preset` being on.
pub(crate) fn with(preset: &Shipped, object: &Object) -> Result<Outcome> {
    outcome(
        &Selection {
            presets: vec![(preset.name.clone(), true)],
            ..Selection::default()
        },
        object,
    )
}

/// What it would make of an object if `preset` lacked a rule.
pub(crate) fn without(preset: &Shipped, rule: &str, object: &Object) -> Result<Outcome> {
    let mut rest = preset.file["rules"].clone();
    if let Some(rules) = rest.as_array_mut() {
        rules.retain(|one| one["name"] != rule);
    }
    // JSON is YAML. A user's file stands after every preset, and so does not change what the
    // rest of this one does.
    outcome(
        &Selection {
            presets: vec![(preset.name.clone(), false)],
            files: vec![UserFile {
                name: preset.name.clone(),
                text: serde_json::json!({ "rules": rest }).to_string(),
            }],
            ..Selection::default()
        },
        object,
    )
}

fn outcome(selection: &Selection, object: &Object) -> Result<Outcome> {
    let rules = Rules::assemble(selection).context("the rules")?;
    let key = &object.key;
    let dropped = |rule: &str| Outcome::Dropped {
        by: rule.to_owned(),
    };
    let type_rules = match rules.plan(&key.api_type) {
        TypePlan::Dropped { rule } => return Ok(dropped(rule.as_str())),
        TypePlan::Watched(type_rules) => type_rules,
    };
    let json = object.live.to_string();
    let mut raw = RawObject::parse(json.as_bytes(), &key.api_type).context("the live object")?;
    let context = Context {
        digest_key: &DigestKey::from_bytes(&KEY).context("the digest key")?,
        autoscaled: &Autoscaled::from_iter([]),
    };
    Ok(match type_rules.apply(&mut raw, key, &context) {
        Verdict::Keep { .. } => Outcome::Recorded(raw.value),
        Verdict::Drop { rule } => dropped(rule.as_str()),
    })
}
