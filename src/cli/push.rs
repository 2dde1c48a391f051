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
use crate::mirror::{CommitId, Heads, Mirror, SIDECAR_REFS, SidecarRefs, Store as _};
use crate::remote::{
    Credentials, Depth, ExtraRef, FETCHED, Oid, Push, Remote, RemoteError, RemoteOptions,
    git_version, is_ancestor,
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

/// The names of the refs on the remote that go with the branch.
pub(super) fn names(settings: &RecordSettings) -> SidecarRefs {
    let prefix = settings.remote.as_ref();
    let prefix = prefix.map_or(SIDECAR_REFS, |remote| &remote.sidecar_refs);
    SidecarRefs::new(prefix, &settings.repository.branch)
}

/// What the remote has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Theirs {
    pub(super) branch: Option<Oid>,
    pub(super) owners: Option<Oid>,
    pub(super) drift: Option<Oid>,
    pub(super) alive: Option<Oid>,
}

impl Theirs {
    pub(super) async fn read(remote: &Remote, names: &SidecarRefs) -> Result<Self, RemoteError> {
        let [owners, drift, alive] = [names.owners(), names.drift(), names.alive()];
        let branch = remote.reference().to_owned();
        let asked = [&branch, &owners, &drift, &alive].map(Clone::clone);
        let mut found = remote.read_refs(&asked).await?;
        Ok(Self {
            branch: found.remove(&branch),
            owners: found.remove(&owners),
            drift: found.remove(&drift),
            alive: found.remove(&alive),
        })
    }
}

/// Brings the local branch and the remote's together, or says why that cannot be.
///
/// Behind: fast-forward. Ahead: what the pusher pushes. An empty disk takes the newest commit. So
/// does the sidecar; where the two chains of it differ, the remote's goes on: what is wrong in it
/// is written anew.
pub(super) async fn meet(
    settings: &RecordSettings,
    mirror: &mut Mirror,
    remote: &Remote,
    theirs: &Theirs,
) -> Result<(), Failure> {
    let Some(branch) = &theirs.branch else {
        return Ok(());
    };
    let path = &settings.repository.path;
    let ours = mirror.head().map(|head| head.commit_id);
    let ours_oid: Option<Oid> = ours.map(|id| id.to_string().parse()).transpose()?;
    let depth = match &ours_oid {
        None => Depth::Newest,
        Some(_) => Depth::Missing,
    };
    let has_branch = match &ours_oid {
        None => false,
        Some(ours) => ours == branch || is_ancestor(path, branch, ours).await?,
    };
    let owners = mirror.heads()?.owners;
    let has_owners = match (
        &owners.map(|id| id.to_string().parse::<Oid>()),
        &theirs.owners,
    ) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(ours), Some(theirs)) => {
            is_ancestor(
                path,
                theirs,
                ours.as_ref().map_err(|_| RemoteError::RefName {
                    name: names(settings).owners(),
                })?,
            )
            .await?
        }
    };
    let mut wanted = Vec::new();
    if !has_branch {
        wanted.push((remote.reference().to_owned(), FETCHED.to_owned()));
    }
    if !has_owners {
        wanted.push((names(settings).owners(), FETCHED_OWNERS.to_owned()));
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let fetched = remote.fetch_refs(path, &wanted, depth).await?;
    if let Some(fetched) = fetched.get(remote.reference()) {
        if let Some(ours) = ours_oid
            && !is_ancestor(path, &ours, fetched).await?
        {
            return Err(StartError::Diverged {
                branch: settings.repository.branch.clone(),
                local: ours.to_string(),
                remote: fetched.to_string(),
                repository: path.clone(),
            }
            .into());
        }
        mirror.fast_forward(fetched.to_string().parse()?)?;
        info!(commit_id = %fetched, "went on from the remote's branch");
    }
    if let Some(fetched) = fetched.get(&names(settings).owners()) {
        mirror.adopt_sidecar(fetched.to_string().parse()?)?;
    }
    Ok(())
}

/// Where the remote's sidecar is fetched to.
const FETCHED_OWNERS: &str = "refs/strandline/fetched-owners";

/// Keeps the remote up with the newest commits.
pub(super) struct Pusher {
    pub(super) remote: Remote,
    pub(super) repository: PathBuf,
    pub(super) interval: Duration,
    /// The remote's names.
    pub(super) names: SidecarRefs,
    /// What the remote is known to have.
    pub(super) theirs: Theirs,
}

/// Where one attempt got.
enum Attempt {
    Done,
    /// It is worth another one; this is why it failed.
    Again(String),
}

/// What the remote shall have.
#[derive(Clone, Debug)]
struct Target {
    branch: Oid,
    owners: Option<Oid>,
    drift: Option<Oid>,
}

impl Pusher {
    /// Runs until `finish` is set; then pushes once more, if there is anything to push.
    ///
    /// Returns why the remote does not have the newest commits, if it has not.
    pub(super) async fn run(
        mut self,
        mut newest: watch::Receiver<Heads>,
        mut finish: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let mut not_before = Instant::now();
        let mut failures = 0;
        let mut behind_since = None;
        let mut warned = false;
        let mut last_beat = None;
        loop {
            let finishing = *finish.borrow_and_update();
            let heads = newest.borrow_and_update().clone();
            let Some(behind) = self.behind(&heads) else {
                (behind_since, warned, failures) = (None, false, 0);
                let beat = heads.alive.as_ref().and_then(|id| id.parse::<Oid>().ok());
                if beat.is_some() && beat != last_beat && beat != self.theirs.alive {
                    last_beat.clone_from(&beat);
                    if let Some(beat) = beat {
                        self.push_beat(beat).await;
                    }
                    continue;
                }
                if finishing {
                    return Ok(());
                }
                tokio::select! {
                    changed = newest.changed() => if changed.is_err() { return Ok(()) },
                    changed = finish.changed() => if changed.is_err() { return Ok(()) },
                }
                continue;
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
                    let seconds = started.elapsed().as_secs_f64();
                    info!(commit_id = %behind.branch, seconds, "pushed");
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

    /// What the remote lacks.
    fn behind(&self, heads: &Heads) -> Option<Target> {
        let oid = |id: Option<CommitId>| id.and_then(|id| id.to_string().parse::<Oid>().ok());
        let target = Target {
            branch: oid(heads.branch)?,
            owners: oid(heads.owners),
            drift: oid(heads.drift),
        };
        let lacks = |ours: &Option<Oid>, theirs: &Option<Oid>| ours.is_some() && ours != theirs;
        (self.theirs.branch.as_ref() != Some(&target.branch)
            || lacks(&target.owners, &self.theirs.owners)
            || lacks(&target.drift, &self.theirs.drift))
        .then_some(target)
    }

    async fn push(&mut self, target: &Target) -> Attempt {
        let further = [
            (self.names.owners(), &target.owners, &self.theirs.owners),
            (self.names.drift(), &target.drift, &self.theirs.drift),
        ];
        let further = further
            .into_iter()
            .filter(|(_, ours, theirs)| ours != theirs);
        let extra: Vec<ExtraRef> = further
            .filter_map(|(name, ours, theirs)| {
                Some(ExtraRef {
                    name,
                    object: ours.clone()?,
                    expected: theirs.clone(),
                })
            })
            .collect();
        let result = self
            .remote
            .push(
                &self.repository,
                &target.branch,
                self.theirs.branch.as_ref(),
                &extra,
            )
            .await;
        let reason = match result {
            Ok(Push::Pushed | Push::UpToDate) => {
                self.theirs.branch = Some(target.branch.clone());
                if target.owners.is_some() {
                    self.theirs.owners.clone_from(&target.owners);
                }
                if target.drift.is_some() {
                    self.theirs.drift.clone_from(&target.drift);
                }
                return Attempt::Done;
            }
            Ok(Push::StaleLease { reason } | Push::Diverged { reason }) => {
                return self.look_again(target, &reason).await;
            }
            Ok(Push::TimedOut { reason }) => {
                // It may have got through all the same.
                debug!(%reason, "a push timed out");
                return self.look_again(target, &reason).await;
            }
            Ok(Push::Rejected { reason }) if extra.is_empty() => {
                format!("the remote rejected the push: {reason}")
            }
            Ok(Push::Rejected { reason }) => format!(
                "the remote rejected the push: {reason}; where it takes no refs but branches, give \
                 --sidecar-refs refs/heads/strandline"
            ),
            Ok(Push::Auth { reason }) => format!("the remote refuses us: {reason}"),
            Ok(Push::Unreachable { reason }) => format!("the remote cannot be reached: {reason}"),
            Err(failure) => in_words(&failure),
        };
        failed(reason)
    }

    /// Pushes the proof of life. One that fails is followed by another soon.
    async fn push_beat(&mut self, beat: Oid) {
        for _ in 0..2 {
            let reference = ExtraRef {
                name: self.names.alive(),
                object: beat.clone(),
                expected: self.theirs.alive.clone(),
            };
            match self.remote.push_alone(&self.repository, &reference).await {
                Ok(Push::Pushed | Push::UpToDate) => {
                    self.theirs.alive = Some(beat);
                    return;
                }
                // Somebody replaced it, for example we before a restart.
                Ok(Push::StaleLease { .. }) => match self.remote.read_ref(&reference.name).await {
                    Ok(found) => self.theirs.alive = found,
                    Err(failure) => {
                        warn!(
                            reason = in_words(&failure),
                            "the proof of life is not pushed"
                        );
                        return;
                    }
                },
                other => {
                    warn!(?other, "the proof of life is not pushed");
                    return;
                }
            }
        }
    }

    /// The remote is not where we thought: find out where it is.
    async fn look_again(&mut self, target: &Target, reason: &str) -> Attempt {
        let found = match Theirs::read(&self.remote, &self.names).await {
            Ok(found) => found,
            Err(failure) => return failed(in_words(&failure)),
        };
        let chains = [
            ("branch", Some(&target.branch), &found.branch),
            ("sidecar", target.owners.as_ref(), &found.owners),
            (
                "chain of drift reports",
                target.drift.as_ref(),
                &found.drift,
            ),
        ];
        let mut all = true;
        for (what, ours, theirs) in chains {
            let Some(ours) = ours else { continue };
            all &= theirs.as_ref() == Some(ours);
            let Some(theirs) = theirs else { continue };
            match is_ancestor(&self.repository, theirs, ours).await {
                Ok(true) => {}
                Ok(false) => {
                    let reason = format!(
                        "somebody else writes to the remote's {what} (it is at {theirs}): nothing \
                         is pushed over it"
                    );
                    error!(local = %ours, "{reason}");
                    return Attempt::Again(reason);
                }
                Err(failure) => return failed(in_words(&failure)),
            }
        }
        let gone = found.branch.is_none();
        self.theirs = found;
        if all {
            return Attempt::Done;
        }
        if gone {
            return failed(format!(
                "the remote's branch is gone and will be made again ({reason})"
            ));
        }
        failed(reason.to_owned())
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
