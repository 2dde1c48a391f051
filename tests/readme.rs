//! README tells the truth about what can be looked up: flags, variables, rules, manifests.

use clap::CommandFactory as _;
use strandline::config::Cli;
use strandline::filter::Rules;

const README: &str = include_str!("../README.md");
const MANIFESTS: [(&str, &str); 2] = [
    ("deploy/rbac.yaml", include_str!("../deploy/rbac.yaml")),
    (
        "deploy/rbac-namespace.yaml",
        include_str!("../deploy/rbac-namespace.yaml"),
    ),
];

/// Flags that must be given by hand each time: a variable that was forgotten would write what nobody
/// asked for, or they say what one call is for.
const WITHOUT_VARIABLE: [&str; 6] = [
    "apply",
    "yes",
    "write-secret-values-in-plaintext",
    "file",
    "dropped",
    "rules",
];

/// The text below a heading, up to the next one of the same level.
fn section(heading: &str) -> &'static str {
    let level = heading.split_whitespace().next().unwrap_or_default();
    let start = README.find(&format!("\n{heading}\n")).expect(heading);
    let text = &README[start + 1 + heading.len()..];
    text.find(&format!("\n{level} "))
        .map_or(text, |end| &text[..end])
}

/// The cells of a table's rows.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn every_flag_and_variable_stands_in_the_table() {
    let table = rows(section("## Configuration"));
    let mut missing = Vec::new();
    for command in Cli::command().get_subcommands() {
        // Global flags are the top level's, and part of every command.
        let top = Cli::command();
        for arg in command.get_arguments().chain(top.get_arguments()) {
            let Some(long) = arg.get_long() else { continue };
            if WITHOUT_VARIABLE.contains(&long) {
                continue;
            }
            let Some(env) = arg.get_env().map(|env| env.to_string_lossy()) else {
                missing.push(format!("{} --{long}: no variable", command.get_name()));
                continue;
            };
            let flag = format!("`--{long}");
            let found = table.iter().any(|row| {
                row[1] == format!("`{env}`")
                    && row[0]
                        .split(", ")
                        .any(|cell| cell.starts_with(&flag) && !is_longer(cell, &flag))
            });
            if !found {
                missing.push(format!("{} --{long} ({env})", command.get_name()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether `cell` goes on as another flag: `--push-option` is not `--push`.
fn is_longer(cell: &str, flag: &str) -> bool {
    cell[flag.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-')
}

#[test]
fn the_table_names_no_flag_variable_or_command_that_is_not_there() {
    let mut command = Cli::command();
    let helps: String = command
        .get_subcommands_mut()
        .map(|sub| sub.render_long_help().to_string())
        .chain([Cli::command().render_long_help().to_string()])
        .collect();
    for row in rows(section("## Configuration")).iter().skip(2) {
        // Not a flag, on purpose: arguments can be read by anybody on the machine.
        if row.len() < 5 || row[1] == "`STRANDLINE_TOKEN`" {
            continue;
        }
        let flag = row[0].split("--").nth(1).unwrap_or_default();
        let flag = flag.split(['`', ' ']).next().unwrap_or_default();
        assert!(helps.contains(&format!("--{flag}")), "--{flag}");
        let variable = row[1].trim_matches('`');
        if WITHOUT_VARIABLE.contains(&flag) {
            continue;
        }
        assert!(helps.contains(&format!("[env: {variable}=")), "{variable}");
    }
}

#[test]
fn defaults_are_those_of_the_help() {
    let mut command = Cli::command();
    let table = rows(section("## Configuration"));
    for sub in command.get_subcommands_mut() {
        for arg in sub.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let stated = help
                .split_once("[default: ")
                .map(|(_, rest)| rest.trim_end_matches(']').to_owned())
                .or_else(|| Some(arg.get_default_values().first()?.to_str()?.to_owned()));
            let (Some(stated), Some(env)) = (stated, arg.get_env()) else {
                continue;
            };
            let env = format!("`{}`", env.to_string_lossy());
            let row = table.iter().find(|row| row[1] == env);
            let default = row.map_or("", |row| row[3]).replace('`', "");
            assert_eq!(default, stated, "{env}");
        }
    }
}

#[test]
fn every_key_of_the_table_can_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("strandline.yaml");
    let mut keys = 0;
    for row in rows(section("## Configuration")) {
        let Some(key) = row.get(2).and_then(|cell| cell.strip_prefix('`')) else {
            continue;
        };
        let key = key.trim_end_matches('`');
        // `null` fits most types; what is asked is whether the key is known.
        std::fs::write(&file, format!("{key}: null\n")).unwrap();
        if let Err(error) = load(&file) {
            assert!(!error.contains("unknown field"), "{key}: {error}");
        }
        keys += 1;
    }
    std::fs::write(&file, "unheardOf: 1\n").unwrap();
    let all = load(&file).unwrap_err();
    let (_, known) = all
        .split_once("expected one of ")
        .expect("serde lists them");
    let known = known.split(" at line ").next().unwrap_or_default();
    assert_eq!(known.split(", ").count(), keys, "{known}");
}

#[test]
fn the_example_file_is_valid() {
    let (_, rest) = section("## Configuration")
        .split_once("```yaml\n")
        .expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("strandline.yaml");
    std::fs::write(&file, example).unwrap();
    load(&file).unwrap();
}

fn load(file: &std::path::Path) -> Result<(), String> {
    use clap::Parser as _;
    use strandline::config::{Command, RecordSettings};

    let path = file.to_str().expect("UTF-8");
    let cli = Cli::try_parse_from(["strandline", "check", "--config", path])
        .map_err(|error| error.to_string())?;
    let Command::Check(args) = cli.command else {
        return Err("that was check".to_owned());
    };
    RecordSettings::for_check(&args)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let help = Cli::command().render_long_help().to_string();
    let (_, codes) = help.split_once("Exit codes:\n").expect("help lists them");
    let table = rows(section("### Exit codes"));
    for line in codes.lines() {
        let (code, meaning) = line
            .trim()
            .split_once("  ")
            .expect("a code and its meaning");
        let row = table.iter().find(|row| row[0] == code);
        let row = row.unwrap_or_else(|| panic!("exit code {code} is not in README"));
        let short = meaning.split(':').next().unwrap_or(meaning);
        assert!(row[1].starts_with(short), "{code}: {meaning}");
    }
}

#[test]
fn every_rule_stands_there_with_its_reason_and_no_other() {
    let table = rows(section("## What is left out, and why"));
    let said: Vec<_> = table
        .iter()
        .filter(|row| row[0].starts_with('`'))
        .map(|row| (row[0].trim_matches('`'), row[2]))
        .collect();
    let rules = Rules::core();
    let true_ones: Vec<_> = rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.reason))
        .collect();
    assert_eq!(said, true_ones);
}

#[test]
fn the_manifests_are_shown_as_they_are() {
    for (name, manifest) in MANIFESTS {
        assert!(
            section("### Rights").contains(&format!("```yaml\n{manifest}```")),
            "{name}"
        );
    }
}

#[test]
fn the_gate_finds_the_test_command() {
    let (_, rest) = README
        .split_once("\n<!-- test-command -->\n```")
        .expect("the marker and a code block right after it");
    let command = rest.lines().nth(1).unwrap_or_default();
    assert!(command.starts_with("cargo test --locked"), "{command}");
}

#[test]
fn every_preset_stands_there_with_its_title_and_default() {
    for preset in strandline::filter::presets() {
        let default = if preset.on_by_default { "on" } else { "off" };
        let row = format!("| `{}` | {} | {default} |", preset.name, preset.title);
        assert!(README.contains(&row), "{row}");
    }
}
