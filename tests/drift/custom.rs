//! Custom resources: definitions that real controllers publish, and generated objects of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use serde::Deserialize as _;
use serde_json::{Value, json};
use strandline::filter::{Rules, Selection, TypePlan};
use strandline::object::ApiType;

use crate::api::Api;
use crate::openapi::http::Api as DryRuns;
use crate::openapi::safe::NAMESPACES;
use crate::openapi::thin::{defined, few};
use crate::oracle::Identity;
use crate::support::acid::{Acid, How, manifests, split};
use crate::support::plane::ControlPlane;
use crate::support::{Context as _, Failure, Result, Unavailable, folder, wait_for};

/// The set of these definitions and objects.
pub(crate) const PUBLISHED: &str = "published";

/// Definitions of each controller, where not all are asked for.
const OF_EACH: usize = 2;

/// A definition with more text than this is left out where not all are asked for: it embeds whole
/// pods, and the server takes long over it.
const LONGEST: usize = 160_000;

/// Dry runs for the objects of one kind.
const REQUESTS: usize = 40;

/// Objects of one kind.
const OBJECTS: usize = 2;

/// Applies definitions of `STRANDLINE_CRDS_DIR` and objects of them, and returns the folder of
/// their manifests below `home`.
pub(crate) fn publish(
    plane: &ControlPlane,
    home: &Path,
    rng: &mut Rng,
    all: bool,
) -> Result<PathBuf, Unavailable> {
    let start = std::time::Instant::now();
    let published = home.join("desired").join(PUBLISHED);
    let definitions = choose(&folder("STRANDLINE_CRDS_DIR")?, rng, all)?;
    let write = |file: &str, text: &str| -> Result<()> {
        let path = published.join(file);
        let above = path.parent().unwrap_or(&published);
        std::fs::create_dir_all(above).context(above.display())?;
        std::fs::write(&path, text).context(path.display())
    };
    for (text, definition, _) in &definitions {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        write(&format!("definitions/{name}.yaml"), text)?;
    }
    for name in NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name}});
        write(&format!("namespaces/{name}.json"), &namespace.to_string())?;
    }
    apply(plane, &published, How::ServerSide)?;
    let mut api = Api::connect(plane)?;
    wait_for("discovery of custom types", Duration::from_secs(60), || {
        api.discover()?;
        let is_served = |api_type: &ApiType| {
            let id = Identity {
                group: api_type.group.to_string(),
                version: api_type.version.to_string(),
                kind: api_type.kind.to_string(),
                ..Identity::default()
            };
            api.resource(&id).is_ok()
        };
        let all = definitions.iter().all(|(.., api_type)| is_served(api_type));
        Ok(all.then_some(()))
    })?;
    let served = start.elapsed();
    let dry_runs = DryRuns::connect(plane)?;
    let (mut kinds, mut objects) = (0, 0);
    let mut without = Vec::new();
    for (_, definition, api_type) in &definitions {
        let found = few(&dry_runs, definition, api_type, REQUESTS, OBJECTS)?;
        if found.is_empty() {
            without.push(api_type.to_string());
        }
        kinds += usize::from(!found.is_empty());
        for object in found {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let file = format!("objects/{}-{name}.json", api_type.group);
            write(&file, &object.to_string())?;
            objects += 1;
        }
    }
    apply(plane, &published.join("objects"), How::Mixed)?;
    crate::report(&format!(
        "{} published definitions served after {served:?}; {objects} objects of {kinds} kinds by \
         {} requests after {:?}; none of {without:?}",
        definitions.len(),
        dry_runs.requests(),
        start.elapsed()
    ));
    if kinds * 10 < definitions.len() * 9 {
        return Err(Failure::new(format!("no object of {without:?}")).into());
    }
    Ok(published)
}

fn apply(plane: &ControlPlane, folder: &Path, how: How) -> Result<()> {
    let applied = Acid::read(folder)?.apply(plane, how)?;
    if applied.refused.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("refused: {:?}", applied.refused)))
}

/// Text, value, and the type that it defines.
type Definition = (String, Value, ApiType);

/// Definitions of every controller, whose objects are recorded.
fn choose(crds: &Path, rng: &mut Rng, all: bool) -> Result<Vec<Definition>> {
    let rules = Rules::assemble(&Selection::default()).context("the rules")?;
    let mut names = BTreeSet::new();
    let mut chosen = Vec::new();
    let mut controllers: Vec<PathBuf> = std::fs::read_dir(crds)
        .context(crds.display())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    controllers.sort();
    for controller in controllers {
        let mut texts = Vec::new();
        for path in manifests(&controller)? {
            let text = std::fs::read_to_string(&path).context(path.display())?;
            texts.extend(split(&text));
        }
        let head = "kind: CustomResourceDefinition";
        texts.retain(|text| text.lines().any(|line| line == head));
        rng.shuffle(&mut texts);
        let mut count = 0;
        for text in texts {
            if !all && (count == OF_EACH || text.len() > LONGEST) {
                continue;
            }
            let value = serde_yaml::Deserializer::from_str(&text);
            let value = Value::deserialize(value).context(controller.display())?;
            let Some(api_type) = defined(&value) else {
                continue;
            };
            let dropped = matches!(rules.plan(&api_type), TypePlan::Dropped { .. });
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            if !dropped && names.insert(name.to_owned()) {
                chosen.push((text, value, api_type));
                count += 1;
            }
        }
    }
    Ok(chosen)
}
