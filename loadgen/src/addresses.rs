//! Where the brokers are, as known at the moment.

use std::net::SocketAddr;

use url::Url;

/// One broker to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Name or address; an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        Self { host, port: address.port(), tls: false }
    }
}

/// The brokers that a client may connect to, asked before every connect. The
/// client picks one at random, as a load balancer does.
pub trait Addresses: Send + Sync + 'static {
    /// The brokers as known now; empty is a failed connect.
    fn current(&self) -> Vec<Target>;
}

impl<F: Fn() -> Vec<SocketAddr> + Send + Sync + 'static> Addresses for F {
    fn current(&self) -> Vec<Target> {
        self().into_iter().map(Target::from).collect()
    }
}

/// A list that does not change.
#[derive(Clone, Debug)]
pub struct Targets(pub Vec<Target>);

impl Addresses for Targets {
    fn current(&self) -> Vec<Target> {
        self.0.clone()
    }
}

/// Why a URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL.
    #[error("`{text}` is no URL ({cause}); write mqtt://HOST:PORT or mqtts://HOST:PORT")]
    Syntax {
        /// What was given.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Neither mqtt nor mqtts.
    #[error("`{0}` has another scheme than mqtt:// or mqtts://")]
    Scheme(String),
    /// User and password in a URL end up in process lists and logs.
    #[error("the URL of {0} carries credentials; give them with --username and --password-file")]
    Credentials(String),
    /// A path, query or fragment means nothing here.
    #[error("`{0}` has a path, a query or a fragment; name the topic with --topic")]
    Path(String),
}

/// Reads `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`; the ports default to 1883 and 8883.
pub fn parse_url(text: &str) -> Result<Target, AddressError> {
    let syntax = |cause: String| AddressError::Syntax { text: text.to_owned(), cause };
    let Some((scheme, _)) = text.split_once("://") else {
        return Err(syntax("no scheme".to_owned()));
    };
    let tls = match scheme {
        "mqtt" | "tcp" => false,
        "mqtts" | "ssl" => true,
        _ => return Err(AddressError::Scheme(text.to_owned())),
    };
    let url = Url::parse(text).map_err(|error| syntax(error.to_string()))?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| syntax("no host".to_owned()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials(host.to_owned()));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Path(text.to_owned()));
    }
    let port = url.port().unwrap_or(if tls { 8883 } else { 1883 });
    Ok(Target { host: host.to_owned(), port, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_defaults_and_ipv6_keeps_its_brackets() {
        let shown = |text| parse_url(text).unwrap().to_string();
        assert_eq!(shown("mqtt://broker"), "mqtt://broker:1883");
        assert_eq!(shown("mqtts://broker"), "mqtts://broker:8883");
        assert_eq!(shown("mqtt://[::1]:1884/"), "mqtt://[::1]:1884");
        assert_eq!(Target::from(SocketAddr::from(([127, 0, 0, 1], 7))).to_string(), "mqtt://127.0.0.1:7");
    }

    #[test]
    fn bad_urls_say_what_to_write() {
        for (text, part) in [
            ("localhost:1883", "mqtt://HOST:PORT"),
            ("http://localhost", "another scheme"),
            ("mqtt://localhost:99999", "invalid port"),
            ("mqtt://", "no URL"),
            ("mqtt://h/topic", "--topic"),
        ] {
            let error = parse_url(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_shown() {
        let error = parse_url("mqtt://me:secret@h").unwrap_err();
        assert_eq!(error, AddressError::Credentials("h".to_owned()));
        assert!(!error.to_string().contains("secret"));
    }
}
