//! Accept rules against differences.

use serde_json::{Value, json};

use super::super::compare::Relation;
use super::super::report::samples;
use super::*;

fn rules(text: &str) -> Vec<Ignore> {
    ignores(AcceptFile::parse("accept.yaml", text).unwrap_or_else(|error| panic!("{error}")))
}

fn one(body: &str) -> Ignore {
    let mut rules = rules(&format!("accept:\n- {{reason: r, {body}}}\n"));
    assert_eq!(rules.len(), 1);
    rules.remove(0)
}

fn web() -> Identity {
    Identity {
        group: "apps".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "web".into(),
    }
}

fn container() -> (Difference, Value, Value) {
    let object = |image: &str| {
        json!({"spec": {"containers": [{"name": "a"}, {"name": "web", "image": image}],
            "args": ["x"]}})
    };
    let at: Vec<Step> = vec![
        Step::Key("spec".into()),
        Step::Key("containers".into()),
        Step::Index(1),
        Step::Key("image".into()),
    ];
    let difference = Difference {
        path: FieldPath::parse("spec.containers[name=web].image").unwrap(),
        relation: Relation::Changed,
        desired: Some(json!("a")),
        live: Some(json!("b")),
        desired_at: at.clone(),
        live_at: at,
        is_default: false,
    };
    (difference, object("a"), object("b"))
}

fn hides(rule: &Ignore, class: FieldClass) -> bool {
    let (difference, desired, live) = container();
    let seen = Seen {
        difference: &difference,
        class,
        desired: &desired,
        live: &live,
    };
    hides_field(rule, seen, |manager| manager == "kubectl-edit")
}

#[test]
fn paths_and_classes_hide_what_they_name() {
    for (body, expected) in [
        ("paths: ['spec.containers[name=web].image']", true),
        ("paths: ['spec.containers[name=web]']", true),
        ("paths: ['spec.containers[*].image']", true),
        ("paths: [spec]", true),
        ("paths: [status, spec.containers]", true),
        ("paths: ['spec.containers[name=a].image']", false),
        (
            "paths: ['spec.containers[name=web].imagePullPolicy']",
            false,
        ),
        ("paths: ['spec.containers[name=web].image.tag']", false),
        ("paths: [spec], classes: [Changed]", true),
        ("paths: [spec], classes: [Added, Removed]", false),
        ("classes: [Changed]", true),
        ("classes: [Dropped]", false),
        ("classes: [Extra]", false),
        ("classes: [Missing]", false),
    ] {
        assert_eq!(hides(&one(body), FieldClass::Changed), expected, "{body}");
    }
}

#[test]
fn rules_of_deployers_hide_by_pointer_and_by_manager() {
    let step = |text: &str| Step::Key(text.into());
    let pointer = |steps| Ignore {
        what: Ignored::Paths(vec![Place::Pointer(steps)]),
        ..Ignore::default()
    };
    let spec = step("spec");
    let place = vec![spec.clone(), step("containers"), Step::Index(1)];
    assert!(hides(&pointer(place), FieldClass::Changed));
    let place = vec![spec, step("containers"), Step::Index(0)];
    assert!(!hides(&pointer(place), FieldClass::Changed));
    let managers = |name: &str| Ignore {
        what: Ignored::Managers(vec![name.to_owned()]),
        ..Ignore::default()
    };
    assert!(hides(&managers("kubectl-edit"), FieldClass::Changed));
    assert!(!hides(&managers("kubectl"), FieldClass::Changed));
}

#[test]
fn a_rule_is_about_the_objects_that_all_its_conditions_fit() {
    let object = json!({"metadata": {"labels": {"a": "b"}}});
    let with = |body: &str| fits(&one(body), &web(), Some(&object));
    assert!(with(
        "paths: [spec], match: {namespaces: [shop], labels: a=b}"
    ));
    assert!(!with(
        "paths: [spec], match: {namespaces: [shop], labels: a=c}"
    ));
    assert!(with("paths: [spec]"), "of every object");
    let globs = |group: &str, name: &str| Ignore {
        group: Some(group.to_owned()),
        object_name: Some(name.to_owned()),
        ..Ignore::default()
    };
    for (group, name, expected) in [
        ("apps", "web", true),
        ("*", "w*", true),
        ("a*", "{web,db}", true),
        ("", "web", false),
        ("apps", "[w]eb", true),
        ("apps", "we", false),
        ("apps", "[", false),
    ] {
        let found = fits(&globs(group, name), &web(), None);
        assert_eq!(found, expected, "{group} {name}");
    }
}

#[test]
fn whole_objects_are_hidden_by_class() {
    let both = rules("accept:\n- {reason: r, classes: [Extra, Missing, Changed]}\n");
    assert_eq!(both.len(), 3);
    let any = |class| both.iter().any(|rule| hides_object(rule, class));
    assert!(any(ObjectClass::Extra) && any(ObjectClass::Missing));
    assert!(!any(ObjectClass::Modified));
    assert!(both.iter().any(|rule| hides(rule, FieldClass::Changed)));
    let whole = rules("accept:\n- {reason: r, match: {names: [web]}}\n");
    let any = |class| whole.iter().any(|rule| hides_object(rule, class));
    assert!(any(ObjectClass::Extra) && any(ObjectClass::Missing));
    assert!(whole.iter().any(|rule| hides(rule, FieldClass::Dropped)));
    assert!(!any(ObjectClass::Modified), "one in sync is in sync");
}

#[test]
fn a_rule_hides_up_to_its_last_day_and_says_when_it_does_not() {
    let text = "accept:\n- {name: x, reason: on call, owner: me, expires: 2026-11-21, paths: [spec]}\n\
                - {reason: for ever, paths: [spec]}\n";
    let rules = rules(text);
    assert_eq!(
        shown(&rules[0]),
        "accepted: on call, until 2026-11-21, by me [x]"
    );
    assert_eq!(shown(&rules[1]), "accepted: for ever [accept.yaml rule 2]");
    for (today, expired) in [
        ("2026-11-20", false),
        ("2026-11-21", false),
        ("2026-11-21T23:59:59Z", false),
        ("2026-11-22", true),
        ("2027-01-01", true),
    ] {
        assert_eq!(is_expired(&rules[0], today), expired, "{today}");
        assert!(!is_expired(&rules[1], today));
    }
    let (good, warnings) = without_expired(rules.clone(), "2026-11-22");
    assert_eq!(good, rules[1..]);
    assert_eq!(
        warnings,
        ["accept rule 'x' expired on 2026-11-21: it hides nothing; renew or remove it"]
    );
    let hit = shown(&rules[1]);
    let warnings = never_matched(&rules, |rule| rule == hit);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("'x' matched nothing"), "{warnings:?}");
    let argo = [Ignore::default()];
    assert!(
        never_matched(&argo, |_| false).is_empty(),
        "not ours to judge"
    );
}

#[test]
fn a_template_accepts_all_that_was_found_and_holds_no_value() {
    let mut report = samples::full();
    report.objects[0].name = "a*[b]{c}\u{1b}\u{e0041}\"\\".to_owned();
    let today = jiff::civil::date(2026, 12, 10);
    let text = template(&report, today);
    assert!(
        !text.contains(samples::SECRET) && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(text.contains("expires: 2027-01-09"), "{text}");
    assert!(
        text.contains("# Changed by kubectl-edit (Update)"),
        "{text}"
    );
    let rules = rules(&text);
    let mut found = 0;
    for object in &report.objects {
        let identity = Identity {
            group: object.group.as_str().into(),
            kind: object.kind.as_str().into(),
            namespace: object.namespace.as_deref().map(Into::into),
            name: object.name.as_str().into(),
        };
        let mut fitting = rules.iter().filter(|rule| fits(rule, &identity, None));
        let is_drift = matches!(
            object.class,
            ObjectClass::Modified | ObjectClass::Missing | ObjectClass::Extra
        );
        let Some(rule) = fitting.next() else {
            assert!(!is_drift, "{object:?}\n{text}");
            continue;
        };
        assert!(is_drift && fitting.next().is_none(), "{object:?}\n{text}");
        found += 1;
        match &rule.what {
            Ignored::Paths(places) => {
                for field in &object.fields {
                    let path = Place::Path(FieldPath::parse(&field.path).unwrap());
                    let kept = matches!(
                        field.class,
                        FieldClass::Ignored | FieldClass::Pending | FieldClass::PendingRemoval
                    );
                    assert_eq!(places.contains(&path), !kept, "{}", field.path);
                }
            }
            _ => assert!(hides_object(rule, object.class)),
        }
    }
    assert_eq!((found, rules.len()), (5, 5));
    let empty = template(&samples::clean(), today);
    assert!(self::rules(&empty).is_empty(), "{empty}");
}
