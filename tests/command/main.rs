//! The binary as people and supervisors meet it: wrong words, missing files, full disks, signals.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod defaults;
mod files;
mod process;
mod refusals;
mod signals;
