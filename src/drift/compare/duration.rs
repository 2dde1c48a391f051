//! Durations as Go writes them: `1m30s`.

/// Nanoseconds of a text that Go's `time.ParseDuration` reads
/// (<https://pkg.go.dev/time#ParseDuration>); `None` for any other. Go drops what is shorter than a
/// nanosecond.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = unit_nanoseconds(unit)?;
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(whole.checked_mul(unit)?)?;
        // An hour has fewer than 10^13 nanoseconds: later digits cannot count.
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            let length = u32::try_from(fraction.len()).ok()?;
            let fraction: i128 = fraction.parse().ok()?;
            total = total.checked_add(fraction * unit / 10_i128.pow(length))?;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_duration_are_equal() {
        for (left, right) in [
            ("60s", "1m0s"),
            ("1h", "60m"),
            ("1.5h", "1h30m0s"),
            (".5s", "500ms"),
            ("1500us", "1.5ms"),
            ("1\u{b5}s", "1\u{3bc}s"),
            ("0", "0s"),
            ("-1m", "-60s"),
            ("1m1m", "2m"),
            ("0.0000000001s", "0s"),
            ("5.s", "5s"),
        ] {
            let found = nanoseconds(left);
            assert!(found.is_some(), "{left}");
            assert_eq!(found, nanoseconds(right), "{left} {right}");
        }
        assert_ne!(nanoseconds("1m"), nanoseconds("1s"));
    }

    #[test]
    fn what_go_does_not_read_is_none() {
        for text in [
            "",
            "-",
            "1",
            "1d",
            "s",
            ".s",
            "1m ",
            "1 m",
            "1..5s",
            "9999999999h",
            "٣s",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
