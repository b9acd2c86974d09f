//! Whole stories, in one process under a paused clock: the real controller, the
//! stand-in Kubernetes and the stand-in VerneMQ, clients that count what they
//! lose, and probers that count what is refused. Each story runs in both ways of
//! asking for a leave.

mod api_faults;
mod bad_answers;
mod bad_input;
mod crash;
mod up_and_down;
mod world;
