//! The certificate that clients see, which can be replaced while the daemon runs.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;

/// A certificate with its key, from two files.
#[derive(Debug)]
pub struct Certificate {
    files: TlsConfig,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn load(files: &TlsConfig) -> anyhow::Result<Arc<Self>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = RwLock::new(read(files, &provider)?);
        Ok(Arc::new(Self { files: files.clone(), provider, current }))
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As for [`Certificate::load`]; the one that was there before serves on.
    pub fn reload(&self) -> anyhow::Result<()> {
        let new = read(&self.files, &self.provider)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Who takes connections of clients.
    ///
    /// # Errors
    /// When TLS cannot be used at all.
    pub fn acceptor(self: &Arc<Self>) -> anyhow::Result<TlsAcceptor> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .context("TLS cannot be used")?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(files: &TlsConfig, provider: &CryptoProvider) -> anyhow::Result<Arc<CertifiedKey>> {
    let unreadable = |path: &Path, what: &str| format!("{} {what}", path.display());
    let (cert, key) = (&files.cert, &files.key);
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| unreadable(cert, "is no PEM file of certificates (server.tls.cert)"))?;
    anyhow::ensure!(!chain.is_empty(), unreadable(cert, "has no certificate (server.tls.cert)"));
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| unreadable(key, "is no PEM file of a private key (server.tls.key)"))?;
    let made = CertifiedKey::from_der(chain, key, provider);
    Ok(Arc::new(made.context("the certificate and the key of server.tls do not fit")?))
}
