//! `strandline snapshot`.

use serde_json::json;
use tokio::sync::watch;

use super::output::{Output, Style};
use super::{Exit, Failure};
use crate::config::{RecordSettings, SnapshotArgs};
use crate::record::Until;

/// One complete sync, one commit, one push.
pub(super) async fn run(args: &SnapshotArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = RecordSettings::for_snapshot(args)?;
    let (_stop, stopped) = watch::channel(false);
    let recording = super::record::run_recording(&settings, Until::Synced, output, stopped);
    let outcome = Box::pin(recording).await?;
    output.json(&json!({
        "files": outcome.files,
        "commits": outcome.commits,
        "unknown": outcome.unknown,
        "complete": outcome.unknown.is_empty(),
        "pushed": settings.remote.as_ref().map(|_| outcome.push_failed.is_none()),
    }));
    outcome.check_push()?;
    if !outcome.synced {
        return Err("stopped before everything was read: nothing was committed".into());
    }
    if !settings.dry_run {
        let verdict = if outcome.commits == 0 {
            "nothing changed"
        } else {
            "recorded"
        };
        let repository = settings.repository.path.display();
        output.line(&format!(
            "{verdict}: {} files in {repository}",
            outcome.files
        ));
    }
    for (api_type, cause) in &outcome.unknown {
        let mark = output.styled(Style::Warning, "unknown");
        output.line(&format!(
            "{mark} {api_type}: {cause}, its files stay as they are"
        ));
    }
    Ok(if outcome.unknown.is_empty() {
        Exit::Fine
    } else {
        Exit::Incomplete
    })
}
