//! Places that ignore rules name: jq path expressions and JSON pointers → [`Place`].
//!
//! Argo CD runs `del(EXPRESSION)` over both sides. We run no jq: the part of it that says where
//! something lies is translated into field paths, and everything else is refused by name.
//! <https://jqlang.org/manual/#basic-filters>,
//! <https://argo-cd.readthedocs.io/en/stable/user-guide/diffing/>

use crate::drift::accept::Place;
use crate::filter::{FieldPath, Segment};
use crate::object::Step;

/// As many steps as a field path may have.
const MOST_STEPS: usize = 64;
/// Parentheses that are followed inwards.
const MOST_NESTED: usize = 16;
/// Alternatives (`,` and `or`) of one expression.
const MOST_PATHS: usize = 64;

/// Why an expression names no place that we can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Untranslated(&'static str);

const UNKNOWN: Untranslated = Untranslated(
    "only paths, '[]', 'select(.key == \"value\")', 'and', 'or', ',' and '|' are known",
);
const POSITION: Untranslated =
    Untranslated("a position such as '[0]' cannot stand together with '[]' or 'select'");
const NOT_AN_ELEMENT: Untranslated = Untranslated("'select' must follow '[]'");
const TOO_LARGE: Untranslated = Untranslated("it is too large");
const WHOLE: Untranslated = Untranslated("it names the whole object");
const POINTER: Untranslated = Untranslated("a JSON pointer begins with '/'");

/// The places that a jq path expression names.
pub(super) fn places(expression: &str) -> Result<Vec<Place>, Untranslated> {
    let mut parser = Parser {
        rest: expression.trim_start(),
        depth: 0,
    };
    let paths = parser.pipe(vec![Vec::new()])?;
    if !parser.rest.is_empty() {
        return Err(UNKNOWN);
    }
    paths.into_iter().map(place).collect()
}

/// The place that a JSON pointer names: <https://www.rfc-editor.org/rfc/rfc6901>.
///
/// A pointer without numbers becomes a path, which means the same whatever the order of lists. A
/// number is a position, although it could be a map's key.
pub(super) fn pointer(text: &str) -> Result<Place, Untranslated> {
    let tokens = text.strip_prefix('/').ok_or(POINTER)?;
    let steps = tokens.split('/').map(|token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        match position(&token) {
            Some(position) => Part::Index(position),
            None => Part::Segment(segment(&token)),
        }
    });
    place(steps.collect())
}

/// A list position: digits without a leading zero.
fn position(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with('0');
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits).then(|| token.parse().ok()).flatten()
}

/// One step of a path that is not finished.
#[derive(Clone)]
enum Part {
    Segment(Segment),
    Index(usize),
}

fn segment(key: &str) -> Segment {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
    if !key.is_empty() && key.bytes().all(plain) {
        Segment::Field(key.into())
    } else {
        Segment::Key(key.into())
    }
}

fn place(parts: Vec<Part>) -> Result<Place, Untranslated> {
    if parts.len() > MOST_STEPS {
        return Err(TOO_LARGE);
    }
    if !parts.iter().any(|part| matches!(part, Part::Index(_))) {
        let segments = parts.into_iter().filter_map(|part| match part {
            Part::Segment(segment) => Some(segment),
            Part::Index(_) => None,
        });
        return FieldPath::from_segments(segments.collect())
            .map(Place::Path)
            .ok_or(WHOLE);
    }
    let steps = parts.into_iter().map(|part| match part {
        Part::Index(position) => Ok(Step::Index(position)),
        Part::Segment(Segment::Field(key) | Segment::Key(key)) => Ok(Step::Key(key)),
        Part::Segment(_) => Err(POSITION),
    });
    steps.collect::<Result<_, _>>().map(Place::Pointer)
}

/// Keys with their values, all of which must hold; and alternatives of those.
type Condition = Vec<Vec<(Box<str>, Box<str>)>>;

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Takes `token` and the blanks after it.
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// A word and the blanks after it; nothing else may be part of the word.
    fn take_word(&mut self, word: &str) -> bool {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        self.rest.strip_prefix(word).is_some_and(ends) && self.take(word)
    }

    fn expect(&mut self, token: &str) -> Result<(), Untranslated> {
        self.take(token).then_some(()).ok_or(UNKNOWN)
    }

    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Untranslated>,
    ) -> Result<T, Untranslated> {
        self.depth += 1;
        if self.depth > MOST_NESTED {
            return Err(TOO_LARGE);
        }
        let value = inner(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn pipe(&mut self, mut paths: Vec<Vec<Part>>) -> Result<Vec<Vec<Part>>, Untranslated> {
        loop {
            paths = self.comma(&paths)?;
            if !self.take("|") {
                return Ok(paths);
            }
        }
    }

    fn comma(&mut self, paths: &[Vec<Part>]) -> Result<Vec<Vec<Part>>, Untranslated> {
        let mut all = self.term(paths.to_vec())?;
        while self.take(",") {
            all.extend(self.term(paths.to_vec())?);
            if all.len() > MOST_PATHS {
                return Err(TOO_LARGE);
            }
        }
        Ok(all)
    }

    fn term(&mut self, mut paths: Vec<Vec<Part>>) -> Result<Vec<Vec<Part>>, Untranslated> {
        if self.take("(") {
            paths = self.nested(|parser| parser.pipe(paths))?;
            self.expect(")")?;
            return self.suffixes(paths);
        }
        if self.take_word("select") {
            self.expect("(")?;
            let condition = self.nested(Self::any_of)?;
            self.expect(")")?;
            paths = select(&paths, &condition)?;
            return self.suffixes(paths);
        }
        if !self.rest.starts_with('.') {
            return Err(UNKNOWN);
        }
        // A lone `.` is where we are; `.[` and `."` belong to what follows.
        self.rest = &self.rest[1..];
        match self.rest.chars().next() {
            Some('[') => {}
            Some('"') => {
                let key = self.string()?;
                push(&mut paths, &Part::Segment(segment(&key)));
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let key = self.name();
                push(&mut paths, &Part::Segment(segment(key)));
            }
            _ => {
                self.rest = self.rest.trim_start();
                return Ok(paths);
            }
        }
        self.suffixes(paths)
    }

    /// `.name`, `."name"`, `["name"]`, `[3]`, `[]` and `?`, as many as there are.
    fn suffixes(&mut self, mut paths: Vec<Vec<Part>>) -> Result<Vec<Vec<Part>>, Untranslated> {
        loop {
            if self.take("[") {
                let part = if self.take("]") {
                    push(&mut paths, &Part::Segment(Segment::Any));
                    continue;
                } else if self.rest.starts_with('"') {
                    Part::Segment(segment(&self.string()?))
                } else {
                    let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
                    let (number, rest) = self.rest.split_at(digits);
                    self.rest = rest;
                    Part::Index(number.parse().map_err(|_| UNKNOWN)?)
                };
                self.rest = self.rest.trim_start();
                self.expect("]")?;
                push(&mut paths, &part);
            } else if self.rest.starts_with(".[") {
                self.rest = &self.rest[1..];
            } else if self.rest.starts_with(".\"") {
                self.rest = &self.rest[1..];
                let key = self.string()?;
                push(&mut paths, &Part::Segment(segment(&key)));
            } else if self.rest.starts_with('.') {
                self.rest = &self.rest[1..];
                let key = self.name();
                if key.is_empty() {
                    return Err(UNKNOWN);
                }
                push(&mut paths, &Part::Segment(segment(key)));
            } else if !self.take("?") {
                self.rest = self.rest.trim_start();
                return Ok(paths);
            }
            if paths.iter().any(|path| path.len() > MOST_STEPS) {
                return Err(TOO_LARGE);
            }
        }
    }

    /// A name as jq has them: a hyphen would be a minus.
    fn name(&mut self) -> &'a str {
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let length = self.rest.chars().take_while(plain).count();
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name
    }

    /// A string as in JSON; `\(…)` is refused with it.
    fn string(&mut self) -> Result<String, Untranslated> {
        let mut strings = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let text = strings.next().and_then(Result::ok).ok_or(UNKNOWN)?;
        self.rest = &self.rest[strings.byte_offset()..];
        Ok(text)
    }

    fn any_of(&mut self) -> Result<Condition, Untranslated> {
        let mut alternatives = self.all_of()?;
        while self.take_word("or") {
            alternatives.extend(self.all_of()?);
        }
        Ok(alternatives)
    }

    fn all_of(&mut self) -> Result<Condition, Untranslated> {
        let mut all = self.equality()?;
        while self.take_word("and") {
            let more = self.equality()?;
            if all.len() * more.len() > MOST_PATHS {
                return Err(TOO_LARGE);
            }
            let both = all
                .iter()
                .flat_map(|one| more.iter().map(|other| [&one[..], other].concat()));
            all = both.collect();
        }
        Ok(all)
    }

    /// `.key == "value"`, or the other way round; the key is empty for `.` itself.
    fn equality(&mut self) -> Result<Condition, Untranslated> {
        if self.take("(") {
            let condition = self.nested(Self::any_of)?;
            self.expect(")")?;
            return Ok(condition);
        }
        let pair = if self.rest.starts_with('.') {
            let key = self.key()?;
            self.expect("==")?;
            (key, self.scalar()?)
        } else {
            let value = self.scalar()?;
            self.expect("==")?;
            (self.key()?, value)
        };
        Ok(vec![vec![pair]])
    }

    fn key(&mut self) -> Result<Box<str>, Untranslated> {
        let paths = self.term(vec![Vec::new()])?;
        match paths.first().map(Vec::as_slice) {
            Some([]) => Ok("".into()),
            // The keys of a field path's condition are plain names.
            Some([Part::Segment(Segment::Field(name))]) if paths.len() == 1 => Ok(name.clone()),
            _ => Err(UNKNOWN),
        }
    }

    fn scalar(&mut self) -> Result<Box<str>, Untranslated> {
        let text = if self.rest.starts_with('"') {
            self.string()?
        } else {
            let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
            let length = self.rest.chars().take_while(plain).count();
            let (word, rest) = self.rest.split_at(length);
            self.rest = rest;
            if !matches!(word, "true" | "false") && word.parse::<i64>().is_err() {
                return Err(UNKNOWN);
            }
            word.to_owned()
        };
        self.rest = self.rest.trim_start();
        Ok(text.into())
    }
}

fn push(paths: &mut [Vec<Part>], part: &Part) {
    for path in paths {
        path.push(part.clone());
    }
}

/// Narrows `[]` at the end of each path to the elements that fit.
fn select(paths: &[Vec<Part>], condition: &Condition) -> Result<Vec<Vec<Part>>, Untranslated> {
    if paths.len() * condition.len() > MOST_PATHS {
        return Err(TOO_LARGE);
    }
    let mut narrowed = Vec::new();
    for path in paths {
        let Some((Part::Segment(last), before)) = path.split_last() else {
            return Err(NOT_AN_ELEMENT);
        };
        for keys in condition {
            let known = match last {
                Segment::Any => &[],
                Segment::Where(known) => &known[..],
                _ => return Err(NOT_AN_ELEMENT),
            };
            let all = [known, keys].concat();
            let segment = match &all[..] {
                [(key, value)] if key.is_empty() => Segment::Item(value.clone()),
                _ if all.iter().any(|(key, _)| key.is_empty()) => return Err(UNKNOWN),
                _ => Segment::Where(all.into()),
            };
            narrowed.push([before, &[Part::Segment(segment)]].concat());
        }
    }
    Ok(narrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(expression: &str) -> Vec<String> {
        let places = places(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let shown = places.into_iter().map(|place| match place {
            Place::Path(path) => {
                // What is written must be read back as the same path by everyone.
                let text = path.to_string();
                assert_eq!(FieldPath::parse(&text), Ok(path), "{text}");
                text
            }
            Place::Pointer(steps) => format!("{steps:?}"),
        });
        shown.collect()
    }

    #[test]
    fn the_common_part_of_jq_becomes_field_paths() {
        for (expression, expected) in [
            (".spec.replicas", "spec.replicas"),
            (" .spec . replicas ", ""),
            (
                ".metadata.annotations[\"a.b/c\"]",
                "metadata.annotations[\"a.b/c\"]",
            ),
            (
                ".metadata.annotations.\"a.b/c\"",
                "metadata.annotations[\"a.b/c\"]",
            ),
            (
                ".metadata.annotations.[\"a.b/c\"]",
                "metadata.annotations[\"a.b/c\"]",
            ),
            (".[\"spec\"].replicas?", "spec.replicas"),
            (
                ".webhooks[]?.clientConfig.caBundle",
                "webhooks[*].clientConfig.caBundle",
            ),
            (
                ".webhooks[].clientConfig.caBundle?",
                "webhooks[*].clientConfig.caBundle",
            ),
            (
                ".spec.template.spec.containers[] | select(.name == \"x\") | .image",
                "spec.template.spec.containers[name=x].image",
            ),
            (
                ".spec.template.spec.containers[]|select(.name==\"x y\").env",
                "spec.template.spec.containers[name=\"x y\"].env",
            ),
            (
                "(.spec.containers[] | select(.name==\"x\")).env[] | select(.name==\"Y\") | .value",
                "spec.containers[name=x].env[name=Y].value",
            ),
            (
                ".spec.ports[] | select(.port == 80 and .protocol == \"TCP\") | .nodePort",
                "spec.ports[port=80,protocol=TCP].nodePort",
            ),
            (
                ".spec.ports[] | select(.port == 80) | select(.protocol == \"TCP\")",
                "spec.ports[port=80,protocol=TCP]",
            ),
            (
                ".metadata.finalizers[] | select(. == \"a/b\")",
                "metadata.finalizers[=a/b]",
            ),
            (
                ".spec.a[] | select(.name == \"x\" or \"y\" == .name)",
                "spec.a[name=x] spec.a[name=y]",
            ),
            (".spec.a, .spec.b", "spec.a spec.b"),
            (".spec | .a, .b", "spec.a spec.b"),
            (
                ".spec.a[0].b",
                "[Key(\"spec\"), Key(\"a\"), Index(0), Key(\"b\")]",
            ),
        ] {
            if expected.is_empty() {
                assert!(places(expression).is_err(), "{expression}");
            } else {
                assert_eq!(paths(expression).join(" "), expected, "{expression}");
            }
        }
    }

    #[test]
    fn whatever_else_jq_can_is_refused() {
        for expression in [
            "",
            ".",
            "..",
            "spec.replicas",
            ".spec.a-b",
            ".spec.replicas | tostring",
            ".metadata.labels | to_entries[]",
            ".spec.containers[] | select(.name | test(\"^x\"))",
            ".spec.containers[] | select(.name != \"x\")",
            ".spec.containers[] | select(.env.name == \"x\")",
            ".spec.containers[] | select(. == \"x\" and .name == \"y\")",
            ".spec | select(.name == \"x\")",
            ".spec.a[0] | .b[]",
            ".spec.a[-1]",
            ".spec.a[1:2]",
            ".a[\"x\\(1)\"]",
            ".a[",
            ".a[\"b",
            ".a | ",
            "(.a",
            "del(.a)",
            "selection(.a)",
        ] {
            assert!(places(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn hostile_expressions_end_soon() {
        for expression in [
            "(".repeat(100_000),
            ".a".repeat(100_000),
            "[]".repeat(100_000),
            format!(".a{}", "[]".repeat(100_000)),
            format!(".a[] | select({}.b == 1", "(".repeat(100_000)),
            format!(
                ".a[] | select({})",
                vec!["(.a == 1 or .b == 2)"; 500].join(" and ")
            ),
            vec![".a"; 10_000].join(", "),
            ".\u{00e9}".to_owned(),
        ] {
            assert!(places(&expression).is_err());
        }
    }

    #[test]
    fn pointers_become_paths_where_they_hold_no_position() {
        let path = |text: &str| Place::Path(FieldPath::parse(text).expect("a path"));
        assert_eq!(pointer("/spec/replicas"), Ok(path("spec.replicas")));
        assert_eq!(
            pointer("/metadata/annotations/a.b~1c~0d~01"),
            Ok(path("metadata.annotations[\"a.b/c~d~1\"]"))
        );
        assert_eq!(
            pointer("/a/0/b"),
            Ok(Place::Pointer(vec![
                Step::Key("a".into()),
                Step::Index(0),
                Step::Key("b".into())
            ]))
        );
        assert_eq!(pointer("/a/00"), Ok(path("a.00")));
        assert!(pointer("spec/replicas").is_err());
        assert!(pointer("").is_err());
        assert!(pointer(&"/a".repeat(100)).is_err());
    }
}
