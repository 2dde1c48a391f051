//! What the real server adds to objects, and what `drift::defaults` says that it adds.
//!
//! An object is created (mostly by a dry run), and what the server answers must be what
//! `Tables::defaulted` made of it, a literal list of server-made fields aside. The trial
//! `every_field_left_out` of `roundtrip` does so with the objects that it generates.

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod bed;
mod cases;
mod judge;
mod total;
mod trials;

use support::plane::Options;

fn main() -> ExitCode {
    support::suite::run(
        Options::default(),
        &[
            ("schemas_are_small", trials::schemas_are_small),
            ("each_branch_of_the_code", trials::each_branch_of_the_code),
            ("acid_sets", trials::acid_sets),
        ],
    )
}
