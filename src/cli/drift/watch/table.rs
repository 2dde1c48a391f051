//! Verdicts on all objects, kept up to date by what is touched.

use std::collections::{BTreeMap, HashMap};

use crate::drift::desired::Identity;
use crate::drift::evaluate::{Evaluator, Standing, transitions};
use crate::drift::live::{LiveObject, RecordedFile, object_of};

/// All verdicts, and whose files they are of.
pub(super) struct Table {
    pub(super) standing: Standing,
    paths: HashMap<Box<str>, Identity>,
    /// How many objects the first evaluation looked at.
    pub(super) judged: u64,
}

/// What came of something touched.
pub(super) enum Touch {
    /// Everything has to be evaluated again.
    Whole,
    /// These transitions; whether anything of the report is new.
    Judged {
        lines: Vec<String>,
        judged: u64,
        news: bool,
    },
}

impl Table {
    /// Judges everything.
    pub(super) fn of(evaluator: &Evaluator<'_>, objects: BTreeMap<Identity, LiveObject>) -> Self {
        let mut table = Self {
            standing: Standing::default(),
            paths: HashMap::with_capacity(objects.len()),
            judged: 0,
        };
        for identity in evaluator.declared() {
            if !objects.contains_key(identity) {
                let judged = evaluator.judge(identity, None);
                table.standing.put(identity.clone(), judged);
                table.judged += 1;
            }
        }
        for (identity, object) in objects {
            let judged = evaluator.judge(&identity, Some(&object));
            table.paths.insert(object.path, identity.clone());
            table.standing.put(identity, judged);
            table.judged += 1;
        }
        table
    }

    /// Judges what was touched, and nothing else.
    pub(super) fn touch(
        &mut self,
        evaluator: &Evaluator<'_>,
        files: Vec<(Box<str>, Option<RecordedFile>)>,
        auto: bool,
    ) -> Touch {
        let mut touched: BTreeMap<Identity, Option<LiveObject>> = BTreeMap::new();
        for (path, file) in files {
            match file.map(object_of) {
                // The whole report says which file cannot be read.
                Some(Err(_)) => return Touch::Whole,
                Some(Ok((identity, object))) => {
                    self.paths.insert(path, identity.clone());
                    touched.insert(identity, Some(object));
                }
                None => {
                    if let Some(identity) = self.paths.remove(&path) {
                        // Its file may just have got another name.
                        touched.entry(identity).or_insert(None);
                    }
                }
            }
        }
        if touched.keys().any(|identity| asks_for_all(identity, auto)) {
            return Touch::Whole;
        }
        let (mut lines, mut judged, mut news) = (Vec::new(), 0, false);
        for (identity, object) in touched {
            let verdict = evaluator.judge(&identity, object.as_ref());
            judged += 1;
            let before = self.standing.get(&identity).cloned();
            news |= self.standing.put(identity.clone(), verdict);
            lines.extend(transitions(before.as_ref(), self.standing.get(&identity)));
        }
        Touch::Judged {
            lines,
            judged,
            news,
        }
    }
}

/// Whether a change of this object may change what is said of others.
pub(super) fn asks_for_all(identity: &Identity, auto: bool) -> bool {
    let group = &*identity.group;
    is_definition(identity)
        || auto
            && (group == "argoproj.io"
                || group.ends_with(".toolkit.fluxcd.io")
                // Its system-wide exclusions:
                // https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#resource-exclusioninclusion
                || (group, &*identity.kind, &*identity.name) == ("", "ConfigMap", "argocd-cm"))
}

pub(super) fn is_definition(identity: &Identity) -> bool {
    &*identity.kind == "CustomResourceDefinition"
}
