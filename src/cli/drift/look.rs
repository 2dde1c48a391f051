//! Single objects that the cluster is asked for once more: in the version that is desired, or for
//! their status, which is not recorded.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tracing::debug;

use super::super::Failure;
use super::cluster::key_or_made_up;
use crate::cluster::{ApiError, Cluster, Scope};
use crate::drift::evaluate::{OtherVersion, is_rolling_out};
use crate::drift::live::{Live, LiveObject, RecordedFile, object_of};
use crate::drift::report::{ObjectClass, ObjectReport, Report};
use crate::filter::{Autoscaled, DigestKey, TypePlan, scale_target};
use crate::object::{ApiType, ObjectKey, RawObject};
use crate::record::{Content, Pipeline};

/// Requests at a time.
const CONCURRENT: usize = 8;

/// Reads objects in the versions that are desired, the way that the others were recorded. What
/// cannot be read is said so in its place.
pub(super) async fn in_other_versions(
    cluster: &Cluster,
    live: &mut Live,
    wanted: Vec<OtherVersion>,
    digest_key: Option<&Arc<DigestKey>>,
) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    debug!(
        objects = wanted.len(),
        "objects are read in the versions that are desired"
    );
    let digest_key = key_or_made_up(digest_key)?;
    let autoscaled = autoscaled(live);
    let requests = wanted.into_iter().map(|other| async move {
        let namespace = other.identity.namespace.as_deref();
        let read = object(cluster, &other.api_type, namespace, &other.identity.name).await;
        (other, read)
    });
    let read: Vec<_> = stream::iter(requests)
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    for (other, read) in read {
        let version = other.api_type.version.clone();
        let object = match read {
            Ok(Some(raw)) => recorded(live, &other, raw, &digest_key, &autoscaled),
            Ok(None) => Err("it was deleted while it was looked at".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let object = object.map_err(|why| format!("it cannot be read in version {version}: {why}"));
        let others = live.other_versions.entry(other.identity).or_default();
        others.insert(version, object);
    }
    Ok(())
}

async fn object(
    cluster: &Cluster,
    api_type: &ApiType,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<RawObject>, ApiError> {
    let scope = namespace.map_or(Scope::Cluster, |name| Scope::Namespace(name.into()));
    cluster.object(api_type, &scope, name).await
}

/// The workloads that some recorded autoscaler scales: their replicas are not recorded.
fn autoscaled(live: &Live) -> Autoscaled {
    let targets = live.objects.iter().filter_map(|(identity, object)| {
        let kind = live
            .kinds
            .get(&(identity.group.clone(), identity.kind.clone()))?;
        let key = ObjectKey {
            api_type: Arc::new(kind.api_type(&object.version)),
            namespace: identity.namespace.clone(),
            name: identity.name.clone(),
        };
        // Others are not parsed for it.
        let scales = crate::filter::is_autoscaler(&kind.group, &kind.resource);
        scales.then(|| scale_target(&key, &object.value))?
    });
    targets.collect()
}

/// What the recorder would write of it.
fn recorded(
    live: &Live,
    other: &OtherVersion,
    raw: RawObject,
    digest_key: &Arc<DigestKey>,
    autoscaled: &Autoscaled,
) -> Result<LiveObject, String> {
    let rules = match live.rules.plan(&other.api_type) {
        TypePlan::Watched(rules) => Arc::from(rules),
        TypePlan::Dropped { rule } => return Err(format!("not recorded (rule {rule})")),
    };
    let pipeline = Pipeline::new(other.api_type.clone(), rules, digest_key.clone());
    let staged = pipeline
        .stage(raw, autoscaled)
        .map_err(|error| error.to_string())?;
    let bytes = match staged.content {
        Content::File { bytes, .. } => bytes,
        Content::LeftOut { rule } => return Err(format!("not recorded (rule {rule})")),
        Content::Sealed { .. } | Content::Unsealable | Content::Known { .. } => {
            return Err("it is recorded encrypted".to_owned());
        }
    };
    let (owners, times) = staged.sidecar.map(|side| (side.owners, side.times)).unzip();
    let file = RecordedFile {
        path: (&*staged.path).into(),
        bytes,
        owners: owners.map(Into::into),
        times: times.filter(|times| !times.is_empty()).map(Into::into),
    };
    let (_, object) = object_of(file)?;
    Ok(object)
}

/// Marks what is `Modified` and on its way: its next state may be another. What cannot be read
/// stays unmarked.
pub(super) async fn mark_rollouts(cluster: &Cluster, live: &Live, report: &mut Report) {
    let modified = report
        .objects
        .iter_mut()
        .filter(|object| object.class == ObjectClass::Modified && object.group == "apps");
    let asked = modified.filter_map(|object| {
        let name = (object.group.as_str().into(), object.kind.as_str().into());
        let kind = live.kinds.get(&name)?;
        let rolls = ["Deployment", "StatefulSet", "DaemonSet"].contains(&&*kind.kind);
        rolls.then(|| (kind.api_type(&object.version), object))
    });
    stream::iter(asked)
        .for_each_concurrent(CONCURRENT, |(api_type, object)| {
            mark(cluster, api_type, object)
        })
        .await;
}

async fn mark(cluster: &Cluster, api_type: ApiType, report: &mut ObjectReport) {
    let namespace = report.namespace.as_deref();
    match object(cluster, &api_type, namespace, &report.name).await {
        Ok(Some(object)) if is_rolling_out(&object.value) => {
            report.marks.push("rolling out".to_owned());
        }
        Ok(_) => {}
        Err(error) => debug!(%error, "whether it is rolling out is not known"),
    }
}
