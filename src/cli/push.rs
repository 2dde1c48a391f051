//! The remote: met once at the start, and kept up with at a pace of its own.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

use super::Failure;
use super::session::StartError;
use crate::config::{Credentials as Configured, RecordSettings};
use crate::mirror::{CommitId, Mirror, Store as _};
use crate::remote::{
    Credentials, Depth, Oid, Push, Remote, RemoteError, RemoteOptions, git_version, is_ancestor,
};

/// The longest pause between two attempts at a push.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// The remote may lag this many push intervals before a line says so.
const LAG: u32 = 3;

/// The configured remote, checked as far as that goes without talking to it.
pub(super) async fn remote(settings: &RecordSettings) -> Result<Option<Remote>, Failure> {
    let Some(configured) = &settings.remote else {
        return Ok(None);
    };
    git_version().await?;
    let mut options = RemoteOptions::new(&configured.url, &settings.repository.branch);
    options.credentials = match &configured.credentials {
        Configured::Ambient => Credentials::None,
        Configured::TokenFile(path) => Credentials::TokenFile(path.clone()),
        Configured::Token(token) => Credentials::Token(Zeroizing::new(token.expose().to_owned())),
        Configured::Helper(name) => Credentials::Helper(name.clone()),
    };
    options.push_options.clone_from(&configured.push_options);
    options.timeout = configured.timeout;
    Ok(Some(Remote::new(options)?))
}

/// Brings the local branch and the remote's together, or says why that cannot be.
///
/// Behind: fast-forward. Ahead: what the pusher pushes. An empty disk takes the newest commit.
pub(super) async fn meet(
    settings: &RecordSettings,
    mirror: &mut Mirror,
    remote: &Remote,
    remote_head: Option<&Oid>,
) -> Result<(), Failure> {
    let Some(theirs) = remote_head else {
        return Ok(());
    };
    let path = &settings.repository.path;
    let Some(ours) = mirror.head().map(|head| head.commit_id) else {
        let Some(fetched) = remote.fetch(path, Depth::Newest).await? else {
            return Ok(());
        };
        mirror.fast_forward(fetched.to_string().parse()?)?;
        info!(commit_id = %fetched, "went on from the remote's branch");
        return Ok(());
    };
    let ours_oid: Oid = ours.to_string().parse()?;
    if ours_oid == *theirs || is_ancestor(path, theirs, &ours_oid).await? {
        return Ok(());
    }
    if let Some(fetched) = remote.fetch(path, Depth::Missing).await?
        && is_ancestor(path, &ours_oid, &fetched).await?
    {
        mirror.fast_forward(fetched.to_string().parse()?)?;
        info!(commit_id = %fetched, "caught up with the remote's branch");
        return Ok(());
    }
    Err(StartError::Diverged {
        branch: settings.repository.branch.clone(),
        local: ours.to_string(),
        remote: theirs.to_string(),
        repository: path.clone(),
    }
    .into())
}

/// Keeps the remote up with the newest commit.
pub(super) struct Pusher {
    pub(super) remote: Remote,
    pub(super) repository: PathBuf,
    pub(super) interval: Duration,
    /// What the remote's branch is known to be.
    pub(super) expected: Option<Oid>,
}

/// Where one attempt got.
enum Attempt {
    Done,
    /// It is worth another one; this is why it failed.
    Again(String),
}

impl Pusher {
    /// Runs until `finish` is set; then pushes once more, if there is anything to push.
    ///
    /// Returns why the remote does not have the newest commit, if it has not.
    pub(super) async fn run(
        mut self,
        mut newest: watch::Receiver<Option<CommitId>>,
        mut finish: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let mut not_before = Instant::now();
        let mut failures = 0;
        let mut behind_since = None;
        let mut warned = false;
        loop {
            let finishing = *finish.borrow_and_update();
            let target = *newest.borrow_and_update();
            let behind = match target.map(|id| id.to_string().parse::<Oid>()) {
                Some(Ok(oid)) if self.expected.as_ref() != Some(&oid) => oid,
                _ if finishing => return Ok(()),
                _ => {
                    (behind_since, warned, failures) = (None, false, 0);
                    tokio::select! {
                        changed = newest.changed() => if changed.is_err() { return Ok(()) },
                        changed = finish.changed() => if changed.is_err() { return Ok(()) },
                    }
                    continue;
                }
            };
            let since = *behind_since.get_or_insert_with(Instant::now);
            let lag = since.elapsed();
            if !warned && lag > self.interval * LAG {
                warned = true;
                warn!(seconds = lag.as_secs(), "the remote lags behind the mirror");
            }
            if !finishing && Instant::now() < not_before {
                tokio::select! {
                    () = tokio::time::sleep_until(not_before) => {}
                    _ = finish.changed() => {}
                }
                continue;
            }
            let started = Instant::now();
            let attempt = self.push(&behind).await;
            match attempt {
                Attempt::Done => {
                    info!(commit_id = %behind, seconds = started.elapsed().as_secs_f64(), "pushed");
                    failures = 0;
                    behind_since = None;
                    not_before = started + self.interval;
                }
                Attempt::Again(reason) if finishing => return Err(reason),
                Attempt::Again(_) => {
                    let pause = self.interval.saturating_mul(1 << failures.min(6));
                    failures += 1;
                    not_before = Instant::now()
                        + pause.clamp(self.interval, LONGEST_RETRY.max(self.interval));
                }
            }
        }
    }

    async fn push(&mut self, commit: &Oid) -> Attempt {
        let result = self
            .remote
            .push(&self.repository, commit, self.expected.as_ref(), &[])
            .await;
        let reason = match result {
            Ok(Push::Pushed | Push::UpToDate) => {
                self.expected = Some(commit.clone());
                return Attempt::Done;
            }
            Ok(Push::StaleLease { reason } | Push::Diverged { reason }) => {
                return self.look_again(commit, &reason).await;
            }
            Ok(Push::TimedOut { reason }) => {
                // It may have got through all the same.
                debug!(%reason, "a push timed out");
                return self.look_again(commit, &reason).await;
            }
            Ok(Push::Rejected { reason }) => format!("the remote rejected the push: {reason}"),
            Ok(Push::Auth { reason }) => format!("the remote refuses us: {reason}"),
            Ok(Push::Unreachable { reason }) => format!("the remote cannot be reached: {reason}"),
            Err(failure) => in_words(&failure),
        };
        failed(reason)
    }

    /// The remote is not where we thought: find out where it is.
    async fn look_again(&mut self, commit: &Oid, reason: &str) -> Attempt {
        match self.remote.head().await {
            Ok(head) if head.as_ref() == Some(commit) => {
                self.expected = head;
                Attempt::Done
            }
            Ok(Some(head)) => match is_ancestor(&self.repository, &head, commit).await {
                Ok(true) => {
                    self.expected = Some(head);
                    failed(reason.to_owned())
                }
                Ok(false) => {
                    let reason = format!(
                        "somebody else writes to the remote's branch (it is at {head}): nothing is \
                         pushed over it"
                    );
                    error!(local = %commit, "{reason}");
                    Attempt::Again(reason)
                }
                Err(failure) => failed(in_words(&failure)),
            },
            Ok(None) => {
                self.expected = None;
                failed(format!(
                    "the remote's branch is gone and will be made again ({reason})"
                ))
            }
            Err(failure) => failed(in_words(&failure)),
        }
    }
}

fn failed(reason: String) -> Attempt {
    warn!(%reason, "a push failed");
    Attempt::Again(reason)
}

fn in_words(failure: &RemoteError) -> String {
    let mut text = failure.to_string();
    let mut next = std::error::Error::source(failure);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
