use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;

#[test]
fn ids_are_gits() {
    // `git hash-object` of nothing, and of "hello\n".
    let cases = [
        (&b""[..], "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
    ];
    for (bytes, id) in cases {
        assert_eq!(BlobId::of(bytes).to_string(), id);
        assert_eq!(id.parse::<BlobId>(), Ok(BlobId::of(bytes)));
    }
    for bad in ["", "ce01", &"g".repeat(40), &"é".repeat(20)] {
        assert_eq!(bad.parse::<BlobId>(), Err(IdError), "{bad}");
    }
}

#[test]
fn paths_of_another_shape_are_not_held() {
    let mut index = Index::new();
    let id = BlobId::of(b"x");
    for path in [
        "",
        "cluster",
        "cluster/nodes",
        "cluster//a.yaml",
        "cluster/nodes/",
        "cluster/nodes/a/b.yaml",
        "namespaces/shop/pods",
        "namespaces//pods/a.yaml",
        "other/nodes/a.yaml",
    ] {
        assert_eq!(index.insert(path, id), None, "{path}");
        assert_eq!(index.get(path), None, "{path}");
    }
    assert!(index.is_empty());
}

fn path() -> impl Strategy<Value = String> {
    let name = "[ab]|a-b|a0|a\\.b";
    (proptest::option::of(name), name, name).prop_map(
        |(namespace, directory, name)| match namespace {
            Some(namespace) => format!("namespaces/{namespace}/{directory}/{name}.yaml"),
            None => format!("cluster/{directory}/{name}.yaml"),
        },
    )
}

proptest! {
    /// An index is a map; of one type it has what a search of all paths has.
    #[test]
    fn an_index_is_a_map(steps in proptest::collection::vec((path(), proptest::option::of(0u8..3)), 0..80)) {
        let mut index = Index::new();
        let mut model = BTreeMap::new();
        for (path, value) in steps {
            let id = value.map(|value| BlobId::of(&[value]));
            let (before, expected) = if let Some(id) = id {
                (index.insert(&path, id), model.insert(path.clone(), id))
            } else {
                (index.remove(&path), model.remove(&path))
            };
            prop_assert_eq!(before, expected);
            prop_assert_eq!(index.get(&path), id);
        }
        prop_assert_eq!(index.len(), model.len());
        let all: BTreeMap<_, _> = index.iter().map(|entry| (entry.path(), entry.blob_id)).collect();
        prop_assert_eq!(&all, &model);
        for directory in ["a", "b", "a-b", "a0", "a.b"] {
            let of_type: Vec<_> = index.of_type(directory).map(|entry| entry.path()).collect();
            let expected = model.keys().filter(|path| path.rsplit('/').nth(1) == Some(directory));
            prop_assert_eq!(of_type.len(), expected.count());
            let mut parts = 0;
            for namespace in [None, Some("a"), Some("b"), Some("a-b"), Some("a0"), Some("a.b")] {
                for entry in index.of_type_in(directory, namespace) {
                    prop_assert_eq!(entry.namespace, namespace);
                    prop_assert!(of_type.contains(&entry.path()));
                    parts += 1;
                }
            }
            prop_assert_eq!(parts, of_type.len());
        }
    }
}
