//! What is desired in another version than it was recorded in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use libtest_mimic::Completion;
use serde_json::{Value, json};
use strandline::drift::evaluate::SAME_FORM;

use crate::api::{Api, MERGE_PATCH};
use crate::bed::{self, READER};
use crate::oracle::Identity;
use crate::product::{KEY, Report, Reported, read};
use crate::recording::Recording;
use crate::support::plane::{ControlPlane, Options};
use crate::support::program::Program;
use crate::support::suite::Outcome;
use crate::support::{Context as _, Result};

/// A server that serves every version that it knows.
pub(crate) fn all_versions() -> Options {
    Options {
        api_server_args: vec!["--runtime-config=api/all=true".to_owned()],
        ..Options::default()
    }
}

pub(crate) fn each_version_is_judged_in_itself(plane: &ControlPlane) -> Outcome {
    let home = tempfile::tempdir().context("a folder")?;
    let api = Api::connect(plane)?;
    same_forms(&api)?;
    Ok(Completion::Completed)
}

/// The kinds that the server has in several versions.
fn same_forms(api: &Api) -> Result<()> {
    for (group, kind, versions) in api.kinds_of_several_versions() {
        crate::report(&format!("{group} {kind}: {versions:?}"));
    }
    Ok(())
}
