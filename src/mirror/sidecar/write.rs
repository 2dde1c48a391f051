//! The sidecar's next commit, and chains of further files.

use std::collections::BTreeMap;
use std::sync::Arc;

use gix::refs::transaction::PreviousValue;

use super::names::{self, SIDECAR_REFS, SidecarRefs};
use super::walk::{SideFiles, SidecarHead, head};
use crate::mirror::commit::is_plain;
use crate::mirror::id::{ObjectKind, object_id};
use crate::mirror::trees::{self, Edit, NewTrees};
use crate::mirror::{BlobId, CommitId, Mirror, MirrorError, refs};
use crate::object::MirrorPath;

/// What the sidecar holds of one object: ids of blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SidecarBlobs {
    /// Who wrote what.
    pub owners: BlobId,
    /// When; `None` where there is nothing to say.
    pub times: Option<BlobId>,
}

/// What a commit changes in the sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarChanges {
    /// Path of the object's file in the mirror → its blobs, staged before; `None` removes them.
    pub objects: Vec<(Arc<str>, Option<SidecarBlobs>)>,
    /// Name below `facts/` → its bytes; `None` removes the file.
    pub facts: Vec<(String, Option<Vec<u8>>)>,
    /// The message, without trailers.
    pub message: String,
}

/// What the newest commit of the sidecar is, the objects aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarState {
    /// It belongs to HEAD.
    pub in_step: bool,
    /// The files below `facts/`.
    pub facts: BTreeMap<String, BlobId>,
}

/// The sidecar's next commit, before it is written.
pub(in crate::mirror) struct NextSidecar {
    pub(in crate::mirror) head: SidecarHead,
    pub(in crate::mirror) text: String,
    pub(in crate::mirror) trees: NewTrees,
}

impl Mirror {
    /// The name of the sidecar's ref.
    pub(in crate::mirror) fn sidecar_ref(&self) -> Result<gix::refs::FullName, MirrorError> {
        let names = SidecarRefs::new(SIDECAR_REFS, &self.options.branch);
        refs::full_name(&names.owners())
    }

    /// Reads the newest commit of the sidecar. One that cannot be read counts as none: it holds
    /// nothing that the next list does not bring back.
    pub(in crate::mirror) fn reload_sidecar(&mut self) -> Result<(), MirrorError> {
        self.sidecar_at = refs::read(&self.repo, &self.sidecar_ref()?)?;
        self.sidecar = self.sidecar_at.and_then(|id| {
            let (head, _) = head(&self.repo, id.into()).ok()?;
            let files = SideFiles {
                repo: &self.repo,
                tree_id: head.tree_id,
                prefix: &self.options.prefix,
            };
            files.part("owners").ok().map(|_| head)
        });
        Ok(())
    }

    /// What compare-and-swap of the sidecar's ref expects.
    pub(in crate::mirror) fn sidecar_expected(&self) -> PreviousValue {
        refs::expect(self.sidecar_at.map(CommitId::from))
    }

    /// Calls `each` with the path and the blobs of every object that the sidecar knows, and says
    /// what else it is.
    ///
    /// # Errors
    ///
    /// Where an object of the repository is missing or damaged.
    pub fn sidecar_state(
        &self,
        each: &mut dyn FnMut(&str, SidecarBlobs),
    ) -> Result<SidecarState, MirrorError> {
        let Some(head) = self.sidecar else {
            return Ok(SidecarState::default());
        };
        let files = SideFiles {
            repo: &self.repo,
            tree_id: head.tree_id,
            prefix: &self.options.prefix,
        };
        files.objects(&mut |path, blobs| {
            each(path, blobs);
            Ok(())
        })?;
        Ok(SidecarState {
            in_step: self.sidecar_in_step(),
            facts: files.facts()?,
        })
    }

    /// Whether the newest commit of the sidecar belongs to HEAD.
    pub fn sidecar_in_step(&self) -> bool {
        let head = self.head.map(|head| head.commit_id);
        self.sidecar
            .is_some_and(|sidecar| sidecar.mirror_commit_id == head && head.is_some())
    }

    /// Makes the sidecar's commit that belongs to `mirror_commit_id`; `None` where it would say
    /// what the one before says.
    pub(in crate::mirror) fn next_sidecar(
        &self,
        changes: &SidecarChanges,
        mirror_commit_id: CommitId,
        seconds: i64,
    ) -> Result<Option<NextSidecar>, MirrorError> {
        let old = self.sidecar.map(|head| head.tree_id);
        let objects = &self.repo.objects;
        let prefix = &self.options.prefix;
        let (mut root, mut trees) =
            trees::apply(objects, old, &self.facts(changes)?, trees::as_it_is)?;
        self.check_objects(changes)?;
        for part in ["owners", "times"] {
            let before = match old {
                None => None,
                Some(tree_id) => SideFiles {
                    repo: &self.repo,
                    tree_id,
                    prefix,
                }
                .part(part)?,
            };
            let edits = object_edits(changes, part);
            let (after, new) = trees::apply(objects, before, &edits, names::file)?;
            drop(edits);
            let empty = new.get(&after.0).is_some_and(Vec::is_empty);
            let after = Some(after).filter(|_| !empty);
            if after != before {
                trees.extend(new);
                let directory = names::directory(prefix, part);
                root = trees::graft(objects, &mut trees, root, &directory, after)?;
            }
        }
        let tree_id = root;
        trees::keep_reachable(&mut trees, tree_id);
        let same_tree = old.map_or_else(
            || trees.get(&tree_id.0).is_none_or(Vec::is_empty),
            |old| old == tree_id,
        );
        let names_it = self
            .sidecar
            .is_some_and(|head| head.mirror_commit_id == Some(mirror_commit_id));
        if same_tree && names_it {
            return Ok(None);
        }
        let committed_at = self
            .sidecar
            .map_or(seconds, |head| seconds.max(head.committed_at));
        let message = format!(
            "{}\n\n{}{mirror_commit_id}\n{}",
            changes.message.trim_end(),
            names::MIRROR_COMMIT,
            names::FORMAT
        );
        let parent = self.sidecar.map(|head| head.commit_id);
        let text = self.commit_text(tree_id, parent, committed_at, &message);
        let commit_id = CommitId(object_id(ObjectKind::Commit, text.as_bytes()));
        Ok(Some(NextSidecar {
            head: SidecarHead {
                commit_id,
                tree_id,
                committed_at,
                mirror_commit_id: Some(mirror_commit_id),
            },
            text,
            trees,
        }))
    }

    fn facts(&self, changes: &SidecarChanges) -> Result<Vec<Edit<'static>>, MirrorError> {
        let mut edits = Vec::with_capacity(changes.facts.len());
        for (name, bytes) in &changes.facts {
            let path = format!("facts/{name}");
            if !is_plain(&path) || path.split('/').count() > usize::from(names::DEEPEST_FACT) {
                return Err(MirrorError::BadPath { path });
            }
            let blob_id = bytes.as_deref().map(BlobId::of);
            edits.push((self.options.prefix.join(&path).into_owned().into(), blob_id));
        }
        Ok(trees::sorted(edits))
    }

    /// Whether every path is an object's, and every blob is there.
    fn check_objects(&self, changes: &SidecarChanges) -> Result<(), MirrorError> {
        for (path, blobs) in &changes.objects {
            if MirrorPath::parse(path).is_none() {
                let path = path.to_string();
                return Err(MirrorError::BadPath { path });
            }
            let blobs = blobs.map(|blobs| [Some(blobs.owners), blobs.times]);
            let mut ids = blobs.into_iter().flatten().flatten();
            if let Some(id) = ids.find(|id| !self.is_staged(*id)) {
                let path = path.to_string();
                return Err(MirrorError::NotStaged { path, id });
            }
        }
        Ok(())
    }

    /// Writes the next commit of a chain of its own, such as that of drift reports: `files` (path →
    /// bytes) are all that its tree holds, below the mirror's prefix. Returns the newest commit,
    /// which is the one before where nothing changed.
    ///
    /// `reference` is one of [`SidecarRefs`] below [`SIDECAR_REFS`]; `seconds` since 1970 UTC.
    ///
    /// # Errors
    ///
    /// Where a name cannot be one, or where objects or the ref cannot be written.
    pub fn write_side(
        &mut self,
        reference: &str,
        files: &[(String, Vec<u8>)],
        message: &str,
        seconds: i64,
    ) -> Result<CommitId, MirrorError> {
        let name = refs::full_name(reference)?;
        if !reference.starts_with(refs::OWN) || name == self.sidecar_ref()? {
            return Err(MirrorError::RefName {
                name: reference.to_owned(),
            });
        }
        let mut edits = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            if !is_plain(path) {
                return Err(MirrorError::BadPath { path: path.clone() });
            }
            edits.push((self.options.prefix.join(path), Some(BlobId::of(bytes))));
        }
        let old = refs::read(&self.repo, &name)?.map(CommitId::from);
        // One that cannot be read is replaced.
        let before = old
            .and_then(|id| head(&self.repo, id).ok())
            .map(|(head, _)| head);
        let (tree_id, trees) = trees::apply(
            &self.repo.objects,
            None,
            &trees::sorted(edits),
            trees::as_it_is,
        )?;
        if let Some(before) = before.filter(|before| before.tree_id == tree_id) {
            return Ok(before.commit_id);
        }
        let committed_at = before.map_or(seconds, |before| seconds.max(before.committed_at));
        let parent = before.map(|before| before.commit_id);
        let text = self.commit_text(tree_id, parent, committed_at, message);
        let commit_id = CommitId(object_id(ObjectKind::Commit, text.as_bytes()));
        for (_, bytes) in files {
            self.add(ObjectKind::Blob, bytes)?;
        }
        self.add_trees(trees)?;
        self.add(ObjectKind::Commit, text.as_bytes())?;
        self.finish_pack()?;
        let update = refs::edit(name.clone(), commit_id.oid(), refs::expect(old));
        refs::transact(&self.repo, vec![update], || Ok(()))?;
        refs::sync_parents(self.repo.git_dir(), &name, old.is_none())?;
        Ok(commit_id)
    }

    /// Points the sidecar's ref at a commit that was fetched, whatever it names now: the remote's
    /// chain is the one that goes on, and what differs is written anew on top of it.
    ///
    /// # Errors
    ///
    /// Where the ref cannot be written.
    pub fn adopt_sidecar(&mut self, to: CommitId) -> Result<(), MirrorError> {
        let name = self.sidecar_ref()?;
        let update = refs::edit(name.clone(), to.oid(), self.sidecar_expected());
        let deep = self.sidecar_at.is_none();
        refs::transact(&self.repo, vec![update], || Ok(()))?;
        refs::sync_parents(self.repo.git_dir(), &name, deep)?;
        self.reload_sidecar()
    }
}

/// Of one part, as the paths of the mirror's files.
fn object_edits<'a>(changes: &'a SidecarChanges, part: &str) -> Vec<Edit<'a>> {
    let edit = |(path, blobs): &'a (Arc<str>, Option<SidecarBlobs>)| {
        let blob_id = blobs.and_then(|blobs| match part {
            "owners" => Some(blobs.owners),
            _ => blobs.times,
        });
        ((&**path).into(), blob_id)
    };
    trees::sorted(changes.objects.iter().map(edit).collect())
}
