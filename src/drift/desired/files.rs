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
    let (files, problems) = walk.read();
    let mut read = parse(&files);
    read.problems.extend(problems);
    read
}

/// Reads one file, whatever its name.
pub(super) fn file(path: &Path) -> Read {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name: Arc<str> = name.to_string_lossy().into();
    match length_of(path).and_then(|length| read_file(path, length)) {
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
    let done = in_threads(threads, &shares, |share| {
        let mut read = Read::default();
        for (file, part) in *share {
            read.extend(read::read_part(file, part));
        }
        read
    });
    let mut read = Read::default();
    let complete = done.len() == shares.len();
    for part in done {
        read.extend(part);
    }
    if !complete {
        let reason = "a part of the source could not be parsed: please report this";
        read.problems.push(problem(None, reason.to_owned()));
    }
    read
}

/// Does the work on every item, in their order; less comes back where a thread fails.
fn in_threads<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                break done;
            };
            done.push((at, work(item)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            // A thread that failed has said so.
            done.extend(other.join().unwrap_or_default());
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, done)| done).collect()
}

fn problem(file: Option<Arc<str>>, reason: String) -> Problem {
    Problem {
        file,
        line: None,
        reason,
        object: None,
    }
}

/// The length of a regular file: a pipe or a device would never end.
fn length_of(path: &Path) -> io::Result<u64> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(io::Error::other("neither a file nor a folder"))
    }
}

/// Reads what is a regular file, of about this length in bytes.
fn read_file(path: &Path, length: u64) -> io::Result<Vec<u8>> {
    // With room for the read that finds the end.
    let mut text = Vec::with_capacity(usize::try_from(length.min(LONGEST_FILE)).unwrap_or(0) + 32);
    let file = std::fs::File::open(path)?;
    file.take(LONGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        let reason = format!("larger than {} MiB", LONGEST_FILE >> 20);
        return Err(io::Error::other(reason));
    }
    Ok(text)
}

/// What a folder has.
enum Entry {
    Folder,
    /// A regular file of this length in bytes.
    File(u64),
    /// A link, or something else that has to be looked at.
    Link,
}

/// A walk through a folder.
struct Walk {
    root: PathBuf,
    real_root: PathBuf,
    /// Folders that were entered, by their real paths: links can form circles.
    seen: BTreeSet<PathBuf>,
    entries: usize,
    bytes: u64,
    /// With their lengths in bytes.
    files: Vec<(PathBuf, u64)>,
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

    /// Finds the files of one folder, and then of the folders in it: with a stack of its own, so
    /// that no depth exhausts the thread's.
    fn folder(&mut self, root: &Path) {
        let mut stack = vec![(root.to_owned(), Entry::Link)];
        while let Some((path, entry)) = stack.pop() {
            let visited = match entry {
                // It lies in a folder that was entered.
                Entry::File(length) => Ok(Some(length)),
                Entry::Folder | Entry::Link => self.enter(&path, &mut stack),
            };
            match visited {
                Ok(Some(length)) => {
                    self.bytes += length;
                    self.files.push((path.clone(), length));
                }
                Ok(None) => {}
                Err(error) => self.failed(&path, &error),
            }
            self.entries += 1;
            if self.full(&path) {
                return;
            }
        }
    }

    /// Looks where a path leads: the length of a file, or what is in a folder. Nothing where it is
    /// outside, or was entered before.
    fn enter(&mut self, path: &Path, stack: &mut Vec<(PathBuf, Entry)>) -> io::Result<Option<u64>> {
        let real = path.canonicalize()?;
        if !real.starts_with(&self.real_root) {
            let reason = "a link to outside of the source: not followed; name its target as a \
                          source of its own";
            self.problem(path, reason.to_owned());
            return Ok(None);
        }
        if !real.is_dir() {
            return length_of(&real).map(Some);
        }
        if self.seen.insert(real) {
            // The last one is taken first.
            stack.extend(self.children(path)?.into_iter().rev());
        }
        Ok(None)
    }

    /// Reads what was found.
    fn read(mut self) -> (Vec<File>, Vec<Problem>) {
        let threads = THREADS.min(self.files.len() >> 6).max(1);
        let texts = in_threads(threads, &self.files, |(path, length)| {
            read_file(path, *length)
        });
        let mut files = Vec::with_capacity(texts.len());
        if texts.len() < self.files.len() {
            let reason = "a part of the source could not be read: please report this";
            self.problems.push(problem(None, reason.to_owned()));
            return (files, self.problems);
        }
        for ((path, _), text) in std::mem::take(&mut self.files).into_iter().zip(texts) {
            match text {
                Ok(text) => files.push(File {
                    name: self.name(&path),
                    text,
                }),
                Err(error) => self.failed(&path, &error),
            }
        }
        (files, self.problems)
    }

    fn children(&mut self, folder: &Path) -> io::Result<Vec<(PathBuf, Entry)>> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let Some(name) = path.file_name().map(std::ffi::OsStr::to_string_lossy) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                children.push((path.clone(), Entry::Folder));
            } else if kind.is_file() && is_manifest(&name) {
                children.push((path.clone(), Entry::File(entry.metadata()?.len())));
            } else if !kind.is_file() && (is_manifest(&name) || path.is_dir()) {
                children.push((path.clone(), Entry::Link));
            }
            if folder != self.root && name == CHART {
                let reason = "a Helm chart: its templates are no manifests; name its folder as a \
                              source of its own, helm:FOLDER";
                self.problem(folder, reason.to_owned());
                return Ok(Vec::new());
            }
        }
        children.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(children)
    }
}
