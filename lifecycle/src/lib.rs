//! The life of a VerneMQ node as a member of its cluster: joining, leaving, and
//! what may be done when. Pure: no I/O, no clock, no randomness. `step` is a
//! function of `(state, facts, now)`, so that the controller, the pod hooks,
//! the simulation and the tests run the same code.

mod cancel;
mod dead;
mod effect;
mod facts;
mod gate;
mod grow;
mod holdings;
mod idle;
mod intent;
mod isolated;
mod limits;
mod listeners;
mod members;
mod output;
mod pace;
mod settled;
mod shrink;
mod step;
mod still;
mod time;
mod transition;
mod unroutable;
mod verify;
mod waits;

pub use effect::{Condition, Effect, Severity, Wait};
pub use facts::{
    Call, Calls, Claim, Counts, Facts, Groups, Listener, ListenerState, Node, NodeName, Objects, Observed,
    Ordinal, Pod, Reach, Stay, Target, Veto,
};
pub use intent::{Intent, Kind, Outcome, Process, Progress, Step};
pub use limits::Limits;
pub use output::{Finished, Output};
pub use settled::Unsettled;
pub use step::step;
pub use time::Time;
pub use verify::said_done;
