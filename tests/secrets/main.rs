//! No Secret value is ever seen: not in the repository, not in what the program says, not after a
//! crash. And the mirrors of runner scale sets.
//!
//! Needs the control plane, and the published CRDs where a test says so.

use std::process::ExitCode;

#[path = "../recording/mirror.rs"]
#[allow(dead_code, reason = "shared with the suite of recording")]
mod mirror;
#[path = "../support/mod.rs"]
mod support;

mod hidden;
mod modes;
mod runners;
mod scene;
mod search;
mod told;
mod values;

use modes::{Mode, with};
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
                "the_search_finds_what_is_there",
                hidden::the_search_finds_what_is_there,
            ),
            ("no_value_is_seen_in_mode_digest", |plane| {
                with(plane, Mode::Digest, hidden::no_value_is_seen)
            }),
            ("no_value_is_seen_in_mode_omit", |plane| {
                with(plane, Mode::Omit, hidden::no_value_is_seen)
            }),
            ("no_value_is_seen_in_mode_sops", |plane| {
                with(plane, Mode::Sops, hidden::no_value_is_seen)
            }),
            ("values_are_seen_in_mode_plain", |plane| {
                with(plane, Mode::Plain, hidden::no_value_is_seen)
            }),
            ("no_value_is_seen_after_a_kill_in_mode_digest", |plane| {
                with(plane, Mode::Digest, hidden::no_value_is_seen_after_a_kill)
            }),
            ("no_value_is_seen_after_a_kill_in_mode_omit", |plane| {
                with(plane, Mode::Omit, hidden::no_value_is_seen_after_a_kill)
            }),
            ("no_value_is_seen_after_a_kill_in_mode_sops", |plane| {
                with(plane, Mode::Sops, hidden::no_value_is_seen_after_a_kill)
            }),
            ("restarts_write_no_object_in_mode_digest", |plane| {
                with(plane, Mode::Digest, hidden::restarts_write_no_object)
            }),
            ("restarts_write_no_object_in_mode_omit", |plane| {
                with(plane, Mode::Omit, hidden::restarts_write_no_object)
            }),
            ("restarts_write_no_object_in_mode_sops", |plane| {
                with(plane, Mode::Sops, hidden::restarts_write_no_object)
            }),
            (
                "a_scale_set_makes_no_commit",
                runners::a_scale_set_makes_no_commit,
            ),
        ],
    )
}

#[expect(clippy::print_stdout, reason = "seeds and the figures of the issue")]
pub(crate) fn report(figure: &str) {
    println!("measured: {figure}");
}
