//! What properties are tested with: values of Kubernetes' shape, with every string that some YAML
//! reader is known to stumble over.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Strings that look like something else, or that a style of YAML cannot hold.
#[rustfmt::skip]
pub(crate) const NASTY: &[&str] = &[
    "", " ", "  ", "\t", "\n", "\n\n", "\r", "\r\n", "~", "-", "--", "---", "...", "--- a", "- a",
    "-a", "--a", "--x=y", "-- a", "---a", "-1", "-l", "-.5", "-.inf", "+.inf", ".inf", ".Inf",
    ".INF", ".nan", ".NaN", ".", "..", "..data", "...x", ".dockerconfigjson", ".5", ".5e3", "._",
    "?", "? a", "?a", ":", ": a", ":a", "a:", "a: b", "a:b", "a :b", "a : b", "#", "# c", "#c",
    "a #c", "a#c", "a# c", "!", "!a", "!!str a", "&a", "*a", "*", "|", ">", "|-", ">-", "%", "%a",
    "@a", "`a`", "'", "''", "\"", "\"\"", "'a'", "\"a\"", "it's", "\\", "\\n", "a\\b", "a\"b",
    "a'b\"c", "{", "}", "{}", "[", "]", "[]", "[a", "{a", "{\"a\": 1}", "{\"a\":\"it's\"}", ",",
    ",a", "a, b", "<<", "<", "=", "=a", "$", "$(POD)", "${x}", "(", "(a)", "^a", ";a", "y", "Y",
    "n", "N", "yes", "Yes", "YES", "yEs", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF",
    "true", "True", "TRUE", "tRue", "false", "False", "FALSE", "null", "Null", "NULL", "nULL",
    "nan", "NaN", "inf", "Inf", "infinity", "Infinity", "-inf", "-Inf", "+inf", "undefined",
    "none", "None", "nil", "0", "00", "1", "-0", "+0", "+1", "07", "08", "09", "010", "017",
    "0644", "-0644", "0o7", "0O7", "0o8", "-0o7", "0x10", "0X1f", "0xg", "-0x10", "+0x10", "0x",
    "0b1", "0B1", "0b", "-0b1", "0b-1", "0b2", "0x1p-2", "1_000", "1_", "_1", "0_7", "-_1", "1__0",
    "1,000", "1.", "1.0", "1.e1", "1e3", "1E3", "1e+3", "1e-3", "1.5e3", "1e", "1e+", "e1", "E1",
    "e", "E", "e+1", "e-", "e.1", "1e400", "-1e400", "1e-400", "1e21", "1.2.3", "10.0.0.1",
    "10.0.0.0/16", "192.168.000.001", "1:30", "1:30:00", "-1:30", "1:30.5", "190:20:30", "12:34",
    "12:60", "1:2:3:4", "0:0", "::1", "fe80::1", "fe80::", "00:11:22:33:44:55",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "+18446744073709551615", "2024-01-01",
    "2024-1-1", "2024-01", "2024-01-01T00:00:00Z", "2024-01-01t00:00:00.5+01:00",
    "2024-01-01 00:00:00", "2024-01-01T00:00:00.000Z", "20240101", "500m", "0.5", "1.5Gi", "100Mi",
    "1k", "1Ki", "25%", "100%", "1/2", "3s", "1h30m", "1d", "1e3m", "12e03", "7f3c9e1", "1e5f",
    "0e0", "deadbeef", "nginx:1.25", "a@b", "a/b", "/a", "//", "_", "__", "_a", "~a", "x\n",
    "x\n\n", "x\n\n\n", "\nx", "\n\nx", " x", "x ", " x ", "\tx", "x\t", "a\tb", "a  b", "a b",
    "x\n y", "x\n  y\nz", "x\n\ty", " x\ny", "\tx\ny", "x \ny", "x\t\ny", "x\ny ", "x\ny\t",
    "x\n \ny", "x\n\t\ny", "x\n\ny", "x\ny", "x\r\ny", "x\r\ny\r\n", "x\ry", "#x\ny", "# x\n# y\n",
    "- x\n- y", "---\nx", "x\n---\ny", "x\n...\ny", "...\nx", "a: b\nc: d\n",
    "#!/bin/sh\nset -e\n", "%a\nb", "|\nx", "x\n#y", "x: |\n  y\n", "'x\ny", "\"x\ny", "\u{0}",
    "\u{1}", "\u{7}", "\u{8}", "\u{b}", "\u{c}", "\u{1b}[31m", "\u{7f}", "\u{80}", "\u{85}",
    "a\u{85}b", "\u{9f}", "\u{a0}", "a\u{a0}b", "\u{ad}", "\u{200b}", "\u{2003}", "\u{3000}x",
    "\u{2028}", "a\u{2028}b", "\u{2029}", "\u{202e}x", "\u{feff}", "\u{feff}a", "a\u{feff}",
    "\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{fffe}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "é",
    "日本語", "😀", "é\nè\n", "a\u{85}\nb", "a\n\u{2028}b", "a\n\u{feff}", "é: b", "é #", "Ω\n\n",
];

/// A string: nasty, made of nasty parts, ordinary, or arbitrary; at times very long.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let part = select(vec![
        " ", " ", "\n", "\n", "\t", "\r", ":", "#", "-", "'", "\"", "\\", "a", "b: c", "0", "1",
        "é", "\u{85}", "\u{a0}", "\u{2028}", "\u{feff}", "e", "_", ".", "x", "|", ">", "%", "{",
        "]", ",", "yes", "---", "\u{1}",
    ]);
    prop_oneof![
        3 => select(NASTY).prop_map(str::to_owned),
        3 => vec(part, 1..12).prop_map(|parts| parts.concat()),
        3 => "[a-zA-Z][a-zA-Z0-9./-]{0,20}",
        2 => "[-+.0-9][-+._:0-9a-fxobTZ]{0,8}",
        1 => any::<String>(),
        1 => (select(NASTY), 1usize..400).prop_map(|(nasty, times)| nasty.repeat(times)),
    ]
}

/// A JSON number, with the extremes of every width.
pub(crate) fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1000i64..1000).prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no others", |float| float.is_finite())
            .prop_map(Value::from),
        select(vec![
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(0.0),
            json!(-0.0),
            json!(1.0),
            json!(0.1),
            json!(1e21),
            json!(1e-7),
            json!(1.5e300),
            json!(f64::MAX),
            json!(f64::MIN_POSITIVE),
            json!(5e-324),
            json!(9_007_199_254_740_993.0),
            json!(1e16),
            json!(100_000.0),
        ]),
    ]
}

/// Any JSON value, a few levels deep.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => number(),
        6 => text().prop_map(Value::from),
        1 => Just(json!({})),
        1 => Just(json!([])),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(text(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// An object as the API server may send it: type, metadata, and any content.
pub(crate) fn object() -> impl Strategy<Value = Value> {
    let strings = || btree_map(text(), text(), 0..4);
    (
        "[a-z][a-z0-9.-]{0,20}",
        proptest::option::of("[a-z][a-z0-9-]{0,10}"),
        strings(),
        strings(),
        btree_map("[a-z][a-zA-Z]{0,8}", value(), 0..4),
    )
        .prop_map(|(name, namespace, labels, annotations, content)| {
            let mut object = json!({
                "apiVersion": "example.org/v1",
                "kind": "Thing",
                "metadata": { "name": name, "labels": labels, "annotations": annotations },
            });
            if let Some(namespace) = namespace {
                object["metadata"]["namespace"] = namespace.into();
            }
            for (key, value) in content {
                object[key] = value;
            }
            object
        })
}
