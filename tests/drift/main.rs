//! Drift on a real cluster: no false alarm, no blind spot, and the same from the mirror alone.
//!
//! Needs the control plane and the acid sets.

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod api;
mod bed;
mod kubectl_diff;
mod matrix;
mod mutations;
mod oracle;
mod product;

use support::plane::Options;

fn main() -> ExitCode {
    support::suite::run(
        Options::default(),
        &[("every_change_is_found", mutations::every_change_is_found)],
    )
}

/// Prints a line that is to be seen in every run.
#[expect(clippy::print_stdout, reason = "seeds, figures and tables")]
fn report(text: &str) {
    println!("{text}");
}
