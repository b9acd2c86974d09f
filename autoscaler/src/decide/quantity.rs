//! Numbers as Kubernetes writes them.

/// With three digits behind the point at most, and the largest suffix that leaves a whole number. 0.06 is `60m`, 2.5 is
/// `2500m`, 3 is `3`, 1000 is `1k`.
pub(super) fn print(value: f64) -> String {
    let milli = (value * 1_000.0).round();
    let mut suffixes = [("G", 1e12), ("M", 1e9), ("k", 1e6), ("", 1e3)].into_iter();
    let whole = |(_, size): &(&str, f64)| milli != 0.0 && milli % size == 0.0;
    match suffixes.find(whole) {
        Some((suffix, size)) => format!("{:.0}{suffix}", milli / size),
        None if milli == 0.0 => "0".into(),
        None => format!("{milli:.0}m"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.06, "60m")]
    #[case(0.012, "12m")]
    #[case(3.0, "3")]
    #[case(2.5, "2500m")]
    #[case(0.0, "0")]
    #[case(1_000.0, "1k")]
    #[case(1_500.0, "1500")]
    #[case(2_000_000.0, "2M")]
    fn prints_as_kubectl_does(#[case] value: f64, #[case] text: &str) {
        assert_eq!(print(value), text);
    }
}
