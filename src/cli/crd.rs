//! `vernescale crd`: the definition of our resource.

/// Prints the definition of `VerneMQAutoscaler` as YAML.
#[expect(clippy::print_stdout, reason = "what was asked for")]
pub(super) fn print() -> anyhow::Result<()> {
    print!("{}", crate::crd::yaml()?);
    Ok(())
}
