//! Sets of rules as they are put together, their errors, and explanations.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::golden::{api_type, cases, core, digest_key};
use super::language::{
    WIDGETS, apply, assembled, become_of, refused, rules, secret, widget, with_file,
};
use super::*;
use crate::object::{RawObject, Step};

fn explain(rules: &Rules, object: &Value) -> Explanation {
    let api_type = api_type(object);
    let TypePlan::Watched(rules) = rules.plan(&api_type) else {
        panic!("{api_type} is dropped")
    };
    let raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
    let key = raw.key(&api_type).unwrap();
    let context = Context {
        digest_key: &digest_key(),
        autoscaled: &Autoscaled::default(),
    };
    rules.explain(&raw, &key, &context)
}

// --- assembly ------------------------------------------------------------------------------------

#[test]
fn a_broken_file_says_where_in_which_rule_and_what_was_expected() {
    let file = |rest: &str| {
        format!(
            "rules:\n  - name: good\n    reason: r\n    drop: true\n    match: {{names: [x]}}\n  - name: bad\n    reason: r\n    {rest}\n"
        )
    };
    for (rest, at, parts) in [
        (
            "prune: [spec.a, 'spec.']",
            "own.yaml:8:21: rule 'bad': ",
            &["column 6: expected a field name"][..],
        ),
        (
            "dorp: true",
            "own.yaml:8:5: rule 'bad': ",
            &["dorp", "did you mean 'drop'?"],
        ),
        (
            "match: {resuorces: [a]}",
            "own.yaml:8:13: rule 'bad': ",
            &["did you mean 'resources'?"],
        ),
        (
            "match: {names: ['[']}",
            "own.yaml:8:21: rule 'bad': ",
            &["["],
        ),
        (
            "match: {labels: 'a in b'}",
            "own.yaml:8:21: rule 'bad': ",
            &["expected"],
        ),
        (
            "match: {labels: '-a'}",
            "own.yaml:8:21: rule 'bad': ",
            &["a label's key"],
        ),
        (
            "match: {when: 'object..x'}",
            "own.yaml:8:19: rule 'bad': ",
            &["CEL"],
        ),
        (
            "redact: [{path: a, mode: plian}]",
            "own.yaml:8:30: rule 'bad': ",
            &["did you mean 'plain'?"],
        ),
        (
            "redact: [{path: a, mode: plain}]",
            "own.yaml:6:5: rule 'bad': ",
            &["allowed by its flag"],
        ),
        (
            "redact: [{path: data.a, mode: sops}]",
            "own.yaml:6:5: rule 'bad': ",
            &["expected 'data[*]'", "'data.a'"],
        ),
        (
            "drop: true\n    keep: true",
            "own.yaml:6:5: rule 'bad': ",
            &["'drop' stands alone"],
        ),
        (
            "keep: false",
            "own.yaml:6:5: rule 'bad': ",
            &["expected actions"],
        ),
        (
            "keep: 7",
            "own.yaml:8:11: rule 'bad': ",
            &["true or a list of field paths"],
        ),
        ("  x: [", "own.yaml:", &["mapping"]),
    ] {
        let error = refused(&with_file(&file(rest)));
        assert!(error.starts_with(at), "{rest}: {error}");
        for part in parts {
            assert!(error.contains(part), "{rest}: {error}");
        }
    }
    for (text, expected) in [
        (
            "rulez: []",
            "own.yaml:1:1: unknown field `rulez`, expected `rules`; did you mean 'rules'?",
        ),
        (
            "preset: {}\nrules: []",
            "own.yaml:1:1: unknown field `preset`, expected `rules`",
        ),
        (
            "rules: []\nrules: []",
            "own.yaml:1:1: 'rules' stands here twice",
        ),
    ] {
        assert_eq!(refused(&with_file(text)), expected);
    }
    let huge = "#".repeat((1 << 20) + 1);
    assert!(refused(&with_file(&huge)).contains("at most 1048576 bytes"));
}

#[test]
fn a_rule_replaces_its_namesake_but_for_those_that_keep_values_out_of_git() {
    let text = "rules: [{name: pods, reason: mine, match: {names: [never]}, drop: true}]";
    let rules = assembled(text);
    let pods: Vec<_> = rules.iter().filter(|r| r.name.as_str() == "pods").collect();
    assert_eq!((pods.len(), pods[0].reason), (1, "mine"));
    assert_eq!(
        become_of(&rules, &widget(&json!({"a": 1})), "pods")["spec"]["a"],
        1
    );
    // Between two files the later one wins.
    let mut selection = with_file(text);
    selection.files.push(UserFile {
        name: "later.yaml".to_owned(),
        text: text.replace("mine", "later"),
    });
    let rules = Rules::assemble(&selection).unwrap();
    let name = RuleName::from("pods".to_owned());
    assert_eq!(rules.get(&name).unwrap().reason, "later");
    for name in ["secret-values", "applied-copies"] {
        let error = refused(&with_file(&text.replace("pods", name)));
        assert!(error.contains("keeps values out of Git"), "{error}");
    }
}

#[test]
fn plaintext_needs_its_own_word() {
    let selection = Selection {
        secrets: SecretMode::Plain,
        ..Selection::default()
    };
    assert!(refused(&selection).contains("mode 'plain'"));
}

#[test]
fn presets_are_read_switched_and_suggested() {
    let names: BTreeSet<_> = presets().iter().map(|preset| &preset.name).collect();
    assert_eq!(names.len(), presets().len(), "two presets of one name");
    let all = Selection {
        presets: presets().iter().map(|p| (p.name.clone(), true)).collect(),
        ..Selection::default()
    };
    let rules = Rules::assemble(&all).unwrap();
    let mut seen = BTreeSet::new();
    for rule in rules.iter() {
        assert!(seen.insert(rule.name), "two rules are named {}", rule.name);
        assert!(!rule.reason.is_empty(), "{}", rule.name);
        assert!(rule.see.starts_with("https://"), "{}", rule.name);
    }
    let mut count = core().iter().count();
    for preset in presets() {
        assert!(!preset.title.is_empty());
        let bare = preset.text.split_once("\nrules:").unwrap().1;
        count += Rules::parse(&format!("rules:{bare}"))
            .unwrap()
            .iter()
            .count();
    }
    assert_eq!(count, seen.len(), "a rule replaced another");

    let switched = |on: &[bool]| {
        let selection = Selection {
            presets: on
                .iter()
                .map(|&on| ("large-values".to_owned(), on))
                .collect(),
            ..Selection::default()
        };
        let rules = Rules::assemble(&selection).unwrap();
        rules
            .iter()
            .any(|rule| rule.name.as_str() == "large-values")
    };
    assert!(!switched(&[]) && switched(&[true]) && !switched(&[true, false]));

    for (name, message) in [
        (
            "large-value",
            "no preset is named 'large-value', did you mean 'large-values'?",
        ),
        ("entirely-else", "no preset is named 'entirely-else'"),
    ] {
        let selection = Selection {
            presets: vec![(name.to_owned(), false)],
            ..Selection::default()
        };
        assert_eq!(refused(&selection), message);
    }
}

#[test]
fn the_fingerprint_is_another_for_every_switch() {
    let base = Selection::default();
    let mut prints = BTreeSet::new();
    let mut all = vec![
        base.clone(),
        with_file("rules: []"),
        with_file("rules: [] "),
    ];
    for secrets in [SecretMode::Omit, SecretMode::Sops] {
        all.push(Selection {
            secrets,
            ..base.clone()
        });
    }
    all.push(Selection {
        allow_plaintext: true,
        ..base.clone()
    });
    all.push(Selection {
        presets: vec![("large-values".to_owned(), true)],
        ..base.clone()
    });
    for selection in &all {
        prints.insert(Rules::assemble(selection).unwrap().fingerprint().to_owned());
    }
    assert_eq!(prints.len(), all.len());
    let again = Rules::assemble(&base).unwrap();
    assert!(prints.contains(again.fingerprint()));
}

#[test]
fn paths_that_nothing_has_are_named_for_the_users_rules_alone() {
    let rules = assembled(&rules(&[
        "prune: [spec.a, spec.typo], keep: ['status.x[*]']",
        "redact: [{path: spec.token}], sort: [{path: spec.set}]",
        "match: {names: [other]}, prune: [spec.b]",
    ]));
    let unmatched = || {
        let named = rules.unmatched();
        let text = |(rule, path): &(RuleName, String)| format!("{rule} {path}");
        named.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(unmatched().len(), 6);
    let object = json!({"metadata": {"name": "w", "namespace": "shop"}, "status": {"x": [1]},
        "spec": {"a": 1, "b": 2, "token": "t", "set": [1]}});
    become_of(&rules, &object, WIDGETS);
    assert_eq!(unmatched(), ["a spec.typo", "c spec.b"]);
}

// --- explanations --------------------------------------------------------------------------------

#[test]
fn a_keep_brings_back_no_secret() {
    let mut object = secret(&json!({"token": "aHVudGVyMmh1bnRlcjI="}));
    object["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "aHVudGVyMmh1bnRlcjI="});
    for body in [
        "keep: [data, metadata]",
        "keep: ['data[*]', 'metadata.annotations[*]']",
        "keep: [data.token, 'metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]']",
        "keep: true, prune: [metadata.labels]",
    ] {
        let rules = assembled(&rules(&[body]));
        let (value, _) = apply(&rules, &object);
        assert!(!value.to_string().contains("aHVudGVy"), "{body}: {value}");
        let shown = explain(&rules, &object);
        assert!(!shown.original.to_string().contains("aHVudGVy"), "{body}");
        assert!(!shown.result.to_string().contains("aHVudGVy"), "{body}");
    }
}

fn key(keys: &[&str]) -> Vec<Step> {
    keys.iter().map(|key| Step::Key((*key).into())).collect()
}

#[test]
fn an_explanation_names_place_action_and_rule() {
    let rules = assembled(&rules(&[
        "keep: [status.kept]",
        "prune: ['spec.list[name=x]', spec.deep.only]",
        "sort: [{path: spec.set}]",
        "match: {resources: [configmaps]}, redact: [{path: 'spec.list[name=z]'}]",
    ]));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "shop", "uid": "1"},
        "spec": {"list": [{"name": "x"}, {"name": "z", "v": "hunter2hunter2"}], "set": [2, 1],
            "deep": {"only": 1}},
        "status": {"kept": 1, "gone": 2}});
    let explanation = explain(&rules, &object);
    let at = |path: Vec<Step>, action, rule: &str| Hit {
        path,
        action,
        rule: RuleName::from(rule.to_owned()),
    };
    let mut in_list = key(&["spec", "list"]);
    in_list.push(Step::Index(0));
    let mut redacted = key(&["spec", "list"]);
    redacted.push(Step::Index(1));
    assert_eq!(
        explanation.hits,
        [
            at(key(&["metadata", "uid"]), Action::Pruned, "server-metadata"),
            at(key(&["spec", "deep"]), Action::Emptied, "b"),
            at(key(&["spec", "deep", "only"]), Action::Pruned, "b"),
            at(in_list, Action::Pruned, "b"),
            at(redacted, Action::Digested, "d"),
            at(key(&["spec", "set"]), Action::Sorted, "c"),
            at(key(&["status", "gone"]), Action::Pruned, "status"),
            at(key(&["status", "kept"]), Action::Kept, "a"),
        ]
    );
    assert_eq!(explanation.original["spec"]["list"][1], "(hidden)");
    assert_eq!(explanation.original["metadata"]["uid"], "1");
    assert_eq!(explanation.result, apply(&rules, &object).0);
    assert_eq!(explanation.dropped_by, None);

    let rules = assembled(&self::rules(&[
        "match: {names: [c]}, drop: true",
        "match: {labels: '!x'}, keep: true",
    ]));
    let explanation = explain(&rules, &object);
    assert_eq!(explanation.kept_by.unwrap().as_str(), "b");
    let dropped = explain(
        &assembled(&self::rules(&["match: {names: [c]}, drop: true"])),
        &object,
    );
    assert_eq!(dropped.dropped_by.unwrap().as_str(), "a");
}

#[test]
fn no_explanation_shows_a_secret_in_whatever_mode_and_whatever_else_removes_it() {
    let mut object = secret(&json!({"a": "aHVudGVyMmh1bnRlcjI=", "b": "aHVudGVyMmh1bnRlcjI="}));
    object["stringData"] = json!({"c": "hunter2hunter2"});
    object["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": "hunter2hunter2",
        "kapp.k14s.io/original": "aHVudGVyMmh1bnRlcjI="});
    for secrets in [SecretMode::Digest, SecretMode::Omit, SecretMode::Sops] {
        for body in [
            "prune: [none]",
            "prune: [data.a, metadata.annotations]",
            "prune: [data, metadata]",
            "match: {names: [s]}, drop: true",
            "match: {when: 'object.absent'}, redact: [{path: data.a, mode: omit}]",
        ] {
            let mut selection = with_file(&rules(&[body]));
            selection.secrets = secrets;
            let shown = explain(&Rules::assemble(&selection).unwrap(), &object);
            for value in [&shown.original, &shown.result] {
                let text = value.to_string();
                let leaks = text.contains("hunter2") || text.contains("aHVudGVy");
                assert!(!leaks, "{secrets:?}, {body}: {text}");
            }
        }
    }
}

#[test]
fn an_explanation_of_every_case_is_what_is_recorded() {
    for (case, object) in cases() {
        let api_type = api_type(&object);
        let TypePlan::Watched(type_rules) = core().plan(&api_type) else {
            continue;
        };
        let raw = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
        let key = raw.key(&api_type).unwrap();
        let context = Context {
            digest_key: &digest_key(),
            autoscaled: &Autoscaled::default(),
        };
        let explanation = type_rules.explain(&raw, &key, &context);
        let mut applied = RawObject::parse(object.to_string().as_bytes(), &api_type).unwrap();
        match type_rules.apply(&mut applied, &key, &context) {
            Verdict::Drop { rule } => assert_eq!(explanation.dropped_by, Some(rule)),
            Verdict::Keep { .. } => {
                assert_eq!(explanation.result, applied.value, "{}", case.display());
                let changed = explanation.original != explanation.result;
                assert_eq!(changed, !explanation.hits.is_empty(), "{}", case.display());
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_file_of_rules_or_an_error(text in "[ -~\n]{0,80}") {
        if let Err(error) = Rules::parse(&text) {
            prop_assert!(error.to_string().starts_with("the rules"));
        }
    }

    /// Lines of a real rule, one of them changed.
    #[test]
    fn a_rule_with_one_line_broken_is_read_or_refused_in_its_place(
        line in 0usize..12, text in "[ -~]{0,30}",
    ) {
        let mut lines = vec!["rules:", "  - name: a", "    reason: r", "    match:",
            "      names: ['x*']", "      labels: a in (b)", "      annotations: {k: null}",
            "      when: object.spec.x == 1", "    prune:", "      - spec.a", "      - spec.b",
            "    keep: [spec.c]"];
        lines[line] = &text;
        if let Err(RulesError::File { line, .. }) = Rules::parse(&lines.join("\n")) {
            prop_assert!(line <= 13);
        }
    }
}

#[test]
fn a_path_of_a_thousand_steps_is_refused() {
    let deep = format!("a{}", ".a".repeat(1000));
    let error = FieldPath::parse(&deep).unwrap_err();
    assert!(error.expected.contains("at most 64 steps"));
    assert!(error.path.chars().count() < 130);
    assert!(FieldPath::parse(&format!("a{}", ".a".repeat(63))).is_ok());
}
