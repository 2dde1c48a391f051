//! Record, restore, record: nothing is lost on the way.
//!
//! Needs the control plane. For now: the objects that make the trip, of every recorded kind.

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/openapi/mod.rs"]
mod openapi;

use libtest_mimic::Completion;
use support::plane::{ControlPlane, Options};
use support::suite::Outcome;

fn main() -> ExitCode {
    support::suite::run(
        Options::default(),
        &[("every_kind_is_covered", every_kind_is_covered)],
    )
}

fn every_kind_is_covered(plane: &ControlPlane) -> Outcome {
    let generation = openapi::sets(plane)?;
    println!("{}", openapi::report::table(&generation.coverage));
    println!("{} requests, {:?}", generation.requests, generation.took);
    Ok(Completion::Completed)
}
