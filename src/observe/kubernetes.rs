//! Objects of Kubernetes, as facts.
