//! Planted violations: each shape in which a name can be said turns the check red, and what looks
//! like one and is none does not.

use super::rules::{check, check_map};

/// `file`, its text, and a piece of the one violation that it must give.
const PLANTED: &[(&str, &str, &str)] = &[
    // Shapes of naming another room.
    (
        "filter/a.rs",
        "use crate::mirror::Mirror;",
        "filter may not use mirror",
    ),
    (
        "filter/mod.rs",
        "use crate::{object, mirror::{Mirror, Index as I}};",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "use crate as x; fn f() { x::mirror::open() }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "use crate::{self as x}; fn f() { x::mirror::open() }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "extern crate self as x; fn f() { x::mirror::open() }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "use strandline::mirror::Mirror;",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "use super::super::mirror;",
        "may not use mirror",
    ),
    (
        "filter/mod.rs",
        "mod b { use super::super::mirror; }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "fn f() { crate::mirror::open() }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "fn f() { let crate::mirror::Id(x) = y; }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "struct S { a: Option<crate::mirror::Mirror> }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "impl crate::mirror::Store for S {}",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "fn f() { <crate::mirror::Mirror as Drop>::drop() }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "fn f() { write!(s, \"\", crate::mirror::VERSION) }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "fn f() { m!({ use crate::{owners, mirror::X}; }) }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "macro_rules! m { () => { $crate::mirror::X } }",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "#[serde(with = \"crate::mirror::hex\")] struct S;",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "#[derive(crate::mirror::Derive)] struct S;",
        "may not use mirror",
    ),
    ("filter/a.rs", "use crate::*;", "the whole crate at once"),
    (
        "filter/a.rs",
        "use super::super::*;",
        "the whole crate at once",
    ),
    (
        "filter/a.rs",
        "#[path = \"../mirror/pack.rs\"] mod pack;",
        "#[path] hides",
    ),
    (
        "filter/a.rs",
        "include!(\"../mirror/pack.rs\");",
        "would not be checked",
    ),
    (
        "filter/a.rs",
        "#[cfg(any(test, unix))] use crate::mirror::X;",
        "may not use mirror",
    ),
    (
        "filter/a.rs",
        "#[cfg(not(test))] use crate::mirror::X;",
        "may not use mirror",
    ),
    ("cupboard/mod.rs", "", "cupboard is no room"),
    (
        "main.rs",
        "use strandline::record::run;",
        "main may not use record",
    ),
    (
        "forge/mod.rs",
        "use crate::drift::compare;",
        "forge may not use drift",
    ),
    // Handing on.
    (
        "record/mod.rs",
        "pub use crate::mirror::Mirror;",
        "not handed on",
    ),
    (
        "record/mod.rs",
        "pub(crate) use crate::mirror::{Mirror as M};",
        "not handed on",
    ),
    (
        "record/mod.rs",
        "pub type M = crate::mirror::Mirror;",
        "not handed on",
    ),
    ("mirror/mod.rs", "pub use gix::ObjectId;", "hands on gix"),
    (
        "mirror/mod.rs",
        "use gix::hash as h; pub use h::ObjectId;",
        "hands on gix",
    ),
    (
        "cluster/mod.rs",
        "pub(crate) type Client = kube::Client;",
        "hands on kube",
    ),
    ("cluster/mod.rs", "pub extern crate kube;", "hands on kube"),
    // Parts for few.
    (
        "cli/record.rs",
        "use crate::cluster::apply;",
        "for restore alone",
    ),
    (
        "drift/live.rs",
        "use crate::cluster::apply::Applier;",
        "for restore alone",
    ),
    (
        "cli/record.rs",
        "use crate::simulator::Simulator;",
        "must not know the simulator",
    ),
    // Names for few.
    (
        "record/mod.rs",
        "use gix::Repository;",
        "mirror is the only room",
    ),
    (
        "record/mod.rs",
        "fn f(id: gix_hash::ObjectId) {}",
        "mirror is the only room",
    ),
    ("record/mod.rs", "use ::gix;", "mirror is the only room"),
    (
        "record/mod.rs",
        "extern crate gix as g;",
        "mirror is the only room",
    ),
    (
        "record/mod.rs",
        "use kube_core::Resource as _;",
        "cluster is the only room",
    ),
    (
        "mirror/mod.rs",
        "fn f() -> k8s_openapi::Metadata {}",
        "cluster is the only room",
    ),
    ("record/mod.rs", "use hyper::body::Bytes;", "HTTP is for"),
    (
        "telemetry/mod.rs",
        "use hyper_util::client::legacy;",
        "HTTP client",
    ),
    (
        "remote/mod.rs",
        "use std::process::Command;",
        "starts a program",
    ),
    (
        "remote/mod.rs",
        "use std::process; fn f() { process::Command::new(x) }",
        "starts a program",
    ),
    (
        "remote/mod.rs",
        "use std as s; fn f() { s::process::Command::new(x) }",
        "starts a program",
    ),
    ("remote/mod.rs", "use std::process::*;", "starts a program"),
    (
        "remote/mod.rs",
        "use tokio::process::Command;",
        "starts a program",
    ),
    (
        "cli/mod.rs",
        "fn f() { std::process::exit(1) }",
        "what main returns",
    ),
    (
        "cli/mod.rs",
        "fn f() { std::env::var(\"X\") }",
        "config is the only reader",
    ),
    (
        "cli/mod.rs",
        "use std::{env as e, fmt};",
        "config is the only reader",
    ),
    (
        "record/mod.rs",
        "fn f() { println!(\"x\") }",
        "cli is the only room that prints",
    ),
    (
        "record/mod.rs",
        "fn f() { std::eprintln!(\"x\") }",
        "cli is the only room that prints",
    ),
    (
        "record/mod.rs",
        "fn f() { m! { eprint!(\"x\") } }",
        "cli is the only room that prints",
    ),
    (
        "record/mod.rs",
        "use std::io; fn f() { io::stdout() }",
        "cli is the only room that prints",
    ),
    (
        "record/mod.rs",
        "use std::io::{self, Write}; fn f() { io::stderr() }",
        "through tracing",
    ),
    (
        "record/mod.rs",
        "fn f() { std::time::SystemTime::now() }",
        "from a Clock",
    ),
    (
        "record/mod.rs",
        "use std::time::Instant; fn f() { Instant::now() }",
        "from a Clock",
    ),
    (
        "record/mod.rs",
        "fn f() { x.map_or_else(std::time::Instant::now, y) }",
        "from a Clock",
    ),
    (
        "mirror/mod.rs",
        "fn f() { jiff::Timestamp::now() }",
        "from a Clock",
    ),
    (
        "canonical/mod.rs",
        "use serde_yaml::from_str;",
        "configuration and filter files",
    ),
    (
        "drift/desired.rs",
        "use saphyr_parser::Parser;",
        "one reader of data",
    ),
    ("sops/seal.rs", "use age::Encryptor;", "one file knows it"),
    (
        "record/stage.rs",
        "use aes_gcm::AesGcm;",
        "only room that encrypts",
    ),
    (
        "sops/seal.rs",
        "fn f() { getrandom::fill(x) }",
        "this code is pure",
    ),
    // Pure and blocking code.
    ("object/mod.rs", "use std::fs::File;", "this code is pure"),
    ("object/mod.rs", "use std::fs;", "this code is pure"),
    ("object/mod.rs", "use std::*;", "object says std"),
    (
        "record/window.rs",
        "use tokio::time::Instant;",
        "this code is pure",
    ),
    (
        "record/stage/mod.rs",
        "fn f() { fastrand::u8(..) }",
        "this code is pure",
    ),
    (
        "mirror/mod.rs",
        "fn f() { tokio::spawn(x) }",
        "the mirror is blocking",
    ),
];

/// What the table allows, or what the check must not mistake.
const FINE: &[(&str, &str)] = &[
    (
        "filter/a.rs",
        "use crate::object::ObjectKey; use crate::owners; use super::b; use std::fmt;",
    ),
    (
        "filter/a.rs",
        "#[cfg(test)] mod tests { use crate::mirror::X; }",
    ),
    (
        "filter/a.rs",
        "#[cfg(all(test, unix))] use crate::mirror::X;",
    ),
    ("filter/a.rs", "#[test] fn f() { crate::mirror::open() }"),
    (
        "filter/a.rs",
        "/// As `crate::mirror::X` does.\nfn f() { write!(s, \"crate::mirror::X\") }",
    ),
    (
        "filter/a.rs",
        "fn f(gix: u8, kube: u8) { let println = gix + kube; }",
    ),
    (
        "mirror/mod.rs",
        "use gix::Repository; pub(super) use gix::ObjectId;",
    ),
    ("mirror/mod.rs", "mod kube { } fn f() { kube::g() }"),
    (
        "record/mod.rs",
        "mod window; pub use window::Window; pub use self::window::Other;",
    ),
    (
        "record/mod.rs",
        "use crate::{cluster, mirror}; fn f() { tokio::spawn(x) }",
    ),
    (
        "record/mod.rs",
        "use std::time::{Duration, Instant}; struct S(Instant);",
    ),
    (
        "process/mod.rs",
        "use tokio::process::Command; use std::process::Stdio;",
    ),
    ("cli/demo.rs", "use crate::simulator::Simulator;"),
    ("cli/demo/story.rs", "use crate::simulator::shop;"),
    (
        "cli/mod.rs",
        "fn f() { println!(\"x\") } fn g() -> std::process::ExitCode { x }",
    ),
    ("restore/run.rs", "use crate::cluster::apply;"),
    ("config/mod.rs", "fn f() { std::env::var_os(\"X\") }"),
    ("record/clock.rs", "fn f() { std::time::SystemTime::now() }"),
    (
        "main.rs",
        "fn main() -> std::process::ExitCode { strandline::cli::run() }",
    ),
    (
        "filter/a.rs",
        "const CORE: &str = include_str!(\"../../filters/core.yaml\");",
    ),
];

#[test]
fn planted_violations_turn_red() {
    for (file, source, piece) in PLANTED {
        let found: Vec<String> = check(file, source)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            found.iter().any(|line| line.contains(piece)),
            "{file}: `{source}` gave {found:?} instead of {piece:?}"
        );
    }
}

#[test]
fn fine_code_stays_green() {
    for (file, source) in FINE {
        let found: Vec<String> = check(file, source)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(found.is_empty(), "{file}: `{source}` gave {found:?}");
    }
}

#[test]
fn code_in_the_map_turns_red() {
    assert!(check_map("//! Map.\npub mod object;").is_empty());
    for source in [
        "pub mod a {}",
        "fn f() {}",
        "pub use a::B; mod a;",
        "macro_rules! m { () => {} }",
    ] {
        assert!(!check_map(source).is_empty(), "{source}");
    }
}

#[test]
fn violations_name_file_and_line() {
    let found = check("filter/a.rs", "\n\nuse crate::mirror::Mirror;");
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["src/filter/a.rs:3: filter says crate::mirror::Mirror: filter may not use mirror"]
    );
}
