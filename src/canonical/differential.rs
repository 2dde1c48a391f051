//! kubectl as the judge: the program whose reading of YAML counts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use super::tests::text_of;
use super::{read, strategy};

/// Whether two values differ at most in what kind of number a number is: JSON knows only one.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((ka, a), (kb, b))| ka == kb && same(a, b))
        }
        _ => left == right,
    }
}

/// kubectl, from the folder that `KUBEBUILDER_ASSETS` names or from `PATH`.
fn kubectl() -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    assets
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join("kubectl"))
        .find(|program| program.is_file())
}

/// Lets kubectl read `documents`, without a server; returns what it read in each.
fn read_by_kubectl(program: &Path, documents: &str) -> Vec<Value> {
    let mut child = Command::new(program)
        .args([
            "label",
            "--local",
            "--dry-run=client",
            "-o",
            "json",
            "-f",
            "-",
            "x=y",
        ])
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = documents.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    writer.join().unwrap().unwrap();
    serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter::<Value>()
        .map(|value| value.unwrap()["value"].take())
        .collect()
}

const HEADER: &str = "apiVersion: example.org/v1\nkind: Thing\nmetadata:\n  name: x\n";

/// kubectl reads what we emit as the value that it was, and what people write as we read it.
#[test]
fn kubectl_agrees() {
    let Some(program) = kubectl() else {
        assert!(
            std::env::var_os("STRANDLINE_REQUIRE_BEDS").is_none_or(|value| value != "1"),
            "STRANDLINE_REQUIRE_BEDS=1 and no kubectl in KUBEBUILDER_ASSETS or PATH"
        );
        println!("SKIPPED canonical::kubectl_agrees: no kubectl in KUBEBUILDER_ASSETS or PATH");
        return;
    };
    // The same seed on every run: what kubectl reads is no flake.
    let seed = [7; 32];
    println!("seed {seed:?}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);

    let mut values = Vec::new();
    for nasty in strategy::NASTY {
        let key: Map<String, Value> = [((*nasty).to_owned(), json!(1))].into_iter().collect();
        values.extend([json!(nasty), json!([nasty]), Value::Object(key)]);
    }
    let (any, number, text) = (strategy::value(), strategy::number(), strategy::text());
    for _ in 0..500 {
        values.push(any.new_tree(&mut runner).unwrap().current());
        values.push(number.new_tree(&mut runner).unwrap().current());
        values.push(text.new_tree(&mut runner).unwrap().current().into());
    }
    let documents = values.iter().fold(String::new(), |mut all, value| {
        let document = text_of(&json!({
            "apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "x"}, "value": value,
        }));
        write!(all, "---\n{document}").unwrap();
        all
    });
    let found = read_by_kubectl(&program, &documents);
    assert_eq!(found.len(), values.len());
    for (found, value) in found.iter().zip(&values) {
        assert!(
            same(found, value),
            "kubectl reads {found} in\n{}",
            text_of(value)
        );
    }

    // The other way: plain scalars as a person may write them.
    let scalar = "[-+.~0-9yYnNtToOeE]{1,2}[-+._:0-9a-fA-FxoObOnseEiu]{0,8}";
    let scalars: Vec<_> = strategy::NASTY
        .iter()
        .map(|&nasty| nasty.to_owned())
        .chain((0..1500).map(|_| scalar.new_tree(&mut runner).unwrap().current()))
        .filter_map(|text| {
            let ours = read(format!("value: {text}\n").as_bytes()).ok()?;
            Some((text, ours["value"].clone()))
        })
        // Go refuses what YAML forbids in a text, and has more characters that end a line.
        .filter(|(text, _)| text.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        .collect();
    assert!(scalars.len() > 1200, "{}", scalars.len());
    let documents = scalars.iter().fold(String::new(), |mut all, (text, _)| {
        write!(all, "---\n{HEADER}value: {text}\n").unwrap();
        all
    });
    let found = read_by_kubectl(&program, &documents);
    assert_eq!(found.len(), scalars.len());
    for (found, (text, ours)) in found.iter().zip(&scalars) {
        assert!(
            same(found, ours),
            "kubectl reads {found}, we read {ours} in {text:?}"
        );
    }
    println!("{} values, {} scalars", values.len(), scalars.len());
}
