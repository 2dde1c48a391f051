use super::known::KNOWN;
use crate::filter::FieldPath;

#[test]
fn every_known_place_is_a_path_and_has_a_source() {
    for known in KNOWN {
        FieldPath::parse(known.path).unwrap();
        assert!(known.see.starts_with("https://"), "{}", known.path);
    }
}
