use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use strandline::{cluster::*, filter::*, mirror::*, record::*};
struct Mem(HashMap<[u8; 20], Vec<u8>>, u64);
impl Store for Mem {
    fn index(&mut self) -> Result<Index, MirrorError> {
        Ok(Index::default())
    }
    fn read_blob(&mut self, id: BlobId) -> Result<Vec<u8>, MirrorError> {
        self.0.get(&id.0).cloned().ok_or(MirrorError)
    }
    fn stage_blob(&mut self, id: BlobId, bytes: &[u8]) -> Result<(), MirrorError> {
        self.0.insert(id.0, bytes.to_vec());
        Ok(())
    }
    fn commit(&mut self, _c: Commit) -> Result<Option<Committed>, MirrorError> {
        self.1 += 1;
        Ok(Some(Committed {
            commit_id: CommitId([self.1 as u8; 20]),
        }))
    }
}
#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    strandline::telemetry::start_logging(strandline::telemetry::LogOptions {
        json: false,
        color: false,
        level: 1,
        writer: strandline::telemetry::stderr(),
    });
    let args: Vec<String> = std::env::args().collect();
    let mode = if args[2] == "wl" {
        ListMode::WatchList
    } else {
        ListMode::Pages
    };
    let cluster = Cluster::connect(&ConnectOptions {
        kubeconfig: Some(args[1].clone().into()),
        ..Default::default()
    })
    .await
    .unwrap();
    println!(
        "{:?} {:?}",
        cluster.version().await.unwrap(),
        cluster.identity().await.unwrap()
    );
    let until = if args[3] == "once" {
        Until::Synced
    } else {
        Until::Stopped
    };
    let plan = ReadPlan {
        rules: Arc::new(Rules::core()),
        digest_key: Arc::new(DigestKey::from_bytes(&[7; 32]).unwrap()),
        namespaces: vec![],
        reflector: ReflectorOptions {
            list_mode: mode,
            ..Default::default()
        },
        cursor: HashMap::new(),
        seed: 1,
    };
    let (reports, mut r) = tokio::sync::mpsc::channel(64);
    let (commits, _c) = tokio::sync::watch::channel(None);
    let (_stop, stop) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Some(x) = r.recv().await {
            if !matches!(x, Report::Progress { .. }) {
                println!("{x:?}");
            }
        }
    });
    let t = Instant::now();
    let identity = Identity {
        cluster_id: "x".into(),
        key_fingerprint: "y".into(),
        digested: false,
    };
    let s = record(
        cluster.clone(),
        Mem(HashMap::new(), 0),
        Recording {
            plan,
            options: RecorderOptions {
                window: WindowOptions::default(),
                sync_timeout: Duration::from_secs(20),
            },
            identity,
            cluster_name: "cp".into(),
            until,
            dry_run: false,
        },
        reports,
        commits,
        stop,
    )
    .await
    .unwrap();
    println!("{:?} {:?}", t.elapsed(), s);
    println!("{:?}", cluster.metrics());
}
