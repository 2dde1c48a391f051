//! One live object.

use std::sync::Arc;

use super::super::output::Output;
use super::super::reading::each;
use super::super::rules::Ruling;
use super::super::{Exit, Failure, session};
use super::Explainer;
use crate::cluster::{Cluster, Discovered, Scope, Selectors};
use crate::config::RecordSettings;
use crate::filter::{Autoscaled, is_autoscaler, scale_target};
use crate::object::{ApiType, resource_of_short_name};
use crate::remote::last_message;

/// The trailer that names damped objects.
const DAMPED: &str = "Strandline-Damped: ";

#[derive(Debug, thiserror::Error)]
enum LiveError {
    #[error("nothing is served that is called '{}'", kind.escape_debug())]
    NoType { kind: String },
    #[error("'{}' may be any of {candidates}: name one of them", kind.escape_debug())]
    Ambiguous { kind: String, candidates: String },
    #[error("there is no {kind} named '{}'{place}", name.escape_debug())]
    Absent {
        kind: String,
        name: String,
        place: String,
    },
    #[error("give one namespace with -n")]
    Namespaces,
}

pub(super) async fn run(
    kind: &str,
    name: &str,
    settings: &RecordSettings,
    ruling: &Ruling,
    output: &Output,
) -> Result<Exit, Failure> {
    let cluster = Cluster::connect(&session::connect_options(settings)).await?;
    let found = cluster.discover(None).await?;
    let api_type = type_of(&found, kind)?;
    let scope = match (&*settings.namespaces, api_type.namespaced) {
        (_, false) => Scope::Cluster,
        ([], true) => Scope::Namespace("default".into()),
        ([namespace], true) => Scope::Namespace(namespace.as_str().into()),
        _ => return Err(LiveError::Namespaces.into()),
    };
    let object = cluster.object(&api_type, &scope, name).await?;
    let object = object.ok_or_else(|| LiveError::Absent {
        kind: api_type.kind.to_string(),
        name: name.to_owned(),
        place: match &scope {
            Scope::Cluster => String::new(),
            Scope::Namespace(namespace) => format!(" in namespace {namespace}: -n names another"),
        },
    })?;
    let mut targets = Vec::new();
    if let Scope::Namespace(_) = &scope {
        let scalers = found.types.values().map(|served| &served.api_type);
        for scaler in scalers.filter(|t| t.namespaced && is_autoscaler(&t.group, &t.resource)) {
            // Who may not read autoscalers sees what a recorder with the same rights does.
            let read = each(&cluster, scaler, &scope, Selectors::default(), |object| {
                let key = object.key(scaler).ok();
                targets.extend(key.and_then(|key| scale_target(&key, &object.value)));
            });
            if let Err(reason) = read.await {
                let warning = format!("{scaler} cannot be read ({reason}): replicas show as kept");
                output.note(&warning);
            }
        }
    }
    let autoscaled: Autoscaled = targets.into_iter().collect();
    let path = object.key(&api_type)?.path();
    let path = settings.prefix.join(&path);
    let damped = if settings.repository.path.is_dir() {
        let branch = &settings.repository.branch;
        let message = last_message(&settings.repository.path, branch, &path).await?;
        message
            .as_deref()
            .and_then(|m| damped(m, &path))
            .map(str::to_owned)
    } else {
        None
    };
    let explainer = Explainer::new(ruling)?;
    let found = explainer.explain(&api_type, &object, &autoscaled, damped)?;
    explainer.show(&found, output);
    Ok(Exit::Fine)
}

/// What a message's trailer says of the file at `path`.
fn damped<'m>(message: &'m str, path: &str) -> Option<&'m str> {
    let trailers = message.lines().filter_map(|line| line.strip_prefix(DAMPED));
    let mut of_path =
        trailers.filter(|text| text.split(' ').next().is_some_and(|p| path.ends_with(p)));
    of_path.next()
}

/// The type that a person means: `deployment`, `deployments`, `deployments.apps`, `deploy`.
fn type_of(found: &Discovered, kind: &str) -> Result<Arc<ApiType>, LiveError> {
    let lower = kind.to_lowercase();
    let lower = resource_of_short_name(&lower).unwrap_or(&lower);
    let (name, group) = lower
        .split_once('.')
        .map_or((lower, None), |(name, group)| (name, Some(group)));
    let fits = |api_type: &ApiType| {
        (*api_type.resource == *name || api_type.kind.to_lowercase() == name)
            && group.is_none_or(|group| *api_type.group == *group)
    };
    let types = found.types.values().map(|served| &served.api_type);
    let candidates: Vec<_> = types.filter(|api_type| fits(api_type)).collect();
    match &*candidates {
        [] => Err(LiveError::NoType {
            kind: kind.to_owned(),
        }),
        [one] => Ok(Arc::clone(one)),
        several => Err(LiveError::Ambiguous {
            kind: kind.to_owned(),
            candidates: several
                .iter()
                .map(|api_type| format!("{}.{}", api_type.resource, api_type.group))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}
