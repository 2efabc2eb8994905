//! What guards the way in: tokens and the certificate, both read again at SIGHUP.

use std::sync::Arc;

use crate::access::Access;
use crate::config::ServerConfig;
use crate::tls::Certificate;

/// The guards.
#[derive(Debug, Clone)]
pub struct Door {
    /// Who may do what.
    pub access: Arc<Access>,
    /// What clients see of TLS. None: there is no TLS.
    pub certificate: Option<Arc<Certificate>>,
}

impl Door {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// When something is missing or wrong.
    pub fn load(server: &ServerConfig) -> anyhow::Result<Self> {
        let access = Arc::new(Access::load(server)?);
        let certificate = server.tls.as_ref().map(Certificate::load).transpose()?;
        Ok(Self { access, certificate })
    }

    /// Reads both again. What is wrong is logged, and what was there before counts on.
    pub fn reload(&self) {
        match self.access.reload() {
            Ok(()) if self.access.is_guarded() => tracing::info!("tokens are read again"),
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "tokens are not read again"),
        }
        let Some(certificate) = &self.certificate else { return };
        match certificate.reload() {
            Ok(()) => tracing::info!("the certificate is read again"),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the certificate is not read again");
            }
        }
    }
}
