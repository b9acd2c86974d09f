//! Who scales the cluster in the demo.

/// Who changes the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Practice {
    /// Our controller.
    Vernescale,
    /// An HPA on the StatefulSet.
    Naive,
    /// The same, with a preStop hook that leaves.
    NaivePreStop,
}

impl Practice {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Vernescale => "vernescale",
            Self::Naive => "naive (HPA)",
            Self::NaivePreStop => "naive (HPA and preStop hook)",
        }
    }
}
