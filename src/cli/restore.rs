//! `strandline restore`: manifests on standard output, or a plan, a question, and its execution.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::folder::{self, TemporaryFolder};
use super::output::{Output, Style};
use super::progress::RestoreProgress;
use super::{Exit, Failure};
use crate::canonical;
use crate::cluster::{Cluster, ConnectOptions};
use crate::config::{Place, RestoreArgs, RestoreAt, RestoreSettings};
use crate::filter::LabelSelector;
use crate::mirror::{At, Head, IDENTITY_FILE, Snapshot, SnapshotOptions};
use crate::record::Identity;
use crate::remote::Depth;
use crate::restore::{
    Access, Class, Fill, Item, Loaded, Options, Outcome, Plan, RunOptions, Selection, Source,
    Target, Unreadable, Wanted, look, render, run as run_plan,
};
use crate::sops::{self, Identities};

/// Objects of one class that a person is told one by one.
const MOST_LINES: usize = 20;
/// What no mirror holds.
const NOT_IN_A_MIRROR: &str = "a mirror does not bring back: contents of volumes, status, values of digested Secrets, Helm's release history";

/// A restore that cannot be begun. Each error says what to do.
#[derive(Debug, thiserror::Error)]
enum RestoreStartError {
    #[error(
        "{where_} holds no mirror{below}: it has no {IDENTITY_FILE}; name the repository and --prefix that were recorded with"
    )]
    NoMirror { where_: String, below: String },
    #[error("the identity file {} cannot be read: {source}", path.display())]
    Identity {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the identity file {} cannot be used: {source}", path.display())]
    BadIdentity {
        path: PathBuf,
        source: sops::SopsError,
    },
    #[error("there is no terminal to ask on: look at the plan, then give --yes")]
    NobodyToAsk,
}

/// What is restored from.
struct Origin {
    source: Source,
    head: Head,
    cluster_id: String,
    shown: String,
    /// Holds what was fetched until the restore is done.
    _fetched: Option<TemporaryFolder>,
}

pub(super) async fn run(args: &RestoreArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = RestoreSettings::new(args)?;
    let selection = selection(&settings)?;
    let origin = open(&settings).await?;
    let loaded = origin.source.load(&selection)?;
    if settings.apply {
        apply(&settings, &origin, &loaded, output).await
    } else {
        print(&settings, &origin, &loaded, output)
    }
}

fn selection(settings: &RestoreSettings) -> Result<Selection, Failure> {
    let labels = settings
        .selector
        .as_deref()
        .map(LabelSelector::parse)
        .transpose()?;
    let names: Result<Vec<Wanted>, _> = settings
        .objects
        .iter()
        .map(|text| Wanted::parse(text))
        .collect();
    Ok(Selection {
        namespaces: settings.namespaces.clone(),
        labels,
        names: names?,
    })
}

fn plan_options(settings: &RestoreSettings) -> Options {
    Options {
        update: settings.update,
        include_jobs: settings.include_jobs,
        include_owned: settings.include_owned,
        include_managed: settings.include_managed,
    }
}

async fn open(settings: &RestoreSettings) -> Result<Origin, Failure> {
    let at = match &settings.at {
        RestoreAt::Revision(revision) => At::Revision(revision.clone()),
        RestoreAt::Time(seconds) => At::Time(*seconds),
    };
    let (path, shown, fetched) = match &settings.place {
        Place::Path(path) => (path.clone(), path.display().to_string(), None),
        Place::Url(url) => {
            let folder = fetch(settings, url).await?;
            (folder.repository(), url.clone(), Some(folder))
        }
    };
    let snapshot = Snapshot::open(
        SnapshotOptions {
            path,
            reference: format!("refs/heads/{}", settings.branch),
            prefix: settings.prefix.clone(),
        },
        &at,
    )?;
    let Some(identity) = snapshot.read_file(IDENTITY_FILE)? else {
        let below = match settings.prefix.as_str() {
            "" => String::new(),
            prefix => format!(" below {prefix}"),
        };
        return Err(RestoreStartError::NoMirror {
            where_: shown,
            below,
        }
        .into());
    };
    let cluster_id = Identity::cluster_of(&identity)?;
    let identities = identities(&settings.identities)?;
    Ok(Origin {
        head: snapshot.head(),
        source: Source::new(snapshot, identities),
        cluster_id,
        shown,
        _fetched: fetched,
    })
}

/// The keys of all identity files; `None` where none is given.
fn identities(paths: &[PathBuf]) -> Result<Option<Identities>, RestoreStartError> {
    let mut all = Zeroizing::new(String::new());
    for path in paths {
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|source| RestoreStartError::Identity {
            path: path.clone(),
            source,
        })?;
        Identities::parse(&text).map_err(|source| RestoreStartError::BadIdentity {
            path: path.clone(),
            source,
        })?;
        all.push_str(&text);
        all.push('\n');
    }
    // Each file was read by itself, so all of them together hold only keys.
    Ok(Identities::parse(&all).ok())
}

/// Fetches the branch of a URL into a repository of its own.
async fn fetch(settings: &RestoreSettings, url: &str) -> Result<TemporaryFolder, Failure> {
    let depth = match &settings.at {
        RestoreAt::Revision(revision) if revision == "HEAD" => Depth::Newest,
        _ => Depth::Missing,
    };
    let wanted = folder::Fetch {
        url,
        branch: &settings.branch,
        refs: Vec::new(),
        credentials: &settings.credentials,
        depth,
    };
    folder::fetch(wanted, &settings.temporary).await
}

/// Prints manifests in an order that can be applied; the rest is said on standard error.
fn print(
    settings: &RestoreSettings,
    origin: &Origin,
    loaded: &Loaded,
    output: &Output,
) -> Result<Exit, Failure> {
    let plan = Plan::new(&loaded.files, &Target::default(), plan_options(settings));
    let mut items = Vec::new();
    let mut text = Vec::new();
    for item in plan.items.iter().filter(|item| item.class.acts()) {
        let mut object = origin.source.object(&item.recorded)?;
        let fill = Fill {
            replicas: item.replicas,
            suspend: item.suspend,
            ..Fill::default()
        };
        render(&item.recorded.key, &mut object, &fill);
        if output.is_json() {
            items.push(object);
        } else {
            text.extend_from_slice(b"---\n");
            canonical::emit(&object, &mut text);
        }
    }
    // `kubectl create -f -` takes either.
    output.json(&json!({ "apiVersion": "v1", "kind": "List", "items": items }));
    output.bytes(&text);
    let acting = plan.items.iter().filter(|item| item.class.acts()).count();
    output.note(&format!(
        "{acting} manifests of {} at {} ({})",
        origin.shown,
        origin.head.commit_id,
        time(origin.head.committed_at)
    ));
    let say = |line: &str| output.note(line);
    tell(&plan, &loaded.unreadable, output, &say);
    Ok(if plan.is_lacking() || !loaded.unreadable.is_empty() {
        Exit::Incomplete
    } else {
        Exit::Fine
    })
}

async fn apply(
    settings: &RestoreSettings,
    origin: &Origin,
    loaded: &Loaded,
    output: &Output,
) -> Result<Exit, Failure> {
    let cluster = Cluster::connect(&ConnectOptions {
        kubeconfig: settings.kubeconfig.clone(),
        search_path: settings.kubeconfig_search.clone(),
        context: settings.context.clone(),
    })
    .await?;
    cluster.version().await?;
    let target_id = cluster.identity().await?;
    let access = Access::new(&cluster, settings.dry_run);
    let (target, comparer) = look(&access, &origin.source, &loaded.files).await?;
    let plan = Plan::new(&loaded.files, &target, plan_options(settings));
    tell_places(origin, &cluster, target_id.as_deref(), output);
    tell(&plan, &loaded.unreadable, output, &|line| output.line(line));
    output.line(NOT_IN_A_MIRROR);
    if plan.acts() && !settings.yes && !settings.dry_run {
        let count = plan.items.iter().filter(|item| item.class.acts()).count();
        let question = format!("Write {count} objects into {}?", cluster.name());
        match output.ask(&question) {
            Some(true) => {}
            Some(false) => return Err("nothing was written".into()),
            None => return Err(RestoreStartError::NobodyToAsk.into()),
        }
    }
    let progress = RestoreProgress::start(
        output,
        plan.items.iter().filter(|item| item.class.acts()).count(),
    );
    let done = |item: &Item, outcome: &Outcome| {
        progress.step(item.stage.name());
        if outcome.is_failure() || matches!(outcome, Outcome::Left { .. }) {
            let mark = output.styled(Style::Bad, outcome.name());
            output.line(&format!(
                "{mark} {}: {}",
                item.recorded.key,
                outcome.reason()
            ));
        }
    };
    let options = RunOptions {
        wait: settings.wait,
        update: settings.update,
    };
    let outcomes = run_plan(
        &plan,
        &target,
        &origin.source,
        &access,
        &comparer,
        options,
        &done,
    )
    .await;
    drop(progress);
    let failed = outcomes.iter().any(Outcome::is_failure);
    let complete = !failed && !plan.is_lacking() && loaded.unreadable.is_empty();
    let mut counts = std::collections::BTreeMap::new();
    for outcome in &outcomes {
        *counts.entry(outcome.name()).or_insert(0_usize) += 1;
    }
    output.line(&sentence("done", &counts));
    output.json(&json!({
        "source": {
            "repository": origin.shown,
            "commit": origin.head.commit_id.to_string(),
            "time": time(origin.head.committed_at),
            "cluster": origin.cluster_id,
        },
        "target": {
            "name": cluster.name(),
            "server": cluster.server(),
            "cluster": target_id,
        },
        "dryRun": settings.dry_run,
        "classes": plan.counts(),
        "results": counts,
        "objects": plan
            .items
            .iter()
            .zip(&outcomes)
            .map(|(item, outcome)| object_json(item, outcome))
            .collect::<Vec<_>>(),
        "unreadable": loaded
            .unreadable
            .iter()
            .map(|file| json!({ "path": file.path, "reason": file.reason }))
            .collect::<Vec<_>>(),
        "complete": complete,
    }));
    Ok(if complete {
        Exit::Fine
    } else {
        Exit::Incomplete
    })
}

fn object_json(item: &Item, outcome: &Outcome) -> Value {
    let key = &item.recorded.key;
    let reason = match outcome.reason() {
        reason if reason.is_empty() => item.class.reason(),
        reason => reason,
    };
    json!({
        "apiVersion": key.api_type.api_version(),
        "kind": key.api_type.kind,
        "namespace": key.namespace,
        "name": key.name,
        "path": key.path(),
        "stage": item.stage.name(),
        "class": item.class.name(),
        "result": outcome.name(),
        "reason": reason,
        "notes": item.notes,
    })
}

/// Both clusters, by name and uid.
fn tell_places(origin: &Origin, cluster: &Cluster, target_id: Option<&str>, output: &Output) {
    let bold = |text: &str| output.styled(Style::Bold, text);
    output.line(&format!(
        "{} {} at {} ({}), of cluster {}",
        bold("from"),
        origin.shown,
        origin.head.commit_id,
        time(origin.head.committed_at),
        origin.cluster_id
    ));
    output.line(&format!(
        "{} {} ({}), cluster {}",
        bold("into"),
        cluster.name(),
        cluster.server(),
        target_id.unwrap_or("of unknown uid")
    ));
    if target_id != Some(&origin.cluster_id) {
        let mark = output.styled(Style::Warning, "note");
        output.line(&format!(
            "{mark} this is another cluster than the recorded one"
        ));
    }
}

/// The plan for people: counts per class, and each object that is not simply created or the same.
fn tell(plan: &Plan, unreadable: &[Unreadable], output: &Output, say: &dyn Fn(&str)) {
    say(&sentence("plan", &plan.counts()));
    let mut told = std::collections::BTreeMap::new();
    for item in &plan.items {
        let class = &item.class;
        let reason = class.reason();
        let key = &item.recorded.key;
        let mut line = |name: &str, text: String| {
            let count = told.entry(name.to_owned()).or_insert(0_usize);
            *count += 1;
            if *count <= MOST_LINES {
                let style = if class.is_lacking() {
                    Style::Warning
                } else {
                    Style::Bold
                };
                say(&format!("{} {key}: {text}", output.styled(style, name)));
            }
        };
        // Whole screens of bootstrap roles would hide the rest: counted, and in JSON.
        if !reason.is_empty() && !matches!(class, Class::SystemMade { .. }) {
            line(class.name(), reason);
        }
        for note in &item.notes {
            line("note", note.clone());
        }
    }
    for (name, count) in told {
        if count > MOST_LINES {
            say(&format!(
                "{name}: and {} more, see -o json",
                count - MOST_LINES
            ));
        }
    }
    for file in unreadable {
        let mark = output.styled(Style::Bad, "unreadable");
        say(&format!("{mark} {}: {}", file.path, file.reason));
    }
}

/// `plan: 3 create, 2 same`.
fn sentence(what: &str, counts: &std::collections::BTreeMap<&'static str, usize>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if parts.is_empty() {
        format!("{what}: nothing")
    } else {
        format!("{what}: {}", parts.join(", "))
    }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}
