//! Pure: what is known of the whole fleet of nodes, and how sure it is.
//!
//! Samples go in one by one ([`Fleet::ingest`]), a [`FleetView`] comes out. Whatever is not known is
//! [`Reading::Unknown`] with its reason; it is never a zero and never the last value.

pub mod exposition;
mod fold;
mod known;
mod reading;
mod sample;
mod track;
mod view;
mod window;

pub use fold::{Fleet, Key, Shown};
pub use known::{Kind, is_known, kind_of, known_families, sys_name};
pub use reading::{Rate, Reading, Why};
pub use sample::{Keep, Refused, Sample, Settings};
pub use track::{Source, UNLEARNED_PATIENCE};
pub use view::{FleetView, Metric, NodeView, OtherSource};
pub use window::{Monotone, Span, Step, Window};
