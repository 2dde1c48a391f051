//! Golden files, the laws of the format, and what the reader takes and refuses.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Map, Value, json};

use super::differential::same;
use super::{Reason, emit, read, read_all, strategy};

pub(super) fn text_of(value: &Value) -> String {
    let mut out = Vec::new();
    emit(value, &mut out);
    String::from_utf8(out).unwrap()
}

/// Every `golden/<case>.json` gives the bytes of `golden/<case>.yaml`, and those give it back.
/// `STRANDLINE_UPDATE_GOLDEN=1` writes the latter anew: a change there rewrites every user's mirror.
#[test]
fn golden_files() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/canonical/golden");
    let update = std::env::var_os("STRANDLINE_UPDATE_GOLDEN").is_some();
    let mut cases = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let source = entry.unwrap().path();
        if source
            .extension()
            .is_none_or(|extension| extension != "json")
        {
            continue;
        }
        cases += 1;
        let value: Value = serde_json::from_slice(&std::fs::read(&source).unwrap()).unwrap();
        let text = text_of(&value);
        let golden = source.with_extension("yaml");
        if update {
            std::fs::write(&golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert!(text == expected, "{}:\n{text}", source.display());
        assert_eq!(
            read(text.as_bytes()).as_ref(),
            Ok(&value),
            "{}",
            source.display()
        );
    }
    assert!(cases >= 7, "{cases} cases");
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut reverse = Map::new();
            for (key, value) in map.iter().rev() {
                reverse.insert(key.clone(), reversed(value));
            }
            Value::Object(reverse)
        }
        Value::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

/// The laws of the format for one value.
fn check_laws(value: &Value) -> Result<(), TestCaseError> {
    let text = text_of(value);
    let back = read(text.as_bytes());
    prop_assert_eq!(back.as_ref(), Ok(value), "{}", text);
    prop_assert_eq!(text_of(back.as_ref().unwrap()), text.clone());
    prop_assert_eq!(text_of(&reversed(value)), text.clone());
    prop_assert!(text.ends_with('\n'));
    let other: Value = serde_yaml::from_str(&text)
        .map_err(|error| TestCaseError::fail(format!("libyaml cannot read it: {error}\n{text}")))?;
    // libyaml's reader here is one of YAML 1.2; it agrees all the same.
    prop_assert!(
        same(&other, value),
        "libyaml reads {:?} from {}",
        other,
        text
    );
    Ok(())
}

proptest! {
    // A case that fails is printed in its smallest form, and becomes a test with a name.
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(512) })]

    #[test]
    fn any_value_comes_back(value in strategy::value()) {
        check_laws(&value)?;
    }

    #[test]
    fn any_object_comes_back(object in strategy::object()) {
        check_laws(&object)?;
    }

    #[test]
    fn json_is_read_as_it_is(object in strategy::object()) {
        let text = serde_json::to_vec_pretty(&object).unwrap();
        prop_assert_eq!(read(&text), Ok(object));
    }

    #[test]
    fn a_stream_is_its_documents(objects in proptest::collection::vec(strategy::object(), 0..4)) {
        let mut text = String::new();
        for object in &objects {
            text.push_str("---\n");
            text.push_str(&text_of(object));
        }
        let documents = read_all(text.as_bytes()).unwrap();
        for document in &documents {
            prop_assert_eq!(text.lines().nth(document.line - 2), Some("---"));
        }
        let values: Vec<_> = documents.into_iter().map(|document| document.value).collect();
        prop_assert_eq!(values, objects);
    }

    /// No text makes the reader panic, and what it reads, it reads again.
    #[test]
    fn any_text_is_read_or_refused(text in strategy::text(), more in strategy::text()) {
        let text = format!("a: {text}\n{more}");
        if let Ok(value) = read(text.as_bytes()) {
            check_laws(&value)?;
        }
    }
}

#[test]
fn nasty_strings_come_back_as_value_item_and_key() {
    for nasty in strategy::NASTY {
        let mut map = Map::new();
        map.insert((*nasty).to_owned(), json!([nasty, { "deep": nasty }]));
        check_laws(&Value::Object(map)).unwrap();
        check_laws(&json!(nasty)).unwrap();
        check_laws(&json!([[nasty]])).unwrap();
    }
}

#[test]
fn styles() {
    let cases = [
        ("plain", "plain"),
        ("nginx:1.25", "nginx:1.25"),
        ("500m", "500m"),
        ("25%", "25%"),
        ("--leader-elect", "--leader-elect"),
        ("-c", "-c"),
        ("-inf", "\"-inf\""),
        ("$(POD_NAME)", "$(POD_NAME)"),
        (".dockerconfigjson", ".dockerconfigjson"),
        ("10.0.0.0/16", "10.0.0.0/16"),
        ("10.0.0.1", "\"10.0.0.1\""),
        ("0o7", "\"0o7\""),
        ("1:30", "\"1:30\""),
        ("2024-01-01", "\"2024-01-01\""),
        ("a: b", "\"a: b\""),
        ("é", "\"é\""),
        ("{\"a\":1}", "'{\"a\":1}'"),
        ("it's \"a\"", "it's \"a\""),
        ("'a' \"b\"", "\"'a' \\\"b\\\"\""),
        ("a\tb", "\"a\\tb\""),
        ("\u{85}\u{1}\u{2028}", "\"\\x85\\x01\\u2028\""),
        ("a\nb", "|-\n  a\n  b"),
        ("a\n\n b\n", "|\n  a\n\n   b"),
        ("a\n\n", "|+\n  a\n"),
        ("a \nb", "\"a \\nb\""),
        (" a\nb", "\" a\\nb\""),
        ("a\nb ", "\"a\\nb \""),
    ];
    for (value, expected) in cases {
        assert_eq!(text_of(&json!(value)), format!("{expected}\n"));
    }
    assert_eq!(text_of(&json!(1e21)), "1.0e+21\n");
    assert_eq!(text_of(&json!(1.5e-7)), "1.5e-7\n");
    assert_eq!(text_of(&json!(-0.0)), "-0.0\n");
    assert_eq!(text_of(&json!(u64::MAX)), "18446744073709551615\n");
}

#[test]
fn scalars_are_read_as_kubernetes_reads_them() {
    let cases = [
        ("yes", json!(true)),
        ("y", json!(true)),
        ("Off", json!(false)),
        ("yEs", json!("yEs")),
        ("~", json!(null)),
        ("", json!(null)),
        ("NULL", json!(null)),
        ("0644", json!(420)),
        ("0o17", json!(15)),
        ("08", json!(8)),
        ("1_000", json!(1000)),
        ("0b11", json!(3)),
        ("0b-1", json!(-1)),
        ("-0x1F", json!(-31)),
        ("-0", json!(0)),
        ("18446744073709551615", json!(u64::MAX)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1e3", json!(1000.0)),
        (".5", json!(0.5)),
        ("1.", json!(1.0)),
        ("1e999", json!("1e999")),
        ("1:30", json!("1:30")),
        ("2024-01-01", json!("2024-01-01")),
        ("2024-01-01T00:00:00Z", json!("2024-01-01T00:00:00Z")),
        ("=", json!("=")),
        ("'yes'", json!("yes")),
        ("\"0644\"", json!("0644")),
        ("!!str yes", json!("yes")),
        ("!!str", json!("")),
        ("!!int \"5\"", json!(5)),
        ("!!float 5", json!(5.0)),
        ("!!binary aGVsbG8=", json!("hello")),
        ("!custom 5", json!("5")),
        ("! 5", json!("5")),
        ("!", json!("")),
        ("|-\n  a\n\n  b", json!("a\n\nb")),
        (">\n  a\n  b\n", json!("a b\n")),
        ("[yes, \"no\", 1]", json!([true, "no", 1])),
        ("{a: 1, b: }", json!({"a": 1, "b": null})),
        ("&x {a: 1}", json!({"a": 1})),
    ];
    for (text, expected) in cases {
        let read = read(format!("v: {text}\n").as_bytes());
        assert_eq!(read, Ok(json!({ "v": expected })), "{text}");
    }
}

#[test]
fn keys_become_strings() {
    let text = "1: a\n0x10: b\nyes: c\n1.5: d\n1e6: e\n1e5: f\n.inf: g\n2024-01-01: h\n? x\n: i\n1e-7: j\n";
    assert_eq!(
        read(text.as_bytes()),
        Ok(json!({
            "1": "a", "16": "b", "true": "c", "1.5": "d", "1e+06": "e", "100000": "f", ".inf": "g",
            "2024-01-01": "h", "x": "i", "1e-07": "j",
        }))
    );
}

#[test]
fn anchors_aliases_and_merges() {
    let cases = [
        ("a: &x [1, *y]", Err(Reason::Syntax(String::new()))),
        (
            "a: &x 1\nb: *x\n*x : c",
            Ok(json!({"a": 1, "b": 1, "1": "c"})),
        ),
        ("a: &x [*x]", Err(Reason::Alias)),
        (
            "a: &x {k: 1, l: 1}\nb:\n  <<: *x\n  l: 2\n",
            Ok(json!({"a": {"k": 1, "l": 1}, "b": {"k": 1, "l": 2}})),
        ),
        (
            "b:\n  l: 2\n  <<: {l: 1, m: 1}\n",
            Ok(json!({"b": {"l": 1, "m": 1}})),
        ),
        (
            "<<: [{a: 1, b: 1}, {b: 2, c: 2}]",
            Ok(json!({"a": 1, "b": 1, "c": 2})),
        ),
        ("\"<<\": 1", Ok(json!({"<<": 1}))),
        ("<<: 1", Err(Reason::Merge)),
        ("<<: {a: 1}\na: 2\na: 3", Err(Reason::DuplicateKey)),
        ("a: 1\n<<: {a: 2}\na: 3", Err(Reason::DuplicateKey)),
    ];
    for (text, expected) in cases {
        let result = read(text.as_bytes()).map_err(|error| match error.reason {
            Reason::Syntax(_) => Reason::Syntax(String::new()),
            reason => reason,
        });
        assert_eq!(result, expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_says_where_and_not_what() {
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    let deep_alias = format!(
        "a: &x {}{}\nb: {}*x{}",
        "[".repeat(100),
        "]".repeat(100),
        "[".repeat(100),
        "]".repeat(100)
    );
    let cases = [
        ("", 1, 1, "no document"),
        ("# c\n", 1, 1, "no document"),
        ("a: 1\n---\nb: 1\n", 3, 1, "more than one document"),
        ("a: 1\nb: 2\n\na: s3cret\n", 4, 1, "duplicate key"),
        ("{\"a\": 1, \"a\": 2}", 1, 10, "duplicate key"),
        ("1: a\n\"1\": b\n", 2, 1, "duplicate key"),
        ("a: .inf\n", 1, 4, "an infinite or undefined number"),
        (
            "a: !!int s3cret\n",
            1,
            4,
            "a value that does not fit its tag",
        ),
        (
            "a: !!binary s3cret\n",
            1,
            4,
            "a value that does not fit its tag",
        ),
        (
            "[s3cret]: 1\n",
            1,
            1,
            "a key that is neither text, number nor boolean",
        ),
        (
            "~: 1\n",
            1,
            1,
            "a key that is neither text, number nor boolean",
        ),
        (&deep, 1, 128, "nested too deeply"),
        (&deep_alias, 2, 104, "nested too deeply"),
    ];
    for (text, line, column, reason) in cases {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(
            (error.line, error.column, error.reason.to_string().as_str()),
            (line, column, reason),
            "{text}"
        );
    }
    for text in [
        "a: [s3cret",
        "a: 's3cret",
        "a: s3cret: b",
        "s3cret\nb: c",
        "a: @s3cret",
        "\ta: s3cret: b",
    ] {
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("not YAML"), "{error}");
        assert!(!error.contains("s3cret") && !error.contains('`'), "{error}");
    }
    let error = read(b"a: 1\nb: \xff").unwrap_err();
    assert_eq!(
        (error.line, error.column, error.reason),
        (2, 4, Reason::Encoding)
    );
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a0: &a0 [lol, lol, lol]\n".to_owned();
    for level in 1..20 {
        let item = format!("*a{}", level - 1);
        writeln!(
            laughs,
            "a{level}: &a{level} [{}]",
            vec![item; 10].join(", ")
        )
        .unwrap();
    }
    assert_eq!(
        read(laughs.as_bytes()).unwrap_err().reason,
        Reason::TooManyAliases
    );
    let large = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        vec!["*a"; 100].join(", ")
    );
    assert_eq!(
        read(large.as_bytes()).unwrap_err().reason,
        Reason::TooManyAliases
    );
}

#[test]
fn json_streams_need_no_separator() {
    let text = "\n{\"a\": \"\\ud83d\\ude00\"}\n\n{\"b\": 1}{\"c\": 2}";
    let documents = read_all(text.as_bytes()).unwrap();
    let found: Vec<_> = documents
        .iter()
        .map(|document| (document.line, &document.value))
        .collect();
    assert_eq!(
        found,
        [
            (2, &json!({"a": "😀"})),
            (4, &json!({"b": 1})),
            (4, &json!({"c": 2}))
        ]
    );
    // Flow style is no JSON, and still YAML.
    assert_eq!(read(b"{a: yes}"), Ok(json!({"a": true})));
}

#[test]
fn empty_documents_are_left_out() {
    let text = "---\n# nothing\n---\na: 1\n---\n---\nnull\n---\n# c\n\nb: 2\n...\n";
    let documents = read_all(text.as_bytes()).unwrap();
    let found: Vec<_> = documents
        .iter()
        .map(|document| (document.line, &document.value))
        .collect();
    assert_eq!(found, [(4, &json!({"a": 1})), (11, &json!({"b": 2}))]);
    assert_eq!(read_all(b"\xef\xbb\xbfa: 1\n").unwrap().len(), 1);
}
