//! `strandline canonicalize`: what the mirror would hold.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::Guessed;
use super::output::Output;
use super::rules::Ruling;
use super::{Exit, Failure, objects, session};
use crate::canonical;
use crate::config::{CanonicalizeArgs, RecordSettings};
use crate::filter::{Autoscaled, DigestKey, RuleName, TypePlan, is_redacted};
use crate::record::{Content, Pipeline, encrypt};
use crate::telemetry::clock::unix_seconds;

/// What stands for a digest where no key is given.
const NO_DIGEST: &str = "hmac:00000000000000000000000000000000";

/// Prints the file of each object, or why it has none.
pub(super) fn run(args: &CanonicalizeArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = RecordSettings::for_canonicalize(args)?;
    let maker = Maker {
        ruling: Ruling::read(&settings.rules)?,
        has_key: settings.digest_key_file.is_some(),
        key: Arc::new(match &settings.digest_key_file {
            Some(path) => session::read_key(path)?,
            None => session::make_up_key(Path::new("a key for this run"))?.0,
        }),
    };
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let mut zeros = false;
    for (at, one) in objects::read(path)?.into_iter().enumerate() {
        let made = maker.make(one)?;
        if at > 0 && !output.is_json() {
            output.bytes(b"---\n");
        }
        match made.file {
            Ok(bytes) => {
                zeros |= made.zeros;
                if !output.is_json() {
                    output.bytes(&bytes);
                }
                let text = String::from_utf8_lossy(&bytes);
                output.json(&json!({ "path": made.path, "content": text }));
            }
            Err(rule) => {
                let reason = maker.ruling.reason(&rule);
                output.line(&format!("# {}: not recorded: {rule}: {reason}", made.path));
                let dropped_by = json!({ "rule": rule.as_str(), "reason": reason });
                output.json(&json!({ "path": made.path, "droppedBy": dropped_by }));
            }
        }
    }
    if zeros {
        output.note("digests are zeros: with --digest-key-file they are those of the mirror");
    }
    Ok(Exit::Fine)
}

struct Maker {
    ruling: Ruling,
    key: Arc<DigestKey>,
    has_key: bool,
}

struct Made {
    path: String,
    /// The file, or the rule that leaves the object out.
    file: Result<Vec<u8>, RuleName>,
    /// Digests in it are zeros.
    zeros: bool,
}

impl Maker {
    fn make(&self, one: Guessed) -> Result<Made, Failure> {
        let path = one.object.key(&one.api_type)?.path();
        let made = |file, zeros| Made {
            path: path.clone(),
            file,
            zeros,
        };
        let rules = match self.ruling.rules.plan(&one.api_type) {
            TypePlan::Dropped { rule } => return Ok(made(Err(rule), false)),
            TypePlan::Watched(rules) => Arc::from(rules),
        };
        let mut given = HashSet::new();
        each_text(&mut one.object.value.clone(), &mut |text| {
            given.insert(text.clone());
        });
        let recipients = self.ruling.recipients.as_deref();
        let pipeline = Pipeline::new(one.api_type, rules, self.key.clone()).sealing_for(recipients);
        let zeros = !self.has_key;
        Ok(
            match pipeline.stage(one.object, &Autoscaled::default())?.content {
                Content::LeftOut { rule } => made(Err(RuleName::from(rule.to_string())), false),
                Content::File { bytes, .. } if self.has_key => made(Ok(bytes), false),
                Content::File {
                    bytes, digested, ..
                } => {
                    let mut value = canonical::read(&bytes)?;
                    // Those that were given are nobody's secret, and somebody's digest.
                    each_text(&mut value, &mut |text| {
                        if !given.contains(text) {
                            zero(text);
                        }
                    });
                    let mut bytes = Vec::new();
                    canonical::emit(&value, &mut bytes);
                    made(Ok(bytes), digested)
                }
                Content::Sealed { plaintext, digest } => {
                    let digest = if zeros { NO_DIGEST } else { &*digest };
                    let bytes = encrypt(recipients, &plaintext, digest, unix_seconds())?;
                    made(Ok(bytes), zeros)
                }
                Content::Known { .. } | Content::Unsealable => {
                    return Err(format!("{path}: nobody to encrypt it for").into());
                }
            },
        )
    }
}

fn each_text(value: &mut Value, see: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(list) => list.iter_mut().for_each(|below| each_text(below, see)),
        Value::Object(map) => map.values_mut().for_each(|below| each_text(below, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts zeros in the place of a digest; the length of a large value stays.
fn zero(text: &mut String) {
    if is_redacted(text) && text.len() >= NO_DIGEST.len() {
        text.replace_range(..NO_DIGEST.len(), NO_DIGEST);
    }
}
