//! Reports for tests: one that has each class once, and hostile ones.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A value that must be in no rendering.
pub(crate) const SECRET: &str = "hunter2-never-shown";

pub(crate) fn field(path: &str, class: FieldClass, desired: Value, live: Value) -> FieldReport {
    let some = |value: Value| Some(value).filter(|value| !value.is_null());
    FieldReport {
        path: path.to_owned(),
        class,
        severity: Severity::Warning,
        desired: some(desired),
        live: some(live),
        secret: false,
        manager: None,
        operation: None,
        subresource: None,
        time: None,
        rule: None,
        line: None,
    }
}

fn by(mut field: FieldReport, manager: &str, operation: &str) -> FieldReport {
    field.manager = Some(manager.to_owned());
    field.operation = Some(operation.to_owned());
    field.time = Some("2026-11-21T08:58:00Z".to_owned());
    field
}

pub(crate) fn object(kind: &str, name: &str, class: ObjectClass) -> ObjectReport {
    ObjectReport {
        group: String::new(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: Some("shop".to_owned()),
        name: name.to_owned(),
        class,
        source: Some("shop".to_owned()),
        file: Some(format!("{name}.yaml")),
        line: Some(3),
        fields: Vec::new(),
        reason: None,
        marks: Vec::new(),
    }
}

/// Each class of objects and of fields once.
#[expect(clippy::too_many_lines, reason = "each class once is long")]
pub(crate) fn full() -> Report {
    let mut web = object("Deployment", "web", ObjectClass::Modified);
    web.group = "apps".to_owned();
    web.marks = vec!["rolling out".to_owned()];
    let mut replicas = by(
        field("spec.replicas", FieldClass::Changed, json!(3), json!(5)),
        "kubectl-edit",
        "Update",
    );
    replicas.line = Some(9);
    let mut scaled = by(
        field(
            "metadata.labels.team",
            FieldClass::Added,
            Value::Null,
            json!("x"),
        ),
        "kubectl",
        "Update",
    );
    scaled.subresource = Some("scale".to_owned());
    let mut webhook = field(
        "spec.extra",
        FieldClass::Added,
        Value::Null,
        json!({"a": [1]}),
    );
    webhook.severity = Severity::Info;
    webhook.rule = Some("unowned: admission webhook, or ownership reset".to_owned());
    let mut ignored = field(
        "spec.paused",
        FieldClass::Ignored,
        json!(false),
        json!(true),
    );
    ignored.rule = Some("accepted: on call, until 2026-12-31".to_owned());
    web.fields = vec![
        replicas,
        scaled,
        webhook,
        field(
            "spec.minReadySeconds",
            FieldClass::Removed,
            json!(7),
            Value::Null,
        ),
        field(
            "spec.repliacs",
            FieldClass::Dropped,
            json!("5"),
            Value::Null,
        ),
        by(
            field(
                "spec.old",
                FieldClass::PendingRemoval,
                Value::Null,
                json!(true),
            ),
            "argocd-controller",
            "Apply",
        ),
        field("spec.next", FieldClass::Pending, json!("b"), json!("a")),
        ignored,
    ];
    let mut settings = object("ConfigMap", "settings", ObjectClass::Modified);
    settings.fields = vec![by(
        field(
            "data[\"app.conf\"]",
            FieldClass::Changed,
            json!("one\ntwo\nthree\nfour\n"),
            json!("one\n2\nthree\nfour\n"),
        ),
        "kubectl-patch",
        "Update",
    )];
    let mut secret = object("Secret", "db", ObjectClass::Modified);
    let mut password = field(
        "data.password",
        FieldClass::Changed,
        json!(SECRET),
        json!(SECRET),
    );
    password.secret = true;
    secret.fields = vec![password];
    let mut extra = object("Certificate", "hotfix", ObjectClass::Extra);
    extra.group = "cert-manager.io".to_owned();
    extra.source = None;
    extra.file = Some("namespaces/shop/certificates.cert-manager.io/hotfix.yaml".to_owned());
    extra.line = None;
    let mut unknown = object("Widget", "w", ObjectClass::Unknown);
    unknown.reason = Some("declared twice: shop, platform".to_owned());
    let mut role = object("ClusterRole", "reader", ObjectClass::Missing);
    role.namespace = None;
    role.group = "rbac.authorization.k8s.io".to_owned();
    let ignored = object("Job", "migrate", ObjectClass::Ignored);
    let pending = object("Service", "api", ObjectClass::Pending);
    let fine = object("Service", "web", ObjectClass::InSync);
    Report {
        schema: SCHEMA.to_owned(),
        live: LiveInfo {
            kind: "mirror".to_owned(),
            name: "./prod.git#main".to_owned(),
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            server_version: Some("v1.36.3".to_owned()),
            defaults: Some("1.36".to_owned()),
        },
        as_of: Some("2026-11-21T09:00:00Z".to_owned()),
        sources: vec![SourceInfo {
            name: "shop".to_owned(),
            kind: "directory".to_owned(),
            location: "./manifests".to_owned(),
            revision: None,
            head_revision: None,
            objects: 9,
            set_aside: 1,
        }],
        summary: Summary {
            in_sync: 40,
            modified: 3,
            missing: 1,
            extra: 1,
            pending: 1,
            ignored: 1,
            unknown: 1,
            not_compared: 2,
            coverage: CoverageCount {
                known: 412,
                live: 430,
                percent: 95.8,
            },
        },
        objects: vec![
            role, web, settings, secret, ignored, pending, fine, unknown, extra,
        ],
        incomplete: vec!["widgets.example.com: forbidden".to_owned()],
        warnings: vec!["accept rule 'old' expired on 2026-01-01".to_owned()],
        ignored_by: vec![IgnoredBy {
            rule: "accepted: on call, until 2026-12-31".to_owned(),
            fields: 1,
            objects: 1,
        }],
    }
}

/// Nothing differs.
pub(crate) fn clean() -> Report {
    let mut report = full();
    report.objects.clear();
    report.incomplete.clear();
    report.warnings.clear();
    report.ignored_by.clear();
    report.summary = Summary {
        in_sync: 40,
        ..Summary::default()
    };
    report
}

/// Texts that somebody could put into a cluster to break a rendering.
fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = [
        "\u{1b}[31m",
        "\u{1b}]0;x\u{7}",
        "]]>",
        "<![CDATA[",
        "```",
        "``````",
        "~~~",
        "\n",
        "\r\n",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\0",
        "\u{9b}2J",
        "<script>",
        "</details>",
        "</summary>",
        "<!--",
        "-->",
        "<!-- strandline -->",
        "@team",
        "#123",
        "|",
        "\\|",
        "\\",
        "`",
        "*",
        "_",
        "[x](https://evil.example)",
        "![i](//e.example/p)",
        "https://evil.example",
        "www.evil.example",
        "&lt;",
        "\"",
        "'",
        "${x}",
        "{0}",
        "{{",
        "%",
        "\u{fffe}",
        "\u{ffff}",
        "\u{e0041}",
        "größe",
        "中文",
        "🙂",
        "a",
        "0",
        " ",
        "---",
        "# ",
        "- ",
        "/",
        "../",
        ":",
        "shop",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|parts| parts.concat())
}

fn hostile_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        hostile_text().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        (hostile_text(), 1..200_usize).prop_map(|(text, n)| Value::from(text.repeat(n))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::vec((hostile_text(), inner), 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn hostile_field()(
        texts in proptest::collection::vec(hostile_text(), 5),
        desired in proptest::option::of(hostile_value()),
        live in proptest::option::of(hostile_value()),
        class in proptest::sample::select(vec![
            FieldClass::Changed, FieldClass::Removed, FieldClass::Added, FieldClass::PendingRemoval,
            FieldClass::Pending, FieldClass::Dropped, FieldClass::Ignored,
        ]),
        severity in proptest::sample::select(vec![Severity::Info, Severity::Warning, Severity::Error]),
        present in any::<[bool; 4]>(),
        secret in proptest::bool::weighted(0.2),
        line in proptest::option::of(1..1000_usize),
    ) -> FieldReport {
        let text = |at: usize| present[at - 1].then(|| texts[at].clone());
        let hidden = |value: Option<Value>| if secret { Some(Value::from(SECRET)) } else { value };
        FieldReport {
            path: texts[0].clone(), class, severity, desired: hidden(desired), live: hidden(live), secret,
            manager: text(1), operation: text(2), subresource: text(3), time: None, rule: text(4), line,
        }
    }
}

prop_compose! {
    fn hostile_object()(
        texts in proptest::collection::vec(hostile_text(), 8),
        fields in proptest::collection::vec(hostile_field(), 0..4),
        class in proptest::sample::select(vec![
            ObjectClass::InSync, ObjectClass::Modified, ObjectClass::Missing, ObjectClass::Extra,
            ObjectClass::Pending, ObjectClass::Ignored, ObjectClass::Unknown,
        ]),
        present in any::<[bool; 5]>(),
        line in proptest::option::of(1..1000_usize),
    ) -> ObjectReport {
        let text = |at: usize| present[at].then(|| texts[at].clone());
        ObjectReport {
            namespace: text(0), source: text(1), file: text(2), reason: text(3),
            marks: text(4).into_iter().collect(),
            group: texts[5].clone(), version: "v1".to_owned(), kind: texts[6].clone(),
            name: texts[7].clone(), class, line, fields,
        }
    }
}

prop_compose! {
    /// Hostile wherever a cluster or a repository has a say.
    pub(crate) fn hostile()(
        mut objects in proptest::collection::vec(hostile_object(), 0..8),
        texts in proptest::collection::vec(hostile_text(), 9),
    ) -> Report {
        objects.sort_by(|a, b| (&a.source, &a.namespace).cmp(&(&b.source, &b.namespace)));
        let mut report = full();
        let sources = objects.iter().filter_map(|object| object.source.clone());
        report.sources = sources.map(|name| SourceInfo {
            name, kind: "directory".to_owned(), location: texts[0].clone(), revision: Some(texts[1].clone()),
            head_revision: Some(texts[2].clone()), objects: 1, set_aside: 0,
        }).collect();
        report.live.name.clone_from(&texts[3]);
        report.live.commit = Some(texts[4].clone());
        report.as_of = Some(texts[5].clone());
        report.incomplete = vec![texts[6].clone()];
        report.warnings = vec![texts[7].clone()];
        report.ignored_by = vec![IgnoredBy { rule: texts[8].clone(), fields: 1, objects: 2 }];
        report.objects = objects;
        report
    }
}
