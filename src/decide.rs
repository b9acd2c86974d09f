//! Pure: which size the load asks for, and why.
