//! `strandline demo`: the real recorder on a simulated shop.

mod desired;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};

use desired::DesiredFolder;

use super::facts::Gatherer;
use super::output::{Output, Style};
use super::{Exit, Failure, session};
use crate::cluster::{Cluster, ReflectorOptions};
use crate::config::DemoArgs;
use crate::filter::{Rules, Selection};
use crate::mirror::{Author, Heads, Mirror, MirrorOptions};
use crate::object::Prefix;
use crate::record::{
    Identity, Metrics, ReadPlan, RecorderOptions, Recording, Report, Until, WindowOptions, record,
};
use crate::simulator::{Simulator, SimulatorOptions, shop};
use crate::telemetry::clock::unix_seconds;

/// Says that a repository is a demo's, and may be replaced by the next one.
const MARK: &str = "strandline-demo";
/// A story is told faster than a cluster changes.
const QUIET: Duration = Duration::from_millis(300);
/// How long a chapter's commit may take before the demo says that something is wrong.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{} is not a demo's repository, so it is not replaced: name another one with --repository", path.display())]
    NotADemo { path: PathBuf },
    #[error("{} cannot be {act}: {source}", path.display())]
    Files {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("'{title}' was not committed within 5 s")]
    NoCommit { title: String },
    #[error("'{title}' made a commit, but nothing in it is worth one")]
    NeedlessCommit { title: String },
    #[error("the recorder ended before the story did")]
    Ended,
}

/// Records a simulated shop and tells its story.
pub(super) async fn run(args: &DemoArgs, output: &Output) -> Result<Exit, Failure> {
    let path = &args.repository;
    let beside = DesiredFolder::beside(path);
    make_room([path, &beside])?;
    let options = SimulatorOptions {
        seed: args.seed,
        ..SimulatorOptions::default()
    };
    let simulator = Simulator::start(options).await?;
    shop::build(&simulator)?;
    let folder = DesiredFolder::make(beside, &simulator).await?;
    let cluster = Cluster::without_credentials(&simulator.url(), "demo")?;
    let cluster_id = cluster
        .identity()
        .await?
        .unwrap_or_else(|| "demo".to_owned());
    let mirror = Mirror::open(MirrorOptions {
        path: path.clone(),
        branch: "main".to_owned(),
        prefix: Prefix::default(),
        author: Author {
            name: "Strandline".to_owned(),
            email: "strandline@localhost".to_owned(),
        },
    })?;
    fs::write(path.join(MARK), "").map_err(|source| DemoError::Files {
        act: "marked as a demo's",
        path: path.clone(),
        source,
    })?;
    let key = session::new_key(&path.join(session::KEY_FILE))?;
    let selection = Selection::default();
    let rules = Arc::new(Rules::assemble(&selection)?);
    // Nothing of the story changes them.
    let mut gatherer = Gatherer::new(cluster.clone(), rules.clone(), selection);
    let (facts, known) = watch::channel(gatherer.gather().await?);
    let recording = Recording {
        identity: Identity {
            cluster_id,
            key_fingerprint: key.fingerprint(),
            digested: false,
        },
        plan: ReadPlan {
            rules,
            recipients: None,
            digest_key: Arc::new(key),
            owners: true,
            namespaces: Vec::new(),
            reflector: ReflectorOptions::default(),
            cursor: std::collections::HashMap::new(),
            cursor_valid_for: String::new(),
            seed: args.seed,
        },
        options: RecorderOptions {
            window: WindowOptions {
                quiet_period: QUIET,
                max_age: Duration::from_secs(3),
                ..WindowOptions::default()
            },
            sync_timeout: Duration::from_secs(10),
            damping: true,
        },
        cluster_name: "demo".to_owned(),
        clock: unix_seconds,
        until: Until::Stopped,
        dry_run: false,
        maintain: None,
        metrics: Metrics::default(),
        facts: known,
    };
    let (reports, inbox) = mpsc::channel(64);
    let (heads, _) = watch::channel(Heads::default());
    let (stop, stopped) = watch::channel(false);
    let recorder = tokio::spawn(record(cluster, mirror, recording, reports, heads, stopped));
    let told = tell(args.seed, &simulator, inbox, output).await;
    stop.send_replace(true);
    recorder.await??;
    drop(facts);
    told?;
    folder.compare(path, output).await?;
    close(path, &folder, output);
    Ok(Exit::Fine)
}

/// Removes what an earlier demo made, and nothing else; all of it or none.
fn make_room(paths: [&Path; 2]) -> Result<(), DemoError> {
    let failed = |act, path: &Path, source| DemoError::Files {
        act,
        path: path.to_owned(),
        source,
    };
    let mut earlier = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", path, error)),
            Ok(_) if path.join(MARK).is_file() => earlier.push(path),
            Ok(_) => {
                return Err(DemoError::NotADemo {
                    path: path.to_owned(),
                });
            }
        }
    }
    for path in earlier {
        fs::remove_dir_all(path).map_err(|source| failed("replaced", path, source))?;
    }
    Ok(())
}

/// Plays the story, and shows what the recorder makes of each chapter.
async fn tell(
    seed: u64,
    simulator: &Simulator,
    mut inbox: mpsc::Receiver<Report>,
    output: &Output,
) -> Result<(), DemoError> {
    let beginning = "a shop is running";
    heading(
        output,
        "The cluster as it is: a shop with three teams, recorded for the first time",
    );
    show(output, next_commit(&mut inbox, beginning).await?);
    while !matches!(
        inbox.recv().await.ok_or(DemoError::Ended)?,
        Report::Synced { .. }
    ) {}
    for chapter in shop::story(seed) {
        heading(output, &chapter.title);
        chapter.play(simulator).map_err(|source| DemoError::Files {
            act: "changed",
            path: PathBuf::from("the simulated cluster"),
            source: io::Error::other(source),
        })?;
        if chapter.leaves_trace {
            show(output, next_commit(&mut inbox, &chapter.title).await?);
        } else {
            let title = chapter.title.clone();
            match tokio::time::timeout(QUIET * 4, inbox.recv()).await {
                Err(_) => {
                    output.line("  no commit: nothing that anybody asked for has changed");
                    output.json(&json!({ "event": title, "commit": null }));
                }
                Ok(Some(_)) => return Err(DemoError::NeedlessCommit { title }),
                Ok(None) => return Err(DemoError::Ended),
            }
        }
    }
    Ok(())
}

fn heading(output: &Output, text: &str) {
    output.line(&format!("\n{}", output.styled(Style::Bold, text)));
}

fn show(output: &Output, (commit_id, subject): (String, String)) {
    output.line(&format!(
        "  {} {subject}",
        output.styled(Style::Warning, &commit_id[..10])
    ));
    output.json(&json!({ "commit": commit_id, "subject": subject }));
}

async fn next_commit(
    inbox: &mut mpsc::Receiver<Report>,
    title: &str,
) -> Result<(String, String), DemoError> {
    let committed = async {
        loop {
            match inbox.recv().await.ok_or(DemoError::Ended)? {
                Report::Committed {
                    commit_id, subject, ..
                } => {
                    return Ok((commit_id.to_string(), subject));
                }
                Report::Progress { .. } | Report::Synced { .. } | Report::WouldCommit { .. } => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, committed)
        .await
        .map_err(|_| DemoError::NoCommit {
            title: title.to_owned(),
        })?
}

fn close(path: &Path, folder: &DesiredFolder, output: &Output) {
    let repository = path.display();
    let repository = repository.to_string();
    let repository = repository.strip_prefix("./").unwrap_or(&repository);
    output.line("");
    output.line("Look further:");
    output.line(&format!("  git -C {repository} log --stat"));
    output.line(&format!(
        "  git -C {repository} log -p -- namespaces/shop/deployments.apps"
    ));
    output.line(&format!(
        "  git -C {repository} ls-tree -r --name-only main"
    ));
    output.line(&format!("  {}", folder.again(repository)));
    output.json(&json!({ "repository": repository }));
}
