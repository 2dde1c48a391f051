//! Drift on a real cluster: no false alarm, no blind spot, and the same from the mirror alone.
//!
//! Needs the control plane and the acid sets.

use std::process::ExitCode;

#[allow(
    dead_code,
    reason = "the generator of the roundtrip suite, of which a part is used"
)]
#[path = "../roundtrip/openapi/mod.rs"]
mod openapi;
#[allow(
    dead_code,
    reason = "the searching machine of the secrets suite, of which a part is used"
)]
#[path = "../secrets/search.rs"]
mod search;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "as above")]
#[path = "../secrets/values.rs"]
mod values;

mod api;
mod bed;
mod custom;
mod judge;
mod kubectl_diff;
mod matrix;
mod mutations;
mod oracle;
mod product;
mod quiet;
mod recording;
mod reencode;
mod sidecar;
mod stale;
mod versions;

use libtest_mimic::{Arguments, Trial};
use support::Unavailable;
use support::plane::{ControlPlane, Options};
use support::suite::{Test, skipped};

const VERSIONS: &str = "each_version_is_judged_in_itself";

/// Each on a control plane of its own, because the sets can be applied once only; one after the
/// other.
const TESTS: [(&str, Test); 8] = [
    ("nothing_to_say_after_client_side_apply", quiet::client_side),
    ("nothing_to_say_after_server_side_apply", quiet::server_side),
    ("nothing_to_say_after_create", quiet::created),
    ("every_change_is_found", mutations::every_change_is_found),
    (
        "heartbeats_change_neither_branch_nor_sidecar",
        sidecar::heartbeats_change_nothing,
    ),
    ("the_sidecar_holds_no_secret", sidecar::it_holds_no_secret),
    ("a_dead_recorder_is_not_in_sync", stale::a_dead_recorder),
    (VERSIONS, versions::each_version_is_judged_in_itself),
];

fn main() -> ExitCode {
    if std::env::var_os(judge::ASKED).is_some() {
        return judge::main();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = TESTS.map(|(name, test)| {
        Trial::ignorable_test(name, move || {
            let options = match name {
                VERSIONS => versions::all_versions(),
                _ => Options::default(),
            };
            let plane = match ControlPlane::start(&options) {
                Ok(plane) => plane,
                Err(Unavailable::Missing(reason)) => return skipped(name, &reason),
                Err(Unavailable::Broken(failure)) => return Err(failure.to_string().into()),
            };
            test(&plane).inspect_err(|_| report(&plane.log_tails()))
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Prints a line that is to be seen in every run.
#[expect(clippy::print_stdout, reason = "seeds, figures and tables")]
fn report(text: &str) {
    println!("{text}");
}
