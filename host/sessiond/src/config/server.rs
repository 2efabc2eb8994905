//! `[server]`: where the daemon listens, and what it accepts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;
use crate::access::TokenSource;

const LISTEN: &str = "127.0.0.1:7717";
const GRACE_PERIOD: Duration = Duration::from_secs(10);
const MAX_BODY: &str = "8MiB";
const MAX_BATCH: u64 = 1_000;
const MAX_WATCHERS: u64 = 2_000;
const WATCH_KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `[server]`
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address. Without tokens it is on the loopback interface.
    pub listen: SocketAddr,
    /// Where tokens are.
    pub tokens: TokenSource,
    /// The certificate. None: no TLS.
    pub tls: Option<TlsConfig>,
    /// A unix socket for the operator's own routes. None: there are none.
    pub admin_socket: Option<PathBuf>,
    /// How long requests and jobs may go on after the signal to stop.
    pub grace_period: Duration,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// The most events of an append.
    pub max_batch: usize,
    /// The most watchers at a time.
    pub max_watchers: usize,
    /// How long a watcher hears nothing, at most.
    pub watch_keep_alive: Duration,
}

/// `[server.tls]`
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// A PEM file with the certificate, and those that lead to its authority.
    pub cert: PathBuf,
    /// A PEM file with its key.
    pub key: PathBuf,
}

pub(super) fn read(section: Section<'_>, warnings: &mut Vec<String>) -> ServerConfig {
    let listen = section.parsed("listen", LISTEN, |text| {
        let address = text.parse::<SocketAddr>();
        address.map_err(|_| "write an address and a port, like \"127.0.0.1:7717\"".to_owned())
    });
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let tokens = read_source(&section);
    let admin_socket = section.text("admin_socket");
    let document = section.document();
    let config = ServerConfig {
        listen,
        tokens,
        admin_socket: admin_socket.map(|path| document.relative(path.reveal())),
        grace_period: section.duration("grace_period", GRACE_PERIOD),
        max_body: section.size("max_body", MAX_BODY, 1 << 30),
        max_batch: size(section.count("max_batch", MAX_BATCH, 10_000)),
        max_watchers: size(section.count("max_watchers", MAX_WATCHERS, 4_000)),
        watch_keep_alive: section.duration("watch_keep_alive", WATCH_KEEP_ALIVE),
        // A table within this one: shown after the keys, or those would belong to it.
        tls: read_tls(section.section("tls")),
    };
    if !config.listen.ip().is_loopback() {
        if matches!(config.tokens, TokenSource::None) {
            let message = "without tokens the daemon listens on the loopback interface only: write \
                           127.0.0.1 or [::1], or set server.tokens_file";
            section.problem("listen", message);
        } else if config.tls.is_none() {
            let message = "server.listen is not on the loopback interface, and without server.tls \
                           tokens go there in the clear";
            warnings.push(message.to_owned());
        }
    }
    section.finish();
    config
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(1)
}

fn read_source(section: &Section<'_>) -> TokenSource {
    let (file, text) = (section.path("tokens_file"), section.secret("tokens"));
    match (file, text) {
        (Some(_), Some(_)) => {
            section.problem("tokens", "tokens are in server.tokens_file already: remove one");
            TokenSource::None
        }
        (Some(path), None) => TokenSource::File(path),
        (None, Some(text)) => TokenSource::Text(text.reveal().to_owned()),
        (None, None) => TokenSource::None,
    }
}

fn read_tls(section: Section<'_>) -> Option<TlsConfig> {
    let (cert, key) = (section.path("cert"), section.path("key"));
    let there = cert.is_some() || key.is_some();
    for (name, path) in [("cert", &cert), ("key", &key)] {
        if there && path.is_none() {
            section.problem(name, "TLS needs both: cert = \"cert.pem\" and key = \"key.pem\"");
        }
    }
    section.finish();
    Some(TlsConfig { cert: cert?, key: key? })
}
