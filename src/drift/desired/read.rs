//! Text into manifests, as Kubernetes reads it. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;
use serde_json::Value;

use super::secrets;
use super::{Identity, Manifest, Problem};
use crate::canonical::{self, Document, Spot};
use crate::object::Step;

/// What a text holds.
#[derive(Debug, Default)]
pub struct Read {
    /// Its objects, in the order of the text.
    pub manifests: Vec<Manifest>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What is set aside: hooks, `generateName`.
    pub set_aside: Vec<Problem>,
    /// Documents that are no Kubernetes objects.
    pub skipped: usize,
}

impl Read {
    /// Takes over what another text holds.
    pub fn extend(&mut self, other: Self) {
        self.manifests.extend(other.manifests);
        self.problems.extend(other.problems);
        self.set_aside.extend(other.set_aside);
        self.skipped += other.skipped;
    }
}

/// Files that belong to a tool and never to the cluster.
/// <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/>,
/// <https://helm.sh/docs/topics/charts/#the-chartyaml-file>.
const TOOLS_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Chart.yaml"];
/// The group of kustomize's own files; Flux's `Kustomization` is of another and lives in clusters.
const KUSTOMIZE: &str = "kustomize.config.k8s.io/";
/// An object for tools alone, never to be applied:
/// <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/resource/#exclude-resource-from-being-output>.
const LOCAL_CONFIG: &str = "config.kubernetes.io/local-config";
/// Lists in lists in lists: no deeper.
const DEEPEST_LIST: usize = 8;

/// Reads every document of a file's text. A document that cannot be read is a problem, and the
/// others are read all the same.
pub fn read(file: &Arc<str>, text: &[u8]) -> Read {
    let mut read = Read::default();
    for part in parts(text) {
        read.extend(read_part(file, &part));
    }
    read
}

/// Whether a file is for a tool and holds no objects, by its name.
pub(super) fn is_tools_file(name: &str) -> bool {
    TOOLS_FILES.contains(&name)
}

/// A part of a file that can be read by itself: what lies between two `---` lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'t> {
    text: &'t [u8],
    /// 1-based line of the file that it begins on.
    line: usize,
}

impl Part<'_> {
    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

/// Splits a text at its `---` lines. In YAML such a line is a boundary wherever it stands, in
/// scalars too (<https://yaml.org/spec/1.2.2/#912-document-markers>), so nothing is torn.
pub(super) fn parts(text: &[u8]) -> Vec<Part<'_>> {
    let mut starts = vec![0];
    starts.extend(
        memmem::find_iter(text, b"\n---")
            .map(|at| at + 1)
            .filter(|at| matches!(text.get(at + 3), None | Some(b' ' | b'\t' | b'\r' | b'\n'))),
    );
    let mut parts = Vec::with_capacity(starts.len());
    let mut line = 1;
    let mut held: Option<Part<'_>> = None;
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(text.len());
        let whole = Part {
            text: &text[start..end],
            line,
        };
        line += memchr::memchr_iter(b'\n', whole.text).count();
        // `%YAML 1.1` belongs to the document after the next `---`.
        let part = match held.take() {
            Some(head) => Part {
                text: &text[start - head.text.len()..end],
                line: head.line,
            },
            None => whole.without_marker(),
        };
        if is_directives(whole.text) && end < text.len() {
            held = Some(whole);
        } else if !part.text.trim_ascii().is_empty() {
            parts.push(part);
        }
    }
    parts
}

impl Part<'_> {
    /// Without its `---` line, if nothing else stands on it: JSON has no such thing. Without a byte
    /// order mark, which files that were put together have in their middle.
    fn without_marker(self) -> Self {
        let mut part = self;
        part.text = part.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(part.text);
        if let Some(rest) = part.text.strip_prefix(b"---") {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let own = rest[..end].trim_ascii_start();
            if matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
                && (own.is_empty() || own.starts_with(b"#"))
            {
                part.text = &rest[end..];
                part.line += 1;
                part.text = part.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(part.text);
            }
        }
        part
    }
}

/// Whether there is a directive and nothing but directives, comments and blank lines.
fn is_directives(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if !text.trim_ascii_start().starts_with(b"%") && !text.starts_with(b"#") {
        return false;
    }
    let mut directives = false;
    for line in text.split(|&byte| byte == b'\n') {
        match line.trim_ascii_start().first() {
            None | Some(b'#') => {}
            Some(b'%') => directives = true,
            Some(_) => return false,
        }
    }
    directives
}

/// Reads one part.
pub(super) fn read_part(file: &Arc<str>, part: &Part<'_>) -> Read {
    let mut reader = Reader {
        file,
        before: part.line - 1,
        read: Read::default(),
    };
    match canonical::read_all(part.text) {
        // What was read is UTF-8.
        Ok(documents) => reader.documents(documents, &String::from_utf8_lossy(part.text)),
        Err(error) => {
            let line = reader.before + error.line;
            let reason = format!(
                "cannot be read: {} (column {}); nothing of this document is compared",
                error.reason, error.column
            );
            let object = guess(part.text);
            reader.problem(Some(line), reason, object);
        }
    }
    reader.read
}

/// Reads one part of a file.
struct Reader<'f> {
    file: &'f Arc<str>,
    /// Lines of the file before the part.
    before: usize,
    read: Read,
}

/// Where an object comes from.
#[derive(Clone)]
struct Origin {
    text: Option<Arc<str>>,
    /// 1-based line of the file that `text` begins on.
    first_line: usize,
    within: Vec<Step>,
    /// 1-based line of the file that the object begins on.
    line: usize,
}

impl Reader<'_> {
    fn problem(&mut self, line: Option<usize>, reason: String, object: Option<Identity>) {
        self.read.problems.push(Problem {
            file: Some(self.file.clone()),
            line,
            reason,
            object,
        });
    }

    fn set_aside(&mut self, line: usize, reason: String, object: Option<Identity>) {
        self.read.set_aside.push(Problem {
            file: Some(self.file.clone()),
            line: Some(line),
            reason,
            object,
        });
    }

    fn documents(&mut self, documents: Vec<Document>, text: &str) {
        let lines = Lines::new(text);
        // More than one only where JSON objects follow each other, or after a `...` line.
        let starts: Vec<usize> = documents.iter().map(|document| document.line).collect();
        let several = starts.len() > 1;
        for (at, document) in documents.into_iter().enumerate() {
            let next = starts.get(at + 1).copied();
            let (own, first) = if several {
                (lines.between(document.line, next), document.line)
            } else {
                (Some(text), 1)
            };
            let line = self.before + document.line;
            if is_list(&document.value) {
                let elements = document.value.get("items").and_then(Value::as_array);
                let count = elements.map_or(0, Vec::len);
                let origins = self.item_origins(&document.items, count, &lines, text, line);
                self.list(document.value, &origins, 1);
                continue;
            }
            let origin = Origin {
                text: own.map(Arc::from),
                first_line: self.before + first,
                within: Vec::new(),
                line,
            };
            self.object(document.value, origin);
        }
    }

    /// Where the elements of a List stand: each with its own excerpt of the text, so that a line
    /// in one of 20,000 is found without reading the others.
    fn item_origins(
        &self,
        items: &[Spot],
        count: usize,
        lines: &Lines<'_>,
        text: &str,
        line: usize,
    ) -> Vec<Origin> {
        if items.len() != count {
            // An alias or a merge key brings the elements.
            return vec![Origin {
                text: Some(text.into()),
                first_line: self.before + 1,
                within: vec![Step::Key("items".into())],
                line,
            }];
        }
        let mut origins = Vec::with_capacity(items.len());
        for (at, spot) in items.iter().enumerate() {
            let next = items.get(at + 1).map(|next| next.line);
            let own = (next != Some(spot.line))
                .then(|| lines.between(spot.line, next))
                .flatten();
            // What stands before the element on its first line is the List's.
            let own = own.map(|own| blanked(own, spot.column - 1));
            origins.push(Origin {
                text: own.map(|own| Arc::from(own.as_ref())),
                first_line: self.before + spot.line,
                within: Vec::new(),
                line: self.before + spot.line,
            });
        }
        origins
    }

    /// The elements of a List; `origins` has one for each, or one for all.
    fn list(&mut self, list: Value, origins: &[Origin], depth: usize) {
        let Value::Object(mut map) = list else { return };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let api_version = text(map.get("apiVersion")).unwrap_or_default();
        let kind = text(map.get("kind")).unwrap_or_default();
        let item_kind = kind.strip_suffix("List").unwrap_or_default();
        let Some(Value::Array(items)) = map.remove("items") else {
            return;
        };
        for (at, mut item) in items.into_iter().enumerate() {
            let origin = match origins {
                [whole] if !whole.within.is_empty() => {
                    let mut origin = whole.clone();
                    origin.within.push(Step::Index(at));
                    origin
                }
                each => match each.get(at) {
                    Some(origin) => origin.clone(),
                    None => continue,
                },
            };
            if item.is_null() {
                continue;
            }
            // Elements of a typed list may leave out what the list says:
            // https://github.com/kubernetes/apimachinery/blob/v0.36.0/pkg/apis/meta/v1/unstructured/helpers.go (decodeToList)
            if let Value::Object(item) = &mut item
                && !item_kind.is_empty()
                && !item.contains_key("kind")
            {
                item.insert("kind".to_owned(), item_kind.into());
                item.insert("apiVersion".to_owned(), api_version.clone().into());
            }
            if !is_list(&item) {
                self.object(item, origin);
            } else if depth < DEEPEST_LIST {
                let mut inner = origin;
                inner.within.push(Step::Key("items".into()));
                self.list(item, &[inner], depth + 1);
            } else {
                let reason = format!("lists nested more than {DEEPEST_LIST} deep: not read");
                self.problem(Some(origin.line), reason, None);
            }
        }
    }

    /// Takes one object, sets it aside, or says what is wrong with it.
    fn object(&mut self, mut value: Value, origin: Origin) {
        let line = origin.line;
        let text = |place: Option<&Value>| place.and_then(Value::as_str).is_some();
        let (kind, version) = (text(value.get("kind")), text(value.get("apiVersion")));
        if !kind || !version {
            let missing = if kind { "apiVersion" } else { "kind" };
            if (kind || version) && value.get("metadata").is_some_and(Value::is_object) {
                let reason = format!("no `{missing}`: it looks like an object, and cannot be one");
                self.problem(Some(line), reason, None);
            } else {
                self.read.skipped += 1;
            }
            return;
        }
        if is_local(&value) {
            self.read.skipped += 1;
            return;
        }
        let encrypted = secrets::is_sops(&value);
        let Some(identity) = Identity::of(&value) else {
            let metadata = value.get("metadata");
            let generated = metadata.and_then(|metadata| metadata.get("generateName"));
            if generated.is_some_and(|name| name.as_str().is_some_and(|name| !name.is_empty())) {
                let reason = "generateName: the server makes up the name at each creation";
                self.set_aside(line, reason.to_owned(), None);
            } else if metadata
                .and_then(|metadata| metadata.get("name"))
                .is_some_and(|name| name.is_boolean() || name.is_number())
            {
                let reason = "`metadata.name` is a boolean or a number, as YAML 1.1 reads `y`, \
                              `no` or `1`: quote it";
                self.problem(Some(line), reason.to_owned(), None);
            } else {
                let reason = "no `metadata.name`: the object cannot be found in the cluster";
                self.problem(Some(line), reason.to_owned(), None);
            }
            return;
        };
        if encrypted && secrets::hides_identity(&identity) {
            let reason = "SOPS encrypts the object's name, too: which one it is cannot be told; \
                          encrypt only values (`encrypted_regex: ^(data|stringData)$`)";
            self.problem(Some(line), reason.to_owned(), None);
            return;
        }
        if let Some(reason) = hook(&value) {
            self.set_aside(line, reason, Some(identity));
            return;
        }
        let mut keys_only = None;
        if encrypted {
            secrets::drop_sops(&mut value);
            keys_only = Some(secrets::SOPS);
        }
        if secrets::is_secret(&identity)
            && let Err(reason) = secrets::fold(&mut value, encrypted)
        {
            self.problem(Some(line), reason, Some(identity));
            return;
        }
        let made = secrets::made_from(&value, &identity);
        let mut manifest = Manifest::new(&value, self.file.clone(), line);
        manifest.text = origin.text;
        manifest.first_line = origin.first_line;
        manifest.within = origin.within;
        manifest.keys_only = keys_only;
        self.read.manifests.push(manifest);
        if let Some(made) = made {
            let mut manifest = Manifest::new(&made.secret, self.file.clone(), line);
            manifest.keys_only = Some(made.why);
            manifest.keys_unknown = made.keys_unknown;
            self.read.manifests.push(manifest);
        }
    }
}

/// The lines of a text.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { text, starts }
    }

    /// From one 1-based line up to another one, or to the end; `None` where that is no line.
    fn between(&self, from: usize, to: Option<usize>) -> Option<&'t str> {
        let start = *self.starts.get(from.checked_sub(1)?)?;
        let end = match to {
            Some(to) => *self.starts.get(to.checked_sub(1)?)?,
            None => self.text.len(),
        };
        self.text.get(start..end)
    }
}

/// The text with its first `columns` characters made spaces.
fn blanked(text: &str, columns: usize) -> Cow<'_, str> {
    if columns == 0 {
        return text.into();
    }
    let end = text
        .char_indices()
        .nth(columns)
        .map_or(text.len(), |(at, _)| at);
    let mut blanked = " ".repeat(columns);
    blanked.push_str(&text[end..]);
    blanked.into()
}

/// Whether a value is read as many objects: `List`, or a typed one such as `RoleList`.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#collections>
fn is_list(value: &Value) -> bool {
    let kind = value.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with("List"))
        && value.get("apiVersion").is_some_and(Value::is_string)
        && match value.get("items") {
            Some(Value::Array(_)) => true,
            // An empty list of Go is null.
            Some(Value::Null) => value.pointer("/metadata/name").is_none(),
            _ => false,
        }
}

/// Whether an object is for tools alone.
fn is_local(value: &Value) -> bool {
    let api_version = value.get("apiVersion").and_then(Value::as_str);
    api_version.is_some_and(|version| version.starts_with(KUSTOMIZE))
        || annotation(value, LOCAL_CONFIG).is_some_and(|truth| truth != "false")
}

/// Why an object does not stay in the cluster, if it is a hook.
///
/// <https://helm.sh/docs/topics/charts_hooks/>,
/// <https://argo-cd.readthedocs.io/en/stable/user-guide/resource_hooks/>. Argo CD applies Helm 2's
/// `crd-install` like any other object: <https://argo-cd.readthedocs.io/en/stable/user-guide/helm/#helm-hooks>.
fn hook(value: &Value) -> Option<String> {
    if annotation(value, "argocd.argoproj.io/hook").is_some() {
        return Some("a hook of Argo CD (argocd.argoproj.io/hook)".to_owned());
    }
    let events = annotation(value, "helm.sh/hook")?;
    let lasting = events.split(',').all(|event| event.trim() == "crd-install");
    (!lasting).then(|| "a hook of Helm (helm.sh/hook)".to_owned())
}

fn annotation<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value
        .get("metadata")?
        .get("annotations")?
        .get(name)?
        .as_str()
}

/// Which object a text that cannot be read is probably about, by its lines: to report it as not
/// known instead of as not desired.
fn guess(text: &[u8]) -> Option<Identity> {
    let text = String::from_utf8_lossy(text);
    let (mut version, mut kind, mut namespace, mut name) = (None, None, None, None);
    let mut indent = None;
    let mut in_metadata = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let depth = line.len() - trimmed.len();
        let Some((key, value)) = trimmed.split_once(':') else {
            continue;
        };
        let value = plain(value);
        if depth == 0 {
            in_metadata = key == "metadata";
            match key {
                "apiVersion" => version = version.or(value),
                "kind" => kind = kind.or(value),
                _ => {}
            }
        } else if in_metadata && *indent.get_or_insert(depth) == depth {
            match key {
                "name" => name = name.or(value),
                "namespace" => namespace = namespace.or(value),
                _ => {}
            }
        }
    }
    let version = version?;
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Some(Identity {
        group: group.into(),
        kind: kind?.into(),
        namespace: namespace.map(Into::into),
        name: name?.into(),
    })
}

/// A scalar that can only be a name.
fn plain(text: &str) -> Option<&str> {
    let text = text.split(" #").next().unwrap_or(text).trim();
    let text = text.trim_matches(|c| c == '"' || c == '\'');
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/' | ':');
    (!text.is_empty() && text.len() <= 253 && text.chars().all(good)).then_some(text)
}
