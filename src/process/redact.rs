/// The shortest text that is hidden as a secret: shorter ones would turn messages into stars and
/// tell by that what they are.
const SHORTEST: usize = 4;
const HIDDEN: &str = "***";

/// Hides the given secrets, and user and password of URLs (`//user:password@`).
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        // A file of a token often ends in a line break, which messages do not show.
        let secret = secret.trim();
        if secret.len() >= SHORTEST {
            text = text.replace(secret, HIDDEN);
        }
    }
    hide_userinfo(&text)
}

/// Hides what lies between `//` and `@` in the authority of each URL, if it holds a colon: a name
/// alone is no secret.
fn hide_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (before, after) = rest.split_at(at + 2);
        out.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>'))
            .unwrap_or(after.len());
        let authority = &after[..end];
        match authority.rfind('@') {
            Some(at) if authority[..at].contains(':') => {
                out.push_str(HIDDEN);
                rest = &after[at..];
            }
            _ => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// Makes one line of at most `cap` characters out of what a program said. Control characters,
/// which could move a terminal's cursor, count as spaces.
pub fn one_line(text: &str, cap: usize) -> String {
    let mut line = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.chars().count() > cap {
        line = line.chars().take(cap.saturating_sub(1)).collect();
        line.push('…');
    }
    line
}
