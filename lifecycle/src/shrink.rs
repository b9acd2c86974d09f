//! Shrinking by one: the steps of the highest ordinal on its way out.

mod drain;
mod fence;
mod leave;
mod patch;
mod pod_gone;
mod quiet;
mod reclaim;
mod suspend;
mod verify;
mod volume;
mod watch;

pub(crate) use drain::drain;
pub(crate) use fence::fence;
pub(crate) use leave::leave;
pub(crate) use patch::patch;
pub(crate) use pod_gone::pod_gone;
pub(crate) use quiet::quiet;
pub(crate) use suspend::suspend;
pub(crate) use verify::verify;
pub(crate) use volume::volume;
pub(crate) use watch::over_before_migration;
