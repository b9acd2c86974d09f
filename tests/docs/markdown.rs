//! As much of Markdown as links and headings need, with the anchors that GitHub and GitLab give to headings.

use std::collections::{BTreeMap, BTreeSet};

/// The lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The text of every heading, as it is written.
pub(crate) fn headings(text: &str) -> Vec<String> {
    let lines = prose(text).filter(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim().to_owned()).collect()
}

/// A heading's anchor: small letters, a hyphen for a space, no other punctuation.
fn slug(heading: &str) -> String {
    let small = heading.to_lowercase();
    let kept = small.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The anchors of a page; a heading that is there again has `-1`, `-2` and so on.
pub(crate) fn slugs(text: &str) -> BTreeSet<String> {
    let mut times = BTreeMap::<String, usize>::new();
    let headings = headings(text).into_iter().map(|heading| {
        let slug = slug(&heading);
        let before = times.entry(slug.clone()).and_modify(|times| *times += 1).or_default();
        if *before == 0 { slug } else { format!("{slug}-{before}") }
    });
    headings.collect()
}

/// Targets of all links, `[text](target)` and `[label]: target`, outside of code.
pub(crate) fn links(text: &str) -> Vec<String> {
    let lines: Vec<_> = prose(text).collect();
    let paragraphs = lines.split(|line| line.trim().is_empty());
    paragraphs.flat_map(|paragraph| links_of(&paragraph.join("\n"))).collect()
}

fn links_of(paragraph: &str) -> Vec<String> {
    // Every other piece between backticks is code.
    let plain: String = paragraph.split('`').step_by(2).collect();
    let inline = plain.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let mut targets: Vec<_> = inline.map(|(target, _)| target.trim().to_owned()).collect();
    for line in plain.lines().filter(|line| line.starts_with('[')) {
        if let Some((_, target)) = line.split_once("]:") {
            targets.push(target.trim().to_owned());
        }
    }
    targets
}

#[test]
fn anchors_are_those_of_the_web() {
    let text = "# $SYS, /metrics, status.json\n## The $SYS tree\n## Cut at 60 s\n```\n# no heading\n```\n## vmq-admin\n## Cut at 60 s\n";
    let expected = ["sys-metrics-statusjson", "the-sys-tree", "cut-at-60-s", "cut-at-60-s-1", "vmq-admin"];
    assert_eq!(slugs(text), expected.map(str::to_owned).into());
    assert_eq!(headings(text)[1], "The $SYS tree");
}

#[test]
fn links_are_found_but_in_code() {
    let text =
        "See [a](x.md#y) and [`b`](z.rs), not `[c](no.md)`.\n\n```\n[d](no.md)\n```\n[e]: https://e.org\n";
    assert_eq!(links(text), ["x.md#y", "z.rs", "https://e.org"]);
}
