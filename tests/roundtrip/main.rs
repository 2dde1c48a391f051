//! Record, restore, record: nothing is lost on the way.
//!
//! Needs the control plane. For now: the objects that make the trip, of every recorded kind, and
//! that they are really recorded.

use std::process::ExitCode;
use std::sync::OnceLock;

#[path = "../support/mod.rs"]
mod support;

#[path = "../recording/mirror.rs"]
#[allow(
    dead_code,
    reason = "shared with the recording tests, which use all of it"
)]
mod mirror;

#[path = "../drift_defaults/bed.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of defaults, which use all of it"
)]
mod bed;
#[path = "../drift_defaults/judge.rs"]
mod judge;
#[path = "../drift_defaults/total.rs"]
mod total;

mod kinds;
mod left_out;
mod openapi;
mod trip;

use support::plane::Options;

fn main() -> ExitCode {
    support::suite::run(
        Options::default(),
        &[
            // First: it asks by dry runs, which are refused for what is there.
            ("every_field_left_out", left_out::every_field_left_out),
            ("every_kind_is_covered", kinds::every_kind_is_covered),
            (
                "what_was_generated_is_recorded",
                kinds::what_was_generated_is_recorded,
            ),
            ("everything_makes_the_trip", trip::everything_makes_the_trip),
            ("controllers_let_it_live", kinds::controllers_let_it_live),
        ],
    )
}

/// Generated once, by whichever trial comes first.
static GENERATION: OnceLock<support::Result<openapi::Generation>> = OnceLock::new();

fn generation(plane: &support::plane::ControlPlane) -> support::Result<&openapi::Generation> {
    let generation = GENERATION.get_or_init(|| openapi::sets(plane));
    generation.as_ref().map_err(Clone::clone)
}
