//! A cluster that holds the acid sets, the folders that they came from, and a user who may read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, JSON};
use crate::custom::PUBLISHED;
use crate::oracle::Identity;
use crate::oracle::schema::Schemas;
use crate::support::acid::{Acid, How, manifests};
use crate::support::expectation::{remove, strip};
use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::{Context as _, Failure, Result, Unavailable, folder, wait_for};

/// The user under whose rights the product runs: `get`, `list` and `watch`, and nothing else.
pub(crate) const READER: &str = "recorder";

/// The source that declares what the tests themselves put into the cluster.
pub(crate) const BED_SOURCE: &str = "bed";

/// Whose name resets are made under; it never stays in an object's `managedFields`.
const RESET: &str = "strandline-test-reset";

/// What presets take away of every object of a type, as JSON pointers.
const PRUNED_BY_PRESETS: [(&str, &str); 2] = [
    ("applications.argoproj.io", "/operation"),
    ("backuptargets.longhorn.io", "/spec/syncRequestedAt"),
];

/// Annotations that count on, whatever an object is made again.
const COUNTERS: [&str; 2] = [
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
];

/// One set of manifests.
pub(crate) struct Set {
    pub(crate) name: String,
    /// A copy of its files.
    pub(crate) folder: PathBuf,
    /// What it holds, as kubectl reads it.
    pub(crate) desired: BTreeMap<Identity, Value>,
}

/// The sets, applied.
pub(crate) struct Bed<'p> {
    pub(crate) plane: &'p ControlPlane,
    pub(crate) api: Api,
    pub(crate) sets: Vec<Set>,
    pub(crate) schemas: Schemas,
    home: tempfile::TempDir,
}

impl<'p> Bed<'p> {
    /// Applies every set of `STRANDLINE_ACID_DIR` and waits until the types are served.
    pub(crate) fn new(plane: &'p ControlPlane, how: How) -> Result<Self, Unavailable> {
        Self::with(plane, how, |_| Ok(None))
    }

    /// The same, with a folder that `add` makes below the folder of the bed, and applies.
    pub(crate) fn with(
        plane: &'p ControlPlane,
        how: How,
        add: impl FnOnce(&Path) -> Result<Option<PathBuf>, Unavailable>,
    ) -> Result<Self, Unavailable> {
        let start = std::time::Instant::now();
        let acid = folder("STRANDLINE_ACID_DIR")?;
        let home = tempfile::tempdir().context("a folder for the desired files")?;
        let mut folders = copy_sets(&acid, home.path())?;
        folders.push((BED_SOURCE.to_owned(), reader(home.path())?));
        let applied = Acid::read(&home.path().join("desired"))?.apply(plane, how)?;
        if !applied.refused.is_empty() {
            let text = format!("refused: {:?}", applied.refused);
            return Err(Failure::new(text).into());
        }
        crate::report(&format!("applied after {:?}", start.elapsed()));
        folders.extend(add(home.path())?.map(|folder| (PUBLISHED.to_owned(), folder)));
        let api = served(plane, &folders)?;
        let sets = folders.into_iter().map(|(name, folder)| {
            let desired = read_by_kubectl(plane, &folder)?;
            Ok(Set {
                name,
                folder,
                desired,
            })
        });
        let sets = sets.collect::<Result<Vec<_>>>()?;
        let schemas = schemas(&api)?;
        Ok(Self {
            plane,
            api,
            sets,
            schemas,
            home,
        })
    }

    /// A folder that is gone with the bed.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The sets as `--desired` names them.
    pub(crate) fn sources(&self) -> Vec<String> {
        let source = |set: &Set| format!("{}={}", set.name, set.folder.display());
        self.sets.iter().map(source).collect()
    }

    /// Every desired object of the acid sets, the test's own aside.
    pub(crate) fn desired(&self) -> impl Iterator<Item = (&Identity, &Value)> {
        let sets = self.sets.iter().filter(|set| set.name != BED_SOURCE);
        sets.flat_map(|set| &set.desired)
    }

    /// Whether a set of custom resources has the object.
    pub(crate) fn is_published(&self, id: &Identity) -> bool {
        let mut published = self.sets.iter().filter(|set| set.name == PUBLISHED);
        published.any(|set| set.desired.contains_key(id))
    }

    /// The desired object of this identity.
    pub(crate) fn desired_of(&self, id: &Identity) -> Option<&Value> {
        self.sets.iter().find_map(|set| set.desired.get(id))
    }

    /// The stored object with its `managedFields`.
    pub(crate) fn stored(&self, id: &Identity) -> Result<Value> {
        let found = self.api.get(id)?;
        found.ok_or_else(|| Failure::new(format!("{id:?} is not there")))
    }

    /// An object without what the recorder's filter takes away.
    pub(crate) fn stripped(&self, id: &Identity, object: &Value) -> Result<Value> {
        let resource = self.api.resource(id)?;
        let mut name = resource.plural.clone();
        if !id.group.is_empty() {
            name = format!("{name}.{}", id.group);
        }
        // Values of Secrets stay as they are: a digest would say no less and no more.
        if name == "secrets" {
            name.clear();
        }
        let mut object = object.clone();
        for (of, place) in PRUNED_BY_PRESETS {
            let Some((fields, last)) = place.rsplit_once('/') else {
                continue;
            };
            if of == name
                && let Some(Value::Object(fields)) = object.pointer_mut(fields)
            {
                fields.remove(last);
            }
        }
        let owned = object["metadata"]["managedFields"].clone();
        strip(&name, &mut object, &[]);
        strip_injected(&mut object);
        object["metadata"]["managedFields"] = owned;
        strip_bundles(&mut object);
        Ok(object)
    }

    /// Makes an object again what it was, its `managedFields` included.
    ///
    /// The first request writes the fields, and whatever it changes becomes its own; the second
    /// changes nothing, so that the entries that it carries are taken as they are:
    /// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership>.
    pub(crate) fn reset(&self, id: &Identity, before: &Value) -> Result<()> {
        for _ in 0..2 {
            // A controller may write between the two requests.
            let what = format!("the reset of {id:?}");
            wait_for(&what, Duration::from_secs(20), || self.put(id, before))?;
        }
        let now = self.stored(id)?;
        if essence(&now) == essence(before) {
            return Ok(());
        }
        let mut differing = Vec::new();
        pointers(&essence(before), &essence(&now), "", &mut differing);
        let entries = |object: &Value| {
            let text = essence(object)["managedFields"].to_string();
            text.chars().take(2000).collect::<String>()
        };
        let text = format!(
            "{id:?} is not what it was: {differing:?}\n{}\n{}",
            entries(before),
            entries(&now)
        );
        Err(Failure::new(text))
    }

    /// One request of a reset; `None` where it has to be made again.
    fn put(&self, id: &Identity, before: &Value) -> Result<Option<Value>> {
        let now = self.stored(id)?;
        let mut body = before.clone();
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            body["metadata"][field] = now["metadata"][field].clone();
        }
        if body["metadata"]["managedFields"].is_null() {
            // What was applied and says nothing is tracked by nobody; one empty entry clears:
            // https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields
            body["metadata"]["managedFields"] = json!([{}]);
        }
        for counter in COUNTERS {
            let now = now["metadata"]["annotations"].get(counter);
            let annotations = body["metadata"]["annotations"].as_object_mut();
            if let (Some(now), Some(annotations)) = (now, annotations) {
                annotations.insert(counter.to_owned(), now.clone());
            }
        }
        let answer = self.api.change(id, "", RESET, JSON, &body)?;
        match answer.code {
            409 => Ok(None),
            // What cannot be taken back: `immutable: true` of a ConfigMap or Secret.
            422 => self.recreate(id, body).map(|()| None),
            _ => answer.success(&format!("the reset of {id:?}")).map(Some),
        }
    }

    /// Makes an object anew, of what it was; its entries are set by the requests that follow.
    fn recreate(&self, id: &Identity, mut body: Value) -> Result<()> {
        let _ = self.api.delete(id)?.success("a deletion")?;
        if let Some(metadata) = body["metadata"].as_object_mut() {
            for field in [
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "managedFields",
            ] {
                metadata.remove(field);
            }
        }
        let _ = self.api.create(id, RESET, &body)?.success("a creation")?;
        Ok(())
    }

    /// Waits until the controllers have acted on everything that is live.
    pub(crate) fn settle(&self) -> Result<()> {
        let holds = |what: &str, path: &str, holds: &dyn Fn(&Value) -> bool| -> Result<()> {
            wait_for(what, Duration::from_secs(120), || {
                let list = self.api.raw(path)?;
                Ok(items(&list).all(holds).then_some(()))
            })
        };
        let observed = |object: &Value| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
        };
        for path in [
            "/apis/apps/v1/deployments",
            "/apis/apps/v1/daemonsets",
            "/apis/apps/v1/statefulsets",
            "/apis/policy/v1/poddisruptionbudgets",
        ] {
            holds(&format!("the controllers of {path}"), path, &observed)?;
        }
        let gathered = |role: &Value| role["aggregationRule"].is_null() || !role["rules"].is_null();
        let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        holds("aggregated roles", roles, &gathered)?;
        let namespaces = self.api.raw("/api/v1/namespaces")?;
        for (path, name) in [
            ("/api/v1/configmaps", "kube-root-ca.crt"),
            ("/api/v1/serviceaccounts", "default"),
        ] {
            wait_for(path, Duration::from_secs(120), || {
                let list = self.api.raw(path)?;
                let there = |namespace: &Value| {
                    items(&list).any(|object| {
                        object["metadata"]["name"] == name
                            && object["metadata"]["namespace"] == namespace["metadata"]["name"]
                    })
                };
                Ok(items(&namespaces).all(there).then_some(()))
            })?;
        }
        let services = self.api.raw("/api/v1/services")?;
        wait_for("endpoint slices", Duration::from_secs(120), || {
            let slices = self.api.raw("/apis/discovery.k8s.io/v1/endpointslices")?;
            let has_slice = |service: &Value| {
                service["spec"]["selector"].is_null()
                    || items(&slices).any(|slice| {
                        slice["metadata"]["labels"]["kubernetes.io/service-name"]
                            == service["metadata"]["name"]
                    })
            };
            Ok(items(&services).all(has_slice).then_some(()))
        })
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// The certificate authority that an injector keeps, whoever wrote it last:
/// <https://cert-manager.io/docs/concepts/ca-injector/>.
fn strip_injected(object: &mut Value) {
    let annotations = object["metadata"]["annotations"].as_object();
    let injected = annotations.is_some_and(|all| {
        all.keys()
            .any(|key| key.starts_with("cert-manager.io/inject-"))
    });
    if injected && object["webhooks"].is_array() {
        remove(object, &["webhooks", "*", "clientConfig", "caBundle"]);
    }
}

/// A certificate that came to a webhook from somebody who wrote no address beside it, and is no
/// person. Takes `managedFields` away, too.
fn strip_bundles(object: &mut Value) {
    let metadata = object["metadata"].as_object_mut();
    let entries = metadata.and_then(|metadata| metadata.remove("managedFields"));
    let entries = entries.unwrap_or_default();
    let wrote = |fields: &[String]| {
        let of_entry = |entry: &Value| {
            let at = fields
                .iter()
                .fold(&entry["fieldsV1"], |at, field| &at[field]);
            let manager = entry["manager"].as_str().unwrap_or_default();
            let known = manager.starts_with("kubectl") || at.get("f:service").is_some();
            at.get("f:caBundle").is_some() && known
        };
        entries
            .as_array()
            .is_some_and(|entries| entries.iter().any(of_entry))
    };
    let field = |name: &str| format!("f:{name}");
    let conversion = ["spec", "conversion", "webhook", "clientConfig"];
    let mut places = vec![
        ("/spec".to_owned(), vec![field("spec")]),
        (
            format!("/{}", conversion.join("/")),
            conversion.map(field).into(),
        ),
    ];
    for (at, webhook) in object["webhooks"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let key = format!("k:{}", json!({"name": webhook["name"]}));
        let fields = vec![field("webhooks"), key, field("clientConfig")];
        places.push((format!("/webhooks/{at}/clientConfig"), fields));
    }
    let group = object["apiVersion"].as_str().unwrap_or_default();
    let groups = [
        "admissionregistration.k8s.io/",
        "apiextensions.k8s.io/",
        "apiregistration.k8s.io/",
    ];
    if !groups.iter().any(|one| group.starts_with(one)) {
        return;
    }
    for (place, fields) in places {
        let config = object.pointer_mut(&place).and_then(Value::as_object_mut);
        if let Some(config) = config.filter(|_| !wrote(&fields)) {
            config.remove("caBundle");
        }
    }
}

/// What must be the same again: all but the server's counters and the entries' times.
fn essence(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return object;
    };
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        metadata.remove(field);
    }
    let mut entries = metadata.remove("managedFields").unwrap_or_default();
    let entries = entries.as_array_mut().map(std::mem::take);
    let mut entries: Vec<Value> = entries.unwrap_or_default();
    entries.retain(|entry| entry["subresource"] != "status");
    for entry in &mut entries {
        entry.as_object_mut().map(|entry| entry.remove("time"));
        let annotations = &mut entry["fieldsV1"]["f:metadata"]["f:annotations"];
        if let Some(annotations) = annotations.as_object_mut() {
            for counter in COUNTERS {
                annotations.remove(&format!("f:{counter}"));
            }
        }
    }
    entries.sort_by_key(Value::to_string);
    object["managedFields"] = entries.into();
    object.as_object_mut().map(|object| object.remove("status"));
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        for counter in COUNTERS {
            annotations.remove(counter);
        }
    }
    object
}

/// Where two values differ, as JSON pointers.
pub(crate) fn pointers(one: &Value, other: &Value, at: &str, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let step = key.replace('~', "~0").replace('/', "~1");
                pointers(&one[key], &other[key], &format!("{at}/{step}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (one, other)) in a.iter().zip(b).enumerate() {
                pointers(one, other, &format!("{at}/{index}"), found);
            }
        }
        _ if one == other => {}
        _ => found.push(at.to_owned()),
    }
}

/// Every folder below `acid` is a set, and every file beside them.
fn copy_sets(acid: &Path, home: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut sets: BTreeMap<String, PathBuf> = BTreeMap::new();
    for from in manifests(acid)? {
        let relative = from.strip_prefix(acid).context("a path")?;
        let first = relative.iter().next().unwrap_or_default();
        let name = Path::new(first).file_stem().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let folder = home.join("desired").join(&name);
        let to = folder.join(relative);
        let parent = to.parent().unwrap_or(&folder);
        std::fs::create_dir_all(parent).context(parent.display())?;
        std::fs::copy(&from, &to).context(to.display())?;
        sets.insert(name, folder);
    }
    Ok(sets.into_iter().collect())
}

/// Applies the rights of [`READER`], and keeps their manifests below `home`.
pub(crate) fn give_rights(plane: &ControlPlane, home: &Path) -> Result<()> {
    let applied = Acid::read(&reader(home)?)?.apply(plane, How::ServerSide)?;
    match applied.refused.first() {
        None => Ok(()),
        Some(refused) => Err(Failure::new(format!("{refused:?}"))),
    }
}

/// The rights of [`READER`], as a source of their own.
fn reader(home: &Path) -> Result<PathBuf> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "strandline-test-reader"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "strandline-test-reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "strandline-test-reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": READER}]
    });
    let folder = home.join("desired").join(BED_SOURCE);
    std::fs::create_dir_all(&folder).context(folder.display())?;
    for (name, object) in [("role.json", role), ("binding.json", binding)] {
        let path = folder.join(name);
        std::fs::write(&path, object.to_string()).context(path.display())?;
    }
    Ok(folder)
}

/// Connects when discovery has every custom type of the sets.
fn served(plane: &ControlPlane, folders: &[(String, PathBuf)]) -> Result<Api> {
    let mut api = Api::connect(plane)?;
    let mut wanted = Vec::new();
    for (_, folder) in folders {
        for object in Acid::read(folder)?.objects() {
            wanted.push(Identity::of(&json!({
                "apiVersion": object.api_version, "kind": object.kind})));
        }
    }
    wait_for(
        "discovery of the sets' types",
        Duration::from_secs(60),
        || {
            api.discover()?;
            let all = wanted.iter().all(|id| api.resource(id).is_ok());
            Ok(all.then_some(()))
        },
    )?;
    Ok(api)
}

/// The objects of a folder as Kubernetes reads them: YAML 1.1, lists taken apart, namespaces
/// filled in.
pub(crate) fn read_by_kubectl(
    plane: &ControlPlane,
    folder: &Path,
) -> Result<BTreeMap<Identity, Value>> {
    let read = plane
        .kubectl_as(ADMIN)?
        .args([
            "create",
            "--dry-run=client",
            "--validate=false",
            "-o",
            "json",
        ])
        .args(["--recursive", "-f"])
        .arg(folder)
        .run()?
        .success()?;
    let mut objects = BTreeMap::new();
    for object in serde_json::Deserializer::from_str(&read).into_iter::<Value>() {
        let object = object.context("kubectl's JSON")?;
        let items = match object["items"].as_array() {
            Some(items) if object["kind"] == "List" => items.clone(),
            _ => vec![object],
        };
        for item in items {
            objects.insert(Identity::of(&item), item);
        }
    }
    Ok(objects)
}

fn schemas(api: &Api) -> Result<Schemas> {
    let mut schemas = Schemas::default();
    for (group, version) in api.versions() {
        let path = if group.is_empty() {
            format!("/openapi/v3/api/{version}")
        } else {
            format!("/openapi/v3/apis/{group}/{version}")
        };
        // Of a group whose server is away there is none.
        if let Ok(document) = api.raw(&path) {
            schemas.add_document(&group, &version, &document);
        }
    }
    let crds = api.raw("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")?;
    for crd in crds["items"].as_array().into_iter().flatten() {
        schemas.add_definition(crd);
    }
    Ok(schemas)
}
