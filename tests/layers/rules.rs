//! The table: which room may use which, and who alone may name what.

use super::names::{self, Name};

/// A room and the rooms it may use (`room` or a part of one: `room::part`).
///
/// Rooms that are not built yet stand here too, so that they cannot be built otherwise.
const ROOMS: [(&str, &[&str]); 18] = [
    ("main", &["cli"]),
    ("cli", EVERY_ROOM),
    ("config", &["object"]),
    ("object", &[]),
    ("filter", &["object", "owners"]),
    ("owners", &["object"]),
    ("canonical", &["object"]),
    ("cluster", &["object"]),
    (
        "record",
        &[
            "object",
            "filter",
            "owners",
            "canonical",
            "sops",
            "cluster",
            "mirror",
        ],
    ),
    ("sops", &["object", "canonical"]),
    ("mirror", &["object"]),
    ("process", &[]),
    ("remote", &["process"]),
    (
        "drift",
        &[
            "object",
            "canonical",
            "filter",
            "owners",
            "cluster",
            "mirror",
            "process",
        ],
    ),
    (
        "restore",
        &["object", "canonical", "filter", "sops", "mirror", "cluster"],
    ),
    ("forge", &["drift::report"]),
    ("telemetry", &["object"]),
    ("simulator", &["object"]),
];

const EVERY_ROOM: &[&str] = &[
    "config",
    "object",
    "filter",
    "owners",
    "canonical",
    "cluster",
    "record",
    "sops",
    "mirror",
    "process",
    "remote",
    "drift",
    "restore",
    "forge",
    "telemetry",
    "simulator",
];

/// Without clock, randomness and I/O: whole rooms, and the cores of others.
///
/// Of `sops`, all but the one file that wraps data keys with `age`, which draws from the operating
/// system and can be given no other source.
const PURE: [&str; 38] = [
    "object",
    "filter",
    "owners",
    "canonical",
    "sops/mod",
    "sops/cipher",
    "sops/error",
    "sops/file",
    "sops/open",
    "sops/seal",
    "sops/tree",
    "cluster/machine",
    "record/absence",
    "record/autoscale",
    "record/changes",
    "record/damping",
    "record/events",
    "record/facts",
    "record/feeds",
    "record/message",
    "record/recorder",
    "record/sidecar",
    "record/stage",
    "record/window",
    "drift/accept",
    "drift/compare",
    "drift/defaults",
    "drift/desired/mod",
    "drift/desired/read",
    "drift/desired/secrets",
    "drift/desired/source",
    "drift/evaluate",
    "drift/live/mod",
    "drift/ownership",
    "drift/quantity",
    "drift/report",
    "drift/schema",
    "restore/plan",
];

/// Parts of rooms that fewer may use than the rest of the room.
const RESERVED_PARTS: [(&str, &[&str], &str); 2] = [
    (
        "cluster::apply",
        &["restore"],
        "the one writer is for restore alone",
    ),
    (
        "simulator",
        &["cli/demo"],
        "production code must not know the simulator",
    ),
];

/// Names that only some places may say: a pattern (the last letters of a crate's name may be `*`),
/// the places, and why.
const RESERVED_NAMES: [(&[&str], &[&str], &str); 16] = [
    (
        &["gix*"],
        &["mirror"],
        "mirror is the only room that knows gix",
    ),
    (
        &["kube*", "k8s_openapi"],
        &["cluster"],
        "cluster is the only room that knows kube",
    ),
    (
        &["hyper::client", "hyper_util::client", "reqwest", "ureq"],
        &["forge"],
        "forge is the only room with an HTTP client",
    ),
    (
        &["hyper*", "http_body_util"],
        &["cluster", "forge", "simulator", "telemetry"],
        "HTTP is for the rooms that speak it",
    ),
    (
        &[
            "std::process::Command",
            "std::process::Child",
            "std::process::Stdio",
            "std::os::unix::process",
            "tokio::process",
        ],
        &["process"],
        "process is the only room that starts a program",
    ),
    (
        &["std::process::exit", "std::process::abort"],
        &[],
        "the exit code is what main returns",
    ),
    (
        &["std::env"],
        // What `process` reads is the allow-list that it hands on to children unseen.
        &["config", "process"],
        "config is the only reader of the environment",
    ),
    (
        &[
            "println",
            "print",
            "eprintln",
            "eprint",
            "dbg",
            "std::io::stdout",
        ],
        &["cli"],
        "cli is the only room that prints",
    ),
    (
        &["std::io::stderr"],
        &["cli", "telemetry"],
        "messages go through tracing, or are printed by cli",
    ),
    (
        &["std::io::stdin"],
        &["cli"],
        "cli is the only room that reads the terminal",
    ),
    (
        &["std::time::SystemTime::now", "std::time::Instant::now"],
        &["*/clock.rs"],
        "time comes from a Clock",
    ),
    (
        &[
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
            "jiff::tz::TimeZone::system",
        ],
        &["*/clock.rs"],
        "time comes from a Clock, and its zone is UTC",
    ),
    (
        &["serde_yaml"],
        &["config", "filter"],
        "data is read by canonical; this reader is for configuration and filter files",
    ),
    (
        &["age"],
        &["sops/keys"],
        "age draws randomness that cannot be injected: one file knows it",
    ),
    (
        &["aes_gcm"],
        &["sops"],
        "sops is the only room that encrypts",
    ),
    (
        &["saphyr_parser"],
        &["canonical"],
        "canonical is the one reader of data",
    ),
];

/// What nobody may say: it would make the rest of this file blind.
const FORBIDDEN_MACROS: [&str; 1] = ["include"];

/// What pure code may not say.
const IMPURE: [&str; 14] = [
    "std::fs",
    "std::net",
    "std::os",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "getrandom",
    "fastrand",
    "rand*",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "std::collections::hash_map::RandomState",
    "std::hash::RandomState",
];

/// What the mirror may not say: it is blocking, on a thread of its own.
const ASYNC: [&str; 3] = ["tokio", "futures*", "std::future"];

/// One break of the table.
#[derive(Debug)]
pub struct Violation {
    pub file: String,
    pub line: usize,
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// Checks the text of a file below `src` (`file` counts from there: `record/stage.rs`).
pub fn check(file: &str, source: &str) -> Vec<Violation> {
    let module = module_of(file);
    let violation = |line, text| Violation {
        file: format!("src/{file}"),
        line,
        text,
    };
    let names = match names::read(source, &module) {
        Ok(names) => names,
        Err(error) => return vec![violation(error.span().start().line, error.to_string())],
    };
    let room = room_of(file);
    let allowed = ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, allowed)| *allowed);
    let mut found = Vec::new();
    if allowed.is_none() && file != "lib.rs" {
        let text = format!("{room} is no room of the table");
        found.push(violation(1, text));
    }
    for module in &names.modules {
        if module.file.is_some() {
            let text = "#[path] hides which room a file belongs to".to_owned();
            found.push(violation(module.line, text));
        }
    }
    for name in &names.names {
        for text in objections(file, room, allowed.unwrap_or(&[]), name) {
            found.push(violation(name.line, text));
        }
    }
    found
}

/// Checks that `lib.rs` is a map: documentation and public modules.
pub fn check_map(source: &str) -> Vec<Violation> {
    let items = syn::parse_file(source)
        .map(|file| file.items)
        .unwrap_or_default();
    let is_module = |item: &syn::Item| match item {
        syn::Item::Mod(module) => module.content.is_none(),
        _ => false,
    };
    let others = items.iter().filter(|item| !is_module(item));
    let violation = |item| Violation {
        file: "src/lib.rs".to_owned(),
        line: syn::spanned::Spanned::span(item).start().line,
        text: "lib.rs holds documentation and `mod name;` only".to_owned(),
    };
    others.map(violation).collect()
}

fn objections(file: &str, room: &str, allowed: &[&str], name: &Name) -> Vec<String> {
    let said = name.path.join("::");
    if name.path[0] == "crate" {
        return objections_inside(file, room, allowed, name)
            .map(|why| format!("{room} says {said}: {why}"))
            .into_iter()
            .collect();
    }
    let mut found = Vec::new();
    for (patterns, places, why) in RESERVED_NAMES {
        let matched = patterns.iter().any(|pattern| names_it(name, pattern));
        if matched && !places.iter().any(|place| is_in(file, place)) {
            found.push(format!("{room} says {said}: {why}"));
        } else if matched && name.exported {
            found.push(format!("{room} hands on {said}: {why}"));
        }
    }
    if name.is_macro
        && name
            .path
            .last()
            .is_some_and(|last| FORBIDDEN_MACROS.contains(&&**last))
    {
        found.push(format!(
            "{room} says {said}!: its text would not be checked"
        ));
    }
    let pure = PURE.iter().any(|place| is_in(file, place));
    if pure && IMPURE.iter().any(|pattern| names_it(name, pattern)) {
        found.push(format!("{room} says {said}: this code is pure"));
    }
    if room == "mirror" && ASYNC.iter().any(|pattern| names_it(name, pattern)) {
        found.push(format!("{room} says {said}: the mirror is blocking"));
    }
    found
}

/// Objects to a path inside the crate.
fn objections_inside(file: &str, room: &str, allowed: &[&str], name: &Name) -> Option<String> {
    let path = name.path[1..].join("::");
    let Some(target) = name.path.get(1) else {
        return (name.glob || name.exported)
            .then(|| "the whole crate at once hides what is used".to_owned());
    };
    if target == room || file == "lib.rs" {
        return None;
    }
    for (part, places, why) in RESERVED_PARTS {
        let within = path == part || path.starts_with(&format!("{part}::"));
        if within && !places.iter().any(|place| is_in(file, place)) {
            return Some(why.to_owned());
        }
    }
    let may = allowed
        .iter()
        .any(|part| path == *part || path.starts_with(&format!("{part}::")));
    if !may {
        return Some(format!("{room} may not use {target}"));
    }
    name.exported
        .then(|| "a name of another room is not handed on".to_owned())
}

/// Whether a name is, or lies in, what a pattern says, or takes it in by a glob.
fn names_it(name: &Name, pattern: &str) -> bool {
    let wanted: Vec<&str> = pattern.split("::").collect();
    // `std` is where `core` and `alloc` are found again.
    let first = match name.path[0].as_str() {
        "core" | "alloc" => "std",
        // The prelude's macros may be said with or without their crate.
        "std" if name.is_macro && name.path.len() == 2 && wanted.len() == 1 => &name.path[1],
        other => other,
    };
    let first_fits = match wanted[0].strip_suffix('*') {
        Some(stem) => first.starts_with(stem),
        None => first == wanted[0],
    };
    // A macro's name and a function's or variable's are different things.
    let one_word = wanted.len() == 1 && MACROS.contains(&wanted[0]);
    if !first_fits || one_word != (name.is_macro && MACROS.contains(&first)) {
        return false;
    }
    let common = wanted.len().min(name.path.len());
    let fits = (1..common).all(|i| name.path[i] == wanted[i]);
    fits && (name.path.len() >= wanted.len() || name.glob)
}

const MACROS: [&str; 5] = ["println", "print", "eprintln", "eprint", "dbg"];

/// Whether a file lies in a place: a room, a part of one, or `*/name.rs` anywhere.
fn is_in(file: &str, place: &str) -> bool {
    if let Some(name) = place.strip_prefix("*/") {
        return file.ends_with(&format!("/{name}"));
    }
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    stem == place || stem.starts_with(&format!("{place}/"))
}

fn room_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn module_of(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let parts = stem.split('/').map(str::to_owned);
    parts
        .filter(|part| !["lib", "main", "mod"].contains(&part.as_str()))
        .collect()
}
