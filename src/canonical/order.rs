//! The order in which a document's keys stand.

use saphyr_parser::{Event, Parser};

use super::load;
use super::read::{ReadError, Reason};

/// A collection that is not complete.
enum Frame {
    List,
    /// Its place in the result, and whether a key comes next.
    Map(usize, bool),
}

/// Returns the keys of each mapping in the order of the text; the mappings in the order in which
/// they begin.
///
/// For formats where the order counts, which [`read()`](super::read()) does not keep. `text` is one
/// document that `read()` took, in YAML, without anchors and merge keys: those are an error.
pub fn key_order(text: &[u8]) -> Result<Vec<Vec<String>>, ReadError> {
    let text = std::str::from_utf8(text).map_err(|_| ReadError {
        line: 1,
        column: 1,
        reason: Reason::Encoding,
    })?;
    let mut order: Vec<Vec<String>> = Vec::new();
    let mut stack: Vec<Frame> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| load::syntax(&error))?;
        let fail = |reason| load::fail(span.start, reason);
        match event {
            Event::Alias(_) => return Err(fail(Reason::Alias)),
            Event::SequenceEnd | Event::MappingEnd => {
                stack.pop();
            }
            Event::Scalar(text, style, _, tag) => {
                if let Some(Frame::Map(place, wants_key)) = stack.last_mut() {
                    if *wants_key {
                        let key = load::key(text.into_owned(), style, tag.as_deref());
                        order[*place].push(key.map_err(fail)?);
                    }
                    *wants_key = !*wants_key;
                }
            }
            Event::SequenceStart(..) => {
                value_begins(&mut stack);
                stack.push(Frame::List);
            }
            Event::MappingStart(..) => {
                value_begins(&mut stack);
                stack.push(Frame::Map(order.len(), true));
                order.push(Vec::new());
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd => {}
        }
    }
    Ok(order)
}

/// A collection is the value of the key before it: a key follows.
fn value_begins(stack: &mut [Frame]) {
    if let Some(Frame::Map(_, wants_key)) = stack.last_mut() {
        *wants_key = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::key_order;
    use crate::canonical::{emit, strategy};

    #[test]
    fn keys_come_as_they_stand() {
        let text = "z: 1\na:\n- {d: [], c: {}}\n- x\n- w: |\n    no: key\n\"yes\": {b: [[{q: 1}]]}\ntrue: 2\n? e\n: f\n";
        let expected: [&[&str]; 6] = [
            &["z", "a", "yes", "true", "e"],
            &["d", "c"],
            &[],
            &["w"],
            &["b"],
            &["q"],
        ];
        assert_eq!(key_order(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn anchors_and_merges_have_no_order() {
        for text in ["a: &x {b: 1}\nc: *x\n", "a:\n  <<: {b: 1}\n"] {
            assert!(key_order(text.as_bytes()).is_err(), "{text}");
        }
    }

    fn sorted(value: &Value, order: &mut Vec<Vec<String>>) {
        match value {
            Value::Object(map) => {
                order.push(map.keys().cloned().collect());
                map.values().for_each(|value| sorted(value, order));
            }
            Value::Array(items) => items.iter().for_each(|item| sorted(item, order)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn canonical_files_are_sorted(value in strategy::value()) {
            let mut text = Vec::new();
            emit(&value, &mut text);
            let mut expected = Vec::new();
            sorted(&value, &mut expected);
            prop_assert_eq!(key_order(&text).unwrap(), expected);
        }
    }
}
