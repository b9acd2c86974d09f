//! What the decision remembers between two looks. Serialized into our status,
//! so that a restart forgets nothing.

use serde::{Deserialize, Serialize};

/// Memory of the decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct History {}
