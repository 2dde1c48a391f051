//! What the sidecar says of the cluster as a whole: files below `facts/`.
//!
//! Most are opaque here: `cli` gathers them. `coverage.json` is the recorder's own: what the mirror
//! does not show, and by which rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::message::FORMAT_VERSION;
use crate::mirror::BlobId;

/// The recorder's own file.
pub const COVERAGE: &str = "coverage.json";

/// The files below `facts/`, by name.
pub type Facts = Arc<BTreeMap<String, Vec<u8>>>;

/// What the recorder knows of what it does not see.
pub(super) struct Coverage<'a> {
    /// Types of which nothing is known, and why.
    pub(super) unknown: &'a BTreeMap<String, &'static str>,
    /// Paths whose newest state may not be committed yet.
    pub(super) damped: &'a [Arc<str>],
    /// The namespaces that are read; empty for the whole cluster.
    pub(super) namespaces: &'a [String],
    /// What the rules are.
    pub(super) rules: &'a str,
    /// How values of Secrets are written.
    pub(super) secrets: &'a str,
    /// Which key the digests are made with.
    pub(super) digest_key: &'a str,
}

impl Coverage<'_> {
    /// Canonical JSON: keys sorted, no spaces.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut namespaces = self.namespaces.to_vec();
        namespaces.sort_unstable();
        let damped: Vec<&str> = self.damped.iter().map(|path| &**path).collect();
        let unknown: BTreeMap<&str, Value> = self
            .unknown
            .iter()
            .map(|(api_type, cause)| (api_type.as_str(), json!(cause)))
            .collect();
        json!({
            "damped": damped,
            "digestKey": self.digest_key,
            "formatVersion": FORMAT_VERSION,
            "namespaces": namespaces,
            "rules": self.rules,
            "secrets": self.secrets,
            "unknown": unknown,
        })
        .to_string()
        .into_bytes()
    }
}

/// Which files the sidecar has, and what it shall have.
#[derive(Debug, Default)]
pub(super) struct FactFiles {
    written: BTreeMap<String, BlobId>,
    /// The last coverage that was asked for.
    coverage: Vec<u8>,
}

impl FactFiles {
    pub(super) fn new(written: BTreeMap<String, BlobId>) -> Self {
        Self {
            written,
            coverage: Vec::new(),
        }
    }

    /// Takes note of the coverage as it is; returns whether that is news.
    pub(super) fn cover(&mut self, coverage: Vec<u8>) -> bool {
        let news = self.coverage != coverage;
        self.coverage = coverage;
        news && self.written.get(COVERAGE) != Some(&BlobId::of(&self.coverage))
    }

    /// What has to change, with `gathered` being what others said. Where nobody has said anything
    /// yet, what is there stays.
    pub(super) fn changes(
        &self,
        gathered: &BTreeMap<String, Vec<u8>>,
    ) -> Vec<(String, Option<Vec<u8>>)> {
        let mut changes = Vec::new();
        let mut put = |name: &str, bytes: &[u8]| {
            if self.written.get(name) != Some(&BlobId::of(bytes)) {
                changes.push((name.to_owned(), Some(bytes.to_vec())));
            }
        };
        if !self.coverage.is_empty() {
            put(COVERAGE, &self.coverage);
        }
        for (name, bytes) in gathered.iter().filter(|(name, _)| *name != COVERAGE) {
            put(name, bytes);
        }
        if !gathered.is_empty() {
            let gone = self.written.keys();
            let gone = gone.filter(|name| !gathered.contains_key(*name) && *name != COVERAGE);
            changes.extend(gone.map(|name| (name.clone(), None)));
        }
        changes
    }

    /// These changes are durable.
    pub(super) fn committed(&mut self, changes: &[(String, Option<Vec<u8>>)]) {
        for (name, bytes) in changes {
            match bytes {
                Some(bytes) => self.written.insert(name.clone(), BlobId::of(bytes)),
                None => self.written.remove(name),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        let file = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
        files.iter().map(file).collect()
    }

    fn names(changes: &[(String, Option<Vec<u8>>)]) -> Vec<String> {
        let sign = |bytes: &Option<Vec<u8>>| if bytes.is_some() { '+' } else { '-' };
        let name = |(name, bytes): &(String, Option<Vec<u8>>)| format!("{}{name}", sign(bytes));
        changes.iter().map(name).collect()
    }

    #[test]
    fn only_what_differs_is_written_and_nothing_goes_before_somebody_gathered() {
        let mut facts = FactFiles::default();
        assert!(facts.cover(b"{}".to_vec()));
        assert!(!facts.cover(b"{}".to_vec()), "it is no news any more");
        let first = facts.changes(&gathered(&[("a", "1"), ("b", "1"), (COVERAGE, "forged")]));
        assert_eq!(names(&first), ["+coverage.json", "+a", "+b"]);
        assert_eq!(first[0].1.as_deref(), Some(&b"{}"[..]));
        facts.committed(&first);
        assert_eq!(
            names(&facts.changes(&gathered(&[("a", "1"), ("b", "1")]))),
            [""; 0]
        );
        assert_eq!(names(&facts.changes(&BTreeMap::new())), [""; 0]);
        let next = facts.changes(&gathered(&[("a", "2")]));
        assert_eq!(names(&next), ["+a", "-b"]);
        facts.committed(&next);
        assert_eq!(names(&facts.changes(&gathered(&[("a", "2")]))), [""; 0]);
        assert!(facts.cover(b"{1}".to_vec()));
        assert!(!facts.cover(b"{}".to_vec()), "as it is written");
    }

    #[test]
    fn coverage_says_what_is_not_seen() {
        let unknown = BTreeMap::from([("widgets.example.com".to_owned(), "forbidden")]);
        let coverage = Coverage {
            unknown: &unknown,
            damped: &["cluster/nodes/a.yaml".into()],
            namespaces: &["b".to_owned(), "a".to_owned()],
            rules: "r",
            secrets: "digest",
            digest_key: "k",
        };
        assert_eq!(
            String::from_utf8(coverage.encode()).unwrap(),
            r#"{"damped":["cluster/nodes/a.yaml"],"digestKey":"k","formatVersion":1,"namespaces":["a","b"],"rules":"r","secrets":"digest","unknown":{"widgets.example.com":"forbidden"}}"#
        );
    }
}
