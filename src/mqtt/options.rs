//! What a subscription connects with: checked once, before anything is tried.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::{BrokerUrl, FileError, Secret, TlsError, trust_file};
use rustls::ClientConfig;

/// Most filters; each is one more entry in the broker's table.
const FILTERS_MAX: usize = 32;
/// Silence after which a subscription that never brought anything is said to bring nothing: three of VerneMQ's usual
/// intervals.
const MESSAGE_WAIT: Duration = Duration::from_mins(1);

/// What is wrong with the options, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No topic, too many, or one that is not a filter.
    #[error("`{0}` is not a topic filter (at most {FILTERS_MAX}, `#` only at the end)")]
    Filter(String),
    /// `--username` without a name.
    #[error("the user name is empty: leave --username out to connect without one")]
    NoUsername,
    /// `--password-file` without `--username`.
    #[error("MQTT knows no password without a user name: add --username")]
    PasswordAlone,
    /// `--ca-file` with `mqtt://`.
    #[error("--ca-file needs an address that begins with mqtts://")]
    CaWithoutTls,
    /// The password's file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificates, or the TLS library.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Everything that a subscription needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The broker.
    pub broker: BrokerUrl,
    /// MQTT client id.
    pub client_id: String,
    /// User name.
    pub username: Option<String>,
    /// Password, from a file.
    pub password: Option<Secret>,
    /// Topic filters.
    pub filters: Vec<String>,
    /// Set for `mqtts`.
    pub tls: Option<Arc<ClientConfig>>,
    /// Silence after which the subscription is said to bring nothing; where the nodes' own intervals are longer, three of
    /// those.
    pub message_wait: Duration,
}

impl Options {
    /// Anonymous, over plain TCP or with the system's certificates.
    pub fn new(
        broker: BrokerUrl,
        client_id: String,
        filters: Vec<String>,
        ca: Option<&Path>,
    ) -> Result<Self, Error> {
        if filters.is_empty() || filters.len() > FILTERS_MAX {
            return Err(Error::Filter(filters.join(" ")));
        }
        if let Some(bad) = filters.iter().find(|filter| !rumqttc::valid_filter(filter)) {
            return Err(Error::Filter(bad.clone()));
        }
        let tls = match (broker.tls, ca) {
            (true, ca) => Some(trust_file(ca)?),
            (false, Some(_)) => return Err(Error::CaWithoutTls),
            (false, None) => None,
        };
        let (username, password) = (None, None);
        Ok(Self { broker, client_id, username, password, filters, tls, message_wait: MESSAGE_WAIT })
    }

    /// With a user name, and a password where there is one.
    pub fn with_credentials(
        self,
        username: Option<String>,
        password_file: Option<&Path>,
    ) -> Result<Self, Error> {
        if username.as_ref().is_some_and(String::is_empty) {
            return Err(Error::NoUsername);
        }
        if username.is_none() && password_file.is_some() {
            return Err(Error::PasswordAlone);
        }
        let password = password_file.map(Secret::from_file).transpose()?;
        Ok(Self { username, password, ..self })
    }

    /// With another patience before the first message, for a broker that sends less often than VerneMQ does by default.
    #[must_use]
    pub fn with_message_wait(self, message_wait: Duration) -> Self {
        Self { message_wait, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_said_before_it_is_tried() {
        let broker: BrokerUrl = "mqtt://vmq".parse().unwrap();
        let new = |filters: &[&str], ca: Option<&str>| {
            let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
            Options::new(broker.clone(), "id".into(), filters, ca.map(Path::new))
        };
        assert!(matches!(new(&[], None), Err(Error::Filter(_))));
        assert!(matches!(new(&["a/#/b"], None), Err(Error::Filter(_))));
        assert!(matches!(new(&["a"; 33], None), Err(Error::Filter(_))));
        assert!(matches!(new(&["a"], Some("/ca.pem")), Err(Error::CaWithoutTls)));
        let options = new(&["a"], None).unwrap();
        assert!(matches!(
            options.clone().with_credentials(None, Some(Path::new("/p"))),
            Err(Error::PasswordAlone)
        ));
        assert!(matches!(
            options.clone().with_credentials(Some(String::new()), None),
            Err(Error::NoUsername)
        ));
        let error =
            options.clone().with_credentials(Some("u".into()), Some(Path::new("/no/such"))).unwrap_err();
        assert!(error.to_string().contains("/no/such"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\r\n").unwrap();
        let options = options.with_credentials(Some("u".into()), Some(file.path())).unwrap();
        assert_eq!(options.password.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
        let broker: BrokerUrl = "mqtts://vmq".parse().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        let error = Options::new(broker, "id".into(), vec!["a".into()], Some(&path)).unwrap_err();
        assert!(matches!(error, Error::Tls(TlsError::NoCertificate(_))));
    }
}
