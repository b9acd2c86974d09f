//! Pure: what is known of the whole fleet of nodes, and how sure it is.
