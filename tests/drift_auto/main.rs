//! `auto` on real objects, from the command line: Argo CD's and Flux's with their published CRDs on a
//! real API server, a repository behind a real Git server, and releases that the real `helm` made,
//! of both versions; then from a mirror alone, and with the rights of one namespace.
//!
//! Needs the control plane, the CRDs, `git http-backend`, and Go, once, to build `tests/helm`.

#![expect(unreachable_pub, reason = "nothing in a test crate is reachable")]

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod kustomized;
mod scene;
mod server;
mod whole;

use support::plane::Options;

fn main() -> ExitCode {
    support::suite::run(
        Options::default(),
        &[
            ("auto_needs_no_flag", whole::auto_needs_no_flag),
            (
                "a_target_namespace_is_kustomizes",
                kustomized::a_target_namespace_is_kustomizes,
            ),
        ],
    )
}
