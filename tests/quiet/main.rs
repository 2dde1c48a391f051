//! Ordinary life leaves no trace: commits come from what people and `GitOps` tools did, and rules
//! remove nothing that a person asked for without a word of it in `filters/core.yaml`.
//!
//! Needs the control plane with its controller manager; the second part the acid sets as well.

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod ledger;
mod life;
#[allow(dead_code, reason = "shared with the tests of recording")]
#[path = "../recording/mirror.rs"]
mod mirror;
mod noise;
mod player;
mod pruned;

use support::plane::Options;

fn main() -> ExitCode {
    let options = Options {
        controller_manager: true,
        ..Options::default()
    };
    support::suite::run(
        options,
        &[
            ("ordinary_life_is_quiet", life::ordinary_life_is_quiet),
            (
                "rules_prune_nothing_of_people_client_side",
                pruned::client_side,
            ),
            (
                "rules_prune_nothing_of_people_server_side",
                pruned::server_side,
            ),
            ("rules_prune_nothing_of_people_created", pruned::created),
        ],
    )
}
