//! Fuzz targets: what people and servers write is read or refused, and never ends the program.
//!
//! A target is a law about any text. Two tests run it: one on the seed corpus (`__fuzz__`, one
//! folder per test) and on raw bytes, one on words of the target's language in any order, which
//! reach further in a short time. A plain `cargo test` is a smoke of seconds; README says how to
//! run one for hours. A failure prints the input and its seed (`BOLERO_RANDOM_SEED` repeats it).

mod field_path;
mod rule_file;
mod yaml;

use bolero::{ValueGenerator, produce};

/// Inputs of one test in a plain `cargo test`; `BOLERO_RANDOM_ITERATIONS` asks for more.
const SMOKE: usize = 20_000;

/// Texts of up to `longest` words. Longer ones are hardly ever sound.
fn sentence(
    words: &'static [&'static str],
    longest: usize,
) -> impl ValueGenerator<Output = String> {
    let choices = produce::<Vec<u8>>().with().len(0..=longest);
    choices.map_gen(move |choices| {
        let word = |&choice: &u8| words[usize::from(choice) % words.len()];
        choices.iter().map(word).collect()
    })
}

/// A corpus that lies in a folder of another name than its test's is read by nobody.
#[test]
fn every_corpus_has_its_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/__fuzz__");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("the corpora")
        .map(|entry| entry.expect("a corpus").file_name())
        .map(|name| name.into_string().expect("a plain name"))
        .collect();
    found.sort();
    assert_eq!(
        found,
        ["field_path__bytes", "rule_file__bytes", "yaml__bytes"]
    );
    for name in found {
        let seeds = std::fs::read_dir(format!("{folder}/{name}/corpus")).expect("its seeds");
        assert!(seeds.count() >= 5, "{name}");
    }
}
