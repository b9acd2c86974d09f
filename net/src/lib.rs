//! What every process of ours needs at its edge, once: the clock.

mod clock;

pub use clock::Clock;
