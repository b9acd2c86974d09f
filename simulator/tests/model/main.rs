//! Replays of the recordings under `tests/recordings/` against the cluster
//! model: what a recording says is read out of it, not typed again.

mod harness;
mod recording;

mod api;
mod boot_and_stop;
mod disconnect;
mod drain;
mod full_listener;
mod join;
mod leave_dead;
mod leave_live;
mod leave_long;
mod leave_refused;
mod leave_several;
mod listeners;
mod measured;
mod metrics;
mod mixed_versions;
mod netsplit;
mod properties;
mod rejoin;
mod sync;
mod systree;
mod takeover;
mod term;
mod two_two;
