use gix::objs::{Exists as _, FindExt as _};
use gix::refs::FullName;
use gix::refs::transaction::{PreviousValue, RefEdit};

use super::id::{ObjectKind, object_id};
use super::pack::sync_directory;
use super::store::{Head, Mirror, Step, call};
use super::trees::{self, Edit, NewTrees};
use super::{BlobId, CommitId, MirrorError, TreeId, refs};
use crate::object::MirrorPath;

/// What a commit changes, and what it says. Plain data: a commit that failed is repeated with the
/// same value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Path below the prefix → its new blob, staged before; `None` removes the file. Of two
    /// changes of one path the later counts.
    pub changes: Vec<(String, Option<BlobId>)>,
    /// Further files below the prefix, with their bytes: few and small.
    pub files: Vec<(String, Vec<u8>)>,
    /// The whole message.
    pub message: String,
    /// When, in seconds since 1970 UTC. A commit is never dated before its parent.
    pub seconds: i64,
    /// Blobs under refs of their own that name this commit, written in its transaction.
    pub attachments: Vec<Attachment>,
}

/// A blob under a ref of its own that belongs to one commit, such as `refs/strandline/cursor`.
///
/// Stored as `commit <40 hex digits>\n` and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The ref's full name: `refs/strandline/` and one component.
    pub name: String,
    /// The bytes after the first line.
    pub body: Vec<u8>,
}

/// What an [`Attachment`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The commit that it belongs to. If that is not HEAD, it does not count.
    pub commit_id: CommitId,
    /// The bytes after the first line.
    pub body: Vec<u8>,
}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The new HEAD.
    pub commit_id: CommitId,
    /// Its tree.
    pub tree_id: TreeId,
    /// How many objects the pack holds.
    pub objects_written: usize,
    /// Bytes of the pack and its index.
    pub bytes_written: u64,
}

impl Attachment {
    /// The checked name. One component, so that a crash's leftovers are found.
    fn reference(&self) -> Result<FullName, MirrorError> {
        let own = self.name.strip_prefix(refs::OWN);
        if own.is_none_or(|name| name.contains('/')) {
            return Err(MirrorError::RefName {
                name: self.name.clone(),
            });
        }
        refs::full_name(&self.name)
    }

    fn encode(&self, commit_id: CommitId) -> Vec<u8> {
        let mut bytes = format!("commit {commit_id}\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Attached> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        Some(Attached {
            commit_id: line.strip_prefix("commit ")?.parse().ok()?,
            body: bytes[end + 1..].to_vec(),
        })
    }
}

impl Mirror {
    pub(super) fn write_commit(
        &mut self,
        commit: &Commit,
    ) -> Result<Option<Committed>, MirrorError> {
        self.sync_branch()?;
        let names = commit
            .attachments
            .iter()
            .map(Attachment::reference)
            .collect::<Result<Vec<_>, _>>()?;
        let edits = self.edits(commit)?;
        let old = self.head.map(|head| head.tree_id);
        let (tree_id, trees) = trees::apply(&self.repo.objects, old, &edits)?;
        drop(edits);
        if old.map_or_else(|| trees[&tree_id.0].is_empty(), |old| old == tree_id) {
            self.discard_staged();
            return Ok(None);
        }

        let committed_at = self
            .head
            .map_or(commit.seconds, |head| commit.seconds.max(head.committed_at));
        let text = self.commit_text(tree_id, committed_at, &commit.message);
        let commit_id = CommitId(object_id(ObjectKind::Commit, text.as_bytes()));
        let attachments: Vec<Vec<u8>> = commit
            .attachments
            .iter()
            .map(|attachment| attachment.encode(commit_id))
            .collect();

        let blobs = commit.files.iter().map(|(_, bytes)| bytes);
        self.before(Step::Seal)?;
        for bytes in blobs.chain(&attachments) {
            self.add(ObjectKind::Blob, bytes)?;
        }
        self.add_trees(trees)?;
        self.add(ObjectKind::Commit, text.as_bytes())?;
        let (objects_written, bytes_written) = self.finish_pack()?;
        if !self.repo.objects.exists(&commit_id.oid()) {
            // Then HEAD would be unreadable: gix has run out of slots, or somebody took the pack.
            return Err(MirrorError::missing(&commit_id, ""));
        }

        let expected = self.head.map(|head| head.commit_id);
        let mut updates = vec![refs::edit(
            self.branch.clone(),
            commit_id.oid(),
            refs::expect(expected),
        )];
        updates.extend(names.into_iter().zip(&attachments).map(|(name, bytes)| {
            let id = BlobId::of(bytes);
            refs::edit(name, id.oid(), PreviousValue::Any)
        }));
        self.move_branch(
            Head {
                commit_id,
                tree_id,
                committed_at,
            },
            updates,
        )?;
        Ok(Some(Committed {
            commit_id,
            tree_id,
            objects_written,
            bytes_written,
        }))
    }

    /// Moves the branch to a commit that was fetched: a descendant of HEAD, or any if the branch
    /// is unborn.
    pub fn fast_forward(&mut self, to: CommitId) -> Result<Head, MirrorError> {
        self.sync_branch()?;
        let head = self.read_head(to)?;
        if let Some(from) = self.head.map(|head| head.commit_id) {
            if from == to {
                return Ok(head);
            }
            if !self.descends(to, from)? {
                return Err(MirrorError::NotADescendant { from, to });
            }
        }
        let expected = refs::expect(self.head.map(|head| head.commit_id));
        let update = refs::edit(self.branch.clone(), to.oid(), expected);
        self.move_branch(head, vec![update])?;
        Ok(head)
    }

    /// Writes an attachment of HEAD without a commit; does nothing while the branch is unborn.
    pub fn attach(&mut self, attachment: &Attachment) -> Result<(), MirrorError> {
        let name = attachment.reference()?;
        let Some(head) = self.head else {
            return Ok(());
        };
        let bytes = attachment.encode(head.commit_id);
        self.add(ObjectKind::Blob, &bytes)?;
        self.finish_pack()?;
        let id = BlobId::of(&bytes);
        let update = refs::edit(name, id.oid(), PreviousValue::Any);
        refs::transact(&self.repo, vec![update], || Ok(()))
    }

    /// The changes as paths from the root, sorted, each once, all checked.
    fn edits(&self, commit: &Commit) -> Result<Vec<Edit>, MirrorError> {
        let prefix = &self.options.prefix;
        let mut edits = Vec::with_capacity(commit.changes.len() + commit.files.len());
        for (path, blob_id) in &commit.changes {
            // Nothing but our own layout is ever pruned.
            if MirrorPath::parse(path).is_none() {
                return Err(MirrorError::BadPath { path: path.clone() });
            }
            if let Some(id) = *blob_id
                && !self.pack.as_ref().is_some_and(|pack| pack.contains(&id.0))
                && !self.has(id.0)
            {
                let path = path.clone();
                return Err(MirrorError::NotStaged { path, id });
            }
            edits.push((prefix.join(path), *blob_id));
        }
        for (path, bytes) in &commit.files {
            if !is_plain(path) {
                return Err(MirrorError::BadPath { path: path.clone() });
            }
            edits.push((prefix.join(path), Some(BlobId::of(bytes))));
        }
        // Stable, and `dedup_by` keeps the first of a run: reversed, that is the last one.
        edits.reverse();
        edits.sort_by(|a, b| a.0.cmp(&b.0));
        edits.dedup_by(|later, earlier| later.0 == earlier.0);
        Ok(edits)
    }

    fn add_trees(&mut self, trees: NewTrees) -> Result<(), MirrorError> {
        // By id, so that the pack of given changes is the same on any machine.
        let mut trees: Vec<_> = trees.into_iter().collect();
        trees.sort_unstable_by_key(|(id, _)| *id);
        for (id, bytes) in trees {
            if !self.has(id) {
                self.writer()?.add(ObjectKind::Tree, id, &bytes)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: ObjectKind, bytes: &[u8]) -> Result<(), MirrorError> {
        let id = object_id(kind, bytes);
        if self.has(id) {
            return Ok(());
        }
        self.writer()?.add(kind, id, bytes)
    }

    /// Brings the pack under construction to disk and gives it its name; returns its objects and
    /// bytes.
    fn finish_pack(&mut self) -> Result<(usize, u64), MirrorError> {
        let finished = self.seal_pack();
        if matches!(finished, Err(MirrorError::PackLost { .. })) {
            self.discard_staged();
        }
        finished
    }

    fn seal_pack(&mut self) -> Result<(usize, u64), MirrorError> {
        let directory = self.pack_directory();
        let mut written = (0, 0);
        // Nothing where an earlier attempt wrote all of this and then lost the race for the ref.
        if self.pack.is_some() {
            let sealed = self.writer()?.seal()?;
            self.before(Step::Index)?;
            let finished = self.writer()?.index(&sealed)?;
            written = (finished.objects, finished.bytes);
            self.before(Step::Publish)?;
            finished.publish(&directory)?;
            self.pack = None;
            self.packs += 1;
        }
        sync_directory(&directory)?;
        Ok(written)
    }

    /// Compare-and-swap of the branch, with further refs in the same transaction.
    fn move_branch(&mut self, head: Head, updates: Vec<RefEdit>) -> Result<(), MirrorError> {
        self.before(Step::Lock)?;
        let expected = self.head.map(|head| head.commit_id);
        self.note_intent(&head.commit_id.to_string())?;
        let Self {
            repo,
            hook,
            options,
            ..
        } = self;
        let moved = refs::transact(repo, updates, || call(hook, Step::Move, &options.path));
        // Nothing of ours is locked any more, whatever happened. A note that stays is harmless, and
        // must not hide that the branch was moved.
        let _ = self.note_intent("");
        if let Err(error) = moved {
            let found = refs::read(&self.repo, &self.branch)
                .ok()
                .flatten()
                .map(CommitId::from);
            if found == expected {
                return Err(error);
            }
            if found != Some(head.commit_id) {
                return Err(MirrorError::Moved {
                    reference: self.branch.to_string(),
                    expected,
                    found,
                });
            }
            // The branch was moved and a ref after it was not. That ref names another commit than
            // HEAD now, so it does not count, which is what its readers expect of a crash too.
        }
        // The commit point lies behind us: readers see the new commit.
        self.head = Some(head);
        self.unsynced = true;
        self.before(Step::Sync)?;
        // The first commit may have made the directories on the way, too.
        refs::sync_parents(self.repo.git_dir(), &self.branch, expected.is_none())?;
        self.unsynced = false;
        Ok(())
    }

    /// Finishes the last step of a commit that is visible but was not known to be durable.
    fn sync_branch(&mut self) -> Result<(), MirrorError> {
        if self.unsynced {
            refs::sync_parents(self.repo.git_dir(), &self.branch, true)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Says in the lock file which refs' locks are ours, for the one who opens the mirror after a
    /// crash.
    fn note_intent(&mut self, text: &str) -> Result<(), MirrorError> {
        let read_only = || std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem);
        self.lock
            .as_ref()
            .ok_or_else(read_only)
            .and_then(|lock| lock.write(text))
            .map_err(MirrorError::io("write", &self.options.path))
    }

    fn commit_text(&self, tree_id: TreeId, seconds: i64, message: &str) -> String {
        let parent = self
            .head
            .map_or_else(String::new, |head| format!("parent {}\n", head.commit_id));
        let author = &self.options.author;
        let who = format!("{} <{}> {seconds} +0000", author.name.trim(), author.email);
        // A null byte would cut the message for many readers, and `git fsck` warns of it.
        let message = message.replace('\0', "\u{fffd}");
        let message = message.trim_end();
        format!("tree {tree_id}\n{parent}author {who}\ncommitter {who}\n\n{message}\n")
    }

    /// Whether `to` has `from` among its first parents. Our branch is linear.
    fn descends(&self, to: CommitId, from: CommitId) -> Result<bool, MirrorError> {
        let mut at = to;
        let mut buffer = Vec::new();
        while at != from {
            // A shallow history ends at a commit whose parent is not there.
            if at != to && !self.repo.objects.exists(&at.oid()) {
                return Ok(false);
            }
            let commit = self
                .repo
                .objects
                .find_commit(&at.oid(), &mut buffer)
                .map_err(|source| MirrorError::object(&at, "", source))?;
            match commit.parents().next() {
                Some(parent) => at = parent.into(),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Whether every component is of the characters that our layout uses, and none is special to Git.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|name| {
        !matches!(name, "" | "." | "..")
            && !name.starts_with(".git")
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'%'))
    })
}
