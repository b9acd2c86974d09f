//! A span of time as people write it: `30s`, `10m`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use net::parse_span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest text that is read. Sixteen characters hold any sensible span and
/// keep the sum far from overflow together with saturating arithmetic.
const LENGTH_MAX: usize = 16;
const PATTERN: &str = "^([0-9]+(ms|s|m|h))+$";

/// A span of time, written with the units `ms`, `s`, `m` and `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A text that is no [`Period`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span of time: write numbers with ms, s, m or h, such as `30s` or `1h30m`")]
pub struct PeriodError(String);

impl Period {
    /// A number of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A number of minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self(Duration::from_secs(minutes * 60))
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PeriodError(text.chars().take(2 * LENGTH_MAX).collect());
        if text.len() > LENGTH_MAX {
            return Err(error());
        }
        parse_span(text).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        let parts = [
            (millis / 3_600_000, "h"),
            (millis / 60_000 % 60, "m"),
            (millis / 1_000 % 60, "s"),
            (millis % 1_000, "ms"),
        ];
        parts.iter().filter(|(n, _)| *n > 0).try_for_each(|(n, unit)| write!(f, "{n}{unit}"))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": LENGTH_MAX })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("30s", 30_000)]
    #[case("10m", 600_000)]
    #[case("1h30m", 5_400_000)]
    #[case("250ms", 250)]
    #[case("1m500ms", 60_500)]
    #[case("0s", 0)]
    fn reads_and_writes_the_same(#[case] text: &str, #[case] millis: u64) {
        let period: Period = text.parse().unwrap();
        assert_eq!(period.0, Duration::from_millis(millis));
        assert_eq!(period.to_string(), text);
    }

    #[rstest]
    #[case("")]
    #[case("30")]
    #[case("s")]
    #[case("-1s")]
    #[case("1.5h")]
    #[case("1d")]
    #[case("11111111111111111s")]
    fn refuses(#[case] text: &str) {
        assert!(text.parse::<Period>().is_err(), "{text}");
    }

    #[test]
    fn saturates_instead_of_overflowing() {
        assert!("999999999999999h".parse::<Period>().is_ok());
    }
}
