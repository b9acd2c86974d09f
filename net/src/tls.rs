//! TLS by rustls with ring, once: whom to trust.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::files::{FileError, certificates};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// No certificate to trust.
    #[error("there is no usable certificate in {0}: --ca-file wants that of the CA, as PEM")]
    NoCertificate(String),
    /// The PEM text holds no certificate, or a broken one.
    #[error("the CA bundle is not readable PEM: {0}")]
    Bundle(String),
    /// rustls refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Trusts the certificates in a file (PEM; what else is in it is passed over), or those of the system.
pub fn trust_file(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let Some(path) = ca_file else {
        let roots = system();
        return if roots.is_empty() {
            Err(TlsError::NoCertificate("the system's store".into()))
        } else {
            config(roots)
        };
    };
    let text = certificates(path)?;
    let mut roots = RootCertStore::empty();
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text).flatten().collect();
    roots.add_parsable_certificates(found);
    if roots.is_empty() {
        return Err(TlsError::NoCertificate(path.display().to_string()));
    }
    config(roots)
}

/// Trusts exactly the certificates in `pem`, each of which must be readable, or those of the system.
pub fn trust(pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, TlsError> {
    let Some(pem) = pem else { return config(system()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| TlsError::Bundle(error.to_string()))?)?;
    }
    if roots.is_empty() {
        return Err(TlsError::Bundle("no certificate in it".into()));
    }
    config(roots)
}

fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        let error = trust_file(Some(&path)).unwrap_err();
        assert!(matches!(&error, TlsError::NoCertificate(of) if of.ends_with("ca.pem")), "{error}");
        let error = trust_file(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
        assert!(matches!(trust(Some(b"no certificate")), Err(TlsError::Bundle(_))));
    }
}
