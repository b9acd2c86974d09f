//! The documents hold together: every link leads somewhere, every page and recording of `docs/broker/` is
//! reached, and every citation in the code names a heading that is there.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod citations;
mod files;
mod markdown;

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use citations::{Citation, citations};
use files::{below, listed, root, shown};
use markdown::{headings, links, slugs};

/// Recordings that no test reads are for people, who fetch all of them with every clone.
const RECORDINGS_BYTES: u64 = 400_000;

/// Why a link of the page at `page` leads nowhere.
fn broken(page: &Path, link: &str) -> Option<&'static str> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !target.exists() {
        return Some("no such file");
    }
    let anchor = anchor?;
    if target.extension().is_none_or(|extension| extension != "md") {
        return Some("only a page has anchors");
    }
    let there = slugs(&read_to_string(target).unwrap());
    (!there.contains(anchor)).then_some("no such heading")
}

/// Files that a page links, as paths without `..`.
fn linked(page: &Path) -> BTreeSet<PathBuf> {
    let text = read_to_string(page).unwrap();
    let paths = links(&text).into_iter().filter_map(|link| {
        let path = link.split('#').next().unwrap();
        page.parent().unwrap().join(path).canonicalize().ok()
    });
    paths.collect()
}

/// Why a citation names nothing.
fn unfounded(citation: &Citation) -> Option<&'static str> {
    let page = root().join(&citation.path);
    if !page.is_file() {
        return Some("no such file");
    }
    let heading = citation.heading.as_ref()?;
    let there = headings(&read_to_string(page).unwrap());
    (!there.contains(heading)).then_some("no such heading")
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in below(&root(), "md") {
        for link in links(&read_to_string(&page).unwrap()) {
            seen += 1;
            if let Some(why) = broken(&page, &link) {
                wrong.push(format!("{}: {link}: {why}", shown(&page)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 100, "{seen} links were found: the pages are not where they were");
}

#[test]
fn the_index_names_every_page_about_the_broker() {
    let folder = root().join("docs/broker");
    let index = folder.join("README.md");
    let named = linked(&index);
    let forgotten: Vec<_> =
        below(&folder, "md").filter(|page| *page != index && !named.contains(page)).collect();
    assert!(forgotten.is_empty(), "docs/broker/README.md does not link {forgotten:?}");
}

#[test]
fn every_recording_beside_the_pages_is_linked_and_says_where_it_is_from() {
    let folder = root().join("docs/broker");
    let recordings = listed(&folder.join("recordings"));
    assert!(!recordings.is_empty());
    let named: BTreeSet<_> = below(&folder, "md").flat_map(|page| linked(&page)).collect();
    let mut bytes = 0;
    for recording in recordings {
        let name = shown(&recording);
        assert!(named.contains(&recording), "no page links {name}");
        let text = read_to_string(&recording).unwrap();
        bytes += u64::try_from(text.len()).unwrap();
        let origin = text.lines().next().unwrap_or_default();
        let dated = origin.starts_with("# ") && origin.contains("20");
        assert!(dated, "{name}: its first line is not `# VERSION, DATE, what was done`: {origin}");
    }
    assert!(bytes < RECORDINGS_BYTES, "{bytes} bytes: shorten them to the lines that a claim needs");
}

#[test]
fn every_citation_in_the_code_names_a_heading() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for file in below(&root(), "rs").filter(|file| !file.starts_with(root().join("tests/docs"))) {
        for citation in citations(&read_to_string(&file).unwrap()) {
            seen += 1;
            if let Some(why) = unfounded(&citation) {
                wrong.push(format!("{}: {citation}: {why}", shown(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 50, "{seen} citations were found: the code is not where it was");
}
