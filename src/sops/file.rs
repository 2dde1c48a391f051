//! The outside of a file: the comment with the digest.

/// Largest file that is opened, in bytes. etcd takes objects of 1.5 MiB, and encryption adds a
/// third and some 130 bytes a value.
pub(super) const LONGEST_FILE: usize = 32 << 20;

const COMMENT: &str = "# strandline: ";
const DIGEST_PREFIX: &str = "hmac:";
const DIGITS: usize = 32;

/// The first line of a file.
pub(super) fn comment(digest: &str) -> String {
    format!("{COMMENT}{digest}\n")
}

/// Whether `text` is `hmac:` and 32 lower-case hex digits.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix(DIGEST_PREFIX).is_some_and(|hex| {
        hex.len() == DIGITS && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Returns the digest in the comment that a sealed file begins with: `hmac:` and 32 hex digits.
///
/// `None` for any other file. Reads no further than the first line.
pub fn digest_of(file: &[u8]) -> Option<&str> {
    let digest = file.strip_prefix(COMMENT.as_bytes())?;
    let digest = digest.get(..DIGEST_PREFIX.len() + DIGITS)?;
    let after = file.get(COMMENT.len() + digest.len());
    if !matches!(after, None | Some(b'\n' | b'\r')) {
        return None;
    }
    std::str::from_utf8(digest)
        .ok()
        .filter(|text| is_digest(text))
}

/// Whether a file is one that [`seal`](fn@super::seal) wrote, and perhaps `sops` after it: it has our
/// comment and, at the top level, metadata of `sops`.
///
/// Metadata alone does not count: some operators have objects with a field `sops` (`SopsSecret`).
pub fn is_sealed(file: &[u8]) -> bool {
    // Canonical YAML and that of `sops` indent all that is not a key of the top level.
    digest_of(file).is_some() && memchr::memmem::find(file, b"\nsops:").is_some()
}
