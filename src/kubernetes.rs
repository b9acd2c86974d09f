//! Everything that is said to the API server, and what its objects say: one file a kind of call, each with a deadline,
//! each guarded, so that a late or repeated one harms nothing. Objects are read afresh for every reconcile: a stale
//! one could lower a size twice.

pub mod acceptors;
pub mod cached;
pub mod call;
pub mod delete;
pub mod event;
pub mod exec;
pub mod facts;
pub mod finalizer;
pub mod intent_record;
pub mod leader_election;
pub mod lease;
pub mod names;
pub mod ownership;
pub mod preflight;
pub mod resource;
pub mod scale;
mod secrets;
pub mod serving_label;
pub mod snapshot;
pub mod status;
pub mod touch;
