//! A number as Kubernetes writes it: `60m`, `1500`, `2k`, `1Gi`, `3e2`, `+5`; and as a bare number, 0.85 too, for HPA
//! takes that and people paste its blocks.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest text that is read: more digits than a 64-bit number has.
const LENGTH_MAX: usize = 32;

/// Zero or more.
const PATTERN: &str = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$";

/// More than zero: some digit is another one.
const PATTERN_POSITIVE: &str = r"^\+?([0-9]*[1-9][0-9]*(\.[0-9]*)?|[0-9]*\.[0-9]*[1-9][0-9]*)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$";

/// Largest bare number: what has more digits than a text may have would not be read.
const BARE_MAX: f64 = 1e18;

/// A quantity in the notation of Kubernetes, kept as it was written.
/// Negative ones are refused: no number of this resource has a use for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "NumberOrString", into = "String")]
pub struct Quantity(pub String);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrString {
    /// As many as the API server takes: a negative one is refused by [`Quantity::value`], with its place.
    Int(i64),
    Float(f64),
    Text(String),
}

impl From<NumberOrString> for Quantity {
    fn from(value: NumberOrString) -> Self {
        match value {
            NumberOrString::Int(number) => Self(number.to_string()),
            NumberOrString::Float(number) => Self(number.to_string()),
            NumberOrString::Text(text) => Self(text),
        }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

/// A text that is no [`Quantity`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no quantity: write a number such as `60m` (0.06), `150`, `2k` or `1Gi`")]
pub struct QuantityError(String);

impl Quantity {
    /// The number in plain units: `60m` is 0.06.
    ///
    /// # Errors
    /// Where the text is not in the notation.
    pub fn value(&self) -> Result<f64, QuantityError> {
        let error = || QuantityError(self.0.chars().take(2 * LENGTH_MAX).collect());
        let text = self.0.strip_prefix('+').unwrap_or(&self.0);
        if self.0.len() > LENGTH_MAX || !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Err(error());
        }
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let number: f64 = number.parse().map_err(|_| error())?;
        Ok(number * factor(suffix).ok_or_else(error)?)
    }
}

fn factor(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let power: i32 = digits.parse().ok()?;
            (-99..=99).contains(&power).then(|| 10_f64.powi(power))?
        }
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(PATTERN, false)
    }
}

/// A quantity that is larger than zero.
pub(super) fn positive(_: &mut SchemaGenerator) -> Schema {
    schema(PATTERN_POSITIVE, true)
}

/// A text or any number. `x-kubernetes-int-or-string` would refuse 0.85, and a schema of several types is none that
/// Kubernetes takes: so it names no type, and everything that is neither is kept out one by one.
fn schema(pattern: &str, positive: bool) -> Schema {
    json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "minimum": 0,
        "exclusiveMinimum": positive,
        "maximum": BARE_MAX,
        "pattern": pattern,
        "maxLength": LENGTH_MAX,
        "maxItems": 0,
        "maxProperties": 0,
        "not": { "enum": [true, false, [], {}] },
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("60m", 0.06)]
    #[case("150", 150.0)]
    #[case("1.5", 1.5)]
    #[case(".5", 0.5)]
    #[case("2k", 2_000.0)]
    #[case("1Ki", 1_024.0)]
    #[case("3e2", 300.0)]
    #[case("5E-1", 0.5)]
    #[case("1E", 1e18)]
    #[case("+5", 5.0)]
    #[case("+.5k", 500.0)]
    fn reads(#[case] text: &str, #[case] value: f64) {
        assert!((Quantity(text.into()).value().unwrap() - value).abs() < 1e-9 * value.max(1.0));
    }

    #[rstest]
    #[case("")]
    #[case("m")]
    #[case("-1")]
    #[case("+-1")]
    #[case("++1")]
    #[case("+")]
    #[case("1.2.3")]
    #[case("60 m")]
    #[case("60x")]
    #[case("1e400")]
    #[case("NaN")]
    #[case("inf")]
    fn refuses(#[case] text: &str) {
        assert!(Quantity(text.into()).value().is_err(), "{text}");
    }

    #[test]
    fn takes_a_bare_number() {
        let read: Vec<Quantity> = serde_json::from_str(r#"[60, "60m", 0.85, 100.5, 1e-7, 2.0]"#).unwrap();
        let texts: Vec<_> = read.iter().map(|one| one.0.as_str()).collect();
        assert_eq!(texts, ["60", "60m", "0.85", "100.5", "0.0000001", "2"]);
        assert!((read[2].value().unwrap() - 0.85).abs() < 1e-12);
    }

    #[test]
    fn a_negative_number_is_read_and_refused() {
        let read: Quantity = serde_json::from_str("-5").unwrap();
        assert!(read.value().unwrap_err().to_string().contains("`-5`"));
    }
}
