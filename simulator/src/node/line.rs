//! The management command line, as both its spellings carry it:
//! `/api/v1/cluster/leave?node=N&--timeout=30` and `vmq-admin cluster leave node=N -t 30`.

use http::Uri;

/// A flag as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    /// `--timeout`.
    Long(String),
    /// `-t`; over HTTP there are none (`http_api.txt`).
    Short(char),
}

/// Words, `key=value` arguments and flags, not yet understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) words: Vec<String>,
    pub(crate) arguments: Vec<(String, String)>,
    pub(crate) flags: Vec<(Flag, Option<String>)>,
}

impl Line {
    /// Reads the path below `/api/v1/` and the query of a request. None where
    /// the query holds something that is neither `key=value` nor a long flag:
    /// the broker answers 400.
    pub(crate) fn from_uri(uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix("/api/v1/")?;
        let words = path.split('/').filter(|word| !word.is_empty()).map(decode).collect();
        let mut line = Self { words, ..Self::default() };
        for part in uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (decode(key), Some(decode(value))),
                None => (decode(part), None),
            };
            if let Some(name) = key.strip_prefix("--") {
                line.flags.push((Flag::Long(name.into()), value));
            } else if key.starts_with('-') {
                return None;
            } else {
                line.arguments.push((key, value?));
            }
        }
        Some(line)
    }

    /// Reads the arguments of `vmq-admin`; its own name in front may be there or
    /// not. A bare argument right behind a flag is the flag's value, anywhere
    /// else it is a word.
    pub(crate) fn from_argv(argv: &[String]) -> Self {
        let mut line = Self::default();
        let skip = usize::from(argv.first().is_some_and(|first| first.ends_with("vmq-admin")));
        let mut arguments = argv[skip..].iter().peekable();
        while let Some(argument) = arguments.next() {
            if let Some((flag, mut value)) = flag_of(argument) {
                if value.is_none() {
                    value = arguments.next_if(|next| !next.starts_with('-') && !next.contains('=')).cloned();
                }
                line.flags.push((flag, value));
            } else if let Some((key, value)) = argument.split_once('=') {
                line.arguments.push((key.into(), value.into()));
            } else {
                line.words.push(argument.clone());
            }
        }
        line
    }
}

fn flag_of(argument: &str) -> Option<(Flag, Option<String>)> {
    if let Some(long) = argument.strip_prefix("--") {
        return Some(match long.split_once('=') {
            Some((name, value)) => (Flag::Long(name.into()), Some(value.into())),
            None => (Flag::Long(long.into()), None),
        });
    }
    let mut rest = argument.strip_prefix('-')?.chars();
    let flag = Flag::Short(rest.next()?);
    let value = rest.as_str().trim_start_matches('=');
    Some((flag, (!value.is_empty()).then(|| value.to_owned())))
}

/// `%41` and `+` as in a query; a bad escape stays as it is.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
                    Some(value) => {
                        out.push(value);
                        rest = &tail[2..];
                    }
                    None => out.push(b'%'),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Option<Line> {
        Line::from_uri(&text.parse().unwrap())
    }

    fn argv(text: &str) -> Line {
        let all: Vec<String> = text.split(' ').map(Into::into).collect();
        Line::from_argv(&all)
    }

    #[test]
    fn both_spellings_of_a_leave_say_the_same() {
        let http = uri("/api/v1/cluster/leave?node=V%40h&--kill_sessions&--timeout=30").unwrap();
        assert_eq!(http.words, ["cluster", "leave"]);
        assert_eq!(http.arguments, [("node".into(), "V@h".into())]);
        assert_eq!(
            http.flags,
            [(Flag::Long("kill_sessions".into()), None), (Flag::Long("timeout".into()), Some("30".into()))]
        );
        let admin = argv("vmq-admin cluster leave node=V@h -k -i 1 -t 30");
        assert_eq!((admin.words, admin.arguments), (http.words, http.arguments));
        assert_eq!(
            admin.flags,
            [
                (Flag::Short('k'), None),
                (Flag::Short('i'), Some("1".into())),
                (Flag::Short('t'), Some("30".into()))
            ]
        );
    }

    #[test]
    fn short_flags_and_bare_words_are_refused_in_a_query() {
        assert_eq!(uri("/api/v1/cluster/leave?node=N&-k"), None);
        assert_eq!(uri("/api/v1/cluster/leave?node"), None);
        assert_eq!(uri("/health"), None);
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(decode("a%2Fb%zz%4"), "a/b%zz%4");
        assert_eq!(decode("%E2%82%AC+x"), "€ x");
    }
}
