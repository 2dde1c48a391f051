use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn entry(manager: &str, time: &str, subresource: &str, fields: &Value) -> Value {
    json!({
        "manager": manager, "operation": "Update", "apiVersion": "v1", "time": time,
        "fieldsType": "FieldsV1", "fieldsV1": fields, "subresource": subresource,
    })
}

fn last(entries: &Value) -> Option<String> {
    last_writer(&raw(entries)).map(|writer| writer.manager.into_owned())
}

#[test]
fn the_newest_writer_of_more_than_status_is_the_last() {
    let fields = json!({"f:spec": {}});
    let entries = json!([
        entry("helm", "2026-01-01T00:00:00Z", "", &fields),
        entry("kubectl", "2026-01-02T00:00:00Z", "scale", &fields),
        entry("kubelet", "2026-01-03T00:00:00Z", "status", &fields),
        entry("before-first-apply", "2026-01-04T00:00:00Z", "", &fields),
    ]);
    let text = raw(&entries);
    let writer = last_writer(&text).unwrap();
    assert_eq!(writer.manager, "kubectl");
    assert_eq!(writer.operation, "Update");
    assert_eq!(writer.subresource, "scale");
    assert_eq!(writer.time, "2026-01-02T00:00:00Z");
    assert_eq!(writer.clone().into_owned(), writer);
}

#[test]
fn entries_without_a_time_or_with_nulls_are_writers_too() {
    assert_eq!(last(&json!([{"manager": "kubectl"}])).unwrap(), "kubectl");
    assert_eq!(
        last(&json!([{"manager": "a", "time": null, "subresource": null, "fieldsV1": null}])),
        Some("a".into())
    );
    assert_eq!(last(&json!([])), None);
    assert_eq!(last(&json!("nonsense")), None);
    assert_eq!(last(&json!([[1]])), None);
}

#[test]
fn within_one_second_the_author_comes_before_the_control_plane() {
    let time = "2026-01-01T00:00:00Z";
    let fields = json!({});
    for author in ["argocd-controller", "helm", "kubectl", "\u{e9}\n"] {
        let mut entries = vec![
            entry(author, time, "", &fields),
            entry("kube-controller-manager", time, "", &fields),
        ];
        assert_eq!(last(&json!(entries)).unwrap(), author);
        entries.reverse();
        assert_eq!(last(&json!(entries)).unwrap(), author);
    }
}

#[test]
fn a_list_element_is_found_by_its_key_and_a_set_element_by_its_value() {
    let text = raw(&json!([entry(
        "kubectl",
        "",
        "",
        &json!({
            "f:spec": {
                "f:clusterIPs": {},
                "f:ports": {
                    ".": {},
                    "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:nodePort": {}},
                    "k:{\"port\":80,\"protocol\":\"UDP\"}": {".": {}},
                },
                "f:set": {"v:\"a\"": {}},
                "f:indexed": {"i:1": {}},
            },
        })
    )]));
    let fields = ManagedFields::parse(&text).unwrap();
    let spec = fields.root().field("spec");
    let ports = spec.field("ports");
    let tcp = json!({"port": 80, "protocol": "TCP", "nodePort": 30080});
    let udp = json!({"port": 80, "protocol": "UDP", "nodePort": 30080});
    assert!(ports.element(1, &tcp).field("nodePort").asked_for());
    assert!(ports.element(0, &udp).asked_for());
    assert!(!ports.element(0, &udp).field("nodePort").asked_for());
    assert!(!ports.element(0, &json!({"port": 80})).asked_for());
    assert!(spec.field("set").element(7, &json!("a")).asked_for());
    assert!(!spec.field("set").element(0, &json!("b")).asked_for());
    assert!(spec.field("indexed").element(1, &json!(null)).asked_for());
    assert!(!spec.field("indexed").element(0, &json!(null)).asked_for());
    // A list that is owned whole is owned in each of its elements.
    assert!(spec.field("clusterIPs").element(0, &json!("x")).asked_for());
    assert!(!spec.field("clusterIP").asked_for());
    assert!(!fields.root().field("clusterIPs").asked_for());
}

#[test]
fn before_first_apply_asked_for_nothing_and_others_are_named() {
    let fields = json!({"f:spec": {"f:clusterIP": {}}});
    let text = raw(&json!([
        entry("before-first-apply", "", "", &fields),
        entry("a", "", "", &fields),
        entry("b", "", "", &json!({"f:metadata": {}})),
    ]));
    let parsed = ManagedFields::parse(&text).unwrap();
    let place = parsed.root().field("spec").field("clusterIP");
    assert_eq!(place.managers().collect::<Vec<_>>(), ["a"]);
    let text = raw(&json!([entry("before-first-apply", "", "", &fields), {}]));
    let parsed = ManagedFields::parse(&text).unwrap();
    assert!(!parsed.root().field("spec").field("clusterIP").asked_for());
    assert!(!ManagedFields::none().root().field("spec").asked_for());
}

#[test]
fn an_error_names_the_place_and_holds_no_value() {
    let text = raw(&json!([{"manager": 5, "fieldsV1": {"f:hunter2": {}}}]));
    let Err(error) = ManagedFields::parse(&text) else {
        panic!("read as managedFields")
    };
    assert_eq!(error.line, 1);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn the_last_writer_does_not_depend_on_the_order(
        heads in proptest::collection::vec(
            ("[a-c]|kubelet", "2026-01-0[1-2]T00:00:00Z", "|scale|status"), 0..6),
        turn in 0usize..6,
    ) {
        let mut entries: Vec<Value> = heads
            .iter()
            .map(|(manager, time, sub)| entry(manager, time, sub, &json!({})))
            .collect();
        let text = raw(&json!(entries));
        let expected = last_writer(&text);
        let middle = turn % entries.len().max(1);
        entries.rotate_left(middle);
        entries.reverse();
        let text = raw(&json!(entries));
        prop_assert_eq!(last_writer(&text), expected);
    }
}
