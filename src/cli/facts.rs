//! What the sidecar says of the cluster as a whole, gathered from the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::Failure;
use super::output::chain;
use crate::cluster::{Cluster, Discovered};
use crate::drift::live::{ClusterFacts, Facts, KindFact};
use crate::drift::schema::{Schemas, from_openapi};
use crate::filter::{Rules, Selection};
use crate::record;

/// How often the facts are looked at again; mostly two small requests.
const REFRESH: Duration = Duration::from_secs(300);
/// The first facts failed: the next attempt.
const RETRY: Duration = Duration::from_secs(5);
/// Documents that are read at a time.
const CONCURRENT: usize = 4;

/// Gathers facts; keeps documents whose hash has not changed.
pub(super) struct Gatherer {
    cluster: Cluster,
    rules: Arc<Rules>,
    selection: Selection,
    discovered: Option<Discovered>,
    /// Schemas by the address of their document.
    schemas: BTreeMap<String, Schemas>,
}

impl Gatherer {
    pub(super) fn new(cluster: Cluster, rules: Arc<Rules>, selection: Selection) -> Self {
        Self {
            cluster,
            rules,
            selection,
            discovered: None,
            schemas: BTreeMap::new(),
        }
    }

    /// Everything as it is now.
    pub(super) async fn gather(&mut self) -> Result<record::Facts, Failure> {
        let version = self.cluster.version().await?;
        let discovered = self.cluster.discover(self.discovered.as_ref()).await?;
        self.read_schemas().await?;
        let mut schemas = Schemas::default();
        for types in self.schemas.values() {
            schemas.extend(types.clone());
        }
        let facts = ClusterFacts {
            server_version: version.git_version,
            kinds: kinds(&discovered),
            unknown_groups: discovered.stale_groups.iter().cloned().collect(),
            ..ClusterFacts::default()
        };
        self.discovered = Some(discovered);
        // One file: groups share most of their types.
        let schemas = BTreeMap::from([("all".to_owned(), schemas)]);
        let fingerprint = self.rules.fingerprint();
        Ok(Arc::new(Facts::write(
            &facts,
            &self.selection,
            fingerprint,
            &schemas,
        )?))
    }

    async fn read_schemas(&mut self) -> Result<(), Failure> {
        let index = self.cluster.openapi_index().await?;
        let custom = match self.cluster.custom_groups().await {
            Ok(custom) => custom,
            Err(error) => {
                debug!(%error, "APIServices cannot be read: every schema is");
                BTreeSet::new()
            }
        };
        let wanted: Vec<String> = index
            .into_iter()
            .filter(|(name, _)| !custom.contains(name))
            .map(|(_, address)| address)
            .collect();
        self.schemas.retain(|address, _| wanted.contains(address));
        let missing: Vec<String> = wanted
            .into_iter()
            .filter(|address| !self.schemas.contains_key(address))
            .collect();
        let requests = missing.into_iter().map(|address| {
            let cluster = self.cluster.clone();
            async move {
                let document = cluster.openapi(&address).await;
                (address, document)
            }
        });
        let read: Vec<_> = stream::iter(requests)
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        for (address, document) in read {
            // An aggregated server that is away leaves its types without a schema.
            match document {
                Ok(bytes) => {
                    let types = from_openapi(&bytes)?;
                    self.schemas.insert(address, types);
                }
                Err(error) => warn!(%error, "a schema cannot be read"),
            }
        }
        Ok(())
    }
}

fn kinds(discovered: &Discovered) -> Vec<KindFact> {
    discovered
        .types
        .values()
        .map(|served| {
            let read = &served.api_type;
            let all = discovered.versions(&read.group, &read.resource);
            let others = all.into_iter().filter(|version| *version != read.version);
            KindFact {
                group: read.group.clone(),
                kind: read.kind.clone(),
                resource: read.resource.clone(),
                versions: std::iter::once(read.version.clone())
                    .chain(others)
                    .collect(),
                namespaced: read.namespaced,
            }
        })
        .collect()
}

/// Keeps the facts up to date until nobody asks for them.
pub(super) async fn keep(mut gatherer: Gatherer, facts: watch::Sender<record::Facts>) {
    loop {
        let pause = match gatherer.gather().await {
            Ok(found) => {
                facts.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
                REFRESH
            }
            Err(error) => {
                warn!(
                    error = chain(&*error),
                    "the facts that drift needs of the cluster cannot be read"
                );
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = facts.closed() => return,
        }
    }
}
