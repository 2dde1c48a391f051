//! `auto` on real objects: Argo CD's and Flux's with their published CRDs on a real API server, a
//! repository behind a real Git server, and releases that the real `helm` made, of both versions.
//!
//! Needs the control plane, the CRDs, `git http-backend`, and Go, once, to build `tests/helm`.

#![expect(unreachable_pub, reason = "nothing in a test crate is reachable")]

use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod gitops;
mod helm;
mod live;
mod server;

use support::plane::Options;

fn main() -> ExitCode {
    support::suite::run(
        Options::default(),
        &[
            ("helm_3_and_4_releases_are_read", helm::releases_are_read),
            ("argo_cd_applications_are_followed", gitops::argo),
            ("flux_kustomizations_are_followed", gitops::flux),
        ],
    )
}
