//! One rule file: its shape, and what it says.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::matching::Match;
use super::path::{FieldPath, Segment};
use super::redact::Encoding;

/// A rule's name, as trailers, logs and `explain` show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub struct RuleName(Arc<str>);

impl RuleName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for RuleName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a value that a rule redacts is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretMode {
    /// A keyed digest: a change shows, the value does not.
    Digest,
    /// A fixed text: not even a change shows.
    Omit,
    /// As it is, in a file whose `data` and `stringData` are encrypted for `sops`.
    Sops,
    /// As it is.
    Plain,
}

/// One rule as its file has it. `filters/core.yaml` begins with a description of the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) name: RuleName,
    pub(super) reason: String,
    /// The page that says so.
    #[serde(default)]
    pub(super) see: String,
    #[serde(default, rename = "match")]
    pub(super) matches: Match,
    #[serde(default)]
    pub(super) not: Vec<Match>,
    #[serde(default)]
    pub(super) drop: bool,
    #[serde(default)]
    pub(super) keep: Keep,
    #[serde(default)]
    pub(super) prune: Vec<Target>,
    #[serde(default)]
    pub(super) prune_always: Vec<Target>,
    #[serde(default)]
    pub(super) prune_unless_asked_for: Vec<AllocatedField>,
    #[serde(default)]
    pub(super) prune_unless_written_with: Vec<InjectedField>,
    #[serde(default)]
    pub(super) prune_while_autoscaled: Vec<Target>,
    #[serde(default)]
    pub(super) prune_written_by: Option<WrittenBy>,
    #[serde(default)]
    pub(super) sort: Vec<SortedList>,
    #[serde(default)]
    pub(super) redact: Vec<RedactedField>,
    #[serde(default)]
    pub(super) digest_large: Option<LargeValues>,
    /// Objects of which `when` could not be decided.
    #[serde(skip)]
    pub(super) undecided: AtomicU64,
}

/// A field path of a rule, and whether an object ever had it.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) path: FieldPath,
    seen: Arc<AtomicBool>,
}

impl Target {
    /// Says that an object has the path. Read first: a line of memory that every feed writes to
    /// with each object would be slow.
    pub(super) fn see(&self) {
        if !self.seen.load(Ordering::Relaxed) {
            self.seen.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FieldPath::deserialize(deserializer).map(|path| Self {
            path,
            seen: Arc::default(),
        })
    }
}

/// What survives the rules before: nothing more than without the rule, the object, or these paths.
pub(super) enum Keep {
    Object(bool),
    Paths(Vec<Target>),
}

impl Default for Keep {
    fn default() -> Self {
        Self::Object(false)
    }
}

impl Keep {
    pub(super) fn paths(&self) -> &[Target] {
        match self {
            Self::Object(_) => &[],
            Self::Paths(paths) => paths,
        }
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Keep;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or a list of field paths")
            }

            fn visit_bool<E: Error>(self, keep: bool) -> Result<Keep, E> {
                Ok(Keep::Object(keep))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keep, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = list.next_element()? {
                    paths.push(path);
                }
                Ok(Keep::Paths(paths))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllocatedField {
    pub(super) path: Target,
    /// Values that no allocator gives.
    #[serde(default)]
    pub(super) keep: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InjectedField {
    pub(super) path: Target,
    /// The field beside it whose writers are those that ask for the whole.
    pub(super) sibling: String,
    /// Globs of managers that inject nothing: people and deployers.
    #[serde(default)]
    pub(super) authors: Option<super::matching::Globs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenBy {
    pub(super) managers: Vec<String>,
    pub(super) paths: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SortedList {
    pub(super) path: Target,
    /// Fields of the elements, in their order of weight; the whole element where there are none.
    #[serde(default)]
    pub(super) by: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedactedField {
    pub(super) path: Target,
    #[serde(default)]
    pub(super) encoding: Encoding,
    #[serde(default)]
    pub(super) mode: Option<SecretMode>,
}

/// Above which size values become digests, in bytes of text.
const LARGE: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LargeValues {
    pub(super) paths: Vec<Target>,
    #[serde(default = "large")]
    pub(super) above: usize,
    #[serde(default)]
    pub(super) text: LargeText,
}

fn large() -> usize {
    LARGE
}

/// Which large texts are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum LargeText {
    /// What looks like base64, or holds control characters: packed or encrypted, most likely.
    #[default]
    Packed,
    /// Any.
    Any,
}

impl Rule {
    /// Every path, in the order of the actions.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.prune
            .iter()
            .chain(&self.prune_always)
            .chain(self.prune_unless_asked_for.iter().map(|field| &field.path))
            .chain(self.prune_unless_written_with.iter().map(|f| &f.path))
            .chain(&self.prune_while_autoscaled)
            .chain(self.prune_written_by.iter().flat_map(|by| &by.paths))
            .chain(self.keep.paths())
            .chain(self.sort.iter().map(|list| &list.path))
            .chain(self.redact.iter().map(|field| &field.path))
            .chain(self.digest_large.iter().flat_map(|large| &large.paths))
    }

    pub(super) fn keeps_object(&self) -> bool {
        matches!(self.keep, Keep::Object(true))
    }

    /// Whether it keeps values out of the mirror, so that no other rule may stand in its place.
    pub(super) fn guards(&self) -> bool {
        !self.redact.is_empty() || !self.prune_always.is_empty()
    }

    fn problem(&self, policy: &Policy<'_>) -> Option<String> {
        let changes = self.targets().next().is_some();
        if self.drop == (changes || self.keeps_object()) {
            return Some("expected actions; 'drop' stands alone".to_owned());
        }
        if policy.guarded.contains(&self.name) {
            return Some(
                "is built in and keeps values out of Git: expected another name; \
                 how Secrets are written is not for a rule of this name to say"
                    .to_owned(),
            );
        }
        self.redact.iter().find_map(|field| {
            let path = &field.path.path;
            match field.mode {
                Some(SecretMode::Plain) if !policy.allow_plaintext => Some(format!(
                    "'mode: plain' would write '{path}' into Git as it is: expected another mode, \
                     or plaintext to be allowed by its flag"
                )),
                Some(SecretMode::Sops) if !is_sealable(path) => Some(format!(
                    "'mode: sops' encrypts the whole of 'data' or 'stringData': \
                     expected 'data[*]' or 'stringData[*]', not '{path}'"
                )),
                _ => None,
            }
        })
    }
}

/// Whether sops files encrypt the path: `encrypted_regex: ^(data|stringData)$`.
fn is_sealable(path: &FieldPath) -> bool {
    matches!(path.segments(), [Segment::Field(name), Segment::Any]
        if matches!(&**name, "data" | "stringData"))
}

/// The header of a preset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) default: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Switch {
    On,
    Off,
}

/// What a file may say.
#[derive(Default)]
pub(super) struct Policy<'a> {
    /// Whether `mode: plain` is allowed.
    pub(super) allow_plaintext: bool,
    /// Names of rules that it may not replace.
    pub(super) guarded: &'a [RuleName],
    /// Whether it has a preset's header.
    pub(super) preset: bool,
}

/// A file of rules, as it was read.
pub(super) struct RuleFile {
    pub(super) preset: Option<Header>,
    pub(super) rules: Vec<Rule>,
}

impl<'de> DeserializeSeed<'de> for &Policy<'_> {
    type Value = RuleFile;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RuleFile, D::Error> {
        const WITH_HEADER: &[&str] = &["preset", "rules"];
        let fields = if self.preset {
            WITH_HEADER
        } else {
            &WITH_HEADER[1..]
        };
        deserializer.deserialize_struct(
            "RuleFile",
            fields,
            FileVisitor {
                policy: self,
                fields,
            },
        )
    }
}

struct FileVisitor<'p> {
    policy: &'p Policy<'p>,
    fields: &'static [&'static str],
}

impl<'de> Visitor<'de> for FileVisitor<'_> {
    type Value = RuleFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with 'rules'")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RuleFile, A::Error> {
        let (mut preset, mut rules) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "rules" if rules.is_none() => {
                    rules = Some(map.next_value_seed(RuleList(self.policy))?);
                }
                "preset" if self.policy.preset && preset.is_none() => {
                    preset = Some(map.next_value()?);
                }
                "rules" | "preset" if self.fields.contains(&key.as_str()) => {
                    return Err(A::Error::custom(format!("'{key}' stands here twice")));
                }
                _ => return Err(A::Error::unknown_field(&key, self.fields)),
            }
        }
        if self.policy.preset && preset.is_none() {
            return Err(A::Error::missing_field("preset"));
        }
        Ok(RuleFile {
            preset,
            rules: rules.ok_or_else(|| A::Error::missing_field("rules"))?,
        })
    }
}

struct RuleList<'p>(&'p Policy<'p>);

impl<'de> DeserializeSeed<'de> for RuleList<'_> {
    type Value = Vec<Rule>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Rule>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RuleList<'_> {
    type Value = Vec<Rule>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rules")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Rule>, A::Error> {
        let mut rules: Vec<Rule> = Vec::new();
        while let Some(rule) = list.next_element_seed(OneRule {
            policy: self.0,
            before: &rules,
        })? {
            rules.push(rule);
        }
        Ok(rules)
    }
}

/// Reads and checks a rule within its own place, so that an error has that place.
struct OneRule<'p> {
    policy: &'p Policy<'p>,
    before: &'p [Rule],
}

impl<'de> DeserializeSeed<'de> for OneRule<'_> {
    type Value = Rule;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rule, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneRule<'_> {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rule, A::Error> {
        let rule = Rule::deserialize(MapAccessDeserializer::new(map))?;
        if self.before.iter().any(|other| other.name == rule.name) {
            return Err(A::Error::custom(
                "expected another name, two rules have this one",
            ));
        }
        match rule.problem(self.policy) {
            Some(problem) => Err(A::Error::custom(problem)),
            None => Ok(rule),
        }
    }
}
