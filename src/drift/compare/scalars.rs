//! Scalars by value: what the server would store alike.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use serde_json::{Number, Value};
use zeroize::Zeroizing;

use super::super::quantity::Quantity;
use super::super::schema::Kind;
use super::duration::nanoseconds;

/// As Go's decoder, which does not look at the bits behind the last byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Whether the server stores the desired `desired` as `live`. `built_in` says that the field is of
/// a built-in type, whose values the server writes anew; a custom resource keeps what was sent.
pub(super) fn equal(kind: Kind, built_in: bool, desired: &Value, live: &Value) -> bool {
    if desired == live {
        return true;
    }
    match (kind, desired, live) {
        (Kind::Quantity, _, _) => same_quantity(built_in, desired, live),
        (Kind::Bytes, Value::String(desired), Value::String(live)) => same_bytes(desired, live),
        (Kind::Time, Value::String(desired), Value::String(live)) => same_time(desired, live),
        (Kind::Duration, Value::String(desired), Value::String(live)) => {
            both(nanoseconds(desired).as_ref(), nanoseconds(live).as_ref())
        }
        (_, Value::Number(desired), Value::Number(live)) => same_number(desired, live),
        _ => false,
    }
}

/// A text that is the same for equal values, and another for others: for finding elements by their
/// keys.
pub(super) fn normal(kind: Kind, value: &Value) -> Cow<'_, str> {
    let quantity = || Quantity::of(value).map(Quantity::normal);
    match (kind, value) {
        (Kind::Quantity, Value::String(_) | Value::Number(_)) => {
            quantity().unwrap_or_else(|| value.to_string().into())
        }
        (_, Value::Number(number)) => number_text(number).into(),
        // Quoted, so that 80 and "80" stay two values.
        (_, Value::String(text)) => format!("\"{text}").into(),
        _ => value.to_string().into(),
    }
}

fn both<T: PartialEq>(left: Option<&T>, right: Option<&T>) -> bool {
    left.is_some() && left == right
}

fn same_quantity(built_in: bool, desired: &Value, live: &Value) -> bool {
    match (Quantity::of(desired), Quantity::of(live)) {
        (Some(desired), Some(live)) => desired == live || (built_in && desired.is_stored_as(live)),
        _ => false,
    }
}

/// The server reads `1.0` as a number and writes it as `1`.
fn same_number(left: &Number, right: &Number) -> bool {
    number_text(left) == number_text(right)
}

/// Whole numbers that a float holds exactly are written as whole numbers; those beyond 64 bits with
/// sign are floats to the server
/// (<https://pkg.go.dev/sigs.k8s.io/json#UnmarshalCaseSensitivePreserveInts>).
fn number_text(number: &Number) -> String {
    let is_float = number.is_f64() || number.as_i64().is_none();
    if let Some(float) = number.as_f64().filter(|_| is_float) {
        let whole = format!("{float:.0}");
        if float.fract() == 0.0 {
            return if whole == "-0" { "0".to_owned() } else { whole };
        }
    }
    number.to_string()
}

/// `metav1.Time` has no fractions of a second:
/// <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#Time>.
fn same_time(desired: &str, live: &str) -> bool {
    match (desired.parse::<Timestamp>(), live.parse::<Timestamp>()) {
        (Ok(desired), Ok(live)) => {
            desired == live
                || (live.subsec_nanosecond() == 0 && desired.as_second() == live.as_second())
        }
        _ => false,
    }
}

fn same_bytes(left: &str, right: &str) -> bool {
    // Line breaks are no part of base64, and Go's decoder skips them.
    let packed = |text: &str| -> Zeroizing<Vec<u8>> {
        Zeroizing::new(
            text.bytes()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect(),
        )
    };
    let (left, right) = (packed(left), packed(right));
    if left == right {
        return true;
    }
    let decoded = |text: &[u8]| BASE64.decode(text).ok().map(Zeroizing::new);
    both(decoded(&left).as_ref(), decoded(&right).as_ref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_equal_by_value() {
        for (kind, desired, live, expected) in [
            (Kind::Text, json!("a"), json!("a"), true),
            (Kind::Text, json!("a"), json!("a\n"), false),
            (Kind::Text, json!(true), json!("true"), false),
            (Kind::Text, json!(80), json!("80"), false),
            (Kind::IntOrString, json!(80), json!(80), true),
            (Kind::IntOrString, json!(80), json!("80"), false),
            (Kind::IntOrString, json!("1000m"), json!("1"), false),
            (Kind::Quantity, json!("1000m"), json!(1), true),
            (Kind::Quantity, json!("1Gi"), json!("1024Mi"), true),
            (Kind::Quantity, json!("a"), json!("b"), false),
            (Kind::Quantity, json!(1), json!(true), false),
            (Kind::Integer, json!(1.0), json!(1), true),
            (Kind::Number, json!(1.0), json!(1), true),
            (Kind::Number, json!(-0.0), json!(0), true),
            (Kind::Number, json!(1.5), json!(1), false),
            (Kind::Any, json!(1.0), json!(1), true),
            (Kind::Any, json!(1e3), json!(1000), true),
            (Kind::Any, json!(i64::MAX), json!(i64::MAX - 1), false),
            (
                Kind::Any,
                json!(u64::MAX),
                json!(1.844_674_407_370_955_2e19),
                true,
            ),
            (Kind::Any, json!("1000m"), json!("1"), false),
            (Kind::Any, json!("60s"), json!("1m0s"), false),
            (Kind::Duration, json!("60s"), json!("1m0s"), true),
            (Kind::Duration, json!("60s"), json!("1m1s"), false),
            (Kind::Duration, json!("a"), json!("b"), false),
            (Kind::Boolean, json!("yes"), json!(true), false),
            (
                Kind::Time,
                json!("2024-01-01T02:00:00+02:00"),
                json!("2024-01-01T00:00:00Z"),
                true,
            ),
            (
                Kind::Time,
                json!("2024-01-01T00:00:00.000Z"),
                json!("2024-01-01T00:00:00Z"),
                true,
            ),
            (
                Kind::Time,
                json!("2024-01-01T00:00:00.7Z"),
                json!("2024-01-01T00:00:00Z"),
                true,
            ),
            (
                Kind::Time,
                json!("2024-01-01T00:00:00Z"),
                json!("2024-01-01T00:00:00.7Z"),
                false,
            ),
            (
                Kind::Time,
                json!("2024-01-01T00:00:01.5Z"),
                json!("2024-01-01T00:00:00Z"),
                false,
            ),
            (Kind::Time, json!("yesterday"), json!("today"), false),
            (Kind::Bytes, json!("aGVs\nbG8=\n"), json!("aGVsbG8="), true),
            (Kind::Bytes, json!("aGVsbG9="), json!("aGVsbG8="), true),
            (Kind::Bytes, json!("aGVsbG8="), json!("aGVsbA=="), false),
            (Kind::Bytes, json!("!"), json!("?"), false),
        ] {
            assert_eq!(
                equal(kind, true, &desired, &live),
                expected,
                "{kind:?} {desired} {live}"
            );
        }
    }

    #[test]
    fn only_built_in_types_round_quantities() {
        let (desired, live) = (json!("0.0001"), json!("1m"));
        assert!(equal(Kind::Quantity, true, &desired, &live));
        assert!(!equal(Kind::Quantity, false, &desired, &live));
    }

    #[test]
    fn the_normal_text_tells_values_apart() {
        for (kind, left, right, same) in [
            (Kind::IntOrString, json!(80), json!("80"), false),
            (Kind::Integer, json!(80), json!(80.0), true),
            (Kind::Quantity, json!("1000m"), json!(1), true),
            (Kind::Text, json!("null"), json!(null), false),
        ] {
            assert_eq!(normal(kind, &left) == normal(kind, &right), same, "{left}");
        }
    }
}
