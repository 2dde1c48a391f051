//! What the real server adds to objects, and what `drift::defaults` says that it adds.
//!
//! An object is created (mostly by a dry run), and what the server answers must be what
//! `Tables::defaulted` made of it, a literal list of server-made fields aside.

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

#[path = "../roundtrip/openapi/mod.rs"]
#[allow(dead_code, reason = "shared with the round trip, which uses all of it")]
mod openapi;

mod bed;
mod cases;
mod judge;
mod trials;

use support::plane::Options;

fn main() -> ExitCode {
    support::suite::run(
        Options::default(),
        &[
            ("schemas_are_small", trials::schemas_are_small),
            ("each_branch_of_the_code", trials::each_branch_of_the_code),
            ("every_field_left_out", trials::every_field_left_out),
            ("acid_sets", trials::acid_sets),
        ],
    )
}
