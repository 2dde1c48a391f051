//! Refs that go with the branch, and refs that are fetched with it.

use super::*;

const OWNERS: &str = "refs/strandline/owners";

fn extra(name: &str, object: &Oid, expected: Option<&Oid>) -> ExtraRef {
    ExtraRef {
        name: name.to_owned(),
        object: object.clone(),
        expected: expected.cloned(),
    }
}

impl Bed {
    async fn push_with(&self, commit: &Oid, expected: Option<&Oid>, extra: ExtraRef) -> Push {
        self.remote()
            .push(&self.local(), commit, expected, &[extra])
            .await
            .unwrap()
    }

    async fn at(&self, name: &str) -> Option<Oid> {
        self.remote().read_ref(name).await.unwrap()
    }
}

#[tokio::test]
async fn a_further_chain_is_never_rewound_even_with_a_lease_that_fits() {
    let (bed, one) = Bed::new();
    let two = bed.commit("two", Some(&one));
    let other = bed.commit("other", None);
    let first = bed.push_with(&one, None, extra(OWNERS, &two, None)).await;
    assert_eq!(first, Push::Pushed);
    for rewound in [&one, &other] {
        let push = bed
            .push_with(&two, Some(&one), extra(OWNERS, rewound, Some(&two)))
            .await;
        assert!(matches!(push, Push::Diverged { .. }), "{push:?}");
    }
    assert_eq!(bed.at(OWNERS).await, Some(two.clone()));
    assert_eq!(bed.at("refs/heads/main").await, Some(one), "nor the branch");
}

#[tokio::test]
async fn a_host_that_hides_our_refs_refuses_them_and_takes_other_names() {
    let (bed, one) = Bed::new();
    bed.git(
        "remote.git",
        &["config", "receive.hideRefs", "refs/strandline"],
    );
    let push = bed.push_with(&one, None, extra(OWNERS, &one, None)).await;
    assert!(matches!(push, Push::Rejected { .. }), "{push:?}");
    assert_eq!(bed.at(OWNERS).await, None);
    // `git receive-pack` refuses a hidden ref before its transaction begins, and takes the rest.
    let there = bed.at("refs/heads/main").await;
    assert_eq!(there, Some(one.clone()));
    let name = "refs/heads/strandline/owners";
    let push = bed
        .push_with(&one, there.as_ref(), extra(name, &one, None))
        .await;
    assert_eq!(push, Push::Pushed);
    assert_eq!(bed.at(name).await, Some(one));
}

#[tokio::test]
async fn a_host_without_transactions_gets_one_after_the_other() {
    let (bed, one) = Bed::new();
    bed.git(
        "remote.git",
        &["config", "receive.advertiseAtomic", "false"],
    );
    let push = bed.push_with(&one, None, extra(OWNERS, &one, None)).await;
    assert_eq!(push, Push::Pushed);
    assert_eq!(bed.at(OWNERS).await, Some(one.clone()));
    assert_eq!(bed.at("refs/heads/main").await, Some(one));
}

#[tokio::test]
async fn a_proof_of_life_is_replaced_where_the_lease_fits_and_only_there() {
    let (bed, one) = Bed::new();
    let blob = |text: &str| -> Oid {
        let file = bed.path("text");
        fs::write(&file, text).unwrap();
        let args = ["hash-object", "-w", file.to_str().unwrap()];
        bed.git("local.git", &args).parse().unwrap()
    };
    let (first, second, third) = (blob("1"), blob("2"), blob("3"));
    let name = "refs/strandline/alive";
    let push = async |object: &Oid, expected: Option<&Oid>| {
        let reference = extra(name, object, expected);
        bed.remote()
            .push_alone(&bed.local(), &reference)
            .await
            .unwrap()
    };
    assert_eq!(push(&first, None).await, Push::Pushed);
    assert_eq!(push(&second, Some(&first)).await, Push::Pushed);
    let stale = push(&third, Some(&first)).await;
    assert!(matches!(stale, Push::StaleLease { .. }), "{stale:?}");
    let stale = push(&third, None).await;
    assert!(matches!(stale, Push::StaleLease { .. }), "{stale:?}");
    assert_eq!(bed.at(name).await, Some(second));
    let _ = one;
}

#[tokio::test]
async fn what_there_is_of_several_refs_is_fetched() {
    let (bed, one) = Bed::new();
    let two = bed.commit("two", Some(&one));
    let first = bed.push_with(&two, None, extra(OWNERS, &one, None)).await;
    assert_eq!(first, Push::Pushed);
    let fresh = bed.path("fresh.git");
    init(&fresh).await.unwrap();
    let pair = |theirs: &str, ours: &str| (theirs.to_owned(), ours.to_owned());
    let refs = [
        pair("refs/heads/main", "refs/heads/main"),
        pair(OWNERS, "refs/strandline/fetched-owners"),
        pair("refs/strandline/drift", "refs/strandline/drift"),
    ];
    let remote = bed.remote();
    for depth in [Depth::Newest, Depth::Missing] {
        let fetched = remote.fetch_refs(&fresh, &refs, depth).await.unwrap();
        assert_eq!(fetched.len(), 2);
        assert_eq!(fetched["refs/heads/main"], two);
        assert_eq!(fetched[OWNERS], one);
        let at = bed.git(
            "fresh.git",
            &["rev-parse", "refs/strandline/fetched-owners"],
        );
        assert_eq!(at, one.to_string());
    }
    let none = [pair("refs/strandline/drift", "refs/strandline/drift")];
    let fetched = remote.fetch_refs(&fresh, &none, Depth::Newest).await;
    assert!(fetched.unwrap().is_empty());
    let names = ["refs/heads/main", "refs/strandline/drift"].map(str::to_owned);
    let read = remote.read_refs(&names).await.unwrap();
    assert_eq!(
        read.into_iter().collect::<Vec<_>>(),
        [("refs/heads/main".to_owned(), two)]
    );
}
