//! Which crate may use which, which module of the product which, and that no file calls back the file that calls it:
//! what ARCHITECTURE's code map promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the source has failed")]

mod crates;
mod files;
mod source;
