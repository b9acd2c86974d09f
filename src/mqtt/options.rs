//! Where to connect to and as whom: checked once, before anything is tried.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Most filters; each is one more entry in the broker's table.
const FILTERS_MAX: usize = 32;
/// Longest password that MQTT 3.1.1 can carry, in bytes.
const PASSWORD_MAX: usize = 65_535;
/// Largest file of certificates that is read; all that browsers trust are a quarter of a megabyte.
const CERTIFICATES_MAX: usize = 4 << 20;
/// Silence after which a subscription that never brought anything is said to bring nothing: three of VerneMQ's usual
/// intervals.
const MESSAGE_WAIT: Duration = Duration::from_mins(1);

/// What is wrong with the options, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an address.
    #[error("`{0}` is not an address of a broker: write mqtt://HOST:PORT or mqtts://HOST:PORT")]
    Address(String),
    /// The address has a user name or password in it.
    #[error(
        "the address of the broker must not contain a user or a password (arguments are readable by \
         everybody): use --username and --password-file"
    )]
    Credentials,
    /// A file cannot be read.
    #[error("cannot read {what} from {}", path.display())]
    File {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file of the password has more in it.
    #[error("{} has several lines: write the password into it, and nothing else", .0.display())]
    PasswordLines(PathBuf),
    /// The password is empty or too long.
    #[error(
        "the password in {} has {length} bytes: write one line of 1 to {PASSWORD_MAX} bytes into it",
        .path.display()
    )]
    PasswordLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
    /// No certificate.
    #[error("there is no usable certificate in {0}: --ca-file wants that of the CA, as PEM")]
    Certificates(String),
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
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address.
    pub host: String,
    /// TCP port; 1883 or 8883 if not given.
    pub port: u16,
    /// `mqtts`.
    pub tls: bool,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // The address is shown in errors only once it is known to hold no secret.
        if text.contains('@') {
            return Err(Error::Credentials);
        }
        let bad = || Error::Address(text.to_owned());
        let url = url::Url::parse(text).map_err(|_| bad())?;
        let tls = match url.scheme() {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(bad()),
        };
        let rest = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
        let host = url.host_str().filter(|host| !host.is_empty() && !rest).ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port().unwrap_or(if tls { 8_883 } else { 1_883 });
        // Nobody can listen on 0.
        if port == 0 { Err(bad()) } else { Ok(Self { host, port, tls }) }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A secret that does not show itself.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Reads it from a file; one line break at the end is not part of it.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        // The longest password and a line break.
        let text = read(PASSWORD, path, PASSWORD_MAX + 2)?;
        let text = String::from_utf8(text).map_err(|_| unusable(PASSWORD, path, "not UTF-8"))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\n') {
            return Err(Error::PasswordLines(path.to_owned()));
        }
        if line.is_empty() || line.len() > PASSWORD_MAX {
            return Err(Error::PasswordLength { path: path.to_owned(), length: line.len() });
        }
        Ok(Self(line.to_owned()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Everything that a subscription needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The broker.
    pub broker: Address,
    /// MQTT client id.
    pub client_id: String,
    /// User name.
    pub username: Option<String>,
    /// Password, from a file.
    pub password: Option<Password>,
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
        broker: Address,
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
            (true, ca) => Some(Arc::new(tls_config(ca)?)),
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
        let password = password_file.map(Password::from_file).transpose()?;
        Ok(Self { username, password, ..self })
    }

    /// With another patience before the first message, for a broker that sends less often than VerneMQ does by default.
    #[must_use]
    pub fn with_message_wait(self, message_wait: Duration) -> Self {
        Self { message_wait, ..self }
    }
}

/// Names of the files in errors, with the option that names them.
const PASSWORD: &str = "the password (--password-file)";
const CERTIFICATES: &str = "certificates (--ca-file)";

/// Reads a file of at most so many bytes: `/dev/zero` has no end.
fn read(what: &'static str, path: &Path, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::File { what, path: path.to_owned(), source })?;
    if bytes.len() > bytes_max {
        return Err(unusable(what, path, &format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn unusable(what: &'static str, path: &Path, why: &str) -> Error {
    let source = io::Error::new(io::ErrorKind::InvalidData, why);
    Error::File { what, path: path.to_owned(), source }
}

fn tls_config(ca: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    let place = if let Some(path) = ca {
        let text = read(CERTIFICATES, path, CERTIFICATES_MAX)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text).flatten().collect();
        roots.add_parsable_certificates(certificates);
        path.display().to_string()
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        "the system's store".to_owned()
    };
    if roots.is_empty() {
        return Err(Error::Certificates(place));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        let address = |text: &str| text.parse::<Address>();
        assert_eq!(
            address("mqtt://vmq:1999").unwrap(),
            Address { host: "vmq".into(), port: 1_999, tls: false }
        );
        assert_eq!(address("mqtts://vmq").unwrap().port, 8_883);
        assert_eq!(address("mqtt://[::1]:1883").unwrap().to_string(), "[::1]:1883");
        for bad in [
            "vmq:1883",
            "http://vmq",
            "mqtt://",
            "mqtt://vmq/topic",
            "mqtt://vmq?x=1",
            "",
            "mqtt://vmq:99999",
            "mqtt://vmq:0",
        ] {
            assert!(matches!(address(bad), Err(Error::Address(_))), "{bad}");
        }
    }

    #[test]
    fn a_password_never_shows() {
        let error = "mqtt://user:hunter2@vmq:1883".parse::<Address>().unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("--password-file"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "hunter2\r\n").unwrap();
        let broker: Address = "mqtt://vmq".parse().unwrap();
        let options = Options::new(broker, "id".into(), vec!["$SYS/#".into()], None).unwrap();
        let options = options.with_credentials(Some("user".into()), Some(&path)).unwrap();
        assert_eq!(options.password.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_that_holds_no_password_is_refused_and_none_is_read_without_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            Password::from_file(file.path()).unwrap_err()
        };
        assert!(matches!(refusal(b""), Error::PasswordLength { length: 0, .. }));
        assert!(matches!(refusal(b"\n"), Error::PasswordLength { length: 0, .. }));
        assert!(matches!(refusal(b"one\ntwo\n"), Error::PasswordLines(_)));
        assert!(matches!(refusal(b"\xff\xfe"), Error::File { .. }));
        assert!(matches!(refusal(&vec![b'x'; PASSWORD_MAX + 1]), Error::PasswordLength { .. }));
        let endless = Password::from_file(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(endless, Error::File { .. }), "{endless}");
        std::fs::write(file.path(), vec![b'x'; PASSWORD_MAX]).unwrap();
        assert_eq!(Password::from_file(file.path()).unwrap().expose().len(), PASSWORD_MAX);
    }

    #[test]
    fn what_cannot_work_is_said_before_it_is_tried() {
        let broker: Address = "mqtt://vmq".parse().unwrap();
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
        let error = options.with_credentials(Some("u".into()), Some(Path::new("/no/such"))).unwrap_err();
        assert!(error.to_string().contains("/no/such"));
        let broker: Address = "mqtts://vmq".parse().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        let error = Options::new(broker, "id".into(), vec!["a".into()], Some(&path)).unwrap_err();
        assert!(matches!(error, Error::Certificates(_)));
    }
}
