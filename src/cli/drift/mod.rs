//! `strandline drift`.

mod beside;
mod cluster;
mod look;
mod metrics;
mod mirror;
mod parallel;
mod print;
mod sources;
mod store;
mod watch;

use std::fs;
use std::sync::Arc;

use self::sources::DesiredSide;
use super::output::Output;
use super::rules::Ruling;
use super::{Exit, Failure, folder, session};
use crate::cluster::{Cluster, ConnectOptions};
use crate::config::{DriftArgs, DriftSettings, LiveSide, Place};
use crate::drift::accept;
use crate::drift::defaults::Tables;
use crate::drift::desired::{RenderContext, Source, read_source};
use crate::drift::evaluate::{Evaluator, Question};
use crate::drift::live::{FactsError, Live};
use crate::drift::report::Report;
use crate::filter::{DigestKey, LabelSelector};
use crate::mirror::SidecarRefs;
use crate::owners::Deployers;
use crate::remote::Depth;
use crate::telemetry::clock;

pub(super) use metrics::DriftMetrics;
pub(super) use watch::Watch;

/// The newest tables of defaults that there are.
const NEWEST_MINOR: u32 = 36;

/// Both sides are read, compared, and reported.
pub(super) async fn run(args: &DriftArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = DriftSettings::new(args)?;
    let sources = Source::parse_all(&settings.desired)?;
    let run = Run::new(settings, sources)?;
    match run.settled(output).await {
        Ok(report) => {
            run.print(&report, output)?;
            Ok(print::exit_code(&report, &run.settings.fail_on))
        }
        // Nothing can be said, which is neither drift nor its absence.
        Err(failure) if is_incomplete(&*failure) => {
            output.failure(&*failure);
            Ok(Exit::Incomplete)
        }
        Err(failure) => Err(failure),
    }
}

/// A mirror on this machine against one source, of which `next` is what will be applied next.
pub(super) async fn ahead(
    settings: DriftSettings,
    source: Source,
    next: Source,
    output: &Output,
) -> Result<Report, Failure> {
    let run = Run::new(settings, vec![source])?;
    let seen = run.live(output).await?;
    let mut desired = sources::read(&run, &seen).await?;
    let next = read_source(&next, &RenderContext::default()).await;
    for source in &mut desired.sources {
        source.head = Some(next.manifests.clone());
        source.head_revision.clone_from(&next.revision);
    }
    run.judge(&seen, &desired)
}

impl Run {
    fn new(settings: DriftSettings, sources: Vec<Source>) -> Result<Self, Failure> {
        let selector = settings
            .selector
            .as_deref()
            .map(LabelSelector::parse)
            .transpose()?;
        let digest_key = settings.digest_key_file.as_deref().map(session::read_key);
        let digest_key = digest_key.transpose()?.map(Arc::new);
        Ok(Self {
            settings,
            sources,
            selector,
            digest_key,
        })
    }
}

/// Whether a mirror lacks what a comparison needs.
fn is_incomplete(failure: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    failure.is::<mirror::MirrorSideError>() || failure.is::<FactsError>()
}

/// One run's settings, validated.
struct Run {
    settings: DriftSettings,
    sources: Vec<Source>,
    selector: Option<LabelSelector>,
    digest_key: Option<Arc<DigestKey>>,
}

/// The live side, and what else the cluster says.
struct Seen {
    live: Live,
    /// Why it is too old to be believed.
    stale: Option<String>,
    /// The cluster, where one is asked.
    cluster: Option<Cluster>,
}

impl Run {
    /// Compares; drift that may be on its way somewhere is looked at once more.
    async fn settled(&self, output: &Output) -> Result<Report, Failure> {
        let report = self.compare(output).await?;
        match self.settings.settle {
            Some(settle) if print::exit_code(&report, &self.settings.fail_on) == Exit::Drift => {
                let seconds = settle.as_secs();
                output.note(&format!(
                    "drift was found: it is looked at again in {seconds} s"
                ));
                tokio::time::sleep(settle).await;
                self.compare(output).await
            }
            _ => Ok(report),
        }
    }

    async fn compare(&self, output: &Output) -> Result<Report, Failure> {
        let mut seen = self.live(output).await?;
        let desired = sources::read(self, &seen).await?;
        if let Some(cluster) = seen.cluster.clone() {
            let (deployers, tables) = (self.deployers()?, self.tables(&seen.live));
            let evaluator = Evaluator::new(self.question(&seen, &desired, &deployers, &tables));
            let wanted = evaluator.other_versions();
            let key = self.digest_key.as_ref();
            look::in_other_versions(&cluster, &mut seen.live, wanted, key).await?;
        }
        let mut report = self.judge(&seen, &desired)?;
        if let Some(cluster) = &seen.cluster {
            look::mark_rollouts(cluster, &seen.live, &mut report).await;
        }
        Ok(report)
    }

    fn judge(&self, seen: &Seen, desired: &DesiredSide) -> Result<Report, Failure> {
        if let (Some(key), Some(made)) = (&self.digest_key, &seen.live.key_fingerprint)
            && key.fingerprint() != *made
        {
            // Every value of every Secret would look changed.
            return Err(format!(
                "the mirror's digests were made with another key (fingerprint {made}) than that of \
                 --digest-key-file ({}): give the recorder's",
                key.fingerprint()
            )
            .into());
        }
        let deployers = self.deployers()?;
        let tables = self.tables(&seen.live);
        let question = self.question(seen, desired, &deployers, &tables);
        let mut report = parallel::evaluate(question);
        desired.warn(&mut report);
        Ok(report)
    }

    fn question<'a>(
        &'a self,
        seen: &'a Seen,
        desired: &'a DesiredSide,
        deployers: &'a Deployers,
        tables: &'a Tables,
    ) -> Question<'a> {
        Question {
            live: &seen.live,
            desired: &desired.sources,
            ignores: &desired.ignores,
            deployers,
            digest_key: self.digest_key.as_deref(),
            tables,
            namespaces: &self.settings.namespaces,
            selector: self.selector.as_ref(),
            stale: seen.stale.as_deref(),
            show_in_sync: self.settings.show_in_sync,
        }
    }

    /// Who deploys, whatever a source says of its own.
    fn deployers(&self) -> Result<Deployers, Failure> {
        Ok(Deployers {
            extra: self.settings.deployers.clone(),
            managers: sources::managers(self.settings.managers.as_deref())?,
        })
    }

    /// The tables that are asked for, or the server's.
    fn tables(&self, live: &Live) -> Tables {
        let minor = self.settings.defaults.or(live.minor);
        Tables::of(minor.unwrap_or(NEWEST_MINOR))
    }

    async fn live(&self, output: &Output) -> Result<Seen, Failure> {
        let settings = &self.settings;
        match &settings.live {
            LiveSide::Cluster {
                kubeconfig,
                search,
                context,
            } => {
                let cluster = Cluster::connect(&ConnectOptions {
                    kubeconfig: kubeconfig.clone(),
                    search_path: search.clone(),
                    context: context.clone(),
                })
                .await?;
                let ruling = Ruling::read(&settings.rules)?;
                let key = self.digest_key.as_ref();
                let live = cluster::read(&cluster, settings, &ruling, key, output).await?;
                Ok(Seen {
                    live,
                    stale: None,
                    cluster: Some(cluster),
                })
            }
            LiveSide::Mirror {
                place,
                branch,
                credentials,
            } => {
                let opened = match place {
                    Place::Path(path) => {
                        let shown = format!("{}#{branch}", path.display());
                        mirror::Opened::new(path.clone(), settings, branch, shown)
                    }
                    Place::Url(url) => {
                        let names = SidecarRefs::new(&settings.sidecar_refs, branch);
                        let wanted = folder::Fetch {
                            url,
                            branch,
                            refs: vec![names.owners(), names.alive()],
                            credentials,
                            depth: Depth::Newest,
                        };
                        let fetched = folder::fetch(wanted, &settings.temporary).await?;
                        let path = fetched.repository();
                        let shown = format!("{url}#{branch}");
                        mirror::Opened {
                            _fetched: Some(fetched),
                            ..mirror::Opened::new(path, settings, branch, shown)
                        }
                    }
                };
                let settings = settings.clone();
                let read = tokio::task::spawn_blocking(move || {
                    mirror::read(&opened, &settings, clock::now())
                });
                let mirror::Read { live, stale } = read.await??;
                Ok(Seen {
                    live,
                    stale,
                    cluster: None,
                })
            }
        }
    }

    fn print(&self, report: &Report, output: &Output) -> Result<(), Failure> {
        let settings = &self.settings;
        let options = output.report_options(settings.show_ignored);
        let text = if settings.accept_template {
            accept::template(report, clock::today())
        } else {
            print::render(report, output.format(), &options)
        };
        match &settings.output_file {
            None => output.bytes(text.as_bytes()),
            Some(path) => fs::write(path, text)
                .map_err(|source| format!("{} cannot be written: {source}", path.display()))?,
        }
        Ok(())
    }
}
