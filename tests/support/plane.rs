//! A real control plane on free loopback ports: etcd, kube-apiserver, on request
//! kube-controller-manager, and kubectl as the oracle.
//!
//! No test traffic leaves the machine: the API server reaches Services (webhooks, aggregated APIs)
//! through their endpoints (`--enable-aggregator-routing`), and without kubelets there are none.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::assets::Assets;
use super::child::Child;
use super::program::{Finished, Program};
use super::{Context as _, Failure, Result, Unavailable, wait_for, wait_for_success};

/// Member of `system:masters`: everything is allowed.
pub const ADMIN: &str = "admin";

/// Users that hold no rights until a test binds some to them.
pub const LIMITED_USERS: [&str; 2] = ["recorder", "limited"];

/// How long a component may take to start; 3.5 s on an idle machine, more where others build.
const START: Duration = Duration::from_secs(120);

/// How long a component may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// What a control plane is made of.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Starts the controller manager too: namespaces get deleted, garbage gets collected.
    pub controller_manager: bool,
    /// More flags for the API server.
    pub api_server_args: Vec<String>,
}

/// A running control plane. Dropping it ends it, API server before etcd.
pub struct ControlPlane {
    assets: Assets,
    options: Options,
    // Dropped after `running`: logs and data must be there while the components end.
    dir: tempfile::TempDir,
    ports: Ports,
    tokens: BTreeMap<&'static str, String>,
    running: Mutex<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    etcd: u16,
    etcd_peer: u16,
    api_server: u16,
}

/// The components in the order in which they must end: without etcd the API server hangs.
#[derive(Default)]
struct Running {
    controller_manager: Option<Child>,
    api_server: Option<Child>,
    etcd: Option<Child>,
}

impl ControlPlane {
    /// Starts a control plane and waits until it serves and has its system namespaces.
    pub fn start(options: &Options) -> Result<Self, Unavailable> {
        let assets = Assets::find()?;
        if options.controller_manager && assets.controller_manager().is_none() {
            let text = "KUBEBUILDER_ASSETS holds no kube-controller-manager";
            return Err(Unavailable::Missing(text.to_owned()));
        }
        // A port that was free may be taken when the component binds it: then take others.
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::attempt(assets.clone(), options.clone()) {
                Err(error) if attempts < 3 && error.to_string().contains("already in use") => {}
                result => return Ok(result?),
            }
        }
    }

    fn attempt(assets: Assets, options: Options) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("strandline-plane-")
            .tempdir()
            .context("cannot make a folder for the control plane")?;
        let users = [ADMIN].into_iter().chain(LIMITED_USERS);
        let tokens = users.map(|user| Ok((user, random_token()?)));
        let plane = Self {
            assets,
            options,
            ports: Ports::free()?,
            tokens: tokens.collect::<Result<_>>()?,
            running: Mutex::default(),
            dir,
        };
        plane.write_files()?;
        plane.start_etcd()?;
        plane.start_api_server()?;
        for user in plane.tokens.keys() {
            plane.write_kubeconfig(user)?;
        }
        if plane.options.controller_manager {
            plane.start_controller_manager()?;
        }
        Ok(plane)
    }

    fn write_files(&self) -> Result<()> {
        for name in ["certs", "etcd", "home", "logs"] {
            let path = self.path(name);
            std::fs::create_dir(&path).context(path.display())?;
        }
        let lines = self.tokens.iter().map(|(user, token)| {
            let group = if *user == ADMIN { "system:masters" } else { "" };
            format!("{token},{user},{user},{group}\n")
        });
        let path = self.path("tokens.csv");
        std::fs::write(&path, lines.collect::<String>()).context(path.display())?;
        Program::new("openssl")
            .args([
                "ecparam",
                "-name",
                "prime256v1",
                "-genkey",
                "-noout",
                "-out",
            ])
            .arg(self.path("service-account.key"))
            .run()?
            .success()?;
        Ok(())
    }

    /// The folder of everything that belongs to this control plane.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The API server's URL.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    fn start_etcd(&self) -> Result<()> {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        let etcd = Program::new(self.assets.etcd())
            .dir(self.dir())
            .arg(format!("--data-dir={}", self.path("etcd").display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .args(["--unsafe-no-fsync", "--log-level=warn"])
            .spawn("etcd", &self.path("logs"))?;
        let mut running = self.running();
        let etcd = running.etcd.insert(etcd);
        wait_alive(etcd, |_| {
            Ok(self.etcd("/v3/maintenance/status", &json!({})).ok())
        })?;
        Ok(())
    }

    /// Starts the API server, on the same port and data as before, and waits until it serves.
    pub fn start_api_server(&self) -> Result<()> {
        let file = |name: &str| self.path(name).display().to_string();
        let mut program = Program::new(self.assets.api_server())
            .dir(self.dir())
            .env("HOME", self.path("home"))
            .arg(format!(
                "--etcd-servers=http://127.0.0.1:{}",
                self.ports.etcd
            ))
            // Only a test compacts, by `compact`: at a time that it knows.
            .arg("--etcd-compaction-interval=0")
            .arg("--bind-address=127.0.0.1")
            // Loopback is no valid endpoint of `default/kubernetes`; nothing dials this one
            // (RFC 5737, TEST-NET-1), but the endpoints object is there as in a real cluster.
            .arg("--advertise-address=192.0.2.1")
            .arg(format!("--secure-port={}", self.ports.api_server))
            .arg(format!("--cert-dir={}", file("certs")))
            .arg(format!("--token-auth-file={}", file("tokens.csv")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!(
                "--service-account-key-file={}",
                file("service-account.key")
            ))
            .arg(format!(
                "--service-account-signing-key-file={}",
                file("service-account.key")
            ))
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--allow-privileged=true")
            .arg("--enable-aggregator-routing=true")
            // SIGTERM ends watches at once, and requests meanwhile get 429 with Retry-After;
            // without these the server waits a minute for clients that watch.
            .arg("--shutdown-send-retry-after=true")
            .arg("--shutdown-watch-termination-grace-period=1s");
        if !self.options.controller_manager {
            // Nobody makes the service accounts that this plug-in asks for.
            program = program.arg("--disable-admission-plugins=ServiceAccount");
        }
        let program = program.args(&self.options.api_server_args);
        let mut running = self.running();
        if running.api_server.is_some() {
            return Err(Failure::new("the API server is running already"));
        }
        let api_server = program.spawn("kube-apiserver", &self.path("logs"))?;
        let api_server = running.api_server.insert(api_server);
        wait_alive(api_server, |_| {
            // The certificate that the server makes for itself is what clients must trust.
            let made = self.path("certs").join("apiserver.crt").is_file();
            Ok((made && connects(self.ports.api_server)).then_some(()))
        })?;
        self.write_kubeconfig(ADMIN)?;
        wait_alive(api_server, |_| {
            let ready = self.kubectl(["get", "--raw", "/readyz"])?.code == Some(0)
                && self
                    .kubectl(["get", "namespace", "default", "kube-system"])?
                    .code
                    == Some(0);
            Ok(ready.then_some(()))
        })
    }

    /// Stops the API server as an update would: by SIGTERM, watches end.
    pub fn stop_api_server(&self) -> Result<()> {
        self.end_api_server("TERM")
    }

    /// Ends the API server as a power cut would.
    pub fn kill_api_server(&self) -> Result<()> {
        self.end_api_server("KILL")
    }

    fn end_api_server(&self, signal: &str) -> Result<()> {
        let child = self.running().api_server.take();
        let mut child = child.ok_or_else(|| Failure::new("the API server is not running"))?;
        child.stop(signal, STOP).map(drop)
    }

    /// Lets the API server hang: connections stay open and nothing comes.
    pub fn pause_api_server(&self) -> Result<()> {
        self.signal_api_server("STOP")
    }

    /// Lets a paused API server go on.
    pub fn resume_api_server(&self) -> Result<()> {
        self.signal_api_server("CONT")
    }

    fn signal_api_server(&self, signal: &str) -> Result<()> {
        match &mut self.running().api_server {
            Some(child) => child.signal(signal),
            None => Err(Failure::new("the API server is not running")),
        }
    }

    /// Starts the controller manager and waits until its controllers act.
    pub fn start_controller_manager(&self) -> Result<()> {
        let program = self.assets.controller_manager();
        let program = program.ok_or_else(|| Failure::new("there is no controller manager"))?;
        let kubeconfig = self.kubeconfig(ADMIN)?;
        let child = Program::new(program)
            .dir(self.dir())
            .env("HOME", self.path("home"))
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--leader-elect=false", "--secure-port=0"])
            .arg(format!(
                "--service-account-private-key-file={}",
                self.path("service-account.key").display()
            ))
            .arg(format!(
                "--root-ca-file={}",
                self.path("certs").join("apiserver.crt").display()
            ))
            .spawn("kube-controller-manager", &self.path("logs"))?;
        let mut running = self.running();
        let child = running.controller_manager.insert(child);
        wait_alive(child, |_| {
            let what = [
                "get",
                "configmap/kube-root-ca.crt",
                "serviceaccount/default",
            ];
            let made = self.kubectl(what)?.code == Some(0);
            Ok(made.then_some(()))
        })
    }

    /// Stops the controller manager.
    pub fn stop_controller_manager(&self) -> Result<()> {
        let child = self.running().controller_manager.take();
        let mut child = child.ok_or_else(|| Failure::new("no controller manager is running"))?;
        child.stop("TERM", STOP).map(drop)
    }

    /// Compacts etcd up to now, so that older resourceVersions and `continue` tokens are gone for
    /// the API server's storage (its watch cache remembers more until it is restarted).
    ///
    /// Returns the revision.
    pub fn compact(&self) -> Result<u64> {
        let status = self.etcd("/v3/maintenance/status", &json!({}))?;
        let revision = status["header"]["revision"].as_str().unwrap_or_default();
        let revision: u64 = revision.parse().context("etcd's status has no revision")?;
        let request = json!({ "revision": revision.to_string(), "physical": true });
        self.etcd("/v3/kv/compaction", &request)?;
        Ok(revision)
    }

    /// Deletes an object behind the API server's back, which may be down:
    /// `configmaps/NAMESPACE/NAME`.
    pub fn delete_from_storage(&self, path: &str) -> Result<()> {
        use base64::Engine as _;
        let key = format!("/registry/{path}");
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        let answer = self.etcd("/v3/kv/deleterange", &json!({ "key": key }))?;
        if answer["deleted"] == "1" {
            Ok(())
        } else {
            Err(Failure(format!("etcd has no {path}")))
        }
    }

    /// One call of etcd's JSON gateway: <https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>.
    fn etcd(&self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let what = format!("etcd {path}");
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.etcd)).context(&what)?;
        stream.set_read_timeout(Some(STOP)).context(&what)?;
        write!(
            stream,
            "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .context(&what)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context(&what)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split_whitespace().nth(1).unwrap_or("no status");
        if status != "200" {
            return Err(Failure(format!("{what}: {status}: {body}")));
        }
        serde_json::from_str(body).context(what)
    }

    /// The kubeconfig of a user, [`ADMIN`] or one of [`LIMITED_USERS`].
    pub fn kubeconfig(&self, user: &str) -> Result<PathBuf> {
        self.token(user)?;
        Ok(self.path(&format!("{user}.kubeconfig")))
    }

    /// The bearer token of a user.
    pub fn token(&self, user: &str) -> Result<&str> {
        let token = self.tokens.get(user).map(String::as_str);
        token.ok_or_else(|| Failure(format!("there is no user {user}")))
    }

    /// The file with the certificates to trust.
    pub fn certificate_authority(&self) -> PathBuf {
        self.path("certs").join("apiserver.crt")
    }

    fn write_kubeconfig(&self, user: &str) -> Result<()> {
        let cluster = json!({
            "server": self.server(),
            "certificate-authority": self.certificate_authority(),
        });
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "bed", "cluster": cluster }],
            "users": [{ "name": user, "user": { "token": self.token(user)? } }],
            "contexts": [{ "name": user, "context": { "cluster": "bed", "user": user } }],
            "current-context": user,
        });
        let path = self.kubeconfig(user)?;
        std::fs::write(&path, config.to_string()).context(path.display())
    }

    /// `kubectl` as a user, with a home and a discovery cache of this control plane's own.
    pub fn kubectl_as(&self, user: &str) -> Result<Program> {
        let home = self.path("home");
        Ok(Program::new(self.assets.kubectl())
            .dir(&home)
            .env("HOME", &home)
            .env("KUBECONFIG", self.kubeconfig(user)?)
            .env("KUBECACHEDIR", home.join(format!("cache-{user}")))
            .deadline(Duration::from_secs(300)))
    }

    /// Runs `kubectl` as [`ADMIN`], whatever its exit code.
    pub fn kubectl<A: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Finished> {
        self.kubectl_as(ADMIN)?.args(args).run()
    }

    /// Runs `kubectl … -o json` as [`ADMIN`] and returns what it printed; an exit code other than
    /// 0 is a failure.
    pub fn kubectl_json(&self, args: &[&str]) -> Result<Value> {
        let json = self
            .kubectl(args.iter().chain(&["-o", "json"]))?
            .success()?;
        serde_json::from_str(&json).context(args.join(" "))
    }

    /// Gets a path of the API as [`ADMIN`], in JSON; an exit code other than 0 is a failure.
    pub fn raw(&self, path: &str) -> Result<Value> {
        let json = self.kubectl(["get", "--raw", path])?.success()?;
        serde_json::from_str(&json).context(path)
    }

    /// Creates or changes the objects of a manifest, by server-side apply, as [`ADMIN`].
    pub fn apply(&self, manifest: &Value) -> Result<()> {
        let kubectl = self.kubectl_as(ADMIN)?;
        let apply = kubectl.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        let apply = apply.stdin(manifest.to_string());
        // A CRD's type answers 429 or 404 for moments after it is Established.
        wait_for_success("kubectl apply", START, || apply.run()?.success().map(drop))
    }

    /// The newest resourceVersion of the whole cluster, as a list of namespaces tells it.
    pub fn resource_version(&self) -> Result<String> {
        let list = self.raw("/api/v1/namespaces?limit=1")?;
        let version = list["metadata"]["resourceVersion"].as_str();
        let version = version.ok_or_else(|| Failure::new("a list has no resourceVersion"))?;
        Ok(version.to_owned())
    }

    /// The last lines of each component's log, for a failure's text.
    pub fn log_tails(&self) -> String {
        let running = self.running();
        let all = [
            &running.controller_manager,
            &running.api_server,
            &running.etcd,
        ];
        let tails = all.into_iter().flatten().map(|child| child.log_tail(25));
        tails.collect::<Vec<_>>().join("\n")
    }

    /// A trial that panics while it holds this lock leaves plain handles behind, which are fine.
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let mut running = self.running();
        drop(running.controller_manager.take());
        drop(running.api_server.take());
        drop(running.etcd.take());
    }
}

/// Waits for a condition that a component fulfils, and fails early, with the log, if it ends.
fn wait_alive<T>(
    child: &mut Child,
    mut poll: impl FnMut(&mut Child) -> Result<Option<T>>,
) -> Result<T> {
    let what = format!("the start of process {}", child.pid());
    let result = wait_for(&what, START, || match child.try_wait()? {
        Some(code) => Err(Failure(format!("ended at once with {code}"))),
        None => poll(child),
    });
    result.map_err(|error| Failure(format!("{error}\n{}", child.log_tail(25))))
}

fn connects(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

impl Ports {
    /// Takes free ports below the range from which the kernel gives ports to clients (32768 on
    /// Linux), or somebody's connection could take the API server's while it is down.
    fn free() -> Result<Self> {
        // Held until all are chosen, so that they differ.
        let mut held = Vec::new();
        let mut next = || {
            for _ in 0..1000 {
                let port = fastrand::u16(20_000..32_000);
                if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                    held.push(listener);
                    return Ok(port);
                }
            }
            Err(Failure::new("found no free port"))
        };
        Ok(Self {
            etcd: next()?,
            etcd_peer: next()?,
            api_server: next()?,
        })
    }
}

fn random_token() -> Result<String> {
    let bytes = getrandom::u64().context("no randomness")?;
    Ok(format!("bed-{bytes:016x}"))
}
