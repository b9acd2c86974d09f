//! Return codes of MQTT 3.1.1 and reason codes of MQTT 5.

use std::fmt;

use super::options::Protocol;

/// A code with which a broker refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    protocol: Protocol,
    value: u8,
}

impl Code {
    pub(crate) const fn v4(value: u8) -> Self {
        Self { protocol: Protocol::V4, value }
    }

    pub(crate) const fn v5(value: u8) -> Self {
        Self { protocol: Protocol::V5, value }
    }

    /// The code with its meaning, for people (MQTT 3.1.1 §3.2.2.3, MQTT 5 §2.4).
    pub(crate) fn in_words(self) -> String {
        let meaning = match (self.protocol, self.value) {
            (Protocol::V4, 1) | (Protocol::V5, 0x84) => "protocol version not supported; try --protocol",
            (Protocol::V4, 2) | (Protocol::V5, 0x85) => "client id not allowed",
            (Protocol::V4, 3) | (Protocol::V5, 0x88) => "server unavailable",
            (Protocol::V4, 4) | (Protocol::V5, 0x86) => "bad user name or password",
            (Protocol::V4, 5) | (Protocol::V5, 0x87) => {
                "not authorized: check --username, --password-file and the broker's access rules"
            }
            (Protocol::V5, 0x89) => "server busy",
            (Protocol::V5, 0x8a) => "banned",
            (Protocol::V5, 0x8b) => "server shutting down",
            (Protocol::V5, 0x8e) => "session taken over",
            (Protocol::V5, 0x95) => "packet too large",
            (Protocol::V5, 0x97) => "quota exceeded",
            (Protocol::V5, 0x98) => "administrative action",
            (Protocol::V5, 0x9f) => "connection rate exceeded",
            _ => return format!("code {self}"),
        };
        format!("code {self} ({meaning})")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::V4 => write!(f, "{}", self.value),
            Protocol::V5 => write!(f, "{:#04x}", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_their_version_writes_them() {
        assert_eq!(Code::v4(3).to_string(), "3");
        assert_eq!(Code::v5(0x88).in_words(), "code 0x88 (server unavailable)");
        assert_eq!(Code::v5(0x93).in_words(), "code 0x93");
    }
}
