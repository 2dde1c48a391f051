//! The layout of the mirror: a path from a key, and what a path says.
//!
//! ```text
//! <prefix>/cluster/<resource>[.<group>]/<name>.yaml
//! <prefix>/namespaces/<namespace>/<resource>[.<group>]/<name>.yaml
//! ```
//!
//! A component is the escaped form of one name. What stays as it is: `a-z 0-9 - _ .`, except a
//! dot at either end and the first letter of a name that Windows reserves for a device. Every
//! other byte becomes `%` and two lower-case hex digits. A component longer than 255 bytes, the
//! limit of every common file system, keeps its beginning and the SHA-256 of the whole: `%-` and
//! 64 hex digits, which no escaped name can hold.

use std::borrow::Cow;

use std::fmt::{self, Write as _};

use sha2::{Digest, Sha256};

use super::ApiType;

/// The longest file name that ext4, APFS, NTFS and Git's hosts take, in bytes.
const LONGEST_COMPONENT: usize = 255;
const EXTENSION: &str = ".yaml";
const CLUSTER: &str = "cluster";
const NAMESPACES: &str = "namespaces";
/// What the paths of objects in namespaces begin with.
pub const IN_NAMESPACES: &str = "namespaces/";

/// Names that Windows keeps for devices, whatever their extension:
/// <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>.
const DEVICES: [&str; 22] = [
    "aux", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "con", "lpt1",
    "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "nul", "prn",
];

/// Returns the path of an object below the prefix.
pub(super) fn object_path(api_type: &ApiType, namespace: Option<&str>, name: &str) -> String {
    let directory = api_type.directory();
    let file = escape_component(name, EXTENSION);
    let namespace = namespace.map(|namespace| escape_component(namespace, ""));
    folder(&directory, namespace.as_deref()) + &file
}

/// What the paths of one type's objects in a namespace begin with, of cluster-scoped ones without;
/// both are escaped.
pub fn folder(directory: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("{IN_NAMESPACES}{namespace}/{directory}/"),
        None => format!("{CLUSTER}/{directory}/"),
    }
}

/// Returns `name` as one path component that every file system and Git can hold, `extension`
/// (ASCII, not escaped) appended.
///
/// Injective for a given extension.
pub fn escape_component(name: &str, extension: &str) -> String {
    let mut out = String::with_capacity(name.len() + extension.len());
    let stem = name.split('.').next().unwrap_or_default();
    let reserved = DEVICES.contains(&stem);
    let last = name.len().saturating_sub(1);
    for (at, byte) in name.bytes().enumerate() {
        let plain = match byte {
            b'a'..=b'z' => !(reserved && at == 0),
            b'0'..=b'9' | b'-' | b'_' => true,
            b'.' => at != 0 && (at != last || !extension.is_empty()),
            _ => false,
        };
        if plain {
            out.push(char::from(byte));
        } else {
            push_escaped(&mut out, byte);
        }
    }
    if out.len() + extension.len() > LONGEST_COMPONENT {
        let digest = Sha256::digest(name.as_bytes());
        let mut keep = LONGEST_COMPONENT - extension.len() - 2 - 64;
        // An escape that was cut in half would read as text.
        if let Some(cut) = out[keep - 2..keep].find('%') {
            keep = keep - 2 + cut;
        }
        out.truncate(keep);
        out.push_str("%-");
        for byte in digest {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
    }
    out.push_str(extension);
    out
}

fn push_escaped(out: &mut String, byte: u8) {
    let _ = write!(out, "%{byte:02x}");
}

/// Whether `component` (without extension) is something that [`escape_component`] can return.
fn is_escaped(component: &str, extension: &str) -> bool {
    if component.is_empty() || component.len() + extension.len() > LONGEST_COMPONENT {
        return false;
    }
    if !component.contains('%') {
        // Nearly every name is its own escaped form.
        let stem = component.split('.').next().unwrap_or_default();
        let last_dot_stays = !component.ends_with('.') || !extension.is_empty();
        return plain_or_escaped(component)
            && !component.starts_with('.')
            && last_dot_stays
            && !DEVICES.contains(&stem);
    }
    if let Some((head, digest)) = component.split_once("%-") {
        return digest.len() == 64
            && digest
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && plain_or_escaped(head);
    }
    plain_or_escaped(component)
        && unescape(component).is_some_and(|name| {
            escape_component(&name, "") == *component
                || escape_component(&name, extension).strip_suffix(extension) == Some(component)
        })
}

fn plain_or_escaped(text: &str) -> bool {
    text.bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'%'))
}

/// Returns the name that was escaped; `None` where `component` is not an escaped name, or holds
/// the digest of one that was too long.
pub(super) fn unescape(component: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(component.len());
    let mut rest = component.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parts of a path that our layout could have produced, still escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorPath<'a> {
    /// Escaped namespace; `None` below `cluster/`.
    pub namespace: Option<&'a str>,
    /// `<resource>[.<group>]`, as [`ApiType::directory`] returns it.
    pub directory: &'a str,
    /// Escaped name, without the extension.
    pub stem: &'a str,
}

impl<'a> MirrorPath<'a> {
    /// Takes apart a path below the prefix.
    ///
    /// Returns `None` for every path that our layout cannot have produced: such a file is foreign,
    /// and left alone.
    pub fn parse(path: &'a str) -> Option<Self> {
        let mut parts = path.split('/');
        let parsed = match parts.next()? {
            CLUSTER => Self {
                namespace: None,
                directory: parts.next()?,
                stem: parts.next()?,
            },
            NAMESPACES => Self {
                namespace: Some(parts.next()?),
                directory: parts.next()?,
                stem: parts.next()?,
            },
            _ => return None,
        };
        let stem = parsed.stem.strip_suffix(EXTENSION)?;
        let ours = parts.next().is_none()
            && parsed
                .namespace
                .is_none_or(|namespace| is_escaped(namespace, ""))
            && is_escaped(parsed.directory, "")
            && is_escaped(stem, EXTENSION);
        ours.then_some(Self { stem, ..parsed })
    }

    /// The name that the file was made from; `None` where it was too long to be kept.
    pub fn name(&self) -> Option<String> {
        unescape(self.stem)
    }

    /// Resource and group that the directory was made from; the group is empty for the core group.
    /// `None` where they were too long to be kept.
    pub fn resource_and_group(&self) -> Option<(String, String)> {
        let text = unescape(self.directory)?;
        let (resource, group) = text.split_once('.').unwrap_or((&text, ""));
        Some((resource.to_owned(), group.to_owned()))
    }

    /// The namespace's name; `None` for a cluster-scoped object or a name too long to be kept.
    pub fn namespace_name(&self) -> Option<String> {
        self.namespace.and_then(unescape)
    }
}

/// What a prefix may be, for help texts and errors.
pub const PREFIX_RULES: &str =
    "a relative path of components made of lower-case letters, digits, '-', '_' and inner '.'";

/// The directory of the repository below which this cluster's files lie; empty for its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix(Box<str>);

/// A prefix that our layout cannot live under.
#[derive(Debug, PartialEq, Eq)]
pub struct PrefixError(Box<str>);

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' cannot be a prefix: use {PREFIX_RULES}",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for PrefixError {}

impl Prefix {
    /// Checks `text`; slashes at either end do not count.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let trimmed = text.trim_matches('/');
        if !trimmed.is_empty()
            && trimmed
                .split('/')
                .any(|part| escape_component(part, "") != part || part.is_empty())
        {
            return Err(PrefixError(text.into()));
        }
        Ok(Self(trimmed.into()))
    }

    /// The prefix without slashes at its ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `path` below this prefix.
    pub fn join<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() {
            path.into()
        } else {
            format!("{}/{path}", self.0).into()
        }
    }

    /// `path` without this prefix; `None` where it lies elsewhere.
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.0.is_empty() {
            Some(path)
        } else {
            path.strip_prefix(&*self.0)?.strip_prefix('/')
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_file_systems_cannot_hold_are_escaped() {
        for (name, file) in [
            ("web", "web.yaml"),
            ("system:node", "system%3anode.yaml"),
            ("Admin", "%41dmin.yaml"),
            ("a.b-c_d", "a.b-c_d.yaml"),
            (".git", "%2egit.yaml"),
            ("git~1", "git%7e1.yaml"),
            ("con", "%63on.yaml"),
            ("con.fig", "%63on.fig.yaml"),
            ("icon", "icon.yaml"),
            ("100%", "100%25.yaml"),
            ("ü", "%c3%bc.yaml"),
        ] {
            assert_eq!(escape_component(name, EXTENSION), file);
        }
        assert_eq!(escape_component("trailing.", ""), "trailing%2e");
    }

    #[test]
    fn foreign_paths_are_not_ours() {
        for path in [
            "README.md",
            "cluster/README.md",
            "cluster/namespaces/Shop.yaml",
            "cluster/namespaces/a/b.yaml",
            "namespaces/a/b.yaml",
            "namespaces//configmaps/a.yaml",
            "cluster/namespaces/%zz.yaml",
            "cluster/namespaces/%61.yaml",
            "cluster/namespaces/con.yaml",
            "cluster/namespaces/a.yml",
        ] {
            assert_eq!(MirrorPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn prefixes_are_plain_paths() {
        assert_eq!(
            Prefix::new("/clusters/prod/").unwrap().join("x"),
            "clusters/prod/x"
        );
        assert_eq!(Prefix::new("").unwrap().join("x"), "x");
        assert_eq!(Prefix::new("a").unwrap().strip("a/b"), Some("b"));
        assert_eq!(Prefix::new("a").unwrap().strip("ab/c"), None);
        for bad in ["A", "a//b", "..", "a/.git", "a b"] {
            assert!(Prefix::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_has_one_file_and_every_file_its_name(name in "\\PC{1,300}") {
            let file = escape_component(&name, EXTENSION);
            prop_assert!(file.len() <= LONGEST_COMPONENT);
            prop_assert!(file.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'%')));
            let path = format!("cluster/things/{file}");
            let parsed = MirrorPath::parse(&path);
            prop_assert!(parsed.is_some(), "{path} is ours");
            if let Some(read) = parsed.and_then(|parsed| parsed.name()) {
                prop_assert_eq!(read, name);
            } else {
                prop_assert!(file.contains("%-"), "only a name that is too long is lost: {}", file);
            }
        }
    }
}
