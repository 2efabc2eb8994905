//! A TCP proxy that is as bad as a network can be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to connections, those that are there and new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Bytes pass at once.
    Good,
    /// Bytes take so long, each way.
    Slow(Duration),
    /// Requests pass, and answers vanish: the connection is half open. When that is over, it ends.
    HalfOpen,
    /// Connections are closed at once.
    Cut,
}

/// A proxy on a free port of the loopback interface, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    to: Arc<AtomicU16>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// A proxy to a port of the loopback interface.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (network, seen) = watch::channel(Network::Good);
        let mut connections = JoinSet::new();
        let to = Arc::new(AtomicU16::new(to));
        connections.spawn(accept(listener, to.clone(), seen));
        Self { address, network, to, _connections: connections }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where new connections lead from now on.
    pub fn lead_to(&self, port: u16) {
        self.to.store(port, Ordering::Relaxed);
    }

    /// From now on the network is like this.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

/// Passes connections on until the task is aborted, and all of them with it.
async fn accept(listener: TcpListener, to: Arc<AtomicU16>, network: watch::Receiver<Network>) {
    let mut pairs = JoinSet::new();
    loop {
        // What has ended is forgotten here.
        while pairs.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        if *network.borrow() != Network::Cut {
            pairs.spawn(pass(client, to.load(Ordering::Relaxed), network.clone()));
        }
    }
}

async fn pass(client: TcpStream, to: u16, mut network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let requests = pump(from_client, to_server, network.clone(), false);
    let answers = pump(from_server, to_client, network.clone(), true);
    tokio::select! {
        () = requests => {}
        () = answers => {}
        () = broken(&mut network) => {}
    }
}

/// Waits for the end of a connection: when it is cut, or when answers would come through again of
/// which some are missing, as they never do over TCP.
async fn broken(network: &mut watch::Receiver<Network>) {
    let bad = network.wait_for(|now| matches!(now, Network::Cut | Network::HalfOpen)).await;
    if bad.is_ok_and(|now| *now == Network::HalfOpen) {
        // An error: the proxy is gone.
        let _ = network.wait_for(|now| *now != Network::HalfOpen).await;
    }
}

/// Passes bytes one way, until there are no more.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    network: watch::Receiver<Network>,
    answers: bool,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let now = *network.borrow();
        match now {
            Network::HalfOpen if answers => continue,
            Network::Slow(delay) => tokio::time::sleep(delay).await,
            _ => {}
        }
        if to.write_all(bytes.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}
