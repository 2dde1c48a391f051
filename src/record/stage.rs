//! Changes that wait for a commit. Pure: the last writer of a path wins, and what equals HEAD is
//! no change.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::filter::ScaleTarget;
use crate::mirror::{BlobId, Index};
use crate::object::{IN_NAMESPACES, ObjectKey, folder};

/// An object as it is to be written.
#[derive(Debug)]
pub struct Staged {
    /// Whose file it is.
    pub key: ObjectKey,
    /// Its path below the prefix, computed once where the object was read, and shared from then on.
    pub path: Arc<str>,
    /// What its file shall be.
    pub content: Content,
    /// The object carries a `deletionTimestamp`.
    pub terminating: bool,
    /// Who wrote which field, as the server said it; read for commit messages and damping only.
    pub managed_fields: Option<Box<RawValue>>,
    /// `spec.replicas` of the object as it is live, recorded or not.
    pub replicas: Option<i64>,
    /// The workload that the object scales, where it is an autoscaler.
    pub scales: Option<ScaleTarget>,
    /// What the sidecar holds of the object; `None` where it has no file.
    pub sidecar: Option<SidecarFile>,
}

/// What the sidecar holds of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarFile {
    /// [`Shape::encode`](crate::owners::Shape::encode).
    pub owners: Vec<u8>,
    /// [`Times::encode`](crate::owners::Times::encode); empty where nobody's time is kept.
    pub times: Vec<u8>,
}

impl Staged {
    /// Bytes of memory that it takes beyond its own size, about.
    pub(crate) fn weight(&self) -> usize {
        let file = match &self.content {
            Content::File { bytes, .. } => bytes.len(),
            Content::Sealed { plaintext, .. } => plaintext.0.len(),
            Content::Known { .. } | Content::LeftOut { .. } | Content::Unsealable => 0,
        };
        file + self
            .managed_fields
            .as_ref()
            .map_or(0, |raw| raw.get().len())
    }
}

/// What a file shall be.
#[derive(Debug)]
pub enum Content {
    /// These canonical bytes.
    File {
        /// Their Git id.
        blob_id: BlobId,
        /// The bytes themselves.
        bytes: Vec<u8>,
        /// Whether a keyed digest stands in them.
        digested: bool,
    },
    /// These canonical bytes, to be encrypted before they are written anywhere. The driver makes
    /// [`Content::File`] or [`Content::Known`] of it; the recorder never sees one.
    Sealed {
        /// The bytes.
        plaintext: Plaintext,
        /// Their keyed digest, together with whom they are encrypted for.
        digest: Box<str>,
    },
    /// An encrypted file that HEAD or the stage holds already.
    Known {
        /// Its Git id.
        blob_id: BlobId,
    },
    /// No file: this rule leaves the object out.
    LeftOut {
        /// The rule's name.
        rule: Arc<str>,
    },
    /// A file that cannot be encrypted: the one that is there stays as it is.
    Unsealable,
}

/// Bytes that nobody may see. Overwritten when dropped.
pub struct Plaintext(pub(super) Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// Why a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// A DELETED event.
    Deleted,
    /// A complete list without the object.
    NotListed,
    /// Its type is not served any more.
    TypeGone,
    /// A rule leaves it out.
    Rule(Arc<str>),
}

/// One path of a batch.
#[derive(Debug)]
pub(super) struct Change {
    /// Path below the prefix.
    pub path: Arc<str>,
    /// Whose file it is.
    pub object: Who,
    /// HEAD's blob at that path.
    pub before: Option<BlobId>,
    /// What happens to it.
    pub action: Action,
    /// It was deleted and made again since the last commit.
    pub recreated: bool,
}

/// Whose file a path is.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// An object that was read.
    Object(ObjectKey),
    /// One of which only the path is left.
    Path {
        /// Its kind; its type's directory where the type itself is unknown.
        kind: Box<str>,
        /// Its namespace.
        namespace: Option<Box<str>>,
        /// Its name.
        name: Box<str>,
    },
}

impl Change {
    /// Kind, for messages; the type's directory where the type itself is unknown.
    pub(super) fn kind(&self) -> &str {
        match &self.object {
            Who::Object(key) => &key.api_type.kind,
            Who::Path { kind, .. } => kind,
        }
    }

    /// The object's namespace.
    pub(super) fn namespace(&self) -> Option<&str> {
        match &self.object {
            Who::Object(key) => key.namespace.as_deref(),
            Who::Path { namespace, .. } => namespace.as_deref(),
        }
    }

    /// The object's name.
    pub(super) fn name(&self) -> &str {
        match &self.object {
            Who::Object(key) => &key.name,
            Who::Path { name, .. } => name,
        }
    }
}

/// What happens to a path.
#[derive(Debug)]
pub(super) enum Action {
    /// The file becomes this blob.
    Put {
        /// Its id.
        blob_id: BlobId,
        /// Its bytes, unless they went into the open pack already.
        bytes: Option<Vec<u8>>,
        /// They are in the open pack already; kept here for the message alone.
        spilled: bool,
        /// Who wrote which field; dropped when the file is spilled.
        managed_fields: Option<Box<RawValue>>,
    },
    /// The file goes.
    Remove(Removal),
}

/// What a change waits for, beyond the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Its namespace's own DELETED event.
    Namespace,
    /// The next sample of the damped objects.
    Damped,
}

/// The changes of a batch: boxed as they waited, for a first sync has no memory for them twice.
pub(super) type Changes = Vec<Box<Change>>;

#[derive(Debug)]
struct Pending {
    /// Boxed: half-empty nodes of a large map are then half-full of pointers only.
    change: Box<Change>,
    hold: Option<Hold>,
}

/// What became of a change that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It equals what HEAD or the stage holds.
    Nothing,
    /// It takes back what was staged: the path is as in HEAD again.
    Reverted,
    /// It is staged.
    Staged,
    /// It is staged, and waits for more than the window.
    Held,
}

/// A file to be staged.
#[derive(Debug)]
pub(crate) struct File {
    /// Its Git id.
    pub(crate) blob_id: BlobId,
    /// Its bytes; `None` where HEAD or the stage holds them.
    pub(crate) bytes: Option<Vec<u8>>,
    /// Who wrote which field.
    pub(crate) managed_fields: Option<Box<RawValue>>,
    /// It may wait for the next sample of the damped objects.
    pub(crate) damped: bool,
}

/// Objects whose changed fields a message may list; their bytes stay at hand.
pub(crate) const DETAILED: usize = 20;
/// Larger files are not compared for a message.
pub(crate) const LARGEST_DETAILED: usize = 64 << 10;

/// All changes since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pending: BTreeMap<Arc<str>, Pending>,
    /// Paths of those whose bytes are not in the open pack: a spill looks at what came since the
    /// last one alone.
    unspilled: BTreeSet<Arc<str>>,
    /// Those that kept what a message says of them when they were spilled.
    detailed: usize,
    /// Bytes of files that are not in the open pack yet, damped ones aside.
    bytes: usize,
    /// The same of damped ones: most of them are replaced before they are committed, and what is
    /// in a pack stays there.
    damped_bytes: usize,
    held: usize,
    damped: usize,
}

impl Stage {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn damped_bytes(&self) -> usize {
        self.damped_bytes
    }

    /// Changes that wait for `hold`.
    pub(crate) fn held(&self, hold: Hold) -> usize {
        match hold {
            Hold::Namespace => self.held,
            Hold::Damped => self.damped,
        }
    }

    /// Changes that wait for nothing but the window.
    pub(crate) fn ready(&self) -> usize {
        self.pending.len() - self.held - self.damped
    }

    /// Counts a pending change in.
    fn insert(&mut self, path: Arc<str>, pending: Pending) {
        let bytes = unspilled(&pending.change.action);
        match pending.hold {
            None => self.bytes += bytes,
            Some(Hold::Namespace) => {
                self.bytes += bytes;
                self.held += 1;
            }
            Some(Hold::Damped) => {
                self.damped_bytes += bytes;
                self.damped += 1;
            }
        }
        if bytes > 0 {
            self.unspilled.insert(path.clone());
        }
        self.detailed += usize::from(is_detailed(&pending.change.action));
        self.pending.insert(path, pending);
    }

    /// The blob at `path` once everything staged is committed.
    pub(crate) fn blob_id(&self, index: &Index, path: &str) -> Option<BlobId> {
        match self.pending.get(path).map(|pending| &pending.change.action) {
            Some(Action::Put { blob_id, .. }) => Some(*blob_id),
            Some(Action::Remove(_)) => None,
            None => index.get(path),
        }
    }

    /// Whether a change of the file at `path` waits.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.pending.contains_key(path)
    }

    /// Paths of one type, in one namespace (escaped) or in all and none, that shall have a file,
    /// whose files are not in HEAD.
    pub(crate) fn puts(&self, directory: &str, namespace: Option<&str>) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(namespace) = namespace {
            self.puts_below(&folder(directory, Some(namespace)), &mut found);
            return found;
        }
        self.puts_below(&folder(directory, None), &mut found);
        // A whole cluster's changes may wait, and are asked for once for each type: from namespace
        // to namespace it is a few steps.
        let mut from = IN_NAMESPACES.to_owned();
        while let Some((path, _)) = self.from(&from).next()
            && let Some(namespace) = path.strip_prefix(IN_NAMESPACES)
        {
            let namespace = namespace.split('/').next().unwrap_or_default();
            self.puts_below(&folder(directory, Some(namespace)), &mut found);
            // Behind everything in it: the character after a slash.
            from = format!("{IN_NAMESPACES}{namespace}0");
        }
        found
    }

    fn puts_below(&self, prefix: &str, found: &mut Vec<String>) {
        let below = self
            .from(prefix)
            .take_while(|(path, _)| path.starts_with(prefix));
        let puts = below.filter(|(_, pending)| matches!(pending.change.action, Action::Put { .. }));
        found.extend(puts.map(|(path, _)| path.to_string()));
    }

    fn from(&self, first: &str) -> btree_map::Range<'_, Arc<str>, Pending> {
        let from = (Bound::Included(first), Bound::Unbounded);
        self.pending.range::<str, _>(from)
    }

    fn drop_pending(&mut self, path: &str) -> Option<Pending> {
        let pending = self.pending.remove(path)?;
        self.unspilled.remove(path);
        self.detailed -= usize::from(is_detailed(&pending.change.action));
        let bytes = unspilled(&pending.change.action);
        match pending.hold {
            None => self.bytes -= bytes,
            Some(Hold::Namespace) => {
                self.bytes -= bytes;
                self.held -= 1;
            }
            Some(Hold::Damped) => {
                self.damped_bytes -= bytes;
                self.damped -= 1;
            }
        }
        Some(pending)
    }

    /// Stages a file; where it is `damped`, until the next sample, unless an earlier change of the
    /// same file is on its way to a commit already.
    pub(crate) fn put(
        &mut self,
        index: &Index,
        key: ObjectKey,
        path: &Arc<str>,
        File {
            blob_id,
            bytes,
            managed_fields,
            damped,
        }: File,
    ) -> Outcome {
        let mut on_its_way = false;
        if let Some(pending) = self.pending.get(path)
            && let Action::Put {
                blob_id: staged, ..
            } = &pending.change.action
        {
            on_its_way = pending.hold.is_none();
            if *staged == blob_id && (damped || on_its_way) {
                return Outcome::Nothing;
            }
        }
        let hold = (damped && !on_its_way).then_some(Hold::Damped);
        let is_there = [index.get(path), self.blob_id(index, path)].contains(&Some(blob_id));
        if bytes.is_none() && !is_there {
            return Outcome::Nothing;
        }
        let mut earlier = self.drop_pending(path);
        let before = index.get(path);
        if before == Some(blob_id) {
            return if earlier.is_some() {
                Outcome::Reverted
            } else {
                Outcome::Nothing
            };
        }
        let (bytes, spilled) = match earlier.as_mut().map(|pending| &mut pending.change.action) {
            Some(Action::Put {
                bytes: staged,
                spilled,
                ..
            }) if bytes.is_none() => (staged.take(), *spilled),
            _ => (bytes, false),
        };
        let recreated = earlier.is_some_and(|pending| {
            pending.change.recreated
                || matches!(
                    pending.change.action,
                    Action::Remove(Removal::Deleted | Removal::NotListed)
                )
        });
        let action = Action::Put {
            blob_id,
            bytes,
            spilled,
            managed_fields,
        };
        let change = Box::new(Change {
            path: path.clone(),
            object: Who::Object(key),
            before,
            action,
            recreated,
        });
        self.insert(path.clone(), Pending { change, hold });
        match hold {
            None => Outcome::Staged,
            Some(_) => Outcome::Held,
        }
    }

    /// Stages a removal; `held` until the namespace's own deletion.
    pub(crate) fn remove(
        &mut self,
        index: &Index,
        path: &str,
        object: Who,
        removal: Removal,
        held: bool,
    ) -> Outcome {
        let earlier = self.pending.get(path);
        if earlier.is_some_and(|pending| matches!(pending.change.action, Action::Remove(_))) {
            return Outcome::Nothing;
        }
        let earlier = self.drop_pending(path).is_some();
        let Some(before) = index.get(path) else {
            return if earlier {
                Outcome::Reverted
            } else {
                Outcome::Nothing
            };
        };
        let path: Arc<str> = path.into();
        let change = Box::new(Change {
            path: path.clone(),
            object,
            before: Some(before),
            action: Action::Remove(removal),
            recreated: false,
        });
        let pending = Pending {
            change,
            hold: held.then_some(Hold::Namespace),
        };
        self.insert(path, pending);
        if held { Outcome::Held } else { Outcome::Staged }
    }

    /// Lets go of everything that waited for `namespace`, or for any where it is `None`.
    pub(crate) fn release(&mut self, namespace: Option<&str>) {
        for pending in self.pending.values_mut() {
            if pending.hold == Some(Hold::Namespace)
                && namespace.is_none_or(|ns| pending.change.namespace() == Some(ns))
            {
                pending.hold = None;
                self.held -= 1;
            }
        }
    }

    /// Lets go of every damped change.
    pub(crate) fn release_damped(&mut self) {
        for pending in self.pending.values_mut() {
            if pending.hold == Some(Hold::Damped) {
                pending.hold = None;
            }
        }
        self.damped = 0;
        self.bytes += std::mem::take(&mut self.damped_bytes);
    }

    /// Lets go of the damped change at `path`; returns whether there was one.
    pub(crate) fn release_damped_at(&mut self, path: &str) -> bool {
        let Some(pending) = self.pending.get_mut(path) else {
            return false;
        };
        if pending.hold != Some(Hold::Damped) {
            return false;
        }
        pending.hold = None;
        let bytes = unspilled(&pending.change.action);
        self.damped -= 1;
        self.damped_bytes -= bytes;
        self.bytes += bytes;
        true
    }

    /// Hands out the bytes of every file that is not in the open pack, of `damped` ones where told
    /// so, and counts them as spilled.
    ///
    /// The first few changed files keep theirs for the commit message.
    pub(crate) fn spill(&mut self, damped: bool) -> Vec<(BlobId, Vec<u8>)> {
        let mut spilled_blobs = Vec::new();
        let mut waiting = BTreeSet::new();
        for path in std::mem::take(&mut self.unspilled) {
            let Some(pending) = self.pending.get_mut(&path) else {
                continue;
            };
            if pending.hold == Some(Hold::Damped) && !damped {
                waiting.insert(path);
                continue;
            }
            let changed = pending.change.before.is_some();
            if let Action::Put {
                blob_id,
                bytes,
                spilled,
                managed_fields,
            } = &mut pending.change.action
            {
                let detailed = changed && self.detailed < DETAILED;
                if !detailed {
                    *managed_fields = None;
                }
                let keep = detailed && bytes.as_ref().is_some_and(|b| b.len() <= LARGEST_DETAILED);
                let taken = if keep { bytes.clone() } else { bytes.take() };
                if let Some(taken) = taken {
                    spilled_blobs.push((*blob_id, taken));
                    *spilled = true;
                }
            }
            self.detailed += usize::from(is_detailed(&pending.change.action));
        }
        self.unspilled = waiting;
        self.bytes = 0;
        if damped {
            self.damped_bytes = 0;
        }
        spilled_blobs
    }

    /// Takes every change that is not held, in the order of paths.
    pub(super) fn take(&mut self) -> Changes {
        let mut taken = Vec::with_capacity(self.ready());
        let mut held = BTreeMap::new();
        for (path, pending) in std::mem::take(&mut self.pending) {
            if pending.hold.is_some() {
                held.insert(path, pending);
            } else {
                taken.push(pending.change);
            }
        }
        self.unspilled.retain(|path| held.contains_key(path));
        let actions = held.values().map(|pending| &pending.change.action);
        self.detailed = actions.filter(|action| is_detailed(action)).count();
        self.pending = held;
        self.bytes = 0;
        taken
    }

    /// Puts back a batch whose commit failed. Nothing newer may have been staged in between.
    ///
    /// Returns whether files were lost with the pack that they had been spilled into: those are
    /// staged no more, and have to be read again.
    pub(super) fn restore(&mut self, changes: Changes) -> bool {
        let mut lost = false;
        let spilled = |change: &Change| matches!(change.action, Action::Put { spilled: true, .. });
        for change in changes {
            if spilled(&change) {
                lost = true;
                continue;
            }
            if !self.pending.contains_key(&change.path) {
                let path = change.path.clone();
                self.insert(path, Pending { change, hold: None });
            }
        }
        // What was held back may lie in the lost pack as well.
        let waiting: Vec<_> = self
            .pending
            .values()
            .filter(|pending| spilled(&pending.change))
            .map(|pending| pending.change.path.clone())
            .collect();
        for path in &waiting {
            self.drop_pending(path);
        }
        lost || !waiting.is_empty()
    }
}

fn unspilled(action: &Action) -> usize {
    match action {
        Action::Put {
            bytes: Some(bytes),
            spilled: false,
            ..
        } => bytes.len(),
        _ => 0,
    }
}

/// Whether a spilled file kept what a message says of it.
fn is_detailed(action: &Action) -> bool {
    matches!(
        action,
        Action::Put { spilled: true, bytes, managed_fields, .. }
            if bytes.is_some() || managed_fields.is_some()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ApiType;

    fn key(api_type: &Arc<ApiType>, name: &str) -> ObjectKey {
        ObjectKey {
            api_type: api_type.clone(),
            namespace: None,
            name: name.into(),
        }
    }

    #[test]
    fn a_spill_hands_out_once_what_came_since_the_last_and_what_was_let_go() {
        let (mut stage, index) = (Stage::default(), Index::default());
        let api_type = Arc::new(ApiType {
            group: "".into(),
            version: "v1".into(),
            resource: "nodes".into(),
            kind: "Node".into(),
            namespaced: false,
        });
        let put = |stage: &mut Stage, name: &str, text: &str, damped| {
            let key = key(&api_type, name);
            let path: Arc<str> = key.path().into();
            let file = File {
                blob_id: BlobId::of(text.as_bytes()),
                bytes: Some(text.into()),
                managed_fields: None,
                damped,
            };
            stage.put(&index, key, &path, file);
        };
        let texts = |blobs: Vec<(BlobId, Vec<u8>)>| -> Vec<String> {
            let text = |(_, bytes)| String::from_utf8(bytes).unwrap();
            blobs.into_iter().map(text).collect()
        };
        put(&mut stage, "b", "one", false);
        put(&mut stage, "a", "two", false);
        put(&mut stage, "c", "held back", true);
        assert_eq!(texts(stage.spill(false)), ["two", "one"], "by path");
        put(&mut stage, "b", "three", false);
        put(&mut stage, "d", "gone", true);
        assert_eq!(texts(stage.spill(false)), ["three"]);
        assert!(stage.release_damped_at("cluster/nodes/c.yaml"));
        assert_eq!(texts(stage.spill(false)), ["held back"]);
        // What is taken in between is looked at no more; what goes on waiting is.
        assert_eq!(stage.take().len(), 3);
        assert_eq!(texts(stage.spill(false)), Vec::<String>::new());
        assert_eq!(texts(stage.spill(true)), ["gone"]);
        assert_eq!((stage.bytes(), stage.damped_bytes()), (0, 0));
    }

    #[test]
    fn the_puts_of_a_type_are_found_whatever_lies_between() {
        let (mut stage, index) = (Stage::default(), Index::default());
        let mut all = Vec::new();
        // Around a slash in the order of bytes: '-' and '.' before it, '0' behind.
        let namespaces = ["a", "a-b", "a.b", "a0", "a0b", "b", "z"];
        let types = [("pods", ""), ("pods", "x"), ("podsets", ""), ("nodes", "")];
        for (resource, group) in types {
            for namespace in namespaces {
                let key = ObjectKey {
                    api_type: Arc::new(ApiType {
                        group: group.into(),
                        version: "v1".into(),
                        resource: resource.into(),
                        kind: "Kind".into(),
                        namespaced: resource != "nodes",
                    }),
                    namespace: (resource != "nodes").then(|| namespace.into()),
                    name: namespace.into(),
                };
                let path: Arc<str> = key.path().into();
                let file = File {
                    blob_id: BlobId::of(path.as_bytes()),
                    bytes: Some(Vec::new()),
                    managed_fields: None,
                    damped: false,
                };
                stage.put(&index, key, &path, file);
                all.push(path.to_string());
            }
        }
        all.sort_unstable();
        for directory in ["pods", "pods.x", "podsets", "nodes", "none"] {
            for namespace in [None, Some("a"), Some("a.b"), Some("a0"), Some("y")] {
                let lies = |path: &&String| {
                    let parts = crate::object::MirrorPath::parse(path).unwrap();
                    parts.directory == directory
                        && (namespace.is_none() || parts.namespace == namespace)
                };
                let expected: Vec<String> = all.iter().filter(lies).cloned().collect();
                assert_eq!(stage.puts(directory, namespace), expected, "{directory}");
            }
        }
    }
}
