//! Spans of time as people write them: `500ms`, `30s`, `1h30m`.

use std::time::Duration;

/// Reads one or more of a whole number with `ms`, `s`, `m` or `h`; none where it is written otherwise. A sum that is too
/// large is the largest there is.
pub fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        rest = &rest[letters..];
        millis = millis.saturating_add(number.saturating_mul(unit));
    }
    (!text.is_empty()).then_some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spans_are_read_and_no_others() {
        let ms = |text| parse_span(text).map(|span| span.as_millis());
        assert_eq!(
            (ms("250ms"), ms("1h30m"), ms("90s"), ms("0s")),
            (Some(250), Some(5_400_000), Some(90_000), Some(0))
        );
        for text in ["5", "s", "1.5s", "5d", "-1s", ""] {
            assert_eq!(ms(text), None, "{text}");
        }
        assert!(ms("999999999999999h").is_some());
    }
}
