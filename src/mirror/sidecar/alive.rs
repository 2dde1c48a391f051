//! The proof of life: who recorded last, and when. Replaced every few minutes, so it is a loose
//! object, and the one before it is removed: nothing grows.

use std::fs::File;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix::objs::{Find as _, FindExt as _};
use gix::refs::transaction::PreviousValue;
use serde::{Deserialize, Serialize};

use super::names::{SIDECAR_REFS, SidecarRefs};
use crate::mirror::id::{ObjectKind, hex, object_id};
use crate::mirror::pack::sync_directory;
use crate::mirror::{BlobId, CommitId, Mirror, MirrorError, refs};

/// The file of [`AliveForm::Commit`].
const FILE: &str = "alive.json";

/// That a recorder was alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// When; RFC 3339, UTC.
    pub time: String,
    /// What HEAD of the mirror was then.
    pub commit_id: CommitId,
}

/// What the ref of the proof of life names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AliveForm {
    /// A blob.
    #[default]
    Blob,
    /// A commit without parents that holds the blob as `alive.json`: a ref below `refs/heads/` may
    /// name nothing but a commit.
    Commit,
}

#[derive(Deserialize, Serialize)]
struct Content {
    commit: String,
    time: String,
}

impl Alive {
    fn encode(&self) -> Vec<u8> {
        let (commit, time) = (&self.commit_id, &self.time);
        serde_json::json!({ "commit": commit.to_string(), "time": time })
            .to_string()
            .into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let Content { commit, time } = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            time,
            commit_id: commit.parse().ok()?,
        })
    }
}

/// Reads what the ref names; `None` where it is gone or no proof of life.
pub(super) fn read(
    repo: &gix::Repository,
    id: gix::ObjectId,
) -> Result<Option<Alive>, MirrorError> {
    let blob = parts(repo, id)?.last().copied();
    let mut buffer = Vec::new();
    let bytes = blob
        .map(|id| repo.objects.try_find(&id, &mut buffer))
        .transpose()
        .map_err(|source| MirrorError::object(&id, "", source))?
        .flatten();
    Ok(bytes.and_then(|object| Alive::decode(object.data)))
}

/// The objects that make up a proof of life, the blob last.
fn parts(repo: &gix::Repository, id: gix::ObjectId) -> Result<Vec<gix::ObjectId>, MirrorError> {
    let wrong = |source| MirrorError::object(&id, "", source);
    let mut buffer = Vec::new();
    let Some(object) = repo.objects.try_find(&id, &mut buffer).map_err(wrong)? else {
        return Ok(Vec::new());
    };
    if object.kind != gix::objs::Kind::Commit {
        return Ok(vec![id]);
    }
    let mut buffer = Vec::new();
    let tree = repo
        .objects
        .find_commit(&id, &mut buffer)
        .map_err(wrong)?
        .tree();
    let mut buffer = Vec::new();
    let entries = repo.objects.find_tree(&tree, &mut buffer).map_err(wrong)?;
    let blob = entries.entries.iter().find(|entry| entry.filename == FILE);
    let blob = blob.map(|entry| entry.oid.to_owned());
    Ok([Some(id), Some(tree), blob].into_iter().flatten().collect())
}

impl Mirror {
    /// Says what the ref of the proof of life shall name.
    pub fn set_alive_form(&mut self, form: AliveForm) {
        self.alive_form = form;
    }

    /// Writes down that the recorder is alive at HEAD; returns the id of what the ref names now, in
    /// 40 hexadecimal digits, or `None` while the branch is unborn.
    ///
    /// `time` is in RFC 3339, `seconds` the same since 1970 UTC.
    ///
    /// # Errors
    ///
    /// Where the object or the ref cannot be written.
    pub fn beat(&mut self, time: &str, seconds: i64) -> Result<Option<String>, MirrorError> {
        let Some(head) = self.head else {
            return Ok(None);
        };
        let alive = Alive {
            time: time.to_owned(),
            commit_id: head.commit_id,
        };
        let mut id = self.write_loose(ObjectKind::Blob, &alive.encode())?;
        if self.alive_form == AliveForm::Commit {
            let mut tree = format!("100644 {FILE}\0").into_bytes();
            tree.extend_from_slice(&id);
            let tree = self.write_loose(ObjectKind::Tree, &tree)?;
            let text = self.commit_text(super::super::TreeId(tree), None, seconds, "alive");
            id = self.write_loose(ObjectKind::Commit, text.as_bytes())?;
        }
        let names = SidecarRefs::new(SIDECAR_REFS, &self.options.branch);
        let name = refs::full_name(&names.alive())?;
        let new = BlobId(id).oid();
        let old = refs::read(&self.repo, &name)?;
        if old != Some(new) {
            let update = refs::edit(name.clone(), new, PreviousValue::Any);
            refs::transact(&self.repo, vec![update], || Ok(()))?;
            refs::sync_parents(self.repo.git_dir(), &name, old.is_none())?;
            if let Some(old) = old {
                self.remove_loose(old, new);
            }
        }
        Ok(Some(hex(&id)))
    }

    /// Writes an object as a file of its own.
    fn write_loose(&self, kind: ObjectKind, bytes: &[u8]) -> Result<[u8; 20], MirrorError> {
        let id = object_id(kind, bytes);
        let path = self.loose_path(BlobId(id).oid());
        if path.exists() {
            return Ok(id);
        }
        let directory = path.parent().unwrap_or(&path);
        let new = !directory.exists();
        std::fs::create_dir_all(directory).map_err(MirrorError::io("create", directory))?;
        // `git prune` knows this name as a leftover.
        let temporary = directory.join("tmp_obj_strandline");
        let write = || {
            let mut encoder = ZlibEncoder::new(File::create(&temporary)?, Compression::default());
            write!(encoder, "{} {}\0", kind.name(), bytes.len())?;
            encoder.write_all(bytes)?;
            encoder.finish()?.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(MirrorError::io("write", &path))?;
        sync_directory(directory)?;
        if new {
            sync_directory(directory.parent().unwrap_or(directory))?;
        }
        Ok(id)
    }

    /// Removes what made up the proof of life before this one. A file that stays is a few bytes,
    /// which the next maintenance packs.
    fn remove_loose(&self, old: gix::ObjectId, new: gix::ObjectId) {
        let keep = parts(&self.repo, new).unwrap_or_default();
        for id in parts(&self.repo, old).unwrap_or_default() {
            if !keep.contains(&id) {
                let _ = std::fs::remove_file(self.loose_path(id));
            }
        }
    }

    fn loose_path(&self, id: gix::ObjectId) -> std::path::PathBuf {
        let text = id.to_string();
        let (directory, file) = text.split_at(2);
        self.options.path.join("objects").join(directory).join(file)
    }
}
