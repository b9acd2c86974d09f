//! Credentials and certificates, from files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A password file larger than this is a mistake, not a password (MQTT's limit).
const PASSWORD_MAX: usize = 65_535;

/// A user name and a password. The password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The password file cannot be read.
    #[error("cannot read the password file {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The password file holds something else.
    #[error("the password file {0} holds more than {PASSWORD_MAX} bytes or no UTF-8 text")]
    NoPassword(PathBuf),
}

impl Login {
    /// Reads the password from the first line of `file`.
    pub fn from_file(username: &str, file: &Path) -> Result<Self, LoginError> {
        let unreadable = |cause| LoginError::Unreadable { path: file.to_owned(), cause };
        let bytes = std::fs::read(file).map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| LoginError::NoPassword(file.to_owned()))?;
        if bytes.len() > PASSWORD_MAX {
            return Err(LoginError::NoPassword(file.to_owned()));
        }
        let password = text.lines().next().unwrap_or_default().to_owned();
        Ok(Self { username: username.to_owned(), password })
    }
}

/// Trust for `mqtts://`, with rustls and ring.
#[derive(Clone, Debug)]
pub struct Tls(pub(crate) Arc<ClientConfig>);

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file cannot be read.
    #[error("cannot read certificates from {path}: {cause}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: rustls::pki_types::pem::Error,
    },
    /// No certificate to trust.
    #[error("no certificate to trust was found; name one with --ca-file")]
    NoRoots,
    /// rustls refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Settings(#[from] rustls::Error),
}

impl Tls {
    /// Trusts the certificates in `ca_file`, or those of the system.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = ca_file {
            let failed = |cause| TlsError::CaFile { path: path.to_owned(), cause };
            for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
                roots.add(certificate.map_err(failed)?)?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_loses_its_line_end_and_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret \n").unwrap();
        let login = Login::from_file("me", file.path()).unwrap();
        assert_eq!(login.password, "s3cret ");
        assert!(!format!("{login:?}").contains("s3cret"));
    }

    #[test]
    fn missing_files_are_named() {
        let error = Login::from_file("me", Path::new("/nowhere/password")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/password"));
        let error = Tls::new(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
