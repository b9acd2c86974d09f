//! `vernescale crd`: the definition of our resource.

/// Prints the definition of `VerneMQAutoscaler` as YAML.
pub(super) fn print() -> anyhow::Result<()> {
    super::output::print(&crate::api::yaml()?)
}
