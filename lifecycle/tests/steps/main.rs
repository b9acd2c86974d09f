//! Each step on one reconcile, or a few: what it does, what it refuses, what it says when it is late.

#![expect(clippy::unwrap_used, reason = "where the fixture is broken, the test must stop")]

mod cancel;
mod deadlines;
mod drain;
mod fixture;
mod gate;
mod grow;
mod leave;
mod place;
mod record;
mod reported;
mod settled;
mod still;
mod witnesses;
