use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;

#[test]
fn documents_are_told_apart_at_marker_lines_alone() {
    let text = "\u{feff}# head\n---\n\n---  # one\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  script: |\n    ---\n    --- x\n---\r\n\u{feff}{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"b\"}}\n--- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n---x: not a marker\n";
    let read = read_text(text);
    assert_eq!(
        names(&read),
        ["ConfigMap/a@5", "ConfigMap/b@13"],
        "{:?}",
        read.problems
    );
    // `---x` belongs to the third document, and makes it bad.
    assert_eq!(read.problems.len(), 1);
    assert_eq!(
        read.manifests[0].value()["data"]["script"],
        json!("---\n--- x\n")
    );
}

#[test]
fn a_directive_stays_with_its_document() {
    let read = read_text(
        "%TAG !e! tag:example.com,2000:\n# why\n---\napiVersion: v1\nkind: A\nmetadata: {name: !e!x a}\n---\napiVersion: v1\nkind: B\nmetadata: {name: b}\n",
    );
    assert_eq!(names(&read), ["A/a@4", "B/b@8"], "{:?}", read.problems);
}

#[test]
fn a_broken_document_is_a_problem_and_the_others_are_read() {
    let read = read_text(
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web # the shop\n  namespace: \"shop\"\nspec:\n  template:\n    metadata:\n      name: other\n  replicas: 1\n  replicas: 2\n---\napiVersion: v1\nkind: B\nmetadata: {name: b}\n",
    );
    assert_eq!(names(&read), ["A/a@1", "B/b@17"]);
    assert_eq!(
        lines(&read.problems),
        ["15: cannot be read: duplicate key (column 3); nothing of this document is compared"]
    );
    assert_eq!(
        read.problems[0].object,
        Some(Identity {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        })
    );
}

#[test]
fn json_objects_may_follow_each_other() {
    let read = read_text(
        "{\"apiVersion\": \"v1\", \"kind\": \"A\",\n \"metadata\": {\"name\": \"a\"}}\n\n{\"apiVersion\": \"v1\", \"kind\": \"B\",\n \"metadata\": {\"name\": \"b\"}}\n---\n{\"apiVersion\": \"v1\", \"kind\": \"C\", \"metadata\": {\"name\": \"c\"}}",
    );
    assert_eq!(names(&read), ["A/a@1", "B/b@4", "C/c@7"]);
    let at = [key("metadata"), key("name")];
    assert_eq!(read.manifests[0].line_of(&at), 2);
    assert_eq!(read.manifests[1].line_of(&at), 5);
    assert_eq!(read.manifests[2].line_of(&at), 7);
}

const LIST: &str = "\
# a list
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: a}
    data:
      x: '1'
  -
    apiVersion: rbac.authorization.k8s.io/v1
    kind: RoleList
    items:
      - metadata:
          name: r
        rules: []
      - apiVersion: v1
        kind: Secret
        metadata:
          name: s
metadata:
  name: not-theirs
";

#[test]
fn lists_and_typed_lists_are_their_elements() {
    let read = read_text(LIST);
    assert_eq!(lines(&read.problems), [""; 0]);
    assert_eq!(names(&read), ["ConfigMap/a@5", "Role/r@11", "Secret/s@11"]);
    assert_eq!(
        read.manifests[1].value()["apiVersion"],
        json!("rbac.authorization.k8s.io/v1")
    );
    assert_eq!(read.manifests[2].value()["apiVersion"], json!("v1"));
    assert_eq!(read.manifests[0].line_of(&[key("data"), key("x")]), 9);
    assert_eq!(
        read.manifests[1].line_of(&[key("metadata"), key("name")]),
        15
    );
    assert_eq!(
        read.manifests[2].line_of(&[key("metadata"), key("name")]),
        20
    );
    assert_eq!(read.manifests[2].line_of(&[key("data")]), 17);
}

#[test]
fn a_list_in_json_tells_its_lines_too() {
    let text = "{\n  \"kind\": \"List\", \"apiVersion\": \"v1\",\n  \"items\": [{\n      \"apiVersion\": \"v1\", \"kind\": \"A\",\n      \"metadata\": {\"name\": \"a\"},\n      \"é\": {\"x\": 1}\n    },\n    {\n      \"apiVersion\": \"v1\", \"kind\": \"B\",\n      \"metadata\": {\n        \"name\": \"b\" }\n    }\n  ]\n}\n";
    let read = read_text(text);
    assert_eq!(names(&read), ["A/a@3", "B/b@8"]);
    assert_eq!(read.manifests[0].line_of(&[key("é"), key("x")]), 6);
    assert_eq!(
        read.manifests[1].line_of(&[key("metadata"), key("name")]),
        11
    );
    // Each has its own excerpt, so that reading lines of many is not reading all of it many times.
    assert!(read.manifests[1].text.as_ref().unwrap().len() < text.len() * 2 / 3);
}

#[test]
fn a_list_whose_elements_come_from_elsewhere_loses_none() {
    let read = read_text(
        "apiVersion: v1\nkind: List\nx: &x\n  items:\n  - {apiVersion: v1, kind: A, metadata: {name: a}}\n  - apiVersion: v1\n    kind: B\n    metadata: {name: b}\nitems: [{apiVersion: v1, kind: C, metadata: {name: c}}]\n<<: *x\n",
    );
    assert_eq!(names(&read), ["A/a@1", "B/b@1"]);
    assert_eq!(read.manifests[1].line_of(&[key("kind")]), 7);
    let empty = read_text("apiVersion: v1\nkind: PodList\nitems: null\n");
    assert_eq!((empty.manifests.len(), empty.problems.len()), (0, 0));
}

#[test]
fn lists_in_lists_end_somewhere() {
    let mut value = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}});
    for _ in 0..30 {
        value = json!({"apiVersion": "v1", "kind": "List", "items": [value]});
    }
    let read = read_text(&value.to_string());
    assert_eq!(read.manifests.len(), 0);
    assert_eq!(read.problems.len(), 1);
}

#[test]
fn a_name_that_is_no_text_says_how_it_becomes_one() {
    let read = read_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\n");
    let told = lines(&read.problems);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("as YAML 1.1 reads `y`"), "{told:?}");
}

#[test]
fn what_is_no_object_is_left_out_and_what_looks_like_one_is_not() {
    let read = read_text(
        "replicas: 3\n---\n- a\n---\ntext\n---\napiVersion: v2\nname: chart\nversion: 1.0.0\n---\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: local, annotations: {config.kubernetes.io/local-config: 'true'}}\n---\nkind: DaemonSet\n---\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {}\n---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n",
    );
    assert_eq!(names(&read), ["Kustomization/apps@30"]);
    assert_eq!(read.skipped, 7);
    assert_eq!(
        lines(&read.problems),
        [
            "20: no `apiVersion`: it looks like an object, and cannot be one",
            "23: no `kind`: it looks like an object, and cannot be one",
            "26: no `metadata.name`: the object cannot be found in the cluster",
        ]
    );
}

#[test]
fn hooks_and_generated_names_are_set_aside() {
    let object = |annotations: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: j\n  annotations: {{{annotations}}}\n---\n"
        )
    };
    let text = [
        object("helm.sh/hook: pre-install"),
        object("argocd.argoproj.io/hook: Sync"),
        object("helm.sh/hook: crd-install"),
        object("argocd.argoproj.io/sync-wave: '1'"),
        "apiVersion: v1\nkind: Pod\nmetadata:\n  generateName: p-\n".to_owned(),
    ]
    .concat();
    let read = read_text(&text);
    assert_eq!(names(&read), ["Job/j@13", "Job/j@19"]);
    assert_eq!(
        lines(&read.set_aside),
        [
            "1: a hook of Helm (helm.sh/hook)",
            "7: a hook of Argo CD (argocd.argoproj.io/hook)",
            "25: generateName: the server makes up the name at each creation",
        ]
    );
    assert_eq!(&*read.set_aside[0].object.clone().unwrap().name, "j");
}

fn data(manifest: &Manifest) -> Value {
    manifest.value()["data"].clone()
}

#[test]
fn string_data_is_folded_and_its_lines_are_kept() {
    let read = read_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: b2xk\n  b: a2VwdA==\n  empty:\nstringData:\n  a: new\n  gone: null\n",
    );
    let secret = &read.manifests[0];
    assert_eq!(
        data(secret),
        json!({"a": "bmV3", "b": "a2VwdA==", "empty": "", "gone": ""})
    );
    assert_eq!(secret.value().get("stringData"), None);
    assert_eq!(secret.line_of(&[key("data"), key("a")]), 9);
    assert_eq!(secret.line_of(&[key("data"), key("b")]), 6);
    assert_eq!(secret.line_of(&[key("data"), key("new")]), 4);
    assert_eq!(secret.line_of(&[key("type")]), 1);
    assert_eq!(secret.keys_only, None);
}

#[test]
fn string_data_that_the_server_refuses_is_a_problem_without_its_value() {
    let read = read_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  port: 54321987\n",
    );
    assert_eq!(read.manifests.len(), 0);
    let problem = format!("{:?}", read.problems[0]);
    assert!(problem.contains("'port'"), "{problem}");
    assert!(!problem.contains("54321987"), "{problem}");
}

#[test]
fn debug_and_problems_hold_no_values() {
    let read = read_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hunter2}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: t}\nstringData: {a: 'hunter2', a: hunter2, b: [}\n",
    );
    assert_eq!((read.manifests.len(), read.problems.len()), (1, 1));
    let shown = format!("{read:?}");
    assert!(shown.contains("\"s\""));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("aHVudGVyMg"), "{shown}");
}

#[test]
fn of_what_sops_encrypted_keys_are_known() {
    let sops = "sops:\n  mac: ENC[AES256_GCM,data:x,type:str]\n  version: 3.9.0\n";
    let read = read_text(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData:\n  a: ENC[AES256_GCM,data:abc,iv:x,tag:x,type:str]\n{sops}---\napiVersion: ENC[AES256_GCM,data:abc,type:str]\nkind: ENC[AES256_GCM,data:abc,type:str]\nmetadata:\n  name: ENC[AES256_GCM,data:abc,type:str]\n{sops}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: sops}}\nsops: text\n",
    ));
    assert_eq!(names(&read), ["Secret/s@1", "ConfigMap/sops@18"]);
    let secret = &read.manifests[0];
    assert_eq!(secret.keys_only, Some("encrypted by SOPS"));
    assert!(is_encrypted(&secret.value()["data"]["a"]));
    assert_eq!(secret.value().get("sops"), None);
    assert_eq!(read.manifests[1].keys_only, None);
    assert_eq!(read.problems.len(), 1);
    assert!(read.problems[0].reason.contains("SOPS encrypts"));
}

#[test]
fn sealed_and_external_secrets_declare_their_secrets() {
    let read = read_text(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: sealed, namespace: shop}\nspec:\n  encryptedData: {a: Ag, b: Ag}\n  template:\n    metadata: {name: other}\n    data: {c: x}\n",
    );
    assert_eq!(names(&read), ["SealedSecret/sealed@1", "Secret/sealed@1"]);
    let secret = &read.manifests[1];
    assert_eq!(secret.value()["metadata"]["namespace"], json!("shop"));
    assert_eq!(data(secret), json!({"a": "", "b": "", "c": ""}));
    assert_eq!(
        (secret.keys_only, secret.keys_unknown),
        (Some("made from a SealedSecret"), false)
    );

    let external = |spec: Value| {
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": "e"}, "spec": spec,
        });
        let read = read_text(&object.to_string());
        assert_eq!(read.manifests[0].keys_only, None);
        read.manifests.get(1).map(|secret| {
            let name = secret.identity().unwrap().name.to_string();
            let keys = data(secret)
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>();
            (name, keys.join(","), secret.keys_unknown)
        })
    };
    let is = |name: &str, keys: &str, unknown| Some((name.to_owned(), keys.to_owned(), unknown));
    let data = json!([{"secretKey": "k"}, {"secretKey": "l"}]);
    assert_eq!(external(json!({"data": data})), is("e", "k,l", false));
    assert_eq!(
        external(json!({"data": data, "target": {"name": "t", "creationPolicy": "Owner"}})),
        is("t", "k,l", false)
    );
    assert_eq!(
        external(json!({"data": data, "dataFrom": [{"extract": {"key": "x"}}]})),
        is("e", "k,l", true)
    );
    assert_eq!(
        external(json!({"data": data, "target": {"template": {"data": {"t": "x"}}}})),
        is("e", "t", false)
    );
    assert_eq!(
        external(
            json!({"data": data, "target": {"template": {"mergePolicy": "Merge", "data": {"t": "x"}}}})
        ),
        is("e", "k,l,t", false)
    );
    for policy in ["Merge", "None"] {
        let spec = json!({"data": data, "target": {"creationPolicy": policy}});
        assert_eq!(external(spec), None, "{policy}");
    }
}

#[test]
fn aliases_and_merges_stand_where_their_anchors_stand() {
    let read = read_text(
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\nbase: &base\n  x: 1\n  w:\n    z: 2\nspec:\n  <<: *base\n  own: 3\nother: *base\n",
    );
    let a = &read.manifests[0];
    assert_eq!(a.line_of(&[key("spec"), key("x")]), 5);
    assert_eq!(a.line_of(&[key("spec"), key("w"), key("z")]), 7);
    assert_eq!(a.line_of(&[key("spec"), key("own")]), 10);
    assert_eq!(a.line_of(&[key("other"), key("w"), key("z")]), 7);
    assert_eq!(a.line_of(&[key("other")]), 11);
    assert_eq!(a.line_of(&[key("spec"), key("absent")]), 8);
    assert_eq!(a.line_of(&[key("absent")]), 1);
}

proptest::proptest! {
    /// Whatever comes, it is read or it is a problem: nothing is lost without a word.
    #[test]
    fn any_text_is_survived(text in "(---|\n|\r|%YAML 1.1|\\.\\.\\.|[ -~]|\u{feff}|é|kind: List\n|items:\n- |apiVersion: v1\n|metadata: \\{name: a\\}\n|kind: A\n){0,60}") {
        let read = read_text(&text);
        for manifest in &read.manifests {
            let lines = text.lines().count().max(1);
            assert!((1..=lines).contains(&manifest.line));
            assert!((1..=lines + 1).contains(&manifest.line_of(&[key("metadata"), key("name")])));
        }
    }

    /// However many documents there are, and whatever stands between them, all are read.
    #[test]
    fn no_document_is_lost(between in proptest::collection::vec("\n---\n|\n--- # x\n|\n---\r\n\r\n|\n\\.\\.\\.\n---\n|\n---\n---\n", 1..20)) {
        let mut text = String::new();
        for (at, separator) in between.iter().enumerate() {
            write!(text, "apiVersion: v1\nkind: A\nmetadata: {{name: a{at}}}{separator}").unwrap();
        }
        let read = read_text(&text);
        assert_eq!(read.manifests.len(), between.len(), "{text:?} {:?}", read.problems);
        for manifest in &read.manifests {
            let line = text.lines().nth(manifest.line - 1).unwrap();
            assert_eq!(line.trim_end(), "apiVersion: v1");
        }
    }
}

#[test]
fn what_is_as_deep_as_can_be_read_is_held_as_it_is() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let manifest = |depth| {
        let text = format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"X\", \"metadata\": {{\"name\": \"a\"}}, \"d\": {}}}",
            deep(depth)
        );
        read(&Arc::from("x.json"), text.as_bytes())
    };
    let deepest = (1..200)
        .rev()
        .find(|depth| !manifest(*depth).manifests.is_empty())
        .unwrap();
    assert!(deepest > 100, "{deepest}");
    let mut place = manifest(deepest).manifests[0].value()["d"].clone();
    for _ in 0..deepest {
        place = place[0].clone();
    }
    assert_eq!(place, json!(1));
    assert!(!manifest(deepest + 1).problems.is_empty());
}
