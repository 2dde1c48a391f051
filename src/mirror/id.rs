use std::fmt;
use std::str::FromStr;

use super::hash::Sha1;

/// A text that is not 40 hexadecimal digits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object id has 40 hexadecimal digits")]
pub struct IdError;

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 20]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                from_hex(text).map(Self).ok_or(IdError)
            }
        }

        impl $name {
            /// As gix has it.
            pub(super) fn oid(self) -> gix::ObjectId {
                gix::ObjectId::Sha1(self.0)
            }
        }

        impl From<gix::ObjectId> for $name {
            fn from(id: gix::ObjectId) -> Self {
                let gix::ObjectId::Sha1(bytes) = id else {
                    unreachable!("compiled for SHA-1 alone; open() refuses other formats")
                };
                Self(bytes)
            }
        }
    };
}

object_id! {
    /// The id of a blob: of a file's bytes.
    BlobId
}
object_id! {
    /// The id of a commit.
    CommitId
}
object_id! {
    /// The id of a tree.
    TreeId
}

impl BlobId {
    /// What the index holds for a path that is ours by name but no regular file. No content has
    /// this id, so the path counts as changed.
    pub const NONE: Self = Self([0; 20]);

    /// Git's id of `bytes` as a blob: SHA-1 of `blob <length>\0<bytes>`
    /// (<https://git-scm.com/book/en/v2/Git-Internals-Git-Objects>).
    pub fn of(bytes: &[u8]) -> Self {
        Self(object_id(ObjectKind::Blob, bytes))
    }
}

/// The kinds of objects that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Commit,
    Tree,
    Blob,
}

impl ObjectKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
        }
    }

    /// The type of a pack entry: <https://git-scm.com/docs/gitformat-pack>.
    pub(super) fn pack_type(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Tree => 2,
            Self::Blob => 3,
        }
    }
}

/// Git's id of an object.
pub(super) fn object_id(kind: ObjectKind, bytes: &[u8]) -> [u8; 20] {
    let mut hasher = Sha1::new();
    hasher.update(kind.name().as_bytes());
    hasher.update(b" ");
    hasher.update(bytes.len().to_string().as_bytes());
    hasher.update(&[0]);
    hasher.update(bytes);
    hasher.finish()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn from_hex(text: &str) -> Option<[u8; 20]> {
    let mut out = [0; 20];
    let digits = text.as_bytes();
    if digits.len() != 40 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(out)
}
