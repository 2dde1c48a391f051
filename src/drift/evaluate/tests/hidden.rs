//! Values that the filter hides are in no report, on whichever side and in whichever form.

use super::super::super::report::{Options, json, junit, markdown, sarif, text};
use super::*;
use crate::filter::UserFile;

/// Values of the manifests that nobody may see: plain, and as a Secret holds them.
const HIDDEN: [&str; 8] = [
    "hunter1", "hunter2", "hunter3", "hunter4", "hunter5", "aHVudGVy", "hmac:", "omitted",
];

fn hiding() -> Selection {
    let rules = "rules:
  - name: hidden
    reason: r
    match: {resources: [configmaps]}
    redact: [{path: data.token}, {path: data.fixed, mode: omit}, {path: 'data[\"new.token\"]'}]
  - name: hidden-environment
    reason: r
    match: {resources: [deployments]}
    redact: [{path: 'spec.template.spec.containers[*].env[name=TOKEN].value'}]
  - name: not-recorded
    reason: r
    match: {resources: [configmaps], labels: 'hide=yes'}
    drop: true
";
    Selection {
        files: vec![UserFile {
            name: "mine.yaml".into(),
            text: rules.to_owned(),
        }],
        ..Selection::default()
    }
}

/// Every form of a report, and that none shows what is hidden.
fn show_nothing(report: &Report) {
    let options = Options {
        show_ignored: true,
        ..Options::default()
    };
    let forms = [
        text::render(report, &options),
        json::render(report),
        markdown::render(report, &options),
        sarif::render(report, &options),
        junit::render(report, &options),
    ];
    for form in forms {
        assert!(form.contains("web"), "the object is in it: {form}");
        for value in HIDDEN {
            assert!(!form.contains(value), "{value} in {form}");
        }
    }
}

fn pending(live: &Live, applied: &str, head: &str) -> Report {
    let mut git = source("git", applied);
    git.head = Some(source("git", head).manifests);
    git.head_revision = Some("abc".into());
    let report = report(live, &[git]);
    assert_eq!(only(&report).class, ObjectClass::Pending, "{report:#?}");
    show_nothing(&report);
    report
}

fn fields_of(report: &Report) -> Vec<(&str, bool)> {
    let fields = &only(report).fields;
    fields.iter().map(|f| (&*f.path, f.secret)).collect()
}

#[test]
fn what_is_pending_shows_no_value_that_a_rule_hides() {
    let map = |token: &str, fixed: &str, open: &str, more: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: web}}, data: {{token: {token}, \
             fixed: {fixed}, open: {open}{more}}}}}"
        )
    };
    let object = config_map(&json!({"token": "hunter1", "fixed": "hunter2", "open": "x"}));
    let live = live_by(&hiding(), &[object]);
    let applied = map("hunter1", "hunter2", "x", "");
    let report = pending(
        &live,
        &applied,
        &map("hunter3", "hunter4", "z", ", new.token: hunter5"),
    );
    assert_eq!(
        fields_of(&report),
        [
            ("data.fixed", true),
            ("data.open", false),
            ("data.token", true),
            (r#"data["new.token"]"#, true)
        ]
    );
    assert_eq!(only(&report).fields[1].desired, Some(json!("z")));
}

#[test]
fn what_is_pending_shows_no_value_of_a_secret() {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "web", "namespace": "shop"},
        "data": {"a": "aHVudGVyMQ=="}});
    let yaml = |data: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: web}}, type: Opaque, stringData: {data}}}"
        )
    };
    for secrets in [
        crate::filter::SecretMode::Digest,
        crate::filter::SecretMode::Omit,
    ] {
        let selection = Selection {
            secrets,
            ..Selection::default()
        };
        let live = live_by(&selection, std::slice::from_ref(&object));
        let report = pending(
            &live,
            &yaml("{a: hunter1}"),
            &yaml("{a: hunter2, b: hunter3}"),
        );
        assert_eq!(fields_of(&report), [("data.a", true), ("data.b", true)]);
    }
}

#[test]
fn an_element_that_moves_does_not_uncover_what_is_hidden() {
    let deployment = |env: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, namespace: shop}}, \
             spec: {{template: {{spec: {{containers: [{{name: c, env: [{env}]}}]}}}}}}}}"
        )
    };
    let value = |yaml: &str| {
        let read = desired::read(&"x".into(), yaml.as_bytes());
        Value::clone(&read.manifests[0].value())
    };
    let applied = deployment("{name: A, value: a}, {name: TOKEN, value: hunter1}");
    let mut live = live_by(&hiding(), &[]);
    let mut object = config_map(&json!({}));
    object["metadata"]["managedFields"] = json!([]);
    let mut live_value = value(&applied);
    live_value["metadata"] = object["metadata"].clone();
    // The type is unknown in the test's cluster but for this.
    let RecordedFile {
        bytes,
        owners,
        path,
        ..
    } = recorded(&hiding(), &live_value);
    let file = RecordedFile {
        bytes,
        owners,
        path,
        times: None,
    };
    let (identity, object) = super::super::super::live::object_of(file).unwrap();
    live.objects.insert(identity, object);
    let known = live.kinds.get_mut(&("apps".into(), "Deployment".into()));
    known.unwrap().coverage = Coverage::Complete;
    for head in [
        deployment("{name: A, value: a}, {name: TOKEN, value: hunter2}"),
        deployment("{name: TOKEN, value: hunter2}, {name: A, value: a}"),
        deployment("{name: N, value: n}, {name: A, value: a}, {name: TOKEN, value: hunter2}"),
        deployment("{name: TOKEN, value: hunter3}"),
        deployment("{name: A, value: a}"),
    ] {
        pending(&live, &applied, &head);
    }
}

#[test]
fn a_manifest_that_the_filter_drops_shows_no_value() {
    // Live is recorded, as only the manifest has the label.
    let live = live_by(&hiding(), &[config_map(&json!({"a": "x"}))]);
    let yaml = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web, labels: {hide: 'yes'}}, \
                data: {a: hunter1, token: hunter2}}";
    let report = report(&live, &[source("git", yaml)]);
    show_nothing(&report);
    assert_eq!(
        fields_of(&report),
        [
            ("data.a", true),
            ("data.token", true),
            ("metadata.labels.hide", true)
        ]
    );
}
