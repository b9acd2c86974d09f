//! The world out: every call that changes something, each with a deadline.
