//! Settings of `restore`.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use super::args::{DryRunChoice, RestoreArgs};
use super::settings::{
    ConfigError, Credentials, DEFAULT_REPOSITORY, check_namespace, check_url, credentials,
    is_branch_name, kubeconfig_search,
};
use crate::object::Prefix;

/// Where the mirror is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A bare repository on this machine.
    Path(PathBuf),
    /// A repository to fetch first.
    Url(String),
}

/// Which commit of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreAt {
    /// As Git writes revisions.
    Revision(String),
    /// The newest commit that is not younger, in seconds since 1970 UTC.
    Time(i64),
}

/// Everything that `restore` needs, validated.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct RestoreSettings {
    /// The mirror.
    pub place: Place,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// Below which its files lie.
    pub prefix: Prefix,
    /// The commit.
    pub at: RestoreAt,
    /// Files of age identities.
    pub identities: Vec<PathBuf>,
    /// Who a URL's server is told we are.
    pub credentials: Credentials,
    /// Namespaces; all where empty.
    pub namespaces: Vec<String>,
    /// Label selector, as given.
    pub selector: Option<String>,
    /// `KIND/NAME`s, as given.
    pub objects: Vec<String>,
    /// `--include-jobs`.
    pub include_jobs: bool,
    /// `--include-owned`.
    pub include_owned: bool,
    /// `--include-managed`.
    pub include_managed: bool,
    /// `--apply`.
    pub apply: bool,
    /// `--yes`.
    pub yes: bool,
    /// `--dry-run=server`.
    pub dry_run: bool,
    /// `--update`.
    pub update: bool,
    /// How long something is waited for.
    pub wait: Duration,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// The files of `KUBECONFIG`, or `~/.kube/config`.
    pub kubeconfig_search: Vec<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// Where a repository may be put for a while.
    pub temporary: PathBuf,
}

impl RestoreSettings {
    /// Validates.
    pub fn new(args: &RestoreArgs) -> Result<Self, ConfigError> {
        let text = args.repository.as_deref().unwrap_or(DEFAULT_REPOSITORY);
        let (place, branch) = mirror_place("repository", text)?;
        let wrong = |setting, value: &str, reason: &str| ConfigError::Value {
            setting,
            value: value.to_owned(),
            reason: reason.to_owned(),
        };
        let mut namespaces = args.namespaces.clone();
        namespaces.sort();
        namespaces.dedup();
        for namespace in &namespaces {
            check_namespace(namespace)?;
        }
        let at = args.at.as_deref().unwrap_or("HEAD");
        Ok(Self {
            place,
            branch,
            prefix: Prefix::new(args.prefix.as_deref().unwrap_or_default())
                .map_err(ConfigError::Prefix)?,
            at: revision_or_time(at).ok_or_else(|| {
                let reason = "not a time such as 2026-11-17T09:00Z, nor a revision";
                wrong("at", at, reason)
            })?,
            identities: args.identities.clone(),
            credentials: credentials(args.token_file.clone(), args.credential_helper.clone()),
            namespaces,
            selector: args.selector.clone(),
            objects: args.objects.clone(),
            include_jobs: args.include_jobs,
            include_owned: args.include_owned,
            include_managed: args.include_managed,
            apply: args.apply,
            yes: args.yes,
            dry_run: args.dry_run == Some(DryRunChoice::Server),
            update: args.update,
            wait: args.wait.unwrap_or(Duration::from_secs(60)),
            kubeconfig: args.cluster.kubeconfig.clone(),
            kubeconfig_search: kubeconfig_search(),
            context: args.cluster.context.clone(),
            temporary: env::temp_dir(),
        })
    }
}

/// Takes apart `REPO[#BRANCH]`; the branch is `main` where none is named.
pub(super) fn mirror_place(
    setting: &'static str,
    text: &str,
) -> Result<(Place, String), ConfigError> {
    let (place, branch) = text.rsplit_once('#').unwrap_or((text, "main"));
    let wrong = |reason: &str| ConfigError::Value {
        setting,
        value: text.to_owned(),
        reason: reason.to_owned(),
    };
    if place.is_empty() {
        return Err(wrong("give a path or URL before the '#'"));
    }
    if is_url(place) {
        check_url(place)?;
    }
    if !is_branch_name(branch) {
        return Err(wrong(
            "what follows the '#' is not a branch name (git check-ref-format)",
        ));
    }
    let found = if is_url(place) {
        Place::Url(place.to_owned())
    } else {
        Place::Path(place.into())
    };
    Ok((found, branch.to_owned()))
}

/// As `git` tells a URL from a path: <https://git-scm.com/docs/git-fetch#_git_urls>.
fn is_url(text: &str) -> bool {
    let short = text
        .split_once(':')
        .is_some_and(|(host, _)| !host.is_empty() && !host.contains('/'));
    text.contains("://") || short
}

/// What begins like a date is a time; without an offset it is UTC.
fn revision_or_time(text: &str) -> Option<RestoreAt> {
    let mut parts = text.splitn(3, '-');
    let is_number = |part: Option<&str>, length| {
        part.is_some_and(|part| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    if !(is_number(parts.next(), 4) && is_number(parts.next(), 2)) {
        return (!text.is_empty()).then(|| RestoreAt::Revision(text.to_owned()));
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(RestoreAt::Time(time.as_second()));
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(RestoreAt::Time(zoned.timestamp().as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_time_and_the_rest_a_revision() {
        let nine = RestoreAt::Time(1_794_906_000);
        for text in [
            "2026-11-17T09:00Z",
            "2026-11-17T09:00:00Z",
            "2026-11-17T10:00+01:00",
            "2026-11-17T09:00",
            "2026-11-17 09:00:00",
        ] {
            assert_eq!(revision_or_time(text), Some(nine.clone()), "{text}");
        }
        assert_eq!(
            revision_or_time("2026-11-17"),
            Some(RestoreAt::Time(1_794_873_600))
        );
        for text in ["HEAD~2", "20261117", "v1-2", "main"] {
            assert_eq!(
                revision_or_time(text),
                Some(RestoreAt::Revision(text.to_owned()))
            );
        }
        assert_eq!(revision_or_time("2026-11-77"), None);
    }

    #[test]
    fn a_repository_is_a_path_or_a_url() {
        for url in [
            "https://git.example.com/x.git",
            "ssh://git@example.com/x",
            "git@example.com:x.git",
            "file:///x",
        ] {
            assert!(is_url(url), "{url}");
        }
        for path in ["x.git", "/a/b.git", "./a:b", "../x"] {
            assert!(!is_url(path), "{path}");
        }
    }
}
