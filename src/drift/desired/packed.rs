//! The content of a manifest, parsed while it is looked at.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

/// What a manifest says. A parsed object takes ten times the memory of its text, so that of 20,000
/// only those are parsed that somebody holds.
pub(super) struct Packed {
    json: Arc<[u8]>,
    parsed: Mutex<Weak<Value>>,
}

impl Packed {
    pub(super) fn new(value: &Value) -> Self {
        Self {
            // Only maps with keys that are no text could fail, and no manifest has one.
            json: serde_json::to_vec(value).unwrap_or_default().into(),
            parsed: Mutex::default(),
        }
    }

    pub(super) fn json(&self) -> &[u8] {
        &self.json
    }

    /// The same to everybody, as long as somebody holds it.
    pub(super) fn value(&self) -> Arc<Value> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = parsed.upgrade() {
            return held;
        }
        // It was written here, from a value.
        let value = Arc::new(serde_json::from_slice(&self.json).unwrap_or_default());
        *parsed = Arc::downgrade(&value);
        value
    }
}

impl Clone for Packed {
    fn clone(&self) -> Self {
        Self {
            json: self.json.clone(),
            parsed: Mutex::default(),
        }
    }
}
