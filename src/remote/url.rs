/// Why a URL is refused. The URL itself is not shown where it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It could be taken for an option, or holds control characters, or is empty.
    #[error("'{}' is no URL of a repository", .0.escape_debug())]
    Malformed(String),
    /// It holds a password.
    #[error("it holds a password: name a token file or a credential helper instead")]
    Password,
    /// Its protocol is not one that we use.
    #[error("'{}' is not supported: use https, ssh, file or a path", .0.escape_debug())]
    Protocol(String),
    /// It is plain HTTP to another machine.
    #[error("http would send the token readable by everybody on the way: use https or ssh")]
    PlainHttp,
}

/// How a remote is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
    Ssh,
    File,
}

impl Scheme {
    /// As in `GIT_ALLOW_PROTOCOL`.
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// Checks a URL as `git` would read it: <https://git-scm.com/docs/git-fetch#_git_urls>.
///
/// Plain HTTP is for this machine (tests, a forge beside us) unless `allow_http`.
pub(super) fn check(url: &str, allow_http: bool) -> Result<Scheme, UrlError> {
    let malformed = || UrlError::Malformed(url.to_owned());
    if url.is_empty() || url.starts_with('-') || url.chars().any(char::is_control) {
        return Err(malformed());
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return check_short(url);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err(UrlError::Password);
    }
    let scheme = match scheme {
        "https" => Scheme::Https,
        "http" if allow_http || is_loopback(host) => Scheme::Http,
        "http" => return Err(UrlError::PlainHttp),
        "ssh" => Scheme::Ssh,
        "file" => return Ok(Scheme::File),
        other => return Err(UrlError::Protocol(other.to_owned())),
    };
    if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
        return Err(malformed());
    }
    Ok(scheme)
}

/// A URL without `://`: `user@host:path` if a colon comes before the first slash, else a path.
fn check_short(url: &str) -> Result<Scheme, UrlError> {
    let start = url.split('/').next().unwrap_or_default();
    let Some((host, path)) = start.split_once(':') else {
        return Ok(Scheme::File);
    };
    if path.starts_with(':') {
        // `ext::sh -c …` runs a program.
        return Err(UrlError::Protocol(host.to_owned()));
    }
    let (user, machine) = host.rsplit_once('@').unwrap_or(("", host));
    if machine.is_empty() || machine.starts_with('-') || user.starts_with('-') {
        return Err(UrlError::Malformed(url.to_owned()));
    }
    // `user:password@host…`, which git would take for a host called `user`.
    if url.contains('@') && user.is_empty() {
        return Err(UrlError::Password);
    }
    Ok(Scheme::Ssh)
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether Git takes `name` for a full ref name: <https://git-scm.com/docs/git-check-ref-format>.
pub(super) fn is_ref_name(name: &str) -> bool {
    let plain = name.starts_with("refs/")
        && name.split('/').count() > 2
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && !name
            .chars()
            .any(|c| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\'));
    plain
        && name.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && part.strip_suffix(".lock").is_none()
        })
}
