//! Quantities of resources, which the server rounds up to thousandths
//! (`SetDefaults_ResourceList` of
//! <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/v1/defaults.go>).

use serde_json::Value;

/// The suffix of thousandths.
const MILLI: i32 = -3;

/// Rounds a quantity away from zero where it is finer than thousandths; leaves it as it is
/// otherwise, and where it is none.
pub(super) fn round_up(value: &mut Value) {
    let rounded = match &*value {
        Value::String(text) => rounded(text),
        Value::Number(number) if !number.is_i64() => rounded(&number.to_string()),
        _ => None,
    };
    if let Some(rounded) = rounded {
        *value = Value::String(rounded);
    }
}

fn rounded(text: &str) -> Option<String> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => ("-", text),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let mut exponent = match suffix {
        "" => 0,
        "n" => -9,
        "u" => -6,
        "m" => MILLI,
        // Thousands and more of a fraction; binary ones are never that fine in practice.
        _ => suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let digits = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let finer = u32::try_from(MILLI.checked_sub(exponent)?)
        .ok()
        .filter(|finer| *finer > 0)?;
    // Finer than any number of ours: what is not zero is one thousandth.
    let step = 10u128.checked_pow(finer);
    let (kept, lost) = step.map_or((0, digits), |step| (digits / step, digits % step));
    (lost > 0).then(|| format!("{sign}{}m", kept + 1))
}

#[cfg(test)]
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
        ("1n", "1m"),
        ("1e-4", "1m"),
        ("-0.0001", "-1m"),
        ("1e-99999", "1m"),
    ] {
        assert_eq!(after(from.into()), to);
    }
    for same in [
        "0.001", "0.0010", "1m", "2000u", "1", "1Gi", "0", "0.0000", "", "x", "1e3", "-",
    ] {
        assert_eq!(after(same.into()), same);
    }
    assert_eq!(after(serde_json::json!(0.0001)), "1m");
    assert_eq!(after(serde_json::json!(2)), 2);
}
