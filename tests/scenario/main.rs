//! Whole scenarios, in one process under a paused clock: the real controller, the
//! simulated Kubernetes and the simulated VerneMQ, clients that count what they
//! lose, and probers that count what is refused. Each scenario runs in both ways of
//! asking for a leave.

#[path = "../support/tls.rs"]
mod front;

mod after_done;
mod answers_in_between;
mod api_faults;
mod api_writes;
mod bad_answers;
mod bad_input;
mod bounds;
mod broken_reconciles;
mod broken_top;
mod clocks;
mod cluster;
mod drain;
mod foreign_hand;
mod gives_way;
mod keys;
mod killed;
mod late_shrink;
mod leave_hangs;
mod leave_hook;
mod leave_outcome;
mod listeners;
mod metrics;
mod mixed_versions;
mod new_address;
mod newcomer;
mod one_leave;
mod our_resource;
mod outside_wish;
mod queues_left_over;
mod ready;
mod replaced;
mod routing_probe;
mod steering;
mod still;
mod stuck;
mod tls;
mod told;
mod two_controllers;
mod unread;
mod unreadable;
mod up_and_down;
mod ways_in;
