//! Connections that are encrypted, and unix sockets.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_redis::{Error, RedisConfig, RedisStore, TlsFiles};
use sessiond_tests::redis_server::{RedisServer, free_port};
use tempfile::TempDir;

use super::{PROMISE, append, key};

/// An authority, and a certificate for everybody here, as files.
struct Papers {
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // With the name of the certificate below it would pass for its own issuer.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("ca.pem", ca.pem());
        write("cert.pem", cert.pem());
        write("key.pem", key.serialize_pem());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A server with these papers. Returns its encrypted address too.
async fn server(papers: &Papers, clients: &str) -> (RedisServer, String) {
    let port = free_port().to_string();
    let path = |name: &str| papers.path(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        clients,
    ])
    .await;
    (server, format!("rediss://127.0.0.1:{port}"))
}

async fn works(config: RedisConfig) {
    let store = RedisStore::connect(config, StoreRules::default()).await.unwrap();
    store.create(&key("u"), &[]).await.unwrap();
    append(&store, &key("u"), "1").await.unwrap();
}

fn chain(error: &Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn trusting(url: &str, ca: &Path) -> RedisConfig {
    let tls = TlsFiles { ca: Some(ca.to_owned()), ..TlsFiles::default() };
    RedisConfig { tls, ..RedisConfig::new(url) }
}

/// A server is trusted by the authority that is named, and by no other.
#[tokio::test]
async fn the_authority_decides() {
    let papers = Papers::new();
    let (_server, url) = server(&papers, "no").await;
    works(trusting(&url, &papers.path("ca.pem"))).await;
    let others = [trusting(&url, &Papers::new().path("ca.pem")), RedisConfig::new(&url)];
    // The first of them cannot be read any more: its folder is gone.
    let other = Papers::new();
    for config in [trusting(&url, &other.path("ca.pem")), others[1].clone()] {
        let begin = Instant::now();
        let refused = RedisStore::connect(config, StoreRules::default()).await.unwrap_err();
        let told = chain(&refused);
        assert!(told.contains("certificate"), "{told}");
        assert!(begin.elapsed() < PROMISE);
    }
    let missing = RedisStore::connect(others[0].clone(), StoreRules::default()).await.unwrap_err();
    assert!(missing.to_string().ends_with("ca.pem cannot be read (redis.tls)"), "{missing}");
}

/// A server that asks for a certificate gets it.
#[tokio::test]
async fn a_client_shows_its_certificate() {
    let papers = Papers::new();
    let (_server, url) = server(&papers, "yes").await;
    let without = trusting(&url, &papers.path("ca.pem"));
    let with = TlsFiles {
        ca: Some(papers.path("ca.pem")),
        cert: Some(papers.path("cert.pem")),
        key: Some(papers.path("key.pem")),
    };
    works(RedisConfig { tls: with, ..without.clone() }).await;
    let refused = RedisStore::connect(without, StoreRules::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Connect { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_unix_socket_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let _server = RedisServer::start_with(&["--unixsocket", socket.to_str().unwrap()]).await;
    works(RedisConfig::new(format!("unix://{}", socket.display()))).await;
}
