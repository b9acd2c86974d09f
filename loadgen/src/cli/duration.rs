//! Times as people write them: `500ms`, `30s`, `1h30m`.

use std::time::Duration;

/// Longest time accepted: 30 days.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Reads one or more of a whole number and `ms`, `s`, `m` or `h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write e.g. 500ms, 30s, 5m or 1h30m");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        total = total.saturating_add(Duration::from_millis(number.saturating_mul(unit_ms)));
    }
    if total.is_zero() || total > LONGEST {
        return Err(format!("`{text}` must be more than nothing and at most 30 days"));
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_times_are_read_and_others_explained() {
        let ms = |text| parse_duration(text).map(|time| time.as_millis());
        assert_eq!((ms("250ms"), ms("1h30m"), ms("90s")), (Ok(250), Ok(5_400_000), Ok(90_000)));
        for text in ["5", "s", "1.5s", "5d", "-1s", "", "0s", "99999999999h"] {
            assert!(ms(text).unwrap_err().contains(text), "{text}");
        }
    }
}
