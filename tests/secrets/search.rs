//! Everything that a run leaves behind, searched for pieces of values.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::ZlibDecoder;

use crate::support::program::{Finished, Program};
use crate::support::{Context as _, Failure, Result};
use crate::values::{Form, Values};

/// Most that is inflated of one stream, in bytes.
const MOST: u64 = 16 << 20;

/// Where pieces were found.
pub(crate) struct Search<'a> {
    pub(crate) values: &'a Values,
    pub(crate) found: Vec<(String, usize, Form)>,
    /// Bytes looked through.
    pub(crate) searched: usize,
}

impl<'a> Search<'a> {
    pub(crate) fn new(values: &'a Values) -> Self {
        Self {
            values,
            found: Vec::new(),
            searched: 0,
        }
    }

    pub(crate) fn bytes(&mut self, place: &str, bytes: &[u8]) {
        self.searched += bytes.len();
        for (at, form) in self.values.find(bytes) {
            self.found.push((place.to_owned(), at, form));
        }
    }

    /// What a program that has ended said.
    pub(crate) fn output(&mut self, ended: &Finished) {
        self.bytes(
            &format!("stdout of {}", ended.what),
            ended.stdout.as_bytes(),
        );
        self.bytes(
            &format!("stderr of {}", ended.what),
            ended.stderr.as_bytes(),
        );
    }

    /// Every object of a repository, inflated, whatever refers to it; every ref.
    pub(crate) fn objects(&mut self, repository: &Path) -> Result<()> {
        let scratch = tempfile::tempdir().context("a folder")?;
        for (name, args) in [
            (
                "objects",
                ["cat-file", "--batch-all-objects", "--batch"].as_slice(),
            ),
            ("refs", &["for-each-ref"]),
        ] {
            let mut git = Program::git(repository)
                .arg(format!("--git-dir={}", repository.display()))
                .args(args)
                .spawn(name, scratch.path())?;
            let code = git.wait(Duration::from_secs(120))?;
            if code != 0 {
                return Err(Failure::new(format!("{name}: {code}: {}", git.log_tail(5))));
            }
            let path = scratch.path().join(format!("{name}.out"));
            let bytes = std::fs::read(&path).context(path.display())?;
            self.bytes(&format!("git {}", args.join(" ")), &bytes);
        }
        Ok(())
    }

    /// Every file below a folder, but for `except`: its name, its bytes, and each zlib stream in it,
    /// because what a killed process leaves of a pack is nothing that Git reads.
    pub(crate) fn files(&mut self, folder: &Path, except: &[&str]) -> Result<()> {
        for path in walk(folder)? {
            let name = path.strip_prefix(folder).context("a path")?;
            if except.iter().any(|except| name.starts_with(except)) {
                continue;
            }
            let place = name.display().to_string();
            self.bytes("a file's name", place.as_bytes());
            let bytes = std::fs::read(&path).context(path.display())?;
            self.bytes(&place, &bytes);
            for at in memchr::memchr_iter(0x78, &bytes) {
                // The two bytes of a zlib header are a multiple of 31 (RFC 1950, 2.2).
                let Some(&second) = bytes.get(at + 1) else {
                    continue;
                };
                if (0x7800 + u32::from(second)).is_multiple_of(31) {
                    let mut inflated = Vec::new();
                    // A stream that ends early has been read as far as it goes.
                    let _ = ZlibDecoder::new(&bytes[at..])
                        .take(MOST)
                        .read_to_end(&mut inflated);
                    self.bytes(&format!("{place}, inflated"), &inflated);
                }
            }
        }
        Ok(())
    }

    /// Fails if anything was found.
    pub(crate) fn nothing_found(&self) -> Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = self.found.iter().take(10).collect();
        let text = format!("{} places show values: {shown:?}", self.found.len());
        Err(Failure::new(text))
    }

    /// How many different values were found.
    pub(crate) fn values_found(&self) -> usize {
        let mut values: Vec<_> = self.found.iter().map(|(_, at, _)| at).collect();
        values.sort();
        values.dedup();
        values.len()
    }
}

fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).context(folder.display())? {
            let path = entry.context(folder.display())?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}
