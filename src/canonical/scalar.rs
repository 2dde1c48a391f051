//! Plain text to a JSON scalar, as `sigs.k8s.io/yaml` resolves it.
//!
//! It follows the resolver of Go's yaml v2, which kubectl reads manifests with:
//! <https://github.com/yaml/go-yaml/blob/v2.4.3/resolve.go>. Oddities are kept where they are
//! observable, for a manifest means what kubectl sends.

use serde_json::{Number, Value};

/// What a plain scalar stands for.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    /// `.inf`, `-.inf` or `.nan`, in this spelling.
    NotFinite(&'static str),
    /// The text itself.
    Text,
}

/// Resolves untagged plain `text`.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(&first) = text.as_bytes().first() else {
        return Scalar::Null;
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => match text {
            ".nan" | ".NaN" | ".NAN" => Scalar::NotFinite(".nan"),
            ".inf" | ".Inf" | ".INF" => Scalar::NotFinite(".inf"),
            _ => float(text),
        },
        b'+' | b'-' | b'0'..=b'9' => match text {
            "+.inf" | "+.Inf" | "+.INF" => Scalar::NotFinite(".inf"),
            "-.inf" | "-.Inf" | "-.INF" => Scalar::NotFinite("-.inf"),
            _ if text.contains('_') => number(&text.replace('_', "")),
            _ => number(text),
        },
        _ => Scalar::Text,
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text,
    }
}

/// Resolves what starts with a digit or a sign; underscores are gone.
fn number(text: &str) -> Scalar {
    if let Some(number) = integer(text) {
        return Scalar::Number(number);
    }
    // Digits that are no octal number, `08`, are a decimal float to Go and an integer in its JSON.
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = text.parse::<i64>()
    {
        return Scalar::Number(number.into());
    }
    if let found @ Scalar::Number(_) = float(text) {
        return found;
    }
    // `0b-1` is -1: Go tries the digits on their own once more, and they may have a sign.
    match text
        .strip_prefix("0b")
        .map(|digits| i64::from_str_radix(digits, 2))
    {
        Some(Ok(number)) => Scalar::Number(number.into()),
        _ => Scalar::Text,
    }
}

/// Reads an integer as Go's `ParseInt` and `ParseUint` do with base 0: `0x`, `0o`, `0b`, and `0`
/// before more digits for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust's parser takes a sign of its own.
    if !digits.as_bytes().first()?.is_ascii_alphanumeric() {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    if negative {
        0i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else if signed {
        i64::try_from(magnitude).ok().map(Number::from)
    } else {
        Some(magnitude.into())
    }
}

/// Reads `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`; what is too large is text.
fn float(text: &str) -> Scalar {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let good = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    } && exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let number = good
        .then(|| text.parse().ok())
        .flatten()
        .and_then(Number::from_f64);
    number.map_or(Scalar::Text, Scalar::Number)
}

/// Returns the key that a JSON object has for `value`; `None` where it can have none.
///
/// <https://github.com/kubernetes-sigs/yaml/blob/v1.6.0/yaml.go>: integers in decimal, floats in
/// Go's shortest form for 32 bits, booleans as words.
pub(super) fn key(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Some(integer.to_string()),
            (None, Some(float)) if number.is_f64() => Some(go_float(float)),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Go's `strconv.FormatFloat(float, 'g', -1, 32)`, infinities spelled as in YAML.
fn go_float(float: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "Go rounds to 32 bits here")]
    let float = float as f32;
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..6).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{mantissa}e{sign}{:02}", exponent.abs())
            }
            _ => float.to_string(),
        },
        None => scientific,
    }
}
