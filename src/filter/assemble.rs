//! From files, presets and switches to one set of rules.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::de::DeserializeSeed as _;
use sha2::{Digest, Sha256};

use super::plan::{self, TypePlan};
use super::presets::{Preset, presets};
use super::rules::{Policy, Rule, RuleFile, RuleName, SecretMode, Switch};
use crate::object::ApiType;

const CORE: &str = include_str!("../../filters/core.yaml");
const CORE_NAME: &str = "filters/core.yaml";
/// The built-in rule that the mode of Secrets is for.
const SECRET_VALUES: &str = "secret-values";
/// Largest file of rules that is read, in bytes.
pub(super) const LARGEST_FILE: usize = 1 << 20;

/// What a user is told of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleInfo<'a> {
    /// Its name.
    pub name: &'a RuleName,
    /// Why it is.
    pub reason: &'a str,
    /// The page that says so; empty where a user's rule names none.
    pub see: &'a str,
    /// Where it comes from.
    pub layer: RuleLayer<'a>,
}

/// Where a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleLayer<'a> {
    /// It is built in.
    Core,
    /// A preset of this name.
    Preset(&'a str),
    /// A user's file of this name.
    File(&'a str),
}

/// The same, kept with the rule.
#[derive(Clone)]
enum Layer {
    Core,
    Preset(Arc<str>),
    File(Arc<str>),
}

/// Rules that cannot be used. None of a set is, if one file is broken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A file that is none of rules.
    #[error("{file}{}: {}{problem}", place(*line, *column), named(rule.as_ref()))]
    File {
        /// Its name, as it was given.
        file: String,
        /// 1-based line; 0 where the reader knows none.
        line: usize,
        /// 1-based column; 0 where the reader knows none.
        column: usize,
        /// The rule that it stands in.
        rule: Option<RuleName>,
        /// What was found, and what was expected.
        problem: String,
    },
    /// No preset of this name.
    #[error("no preset is named '{}'{}", name.escape_debug(), suggestion(nearest.as_deref()))]
    UnknownPreset {
        /// The name that was asked for.
        name: String,
        /// The nearest that there is.
        nearest: Option<String>,
    },
    /// Secrets in plaintext, without the word that allows it.
    #[error(
        "mode 'plain' would write every Secret into Git as it is: choose another mode, or allow \
         plaintext by its flag"
    )]
    Plaintext,
}

fn place(line: usize, column: usize) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(":{line}:{column}")
    }
}

fn named(rule: Option<&RuleName>) -> String {
    rule.map_or(String::new(), |rule| format!("rule '{rule}': "))
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!(", did you mean '{name}'?"))
}

/// A file of rules that the user gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFile {
    /// Its name, for errors.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// What a set of rules is made of, beside those that are built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The user's files; the later wins.
    pub files: Vec<UserFile>,
    /// Presets that are switched on or off by name; the others are as their default is. The later
    /// wins.
    pub presets: Vec<(String, bool)>,
    /// How values of Secrets are written.
    pub secrets: SecretMode,
    /// Whether values that a rule redacts may be written as they are.
    pub allow_plaintext: bool,
}

impl Default for Selection {
    /// Every preset as its default is, Secrets as digests.
    fn default() -> Self {
        Self {
            files: Vec::new(),
            presets: Vec::new(),
            secrets: SecretMode::Digest,
            allow_plaintext: false,
        }
    }
}

/// A rule, and whether somebody asked for it by name.
struct Chosen {
    rule: Arc<Rule>,
    asked_for: bool,
    layer: Layer,
}

/// A set of rules, ready to be compiled per type.
pub struct Rules {
    chosen: Vec<Chosen>,
    fingerprint: String,
}

impl Rules {
    /// The rules that every mirror follows, embedded from `filters/core.yaml`; no presets.
    ///
    /// # Panics
    ///
    /// Never: a test reads them.
    pub fn core() -> Self {
        Self::parse(CORE).expect("the embedded rules are read by a test")
    }

    /// Reads one file as the whole set.
    pub fn parse(yaml: &str) -> Result<Self, RulesError> {
        let mut set = Set::default();
        let rules = read("the rules", yaml, &Policy::default())?.rules;
        set.add(rules, false, &Layer::Core);
        set.hash(yaml);
        Ok(set.finish())
    }

    /// Puts together the built-in rules, presets and the user's files.
    ///
    /// The order is that of precedence: built-in < preset < the user's files, as they were given;
    /// within a file, and between these, the later rule wins. A rule replaces one of the same name
    /// that comes before it from another file; those that keep values out of Git cannot be
    /// replaced.
    ///
    /// # Panics
    ///
    /// Never: a test reads what is embedded.
    pub fn assemble(selection: &Selection) -> Result<Self, RulesError> {
        if selection.secrets == SecretMode::Plain && !selection.allow_plaintext {
            return Err(RulesError::Plaintext);
        }
        for (name, _) in &selection.presets {
            if !presets().iter().any(|preset| preset.name == *name) {
                let known = presets().iter().map(|preset| &*preset.name);
                return Err(RulesError::UnknownPreset {
                    name: name.clone(),
                    nearest: nearest(name, known).map(str::to_owned),
                });
            }
        }
        let mut set = Set::default();
        let mut core = read(CORE_NAME, CORE, &Policy::default())?.rules;
        for rule in &mut core {
            if rule.name.as_str() == SECRET_VALUES {
                for field in &mut rule.redact {
                    field.mode = Some(selection.secrets);
                }
            }
        }
        set.hash(CORE);
        set.hash(&format!(
            "secrets {:?}, plaintext {}",
            selection.secrets, selection.allow_plaintext
        ));
        set.add(core, false, &Layer::Core);
        let policy = Policy {
            allow_plaintext: selection.allow_plaintext,
            guarded: &set.guarded(),
            preset: false,
        };
        for preset in presets() {
            let switch = selection.presets.iter().rev();
            let switch = switch
                .filter(|(name, _)| *name == preset.name)
                .map(|(_, on)| *on)
                .next();
            if switch.unwrap_or(preset.on_by_default) {
                let policy = Policy {
                    preset: true,
                    ..policy
                };
                set.hash(preset.text);
                set.add(
                    read(&preset.name, preset.text, &policy)?.rules,
                    switch == Some(true),
                    &Layer::Preset(preset.name.as_str().into()),
                );
            }
        }
        for file in &selection.files {
            set.hash(&file.text);
            let rules = read(&file.name, &file.text, &policy)?.rules;
            set.add(rules, true, &Layer::File(file.name.as_str().into()));
        }
        Ok(set.finish())
    }

    /// Compiles the rules for one type. Ask once per type, not per object.
    pub fn plan(&self, api_type: &ApiType) -> TypePlan {
        plan::compile(self.rules(), api_type)
    }

    fn rules(&self) -> impl DoubleEndedIterator<Item = &Arc<Rule>> {
        self.chosen.iter().map(|chosen| &chosen.rule)
    }

    /// The rule that drops a group whole, whatever its resources are called.
    ///
    /// For groups whose discovery fails: such a group is dropped, not *unknown*.
    pub fn drops_group(&self, group: &str) -> Option<&RuleName> {
        let last_keep = self
            .chosen
            .iter()
            .rposition(|one| one.rule.keeps_object() && one.rule.matches.may_fit_group(group));
        self.rules()
            .skip(last_keep.map_or(0, |at| at + 1))
            .find(|rule| rule.drop && rule.not.is_empty() && rule.matches.fits_group(group))
            .map(|rule| &rule.name)
    }

    /// The first rule that leaves values to encryption, if any does.
    pub fn seals(&self) -> Option<&RuleName> {
        let seals = |rule: &&Arc<Rule>| {
            let mut modes = rule.redact.iter().map(|field| field.mode);
            modes.any(|mode| mode == Some(SecretMode::Sops))
        };
        self.rules().find(seals).map(|rule| &rule.name)
    }

    /// How values of Secrets are written, where no rule of the user says otherwise.
    pub fn secret_mode(&self) -> SecretMode {
        let core = |rule: &&Arc<Rule>| rule.name.as_str() == SECRET_VALUES;
        let mut fields = self.rules().filter(core).flat_map(|rule| &rule.redact);
        fields
            .find_map(|field| field.mode)
            .unwrap_or(SecretMode::Digest)
    }

    /// All rules, in order.
    pub fn iter(&self) -> impl Iterator<Item = RuleInfo<'_>> {
        self.chosen.iter().map(|chosen| RuleInfo {
            name: &chosen.rule.name,
            reason: &chosen.rule.reason,
            see: &chosen.rule.see,
            layer: match &chosen.layer {
                Layer::Core => RuleLayer::Core,
                Layer::Preset(name) => RuleLayer::Preset(name),
                Layer::File(name) => RuleLayer::File(name),
            },
        })
    }

    /// Whether the rules of this preset are among these, as far as no other rule replaces them.
    pub fn has_preset(&self, name: &str) -> bool {
        self.iter()
            .any(|rule| rule.layer == RuleLayer::Preset(name))
    }

    /// The rule of this name.
    pub fn get(&self, name: &RuleName) -> Option<RuleInfo<'_>> {
        self.iter().find(|rule| rule.name == name)
    }

    /// Paths that no object had since these rules were made: of the user's rules, and of presets
    /// that were switched on by name. Each with its rule, in order.
    pub fn unmatched(&self) -> Vec<(RuleName, String)> {
        let asked_for = self.chosen.iter().filter(|chosen| chosen.asked_for);
        asked_for
            .flat_map(|chosen| {
                let unseen = chosen.rule.targets().filter(|target| !target.is_seen());
                unseen.map(|target| (chosen.rule.name.clone(), target.path.to_string()))
            })
            .collect()
    }

    /// Rules whose `when` gave neither true nor false, with the number of objects for which it
    /// did not. An object counts again each time it is filtered.
    pub fn undecided(&self) -> Vec<(RuleName, u64)> {
        self.rules()
            .map(|rule| (rule.name.clone(), rule.undecided.load(Ordering::Relaxed)))
            .filter(|(_, objects)| *objects > 0)
            .collect()
    }

    /// The paths that are removed from every object of a type.
    #[cfg(test)]
    pub(super) fn pruned_paths(&self, api_type: &ApiType) -> Vec<&super::path::FieldPath> {
        self.rules()
            .filter(|rule| rule.matches.fits_type(api_type) && rule.matches.type_decides())
            .flat_map(|rule| rule.prune.iter().chain(&rule.prune_always))
            .map(|target| &target.path)
            .collect()
    }

    /// 16 hex digits of a SHA-256 of all that the rules say: their text and the switches.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// A set as it grows.
#[derive(Default)]
struct Set {
    chosen: Vec<Chosen>,
    hasher: Sha256,
}

impl Set {
    fn add(&mut self, rules: Vec<Rule>, asked_for: bool, layer: &Layer) {
        self.chosen
            .retain(|old| rules.iter().all(|new| new.name != old.rule.name));
        self.chosen.extend(rules.into_iter().map(|rule| Chosen {
            rule: Arc::new(rule),
            asked_for,
            layer: layer.clone(),
        }));
    }

    fn guarded(&self) -> Vec<RuleName> {
        let guards = self.chosen.iter().filter(|chosen| chosen.rule.guards());
        guards.map(|chosen| chosen.rule.name.clone()).collect()
    }

    /// Lengths first, so that no two lists of texts are hashed alike.
    fn hash(&mut self, text: &str) {
        self.hasher.update(text.len().to_be_bytes());
        self.hasher.update(text.as_bytes());
    }

    fn finish(self) -> Rules {
        let mut fingerprint = String::new();
        for byte in &self.hasher.finalize()[..8] {
            // Writing to a String cannot fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        Rules {
            chosen: self.chosen,
            fingerprint,
        }
    }
}

/// Reads what a preset's file says of itself.
pub(super) fn read_preset(text: &'static str) -> Result<Preset, RulesError> {
    let policy = Policy {
        preset: true,
        ..Policy::default()
    };
    let file = read("a preset", text, &policy)?;
    let header = file.preset.ok_or_else(|| RulesError::File {
        file: "a preset".to_owned(),
        line: 0,
        column: 0,
        rule: None,
        problem: "expected 'preset'".to_owned(),
    })?;
    Ok(Preset {
        name: header.name,
        title: header.title,
        on_by_default: header.default == Switch::On,
        text,
    })
}

fn read(file: &str, text: &str, policy: &Policy<'_>) -> Result<RuleFile, RulesError> {
    if text.len() > LARGEST_FILE {
        return Err(RulesError::File {
            file: file.escape_debug().to_string(),
            line: 0,
            column: 0,
            rule: None,
            problem: format!("expected a file of at most {LARGEST_FILE} bytes"),
        });
    }
    policy
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|cause| located(file, text, "rules", &cause))
}

/// What is wrong where in a file of rules, which are the file's list `list`.
pub(super) fn located(file: &str, text: &str, list: &str, cause: &serde_yaml::Error) -> RulesError {
    let said = cause.to_string();
    let (line, column) = cause
        .location()
        .map_or((0, 0), |location| (location.line(), location.column()));
    // The reader ends with the location, and begins with the place: `rules[3].prune[0]: …`.
    let said = match said.rfind(" at line ") {
        Some(end) if line > 0 => &said[..end],
        _ => &said,
    };
    let (rule, said) = match in_rule(list, said) {
        Some((index, rest)) => (name_of(list, text, index), rest),
        None => (None, said),
    };
    RulesError::File {
        file: file.escape_debug().to_string(),
        line,
        column,
        rule,
        problem: with_suggestion(said),
    }
}

/// Splits `rules[3].prune[0]: problem` into 3 and `prune[0]: problem`.
fn in_rule<'a>(list: &str, said: &'a str) -> Option<(usize, &'a str)> {
    let rest = said.strip_prefix(list)?.strip_prefix('[')?;
    let (index, rest) = rest.split_once(']')?;
    let rest = rest.trim_start_matches(['.', ':', ' ']);
    Some((index.parse().ok()?, rest))
}

/// The name of a rule in a file that is broken elsewhere.
fn name_of(list: &str, text: &str, index: usize) -> Option<RuleName> {
    let file: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    let name = file.get(list)?.get(index)?.get("name")?.as_str()?;
    Some(RuleName::from(name.escape_debug().to_string()))
}

/// Adds the nearest of the names that were expected: ``unknown field `dorp`, expected one of …``.
fn with_suggestion(said: &str) -> String {
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    if let Some((wrong, known)) = quoted.split_first()
        && said.contains("unknown ")
        && let Some(nearest) = nearest(wrong, known.iter().copied())
    {
        return format!("{said}; did you mean '{nearest}'?");
    }
    said.to_owned()
}

/// The name that fewest edits make of `wrong`, if they are few.
fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (edits(wrong, name), name))
        .min()
        .filter(|(edits, name)| *edits <= 2.max(name.len() / 3))
        .map(|(_, name)| name)
}

/// How many insertions, deletions and replacements of a character, or exchanges of two, lie
/// between two names (optimal string alignment). Long names are cut: they are no slip of a key.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
