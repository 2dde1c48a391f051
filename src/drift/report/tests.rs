//! What each rendering says of a report that has everything once.

use std::collections::BTreeSet;

use serde_json::{Value, json as value};

use super::samples::{SECRET, clean, field, full, object};
use super::*;

fn text_of(report: &Report) -> String {
    text::render(report, &Options::default())
}

#[test]
fn text_begins_with_the_verdict_and_its_counts() {
    let text = text_of(&full());
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "incomplete: 3 modified, 1 missing, 1 extra, 1 unknown, 1 pending; 40 in sync; 1 ignored; \
         as of 2026-11-21T09:00:00Z"
    );
    let text = text_of(&clean());
    assert!(text.starts_with("no drift: 40 in sync; as of"), "{text}");
    let mut drift = full();
    drift.incomplete.clear();
    drift.summary.unknown = 0;
    assert!(text_of(&drift).starts_with("drift: 3 modified"));
    drift.as_of = None;
    assert!(text_of(&drift).contains("as of an unknown time"));
    let mut pending = clean();
    pending.summary.pending = 2;
    assert!(text_of(&pending).starts_with("no drift: 2 pending; 40 in sync"));
    // An error without an object is one, too.
    let mut unread = clean();
    unread
        .incomplete
        .push("the source shop cannot be read".to_owned());
    assert!(text_of(&unread).starts_with("incomplete: 40 in sync"));
}

#[test]
fn text_says_each_thing_once() {
    let text = text_of(&full());
    for line in [
        "live: mirror ./prod.git#main at 0123456789ab (v1.36.3), defaults of 1.36",
        "coverage: 412 of 430 live objects are known to Git (95.8 %)",
        "secrets: 2 values of Secrets were not compared: --digest-key-file compares them",
        "incomplete: widgets.example.com: forbidden",
        "source shop  directory ./manifests",
        "  cluster",
        "  namespace shop",
        "    - ClusterRole reader  Missing  reader.yaml:3",
        "    ~ Deployment web  [rolling out]  web.yaml:3",
        "        ~ spec.replicas: 3 → 5     Changed by kubectl-edit (Update), last write 2026-11-21T08:58:00Z",
        "        - spec.minReadySeconds: 7  Removed",
        "        ! spec.repliacs: \"5\"       Dropped",
        "        > spec.next: a → b         Pending",
        "            | - two",
        "            | + 2",
        "        ~ data.password: changed (secret)  Changed",
        "    ? Widget w  Unknown  w.yaml:3",
        "        declared twice: shop, platform",
        "in no source",
        "    + Certificate.cert-manager.io hotfix  Extra  namespaces/shop/certificates.cert-manager.io/hotfix.yaml",
        "    1 field, 1 object  accepted: on call, until 2026-12-31",
        "warning: accept rule 'old' expired on 2026-01-01",
        tell::MANAGER_NOTE,
    ] {
        let times = text.lines().filter(|found| *found == line).count();
        let expected = if line == "  namespace shop" { 2 } else { 1 };
        assert_eq!(times, expected, "{line}\n{text}");
    }
    assert!(
        text.contains("Added by kubectl (Update of scale), last write"),
        "{text}"
    );
    assert!(text.contains("Added: unowned: admission webhook"), "{text}");
    assert!(
        text.contains("Pending removal by argocd-controller (Apply)"),
        "{text}"
    );
    let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 120, "{longest}\n{text}");
}

#[test]
fn what_is_ignored_is_listed_on_request() {
    let options = Options {
        show_ignored: true,
        ..Options::default()
    };
    let hidden = ["spec.paused", "Job migrate"];
    let (few, all) = (text_of(&full()), text::render(&full(), &options));
    for name in hidden {
        assert!(!few.contains(name) && all.contains(name), "{name}\n{all}");
    }
    assert!(
        all.contains("Ignored (accepted: on call, until 2026-12-31)"),
        "{all}"
    );
    let markdown = |options: Options| markdown::render(&full(), &options);
    assert!(!markdown(Options::default()).contains("spec.paused"));
    assert!(markdown(options).contains("# spec.paused: Ignored (accepted"));
    assert!(!junit::render(&full(), &Options::default()).contains("migrate"));
    assert!(junit::render(&full(), &options).contains("Job migrate"));
}

#[test]
fn colour_is_all_that_colour_adds() {
    let options = Options {
        color: true,
        ..Options::default()
    };
    let colored = text::render(&full(), &options);
    assert!(colored.contains("\u{1b}[31m"), "{colored}");
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, text_of(&full()));
}

#[test]
fn long_values_show_their_difference() {
    let mut report = clean();
    let mut web = object("Deployment", "web", ObjectClass::Modified);
    let image = format!("registry.example.com/{}/web", "deeper".repeat(40));
    web.fields = vec![
        field(
            "spec.image",
            FieldClass::Changed,
            value!(format!("{image}:1.26")),
            value!(format!("{image}:1.27")),
        ),
        field(
            "spec.args",
            FieldClass::Added,
            value!(null),
            value!(vec!["x"; 500]),
        ),
        field(
            "spec.text",
            FieldClass::Changed,
            value!("a\n".repeat(900)),
            value!("b\n"),
        ),
    ];
    report.objects = vec![web];
    let text = text_of(&report);
    assert!(text.contains("eper/web:1.26 → …"), "{text}");
    assert!(text.contains("eper/web:1.27"), "{text}");
    assert!(
        text.contains("[\"x\",\"x\"") && text.contains('…'),
        "{text}"
    );
    assert!(text.contains("(900 → 1 lines)"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 120),
        "{text}"
    );
}

#[test]
fn text_that_could_be_another_value_is_quoted() {
    for (given, shown) in [
        (value!("nginx:1.27"), "nginx:1.27"),
        (value!("8080"), "\"8080\""),
        (value!(8080), "8080"),
        (value!("true"), "\"true\""),
        (value!(true), "true"),
        (value!(""), "\"\""),
        (value!("a b"), "\"a b\""),
        (value!("a → b"), "\"a → b\""),
        (value!(null), "null"),
        (value!("null"), "\"null\""),
        (value!({"b": 1, "a": []}), "{\"a\":[],\"b\":1}"),
    ] {
        assert_eq!(values::inline(&given), shown);
    }
}

#[test]
fn a_secret_is_in_no_rendering() {
    for show_ignored in [false, true] {
        let options = Options {
            show_ignored,
            ..Options::default()
        };
        for page in all(&full(), &options) {
            assert!(!page.contains(SECRET), "{page}");
            assert!(
                page.contains("data.password") || page.contains("password"),
                "{page}"
            );
        }
    }
}

/// All renderings.
pub(super) fn all(report: &Report, options: &Options) -> [String; 5] {
    [
        text::render(report, options),
        json::render(report),
        markdown::render(report, options),
        sarif::render(report, options),
        junit::render(report, options),
    ]
}

// --- JSON ----------------------------------------------------------------------------------------

/// Every keyword that [`fits`] understands: another one would be passed over in silence.
const KEYWORDS: [&str; 16] = [
    "$schema",
    "$id",
    "$defs",
    "$ref",
    "title",
    "description",
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
    "default",
];

/// What of a document does not fit a schema.
pub(super) fn fits(
    document: &Value,
    schema: &Value,
    root: &Value,
    at: &str,
    wrong: &mut Vec<String>,
) {
    for keyword in schema.as_object().unwrap().keys() {
        assert!(
            KEYWORDS.contains(&keyword.as_str()),
            "{keyword} is not checked"
        );
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return fits(document, target, root, at, wrong);
    }
    let is = |name: &str| match name {
        "null" => document.is_null(),
        "string" => document.is_string(),
        "integer" => document.is_u64() || document.is_i64(),
        "number" => document.is_number(),
        "object" => document.is_object(),
        "array" => document.is_array(),
        "boolean" => document.is_boolean(),
        other => panic!("type {other}"),
    };
    let mut complain = |what: String| wrong.push(format!("{at}: {what}"));
    match schema.get("type") {
        Some(Value::String(name)) if !is(name) => complain(format!("is no {name}")),
        Some(Value::Array(names)) if !names.iter().any(|name| is(name.as_str().unwrap())) => {
            complain(format!("is none of {names:?}"));
        }
        _ => {}
    }
    if let Some(only) = schema.get("const")
        && only != document
    {
        complain(format!("is not {only}"));
    }
    if let Some(Value::Array(values)) = schema.get("enum")
        && !values.contains(document)
    {
        complain(format!("is none of {values:?}"));
    }
    if let (Some(number), Some(least)) = (document.as_f64(), schema.get("minimum"))
        && number < least.as_f64().unwrap()
    {
        complain("is too small".to_owned());
    }
    if let (Some(number), Some(most)) = (document.as_f64(), schema.get("maximum"))
        && number > most.as_f64().unwrap()
    {
        complain("is too large".to_owned());
    }
    if let Value::Object(map) = document {
        let properties = schema.get("properties").and_then(Value::as_object);
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if !map.contains_key(name.as_str().unwrap()) {
                complain(format!("lacks {name}"));
            }
        }
        for (name, value) in map {
            match properties.and_then(|properties| properties.get(name)) {
                Some(below) => fits(value, below, root, &format!("{at}.{name}"), wrong),
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    wrong.push(format!("{at}: has {name}"));
                }
                None => {}
            }
        }
    }
    if let (Value::Array(list), Some(items)) = (document, schema.get("items")) {
        for (index, value) in list.iter().enumerate() {
            fits(value, items, root, &format!("{at}[{index}]"), wrong);
        }
    }
}

fn misfits(document: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(json::JSON_SCHEMA).unwrap();
    let mut wrong = Vec::new();
    fits(document, &schema, &schema, "", &mut wrong);
    wrong
}

/// For the tests of other files.
pub(super) fn json_of(report: &Report) -> Value {
    let document: Value = serde_json::from_str(&json::render(report)).unwrap();
    assert_eq!(misfits(&document), Vec::<String>::new());
    document
}

#[test]
fn json_is_what_its_schema_says_and_reads_back() {
    for report in [full(), clean()] {
        let document = json_of(&report);
        let mut read: Report = serde_json::from_value(document).unwrap();
        for field in read
            .objects
            .iter_mut()
            .flat_map(|object| &mut object.fields)
        {
            if field.secret {
                field.desired = Some(value!(SECRET));
                field.live = Some(value!(SECRET));
            }
        }
        assert_eq!(read, report);
    }
}

#[test]
fn the_schema_finds_what_is_wrong() {
    let document = json_of(&full());
    let mut count = 0;
    for (pointer, wrong) in [
        ("/schema", value!("strandline.dev/drift/v2")),
        ("/live/kind", value!("guess")),
        ("/summary/inSync", value!(-1)),
        ("/summary/coverage/percent", value!(101)),
        ("/objects/0/class", value!("Gone")),
        ("/objects/1/fields/0/severity", value!(1)),
        ("/objects/1/fields/0/line", value!(0)),
        ("/objects/1/fields/0", value!({"path": "spec"})),
        ("/sources/0/unknownField", value!(1)),
        ("/incomplete", value!("one")),
    ] {
        let mut broken = document.clone();
        match broken.pointer_mut(pointer) {
            Some(place) => *place = wrong,
            None => broken["sources"][0]["unknownField"] = wrong,
        }
        assert!(!misfits(&broken).is_empty(), "{pointer}");
        count += 1;
    }
    assert_eq!(count, 10);
}

/// The schema lists what the types have: a new field of either is not forgotten in the other.
#[test]
fn the_schema_has_every_field_of_the_types() {
    let schema: Value = serde_json::from_str(json::JSON_SCHEMA).unwrap();
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let document = json_of(&full());
    for (definition, pointer) in [
        ("", ""),
        ("/$defs/live", "/live"),
        ("/$defs/source", "/sources/0"),
        ("/$defs/summary", "/summary"),
        ("/$defs/coverage", "/summary/coverage"),
        ("/$defs/object", "/objects/0"),
        ("/$defs/field", "/objects/3/fields/0"),
        ("/$defs/ignoredBy", "/ignoredBy/0"),
    ] {
        let said = keys(&schema.pointer(definition).unwrap()["properties"]);
        assert_eq!(
            said,
            keys(document.pointer(pointer).unwrap()),
            "{definition}"
        );
    }
}

// --- SARIF ---------------------------------------------------------------------------------------

#[test]
fn sarif_has_what_the_standard_asks_for() {
    let options = Options {
        show_ignored: true,
        ..Options::default()
    };
    let log: Value = serde_json::from_str(&sarif::render(&full(), &options)).unwrap();
    check_sarif(&log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let ids: BTreeSet<&str> = results
        .iter()
        .map(|r| r["ruleId"].as_str().unwrap())
        .collect();
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    let known: BTreeSet<&str> = rules.iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids, known,
        "each rule has a result in a report that has everything"
    );
    let of = |path: &str| {
        let found = results.iter().find(|result| {
            let name = &result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"];
            name.as_str().unwrap().ends_with(path)
        });
        found.unwrap()
    };
    let changed = of("shop/Deployment web spec.replicas");
    assert_eq!(
        changed["message"]["text"],
        "shop/Deployment web: spec.replicas: 3 → 5. Changed by kubectl-edit (Update), last write \
         2026-11-21T08:58:00Z"
    );
    let place = &changed["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "manifests/web.yaml");
    assert_eq!(place["region"]["startLine"], 9);
    assert_eq!(of("spec.extra")["level"], "note");
    assert_eq!(of("spec.paused")["suppressions"][0]["kind"], "external");
    let extra = of("hotfix");
    let uri = &extra["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(
        uri,
        "namespaces/shop/certificates.cert-manager.io/hotfix.yaml"
    );
    assert_eq!(
        log["runs"][0]["invocations"][0]["executionSuccessful"],
        false
    );
}

/// The required properties of the standard's schema, its enumerations, and that nothing stands in an
/// object that its schema does not know (all of them forbid more):
/// <https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json>.
pub(super) fn check_sarif(log: &Value) {
    let text = value!({"type": "object", "required": ["text"], "additionalProperties": false,
        "properties": {"text": {"type": "string"}}});
    let level = value!({"enum": ["none", "note", "warning", "error"]});
    let object = |required: Value, properties: Value| {
        value!({"type": "object", "required": required, "additionalProperties": false,
            "properties": properties})
    };
    let list = |items: Value| value!({"type": "array", "items": items});
    let any = || value!({});
    let rule = object(
        value!(["id"]),
        value!({
            "id": {"type": "string"}, "name": {"type": "string"}, "shortDescription": text,
            "fullDescription": text, "help": text, "properties": any(),
            "defaultConfiguration": object(value!([]), value!({"level": level})),
        }),
    );
    let location = object(
        value!([]),
        value!({
            "logicalLocations": list(object(value!([]), value!({
                "fullyQualifiedName": {"type": "string"}, "kind": {"type": "string"}}))),
            "physicalLocation": object(value!([]), value!({
                "artifactLocation": object(value!([]), value!({"uri": {"type": "string"}})),
                "region": object(value!([]), value!({"startLine": {"type": "integer", "minimum": 1}})),
            })),
        }),
    );
    let result = object(
        value!(["message"]),
        value!({
            "ruleId": {"type": "string"}, "ruleIndex": {"type": "integer", "minimum": 0},
            "kind": {"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
            "level": level, "message": text, "locations": list(location), "partialFingerprints": any(),
            "suppressions": list(object(value!(["kind"]), value!({
                "kind": {"enum": ["inSource", "external"]}, "justification": {"type": "string"}}))),
        }),
    );
    let run = object(
        value!(["tool"]),
        value!({
            "tool": object(value!(["driver"]), value!({"driver": object(value!(["name"]), value!({
                "name": {"type": "string"}, "semanticVersion": {"type": "string"}, "rules": list(rule)}))})),
            "automationDetails": object(value!([]), value!({"id": {"type": "string"}})),
            "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            "invocations": list(object(value!(["executionSuccessful"]), value!({
                "executionSuccessful": {"type": "boolean"},
                "toolExecutionNotifications": list(object(value!(["message"]),
                    value!({"level": level, "message": text}))),
            }))),
            "results": list(result),
        }),
    );
    let schema = object(
        value!(["version", "runs"]),
        value!({
        "$schema": {"type": "string"}, "version": {"const": "2.1.0"}, "runs": list(run)}),
    );
    let mut wrong = Vec::new();
    fits(log, &schema, &schema, "", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
    let rules = &log["runs"][0]["tool"]["driver"]["rules"];
    for result in log["runs"][0]["results"].as_array().unwrap() {
        // §3.27.6: the index names the rule of the id.
        let at = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[at]["id"]);
        assert!(
            !result["message"]["text"].as_str().unwrap().contains("]("),
            "{result}"
        );
        for location in result["locations"].as_array().unwrap() {
            if let Some(uri) = location.pointer("/physicalLocation/artifactLocation/uri") {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/:".contains(&b);
                let uri = uri.as_str().unwrap();
                assert!(uri.bytes().all(plain), "{uri}");
                assert!(uri.starts_with("file:///") || !uri.contains(':'), "{uri}");
            }
        }
    }
}

#[test]
fn a_fingerprint_is_of_the_finding_and_not_of_its_line_or_value() {
    let prints = |report: &Report| -> Vec<String> {
        let log: Value = serde_json::from_str(&sarif::render(report, &Options::default())).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap();
        let print = |result: &Value| result["partialFingerprints"].to_string();
        results.iter().map(print).collect()
    };
    let before = prints(&full());
    assert_eq!(
        before.iter().collect::<BTreeSet<_>>().len(),
        before.len(),
        "all differ"
    );
    let mut moved = full();
    for object in &mut moved.objects {
        object.line = Some(77);
        for field in &mut object.fields {
            field.live = Some(value!("another"));
            field.line = Some(99);
        }
    }
    assert_eq!(prints(&moved), before);
}

// --- JUnit ---------------------------------------------------------------------------------------

#[test]
fn junit_counts_what_it_lists() {
    let xml = junit::render(&full(), &Options::default());
    assert!(
        xml.contains("<testsuites name=\"strandline drift\" tests=\"9\" failures=\"5\" errors=\"2\" skipped=\"1\">"),
        "{xml}"
    );
    assert!(
        xml.contains("<testcase classname=\"shop\" name=\"Deployment web\">"),
        "{xml}"
    );
    assert!(
        xml.contains("<failure message=\"Modified: 7 fields differ\">"),
        "{xml}"
    );
    assert!(
        xml.contains("<testcase classname=\"shop\" name=\"Service web\"/>"),
        "{xml}"
    );
    assert!(
        xml.contains("spec.replicas: 3 → 5  Changed by kubectl-edit"),
        "{xml}"
    );
    assert!(
        xml.contains("<error message=\"Unknown: declared twice: shop, platform\">"),
        "{xml}"
    );
}
