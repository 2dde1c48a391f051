//! What all objects of a trial came to.

use std::collections::BTreeMap;

use libtest_mimic::Completion;
use serde_json::Value;

use crate::bed::Bed;
use crate::support::suite::Outcome;

/// Objects judged, and where they differ.
#[derive(Default)]
pub(crate) struct Total {
    objects: usize,
    leaves: usize,
    pub(crate) refused: usize,
    /// Path without indexes to how often and one example.
    differences: BTreeMap<String, (usize, String)>,
}

impl Total {
    /// Judges one object.
    pub(crate) fn add(
        &mut self,
        bed: &Bed,
        desired: &Value,
        live: &Value,
        without: impl Fn(&mut Value),
    ) {
        let judge = bed.judge(desired, live, without);
        self.objects += 1;
        self.leaves += judge.equal;
        for difference in judge.differences {
            let (path, _) = difference.split_once(": ").unwrap_or((&difference, ""));
            let path: String = path
                .split('[')
                .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest))
                .collect();
            let name = desired["metadata"]["name"].as_str().unwrap_or_default();
            let kind = desired["kind"].as_str().unwrap_or_default();
            let entry = self.differences.entry(format!("{kind}{path}")).or_default();
            entry.0 += 1;
            entry.1 = format!("{name}{difference}");
        }
    }

    #[expect(clippy::print_stdout, reason = "the figures")]
    /// Prints the figures; differences are a failure.
    pub(crate) fn outcome(self, what: &str) -> Outcome {
        println!(
            "{what}: {} objects, {} leaves equal, {} refused",
            self.objects, self.leaves, self.refused
        );
        for (path, (count, example)) in &self.differences {
            println!("  {count} × {path}: {example}");
        }
        assert!(self.leaves > 1_000, "{} leaves", self.leaves);
        if !self.differences.is_empty() {
            return Err(format!("{} differences", self.differences.len()).into());
        }
        Ok(Completion::Completed)
    }
}
