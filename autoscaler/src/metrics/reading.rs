//! A number, or the reason why there is none.

/// A reading in units per second.
pub type Rate = Reading;

/// A number, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// The number.
    Known(f64),
    /// There is none.
    Unknown(Why),
}

impl Reading {
    /// The number, where there is one.
    pub fn known(self) -> Option<f64> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Why a number is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Never heard.
    NeverSeen,
    /// Unheard for three intervals.
    Stale,
    /// The span has not passed yet since the node was first heard, or since a gap.
    TooFewSamples,
    /// The span is shorter than two intervals of the source.
    SpanTooShort,
    /// Counters of this name are not kept as rates here ([`super::Keep`]).
    NotKept,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NeverSeen => "never seen",
            Self::Stale => "stale: unheard for three intervals",
            Self::TooFewSamples => "too few samples yet",
            Self::SpanTooShort => "the source is slower than half the window",
            Self::NotKept => "no rates are kept of it",
        })
    }
}
