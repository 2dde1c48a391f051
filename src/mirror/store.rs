use std::io;
use std::path::{Path, PathBuf};

use gix::refs::FullName;

use super::open::Lock;
use super::pack::{self, PackWriter};
use super::read::{Files, read_blob, read_head};
use super::sidecar::SidecarHead;
use super::{
    AliveForm, Attached, Attachment, BlobId, Commit, CommitId, Committed, Index, MirrorError,
    MirrorOptions, SIDECAR_REFS, SidecarBlobs, SidecarRefs, SidecarState, TreeId, refs,
};

/// What the recorder needs of a mirror, and no more: a simulation can stand in for it and fail any
/// step.
pub trait Store {
    /// The commit that everything else here speaks of; `None` while the branch is unborn.
    fn head(&self) -> Option<Head>;
    /// All files of HEAD below the prefix.
    fn index(&self) -> Result<Index, MirrorError>;
    /// A file of HEAD, by its path below the prefix; `None` where there is none.
    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError>;
    /// The bytes of a blob of the repository; `None` where it is not there.
    fn read_blob(&self, id: BlobId) -> Result<Option<Vec<u8>>, MirrorError>;
    /// Puts the bytes of a blob where the next commit can name it. `id` is [`BlobId::of`] them.
    fn stage_blob(&mut self, id: BlobId, bytes: &[u8]) -> Result<(), MirrorError>;
    /// Commits; `None` where the tree would stay as it is.
    fn commit(&mut self, commit: &Commit) -> Result<Option<Committed>, MirrorError>;
    /// Writes an attachment of HEAD without a commit; does nothing while the branch is unborn.
    fn attach(&mut self, attachment: &Attachment) -> Result<(), MirrorError>;
    /// What the sidecar of HEAD is; calls `each` with the path and the blobs of every object that
    /// it knows.
    fn sidecar(
        &self,
        _each: &mut dyn FnMut(&str, SidecarBlobs),
    ) -> Result<SidecarState, MirrorError> {
        Ok(SidecarState::default())
    }
    /// Writes down that the recorder is alive at HEAD: `time` in RFC 3339, `seconds` since 1970.
    fn beat(&mut self, _time: &str, _seconds: i64) -> Result<(), MirrorError> {
        Ok(())
    }
    /// What our refs name.
    fn heads(&self) -> Result<Heads, MirrorError> {
        Ok(Heads::default())
    }
    /// Writes the next commit of a chain of its own, as [`Mirror::write_side`] does.
    fn write_side(
        &mut self,
        _reference: &str,
        _files: &[(String, Vec<u8>)],
        _message: &str,
        _seconds: i64,
    ) -> Result<(), MirrorError> {
        Ok(())
    }
    /// Packs that there are since they were last put together.
    fn packs_since_maintenance(&self) -> usize {
        0
    }
    /// Takes note that packs were put together.
    fn maintained(&mut self) -> Result<(), MirrorError> {
        Ok(())
    }
}

/// How often a commit looks at the packs anew before it calls an object missing.
const REOPENINGS: usize = 3;

/// The newest commit of the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub commit_id: CommitId,
    /// Its tree.
    pub tree_id: TreeId,
    /// When it was committed, in seconds since 1970 UTC.
    pub committed_at: i64,
}

/// What the refs of a mirror name, for whoever pushes them: 40 hexadecimal digits each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The branch.
    pub branch: Option<CommitId>,
    /// The chain of the sidecar.
    pub owners: Option<CommitId>,
    /// The chain of drift reports.
    pub drift: Option<CommitId>,
    /// The proof of life: a blob, or a commit.
    pub alive: Option<String>,
}

/// The steps of a commit, in their order. A crash before [`Step::Move`] is done leaves the old
/// HEAD, one after it the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A blob goes into the open pack.
    Stage,
    /// Trees and commit go into the pack, and the pack goes to disk.
    Seal,
    /// The pack's index goes to disk.
    Index,
    /// Pack and index get the names that readers look for.
    Publish,
    /// The refs are locked.
    Lock,
    /// The refs get their new values: the commit point.
    Move,
    /// The refs' directory goes to disk.
    Sync,
}

/// Called before each step; an error fails it.
pub type StepHook = Box<dyn FnMut(Step) -> io::Result<()> + Send>;

/// A bare repository, open for writing.
///
/// `Send`, not `Sync`: it has one owner, on a thread of its own.
pub struct Mirror {
    pub(super) options: MirrorOptions,
    pub(super) branch: FullName,
    pub(super) repo: gix::Repository,
    /// Looks into the same packs, without reading the directory again for each id that is new.
    known: gix::OdbHandle,
    /// Locked until the mirror is dropped; holds the commit whose refs are being written. `None`
    /// where the mirror is only read.
    pub(super) lock: Option<Lock>,
    pub(super) head: Option<Head>,
    /// The pack under construction, with what was staged since the last commit.
    pub(super) pack: Option<PackWriter>,
    pub(super) packs: usize,
    /// The branch was moved, but its directory is not yet known to be on disk.
    pub(super) unsynced: bool,
    pub(super) hook: Option<StepHook>,
    /// The newest commit of the sidecar, and what its ref names.
    pub(super) sidecar: Option<SidecarHead>,
    pub(super) sidecar_at: Option<gix::ObjectId>,
    pub(super) alive_form: AliveForm,
}

impl Mirror {
    pub(super) fn new(
        options: MirrorOptions,
        branch: FullName,
        repo: gix::Repository,
        lock: Option<Lock>,
    ) -> Result<Self, MirrorError> {
        let mut known = repo.objects.clone();
        known.refresh_never();
        let mut mirror = Self {
            options,
            branch,
            repo,
            known,
            lock,
            head: None,
            pack: None,
            packs: 0,
            unsynced: false,
            hook: None,
            sidecar: None,
            sidecar_at: None,
            alive_form: AliveForm::default(),
        };
        mirror.reload()?;
        mirror.maintained()?;
        Ok(mirror)
    }

    /// Looks at the packs anew. What was staged stays.
    fn reopen(&mut self) -> Result<(), MirrorError> {
        self.repo = super::open::open_bare(&self.options.path)?;
        self.known = self.repo.objects.clone();
        self.known.refresh_never();
        Ok(())
    }

    /// The repository's directory.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// The branch's full name, `refs/heads/…`.
    pub fn reference(&self) -> String {
        self.branch.to_string()
    }

    /// Reads the branch again, after somebody else moved it. What was staged stays.
    pub fn reload(&mut self) -> Result<Option<Head>, MirrorError> {
        self.head = match refs::read(&self.repo, &self.branch)? {
            None => None,
            Some(id) => Some(self.read_head(id.into()).map_err(|error| match error {
                MirrorError::Object { .. } => MirrorError::Head {
                    reference: self.branch.to_string(),
                    path: self.options.path.clone(),
                    source: Box::new(error),
                },
                other => other,
            })?),
        };
        self.reload_sidecar()?;
        Ok(self.head)
    }

    /// What our refs name now.
    ///
    /// # Errors
    ///
    /// Where a ref cannot be read.
    pub fn heads(&self) -> Result<Heads, MirrorError> {
        let names = SidecarRefs::new(SIDECAR_REFS, &self.options.branch);
        let read = |name: String| refs::read(&self.repo, &refs::full_name(&name)?);
        Ok(Heads {
            branch: self.head.map(|head| head.commit_id),
            owners: self.sidecar_at.map(CommitId::from),
            drift: read(names.drift())?.map(CommitId::from),
            alive: read(names.alive())?.map(|id| id.to_string()),
        })
    }

    /// How many packs there are, as far as this mirror knows. Over a hundred of them,
    /// `git repack --geometric=2 -d` is due; call [`Mirror::maintained`] after it.
    pub fn packs_since_maintenance(&self) -> usize {
        self.packs
    }

    /// Counts the packs again.
    pub fn maintained(&mut self) -> Result<(), MirrorError> {
        let directory = self.pack_directory();
        let mut packs = 0;
        for entry in std::fs::read_dir(&directory).map_err(MirrorError::io("read", &directory))? {
            let name = entry
                .map_err(MirrorError::io("read", &directory))?
                .file_name();
            packs += usize::from(name.as_encoded_bytes().ends_with(b".idx"));
        }
        self.packs = packs;
        Ok(())
    }

    /// Gives up what was staged since the last commit.
    pub(super) fn discard_staged(&mut self) {
        self.pack = None;
    }

    /// Sets what is called before each [`Step`], for simulations and crash tests.
    pub fn on_step(&mut self, hook: StepHook) {
        self.hook = Some(hook);
    }

    pub(super) fn before(&mut self, step: Step) -> Result<(), MirrorError> {
        call(&mut self.hook, step, &self.options.path)
    }

    pub(super) fn pack_directory(&self) -> PathBuf {
        self.options.path.join("objects/pack")
    }

    /// Whether the repository has the object, as of the last time that packs were looked for.
    pub(super) fn has(&self, id: [u8; 20]) -> bool {
        gix::objs::Exists::exists(&self.known, &gix::ObjectId::Sha1(id))
    }

    /// Whether a commit can name the blob.
    pub(super) fn is_staged(&self, id: BlobId) -> bool {
        self.pack.as_ref().is_some_and(|pack| pack.contains(&id.0))
            || self.has(id.0)
            // It may lie in a pack that another write has finished meanwhile.
            || gix::objs::Exists::exists(&self.repo.objects, &id.oid())
    }

    /// The pack under construction.
    pub(super) fn writer(&mut self) -> Result<&mut PackWriter, MirrorError> {
        if self.pack.is_none() {
            self.pack = Some(PackWriter::create(&self.pack_directory())?);
        }
        Ok(self.pack.as_mut().expect("it was just put there"))
    }

    /// Reads a commit, and makes sure that its tree can be read.
    pub(super) fn read_head(&self, commit_id: CommitId) -> Result<Head, MirrorError> {
        read_head(&self.repo, commit_id)
    }

    /// The blob that an [`Attachment`] of this name holds; `None` where the ref is absent or what
    /// it names is no such blob.
    pub fn attached(&self, name: &str) -> Result<Option<Attached>, MirrorError> {
        let name = refs::full_name(name)?;
        let Some(id) = refs::read(&self.repo, &name)? else {
            return Ok(None);
        };
        let bytes = self.read_blob(id.into())?;
        Ok(bytes.and_then(|bytes| Attachment::decode(&bytes)))
    }

    /// The files of HEAD.
    fn files(&self) -> Files<'_> {
        Files {
            repo: &self.repo,
            root: self.head.map(|head| head.tree_id),
            prefix: &self.options.prefix,
        }
    }
}

/// Calls the hook before a step.
pub(super) fn call(
    hook: &mut Option<StepHook>,
    step: Step,
    path: &Path,
) -> Result<(), MirrorError> {
    match hook {
        None => Ok(()),
        Some(hook) => hook(step).map_err(MirrorError::io("write", path)),
    }
}

impl Store for Mirror {
    fn head(&self) -> Option<Head> {
        self.head
    }

    fn attach(&mut self, attachment: &Attachment) -> Result<(), MirrorError> {
        Mirror::attach(self, attachment)
    }

    fn sidecar(
        &self,
        each: &mut dyn FnMut(&str, SidecarBlobs),
    ) -> Result<SidecarState, MirrorError> {
        self.sidecar_state(each)
    }

    fn beat(&mut self, time: &str, seconds: i64) -> Result<(), MirrorError> {
        Mirror::beat(self, time, seconds).map(drop)
    }

    fn heads(&self) -> Result<Heads, MirrorError> {
        Mirror::heads(self)
    }

    fn write_side(
        &mut self,
        reference: &str,
        files: &[(String, Vec<u8>)],
        message: &str,
        seconds: i64,
    ) -> Result<(), MirrorError> {
        Mirror::write_side(self, reference, files, message, seconds).map(drop)
    }

    fn packs_since_maintenance(&self) -> usize {
        Mirror::packs_since_maintenance(self)
    }

    fn maintained(&mut self) -> Result<(), MirrorError> {
        Mirror::maintained(self)
    }

    fn index(&self) -> Result<Index, MirrorError> {
        self.files().index()
    }

    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.files().read(path)
    }

    fn read_blob(&self, id: BlobId) -> Result<Option<Vec<u8>>, MirrorError> {
        read_blob(&self.repo, id, "")
    }

    /// Streams the blob into the open pack; one that the repository has already is not written
    /// again, unless it is so small that looking for it costs more. Blobs staged since the last commit belong to the next: they stay through failures,
    /// and are given up where that commit turns out to change nothing.
    fn stage_blob(&mut self, id: BlobId, bytes: &[u8]) -> Result<(), MirrorError> {
        let is_in_pack = self.pack.as_ref().is_some_and(|pack| pack.contains(&id.0));
        if is_in_pack || (bytes.len() > pack::TINY && self.has(id.0)) {
            return Ok(());
        }
        // A wrong id would be a repository that cannot be read, found out weeks later. Hashing
        // costs a tenth of deflating.
        if BlobId::of(bytes) != id {
            return Err(MirrorError::WrongBytes { id });
        }
        self.before(Step::Stage)?;
        self.writer()?.add(super::id::ObjectKind::Blob, id.0, bytes)
    }

    fn commit(&mut self, commit: &Commit) -> Result<Option<Committed>, MirrorError> {
        for _ in 0..REOPENINGS {
            match self.write_commit(commit) {
                // Packs were put together beside us, and gix looked for an object between the end
                // of the old pack and the beginning of the new one. What is there now has it.
                Err(MirrorError::Object { .. }) => self.reopen()?,
                result => return result,
            }
        }
        self.write_commit(commit)
    }
}
