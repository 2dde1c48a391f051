//! What the sidecar says of the cluster as a whole: files below `facts/`, written by the recorder's
//! command and read by whoever compares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::schema::Schemas;
use crate::filter::{SecretMode, Selection, UserFile};

/// The version of these files.
const FORMAT: u32 = 1;
/// Where the cluster's own facts stand.
const CLUSTER: &str = "cluster.json";
/// Where the rules stand that the mirror is written by.
const RULES: &str = "rules.json";
/// Where the recorder says what it does not know.
const COVERAGE: &str = "coverage.json";
/// Below which folder the schemas stand, a file per group and version.
const SCHEMAS: &str = "schemas/";

/// Facts that cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// A file that is not there.
    #[error(
        "the mirror's sidecar has no facts/{file}: it was written by a recorder that could not \
         read the cluster's facts; record again"
    )]
    Missing {
        /// Which.
        file: &'static str,
    },
    /// A file that is not what it should be.
    #[error("facts/{file} of the mirror's sidecar cannot be read: {source}")]
    Broken {
        /// Which.
        file: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A file of another version of this program.
    #[error(
        "facts/{file} of the mirror's sidecar has format {format}, this program reads {FORMAT}"
    )]
    Format {
        /// Which.
        file: String,
        /// The file's.
        format: u32,
    },
}

/// The cluster's own facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterFacts {
    /// The version of the file.
    pub format: u32,
    /// For example `v1.36.3`.
    pub server_version: String,
    /// What is served.
    pub kinds: Vec<KindFact>,
    /// Groups of which nothing is known now.
    pub unknown_groups: Vec<Box<str>>,
}

/// A type that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KindFact {
    /// API group; empty for the core group.
    pub group: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Plural resource name.
    pub resource: Box<str>,
    /// The version that is recorded first, then the others.
    pub versions: Vec<Box<str>>,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
}

/// The rules that the mirror is written by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuleFacts {
    format: u32,
    files: Vec<(String, String)>,
    presets: Vec<(String, bool)>,
    secrets: String,
    allow_plaintext: bool,
    fingerprint: String,
}

/// What the recorder knows of its own gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CoverageFacts {
    /// Types and groups (`*.group`) of which nothing is known, and why.
    pub unknown: BTreeMap<String, String>,
    /// Paths of objects that change too often for a commit each.
    pub damped: Vec<String>,
    /// Namespaces that are recorded; all where there are none.
    pub namespaces: Vec<String>,
    /// The fingerprint of the digests' key; empty where it is not told.
    pub digest_key: String,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The cluster's.
    pub cluster: ClusterFacts,
    /// What rules to assemble.
    pub selection: Selection,
    /// The fingerprint of the recorder's rules.
    pub rules_fingerprint: String,
    /// The recorder's gaps.
    pub coverage: CoverageFacts,
    /// Schemas of built-in and aggregated types.
    pub schemas: Schemas,
}

fn mode_name(mode: SecretMode) -> &'static str {
    match mode {
        SecretMode::Digest => "digest",
        SecretMode::Omit => "omit",
        SecretMode::Sops => "sops",
        SecretMode::Plain => "plain",
    }
}

impl Facts {
    /// Reads the files below `facts/`, by their names there.
    pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, FactsError> {
        let cluster: ClusterFacts = required(files, CLUSTER)?;
        check(CLUSTER, cluster.format)?;
        let rules: RuleFacts = required(files, RULES)?;
        check(RULES, rules.format)?;
        let coverage = required(files, COVERAGE)?;
        let mut schemas = Schemas::default();
        for (name, bytes) in files.range(SCHEMAS.to_owned()..) {
            if !name.starts_with(SCHEMAS) {
                break;
            }
            schemas.extend(parse(name, bytes)?);
        }
        let secrets = match rules.secrets.as_str() {
            "omit" => SecretMode::Omit,
            "sops" => SecretMode::Sops,
            "plain" => SecretMode::Plain,
            _ => SecretMode::Digest,
        };
        Ok(Self {
            cluster,
            selection: Selection {
                files: rules
                    .files
                    .into_iter()
                    .map(|(name, text)| UserFile { name, text })
                    .collect(),
                presets: rules.presets,
                secrets,
                allow_plaintext: rules.allow_plaintext,
            },
            rules_fingerprint: rules.fingerprint,
            coverage,
            schemas,
        })
    }

    /// The files below `facts/`, the recorder's coverage aside; equal facts are equal bytes.
    pub fn write(
        cluster: &ClusterFacts,
        selection: &Selection,
        fingerprint: &str,
        schemas: &BTreeMap<String, Schemas>,
    ) -> Result<BTreeMap<String, Vec<u8>>, serde_json::Error> {
        let mut cluster = cluster.clone();
        cluster.format = FORMAT;
        cluster.kinds.sort();
        let rules = RuleFacts {
            format: FORMAT,
            files: selection
                .files
                .iter()
                .map(|file| (base_name(&file.name).to_owned(), file.text.clone()))
                .collect(),
            presets: selection.presets.clone(),
            secrets: mode_name(selection.secrets).to_owned(),
            allow_plaintext: selection.allow_plaintext,
            fingerprint: fingerprint.to_owned(),
        };
        let mut files = BTreeMap::from([
            (CLUSTER.to_owned(), serde_json::to_vec(&cluster)?),
            (RULES.to_owned(), serde_json::to_vec(&rules)?),
        ]);
        for (group_version, types) in schemas {
            let name = format!("{SCHEMAS}{}.json", group_version.replace('/', "_"));
            files.insert(name, serde_json::to_vec(types)?);
        }
        Ok(files)
    }
}

/// A file's name without its folder: where it lies on the recorder's disk is nobody's business.
fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn required<T: for<'de> Deserialize<'de>>(
    files: &BTreeMap<String, Vec<u8>>,
    file: &'static str,
) -> Result<T, FactsError> {
    let bytes = files.get(file).ok_or(FactsError::Missing { file })?;
    parse(file, bytes)
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, bytes: &[u8]) -> Result<T, FactsError> {
    serde_json::from_slice(bytes).map_err(|source| FactsError::Broken {
        file: name.to_owned(),
        source,
    })
}

fn check(file: &str, format: u32) -> Result<(), FactsError> {
    if format == FORMAT {
        return Ok(());
    }
    Err(FactsError::Format {
        file: file.to_owned(),
        format,
    })
}

/// The minor version of `v1.36.3`, `1.36+`.
pub(super) fn minor_of(version: &str) -> Option<u32> {
    let (major, rest) = version.trim_start_matches('v').split_once('.')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    (major == "1")
        .then(|| rest[..digits].parse().ok())
        .flatten()
}

/// The kind that defines kinds.
pub(super) const DEFINITION: &str = "CustomResourceDefinition";

/// The types that a `CustomResourceDefinition` says, when its `spec` is a CRD's.
pub(super) fn is_definition(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(DEFINITION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_their_files() {
        let cluster = ClusterFacts {
            server_version: "v1.36.3".into(),
            kinds: vec![KindFact {
                group: "apps".into(),
                kind: "Deployment".into(),
                resource: "deployments".into(),
                versions: vec!["v1".into()],
                namespaced: true,
            }],
            ..ClusterFacts::default()
        };
        let selection = Selection {
            files: vec![UserFile {
                name: "/etc/somewhere/mine.yaml".into(),
                text: "rules: []\n".into(),
            }],
            presets: vec![("helm".into(), false)],
            ..Selection::default()
        };
        let schemas = BTreeMap::from([("apps/v1".to_owned(), Schemas::default())]);
        let mut files = Facts::write(&cluster, &selection, "abc", &schemas).unwrap();
        assert!(files.contains_key("schemas/apps_v1.json"));
        assert!(matches!(
            Facts::read(&files),
            Err(FactsError::Missing {
                file: "coverage.json"
            })
        ));
        let coverage = br#"{"unknown": {"toys.example": "forbidden"}, "new": 1}"#;
        files.insert("coverage.json".into(), coverage.to_vec());
        let facts = Facts::read(&files).unwrap();
        assert_eq!(facts.cluster.kinds, cluster.kinds);
        assert_eq!(facts.selection.files[0].name, "mine.yaml");
        assert_eq!(facts.selection.presets, selection.presets);
        assert_eq!(facts.coverage.unknown["toys.example"], "forbidden");
        files.insert("cluster.json".into(), b"{\"format\": 2}".to_vec());
        let error = Facts::read(&files).unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
    }

    #[test]
    fn minor_versions_are_read_from_what_servers_say() {
        for (text, minor) in [
            ("v1.36.3", Some(36)),
            ("1.34+", Some(34)),
            ("v1.35.0-eks-1", Some(35)),
            ("v2.1.0", None),
            ("", None),
        ] {
            assert_eq!(minor_of(text), minor, "{text}");
        }
    }
}
