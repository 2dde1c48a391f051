//! The sidecar for readers: no lock, no writes, beside whoever records.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::names::{self, SIDECAR_REFS, SidecarRefs};
use super::walk::{SideFiles, SidecarHead, head};
use super::{Alive, alive};
use crate::mirror::history::SnapshotOptions;
use crate::mirror::read::read_blob;
use crate::mirror::{BlobId, CommitId, MirrorError, open, refs};

/// Blobs that are kept while all objects are read: most share their shape with others.
const CACHED_BYTES: usize = 32 << 20;

/// One commit of the sidecar. Never changes, whatever is recorded meanwhile.
pub struct Sidecar {
    repo: gix::Repository,
    options: SnapshotOptions,
    head: SidecarHead,
    mirror_commit_id: CommitId,
}

impl Sidecar {
    /// The newest commit of the sidecar; `None` where there is no sidecar, or none that names a
    /// commit of a mirror.
    ///
    /// `prefix` is what lies before the refs' names ([`SIDECAR_REFS`] by default); where nothing is
    /// there the default one is looked at.
    ///
    /// # Errors
    ///
    /// Where there is no repository, or where what a ref names cannot be read.
    pub fn open(options: &SnapshotOptions, prefix: &str) -> Result<Option<Self>, MirrorError> {
        Self::find(options, prefix, |_| true)
    }

    /// The newest commit of the sidecar that belongs to this commit of the mirror, along first
    /// parents; `None` where there is none, or where the history does not go back that far.
    ///
    /// # Errors
    ///
    /// As [`Sidecar::open`].
    pub fn of(
        options: &SnapshotOptions,
        prefix: &str,
        mirror_commit_id: CommitId,
    ) -> Result<Option<Self>, MirrorError> {
        Self::find(options, prefix, |id| id == mirror_commit_id)
    }

    fn find(
        options: &SnapshotOptions,
        prefix: &str,
        wanted: impl Fn(CommitId) -> bool,
    ) -> Result<Option<Self>, MirrorError> {
        let repo = open::open_existing(&options.path)?;
        let name = |names: SidecarRefs| names.owners();
        let Some(tip) = find_ref(&repo, options, prefix, name)? else {
            return Ok(None);
        };
        let mut next = Some(CommitId::from(tip));
        while let Some(at) = next {
            // A shallow history ends at a commit whose parent is not there.
            if at.oid() != tip && !gix::objs::Exists::exists(&repo.objects, &at.oid()) {
                return Ok(None);
            }
            let (head, parent) = head(&repo, at)?;
            if let Some(mirror_commit_id) = head.mirror_commit_id.filter(|id| wanted(*id)) {
                return Ok(Some(Self {
                    repo,
                    options: options.clone(),
                    head,
                    mirror_commit_id,
                }));
            }
            next = parent;
        }
        Ok(None)
    }

    /// Its commit.
    pub fn commit_id(&self) -> CommitId {
        self.head.commit_id
    }

    /// The commit of the mirror that it belongs to. If that is not the commit whose files are
    /// read, the two are out of step.
    pub fn mirror_commit_id(&self) -> CommitId {
        self.mirror_commit_id
    }

    fn files(&self) -> SideFiles<'_> {
        SideFiles {
            repo: &self.repo,
            tree_id: self.head.tree_id,
            prefix: &self.options.prefix,
        }
    }

    /// The shape of the owners of the object at this path of the mirror
    /// ([`Shape::decode`](crate::owners::Shape::decode) reads it); `None` where there is none.
    ///
    /// # Errors
    ///
    /// Where an object of the repository is missing or damaged.
    pub fn owners(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.files().read(&format!("owners/{}", names::file(path)))
    }

    /// When each of them last wrote ([`Times::decode`](crate::owners::Times::decode) reads it).
    ///
    /// # Errors
    ///
    /// As [`Sidecar::owners`].
    pub fn times(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.files().read(&format!("times/{}", names::file(path)))
    }

    /// The files below `facts/`, by name.
    ///
    /// # Errors
    ///
    /// As [`Sidecar::owners`].
    pub fn facts(&self) -> Result<BTreeMap<String, Vec<u8>>, MirrorError> {
        let facts = self.files().facts()?;
        facts
            .into_iter()
            .map(|(name, id)| {
                let bytes = self.blob(id, &name)?;
                Ok((name, bytes))
            })
            .collect()
    }

    /// Calls `each` with the path, owners and times of every object, in the order of Git's trees.
    ///
    /// # Errors
    ///
    /// As [`Sidecar::owners`].
    pub fn for_each(
        &self,
        mut each: impl FnMut(&str, &[u8], Option<&[u8]>),
    ) -> Result<(), MirrorError> {
        let mut cache: HashMap<BlobId, Rc<[u8]>> = HashMap::new();
        let mut cached = 0;
        let mut read = |id: BlobId, path: &str| -> Result<Rc<[u8]>, MirrorError> {
            if let Some(known) = cache.get(&id) {
                return Ok(known.clone());
            }
            let bytes: Rc<[u8]> = self.blob(id, path)?.into();
            if cached < CACHED_BYTES {
                cached += bytes.len();
                cache.insert(id, bytes.clone());
            }
            Ok(bytes)
        };
        self.files().objects(&mut |path, blobs| {
            let owners = read(blobs.owners, path)?;
            let times = blobs.times.map(|id| read(id, path)).transpose()?;
            each(path, &owners, times.as_deref());
            Ok(())
        })
    }

    /// When the recorder was last alive, and at which commit; `None` where nobody has said so.
    ///
    /// # Errors
    ///
    /// Where the ref cannot be read.
    pub fn alive(options: &SnapshotOptions, prefix: &str) -> Result<Option<Alive>, MirrorError> {
        // It is replaced, and the old one goes: look once more before it is called missing.
        for _ in 0..2 {
            let repo = open::open_existing(&options.path)?;
            let name = |names: SidecarRefs| names.alive();
            let Some(id) = find_ref(&repo, options, prefix, name)? else {
                return Ok(None);
            };
            if let Some(alive) = alive::read(&repo, id)? {
                return Ok(Some(alive));
            }
        }
        Ok(None)
    }

    fn blob(&self, id: BlobId, path: &str) -> Result<Vec<u8>, MirrorError> {
        read_blob(&self.repo, id, path)?.ok_or_else(|| MirrorError::missing(&id, path))
    }
}

fn find_ref(
    repo: &gix::Repository,
    options: &SnapshotOptions,
    prefix: &str,
    name: impl Fn(SidecarRefs) -> String,
) -> Result<Option<gix::ObjectId>, MirrorError> {
    for prefix in [prefix, SIDECAR_REFS] {
        let name = name(SidecarRefs::new(prefix, &options.reference));
        if let Some(id) = refs::read(repo, &refs::full_name(&name)?)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
