//! HTTPS from PEM files.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::error::{Error, Result};

/// What the server shows, from a file with its certificate chain and one with its private key.
/// [`crate::error::Kind::Usage`] with the file's name if one cannot be read, holds something else, or they do not belong together.
pub(super) fn config(certificate: &Path, key: &Path) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| unreadable(certificate, "certificate", e))?;
    if chain.is_empty() {
        return Err(unreadable(certificate, "certificate", pem::Error::NoItemsFound));
    }
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, "private key", e))?;
    let together = || format!("The certificate in {} and the key in {} cannot be used together", certificate.display(), key.display());
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal("TLS could not be set up").because(e))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|e| Error::usage(together()).because(e).hint("The first certificate in the file must be the one made for that key."))
}

fn unreadable(file: &Path, what: &str, error: pem::Error) -> Error {
    match error {
        pem::Error::Io(error) => Error::usage(format!("{} cannot be read", file.display())).because(error),
        error => Error::usage(format!("{} holds no {what} in PEM form", file.display())).because(error),
    }
}
