//! The values, put into a cluster in every way in which values get there.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::support::plane::{ADMIN, ControlPlane};
use crate::support::{Result, wait_for, wait_for_success};
use crate::values::Values;

pub(crate) const NAMESPACE: &str = "vault";
/// The number.
pub(crate) const VALUES: usize = 200;
/// Another seed is asked for by this variable.
const SEED: &str = "STRANDLINE_TEST_SEED";
const DEFAULT_SEED: u64 = 20_261_121;
/// Objects without secrets, so that a sync takes a while.
const FILLERS: usize = 200;

/// Which values lie where. The rest comes by a change of Secrets that are recorded already.
const CREATED: Range<usize> = 0..80;
const APPLIED: Range<usize> = 80..104;
const SETTINGS: Range<usize> = 104..128;
const ENGINES: Range<usize> = 128..152;
const ODD: Range<usize> = 152..160;
const REFUSED: Range<usize> = 160..168;
const CHANGED: Range<usize> = 168..VALUES;
/// How many of the values lie in Secrets.
pub(crate) const IN_SECRETS: usize =
    CREATED.end - CREATED.start + APPLIED.end - APPLIED.start + CHANGED.end - CHANGED.start;
/// How many Secrets hold them.
pub(crate) const SECRETS: usize =
    (CREATED.end - CREATED.start + APPLIED.end - APPLIED.start) / PER_SECRET;
const PER_SECRET: usize = 4;

/// A cluster that holds the values.
pub(crate) struct Scene {
    pub(crate) values: Values,
}

impl Scene {
    /// Fills the cluster, the first time that it is asked for.
    pub(crate) fn of(plane: &ControlPlane) -> Result<&'static Self> {
        static SCENE: OnceLock<Result<Scene>> = OnceLock::new();
        let scene = SCENE.get_or_init(|| Self::set(plane));
        scene.as_ref().map_err(Clone::clone)
    }

    fn set(plane: &ControlPlane) -> Result<Self> {
        let seed = std::env::var(SEED)
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(DEFAULT_SEED);
        crate::report(&format!("{SEED}={seed}"));
        let scene = Self {
            values: Values::random(seed, VALUES),
        };
        plane
            .kubectl(["create", "namespace", NAMESPACE])?
            .success()?;
        let mut created: Vec<Value> = CREATED
            .step_by(PER_SECRET)
            .map(|first| scene.secret("created", first, first))
            .collect();
        created.extend((0..FILLERS).map(filler));
        kubectl(plane, &["create"], &list(&created))?;
        kubectl(plane, &["apply"], &list(&scene.applied(APPLIED.start)))?;
        kubectl(plane, &["apply"], &list(&scene.settings()))?;
        scene.engines(plane)?;
        scene.refused(plane)?;
        Ok(scene)
    }

    /// A Secret of `PER_SECRET` values; `values` is the first of them.
    fn secret(&self, kind: &str, number: usize, values: usize) -> Value {
        let data: Map<String, Value> = (0..PER_SECRET)
            .map(|at| (format!("key-{at}"), self.values.base64(values + at).into()))
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": format!("{kind}-{number}"), "namespace": NAMESPACE },
            "data": data
        })
    }

    /// What `kubectl apply` is given, which keeps a copy in an annotation: half of it as
    /// `stringData`, which only text can be.
    fn applied(&self, values: usize) -> Vec<Value> {
        let numbers = APPLIED.step_by(PER_SECRET);
        numbers
            .map(|number| {
                let first = values + number - APPLIED.start;
                let mut secret = self.secret("applied", number, first);
                for at in (0..PER_SECRET).filter(|at| self.values.is_text(first + at)) {
                    let key = format!("key-{at}");
                    let data = secret["data"].as_object_mut();
                    data.expect("a Secret has data").remove(&key);
                    secret["stringData"][&key] = self.values.text(first + at).into();
                }
                secret
            })
            .collect()
    }

    /// `ConfigMap`s with passwords, which a user's rule is for.
    fn settings(&self) -> Vec<Value> {
        let numbers = SETTINGS.step_by(PER_SECRET);
        numbers
            .map(|number| {
                let name = format!("settings-{number}");
                let mut settings = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": name, "namespace": NAMESPACE }
                });
                for at in number..number + PER_SECRET {
                    let key = format!("key-{at}");
                    if self.values.is_text(at) {
                        settings["data"][key] = self.values.text(at).into();
                    } else {
                        settings["binaryData"][key] = self.values.base64(at).into();
                    }
                }
                settings
            })
            .collect()
    }

    /// Custom resources with credentials: in a map, as the user's rule expects them, and in other
    /// shapes, which must not evade it.
    fn engines(&self, plane: &ControlPlane) -> Result<()> {
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "engines.vault.example.com" },
            "spec": {
                "group": "vault.example.com", "scope": "Namespaced",
                "names": { "plural": "engines", "kind": "Engine" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true
                    } }
                }]
            }
        });
        plane.apply(&crd)?;
        let text = |at: usize| {
            if self.values.is_text(at) {
                self.values.text(at).to_owned()
            } else {
                self.values.base64(at)
            }
        };
        let engine = |name: String, credentials: Value| {
            json!({
                "apiVersion": "vault.example.com/v1", "kind": "Engine",
                "metadata": { "name": name, "namespace": NAMESPACE },
                "spec": { "on": true, "credentials": credentials }
            })
        };
        let mut engines: Vec<_> = ENGINES
            .step_by(PER_SECRET)
            .map(|number| {
                let values = number..number + PER_SECRET;
                let map: Map<_, _> = values
                    .map(|at| (format!("key-{at}"), text(at).into()))
                    .collect();
                engine(format!("engine-{number}"), map.into())
            })
            .collect();
        let odd = ODD.start;
        engines.extend([
            engine(
                "list".to_owned(),
                json!([text(odd), text(odd + 1), [text(odd + 2)]]),
            ),
            engine("text".to_owned(), json!(text(odd + 3))),
            engine(
                "deep".to_owned(),
                json!({ "a": { "b": { "c": text(odd + 4) } }, "d": [text(odd + 5)] }),
            ),
            engine(
                "name".to_owned(),
                json!({ "a": [{ "key": text(odd + 6) }], "b": { "": text(odd + 7) } }),
            ),
        ]);
        let engines = list(&engines);
        wait_for_success("Engines", Duration::from_secs(60), || {
            kubectl(plane, &["apply"], &engines)
        })
    }

    /// Secrets that the server refuses, with errors that hold the value: it is a key's name too.
    fn refused(&self, plane: &ControlPlane) -> Result<()> {
        for at in REFUSED.filter(|&at| self.values.is_text(at)) {
            let value = self.values.text(at);
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": { "name": format!("refused-{at}"), "namespace": NAMESPACE },
                "stringData": { format!("{value} "): value }
            });
            let ended = plane
                .kubectl_as(ADMIN)?
                .args(["create", "-f", "-"])
                .stdin(secret.to_string())
                .run()?
                .expect_code(1)?;
            let found = self.values.find(ended.stderr.as_bytes());
            assert!(found.contains_key(&at), "not in: {}", ended.stderr);
        }
        Ok(())
    }

    /// Changes Secrets of both kinds to the values that are left, some by apply, some by replace.
    pub(crate) fn change(&self, plane: &ControlPlane) -> Result<()> {
        let half = CHANGED.start + APPLIED.len();
        self.write(plane, CHANGED.start, half..CHANGED.end)
    }

    /// Changes them back.
    pub(crate) fn reset(&self, plane: &ControlPlane) -> Result<()> {
        let changed = CHANGED.len() - APPLIED.len();
        self.write(plane, APPLIED.start, CREATED.start..CREATED.start + changed)
    }

    fn write(&self, plane: &ControlPlane, applied: usize, created: Range<usize>) -> Result<()> {
        kubectl(plane, &["apply"], &list(&self.applied(applied)))?;
        let first = created.start;
        let replaced: Vec<Value> = created
            .step_by(PER_SECRET)
            .map(|values| self.secret("created", values - first, values))
            .collect();
        kubectl(plane, &["replace"], &list(&replaced))
    }

    /// Makes an object that is recorded after everything before it.
    pub(crate) fn mark(plane: &ControlPlane, name: &str) -> Result<()> {
        plane
            .kubectl(["-n", NAMESPACE, "create", "configmap", name])?
            .success()?;
        Ok(())
    }
}

fn filler(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": format!("filler-{number}"), "namespace": NAMESPACE },
        "data": { "text": "nothing of interest\n".repeat(50) }
    })
}

fn list(items: &[Value]) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

pub(crate) fn kubectl(plane: &ControlPlane, args: &[&str], manifest: &Value) -> Result<()> {
    plane
        .kubectl_as(ADMIN)?
        .args(args)
        .args(["-f", "-"])
        .stdin(manifest.to_string())
        .run()?
        .success()?;
    Ok(())
}

/// Waits until the mirror's branch has this file.
pub(crate) fn recorded(mirror: &crate::mirror::Mirror, name: &str) -> Result<()> {
    let path = format!("namespaces/{NAMESPACE}/configmaps/{name}.yaml");
    wait_for(name, Duration::from_secs(90), || {
        Ok(mirror.has(&path)?.then_some(()))
    })
}
