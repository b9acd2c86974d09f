//! The world in: everything that is read, each with a deadline.

pub mod exposition;
