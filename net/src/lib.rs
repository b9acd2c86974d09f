//! What every process of ours needs at its edge, once.

mod clock;
mod secret;

pub use clock::Clock;
pub use secret::{Login, Secret};
