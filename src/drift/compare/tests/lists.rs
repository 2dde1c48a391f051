//! Lists: one table per list type.

use serde_json::{Value, json};

use super::{check, lines, walked};

#[test]
fn elements_of_map_lists_are_told_apart_by_their_keys() {
    let element = |name: &str, value: &str| json!({"name": name, "zone": "z", "value": value});
    check(
        "Custom",
        &[
            (
                json!({"rules": [element("a", "1"), element("b", "2")]}),
                json!({"rules": [element("b", "2"), element("a", "1")]}),
                &[],
            ),
            (
                json!({"rules": [element("a", "1"), element("b", "2")]}),
                json!({"rules": [element("b", "3"), element("a", "1")]}),
                &["~rules[name=b,zone=z].value"],
            ),
            (
                json!({"rules": [element("a", "1")]}),
                json!({"rules": [element("b", "1"), element("a", "1")]}),
                &["+rules[name=b,zone=z]"],
            ),
            (
                json!({"rules": [element("a", "1")]}),
                json!({"rules": []}),
                &["-rules[name=a,zone=z]"],
            ),
            (
                json!({"rules": [element("a", "1"), element("c", "")]}),
                json!({}),
                &["-rules[name=a,zone=z]", "-rules[name=c,zone=z]"],
            ),
            (
                json!({}),
                json!({"rules": [element("a", "1")]}),
                &["+rules[name=a,zone=z]"],
            ),
            // The key has a default.
            (
                json!({"rules": [{"name": "a"}]}),
                json!({"rules": [{"name": "a", "zone": "b"}, {"name": "a", "zone": "a"}]}),
                &["+rules[name=a,zone=a].zone", "+rules[name=a,zone=b]"],
            ),
            // The same key twice: in order.
            (
                json!({"rules": [element("a", "1"), element("a", "2")]}),
                json!({"rules": [element("a", "1"), element("a", "2")]}),
                &[],
            ),
            (
                json!({"rules": [element("a", "1"), element("a", "2")]}),
                json!({"rules": [element("a", "1")]}),
                &["-rules[name=a,zone=z]"],
            ),
            (
                json!({"rules": [element("a", "1"), element("a", "2")]}),
                json!({"rules": [element("a", "1"), element("b", ""), element("a", "3")]}),
                &["~rules[name=a,zone=z].value", "+rules[name=b,zone=z]"],
            ),
        ],
    );
}

#[test]
fn elements_without_their_keys_are_matched_by_what_they_have_then_by_position() {
    check(
        "Custom",
        &[
            (
                json!({"rules": [{"value": "1"}]}),
                json!({"rules": [{"value": "2"}]}),
                &["~rules[zone=a].value"],
            ),
            (
                json!({"rules": [{"zone": "x", "value": "1"}, {"zone": "y", "value": "2"}]}),
                json!({"rules": [{"zone": "y", "value": "2"}, {"zone": "x", "value": "1"}]}),
                &[],
            ),
            (
                json!({"rules": [1, null, "x"]}),
                json!({"rules": [1, null, "y"]}),
                &["~rules[zone=a]"],
            ),
            (
                json!({"rules": [1]}),
                json!({"rules": []}),
                &["-rules[zone=a]"],
            ),
            (
                json!({"rules": [{}, {"name": "a"}]}),
                json!({"rules": [{"name": "a"}]}),
                &["-rules[zone=a]"],
            ),
        ],
    );
    check(
        "Pod",
        &[
            (
                json!({"volumes": [{}]}),
                json!({"volumes": [{"emptyDir": {}}]}),
                &["+volumes[*].emptyDir"],
            ),
            (
                json!({"volumes": [{"name": null}, 3]}),
                json!({"volumes": [3]}),
                &["~volumes[*]", "-volumes[*]"],
            ),
        ],
    );
}

#[test]
fn a_defaulted_key_finds_the_port_whose_protocol_is_not_said() {
    let port = |port: u16, protocol: Option<&str>| match protocol {
        Some(protocol) => json!({"containerPort": port, "protocol": protocol}),
        None => json!({"containerPort": port}),
    };
    let of = |ports: Value| json!({"spec": {"containers": [{"name": "c", "ports": ports}]}});
    let desired = of(json!([port(53, Some("UDP")), port(53, None)]));
    let defaulted = of(json!([port(53, Some("UDP")), port(53, Some("TCP"))]));
    let live = of(json!([port(53, Some("TCP")), port(53, Some("UDP"))]));
    assert_eq!(lines(&walked("Pod", &desired, &defaulted, &live)), [""; 0]);
    let live = of(json!([port(53, Some("TCP"))]));
    assert_eq!(
        lines(&walked("Pod", &desired, &defaulted, &live)),
        ["-containers[name=c].ports[containerPort=53,protocol=UDP]"]
    );
    let live = of(json!([port(53, Some("UDP"))]));
    let found = walked("Pod", &desired, &defaulted, &live);
    assert_eq!(
        lines(&found),
        ["-containers[name=c].ports[containerPort=53,protocol=TCP]"]
    );
    assert_eq!(found[0].desired, Some(port(53, None)), "as it is written");
}

#[test]
fn sets_have_no_order() {
    check(
        "Custom",
        &[
            (
                json!({"tags": ["a", "b"]}),
                json!({"tags": ["b", "a"]}),
                &[],
            ),
            (
                json!({"tags": ["a", "b"]}),
                json!({"tags": ["b", "c/d e"]}),
                &["-tags[=a]", "+tags[=\"c/d e\"]"],
            ),
            (json!({"tags": ["a"]}), json!({}), &["-tags[=a]"]),
            (
                json!({"tags": ["a", "a"]}),
                json!({"tags": ["a"]}),
                &["-tags[=a]"],
            ),
            (
                json!({"tags": [80]}),
                json!({"tags": ["80"]}),
                &["-tags[=80]", "+tags[=80]"],
            ),
        ],
    );
}

#[test]
fn an_atomic_list_is_one_value_whose_elements_are_compared_by_value() {
    check(
        "Custom",
        &[
            (
                json!({"list": [{"a": "1"}, {"a": "2"}]}),
                json!({"list": [{"a": "2"}, {"a": "1"}]}),
                &["~list"],
            ),
            (
                json!({"list": [{"a": "1", "size": "1Gi"}]}),
                json!({"list": [{"a": "1", "size": "1024Mi"}]}),
                &[],
            ),
            (
                json!({"list": [{"a": "1"}]}),
                json!({"list": [{"a": "1", "n": 1}]}),
                &["~list"],
            ),
            (
                json!({"list": [{"a": "1"}]}),
                json!({"list": [{"a": "1"}, {}]}),
                &["~list"],
            ),
            (json!({"list": [{"a": "1"}]}), json!({}), &["-list"]),
            (json!({}), json!({"list": [{"a": "1"}]}), &["+list"]),
            (
                json!({"list": [{"a": "1", "typo": 1}]}),
                json!({"list": [{"a": "1"}]}),
                &["?list"],
            ),
            (
                json!({"list": [{"a": "1", "typo": 1}]}),
                json!({"list": [{"a": "2"}]}),
                &["~list"],
            ),
        ],
    );
    let of = |list: Value| json!({"spec": {"list": list}});
    let (desired, live) = (of(json!([{"a": "1"}])), of(json!([{"a": "1", "n": 7}])));
    assert_eq!(lines(&walked("Custom", &desired, &live, &live)), [""; 0]);
    check(
        "None",
        &[
            (
                json!({"tags": ["a", "b"]}),
                json!({"tags": ["b", "a"]}),
                &["~tags"],
            ),
            (json!({"x": [{"y": 1.0}]}), json!({"x": [{"y": 1}]}), &[]),
        ],
    );
}

#[test]
fn only_the_order_of_init_containers_counts() {
    let names =
        |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
    check(
        "Pod",
        &[
            (
                json!({"containers": names(&["a", "b"])}),
                json!({"containers": names(&["b", "a"])}),
                &[],
            ),
            (
                json!({"initContainers": names(&["a", "b"])}),
                json!({"initContainers": names(&["b", "a"])}),
                &["~initContainers"],
            ),
            (
                json!({"initContainers": names(&["a", "b"])}),
                json!({"initContainers": names(&["x", "a", "y", "b"])}),
                &["+initContainers[name=x]", "+initContainers[name=y]"],
            ),
            (
                json!({"initContainers": names(&["a", "b", "c"])}),
                json!({"initContainers": names(&["c", "b"])}),
                &["~initContainers", "-initContainers[name=a]"],
            ),
        ],
    );
}
