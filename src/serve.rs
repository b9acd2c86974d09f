//! The world out, read-only: metrics, health, readiness.
