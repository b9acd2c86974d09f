//! Whole stories, in one process under a paused clock: the real controller, the
//! stand-in Kubernetes and the stand-in VerneMQ, clients that count what they
//! lose, and probers that count what is refused. Each story runs in both ways of
//! asking for a leave.

mod bad_input;
mod bounds;
mod broken_top;
mod gives_way;
mod late_shrink;
mod leave_hangs;
mod leave_hook;
#[allow(dead_code, unused_imports, reason = "its longer stories come back with the next change")]
mod leave_outcome;
#[allow(dead_code, reason = "see leave_outcome")]
mod one_leave;
mod our_resource;
mod steering;
mod two_controllers;
mod up_and_down;
#[allow(dead_code, unused_imports, reason = "the harness offers more than today's stories use")]
mod world;
