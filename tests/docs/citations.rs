//! Citations of `docs/broker/` in code: `docs/broker/PAGE.md, "HEADING"`, or a path alone. One may go over
//! the end of a comment's line.

use std::fmt::{Display, Formatter, Result};

/// What a comment refers to.
#[derive(Debug, PartialEq)]
pub(crate) struct Citation {
    /// From the root on.
    pub(crate) path: String,
    /// Where only a part of the page is meant.
    pub(crate) heading: Option<String>,
}

impl Display for Citation {
    fn fmt(&self, to: &mut Formatter<'_>) -> Result {
        match &self.heading {
            None => write!(to, "{}", self.path),
            Some(heading) => write!(to, "{}, \"{heading}\"", self.path),
        }
    }
}

/// All of a source file.
pub(crate) fn citations(source: &str) -> Vec<Citation> {
    let lines = source.lines().map(|line| {
        let line = line.trim();
        ["///", "//!", "//"].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line).trim()
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    let parts = text.split("docs/broker/").skip(1);
    parts.map(citation).collect()
}

fn citation(rest: &str) -> Citation {
    let of_a_path = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let end = rest.find(|c| !of_a_path(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let heading = rest.strip_prefix(", \"").and_then(|rest| rest.split_once('"'));
    Citation {
        path: format!("docs/broker/{}", name.trim_end_matches('.')),
        heading: heading.map(|(heading, _)| heading.to_owned()),
    }
}

#[test]
fn a_citation_may_go_over_a_line() {
    let source = "/// Said so (docs/broker/leave.md, \"What\n/// Done means\").\n// docs/broker/join.md.\n";
    let shown: Vec<_> = citations(source).iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["docs/broker/leave.md, \"What Done means\"", "docs/broker/join.md"]);
}
