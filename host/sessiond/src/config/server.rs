//! `[server]`: where the daemon listens, and what it accepts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;

const LISTEN: &str = "127.0.0.1:7717";
const GRACE_PERIOD: Duration = Duration::from_secs(10);
const MAX_BODY: &str = "8MiB";
const MAX_BATCH: u64 = 1_000;

/// `[server]`
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address, on the loopback interface: there are no tokens yet.
    pub listen: SocketAddr,
    /// A unix socket for the operator's own routes. None: there are none.
    pub admin_socket: Option<PathBuf>,
    /// How long requests and jobs may go on after the signal to stop.
    pub grace_period: Duration,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// The most events of an append.
    pub max_batch: usize,
}

pub(super) fn read(section: Section<'_>) -> ServerConfig {
    let listen = section.parsed("listen", LISTEN, |text| {
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "write an address and a port, like \"127.0.0.1:7717\"".to_owned())?;
        if !address.ip().is_loopback() {
            return Err("the daemon has no tokens yet, so it listens on the loopback interface \
                        only: write 127.0.0.1 or [::1]"
                .to_owned());
        }
        Ok(address)
    });
    let admin_socket = section.text("admin_socket");
    let document = section.document();
    let config = ServerConfig {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        admin_socket: admin_socket.map(|path| document.relative(path.reveal())),
        grace_period: section.duration("grace_period", GRACE_PERIOD),
        max_body: section.size("max_body", MAX_BODY, 1 << 30),
        max_batch: usize::try_from(section.count("max_batch", MAX_BATCH, 10_000)).unwrap_or(1),
    };
    section.finish();
    config
}
