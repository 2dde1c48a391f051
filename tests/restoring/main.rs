//! Restoring into a real cluster: what a mirror holds comes back, nothing else happens, and a run
//! that was killed is finished by the next one.
//!
//! Needs the control plane; the acid sets where a test says so.

use std::process::ExitCode;

#[path = "../recording/mirror.rs"]
#[allow(dead_code, reason = "shared with the suite of recording")]
mod mirror;
#[path = "../support/mod.rs"]
mod support;

mod objects;
mod printing;
mod round_trip;

use support::plane::Options;

fn main() -> ExitCode {
    let options = Options {
        controller_manager: true,
        ..Options::default()
    };
    support::suite::run(
        options,
        &[
            (
                "what_is_live_is_left_unless_asked",
                objects::what_is_live_is_left_unless_asked,
            ),
            (
                "owners_are_linked_by_their_live_uid",
                objects::owners_are_linked_by_their_live_uid,
            ),
            (
                "what_others_make_is_left_to_them",
                objects::what_others_make_is_left_to_them,
            ),
            (
                "custom_resources_wait_for_their_webhook",
                objects::custom_resources_wait_for_their_webhook,
            ),
            (
                "a_dry_run_writes_nothing",
                objects::a_dry_run_writes_nothing,
            ),
            (
                "a_selection_is_printed_as_it_was",
                printing::a_selection_is_printed_as_it_was,
            ),
            (
                "a_redacted_secret_cannot_be_applied",
                printing::a_redacted_secret_cannot_be_applied,
            ),
            (
                "mistakes_are_told_before_anything_happens",
                printing::mistakes_are_told,
            ),
            (
                "the_acid_sets_come_back",
                round_trip::the_acid_sets_come_back,
            ),
        ],
    )
}
