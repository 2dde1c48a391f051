//! Our own writer of packs: version 2, without deltas, written as objects come.
//!
//! Format: <https://git-scm.com/docs/gitformat-pack>.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::MirrorError;
use super::hash::Sha1;
use super::id::{ObjectKind, hex};

/// Level 1 takes half the time of level 6; `git repack` makes deltas later anyway.
const LEVEL: u32 = 1;
/// Packed bytes that are held back before they are written.
const BUFFER: usize = 256 * 1024;
/// Deflated bytes that are made at once.
const DEFLATED: usize = 16 * 1024;
/// Up to this many bytes an object is stored, not deflated.
pub(super) const TINY: usize = 64;
const HEADER: u64 = 12;
/// What a pack under construction is called; `git prune` knows `tmp_` as leftovers. Neither part may
/// end as a finished one does: `git repack` would take them for a pack, and fail when it is gone.
pub(super) const TEMPORARY: &str = "tmp_strandline_";
const INDEX_PART: &str = "index";
const OFFSETS_ARE_LONG: u64 = 1 << 31;

struct Entry {
    id: [u8; 20],
    crc: u32,
    offset: u64,
}

/// A pack under construction; dropped unpublished, it is gone.
///
/// Every step that fails can be repeated: `flushed` and `buffer` change only after the system
/// took the bytes.
pub(super) struct PackWriter {
    file: File,
    path: PathBuf,
    /// Bytes of the file that hold the header and whole entries.
    flushed: u64,
    /// Whole entries that are not in the file yet.
    buffer: Vec<u8>,
    entries: Vec<Entry>,
    seen: HashSet<[u8; 20]>,
    deflate: Compress,
    /// Where deflated bytes go first: the spare room of a vector would be zeroed for each object.
    deflated: Box<[u8]>,
}

/// A pack and its index, both on disk but under temporary names.
pub(super) struct FinishedPack {
    pack: PathBuf,
    index: PathBuf,
    name: String,
    pub(super) objects: usize,
    pub(super) bytes: u64,
}

impl PackWriter {
    /// Opens a pack in `directory`, the repository's `objects/pack`.
    pub(super) fn create(directory: &Path) -> Result<Self, MirrorError> {
        // One writer per repository holds the lock, so one name does.
        let path = directory.join(format!("{TEMPORARY}{}.part", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(MirrorError::io("create", &path))?;
        Ok(Self {
            file,
            path,
            flushed: HEADER,
            buffer: Vec::with_capacity(BUFFER + BUFFER / 4),
            entries: Vec::new(),
            seen: HashSet::new(),
            deflate: Compress::new(Compression::new(LEVEL), true),
            deflated: vec![0; DEFLATED].into(),
        })
    }

    pub(super) fn contains(&self, id: &[u8; 20]) -> bool {
        self.seen.contains(id)
    }

    /// Adds an object unless the pack has it.
    pub(super) fn add(
        &mut self,
        kind: ObjectKind,
        id: [u8; 20],
        bytes: &[u8],
    ) -> Result<(), MirrorError> {
        if self.seen.contains(&id) {
            return Ok(());
        }
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        let start = self.buffer.len();
        push_header(&mut self.buffer, kind, bytes.len());
        if bytes.len() <= TINY {
            store(bytes, &mut self.buffer);
        } else {
            self.deflate.reset();
            deflate(
                &mut self.deflate,
                bytes,
                &mut self.deflated,
                &mut self.buffer,
            );
        }
        let mut crc = Crc::new();
        crc.update(&self.buffer[start..]);
        self.entries.push(Entry {
            id,
            crc: crc.sum(),
            offset: self.flushed + start as u64,
        });
        self.seen.insert(id);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MirrorError> {
        self.file
            .write_all_at(&self.buffer, self.flushed)
            .map_err(MirrorError::io("write", &self.path))?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        // One huge object must not cost its size for ever.
        self.buffer.shrink_to(BUFFER * 2);
        Ok(())
    }

    /// Brings the pack to disk under its temporary name, complete.
    ///
    /// The header holds the number of objects and the trailer a hash over everything, and both are
    /// known at the end only: so the file is read once more.
    pub(super) fn seal(&mut self) -> Result<SealedPack, MirrorError> {
        self.flush()?;
        let write = |bytes: &[u8], at: u64| {
            self.file
                .write_all_at(bytes, at)
                .map_err(MirrorError::io("write", &self.path))
        };
        let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        header[8..].copy_from_slice(&count.to_be_bytes());
        write(&header, 0)?;
        let checksum = self.checksum()?;
        write(&checksum, self.flushed)?;
        let bytes = self.flushed + checksum.len() as u64;
        // An earlier attempt may have left more behind.
        self.file
            .set_len(bytes)
            .map_err(MirrorError::io("write", &self.path))?;
        sync(&self.file, &self.path)?;
        Ok(SealedPack { checksum, bytes })
    }

    fn checksum(&self) -> Result<[u8; 20], MirrorError> {
        let mut hasher = Sha1::new();
        let mut chunk = vec![0; 64 * 1024];
        let mut at = 0;
        while at < self.flushed {
            let want = usize::try_from(self.flushed - at)
                .map_or(chunk.len(), |left| left.min(chunk.len()));
            self.file
                .read_exact_at(&mut chunk[..want], at)
                .map_err(MirrorError::io("read", &self.path))?;
            hasher.update(&chunk[..want]);
            at += want as u64;
        }
        Ok(hasher.finish())
    }

    /// Brings the index of a sealed pack to disk under its temporary name.
    pub(super) fn index(&mut self, sealed: &SealedPack) -> Result<FinishedPack, MirrorError> {
        self.entries.sort_unstable_by_key(|entry| entry.id);
        let bytes = index_bytes(&self.entries, &sealed.checksum);
        let index = self.path.with_extension(INDEX_PART);
        std::fs::write(&index, &bytes).map_err(MirrorError::io("write", &index))?;
        let file = File::open(&index).map_err(MirrorError::io("open", &index))?;
        sync(&file, &index)?;
        Ok(FinishedPack {
            pack: self.path.clone(),
            index,
            name: format!("pack-{}", hex(&sealed.checksum)),
            objects: self.entries.len(),
            bytes: sealed.bytes + bytes.len() as u64,
        })
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        // After publishing there is nothing left. What cannot be removed now is removed when the
        // mirror is opened again.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(self.path.with_extension(INDEX_PART));
    }
}

/// A pack that is complete and on disk, without an index.
pub(super) struct SealedPack {
    checksum: [u8; 20],
    bytes: u64,
}

impl FinishedPack {
    /// Gives pack and index the names that Git looks for: the pack first, for readers look for
    /// indexes. The names are durable once `directory` is synced.
    pub(super) fn publish(self, directory: &Path) -> Result<(), MirrorError> {
        for (from, extension) in [(&self.pack, "pack"), (&self.index, "idx")] {
            let to = directory.join(format!("{}.{extension}", self.name));
            read_only(from)
                .and_then(|()| std::fs::rename(from, &to))
                .map_err(|source| MirrorError::PackLost { path: to, source })?;
        }
        Ok(())
    }
}

fn read_only(path: &Path) -> std::io::Result<()> {
    let mut permissions = std::fs::metadata(path)?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(path, permissions)
}

fn sync(file: &File, path: &Path) -> Result<(), MirrorError> {
    // After a failed fsync the system may have dropped the pages and call the next one a success.
    file.sync_all().map_err(|source| MirrorError::PackLost {
        path: path.to_owned(),
        source,
    })
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), MirrorError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(MirrorError::io("sync", path))
}

/// An entry's header: three bits of type and the size, four bits, then seven at a time.
fn push_header(out: &mut Vec<u8>, kind: ObjectKind, size: usize) {
    let low = |value: usize, bits: usize| u8::try_from(value & bits).unwrap_or_default();
    let mut byte = (kind.pack_type() << 4) | low(size, 0x0f);
    let mut rest = size >> 4;
    while rest > 0 {
        out.push(byte | 0x80);
        byte = low(rest, 0x7f);
        rest >>= 7;
    }
    out.push(byte);
}

fn deflate(deflate: &mut Compress, mut bytes: &[u8], room: &mut [u8], out: &mut Vec<u8>) {
    loop {
        let (read, written) = (deflate.total_in(), deflate.total_out());
        let status = deflate
            .compress(bytes, room, FlushCompress::Finish)
            .expect("the compressor was reset, so its state is valid");
        let count = |total: u64, before| usize::try_from(total - before).unwrap_or(usize::MAX);
        let taken = count(deflate.total_in(), read);
        let made = count(deflate.total_out(), written);
        bytes = &bytes[taken.min(bytes.len())..];
        out.extend_from_slice(&room[..made.min(room.len())]);
        if status == Status::StreamEnd {
            return;
        }
    }
}

/// Writes a zlib stream of one stored block: <https://www.rfc-editor.org/rfc/rfc1950> and
/// <https://www.rfc-editor.org/rfc/rfc1951#section-3.2.4>. Deflating so little takes a few bytes
/// off at most, and costs a table cleared for each.
fn store(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&[0x78, 0x01, 0x01]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(bytes);
    // Too few bytes for either sum to need its remainder before the end.
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in bytes {
        a += u32::from(byte);
        b += a;
    }
    out.extend_from_slice(&(((b % 65_521) << 16) | (a % 65_521)).to_be_bytes());
}

/// An index, version 2: fan-out, ids, checksums, offsets, long offsets, two hashes.
fn index_bytes(entries: &[Entry], pack_checksum: &[u8; 20]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 1024 + entries.len() * 28 + 40);
    out.extend_from_slice(b"\xfftOc\0\0\0\x02");
    let mut upto = 0;
    for first in 0..=u8::MAX {
        while entries.get(upto).is_some_and(|entry| entry.id[0] <= first) {
            upto += 1;
        }
        out.extend_from_slice(&u32::try_from(upto).unwrap_or(u32::MAX).to_be_bytes());
    }
    for entry in entries {
        out.extend_from_slice(&entry.id);
    }
    for entry in entries {
        out.extend_from_slice(&entry.crc.to_be_bytes());
    }
    let mut long = Vec::new();
    for entry in entries {
        let word = match u32::try_from(entry.offset) {
            Ok(short) if entry.offset < OFFSETS_ARE_LONG => short,
            _ => {
                long.push(entry.offset);
                // The top bit says: the rest is a place in the table of long offsets.
                (1 << 31) | u32::try_from(long.len() - 1).unwrap_or_default()
            }
        };
        out.extend_from_slice(&word.to_be_bytes());
    }
    for offset in long {
        out.extend_from_slice(&offset.to_be_bytes());
    }
    out.extend_from_slice(pack_checksum);
    let mut hasher = Sha1::new();
    hasher.update(&out);
    out.extend_from_slice(&hasher.finish());
    out
}

/// An index over made-up objects at these offsets.
#[cfg(test)]
pub(super) fn index_of_offsets(offsets: &[u64]) -> Vec<u8> {
    let entries: Vec<Entry> = (0_u8..)
        .zip(offsets)
        .map(|(at, offset)| Entry {
            id: [at; 20],
            crc: 0,
            offset: *offset,
        })
        .collect();
    index_bytes(&entries, &[0; 20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_and_what_is_deflated_inflates_to_what_it_was() {
        let mut compress = Compress::new(Compression::new(LEVEL), true);
        let mut room = vec![0; 100];
        for length in [0, 1, 63, TINY, 65, 5_000] {
            for byte in [0, b'a', 0xff] {
                let bytes: Vec<u8> = (0..7).map(|at| byte ^ at).cycle().take(length).collect();
                let mut packed = Vec::new();
                compress.reset();
                deflate(&mut compress, &bytes, &mut room, &mut packed);
                let mut all = vec![packed];
                if length <= TINY {
                    all.push(Vec::new());
                    store(&bytes, &mut all[1]);
                }
                for packed in all {
                    let mut inflated = Vec::with_capacity(length + 1);
                    let mut inflate = flate2::Decompress::new(true);
                    let finish = flate2::FlushDecompress::Finish;
                    let status = inflate.decompress_vec(&packed, &mut inflated, finish);
                    assert_eq!(status.unwrap(), Status::StreamEnd, "{length} of {byte}");
                    assert_eq!(inflated, bytes);
                    assert_eq!(inflate.total_in(), packed.len() as u64);
                }
            }
        }
    }
}
