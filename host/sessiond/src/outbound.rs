//! Connections from the daemon to other servers, for one HTTP request each.

mod address;
mod post;
mod sender;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) use self::address::OwnAddresses;
pub(crate) use self::post::{Unread, json_request};
pub(crate) use self::sender::CheckedSender;

/// A connection, encrypted or not.
pub(crate) type Connection = Box<dyn Stream>;

/// What can be read and written.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes connections. Clones share what they trust.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: TlsConnector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Trusts whom the machine trusts.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if let Some(error) = found.errors.first().filter(|_| roots.is_empty()) {
            tracing::warn!(%error, "no certificate authority was found: https:// will not work");
        }
        Self::trusting(roots)
    }

    /// Trusts nobody: for a daemon that reaches nobody.
    pub(crate) fn trusting_nobody() -> anyhow::Result<Self> {
        Self::trusting(RootCertStore::empty())
    }

    fn trusting(roots: RootCertStore) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS cannot be used")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Connects to the first address that answers, and to no other. `host` is whom the certificate
    /// must be of, for an encrypted connection.
    pub(crate) async fn connect(
        &self,
        addresses: &[SocketAddr],
        host: &str,
        encrypted: bool,
    ) -> io::Result<Connection> {
        let stream = TcpStream::connect(addresses).await?;
        stream.set_nodelay(true)?;
        if !encrypted {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server for `name`, and a connector that trusts it.
    fn pair(name: &str) -> (TlsAcceptor, Connector) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (TlsAcceptor::from(Arc::new(server)), Connector::trusting(roots).unwrap())
    }

    /// Whether a connection to a server comes about, and carries something.
    async fn connects(acceptor: TlsAcceptor, connector: &Connector, host: &str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.write_all(b"hello").await;
                let _ = stream.flush().await;
            }
        };
        let addresses = [address];
        let (connected, ()) = tokio::join!(connector.connect(&addresses, host, true), serve);
        let Ok(mut connection) = connected else { return false };
        let mut read = [0; 5];
        connection.read_exact(&mut read).await.is_ok() && &read == b"hello"
    }

    /// P58: a certificate must be of the host that is asked, whatever address was connected to.
    #[tokio::test]
    async fn certificates_are_checked() {
        let (acceptor, trusting) = pair("api.example.com");
        assert!(connects(acceptor.clone(), &trusting, "api.example.com").await);
        assert!(!connects(acceptor.clone(), &trusting, "other.example.com").await);
        assert!(!connects(acceptor.clone(), &trusting, "127.0.0.1").await);
        let (_, stranger) = pair("api.example.com");
        assert!(!connects(acceptor, &stranger, "api.example.com").await);
        let (by_address, trusting) = pair("127.0.0.1");
        assert!(connects(by_address, &trusting, "127.0.0.1").await);
    }
}
