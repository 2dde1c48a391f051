//! Binaries that tests run: a control plane, found or built once; `sops`, built once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::program::Program;
use super::{Context as _, Failure, Result, Unavailable};

/// The Go module that builds a control plane.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/control-plane");

/// The Go module that builds `sops` and `age-keygen`: a minute and a half on two cores.
const SOPS_MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sops");

/// The Go module that builds `helm` of the two major versions that are in use, which share nearly
/// all that they are made of.
const HELM_MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/helm");

/// The programs of [`HELM_MODULE`]: go would name both `helm`.
const HELMS: [(&str, &str); 2] = [
    ("helm3", "helm.sh/helm/v3/cmd/helm"),
    ("helm4", "helm.sh/helm/v4/cmd/helm"),
];

/// All tools of a module, under the names that go gives them.
const TOOLS: [(&str, &str); 1] = [("", "tool")];

/// About five minutes on two idle cores; a machine may be busy.
const BUILD_DEADLINE: Duration = Duration::from_secs(45 * 60);

/// Where the binaries lie.
#[derive(Clone, Debug)]
pub struct Assets {
    folder: PathBuf,
}

impl Assets {
    /// Finds the binaries in `KUBEBUILDER_ASSETS`, else in the cache, else builds them with Go.
    pub fn find() -> Result<Self, Unavailable> {
        if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|v| !v.is_empty()) {
            let assets = Self {
                folder: folder.into(),
            };
            for name in ["etcd", "kube-apiserver", "kubectl"] {
                let path = assets.folder.join(name);
                if !path.is_file() {
                    let text = format!("KUBEBUILDER_ASSETS lacks {}", path.display());
                    return Err(Unavailable::Broken(Failure(text)));
                }
            }
            return Ok(assets);
        }
        Self::cached()
    }

    pub fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    pub fn api_server(&self) -> PathBuf {
        self.folder.join("kube-apiserver")
    }

    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("kubectl")
    }

    /// The controller manager, which a folder of `KUBEBUILDER_ASSETS` need not have.
    pub fn controller_manager(&self) -> Option<PathBuf> {
        Some(self.folder.join("kube-controller-manager")).filter(|path| path.is_file())
    }

    fn cached() -> Result<Self, Unavailable> {
        let folder = built_once("control-plane", MODULE, "etcd", build)?;
        Ok(Self { folder })
    }
}

/// The folder with the binaries of `tests/sops`: `sops` and `age-keygen`.
pub fn sops() -> Result<PathBuf, Unavailable> {
    built_once("sops", SOPS_MODULE, "sops", |_, cache, folder| {
        let scratch = go_build("tests/sops", SOPS_MODULE, &TOOLS, "-s -w", cache)?;
        std::fs::rename(&scratch, folder).context(folder.display())?;
        Ok(())
    })
}

/// The programs `helm` of versions 3 and 4.
pub fn helms() -> Result<[PathBuf; 2], Unavailable> {
    let folder = built_once("helm", HELM_MODULE, "helm4", |_, cache, folder| {
        let scratch = go_build("tests/helm", HELM_MODULE, &HELMS, "-s -w", cache)?;
        std::fs::rename(&scratch, folder).context(folder.display())?;
        Ok(())
    })?;
    Ok(HELMS.map(|(name, _)| folder.join(name)))
}

/// Returns the folder in the cache where `build` (of `go.mod`, the cache, the folder) puts what it
/// makes of a Go module; `ready` is a file in it.
///
/// A build is named by the hash of what it was built from and appears by one rename, so what is
/// there is whole; the lock keeps two test binaries from building the same.
fn built_once(
    name: &str,
    module: &str,
    ready: &str,
    build: impl FnOnce(&str, &Path, &Path) -> Result<(), Unavailable>,
) -> Result<PathBuf, Unavailable> {
    let read = |name: &str| {
        let path = Path::new(module).join(name);
        std::fs::read_to_string(&path).context(path.display())
    };
    let (go_mod, go_sum) = (read("go.mod")?, read("go.sum")?);
    let digest = Sha256::digest(format!("{go_mod}\0{go_sum}"));
    let (key, _) = digest.split_first_chunk().expect("SHA-256 is longer");
    let cache = cache()?;
    let folder = cache.join(format!("{name}-{:016x}", u64::from_be_bytes(*key)));
    if folder.join(ready).is_file() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&cache).context(cache.display())?;
    let lock = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock).context(lock.display())?;
    lock.lock().context("cannot lock the cache of beds")?;
    if !folder.join(ready).is_file() {
        build(&go_mod, &cache, &folder)?;
    }
    Ok(folder)
}

fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
        .ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(base.join("strandline"))
}

fn build(go_mod: &str, cache: &Path, folder: &Path) -> Result<(), Unavailable> {
    let flags = linker_flags(go_mod)?;
    let path = go_build("tests/control-plane", MODULE, &TOOLS, &flags, cache)?;
    // The package's last path element is its major version, so go names the binary by the one
    // before it.
    std::fs::rename(path.join("server"), path.join("etcd")).context("no etcd was built")?;
    std::fs::rename(&path, folder).context(folder.display())?;
    Ok(())
}

/// Builds programs of a Go module into a new folder below `cache`: each has a name there (none: the
/// one that go gives it) and a package.
#[expect(
    clippy::print_stderr,
    reason = "a silent wait of minutes looks like a hang"
)]
fn go_build(
    shown: &str,
    module: &str,
    programs: &[(&str, &str)],
    linker_flags: &str,
    cache: &Path,
) -> Result<PathBuf, Unavailable> {
    let go = Program::new("go").inherit_env();
    if go.clone().arg("version").run().is_err() {
        let text = format!("no Go to build {shown} with");
        return Err(Unavailable::Missing(text));
    }
    eprintln!("building {shown} into the cache: minutes, once");
    let scratch = tempfile::tempdir_in(cache).context("cannot make a folder to build in")?;
    for (name, package) in programs {
        let go = go.clone().args(["build", "-C", module, "-o"]);
        go.arg(scratch.path().join(name))
            .args(["-ldflags", linker_flags, package])
            .deadline(BUILD_DEADLINE)
            .run()?
            .success()?;
    }
    Ok(scratch.keep())
}

/// The version stamps without which clients cannot parse the server's version, and no symbols.
fn linker_flags(go_mod: &str) -> Result<String> {
    let version = go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or_else(|| Failure::new("go.mod names no version of k8s.io/kubernetes"))?;
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let stamp = "-X k8s.io/component-base/version";
    Ok(format!(
        "-s -w {stamp}.gitVersion=v{version} {stamp}.gitMajor={major} {stamp}.gitMinor={minor}"
    ))
}
