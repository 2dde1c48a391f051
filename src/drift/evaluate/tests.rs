mod hidden;
mod versions;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::accept::{Ignored, Place as Named};
use super::super::desired;
use super::super::live::{ClusterFacts, Facts, KindFact, RecordedFile, assemble};
use super::super::report::LiveInfo;
use super::super::schema::{Kind, ListType, Schemas, Type};
use super::*;
use crate::canonical;
use crate::filter::{Autoscaled, Context, FieldPath, Rules, Selection};
use crate::object::RawObject;

const KEY: &[u8] = b"a key of a test, long enough";

/// (group, kind, resource, namespaced)
const KINDS: [(&str, &str, &str, bool); 6] = [
    ("", "ConfigMap", "configmaps", true),
    ("", "Secret", "secrets", true),
    ("", "Service", "services", true),
    ("", "Namespace", "namespaces", false),
    ("", "Pod", "pods", true),
    ("apps", "Deployment", "deployments", true),
];

fn api_type(object: &Value) -> ApiType {
    let version = object["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = object["kind"].as_str().unwrap();
    let (_, _, resource, namespaced) = KINDS
        .into_iter()
        .find(|(g, k, ..)| (*g, *k) == (group, kind))
        .unwrap();
    ApiType {
        group: group.into(),
        version: version.into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced,
    }
}

/// What the recorder would write of a live object.
fn recorded(selection: &Selection, object: &Value) -> RecordedFile {
    let api_type = Arc::new(api_type(object));
    let TypePlan::Watched(rules) = Rules::assemble(selection).unwrap().plan(&api_type) else {
        panic!("{} is recorded", api_type.kind)
    };
    let mut raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
    let key = raw.key(&api_type).unwrap();
    let digest_key = DigestKey::from_bytes(KEY).unwrap();
    let context = Context {
        digest_key: &digest_key,
        autoscaled: &Autoscaled::default(),
    };
    let (_, owned) = rules.apply_with_owners(&mut raw, &key, &context);
    let (shape, times) = owned.unwrap();
    let mut bytes = Vec::new();
    canonical::emit(&raw.value, &mut bytes);
    RecordedFile {
        path: key.path().into(),
        bytes,
        owners: Some(shape.encode().into()),
        times: Some(times.encode().into()),
    }
}

fn text() -> Type {
    Type {
        kind: Kind::Text,
        ..Type::default()
    }
}

fn texts() -> Type {
    Type {
        kind: Kind::Map,
        values: Some(Box::new(text())),
        ..Type::default()
    }
}

fn fields(fields: impl IntoIterator<Item = (&'static str, Type)>) -> Type {
    Type {
        kind: Kind::Object,
        fields: fields
            .into_iter()
            .map(|(name, of)| (name.into(), of))
            .collect(),
        ..Type::default()
    }
}

fn list(list: ListType, items: Type) -> Type {
    Type {
        kind: Kind::List,
        items: Some(Box::new(items)),
        list,
        ..Type::default()
    }
}

fn schemas() -> Schemas {
    let integer = || Type {
        kind: Kind::Integer,
        ..Type::default()
    };
    let port = fields([
        ("port", integer()),
        ("protocol", text()),
        ("nodePort", integer()),
    ]);
    let keys = ListType::Map(vec!["port".into(), "protocol".into()]);
    let rule = fields([("host", text()), ("path", text())]);
    let service = fields([
        ("clusterIP", text()),
        ("ports", list(keys, port)),
        ("rules", list(ListType::Atomic, rule)),
    ]);
    let kinds = [
        ("/v1/ConfigMap", fields([("data", texts())])),
        ("/v1/Secret", fields([("data", texts()), ("type", text())])),
        ("/v1/Service", fields([("spec", service)])),
        ("/v1/Namespace", fields([])),
    ];
    Schemas {
        kinds: kinds
            .into_iter()
            .map(|(name, of)| (name.into(), of))
            .collect(),
        ..Schemas::default()
    }
}

fn live(objects: &[Value]) -> Live {
    live_by(&Selection::default(), objects)
}

fn live_by(selection: &Selection, objects: &[Value]) -> Live {
    let rules = Rules::assemble(selection).unwrap();
    let cluster = ClusterFacts {
        server_version: "v1.36.0".into(),
        kinds: KINDS
            .into_iter()
            .map(|(group, kind, resource, namespaced)| KindFact {
                group: group.into(),
                kind: kind.into(),
                resource: resource.into(),
                versions: vec!["v1".into()],
                namespaced,
            })
            .collect(),
        ..ClusterFacts::default()
    };
    let schemas = BTreeMap::from([("all".to_owned(), schemas())]);
    let mut files = Facts::write(&cluster, selection, rules.fingerprint(), &schemas).unwrap();
    let unknown = br#"{"unknown": {"deployments.apps": "forbidden"}}"#;
    files.insert("coverage.json".into(), unknown.to_vec());
    let facts = Facts::read(&files).unwrap();
    let files = objects.iter().map(|object| recorded(selection, object));
    let files = files.collect();
    assemble(files, &facts, LiveInfo::default(), None).unwrap()
}

fn source(name: &str, yaml: &str) -> Desired {
    let read = desired::read(&"all.yaml".into(), yaml.as_bytes());
    Desired {
        name: name.into(),
        kind: "file",
        namespace: Some("shop".into()),
        manifests: read.manifests,
        problems: read.problems,
        ..Desired::default()
    }
}

struct Asked {
    digest_key: bool,
    ignores: Vec<Ignore>,
    stale: Option<&'static str>,
    namespaces: Vec<String>,
}

fn report_with(live: &Live, desired: &[Desired], asked: &Asked) -> Report {
    let key = DigestKey::from_bytes(KEY).unwrap();
    evaluate(Question {
        live,
        desired,
        ignores: &asked.ignores,
        deployers: &Deployers::default(),
        digest_key: asked.digest_key.then_some(&key),
        tables: &Tables::of(36),
        namespaces: &asked.namespaces,
        selector: None,
        stale: asked.stale,
        show_in_sync: true,
    })
}

fn plainly() -> Asked {
    Asked {
        digest_key: false,
        ignores: Vec::new(),
        stale: None,
        namespaces: Vec::new(),
    }
}

fn report(live: &Live, desired: &[Desired]) -> Report {
    report_with(live, desired, &plainly())
}

fn only(report: &Report) -> &ObjectReport {
    let [object] = report.objects.as_slice() else {
        panic!("one object, not {:?}", report.objects)
    };
    object
}

#[test]
fn what_is_recorded_now_and_then_alone_is_marked() {
    let mut live = live(&[config_map(&json!({"a": "x", "extra": "y"}))]);
    let git = [source("git", CONFIG_MAP)];
    assert_eq!(only(&report(&live, &git)).marks, [""; 0]);
    let path = live.objects.values().next().unwrap().path.clone();
    live.damped.insert(path);
    assert_eq!(only(&report(&live, &git)).marks, ["damped"]);
}

/// A live `ConfigMap` that `kubectl apply` made, and in which a person wrote `extra`.
fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "web", "namespace": "shop", "managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
                "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {".": {}, "f:a": {}}}},
            {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1",
                "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:data": {"f:extra": {}}}}]},
        "data": data})
}

const CONFIG_MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: x}}\n";

#[test]
fn what_agrees_is_in_sync_and_takes_its_sources_namespace() {
    let live = live(&[config_map(&json!({"a": "x"}))]);
    let report = report(&live, &[source("git", CONFIG_MAP)]);
    assert_eq!(only(&report).class, ObjectClass::InSync);
    assert_eq!(
        (report.summary.in_sync, report.summary.coverage.known),
        (1, 1)
    );
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
}

#[test]
fn each_kind_of_difference_names_its_writer() {
    let live = live(&[config_map(&json!({"a": "y", "extra": "z"}))]);
    let yaml =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  a: x\n  gone: 'yes'\n";
    let report = report(&live, &[source("git", yaml)]);
    let object = only(&report);
    assert_eq!(object.class, ObjectClass::Modified);
    let seen: Vec<_> = object
        .fields
        .iter()
        .map(|f| {
            (
                &*f.path,
                f.class,
                f.manager.as_deref(),
                f.time.is_some(),
                f.line,
            )
        })
        .collect();
    let edit = Some("kubectl-edit");
    let apply = Some("kubectl-client-side-apply");
    assert_eq!(
        seen,
        [
            ("data.a", FieldClass::Changed, apply, true, Some(5)),
            ("data.extra", FieldClass::Added, edit, true, None),
            ("data.gone", FieldClass::Removed, None, false, Some(6)),
        ]
    );
}

#[test]
fn one_object_in_two_sources_is_unknown_and_the_same_twice_in_one_is_not() {
    let live = live(&[config_map(&json!({"a": "x"}))]);
    let two = [source("one", CONFIG_MAP), source("two", CONFIG_MAP)];
    let both = report(&live, &two);
    assert_eq!(only(&both).class, ObjectClass::Unknown);
    let reason = only(&both).reason.as_deref().unwrap();
    assert_eq!(reason, "declared twice: one (all.yaml:1), two (all.yaml:1)");
    assert_eq!(both.incomplete.len(), 1);
    let twice = source("one", &format!("{CONFIG_MAP}---\n{CONFIG_MAP}"));
    assert_eq!(only(&report(&live, &[twice])).class, ObjectClass::InSync);
    let other = CONFIG_MAP.replace("a: x", "a: y");
    let differing = source("one", &format!("{CONFIG_MAP}---\n{other}"));
    assert_eq!(
        only(&report(&live, &[differing])).class,
        ObjectClass::Unknown
    );
}

#[test]
fn what_cannot_be_seen_is_never_missing() {
    let live = live(&[]);
    let class = |yaml: &str| {
        let report = report(&live, &[source("git", yaml)]);
        let object = only(&report);
        (object.class, object.reason.clone().unwrap_or_default())
    };
    assert_eq!(class(CONFIG_MAP).0, ObjectClass::Missing);
    for (yaml, reason) in [
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: p}}",
            "not recorded (rule",
        ),
        (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}",
            "forbidden",
        ),
        (
            "{apiVersion: x.example/v1, kind: Toy, metadata: {name: t, namespace: n}}",
            "does not serve kind Toy of x.example",
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt}}",
            "not recorded (rule",
        ),
    ] {
        let (class, told) = class(yaml);
        assert_eq!(class, ObjectClass::Unknown, "{yaml}");
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn what_is_live_and_nobodys_is_extra_but_what_the_cluster_makes_is_not() {
    let owned = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "derived",
        "namespace": "shop", "ownerReferences": [{"apiVersion": "x/v1", "kind": "Toy",
        "name": "t", "uid": "u", "controller": true}]}});
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let own = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default"}});
    let objects = [
        config_map(&json!({})),
        owned,
        namespace("kube-system"),
        namespace("shop"),
        own,
    ];
    let live = live(&objects);
    let all = report(&live, &[source("git", "")]);
    let extra: Vec<_> = all.objects.iter().map(|o| (&*o.name, o.class)).collect();
    assert_eq!(
        extra,
        [("shop", ObjectClass::Extra), ("web", ObjectClass::Extra)]
    );
    assert_eq!(
        (all.summary.coverage.known, all.summary.coverage.live),
        (0, 2)
    );
    // A manifest that could not be read may be any of them.
    let mut broken = source("git", "");
    broken.problems.push(Problem {
        file: Some("x.yaml".into()),
        line: Some(3),
        reason: "not YAML".into(),
        object: None,
    });
    let unsure = report(&live, &[broken]);
    assert!(
        unsure
            .objects
            .iter()
            .all(|o| o.class == ObjectClass::Unknown)
    );
    assert!(
        unsure.incomplete[0].contains("x.yaml:3: not YAML"),
        "{:?}",
        unsure.incomplete
    );
    assert_eq!(unsure.incomplete.len(), 3, "{:?}", unsure.incomplete);
    // Of many it is said once.
    let many: Vec<Value> = (0..5)
        .map(|at| {
            let mut object = config_map(&json!({}));
            object["metadata"]["name"] = format!("web-{at}").into();
            object
        })
        .collect();
    let mut broken = source("git", "");
    broken.problems.push(Problem {
        file: None,
        line: None,
        reason: "not YAML".into(),
        object: None,
    });
    let unsure = report(&self::live(&many), &[broken]);
    assert_eq!(unsure.summary.unknown, 6);
    assert_eq!(
        unsure.incomplete,
        [
            "git: not YAML",
            "5 objects (shop/ConfigMap web-0, shop/ConfigMap web-1, shop/ConfigMap web-2, …): it \
             may be declared in git, of which not all could be read"
        ]
    );
    // In one namespace, nothing is said of what lies in none.
    let asked = Asked {
        namespaces: vec!["shop".into()],
        ..plainly()
    };
    let inside = report_with(&live, &[source("git", "")], &asked);
    assert_eq!(only(&inside).name, "web");
}

#[test]
fn values_of_secrets_are_compared_by_the_digest_key_alone_and_never_shown() {
    let secret = |data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "s", "namespace": "shop"}, "data": data})
    };
    // hunter2, and another value
    let live = live(&[secret(json!({"a": "aHVudGVyMg==", "b": "bGl2ZQ=="}))]);
    let yaml = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\nstringData: {a: hunter2, b: wanted1, c: newest1}\n";
    let sources = [source("git", yaml)];
    let with_key = Asked {
        digest_key: true,
        ..plainly()
    };
    let without = report(&live, &sources);
    let with = report_with(&live, &sources, &with_key);
    let seen = |report: &Report| -> Vec<_> {
        let fields = &only(report).fields;
        fields
            .iter()
            .map(|f| (f.path.clone(), f.class, f.secret))
            .collect()
    };
    let removed = ("data.c".to_owned(), FieldClass::Removed, true);
    assert_eq!(seen(&without), std::slice::from_ref(&removed));
    assert_eq!(without.summary.not_compared, 2);
    let changed = ("data.b".to_owned(), FieldClass::Changed, true);
    assert_eq!(seen(&with), [changed, removed]);
    assert_eq!(with.summary.not_compared, 0);
    for report in [without, with] {
        let text = serde_json::to_string(&report).unwrap();
        for value in [
            "hunter2", "aHVudGVy", "wanted1", "d2FudGVk", "hmac:", "bGl2ZQ", "newest1", "bmV3ZXN0",
        ] {
            assert!(!text.contains(value), "{value} in {text}");
        }
    }
}

#[test]
fn what_the_filter_hides_is_ignored_and_what_the_server_took_instead_is_removed() {
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop",
            "annotations": {"deployment.kubernetes.io/revision": "3"}},
        "spec": {"clusterIP": "10.0.0.7", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}});
    let live = live(&[service]);
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  clusterIP: 10.0.0.9\n  ports:\n  - {port: 80, protocol: TCP, nodePort: 30500}\n";
    let report = report(&live, &[source("git", yaml)]);
    let seen: Vec<_> = only(&report)
        .fields
        .iter()
        .map(|f| (&*f.path, f.class, f.rule.as_deref()))
        .collect();
    let now = Some("server-allocated now");
    assert_eq!(
        seen,
        [
            ("spec.clusterIP", FieldClass::Removed, now),
            (
                "spec.ports[port=80,protocol=TCP].nodePort",
                FieldClass::Removed,
                now
            ),
        ]
    );
}

#[test]
fn what_the_server_sets_beside_an_addition_is_no_finding_unless_somebody_owns_it() {
    let timeout = || json!({"f:sessionAffinityConfig": {"f:clientIP": {"f:timeoutSeconds": {}}}});
    for (owned, expected) in [
        (json!({}), &["spec.sessionAffinity"][..]),
        (
            timeout(),
            &[
                "spec.sessionAffinity",
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            ],
        ),
    ] {
        let mut named_fields = owned;
        named_fields["f:sessionAffinity"] = json!({});
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop", "managedFields": [
                {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1",
                    "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": named_fields}}]},
            "spec": {"sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10_800}}}});
        let mut live = live(&[service]);
        let named = |name: &str| Type {
            reference: Some(format!("io.k8s.api.core.v1.{name}").into()),
            ..Type::default()
        };
        let mut add = |name: &str, of: Type| {
            let name = named(name).reference.unwrap();
            live.schemas.types.insert(name, of);
        };
        add("Service", fields([("spec", named("ServiceSpec"))]));
        add("ServiceSpec", fields([("sessionAffinity", text())]));
        live.schemas
            .kinds
            .insert("/v1/Service".into(), named("Service"));
        let yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
        let report = report(&live, &[source("git", yaml)]);
        let paths = only(&report).fields.iter().map(|field| &*field.path);
        assert_eq!(paths.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn rules_hide_fields_objects_and_places_within_atomic_lists() {
    let live = live(&[config_map(&json!({"a": "y"}))]);
    let hide = |what: Ignored| Ignore {
        name: "mine".into(),
        kind: Some("ConfigMap".into()),
        what,
        ..Ignore::default()
    };
    let path = |text: &str| Named::Path(FieldPath::parse(text).unwrap());
    let with = |live: &Live, yaml: &str, rule: Ignore| {
        let asked = Asked {
            ignores: vec![rule],
            ..plainly()
        };
        report_with(live, &[source("git", yaml)], &asked)
    };
    let field = with(
        &live,
        CONFIG_MAP,
        hide(Ignored::Paths(vec![path("data.a")])),
    );
    assert_eq!(only(&field).class, ObjectClass::Ignored);
    assert_eq!(
        (field.ignored_by[0].fields, field.ignored_by[0].objects),
        (1, 0)
    );
    let managers = vec!["kubectl-client-side-apply".to_owned()];
    let manager = with(&live, CONFIG_MAP, hide(Ignored::Managers(managers)));
    assert_eq!(only(&manager).class, ObjectClass::Ignored);
    let whole = with(&live, CONFIG_MAP, hide(Ignored::Object));
    assert_eq!(
        (whole.ignored_by[0].fields, whole.ignored_by[0].objects),
        (0, 1)
    );
    let other = Ignore {
        kind: Some("Secret".into()),
        ..hide(Ignored::Object)
    };
    assert_eq!(
        only(&with(&live, CONFIG_MAP, other)).class,
        ObjectClass::Modified
    );

    let rules = |host: &str, path: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"rules": [{"host": host, "path": path}]}})
    };
    let service = super::tests::live(&[rules("live", "/")]);
    let yaml = rules("desired", "/").to_string();
    let hosts = || Ignore {
        kind: None,
        ..hide(Ignored::Paths(vec![path("spec.rules[*].host")]))
    };
    assert_eq!(
        only(&with(&service, &yaml, hosts())).class,
        ObjectClass::Ignored
    );
    let yaml = rules("desired", "/other").to_string();
    assert_eq!(
        only(&with(&service, &yaml, hosts())).class,
        ObjectClass::Modified
    );
}

#[test]
fn what_git_has_since_is_pending() {
    let live = live(&[config_map(&json!({"a": "x"}))]);
    let mut git = source("git", CONFIG_MAP);
    git.head_revision = Some("abc".into());
    let new = CONFIG_MAP.replace("web", "new");
    git.head = Some(
        source(
            "git",
            &format!("{}---\n{new}", CONFIG_MAP.replace("a: x", "a: z")),
        )
        .manifests,
    );
    let next = report(&live, &[git.clone()]);
    let seen: Vec<_> = next.objects.iter().map(|o| (&*o.name, o.class)).collect();
    assert_eq!(
        seen,
        [("new", ObjectClass::Pending), ("web", ObjectClass::Pending)]
    );
    let field = &next.objects[1].fields[0];
    assert_eq!((&*field.path, field.class), ("data.a", FieldClass::Pending));
    assert_eq!(
        (field.desired.as_ref(), field.live.as_ref()),
        (Some(&json!("z")), Some(&json!("x")))
    );
    git.head = Some(Vec::new());
    let gone = report(&live, &[git]);
    assert_eq!(only(&gone).class, ObjectClass::Pending);
    assert_eq!(only(&gone).fields[0].class, FieldClass::PendingRemoval);
}

#[test]
fn a_stale_mirror_says_nothing_of_now() {
    let live = live(&[config_map(&json!({"a": "x"}))]);
    let asked = Asked {
        stale: Some("last heard of at noon"),
        ..plainly()
    };
    let report = report_with(&live, &[source("git", CONFIG_MAP)], &asked);
    assert_eq!(only(&report).class, ObjectClass::Unknown);
    assert_eq!(report.incomplete, ["last heard of at noon"]);
}
