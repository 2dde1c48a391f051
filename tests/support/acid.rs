//! Sets of manifests that real projects publish, applied to a control plane.
//!
//! Nothing here knows a set: kinds, scopes and refusals are found out, so that any folder can be
//! put in place of the one that `STRANDLINE_ACID_DIR` names. The text goes to kubectl as it is;
//! it is parsed here only to tell what it is about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::plane::{ADMIN, ControlPlane};
use super::program::{Finished, Program};
use super::{Context as _, Failure, Result, Unavailable, folder, wait_for};

/// The apiserver's limit for all annotations of an object; client-side apply needs one that holds
/// the whole object. <https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/>
const ANNOTATIONS_LIMIT: usize = 262_144;

/// How long objects may go on being refused while types and webhooks settle.
const SETTLE: Duration = Duration::from_secs(20);

/// How objects get into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `kubectl apply`; an object too large for it goes server-side.
    ClientSide,
    /// `kubectl apply --server-side`.
    ServerSide,
    /// `kubectl create`.
    Create,
    /// The three in turn, object by object.
    Mixed,
}

/// One object of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub api_version: String,
    pub kind: String,
    /// As the manifest has it; empty if it has none.
    pub namespace: String,
    pub name: String,
}

/// What became of a folder of manifests.
#[derive(Debug)]
pub struct Applied {
    /// Every object that is in the cluster now, in the order in which they were applied.
    pub objects: Vec<Object>,
    /// What the API server refused for good, with what kubectl said of it.
    pub refused: Vec<(Object, String)>,
    /// Wall time.
    pub took: Duration,
}

/// The acid sets.
#[derive(Debug)]
pub struct Acid {
    documents: Vec<Document>,
}

/// One YAML document, which may be a List of several objects.
#[derive(Clone, Debug)]
struct Document {
    text: String,
    objects: Vec<Object>,
    stage: Stage,
}

/// Documents are applied in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Namespaces,
    Definitions,
    Objects,
    /// No backend runs: from here on the API server refuses what they would be asked about.
    WebhooksAndApiServices,
}

impl Acid {
    /// Reads the folder of `STRANDLINE_ACID_DIR`.
    pub fn open() -> Result<Self, Unavailable> {
        Ok(Self::read(&folder("STRANDLINE_ACID_DIR")?)?)
    }

    /// Reads every `.yaml`, `.yml` and `.json` file below a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut documents = Vec::new();
        for path in manifests(folder)? {
            let text = std::fs::read_to_string(&path).context(path.display())?;
            for text in split(&text) {
                documents.extend(Document::parse(text).context(path.display())?);
            }
        }
        documents.sort_by_key(|document| document.stage);
        Ok(Self { documents })
    }

    /// The objects, in the order in which they are applied.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.documents.iter().flat_map(|document| &document.objects)
    }

    /// Everything as one stream of documents, for one call of kubectl.
    pub fn manifest(&self) -> String {
        let texts: Vec<&str> = self.documents.iter().map(|d| d.text.as_str()).collect();
        texts.join("\n---\n")
    }

    /// Applies everything: namespaces (those that are only mentioned too), CRDs until they are
    /// Established, objects, and at last what redirects requests to backends that do not run.
    ///
    /// An object that the API server refuses is no failure; see [`Applied::refused`].
    pub fn apply(&self, plane: &ControlPlane, how: How) -> Result<Applied> {
        let start = Instant::now();
        let mut applied = Applied {
            objects: Vec::new(),
            refused: Vec::new(),
            took: Duration::ZERO,
        };
        plane.apply(&self.mentioned_namespaces(plane)?)?;
        let mut turn = [How::ClientSide, How::ServerSide, How::Create]
            .into_iter()
            .cycle();
        for stage in self.documents.chunk_by(|a, b| a.stage == b.stage) {
            let mut parts: [Vec<&Document>; 3] = Default::default();
            for document in stage {
                let how = match how {
                    How::Mixed => turn.next().expect("a cycle does not end"),
                    how => how,
                };
                let too_large = document.text.len() > ANNOTATIONS_LIMIT;
                match how {
                    How::ClientSide if !too_large => parts[0].push(document),
                    How::Create => parts[2].push(document),
                    _ => parts[1].push(document),
                }
            }
            let hows = [How::ClientSide, How::ServerSide, How::Create];
            for (how, documents) in hows.into_iter().zip(parts) {
                put(plane, how, &documents, &mut applied)?;
            }
            if stage[0].stage == Stage::Definitions {
                plane
                    .kubectl(["wait", "crd", "--all", "--for=condition=Established"])?
                    .success()?;
            }
        }
        applied.took = start.elapsed();
        Ok(applied)
    }

    /// A List of the namespaces that objects are to lie in and no manifest holds.
    fn mentioned_namespaces(&self, plane: &ControlPlane) -> Result<Value> {
        let list = plane.kubectl_json(&["get", "namespaces"])?;
        let mut known: BTreeSet<String> = self
            .objects()
            .filter(|object| object.kind == "Namespace")
            .map(|object| object.name.clone())
            .collect();
        for item in list["items"].as_array().into_iter().flatten() {
            known.extend(item["metadata"]["name"].as_str().map(str::to_owned));
        }
        let mentioned: BTreeSet<&String> = self.objects().map(|object| &object.namespace).collect();
        let items: Vec<Value> = mentioned
            .into_iter()
            .filter(|name| !name.is_empty() && !known.contains(*name))
            // An empty List is refused by kubectl: one that is there already does no harm.
            .chain([&"default".to_owned()])
            .map(|name| {
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
            })
            .collect();
        Ok(json!({ "apiVersion": "v1", "kind": "List", "items": items }))
    }
}

/// Puts documents into the cluster by one call, and those of a call that failed one by one.
fn put(
    plane: &ControlPlane,
    how: How,
    documents: &[&Document],
    applied: &mut Applied,
) -> Result<()> {
    if documents.is_empty() {
        return Ok(());
    }
    let texts: Vec<&str> = documents
        .iter()
        .map(|document| document.text.as_str())
        .collect();
    let all = command(plane, how)?.stdin(texts.join("\n---\n")).run()?;
    if all.code == Some(0) {
        applied.objects.extend(
            documents
                .iter()
                .flat_map(|document| document.objects.clone()),
        );
        return Ok(());
    }
    for document in documents {
        let command = command(plane, how)?.stdin(document.text.clone());
        let mut last = String::new();
        let done = wait_for("kubectl", SETTLE, || {
            let done = command.run()?;
            let fine = done.code == Some(0) || (how == How::Create && exists_already(&done));
            if !fine {
                last = done.stderr;
            }
            // What is invalid stays so; other refusals may pass (a type or webhook that starts).
            let final_word = fine || last.contains("is invalid") || last.contains("(BadRequest)");
            Ok(final_word.then_some(fine))
        });
        let objects = document.objects.iter().cloned();
        if done.unwrap_or(false) {
            applied.objects.extend(objects);
        } else {
            let refused = objects.map(|object| (object, last.clone()));
            applied.refused.extend(refused);
        }
    }
    Ok(())
}

/// The bulk call made it before another object of the same call failed.
fn exists_already(done: &Finished) -> bool {
    let mut lines = done
        .stderr
        .lines()
        .filter(|line| line.starts_with("Error"))
        .peekable();
    lines.peek().is_some() && lines.all(|line| line.contains("(AlreadyExists)"))
}

fn command(plane: &ControlPlane, how: How) -> Result<Program> {
    let kubectl = plane.kubectl_as(ADMIN)?;
    Ok(match how {
        How::ClientSide => kubectl.args(["apply", "-f", "-"]),
        How::Create => kubectl.args(["create", "-f", "-"]),
        How::ServerSide | How::Mixed => kubectl.args(["apply", "--server-side", "-f", "-"]),
    })
}

/// Every manifest below a folder, sorted by path, so that each run applies in the same order.
pub fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).context(folder.display())? {
            let path = entry.context(folder.display())?.path();
            let extension = path.extension().unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if ["yaml", "yml", "json"]
                .iter()
                .any(|known| extension == *known)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Splits a stream at its `---` lines, which cannot be anything else in column one.
pub fn split(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("---") {
            Some(rest) if rest.trim().is_empty() || rest.trim_start().starts_with('#') => {
                documents.push(String::new());
            }
            _ => documents.last_mut().expect("never empty").push_str(line),
        }
    }
    documents
}

impl Document {
    /// `None` for one that holds nothing but comments.
    fn parse(text: String) -> Result<Option<Self>> {
        let value = serde_yaml::Deserializer::from_str(&text);
        let value = Value::deserialize(value).context("cannot read a manifest")?;
        let objects = match &value {
            Value::Null => return Ok(None),
            value => match value["items"].as_array() {
                Some(items) if value["kind"].as_str().is_some_and(|k| k.ends_with("List")) => {
                    let kind = value["kind"]
                        .as_str()
                        .and_then(|kind| kind.strip_suffix("List"));
                    let in_list = |item| Object::parse(item, &value["apiVersion"], kind);
                    items.iter().map(in_list).collect::<Result<Vec<_>>>()?
                }
                _ => vec![Object::parse(value, &Value::Null, None)?],
            },
        };
        let stage = objects
            .iter()
            .map(Object::stage)
            .max()
            .unwrap_or(Stage::Objects);
        Ok(Some(Self {
            text,
            objects,
            stage,
        }))
    }
}

impl Object {
    /// Items of a typed List (`RoleList`) may leave out what its own head says.
    fn parse(value: &Value, list_version: &Value, list_kind: Option<&str>) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let version = text(&value["apiVersion"]).or_else(|| text(list_version));
        let kind = text(&value["kind"]).or_else(|| list_kind.map(str::to_owned));
        let metadata = &value["metadata"];
        Ok(Self {
            api_version: version.ok_or_else(|| Failure::new("an object has no apiVersion"))?,
            kind: kind.ok_or_else(|| Failure::new("an object has no kind"))?,
            namespace: text(&metadata["namespace"]).unwrap_or_default(),
            name: text(&metadata["name"]).ok_or_else(|| Failure::new("an object has no name"))?,
        })
    }

    fn stage(&self) -> Stage {
        match self.kind.as_str() {
            "Namespace" => Stage::Namespaces,
            "CustomResourceDefinition" => Stage::Definitions,
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" | "APIService" => {
                Stage::WebhooksAndApiServices
            }
            _ => Stage::Objects,
        }
    }
}
