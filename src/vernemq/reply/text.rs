//! What `vmq-admin` prints for people: tables with ANSI bold in their heads
//! even when piped (`apikey_create.txt`), progress lines, a last line.

use serde_json::{Map, Value};

use crate::vernemq::reply::{Reply, Unusable};

/// Without terminal escapes (`ESC [ … letter`) and carriage returns.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                // `ESC [` parameters final-byte; a lone ESC swallows one character.
                if rest.next() == Some('[') {
                    for c in rest.by_ref() {
                        if ('\u{40}'..='\u{7e}').contains(&c) {
                            break;
                        }
                    }
                }
            }
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

/// The last line that says something: the one by which a leave is judged.
pub fn last_line(text: &str) -> Option<String> {
    plain(text).lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// Reads a printed table: rules of `+---+`, a head, then rows of `| … |`.
/// Cells are text; `null` stays the word.
pub fn table_of_text(text: &str) -> Result<Reply, Unusable> {
    let text = plain(text);
    let mut rows = text.lines().map(str::trim).filter(|line| line.starts_with('|')).map(cells);
    let Some(head) = rows.next() else {
        return Err(Unusable::Malformed(format!("no table: `{}`", text.trim())));
    };
    rows.map(|row| {
        if row.len() != head.len() {
            return Err(Unusable::Malformed("a row of another width than the head".into()));
        }
        Ok(head.iter().cloned().zip(row.into_iter().map(Value::String)).collect::<Map<_, _>>())
    })
    .collect::<Result<_, _>>()
    .map(Reply::Table)
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}
