//! Pure: which size the load asks for, and why.

mod history;

pub use history::History;
