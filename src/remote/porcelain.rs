//! What `git push --porcelain` prints: <https://git-scm.com/docs/git-push#_output>.
//!
//! ```text
//! To <url>
//! <flag>\t<from>:<to>\t<summary> (<reason>)
//! Done
//! ```
//!
//! The flag is a space (moved), `+` (forced), `-` (deleted), `*` (new), `!` (refused) or `=` (had
//! it). URL and `Done` may be missing.

/// What all lines together mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pushed,
    UpToDate,
    /// The remote has something else than the lease says.
    Stale(String),
    /// The remote refused.
    Rejected(String),
}

/// Reads the output of one push; `None` where it names no ref, because the push came not so far.
pub(super) fn verdict(stdout: &str) -> Option<Verdict> {
    let lines: Vec<(char, &str)> = stdout.lines().filter_map(parse).collect();
    // With --atomic, one refusal refuses all; the others say only that.
    let refused =
        |(flag, summary): &&(char, &str)| *flag == '!' && !summary.contains("(atomic push fail");
    if let Some((_, summary)) = lines.iter().find(|line| refused(line)) {
        let summary = (*summary).to_owned();
        // The server's own check, between our lease and its update, says "is at … but expected".
        let stale = summary.contains("(stale info)")
            || summary.contains("(fetch first)")
            || summary.contains("(non-fast-forward)")
            || summary.contains("but expected");
        return Some(if stale {
            Verdict::Stale(summary)
        } else {
            Verdict::Rejected(summary)
        });
    }
    if let Some((_, summary)) = lines.iter().find(|(flag, _)| *flag == '!') {
        return Some(Verdict::Rejected((*summary).to_owned()));
    }
    if lines.is_empty() {
        None
    } else if lines.iter().all(|(flag, _)| *flag == '=') {
        Some(Verdict::UpToDate)
    } else {
        Some(Verdict::Pushed)
    }
}

/// A line about a ref: its flag and its summary.
fn parse(line: &str) -> Option<(char, &str)> {
    let mut fields = line.splitn(3, '\t');
    let flag = fields.next()?;
    let refs = fields.next()?;
    let summary = fields.next()?;
    let mut chars = flag.chars();
    match (chars.next()?, chars.next()) {
        (flag @ (' ' | '+' | '-' | '*' | '!' | '='), None) if refs.contains(':') => {
            Some((flag, summary))
        }
        _ => None,
    }
}

/// The words of the server and its hooks: the lines of standard error that begin with `remote:`.
pub(super) fn said_by_remote(stderr: &str) -> String {
    stderr
        .lines()
        .filter_map(|line| line.strip_prefix("remote:"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
