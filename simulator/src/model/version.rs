//! Which broker a node runs. Only what was seen to differ differs; the rest of the model is both.

/// Versions of the broker that were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 2.1.2, of most recordings.
    #[default]
    V2_1_2,
    /// 2.2.0 (`join_sync_2.2.0.txt`, `leave_2.2.0.txt`, `metrics_2.2.0.prom`, `sys_2.2.0.txt`).
    V2_2_0,
}

impl Version {
    /// As `/status.json` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2_1_2 => "2.1.2",
            Self::V2_2_0 => "2.2.0",
        }
    }

    /// The version that the tag of an image such as `vernemq/vernemq:2.2.0-alpine` names; the default
    /// where it names none that was recorded.
    pub fn of_image(image: &str) -> Self {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        if tag.starts_with("2.2") { Self::V2_2_0 } else { Self::V2_1_2 }
    }

    /// `InitSynced` is true from the start, also on a node that has never joined (`join_sync_2.2.0.txt`:
    /// `n3 alone`, `'init': 10`).
    pub(super) const fn init_synced_always(self) -> bool {
        matches!(self, Self::V2_2_0)
    }

    /// What a session of MQTT 5 that subscribes in a netsplit is told: that it may not (`claims_2.2.0.txt`), or that it
    /// has, though nothing is stored (`claims_2.1.2.txt`).
    pub(super) const fn refuses_v5_in_netsplit(self) -> bool {
        matches!(self, Self::V2_2_0)
    }
}
