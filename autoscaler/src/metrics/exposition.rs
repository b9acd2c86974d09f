//! Reads the Prometheus text format 0.0.4 as VerneMQ's `/metrics` speaks it
//! (`tests/recordings/metrics_n1_after_load.prom`), with a bound on everything.

use std::collections::{BTreeMap, HashMap};

use crate::metrics::Kind;

/// Labels of a series, by name.
pub type Labels = BTreeMap<String, String>;

/// Longest text. A node answers with 41 kB; 4 MB is a hundred times that.
pub const BYTES_MAX: usize = 4 << 20;
/// Most series. A node answers with 526.
pub const SERIES_MAX: usize = 20_000;
/// Most labels of a series. VerneMQ uses three.
pub const LABELS_MAX: usize = 16;
/// Longest name of a metric or label, in bytes.
pub const NAME_MAX: usize = 200;
/// Longest value of a label, in bytes. An Erlang node name has at most 255 characters.
pub const VALUE_MAX: usize = 1_024;

/// One series with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name as it stands there, prefix and all.
    pub name: String,
    /// All labels.
    pub labels: Labels,
    /// Value; may be NaN or infinite, as the format allows.
    pub value: f64,
    /// As its `# TYPE` line says; parts of a histogram are [`Kind::Histogram`].
    pub kind: Kind,
}

/// Why a text is not taken. A text with one bad line is refused as a whole: half a scrape looks like a fall.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`BYTES_MAX`].
    #[error("{0} bytes of metrics, more than the {BYTES_MAX} that are read")]
    TooLong(usize),
    /// More than [`SERIES_MAX`].
    #[error("line {0}: more than the {SERIES_MAX} series that are read")]
    TooManySeries(usize),
    /// Not the text format.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// Reads a whole answer. Timestamps are left out: samples are dated when they arrive.
pub fn parse(text: &str) -> Result<Vec<Series>, Error> {
    if text.len() > BYTES_MAX {
        return Err(Error::TooLong(text.len()));
    }
    let mut kinds: HashMap<&str, Kind> = HashMap::new();
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if let Some(comment) = line.strip_prefix('#') {
            note_type(comment, &mut kinds);
        } else if !line.is_empty() {
            if all.len() == SERIES_MAX {
                return Err(Error::TooManySeries(number));
            }
            let mut series = parse_line(line).map_err(|what| Error::Line { line: number, what })?;
            series.kind = kind(&series.name, &kinds);
            all.push(series);
        }
    }
    Ok(all)
}

fn note_type<'a>(comment: &'a str, kinds: &mut HashMap<&'a str, Kind>) {
    let mut words = comment.split_whitespace();
    if words.next() != Some("TYPE") || kinds.len() == SERIES_MAX {
        return;
    }
    let (Some(name), Some(word)) = (words.next(), words.next()) else { return };
    let kind = match word {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        _ => Kind::Untyped,
    };
    kinds.insert(name, kind);
}

fn kind(name: &str, kinds: &HashMap<&str, Kind>) -> Kind {
    if let Some(kind) = kinds.get(name) {
        return *kind;
    }
    let base = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part));
    match base.and_then(|base| kinds.get(base)) {
        Some(Kind::Histogram) => Kind::Histogram,
        _ => Kind::Untyped,
    }
}

fn parse_line(line: &str) -> Result<Series, &'static str> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace()).ok_or("a name without a value")?;
    let name = &line[..end];
    if !is_name(name, true) {
        return Err("not a metric name");
    }
    let rest = line[end..].trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Labels::new(), rest),
    };
    let mut words = rest.split_whitespace();
    let value = words.next().ok_or("no value")?;
    let value = value.parse().map_err(|_| "the value is not a number")?;
    if words.next().is_some_and(|stamp| stamp.parse::<i64>().is_err()) {
        return Err("the timestamp is not a number");
    }
    if words.next().is_some() {
        return Err("something follows the timestamp");
    }
    Ok(Series { name: name.to_owned(), labels, value, kind: Kind::Untyped })
}

fn parse_labels(mut rest: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        if labels.len() == LABELS_MAX {
            return Err("too many labels");
        }
        let (name, after) = rest.split_once('=').ok_or("a label without a value")?;
        let name = name.trim();
        if !is_name(name, false) {
            return Err("not a label name");
        }
        let after = after.trim_start().strip_prefix('"').ok_or("a label's value without a quote")?;
        let (value, after) = unescape(after)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err("a label twice");
        }
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("neither a comma nor a brace after a label"),
        }
    }
}

/// Reads up to the closing quote.
fn unescape(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        if value.len() > VALUE_MAX {
            return Err("a label's value is too long");
        }
        match character {
            '"' => return Ok((value, &text[index + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("an escape that does not exist"),
            },
            other => value.push(other),
        }
    }
    Err("a label's value without its closing quote")
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`; colons only in names of metrics.
pub fn is_name(name: &str, metric: bool) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (metric && byte == b':');
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(fits)
}

/// Appends a label's value with the escapes that the format asks for.
pub fn escape_into(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
