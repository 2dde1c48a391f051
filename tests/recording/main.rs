//! Recording a real cluster: what is written is what kubectl sees, soon, and whatever happens.
//!
//! Needs the control plane; the acid sets where a test says so.

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod autoscale;
mod drift;
mod fidelity;
mod life;
mod mirror;
mod outage;
mod start;

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
                "a_newcomer_is_told_what_is_wrong",
                start::a_newcomer_is_told_what_is_wrong,
            ),
            (
                "what_belongs_to_somebody_else_stays",
                start::what_belongs_to_somebody_else_stays,
            ),
            (
                "a_remote_that_refuses_is_named",
                start::a_remote_that_refuses_is_named,
            ),
            ("a_dry_run_writes_nothing", start::a_dry_run_writes_nothing),
            ("check_says_what_works", start::check_says_what_works),
            (
                "namespaced_rights_are_enough_for_a_namespace",
                start::namespaced_rights_are_enough,
            ),
            (
                "an_empty_disk_goes_on_from_the_remote",
                start::an_empty_disk_goes_on_from_the_remote,
            ),
            (
                "changes_are_committed_and_pushed_in_time",
                life::changes_are_committed_and_pushed_in_time,
            ),
            (
                "status_updates_are_quiet_and_delay_nobody",
                life::status_updates_are_quiet,
            ),
            (
                "a_deleted_namespace_is_one_commit",
                life::a_deleted_namespace_is_one_commit,
            ),
            (
                "a_deleted_crd_takes_its_files_along",
                life::a_deleted_crd_takes_its_files_along,
            ),
            (
                "replicas_belong_to_the_autoscaler_while_there_is_one",
                autoscale::replicas_belong_to_the_autoscaler,
            ),
            (
                "drift_is_told_beside_the_recording",
                drift::drift_is_told_beside_the_recording,
            ),
            (
                "every_object_is_one_faithful_file",
                fidelity::every_object_is_one_faithful_file,
            ),
            (
                "an_unknown_group_keeps_its_files",
                fidelity::an_unknown_group_keeps_its_files,
            ),
            (
                "the_mirror_converges_after_an_outage",
                outage::the_mirror_converges_after_an_outage,
            ),
            ("three_thousand_commits", life::three_thousand_commits),
        ],
    )
}
