//! The bookkeeping of drift, without a recorder.

use std::collections::BTreeSet as Set;

use super::table::asks_for_all;
use super::*;
use crate::drift::accept::Ignore;
use crate::drift::desired::Desired;
use crate::drift::live::{ClusterFacts, Facts, KindFact, Live, assemble};
use crate::drift::report::{LiveInfo, ObjectClass};
use crate::owners::Shape;

/// Objects of the sample cluster.
const OBJECTS: usize = 2000;

fn text(at: usize, value: &str) -> String {
    format!(
        "apiVersion: v1\ndata:\n  a: \"{value}\"\nkind: ConfigMap\nmetadata:\n  name: m{at}\n  namespace: shop\n"
    )
}

fn file(at: usize, value: &str) -> RecordedFile {
    RecordedFile {
        path: format!("namespaces/shop/configmaps/m{at}.yaml").into(),
        bytes: text(at, value).into_bytes(),
        owners: Some(Shape::default().encode().into()),
        times: None,
    }
}

fn live() -> Live {
    let kind = KindFact {
        kind: "ConfigMap".into(),
        resource: "configmaps".into(),
        versions: vec!["v1".into()],
        namespaced: true,
        ..KindFact::default()
    };
    let facts = Facts {
        cluster: ClusterFacts {
            server_version: "v1.36.0".to_owned(),
            kinds: vec![kind],
            ..ClusterFacts::default()
        },
        ..Facts::default()
    };
    let files = (0..OBJECTS).map(|at| file(at, "1")).collect();
    assemble(files, &facts, LiveInfo::default(), None).unwrap()
}

fn desired() -> Desired {
    let manifest = |at: usize| {
        let value = crate::canonical::read(text(at, "1").as_bytes()).unwrap();
        Manifest::new(&value, "all.yaml".into(), at)
    };
    Desired {
        name: "shop".to_owned(),
        kind: "directory",
        manifests: (0..OBJECTS).map(manifest).collect(),
        ..Desired::default()
    }
}

struct Told {
    lines: Vec<String>,
    judged: u64,
    news: bool,
}

fn touch(table: &mut Table, evaluator: &Evaluator<'_>, at: usize, value: Option<&str>) -> Told {
    let path = file(at, "").path;
    let files = vec![(path, value.map(|value| file(at, value)))];
    match table.touch(evaluator, files, false) {
        Touch::Whole => panic!("everything is to be evaluated again"),
        Touch::Judged {
            lines,
            judged,
            news,
        } => Told {
            lines,
            judged,
            news,
        },
    }
}

#[test]
fn what_was_touched_is_judged_and_nothing_else() {
    let mut live = live();
    let desired = [desired()];
    let objects = std::mem::take(&mut live.objects);
    let question = Question {
        live: &live,
        desired: &desired,
        ignores: &[],
        deployers: &Deployers::default(),
        digest_key: None,
        tables: &Tables::of(36),
        namespaces: &[],
        selector: None,
        stale: None,
        show_in_sync: false,
    };
    let evaluator = Evaluator::new(question);
    let started = Instant::now();
    let mut table = Table::of(&evaluator, objects);
    let whole = started.elapsed();
    assert_eq!(table.judged, OBJECTS as u64);
    let empty = table.standing.report(&question);
    assert_eq!(empty.summary.in_sync, OBJECTS);

    let started = Instant::now();
    let told = touch(&mut table, &evaluator, 7, Some("2"));
    let one = started.elapsed();
    println!("{OBJECTS} objects: {whole:?}, one of them again: {one:?}");
    assert_eq!((told.judged, told.news), (1, true));
    assert_eq!(
        told.lines,
        [r#"shop/ConfigMap m7: data.a Changed "1" → "2""#]
    );
    assert!(one * 20 < whole, "{one:?} of {whole:?}");
    let drift = table.standing.report(&question);
    assert_eq!(
        (drift.summary.in_sync, drift.summary.modified),
        (OBJECTS - 1, 1)
    );

    // The same once more is no news.
    let told = touch(&mut table, &evaluator, 7, Some("2"));
    assert_eq!((told.lines.len(), told.news), (0, false));
    let told = touch(&mut table, &evaluator, 7, Some("1"));
    assert_eq!(told.lines, ["shop/ConfigMap m7: InSync again"]);
    assert_eq!(table.standing.report(&question), empty);

    let told = touch(&mut table, &evaluator, 9, None);
    assert_eq!(told.lines, ["shop/ConfigMap m9: Missing"]);
    let told = touch(&mut table, &evaluator, OBJECTS, Some("1"));
    assert_eq!(told.lines, [format!("shop/ConfigMap m{OBJECTS}: Extra")]);
    let told = touch(&mut table, &evaluator, OBJECTS, None);
    assert_eq!(
        told.lines,
        [format!("shop/ConfigMap m{OBJECTS}: no longer Extra")]
    );
    let report = table.standing.report(&question);
    assert_eq!(report.objects[0].class, ObjectClass::Missing);
    assert_eq!(report.objects.len(), 1);
}

#[test]
fn definitions_and_what_names_the_desired_side_ask_for_everything() {
    let of = |group: &str, kind: &str, name: &str| Identity {
        group: group.into(),
        kind: kind.into(),
        namespace: None,
        name: name.into(),
    };
    let definition = of("apiextensions.k8s.io", "CustomResourceDefinition", "a");
    assert!(asks_for_all(&definition, false));
    for identity in [
        of("argoproj.io", "Application", "shop"),
        of("kustomize.toolkit.fluxcd.io", "Kustomization", "shop"),
        of("", "ConfigMap", "argocd-cm"),
    ] {
        assert!(asks_for_all(&identity, true), "{identity:?}");
        assert!(!asks_for_all(&identity, false), "{identity:?}");
    }
    assert!(!asks_for_all(&of("apps", "Deployment", "web"), true));
}

#[test]
fn the_desired_side_is_another_where_anything_of_it_is() {
    let mark = |sources: Vec<Desired>, ignores: Vec<Ignore>| {
        mark_of(&DesiredSide {
            sources,
            ignores,
            warnings: Vec::new(),
        })
    };
    let one = mark(vec![desired()], Vec::new());
    assert_eq!(one, mark(vec![desired()], Vec::new()));
    let mut changed = [desired(), desired(), desired(), desired()];
    changed[0].manifests[3].edit(|value| value["data"]["a"] = "2".into());
    changed[1].revision = Some("abc".to_owned());
    changed[2].head = Some(Vec::new());
    changed[3].manifests.pop();
    let marks: Set<_> = changed
        .into_iter()
        .map(|desired| mark(vec![desired], Vec::new()))
        .chain([one, mark(Vec::new(), Vec::new())])
        .collect();
    assert_eq!(marks.len(), 6);
}
