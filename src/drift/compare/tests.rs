//! Tables of cases: one per rule.

mod lists;
mod real;

use serde_json::{Value, json};

use super::super::defaults::Tables;
use super::super::schema::Schemas;
use super::walk::Walker;
use super::{Difference, Relation, Sides, compare};

/// Two kinds: `Pod`, of built-in types with the names that they have in the server, and `Custom`.
pub(super) fn schemas() -> Schemas {
    let text = json!({"k": "text"});
    let texts = json!({"k": "map", "v": {"k": "text", "d": ""}});
    let quantities = json!({"k": "map", "v": {"k": "quantity"}});
    let container = json!({"k": "object", "f": {
        "name": {"k": "text", "d": ""},
        "image": text,
        "args": {"k": "list", "i": {"k": "text", "d": ""}},
        "env": {"k": "list", "l": {"map": ["name"]}, "i": {"r": "io.k8s.api.core.v1.EnvVar", "d": {}}},
        "ports": {"k": "list", "l": {"map": ["containerPort", "protocol"]}, "i": {"r": "io.k8s.api.core.v1.ContainerPort", "d": {}}},
        "resources": {"r": "io.k8s.api.core.v1.ResourceRequirements", "d": {}},
        "stdin": {"k": "boolean", "d": false},
    }});
    let custom = json!({"k": "object", "f": {
        "apiVersion": text, "kind": text, "metadata": {"k": "object"},
        "spec": {"k": "object", "f": {
            "text": text,
            "texts": {"k": "map", "v": text},
            "nullable": {"k": "text", "n": true},
            "port": {"k": "intOrString"},
            "memory": {"k": "quantity"},
            "interval": {"k": "duration"},
            "ratio": {"k": "number"},
            "count": {"k": "integer", "d": 3},
            "list": {"k": "list", "i": {"k": "object", "f": {"a": text, "size": {"k": "quantity"}, "n": {"k": "integer"}}}},
            "tags": {"k": "list", "l": "set", "i": text},
            "rules": {"k": "list", "l": {"map": ["name", "zone"]}, "i": {"k": "object", "f": {
                "name": text, "zone": {"k": "text", "d": "a"}, "value": text}}},
            "struct": {"k": "object", "f": {"a": text, "b": {"k": "object", "f": {"c": text}}}},
            "open": {"k": "object", "o": true, "f": {"known": {"k": "quantity"}}},
            "any": {},
            "part": {"k": "object", "d": {"mode": "a"}, "f": {
                "mode": text, "depth": {"k": "integer", "d": 7}, "tags": {"k": "list", "i": text, "d": ["x"]}}},
        }},
    }});
    serde_json::from_value(json!({
        "types": {
            "io.k8s.api.core.v1.Pod": {"k": "object", "f": {
                "apiVersion": text, "kind": text,
                "metadata": {"k": "object"},
                "spec": {"r": "io.k8s.api.core.v1.PodSpec", "d": {}},
            }},
            "io.k8s.api.core.v1.PodSpec": {"k": "object", "f": {
                "containers": {"k": "list", "l": {"map": ["name"]}, "i": {"r": "io.k8s.api.core.v1.Container", "d": {}}},
                "initContainers": {"k": "list", "l": {"map": ["name"]}, "i": {"r": "io.k8s.api.core.v1.Container", "d": {}}},
                "hostname": {"k": "text", "d": ""},
                "priority": {"k": "integer"},
                "nodeSelector": texts,
                "volumes": {"k": "list", "l": {"map": ["name"]}, "i": {"k": "object", "f": {
                    "name": text,
                    "emptyDir": {"r": "io.k8s.api.core.v1.EmptyDir"},
                }}},
                "startTime": {"k": "time"},
                "metadata": {"r": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "d": {}},
                "hostAliases": {"k": "list", "l": {"map": ["ip"]}, "i": {"k": "object", "f": {"ip": text, "hostnames": {"k": "list", "i": text}}}},
            }},
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"k": "object", "f": {"labels": texts}},
            "io.k8s.api.core.v1.EmptyDir": {"k": "object", "f": {"medium": {"k": "text", "d": ""}, "sizeLimit": {"k": "quantity"}}},
            "io.k8s.api.core.v1.Container": container,
            "io.k8s.api.core.v1.EnvVar": {"k": "object", "f": {"name": text, "value": {"k": "text", "d": ""}}},
            "io.k8s.api.core.v1.ContainerPort": {"k": "object", "f": {
                "containerPort": {"k": "integer"}, "protocol": {"k": "text", "d": "TCP"}, "name": {"k": "text", "d": ""}}},
            "io.k8s.api.core.v1.ResourceRequirements": {"k": "object", "f": {"limits": quantities, "requests": quantities}},
        },
        "kinds": {
            "/v1/Pod": {"r": "io.k8s.api.core.v1.Pod"},
            "example.com/v1/Custom": custom,
        },
    }))
    .unwrap()
}

/// What differs, with the defaulted object given.
fn walked(kind: &str, desired: &Value, defaulted: &Value, live: &Value) -> Vec<Difference> {
    let schemas = schemas();
    let (group, version) = if kind == "Pod" {
        ("", "v1")
    } else {
        ("example.com", "v1")
    };
    let node = schemas.kind(group, version, kind);
    assert_eq!(node.is_some(), kind != "None", "{kind}");
    let mut walker = Walker::new(Tables::of(36));
    walker.object(desired, defaulted, live, node);
    walker.finish()
}

#[test]
fn what_the_server_would_have_set_in_an_addition_is_told_apart() {
    let nothing = json!({"kind": "Custom"});
    let live = json!({"kind": "Custom", "spec": {"count": 3, "text": "x", "memory": "1",
        "part": {"mode": "a", "depth": 7, "tags": ["x"]}}});
    let is_default = |found: &[Difference]| -> Vec<String> {
        let defaults = found.iter().filter(|one| one.is_default);
        defaults.map(|one| one.path.to_string()).collect()
    };
    let found = walked("Custom", &nothing, &nothing, &live);
    let all = "+count +memory +part.depth +part.mode +part.tags +text";
    assert_eq!(lines(&found).join(" "), all);
    let of_part = ["spec.part.depth", "spec.part.mode", "spec.part.tags"];
    assert_eq!(is_default(&found), [&["spec.count"], &of_part[..]].concat());
    let other =
        json!({"kind": "Custom", "spec": {"count": 4, "part": {"mode": "b", "tags": ["y"]}}});
    let found = walked("Custom", &nothing, &nothing, &other);
    assert_eq!((found.len(), is_default(&found)), (3, vec![]));
}

/// Differences of two `spec`s, each `path relation`.
fn spec(kind: &str, desired: &Value, live: &Value) -> Vec<String> {
    let of = |spec: &Value| json!({"spec": spec});
    lines(&walked(kind, &of(desired), &of(desired), &of(live)))
}

fn lines(found: &[Difference]) -> Vec<String> {
    let line = |difference: &Difference| {
        let relation = match difference.relation {
            Relation::Changed => '~',
            Relation::DesiredOnly => '-',
            Relation::LiveOnly => '+',
            Relation::Unknown => '?',
        };
        let path = difference.path.to_string();
        format!("{relation}{}", path.strip_prefix("spec.").unwrap_or(&path))
    };
    found.iter().map(line).collect()
}

fn check(kind: &str, cases: &[(Value, Value, &[&str])]) {
    for (desired, live, expected) in cases {
        assert_eq!(
            spec(kind, desired, live),
            *expected,
            "{kind}: {desired} {live}"
        );
    }
}

#[test]
fn objects_are_compared_by_key_down_to_the_leaves() {
    let all: &[(Value, Value, &[&str])] = &[
        (json!({"text": "a"}), json!({"text": "b"}), &["~text"]),
        (json!({"text": "a"}), json!({}), &["-text"]),
        (json!({}), json!({"text": "a"}), &["+text"]),
        (
            json!({"struct": {"a": "1", "b": {"c": "2"}}}),
            json!({}),
            &["-struct.a", "-struct.b.c"],
        ),
        (
            json!({}),
            json!({"struct": {"a": "1", "b": {"c": "2"}}}),
            &["+struct.a", "+struct.b.c"],
        ),
        (
            json!({"struct": {"a": "1"}}),
            json!({"struct": {"b": {"c": "2"}}}),
            &["-struct.a", "+struct.b.c"],
        ),
        (json!({"struct": {}}), json!({}), &["-struct"]),
        (json!({}), json!({"struct": {"b": {}}}), &["+struct.b"]),
        (
            json!({"texts": {"a.b/c": "1"}}),
            json!({"texts": {"plain": "1"}}),
            &["+texts.plain", "-texts[\"a.b/c\"]"],
        ),
        (
            json!({"struct": {"a": "1"}}),
            json!({"struct": ["1"]}),
            &["~struct"],
        ),
        (
            json!({"struct": "a"}),
            json!({"struct": {"a": "1"}}),
            &["~struct"],
        ),
    ];
    for kind in ["Custom", "None"] {
        check(kind, all);
    }
}

#[test]
fn zeros_of_built_in_types_are_nothing_and_empty_structs_are_values() {
    let container = |rest: Value| {
        let mut container = json!({"name": "c"});
        container
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!({"containers": [container]})
    };
    let c = |rest: Value| container(rest);
    let equal = [
        (json!({"hostname": ""}), json!({})),
        (json!({"nodeSelector": {}}), json!({})),
        (json!({"containers": []}), json!({})),
        (json!({"nodeSelector": null}), json!({})),
        (c(json!({"stdin": false})), c(json!({}))),
        (c(json!({"args": []})), c(json!({}))),
        (c(json!({"resources": {}})), c(json!({}))),
        (c(json!({"resources": {"limits": {}}})), c(json!({}))),
        (
            c(json!({"resources": {"limits": null}})),
            c(json!({"resources": {}})),
        ),
        (
            c(json!({"env": [{"name": "X", "value": ""}]})),
            c(json!({"env": [{"name": "X"}]})),
        ),
        (
            json!({"volumes": [{"name": "v", "emptyDir": {"medium": ""}}]}),
            json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
        ),
        (json!({"containers": null}), json!({"containers": []})),
        (json!({"hostname": ""}), json!({"hostname": null})),
    ];
    for (left, right) in &equal {
        assert_eq!(spec("Pod", left, right), [""; 0], "{left} {right}");
        assert_eq!(spec("Pod", right, left), [""; 0], "{right} {left}");
    }
    check(
        "Pod",
        &[
            (
                json!({"nodeSelector": {"a": null}}),
                json!({"nodeSelector": {"a": ""}}),
                &[],
            ),
            (json!({"priority": 0}), json!({}), &["-priority"]),
            (json!({}), json!({"priority": 0}), &["+priority"]),
            (
                json!({"hostname": ""}),
                json!({"hostname": "a"}),
                &["~hostname"],
            ),
            (
                json!({"nodeSelector": {"a": ""}}),
                json!({}),
                &["-nodeSelector.a"],
            ),
            (
                json!({}),
                json!({"nodeSelector": {"a": ""}}),
                &["+nodeSelector.a"],
            ),
            (
                json!({"nodeSelector": {}}),
                json!({"nodeSelector": {"a": ""}}),
                &["+nodeSelector.a"],
            ),
            (
                json!({"volumes": [{"name": "v", "emptyDir": {}}]}),
                json!({"volumes": [{"name": "v"}]}),
                &["-volumes[name=v].emptyDir"],
            ),
            (
                json!({"volumes": [{"name": "v", "emptyDir": {"medium": ""}}]}),
                json!({"volumes": [{"name": "v"}]}),
                &["-volumes[name=v].emptyDir"],
            ),
            (
                json!({"volumes": [{"name": "v"}]}),
                json!({"volumes": [{"name": "v", "emptyDir": {"medium": ""}}]}),
                &["+volumes[name=v].emptyDir"],
            ),
        ],
    );
}

#[test]
fn a_custom_resource_keeps_what_was_sent() {
    check(
        "Custom",
        &[
            (json!({"text": ""}), json!({}), &["-text"]),
            (json!({"texts": {}}), json!({}), &["-texts"]),
            (json!({"tags": []}), json!({}), &["-tags"]),
            (json!({}), json!({"list": []}), &["+list"]),
            (json!({"list": []}), json!({"list": [{}]}), &["~list"]),
            (
                json!({"rules": []}),
                json!({"rules": [{"name": "a"}]}),
                &["+rules[name=a,zone=a]"],
            ),
            // Null is a value where it is allowed.
            (json!({"text": null}), json!({}), &[]),
            (json!({"nullable": null}), json!({}), &["-nullable"]),
            (json!({"nullable": null}), json!({"nullable": null}), &[]),
            (
                json!({"nullable": "a"}),
                json!({"nullable": null}),
                &["~nullable"],
            ),
            (json!({}), json!({"nullable": null}), &["+nullable"]),
            (json!({"any": {"a": null}}), json!({"any": {}}), &["-any.a"]),
            (
                json!({"open": {"new": {"a": null}}}),
                json!({"open": {"new": {"a": null}}}),
                &[],
            ),
        ],
    );
    check(
        "None",
        &[
            (json!({"a": null}), json!({}), &[]),
            (json!({}), json!({"a": null}), &[]),
            (json!({"a": []}), json!({}), &["-a"]),
            (json!({"a": ""}), json!({}), &["-a"]),
        ],
    );
}

#[test]
fn scalars_are_compared_by_the_value_of_their_type() {
    check(
        "Custom",
        &[
            (json!({"memory": "1Gi"}), json!({"memory": "1024Mi"}), &[]),
            (json!({"memory": "1"}), json!({"memory": 1}), &[]),
            (
                json!({"memory": "0.0001"}),
                json!({"memory": "1m"}),
                &["~memory"],
            ),
            (json!({"port": 80}), json!({"port": "80"}), &["~port"]),
            (json!({"interval": "60s"}), json!({"interval": "1m0s"}), &[]),
            (json!({"ratio": 1.0}), json!({"ratio": 1}), &[]),
            (json!({"text": true}), json!({"text": "true"}), &["~text"]),
            (
                json!({"open": {"known": "1", "new": "1"}}),
                json!({"open": {"known": 1, "new": 1}}),
                &["~open.new"],
            ),
            (json!({"any": "60s"}), json!({"any": "1m0s"}), &["~any"]),
        ],
    );
    let cpu =
        |cpu: &str| json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": cpu}}}]});
    check(
        "Pod",
        &[
            (cpu("0.0001"), cpu("1m"), &[]),
            (cpu("1000m"), cpu("1"), &[]),
            (
                cpu("1"),
                cpu("2"),
                &["~containers[name=c].resources.limits.cpu"],
            ),
            (
                json!({"startTime": "2024-01-01T02:00:00+02:00"}),
                json!({"startTime": "2024-01-01T00:00:00Z"}),
                &[],
            ),
        ],
    );
}

#[test]
fn what_the_schema_does_not_know_is_dropped() {
    check(
        "Custom",
        &[
            (json!({"typo": 1}), json!({}), &["?typo"]),
            (
                json!({"struct": {"typo": {"a": 1, "b": 2}}}),
                json!({}),
                &["?struct.typo"],
            ),
            (json!({"typo": null}), json!({}), &[]),
            // Live has it, so the server knows it.
            (json!({"typo": 1}), json!({"typo": 1.0}), &[]),
            (json!({"typo": 1}), json!({"typo": 2}), &["~typo"]),
            (json!({}), json!({"typo": {"a": 2}}), &["+typo.a"]),
            (json!({"open": {"new": 1}}), json!({}), &["-open.new"]),
            (
                json!({"rules": [{"name": "a", "typo": 1}]}),
                json!({"rules": [{"name": "a"}]}),
                &["?rules[name=a,zone=a].typo"],
            ),
        ],
    );
}

#[test]
fn a_template_has_all_fields_of_metadata() {
    let of = |metadata: Value| json!({"metadata": metadata});
    check(
        "Pod",
        &[
            (of(json!({"name": "a"})), of(json!({})), &["-metadata.name"]),
            (
                of(json!({"name": "a"})),
                of(json!({"name": "b"})),
                &["~metadata.name"],
            ),
            (of(json!({"creationTimestamp": null})), of(json!({})), &[]),
            (of(json!({"typo": "a"})), of(json!({})), &["?metadata.typo"]),
        ],
    );
}

#[test]
fn a_default_of_the_server_is_no_addition() {
    let of = |spec: Value| json!({"spec": spec});
    for (defaulted, live, expected) in [
        (json!({"count": 3}), json!({"count": 3}), &[][..]),
        (json!({"count": 3}), json!({"count": 4}), &["+count"]),
        // The server is of another version.
        (json!({"count": 3}), json!({}), &[]),
        (
            json!({"count": 3, "memory": "1Gi"}),
            json!({"memory": "1024Mi"}),
            &[],
        ),
        (
            json!({"struct": {"a": "1"}}),
            json!({"struct": {"a": "1", "b": {"c": "2"}}}),
            &["+struct.b.c"],
        ),
        (json!({"struct": {"a": "1"}}), json!({"struct": {}}), &[]),
        (
            json!({"tags": ["a"]}),
            json!({"tags": ["b", "a"]}),
            &["+tags[=b]"],
        ),
        (
            json!({"list": [{"a": "1"}]}),
            json!({"list": [{"a": "1"}]}),
            &[],
        ),
        (
            json!({"list": [{"a": "1"}]}),
            json!({"list": [{"a": "2"}]}),
            &["+list"],
        ),
        (
            json!({"rules": [{"name": "a", "zone": "x", "value": "1"}]}),
            json!({"rules": [{"name": "b"}, {"name": "a", "zone": "x", "value": "2"}]}),
            &["+rules[name=a,zone=x].value", "+rules[name=b,zone=a]"],
        ),
    ] {
        let found = walked(
            "Custom",
            &of(json!({})),
            &of(defaulted.clone()),
            &of(live.clone()),
        );
        assert_eq!(lines(&found), expected, "{defaulted} {live}");
        assert!(found.iter().all(|difference| difference.desired.is_none()));
    }
    // A null that a default replaces is no value; neither is what is written over a zero.
    let (null, three, four) = (
        json!({"count": null}),
        json!({"count": 3}),
        json!({"count": 4}),
    );
    assert_eq!(
        lines(&walked(
            "Custom",
            &of(null.clone()),
            &of(three.clone()),
            &of(three.clone())
        )),
        [""; 0]
    );
    assert_eq!(
        lines(&walked("Custom", &of(null), &of(three.clone()), &of(four))),
        ["+count"]
    );
    let zero = of(json!({"count": 0}));
    assert_eq!(
        lines(&walked("Custom", &zero, &of(three.clone()), &of(three))),
        [""; 0]
    );
}

#[test]
fn of_metadata_only_what_is_intent_is_compared() {
    let object =
        |metadata: Value| json!({"apiVersion": "v1", "kind": "Custom", "metadata": metadata});
    for (desired, live, expected) in [
        (
            json!({"name": "a", "namespace": "b", "creationTimestamp": null}),
            json!({"name": "a", "uid": "1", "generation": 2, "resourceVersion": "3"}),
            &[][..],
        ),
        (
            json!({"labels": {"a": "1"}}),
            json!({"labels": {"a": "2"}}),
            &["~metadata.labels.a"],
        ),
        (json!({"labels": {}, "annotations": null}), json!({}), &[]),
        (
            json!({"labels": {"a": null}}),
            json!({"labels": {"a": ""}}),
            &[],
        ),
        (
            json!({"labels": {"a": ""}}),
            json!({}),
            &["-metadata.labels.a"],
        ),
        (
            json!({}),
            json!({"annotations": {"a.b/c": "1"}}),
            &["+metadata.annotations[\"a.b/c\"]"],
        ),
        (
            json!({"finalizers": ["a/b", "c"]}),
            json!({"finalizers": ["c", "a/b"]}),
            &[],
        ),
        (
            json!({"finalizers": ["a/b"]}),
            json!({}),
            &["-metadata.finalizers[=a/b]"],
        ),
        (
            json!({"label": {"a": "1"}}),
            json!({}),
            &["?metadata.label"],
        ),
        (
            json!({}),
            json!({"ownerReferences": [{"kind": "A", "name": "a"}]}),
            &[],
        ),
        (
            json!({"ownerReferences": []}),
            json!({"ownerReferences": [{"kind": "A", "name": "a"}]}),
            &[],
        ),
        (
            json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": "A", "name": "a", "uid": "1", "controller": false}]}),
            json!({"ownerReferences": [{"apiVersion": "apps/v2", "kind": "A", "name": "a", "uid": "2"}]}),
            &[],
        ),
        (
            json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": "A", "name": "a", "controller": true}]}),
            json!({"ownerReferences": [{"apiVersion": "x/v1", "kind": "A", "name": "a"}, {"apiVersion": "apps/v1", "kind": "A", "name": "a"}]}),
            &[
                "+metadata.ownerReferences[kind=A,name=a]",
                "-metadata.ownerReferences[kind=A,name=a].controller",
            ],
        ),
        (
            json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": "A", "name": "a"}]}),
            json!({}),
            &["-metadata.ownerReferences[kind=A,name=a]"],
        ),
    ] {
        for kind in ["Custom", "None"] {
            let (desired, live) = (object(desired.clone()), object(live.clone()));
            assert_eq!(
                lines(&walked(kind, &desired, &desired, &live)),
                expected,
                "{desired} {live}"
            );
        }
    }
    let versions = (
        json!({"apiVersion": "v1", "kind": "A", "status": 1}),
        json!({"apiVersion": "v2", "status": 2}),
    );
    assert_eq!(
        lines(&walked("Custom", &versions.0, &versions.0, &versions.1)),
        [""; 0]
    );
}

#[test]
fn places_are_those_of_each_side_or_the_nearest_around() {
    let rule = |name: &str, value: &str| json!({"name": name, "zone": "z", "value": value});
    let desired = json!({"spec": {"rules": [rule("a", "1"), rule("b", "2"), rule("c", "3")]}});
    let live = json!({"spec": {"rules": [rule("x", "1"), rule("b", "3"), rule("a", "1")], "struct": {"b": {"c": "1"}}}});
    let found = walked("Custom", &desired, &desired, &live);
    let places: Vec<String> = found
        .iter()
        .map(|d| {
            format!(
                "{} {:?} {:?}",
                d.path,
                pointer(&d.desired_at),
                pointer(&d.live_at)
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            r#"spec.rules[name=b,zone=z].value "spec/rules/1/value" "spec/rules/1/value""#,
            r#"spec.rules[name=c,zone=z] "spec/rules/2" "spec/rules""#,
            r#"spec.rules[name=x,zone=z] "spec/rules" "spec/rules/0""#,
            r#"spec.struct.b.c "spec" "spec/struct/b/c""#,
        ]
    );
    assert_eq!(found[0].desired, Some(json!("2")));
    assert_eq!(found[0].live, Some(json!("3")));
    assert_eq!(
        (found[1].desired.clone(), found[1].live.clone()),
        (Some(rule("c", "3")), None)
    );
    for difference in &found {
        let node = schemas();
        let node = node.kind("example.com", "v1", "Custom");
        let by_live = super::path_of(&live, node, &difference.live_at);
        if difference.live.is_some() {
            assert_eq!(by_live.as_ref(), Some(&difference.path));
            assert!(super::covers(&difference.path, &difference.live_at, &live));
        }
        assert!(difference.is_covered_by(&difference.path, &desired, &live));
    }
}

fn pointer(steps: &[crate::object::Step]) -> String {
    let parts: Vec<String> = steps
        .iter()
        .map(|step| match step {
            crate::object::Step::Key(key) => key.to_string(),
            crate::object::Step::Index(index) => index.to_string(),
        })
        .collect();
    parts.join("/")
}

#[test]
fn neither_values_nor_lengths_are_in_debug_output() {
    let desired = json!({"spec": {"text": "hunter2"}});
    let live = json!({"spec": {"text": "hunter3"}});
    let shown = format!("{:?}", walked("None", &desired, &desired, &live));
    assert_eq!(shown, "[Difference(Changed spec.text)]");
}

#[test]
fn what_is_no_object_has_no_differences() {
    let tables = Tables::of(36);
    for (desired, live) in [
        (json!(null), json!({"a": 1})),
        (json!({"a": 1}), json!([1])),
    ] {
        let sides = Sides {
            desired: &desired,
            live: &live,
            schema: None,
            tables: &tables,
        };
        assert_eq!(compare(sides), []);
    }
}
