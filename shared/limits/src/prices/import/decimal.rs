//! Decimal texts with exponents, exactly.

/// `text` times 10^`scale`, to the nearest whole number, halves up; more than zero never becomes zero. None: not a number, negative, or too
/// large.
///
/// Lists hold what their makers' floats came out as: `2.0000000000000002e-07` is 0.2 per million, not a 0.20000001.
pub(super) fn scaled(text: &str, scale: i32) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || digits.len() > 40 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    // Where the point of the product stands, counted from the first digit.
    let length = |text: &str| i64::try_from(text.len()).ok();
    let point = length(digits)? - length(fraction)? + i64::from(exponent) + i64::from(scale);
    if point > 20 {
        return None;
    }
    let point = usize::try_from(point.max(-1) + 1).ok()?;
    // With a zero in front, so that a point before the first digit can be cut as well.
    let padded = format!("0{digits:0<20}");
    let (kept, dropped) = padded.split_at_checked(point)?;
    let kept: u64 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let up = u64::from(dropped.bytes().next().is_some_and(|digit| digit >= b'5'));
    Some(kept.checked_add(up)?.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_scaled_exactly() {
        for (text, scale, expected) in [
            ("3e-07", 12, Some(300_000)),
            ("3e-7", 12, Some(300_000)),
            ("1.5e-7", 12, Some(150_000)),
            ("0.00003", 12, Some(30_000_000)),
            ("5.46875e-07", 12, Some(546_875)),
            ("2.0000000000000002e-07", 12, Some(200_000)),
            ("8.999999999999999e-07", 12, Some(900_000)),
            ("1e-13", 12, Some(1)),
            ("1e-300", 12, Some(1)),
            ("0", 12, Some(0)),
            ("0.0", 12, Some(0)),
            ("0e-5", 12, Some(0)),
            ("2.5", 6, Some(2_500_000)),
            ("15", 6, Some(15_000_000)),
            ("0.075", 6, Some(75_000)),
            ("1e3", 6, Some(1_000_000_000)),
            ("0.0000005", 6, Some(1)),
            ("0.0000014", 6, Some(1)),
            ("0.0000015", 6, Some(2)),
            ("128000", 0, Some(128_000)),
            ("128000.0", 0, Some(128_000)),
            ("18446744073709551615", 0, Some(u64::MAX)),
            ("18446744073709551616", 0, None),
            ("1e20", 6, None),
            ("1e999999999999", 6, None),
            ("-1", 6, None),
            ("NaN", 6, None),
            ("", 6, None),
            (".5", 6, None),
            ("1.2.3", 6, None),
        ] {
            assert_eq!(scaled(text, scale), expected, "{text} x 10^{scale}");
        }
    }
}
