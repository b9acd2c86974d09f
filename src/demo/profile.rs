//! The load that the demo plays: phases of so many messages a second.

use std::time::Duration;

use serde::Deserialize;

/// Longest load that a demo plays; it is a demonstration, not a soak test.
const TOTAL_MAX: Duration = Duration::from_mins(15);
/// The simulators and the load share one process and two cores with each other.
const RATE_MAX: f64 = 5_000.0;

/// A load over time, and what the cluster is asked to make of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// Played in this order. The last one lasts until the size has settled.
    pub phases: Vec<Phase>,
    /// Messages a second that one node is to carry (`averageValue` of the metric).
    #[serde(default = "default_target")]
    pub target_per_node: u32,
    /// Smallest size.
    #[serde(default = "default_min")]
    pub min_replicas: u32,
    /// Largest size.
    #[serde(default = "default_max")]
    pub max_replicas: u32,
}

/// One stretch of load.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phase {
    /// What the screen calls it.
    pub name: String,
    /// How long it lasts.
    pub seconds: u64,
    /// Messages a second over all publishers.
    pub rate: f64,
    /// Go on to the next phase early, as soon as this many nodes serve.
    #[serde(default)]
    pub until_nodes: Option<u32>,
}

const fn default_target() -> u32 {
    100
}
const fn default_min() -> u32 {
    1
}
const fn default_max() -> u32 {
    5
}

impl Default for Profile {
    /// Idle, flood until five nodes serve, idle until one is left.
    fn default() -> Self {
        let phase = |name: &str, seconds, rate, until_nodes| Phase {
            name: name.to_owned(),
            seconds,
            rate,
            until_nodes,
        };
        Self {
            phases: vec![
                phase("idle", 3, 20.0, None),
                phase("flood", 120, 460.0, Some(5)),
                phase("idle", 180, 20.0, Some(1)),
            ],
            target_per_node: default_target(),
            min_replicas: default_min(),
            max_replicas: default_max(),
        }
    }
}

/// Why a profile cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not readable as a profile.
    #[error("profile {path}: {cause}. A profile is YAML: phases: [{{name: flood, seconds: 30, rate: 400}}]")]
    Syntax {
        /// The file.
        path: String,
        /// What the parser said.
        cause: String,
    },
    /// Readable, and out of bounds.
    #[error("profile {path}: {cause}")]
    Bounds {
        /// The file.
        path: String,
        /// Which bound, and what was found.
        cause: String,
    },
}

impl Profile {
    /// Reads a profile from YAML (or JSON, which is YAML too).
    pub fn parse(path: &str, text: &str) -> Result<Self, ProfileError> {
        let profile: Self = serde_saphyr::from_str(text)
            .map_err(|error| ProfileError::Syntax { path: path.to_owned(), cause: error.to_string() })?;
        match profile.out_of_bounds() {
            Some(cause) => Err(ProfileError::Bounds { path: path.to_owned(), cause }),
            None => Ok(profile),
        }
    }

    fn out_of_bounds(&self) -> Option<String> {
        let seconds: u64 = self.phases.iter().map(|phase| phase.seconds).fold(0, u64::saturating_add);
        if self.phases.is_empty() {
            return Some("there is no phase; name at least one under phases:".to_owned());
        }
        if seconds > TOTAL_MAX.as_secs() {
            return Some(format!("the phases last {seconds} s; {} s is the most", TOTAL_MAX.as_secs()));
        }
        if let Some(phase) = self.phases.iter().find(|phase| !(phase.rate > 0.0 && phase.rate <= RATE_MAX)) {
            return Some(format!(
                "phase {}: rate {} is not above 0 and at most {RATE_MAX}",
                phase.name, phase.rate
            ));
        }
        if self.min_replicas < 1 || self.max_replicas < self.min_replicas || self.max_replicas > 10 {
            return Some(format!(
                "1 <= minReplicas ({}) <= maxReplicas ({}) <= 10 does not hold",
                self.min_replicas, self.max_replicas
            ));
        }
        (self.target_per_node == 0).then(|| "targetPerNode is 0; a node must be allowed some load".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_within_its_own_bounds() {
        assert_eq!(Profile::default().out_of_bounds(), None);
    }

    #[test]
    fn reads_a_file_and_fills_in_what_is_left_out() {
        let profile =
            Profile::parse("p.yaml", "phases:\n- {name: a, seconds: 3, rate: 50}\nmaxReplicas: 3\n").unwrap();
        assert_eq!((profile.max_replicas, profile.min_replicas, profile.target_per_node), (3, 1, 100));
        assert_eq!(profile.phases[0].until_nodes, None);
    }

    #[test]
    fn says_which_bound_is_broken() {
        for (text, part) in [
            ("phases: []", "no phase"),
            ("phases: [{name: a, seconds: 3, rate: 0}]", "rate 0"),
            ("phases: [{name: a, seconds: 3, rate: .nan}]", "rate NaN"),
            ("phases: [{name: a, seconds: 99999, rate: 1}]", "99999 s"),
            ("phases: [{name: a, seconds: 3, rate: 1}]\nminReplicas: 0", "minReplicas (0)"),
            ("phases: [{name: a, seconds: 3, rate: 1}]\ntargetPerNode: 0", "targetPerNode"),
            ("phases: [{name: a, seconds: 3, rate: 1, nodes: 3}]", "nodes"),
        ] {
            let said = Profile::parse("p.yaml", text).unwrap_err().to_string();
            assert!(said.contains(part) && said.starts_with("profile p.yaml"), "{text}: {said}");
        }
    }
}
