//! What a request asks for: its path and its options.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Verb;
use super::status::{self, Asked, Refused};

/// `/api/v1/…` or `/apis/<group>/<version>/…`, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ResourcePath<'a> {
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) resource: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

impl<'a> ResourcePath<'a> {
    /// `None` for every other path, and for subresources but `status`, which reads as its object.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?;
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status"]) => {
                (Some(*namespace), rest)
            }
            all => (None, all),
        };
        let (resource, name) = match rest {
            [resource] => (*resource, None),
            [resource, name] | [resource, name, "status"] => (*resource, Some(*name)),
            _ => return None,
        };
        (!resource.is_empty()).then_some(Self {
            group,
            version,
            resource,
            namespace,
            name,
        })
    }

    /// `apps/v1`
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// For messages.
    pub(super) fn asked(&self, verb: &'a str) -> Asked<'a> {
        Asked {
            verb,
            group: self.group,
            resource: self.resource,
            namespace: self.namespace,
        }
    }

    /// `deployments.apps`
    pub(super) fn resource_and_group(&self) -> String {
        if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }
}

/// `resourceVersionMatch`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Exact,
    NotOlderThan,
}

/// The options of a list or watch, as far as we know them.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list>
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) watch: bool,
    pub(super) bookmarks: bool,
    pub(super) send_initial_events: Option<bool>,
    pub(super) limit: Option<usize>,
    pub(super) continued: Option<String>,
    pub(super) resource_version: String,
    pub(super) version_match: Option<Match>,
    pub(super) timeout: Option<Duration>,
    pub(super) labels: String,
    pub(super) fields: String,
}

impl Options {
    /// Reads a query string; unknown parameters are ignored, as the server does.
    pub(super) fn parse(query: &str) -> Result<Self, Refused> {
        let mut options = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value);
            match &*decode(name) {
                "watch" => options.watch = is_true(&value),
                "allowWatchBookmarks" => options.bookmarks = is_true(&value),
                "sendInitialEvents" => options.send_initial_events = Some(is_true(&value)),
                "limit" => options.limit = number(&value)?.filter(|limit| *limit > 0),
                "continue" => {
                    options.continued = Some(value.into_owned()).filter(|token| !token.is_empty());
                }
                "resourceVersion" => options.resource_version = value.into_owned(),
                "resourceVersionMatch" => {
                    options.version_match = match &*value {
                        "Exact" => Some(Match::Exact),
                        "NotOlderThan" => Some(Match::NotOlderThan),
                        _ => None,
                    };
                }
                "timeoutSeconds" => {
                    options.timeout = number(&value)?
                        .and_then(|seconds| u64::try_from(seconds).ok())
                        .filter(|seconds| *seconds > 0)
                        .map(Duration::from_secs);
                }
                "labelSelector" => options.labels = value.into_owned(),
                "fieldSelector" => options.fields = value.into_owned(),
                _ => {}
            }
        }
        Ok(options)
    }

    pub(super) fn verb(&self, path: &ResourcePath<'_>) -> Verb {
        match (self.watch, path.name) {
            (true, _) if self.send_initial_events == Some(true) => Verb::WatchList,
            (true, _) => Verb::Watch,
            (false, Some(_)) => Verb::Get,
            (false, None) if self.continued.is_some() => Verb::Continue,
            (false, None) => Verb::List,
        }
    }
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "True" | "TRUE")
}

fn number(value: &str) -> Result<Option<usize>, Refused> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| {
        status::bad_request(&format!(
            "strconv.ParseInt: parsing {value:?}: invalid syntax"
        ))
    })
}

/// Undoes the encoding of forms: `+` is a space, `%xx` a byte.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, hex) {
            (b'+', _) => bytes.push(b' '),
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Where a list goes on: a `continue` token, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Continue {
    /// `None`: as things are now, without consistency with the pages before.
    pub(super) version: Option<u64>,
    /// The last object of the page before, as `namespace/name`.
    pub(super) start: String,
}

impl Continue {
    /// In the form of the real server's tokens: JSON in base64 for URLs.
    pub(super) fn encode(&self) -> String {
        let version = match self.version {
            Some(version) => json!(version),
            None => json!(-1),
        };
        let token = json!({
            "v": "meta.k8s.io/v1", "rv": version, "start": format!("/{}\0", self.start),
        });
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    pub(super) fn decode(token: &str) -> Result<Self, Refused> {
        let invalid = || status::bad_request("invalid continue token: continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        let start = token["start"]
            .as_str()
            .and_then(|start| start.strip_prefix('/')?.strip_suffix('\0'));
        match (start, &token["rv"]) {
            (Some(start), version) if version.is_number() => Ok(Self {
                version: version.as_u64(),
                start: start.to_owned(),
            }),
            _ => Err(invalid()),
        }
    }
}
