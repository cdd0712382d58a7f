//! TLS to the database server: the certificate is always checked.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};

use crate::error::{Error, Kind, Result};

/// Where machines keep the certificate authorities they trust.
const BUNDLES: [&str; 4] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// What it takes to speak TLS, trusting the authorities in a file or those of the machine.
pub(super) fn client(file: Option<&str>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let bundle = BUNDLES.iter().copied().find(|bundle| std::path::Path::new(bundle).exists());
    if let Some(path) = file.or(bundle) {
        let wrong = || Error::malformed(format!("{path} has no certificates that can be read")).hint("It wants PEM.");
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong().because(e))? {
            // A bundle may hold one that nobody can use; the others count.
            let _ = roots.add(certificate.map_err(|e| wrong().because(e))?);
        }
        if roots.is_empty() {
            return Err(wrong());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Internal, "TLS could not be set up").because(e))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
