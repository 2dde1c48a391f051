//! The mirror at a revision, for readers: no lock, no writes, beside whoever records.

use std::path::PathBuf;

use gix::objs::FindExt as _;

use super::read::{Files, read_blob, read_head};
use super::refs::{full_name, read};
use super::{BlobId, CommitId, Head, Index, MirrorError, open};
use crate::object::Prefix;

/// The shortest abbreviation of a commit's id, as Git has it
/// (<https://git-scm.com/docs/git-config#Documentation/git-config.txt-coreabbrev>).
const SHORTEST_ID: usize = 4;
/// Tags may name tags; nobody nests them deeper than this.
const MOST_TAGS: usize = 8;

/// Which commit to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// A branch, a tag, a ref, `HEAD` (the branch that was opened), or a commit's id of 4 to 40
    /// digits; then any of `~`, `~N`, `^` and `^N`:
    /// <https://git-scm.com/docs/gitrevisions>.
    Revision(String),
    /// The newest commit that is not younger than this, along first parents from the branch; in
    /// seconds since 1970 UTC.
    Time(i64),
}

/// Where to read.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// The bare repository.
    pub path: PathBuf,
    /// The branch's full name, `refs/heads/…`, which `HEAD` and times start from.
    pub reference: String,
    /// The directory of the tree that the mirror owns.
    pub prefix: Prefix,
}

/// The mirror's files as one commit has them. Never changes, whatever is recorded meanwhile.
pub struct Snapshot {
    repo: gix::Repository,
    prefix: Prefix,
    head: Head,
}

impl Snapshot {
    /// Opens the repository and finds the commit.
    pub fn open(options: SnapshotOptions, at: &At) -> Result<Self, MirrorError> {
        let repo = open::open_existing(&options.path)?;
        let commit_id = Resolver {
            repo: &repo,
            options: &options,
        }
        .resolve(at)?;
        let head = read_head(&repo, commit_id)?;
        Ok(Self {
            repo,
            prefix: options.prefix,
            head,
        })
    }

    /// The commit that is read.
    pub fn head(&self) -> Head {
        self.head
    }

    fn files(&self) -> Files<'_> {
        Files {
            repo: &self.repo,
            root: Some(self.head.tree_id),
            prefix: &self.prefix,
        }
    }

    /// All files below the prefix.
    pub fn index(&self) -> Result<Index, MirrorError> {
        self.files().index()
    }

    /// A file, by its path below the prefix; `None` where there is none.
    pub fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.files().read(path)
    }

    /// The bytes of a file that [`Snapshot::index`] named. `path` is for the error.
    pub fn read_blob(&self, id: BlobId, path: &str) -> Result<Vec<u8>, MirrorError> {
        read_blob(&self.repo, id, path)?.ok_or_else(|| MirrorError::missing(&id, path))
    }
}

struct Resolver<'a> {
    repo: &'a gix::Repository,
    options: &'a SnapshotOptions,
}

impl Resolver<'_> {
    fn resolve(&self, at: &At) -> Result<CommitId, MirrorError> {
        match at {
            At::Revision(text) => self.revision(text),
            At::Time(seconds) => self.not_younger_than(*seconds),
        }
    }

    fn no_such(&self, revision: &str, reason: &'static str) -> MirrorError {
        MirrorError::NoSuchRevision {
            revision: revision.to_owned(),
            path: self.options.path.clone(),
            reason,
        }
    }

    fn tip(&self) -> Result<CommitId, MirrorError> {
        let id = read(self.repo, &full_name(&self.options.reference)?)?
            .ok_or_else(|| self.no_such(&self.options.reference, "there is no such branch"))?;
        Ok(id.into())
    }

    fn not_younger_than(&self, seconds: i64) -> Result<CommitId, MirrorError> {
        let mut at = self.tip()?;
        loop {
            if self.time_of(at)? <= seconds {
                return Ok(at);
            }
            at = self.parents(at)?.first().copied().ok_or_else(|| {
                let reason = "every commit of the branch is younger";
                self.no_such(&format!("the time {seconds}"), reason)
            })?;
        }
    }

    fn revision(&self, text: &str) -> Result<CommitId, MirrorError> {
        let end = text.find(['~', '^']).unwrap_or(text.len());
        let (name, mut steps) = text.split_at(end);
        let mut at = self.name(name, text)?;
        while let Some(step) = steps.chars().next() {
            let rest = &steps[1..];
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let number: usize = match number {
                "" => 1,
                number => number
                    .parse()
                    .map_err(|_| self.no_such(text, "a number in it is too large"))?,
            };
            steps = after;
            let too_far = || self.no_such(text, "history does not go back that far");
            match step {
                '~' => {
                    for _ in 0..number {
                        at = *self.parents(at)?.first().ok_or_else(too_far)?;
                    }
                }
                '^' if number == 0 => {}
                '^' => at = *self.parents(at)?.get(number - 1).ok_or_else(too_far)?,
                _ => return Err(self.no_such(text, "only ~, ~N, ^ and ^N may follow the name")),
            }
        }
        Ok(at)
    }

    fn name(&self, name: &str, whole: &str) -> Result<CommitId, MirrorError> {
        if matches!(name, "HEAD" | "@") {
            return self.tip();
        }
        // Git's own order: <https://git-scm.com/docs/gitrevisions#Documentation/gitrevisions.txt-refname>.
        for place in ["", "refs/", "refs/tags/", "refs/heads/"] {
            let full = format!("{place}{name}");
            if !full.starts_with("refs/") {
                continue;
            }
            let Ok(full) = full_name(&full) else { continue };
            if let Some(id) = read(self.repo, &full)? {
                return self.peel(id, whole);
            }
        }
        let is_id = (SHORTEST_ID..=40).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return Err(self.no_such(whole, "it is no branch, tag or commit"));
        }
        let prefix = gix::hash::Prefix::from_hex(name)
            .map_err(|_| self.no_such(whole, "it is no commit's id"))?;
        let found = self
            .repo
            .objects
            .lookup_prefix(prefix, None)
            .map_err(|source| MirrorError::object(&name, "", source))?;
        match found {
            None => Err(self.no_such(whole, "it is no branch, tag or commit")),
            Some(Err(())) => Err(self.no_such(whole, "several objects begin like that")),
            Some(Ok(id)) => self.peel(id, whole),
        }
    }

    /// The commit that an object is, or that a tag names.
    fn peel(&self, mut id: gix::ObjectId, whole: &str) -> Result<CommitId, MirrorError> {
        let mut buffer = Vec::new();
        for _ in 0..MOST_TAGS {
            let kind = self
                .repo
                .objects
                .find(&id, &mut buffer)
                .map_err(|source| MirrorError::object(&id, "", source))?
                .kind;
            match kind {
                gix::objs::Kind::Commit => return Ok(id.into()),
                gix::objs::Kind::Tag => {
                    let tag = self
                        .repo
                        .objects
                        .find_tag(&id, &mut buffer)
                        .map_err(|source| MirrorError::object(&id, "", source))?;
                    id = tag.target();
                }
                _ => break,
            }
        }
        Err(self.no_such(whole, "it names no commit"))
    }

    fn parents(&self, id: CommitId) -> Result<Vec<CommitId>, MirrorError> {
        let mut buffer = Vec::new();
        let commit = self
            .repo
            .objects
            .find_commit(&id.oid(), &mut buffer)
            .map_err(|source| MirrorError::object(&id, "", source))?;
        Ok(commit.parents().map(CommitId::from).collect())
    }

    fn time_of(&self, id: CommitId) -> Result<i64, MirrorError> {
        read_head(self.repo, id).map(|head| head.committed_at)
    }
}
