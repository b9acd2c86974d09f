//! The world out: every call that changes something, each with a deadline and a
//! guard of its own, so that a late or repeated one harms nothing.

pub mod broker;
pub mod canary;
pub mod deadline;
pub mod event;
pub mod exec;
pub mod hold;
pub mod intent;
pub mod owner;
pub mod remove;
pub mod scale;
pub mod serving;
pub mod sessions;
pub mod status;
pub mod touch;
