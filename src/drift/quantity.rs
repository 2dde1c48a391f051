//! Quantities by value, without floating point.
//!
//! The syntax: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

use std::borrow::Cow;

use serde_json::Value;

/// `mantissa` · 10^`exponent`, the mantissa without zeros at its end; zero is 0 · 10^0. Equal
/// quantities are equal here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::drift) struct Quantity {
    mantissa: i128,
    exponent: i32,
}

/// Thousandths, as a power of ten.
const MILLI: i32 = -3;
/// What the server keeps of any quantity, as a power of ten.
const NANO: i32 = -9;

/// Beyond this the server puts this (`maxAllowed` in
/// <https://github.com/kubernetes/apimachinery/blob/master/pkg/api/resource/quantity.go>).
const LARGEST: i128 = i64::MAX as i128;

impl Quantity {
    /// Reads `500m`, `1Gi`, `1e3`, `0.5`, or a JSON number; `None` for what is no quantity or has
    /// more digits than any that matters.
    pub(in crate::drift) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .bytes()
            .position(|byte| !byte.is_ascii_digit() && byte != b'.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        // Zeros at the end say nothing and would only use up digits.
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa
                .checked_mul(10)?
                .checked_add(i128::from(digit - b'0'))?;
        }
        let (factor, exponent) = scale(suffix)?;
        mantissa = mantissa.checked_mul(factor)?;
        let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Self::reduced(if negative { -mantissa } else { mantissa }, exponent)
    }

    fn reduced(mut mantissa: i128, mut exponent: i32) -> Option<Self> {
        if mantissa == 0 {
            exponent = 0;
        }
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent = exponent.checked_add(1)?;
        }
        Some(Self { mantissa, exponent })
    }

    /// Away from zero to a multiple of 10^`exponent`, as the server rounds.
    fn rounded_up(self, exponent: i32) -> Option<Self> {
        if self.exponent >= exponent {
            return Some(self);
        }
        let unit = 10_i128.checked_pow(u32::try_from(exponent.checked_sub(self.exponent)?).ok()?);
        let mantissa = match unit {
            Some(unit) => self.mantissa / unit + self.mantissa.signum(),
            // Smaller than any unit.
            None => self.mantissa.signum(),
        };
        Self::reduced(mantissa, exponent)
    }

    /// Rounded up to thousandths, if it is finer than these.
    fn in_thousandths(self) -> Option<String> {
        let rounded = (self.exponent < MILLI).then(|| self.rounded_up(MILLI))??;
        let zeros = u32::try_from(rounded.exponent.checked_sub(MILLI)?).ok()?;
        let mantissa = 10_i128.checked_pow(zeros)?.checked_mul(rounded.mantissa)?;
        Some(format!("{mantissa}m"))
    }

    /// No larger than the server keeps.
    fn capped(self) -> Self {
        let largest = Self {
            mantissa: LARGEST,
            exponent: 0,
        };
        let whole = u32::try_from(self.exponent)
            .ok()
            .map(|exponent| 10_i128.checked_pow(exponent)?.checked_mul(self.mantissa));
        match whole {
            Some(None) if self.mantissa > 0 => largest,
            Some(Some(whole)) if whole > LARGEST => largest,
            _ => self,
        }
    }

    /// Whether the server stores the desired quantity `self` of a built-in type as `live`.
    ///
    /// It keeps no more than nine digits after the point, resource lists no more than three
    /// (`SetDefaults_ResourceList` in `pkg/apis/core/v1/defaults.go`), and rounds up.
    pub(in crate::drift) fn is_stored_as(self, live: Self) -> bool {
        let kept = self.capped();
        kept == live
            || [NANO, MILLI]
                .iter()
                .any(|&digits| kept.rounded_up(digits) == Some(live))
    }

    /// The one spelling of its value.
    pub(in crate::drift) fn normal(self) -> Cow<'static, str> {
        format!("{}e{}", self.mantissa, self.exponent).into()
    }
}

/// Rounds a quantity away from zero where it is finer than thousandths, as the server does in lists
/// of resources (`SetDefaults_ResourceList` of
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/v1/defaults.go>); leaves it
/// as it is otherwise, and where it is none.
pub(in crate::drift) fn round_up(value: &mut Value) {
    if let Some(text) = Quantity::of(value).and_then(Quantity::in_thousandths) {
        *value = Value::String(text);
    }
}

/// What a suffix multiplies by: a factor and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let decimal = |exponent| Some((1, exponent));
    let binary = |power: u32| Some((1 << power, 0));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn equal(left: &Value, right: &Value) -> bool {
        let (left, right) = (Quantity::of(left), Quantity::of(right));
        left.is_some() && left == right
    }

    #[test]
    fn spellings_of_one_value_are_equal() {
        for (left, right) in [
            (json!("1000m"), json!("1")),
            (json!("1"), json!(1)),
            (json!("500m"), json!(0.5)),
            (json!("0.5"), json!(".5")),
            (json!("1Gi"), json!("1024Mi")),
            (json!("1000M"), json!("1G")),
            (json!("1e3"), json!("1k")),
            (json!("12E6"), json!("12M")),
            (json!("12E"), json!("12000P")),
            (json!("1e+3"), json!(1000)),
            (json!("1e-3"), json!("1m")),
            (json!("+5"), json!("5")),
            (json!("-1.50"), json!("-1500m")),
            (json!("0"), json!("-0Ki")),
            (json!("0.5Gi"), json!("512Mi")),
            (json!("5."), json!(5)),
            (json!("1Ei"), json!(1_152_921_504_606_846_976_u64)),
            (json!("1000000n"), json!("1m")),
            (json!("1500u"), json!("1.5m")),
            (json!(1e21), json!("1000E")),
            (json!(" 1 "), json!("1")),
        ] {
            assert!(equal(&left, &right), "{left} {right}");
        }
    }

    #[test]
    fn other_values_are_not() {
        for (left, right) in [
            (json!("1"), json!("1m")),
            (json!("1M"), json!("1Mi")),
            (json!("1m"), json!("1M")),
            (json!("1E"), json!("1e")),
            (json!("0.1"), json!("0.10000000000000000001")),
            (json!("1"), json!("-1")),
        ] {
            assert!(!equal(&left, &right), "{left} {right}");
        }
        for none in [
            json!(""),
            json!("."),
            json!("-"),
            json!("1.2.3"),
            json!("1 Gi"),
            json!("1gi"),
            json!("1ee3"),
            json!("Gi"),
            json!(true),
            json!(null),
            json!("1e99999999999"),
            json!("1".repeat(60)),
            json!("٣"),
        ] {
            assert_eq!(Quantity::of(&none), None, "{none}");
        }
    }

    #[test]
    fn the_server_rounds_up_and_caps() {
        for (desired, live, stored) in [
            ("0.0001", "1m", true),
            ("0.0011", "2m", true),
            ("-0.0011", "-2m", true),
            ("100n", "1m", true),
            ("1.0000000001", "1.000000001", true),
            ("1e-2000000000", "1m", true),
            ("10E", "9223372036854775807", true),
            ("1e100", "9223372036854775807", true),
            ("1e2000000000", "9223372036854775807", true),
            ("1m", "0.0001", false),
            ("0.0011", "1m", false),
            ("2", "1", false),
        ] {
            let of = |text: &str| Quantity::parse(text).unwrap();
            assert_eq!(
                of(desired).is_stored_as(of(live)),
                stored,
                "{desired} {live}"
            );
        }
    }

    #[test]
    fn what_is_finer_than_thousandths_is_rounded_up() {
        let after = |value: Value| {
            let mut value = value;
            round_up(&mut value);
            value
        };
        for (from, to) in [
            ("0.0001", "1m"),
            ("100u", "1m"),
            ("1500u", "2m"),
            ("0.0015", "2m"),
            ("1.0001", "1001m"),
            ("1.9999", "2000m"),
            ("1n", "1m"),
            ("1e-4", "1m"),
            ("-0.0001", "-1m"),
            ("-1.0001", "-1001m"),
            ("1e-99999", "1m"),
            ("0.0000001k", "1m"),
            ("0.0001Ki", "103m"),
        ] {
            assert_eq!(after(from.into()), to);
        }
        for same in [
            "0.001", "0.0010", "1m", "2000u", "1", "1Gi", "0", "0.0000", "", "x", "1e3", "-",
        ] {
            assert_eq!(after(same.into()), same);
        }
        assert_eq!(after(json!(0.0001)), "1m");
        assert_eq!(after(json!(2)), 2);
    }

    proptest! {
        #[test]
        fn suffixes_shift_the_value(number in -1_000_000_000_i64..1_000_000_000, zeros in 0_usize..5) {
            let spelled = [
                format!("{number}"),
                format!("{number}000m"),
                format!("{number}000000u"),
                format!("{number}.{}", "0".repeat(zeros)),
                format!("{number}e0"),
                format!("{number}0E-1"),
            ];
            for text in &spelled {
                prop_assert_eq!(Quantity::parse(text), Quantity::parse(&spelled[0]), "{}", text);
            }
            let other = Quantity::parse(&format!("{number}.001"));
            prop_assert_ne!(other, Quantity::parse(&spelled[0]));
            prop_assert_eq!(Quantity::parse(&format!("{number}Mi")), Quantity::parse(&(i128::from(number) << 20).to_string()));
        }

        #[test]
        fn no_text_is_too_much(text in "[-+]?[0-9.]{0,50}[a-zA-Z0-9+-]{0,12}") {
            if let Some(quantity) = Quantity::parse(&text) {
                prop_assert!(quantity.is_stored_as(quantity.capped()));
            }
        }
    }
}
