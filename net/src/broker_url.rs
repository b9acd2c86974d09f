//! Where a broker takes MQTT clients, as people write it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use url::Url;

/// `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrokerUrl {
    /// Name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port; 1883 or 8883 if not given.
    pub port: u16,
    /// `mqtts`.
    pub tls: bool,
}

/// Why a text is no [`BrokerUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    /// Not a URL.
    #[error(
        "`{text}` is not an address of a broker, and no URL ({cause}): write mqtt://HOST:PORT or mqtts://HOST:PORT"
    )]
    Syntax {
        /// What was given.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Neither mqtt nor mqtts.
    #[error(
        "`{0}` is not an address of a broker, for it has another scheme: write mqtt://HOST:PORT or mqtts://HOST:PORT"
    )]
    Scheme(String),
    /// Arguments are readable by everybody, and so are logs.
    #[error(
        "the address of the broker must not contain a user or a password (arguments are readable by \
         everybody): use --username and --password-file"
    )]
    Credentials,
    /// A path, a query or a fragment means nothing here.
    #[error(
        "`{0}` is not an address of a broker, for it has a path, a query or a fragment: write mqtt://HOST:PORT, and name \
         topics with --topic"
    )]
    Path(String),
}

impl BrokerUrl {
    /// Host and port, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        // The address is shown in errors only once it is known to hold no secret.
        if text.contains('@') {
            return Err(BrokerUrlError::Credentials);
        }
        let syntax = |cause: &str| BrokerUrlError::Syntax { text: text.to_owned(), cause: cause.to_owned() };
        let (scheme, _) = text.split_once("://").ok_or_else(|| syntax("no scheme"))?;
        let tls = match scheme {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" => true,
            _ => return Err(BrokerUrlError::Scheme(text.to_owned())),
        };
        let url = Url::parse(text).map_err(|error| syntax(&error.to_string()))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| syntax("no host"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(BrokerUrlError::Path(text.to_owned()));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port().unwrap_or(if tls { 8_883 } else { 1_883 });
        if port == 0 {
            return Err(syntax("nobody can listen on port 0"));
        }
        Ok(Self { host, port, tls })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl From<SocketAddr> for BrokerUrl {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), tls: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<BrokerUrl, BrokerUrlError> {
        text.parse()
    }

    #[test]
    fn addresses_are_read_and_shown() {
        assert_eq!(
            url("mqtt://vmq:1999").unwrap(),
            BrokerUrl { host: "vmq".into(), port: 1_999, tls: false }
        );
        let shown = |text| url(text).unwrap().to_string();
        assert_eq!(shown("mqtt://broker"), "mqtt://broker:1883");
        assert_eq!(shown("mqtts://broker"), "mqtts://broker:8883");
        assert_eq!(shown("mqtt://[::1]:1884/"), "mqtt://[::1]:1884");
        assert_eq!(url("mqtt://[::1]:1884").unwrap().host, "::1");
        assert_eq!(url("mqtt://[::1]:1884").unwrap().authority(), "[::1]:1884");
        assert_eq!(BrokerUrl::from(SocketAddr::from(([127, 0, 0, 1], 7))).to_string(), "mqtt://127.0.0.1:7");
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        for (text, part) in [
            ("vmq:1883", "mqtt://HOST:PORT"),
            ("localhost:1883", "mqtt://HOST:PORT"),
            ("", "mqtt://HOST:PORT"),
            ("http://vmq", "another scheme"),
            ("mqtt://localhost:99999", "invalid port"),
            ("mqtt://vmq:0", "port 0"),
            ("mqtt://", "no URL"),
            ("mqtt://vmq/topic", "--topic"),
            ("mqtt://vmq?x=1", "a query"),
        ] {
            let error = url(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("write mqtt://HOST:PORT"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        let error = url("mqtt://me:hunter2@vmq:1883").unwrap_err();
        assert_eq!(error, BrokerUrlError::Credentials);
        let text = error.to_string();
        assert!(!text.contains("hunter2") && text.contains("--password-file"), "{text}");
    }
}
