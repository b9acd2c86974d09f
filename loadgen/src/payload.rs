//! What a message carries: one number, by which it is recognised when it arrives.

use bytes::{BufMut, Bytes, BytesMut};

/// Digits of a number at least; numbers from a million on take more.
const DIGITS: usize = 6;
/// Digits of a number in a payload of a given size.
const SIZED_DIGITS: usize = 10;
/// Largest payload: MQTT's remaining length ends at 256 MiB; a window of 100 such
/// messages would not fit in memory, so we stop at 16 MiB.
const PAYLOAD_MAX: usize = 16 << 20;

/// Why a payload cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text to substitute does not occur.
    #[error("the payload does not contain `{0}`; name a text that it contains with --substitute")]
    TextMissing(String),
    /// The text to substitute is empty.
    #[error("the text to substitute is empty")]
    TextEmpty,
    /// The number would run into a digit that follows.
    #[error("a digit follows `{0}` in the payload, so that the number behind it could not be read back")]
    DigitFollows(String),
    /// The payload is too large.
    #[error("the payload has {0} bytes, at most {PAYLOAD_MAX} are allowed")]
    TooLarge(usize),
}

/// A payload with places for one sequence number.
#[derive(Clone, Debug)]
pub struct Template(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Parts of a file, between which `text.NNNNNN` goes.
    Parts { text: Vec<u8>, parts: Vec<Bytes> },
    /// A number of ten digits, then filler up to the size.
    Sized(usize),
}

impl Template {
    /// `content` in which every `text` becomes `text.NNNNNN`, the same number
    /// everywhere in one message.
    pub fn from_content(content: &[u8], text: &str) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::TextEmpty);
        }
        if content.len() > PAYLOAD_MAX {
            return Err(TemplateError::TooLarge(content.len()));
        }
        let mut parts = Vec::new();
        let mut rest = content;
        while let Some(at) = rest.windows(text.len()).position(|window| window == text.as_bytes()) {
            parts.push(Bytes::copy_from_slice(&rest[..at]));
            rest = &rest[at + text.len()..];
        }
        if parts.is_empty() {
            return Err(TemplateError::TextMissing(text.to_owned()));
        }
        parts.push(Bytes::copy_from_slice(rest));
        if parts[1].first().is_some_and(u8::is_ascii_digit) {
            return Err(TemplateError::DigitFollows(text.to_owned()));
        }
        Ok(Self(Kind::Parts { text: text.as_bytes().to_vec(), parts }))
    }

    /// A payload of `size` bytes: the number in ten digits, then filler.
    pub fn sized(size: usize) -> Result<Self, TemplateError> {
        if size > PAYLOAD_MAX { Err(TemplateError::TooLarge(size)) } else { Ok(Self(Kind::Sized(size))) }
    }

    /// Whether the number can be read back from the payload.
    pub fn carries_number(&self) -> bool {
        !matches!(self.0, Kind::Sized(size) if size < SIZED_DIGITS)
    }

    /// Size in bytes of the payload with a number of up to six digits.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Sized(size) => *size,
            Kind::Parts { text, parts } => {
                let places = parts.len() - 1;
                parts.iter().map(Bytes::len).sum::<usize>() + places * (text.len() + 1 + DIGITS)
            }
        }
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload of message `number`.
    pub fn render(&self, number: u64) -> Bytes {
        match &self.0 {
            Kind::Sized(size) => {
                let digits = format!("{number:0SIZED_DIGITS$}");
                let mut bytes = BytesMut::with_capacity(*size);
                // A short payload keeps the last digits, the ones that change.
                let digits = &digits.as_bytes()[digits.len().saturating_sub(SIZED_DIGITS.min(*size))..];
                bytes.put_slice(digits);
                bytes.resize(*size, b'x');
                bytes.freeze()
            }
            Kind::Parts { text, parts } => {
                let digits = format!("{number:0DIGITS$}");
                // A number of more than six digits takes a few bytes more: room for eight places of them.
                let mut bytes = BytesMut::with_capacity(self.len() + 64);
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        bytes.put_slice(text);
                        bytes.put_u8(b'.');
                        bytes.put_slice(digits.as_bytes());
                    }
                    bytes.put_slice(part);
                }
                bytes.freeze()
            }
        }
    }

    /// The number in `payload`, if it is one of ours.
    pub fn number(&self, payload: &[u8]) -> Option<u64> {
        let digits = match &self.0 {
            Kind::Sized(size) if payload.len() == *size => payload.get(..SIZED_DIGITS)?,
            Kind::Sized(_) => return None,
            Kind::Parts { text, parts } => {
                let rest = payload.strip_prefix(parts[0].as_ref())?;
                let rest = rest.strip_prefix(text.as_slice())?.strip_prefix(b".")?;
                let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
                rest[..end].get(..end.max(DIGITS))?
            }
        };
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_place_gets_the_same_number() {
        let template =
            Template::from_content(b"<id>mario.rossi</id><by>mario.rossi</by>", "mario.rossi").unwrap();
        let payload = template.render(42);
        assert_eq!(payload.as_ref(), b"<id>mario.rossi.000042</id><by>mario.rossi.000042</by>");
        assert_eq!(payload.len(), template.len());
        assert_eq!(template.number(&payload), Some(42));
    }

    #[test]
    fn strangers_are_not_ours() {
        let template = Template::from_content(b"id=mario.rossi;", "mario.rossi").unwrap();
        for payload in ["", "id=mario.rossi;", "id=mario.rossi.12;", "mario.rossi.000012", "id=mario.rossi.x"]
        {
            assert_eq!(template.number(payload.as_bytes()), None, "{payload}");
        }
    }

    #[test]
    fn unusable_payloads_are_refused() {
        let refused = |content: &[u8], text: &str| Template::from_content(content, text).unwrap_err();
        assert_eq!(refused(b"nobody", "mario.rossi"), TemplateError::TextMissing("mario.rossi".to_owned()));
        assert_eq!(
            refused(b"mario.rossi7", "mario.rossi"),
            TemplateError::DigitFollows("mario.rossi".to_owned())
        );
        assert_eq!(refused(b"x", ""), TemplateError::TextEmpty);
    }

    #[test]
    fn small_sizes_are_kept_but_carry_no_number() {
        for size in [0, 3, 9] {
            let template = Template::sized(size).unwrap();
            assert!(template.render(123_456).len() == size && !template.carries_number());
        }
        assert_eq!(Template::sized(3).unwrap().render(123_456).as_ref(), b"456");
    }

    proptest! {
        #[test]
        fn a_number_comes_back(number in 0_u64..1 << 32, size in 10_usize..200, before in "[a-z0-9]{0,20}") {
            let sized = Template::sized(size).unwrap();
            prop_assert_eq!(sized.number(&sized.render(number)), Some(number));
            prop_assert_eq!(sized.render(number).len(), size);
            let parts = Template::from_content(format!("{before}TEXT-after TEXT").as_bytes(), "TEXT").unwrap();
            prop_assert_eq!(parts.number(&parts.render(number)), Some(number));
        }
    }
}
