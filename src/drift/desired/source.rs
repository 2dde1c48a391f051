//! `[NAME=]SOURCE`, as users write it. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// A desired source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name in reports, unique among the sources of one run.
    pub name: String,
    /// What it is, and where.
    pub kind: SourceKind,
    /// The namespace of manifests that name none: `?namespace=NS`.
    pub namespace: Option<Box<str>>,
    /// Whether it may be rendered: `?render=true`, `?render=false`; `None` where it does not say.
    pub render: Option<bool>,
}

/// What a source is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// What the cluster itself says: `auto`.
    Auto,
    /// Standard input: `-`.
    Stdin,
    /// A file or folder; one that holds a `kustomization.yaml` or a `Chart.yaml` is rendered if
    /// rendering is asked for, and a problem if it is not.
    Path(PathBuf),
    /// A file or folder whose files are read as they are: `path:PATH`.
    Plain(PathBuf),
    /// A file or folder at a revision of a Git repository: `REPO@REF[:PATH]`.
    Git(GitPlace),
    /// `kustomize:FOLDER`, `kustomize:REPO@REF[:PATH]`.
    Kustomize(Tree),
    /// `helm:CHART?release=NAME&values=FILE`, `helm:REPO@REF[:PATH]?…`.
    Helm {
        /// The chart's folder (or, on disk, its archive).
        chart: Tree,
        /// What to render it with.
        options: HelmOptions,
    },
}

/// A folder on disk or in a Git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// On disk.
    Folder(PathBuf),
    /// In a repository.
    Git(GitPlace),
}

/// A place in a Git repository.
#[derive(Clone, PartialEq, Eq)]
pub struct GitPlace {
    /// A path on this machine or a URL, as `git fetch` takes it.
    pub repository: String,
    /// A branch, tag or commit.
    pub reference: String,
    /// A file or folder in it; empty for all of it.
    pub path: String,
}

/// Without the password that a URL may hold.
impl fmt::Debug for GitPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GitPlace").field(&self.to_string()).finish()
    }
}

/// As it is written, without a password.
impl fmt::Display for GitPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repository = crate::process::redact(&self.repository, []);
        write!(f, "{repository}@{}", self.reference)?;
        if !self.path.is_empty() {
            write!(f, ":{}", self.path)?;
        }
        Ok(())
    }
}

/// What `helm template` is told: <https://helm.sh/docs/helm/helm_template/>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelmOptions {
    /// The release's name; the chart's folder's name where it is not said.
    pub release: Option<String>,
    /// Files of values on this machine, in order: the last one wins.
    pub values: Vec<PathBuf>,
}

/// Why a source cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing is said.
    #[error(
        "a source is missing: say where the desired state is, such as auto, ./deploy, \
         repo.git@main:apps, kustomize:overlays/prod, helm:charts/shop?release=shop, or - for \
         standard input"
    )]
    Empty,
    /// An option after `?` that is none.
    #[error(
        "'{}' has the option '{}': expected {expected}, such as ./deploy?namespace=shop",
        source_text.escape_debug(), option.escape_debug()
    )]
    Option {
        /// The source.
        source_text: String,
        /// The option's name.
        option: String,
        /// What is known.
        expected: &'static str,
    },
    /// An option with a value that it cannot have.
    #[error("'{}': {option} cannot be '{}': expected {expected}", source_text.escape_debug(), value.escape_debug())]
    Value {
        /// The source.
        source_text: String,
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// A revision that Git could not have.
    #[error(
        "'{}': '{}' cannot be a branch, tag or commit: expected REPO@REF or REPO@REF:PATH, such as \
         ./repo@main:apps or git@host:team/repo.git@v1.2", source_text.escape_debug(), reference.escape_debug()
    )]
    Reference {
        /// The source.
        source_text: String,
        /// What stands in the revision's place.
        reference: String,
    },
    /// A path that leaves the repository.
    #[error("'{}': the path in a repository starts at its root and has no '..', such as ./repo@main:apps", source_text.escape_debug())]
    Path {
        /// The source.
        source_text: String,
    },
    /// A repository that could be taken for an option, or is none.
    #[error("'{}' names no repository before the '@': expected REPO@REF[:PATH], such as ./repo@main:apps; a file or folder with an '@' in its name is path:NAME", source_text.escape_debug())]
    Repository {
        /// The source.
        source_text: String,
    },
    /// Two sources with one name.
    #[error("two sources are called '{}': give each a name of its own, NAME=SOURCE", .0.escape_debug())]
    Twice(String),
}

impl Source {
    /// Reads `[NAME=]SOURCE[?OPTION=VALUE&…]`. Looks at the text alone, not at the disk.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let (name, source) = match text.split_once('=') {
            Some((name, source)) if is_name(name) => (Some(name), source),
            _ => (None, text),
        };
        let (place, options) = split_options(source);
        if place.is_empty() {
            return Err(SourceError::Empty);
        }
        let mut parsed = Self {
            name: String::new(),
            kind: kind(source, place)?,
            namespace: None,
            render: None,
        };
        for (option, value) in options {
            parsed.set(source, option, value)?;
        }
        parsed.name = name.map_or_else(|| parsed.kind.default_name(), str::to_owned);
        Ok(parsed)
    }

    /// Reads several. A name that one source was not given, and that another one has, becomes the
    /// source's own text.
    pub fn parse_all<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>, SourceError> {
        let mut sources = texts
            .iter()
            .map(|text| Self::parse(text.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
        for source in &mut sources {
            let same = names.iter().filter(|name| **name == source.name).count();
            if same > 1 && source.name == source.kind.default_name() {
                source.name = source.kind.to_string();
            }
        }
        let mut seen = BTreeSet::new();
        for source in &sources {
            if !seen.insert(&source.name) {
                return Err(SourceError::Twice(source.name.clone()));
            }
        }
        Ok(sources)
    }

    fn set(&mut self, source: &str, option: &str, value: &str) -> Result<(), SourceError> {
        let wrong = |option, expected| SourceError::Value {
            source_text: source.to_owned(),
            option,
            value: value.to_owned(),
            expected,
        };
        match (option, &mut self.kind) {
            ("namespace", _) if is_dns_label(value) => self.namespace = Some(value.into()),
            ("namespace", _) => return Err(wrong("namespace", "the name of a namespace")),
            ("render", kind) if !matches!(kind, SourceKind::Auto | SourceKind::Stdin) => {
                let truth = value.parse();
                self.render = Some(truth.map_err(|_| wrong("render", "true or false"))?);
            }
            ("release", SourceKind::Helm { options, .. }) if is_dns_label(value) => {
                options.release = Some(value.to_owned());
            }
            ("release", SourceKind::Helm { .. }) => {
                return Err(wrong("release", "the name of a release"));
            }
            ("values", SourceKind::Helm { options, .. }) if !value.is_empty() => {
                options.values.push(value.into());
            }
            (_, kind) => {
                return Err(SourceError::Option {
                    source_text: source.to_owned(),
                    option: option.to_owned(),
                    expected: match kind {
                        SourceKind::Helm { .. } => "namespace, release, values or render",
                        SourceKind::Auto | SourceKind::Stdin => "namespace",
                        _ => "namespace or render",
                    },
                });
            }
        }
        Ok(())
    }
}

impl SourceKind {
    /// The kind's name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Stdin => "stdin",
            Self::Path(_) | Self::Plain(_) => "directory",
            Self::Git(_) => "git",
            Self::Kustomize(_) => "kustomize",
            Self::Helm { .. } => "helm",
        }
    }

    fn default_name(&self) -> String {
        let of_path = |path: &Path| match path.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => path.to_string_lossy().into_owned(),
        };
        let of_git = |place: &GitPlace| {
            let repository = place.repository.trim_end_matches('/');
            let last = repository.rsplit(['/', ':']).next().unwrap_or(repository);
            let last = last.strip_suffix(".git").unwrap_or(last);
            let inside = place.path.trim_matches('/');
            let name = if inside.is_empty() { last } else { inside };
            format!("{name}@{}", place.reference)
        };
        match self {
            Self::Auto | Self::Stdin => self.name().to_owned(),
            Self::Path(path)
            | Self::Plain(path)
            | Self::Kustomize(Tree::Folder(path))
            | Self::Helm {
                chart: Tree::Folder(path),
                ..
            } => of_path(path),
            Self::Git(place)
            | Self::Kustomize(Tree::Git(place))
            | Self::Helm {
                chart: Tree::Git(place),
                ..
            } => of_git(place),
        }
    }
}

/// The place as it is written, without options and passwords.
impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Stdin => f.write_str("-"),
            Self::Path(path) | Self::Plain(path) => write!(f, "{}", path.display()),
            Self::Git(place) => write!(f, "{place}"),
            Self::Kustomize(tree) => write!(f, "kustomize:{tree}"),
            Self::Helm { chart, .. } => write!(f, "helm:{chart}"),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Git(place) => write!(f, "{place}"),
        }
    }
}

fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && !text.starts_with(['.', '-']) && text.chars().all(good)
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names>
fn is_dns_label(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(good)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Cuts the options off: what follows the last `?`, if it is `word=…&word=…`.
fn split_options(source: &str) -> (&str, Vec<(&str, &str)>) {
    let Some((place, options)) = source.rsplit_once('?') else {
        return (source, Vec::new());
    };
    if !options.split('&').all(|option| option.contains('=')) {
        return (source, Vec::new());
    }
    let options: Vec<(&str, &str)> = options
        .split('&')
        .map(|option| option.split_once('=').unwrap_or((option, "")))
        .collect();
    let words = options.iter().all(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    if words {
        (place, options)
    } else {
        (source, Vec::new())
    }
}

fn kind(source: &str, place: &str) -> Result<SourceKind, SourceError> {
    let tree = |place: &str| -> Result<Tree, SourceError> {
        Ok(match git(source, place)? {
            Some(place) => Tree::Git(place),
            None if place.is_empty() => return Err(SourceError::Empty),
            None => Tree::Folder(place.into()),
        })
    };
    Ok(match place {
        "auto" => SourceKind::Auto,
        "-" => SourceKind::Stdin,
        _ => {
            if let Some(path) = place.strip_prefix("path:") {
                if path.is_empty() {
                    return Err(SourceError::Empty);
                }
                SourceKind::Plain(path.into())
            } else if let Some(folder) = place.strip_prefix("kustomize:") {
                SourceKind::Kustomize(tree(folder)?)
            } else if let Some(chart) = place.strip_prefix("helm:") {
                SourceKind::Helm {
                    chart: tree(chart)?,
                    options: HelmOptions::default(),
                }
            } else {
                match tree(place)? {
                    Tree::Folder(path) => SourceKind::Path(path),
                    Tree::Git(place) => SourceKind::Git(place),
                }
            }
        }
    })
}

/// Reads `REPO@REF[:PATH]`; `None` without an `@` that could begin a revision.
///
/// The first `@` begins the revision, but for the one between a user and a host: before the first
/// `/` of a URL's own part, and in `user@host:path@REF`
/// (<https://git-scm.com/docs/git-fetch#_git_urls>).
fn git(source: &str, place: &str) -> Result<Option<GitPlace>, SourceError> {
    let from = if let Some((scheme, rest)) = place.split_once("://") {
        let authority = rest.find('/').unwrap_or(rest.len());
        scheme.len() + 3 + authority
    } else {
        user_and_host(place)
    };
    let Some(at) = place[from..].find('@').map(|at| from + at) else {
        return Ok(None);
    };
    let (repository, rest) = (&place[..at], &place[at + 1..]);
    if repository.is_empty() || repository.starts_with('-') {
        return Err(SourceError::Repository {
            source_text: source.to_owned(),
        });
    }
    let (reference, path) = rest.split_once(':').unwrap_or((rest, ""));
    if !is_reference(reference) {
        return Err(SourceError::Reference {
            source_text: source.to_owned(),
            reference: reference.to_owned(),
        });
    }
    let path = path.trim_end_matches('/');
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = if path == "." { "" } else { path };
    let inside = |path: &str| {
        let parts = path.split('/');
        !path.chars().any(char::is_control)
            && parts
                .into_iter()
                .all(|part| !matches!(part, "" | "." | ".."))
    };
    if !path.is_empty() && !inside(path) {
        return Err(SourceError::Path {
            source_text: source.to_owned(),
        });
    }
    Ok(Some(GitPlace {
        repository: repository.to_owned(),
        reference: reference.to_owned(),
        path: path.to_owned(),
    }))
}

/// The length of `user@host:`, if a place begins with it: a user and a host without slashes, and
/// another `@` after them, for a revision is needed.
fn user_and_host(place: &str) -> usize {
    let Some((user, rest)) = place.split_once('@') else {
        return 0;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return 0;
    };
    let plain = |text: &str| !text.is_empty() && !text.contains(['/', ':', '@']);
    if plain(user) && plain(host) && path.contains('@') {
        user.len() + host.len() + 2
    } else {
        0
    }
}

/// Whether Git could take it for a revision, and for nothing else:
/// <https://git-scm.com/docs/git-check-ref-format>. `HEAD~1` and `@{upstream}` are for people at a
/// prompt, not for a report that names what it compared.
fn is_reference(text: &str) -> bool {
    let bad =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    !text.is_empty()
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
        && !text.chars().any(bad)
}
