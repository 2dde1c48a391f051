//! The one look at the clock here: how old a lock is that somebody left behind.

use std::path::Path;
use std::time::{Duration, SystemTime};

/// The time since a file was last written; `None` where that cannot be told.
pub(super) fn age(path: &Path) -> Option<Duration> {
    let modified = std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()?;
    SystemTime::now().duration_since(modified).ok()
}
