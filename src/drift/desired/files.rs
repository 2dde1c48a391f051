//! Manifests of a folder or file.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Problem;
use super::read::{self, Part, Read};

/// The longest file that is read, in bytes.
const LONGEST_FILE: u64 = 256 << 20;
/// How much one source may hold, in bytes.
const LARGEST_SOURCE: u64 = 1 << 30;
/// How many files and folders one source may hold.
const MOST_ENTRIES: usize = 500_000;
/// Threads that parse. More would take cores from those who read the live side meanwhile.
const THREADS: usize = 2;

/// A file's name and text.
#[derive(Debug)]
pub(super) struct File {
    /// As reports show it, relative to the source.
    pub(super) name: Arc<str>,
    pub(super) text: Vec<u8>,
}

/// Whether a file can hold manifests, by its name: as `kubectl apply -f DIR` has it.
pub(super) fn is_manifest(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml" | "json")) && !read::is_tools_file(name)
}

/// Whether a folder is rendered by kustomize, by the names of its files:
/// <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/>.
pub(super) const KUSTOMIZATIONS: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Whether a folder is a Helm chart: <https://helm.sh/docs/topics/charts/#the-chartyaml-file>.
pub(super) const CHART: &str = "Chart.yaml";

/// Reads every manifest of a folder and the folders in it, in the order of names. Hidden files and
/// folders are not read; links are followed inside the folder alone.
pub(super) fn folder(root: &Path) -> Read {
    let mut walk = Walk {
        root: root.to_owned(),
        real_root: PathBuf::new(),
        seen: BTreeSet::new(),
        entries: 0,
        bytes: 0,
        files: Vec::new(),
        problems: Vec::new(),
    };
    match root.canonicalize() {
        Ok(real) => walk.real_root = real,
        Err(error) => walk.failed(root, &error),
    }
    if walk.problems.is_empty() {
        walk.folder(root);
    }
    let mut read = parse(&walk.files);
    read.problems.extend(walk.problems);
    read
}

/// Reads one file, whatever its name.
pub(super) fn file(path: &Path) -> Read {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name: Arc<str> = name.to_string_lossy().into();
    match read_file(path) {
        Ok(text) => parse(&[File { name, text }]),
        Err(error) => Read {
            problems: vec![problem(Some(name), format!("cannot be read: {error}"))],
            ..Read::default()
        },
    }
}

/// Reads the manifests of texts, in their order.
pub(super) fn parse(files: &[File]) -> Read {
    let parts: Vec<(&Arc<str>, Part<'_>)> = files
        .iter()
        .flat_map(|file| {
            let parts = read::parts(&file.text);
            parts.into_iter().map(|part| (&file.name, part))
        })
        .collect();
    let total: usize = parts.iter().map(|(_, part)| part.len()).sum();
    let threads = THREADS.min(total >> 16).max(1);
    // A share is large enough to be worth the hand-over, and small enough that both end together.
    let mut shares: Vec<&[(&Arc<str>, Part<'_>)]> = Vec::new();
    let mut rest = parts.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let end = rest.iter().position(|(_, part)| {
            bytes += part.len();
            bytes > 1 << 18
        });
        let (share, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        shares.push(share);
        rest = after;
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(share) = shares.get(at) else {
                break;
            };
            let mut read = Read::default();
            for (file, part) in *share {
                read.extend(read::read_part(file, part));
            }
            done.push((at, read));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            // A thread that failed has said so; what it had taken is missed below.
            done.extend(other.join().unwrap_or_default());
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    let mut read = Read::default();
    let complete = done.len() == shares.len();
    for (_, part) in done {
        read.extend(part);
    }
    if !complete {
        let reason = "a part of the source could not be parsed: please report this";
        read.problems.push(problem(None, reason.to_owned()));
    }
    read
}

fn problem(file: Option<Arc<str>>, reason: String) -> Problem {
    Problem {
        file,
        line: None,
        reason,
        object: None,
    }
}

/// Reads a regular file: a pipe or a device would never end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let refused = |reason: String| Err(io::Error::other(reason));
    if !std::fs::metadata(path)?.is_file() {
        return refused("neither a file nor a folder".to_owned());
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(LONGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        return refused(format!("larger than {} MiB", LONGEST_FILE >> 20));
    }
    Ok(text)
}

/// A walk through a folder.
struct Walk {
    root: PathBuf,
    real_root: PathBuf,
    /// Folders that were entered, by their real paths: links can form circles.
    seen: BTreeSet<PathBuf>,
    entries: usize,
    bytes: u64,
    files: Vec<File>,
    problems: Vec<Problem>,
}

impl Walk {
    fn name(&self, path: &Path) -> Arc<str> {
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        name.to_string_lossy().into()
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        let reason = format!("cannot be read: {error}");
        self.problem(path, reason);
    }

    fn problem(&mut self, path: &Path, reason: String) {
        let name = Some(self.name(path)).filter(|name| !name.is_empty());
        self.problems.push(problem(name, reason));
    }

    /// Whether there is room for more.
    fn full(&mut self, path: &Path) -> bool {
        let full = self.entries > MOST_ENTRIES || self.bytes > LARGEST_SOURCE;
        if full {
            let reason = format!(
                "the source is larger than {MOST_ENTRIES} entries or {} MiB: from here on it is \
                 not read; name smaller folders",
                LARGEST_SOURCE >> 20
            );
            self.problem(path, reason);
        }
        full
    }

    /// Reads one folder, and then the folders in it: with a stack of its own, so that no depth
    /// exhausts the thread's.
    fn folder(&mut self, root: &Path) {
        let mut stack = vec![root.to_owned()];
        while let Some(path) = stack.pop() {
            match self.enter(&path) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    self.failed(&path, &error);
                    continue;
                }
            }
            if path.is_dir() {
                match self.children(&path) {
                    // The last one is taken first.
                    Ok(children) => stack.extend(children.into_iter().rev()),
                    Err(error) => self.failed(&path, &error),
                }
            } else {
                match read_file(&path) {
                    Ok(text) => {
                        self.bytes += text.len() as u64;
                        let name = self.name(&path);
                        self.files.push(File { name, text });
                    }
                    Err(error) => self.failed(&path, &error),
                }
            }
            self.entries += 1;
            if self.full(&path) {
                return;
            }
        }
    }

    /// Whether a path is to be read: it is inside, and was not read before.
    fn enter(&mut self, path: &Path) -> io::Result<bool> {
        let real = path.canonicalize()?;
        if !real.starts_with(&self.real_root) {
            let reason = "a link to outside of the source: not followed; name its target as a \
                          source of its own";
            self.problem(path, reason.to_owned());
            return Ok(false);
        }
        if real.is_dir() {
            return Ok(self.seen.insert(real));
        }
        Ok(true)
    }

    fn children(&mut self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(name) = path.file_name().map(std::ffi::OsStr::to_string_lossy) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() || is_manifest(&name) {
                children.push(path.clone());
            }
            if folder != self.root && name == CHART {
                let reason = "a Helm chart: its templates are no manifests; name its folder as a \
                              source of its own, helm:FOLDER";
                self.problem(folder, reason.to_owned());
                return Ok(Vec::new());
            }
        }
        children.sort();
        Ok(children)
    }
}
