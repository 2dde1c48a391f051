//! `strandline explain`: what the rules make of an object, of a cluster, and what they are.

mod dropped;
mod live;
mod render;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use self::render::{Fate, lines, place, verb};
use super::output::{Output, Style};
use super::rules::Ruling;
use super::{Exit, Failure, objects, session};
use crate::config::{ExplainArgs, ExplainSettings, Explained};
use crate::filter::{Autoscaled, Context, DigestKey, Explanation, RuleLayer, TypePlan, presets};
use crate::object::{ApiType, ObjectKey, RawObject};

/// Explains what is asked for.
pub(super) async fn run(args: &ExplainArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = ExplainSettings::new(args)?;
    let ruling = Ruling::read(&settings.source.rules)?;
    match &settings.explained {
        Explained::Rules => {
            rules(&ruling, output);
            Ok(Exit::Fine)
        }
        Explained::File(path) => {
            file(path, &ruling, output)?;
            Ok(Exit::Fine)
        }
        Explained::Live { kind, name } => {
            live::run(kind, name, &settings.source, &ruling, output).await
        }
        Explained::Dropped => dropped::run(&settings.source, &ruling, output).await,
    }
}

/// All rules in their order of precedence, and the presets that are off.
fn rules(ruling: &Ruling, output: &Output) {
    let mut list = Vec::new();
    let mut layer = None;
    for rule in ruling.rules.iter() {
        if layer != Some(rule.layer) {
            layer = Some(rule.layer);
            let heading = match rule.layer {
                RuleLayer::Core => "built in".to_owned(),
                RuleLayer::Preset(name) => format!("preset {name}"),
                RuleLayer::File(name) => format!("file {name}"),
            };
            output.line(&output.styled(Style::Bold, &heading));
        }
        output.line(&format!("  {}: {}", rule.name, rule.reason));
        let (kind, of) = match rule.layer {
            RuleLayer::Core => ("builtIn", None),
            RuleLayer::Preset(name) => ("preset", Some(name)),
            RuleLayer::File(name) => ("file", Some(name)),
        };
        list.push(json!({
            "name": rule.name.as_str(), "reason": rule.reason, "see": rule.see,
            "source": kind, "of": of,
        }));
    }
    output.line(&output.styled(Style::Bold, "presets"));
    let mut known = Vec::new();
    for preset in presets() {
        let on = ruling.rules.has_preset(&preset.name);
        let switch = if on {
            output.styled(Style::Good, "on ")
        } else {
            output.styled(Style::Warning, "off")
        };
        output.line(&format!("  {switch} {}: {}", preset.name, preset.title));
        known.push(json!({ "name": preset.name, "title": preset.title, "on": on }));
    }
    output.json(&json!({ "rules": list, "presets": known }));
}

/// The objects of a file. Nobody is known to have asked for anything, and no autoscaler is known.
fn file(path: &Path, ruling: &Ruling, output: &Output) -> Result<(), Failure> {
    let explainer = Explainer::new(ruling)?;
    for (at, one) in objects::read(path)?.into_iter().enumerate() {
        if at > 0 {
            output.line("");
        }
        let nobody = Autoscaled::default();
        let found = explainer.explain(&one.api_type, &one.object, &nobody, None)?;
        explainer.show(&found, output);
    }
    Ok(())
}

/// What became of one object.
struct ExplainedObject {
    key: ObjectKey,
    /// `None` where the type is dropped whole.
    explanation: Option<Explanation>,
    /// The rule that drops the whole type.
    dropped_by: Option<crate::filter::RuleName>,
    /// What the last commit of its file says of damping.
    damped: Option<String>,
}

struct Explainer<'a> {
    ruling: &'a Ruling,
    /// Made up: no digest is shown, but for that of a large value.
    key: DigestKey,
}

impl<'a> Explainer<'a> {
    fn new(ruling: &'a Ruling) -> Result<Self, Failure> {
        let (key, _) = session::make_up_key(Path::new("a key for this run"))?;
        Ok(Self { ruling, key })
    }

    fn explain(
        &self,
        api_type: &Arc<ApiType>,
        object: &RawObject,
        autoscaled: &Autoscaled,
        damped: Option<String>,
    ) -> Result<ExplainedObject, Failure> {
        let key = object.key(api_type)?;
        let context = Context {
            digest_key: &self.key,
            autoscaled,
        };
        let (explanation, dropped_by) = match self.ruling.rules.plan(api_type) {
            TypePlan::Dropped { rule } => (None, Some(rule)),
            TypePlan::Watched(rules) => {
                let explanation = rules.explain(object, &key, &context);
                let dropped_by = explanation.dropped_by.clone();
                (Some(explanation), dropped_by)
            }
        };
        Ok(ExplainedObject {
            key,
            explanation,
            dropped_by,
            damped,
        })
    }

    fn show(&self, explained: &ExplainedObject, output: &Output) {
        let path = explained.key.path();
        let kind = &explained.key.api_type.kind;
        let name = &explained.key.name;
        let of = explained.key.namespace.as_deref();
        let in_namespace = of.map_or(String::new(), |namespace| format!(" in {namespace}"));
        let verdict = match &explained.dropped_by {
            Some(rule) => format!("not recorded: {rule}: {}", self.ruling.reason(rule)),
            None => format!("recorded as {path}"),
        };
        let heading = format!("{kind} {name}{in_namespace}: {verdict}");
        output.line(&output.styled(Style::Bold, &heading));
        let mut json = json!({
            "path": path,
            "recorded": explained.dropped_by.is_none(),
            "droppedBy": explained.dropped_by.as_ref().map(|rule| self.rule(rule)),
            "damped": explained.damped,
        });
        if let Some(damped) = &explained.damped {
            output.line(&format!("damped, says its last commit: {damped}"));
        }
        if let Some(explanation) = &explained.explanation {
            if let Some(rule) = &explanation.kept_by {
                let reason = self.ruling.reason(rule);
                output.line(&format!("kept by {rule}: {reason}"));
            }
            if explained.dropped_by.is_none() {
                self.show_lines(explanation, output);
            }
            let hits = explanation.hits.iter().map(|hit| {
                let mut json = self.rule(&hit.rule);
                json["path"] = place(&hit.path).into();
                json["action"] = format!("{:?}", hit.action).to_lowercase().into();
                json
            });
            json["keptBy"] = json!(explanation.kept_by.as_ref().map(|rule| self.rule(rule)));
            json["changes"] = hits.collect();
            json["original"] = explanation.original.clone();
            json["result"] = explanation.result.clone();
        }
        output.json(&json);
    }

    fn show_lines(&self, explanation: &Explanation, output: &Output) {
        for line in lines(&explanation.original, &explanation.hits) {
            let mark = line.fate.mark();
            let text = format!("{mark} {}", line.text);
            let mut text = match line.fate {
                Fate::Stays => text.trim_end().to_owned(),
                Fate::Removed => output.styled(Style::Bad, text.trim_end()),
                Fate::Changed => output.styled(Style::Warning, text.trim_end()),
            };
            for (action, rule) in &line.notes {
                let reason = self.ruling.reason(rule);
                // Writing to a String cannot fail.
                let _ = write!(text, "  # {} {rule}: {reason}", verb(*action));
            }
            output.line(&text);
        }
    }

    fn rule(&self, name: &crate::filter::RuleName) -> Value {
        let rule = self.ruling.rules.get(name);
        json!({
            "rule": name.as_str(),
            "reason": rule.as_ref().map_or("", |rule| rule.reason),
            "see": rule.as_ref().map_or("", |rule| rule.see),
        })
    }
}
