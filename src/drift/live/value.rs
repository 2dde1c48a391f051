//! The content of a live object, parsed while it is looked at.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::canonical;

/// What the file of a live object holds. A parsed object takes ten times the memory of its file,
/// so that of 20,000 only those are kept parsed that somebody looks at without
/// [`opened`](Self::opened).
#[derive(Clone)]
pub struct LiveValue {
    /// Canonical YAML that was read once; empty where the value was never a file.
    file: Arc<[u8]>,
    parsed: OnceLock<Arc<Value>>,
}

impl LiveValue {
    /// The content of a file that holds one document; whoever calls this has read it.
    pub(super) fn of_file(file: &[u8]) -> Self {
        Self {
            file: file.into(),
            parsed: OnceLock::new(),
        }
    }

    /// The same content, parsed, and forgotten with what this returns.
    #[must_use]
    pub fn opened(&self) -> Self {
        let parsed = self.parsed.get().cloned();
        parsed.unwrap_or_else(|| self.parse()).into()
    }

    /// Whether a text can be in the content; to find the few objects that are worth parsing.
    pub fn mentions(&self, text: &str) -> bool {
        self.file.is_empty() || memchr::memmem::find(&self.file, text.as_bytes()).is_some()
    }

    fn parse(&self) -> Arc<Value> {
        // It was read before.
        Arc::new(canonical::read(&self.file).unwrap_or_default())
    }
}

impl From<Arc<Value>> for LiveValue {
    fn from(value: Arc<Value>) -> Self {
        Self {
            file: Arc::default(),
            parsed: value.into(),
        }
    }
}

impl Deref for LiveValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.parsed.get_or_init(|| self.parse())
    }
}

/// Without what the object holds: it may be a Secret.
impl fmt::Debug for LiveValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveValue").finish_non_exhaustive()
    }
}
