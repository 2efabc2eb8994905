//! Listening and serving, until told to stop.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take to send the head of a request, idle time between two included.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// How long a client may take to agree on encryption.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The most connections at a time. More wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4_096;
/// How long to wait when the machine has no more sockets.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub enum Listener {
    /// The network, encrypted or not.
    Tcp(TcpListener, Option<TlsAcceptor>),
    /// A socket in the file system.
    Unix(UnixListener),
}

impl Listener {
    /// Listens on an address. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is in use, or not of this machine.
    pub async fn tcp(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((Self::Tcp(listener, tls), address))
    }

    /// Listens on a socket that only this user can open. One that an earlier daemon left is
    /// replaced, and one that a daemon still listens on is not.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn unix(path: &Path) -> io::Result<Self> {
        if path.exists() {
            if tokio::net::UnixStream::connect(path).await.is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another daemon listens on it",
                ));
            }
            std::fs::remove_file(path)?;
        }
        // Made in a folder that nobody else can enter, and moved once nobody else can open it.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let private = tempfile::Builder::new().tempdir_in(parent.unwrap_or(Path::new(".")))?;
        let made = private.path().join("socket");
        let listener = UnixListener::bind(&made)?;
        std::fs::set_permissions(&made, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        std::fs::rename(&made, path)?;
        Ok(Self::Unix(listener))
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(match tls {
                    Some(tls) => Accepted::Encrypted(Box::new(tls.accept(stream))),
                    None => Accepted::Plain(Box::new(stream)),
                })
            }
            Self::Unix(listener) => Ok(Accepted::Plain(Box::new(listener.accept().await?.0))),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
type Connection = Box<dyn Stream>;

/// A connection that has come, and may have to be made secure yet.
enum Accepted {
    Plain(Connection),
    Encrypted(Box<tokio_rustls::Accept<TcpStream>>),
}

impl Accepted {
    /// The connection, once it can be used.
    async fn ready(self) -> io::Result<Connection> {
        match self {
            Self::Plain(stream) => Ok(stream),
            Self::Encrypted(accept) => {
                let accepted = tokio::time::timeout(HANDSHAKE_TIME, accept).await;
                Ok(Box::new(accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??))
            }
        }
    }
}

/// Serves until `stop`, then lets requests that have begun go on for the grace period. Returns
/// whether all of them ended in time.
pub async fn serve(
    listener: Listener,
    router: Router,
    stop: CancellationToken,
    grace: Duration,
) -> bool {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let abandon = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let (router, stop, abandon) = (router.clone(), stop.clone(), abandon.clone());
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, router, stop) => {}
                () = abandon.cancelled() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    let ended = tokio::time::timeout(grace, connections.wait()).await.is_ok();
    abandon.cancel();
    connections.wait().await;
    ended
}

async fn next(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> Option<(Accepted, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(stream) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

async fn connection(accepted: Accepted, router: Router, stop: CancellationToken) {
    let stream = match accepted.ready().await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a connection could not be made secure");
            return;
        }
    };
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let served = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // Clients come and go; this is no fault of ours.
        tracing::debug!(%error, "a connection ended early");
    }
}
