use std::sync::Arc;

use gix::objs::{Exists as _, FindExt as _};
use gix::refs::FullName;
use gix::refs::transaction::{PreviousValue, RefEdit};

use super::id::{ObjectKind, object_id};
use super::pack::sync_directory;
use super::sidecar::{NextSidecar, SidecarHead};
use super::store::{Head, Mirror, Step, call};
use super::trees::{self, Edit, NewTrees};
use super::{BlobId, CommitId, MirrorError, SidecarChanges, TreeId, refs};
use crate::object::MirrorPath;

/// What a commit changes, and what it says. Plain data: a commit that failed is repeated with the
/// same value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Path below the prefix → its new blob, staged before; `None` removes the file. Of two
    /// changes of one path the later counts.
    pub changes: Vec<(Arc<str>, Option<BlobId>)>,
    /// Further files below the prefix, with their bytes: few and small.
    pub files: Vec<(String, Vec<u8>)>,
    /// The whole message.
    pub message: String,
    /// When, in seconds since 1970 UTC. A commit is never dated before its parent.
    pub seconds: i64,
    /// Blobs under refs of their own that name this commit, written in its transaction.
    pub attachments: Vec<Attachment>,
    /// What changes in the sidecar, in the same pack and transaction; `None` leaves it alone, and
    /// out of step.
    pub sidecar: Option<SidecarChanges>,
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
    /// HEAD: a new one, unless only the sidecar was written.
    pub commit_id: CommitId,
    /// Whether the branch has a new commit.
    pub branch_moved: bool,
    /// Whether the sidecar belongs to HEAD now. If not, its ref could not be written, and what it
    /// should have got is to be given once more.
    pub in_step: bool,
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
        let (tree_id, trees) = trees::apply(&self.repo.objects, old, &edits, trees::as_it_is)?;
        drop(edits);
        let same = old.map_or_else(|| trees[&tree_id.0].is_empty(), |old| old == tree_id);
        if same {
            return self.write_sidecar_alone(commit);
        }

        let committed_at = self
            .head
            .map_or(commit.seconds, |head| commit.seconds.max(head.committed_at));
        let parent = self.head.map(|head| head.commit_id);
        let text = self.commit_text(tree_id, parent, committed_at, &commit.message);
        let head = Head {
            commit_id: CommitId(object_id(ObjectKind::Commit, text.as_bytes())),
            tree_id,
            committed_at,
        };
        let attachments: Vec<Vec<u8>> = commit
            .attachments
            .iter()
            .map(|attachment| attachment.encode(head.commit_id))
            .collect();

        let blobs = commit.files.iter().map(|(_, bytes)| bytes);
        self.before(Step::Seal)?;
        for bytes in blobs.chain(&attachments) {
            self.add(ObjectKind::Blob, bytes)?;
        }
        // One chain's trees after the other's: both at once would be the most memory of all.
        self.add_trees(trees)?;
        self.add(ObjectKind::Commit, text.as_bytes())?;
        let sidecar = match &commit.sidecar {
            Some(changes) => self.next_sidecar(changes, head.commit_id, commit.seconds)?,
            None => None,
        };
        let mut updates = vec![refs::edit(
            self.branch.clone(),
            head.commit_id.oid(),
            refs::expect(parent),
        )];
        updates.extend(names.into_iter().zip(&attachments).map(|(name, bytes)| {
            let id = BlobId::of(bytes);
            refs::edit(name, id.oid(), PreviousValue::Any)
        }));
        self.finish_commit(commit, head, sidecar, updates).map(Some)
    }

    /// Writes what changed in the sidecar of HEAD; nothing where nothing did, or where there is no
    /// HEAD that it could belong to.
    fn write_sidecar_alone(&mut self, commit: &Commit) -> Result<Option<Committed>, MirrorError> {
        let next = match (&commit.sidecar, self.head) {
            (Some(changes), Some(head)) => self
                .next_sidecar(changes, head.commit_id, commit.seconds)?
                .map(|next| (head, next)),
            _ => None,
        };
        let Some((head, sidecar)) = next else {
            self.discard_staged();
            return Ok(None);
        };
        self.before(Step::Seal)?;
        self.finish_commit(commit, head, Some(sidecar), Vec::new())
            .map(Some)
    }

    /// Adds the sidecar's objects, brings the pack to disk and moves the refs.
    fn finish_commit(
        &mut self,
        commit: &Commit,
        head: Head,
        sidecar: Option<NextSidecar>,
        mut updates: Vec<RefEdit>,
    ) -> Result<Committed, MirrorError> {
        let branch_moved = !updates.is_empty();
        let mut sidecar_head = None;
        if let Some(NextSidecar { head, text, trees }) = sidecar {
            for (_, bytes) in commit.sidecar.iter().flat_map(|changes| &changes.facts) {
                if let Some(bytes) = bytes {
                    self.add(ObjectKind::Blob, bytes)?;
                }
            }
            self.add_trees(trees)?;
            self.add(ObjectKind::Commit, text.as_bytes())?;
            updates.push(refs::edit(
                self.sidecar_ref()?,
                head.commit_id.oid(),
                self.sidecar_expected(),
            ));
            sidecar_head = Some(head);
        }
        let (objects_written, bytes_written) = self.finish_pack()?;
        let commits = [
            Some(head.commit_id),
            sidecar_head.map(|head| head.commit_id),
        ];
        for id in commits.into_iter().flatten() {
            if !self.repo.objects.exists(&id.oid()) {
                // Then HEAD would be unreadable: gix has run out of slots, or somebody took the
                // pack.
                return Err(MirrorError::missing(&id, ""));
            }
        }
        self.move_refs(head, sidecar_head, updates)?;
        Ok(Committed {
            commit_id: head.commit_id,
            branch_moved,
            in_step: self.sidecar_in_step(),
            tree_id: head.tree_id,
            objects_written,
            bytes_written,
        })
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
        self.move_refs(head, None, vec![update])?;
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
    fn edits<'a>(&self, commit: &'a Commit) -> Result<Vec<Edit<'a>>, MirrorError> {
        let prefix = &self.options.prefix;
        let mut edits = Vec::with_capacity(commit.changes.len() + commit.files.len());
        for (path, blob_id) in &commit.changes {
            // Nothing but our own layout is ever pruned.
            if MirrorPath::parse(path).is_none() {
                let path = path.to_string();
                return Err(MirrorError::BadPath { path });
            }
            if let Some(id) = *blob_id
                && !self.is_staged(id)
            {
                let path = path.to_string();
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
        Ok(trees::sorted(edits))
    }

    pub(super) fn add_trees(&mut self, trees: NewTrees) -> Result<(), MirrorError> {
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

    pub(super) fn add(&mut self, kind: ObjectKind, bytes: &[u8]) -> Result<(), MirrorError> {
        let id = object_id(kind, bytes);
        if self.has(id) {
            return Ok(());
        }
        self.writer()?.add(kind, id, bytes)
    }

    /// Brings the pack under construction to disk and gives it its name; returns its objects and
    /// bytes.
    pub(super) fn finish_pack(&mut self) -> Result<(usize, u64), MirrorError> {
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

    /// Compare-and-swap of the branch and of the sidecar, with further refs in the same
    /// transaction. The branch comes first: where the process ends in between, the sidecar names
    /// another commit than HEAD, and does not count.
    fn move_refs(
        &mut self,
        head: Head,
        sidecar: Option<SidecarHead>,
        updates: Vec<RefEdit>,
    ) -> Result<(), MirrorError> {
        self.before(Step::Lock)?;
        let expected = self.head.map(|head| head.commit_id);
        let mut intent = head.commit_id.to_string();
        if let Some(sidecar) = &sidecar {
            intent.push(' ');
            intent.push_str(&sidecar.commit_id.to_string());
        }
        self.note_intent(&intent)?;
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
        let mut written = sidecar;
        if let Err(error) = moved {
            let found = refs::read(&self.repo, &self.branch)
                .ok()
                .flatten()
                .map(CommitId::from);
            if found != expected && found != Some(head.commit_id) {
                return Err(MirrorError::Moved {
                    reference: self.branch.to_string(),
                    expected,
                    found,
                });
            }
            let name = self.sidecar_ref()?;
            let beside = refs::read(&self.repo, &name)?.map(CommitId::from);
            written = sidecar.filter(|sidecar| beside == Some(sidecar.commit_id));
            let before = self.sidecar_at.map(CommitId::from);
            if written.is_none() && beside != before {
                return Err(MirrorError::Moved {
                    reference: name.to_string(),
                    expected: before,
                    found: beside,
                });
            }
            let branch_moved = found == Some(head.commit_id) && found != expected;
            if !branch_moved && written.is_none() {
                return Err(error);
            }
            // The branch was moved and a ref after it was not. That ref names another commit than
            // HEAD now, so it does not count, which is what its readers expect of a crash too.
        }
        // The commit point lies behind us: readers see the new commit.
        self.head = Some(head);
        let first_sidecar = written.is_some() && self.sidecar_at.is_none();
        if let Some(sidecar) = written {
            self.sidecar = Some(sidecar);
            self.sidecar_at = Some(sidecar.commit_id.oid());
        }
        self.unsynced = true;
        self.before(Step::Sync)?;
        // The first commit may have made the directories on the way, too.
        refs::sync_parents(self.repo.git_dir(), &self.branch, expected.is_none())?;
        if written.is_some() {
            refs::sync_parents(self.repo.git_dir(), &self.sidecar_ref()?, first_sidecar)?;
        }
        self.unsynced = false;
        Ok(())
    }

    /// Finishes the last step of a commit that is visible but was not known to be durable.
    fn sync_branch(&mut self) -> Result<(), MirrorError> {
        if self.unsynced {
            refs::sync_parents(self.repo.git_dir(), &self.branch, true)?;
            if self.sidecar_at.is_some() {
                refs::sync_parents(self.repo.git_dir(), &self.sidecar_ref()?, true)?;
            }
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

    pub(super) fn commit_text(
        &self,
        tree_id: TreeId,
        parent: Option<CommitId>,
        seconds: i64,
        message: &str,
    ) -> String {
        let parent = parent.map_or_else(String::new, |id| format!("parent {id}\n"));
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
pub(super) fn is_plain(path: &str) -> bool {
    path.split('/').all(|name| {
        !matches!(name, "" | "." | "..")
            && !name.starts_with(".git")
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'%'))
    })
}
